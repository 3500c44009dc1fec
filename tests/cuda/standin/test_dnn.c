/* SPDX-License-Identifier: MIT */
/* The stand-in's cuDNN against plain loops: convolutions of all kinds with what is fused behind them; what it refuses; plans as text. */
#include "clean.h"

#include <cudnn_graph.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef cudnnBackendDescriptor_t Descriptor;

static char text[8192];
static Descriptor made[128];
static int n_made;

static int begin(void **state)
{
    (void)state;
    kerb_standin_configure("");
    cudaSetDevice(0);
    n_made = 0;
    return 0;
}

static Descriptor make(cudnnBackendDescriptorType_t type)
{
    Descriptor d = NULL;
    assert_int_equal(cudnnBackendCreateDescriptor(type, &d), CUDNN_STATUS_SUCCESS);
    made[n_made++] = d;
    return d;
}

static void destroy_all(void)
{
    while (n_made)
        assert_int_equal(cudnnBackendDestroyDescriptor(made[--n_made]), CUDNN_STATUS_SUCCESS);
}

static void set(Descriptor d, int name, int type, int64_t n, const void *values)
{
    const cudnnStatus_t code = cudnnBackendSetAttribute(d, (cudnnBackendAttributeName_t)name, (cudnnBackendAttributeType_t)type, n, values);
    if (code) {
        cudnnGetLastErrorString(text, sizeof text);
        fail_msg("attribute %d: %d %s", name, (int)code, text);
    }
}

static void set_one(Descriptor d, int name, Descriptor value)
{
    set(d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value);
}

/* ---------------------------------------------------------------------------------------------------------- one problem */

typedef struct Case {
    const char *name;
    cudnnDataType_t type, out; /* of picture and weights; of the result */
    int c, h, w, k, r, s, groups;
    int stride[2], dilation[2], pre[2], post[2];
    bool dgrad, scale, bias, add;
    int act;     /* 0: none */
    int pitch;   /* extra channels between pixels */
    double error;
} Case;

typedef struct Problem {
    const Case *at;
    int big[3], small[3]; /* c, h, w */
    const int *in, *outs; /* picture and result, of these two */
    Descriptor graph;
    int64_t ids[8];
    int n_ids;
} Problem;

