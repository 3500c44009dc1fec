/* SPDX-License-Identifier: MIT */
/* How steps come to be, and what every kind of step uses. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cuda/net/compile.h"

KerbStatus kerb_cuda_no_memory(KerbCompiler *c, size_t bytes)
{
    return kerb_fail(c->error, KERB_ERROR_MEMORY,
                     "no memory on the host for %zu bytes while compiling for CUDA: use a smaller network size or model", bytes);
}

void *kerb_cuda_object(KerbCompiler *c, size_t bytes)
{
    void *p = kerb_arena_alloc(c->net->objects, bytes ? bytes : 1);
    if (!p) kerb_cuda_no_memory(c, bytes);
    return p;
}

static void kerb_cuda_touch(KerbNet *net, const KerbOperand *o, int step)
{
    if (o->root == KERB_NO_ROOT) return;
    KerbRoot *r = &net->roots[o->space][o->root];
    if (step < r->first) r->first = step;
    if (step > r->last) r->last = step;
}

KerbStep *kerb_cuda_step(KerbCompiler *c, const KerbStepKind *kind, const KerbNode *node, const KerbOperand *operands, int n,
                         size_t state_bytes)
{
    KerbNet *net = c->net;
    if (net->n_steps == net->cap_steps) {
        int cap = net->cap_steps ? net->cap_steps * 2 : 128;
        KerbStep **grown = realloc(net->steps, (size_t)cap * sizeof *grown);
        if (!grown) {
            kerb_cuda_no_memory(c, (size_t)cap * sizeof *grown);
            return NULL;
        }
        net->steps = grown;
        net->cap_steps = cap;
    }
    KerbStep *s = kerb_cuda_object(c, sizeof *s);
    KerbOperand *copy = s ? kerb_cuda_object(c, (size_t)n * sizeof *copy) : NULL;
    void *state = copy ? kerb_cuda_object(c, state_bytes) : NULL;
    if (!state) return NULL;
    memcpy(copy, operands, (size_t)n * sizeof *copy);
    *s = (KerbStep){.kind = kind, .node = node, .operands = copy, .n_operands = n, .state = state};
    for (int i = 0; i < n; i++) kerb_cuda_touch(net, &operands[i], net->n_steps);
    net->steps[net->n_steps++] = s;
    kerb_cuda_label(c, s, "%s", kind->name);
    return s;
}

void kerb_cuda_label(KerbCompiler *c, KerbStep *step, const char *format, ...)
{
    char text[160];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const char *label = kerb_arena_printf(c->net->objects, "%s  [%s]", text, step->node ? step->node->name : "");
    step->label = label ? label : step->kind->name;
}

KerbPicture kerb_cuda_as_picture(const KerbOperand *o)
{
    const KerbTensor *t = &o->t;
    return (KerbPicture){.type = (int32_t)t->dtype,
                         .c = (int32_t)t->dims[1],
                         .h = (int32_t)t->dims[2],
                         .w = (int32_t)t->dims[3],
                         .row = t->strides[2],
                         .pixel = t->strides[3],
                         .padding = kerb_cuda_padding(o)};
}

KerbStrided kerb_cuda_as_strided(const KerbOperand *o)
{
    KerbStrided s;
    kerb_strided_tensor(&o->t, o->t.data, &s); /* dims fit: kerb_cuda_check_sizes() */
    return s;
}

KerbStatus kerb_cuda_launched(const KerbStep *step, cudaError_t code, KerbError *error)
{
    return code == cudaSuccess ? KERB_OK : kerb_cuda_check(code, step->label, error);
}

KerbStatus kerb_cuda_on_host(KerbNet *net, KerbStep *step, cudaStream_t stream, cudaHostFn_t fn, KerbError *error)
{
    return kerb_cuda_launched(step, cudaLaunchHostFunc(stream, fn, step), error);
}

/* Only the stream's own thread writes, one host step at a time; the flag is what makes it seen. */
void kerb_cuda_set_fault(KerbNet *net, KerbStatus status, const KerbError *error)
{
    if (__atomic_load_n(&net->fault, __ATOMIC_ACQUIRE)) return; /* the first one is the cause */
    net->fault_error = *error;
    __atomic_store_n(&net->fault, (int)status, __ATOMIC_RELEASE);
}

KerbStatus kerb_cuda_net_host_fault(KerbNet *net, KerbError *error)
{
    const KerbStatus status = (KerbStatus)__atomic_load_n(&net->fault, __ATOMIC_ACQUIRE);
    if (!status) return KERB_OK;
    kerb_fail(error, KERB_ERROR_FRAME, "%s", net->fault_error.message);
    __atomic_store_n(&net->fault, 0, __ATOMIC_RELEASE);
    return KERB_ERROR_FRAME;
}
