/* SPDX-License-Identifier: MIT */
/**
 * @file kerb.h
 * Kerb finds the road, and everything on it, in live video: a frame goes in, a class for every pixel comes out, in time.
 *
 * This is the only public header. It includes nothing of Kerb; every room of the engine may include it for the words
 * that the outside and the inside share (status codes, frames, classes).
 *
 * Four lifetimes: open, compile, run, free. Memory is allocated by kerb_open() and kerb_set_format() only; kerb_submit(),
 * kerb_collect() and all that they cause allocate nothing.
 *
 * The shape of a program:
 *
 *     KerbConfig config;
 *     kerb_config_init(&config);
 *     config.model_file = "net.onnx"; // left out: the model that came with Kerb
 *     KerbPipeline *k;
 *     KerbError error;
 *     if (kerb_open(&k, &config, &error) != KERB_OK) { puts(error.message); return kerb_exit_code(error.status); }
 *     kerb_set_format(k, &format, &error);
 *     for each frame: kerb_submit(k, &job, &error); kerb_collect(k, &result, -1, &error);
 *     kerb_close(&k);
 *
 * `docs/example.c` is the whole of it; it is built and run as a test.
 */
#ifndef KERB_H
#define KERB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define KERB_API __attribute__((visibility("default")))
#define KERB_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define KERB_API
#define KERB_PRINTF(fmt, args)
#endif

#define KERB_VERSION_MAJOR 0
#define KERB_VERSION_MINOR 1
#define KERB_VERSION_PATCH 0

/** "0.1.0". Never NULL, never freed. Any thread. */
KERB_API const char *kerb_version(void);

/* ------------------------------------------------------------------------------------------------ status and errors */

/** What every function that can fail returns. Zero and positive values are not errors. */
typedef enum KerbStatus {
    KERB_OK = 0,
    KERB_AGAIN = 1,              /**< nothing was ready within the time that was allowed */
    KERB_FLUSHED = 2,            /**< the frame was discarded by kerb_flush() or kerb_set_flushing() */
    KERB_ERROR_ARGUMENT = -1,    /**< a value or combination that the caller can correct (exit code 2) */
    KERB_ERROR_ASSET = -2,       /**< a model, card, labels or palette file that is missing, damaged or contradicts (3) */
    KERB_ERROR_UNSUPPORTED = -3, /**< a sound model that uses what Kerb cannot run; the message names all of it (3) */
    KERB_ERROR_BACKEND = -4,     /**< the backend cannot be used here, or has failed for good (6) */
    KERB_ERROR_MEMORY = -5,      /**< not enough memory; the message says how much was asked for (7) */
    KERB_ERROR_STORAGE = -6,     /**< reading or writing a file failed although it is there (5) */
    KERB_ERROR_INTERNAL = -7,    /**< a promise inside Kerb does not hold: please report it (7) */
    KERB_ERROR_FRAME = -8,       /**< one frame was lost to a fault that is over; the next one may succeed (7 where it ends a program) */
} KerbStatus;

/** The one message of a failure, written where it was found: the values involved, and what to do next. */
typedef struct KerbError {
    KerbStatus status;
    char message[2048]; /**< UTF-8, no trailing newline; "" where status is KERB_OK */
} KerbError;

/** A few words for a status ("bad asset"). Never NULL. Any thread. */
KERB_API const char *kerb_status_name(KerbStatus status);

/** The exit code of `kerb` for a status: 0 ok, 2 usage, 3 bad asset, 5 storage, 6 backend, 7 internal (4: camera lost, apps only). */
KERB_API int kerb_exit_code(KerbStatus status);

/** Log levels, most to least urgent. The default is KERB_LOG_WARNING; the environment's KERB_LOG sets it (error..trace). */
typedef enum KerbLogLevel { KERB_LOG_ERROR, KERB_LOG_WARNING, KERB_LOG_INFO, KERB_LOG_DEBUG, KERB_LOG_TRACE } KerbLogLevel;

