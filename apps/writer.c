/* SPDX-License-Identifier: MIT */
/* The thread that writes; see writer.h. */
#include "writer.h"
#include "matroska.h"
#include "say.h"
#include "tracks.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

#define SYNC_US G_USEC_PER_SEC
/* Encoded, and waiting for the disk: more is not held. Audio may run ahead of the picture by so much. */
#define MOST_BYTES (64u * 1024 * 1024)
#define MOST_AUDIO_BYTES (16u * 1024 * 1024)
/* Frames that wait for audio of their time. */
#define MOST_WAITING 100
/* Encoders that give nothing for so long after the last frame are left alone. */
#define PATIENCE_US (10 * G_USEC_PER_SEC)
#define TEXT KERB_STREAMS /* the facts' place among the tracks */

typedef enum KerbItemKind { KERB_ITEM_PREPARE, KERB_ITEM_FRAME, KERB_ITEM_UNIT, KERB_ITEM_EVENT, KERB_ITEM_FAIL, KERB_ITEM_END } KerbItemKind;

typedef struct KerbItem {
    KerbItemKind kind;
    KerbStream stream;
    GstCaps *caps;
    GstBuffer *unit;
    GstClockTime pts;
    KerbMoment frame;
    GstBuffer *units[KERB_STREAM_AUDIO]; /* of a frame: what has come for it */
    gboolean is_lost; /* its picture will not come */
    gchar *text;
    GBytes *classes;
    guint streams;
    int exit_code;
} KerbItem;

struct KerbWriter {
    KerbWriterSettings settings;
    KerbReel reel;
    GThread *thread;
    GAsyncQueue *queue;

    /* The thread's own. */
    GQueue frames, audio; /* of KerbItem: not written yet */
    GstCaps *caps[KERB_STREAMS];
    guint expected, over; /* bits of streams */
    gboolean ending;
    GBytes *classes;
    KerbMatroska *file;
    int raw_fd; /* -1: none */
    guint track[KERB_STREAMS + 1];
    GstClockTime frame, base, begun, last_end, audio_end, protect_until;
    guint64 done_bytes, closed_bytes, second, encoded;
    KerbFacts facts;
    guint64 synced_bytes; /* of the file that is open */
    gint64 synced_us, idle_since_us;

    GMutex lock; /* guards what follows */
    GCond drained;
    gsize waiting_bytes[2]; /* pictures and maps; audio */
    gboolean ended;
    KerbRecordingStats stats;
    gchar *why;
};

static void kerb_item_free(KerbItem *item)
{
    for (int i = 0; i < KERB_STREAM_AUDIO; i++) gst_clear_buffer(&item->units[i]);
    gst_clear_buffer(&item->unit);
    gst_clear_caps(&item->caps);
    g_clear_pointer(&item->frame.raw, g_bytes_unref);
    g_clear_pointer(&item->classes, g_bytes_unref);
    g_free(item->frame.facts.pixels);
    g_free(item->text);
    g_free(item);
}

/* ---------------------------------------------------------------------------------------------------------- what it says */

static void kerb_writer_set_end(KerbWriter *w, int exit_code, gchar *why)
{
    g_mutex_lock(&w->lock);
    if (!w->stats.exit_code) w->stats.exit_code = exit_code;
    if (!w->why)
        w->why = why;
    else
        g_free(why);
    g_mutex_unlock(&w->lock);
}

static void kerb_writer_disk_failed(KerbWriter *w, int failed)
{
    gchar *name = kerb_reel_name(&w->reel), *why;
    if (failed == ENOSPC || failed == EDQUOT)
        why = g_strdup_printf("%s: the disk is full%s.", name, w->reel.keep_bytes ? ", and there is no unprotected recording left to delete" : "");
    else if (failed == EFBIG)
        why = g_strdup_printf("%s: the file system takes no larger file. Record into several: --split-minutes 10.", name);
    else
        why = g_strdup_printf("%s cannot be written: %s.", name, g_strerror(failed));
    g_free(name);
    kerb_writer_set_end(w, KERB_EXIT_STORAGE, why);
}

static gboolean kerb_writer_failed(KerbWriter *w)
{
    g_mutex_lock(&w->lock);
    gboolean failed = w->stats.exit_code != 0;
    g_mutex_unlock(&w->lock);
    return failed;
}

