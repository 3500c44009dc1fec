/* SPDX-License-Identifier: MIT */
/* FNV-1a of 64 bits (Fowler, Noll, Vo): names in tables, keys and check sums of files. Against accidents, not against malice. Bytes go one after the other, so the hash
 * of a whole is that of its parts in turn. */
#ifndef KERB_BASE_HASH_H
#define KERB_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define KERB_HASH_START 0xcbf29ce484222325u

/* `h`: KERB_HASH_START, or the hash of what goes before. */
static inline uint64_t kerb_hash(uint64_t h, const void *data, size_t bytes)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < bytes; i++) h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

/* To 32 bits. */
static inline uint32_t kerb_hash_fold(uint64_t h) { return (uint32_t)(h ^ h >> 32); }

#endif
