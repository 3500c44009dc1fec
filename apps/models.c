/* SPDX-License-Identifier: MIT */
/* The engine knows where its models are; the plugin is looked for relative to the executable. See models.h. */
#include "models.h"
#include "say.h"

#include <gst/gst.h>
#include <kerb.h>

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

gchar *kerb_model_find(gboolean quiet, int *exit_code)
{
    char path[KERB_PATH_BYTES];
    KerbError error;
    KerbStatus status = kerb_model_default(path, &error);
    if (status != KERB_OK) {
        kerb_say("%s", error.message);
        *exit_code = kerb_exit_code(status);
        return NULL;
    }
    const gchar *wished = g_getenv("KERB_MODEL");
    if (!quiet && !(wished && *wished))
        kerb_say("no --model was given: using %s%s.", path,
                 g_str_has_suffix(path, "/drive-free.onnx") ? ", which knows a synthetic town only, for drive.onnx is not there" : "");
    return g_strdup(path);
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