/* ---------------------------------------------------------------------------------------------------------------- tags */

static gchar *kerb_writer_classes_json(const KerbWriter *w)
{
    gsize bytes = 0;
    const KerbClass *classes = w->classes ? g_bytes_get_data(w->classes, &bytes) : NULL;
    json_t *all = json_array();
    for (gsize i = 0; i < bytes / sizeof *classes; i++)
        json_array_append_new(all, json_pack("{s:i, s:s, s:[i,i,i], s:i, s:b}", "index", (int)i, "name", classes[i].name, "rgb", (int)classes[i].rgb[0],
                                             (int)classes[i].rgb[1], (int)classes[i].rgb[2], "dataset_id", classes[i].dataset_id, "background",
                                             (int)classes[i].is_background));
    char *text = json_dumps(all, JSON_COMPACT);
    gchar *copy = g_strdup(text);
    free(text);
    json_decref(all);
    return copy;
}

static gint kerb_writer_tracks(KerbWriter *w, KerbTrack tracks[KERB_STREAMS + 1])
{
    static const gchar *const names[] = { "Picture", "Labels", "Confidence", NULL };
    gint n = 0;
    for (int i = 0; i < KERB_STREAMS; i++) {
        KerbTrack t = { .name = i == KERB_STREAM_PICTURE && w->settings.painted ? "Picture with overlay" : names[i] };
        w->track[i] = G_MAXUINT;
        if (!w->caps[i]) continue;
        if (!kerb_track_from_caps(&t, w->caps[i])) {
            if (i != KERB_STREAM_AUDIO) return -1;
            kerb_warn("the audio cannot be put into Matroska and is left out.");
            continue;
        }
        t.is_default = i == KERB_STREAM_PICTURE || i == KERB_STREAM_AUDIO || !n;
        w->track[i] = (guint)n;
        tracks[n++] = t;
    }
    w->track[TEXT] = G_MAXUINT;
    if (w->settings.facts) {
        w->track[TEXT] = (guint)n;
        tracks[n++] = (KerbTrack){ .type = KERB_TRACK_TEXT, .name = "Facts", .codec = "S_TEXT/UTF8" };
    }
    return n;
}

/* Header and tracks of the file that is opened. FALSE: an encoder gave something that no file holds. */
static gboolean kerb_writer_head(KerbWriter *w)
{
    KerbTrack tracks[KERB_STREAMS + 1];
    gint n = kerb_writer_tracks(w, tracks);
    if (n <= 0) return FALSE;
    gchar *classes = w->classes ? kerb_writer_classes_json(w) : NULL, *app = g_strconcat(KERB_WRITER, kerb_version(), NULL);
    gchar *part = w->reel.split ? g_strdup_printf("%u", w->reel.number) : NULL, start[G_ASCII_DTOSTR_BUF_SIZE];
    g_ascii_formatd(start, sizeof start, "%.6f", (gdouble)(w->base - w->begun) / 1e9);
    const gchar *tags[] = { "KERB_CLASSES", classes, "KERB_MODEL", w->settings.model, "KERB_MODEL_CARD", w->settings.card_text, "KERB_PART", part,
                            "KERB_START_SECONDS", part ? start : NULL, NULL };
    KerbMatroskaAbout about = { .title = w->settings.title, .app = app, .date_us = g_get_real_time(), .tags = tags };
    kerb_matroska_begin(w->file, tracks, (guint)n, &about);
    for (gint i = 0; i < n; i++)
        if (tracks[i].codec_private) g_bytes_unref(tracks[i].codec_private);
    g_free(part);
    g_free(app);
    g_free(classes);
    return TRUE;
}

/* --------------------------------------------------------------------------------------------------------------- files */

