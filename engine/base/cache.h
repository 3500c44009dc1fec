/* SPDX-License-Identifier: MIT */
/* What took long to find out, kept for the next start: a file for each key below KERB_PLAN_CACHE, or $XDG_CACHE_HOME/kerb, or ~/.cache/kerb, with data for each of
 * many items. A file that is damaged, cut, foreign, or not the user's own is as good as none; nothing here is ever an error. Not thread-safe. */
#ifndef KERB_BASE_CACHE_H
#define KERB_BASE_CACHE_H

#include "kerb.h"

typedef struct KerbCache KerbCache;

/* `kind` ends the file's name ("plans"). `key`: everything that data depend on but the item, up to 1023 bytes; an item has `item_bytes` bytes, padding zeroed.
 * Switched off, or without a folder, it keeps what it gets until it is closed. NULL: no memory. */
KerbCache *kerb_cache_open(const char *kind, const char *key, size_t item_bytes);
/* *data, at no particular alignment, lives until the item is dropped or added anew. */
bool kerb_cache_find(const KerbCache *cache, const void *item, const void **data, size_t *bytes);
void kerb_cache_drop(KerbCache *cache, const void *item);
/* Copies; replaces what the item had. The data is `data`, then `more` (NULL: nothing). */
void kerb_cache_add(KerbCache *cache, const void *item, const void *data, size_t bytes, const void *more, size_t more_bytes);
/* To disk, atomically; does nothing where nothing was added or dropped since it was read or saved. False: logged, or there is no folder. */
bool kerb_cache_save(KerbCache *cache);
void kerb_cache_close(KerbCache **cache);

#endif
