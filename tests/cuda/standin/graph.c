/* SPDX-License-Identifier: MIT */
/* Stream capture, graphs and their launch. A graph is nodes with the nodes they come after; a launch does them one by one in a random order that
 * keeps to that, so that an edge which is missing shows. */
#include "machine.h"

#include <stdlib.h>
#include <string.h>

typedef struct KerbGraph {
    KerbHeld held;
    KerbRecipe *recipe;
} KerbGraph;

typedef struct KerbExec {
    KerbHeld held;
    KerbRecipe *recipe;
    KerbMarker *last; /* launches of one exec never overlap */
} KerbExec;

static uint64_t kerb_capture_ids;
static int kerb_captures_under_way;

/* -------------------------------------------------------------------------------------------------------------- recipes */

static void kerb_tail_set(KerbTail *tail, const int *nodes, int n)
{
    int *copy = n ? malloc((size_t)n * sizeof *copy) : NULL;
    if (n && !copy)
        abort();
    if (n)
        memcpy(copy, nodes, (size_t)n * sizeof *copy);
    free(tail->nodes);
    *tail = (KerbTail){ n, copy };
}

static void kerb_tail_add(KerbTail *tail, const KerbTail *more)
{
    int *all = malloc(((size_t)tail->n + (size_t)more->n + 1) * sizeof *all);
    if (!all)
        abort();
    int n = 0;
    for (int i = 0; i < tail->n + more->n; i++) {
        const int node = i < tail->n ? tail->nodes[i] : more->nodes[i - tail->n];
        bool there = false;
        for (int j = 0; j < n; j++)
            there |= all[j] == node;
        if (!there)
            all[n++] = node;
    }
    free(tail->nodes);
    *tail = (KerbTail){ n, all };
}

void kerb_recipe_unref_locked(KerbRecipe *recipe)
{
    if (!recipe || --recipe->refs)
        return;
    for (int i = 0; i < recipe->n; i++) {
        kerb_work_unref_locked(recipe->nodes[i].work);
        free(recipe->nodes[i].after.nodes);
    }
    free(recipe->nodes);
    free(recipe);
}

static void kerb_node_run_locked(KerbGraphNode *node, KerbMarker *marker, uint64_t *random)
{
    if (node->kind == KERB_NODE_WORK) {
        kerb_work_run_locked(node->work, random);
    } else if (node->kind == KERB_NODE_RECORD) {
        marker->done = true;
        marker->time_ns = kerb_machine_now_ns();
        pthread_cond_broadcast(&kerb_machine.changed);
    } else if (marker) {
        while (!marker->done)
            pthread_cond_wait(&kerb_machine.changed, &kerb_machine.lock);
    }
}

static bool kerb_node_ready(const KerbGraphNode *node, const bool *done)
{
    for (int i = 0; i < node->after.n; i++)
        if (!done[node->after.nodes[i]])
            return false;
    return true;
}

void kerb_recipe_run_locked(KerbRecipe *recipe, KerbMarker **markers, uint64_t *random)
{
    bool *done = calloc((size_t)recipe->n + 1, sizeof *done);
    if (!done)
        abort();
    for (int left = recipe->n; left > 0; left--) {
        int ready = 0, chosen = -1;
        for (int i = 0; i < recipe->n; i++) /* each ready one is as likely as the others */
            if (!done[i] && kerb_node_ready(&recipe->nodes[i], done) && kerb_random(random) % (uint64_t)++ready == 0)
                chosen = i;
        kerb_node_run_locked(&recipe->nodes[chosen], markers[chosen], random);
        done[chosen] = true;
    }
    free(done);
}

/* -------------------------------------------------------------------------------------------------------------- capture */

cudaError_t kerb_capture_add_locked(KerbStream *stream, KerbGraphNode node)
{
    KerbCapture *c = stream->capture;
    KerbRecipe *r = c->recipe;
    if (c->invalid != cudaSuccess) {
        kerb_work_unref_locked(node.work);
        return cudaErrorStreamCaptureInvalidated;
    }
    if (r->n == r->capacity) {
        const int capacity = r->capacity ? 2 * r->capacity : 64;
        KerbGraphNode *nodes = realloc(r->nodes, (size_t)capacity * sizeof *nodes);
        if (!nodes)
            abort();
        r->nodes = nodes;
        r->capacity = capacity;
    }
    node.after = (KerbTail){ 0, NULL };
    kerb_tail_set(&node.after, stream->capture_tail.nodes, stream->capture_tail.n);
    r->nodes[r->n] = node;
    kerb_tail_set(&stream->capture_tail, &(int){ r->n }, 1);
    r->n++;
    return cudaSuccess;
}