static void kerb_writer_open(KerbWriter *w, GstClockTime pts)
{
    int fd;
    gboolean first = w->begun == GST_CLOCK_TIME_NONE, is_protected = w->protect_until != GST_CLOCK_TIME_NONE && pts <= w->protect_until;
    if (first) w->begun = w->settings.from_zero ? pts : 0;
    w->base = first ? w->begun : pts;
    while ((fd = kerb_reel_open(&w->reel, is_protected)) < 0 && (errno == ENOSPC || errno == EDQUOT) && kerb_reel_make_room(&w->reel)) continue;
    if (fd < 0) {
        kerb_writer_disk_failed(w, errno);
        return;
    }
    w->synced_us = g_get_monotonic_time();
    w->second = (pts - w->base) / GST_SECOND;
    if (w->settings.layout == KERB_RECORDING_RAW) {
        w->raw_fd = fd;
    } else {
        w->file = kerb_matroska_new(fd, w->reel.streams);
        if (!kerb_writer_head(w)) kerb_writer_set_end(w, KERB_EXIT_INTERNAL, g_strdup("the encoder gives a stream that Matroska cannot hold."));
    }
    g_mutex_lock(&w->lock);
    w->stats.files++;
    g_mutex_unlock(&w->lock);
}

static guint64 kerb_writer_bytes(const KerbWriter *w)
{
    return w->file ? kerb_matroska_size(w->file) : 0;
}

/* Writes a cluster whatever that costs: old files go first. */
static gboolean kerb_writer_cluster(KerbWriter *w, const KerbBlock *blocks, guint n)
{
    int failed;
    gboolean was_empty = !kerb_writer_bytes(w);
    while ((failed = kerb_matroska_cluster(w->file, blocks, n)) && (failed == ENOSPC || failed == EDQUOT) && kerb_reel_make_room(&w->reel)) continue;
    if (failed) {
        kerb_writer_disk_failed(w, failed);
        return FALSE;
    }
    gchar *why = was_empty ? kerb_reel_publish(&w->reel) : NULL;
    if (why) {
        gchar *name = kerb_reel_name(&w->reel);
        kerb_warn("the recording cannot be given its name (%s): it is %s", why, name);
        g_free(name);
        g_free(why);
    }
    return TRUE;
}

static gchar *kerb_writer_line(KerbWriter *w)
{
    gsize bytes = 0;
    const KerbClass *classes = w->classes ? g_bytes_get_data(w->classes, &bytes) : NULL;
    return kerb_facts_line(&w->facts, w->second, w->encoded, classes, (int)(bytes / sizeof *classes));
}

/* The facts of the last second, and the file is over. */
static void kerb_writer_close(KerbWriter *w)
{
    if (w->raw_fd >= 0) {
        if (close(w->raw_fd)) kerb_writer_disk_failed(w, errno);
        w->raw_fd = -1;
    }
    if (!w->file) return;
    gchar *line = w->settings.facts && kerb_writer_bytes(w) ? kerb_writer_line(w) : NULL;
    if (line && !kerb_writer_failed(w) && w->last_end > w->frame) {
        KerbBlock block = { .track = w->track[TEXT], .pts_ns = w->last_end - w->frame - w->base, .duration_ns = w->frame, .data = line, .size = strlen(line) };
        kerb_writer_cluster(w, &block, 1);
    }
    g_free(line);
    gboolean empty = !kerb_writer_bytes(w);
    int failed = kerb_matroska_finish(&w->file, &w->closed_bytes);
    w->done_bytes += w->closed_bytes;
    w->synced_bytes = 0;
    if (empty) kerb_reel_abandon(&w->reel);
    if (failed && !empty && !kerb_writer_failed(w)) kerb_writer_disk_failed(w, failed);
}

/* Once a second all goes to the disk, lest a power cut takes it, and old files go if there are too many. */
static void kerb_writer_sync(KerbWriter *w)
{
    w->synced_us = g_get_monotonic_time();
    if (!w->file) return;
    int failed = kerb_matroska_sync(w->file);
    if (failed) kerb_writer_disk_failed(w, failed);
    guint64 bytes = kerb_writer_bytes(w), grown = bytes - MIN(bytes, w->synced_bytes);
    w->synced_bytes = bytes;
    kerb_reel_keep(&w->reel, bytes + 2 * grown); /* what comes until the next time has its place */
}

static void kerb_writer_event_now(KerbWriter *w, const gchar *name)
{
    GstClockTime within = (GstClockTime)(w->settings.protect_s * 1e9);
    kerb_facts_event(&w->facts, name);
    g_mutex_lock(&w->lock);
    w->stats.events++;
    g_mutex_unlock(&w->lock);
    if (!w->reel.split) return;
    if (!w->file) { /* before the first frame */
        w->protect_until = w->last_end + within;
        return;
    }
    if (w->last_end - w->base <= within) kerb_reel_protect_previous(&w->reel);
    kerb_reel_protect(&w->reel);
    w->protect_until = w->last_end + within;
    gchar *file = kerb_reel_name(&w->reel);
    kerb_say("event: %s is kept.", file);
    g_free(file);
}

