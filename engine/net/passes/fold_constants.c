/* SPDX-License-Identifier: MIT */
/* Constant folding: nodes all of whose inputs are constants are computed once, by ref. Shape inference has folded the small ones already;
 * here are weights: transposed, scaled, dequantised. Not what would make the model much larger (an Expand of one number to a picture), nor
 * what would take long. QuantizeLinear -> DequantizeLinear around activations stays as it is: taking it out would change the rounding. */
#include "net/infer.h"
#include "net/passes/pass.h"

#define FOLD_MAX_BYTES ((size_t)64 << 20) /* of results that are larger than what they are made from */
#define FOLD_MAX_FLOPS 1e10

static bool foldable(const KerbGraph *g, const KerbNode *n)
{
    size_t in_bytes = 0, out_bytes = 0;
    for (int i = 0; i < n->n_inputs; i++) {
        const KerbValue *v = kerb_node_input(g, n, i);
        if (!v) continue;
        if (!kerb_value_is_constant(v)) return false;
        KerbTensor t = kerb_value_tensor(v);
        in_bytes += kerb_tensor_bytes(&t);
    }
    for (int i = 0; i < n->n_outputs; i++) {
        const KerbValue *v = kerb_graph_value(g, n->outputs[i]);
        if (!v) continue;
        KerbTensor t = kerb_tensor(NULL, v->dtype, v->rank, v->dims);
        out_bytes += kerb_tensor_bytes(&t);
    }
    return (out_bytes <= FOLD_MAX_BYTES || out_bytes <= 4 * in_bytes) && kerb_node_flops(g, n) <= FOLD_MAX_FLOPS;
}

KerbStatus kerb_pass_fold_constants(KerbGraph *g, int *changes, KerbError *error)
{
    for (int i = 0; i < g->n_nodes; i++) {
        KerbNode *n = &g->nodes[i];
        if (n->dead || !foldable(g, n)) continue;
        KerbStatus status = kerb_node_fold(g, n, error);
        if (status == KERB_ERROR_UNSUPPORTED) kerb_error_clear(error);
        else if (status != KERB_OK) return status;
        else ++*changes;
    }
    return kerb_pass_finish(g, *changes, error);
}
