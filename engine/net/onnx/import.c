/* SPDX-License-Identifier: MIT */
/* The model's views -> KerbGraph: names become ids, each node goes through its rule (rules.c), what is unsupported is
 * collected and told in one message. What leaves: a sorted graph in the newest opset's terms; no shapes but the inputs' and constants' own
 * (inference is a pass). */
#include "net/onnx/import.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>

/* ---- what is unsupported */

void kerb_import_lack_of(KerbImport *im, const char *type, const char *node, const char *why)
{
    KerbLack *lack = NULL;
    for (int i = 0; i < im->n_lacks && !lack; i++)
        if (strcmp(im->lacks[i].type, type) == 0 && strcmp(im->lacks[i].why, why) == 0) lack = &im->lacks[i];
    if (!lack) {
        if (im->n_lacks == KERB_ONNX_MAX_LACKS) {
            im->n_lacks_more++;
            return;
        }
        lack = &im->lacks[im->n_lacks++];
        *lack = (KerbLack){ .type = kerb_arena_strdup(im->scratch, type), .why = kerb_arena_strdup(im->scratch, why) };
        if (!lack->type || !lack->why) {
            im->n_lacks--;
            kerb_import_no_memory(im);
            return;
        }
    }
    if (lack->count < 3) lack->nodes[lack->count] = kerb_arena_strndup(im->scratch, node, strnlen(node, 80));
    lack->count++;
}

/* "GridSample (node 'gs_1'), NonMaxSuppression (2 nodes: 'a', 'b')" */
static void kerb_lacks_text(const KerbImport *im, KerbText *text)
{
    int told = 0;
    for (int i = 0; i < im->n_lacks && text->bytes < 1600; i++, told++) { /* an error's message ends at 2048 */
        const KerbLack *lack = &im->lacks[i];
        kerb_text_append(text, "%s%.80s%s%s", i ? ", " : "", lack->type, lack->why[0] ? " with " : "", lack->why);
        if (lack->count == 1) kerb_text_append(text, " (node '%s')", lack->nodes[0] ? lack->nodes[0] : "?");
        else kerb_text_append(text, " (%d nodes:", lack->count);
        for (int k = 0; lack->count > 1 && k < 3 && k < lack->count; k++)
            kerb_text_append(text, "%s '%s'", k ? "," : "", lack->nodes[k] ? lack->nodes[k] : "?");
        if (lack->count > 1) kerb_text_append(text, "%s)", lack->count > 3 ? ", ..." : "");
    }
    int more = im->n_lacks - told + im->n_lacks_more;
    if (more) kerb_text_append(text, " and %d more", more);
}

static KerbStatus kerb_import_unsupported(const KerbImport *im)
{
    KerbText text = { 0 };
    kerb_lacks_text(im, &text);
    KerbStatus status = kerb_fail(im->error, KERB_ERROR_UNSUPPORTED,
                                  "the model uses what Kerb cannot run: %s; opset %lld. Export the network without it (often a "
                                  "post-processing step that belongs outside), or with another opset",
                                  text.text ? text.text : "?", (long long)im->opset);
    kerb_text_free(&text);
    return status;
}

/* ---- names -> values */

static const char *kerb_import_text(KerbImport *im, KerbBytes bytes)
{
    const char *text = kerb_bytes_text(im->scratch, bytes);
    if (!text) kerb_import_no_memory(im);
    return text ? text : "";
}

static void kerb_import_initializers(KerbImport *im)
{
    for (int i = 0; i < im->onnx->n_initializers && im->status == KERB_OK; i++) {
        const KerbOnnxTensor *t = &im->onnx->initializers[i];
        const char *name = kerb_import_text(im, t->name);
        bool borrowed = false;
        if (kerb_graph_find(im->g, name) != KERB_NO_VALUE) {
            im->status = kerb_fail(im->error, KERB_ERROR_ASSET, "two weights of the model have the name '%.200s'; export it again", name);
            return;
        }
        uint32_t id;
        if (t->why) {
            kerb_import_lack_of(im, "a weight", name, t->why);
            id = kerb_graph_add_value(im->g, name, KERB_DTYPE_NONE, -1, NULL);
        } else {
            const void *data = kerb_onnx_tensor_values(t, im->g->arena, &borrowed);
            id = data ? kerb_graph_add_constant(im->g, name, t->dtype, t->rank, t->dims, data, false) : KERB_NO_VALUE;
            if (id != KERB_NO_VALUE) im->g->values[id].borrowed = borrowed;
        }
        if (id == KERB_NO_VALUE) kerb_import_no_memory(im);
    }
    if (im->onnx->n_sparse) kerb_import_lack_of(im, "a weight", "sparse_initializer", "a sparse tensor");
}

