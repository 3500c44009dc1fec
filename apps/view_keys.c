/* SPDX-License-Identifier: MIT */
/* The table of keys; see view_keys.h. */
#include "view_keys.h"

#include <string.h>

static const struct {
    const char *key;
    KerbViewCommand command;
} kerb_view_table[] = {
    { "space", { KERB_VIEW_PAUSE, 0 } },   { "p", { KERB_VIEW_PAUSE, 0 } },        { ".", { KERB_VIEW_STEP, 1 } },      { ",", { KERB_VIEW_STEP, -1 } },
    { "right", { KERB_VIEW_SEEK, 5 } },    { "left", { KERB_VIEW_SEEK, -5 } },     { "up", { KERB_VIEW_SEEK, 60 } },    { "down", { KERB_VIEW_SEEK, -60 } },
    { "[", { KERB_VIEW_OPACITY, -1 } },    { "]", { KERB_VIEW_OPACITY, 1 } },      { "-", { KERB_VIEW_OPACITY, -1 } },  { "+", { KERB_VIEW_OPACITY, 1 } },
    { "=", { KERB_VIEW_OPACITY, 1 } },     { "m", { KERB_VIEW_MODE, 1 } },         { "M", { KERB_VIEW_MODE, -1 } },     { "a", { KERB_VIEW_ALL_CLASSES, 0 } },
    { "l", { KERB_VIEW_LEGEND, 0 } },      { "i", { KERB_VIEW_STATS, 0 } },        { "o", { KERB_VIEW_CORNER, 0 } },    { "?", { KERB_VIEW_HELP, 0 } },
    { "h", { KERB_VIEW_HELP, 0 } },        { "f", { KERB_VIEW_FULLSCREEN, 0 } },   { "f11", { KERB_VIEW_FULLSCREEN, 0 } }, { "s", { KERB_VIEW_SCREENSHOT, 0 } },
    { "r", { KERB_VIEW_RECORD, 0 } },      { "q", { KERB_VIEW_QUIT, 0 } },         { "escape", { KERB_VIEW_QUIT, 0 } },
};

/* One line for what belongs together. */
static const KerbViewKeyHelp kerb_view_help[] = {
    { "space, p", "pause, go on" },
    { ".  ,", "one frame on, one back" },
    { "←  →", "5 seconds back, on" },
    { "↓  ↑", "60 seconds back, on" },
    { "[  ]  − +, wheel", "opacity" },
    { "m  M", "next view, previous view" },
    { "drag", "move the divider of a split view" },
    { "1 … 9, click on legend", "a class on or off" },
    { "a", "all classes, none" },
    { "mouse over", "class and confidence" },
    { "l", "legend" },
    { "i", "statistics" },
    { "o", "corner: time, rate, age" },
    { "s", "screenshot" },
    { "r", "start, end a recording" },
    { "f, F11, double click", "full screen" },
    { "drop a file", "open a video, load a model" },
    { "?  h", "this help" },
    { "q, Escape", "quit" },
};

KerbViewCommand kerb_view_key(const char *key)
{
    if (key[0] >= '1' && key[0] <= '9' && !key[1]) return (KerbViewCommand){ KERB_VIEW_CLASS, key[0] - '1' };
    for (gsize i = 0; i < G_N_ELEMENTS(kerb_view_table); i++)
        if (!strcmp(key, kerb_view_table[i].key)) return kerb_view_table[i].command;
    return (KerbViewCommand){ KERB_VIEW_NOTHING, 0 };
}

const KerbViewKeyHelp *kerb_view_keys(int *n)
{
    *n = (int)G_N_ELEMENTS(kerb_view_help);
    return kerb_view_help;
}

gchar *kerb_view_keys_text(void)
{
    GString *text = g_string_new("Keys:\n");
    for (gsize i = 0; i < G_N_ELEMENTS(kerb_view_help); i++) {
        glong pad = 24 - g_utf8_strlen(kerb_view_help[i].keys, -1);
        g_string_append_printf(text, "  %s%*s%s\n", kerb_view_help[i].keys, (int)MAX(pad, 1), "", kerb_view_help[i].what);
    }
    return g_string_free(text, FALSE);
}
