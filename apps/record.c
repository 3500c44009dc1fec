/* SPDX-License-Identifier: MIT */
/* `kerb record`: SOURCE -> kerbseg -> Matroska. This file: the command line, the main loop with its signals, and the summary at the end. */
#include "fault.h"
#include "models.h"
#include "options.h"
#include "progress.h"
#include "recording.h"
#include "say.h"
#include "sheet.h"
#include "source.h"

#include <glib-unix.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A live source that is silent for so long is lost. */
#define KERB_SILENCE_S 10.0

typedef struct KerbRecord {
    KerbOptions options;
    gchar *output, *sheet, *labels_out;
    gdouble duration;
    gboolean audio, force;

    GMainLoop *loop;
    GstElement *pipeline, *kerbseg;
    KerbSource *source;
    KerbRecording *recording, *labels;
    KerbSheet *sheet_taker;
    KerbProgress progress;
    KerbFault fault;
    gint64 began_us, first_us; /* when it was started, and when the first frame came */
    gint signals;
    gboolean ended, audio_found; /* EOS has come through */
} KerbRecord;

/* ------------------------------------------------------------------------------------------------------------- building */

static void kerb_record_audio_pad(gpointer user, GstPad *pad)
{
    KerbRecord *r = user;
    r->audio_found = kerb_recording_add_audio(r->recording, pad);
    if (!r->audio_found) kerb_warn("the audio of %s cannot be put into Matroska and is left out.", r->source->text);
}

static KerbRecordingKind kerb_record_labels_kind(const gchar *path)
{
    return g_str_has_suffix(path, ".gray") || g_str_has_suffix(path, ".raw") ? KERB_RECORDING_RAW : KERB_RECORDING_LABELS;
}

/* Returns an exit code. */
static int kerb_record_build(KerbRecord *r, const gchar *source)
{
    int exit_code = kerb_recording_check(r->output, r->force, source);
    if (!exit_code && r->labels_out) exit_code = kerb_recording_check(r->labels_out, r->force, source);
    if (!exit_code && r->sheet) exit_code = kerb_recording_check(r->sheet, r->force, source);
    if (exit_code) return exit_code;
    if (!kerb_plugin_load()) return KERB_EXIT_INTERNAL;
    kerb_say_log(r->options.verbose); /* the plugin has taken the log for GStreamer */
    r->source = kerb_source_new(source, r->options.rate, r->duration, &exit_code);
    if (!r->source) return exit_code;
    r->pipeline = gst_pipeline_new("record");
    r->kerbseg = kerb_element("kerbseg");
    if (!r->kerbseg) return KERB_EXIT_INTERNAL;
    kerb_options_apply(&r->options, r->kerbseg);
    gst_bin_add_many(GST_BIN(r->pipeline), r->source->bin, r->kerbseg, NULL);
    r->recording = kerb_recording_new(GST_BIN(r->pipeline), KERB_RECORDING_VIDEO, r->output, r->force, &exit_code);
    if (!r->recording) return exit_code;
    if (r->labels_out) {
        r->labels = kerb_recording_new(GST_BIN(r->pipeline), kerb_record_labels_kind(r->labels_out), r->labels_out, r->force, &exit_code);
        if (!r->labels) return exit_code;
    }
    if (r->audio) kerb_source_keep_audio(r->source, kerb_record_audio_pad, r);
    gboolean linked = gst_element_link_pads(r->source->bin, "src", r->kerbseg, "sink") && gst_element_link_pads(r->kerbseg, "src", r->recording->head, NULL) &&
                      (!r->labels || gst_element_link_pads(r->kerbseg, "labels", r->labels->head, NULL));
    if (!linked) {
        kerb_say("the pipeline cannot be linked: an installed GStreamer plugin is not what it should be.");
        return KERB_EXIT_INTERNAL;
    }
    if (r->sheet) r->sheet_taker = kerb_sheet_new(r->kerbseg, r->source, &r->options);
    return KERB_EXIT_OK;
}

/* ------------------------------------------------------------------------------------------------------------- main loop */

