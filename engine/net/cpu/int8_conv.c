/* SPDX-License-Identifier: MIT */
/* Convolutions on 8-bit integers: dense and grouped ones. A task makes some rows of the target for some blocks of columns: the rows of the
 * source that these see are first laid out as units, with their padding (zero points) round them, so that the tile kernel needs no borders.
 * 1x1 windows without padding read the source where it lies, if that is in units already. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "net/cpu/int8.h"

#define BAND_BYTES (256 << 10)   /* of staged source: stays in a second-level cache while columns pass */
#define WEIGHT_BYTES (512 << 10) /* of a task's columns */

/* ---- what the graph says, in the kernels' terms ---- */

/* Is the bias there in the integers that sums are made of? ONNX Runtime takes it so, whatever its scale says; a scale that is another one is
 * kept as floats here. */
static bool kerb_int8_bias_is_whole(const KerbCompiler *c, const KerbValue *bias, const float *sums, int channels)
{
    if (!bias->dequantized || c->g->values[bias->integers].dtype != KERB_I32) return false;
    const KerbTensor s = kerb_value_tensor(&c->g->values[bias->integers_scale]), integers = kerb_value_tensor(&c->g->values[bias->integers]);
    const int64_t scales = kerb_tensor_elements(&s);
    if ((scales != 1 && scales != channels) || kerb_tensor_elements(&integers) != channels) return false;
    if (!kerb_quant_symmetric(c->g, bias->integers_zero)) return false;
    for (int i = 0; i < channels; i++) {
        const double is = kerb_tensor_get(&s, scales == 1 ? 0 : i), wanted = (double)sums[i];
        const int64_t b = kerb_tensor_get_i64(&integers, i);
        if (fabs(is - wanted) > 1e-5 * fabs(wanted) || b > 1 << 30 || b < -(1 << 30)) return false;
    }
    return true;
}

static KerbStatus kerb_int8_fill_bias(KerbCompiler *c, KerbInt8Conv *conv, uint32_t id, const float *sums, float step)
{
    const KerbValue *bias = kerb_graph_value(c->g, id);
    const int channels = conv->s.oc;
    if (!bias) return KERB_OK;
    if (kerb_int8_bias_is_whole(c, bias, sums, channels)) {
        const KerbTensor t = kerb_value_tensor(&c->g->values[bias->integers]);
        for (int i = 0; i < channels; i++) conv->start[i] = (int32_t)kerb_tensor_get_i64(&t, i);
        return KERB_OK;
    }
    float *b = kerb_cpu_floats(c, id, (size_t)channels + 2 * KERB_LANES_MAX);
    if (!b) return KERB_ERROR_MEMORY;
    for (int i = 0; i < channels; i++) b[i] /= step;
    conv->finish.bias = b;
    return KERB_OK;
}

/* The activation, in steps of the target. */
static void kerb_int8_fill_act(KerbInt8Conv *conv, float step)
{
    KerbInt8Finish *f = &conv->finish;
    f->lo = -INFINITY;
    f->hi = INFINITY;
    if (conv->act_after) return;
    f->slope = conv->act.finish.slope; /* steps are positive: the same in all */
    if (conv->act.finish.clip) {
        f->lo = conv->act.finish.lo / step;
        f->hi = conv->act.finish.hi / step;
    }
}

static void kerb_int8_fill_target(KerbInt8Finish *f, const KerbQuant *to)
{
    f->target = to ? to->dtype : KERB_F32;
    if (!to) return;
    const float least = (float)((to->dtype == KERB_I8 ? -128 : 0) - to->zero), most = (float)((to->dtype == KERB_I8 ? 127 : 255) - to->zero);
    f->zero = to->zero;
    f->lo = fminf(fmaxf(f->lo, least), most);
    f->hi = fmaxf(fminf(f->hi, most), least);
}

