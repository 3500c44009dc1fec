/* SPDX-License-Identifier: MIT */
/* Tensor views: shapes, strides, slow and general element access and conversion. */
#include "base/tensor.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    size_t bytes;
} dtypes[KERB_DTYPE_COUNT] = {
    [KERB_DTYPE_NONE] = { "none", 0 }, [KERB_F32] = { "f32", 4 }, [KERB_F16] = { "f16", 2 }, [KERB_BF16] = { "bf16", 2 },
    [KERB_F64] = { "f64", 8 },         [KERB_U8] = { "u8", 1 },   [KERB_I8] = { "i8", 1 },   [KERB_U16] = { "u16", 2 },
    [KERB_I16] = { "i16", 2 },         [KERB_U32] = { "u32", 4 }, [KERB_I32] = { "i32", 4 }, [KERB_U64] = { "u64", 8 },
    [KERB_I64] = { "i64", 8 },         [KERB_BOOL] = { "bool", 1 },
};

size_t kerb_dtype_bytes(KerbDtype dtype) { return dtype < KERB_DTYPE_COUNT ? dtypes[dtype].bytes : 0; }
const char *kerb_dtype_name(KerbDtype dtype) { return dtype < KERB_DTYPE_COUNT ? dtypes[dtype].name : "none"; }
bool kerb_dtype_is_float(KerbDtype d) { return d == KERB_F32 || d == KERB_F16 || d == KERB_BF16 || d == KERB_F64; }

KerbTensor kerb_tensor(void *data, KerbDtype dtype, int rank, const int64_t dims[])
{
    KerbTensor t = { .data = data, .dtype = dtype, .rank = rank };
    int64_t stride = 1;
    for (int i = rank - 1; i >= 0; i--) {
        t.dims[i] = dims[i];
        t.strides[i] = stride;
        stride *= dims[i];
    }
    return t;
}

KerbTensor kerb_tensor_channels_last(void *data, KerbDtype dtype, int rank, const int64_t dims[], int64_t channels_padded)
{
    KerbTensor t = kerb_tensor(data, dtype, rank, dims);
    if (rank < 3) return t;
    t.strides[1] = 1;
    int64_t stride = channels_padded;
    for (int i = rank - 1; i >= 2; i--) {
        t.strides[i] = stride;
        stride *= dims[i];
    }
    t.strides[0] = stride;
    return t;
}

KerbTensor kerb_tensor_view_nchw(const KerbTensor *t, int channel_axis)
{
    KerbTensor view = *t;
    if (channel_axis < 0 && t->rank == 3) { /* (1, h, w) */
        view.rank = 4;
        for (int i = 3; i > 1; i--) {
            view.dims[i] = t->dims[i - 1];
            view.strides[i] = t->strides[i - 1];
        }
        view.dims[1] = 1;
        view.strides[1] = 0;
    } else if (channel_axis > 1 && channel_axis < 4 && t->rank == 4) { /* (1, h, w, C) */
        int to = 2;
        for (int i = 1; i < 4; i++) {
            if (i == channel_axis) continue;
            view.dims[to] = t->dims[i];
            view.strides[to++] = t->strides[i];
        }
        view.dims[1] = t->dims[channel_axis];
        view.strides[1] = t->strides[channel_axis];
    }
    return view;
}

int64_t kerb_tensor_elements(const KerbTensor *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->rank; i++) n *= t->dims[i];
    return n;
}

size_t kerb_tensor_bytes(const KerbTensor *t) { return (size_t)kerb_tensor_elements(t) * kerb_dtype_bytes(t->dtype); }

bool kerb_tensor_is_dense(const KerbTensor *t)
{
    int64_t stride = 1;
    for (int i = t->rank - 1; i >= 0; i--) {
        if (t->dims[i] != 1 && t->strides[i] != stride) return false;
        stride *= t->dims[i];
    }
    return true;
}

