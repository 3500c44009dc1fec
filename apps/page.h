/* SPDX-License-Identifier: MIT */
/* Pages of HTML that reports are written as. */
#ifndef KERB_APPS_PAGE_H
#define KERB_APPS_PAGE_H

#include <glib.h>

/* Text between tags, or in an attribute with quotes: what means something in HTML is escaped. */
void kerb_page_text(GString *page, const gchar *text);

#endif