/* *to becomes NULL where an activation is on floats that the kernels' end cannot do: it is done after them, and quantised after that. */
static KerbStatus kerb_int8_fill(KerbCompiler *c, const KerbNode *n, const KerbQuant **to, KerbInt8Conv *conv)
{
    KerbConvQuant q;
    if (!kerb_conv_quant(c->g, n, &q) || !kerb_conv_spec(c, n, n->outputs[0], &conv->s) ||
        !kerb_cpu_act(c, &n->attrs.conv.act, conv->s.oc, &conv->act))
        return kerb_fail(c->error, KERB_ERROR_INTERNAL, "an integer convolution that is none: please report this");
    conv->x = q.x;
    conv->z = q.z;
    conv->act_after = !kerb_cpu_act_is_plain(&conv->act);
    if (conv->act_after) *to = NULL;
    const float step = *to ? (*to)->scale : 1;
    const int channels = conv->s.oc;
    const size_t padded = (size_t)channels + 2 * KERB_LANES_MAX;
    const KerbTensor scales = kerb_value_tensor(&c->g->values[q.w_scale]);
    float *scale = kerb_cpu_block(c, padded * sizeof *scale), *sums = kerb_cpu_object(c, padded * sizeof *sums);
    conv->net = c->net;
    conv->k = c->net->k8;
    conv->start = kerb_cpu_block(c, padded * sizeof *conv->start);
    if (!scale || !sums || !conv->start) return KERB_ERROR_MEMORY;
    for (int i = 0; i < channels; i++) {
        sums[i] = conv->x.scale * (float)kerb_tensor_get(&scales, kerb_tensor_elements(&scales) == 1 ? 0 : i);
        scale[i] = sums[i] / step;
    }
    conv->finish.scale = scale;
    conv->weights = kerb_cpu_value(c, q.w).t.data;
    if (!conv->weights) return KERB_ERROR_MEMORY;
    kerb_int8_fill_act(conv, step);
    kerb_int8_fill_target(&conv->finish, *to);
    return kerb_int8_fill_bias(c, conv, n->n_inputs > 2 ? n->inputs[2] : KERB_NO_VALUE, sums, step);
}

/* ---- dense and grouped ---- */

static int kerb_int8_block_width(const KerbInt8Conv *v, int columns)
{
    return columns > v->k->lanes ? 2 * v->k->lanes : v->k->lanes;
}

/* Columns of a group's block. */
static int kerb_int8_block_columns(const KerbInt8Conv *v, int block)
{
    const int left = v->s.oc / v->s.groups - block % v->blocks_a_group * 2 * v->k->lanes;
    return left < 2 * v->k->lanes ? left : 2 * v->k->lanes;
}

static size_t kerb_int8_block_units(const KerbInt8Conv *v)
{
    return (size_t)(v->s.kh * v->s.kw * v->units) * (size_t)(2 * v->k->lanes);
}

/* A block's weights: [tap][unit][column], and where the source keeps its zero point, the share that this has in the sums. */
static void kerb_int8_pack(void *arg, int block, int thread)
{
    KerbInt8Conv *v = arg;
    const KerbConvSpec *s = &v->s;
    const int icg = s->ic / s->groups, taps = s->kh * s->kw, unit = v->k->unit, columns = kerb_int8_block_columns(v, block),
              width = kerb_int8_block_width(v, columns);
    const int zero = unit == 4 ? v->x.zero + (v->x.dtype == KERB_I8 ? 128 : 0) : 0;
    char *out = (char *)((int32_t *)v->packed + (size_t)block * kerb_int8_block_units(v));
    for (int i = 0; i < columns; i++) {
        const int oc = block / v->blocks_a_group * (s->oc / s->groups) + block % v->blocks_a_group * 2 * v->k->lanes + i;
        const int8_t *from = v->weights + (size_t)oc * (size_t)icg * (size_t)taps;
        int32_t sum = 0;
        for (int k = 0; k < icg; k++) {
            for (int t = 0; t < taps; t++) {
                const int8_t w = *from++;
                const size_t at = ((size_t)(t * v->units + k / unit) * (size_t)width + (size_t)i) * (size_t)unit + (size_t)(k % unit);
                sum += w;
                if (unit == 4)
                    ((int8_t *)out)[at] = w;
                else
                    ((int16_t *)out)[at] = w;
            }
        }
        v->start[oc] -= zero * sum;
    }
}

/* How the work is cut: rows that a task stages and makes, and blocks of columns that it makes of them. */
static void kerb_int8_schedule(KerbInt8Conv *v)
{
    const KerbConvSpec *s = &v->s;
    const int threads = v->net->threads, reach = (s->kh - 1) * s->dh + 1;
    const size_t row = v->as_is ? (size_t)s->iw * (size_t)s->source_step : (size_t)v->width * (size_t)(s->groups * v->units) * 4;
    const size_t block = kerb_int8_block_units(v) * 4;
    v->band = 1;
    while (v->band < s->oh && (size_t)(v->band * s->sh + reach) * row <= BAND_BYTES) v->band++;
    v->share = (int)(WEIGHT_BYTES / block);
    if (v->share < 1) v->share = 1;
    if (v->share > v->n_blocks) v->share = v->n_blocks;
    if (v->share < v->n_blocks) v->band = s->oh; /* weights stay, rows pass */
    /* A few tasks a thread. */
    while (v->band > 1 && s->n * ((s->oh + v->band - 1) / v->band) * ((v->n_blocks + v->share - 1) / v->share) < 4 * threads)
        v->band = (v->band + 1) / 2;
    v->band_bytes = v->as_is ? 0 : (size_t)((v->band - 1) * s->sh + reach) * row;
}

