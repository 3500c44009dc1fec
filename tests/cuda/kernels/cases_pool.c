/* SPDX-License-Identifier: MIT */
/* Checks of pooling and unpooling: values, both kinds of indices, ceil_mode, NaN. */
#include "kernel_case.h"

#include <stdlib.h>

typedef struct PoolCase {
    KerbDtype type;
    int c, h, w;
    int kernel[2], stride[2], dilation[2], pad[2], pad_end[2];
    bool ceil_mode, count_include_pad, column_major, salted;
    CaseLayout layout;
} PoolCase;

static int pool_output(const PoolCase *p, int axis)
{
    int in = axis ? p->w : p->h, span = in + p->pad[axis] + p->pad_end[axis] - ((p->kernel[axis] - 1) * p->dilation[axis] + 1);
    if (span < 0) return 0;
    int out = (p->ceil_mode ? (span + p->stride[axis] - 1) / p->stride[axis] : span / p->stride[axis]) + 1;
    if (p->ceil_mode && (out - 1) * p->stride[axis] >= in + p->pad[axis]) out--; /* no window begins behind the picture */
    return out;
}

static KerbNode pool_node(const PoolCase *p, KerbOp op)
{
    KerbNode node = { .op = op };
    node.attrs.pool = (KerbPoolAttrs){
        .ceil_mode = p->ceil_mode, .count_include_pad = p->count_include_pad, .column_major = p->column_major, .window.n = 2};
    for (int i = 0; i < 2; i++) {
        node.attrs.pool.window.kernel[i] = p->kernel[i];
        node.attrs.pool.window.stride[i] = p->stride[i];
        node.attrs.pool.window.dilation[i] = p->dilation[i];
        node.attrs.pool.window.pad_begin[i] = p->pad[i];
        node.attrs.pool.window.pad_end[i] = p->pad_end[i];
    }
    return node;
}

static PoolCase random_pool(Case *c, int i)
{
    PoolCase p = {.type = case_floats[i % 3],
                  .c = case_channels[i % 5],
                  .h = case_pick(c, 1, 11),
                  .w = case_pick(c, 1, 13),
                  .ceil_mode = i % 2,
                  .count_include_pad = i / 2 % 2,
                  .column_major = i % 5 == 2,
                  .salted = i % 4 == 1,
                  .layout = (CaseLayout)(i / 3 % CASE_LAYOUTS)};
    for (int axis = 0; axis < 2; axis++) {
        p.kernel[axis] = i % 11 == 7 ? 9 : case_pick(c, 1, 4);
        p.stride[axis] = case_pick(c, 1, 3);
        p.dilation[axis] = i % 3 ? 1 : case_pick(c, 1, 2);
        p.pad[axis] = case_pick(c, 0, p.kernel[axis] / 2);
        p.pad_end[axis] = case_pick(c, 0, p.kernel[axis] / 2);
    }
    return p;
}

static KerbPoolArgs pool_args(const Case *c, const PoolCase *p, const CaseTensor *x, const CaseTensor *y)
{
    KerbPoolArgs args = {
        .x = case_as_picture(c, x), .y = case_as_picture(c, y), .count_include_pad = p->count_include_pad, .column_major = p->column_major};
    for (int i = 0; i < 2; i++) {
        args.kernel[i] = p->kernel[i], args.stride[i] = p->stride[i], args.dilation[i] = p->dilation[i];
        args.pad[i] = p->pad[i], args.pad_end[i] = p->pad_end[i];
    }
    return args;
}

static bool begin_pool(Case *c, const PoolCase *p, const char *what)
{
    case_begin(c, "%s %dx%d, stride %d,%d, dilation %d,%d, pads %d,%d,%d,%d, ceil %d, %d channels %dx%d %s", what, p->kernel[0],
               p->kernel[1], p->stride[0], p->stride[1], p->dilation[0], p->dilation[1], p->pad[0], p->pad[1], p->pad_end[0], p->pad_end[1],
               p->ceil_mode, p->c, p->w, p->h, kerb_dtype_name(p->type));
    return pool_output(p, 0) > 0 && pool_output(p, 1) > 0;
}

