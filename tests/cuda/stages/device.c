/* SPDX-License-Identifier: MIT */
/* Device memory and pictures for cases. See stages.h. */
#include "stages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void stages_must(cudaError_t code, const char *what)
{
    if (code == cudaSuccess) return;
    fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(code));
    exit(1);
}

void stages_init(Stages *s)
{
    memset(s, 0, sizeof *s);
    stages_must(cudaSetDevice(0), "cudaSetDevice");
    stages_must(cudaStreamCreateWithFlags(&s->stream, cudaStreamNonBlocking), "cudaStreamCreate");
    stages_must(cudaMalloc((void **)&s->job, sizeof *s->job), "cudaMalloc");
}

size_t stages_finish(Stages *s)
{
    stages_must(cudaStreamDestroy(s->stream), "cudaStreamDestroy");
    stages_must(cudaFree(s->job), "cudaFree");
    return s->memory.device_bytes;
}

void stages_set_job(Stages *s, const KerbCudaJob *job)
{
    stages_must(cudaMemcpyAsync(s->job, job, sizeof *job, cudaMemcpyHostToDevice, s->stream), "copying a job");
    stages_must(cudaStreamSynchronize(s->stream), "cudaStreamSynchronize");
}

static cudaGraphExec_t record(Stages *s, StagesLaunchFn launch, void *what)
{
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    stages_must(cudaStreamBeginCapture(s->stream, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
    stages_must(launch(s, what), "launching into a graph");
    stages_must(cudaStreamEndCapture(s->stream, &graph), "cudaStreamEndCapture");
    stages_must(cudaGraphInstantiate(&exec, graph, 0), "cudaGraphInstantiate");
    stages_must(cudaGraphDestroy(graph), "cudaGraphDestroy");
    return exec;
}

void stages_run(Stages *s, const KerbCudaJob *job, bool recorded, StagesLaunchFn launch, void *what)
{
    static const KerbCudaJob empty;
    cudaGraphExec_t exec = NULL;
    if (recorded) {
        stages_set_job(s, &empty);
        exec = record(s, launch, what);
    }
    stages_set_job(s, job);
    stages_must(recorded ? cudaGraphLaunch(exec, s->stream) : launch(s, what), "launching");
    stages_must(cudaStreamSynchronize(s->stream), "running");
    if (recorded) stages_must(cudaGraphExecDestroy(exec), "cudaGraphExecDestroy");
}

StagesBlock stages_block_new(size_t bytes)
{
    StagesBlock b = { .host = malloc(bytes), .bytes = bytes };
    if (!b.host) abort();
    stages_must(cudaMalloc(&b.device, bytes), "cudaMalloc");
    return b;
}

void stages_block_send(const StagesBlock *b)
{
    stages_must(cudaMemcpy(b->device, b->host, b->bytes, cudaMemcpyHostToDevice), "cudaMemcpy up");
    stages_must(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
}

int64_t stages_block_compare(const Stages *s, const StagesBlock *b)
{
    uint8_t *got = malloc(b->bytes);
    if (!got) abort();
    stages_must(cudaMemcpyAsync(got, b->device, b->bytes, cudaMemcpyDeviceToHost, s->stream), "copying down");
    stages_must(cudaStreamSynchronize(s->stream), "cudaStreamSynchronize");
    int64_t at = 0;
    while ((size_t)at < b->bytes && got[at] == b->host[at]) at++;
    free(got);
    return (size_t)at < b->bytes ? at : -1;
}

void stages_block_free(StagesBlock *b)
{
    free(b->host);
    if (b->device) stages_must(cudaFree(b->device), "cudaFree");
    memset(b, 0, sizeof *b);
}

/* ------------------------------------------------------------------------------------------------------ pictures */

StagesPicture stages_picture_new(const KerbVideoFormat *f, bool aligned, KerbRandom *r)
{
    StagesPicture p = { .n_planes = kerb_pixel_format_planes(f->pixel_format) };
    for (int i = 0; i < p.n_planes; i++) {
        int row = kerb_plane_row_bytes(f->pixel_format, i, f->width_px), rows = kerb_plane_rows(f->pixel_format, i, f->height_px);
        p.strides[i] = aligned ? (row + 15) / 16 * 16 : row + kerb_random_int(r, 0, 5);
        p.lead[i] = aligned ? 0 : kerb_random_int(r, 0, 5);
        /* The block ends with the last row: a read past it is one past device memory. */
        p.planes[i] = stages_block_new((size_t)p.lead[i] + (size_t)p.strides[i] * (size_t)(rows - 1) + (size_t)row);
        for (size_t b = 0; b < p.planes[i].bytes; b++) p.planes[i].host[b] = (uint8_t)(kerb_random(r) >> 8);
        stages_block_send(&p.planes[i]);
    }
    return p;
}

void stages_picture_free(StagesPicture *p)
{
    for (int i = 0; i < p->n_planes; i++) stages_block_free(&p->planes[i]);
    p->n_planes = 0;
}

KerbFrame stages_picture_host(const StagesPicture *p)
{
    KerbFrame f = { .pts_ns = KERB_TIME_NONE };
    for (int i = 0; i < p->n_planes; i++) f.planes[i] = p->planes[i].host + p->lead[i], f.strides[i] = p->strides[i];
    return f;
}

KerbCudaPlanes stages_picture_device(const StagesPicture *p)
{
    KerbCudaPlanes f = { { NULL, NULL, NULL }, { 0, 0, 0 } };
    for (int i = 0; i < p->n_planes; i++) f.planes[i] = (uint8_t *)p->planes[i].device + p->lead[i], f.strides[i] = p->strides[i];
    return f;
}