/* -------------------------------------------------------------------------------------------------------------- moments */

static void kerb_writer_audio_until(KerbWriter *w, GstClockTime pts)
{
    KerbItem *item;
    while ((item = g_queue_peek_head(&w->audio)) && item->pts <= pts) {
        GstMapInfo map;
        g_queue_pop_head(&w->audio);
        gsize size = gst_buffer_get_size(item->unit);
        if (w->track[KERB_STREAM_AUDIO] != G_MAXUINT && item->pts >= w->base && !kerb_writer_failed(w) && gst_buffer_map(item->unit, &map, GST_MAP_READ)) {
            KerbBlock block = { .track = w->track[KERB_STREAM_AUDIO], .key = TRUE, .pts_ns = item->pts - w->base, .data = map.data, .size = map.size };
            if (GST_BUFFER_DURATION_IS_VALID(item->unit)) block.duration_ns = GST_BUFFER_DURATION(item->unit);
            kerb_writer_cluster(w, &block, 1);
            gst_buffer_unmap(item->unit, &map);
        }
        kerb_item_free(item);
        g_mutex_lock(&w->lock);
        w->waiting_bytes[1] -= size;
        g_cond_broadcast(&w->drained);
        g_mutex_unlock(&w->lock);
    }
}

static void kerb_writer_raw(KerbWriter *w, const KerbItem *item)
{
    gsize size;
    const void *data = g_bytes_get_data(item->frame.raw, &size);
    gboolean was_empty = !w->done_bytes;
    int failed = kerb_write_all(w->raw_fd, data, size);
    if (failed) kerb_writer_disk_failed(w, failed);
    if (failed) return;
    w->done_bytes += size;
    gchar *why = was_empty ? kerb_reel_publish(&w->reel) : NULL;
    if (why) kerb_warn("the labels cannot be given their name (%s).", why);
    g_free(why);
    if (g_get_monotonic_time() - w->synced_us >= SYNC_US) {
        fdatasync(w->raw_fd);
        w->synced_us = g_get_monotonic_time();
    }
}

/* Everything of one moment in one piece. */
static void kerb_writer_blocks(KerbWriter *w, KerbItem *item)
{
    KerbBlock blocks[KERB_STREAMS + 1];
    GstMapInfo maps[KERB_STREAM_AUDIO];
    guint n = 0;
    GstClockTime at = item->pts - w->base;
    gchar *line = NULL;
    for (int i = 0; i < KERB_STREAM_AUDIO; i++) {
        maps[i].memory = NULL;
        if (!item->units[i] || w->track[i] == G_MAXUINT || !gst_buffer_map(item->units[i], &maps[i], GST_MAP_READ)) continue;
        blocks[n++] = (KerbBlock){ .track = w->track[i], .key = !GST_BUFFER_FLAG_IS_SET(item->units[i], GST_BUFFER_FLAG_DELTA_UNIT), .pts_ns = at,
                                   .duration_ns = w->frame, .data = maps[i].data, .size = maps[i].size };
    }
    if (w->settings.facts && at / GST_SECOND > w->second) {
        line = kerb_writer_line(w);
        w->second = at / GST_SECOND;
        if (line) blocks[n++] = (KerbBlock){ .track = w->track[TEXT], .pts_ns = at, .duration_ns = GST_SECOND, .data = line, .size = strlen(line) };
    }
    if (n) kerb_writer_cluster(w, blocks, n);
    g_free(line);
    for (int i = 0; i < KERB_STREAM_AUDIO; i++)
        if (maps[i].memory) gst_buffer_unmap(item->units[i], &maps[i]);
}

