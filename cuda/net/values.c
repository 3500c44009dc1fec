/* SPDX-License-Identifier: MIT */
/* Where values are while a graph is compiled: on the device in the backend's type and layout, on the host in the graph's own, or both. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cuda/net/compile.h"

/* ---- layouts ---- */

int kerb_cuda_pitch_unit(KerbDtype dtype)
{
    return dtype == KERB_F32 ? 4 : dtype == KERB_I8 || dtype == KERB_U8 ? 16 : 8;
}

size_t kerb_cuda_span(const KerbTensor *t)
{
    size_t last = 0;
    for (int i = 0; i < t->rank; i++) {
        if (t->dims[i] == 0) return 0;
        last += (size_t)(t->dims[i] - 1) * (size_t)t->strides[i];
    }
    return last + 1;
}

bool kerb_cuda_lies_as_picture(const KerbGraph *g, uint32_t id)
{
    const KerbValue *v = &g->values[id];
    if (v->rank != 4 || v->dims[0] != 1 || (v->dtype != KERB_F32 && v->dtype != KERB_I8 && v->dtype != KERB_U8)) return false;
    return v->dims[1] > 0 && v->dims[2] > 0 && v->dims[3] > 0;
}

/* A picture that is quantised at once: 11 bits' rounding before that would now and then be seen in the integers. */
static bool kerb_cuda_is_quantised_input(const KerbCompiler *c, uint32_t id)
{
    if (c->net->precision != KERB_PRECISION_INT8 || c->g->values[id].producer != KERB_NO_NODE || c->readers[id] != 1) return false;
    return c->reader[id] != KERB_NO_NODE && c->g->nodes[c->reader[id]].op == KERB_OP_QUANTIZE;
}

KerbDtype kerb_cuda_type(const KerbCompiler *c, uint32_t id)
{
    const KerbValue *v = &c->g->values[id];
    if (kerb_cuda_is_quantised_input(c, id)) return v->dtype;
    return v->dtype == KERB_F32 && kerb_cuda_lies_as_picture(c->g, id) ? c->net->type : v->dtype;
}

KerbTensor kerb_cuda_picture_tensor(KerbDtype dtype, int rank, const int64_t dims[])
{
    const int64_t unit = kerb_cuda_pitch_unit(dtype);
    return kerb_tensor_channels_last(NULL, dtype, rank, dims, (dims[1] + unit - 1) / unit * unit);
}

bool kerb_cuda_is_picture(const KerbOperand *o)
{
    const KerbTensor *t = &o->t;
    if (t->rank != 4 || t->dims[0] != 1) return false;
    if (t->dtype != KERB_F32 && t->dtype != KERB_F16 && t->dtype != KERB_BF16 && t->dtype != KERB_I8 && t->dtype != KERB_U8) return false;
    const int64_t unit = kerb_cuda_pitch_unit(t->dtype), pixel = t->strides[3], channels = (t->dims[1] + unit - 1) / unit * unit;
    if ((t->dims[1] > 1 && t->strides[1] != 1) || (o->loose && channels != t->dims[1])) return false;
    return pixel % unit == 0 && pixel >= channels && t->strides[2] % unit == 0 && t->strides[2] >= pixel * t->dims[3] &&
           o->offset % ((size_t)unit * kerb_dtype_bytes(t->dtype)) == 0;
}

int32_t kerb_cuda_padding(const KerbOperand *o)
{
    const int64_t unit = kerb_cuda_pitch_unit(o->t.dtype);
    return kerb_cuda_is_picture(o) ? (int32_t)((o->t.dims[1] + unit - 1) / unit * unit - o->t.dims[1]) : 0;
}

/* A graph input (1, H, W, C) that is turned at once: its pixels lie as the turned picture wants them. */
static bool kerb_cuda_is_nhwc_input(const KerbCompiler *c, uint32_t id)
{
    const KerbValue *v = &c->g->values[id];
    if (v->producer != KERB_NO_NODE || c->readers[id] != 1 || c->reader[id] == KERB_NO_NODE) return false;
    const KerbNode *n = &c->g->nodes[c->reader[id]];
    static const int64_t to_nchw[4] = {0, 3, 1, 2};
    return n->op == KERB_OP_TRANSPOSE && n->attrs.transpose.n == 4 && !memcmp(n->attrs.transpose.perm, to_nchw, sizeof to_nchw);
}

