/* SPDX-License-Identifier: MIT */
/* Opening and closing a model: the file's mapping, what it is if it is not ONNX, the reading. Enters: a path or bytes. Leaves: a KerbOnnx
 * whose every view has been checked. Shared read-only afterwards: any thread. */
#include "net/onnx/model.h"

#include <string.h>

static KerbStatus kerb_onnx_start(KerbOnnx **out, KerbError *error)
{
    KerbArena *arena = kerb_arena_new(0);
    KerbOnnx *onnx = arena ? kerb_arena_alloc(arena, sizeof *onnx) : NULL;
    *out = onnx;
    if (onnx) {
        onnx->arena = arena;
        return KERB_OK;
    }
    kerb_arena_free(&arena);
    return kerb_fail(error, KERB_ERROR_MEMORY, "out of memory for a model");
}

static KerbStatus kerb_onnx_load(KerbOnnx *onnx, KerbError *error)
{
    if (onnx->bytes.size == 0) return kerb_fail(error, KERB_ERROR_ASSET, "the file is empty; copy or export the model again");
    KerbStatus status = kerb_onnx_sniff(onnx->bytes, error);
    return status != KERB_OK ? status : kerb_onnx_parse(onnx, error);
}

/* "a/b.onnx" -> "a/", "b.onnx" -> "." */
static const char *kerb_onnx_folder(KerbArena *arena, const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? kerb_arena_strndup(arena, path, (size_t)(slash - path) + 1) : kerb_arena_strdup(arena, ".");
}

KerbStatus kerb_onnx_open(KerbOnnx **out, const char *path, KerbError *error)
{
    KerbStatus status = kerb_onnx_start(out, error);
    if (status != KERB_OK) return status;
    KerbOnnx *onnx = *out;
    status = kerb_map_file(path, &onnx->file, error); /* its messages name the path */
    if (status == KERB_OK) {
        onnx->bytes = (KerbBytes){ onnx->file.data, onnx->file.bytes };
        onnx->folder = kerb_onnx_folder(onnx->arena, path);
        status = onnx->folder ? kerb_onnx_load(onnx, error) : kerb_fail(error, KERB_ERROR_MEMORY, "out of memory for a model");
        if (status != KERB_OK) kerb_error_prefix(error, "%.300s: ", path);
    }
    if (status != KERB_OK) kerb_onnx_close(out);
    return status;
}

KerbStatus kerb_onnx_open_memory(KerbOnnx **out, const void *data, size_t bytes, KerbError *error)
{
    KerbStatus status = kerb_onnx_start(out, error);
    if (status != KERB_OK) return status;
    (*out)->bytes = (KerbBytes){ data, bytes };
    status = kerb_onnx_load(*out, error);
    if (status != KERB_OK) kerb_onnx_close(out);
    return status;
}

void kerb_onnx_close(KerbOnnx **onnx)
{
    if (!onnx || !*onnx) return;
    KerbOnnx *o = *onnx;
    *onnx = NULL;
    for (int i = 0; i < o->n_files; i++) kerb_unmap(&o->files[i].mapping);
    kerb_unmap(&o->file);
    KerbArena *arena = o->arena; /* o itself lies in it */
    kerb_arena_free(&arena);
}

size_t kerb_onnx_bytes(const KerbOnnx *onnx)
{
    size_t bytes = onnx->bytes.size;
    for (int i = 0; i < onnx->n_files; i++) bytes += onnx->files[i].mapping.bytes;
    return bytes;
}
