/* SPDX-License-Identifier: MIT */
/* A Matroska file that is whole at any moment: what enters are tracks and encoded frames, what leaves are bytes of a file.
 *
 * GStreamer's matroskamux writes a frame in pieces, waits for the slowest track, and knows nothing of a disk that is full. Here all that belongs to one
 * moment (picture, labels, confidence, facts) is one cluster of known size, and one cluster is one write(): a process that is killed leaves whole
 * clusters, with the tracks in step. The length is brought up to date at every sync, and where the file system can reserve, there always is room for the
 * index at the end. Times are in nanoseconds and kept to the microsecond. Not for threads: one at a time. It does not name, split or delete files. */
#ifndef KERB_APPS_MATROSKA_H
#define KERB_APPS_MATROSKA_H

#include <glib.h>

typedef enum KerbTrackType { KERB_TRACK_VIDEO = 1, KERB_TRACK_AUDIO = 2, KERB_TRACK_TEXT = 17 } KerbTrackType;

/* Zero: not known, or the default. Strings and bytes are borrowed until kerb_matroska_begin() is over. */
typedef struct KerbTrack {
    KerbTrackType type;
    const gchar *name;  /* "Picture" */
    const gchar *codec; /* Matroska's CodecID, "V_MPEG4/ISO/AVC" */
    GBytes *codec_private;
    gboolean is_default; /* what players show unasked */
    gboolean is_zlib;    /* blocks are compressed by zlib: the reader undoes it */
    guint64 frame_ns;    /* of a constant rate */
    guint width_px, height_px, display_width, display_height;
    const gchar *fourcc;                      /* of uncompressed video */
    guint matrix, transfer, primaries, range; /* as in ISO/IEC 23091-2; range: 1 limited, 2 full */
    gdouble rate_hz;
    guint channels, bits;
    guint64 delay_ns, preroll_ns;
} KerbTrack;

typedef struct KerbBlock {
    guint track; /* from 0 */
    gboolean key;
    guint64 pts_ns;
    guint64 duration_ns; /* 0: not known (never for text) */
    const void *data;
    gsize size;
} KerbBlock;

typedef struct KerbMatroskaAbout {
    const gchar *title, *app;  /* app: "kerb 0.1.0" */
    gint64 date_us;            /* when the first frame came, Unix time */
    const gchar *const *tags;  /* name, value, name, value, ..., NULL. Values that are NULL are left out */
} KerbMatroskaAbout;

typedef struct KerbMatroska KerbMatroska;

/* fd is taken. streams: one cannot go back in it (a pipe): no index, no length. */
KerbMatroska *kerb_matroska_new(int fd, gboolean streams);

/* Header and tracks go before the first cluster, in the same write. */
void kerb_matroska_begin(KerbMatroska *m, const KerbTrack *tracks, guint n, const KerbMatroskaAbout *about);

/* Writes a cluster: blocks whose times are within 32 ms of the first one's. Returns 0, or an errno, and the file ends as it did before. */
int kerb_matroska_cluster(KerbMatroska *m, const KerbBlock *blocks, guint n);

/* The length so far into the header, and all of it to the disk. Returns 0 or an errno. */
int kerb_matroska_sync(KerbMatroska *m);

/* Bytes in the file; the end of the latest block, from the file's zero. */
guint64 kerb_matroska_size(const KerbMatroska *m);
guint64 kerb_matroska_length_ns(const KerbMatroska *m);

/* Writes index and length, syncs, closes the file; *size is what it has then. Returns 0, or an errno: it can be played all the same. */
int kerb_matroska_finish(KerbMatroska **m, guint64 *size);

/* All of it, however many writes that takes. Returns 0 or an errno. */
int kerb_write_all(int fd, const void *data, gsize size);

/* Whether the file was written by this program: `app` begins the name that its header gives. Reads a few kilobytes; follows no link. */
gboolean kerb_matroska_is_by(const gchar *path, const gchar *app);

#endif
