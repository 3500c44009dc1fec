/* SPDX-License-Identifier: MIT */
/* The Matroska writer; see matroska.h. Element names and numbers are those of RFC 9559, sizes and integers those of RFC 8794 (EBML). */
#include "matroska.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ID_EBML = 0x1A45DFA3, ID_EBML_VERSION = 0x4286, ID_EBML_READ_VERSION = 0x42F7, ID_EBML_MAX_ID = 0x42F2, ID_EBML_MAX_SIZE = 0x42F3,
    ID_DOC_TYPE = 0x4282, ID_DOC_VERSION = 0x4287, ID_DOC_READ_VERSION = 0x4285, ID_VOID = 0xEC, ID_SEGMENT = 0x18538067,
    ID_SEEK_HEAD = 0x114D9B74, ID_SEEK = 0x4DBB, ID_SEEK_ID = 0x53AB, ID_SEEK_POSITION = 0x53AC,
    ID_INFO = 0x1549A966, ID_TIMESTAMP_SCALE = 0x2AD7B1, ID_DURATION = 0x4489, ID_DATE = 0x4461, ID_TITLE = 0x7BA9, ID_MUXING_APP = 0x4D80,
    ID_WRITING_APP = 0x5741, ID_SEGMENT_UUID = 0x73A4,
    ID_TRACKS = 0x1654AE6B, ID_TRACK = 0xAE, ID_TRACK_NUMBER = 0xD7, ID_TRACK_UID = 0x73C5, ID_TRACK_TYPE = 0x83, ID_FLAG_LACING = 0x9C,
    ID_FLAG_DEFAULT = 0x88, ID_NAME = 0x536E, ID_LANGUAGE = 0x22B59C, ID_CODEC = 0x86, ID_CODEC_PRIVATE = 0x63A2, ID_DEFAULT_DURATION = 0x23E383,
    ID_CODEC_DELAY = 0x56AA, ID_SEEK_PREROLL = 0x56BB,
    ID_VIDEO = 0xE0, ID_INTERLACED = 0x9A, ID_WIDTH = 0xB0, ID_HEIGHT = 0xBA, ID_DISPLAY_WIDTH = 0x54B0, ID_DISPLAY_HEIGHT = 0x54BA, ID_FOURCC = 0x2EB524,
    ID_COLOUR = 0x55B0, ID_MATRIX = 0x55B1, ID_RANGE = 0x55B9, ID_TRANSFER = 0x55BA, ID_PRIMARIES = 0x55BB,
    ID_AUDIO = 0xE1, ID_RATE = 0xB5, ID_CHANNELS = 0x9F, ID_BITS = 0x6264,
    ID_ENCODINGS = 0x6D80, ID_ENCODING = 0x6240, ID_ENCODING_ORDER = 0x5031, ID_ENCODING_SCOPE = 0x5032, ID_ENCODING_TYPE = 0x5033,
    ID_COMPRESSION = 0x5034, ID_COMPRESSION_ALGO = 0x4254,
    ID_TAGS = 0x1254C367, ID_TAG = 0x7373, ID_TARGETS = 0x63C0, ID_SIMPLE_TAG = 0x67C8, ID_TAG_NAME = 0x45A3, ID_TAG_STRING = 0x4487,
    ID_CLUSTER = 0x1F43B675, ID_TIMESTAMP = 0xE7, ID_SIMPLE_BLOCK = 0xA3, ID_BLOCK_GROUP = 0xA0, ID_BLOCK = 0xA1, ID_BLOCK_DURATION = 0x9B,
    ID_CUES = 0x1C53BB6B, ID_CUE_POINT = 0xBB, ID_CUE_TIME = 0xB3, ID_CUE_POSITIONS = 0xB7, ID_CUE_TRACK = 0xF7, ID_CUE_CLUSTER = 0xF1,
};

#define SCALE_NS 1000 /* times count in microseconds: frames of 1001/30000 s keep their places */
#define SEEK_HEAD_BYTES 160
#define CUE_BYTES 40 /* of one entry of the index, at most */
#define RESERVE_BYTES (4 * 1024 * 1024)
#define HEAD_BYTES 4096 /* of a file that is asked who wrote it */

