/* SPDX-License-Identifier: MIT */
/* kerb_inspect(): looks at a model as kerb_open() would, compiles nothing, and hands what it found to inspect_text.c or inspect_json.c. */
#include "run/inspect.h"

#include "run/config.h"
#include "run/heads.h"
#include "run/pipeline.h"

#include <stdlib.h>
#include <string.h>

/* The frame for which a model of free size is looked at. */
static const KerbVideoFormat example = { .pixel_format = KERB_FORMAT_I420, .width_px = 1280, .height_px = 720 };

size_t kerb_node_weight_bytes(const KerbGraph *g, const KerbNode *n)
{
    size_t bytes = 0;
    for (int i = 0; i < n->n_inputs; i++) {
        const KerbValue *v = kerb_node_input(g, n, i);
        if (!kerb_value_is_constant(v)) continue;
        KerbTensor t = kerb_value_tensor(v);
        bytes += kerb_tensor_bytes(&t);
    }
    return bytes;
}

const char *kerb_color_name(KerbColor color)
{
    static const char *const names[] = { "auto", "RGB", "BGR", "GRAY" };
    return names[color];
}

const char *kerb_fit_name(KerbFit fit)
{
    static const char *const names[] = { "auto", "stretch", "letterbox", "crop" };
    return names[fit];
}

/* ---- finding out */

static int by_count(const void *a, const void *b)
{
    const KerbOpCount *x = a, *y = b;
    return x->n != y->n ? y->n - x->n : strcmp(x->kind, y->kind);
}

static void count_operators(KerbInspection *x)
{
    const KerbGraph *g = x->model->graph;
    for (int i = 0; i < g->n_nodes; i++) {
        if (g->nodes[i].dead) continue;
        const char *kind = kerb_node_kind(&g->nodes[i]);
        int k = 0;
        while (k < x->n_operators && strcmp(x->operators[k].kind, kind) != 0) k++;
        if (k == KERB_MAX_KINDS) continue;
        if (k == x->n_operators) x->operators[x->n_operators++].kind = kind;
        x->operators[k].n++;
    }
    qsort(x->operators, (size_t)x->n_operators, sizeof x->operators[0], by_count);
}

static void keep_pass(void *user, const KerbPass *pass, int changes, const char *before, const char *after)
{
    KerbInspection *x = user;
    if (x->flags & KERB_INSPECT_JSON) {
        json_t *v = json_pack("{s:s, s:s, s:i, s:s, s:s}", "name", pass->name, "idea", pass->idea, "changes", changes, "before", before,
                              "after", after);
        if (v) json_array_append_new(x->pass_list, v);
        return;
    }
    kerb_text_append(&x->passes, "==== %s: %s (%d change%s)\n---- before\n%s---- after\n%s", pass->name, pass->idea, changes,
                     changes == 1 ? "" : "s", before, after);
}

static KerbStatus look(KerbInspection *x, const KerbConfig *config, KerbError *error)
{
    KerbStatus status = kerb_model_open(&x->model, config, error);
    if (status != KERB_OK) return status;
    count_operators(x);
    x->size_is_free = !kerb_model_size(x->model, NULL, &x->width_px, &x->height_px);
    if (x->size_is_free) kerb_model_size(x->model, &example, &x->width_px, &x->height_px);
    KerbOptimizeOptions options = { .dump = keep_pass, .user = x };
    status = kerb_model_build(x->model, x->width_px, x->height_px, x->flags & KERB_INSPECT_PASSES ? &options : NULL, &x->graph, error);
    if (status == KERB_OK) status = kerb_heads_map(x->model, x->graph, x->width_px, x->height_px, x->heads, error);
    if (status == KERB_OK) status = kerb_backends_choose(config->backend, config->device_id, x->choices, &x->n_backends, error);
    for (int i = 0; i < x->n_backends && status == KERB_OK; i++) {
        x->backends[i].choice = &x->choices[i];
        kerb_backend_runs(x->choices[i].backend, x->graph, &x->backends[i].lacks);
    }
    if (status == KERB_OK && x->flags & KERB_INSPECT_PLAN) status = kerb_inspect_choose(x, config, error);
    static const KerbPlanOptions dense;
    if (status == KERB_OK) status = kerb_plan_new(&x->plan, x->graph, &dense, error);
    if (status != KERB_OK) return status;
    for (int i = 0; i < x->graph->n_nodes; i++) {
        if (x->graph->nodes[i].dead) continue;
        x->flops += kerb_node_flops(x->graph, &x->graph->nodes[i]);
        x->n_layers++;
    }
    x->weight_bytes = kerb_graph_weight_bytes(x->graph);
    return x->flags & KERB_INSPECT_PLAN ? kerb_inspect_plan(x, config, error) : status;
}