static KerbTensor kerb_cuda_usual(const KerbCompiler *c, uint32_t id)
{
    const KerbValue *v = &c->g->values[id];
    if (!kerb_cuda_lies_as_picture(c->g, id)) return kerb_tensor(NULL, v->dtype, v->rank, v->dims);
    const KerbDtype type = kerb_cuda_type(c, id);
    if (!kerb_cuda_is_nhwc_input(c, id)) return kerb_cuda_picture_tensor(type, 4, v->dims);
    const int64_t turned[4] = {1, v->dims[3], v->dims[1], v->dims[2]};
    const KerbTensor t = kerb_cuda_picture_tensor(type, 4, turned);
    KerbTensor seen = kerb_tensor(NULL, type, 4, v->dims);
    const int64_t strides[4] = {t.strides[0], t.strides[2], t.strides[3], 1};
    memcpy(seen.strides, strides, sizeof strides);
    return seen;
}

/* ---- placing ---- */

size_t kerb_cuda_extent(const KerbTensor *t)
{
    size_t span = kerb_cuda_span(t);
    const int64_t unit = kerb_cuda_pitch_unit(t->dtype);
    if (t->rank == 4) span = (span + (size_t)unit - 1) / (size_t)unit * (size_t)unit;
    return span * kerb_dtype_bytes(t->dtype);
}

static KerbStatus kerb_cuda_new_root(KerbCompiler *c, KerbSpace space, size_t bytes, uint32_t *out)
{
    enum { ALIGNMENT = 256 }; /* cudaMalloc()'s own: the widest loads and cuDNN's kernels like it */
    KerbNet *net = c->net;
    if (net->n_roots[space] == net->cap_roots[space]) {
        int cap = net->cap_roots[space] ? net->cap_roots[space] * 2 : 256;
        KerbRoot *grown = realloc(net->roots[space], (size_t)cap * sizeof *grown);
        if (!grown) return kerb_cuda_no_memory(c, (size_t)cap * sizeof *grown);
        net->roots[space] = grown;
        net->cap_roots[space] = cap;
    }
    const size_t rounded = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    *out = (uint32_t)net->n_roots[space]++;
    net->roots[space][*out] = (KerbRoot){.bytes = rounded ? rounded : ALIGNMENT, .first = INT_MAX, .last = -1};
    if (space == KERB_SPACE_DEVICE) net->sum_bytes += rounded;
    return KERB_OK;
}

KerbStatus kerb_cuda_temporary(KerbCompiler *c, KerbSpace space, const KerbTensor *t, KerbOperand *out)
{
    *out = (KerbOperand){.t = *t, .space = space};
    out->t.data = NULL;
    return kerb_cuda_new_root(c, space, kerb_cuda_extent(t), &out->root);
}

/* Length of the axis whose elements are neighbours; 0: none. */
static int64_t kerb_cuda_innermost(const KerbTensor *t)
{
    for (int i = 0; i < t->rank; i++) {
        if (t->strides[i] == 1 && (t->dims[i] > 1 || (i == 1 && t->rank == 4))) return t->dims[i];
    }
    return 0;
}

void kerb_cuda_alias(KerbCompiler *c, uint32_t id, const KerbOperand *of, const KerbTensor *t, size_t offset)
{
    KerbOperand o = {.t = *t, .root = of->root, .offset = offset, .space = of->space};
    /* Padding stays a picture's own as long as all channels are seen. (A concatenation's slices: kerb_cuda_plan_slots() sees to it.) */
    o.loose = c->slot[id] == KERB_NO_VALUE && (of->loose || kerb_cuda_innermost(t) != kerb_cuda_innermost(&of->t));
    o.t.data = of->root == KERB_NO_ROOT ? (char *)of->t.data + (offset - of->offset) : NULL;
    if (of->root != KERB_NO_ROOT) c->net->roots[of->space][of->root].readers += c->readers[id];
    c->values[id] = o;
}