typedef struct KerbCue {
    guint64 time, position; /* microseconds; bytes from the segment's first */
} KerbCue;

struct KerbMatroska {
    int fd;
    gboolean streams, begun;
    GByteArray *out;                 /* what the next write brings */
    guint64 end, segment, length_ns; /* bytes in the file; where positions count from */
    guint64 reserved, duration_at;   /* bytes that the disk has set aside for this file; where the length stands */
    guint64 seek_head_at, info_at, tracks_at, tags_at;
    gboolean cannot_reserve;
    guint indexed;       /* track, from 0 */
    guint32 texts;       /* bit n: track n is text, whose blocks say how long they are shown */
    GArray *cues;
};

/* ---------------------------------------------------------------------------------------------------------------- EBML */

static void ebml_id(GByteArray *to, guint32 id)
{
    guint8 bytes[4] = { (guint8)(id >> 24), (guint8)(id >> 16), (guint8)(id >> 8), (guint8)id };
    guint skip = id > 0xFFFFFF ? 0 : id > 0xFFFF ? 1 : id > 0xFF ? 2 : 3;
    g_byte_array_append(to, bytes + skip, 4 - skip);
}

static void ebml_big_endian(GByteArray *to, guint64 value, guint bytes)
{
    for (guint i = bytes; i-- > 0;) {
        guint8 byte = (guint8)(value >> (8 * i));
        g_byte_array_append(to, &byte, 1);
    }
}

/* In 8 bytes always: sizes can then be set when they are known. */
static void ebml_size(GByteArray *to, guint64 size)
{
    ebml_big_endian(to, size | G_GUINT64_CONSTANT(1) << 56, 8);
}

static void ebml_bytes(GByteArray *to, guint32 id, const void *data, gsize size)
{
    ebml_id(to, id);
    ebml_size(to, size);
    g_byte_array_append(to, data, (guint)size);
}

static void ebml_string(GByteArray *to, guint32 id, const gchar *text)
{
    if (text) ebml_bytes(to, id, text, strlen(text));
}

static void ebml_uint(GByteArray *to, guint32 id, guint64 value)
{
    guint bytes = 1;
    while (bytes < 8 && value >> (8 * bytes)) bytes++;
    ebml_id(to, id);
    ebml_big_endian(to, 0x80 | bytes, 1);
    ebml_big_endian(to, value, bytes);
}

static void ebml_known_uint(GByteArray *to, guint32 id, guint64 value)
{
    if (value) ebml_uint(to, id, value);
}

static guint64 ebml_double_bits(gdouble value)
{
    guint64 bits;
    memcpy(&bits, &value, 8);
    return bits;
}

static void ebml_double(GByteArray *to, guint32 id, gdouble value)
{
    ebml_id(to, id);
    ebml_big_endian(to, 0x88, 1);
    ebml_big_endian(to, ebml_double_bits(value), 8);
}

/* An element that holds others: what is appended until ebml_close() is in it. */
static guint ebml_open(GByteArray *to, guint32 id)
{
    ebml_id(to, id);
    ebml_size(to, 0);
    return to->len;
}

static void ebml_close(GByteArray *to, guint opened)
{
    guint64 size = (to->len - opened) | G_GUINT64_CONSTANT(1) << 56;
    for (guint i = 0; i < 8; i++) to->data[opened - 8 + i] = (guint8)(size >> (8 * (7 - i)));
}

/* ------------------------------------------------------------------------------------------------------------ the disk */

int kerb_write_all(int fd, const void *bytes, gsize size)
{
    const guint8 *data = bytes;
    while (size) {
        gssize done = write(fd, data, size);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return done ? errno : EIO;
        data += done;
        size -= (gsize)done;
    }
    return 0;
}