static gboolean kerb_writer_is_next_file(const KerbWriter *w, const KerbItem *item)
{
    const GstBuffer *leader = item->units[KERB_STREAM_PICTURE] ? item->units[KERB_STREAM_PICTURE] : item->units[KERB_STREAM_LABELS];
    gboolean can = leader && !GST_BUFFER_FLAG_IS_SET(leader, GST_BUFFER_FLAG_DELTA_UNIT);
    gboolean long_enough = item->pts - w->base + w->frame / 2 >= w->settings.split;
    gboolean large = w->reel.keep_bytes && kerb_writer_bytes(w) > w->reel.keep_bytes / 4; /* a ring of fewer files is none */
    return w->settings.split && w->file && can && (long_enough || large);
}

static void kerb_writer_moment(KerbWriter *w, KerbItem *item)
{
    if (item->is_lost || ((item->frame.expected & 1u << KERB_STREAM_PICTURE) && !item->units[KERB_STREAM_PICTURE])) {
        g_mutex_lock(&w->lock);
        w->stats.unencoded++;
        g_mutex_unlock(&w->lock);
        return;
    }
    if (w->file) kerb_writer_audio_until(w, item->pts);
    if (kerb_writer_is_next_file(w, item)) {
        kerb_writer_close(w);
    }
    if (!w->file && w->raw_fd < 0 && !kerb_writer_failed(w)) kerb_writer_open(w, item->pts);
    if (kerb_writer_failed(w)) return;
    if (w->settings.layout == KERB_RECORDING_RAW)
        kerb_writer_raw(w, item);
    else
        kerb_writer_blocks(w, item);
    if (kerb_writer_failed(w)) return;
    kerb_facts_add(&w->facts, &item->frame.facts);
    w->last_end = item->pts + w->frame;
    g_mutex_lock(&w->lock);
    w->stats.written++;
    w->stats.seconds = (gdouble)(w->last_end - w->begun) / 1e9;
    w->stats.bytes = w->done_bytes + kerb_writer_bytes(w);
    g_mutex_unlock(&w->lock);
}

/* ------------------------------------------------------------------------------------------------------------- collating */

static gboolean kerb_writer_is_whole(const KerbWriter *w, const KerbItem *item)
{
    for (guint i = 0; i < KERB_STREAM_AUDIO; i++)
        if ((item->frame.expected & 1u << i) && !item->units[i] && !(w->over & 1u << i)) return FALSE;
    return TRUE;
}

static gboolean kerb_writer_waits(const KerbWriter *w, const KerbItem *item)
{
    guint audio = 1u << KERB_STREAM_AUDIO;
    if (!kerb_writer_is_whole(w, item)) return TRUE;
    gboolean may_wait = w->frames.length < MOST_WAITING && (w->expected & ~w->over);
    if (!w->file && !w->classes && may_wait) return TRUE; /* the first frames of a live source pass before there are labels */
    for (guint i = 0; i < KERB_STREAM_AUDIO && !w->file; i++) /* a track that has not begun yet */
        if ((w->expected & ~w->over & 1u << i) && !w->caps[i] && may_wait) return TRUE;
    gboolean audio_comes = (w->expected & audio) && !(w->over & audio);
    return audio_comes && w->frames.length < MOST_WAITING && (!w->caps[KERB_STREAM_AUDIO] || w->audio_end < item->pts);
}

static void kerb_writer_write_what_is_whole(KerbWriter *w)
{
    KerbItem *item;
    while ((item = g_queue_peek_head(&w->frames)) && !kerb_writer_waits(w, item)) {
        gsize bytes = 0;
        g_queue_pop_head(&w->frames);
        for (int i = 0; i < KERB_STREAM_AUDIO; i++) bytes += item->units[i] ? gst_buffer_get_size(item->units[i]) : 0;
        if (!kerb_writer_failed(w)) kerb_writer_moment(w, item);
        kerb_item_free(item);
        g_mutex_lock(&w->lock);
        w->waiting_bytes[0] -= bytes;
        g_cond_broadcast(&w->drained);
        g_mutex_unlock(&w->lock);
    }
}