static void kerb_import_symbols(KerbImport *im, KerbValue *v, const KerbOnnxValueInfo *info)
{
    for (int i = 0; i < v->rank; i++) {
        if (info->dims[i] != KERB_DIM_UNKNOWN || !info->symbols[i].size) continue;
        v->symbols[i] = kerb_bytes_text(im->g->arena, info->symbols[i]);
        if (!v->symbols[i]) kerb_import_no_memory(im);
    }
}

/* Graph inputs; files of old IR versions list their weights here as well. */
static void kerb_import_inputs(KerbImport *im)
{
    const KerbOnnx *o = im->onnx;
    KerbGraph *g = im->g;
    g->inputs = kerb_arena_alloc(g->arena, (size_t)o->n_inputs * sizeof *g->inputs);
    if (!g->inputs) kerb_import_no_memory(im);
    int n_weights = g->n_values;
    for (int i = 0; i < o->n_inputs && im->status == KERB_OK; i++) {
        const KerbOnnxValueInfo *info = &o->inputs[i];
        const char *name = kerb_import_text(im, info->name);
        uint32_t have = kerb_graph_find(g, name);
        if (have < (uint32_t)n_weights) continue; /* KERB_NO_VALUE is greater than all */
        if (have != KERB_NO_VALUE || !name[0]) {
            im->status = kerb_fail(im->error, KERB_ERROR_ASSET, "two inputs of the model have the name '%.200s'; export it again", name);
            return;
        }
        if (info->kind || info->dtype == KERB_DTYPE_NONE) {
            const char *why = kerb_arena_printf(im->scratch, "type %s", info->kind ? info->kind : kerb_onnx_type_name(info->onnx_type));
            kerb_import_lack_of(im, "an input", name, why ? why : "?");
        }
        if (info->rank > KERB_MAX_RANK) kerb_import_lack_of(im, "an input", name, "more than 8 dimensions");
        int rank = info->rank > KERB_MAX_RANK ? -1 : info->rank;
        uint32_t id = kerb_graph_add_value(g, name, info->dtype, rank, info->dims);
        if (id == KERB_NO_VALUE) {
            kerb_import_no_memory(im);
            return;
        }
        kerb_import_symbols(im, &g->values[id], info);
        g->inputs[g->n_inputs++] = id;
    }
}

static const char *kerb_import_node_name(KerbImport *im, int index)
{
    const KerbOnnxNode *n = &im->onnx->nodes[index];
    if (n->name.size) return kerb_import_text(im, n->name);
    const char *name = kerb_arena_printf(im->scratch, "%s_%d", kerb_import_text(im, n->type), index);
    if (!name) kerb_import_no_memory(im);
    return name ? name : "?";
}

/* Every node's outputs, before any node is built: so nothing that is invented later can take one of their names. */
static void kerb_import_outputs_of_nodes(KerbImport *im, uint32_t **ids)
{
    for (int i = 0; i < im->onnx->n_nodes && im->status == KERB_OK; i++) {
        const KerbOnnxNode *n = &im->onnx->nodes[i];
        ids[i] = kerb_arena_alloc(im->scratch, (size_t)(n->n_outputs + n->n_inputs) * sizeof **ids);
        if (!ids[i]) kerb_import_no_memory(im);
        for (int k = 0; k < n->n_outputs && im->status == KERB_OK; k++) {
            ids[i][k] = KERB_NO_VALUE;
            if (!n->outputs[k].size) continue;
            const char *name = kerb_import_text(im, n->outputs[k]);
            if (kerb_graph_find(im->g, name) != KERB_NO_VALUE) {
                im->status = kerb_fail(im->error, KERB_ERROR_ASSET,
                                       "node '%.200s' writes '%.200s', but another node, an input or a weight has that name too; "
                                       "export the model again",
                                       kerb_import_node_name(im, i), name);
                return;
            }
            ids[i][k] = kerb_graph_add_value(im->g, name, KERB_DTYPE_NONE, -1, NULL);
            if (ids[i][k] == KERB_NO_VALUE) kerb_import_no_memory(im);
        }
    }
}

