/* SPDX-License-Identifier: MIT */
/* The review page: apps/review/page.html with style, script, data and videos put into their places. Enters: JSON and files. Leaves: one HTML file that asks
 * for nothing from elsewhere. What comes from a recording (names of files and classes) goes through JSON or HTML escaping here, and nowhere else. */
#include "review.h"
#include "review_resource.h"
#include "say.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>

typedef struct KerbPage {
    FILE *file;
    const KerbReviewDrive *drive;
    json_t *data;
    gboolean embed;
    gboolean failed; /* errno says why */
    const gchar *unreadable;
} KerbPage;

static void kerb_page_write(KerbPage *page, const gchar *text, gsize bytes)
{
    if (!page->failed && fwrite(text, 1, bytes, page->file) != bytes) page->failed = TRUE;
}

/* JSON in a <script>: no '<' may stand in it, lest it ends the element, or begins a comment. */
static void kerb_page_write_json(KerbPage *page)
{
    char *text = json_dumps(page->data, JSON_COMPACT | JSON_REAL_PRECISION(9));
    for (const char *from = text, *to; from; from = to ? to + 1 : NULL) {
        to = strchr(from, '<');
        kerb_page_write(page, from, to ? (gsize)(to - from) : strlen(from));
        if (to) kerb_page_write(page, "\\u003c", 6);
    }
    free(text);
}

/* A file as base64, in pieces. */
static void kerb_page_write_file(KerbPage *page, const gchar *path)
{
    gint state = 0, save = 0;
    guchar in[3 * 16384];
    gchar *out = g_malloc((sizeof in / 3 + 1) * 4 + 4);
    gsize n;
    FILE *file = g_fopen(path, "rb");
    while (file && (n = fread(in, 1, sizeof in, file)) > 0) kerb_page_write(page, out, g_base64_encode_step(in, n, FALSE, out, &state, &save));
    kerb_page_write(page, out, g_base64_encode_close(FALSE, out, &state, &save));
    if (!file || ferror(file)) page->unreadable = path;
    if (file) fclose(file);
    g_free(out);
}

static void kerb_page_write_videos(KerbPage *page)
{
    for (guint p = 0; page->embed && p < page->drive->parts->len; p++) {
        const KerbReviewPart *part = page->drive->parts->pdata[p];
        gchar *tag = g_strdup_printf("<script type=\"text/plain\" id=\"video-%u\">", p);
        if (part->video) {
            kerb_page_write(page, tag, strlen(tag));
            kerb_page_write_file(page, part->video);
            kerb_page_write(page, "</script>\n", 10);
        }
        g_free(tag);
    }
}

static void kerb_page_write_resource(KerbPage *page, const gchar *name)
{
    gchar *path = g_strconcat("/kerb/review/", name, NULL);
    GBytes *bytes = g_resources_lookup_data(path, G_RESOURCE_LOOKUP_FLAGS_NONE, NULL);
    gsize n = 0;
    const gchar *text = bytes ? g_bytes_get_data(bytes, &n) : NULL;
    if (text) kerb_page_write(page, text, n);
    g_clear_pointer(&bytes, g_bytes_unref);
    g_free(path);
}

/* What stands in the template as {{name}}. */
static void kerb_page_fill(KerbPage *page, const gchar *name)
{
    if (!strcmp(name, "style")) {
        kerb_page_write_resource(page, "page.css");
    } else if (!strcmp(name, "script")) {
        kerb_page_write_resource(page, "page.js");
        kerb_page_write_resource(page, "charts.js");
    } else if (!strcmp(name, "data")) {
        kerb_page_write_json(page);
    } else if (!strcmp(name, "videos")) {
        kerb_page_write_videos(page);
    } else if (!strcmp(name, "title")) {
        gchar *title = g_markup_escape_text(page->drive->name, -1);
        kerb_page_write(page, title, strlen(title));
        g_free(title);
    }
}

static void kerb_page_write_all(KerbPage *page)
{
    GBytes *bytes = g_resources_lookup_data("/kerb/review/page.html", G_RESOURCE_LOOKUP_FLAGS_NONE, NULL);
    gchar *template = g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes)), *from = template;
    for (gchar *open; (open = strstr(from, "{{")) != NULL;) {
        gchar *close = strstr(open, "}}");
        *open = *close = 0;
        kerb_page_write(page, from, strlen(from));
        kerb_page_fill(page, open + 2);
        from = close + 2;
    }
    kerb_page_write(page, from, strlen(from));
    g_free(template);
    g_bytes_unref(bytes);
}

/* Tells the page where each part's video is. */
static void kerb_page_place_videos(KerbPage *page, gchar *const *links)
{
    json_t *parts = json_object_get(page->data, "parts");
    for (guint p = 0; p < page->drive->parts->len; p++) {
        const KerbReviewPart *part = page->drive->parts->pdata[p];
        if (!part->video) continue;
        gchar *embedded = g_strdup_printf("video-%u", p), *link = links && links[p] ? g_uri_escape_string(links[p], NULL, FALSE) : NULL;
        json_object_set_new(json_array_get(parts, p), page->embed ? "embedded" : "link", json_string(page->embed ? embedded : link));
        g_free(embedded);
        g_free(link);
    }
}

int kerb_review_page_write(const gchar *path, const KerbReviewDrive *drive, json_t *data, gboolean embed, gchar *const *links)
{
    KerbPage page = { .file = g_fopen(path, "wb"), .drive = drive, .data = data, .embed = embed };
    if (!page.file) {
        kerb_say("%s cannot be written: %s.", path, g_strerror(errno));
        return KERB_EXIT_STORAGE;
    }
    kerb_page_place_videos(&page, links);
    g_resources_register(kerb_review_get_resource());
    kerb_page_write_all(&page);
    int why = errno;
    if (fclose(page.file)) {
        if (!page.failed) why = errno;
        page.failed = TRUE;
    }
    if (page.failed) kerb_say("%s cannot be written: %s.", path, g_strerror(why));
    if (page.unreadable) kerb_say("%s cannot be read back.", page.unreadable);
    return page.failed || page.unreadable ? KERB_EXIT_STORAGE : KERB_EXIT_OK;
}