static Descriptor tensor(Problem *p, cudnnDataType_t type, const int64_t dims[4], const int64_t strides[4], bool is_virtual)
{
    Descriptor d = make(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    const int64_t uid = 100 + n_made, alignment = 4;
    set(d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    set(d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dims);
    set(d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides);
    set(d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &uid);
    set(d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment);
    if (is_virtual)
        set(d, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &is_virtual);
    else
        p->ids[p->n_ids++] = uid;
    assert_int_equal(cudnnBackendFinalize(d), CUDNN_STATUS_SUCCESS);
    return d;
}

static Descriptor picture(Problem *p, cudnnDataType_t type, int n, int c, int h, int w, int pitch, bool is_virtual)
{
    const int64_t pixel = c + pitch;
    return tensor(p, type, (int64_t[]){ n, c, h, w }, (int64_t[]){ pixel * h * w, 1, pixel * w, pixel }, is_virtual);
}

static Descriptor pointwise(int mode, Descriptor x, Descriptor b, Descriptor y)
{
    const cudnnDataType_t f = CUDNN_DATA_FLOAT;
    Descriptor how = make(CUDNN_BACKEND_POINTWISE_DESCRIPTOR), op = make(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    set(how, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    set(how, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &f);
    assert_int_equal(cudnnBackendFinalize(how), CUDNN_STATUS_SUCCESS);
    set_one(op, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, how);
    set_one(op, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
    if (b)
        set_one(op, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b);
    set_one(op, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
    assert_int_equal(cudnnBackendFinalize(op), CUDNN_STATUS_SUCCESS);
    return op;
}

static Descriptor convolution(const Case *a, Descriptor x, Descriptor w, Descriptor y)
{
    const cudnnDataType_t compute = a->type == CUDNN_DATA_INT8 ? CUDNN_DATA_INT32 : CUDNN_DATA_FLOAT;
    const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    const int64_t two = 2;
    const int names[] = { CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES,
                          CUDNN_ATTR_CONVOLUTION_DILATIONS };
    const int *const values[] = { a->pre, a->post, a->stride, a->dilation };
    const float one = 1, zero = 0;
    Descriptor how = make(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    set(how, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &compute);
    set(how, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
    set(how, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &two);
    for (int i = 0; i < 4; i++)
        set(how, names[i], CUDNN_TYPE_INT64, 2, (int64_t[]){ values[i][0], values[i][1] });
    assert_int_equal(cudnnBackendFinalize(how), CUDNN_STATUS_SUCCESS);
    Descriptor op = make(a->dgrad ? CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR : CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
    set_one(op, a->dgrad ? CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC : CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, how);
    set_one(op, a->dgrad ? CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY : CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, x);
    set_one(op, a->dgrad ? CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W : CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, w);
    set_one(op, a->dgrad ? CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX : CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, y);
    set(op, a->dgrad ? CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA : CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_FLOAT, 1, &one);
    set(op, a->dgrad ? CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA : CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_FLOAT, 1, &zero);
    assert_int_equal(cudnnBackendFinalize(op), CUDNN_STATUS_SUCCESS);
    return op;
}

static int count_after(const Case *a)
{
    return a->scale + a->bias + a->add + (a->act != 0);
}

/* Ids in the order x, w, [scale], [bias], [z], y. */
static void problem_build(Problem *p, const Case *a)
{
    const int side[2] = { a->r, a->s }, size[2] = { a->h, a->w };
    *p = (Problem){ .at = a, .big = { a->c, a->h, a->w }, .small = { a->k } };
    for (int i = 0; i < 2; i++)
        p->small[1 + i] = (size[i] + a->pre[i] + a->post[i] - a->dilation[i] * (side[i] - 1) - 1) / a->stride[i] + 1;
    p->in = a->dgrad ? p->small : p->big;
    p->outs = a->dgrad ? p->big : p->small;
    int left = count_after(a);
    Descriptor ops[8], x = picture(p, a->type, 1, p->in[0], p->in[1], p->in[2], a->pitch, false);
    Descriptor w = picture(p, a->type, a->k, a->c / a->groups, a->r, a->s, 0, false);
    const cudnnDataType_t middle = CUDNN_DATA_FLOAT;
    Descriptor scale = a->scale ? picture(p, middle, 1, p->outs[0], 1, 1, 0, false) : NULL, bias = a->bias ? picture(p, middle, 1, p->outs[0], 1, 1, 0, false) : NULL;
    Descriptor z = a->add ? picture(p, a->out, 1, p->outs[0], p->outs[1], p->outs[2], 0, false) : NULL;
    Descriptor now = picture(p, left ? middle : a->out, 1, p->outs[0], p->outs[1], p->outs[2], left ? 0 : a->pitch, left > 0);
    int n = 0;
    ops[n++] = convolution(a, x, w, now);
    const struct {
        bool there;
        int mode;
        Descriptor b;
    } steps[] = { { a->scale, CUDNN_POINTWISE_MUL, scale }, { a->bias, CUDNN_POINTWISE_ADD, bias }, { a->add, CUDNN_POINTWISE_ADD, z }, { a->act != 0, a->act, NULL } };
    for (int i = 0; i < 4; i++) {
        if (!steps[i].there)
            continue;
        left--;
        Descriptor next = picture(p, left ? middle : a->out, 1, p->outs[0], p->outs[1], p->outs[2], left ? 0 : a->pitch, left > 0);
        ops[n++] = pointwise(steps[i].mode, now, steps[i].b, next);
        now = next;
    }
    p->graph = make(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    set(p->graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, n, ops);
    const cudnnStatus_t code = cudnnBackendFinalize(p->graph);
    cudnnGetLastErrorString(text, sizeof text);
    if (code)
        fail_msg("%s: %s", a->name, text);
}

/* Configurations that the heuristics propose; how many, or -1 where they refuse. */
static int heuristics(const Problem *p, cudnnBackendHeurMode_t mode, Descriptor configs[4])
{
    Descriptor h = make(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    set_one(h, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, p->graph);
    set(h, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    if (cudnnBackendFinalize(h))
        return -1;
    int64_t n = 0;
    assert_int_equal(cudnnBackendGetAttribute(h, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &n, NULL), CUDNN_STATUS_SUCCESS);
    assert_in_range(n, 0, 4);
    for (int i = 0; i < n; i++)
        configs[i] = make(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    if (n)
        assert_int_equal(cudnnBackendGetAttribute(h, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, n, &n, configs), CUDNN_STATUS_SUCCESS);
    return (int)n;
}

static cudnnStatus_t plan_of(Descriptor config, Descriptor *plan)
{
    *plan = make(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    set_one(*plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config);
    return cudnnBackendFinalize(*plan);
}

static int64_t get_int(Descriptor d, int name)
{
    int64_t value = -1, n;
    assert_int_equal(cudnnBackendGetAttribute(d, (cudnnBackendAttributeName_t)name, CUDNN_TYPE_INT64, 1, &n, &value), CUDNN_STATUS_SUCCESS);
    assert_int_equal(n, 1);
    return value;
}

/* ---------------------------------------------------------------------------------------------------------- plain loops */

static unsigned noise_state;
static float noise(int quantum) /* -1..1; quantum: whole numbers of this size */
{
    noise_state = noise_state * 1664525u + 1013904223u;
    const int v = (int)(noise_state >> 16) % 257 - 128;
    return quantum ? (float)(v % quantum) : (float)v / 128; /* 8 bits: exact in every type */
}

typedef struct Arrays {
    float *x, *w, *scale, *bias, *z;
    double *y;
} Arrays;

static double activated(int act, double v)
{
    return act == CUDNN_POINTWISE_RELU_FWD ? fmax(v, 0) : act == CUDNN_POINTWISE_SWISH_FWD ? v / (1 + exp(-v)) : act == CUDNN_POINTWISE_SIGMOID_FWD ? 1 / (1 + exp(-v)) : v;
}

/* Every product of a convolution, given to its place: y += x w in one direction or the other. */
static void expect(const Problem *p, const Arrays *a)
{
    const Case *at = p->at;
    const int cg = at->c / at->groups, kg = at->k / at->groups;
    for (int k = 0; k < at->k; k++)
        for (int oy = 0; oy < p->small[1]; oy++)
            for (int ox = 0; ox < p->small[2]; ox++)
                for (int c = 0; c < cg; c++)
                    for (int r = 0; r < at->r; r++)
                        for (int s = 0; s < at->s; s++) {
                            const int iy = oy * at->stride[0] - at->pre[0] + r * at->dilation[0], ix = ox * at->stride[1] - at->pre[1] + s * at->dilation[1];
                            if (iy < 0 || iy >= at->h || ix < 0 || ix >= at->w)
                                continue;
                            const int channel = k / kg * cg + c, big = (iy * at->w + ix) * at->c + channel, small = (oy * p->small[2] + ox) * at->k + k;
                            const double w = a->w[((k * at->r + r) * at->s + s) * cg + c];
                            if (at->dgrad)
                                a->y[big] += w * a->x[small];
                            else
                                a->y[small] += w * a->x[big];
                        }
    for (int i = 0; i < p->outs[0] * p->outs[1] * p->outs[2]; i++) {
        const int c = i % p->outs[0];
        a->y[i] = activated(at->act, a->y[i] * (a->scale ? a->scale[c] : 1) + (a->bias ? a->bias[c] : 0) + (a->z ? a->z[i] : 0));
        if (at->out == CUDNN_DATA_INT8)
            a->y[i] = fmin(fmax(rint(a->y[i]), -128), 127);
    }
}

static size_t type_bytes(cudnnDataType_t type)
{
    return type == CUDNN_DATA_FLOAT ? 4 : type == CUDNN_DATA_INT8 ? 1 : 2;
}

/* Numbers of 8 bits only, so this needs no rounding. */
static void encode(cudnnDataType_t type, float v, void *to)
{
    uint32_t bits;
    memcpy(&bits, &v, 4);
    const uint16_t bfloat = (uint16_t)(bits >> 16), half = v == 0 ? 0 : (uint16_t)((bits >> 16 & 0x8000) | (((bits >> 23 & 255) - 112) << 10) | (bits >> 13 & 1023));
    const int8_t byte = (int8_t)v;
    memcpy(to, type == CUDNN_DATA_FLOAT ? (const void *)&v : type == CUDNN_DATA_INT8 ? (const void *)&byte : type == CUDNN_DATA_HALF ? (const void *)&half : &bfloat,
           type_bytes(type));
}

static double decode(cudnnDataType_t type, const void *from)
{
    float f;
    uint16_t h;
    memcpy(&f, from, type == CUDNN_DATA_FLOAT ? 4 : 0);
    memcpy(&h, from, type_bytes(type) == 2 ? 2 : 0);
    if (type == CUDNN_DATA_FLOAT)
        return f;
    if (type == CUDNN_DATA_INT8)
        return *(const int8_t *)from;
    if (type == CUDNN_DATA_BFLOAT16) {
        const uint32_t bits = (uint32_t)h << 16;
        memcpy(&f, &bits, 4);
        return f;
    }
    const double m = h & 1023, sign = h & 0x8000 ? -1 : 1;
    return h >> 10 & 31 ? sign * ldexp(1024 + m, (h >> 10 & 31) - 25) : sign * ldexp(m, -24);
}

static void *upload(cudnnDataType_t type, const float *values, int c, int pixels, int pitch)
{
    const size_t size = type_bytes(type), bytes = (size_t)(c + pitch) * (size_t)pixels * size;
    uint8_t *host = calloc(1, bytes);
    for (int i = 0; values && i < pixels * c; i++)
        encode(type, values[i], host + (size_t)(i / c * (c + pitch) + i % c) * size);
    void *device;
    assert_int_equal(cudaMalloc(&device, bytes), cudaSuccess);
    assert_int_equal(cudaMemcpy(device, host, bytes, cudaMemcpyHostToDevice), cudaSuccess);
    free(host);
    return device;
}

static float *noises(int n, int quantum)
{
    float *v = malloc((size_t)n * sizeof *v);
    for (int i = 0; i < n; i++)
        v[i] = noise(quantum);
    return v;
}

static cudnnStatus_t run_plan(const Problem *p, Descriptor plan, void *const *pointers, cudaStream_t stream)
{
    void *workspace = NULL;
    cudnnHandle_t handle;
    const int64_t bytes = get_int(plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE);
    if (bytes)
        assert_int_equal(cudaMalloc(&workspace, (size_t)bytes), cudaSuccess);
    assert_int_equal(cudnnCreate(&handle), CUDNN_STATUS_SUCCESS);
    assert_int_equal(cudnnSetStream(handle, stream), CUDNN_STATUS_SUCCESS);
    Descriptor pack = make(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    set(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, p->n_ids, p->ids);
    set(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, p->n_ids, pointers);
    set(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace);
    assert_int_equal(cudnnBackendFinalize(pack), CUDNN_STATUS_SUCCESS);
    const cudnnStatus_t code = cudnnBackendExecute(handle, plan, pack);
    cudaStreamSynchronize(stream);
    cudaFree(workspace);
    cudnnDestroy(handle);
    return code;
}

static void check_result(const Problem *p, const void *device, const double *y, double error)
{
    const int pixel = p->outs[0] + p->at->pitch, pixels = p->outs[1] * p->outs[2];
    const size_t size = type_bytes(p->at->out), bytes = (size_t)(pixel * pixels) * size;
    uint8_t *host = malloc(bytes);
    assert_int_equal(cudaMemcpy(host, device, bytes, cudaMemcpyDeviceToHost), cudaSuccess);
    for (int i = 0; i < pixels * pixel; i++) {
        const double got = decode(p->at->out, host + (size_t)i * size);
        const double want = i % pixel < p->outs[0] ? y[i / pixel * p->outs[0] + i % pixel] : 0; /* between pixels nothing is written */
        if (!(fabs(got - want) <= error * fmax(1, fabs(want))))
            fail_msg("%s: element %d is %g, not %g", p->at->name, i, got, want);
    }
    free(host);
}

static void run_case(const Case *a)
{
    Problem p;
    Descriptor configs[8], plan;
    noise_state = 12345;
    problem_build(&p, a);
    const int quantum = a->type == CUDNN_DATA_INT8 ? 100 : 0, n_in = p.in[0] * p.in[1] * p.in[2], n_out = p.outs[0] * p.outs[1] * p.outs[2];
    Arrays m = { noises(n_in, quantum), noises(a->k * a->c / a->groups * a->r * a->s, quantum), NULL, NULL, NULL, calloc((size_t)n_out, sizeof(double)) };
    void *pointers[8];
    int n = 0;
    pointers[n++] = upload(a->type, m.x, p.in[0], p.in[1] * p.in[2], a->pitch);
    pointers[n++] = upload(a->type, m.w, a->c / a->groups, a->k * a->r * a->s, 0);
    if (a->scale) {
        m.scale = noises(p.outs[0], 0);
        for (int i = 0; quantum && i < p.outs[0]; i++)
            m.scale[i] /= 1024;
        pointers[n++] = upload(CUDNN_DATA_FLOAT, m.scale, p.outs[0], 1, 0);
    }
    if (a->bias)
        m.bias = noises(p.outs[0], 0), pointers[n++] = upload(CUDNN_DATA_FLOAT, m.bias, p.outs[0], 1, 0);
    if (a->add)
        m.z = noises(n_out, a->out == CUDNN_DATA_INT8 ? 100 : 0), pointers[n++] = upload(a->out, m.z, p.outs[0], p.outs[1] * p.outs[2], 0);
    expect(&p, &m);
    int n_configs = heuristics(&p, CUDNN_HEUR_MODE_A, configs);
    assert_in_range(n_configs, 0, 4);
    const int more = heuristics(&p, CUDNN_HEUR_MODE_FALLBACK, configs + n_configs);
    n_configs += more > 0 ? more : 0;
    int ran = 0;
    for (int i = 0; i < n_configs; i++) {
        if (plan_of(configs[i], &plan))
            continue;
        ran++;
        pointers[n] = upload(a->out, NULL, p.outs[0], p.outs[1] * p.outs[2], a->pitch);
        assert_int_equal(p.n_ids, n + 1);
        assert_int_equal(run_plan(&p, plan, pointers, NULL), CUDNN_STATUS_SUCCESS);
        check_result(&p, pointers[n], m.y, a->type == CUDNN_DATA_FLOAT && i == 0 && n_configs > 1 ? 4e-3 : a->error); /* the first is TF32: sums of products of 8 bits stay near */
        cudaFree(pointers[n]);
    }
    assert_in_range(ran, 1, 4);
    for (int i = 0; i < n; i++)
        cudaFree(pointers[i]);
    free(m.x), free(m.w), free(m.scale), free(m.bias), free(m.z), free(m.y);
    destroy_all();
}

#define PLAIN .stride = { 1, 1 }, .dilation = { 1, 1 }
static void test_convolutions(void **state)
{
    (void)state;
    const cudnnDataType_t F = CUDNN_DATA_FLOAT, H = CUDNN_DATA_HALF, B = CUDNN_DATA_BFLOAT16, I = CUDNN_DATA_INT8;
    const int RELU = CUDNN_POINTWISE_RELU_FWD;
    const Case cases[] = {
        { "f32 3x3", F, F, 5, 7, 9, 6, 3, 3, 1, PLAIN, { 1, 1 }, { 1, 1 }, .error = 1e-5 },
        { "f32 everything", F, F, 8, 11, 13, 12, 3, 2, 2, { 2, 1 }, { 2, 3 }, { 3, 1 }, { 0, 2 }, .bias = true, .add = true, .act = RELU, .pitch = 4, .error = 1e-5 },
        { "f32 depthwise", F, F, 6, 5, 5, 6, 3, 3, 6, PLAIN, { 1, 1 }, { 1, 1 }, .error = 1e-5 },
        { "f16 swish", H, H, 16, 6, 5, 8, 3, 3, 1, PLAIN, { 1, 1 }, { 1, 1 }, .bias = true, .act = CUDNN_POINTWISE_SWISH_FWD, .pitch = 8, .error = 6e-4 },
        { "bf16 1x1", B, B, 19, 3, 4, 21, 1, 1, 1, PLAIN, .bias = true, .act = CUDNN_POINTWISE_SIGMOID_FWD, .error = 5e-3 },
        { "int8 to int8", I, I, 32, 6, 6, 16, 3, 3, 1, PLAIN, { 1, 1 }, { 1, 1 }, .scale = true, .bias = true, .add = true, .act = RELU, .error = 0 },
        { "int8 to f32", I, F, 8, 4, 4, 4, 3, 3, 1, PLAIN, { 1, 1 }, { 1, 1 }, .error = 0 },
        { "f32 dgrad 2x2", F, F, 6, 8, 10, 5, 2, 2, 1, { 2, 2 }, { 1, 1 }, .dgrad = true, .bias = true, .act = RELU, .error = 1e-5 },
        { "f16 dgrad 4x4, grouped", H, H, 8, 9, 9, 6, 4, 4, 2, { 2, 3 }, { 1, 1 }, { 1, 2 }, { 1, 1 }, .dgrad = true, .error = 6e-4 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        run_case(&cases[i]);
}

static const Case plain = { "plain", CUDNN_DATA_FLOAT, CUDNN_DATA_FLOAT, 4, 4, 4, 4, 3, 3, 1, PLAIN, { 1, 1 }, { 1, 1 }, .bias = true };

/* What fallbacks are for. */
static void test_refusals(void **state)
{
    (void)state;
    const struct {
        const char *words;
        Case at;
        int mode_a, fallback;
    } rows[] = {
        { "", { "fused depthwise", CUDNN_DATA_HALF, CUDNN_DATA_HALF, 8, 4, 4, 8, 3, 3, 8, PLAIN, { 1, 1 }, { 1, 1 }, .bias = true }, 0, -1 },
        { "", { "int8 depthwise", CUDNN_DATA_INT8, CUDNN_DATA_INT8, 8, 4, 4, 8, 3, 3, 8, PLAIN, { 1, 1 }, { 1, 1 } }, 0, -1 },
        { "", { "int8 of 3 channels", CUDNN_DATA_INT8, CUDNN_DATA_INT8, 3, 4, 4, 8, 3, 3, 1, PLAIN, { 1, 1 }, { 1, 1 } }, 0, -1 },
        { "", plain, 4, 1 },
        { "nofuse", plain, 0, -1 },
        { "nofuse", { "alone", CUDNN_DATA_FLOAT, CUDNN_DATA_FLOAT, 4, 4, 4, 4, 3, 3, 1, PLAIN, { 1, 1 }, { 1, 1 } }, 4, 1 },
        { "nodnn", { "alone", CUDNN_DATA_FLOAT, CUDNN_DATA_FLOAT, 4, 4, 4, 4, 3, 3, 1, PLAIN, { 1, 1 }, { 1, 1 } }, 0, -1 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        Problem p;
        Descriptor configs[4];
        kerb_standin_configure(rows[i].words);
        problem_build(&p, &rows[i].at);
        assert_int_equal(heuristics(&p, CUDNN_HEUR_MODE_A, configs), rows[i].mode_a);
        assert_int_equal(heuristics(&p, CUDNN_HEUR_MODE_FALLBACK, configs), rows[i].fallback);
        destroy_all();
    }
    /* Pixels that are 3 floats apart for 2 channels. */
    Problem p;
    Descriptor configs[4], plan;
    problem_build(&p, &(Case){ "misaligned", CUDNN_DATA_HALF, CUDNN_DATA_HALF, 2, 4, 4, 2, 3, 3, 1, PLAIN, { 1, 1 }, { 1, 1 }, .pitch = 1 });
    kerb_standin_configure("");
    assert_int_equal(heuristics(&p, CUDNN_HEUR_MODE_A, configs), 4);
    for (int i = 0; i < 4; i++)
        assert_int_not_equal(plan_of(configs[i], &plan), CUDNN_STATUS_SUCCESS);
    assert_int_equal(heuristics(&p, CUDNN_HEUR_MODE_FALLBACK, configs), 1);
    assert_int_equal(plan_of(configs[0], &plan), CUDNN_STATUS_SUCCESS);
    destroy_all();
}

static cudnnStatus_t restore(const char *json, Descriptor *plan)
{
    *plan = make(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    set(*plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, (int64_t)strlen(json) + 1, json);
    return cudnnBackendFinalize(*plan);
}

/* A plan that went through text; the descriptors that it came from are gone. */
static void test_plans_as_text(void **state)
{
    (void)state;
    Problem p;
    Descriptor configs[4], plan;
    Case a = plain;
    a.bias = false;
    problem_build(&p, &a);
    assert_int_equal(heuristics(&p, CUDNN_HEUR_MODE_A, configs), 4);
    assert_int_equal(plan_of(configs[2], &plan), CUDNN_STATUS_SUCCESS);
    int64_t bytes = 0;
    assert_int_equal(cudnnBackendGetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, 0, &bytes, NULL), CUDNN_STATUS_SUCCESS);
    char *json = malloc((size_t)bytes);
    assert_int_equal(cudnnBackendGetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, bytes, &bytes, json), CUDNN_STATUS_SUCCESS);
    destroy_all();
    assert_int_equal(restore(json, &plan), CUDNN_STATUS_SUCCESS);
    assert_int_equal(get_int(plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE), 4 * 4 * 4 * 4);
    float *x = noises(64, 0), *w = noises(144, 0);
    void *pointers[3] = { upload(CUDNN_DATA_FLOAT, x, 4, 16, 0), upload(CUDNN_DATA_FLOAT, w, 4, 36, 0), upload(CUDNN_DATA_FLOAT, NULL, 4, 16, 0) };
    assert_int_equal(run_plan(&p, plan, pointers, NULL), CUDNN_STATUS_SUCCESS);
    Arrays m = { .x = x, .w = w, .y = calloc(64, sizeof(double)) };
    p.at = &a;
    expect(&p, &m);
    check_result(&p, pointers[2], m.y, 1e-5);
    kerb_standin_configure("sm=87"); /* another GPU; another version; damage: refused */
    assert_int_equal(restore(json, &plan), CUDNN_STATUS_SERIALIZATION_VERSION_MISMATCH);
    kerb_standin_configure("dnn=90300");
    assert_int_equal(restore(json, &plan), CUDNN_STATUS_SERIALIZATION_VERSION_MISMATCH);
    kerb_standin_configure("");
    json[bytes / 2] ^= 1;
    assert_int_equal(restore(json, &plan), CUDNN_STATUS_BAD_PARAM);
    destroy_all();
    for (int i = 0; i < 3; i++)
        cudaFree(pointers[i]);
    free(json), free(x), free(w), free(m.y);
}

static void test_pointers_are_checked(void **state)
{
    (void)state;
    Problem p;
    Descriptor configs[4], plan;
    Case a = plain;
    a.bias = false;
    problem_build(&p, &a);
    assert_int_equal(heuristics(&p, CUDNN_HEUR_MODE_A, configs), 4);
    assert_int_equal(plan_of(configs[0], &plan), CUDNN_STATUS_SUCCESS);
    float host[64];
    char *x = upload(CUDNN_DATA_FLOAT, NULL, 4, 16, 0), *w = upload(CUDNN_DATA_FLOAT, NULL, 4, 36, 0), *y = upload(CUDNN_DATA_FLOAT, NULL, 4, 16, 0);
    assert_int_equal(run_plan(&p, plan, (void *[]){ x + 1, w, y }, NULL), CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER);
    assert_int_equal(run_plan(&p, plan, (void *[]){ NULL, w, y }, NULL), CUDNN_STATUS_BAD_PARAM_NULL_POINTER);
    assert_int_equal(kerb_standin_misuses(NULL, 0), 0);
    assert_int_equal(run_plan(&p, plan, (void *[]){ x, w, host }, NULL), CUDNN_STATUS_EXECUTION_FAILED_CUDART);
    assert_int_equal(cudaGetLastError(), cudaErrorIllegalAddress);
    kerb_standin_configure("");
    assert_int_equal(run_plan(&p, plan, (void *[]){ x, w, y + 16 }, NULL), CUDNN_STATUS_EXECUTION_FAILED_CUDART);
    assert_int_equal(kerb_standin_misuses(NULL, 0), 1);
    kerb_standin_configure("fail=1 code=3001 only=cudnnBackendFinalize");
    assert_int_equal(plan_of(configs[0], &plan), CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN);
    kerb_standin_configure("");
    cudaFree(x), cudaFree(w), cudaFree(y);
    destroy_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_convolutions, begin, kerb_standin_is_clean),
        cmocka_unit_test_setup_teardown(test_refusals, begin, kerb_standin_is_clean),
        cmocka_unit_test_setup_teardown(test_plans_as_text, begin, kerb_standin_is_clean),
        cmocka_unit_test_setup_teardown(test_pointers_are_checked, begin, kerb_standin_is_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
