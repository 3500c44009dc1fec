/* SPDX-License-Identifier: MIT */
/* `kerb review`: recordings of a drive -> one HTML page. This file: the command line, which files there are, and where the page and its videos go. */
#include "models.h"
#include "options.h"
#include "progress.h"
#include "review.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct KerbReview {
    KerbOptions options;
    gchar *output, *labels, *road;
    gboolean force;
    gint embed_mb;

    GPtrArray *files;    /* of the drive, in order */
    gchar *folder, *stem; /* of the page: "/a/b", "drive" of /a/b/drive.html */
    gchar *page;         /* the page until it has its name; NULL: not begun */
    KerbReviewDrive drive;
    KerbProgress progress;
    guint64 frames;      /* of the parts before */
    gint stop;
} KerbReview;

/* ---------------------------------------------------------------------------------------------------------------- files */

/* frame9 before frame10, whatever the locale. */
static gint kerb_review_file_order(gconstpointer a, gconstpointer b)
{
    return strverscmp(*(const gchar *const *)a, *(const gchar *const *)b);
}

/* The recordings of a folder; not those that are being begun (.name.XXXXXX). */
static gboolean kerb_review_add_folder(KerbReview *r, const gchar *path)
{
    GError *error = NULL;
    GDir *dir = g_dir_open(path, 0, &error);
    GPtrArray *found = g_ptr_array_new();
    for (const gchar *name; dir && (name = g_dir_read_name(dir)) != NULL;) {
        gchar *lower = g_ascii_strdown(name, -1);
        if (*name != '.' && g_str_has_suffix(lower, ".mkv")) g_ptr_array_add(found, g_build_filename(path, name, NULL));
        g_free(lower);
    }
    g_ptr_array_sort(found, kerb_review_file_order);
    if (error)
        kerb_say("%s cannot be read: %s", path, error->message);
    else if (!found->len)
        kerb_say("%s holds no recording (*.mkv).", path);
    gboolean ok = found->len > 0;
    for (guint i = 0; i < found->len; i++) g_ptr_array_add(r->files, found->pdata[i]);
    g_ptr_array_free(found, TRUE);
    if (dir) g_dir_close(dir);
    g_clear_error(&error);
    return ok;
}

/* Matroska begins with these. Says what a file is where it is none. */
static gboolean kerb_review_is_recording(const gchar *path)
{
    static const guint8 ebml[4] = { 0x1a, 0x45, 0xdf, 0xa3 };
    guint8 head[4];
    FILE *file = g_fopen(path, "rb");
    gsize n = file ? fread(head, 1, sizeof head, file) : 0;
    if (!file || ferror(file))
        kerb_say("%s cannot be read: %s.", path, g_strerror(errno));
    else if (!n)
        kerb_say("%s is empty.", path);
    else if (n < 4 || memcmp(head, ebml, 4))
        kerb_say("%s is no recording: it is not Matroska. Make one with `kerb record %s -o drive.mkv`.", path, path);
    if (file) fclose(file);
    return file && n == 4 && !memcmp(head, ebml, 4);
}

static gboolean kerb_review_find_files(KerbReview *r)
{
    r->files = g_ptr_array_new_with_free_func(g_free);
    if (!r->options.arguments[0]) {
        kerb_say("kerb review needs a DRIVE: a recording, or a folder of them. `kerb review --help` says more.");
        return FALSE;
    }
    return TRUE;
}

static int kerb_review_check_files(KerbReview *r)
{
    for (gchar **argument = r->options.arguments; *argument; argument++) {
        GStatBuf st;
        if (!g_stat(*argument, &st) && S_ISDIR(st.st_mode)) {
            if (!kerb_review_add_folder(r, *argument)) return KERB_EXIT_ASSET;
        } else {
            g_ptr_array_add(r->files, g_strdup(*argument));
        }
    }
    for (guint i = 0; i < r->files->len; i++)
        if (!kerb_review_is_recording(r->files->pdata[i])) return KERB_EXIT_ASSET;
    return KERB_EXIT_OK;
}

/* --------------------------------------------------------------------------------------------------------------- output */

/* drive.mkv -> drive.html beside it; a folder -> review.html in it. */
static gchar *kerb_review_default_output(const KerbReview *r)
{
    const gchar *first = r->options.arguments[0];
    if (g_file_test(first, G_FILE_TEST_IS_DIR)) return g_build_filename(first, "review.html", NULL);
    const gchar *slash = strrchr(first, '/'), *dot = strrchr(first, '.');
    gsize n = dot && dot > (slash ? slash + 1 : first) ? (gsize)(dot - first) : strlen(first);
    return g_strdup_printf("%.*s.html", (gint)n, first);
}

