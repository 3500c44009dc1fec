/* SPDX-License-Identifier: MIT */
/* What a model is, for machines. Keys are those of the text and of the model card where they mean the same. */
#include "run/inspect.h"

#include "out/out.h"

/* json_pack's "s?" gives null for NULL. */
static json_t *dims_json(const KerbValue *v)
{
    json_t *list = json_array();
    for (int i = 0; i < v->rank; i++) json_array_append_new(list, v->dims[i] < 0 ? json_null() : json_integer((json_int_t)v->dims[i]));
    return list;
}

static json_t *floats_json(const float values[], int n)
{
    json_t *list = json_array();
    for (int i = 0; i < n; i++) json_array_append_new(list, json_real((double)values[i]));
    return list;
}

static json_t *input_json(const KerbInspection *x)
{
    const KerbModelInput *in = &x->model->input;
    const KerbValue *v = kerb_graph_value(x->model->graph, x->model->graph->inputs[0]);
    return json_pack("{s:s, s:o, s:s, s:s, s:s, s:s, s:o, s:o, s:i, s:i, s:b}", "name", in->name, "shape", dims_json(v), "layout",
                     in->nhwc ? "NHWC" : "NCHW", "type", kerb_dtype_name(in->dtype), "color", kerb_color_name(in->color), "fit",
                     kerb_fit_name(in->fit), "mean", floats_json(in->mean, in->channels), "std", floats_json(in->std, in->channels),
                     "width", x->width_px, "height", x->height_px, "free_size", x->size_is_free);
}

static json_t *outputs_json(const KerbInspection *x)
{
    static const char *const kinds[] = { "scores", "probabilities", "one score", "one probability", "labels" };
    json_t *list = json_array();
    for (int i = 0; i < x->graph->n_heads; i++) {
        const KerbOutHead *h = &x->heads[i];
        const KerbHead *head = &x->graph->heads[i];
        json_t *labels = json_array();
        for (int c = 0; c < x->model->outputs[i].n_labels; c++) json_array_append_new(labels, json_integer(h->index[c]));
        json_t *v = json_pack("{s:s, s:s, s:i, s:i, s:i, s:f, s:b, s:o}", "name", head->name, "kind", kinds[h->kind], "channels",
                              h->channels, "width", h->width, "height", h->height, "threshold", (double)h->threshold, "upsampled_by_tail",
                              head->stripped_resize, "labels", labels);
        json_array_append_new(list, v);
    }
    return list;
}

static json_t *classes_json(const KerbInspection *x)
{
    json_t *list = json_array();
    for (int i = 0; i < x->model->classes.n; i++) {
        const KerbClass *c = &x->model->classes.classes[i];
        json_array_append_new(list, json_pack("{s:i, s:s, s:[iii], s:i, s:b}", "index", i, "name", c->name, "color", c->rgb[0], c->rgb[1],
                                              c->rgb[2], "id", c->dataset_id, "background", c->is_background));
    }
    return list;
}

static json_t *operators_json(const KerbInspection *x)
{
    json_t *object = json_object();
    for (int i = 0; i < x->n_operators; i++) json_object_set_new(object, x->operators[i].kind, json_integer(x->operators[i].n));
    return object;
}

static json_t *backends_json(const KerbInspection *x)
{
    json_t *list = json_array();
    for (int i = 0; i < x->n_backends; i++) {
        const KerbInspectBackend *b = &x->backends[i];
        json_array_append_new(list, json_pack("{s:s, s:s, s:s?}", "name", b->choice->backend->name, "description",
                                              b->choice->device.description, "lacks", b->lacks.text));
    }
    return list;
}

static json_t *layers_json(const KerbInspection *x)
{
    json_t *list = json_array();
    for (int i = 0; i < x->graph->n_nodes; i++) {
        const KerbNode *n = &x->graph->nodes[i];
        if (n->dead) continue;
        json_t *outputs = json_array();
        for (int o = 0; o < n->n_outputs; o++) {
            const KerbValue *v = kerb_graph_value(x->graph, n->outputs[o]);
            json_array_append_new(outputs, v ? dims_json(v) : json_null());
        }
        json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:f, s:I}", "name", n->name, "operator", kerb_node_kind(n), "outputs",
                                              outputs, "gflop", kerb_node_flops(x->graph, n) / 1e9, "weight_bytes",
                                              (json_int_t)kerb_node_weight_bytes(x->graph, n)));
    }
    return list;
}

static json_t *plan_json(const KerbInspectPlan *p)
{
    json_t *steps = json_array();
    for (int i = 0; i < p->trace.n; i++)
        json_array_append_new(steps, json_pack("{s:s, s:f, s:f}", "step", p->trace.spans[i].name, "ms", (double)p->step_ns[i] * 1e-6, "gflop", p->trace.spans[i].flops * 1e-9));
    return json_pack("{s:s, s:i, s:i, s:f, s:f, s:o}", "backend", p->text, "threads", p->threads, "runs", p->runs, "ms", (double)p->least_ns * 1e-6, "peak_gflop_s",
                     p->trace.peak_flops_s * 1e-9, "steps", steps);
}

json_t *kerb_inspect_json(const KerbInspection *x)
{
    const KerbModel *m = x->model;
    const KerbCard *card = m->card;
    json_t *root =
        json_pack("{s:s, s:I, s:b, s:I, s:s?, s:s?, s:s?, s:s?, s:s?, s:s?, s:s?, s:s?, s:s?, s:o, s:o, s:o, s:o, s:i, s:f, s:I, s:I, s:I, s:o}",
                  "file", m->path, "bytes", (json_int_t)kerb_onnx_bytes(m->onnx), "supported", 1, "opset", (json_int_t)m->graph->opset,
                  "producer", m->graph->producer, "card", card->root ? card->where : NULL, "name", card->name, "description",
                  card->description, "data", card->data, "recipe", card->recipe, "source", card->source, "licence", card->licence, "assumed",
                  m->assumed.text, "input", input_json(x), "outputs", outputs_json(x), "classes", classes_json(x), "operators", operators_json(x),
                  "layer_count", x->n_layers, "gflop", x->flops / 1e9, "weight_bytes", (json_int_t)x->weight_bytes, "arena_bytes",
                  (json_int_t)x->plan->arena_bytes, "sum_bytes", (json_int_t)x->plan->sum_bytes, "backends", backends_json(x));
    if (!root) return NULL;
    if (card->accuracy) json_object_set(root, "accuracy", (json_t *)(uintptr_t)card->accuracy);
    if (card->speed) json_object_set(root, "speed", (json_t *)(uintptr_t)card->speed);
    if (x->flags & KERB_INSPECT_LAYERS) json_object_set_new(root, "layers", layers_json(x));
    if (x->how.net) json_object_set_new(root, "plan", plan_json(&x->how));
    if (x->flags & KERB_INSPECT_PASSES) json_object_set(root, "passes", x->pass_list);
    return root;
}
