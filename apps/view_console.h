/* SPDX-License-Identifier: MIT */
/* What SDL's driver for a console without a desktop (KMS/DRM) needs of the machine, and what is said where it is missing: SDL itself takes no screen then, and says
 * nothing. It opens no window. Main thread only. */
#ifndef KERB_APPS_VIEW_CONSOLE_H
#define KERB_APPS_VIEW_CONSOLE_H

#include <glib.h>

/* Before SDL's start. SDL takes the keyboard away from the console: where it cannot read it either, it is made to leave it there, so that Ctrl-C ends the view. */
void kerb_view_console_prepare(void);
/* After it: whether SDL shows on the console. Says so where keys cannot come. */
gboolean kerb_view_console_is_used(void);
/* Why SDL finds no screen on the console, and what to do: the end of a sentence that begins with "on a console". g_free() it. */
gchar *kerb_view_console_trouble(void);

#endif
