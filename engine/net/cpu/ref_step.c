/* SPDX-License-Identifier: MIT */
/* Nodes that no other file takes: the reference evaluates them on the strided tensors. Right, and slow. */
#include <string.h>

#include "base/error.h"
#include "net/cpu/cpu.h"
#include "net/ref/ref.h"

static KerbStatus kerb_ref_step_bind(KerbNet *net, KerbStep *step, KerbError *error)
{
    const KerbNode *n = step->node;
    KerbTensor *tensors = step->state; /* inputs, then outputs */
    for (int i = 0; i < n->n_inputs + n->n_outputs; i++) tensors[i] = step->operands[i].t;
    return KERB_OK;
}
static KerbStatus kerb_ref_step_run(KerbNet *net, KerbStep *step)
{
    KerbTensor *tensors = step->state;
    return kerb_ref_eval(net->g, step->node, tensors, tensors + step->node->n_inputs, NULL);
}
static const KerbStepKind kerb_ref_step = {"ref", kerb_ref_step_bind, kerb_ref_step_run, NULL};

KerbStatus kerb_cpu_compile_ref(KerbCompiler *c, const KerbNode *n)
{
    int total = n->n_inputs + n->n_outputs;
    KerbOperand *o = kerb_cpu_object(c, (size_t)total * sizeof *o);
    KerbTensor *tensors = kerb_cpu_object(c, (size_t)total * sizeof *tensors);
    if (!o || !tensors) return KERB_ERROR_MEMORY;
    KerbStatus status;
    for (int i = 0; i < n->n_inputs; i++) {
        o[i] = kerb_cpu_value(c, n->inputs[i]);
        if (o[i].t.dtype == KERB_BF16 && c->g->values[n->inputs[i]].dtype == KERB_F32 &&
            (status = kerb_cpu_picture(c, n->inputs[i], KERB_F32, &o[i])))
            return status;
    }
    KerbOperand bf16 = {.t.dtype = KERB_DTYPE_NONE}; /* where the first output must go in the end, if that is bf16 */
    for (int i = 0; i < n->n_outputs; i++) {
        KerbOperand *y = &o[n->n_inputs + i];
        *y = (KerbOperand){.root = KERB_NO_ROOT};
        if (n->outputs[i] == KERB_NO_VALUE) continue;
        if ((status = kerb_cpu_place(c, n->outputs[i], y))) return status;
        if (i || y->t.dtype != KERB_BF16 || c->g->values[n->outputs[i]].dtype != KERB_F32) continue;
        bf16 = *y;
        KerbTensor t = kerb_tensor(NULL, KERB_F32, y->t.rank, y->t.dims);
        if ((status = kerb_cpu_temporary(c, &t, y))) return status;
    }
    KerbStep *step = kerb_cpu_step(c, &kerb_ref_step, n, o, total, 0);
    if (!step) return KERB_ERROR_MEMORY;
    step->state = tensors;
    kerb_cpu_label(c, step, "ref %s", kerb_node_kind(n));
    return bf16.t.dtype == KERB_BF16 ? kerb_cpu_copy(c, n, &o[n->n_inputs], &bf16) : KERB_OK;
}
