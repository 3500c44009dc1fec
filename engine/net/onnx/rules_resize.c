/* SPDX-License-Identifier: MIT */
/* Rules for Resize and Upsample: many forms, one meaning. And GridSample. */
#include "net/onnx/import.h"

#include <string.h>

/* Optional inputs may be given as empty tensors. */
static uint32_t kerb_resize_input(const KerbImport *im, int i)
{
    const KerbValue *v = kerb_import_value(im, i);
    if (kerb_value_is_constant(v) && v->rank == 1 && v->dims[0] == 0) return KERB_NO_VALUE;
    return kerb_import_input(im, i);
}

static KerbCoordinates kerb_resize_coordinates(KerbImport *im, KerbResizeAttrs *r, bool nearest_floor)
{
    static const char *const names[] = { "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
                                         "tf_crop_and_resize", "tf_half_pixel_for_nn", NULL };
    int choice = kerb_attribute_choice(im, "coordinate_transformation_mode", names, KERB_COORD_HALF_PIXEL);
    if (choice < 6) return (KerbCoordinates)choice;
    /* (x + 0.5) / scale, cut: the same pixel as half_pixel (that less 0.5), rounded half up. */
    if (r->mode == KERB_RESIZE_NEAREST && nearest_floor) r->nearest = KERB_NEAREST_ROUND_PREFER_CEIL;
    else kerb_import_lack(im, "tf_half_pixel_for_nn other than nearest with floor");
    return KERB_COORD_HALF_PIXEL;
}

/* Opset 10 and Upsample say nothing about which pixel is nearest. What the standard's own test cases and ONNX Runtime do: cut where an axis
 * grows, round up where it shrinks. */
static KerbNearest kerb_upsample_nearest(KerbImport *im, uint32_t scales)
{
    float values[KERB_MAX_RANK];
    int n = kerb_value_floats(kerb_graph_value(im->g, scales), values, KERB_MAX_RANK), grow = 0, shrink = 0;
    for (int i = 0; i < n; i++) {
        grow += values[i] > 1;
        shrink += values[i] < 1;
    }
    if (grow && shrink) kerb_import_lack(im, "nearest, one axis growing and another shrinking, before opset 11");
    return shrink ? KERB_NEAREST_CEIL : KERB_NEAREST_FLOOR;
}

static void kerb_resize_add(KerbImport *im, const KerbResizeAttrs *r, const uint32_t inputs[4])
{
    kerb_import_add(im, KERB_OP_RESIZE, NULL, 4, inputs, 1, im->outputs)->resize = *r;
}

/* Upsample, and Resize of opset 10: input and scales. */
KERB_RULE(upsample)
{
    static const char *const modes[] = { "nearest", "linear", "bilinear", NULL };
    KerbResizeAttrs r = { .coordinates = KERB_COORD_ASYMMETRIC, .cubic_a = -0.75f };
    r.mode = kerb_attribute_choice(im, "mode", modes, 0) ? KERB_RESIZE_LINEAR : KERB_RESIZE_NEAREST;
    uint32_t inputs[4] = { im->inputs[0], KERB_NO_VALUE, kerb_import_input(im, 1), KERB_NO_VALUE };
    if (strcmp(rule->type, "Upsample") == 0 && im->opset < 9) {
        float scales[KERB_MAX_RANK];
        int n = kerb_attribute_floats(im, "scales", scales, KERB_MAX_RANK);
        if (n <= 0) kerb_import_bad(im, "attribute 'scales' is missing");
        else inputs[2] = kerb_import_floats(im, "scales", n, scales);
    }
    if (inputs[2] == KERB_NO_VALUE) kerb_import_bad(im, "its scales are missing");
    r.nearest = kerb_upsample_nearest(im, inputs[2]);
    kerb_resize_add(im, &r, inputs);
}

KERB_RULE(resize)
{
    static const char *const modes[] = { "nearest", "linear", "cubic", NULL };
    static const char *const nearests[] = { "round_prefer_floor", "round_prefer_ceil", "floor", "ceil", NULL };
    static const char *const aspects[] = { "stretch", "not_larger", "not_smaller", NULL };
    if (im->opset < 11) {
        kerb_rule_upsample(im, rule);
        return;
    }
    KerbResizeAttrs r = { .mode = (KerbResizeMode)kerb_attribute_choice(im, "mode", modes, 0) };
    r.nearest = (KerbNearest)kerb_attribute_choice(im, "nearest_mode", nearests, 0);
    r.coordinates = kerb_resize_coordinates(im, &r, r.nearest == KERB_NEAREST_FLOOR);
    r.aspect = (KerbAspect)kerb_attribute_choice(im, "keep_aspect_ratio_policy", aspects, 0);
    r.antialias = kerb_attribute_bool(im, "antialias", false);
    r.exclude_outside = kerb_attribute_bool(im, "exclude_outside", false);
    r.cubic_a = kerb_attribute_float(im, "cubic_coeff_a", -0.75f);
    r.extrapolation = kerb_attribute_float(im, "extrapolation_value", 0);
    int n = kerb_attribute_ints(im, "axes", r.axes, KERB_MAX_RANK);
    r.n_axes = n > 0 ? n : 0;
    bool crop = r.coordinates == KERB_COORD_TF_CROP_AND_RESIZE;
    uint32_t inputs[4] = { im->inputs[0], crop ? kerb_resize_input(im, 1) : KERB_NO_VALUE, kerb_resize_input(im, 2),
                          kerb_resize_input(im, 3) };
    if (inputs[3] != KERB_NO_VALUE) inputs[2] = KERB_NO_VALUE; /* some exporters of opset 11 give both; sizes are exact */
    else if (inputs[2] == KERB_NO_VALUE) kerb_import_bad(im, "it has neither scales nor sizes");
    if (crop && inputs[1] == KERB_NO_VALUE) kerb_import_bad(im, "tf_crop_and_resize needs the input 'roi'");
    kerb_resize_add(im, &r, inputs);
}

/* Opset 16 says bilinear and bicubic for what opset 20 calls linear and cubic, of any number of axes. */
KERB_RULE(grid_sample)
{
    static const char *const modes[] = { "nearest", "linear", "cubic", "bilinear", "bicubic", NULL };
    static const KerbResizeMode meanings[] = { KERB_RESIZE_NEAREST, KERB_RESIZE_LINEAR, KERB_RESIZE_CUBIC, KERB_RESIZE_LINEAR,
                                              KERB_RESIZE_CUBIC };
    static const char *const paddings[] = { "zeros", "border", "reflection", NULL };
    KerbResizeMode mode = meanings[kerb_attribute_choice(im, "mode", modes, 1)];
    KerbGridPadding padding = (KerbGridPadding)kerb_attribute_choice(im, "padding_mode", paddings, 0);
    bool align_corners = kerb_attribute_bool(im, "align_corners", false);
    KerbAttrs *attrs = kerb_import_same(im, KERB_OP_GRID_SAMPLE, 2);
    attrs->grid.mode = mode;
    attrs->grid.padding = padding;
    attrs->grid.align_corners = align_corners;
}