bool kerb_tensor_same_shape(const KerbTensor *a, const KerbTensor *b)
{
    return a->rank == b->rank && memcmp(a->dims, b->dims, (size_t)a->rank * sizeof a->dims[0]) == 0;
}

bool kerb_dims_elements(int rank, const int64_t dims[], int64_t limit, int64_t *out)
{
    int64_t n = 1;
    bool empty = false;
    for (int i = 0; i < rank; i++) {
        if (dims[i] < 0) return false;
        if (dims[i] == 0) empty = true; /* the others must still be sane, but do not count */
        else if (__builtin_mul_overflow(n, dims[i], &n)) return false;
    }
    if (empty) n = 0;
    if (limit && n > limit) return false;
    *out = n;
    return true;
}

const char *kerb_dims_text(int rank, const int64_t dims[], char *buffer, size_t bytes)
{
    if (rank < 0) snprintf(buffer, bytes, "?");
    else if (rank == 0) snprintf(buffer, bytes, "scalar");
    size_t used = 0;
    for (int i = 0; i < rank && used < bytes; i++) {
        int n = dims[i] < 0 ? snprintf(buffer + used, bytes - used, "%s?", i ? "x" : "")
                            : snprintf(buffer + used, bytes - used, "%s%lld", i ? "x" : "", (long long)dims[i]);
        used += n > 0 ? (size_t)n : 0;
    }
    return buffer;
}

/* ---- one element */

static size_t offset_of(const KerbTensor *t, int64_t index)
{
    int64_t offset = 0;
    for (int i = t->rank - 1; i >= 0; i--) {
        offset += index % t->dims[i] * t->strides[i];
        index /= t->dims[i];
    }
    return (size_t)offset;
}


/* Through memcpy: constants in a model's mapping need not be aligned. */
static double load_double(KerbDtype dtype, const void *p)
{
    switch (dtype) {
    case KERB_F32: { float v; memcpy(&v, p, sizeof v); return (double)v; }
    case KERB_F64: { double v; memcpy(&v, p, sizeof v); return v; }
    case KERB_F16: { uint16_t v; memcpy(&v, p, sizeof v); return (double)kerb_f16_to_f32(v); }
    case KERB_BF16: { uint16_t v; memcpy(&v, p, sizeof v); return (double)kerb_bf16_to_f32(v); }
    case KERB_U64: { uint64_t v; memcpy(&v, p, sizeof v); return (double)v; }
    default: return 0;
    }
}

static int64_t load_i64(KerbDtype dtype, const void *p)
{
    switch (dtype) {
    case KERB_U8: return *(const uint8_t *)p;
    case KERB_BOOL: return *(const uint8_t *)p != 0;
    case KERB_I8: return *(const int8_t *)p;
    case KERB_U16: { uint16_t v; memcpy(&v, p, sizeof v); return v; }
    case KERB_I16: { int16_t v; memcpy(&v, p, sizeof v); return v; }
    case KERB_U32: { uint32_t v; memcpy(&v, p, sizeof v); return v; }
    case KERB_I32: { int32_t v; memcpy(&v, p, sizeof v); return v; }
    case KERB_U64:
    case KERB_I64: { int64_t v; memcpy(&v, p, sizeof v); return v; }
    default: return 0;
    }
}

static bool is_float(KerbDtype d) { return kerb_dtype_is_float(d); }

/* Range of an integer type, as int64 (U64 is kept as its bits). */
static void integer_range(KerbDtype dtype, int64_t *lo, int64_t *hi)
{
    switch (dtype) {
    case KERB_U8: *lo = 0, *hi = UINT8_MAX; break;
    case KERB_I8: *lo = INT8_MIN, *hi = INT8_MAX; break;
    case KERB_U16: *lo = 0, *hi = UINT16_MAX; break;
    case KERB_I16: *lo = INT16_MIN, *hi = INT16_MAX; break;
    case KERB_U32: *lo = 0, *hi = UINT32_MAX; break;
    case KERB_I32: *lo = INT32_MIN, *hi = INT32_MAX; break;
    default: *lo = INT64_MIN, *hi = INT64_MAX; break;
    }
}

