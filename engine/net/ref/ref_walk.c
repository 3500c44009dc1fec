/* SPDX-License-Identifier: MIT */
/* Reading and writing blocks of elements of any type, and walking strided tensors row by row. */
#include "net/ref/ref_ops.h"

#include <math.h>
#include <string.h>

/* ---- blocks. Through memcpy: constants in a model's mapping need not be aligned (compilers make a plain load of it). */

#define READ(T, EXPR)                                                                                                          \
    do {                                                                                                                       \
        const unsigned char *p = (const unsigned char *)t->data + offset * (int64_t)sizeof(T);                                 \
        for (int i = 0; i < n; i++, p += stride * (int64_t)sizeof(T)) {                                                        \
            T v;                                                                                                               \
            memcpy(&v, p, sizeof v);                                                                                           \
            out[i] = EXPR;                                                                                                     \
        }                                                                                                                      \
    } while (0)

void kerb_ref_read(const KerbTensor *t, int64_t offset, int64_t stride, int n, double out[])
{
    switch (t->dtype) {
    case KERB_F32: READ(float, (double)v); break;
    case KERB_F64: READ(double, v); break;
    case KERB_F16: READ(uint16_t, (double)kerb_f16_to_f32(v)); break;
    case KERB_BF16: READ(uint16_t, (double)kerb_bf16_to_f32(v)); break;
    case KERB_U8: READ(uint8_t, (double)v); break;
    case KERB_I8: READ(int8_t, (double)v); break;
    case KERB_U16: READ(uint16_t, (double)v); break;
    case KERB_I16: READ(int16_t, (double)v); break;
    case KERB_U32: READ(uint32_t, (double)v); break;
    case KERB_I32: READ(int32_t, (double)v); break;
    case KERB_U64: READ(uint64_t, (double)v); break;
    case KERB_I64: READ(int64_t, (double)v); break;
    default: READ(uint8_t, v ? 1.0 : 0.0); break;
    }
}

static int64_t double_to_i64(double v)
{
    if (isnan(v)) return 0;
    if (v >= 0x1p63) return INT64_MAX;
    if (v <= -0x1p63) return INT64_MIN;
    return (int64_t)v;
}

void kerb_ref_read_i64(const KerbTensor *t, int64_t offset, int64_t stride, int n, int64_t out[])
{
    switch (t->dtype) {
    case KERB_U8: READ(uint8_t, v); break;
    case KERB_I8: READ(int8_t, v); break;
    case KERB_U16: READ(uint16_t, v); break;
    case KERB_I16: READ(int16_t, v); break;
    case KERB_U32: READ(uint32_t, v); break;
    case KERB_I32: READ(int32_t, v); break;
    case KERB_U64: READ(uint64_t, (int64_t)v); break;
    case KERB_I64: READ(int64_t, v); break;
    case KERB_F32: READ(float, double_to_i64((double)v)); break;
    case KERB_F64: READ(double, double_to_i64(v)); break;
    case KERB_F16: READ(uint16_t, double_to_i64((double)kerb_f16_to_f32(v))); break;
    case KERB_BF16: READ(uint16_t, double_to_i64((double)kerb_bf16_to_f32(v))); break;
    default: READ(uint8_t, v != 0); break;
    }
}
#undef READ

#define WRITE(T, EXPR)                                                                                                         \
    do {                                                                                                                       \
        unsigned char *p = (unsigned char *)t->data + offset * (int64_t)sizeof(T);                                             \
        for (int i = 0; i < n; i++, p += stride * (int64_t)sizeof(T)) {                                                        \
            T v = (T)(EXPR);                                                                                                   \
            memcpy(p, &v, sizeof v);                                                                                           \
        }                                                                                                                      \
    } while (0)

static int64_t clamp_i64(double v, int64_t lo, int64_t hi)
{
    int64_t x = double_to_i64(v);
    return x < lo ? lo : x > hi ? hi : x;
}

static uint64_t double_to_u64(double v)
{
    if (!(v > 0)) return 0; /* NaN too */
    return v >= 0x1p64 ? UINT64_MAX : (uint64_t)v;
}

