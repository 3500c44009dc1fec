/* SPDX-License-Identifier: MIT */
/* Opening: what is missing, empty, cut, damaged or not ONNX gets a message that says so; nothing crashes (run it under ASan, too). */
#include "net/onnx/onnx.h"
#include "onnx/small_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

/* Opens and imports bytes that are exactly as long as they say (so that ASan sees a read beyond). Returns the first failure. */
static KerbStatus try_bytes(const void *data, size_t n, KerbError *error)
{
    uint8_t *exact = malloc(n ? n : 1);
    assert_non_null(exact);
    if (n) memcpy(exact, data, n);
    KerbOnnx *onnx;
    KerbGraph *g = NULL;
    *error = (KerbError){ 0 };
    KerbStatus status = kerb_onnx_open_memory(&onnx, exact, n, error);
    assert_true((status == KERB_OK) == (onnx != NULL));
    if (status == KERB_OK) status = kerb_onnx_import(onnx, &g, error);
    assert_true((status == KERB_OK) == (g != NULL));
    assert_true((status == KERB_OK) == (error->message[0] == '\0'));
    assert_int_equal(error->status, status);
    kerb_graph_free(&g);
    kerb_onnx_close(&onnx);
    free(exact);
    return status;
}

static void test_small_model(void **state)
{
    OnnxBytes m = onnx_small_model();
    KerbError error;
    assert_int_equal(try_bytes(m.data, m.size, &error), KERB_OK);
    onnx_free(&m);
}

static void test_every_prefix(void **state)
{
    OnnxBytes m = onnx_small_model();
    KerbError error;
    int sound = 0;
    for (size_t n = 0; n < m.size; n++) {
        KerbStatus status = try_bytes(m.data, n, &error);
        if (status == KERB_OK) sound++;
        else assert_true(status == KERB_ERROR_ASSET || status == KERB_ERROR_UNSUPPORTED);
    }
    /* The model ends with metadata, which can be cut off whole; and with opset_import before it, without which it is of opset 1. */
    assert_true(sound <= 1);
    onnx_free(&m);
}

static void test_every_bit(void **state)
{
    OnnxBytes m = onnx_small_model();
    KerbError error;
    int refused = 0;
    for (size_t bit = 0; bit < m.size * 8; bit++) {
        m.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        refused += try_bytes(m.data, m.size, &error) != KERB_OK;
        m.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_true(refused > (int)m.size); /* most of the structure's bits matter; the weights' do not */
    assert_int_equal(try_bytes(m.data, m.size, &error), KERB_OK);
    onnx_free(&m);
}

/* Every byte replaced by extreme ones: lengths and counts become huge. */
static void test_every_byte(void **state)
{
    static const uint8_t values[] = { 0x00, 0x7f, 0x80, 0xff };
    OnnxBytes m = onnx_small_model();
    KerbError error;
    for (size_t i = 0; i < m.size; i++)
        for (size_t k = 0; k < sizeof values; k++) {
            uint8_t was = m.data[i];
            m.data[i] = values[k];
            try_bytes(m.data, m.size, &error);
            m.data[i] = was;
        }
    onnx_free(&m);
}

static void test_files(void **state)
{
    KerbOnnx *onnx;
    KerbError error = { 0 };
    char folder[] = "/tmp/kerb-onnx-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/net.onnx", folder);
    assert_int_equal(kerb_onnx_open(&onnx, path, &error), KERB_ERROR_ASSET);
    assert_null(onnx);
    assert_non_null(strstr(error.message, path));
    assert_int_equal(kerb_onnx_open(&onnx, folder, &error), KERB_ERROR_ASSET);
    assert_non_null(strstr(error.message, "folder"));
    FILE *f = fopen(path, "wb");
    fclose(f);
    assert_int_equal(kerb_onnx_open(&onnx, path, &error), KERB_ERROR_ASSET);
    assert_non_null(strstr(error.message, "empty"));
    assert_non_null(strstr(error.message, path));
    OnnxBytes m = onnx_small_model();
    f = fopen(path, "wb");
    fwrite(m.data, 1, m.size, f);
    fclose(f);
    assert_int_equal(kerb_onnx_open(&onnx, path, &error), KERB_OK);
    assert_int_equal(kerb_onnx_bytes(onnx), m.size);
    kerb_onnx_close(&onnx);
    assert_null(onnx);
    kerb_onnx_close(&onnx);
    kerb_onnx_close(NULL);
    onnx_free(&m);
    unlink(path);
    rmdir(folder);
}

