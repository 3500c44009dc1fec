/* SPDX-License-Identifier: MIT */
/* The picture part of the window: frames and what is painted over them, as textures in the frame's own format, laid out as the view asks for.
 *
 * YUV stays YUV: the graphics card converts. What is painted is painted in YUV too, by the engine's drawer, and only when the view shows it. Enters:
 * mapped frames. Leaves: pictures on the renderer, and which pixel of the frame lies under a point. Not here: text, panels. The renderer's thread. */
#ifndef KERB_APPS_VIEW_PICTURE_H
#define KERB_APPS_VIEW_PICTURE_H

#include "view_stream.h"

#include <SDL.h>

typedef enum KerbViewMode {
    KERB_VIEW_MODE_OVERLAY,
    KERB_VIEW_MODE_MASK,
    KERB_VIEW_MODE_SIDE_BY_SIDE,   /* frame, mask */
    KERB_VIEW_MODE_SPLIT,          /* left of the divider the frame, right of it the overlay */
    KERB_VIEW_MODE_SPLIT_MASK,     /* the same with the mask */
    KERB_VIEW_MODE_FRAME,
    KERB_VIEW_MODES,
} KerbViewMode;

const char *kerb_view_mode_name(KerbViewMode mode);

typedef struct KerbViewPicture KerbViewPicture;

/* For frames of this kind. NULL, having said why. */
KerbViewPicture *kerb_view_picture_new(SDL_Renderer *renderer, const GstVideoInfo *info);
void kerb_view_picture_free(KerbViewPicture **picture);
/* Whether frames of `info` can go into it. */
gboolean kerb_view_picture_fits(const KerbViewPicture *picture, const GstVideoInfo *info);

/* Paints and uploads what the mode needs. is_new: the frame has changed since the last call. */
void kerb_view_picture_set(KerbViewPicture *picture, const KerbViewFrame *frame, const KerbDisplay *display, KerbViewMode mode, gboolean is_new);

/* Onto the renderer, in a space of out_w x out_h. divider: 0..1 of the picture's width, for the split modes. */
void kerb_view_picture_draw(KerbViewPicture *picture, KerbViewMode mode, double divider, int out_w, int out_h);
/* The frame's pixel under a point of the last draw. FALSE: there is none. */
gboolean kerb_view_picture_at(const KerbViewPicture *picture, int x, int y, int *pixel_x, int *pixel_y);
/* Where the divider of the last draw is, in the space's pixels; -1: there is none. And the divider's value for a point. */
int kerb_view_picture_divider_px(const KerbViewPicture *picture);
double kerb_view_picture_divider_at(const KerbViewPicture *picture, int x);
/* "NV12, BT.709" */
const char *kerb_view_picture_format(const KerbViewPicture *picture);

#endif
