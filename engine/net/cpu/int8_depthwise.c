/* SPDX-License-Identifier: MIT */
/* Depthwise convolutions of 8-bit integers. Products of 8-bit numbers and sums of so few are whole numbers that f32 holds exactly, and a
 * multiplication and addition of floats is one instruction, where integers need several: a task turns the rows that it sees into floats
 * once, for a group of channels and in the cache, runs the kernel of floats on them, and ends as the other convolutions do. */
#include "net/cpu/int8.h"

#define STAGED_BYTES (320 << 10) /* of floats, in a second-level cache */

bool kerb_int8_is_depthwise(const KerbConvSpec *s)
{
    /* 255 * 128 * taps < 2^24 */
    return s->groups == s->ic && s->oc == s->ic && s->ic > 1 && s->kh <= KERB_DEPTHWISE_ROWS && s->kh * s->kw <= 512;
}

KerbStatus kerb_int8_prepare_depthwise(KerbCompiler *c, KerbInt8Conv *v)
{
    const KerbConvSpec *s = &v->s;
    const int taps = s->kh * s->kw, reach = (s->kh - 1) * s->dh + 1;
    v->width = 2 * c->net->k->lanes;
    const size_t groups = (size_t)((s->ic + v->width - 1) / v->width), row = (size_t)s->iw * (size_t)v->width * 4;
    float *w = v->packed = kerb_cpu_block(c, groups * (size_t)(taps * v->width) * sizeof *w);
    if (!w) return KERB_ERROR_MEMORY;
    for (int i = 0; i < s->ic; i++) {
        for (int t = 0; t < taps; t++)
            w[(i / v->width * taps + t) * v->width + i % v->width] = v->weights[(size_t)i * (size_t)taps + (size_t)t];
    }
    v->band = 1;
    while (v->band < s->oh && (size_t)(v->band * s->sh + reach) * row <= STAGED_BYTES) v->band++;
    while (v->band > 1 && s->n * (int)groups * ((s->oh + v->band - 1) / v->band) < 2 * c->net->threads) v->band = (v->band + 1) / 2;
    v->band_bytes = (size_t)((v->band - 1) * s->sh + reach) * row;
    v->scratch_a_thread = v->band_bytes + (size_t)s->ow * (size_t)v->width * 4; /* a row of sums */
    return KERB_OK;
}

static void kerb_int8_depthwise_row(const KerbInt8Conv *v, int first, int channels, int y, const void *const *rows, float *sums, int64_t pixel)
{
    const KerbConvSpec *s = &v->s;
    KerbDepthwise d = {.rows = rows,
                       .source_step = v->width,
                       .source_width = s->iw,
                       .target = sums,
                       .target_step = v->width,
                       .x1 = s->ow,
                       .channels = channels,
                       .kernel_h = s->kh,
                       .kernel_w = s->kw,
                       .stride = s->sw,
                       .dilation = s->dw,
                       .pad_left = s->pad_left,
                       .weights = (const float *)v->packed + (ptrdiff_t)first * s->kh * s->kw,
                       .weight_step = v->width};
    KerbInt8Finish f = v->finish;
    f.scale += first;
    if (f.bias) f.bias += first;
    if (f.slope) f.slope += first;
    v->net->k->depthwise[0](&d);
    char *target = v->target + (pixel * s->target_step + first) * v->target_bytes;
    for (int x = 0; x < s->ow; x++)
        v->k->finish(target + x * s->target_step * v->target_bytes, sums + (ptrdiff_t)x * v->width, v->start + first, channels, &f);
}

static void kerb_int8_depthwise_task(void *arg, int index, int thread)
{
    const KerbInt8Conv *v = arg;
    const KerbConvSpec *s = &v->s;
    const int groups = (s->ic + v->width - 1) / v->width, bands = (s->oh + v->band - 1) / v->band;
    const int first = index % groups * v->width, y0 = index / groups % bands * v->band, image = index / groups / bands,
              y1 = y0 + v->band < s->oh ? y0 + v->band : s->oh, channels = s->ic - first < v->width ? s->ic - first : v->width;
    const int top = y0 * s->sh - s->pad_top, bottom = (y1 - 1) * s->sh - s->pad_top + (s->kh - 1) * s->dh + 1;
    float *staged = (float *)(v->scratch + (size_t)thread * v->scratch_a_thread), *sums = (float *)((char *)staged + v->band_bytes);
    const ptrdiff_t row = (ptrdiff_t)s->iw * v->width;
    for (int y = top < 0 ? 0 : top; y < bottom && y < s->ih; y++) {
        const uint8_t *in = v->source + ((ptrdiff_t)image * s->ih + y) * s->iw * s->source_step + first;
        float *out = staged + (y - top) * row;
        if (channels == v->width && s->source_step == channels) {
            v->k->to_floats(out, in, (size_t)row, v->x.dtype == KERB_I8, v->x.zero, 1);
            continue;
        }
        for (int x = 0; x < s->iw; x++)
            v->k->to_floats(out + (ptrdiff_t)x * v->width, in + x * s->source_step, (size_t)channels, v->x.dtype == KERB_I8, v->x.zero, 1);
    }
    for (int y = y0; y < y1; y++) {
        const void *rows[KERB_DEPTHWISE_ROWS];
        for (int ky = 0; ky < s->kh; ky++) {
            const int sy = y * s->sh - s->pad_top + ky * s->dh;
            rows[ky] = sy >= 0 && sy < s->ih ? staged + (sy - top) * row : NULL;
        }
        kerb_int8_depthwise_row(v, first, channels, y, rows, sums, ((int64_t)image * s->oh + y) * s->ow);
    }
}

void kerb_int8_run_depthwise(KerbInt8Conv *v)
{
    const KerbConvSpec *s = &v->s;
    const int groups = (s->ic + v->width - 1) / v->width, bands = (s->oh + v->band - 1) / v->band;
    kerb_cpu_parallel(v->net, s->n * groups * bands, (double)s->n * s->oh * s->ow * s->oc * s->kh * s->kw / 16, kerb_int8_depthwise_task, v);
}