static gboolean kerb_record_signal(gpointer user)
{
    KerbRecord *r = user;
    r->signals++;
    if (r->signals == 1) {
        kerb_say("ending: the last frames are being written (once more to stop at once).");
        if (kerb_source_counts(r->source).frames)
            kerb_source_stop(r->source);
        else
            g_main_loop_quit(r->loop);
        return G_SOURCE_CONTINUE;
    }
    g_main_loop_quit(r->loop);
    return G_SOURCE_CONTINUE;
}

/* A setting that kerbseg does not take is the user's to correct; what it says of single frames goes on; decoders' complaints are counted, not repeated. */
static void kerb_record_warning(KerbRecord *r, GstMessage *message)
{
    GError *error = NULL;
    gst_message_parse_warning(message, &error, NULL);
    gboolean of_kerbseg = GST_MESSAGE_SRC(message) == GST_OBJECT(r->kerbseg);
    if (of_kerbseg && g_error_matches(error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS) && !kerb_source_counts(r->source).frames) {
        if (r->fault.side == KERB_FAULT_NONE) r->fault = (KerbFault){ KERB_FAULT_NETWORK, KERB_EXIT_USAGE, g_strdup(error->message) };
        g_main_loop_quit(r->loop);
    } else if (of_kerbseg) {
        kerb_warn("%s", error->message);
    } else if (r->options.verbose) {
        kerb_warn("%s: %s", GST_MESSAGE_SRC_NAME(message), error->message);
    }
    g_clear_error(&error);
}

static gboolean kerb_record_message(GstBus *bus, GstMessage *message, gpointer user)
{
    KerbRecord *r = user;
    switch (GST_MESSAGE_TYPE(message)) {
    case GST_MESSAGE_EOS:
        r->ended = TRUE;
        g_main_loop_quit(r->loop);
        break;
    case GST_MESSAGE_WARNING: kerb_record_warning(r, message); break;
    case GST_MESSAGE_ELEMENT: kerb_fault_note_missing(message, r->source); break;
    case GST_MESSAGE_ERROR:
        kerb_fault_read(&r->fault, message, r->source, r->recording->name);
        /* What the source could give is finished in order; nothing can be finished where the output or the network has failed. */
        if (r->fault.side == KERB_FAULT_SOURCE && kerb_source_counts(r->source).frames)
            kerb_source_stop(r->source);
        else
            g_main_loop_quit(r->loop);
        break;
    default: break;
    }
    return G_SOURCE_CONTINUE;
}

static gboolean kerb_record_tick(gpointer user)
{
    KerbRecord *r = user;
    gdouble done_s, total_s;
    kerb_source_position(r->source, &done_s, &total_s);
    guint64 frames = kerb_source_counts(r->source).frames;
    if (frames && !r->first_us) r->first_us = g_get_monotonic_time();
    kerb_progress_update(&r->progress, frames, done_s, total_s);
    if (r->source->live && !r->signals && kerb_source_silence_s(r->source, r->began_us) > KERB_SILENCE_S && r->fault.side == KERB_FAULT_NONE) {
        r->fault = (KerbFault){ KERB_FAULT_SOURCE, KERB_EXIT_CAMERA, g_strdup_printf("%s has sent nothing for %.0f seconds.", r->source->text, KERB_SILENCE_S) };
        if (frames)
            kerb_source_stop(r->source);
        else
            g_main_loop_quit(r->loop);
    }
    return G_SOURCE_CONTINUE;
}

static void kerb_record_play(GstElement *pipeline, gpointer user)
{
    gst_element_set_state(pipeline, GST_STATE_PLAYING); /* a failure posts an error */
}

