/* SPDX-License-Identifier: MIT */
/* What `kerb` says on standard error, and the numbers it ends with. Any thread. */
#ifndef KERB_APPS_SAY_H
#define KERB_APPS_SAY_H

#include <glib.h>

/* Exit codes (docs/kerb.md lists them). */
typedef enum KerbExit {
    KERB_EXIT_OK = 0,          /* the stream ended, or SIGINT or SIGTERM ended it */
    KERB_EXIT_USAGE = 2,       /* an option or argument that the user can correct */
    KERB_EXIT_ASSET = 3,       /* a model, video or other file that is missing, damaged or cannot be used */
    KERB_EXIT_CAMERA = 4,      /* a camera or network stream that is lost */
    KERB_EXIT_STORAGE = 5,     /* a file that cannot be written */
    KERB_EXIT_BACKEND = 6,     /* the backend has failed for good */
    KERB_EXIT_INTERNAL = 7,    /* a fault of Kerb's, or no memory */
    KERB_EXIT_INTERRUPTED = 130, /* the second SIGINT or SIGTERM */
} KerbExit;

/* "kerb: TEXT" on a line of its own; a progress line that stands there is wiped away first. */
void kerb_say(const char *format, ...) G_GNUC_PRINTF(1, 2);
/* The same with "kerb: warning: " before it. */
void kerb_warn(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* A line without newline that the next one replaces (terminals only). */
void kerb_say_status(const char *line);
/* Ends the status line: it stays above what follows. */
void kerb_say_status_end(void);

/* Sends the engine's log to standard error: warnings, or with `verbose` everything from level info on. */
void kerb_say_log(gboolean verbose);

/* The candidate that `word` is a misspelling of, or NULL. candidates: NULL-terminated. */
const char *kerb_nearest(const char *word, const char *const *candidates);

#endif