/** Receives one line without newline. Called on any of Kerb's threads, also at the same time; must not call back into Kerb. */
typedef void (*KerbLogFn)(void *user, KerbLogLevel level, const char *line);

/** Sends the log to `fn` (NULL: to nowhere, which is where it goes before the first call; the library never prints).
 *  Not thread-safe against itself: call it once, before kerb_open(). */
KERB_API void kerb_set_log(KerbLogFn fn, void *user, KerbLogLevel level);

/* ---------------------------------------------------------------------------------------------------------- frames */

#define KERB_MAX_PLANES 4
#define KERB_MAX_SIDE_PX 16384 /**< greatest width and height of a frame */

/** Byte order in memory, named as GStreamer names it. YUV 4:2:0 planes have (w+1)/2 x (h+1)/2 chroma samples. */
typedef enum KerbPixelFormat {
    KERB_FORMAT_UNKNOWN = 0,
    KERB_FORMAT_I420, /**< planes Y, U, V */
    KERB_FORMAT_YV12, /**< planes Y, V, U */
    KERB_FORMAT_NV12, /**< planes Y, UV interleaved */
    KERB_FORMAT_NV21, /**< planes Y, VU interleaved */
    KERB_FORMAT_YUY2, /**< one plane Y0 U Y1 V; rows of 4*((w+1)/2) bytes */
    KERB_FORMAT_UYVY, /**< one plane U Y0 V Y1 */
    KERB_FORMAT_RGB,  /**< 3 bytes a pixel */
    KERB_FORMAT_BGR,
    KERB_FORMAT_RGBX, /**< 4 bytes a pixel; the fourth is left as it is */
    KERB_FORMAT_BGRX,
    KERB_FORMAT_RGBA,
    KERB_FORMAT_BGRA,
    KERB_FORMAT_GRAY8,
    KERB_FORMAT_COUNT
} KerbPixelFormat;

typedef enum KerbMatrix { KERB_MATRIX_BT601, KERB_MATRIX_BT709, KERB_MATRIX_BT2020 } KerbMatrix;
typedef enum KerbRange { KERB_RANGE_LIMITED, KERB_RANGE_FULL } KerbRange;
/** Where a 4:2:0 / 4:2:2 chroma sample sits horizontally: over the left luma sample (MPEG-2, H.264) or between (JPEG, MPEG-1).
 *  Vertically 4:2:0 is taken as centred between its two rows in both. */
typedef enum KerbChromaSite { KERB_CHROMA_LEFT, KERB_CHROMA_CENTRE } KerbChromaSite;

/** What does not change from frame to frame. matrix, range and chroma_site say nothing for RGB and GRAY8 (which is full range). */
typedef struct KerbVideoFormat {
    KerbPixelFormat pixel_format;
    int width_px;  /**< 1..KERB_MAX_SIDE_PX */
    int height_px; /**< 1..KERB_MAX_SIDE_PX */
    KerbMatrix matrix;
    KerbRange range;
    KerbChromaSite chroma_site;
} KerbVideoFormat;

#define KERB_TIME_NONE INT64_MIN /**< no time stamp */

/** Where the planes of a frame lie. */
typedef enum KerbMemory {
    KERB_MEMORY_HOST, /**< ordinary memory, or that of kerb_host_alloc() */
    KERB_MEMORY_CUDA, /**< device memory of the GPU that the pipeline runs on (backend "cuda" only); written before kerb_submit(): the
                           caller has waited for its own stream */
} KerbMemory;

/** One picture. The planes are borrowed; strides are in bytes, may exceed the width, and are never negative. */
typedef struct KerbFrame {
    uint8_t *planes[KERB_MAX_PLANES];
    int strides[KERB_MAX_PLANES];
    int64_t pts_ns;    /**< capture time, or KERB_TIME_NONE */
    KerbMemory memory; /**< default KERB_MEMORY_HOST */
} KerbFrame;

/** One byte a pixel: labels or confidence. */
typedef struct KerbMap {
    uint8_t *data; /**< NULL: not there */
    int stride;    /**< bytes, >= width_px */
} KerbMap;

