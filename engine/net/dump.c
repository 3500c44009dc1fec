/* SPDX-License-Identifier: MIT */
/* kerb_graph_dump(): a graph as text, one line a node, for people and for comparing two states of it. */
#include "net/passes.h"

static void dump_shape(KerbText *out, const KerbValue *v)
{
    char dims[160];
    if (v->dtype != KERB_DTYPE_NONE) kerb_text_append(out, "%s ", kerb_dtype_name(v->dtype));
    kerb_text_append(out, "%s", v->rank < 0 ? "?" : kerb_dims_text(v->rank, v->dims, dims, sizeof dims));
}

/* Small constants by value, large ones by shape; `role` in front ("w"), if any. */
static void dump_constant(KerbText *out, const KerbValue *v, const char *role)
{
    KerbTensor t = kerb_value_tensor(v);
    int64_t n = kerb_tensor_elements(&t);
    char dims[160];
    if (role) kerb_text_append(out, "%s:", role);
    if (role || n > 8) {
        kerb_text_append(out, "%s%s%s", v->dtype == KERB_F32 ? "" : kerb_dtype_name(v->dtype), v->dtype == KERB_F32 ? "" : " ",
                         kerb_dims_text(v->rank, v->dims, dims, sizeof dims));
        return;
    }
    kerb_text_append(out, v->rank == 0 ? "" : "[");
    for (int64_t i = 0; i < n; i++)
        kerb_text_append(out, "%s%g", i ? "," : "", kerb_dtype_is_float(v->dtype) ? kerb_tensor_get(&t, i) : (double)kerb_tensor_get_i64(&t, i));
    kerb_text_append(out, v->rank == 0 ? "" : "]");
}

static const char *input_role(const KerbNode *n, int i)
{
    static const char *const conv[] = { NULL, "w", "b", NULL }, *const norm[] = { NULL, "scale", "bias", "mean", "var" };
    static const char *const qconv[] = { NULL, NULL, NULL, "w", NULL, NULL, NULL, NULL, "b" };
    if ((n->op == KERB_OP_CONV || n->op == KERB_OP_CONV_TRANSPOSE) && i < 4) return conv[i];
    if ((n->op == KERB_OP_BATCH_NORM || n->op == KERB_OP_INSTANCE_NORM) && i < 5) return norm[i];
    return n->op == KERB_OP_QLINEAR_CONV && i < 9 ? qconv[i] : NULL;
}

static void dump_inputs(KerbText *out, const KerbGraph *g, const KerbNode *n)
{
    for (int i = 0; i < n->n_inputs; i++) {
        const KerbValue *v = kerb_node_input(g, n, i);
        if (i) kerb_text_append(out, ", ");
        if (!v) kerb_text_append(out, "-");
        else if (kerb_value_is_constant(v)) dump_constant(out, v, input_role(n, i));
        else kerb_text_append(out, "%s%%%u", n->op == KERB_OP_CONV && i == 3 ? "+" : "", n->inputs[i]);
    }
}

static const char *unary_name(KerbUnary kind)
{
    KerbNode n = { .op = KERB_OP_UNARY, .attrs.unary.kind = kind };
    return kerb_node_kind(&n);
}

static void dump_activation(KerbText *out, const KerbActivation *act)
{
    switch (act->kind) {
    case KERB_ACT_NONE: break;
    case KERB_ACT_UNARY: kerb_text_append(out, " act %s", unary_name(act->unary)); break;
    case KERB_ACT_CLIP: kerb_text_append(out, " act Clip(%g,%g)", (double)act->lo, (double)act->hi); break;
    case KERB_ACT_PRELU: kerb_text_append(out, " act PRelu(%%%u)", act->slope); break;
    }
    if (act->kind == KERB_ACT_UNARY && (act->alpha != 0 || act->beta != 0)) kerb_text_append(out, "(%g,%g)", (double)act->alpha, (double)act->beta);
}

