/* SPDX-License-Identifier: MIT */
/* Items that work element by element on tensors of any strides, eight neighbours of the result's last axis each: in registers and by 16
 * bytes where all operands are floats that lie together (or are one for all), one after the other else. */
#ifndef KERB_CUDA_NET_KERNEL_WALK_H
#define KERB_CUDA_NET_KERNEL_WALK_H

#include "cuda/net/kernel_item.h"

KERB_ITEM int64_t kerb_items_walk(const KerbWalk *w)
{
    if (w->rank < 1) return -1;
    int64_t n = ((int64_t)w->dims[w->rank - 1] + 7) / 8;
    for (int axis = 0; axis < w->rank - 1; axis++) {
        n *= w->dims[axis];
        if (n > INT32_MAX) return n;
    }
    return n;
}

/* Where an item's elements lie in each operand. */
typedef struct KerbStretch {
    int64_t at[KERB_WALKED], step[KERB_WALKED];
    int n, padding;
} KerbStretch;

KERB_ITEM KerbStretch kerb_walk_span(const KerbWalk *w, const int operands, int i)
{
    KerbStretch s;
    int last = w->rank - 1, groups = (w->dims[last] + 7) / 8, rest = i / groups, first = (i - rest * groups) * 8;
    s.n = kerb_min(8, w->dims[last] - first);
    s.padding = first + 8 >= w->dims[last] ? w->padding : 0;
    KERB_UNROLL for (int k = 0; k < KERB_WALKED; k++) {
        s.step[k] = k < operands ? w->of[k].strides[last] : 0;
        s.at[k] = first * s.step[k];
    }
    KERB_ROLLED for (int axis = last - 1; axis >= 0; axis--) {
        int outer = rest / w->dims[axis], at = rest - outer * w->dims[axis];
        KERB_UNROLL for (int k = 0; k < KERB_WALKED; k++)
            if (k < operands) s.at[k] += at * w->of[k].strides[axis];
        rest = outer;
    }
    return s;
}

/* Can eight elements be read (written) at a time? */
KERB_ITEM bool kerb_walk_has_eight(const KerbWalk *w, const KerbStretch *s, const int operands)
{
    bool fits = s->step[0] == 1;
    KERB_UNROLL for (int k = 0; k < KERB_WALKED; k++) {
        if (k >= operands || !w->of[k].data) continue;
        fits = fits && kerb_type_has_eight(w->of[k].type) && (s->step[k] == 1 || (k > 0 && s->step[k] == 0));
    }
    return fits;
}

KERB_ITEM KerbEight kerb_walk_load8(const KerbWalk *w, const KerbStretch *s, const int k)
{
    if (s->step[k] == 1) return kerb_load8(w->of[k].data, w->of[k].type, s->at[k], s->n);
    KerbEight e;
    float one = kerb_load(w->of[k].data, w->of[k].type, s->at[k]);
    KERB_LANES e.v[l] = one;
    return e;
}

KERB_ITEM void kerb_walk_store8(const KerbWalk *w, const KerbStretch *s, KerbEight e)
{
    kerb_store8(w->of[0].data, w->of[0].type, s->at[0], e, s->n, s->n + s->padding);
}

KERB_ITEM float kerb_walk_load(const KerbWalk *w, const KerbStretch *s, const int k, int e)
{
    return kerb_load(w->of[k].data, w->of[k].type, s->at[k] + e * s->step[k]);
}

KERB_ITEM int64_t kerb_walk_integer(const KerbWalk *w, const KerbStretch *s, const int k, int e)
{
    return kerb_load_integer(w->of[k].data, w->of[k].type, s->at[k] + e * s->step[k]);
}

/* After items that wrote one element after the other. */
KERB_ITEM void kerb_walk_pad(const KerbWalk *w, const KerbStretch *s)
{
    if (s->padding) kerb_store_zeros(w->of[0].data, w->of[0].type, s->at[0] + s->n, s->padding);
}

/* ---- unary */

