/* SPDX-License-Identifier: MIT */
/* What the rules use: the attributes of the node at hand, and new nodes, values and constants in the graph. */
#include "net/onnx/import.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- failures */

void kerb_import_bad(KerbImport *im, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (im->status == KERB_OK)
        im->status = kerb_fail(im->error, KERB_ERROR_ASSET, "%.80s (node '%.200s'): %s; the model is not sound: export it again", im->type,
                               im->name, text);
}

void kerb_import_lack(KerbImport *im, const char *format, ...)
{
    char text[200];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (!im->lacking) kerb_import_lack_of(im, im->type, im->name, text);
    im->lacking = true;
}

void kerb_import_no_memory(KerbImport *im)
{
    if (im->status == KERB_OK) im->status = kerb_fail(im->error, KERB_ERROR_MEMORY, "out of memory for importing the model");
}

/* ---- attributes */

static const KerbOnnxAttribute *kerb_attribute_any(KerbImport *im, const char *name)
{
    for (int i = 0; i < im->node->n_attributes; i++) {
        if (!kerb_bytes_are(im->node->attributes[i].name, name)) continue;
        im->attributes_read |= (uint64_t)1 << i;
        return &im->node->attributes[i];
    }
    return NULL;
}

const KerbOnnxAttribute *kerb_attribute(KerbImport *im, const char *name, KerbOnnxAttributeType type)
{
    const KerbOnnxAttribute *a = kerb_attribute_any(im, name);
    if (!a) return NULL;
    if (a->is_reference) kerb_import_bad(im, "attribute '%s' refers to a function's, but there is no function", name);
    else if (a->type != (int)type) kerb_import_bad(im, "attribute '%s' has type %d where %d is due", name, a->type, (int)type);
    return im->status == KERB_OK ? a : NULL;
}

void kerb_attribute_ignore(KerbImport *im, const char *name) { kerb_attribute_any(im, name); }

int64_t kerb_attribute_int(KerbImport *im, const char *name, int64_t fallback)
{
    const KerbOnnxAttribute *a = kerb_attribute(im, name, KERB_ATTRIBUTE_INT);
    return a ? a->i : fallback;
}

bool kerb_attribute_bool(KerbImport *im, const char *name, bool fallback) { return kerb_attribute_int(im, name, fallback) != 0; }

float kerb_attribute_float(KerbImport *im, const char *name, float fallback)
{
    const KerbOnnxAttribute *a = kerb_attribute(im, name, KERB_ATTRIBUTE_FLOAT);
    return a ? a->f : fallback;
}

/* A list's numbers: field 7 or 8 of the attribute's message. */
static int kerb_attribute_list(KerbImport *im, const char *name, KerbOnnxAttributeType type, uint64_t out[], int max)
{
    const KerbOnnxAttribute *a = kerb_attribute(im, name, type);
    if (!a) return -1;
    bool ints = type == KERB_ATTRIBUTE_INTS;
    KerbNumbers walk = kerb_numbers(a->message, ints ? 8 : 7, ints ? KERB_WIRE_VARINT : KERB_WIRE_FIXED32);
    uint64_t bits;
    int n = 0;
    while (kerb_numbers_next(&walk, &bits)) {
        if (n == max) {
            kerb_import_bad(im, "attribute '%s' has more than %d entries", name, max);
            return -1;
        }
        out[n++] = bits;
    }
    return n;
}

#define KERB_LIST_MAX 64

int kerb_attribute_ints(KerbImport *im, const char *name, int64_t out[], int max)
{
    uint64_t bits[KERB_LIST_MAX];
    int n = kerb_attribute_list(im, name, KERB_ATTRIBUTE_INTS, bits, max < KERB_LIST_MAX ? max : KERB_LIST_MAX);
    for (int i = 0; i < n; i++) out[i] = (int64_t)bits[i];
    return n;
}

int kerb_attribute_floats(KerbImport *im, const char *name, float out[], int max)
{
    uint64_t bits[KERB_LIST_MAX];
    int n = kerb_attribute_list(im, name, KERB_ATTRIBUTE_FLOATS, bits, max < KERB_LIST_MAX ? max : KERB_LIST_MAX);
    for (int i = 0; i < n; i++) out[i] = kerb_bits_float(bits[i]);
    return n;
}

