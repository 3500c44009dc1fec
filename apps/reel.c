/* SPDX-License-Identifier: MIT */
/* Names, rings and room; see reel.h. */
#include "reel.h"
#include "matroska.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROTECTED "-event"
#define DIGITS 5 /* at least */

typedef struct KerbReelFile {
    guint number;
    gboolean is_protected, is_ours;
    guint64 bytes;
    gchar *path;
} KerbReelFile;

/* ------------------------------------------------------------------------------------------------------------- checking */

static int kerb_reel_check_there(const gchar *path, gboolean force, const gchar *source, const GStatBuf *st)
{
    GStatBuf of_source;
    if (source && !g_stat(source, &of_source) && st->st_dev == of_source.st_dev && st->st_ino == of_source.st_ino) {
        kerb_say("%s is the source itself. Choose another name for the recording.", path);
        return KERB_EXIT_USAGE;
    }
    if (S_ISREG(st->st_mode) && !force) {
        kerb_say("%s is there already. --force replaces it; or choose another name.", path);
        return KERB_EXIT_USAGE;
    }
    if (g_access(path, W_OK)) {
        kerb_say("%s cannot be written: %s.", path, g_strerror(errno));
        return KERB_EXIT_STORAGE;
    }
    return KERB_EXIT_OK;
}

int kerb_reel_check(const gchar *path, gboolean force, gboolean split, const gchar *source)
{
    GStatBuf st;
    int exit_code = KERB_EXIT_OK;
    gboolean there = !g_stat(path, &st);
    gchar *folder = g_path_get_dirname(path);
    if (there && S_ISDIR(st.st_mode)) {
        kerb_say("%s is a folder. Name a file in it: -o %s%sNAME.mkv", path, path, g_str_has_suffix(path, "/") ? "" : "/");
        exit_code = KERB_EXIT_USAGE;
    } else if (there && split && !S_ISREG(st.st_mode)) {
        kerb_say("%s is a device or a pipe, which cannot be split into files. Name a file, or leave --split-minutes and --keep-gb out.", path);
        exit_code = KERB_EXIT_USAGE;
    } else if (there && !split) {
        exit_code = kerb_reel_check_there(path, force, source, &st);
    }
    if (!exit_code && (!there || S_ISREG(st.st_mode)) && g_access(folder, W_OK | X_OK)) {
        kerb_say("%s cannot be written: folder %s: %s.", path, folder, g_strerror(errno));
        exit_code = KERB_EXIT_STORAGE;
    }
    g_free(folder);
    return exit_code;
}

/* --------------------------------------------------------------------------------------------------------------- names */

void kerb_reel_init(KerbReel *r, const gchar *path, gboolean force, gboolean split, guint64 keep_bytes)
{
    GStatBuf st;
    *r = (KerbReel){ .replace = force && !split, .split = split, .keep_bytes = keep_bytes };
    g_mutex_init(&r->lock);
    r->name = g_strdup(path);
    r->path = split ? NULL : realpath(path, NULL); /* a link stays one: what it points to is replaced */
    if (!r->path) r->path = g_strdup(path);
    r->streams = !split && !g_stat(r->path, &st) && !S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode);
    gchar *base = g_path_get_basename(path), *dot = strrchr(base, '.');
    r->folder = g_path_get_dirname(r->path);
    r->suffix = g_strdup(dot && dot != base ? dot : "");
    r->stem = g_strndup(base, strlen(base) - strlen(r->suffix));
    r->shown = g_strndup(path, (gsize)(g_strrstr_len(path, -1, base) - path));
    g_free(base);
}

void kerb_reel_clear(KerbReel *r)
{
    gchar **strings[] = { &r->name, &r->path, &r->part, &r->folder, &r->stem, &r->suffix, &r->shown };
    for (gsize i = 0; i < G_N_ELEMENTS(strings); i++) g_clear_pointer(strings[i], g_free);
    g_mutex_clear(&r->lock);
}

/* "drive-00012.mkv" */
static gchar *kerb_reel_base(const KerbReel *r, guint number, gboolean is_protected)
{
    return g_strdup_printf("%s-%0*u%s%s", r->stem, DIGITS, number, is_protected ? PROTECTED : "", r->suffix);
}