/** "I420"; "unknown" for what is not a format. Any thread. */
KERB_API const char *kerb_pixel_format_name(KerbPixelFormat format);
/** The number of planes (0 for unknown); the bytes that one row of a plane needs; its number of rows. Any thread. */
KERB_API int kerb_pixel_format_planes(KerbPixelFormat format);
KERB_API int kerb_plane_row_bytes(KerbPixelFormat format, int plane, int width_px);
KERB_API int kerb_plane_rows(KerbPixelFormat format, int plane, int height_px);

/* ------------------------------------------------------------------------------------------- classes and how to draw */

#define KERB_MAX_CLASSES 256
#define KERB_LABEL_NONE 255 /**< outside the network's field of view (crop): no class */

/** The label index, the data-set id and the mask value are three things: `labels` hold the index; names, colours and ids hang on it. */
typedef struct KerbClass {
    char name[64];     /**< UTF-8 */
    uint8_t rgb[3];    /**< full-range R'G'B' */
    int dataset_id;    /**< the id in the data set's own label files, -1 where there is none */
    bool is_background;/**< not painted unless selected by name or index */
} KerbClass;

typedef enum KerbVisualize {
    KERB_VISUALIZE_NONE,        /**< the picture is the frame, untouched */
    KERB_VISUALIZE_OVERLAY,     /**< class colours blended over the frame */
    KERB_VISUALIZE_MASK,        /**< class colours alone; background and classes not enabled are black */
    KERB_VISUALIZE_SIDE_BY_SIDE,/**< left half the frame, right half the mask, each at half size, centred vertically on black */
} KerbVisualize;

/** How results are drawn. Plain data: copy it freely. Changes take effect with the next frame that is submitted. */
typedef struct KerbDisplay {
    KerbVisualize visualize;            /**< default overlay */
    float alpha;                        /**< 0 = frame only .. 1 = colour only; default 0.5 */
    bool enabled[KERB_MAX_CLASSES];     /**< by label index; default: all but background */
    uint8_t rgb[KERB_MAX_CLASSES][3];   /**< by label index; default: the classes' own */
} KerbDisplay;

/* --------------------------------------------------------------------------------------------------- configuration */

/** How a frame is fitted to the network's input where the shapes differ. */
typedef enum KerbFit {
    KERB_FIT_AUTO,      /**< as the model card says; stretch where it does not */
    KERB_FIT_STRETCH,   /**< the whole frame, aspect not kept */
    KERB_FIT_LETTERBOX, /**< the whole frame, aspect kept, borders of the mean colour */
    KERB_FIT_CROP,      /**< the centre, aspect kept; outside it labels are KERB_LABEL_NONE */
} KerbFit;

typedef enum KerbColor { KERB_COLOR_AUTO, KERB_COLOR_RGB, KERB_COLOR_BGR, KERB_COLOR_GRAY } KerbColor;

/** Arithmetic of the network; kerb_devices() says which a device can do. Sums are kept in f32 (int8: i32) in all of them. */
typedef enum KerbPrecision {
    KERB_PRECISION_AUTO, /**< the device's first: cpu f32, cuda f16 from compute capability 7.0 on. Of a quantised model: int8 where that is fastest
                              (KerbDevice.fast_int8), else the first, and tensors are not rounded (ref: as the file says) */
    KERB_PRECISION_F32,
    KERB_PRECISION_BF16,
    KERB_PRECISION_TF32, /**< f32 in memory, products of 10 bits' mantissas on tensor cores (cuda, 8.0 on) */
    KERB_PRECISION_F16,  /**< cuda */
    KERB_PRECISION_INT8, /**< where the model itself is quantised (QDQ); what is not runs in the device's first precision */
} KerbPrecision;

/** Smoothing over time: scores are averaged with those of the frames before, moved along with what moved in the picture, so that labels
 *  flicker less. Time constants are in time, not in frames: gaps and thinned inference change nothing. The past is forgotten at scene cuts,
 *  by kerb_reset_time(), where time stamps go back, and after gaps. */