/* Gives a unit to its frame. Frames before it that still wait for one of this stream will not get it any more. */
static void kerb_writer_take_unit(KerbWriter *w, KerbItem *item)
{
    if (!w->caps[item->stream]) w->caps[item->stream] = gst_caps_ref(item->caps);
    if (item->stream == KERB_STREAM_AUDIO) {
        w->audio_end = item->pts + (GST_BUFFER_DURATION_IS_VALID(item->unit) ? GST_BUFFER_DURATION(item->unit) : 0);
        g_queue_push_tail(&w->audio, item);
        return;
    }
    if (item->stream == KERB_STREAM_PICTURE || w->settings.layout != KERB_RECORDING_MOVIE) w->encoded++;
    gsize unused = gst_buffer_get_size(item->unit);
    for (GList *l = w->frames.head; l; l = l->next) {
        KerbItem *frame = l->data;
        if (frame->pts > item->pts) break;
        if (frame->pts == item->pts) {
            frame->units[item->stream] = g_steal_pointer(&item->unit);
            unused = 0;
            break;
        }
        if (frame->units[item->stream]) continue;
        frame->frame.expected &= ~(1u << item->stream);
        frame->is_lost |= item->stream == KERB_STREAM_PICTURE;
    }
    g_mutex_lock(&w->lock);
    w->waiting_bytes[0] -= unused;
    w->stats.encoded = w->encoded;
    g_mutex_unlock(&w->lock);
    kerb_item_free(item);
}

/* ---------------------------------------------------------------------------------------------------------------- thread */

static void kerb_writer_take(KerbWriter *w, KerbItem *item)
{
    switch (item->kind) {
    case KERB_ITEM_PREPARE:
        if (item->classes && !w->classes) w->classes = g_steal_pointer(&item->classes);
        if (item->pts) w->frame = item->pts;
        w->expected |= item->streams;
        break;
    case KERB_ITEM_FRAME: g_queue_push_tail(&w->frames, item); return;
    case KERB_ITEM_UNIT:
        if (item->caps) {
            kerb_writer_take_unit(w, item);
            return;
        }
        w->over |= 1u << item->stream;
        break;
    case KERB_ITEM_EVENT: kerb_writer_event_now(w, item->text); break;
    case KERB_ITEM_FAIL: kerb_writer_set_end(w, item->exit_code, g_steal_pointer(&item->text)); break;
    case KERB_ITEM_END: w->ending = TRUE; break;
    }
    kerb_item_free(item);
}

/* Whether all that was to come has come; or nothing comes any more. */
static gboolean kerb_writer_is_over(KerbWriter *w)
{
    if (kerb_writer_failed(w)) return TRUE;
    if (!w->ending) return FALSE;
    return (w->expected & ~w->over) == 0 || g_get_monotonic_time() - w->idle_since_us > PATIENCE_US;
}

static gpointer kerb_writer_run(gpointer user)
{
    KerbWriter *w = user;
    while (!kerb_writer_is_over(w)) {
        KerbItem *item = g_async_queue_timeout_pop(w->queue, SYNC_US / 4);
        if (item) {
            w->idle_since_us = g_get_monotonic_time();
            kerb_writer_take(w, item);
            kerb_writer_write_what_is_whole(w);
        }
        if (g_get_monotonic_time() - w->synced_us >= SYNC_US) kerb_writer_sync(w);
    }
    w->over = w->expected;
    kerb_writer_write_what_is_whole(w);
    if (w->file) kerb_writer_audio_until(w, G_MAXUINT64);
    kerb_writer_close(w);
    kerb_reel_keep(&w->reel, w->closed_bytes);
    g_mutex_lock(&w->lock);
    w->stats.bytes = w->done_bytes;
    w->ended = TRUE;
    g_cond_broadcast(&w->drained);
    g_mutex_unlock(&w->lock);
    return NULL;
}

KerbWriter *kerb_writer_new(const KerbWriterSettings *settings, const gchar *path, gboolean force, guint64 keep_bytes)
{
    KerbWriter *w = g_new0(KerbWriter, 1);
    w->settings = *settings;
    g_mutex_init(&w->lock);
    g_cond_init(&w->drained);
    g_queue_init(&w->frames);
    g_queue_init(&w->audio);
    w->queue = g_async_queue_new();
    w->raw_fd = -1;
    w->begun = w->protect_until = GST_CLOCK_TIME_NONE;
    w->synced_us = w->idle_since_us = g_get_monotonic_time();
    kerb_facts_init(&w->facts);
    kerb_reel_init(&w->reel, path, force, settings->split > 0, keep_bytes);
    w->thread = g_thread_new("kerb-writer", kerb_writer_run, w);
    return w;
}

/* ------------------------------------------------------------------------------------------------- from any other thread */

