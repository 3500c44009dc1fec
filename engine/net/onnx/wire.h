/* SPDX-License-Identifier: MIT */
/* The protobuf wire format over memory that somebody else holds: no copies, no recursion, no allocation.
 * Every read is bounds-checked; unaligned data is fine. */
#ifndef KERB_NET_ONNX_WIRE_H
#define KERB_NET_ONNX_WIRE_H

#include "base/memory.h"

/* A part of the file. data NULL: the field was not there. */
typedef struct KerbBytes {
    const uint8_t *data;
    size_t size;
} KerbBytes;

typedef enum KerbWireType { KERB_WIRE_VARINT = 0, KERB_WIRE_FIXED64 = 1, KERB_WIRE_BYTES = 2, KERB_WIRE_FIXED32 = 5 } KerbWireType;

typedef struct KerbField {
    uint32_t number;
    KerbWireType type;
    uint64_t value;  /* VARINT, FIXED32, FIXED64 (as bits) */
    KerbBytes bytes; /* BYTES */
} KerbField;

/* A walk over one message. fault: what is wrong at `at` (NULL: nothing); a walk with a fault yields nothing more. */
typedef struct KerbWire {
    const uint8_t *at, *end;
    const char *fault;
} KerbWire;

static inline KerbWire kerb_wire(KerbBytes message)
{
    return (KerbWire){ message.data, message.data ? message.data + message.size : NULL, NULL };
}
/* The next field; false at the end and on a fault. */
bool kerb_wire_next(KerbWire *w, KerbField *field);
/* Is the field of the type that its number asks for? If not, the walk gets a fault. */
bool kerb_wire_expect(KerbWire *w, const KerbField *field, KerbWireType type);
/* A varint at the cursor; false and a fault where it is cut or longer than ten bytes. */
bool kerb_wire_varint(KerbWire *w, uint64_t *value);

/* Walks the numbers of a repeated numeric field, packed or not: init with the message and the number, then call until false. `element` is
 * VARINT, FIXED32 or FIXED64. A fault is left in walk.fields.fault. */
typedef struct KerbNumbers {
    KerbWire fields, packed;
    uint32_t number;
    KerbWireType element;
} KerbNumbers;
KerbNumbers kerb_numbers(KerbBytes message, uint32_t number, KerbWireType element);
bool kerb_numbers_next(KerbNumbers *walk, uint64_t *bits);
/* How many there are; -1 on a fault. */
int64_t kerb_numbers_count(KerbBytes message, uint32_t number, KerbWireType element);

float kerb_bits_float(uint64_t bits);
double kerb_bits_double(uint64_t bits);

bool kerb_bytes_are(KerbBytes bytes, const char *text);
/* Decimal digits only, no sign; false on anything else and on overflow. */
bool kerb_bytes_decimal(KerbBytes bytes, int64_t *value);
/* As a C string in the arena that is fit for messages: control characters and what is not UTF-8 become '?'. NULL: out of memory. */
char *kerb_bytes_text(KerbArena *arena, KerbBytes bytes);

#endif
