/* SPDX-License-Identifier: MIT */
/* Node -> problem -> packed weights -> plan -> run on the stand-in, against the reference operator: every epilogue, layout and fallback. */
#include "net/net_fixture.h"

#include "cuda/net/problem.h"
#include "cuda/standin/clean.h"

#include <cuda_runtime_api.h>
#include <pthread.h>

typedef struct Case {
    const char *name, *x, *w, *bias, *z; /* as net_value() reads them; z "-": none */
    int kernel, stride, dilation, begin, end, groups;
    KerbActivation act;
    bool transposed;
    int pad_x, pad_y; /* further channels of the pitch; above 0 they are slices' neighbours, below 0 (-n): padding that is the picture's own */
} Case;

#define UNARY_ACT(e, a, b) { .kind = KERB_ACT_UNARY, .unary = KERB_UNARY_##e, .alpha = a, .beta = b }
#define CLIP_ACT(a, b) { .kind = KERB_ACT_CLIP, .lo = a, .hi = b }

static const Case cases[] = {
    { "plain", "1x8x9x7", "=16x8x3x3", "-", "-", 3, 1, 1, 1, 1, 1, { 0 }, false, 0, 0 },
    { "bias", "1x8x9x7", "=16x8x3x3", "=16", "-", 3, 1, 1, 1, 1, 1, { 0 }, false, 0, 0 },
    { "residual", "1x8x9x7", "=16x8x3x3", "=16", "1x16x9x7", 3, 1, 1, 1, 1, 1, UNARY_ACT(RELU, 0, 0), false, 0, 0 },
    { "strided", "1x8x11x13", "=8x8x3x3", "=8", "-", 3, 2, 1, 1, 1, 1, UNARY_ACT(RELU, 0, 0), false, 0, 0 },
    { "dilated", "1x8x19x17", "=8x8x3x3", "=8", "-", 3, 1, 5, 5, 5, 1, UNARY_ACT(RELU, 0, 0), false, 0, 0 },
    { "pads that differ", "1x8x9x8", "=8x8x3x3", "=8", "-", 3, 2, 1, 0, 1, 1, UNARY_ACT(RELU, 0, 0), false, 0, 0 },
    { "grouped", "1x32x9x7", "=48x8x3x3", "=48", "-", 3, 1, 1, 1, 1, 4, UNARY_ACT(RELU, 0, 0), false, 0, 0 },
    { "stem and head", "1x3x9x7", "=19x3x3x3", "=19", "-", 3, 1, 1, 1, 1, 1, UNARY_ACT(RELU, 0, 0), false, -5, -5 },
    { "slices", "1x8x9x7", "=16x8x1x1", "=16", "1x16x9x7", 1, 1, 1, 0, 0, 1, UNARY_ACT(RELU, 0, 0), false, 24, 40 },
    { "one pixel", "1x16x1x1", "=8x16x1x1", "=8", "-", 1, 1, 1, 0, 0, 1, UNARY_ACT(SIGMOID, 0, 0), false, 0, 0 },
    { "transposed", "1x16x5x6", "=16x8x2x2", "=8", "-", 2, 2, 1, 0, 0, 1, UNARY_ACT(RELU, 0, 0), true, 0, 0 },
    { "transposed, padded", "1x8x5x6", "=8x24x4x4", "-", "-", 4, 2, 1, 1, 1, 1, { 0 }, true, 0, 0 },
    { "leaky", "1x8x9x7", "=8x8x3x3", "=8", "-", 3, 1, 1, 1, 1, 1, UNARY_ACT(LEAKY_RELU, 0.1f, 0), false, 0, 0 },
    { "relu6", "1x8x9x7", "=8x8x3x3", "=8", "-", 3, 1, 1, 1, 1, 1, CLIP_ACT(0, 0.7f), false, 0, 0 },
    { "clip", "1x8x9x7", "=8x8x3x3", "=8", "1x8x9x7", 3, 1, 1, 1, 1, 1, CLIP_ACT(-0.5f, 0.8f), false, 0, 0 },
    { "clip below", "1x8x9x7", "=8x8x3x3", "=8", "-", 3, 1, 1, 1, 1, 1, CLIP_ACT(0.1f, INFINITY), false, 0, 0 },
    { "prelu", "1x8x9x7", "=16x8x3x3", "=16", "1x16x9x7", 3, 1, 1, 1, 1, 1, { .kind = KERB_ACT_PRELU }, false, 0, 0 },
    { "sigmoid", "1x8x9x7", "=8x8x3x3", "=8", "-", 3, 1, 1, 1, 1, 1, UNARY_ACT(SIGMOID, 0, 0), false, 0, 0 },
    { "tanh", "1x8x9x7", "=8x8x3x3", "=8", "-", 3, 1, 1, 1, 1, 1, UNARY_ACT(TANH, 0, 0), false, 0, 0 },
    { "swish", "1x8x9x7", "=8x8x3x3", "=8", "1x8x9x7", 3, 1, 1, 1, 1, 1, UNARY_ACT(SWISH, 0, 0), false, 0, 0 },
    { "gelu", "1x8x9x7", "=8x8x3x3", "=8", "-", 3, 1, 1, 1, 1, 1, UNARY_ACT(GELU, 0, 0), false, 0, 0 },
    { "gelu tanh", "1x8x9x7", "=8x8x3x3", "=8", "-", 3, 1, 1, 1, 1, 1, UNARY_ACT(GELU_TANH, 0, 0), false, 0, 0 },
    { "softplus", "1x8x9x7", "=8x8x3x3", "=8", "-", 3, 1, 1, 1, 1, 1, UNARY_ACT(SOFTPLUS, 0, 0), false, 0, 0 },
    { "elu", "1x8x9x7", "=8x8x3x3", "=8", "-", 3, 1, 1, 1, 1, 1, UNARY_ACT(ELU, 0.7f, 0), false, 0, 0 },
    { "selu", "1x8x9x7", "=8x8x3x3", "=8", "-", 3, 1, 1, 1, 1, 1, UNARY_ACT(SELU, 1.67f, 1.05f), false, 0, 0 },
    { "hard sigmoid", "1x8x9x7", "=8x8x3x3", "=8", "-", 3, 1, 1, 1, 1, 1, UNARY_ACT(HARD_SIGMOID, 0.3f, 0.4f), false, 0, 0 },
    { "hard swish", "1x8x9x7", "=8x8x3x3", "=8", "1x8x9x7", 3, 1, 1, 1, 1, 1, UNARY_ACT(HARD_SWISH, 0, 0), false, 0, 0 },
    { "mish", "1x8x9x7", "=8x8x3x3", "=8", "-", 3, 1, 1, 1, 1, 1, UNARY_ACT(MISH, 0, 0), false, 0, 0 },
    { "softsign: left", "1x8x9x7", "=8x8x3x3", "=8", "1x8x9x7", 3, 1, 1, 1, 1, 1, UNARY_ACT(SOFTSIGN, 0, 0), false, 0, 0 },
};
#define N_CASES (sizeof cases / sizeof cases[0])