/* Functions that leave integers integers. */
KERB_ITEM bool kerb_act_has_integers(const KerbFused *f)
{
    if (f->kind == KERB_ACT_NONE || f->kind == KERB_ACT_CLIP) return true;
    if (f->kind != KERB_ACT_UNARY) return false;
    switch (f->unary) {
    case KERB_UNARY_ABS: case KERB_UNARY_NEG: case KERB_UNARY_SIGN: case KERB_UNARY_RELU: case KERB_UNARY_NOT: case KERB_UNARY_FLOOR:
    case KERB_UNARY_CEIL: case KERB_UNARY_ROUND: return true;
    default: return false;
    }
}

KERB_ITEM int64_t kerb_unary_integer(const KerbUnaryArgs *a, int64_t v)
{
    if (a->act.kind == KERB_ACT_CLIP) {
        v = v < a->lo_i ? a->lo_i : v;
        return v > a->hi_i ? a->hi_i : v;
    }
    if (a->act.kind == KERB_ACT_NONE) return v;
    switch (a->act.unary) {
    case KERB_UNARY_ABS: return v < 0 ? (int64_t)(0 - (uint64_t)v) : v;
    case KERB_UNARY_NEG: return (int64_t)(0 - (uint64_t)v);
    case KERB_UNARY_SIGN: return (v > 0) - (v < 0);
    case KERB_UNARY_RELU: return v < 0 ? 0 : v;
    case KERB_UNARY_NOT: return v == 0;
    default: return v;
    }
}

KERB_ITEM int64_t kerb_items_unary(const KerbUnaryArgs *a) { return a->act.kind == KERB_ACT_PRELU ? -1 : kerb_items_walk(&a->walk); }

KERB_ITEM void kerb_item_unary(const KerbUnaryArgs *a, int i)
{
    const KerbWalk *w = &a->walk;
    KerbStretch s = kerb_walk_span(w, 2, i);
    if (kerb_walk_has_eight(w, &s, 2)) {
        kerb_walk_store8(w, &s, kerb_act8(&a->act, kerb_walk_load8(w, &s, 1), 0, 0));
        return;
    }
    bool integers = !kerb_type_is_float(w->of[0].type) && !kerb_type_is_float(w->of[1].type) && kerb_act_has_integers(&a->act);
    KERB_ROLLED for (int e = 0; e < s.n; e++) {
        int64_t to = s.at[0] + e * s.step[0];
        if (integers) kerb_store_integer(w->of[0].data, w->of[0].type, to, kerb_unary_integer(a, kerb_walk_integer(w, &s, 1, e)));
        else kerb_store(w->of[0].data, w->of[0].type, to, kerb_act(&a->act, kerb_walk_load(w, &s, 1, e), 0.0f));
    }
    kerb_walk_pad(w, &s);
}

/* ---- binary */

/* NaN wins, from either side. */
KERB_ITEM float kerb_pick_min(float p, float q) { return p != p || p < q ? p : q; }
KERB_ITEM float kerb_pick_max(float p, float q) { return p != p || p > q ? p : q; }

KERB_ITEM float kerb_modulo(float p, float q, bool fmod_sign)
{
    float r = fmodf(p, q);
    return !fmod_sign && r != 0.0f && (r < 0.0f) != (q < 0.0f) ? r + q : r;
}

KERB_RARE float kerb_binary(int kind, float p, float q, int fmod_sign)
{
    switch (kind) {
    case KERB_BINARY_ADD: return p + q;
    case KERB_BINARY_SUB: return p - q;
    case KERB_BINARY_MUL: return p * q;
    case KERB_BINARY_DIV: return p / q;
    case KERB_BINARY_POW: return powf(p, q);
    case KERB_BINARY_MIN: return kerb_pick_min(p, q);
    case KERB_BINARY_MAX: return kerb_pick_max(p, q);
    case KERB_BINARY_MOD: return kerb_modulo(p, q, fmod_sign != 0);
    case KERB_BINARY_PRELU: return p < 0.0f ? p * q : p;
    case KERB_BINARY_EQUAL: return p == q ? 1.0f : 0.0f;
    case KERB_BINARY_LESS: return p < q ? 1.0f : 0.0f;
    case KERB_BINARY_GREATER: return p > q ? 1.0f : 0.0f;
    case KERB_BINARY_LESS_EQUAL: return p <= q ? 1.0f : 0.0f;
    case KERB_BINARY_GREATER_EQUAL: return p >= q ? 1.0f : 0.0f;
    case KERB_BINARY_AND: return p != 0.0f && q != 0.0f ? 1.0f : 0.0f;
    case KERB_BINARY_OR: return p != 0.0f || q != 0.0f ? 1.0f : 0.0f;
    case KERB_BINARY_XOR: return (p != 0.0f) != (q != 0.0f) ? 1.0f : 0.0f;
    default: return p;
    }
}