void kerb_ref_write(const KerbTensor *t, int64_t offset, int64_t stride, int n, const double in[])
{
    switch (t->dtype) {
    case KERB_F32: WRITE(float, in[i]); break;
    case KERB_F64: WRITE(double, in[i]); break;
    case KERB_F16: WRITE(uint16_t, kerb_f32_to_f16((float)in[i])); break;
    case KERB_BF16: WRITE(uint16_t, kerb_f32_to_bf16((float)in[i])); break;
    case KERB_U8: WRITE(uint8_t, clamp_i64(in[i], 0, UINT8_MAX)); break;
    case KERB_I8: WRITE(int8_t, clamp_i64(in[i], INT8_MIN, INT8_MAX)); break;
    case KERB_U16: WRITE(uint16_t, clamp_i64(in[i], 0, UINT16_MAX)); break;
    case KERB_I16: WRITE(int16_t, clamp_i64(in[i], INT16_MIN, INT16_MAX)); break;
    case KERB_U32: WRITE(uint32_t, clamp_i64(in[i], 0, UINT32_MAX)); break;
    case KERB_I32: WRITE(int32_t, clamp_i64(in[i], INT32_MIN, INT32_MAX)); break;
    case KERB_U64: WRITE(uint64_t, double_to_u64(in[i])); break;
    case KERB_I64: WRITE(int64_t, double_to_i64(in[i])); break;
    default: WRITE(uint8_t, in[i] != 0); break;
    }
}

void kerb_ref_write_i64(const KerbTensor *t, int64_t offset, int64_t stride, int n, const int64_t in[])
{
    switch (t->dtype) {
    case KERB_F32: WRITE(float, in[i]); break;
    case KERB_F64: WRITE(double, in[i]); break;
    case KERB_F16: WRITE(uint16_t, kerb_f32_to_f16((float)in[i])); break;
    case KERB_BF16: WRITE(uint16_t, kerb_f32_to_bf16((float)in[i])); break;
    case KERB_U8:
    case KERB_I8: WRITE(uint8_t, in[i]); break;
    case KERB_U16:
    case KERB_I16: WRITE(uint16_t, in[i]); break;
    case KERB_U32:
    case KERB_I32: WRITE(uint32_t, in[i]); break;
    case KERB_U64:
    case KERB_I64: WRITE(uint64_t, in[i]); break;
    default: WRITE(uint8_t, in[i] != 0); break;
    }
}
#undef WRITE

/* ---- walking */

/* Stride of `t` along axis `axis` of a space of `rank` axes that it broadcasts to. */
static int64_t broadcast_stride(const KerbTensor *t, int rank, int axis)
{
    int own = axis - (rank - t->rank);
    return own < 0 || t->dims[own] == 1 ? 0 : t->strides[own];
}

void kerb_ref_walk(KerbRefWalk *w, int rank, const int64_t dims[], int n, const KerbTensor *const tensors[])
{
    *w = (KerbRefWalk){ .n = n };
    int axes = 0; /* merged axes so far, outermost first */
    for (int axis = 0; axis < rank; axis++) {
        if (dims[axis] == 0) w->done = true;
        if (dims[axis] == 1) continue;
        bool merges = axes > 0;
        for (int i = 0; i < n && merges; i++)
            merges = w->strides[i][axes - 1] == broadcast_stride(tensors[i], rank, axis) * dims[axis];
        if (!merges) w->dims[axes++] = 1;
        w->dims[axes - 1] *= dims[axis];
        for (int i = 0; i < n; i++) w->strides[i][axes - 1] = broadcast_stride(tensors[i], rank, axis);
    }
    w->rank = axes ? axes - 1 : 0;
    w->row = axes ? w->dims[axes - 1] : 1;
    for (int i = 0; i < n; i++) w->step[i] = axes ? w->strides[i][axes - 1] : 0;
}