static char text[8192];

static int begin(void **state)
{
    kerb_standin_configure("");
    setenv("KERB_CUDNN", STANDIN, 1);
    setenv("KERB_PLAN_CACHE", "off", 1);
    return cudaSetDevice(0) != cudaSuccess;
}
static KerbPlans *new_plans(bool time)
{
    KerbPlans *plans = NULL;
    KerbError error = { 0 };
    KerbPlansOptions options = { .time_candidates = time };
    if (kerb_cuda_device(0, &options.device, &error) != KERB_OK || kerb_plans_new(&plans, &options, &error) != KERB_OK) fail_msg("%s", error.message);
    return plans;
}

/* ---- the node and what it should give */

typedef struct Made {
    KerbGraph *g;
    KerbNode *n;
    NetRun run; /* of the reference */
} Made;

/* sums: the convolution alone. */
static Made make(const Case *c, bool sums)
{
    Made m = { .g = net_new() };
    net_seed = 11; /* both the same weights */
    KerbAttrs attrs = { CONV(c->kernel, c->stride, c->dilation, c->begin, c->end, c->groups) };
    uint32_t x = net_value(m.g, c->x), w = net_value(m.g, c->w), bias = net_value(m.g, c->bias), z = net_value(m.g, c->z), slope = KERB_NO_VALUE;
    if (c->act.kind == KERB_ACT_PRELU) slope = net_value(m.g, "=16");
    if (!sums) {
        attrs.conv.act = c->act;
        attrs.conv.act.slope = slope;
    }
    KerbOp op = c->transposed ? KERB_OP_CONV_TRANSPOSE : KERB_OP_CONV;
    uint32_t y = net_node(m.g, op, sums ? IN(x, w, NONE, NONE) : IN(x, w, bias, z), attrs);
    net_set_outputs(m.g, IN(y));
    net_infer(m.g);
    m.run = net_run(m.g, 3);
    m.n = &m.g->nodes[0];
    return m;
}
static void unmake(Made *m)
{
    net_run_free(&m->run);
    kerb_graph_free(&m->g);
}

