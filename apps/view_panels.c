/* SPDX-License-Identifier: MIT */
/* Drawing of panels; see view_panels.h. */
#include "view_panels.h"
#include "view_keys.h"

#include <stdio.h>
#include <string.h>

#define LEAST_TEXT_PX 7 /* of panels that must fit */

/* -------------------------------------------------------------------------------------------------------------- legend */

/* Where the legend lies: columns of rows, and which classes have one. */
typedef struct KerbViewLegend {
    SDL_Rect rect;
    int columns, rows, column_px, row_px;
    int n;                       /* cells with a class in them */
    int hidden;                  /* classes without: told in one more cell */
    gboolean with_shares;
    guint8 label[KERB_MAX_CLASSES];
} KerbViewLegend;

/* Which classes are shown where not all can be: those that fill most of the picture, in the order of their labels. */
static void kerb_view_legend_choose(KerbViewLegend *l, const KerbViewPanels *panels, int cells)
{
    gboolean chosen[KERB_MAX_CLASSES] = { FALSE };
    l->hidden = MAX(panels->n_classes - cells, 0);
    if (l->hidden) cells = MAX(cells - 1, 0), l->hidden = panels->n_classes - cells;
    for (int k = 0; k < panels->n_classes - l->hidden; k++) {
        int best = -1;
        for (int i = 0; i < panels->n_classes; i++)
            if (!chosen[i] && (best < 0 || panels->shares[i] > panels->shares[best])) best = i;
        chosen[best] = TRUE;
    }
    for (int i = 0; i < panels->n_classes; i++)
        if (chosen[i]) l->label[l->n++] = (guint8)i;
}

static void kerb_view_legend_place(KerbViewLegend *l, const KerbViewCanvas *c, const KerbViewPanels *panels)
{
    *l = (KerbViewLegend){ .row_px = kerb_view_text_line_px(c->text) + kerb_view_px(c, 4), .with_shares = c->width_px >= 480 };
    int margin = kerb_view_px(c, KERB_VIEW_MARGIN), pad = kerb_view_px(c, KERB_VIEW_PAD), names = kerb_view_text_width_px(c->text, "+ 99 more");
    int corner = panels->corner || panels->age ? kerb_view_text_line_px(c->text) + pad + margin : 0;
    int room_w = c->width_px - 2 * margin - 2 * pad, most_rows = MAX((c->height_px - 2 * margin - 2 * pad - corner) / l->row_px, 1);
    for (int i = 0; i < panels->n_classes; i++) names = MAX(names, kerb_view_text_width_px(c->text, panels->classes[i].name));
    l->column_px = kerb_view_text_width_px(c->text, "9  ") + l->row_px + names + (l->with_shares ? kerb_view_text_width_px(c->text, "  100.0 %") : 0);
    int most_columns = CLAMP((int)(room_w * 0.6) / (l->column_px + 2 * pad), 1, 8);
    l->columns = MAX((panels->n_classes + most_rows - 1) / most_rows, 1);
    if (l->columns > most_columns) l->columns = 1; /* not all fit: then few rather than half the picture */
    l->column_px = MIN(l->column_px, MAX(room_w, 1));
    kerb_view_legend_choose(l, panels, most_rows * l->columns);
    int cells = l->n + (l->hidden > 0);
    l->rows = MAX((cells + l->columns - 1) / l->columns, 1);
    l->rect.w = l->columns * l->column_px + 2 * pad * l->columns;
    l->rect.h = l->rows * l->row_px + 2 * pad;
    l->rect.x = c->width_px - margin - l->rect.w;
    l->rect.y = margin;
}

static void kerb_view_legend_row(const KerbViewCanvas *c, const KerbViewPanels *panels, const KerbViewLegend *l, int label, int x, int y)
{
    const guint8 *rgb = panels->display->rgb[label];
    gboolean on = panels->display->enabled[label];
    SDL_Color color = on ? kerb_view_ink : kerb_view_faint;
    int text_y = y + kerb_view_px(c, 2), size = l->row_px * 3 / 5, end = x + l->column_px;
    if (label < 9) kerb_view_text_draw(c->text, x, text_y, (char[]){ (char)('1' + label), 0 }, kerb_view_faint, 0);
    SDL_Rect swatch = { x + kerb_view_text_width_px(c->text, "9  "), y + (l->row_px - size) / 2, size, size };
    kerb_view_fill(c, swatch, (SDL_Color){ rgb[0], rgb[1], rgb[2], 255 });
    int hole = MAX(size / 6, 1);
    if (!on) kerb_view_fill(c, (SDL_Rect){ swatch.x + hole, swatch.y + hole, size - 2 * hole, size - 2 * hole }, (SDL_Color){ 16, 18, 22, 255 });
    x = swatch.x + l->row_px;
    if (l->with_shares) {
        char share[16];
        snprintf(share, sizeof share, "%.1f %%", (double)panels->shares[label] * 100);
        int width = kerb_view_text_width_px(c->text, share);
        kerb_view_text_draw(c->text, end - width, text_y, share, panels->shares[label] > 0 ? color : kerb_view_faint, 0);
        end -= kerb_view_text_width_px(c->text, "  100.0 %");
    }
    kerb_view_text_draw(c->text, x, text_y, panels->classes[label].name, color, MAX(end - x, 1));
}

