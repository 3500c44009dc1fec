/* SPDX-License-Identifier: MIT */
/* The file, in the machine's own byte order (it never leaves the machine): header, key, then entries, each a header, the item and its data. Every entry has a check
 * sum over all of it, and one that does not fit ends the reading: what came before it is good. */
#include "base/cache.h"

#include "base/hash.h"
#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "kerbkept"
#define FORMAT 1u
#define KIND_MAX 16u
#define KEY_MAX 1024u
#define ITEM_MAX 1024u
#define DATA_MAX ((size_t)4 << 20) /* the largest seen, a cuDNN plan: 230 kB */
#define FILE_MAX_BYTES ((size_t)128 << 20)
#define FOLDER_MAX_BYTES ((size_t)512 << 20) /* the files that were used least lately go first */
#define ENTRIES_MAX 4096

typedef struct KerbCacheHeader {
    char magic[8];
    uint32_t format, item_bytes, key_bytes, check; /* check: of the key */
} KerbCacheHeader;
typedef struct KerbCacheRecord {
    uint32_t check; /* of what follows: the rest of this, item, data */
    uint32_t data_bytes;
} KerbCacheRecord;

typedef struct KerbCacheEntry {
    const uint8_t *item; /* its data lie behind it */
    size_t data_bytes;
    void *owned; /* the entry's own block; NULL: in the file */
} KerbCacheEntry;

struct KerbCache {
    char kind[KIND_MAX]; /* with its dot */
    char folder[PATH_MAX - 64], path[PATH_MAX]; /* path "": in memory only */
    char key[KEY_MAX];
    size_t item_bytes;
    uint8_t *file; /* what was read: entries point into it */
    KerbCacheEntry *entries;
    int n, capacity;
    bool changed; /* since it was read or saved */
};

/* Against accidents, not against malice: the folder is the user's own. */
static uint32_t kerb_cache_check(const KerbCacheRecord *r, const void *item, size_t item_bytes)
{
    uint64_t h = kerb_hash(KERB_HASH_START, (const char *)r + sizeof r->check, sizeof *r - sizeof r->check);
    return kerb_hash_fold(kerb_hash(h, item, item_bytes + r->data_bytes));
}

/* ---- where */

