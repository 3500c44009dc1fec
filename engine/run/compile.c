/* SPDX-License-Identifier: MIT */
/* A model at one size -> a network that a backend runs. Tries the backends that open chose, best first: one that lacks an operator, or
 * which cannot be used after all, gives way to the next with a warning. Too little memory does not: a smaller network is better than a slow one. */
#include "run/pipeline.h"

#include "base/trace.h"
#include "run/heads.h"

#include <string.h>

void kerb_pipeline_free_net(KerbPipeline *p)
{
    if (p->net) p->backend->free(&p->net);
    p->backend = NULL;
    kerb_graph_free(&p->graph);
    p->net_width_px = p->net_height_px = 0;
}

bool kerb_backend_runs(const KerbBackend *backend, const KerbGraph *g, KerbText *why)
{
    bool all = true;
    for (int i = 0; i < g->n_nodes && backend->supports; i++) {
        const KerbNode *n = &g->nodes[i];
        char words[160] = "";
        if (n->dead || backend->supports(g, n, words, sizeof words)) continue;
        kerb_text_append(why, "%s%s \"%s\"%s%s", all ? "" : "; ", kerb_node_kind(n), n->name, words[0] ? ": " : "", words);
        all = false;
    }
    return all;
}

static KerbStatus compile_on(KerbPipeline *p, const KerbBackendChoice *choice, KerbPrecision *precision, KerbError *error)
{
    KerbStatus status = kerb_backend_precision(choice, p->graph, p->precision, precision, error);
    if (status != KERB_OK) return status;
    KerbText why = { 0 };
    if (!kerb_backend_runs(choice->backend, p->graph, &why))
        status = kerb_fail(error, KERB_ERROR_UNSUPPORTED, "%s: the backend %s cannot run: %s", p->model->path, choice->backend->name,
                           why.text ? why.text : "?");
    kerb_text_free(&why);
    if (status != KERB_OK) return status;
    KerbCompileOptions options = {
        .threads = p->threads, .device_id = choice->device.id, .precision = *precision, .no_tune = !p->tune, .progress = p->progress, .progress_user = p->progress_user};
    p->backend = choice->backend;
    status = choice->backend->compile(&p->net, p->graph, &options, error);
    if (status != KERB_OK) kerb_model_blame(p->model->path, error);
    return status;
}

static KerbStatus build(KerbPipeline *p, int net_width_px, int net_height_px, KerbError *error)
{
    kerb_graph_free(&p->graph);
    KerbStatus status = kerb_model_build(p->model, net_width_px, net_height_px, NULL, &p->graph, error);
    return status == KERB_OK ? kerb_heads_map(p->model, p->graph, net_width_px, net_height_px, p->heads, error) : status;
}

/* A choice may change the graph for its precision: each gets its own. */
static KerbStatus compile_on_best(KerbPipeline *p, int net_width_px, int net_height_px, KerbError *error)
{
    KerbStatus status = KERB_ERROR_INTERNAL;
    for (int i = 0; i < p->n_choices; i++) {
        KerbPrecision precision;
        KerbError reason = { 0 };
        if ((status = build(p, net_width_px, net_height_px, error)) != KERB_OK) return status;
        status = compile_on(p, &p->choices[i], &precision, &reason);
        if (status == KERB_OK) {
            pthread_mutex_lock(&p->mutex);
            kerb_backend_text(&p->choices[i], precision, p->backend_text, sizeof p->backend_text);
            pthread_mutex_unlock(&p->mutex);
            return KERB_OK;
        }
        if (error) *error = reason;
        bool next = status == KERB_ERROR_UNSUPPORTED || status == KERB_ERROR_BACKEND;
        if (!next || i + 1 == p->n_choices) break;
        kerb_log(KERB_LOG_WARNING, "%s; so the network runs on the backend %s%s", reason.message, p->choices[i + 1].backend->name,
                 i + 2 == p->n_choices ? ", which is slow" : "");
    }
    return status;
}

/* int8 is the model's business: what ranges its tensors have must be in the file. */
static KerbStatus check_int8(const KerbPipeline *p, KerbError *error)
{
    const KerbGraph *g = p->model->graph;
    bool integers = p->precision != KERB_PRECISION_INT8;
    for (int i = 0; i < g->n_nodes && !integers; i++) {
        KerbOp op = g->nodes[i].op;
        integers = op == KERB_OP_QUANTIZE || op == KERB_OP_DEQUANTIZE || op == KERB_OP_QLINEAR_CONV || op == KERB_OP_QLINEAR_MATMUL;
    }
    if (integers) return KERB_OK;
    size_t stem = strlen(p->model->path);
    if (stem > 5 && strcmp(p->model->path + stem - 5, ".onnx") == 0) stem -= 5;
    return kerb_fail(error, KERB_ERROR_ARGUMENT,
                     "%s is a float model, and int8 needs a quantised one. Make it with frames as it will see them: kerb calibrate --model %s --frames DRIVE.mp4 -o "
                     "%.*s.int8.onnx", p->model->path, p->model->path, (int)stem, p->model->path);
}

KerbStatus kerb_pipeline_compile(KerbPipeline *p, int net_width_px, int net_height_px, KerbError *error)
{
    if (p->net && p->net_width_px == net_width_px && p->net_height_px == net_height_px) return KERB_OK;
    int64_t begin = kerb_now_ns();
    kerb_pipeline_free_net(p);
    KerbStatus status = check_int8(p, error);
    if (status == KERB_OK) status = compile_on_best(p, net_width_px, net_height_px, error);
    if (status != KERB_OK) {
        kerb_pipeline_free_net(p);
        return status;
    }
    p->net_width_px = net_width_px;
    p->net_height_px = net_height_px;
    p->input = kerb_tensor_view_nchw(p->backend->input(p->net, 0), p->model->input.nhwc ? 3 : 1);
    for (int i = 0; i < p->graph->n_heads; i++)
        p->scores[i] = kerb_tensor_view_nchw(p->backend->output(p->net, i), p->graph->heads[i].channel_axis);
    pthread_mutex_lock(&p->mutex);
    p->compile_ns += kerb_now_ns() - begin;
    p->stats_width_px = net_width_px;
    p->stats_height_px = net_height_px;
    pthread_mutex_unlock(&p->mutex);
    return KERB_OK;
}
