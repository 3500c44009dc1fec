/* SPDX-License-Identifier: MIT */
/* Nodes that no other file takes: the reference evaluates them on the host, within the stream. Right, and slow; so every graph that the
 * reference runs, this backend runs. */
#include "cuda/net/compile.h"
#include "net/ref/ref.h"

typedef struct KerbRefStep {
    KerbNet *net;
    KerbTensor *tensors; /* inputs, then outputs */
} KerbRefStep;

static KerbStatus kerb_ref_step_bind(KerbNet *net, KerbStep *step, KerbError *error)
{
    KerbRefStep *s = step->state;
    for (int i = 0; i < step->n_operands; i++) s->tensors[i] = step->operands[i].t;
    return KERB_OK;
}
static void CUDART_CB kerb_ref_step_fn(void *arg)
{
    const KerbStep *step = arg;
    KerbRefStep *s = step->state;
    KerbError error = {0};
    KerbStatus status = kerb_ref_eval(s->net->g, step->node, s->tensors, s->tensors + step->node->n_inputs, &error);
    if (status) kerb_cuda_set_fault(s->net, status, &error);
}
static KerbStatus kerb_ref_step_enqueue(KerbNet *net, KerbStep *step, cudaStream_t stream, KerbError *error)
{
    return kerb_cuda_on_host(net, step, stream, kerb_ref_step_fn, error);
}
static const KerbStepKind kerb_ref_step = {"ref", kerb_ref_step_bind, kerb_ref_step_enqueue};

KerbStatus kerb_cuda_compile_ref(KerbCompiler *c, const KerbNode *n)
{
    const int total = n->n_inputs + n->n_outputs;
    KerbOperand *o = kerb_cuda_object(c, (size_t)total * sizeof *o);
    KerbTensor *tensors = kerb_cuda_object(c, (size_t)total * sizeof *tensors);
    KerbStatus status = o && tensors ? KERB_OK : KERB_ERROR_MEMORY;
    for (int i = 0; i < n->n_inputs && !status; i++) status = kerb_cuda_host_value(c, n->inputs[i], &o[i]);
    for (int i = 0; i < n->n_outputs && !status; i++) {
        status = kerb_cuda_place_host(c, n->outputs[i], &o[n->n_inputs + i]);
        c->values[n->outputs[i]] = (KerbOperand){.root = KERB_NO_ROOT}; /* somebody may have begun, and found that it cannot */
    }
    if (status) return status;
    KerbStep *step = kerb_cuda_step(c, &kerb_ref_step, n, o, total, sizeof(KerbRefStep));
    if (!step) return KERB_ERROR_MEMORY;
    *(KerbRefStep *)step->state = (KerbRefStep){c->net, tensors};
    kerb_cuda_label(c, step, "ref %s", kerb_node_kind(n));
    c->net->host_steps++;
    return KERB_OK;
}
