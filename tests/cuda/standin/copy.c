/* SPDX-License-Identifier: MIT */
/* Copies and fills. The places that both ends lie in are checked as CUDA checks them, or harder: a wrong kind, and a range that leaves its block, is
 * refused. Pageable memory is read before the call returns, and written before it returns. */
#include "machine.h"

#include <stdlib.h>
#include <string.h>

typedef struct KerbCopy {
    uint8_t *to;
    const uint8_t *from;
    size_t to_pitch, from_pitch, width, height;
    uint8_t *staged; /* freed after the last use; NULL: none */
} KerbCopy;

static void kerb_copy_run(const void *args)
{
    const KerbCopy *c = args;
    for (size_t y = 0; y < c->height; y++)
        memmove(c->to + y * c->to_pitch, c->from + y * c->from_pitch, c->width);
}

static void kerb_copy_drop(void *args)
{
    free(((KerbCopy *)args)->staged);
}

static size_t kerb_copy_extent(size_t pitch, size_t width, size_t height)
{
    return height ? (height - 1) * pitch + width : 0;
}

/* Which of both ends the kind says is on the device; -1: as it lies. */
static bool kerb_copy_fits(enum cudaMemcpyKind kind, KerbPlace to, KerbPlace from)
{
    const bool to_device = to == KERB_PLACE_DEVICE, from_device = from == KERB_PLACE_DEVICE;
    switch (kind) {
    case cudaMemcpyHostToHost:
        return !to_device && !from_device;
    case cudaMemcpyHostToDevice:
        return to_device && !from_device;
    case cudaMemcpyDeviceToHost:
        return !to_device && from_device;
    case cudaMemcpyDeviceToDevice:
        return to_device && from_device;
    case cudaMemcpyDefault:
        return true;
    }
    return false;
}

static bool kerb_copy_check_locked(const KerbCopy *c, enum cudaMemcpyKind kind, KerbPlace *to, KerbPlace *from)
{
    *to = kerb_place_locked(c->to, kerb_copy_extent(c->to_pitch, c->width, c->height));
    *from = kerb_place_locked(c->from, kerb_copy_extent(c->from_pitch, c->width, c->height));
    if (*to == KERB_PLACE_BROKEN || *from == KERB_PLACE_BROKEN)
        kerb_misuse_locked("a copy of %zu x %zu leaves the block that it %s", c->width, c->height, *to == KERB_PLACE_BROKEN ? "writes" : "reads");
    else if (!kerb_copy_fits(kind, *to, *from))
        kerb_misuse_locked("a copy of kind %d goes to %s memory, from %s memory", (int)kind, *to == KERB_PLACE_DEVICE ? "device" : "host",
                           *from == KERB_PLACE_DEVICE ? "device" : "host");
    else
        return true;
    return false;
}

static bool kerb_copy_stage(KerbCopy *c)
{
    c->staged = malloc(c->width * c->height + 1);
    if (!c->staged)
        return false;
    for (size_t y = 0; y < c->height; y++)
        memcpy(c->staged + y * c->width, c->from + y * c->from_pitch, c->width);
    c->from = c->staged;
    c->from_pitch = c->width;
    return true;
}

