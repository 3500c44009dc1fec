/* SPDX-License-Identifier: MIT */
/* Progress; see progress.h. */
#include "progress.h"
#include "say.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define TERMINAL_US (G_USEC_PER_SEC / 8)
#define PLAIN_US (2 * G_USEC_PER_SEC)

void kerb_progress_init(KerbProgress *p, gboolean quiet)
{
    *p = (KerbProgress){ .quiet = quiet, .terminal = isatty(STDERR_FILENO) && g_strcmp0(g_getenv("TERM"), "dumb") != 0 };
}

static guint kerb_progress_columns(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) || !size.ws_col ? 80 : size.ws_col;
}

/* "2:05", "1:02:05" */
static gchar *kerb_progress_time(gdouble seconds)
{
    guint s = (guint)(seconds + 0.5);
    return s < 3600 ? g_strdup_printf("%u:%02u", s / 60, s % 60) : g_strdup_printf("%u:%02u:%02u", s / 3600, s / 60 % 60, s % 60);
}

static gchar *kerb_progress_bar(gdouble share, guint width)
{
    /* Eighths of a cell. */
    static const char *const eighths[] = { "", "▏", "▎", "▍", "▌", "▋", "▊", "▉" };
    GString *bar = g_string_new(NULL);
    guint filled = (guint)(share * width * 8 + 0.5);
    for (guint i = 0; i < filled / 8; i++) g_string_append(bar, "█");
    if (filled % 8) g_string_append(bar, eighths[filled % 8]);
    for (guint i = (filled + 7) / 8; i < width; i++) g_string_append(bar, "·");
    return g_string_free(bar, FALSE);
}

void kerb_progress_update(KerbProgress *p, guint64 frames, gdouble done_s, gdouble total_s, const gchar *more)
{
    gint64 now_us = g_get_monotonic_time();
    if (p->quiet || !frames) return;
    if (!p->began_us) {
        p->began_us = now_us;
        p->began_done_s = done_s;
        p->began_frames = frames;
        if (!p->terminal) p->said_us = now_us;
    }
    if (p->said_us && now_us - p->said_us < (p->terminal ? TERMINAL_US : PLAIN_US)) return;
    p->said_us = now_us;
    gdouble elapsed_s = (gdouble)(now_us - p->began_us) / 1e6;
    gdouble fps = elapsed_s > 0 ? (gdouble)(frames - p->began_frames) / elapsed_s : 0;
    gdouble speed = elapsed_s > 0 ? (done_s - p->began_done_s) / elapsed_s : 0;
    gchar *done = kerb_progress_time(done_s), *total = kerb_progress_time(total_s), *left = NULL;
    if (total_s > 0 && speed > 0 && elapsed_s > 0.5) left = kerb_progress_time(MAX(total_s - done_s, 0) / speed);
    gdouble share = total_s > 0 ? CLAMP(done_s / total_s, 0, 1) : 0;
    gchar *figures = g_strdup_printf("%" G_GUINT64_FORMAT " frames, %.1f fps%s%s%s%s%s", frames, fps, *more ? ", " : "", more, left ? ", " : "", left ? left : "", left ? " left" : "");
    gchar *line;
    if (p->terminal && total_s > 0) {
        gint room = (gint)kerb_progress_columns() - 48 - (gint)strlen(more);
        gchar *bar = kerb_progress_bar(share, (guint)CLAMP(room, 8, 40));
        line = g_strdup_printf("%3.0f %% %s %s", share * 100, bar, figures);
        g_free(bar);
    } else if (total_s > 0) {
        line = g_strdup_printf("%3.0f %%  %s of %s, %s", share * 100, done, total, figures);
    } else {
        line = g_strdup_printf("%s, %s", done, figures);
    }
    if (p->terminal)
        kerb_say_status(line);
    else
        kerb_say("%s", line);
    g_free(line);
    g_free(figures);
    g_free(left);
    g_free(total);
    g_free(done);
}

/* ----------------------------------------------------------------------------------------------------------- compiling */

#define COMPILING_US (G_USEC_PER_SEC / 2)
#define COMPILING_PLAIN_US (5 * G_USEC_PER_SEC)

static struct {
    GMutex lock;
    gint64 began_us, said_us;
    gboolean shown;
} kerb_compiling;

void kerb_progress_compiling(void *user, const char *what, int done, int total)
{
    gboolean terminal = isatty(STDERR_FILENO) && g_strcmp0(g_getenv("TERM"), "dumb") != 0, over = total > 0 && done >= total;
    gint64 now_us = g_get_monotonic_time(), wait_us = terminal ? COMPILING_US : COMPILING_PLAIN_US;
    g_mutex_lock(&kerb_compiling.lock);
    if (!kerb_compiling.began_us) kerb_compiling.began_us = kerb_compiling.said_us = now_us;
    gboolean say = kerb_compiling.shown && terminal ? now_us - kerb_compiling.said_us >= TERMINAL_US : now_us - kerb_compiling.said_us >= wait_us;
    gboolean wipe = over && kerb_compiling.shown && terminal;
    if (say) kerb_compiling.said_us = now_us;
    kerb_compiling.shown |= say;
    if (over) kerb_compiling.began_us = 0, kerb_compiling.shown = FALSE;
    g_mutex_unlock(&kerb_compiling.lock);
    if (wipe) {
        kerb_say_status("");
        return;
    }
    if (!say) return;
    gchar *count = total > 0 ? g_strdup_printf("%s %d/%d", what, done, total) : g_strdup_printf("%s %d", what, done);
    gchar *bar = terminal && total > 0 ? kerb_progress_bar((gdouble)done / total, CLAMP(kerb_progress_columns() / 3, 8, 40)) : NULL;
    gchar *line = g_strdup_printf("%s%s%s", count, bar ? " " : "", bar ? bar : "");
    if (terminal)
        kerb_say_status(line);
    else
        kerb_say("%s", line);
    g_free(line);
    g_free(bar);
    g_free(count);
}

/* On the thread that opens the network. */
static void kerb_progress_message(GstBus *bus, GstMessage *message, gpointer user)
{
    const GstStructure *s = gst_message_get_structure(message);
    gint done = 0, total = 0;
    if (!s || !gst_structure_has_name(s, "kerb-progress") || !gst_structure_get_int(s, "done", &done)) return;
    gst_structure_get_int(s, "total", &total);
    const gchar *what = gst_structure_get_string(s, "what");
    kerb_progress_compiling(NULL, what ? what : "compiling", done, total);
}

void kerb_progress_watch(GstElement *pipeline)
{
    GstBus *bus = gst_element_get_bus(pipeline);
    gst_bus_enable_sync_message_emission(bus);
    g_signal_connect(bus, "sync-message::element", G_CALLBACK(kerb_progress_message), NULL);
    gst_object_unref(bus);
}
