/* SPDX-License-Identifier: MIT */
/* Post-training quantisation: a float model and real frames -> the same model in int8, as standard ONNX (QuantizeLinear and DequantizeLinear nodes, "QDQ").
 *
 * Enters: a configuration as kerb_open() takes it, and frames as kerb_submit() takes them: they go through the engine's own input path, with the model's fit,
 * size, colour and normalisation. Leaves: the file, its card, and what was found out on the way (KerbCalibration), for a report. It reads no video and prints
 * nothing. docs/int8.md says how it is done and why.
 *
 * The shape of a program:
 *
 *     kerb_calibrator_open(&c, &config, &options, &error);
 *     for each frame: kerb_calibrator_add(c, &format, &frame, &error);
 *     kerb_calibrator_run(c, "net.int8.onnx", &error);
 *     kerb_calibrator_result(c) ...
 *     kerb_calibrator_close(&c);
 *
 * One thread, which keeps to the configuration's cpu_list from open to close. These functions are in libkerb for the command `kerb`; they are not a part of its public interface (kerb.h). */
#ifndef KERB_CALIBRATE_H
#define KERB_CALIBRATE_H

#include "kerb.h"

typedef struct KerbCalibrator KerbCalibrator;

/* How the range of a tensor's values is found; what is outside saturates. */
typedef enum KerbRangeMethod {
    KERB_RANGE_MIN_MAX,    /* everything that was seen */
    KERB_RANGE_PERCENTILE, /* all but the outermost part of what was seen */
    KERB_RANGE_KL,         /* least Kullback-Leibler divergence of the quantised distribution */
    KERB_RANGE_MSE,        /* least mean square error; weights, too */
    KERB_RANGE_METHODS
} KerbRangeMethod;
KERB_API extern const char *const kerb_range_methods[]; /* "min-max", "percentile", "kl", "mse", NULL */

typedef struct KerbCalibrateOptions {
    KerbRangeMethod method;
    double percentile;     /* (0, 100]: part of the values inside the range, for PERCENTILE */
    double agreement;      /* 0..1: share of pixels that must have the float model's label, on the held-out frames; 0: whatever comes */
    bool bias_correction;  /* biases take up the mean error that rounded weights make */
    bool signed_only;      /* activations are int8 with zero point 0 (what cuDNN takes); otherwise uint8 */
    bool reduce_range;     /* weights of 7 bits: sums of two products never saturate on x86 processors without VNNI */
    int max_frames;        /* frames kept, evenly spread over those that are added; >= 2 */
    bool fresh;            /* do not go on where a killed run ended */
} KerbCalibrateOptions;

KERB_API void kerb_calibrate_options_init(KerbCalibrateOptions *options); /* MSE, 99.99, 0.995, bias correction, 96 frames */

/* One layer with weights. */
typedef struct KerbCalibratedLayer {
    const char *name, *type; /* "Conv" */
    int64_t parameters;      /* weights */
    bool in_float;           /* stayed so */
    double alone_db;         /* signal to noise of the model's outputs when this layer alone is quantised; NAN: was not needed */
    double alone_agreement;  /* and the share of pixels that keep their label; NAN likewise */
    double sqnr_db;          /* signal to noise of this layer's output (with its activation) in the finished model; NAN: it has none */
} KerbCalibratedLayer;

/* One tensor with a scale. */
typedef struct KerbCalibratedTensor {
    const char *name;
    float min, max; /* seen */
    float scale;    /* value = scale * (integer - zero_point) */
    int zero_point; /* 0 where the tensor is never negative, and for int8 */
    bool is_signed; /* int8, else uint8 */
    double clipped; /* share of values outside */
} KerbCalibratedTensor;

typedef struct KerbCalibration {
    KerbCalibrateOptions options;
    int n_layers, n_float, n_tensors;
    const KerbCalibratedLayer *layers;
    const KerbCalibratedTensor *tensors;
    int frames, held_out;       /* for the ranges; for the agreement */
    int frames_resumed;         /* of `frames`, how many a killed run had already looked at */
    double agreement;           /* of the finished model, on the held-out frames */
    double agreement_all;       /* with every layer quantised */
    double output_db;           /* signal to noise of the model's outputs, held-out frames */
    int n_tried;                /* models that were measured on the held-out frames */
    int network_width_px, network_height_px;
    char backend[32];
    size_t bytes_before, bytes_after; /* of the files */
} KerbCalibration;

/* Opens the model. `config`: as for kerb_open(); backend NULL or "auto" is cpu, or ref where there is no cpu backend; precision is not looked at (it is f32).
 * Errors: those of kerb_open(); ASSET (the model is quantised already, or has nothing to quantise), UNSUPPORTED (an opset that QDQ cannot be added to). */
KERB_API KerbStatus kerb_calibrator_open(KerbCalibrator **out, const KerbConfig *config, const KerbCalibrateOptions *options, KerbError *error);

/* Copies a frame. All must have one format. Which frames are kept depends on their order and number alone. */
KERB_API KerbStatus kerb_calibrator_add(KerbCalibrator *calibrator, const KerbVideoFormat *format, const KerbFrame *frame, KerbError *error);

/* Does all the rest, and writes `path` and its card (a.onnx: a.json). Neither appears before both are whole; what has been learned lies in PATH.calibration
 * meanwhile, so that the same call after a kill goes on from there. A quarter of the frames is held out of the ranges. Errors: ARGUMENT (fewer than 2 frames; the
 * agreement cannot be reached: the message says what can), STORAGE, ASSET (values that are not finite), MEMORY. */
KERB_API KerbStatus kerb_calibrator_run(KerbCalibrator *calibrator, const char *path, KerbError *error);

/* After a run that succeeded, or whose agreement could not be reached; valid until close. */
KERB_API const KerbCalibration *kerb_calibrator_result(const KerbCalibrator *calibrator);

KERB_API void kerb_calibrator_close(KerbCalibrator **calibrator);

#endif