static int64_t double_to_i64(double v)
{
    if (isnan(v)) return 0;
    if (v >= 9223372036854775808.0) return INT64_MAX;
    if (v <= -9223372036854775808.0) return INT64_MIN;
    return (int64_t)v;
}

static void store_i64(KerbDtype dtype, void *p, int64_t v)
{
    switch (dtype) {
    case KERB_BOOL: *(uint8_t *)p = v != 0; break;
    case KERB_U8:
    case KERB_I8: { uint8_t x = (uint8_t)v; memcpy(p, &x, 1); break; }
    case KERB_U16:
    case KERB_I16: { uint16_t x = (uint16_t)v; memcpy(p, &x, 2); break; }
    case KERB_U32:
    case KERB_I32: { uint32_t x = (uint32_t)v; memcpy(p, &x, 4); break; }
    default: memcpy(p, &v, 8); break;
    }
}

/* To f32 by rounding to odd: towards zero, and the last bit set where anything was lost. A second rounding to fewer bits then sees on which
 * side of a tie the number lies, so that both together round once (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums", 2008). */
static float round_to_odd(double v)
{
    union { float f; uint32_t u; } x = { (float)v };
    if (isnan(v) || (double)x.f == v) return x.f;
    if (fabs((double)x.f) > fabs(v)) x.u--;
    x.u |= 1;
    return x.f;
}

static void store_double(KerbDtype dtype, void *p, double v)
{
    switch (dtype) {
    case KERB_F32: { float x = (float)v; memcpy(p, &x, 4); return; }
    case KERB_F64: memcpy(p, &v, 8); return;
    case KERB_F16: { uint16_t x = kerb_f32_to_f16(round_to_odd(v)); memcpy(p, &x, 2); return; }
    case KERB_BF16: { uint16_t x = kerb_f32_to_bf16(round_to_odd(v)); memcpy(p, &x, 2); return; }
    case KERB_BOOL: *(uint8_t *)p = v != 0; return;
    case KERB_U64: {
        uint64_t x = isnan(v) || v <= 0 ? 0 : v >= 18446744073709551616.0 ? UINT64_MAX : (uint64_t)v;
        memcpy(p, &x, 8);
        return;
    }
    default: break;
    }
    int64_t lo, hi, x = double_to_i64(v);
    integer_range(dtype, &lo, &hi);
    store_i64(dtype, p, x < lo ? lo : x > hi ? hi : x);
}

static unsigned char *element(const KerbTensor *t, int64_t index)
{
    return (unsigned char *)t->data + offset_of(t, index) * kerb_dtype_bytes(t->dtype);
}

double kerb_tensor_get(const KerbTensor *t, int64_t index)
{
    const void *p = element(t, index);
    return is_float(t->dtype) || t->dtype == KERB_U64 ? load_double(t->dtype, p) : (double)load_i64(t->dtype, p);
}

void kerb_tensor_set(const KerbTensor *t, int64_t index, double value) { store_double(t->dtype, element(t, index), value); }

int64_t kerb_tensor_get_i64(const KerbTensor *t, int64_t index)
{
    const void *p = element(t, index);
    return is_float(t->dtype) ? double_to_i64(load_double(t->dtype, p)) : load_i64(t->dtype, p);
}

void kerb_tensor_set_i64(const KerbTensor *t, int64_t index, int64_t value)
{
    if (is_float(t->dtype)) store_double(t->dtype, element(t, index), (double)value);
    else store_i64(t->dtype, element(t, index), value);
}

