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

/* `pixels` neighbours whose whole windows lie inside; n lanes from channel c on. kernel sizes are constants after inlining where they
 * matter. */
static inline __attribute__((always_inline)) void P_NAME(depthwise_block)(const KerbDepthwise *d, int x, int c, int n, const int pixels,
                                                                          const int kernel_h, const int kernel_w)
{
    v_t sums[8];
    v_t bias = d->epilogue.bias ? v_load_n(d->epilogue.bias + c, n) : v_zero();
#pragma GCC unroll 8
    for (int p = 0; p < pixels; p++) sums[p] = bias;
    for (int ky = 0; ky < kernel_h; ky++) {
        if (!d->rows[ky]) continue;
        const PICTURE *row = (const PICTURE *)d->rows[ky] + (ptrdiff_t)(x * d->stride - d->pad_left) * d->source_step + c;
        for (int kx = 0; kx < kernel_w; kx++, row += d->dilation * d->source_step) {
            v_t w = n == VL ? v_load(d->weights + (ptrdiff_t)(ky * kernel_w + kx) * d->channels + c)
                            : v_load_n(d->weights + (ptrdiff_t)(ky * kernel_w + kx) * d->channels + c, n);
#pragma GCC unroll 8
            for (int p = 0; p < pixels; p++) sums[p] = v_fma(P_NAME(get)(row + p * d->stride * d->source_step, n), w, sums[p]);
        }
    }
    v_t slope = d->epilogue.slope ? v_load_n(d->epilogue.slope + c, n) : v_zero();
    PICTURE *target = (PICTURE *)d->target + x * d->target_step + c;
#pragma GCC unroll 8
    for (int p = 0; p < pixels; p++) P_NAME(put)(target + p * d->target_step, v_finish(sums[p], &d->epilogue, slope), n);
}

/* One pixel near an edge. */
static void P_NAME(depthwise_edge)(const KerbDepthwise *d, int x)
{
    int left = x * d->stride - d->pad_left;
    for (int c = 0; c < d->channels; c += VL) {
        int n = d->channels - c < VL ? d->channels - c : VL;
        v_t sum = d->epilogue.bias ? v_load_n(d->epilogue.bias + c, n) : v_zero();
        for (int ky = 0; ky < d->kernel_h; ky++) {
            for (int kx = 0; d->rows[ky] && kx < d->kernel_w; kx++) {
                int sx = left + kx * d->dilation;
                if (sx < 0 || sx >= d->source_width) continue;
                sum = v_fma(P_NAME(get)((const PICTURE *)d->rows[ky] + sx * d->source_step + c, n),
                            v_load_n(d->weights + (ptrdiff_t)(ky * d->kernel_w + kx) * d->channels + c, n), sum);
            }
        }
        v_t slope = d->epilogue.slope ? v_load_n(d->epilogue.slope + c, n) : v_zero();
        P_NAME(put)((PICTURE *)d->target + x * d->target_step + c, v_finish(sum, &d->epilogue, slope), n);
    }
}

static inline __attribute__((always_inline)) void P_NAME(depthwise_inside)(const KerbDepthwise *d, int x0, int x1, const int kernel_h,
                                                                           const int kernel_w)
{
    int x = x0;
    for (; x + 8 <= x1; x += 8) {
        int c = 0;
        for (; c + VL <= d->channels; c += VL) P_NAME(depthwise_block)(d, x, c, VL, 8, kernel_h, kernel_w);
        if (c < d->channels) P_NAME(depthwise_block)(d, x, c, d->channels - c, 8, kernel_h, kernel_w);
    }
    for (; x < x1; x++) {
        int c = 0;
        for (; c + VL <= d->channels; c += VL) P_NAME(depthwise_block)(d, x, c, VL, 1, kernel_h, kernel_w);
        if (c < d->channels) P_NAME(depthwise_block)(d, x, c, d->channels - c, 1, kernel_h, kernel_w);
    }
}

static void P_NAME(depthwise)(const KerbDepthwise *d)
{
    /* Pixels whose windows lie inside: x*stride - pad >= 0 and x*stride - pad + reach < width. */
    int reach = (d->kernel_w - 1) * d->dilation, room = d->source_width - 1 - reach + d->pad_left;
    int first = (d->pad_left + d->stride - 1) / d->stride, past = room < 0 ? 0 : room / d->stride + 1;
    if (first < d->x0) first = d->x0;
    if (first > d->x1) first = d->x1;
    if (past > d->x1) past = d->x1;
    if (past < first) past = first;
    for (int x = d->x0; x < first; x++) P_NAME(depthwise_edge)(d, x);
    if (d->kernel_h == 3 && d->kernel_w == 3)
        P_NAME(depthwise_inside)(d, first, past, 3, 3);
    else if (d->kernel_h == 5 && d->kernel_w == 5)
        P_NAME(depthwise_inside)(d, first, past, 5, 5);
    else
        P_NAME(depthwise_inside)(d, first, past, d->kernel_h, d->kernel_w);
    for (int x = past; x < d->x1; x++) P_NAME(depthwise_edge)(d, x);
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
