/* SPDX-License-Identifier: MIT */
/* The mathematics of one input pixel, once for every backend: which samples an output reads and with which weights, and the
 * colour matrix with mean and std folded in. Plain C without calls, compiled by C compilers and by nvcc.
 * Enters: geometry and parameters. Leaves: taps and coefficients. Reads no picture.
 *
 * Coordinates. An axis of the frame runs from 0 to its size in pixels; pixel i covers [i, i + 1), its centre is i + 0.5. A plane's axis is
 * the same in samples. A chroma sample j that is centred between luma 2j and 2j + 1 covers luma [2j, 2j + 2): plane = frame / 2. One over
 * luma 2j is centred at frame 2j + 0.5, and at plane j + 0.5: plane = frame / 2 + 0.25. */
#ifndef KERB_IN_PIXEL_H
#define KERB_IN_PIXEL_H

#ifdef __CUDACC__
#define KERB_IN_PIXEL static __host__ __device__ inline
#else
#define KERB_IN_PIXEL static inline
#endif

/* Output coordinate t (pixel i covers [i, i + 1)) lies at t * scale + offset on the plane's axis of `size` samples. */
typedef struct KerbInAxisMap {
    double scale, offset;
    int size;
} KerbInAxisMap;

/* Frame axis -> plane axis. subsampled: the plane has a sample per two pixels; over_left: its samples lie over the first of them. */
KERB_IN_PIXEL KerbInAxisMap kerb_in_axis_map(double frame_scale, double frame_offset, int frame_size, int subsampled, int over_left)
{
    KerbInAxisMap map;
    map.scale = subsampled ? frame_scale * 0.5 : frame_scale;
    map.offset = subsampled ? frame_offset * 0.5 + (over_left ? 0.25 : 0.0) : frame_offset;
    map.size = subsampled ? (frame_size + 1) / 2 : frame_size;
    return map;
}

KERB_IN_PIXEL int kerb_in_shrinks_by_area(KerbInAxisMap map) { return map.scale > 2.0; }

/* value = (1 - weight) * sample[start] + weight * sample[start + 1]; weight is 0 where start is the last sample. */
typedef struct KerbInLinear {
    int start;
    float weight;
} KerbInLinear;

KERB_IN_PIXEL KerbInLinear kerb_in_linear(KerbInAxisMap map, int i)
{
    KerbInLinear tap;
    double p = (i + 0.5) * map.scale + map.offset - 0.5; /* in sample centres */
    tap.start = 0;
    tap.weight = 0.0f;
    if (p >= map.size - 1) {
        tap.start = map.size - 1;
    } else if (p > 0) {
        tap.start = (int)p;
        tap.weight = (float)(p - tap.start);
    }
    return tap;
}

/* value = first * sample[start] + middle * (the samples between) + last * sample[start + n - 1]; the weights sum to 1.
 * n = 1: first alone. middle = 1 / scale. */
typedef struct KerbInBox {
    int start, n;
    float first, middle, last;
} KerbInBox;

/* A footprint's edge that lies a rounding error from a sample's edge would touch a sample with weight nought: it is put onto it. */
KERB_IN_PIXEL double kerb_in_snap(double v)
{
    double nearest = (double)(long long)(v < 0 ? v - 0.5 : v + 0.5), d = v - nearest;
    return d > -1e-9 && d < 1e-9 ? nearest : v;
}

/* The footprint [i, i + 1) of an output pixel, on a plane whose edge samples go on for ever. */
KERB_IN_PIXEL KerbInBox kerb_in_box(KerbInAxisMap map, int i)
{
    KerbInBox box;
    double begin = kerb_in_snap(i * map.scale + map.offset), end = kerb_in_snap((i + 1) * map.scale + map.offset);
    double top = map.size - 1;
    int a = begin <= 0 ? 0 : begin >= top ? map.size - 1 : (int)begin;
    int b = end <= 1 ? 0 : end >= map.size ? map.size - 1 : (int)end - (end == (double)(int)end);
    box.start = a;
    box.n = b - a + 1;
    box.middle = (float)(1.0 / map.scale);
    box.first = box.n == 1 ? 1.0f : (float)((a + 1 - begin) / map.scale);
    box.last = box.n == 1 ? 0.0f : (float)((end - b) / map.scale);
    return box;
}

/* Between two samples or two rows. A row that has no next one is mixed with itself. */
KERB_IN_PIXEL float kerb_in_mix(float a, float b, float weight) { return a + weight * (b - a); }

/* A box across a row of bytes, whose sum is exact in integers: middle * (sum of all n) - less_first * first - less_last * last. */
typedef struct KerbInBoxAcross {
    int start, n;
    float middle, less_first, less_last;
} KerbInBoxAcross;

KERB_IN_PIXEL KerbInBoxAcross kerb_in_box_across(KerbInBox box)
{
    KerbInBoxAcross across;
    across.start = box.start;
    across.n = box.n;
    across.middle = box.middle;
    across.less_first = box.middle - box.first;
    across.less_last = box.n > 1 ? box.middle - box.last : 0;
    return across;
}

KERB_IN_PIXEL float kerb_in_box_value(float middle, int sum, float less_first, int first, float less_last, int last)
{
    return (middle * (float)sum - less_first * (float)first) - less_last * (float)last;
}

/* Stored y, u, v -> the network's channel c:  clamp(m[c] . (y, u, v, 1), low[c], high[c]).
 * Clamping R'G'B' to 0..255 and then subtracting mean and dividing by std (> 0) is the same as clamping the folded sum
 * to what 0 and 255 become. */
typedef struct KerbInFold {
    float m[3][4], low[3], high[3];
} KerbInFold;

/* rgb: rows R, G, B of the colour matrix; order[c]: the row that channel c takes. */
KERB_IN_PIXEL KerbInFold kerb_in_fold(const float rgb[3][4], const int order[3], const float mean[3], const float std[3])
{
    KerbInFold fold;
    for (int c = 0; c < 3; c++) {
        for (int j = 0; j < 3; j++) fold.m[c][j] = (float)((double)rgb[order[c]][j] / std[c]);
        fold.m[c][3] = (float)(((double)rgb[order[c]][3] - mean[c]) / std[c]);
        fold.low[c] = (float)((0.0 - mean[c]) / std[c]);
        fold.high[c] = (float)((255.0 - mean[c]) / std[c]);
    }
    return fold;
}

/* The order of operations is part of the contract: every variant gives these bits (no fused multiply-add). */
KERB_IN_PIXEL float kerb_in_channel(const KerbInFold *fold, int c, float y, float u, float v)
{
    const float *m = fold->m[c];
    float value = ((m[0] * y + m[1] * u) + m[2] * v) + m[3];
    value = value < fold->low[c] ? fold->low[c] : value;
    return value > fold->high[c] ? fold->high[c] : value;
}

/* GRAY networks: BT.601 luma of the clamped R'G'B', then (gray - mean) / std as gray * scale + bias. */
KERB_IN_PIXEL float kerb_in_gray(float r, float g, float b, float scale, float bias)
{
    return ((0.299f * r + 0.587f * g) + 0.114f * b) * scale + bias;
}

#endif
