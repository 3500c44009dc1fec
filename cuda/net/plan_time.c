/* SPDX-License-Identifier: MIT */
/* Times candidates on the device: each is run a few times in turn with the others, so that a change of clocks falls on all of them; the median
 * counts. Operands are made up (all bytes alike: small numbers of every type); their values do not change what a kernel does. */
#include "cuda/net/plans.h"

#include "base/log.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 5
#define RUNS_MAX 16       /* of one candidate in one round */
#define ROUND_MS 0.2f     /* runs are repeated until they take about so long: events tell microseconds apart, not nanoseconds */
#define HOPELESS 3.0f     /* so many times slower than the best: not run again */
#define FILL 0x3c         /* f16 1.06, bf16 and f32 0.0115, i8 60 */

typedef struct KerbTimer {
    KerbPlans *plans;
    cudaStream_t stream;
    cudaEvent_t begin, end;
    KerbCudaMemory memory;
    void *block;
    size_t bytes;
    KerbConvPointers pointers;
} KerbTimer;

static size_t kerb_timer_round(size_t bytes) { return (bytes + 255) / 256 * 256; }

/* Memory for all operands, one behind the other; 64 bytes more each, for the pixels' padding behind the last row. */
static KerbStatus kerb_timer_operands(KerbTimer *t, const KerbConvProblem *p, size_t workspace, KerbError *error)
{
    const size_t x = (size_t)p->x_row * (size_t)p->h * kerb_dtype_bytes((KerbDtype)p->x_type);
    const size_t y = (size_t)p->y_row * (size_t)p->out_h * kerb_dtype_bytes((KerbDtype)p->y_type);
    const size_t z = p->has_z ? (size_t)p->z_row * (size_t)p->out_h * kerb_dtype_bytes((KerbDtype)p->y_type) : 0;
    const size_t sizes[] = { x, kerb_conv_weight_bytes(p), y, z, (size_t)p->k * 4, (size_t)p->k * 4, (size_t)p->k * 4, workspace };
    size_t at[8], total = 0;
    for (int i = 0; i < 8; i++) {
        at[i] = total;
        total += kerb_timer_round(sizes[i] + 64);
    }
    t->bytes = total;
    KerbStatus status = kerb_cuda_alloc(&t->memory, &t->block, total, "timing a convolution", error);
    if (status != KERB_OK) return status;
    char *base = t->block;
    t->pointers = (KerbConvPointers){ .x = base + at[0], .w = base + at[1], .y = base + at[2], .z = base + at[3], .scale = base + at[4], .bias = base + at[5],
                                      .slope = base + at[6], .workspace = base + at[7] };
    return kerb_cuda_check(cudaMemsetAsync(t->block, FILL, total, t->stream), "timing a convolution", error);
}

static KerbStatus kerb_timer_open(KerbTimer *t, const KerbConvProblem *p, size_t workspace, KerbError *error)
{
    KerbStatus status = kerb_cuda_check(cudaStreamCreateWithFlags(&t->stream, cudaStreamNonBlocking), "a stream for timing", error);
    if (status == KERB_OK) status = kerb_cuda_check(cudaEventCreate(&t->begin), "an event for timing", error);
    if (status == KERB_OK) status = kerb_cuda_check(cudaEventCreate(&t->end), "an event for timing", error);
    return status == KERB_OK ? kerb_timer_operands(t, p, workspace, error) : status;
}

static void kerb_timer_close(KerbTimer *t)
{
    if (t->stream) (void)cudaStreamSynchronize(t->stream);
    kerb_cuda_free(&t->memory, &t->block, t->bytes);
    if (t->begin) (void)cudaEventDestroy(t->begin);
    if (t->end) (void)cudaEventDestroy(t->end);
    if (t->stream) (void)cudaStreamDestroy(t->stream);
    t->plans->has_stream = false; /* the handle's stream is gone */
}

/* `runs` executions, ms each. */
static KerbStatus kerb_timer_run(KerbTimer *t, KerbDescriptor plan, KerbDescriptor pack, int runs, float *ms, KerbError *error)
{
    KerbStatus status = kerb_cuda_check(cudaEventRecord(t->begin, t->stream), "timing a convolution", error);
    for (int i = 0; i < runs && status == KERB_OK; i++) status = kerb_conv_execute(t->plans, plan, pack, t->stream, error);
    if (status == KERB_OK) status = kerb_cuda_check(cudaEventRecord(t->end, t->stream), "timing a convolution", error);
    if (status == KERB_OK) status = kerb_cuda_check(cudaEventSynchronize(t->end), "timing a convolution", error);
    if (status == KERB_OK) status = kerb_cuda_check(cudaEventElapsedTime(ms, t->begin, t->end), "timing a convolution", error);
    *ms = status == KERB_OK ? *ms / (float)runs : INFINITY;
    return status;
}