static void kerb_import_inputs_of_nodes(KerbImport *im, uint32_t **ids)
{
    for (int i = 0; i < im->onnx->n_nodes && im->status == KERB_OK; i++) {
        const KerbOnnxNode *n = &im->onnx->nodes[i];
        for (int k = 0; k < n->n_inputs && im->status == KERB_OK; k++) {
            uint32_t *id = &ids[i][n->n_outputs + k];
            *id = KERB_NO_VALUE;
            if (!n->inputs[k].size) continue;
            const char *name = kerb_import_text(im, n->inputs[k]);
            *id = kerb_graph_find(im->g, name);
            if (*id == KERB_NO_VALUE)
                im->status = kerb_fail(im->error, KERB_ERROR_ASSET,
                                       "%.80s (node '%.200s') reads '%.200s', which is no input, no weight and no node's output; "
                                       "export the model again",
                                       kerb_import_text(im, n->type), kerb_import_node_name(im, i), name);
            else im->reads[*id]++;
        }
    }
}

static void kerb_import_outputs(KerbImport *im)
{
    const KerbOnnx *o = im->onnx;
    KerbGraph *g = im->g;
    g->outputs = kerb_arena_alloc(g->arena, (size_t)o->n_outputs * sizeof *g->outputs);
    if (!g->outputs) kerb_import_no_memory(im);
    for (int i = 0; i < o->n_outputs && im->status == KERB_OK; i++) {
        const char *name = kerb_import_text(im, o->outputs[i].name);
        uint32_t id = kerb_graph_find(g, name);
        if (id == KERB_NO_VALUE) {
            im->status = kerb_fail(im->error, KERB_ERROR_ASSET, "nothing in the model makes its output '%.200s'; export it again", name);
            return;
        }
        im->reads[id]++;
        g->outputs[g->n_outputs++] = id;
    }
    if (im->status == KERB_OK && g->n_outputs == 0)
        im->status = kerb_fail(im->error, KERB_ERROR_ASSET, "the model has no outputs; export it again");
}

/* What the file says of types and ranks. Only rules for old forms use it: shapes are inferred later, from the input on. */
static void kerb_import_known(KerbImport *im)
{
    KerbGraph *g = im->g;
    for (int i = 0; i < im->n_known; i++) {
        im->types[i] = g->values[i].dtype;
        im->ranks[i] = (int8_t)g->values[i].rank;
    }
    for (int pass = 0; pass < 2; pass++) {
        const KerbOnnxValueInfo *infos = pass ? im->onnx->outputs : im->onnx->infos;
        int n = pass ? im->onnx->n_outputs : im->onnx->n_infos;
        for (int i = 0; i < n && im->status == KERB_OK; i++) {
            uint32_t id = kerb_graph_find(g, kerb_import_text(im, infos[i].name));
            if (id == KERB_NO_VALUE || infos[i].kind) continue;
            if (im->types[id] == KERB_DTYPE_NONE) im->types[id] = infos[i].dtype;
            if (im->ranks[id] < 0 && infos[i].rank >= 0 && infos[i].rank <= KERB_MAX_RANK) im->ranks[id] = (int8_t)infos[i].rank;
        }
    }
}

/* ---- nodes */

static bool kerb_import_arity(KerbImport *im, const KerbRule *rule)
{
    int n = im->n_inputs;
    bool ok = n >= rule->min_inputs && (rule->max_inputs < 0 || n <= rule->max_inputs);
    for (int i = 0; i < rule->min_inputs && ok; i++) ok = im->inputs[i] != KERB_NO_VALUE;
    for (int i = 0; rule->max_inputs < 0 && i < n && ok; i++) ok = im->inputs[i] != KERB_NO_VALUE;
    if (!ok && rule->max_inputs < 0)
        kerb_import_bad(im, "it needs at least %d inputs, none of them absent, and has %d", rule->min_inputs, n);
    else if (!ok) kerb_import_bad(im, "it needs %d to %d inputs and has %d", rule->min_inputs, rule->max_inputs, n);
    else if (im->n_outputs == 0) kerb_import_bad(im, "it has no output");
    else if (rule->max_outputs >= 0 && im->n_outputs > rule->max_outputs)
        kerb_import_bad(im, "it has at most %d outputs, and %d are there", rule->max_outputs, im->n_outputs);
    return im->status == KERB_OK;
}

