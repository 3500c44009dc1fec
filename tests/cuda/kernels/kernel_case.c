/* SPDX-License-Identifier: MIT */
/* Tensors with guards, launches to either side, comparison with the reference operator. */
#include "kernel_case.h"

#include "cuda/net/kernel_axes.h"
#include "cuda/net/kernel_conv.h"
#include "cuda/net/kernel_matmul.h"
#include "cuda/net/kernel_picture.h"
#include "cuda/net/kernel_pool.h"
#include "cuda/net/kernel_walk.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void case_fail(Case *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (++c->failures <= 20) {
        fprintf(stderr, "%s (seed %u): ", c->what, c->seed);
        vfprintf(stderr, format, args);
        fprintf(stderr, "\n");
    }
    va_end(args);
}

static void case_check(cudaError_t error, const char *call)
{
    if (error == cudaSuccess) return;
    fprintf(stderr, "%s: %s\n", call, cudaGetErrorString(error));
    exit(1);
}

void case_end(Case *c)
{
    for (int i = 0; i < c->n_tensors; i++) {
        free(c->tensors[i].image);
        free(c->tensors[i].before);
        if (c->tensors[i].device) case_check(cudaFree(c->tensors[i].device), "cudaFree");
    }
    c->n_tensors = 0;
    kerb_graph_free(&c->graph);
}

void case_begin(Case *c, const char *format, ...)
{
    va_list args;
    case_end(c);
    va_start(args, format);
    vsnprintf(c->what, sizeof c->what, format, args);
    va_end(args);
}

unsigned case_random(Case *c)
{
    c->seed = c->seed * 1664525u + 1013904223u;
    return c->seed >> 8;
}

int case_pick(Case *c, int lo, int hi) { return lo + (int)(case_random(c) % (unsigned)(hi - lo + 1)); }

/* ---- tensors */

static void *case_memory(size_t bytes)
{
    void *p = calloc(1, bytes);
    if (p) return p;
    fprintf(stderr, "no memory for %zu bytes\n", bytes);
    exit(1);
}

static CaseTensor *case_tensor(Case *c, const KerbTensor *view, size_t first, size_t elements)
{
    size_t size = kerb_dtype_bytes(view->dtype);
    if (c->n_tensors == CASE_TENSORS) case_fail(c, "too many tensors"), exit(1);
    CaseTensor *t = &c->tensors[c->n_tensors++];
    *t = (CaseTensor){ .view = *view, .offset = CASE_GUARD + first * size, .bytes = 2 * CASE_GUARD + elements * size };
    t->image = case_memory(t->bytes);
    t->before = case_memory(t->bytes);
    memset(t->image, 0xA5, t->bytes);
    t->view.data = t->image + t->offset;
    if (c->device) {
        void *device;
        case_check(cudaMalloc(&device, t->bytes), "cudaMalloc");
        t->device = device;
    }
    return t;
}

CaseTensor *case_picture(Case *c, KerbDtype type, int channels, int h, int w, CaseLayout layout)
{
    int lanes = type == KERB_F32 ? 4 : 8,
        first = layout == CASE_WHOLE   ? 0
                : layout == CASE_SLICE ? 8
                                       : 3,
        behind = layout == CASE_WHOLE ? 0 : 5;
    int64_t pixel = (first + channels + behind + lanes - 1) / lanes * lanes, row = pixel * w + (layout == CASE_WHOLE ? 0 : pixel);
    KerbTensor view = { .dtype = type, .rank = 4, .dims = { 1, channels, h, w }, .strides = { row * h, 1, row, pixel } };
    CaseTensor *t = case_tensor(c, &view, (size_t)first, (size_t)(row * h));
    t->padding = layout == CASE_WHOLE ? kerb_picture_padding(channels, pixel) : 0;
    return t;
}

CaseTensor *case_dense(Case *c, KerbDtype type, int rank, const int64_t dims[])
{
    KerbTensor view = kerb_tensor(NULL, type, rank, dims);
    return case_tensor(c, &view, 0, (size_t)kerb_tensor_elements(&view));
}

CaseTensor *case_vector(Case *c, KerbDtype type, int n) { return case_dense(c, type, 1, (const int64_t[]){ n }); }

