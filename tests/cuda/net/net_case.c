/* SPDX-License-Identifier: MIT */
#include "net_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "net/passes.h"
#include "net/ref/ref.h"

const KerbBackend *kerb_backend(uint32_t abi, const KerbLogSink *sink);

KerbNetCase kerb_net_case(void)
{
    KerbNetCase c = {.backend = kerb_backend(KERB_BACKEND_ABI, NULL)};
    assert_int_equal(kerb_graph_new(&c.g, &c.error), KERB_OK);
    return c;
}

void kerb_net_case_free(KerbNetCase *c)
{
    c->backend->free(&c->net);
    kerb_graph_free(&c->g);
}

KerbStatus kerb_net_case_compile(KerbNetCase *c, KerbPrecision precision)
{
    if (kerb_graph_infer(c->g, &c->error)) fail_msg("%s", c->error.message);
    if (kerb_graph_optimize(c->g, &(KerbOptimizeOptions){.keep_head = true}, &c->error)) fail_msg("%s", c->error.message);
    const KerbCompileOptions options = {.threads = 1, .precision = precision, .trace = true};
    return c->backend->compile(&c->net, c->g, &options, &c->error);
}

int kerb_net_case_steps(const KerbNetCase *c, const char *kind)
{
    const KerbTrace trace = c->backend->trace(c->net);
    int n = 0;
    for (int i = 0; i < trace.n; i++) n += !strncmp(trace.spans[i].name, kind, strlen(kind));
    return n;
}

int kerb_net_case_differences(KerbNetCase *c, KerbRandom *r, double limit, double *worst)
{
    KerbNet *ref = NULL;
    const KerbCompileOptions options = {.threads = 1, .precision = KERB_PRECISION_F32};
    if (kerb_backend_ref.compile(&ref, c->g, &options, &c->error)) fail_msg("%s", c->error.message);
    for (int i = 0; i < c->g->n_inputs; i++) {
        const KerbTensor *a = kerb_backend_ref.input(ref, i), *b = c->backend->input(c->net, i);
        for (int64_t j = 0, n = kerb_tensor_elements(a); j < n; j++) {
            const float v = kerb_f16_to_f32(kerb_f32_to_f16(kerb_random_float(r))); /* all precisions see the same numbers */
            kerb_tensor_set(a, j, (double)v);
            kerb_tensor_set(b, j, (double)v);
        }
    }
    if (kerb_backend_ref.run(ref, &c->error) || c->backend->run(c->net, &c->error)) fail_msg("%s", c->error.message);
    int differences = 0;
    double most = 0;
    for (int i = 0; i < c->g->n_outputs; i++) {
        const KerbTensor *a = kerb_backend_ref.output(ref, i), *b = c->backend->output(c->net, i);
        for (int64_t j = 0, n = kerb_tensor_elements(a); j < n; j++) {
            const double d = fabs(kerb_tensor_get(a, j) - kerb_tensor_get(b, j));
            if (!(d <= limit)) differences++;
            if (!(d <= most)) most = d;
        }
    }
    kerb_backend_ref.free(&ref);
    if (worst) *worst = most;
    return differences;
}

uint32_t kerb_net_case_result(KerbGraph *g, KerbDtype dtype)
{
    int64_t unknown[4] = {KERB_DIM_UNKNOWN, KERB_DIM_UNKNOWN, KERB_DIM_UNKNOWN, KERB_DIM_UNKNOWN};
    return kerb_graph_add_value(g, kerb_graph_name(g, "v", ""), dtype, -1, unknown);
}

uint32_t kerb_net_case_conv(KerbGraph *g, KerbRandom *r, uint32_t x, int in, int out, int kernel, int stride)
{
    const int64_t wd[4] = {out, in, kernel, kernel}, bd[1] = {out};
    const float scale = 1 / sqrtf((float)(in * kernel * kernel));
    const uint32_t inputs[3] = {x, kerb_case_constant(g, r, 4, wd, scale), kerb_case_constant(g, r, 1, bd, 0.2f)},
                   y = kerb_net_case_result(g, KERB_F32);
    KerbConvAttrs *a = &kerb_case_node(g, KERB_OP_CONV, 3, inputs, y)->attrs.conv;
    const int pad = kernel / 2;
    a->window = (KerbWindow){
        .n = 2, .kernel = {kernel, kernel}, .stride = {stride, stride}, .dilation = {1, 1}, .pad_begin = {pad, pad}, .pad_end = {pad, pad}};
    a->group = 1;
    return y;
}

uint32_t kerb_net_case_relu(KerbGraph *g, uint32_t x)
{
    const uint32_t y = kerb_net_case_result(g, KERB_F32);
    kerb_case_node(g, KERB_OP_UNARY, 1, &x, y)->attrs.unary.kind = KERB_UNARY_RELU;
    return y;
}

uint32_t kerb_net_case_concat(KerbGraph *g, int n, const uint32_t x[])
{
    const uint32_t y = kerb_net_case_result(g, KERB_F32);
    kerb_case_node(g, KERB_OP_CONCAT, n, x, y)->attrs.axis = 1;
    return y;
}
