/* SPDX-License-Identifier: MIT */
/* The protobuf wire format: fields, varints, packed numbers, text. Enters: bytes that nobody has checked. Leaves: fields whose bytes lie
 * inside them. It knows no message of ONNX. Format: protobuf.dev/programming-guides/encoding. */
#include "net/onnx/wire.h"

#include <string.h>

bool kerb_wire_varint(KerbWire *w, uint64_t *value)
{
    uint64_t v = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        if (w->at == w->end) {
            w->fault = "a number is cut";
            return false;
        }
        uint8_t byte = *w->at++;
        if (shift < 64) v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *value = v;
            return true;
        }
    }
    w->fault = "a number has more than ten bytes";
    return false;
}

static bool kerb_wire_fixed(KerbWire *w, size_t bytes, uint64_t *value)
{
    if ((size_t)(w->end - w->at) < bytes) {
        w->fault = "a number is cut";
        return false;
    }
    uint64_t v = 0;
    for (size_t i = 0; i < bytes; i++) v |= (uint64_t)w->at[i] << 8 * i;
    w->at += bytes;
    *value = v;
    return true;
}

bool kerb_wire_next(KerbWire *w, KerbField *field)
{
    uint64_t key;
    if (w->fault || w->at == w->end || !kerb_wire_varint(w, &key)) return false;
    *field = (KerbField){ .number = (uint32_t)(key >> 3), .type = (KerbWireType)(key & 7) };
    if (key >> 3 == 0 || key >> 3 > 0x1fffffff) {
        w->fault = "a field has an impossible number";
        return false;
    }
    switch (key & 7) {
    case KERB_WIRE_VARINT: return kerb_wire_varint(w, &field->value);
    case KERB_WIRE_FIXED64: return kerb_wire_fixed(w, 8, &field->value);
    case KERB_WIRE_FIXED32: return kerb_wire_fixed(w, 4, &field->value);
    case KERB_WIRE_BYTES:
        if (!kerb_wire_varint(w, &field->value)) return false;
        if (field->value > (uint64_t)(w->end - w->at)) {
            w->fault = "a field says that it is longer than what is left";
            return false;
        }
        field->bytes = (KerbBytes){ w->at, (size_t)field->value };
        w->at += field->bytes.size;
        return true;
    default: w->fault = "a field has an impossible type"; return false;
    }
}

bool kerb_wire_expect(KerbWire *w, const KerbField *field, KerbWireType type)
{
    if (field->type == type) return true;
    w->fault = "a field has the wrong type";
    return false;
}

KerbNumbers kerb_numbers(KerbBytes message, uint32_t number, KerbWireType element)
{
    return (KerbNumbers){ .fields = kerb_wire(message), .number = number, .element = element };
}

static bool kerb_numbers_packed(KerbNumbers *walk, uint64_t *bits)
{
    bool ok = walk->element == KERB_WIRE_VARINT ? kerb_wire_varint(&walk->packed, bits)
                                                : kerb_wire_fixed(&walk->packed, walk->element == KERB_WIRE_FIXED32 ? 4 : 8, bits);
    if (!ok) walk->fields.fault = walk->packed.fault;
    return ok;
}

bool kerb_numbers_next(KerbNumbers *walk, uint64_t *bits)
{
    for (;;) {
        if (walk->packed.at != walk->packed.end) return kerb_numbers_packed(walk, bits);
        KerbField field;
        if (!kerb_wire_next(&walk->fields, &field)) return false;
        if (field.number != walk->number) continue;
        if (field.type == KERB_WIRE_BYTES) {
            walk->packed = kerb_wire(field.bytes);
            continue;
        }
        if (!kerb_wire_expect(&walk->fields, &field, walk->element)) return false;
        *bits = field.value;
        return true;
    }
}

int64_t kerb_numbers_count(KerbBytes message, uint32_t number, KerbWireType element)
{
    KerbNumbers walk = kerb_numbers(message, number, element);
    int64_t n = 0;
    uint64_t bits;
    while (kerb_numbers_next(&walk, &bits)) n++;
    return walk.fields.fault ? -1 : n;
}

float kerb_bits_float(uint64_t bits)
{
    uint32_t low = (uint32_t)bits;
    float f;
    memcpy(&f, &low, sizeof f);
    return f;
}

double kerb_bits_double(uint64_t bits)
{
    double d;
    memcpy(&d, &bits, sizeof d);
    return d;
}

bool kerb_bytes_are(KerbBytes bytes, const char *text)
{
    size_t n = strlen(text);
    return bytes.size == n && (n == 0 || memcmp(bytes.data, text, n) == 0);
}

bool kerb_bytes_decimal(KerbBytes bytes, int64_t *value)
{
    int64_t v = 0;
    if (bytes.size == 0) return false;
    for (size_t i = 0; i < bytes.size; i++) {
        int digit = bytes.data[i] - '0';
        if (digit < 0 || digit > 9 || __builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, digit, &v)) return false;
    }
    *value = v;
    return true;
}

/* Bytes of the UTF-8 character that starts at text[0], 0 where there is none. */
static size_t kerb_utf8_length(const uint8_t *text, size_t n)
{
    size_t length = text[0] < 0x80 ? 1 : text[0] >= 0xC2 && text[0] < 0xE0 ? 2 : text[0] >= 0xE0 && text[0] < 0xF0 ? 3
                  : text[0] >= 0xF0 && text[0] < 0xF5 ? 4 : 0;
    if (length > n) return 0;
    for (size_t i = 1; i < length; i++)
        if ((text[i] & 0xC0) != 0x80) return 0;
    if (length == 3 && ((text[0] == 0xE0 && text[1] < 0xA0) || (text[0] == 0xED && text[1] >= 0xA0))) return 0; /* overlong, surrogate */
    if (length == 4 && ((text[0] == 0xF0 && text[1] < 0x90) || (text[0] == 0xF4 && text[1] >= 0x90))) return 0;
    return length;
}

char *kerb_bytes_text(KerbArena *arena, KerbBytes bytes)
{
    char *text = kerb_arena_alloc(arena, bytes.size + 1);
    if (!text) return NULL;
    for (size_t i = 0; i < bytes.size;) {
        size_t length = kerb_utf8_length(bytes.data + i, bytes.size - i);
        if (length == 0 || bytes.data[i] < 0x20 || bytes.data[i] == 0x7f) {
            text[i++] = '?';
            continue;
        }
        memcpy(text + i, bytes.data + i, length);
        i += length;
    }
    return text;
}
