/* SPDX-License-Identifier: MIT */
/* Labels of an older frame -> labels of the newest one. Enters: every frame, in order; kept of each: its time stamp and the flow to the frame before.
 * The flow over several frames is put together from these: matching distant frames with each other was no better (docs/live.md). */
#include "base/cpu.h"
#include "base/error.h"
#include "base/frame.h"
#include "base/memory.h"
#include "time/motion.h"
#include "time/warp.h"

#include <string.h>

/* One frame of the past. */
typedef struct KerbStation {
    int64_t pts_ns;
    KerbMotionKind kind; /* of `flow`, which leads to the frame before */
    KerbFlow flow;
} KerbStation;

struct KerbCarrier {
    KerbVideoFormat format;
    KerbMotion *motion;
    KerbWarp warp;
    int capacity, n;      /* stations, oldest first */
    KerbStation stations[KERB_MAX_HISTORY_FRAMES + 1];
    KerbFlow routes[2];   /* flows over several frames are put together here */
    KerbFlow route;       /* the way to the frame of route_pts_ns from the newest frame but route_behind */
    bool has_route;
    int route_behind;
    int64_t route_pts_ns;
    float *memory;
};

/* ------------------------------------------------------------------------------------------------------------ life */

static KerbStatus kerb_carrier_init(KerbCarrier *c, int history_frames, KerbError *error)
{
    KerbStatus status = kerb_motion_new(&c->motion, &c->format, kerb_cpu_flags(), error);
    if (status != KERB_OK) return status;
    int width, height, factor;
    kerb_motion_size(c->motion, &width, &height, &factor);
    status = kerb_warp_init(&c->warp, &c->format, factor, width, error);
    if (status != KERB_OK) return status;
    c->capacity = history_frames + 1;
    size_t plane = (size_t)width * (size_t)height, flows = (size_t)c->capacity + 2;
    c->memory = kerb_alloc(flows * 2 * plane * sizeof(float));
    if (!c->memory)
        return kerb_fail(error, KERB_ERROR_MEMORY, "no memory to carry labels along over %d frames (%zu bytes)", history_frames, flows * 2 * plane * sizeof(float));
    for (size_t i = 0; i < flows; i++) {
        KerbFlow *flow = i < 2 ? &c->routes[i] : &c->stations[i - 2].flow;
        *flow = (KerbFlow){ width, height, c->memory + 2 * i * plane, c->memory + (2 * i + 1) * plane };
    }
    return KERB_OK;
}

KERB_API KerbStatus kerb_carrier_new(KerbCarrier **out, const KerbVideoFormat *format, int history_frames, KerbError *error)
{
    kerb_error_clear(error);
    if (!out) return kerb_fail(error, KERB_ERROR_ARGUMENT, "kerb_carrier_new: no place for the carrier was given");
    *out = NULL;
    if (!format) return kerb_fail(error, KERB_ERROR_ARGUMENT, "kerb_carrier_new: no video format was given");
    KerbStatus status = kerb_video_format_check(format, error);
    if (status != KERB_OK) return status;
    if (history_frames < 1 || history_frames > KERB_MAX_HISTORY_FRAMES)
        return kerb_fail(error, KERB_ERROR_ARGUMENT, "kerb_carrier_new: a history of %d frames; must be 1 to %d", history_frames, KERB_MAX_HISTORY_FRAMES);
    KerbCarrier *c = kerb_alloc(sizeof *c);
    if (!c) return kerb_fail(error, KERB_ERROR_MEMORY, "no memory to carry labels along (%zu bytes)", sizeof *c);
    c->format = *format;
    status = kerb_carrier_init(c, history_frames, error);
    if (status != KERB_OK) kerb_carrier_free(&c);
    *out = c;
    return status;
}

KERB_API void kerb_carrier_free(KerbCarrier **carrier)
{
    if (!carrier || !*carrier) return;
    kerb_motion_free(&(*carrier)->motion);
    kerb_warp_clear(&(*carrier)->warp);
    kerb_free(&(*carrier)->memory);
    kerb_free(carrier);
}

/* ---------------------------------------------------------------------------------------------------------- frames */