static KerbStatus kerb_int8_prepare_dense(KerbCompiler *c, KerbInt8Conv *v)
{
    const KerbConvSpec *s = &v->s;
    const int unit = v->k->unit, icg = s->ic / s->groups, ocg = s->oc / s->groups, taps = s->kh * s->kw;
    v->units = (icg + unit - 1) / unit;
    v->as_is = unit == 4 && v->x.dtype == KERB_U8 && icg % 4 == 0 && taps == 1 && !s->pad_top && !s->pad_left &&
               (s->oh - 1) * s->sh < s->ih && (s->ow - 1) * s->sw < s->iw;
    v->width = (s->ow - 1) * s->sw + (s->kw - 1) * s->dw + 1;
    v->blocks_a_group = (ocg + 2 * v->k->lanes - 1) / (2 * v->k->lanes);
    v->n_blocks = v->blocks_a_group * s->groups;
    v->packed = kerb_cpu_block(c, (size_t)v->n_blocks * kerb_int8_block_units(v) * 4);
    v->taps = kerb_cpu_object(c, 2 * (size_t)taps * sizeof *v->taps); /* for both widths of blocks */
    if (!v->packed || !v->taps) return KERB_ERROR_MEMORY;
    kerb_cpu_parallel(v->net, v->n_blocks, (double)v->n_blocks * (double)kerb_int8_block_units(v), kerb_int8_pack, v);
    const ptrdiff_t pixel = (ptrdiff_t)s->groups * v->units * 4;
    for (int i = 0; i < 2 * taps; i++) {
        const int ky = i % taps / s->kw, kx = i % taps % s->kw;
        v->taps[i] = (KerbTap){((ptrdiff_t)ky * s->dh * v->width + kx * s->dw) * pixel,
                               (ptrdiff_t)(i % taps) * v->units * (i < taps ? 2 * v->k->lanes : v->k->lanes)};
    }
    kerb_int8_schedule(v);
    v->scratch_a_thread = (v->band_bytes + 63) / 64 * 64;
    return KERB_OK;
}

/* Pixels of a few channels that do not fill their units (first layers): too short for the kernel. */
static void kerb_int8_widen_few(const KerbInt8Conv *v, char *out, const uint8_t *in, int pixels, size_t pixel)
{
    const int n = v->s.ic, flip = v->x.dtype == KERB_I8 ? 0x80 : 0, zero = v->x.zero + flip;
    for (int x = 0; x < pixels; x++, out += pixel, in += v->s.source_step) {
        for (int i = 0; i < n; i++) {
            if (v->k->unit == 4)
                ((uint8_t *)out)[i] = (uint8_t)(in[i] ^ flip);
            else
                ((int16_t *)(void *)out)[i] = (int16_t)((in[i] ^ flip) - zero);
        }
    }
}

/* Rows of the source from the window's first of target row y0 on, with padding, as units. */
static void kerb_int8_stage(const KerbInt8Conv *v, int image, int y0, int rows, char *out)
{
    const KerbConvSpec *s = &v->s;
    const int icg = s->ic / s->groups, is_signed = v->x.dtype == KERB_I8;
    const int nothing = v->k->unit == 4 ? (v->x.zero + (is_signed ? 128 : 0)) & 255 : 0;
    const size_t group = (size_t)v->units * 4, pixel = (size_t)s->groups * group, row = (size_t)v->width * pixel;
    const bool whole = icg % v->k->unit == 0 && s->source_step == s->ic; /* units of neighbours are neighbours */
    const int x0 = s->pad_left < v->width ? s->pad_left : v->width,
              x1 = s->pad_left + s->iw < v->width ? s->pad_left + s->iw : v->width;
    for (int r = 0; r < rows; r++, out += row) {
        const int y = y0 * s->sh - s->pad_top + r;
        if (y < 0 || y >= s->ih || x1 <= x0) {
            memset(out, nothing, row);
            continue;
        }
        const uint8_t *in = v->source + ((size_t)image * (size_t)s->ih + (size_t)y) * (size_t)s->iw * (size_t)s->source_step;
        memset(out, nothing, (size_t)x0 * pixel);
        memset(out + (size_t)x1 * pixel, nothing, (size_t)(v->width - x1) * pixel);
        if (whole) {
            v->k->widen(out + (size_t)x0 * pixel, in, (x1 - x0) * s->ic, is_signed, v->x.zero);
            continue;
        }
        if (s->groups == 1 && icg < 8) {
            memset(out + (size_t)x0 * pixel, 0, (size_t)(x1 - x0) * pixel);
            kerb_int8_widen_few(v, out + (size_t)x0 * pixel, in, x1 - x0, pixel);
            continue;
        }
        for (int x = x0; x < x1; x++, in += s->source_step) {
            for (int g = 0; g < s->groups; g++)
                v->k->widen(out + (size_t)x * pixel + (size_t)g * group, in + g * icg, icg, is_signed, v->x.zero);
        }
    }
}