/* Those of networks are done side by side, the others one lane after the other. */
KERB_ITEM KerbEight kerb_binary8(int kind, KerbEight p, KerbEight q, int fmod_sign)
{
    switch (kind) {
    case KERB_BINARY_ADD: KERB_LANES p.v[l] = p.v[l] + q.v[l]; break;
    case KERB_BINARY_SUB: KERB_LANES p.v[l] = p.v[l] - q.v[l]; break;
    case KERB_BINARY_MUL: KERB_LANES p.v[l] = p.v[l] * q.v[l]; break;
    case KERB_BINARY_DIV: KERB_LANES p.v[l] = p.v[l] / q.v[l]; break;
    case KERB_BINARY_MIN: KERB_LANES p.v[l] = kerb_pick_min(p.v[l], q.v[l]); break;
    case KERB_BINARY_MAX: KERB_LANES p.v[l] = kerb_pick_max(p.v[l], q.v[l]); break;
    case KERB_BINARY_PRELU: KERB_LANES p.v[l] = p.v[l] < 0.0f ? p.v[l] * q.v[l] : p.v[l]; break;
    default:
        KERB_ROLLED for (int l = 0; l < 8; l++) { /* lanes go round */
            float first = kerb_binary(kind, p.v[0], q.v[0], fmod_sign);
            KERB_UNROLL for (int k = 0; k < 7; k++) p.v[k] = p.v[k + 1], q.v[k] = q.v[k + 1];
            p.v[7] = first;
        }
        break;
    }
    return p;
}

/* Division that is defined everywhere: by zero gives 0, and the one overflow wraps. */
KERB_ITEM int64_t kerb_integer_divide(int64_t p, int64_t q)
{
    if (q == 0) return 0;
    return q == -1 ? (int64_t)(0 - (uint64_t)p) : p / q;
}

KERB_ITEM int64_t kerb_integer_modulo(int64_t p, int64_t q, bool fmod_sign)
{
    if (q == 0 || q == -1) return 0;
    int64_t r = p % q;
    return !fmod_sign && r != 0 && (r < 0) != (q < 0) ? r + q : r;
}

KERB_ITEM int64_t kerb_integer_power(int64_t base, int64_t exponent)
{
    if (exponent < 0) return base == 1 ? 1 : base == -1 ? (exponent & 1 ? -1 : 1) : 0; /* what truncating the fraction gives */
    uint64_t result = 1, square = (uint64_t)base;
    for (; exponent; exponent >>= 1, square *= square)
        if (exponent & 1) result *= square;
    return (int64_t)result;
}

KERB_RARE int64_t kerb_binary_integer(int kind, int64_t p, int64_t q, int fmod_sign)
{
    switch (kind) {
    case KERB_BINARY_ADD: return (int64_t)((uint64_t)p + (uint64_t)q);
    case KERB_BINARY_SUB: return (int64_t)((uint64_t)p - (uint64_t)q);
    case KERB_BINARY_MUL: return (int64_t)((uint64_t)p * (uint64_t)q);
    case KERB_BINARY_DIV: return kerb_integer_divide(p, q);
    case KERB_BINARY_POW: return kerb_integer_power(p, q);
    case KERB_BINARY_MIN: return p < q ? p : q;
    case KERB_BINARY_MAX: return p > q ? p : q;
    case KERB_BINARY_MOD: return kerb_integer_modulo(p, q, fmod_sign != 0);
    case KERB_BINARY_PRELU: return p < 0 ? (int64_t)((uint64_t)p * (uint64_t)q) : p;
    case KERB_BINARY_EQUAL: return p == q;
    case KERB_BINARY_LESS: return p < q;
    case KERB_BINARY_GREATER: return p > q;
    case KERB_BINARY_LESS_EQUAL: return p <= q;
    case KERB_BINARY_GREATER_EQUAL: return p >= q;
    case KERB_BINARY_AND: return p && q;
    case KERB_BINARY_OR: return p || q;
    case KERB_BINARY_XOR: return !p != !q;
    default: return p;
    }
}