KerbStatus kerb_cuda_place(KerbCompiler *c, uint32_t id, KerbOperand *out)
{
    KerbStatus status;
    const uint32_t parent = c->slot[id];
    if (parent != KERB_NO_VALUE) {
        KerbOperand whole;
        if (c->values[parent].t.dtype == KERB_DTYPE_NONE && (status = kerb_cuda_place(c, parent, &whole))) return status;
        whole = c->values[parent];
        KerbTensor t = whole.t;
        t.dims[1] = c->g->values[id].dims[1];
        kerb_cuda_alias(c, id, &whole, &t, whole.offset + (size_t)c->slot_channel[id] * kerb_dtype_bytes(t.dtype));
        *out = c->values[id];
        return KERB_OK;
    }
    const KerbTensor t = kerb_cuda_usual(c, id);
    if ((status = kerb_cuda_temporary(c, KERB_SPACE_DEVICE, &t, out))) return status;
    c->net->roots[KERB_SPACE_DEVICE][out->root].readers += c->readers[id];
    c->values[id] = *out;
    return KERB_OK;
}

KerbStatus kerb_cuda_place_over(KerbCompiler *c, uint32_t id, const KerbOperand *input, int uses_here, KerbOperand *out)
{
    const KerbTensor usual = kerb_cuda_usual(c, id);
    const KerbRoot *root = input->root == KERB_NO_ROOT ? NULL : &c->net->roots[input->space][input->root];
    const bool same = root && input->space == KERB_SPACE_DEVICE && root->readers == uses_here && c->slot[id] == KERB_NO_VALUE &&
                      input->t.dtype == usual.dtype && kerb_tensor_same_shape(&input->t, &usual) &&
                      !memcmp(input->t.strides, usual.strides, sizeof usual.strides[0] * (size_t)usual.rank);
    if (!same) return kerb_cuda_place(c, id, out);
    kerb_cuda_alias(c, id, input, &usual, input->offset);
    *out = c->values[id];
    return KERB_OK;
}

KerbStatus kerb_cuda_place_host(KerbCompiler *c, uint32_t id, KerbOperand *out)
{
    const KerbValue *v = &c->g->values[id];
    const KerbTensor t = kerb_tensor(NULL, v->dtype, v->rank, v->dims);
    KerbStatus status = kerb_cuda_temporary(c, KERB_SPACE_HOST, &t, out);
    if (!status) c->host_values[id] = *out;
    return status;
}

/* ---- asking ---- */

/* A constant on the device, in the graph's own type: what is added to or multiplied with activations keeps its precision. */
static KerbStatus kerb_cuda_constant(KerbCompiler *c, uint32_t id, KerbOperand *out)
{
    const KerbTensor src = kerb_value_tensor(&c->g->values[id]);
    KerbTensor dst = kerb_tensor(NULL, src.dtype, src.rank, src.dims);
    if (kerb_cuda_lies_as_picture(c->g, id) && src.dims[2] * src.dims[3] > 1) dst = kerb_cuda_picture_tensor(src.dtype, 4, src.dims);
    const size_t bytes = kerb_cuda_extent(&dst);
    KerbStatus status = KERB_OK;
    void *copy = kerb_cuda_bytes(c, bytes);
    if (!copy) return KERB_ERROR_MEMORY;
    dst.data = copy;
    if (bytes) kerb_tensor_copy(&dst, &src);
    dst.data = kerb_cuda_block(c, copy, bytes);
    if (!dst.data) status = kerb_cuda_failed(c);
    kerb_free(&copy);
    *out = (KerbOperand){.t = dst, .root = KERB_NO_ROOT};
    if (!status) c->values[id] = *out;
    return status;
}

