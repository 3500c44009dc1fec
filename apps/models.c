/* SPDX-License-Identifier: MIT */
/* Paths relative to the executable; see models.h. */
#include "models.h"
#include "say.h"

#include <gst/gst.h>

#define DEMO_MODEL "drive-free.onnx"

/* The folder above the one that the executable lies in: PREFIX of an installation, build/PRESET of a build tree. NULL where /proc is not there. */
static gchar *kerb_prefix(void)
{
    gchar *executable = g_file_read_link("/proc/self/exe", NULL);
    if (!executable) return NULL;
    gchar *bin = g_path_get_dirname(executable), *prefix = g_path_get_dirname(bin);
    g_free(bin);
    g_free(executable);
    return prefix;
}

gchar *kerb_model_find(gboolean quiet)
{
    const gchar *wished = g_getenv("KERB_MODEL");
    if (wished && *wished) return g_strdup(wished);
    gchar *prefix = kerb_prefix(), *found = NULL;
    if (prefix) {
        gchar *places[] = {
            g_build_filename(prefix, "share", "kerb", "models", DEMO_MODEL, NULL),
            g_build_filename(prefix, "..", "..", "models", DEMO_MODEL, NULL), /* build/PRESET of the source tree */
        };
        for (gsize i = 0; i < G_N_ELEMENTS(places); i++) {
            if (!found && g_file_test(places[i], G_FILE_TEST_IS_REGULAR)) found = g_canonicalize_filename(places[i], NULL);
            g_free(places[i]);
        }
    }
    g_free(prefix);
    if (!found)
        kerb_say("no model: give one with --model NET.onnx, or put its path into the environment's KERB_MODEL.");
    else if (!quiet)
        kerb_say("no --model was given: using %s, a demonstration that knows a synthetic town only.", found);
    return found;
}

gboolean kerb_plugin_load(void)
{
    GError *error = NULL;
    if (!gst_init_check(NULL, NULL, &error)) {
        kerb_say("GStreamer does not start: %s", error ? error->message : "it does not say why");
        g_clear_error(&error);
        return FALSE;
    }
    GstPlugin *plugin = gst_plugin_load_by_name("kerb");
    gchar *prefix = plugin ? NULL : kerb_prefix();
    if (prefix) {
        gchar *places[] = {
            g_build_filename(prefix, "gst", "libgstkerb.so", NULL),
            g_build_filename(prefix, KERB_LIBDIR, "gstreamer-1.0", "libgstkerb.so", NULL),
        };
        for (gsize i = 0; i < G_N_ELEMENTS(places); i++) {
            if (!plugin && g_file_test(places[i], G_FILE_TEST_EXISTS)) plugin = gst_plugin_load_file(places[i], &error);
            g_free(places[i]);
        }
    }
    g_free(prefix);
    if (!plugin)
        kerb_say("the GStreamer plugin of Kerb (libgstkerb.so) cannot be loaded%s%s. Install Kerb, or name the plugin's folder in GST_PLUGIN_PATH.",
                 error ? ": " : "", error ? error->message : "");
    g_clear_error(&error);
    gboolean ok = plugin != NULL;
    gst_clear_object(&plugin);
    return ok;
}
