/* SPDX-License-Identifier: MIT */
/* What pages share; see page.h. */
#include "page.h"

void kerb_page_text(GString *page, const gchar *text)
{
    gchar *escaped = g_markup_escape_text(text, -1);
    g_string_append(page, escaped);
    g_free(escaped);
}
