/* SPDX-License-Identifier: MIT */
/* The life of a live source, feed after feed; see supervise.h. */
#include "supervise.h"
#include "feed.h"
#include "say.h"

#include <math.h>
#include <string.h>

#define TURN_US (20 * 1000)
/* A source that says nothing has this time for its first frame, if --timeout does not give it more. */
#define FIRST_CAMERA_S 3.0
#define FIRST_NETWORK_S 10.0
#define SILENCE_CAMERA_S 2.0
#define SILENCE_NETWORK_S 5.0
/* Between attempts: doubled from the first to the last. A look at a node costs nothing, a connection does. */
#define PAUSE_FIRST_S 0.1
#define PAUSE_CAMERA_S 0.4
#define PAUSE_NETWORK_S 4.0
/* A feed that is not over after this is left alone. */
#define CLOSE_S 1.5

struct KerbSupervisor {
    gint references;
    KerbFeedKind kind;
    gchar *text, *place;
    KerbCameraWish wish;
    gdouble reconnect_s, timeout_s, first_s, pause_s;
    gboolean must_be_there, quiet; /* at the start */
    GstElement *gate;              /* borrowed: it keeps this */
    GThread *thread;

    GMutex lock;
    GCond wake;
    gboolean stop;
    KerbOutages before; /* of the feeds that are over */
    KerbFeed *feed;     /* its figures are still counting */

    /* The thread's own. */
    KerbCamera *camera; /* as it was last found */
    KerbCameraMode mode;
    gboolean own_buffers, has_run;
    GstClockTime last;   /* the latest frame of the feeds so far */
    gint64 lost_us;      /* 0: it is there */
    gchar *lost_why;
};

static gdouble kerb_seconds_since(gint64 us)
{
    return (gdouble)(g_get_monotonic_time() - us) / 1e6;
}

/* Returns whether it shall go on. */
static gboolean kerb_supervisor_sleep(KerbSupervisor *s, gint64 us)
{
    gint64 until = g_get_monotonic_time() + us;
    g_mutex_lock(&s->lock);
    while (!s->stop && g_cond_wait_until(&s->wake, &s->lock, until)) continue;
    gboolean on = !s->stop;
    g_mutex_unlock(&s->lock);
    return on;
}

/* ---------------------------------------------------------------------------------------------------------------- words */

static gchar *kerb_supervisor_name(const KerbSupervisor *s)
{
    return s->camera && *s->camera->name ? g_strdup_printf("%s (%s)", s->text, s->camera->name) : g_strdup(s->text);
}

static void kerb_supervisor_say_lost(KerbSupervisor *s, const gchar *why)
{
    gchar *name = kerb_supervisor_name(s);
    gdouble at_s = GST_CLOCK_TIME_IS_VALID(s->last) ? (gdouble)s->last / 1e9 : 0;
    if (isinf(s->reconnect_s))
        kerb_warn("%s is lost at %.2f s: %s. It is awaited.", name, at_s, why);
    else
        kerb_warn("%s is lost at %.2f s: %s. It is awaited for %.4g seconds.", name, at_s, why, s->reconnect_s);
    g_free(name);
}

static void kerb_supervisor_say_back(KerbSupervisor *s, gdouble gap_s)
{
    gchar *name = kerb_supervisor_name(s), *mode = s->camera ? kerb_camera_mode_text(&s->mode) : NULL;
    gboolean elsewhere = s->camera && strcmp(s->camera->node, s->place);
    kerb_say("%s is back%s%s%s%s: a gap of %.2f s.", name, elsewhere ? " as " : "", elsewhere ? s->camera->node : "", mode ? ", " : "", mode ? mode : "", gap_s);
    g_free(mode);
    g_free(name);
}

/* A fatal end: the pipeline's owner reads it from the bus. */
static void kerb_supervisor_give_up(KerbSupervisor *s, const gchar *why)
{
    gchar *name = kerb_supervisor_name(s), *text;
    if (!s->has_run && g_str_has_prefix(why, s->text))
        text = g_strdup(why);
    else if (!s->has_run)
        text = g_strdup_printf("%s: %s.", s->text, why);
    else
        text = g_strdup_printf("%s is lost and did not come back within %.4g seconds (--reconnect): %s.", name, s->reconnect_s, why);
    GST_ELEMENT_ERROR(s->gate, RESOURCE, READ, ("%s", text), (NULL));
    g_free(text);
    g_free(name);
}

/* --------------------------------------------------------------------------------------------------------------- a feed */

static gdouble kerb_supervisor_frame_s(const KerbSupervisor *s)
{
    return s->camera && s->mode.fps_n ? 1 / kerb_camera_mode_fps(&s->mode) : 0.04;
}

