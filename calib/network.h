/* SPDX-License-Identifier: MIT */
/* An ONNX model as it will be written: its nodes with inputs and outputs that can be changed, and its layers with weights, batch norms folded into them.
 * Inside calib only. */
#ifndef KERB_CALIB_NETWORK_H
#define KERB_CALIB_NETWORK_H

#include "calib/calibrate.h"
#include "net/onnx/model.h"
#include "net/passes.h"

/* A node of the model. Names are the file's own bytes. */
typedef struct KerbEditNode {
    KerbBytes message;    /* NodeProto */
    const char *type, *name;
    int n_inputs, n_outputs;
    int *inputs, *outputs; /* tensors; -1: absent */
    bool dead;
    bool edited;           /* inputs or outputs are not the message's */
    int layer;             /* index into layers, -1: none */
} KerbEditNode;

/* What a name stands for. */
typedef struct KerbEditTensor {
    const char *name;
    int producer;       /* node; -1: an input of the graph, an initializer, or nothing */
    int initializer;    /* of the KerbOnnx; -1: none */
    bool is_input, is_output; /* of the graph */
    bool is_float;      /* computed, and f32 */
    bool wanted;        /* quantised: plan.c */
    int group;          /* index into the calibrator's ranges; -1: none */
} KerbEditTensor;

/* A layer with weights that are known: Conv, ConvTranspose, Gemm, MatMul. */
typedef struct KerbEditLayer {
    int node, x, y;       /* node; the tensors that it reads and (before any activation) makes */
    int rank;
    int64_t dims[KERB_MAX_RANK]; /* of the weights */
    int axis;             /* of the weights, along which scales differ */
    int64_t group;        /* of a ConvTranspose: scales are shared by groups */
    int64_t channels;     /* scales: dims[axis] */
    int64_t inputs;       /* channels of x that a weight's mean is taken from */
    int x_axis;           /* axis of x that they are on */
    const float *weights; /* dense */
    const float *bias;    /* one an output channel; NULL: none */
    int64_t n_bias;
    bool takes_bias;      /* the operator has an input for it */
} KerbEditLayer;

typedef struct KerbNetwork {
    KerbArena *arena;
    const KerbOnnx *onnx;
    KerbGraph *folded; /* holds the layers' weights */
    KerbEditNode *nodes;
    int n_nodes;
    KerbEditTensor *tensors;
    int n_tensors, tensors_capacity;
    int *slots;        /* name -> tensor: open addressing */
    int n_slots;
    KerbEditLayer *layers;
    int n_layers;
} KerbNetwork;

/* `graph`: as imported from `onnx`, bound to a size; it is copied. Both outlive the network. */
KerbStatus kerb_network_new(KerbNetwork **out, const KerbOnnx *onnx, const KerbGraph *graph, KerbError *error);
void kerb_network_free(KerbNetwork **network);

/* The tensor of that name, -1: there is none. */
int kerb_network_find(const KerbNetwork *network, const char *name);

/* The layer's weight index -> its channel (of the scales), and its channel of x. */
int64_t kerb_layer_channel(const KerbEditLayer *layer, int64_t weight);
int64_t kerb_layer_input(const KerbEditLayer *layer, int64_t weight);
/* And -> its entry of the bias. */
int64_t kerb_layer_bias(const KerbEditLayer *layer, int64_t weight);

#endif