static void test_what_is_not_onnx(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *expect[2];
    } kinds[] = {
#define KIND(text, a, b) { text, sizeof text - 1, { a, b } }
        KIND("\x1c\0\0\0TFL3\x14\0\0\0", "TensorFlow Lite", "tf2onnx"),
        KIND("ptrt\0\0\0\0abcdefgh", "TensorRT", "built from"),
        KIND("ftrt\0\0\0\0abcdefgh", "TensorRT", "built from"),
        KIND("PK\3\4..........................net/data.pkl", "PyTorch checkpoint", "torch.onnx.export"),
        KIND("PK\3\4..........net/data.pkl....net/constants.pkl", "TorchScript", "torch.onnx.export"),
        KIND("PK\3\4.....config.json model.weights.h5", "Keras", "tf2onnx"),
        KIND("PK\3\4.....readme.txt", "zip", "unpack"),
        KIND("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", "PyTorch", "torch.onnx.export"),
        KIND("\x80\x04\x95....", "pickle", "torch.onnx.export"),
        KIND("<?xml version=\"1.0\"?>\n<net name=\"x\" version=\"11\">", "OpenVINO", "export"),
        KIND("\x89HDF\r\n\x1a\n", "HDF5", "tf2onnx"),
        KIND("7767517\n75 83\nInput", "ncnn", "export"),
        KIND("\x40\0\0\0\0\0\0\0{\"__metadata__\":{}", "safetensors", "torch.onnx.export"),
        KIND("\x1f\x8b\x08\0", "gzip", "unpack"),
        KIND("<!DOCTYPE html><html>", "web page", "download"),
        KIND("  \r\n<html>", "web page", "download"),
        KIND("version https://git-lfs.github.com/spec/v1\noid sha256:", "Git LFS", "git lfs pull"),
        KIND("\x18\0\0\0ORTM\0\0\0\0", "ONNX Runtime", ".onnx"),
        KIND("{\"a\": 1}", "JSON", "card"),
        KIND("GGUF....", "GGUF", "ONNX"),
        KIND("\x08\x04\x12\x02\x0a\0\xa2\x1f\x02\x0a\0", "Core ML", "export"),                       /* field 500 */
        KIND("\x0a\x08\x0a\x01x\x12\x03" "Add", "TensorFlow graph", "tf2onnx"),                      /* GraphDef: node = 1 */
        KIND("\x08\x01\x10\x01\x4a\x04\0\0\0\0", "tensor", "model"),                                 /* TensorProto */
        KIND("\x08\x07\x12\x04test", "no graph", "export"),
        KIND("random text that nobody knows", "damaged or cut", "byte"),
#undef KIND
    };
    KerbError error;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        assert_int_equal(try_bytes(kinds[i].bytes, kinds[i].n, &error), KERB_ERROR_ASSET);
        for (int k = 0; k < 2; k++)
            if (!strstr(error.message, kinds[i].expect[k])) fail_msg("case %zu: '%s' is not in: %s", i, kinds[i].expect[k], error.message);
    }
    /* SavedModel: schema version 1 and a meta graph, in the fields where ONNX has its version and its producer. */
    OnnxBytes m = { 0 };
    char meta[200] = { 0x0a, 0 };
    onnx_field_int(&m, 1, 1);
    onnx_field_bytes(&m, 2, meta, sizeof meta);
    assert_int_equal(try_bytes(m.data, m.size, &error), KERB_ERROR_ASSET);
    assert_non_null(strstr(error.message, "SavedModel"));
    onnx_free(&m);
    /* A producer's name must not be mistaken for another format's mark. */
    m = onnx_small_model();
    OnnxBytes named = { 0 };
    onnx_field_int(&named, 1, 8);
    onnx_field_text(&named, 2, "TFL3-to-onnx");
    onnx_raw(&named, m.data, m.size);
    assert_int_equal(try_bytes(named.data, named.size, &error), KERB_OK);
    onnx_free(&named);
    onnx_free(&m);
}

static void test_real_files_that_are_not_onnx(void **state)
{
    static const struct {
        const char *file, *expect;
    } files[] = {
        { "models/deeplab_mnv2_cityscapes_513_uint8.tflite", "TensorFlow Lite" },
        { "models/espnet_p_2_q_8_city.pth", "PyTorch" },
        { "models/espnetv2_s_1.0_city_1024x512.pth", "PyTorch" },
        { "models/road-segmentation-adas-0001.xml", "OpenVINO" },
        { "models/road-segmentation-adas-0001.bin", "not an ONNX model, or damaged or cut" },
        { "models/deeplab_mnv2_cityscapes_513_input.png", "picture" },
    };
    const char *data = getenv("KERB_DATA");
    if (!data || access(data, R_OK) != 0) skip();
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[1024];
        KerbOnnx *onnx;
        KerbError error = { 0 };
        snprintf(path, sizeof path, "%s/%s", data, files[i].file);
        assert_int_equal(kerb_onnx_open(&onnx, path, &error), KERB_ERROR_ASSET);
        if (!strstr(error.message, files[i].expect)) fail_msg("'%s' is not in: %s", files[i].expect, error.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_model), cmocka_unit_test(test_every_prefix),      cmocka_unit_test(test_every_bit),
        cmocka_unit_test(test_every_byte),  cmocka_unit_test(test_files),             cmocka_unit_test(test_what_is_not_onnx),
        cmocka_unit_test(test_real_files_that_are_not_onnx),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