/* Whether this is a name that kerb_reel_base() gives. */
static gboolean kerb_reel_parse(const KerbReel *r, const gchar *base, guint *number, gboolean *is_protected)
{
    gsize stem = strlen(r->stem);
    if (strncmp(base, r->stem, stem) || base[stem] != '-' || !g_ascii_isdigit(base[stem + 1])) return FALSE;
    guint64 n = g_ascii_strtoull(base + stem + 1, NULL, 10);
    if (n < 1 || n >= G_MAXUINT) return FALSE;
    *number = (guint)n;
    for (int i = 0; i < 2; i++) {
        gchar *name = kerb_reel_base(r, *number, i);
        gboolean same = !strcmp(name, base);
        g_free(name);
        *is_protected = i;
        if (same) return TRUE;
    }
    return FALSE;
}

static void kerb_reel_file_free(gpointer data)
{
    KerbReelFile *file = data;
    g_free(file->path);
    g_free(file);
}

static gint kerb_reel_by_number(gconstpointer a, gconstpointer b)
{
    const KerbReelFile *const *x = a, *const *y = b;
    return (*x)->number < (*y)->number ? -1 : (*x)->number > (*y)->number;
}

/* What is in the folder, oldest first. */
static GPtrArray *kerb_reel_list(const KerbReel *r)
{
    GPtrArray *files = g_ptr_array_new_with_free_func(kerb_reel_file_free);
    GDir *dir = g_dir_open(r->folder, 0, NULL);
    const gchar *base;
    while (dir && (base = g_dir_read_name(dir))) {
        GStatBuf st;
        KerbReelFile f = { 0 };
        if (!kerb_reel_parse(r, base, &f.number, &f.is_protected)) continue;
        f.path = g_build_filename(r->folder, base, NULL);
        if (!g_lstat(f.path, &st) && S_ISREG(st.st_mode)) {
            f.bytes = (guint64)st.st_size;
            f.is_ours = kerb_matroska_is_by(f.path, KERB_WRITER);
        }
        g_ptr_array_add(files, g_memdup2(&f, sizeof f));
    }
    if (dir) g_dir_close(dir);
    g_ptr_array_sort(files, kerb_reel_by_number);
    return files;
}

