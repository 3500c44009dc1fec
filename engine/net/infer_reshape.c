/* SPDX-License-Identifier: MIT */
/* Shape rules of operators that keep their elements and rename the axes, and of Shape and Size, which give shapes as values. */
#include "net/infer.h"

#define MAX_BLOCK 4096 /* keeps dims * block * block inside int64 */

static int64_t elements_between(const KerbValue *x, int from, int to)
{
    int64_t n = 1;
    for (int i = from; i < to; i++) n *= x->dims[i]; /* below the limit: checked when it was set; 0 stays 0 */
    return n;
}

KerbStatus kerb_infer_identity(KerbInfer *c) { return kerb_infer_same(c, kerb_infer_in(c, 0)->dtype, kerb_infer_in(c, 0)); }

KerbStatus kerb_infer_transpose(KerbInfer *c)
{
    const KerbValue *x = kerb_infer_in(c, 0);
    int64_t dims[KERB_MAX_RANK] = { 0 };
    unsigned seen = 0;
    int n = c->n->attrs.transpose.n;
    int64_t *perm = c->n->attrs.transpose.perm;
    if (n == 0) {
        c->n->attrs.transpose.n = x->rank;
        for (int i = 0; i < x->rank; i++) perm[i] = x->rank - 1 - i;
    } else if (n != x->rank) {
        return kerb_infer_fail(c, "its permutation has %d axes, its input %d", n, x->rank);
    }
    for (int i = 0; i < x->rank; i++) {
        if (perm[i] < 0 || perm[i] >= x->rank || seen & 1u << perm[i])
            return kerb_infer_fail(c, "its permutation does not name every axis of %d once", x->rank);
        seen |= 1u << perm[i];
        dims[i] = x->dims[perm[i]];
    }
    return kerb_infer_set(c, 0, x->dtype, x->rank, dims);
}

KerbStatus kerb_infer_reshape(KerbInfer *c)
{
    const KerbValue *x = kerb_infer_in(c, 0);
    int64_t dims[KERB_MAX_RANK], known = 1, total = elements_between(x, 0, x->rank);
    int n, open = -1;
    char text[160];
    KerbStatus status = kerb_infer_integers(c, 1, "new dims", dims, KERB_MAX_RANK, &n);
    if (status != KERB_OK) return status;
    for (int i = 0; i < n; i++) {
        if (dims[i] == 0 && !c->n->attrs.reshape.allow_zero) {
            if (i >= x->rank) return kerb_infer_fail(c, "its new dim %d is 0 (copy), but its input has only %d axes", i, x->rank);
            dims[i] = x->dims[i];
        }
        if (dims[i] == -1 && open < 0) {
            open = i;
            continue;
        }
        if (dims[i] < 0 || (dims[i] && known > KERB_INFER_MAX_ELEMENTS / dims[i]))
            return kerb_infer_fail(c, "its new dims %s are no shape", kerb_dims_text(n, dims, text, sizeof text));
        known *= dims[i];
    }
    if (open >= 0) dims[open] = known ? total / known : 0;
    if (open >= 0 ? dims[open] * known != total || (known == 0 && c->n->attrs.reshape.allow_zero) : known != total)
        return kerb_infer_fail(c, "%lld elements do not fit into its new dims %s", (long long)total, kerb_dims_text(n, dims, text, sizeof text));
    return kerb_infer_set(c, 0, x->dtype, n, dims);
}

KerbStatus kerb_infer_flatten(KerbInfer *c)
{
    const KerbValue *x = kerb_infer_in(c, 0);
    int64_t axis = c->n->attrs.axis < 0 ? c->n->attrs.axis + x->rank : c->n->attrs.axis;
    if (axis < 0 || axis > x->rank) return kerb_infer_fail(c, "axis %lld is outside a tensor of %d axes", (long long)c->n->attrs.axis, x->rank);
    int64_t dims[2] = { elements_between(x, 0, (int)axis), elements_between(x, (int)axis, x->rank) };
    return kerb_infer_set(c, 0, x->dtype, 2, dims);
}