/* Sets disk aside for `need` more bytes and the index. Nothing is set aside where a file system cannot. */
static int kerb_matroska_reserve(KerbMatroska *m, gsize need)
{
    guint64 least = m->end + need + (m->cues->len + 1) * CUE_BYTES + 256;
    if (m->streams || m->cannot_reserve || least <= m->reserved) return 0;
    for (guint64 more = RESERVE_BYTES;; more /= 4) {
        guint64 to = MAX(least, m->end + more);
        if (!fallocate(m->fd, FALLOC_FL_KEEP_SIZE, (off_t)m->end, (off_t)(to - m->end))) {
            m->reserved = to;
            return 0;
        }
        if (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL || errno == ESPIPE || errno == ENODEV) {
            m->cannot_reserve = TRUE;
            return 0;
        }
        if (errno == EINTR) continue;
        if ((errno != ENOSPC && errno != EDQUOT) || to == least) return errno;
    }
}

/* Appends what is in `out`. A write that fails half-way is taken back. */
static int kerb_matroska_flush(KerbMatroska *m)
{
    int failed = kerb_matroska_reserve(m, m->out->len);
    if (!failed) failed = kerb_write_all(m->fd, m->out->data, m->out->len);
    if (!failed) m->end += m->out->len;
    if (failed && !m->streams && !ftruncate(m->fd, (off_t)m->end)) {
        m->reserved = 0; /* truncate() gave it back */
        if (lseek(m->fd, (off_t)m->end, SEEK_SET) < 0) failed = errno;
    }
    return failed;
}

static int kerb_matroska_patch(KerbMatroska *m, guint64 at, const GByteArray *bytes)
{
    return pwrite(m->fd, bytes->data, bytes->len, (off_t)at) == (gssize)bytes->len ? 0 : errno ? errno : EIO;
}

static int kerb_matroska_patch_length(KerbMatroska *m)
{
    GByteArray *bytes = g_byte_array_new();
    ebml_big_endian(bytes, ebml_double_bits((gdouble)(m->length_ns / SCALE_NS)), 8);
    int failed = kerb_matroska_patch(m, m->duration_at, bytes);
    g_byte_array_unref(bytes);
    return failed;
}

/* -------------------------------------------------------------------------------------------------------------- header */

static void kerb_matroska_seek_entry(GByteArray *to, guint32 id, guint64 position)
{
    guint seek = ebml_open(to, ID_SEEK);
    ebml_id(to, ID_SEEK_ID);
    ebml_big_endian(to, 0x84, 1);
    ebml_big_endian(to, id, 4);
    ebml_uint(to, ID_SEEK_POSITION, position);
    ebml_close(to, seek);
}

/* Always SEEK_HEAD_BYTES long, so that it can be written again when there is an index. */
static GByteArray *kerb_matroska_seek_head(const KerbMatroska *m, guint64 cues_at)
{
    GByteArray *to = g_byte_array_new();
    guint head = ebml_open(to, ID_SEEK_HEAD);
    kerb_matroska_seek_entry(to, ID_INFO, m->info_at);
    kerb_matroska_seek_entry(to, ID_TRACKS, m->tracks_at);
    kerb_matroska_seek_entry(to, ID_TAGS, m->tags_at);
    if (cues_at) kerb_matroska_seek_entry(to, ID_CUES, cues_at);
    ebml_close(to, head);
    guint rest = SEEK_HEAD_BYTES - to->len - 9;
    ebml_id(to, ID_VOID);
    ebml_size(to, rest);
    for (guint i = 0; i < rest; i++) ebml_big_endian(to, 0, 1);
    return to;
}

static void kerb_matroska_info(KerbMatroska *m, const KerbMatroskaAbout *about)
{
    GByteArray *to = m->out;
    const gint64 year_2001_us = G_GINT64_CONSTANT(978307200) * G_USEC_PER_SEC;
    guint info = ebml_open(to, ID_INFO);
    ebml_uint(to, ID_TIMESTAMP_SCALE, SCALE_NS);
    if (!m->streams) {
        ebml_double(to, ID_DURATION, 0);
        m->duration_at = to->len - 8;
    }
    ebml_id(to, ID_DATE);
    ebml_big_endian(to, 0x88, 1);
    ebml_big_endian(to, (guint64)(about->date_us - year_2001_us) * 1000, 8);
    ebml_string(to, ID_TITLE, about->title);
    ebml_string(to, ID_MUXING_APP, about->app);
    ebml_string(to, ID_WRITING_APP, about->app);
    guint8 uuid[16];
    for (guint i = 0; i < 16; i++) uuid[i] = (guint8)g_random_int_range(0, 256);
    ebml_bytes(to, ID_SEGMENT_UUID, uuid, sizeof uuid);
    ebml_close(to, info);
}

