/* SPDX-License-Identifier: MIT */
/* The step that is one launch of an own kernel: its arguments, and which of the pointers in them are set when memory has its place. */
#include <stddef.h>
#include <string.h>

#include "base/error.h"
#include "cuda/net/compile.h"

/* The launchers behind one signature. */
#define KERB_KERNEL_LAUNCH(name, type)                                           \
    static cudaError_t kerb_kernel_##name(const void *args, cudaStream_t stream) \
    {                                                                            \
        return kerb_launch_##name((const type *)args, stream);                   \
    }
KERB_ALL_KERNELS(KERB_KERNEL_LAUNCH)
#undef KERB_KERNEL_LAUNCH

static const struct {
    const char *name;
    size_t bytes;
    cudaError_t (*launch)(const void *args, cudaStream_t stream);
} kerb_kernels[KERB_KERNEL_COUNT] = {
#define KERB_KERNEL_ENTRY(name, type) {#name, sizeof(type), kerb_kernel_##name},
    KERB_ALL_KERNELS(KERB_KERNEL_ENTRY)
#undef KERB_KERNEL_ENTRY
};

typedef struct KerbKernelStep {
    KerbKernel kernel;
    void *args;
    KerbPatch *patches;
    int n_patches;
} KerbKernelStep;

static KerbStatus kerb_kernel_step_bind(KerbNet *net, KerbStep *step, KerbError *error)
{
    const KerbKernelStep *s = step->state;
    for (int i = 0; i < s->n_patches; i++)
        memcpy((char *)s->args + s->patches[i].at, &step->operands[s->patches[i].operand].t.data, sizeof(void *));
    return KERB_OK;
}
static KerbStatus kerb_kernel_step_enqueue(KerbNet *net, KerbStep *step, cudaStream_t stream, KerbError *error)
{
    const KerbKernelStep *s = step->state;
    return kerb_cuda_launched(step, kerb_kernels[s->kernel].launch(s->args, stream), error);
}
static const KerbStepKind kerb_kernel_step = {"kernel", kerb_kernel_step_bind, kerb_kernel_step_enqueue};

KerbStep *kerb_cuda_kernel(KerbCompiler *c, const KerbNode *n, KerbKernel kernel, const void *args, const KerbOperand *operands,
                           int n_operands, const KerbPatch *patches, int n_patches)
{
    KerbStep *step = kerb_cuda_step(c, &kerb_kernel_step, n, operands, n_operands, sizeof(KerbKernelStep));
    if (!step) return NULL;
    KerbKernelStep *s = step->state;
    s->kernel = kernel;
    s->args = kerb_cuda_object(c, kerb_kernels[kernel].bytes);
    s->patches = kerb_cuda_object(c, (size_t)n_patches * sizeof *patches);
    if (!s->args || !s->patches) return NULL;
    memcpy(s->args, args, kerb_kernels[kernel].bytes);
    memcpy(s->patches, patches, (size_t)n_patches * sizeof *patches);
    s->n_patches = n_patches;
    kerb_cuda_label(c, step, "%s", kerb_kernels[kernel].name);
    return step;
}

KerbStatus kerb_cuda_walk_kernel(KerbCompiler *c, const KerbNode *n, KerbKernel kernel, void *args, const KerbOperand *operands,
                                 int n_operands, bool *fits)
{
    /* The walk comes first in all arguments that have one. */
    _Static_assert(!offsetof(KerbUnaryArgs, walk) && !offsetof(KerbBinaryArgs, walk) && !offsetof(KerbWhereArgs, walk) &&
                       !offsetof(KerbCopyArgs, walk) && !offsetof(KerbQuantizeArgs, walk) && !offsetof(KerbGatherArgs, walk),
                   "the walk is the first member");
    KerbStrided strided[KERB_WALKED];
    const KerbStrided *walked[KERB_WALKED];
    KerbPatch patches[KERB_WALKED];
    for (int i = 0; i < n_operands; i++) {
        strided[i] = kerb_cuda_as_strided(&operands[i]);
        walked[i] = &strided[i];
        patches[i] = (KerbPatch){offsetof(KerbWalk, of) + (size_t)i * sizeof(KerbWalked) + offsetof(KerbWalked, data), i};
    }
    *fits = kerb_walk(n_operands, walked, kerb_cuda_padding(&operands[0]), args);
    if (!*fits) return KERB_OK;
    return kerb_cuda_kernel(c, n, kernel, args, operands, n_operands, patches, n_operands) ? KERB_OK : KERB_ERROR_MEMORY;
}
