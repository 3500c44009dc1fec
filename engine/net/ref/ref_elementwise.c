/* SPDX-License-Identifier: MIT */
/* Operators that work on each element by itself: unary, binary, Clip, Where, and the activations that are fused behind others.
 * Integers stay integers (wrapping as two's complement does); mixed or float inputs are worked on in double. */
#include "net/ref/ref_ops.h"

#include <math.h>

/* ---- one input */

#define EACH(EXPR)                                                                                                             \
    do {                                                                                                                       \
        for (int i = 0; i < n; i++) {                                                                                          \
            double v = x[i];                                                                                                   \
            x[i] = (EXPR);                                                                                                     \
        }                                                                                                                      \
    } while (0)

static double clamp01(double v) { return v < 0 ? 0 : v > 1 ? 1 : v; }
static double sigmoid(double v) { return 1 / (1 + exp(-v)); }
static double softplus(double v) { return (v > 0 ? v : 0) + log1p(exp(-fabs(v))); }

/* Formulas: ONNX operator documentation, opset 22. NaN stays NaN. */
void kerb_ref_unary_block(KerbUnary kind, double alpha, double beta, int n, double x[])
{
    switch (kind) {
    case KERB_UNARY_ABS: EACH(fabs(v)); break;
    case KERB_UNARY_NEG: EACH(-v); break;
    case KERB_UNARY_FLOOR: EACH(floor(v)); break;
    case KERB_UNARY_CEIL: EACH(ceil(v)); break;
    case KERB_UNARY_ROUND: EACH(rint(v)); break;
    case KERB_UNARY_SIGN: EACH(v > 0 ? 1 : v < 0 ? -1 : v); break;
    case KERB_UNARY_SQRT: EACH(sqrt(v)); break;
    case KERB_UNARY_RECIPROCAL: EACH(1 / v); break;
    case KERB_UNARY_EXP: EACH(exp(v)); break;
    case KERB_UNARY_LOG: EACH(log(v)); break;
    case KERB_UNARY_ERF: EACH(erf(v)); break;
    case KERB_UNARY_NOT: EACH(v == 0); break;
    case KERB_UNARY_SIN: EACH(sin(v)); break;
    case KERB_UNARY_COS: EACH(cos(v)); break;
    case KERB_UNARY_ATAN: EACH(atan(v)); break;
    case KERB_UNARY_TANH: EACH(tanh(v)); break;
    case KERB_UNARY_SIGMOID: EACH(sigmoid(v)); break;
    case KERB_UNARY_HARD_SIGMOID: EACH(clamp01(alpha * v + beta)); break;
    case KERB_UNARY_HARD_SWISH: EACH(v * clamp01(v / 6 + 0.5)); break;
    case KERB_UNARY_RELU: EACH(v < 0 ? 0 : v); break;
    case KERB_UNARY_LEAKY_RELU: EACH(v < 0 ? alpha * v : v); break;
    case KERB_UNARY_ELU: EACH(v < 0 ? alpha * expm1(v) : v); break;
    case KERB_UNARY_SELU: EACH(beta * (v <= 0 ? alpha * expm1(v) : v)); break; /* beta: ONNX's gamma */
    case KERB_UNARY_CELU: EACH(v < 0 ? alpha * expm1(v / alpha) : v); break;
    case KERB_UNARY_THRESHOLDED_RELU: EACH(v <= alpha ? 0 : v); break;
    case KERB_UNARY_SOFTPLUS: EACH(softplus(v)); break;
    case KERB_UNARY_SOFTSIGN: EACH(v / (1 + fabs(v))); break;
    case KERB_UNARY_MISH: EACH(v * tanh(softplus(v))); break;
    case KERB_UNARY_GELU: EACH(0.5 * v * (1 + erf(v * M_SQRT1_2))); break;
    case KERB_UNARY_GELU_TANH: EACH(0.5 * v * (1 + tanh(sqrt(M_2_PI) * (v + 0.044715 * v * v * v)))); break;
    case KERB_UNARY_SWISH: EACH(v * sigmoid(v)); break;
    case KERB_UNARY_ISNAN: EACH(isnan(v)); break;
    case KERB_UNARY_COUNT: break;
    }
}
#undef EACH

static uint64_t bits(int64_t v) { return (uint64_t)v; } /* arithmetic on these wraps without being undefined */