void kerb_ref_walk_next(KerbRefWalk *w)
{
    for (int axis = w->rank - 1; axis >= 0; axis--) {
        for (int i = 0; i < w->n; i++) w->offset[i] += w->strides[i][axis];
        if (++w->index[axis] < w->dims[axis]) return;
        for (int i = 0; i < w->n; i++) w->offset[i] -= w->strides[i][axis] * w->dims[axis];
        w->index[axis] = 0;
    }
    w->done = true;
}

void kerb_ref_split_axes(const KerbTensor *t, unsigned mask, KerbTensor *set, KerbTensor *others)
{
    *set = (KerbTensor){ .data = t->data, .dtype = t->dtype };
    *others = *set;
    for (int i = 0; i < t->rank; i++) {
        KerbTensor *side = mask >> i & 1u ? set : others;
        side->dims[side->rank] = t->dims[i];
        side->strides[side->rank++] = t->strides[i];
    }
}

KerbTensor kerb_ref_shift(const KerbTensor *t, int64_t elements)
{
    KerbTensor moved = *t;
    if (t->data) moved.data = (unsigned char *)t->data + elements * (int64_t)kerb_dtype_bytes(t->dtype);
    return moved;
}

static void copy_row(const KerbTensor *dst, int64_t to, int64_t to_step, const KerbTensor *src, int64_t from, int64_t from_step, int64_t n)
{
    size_t bytes = kerb_dtype_bytes(dst->dtype);
    if (dst->dtype == src->dtype && to_step == 1 && from_step == 1) {
        memmove((unsigned char *)dst->data + to * (int64_t)bytes, (const unsigned char *)src->data + from * (int64_t)bytes,
                (size_t)n * bytes);
        return;
    }
    bool integers = kerb_ref_is_integer(dst) && kerb_ref_is_integer(src);
    for (int64_t i = 0; i < n; i += KERB_REF_BLOCK) {
        int block = (int)(n - i < KERB_REF_BLOCK ? n - i : KERB_REF_BLOCK);
        if (integers) {
            int64_t v[KERB_REF_BLOCK];
            kerb_ref_read_i64(src, from + i * from_step, from_step, block, v);
            kerb_ref_write_i64(dst, to + i * to_step, to_step, block, v);
        } else {
            double v[KERB_REF_BLOCK];
            kerb_ref_read(src, from + i * from_step, from_step, block, v);
            kerb_ref_write(dst, to + i * to_step, to_step, block, v);
        }
    }
}

void kerb_ref_copy(const KerbTensor *dst, const KerbTensor *src)
{
    KerbRefWalk w;
    for (kerb_ref_walk(&w, dst->rank, dst->dims, 2, (const KerbTensor *const[]){ dst, src }); !w.done; kerb_ref_walk_next(&w))
        copy_row(dst, w.offset[0], w.step[0], src, w.offset[1], w.step[1], w.row);
}

/* Identity, Reshape, Flatten, Squeeze, Unsqueeze: the elements in row-major order, through two walks at once. */
KerbStatus kerb_ref_reshape(const KerbRefCall *c)
{
    const KerbTensor *x = &c->in[0], *y = &c->out[0];
    if (kerb_tensor_elements(x) != kerb_tensor_elements(y))
        return kerb_ref_fail(c, KERB_ERROR_ASSET, "%lld elements cannot become %lld", (long long)kerb_tensor_elements(x),
                             (long long)kerb_tensor_elements(y));
    if (x->data == y->data && kerb_tensor_is_dense(x) && kerb_tensor_is_dense(y)) return KERB_OK; /* the memory plan made them one */
    KerbRefWalk from, to;
    kerb_ref_walk(&from, x->rank, x->dims, 1, &x);
    kerb_ref_walk(&to, y->rank, y->dims, 1, &y);
    int64_t read = 0, written = 0;
    while (!from.done && !to.done) {
        int64_t n = from.row - read < to.row - written ? from.row - read : to.row - written;
        copy_row(y, to.offset[0] + written * to.step[0], to.step[0], x, from.offset[0] + read * from.step[0], from.step[0], n);
        read += n;
        written += n;
        if (read == from.row) kerb_ref_walk_next(&from), read = 0;
        if (written == to.row) kerb_ref_walk_next(&to), written = 0;
    }
    return KERB_OK;
}
