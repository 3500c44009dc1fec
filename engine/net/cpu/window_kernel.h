/* SPDX-License-Identifier: MIT */
/* Kernels that slide a window over each channel by itself: depthwise convolution, maximum and average pooling; and the blend of four pixels
 * for linear resizing. Included twice by each kernels_*.c: PICTURE is the element type, P_LOAD, P_STORE (with _N for part of a vector)
 * convert from and to f32, and P_NAME(name) names the instance. */

static inline v_t P_NAME(get)(const PICTURE *p, int n)
{
    return n == VL ? P_LOAD(p) : P_LOAD_N(p, n);
}
static inline void P_NAME(put)(PICTURE *p, v_t v, int n)
{
    if (n == VL)
        P_STORE(p, v);
    else
        P_STORE_N(p, v, n);
}

/* Weights of tap (ky, 0) for channels c, c+1, ... */
static inline const float *P_NAME(depthwise_weights)(const KerbDepthwise *d, int ky, int c)
{
    return d->weights + ky * d->kernel_w * d->weight_step + c;
}

/* Sums of `pixels` neighbours from x on, n lanes from channel c on: epilogue and stores. */
static inline __attribute__((always_inline)) void P_NAME(depthwise_store)(const KerbDepthwise *d, int x, int c, int n, const v_t *sums,
                                                                          const int pixels)
{
    const KerbEpilogue e = d->epilogue; /* read before the first store: the compiler must take it that a store changes it */
    const v_t slope = e.slope ? v_load_n(e.slope + c, n) : v_zero();
    const ptrdiff_t step = d->target_step;
    PICTURE *target = (PICTURE *)d->target + x * step + c;
#pragma GCC unroll 8
    for (int p = 0; p < pixels; p++) P_NAME(put)(target + p * step, v_finish(sums[p], &e, slope), n);
}

#define DEPTHWISE_PIXELS 8
/* DEPTHWISE_PIXELS neighbours of a window without dilation: each source pixel is read once for all sums that want it. kernel_w and stride
 * are constants after inlining. `checked`: some of the source pixels lie outside and are left out. Sums are made in the order of the taps,
 * whichever way. */
static inline __attribute__((always_inline)) void P_NAME(depthwise_block)(const KerbDepthwise *d, int x, int c, const int n,
                                                                          const int kernel_w, const int stride, const bool checked)
{
    enum { PIXELS = DEPTHWISE_PIXELS };
    const int left = x * stride - d->pad_left, reach = (PIXELS - 1) * stride + kernel_w;
    const int first = left < 0 ? -left : 0, past = d->source_width - left; /* of the source pixels that are inside */
    const ptrdiff_t step = d->source_step;
    v_t sums[PIXELS];
    const v_t bias = d->epilogue.bias ? v_load_n(d->epilogue.bias + c, n) : v_zero();
#pragma GCC unroll 8
    for (int p = 0; p < PIXELS; p++) sums[p] = bias;
    for (int ky = 0; ky < d->kernel_h; ky++) {
        if (!d->rows[ky]) continue;
        const PICTURE *row = (const PICTURE *)d->rows[ky] + left * step + c;
        const float *weights = P_NAME(depthwise_weights)(d, ky, c);
        v_t w[5];
#pragma GCC unroll 5
        for (int kx = 0; kx < kernel_w; kx++, weights += d->weight_step) w[kx] = n == VL ? v_load(weights) : v_load_n(weights, n);
#pragma GCC unroll 20
        for (int i = 0; i < reach; i++) {
            if (checked && (i < first || i >= past)) continue;
            const v_t v = P_NAME(get)(row + i * step, n);
#pragma GCC unroll 5
            for (int kx = 0; kx < kernel_w; kx++) {
                const int p = (i - kx) / stride;
                if (i >= kx && p * stride == i - kx && p < PIXELS) sums[p] = v_fma(v, w[kx], sums[p]);
            }
        }
    }
    P_NAME(depthwise_store)(d, x, c, n, sums, PIXELS);
}