static SDL_Point kerb_view_legend_cell(const KerbViewCanvas *c, const KerbViewLegend *l, int cell)
{
    int pad = kerb_view_px(c, KERB_VIEW_PAD);
    return (SDL_Point){ l->rect.x + pad + cell / l->rows * (l->column_px + 2 * pad), l->rect.y + pad + cell % l->rows * l->row_px };
}

static void kerb_view_legend_draw(const KerbViewCanvas *c, const KerbViewPanels *panels)
{
    KerbViewLegend l;
    kerb_view_legend_place(&l, c, panels);
    kerb_view_plate(c, l.rect);
    for (int i = 0; i < l.n; i++) {
        SDL_Point at = kerb_view_legend_cell(c, &l, i);
        kerb_view_legend_row(c, panels, &l, l.label[i], at.x, at.y);
    }
    if (!l.hidden) return;
    char more[32];
    SDL_Point at = kerb_view_legend_cell(c, &l, l.n);
    snprintf(more, sizeof more, "+ %d more", l.hidden);
    kerb_view_text_draw(c->text, at.x + kerb_view_text_width_px(c->text, "9  ") + l.row_px, at.y + kerb_view_px(c, 2), more, kerb_view_faint, 0);
}

int kerb_view_panels_legend_x(const KerbViewCanvas *c, const KerbViewPanels *panels)
{
    KerbViewLegend l;
    if (!panels->show_legend || !panels->n_classes) return c->width_px;
    kerb_view_legend_place(&l, c, panels);
    return l.rect.x;
}

int kerb_view_panels_class_at(const KerbViewCanvas *c, const KerbViewPanels *panels, int x, int y)
{
    if (!panels->show_legend || panels->show_help || !panels->n_classes) return -1;
    KerbViewLegend l;
    kerb_view_legend_place(&l, c, panels);
    if (!SDL_PointInRect(&(SDL_Point){ x, y }, &l.rect)) return -1;
    for (int i = 0; i < l.n; i++) {
        SDL_Point at = kerb_view_legend_cell(c, &l, i);
        if (y >= at.y && y < at.y + l.row_px && x >= at.x - kerb_view_px(c, KERB_VIEW_PAD) && x < at.x + l.column_px + kerb_view_px(c, KERB_VIEW_PAD)) return l.label[i];
    }
    return -1;
}

/* ---------------------------------------------------------------------------------------------------------------- help */

static void kerb_view_help_draw(const KerbViewCanvas *c)
{
    int n, keys_px = 0, what_px = 0, margin = kerb_view_px(c, KERB_VIEW_MARGIN), text_px = c->text_px + 1, row;
    const KerbViewKeyHelp *lines = kerb_view_keys(&n);
    do { /* the greatest text that fits */
        kerb_view_text_size(c->fit, --text_px);
        row = kerb_view_text_line_px(c->fit) + (text_px > LEAST_TEXT_PX + 2 ? text_px / 4 : 0);
        for (int i = keys_px = what_px = 0; i < n; i++) {
            keys_px = MAX(keys_px, kerb_view_text_width_px(c->fit, lines[i].keys));
            what_px = MAX(what_px, kerb_view_text_width_px(c->fit, lines[i].what));
        }
    } while (text_px > LEAST_TEXT_PX && (n * row + text_px > c->height_px || keys_px + what_px + 5 * text_px > c->width_px - margin));
    SDL_Rect rect = { 0, 0, MIN(keys_px + what_px + 5 * text_px, c->width_px), MIN(n * row + (text_px > LEAST_TEXT_PX + 2 ? 2 : 1) * text_px, c->height_px) };
    rect.x = (c->width_px - rect.w) / 2;
    rect.y = (c->height_px - rect.h) / 2;
    kerb_view_fill(c, rect, (SDL_Color){ 16, 18, 22, 238 });
    int top = rect.y + MAX((rect.h - n * row) / 2, 0), what_x = rect.x + keys_px + 3 * text_px;
    for (int i = 0; i < n; i++) {
        kerb_view_text_draw(c->fit, rect.x + text_px * 3 / 2, top + i * row, lines[i].keys, kerb_view_ink, 0);
        kerb_view_text_draw(c->fit, what_x, top + i * row, lines[i].what, kerb_view_faint, rect.x + rect.w - what_x);
    }
}