static void check_average(Case *c, int i)
{
    PoolCase p = random_pool(c, i);
    if (!begin_pool(c, &p, "average pool")) return;
    CaseTensor *x = case_picture(c, p.type, p.c, p.h, p.w, p.layout),
               *y = case_picture(c, p.type, p.c, pool_output(&p, 0), pool_output(&p, 1), CASE_WHOLE);
    case_fill(c, x, -1, 1);
    if (p.salted) case_salt(c, x);
    KerbPoolArgs args = pool_args(c, &p, x, y);
    case_launch_average_pool(c, &args);
    KerbNode node = pool_node(&p, KERB_OP_AVERAGE_POOL);
    CaseTensor *const inputs[] = { x };
    case_expect(c, &node, 1, inputs, y, CASE_SUMMED);
}

/* The reference's indices, for a tensor that is compared by hand. */
static void expect_indices(Case *c, const PoolCase *p, CaseTensor *x, CaseTensor *y, const CaseTensor *flat, const CaseTensor *window)
{
    KerbNode node = pool_node(p, KERB_OP_MAX_POOL);
    KerbTensor in[1] = { x->view }, out[2] = { kerb_tensor(NULL, p->type, 4, y->view.dims), kerb_tensor(NULL, KERB_I64, 4, y->view.dims) };
    KerbError error = { 0 };
    int64_t n = kerb_tensor_elements(&out[0]);
    node.name = "case";
    node.n_inputs = 1;
    node.n_outputs = 2;
    for (int i = 0; i < 2; i++)
        if (!(out[i].data = calloc((size_t)n + 1, 8))) exit(1);
    if (kerb_ref_eval(NULL, &node, in, out, &error) != KERB_OK) case_fail(c, "the reference says: %s", error.message);
    for (int64_t i = 0; i < n; i++) {
        int64_t expected = kerb_tensor_get_i64(&out[1], i), got = kerb_tensor_get_i64(&flat->view, i);
        if (got != expected) {
            case_fail(c, "index %ld is %ld, expected %ld", (long)i, (long)got, (long)expected);
            break;
        }
        int element = (int)kerb_tensor_get_i64(&window->view, i), width = (int)y->view.dims[3];
        int64_t row = i / width % y->view.dims[2] * p->stride[0] - p->pad[0] + element / p->kernel[1] * p->dilation[0];
        int64_t column = i % width * p->stride[1] - p->pad[1] + element % p->kernel[1] * p->dilation[1],
                plane = i / (y->view.dims[2] * width) * p->h * p->w;
        bool inside = row >= 0 && row < p->h && column >= 0 && column < p->w;
        int64_t says = plane + (p->column_major ? row + p->h * column : row * p->w + column);
        if (inside && says != expected) {
            case_fail(c, "window index %ld is %d: element %ld, expected %ld", (long)i, element, (long)says, (long)expected);
            break;
        }
    }
    for (int i = 0; i < 2; i++) free(out[i].data);
}

static void check_maximum(Case *c, int i)
{
    PoolCase p = random_pool(c, i);
    if (!begin_pool(c, &p, "max pool")) return;
    int oh = pool_output(&p, 0), ow = pool_output(&p, 1);
    CaseTensor *x = case_picture(c, p.type, p.c, p.h, p.w, p.layout), *y = case_picture(c, p.type, p.c, oh, ow, CASE_WHOLE);
    case_fill(c, x, -1, 1);
    if (p.salted) case_salt(c, x);
    KerbPoolArgs args = pool_args(c, &p, x, y);
    case_launch_max_pool(c, &args);
    KerbNode node = pool_node(&p, KERB_OP_MAX_POOL);
    CaseTensor *const inputs[] = { x };
    case_expect(c, &node, 1, inputs, y, CASE_EXACT);
    /* Once more, with indices: a picture of bytes, and ONNX's. */
    CaseTensor *flat = case_dense(c, KERB_I64, 4, y->view.dims),
               *window = case_dense(c, KERB_U8, 4, (const int64_t[]){1, oh, ow, (p.c + 7) / 8 * 8});
    args.flat = case_data(c, flat);
    args.flat_strides[0] = flat->view.strides[1], args.flat_strides[1] = flat->view.strides[2],
    args.flat_strides[2] = flat->view.strides[3];
    args.window_index = case_data(c, window);
    args.index_row = window->view.strides[1];
    args.index_pixel = window->view.strides[2];
    case_launch_max_pool(c, &args);
    KerbTensor view = {.data = window->view.data,
                       .dtype = KERB_U8,
                       .rank = 4,
                       .dims = {1, p.c, oh, ow},
                       .strides = {0, 1, args.index_row, args.index_pixel}};
    CaseTensor indices = { .view = view };
    expect_indices(c, &p, x, y, flat, &indices);
}