/* A row of at least DEPTHWISE_PIXELS; the last block reaches back over pixels that are done, which get the same values again. */
static inline __attribute__((always_inline)) void P_NAME(depthwise_row)(const KerbDepthwise *d, const int kernel_w, const int stride)
{
    const int reach = (DEPTHWISE_PIXELS - 1) * stride + kernel_w;
    for (int c = 0; c < d->channels; c += VL) {
        const int n = d->channels - c < VL ? d->channels - c : VL;
        for (int x = d->x0; x < d->x1; x += DEPTHWISE_PIXELS) {
            if (x > d->x1 - DEPTHWISE_PIXELS) x = d->x1 - DEPTHWISE_PIXELS;
            const int left = x * stride - d->pad_left;
            if (n < VL)
                P_NAME(depthwise_block)(d, x, c, n, kernel_w, stride, true);
            else if (left < 0 || left + reach > d->source_width)
                P_NAME(depthwise_block)(d, x, c, VL, kernel_w, stride, true);
            else
                P_NAME(depthwise_block)(d, x, c, VL, kernel_w, stride, false);
        }
    }
}

/* Any window: `pixels` neighbours that all see columns kx0..kx1 of it. */
static inline __attribute__((always_inline)) void P_NAME(depthwise_any)(const KerbDepthwise *d, int x, int c, int n, int kx0, int kx1,
                                                                        const int pixels)
{
    v_t sums[DEPTHWISE_PIXELS];
    const v_t bias = d->epilogue.bias ? v_load_n(d->epilogue.bias + c, n) : v_zero();
    const ptrdiff_t step = d->source_step;
#pragma GCC unroll 8
    for (int p = 0; p < pixels; p++) sums[p] = bias;
    for (int ky = 0; ky < d->kernel_h; ky++) {
        if (!d->rows[ky]) continue;
        const PICTURE *row = (const PICTURE *)d->rows[ky] + (ptrdiff_t)(x * d->stride - d->pad_left) * step + c;
        const float *weights = P_NAME(depthwise_weights)(d, ky, c);
        for (int kx = kx0; kx < kx1; kx++) {
            const v_t w = v_load_n(weights + kx * d->weight_step, n);
            const PICTURE *from = row + (ptrdiff_t)kx * d->dilation * step;
#pragma GCC unroll 8
            for (int p = 0; p < pixels; p++) sums[p] = v_fma(P_NAME(get)(from + p * d->stride * step, n), w, sums[p]);
        }
    }
    P_NAME(depthwise_store)(d, x, c, n, sums, pixels);
}

/* Columns of the window that pixel x sees. */
static inline void P_NAME(depthwise_seen)(const KerbDepthwise *d, int x, int *kx0, int *kx1)
{
    const int left = x * d->stride - d->pad_left;
    *kx0 = left < 0 ? (-left + d->dilation - 1) / d->dilation : 0;
    *kx1 = left >= d->source_width ? 0 : (d->source_width - 1 - left) / d->dilation + 1;
    if (*kx1 > d->kernel_w) *kx1 = d->kernel_w;
    if (*kx0 > *kx1) *kx0 = *kx1;
}

static void P_NAME(depthwise_rest)(const KerbDepthwise *d)
{
    for (int x = d->x0, next; x < d->x1; x = next) {
        int kx0, kx1, begin, end;
        P_NAME(depthwise_seen)(d, x, &kx0, &kx1);
        for (next = x + 1; next < d->x1 && next < x + DEPTHWISE_PIXELS; next++) {
            P_NAME(depthwise_seen)(d, next, &begin, &end);
            if (begin != kx0 || end != kx1) break;
        }
        const bool whole = next - x == DEPTHWISE_PIXELS;
        for (int c = 0; c < d->channels; c += VL) {
            const int n = d->channels - c < VL ? d->channels - c : VL;
            if (whole && n == VL) {
                P_NAME(depthwise_any)(d, x, c, VL, kx0, kx1, DEPTHWISE_PIXELS);
                continue;
            }
            for (int p = x; p < next; p++) P_NAME(depthwise_any)(d, p, c, n, kx0, kx1, 1);
        }
    }
}

static void P_NAME(depthwise)(const KerbDepthwise *d)
{
    const int way = d->dilation > 1 || d->x1 - d->x0 < DEPTHWISE_PIXELS ? 0 : d->kernel_w * 10 + d->stride;
    switch (way) {
    case 31: P_NAME(depthwise_row)(d, 3, 1); break;
    case 32: P_NAME(depthwise_row)(d, 3, 2); break;
    case 51: P_NAME(depthwise_row)(d, 5, 1); break;
    case 52: P_NAME(depthwise_row)(d, 5, 2); break;
    default: P_NAME(depthwise_rest)(d);
    }
}