KERB_ITEM int64_t kerb_items_binary(const KerbBinaryArgs *a)
{
    return a->act.kind == KERB_ACT_PRELU && !a->walk.of[3].data ? -1 : kerb_items_walk(&a->walk);
}

KERB_ITEM void kerb_item_binary(const KerbBinaryArgs *a, int i)
{
    const KerbWalk *w = &a->walk;
    KerbStretch s = kerb_walk_span(w, 4, i);
    bool prelu = a->act.kind == KERB_ACT_PRELU;
    if (kerb_walk_has_eight(w, &s, 4)) {
        KerbEight e = kerb_binary8(a->kind, kerb_walk_load8(w, &s, 1), kerb_walk_load8(w, &s, 2), a->fmod);
        e = prelu ? kerb_binary8(KERB_BINARY_PRELU, e, kerb_walk_load8(w, &s, 3), 0) : kerb_act8(&a->act, e, 0, 0);
        kerb_walk_store8(w, &s, e);
        return;
    }
    bool integers = !kerb_type_is_float(w->of[0].type) && !kerb_type_is_float(w->of[1].type) && !kerb_type_is_float(w->of[2].type) &&
                    a->act.kind == KERB_ACT_NONE;
    KERB_ROLLED for (int e = 0; e < s.n; e++) {
        int64_t to = s.at[0] + e * s.step[0];
        if (integers) {
            int64_t v = kerb_binary_integer(a->kind, kerb_walk_integer(w, &s, 1, e), kerb_walk_integer(w, &s, 2, e), a->fmod);
            kerb_store_integer(w->of[0].data, w->of[0].type, to, v);
        } else {
            float v = kerb_binary(a->kind, kerb_walk_load(w, &s, 1, e), kerb_walk_load(w, &s, 2, e), a->fmod);
            kerb_store(w->of[0].data, w->of[0].type, to, kerb_act(&a->act, v, prelu ? kerb_walk_load(w, &s, 3, e) : 0.0f));
        }
    }
    kerb_walk_pad(w, &s);
}

/* ---- bytes: where, copy, gather, pad. Elements of one size move as they are */

KERB_ITEM void kerb_move(void *to, int64_t to_at, const void *from, int64_t from_at, int bytes)
{
    switch (bytes) {
    case 1: ((uint8_t *)to)[to_at] = ((const uint8_t *)from)[from_at]; break;
    case 2: ((uint16_t *)to)[to_at] = ((const uint16_t *)from)[from_at]; break;
    case 4: ((uint32_t *)to)[to_at] = ((const uint32_t *)from)[from_at]; break;
    default: ((uint64_t *)to)[to_at] = ((const uint64_t *)from)[from_at]; break;
    }
}

/* Eight elements that lie together on both sides; false where their places are not aligned. */
KERB_ITEM bool kerb_move8(void *to, int64_t to_at, const void *from, int64_t from_at, int bytes)
{
    uint8_t *p = (uint8_t *)to + to_at * bytes;
    const uint8_t *q = (const uint8_t *)from + from_at * bytes;
    if (bytes == 1) {
        if (!kerb_is_aligned(p, 8) || !kerb_is_aligned(q, 8)) return false;
        kerb_store_bytes8(p, kerb_load_bytes8(q));
        return true;
    }
    if (!kerb_is_aligned(p, 16) || !kerb_is_aligned(q, 16)) return false;
    KERB_UNROLL for (int k = 0; k < 4; k++)
        if (16 * k < 8 * bytes) kerb_store_bytes16(p + 16 * k, kerb_load_bytes16(q + 16 * k));
    return true;
}

KERB_ITEM int64_t kerb_items_where(const KerbWhereArgs *a)
{
    const KerbWalked *of = a->walk.of;
    return of[2].type != of[0].type || of[3].type != of[0].type ? -1 : kerb_items_walk(&a->walk);
}