/* ---- device memory */

typedef struct Picture {
    KerbTensor t; /* data: host */
    void *device;
    size_t bytes;
} Picture;

#define GUARD 0x5a

/* A picture in device layout: neighbours (guards) where `more` > 0, own zeros where < 0. */
static Picture picture(const KerbTensor *from, KerbDtype type, int more, bool fill)
{
    Picture p = { .t = *from };
    int64_t unit = 16 / (int64_t)kerb_dtype_bytes(type), pitch = (from->dims[1] + abs(more) + unit - 1) / unit * unit;
    p.t.dtype = type;
    p.t.strides[3] = pitch;
    p.t.strides[2] = pitch * p.t.dims[3];
    p.t.strides[1] = 1;
    p.t.strides[0] = p.t.strides[2] * p.t.dims[2];
    p.bytes = (size_t)p.t.strides[0] * kerb_dtype_bytes(type);
    p.t.data = malloc(p.bytes);
    memset(p.t.data, more > 0 ? GUARD : 0, p.bytes);
    if (fill) kerb_tensor_copy(&p.t, from);
    assert_int_equal(cudaMalloc(&p.device, p.bytes), cudaSuccess);
    assert_int_equal(cudaMemcpy(p.device, p.t.data, p.bytes, cudaMemcpyHostToDevice), cudaSuccess);
    return p;
}
static void drop(Picture *p)
{
    free(p->t.data);
    assert_int_equal(cudaFree(p->device), cudaSuccess);
}
static void *device_bytes(const void *from, size_t bytes)
{
    void *device = NULL;
    assert_int_equal(cudaMalloc(&device, bytes), cudaSuccess);
    assert_int_equal(cudaMemcpy(device, from, bytes, cudaMemcpyHostToDevice), cudaSuccess);
    return device;
}

/* A float constant as packed and padded vector on the device; NULL: there is none. */
static void *device_vector(const KerbGraph *g, uint32_t id, const KerbConvProblem *p)
{
    float values[256], padded[256];
    int n = id == NONE ? -1 : kerb_value_floats(&g->values[id], values, 256);
    if (n < 0) return NULL;
    kerb_conv_pack_vector(p, values, n, padded);
    return device_bytes(padded, (size_t)p->k * 4);
}
static void *device_weights(const KerbGraph *g, uint32_t id, const KerbConvProblem *p, int c, int k)
{
    KerbTensor w = kerb_value_tensor(&g->values[id]);
    size_t bytes = kerb_conv_weight_bytes(p);
    void *packed = malloc(bytes);
    kerb_conv_pack_weights(p, w.data, c, k, packed);
    void *device = device_bytes(packed, bytes);
    free(packed);
    return device;
}

