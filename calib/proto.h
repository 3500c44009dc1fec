/* SPDX-License-Identifier: MIT */
/* Writing protobuf: the other direction of net/onnx/wire.h. Enters: field numbers and values. Leaves: bytes. It knows no message of ONNX. */
#ifndef KERB_CALIB_PROTO_H
#define KERB_CALIB_PROTO_H

#include "net/onnx/wire.h"

/* Bytes that grow. Init with {0}; free with kerb_proto_free(). */
typedef struct KerbProto {
    uint8_t *data;
    size_t size, capacity;
    bool failed; /* out of memory: what is there is cut */
} KerbProto;

void kerb_proto_free(KerbProto *p);
void kerb_proto_raw(KerbProto *p, const void *data, size_t bytes);
void kerb_proto_int(KerbProto *p, unsigned field, int64_t value);
void kerb_proto_bytes(KerbProto *p, unsigned field, const void *data, size_t bytes);
void kerb_proto_text(KerbProto *p, unsigned field, const char *text);
/* Adds the part as a message, and frees it. */
void kerb_proto_message(KerbProto *p, unsigned field, KerbProto *part);

#endif