/* The video of part n that is not in the page lies beside it. A name of its own: drive.mp4 may be what the drive was recorded from. */
static gchar *kerb_review_link(const KerbReview *r, guint n)
{
    const KerbReviewPart *part = r->drive.parts->pdata[n];
    const gchar *type = part->mime && strstr(part->mime, "webm") ? "webm" : "mp4";
    return n ? g_strdup_printf("%s.review-%u.%s", r->stem, n + 1, type) : g_strdup_printf("%s.review.%s", r->stem, type);
}

/* 0, or an exit code, having said why the page cannot go there. */
static int kerb_review_check_output(KerbReview *r)
{
    GStatBuf st, of_file;
    if (!r->output) r->output = kerb_review_default_output(r);
    r->folder = g_path_get_dirname(r->output);
    r->stem = g_path_get_basename(r->output);
    gchar *dot = strrchr(r->stem, '.');
    if (dot && dot > r->stem) *dot = 0;
    gboolean there = !g_stat(r->output, &st);
    for (guint i = 0; there && i < r->files->len; i++) {
        if (g_stat(r->files->pdata[i], &of_file) || of_file.st_dev != st.st_dev || of_file.st_ino != st.st_ino) continue;
        kerb_say("%s is the recording itself. Choose another name for the page.", r->output);
        return KERB_EXIT_USAGE;
    }
    if (there && S_ISDIR(st.st_mode)) {
        kerb_say("%s is a folder. Name a file in it: -o %s/review.html", r->output, r->output);
        return KERB_EXIT_USAGE;
    }
    if (there && !r->force) {
        kerb_say("%s is there already. --force replaces it; or choose another name with -o.", r->output);
        return KERB_EXIT_USAGE;
    }
    if ((there && g_access(r->output, W_OK)) || g_access(r->folder, W_OK | X_OK)) {
        kerb_say("%s cannot be written: folder %s: %s.", r->output, r->folder, g_strerror(errno));
        return KERB_EXIT_STORAGE;
    }
    return KERB_EXIT_OK;
}

/* A file in the page's folder that nobody else has; it becomes the page, or a video. */
static gchar *kerb_review_make_part(const KerbReview *r, int *exit_code)
{
    gchar *name = g_strdup_printf(".%s.XXXXXX", r->stem), *path = g_build_filename(r->folder, name, NULL);
    int fd = g_mkstemp_full(path, O_RDWR | O_CLOEXEC, 0666);
    g_free(name);
    if (fd >= 0) {
        close(fd);
        return path;
    }
    kerb_say("%s cannot be written: %s.", r->output, g_strerror(errno));
    *exit_code = KERB_EXIT_STORAGE;
    g_free(path);
    return NULL;
}

/* part -> path, over nothing but what --force allows. */
static int kerb_review_take_place(const KerbReview *r, const gchar *part, const gchar *path)
{
    int failed = r->force ? g_rename(part, path) : renameat2(AT_FDCWD, part, AT_FDCWD, path, RENAME_NOREPLACE);
    if (failed && !r->force && (errno == EINVAL || errno == ENOSYS)) failed = g_file_test(path, G_FILE_TEST_EXISTS) ? (errno = EEXIST, -1) : g_rename(part, path);
    if (!failed) return KERB_EXIT_OK;
    if (errno == EEXIST) {
        kerb_say("%s is there already. --force replaces it; or choose another name with -o.", path);
        return KERB_EXIT_USAGE;
    }
    kerb_say("%s cannot be written: %s.", path, g_strerror(errno));
    return KERB_EXIT_STORAGE;
}

/* -------------------------------------------------------------------------------------------------------------- reading */

static gboolean kerb_review_signal(gpointer user)
{
    KerbReview *r = user;
    r->stop++;
    return G_SOURCE_CONTINUE;
}

static gboolean kerb_review_tick(gpointer user, guint64 frames, gdouble done_s, gdouble total_s)
{
    KerbReview *r = user;
    kerb_progress_update(&r->progress, frames, done_s, total_s, "");
    return !r->stop;
}