/* ---- */

static void compare(const Case *c, const KerbTensor *got, const KerbTensor *wanted, double tolerance)
{
    double largest = 1, worst = 0;
    for (int64_t i = 0; i < kerb_tensor_elements(wanted); i++) {
        double a = kerb_tensor_get(got, i), b = kerb_tensor_get(wanted, i);
        if (fabs(b) > largest) largest = fabs(b);
        if (!(fabs(a - b) <= worst)) worst = fabs(a - b);
    }
    if (!(worst <= tolerance * largest)) fail_msg("%s: off by %g, the largest is %g, the tolerance %g", c->name, worst, largest, tolerance);
}

/* What lies between the picture's channels is as it was: neighbours untouched. */
static void expect_guards(const Case *c, const Picture *p, int channels, int more)
{
    const uint8_t *bytes = p->t.data;
    size_t unit = kerb_dtype_bytes(p->t.dtype), pitch = (size_t)p->t.strides[3] * unit;
    for (size_t i = 0; more > 0 && i < p->bytes; i++) {
        if (i % pitch >= (size_t)channels * unit && bytes[i] != GUARD) fail_msg("%s: a neighbour was written to (byte %zu)", c->name, i);
    }
}

typedef enum Expect { FUSED, LEFT, NONE_AT_ALL } Expect;

static void run_case(KerbPlans *plans, const Case *c, KerbDtype type, bool tf32, double tolerance, Expect expect)
{
    char why[200];
    KerbError error = { 0 };
    KerbConvPlan *plan = NULL;
    KerbConvProblem p;
    Made whole = make(c, false), sums = make(c, true);
    const bool has_z = c->z[0] != '-';
    const KerbTensor *x_ref = &whole.run.t[whole.n->inputs[0]], *y_ref = &whole.run.t[whole.g->outputs[0]];
    const int channels = (int)x_ref->dims[1], outputs = (int)y_ref->dims[1];
    Picture x = picture(x_ref, type, c->pad_x, true), y = picture(y_ref, type, c->pad_y, false);
    Picture z = has_z ? picture(&whole.run.t[whole.n->inputs[3]], type, c->pad_y, true) : (Picture){ .bytes = 0 };
    KerbConvSite site = { .x = &x.t, .y = &y.t, .z = has_z ? &z.t : NULL, .x_channels = channels - (c->pad_x < 0 ? c->pad_x : 0),
                          .y_channels = outputs - (c->pad_y < 0 ? c->pad_y : 0), .tf32 = tf32, .y_scale = 1, .z_scale = 1 };
    if (!kerb_conv_problem(whole.g, whole.n, &site, &p, why, sizeof why)) fail_msg("%s: %s", c->name, why);
    if (kerb_plans_get(plans, &p, &plan, why, sizeof why, &error) != KERB_OK) fail_msg("%s: %s", c->name, error.message);
    if (expect == NONE_AT_ALL) {
        assert_null(plan);
        assert_true(why[0] != '\0');
    } else {
        if (!plan) fail_msg("%s: no plan: %s", c->name, why);
        const KerbConvLeft *left = kerb_plan_left(plan);
        if (!left != (expect == FUSED)) fail_msg("%s: %s (%s)", c->name, kerb_plan_text(plan), why);
        KerbConvPointers q = { .x = x.device, .y = y.device, .z = z.device, .w = device_weights(whole.g, whole.n->inputs[1], &p, channels, outputs),
                               .bias = device_vector(whole.g, whole.n->inputs[2], &p), .slope = device_vector(whole.g, whole.n->attrs.conv.act.slope, &p) };
        size_t bytes = kerb_plan_workspace(plan);
        if (bytes) assert_int_equal(cudaMalloc(&q.workspace, bytes), cudaSuccess);
        for (int i = 0; i < 2; i++) /* again with the same pointers */
            if (kerb_plan_run(plans, plan, &q, NULL, &error) != KERB_OK) fail_msg("%s: %s", c->name, error.message);
        assert_int_equal(cudaDeviceSynchronize(), cudaSuccess);
        assert_int_equal(cudaMemcpy(y.t.data, y.device, y.bytes, cudaMemcpyDeviceToHost), cudaSuccess);
        if (left) {
            size_t n = (size_t)left->row * (size_t)p.out_h * kerb_dtype_bytes((KerbDtype)left->type);
            assert_true(left->offset + n <= bytes);
            KerbTensor raw = y.t;
            raw.dtype = (KerbDtype)left->type;
            raw.strides[3] = left->pixel;
            raw.strides[2] = left->row;
            raw.data = malloc(n);
            assert_int_equal(cudaMemcpy(raw.data, (char *)q.workspace + left->offset, n, cudaMemcpyDeviceToHost), cudaSuccess);
            compare(c, &raw, &sums.run.t[sums.g->outputs[0]], tolerance);
            free(raw.data);
        } else {
            compare(c, &y.t, y_ref, tolerance);
        }
        expect_guards(c, &y, outputs, c->pad_y);
        cudaFree((void *)(uintptr_t)q.w);
        cudaFree((void *)(uintptr_t)q.bias);
        cudaFree((void *)(uintptr_t)q.slope);
        cudaFree(q.workspace);
    }
    drop(&x);
    drop(&y);
    if (has_z) drop(&z);
    unmake(&whole);
    unmake(&sums);
}

