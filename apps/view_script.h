/* SPDX-License-Identifier: MIT */
/* `kerb view --script FILE`: a user's keys and mouse from a file, for tests and demonstrations. Lines become SDL events, so that what is tested is what a
 * user gets. One command a line, # begins a comment:
 *
 *     key NAME...         keys one after the other: space . , left right up down escape m ? 1 ...
 *     wheel N             the mouse wheel by N steps
 *     move X Y            the mouse, in the window's points; press X Y, release X Y, click X Y: its left button
 *     drop PATH           a file is dropped on the window
 *     resize W H          the window
 *     frames N            waits until N more frames have been shown
 *     sleep SECONDS
 *     shot PATH           a screenshot into this file, notices and all
 *     state               the viewer's state as a line of JSON on standard output
 *     quit
 *
 * A command is carried out when what came before is on the screen: seeks have arrived, steps are done. */
#ifndef KERB_APPS_VIEW_SCRIPT_H
#define KERB_APPS_VIEW_SCRIPT_H

#include <SDL.h>
#include <glib.h>

typedef struct KerbViewScript KerbViewScript;

/* What a script asks of the viewer beside events. */
typedef struct KerbViewScriptWish {
    enum { KERB_SCRIPT_NOTHING, KERB_SCRIPT_RESIZE, KERB_SCRIPT_SHOT, KERB_SCRIPT_STATE } what;
    int width, height;
    const gchar *path; /* borrowed from the script */
} KerbViewScriptWish;

/* NULL, having said what is wrong with it and in which line. */
KerbViewScript *kerb_view_script_new(const gchar *path);
void kerb_view_script_free(KerbViewScript **script);
/* The next command, if its time has come. shown: how many frames have been shown so far. */
KerbViewScriptWish kerb_view_script_next(KerbViewScript *script, gint64 shown);

#endif
