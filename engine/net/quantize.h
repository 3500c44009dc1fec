/* SPDX-License-Identifier: MIT */
/* What quantised models (QDQ: QuantizeLinear and DequantizeLinear round operators on floats) say about their integers. Enters: an inferred,
 * optimised graph, in which the DequantizeLinear of constant weights has been folded (KerbValue.dequantized). Nothing here changes it, or
 * knows which integers a backend can work on. */
#ifndef KERB_NET_QUANTIZE_H
#define KERB_NET_QUANTIZE_H

#include "net/graph.h"

/* What to do with a model that is not quantised, for messages. */
#define KERB_QUANT_ADVICE "kerb calibrate --model M --frames SOURCE -o M.int8.onnx makes one of a float model"

/* 8-bit integers by tensor, by constants: a number is (integer - zero) * scale. */
typedef struct KerbQuant {
    uint32_t value;  /* the integers */
    KerbDtype dtype; /* u8 or i8 */
    float scale;     /* > 0, finite */
    int zero;
} KerbQuant;

/* Of a QUANTIZE or DEQUANTIZE node; false, *out as it was: any other node, by axis or block, scales that are computed, other integers. */
bool kerb_quant_of(const KerbGraph *g, const KerbNode *n, KerbQuant *out);
/* Type, scale and zero point of both are the same. */
bool kerb_quant_same(const KerbQuant *a, const KerbQuant *b);
/* The least integer of its type; there are 256. */
int kerb_quant_lowest(const KerbQuant *q);
/* The integers that a computed value is made of by a DequantizeLinear. */
bool kerb_quant_source(const KerbGraph *g, uint32_t value, KerbQuant *out);
/* The QuantizeLinear that is the only reader of the node's only result, or KERB_NO_NODE. `readers` and `reader`: kerb_readers_count(). */
uint32_t kerb_quant_target(const KerbGraph *g, const KerbNode *n, const int readers[], const uint32_t reader[], KerbQuant *out);
/* Are the zero points 0? `zero`: a constant, or KERB_NO_VALUE, which they are then. */
bool kerb_quant_symmetric(const KerbGraph *g, uint32_t zero);

/* What quantisation says of a convolution: DequantizeLinear before x and w (w's has been folded), perhaps before the residual, perhaps
 * QuantizeLinear behind y. */
typedef struct KerbConvQuant {
    KerbQuant x;         /* before its DequantizeLinear */
    uint32_t w, w_scale; /* w: constant i8 (the folded DequantizeLinear's input); scale one or K elements */
    KerbQuant z;         /* value KERB_NO_VALUE: no residual, or a float one */
    KerbQuant y;         /* what the only reader, a QuantizeLinear, makes of y; value KERB_NO_VALUE: y is read as floats */
} KerbConvQuant;
/* true: x and w are quantised per tensor (w also per output channel) with constant scales, and w's zero points are 0. */
bool kerb_conv_quant(const KerbGraph *g, const KerbNode *n, KerbConvQuant *out);

/* Has the graph a convolution like that? */
bool kerb_graph_is_quantised(const KerbGraph *g);

#endif