static bool kerb_cache_folder(char *out, size_t bytes)
{
    const char *named = getenv("KERB_PLAN_CACHE"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n = -1;
    if (named) {
        if (!named[0] || strcmp(named, "off") == 0) return false;
        n = snprintf(out, bytes, "%s", named);
    } else if (xdg && xdg[0] == '/') {
        n = snprintf(out, bytes, "%s/kerb", xdg);
    } else if (home && home[0] == '/') {
        n = snprintf(out, bytes, "%s/.cache/kerb", home);
    }
    return n > 0 && n < (int)bytes;
}

/* mkdir -p; what cannot be made shows when the file is written. */
static void kerb_cache_make_folder(const char *folder)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", folder);
    for (char *at = strchr(path + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = '\0';
        (void)mkdir(path, 0700);
        *at = '/';
    }
    (void)mkdir(path, 0700);
}

/* ---- entries */

static int kerb_cache_index(const KerbCache *c, const void *item)
{
    for (int i = 0; i < c->n; i++) {
        if (memcmp(c->entries[i].item, item, c->item_bytes) == 0) return i;
    }
    return -1;
}

static bool kerb_cache_append(KerbCache *c, const KerbCacheEntry *entry)
{
    if (c->n == ENTRIES_MAX) return false;
    if (c->n == c->capacity) {
        int capacity = c->capacity ? 2 * c->capacity : 64;
        KerbCacheEntry *entries = realloc(c->entries, (size_t)capacity * sizeof *entries);
        if (!entries) return false;
        c->entries = entries;
        c->capacity = capacity;
    }
    c->entries[c->n++] = *entry;
    return true;
}

/* ---- reading */

/* The whole file, where it is a plain one, the user's own, and no larger than it may be. */
static uint8_t *kerb_cache_read(const char *path, size_t *bytes)
{
    struct stat at;
    uint8_t *data = NULL;
    size_t got = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return NULL;
    bool sound = fstat(fd, &at) == 0 && S_ISREG(at.st_mode) && at.st_uid == geteuid() && !(at.st_mode & (S_IWGRP | S_IWOTH)) && at.st_size > 0 &&
                 (uintmax_t)at.st_size <= FILE_MAX_BYTES;
    if (!sound) kerb_log(KERB_LOG_DEBUG, "cache: %s is not read: not a plain file of the user's own, or too large", path);
    if (sound) data = malloc((size_t)at.st_size);
    while (data && got < (size_t)at.st_size) {
        ssize_t n = read(fd, data + got, (size_t)at.st_size - got);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        got += (size_t)n;
    }
    close(fd);
    *bytes = got;
    return data;
}

static bool kerb_cache_header_fits(const KerbCache *c, const uint8_t *data, size_t bytes, size_t *at)
{
    KerbCacheHeader h;
    const size_t key = strlen(c->key);
    if (bytes < sizeof h + key) return false;
    memcpy(&h, data, sizeof h);
    *at = sizeof h + key;
    return memcmp(h.magic, MAGIC, sizeof h.magic) == 0 && h.format == FORMAT && h.item_bytes == c->item_bytes && h.key_bytes == key &&
           memcmp(data + sizeof h, c->key, key) == 0 && h.check == kerb_hash_fold(kerb_hash(KERB_HASH_START, c->key, key));
}

/* One entry; false: the end, or no sound one. */
static bool kerb_cache_parse(const KerbCache *c, const uint8_t *data, size_t bytes, size_t *at, KerbCacheEntry *out)
{
    KerbCacheRecord r;
    if (bytes - *at < sizeof r + c->item_bytes) return false;
    memcpy(&r, data + *at, sizeof r);
    const uint8_t *item = data + *at + sizeof r;
    size_t left = bytes - *at - sizeof r - c->item_bytes;
    if (r.data_bytes > left || r.data_bytes > DATA_MAX || r.check != kerb_cache_check(&r, item, c->item_bytes)) return false;
    *at += sizeof r + c->item_bytes + r.data_bytes;
    *out = (KerbCacheEntry){ .item = item, .data_bytes = r.data_bytes };
    return true;
}

static void kerb_cache_load(KerbCache *c)
{
    size_t bytes = 0, at = 0;
    KerbCacheEntry entry;
    c->file = kerb_cache_read(c->path, &bytes);
    if (!c->file) return;
    if (!kerb_cache_header_fits(c, c->file, bytes, &at)) {
        kerb_log(KERB_LOG_DEBUG, "cache: %s is not used: damaged, or another device's or version's", c->path);
        return;
    }
    while (kerb_cache_parse(c, c->file, bytes, &at, &entry)) {
        if (kerb_cache_index(c, entry.item) < 0 && !kerb_cache_append(c, &entry)) break;
    }
    if (at != bytes) kerb_log(KERB_LOG_DEBUG, "cache: %s is damaged behind its first %d entries: the rest is not used", c->path, c->n);
    (void)utimensat(AT_FDCWD, c->path, NULL, AT_SYMLINK_NOFOLLOW); /* used lately */
}

KerbCache *kerb_cache_open(const char *kind, const char *key, size_t item_bytes)
{
    KerbCache *c = item_bytes <= ITEM_MAX ? calloc(1, sizeof *c) : NULL;
    if (!c) return NULL;
    snprintf(c->kind, sizeof c->kind, ".%s", kind);
    snprintf(c->key, sizeof c->key, "%s", key);
    c->item_bytes = item_bytes;
    if (!kerb_cache_folder(c->folder, sizeof c->folder)) return c;
    snprintf(c->path, sizeof c->path, "%s/%016llx%s", c->folder, (unsigned long long)kerb_hash(KERB_HASH_START, c->key, strlen(c->key)), c->kind);
    kerb_cache_load(c);
    return c;
}

bool kerb_cache_find(const KerbCache *c, const void *item, const void **data, size_t *bytes)
{
    int i = kerb_cache_index(c, item);
    if (i < 0) return false;
    *data = c->entries[i].item + c->item_bytes;
    *bytes = c->entries[i].data_bytes;
    return true;
}

void kerb_cache_drop(KerbCache *c, const void *item)
{
    int i = kerb_cache_index(c, item);
    if (i < 0) return;
    free(c->entries[i].owned);
    c->n--;
    c->changed = true;
    memmove(&c->entries[i], &c->entries[i + 1], (size_t)(c->n - i) * sizeof c->entries[0]);
}

void kerb_cache_add(KerbCache *c, const void *item, const void *data, size_t bytes, const void *more, size_t more_bytes)
{
    if (bytes + more_bytes > DATA_MAX) return;
    uint8_t *own = malloc(c->item_bytes + bytes + more_bytes);
    if (!own) return;
    memcpy(own, item, c->item_bytes);
    memcpy(own + c->item_bytes, data, bytes);
    if (more_bytes) memcpy(own + c->item_bytes + bytes, more, more_bytes);
    kerb_cache_drop(c, item);
    if (kerb_cache_append(c, &(KerbCacheEntry){ .item = own, .data_bytes = bytes + more_bytes, .owned = own })) c->changed = true;
    else free(own);
}

/* ---- writing */

static bool kerb_cache_put(FILE *f, const void *data, size_t bytes) { return bytes == 0 || fwrite(data, bytes, 1, f) == 1; }

static bool kerb_cache_write(const KerbCache *c, FILE *f)
{
    const size_t key = strlen(c->key);
    KerbCacheHeader h = { .format = FORMAT, .item_bytes = (uint32_t)c->item_bytes, .key_bytes = (uint32_t)key,
                          .check = kerb_hash_fold(kerb_hash(KERB_HASH_START, c->key, key)) };
    memcpy(h.magic, MAGIC, sizeof h.magic);
    bool fine = kerb_cache_put(f, &h, sizeof h) && kerb_cache_put(f, c->key, key);
    size_t total = sizeof h + key;
    for (int i = 0; i < c->n && fine; i++) {
        const KerbCacheEntry *e = &c->entries[i];
        KerbCacheRecord r = { .data_bytes = (uint32_t)e->data_bytes };
        total += sizeof r + c->item_bytes + e->data_bytes;
        if (total > FILE_MAX_BYTES) break;
        r.check = kerb_cache_check(&r, e->item, c->item_bytes);
        fine = kerb_cache_put(f, &r, sizeof r) && kerb_cache_put(f, e->item, c->item_bytes + e->data_bytes);
    }
    return fine && fflush(f) == 0 && fsync(fileno(f)) == 0;
}

/* Removes the files of this kind that were used least lately until they are within their bound, temporary ones left behind too. */
static void kerb_cache_trim(const char *folder, const char *kind, const char *keep)
{
    for (int round = 0; round < ENTRIES_MAX; round++) {
        size_t total = 0;
        char oldest[PATH_MAX] = "", path[PATH_MAX];
        struct timespec least = { 0 };
        struct stat at;
        DIR *d = opendir(folder);
        for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
            if (!strstr(e->d_name, kind) || snprintf(path, sizeof path, "%s/%s", folder, e->d_name) >= (int)sizeof path) continue;
            if (lstat(path, &at) || !S_ISREG(at.st_mode)) continue;
            total += (size_t)at.st_size;
            bool older = !oldest[0] || at.st_mtim.tv_sec < least.tv_sec || (at.st_mtim.tv_sec == least.tv_sec && at.st_mtim.tv_nsec < least.tv_nsec);
            if (!older || strcmp(path, keep) == 0) continue;
            snprintf(oldest, sizeof oldest, "%s", path);
            least = at.st_mtim;
        }
        if (d) closedir(d);
        if (total <= FOLDER_MAX_BYTES || !oldest[0] || unlink(oldest)) return;
    }
}