KERB_API void kerb_carrier_reset(KerbCarrier *c)
{
    c->n = 0;
    c->has_route = false;
    kerb_motion_reset(c->motion);
}

/* Whether a time stamp lies after all that are there. */
static bool kerb_carrier_ascends(const KerbCarrier *c, int64_t pts_ns)
{
    for (int i = c->n - 1; i >= 0 && pts_ns != KERB_TIME_NONE; i--)
        if (c->stations[i].pts_ns != KERB_TIME_NONE) return c->stations[i].pts_ns < pts_ns;
    return true;
}

KERB_API void kerb_carrier_add(KerbCarrier *c, const KerbFrame *frame)
{
    bool sound = kerb_frame_check(&c->format, frame, "frame", NULL) == KERB_OK;
    if (!sound || !kerb_carrier_ascends(c, frame->pts_ns)) kerb_carrier_reset(c);
    if (!sound) return;
    if (c->n == c->capacity) {
        KerbStation oldest = c->stations[0];
        memmove(c->stations, c->stations + 1, (size_t)--c->n * sizeof *c->stations);
        c->stations[c->n] = oldest; /* for its flow's memory */
    }
    KerbStation *newest = &c->stations[c->n++];
    newest->pts_ns = frame->pts_ns;
    newest->kind = kerb_motion_add(c->motion, frame, &newest->flow, NULL);
    c->route_behind++;
}

/* Frames from the newest back to the one with this time stamp; < 0: it is not there, or there is no way. */
static int kerb_carrier_age(const KerbCarrier *c, int64_t pts_ns)
{
    for (int i = c->n - 1; i >= 0 && pts_ns != KERB_TIME_NONE; i--) {
        if (c->stations[i].pts_ns == pts_ns) return c->n - 1 - i;
        if (c->stations[i].kind != KERB_MOTION_KNOWN) return -1;
    }
    return -1;
}

/* The way from the newest frame back to the one of `age` >= 1. Where the same frame was asked for one frame ago, as it is while inference takes
 * its time, one step is added to that way. */
static const KerbFlow *kerb_carrier_route(KerbCarrier *c, int64_t pts_ns, int age)
{
    bool same = c->has_route && c->route_pts_ns == pts_ns;
    if (same && c->route_behind == 0) return &c->route;
    KerbFlow route = c->stations[c->n - 1].flow;
    if (same && c->route_behind == 1) {
        const KerbFlow *to = &c->routes[c->route.u == c->routes[0].u];
        kerb_flow_compose(&route, &c->route, to);
        route = *to;
    } else {
        for (int i = 1; i < age; i++) {
            kerb_flow_compose(&route, &c->stations[c->n - 1 - i].flow, &c->routes[i & 1]);
            route = c->routes[i & 1];
        }
    }
    c->route = route;
    c->has_route = true;
    c->route_behind = 0;
    c->route_pts_ns = pts_ns;
    return &c->route;
}

static bool kerb_carrier_move(KerbCarrier *c, int64_t pts_ns, KerbMap in, KerbMap out, bool keeps_none)
{
    if (!in.data || !out.data || in.stride < c->format.width_px || out.stride < c->format.width_px) return false;
    int age = kerb_carrier_age(c, pts_ns);
    if (age > 0) kerb_warp_map(&c->warp, kerb_carrier_route(c, pts_ns, age), in, out, keeps_none);
    for (int y = 0; y < c->format.height_px && age == 0; y++)
        memcpy(out.data + (size_t)y * (size_t)out.stride, in.data + (size_t)y * (size_t)in.stride, (size_t)c->format.width_px);
    return age >= 0;
}

KERB_API bool kerb_carrier_carry(KerbCarrier *c, int64_t source_pts_ns, KerbMap in, KerbMap out)
{
    return kerb_carrier_move(c, source_pts_ns, in, out, true);
}

KERB_API bool kerb_carrier_carry_confidence(KerbCarrier *c, int64_t source_pts_ns, KerbMap in, KerbMap out)
{
    return kerb_carrier_move(c, source_pts_ns, in, out, false);
}
