/* SPDX-License-Identifier: MIT */
/* What a file is that is not ONNX, and how to get an ONNX file from it. Enters: the bytes. Leaves: a message, or nothing known. */
#include "net/onnx/model.h"

#include <string.h>

static KerbStatus kerb_sniff_is(KerbError *error, const char *what, const char *remedy)
{
    return kerb_fail(error, KERB_ERROR_ASSET, "this is %s, not an ONNX model; %s", what, remedy);
}

static const char from_framework[] = "export the original network from its framework to ONNX";
static const char from_torch[] = "load it into its network in Python, then "
                                 "torch.onnx.export(net.eval(), torch.zeros(1, 3, HEIGHT, WIDTH), 'net.onnx', opset_version=17)";
static const char from_keras[] = "save it as a SavedModel; then python -m tf2onnx.convert --saved-model FOLDER --output net.onnx";
static const char from_tensorflow[] = "python -m tf2onnx.convert --saved-model FOLDER --output net.onnx makes one";
static const char from_download[] = "the download did not give the model itself: fetch it again";

static const struct {
    size_t offset;
    const char *magic;
    size_t bytes;
    const char *what, *remedy;
} kerb_magics[] = {
    { 4, "TFL3", 4, "a TensorFlow Lite model", "python -m tf2onnx.convert --tflite FILE --output net.onnx makes one" },
    { 4, "ORTM", 4, "a model in ONNX Runtime's own format (.ort)", "use the .onnx file that it was made from" },
    { 0, "ptrt", 4, "a TensorRT engine", "it runs on one kind of GPU only: use the .onnx file that it was built from" },
    { 0, "ftrt", 4, "a TensorRT engine", "it runs on one kind of GPU only: use the .onnx file that it was built from" },
    { 0, "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 14, "a PyTorch checkpoint (old format)", from_torch },
    { 0, "\x80\x02", 2, "a Python pickle, probably a PyTorch checkpoint", from_torch },
    { 0, "\x80\x03", 2, "a Python pickle, probably a PyTorch checkpoint", from_torch },
    { 0, "\x80\x04", 2, "a Python pickle, probably a PyTorch checkpoint", from_torch },
    { 0, "\x80\x05", 2, "a Python pickle, probably a PyTorch checkpoint", from_torch },
    { 0, "\x89HDF\r\n\x1a\n", 8, "a Keras or other HDF5 file", from_keras },
    { 0, "7767517\n", 8, "an ncnn network description", from_framework },
    { 0, "7767517\r", 8, "an ncnn network description", from_framework },
    { 0, "\xdd\x85\x76\x00", 4, "a binary ncnn network description", from_framework },
    { 0, "\x1f\x8b", 2, "a gzip archive", "unpack it first (gunzip or tar xzf)" },
    { 0, "BZh", 3, "a bzip2 archive", "unpack it first" },
    { 0, "\xfd" "7zXZ", 5, "an xz archive", "unpack it first" },
    { 0, "\x28\xb5\x2f\xfd", 4, "a zstd archive", "unpack it first" },
    { 0, "version https://git-lfs", 23, "a Git LFS pointer", "the file itself has not been fetched: run git lfs pull" },
    { 0, "GGUF", 4, "a GGUF file (a language model)", "Kerb needs a network for segmentation, exported to ONNX" },
    { 0, "RKNN", 4, "a Rockchip RKNN model", from_framework },
    { 0, "\x93NUMPY", 6, "a NumPy array", from_framework },
    { 0, "\x89PNG", 4, "a picture", "name the model with --model and the picture as the source" },
    { 0, "\xff\xd8\xff", 3, "a picture", "name the model with --model and the picture as the source" },
    { 4, "ftyp", 4, "a video", "name the model with --model and the video as the source" },
    { 0, "\x1a\x45\xdf\xa3", 4, "a video", "name the model with --model and the video as the source" },
};

static bool kerb_bytes_contain(KerbBytes bytes, const char *text) { return memmem(bytes.data, bytes.size, text, strlen(text)) != NULL; }

/* The first `n` bytes, case folded by nobody: text formats start with what is looked for after white space and a byte-order mark. */
static KerbBytes kerb_sniff_text(KerbBytes bytes, size_t n)
{
    if (bytes.size >= 3 && memcmp(bytes.data, "\xef\xbb\xbf", 3) == 0) bytes = (KerbBytes){ bytes.data + 3, bytes.size - 3 };
    while (bytes.size && (*bytes.data == ' ' || *bytes.data == '\n' || *bytes.data == '\r' || *bytes.data == '\t'))
        bytes = (KerbBytes){ bytes.data + 1, bytes.size - 1 };
    if (bytes.size > n) bytes.size = n;
    return bytes;
}

static KerbStatus kerb_sniff_zip(KerbBytes bytes, KerbError *error)
{
    /* The names of a zip's files stand in front of each of them, and once more at the end. */
    KerbBytes head = { bytes.data, bytes.size < 4096 ? bytes.size : 4096 }, tail = bytes;
    if (tail.size > 262144) tail = (KerbBytes){ bytes.data + bytes.size - 262144, 262144 };
    if (kerb_bytes_contain(tail, "constants.pkl"))
        return kerb_sniff_is(error, "a TorchScript archive",
                             "load it with torch.jit.load, or better the network itself, and use torch.onnx.export");
    if (kerb_bytes_contain(head, "data.pkl") || kerb_bytes_contain(tail, "data.pkl"))
        return kerb_sniff_is(error, "a PyTorch checkpoint (.pth, .pt)", from_torch);
    if (kerb_bytes_contain(tail, "model.weights.h5"))
        return kerb_sniff_is(error, "a Keras archive (.keras)", from_keras);
    return kerb_sniff_is(error, "a zip archive", "unpack it first");
}

static KerbStatus kerb_sniff_markup(KerbBytes bytes, KerbError *error)
{
    KerbBytes text = kerb_sniff_text(bytes, 1024);
    if (text.size < 2 || (text.data[0] != '<' && text.data[0] != '{')) return KERB_OK;
    /* A protobuf may start with '<' or '{' by chance (as a key: field 7 of type 4, field 15 of type 3; neither is ONNX). */
    if (text.data[0] == '{') return kerb_sniff_is(error, "a JSON file", "name the .onnx file; a model card is found beside it by its name");
    if (kerb_bytes_contain(text, "<net ")) return kerb_sniff_is(error, "an OpenVINO IR (.xml)", from_framework);
    if (kerb_bytes_contain(text, "<html") || kerb_bytes_contain(text, "<!DOCTYPE html") || kerb_bytes_contain(text, "<!doctype html"))
        return kerb_sniff_is(error, "a web page", from_download);
    return kerb_sniff_is(error, "an XML file", from_framework);
}

KerbStatus kerb_onnx_sniff(KerbBytes bytes, KerbError *error)
{
    /* An ONNX file starts with ir_version (a varint) and usually producer_name, whose text lies where other formats have their mark. */
    if (bytes.size >= 4 && bytes.data[0] == 0x08 && bytes.data[1] < 0x80 && bytes.data[2] == 0x12) return KERB_OK;
    for (size_t i = 0; i < sizeof kerb_magics / sizeof kerb_magics[0]; i++)
        if (bytes.size >= kerb_magics[i].offset + kerb_magics[i].bytes &&
            memcmp(bytes.data + kerb_magics[i].offset, kerb_magics[i].magic, kerb_magics[i].bytes) == 0)
            return kerb_sniff_is(error, kerb_magics[i].what, kerb_magics[i].remedy);
    if (bytes.size >= 4 && memcmp(bytes.data, "PK\3\4", 4) == 0) return kerb_sniff_zip(bytes, error);
    if (bytes.size >= 10 && bytes.data[6] == 0 && bytes.data[7] == 0 && memcmp(bytes.data + 8, "{\"", 2) == 0)
        return kerb_sniff_is(error, "a safetensors file: weights without the network", from_torch);
    return kerb_sniff_markup(bytes, error);
}

KerbStatus kerb_onnx_sniff_protobuf(KerbBytes bytes, KerbError *error)
{
    KerbWire w = kerb_wire(bytes);
    KerbField f;
    uint64_t first = 0;
    bool first_bytes = false, schema = false, core_ml = false, tensor = false;
    for (int i = 0; i < 1000 && kerb_wire_next(&w, &f); i++) {
        if (f.number == 1 && f.type == KERB_WIRE_VARINT && i == 0) first = f.value;
        if (f.number == 1 && f.type == KERB_WIRE_BYTES) first_bytes = true;
        if (f.number == 2 && f.type == KERB_WIRE_BYTES && i == 1 && first == 1) schema = f.bytes.size > 64;
        if (f.number >= 200 && f.number <= 3100 && f.type == KERB_WIRE_BYTES && first >= 1 && first <= 20) core_ml = true;
        if (f.number == 9 && f.type == KERB_WIRE_BYTES) tensor = true;
    }
    if (core_ml) return kerb_sniff_is(error, "a Core ML model", from_framework);
    if (schema) return kerb_sniff_is(error, "a TensorFlow SavedModel", from_tensorflow);
    if (tensor) return kerb_sniff_is(error, "a single tensor in ONNX's format (test data?)", "name the model's file");
    if (first_bytes && bytes.data[0] == 0x0a)
        return kerb_sniff_is(error, "another protobuf (perhaps a frozen TensorFlow graph or a Caffe model)",
                             "TensorFlow: python -m tf2onnx.convert --graphdef FILE --inputs NAMES --outputs NAMES --output net.onnx; "
                             "else export it from its framework");
    return KERB_OK;
}
