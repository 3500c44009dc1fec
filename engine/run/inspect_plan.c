/* SPDX-License-Identifier: MIT */
/* `kerb inspect --plan`: compiles the network, runs it on noise, and says how each step is computed and how long it takes. */
#include "run/config.h"
#include "run/inspect.h"

#include "base/cpu.h"
#include "base/trace.h"

#include <stdlib.h>

#define LEAST_RUNS 5
#define MOST_RUNS 50
#define ENOUGH_NS 2000000000 /* of running */

static void fill(const KerbBackend *backend, KerbNet *net, const KerbGraph *g)
{
    uint32_t noise = 1;
    for (int i = 0; i < g->n_inputs; i++) {
        const KerbTensor *t = backend->input(net, i);
        for (int64_t k = 0, n = kerb_tensor_elements(t); k < n; k++) {
            noise = noise * 1664525 + 1013904223;
            kerb_tensor_set(t, k, (double)(noise >> 8) / (1 << 23) - 1);
        }
    }
}

/* The least of each step and of the whole; what the first runs take is not what later ones do. */
static KerbStatus measure(KerbInspectPlan *plan, KerbError *error)
{
    int64_t spent = 0;
    for (plan->runs = 0; plan->runs < LEAST_RUNS || (plan->runs < MOST_RUNS && spent < ENOUGH_NS); plan->runs++) {
        for (int i = 0; i < plan->trace.n; i++) plan->trace.spans[i].total_ns = plan->trace.spans[i].count = 0;
        int64_t start = kerb_now_ns();
        KerbStatus status = plan->choice->backend->run(plan->net, error);
        if (status != KERB_OK) return status;
        int64_t ns = kerb_now_ns() - start;
        spent += ns;
        if (!plan->runs || ns < plan->least_ns) plan->least_ns = ns;
        for (int i = 0; i < plan->trace.n; i++) {
            int64_t each = plan->trace.spans[i].total_ns;
            if (!plan->runs || each < plan->step_ns[i]) plan->step_ns[i] = each;
        }
    }
    return KERB_OK;
}

KerbStatus kerb_inspect_choose(KerbInspection *x, const KerbConfig *config, KerbError *error)
{
    int at = 0;
    while (at < x->n_backends && x->backends[at].lacks.text) at++;
    if (at == x->n_backends) return kerb_fail(error, KERB_ERROR_UNSUPPORTED, "%s: no backend here runs all of it, so there is no plan to show", x->model->path);
    x->how.choice = x->backends[at].choice;
    return kerb_backend_precision(x->how.choice, x->graph, config->precision, &x->how.precision, error);
}

KerbStatus kerb_inspect_plan(KerbInspection *x, const KerbConfig *config, KerbError *error)
{
    KerbInspectPlan *plan = &x->how;
    const KerbBackend *backend = plan->choice->backend;
    cpu_set_t named, before;
    const cpu_set_t *cores = kerb_config_cores(config, &named);
    kerb_cpu_keep_to(cores, &before);
    plan->threads = kerb_config_threads(config, cores);
    kerb_backend_text(plan->choice, plan->precision, plan->text, sizeof plan->text);
    KerbCompileOptions options = { .threads = plan->threads, .device_id = plan->choice->device.id, .precision = plan->precision, .no_tune = !config->tune, .trace = true,
                                   .progress = config->progress, .progress_user = config->progress_user };
    KerbStatus status = backend->compile(&plan->net, x->graph, &options, error);
    if (status == KERB_OK) {
        plan->trace = backend->trace ? backend->trace(plan->net) : (KerbTrace){ 0 };
        plan->step_ns = calloc((size_t)plan->trace.n + 1, sizeof *plan->step_ns);
        if (!plan->step_ns) status = kerb_fail(error, KERB_ERROR_MEMORY, "no memory for the times of %d steps", plan->trace.n);
    }
    if (status == KERB_OK) {
        fill(backend, plan->net, x->graph);
        status = measure(plan, error);
    }
    kerb_cpu_give_back(cores, &before);
    return status;
}

void kerb_inspect_plan_free(KerbInspectPlan *plan)
{
    if (plan->net) plan->choice->backend->free(&plan->net);
    free(plan->step_ns);
}
