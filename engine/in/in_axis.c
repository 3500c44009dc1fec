/* SPDX-License-Identifier: MIT */
/* Tables of taps. See in_axis.h; the positions themselves come from in_pixel.h. */
#include "in/in_axis.h"

#include "base/memory.h"

#include <string.h>

static int kerb_in_min(int a, int b) { return a < b ? a : b; }
static int kerb_in_max(int a, int b) { return a > b ? a : b; }

static void *kerb_in_array(size_t n, size_t bytes)
{
    size_t total;
    return kerb_mul_size(n, bytes, &total) ? kerb_alloc(total) : NULL;
}

/* Output of lane `lane` of a group; the lanes past the last output repeat it, so that they read what is there. */
static int kerb_in_lane_output(const KerbInTile *tile, int group, int lane)
{
    return tile->x + kerb_in_min(group * KERB_IN_GROUP + lane, tile->n - 1);
}

static void kerb_in_linear_group(KerbInLinearGroup *g, KerbInAxisMap map, int first_output, const KerbInTile *tile, int group)
{
    for (int lane = 0; lane < KERB_IN_GROUP; lane++) {
        int half = lane / 8, slot = 2 * (lane % 8);
        KerbInLinear tap = kerb_in_linear(map, first_output + kerb_in_lane_output(tile, group, lane));
        if (slot == 0) g->base[half] = tap.start - tile->sample;
        /* An axis that is not averaged by area shrinks by 2 at most: 8 outputs span 16 samples. */
        int at = tap.start - tile->sample - g->base[half];
        g->pairs[half][slot] = (uint8_t)at;
        g->pairs[half][slot + 1] = (uint8_t)(tap.weight > 0 ? at + 1 : at);
        g->weight[lane] = tap.weight;
    }
}

/* Fills base and samples from start and n; quads stays false where an output has more than 4 samples or 4 outputs span more than 16. */
static void kerb_in_box_quads(KerbInBoxGroup *g)
{
    if (g->n_max > 4) return;
    memset(g->samples, 0x80, sizeof g->samples);
    for (int lane = 0; lane < KERB_IN_GROUP; lane++) {
        int quad = lane / 4, n = g->n[lane];
        uint8_t *samples = &g->samples[quad][4 * (lane % 4)];
        if (lane % 4 == 0) g->base[quad] = g->start[lane];
        int at = g->start[lane] - g->base[quad];
        if (at + n > 16) return;
        for (int i = 0; i < n; i++) samples[n > 1 && i == n - 1 ? 3 : i] = (uint8_t)(at + i);
    }
    g->quads = true;
}

static void kerb_in_box_group(KerbInBoxGroup *g, KerbInAxisMap map, int first_output, const KerbInTile *tile, int group)
{
    for (int lane = 0; lane < KERB_IN_GROUP; lane++) {
        KerbInBoxAcross box = kerb_in_box_across(kerb_in_box(map, first_output + kerb_in_lane_output(tile, group, lane)));
        g->start[lane] = box.start - tile->sample;
        g->n[lane] = box.n;
        g->n_max = kerb_in_max(g->n_max, box.n);
        g->middle = box.middle;
        g->less_first[lane] = box.less_first;
        g->less_last[lane] = box.less_last;
    }
    kerb_in_box_quads(g);
}

/* Samples that outputs [tile->x, tile->x + tile->n) read. */
static void kerb_in_tile_samples(KerbInTile *tile, KerbInAxisMap map, bool area, int first_output)
{
    int end = 0;
    tile->copies = !area;
    for (int i = 0; i < tile->n; i++) {
        int start, n;
        if (area) {
            KerbInBox box = kerb_in_box(map, first_output + tile->x + i);
            start = box.start, n = box.n;
        } else {
            KerbInLinear tap = kerb_in_linear(map, first_output + tile->x + i);
            start = tap.start, n = tap.weight > 0 ? 2 : 1;
        }
        if (i == 0) tile->sample = start;
        end = kerb_in_max(end, start + n);
        tile->copies = tile->copies && n == 1 && start == tile->sample + i;
    }
    tile->n_samples = end - tile->sample;
}

bool kerb_in_columns_init(KerbInColumns *columns, KerbInAxisMap map, int first_output, int n_outputs, int tile_width)
{
    *columns = (KerbInColumns){ .map = map, .area = kerb_in_shrinks_by_area(map), .n_tiles = (n_outputs + tile_width - 1) / tile_width };
    size_t n_groups = (size_t)columns->n_tiles * (size_t)(tile_width / KERB_IN_GROUP);
    columns->tiles = kerb_in_array((size_t)columns->n_tiles, sizeof *columns->tiles);
    if (columns->area)
        columns->box = kerb_in_array(n_groups, sizeof *columns->box);
    else
        columns->linear = kerb_in_array(n_groups, sizeof *columns->linear);
    if (!columns->tiles || (!columns->box && !columns->linear)) return false;
    for (int t = 0; t < columns->n_tiles; t++) {
        KerbInTile *tile = &columns->tiles[t];
        tile->x = t * tile_width;
        tile->n = kerb_in_min(tile_width, n_outputs - tile->x);
        tile->group = t * (tile_width / KERB_IN_GROUP);
        kerb_in_tile_samples(tile, map, columns->area, first_output);
        for (int g = 0; g * KERB_IN_GROUP < tile->n; g++) {
            if (columns->area)
                kerb_in_box_group(&columns->box[tile->group + g], map, first_output, tile, g);
            else
                kerb_in_linear_group(&columns->linear[tile->group + g], map, first_output, tile, g);
        }
    }
    return true;
}

void kerb_in_columns_free(KerbInColumns *columns)
{
    kerb_free(&columns->tiles);
    kerb_free(&columns->linear);
    kerb_free(&columns->box);
}

KerbInRowTaps *kerb_in_row_taps_new(KerbInAxisMap map, int first_output, int n_outputs)
{
    KerbInRowTaps *taps = kerb_in_array((size_t)n_outputs, sizeof *taps);
    for (int i = 0; taps && i < n_outputs; i++) {
        if (kerb_in_shrinks_by_area(map))
            taps[i].box = kerb_in_box(map, first_output + i);
        else
            taps[i].linear = kerb_in_linear(map, first_output + i);
    }
    return taps;
}