void kerb_capture_spoil_locked(KerbStream *stream, cudaError_t why)
{
    if (stream->capture->invalid == cudaSuccess)
        stream->capture->invalid = why;
}

void kerb_capture_mark_locked(KerbStream *stream, KerbEvent *event)
{
    event->capture_id = stream->capture->id;
    kerb_tail_set(&event->capture_tail, stream->capture_tail.nodes, stream->capture_tail.n);
}

static KerbCapture *kerb_capture_find_locked(uint64_t id)
{
    for (KerbStream *s = kerb_machine.streams; s; s = s->next_stream)
        if (s->capture && s->capture->id == id)
            return s->capture;
    return NULL;
}

/* The stream waits for an event of a capture: it joins it. */
cudaError_t kerb_capture_join_locked(KerbStream *stream, KerbEvent *event)
{
    KerbCapture *c = event->capture_id ? kerb_capture_find_locked(event->capture_id) : NULL;
    if (!c) {
        if (!stream->capture)
            return cudaErrorCapturedEvent; /* of a capture that is over */
        kerb_capture_spoil_locked(stream, cudaErrorStreamCaptureIsolation);
        return cudaErrorStreamCaptureIsolation;
    }
    if (stream->capture && stream->capture != c) {
        kerb_capture_spoil_locked(stream, cudaErrorStreamCaptureMerge);
        c->invalid = cudaErrorStreamCaptureMerge;
        return cudaErrorStreamCaptureMerge;
    }
    if (stream->legacy)
        return cudaErrorStreamCaptureImplicit;
    if (!stream->capture) {
        stream->capture = c;
        kerb_tail_set(&stream->capture_tail, NULL, 0);
    }
    kerb_tail_add(&stream->capture_tail, &event->capture_tail);
    return cudaSuccess;
}

bool kerb_capture_forbids_locked(void)
{
    bool forbids = false;
    for (KerbStream *s = kerb_captures_under_way ? kerb_machine.streams : NULL; s; s = s->next_stream) {
        KerbCapture *c = s->capture;
        if (c && (c->mode == cudaStreamCaptureModeGlobal || (c->mode == cudaStreamCaptureModeThreadLocal && pthread_equal(c->thread, pthread_self())))) {
            kerb_capture_spoil_locked(s, cudaErrorStreamCaptureInvalidated);
            forbids = true;
        }
    }
    return forbids;
}

static cudaError_t kerb_capture_begin_locked(cudaStream_t stream, enum cudaStreamCaptureMode mode)
{
    cudaError_t code;
    KerbStream *s = kerb_stream_find_locked(stream, "cudaStreamBeginCapture", &code);
    if (!s)
        return code;
    if (kerb_machine.config.no_capture || s->legacy)
        return cudaErrorStreamCaptureUnsupported;
    if (s->capture)
        return cudaErrorIllegalState;
    KerbCapture *c = calloc(1, sizeof *c);
    KerbRecipe *r = calloc(1, sizeof *r);
    if (!c || !r) {
        free(c);
        free(r);
        return cudaErrorMemoryAllocation;
    }
    r->refs = 1;
    *c = (KerbCapture){ .id = ++kerb_capture_ids, .mode = mode, .thread = pthread_self(), .origin = s, .recipe = r };
    s->capture = c;
    kerb_tail_set(&s->capture_tail, NULL, 0);
    kerb_captures_under_way++;
    return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode)
{
    cudaError_t code = kerb_call(__func__, 0);
    if (code != cudaSuccess)
        return code;
    kerb_machine_lock();
    code = kerb_capture_begin_locked(stream, mode);
    kerb_machine_unlock();
    return kerb_fail_with(code);
}

/* Everything that a forked stream did must come before the end of the origin. */
static bool kerb_capture_joined_locked(const KerbCapture *c)
{
    const KerbRecipe *r = c->recipe;
    bool *before = calloc((size_t)r->n + 1, sizeof *before);
    if (!before)
        abort();
    for (int i = 0; i < c->origin->capture_tail.n; i++)
        before[c->origin->capture_tail.nodes[i]] = true;
    for (int i = r->n - 1; i >= 0; i--)
        for (int j = 0; before[i] && j < r->nodes[i].after.n; j++)
            before[r->nodes[i].after.nodes[j]] = true;
    bool joined = true;
    for (const KerbStream *s = kerb_machine.streams; s; s = s->next_stream)
        for (int i = 0; s->capture == c && i < s->capture_tail.n; i++)
            joined &= before[s->capture_tail.nodes[i]];
    free(before);
    return joined;
}