/* True where the kind has a meaning for integers that does not go through a fraction. */
static bool unary_integer_block(KerbUnary kind, bool is_signed, int n, int64_t x[])
{
    switch (kind) {
    case KERB_UNARY_ABS: for (int i = 0; i < n; i++) x[i] = is_signed && x[i] < 0 ? (int64_t)(0 - bits(x[i])) : x[i]; return true;
    case KERB_UNARY_NEG: for (int i = 0; i < n; i++) x[i] = (int64_t)(0 - bits(x[i])); return true;
    case KERB_UNARY_SIGN: for (int i = 0; i < n; i++) x[i] = is_signed ? (x[i] > 0) - (x[i] < 0) : x[i] != 0; return true;
    case KERB_UNARY_RELU: for (int i = 0; i < n; i++) x[i] = is_signed && x[i] < 0 ? 0 : x[i]; return true;
    case KERB_UNARY_NOT: for (int i = 0; i < n; i++) x[i] = x[i] == 0; return true;
    case KERB_UNARY_FLOOR:
    case KERB_UNARY_CEIL:
    case KERB_UNARY_ROUND: return true;
    default: return false;
    }
}

KerbStatus kerb_ref_unary(const KerbRefCall *c)
{
    const KerbTensor *x = &c->in[0], *y = &c->out[0];
    KerbUnary kind = c->n->attrs.unary.kind;
    if (kind >= KERB_UNARY_COUNT) return kerb_ref_fail(c, KERB_ERROR_INTERNAL, "no such function (%d)", (int)kind);
    bool integers = kerb_ref_is_integer(x) && kerb_ref_is_integer(y) && unary_integer_block(kind, true, 0, NULL);
    KerbRefWalk w;
    for (kerb_ref_walk(&w, y->rank, y->dims, 2, (const KerbTensor *const[]){ y, x }); !w.done; kerb_ref_walk_next(&w)) {
        for (int64_t i = 0; i < w.row; i += KERB_REF_BLOCK) {
            int n = (int)(w.row - i < KERB_REF_BLOCK ? w.row - i : KERB_REF_BLOCK);
            int64_t to = w.offset[0] + i * w.step[0], from = w.offset[1] + i * w.step[1];
            if (integers) {
                int64_t v[KERB_REF_BLOCK];
                kerb_ref_read_i64(x, from, w.step[1], n, v);
                unary_integer_block(kind, x->dtype != KERB_U64, n, v);
                kerb_ref_write_i64(y, to, w.step[0], n, v);
            } else {
                double v[KERB_REF_BLOCK];
                kerb_ref_read(x, from, w.step[1], n, v);
                kerb_ref_unary_block(kind, (double)c->n->attrs.unary.alpha, (double)c->n->attrs.unary.beta, n, v);
                kerb_ref_write(y, to, w.step[0], n, v);
            }
        }
    }
    return KERB_OK;
}

/* ---- activations behind other operators */

KerbTensor kerb_ref_slope(const KerbGraph *g, const KerbActivation *act, const KerbTensor *y)
{
    const KerbValue *v = act->kind == KERB_ACT_PRELU && g ? kerb_graph_value(g, act->slope) : NULL;
    if (!kerb_value_is_constant(v)) return (KerbTensor){ 0 };
    KerbTensor dense = kerb_value_tensor(v), slope = { .data = dense.data, .dtype = dense.dtype, .rank = y->rank };
    for (int i = 0; i < y->rank; i++) slope.dims[i] = 1;
    int64_t n = kerb_tensor_elements(&dense);
    if (y->rank > 1 && n == y->dims[1]) {
        slope.dims[1] = n;
        slope.strides[1] = 1;
    }
    return slope;
}

void kerb_ref_activate(const KerbActivation *act, const double slope[], int n, double x[])
{
    switch (act->kind) {
    case KERB_ACT_NONE: break;
    case KERB_ACT_UNARY: kerb_ref_unary_block(act->unary, (double)act->alpha, (double)act->beta, n, x); break;
    case KERB_ACT_CLIP:
        for (int i = 0; i < n; i++) x[i] = x[i] < (double)act->lo ? (double)act->lo : x[i] > (double)act->hi ? (double)act->hi : x[i];
        break;
    case KERB_ACT_PRELU:
        for (int i = 0; i < n; i++) x[i] = x[i] < 0 ? x[i] * slope[i] : x[i];
        break;
    }
}

/* ---- two inputs */

