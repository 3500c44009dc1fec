/* SPDX-License-Identifier: MIT */
/* The switches and counters that a test shares with the stand-in camera, and its frames.
 *
 * The test maps the file $KERB_FAKE_CAMERA/control and writes the switches; the camera answers for the nodes $KERB_FAKE_CAMERA/dev/video*, which the test makes
 * and removes (plain files). camera_case.py has the same table. */
#ifndef KERB_TESTS_FAKE_CAMERA_H
#define KERB_TESTS_FAKE_CAMERA_H

#include <stddef.h>
#include <stdint.h>

typedef enum FakeFault {
    FAKE_FINE,
    FAKE_STALL,     /* streams, but no frame comes */
    FAKE_EIO,       /* frames are errors */
    FAKE_SLOW,      /* three frames a second */
    FAKE_HALF,      /* half of width and height, whatever is asked for */
    FAKE_SHORT,     /* frames with half of their bytes */
    FAKE_BUSY,      /* another program streams */
    FAKE_DENIED,
    FAKE_FOREIGN,   /* not Video4Linux */
    FAKE_METADATA,  /* a node for metadata */
    FAKE_STUCK,     /* the stop of the stream does not return before this is over */
    FAKE_ABSURD,    /* lists with zeros, huge and repeated values; NV12 64x36 at 30 among them */
    FAKE_LOST_MODE, /* MJPEG only */
    FAKE_NO_USERPTR, /* says that it takes foreign buffers, and fails when it gets them */
    FAKE_HASTY,      /* has no buffer ready for the second, third and fourth frame of a stream */
} FakeFault;

typedef struct FakeControl {
    /* Switches. */
    uint32_t fault;
    uint32_t generation; /* handles of an earlier one are dead: ENODEV */
    uint32_t fps;
    uint32_t width, height;
    uint32_t formats;    /* bits: 1 YUYV, 2 NV12, 4 MJPEG; 8: MJPEG alone reaches fps, raw has a quarter of it; 16: no foreign buffers; 32, 64, 128: endless lists of
                          * formats, sizes, rates (with FAKE_ABSURD); 256: a hundred formats before these that nobody knows */
    /* Milliseconds of the monotonic clock, where the test has put a 0: of the first look at a node, and of the first frame fetched. */
    uint32_t opened_ms, fetched_ms;
    /* Counters. */
    uint32_t opens, open_now, streams, given, userptr, number, fourcc, missed;
} FakeControl;

/* The colour of a pixel: the running number's bits, green for 1 and red for 0, the highest at the upper left, in 8 x 3 cells; below them red. */
static inline int fake_is_green(uint32_t number, int x, int y, int width, int height)
{
    int column = x * 8 / width, row = y * 4 / height;
    return row < 3 && (number >> (23 - (row * 8 + column)) & 1);
}

/* A Motion JPEG frame of it; returns its bytes, at most `room`. fake_jpeg.c. */
size_t fake_jpeg(uint8_t *to, size_t room, uint32_t number, int width, int height);

#endif