static void kerb_capture_leave_locked(const KerbCapture *c)
{
    for (KerbStream *s = kerb_machine.streams; s; s = s->next_stream)
        if (s->capture == c) {
            s->capture = NULL;
            kerb_tail_set(&s->capture_tail, NULL, 0);
        }
    kerb_captures_under_way--;
}

void kerb_capture_abandon_locked(KerbStream *stream)
{
    KerbCapture *c = stream->capture;
    if (!c || c->origin != stream) {
        if (c)
            kerb_capture_spoil_locked(stream, cudaErrorStreamCaptureInvalidated);
        return;
    }
    kerb_capture_leave_locked(c);
    kerb_recipe_unref_locked(c->recipe);
    free(c);
}

static cudaError_t kerb_capture_end_locked(cudaStream_t stream, KerbGraph **out)
{
    cudaError_t code;
    KerbStream *s = kerb_stream_find_locked(stream, "cudaStreamEndCapture", &code);
    if (!s)
        return code;
    KerbCapture *c = s->capture;
    if (!c)
        return cudaErrorIllegalState;
    if (c->origin != s) {
        kerb_capture_spoil_locked(s, cudaErrorStreamCaptureUnmatched);
        return cudaErrorStreamCaptureUnmatched;
    }
    if (c->mode != cudaStreamCaptureModeRelaxed && !pthread_equal(c->thread, pthread_self()))
        return cudaErrorStreamCaptureWrongThread;
    code = c->invalid;
    if (code == cudaSuccess && !kerb_capture_joined_locked(c))
        code = cudaErrorStreamCaptureUnjoined;
    kerb_capture_leave_locked(c);
    KerbGraph *graph = code == cudaSuccess ? calloc(1, sizeof *graph) : NULL;
    if (graph) {
        graph->recipe = c->recipe;
        kerb_held_add_locked(&graph->held, KERB_HELD_GRAPH);
    } else {
        kerb_recipe_unref_locked(c->recipe);
    }
    free(c);
    *out = graph;
    return code;
}

/* A call that fails ends the capture all the same, as a lost context does. */
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *out)
{
    const cudaError_t failed = kerb_call(__func__, 0);
    KerbGraph *graph = NULL;
    if (out)
        *out = NULL;
    kerb_machine_lock();
    cudaError_t code = kerb_capture_end_locked(stream, &graph);
    if (graph && (failed != cudaSuccess || !out)) {
        kerb_held_remove_locked(&graph->held);
        kerb_recipe_unref_locked(graph->recipe);
        free(graph);
        graph = NULL;
        code = failed != cudaSuccess ? failed : cudaErrorInvalidValue;
    }
    kerb_machine_unlock();
    if (graph)
        *out = (cudaGraph_t)graph;
    return failed != cudaSuccess ? failed : kerb_fail_with(code);
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus *out)
{
    cudaError_t code = kerb_call(__func__, 0);
    if (code != cudaSuccess)
        return code;
    kerb_machine_lock();
    const KerbStream *s = kerb_stream_find_locked(stream, __func__, &code);
    if (s && out) {
        const KerbCapture *c = s->capture;
        *out = !c ? cudaStreamCaptureStatusNone : c->invalid ? cudaStreamCaptureStatusInvalidated : cudaStreamCaptureStatusActive;
        code = cudaSuccess;
    }
    kerb_machine_unlock();
    return kerb_fail_with(code);
}

cudaError_t cudaThreadExchangeStreamCaptureMode(enum cudaStreamCaptureMode *mode)
{
    /* Kerb has no use for it: captures say their mode. */
    const cudaError_t code = kerb_call(__func__, 0);
    (void)mode;
    return code != cudaSuccess ? code : kerb_fail_with(cudaErrorNotSupported);
}

/* --------------------------------------------------------------------------------------------------- graphs and launches */

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *n)
{
    const cudaError_t code = kerb_call(__func__, 0);
    if (code != cudaSuccess)
        return code;
    kerb_machine_lock();
    const KerbGraph *g = kerb_held_find_locked(graph, KERB_HELD_GRAPH, __func__);
    if (g && n && !nodes)
        *n = (size_t)g->recipe->n;
    kerb_machine_unlock();
    return g && n && !nodes ? cudaSuccess : kerb_fail_with(cudaErrorInvalidValue);
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph, unsigned long long flags)
{
    cudaError_t code = kerb_call(__func__, 0);
    (void)flags;
    if (out)
        *out = NULL;
    if (code != cudaSuccess)
        return code;
    kerb_machine_lock();
    KerbGraph *g = kerb_held_find_locked(graph, KERB_HELD_GRAPH, __func__);
    KerbExec *exec = g && out ? calloc(1, sizeof *exec) : NULL;
    if (exec) {
        exec->recipe = g->recipe; /* complete, so it never changes */
        exec->recipe->refs++;
        kerb_held_add_locked(&exec->held, KERB_HELD_EXEC);
        *out = (cudaGraphExec_t)exec;
    }
    kerb_machine_unlock();
    return exec ? cudaSuccess : kerb_fail_with(cudaErrorInvalidValue);
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t *out, cudaGraph_t graph, unsigned long long flags)
{
    return cudaGraphInstantiate(out, graph, flags);
}