static void kerb_record_loop(KerbRecord *r)
{
    GstBus *bus = gst_element_get_bus(r->pipeline);
    r->loop = g_main_loop_new(NULL, FALSE);
    guint tick = g_timeout_add(100, kerb_record_tick, r);
    /* Never removed: a second signal that comes when all is done shall not kill. */
    g_unix_signal_add(SIGINT, kerb_record_signal, r);
    g_unix_signal_add(SIGTERM, kerb_record_signal, r);
    gst_bus_add_watch(bus, kerb_record_message, r);
    kerb_progress_init(&r->progress, r->options.quiet);
    r->began_us = g_get_monotonic_time();
    /* From a thread of its own: opening models and sources takes its time, and signals are heard meanwhile. */
    gst_element_call_async(r->pipeline, kerb_record_play, NULL, NULL);
    g_main_loop_run(r->loop);
    gst_bus_remove_watch(bus);
    g_source_remove(tick);
    kerb_say_status_end();
    g_main_loop_unref(r->loop);
    gst_object_unref(bus);
}

/* --------------------------------------------------------------------------------------------------------------- the end */

static double kerb_record_stat(const GstStructure *stats, const char *name)
{
    gdouble value = 0;
    gst_structure_get_double(stats, name, &value);
    return value;
}

static guint64 kerb_record_lost(KerbRecord *r, const KerbSourceCounts *c)
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

#define N_FORMAT "%" G_GUINT64_FORMAT

/* What is missing or mended in the recording, in words, or NULL. */
static gchar *kerb_record_losses(KerbRecord *r, const KerbSourceCounts *c)
{
    GString *text = g_string_new(NULL);
    gdouble missing_s, fps = kerb_source_fps(r->source, NULL, NULL);
    guint64 lost = kerb_record_lost(r, c);
    if (lost) kerb_record_add_loss(text, N_FORMAT " of " N_FORMAT " frames could not be decoded and are lost", lost, c->coded);
    if (c->damaged) kerb_record_add_loss(text, N_FORMAT " frames are damaged", c->damaged);
    if (c->unread) kerb_record_add_loss(text, N_FORMAT " images could not be read", c->unread);
    if (c->untimed) kerb_record_add_loss(text, N_FORMAT " frames had no time stamp: they follow each other at %.4g fps", c->untimed, fps > 0 ? fps : 25);
    if (c->retimed) kerb_record_add_loss(text, N_FORMAT " time stamps were not after the one before and were mended", c->retimed);
    if (kerb_source_is_cut(r->source, &missing_s)) {
        kerb_record_add_loss(text, "the file ends %.2f s before its time", missing_s);
        if (fps > 0) g_string_append_printf(text, " (about %.0f frames are missing)", missing_s * fps);
    }
    return g_string_free(text, text->len == 0);
}

static void kerb_record_json(KerbRecord *r, const GstStructure *stats, const KerbSourceCounts *c, gdouble seconds, gdouble elapsed_s, const gchar *losses,
                             int exit_code)
{
    guint64 frames = 0;
    gint width, height;
    kerb_source_fps(r->source, &width, &height);
    gst_structure_get_uint64(stats, "frames-out", &frames);
    json_t *root = json_pack(
        "{s:s, s:s, s:s?, s:s, s:s, s:i, s:i, s:I, s:f, s:f, s:f, s:{s:f, s:f, s:f, s:f}, s:I, s:I, s:I, s:s?, s:b, s:s?, s:s?, s:i}", "source",
        r->source->text, "output", r->recording->name, "codec", r->recording->codec, "model", r->options.model, "backend",
        gst_structure_get_string(stats, "backend"), "width", width, "height", height, "frames", (json_int_t)frames, "seconds", seconds, "elapsed_s", elapsed_s,
        "fps", elapsed_s > 0 ? (double)frames / elapsed_s : 0, "stages_ms", "queue", kerb_record_stat(stats, "queue-ms"), "in",
        kerb_record_stat(stats, "in-ms"), "net", kerb_record_stat(stats, "net-ms"), "out", kerb_record_stat(stats, "out-ms"), "lost_frames",
        (json_int_t)kerb_record_lost(r, c), "damaged_frames", (json_int_t)c->damaged, "scaled_frames", (json_int_t)c->scaled,
        "losses", losses, "complete", (int)r->ended, "sheet", r->sheet, "labels", r->labels_out, "exit_code", exit_code);
    json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(root);
}

