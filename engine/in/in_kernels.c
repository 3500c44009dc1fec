/* SPDX-License-Identifier: MIT */
/* The row kernels in plain C, and the choice of better ones. See in_kernels.h for what each does. */
#include "in/in_kernels.h"

#include "base/cpu.h"
#include "base/tensor.h"

#include <string.h>

static void kerb_in_pick1_c(uint8_t *dst, const uint8_t *src, int n) { memcpy(dst, src, (size_t)n); }
static void kerb_in_pick2_c(uint8_t *dst, const uint8_t *src, int n)
{
    for (int i = 0; i < n; i++) dst[i] = src[2 * i];
}
static void kerb_in_pick3_c(uint8_t *dst, const uint8_t *src, int n)
{
    for (int i = 0; i < n; i++) dst[i] = src[3 * i];
}
static void kerb_in_pick4_c(uint8_t *dst, const uint8_t *src, int n)
{
    for (int i = 0; i < n; i++) dst[i] = src[4 * i];
}

static void kerb_in_widen_c(float *dst, const uint8_t *src, int n)
{
    for (int i = 0; i < n; i++) dst[i] = src[i];
}

static void kerb_in_linear_c(float *dst, const uint8_t *src, const KerbInLinearGroup *groups, int n_groups)
{
    for (int g = 0; g < n_groups; g++, dst += KERB_IN_GROUP) {
        for (int x = 0; x < KERB_IN_GROUP; x++) {
            const uint8_t *base = src + groups[g].base[x / 8], *pair = &groups[g].pairs[x / 8][2 * (x % 8)];
            float a = base[pair[0]], b = base[pair[1]];
            dst[x] = kerb_in_mix(a, b, groups[g].weight[x]);
        }
    }
}

static void kerb_in_box_c(float *dst, const uint8_t *src, const KerbInBoxGroup *groups, int n_groups)
{
    for (int g = 0; g < n_groups; g++, dst += KERB_IN_GROUP) {
        for (int x = 0; x < KERB_IN_GROUP; x++) {
            const uint8_t *s = src + groups[g].start[x];
            int n = groups[g].n[x], sum = 0;
            for (int i = 0; i < n; i++) sum += s[i];
            dst[x] = kerb_in_box_value(groups[g].middle, sum, groups[g].less_first[x], s[0], groups[g].less_last[x], s[n - 1]);
        }
    }
}

static void kerb_in_scale_c(float *sum, const float *row, float weight, int n)
{
    for (int i = 0; i < n; i++) sum[i] = weight * row[i];
}

static void kerb_in_add_c(float *sum, const float *row, float weight, int n)
{
    for (int i = 0; i < n; i++) sum[i] = sum[i] + weight * row[i];
}

static void kerb_in_convert_c(float *planes, const KerbInRows *rows, const KerbInFold *fold, int n)
{
    for (int i = 0; i < n; i++) {
        float s[3];
        for (int j = 0; j < 3; j++) s[j] = kerb_in_mix(rows->a[j][i], rows->b[j][i], rows->weight[j]);
        for (int c = 0; c < 3; c++) planes[c * KERB_IN_TILE + i] = kerb_in_channel(fold, c, s[0], s[1], s[2]);
    }
}

static void kerb_in_luma_c(float *planes, float scale, float bias, int n)
{
    const float *g = planes + KERB_IN_TILE, *b = planes + 2 * KERB_IN_TILE;
    for (int i = 0; i < n; i++) planes[i] = kerb_in_gray(planes[i], g[i], b[i], scale, bias);
}

static void kerb_in_pack_f32_c(void *dst, const float *planes, int n, const KerbInLayout *l)
{
    float *out = dst;
    for (int c = 0; c < l->channels; c++)
        for (int i = 0; i < n; i++) out[i * l->x_stride + c * l->channel_stride] = planes[c * KERB_IN_TILE + i];
    for (int64_t c = l->channels; l->padded && c < l->x_stride; c++)
        for (int i = 0; i < n; i++) out[i * l->x_stride + c] = 0;
}

static void kerb_in_pack_bf16_c(void *dst, const float *planes, int n, const KerbInLayout *l)
{
    uint16_t *out = dst;
    for (int c = 0; c < l->channels; c++)
        for (int i = 0; i < n; i++) out[i * l->x_stride + c * l->channel_stride] = kerb_f32_to_bf16(planes[c * KERB_IN_TILE + i]);
    for (int64_t c = l->channels; l->padded && c < l->x_stride; c++)
        for (int i = 0; i < n; i++) out[i * l->x_stride + c] = 0;
}

static void kerb_in_pack_f32_planar(void *dst, const float *planes, int n, const KerbInLayout *l)
{
    for (int c = 0; c < l->channels; c++)
        memcpy((float *)dst + c * l->channel_stride, planes + c * KERB_IN_TILE, (size_t)n * sizeof(float));
}

void kerb_in_kernels(KerbInKernels *k, unsigned cpu_flags)
{
    *k = (KerbInKernels){
        .name = "c",
        .pick = { NULL, kerb_in_pick1_c, kerb_in_pick2_c, kerb_in_pick3_c, kerb_in_pick4_c },
        .widen = kerb_in_widen_c,
        .linear = kerb_in_linear_c,
        .box = kerb_in_box_c,
        .scale = kerb_in_scale_c,
        .add = kerb_in_add_c,
        .convert = kerb_in_convert_c,
        .luma = kerb_in_luma_c,
    };
    for (int i = 0; i < KERB_IN_LAYOUT_COUNT; i++) {
        k->pack[0][i] = kerb_in_pack_f32_c;
        k->pack[1][i] = kerb_in_pack_bf16_c;
    }
    k->pack[0][KERB_IN_PLANAR] = kerb_in_pack_f32_planar;
#if defined(__x86_64__)
    if (cpu_flags & KERB_CPU_AVX2) kerb_in_kernels_avx2(k);
    if (cpu_flags & KERB_CPU_AVX512) kerb_in_kernels_avx512(k);
#endif
}
