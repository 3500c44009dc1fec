/* SPDX-License-Identifier: MIT */
/* One convolution on cuDNN 9's graph API: problem -> plan -> run. Enters: plain data that says all that matters. Leaves: a plan that is shared by all
 * equal problems. Knows no graph of Kerb's; graph -> steps is compile.c's. */
#ifndef KERB_CUDA_NET_CONV_H
#define KERB_CUDA_NET_CONV_H

#include "cuda/base/cuda.h"
#include "net/graph.h"

/* Plain data without padding holes that matter (memset to 0 before filling): equal bytes, equal problem. One picture (N = 1), channels adjacent.
 * Strides in elements. y = act(scale * (conv(x, w)) + bias + z); scale for int8 only.
 *
 * c and k are the channels that are computed with: the model's own, or more where padding is there to be read (zeros) and written (problem.h
 * rounds them up). Weights are packed for these. */
typedef struct KerbConvProblem {
    int32_t x_type, w_type, y_type; /* KerbDtype: f32, f16, bf16, i8; z has y's type */
    int32_t tf32;                   /* f32: tensor cores may be used */
    int32_t transposed;             /* ConvTranspose: as data gradient; h, w are x's, out_h, out_w are y's all the same */
    int32_t c, h, w, k, out_h, out_w;
    int32_t kernel[2], stride[2], dilation[2], pad_begin[2], pad_end[2];
    int32_t group;
    int64_t x_row, x_pixel, y_row, y_pixel, z_row, z_pixel;
    int32_t has_scale, has_bias, has_z; /* scale and bias: k floats each (f32) */
    int32_t act;                    /* KerbActivationKind; PRELU: slope, k floats (f32) */
    int32_t unary;                  /* KerbUnary where act is UNARY */
    float alpha, beta, lo, hi;      /* as KerbActivation */
    float y_scale;                  /* i8 results: y = saturate(round(act(...) * y_scale)); else 1 */
    float z_scale;                  /* i8 residuals: z counts as z * z_scale; else 1 */
    int32_t reserved;               /* 0: without it there would be padding, which copies need not keep */
} KerbConvProblem;
_Static_assert(sizeof(KerbConvProblem) == 34 * 4 + 6 * 8, "no padding: problems are compared by their bytes");

typedef struct KerbConvPointers {
    const void *x, *w, *scale, *bias, *z, *slope; /* device; z may be y */
    void *y, *workspace;
} KerbConvPointers;

/* Plans of one device and precision: heuristics (mode A, then FALLBACK), the best of the first few by timing, cached on disk. */
typedef struct KerbPlans KerbPlans;
typedef struct KerbConvPlan KerbConvPlan;

typedef struct KerbPlansOptions {
    KerbCudaDevice device;
    const char *device_json;  /* properties of a device that is not here (kerb-plans): plans are finalised, not timed. NULL: the real one */
    bool time_candidates;
    double tune_seconds;      /* after so long since kerb_plans_new() the first good candidate is taken untimed; 0: 20 s */
    uint64_t graph_hash;      /* part of the cache's key */
    bool cache;               /* on disk */
} KerbPlansOptions;
KerbStatus kerb_plans_new(KerbPlans **out, const KerbPlansOptions *options, KerbError *error);
void kerb_plans_free(KerbPlans **plans);
/* Writes new plans to disk (atomically); failing is logged and no error. */
void kerb_plans_save(KerbPlans *plans);

/* The plan for a problem, made at the first call for it. OK with *out NULL: cuDNN has none; `why` says so in a few words and the caller takes an own
 * kernel (net/kernels.h has a direct convolution for every problem). Errors: MEMORY, BACKEND. */
KerbStatus kerb_plans_get(KerbPlans *plans, const KerbConvProblem *problem, KerbConvPlan **out, char *why, size_t why_bytes, KerbError *error);
/* The same for many problems at once, on `threads` threads (0: as many as there are cores). progress("compiling", plans made, all of them) comes on
 * the caller's thread; may be NULL. What is not prepared is made when it is asked for. */
KerbStatus kerb_plans_prepare(KerbPlans *plans, const KerbConvProblem problems[], int n, int threads, KerbProgressFn progress, void *user,
                              KerbError *error);
/* For all that the graph's compilation will ask for, as far as it is foreseen (net/forecast.h). */
KerbStatus kerb_plans_prepare_graph(KerbPlans *plans, const KerbGraph *g, KerbPrecision precision, int threads, KerbProgressFn progress, void *user,
                                    KerbError *error);
size_t kerb_plan_workspace(const KerbConvPlan *plan); /* a multiple of 256; the workspace itself is aligned to 256 */
/* What cuDNN could not fuse. The plan then writes conv(x, w) alone into the workspace at `offset`, as a picture of k x out_h x out_w of this type
 * and these strides, and the caller runs the finish kernel (net/kernels.h) behind it: y = act(scale * raw + bias + z) [* y_scale, to i8].
 * NULL: nothing is left. */
typedef struct KerbConvLeft {
    int32_t type; /* KerbDtype; f32 for int8 problems */
    int64_t row, pixel;
    size_t offset;
} KerbConvLeft;
const KerbConvLeft *kerb_plan_left(const KerbConvPlan *plan);
const char *kerb_plan_text(const KerbConvPlan *plan); /* "engine 36, 0.041 ms, from cache": for inspect and logs */
/* Queues it. Not from two threads at once (one cuDNN handle). Capturable. */
KerbStatus kerb_plan_run(KerbPlans *plans, const KerbConvPlan *plan, const KerbConvPointers *pointers, cudaStream_t stream, KerbError *error);

/* ONNX weights (K, C/group, R, S; transposed: C, K/group, R, S) of the model's own channel numbers, as floats -> the bytes that plans and own
 * kernels read: KRSC (transposed: CRSK), channels and outputs beyond real_c and real_k zeros, in w_type (i8: `weights` holds the integers).
 * Grouped: real_c and real_k are the problem's. Saturates f16 overflow to the largest finite number. */
size_t kerb_conv_weight_bytes(const KerbConvProblem *problem);
void kerb_conv_pack_weights(const KerbConvProblem *problem, const float *weights, int real_c, int real_k, void *out);
/* A vector by output channel (bias, scale, slope) with zeros behind it: k floats. */
void kerb_conv_pack_vector(const KerbConvProblem *problem, const float *values, int real_k, float *out);

#endif