static void kerb_matroska_video(GByteArray *to, const KerbTrack *t)
{
    guint video = ebml_open(to, ID_VIDEO);
    ebml_uint(to, ID_INTERLACED, 2); /* progressive */
    ebml_uint(to, ID_WIDTH, t->width_px);
    ebml_uint(to, ID_HEIGHT, t->height_px);
    ebml_known_uint(to, ID_DISPLAY_WIDTH, t->display_width);
    ebml_known_uint(to, ID_DISPLAY_HEIGHT, t->display_height);
    if (t->fourcc) ebml_bytes(to, ID_FOURCC, t->fourcc, 4);
    guint colour = ebml_open(to, ID_COLOUR);
    ebml_known_uint(to, ID_MATRIX, t->matrix);
    ebml_known_uint(to, ID_RANGE, t->range);
    ebml_known_uint(to, ID_TRANSFER, t->transfer);
    ebml_known_uint(to, ID_PRIMARIES, t->primaries);
    ebml_close(to, colour);
    ebml_close(to, video);
}

static void kerb_matroska_track(GByteArray *to, const KerbTrack *t, guint number)
{
    guint track = ebml_open(to, ID_TRACK);
    ebml_uint(to, ID_TRACK_NUMBER, number);
    ebml_uint(to, ID_TRACK_UID, (guint64)g_random_int() << 8 | number);
    ebml_uint(to, ID_TRACK_TYPE, (guint64)t->type);
    ebml_uint(to, ID_FLAG_LACING, 0);
    ebml_uint(to, ID_FLAG_DEFAULT, t->is_default ? 1 : 0);
    ebml_string(to, ID_NAME, t->name);
    ebml_string(to, ID_LANGUAGE, "und");
    ebml_string(to, ID_CODEC, t->codec);
    if (t->codec_private) ebml_bytes(to, ID_CODEC_PRIVATE, g_bytes_get_data(t->codec_private, NULL), g_bytes_get_size(t->codec_private));
    ebml_known_uint(to, ID_DEFAULT_DURATION, t->frame_ns);
    ebml_known_uint(to, ID_CODEC_DELAY, t->delay_ns);
    ebml_known_uint(to, ID_SEEK_PREROLL, t->preroll_ns);
    if (t->type == KERB_TRACK_VIDEO) kerb_matroska_video(to, t);
    if (t->type == KERB_TRACK_AUDIO) {
        guint audio = ebml_open(to, ID_AUDIO);
        ebml_double(to, ID_RATE, t->rate_hz);
        ebml_uint(to, ID_CHANNELS, t->channels);
        ebml_known_uint(to, ID_BITS, t->bits);
        ebml_close(to, audio);
    }
    if (t->is_zlib) {
        guint encodings = ebml_open(to, ID_ENCODINGS), encoding = ebml_open(to, ID_ENCODING);
        ebml_uint(to, ID_ENCODING_ORDER, 0);
        ebml_uint(to, ID_ENCODING_SCOPE, 1);
        ebml_uint(to, ID_ENCODING_TYPE, 0);
        guint compression = ebml_open(to, ID_COMPRESSION);
        ebml_uint(to, ID_COMPRESSION_ALGO, 0);
        ebml_close(to, compression);
        ebml_close(to, encoding);
        ebml_close(to, encodings);
    }
    ebml_close(to, track);
}

static void kerb_matroska_tags(GByteArray *to, const gchar *const *tags)
{
    guint all = ebml_open(to, ID_TAGS), tag = ebml_open(to, ID_TAG);
    ebml_close(to, ebml_open(to, ID_TARGETS)); /* of the whole file */
    for (; tags && tags[0]; tags += 2) {
        if (!tags[1]) continue;
        guint simple = ebml_open(to, ID_SIMPLE_TAG);
        ebml_string(to, ID_TAG_NAME, tags[0]);
        ebml_string(to, ID_TAG_STRING, tags[1]);
        ebml_close(to, simple);
    }
    ebml_close(to, tag);
    ebml_close(to, all);
}

