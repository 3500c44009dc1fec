/* SPDX-License-Identifier: MIT */
/* Memory of the stand-in. A device block lies between guard pages, ends where a page ends, starts out as NaN, and carries a protection key: only the
 * threads of streams can touch it, while they work. Page-locked host memory is mapped twice: what the host uses, and what kernels use (with the key).
 * Freed device addresses are never used again. */
#include "machine.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { KERB_PAGE = 4096, KERB_DEVICE_ALIGNMENT = 256, KERB_UNWRITTEN = 0xff, KERB_CANARY = 0xc7 };

static pthread_once_t kerb_key_once = PTHREAD_ONCE_INIT;
static int kerb_key = -1; /* protection key of all device memory; -1: the processor or kernel has none */

static void kerb_key_make(void)
{
#ifdef PKEY_DISABLE_ACCESS
    kerb_key = pkey_alloc(0, PKEY_DISABLE_ACCESS); /* other threads start with every key but 0 closed */
#endif
}

static int kerb_key_get(void)
{
    pthread_once(&kerb_key_once, kerb_key_make);
    return kerb_key;
}

bool kerb_standin_guards(void)
{
    return kerb_key_get() >= 0;
}

static void kerb_key_set(bool closed)
{
#ifdef PKEY_DISABLE_ACCESS
    if (kerb_key_get() >= 0)
        pkey_set(kerb_key, closed ? PKEY_DISABLE_ACCESS : 0);
#else
    (void)closed;
#endif
}

void kerb_memory_open(void)
{
    kerb_key_set(false);
}

void kerb_memory_close(void)
{
    kerb_key_set(true);
}

static bool kerb_protect(void *start, size_t bytes)
{
#ifdef PKEY_DISABLE_ACCESS
    if (kerb_key_get() >= 0)
        return pkey_mprotect(start, bytes, PROT_READ | PROT_WRITE, kerb_key) == 0;
#endif
    return mprotect(start, bytes, PROT_READ | PROT_WRITE) == 0;
}

static size_t kerb_round(size_t bytes, size_t to)
{
    return (bytes + to - 1) / to * to;
}

/* The bytes of a mapping that are not the block's. */
static void kerb_canary_write(const KerbBlock *b, uint8_t *map, const uint8_t *start)
{
    memset(map, KERB_CANARY, (size_t)(start - map));
    memset(map + (start - map) + b->bytes, KERB_CANARY, b->mapped_bytes - (size_t)(start - map) - b->bytes);
}

static void kerb_canary_check_locked(const KerbBlock *b, const uint8_t *map, const uint8_t *start)
{
    for (size_t i = 0; i < b->mapped_bytes; i++) {
        if (map + i == start)
            i += b->bytes;
        if (i < b->mapped_bytes && map[i] != KERB_CANARY) {
            kerb_misuse_locked("a block of %zu bytes made by call %llu was written at %td", b->bytes, (unsigned long long)b->held.call, map + i - start);
            return;
        }
    }
}

static void kerb_block_link_locked(KerbBlock *b, KerbHeldKind kind)
{
    kerb_held_add_locked(&b->held, kind);
    b->held.bytes = b->bytes;
    b->next_block = kerb_machine.blocks;
    kerb_machine.blocks = b;
}

static void kerb_block_unlink_locked(KerbBlock *b)
{
    KerbBlock **at = &kerb_machine.blocks;
    while (*at != b)
        at = &(*at)->next_block;
    *at = b->next_block;
    kerb_held_remove_locked(&b->held);
}

/* A mapping with a guard page on both sides. NULL: none to be had. */
static uint8_t *kerb_map_guarded(size_t bytes, int file)
{
    uint8_t *all = mmap(NULL, bytes + 2 * KERB_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED)
        return NULL;
    uint8_t *map = mmap(all + KERB_PAGE, bytes, PROT_READ | PROT_WRITE, MAP_FIXED | (file >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS), file, 0);
    if (map != MAP_FAILED)
        return map;
    munmap(all, bytes + 2 * KERB_PAGE);
    return NULL;
}

