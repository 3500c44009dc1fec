/* SPDX-License-Identifier: MIT */
/* Checks of the network's own kernels: one launch on generated tensors, held against the reference operator to the element, and against the
 * bytes that must not be touched. The same checks run against the host twins on the stand-in runtime (test_kernels.c) and against a GPU
 * (kerb_cuda_kernels.c, which also holds the GPU's bits against the twins').
 *
 * Tensors have an image on the host and one on the "device"; launches go to either, `device` says to which. A failed check is counted and
 * printed, with everything that is needed to run it alone. */
#ifndef KERB_TESTS_KERNEL_CASE_H
#define KERB_TESTS_KERNEL_CASE_H

#include "cuda/net/kernels.h"
#include "net/ref/ref.h"

#include <string.h>

#define CASE_TENSORS 24
#define CASE_GUARD 64 /* bytes before and behind every image */

typedef struct CaseTensor {
    KerbTensor view;      /* of the host image */
    int padding;          /* pictures: KerbPicture.padding */
    uint8_t *image;       /* with guards */
    uint8_t *before;      /* the image before the launch */
    uint8_t *device;
    size_t bytes, offset; /* of the image; of the first element */
} CaseTensor;

/* What the twins gave, in order; a GPU's results are held against it. */
typedef struct CaseRecord {
    uint8_t **images;
    int n, capacity, at;
} CaseRecord;
void case_record_free(CaseRecord *record);

typedef struct Case {
    bool device;         /* launches go to the runtime (GPU or stand-in); else the items are run by the caller */
    CaseRecord *record;  /* NULL: nothing is recorded or compared */
    cudaStream_t stream;
    unsigned seed;
    int checks, failures, bit_differences;
    char what[200];
    CaseTensor tensors[CASE_TENSORS];
    int n_tensors;
    KerbGraph *graph;    /* for slopes */
} Case;

/* Forgets the tensors of the check before; `what` is for messages. */
void case_begin(Case *c, const char *format, ...) KERB_PRINTF(2, 3);
void case_end(Case *c);

unsigned case_random(Case *c);
int case_pick(Case *c, int lo, int hi); /* lo..hi */

/* Layouts of pictures: whole (pitch rounded up, padding is its own), a slice of wider pixels (nothing is its own), a slice at an odd
 * offset. */
typedef enum CaseLayout { CASE_WHOLE, CASE_SLICE, CASE_ODD, CASE_LAYOUTS } CaseLayout;
CaseTensor *case_picture(Case *c, KerbDtype type, int channels, int h, int w, CaseLayout layout);
CaseTensor *case_dense(Case *c, KerbDtype type, int rank, const int64_t dims[]);
/* Random strides: axes in any order, with gaps. */
CaseTensor *case_strided(Case *c, KerbDtype type, int rank, const int64_t dims[]);
CaseTensor *case_vector(Case *c, KerbDtype type, int n);

/* lo..hi; integers whole. Pictures' padding is set to 0. */
void case_fill(Case *c, CaseTensor *t, double lo, double hi);
/* Puts NaN, infinities, zeros of both signs here and there (floats). */
void case_salt(Case *c, CaseTensor *t);

/* As kernels see it: for Case.device the device's address. */
void *case_data(const Case *c, const CaseTensor *t);
KerbPicture case_as_picture(const Case *c, const CaseTensor *t); /* t NULL: none */
KerbStrided case_as_strided(const Case *c, const CaseTensor *t);

/* Around launches: images to the device and back. */
void case_up(Case *c);
void case_down(Case *c, cudaError_t error);
/* X(name): kerb_launch_NAME where Case.device, else the items one after the other. */
#define CASE_DECLARE(name, type) void case_launch_##name(Case *c, const type *args);
KERB_KERNELS(CASE_DECLARE)
#undef CASE_DECLARE
void case_launch_reduce(Case *c, const KerbReduceArgs *args);

/* How near a result must be: the same bits; rounding of its type; sums of f32, whose error goes with the largest element. */
typedef enum CaseNear { CASE_EXACT, CASE_ROUNDED, CASE_SUMMED } CaseNear;
/* Evaluates the node by the reference on the inputs' images and compares; inputs and padding of y are checked as well. Further outputs:
 * NULL. */
void case_expect(Case *c, KerbNode *node, int n_inputs, CaseTensor *const inputs[], CaseTensor *y, CaseNear near);
/* What the reference makes of it: dense, the caller frees its data. */
KerbTensor case_reference(Case *c, KerbNode *node, int n_inputs, CaseTensor *const inputs[], KerbDtype type, int rank,
                          const int64_t dims[]);
/* Compares with a tensor that has been computed. */
void case_expect_tensor(Case *c, CaseTensor *y, const KerbTensor *expected, CaseNear near);
void case_fail(Case *c, const char *format, ...) KERB_PRINTF(2, 3);

/* An activation with the slope's constant in c->graph; random kind where kind < 0. */
KerbActivation case_activation(Case *c, int index, int channels);
KerbFused case_fused(Case *c, const KerbActivation *act);
#define CASE_ACTIVATIONS 8

/* Families: every kernel over sizes, types, layouts. */
void kernel_cases_picture(Case *c);
void kernel_cases_conv(Case *c);
void kernel_cases_pool(Case *c);
void kernel_cases_axes(Case *c);
void kernel_cases_walk(Case *c);
void kernel_cases_move(Case *c);
void kernel_cases_matmul(Case *c);

static const KerbDtype case_floats[3] = { KERB_F32, KERB_F16, KERB_BF16 };
static const int case_channels[5] = { 1, 3, 8, 19, 64 };

#endif
