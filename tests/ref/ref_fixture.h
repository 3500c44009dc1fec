/* SPDX-License-Identifier: MIT */
/* Evaluating one operator on small literal tensors. */
#ifndef KERB_TESTS_REF_FIXTURE_H
#define KERB_TESTS_REF_FIXTURE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "net/ref/ref.h"

#define DIMS(...) (const int64_t[]){ __VA_ARGS__ }
#define TENSOR(array, dtype, rank, ...) kerb_tensor((void *)(array), dtype, rank, DIMS(__VA_ARGS__))
#define SCALAR(pointer, type) ((KerbTensor){ .data = (void *)(pointer), .dtype = (type) })
#define VECTOR(array) kerb_tensor((void *)(array), KERB_I64, 1, DIMS((int64_t)(sizeof(array) / sizeof((array)[0]))))
#define ABSENT ((KerbTensor){ 0 })

typedef struct Inputs {
    int n;
    KerbTensor t[8];
} Inputs;
#define INPUTS(...) ((const Inputs){ (int)(sizeof((KerbTensor[]){ __VA_ARGS__ }) / sizeof(KerbTensor)), { __VA_ARGS__ } })

/* One node over inputs and outputs that are given; the graph is only needed where an activation has a slope. */
static inline KerbStatus eval_in(const KerbGraph *g, KerbOp op, KerbAttrs attrs, Inputs in, int n_out, KerbTensor out[], KerbError *error)
{
    uint32_t ids[8] = { 0 };
    KerbNode n = { .op = op, .name = "node", .n_inputs = in.n, .n_outputs = n_out, .inputs = ids, .outputs = ids, .attrs = attrs };
    return kerb_ref_eval(g, &n, in.t, out, error);
}

/* EVAL(operator, output, INPUTS(a, b), attributes as in an initialiser of KerbAttrs; 0 for none) */
#define EVAL_STATUS(op, out, inputs, ...) eval_in(NULL, op, (KerbAttrs){ __VA_ARGS__ }, inputs, 1, &(out), NULL)
#define EVAL(op, out, inputs, ...) assert_int_equal(EVAL_STATUS(op, out, inputs, __VA_ARGS__), KERB_OK)

static inline void expect_f32(const float got[], const float expected[], int n, float tolerance)
{
    for (int i = 0; i < n; i++)
        if (!(fabsf(got[i] - expected[i]) <= tolerance) && !(isnan(got[i]) && isnan(expected[i])) && got[i] != expected[i])
            fail_msg("element %d: got %.9g, expected %.9g", i, (double)got[i], (double)expected[i]);
}
static inline void expect_i64(const int64_t got[], const int64_t expected[], int n)
{
    for (int i = 0; i < n; i++)
        if (got[i] != expected[i]) fail_msg("element %d: got %lld, expected %lld", i, (long long)got[i], (long long)expected[i]);
}

#endif