/* Reads all parts, one after the other. */
static int kerb_review_read_all(KerbReview *r)
{
    int exit_code = KERB_EXIT_OK;
    gdouble start_s = 0;
    for (guint i = 0; i < r->files->len && !exit_code; i++) {
        const gchar *path = r->files->pdata[i];
        gchar *video = kerb_review_make_part(r, &exit_code);
        if (!video) break;
        if (!r->options.quiet) kerb_say("reading %s", path);
        kerb_progress_init(&r->progress, r->options.quiet);
        KerbReviewPart *part = kerb_review_read(path, video, kerb_review_tick, r, &exit_code);
        kerb_say_status_end();
        if (!part || !part->video) g_unlink(video);
        g_free(video);
        if (!part) break;
        exit_code = KERB_EXIT_OK;
        if (part->cut) kerb_warn("%s is used up to %.1f s: %s", path, part->length_s, part->cut);
        part->start_s = start_s;
        start_s += part->length_s;
        g_ptr_array_add(r->drive.parts, part);
    }
    if (r->stop) {
        kerb_say("stopped, as asked; no page is written.");
        return KERB_EXIT_INTERRUPTED;
    }
    return exit_code;
}

static int kerb_review_take_labels(KerbReview *r)
{
    KerbError error;
    if (!r->labels) return KERB_EXIT_OK;
    KerbStatus status = kerb_classes_load(r->labels, r->drive.classes, &r->drive.n_classes, &error);
    if (status == KERB_OK) return KERB_EXIT_OK;
    kerb_say("%s", error.message);
    return kerb_exit_code(status);
}

/* A drive that says nothing of what was seen makes no page. */
static int kerb_review_check_drive(const KerbReview *r)
{
    gboolean labels = FALSE, facts = FALSE;
    for (guint i = 0; i < r->drive.parts->len; i++) {
        const KerbReviewPart *part = r->drive.parts->pdata[i];
        labels |= part->labels.frames > 0;
        facts |= part->facts->len > 0;
    }
    if (!labels && !facts) {
        kerb_say("%s has neither a label track nor facts: there is nothing to review. Recordings of `kerb record` have both; other video can be recorded "
                 "anew: kerb record %s -o drive.mkv", r->drive.name, (const gchar *)r->files->pdata[0]);
        return KERB_EXIT_ASSET;
    }
    if (labels && !facts && !r->drive.n_classes && !r->options.quiet)
        kerb_warn("%s does not say what its labels are called: --labels FILE does.", r->drive.name);
    return KERB_EXIT_OK;
}

/* -------------------------------------------------------------------------------------------------------------- writing */

/* Embeds the videos, or gives them their names beside the page. */
static int kerb_review_place_videos(KerbReview *r, gboolean embed, gchar **links)
{
    int exit_code = KERB_EXIT_OK;
    for (guint i = 0; i < r->drive.parts->len && !embed && !exit_code; i++) {
        KerbReviewPart *part = r->drive.parts->pdata[i];
        if (!part->video) continue;
        links[i] = kerb_review_link(r, i);
        gchar *path = g_build_filename(r->folder, links[i], NULL);
        exit_code = kerb_review_take_place(r, part->video, path);
        if (!exit_code) {
            g_free(part->video);
            part->video = g_strdup(path);
        }
        g_free(path);
    }
    return exit_code;
}

static int kerb_review_write(KerbReview *r)
{
    guint64 bytes = 0;
    guint videos = 0;
    int exit_code = KERB_EXIT_OK;
    for (guint i = 0; i < r->drive.parts->len; i++) {
        const KerbReviewPart *part = r->drive.parts->pdata[i];
        bytes += part->video_bytes;
        videos += part->video != NULL;
    }
    gboolean embed = bytes <= (guint64)r->embed_mb * 1000000;
    gchar **links = g_new0(gchar *, r->drive.parts->len + 1);
    r->page = kerb_review_make_part(r, &exit_code);
    if (r->page) exit_code = kerb_review_place_videos(r, embed, links);
    if (r->page && !exit_code) {
        json_t *data = kerb_review_data(&r->drive);
        exit_code = kerb_review_page_write(r->page, &r->drive, data, embed, links);
        json_decref(data);
    }
    if (r->page && !exit_code) exit_code = kerb_review_take_place(r, r->page, r->output);
    if (r->page && !exit_code) g_clear_pointer(&r->page, g_free);
    if (!exit_code && !r->options.quiet) {
        if (!videos)
            kerb_say("%s: without video", r->output);
        else if (embed)
            kerb_say("%s: with its video in it, %.1f MB", r->output, (double)bytes / 1e6);
        else
            kerb_say("%s: its video lies beside it, %.1f MB in %s.review*; keep them together", r->output, (double)bytes / 1e6, r->stem);
    }
    for (guint i = 0; i < r->drive.parts->len; i++) {
        const KerbReviewPart *part = r->drive.parts->pdata[i];
        if (part->video && (embed || exit_code)) g_unlink(part->video);
        g_free(links[i]);
    }
    g_free(links);
    return exit_code;
}

