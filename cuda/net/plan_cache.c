/* SPDX-License-Identifier: MIT */
/* Plans on disk: one file for one key (device, versions, graph) below KERB_PLAN_CACHE, or $XDG_CACHE_HOME/kerb, or ~/.cache/kerb. Each entry has a
 * problem, its plan's JSON and time. A file that is damaged, cut, foreign, or not the user's own is as good as none; nothing here is ever an error.
 *
 * The file, in the machine's own byte order (it never leaves the machine): header, key, then entries, each a header, the problem and the JSON. Every
 * entry has a check sum over all of it, and one that does not fit ends the reading: what came before it is good. */
#include "cuda/net/plans.h"

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

#define MAGIC "kerbplan"
#define FORMAT 1u
#define SUFFIX ".plans"
#define KEY_MAX 1024u
#define JSON_MAX ((size_t)4 << 20)     /* the largest seen: 230 kB */
#define FILE_MAX_BYTES ((size_t)128 << 20)
#define FOLDER_MAX_BYTES ((size_t)512 << 20) /* the files that were used least lately go first */
#define ENTRIES_MAX 4096

typedef struct KerbCacheHeader {
    char magic[8];
    uint32_t format, problem_bytes, key_bytes, check; /* check: of the key */
} KerbCacheHeader;
typedef struct KerbCacheRecord {
    uint32_t check; /* of what follows: the rest of this, problem, JSON */
    uint32_t json_bytes;
    int64_t engine;
    float ms;
    int32_t is_left;
} KerbCacheRecord;

struct KerbPlanCache {
    char folder[PATH_MAX - 64], path[PATH_MAX];
    char key[KEY_MAX];
    uint8_t *file; /* what was read: entries' JSON points into it */
    KerbPlanEntry *entries;
    bool *owned; /* the entry's JSON is its own block */
    int n, capacity;
};

/* FNV-1a, 64 bits folded to 32 where a check sum is wanted: against accidents, not against malice (the folder is the user's own). */
static uint64_t kerb_cache_hash(uint64_t h, const void *data, size_t bytes)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < bytes; i++) h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}
#define HASH_START 0xcbf29ce484222325u
static uint32_t kerb_cache_fold(uint64_t h) { return (uint32_t)(h ^ h >> 32); }

