/* SPDX-License-Identifier: MIT */
/* Where `kerb` finds what belongs to it: the model that came with it, and the GStreamer plugin. */
#ifndef KERB_APPS_MODELS_H
#define KERB_APPS_MODELS_H

#include <glib.h>

/* The model to use where the user names none: kerb_model_default()'s. Says once which it is (unless quiet, or KERB_MODEL names it). NULL, having said
 * what to do, with the exit code in *exit_code, where there is none. g_free() it. */
gchar *kerb_model_find(gboolean quiet, int *exit_code);

/* Starts GStreamer and makes sure that its plugin `kerb` is there: from GStreamer's own paths, or from this tree. FALSE, having said what to do. */
gboolean kerb_plugin_load(void);

#endif