CaseTensor *case_strided(Case *c, KerbDtype type, int rank, const int64_t dims[])
{
    KerbTensor view = { .dtype = type, .rank = rank };
    int order[KERB_MAX_RANK];
    for (int i = 0; i < rank; i++) order[i] = i, view.dims[i] = dims[i];
    for (int i = rank - 1; i > 0; i--) {
        int j = case_pick(c, 0, i), t = order[i];
        order[i] = order[j], order[j] = t;
    }
    int64_t stride = case_pick(c, 0, 3) ? 1 : 2;
    for (int i = rank - 1; i >= 0; i--) {
        view.strides[order[i]] = stride;
        stride *= dims[order[i]] > 0 ? dims[order[i]] : 1;
        stride += case_pick(c, 0, 2) ? 0 : case_pick(c, 1, 8);
    }
    return case_tensor(c, &view, (size_t)case_pick(c, 0, 3), (size_t)stride + 4);
}

static void case_zero_padding(CaseTensor *t)
{
    size_t size = kerb_dtype_bytes(t->view.dtype);
    for (int64_t y = 0; t->padding && y < t->view.dims[2]; y++)
        for (int64_t x = 0; x < t->view.dims[3]; x++)
            memset((uint8_t *)t->view.data + (size_t)(y * t->view.strides[2] + x * t->view.strides[3] + t->view.dims[1]) * size, 0,
                   (size_t)t->padding * size);
}

void case_fill(Case *c, CaseTensor *t, double lo, double hi)
{
    int64_t n = kerb_tensor_elements(&t->view);
    for (int64_t i = 0; i < n; i++) {
        double v = lo + (hi - lo) * (double)case_random(c) / 16777216.0;
        if (kerb_dtype_is_float(t->view.dtype)) kerb_tensor_set(&t->view, i, v);
        else kerb_tensor_set_i64(&t->view, i, (int64_t)(v < 0 ? v - 0.5 : v + 0.5));
    }
    case_zero_padding(t);
}

void case_salt(Case *c, CaseTensor *t)
{
    static const double salt[] = { NAN, INFINITY, -INFINITY, 0.0, -0.0, 1.0, -1.0, NAN };
    int64_t n = kerb_tensor_elements(&t->view);
    for (int64_t i = 0; i < n; i++)
        if (case_random(c) % 5 == 0) kerb_tensor_set(&t->view, i, salt[case_random(c) % 8]);
}

void *case_data(const Case *c, const CaseTensor *t) { return c->device ? t->device + t->offset : t->image + t->offset; }

KerbPicture case_as_picture(const Case *c, const CaseTensor *t)
{
    if (!t) return (KerbPicture){ .data = NULL };
    return (KerbPicture){.data = case_data(c, t),
                         .type = (int32_t)t->view.dtype,
                         .c = (int32_t)t->view.dims[1],
                         .h = (int32_t)t->view.dims[2],
                         .w = (int32_t)t->view.dims[3],
                         .row = t->view.strides[2],
                         .pixel = t->view.strides[3],
                         .padding = t->padding};
}

KerbStrided case_as_strided(const Case *c, const CaseTensor *t)
{
    KerbStrided s;
    if (!kerb_strided_tensor(&t->view, case_data(c, t), &s)) exit(1);
    return s;
}

/* ---- launches */

void case_up(Case *c)
{
    for (int i = 0; i < c->n_tensors; i++) {
        CaseTensor *t = &c->tensors[i];
        memcpy(t->before, t->image, t->bytes);
        if (c->device) case_check(cudaMemcpyAsync(t->device, t->image, t->bytes, cudaMemcpyHostToDevice, c->stream), "cudaMemcpyAsync up");
    }
}

void case_down(Case *c, cudaError_t error)
{
    if (error != cudaSuccess) case_fail(c, "the launch says: %s", cudaGetErrorString(error));
    for (int i = 0; i < c->n_tensors && c->device; i++) {
        CaseTensor *t = &c->tensors[i];
        case_check(cudaMemcpyAsync(t->image, t->device, t->bytes, cudaMemcpyDeviceToHost, c->stream), "cudaMemcpyAsync down");
    }
    if (c->device) case_check(cudaStreamSynchronize(c->stream), c->what);
}