static cudaError_t kerb_copy(KerbCopy c, enum cudaMemcpyKind kind, cudaStream_t stream, bool wait, const char *name)
{
    const cudaError_t code = kerb_call(name, wait ? KERB_CALL_UNSAFE : 0);
    if (code != cudaSuccess)
        return code;
    if (!c.width || !c.height)
        return cudaSuccess;
    if (!c.to || !c.from)
        return kerb_fail_with(cudaErrorInvalidValue);
    if (c.height > 1 && (c.to_pitch < c.width || c.from_pitch < c.width))
        return kerb_fail_with(cudaErrorInvalidPitchValue);
    KerbPlace to, from;
    cudaError_t ignored;
    kerb_machine_lock();
    const bool fits = kerb_copy_check_locked(&c, kind, &to, &from);
    KerbStream *s = kerb_stream_find_locked(stream, name, &ignored);
    const bool captured = s && s->capture;
    if (captured && (to == KERB_PLACE_PAGEABLE || from == KERB_PLACE_PAGEABLE)) {
        kerb_capture_spoil_locked(s, cudaErrorStreamCaptureInvalidated);
        kerb_machine_unlock();
        return kerb_fail_with(cudaErrorStreamCaptureUnsupported);
    }
    kerb_machine_unlock();
    if (!fits)
        return kerb_fail_with(cudaErrorInvalidValue);
    if (from == KERB_PLACE_PAGEABLE && to == KERB_PLACE_DEVICE && !kerb_copy_stage(&c))
        return kerb_fail_with(cudaErrorMemoryAllocation);
    KerbWork *work = kerb_work_new(kerb_copy_run, kerb_copy_drop, &c, sizeof c);
    if (!work)
        free(c.staged);
    return kerb_stream_push(stream, work, wait || to == KERB_PLACE_PAGEABLE);
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind)
{
    return kerb_copy((KerbCopy){ to, from, bytes, bytes, bytes, 1, NULL }, kind, NULL, true, __func__);
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind, cudaStream_t stream)
{
    return kerb_copy((KerbCopy){ to, from, bytes, bytes, bytes, 1, NULL }, kind, stream, false, __func__);
}

cudaError_t cudaMemcpy2D(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width, size_t height, enum cudaMemcpyKind kind)
{
    return kerb_copy((KerbCopy){ to, from, to_pitch, from_pitch, width, height, NULL }, kind, NULL, true, __func__);
}

cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width, size_t height, enum cudaMemcpyKind kind,
                              cudaStream_t stream)
{
    return kerb_copy((KerbCopy){ to, from, to_pitch, from_pitch, width, height, NULL }, kind, stream, false, __func__);
}

typedef struct KerbFill {
    uint8_t *to;
    size_t pitch, width, height;
    int value;
} KerbFill;

static void kerb_fill_run(const void *args)
{
    const KerbFill *f = args;
    for (size_t y = 0; y < f->height; y++)
        memset(f->to + y * f->pitch, f->value, f->width);
}

static cudaError_t kerb_fill(KerbFill f, cudaStream_t stream, unsigned flags, const char *name)
{
    const cudaError_t code = kerb_call(name, flags);
    if (code != cudaSuccess)
        return code;
    if (!f.width || !f.height)
        return cudaSuccess;
    kerb_machine_lock();
    const KerbPlace place = kerb_place_locked(f.to, kerb_copy_extent(f.pitch, f.width, f.height));
    if (place == KERB_PLACE_BROKEN || place == KERB_PLACE_PAGEABLE)
        kerb_misuse_locked("%s of %zu x %zu %s", name, f.width, f.height, place == KERB_PLACE_BROKEN ? "leaves its block" : "in pageable memory");
    kerb_machine_unlock();
    if (place == KERB_PLACE_BROKEN || place == KERB_PLACE_PAGEABLE)
        return kerb_fail_with(cudaErrorInvalidValue);
    return kerb_stream_push(stream, kerb_work_new(kerb_fill_run, NULL, &f, sizeof f), false);
}

cudaError_t cudaMemset(void *to, int value, size_t bytes)
{
    return kerb_fill((KerbFill){ to, bytes, bytes, 1, value }, NULL, KERB_CALL_UNSAFE, __func__);
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream)
{
    return kerb_fill((KerbFill){ to, bytes, bytes, 1, value }, stream, 0, __func__);
}

cudaError_t cudaMemset2DAsync(void *to, size_t pitch, int value, size_t width, size_t height, cudaStream_t stream)
{
    return kerb_fill((KerbFill){ to, pitch, width, height, value }, stream, 0, __func__);
}