KerbMatroska *kerb_matroska_new(int fd, gboolean streams)
{
    KerbMatroska *m = g_new0(KerbMatroska, 1);
    m->fd = fd;
    m->streams = streams;
    m->out = g_byte_array_new();
    m->cues = g_array_new(FALSE, FALSE, sizeof(KerbCue));
    return m;
}

void kerb_matroska_begin(KerbMatroska *m, const KerbTrack *tracks, guint n, const KerbMatroskaAbout *about)
{
    GByteArray *to = m->out;
    g_byte_array_set_size(to, 0);
    guint ebml = ebml_open(to, ID_EBML);
    ebml_uint(to, ID_EBML_VERSION, 1);
    ebml_uint(to, ID_EBML_READ_VERSION, 1);
    ebml_uint(to, ID_EBML_MAX_ID, 4);
    ebml_uint(to, ID_EBML_MAX_SIZE, 8);
    ebml_string(to, ID_DOC_TYPE, "matroska");
    ebml_uint(to, ID_DOC_VERSION, 4);
    ebml_uint(to, ID_DOC_READ_VERSION, 2);
    ebml_close(to, ebml);
    ebml_id(to, ID_SEGMENT);
    ebml_big_endian(to, G_GUINT64_CONSTANT(0x01FFFFFFFFFFFFFF), 8); /* not known yet; right also for a file that is cut */
    m->segment = m->seek_head_at = to->len;
    guint8 nothing[SEEK_HEAD_BYTES] = { 0 };
    g_byte_array_append(to, nothing, sizeof nothing);
    m->info_at = to->len - m->segment;
    kerb_matroska_info(m, about);
    m->tracks_at = to->len - m->segment;
    guint all = ebml_open(to, ID_TRACKS);
    m->indexed = n;
    for (guint i = 0; i < n; i++) {
        kerb_matroska_track(to, &tracks[i], i + 1);
        if (tracks[i].type == KERB_TRACK_VIDEO && m->indexed == n) m->indexed = i;
        if (tracks[i].type == KERB_TRACK_TEXT) m->texts |= 1u << i;
    }
    ebml_close(to, all);
    m->tags_at = to->len - m->segment;
    kerb_matroska_tags(to, about->tags);
    GByteArray *head = kerb_matroska_seek_head(m, 0);
    memcpy(to->data + m->seek_head_at, head->data, SEEK_HEAD_BYTES);
    g_byte_array_unref(head);
}

/* ------------------------------------------------------------------------------------------------------------- clusters */

static void kerb_matroska_block(GByteArray *to, const KerbBlock *b, guint64 cluster_time, gboolean grouped)
{
    gint64 offset = (gint64)(b->pts_ns / SCALE_NS) - (gint64)cluster_time;
    guint group = grouped ? ebml_open(to, ID_BLOCK_GROUP) : 0, block = ebml_open(to, grouped ? ID_BLOCK : ID_SIMPLE_BLOCK);
    ebml_big_endian(to, 0x80 | (b->track + 1), 1);
    ebml_big_endian(to, (guint64)(offset & 0xFFFF), 2);
    ebml_big_endian(to, b->key && !grouped ? 0x80 : 0, 1);
    g_byte_array_append(to, b->data, (guint)b->size);
    ebml_close(to, block);
    if (!grouped) return;
    ebml_uint(to, ID_BLOCK_DURATION, b->duration_ns / SCALE_NS);
    ebml_close(to, group);
}

int kerb_matroska_cluster(KerbMatroska *m, const KerbBlock *blocks, guint n)
{
    GByteArray *to = m->out;
    if (m->begun) g_byte_array_set_size(to, 0); /* else the header is in it */
    guint header = to->len;
    guint64 time = blocks[0].pts_ns / SCALE_NS, length_ns = m->length_ns;
    guint cluster = ebml_open(to, ID_CLUSTER);
    KerbCue cue = { .time = G_MAXUINT64, .position = m->end + header - m->segment };
    ebml_uint(to, ID_TIMESTAMP, time);
    for (guint i = 0; i < n; i++) {
        kerb_matroska_block(to, &blocks[i], time, m->texts >> blocks[i].track & 1);
        if (blocks[i].track == m->indexed && blocks[i].key && cue.time == G_MAXUINT64) cue.time = blocks[i].pts_ns / SCALE_NS;
        if (!(m->texts >> blocks[i].track & 1)) length_ns = MAX(length_ns, blocks[i].pts_ns + blocks[i].duration_ns);
    }
    ebml_close(to, cluster);
    int failed = kerb_matroska_flush(m);
    if (failed) {
        if (!m->begun) g_byte_array_set_size(to, header);
        return failed;
    }
    m->begun = TRUE;
    m->length_ns = length_ns;
    if (cue.time != G_MAXUINT64) g_array_append_val(m->cues, cue);
    return 0;
}

