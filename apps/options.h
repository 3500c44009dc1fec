/* SPDX-License-Identifier: MIT */
/* The options that several subcommands share, and the parsing of a subcommand's command line. */
#ifndef KERB_APPS_OPTIONS_H
#define KERB_APPS_OPTIONS_H

#include "supervise.h"

#include <gst/gst.h>
#include <kerb.h>

/* A subcommand. `run` gets its own name as argv[0], and returns the exit code. */
typedef struct KerbCommand {
    const char *name;
    const char *arguments; /* "SOURCE -o FILE.mkv" */
    const char *summary;   /* one line */
    const char *description; /* shown below the options: examples */
    int (*run)(const struct KerbCommand *command, int argc, char **argv);
} KerbCommand;

extern const KerbCommand kerb_command_record, kerb_command_view, kerb_command_review, kerb_command_bench, kerb_command_eval, kerb_command_inspect, kerb_command_calibrate, kerb_command_devices;

/* Which of the shared options a subcommand takes. */
typedef enum KerbOptionSet {
    KERB_OPTIONS_NETWORK = 1, /* model and how it runs */
    KERB_OPTIONS_DISPLAY = 2, /* how results are drawn */
    KERB_OPTIONS_SOURCE = 4,  /* how a source is read */
    KERB_OPTIONS_JSON = 8,
    KERB_OPTIONS_QUIET = 16,
    KERB_OPTIONS_LIVE = 32,   /* options_live.h */
} KerbOptionSet;

/* Their values. Strings are owned; kerb_options_clear() frees them. */
typedef struct KerbOptions {
    gchar *model, *card, *labels, *backend, *cpu_list, *precision_name, *fit_name, *network_size;
    gint threads, device;
    gboolean no_tune;
    gchar *palette, *visualize_name, *classes;
    gdouble alpha;
    gdouble rate;
    gchar *live_mode, *smoothing; /* checked names; NULL: not said */
    gdouble max_age_ms;           /* 0: no limit */
    gdouble max_wait_ms;
    gint inference_interval;
    gboolean carry;
    gchar *camera_format;
    KerbLive supervision; /* of cameras and network streams */
    gboolean json, quiet, verbose;
    gchar **arguments; /* what is left; NULL-terminated, never NULL after parsing */
    /* What the texts mean. */
    KerbPrecision precision;
    KerbFit fit;
    KerbVisualize visualize;
    gint network_width, network_height;
} KerbOptions;

/* Parses a command line: `own` (may be NULL) are the subcommand's own options, `sets` the shared ones. argv is not changed. Returns TRUE to go on;
 * FALSE: the subcommand is over (help was asked for, or the user must correct something, which was said) and *exit_code is its code.
 * With KERB_OPTIONS_NETWORK the model is found as kerb_model_find() does. */
gboolean kerb_options_parse(const KerbCommand *command, KerbOptions *options, unsigned sets, const GOptionEntry *own, int argc, char **argv,
                            int *exit_code);
void kerb_options_clear(KerbOptions *options);

/* "1280x720" -> 1280, 720. FALSE, having said why, for anything else or sides outside 1..KERB_MAX_SIDE_PX. */
gboolean kerb_options_size(const char *option, const char *text, gint *width, gint *height);

/* The one argument that a subcommand needs; NULL, having said so, where there is none or more. */
const gchar *kerb_options_single(const KerbCommand *command, const KerbOptions *options, const char *what);

/* To the engine's configuration (strings stay the options'), and to the properties of a kerbseg. */
void kerb_options_config(const KerbOptions *options, KerbConfig *config);
void kerb_options_apply(const KerbOptions *options, GstElement *kerbseg);

/* The display for these classes: alpha, palette's colours are in the classes already, and the classes to paint. FALSE, having said why, where
 * --classes names one that is not there. */
gboolean kerb_options_display(const KerbOptions *options, const KerbClass *classes, int n, KerbDisplay *display);

#endif
