/* SPDX-License-Identifier: MIT */
/* Which buffers pictures come from and go to, for both elements: pools offered upstream, pools taken from downstream, and the choice
 * between drawing into the buffer that came and into another. */
#ifndef KERB_PLUGIN_CANVAS_H
#define KERB_PLUGIN_CANVAS_H

#include "cuda.h"
#include <gst/base/gstbasetransform.h>
#include <gst/video/video.h>

typedef struct KerbCanvas {
    GstAllocator *allocator;
    KerbCuda *cuda;      /* borrowed; NULL: frames in CUDA memory are not taken */
    gboolean any_layout; /* the element downstream reads GstVideoMeta: buffers may keep a layout that is not the default one */
} KerbCanvas;

void kerb_canvas_init(KerbCanvas *canvas);
void kerb_canvas_clear(KerbCanvas *canvas);

/* For propose_allocation, after chaining up: offers a pool of page-aligned buffers (at least `min` of them), the allocator, and any layout.
 */
gboolean kerb_canvas_propose(KerbCanvas *canvas, GstQuery *query, guint min);

/* For decide_allocation, before chaining up: takes downstream's pool, or adds one of our own; notes whether downstream reads GstVideoMeta.
 */
gboolean kerb_canvas_decide(KerbCanvas *canvas, GstQuery *query, guint min);

/* For prepare_output_buffer: *out becomes `in` itself where that may be drawn into (or is not drawn into at all), else a buffer of the
 * pool, with in's time stamps, flags and metadata (`chain_up` is the base class's function). */
GstFlowReturn kerb_canvas_choose(KerbCanvas *canvas, GstBaseTransform *transform, const GstVideoInfo *info, KerbVisualize visualize,
                                 GstBuffer *in, GstFlowReturn (*chain_up)(GstBaseTransform *, GstBuffer *, GstBuffer **), GstBuffer **out);

/* For transform_meta: out has the size and format of in, so everything about the picture holds for it too, but for side-by-side. */
gboolean kerb_canvas_keeps_meta(const GstMeta *meta, KerbVisualize visualize);

#endif