/* The first frame of a feed that follows another one: the gap is from its last frame to this one, less a frame's own time. */
static void kerb_supervisor_gap_ends(KerbSupervisor *s, const KerbFeedState *state)
{
    gdouble gap_s = MAX(state->first > s->last ? (gdouble)(state->first - s->last) / 1e9 - kerb_supervisor_frame_s(s) : 0, 0);
    g_mutex_lock(&s->lock);
    s->before.gaps++;
    s->before.gap_s += gap_s;
    g_mutex_unlock(&s->lock);
    kerb_supervisor_say_back(s, gap_s);
}

static void kerb_supervisor_flows(KerbSupervisor *s, const KerbFeedState *state)
{
    KerbCamera *camera = NULL;
    KerbCameraMode mode, was = s->mode;
    if (kerb_feed_take_camera(s->feed, &camera, &mode)) {
        kerb_camera_free(&s->camera);
        s->camera = camera;
        s->mode = mode;
        if (was.width && memcmp(&was, &mode, sizeof mode)) {
            gchar *old = kerb_camera_mode_text(&was), *new = kerb_camera_mode_text(&mode);
            kerb_warn("%s has no mode %s any more: %s is taken.", s->text, old, new);
            g_free(old);
            g_free(new);
        }
    }
    GST_INFO("the first frame came %.0f ms after opening%s", (gdouble)(state->last_us - state->opened_us) / 1e3, state->userptr ? ", into buffers from behind" : "");
    if (GST_CLOCK_TIME_IS_VALID(s->last)) kerb_supervisor_gap_ends(s, state);
    s->has_run = TRUE;
    s->lost_us = 0;
    g_clear_pointer(&s->lost_why, g_free);
}

/* Until the feed fails; returns why (to be freed). NULL: it is over because it shall be. */
static gchar *kerb_supervisor_watch(KerbSupervisor *s, KerbFeedState *state)
{
    gint64 began_us = g_get_monotonic_time();
    gboolean flows = FALSE;
    for (;;) {
        kerb_feed_look(s->feed, state);
        if (!flows && state->passed) {
            kerb_supervisor_flows(s, state);
            flows = TRUE;
        }
        if (state->phase == KERB_FEED_FAILED) return kerb_feed_why(s->feed);
        gdouble silence_s = kerb_seconds_since(MAX(began_us, MAX(state->opened_us, state->last_us)));
        if (!state->passing && silence_s > (flows ? s->timeout_s : s->first_s)) return g_strdup_printf("time-out, it has sent nothing for %.1f seconds", silence_s);
        if (!kerb_supervisor_sleep(s, TURN_US)) return NULL;
    }
}

/* Closes the gate and the feed, and waits for its end, but not for ever. */
static void kerb_supervisor_close_feed(KerbSupervisor *s)
{
    KerbFeedState state;
    gint64 began_us = g_get_monotonic_time();
    kerb_gate_open(KERB_GATE(s->gate), NULL);
    kerb_feed_close(s->feed);
    for (;;) {
        kerb_feed_look(s->feed, &state);
        if (state.phase == KERB_FEED_CLOSED || kerb_seconds_since(began_us) > CLOSE_S) break;
        g_usleep(2000);
    }
    if (state.phase != KERB_FEED_CLOSED) kerb_warn("%s does not let go: its driver does not return. It is left alone.", s->text);
    g_mutex_lock(&s->lock);
    s->before.given += state.given;
    s->before.passed += state.passed;
    s->before.missed += state.missed;
    KerbFeed *feed = g_steal_pointer(&s->feed);
    g_mutex_unlock(&s->lock);
    if (GST_CLOCK_TIME_IS_VALID(state.last)) s->last = state.last;
    kerb_feed_unref(feed);
}

/* -------------------------------------------------------------------------------------------------------------- thread */

/* One feed, from its opening to its end; returns why it ended (to be freed), NULL where it was told to. */
static gchar *kerb_supervisor_try(KerbSupervisor *s, KerbFeedState *state)
{
    KerbFeedPlan plan = { .kind = s->kind, .place = s->place, .wish = s->wish, .was = s->camera, .mode = s->mode, .own_buffers = s->own_buffers, .timeout_s = s->first_s };
    KerbFeed *feed = kerb_feed_new(&plan, KERB_GATE(s->gate));
    g_mutex_lock(&s->lock);
    s->feed = feed;
    g_mutex_unlock(&s->lock);
    gchar *why = kerb_supervisor_watch(s, state);
    kerb_supervisor_close_feed(s);
    return why;
}

