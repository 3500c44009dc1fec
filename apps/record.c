/* SPDX-License-Identifier: MIT */
/* `kerb record`: SOURCE -> kerbseg -> Matroska. This file: the command line, the main loop with its signals, and the summary at the end. */
#include "record.h"
#include "options_live.h"

#include "models.h"
#include "say.h"

#include <glib-unix.h>
#include <gst/app/app.h>
#include <stdio.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

/* A live source that is silent for so long is lost. */
#define KERB_SILENCE_S 10.0
#define TICK_MS 40
/* A ring of files needs files. */
#define RING_MINUTES 5.0

/* ------------------------------------------------------------------------------------------------------------- building */

static void kerb_record_audio_pad(gpointer user, GstPad *pad)
{
    KerbRecord *r = user;
    r->audio_found = kerb_recording_add_audio(r->recording, GST_BIN(r->pipeline), pad);
    if (!r->audio_found) kerb_warn("the audio of %s cannot be put into Matroska and is left out.", r->source->text);
}

static KerbRecordingSettings kerb_record_settings(const KerbRecord *r)
{
    return (KerbRecordingSettings){ .path = r->output, .force = r->force, .live = r->source && r->source->live, .labels = !r->no_labels,
                                    .confidence = r->confidence, .facts = !r->no_facts, .clean = r->options.visualize == KERB_VISUALIZE_NONE,
                                    .encoder = r->encoder, .label_encoder = r->label_encoder, .split_s = r->split_minutes * 60, .keep_gb = r->keep_gb,
                                    .protect_s = r->protect_s, .title = r->title, .model = r->options.model, .card = r->options.card };
}

static KerbRecordingSettings kerb_record_label_settings(const KerbRecord *r)
{
    gboolean raw = g_str_has_suffix(r->labels_out, ".gray") || g_str_has_suffix(r->labels_out, ".raw");
    return (KerbRecordingSettings){ .path = r->labels_out, .layout = raw ? KERB_RECORDING_RAW : KERB_RECORDING_LABELS, .force = r->force,
                                    .label_encoder = r->label_encoder, .title = r->title, .model = r->options.model, .card = r->options.card };
}

/* Returns an exit code. */
static int kerb_record_check(KerbRecord *r, const gchar *source)
{
    KerbRecordingSettings movie = kerb_record_settings(r);
    int exit_code = kerb_recording_check(&movie, source);
    if (!exit_code && r->labels_out) {
        KerbRecordingSettings labels = kerb_record_label_settings(r);
        exit_code = kerb_recording_check(&labels, source);
    }
    if (!exit_code && r->sheet) exit_code = kerb_recording_check(&(KerbRecordingSettings){ .path = r->sheet, .layout = KERB_RECORDING_RAW, .force = r->force }, source);
    return exit_code;
}

/* Frames that have passed kerbseg. Streaming thread. */
static GstFlowReturn kerb_record_sample(GstAppSink *sink, gpointer user)
{
    KerbRecord *r = user;
    GstSample *sample = gst_app_sink_pull_sample(sink);
    if (!sample) return GST_FLOW_EOS;
    GstBuffer *buffer = gst_sample_get_buffer(sample);
    GstCaps *caps = gst_sample_get_caps(sample);
    guint64 pts = gst_segment_to_running_time(gst_sample_get_segment(sample), GST_FORMAT_TIME, GST_BUFFER_PTS(buffer));
    gboolean goes_on = !GST_CLOCK_TIME_IS_VALID(pts) || kerb_recording_push(r->recording, buffer, caps, pts);
    if (r->labels && GST_CLOCK_TIME_IS_VALID(pts)) goes_on = kerb_recording_push(r->labels, buffer, caps, pts) && goes_on;
    gst_sample_unref(sample);
    return goes_on ? GST_FLOW_OK : GST_FLOW_EOS;
}

static void kerb_record_eos(GstAppSink *sink, gpointer user)
{
    KerbRecord *r = user;
    kerb_recording_end(r->recording);
    if (r->labels) kerb_recording_end(r->labels);
}

