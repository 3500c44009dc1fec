/* SPDX-License-Identifier: MIT */
/* The page of statistics; see view_stats.h. */
#include "view_stats.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEAST_GRAPH_PX 40

void kerb_view_stats_add(KerbViewStats *s, const KerbTimes *t, gdouble age_ms, gint64 now_us)
{
    KerbViewSample sample = { .age_ms = (float)age_ms };
    if (t) {
        sample.queue_ms = (float)((gdouble)t->queue_ns / 1e6);
        sample.in_ms = (float)((gdouble)t->in_ns / 1e6);
        sample.net_ms = (float)((gdouble)t->net_ns / 1e6);
        sample.out_ms = (float)((gdouble)t->out_ns / 1e6);
    }
    s->samples[s->at] = sample;
    s->at = (s->at + 1) % KERB_VIEW_SAMPLES;
    s->n = MIN(s->n + 1, KERB_VIEW_SAMPLES);
    s->shown++;
    s->fps_frames++;
    if (!s->fps_since_us) s->fps_since_us = now_us, s->fps_frames = 0;
    if (now_us - s->fps_since_us < G_USEC_PER_SEC / 2) return;
    s->fps = (gdouble)s->fps_frames * 1e6 / (gdouble)(now_us - s->fps_since_us);
    s->fps_since_us = now_us;
    s->fps_frames = 0;
}

void kerb_view_stats_restart_rate(KerbViewStats *s)
{
    s->fps_since_us = 0;
}

KerbViewSample kerb_view_stats_mean(const KerbViewStats *s)
{
    KerbViewSample sum = { 0 };
    for (int i = 0; i < s->n; i++) {
        sum.queue_ms += s->samples[i].queue_ms;
        sum.in_ms += s->samples[i].in_ms;
        sum.net_ms += s->samples[i].net_ms;
        sum.out_ms += s->samples[i].out_ms;
        sum.age_ms += s->samples[i].age_ms;
    }
    float n = (float)MAX(s->n, 1);
    return (KerbViewSample){ sum.queue_ms / n, sum.in_ms / n, sum.net_ms / n, sum.out_ms / n, sum.age_ms / n };
}