/* Takes note of a loss. Returns whether it is worth going on. */
static gboolean kerb_supervisor_lost(KerbSupervisor *s, const gchar *why)
{
    gboolean had_it = !s->lost_us;
    if (had_it) {
        s->lost_us = g_get_monotonic_time();
        g_mutex_lock(&s->lock);
        s->before.faults++;
        g_mutex_unlock(&s->lock);
    }
    if ((!s->has_run && s->must_be_there) || kerb_seconds_since(s->lost_us) >= s->reconnect_s) {
        kerb_supervisor_give_up(s, why);
        return FALSE;
    }
    if (g_strcmp0(why, s->lost_why)) {
        if (had_it)
            kerb_supervisor_say_lost(s, why);
        else if (!g_str_has_prefix(why, "time-out") || !s->lost_why || !g_str_has_prefix(s->lost_why, "time-out"))
            kerb_say("%s is still awaited: %s.", s->text, why);
        g_free(s->lost_why);
        s->lost_why = g_strdup(why);
    }
    return TRUE;
}

static gpointer kerb_supervisor_run(gpointer user)
{
    KerbSupervisor *s = user;
    gdouble pause_s = PAUSE_FIRST_S;
    gchar *why;
    KerbFeedState state;
    while ((why = kerb_supervisor_try(s, &state))) {
        /* A driver that says it takes foreign buffers and then does not. */
        gboolean refused = state.userptr && !state.passed && state.trouble == KERB_CAMERA_BROKEN && !s->own_buffers;
        s->own_buffers |= refused;
        if (refused) GST_INFO("%s does not fill foreign buffers (%s): it gets its own", s->text, why);
        gboolean on = refused || kerb_supervisor_lost(s, why);
        g_free(why);
        if (state.passed) pause_s = PAUSE_FIRST_S;
        if (!on || (!refused && !kerb_supervisor_sleep(s, (gint64)(pause_s * 1e6)))) break;
        pause_s = MIN(2 * pause_s, s->pause_s);
    }
    return NULL;
}

/* --------------------------------------------------------------------------------------------------------------- gate */

static void kerb_supervisor_started(gpointer user)
{
    KerbSupervisor *s = user;
    if (s->thread) return;
    g_mutex_lock(&s->lock);
    gboolean stop = s->stop;
    g_mutex_unlock(&s->lock);
    if (!stop) s->thread = g_thread_new("supervisor", kerb_supervisor_run, s);
}

static void kerb_supervisor_stopped(gpointer user)
{
    KerbSupervisor *s = user;
    kerb_supervisor_stop(s);
    if (s->thread) g_thread_join(g_steal_pointer(&s->thread));
}

static void kerb_supervisor_gate_freed(gpointer user)
{
    kerb_supervisor_unref(user);
}

GstElement *kerb_supervisor_gate(KerbSupervisor *s)
{
    static const KerbGateCalls calls = { kerb_supervisor_started, kerb_supervisor_stopped, kerb_supervisor_gate_freed };
    g_atomic_int_inc(&s->references);
    s->gate = kerb_gate_new(&calls, s);
    return s->gate;
}

/* -------------------------------------------------------------------------------------------------------------- making */

/* The camera and its mode, said. Returns an exit code. */
static int kerb_supervisor_find_camera(KerbSupervisor *s)
{
    KerbCamera *camera = kerb_camera_probe(s->place, TRUE);
    gboolean may_come = !s->must_be_there && camera->trouble != KERB_CAMERA_OK && camera->trouble != KERB_CAMERA_FOREIGN;
    int exit_code = camera->trouble != KERB_CAMERA_OK && !may_come ? KERB_EXIT_CAMERA : KERB_EXIT_OK;
    if (camera->trouble != KERB_CAMERA_OK) {
        if (may_come)
            kerb_warn("%s It is awaited.", camera->why);
        else
            kerb_say("%s", camera->why);
        kerb_camera_free(&camera);
        return exit_code;
    }
    gchar *nearest = NULL;
    gint index = kerb_camera_choose(camera, &s->wish, &nearest);
    if (index < 0) {
        kerb_say("%s (%s) has no such mode as --camera-format asks for. %s%s. `kerb devices` lists all.", s->text, camera->name, *nearest ? "The nearest are: " : "Kerb reads none of its formats",
                 nearest);
        exit_code = KERB_EXIT_USAGE;
    } else if (!s->quiet) {
        gchar *mode = kerb_camera_mode_text(&g_array_index(camera->modes, KerbCameraMode, index));
        kerb_say("%s: %s, %s", s->text, camera->name, mode);
        g_free(mode);
    }
    g_free(nearest);
    kerb_camera_free(&camera);
    return exit_code;
}

