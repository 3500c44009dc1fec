/* SPDX-License-Identifier: MIT */
/* kerb.h's enumerations as GLib types, for properties. Values are kerb.h's own. */
#ifndef KERB_PLUGIN_ENUMS_H
#define KERB_PLUGIN_ENUMS_H

#include <glib-object.h>

GType kerb_visualize_get_type(void);
GType kerb_fit_get_type(void);
GType kerb_color_get_type(void);
GType kerb_precision_get_type(void);
GType kerb_live_mode_get_type(void);
GType kerb_smoothing_get_type(void);

/* How kerbseg treats frames that come faster than the network runs. The live modes thin inference; none drops video. */
typedef enum KerbLiveMode { KERB_LIVE_EVERY_FRAME, KERB_LIVE_LATEST, KERB_LIVE_HOLD } KerbLiveMode;

#endif