int kerb_attribute_choice(KerbImport *im, const char *name, const char *const choices[], int fallback)
{
    const KerbOnnxAttribute *a = kerb_attribute(im, name, KERB_ATTRIBUTE_STRING);
    if (!a) return fallback;
    char list[256] = "";
    size_t used = 0;
    for (int i = 0; choices[i]; i++) {
        if (kerb_bytes_are(a->s, choices[i])) return i;
        int n = snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", choices[i]);
        if (n > 0 && (size_t)n < sizeof list - used) used += (size_t)n;
    }
    const char *value = kerb_bytes_text(im->scratch, a->s);
    kerb_import_bad(im, "%s '%.60s' is none of %s", name, value ? value : "?", list);
    return fallback;
}

/* One of a window's lists; `count` entries (n of them, or 2n for pads) within [low, 2^31). */
static bool kerb_window_list(KerbImport *im, const char *name, int64_t out[], int *n, int count_of_axis, int64_t low)
{
    int got = kerb_attribute_ints(im, name, out, 2 * 8);
    if (got < 0) return false;
    if (got == 0) return false; /* some exporters write empty lists for defaults */
    if (got % count_of_axis || (*n && got / count_of_axis != *n)) {
        kerb_import_bad(im, "attribute '%s' has %d entries, which does not fit %d spatial axes", name, got, *n);
        return false;
    }
    for (int i = 0; i < got; i++)
        if (out[i] < low || out[i] > INT32_MAX)
            kerb_import_bad(im, "attribute '%s' has %lld, which is not %lld..2^31-1", name, (long long)out[i], (long long)low);
    *n = got / count_of_axis;
    if (*n > KERB_MAX_SPATIAL) kerb_import_lack(im, "%d spatial axes", *n);
    return im->status == KERB_OK && !im->lacking;
}

void kerb_attribute_window(KerbImport *im, KerbWindow *window, bool has_kernel, uint32_t weights)
{
    static const char *const auto_pads[] = { "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID", NULL };
    const KerbValue *w = kerb_graph_value(im->g, weights);
    int64_t kernel[16], stride[16], dilation[16], pads[16];
    int n = 0;
    bool has_strides, has_dilations, has_pads, given = has_kernel && kerb_window_list(im, "kernel_shape", kernel, &n, 1, 1);
    has_strides = kerb_window_list(im, "strides", stride, &n, 1, 1);
    has_dilations = kerb_window_list(im, "dilations", dilation, &n, 1, 1);
    has_pads = kerb_window_list(im, "pads", pads, &n, 2, 0);
    if (im->status != KERB_OK || im->lacking) return;
    if (n == 0 && kerb_value_is_constant(w) && w->rank > 2 && w->rank - 2 <= KERB_MAX_SPATIAL) n = w->rank - 2;
    if (n && kerb_value_is_constant(w) && w->rank != n + 2) {
        kerb_import_bad(im, "its window has %d axes, its weights have %d", n, w->rank - 2);
        return;
    }
    *window = (KerbWindow){ .n = n, .auto_pad = (KerbAutoPad)kerb_attribute_choice(im, "auto_pad", auto_pads, 0) };
    for (int i = 0; i < KERB_MAX_SPATIAL; i++) { /* beyond n: neutral, for windows whose number of axes the weights say later */
        bool here = i < n;
        window->kernel[i] = here && given ? kernel[i] : here && kerb_value_is_constant(w) ? w->dims[i + 2] : 0;
        window->stride[i] = here && has_strides ? stride[i] : 1;
        window->dilation[i] = here && has_dilations ? dilation[i] : 1;
        window->pad_begin[i] = here && has_pads ? pads[i] : 0;
        window->pad_end[i] = here && has_pads ? pads[n + i] : 0;
    }
}

/* ---- what is known of values */

KerbDtype kerb_import_type(const KerbImport *im, int i)
{
    uint32_t id = kerb_import_input(im, i);
    return id < (uint32_t)im->n_known ? im->types[id] : KERB_DTYPE_NONE;
}

