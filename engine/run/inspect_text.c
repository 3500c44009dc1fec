/* SPDX-License-Identifier: MIT */
/* What a model is, for people. */
#include "run/inspect.h"

#include "out/out.h"

#include <stdlib.h>

static const char *head_text(const KerbOutHead *h)
{
    switch (h->kind) {
    case KERB_SCORES_LOGITS: return "scores";
    case KERB_SCORES_PROBABILITIES: return "probabilities";
    case KERB_SCORES_BINARY_LOGIT: return "one score";
    case KERB_SCORES_BINARY_PROBABILITY: return "one probability";
    case KERB_SCORES_LABELS: return "labels";
    }
    return "?";
}

static void say_measured(KerbText *out, const char *what, const json_t *figures)
{
    if (!figures) return;
    char *text = json_dumps(figures, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
    kerb_text_append(out, "%-12s %s\n", what, text ? text : "?");
    free(text);
}

static void say_file(const KerbInspection *x, KerbText *out)
{
    const KerbModel *m = x->model;
    const KerbCard *card = m->card;
    if (card->name) kerb_text_append(out, "name         %s\n", card->name);
    if (card->description) kerb_text_append(out, "             %s\n", card->description);
    kerb_text_append(out, "file         %s, %.1f MB, opset %lld%s%s\n", m->path, (double)kerb_onnx_bytes(m->onnx) / 1e6,
                     (long long)m->graph->opset, m->graph->producer ? ", by " : "", m->graph->producer ? m->graph->producer : "");
    kerb_text_append(out, "card         %s\n", card->root ? card->where : "none");
    if (card->data) kerb_text_append(out, "data         %s\n", card->data);
    if (card->recipe) kerb_text_append(out, "recipe       %s\n", card->recipe);
    if (card->source) kerb_text_append(out, "source       %s\n", card->source);
    if (card->licence) kerb_text_append(out, "licence      %s\n", card->licence);
    say_measured(out, "accuracy", card->accuracy);
    say_measured(out, "speed", card->speed);
    if (m->assumed.text) kerb_text_append(out, "assumed      %s\n", m->assumed.text);
}

static void say_input(const KerbInspection *x, KerbText *out)
{
    const KerbModelInput *in = &x->model->input;
    const KerbGraph *g = x->model->graph;
    const KerbValue *v = kerb_graph_value(g, g->inputs[0]);
    char dims[96];
    kerb_text_append(out, "input        \"%s\" %s %s, %s, %s, %s, (value - mean) / std:", in->name,
                     kerb_dims_text(v->rank, v->dims, dims, sizeof dims), in->nhwc ? "NHWC" : "NCHW", kerb_dtype_name(in->dtype),
                     kerb_color_name(in->color), kerb_fit_name(in->fit));
    for (int c = 0; c < in->channels; c++) kerb_text_append(out, " (%g, %g)", (double)in->mean[c], (double)in->std[c]);
    kerb_text_append(out, "\n");
}

static void say_outputs(const KerbInspection *x, KerbText *out)
{
    for (int i = 0; i < x->graph->n_heads; i++) {
        const KerbHead *head = &x->graph->heads[i];
        const KerbOutHead *h = &x->heads[i];
        const KerbModelOutput *o = &x->model->outputs[i];
        kerb_text_append(out, "output       \"%s\": %s, %d channel%s at %d x %d", head->name, head_text(h), h->channels,
                         h->channels == 1 ? "" : "s", h->width, h->height);
        if (head->stripped_resize)
            kerb_text_append(out, ", %s upsampling to %lld x %lld left to the tail", h->nearest ? "nearest" : "linear",
                             (long long)head->out_width, (long long)head->out_height);
        if (h->kind == KERB_SCORES_BINARY_LOGIT || h->kind == KERB_SCORES_BINARY_PROBABILITY)
            kerb_text_append(out, ", threshold %g", (double)h->threshold);
        kerb_text_append(out, "; labels");
        for (int c = 0; c < o->n_labels; c++) kerb_text_append(out, "%s%d", c ? "," : " ", h->index[c]);
        kerb_text_append(out, "%s\n", o->n_labels ? "" : " as given");
    }
}

static void say_classes(const KerbInspection *x, KerbText *out)
{
    const KerbClassTable *t = &x->model->classes;
    for (int i = 0; i < t->n; i++) {
        const KerbClass *c = &t->classes[i];
        kerb_text_append(out, "class %6d %-24s #%02x%02x%02x", i, c->name, c->rgb[0], c->rgb[1], c->rgb[2]);
        if (c->dataset_id >= 0) kerb_text_append(out, "  id %d", c->dataset_id);
        kerb_text_append(out, "%s\n", c->is_background ? "  background" : "");
    }
}

static void say_network(const KerbInspection *x, KerbText *out)
{
    kerb_text_append(out, "operators   ");
    for (int i = 0; i < x->n_operators; i++)
        kerb_text_append(out, " %s %d%s", x->operators[i].kind, x->operators[i].n, i + 1 < x->n_operators ? "," : "");
    kerb_text_append(out, "\nnetwork      %d x %d pixels%s: %d layers after optimising, %.3f GFLOP, weights %.3f MB\n", x->width_px,
                     x->height_px, x->size_is_free ? " (free: as for frames of 1280 x 720)" : "", x->n_layers, x->flops / 1e9,
                     (double)x->weight_bytes / 1e6);
    kerb_text_append(out, "memory       arena %.3f MB, against %.3f MB as the sum of all tensors (f32)\n",
                     (double)x->plan->arena_bytes / 1e6, (double)x->plan->sum_bytes / 1e6);
    for (int i = 0; i < x->n_backends; i++) {
        const KerbInspectBackend *b = &x->backends[i];
        kerb_text_append(out, "backend      %s (%s): %s%s\n", b->choice->backend->name, b->choice->device.description,
                         b->lacks.text ? "cannot run " : "runs all of it", b->lacks.text ? b->lacks.text : "");
    }
}

static void say_layers(const KerbInspection *x, KerbText *out)
{
    kerb_text_append(out, "\n%5s  %-22s %-20s %10s %12s  %s\n", "layer", "operator", "output", "GFLOP", "weights kB", "name");
    for (int i = 0, layer = 0; i < x->graph->n_nodes; i++) {
        const KerbNode *n = &x->graph->nodes[i];
        if (n->dead) continue;
        const KerbValue *v = n->n_outputs ? kerb_graph_value(x->graph, n->outputs[0]) : NULL;
        char dims[96];
        kerb_text_append(out, "%5d  %-22s %-20s %10.4f %12.1f  %s\n", layer++, kerb_node_kind(n),
                         v ? kerb_dims_text(v->rank, v->dims, dims, sizeof dims) : "", kerb_node_flops(x->graph, n) / 1e9,
                         (double)kerb_node_weight_bytes(x->graph, n) / 1e3, n->name);
    }
}

static void say_plan(const KerbInspection *x, KerbText *out)
{
    const KerbInspectPlan *p = &x->how;
    int64_t sum = 0;
    for (int i = 0; i < p->trace.n; i++) sum += p->step_ns[i];
    kerb_text_append(out, "\nplan         %s, %d thread%s: %.3f ms, the least of %d runs; the steps' sum %.3f ms", p->text, p->threads, p->threads == 1 ? "" : "s",
                     (double)p->least_ns * 1e-6, p->runs, (double)sum * 1e-6);
    if (p->trace.peak_flops_s > 0) kerb_text_append(out, "; peak %.0f GFLOP/s", p->trace.peak_flops_s * 1e-9);
    kerb_text_append(out, "\n%9s %7s %9s %8s  %s\n", "ms", "share", "GFLOP/s", "of peak", "step");
    for (int i = 0; i < p->trace.n; i++) {
        const double ns = (double)(p->step_ns[i] > 0 ? p->step_ns[i] : 1), flops = p->trace.spans[i].flops;
        kerb_text_append(out, "%9.3f %6.1f%%", (double)p->step_ns[i] * 1e-6, sum ? 100 * ns / (double)sum : 0);
        if (flops > 0) kerb_text_append(out, " %9.1f", flops / ns);
        else kerb_text_append(out, " %9s", "");
        if (flops > 0 && p->trace.peak_flops_s > 0) kerb_text_append(out, " %7.0f%%", 100 * flops / ns * 1e9 / p->trace.peak_flops_s);
        else kerb_text_append(out, " %8s", "");
        kerb_text_append(out, "  %s\n", p->trace.spans[i].name);
    }
}

void kerb_inspect_text(const KerbInspection *x, KerbText *out)
{
    say_file(x, out);
    say_input(x, out);
    say_outputs(x, out);
    say_classes(x, out);
    say_network(x, out);
    if (x->flags & KERB_INSPECT_LAYERS) say_layers(x, out);
    if (x->how.net) say_plan(x, out);
    if (x->passes.text) kerb_text_append(out, "\n%s", x->passes.text);
}