static void run_all(KerbDtype type, bool tf32, double tolerance)
{
    KerbPlans *plans = new_plans(false);
    for (size_t i = 0; i < N_CASES; i++) run_case(plans, &cases[i], type, tf32, tolerance, strstr(cases[i].name, "left") ? LEFT : FUSED);
    kerb_plans_free(&plans);
}

/* Tolerances: operands and results are rounded to the type once each (tf32: operands to 10 bits); up to 288 products are summed in f32. */
static void test_f32(void **state) { run_all(KERB_F32, false, 2e-5); }
static void test_tf32(void **state) { run_all(KERB_F32, true, 4e-3); }
static void test_f16(void **state) { run_all(KERB_F16, false, 4e-3); }
static void test_bf16(void **state) { run_all(KERB_BF16, false, 3e-2); }

static void test_nothing_fuses(void **state)
{
    kerb_standin_configure("nofuse");
    KerbPlans *plans = new_plans(true);
    for (size_t i = 0; i < N_CASES; i++) {
        bool plain = cases[i].act.kind == KERB_ACT_NONE && cases[i].bias[0] == '-' && cases[i].z[0] == '-';
        run_case(plans, &cases[i], KERB_F16, false, 4e-3, plain ? FUSED : LEFT);
    }
    kerb_plans_free(&plans);
}

static void test_no_plans_at_all(void **state)
{
    kerb_standin_configure("nodnn");
    KerbPlans *plans = new_plans(true);
    run_case(plans, &cases[2], KERB_F16, false, 0, NONE_AT_ALL);
    run_case(plans, &cases[2], KERB_F16, false, 0, NONE_AT_ALL); /* remembered */
    kerb_plans_free(&plans);
}

/* The fastest of several, and one plan for equal problems. */
static void test_timed(void **state)
{
    KerbPlans *plans = new_plans(true);
    for (int i = 0; i < 2; i++) run_case(plans, &cases[2], KERB_F16, false, 4e-3, FUSED);
    kerb_plans_free(&plans);
}

/* ---- many at once */

static KerbConvProblem dense(int k)
{
    KerbConvProblem p;
    memset(&p, 0, sizeof p);
    p.x_type = p.w_type = p.y_type = KERB_F16;
    p.c = 8;
    p.h = p.out_h = p.w = p.out_w = 4;
    p.k = k;
    p.kernel[0] = p.kernel[1] = p.stride[0] = p.stride[1] = p.dilation[0] = p.dilation[1] = p.group = 1;
    p.x_row = 32;
    p.x_pixel = 8;
    p.y_row = 4 * k;
    p.y_pixel = k;
    p.has_bias = 1;
    p.y_scale = p.z_scale = 1;
    return p;
}