KERB_ITEM void kerb_item_where(const KerbWhereArgs *a, int i)
{
    const KerbWalk *w = &a->walk;
    KerbStretch s = kerb_walk_span(w, 4, i);
    int bytes = kerb_type_bytes(w->of[0].type);
    KERB_ROLLED for (int e = 0; e < s.n; e++) {
        bool yes = kerb_walk_integer(w, &s, 1, e) != 0;
        kerb_move(w->of[0].data, s.at[0] + e * s.step[0], yes ? w->of[2].data : w->of[3].data,
                  yes ? s.at[2] + e * s.step[2] : s.at[3] + e * s.step[3], bytes);
    }
    kerb_walk_pad(w, &s);
}

KERB_ITEM int64_t kerb_items_copy(const KerbCopyArgs *a) { return kerb_items_walk(&a->walk); }

/* One element, as Cast converts it. */
KERB_ITEM void kerb_cast(const KerbWalked *to, int64_t to_at, const KerbWalked *from, int64_t from_at)
{
    if (!kerb_type_is_float(from->type) && !kerb_type_is_float(to->type))
        kerb_store_integer(to->data, to->type, to_at, kerb_load_integer(from->data, from->type, from_at));
    else kerb_store(to->data, to->type, to_at, kerb_load(from->data, from->type, from_at));
}

KERB_ITEM void kerb_copy_fill(const KerbCopyArgs *a, const KerbStretch *s)
{
    const KerbWalked *y = &a->walk.of[0];
    if (s->step[0] == 1 && kerb_type_has_eight(y->type)) {
        KerbEight e;
        KERB_LANES e.v[l] = (float)a->value;
        kerb_walk_store8(&a->walk, s, e);
        return;
    }
    KERB_ROLLED for (int e = 0; e < s->n; e++) {
        if (kerb_type_is_float(y->type)) kerb_store(y->data, y->type, s->at[0] + e * s->step[0], (float)a->value);
        else kerb_store_integer(y->data, y->type, s->at[0] + e * s->step[0], (int64_t)a->value);
    }
    kerb_walk_pad(&a->walk, s);
}

KERB_ITEM void kerb_item_copy(const KerbCopyArgs *a, int i)
{
    const KerbWalk *w = &a->walk;
    const KerbWalked *y = &w->of[0], *x = &w->of[1];
    KerbStretch s = kerb_walk_span(w, 2, i);
    if (!x->data) {
        kerb_copy_fill(a, &s);
    } else if (x->type != y->type && kerb_walk_has_eight(w, &s, 2)) {
        kerb_walk_store8(w, &s, kerb_walk_load8(w, &s, 1));
    } else {
        int bytes = x->type == y->type ? kerb_type_bytes(y->type) : 0;
        if (!(bytes && s.n == 8 && s.step[0] == 1 && s.step[1] == 1 && kerb_move8(y->data, s.at[0], x->data, s.at[1], bytes))) {
            KERB_ROLLED for (int e = 0; e < s.n; e++) {
                int64_t to = s.at[0] + e * s.step[0], from = s.at[1] + e * s.step[1];
                if (bytes) kerb_move(y->data, to, x->data, from, bytes);
                else kerb_cast(y, to, x, from);
            }
        }
        kerb_walk_pad(w, &s);
    }
}

/* ---- quantize, dequantize. Divisions and products by scales are done in float, as the operators' own type says */

KERB_ITEM bool kerb_is_narrow(int type) { return kerb_type_bytes(type) <= 2; }

/* Rounds half to even, adds the zero point, saturates. NaN becomes the zero point. */
KERB_ITEM int64_t kerb_quantized(float v, int64_t zero, int type)
{
    int bits = kerb_type_bytes(type) * 8;
    bool is_signed = type == KERB_I8 || type == KERB_I16 || type == KERB_I32;
    int64_t lo = is_signed ? -((int64_t)1 << (bits - 1)) : 0, hi = ((int64_t)1 << (is_signed ? bits - 1 : bits)) - 1;
    int64_t r = kerb_float_to_integer(rintf(v), -((int64_t)1 << 40), (int64_t)1 << 40) + zero; /* far outside every type's range */
    return r < lo ? lo : r > hi ? hi : r;
}