/* Ties: the first in row-major order wins, as ONNX Runtime's indices have it. NaN is not propagated reliably (nor is it elsewhere). */
static void P_NAME(max_pool)(const KerbPool *p)
{
    for (int x = p->x0; x < p->x1; x++) {
        int left = x * p->stride - p->pad_left;
        int kx0 = left < 0 ? (-left + p->dilation - 1) / p->dilation : 0, kx1 = p->kernel_w;
        while (kx1 > kx0 && left + (kx1 - 1) * p->dilation >= p->source_width) kx1--;
        for (int c = 0; c < p->channels; c += VL) {
            int n = p->channels - c < VL ? p->channels - c : VL;
            v_t best = v_set(-INFINITY), where = v_zero();
            bool any = false;
            for (int ky = 0; ky < p->kernel_h; ky++) {
                if (!p->rows[ky]) continue;
                const PICTURE *row = (const PICTURE *)p->rows[ky] + (ptrdiff_t)left * p->source_step + c;
                for (int kx = kx0; kx < kx1; kx++) {
                    v_t v = P_NAME(get)(row + (ptrdiff_t)kx * p->dilation * p->source_step, n),
                        index = v_set((float)(ky * p->kernel_w + kx));
                    if (p->indices) where = any ? v_select_greater(v, best, index, where) : index;
                    best = v_max(v, best);
                    any = true;
                }
            }
            P_NAME(put)((PICTURE *)p->target + x * p->target_step + c, best, n);
            if (p->indices) {
                float w[VL];
                v_store(w, where);
                for (int i = 0; i < n; i++) p->indices[x * p->indices_step + c + i] = (uint8_t)w[i];
            }
        }
    }
}

static void P_NAME(average_pool)(const KerbPool *p)
{
    for (int x = p->x0; x < p->x1; x++) {
        int left = x * p->stride - p->pad_left, counted = 0;
        int kx0 = p->kernel_w, kx1 = 0;
        for (int kx = 0; kx < p->kernel_w; kx++) {
            int sx = left + kx * p->dilation;
            bool inside = sx >= 0 && sx < p->source_width;
            if (inside && kx < kx0) kx0 = kx;
            if (inside) kx1 = kx + 1;
            counted += inside || (p->pad_width > 0 && sx < p->pad_width);
        }
        v_t share = v_set(counted && p->rows_counted ? 1.0f / (float)(counted * p->rows_counted) : 0);
        for (int c = 0; c < p->channels; c += VL) {
            int n = p->channels - c < VL ? p->channels - c : VL;
            v_t sum = v_zero();
            for (int ky = 0; ky < p->kernel_h; ky++) {
                if (!p->rows[ky]) continue;
                const PICTURE *row = (const PICTURE *)p->rows[ky] + (ptrdiff_t)left * p->source_step + c;
                for (int kx = kx0; kx < kx1; kx++) sum = v_add(sum, P_NAME(get)(row + (ptrdiff_t)kx * p->dilation * p->source_step, n));
            }
            P_NAME(put)((PICTURE *)p->target + x * p->target_step + c, v_mul(sum, share), n);
        }
    }
}

static void P_NAME(blend4)(void *out, const void *const corners[4], const float w[4], int channels)
{
    const PICTURE *a = corners[0], *b = corners[1], *c = corners[2], *d = corners[3];
    v_t wa = v_set(w[0]), wb = v_set(w[1]), wc = v_set(w[2]), wd = v_set(w[3]);
    for (int i = 0; i < channels; i += VL) {
        int n = channels - i < VL ? channels - i : VL;
        v_t v = v_mul(P_NAME(get)(a + i, n), wa);
        v = v_fma(P_NAME(get)(b + i, n), wb, v);
        v = v_fma(P_NAME(get)(c + i, n), wc, v);
        P_NAME(put)((PICTURE *)out + i, v_fma(P_NAME(get)(d + i, n), wd, v), n);
    }
}