typedef enum KerbSmoothing {
    KERB_SMOOTHING_OFF,   /**< each frame for itself; costs nothing */
    KERB_SMOOTHING_LIGHT, /**< follows changes within a few frames */
    KERB_SMOOTHING_STRONG,/**< calmest picture */
} KerbSmoothing;

#define KERB_MAX_SLOTS 8

/** Progress of a slow open ("compiling 12/57"). Called on the thread that opens. `total` may be 0: not known. */
typedef void (*KerbProgressFn)(void *user, const char *what, int done, int total);

/** What kerb_open() needs. Call kerb_config_init() first; then set what you know. Strings are borrowed for the call. */
typedef struct KerbConfig {
    const char *model_file;  /**< ONNX file; NULL (default) or "": the one that kerb_model_default() finds */
    const char *card_file;   /**< model card; NULL: MODEL.json beside MODEL.onnx where it is there */
    const char *labels_file; /**< class names and colours: `name r g b` lines or JSON; NULL: the card's, the palette's, or invented */
    const char *palette;     /**< "camvid", "cityscapes", "voc", "road", "lane", or NULL: the card's, else a generated one */
    const char *backend;     /**< "auto" (default: the first that works), "cuda", "cpu", "ref" */
    int device_id;           /**< cuda: which GPU, as `kerb devices` numbers them; default 0 */
    KerbPrecision precision; /**< default auto */
    int threads;             /**< 0 (default): one a core that this process (or cpu_list) may use; 1..256 */
    const char *cpu_list;    /**< cores that the pipeline's threads keep to, as `taskset --cpu-list` takes them: "0-3,6"; NULL (default) or "": those of the thread that opens */
    bool tune;               /**< true (default): where a layer can be computed in several ways, time them when the network is opened, and keep which is fastest on disk.
                              * false: guess; opens faster, frames may be slower */
    int slots;               /**< frames in flight, 1..KERB_MAX_SLOTS; default 2 (double buffering) */
    int network_width_px;    /**< 0: the model's or the card's; free only where the model's is */
    int network_height_px;
    KerbFit fit;
    KerbColor color;         /**< auto: as the card says; RGB where it does not */
    bool has_norm;           /**< true: mean and std below replace the card's. network input = (value - mean) / std, value 0..255 */
    float mean[3];           /**< in the order of the network's channels */
    float std[3];            /**< > 0 */
    bool confidence;         /**< compute confidence maps; default true */
    KerbSmoothing smoothing; /**< over time; default off. An output that gives labels in place of scores is not smoothed */
    KerbProgressFn progress; /**< NULL: none */
    void *progress_user;
} KerbConfig;

KERB_API void kerb_config_init(KerbConfig *config);

#define KERB_PATH_BYTES 4096 /**< a file's path, with its end */

/** The model that is taken where none is named. The first of these:
 *
 *  1. what the environment's KERB_MODEL names (not in programs that run with more rights than their user)
 *  2. share/kerb/models of the installation that libkerb belongs to
 *  3. models/ of the build tree that libkerb belongs to
 *
 *  In 2 and 3 drive.onnx, else drive-free.onnx. Two models because of their data: CamVid, which the first was trained on, may not be used
 *  commercially. Who cannot have that deletes drive.onnx, and gets the second, which knows a synthetic town only, or names one of their own.
 *
 *  kerb_open() and kerb_inspect() call this by themselves; call it to know which file it is. Nothing is kept: another KERB_MODEL, another answer.
 *  Any thread, as far as nobody changes the environment meanwhile. Errors (path is ""): ASSET (none is there; KERB_MODEL names a file that cannot be
 *  read: then no other is taken), ARGUMENT (path is NULL). */
KERB_API KerbStatus kerb_model_default(char path[KERB_PATH_BYTES], KerbError *error);

/* ------------------------------------------------------------------------------------------------------ the pipeline */

/** in -> net -> out over a ring of slots. One thread may submit while another collects; open, set_format and close belong to
 *  one thread with nothing in flight; display, stats, flushing: any thread, any time. */
typedef struct KerbPipeline KerbPipeline;