static void kerb_import_warn_unread(const KerbImport *im)
{
    for (int i = 0; i < im->node->n_attributes; i++) {
        KerbBytes name = im->node->attributes[i].name;
        if (im->attributes_read & (uint64_t)1 << i || kerb_bytes_are(name, "consumed_inputs")) continue;
        kerb_log(KERB_LOG_DEBUG, "%.80s (node '%.200s'): attribute '%.*s' is not known and is ignored", im->type, im->name,
                 (int)(name.size < 80 ? name.size : 80), name.data ? (const char *)name.data : "");
    }
}

static void kerb_import_node(KerbImport *im, int index, uint32_t *ids)
{
    const KerbOnnxNode *n = &im->onnx->nodes[index];
    const KerbRule *rule = n->domain.size ? NULL : kerb_rule_find(n->type);
    im->node = n;
    im->name = kerb_import_node_name(im, index);
    im->type = kerb_import_text(im, n->type);
    im->outputs = ids;
    im->inputs = ids + n->n_outputs;
    im->n_inputs = n->n_inputs;
    im->n_outputs = n->n_outputs;
    im->attributes_read = 0;
    im->lacking = false;
    while (im->n_inputs && im->inputs[im->n_inputs - 1] == KERB_NO_VALUE) im->n_inputs--;
    if (n->domain.size) {
        const char *type = kerb_arena_printf(im->scratch, "%s.%s", kerb_import_text(im, n->domain), im->type);
        kerb_import_lack_of(im, type ? type : "?", im->name, "");
        return;
    }
    if (!rule) {
        kerb_import_lack_of(im, im->type, im->name, "");
        return;
    }
    if (im->opset < rule->min_opset) {
        kerb_import_lack(im, "a form older than opset %d", rule->min_opset);
        return;
    }
    while (rule->max_outputs >= 0 && im->n_outputs > 1 &&
           (im->outputs[im->n_outputs - 1] == KERB_NO_VALUE || !im->reads[im->outputs[im->n_outputs - 1]]))
        im->n_outputs--;
    if (!kerb_import_arity(im, rule)) return;
    if (im->outputs[0] == KERB_NO_VALUE) im->outputs[0] = kerb_import_between(im, "unused");
    for (int i = 0; i < im->n_outputs && rule->keeps != KERB_KEEPS_NOTHING; i++)
        kerb_import_says(im, i, kerb_import_type(im, 0), rule->keeps == KERB_KEEPS_RANK ? kerb_import_rank(im, 0) : -1);
    if (im->status == KERB_OK) rule->import(im, rule);
    if (im->status == KERB_OK && !im->lacking && kerb_log_enabled(KERB_LOG_DEBUG)) kerb_import_warn_unread(im);
}

static void kerb_import_nodes(KerbImport *im)
{
    size_t n_nodes = (size_t)im->onnx->n_nodes;
    uint32_t **ids = kerb_arena_alloc(im->scratch, n_nodes * sizeof *ids);
    if (!ids) kerb_import_no_memory(im);
    else kerb_import_outputs_of_nodes(im, ids);
    if (im->status != KERB_OK) return;
    im->n_known = im->g->n_values;
    im->types = kerb_arena_alloc(im->scratch, (size_t)im->n_known * sizeof *im->types);
    im->ranks = kerb_arena_alloc(im->scratch, (size_t)im->n_known * sizeof *im->ranks);
    im->reads = kerb_arena_alloc(im->scratch, (size_t)im->n_known * sizeof *im->reads);
    if (!im->types || !im->ranks || !im->reads) {
        kerb_import_no_memory(im);
        return;
    }
    kerb_import_inputs_of_nodes(im, ids);
    if (im->status == KERB_OK) kerb_import_outputs(im);
    if (im->status == KERB_OK) kerb_import_known(im);
    /* Constants first: rules look at them, and nodes need not be in order. */
    for (int constants = 1; constants >= 0; constants--)
        for (int i = 0; i < im->onnx->n_nodes && im->status == KERB_OK; i++)
            if (kerb_bytes_are(im->onnx->nodes[i].type, "Constant") == (constants == 1)) kerb_import_node(im, i, ids[i]);
}

/* ---- the whole */