static void kerb_record_summary(KerbRecord *r, const GstStructure *stats, gdouble seconds, gdouble elapsed_s)
{
    guint64 frames = 0;
    gint width, height;
    kerb_source_fps(r->source, &width, &height);
    gst_structure_get_uint64(stats, "frames-out", &frames);
    kerb_say("%s: %" G_GUINT64_FORMAT " frames, %.2f s, %d x %d, %s%s", r->recording->name, frames, seconds, width, height, r->recording->codec,
             r->audio_found ? ", with audio" : "");
    kerb_say("%.1f fps; a frame: in %.2f ms, network %.2f ms, out %.2f ms; %s", elapsed_s > 0 ? (double)frames / elapsed_s : 0,
             kerb_record_stat(stats, "in-ms"), kerb_record_stat(stats, "net-ms"), kerb_record_stat(stats, "out-ms"), gst_structure_get_string(stats, "backend"));
}

/* What became of it, as an exit code, having said what is wrong. */
static int kerb_record_verdict(KerbRecord *r, guint64 frames)
{
    if (r->fault.side == KERB_FAULT_SOURCE && frames && r->fault.exit_code == KERB_EXIT_ASSET) {
        kerb_warn("%s", r->fault.text);
        return KERB_EXIT_OK;
    }
    if (r->fault.side != KERB_FAULT_NONE) {
        kerb_say("%s%s", r->fault.text, r->fault.side == KERB_FAULT_OUTPUT && frames ? " What was written until then can be played." : "");
        return r->fault.exit_code;
    }
    if (!frames) {
        kerb_say("%s has no frame that can be decoded.", r->source->text);
        return KERB_EXIT_ASSET;
    }
    return KERB_EXIT_OK;
}

/* Ends the process without stopping the pipeline, which may be held up by a source that never answers or an output that takes nothing. */
static void kerb_record_leave(KerbRecord *r)
{
    guint64 frames = kerb_source_counts(r->source).frames;
    kerb_recording_abandon(r->recording);
    if (r->labels) kerb_recording_abandon(r->labels);
    if (r->signals > 1)
        kerb_say("stopped at once, as asked: %s",
                 frames ? "the recording has no index, and its last frames may be missing; it can be played." : "nothing was recorded.");
    else
        kerb_say("nothing was recorded: no frame had come from %s.", r->source->text);
    fflush(stdout);
    _exit(r->signals > 1 ? KERB_EXIT_INTERRUPTED : KERB_EXIT_OK);
}

static int kerb_record_finish(KerbRecord *r)
{
    GstStructure *stats = NULL;
    gdouble done_s, total_s;
    guint64 frames = 0;
    if (r->signals > 1 || (r->signals && !kerb_source_counts(r->source).frames)) kerb_record_leave(r);
    g_object_get(r->kerbseg, "stats", &stats, NULL);
    gst_structure_get_uint64(stats, "frames-out", &frames);
    kerb_source_position(r->source, &done_s, &total_s);
    KerbSourceCounts counts = kerb_source_counts(r->source);
    gchar *losses = kerb_record_losses(r, &counts); /* asks the elements: before they stop */
    gdouble elapsed_s = (gdouble)(g_get_monotonic_time() - (r->first_us ? r->first_us : r->began_us)) / 1e6;
    gst_element_set_state(r->pipeline, GST_STATE_NULL);
    int exit_code = kerb_record_verdict(r, frames);
    if (frames) {
        if (losses) kerb_warn("%s.", losses);
        if (r->sheet_taker && !kerb_sheet_write(r->sheet_taker, r->sheet) && !exit_code) exit_code = KERB_EXIT_STORAGE;
        if (!r->options.quiet) kerb_record_summary(r, stats, done_s, elapsed_s);
        if (!r->options.quiet && r->sheet_taker) kerb_say("%s: contact sheet", r->sheet);
    }
    if (r->options.json) kerb_record_json(r, stats, &counts, done_s, elapsed_s, losses, exit_code);
    g_free(losses);
    gst_structure_free(stats);
    return exit_code;
}