guint64 kerb_matroska_size(const KerbMatroska *m)
{
    return m->end;
}

guint64 kerb_matroska_length_ns(const KerbMatroska *m)
{
    return m->length_ns;
}

int kerb_matroska_sync(KerbMatroska *m)
{
    if (m->streams || !m->begun) return 0;
    int failed = kerb_matroska_patch_length(m);
    if (fdatasync(m->fd) && !failed) failed = errno;
    return failed;
}

/* -------------------------------------------------------------------------------------------------------------- the end */

static int kerb_matroska_index(KerbMatroska *m)
{
    GByteArray *to = m->out;
    guint64 at = m->end - m->segment;
    g_byte_array_set_size(to, 0);
    guint cues = ebml_open(to, ID_CUES);
    for (guint i = 0; i < m->cues->len; i++) {
        const KerbCue *cue = &g_array_index(m->cues, KerbCue, i);
        guint point = ebml_open(to, ID_CUE_POINT);
        ebml_uint(to, ID_CUE_TIME, cue->time);
        guint positions = ebml_open(to, ID_CUE_POSITIONS);
        ebml_uint(to, ID_CUE_TRACK, m->indexed + 1);
        ebml_uint(to, ID_CUE_CLUSTER, cue->position);
        ebml_close(to, positions);
        ebml_close(to, point);
    }
    ebml_close(to, cues);
    int failed = m->cues->len ? kerb_matroska_flush(m) : 0;
    if (failed || !m->cues->len) return failed;
    GByteArray *head = kerb_matroska_seek_head(m, at), *size = g_byte_array_new();
    ebml_size(size, m->end - m->segment);
    failed = kerb_matroska_patch(m, m->seek_head_at, head);
    if (!failed) failed = kerb_matroska_patch(m, m->segment - 8, size);
    g_byte_array_unref(head);
    g_byte_array_unref(size);
    return failed;
}

int kerb_matroska_finish(KerbMatroska **matroska, guint64 *size)
{
    KerbMatroska *m = *matroska;
    int failed = 0;
    *matroska = NULL;
    if (m->begun && !m->streams) {
        failed = kerb_matroska_index(m);
        int late = kerb_matroska_sync(m);
        if (!failed) failed = late;
        if (m->reserved && ftruncate(m->fd, (off_t)m->end) && !failed) failed = errno; /* what was set aside goes back */
    }
    if (close(m->fd) && !failed) failed = errno;
    *size = m->end;
    g_array_free(m->cues, TRUE);
    g_byte_array_unref(m->out);
    g_free(m);
    return failed;
}

/* ----------------------------------------------------------------------------------------------------------- whose it is */

gboolean kerb_matroska_is_by(const gchar *path, const gchar *app)
{
    static const guint8 magic[] = { 0x1A, 0x45, 0xDF, 0xA3 }, writing_app[] = { 0x57, 0x41 };
    guint8 head[HEAD_BYTES];
    struct stat st;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    gssize n = fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode) ? read(fd, head, sizeof head) : -1;
    if (fd >= 0) close(fd);
    gsize room = 2 + 8 + strlen(app);
    if (n < (gssize)(sizeof magic + room) || memcmp(head, magic, sizeof magic)) return FALSE;
    for (gsize i = sizeof magic; i + room <= (gsize)n; i++) /* as ebml_string() writes it: name, size in 8 bytes, text */
        if (!memcmp(head + i, writing_app, 2) && head[i + 2] == 1 && !memcmp(head + i + 10, app, strlen(app))) return TRUE;
    return FALSE;
}