static void kerb_import_metadata(KerbImport *im)
{
    const KerbOnnx *o = im->onnx;
    KerbGraph *g = im->g;
    g->opset = o->opset;
    g->producer = kerb_arena_printf(g->arena, "%s%s%s", kerb_import_text(im, o->producer), o->producer_version.size ? " " : "",
                                    kerb_import_text(im, o->producer_version));
    g->metadata_keys = kerb_arena_alloc(g->arena, (size_t)o->n_metadata * sizeof *g->metadata_keys);
    g->metadata_values = kerb_arena_alloc(g->arena, (size_t)o->n_metadata * sizeof *g->metadata_values);
    bool ok = g->producer && g->metadata_keys && g->metadata_values;
    for (int i = 0; ok && i < o->n_metadata; i++) {
        g->metadata_keys[i] = kerb_bytes_text(g->arena, o->metadata_keys[i]);
        /* Values are data (JSON, perhaps in lines): kept as they are. */
        g->metadata_values[i] = kerb_arena_strndup(g->arena, o->metadata_values[i].size ? (const char *)o->metadata_values[i].data : "",
                                                   o->metadata_values[i].size);
        ok = g->metadata_keys[i] && g->metadata_values[i];
    }
    if (ok) g->n_metadata = o->n_metadata;
    else kerb_import_no_memory(im);
}

static KerbStatus kerb_import_start(KerbImport **out, const KerbOnnx *onnx, KerbError *error)
{
    KerbArena *scratch = kerb_arena_new(0);
    KerbImport *im = scratch ? kerb_arena_alloc(scratch, sizeof *im) : NULL;
    *out = im;
    if (!im) {
        kerb_arena_free(&scratch);
        return kerb_fail(error, KERB_ERROR_MEMORY, "out of memory for importing the model");
    }
    im->onnx = onnx;
    im->scratch = scratch;
    im->error = error;
    im->opset = onnx->opset;
    return im->status = kerb_graph_new(&im->g, error);
}

/* Frees the import; the graph too, unless it was taken. */
static void kerb_import_end(KerbImport **im)
{
    if (!*im) return;
    kerb_graph_free(&(*im)->g);
    KerbArena *scratch = (*im)->scratch; /* the import itself lies in it */
    *im = NULL;
    kerb_arena_free(&scratch);
}

static void kerb_import_run(KerbImport *im)
{
    if (im->opset < 1 || im->opset > KERB_ONNX_MAX_OPSET) {
        im->status = kerb_fail(im->error, KERB_ERROR_UNSUPPORTED,
                               "the model uses opset %lld of ai.onnx, Kerb reads 7 to %d; export it with opset_version=17",
                               (long long)im->opset, KERB_ONNX_MAX_OPSET);
        return;
    }
    kerb_import_metadata(im);
    if (im->status == KERB_OK) kerb_import_initializers(im);
    if (im->status == KERB_OK) kerb_import_inputs(im);
    if (im->status == KERB_OK) kerb_import_nodes(im);
}

KerbStatus kerb_onnx_import(const KerbOnnx *onnx, KerbGraph **out, KerbError *error)
{
    KerbImport *im;
    *out = NULL;
    KerbStatus status = kerb_import_start(&im, onnx, error);
    if (status == KERB_OK) {
        kerb_import_run(im);
        status = im->status;
    }
    if (status == KERB_OK && im->n_lacks) status = kerb_import_unsupported(im);
    if (status == KERB_OK) status = kerb_graph_sort(im->g, error);
    if (status == KERB_OK) {
        *out = im->g;
        im->g = NULL;
    }
    kerb_import_end(&im);
    return status;
}

int kerb_onnx_unsupported(const KerbOnnx *onnx, char *text, size_t bytes)
{
    KerbImport *im;
    KerbError error = { 0 };
    int n = 0;
    size_t used = 0;
    if (bytes) text[0] = '\0';
    if (kerb_import_start(&im, onnx, &error) == KERB_OK) {
        kerb_import_run(im);
        n = im->n_lacks + im->n_lacks_more;
        for (int i = 0; i < im->n_lacks && used < bytes; i++) {
            const KerbLack *lack = &im->lacks[i];
            const char *with = lack->why[0] ? " with " : "";
            int length = snprintf(text + used, bytes - used, "%s%s%s%s", i ? ", " : "", lack->type, with, lack->why);
            used += length > 0 ? (size_t)length : 0;
        }
    }
    kerb_import_end(&im);
    return n;
}