static void kerb_unmap_guarded(void *map, size_t bytes)
{
    munmap((uint8_t *)map - KERB_PAGE, bytes + 2 * KERB_PAGE);
}

cudaError_t cudaMalloc(void **out, size_t bytes)
{
    const cudaError_t code = kerb_call(__func__, KERB_CALL_UNSAFE);
    if (out)
        *out = NULL;
    if (code != cudaSuccess)
        return code;
    if (!out)
        return kerb_fail_with(cudaErrorInvalidValue);
    if (!bytes) /* as CUDA: NULL and no error */
        return cudaSuccess;
    const int device = kerb_current_device();
    kerb_machine_lock();
    size_t *used = &kerb_machine.device_bytes[device];
    const bool fits = bytes <= kerb_machine.config.memory_bytes && *used <= kerb_machine.config.memory_bytes - bytes;
    if (fits)
        *used += bytes;
    kerb_machine_unlock();
    KerbBlock *b = fits ? calloc(1, sizeof *b) : NULL;
    const size_t mapped = kerb_round(bytes, KERB_PAGE);
    uint8_t *map = b ? kerb_map_guarded(mapped, -1) : NULL;
    if (!map) {
        free(b);
        kerb_machine_lock();
        *used -= fits ? bytes : 0;
        kerb_machine_unlock();
        return kerb_fail_with(cudaErrorMemoryAllocation);
    }
    b->bytes = bytes;
    b->mapped_bytes = mapped;
    b->map_device = map;
    b->device = map + mapped - kerb_round(bytes, KERB_DEVICE_ALIGNMENT);
    memset(b->device, KERB_UNWRITTEN, bytes);
    kerb_canary_write(b, map, b->device);
    kerb_protect(map, mapped);
    kerb_machine_lock();
    kerb_block_link_locked(b, KERB_HELD_DEVICE_BLOCK);
    kerb_machine_unlock();
    *out = b->device;
    return cudaSuccess;
}

static KerbBlock *kerb_block_at_locked(const void *pointer, KerbHeldKind kind)
{
    for (KerbBlock *b = kerb_machine.blocks; b; b = b->next_block)
        if (b->held.kind == kind && (kind == KERB_HELD_DEVICE_BLOCK ? b->device : b->host) == pointer)
            return b;
    return NULL;
}

