/* SPDX-License-Identifier: MIT */
/* Activations that exporters write out in small operators. Inner results must have no other readers. The intermediate roundings go away with
 * the pattern, which changes results by a few units in the last place.
 *
 *   x * sigmoid(x)                                  -> Swish
 *   x * hard_sigmoid(x; 1/6, 1/2)                   -> HardSwish
 *   x * clip(x + 3, 0, 6) / 6 (also * 1/6, any order) -> HardSwish
 *   clip(x + 3, 0, 6) / 6                           -> HardSigmoid(1/6, 1/2)
 *   x * tanh(softplus(x))                           -> Mish
 *   0.5 * x * (1 + erf(x / sqrt 2)), any order      -> Gelu
 *   clip(x, 0, none), max(x, 0)                     -> Relu                                                                          */
#include <math.h>

#include "net/passes/pass.h"

static bool near(double a, double b) { return fabs(a - b) <= 1e-6 * fabs(b) + 1e-9; }

static KerbNode *sole_unary(const KerbGraph *g, uint32_t value, KerbUnary kind)
{
    KerbNode *n = kerb_pass_sole_producer(g, value, KERB_OP_UNARY);
    return kerb_pass_is_unary(n, kind) ? n : NULL;
}

/* value = x (kind) number, sole use: x; KERB_NO_VALUE if not. A division by a number counts as Mul by its inverse. */
static uint32_t sole_scaled(const KerbGraph *g, uint32_t value, KerbBinary kind, double number)
{
    const KerbNode *n = kerb_pass_sole_producer(g, value, KERB_OP_BINARY);
    double got;
    uint32_t other;
    if (!n || n->attrs.binary.act.kind != KERB_ACT_NONE) return KERB_NO_VALUE;
    KerbBinary is = n->attrs.binary.kind;
    bool divides = is == KERB_BINARY_DIV && kind == KERB_BINARY_MUL;
    if ((is != kind && !divides) || !kerb_pass_scalar_operand(g, n, &got, &other)) return KERB_NO_VALUE;
    if (divides && (other != n->inputs[0] || !near(1 / got, number))) return KERB_NO_VALUE;
    return divides || near(got, number) ? other : KERB_NO_VALUE;
}

/* value = clip(x + 3, 0, 6), sole use: x. */
static uint32_t sole_relu6_of_3(const KerbGraph *g, uint32_t value)
{
    const KerbNode *n = kerb_pass_sole_producer(g, value, KERB_OP_CLIP);
    double lo, hi;
    if (!n || n->n_inputs < 3 || !kerb_pass_scalar(g, n->inputs[1], &lo) || !kerb_pass_scalar(g, n->inputs[2], &hi)) return KERB_NO_VALUE;
    return lo == 0 && hi == 6 ? sole_scaled(g, n->inputs[0], KERB_BINARY_ADD, 3) : KERB_NO_VALUE;
}

static uint32_t sole_hard_sigmoid(const KerbGraph *g, uint32_t value)
{
    const KerbNode *n = sole_unary(g, value, KERB_UNARY_HARD_SIGMOID);
    return n && near((double)n->attrs.unary.alpha, 1.0 / 6) && n->attrs.unary.beta == 0.5f ? n->inputs[0] : KERB_NO_VALUE;
}

/* value = 1 + erf(x / sqrt 2), sole use: x. */
static uint32_t sole_gelu_gate(const KerbGraph *g, uint32_t value)
{
    uint32_t erf = sole_scaled(g, value, KERB_BINARY_ADD, 1);
    const KerbNode *n = erf == KERB_NO_VALUE ? NULL : sole_unary(g, erf, KERB_UNARY_ERF);
    return n ? sole_scaled(g, n->inputs[0], KERB_BINARY_MUL, 0.70710678118654752) : KERB_NO_VALUE;
}

/* a * b = gate(x) * x for some gate: which unary it is, and x. */
static bool gated(const KerbGraph *g, uint32_t gate, uint32_t x, KerbUnary *kind)
{
    const KerbNode *n = sole_unary(g, gate, KERB_UNARY_SIGMOID);
    if (n && n->inputs[0] == x) return *kind = KERB_UNARY_SWISH, true;
    if (sole_hard_sigmoid(g, gate) == x) return *kind = KERB_UNARY_HARD_SWISH, true;
    uint32_t inner = sole_scaled(g, gate, KERB_BINARY_MUL, 1.0 / 6);
    if (inner != KERB_NO_VALUE && sole_relu6_of_3(g, inner) == x) return *kind = KERB_UNARY_HARD_SWISH, true;
    n = sole_unary(g, gate, KERB_UNARY_TANH);
    n = n ? sole_unary(g, n->inputs[0], KERB_UNARY_SOFTPLUS) : NULL;
    if (n && n->inputs[0] == x) return *kind = KERB_UNARY_MISH, true;
    return false;
}