static void forget(KerbInspection *x)
{
    kerb_inspect_plan_free(&x->how); /* before the graph that it reads */
    kerb_plan_free(&x->plan);
    kerb_graph_free(&x->graph);
    kerb_model_free(&x->model);
    for (int i = 0; i < x->n_backends; i++) kerb_text_free(&x->backends[i].lacks);
    kerb_backends_release(x->choices, x->n_backends);
    kerb_text_free(&x->passes);
    json_decref(x->pass_list);
    free(x);
}

/* ---- saying it */

typedef struct InspectSink {
    KerbWriteFn write;
    void *user;
} InspectSink;

static int write_json(const char *text, size_t bytes, void *user)
{
    InspectSink *sink = user;
    return sink->write(sink->user, text, bytes) ? 0 : -1;
}

static KerbStatus say_json(json_t *root, InspectSink *sink, KerbError *error)
{
    if (!root) return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for the description");
    json_dump_callback(root, write_json, sink, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    sink->write(sink->user, "\n", 1);
    json_decref(root);
    return KERB_OK;
}

static KerbStatus say_text(KerbText *text, InspectSink *sink, KerbError *error)
{
    KerbStatus status = text->failed ? kerb_fail(error, KERB_ERROR_MEMORY, "no memory for the description") : KERB_OK;
    if (text->text) sink->write(sink->user, text->text, text->bytes);
    kerb_text_free(text);
    return status;
}

/* A sound model with operators that Kerb lacks: the file and these, then the error. */
static void say_unsupported(const KerbConfig *config, unsigned flags, InspectSink *sink)
{
    KerbOnnx *onnx = NULL;
    char list[4096] = "";
    if (kerb_onnx_open(&onnx, config->model_file, NULL) != KERB_OK) return;
    int n = kerb_onnx_unsupported(onnx, list, sizeof list);
    if (flags & KERB_INSPECT_JSON) {
        json_t *names = json_array();
        for (char *name = strtok(list, ", "); name; name = strtok(NULL, ", ")) json_array_append_new(names, json_string(name));
        say_json(json_pack("{s:s, s:I, s:b, s:o}", "file", config->model_file, "bytes", (json_int_t)kerb_onnx_bytes(onnx), "supported", 0,
                           "unsupported_operators", names), sink, NULL);
    } else {
        KerbText text = { 0 };
        kerb_text_append(&text, "file         %s, %.1f MB\n", config->model_file, (double)kerb_onnx_bytes(onnx) / 1e6);
        if (n) kerb_text_append(&text, "unsupported  %s\n", list);
        say_text(&text, sink, NULL);
    }
    kerb_onnx_close(&onnx);
}

KERB_API KerbStatus kerb_inspect(const KerbConfig *given, unsigned flags, KerbWriteFn write, void *user, KerbError *error)
{
    kerb_error_clear(error);
    char model[KERB_PATH_BYTES];
    KerbConfig complete;
    KerbStatus status = kerb_config_complete(&complete, given, model, error);
    if (status != KERB_OK) return status;
    const KerbConfig *config = &complete;
    if (!write) return kerb_fail(error, KERB_ERROR_ARGUMENT, "kerb_inspect: no function to write with was given");
    InspectSink sink = { write, user };
    KerbInspection *x = calloc(1, sizeof *x);
    if (!x) return kerb_fail(error, KERB_ERROR_MEMORY, "no memory to inspect %s (%zu bytes)", config->model_file, sizeof *x);
    x->flags = flags;
    x->pass_list = json_array();
    status = look(x, config, error);
    if (status == KERB_ERROR_UNSUPPORTED && !x->model) say_unsupported(config, flags, &sink);
    if (status == KERB_OK && (flags & KERB_INSPECT_JSON)) {
        status = say_json(kerb_inspect_json(x), &sink, error);
    } else if (status == KERB_OK) {
        KerbText text = { 0 };
        kerb_inspect_text(x, &text);
        status = say_text(&text, &sink, error);
    }
    forget(x);
    return status;
}
