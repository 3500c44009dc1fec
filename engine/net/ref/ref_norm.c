/* SPDX-License-Identifier: MIT */
/* BatchNormalization (inference), InstanceNormalization, LRN. Axis 1 is the channels. */
#include "net/ref/ref_ops.h"

#include <math.h>

/* y = x * scale + shift over views of one shape */
static void scale_shift(const KerbTensor *y, const KerbTensor *x, double scale, double shift)
{
    KerbRefWalk w;
    for (kerb_ref_walk(&w, y->rank, y->dims, 2, (const KerbTensor *const[]){ y, x }); !w.done; kerb_ref_walk_next(&w)) {
        for (int64_t i = 0; i < w.row; i += KERB_REF_BLOCK) {
            int n = (int)(w.row - i < KERB_REF_BLOCK ? w.row - i : KERB_REF_BLOCK);
            double v[KERB_REF_BLOCK];
            kerb_ref_read(x, w.offset[1] + i * w.step[1], w.step[1], n, v);
            for (int k = 0; k < n; k++) v[k] = v[k] * scale + shift;
            kerb_ref_write(y, w.offset[0] + i * w.step[0], w.step[0], n, v);
        }
    }
}

static bool check_per_channel(const KerbRefCall *c, int first, int last, int64_t channels)
{
    for (int i = first; i <= last; i++) {
        const KerbTensor *t = &c->in[i];
        if (t->rank == 1 && t->dims[0] == channels) continue;
        kerb_ref_fail(c, KERB_ERROR_ASSET, "input %d does not have one element for each of %lld channels", i, (long long)channels);
        return false;
    }
    return true;
}

static double at(const KerbTensor *t, int64_t i) { return kerb_ref_load(t, i * t->strides[0]); }

KerbStatus kerb_ref_batch_norm(const KerbRefCall *c)
{
    const KerbTensor *x = &c->in[0], *y = &c->out[0];
    int64_t channels = x->rank > 1 ? x->dims[1] : 1;
    if (!check_per_channel(c, 1, 4, channels)) return KERB_ERROR_ASSET;
    KerbTensor along, from, to;
    unsigned mask = x->rank > 1 ? 1u << 1 : 0;
    for (int64_t k = 0; k < channels; k++) {
        double scale = at(&c->in[1], k) / sqrt(at(&c->in[4], k) + (double)c->n->attrs.norm.epsilon);
        kerb_ref_split_axes(x, mask, &along, &from);
        from = kerb_ref_shift(&from, mask ? k * along.strides[0] : 0);
        kerb_ref_split_axes(y, mask, &along, &to);
        to = kerb_ref_shift(&to, mask ? k * along.strides[0] : 0);
        scale_shift(&to, &from, scale, at(&c->in[2], k) - at(&c->in[3], k) * scale);
    }
    return KERB_OK;
}

/* Mean and (population) variance in two passes. */
static void moments(const KerbTensor *x, double *mean, double *variance)
{
    double n = (double)kerb_tensor_elements(x), sums[2] = { 0, 0 };
    for (int pass = 0; pass < 2; pass++) {
        KerbRefWalk w;
        for (kerb_ref_walk(&w, x->rank, x->dims, 1, &x); !w.done; kerb_ref_walk_next(&w)) {
            for (int64_t i = 0; i < w.row; i++) {
                double v = kerb_ref_load(x, w.offset[0] + i * w.step[0]);
                sums[pass] += pass ? (v - sums[0] / n) * (v - sums[0] / n) : v;
            }
        }
    }
    *mean = sums[0] / n;
    *variance = sums[1] / n;
}

KerbStatus kerb_ref_instance_norm(const KerbRefCall *c)
{
    const KerbTensor *x = &c->in[0], *y = &c->out[0];
    if (!check_per_channel(c, 1, 2, x->dims[1])) return KERB_ERROR_ASSET;
    for (int64_t batch = 0; batch < x->dims[0]; batch++) {
        for (int64_t k = 0; k < x->dims[1]; k++) {
            KerbTensor leading, from, to;
            kerb_ref_split_axes(x, 3u, &leading, &from);
            from = kerb_ref_shift(&from, batch * x->strides[0] + k * x->strides[1]);
            kerb_ref_split_axes(y, 3u, &leading, &to);
            to = kerb_ref_shift(&to, batch * y->strides[0] + k * y->strides[1]);
            double mean, variance;
            moments(&from, &mean, &variance);
            double scale = at(&c->in[1], k) / sqrt(variance + (double)c->n->attrs.norm.epsilon);
            scale_shift(&to, &from, scale, at(&c->in[2], k) - mean * scale);
        }
    }
    return KERB_OK;
}

KerbStatus kerb_ref_lrn(const KerbRefCall *c)
{
    const KerbTensor *x = &c->in[0], *y = &c->out[0];
    int64_t size = c->n->attrs.lrn.size, channels = x->dims[1], before = (size - 1) / 2, after = size - 1 - before;
    double alpha = (double)c->n->attrs.lrn.alpha, beta = (double)c->n->attrs.lrn.beta, bias = (double)c->n->attrs.lrn.bias;
    if (size < 1) return kerb_ref_fail(c, KERB_ERROR_ASSET, "size %lld; at least 1 can be", (long long)size);
    KerbTensor along, to_along, kept, to;
    kerb_ref_split_axes(x, 1u << 1, &along, &kept);
    kerb_ref_split_axes(y, 1u << 1, &to_along, &to);
    KerbRefWalk w;
    for (kerb_ref_walk(&w, kept.rank, kept.dims, 2, (const KerbTensor *const[]){ &to, &kept }); !w.done; kerb_ref_walk_next(&w)) {
        for (int64_t i = 0; i < w.row; i++) {
            int64_t from_at = w.offset[1] + i * w.step[1], to_at = w.offset[0] + i * w.step[0];
            for (int64_t k = 0; k < channels; k++) {
                double sum = 0;
                for (int64_t j = k < before ? 0 : k - before; j < channels && j <= k + after; j++) {
                    double v = kerb_ref_load(x, from_at + j * along.strides[0]);
                    sum += v * v;
                }
                double v = kerb_ref_load(x, from_at + k * along.strides[0]);
                kerb_ref_store(y, to_at + k * to_along.strides[0], v / pow(bias + alpha / (double)size * sum, beta));
            }
        }
    }
    return KERB_OK;
}