/* "3,3", or "3" where all are the same. */
static void dump_list(KerbText *out, const char *name, int n, const int64_t v[], int64_t unless)
{
    bool same = true, dull = true;
    for (int i = 0; i < n; i++) {
        same = same && v[i] == v[0];
        dull = dull && v[i] == unless;
    }
    if (dull) return;
    kerb_text_append(out, " %s ", name);
    for (int i = 0; i < (same ? 1 : n); i++) kerb_text_append(out, "%s%lld", i ? "," : "", (long long)v[i]);
}

static void dump_window(KerbText *out, const KerbWindow *w, bool kernel)
{
    static const char *const autos[] = { "", " auto_pad SAME_UPPER", " auto_pad SAME_LOWER", " auto_pad VALID" };
    int64_t pads[2 * KERB_MAX_SPATIAL];
    for (int i = 0; i < w->n; i++) {
        pads[i] = w->pad_begin[i];
        pads[w->n + i] = w->pad_end[i];
    }
    if (kernel) dump_list(out, "kernel", w->n, w->kernel, 0);
    dump_list(out, "stride", w->n, w->stride, 1);
    dump_list(out, "dilation", w->n, w->dilation, 1);
    bool any = false;
    for (int i = 0; i < 2 * w->n; i++) any = any || pads[i];
    for (int i = 0; any && i < 2 * w->n; i++) kerb_text_append(out, "%s%lld", i ? "," : " pad ", (long long)pads[i]);
    kerb_text_append(out, "%s", autos[w->auto_pad & 3]);
}

static void dump_resize(KerbText *out, const KerbGraph *g, const KerbNode *n)
{
    static const char *const modes[] = { "nearest", "linear", "cubic" }, *const nearest[] = { "round_prefer_floor", "round_prefer_ceil", "floor", "ceil" };
    static const char *const coordinates[] = { "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_crop_and_resize" };
    const KerbResizeAttrs *r = &n->attrs.resize;
    const KerbValue *x = kerb_node_input(g, n, 0);
    kerb_text_append(out, " %s %s", modes[r->mode % 3], coordinates[r->coordinates % 6]);
    if (r->mode == KERB_RESIZE_NEAREST) kerb_text_append(out, " %s", nearest[r->nearest & 3]);
    kerb_text_append(out, "%s%s scale ", r->zero_border ? " zero_border" : "", r->antialias ? " antialias" : "");
    for (int i = 0; x && i < x->rank; i++) kerb_text_append(out, "%s%g", i ? "," : "", r->scale[i]);
}

