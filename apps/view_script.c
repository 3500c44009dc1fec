/* SPDX-License-Identifier: MIT */
/* Reading and playing scripts; see view_script.h. */
#include "view_script.h"
#include "say.h"

#include <string.h>

typedef struct KerbViewScriptLine {
    const char *command;
    gchar **words;
    gdouble x, y;
} KerbViewScriptLine;

struct KerbViewScript {
    GArray *lines;
    guint at, word;
    gint64 frames_until, time_until_us; /* 0: not waiting */
};

/* How many words and numbers a command takes. */
static const struct {
    const char *name;
    int words, numbers; /* words -1: one or more */
} kerb_view_script_commands[] = { { "key", -1, 0 },   { "wheel", 0, 1 }, { "move", 0, 2 },   { "press", 0, 2 }, { "release", 0, 2 }, { "click", 0, 2 }, { "drop", 1, 0 },
                                  { "resize", 0, 2 }, { "frames", 0, 1 }, { "sleep", 0, 1 }, { "shot", 1, 0 },  { "state", 0, 0 },   { "quit", 0, 0 } };

static gboolean kerb_view_script_parse(gchar **words, KerbViewScriptLine *line)
{
    guint n = g_strv_length(words) - 1;
    gdouble numbers[2] = { 0 };
    *line = (KerbViewScriptLine){ .words = words };
    for (gsize i = 0; i < G_N_ELEMENTS(kerb_view_script_commands); i++) {
        if (strcmp(words[0], kerb_view_script_commands[i].name)) continue;
        int want_words = kerb_view_script_commands[i].words, want_numbers = kerb_view_script_commands[i].numbers;
        if (want_words < 0 ? n < 1 : n != (guint)(want_words + want_numbers)) return FALSE;
        for (int k = 0; k < want_numbers; k++) {
            gchar *end = NULL;
            numbers[k] = g_ascii_strtod(words[1 + k], &end);
            if (end == words[1 + k] || *end || !(numbers[k] >= -1e6 && numbers[k] <= 1e6)) return FALSE;
        }
        line->command = kerb_view_script_commands[i].name;
        line->x = numbers[0];
        line->y = numbers[1];
        return TRUE;
    }
    return FALSE;
}

/* Words between blanks. */
static gchar **kerb_view_script_words(const gchar *text)
{
    GPtrArray *words = g_ptr_array_new();
    gchar **pieces = g_strsplit_set(text, " \t\r", -1);
    for (gchar **piece = pieces; *piece && **piece != '#'; piece++)
        if (**piece) g_ptr_array_add(words, g_strdup(*piece));
    g_strfreev(pieces);
    g_ptr_array_add(words, NULL);
    return (gchar **)g_ptr_array_free(words, FALSE);
}

KerbViewScript *kerb_view_script_new(const gchar *path)
{
    gchar *text = NULL;
    GError *error = NULL;
    if (!g_file_get_contents(path, &text, NULL, &error)) {
        kerb_say("--script: %s", error->message);
        g_clear_error(&error);
        return NULL;
    }
    KerbViewScript *s = g_new0(KerbViewScript, 1);
    s->lines = g_array_new(FALSE, FALSE, sizeof(KerbViewScriptLine));
    gchar **lines = g_strsplit(text, "\n", -1);
    for (guint i = 0; lines[i] && s; i++) {
        gchar **words = kerb_view_script_words(lines[i]);
        KerbViewScriptLine line;
        if (!words[0]) {
            g_strfreev(words);
        } else if (kerb_view_script_parse(words, &line)) {
            g_array_append_val(s->lines, line);
        } else {
            kerb_say("--script: line %u of %s is not understood: \"%s\".", i + 1, path, lines[i]);
            g_strfreev(words);
            kerb_view_script_free(&s);
        }
    }
    g_strfreev(lines);
    g_free(text);
    return s;
}

void kerb_view_script_free(KerbViewScript **script)
{
    KerbViewScript *s = *script;
    if (!s) return;
    for (guint i = 0; i < s->lines->len; i++) g_strfreev(g_array_index(s->lines, KerbViewScriptLine, i).words);
    g_array_free(s->lines, TRUE);
    g_clear_pointer(script, g_free);
}

/* --------------------------------------------------------------------------------------------------------------- events */