cudaError_t cudaGraphUpload(cudaGraphExec_t exec, cudaStream_t stream)
{
    const cudaError_t code = kerb_call(__func__, 0);
    (void)exec, (void)stream;
    return code;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    const cudaError_t code = kerb_call(__func__, 0);
    kerb_machine_lock();
    KerbGraph *g = kerb_held_find_locked(graph, KERB_HELD_GRAPH, __func__);
    if (g) {
        kerb_held_remove_locked(&g->held);
        kerb_recipe_unref_locked(g->recipe);
        free(g);
    }
    kerb_machine_unlock();
    return g ? code : kerb_fail_with(cudaErrorInvalidValue);
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph)
{
    const cudaError_t code = kerb_call(__func__, 0);
    kerb_machine_lock();
    KerbExec *exec = kerb_held_find_locked(graph, KERB_HELD_EXEC, __func__);
    if (exec) {
        kerb_held_remove_locked(&exec->held);
        kerb_recipe_unref_locked(exec->recipe);
        kerb_marker_unref_locked(exec->last);
        free(exec);
    }
    kerb_machine_unlock();
    return exec ? code : kerb_fail_with(cudaErrorInvalidValue);
}

/* Events that the graph records or waits for, as they are at this launch. NULL where one is dead. */
static KerbMarker **kerb_launch_markers_locked(KerbRecipe *r)
{
    KerbMarker **markers = calloc((size_t)r->n + 1, sizeof(KerbMarker *));
    for (int i = 0; markers && i < r->n; i++) {
        KerbGraphNode *node = &r->nodes[i];
        if (node->kind == KERB_NODE_WORK)
            continue;
        KerbEvent *e = kerb_held_find_locked(node->event, KERB_HELD_EVENT, "cudaGraphLaunch");
        if (!e) {
            for (int j = 0; j < i; j++)
                kerb_marker_unref_locked(markers[j]);
            free(markers);
            return NULL;
        }
        if (node->kind == KERB_NODE_RECORD) {
            kerb_marker_unref_locked(e->marker);
            e->marker = kerb_marker_new();
            e->capture_id = 0;
        }
        markers[i] = e->marker;
        if (e->marker)
            e->marker->refs++;
    }
    return markers;
}

static cudaError_t kerb_launch_locked(cudaGraphExec_t graph, cudaStream_t stream)
{
    cudaError_t code;
    KerbStream *s = kerb_stream_find_locked(stream, "cudaGraphLaunch", &code);
    KerbExec *exec = s ? kerb_held_find_locked(graph, KERB_HELD_EXEC, "cudaGraphLaunch") : NULL;
    if (!s || !exec)
        return s ? cudaErrorInvalidValue : code;
    if (s->capture) {
        kerb_capture_spoil_locked(s, cudaErrorStreamCaptureInvalidated);
        return cudaErrorStreamCaptureUnsupported;
    }
    KerbMarker *last = kerb_marker_new(), **markers = kerb_launch_markers_locked(exec->recipe);
    if (!last || !markers) {
        kerb_marker_unref_locked(last);
        free(markers);
        return cudaErrorInvalidValue;
    }
    kerb_stream_order_locked(s);
    if (exec->last)
        kerb_stream_append_locked(s, (KerbOp){ .kind = KERB_OP_WAIT, .marker = exec->last });
    exec->recipe->refs++;
    kerb_stream_append_locked(s, (KerbOp){ .kind = KERB_OP_GRAPH, .recipe = exec->recipe, .node_markers = markers });
    last->refs = 2;
    exec->last = last;
    kerb_stream_append_locked(s, (KerbOp){ .kind = KERB_OP_SIGNAL, .marker = last });
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
    cudaError_t code = kerb_call(__func__, 0);
    if (code != cudaSuccess)
        return code;
    kerb_machine_lock();
    code = kerb_launch_locked(exec, stream);
    kerb_machine_unlock();
    return kerb_fail_with(code);
}