#define CASE_DEFINE(name, type)                                                                                                \
    static cudaError_t case_items_##name(const type *args)                                                                     \
    {                                                                                                                          \
        int64_t items = kerb_items_##name(args);                                                                               \
        if (items < 0 || items > INT32_MAX) return cudaErrorInvalidValue;                                                      \
        for (int64_t i = 0; i < items; i++) kerb_item_##name(args, (int)i);                                                    \
        return cudaSuccess;                                                                                                    \
    }                                                                                                                          \
    void case_launch_##name(Case *c, const type *args)                                                                         \
    {                                                                                                                          \
        case_up(c);                                                                                                            \
        case_down(c, c->device ? kerb_launch_##name(args, c->stream) : case_items_##name(args));                               \
    }
KERB_KERNELS(CASE_DEFINE)

void case_launch_reduce(Case *c, const KerbReduceArgs *args)
{
    case_up(c);
    if (c->device) {
        case_down(c, kerb_launch_reduce(args, c->stream));
    } else {
        if (args->parts > 1) case_items_reduce_part(args);
        case_down(c, case_items_reduce_end(args));
    }
}

/* ---- comparison */

static double case_unit(KerbDtype type)
{
    switch (type) {
    case KERB_F16: return 0x1p-10;
    case KERB_BF16: return 0x1p-7;
    default: return 1e-5;
    }
}

static bool case_near(double v, double expected, KerbDtype type, CaseNear near, double largest)
{
    if (isnan(v) || isnan(expected)) return isnan(v) && isnan(expected);
    if (v == expected) return true;
    if (near == CASE_EXACT || isinf(v) || isinf(expected)) return false;
    if (!kerb_dtype_is_float(type)) return fabs(v - expected) <= 1; /* quantised: a tie may fall to either side */
    double smallest = type == KERB_F16 ? 0x1p-24 : 1e-37;
    return fabs(v - expected) <= case_unit(type) * fabs(expected) + smallest + (near == CASE_SUMMED ? 1e-5 * largest : 0);
}

/* Bytes of the image that the launch may have written: elements and padding. */
static void case_mark(const CaseTensor *t, uint8_t *mask)
{
    size_t size = kerb_dtype_bytes(t->view.dtype);
    int64_t n = kerb_tensor_elements(&t->view);
    for (int64_t i = 0; i < n; i++) {
        int64_t rest = i, at = 0;
        for (int axis = t->view.rank - 1; axis >= 0; axis--) {
            at += rest % t->view.dims[axis] * t->view.strides[axis];
            rest /= t->view.dims[axis];
        }
        size_t bytes = size;
        if (t->padding && (i / (t->view.dims[2] * t->view.dims[3])) % t->view.dims[1] == t->view.dims[1] - 1)
            bytes += (size_t)t->padding * size;
        memset(mask + t->offset + (size_t)at * size, 1, bytes);
    }
}

static void case_check_untouched(Case *c, const CaseTensor *y)
{
    for (int i = 0; i < c->n_tensors; i++) {
        CaseTensor *t = &c->tensors[i];
        uint8_t *mask = case_memory(t->bytes);
        if (t == y) case_mark(t, mask);
        for (size_t b = 0; b < t->bytes; b++) {
            if (mask[b] || t->image[b] == t->before[b]) continue;
            case_fail(c, "byte %ld of tensor %d%s was written", (long)b - (long)t->offset, i, t == y ? " (the result)" : "");
            break;
        }
        free(mask);
    }
    CaseTensor padded = *y;
    size_t size = kerb_dtype_bytes(y->view.dtype);
    for (int64_t p = 0; padded.padding && p < y->view.dims[2] * y->view.dims[3]; p++) {
        const uint8_t *from =
            (const uint8_t *)y->view.data +
            (size_t)(p / y->view.dims[3] * y->view.strides[2] + p % y->view.dims[3] * y->view.strides[3] + y->view.dims[1]) * size;
        for (size_t b = 0; b < (size_t)y->padding * size; b++) {
            if (!from[b]) continue;
            case_fail(c, "padding of pixel %ld is not 0", (long)p);
            return;
        }
    }
}

/* Differences of a GPU's results from the twin's, in units of the type's last place. */
static void case_compare_bits(Case *c, const CaseTensor *y, const uint8_t *twin, CaseNear near)
{
    KerbTensor other = y->view;
    other.data = (uint8_t *)(uintptr_t)twin + y->offset;
    int64_t n = kerb_tensor_elements(&other), differ = 0;
    double largest = 0;
    for (int64_t i = 0; i < n; i++) largest = fmax(largest, fabs(kerb_tensor_get(&other, i)));
    for (int64_t i = 0; i < n; i++) {
        double v = kerb_tensor_get(&y->view, i), w = kerb_tensor_get(&other, i);
        if (v == w || (isnan(v) && isnan(w))) continue;
        differ++;
        if (!case_near(v, w, y->view.dtype, near, largest)) {
            case_fail(c, "element %ld is %.9g on the GPU, %.9g by its twin", (long)i, v, w);
            break;
        }
    }
    c->bit_differences += differ > 0;
}

static void case_record(Case *c, const CaseTensor *y, CaseNear near)
{
    CaseRecord *r = c->record;
    if (!r) return;
    if (c->device) {
        if (r->at < r->n) case_compare_bits(c, y, r->images[r->at++], near);
        else case_fail(c, "the twin has no such result");
        return;
    }
    if (r->n == r->capacity) {
        r->capacity = r->capacity ? 2 * r->capacity : 256;
        r->images = realloc(r->images, (size_t)r->capacity * sizeof *r->images);
        if (!r->images) exit(1);
    }
    r->images[r->n] = case_memory(y->bytes);
    memcpy(r->images[r->n++], y->image, y->bytes);
}

void case_record_free(CaseRecord *record)
{
    for (int i = 0; i < record->n; i++) free(record->images[i]);
    free(record->images);
    *record = (CaseRecord){ 0 };
}

void case_expect_tensor(Case *c, CaseTensor *y, const KerbTensor *expected, CaseNear near)
{
    int64_t n = kerb_tensor_elements(expected);
    double largest = 0;
    c->checks++;
    for (int64_t i = 0; i < n; i++) {
        double e = fabs(kerb_tensor_get(expected, i));
        if (e > largest && !isinf(e)) largest = e;
    }
    for (int64_t i = 0; i < n; i++) {
        double v, e;
        if (!kerb_dtype_is_float(y->view.dtype)) {
            int64_t v_i = kerb_tensor_get_i64(&y->view, i), e_i = kerb_tensor_get_i64(expected, i);
            if (v_i == e_i) continue;
            v = (double)v_i, e = (double)e_i;
        } else {
            v = kerb_tensor_get(&y->view, i), e = kerb_tensor_get(expected, i);
        }
        if (case_near(v, e, y->view.dtype, near, largest)) continue;
        case_fail(c, "element %ld of %ld is %.9g, expected %.9g", (long)i, (long)n, v, e);
        break;
    }
    case_check_untouched(c, y);
    case_record(c, y, near);
}

KerbTensor case_reference(Case *c, KerbNode *node, int n_inputs, CaseTensor *const inputs[], KerbDtype type, int rank, const int64_t dims[])
{
    KerbTensor in[8] = { 0 }, out = kerb_tensor(NULL, type, rank, dims);
    KerbError error = { 0 };
    for (int i = 0; i < n_inputs; i++)
        if (inputs[i]) in[i] = inputs[i]->view;
    node->name = "case";
    node->n_inputs = n_inputs;
    node->n_outputs = 1;
    out.data = case_memory(kerb_tensor_bytes(&out) + 1);
    if (kerb_ref_eval(c->graph, node, in, &out, &error) != KERB_OK) case_fail(c, "the reference says: %s", error.message);
    return out;
}

void case_expect(Case *c, KerbNode *node, int n_inputs, CaseTensor *const inputs[], CaseTensor *y, CaseNear near)
{
    KerbTensor expected = case_reference(c, node, n_inputs, inputs, y->view.dtype, y->view.rank, y->view.dims);
    case_expect_tensor(c, y, &expected, near);
    free(expected.data);
}

/* ---- activations */

KerbActivation case_activation(Case *c, int index, int channels)
{
    static const KerbUnary unaries[] = { KERB_UNARY_RELU, KERB_UNARY_SWISH, KERB_UNARY_HARD_SWISH, KERB_UNARY_LEAKY_RELU, KERB_UNARY_GELU };
    KerbActivation act = { .slope = KERB_NO_VALUE, .alpha = 0.1f, .beta = 0.5f, .lo = -0.5f, .hi = 0.75f };
    KerbError error;
    index %= CASE_ACTIVATIONS;
    if (index == 0) return act;
    if (index == 1) {
        act.kind = KERB_ACT_CLIP;
    } else if (index == 2) {
        float slope[64];
        for (int i = 0; i < 64; i++) slope[i] = (float)case_pick(c, -8, 8) / 8;
        act.kind = KERB_ACT_PRELU;
        if (!c->graph && kerb_graph_new(&c->graph, &error) != KERB_OK) exit(1);
        act.slope = kerb_graph_add_constant(c->graph, "slope", KERB_F32, 1, (const int64_t[]){channels <= 64 ? channels : 1}, slope, true);
    } else {
        act.kind = KERB_ACT_UNARY;
        act.unary = unaries[index - 3];
    }
    return act;
}

KerbFused case_fused(Case *c, const KerbActivation *act)
{
    KerbFused f = kerb_fused(act);
    if (act->kind == KERB_ACT_PRELU) {
        const KerbValue *v = kerb_graph_value(c->graph, act->slope);
        CaseTensor *slope = case_vector(c, KERB_F32, (int)v->dims[0]);
        memcpy(slope->view.data, v->data, (size_t)v->dims[0] * sizeof(float));
        f.slope = case_data(c, slope);
        f.slope_step = v->dims[0] > 1;
    }
    return f;
}
