/* SPDX-License-Identifier: MIT */
/* Messages on standard error; see say.h. */
#include "say.h"

#include <kerb.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static GMutex say_lock;
static gboolean status_stands;

static void kerb_say_line(const char *prefix, const char *format, va_list args)
{
    gchar *text = g_strdup_vprintf(format, args);
    g_mutex_lock(&say_lock);
    if (status_stands) fputs("\r\033[K", stderr);
    status_stands = FALSE;
    fprintf(stderr, "kerb: %s%s\n", prefix, text);
    fflush(stderr);
    g_mutex_unlock(&say_lock);
    g_free(text);
}

void kerb_say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    kerb_say_line("", format, args);
    va_end(args);
}

void kerb_warn(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    kerb_say_line("warning: ", format, args);
    va_end(args);
}

void kerb_say_status(const char *line)
{
    g_mutex_lock(&say_lock);
    fprintf(stderr, "\r%s\033[K", line);
    fflush(stderr);
    status_stands = TRUE;
    g_mutex_unlock(&say_lock);
}

void kerb_say_status_end(void)
{
    g_mutex_lock(&say_lock);
    if (status_stands) fputc('\n', stderr);
    status_stands = FALSE;
    g_mutex_unlock(&say_lock);
}

static void kerb_say_logged(void *user, KerbLogLevel level, const char *line)
{
    /* Errors come back as a KerbError as well, and are said once, from there. */
    if (level == KERB_LOG_ERROR) return;
    if (level == KERB_LOG_WARNING)
        kerb_warn("%s", line);
    else
        kerb_say("%s", line);
}

void kerb_say_log(gboolean verbose)
{
    kerb_set_log(kerb_say_logged, NULL, verbose ? KERB_LOG_INFO : KERB_LOG_WARNING);
}

/* Levenshtein's distance, over at most 31 characters of b. */
static guint kerb_distance(const char *a, const char *b)
{
    guint row[32];
    guint n = (guint)MIN(strlen(b), 31);
    for (guint j = 0; j <= n; j++) row[j] = j;
    for (guint i = 1; a[i - 1]; i++) {
        guint diagonal = row[0];
        row[0] = i;
        for (guint j = 1; j <= n; j++) {
            guint above = row[j];
            row[j] = MIN(MIN(above, row[j - 1]) + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[n];
}

const char *kerb_nearest(const char *word, const char *const *candidates)
{
    const char *best = NULL;
    guint least = MAX((guint)strlen(word) / 3, 1) + 1;
    for (; *candidates; candidates++) {
        guint distance = g_str_has_prefix(*candidates, word) ? 1 : kerb_distance(word, *candidates);
        if (distance >= least) continue;
        least = distance;
        best = *candidates;
    }
    return best;
}
