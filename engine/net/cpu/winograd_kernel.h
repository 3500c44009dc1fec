/* SPDX-License-Identifier: MIT */
/* Winograd F(4x4, 3x3): the transforms of Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015), points 0, +-1, +-2,
 * infinity. 36 products a tile replace 144. Channels lie across the vector, so pictures stay channels-last. Included by kernels_*.c. */

/* One line of B^T d: 6 -> 6. */
static inline void winograd_input_line(const v_t d[6], v_t o[6])
{
    const v_t two = v_set(2), four = v_set(4), five = v_set(5);
    v_t a = v_sub(d[4], v_mul(four, d[2])), b = v_sub(d[3], v_mul(four, d[1]));
    v_t c = v_sub(d[4], d[2]), e = v_mul(two, v_sub(d[3], d[1]));
    o[0] = v_fma(four, d[0], v_sub(d[4], v_mul(five, d[2])));
    o[1] = v_add(a, b);
    o[2] = v_sub(a, b);
    o[3] = v_add(c, e);
    o[4] = v_sub(c, e);
    o[5] = v_fma(four, d[1], v_sub(d[5], v_mul(five, d[3])));
}
/* One line of A^T m: 6 -> 4. */
static inline void winograd_output_line(const v_t m[6], v_t o[4])
{
    v_t a = v_add(m[1], m[2]), b = v_sub(m[1], m[2]), c = v_add(m[3], m[4]), d = v_sub(m[3], m[4]);
    o[0] = v_add(m[0], v_add(a, c));
    o[1] = v_fma(v_set(2), d, b);
    o[2] = v_fma(v_set(4), c, a);
    o[3] = v_add(v_fma(v_set(8), d, b), m[5]);
}

static inline v_t winograd_load(const void *p, bool bf16, int at, int n)
{
    if (!p) return v_zero();
    if (bf16) return n == VL ? v_load_bf16((const uint16_t *)p + at) : v_load_bf16_n((const uint16_t *)p + at, n);
    return n == VL ? v_load((const float *)p + at) : v_load_n((const float *)p + at, n);
}
static inline void winograd_store(void *p, bool bf16, int at, int n, v_t v)
{
    if (bf16) {
        if (n == VL)
            v_store_bf16((uint16_t *)p + at, v);
        else
            v_store_bf16_n((uint16_t *)p + at, v, n);
    } else {
        if (n == VL)
            v_store((float *)p + at, v);
        else
            v_store_n((float *)p + at, v, n);
    }
}

static void KERB_SIMD_NAME(winograd_input)(const void *const pixels[36], bool bf16, int channels, float *out, ptrdiff_t plane)
{
    for (int c = 0; c < channels; c += VL) {
        int n = channels - c < VL ? channels - c : VL;
        v_t columns[6][6]; /* [x][y], transformed along y */
        for (int x = 0; x < 6; x++) {
            v_t d[6];
            for (int y = 0; y < 6; y++) d[y] = winograd_load(pixels[y * 6 + x], bf16, c, n);
            winograd_input_line(d, columns[x]);
        }
        for (int y = 0; y < 6; y++) {
            v_t d[6], o[6];
            for (int x = 0; x < 6; x++) d[x] = columns[x][y];
            winograd_input_line(d, o);
            for (int x = 0; x < 6; x++) winograd_store(out + (y * 6 + x) * plane, false, c, n, o[x]);
        }
    }
}

static void KERB_SIMD_NAME(winograd_output)(const float *sums, ptrdiff_t plane, int channels, void *const targets[16],
                                            const void *const residuals[16], bool bf16, const KerbEpilogue *e)
{
    for (int c = 0; c < channels; c += VL) {
        int n = channels - c < VL ? channels - c : VL;
        v_t columns[6][4]; /* [x][y] */
        for (int x = 0; x < 6; x++) {
            v_t m[6];
            for (int y = 0; y < 6; y++) m[y] = winograd_load(sums + (y * 6 + x) * plane, false, c, n);
            winograd_output_line(m, columns[x]);
        }
        v_t bias = e->bias ? v_load_n(e->bias + c, n) : v_zero(), slope = e->slope ? v_load_n(e->slope + c, n) : v_zero();
        for (int y = 0; y < 4; y++) {
            v_t m[6], o[4];
            for (int x = 0; x < 6; x++) m[x] = columns[x][y];
            winograd_output_line(m, o);
            for (int x = 0; x < 4; x++) {
                int i = y * 4 + x;
                if (!targets[i]) continue;
                v_t v = v_add(o[x], bias);
                if (residuals) v = v_add(v, winograd_load(residuals[i], bf16, c, n));
                winograd_store(targets[i], bf16, c, n, v_finish(v, e, slope));
            }
        }
    }
}