KerbStatus kerb_infer_unsqueeze(KerbInfer *c)
{
    const KerbValue *x = kerb_infer_in(c, 0), *axes = kerb_infer_in(c, 1);
    int64_t dims[KERB_MAX_RANK], ignored[KERB_MAX_RANK];
    unsigned mask;
    int n, from = 0;
    bool any;
    KerbStatus status = kerb_infer_integers(c, 1, "axes", ignored, KERB_MAX_RANK, &n);
    if (status != KERB_OK) return status;
    int rank = x->rank + n;
    if (rank > KERB_MAX_RANK) return kerb_infer_unsupported(c, "its output has %d axes ('%s' names %d); Kerb handles up to %d", rank, axes->name, n, KERB_MAX_RANK);
    status = kerb_infer_axes(c, 1, rank, &mask, &any);
    if (status != KERB_OK) return status;
    for (int i = 0; i < rank; i++) dims[i] = mask & 1u << i ? 1 : x->dims[from++];
    return kerb_infer_set(c, 0, x->dtype, rank, dims);
}

KerbStatus kerb_infer_squeeze(KerbInfer *c)
{
    const KerbValue *x = kerb_infer_in(c, 0);
    int64_t dims[KERB_MAX_RANK];
    unsigned mask;
    int rank = 0;
    bool any;
    KerbStatus status = kerb_infer_axes(c, 1, x->rank, &mask, &any);
    if (status != KERB_OK) return status;
    for (int i = 0; i < x->rank; i++) {
        bool drop = any ? mask & 1u << i : x->dims[i] == 1;
        if (drop && x->dims[i] != 1) return kerb_infer_fail(c, "axis %d has %lld elements, not 1", i, (long long)x->dims[i]);
        if (!drop) dims[rank++] = x->dims[i];
    }
    return kerb_infer_set(c, 0, x->dtype, rank, dims);
}

KerbStatus kerb_infer_depth_to_space(KerbInfer *c)
{
    const KerbValue *x = kerb_infer_in(c, 0);
    int64_t b = c->n->attrs.block.size;
    if (x->rank != 4 || b < 1 || b > MAX_BLOCK || x->dims[1] % (b * b) != 0)
        return kerb_infer_fail(c, "blocks of %lld x %lld need 4 axes and a multiple of as many channels", (long long)b, (long long)b);
    int64_t dims[4] = { x->dims[0], x->dims[1] / (b * b), x->dims[2] * b, x->dims[3] * b };
    return kerb_infer_set(c, 0, x->dtype, 4, dims);
}

KerbStatus kerb_infer_space_to_depth(KerbInfer *c)
{
    const KerbValue *x = kerb_infer_in(c, 0);
    int64_t b = c->n->attrs.block.size;
    if (x->rank != 4 || b < 1 || b > MAX_BLOCK || x->dims[2] % b != 0 || x->dims[3] % b != 0)
        return kerb_infer_fail(c, "blocks of %lld x %lld need 4 axes, and height and width that are multiples", (long long)b, (long long)b);
    int64_t dims[4] = { x->dims[0], x->dims[1] * b * b, x->dims[2] / b, x->dims[3] / b };
    return kerb_infer_set(c, 0, x->dtype, 4, dims);
}

static int64_t clamp_axis(int64_t axis, int rank)
{
    if (axis < 0) axis += rank;
    return axis < 0 ? 0 : axis > rank ? rank : axis;
}

KerbStatus kerb_infer_shape(KerbInfer *c)
{
    int rank = kerb_infer_in(c, 0)->rank;
    int64_t start = clamp_axis(c->n->attrs.shape.start, rank), end = c->n->attrs.shape.has_end ? clamp_axis(c->n->attrs.shape.end, rank) : rank;
    return kerb_infer_set(c, 0, KERB_I64, 1, (const int64_t[]){ end > start ? end - start : 0 });
}

KerbStatus kerb_infer_size(KerbInfer *c) { return kerb_infer_set(c, 0, KERB_I64, 0, NULL); }
