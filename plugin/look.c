/* SPDX-License-Identifier: MIT */
/* visualize, alpha, palette, selected-classes; see look.h. */
#include "look.h"
#include "enums.h"

#include <gst/gst.h>
#include <string.h>

void kerb_look_init(KerbLook *look)
{
    *look = (KerbLook){.visualize = KERB_VISUALIZE_OVERLAY, .alpha = 0.5, .selected = g_strdup("all")};
}

void kerb_look_clear(KerbLook *look)
{
    g_clear_pointer(&look->palette, g_free);
    g_clear_pointer(&look->selected, g_free);
}

void kerb_look_install(GObjectClass *klass, guint first_id)
{
    const GParamFlags live = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING;
    g_object_class_install_property(klass, first_id + KERB_LOOK_VISUALIZE,
                                    g_param_spec_enum("visualize", "Visualize", "What the picture shows. Since: 0.1",
                                                      kerb_visualize_get_type(), KERB_VISUALIZE_OVERLAY, live));
    g_object_class_install_property(
        klass, first_id + KERB_LOOK_ALPHA,
        g_param_spec_double("alpha", "Alpha", "Opacity of the overlay: 0 shows the frame only, 1 the class colours only. Since: 0.1", 0.0,
                            1.0, 0.5, live));
    g_object_class_install_property(
        klass, first_id + KERB_LOOK_PALETTE,
        g_param_spec_string(
            "palette", "Palette",
            "Class colours: camvid, cityscapes, voc, road, lane, or a labels file (`name r g b` a line, or JSON). A class takes the "
            "colour of its name there, or else of its index. Unset: the model's own. Since: 0.1",
            NULL, live));
    g_object_class_install_property(
        klass, first_id + KERB_LOOK_SELECTED,
        g_param_spec_string("selected-classes", "Selected classes",
                            "Classes to paint: names or label indices between commas, `all` (all but the background) or `none`. Since: 0.1",
                            "all", live));
}

static int kerb_look_find(const KerbClass *classes, int n, const gchar *name)
{
    for (int i = 0; i < n; i++)
        if (!g_ascii_strcasecmp(classes[i].name, name)) return i;
    return -1;
}

/* A name, or the index where no class has that name. */
static int kerb_look_class(const KerbClass *classes, int n, const gchar *word)
{
    int found = kerb_look_find(classes, n, word);
    gchar *end = NULL;
    gint64 index = g_ascii_strtoll(word, &end, 10);
    if (found < 0 && end != word && !*end && index >= 0 && index < n) found = (int)index;
    return found;
}

static gchar *kerb_look_no_class(const KerbClass *classes, int n, const gchar *word)
{
    GString *text = g_string_new(NULL);
    g_string_printf(text, "selected-classes: there is no class \"%s\". Valid are all, none, the indices 0 to %d, and the names", word,
                    n - 1);
    for (int i = 0; i < n; i++) g_string_append_printf(text, "%s %s", i ? "," : "", classes[i].name);
    g_string_append_c(text, '.');
    return g_string_free(text, FALSE);
}

static gboolean kerb_look_select(const gchar *selected, const KerbClass *classes, int n, KerbDisplay *display, gchar **complaint)
{
    gboolean ok = TRUE;
    bool enabled[KERB_MAX_CLASSES] = {false};
    gchar **words = g_strsplit(selected, ",", -1);
    for (gchar **word = words; ok && *word; word++) {
        g_strstrip(*word);
        int found = **word ? kerb_look_class(classes, n, *word) : -1;
        if (found >= 0) {
            enabled[found] = true;
        } else if (!g_ascii_strcasecmp(*word, "all")) {
            for (int i = 0; i < n; i++) enabled[i] |= !classes[i].is_background;
        } else if (**word && g_ascii_strcasecmp(*word, "none")) {
            *complaint = kerb_look_no_class(classes, n, *word);
            ok = FALSE;
        }
    }
    g_strfreev(words);
    if (ok) memcpy(display->enabled, enabled, sizeof enabled);
    return ok;
}

static gboolean kerb_look_paint(const gchar *palette, const KerbClass *classes, int n, KerbDisplay *display, gchar **complaint)
{
    KerbClass *colors = g_new(KerbClass, KERB_MAX_CLASSES);
    int n_colors = 0;
    KerbError error;
    gboolean ok = kerb_classes_load(palette, colors, &n_colors, &error) == KERB_OK;
    if (!ok) *complaint = g_strdup_printf("palette: %s", error.message);
    for (int i = 0; ok && i < n; i++) {
        int from = kerb_look_find(colors, n_colors, classes[i].name);
        if (from < 0 && i < n_colors) from = i;
        if (from >= 0) memcpy(display->rgb[i], colors[from].rgb, 3);
    }
    g_free(colors);
    return ok;
}

gboolean kerb_look_display(const KerbLook *look, const KerbClass *classes, int n, KerbDisplay *display, gchar **complaint)
{
    kerb_display_init(display, classes, n);
    display->visualize = look->visualize;
    display->alpha = (float)look->alpha;
    gchar *of_palette = NULL, *of_classes = NULL;
    if (look->palette && *look->palette) kerb_look_paint(look->palette, classes, n, display, &of_palette);
    if (n > 0) kerb_look_select(look->selected, classes, n, display, &of_classes);
    if (!of_palette && !of_classes) return TRUE;
    *complaint = g_strjoin(of_palette && of_classes ? " " : "", of_palette ? of_palette : "", of_classes ? of_classes : "", NULL);
    g_free(of_palette);
    g_free(of_classes);
    return FALSE;
}

gboolean kerb_look_set(KerbLook *look, guint which, const GValue *value, const KerbClass *classes, int n, gchar **complaint)
{
    KerbLook wish = *look; /* shares the strings; the one that is set replaces its own */
    gchar *word = which == KERB_LOOK_PALETTE || which == KERB_LOOK_SELECTED ? g_value_dup_string(value) : NULL;
    switch (which) {
    case KERB_LOOK_VISUALIZE: look->visualize = (KerbVisualize)g_value_get_enum(value); return TRUE;
    case KERB_LOOK_ALPHA: look->alpha = g_value_get_double(value); return TRUE;
    case KERB_LOOK_PALETTE: wish.palette = word; break;
    default: wish.selected = word = word ? word : g_strdup("all"); break;
    }
    KerbDisplay display;
    if (!kerb_look_display(&wish, classes, n, &display, complaint)) {
        g_free(word);
        return FALSE;
    }
    g_free(which == KERB_LOOK_PALETTE ? look->palette : look->selected);
    *look = wish;
    return TRUE;
}

void kerb_look_get(const KerbLook *look, guint which, GValue *value)
{
    switch (which) {
    case KERB_LOOK_VISUALIZE: g_value_set_enum(value, look->visualize); break;
    case KERB_LOOK_ALPHA: g_value_set_double(value, look->alpha); break;
    case KERB_LOOK_PALETTE: g_value_set_string(value, look->palette); break;
    default: g_value_set_string(value, look->selected); break;
    }
}