cudaError_t cudaFree(void *pointer)
{
    const cudaError_t code = kerb_call(__func__, KERB_CALL_UNSAFE);
    if (!pointer || code == cudaErrorStreamCaptureUnsupported)
        return code;
    kerb_machine_lock();
    KerbBlock *b = kerb_block_at_locked(pointer, KERB_HELD_DEVICE_BLOCK);
    if (!b) {
        kerb_misuse_locked("cudaFree(%p): no device block starts there", pointer);
        kerb_machine_unlock();
        return kerb_fail_with(cudaErrorInvalidValue);
    }
    kerb_device_drain_locked(b->held.device);
    kerb_memory_open();
    kerb_canary_check_locked(b, b->map_device, b->device);
    kerb_memory_close();
    kerb_machine.device_bytes[b->held.device] -= b->bytes;
    kerb_block_unlink_locked(b);
    kerb_machine_unlock();
    /* The address stays taken: who still uses it, faults. */
    mmap(b->map_device, b->mapped_bytes, PROT_NONE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    free(b);
    return code;
}

/* Both mappings of page-locked memory. */
static bool kerb_pinned_map(KerbBlock *b, bool alias)
{
    const int file = memfd_create("kerb-pinned", MFD_CLOEXEC);
    if (file < 0)
        return false;
    bool ok = ftruncate(file, (off_t)b->mapped_bytes) == 0;
    b->map_host = ok ? kerb_map_guarded(b->mapped_bytes, file) : NULL;
    b->map_device = !b->map_host ? NULL : alias ? kerb_map_guarded(b->mapped_bytes, file) : b->map_host;
    close(file);
    ok = b->map_device != NULL;
    if (ok && alias)
        ok = kerb_protect(b->map_device, b->mapped_bytes);
    b->host = b->map_host;
    b->device = b->map_device;
    return ok;
}

static void kerb_pinned_unmap(KerbBlock *b)
{
    if (b->map_device && b->map_device != b->map_host)
        kerb_unmap_guarded(b->map_device, b->mapped_bytes);
    if (b->map_host)
        kerb_unmap_guarded(b->map_host, b->mapped_bytes);
}

cudaError_t cudaHostAlloc(void **out, size_t bytes, unsigned flags)
{
    const cudaError_t code = kerb_call(__func__, KERB_CALL_UNSAFE);
    if (out)
        *out = NULL;
    if (code != cudaSuccess)
        return code;
    if (!out || (flags & ~(unsigned)(cudaHostAllocPortable | cudaHostAllocMapped | cudaHostAllocWriteCombined)))
        return kerb_fail_with(cudaErrorInvalidValue);
    if (!bytes)
        return cudaSuccess;
    kerb_machine_lock();
    const bool alias = !kerb_machine.config.no_alias;
    kerb_machine_unlock();
    KerbBlock *b = calloc(1, sizeof *b);
    if (!b)
        return kerb_fail_with(cudaErrorMemoryAllocation);
    b->bytes = bytes;
    b->mapped_bytes = kerb_round(bytes, KERB_PAGE);
    if (!kerb_pinned_map(b, alias)) {
        kerb_pinned_unmap(b);
        free(b);
        return kerb_fail_with(cudaErrorMemoryAllocation);
    }
    memset(b->host, KERB_UNWRITTEN, bytes);
    kerb_canary_write(b, b->map_host, b->host);
    kerb_machine_lock();
    kerb_block_link_locked(b, KERB_HELD_PINNED_BLOCK);
    kerb_machine_unlock();
    *out = b->host;
    return cudaSuccess;
}

cudaError_t cudaMallocHost(void **out, size_t bytes)
{
    return cudaHostAlloc(out, bytes, cudaHostAllocDefault);
}

static cudaError_t kerb_pinned_free(void *pointer, cudaError_t code, bool registered, const char *name)
{
    kerb_machine_lock();
    KerbBlock *b = kerb_block_at_locked(pointer, KERB_HELD_PINNED_BLOCK);
    if (!b || b->registered != registered) {
        kerb_misuse_locked("%s(%p): no such block starts there", name, pointer);
        kerb_machine_unlock();
        return kerb_fail_with(cudaErrorInvalidValue);
    }
    for (int i = 0; i < kerb_machine.config.devices; i++)
        kerb_device_drain_locked(i);
    if (!registered)
        kerb_canary_check_locked(b, b->map_host, b->host);
    kerb_block_unlink_locked(b);
    kerb_machine_unlock();
    if (!registered)
        kerb_pinned_unmap(b);
    free(b);
    return code;
}

cudaError_t cudaFreeHost(void *pointer)
{
    const cudaError_t code = kerb_call(__func__, KERB_CALL_UNSAFE);
    if (!pointer || code == cudaErrorStreamCaptureUnsupported)
        return code;
    return kerb_pinned_free(pointer, code, false, __func__);
}

cudaError_t cudaHostRegister(void *pointer, size_t bytes, unsigned flags)
{
    const cudaError_t code = kerb_call(__func__, KERB_CALL_UNSAFE);
    (void)flags;
    if (code != cudaSuccess)
        return code;
    if (!pointer || !bytes)
        return kerb_fail_with(cudaErrorInvalidValue);
    KerbBlock *b = calloc(1, sizeof *b);
    if (!b)
        return kerb_fail_with(cudaErrorMemoryAllocation);
    kerb_machine_lock();
    if (kerb_place_locked(pointer, 1) != KERB_PLACE_PAGEABLE) {
        kerb_machine_unlock();
        free(b);
        return kerb_fail_with(cudaErrorHostMemoryAlreadyRegistered);
    }
    *b = (KerbBlock){ .bytes = bytes, .mapped_bytes = bytes, .host = pointer, .device = pointer, .registered = true };
    kerb_block_link_locked(b, KERB_HELD_PINNED_BLOCK);
    kerb_machine_unlock();
    return cudaSuccess;
}

cudaError_t cudaHostUnregister(void *pointer)
{
    const cudaError_t code = kerb_call(__func__, KERB_CALL_UNSAFE);
    if (code == cudaErrorStreamCaptureUnsupported)
        return code;
    return kerb_pinned_free(pointer, code, true, __func__);
}

/* The block that a pointer points into, by either address. */
static KerbBlock *kerb_block_around_locked(const void *pointer, bool *by_device)
{
    const uintptr_t p = (uintptr_t)pointer;
    for (KerbBlock *b = kerb_machine.blocks; b; b = b->next_block) {
        if (b->host && p >= (uintptr_t)b->host && p - (uintptr_t)b->host < b->bytes) {
            *by_device = false;
            return b;
        }
        if (p >= (uintptr_t)b->device && p - (uintptr_t)b->device < b->bytes) {
            *by_device = true;
            return b;
        }
    }
    return NULL;
}

KerbPlace kerb_place_locked(const void *pointer, size_t bytes)
{
    bool by_device;
    const KerbBlock *b = kerb_block_around_locked(pointer, &by_device);
    if (!b)
        return KERB_PLACE_PAGEABLE;
    const size_t at = (size_t)((const uint8_t *)pointer - (by_device ? b->device : b->host));
    if (bytes > b->bytes - at)
        return KERB_PLACE_BROKEN;
    return by_device ? KERB_PLACE_DEVICE : KERB_PLACE_PINNED;
}

cudaError_t cudaHostGetDevicePointer(void **device, void *host, unsigned flags)
{
    cudaError_t code = kerb_call(__func__, 0);
    if (device)
        *device = NULL;
    if (code != cudaSuccess)
        return code;
    bool by_device = true;
    kerb_machine_lock();
    const KerbBlock *b = kerb_block_around_locked(host, &by_device);
    if (!device || flags || !b || by_device)
        code = kerb_fail_with(cudaErrorInvalidValue);
    else
        *device = b->device + ((uint8_t *)host - b->host);
    kerb_machine_unlock();
    return code;
}

cudaError_t cudaPointerGetAttributes(struct cudaPointerAttributes *out, const void *pointer)
{
    const cudaError_t code = kerb_call(__func__, 0);
    if (code != cudaSuccess)
        return code;
    if (!out)
        return kerb_fail_with(cudaErrorInvalidValue);
    memset(out, 0, sizeof *out);
    out->device = -2; /* cudaInvalidDeviceId */
    out->type = cudaMemoryTypeUnregistered;
    bool by_device = false;
    kerb_machine_lock();
    const KerbBlock *b = kerb_block_around_locked(pointer, &by_device);
    if (b) {
        const ptrdiff_t at = (const uint8_t *)pointer - (by_device ? b->device : b->host);
        out->type = b->host ? cudaMemoryTypeHost : cudaMemoryTypeDevice;
        out->device = b->held.device;
        out->devicePointer = b->device + at;
        out->hostPointer = b->host ? b->host + at : NULL;
    }
    kerb_machine_unlock();
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *available, size_t *total)
{
    const cudaError_t code = kerb_call(__func__, 0);
    if (code != cudaSuccess)
        return code;
    if (!available || !total)
        return kerb_fail_with(cudaErrorInvalidValue);
    const int device = kerb_current_device();
    kerb_machine_lock();
    *total = kerb_machine.config.memory_bytes;
    *available = *total - (kerb_machine.device_bytes[device] < *total ? kerb_machine.device_bytes[device] : *total);
    kerb_machine_unlock();
    return cudaSuccess;
}
