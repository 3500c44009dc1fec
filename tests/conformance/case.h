/* SPDX-License-Identifier: MIT */
/* One ONNX backend case: a folder with model.onnx and test_data_set_N/{input,output}_M.pb. */
#ifndef KERB_CONFORMANCE_CASE_H
#define KERB_CONFORMANCE_CASE_H

#include "net/backend.h"

typedef struct CaseOptions {
    const KerbBackend *backend;
    const char *only; /* run cases that have a node of this ONNX type; NULL: all */
    bool passes;      /* optimise the graph */
    bool errata;      /* run cases whose expected values are known to be wrong, too */
    int threads;
} CaseOptions;

typedef enum CaseOutcome { CASE_PASSED, CASE_FAILED, CASE_SKIPPED, CASE_NOT_CHOSEN } CaseOutcome;

typedef struct CaseResult {
    CaseOutcome outcome;
    char detail[2304];  /* failed: what differs; skipped: the reason */
    char operators[512];/* skipped for operators: their names, comma-separated */
} CaseResult;

void case_run(const char *folder, const CaseOptions *options, CaseResult *result);

/* The tolerance of onnx.backend.test's runner for floats: |got - expected| <= ATOL + RTOL * |expected|, NaN equal to NaN. bfloat16: one
 * unit in the last place (the runner compares its bits as integers, by RTOL: 16 units; the cases truncate where others round). Integers,
 * quantised ones too, and booleans: equal. False: `text` says how many differ, and the first: its index, what was got, what expected. */
#define CASE_RTOL 1e-3
#define CASE_ATOL 1e-7
#define CASE_RTOL_BF16 0x1p-7
bool case_compare(const KerbTensor *got, const KerbTensor *expected, char *text, size_t bytes);

#endif