static double pick_min(double a, double b) { return isnan(a) || a < b ? a : b; } /* NaN wins, from either side */
static double pick_max(double a, double b) { return isnan(a) || a > b ? a : b; }

static double modulo(double a, double b, bool fmod_sign)
{
    double r = fmod(a, b);
    return !fmod_sign && r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

#define EACH(EXPR)                                                                                                             \
    do {                                                                                                                       \
        for (int i = 0; i < n; i++) {                                                                                          \
            double p = a[i], q = b[i];                                                                                         \
            a[i] = (EXPR);                                                                                                     \
        }                                                                                                                      \
    } while (0)

/* a <- a op b */
static void binary_block(KerbBinary kind, bool fmod_sign, int n, double a[], const double b[])
{
    switch (kind) {
    case KERB_BINARY_ADD: EACH(p + q); break;
    case KERB_BINARY_SUB: EACH(p - q); break;
    case KERB_BINARY_MUL: EACH(p * q); break;
    case KERB_BINARY_DIV: EACH(p / q); break;
    case KERB_BINARY_POW: EACH(pow(p, q)); break;
    case KERB_BINARY_MIN: EACH(pick_min(p, q)); break;
    case KERB_BINARY_MAX: EACH(pick_max(p, q)); break;
    case KERB_BINARY_MOD: EACH(modulo(p, q, fmod_sign)); break;
    case KERB_BINARY_PRELU: EACH(p < 0 ? p * q : p); break;
    case KERB_BINARY_EQUAL: EACH(p == q); break;
    case KERB_BINARY_LESS: EACH(p < q); break;
    case KERB_BINARY_GREATER: EACH(p > q); break;
    case KERB_BINARY_LESS_EQUAL: EACH(p <= q); break;
    case KERB_BINARY_GREATER_EQUAL: EACH(p >= q); break;
    case KERB_BINARY_AND: EACH(p != 0 && q != 0); break;
    case KERB_BINARY_OR: EACH(p != 0 || q != 0); break;
    case KERB_BINARY_XOR: EACH((p != 0) != (q != 0)); break;
    case KERB_BINARY_COUNT: break;
    }
}
#undef EACH

/* Division that is defined everywhere: by zero gives 0, and the one overflow wraps. */
static int64_t divide(int64_t p, int64_t q)
{
    if (q == 0) return 0;
    return q == -1 ? (int64_t)(0 - bits(p)) : p / q;
}

static int64_t integer_modulo(int64_t p, int64_t q, bool fmod_sign)
{
    if (q == 0 || q == -1) return 0;
    int64_t r = p % q;
    return !fmod_sign && r != 0 && (r < 0) != (q < 0) ? r + q : r;
}

static int64_t power(int64_t base, int64_t exponent)
{
    if (exponent < 0) return base == 1 ? 1 : base == -1 ? (exponent & 1 ? -1 : 1) : 0; /* what truncating the fraction gives */
    uint64_t result = 1, square = bits(base);
    for (; exponent; exponent >>= 1, square *= square)
        if (exponent & 1) result *= square;
    return (int64_t)result;
}

#define EACH(EXPR)                                                                                                             \
    do {                                                                                                                       \
        for (int i = 0; i < n; i++) {                                                                                          \
            int64_t p = a[i], q = b[i];                                                                                        \
            a[i] = (int64_t)(EXPR);                                                                                            \
        }                                                                                                                      \
    } while (0)

static void binary_integer_block(KerbBinary kind, bool fmod_sign, int n, int64_t a[], const int64_t b[])
{
    switch (kind) {
    case KERB_BINARY_ADD: EACH(bits(p) + bits(q)); break;
    case KERB_BINARY_SUB: EACH(bits(p) - bits(q)); break;
    case KERB_BINARY_MUL: EACH(bits(p) * bits(q)); break;
    case KERB_BINARY_DIV: EACH(divide(p, q)); break;
    case KERB_BINARY_POW: EACH(power(p, q)); break;
    case KERB_BINARY_MIN: EACH(p < q ? p : q); break;
    case KERB_BINARY_MAX: EACH(p > q ? p : q); break;
    case KERB_BINARY_MOD: EACH(integer_modulo(p, q, fmod_sign)); break;
    case KERB_BINARY_PRELU: EACH(p < 0 ? bits(p) * bits(q) : bits(p)); break;
    case KERB_BINARY_EQUAL: EACH(p == q); break;
    case KERB_BINARY_LESS: EACH(p < q); break;
    case KERB_BINARY_GREATER: EACH(p > q); break;
    case KERB_BINARY_LESS_EQUAL: EACH(p <= q); break;
    case KERB_BINARY_GREATER_EQUAL: EACH(p >= q); break;
    case KERB_BINARY_AND: EACH(p && q); break;
    case KERB_BINARY_OR: EACH(p || q); break;
    case KERB_BINARY_XOR: EACH(!p != !q); break;
    case KERB_BINARY_COUNT: break;
    }
}

/* Where u64 differs from i64: order, division. */
static void binary_unsigned_block(KerbBinary kind, int n, int64_t a[], const int64_t b[])
{
    switch (kind) {
    case KERB_BINARY_DIV: EACH(q ? bits(p) / bits(q) : 0); break;
    case KERB_BINARY_MOD: EACH(q ? bits(p) % bits(q) : 0); break;
    case KERB_BINARY_MIN: EACH(bits(p) < bits(q) ? p : q); break;
    case KERB_BINARY_MAX: EACH(bits(p) > bits(q) ? p : q); break;
    case KERB_BINARY_LESS: EACH(bits(p) < bits(q)); break;
    case KERB_BINARY_GREATER: EACH(bits(p) > bits(q)); break;
    case KERB_BINARY_LESS_EQUAL: EACH(bits(p) <= bits(q)); break;
    case KERB_BINARY_GREATER_EQUAL: EACH(bits(p) >= bits(q)); break;
    case KERB_BINARY_PRELU: break;
    default: binary_integer_block(kind, true, n, a, b); break;
    }
}
#undef EACH

static void binary_integers(const KerbRefCall *c, const KerbTensor *y)
{
    const KerbTensor *a = &c->in[0], *b = &c->in[1];
    KerbBinary kind = c->n->attrs.binary.kind;
    KerbRefWalk w;
    for (kerb_ref_walk(&w, y->rank, y->dims, 3, (const KerbTensor *const[]){ y, a, b }); !w.done; kerb_ref_walk_next(&w)) {
        for (int64_t i = 0; i < w.row; i += KERB_REF_BLOCK) {
            int n = (int)(w.row - i < KERB_REF_BLOCK ? w.row - i : KERB_REF_BLOCK);
            int64_t p[KERB_REF_BLOCK], q[KERB_REF_BLOCK];
            kerb_ref_read_i64(a, w.offset[1] + i * w.step[1], w.step[1], n, p);
            kerb_ref_read_i64(b, w.offset[2] + i * w.step[2], w.step[2], n, q);
            if (a->dtype == KERB_U64) binary_unsigned_block(kind, n, p, q);
            else binary_integer_block(kind, c->n->attrs.binary.fmod, n, p, q);
            kerb_ref_write_i64(y, w.offset[0] + i * w.step[0], w.step[0], n, p);
        }
    }
}

KerbStatus kerb_ref_binary(const KerbRefCall *c)
{
    const KerbTensor *a = &c->in[0], *b = &c->in[1], *y = &c->out[0];
    const KerbActivation *act = &c->n->attrs.binary.act;
    KerbBinary kind = c->n->attrs.binary.kind;
    if (kind >= KERB_BINARY_COUNT) return kerb_ref_fail(c, KERB_ERROR_INTERNAL, "no such function (%d)", (int)kind);
    if (kerb_ref_is_integer(a) && kerb_ref_is_integer(b) && kerb_ref_is_integer(y) && act->kind == KERB_ACT_NONE) {
        binary_integers(c, y);
        return KERB_OK;
    }
    KerbTensor slope = kerb_ref_slope(c->g, act, y);
    if (act->kind == KERB_ACT_PRELU && !slope.data) return kerb_ref_fail(c, KERB_ERROR_INTERNAL, "the fused PRelu has no slope");
    if (!slope.data) slope = *y; /* walked, never read */
    KerbRefWalk w;
    for (kerb_ref_walk(&w, y->rank, y->dims, 4, (const KerbTensor *const[]){ y, a, b, &slope }); !w.done; kerb_ref_walk_next(&w)) {
        for (int64_t i = 0; i < w.row; i += KERB_REF_BLOCK) {
            int n = (int)(w.row - i < KERB_REF_BLOCK ? w.row - i : KERB_REF_BLOCK);
            double p[KERB_REF_BLOCK], q[KERB_REF_BLOCK];
            kerb_ref_read(a, w.offset[1] + i * w.step[1], w.step[1], n, p);
            kerb_ref_read(b, w.offset[2] + i * w.step[2], w.step[2], n, q);
            binary_block(kind, c->n->attrs.binary.fmod, n, p, q);
            if (act->kind == KERB_ACT_PRELU) kerb_ref_read(&slope, w.offset[3] + i * w.step[3], w.step[3], n, q);
            kerb_ref_activate(act, q, n, p);
            kerb_ref_write(y, w.offset[0] + i * w.step[0], w.step[0], n, p);
        }
    }
    return KERB_OK;
}

/* ---- Clip, Where, Cast */

/* Order of int64 and, by `flip`, of uint64 in int64's bits. */
static int64_t clip_i64(int64_t v, int64_t lo, int64_t hi, uint64_t flip)
{
    if ((int64_t)(bits(v) ^ flip) < (int64_t)(bits(lo) ^ flip)) v = lo;
    return (int64_t)(bits(v) ^ flip) > (int64_t)(bits(hi) ^ flip) ? hi : v;
}

KerbStatus kerb_ref_clip(const KerbRefCall *c)
{
    const KerbTensor *x = &c->in[0], *y = &c->out[0], *min = kerb_ref_input(c, 1), *max = kerb_ref_input(c, 2);
    bool integers = kerb_ref_is_integer(x), is_u64 = x->dtype == KERB_U64;
    uint64_t flip = is_u64 ? UINT64_C(1) << 63 : 0;
    int64_t lo_i = is_u64 ? 0 : INT64_MIN, hi_i = is_u64 ? -1 : INT64_MAX;
    if (min) lo_i = kerb_ref_load_i64(min, 0);
    if (max) hi_i = kerb_ref_load_i64(max, 0);
    double lo = min ? kerb_ref_load(min, 0) : -INFINITY, hi = max ? kerb_ref_load(max, 0) : INFINITY;
    KerbRefWalk w;
    for (kerb_ref_walk(&w, y->rank, y->dims, 2, (const KerbTensor *const[]){ y, x }); !w.done; kerb_ref_walk_next(&w)) {
        for (int64_t i = 0; i < w.row; i += KERB_REF_BLOCK) {
            int n = (int)(w.row - i < KERB_REF_BLOCK ? w.row - i : KERB_REF_BLOCK);
            int64_t to = w.offset[0] + i * w.step[0], from = w.offset[1] + i * w.step[1];
            if (integers) {
                int64_t v[KERB_REF_BLOCK];
                kerb_ref_read_i64(x, from, w.step[1], n, v);
                for (int k = 0; k < n; k++) v[k] = clip_i64(v[k], lo_i, hi_i, flip);
                kerb_ref_write_i64(y, to, w.step[0], n, v);
            } else {
                double v[KERB_REF_BLOCK];
                kerb_ref_read(x, from, w.step[1], n, v);
                for (int k = 0; k < n; k++) {
                    if (v[k] < lo) v[k] = lo;
                    if (v[k] > hi) v[k] = hi;
                }
                kerb_ref_write(y, to, w.step[0], n, v);
            }
        }
    }
    return KERB_OK;
}

KerbStatus kerb_ref_where(const KerbRefCall *c)
{
    const KerbTensor *condition = &c->in[0], *a = &c->in[1], *b = &c->in[2], *y = &c->out[0];
    bool integers = kerb_ref_is_integer(y);
    KerbRefWalk w;
    for (kerb_ref_walk(&w, y->rank, y->dims, 4, (const KerbTensor *const[]){ y, condition, a, b }); !w.done; kerb_ref_walk_next(&w)) {
        for (int64_t i = 0; i < w.row; i++) {
            bool yes = kerb_ref_load_i64(condition, w.offset[1] + i * w.step[1]) != 0;
            const KerbTensor *from = yes ? a : b;
            int64_t at = yes ? w.offset[2] + i * w.step[2] : w.offset[3] + i * w.step[3], to = w.offset[0] + i * w.step[0];
            if (integers) kerb_ref_store_i64(y, to, kerb_ref_load_i64(from, at));
            else kerb_ref_store(y, to, kerb_ref_load(from, at));
        }
    }
    return KERB_OK;
}

KerbStatus kerb_ref_cast(const KerbRefCall *c)
{
    kerb_ref_copy(&c->out[0], &c->in[0]);
    return KERB_OK;
}