int kerb_import_rank(const KerbImport *im, int i)
{
    uint32_t id = kerb_import_input(im, i);
    return id < (uint32_t)im->n_known ? im->ranks[id] : -1;
}

void kerb_import_says(KerbImport *im, int output, KerbDtype type, int rank)
{
    if (output >= im->n_outputs || im->outputs[output] >= (uint32_t)im->n_known) return;
    if (type != KERB_DTYPE_NONE) im->types[im->outputs[output]] = type;
    if (rank >= 0) im->ranks[im->outputs[output]] = (int8_t)rank;
}

/* ---- building */

KerbAttrs *kerb_import_add(KerbImport *im, KerbOp op, const char *suffix, int n_inputs, const uint32_t inputs[], int n_outputs,
                           const uint32_t outputs[])
{
    memset(&im->nowhere, 0, sizeof im->nowhere);
    if (im->status != KERB_OK || im->lacking) return &im->nowhere;
    while (n_inputs && inputs[n_inputs - 1] == KERB_NO_VALUE) n_inputs--;
    const char *name = suffix ? kerb_graph_name(im->g, im->name, suffix) : im->name;
    uint32_t id = name ? kerb_graph_add_node(im->g, op, name, n_inputs, inputs, n_outputs, outputs) : KERB_NO_NODE;
    if (id != KERB_NO_NODE) return &im->g->nodes[id].attrs;
    kerb_import_no_memory(im);
    return &im->nowhere;
}

KerbAttrs *kerb_import_same(KerbImport *im, KerbOp op, int n_inputs)
{
    return kerb_import_add(im, op, NULL, n_inputs < im->n_inputs ? n_inputs : im->n_inputs, im->inputs, im->n_outputs, im->outputs);
}

uint32_t kerb_import_between(KerbImport *im, const char *suffix)
{
    const char *name = kerb_graph_name(im->g, im->name, suffix);
    uint32_t id = name ? kerb_graph_add_value(im->g, name, KERB_DTYPE_NONE, -1, NULL) : KERB_NO_VALUE;
    if (id == KERB_NO_VALUE) kerb_import_no_memory(im);
    return id;
}

static uint32_t kerb_import_constant(KerbImport *im, const char *suffix, KerbDtype dtype, int rank, int64_t n, const void *data)
{
    if (im->status != KERB_OK || im->lacking) return KERB_NO_VALUE;
    const char *name = kerb_graph_name(im->g, im->name, suffix);
    uint32_t id = name ? kerb_graph_add_constant(im->g, name, dtype, rank, &n, data, true) : KERB_NO_VALUE;
    if (id == KERB_NO_VALUE) kerb_import_no_memory(im);
    return id;
}

uint32_t kerb_import_ints(KerbImport *im, const char *suffix, int n, const int64_t values[])
{
    return kerb_import_constant(im, suffix, KERB_I64, 1, n, values);
}

uint32_t kerb_import_floats(KerbImport *im, const char *suffix, int n, const float values[])
{
    return kerb_import_constant(im, suffix, KERB_F32, 1, n, values);
}

uint32_t kerb_import_scalar(KerbImport *im, const char *suffix, KerbDtype dtype, double value)
{
    uint64_t room = 0;
    KerbTensor t = kerb_tensor(&room, dtype == KERB_DTYPE_NONE ? KERB_F32 : dtype, 0, NULL);
    kerb_tensor_set(&t, 0, value);
    return kerb_import_constant(im, suffix, t.dtype, 0, 0, &room);
}

uint32_t kerb_import_unsqueezed(KerbImport *im, const char *suffix, uint32_t x, int first, int n)
{
    int64_t axes[KERB_MAX_RANK];
    if (n <= 0 || n > KERB_MAX_RANK) return x;
    for (int i = 0; i < n; i++) axes[i] = first + i;
    uint32_t y = kerb_import_between(im, suffix);
    uint32_t inputs[2] = { x, kerb_import_ints(im, "axes", n, axes) };
    kerb_import_add(im, KERB_OP_UNSQUEEZE, suffix, 2, inputs, 1, &y);
    return y;
}
