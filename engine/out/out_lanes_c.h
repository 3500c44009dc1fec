/* SPDX-License-Identifier: MIT */
/* Lanes for out_rows_template.h: one float at a time. The meaning of each function; the other out_lanes_*.h do the same to more at once. */
#define KERB_LANES 1

typedef float VecF;
typedef int32_t VecI;
typedef int VecM;

static inline VecF vf_set1(float a) { return a; }
static inline VecF vf_load(const float *p) { return *p; }
static inline void vf_store(float *p, VecF a) { *p = a; }
static inline VecF vf_add(VecF a, VecF b) { return a + b; }
static inline VecF vf_sub(VecF a, VecF b) { return a - b; }
static inline VecF vf_mul(VecF a, VecF b) { return a * b; }
static inline VecF vf_div(VecF a, VecF b) { return a / b; }
/* b where either is NaN */
static inline VecF vf_max(VecF a, VecF b) { return a > b ? a : b; }
static inline VecF vf_min(VecF a, VecF b) { return a < b ? a : b; }
static inline VecM vm_greater(VecF a, VecF b) { return a > b; }
/* m ? a : b */
static inline VecF vf_select(VecM m, VecF a, VecF b) { return m ? a : b; }
static inline VecI vi_select(VecM m, VecI a, VecI b) { return m ? a : b; }
static inline VecM vm_equal(VecI a, VecI b) { return a == b; }
static inline VecI vi_set1(int32_t a) { return a; }
static inline VecI vi_load(const int32_t *p) { return *p; }
static inline VecI vi_add(VecI a, VecI b) { return a + b; }
static inline VecI vi_sub(VecI a, VecI b) { return a - b; }
/* Towards zero. */
static inline VecI vi_from_f(VecF a) { return (VecI)a; }
/* 2^n: n integral, -126..127 */
static inline VecF vf_exp2i(VecI n)
{
    union { int32_t i; float f; } u = { (n + 127) << 23 };
    return u.f;
}
static inline VecF vf_gather(const float *p, VecI i) { return p[i]; }
/* Element i of the KERB_LANES (pick) or 2 * KERB_LANES (pick2) values in the vectors. */
static inline VecF vf_pick(VecF window, VecI i) { return window; }
static inline VecF vf_pick2(VecF low, VecF high, VecI i) { return i ? high : low; }
/* The low bytes of the first n lanes, n >= 1. */
static inline void vi_store_u8(uint8_t *p, VecI a, int n) { *p = (uint8_t)a; }
/* KERB_LANES bf16 in a row. */
static inline VecF vf_load_bf16(const uint16_t *p) { return kerb_bf16_to_f32(*p); }
/* KERB_LANES pairs in a row: their first and their second halves. */
static inline void vf_load_pairs(const float *p, VecF out[2]) { out[0] = p[0], out[1] = p[1]; }
static inline void vf_load_pairs_bf16(const uint16_t *p, VecF out[2]) { out[0] = kerb_bf16_to_f32(p[0]), out[1] = kerb_bf16_to_f32(p[1]); }
/* Lane i of out[j] is p[i * stride + j], j < 4. */
static inline void vf_load_fours(const float *p, int64_t stride, VecF out[4])
{
    for (int j = 0; j < 4; j++) out[j] = p[j];
}
static inline void vf_load_fours_bf16(const uint16_t *p, int64_t stride, VecF out[4])
{
    for (int j = 0; j < 4; j++) out[j] = kerb_bf16_to_f32(p[j]);
}
