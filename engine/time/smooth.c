/* SPDX-License-Identifier: MIT */
/* Smoothing over time: an exponential average of each cell's scores. */
#include "time/smooth.h"

#include "base/frame.h"
#include "base/memory.h"

#include <math.h>
#include <string.h>

struct KerbSmooth {
    KerbSmoothParams params;
    KerbTensor state[KERB_SMOOTH_MAX_HEADS];
    void *memory[KERB_SMOOTH_MAX_HEADS];
    bool has_past;
    int64_t pts_ns;
};

/* Without time stamps frames are taken to come at 30 a second. */
static const double KERB_SMOOTH_UNKNOWN_STEP_S = 1.0 / 30.0;

static double kerb_smooth_time_constant_s(KerbSmoothing smoothing) { return smoothing == KERB_SMOOTHING_STRONG ? 0.2 : 0.06; }

KerbStatus kerb_smooth_new(KerbSmooth **out, const KerbSmoothParams *params, KerbError *error)
{
    *out = NULL;
    KerbSmooth *s = kerb_alloc(sizeof *s);
    if (!s) return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for smoothing over time (%zu bytes)", sizeof *s);
    s->params = *params;
    for (int i = 0; i < params->n_heads; i++) {
        const KerbSmoothHead *head = &params->heads[i];
        s->state[i] = head->scores;
        if (head->labels) continue;
        s->state[i] = kerb_tensor(NULL, KERB_F32, 4, head->scores.dims);
        size_t bytes = kerb_tensor_bytes(&s->state[i]);
        s->state[i].data = s->memory[i] = kerb_alloc(bytes);
        if (s->memory[i]) continue;
        kerb_smooth_free(&s);
        return kerb_fail(error, KERB_ERROR_MEMORY, "no memory to smooth output head %d over time (%zu bytes)", i, bytes);
    }
    *out = s;
    return KERB_OK;
}

void kerb_smooth_free(KerbSmooth **smooth)
{
    if (!smooth || !*smooth) return;
    for (int i = 0; i < KERB_SMOOTH_MAX_HEADS; i++) kerb_free(&(*smooth)->memory[i]);
    kerb_free(smooth);
}

void kerb_smooth_reset(KerbSmooth *s) { s->has_past = false; }

/* The weight of the new scores: 1 - exp(-dt / tau). */
static float kerb_smooth_weight(KerbSmooth *s, int64_t pts_ns)
{
    double step_s = KERB_SMOOTH_UNKNOWN_STEP_S;
    bool known = pts_ns != KERB_TIME_NONE && s->pts_ns != KERB_TIME_NONE;
    if (known) step_s = (double)pts_ns / 1e9 - (double)s->pts_ns / 1e9;
    bool past = s->has_past && step_s > 0;
    s->pts_ns = pts_ns;
    s->has_past = true;
    return past ? (float)-expm1(-step_s / kerb_smooth_time_constant_s(s->params.smoothing)) : 1.0f;
}

static void kerb_smooth_head(KerbTensor *state, const KerbTensor *scores, float weight)
{
    float *past = state->data;
    int64_t i = 0;
    for (int64_t c = 0; c < scores->dims[1]; c++)
        for (int64_t y = 0; y < scores->dims[2]; y++)
            for (int64_t x = 0; x < scores->dims[3]; x++, i++) {
                int64_t at = c * scores->strides[1] + y * scores->strides[2] + x * scores->strides[3];
                float now = scores->dtype == KERB_F32 ? ((const float *)scores->data)[at] : kerb_bf16_to_f32(((const uint16_t *)scores->data)[at]);
                past[i] = weight < 1.0f && isfinite(past[i]) ? past[i] + weight * (now - past[i]) : now;
            }
}

const KerbTensor *kerb_smooth_run(KerbSmooth *s, const KerbTensor scores[], const KerbFrame *frame, KerbPool *pool)
{
    float weight = kerb_smooth_weight(s, frame->pts_ns);
    for (int i = 0; i < s->params.n_heads; i++) {
        if (s->params.heads[i].labels) s->state[i] = scores[i];
        else kerb_smooth_head(&s->state[i], &scores[i], weight);
    }
    return s->state;
}