static void dump_attributes(KerbText *out, const KerbGraph *g, const KerbNode *n)
{
    const KerbAttrs *a = &n->attrs;
    switch (n->op) {
    case KERB_OP_CONV:
    case KERB_OP_CONV_TRANSPOSE:
    case KERB_OP_QLINEAR_CONV:
        dump_window(out, &a->conv.window, false);
        if (a->conv.group != 1) kerb_text_append(out, " group %lld", (long long)a->conv.group);
        if (n->op == KERB_OP_CONV_TRANSPOSE) dump_list(out, "output_padding", a->conv.window.n, a->conv.output_padding, 0);
        dump_activation(out, &a->conv.act);
        break;
    case KERB_OP_MAX_POOL:
    case KERB_OP_AVERAGE_POOL:
    case KERB_OP_MAX_UNPOOL:
        dump_window(out, &a->pool.window, true);
        kerb_text_append(out, "%s%s", a->pool.ceil_mode ? " ceil" : "", a->pool.count_include_pad ? " count_include_pad" : "");
        break;
    case KERB_OP_BINARY: dump_activation(out, &a->binary.act); break;
    case KERB_OP_GEMM:
        kerb_text_append(out, "%s%s", a->gemm.trans_a ? " trans_a" : "", a->gemm.trans_b ? " trans_b" : "");
        dump_activation(out, &a->gemm.act);
        break;
    case KERB_OP_RESIZE: dump_resize(out, g, n); break;
    case KERB_OP_TRANSPOSE: dump_list(out, "perm", a->transpose.n, a->transpose.perm, -1); break;
    case KERB_OP_CONCAT:
    case KERB_OP_GATHER:
    case KERB_OP_GATHER_ELEMENTS:
    case KERB_OP_FLATTEN: kerb_text_append(out, " axis %lld", (long long)a->axis); break;
    case KERB_OP_SPLIT: kerb_text_append(out, " axis %lld", (long long)a->split.axis); break;
    case KERB_OP_SOFTMAX: kerb_text_append(out, " axis %lld%s", (long long)a->softmax.axis, a->softmax.flatten ? " and behind" : ""); break;
    case KERB_OP_ARG: kerb_text_append(out, " axis %lld%s", (long long)a->arg.axis, a->arg.keepdims ? " keepdims" : ""); break;
    case KERB_OP_REDUCE: kerb_text_append(out, "%s%s", a->reduce.spatial ? " spatial" : "", a->reduce.keepdims ? " keepdims" : ""); break;
    case KERB_OP_DEPTH_TO_SPACE:
    case KERB_OP_SPACE_TO_DEPTH: kerb_text_append(out, " block %lld%s", (long long)a->block.size, a->block.crd ? " crd" : ""); break;
    case KERB_OP_PAD: {
        static const char *const modes[] = { "", " reflect", " edge", " wrap" };
        kerb_text_append(out, "%s", modes[a->pad.mode & 3]);
        break;
    }
    case KERB_OP_QUANTIZE:
    case KERB_OP_DEQUANTIZE: kerb_text_append(out, " axis %lld", (long long)a->quantize.axis); break;
    default: break;
    }
}

static void dump_node(KerbText *out, const KerbGraph *g, const KerbNode *n)
{
    for (int i = 0, shown = 0; i < n->n_outputs; i++) {
        if (n->outputs[i] == KERB_NO_VALUE) continue;
        kerb_text_append(out, "%s%%%u ", shown++ ? ", " : "", n->outputs[i]);
        dump_shape(out, kerb_graph_value(g, n->outputs[i]));
    }
    kerb_text_append(out, " = %s(", kerb_node_kind(n));
    dump_inputs(out, g, n);
    kerb_text_append(out, ")");
    dump_attributes(out, g, n);
    kerb_text_append(out, "   # %s\n", n->name);
}

static void dump_head(KerbText *out, const KerbHead *h)
{
    static const char *const kinds[] = { "scores", "binary", "labels" };
    kerb_text_append(out, "head %%%u %s axis %d%s", h->value, kinds[h->kind % 3], h->channel_axis, h->probabilities ? " probabilities" : "");
    if (h->kind == KERB_HEAD_BINARY) kerb_text_append(out, " threshold %g", (double)h->threshold);
    if (h->stripped_resize)
        kerb_text_append(out, " resized by %g,%g to %lldx%lld", h->scale_y, h->scale_x, (long long)h->out_height, (long long)h->out_width);
    if (h->crop_y || h->crop_x) kerb_text_append(out, " from %lld,%lld", (long long)h->crop_y, (long long)h->crop_x);
    kerb_text_append(out, "   # %s\n", h->name);
}

void kerb_graph_dump(const KerbGraph *g, KerbText *out)
{
    for (int i = 0; i < g->n_inputs; i++) {
        const KerbValue *v = &g->values[g->inputs[i]];
        kerb_text_append(out, "%%%u ", g->inputs[i]);
        dump_shape(out, v);
        kerb_text_append(out, " = input   # %s\n", v->name);
    }
    for (int i = 0; i < g->n_nodes; i++)
        if (!g->nodes[i].dead) dump_node(out, g, &g->nodes[i]);
    for (int i = 0; i < g->n_outputs; i++) kerb_text_append(out, "output %%%u   # %s\n", g->outputs[i], g->values[g->outputs[i]].name);
    for (int i = 0; i < g->n_heads; i++) dump_head(out, &g->heads[i]);
}
