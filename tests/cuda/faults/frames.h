/* SPDX-License-Identifier: MIT */
/* A small network of everything (convolutions fused, with residual, depthwise, transposed; pooling, concat, resize), frames of known contents, and
 * what ref makes of them: what the CUDA backend on the stand-in is held against. Pipelines are run to the end whatever fails, and judged. */
#ifndef KERB_TESTS_CUDA_FAULTS_FRAMES_H
#define KERB_TESTS_CUDA_FAULTS_FRAMES_H

#include "kerb.h"

enum { FRAMES_CONTENTS = 4, FRAMES_DISPLAYS = 4, FRAMES_FORMATS = 3 };

typedef struct FramesTable {
    KerbVideoFormat formats[FRAMES_FORMATS];
    KerbDisplay displays[FRAMES_DISPLAYS];
    uint8_t *contents[FRAMES_FORMATS][FRAMES_CONTENTS]; /* planes one behind the other, rows without gaps */
    uint8_t *labels[FRAMES_FORMATS][FRAMES_CONTENTS], *confidence[FRAMES_FORMATS][FRAMES_CONTENTS];
    uint8_t *pictures[FRAMES_FORMATS][FRAMES_CONTENTS][FRAMES_DISPLAYS];
} FramesTable;

/* Makes a folder under /tmp with net.onnx in it, enters it, and fills the table by means of ref. The folder goes with frames_end(). */
void frames_begin(FramesTable *table);
void frames_end(FramesTable *table);

size_t frames_bytes(const KerbVideoFormat *format);
KerbFrame frames_frame(const KerbVideoFormat *format, uint8_t *memory);
void frames_config(KerbConfig *config, const char *backend);

/* True where results are those of the table; else `why` says in which way not. NULL: not looked at. */
typedef struct FramesGot {
    int format, content, display;
    const uint8_t *labels, *confidence, *picture; /* rows without gaps */
} FramesGot;
bool frames_equal(const FramesTable *table, const FramesGot *got, char *why, size_t why_bytes);

#endif
