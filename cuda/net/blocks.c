/* SPDX-License-Identifier: MIT */
/* Weights and tables on the device: uploaded once, and shared where their bytes are equal. The hashes that tell so, and the graph's. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cuda/net/compile.h"

/* Eight bytes at a time, multiply and fold ("mum", as in wyhash): fast enough for hundreds of MiB at open, and good enough to tell weights
 * apart. */
static uint64_t kerb_cuda_mix(uint64_t a, uint64_t b)
{
    a ^= b;
    a *= 0x9e3779b97f4a7c15u;
    a ^= a >> 32;
    a *= 0xd6e8feb86659fd93u;
    return a ^ (a >> 29);
}

uint64_t kerb_cuda_hash(const void *bytes, size_t n, uint64_t seed)
{
    const unsigned char *p = bytes;
    uint64_t h = kerb_cuda_mix(seed, n), word;
    for (; n >= sizeof word; n -= sizeof word, p += sizeof word) {
        memcpy(&word, p, sizeof word);
        h = kerb_cuda_mix(h, word);
    }
    word = 0;
    if (n) memcpy(&word, p, n);
    return kerb_cuda_mix(h, word);
}

static uint64_t kerb_cuda_hash_value(const KerbGraph *g, uint32_t id, uint64_t h)
{
    if (id == KERB_NO_VALUE) return kerb_cuda_mix(h, id);
    const KerbValue *v = &g->values[id];
    h = kerb_cuda_mix(h, id);
    h = kerb_cuda_mix(h, (uint64_t)v->dtype * 64 + (uint64_t)(v->rank + 1));
    if (v->rank > 0) h = kerb_cuda_hash(v->dims, (size_t)v->rank * sizeof v->dims[0], h);
    if (!kerb_value_is_constant(v)) return h;
    const KerbTensor t = kerb_value_tensor(v);
    return kerb_cuda_hash(t.data, kerb_tensor_bytes(&t), h);
}

uint64_t kerb_cuda_graph_hash(const KerbGraph *g)
{
    uint64_t h = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        const KerbNode *n = &g->nodes[i];
        if (n->dead) continue;
        h = kerb_cuda_mix(h, (uint64_t)n->op);
        h = kerb_cuda_hash(&n->attrs, sizeof n->attrs, h); /* nodes are zeroed when made: no padding bytes by chance */
        for (int j = 0; j < n->n_inputs; j++) h = kerb_cuda_hash_value(g, n->inputs[j], h);
        for (int j = 0; j < n->n_outputs; j++) h = kerb_cuda_hash_value(g, n->outputs[j], h);
    }
    for (int i = 0; i < g->n_inputs; i++) h = kerb_cuda_hash_value(g, g->inputs[i], h);
    for (int i = 0; i < g->n_outputs; i++) h = kerb_cuda_mix(h, g->outputs[i]);
    return h;
}

void *kerb_cuda_bytes(KerbCompiler *c, size_t n)
{
    void *p = kerb_alloc(n ? n : 1);
    if (!p) kerb_cuda_no_memory(c, n);
    return p;
}

KerbStatus kerb_cuda_failed(const KerbCompiler *c)
{
    return c->error && c->error->status ? c->error->status : KERB_ERROR_MEMORY;
}

void *kerb_cuda_block(KerbCompiler *c, const void *bytes, size_t n)
{
    KerbNet *net = c->net;
    /* Two hashes of different seeds: 128 bits and the size, so that blocks need not be read back to be compared. */
    const uint64_t hash[2] = {kerb_cuda_hash(bytes, n, 1), kerb_cuda_hash(bytes, n, 0x51ed270b)};
    for (int i = 0; i < net->n_blocks; i++) {
        KerbBlock *b = &net->blocks[i];
        if (b->bytes != n || b->hash[0] != hash[0] || b->hash[1] != hash[1]) continue;
        b->uses++;
        return b->data;
    }
    if (net->n_blocks == net->cap_blocks) {
        int cap = net->cap_blocks ? net->cap_blocks * 2 : 64;
        KerbBlock *grown = realloc(net->blocks, (size_t)cap * sizeof *grown);
        if (!grown) {
            kerb_cuda_no_memory(c, (size_t)cap * sizeof *grown);
            return NULL;
        }
        net->blocks = grown;
        net->cap_blocks = cap;
    }
    void *data = NULL;
    if (kerb_cuda_alloc(&net->memory, &data, n ? n : 1, "weights", c->error)) return NULL;
    net->blocks[net->n_blocks++] = (KerbBlock){.data = data, .bytes = n, .hash = {hash[0], hash[1]}, .uses = 1};
    net->weight_bytes += n;
    if (!n) return data;
    cudaError_t code = cudaMemcpyAsync(data, bytes, n, cudaMemcpyHostToDevice, net->stream);
    if (code == cudaSuccess) code = cudaStreamSynchronize(net->stream); /* the bytes are the caller's, and pageable */
    return kerb_cuda_check(code, "uploading weights", c->error) ? NULL : data;
}

KerbStatus kerb_cuda_floats(KerbCompiler *c, uint32_t id, size_t padded, float **out)
{
    *out = NULL;
    const KerbValue *v = kerb_graph_value(c->g, id);
    if (!kerb_value_is_constant(v) || !kerb_dtype_is_float(v->dtype)) return KERB_OK;
    const KerbTensor src = kerb_value_tensor(v);
    KerbTensor dst = kerb_tensor(NULL, KERB_F32, v->rank, v->dims);
    const size_t n = (size_t)kerb_tensor_elements(&src);
    dst.data = kerb_cuda_bytes(c, (n > padded ? n : padded) * sizeof(float));
    if (!dst.data) return KERB_ERROR_MEMORY;
    if (n) kerb_tensor_copy(&dst, &src);
    *out = dst.data;
    return KERB_OK;
}
