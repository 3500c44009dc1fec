/* SPDX-License-Identifier: MIT */
/* Live options; see options_live.h. */
#include "options_live.h"
#include "say.h"

#include <string.h>

static const char *const kerb_live_modes[] = { "every-frame", "latest", "hold", NULL };
static const char *const kerb_smoothings[] = { "off", "light", "strong", NULL };

void kerb_options_add_live(GOptionContext *context, KerbOptions *o)
{
    const GOptionEntry entries[] = {
        { "live-mode", 0, 0, G_OPTION_ARG_STRING, &o->live_mode, "every-frame (default for files), latest (default for live sources), hold", "NAME" },
        { "max-age", 0, 0, G_OPTION_ARG_DOUBLE, &o->max_age_ms, "Labels of frames further away in time are not shown (default: no limit)", "MS" },
        { "max-wait", 0, 0, G_OPTION_ARG_DOUBLE, &o->max_wait_ms, "hold: how long a frame waits for its own labels (default 50)", "MS" },
        { "inference-interval", 0, 0, G_OPTION_ARG_INT, &o->inference_interval, "Infer every so many frames at most (default 1)", "N" },
        { "carry", 0, 0, G_OPTION_ARG_NONE, &o->carry, "Move labels of older frames along with the picture", NULL },
        { "smoothing", 0, 0, G_OPTION_ARG_STRING, &o->smoothing, "Of labels over time: off (default), light, strong", "NAME" },
        { 0 },
    };
    GOptionGroup *group = g_option_group_new("live", "Live options:", "Options of live sources", NULL, NULL);
    g_option_group_add_entries(group, entries);
    g_option_context_add_group(context, group);
}

static gboolean kerb_options_is_one_of(const char *option, const char *text, const char *const *names)
{
    if (!text || g_strv_contains(names, text)) return TRUE;
    gchar *valid = g_strjoinv(", ", (gchar **)names);
    kerb_say("%s=%s is not known. Valid are: %s.", option, text, valid);
    g_free(valid);
    return FALSE;
}

gboolean kerb_options_check_live(const KerbOptions *o)
{
    if (!kerb_options_is_one_of("--live-mode", o->live_mode, kerb_live_modes) || !kerb_options_is_one_of("--smoothing", o->smoothing, kerb_smoothings)) return FALSE;
    if (!(o->max_age_ms >= 0 && o->max_age_ms <= 1e9)) {
        kerb_say("--max-age=%g is outside 0 to 1000000000 milliseconds (0: no limit).", o->max_age_ms);
        return FALSE;
    }
    if (!(o->max_wait_ms >= 0 && o->max_wait_ms <= 10000)) {
        kerb_say("--max-wait=%g is outside 0 to 10000 milliseconds.", o->max_wait_ms);
        return FALSE;
    }
    if (o->inference_interval >= 1 && o->inference_interval <= 1000) return TRUE;
    kerb_say("--inference-interval=%d is outside 1 to 1000 frames.", o->inference_interval);
    return FALSE;
}

KerbSmoothing kerb_options_smoothing(const KerbOptions *o)
{
    int i = KERB_SMOOTHING_OFF;
    while (o->smoothing && kerb_smoothings[i] && strcmp(o->smoothing, kerb_smoothings[i])) i++;
    return (KerbSmoothing)i;
}

void kerb_options_apply_live(const KerbOptions *o, gboolean is_live, GstElement *kerbseg)
{
    gst_util_set_object_arg(G_OBJECT(kerbseg), "live-mode", o->live_mode ? o->live_mode : is_live ? "latest" : "every-frame");
    if (o->smoothing) gst_util_set_object_arg(G_OBJECT(kerbseg), "smoothing", o->smoothing);
    g_object_set(kerbseg, "carry", o->carry, "max-wait", (guint64)(o->max_wait_ms * 1e6), "inference-interval", (guint)o->inference_interval, NULL);
    if (o->max_age_ms > 0) g_object_set(kerbseg, "max-age", (guint64)(o->max_age_ms * 1e6), NULL);
}
