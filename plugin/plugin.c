/* SPDX-License-Identifier: MIT */
/* The front door of libgstkerb.so: registers the elements and sends the engine's log to GStreamer's category "kerb". */
#include "elements.h"
#include "kerb.h"
#include "kerbtestsrc.h"
#include "meta.h"

GST_DEBUG_CATEGORY_STATIC(kerb_debug);

static void kerb_plugin_log(void *user, KerbLogLevel level, const char *line)
{
    static const GstDebugLevel levels[] = {
        [KERB_LOG_ERROR] = GST_LEVEL_ERROR, [KERB_LOG_WARNING] = GST_LEVEL_WARNING, [KERB_LOG_INFO] = GST_LEVEL_INFO,
        [KERB_LOG_DEBUG] = GST_LEVEL_DEBUG, [KERB_LOG_TRACE] = GST_LEVEL_TRACE,
    };
    if (level <= KERB_LOG_TRACE) GST_CAT_LEVEL_LOG(kerb_debug, levels[level], NULL, "%s", line);
}

/* The engine formats only what someone may read: GStreamer's threshold when the plugin is loaded decides. */
static KerbLogLevel kerb_plugin_log_level(void)
{
    GstDebugLevel level = gst_debug_category_get_threshold(kerb_debug);
    if (level >= GST_LEVEL_TRACE) return KERB_LOG_TRACE;
    if (level >= GST_LEVEL_DEBUG) return KERB_LOG_DEBUG;
    if (level >= GST_LEVEL_INFO) return KERB_LOG_INFO;
    return level >= GST_LEVEL_WARNING ? KERB_LOG_WARNING : KERB_LOG_ERROR;
}

static gboolean kerb_plugin_init(GstPlugin *plugin)
{
    GST_DEBUG_CATEGORY_INIT(kerb_debug, "kerb", 0, "Kerb's engine");
    kerb_set_log(kerb_plugin_log, NULL, kerb_plugin_log_level());
    /* Readers of the metadata find its type by name (kerbmeta.h): it must be there as soon as the plugin is. */
    kerb_seg_meta_register();
    gboolean ok = GST_ELEMENT_REGISTER(kerbseg, plugin);
    ok |= GST_ELEMENT_REGISTER(kerboverlay, plugin);
    ok |= gst_element_register(plugin, "kerbtestsrc", GST_RANK_NONE, KERB_TYPE_TEST_SRC);
    return ok;
}

#define PACKAGE "kerb"
GST_PLUGIN_DEFINE(GST_VERSION_MAJOR, GST_VERSION_MINOR, kerb, "Kerb: real-time segmentation of road video", kerb_plugin_init, KERB_VERSION,
                  "MIT/X11", "Kerb", "Unknown package origin")