/** Finds the model where none is named, reads it and its card, chooses the backend, compiles. On failure *out is NULL and `error` (may be NULL) says why. */
KERB_API KerbStatus kerb_open(KerbPipeline **out, const KerbConfig *config, KerbError *error);

/** Waits for what runs, discards the rest, frees everything, sets *pipeline to NULL. NULL and *NULL are fine. */
KERB_API void kerb_close(KerbPipeline **pipeline);

/** Says what the frames look like; the first call may compile (models of free size). Again for a new format, with nothing in
 *  flight. Errors: ARGUMENT (zero or too large sizes, unknown format, frames in flight), MEMORY. */
KERB_API KerbStatus kerb_set_format(KerbPipeline *pipeline, const KerbVideoFormat *format, KerbError *error);

/** One frame's work. What it points to is borrowed until the frame has been collected. */
typedef struct KerbJob {
    KerbFrame frame;    /**< what the camera saw */
    KerbFrame picture;  /**< where to draw, in the same format; planes[0] NULL: nothing drawn; may be `frame` itself (in place), except for side-by-side */
    KerbMap labels;     /**< where to write label indices, width x height of the frame; NULL: into the slot's own memory */
    KerbMap confidence; /**< where to write confidence; NULL: into the slot's own memory */
    void *user;         /**< given back with the result */
} KerbJob;

/** Durations of one frame's stages. */
typedef struct KerbTimes {
    int64_t queue_ns; /**< submitted until begun */
    int64_t up_ns;    /**< frame -> the device; 0 where the network runs in host memory or nothing has to move */
    int64_t in_ns;    /**< frame -> network input */
    int64_t net_ns;   /**< network */
    int64_t out_ns;   /**< scores -> labels, confidence, picture; smoothing over time included */
    int64_t smooth_ns;/**< the part of out_ns that smoothing over time took; 0 where it is off */
    int64_t down_ns;  /**< results -> host memory; 0 as for up_ns */
} KerbTimes;

/** What comes out for one frame, in the order of submission. Maps that live in the slot are valid until the next kerb_collect(). */
typedef struct KerbResult {
    KerbStatus status;     /**< OK; FLUSHED; or the error that this frame met (maps and picture are not to be used then) */
    void *user;            /**< the job's */
    int64_t pts_ns;        /**< the frame's own */
    int64_t source_pts_ns; /**< of the frame that the labels were computed from (the same one, unless inference is thinned) */
    int64_t age_ns;        /**< pts_ns - source_pts_ns; 0 where either is not known */
    KerbMap labels;        /**< 1 byte a pixel: label index */
    KerbMap confidence;    /**< 1 byte a pixel: round(255 * p), p the softmax probability of the label; data NULL where switched off */
    KerbTimes times;
} KerbResult;

/** Gives one frame to the ring; waits while it is full. FLUSHED: flushing is on, nothing was taken.
 *  Errors: ARGUMENT (no format set, plane missing, stride below the row). */
KERB_API KerbStatus kerb_submit(KerbPipeline *pipeline, const KerbJob *job, KerbError *error);

/** Takes the oldest frame's result. timeout_ns < 0 waits, 0 asks, > 0 waits that long: AGAIN when none came. A frame that failed
 *  is collected like every other: OK is returned, result->status says what happened and `error` why. With kerb_set_flushing()
 *  on and nothing in flight: FLUSHED at once. */
KERB_API KerbStatus kerb_collect(KerbPipeline *pipeline, KerbResult *result, int64_t timeout_ns, KerbError *error);

/** Discards what has not begun; those frames are still collected, with status FLUSHED. Does not wait. */
KERB_API void kerb_flush(KerbPipeline *pipeline);

/** On: wakes and refuses every kerb_submit(), discards as kerb_flush(), and lets kerb_collect() return FLUSHED when empty.
 *  Off: back to work. */
KERB_API void kerb_set_flushing(KerbPipeline *pipeline, bool flushing);

/** Forgets the past, for what looks back (smoothing): the next frame that is submitted begins anew. For seeks, discontinuities, another
 *  source. Frames already submitted keep their past. Does not wait; any thread. */
