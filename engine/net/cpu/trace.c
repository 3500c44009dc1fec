/* SPDX-License-Identifier: MIT */
/* Times by step: what each step computes, and how fast this machine could multiply, for shares of it. */
#include <stdatomic.h>

#include "base/error.h"
#include "base/pool.h"
#include "net/cpu/cpu.h"
#include "net/passes.h"

/* Operations of every node, at the step that does them: a node that a later one does belongs to that one's, the last that it made. */
static void kerb_trace_count(const KerbCompiler *c)
{
    KerbNet *net = c->net;
    for (int i = 0; i < c->g->n_nodes; i++) {
        if (c->g->nodes[i].dead) continue;
        int step = -1;
        for (uint32_t at = (uint32_t)i; step < 0 && at != KERB_NO_NODE; at = c->fused_into[at]) { /* a quantised node's step is its own */
            step = net->n_steps - 1;
            while (step >= 0 && net->steps[step]->node != &c->g->nodes[at]) step--;
        }
        if (step >= 0) net->trace.spans[step].flops += kerb_node_flops(c->g, &c->g->nodes[i]);
    }
}

#define PEAK_DEPTH 64
#define PEAK_TILES 400 /* a task: some 0.2 ms */
#define PEAK_TASKS 100 /* a thread */

typedef struct KerbPeak {
    const KerbCpuKernels *k;
    const float *source, *weights; /* read by all */
    _Atomic int64_t least_ns;      /* of a task */
} KerbPeak;

static void kerb_peak_task(void *arg, int index, int count, int thread)
{
    KerbPeak *peak = arg;
    float target[KERB_TILE_ROWS_MAX * 2 * KERB_LANES_MAX];
    const KerbTap tap = {0, 0};
    const KerbTile tile = {.source = peak->source, .source_step = PEAK_DEPTH, .taps = &tap, .n_taps = 1, .depth = PEAK_DEPTH, .weights = peak->weights, .target = target,
                           .target_step = 2 * KERB_LANES_MAX, .columns = 2 * peak->k->lanes};
    int64_t start = kerb_now_ns();
    for (int i = 0; i < PEAK_TILES; i++) peak->k->tile(&tile, peak->k->tile_rows);
    int64_t ns = kerb_now_ns() - start, least = atomic_load(&peak->least_ns);
    while (ns < least && !atomic_compare_exchange_weak(&peak->least_ns, &least, ns)) {}
}

/* Operations a second of the innermost loop on what lies in the first cache: the best that one thread does while all work, times the threads. 0: no memory. */
static double kerb_trace_peak(const KerbNet *net)
{
    const size_t rows = KERB_TILE_ROWS_MAX * PEAK_DEPTH, columns = 2 * KERB_LANES_MAX * PEAK_DEPTH;
    float *memory = kerb_alloc((rows + columns) * sizeof *memory);
    if (!memory) return 0;
    for (size_t i = 0; i < rows + columns; i++) memory[i] = 1;
    KerbPeak peak = {.k = net->k, .source = memory + columns, .weights = memory, .least_ns = INT64_MAX};
    kerb_pool_run(net->pool, kerb_peak_task, &peak, PEAK_TASKS * net->threads);
    kerb_free(&memory);
    return net->threads * 2.0 * PEAK_DEPTH * net->k->tile_rows * 2 * net->k->lanes * PEAK_TILES / ((double)peak.least_ns * 1e-9);
}

KerbStatus kerb_cpu_open_trace(KerbCompiler *c)
{
    KerbNet *net = c->net;
    if (!c->options->trace || !net->n_steps) return KERB_OK;
    net->trace.spans = kerb_cpu_object(c, (size_t)net->n_steps * sizeof *net->trace.spans);
    if (!net->trace.spans) return KERB_ERROR_MEMORY;
    net->trace.n = net->n_steps;
    for (int i = 0; i < net->n_steps; i++) net->trace.spans[i] = (KerbSpan){.name = net->steps[i]->label};
    kerb_trace_count(c);
    if (!net->bf16 && !net->int8) net->trace.peak_flops_s = kerb_trace_peak(net);
    return KERB_OK;
}
