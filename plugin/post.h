/* SPDX-License-Identifier: MIT */
/* Kerb's errors as bus messages. */
#ifndef KERB_PLUGIN_POST_H
#define KERB_PLUGIN_POST_H

#include "kerb.h"
#include <gst/gst.h>

/* Posts an ERROR (or WARNING) message whose text is the engine's own. Domain and code follow from the status; ASSET becomes
 * RESOURCE/NOT_FOUND where `missing_file` names a file that is not there (NULL: not asked). Its details structure, "kerb-error", carries
 * `status` (gint, KerbStatus) and `exit-code` (gint), so that programs need not read the text. */
void kerb_post(GstElement *element, GstMessageType type, const KerbError *error, const gchar *missing_file);

/* A WARNING of RESOURCE/SETTINGS: a value that was not taken. Takes `text`. */
void kerb_post_setting(GstElement *element, gchar *text);

#endif