/* A name is on the disk when its folder is. */
static void kerb_reel_sync_folder(const KerbReel *r)
{
    int fd = open(r->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    fsync(fd);
    close(fd);
}

/* -------------------------------------------------------------------------------------------------------------- opening */

static void kerb_reel_choose(KerbReel *r, guint number)
{
    gchar *base = kerb_reel_base(r, number, r->is_protected);
    g_mutex_lock(&r->lock);
    g_free(r->name);
    g_free(r->path);
    r->name = g_strconcat(r->shown, base, NULL);
    r->path = g_build_filename(r->folder, base, NULL);
    g_mutex_unlock(&r->lock);
    r->number = number;
    g_free(base);
}

static guint kerb_reel_next(const KerbReel *r)
{
    GPtrArray *files = kerb_reel_list(r);
    const KerbReelFile *last = files->len ? g_ptr_array_index(files, files->len - 1) : NULL;
    guint number = MAX(last ? last->number : 0, r->number) + 1;
    g_ptr_array_free(files, TRUE);
    return number;
}

int kerb_reel_open(KerbReel *r, gboolean is_protected)
{
    GStatBuf st;
    r->is_protected = is_protected && r->split;
    if (r->split) kerb_reel_choose(r, kerb_reel_next(r));
    if (!r->split && !g_stat(r->path, &st) && !S_ISREG(st.st_mode)) return open(r->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    gchar *base = g_path_get_basename(r->path), *hidden = g_strdup_printf(".%s.XXXXXX", base), *part = g_build_filename(r->folder, hidden, NULL);
    int fd = g_mkstemp_full(part, O_RDWR | O_CLOEXEC, 0666), failed = errno;
    g_mutex_lock(&r->lock);
    r->part = fd < 0 ? NULL : g_steal_pointer(&part);
    g_mutex_unlock(&r->lock);
    g_free(part);
    g_free(hidden);
    g_free(base);
    errno = failed;
    return fd;
}

/* 0 or an errno. A name that is there is taken only where `replace` says so. */
static int kerb_reel_rename(const gchar *from, const gchar *to, gboolean replace)
{
    int failed = replace ? g_rename(from, to) : renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
    if (failed && !replace && (errno == EINVAL || errno == ENOSYS)) { /* a file system that cannot: two steps */
        failed = link(from, to);
        if (!failed) unlink(from);
        if (failed && errno != EEXIST) failed = g_file_test(to, G_FILE_TEST_EXISTS) ? (errno = EEXIST, -1) : g_rename(from, to);
    }
    return failed ? errno : 0;
}

gchar *kerb_reel_publish(KerbReel *r)
{
    if (!r->part) return NULL;
    int failed = kerb_reel_rename(r->part, r->path, r->replace);
    for (int again = 0; failed == EEXIST && r->split && again < 100; again++) { /* another process took the number */
        kerb_reel_choose(r, kerb_reel_next(r));
        failed = kerb_reel_rename(r->part, r->path, FALSE);
    }
    g_mutex_lock(&r->lock);
    if (failed) {
        g_free(r->name);
        r->name = g_strdup(r->part);
    }
    g_clear_pointer(&r->part, g_free);
    g_mutex_unlock(&r->lock);
    kerb_reel_sync_folder(r);
    return failed ? g_strdup(g_strerror(failed)) : NULL;
}

/* ----------------------------------------------------------------------------------------------------------- protecting */

static gboolean kerb_reel_protect_number(KerbReel *r, guint number)
{
    gchar *plain = kerb_reel_base(r, number, FALSE), *base = kerb_reel_base(r, number, TRUE);
    gchar *from = g_build_filename(r->folder, plain, NULL), *to = g_build_filename(r->folder, base, NULL);
    int failed = kerb_reel_rename(from, to, FALSE);
    if (failed && failed != ENOENT) kerb_warn("%s cannot be renamed to %s, and so is not protected: %s.", from, base, g_strerror(failed));
    if (!failed) kerb_reel_sync_folder(r);
    g_free(from);
    g_free(to);
    g_free(plain);
    g_free(base);
    return !failed;
}

void kerb_reel_protect(KerbReel *r)
{
    if (!r->split || r->is_protected || !r->number) return;
    r->is_protected = TRUE;
    if (r->part)
        kerb_reel_choose(r, r->number); /* it takes that name when it takes one */
    else if (kerb_reel_protect_number(r, r->number))
        kerb_reel_choose(r, r->number);
}

void kerb_reel_protect_previous(KerbReel *r)
{
    if (r->split && r->number > 1) kerb_reel_protect_number(r, r->number - 1);
}

/* ----------------------------------------------------------------------------------------------------------------- room */

static gboolean kerb_reel_may_go(const KerbReel *r, const KerbReelFile *f)
{
    return f->is_ours && !f->is_protected && f->number != r->number;
}

gboolean kerb_reel_make_room(KerbReel *r)
{
    if (!r->split || !r->keep_bytes) return FALSE;
    GPtrArray *files = kerb_reel_list(r);
    gboolean done = FALSE;
    for (guint i = 0; i < files->len && !done; i++) {
        const KerbReelFile *f = g_ptr_array_index(files, i);
        done = kerb_reel_may_go(r, f) && !g_unlink(f->path);
    }
    g_ptr_array_free(files, TRUE);
    return done;
}

void kerb_reel_keep(KerbReel *r, guint64 bytes)
{
    if (!r->split || !r->keep_bytes) return;
    GPtrArray *files = kerb_reel_list(r);
    guint64 sum = bytes;
    for (guint i = 0; i < files->len; i++) {
        const KerbReelFile *f = g_ptr_array_index(files, i);
        if (f->is_ours && f->number != r->number) sum += f->bytes;
    }
    for (guint i = 0; i < files->len && sum > r->keep_bytes; i++) {
        const KerbReelFile *f = g_ptr_array_index(files, i);
        if (kerb_reel_may_go(r, f) && !g_unlink(f->path)) sum -= f->bytes;
    }
    if (sum > r->keep_bytes && sum > bytes && !r->said_kept) {
        r->said_kept = TRUE;
        kerb_warn("protected recordings alone (%s-*%s%s) are more than --keep-gb: copy them elsewhere and delete them.", r->stem, PROTECTED, r->suffix);
    }
    g_ptr_array_free(files, TRUE);
}

void kerb_reel_abandon(KerbReel *r)
{
    g_mutex_lock(&r->lock);
    if (r->part) g_unlink(r->part);
    g_mutex_unlock(&r->lock);
}

gchar *kerb_reel_name(KerbReel *r)
{
    g_mutex_lock(&r->lock);
    gchar *name = g_strdup(r->name);
    g_mutex_unlock(&r->lock);
    return name;
}
