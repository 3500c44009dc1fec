/* SPDX-License-Identifier: MIT */
/* One generated case of cuda/out: labels, confidence and picture must be kerb_out_run()'s bytes, and what lies between the rows what it was. */
#include "stages.h"

#include "base/cpu.h"
#include "out/score_cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A tensor's elements in memory, padding included. */
static size_t bytes_of(const KerbTensor *t, bool whole_pixels)
{
    int64_t n = 1;
    for (int i = 1; i < 4; i++) n += (t->dims[i] - 1) * t->strides[i];
    if (whole_pixels) n += t->strides[3] - t->dims[1];
    return (size_t)n * kerb_dtype_bytes(t->dtype);
}

static bool is_eights(const KerbTensor *t)
{
    return t->strides[1] == 1 && t->strides[3] % 8 == 0 && t->strides[3] - t->dims[1] < 8;
}

/* NaN, infinities and extremes among the scores. */
static void damage(const KerbTensor *t, KerbRandom *r)
{
    static const double odd[] = { NAN, INFINITY, -INFINITY, -0.0, 3e38, 1e-45, -1e30, 254.6, 255.4 };
    for (int64_t k = 0, n = kerb_tensor_elements(t); k < n; k++)
        if (!kerb_random_int(r, 0, 9)) kerb_tensor_set(t, k, odd[kerb_random_int(r, 0, 8)]);
}

static KerbDisplay random_display(KerbRandom *r)
{
    KerbDisplay d = { .visualize = (KerbVisualize)kerb_random_int(r, 0, 3), .alpha = (float)(kerb_random_unit(r) * 1.4 - 0.2) };
    for (int c = 0; c < KERB_MAX_CLASSES; c++) {
        d.enabled[c] = kerb_random_int(r, 0, 3) != 0;
        for (int k = 0; k < 3; k++) d.rgb[c][k] = (uint8_t)(kerb_random(r) >> 8);
    }
    return d;
}

/* Bytes of one map with a gap after each row. */
typedef struct Map {
    StagesBlock block;
    int stride, lead;
} Map;

static Map map_new(int width, int height, KerbRandom *r)
{
    Map m = { .stride = width + kerb_random_int(r, 0, 4), .lead = kerb_random_int(r, 0, 3) };
    m.block = stages_block_new((size_t)m.lead + (size_t)m.stride * (size_t)(height - 1) + (size_t)width);
    memset(m.block.host, 0xa5, m.block.bytes);
    stages_block_send(&m.block);
    return m;
}

typedef struct OutCase {
    KerbCase heads;
    KerbTensor there[KERB_MAX_HEADS]; /* on the device */
    StagesBlock scores[KERB_MAX_HEADS];
    StagesPicture frame, picture;
    bool draws, in_place;
    KerbDisplay display;
    Map labels, confidence;
} OutCase;

static void make(OutCase *c, KerbRandom *r)
{
    c->heads = kerb_random_case(r);
    KerbOutParams *p = &c->heads.params;
    p->format.pixel_format = (KerbPixelFormat)kerb_random_int(r, 1, KERB_FORMAT_COUNT - 1);
    p->format.matrix = (KerbMatrix)kerb_random_int(r, 0, 2);
    p->format.range = (KerbRange)kerb_random_int(r, 0, 1);
    p->confidence = kerb_random_int(r, 0, 4) != 0;
    p->cpu_flags = kerb_cpu_flags();
    bool damaged = !kerb_random_int(r, 0, 4);
    for (int i = 0; i < p->n_heads; i++) {
        KerbTensor *t = &c->heads.scores[i];
        if (damaged && kerb_dtype_is_float(t->dtype)) damage(t, r);
        c->scores[i] = stages_block_new(bytes_of(t, is_eights(t)));
        memset(c->scores[i].host, 0xff, c->scores[i].bytes);
        c->there[i] = *t;
        c->there[i].data = c->scores[i].host;
        kerb_tensor_copy(&c->there[i], t); /* padding stays NaN: it must not be looked at */
        stages_block_send(&c->scores[i]);
        c->there[i].data = NULL;
    }
    c->frame = stages_picture_new(&p->format, kerb_random_int(r, 0, 1), r);
    c->display = random_display(r);
    c->draws = kerb_random_int(r, 0, 7) != 0;
    c->in_place = c->draws && c->display.visualize != KERB_VISUALIZE_SIDE_BY_SIDE && kerb_random_int(r, 0, 1);
    if (c->draws && !c->in_place) c->picture = stages_picture_new(&p->format, kerb_random_int(r, 0, 1), r);
    c->labels = map_new(p->format.width_px, p->format.height_px, r);
    c->confidence = map_new(p->format.width_px, p->format.height_px, r);
}