static void kerb_writer_send(KerbWriter *w, KerbItem item)
{
    g_async_queue_push(w->queue, g_memdup2(&item, sizeof item));
}

void kerb_writer_prepare(KerbWriter *w, GBytes *classes, GstClockTime frame, guint streams)
{
    KerbItem item = { .kind = KERB_ITEM_PREPARE };
    item.classes = classes ? g_bytes_ref(classes) : NULL;
    item.pts = frame;
    item.streams = streams;
    kerb_writer_send(w, item);
}

void kerb_writer_frame(KerbWriter *w, const KerbMoment *frame)
{
    kerb_writer_send(w, (KerbItem){ .kind = KERB_ITEM_FRAME, .pts = frame->pts, .frame = *frame });
}

void kerb_writer_unit(KerbWriter *w, KerbStream stream, GstCaps *caps, GstBuffer *unit, GstClockTime pts)
{
    guint kind = stream == KERB_STREAM_AUDIO;
    gsize most = kind ? MOST_AUDIO_BYTES : MOST_BYTES;
    if (unit) {
        g_mutex_lock(&w->lock);
        while (w->waiting_bytes[kind] > most && !w->ended) g_cond_wait(&w->drained, &w->lock);
        w->waiting_bytes[kind] += gst_buffer_get_size(unit);
        g_mutex_unlock(&w->lock);
    }
    kerb_writer_send(w, (KerbItem){ .kind = KERB_ITEM_UNIT, .stream = stream, .caps = caps ? gst_caps_ref(caps) : NULL, .unit = unit, .pts = pts });
}

void kerb_writer_event(KerbWriter *w, const gchar *name)
{
    kerb_writer_send(w, (KerbItem){ .kind = KERB_ITEM_EVENT, .text = g_strdup(name) });
}

void kerb_writer_fail(KerbWriter *w, int exit_code, const gchar *why)
{
    kerb_writer_send(w, (KerbItem){ .kind = KERB_ITEM_FAIL, .exit_code = exit_code, .text = g_strdup(why) });
}

void kerb_writer_end(KerbWriter *w)
{
    kerb_writer_send(w, (KerbItem){ .kind = KERB_ITEM_END });
}

gboolean kerb_writer_ended(KerbWriter *w)
{
    g_mutex_lock(&w->lock);
    gboolean ended = w->ended || w->stats.exit_code;
    g_mutex_unlock(&w->lock);
    return ended;
}

void kerb_writer_get_stats(KerbWriter *w, KerbRecordingStats *stats)
{
    g_mutex_lock(&w->lock);
    *stats = w->stats;
    stats->ended = w->ended;
    g_mutex_unlock(&w->lock);
}

gchar *kerb_writer_why(KerbWriter *w)
{
    g_mutex_lock(&w->lock);
    gchar *why = g_strdup(w->why);
    g_mutex_unlock(&w->lock);
    return why;
}

gchar *kerb_writer_name(KerbWriter *w)
{
    return kerb_reel_name(&w->reel);
}

void kerb_writer_abandon(KerbWriter *w)
{
    kerb_reel_abandon(&w->reel);
}

static void kerb_item_release(gpointer data)
{
    kerb_item_free(data);
}

void kerb_writer_join(KerbWriter *w)
{
    if (w->thread) g_thread_join(g_steal_pointer(&w->thread));
}

void kerb_writer_free(KerbWriter **writer)
{
    KerbWriter *w = *writer;
    KerbItem *item;
    *writer = NULL;
    if (!w) return;
    while ((item = g_async_queue_try_pop(w->queue))) kerb_item_free(item);
    g_async_queue_unref(w->queue);
    g_queue_clear_full(&w->frames, kerb_item_release);
    g_queue_clear_full(&w->audio, kerb_item_release);
    for (int i = 0; i < KERB_STREAMS; i++) gst_clear_caps(&w->caps[i]);
    g_clear_pointer(&w->classes, g_bytes_unref);
    kerb_facts_clear(&w->facts);
    kerb_reel_clear(&w->reel);
    g_mutex_clear(&w->lock);
    g_cond_clear(&w->drained);
    g_free(w->settings.title);
    g_free(w->settings.model);
    g_free(w->settings.card_text);
    g_free(w->why);
    g_free(w);
}