KERB_API void kerb_reset_time(KerbPipeline *pipeline);

/** Waits until every frame that was submitted has been collected (by another thread), or flushing is on. */
KERB_API void kerb_drain(KerbPipeline *pipeline);

/** The display that the next frames get; copied. */
KERB_API void kerb_set_display(KerbPipeline *pipeline, const KerbDisplay *display);
KERB_API void kerb_get_display(KerbPipeline *pipeline, KerbDisplay *display);

/** The classes by label index, count in *n. Lives as long as the pipeline, never changes. Any thread. */
KERB_API const KerbClass *kerb_classes(const KerbPipeline *pipeline, int *n);

/** Counters since open. in = out + flushed + errored + in flight. */
typedef struct KerbStats {
    uint64_t frames_in, frames_out, frames_flushed, frames_errored;
    int in_flight, slots;
    KerbTimes last, mean; /**< over frames_out. On a GPU they are the device's own (events); stages of neighbouring frames overlap */
    uint64_t up_bytes, down_bytes;     /**< of the last frame: between host and device */
    uint64_t host_copy_bytes;          /**< of the last frame: copied in host memory to reach (or leave) page-locked memory; 0 where frames already lie there */
    size_t device_bytes, pinned_bytes; /**< held now: device memory, page-locked host memory of the pipeline's own */
    bool replays;                      /**< frames run as one recorded CUDA graph each, not as single launches */
    int64_t compile_ns;   /**< time that open and set_format spent on the network */
    char backend[32];     /**< "cpu (oneDNN 2.6.3, f32)" */
    int network_width_px, network_height_px; /**< 0 before it is known */
} KerbStats;
KERB_API void kerb_get_stats(KerbPipeline *pipeline, KerbStats *stats);

/** A block of host memory that the pipeline's device reads and writes without a copy in between: page-locked for a GPU, plain aligned memory
 *  otherwise. Frames, pictures and maps that lie in one are not copied on the host. */
typedef struct KerbHostBlock {
    void *data;   /**< aligned to 4096 bytes */
    size_t bytes; /**< as asked for, rounded up to whole pages */
    bool pinned;  /**< page-locked */
    void (*release)(void *data); /**< kerb_host_free()'s own */
} KerbHostBlock;

/** Slow; not for every frame: keep blocks in a pool. The block may outlive the pipeline. Any thread. MEMORY: *out is zeroed. */
KERB_API KerbStatus kerb_host_alloc(KerbPipeline *pipeline, size_t bytes, KerbHostBlock *out, KerbError *error);
/** Zeroes *block. A zeroed block is fine. Any thread; no frame that lies in it may be in flight. */
KERB_API void kerb_host_free(KerbHostBlock *block);

/* ------------------------------------------------------------------------------------------ drawing without a network */

/** Draws labels over a frame, as the pipeline does. For programs that get labels from elsewhere (kerboverlay, viewers).
 *  `source` and `picture` in `format`; they may be the same except for side-by-side. Allocates; draw many with one. One thread at a time. */
typedef struct KerbDrawer KerbDrawer;
KERB_API KerbStatus kerb_drawer_new(KerbDrawer **out, const KerbVideoFormat *format, KerbError *error);
KERB_API void kerb_drawer_draw(KerbDrawer *drawer, const KerbFrame *source, KerbMap labels, const KerbDisplay *display,
                               const KerbFrame *picture);
KERB_API void kerb_drawer_free(KerbDrawer **drawer);

/** Reads classes from a labels file (`name r g b` a line, or JSON) or, where `name` is one of the built-in palettes, from that.
 *  Fills at most KERB_MAX_CLASSES; the number in *n. Errors: ASSET with line number. */
KERB_API KerbStatus kerb_classes_load(const char *name, KerbClass classes[KERB_MAX_CLASSES], int *n, KerbError *error);

/** A display with every class enabled but the background, its own colour, alpha 0.5, overlay. */
KERB_API void kerb_display_init(KerbDisplay *display, const KerbClass *classes, int n);

