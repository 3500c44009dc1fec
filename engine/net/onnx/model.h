/* SPDX-License-Identifier: MIT */
/* What an ONNX file says, as views of its bytes: ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto, ValueInfoProto.
 * Everything is checked when the file is opened; the views are then only read. Inside engine/net/onnx only. */
#ifndef KERB_NET_ONNX_MODEL_H
#define KERB_NET_ONNX_MODEL_H

#include "base/error.h"
#include "base/tensor.h"
#include "net/onnx/onnx.h"
#include "net/onnx/wire.h"

/* Budgets: real segmentation models stay two orders of magnitude below; they bound the memory that a hostile file can ask for. */
#define KERB_ONNX_MAX_NODES 100000      /* subgraphs included; also the limit for initializers, inputs, outputs and value_infos */
#define KERB_ONNX_MAX_NAMES 1000000     /* node inputs, outputs and attributes, all together */
#define KERB_ONNX_MAX_ATTRIBUTES 64     /* of one node: a bit each in the importer */
#define KERB_ONNX_MAX_DEPTH 8           /* graphs inside attributes */
#define KERB_ONNX_MAX_EXTERNAL_FILES 4096

/* AttributeProto.type */
typedef enum KerbOnnxAttributeType {
    KERB_ATTRIBUTE_NONE = 0, KERB_ATTRIBUTE_FLOAT = 1, KERB_ATTRIBUTE_INT = 2, KERB_ATTRIBUTE_STRING = 3, KERB_ATTRIBUTE_TENSOR = 4,
    KERB_ATTRIBUTE_GRAPH = 5, KERB_ATTRIBUTE_FLOATS = 6, KERB_ATTRIBUTE_INTS = 7, KERB_ATTRIBUTE_STRINGS = 8,
} KerbOnnxAttributeType;

typedef struct KerbOnnxAttribute {
    KerbBytes message, name; /* lists are walked in the message: fields 7 (floats) and 8 (ints) */
    int type;                /* KerbOnnxAttributeType or a later one */
    float f;
    int64_t i;
    KerbBytes s, t, g;       /* string, TensorProto, GraphProto */
    bool is_reference;       /* to an attribute of a function */
} KerbOnnxAttribute;

typedef struct KerbOnnxNode {
    KerbBytes name, type, domain; /* domain "" for ai.onnx */
    int n_inputs, n_outputs, n_attributes;
    const KerbBytes *inputs, *outputs; /* size 0: absent */
    const KerbOnnxAttribute *attributes;
} KerbOnnxNode;

typedef struct KerbOnnxTensor {
    KerbBytes message, name;
    int onnx_type;     /* TensorProto.DataType */
    KerbDtype dtype;   /* NONE: a type that Kerb lacks; then nothing below is checked */
    int rank;
    int64_t dims[KERB_MAX_RANK];
    int64_t elements;
    size_t bytes;
    const uint8_t *data; /* dense little-endian, in the file or in an external one, perhaps unaligned; NULL: typed fields to be decoded */
    const char *why;     /* why it is unsupported, or NULL */
} KerbOnnxTensor;

typedef struct KerbOnnxValueInfo {
    KerbBytes name;
    const char *kind; /* NULL: a tensor; else "sequence", "optional", "map", "sparse tensor", "not given" */
    int onnx_type;
    KerbDtype dtype;
    int rank; /* -1: not said; may exceed KERB_MAX_RANK (then dims say nothing) */
    int64_t dims[KERB_MAX_RANK];
    KerbBytes symbols[KERB_MAX_RANK];
} KerbOnnxValueInfo;

typedef struct KerbOnnxFile { /* external data */
    KerbBytes location;
    KerbMapping mapping;
} KerbOnnxFile;

struct KerbOnnx {
    KerbArena *arena;
    KerbMapping file;  /* data NULL: opened from memory */
    KerbBytes bytes;   /* the whole model */
    const char *folder; /* for external data; NULL: none allowed */
    int64_t ir_version, opset;
    KerbBytes producer, producer_version, graph;
    int n_metadata, n_nodes, n_initializers, n_inputs, n_outputs, n_infos, n_sparse, n_functions, n_files;
    KerbBytes *metadata_keys, *metadata_values;
    KerbOnnxNode *nodes;
    KerbOnnxTensor *initializers;
    KerbOnnxValueInfo *inputs, *outputs, *infos;
    KerbOnnxFile *files;
    int files_capacity;
};

/* model.c. Fills everything from onnx->bytes; maps external data. */
KerbStatus kerb_onnx_parse(KerbOnnx *onnx, KerbError *error);
/* "damaged or cut: WHAT at byte N, in PART". `at` is somewhere in `whole`. */
KerbStatus kerb_onnx_damaged(KerbBytes whole, const uint8_t *at, const char *what, const char *part, KerbError *error);
const KerbOnnxAttribute *kerb_onnx_attribute(const KerbOnnxNode *node, const char *name);

/* tensor.c. `onnx`: for external data and offsets in messages; NULL: none. `part`: what the tensor is, for messages.
 * A tensor that Kerb cannot hold (type, rank, segments) is no failure: `why` says so. */
KerbStatus kerb_onnx_tensor(KerbOnnx *onnx, KerbBytes message, const char *part, KerbOnnxTensor *out, KerbError *error);
/* Its values, dense and in the machine's types: the file's own bytes where *borrowed becomes true, else a copy in the arena. NULL: out of
 * memory. */
const void *kerb_onnx_tensor_values(const KerbOnnxTensor *t, KerbArena *arena, bool *borrowed);
KerbDtype kerb_onnx_dtype(int64_t onnx_type); /* NONE for what Kerb lacks */
const char *kerb_onnx_type_name(int64_t onnx_type); /* "float8e4m3fn" */

/* external.c */
/* Opens `location` below the folder. ASSET where it is absolute, has "..", leads out through a link, or is missing. `walk`: without openat2
 * (older kernels): then links are refused altogether. */
KerbStatus kerb_onnx_open_below(const char *folder, const char *location, bool walk, int *fd, KerbError *error);
/* The mapped file of that location, opened on first use. */
KerbStatus kerb_onnx_external(KerbOnnx *onnx, KerbBytes location, const KerbMapping **out, KerbError *error);

/* sniff.c. What the bytes are, if they are something known that is not ONNX: fills the error and returns ASSET; else OK. */
KerbStatus kerb_onnx_sniff(KerbBytes bytes, KerbError *error);
/* The same for a protobuf that has turned out not to be a ModelProto with a graph. */
KerbStatus kerb_onnx_sniff_protobuf(KerbBytes bytes, KerbError *error);

#endif
