/* SPDX-License-Identifier: MIT */
/* What a killed run leaves to the next: observations of the frames it has seen, and what layers cost alone. The file is read by the build that wrote it; one that is
 * damaged, or belongs to something else, is as good as none. */
#include "calib/calibrator.h"

#include "base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATE_MAGIC "kerb calibration 1\n"
#define STATE_EVERY_NS 5000000000

/* ---- files */

static KerbStatus kerb_calib_write_all(int fd, const uint8_t *data, size_t bytes)
{
    while (bytes) {
        ssize_t n = write(fd, data, bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return KERB_ERROR_STORAGE;
        data += n;
        bytes -= (size_t)n;
    }
    return fsync(fd) ? KERB_ERROR_STORAGE : KERB_OK;
}

KerbStatus kerb_calib_place(const char *path, const void *data, size_t bytes, KerbError *error)
{
    size_t n = strlen(path) + sizeof ".part";
    char *part = malloc(n);
    if (!part) return kerb_calib_no_memory(error);
    snprintf(part, n, "%s.part", path);
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    KerbStatus status = fd < 0 ? KERB_ERROR_STORAGE : kerb_calib_write_all(fd, data, bytes);
    int reason = errno;
    if (fd >= 0 && close(fd) && status == KERB_OK) status = KERB_ERROR_STORAGE, reason = errno;
    if (status == KERB_OK && rename(part, path)) status = KERB_ERROR_STORAGE, reason = errno;
    if (status != KERB_OK) {
        if (fd >= 0) unlink(part);
        kerb_fail(error, status, "%s cannot be written: %s", path, strerror(reason));
    }
    free(part);
    return status;
}

static char *kerb_calib_state_path(const char *path)
{
    size_t n = strlen(path) + sizeof ".calibration";
    char *name = malloc(n);
    if (name) snprintf(name, n, "%s.calibration", path);
    return name;
}

void kerb_calib_state_remove(const char *path)
{
    char *name = kerb_calib_state_path(path);
    if (name) unlink(name);
    free(name);
}

/* ---- contents. What layers cost alone hangs on the options, too */

static uint64_t kerb_calib_options_key(const KerbCalibrator *c)
{
    const KerbCalibrateOptions *o = &c->options;
    const int64_t said[] = { o->method, o->bias_correction, o->signed_only, o->reduce_range, (int64_t)(o->percentile * 1e9) };
    return kerb_hash(c->key, said, sizeof said);
}

typedef struct KerbStateHead {
    uint64_t key, options_key, layout;
    int64_t frames_seen, n_marks, n_layers;
} KerbStateHead;

static KerbStateHead kerb_calib_state_head(const KerbCalibrator *c)
{
    return (KerbStateHead){ c->key, kerb_calib_options_key(c), sizeof(KerbObservation), c->frames_seen, c->n_marks, c->network->n_layers };
}

KerbStatus kerb_calib_state_write(KerbCalibrator *c, const char *path, bool only_if_due, KerbError *error)
{
    int64_t now = kerb_now_ns();
    if (only_if_due && now - c->saved_ns < STATE_EVERY_NS) return KERB_OK;
    KerbProto bytes = { 0 };
    const KerbStateHead head = kerb_calib_state_head(c);
    kerb_proto_raw(&bytes, STATE_MAGIC, sizeof STATE_MAGIC);
    kerb_proto_raw(&bytes, &head, sizeof head);
    for (int i = 0; i < c->n_marks; i++) {
        kerb_proto_raw(&bytes, &c->observations[i], sizeof c->observations[i]);
        kerb_proto_raw(&bytes, c->observations[i].sums, (size_t)c->observations[i].n_channels * sizeof(double));
    }
    kerb_proto_raw(&bytes, c->alone, (size_t)c->network->n_layers * sizeof *c->alone);
    uint64_t sum = kerb_hash(KERB_HASH_START, bytes.data, bytes.size);
    kerb_proto_raw(&bytes, &sum, sizeof sum);
    char *name = kerb_calib_state_path(path);
    KerbStatus status = bytes.failed || !name ? kerb_calib_no_memory(error) : kerb_calib_place(name, bytes.data, bytes.size, error);
    free(name);
    kerb_proto_free(&bytes);
    c->saved_ns = kerb_now_ns();
    return status;
}

/* Takes the next bytes; false where there are not so many. */
static bool kerb_state_take(KerbBytes *from, void *to, size_t bytes)
{
    if (from->size < bytes) return false;
    if (bytes) memcpy(to, from->data, bytes);
    from->data += bytes;
    from->size -= bytes;
    return true;
}

static bool kerb_calib_state_take(KerbCalibrator *c, KerbBytes from)
{
    KerbStateHead head, mine = kerb_calib_state_head(c);
    char magic[sizeof STATE_MAGIC];
    uint64_t sum;
    if (from.size < sizeof sum) return false;
    memcpy(&sum, from.data + from.size - sizeof sum, sizeof sum);
    from.size -= sizeof sum;
    if (sum != kerb_hash(KERB_HASH_START, from.data, from.size) || !kerb_state_take(&from, magic, sizeof magic) || memcmp(magic, STATE_MAGIC, sizeof magic) != 0) return false;
    if (!kerb_state_take(&from, &head, sizeof head) || head.key != mine.key || head.layout != mine.layout || head.n_marks != mine.n_marks || head.n_layers != mine.n_layers)
        return false;
    for (int i = 0; i < c->n_marks; i++) {
        KerbObservation *o = &c->observations[i];
        double *sums = o->sums;
        int64_t n = o->n_channels;
        if (!kerb_state_take(&from, o, sizeof *o) || o->n_channels != n) return false; /* cannot be: the sum was right */
        o->sums = sums;
        if (!kerb_state_take(&from, sums, (size_t)n * sizeof *sums)) return false;
    }
    c->frames_seen = (int)head.frames_seen;
    return head.options_key != mine.options_key || kerb_state_take(&from, c->alone, (size_t)mine.n_layers * sizeof *c->alone);
}

void kerb_calib_state_read(KerbCalibrator *c, const char *path)
{
    char *name = kerb_calib_state_path(path);
    KerbMapping file = { 0 };
    if (name && !access(name, R_OK) && kerb_map_file(name, &file, NULL) == KERB_OK) {
        if (kerb_calib_state_take(c, (KerbBytes){ file.data, file.bytes }))
            kerb_log(KERB_LOG_INFO, "%s: goes on where an earlier run ended, after %d frames", name, c->frames_seen);
        else
            kerb_log(KERB_LOG_WARNING, "%s is of another model, other frames or another Kerb: calibration begins anew", name);
    }
    kerb_unmap(&file);
    free(name);
}