KERB_ITEM int64_t kerb_items_quantize(const KerbQuantizeArgs *a)
{
    return kerb_type_bytes(a->walk.of[0].type) > 4 ? -1 : kerb_items_walk(&a->walk);
}
KERB_ITEM int64_t kerb_items_dequantize(const KerbQuantizeArgs *a) { return kerb_items_walk(&a->walk); }

KERB_ITEM void kerb_item_quantize(const KerbQuantizeArgs *a, int i)
{
    const KerbWalk *w = &a->walk;
    const KerbWalked *y = &w->of[0], *x = &w->of[1];
    KerbStretch s = kerb_walk_span(w, 4, i);
    uint8_t *to = (uint8_t *)y->data + s.at[0];
    if (s.n == 8 && kerb_type_bytes(y->type) == 1 && s.step[0] == 1 && kerb_is_aligned(to, 8) && kerb_type_has_eight(x->type) &&
        s.step[1] == 1) {
        KerbEight v = kerb_walk_load8(w, &s, 1);
        uint64_t bytes = 0;
        KERB_LANES {
            int64_t zero = w->of[3].data ? kerb_walk_integer(w, &s, 3, l) : 0;
            bytes |= (uint64_t)(uint8_t)kerb_quantized(v.v[l] / kerb_walk_load(w, &s, 2, l), zero, y->type) << (8 * l);
        }
        kerb_store_bytes8(to, bytes);
    } else {
        KERB_ROLLED for (int e = 0; e < s.n; e++) {
            int64_t zero = w->of[3].data ? kerb_walk_integer(w, &s, 3, e) : 0;
            kerb_store_integer(y->data, y->type, s.at[0] + e * s.step[0],
                               kerb_quantized(kerb_walk_load(w, &s, 1, e) / kerb_walk_load(w, &s, 2, e), zero, y->type));
        }
    }
    kerb_walk_pad(w, &s);
}

KERB_ITEM void kerb_item_dequantize(const KerbQuantizeArgs *a, int i)
{
    const KerbWalk *w = &a->walk;
    const KerbWalked *y = &w->of[0], *x = &w->of[1];
    KerbStretch s = kerb_walk_span(w, 4, i);
    if (s.n == 8 && x->type == KERB_I8 && s.step[1] == 1 && s.step[0] == 1 && kerb_type_has_eight(y->type)) {
        KerbEight v = kerb_walk_load8(w, &s, 1);
        KERB_LANES v.v[l] = (v.v[l] - (w->of[3].data ? kerb_walk_load(w, &s, 3, l) : 0.0f)) * kerb_walk_load(w, &s, 2, l);
        kerb_walk_store8(w, &s, v);
        return;
    }
    KERB_ROLLED for (int e = 0; e < s.n; e++) {
        int64_t v = kerb_walk_integer(w, &s, 1, e) - (w->of[3].data ? kerb_walk_integer(w, &s, 3, e) : 0);
        float scale = kerb_walk_load(w, &s, 2, e);
        kerb_store(y->data, y->type, s.at[0] + e * s.step[0],
                   kerb_is_narrow(x->type) ? (float)v * scale : (float)((double)v * (double)scale));
    }
    kerb_walk_pad(w, &s);
}

/* ---- gather */

KERB_ITEM int64_t kerb_items_gather(const KerbGatherArgs *a)
{
    return a->walk.of[0].type != a->walk.of[1].type || a->axis_dim < 1 ? -1 : kerb_items_walk(&a->walk);
}

KERB_ITEM int64_t kerb_gather_index(const KerbGatherArgs *a, int64_t index)
{
    index += index < 0 ? a->axis_dim : 0;
    return index < 0 ? 0 : index >= a->axis_dim ? a->axis_dim - 1 : index;
}