static void kerb_record_clear(KerbRecord *r)
{
    if (r->pipeline) gst_element_set_state(r->pipeline, GST_STATE_NULL);
    kerb_recording_close(&r->recording);
    kerb_recording_close(&r->labels);
    kerb_sheet_free(&r->sheet_taker);
    gst_clear_object(&r->pipeline);
    kerb_source_free(&r->source);
    kerb_fault_clear(&r->fault);
    kerb_options_clear(&r->options);
    g_free(r->output);
    g_free(r->sheet);
    g_free(r->labels_out);
}

static int kerb_record_run(const KerbCommand *command, int argc, char **argv)
{
    KerbRecord r = { 0 };
    const GOptionEntry own[] = {
        { "output", 'o', 0, G_OPTION_ARG_FILENAME, &r.output, "The recording (Matroska); required", "FILE.mkv" },
        { "force", 'f', 0, G_OPTION_ARG_NONE, &r.force, "Replace files that are there", NULL },
        { "duration", 0, 0, G_OPTION_ARG_DOUBLE, &r.duration, "End after so many seconds of video", "SECONDS" },
        { "audio", 0, 0, G_OPTION_ARG_NONE, &r.audio, "Keep the audio (it is left out otherwise)", NULL },
        { "labels-out", 0, 0, G_OPTION_ARG_FILENAME, &r.labels_out, "Also the label maps: .mkv (lossless) or .gray (1 byte a pixel)", "FILE" },
        { "sheet", 0, 0, G_OPTION_ARG_FILENAME, &r.sheet, "Also a contact sheet: frame, overlay, mask, legend", "FILE.png" },
        { 0 },
    };
    int exit_code;
    const gchar *source = NULL;
    gboolean ok = kerb_options_parse(command, &r.options, KERB_OPTIONS_NETWORK | KERB_OPTIONS_DISPLAY | KERB_OPTIONS_SOURCE | KERB_OPTIONS_JSON | KERB_OPTIONS_QUIET, own,
                                     argc, argv, &exit_code);
    if (ok) {
        exit_code = KERB_EXIT_USAGE;
        source = kerb_options_single(command, &r.options, "SOURCE");
        if (source && !r.output) kerb_say("kerb record needs -o FILE.mkv, the recording.");
        if (r.duration < 0) {
            kerb_say("--duration=%g is not a number of seconds.", r.duration);
            source = NULL;
        }
    }
    if (ok && source && r.output) {
        exit_code = kerb_record_build(&r, source);
        if (exit_code == KERB_EXIT_OK) {
            kerb_record_loop(&r);
            exit_code = kerb_record_finish(&r);
        }
    }
    kerb_record_clear(&r);
    return exit_code;
}

const KerbCommand kerb_command_record = {
    .name = "record",
    .arguments = "SOURCE -o FILE.mkv",
    .summary = "Segment a video, camera or folder of images into a recording",
    .description = "SOURCE is a video file, a pattern or folder of images, /dev/videoN, rtsp://..., http(s)://..., or test: (a synthetic drive).\n\n"
                   "Examples:\n"
                   "  kerb record drive.mp4 -o segmented.mkv --model net.onnx\n"
                   "  kerb record drive.mp4 -o roads.mkv --classes road,\"lane marking\" --alpha 0.7 --sheet roads.png\n"
                   "  kerb record 'frames/*.png' -o frames.mkv --rate 10 --visualize side-by-side\n"
                   "  kerb record /dev/video0 -o camera.mkv --duration 60\n"
                   "  kerb record 'test:night?seed=3&size=1280x720&fps=30' -o night.mkv --duration 10\n"
                   "  kerb record drive.mp4 -o seg.mkv --labels-out labels.mkv --audio --json\n\n"
                   "Frames and their time stamps are those of the source. SIGINT (Ctrl-C) and SIGTERM finish the file; a second one stops at once.\n",
    .run = kerb_record_run,
};
