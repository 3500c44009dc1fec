/* SPDX-License-Identifier: MIT */
/* Memory: aligned blocks, checked sizes, the bump arena, growing text, mapped files. */
#include "base/memory.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ARENA_BLOCK ((size_t)64 * 1024)

bool kerb_mul_size(size_t a, size_t b, size_t *out) { return !__builtin_mul_overflow(a, b, out); }
bool kerb_add_size(size_t a, size_t b, size_t *out) { return !__builtin_add_overflow(a, b, out); }

static bool round_up(size_t bytes, size_t *out)
{
    if (!kerb_add_size(bytes, KERB_ALIGNMENT - 1, out)) return false;
    *out &= ~(size_t)(KERB_ALIGNMENT - 1);
    return true;
}

void *kerb_alloc(size_t bytes)
{
    size_t rounded;
    if (!round_up(bytes ? bytes : 1, &rounded)) return NULL;
    void *p = NULL;
    if (posix_memalign(&p, KERB_ALIGNMENT, rounded) != 0) return NULL;
    memset(p, 0, rounded);
    return p;
}

void kerb_free_(void **pointer)
{
    if (!pointer) return;
    free(*pointer);
    *pointer = NULL;
}

/* ---- arena: a list of blocks, the newest first; each block starts with its header, padded to the alignment */

typedef struct ArenaBlock {
    struct ArenaBlock *next;
    size_t used, size; /* of the payload */
} ArenaBlock;

struct KerbArena {
    ArenaBlock *blocks;
    size_t budget, total;
};

static const size_t header_bytes = (sizeof(ArenaBlock) + KERB_ALIGNMENT - 1) & ~(size_t)(KERB_ALIGNMENT - 1);

KerbArena *kerb_arena_new(size_t budget_bytes)
{
    KerbArena *arena = calloc(1, sizeof *arena);
    if (arena) arena->budget = budget_bytes;
    return arena;
}

void *kerb_arena_alloc(KerbArena *arena, size_t bytes)
{
    size_t rounded, after;
    if (!round_up(bytes ? bytes : 1, &rounded) || !kerb_add_size(arena->total, rounded, &after)) return NULL;
    if (arena->budget && after > arena->budget) return NULL;
    ArenaBlock *block = arena->blocks;
    if (!block || block->size - block->used < rounded) {
        size_t size = rounded > ARENA_BLOCK ? rounded : ARENA_BLOCK, whole;
        if (!kerb_add_size(size, header_bytes, &whole)) return NULL;
        void *memory = NULL;
        if (posix_memalign(&memory, KERB_ALIGNMENT, whole) != 0) return NULL;
        block = memory;
        *block = (ArenaBlock){ arena->blocks, 0, size };
        arena->blocks = block;
    }
    void *p = (char *)block + header_bytes + block->used;
    block->used += rounded;
    arena->total = after;
    memset(p, 0, rounded);
    return p;
}

char *kerb_arena_strndup(KerbArena *arena, const char *text, size_t n)
{
    char *copy = kerb_arena_alloc(arena, n + 1);
    if (copy) memcpy(copy, text, n);
    return copy;
}

char *kerb_arena_strdup(KerbArena *arena, const char *text) { return kerb_arena_strndup(arena, text, strlen(text)); }

char *kerb_arena_printf(KerbArena *arena, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    char *text = n < 0 ? NULL : kerb_arena_alloc(arena, (size_t)n + 1);
    if (text) vsnprintf(text, (size_t)n + 1, format, again);
    va_end(again);
    va_end(args);
    return text;
}

size_t kerb_arena_bytes(const KerbArena *arena) { return arena->total; }

void kerb_arena_free(KerbArena **arena)
{
    if (!arena || !*arena) return;
    for (ArenaBlock *block = (*arena)->blocks, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    free(*arena);
    *arena = NULL;
}

/* ---- growing text */

void kerb_text_append(KerbText *text, const char *format, ...)
{
    if (text->failed) return;
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n >= 0 && text->bytes + (size_t)n + 1 > text->capacity) {
        size_t capacity = (text->bytes + (size_t)n + 1) * 2;
        char *grown = realloc(text->text, capacity);
        if (grown) {
            text->text = grown;
            text->capacity = capacity;
        } else {
            n = -1;
        }
    }
    if (n < 0) {
        text->failed = true;
    } else {
        vsnprintf(text->text + text->bytes, (size_t)n + 1, format, again);
        text->bytes += (size_t)n;
    }
    va_end(again);
}

void kerb_text_free(KerbText *text)
{
    free(text->text);
    *text = (KerbText){ 0 };
}

/* ---- mapped files */

KerbStatus kerb_map_file(const char *path, KerbMapping *out, KerbError *error)
{
    *out = (KerbMapping){ 0 };
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return kerb_fail(error, KERB_ERROR_ASSET, "%s: there is no such file; check the path", path);
    if (fd < 0) return kerb_fail(error, KERB_ERROR_STORAGE, "%s: cannot be opened: %s", path, strerror(errno));
    struct stat st;
    KerbStatus status = KERB_OK;
    if (fstat(fd, &st) != 0) {
        status = kerb_fail(error, KERB_ERROR_STORAGE, "%s: cannot be examined: %s", path, strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        status = kerb_fail(error, KERB_ERROR_ASSET, "%s: is %s, not a file; name the file itself", path,
                           S_ISDIR(st.st_mode) ? "a folder" : "a device or pipe");
    } else if (st.st_size > 0) {
        void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) {
            status = kerb_fail(error, KERB_ERROR_STORAGE, "%s: cannot be mapped (%lld bytes): %s", path, (long long)st.st_size,
                               strerror(errno));
        } else {
            *out = (KerbMapping){ data, (size_t)st.st_size };
        }
    }
    close(fd);
    return status;
}

void kerb_unmap(KerbMapping *mapping)
{
    if (mapping->data) munmap((void *)(uintptr_t)mapping->data, mapping->bytes);
    *mapping = (KerbMapping){ 0 };
}