static int kerb_view_compare_float(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Nearest rank; sorts. */
static float kerb_view_rank(float *values, int n, double share)
{
    if (!n) return 0;
    qsort(values, (size_t)n, sizeof *values, kerb_view_compare_float);
    return values[CLAMP((int)ceil(share * n) - 1, 0, n - 1)];
}

gdouble kerb_view_stats_age_ms(const KerbViewStats *s, gdouble share)
{
    float ages[KERB_VIEW_SAMPLES];
    for (int i = 0; i < s->n; i++) ages[i] = s->samples[i].age_ms;
    return (gdouble)kerb_view_rank(ages, s->n, share);
}

/* --------------------------------------------------------------------------------------------------------------- graph */

typedef enum KerbViewSeries { SERIES_IN, SERIES_NET, SERIES_OUT, SERIES_AGE, SERIES } KerbViewSeries;
static const SDL_Color kerb_view_series_color[SERIES] = { { 96, 165, 250, 255 }, { 250, 190, 88, 255 }, { 72, 199, 160, 255 }, { 240, 242, 245, 255 } };
static const char *const kerb_view_series_name[SERIES] = { "in", "network", "out", "age" };

/* The end of the scale: 10, 20, 50, 100, ... */
static double kerb_view_graph_end(double most)
{
    double end = 10;
    for (int i = 0; end < most && i < 24; i++) end *= i % 3 == 1 ? 2.5 : 2;
    return end;
}

static void kerb_view_graph_grid(const KerbViewCanvas *c, SDL_Rect area, double end_ms, gdouble frame_ms)
{
    for (int i = 1; i <= 4; i++) kerb_view_fill(c, (SDL_Rect){ area.x, area.y + area.h - area.h * i / 4, area.w, 1 }, (SDL_Color){ 255, 255, 255, 36 });
    char text[24];
    snprintf(text, sizeof text, "%.0f ms", end_ms);
    kerb_view_text_draw(c->text, area.x + kerb_view_px(c, 3), area.y, text, kerb_view_faint, 0);
    if (!(frame_ms > 0 && frame_ms < end_ms)) return;
    int y = area.y + area.h - (int)lround(area.h * frame_ms / end_ms), line = kerb_view_px(c, 1.5);
    kerb_view_fill(c, (SDL_Rect){ area.x, y, area.w, line }, (SDL_Color){ 255, 96, 82, 200 });
    snprintf(text, sizeof text, "a frame: %.1f ms", frame_ms);
    int width = kerb_view_text_width_px(c->text, text), below = y + line, above = y - kerb_view_text_line_px(c->text);
    kerb_view_text_draw(c->text, area.x + area.w - width - kerb_view_px(c, 3), above > area.y ? above : below, text, kerb_view_red, 0);
}

/* Stages are piled up, a column a frame, newest at the right; the age is a line. */
static void kerb_view_graph_columns(const KerbViewStats *s, const KerbViewCanvas *c, SDL_Rect area, double end_ms)
{
    SDL_Rect rects[SERIES][KERB_VIEW_SAMPLES];
    for (int i = 0; i < s->n; i++) {
        const KerbViewSample *sample = &s->samples[(s->at - 1 - i + 2 * KERB_VIEW_SAMPLES) % KERB_VIEW_SAMPLES];
        const float stage[3] = { sample->in_ms, sample->net_ms, sample->out_ms };
        int right = area.x + area.w - i * area.w / KERB_VIEW_SAMPLES, left = area.x + area.w - (i + 1) * area.w / KERB_VIEW_SAMPLES, y = area.y + area.h;
        double sum = 0;
        for (int k = 0; k < 3; k++) {
            sum += (double)stage[k];
            int top = MAX(area.y + area.h - (int)lround(area.h * sum / end_ms), area.y);
            rects[k][i] = (SDL_Rect){ left, top, MAX(right - left, 1), y - top };
            y = top;
        }
        int age = CLAMP(area.y + area.h - (int)lround(area.h * (double)sample->age_ms / end_ms), area.y, area.y + area.h - 2);
        rects[SERIES_AGE][i] = (SDL_Rect){ left, age, MAX(right - left, 1), kerb_view_px(c, 2) };
    }
    for (int k = 0; k < SERIES; k++) {
        SDL_Color color = kerb_view_series_color[k];
        SDL_SetRenderDrawColor(c->renderer, color.r, color.g, color.b, color.a);
        SDL_RenderFillRects(c->renderer, rects[k], s->n);
    }
}

static void kerb_view_graph_draw(const KerbViewStats *s, const KerbViewCanvas *c, SDL_Rect area, gdouble frame_ms)
{
    float tops[KERB_VIEW_SAMPLES];
    for (int i = 0; i < s->n; i++) {
        const KerbViewSample *sample = &s->samples[i];
        tops[i] = MAX(sample->in_ms + sample->net_ms + sample->out_ms, sample->age_ms);
    }
    /* A frame that was an exception goes out of the picture at the top, and all others stay readable. */
    double usual = (double)kerb_view_rank(tops, s->n, 0.97) * 1.1, end_ms = kerb_view_graph_end(MAX(usual, frame_ms < 200 ? frame_ms * 1.1 : 0));
    int row = kerb_view_text_line_px(c->text) + kerb_view_px(c, 4), x = area.x, swatch = row / 2;
    area.h -= row;
    kerb_view_fill(c, area, (SDL_Color){ 0, 0, 0, 120 });
    kerb_view_graph_columns(s, c, area, end_ms);
    kerb_view_graph_grid(c, area, end_ms, frame_ms);
    for (int k = 0; k < SERIES; k++) {
        kerb_view_fill(c, (SDL_Rect){ x, area.y + area.h + (row - swatch) / 2 + kerb_view_px(c, 2), swatch, swatch }, kerb_view_series_color[k]);
        x += swatch + kerb_view_px(c, 5);
        kerb_view_text_draw(c->text, x, area.y + area.h + kerb_view_px(c, 4), kerb_view_series_name[k], kerb_view_faint, 0);
        x += kerb_view_text_width_px(c->text, kerb_view_series_name[k]) + kerb_view_px(c, 14);
    }
}

/* ---------------------------------------------------------------------------------------------------------------- page */

int kerb_view_stats_end_px(const KerbViewCanvas *c)
{
    int margin = kerb_view_px(c, KERB_VIEW_MARGIN);
    return margin + MIN(kerb_view_px(c, 560), c->width_px - 2 * margin);
}

void kerb_view_stats_draw(const KerbViewStats *s, const KerbViewCanvas *c, const char *const *lines, gdouble frame_ms, int top_px)
{
    int margin = kerb_view_px(c, KERB_VIEW_MARGIN), pad = kerb_view_px(c, KERB_VIEW_PAD), row = kerb_view_text_line_px(c->text) + kerb_view_px(c, 2), n = 0, names = 0;
    int corner = kerb_view_label_size(c, "0").y + 2 * margin, room = c->height_px - top_px - corner - 2 * pad;
    for (; lines[n]; n++) {
        gchar *name = g_strndup(lines[n], strcspn(lines[n], "\t"));
        names = MAX(names, kerb_view_text_width_px(c->text, name));
        g_free(name);
    }
    n = MIN(n, MAX(room / row, 1));
    int graph = MIN(room - n * row - pad, kerb_view_px(c, 190));
    if (graph < LEAST_GRAPH_PX + row) graph = 0;
    SDL_Rect rect = { margin, top_px, kerb_view_stats_end_px(c) - margin, n * row + 2 * pad + (graph ? graph + pad : 0) };
    kerb_view_plate(c, rect);
    for (int i = 0; i < n; i++) {
        gsize name_bytes = strcspn(lines[i], "\t");
        gchar *name = g_strndup(lines[i], name_bytes);
        int x = rect.x + pad, y = rect.y + pad + i * row, value_x = x + names + pad * 3 / 2;
        kerb_view_text_draw(c->text, x, y, name, kerb_view_faint, 0);
        if (lines[i][name_bytes]) kerb_view_text_draw(c->text, value_x, y, lines[i] + name_bytes + 1, kerb_view_ink, MAX(rect.x + rect.w - pad - value_x, 1));
        g_free(name);
    }
    if (graph) kerb_view_graph_draw(s, c, (SDL_Rect){ rect.x + pad, rect.y + 2 * pad + n * row, rect.w - 2 * pad, graph }, frame_ms);
}
