/* SPDX-License-Identifier: MIT */
/* 16-bit floats in items: the bits of base/tensor.h's conversions (round to nearest even) on both sides. */
#ifndef KERB_CUDA_BASE_HALF_H
#define KERB_CUDA_BASE_HALF_H

#include "base/tensor.h"
#include "cuda/base/cuda.h"

KERB_ITEM float kerb_item_bits_f32(uint32_t bits)
{
    union { uint32_t u; float f; } x;
    x.u = bits;
    return x.f;
}
KERB_ITEM uint32_t kerb_item_f32_bits(float v)
{
    union { float f; uint32_t u; } x;
    x.f = v;
    return x.u;
}

KERB_ITEM float kerb_item_bf16_f32(uint16_t v) { return kerb_item_bits_f32((uint32_t)v << 16); }
KERB_ITEM uint16_t kerb_item_f32_bf16(float v)
{
    uint32_t u = kerb_item_f32_bits(v);
    if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((u >> 16) | 0x40u);
    return (uint16_t)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

/* The hardware's instructions, without cuda_fp16.h, which costs seconds to compile. */
KERB_ITEM float kerb_item_f16_f32(uint16_t v)
{
#ifdef __CUDA_ARCH__
    float f;
    asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(v));
    return f;
#else
    return kerb_f16_to_f32(v);
#endif
}
KERB_ITEM uint16_t kerb_item_f32_f16(float v)
{
#ifdef __CUDA_ARCH__
    uint16_t h;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(v));
    return h;
#else
    return kerb_f32_to_f16(v);
#endif
}

#endif
