/* SPDX-License-Identifier: MIT */
/* The protobuf wire format, written: protobuf.dev/programming-guides/encoding. */
#include "calib/proto.h"

#include <stdlib.h>
#include <string.h>

void kerb_proto_free(KerbProto *p)
{
    free(p->data);
    *p = (KerbProto){ 0 };
}

void kerb_proto_raw(KerbProto *p, const void *data, size_t bytes)
{
    if (p->failed || !bytes) return;
    if (bytes > p->capacity - p->size) {
        size_t wanted = 0;
        bool fits = kerb_add_size(p->size, bytes, &wanted) && kerb_mul_size(wanted, 2, &wanted);
        uint8_t *larger = fits ? realloc(p->data, wanted) : NULL;
        p->failed = !larger;
        if (!larger) return;
        p->data = larger;
        p->capacity = wanted;
    }
    memcpy(p->data + p->size, data, bytes);
    p->size += bytes;
}

static void kerb_proto_varint(KerbProto *p, uint64_t v)
{
    uint8_t bytes[10];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7) bytes[n++] = (uint8_t)(v | 0x80);
    bytes[n++] = (uint8_t)v;
    kerb_proto_raw(p, bytes, n);
}

void kerb_proto_int(KerbProto *p, unsigned field, int64_t value)
{
    kerb_proto_varint(p, (uint64_t)field << 3 | KERB_WIRE_VARINT);
    kerb_proto_varint(p, (uint64_t)value);
}

void kerb_proto_bytes(KerbProto *p, unsigned field, const void *data, size_t bytes)
{
    kerb_proto_varint(p, (uint64_t)field << 3 | KERB_WIRE_BYTES);
    kerb_proto_varint(p, bytes);
    kerb_proto_raw(p, data, bytes);
}

void kerb_proto_text(KerbProto *p, unsigned field, const char *text) { kerb_proto_bytes(p, field, text, strlen(text)); }

void kerb_proto_message(KerbProto *p, unsigned field, KerbProto *part)
{
    if (part->failed) p->failed = true;
    kerb_proto_bytes(p, field, part->data, part->size);
    kerb_proto_free(part);
}