static gchar *kerb_review_name(const KerbReview *r)
{
    gchar *full = realpath(r->options.arguments[0], NULL), *name = g_filename_display_basename(full ? full : r->options.arguments[0]);
    free(full);
    if (r->options.arguments[1]) {
        gchar *more = g_strdup_printf("%s and %u more", name, g_strv_length(r->options.arguments) - 1);
        g_free(name);
        name = more;
    }
    return name;
}

static int kerb_review_make(KerbReview *r)
{
    int exit_code = kerb_review_check_files(r);
    if (!exit_code) exit_code = kerb_review_check_output(r);
    if (!exit_code) exit_code = kerb_review_take_labels(r);
    if (exit_code) return exit_code;
    gst_init(NULL, NULL);
    g_unix_signal_add(SIGINT, kerb_review_signal, r);
    g_unix_signal_add(SIGTERM, kerb_review_signal, r);
    r->drive.name = kerb_review_name(r);
    r->drive.parts = g_ptr_array_new_with_free_func((GDestroyNotify)kerb_review_part_free);
    if (r->road) r->drive.road = g_strsplit(r->road, ",", -1);
    exit_code = kerb_review_read_all(r);
    if (!exit_code) {
        kerb_review_take_classes(&r->drive);
        exit_code = kerb_review_check_drive(r);
    }
    if (!exit_code) return kerb_review_write(r);
    for (guint i = 0; i < r->drive.parts->len; i++) {
        const KerbReviewPart *part = r->drive.parts->pdata[i];
        if (part->video) g_unlink(part->video);
    }
    return exit_code;
}

static int kerb_review_run(const KerbCommand *command, int argc, char **argv)
{
    KerbReview r = { .embed_mb = 64 };
    const GOptionEntry own[] = {
        { "output", 'o', 0, G_OPTION_ARG_FILENAME, &r.output, "The page (default: DRIVE.html beside the recording, review.html in the folder)", "PAGE.html" },
        { "force", 'f', 0, G_OPTION_ARG_NONE, &r.force, "Replace files that are there", NULL },
        { "embed-mb", 0, 0, G_OPTION_ARG_INT, &r.embed_mb, "Video of up to so many MB goes into the page, more lies beside it (64)", "MB" },
        { "road", 0, 0, G_OPTION_ARG_STRING, &r.road, "Classes that are free road, between commas (default: road, lane, drivable area and the like)", "NAMES" },
        { "labels", 0, 0, G_OPTION_ARG_STRING, &r.labels, "Class names and colours, where the recording does not say: camvid, ..., or a file", "NAME" },
        { 0 },
    };
    int exit_code;
    if (kerb_options_parse(command, &r.options, KERB_OPTIONS_QUIET, own, argc, argv, &exit_code)) {
        exit_code = KERB_EXIT_USAGE;
        if (r.embed_mb < 0 || r.embed_mb > 1000)
            kerb_say("--embed-mb=%d is not a number of megabytes from 0 to 1000; browsers hold no larger page.", r.embed_mb);
        else if (kerb_review_find_files(&r))
            exit_code = kerb_review_make(&r);
    }
    if (r.page) g_unlink(r.page);
    if (r.files) g_ptr_array_free(r.files, TRUE);
    if (r.drive.parts) g_ptr_array_free(r.drive.parts, TRUE);
    g_strfreev(r.drive.road);
    g_free(r.drive.name);
    g_free(r.page);
    g_free(r.folder);
    g_free(r.stem);
    g_free(r.output);
    g_free(r.labels);
    g_free(r.road);
    kerb_options_clear(&r.options);
    return exit_code;
}

const KerbCommand kerb_command_review = {
    .name = "review",
    .arguments = "DRIVE [MORE...]",
    .summary = "Make a page for the browser of a recorded drive",
    .description = "DRIVE is a recording of `kerb record`, several of them, or a folder: parts follow each other.\n\n"
                   "Examples:\n"
                   "  kerb review drive.mkv                       writes drive.html\n"
                   "  kerb review drives/ -o monday.html\n"
                   "  kerb review part-1.mkv part-2.mkv --embed-mb 0\n\n"
                   "The page shows shares of the classes, free road, flicker, mask age, gaps and events over time; a click plays the video from there.\n"
                   "It asks for nothing from elsewhere, so it can be mailed and kept.\n",
    .run = kerb_review_run,
};