static int kerb_timer_order(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Errors of one candidate strike it out; those of the device end it all. */
static KerbStatus kerb_timer_forgive(KerbStatus status, KerbError *error)
{
    if (status == KERB_OK || status == KERB_ERROR_BACKEND) return status;
    kerb_log(KERB_LOG_DEBUG, "cuda: a candidate does not run: %s", error ? error->message : "");
    kerb_error_clear(error);
    return KERB_OK;
}

static KerbStatus kerb_timer_rounds(KerbTimer *t, KerbCandidate c[], KerbDescriptor packs[], int n, KerbError *error)
{
    float ms[KERB_CANDIDATES][ROUNDS], best = INFINITY;
    int runs[KERB_CANDIDATES];
    for (int i = 0; i < n; i++) { /* the first run loads the kernel; the second says how often to repeat */
        float once = INFINITY;
        KerbStatus status = packs[i] ? kerb_timer_run(t, c[i].plan, packs[i], 1, &once, error) : KERB_OK;
        if (status == KERB_OK && packs[i]) status = kerb_timer_run(t, c[i].plan, packs[i], 1, &once, error);
        if ((status = kerb_timer_forgive(status, error)) != KERB_OK) return status;
        c[i].ms = once;
        runs[i] = once > ROUND_MS ? 1 : once * RUNS_MAX < ROUND_MS ? RUNS_MAX : (int)(ROUND_MS / once);
        if (once < best) best = once;
    }
    for (int r = 0; r < ROUNDS; r++) {
        for (int i = 0; i < n; i++) {
            ms[i][r] = c[i].ms;
            if (!(c[i].ms <= HOPELESS * best)) continue;
            KerbStatus status = kerb_timer_forgive(kerb_timer_run(t, c[i].plan, packs[i], runs[i], &ms[i][r], error), error);
            if (status != KERB_OK) return status;
        }
    }
    for (int i = 0; i < n; i++) {
        qsort(ms[i], ROUNDS, sizeof ms[i][0], kerb_timer_order);
        c[i].ms = isinf(ms[i][ROUNDS - 1]) ? INFINITY : ms[i][ROUNDS / 2];
    }
    return KERB_OK;
}

KerbStatus kerb_candidates_time(KerbPlans *plans, const KerbConvPlan *plan, KerbCandidate candidates[], int n, KerbError *error)
{
    KerbTimer t = { .plans = plans };
    KerbConvPlan like = *plan; /* its epilogue's constants are read while it runs */
    KerbDescriptor packs[KERB_CANDIDATES] = { NULL };
    KerbError own = { 0 }; /* what is forgiven needs a place even where the caller wants no message */
    size_t workspace = 0;
    for (int i = 0; i < n; i++) {
        if (candidates[i].workspace > workspace) workspace = candidates[i].workspace;
    }
    like.left.offset = kerb_timer_round(workspace);
    size_t sums = plan->is_left ? (size_t)plan->left.row * (size_t)plan->problem.out_h * kerb_dtype_bytes((KerbDtype)plan->left.type) : 0;
    KerbStatus status = kerb_timer_open(&t, &plan->problem, like.left.offset + sums, &own);
    for (int i = 0; i < n && status == KERB_OK; i++) status = kerb_timer_forgive(kerb_conv_pack(&plans->dnn, &like, &t.pointers, &packs[i], &own), &own);
    if (status == KERB_OK) status = kerb_timer_rounds(&t, candidates, packs, n, &own);
    for (int i = 0; i < n; i++) {
        if (packs[i]) plans->dnn.BackendDestroyDescriptor(packs[i]);
    }
    kerb_timer_close(&t);
    if (status == KERB_ERROR_MEMORY) { /* a small GPU: the heuristics' first is good too */
        kerb_log(KERB_LOG_DEBUG, "cuda: no memory to time a convolution in: the first candidate is taken (%s)", own.message);
        return KERB_OK;
    }
    return status == KERB_OK ? KERB_OK : kerb_fail(error, status, "%s", own.message);
}
