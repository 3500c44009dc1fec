/* SPDX-License-Identifier: MIT */
/* Between host and device within a run: what the reference's steps read and write. Copies go through page-locked memory, so they are
 * asynchronous and can be captured. */
#include <string.h>

#include "cuda/net/compile.h"

typedef struct KerbTransfer {
    KerbNet *net;
    size_t bytes;
} KerbTransfer;

static KerbStatus kerb_upload_enqueue(KerbNet *net, KerbStep *step, cudaStream_t stream, KerbError *error)
{
    const KerbTransfer *t = step->state;
    void *to = step->operands[1].t.data;
    return kerb_cuda_launched(step, cudaMemcpyAsync(to, step->operands[0].t.data, t->bytes, cudaMemcpyHostToDevice, stream), error);
}
static KerbStatus kerb_download_enqueue(KerbNet *net, KerbStep *step, cudaStream_t stream, KerbError *error)
{
    const KerbTransfer *t = step->state;
    void *to = step->operands[1].t.data;
    return kerb_cuda_launched(step, cudaMemcpyAsync(to, step->operands[0].t.data, t->bytes, cudaMemcpyDeviceToHost, stream), error);
}
static const KerbStepKind kerb_upload_step = {"copy up", NULL, kerb_upload_enqueue};
static const KerbStepKind kerb_download_step = {"copy down", NULL, kerb_download_enqueue};

static KerbStatus kerb_cuda_transfer(KerbCompiler *c, const KerbStepKind *kind, const KerbOperand *from, const KerbOperand *to,
                                     size_t bytes)
{
    if (!bytes) return KERB_OK;
    const KerbOperand o[2] = {*from, *to};
    KerbStep *step = kerb_cuda_step(c, kind, &c->g->nodes[c->node], o, 2, sizeof(KerbTransfer));
    if (!step) return KERB_ERROR_MEMORY;
    *(KerbTransfer *)step->state = (KerbTransfer){c->net, bytes};
    return KERB_OK;
}

KerbStatus kerb_cuda_upload(KerbCompiler *c, const KerbOperand *host, const KerbOperand *device)
{
    return kerb_cuda_transfer(c, &kerb_upload_step, host, device, kerb_cuda_span(&host->t) ? kerb_cuda_extent(&host->t) : 0);
}
KerbStatus kerb_cuda_download(KerbCompiler *c, const KerbOperand *device, const KerbOperand *host)
{
    return kerb_cuda_transfer(c, &kerb_download_step, device, host, kerb_cuda_span(&device->t) * kerb_dtype_bytes(device->t.dtype));
}

/* ---- conversion on the host ---- */

static void CUDART_CB kerb_host_copy_fn(void *arg)
{
    const KerbStep *step = arg;
    const KerbTensor *src = &step->operands[0].t, *dst = &step->operands[1].t;
    const KerbTransfer *t = step->state;
    memset(dst->data, 0, t->bytes); /* padding channels */
    kerb_tensor_copy(dst, src);
}
static KerbStatus kerb_host_copy_enqueue(KerbNet *net, KerbStep *step, cudaStream_t stream, KerbError *error)
{
    return kerb_cuda_on_host(net, step, stream, kerb_host_copy_fn, error);
}
static const KerbStepKind kerb_host_copy_step = {"convert on the host", NULL, kerb_host_copy_enqueue};

KerbStatus kerb_cuda_host_copy(KerbCompiler *c, const KerbOperand *src, const KerbOperand *dst)
{
    return kerb_cuda_transfer(c, &kerb_host_copy_step, src, dst, kerb_cuda_span(&dst->t) ? kerb_cuda_extent(&dst->t) : 0);
}
