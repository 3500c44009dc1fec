/* SPDX-License-Identifier: MIT */
/* All kernels of one variant and their table. Included by kernels_c.c, kernels_avx2.c and kernels_avx512.c, which say which variant they
 * are. */
#include "net/cpu/kernels.h"
#include "net/cpu/simd.h"

#include "net/cpu/tile_kernel.h"
#include "net/cpu/winograd_kernel.h"
#include "net/cpu/pointwise_kernel.h"

#define PICTURE float
#define P_LOAD v_load
#define P_LOAD_N v_load_n
#define P_STORE v_store
#define P_STORE_N v_store_n
#define P_NAME(name) KERB_SIMD_NAME(name##_f32)
#include "net/cpu/window_kernel.h"
#undef PICTURE
#undef P_LOAD
#undef P_LOAD_N
#undef P_STORE
#undef P_STORE_N
#undef P_NAME

#define PICTURE uint16_t
#define P_LOAD v_load_bf16
#define P_LOAD_N v_load_bf16_n
#define P_STORE v_store_bf16
#define P_STORE_N v_store_bf16_n
#define P_NAME(name) KERB_SIMD_NAME(name##_bf16)
#include "net/cpu/window_kernel.h"

#define K(name) KERB_SIMD_NAME(name)
#define K2(name)                                                \
    {                                                           \
        KERB_SIMD_NAME(name##_f32), KERB_SIMD_NAME(name##_bf16) \
    }
const KerbCpuKernels K(kerb_cpu_kernels) = {
    .name = KERB_SIMD_TEXT,
    .lanes = VL,
    .tile_rows = TILE_ROWS,
    .tile = K(tile),
    .winograd_input = K(winograd_input),
    .winograd_output = K(winograd_output),
    .depthwise = K2(depthwise),
    .max_pool = K2(max_pool),
    .average_pool = K2(average_pool),
    .unary = {[KERB_CPU_SIGMOID] = K(sigmoid),
              [KERB_CPU_TANH] = K(tanh),
              [KERB_CPU_SWISH] = K(swish),
              [KERB_CPU_HARD_SIGMOID] = K(hard_sigmoid),
              [KERB_CPU_HARD_SWISH] = K(hard_swish),
              [KERB_CPU_ELU] = K(elu),
              [KERB_CPU_EXP] = K(exp),
              [KERB_CPU_ABS] = K(abs),
              [KERB_CPU_NEG] = K(neg),
              [KERB_CPU_GELU_TANH] = K(gelu_tanh),
              [KERB_CPU_SQUARE] = K(square)},
    .binary = {[KERB_CPU_ADD] = K(add),
               [KERB_CPU_SUB] = K(sub),
               [KERB_CPU_MUL] = K(mul),
               [KERB_CPU_DIV] = K(div),
               [KERB_CPU_MIN] = K(min),
               [KERB_CPU_MAX] = K(max),
               [KERB_CPU_RSUB] = K(rsub),
               [KERB_CPU_RDIV] = K(rdiv)},
    .scale_shift = K(scale_shift),
    .finish = K(finish),
    .to_f32 = K(to_f32),
    .to_bf16 = K(to_bf16),
    .accumulate = K(accumulate),
    .exponentials = K(exponentials),
    .largest = K(largest),
    .scale = K(scale),
    .blend4 = K2(blend4),
};
