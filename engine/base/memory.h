/* SPDX-License-Identifier: MIT */
/* Memory: cache-line aligned blocks, a bump arena, overflow-checked sizes. Each function allocates only where its name says so. */
#ifndef KERB_BASE_MEMORY_H
#define KERB_BASE_MEMORY_H

#include "kerb.h"

#define KERB_ALIGNMENT 64

/* 64-byte aligned, at least `bytes` rounded up to 64 (so that a vector load at the end stays inside); zeroed. NULL: out of memory. */
void *kerb_alloc(size_t bytes);
/* Accepts NULL. Sets *pointer to NULL: kerb_free(&p). */
void kerb_free_(void **pointer);
#define kerb_free(pp) kerb_free_((void **)(pp))

/* a*b and a+b; false where it overflows size_t. */
bool kerb_mul_size(size_t a, size_t b, size_t *out);
bool kerb_add_size(size_t a, size_t b, size_t *out);

/* A bump arena: small objects that live and die together. One thread. Growth by 64 KiB blocks or the object's size. */
typedef struct KerbArena KerbArena;
KerbArena *kerb_arena_new(size_t budget_bytes); /* 0: no budget; past the budget alloc returns NULL */
void *kerb_arena_alloc(KerbArena *arena, size_t bytes); /* 64-byte aligned, zeroed; NULL: out of memory or budget */
char *kerb_arena_strdup(KerbArena *arena, const char *text);
char *kerb_arena_strndup(KerbArena *arena, const char *text, size_t n);
char *kerb_arena_printf(KerbArena *arena, const char *format, ...) KERB_PRINTF(2, 3);
size_t kerb_arena_bytes(const KerbArena *arena);
void kerb_arena_free(KerbArena **arena);

/* Growing text, for dumps and descriptions (never on the streaming path). Init with {0}. text is NULL until the first append. */
typedef struct KerbText {
    char *text;
    size_t bytes, capacity;
    bool failed; /* out of memory: what is there is cut */
} KerbText;
void kerb_text_append(KerbText *text, const char *format, ...) KERB_PRINTF(2, 3);
void kerb_text_free(KerbText *text);

/* A whole file mapped read-only (private). An empty file maps to data NULL, bytes 0 and KERB_OK. ASSET: missing, not a file;
 * STORAGE: there but unreadable. */
typedef struct KerbMapping {
    const uint8_t *data;
    size_t bytes;
} KerbMapping;
KerbStatus kerb_map_file(const char *path, KerbMapping *out, KerbError *error);
void kerb_unmap(KerbMapping *mapping);

#endif
