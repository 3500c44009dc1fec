/* SPDX-License-Identifier: MIT */
/* ONNX files -> KerbGraph. Nothing else in net knows ONNX. */
#ifndef KERB_NET_ONNX_H
#define KERB_NET_ONNX_H

#include "net/graph.h"

/* A model file, mapped: graphs made from it borrow its weights, so it outlives them. */
typedef struct KerbOnnx KerbOnnx;

/* Maps and checks the file (external data too). ASSET for what is missing, empty, cut, damaged, hostile or something else than ONNX: the message
 * says what it is (TFLite, TensorRT engine, PyTorch .pth/.pt, OpenVINO IR, ...) and how to get an ONNX file from it. */
KerbStatus kerb_onnx_open(KerbOnnx **out, const char *path, KerbError *error);
/* The same from memory that outlives it (tests, fuzzing); no external data. */
KerbStatus kerb_onnx_open_memory(KerbOnnx **out, const void *data, size_t bytes, KerbError *error);
void kerb_onnx_close(KerbOnnx **onnx);

/* Builds the graph: opset differences are gone afterwards, order is topological, shapes are the file's own. UNSUPPORTED: every operator that Kerb
 * lacks, each with node name and opset, all in one message. */
KerbStatus kerb_onnx_import(const KerbOnnx *onnx, KerbGraph **out, KerbError *error);

/* The operator types (as the file names them) that would be unsupported, comma-separated, into text; 0 if all are supported. For kerb-conformance. */
int kerb_onnx_unsupported(const KerbOnnx *onnx, char *text, size_t bytes);

/* Bytes of the mapping and of external data. */
size_t kerb_onnx_bytes(const KerbOnnx *onnx);

/* A serialised TensorProto file (.pb) as a tensor; memory from `arena`. For kerb-conformance. UNSUPPORTED for types that Kerb lacks (strings...),
 * sequences and optionals. */
KerbStatus kerb_onnx_read_tensor(const char *path, KerbArena *arena, KerbTensor *out, KerbError *error);

#endif