/* (x * gate) * number and its like: gates that need a factor. `product` is what is multiplied by `number`. */
static bool gated_scaled(const KerbGraph *g, uint32_t product, double number, KerbUnary *kind, uint32_t *x)
{
    const KerbNode *n = kerb_pass_sole_producer(g, product, KERB_OP_BINARY);
    if (!kerb_pass_is_binary(n, KERB_BINARY_MUL) || n->attrs.binary.act.kind != KERB_ACT_NONE) return false;
    for (int i = 0; i < 2; i++) {
        *x = n->inputs[1 - i];
        if (near(number, 0.5) && sole_gelu_gate(g, n->inputs[i]) == *x) return *kind = KERB_UNARY_GELU, true;
        if (near(number, 1.0 / 6) && sole_relu6_of_3(g, n->inputs[i]) == *x) return *kind = KERB_UNARY_HARD_SWISH, true;
    }
    return false;
}

static void become_unary(KerbNode *n, KerbUnary kind, uint32_t x, float alpha, float beta)
{
    n->op = KERB_OP_UNARY;
    n->n_inputs = 1;
    n->inputs[0] = x;
    n->attrs = (KerbAttrs){ .unary = { .kind = kind, .alpha = alpha, .beta = beta } };
}

static bool find_gate(const KerbGraph *g, KerbNode *n)
{
    KerbUnary kind;
    uint32_t x;
    if (!kerb_pass_is_binary(n, KERB_BINARY_MUL)) return false;
    for (int i = 0; i < 2; i++) {
        x = n->inputs[1 - i];
        if (gated(g, n->inputs[i], x, &kind)) return become_unary(n, kind, x, 0, 0), true;
        uint32_t half = sole_scaled(g, x, KERB_BINARY_MUL, 0.5); /* (0.5 x) * (1 + erf) */
        if (half != KERB_NO_VALUE && sole_gelu_gate(g, n->inputs[i]) == half) return become_unary(n, KERB_UNARY_GELU, half, 0, 0), true;
        uint32_t gate = sole_scaled(g, n->inputs[i], KERB_BINARY_MUL, 0.5); /* x * (0.5 (1 + erf)) */
        if (gate != KERB_NO_VALUE && sole_gelu_gate(g, gate) == x) return become_unary(n, KERB_UNARY_GELU, x, 0, 0), true;
    }
    return false;
}

static bool find_scaled(const KerbGraph *g, KerbNode *n)
{
    KerbUnary kind;
    uint32_t x, other;
    double number;
    bool divides = kerb_pass_is_binary(n, KERB_BINARY_DIV);
    if ((!divides && !kerb_pass_is_binary(n, KERB_BINARY_MUL)) || !kerb_pass_scalar_operand(g, n, &number, &other)) return false;
    if (divides && other != n->inputs[0]) return false;
    if (divides) number = 1 / number;
    if (gated_scaled(g, other, number, &kind, &x)) return become_unary(n, kind, x, 0, 0), true;
    x = near(number, 1.0 / 6) ? sole_relu6_of_3(g, other) : KERB_NO_VALUE;
    if (x == KERB_NO_VALUE || kerb_graph_uses(g, n->outputs[0]) == 0) return false;
    /* x * (clip(x + 3, 0, 6) / 6) is found at its outer product, as HardSwish, from this HardSigmoid. */
    return become_unary(n, KERB_UNARY_HARD_SIGMOID, x, 1.0f / 6, 0.5f), true;
}

/* max(x, 0) and clip(x, 0, none). */
static bool find_relu(const KerbGraph *g, KerbNode *n)
{
    double number, hi;
    uint32_t x = n->inputs[0];
    if (n->op == KERB_OP_CLIP) {
        if (!kerb_node_input(g, n, 1) || !kerb_pass_scalar(g, n->inputs[1], &number) || number != 0) return false;
        if (kerb_node_input(g, n, 2) && (!kerb_pass_scalar(g, n->inputs[2], &hi) || hi != INFINITY)) return false;
    } else if (!kerb_pass_is_binary(n, KERB_BINARY_MAX) || !kerb_pass_scalar_operand(g, n, &number, &x) || number != 0) {
        return false;
    }
    return become_unary(n, KERB_UNARY_RELU, x, 0, 0), true;
}

KerbStatus kerb_pass_find_activations(KerbGraph *g, int *changes, KerbError *error)
{
    for (int i = 0; i < g->n_nodes; i++) {
        KerbNode *n = &g->nodes[i];
        if (n->dead || (n->op != KERB_OP_BINARY && n->op != KERB_OP_CLIP)) continue;
        if (!kerb_dtype_is_float(kerb_node_input(g, n, 0)->dtype) || (n->op == KERB_OP_BINARY && n->attrs.binary.act.kind != KERB_ACT_NONE)) continue;
        *changes += find_gate(g, n) || find_scaled(g, n) || find_relu(g, n);
    }
    return kerb_pass_finish(g, *changes, error);
}
