/* SPDX-License-Identifier: MIT */
/* Comparing what a backend gave with what a case expects. */
#include "case.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

static bool elements_agree(const KerbTensor *got, const KerbTensor *expected, int64_t i)
{
    if (!kerb_dtype_is_float(expected->dtype)) return kerb_tensor_get_i64(got, i) == kerb_tensor_get_i64(expected, i);
    double g = kerb_tensor_get(got, i), e = kerb_tensor_get(expected, i);
    if (isnan(e) || isnan(g)) return isnan(e) && isnan(g);
    double rtol = expected->dtype == KERB_BF16 ? CASE_RTOL_BF16 : CASE_RTOL;
    return g == e || fabs(g - e) <= CASE_ATOL + rtol * fabs(e);
}

static void index_text(const KerbTensor *t, int64_t flat, char *text, size_t bytes)
{
    int64_t index[KERB_MAX_RANK];
    for (int i = t->rank - 1; i >= 0; i--) {
        index[i] = flat % t->dims[i];
        flat /= t->dims[i];
    }
    size_t used = (size_t)snprintf(text, bytes, "[");
    for (int i = 0; i < t->rank && used < bytes; i++)
        used += (size_t)snprintf(text + used, bytes - used, "%s%" PRId64, i ? "," : "", index[i]);
    if (used < bytes) snprintf(text + used, bytes - used, "]");
}

static void value_text(const KerbTensor *t, int64_t i, char *text, size_t bytes)
{
    if (kerb_dtype_is_float(t->dtype)) snprintf(text, bytes, "%.9g", kerb_tensor_get(t, i));
    else snprintf(text, bytes, "%" PRId64, kerb_tensor_get_i64(t, i));
}

bool case_compare(const KerbTensor *got, const KerbTensor *expected, char *text, size_t bytes)
{
    char a[128], b[128], at[128];
    if (!kerb_tensor_same_shape(got, expected)) {
        snprintf(text, bytes, "shape: got %s, expected %s", kerb_dims_text(got->rank, got->dims, a, sizeof a),
                 kerb_dims_text(expected->rank, expected->dims, b, sizeof b));
        return false;
    }
    if (got->dtype != expected->dtype && !(kerb_dtype_is_float(got->dtype) && kerb_dtype_is_float(expected->dtype))) {
        snprintf(text, bytes, "type: got %s, expected %s", kerb_dtype_name(got->dtype), kerb_dtype_name(expected->dtype));
        return false;
    }
    int64_t n = kerb_tensor_elements(expected), wrong = 0, first = -1;
    for (int64_t i = 0; i < n; i++) {
        if (elements_agree(got, expected, i)) continue;
        if (first < 0) first = i;
        wrong++;
    }
    if (wrong == 0) return true;
    value_text(got, first, a, sizeof a);
    value_text(expected, first, b, sizeof b);
    index_text(expected, first, at, sizeof at);
    snprintf(text, bytes, "%s: got %s, expected %s (%" PRId64 " of %" PRId64 " differ)", at, a, b, wrong, n);
    return false;
}