/* ------------------------------------------------------------------------------------------------------------ the rest */

static void kerb_view_hover_draw(const KerbViewCanvas *c, const KerbViewPanels *panels)
{
    SDL_Point size = kerb_view_label_size(c, panels->hover);
    int pad = kerb_view_px(c, KERB_VIEW_PAD), away = kerb_view_px(c, 14), swatch = panels->hover_has_color ? size.y / 2 : 0;
    size.x += swatch + (swatch ? pad : 0);
    int x = panels->mouse_x + away, y = panels->mouse_y + away;
    if (x + size.x > c->width_px) x = panels->mouse_x - away - size.x;
    if (y + size.y > c->height_px) y = panels->mouse_y - away - size.y;
    SDL_Rect plate = { CLAMP(x, 0, MAX(c->width_px - size.x, 0)), CLAMP(y, 0, MAX(c->height_px - size.y, 0)), size.x, size.y };
    kerb_view_plate(c, plate);
    if (swatch)
        kerb_view_fill(c, (SDL_Rect){ plate.x + pad, plate.y + (plate.h - swatch) / 2, swatch, swatch },
                       (SDL_Color){ panels->hover_rgb[0], panels->hover_rgb[1], panels->hover_rgb[2], 255 });
    kerb_view_text_draw(c->text, plate.x + pad + (swatch ? swatch + pad : 0), plate.y + pad / 2, panels->hover, kerb_view_ink, 0);
}

/* Time and rate in the lower left corner, and right of them the age. Returns where they end. */
static int kerb_view_corner_draw(const KerbViewCanvas *c, const KerbViewPanels *panels)
{
    int margin = kerb_view_px(c, KERB_VIEW_MARGIN), x = margin, y = c->height_px - margin - kerb_view_label_size(c, "0").y;
    if (panels->corner) {
        SDL_Rect plate = kerb_view_label(c, x, y, panels->corner, kerb_view_ink);
        x = plate.x + plate.w;
    }
    if (panels->age) {
        SDL_Rect plate = kerb_view_label(c, x, y, panels->age, panels->is_stale ? kerb_view_red : kerb_view_ink);
        x = plate.x + plate.w;
    }
    return x;
}

/* A few words in the bottom row, where no other panel lies; above it where there is no room. */
static void kerb_view_notice_draw(const KerbViewCanvas *c, const KerbViewPanels *panels, int from_x)
{
    SDL_Point size = kerb_view_label_size(c, panels->notice);
    int margin = kerb_view_px(c, KERB_VIEW_MARGIN), x = MAX((c->width_px - size.x) / 2, from_x + margin), y = c->height_px - margin - size.y;
    if (from_x > margin && x + size.x > c->width_px) y -= size.y + margin / 2;
    kerb_view_label(c, x, y, panels->notice, panels->notice_is_bad ? kerb_view_red : kerb_view_ink);
}

static void kerb_view_states_draw(const KerbViewCanvas *c, const KerbViewPanels *panels)
{
    int margin = kerb_view_px(c, KERB_VIEW_MARGIN), x = margin;
    if (panels->recording) {
        SDL_Rect plate = kerb_view_label(c, x, margin, panels->recording, panels->recording_lags ? kerb_view_amber : kerb_view_red);
        x = plate.x + plate.w + margin;
    }
    if (panels->paused) kerb_view_label(c, x, margin, panels->paused, kerb_view_amber);
}

void kerb_view_panels_draw(const KerbViewCanvas *c, const KerbViewPanels *panels)
{
    if (panels->show_legend && panels->n_classes && !panels->show_help) kerb_view_legend_draw(c, panels);
    int corner_x = kerb_view_corner_draw(c, panels);
    kerb_view_states_draw(c, panels);
    if (panels->show_help) kerb_view_help_draw(c);
    if (panels->notice) kerb_view_notice_draw(c, panels, corner_x);
    if (panels->hover && !panels->show_help) kerb_view_hover_draw(c, panels);
}
