/* SPDX-License-Identifier: MIT */
/* Quantised models (QDQ) in integers: DequantizeLinear -> node -> QuantizeLinear becomes one step from 8-bit integers to 8-bit integers.
 *
 * int8_plan.c says which nodes; int8_conv.c, int8_depthwise.c, int8_steps.c, int8_average.c and int8_move.c make their steps. 8-bit pictures
 * lie channels-last. What is no such node sees the floats that DequantizeLinear makes; both conversions are steps here too. */
#ifndef KERB_NET_CPU_INT8_H
#define KERB_NET_CPU_INT8_H

#include "net/cpu/conv.h"
#include "net/cpu/int8_kernels.h"
#include "net/quantize.h"

typedef enum KerbInt8Kind {
    KERB_INT8_NONE,
    KERB_INT8_CONV,    /* to integers, or to floats where no QuantizeLinear follows */
    KERB_INT8_POOL,    /* the largest */
    KERB_INT8_CONCAT,  /* along the channels */
    KERB_INT8_RESIZE,  /* nearest, linear */
    KERB_INT8_TABLE,   /* a chain of functions of one number (and numbers that are constants): 256 entries */
    KERB_INT8_BINARY,  /* two pictures, or a picture and numbers by channel */
    KERB_INT8_MEAN,    /* over height and width; to integers or floats */
    KERB_INT8_AVERAGE, /* over windows */
    KERB_INT8_MOVE,    /* Reshape, Transpose and their like before a QuantizeLinear: moves the integers that this asks for */
} KerbInt8Kind;

/* int8_plan.c: fills c->int8, c->fused_into and slots. ARGUMENT where no convolution is quantised. */
KerbStatus kerb_int8_plan(KerbCompiler *c);

/* Nodes between integers and a QuantizeLinear, the last first. */
#define KERB_INT8_CHAIN 16
typedef struct KerbInt8Chain {
    uint32_t nodes[KERB_INT8_CHAIN];
    int n;
    KerbQuant from; /* a table's; value KERB_NO_VALUE: what is before the first node is no DequantizeLinear */
} KerbInt8Chain;

/* `to` NULL: floats, into the node's own output; else the integers that it describes. Its value is the QuantizeLinear's, or the node's own, where what
 * follows moves them before. */
KerbStatus kerb_int8_compile_conv(KerbCompiler *c, const KerbNode *n, const KerbQuant *to);
KerbStatus kerb_int8_compile_mean(KerbCompiler *c, const KerbNode *n, const KerbQuant *to);
KerbStatus kerb_int8_compile_average(KerbCompiler *c, const KerbNode *n, const KerbQuant *to);
KerbStatus kerb_int8_compile_binary(KerbCompiler *c, const KerbNode *n, const KerbQuant *to);
KerbStatus kerb_int8_compile_concat(KerbCompiler *c, const KerbNode *n, const KerbQuant *to);
KerbStatus kerb_int8_compile_table(KerbCompiler *c, const KerbNode *last, const KerbInt8Chain *chain, const KerbQuant *to);

/* -- int8_plan.c: what all kinds ask for ---- */

bool kerb_int8_is_tensor(const KerbValue *v); /* at least one axis, not empty, not huge */
/* The integers of a picture. */
bool kerb_int8_picture_source(const KerbGraph *g, uint32_t value, KerbQuant *out);

/* -- int8_average.c ---- */

bool kerb_int8_takes_mean(const KerbGraph *g, const KerbNode *n);
bool kerb_int8_takes_average(const KerbGraph *g, const KerbNode *n);

/* -- int8_move.c ---- */

/* Does the node only move numbers (and put one number round them)? */
bool kerb_int8_moves(const KerbGraph *g, const KerbNode *n);
/* *x, copied to row-major memory. */
KerbStatus kerb_int8_dense(KerbCompiler *c, const KerbNode *n, KerbOperand *x);
/* The chain's moves on x, which holds `to`'s integers; the last gives `to`'s value. */
KerbStatus kerb_int8_compile_moves(KerbCompiler *c, const KerbInt8Chain *chain, const KerbOperand *x, const KerbQuant *to);
/* kerb_cpu_place(); where `to`'s value is a node's own, which moves read: memory for its integers. */
KerbStatus kerb_int8_place(KerbCompiler *c, const KerbQuant *to, KerbOperand *out);

/* -- int8_steps.c ---- */

/* The integers as a picture; copied where they do not lie so. */
KerbStatus kerb_int8_picture(KerbCompiler *c, uint32_t id, KerbOperand *out);
/* to[i] = table[from[i]], 8-bit pictures of one shape (one operand: in place). */
KerbStatus kerb_int8_look_up(KerbCompiler *c, const KerbNode *node, const KerbOperand *from, const KerbOperand *to, const uint8_t table[256]);
/* from's numbers in to's integers. */
void kerb_int8_requantise(const KerbQuant *from, const KerbQuant *to, uint8_t table[256]);
uint8_t kerb_int8_quantised(float v, const KerbQuant *q); /* QuantizeLinear of one number */
/* f32 -> integers, or back (`back`); operands of one shape, both pictures or both dense. */
KerbStatus kerb_int8_convert(KerbCompiler *c, const KerbNode *node, const KerbOperand *from, const KerbOperand *to, const KerbQuant *q, bool back);
/* `pixels` of picture t, from number `pixel` of all images' on, as floats without gaps; and back. */
void kerb_int8_load(const KerbNet *net, const KerbTensor *t, const KerbQuant *q, int64_t pixel, int pixels, float *out);
void kerb_int8_store(const KerbNet *net, const KerbTensor *t, const KerbQuant *q, int64_t pixel, int pixels, const float *in);

/* -- int8_depthwise.c: a convolution that int8_conv.c has filled ---- */

typedef struct KerbInt8Conv {
    KerbConvSpec s;
    KerbNet *net;
    const KerbInt8Kernels *k;
    KerbQuant x, z; /* z: the residual; value KERB_NO_VALUE: none, or floats */
    const int8_t *weights; /* OIHW dense */
    KerbInt8Finish finish;
    int32_t *start; /* by output channel: bias, and where numbers are not less their zero point, that one's share */
    KerbCpuAct act; /* what `finish` does not do, on floats */
    bool act_after;
    int target_bytes, residual_bytes;
    const uint8_t *source;
    char *target;
    const char *residual;
    char *scratch;
    void *packed;
    size_t band_bytes, scratch_a_thread;
    int band; /* rows of the target that a task makes */
    /* int8_conv.c */
    bool as_is;         /* the source is read where it lies */
    int units, width;   /* of a staged pixel and group; pixels of a staged row */
    KerbTap *taps;
    int n_taps, blocks_a_group, n_blocks, share; /* blocks of columns; blocks a task takes */
} KerbInt8Conv;

bool kerb_int8_is_depthwise(const KerbConvSpec *s);
KerbStatus kerb_int8_prepare_depthwise(KerbCompiler *c, KerbInt8Conv *conv);
void kerb_int8_run_depthwise(KerbInt8Conv *conv);

#endif