/* What the host made goes up. */
static KerbStatus kerb_cuda_raise(KerbCompiler *c, uint32_t id, KerbOperand *out)
{
    KerbOperand whole, staged;
    KerbTensor t = kerb_cuda_usual(c, id);
    KerbStatus status = kerb_cuda_place(c, id, out);
    if (status) return status;
    const bool slice = c->slot[id] != KERB_NO_VALUE; /* its neighbours' channels are not to be written */
    if (slice) t = kerb_cuda_picture_tensor(out->t.dtype, out->t.rank, out->t.dims);
    whole = *out;
    if (slice && (status = kerb_cuda_temporary(c, KERB_SPACE_DEVICE, &t, &whole))) return status;
    if ((status = kerb_cuda_temporary(c, KERB_SPACE_HOST, &t, &staged))) return status;
    if ((status = kerb_cuda_host_copy(c, &c->host_values[id], &staged))) return status;
    if ((status = kerb_cuda_upload(c, &staged, &whole))) return status;
    return slice ? kerb_cuda_copy(c, &c->g->nodes[c->node], &whole, out) : KERB_OK;
}

KerbStatus kerb_cuda_value(KerbCompiler *c, uint32_t id, KerbOperand *out)
{
    *out = (KerbOperand){.root = KERB_NO_ROOT};
    if (id == KERB_NO_VALUE) return KERB_OK;
    if (c->values[id].t.dtype != KERB_DTYPE_NONE) {
        *out = c->values[id];
        return KERB_OK;
    }
    if (kerb_value_is_constant(&c->g->values[id])) return kerb_cuda_constant(c, id, out);
    if (c->host_values[id].t.dtype != KERB_DTYPE_NONE) return kerb_cuda_raise(c, id, out);
    return kerb_fail(c->error, KERB_ERROR_INTERNAL, "value %s is read before it is computed: please report this", c->g->values[id].name);
}

KerbStatus kerb_cuda_picture(KerbCompiler *c, uint32_t id, KerbDtype dtype, KerbOperand *out)
{
    KerbOperand o;
    KerbStatus status = kerb_cuda_value(c, id, &o);
    if (status) return status;
    if (dtype == KERB_DTYPE_NONE) dtype = o.t.dtype;
    if (kerb_cuda_is_picture(&o) && o.t.dtype == dtype) {
        *out = o;
        return KERB_OK;
    }
    const KerbTensor t = kerb_cuda_picture_tensor(dtype, o.t.rank, o.t.dims);
    status = kerb_cuda_temporary(c, KERB_SPACE_DEVICE, &t, out);
    return status ? status : kerb_cuda_copy(c, &c->g->nodes[c->node], &o, out);
}

/* Constants are read where the model has them. */
static KerbStatus kerb_cuda_host_constant(KerbCompiler *c, uint32_t id, KerbOperand *out)
{
    *out = (KerbOperand){.t = kerb_value_tensor(&c->g->values[id]), .root = KERB_NO_ROOT, .space = KERB_SPACE_HOST};
    const size_t unit = kerb_dtype_bytes(out->t.dtype), bytes = kerb_tensor_bytes(&out->t);
    if (unit && (uintptr_t)out->t.data % unit) {
        void *copy = kerb_cuda_object(c, bytes);
        if (!copy) return KERB_ERROR_MEMORY;
        memcpy(copy, out->t.data, bytes);
        out->t.data = copy;
    }
    c->host_values[id] = *out;
    return KERB_OK;
}

KerbStatus kerb_cuda_host_value(KerbCompiler *c, uint32_t id, KerbOperand *out)
{
    *out = (KerbOperand){.root = KERB_NO_ROOT, .space = KERB_SPACE_HOST};
    if (id == KERB_NO_VALUE) return KERB_OK;
    if (c->host_values[id].t.dtype != KERB_DTYPE_NONE) {
        *out = c->host_values[id];
        return KERB_OK;
    }
    if (kerb_value_is_constant(&c->g->values[id])) return kerb_cuda_host_constant(c, id, out);
    KerbOperand device, raw;
    KerbStatus status = kerb_cuda_value(c, id, &device);
    if (!status) status = kerb_cuda_temporary(c, KERB_SPACE_HOST, &device.t, &raw);
    if (!status) status = kerb_cuda_download(c, &device, &raw);
    if (status) return status;
    if (raw.t.dtype == c->g->values[id].dtype) {
        *out = c->host_values[id] = raw;
        return KERB_OK;
    }
    status = kerb_cuda_place_host(c, id, out);
    return status ? status : kerb_cuda_host_copy(c, &raw, out);
}
