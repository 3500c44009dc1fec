/* SPDX-License-Identifier: MIT */
/* Labels of an older frame, moved onto the newest one. */
#include "base/error.h"
#include "base/frame.h"
#include "base/memory.h"

#include <string.h>

struct KerbCarrier {
    KerbVideoFormat format;
    int capacity, n;
    int64_t *pts_ns; /* newest last */
};

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
    if (c) c->pts_ns = kerb_alloc((size_t)(history_frames + 1) * sizeof *c->pts_ns);
    if (!c || !c->pts_ns) {
        kerb_carrier_free(&c);
        return kerb_fail(error, KERB_ERROR_MEMORY, "no memory to carry labels along over %d frames", history_frames);
    }
    c->format = *format;
    c->capacity = history_frames + 1;
    *out = c;
    return KERB_OK;
}

KERB_API void kerb_carrier_free(KerbCarrier **carrier)
{
    if (!carrier || !*carrier) return;
    kerb_free(&(*carrier)->pts_ns);
    kerb_free(carrier);
}

KERB_API void kerb_carrier_reset(KerbCarrier *c) { c->n = 0; }

KERB_API void kerb_carrier_add(KerbCarrier *c, const KerbFrame *frame)
{
    for (int i = 0; i < c->n && frame->pts_ns != KERB_TIME_NONE; i++)
        if (c->pts_ns[i] != KERB_TIME_NONE && c->pts_ns[i] >= frame->pts_ns) c->n = 0;
    if (c->n == c->capacity) memmove(c->pts_ns, c->pts_ns + 1, (size_t)--c->n * sizeof *c->pts_ns);
    c->pts_ns[c->n++] = frame->pts_ns;
}

KERB_API bool kerb_carrier_carry(KerbCarrier *c, int64_t source_pts_ns, KerbMap in, KerbMap out)
{
    bool found = false;
    for (int i = 0; i < c->n && source_pts_ns != KERB_TIME_NONE; i++) found |= c->pts_ns[i] == source_pts_ns;
    for (int y = 0; y < c->format.height_px && found; y++)
        memcpy(out.data + (size_t)y * (size_t)out.stride, in.data + (size_t)y * (size_t)in.stride, (size_t)c->format.width_px);
    return found;
}

KERB_API bool kerb_carrier_carry_confidence(KerbCarrier *c, int64_t source_pts_ns, KerbMap in, KerbMap out)
{
    return kerb_carrier_carry(c, source_pts_ns, in, out);
}