/* ---------------------------------------------------------------------------------------- labels carried along by motion */

#define KERB_MAX_HISTORY_FRAMES 64

/** Where inference is slower than the video, the newest labels belong to an older frame. A carrier sees every frame, measures how the picture
 *  moved, and moves an older frame's labels to where things are in the newest one. It knows nothing of networks. One thread at a time. */
typedef struct KerbCarrier KerbCarrier;

/** For frames of one format. `history_frames` (1..KERB_MAX_HISTORY_FRAMES): how many frames back labels can come from. All memory is taken
 *  here. Errors: ARGUMENT, MEMORY. */
KERB_API KerbStatus kerb_carrier_new(KerbCarrier **out, const KerbVideoFormat *format, int history_frames, KerbError *error);

/** Every video frame, in order; its luma is read during the call and not kept. Time stamps that do not ascend (equal, back) are taken as a
 *  new beginning; a frame without one can't be carried from, but the frames before it can still be carried past it. */
KERB_API void kerb_carrier_add(KerbCarrier *carrier, const KerbFrame *frame);

/** Writes the labels of the frame with this time stamp, moved onto the frame that was added last (both maps of the format's size, not
 *  overlapping). Nearest neighbour; what comes in from outside the picture continues its border; KERB_LABEL_NONE stays where it is.
 *  False, and nothing written, where the way is not known: the frame is not in the history, or the scene was cut since. */
KERB_API bool kerb_carrier_carry(KerbCarrier *carrier, int64_t source_pts_ns, KerbMap labels_in, KerbMap labels_out);

/** The same for a confidence map, in which every value is a number. */
KERB_API bool kerb_carrier_carry_confidence(KerbCarrier *carrier, int64_t source_pts_ns, KerbMap confidence_in, KerbMap confidence_out);

/** Forgets all frames: seek, flush, discontinuity. */
KERB_API void kerb_carrier_reset(KerbCarrier *carrier);
KERB_API void kerb_carrier_free(KerbCarrier **carrier);

/* -------------------------------------------------------------------------------------------- looking without running */

/** Receives text in pieces; returns false to stop. */
typedef bool (*KerbWriteFn)(void *user, const char *text, size_t bytes);

typedef enum KerbInspectFlags {
    KERB_INSPECT_LAYERS = 1, /**< a line a layer: operator, shapes, GFLOP, weights */
    KERB_INSPECT_PASSES = 2, /**< the graph before and after every pass */
    KERB_INSPECT_JSON = 4,   /**< one JSON object in place of text */
    KERB_INSPECT_PLAN = 8,   /**< compiles and runs it: how each step is computed, its time and its share of what the processor could do */
} KerbInspectFlags;

/** Writes what a model is: operators, inputs, outputs and what was understood of them, classes, GFLOP, weights, the memory plan
 *  (arena against the sum of all tensors). `config` as for kerb_open(). Unsupported operators: all of them, named, and
 *  KERB_ERROR_UNSUPPORTED after the rest has been written. */
KERB_API KerbStatus kerb_inspect(const KerbConfig *config, unsigned flags, KerbWriteFn write, void *user, KerbError *error);

/** A place where networks run. */
typedef struct KerbDevice {
    char name[32];        /**< what `backend` takes: "cuda", "cpu", "ref" */
    int id;               /**< what `device_id` takes; 0 but for further GPUs */
    char description[160];/**< processor or GPU, library and version */
    bool usable;
    char remedy[256];     /**< not usable: why, and what to do */
    char precisions[64];  /**< "f32 bf16"; the first is what auto takes */
    bool fast_int8;       /**< auto takes int8 for a quantised model: a processor with VNNI */
    bool integrated;      /**< a GPU that shares the processor's memory (Jetson) */
    uint64_t memory_bytes;/**< of a GPU; 0: not known */
} KerbDevice;

/** Fills at most `max` devices, best first; returns how many there are. Any thread. */
KERB_API int kerb_devices(KerbDevice *devices, int max);

#ifdef __cplusplus
}
#endif

#endif