/* Pool, then unpool the same windows; held against the reference's unpool of the reference's indices. */
static void check_unpool(Case *c, int i)
{
    PoolCase p = random_pool(c, i);
    p.ceil_mode = p.column_major = p.salted = false;
    for (int axis = 0; axis < 2; axis++) { /* sizes that the windows cover to the end: what the unpool implies is what there was */
        p.dilation[axis] = 1;
        int *in = axis ? &p.w : &p.h, out = case_pick(c, 1, 5);
        *in = (out - 1) * p.stride[axis] + p.kernel[axis] - p.pad[axis] - p.pad_end[axis];
    }
    if (p.h < 1 || p.w < 1 || !begin_pool(c, &p, "unpool")) return;
    int oh = pool_output(&p, 0), ow = pool_output(&p, 1), more = i % 3 == 0;
    const int64_t pooled[4] = { 1, p.c, oh, ow };
    CaseTensor *x = case_picture(c, p.type, p.c, p.h, p.w, p.layout), *small = case_picture(c, p.type, p.c, oh, ow, CASE_WHOLE);
    CaseTensor *flat = case_dense(c, KERB_I64, 4, pooled),
               *window = case_dense(c, KERB_U8, 4, (const int64_t[]){1, oh, ow, (p.c + 7) / 8 * 8});
    CaseTensor *y = case_picture(c, p.type, p.c, p.h + more, p.w + 2 * more, (CaseLayout)((p.layout + 1) % CASE_LAYOUTS));
    case_fill(c, x, -1, 1);
    KerbPoolArgs pool = pool_args(c, &p, x, small);
    pool.flat = case_data(c, flat);
    pool.flat_strides[0] = flat->view.strides[1], pool.flat_strides[1] = flat->view.strides[2],
    pool.flat_strides[2] = flat->view.strides[3];
    pool.window_index = case_data(c, window);
    pool.index_row = window->view.strides[1];
    pool.index_pixel = window->view.strides[2];
    case_launch_max_pool(c, &pool);
    KerbUnpoolArgs args = {.x = case_as_picture(c, small),
                           .y = case_as_picture(c, y),
                           .window_index = pool.window_index,
                           .index_row = pool.index_row,
                           .index_pixel = pool.index_pixel};
    for (int axis = 0; axis < 2; axis++)
        args.kernel[axis] = p.kernel[axis], args.stride[axis] = p.stride[axis], args.dilation[axis] = p.dilation[axis],
        args.pad[axis] = p.pad[axis];
    case_launch_unpool(c, &args);
    KerbNode node = pool_node(&p, KERB_OP_MAX_UNPOOL);
    CaseTensor *const inputs[] = { small, flat };
    case_expect(c, &node, 2, inputs, y, CASE_EXACT);
    /* The scatter, from ONNX's indices; zeros first. */
    KerbStrided filled = case_as_strided(c, y);
    const KerbStrided *const operands[] = { &filled, NULL };
    KerbCopyArgs zeros = { .value = 0 };
    if (!kerb_walk(2, operands, y->padding, &zeros.walk)) case_fail(c, "no walk");
    case_launch_copy(c, &zeros);
    KerbUnpoolFlatArgs scatter = { .x = case_as_strided(c, small), .y = filled, .indices = case_data(c, flat), .implied = { p.h, p.w } };
    for (int axis = 0; axis < 4; axis++) scatter.index_strides[axis] = flat->view.strides[axis];
    case_launch_unpool_flat(c, &scatter);
    case_expect(c, &node, 2, inputs, y, CASE_EXACT);
}

void kernel_cases_pool(Case *c)
{
    for (int i = 0; i < 90; i++) check_maximum(c, i);
    for (int i = 0; i < 90; i++) check_average(c, i);
    for (int i = 0; i < 60; i++) check_unpool(c, i);
}
