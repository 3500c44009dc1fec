/* SPDX-License-Identifier: MIT */
/* What the keys of `kerb view` mean, apart from any window: a key's name goes in, a command comes out. The help page, `kerb view --help` and the keys
 * themselves are all read from one table. Where a key means something in mpv it means the same here. */
#ifndef KERB_APPS_VIEW_KEYS_H
#define KERB_APPS_VIEW_KEYS_H

#include <glib.h>

typedef enum KerbViewAction {
    KERB_VIEW_NOTHING,
    KERB_VIEW_PAUSE,
    KERB_VIEW_STEP,        /* value: frames, 1 or -1 */
    KERB_VIEW_SEEK,        /* value: seconds */
    KERB_VIEW_OPACITY,     /* value: steps of 5 % */
    KERB_VIEW_MODE,        /* value: 1 the next way of showing, -1 the one before */
    KERB_VIEW_CLASS,       /* value: label */
    KERB_VIEW_ALL_CLASSES,
    KERB_VIEW_LEGEND,
    KERB_VIEW_STATS,
    KERB_VIEW_CORNER,
    KERB_VIEW_HELP,
    KERB_VIEW_FULLSCREEN,
    KERB_VIEW_SCREENSHOT,
    KERB_VIEW_RECORD,
    KERB_VIEW_QUIT,
} KerbViewAction;

typedef struct KerbViewCommand {
    KerbViewAction action;
    int value;
} KerbViewCommand;

/* A line of the help. */
typedef struct KerbViewKeyHelp {
    const char *keys, *what;
} KerbViewKeyHelp;

/* key: one character as it is typed ("?", not shift and a key), or a name: space, left, right, up, down, escape, return, f11. */
KerbViewCommand kerb_view_key(const char *key);

/* All lines; their number in *n. */
const KerbViewKeyHelp *kerb_view_keys(int *n);
/* The same as text for --help; g_free() it. */
gchar *kerb_view_keys_text(void);

#endif
