/* SPDX-License-Identifier: MIT */
/* The host's side of in: parameters -> tables in device memory and the kernel's arguments. */
#include "cuda/in/in.h"

#include "cuda/base/tables.h"
#include "cuda/in/in_item.h"
#include "in/in_plan.h"

struct KerbCudaIn {
    KerbCudaInArgs args; /* job and input: at each launch */
    KerbCudaTables tables;
};

/* Entries of every table, at most: an averaged axis takes the larger ones. */
static size_t kerb_cuda_in_table_bytes(const KerbCudaInArgs *a, int n_axes)
{
    size_t across = (size_t)(a->x1 - a->x0) * sizeof(KerbInBoxAcross), down = (size_t)(a->y1 - a->y0) * sizeof(KerbInBox);
    return (size_t)n_axes * (across + down + 2 * KERB_CUDA_TABLE_SLACK);
}

static const KerbInLinear *kerb_cuda_in_linear(KerbCudaTables *tables, KerbInAxisMap map, int first, int n)
{
    const void *device;
    KerbInLinear *taps = kerb_cuda_tables_take(tables, (size_t)n * sizeof *taps, &device);
    for (int i = 0; i < n; i++) taps[i] = kerb_in_linear(map, first + i);
    return device;
}

static void kerb_cuda_in_columns(KerbCudaInTaps *taps, KerbCudaTables *tables, KerbInAxisMap map, int first, int n)
{
    if (!kerb_in_shrinks_by_area(map)) {
        taps->linear_x = kerb_cuda_in_linear(tables, map, first, n);
        return;
    }
    const void *device;
    KerbInBoxAcross *box = kerb_cuda_tables_take(tables, (size_t)n * sizeof *box, &device);
    for (int i = 0; i < n; i++) box[i] = kerb_in_box_across(kerb_in_box(map, first + i));
    taps->box_x = device;
}

static void kerb_cuda_in_rows(KerbCudaInTaps *taps, KerbCudaTables *tables, KerbInAxisMap map, int first, int n)
{
    if (!kerb_in_shrinks_by_area(map)) {
        taps->linear_y = kerb_cuda_in_linear(tables, map, first, n);
        return;
    }
    const void *device;
    KerbInBox *box = kerb_cuda_tables_take(tables, (size_t)n * sizeof *box, &device);
    for (int i = 0; i < n; i++) box[i] = kerb_in_box(map, first + i);
    taps->box_y = device;
}

static void kerb_cuda_in_describe(KerbCudaInArgs *a, const KerbInParams *params, const KerbInPlan *plan, const KerbTensor *input)
{
    const KerbGeometry *g = &params->geometry;
    a->width = g->net_width_px, a->height = g->net_height_px;
    a->x0 = g->net_x0, a->x1 = g->net_x1, a->y0 = g->net_y0, a->y1 = g->net_y1;
    a->n_components = plan->n_components;
    a->chroma_taps = plan->n_axes - 1;
    for (int c = 0; c < plan->n_components; c++)
        a->components[c] = (KerbCudaInComponent){ plan->components[c].plane, plan->components[c].byte, plan->components[c].step };
    a->fold = plan->fold;
    a->to_gray = plan->to_gray, a->gray_scale = plan->gray_scale, a->gray_bias = plan->gray_bias;
    a->type = (int32_t)input->dtype;
    a->channels = a->pitch = (int32_t)input->dims[1];
    a->row = input->strides[2], a->pixel = input->strides[3], a->channel = input->strides[1];
    if (a->channel == 1 && a->pixel > a->channels) a->pitch = (int32_t)a->pixel;
    int whole = input->dtype == KERB_F32 ? 4 : 8; /* elements in 16 bytes */
    bool one_store = a->pitch == whole && a->pixel == whole && (a->height == 1 || a->row % whole == 0);
    a->store = !one_store ? KERB_CUDA_IN_STRIDED : whole == 4 ? KERB_CUDA_IN_FOUR_FLOATS : KERB_CUDA_IN_EIGHT_HALVES;
}

static KerbStatus kerb_cuda_in_check(const KerbInParams *params, const KerbTensor *input, KerbInPlan *plan, KerbError *error)
{
    KerbInParams whole = *params;
    whole.input = *input;
    whole.input.data = NULL;
    KerbStatus status = kerb_in_plan(plan, &whole, error);
    if (status != KERB_OK) return status;
    if (input->dtype != KERB_F32 && input->dtype != KERB_F16 && input->dtype != KERB_BF16)
        return kerb_fail(error, KERB_ERROR_ARGUMENT, "network input of type %s: frames are written as f32, f16 or bf16", kerb_dtype_name(input->dtype));
    for (int i = 1; i < 4; i++)
        if (input->strides[i] > INT32_MAX)
            return kerb_fail(error, KERB_ERROR_ARGUMENT, "network input has stride %lld on axis %d", (long long)input->strides[i], i);
    return KERB_OK;
}

KerbStatus kerb_cuda_in_new(KerbCudaIn **out, const KerbInParams *params, const KerbTensor *input, KerbCudaMemory *memory, KerbError *error)
{
    *out = NULL;
    KerbInPlan plan;
    KerbStatus status = kerb_cuda_in_check(params, input, &plan, error);
    if (status != KERB_OK) return status;
    KerbCudaIn *in = kerb_alloc(sizeof *in);
    if (!in) return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for the input stage (%zu bytes)", sizeof *in);
    KerbCudaInArgs *a = &in->args;
    kerb_cuda_in_describe(a, params, &plan, input);
    status = kerb_cuda_tables_init(&in->tables, kerb_cuda_in_table_bytes(a, plan.n_axes), memory, "the input stage's tables", error);
    for (int i = 0; status == KERB_OK && i < plan.n_axes; i++) {
        kerb_cuda_in_columns(&a->taps[i], &in->tables, plan.across[i], a->x0, a->x1 - a->x0);
        kerb_cuda_in_rows(&a->taps[i], &in->tables, plan.down[i], a->y0, a->y1 - a->y0);
    }
    if (status == KERB_OK) status = kerb_cuda_tables_upload(&in->tables, error);
    if (status != KERB_OK) {
        kerb_cuda_in_free(&in);
        return status;
    }
    *out = in;
    return KERB_OK;
}

cudaError_t kerb_cuda_in_launch(const KerbCudaIn *in, const KerbCudaJob *job, void *input, cudaStream_t stream)
{
    KerbCudaInArgs args = in->args;
    args.job = job;
    args.input = input;
    if ((uintptr_t)input % 16) args.store = KERB_CUDA_IN_STRIDED;
    return kerb_launch_in(&args, stream);
}

void kerb_cuda_in_free(KerbCudaIn **pointer)
{
    if (!pointer || !*pointer) return;
    kerb_cuda_tables_free(&(*pointer)->tables);
    kerb_free(pointer);
}