static uint32_t kerb_cache_check(const KerbCacheRecord *r, const KerbConvProblem *problem, const void *json)
{
    uint64_t h = kerb_cache_hash(HASH_START, (const char *)r + sizeof r->check, sizeof *r - sizeof r->check);
    h = kerb_cache_hash(h, problem, sizeof *problem);
    return kerb_cache_fold(kerb_cache_hash(h, json, r->json_bytes));
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

static int kerb_cache_index(const KerbPlanCache *c, const KerbConvProblem *problem)
{
    for (int i = 0; i < c->n; i++) {
        if (memcmp(&c->entries[i].problem, problem, sizeof *problem) == 0) return i;
    }
    return -1;
}

static void kerb_cache_remove(KerbPlanCache *c, int i)
{
    if (c->owned[i]) free((void *)(uintptr_t)c->entries[i].json);
    c->n--;
    memmove(&c->entries[i], &c->entries[i + 1], (size_t)(c->n - i) * sizeof c->entries[0]);
    memmove(&c->owned[i], &c->owned[i + 1], (size_t)(c->n - i) * sizeof c->owned[0]);
}

static bool kerb_cache_append(KerbPlanCache *c, const KerbPlanEntry *entry, bool owned)
{
    if (c->n == ENTRIES_MAX) return false;
    if (c->n == c->capacity) {
        int capacity = c->capacity ? 2 * c->capacity : 64;
        KerbPlanEntry *entries = realloc(c->entries, (size_t)capacity * sizeof *entries);
        if (entries) c->entries = entries;
        bool *flags = entries ? realloc(c->owned, (size_t)capacity * sizeof *flags) : NULL;
        if (!flags) return false;
        c->owned = flags;
        c->capacity = capacity;
    }
    c->entries[c->n] = *entry;
    c->owned[c->n++] = owned;
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
    if (!sound) kerb_log(KERB_LOG_DEBUG, "cuda: %s is not read: not a plain file of the user's own, or too large", path);
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

static bool kerb_cache_header_fits(const KerbPlanCache *c, const uint8_t *data, size_t bytes, size_t *at)
{
    KerbCacheHeader h;
    const size_t key = strlen(c->key);
    if (bytes < sizeof h + key) return false;
    memcpy(&h, data, sizeof h);
    *at = sizeof h + key;
    return memcmp(h.magic, MAGIC, sizeof h.magic) == 0 && h.format == FORMAT && h.problem_bytes == sizeof(KerbConvProblem) && h.key_bytes == key &&
           memcmp(data + sizeof h, c->key, key) == 0 && h.check == kerb_cache_fold(kerb_cache_hash(HASH_START, c->key, key));
}

/* One entry; false: the end, or no sound one. */
static bool kerb_cache_parse(const uint8_t *data, size_t bytes, size_t *at, KerbPlanEntry *out)
{
    KerbCacheRecord r;
    if (bytes - *at < sizeof r + sizeof out->problem) return false;
    memcpy(&r, data + *at, sizeof r);
    memcpy(&out->problem, data + *at + sizeof r, sizeof out->problem);
    const uint8_t *json = data + *at + sizeof r + sizeof out->problem;
    size_t left = bytes - *at - sizeof r - sizeof out->problem;
    if (r.json_bytes > left || r.json_bytes > JSON_MAX || r.check != kerb_cache_check(&r, &out->problem, json)) return false;
    *at += sizeof r + sizeof out->problem + r.json_bytes;
    out->engine = r.engine;
    out->ms = r.ms >= 0 && r.ms < 1e6f ? r.ms : 0;
    out->is_left = r.is_left != 0;
    out->json = (const char *)json;
    out->json_bytes = r.json_bytes;
    return true;
}

static void kerb_cache_load(KerbPlanCache *c)
{
    size_t bytes = 0, at = 0;
    KerbPlanEntry entry;
    c->file = kerb_cache_read(c->path, &bytes);
    if (!c->file) return;
    if (!kerb_cache_header_fits(c, c->file, bytes, &at)) {
        kerb_log(KERB_LOG_DEBUG, "cuda: %s is not used: damaged, or another device's or version's", c->path);
        return;
    }
    while (kerb_cache_parse(c->file, bytes, &at, &entry)) {
        if (kerb_cache_index(c, &entry.problem) < 0 && !kerb_cache_append(c, &entry, false)) break;
    }
    if (at != bytes) kerb_log(KERB_LOG_DEBUG, "cuda: %s is damaged behind its first %d plans: the rest is not used", c->path, c->n);
    (void)utimensat(AT_FDCWD, c->path, NULL, AT_SYMLINK_NOFOLLOW); /* used lately */
}

KerbPlanCache *kerb_plan_cache_open(const char *key)
{
    KerbPlanCache *c = calloc(1, sizeof *c);
    if (!c || !kerb_cache_folder(c->folder, sizeof c->folder)) {
        free(c);
        return NULL;
    }
    snprintf(c->key, sizeof c->key, "%s", key);
    snprintf(c->path, sizeof c->path, "%s/%016llx" SUFFIX, c->folder, (unsigned long long)kerb_cache_hash(HASH_START, c->key, strlen(c->key)));
    kerb_cache_load(c);
    return c;
}

bool kerb_plan_cache_find(const KerbPlanCache *c, const KerbConvProblem *problem, KerbPlanEntry *out)
{
    int i = kerb_cache_index(c, problem);
    if (i >= 0) *out = c->entries[i];
    return i >= 0;
}

void kerb_plan_cache_drop(KerbPlanCache *c, const KerbConvProblem *problem)
{
    int i = kerb_cache_index(c, problem);
    if (i >= 0) kerb_cache_remove(c, i);
}

void kerb_plan_cache_add(KerbPlanCache *c, const KerbPlanEntry *entry)
{
    KerbPlanEntry copy = *entry;
    char *json = NULL;
    if (entry->json_bytes > JSON_MAX) return;
    kerb_plan_cache_drop(c, &entry->problem);
    if (entry->json_bytes) {
        json = malloc(entry->json_bytes);
        if (!json) return;
        memcpy(json, entry->json, entry->json_bytes);
    }
    copy.json = json;
    if (!kerb_cache_append(c, &copy, json != NULL)) free(json);
}

/* ---- writing */

static bool kerb_cache_put(FILE *f, const void *data, size_t bytes) { return bytes == 0 || fwrite(data, bytes, 1, f) == 1; }

static bool kerb_cache_write(const KerbPlanCache *c, FILE *f)
{
    const size_t key = strlen(c->key);
    KerbCacheHeader h = { .format = FORMAT, .problem_bytes = sizeof(KerbConvProblem), .key_bytes = (uint32_t)key,
                          .check = kerb_cache_fold(kerb_cache_hash(HASH_START, c->key, key)) };
    memcpy(h.magic, MAGIC, sizeof h.magic);
    bool fine = kerb_cache_put(f, &h, sizeof h) && kerb_cache_put(f, c->key, key);
    size_t total = sizeof h + key;
    for (int i = 0; i < c->n && fine; i++) {
        const KerbPlanEntry *e = &c->entries[i];
        KerbCacheRecord r = { .json_bytes = (uint32_t)e->json_bytes, .engine = e->engine, .ms = e->ms, .is_left = e->is_left };
        total += sizeof r + sizeof e->problem + e->json_bytes;
        if (total > FILE_MAX_BYTES) break;
        r.check = kerb_cache_check(&r, &e->problem, e->json);
        fine = kerb_cache_put(f, &r, sizeof r) && kerb_cache_put(f, &e->problem, sizeof e->problem) && kerb_cache_put(f, e->json, e->json_bytes);
    }
    return fine && fflush(f) == 0 && fsync(fileno(f)) == 0;
}

/* Removes the files that were used least lately until the folder is within its bound. Ours only: *.plans, and temporary files left behind. */
static void kerb_cache_trim(const char *folder, const char *keep)
{
    for (int round = 0; round < ENTRIES_MAX; round++) {
        size_t total = 0;
        char oldest[PATH_MAX] = "", path[PATH_MAX];
        struct timespec least = { 0 };
        struct stat at;
        DIR *d = opendir(folder);
        for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
            if (!strstr(e->d_name, SUFFIX) || snprintf(path, sizeof path, "%s/%s", folder, e->d_name) >= (int)sizeof path) continue;
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

bool kerb_plan_cache_save(KerbPlanCache *c)
{
    char temporary[PATH_MAX];
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
        kerb_log(KERB_LOG_INFO, "cuda: plans are not kept for the next start: %s: %s. Set KERB_PLAN_CACHE to a folder that can be written to, or to off", c->folder,
                 strerror(reason));
        return false;
    }
    int folder = open(c->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* the new name must outlive a power cut too */
    if (folder >= 0) {
        (void)fsync(folder);
        close(folder);
    }
    kerb_cache_trim(c->folder, c->path);
    return true;
}

void kerb_plan_cache_close(KerbPlanCache **cache)
{
    KerbPlanCache *c = *cache;
    if (!c) return;
    for (int i = 0; i < c->n; i++) {
        if (c->owned[i]) free((void *)(uintptr_t)c->entries[i].json);
    }
    free(c->entries);
    free(c->owned);
    free(c->file);
    free(c);
    *cache = NULL;
}