typedef struct Progress {
    int calls, done, total;
    pthread_t thread;
} Progress;
static void count_progress(void *user, const char *what, int done, int total)
{
    Progress *p = user;
    assert_string_equal(what, "compiling");
    assert_true(done >= p->done && done <= total && pthread_equal(p->thread, pthread_self()));
    p->calls++;
    p->done = done;
    p->total = total;
}

enum { MANY = 40, DIFFERENT = 23 };
static KerbStatus prepare_many(const char *words, int threads, Progress *progress, int *plans_made)
{
    KerbConvProblem problems[MANY];
    KerbError error = { 0 };
    KerbConvPlan *plan;
    kerb_standin_configure("");
    KerbPlans *plans = new_plans(true);
    kerb_standin_configure(words);
    for (int i = 0; i < MANY; i++) problems[i] = dense(8 * (1 + i % DIFFERENT));
    KerbStatus status = kerb_plans_prepare(plans, problems, MANY, threads, count_progress, progress, &error);
    if (status != KERB_OK && !error.message[0]) fail_msg("status %d without a message", (int)status);
    *plans_made = 0;
    const uint64_t before = kerb_standin_calls(NULL);
    for (int i = 0; i < MANY && status == KERB_OK; i++) {
        status = kerb_plans_get(plans, &problems[i], &plan, NULL, 0, &error);
        *plans_made += status == KERB_OK && plan != NULL;
    }
    if (!words[0]) assert_int_equal(kerb_standin_calls(NULL), before); /* all were there */
    kerb_plans_free(&plans);
    return status;
}

static void test_many_at_once(void **state)
{
    int made;
    const int threads[] = { 1, 2, 5, 16, 0 };
    for (size_t i = 0; i < sizeof threads / sizeof threads[0]; i++) {
        Progress progress = { .thread = pthread_self() };
        assert_int_equal(prepare_many("", threads[i], &progress, &made), KERB_OK);
        assert_int_equal(made, MANY);
        assert_true(progress.calls > 0);
        assert_int_equal(progress.total, DIFFERENT);
    }
    Progress progress = { .thread = pthread_self() };
    assert_int_equal(prepare_many("nodnn", 4, &progress, &made), KERB_OK);
    assert_int_equal(made, 0);
    for (int i = 1; i < 400; i += 13) { /* a call fails, in whatever thread */
        char words[32];
        snprintf(words, sizeof words, "fail=%d code=%d", i, i % 2 ? 2 : 719);
        progress = (Progress){ .thread = pthread_self() };
        (void)prepare_many(words, 3, &progress, &made);
        if (kerb_standin_leaks(text, sizeof text)) fail_msg("%s: left behind: %s", words, text);
    }
    kerb_standin_configure("");
}

static KerbStatus timed_plan(bool *has_plan)
{
    KerbPlansOptions options = { .time_candidates = true };
    KerbPlans *plans = NULL;
    KerbConvPlan *plan = NULL;
    KerbError error = { 0 };
    const KerbConvProblem p = dense(16);
    KerbStatus status = kerb_cuda_device(0, &options.device, &error);
    if (status == KERB_OK) status = kerb_plans_new(&plans, &options, &error);
    if (status == KERB_OK) status = kerb_plans_get(plans, &p, &plan, NULL, 0, &error);
    *has_plan = plan != NULL;
    if (status != KERB_OK && !error.message[0]) fail_msg("status %d without a message", (int)status);
    kerb_plans_free(&plans);
    return status;
}

