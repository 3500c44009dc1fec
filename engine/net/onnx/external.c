/* SPDX-License-Identifier: MIT */
/* External data: files that a model names, opened so that none outside the model's folder can be reached, whatever the name or the links in
 * the folder say. Enters: an unchecked name. Leaves: a mapping that lives as long as the model. */
#include "net/onnx/model.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef SYS_openat2
#include <linux/openat2.h>
#endif

static KerbStatus kerb_external_bad(const char *location, const char *why, KerbError *error)
{
    return kerb_fail(error, KERB_ERROR_ASSET,
                     "external data '%.200s' %s; put the file into the model's folder, or export with the weights inside", location, why);
}

/* A plain relative path without "..". */
static const char *kerb_external_check(const char *location)
{
    if (!location[0]) return "has no name";
    if (location[0] == '/') return "is an absolute path";
    for (const char *part = location; part; part = strchr(part, '/')) {
        if (*part == '/') part++;
        if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || part[2] == '\0')) return "leads out of the model's folder";
    }
    return NULL;
}

/* Part by part, refusing every link: for kernels before 5.6. Takes the folder's descriptor. */
static int kerb_external_walk(int folder, const char *location)
{
    int fd = folder;
    while (fd >= 0) {
        while (*location == '/') location++;
        const char *slash = strchr(location, '/');
        size_t n = slash ? (size_t)(slash - location) : strlen(location);
        char part[256];
        int next = -1;
        if (n == 0 || n >= sizeof part) {
            errno = n ? ENAMETOOLONG : EISDIR;
        } else {
            memcpy(part, location, n);
            part[n] = '\0';
            next = openat(fd, part, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW | (slash ? O_DIRECTORY : 0));
        }
        int why = errno;
        close(fd);
        errno = why;
        fd = next;
        if (!slash) break;
        location = slash;
    }
    return fd;
}

static int kerb_external_beneath(int folder, const char *location)
{
#ifdef SYS_openat2
    struct open_how how = { .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };
    return (int)syscall(SYS_openat2, folder, location, &how, sizeof how);
#else
    errno = ENOSYS;
    return -1;
#endif
}

KerbStatus kerb_onnx_open_below(const char *folder, const char *location, bool walk, int *fd, KerbError *error)
{
    *fd = -1;
    const char *why = kerb_external_check(location);
    if (why) return kerb_external_bad(location, why, error);
    int at = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (at < 0) return kerb_fail(error, KERB_ERROR_STORAGE, "the folder '%.200s' cannot be opened: %s", folder, strerror(errno));
    *fd = walk ? -1 : kerb_external_beneath(at, location);
    if (walk || (*fd < 0 && (errno == ENOSYS || errno == EPERM))) *fd = kerb_external_walk(at, location); /* EPERM: a seccomp filter */
    else close(at);
    if (*fd >= 0) return KERB_OK;
    switch (errno) {
    case ENOENT:
    case ENOTDIR: return kerb_external_bad(location, "is not there", error);
    case EXDEV: return kerb_external_bad(location, "is a link that leads out of the model's folder", error);
    case ELOOP: return kerb_external_bad(location, "is a link that cannot be followed", error);
    default: return kerb_fail(error, KERB_ERROR_STORAGE, "external data '%.200s' cannot be opened: %s", location, strerror(errno));
    }
}

static KerbStatus kerb_external_map(const char *folder, const char *location, KerbMapping *out, KerbError *error)
{
    int fd;
    struct stat st;
    KerbStatus status = kerb_onnx_open_below(folder, location, false, &fd, error);
    if (status != KERB_OK) return status;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        status = kerb_external_bad(location, "is not a file", error);
    } else if (st.st_size > 0) {
        void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED)
            status = kerb_fail(error, KERB_ERROR_STORAGE, "external data '%.200s' cannot be mapped (%lld bytes): %s", location,
                               (long long)st.st_size, strerror(errno));
        else *out = (KerbMapping){ data, (size_t)st.st_size };
    }
    close(fd);
    return status;
}

static KerbOnnxFile *kerb_external_slot(KerbOnnx *onnx)
{
    if (onnx->n_files == onnx->files_capacity) {
        int capacity = onnx->files_capacity ? onnx->files_capacity * 2 : 8;
        KerbOnnxFile *files = kerb_arena_alloc(onnx->arena, (size_t)capacity * sizeof *files);
        if (!files) return NULL;
        if (onnx->n_files) memcpy(files, onnx->files, (size_t)onnx->n_files * sizeof *files);
        onnx->files = files;
        onnx->files_capacity = capacity;
    }
    return &onnx->files[onnx->n_files++];
}

KerbStatus kerb_onnx_external(KerbOnnx *onnx, KerbBytes location, const KerbMapping **out, KerbError *error)
{
    for (int i = onnx->n_files - 1; i >= 0; i--) { /* the newest is nearly always the one */
        KerbBytes have = onnx->files[i].location;
        if (have.size == location.size && memcmp(have.data, location.data, have.size) == 0) {
            *out = &onnx->files[i].mapping;
            return KERB_OK;
        }
    }
    char path[1024];
    if (location.size == 0) return kerb_external_bad("", "has no name", error);
    if (!onnx->folder)
        return kerb_fail(error, KERB_ERROR_ASSET, "the model's weights lie in another file, but the model was opened from memory");
    if (location.size >= sizeof path || memchr(location.data, 0, location.size))
        return kerb_external_bad("?", "has a name that no file has", error);
    if (onnx->n_files == KERB_ONNX_MAX_EXTERNAL_FILES)
        return kerb_fail(error, KERB_ERROR_ASSET, "the model's weights lie in more than %d files; export them into one",
                         KERB_ONNX_MAX_EXTERNAL_FILES);
    memcpy(path, location.data, location.size);
    path[location.size] = '\0';
    KerbMapping mapping = { 0 };
    KerbStatus status = kerb_external_map(onnx->folder, path, &mapping, error);
    if (status != KERB_OK) return status;
    KerbOnnxFile *file = kerb_external_slot(onnx);
    if (!file) {
        kerb_unmap(&mapping);
        return kerb_fail(error, KERB_ERROR_MEMORY, "out of memory for the model's external data");
    }
    *file = (KerbOnnxFile){ location, mapping };
    *out = &file->mapping;
    return KERB_OK;
}
