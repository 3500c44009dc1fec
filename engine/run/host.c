/* SPDX-License-Identifier: MIT */
/* Blocks of host memory that frames may lie in: page-locked by the backend that has stages of its own, plain pages elsewhere. Takes no part in the
 * stream; may be called while it runs. */
#include "run/pipeline.h"
#include "run/stages.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_BYTES ((size_t)4096)

static void plain_release(void *data) { free(data); }

static KerbStatus plain_alloc(size_t bytes, KerbHostBlock *out, KerbError *error)
{
    void *data = NULL;
    if (posix_memalign(&data, PAGE_BYTES, bytes)) return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for a block of %zu bytes", bytes);
    *out = (KerbHostBlock){ .data = data, .bytes = bytes, .release = plain_release };
    return KERB_OK;
}

/* The backends are fixed from open to close, and the best one is asked, whether or not the network ended up on it: this may run while
 * kerb_set_format() compiles, and page-locked memory is memory to every other backend. */
static const KerbStages *stages_of(const KerbPipeline *p)
{
    for (int i = 0; i < p->n_choices; i++)
        if (p->choices[i].backend->stages && p->choices[i].backend->stages->host_alloc) return p->choices[i].backend->stages;
    return NULL;
}

KERB_API KerbStatus kerb_host_alloc(KerbPipeline *p, size_t bytes, KerbHostBlock *out, KerbError *error)
{
    kerb_error_clear(error);
    if (!out) return kerb_fail(error, KERB_ERROR_ARGUMENT, "kerb_host_alloc: no place for the block was given");
    *out = (KerbHostBlock){ 0 };
    if (!p || !bytes) return kerb_fail(error, KERB_ERROR_ARGUMENT, "kerb_host_alloc: %s", p ? "a block of 0 bytes was asked for" : "no pipeline was given");
    size_t whole;
    if (!kerb_add_size(bytes, PAGE_BYTES - 1, &whole)) return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for a block of %zu bytes", bytes);
    whole &= ~(PAGE_BYTES - 1);
    const KerbStages *stages = stages_of(p);
    return stages ? stages->host_alloc(p->device_id, whole, out, error) : plain_alloc(whole, out, error);
}

KERB_API void kerb_host_free(KerbHostBlock *block)
{
    if (!block) return;
    if (block->data && block->release) block->release(block->data);
    *block = (KerbHostBlock){ 0 };
}