/* Every call fails once: it is an error with a message, or another way is found; nothing is left behind. */
static void test_every_call_fails(void **state)
{
    bool has_plan;
    int failed = 0;
    char words[64];
    assert_int_equal(timed_plan(&has_plan), KERB_OK);
    assert_true(has_plan);
    kerb_standin_configure("");
    (void)timed_plan(&has_plan);
    const uint64_t calls = kerb_standin_calls(NULL);
    assert_true(calls > 100);
    for (uint64_t i = 1; i <= calls; i++) {
        snprintf(words, sizeof words, "fail=%llu code=%d", (unsigned long long)i, i % 3 == 0 ? 719 : i % 3 == 1 ? 2 : 999);
        kerb_standin_configure(words);
        failed += timed_plan(&has_plan) != KERB_OK;
        if (kerb_standin_leaks(text, sizeof text)) fail_msg("call %llu of %llu fails: left behind: %s", (unsigned long long)i, (unsigned long long)calls, text);
    }
    assert_true(failed > 0);
    kerb_standin_configure("");
}

/* ---- int8 */

static float random_step(void) { return 0.01f + 0.01f * fabsf(net_random()); }

static void int8_case(KerbDtype y_type, bool has_z, KerbActivationKind act)
{
    enum { C = 16, K = 32, H = 5, W = 6 };
    static int8_t x[H * W * C], z[H * W * K], y8[H * W * K], packed[K * C];
    static uint16_t y16[H * W * K];
    float weights[K * C], scale[K], bias[K];
    KerbConvProblem p;
    memset(&p, 0, sizeof p);
    p = (KerbConvProblem){ .x_type = KERB_I8, .w_type = KERB_I8, .y_type = (int32_t)y_type, .c = C, .h = H, .w = W, .k = K, .out_h = H, .out_w = W, .kernel = { 1, 1 },
                           .stride = { 1, 1 }, .dilation = { 1, 1 }, .group = 1, .x_row = W * C, .x_pixel = C, .y_row = W * K, .y_pixel = K, .z_row = has_z ? W * K : 0,
                           .z_pixel = has_z ? K : 0, .has_scale = 1, .has_bias = 1, .has_z = has_z, .act = act, .unary = act ? KERB_UNARY_RELU : 0,
                           .y_scale = y_type == KERB_I8 ? 12.5f : 1, .z_scale = has_z ? 0.05f : 1 };
    net_seed = 5;
    for (int i = 0; i < H * W * C; i++) x[i] = (int8_t)(net_random() * 127);
    for (int i = 0; i < H * W * K; i++) z[i] = (int8_t)(net_random() * 127);
    for (int i = 0; i < K * C; i++) weights[i] = (float)(int)(net_random() * 127);
    for (int i = 0; i < K; i++) {
        scale[i] = random_step() * 0.02f;
        bias[i] = net_random();
    }
    assert_int_equal(kerb_conv_weight_bytes(&p), sizeof packed);
    kerb_conv_pack_weights(&p, weights, C, K, packed);
    KerbPlans *plans = new_plans(false);
    KerbConvPlan *plan = NULL;
    KerbError error = { 0 };
    char why[200];
    assert_int_equal(kerb_plans_get(plans, &p, &plan, why, sizeof why, &error), KERB_OK);
    if (!plan || kerb_plan_left(plan)) fail_msg("int8 is not fused: %s", why);
    size_t bytes = y_type == KERB_I8 ? sizeof y8 : sizeof y16;
    KerbConvPointers q = { .x = device_bytes(x, sizeof x), .w = device_bytes(packed, sizeof packed), .scale = device_bytes(scale, sizeof scale),
                           .bias = device_bytes(bias, sizeof bias), .z = has_z ? device_bytes(z, sizeof z) : NULL, .y = device_bytes(y16, bytes) };
    if (kerb_plan_workspace(plan)) assert_int_equal(cudaMalloc(&q.workspace, kerb_plan_workspace(plan)), cudaSuccess);
    if (kerb_plan_run(plans, plan, &q, NULL, &error) != KERB_OK) fail_msg("%s", error.message);
    assert_int_equal(cudaDeviceSynchronize(), cudaSuccess);
    assert_int_equal(cudaMemcpy(y_type == KERB_I8 ? (void *)y8 : y16, q.y, bytes, cudaMemcpyDeviceToHost), cudaSuccess);
    for (int i = 0; i < H * W; i++) {
        for (int k = 0; k < K; k++) {
            int sum = 0;
            for (int c = 0; c < C; c++) sum += x[i * C + c] * (int)weights[k * C + c];
            double v = sum * (double)scale[k] + (double)bias[k] + (has_z ? z[i * K + k] * 0.05 : 0);
            if (act && v < 0) v = 0;
            double got = y_type == KERB_I8 ? y8[i * K + k] : (double)kerb_f16_to_f32(y16[i * K + k]);
            if (y_type == KERB_I8) v = fmin(fmax(v * 12.5, -128), 127);
            double allowed = y_type == KERB_I8 ? 0.501 : 1e-3 * fmax(1, fabs(v)); /* rounded once; f32 in between */
            if (fabs(got - v) > allowed) fail_msg("int8 pixel %d, output %d: %g, not %g", i, k, got, v);
        }
    }
    const void *const used[] = { q.x, q.w, q.scale, q.bias, q.z, q.y, q.workspace };
    for (size_t i = 0; i < sizeof used / sizeof used[0]; i++) cudaFree((void *)(uintptr_t)used[i]);
    kerb_plans_free(&plans);
}
static void test_int8(void **state)
{
    int8_case(KERB_I8, false, KERB_ACT_NONE);
    int8_case(KERB_I8, false, KERB_ACT_UNARY);
    int8_case(KERB_I8, true, KERB_ACT_UNARY);
    int8_case(KERB_F16, false, KERB_ACT_UNARY);
}