static void kerb_int8_row(const KerbInt8Conv *v, int block, const uint8_t *source, ptrdiff_t pixel, int64_t first)
{
    const KerbConvSpec *s = &v->s;
    const int columns = kerb_int8_block_columns(v, block), taps = s->kh * s->kw, group = block / v->blocks_a_group,
              oc = group * (s->oc / s->groups) + block % v->blocks_a_group * 2 * v->k->lanes,
              tiles = (s->ow + v->k->tile_rows - 1) / v->k->tile_rows;
    KerbInt8Finish f = v->finish;
    f.scale += oc;
    if (f.bias) f.bias += oc;
    if (f.slope) f.slope += oc;
    KerbInt8Tile t = {.source = source + (v->as_is ? group * (s->ic / s->groups) : group * v->units * 4),
                      .source_step = s->sw * pixel,
                      .taps = columns > v->k->lanes ? v->taps : v->taps + taps,
                      .n_taps = taps,
                      .depth = v->units,
                      .weights = (const int32_t *)v->packed + (size_t)block * kerb_int8_block_units(v),
                      .start = v->start + oc,
                      .columns = columns,
                      .target_step = s->target_step,
                      .residual_step = s->residual_step,
                      .finish = &f};
    char *target = v->target + (first * s->target_step + oc) * v->target_bytes;
    const char *residual = v->residual ? v->residual + (first * s->residual_step + oc) * v->residual_bytes : NULL;
    for (int i = 0, left = s->ow; i < tiles; i++) {
        const int rows = left / (tiles - i);
        t.target = target;
        t.residual = residual;
        v->k->tile(&t, rows);
        left -= rows;
        t.source += rows * t.source_step;
        target += rows * s->target_step * v->target_bytes;
        if (residual) residual += rows * s->residual_step * v->residual_bytes;
    }
}

static void kerb_int8_task(void *arg, int index, int thread)
{
    const KerbInt8Conv *v = arg;
    const KerbConvSpec *s = &v->s;
    const int bands = (s->oh + v->band - 1) / v->band, shares = (v->n_blocks + v->share - 1) / v->share;
    const int share = index % shares, band = index / shares % bands, image = index / shares / bands, y0 = band * v->band,
              rows = s->oh - y0 < v->band ? s->oh - y0 : v->band, block0 = share * v->share,
              block1 = block0 + v->share < v->n_blocks ? block0 + v->share : v->n_blocks;
    const ptrdiff_t pixel = v->as_is ? s->source_step : (ptrdiff_t)s->groups * v->units * 4,
                    line = v->as_is ? s->iw * pixel : v->width * pixel;
    char *staged = v->scratch + (size_t)thread * v->scratch_a_thread;
    if (!v->as_is) kerb_int8_stage(v, image, y0, (rows - 1) * s->sh + (s->kh - 1) * s->dh + 1, staged);
    const uint8_t *from =
        v->as_is ? v->source + ((ptrdiff_t)image * s->ih + (ptrdiff_t)y0 * s->sh) * line : (const uint8_t *)staged;
    const int64_t first = ((int64_t)image * s->oh + y0) * s->ow;
    for (int block = block0; block < block1; block++) {
        for (int y = 0; y < rows; y++) kerb_int8_row(v, block, from + y * s->sh * line, pixel, first + (int64_t)y * s->ow);
    }
}

/* ---- the step ---- */

static void kerb_int8_act_row(void *arg, int index, int thread)
{
    const KerbInt8Conv *v = arg;
    float *row = (float *)v->target + (ptrdiff_t)index * v->s.ow * v->s.target_step;
    for (int x = 0; x < v->s.ow; x++) kerb_cpu_act_run(v->net->k, &v->act, row + x * v->s.target_step, (size_t)v->s.oc);
}

