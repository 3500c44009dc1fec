/* SPDX-License-Identifier: MIT */
/* How a recording goes and went, in words and in JSON; see record.h. */
#include "record.h"
#include "say.h"

#include <jansson.h>
#include <stdio.h>

#define REPORT_US (G_USEC_PER_SEC / 10)
#define N_FORMAT "%" G_GUINT64_FORMAT

static double kerb_record_stat(const GstStructure *stats, const char *name)
{
    gdouble value = 0;
    gst_structure_get_double(stats, name, &value);
    return value;
}

guint64 kerb_record_lost(KerbRecord *r, const KerbSourceCounts *c)
{
    /* Stopped on the way, the decoder was not asked for its last pictures. */
    return r->source->stopping || c->coded <= c->decoded ? 0 : c->coded - c->decoded;
}

static void kerb_record_add_loss(GString *text, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void kerb_record_add_loss(GString *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (text->len) g_string_append(text, "; ");
    g_string_append_vprintf(text, format, args);
    va_end(args);
}

gchar *kerb_record_losses(KerbRecord *r, const KerbSourceCounts *c)
{
    GString *text = g_string_new(NULL);
    gdouble fps = kerb_source_fps(r->source, NULL, NULL);
    guint64 lost = kerb_record_lost(r, c);
    if (lost) kerb_record_add_loss(text, N_FORMAT " of " N_FORMAT " frames could not be decoded and are lost", lost, c->coded);
    if (c->damaged) kerb_record_add_loss(text, N_FORMAT " frames are damaged", c->damaged);
    if (c->unread) kerb_record_add_loss(text, N_FORMAT " images could not be read", c->unread);
    if (c->untimed) kerb_record_add_loss(text, N_FORMAT " frames had no time stamp: they follow each other at %.4g fps", c->untimed, fps > 0 ? fps : 25);
    if (c->retimed) kerb_record_add_loss(text, N_FORMAT " time stamps were not after the one before and were mended", c->retimed);
    if (r->cut_s > 0) {
        kerb_record_add_loss(text, "the file ends %.2f s before its time", r->cut_s);
        if (fps > 0) g_string_append_printf(text, " (about %.0f frames are missing)", r->cut_s * fps);
    }
    if (r->stats.left_out) kerb_record_add_loss(text, N_FORMAT " frames were left out because the encoder was too slow", r->stats.left_out);
    if (r->stats.unencoded) kerb_record_add_loss(text, "the encoder gave nothing for " N_FORMAT " frames", r->stats.unencoded);
    const KerbOutages *out = &c->outages;
    if (out->faults) kerb_record_add_loss(text, "the source was lost " N_FORMAT " %s, for %.2f s in all", out->faults, out->faults == 1 ? "time" : "times", out->gap_s);
    if (out->given > out->passed)
        kerb_record_add_loss(text, N_FORMAT " of " N_FORMAT " frames could not be decoded, or were on their way when the source was lost", out->given - out->passed, out->given);
    if (out->missed) kerb_record_add_loss(text, N_FORMAT " frames were missed: the camera's driver had no free buffer for them", out->missed);
    if (!out->faults && r->stats.gaps_ms >= 1000) kerb_record_add_loss(text, "nothing came from the source for %.1f s in all", (gdouble)r->stats.gaps_ms / 1e3);
    return g_string_free(text, text->len == 0);
}

static json_t *kerb_record_counts(const KerbRecordingStats *s)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:i, s:i, s:I, s:f, s:f}", "frames", (json_int_t)s->frames, "inferred", (json_int_t)s->inferred,
                     "encoded", (json_int_t)s->encoded, "written", (json_int_t)s->written, "left_out", (json_int_t)s->left_out, "unencoded",
                     (json_int_t)s->unencoded, "waiting", (int)s->waiting, "files", (int)s->files, "events", (int)s->events, "bytes", (json_int_t)s->bytes,
                     "inference_fps", s->inference_fps, "encode_fps", s->encode_fps);
}