/* ---- problems that are none */

static void expect_none(const char *x, const char *w, KerbAttrs attrs, const char *words)
{
    KerbGraph *g = net_new();
    char why[128] = "";
    uint32_t y = net_node(g, KERB_OP_CONV, IN(net_value(g, x), net_value(g, w)), attrs);
    net_set_outputs(g, IN(y));
    net_infer(g);
    KerbTensor in = kerb_tensor_channels_last(NULL, KERB_F16, g->values[g->nodes[0].inputs[0]].rank, g->values[g->nodes[0].inputs[0]].dims, 8);
    KerbTensor out = kerb_tensor_channels_last(NULL, KERB_F16, g->values[y].rank, g->values[y].dims, 8);
    KerbConvSite site = { .x = &in, .y = &out, .x_channels = 8, .y_channels = 8, .y_scale = 1, .z_scale = 1 };
    KerbConvProblem p;
    assert_false(kerb_conv_problem(g, &g->nodes[0], &site, &p, why, sizeof why));
    if (!strstr(why, words)) fail_msg("'%s' does not say '%s'", why, words);
    kerb_graph_free(&g);
}
static void test_none(void **state)
{
    KerbAttrs plain = { CONV(3, 1, 1, 1, 1, 1) };
    expect_none("2x8x5x5", "=8x8x3x3", plain, "one picture");
    KerbAttrs one = { .conv = { .window = { .n = 1, .kernel = { 3 }, .stride = { 1 }, .dilation = { 1 } }, .group = 1 } };
    expect_none("1x8x5", "=8x8x3", one, "one picture");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, kerb_standin_is_clean)
    const struct CMUnitTest tests[] = {
        TEST(test_f32),   TEST(test_tf32),       TEST(test_f16),          TEST(test_bf16),  TEST(test_nothing_fuses),
        TEST(test_timed), TEST(test_every_call_fails), TEST(test_no_plans_at_all), TEST(test_int8), TEST(test_none),
        TEST(test_many_at_once),
    };
    return cmocka_run_group_tests_name("convolution", tests, NULL, NULL);
}
