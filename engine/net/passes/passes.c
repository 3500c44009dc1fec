/* SPDX-License-Identifier: MIT */
/* The list of passes and their fixed point. What enters: an inferred graph. What leaves: the same network in fewer, larger steps, with heads. */
#include "net/passes/pass.h"

#define MAX_ROUNDS 32 /* each round with a change removes or lowers something: real models need 2 or 3 */

/* The order matters: bilinear upsampling is found before moves are merged (its crop joins the model's), and both before heads are looked at;
 * heads are stripped before activations are fused (a fused sigmoid could not be stripped), batch norms are folded before
 * anything else joins a convolution, residuals before the activation that follows them, and ConvTranspose is lowered when all that belongs
 * to it is in it. */
const KerbPass kerb_passes[] = {
    { "drop-dead", "nodes that no output needs", kerb_pass_drop_dead },
    { "fold-constants", "compute once what depends on constants only", kerb_pass_fold_constants },
    { "drop-no-ops", "Identity, Cast to the same type, Slice of everything and their like", kerb_pass_drop_no_ops },
    { "find-bilinear", "ConvTranspose with bilinear weights is a Resize", kerb_pass_find_bilinear },
    { "merge-moves", "Transpose of Transpose, Reshape of Reshape, Slice of Slice: one; Flatten, Squeeze, Unsqueeze: Reshape", kerb_pass_merge_moves },
    { "strip-head", "what turns scores into labels at the end is the tail's work", kerb_pass_strip_head },
    { "find-activations", "x*sigmoid(x), GELU and their like written out: one operator", kerb_pass_find_activations },
    { "fold-batch-norm", "BatchNormalization into the convolution before or behind it", kerb_pass_fold_batch_norm },
    { "fold-scale", "Mul, Div, Add, Sub of constants by channel into the convolution before them", kerb_pass_fold_scale },
    { "fuse-pad", "Pad into the window of the convolution or pool that reads it", kerb_pass_fuse_pad },
    { "fuse-residual", "Add of a convolution and a tensor of its shape into the convolution", kerb_pass_fuse_residual },
    { "fuse-activation", "an activation into the operator before it", kerb_pass_fuse_activation },
    { "lower-conv-transpose", "ConvTranspose to a convolution and a pixel shuffle", kerb_pass_lower_conv_transpose },
};
const int kerb_n_passes = (int)(sizeof kerb_passes / sizeof kerb_passes[0]);

static KerbStatus run_pass(KerbGraph *g, const KerbPass *pass, const KerbOptimizeOptions *options, int *changes, KerbError *error)
{
    KerbText before = { 0 }, after = { 0 };
    if (options->dump) kerb_graph_dump(g, &before);
    *changes = 0;
    KerbStatus status = pass->run(g, changes, error);
    if (status == KERB_OK && *changes && options->dump) {
        kerb_graph_dump(g, &after);
        options->dump(options->user, pass, *changes, before.text ? before.text : "", after.text ? after.text : "");
    }
    kerb_text_free(&before);
    kerb_text_free(&after);
    return status;
}

KerbStatus kerb_graph_optimize(KerbGraph *g, const KerbOptimizeOptions *options, KerbError *error)
{
    const KerbOptimizeOptions defaults = { 0 };
    if (!options) options = &defaults;
    for (int round = 0, total = 1; total && round < MAX_ROUNDS; round++) {
        total = 0;
        for (int i = 0; i < kerb_n_passes; i++) {
            int changes = 0;
            if (options->keep_head && kerb_passes[i].run == kerb_pass_strip_head) continue;
            KerbStatus status = run_pass(g, &kerb_passes[i], options, &changes, error);
            if (status != KERB_OK) return status;
            total += changes;
        }
    }
    return KERB_OK;
}