static void kerb_view_script_key(const gchar *name)
{
    static const struct {
        const char *name;
        SDL_Keycode code;
    } named[] = { { "space", SDLK_SPACE }, { "left", SDLK_LEFT }, { "right", SDLK_RIGHT }, { "up", SDLK_UP }, { "down", SDLK_DOWN }, { "escape", SDLK_ESCAPE },
                  { "return", SDLK_RETURN }, { "f11", SDLK_F11 } };
    SDL_Event down = { .key = { .type = SDL_KEYDOWN, .state = SDL_PRESSED } };
    for (gsize i = 0; i < G_N_ELEMENTS(named); i++)
        if (!strcmp(name, named[i].name)) down.key.keysym.sym = named[i].code;
    gboolean is_text = !down.key.keysym.sym;
    SDL_PushEvent(&down);
    SDL_Event text = { .text = { .type = SDL_TEXTINPUT } };
    g_strlcpy(text.text.text, name, sizeof text.text.text);
    if (is_text) SDL_PushEvent(&text);
}

static void kerb_view_script_mouse(Uint32 type, int x, int y)
{
    SDL_Event event = { .type = type };
    if (type == SDL_MOUSEMOTION) {
        event.motion.x = x;
        event.motion.y = y;
    } else {
        event.button.button = SDL_BUTTON_LEFT;
        event.button.clicks = 1;
        event.button.x = x;
        event.button.y = y;
    }
    SDL_PushEvent(&event);
}

static void kerb_view_script_event(const KerbViewScriptLine *line)
{
    int x = (int)line->x, y = (int)line->y;
    if (!strcmp(line->command, "move")) kerb_view_script_mouse(SDL_MOUSEMOTION, x, y);
    if (!strcmp(line->command, "press") || !strcmp(line->command, "click")) kerb_view_script_mouse(SDL_MOUSEBUTTONDOWN, x, y);
    if (!strcmp(line->command, "release") || !strcmp(line->command, "click")) kerb_view_script_mouse(SDL_MOUSEBUTTONUP, x, y);
    if (!strcmp(line->command, "wheel")) SDL_PushEvent(&(SDL_Event){ .wheel = { .type = SDL_MOUSEWHEEL, .y = x } });
    if (!strcmp(line->command, "drop")) SDL_PushEvent(&(SDL_Event){ .drop = { .type = SDL_DROPFILE, .file = SDL_strdup(line->words[1]) } });
    if (!strcmp(line->command, "quit")) SDL_PushEvent(&(SDL_Event){ .type = SDL_QUIT });
}

/* Whether a wait is over. */
static gboolean kerb_view_script_waits(KerbViewScript *s, gint64 shown)
{
    if (s->frames_until && shown < s->frames_until) return TRUE;
    if (s->time_until_us && g_get_monotonic_time() < s->time_until_us) return TRUE;
    s->frames_until = s->time_until_us = 0;
    return FALSE;
}

KerbViewScriptWish kerb_view_script_next(KerbViewScript *s, gint64 shown)
{
    KerbViewScriptWish wish = { .what = KERB_SCRIPT_NOTHING };
    if (s->at >= s->lines->len || kerb_view_script_waits(s, shown)) return wish;
    const KerbViewScriptLine *line = &g_array_index(s->lines, KerbViewScriptLine, s->at);
    if (!strcmp(line->command, "key")) {
        kerb_view_script_key(line->words[++s->word]);
        if (line->words[s->word + 1]) return wish; /* the others in turns of their own */
        s->word = 0;
    } else if (!strcmp(line->command, "frames")) {
        s->frames_until = shown + (gint64)line->x;
    } else if (!strcmp(line->command, "sleep")) {
        s->time_until_us = g_get_monotonic_time() + (gint64)(line->x * 1e6);
    } else if (!strcmp(line->command, "resize")) {
        wish = (KerbViewScriptWish){ .what = KERB_SCRIPT_RESIZE, .width = (int)line->x, .height = (int)line->y };
    } else if (!strcmp(line->command, "shot")) {
        wish = (KerbViewScriptWish){ .what = KERB_SCRIPT_SHOT, .path = line->words[1] };
    } else if (!strcmp(line->command, "state")) {
        wish.what = KERB_SCRIPT_STATE;
    } else {
        kerb_view_script_event(line);
    }
    s->at++;
    return wish;
}
