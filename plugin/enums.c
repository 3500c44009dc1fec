/* SPDX-License-Identifier: MIT */
/* Enumerations as GLib types; see enums.h. */
#include "enums.h"
#include "kerb.h"

/* {value, blurb that gst-inspect shows, nick that users type}; registered once, whatever the thread. */
#define KERB_DEFINE_ENUM(function, type_name, ...)                                                         \
    GType function(void)                                                                                   \
    {                                                                                                      \
        static const GEnumValue values[] = {__VA_ARGS__, {0, NULL, NULL}};                                 \
        static gsize type;                                                                                 \
        if (g_once_init_enter(&type)) g_once_init_leave(&type, g_enum_register_static(type_name, values)); \
        return (GType)type;                                                                                \
    }

KERB_DEFINE_ENUM(kerb_visualize_get_type, "KerbSegVisualize", {KERB_VISUALIZE_NONE, "The frame, untouched", "none"},
                 {KERB_VISUALIZE_OVERLAY, "Class colours blended over the frame", "overlay"},
                 {KERB_VISUALIZE_MASK, "Class colours alone, the rest black", "mask"},
                 {KERB_VISUALIZE_SIDE_BY_SIDE, "Left half the frame, right half the mask, each at half size", "side-by-side"})
KERB_DEFINE_ENUM(kerb_fit_get_type, "KerbSegFit", {KERB_FIT_AUTO, "As the model card says, else stretch", "auto"},
                 {KERB_FIT_STRETCH, "The whole frame, aspect not kept", "stretch"},
                 {KERB_FIT_LETTERBOX, "The whole frame, aspect kept, borders of the mean colour", "letterbox"},
                 {KERB_FIT_CROP, "The centre, aspect kept; no labels outside it", "crop"})
KERB_DEFINE_ENUM(kerb_color_get_type, "KerbSegColor", {KERB_COLOR_AUTO, "As the model card says, else RGB", "auto"},
                 {KERB_COLOR_RGB, "Channels red, green, blue", "rgb"}, {KERB_COLOR_BGR, "Channels blue, green, red", "bgr"},
                 {KERB_COLOR_GRAY, "One channel of luma", "gray"})
KERB_DEFINE_ENUM(kerb_precision_get_type, "KerbSegPrecision", {KERB_PRECISION_AUTO, "f32 on processors (int8 where the model is quantised and the processor has VNNI), f16 on GPUs", "auto"},
                 {KERB_PRECISION_F32, "32-bit floating point", "f32"},
                 {KERB_PRECISION_BF16, "16-bit bfloat: faster where the processor or GPU has it", "bf16"},
                 {KERB_PRECISION_TF32, "32-bit floating point, multiplied on the GPU's tensor cores with 10 bits of mantissa", "tf32"},
                 {KERB_PRECISION_F16, "16-bit floating point (GPU)", "f16"},
                 {KERB_PRECISION_INT8, "8-bit integers where the model itself is quantised", "int8"})
KERB_DEFINE_ENUM(kerb_live_mode_get_type, "KerbSegLiveMode",
                 {KERB_LIVE_EVERY_FRAME, "Every frame gets labels of its own; upstream waits while the network is busy", "every-frame"},
                 {KERB_LIVE_LATEST, "Each frame passes at once with the newest labels there are; the network takes the newest frame",
                  "latest"},
                 {KERB_LIVE_HOLD, "As latest, but a frame waits up to max-wait for its own labels", "hold"})
KERB_DEFINE_ENUM(kerb_smoothing_get_type, "KerbSegSmoothing", {KERB_SMOOTHING_OFF, "Each frame for itself", "off"},
                 {KERB_SMOOTHING_LIGHT, "Follows changes within a few frames", "light"},
                 {KERB_SMOOTHING_STRONG, "Calmest picture", "strong"})
