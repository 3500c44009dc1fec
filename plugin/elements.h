/* SPDX-License-Identifier: MIT */
/* What the plugin registers: each element lives in the file of its name. */
#ifndef KERB_PLUGIN_ELEMENTS_H
#define KERB_PLUGIN_ELEMENTS_H

#include <gst/gst.h>

GST_ELEMENT_REGISTER_DECLARE(kerbseg)
GST_ELEMENT_REGISTER_DECLARE(kerboverlay)

#endif
