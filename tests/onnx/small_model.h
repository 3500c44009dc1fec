/* SPDX-License-Identifier: MIT */
#ifndef KERB_TESTS_ONNX_SMALL_MODEL_H
#define KERB_TESTS_ONNX_SMALL_MODEL_H

#include "onnx_parts.h"

/* Conv (weights raw) -> Relu -> Resize by scales, with metadata and symbolic size: a bit of everything, for damaging. */
static inline OnnxBytes onnx_small_model(void)
{
    static const int64_t image[] = { 1, 2, -1, -1 }, weights[] = { 3, 2, 1, 1 }, three[] = { 3 }, four[] = { 4 };
    static const float w[] = { 1, 2, 3, 4, 5, 6 }, scales[] = { 1, 1, 2, 2 };
    OnnxBytes g = { 0 }, conv = onnx_part_node("Conv", "conv", "image,w,b", "features"),
              resize = onnx_part_node("Resize", "up", "active,,scales", "scores");
    int64_t ones[] = { 1, 1 };
    onnx_attribute_ints(&conv, "kernel_shape", 2, ones);
    onnx_attribute_text(&resize, "mode", "linear");
    onnx_add_node(&g, conv);
    onnx_add_node(&g, onnx_part_node("Relu", "act", "features", "active"));
    onnx_add_node(&g, resize);
    onnx_add_weight(&g, onnx_part_tensor("w", ONNX_F32, 4, weights, w, sizeof w));
    OnnxBytes b = onnx_part_tensor_head("b", ONNX_F32, 1, three);
    onnx_field_bytes(&b, 4, w, 12);
    onnx_add_weight(&g, b);
    onnx_add_weight(&g, onnx_part_tensor("scales", ONNX_F32, 1, four, scales, sizeof scales));
    onnx_add_input(&g, onnx_part_value("image", ONNX_F32, 4, image));
    onnx_add_output(&g, "scores");
    OnnxBytes m = onnx_model(13, &g), entry = { 0 };
    onnx_field_text(&entry, 1, "classes");
    onnx_field_text(&entry, 2, "[\"road\"]");
    onnx_field_message(&m, 14, &entry);
    return m;
}

#endif