static int kerb_supervisor_check(KerbSupervisor *s)
{
    gchar *why = NULL;
    int exit_code = KERB_EXIT_OK;
    if (s->kind == KERB_FEED_CAMERA) return kerb_supervisor_find_camera(s);
    if (s->kind != KERB_FEED_MJPEG) return KERB_EXIT_OK;
    KerbHttpContent content = kerb_source_http_content(s->place, s->first_s, &why);
    if (content == KERB_HTTP_FILE) exit_code = -1;
    if (content == KERB_HTTP_SILENT && s->must_be_there) {
        kerb_say("%s", why);
        exit_code = KERB_EXIT_ASSET; /* it may have been a file */
    } else if (content == KERB_HTTP_SILENT) {
        kerb_warn("%s It is awaited.", why);
    }
    g_free(why);
    return exit_code;
}

static gboolean kerb_supervisor_wants(KerbSupervisor *s, const char *text)
{
    gboolean is = TRUE;
    if (g_str_has_prefix(text, "v4l2://"))
        s->kind = KERB_FEED_CAMERA, text += strlen("v4l2://");
    else if (g_str_has_prefix(text, "/dev/video") || g_str_has_prefix(text, "/dev/v4l/"))
        s->kind = KERB_FEED_CAMERA;
    else if (g_str_has_prefix(text, "rtsp") && strstr(text, "://"))
        s->kind = KERB_FEED_RTSP;
    else if (g_str_has_prefix(text, "http://") || g_str_has_prefix(text, "https://"))
        s->kind = KERB_FEED_MJPEG;
    else
        is = FALSE;
    s->place = g_strdup(text);
    return is;
}

KerbSupervisor *kerb_supervisor_new(const char *text, const KerbLive *live, int *exit_code)
{
    static const KerbLive any = { .reconnect_s = -1 };
    if (!live) live = &any;
    KerbSupervisor *s = g_new0(KerbSupervisor, 1);
    s->references = 1;
    g_mutex_init(&s->lock);
    g_cond_init(&s->wake);
    s->last = GST_CLOCK_TIME_NONE;
    gboolean ok = kerb_supervisor_wants(s, text);
    gboolean camera = s->kind == KERB_FEED_CAMERA, asked = live->timeout_s > 0;
    s->text = g_strdup(camera ? s->place : text);
    s->must_be_there = live->reconnect_s < 0;
    s->reconnect_s = s->must_be_there ? (gdouble)INFINITY : live->reconnect_s;
    s->timeout_s = asked ? live->timeout_s : camera ? SILENCE_CAMERA_S : SILENCE_NETWORK_S;
    s->first_s = asked ? MAX(2 * live->timeout_s, 1) : camera ? FIRST_CAMERA_S : FIRST_NETWORK_S;
    s->pause_s = camera ? PAUSE_CAMERA_S : PAUSE_NETWORK_S;
    s->quiet = live->quiet;
    *exit_code = KERB_EXIT_OK;
    if (ok && live->camera_format && !kerb_camera_wish_parse(&s->wish, live->camera_format)) {
        *exit_code = KERB_EXIT_USAGE;
        ok = FALSE;
    }
    if (ok) *exit_code = kerb_supervisor_check(s);
    if (!ok || *exit_code != KERB_EXIT_OK) {
        if (*exit_code < 0) *exit_code = KERB_EXIT_OK; /* a file: no source for this one */
        kerb_supervisor_unref(s);
        return NULL;
    }
    return s;
}

void kerb_supervisor_unref(KerbSupervisor *s)
{
    if (!s || !g_atomic_int_dec_and_test(&s->references)) return;
    kerb_camera_free(&s->camera);
    g_mutex_clear(&s->lock);
    g_cond_clear(&s->wake);
    g_free(s->lost_why);
    g_free(s->place);
    g_free(s->text);
    g_free(s);
}

void kerb_supervisor_stop(KerbSupervisor *s)
{
    if (s->gate) kerb_gate_open(KERB_GATE(s->gate), NULL);
    g_mutex_lock(&s->lock);
    s->stop = TRUE;
    g_cond_broadcast(&s->wake);
    g_mutex_unlock(&s->lock);
}

KerbOutages kerb_supervisor_outages(KerbSupervisor *s)
{
    KerbFeedState now = { 0 };
    g_mutex_lock(&s->lock);
    KerbOutages all = s->before;
    if (s->feed) kerb_feed_look(s->feed, &now);
    g_mutex_unlock(&s->lock);
    all.given += now.given;
    all.passed += now.passed;
    all.missed += now.missed;
    return all;
}