/* Returns an exit code. */
static int kerb_record_build(KerbRecord *r, const gchar *source)
{
    int exit_code = kerb_record_check(r, source);
    if (exit_code) return exit_code;
    if (!kerb_plugin_load()) return KERB_EXIT_INTERNAL;
    kerb_say_log(r->options.verbose); /* the plugin has taken the log for GStreamer */
    r->source = kerb_source_new_live(source, r->options.rate, r->duration, &r->options.supervision, &exit_code);
    if (!r->source) return exit_code;
    r->pipeline = gst_pipeline_new("record");
    if (!r->options.quiet) kerb_progress_watch(r->pipeline);
    r->kerbseg = kerb_element("kerbseg");
    GstElement *sink = kerb_element("appsink");
    if (!r->kerbseg || !sink) return KERB_EXIT_INTERNAL;
    kerb_options_apply(&r->options, r->kerbseg);
    kerb_options_apply_live(&r->options, r->source->live, r->kerbseg);
    g_object_set(r->kerbseg, "confidence", r->confidence, NULL);
    /* No last sample: it would keep a buffer of a camera that is gone, and with it the camera's file, open. */
    g_object_set(sink, "sync", FALSE, "max-buffers", 2u, "enable-last-sample", FALSE, NULL);
    GstAppSinkCallbacks callbacks = { .new_sample = kerb_record_sample, .eos = kerb_record_eos };
    gst_app_sink_set_callbacks(GST_APP_SINK(sink), &callbacks, r, NULL);
    gst_bin_add_many(GST_BIN(r->pipeline), r->source->bin, r->kerbseg, sink, NULL);
    KerbRecordingSettings movie = kerb_record_settings(r);
    r->recording = kerb_recording_start(&movie, &exit_code);
    if (!r->recording) return exit_code;
    if (r->labels_out) {
        KerbRecordingSettings labels = kerb_record_label_settings(r);
        r->labels = kerb_recording_start(&labels, &exit_code);
        if (!r->labels) return exit_code;
    }
    if (r->audio) kerb_source_keep_audio(r->source, kerb_record_audio_pad, r);
    if (!gst_element_link_pads(r->source->bin, "src", r->kerbseg, "sink") || !gst_element_link_pads(r->kerbseg, "src", sink, NULL)) {
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
    case GST_MESSAGE_EOS: r->ended = TRUE; break; /* the recording is still being written: kerb_record_tick() */
    case GST_MESSAGE_WARNING: kerb_record_warning(r, message); break;
    case GST_MESSAGE_ELEMENT: kerb_fault_note_missing(message, r->source); break;
    case GST_MESSAGE_ERROR:
        kerb_fault_read(&r->fault, message, r->source, NULL);
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

static void kerb_record_silence(KerbRecord *r)
{
    guint64 frames = kerb_source_counts(r->source).frames;
    if (!r->source->live || r->signals || kerb_source_silence_s(r->source, r->began_us) <= KERB_SILENCE_S || r->fault.side != KERB_FAULT_NONE) return;
    r->fault = (KerbFault){ KERB_FAULT_SOURCE, KERB_EXIT_CAMERA, g_strdup_printf("%s has sent nothing for %.0f seconds.", r->source->text, KERB_SILENCE_S) };
    if (frames)
        kerb_source_stop(r->source);
    else
        g_main_loop_quit(r->loop);
}

static gboolean kerb_record_is_over(KerbRecord *r)
{
    KerbRecordingStats movie, labels = { .ended = TRUE };
    kerb_recording_get_stats(r->recording, &movie);
    if (r->labels) kerb_recording_get_stats(r->labels, &labels);
    if ((movie.ended && movie.exit_code) || (labels.ended && labels.exit_code)) return TRUE; /* by itself */
    return movie.ended && labels.ended;
}

static gboolean kerb_record_tick(gpointer user)
{
    KerbRecord *r = user;
    if (kerb_source_counts(r->source).frames && !r->first_us) r->first_us = g_get_monotonic_time();
    kerb_record_progress(r);
    kerb_record_silence(r);
    if (kerb_record_is_over(r)) g_main_loop_quit(r->loop);
    return G_SOURCE_CONTINUE;
}

static void kerb_record_mark(KerbRecord *r, const gchar *name)
{
    kerb_recording_event(r->recording, name);
}

static gboolean kerb_record_usr1(gpointer user)
{
    kerb_record_mark(user, "signal");
    return G_SOURCE_CONTINUE;
}

static void kerb_record_key(gpointer user, char key)
{
    KerbRecord *r = user;
    if (key == 'e') kerb_record_mark(r, "key");
    if (key == 'q') kerb_record_signal(r);
}

static void kerb_record_play(GstElement *pipeline, gpointer user)
{
    gst_element_set_state(pipeline, GST_STATE_PLAYING); /* a failure posts an error */
}

static void kerb_record_loop(KerbRecord *r)
{
    GstBus *bus = gst_element_get_bus(r->pipeline);
    r->loop = g_main_loop_new(NULL, FALSE);
    guint tick = g_timeout_add(TICK_MS, kerb_record_tick, r);
    /* Never removed: a second signal that comes when all is done shall not kill. */
    g_unix_signal_add(SIGINT, kerb_record_signal, r);
    g_unix_signal_add(SIGTERM, kerb_record_signal, r);
    g_unix_signal_add(SIGUSR1, kerb_record_usr1, r);
    kerb_record_keys_open(kerb_record_key, r);
    gst_bus_add_watch(bus, kerb_record_message, r);
    kerb_progress_init(&r->progress, r->options.quiet);
    r->began_us = g_get_monotonic_time();
    /* From a thread of its own: opening models and sources takes its time, and signals are heard meanwhile. */
    gst_element_call_async(r->pipeline, kerb_record_play, NULL, NULL);
    g_main_loop_run(r->loop);
    gst_bus_remove_watch(bus);
    kerb_record_keys_close();
    g_source_remove(tick);
    kerb_say_status_end();
    g_main_loop_unref(r->loop);
    gst_object_unref(bus);
}

/* --------------------------------------------------------------------------------------------------------------- the end */

/* What became of it, as an exit code, having said what is wrong. */
static int kerb_record_verdict(KerbRecord *r, gchar *why)
{
    guint64 frames = r->stats.written;
    if (why) {
        kerb_say("%s%s", why, frames && r->stats.exit_code == KERB_EXIT_STORAGE ? " What was written until then can be played." : "");
        return r->stats.exit_code;
    }
    if (r->fault.side == KERB_FAULT_SOURCE && frames && r->fault.exit_code == KERB_EXIT_ASSET) {
        kerb_warn("%s", r->fault.text);
        return KERB_EXIT_OK;
    }
    if (r->fault.side != KERB_FAULT_NONE) {
        kerb_say("%s", r->fault.text);
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

/* Ends the recordings, which finishes their files. Returns what to say of an end that was not asked for. */
static gchar *kerb_record_close(KerbRecord *r)
{
    kerb_recording_end(r->recording); /* lets go of a frame that waits for room */
    if (r->labels) kerb_recording_end(r->labels);
    gst_element_set_state(r->pipeline, GST_STATE_NULL);
    int exit_code = kerb_recording_stop(r->recording), of_labels = r->labels ? kerb_recording_stop(r->labels) : KERB_EXIT_OK;
    kerb_recording_get_stats(r->recording, &r->stats);
    r->stats.exit_code = exit_code ? exit_code : of_labels;
    r->codec = kerb_recording_codec(r->recording);
    r->name = kerb_recording_name(r->recording);
    gchar *why = kerb_recording_why(r->recording);
    return why || !r->labels ? why : kerb_recording_why(r->labels);
}

static int kerb_record_finish(KerbRecord *r)
{
    GstStructure *stats = NULL;
    gdouble done_s, total_s;
    if (r->signals > 1 || (r->signals && !kerb_source_counts(r->source).frames)) kerb_record_leave(r);
    g_object_get(r->kerbseg, "stats", &stats, NULL);
    kerb_source_position(r->source, &done_s, &total_s);
    gdouble missing_s, elapsed_s = (gdouble)(g_get_monotonic_time() - (r->first_us ? r->first_us : r->began_us)) / 1e6;
    r->cut_s = kerb_source_is_cut(r->source, &missing_s) ? missing_s : 0; /* asks the elements: before they stop */
    gchar *why = kerb_record_close(r);
    KerbSourceCounts counts = kerb_source_counts(r->source);
    gchar *losses = kerb_record_losses(r, &counts);
    int exit_code = kerb_record_verdict(r, why);
    if (r->stats.written) {
        if (losses) kerb_warn("%s.", losses);
        if (r->sheet_taker && !kerb_sheet_write(r->sheet_taker, r->sheet) && !exit_code) exit_code = KERB_EXIT_STORAGE;
        if (!r->options.quiet) kerb_record_summary(r, stats, elapsed_s);
        if (!r->options.quiet && r->sheet_taker) kerb_say("%s: contact sheet", r->sheet);
    }
    if (r->options.json) kerb_record_json(r, stats, &counts, elapsed_s, losses, exit_code);
    g_free(why);
    g_free(losses);
    gst_structure_free(stats);
    return exit_code;
}

static void kerb_record_clear(KerbRecord *r)
{
    if (r->pipeline) gst_element_set_state(r->pipeline, GST_STATE_NULL);
    kerb_recording_free(&r->recording);
    kerb_recording_free(&r->labels);
    kerb_sheet_free(&r->sheet_taker);
    gst_clear_object(&r->pipeline);
    kerb_source_free(&r->source);
    kerb_fault_clear(&r->fault);
    kerb_options_clear(&r->options);
    gchar *strings[] = { r->output, r->sheet, r->labels_out, r->encoder, r->label_encoder, r->video, r->title, r->codec, r->name };
    for (gsize i = 0; i < G_N_ELEMENTS(strings); i++) g_free(strings[i]);
}

/* What GLib cannot check. */
static gboolean kerb_record_understand(KerbRecord *r)
{
    if (!r->output) {
        kerb_say("kerb record needs -o FILE.mkv, the recording.");
        return FALSE;
    }
    if (!(r->duration >= 0)) {
        kerb_say("--duration=%g is not a number of seconds.", r->duration);
        return FALSE;
    }
    if (r->video && strcmp(r->video, "overlay") && strcmp(r->video, "clean")) {
        kerb_say("--video=%s is not known. Valid are: overlay, clean.", r->video);
        return FALSE;
    }
    if (r->video && !strcmp(r->video, "clean")) {
        if (r->options.visualize_name && r->options.visualize != KERB_VISUALIZE_NONE) {
            kerb_say("--video=clean and --visualize=%s contradict each other: leave one out.", r->options.visualize_name);
            return FALSE;
        }
        r->options.visualize = KERB_VISUALIZE_NONE;
    }
    if (r->keep_gb != 0 && r->split_minutes == 0) r->split_minutes = RING_MINUTES;
    return TRUE;
}

static int kerb_record_run(const KerbCommand *command, int argc, char **argv)
{
    KerbRecord r = { .protect_s = 10 };
    const GOptionEntry own[] = {
        { "output", 'o', 0, G_OPTION_ARG_FILENAME, &r.output, "The recording (Matroska); required", "FILE.mkv" },
        { "force", 'f', 0, G_OPTION_ARG_NONE, &r.force, "Replace files that are there", NULL },
        { "duration", 0, 0, G_OPTION_ARG_DOUBLE, &r.duration, "End after so many seconds of video", "SECONDS" },
        { "split-minutes", 0, 0, G_OPTION_ARG_DOUBLE, &r.split_minutes, "A new file every so many minutes: FILE-00001.mkv, FILE-00002.mkv...", "M" },
        { "keep-gb", 0, 0, G_OPTION_ARG_DOUBLE, &r.keep_gb, "Delete the oldest of these files beyond so many GB (10^9 bytes)", "G" },
        { "protect-seconds", 0, 0, G_OPTION_ARG_DOUBLE, &r.protect_s, "What an event (key e, SIGUSR1) keeps before and after it (default 10)", "S" },
        { "video", 0, 0, G_OPTION_ARG_STRING, &r.video, "overlay (default) or clean: as the camera saw it", "NAME" },
        { "no-labels", 0, 0, G_OPTION_ARG_NONE, &r.no_labels, "Without the track of label maps", NULL },
        { "confidence", 0, 0, G_OPTION_ARG_NONE, &r.confidence, "With a track of confidence (0 to 255), lossless", NULL },
        { "no-facts", 0, 0, G_OPTION_ARG_NONE, &r.no_facts, "Without the subtitles that tell of each second", NULL },
        { "encoder", 0, 0, G_OPTION_ARG_STRING, &r.encoder, "x264enc, vah264enc... (default: the best that is there)", "NAME" },
        { "label-encoder", 0, 0, G_OPTION_ARG_STRING, &r.label_encoder, "ffv1 (default where it is there), zlib", "NAME" },
        { "title", 0, 0, G_OPTION_ARG_STRING, &r.title, "Title of the recording", "TEXT" },
        { "audio", 0, 0, G_OPTION_ARG_NONE, &r.audio, "Keep the audio (it is left out otherwise)", NULL },
        { "labels-out", 0, 0, G_OPTION_ARG_FILENAME, &r.labels_out, "The label maps in a file of their own: .mkv (lossless) or .gray (1 byte a pixel)", "FILE" },
        { "sheet", 0, 0, G_OPTION_ARG_FILENAME, &r.sheet, "Also a contact sheet: frame, overlay, mask, legend", "FILE.png" },
        { "json-progress", 0, 0, G_OPTION_ARG_NONE, &r.json_progress, "A JSON object a line on standard output while it runs", NULL },
        { 0 },
    };
    int exit_code;
    const gchar *source = NULL;
    if (kerb_options_parse(command, &r.options, KERB_OPTIONS_NETWORK | KERB_OPTIONS_DISPLAY | KERB_OPTIONS_SOURCE | KERB_OPTIONS_JSON | KERB_OPTIONS_QUIET | KERB_OPTIONS_LIVE, own,
                           argc, argv, &exit_code)) {
        exit_code = KERB_EXIT_USAGE;
        source = kerb_options_single(command, &r.options, "SOURCE");
    }
    if (source && kerb_record_understand(&r)) {
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
                   "  kerb record drive.mp4 -o segmented.mkv\n"
                   "  kerb record drive.mp4 -o roads.mkv --model net.onnx --classes road,\"lane marking\" --alpha 0.7 --sheet roads.png\n"
                   "  kerb record 'frames/*.png' -o frames.mkv --rate 10 --visualize side-by-side\n"
                   "  kerb record /dev/video0 -o camera.mkv --duration 60\n"
                   "  kerb record /dev/video0 -o /media/card/drive.mkv --split-minutes 3 --keep-gb 100\n"
                   "  kerb record 'test:night?seed=3&size=1280x720&fps=30' -o night.mkv --duration 10\n"
                   "  kerb record drive.mp4 -o seg.mkv --labels-out labels.mkv --audio --json\n\n"
                   "Frames and their time stamps are those of the source. SIGINT (Ctrl-C) and SIGTERM finish the file; a second one stops at once.\n"
                   "Key e or SIGUSR1 marks an event: with --keep-gb its file, and those beside it within --protect-seconds, are never deleted.\n",
    .run = kerb_record_run,
};