KERB_ITEM void kerb_item_gather(const KerbGatherArgs *a, int i)
{
    const KerbWalk *w = &a->walk;
    KerbStretch s = kerb_walk_span(w, 3, i);
    int bytes = kerb_type_bytes(w->of[0].type);
    int64_t first = kerb_gather_index(a, kerb_walk_integer(w, &s, 2, 0)) * a->axis_stride;
    bool one = s.step[2] == 0; /* index for all eight */
    if (!(one && s.n == 8 && s.step[0] == 1 && s.step[1] == 1 &&
          kerb_move8(w->of[0].data, s.at[0], w->of[1].data, s.at[1] + first, bytes))) {
        KERB_ROLLED for (int e = 0; e < s.n; e++) {
            int64_t offset = one ? first : kerb_gather_index(a, kerb_walk_integer(w, &s, 2, e)) * a->axis_stride;
            kerb_move(w->of[0].data, s.at[0] + e * s.step[0], w->of[1].data, s.at[1] + e * s.step[1] + offset, bytes);
        }
    }
    kerb_walk_pad(w, &s);
}

/* ---- pad */

KERB_ITEM int64_t kerb_items_pad(const KerbPadArgs *a)
{
    if (a->x.rank != a->y.rank || a->x.type != a->y.type || a->y.rank < 1) return -1;
    int64_t n = ((int64_t)a->y.dims[a->y.rank - 1] + 7) / 8;
    for (int axis = 0; axis < a->y.rank; axis++) {
        if (a->mode != KERB_PADDING_CONSTANT && a->x.dims[axis] == 0 && a->y.dims[axis] != 0) return -1;
        if (axis < a->y.rank - 1) n *= a->y.dims[axis];
        if (n > INT32_MAX) return n;
    }
    return n;
}

/* Which input coordinate is shown; -1: none. */
KERB_ITEM int kerb_pad_source(int mode, int x, int dim)
{
    if (x >= 0 && x < dim) return x;
    if (mode == KERB_PADDING_EDGE) return x < 0 ? 0 : dim - 1;
    if (mode == KERB_PADDING_WRAP) return x % dim < 0 ? x % dim + dim : x % dim;
    if (mode != KERB_PADDING_REFLECT) return -1;
    if (dim == 1) return 0;
    int period = 2 * (dim - 1), r = x % period;
    if (r < 0) r += period;
    return r < dim ? r : period - r;
}

KERB_ITEM void kerb_pad_value(const KerbPadArgs *a, int64_t at)
{
    if (kerb_type_is_float(a->y.type)) kerb_store(a->y.data, a->y.type, at, (float)a->value);
    else kerb_store_integer(a->y.data, a->y.type, at, (int64_t)a->value);
}

KERB_ITEM void kerb_item_pad(const KerbPadArgs *a, int i)
{
    int last = a->y.rank - 1, groups = (a->y.dims[last] + 7) / 8, rest = i / groups, first = (i - rest * groups) * 8;
    int n = kerb_min(8, a->y.dims[last] - first), bytes = kerb_type_bytes(a->y.type), source = first - a->begin[last];
    int64_t from = 0, to = first * a->y.strides[last];
    bool outside = false;
    KERB_ROLLED for (int axis = last - 1; axis >= 0; axis--) {
        int outer = rest / a->y.dims[axis], at = rest - outer * a->y.dims[axis];
        int x = kerb_pad_source(a->mode, at - a->begin[axis], a->x.dims[axis]);
        outside = outside || x < 0;
        from += x * a->x.strides[axis];
        to += at * a->y.strides[axis];
        rest = outer;
    }
    bool within = !outside && source >= 0 && source + 8 <= a->x.dims[last];
    if (!(within && n == 8 && a->x.strides[last] == 1 && a->y.strides[last] == 1 &&
          kerb_move8(a->y.data, to, a->x.data, from + source, bytes))) {
        KERB_ROLLED for (int e = 0; e < n; e++) {
            int x = outside ? -1 : kerb_pad_source(a->mode, source + e, a->x.dims[last]);
            if (x < 0) kerb_pad_value(a, to + e * a->y.strides[last]);
            else kerb_move(a->y.data, to + e * a->y.strides[last], a->x.data, from + x * a->x.strides[last], bytes);
        }
    }
    if (a->padding && first + 8 >= a->y.dims[last]) kerb_store_zeros(a->y.data, a->y.type, to + n, a->padding);
}

#endif
