/* SPDX-License-Identifier: MIT */
/* Keys on the terminal while a recording runs; see record.h. A terminal only, and only in its foreground: a script's standard input is the script's. */
#include "record.h"

#include <glib-unix.h>
#include <signal.h>
#include <termios.h>
#include <unistd.h>

static struct {
    void (*pressed)(gpointer user, char key);
    gpointer user;
    struct termios before;
    guint watch;
    gint is_raw;
} keys; /* there is one terminal */

static gboolean kerb_record_keys_ready(gint fd, GIOCondition condition, gpointer user)
{
    char key;
    gssize n = read(fd, &key, 1);
    if (n == 1) keys.pressed(keys.user, key);
    if (n == 1 || (n < 0 && !(condition & (G_IO_HUP | G_IO_ERR)))) return G_SOURCE_CONTINUE;
    keys.watch = 0;
    return G_SOURCE_REMOVE;
}

void kerb_record_keys_open(void (*pressed)(gpointer user, char key), gpointer user)
{
    if (!isatty(STDIN_FILENO) || tcgetpgrp(STDIN_FILENO) != getpgrp() || tcgetattr(STDIN_FILENO, &keys.before)) return;
    struct termios raw = keys.before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO); /* keys come at once; Ctrl-C stays a signal */
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    if (tcsetattr(STDIN_FILENO, TCSANOW, &raw)) return;
    g_atomic_int_set(&keys.is_raw, 1);
    keys.pressed = pressed;
    keys.user = user;
    keys.watch = g_unix_fd_add(STDIN_FILENO, G_IO_IN | G_IO_HUP | G_IO_ERR, kerb_record_keys_ready, NULL);
}

void kerb_record_keys_close(void)
{
    if (g_atomic_int_compare_and_exchange(&keys.is_raw, 1, 0)) tcsetattr(STDIN_FILENO, TCSANOW, &keys.before);
    if (keys.watch) g_source_remove(keys.watch);
    keys.watch = 0;
}
