/* SPDX-License-Identifier: MIT */
/* The table of page-locked blocks: sorted by address, under a lock that is held for a binary search at most. It is the process's, not a pipeline's: a
 * block may outlive the pipeline that it came from, and is as good for the next one. */
#include "cuda/run/pinned.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef struct PinnedRange {
    uintptr_t begin;
    size_t bytes;
    void *device_pointer;
    int device_id;
} PinnedRange;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static PinnedRange *ranges;
static size_t n_ranges, cap_ranges;

/* The first range that begins behind `address`. */
static size_t first_behind(uintptr_t address)
{
    size_t lo = 0, hi = n_ranges;
    while (lo < hi) {
        size_t middle = lo + (hi - lo) / 2;
        if (ranges[middle].begin > address) hi = middle;
        else lo = middle + 1;
    }
    return lo;
}

static bool add_range(const PinnedRange *range)
{
    pthread_mutex_lock(&mutex);
    if (n_ranges == cap_ranges) {
        size_t cap = cap_ranges ? 2 * cap_ranges : 64;
        PinnedRange *grown = realloc(ranges, cap * sizeof *grown);
        if (grown) ranges = grown, cap_ranges = cap;
    }
    bool fits = n_ranges < cap_ranges;
    if (fits) {
        size_t at = first_behind(range->begin);
        memmove(&ranges[at + 1], &ranges[at], (n_ranges++ - at) * sizeof *ranges);
        ranges[at] = *range;
    }
    pthread_mutex_unlock(&mutex);
    return fits;
}

static bool take_range(void *data, PinnedRange *out)
{
    pthread_mutex_lock(&mutex);
    size_t at = first_behind((uintptr_t)data);
    bool found = at > 0 && ranges[at - 1].begin == (uintptr_t)data;
    if (found) {
        *out = ranges[at - 1];
        memmove(&ranges[at - 1], &ranges[at], (n_ranges-- - at) * sizeof *ranges);
    }
    if (n_ranges == 0) { /* nobody's memory at the end of a program */
        free(ranges);
        ranges = NULL;
        cap_ranges = 0;
    }
    pthread_mutex_unlock(&mutex);
    return found;
}

static void pinned_release(void *data)
{
    PinnedRange range;
    if (!data || !take_range(data, &range)) return;
    KerbCudaMemory count = { .pinned_bytes = range.bytes };
    if (cudaSetDevice(range.device_id) != cudaSuccess) (void)cudaGetLastError();
    kerb_cuda_free_pinned(&count, &data, range.bytes);
}

KerbStatus kerb_cuda_pinned_alloc(int device_id, size_t bytes, KerbHostBlock *out, KerbError *error)
{
    *out = (KerbHostBlock){ 0 };
    KerbStatus status = kerb_cuda_check(cudaSetDevice(device_id), "choosing the GPU", error);
    if (status != KERB_OK) return status;
    KerbCudaMemory count = { 0 };
    void *data, *device_pointer;
    status = kerb_cuda_alloc_pinned(&count, &data, &device_pointer, bytes, error);
    if (status != KERB_OK) return status;
    PinnedRange range = { (uintptr_t)data, count.pinned_bytes, device_pointer, device_id };
    if (!add_range(&range)) {
        kerb_cuda_free_pinned(&count, &data, bytes);
        return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for the table of page-locked blocks");
    }
    *out = (KerbHostBlock){ .data = data, .bytes = range.bytes, .pinned = true, .release = pinned_release };
    return KERB_OK;
}

void *kerb_cuda_pinned_find(const void *data, size_t bytes)
{
    uint8_t *found = NULL;
    uintptr_t address = (uintptr_t)data;
    pthread_mutex_lock(&mutex);
    size_t at = first_behind(address);
    if (at > 0) {
        const PinnedRange *r = &ranges[at - 1];
        size_t offset = address - r->begin;
        if (offset < r->bytes && bytes <= r->bytes - offset) found = (uint8_t *)r->device_pointer + offset;
    }
    pthread_mutex_unlock(&mutex);
    return found;
}
