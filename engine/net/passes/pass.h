/* SPDX-License-Identifier: MIT */
/* Inside the passes: finding patterns in a graph and rewriting it.
 *
 * Rules that every pass keeps: constants are never written to (others may read them, and they may lie in the model's mapping): changed
 * weights are new values. A value is only taken over where the pass has seen that nobody else reads it. Node and value pointers die when
 * something is added (the arrays grow): passes hold ids, or fetch pointers again after adding. */
#ifndef KERB_NET_PASS_H
#define KERB_NET_PASS_H

#include "net/passes.h"

KerbStatus kerb_pass_fold_constants(KerbGraph *g, int *changes, KerbError *error);
KerbStatus kerb_pass_drop_no_ops(KerbGraph *g, int *changes, KerbError *error);
KerbStatus kerb_pass_merge_moves(KerbGraph *g, int *changes, KerbError *error);
KerbStatus kerb_pass_find_bilinear(KerbGraph *g, int *changes, KerbError *error);
KerbStatus kerb_pass_strip_head(KerbGraph *g, int *changes, KerbError *error);
KerbStatus kerb_pass_find_activations(KerbGraph *g, int *changes, KerbError *error);
KerbStatus kerb_pass_fold_batch_norm(KerbGraph *g, int *changes, KerbError *error);
KerbStatus kerb_pass_fold_scale(KerbGraph *g, int *changes, KerbError *error);
KerbStatus kerb_pass_fuse_pad(KerbGraph *g, int *changes, KerbError *error);
KerbStatus kerb_pass_fuse_residual(KerbGraph *g, int *changes, KerbError *error);
KerbStatus kerb_pass_fuse_activation(KerbGraph *g, int *changes, KerbError *error);
KerbStatus kerb_pass_lower_conv_transpose(KerbGraph *g, int *changes, KerbError *error);
KerbStatus kerb_pass_drop_dead(KerbGraph *g, int *changes, KerbError *error);

/* ---- looking (pattern.c) */

/* The live node that computes the value, or NULL. */
KerbNode *kerb_pass_producer(const KerbGraph *g, uint32_t value);
/* The same, if it is of this operator and nobody but one reader uses the value: then the value may disappear into a fusion. */
KerbNode *kerb_pass_sole_producer(const KerbGraph *g, uint32_t value, KerbOp op);
bool kerb_pass_is_unary(const KerbNode *n, KerbUnary kind);
bool kerb_pass_is_binary(const KerbNode *n, KerbBinary kind);
bool kerb_pass_same_shape(const KerbValue *a, const KerbValue *b); /* and type */
bool kerb_pass_is_output(const KerbGraph *g, uint32_t value);
/* A constant of one element as a number. */
bool kerb_pass_scalar(const KerbGraph *g, uint32_t value, double *out);
/* The operand of a two-input node that is a constant of one number, which is then *number; *other is the other one. Not for Sub, Div, Pow. */
bool kerb_pass_scalar_operand(const KerbGraph *g, const KerbNode *n, double *number, uint32_t *other);
/* A constant that broadcasts along nothing but axis 1 of a tensor of `rank` axes and C channels: one number, or C of them at (C, 1...).
 * f32 only. Elements: 1 or C; 0: it is something else. */
int64_t kerb_pass_channel_constant(const KerbGraph *g, uint32_t value, int rank, int64_t channels);
/* The activation that is a part of the node, or NULL where its operator has none. */
KerbActivation *kerb_pass_activation(KerbNode *n);
/* Where a Slice with steps of 1 begins, for every axis; false where it has other steps. Its lengths are its output's dims. */
bool kerb_pass_slice_begin(const KerbGraph *g, const KerbNode *n, int64_t begin[]);
/* f32 and a constant. */
bool kerb_pass_f32_constant(const KerbGraph *g, uint32_t value);
/* One float of a constant of any alignment. */
double kerb_pass_float(const KerbValue *v, int64_t i);

/* ---- changing (rewrite.c). KERB_NO_VALUE, KERB_NO_NODE, false: out of memory. */

/* A new constant in the graph's arena, named after a value; *data is to be filled. */
uint32_t kerb_pass_constant(KerbGraph *g, uint32_t named_after, const char *suffix, KerbDtype dtype, int rank, const int64_t dims[], void **data);
/* A small i64 vector. */
uint32_t kerb_pass_integers(KerbGraph *g, uint32_t named_after, const char *suffix, int n, const int64_t v[]);
/* A computed value of a type, without a shape until the next inference. */
uint32_t kerb_pass_value(KerbGraph *g, uint32_t named_after, const char *suffix, KerbDtype dtype);
/* A new node writing `output`, which may have had another producer (kill that one). */
uint32_t kerb_pass_node(KerbGraph *g, KerbOp op, const char *name, const char *suffix, int n_inputs, const uint32_t inputs[], uint32_t output);
/* A Slice of the last two of four axes, from value to value. */
bool kerb_pass_crop(KerbGraph *g, const char *name, uint32_t from, const int64_t starts[2], const int64_t lengths[2], uint32_t to);
/* Sets input i, making room for it (inputs between become absent). */
bool kerb_pass_set_input(KerbGraph *g, uint32_t node, int i, uint32_t value);
/* Takes a node out whose output equals its input `x`: readers of one read the other. Keeps the names of the graph's outputs; false where
 * that leaves no way (an output that would be an input, a constant, or another output). */
bool kerb_pass_bypass(KerbGraph *g, KerbNode *n, uint32_t x);
/* `n`, which computed `from`, computes `to` instead; `last`, which did, dies. For fusions that end where the last of them ended. */
void kerb_pass_take_over(KerbGraph *g, KerbNode *n, KerbNode *last);

/* The end of every pass: after changes the graph is rid of dead nodes, sorted, and new values get their shapes. */
KerbStatus kerb_pass_finish(KerbGraph *g, int changes, KerbError *error);

/* ---- convolutions (scale_conv.c) */

/* A live CONV or CONV_TRANSPOSE with constant f32 weights and (if any) bias, without activation and residual: what scales and shifts fold into.
 * With `sole`, only if nobody but one reader uses the value. */
KerbNode *kerb_pass_plain_conv(const KerbGraph *g, uint32_t value, bool sole);
int64_t kerb_pass_conv_outputs(const KerbGraph *g, const KerbNode *conv); /* output channels */
/* New weights and bias so that the convolution gives a[c] * y + b[c]; `n` elements in both: 1 or the output channels. False: out of memory. */
bool kerb_pass_scale_outputs(KerbGraph *g, uint32_t conv, int64_t n, const double a[], const double b[]);

static inline KerbStatus kerb_pass_out_of_memory(KerbError *error)
{
    return kerb_fail(error, KERB_ERROR_MEMORY, "out of memory while optimising the network");
}

#endif
