/* SPDX-License-Identifier: MIT */
/* libFuzzer: any bytes as an ONNX model: opened, imported, cloned, and every constant read whole. Seeds: the small models of
 * $KERB_DATA/onnx_backend_v1.16.0, for example
 *     mkdir corpus; i=0; for f in $KERB_DATA/onnx_backend_v1.16.0/node/<test>/model.onnx; do cp $f corpus/$((i=i+1)); done
 *     build/fuzz/bin/fuzz_onnx -max_len=4096 -max_total_time=300 corpus */
#include "net/onnx/onnx.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    KerbOnnx *onnx;
    KerbGraph *g = NULL, *copy = NULL;
    KerbError error = { 0 };
    char text[64];
    if (kerb_onnx_open_memory(&onnx, data, size, &error) != KERB_OK) {
        if (onnx || !error.message[0]) abort();
        return 0;
    }
    KerbStatus status = kerb_onnx_import(onnx, &g, &error);
    int lacking = kerb_onnx_unsupported(onnx, text, sizeof text);
    if ((status == KERB_OK) != (g != NULL) || (status == KERB_OK && lacking)) abort();
    if (g && kerb_graph_clone(g, &copy, &error) != KERB_OK) abort();
    double sum = 0;
    for (int i = 0; copy && i < copy->n_values; i++) {
        if (!kerb_value_is_constant(&copy->values[i])) continue;
        KerbTensor t = kerb_value_tensor(&copy->values[i]);
        for (int64_t k = 0; k < kerb_tensor_elements(&t); k++) sum += kerb_tensor_get(&t, k);
    }
    if (copy && kerb_graph_sort(copy, &error) != KERB_OK) abort(); /* it was sorted */
    kerb_graph_free(&copy);
    kerb_graph_free(&g);
    kerb_onnx_close(&onnx);
    volatile double seen = sum; /* so that the reading is not optimised away */
    (void)seen;
    return 0;
}
