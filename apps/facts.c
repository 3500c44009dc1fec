/* SPDX-License-Identifier: MIT */
/* Facts of a second; see facts.h. */
#include "facts.h"
#include "kerbmeta.h"

#include <string.h>

void kerb_facts_init(KerbFacts *f)
{
    *f = (KerbFacts){ .ages_ms = g_array_new(FALSE, FALSE, sizeof(gint64)), .events = g_string_new(NULL), .since_us = g_get_monotonic_time() };
}

void kerb_facts_clear(KerbFacts *f)
{
    if (f->ages_ms) g_array_free(f->ages_ms, TRUE);
    if (f->events) g_string_free(f->events, TRUE);
    *f = (KerbFacts){ 0 };
}

guint32 *kerb_facts_count(GstBuffer *buffer)
{
    KerbSegMeta *meta = kerb_seg_meta_get(buffer);
    GstMapInfo map;
    if (!meta || !gst_buffer_map(meta->labels, &map, GST_MAP_READ)) return NULL;
    guint32 *pixels = g_new0(guint32, 256);
    for (gint y = 0; y < meta->height; y++) {
        const guint8 *row = map.data + (gsize)y * (gsize)meta->stride;
        for (gint x = 0; x < meta->width; x++) pixels[row[x]]++;
    }
    gst_buffer_unmap(meta->labels, &map);
    return pixels;
}

void kerb_facts_add(KerbFacts *f, const KerbFrameFacts *frame)
{
    gint64 age_ms = (frame->age + GST_MSECOND / 2) / GST_MSECOND;
    g_array_append_val(f->ages_ms, age_ms);
    f->frames++;
    f->left_out += frame->left_out;
    f->gap += frame->gap;
    for (int i = 0; frame->pixels && i < 256; i++) f->pixels[i] += frame->pixels[i];
}

void kerb_facts_event(KerbFacts *f, const gchar *name)
{
    g_string_append(f->events, " event=");
    for (; *name; name++) g_string_append_c(f->events, g_ascii_isalnum(*name) || *name == '-' || *name == '_' ? *name : '_');
}

static gint kerb_facts_order(gconstpointer a, gconstpointer b)
{
    gint64 x = *(const gint64 *)a, y = *(const gint64 *)b;
    return x < y ? -1 : x > y;
}

/* One decimal, with a point in every language. */
static void kerb_facts_number(GString *line, const gchar *key, gdouble value, const gchar *unit)
{
    gchar text[G_ASCII_DTOSTR_BUF_SIZE];
    g_string_append_printf(line, " %s=%s%s", key, g_ascii_formatd(text, sizeof text, "%.1f", value), unit);
}

static void kerb_facts_shares(const KerbFacts *f, GString *line, const KerbClass *classes, int n)
{
    guint64 all = 0;
    for (int i = 0; i < 256; i++) all += f->pixels[i];
    for (int i = 0; i < n && all; i++) {
        if (!f->pixels[i]) continue;
        gchar *name = g_strdup(classes[i].name);
        for (gchar *c = name; *c; c++)
            if (!g_ascii_isalnum(*c) && *c != '-' && *c != '_') *c = '_';
        kerb_facts_number(line, name, 100.0 * (gdouble)f->pixels[i] / (gdouble)all, "%");
        g_free(name);
    }
}

gchar *kerb_facts_line(KerbFacts *f, guint64 second, guint64 encoded, const KerbClass *classes, int n_classes)
{
    GString *line = NULL;
    gint64 now_us = g_get_monotonic_time();
    gdouble elapsed_s = (gdouble)MAX(now_us - f->since_us, 1) / 1e6;
    if (f->frames || f->events->len) {
        line = g_string_new(NULL);
        g_string_append_printf(line, "t=%" G_GUINT64_FORMAT, second);
        kerb_facts_number(line, "fps", (f->frames + f->left_out) / elapsed_s, "");
        g_array_sort(f->ages_ms, kerb_facts_order);
        guint n = f->ages_ms->len;
        if (n)
            g_string_append_printf(line, " age_p50_ms=%" G_GINT64_FORMAT " age_max_ms=%" G_GINT64_FORMAT, g_array_index(f->ages_ms, gint64, (n - 1) / 2),
                                   g_array_index(f->ages_ms, gint64, n - 1));
        kerb_facts_number(line, "encode_fps", (gdouble)(encoded - MIN(encoded, f->since_encoded)) / elapsed_s, "");
        g_string_append_printf(line, " gap_ms=%" G_GUINT64_FORMAT, (guint64)(f->gap / GST_MSECOND));
        if (f->left_out) g_string_append_printf(line, " left_out=%u", f->left_out);
        g_string_append(line, f->events->str);
        kerb_facts_shares(f, line, classes, n_classes);
    }
    g_array_set_size(f->ages_ms, 0);
    memset(f->pixels, 0, sizeof f->pixels);
    f->frames = f->left_out = 0;
    f->gap = 0;
    g_string_truncate(f->events, 0);
    f->since_us = now_us;
    f->since_encoded = encoded;
    return line ? g_string_free(line, FALSE) : NULL;
}