static KerbStatus kerb_int8_conv_bind(KerbNet *net, KerbStep *step, KerbError *error)
{
    KerbInt8Conv *v = step->state;
    v->source = step->operands[0].t.data;
    v->target = step->operands[1].t.data;
    v->residual = step->n_operands > 2 ? step->operands[2].t.data : NULL;
    v->scratch = step->scratch;
    return KERB_OK;
}
static KerbStatus kerb_int8_conv_run(KerbNet *net, KerbStep *step)
{
    KerbInt8Conv *v = step->state;
    const KerbConvSpec *s = &v->s;
    if (v->taps) {
        const int tasks = s->n * ((s->oh + v->band - 1) / v->band) * ((v->n_blocks + v->share - 1) / v->share);
        kerb_cpu_parallel(net, tasks, kerb_conv_cost_ns(s), kerb_int8_task, v);
    } else {
        kerb_int8_run_depthwise(v);
    }
    if (v->act_after) kerb_cpu_parallel(net, s->n * s->oh, (double)s->n * s->oh * s->ow * s->oc, kerb_int8_act_row, v);
    return KERB_OK;
}
static const KerbStepKind kerb_int8_conv_step = {"int8 conv", kerb_int8_conv_bind, kerb_int8_conv_run, NULL};

static KerbStatus kerb_int8_residual(KerbCompiler *c, uint32_t id, float step, KerbInt8Conv *v, KerbOperand *out)
{
    KerbStatus status;
    KerbInt8Finish *f = &v->finish;
    if (v->z.value != KERB_NO_VALUE) {
        status = kerb_int8_picture(c, v->z.value, out);
        f->residual = v->z.dtype;
        f->residual_scale = v->z.scale / step;
        f->residual_zero = v->z.zero;
    } else {
        status = kerb_cpu_picture(c, id, KERB_F32, out);
        f->residual = KERB_F32;
        f->residual_scale = 1 / step;
    }
    v->s.residual_step = out->t.strides[3];
    v->residual_bytes = f->residual == KERB_F32 ? 4 : 1;
    return status;
}

KerbStatus kerb_int8_compile_conv(KerbCompiler *c, const KerbNode *n, const KerbQuant *to)
{
    KerbInt8Conv *v = kerb_cpu_object(c, sizeof *v);
    if (!v) return KERB_ERROR_MEMORY;
    KerbOperand o[3], last;
    const bool residual = kerb_node_input(c->g, n, 3) != NULL;
    const KerbQuant *end = to;
    KerbStatus status = kerb_int8_fill(c, n, &end, v);
    if (!status) status = kerb_int8_picture(c, v->x.value, &o[0]);
    if (!status && residual) status = kerb_int8_residual(c, n->inputs[3], end ? end->scale : 1, v, &o[2]);
    if (!status) status = to ? kerb_int8_place(c, to, &last) : kerb_cpu_place(c, n->outputs[0], &last);
    if (status) return status;
    o[1] = last;
    if (to && !end) {
        KerbTensor t = kerb_tensor_channels_last(NULL, KERB_F32, 4, last.t.dims, last.t.dims[1]);
        if ((status = kerb_cpu_temporary(c, &t, &o[1]))) return status;
    }
    v->s.source_step = o[0].t.strides[3];
    v->s.target_step = o[1].t.strides[3];
    v->target_bytes = end ? 1 : 4;
    const bool depthwise = kerb_int8_is_depthwise(&v->s) && !residual;
    if ((status = depthwise ? kerb_int8_prepare_depthwise(c, v) : kerb_int8_prepare_dense(c, v))) return status;
    KerbStep *step = kerb_cpu_step(c, &kerb_int8_conv_step, n, o, residual ? 3 : 2, v->scratch_a_thread * (size_t)c->net->threads);
    if (!step) return KERB_ERROR_MEMORY;
    step->state = v;
    const KerbConvSpec *s = &v->s;
    kerb_cpu_label(c, step, "conv int8%s %dx%d%s%s %d->%d %dx%d%s", depthwise ? " depthwise" : "", s->kw, s->kh, s->sw > 1 ? " stride" : "",
                   s->dw > 1 ? " dilated" : "", s->ic, s->oc, s->ow, s->oh, to ? "" : " to f32");
    return to && !end ? kerb_int8_convert(c, n, &o[1], &last, to, false) : KERB_OK;
}