bool kerb_cache_save(KerbCache *c)
{
    char temporary[PATH_MAX];
    if (!c->path[0]) return false;
    if (!c->changed) return true;
    kerb_cache_make_folder(c->folder);
    if (snprintf(temporary, sizeof temporary, "%s.XXXXXX", c->path) >= (int)sizeof temporary) return false;
    int fd = mkostemp(temporary, O_CLOEXEC); /* mode 0600; beside the file, so that the renaming is atomic */
    FILE *f = fd >= 0 ? fdopen(fd, "wb") : NULL;
    bool fine = f && kerb_cache_write(c, f);
    int reason = errno;
    if (f) fine = fclose(f) == 0 && fine;
    else if (fd >= 0) close(fd);
    if (fine && rename(temporary, c->path)) {
        reason = errno;
        fine = false;
    }
    if (!fine) {
        if (fd >= 0) (void)unlink(temporary);
        kerb_log(KERB_LOG_INFO, "cache: what opening found out is not kept for the next start: %s: %s. Set KERB_PLAN_CACHE to a folder that can be written to, or to off", c->folder,
                 strerror(reason));
        return false;
    }
    c->changed = false;
    int folder = open(c->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* the new name must outlive a power cut too */
    if (folder >= 0) {
        (void)fsync(folder);
        close(folder);
    }
    kerb_cache_trim(c->folder, c->kind, c->path);
    return true;
}

void kerb_cache_close(KerbCache **cache)
{
    KerbCache *c = *cache;
    if (!c) return;
    for (int i = 0; i < c->n; i++) free(c->entries[i].owned);
    free(c->entries);
    free(c->file);
    free(c);
    *cache = NULL;
}