static void kerb_record_progress_json(KerbRecord *r, const KerbRecordingStats *stats)
{
    gint64 now_us = g_get_monotonic_time();
    if (now_us - r->reported_us < REPORT_US || !stats->frames) return;
    r->reported_us = now_us;
    gchar *name = kerb_recording_name(r->recording);
    json_t *line = kerb_record_counts(stats);
    json_object_set_new(line, "seconds", json_real(stats->seconds));
    json_object_set_new(line, "file", json_string(name));
    json_dumpf(line, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
    putchar('\n');
    fflush(stdout);
    json_decref(line);
    g_free(name);
}

void kerb_record_progress(KerbRecord *r)
{
    gdouble done_s, total_s;
    KerbRecordingStats stats;
    kerb_source_position(r->source, &done_s, &total_s);
    kerb_recording_get_stats(r->recording, &stats);
    gchar *more = g_strdup_printf("network %.1f fps, encoder %.1f fps", stats.inference_fps, stats.encode_fps);
    GString *text = g_string_new(stats.encode_fps > 0 ? more : NULL);
    if (stats.waiting > 1) g_string_append_printf(text, "%s%u waiting", text->len ? ", " : "", stats.waiting);
    if (stats.left_out) g_string_append_printf(text, "%s" N_FORMAT " left out", text->len ? ", " : "", stats.left_out);
    kerb_progress_update(&r->progress, kerb_source_counts(r->source).frames, done_s, total_s, text->str);
    if (r->json_progress) kerb_record_progress_json(r, &stats);
    g_string_free(text, TRUE);
    g_free(more);
}

void kerb_record_json(KerbRecord *r, const GstStructure *stats, const KerbSourceCounts *c, gdouble elapsed_s, const gchar *losses, int exit_code)
{
    guint64 frames = r->stats.written;
    gint width, height;
    kerb_source_fps(r->source, &width, &height);
    json_t *root = json_pack(
        "{s:s, s:s, s:s?, s:s, s:s, s:i, s:i, s:I, s:f, s:f, s:f, s:{s:f, s:f, s:f, s:f}, s:I, s:I, s:I, s:s?, s:b, s:s?, s:s?, s:i, s:o}", "source",
        r->source->text, "output", r->name, "codec", r->codec, "model", r->options.model, "backend",
        gst_structure_get_string(stats, "backend"), "width", width, "height", height, "frames", (json_int_t)frames, "seconds", r->stats.seconds, "elapsed_s", elapsed_s,
        "fps", elapsed_s > 0 ? (double)frames / elapsed_s : 0, "stages_ms", "queue", kerb_record_stat(stats, "queue-ms"), "in",
        kerb_record_stat(stats, "in-ms"), "net", kerb_record_stat(stats, "net-ms"), "out", kerb_record_stat(stats, "out-ms"), "lost_frames",
        (json_int_t)kerb_record_lost(r, c), "damaged_frames", (json_int_t)c->damaged, "scaled_frames", (json_int_t)c->scaled, "losses", losses, "complete",
        (int)(r->ended && !r->stats.exit_code), "sheet", r->sheet, "labels", r->labels_out, "exit_code", exit_code, "recording",
        kerb_record_counts(&r->stats));
    const KerbOutages *out = &c->outages;
    if (r->source->supervisor)
        json_object_set_new(root, "outages", json_pack("{s:I, s:I, s:I, s:I, s:I, s:f}", "given_frames", (json_int_t)out->given, "passed_frames",
                                                       (json_int_t)out->passed, "missed_frames", (json_int_t)out->missed, "faults", (json_int_t)out->faults,
                                                       "gaps", (json_int_t)out->gaps, "gap_s", out->gap_s));
    json_dumpf(root, stdout, (r->json_progress ? JSON_COMPACT : JSON_INDENT(2)) | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(root);
}

void kerb_record_summary(KerbRecord *r, const GstStructure *stats, gdouble elapsed_s)
{
    guint64 frames = r->stats.written;
    gint width, height;
    kerb_source_fps(r->source, &width, &height);
    kerb_say("%s: %" G_GUINT64_FORMAT " frames, %.2f s, %d x %d, %s%s", r->name, frames, r->stats.seconds, width, height, r->codec,
             r->audio_found ? ", with audio" : "");
    if (r->stats.files > 1) kerb_say("%u files, %.1f MB in all", r->stats.files, (gdouble)r->stats.bytes / 1e6);
    kerb_say("%.1f fps; a frame: in %.2f ms, network %.2f ms, out %.2f ms; %s", elapsed_s > 0 ? (double)frames / elapsed_s : 0,
             kerb_record_stat(stats, "in-ms"), kerb_record_stat(stats, "net-ms"), kerb_record_stat(stats, "out-ms"), gst_structure_get_string(stats, "backend"));
}