void kerb_tensor_copy(const KerbTensor *dst, const KerbTensor *src)
{
    int64_t n = kerb_tensor_elements(dst);
    if (n == 0) return;
    if (dst->dtype == src->dtype) {
        size_t bytes = kerb_dtype_bytes(dst->dtype);
        if (kerb_tensor_is_dense(dst) && kerb_tensor_is_dense(src)) {
            memcpy(dst->data, src->data, (size_t)n * bytes);
            return;
        }
        for (int64_t i = 0; i < n; i++) memcpy(element(dst, i), element(src, i), bytes);
        return;
    }
    bool integers = !is_float(dst->dtype) && !is_float(src->dtype);
    for (int64_t i = 0; i < n; i++) {
        if (integers) kerb_tensor_set_i64(dst, i, kerb_tensor_get_i64(src, i)); /* wraps, as C and ONNX do */
        else kerb_tensor_set(dst, i, kerb_tensor_get(src, i));
    }
}

/* ---- half precision */

float kerb_f16_to_f32(uint16_t v)
{
    uint32_t sign = (uint32_t)(v & 0x8000u) << 16, exponent = (v >> 10) & 0x1Fu, mantissa = v & 0x3FFu;
    union { uint32_t u; float f; } x;
    if (exponent == 31) {
        x.u = sign | 0x7F800000u | mantissa << 13;
    } else if (exponent) {
        x.u = sign | (exponent + 112) << 23 | mantissa << 13;
    } else {
        x.f = (float)mantissa * 0x1p-24f;
        x.u |= sign;
    }
    return x.f;
}

uint16_t kerb_f32_to_f16(float value)
{
    union { float f; uint32_t u; } x = { value };
    uint32_t sign = (x.u >> 16) & 0x8000u, magnitude = x.u & 0x7FFFFFFFu;
    if (magnitude > 0x7F800000u) return (uint16_t)(sign | 0x7E00u | ((magnitude >> 13) & 0x3FFu));
    if (magnitude >= 0x477FF000u) return (uint16_t)(sign | 0x7C00u); /* 65520 and above round to infinity */
    if (magnitude < 0x38800000u) {                                    /* below 2^-14: subnormal, or zero */
        x.u = magnitude;
        return (uint16_t)(sign | (uint32_t)lrintf(x.f * 0x1p24f)); /* nearest even by the default rounding mode */
    }
    uint32_t rounded = magnitude + 0xFFFu + ((magnitude >> 13) & 1u);
    return (uint16_t)(sign | ((rounded - 0x38000000u) >> 13));
}

/* Groups of axes with equal products are matched from the left, and each of the source's groups must be one run (the rule of NumPy's reshape). */
bool kerb_tensor_reshaped(const KerbTensor *t, int rank, const int64_t dims[], KerbTensor *out)
{
    int64_t old[KERB_MAX_RANK], strides[KERB_MAX_RANK];
    int n = 0;
    for (int i = 0; i < t->rank; i++) {
        if (t->dims[i] == 1) continue;
        old[n] = t->dims[i];
        strides[n++] = t->strides[i];
    }
    *out = *t;
    out->rank = rank;
    int i = 0, j = 0;
    while (i < n && j < rank) {
        int i1 = i + 1, j1 = j + 1;
        for (int64_t a = old[i], b = dims[j]; a != b;) {
            if (a < b ? i1 == n : j1 == rank) return false;
            if (a < b)
                a *= old[i1++];
            else
                b *= dims[j1++];
        }
        for (int k = i; k + 1 < i1; k++) {
            if (strides[k] != strides[k + 1] * old[k + 1]) return false;
        }
        int64_t stride = strides[i1 - 1];
        for (int k = j1 - 1; k >= j; k--) {
            out->dims[k] = dims[k];
            out->strides[k] = stride;
            stride *= dims[k];
        }
        i = i1;
        j = j1;
    }
    for (; j < rank; j++) { /* ones are left */
        out->dims[j] = dims[j];
        out->strides[j] = 1;
    }
    return i == n;
}
