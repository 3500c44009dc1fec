/* SPDX-License-Identifier: MIT */
/* The viewer's state, shared by its files: view.c (command line, opening, the loop), view_act.c (what keys, mouse and files dropped do) and view_scene.c
 * (what is to be seen). Main thread only, but for `record` under its lock. */
#ifndef KERB_APPS_VIEW_H
#define KERB_APPS_VIEW_H

#include "fault.h"
#include "options.h"
#include "say.h"
#include "view_keys.h"
#include "view_record.h"
#include "view_script.h"
#include "view_stream.h"
#include "view_window.h"

/* What a file that is dropped may change, to go back to where it cannot be opened. Strings owned. */
typedef struct KerbViewChoice {
    gchar *source, *model, *card, *labels;
    gint network_width, network_height;
    gint64 time_ns;
} KerbViewChoice;

#define KERB_VIEW_LINES 10

typedef struct KerbView {
    KerbOptions options;
    gint64 frames_wanted;
    gchar *screenshot, *script_file, *folder, *record_file;
    gboolean headless, start_paused, start_full;

    KerbViewStream *stream;
    KerbViewChoice before; /* source NULL: nothing to go back to */
    KerbFault fault;
    KerbViewWindow *window; /* NULL before the first frame */
    KerbViewPicture *picture;
    KerbClass *classes; /* a copy: the stream's own go with it */
    int n_classes;
    KerbDisplay display;
    KerbViewFrame frame; /* on the screen */
    float shares[KERB_MAX_CLASSES];
    KerbViewStats stats;
    gint64 length_ns;
    gdouble stale_ms; /* a mask older than this is */

    GMutex record_lock;
    KerbViewRecord *record; /* NULL: none runs */
    gboolean recording_failed;

    KerbViewMode mode;
    double divider;
    gboolean dragging, paused, one, ended, quit, opened; /* one: a frame is shown although the view is paused. opened: this stream has shown a frame */
    gboolean is_new, dirty, redraw; /* another frame; the picture must be painted anew; the window must be drawn anew */
    gboolean show_legend, show_stats, show_corner, show_help;
    gboolean key_repeats;
    gint64 seek_to_ns;             /* -1: none waits for the one that runs */
    gint64 pace_us, pace_ns;       /* at wall time pace_us the video was at pace_ns */
    gint64 drawn_us;
    int mouse_x, mouse_y;          /* -1: outside */
    gchar *notice;
    gboolean notice_is_bad;
    gint64 notice_until_us;

    KerbViewScript *script;
    /* Texts of the scene that is drawn now. */
    gchar *corner, *age, *recording, *hover, *lines[KERB_VIEW_LINES + 1];
    guint8 hover_rgb[3];
    gboolean hover_has_color;
    gint64 facts_us;
    gchar *backend, *live_mode;
    guint network_width, network_height;
    guint64 engine_in, engine_inferred, engine_errored;
    gdouble engine_fps;
} KerbView;

/* view.c: another source or model. What cannot be opened is told and leaves things as they are. */
void kerb_view_open(KerbView *view, const gchar *source, const gchar *model);

/* view_act.c */
void kerb_view_event(KerbView *view, SDL_Event *event);
void kerb_view_act(KerbView *view, KerbViewCommand command);
void kerb_view_notice(KerbView *view, gboolean is_bad, const char *format, ...) G_GNUC_PRINTF(3, 4);
void kerb_view_seek_to(KerbView *view, gint64 time_ns);
gboolean kerb_view_save(KerbView *view, const char *path);
/* The recording: NULL for a name by the time. FALSE: none was begun. */
gboolean kerb_view_record_begin(KerbView *view, const gchar *path);
void kerb_view_record_end(KerbView *view);
/* Whether it goes on, has ended, has failed. */
void kerb_view_record_look(KerbView *view);

/* view_scene.c: valid until the next call. */
KerbViewScene kerb_view_scene(KerbView *view);
void kerb_view_scene_clear(KerbView *view);
/* A line of JSON on standard output. */
void kerb_view_print_state(KerbView *view);
/* How old what is seen is: in a live stream since the light fell in, else the labels against their frame. */
gdouble kerb_view_age_ms(KerbView *view);

#endif
