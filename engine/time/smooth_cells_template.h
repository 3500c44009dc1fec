/* SPDX-License-Identifier: MIT */
/* The kernel of smooth_cells.h. Channels lie together, and the compiler makes vectors of them; one and two channels, where it cannot, have
 * loops of their own. Included with KERB_CELLS_FN defined. */
#include "time/smooth_cells.h"

static inline float kerb_cells_clamp(float at, float most)
{
    at = at > 0 ? at : 0;
    return at < most ? at : most;
}

/* `channels` is a constant where it pays. */
static inline __attribute__((always_inline)) void kerb_cells_row(const KerbCellsRow *row, const int channels)
{
    const float most_x = (float)(row->width - 1), most_y = (float)(row->height - 1);
    const float *restrict now = row->now;
    float *restrict out = row->out;
    for (int x = 0; x < row->width; x++, now += channels, out += channels) {
        float at_x = kerb_cells_clamp((float)x + row->dx[x], most_x), at_y = kerb_cells_clamp((float)row->y + row->dy[x], most_y);
        int ix = (int)at_x, iy = (int)at_y;
        float wx = at_x - (float)ix, wy = at_y - (float)iy, weight = row->weight[x];
        const float *restrict a = row->past + ((int64_t)iy * row->width + ix) * channels, *restrict b = a + (ix + 1 < row->width ? channels : 0);
        int64_t down = iy + 1 < row->height ? (int64_t)row->width * channels : 0;
        const float *restrict c = a + down, *restrict d = b + down;
        for (int k = 0; k < channels; k++) {
            float upper = a[k] + wx * (b[k] - a[k]), lower = c[k] + wx * (d[k] - c[k]), past = upper + wy * (lower - upper);
            float mixed = past + weight * (now[k] - past);
            out[k] = past * 0.0f == 0.0f ? mixed : now[k];
        }
    }
}

void KERB_CELLS_FN(const KerbCellsRow *row)
{
    if (row->channels == 1) kerb_cells_row(row, 1);
    else if (row->channels == 2) kerb_cells_row(row, 2);
    else kerb_cells_row(row, row->channels);
}