static void unmake(OutCase *c)
{
    for (int i = 0; i < c->heads.params.n_heads; i++) stages_block_free(&c->scores[i]);
    kerb_case_free(&c->heads);
    stages_picture_free(&c->frame);
    stages_picture_free(&c->picture);
    stages_block_free(&c->labels.block);
    stages_block_free(&c->confidence.block);
}

static const StagesPicture *drawn(const OutCase *c) { return c->in_place ? &c->frame : &c->picture; }

static void expect(OutCase *c, bool want)
{
    KerbOut *out;
    KerbError error;
    if (kerb_out_new(&out, &c->heads.params, &error) != KERB_OK) {
        fprintf(stderr, "kerb_out_new: %s\n", error.message);
        exit(1);
    }
    KerbFrame frame = stages_picture_host(&c->frame), picture = stages_picture_host(drawn(c));
    KerbMap labels = { c->labels.block.host + c->labels.lead, c->labels.stride };
    KerbMap confidence = { want ? c->confidence.block.host + c->confidence.lead : NULL, c->confidence.stride };
    kerb_out_run(out, c->heads.scores, &frame, labels, confidence, &c->display, c->draws ? &picture : NULL, NULL);
    kerb_out_free(&out);
}

typedef struct Launch {
    const KerbCudaOut *out;
    void *scores[KERB_MAX_HEADS];
} Launch;

static cudaError_t launch_out(Stages *s, void *what)
{
    const Launch *l = what;
    return kerb_cuda_out_launch(l->out, s->job, l->scores, s->stream);
}

static void run(Stages *s, OutCase *c, bool want, bool recorded)
{
    KerbCudaOut *out;
    KerbError error;
    if (kerb_cuda_out_new(&out, &c->heads.params, c->there, &s->memory, &error) != KERB_OK) {
        fprintf(stderr, "kerb_cuda_out_new: %s\n", error.message);
        exit(1);
    }
    KerbCudaJob job = { .frame = stages_picture_device(&c->frame), .picture = stages_picture_device(drawn(c)) };
    job.labels = (KerbCudaMap){ (uint8_t *)c->labels.block.device + c->labels.lead, c->labels.stride };
    if (want) job.confidence = (KerbCudaMap){ (uint8_t *)c->confidence.block.device + c->confidence.lead, c->confidence.stride };
    if (!c->draws) memset(&job.picture, 0, sizeof job.picture);
    kerb_cuda_out_display(out, &c->display, &job.display);
    Launch launch = { .out = out };
    for (int i = 0; i < c->heads.params.n_heads; i++) launch.scores[i] = c->scores[i].device;
    stages_run(s, &job, recorded, launch_out, &launch);
    kerb_cuda_out_free(&out);
}

static bool same(const Stages *s, const OutCase *c, const char **what, int64_t *at)
{
    *what = "labels";
    if ((*at = stages_block_compare(s, &c->labels.block)) >= 0) return false;
    *what = "confidence";
    if ((*at = stages_block_compare(s, &c->confidence.block)) >= 0) return false;
    static const char *const planes[2][3] = { { "frame plane 0", "frame plane 1", "frame plane 2" }, { "picture plane 0", "picture plane 1", "picture plane 2" } };
    const StagesPicture *pictures[2] = { &c->frame, &c->picture };
    for (int k = 0; k < 2; k++)
        for (int p = 0; p < pictures[k]->n_planes; p++) {
            *what = planes[k][p];
            if ((*at = stages_block_compare(s, &pictures[k]->planes[p])) >= 0) return false;
        }
    return true;
}

bool stages_out_case(Stages *s, uint64_t seed, char *message, size_t bytes)
{
    KerbRandom r = kerb_random_seed(seed);
    OutCase c;
    memset(&c, 0, sizeof c);
    make(&c, &r);
    bool want = kerb_random_int(&r, 0, 5) != 0;
    expect(&c, want);
    run(s, &c, want, kerb_random_int(&r, 0, 3) == 0);
    const char *what;
    int64_t at;
    bool equal = same(s, &c, &what, &at);
    const KerbOutParams *p = &c.heads.params;
    const KerbOutHead *h = &p->heads[0];
    snprintf(message, bytes, "out, seed %llu: %s %dx%d, sees %d..%d x %d..%d, %d heads (kind %d, %d x %d x %d %s, nearest %d), view %d%s: %s, byte %lld",
             (unsigned long long)seed, kerb_pixel_format_name(p->format.pixel_format), p->format.width_px, p->format.height_px, p->geometry.frame_x0,
             p->geometry.frame_x1, p->geometry.frame_y0, p->geometry.frame_y1, p->n_heads, h->kind, h->channels, h->height, h->width,
             kerb_dtype_name(c.heads.scores[0].dtype), h->nearest, c.draws ? (int)c.display.visualize : -1, c.in_place ? " in place" : "", what,
             (long long)at);
    unmake(&c);
    return equal;
}
