/* SPDX-License-Identifier: MIT */
/* A stand-in camera, preloaded into a program: open, stat, ioctl, mmap, dup and close of its nodes come here. See fake_camera.h.
 *
 * A handle is one end of a socket pair: bytes in it are frames that wait (so that the program's own poll works), and its other end closes when the camera dies.
 * Frames are painted when they are taken, as a real camera's are, on a thread of the handle, into the oldest buffer that the program has queued; where there is
 * none the frame is missed and its number with it. */
#include "fake_camera.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MOST_HANDLES 64
#define MOST_FDS 4096
#define MOST_BUFFERS 32
#define EXPORTED __attribute__((visibility("default")))

typedef struct FakeHandle {
    int used, users;     /* file descriptors that lead here */
    int app, peer;       /* the socket pair; app is a copy of our own, for the program may close the one that it was given */
    uint32_t generation;
    uint32_t fourcc, width, height;
    int memory, n_buffers, memory_fd;
    size_t size;         /* of a buffer */
    struct v4l2_buffer buffers[MOST_BUFFERS];
    int queued[MOST_BUFFERS], n_queued, done[MOST_BUFFERS], n_done;
    int streaming;
    uint32_t sequence;
    pthread_t thread;
} FakeHandle;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static FakeHandle handles[MOST_HANDLES];
static uint8_t handle_of[MOST_FDS]; /* index + 1 */
static FakeControl *control;
static char nodes[4096]; /* ".../dev/video" */

/* ---------------------------------------------------------------------------------------------------------- the program */


/* The C library's own. Sought once: dlsym waits while another thread loads a library. */
static struct {
    int (*open)(const char *, int, ...);
    int (*open64)(const char *, int, ...);
    int (*stat)(const char *, struct stat *);
    int (*stat64)(const char *, struct stat64 *);
    int (*ioctl)(int, unsigned long, ...);
    void *(*mmap)(void *, size_t, int, int, int, off_t);
    void *(*mmap64)(void *, size_t, int, int, int, off_t);
    int (*dup)(int);
    int (*close)(int);
} real;

__attribute__((constructor)) static void fake_find_real(void)
{
    if (real.close) return;
    *(void **)&real.open = dlsym(RTLD_NEXT, "open");
    *(void **)&real.open64 = dlsym(RTLD_NEXT, "open64");
    *(void **)&real.stat = dlsym(RTLD_NEXT, "stat");
    *(void **)&real.stat64 = dlsym(RTLD_NEXT, "stat64");
    *(void **)&real.ioctl = dlsym(RTLD_NEXT, "ioctl");
    *(void **)&real.mmap = dlsym(RTLD_NEXT, "mmap");
    *(void **)&real.mmap64 = dlsym(RTLD_NEXT, "mmap64");
    *(void **)&real.dup = dlsym(RTLD_NEXT, "dup");
    *(void **)&real.close = dlsym(RTLD_NEXT, "close");
}

static int fake_ready(void)
{
    const char *folder = getenv("KERB_FAKE_CAMERA");
    fake_find_real();
    if (control) return 1;
    if (!folder || strlen(folder) > sizeof nodes - 32) return 0;
    char path[sizeof nodes];
    snprintf(path, sizeof path, "%s/control", folder);
    int fd = real.open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return 0;
    FakeControl *shared = real.mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    real.close(fd);
    if (shared == MAP_FAILED) return 0;
    snprintf(nodes, sizeof nodes, "%s/dev/video", folder);
    control = shared;
    return 1;
}

static int fake_is_node(const char *path)
{
    return path && fake_ready() && !strncmp(path, nodes, strlen(nodes));
}

static FakeHandle *fake_handle(int fd)
{
    return fd >= 0 && fd < MOST_FDS && handle_of[fd] ? &handles[handle_of[fd] - 1] : NULL;
}

static uint32_t fake_fault(void)
{
    return __atomic_load_n(&control->fault, __ATOMIC_SEQ_CST);
}

static void fake_count(uint32_t *counter, int by)
{
    __atomic_fetch_add(counter, (uint32_t)by, __ATOMIC_SEQ_CST);
}

static void fake_note_time(uint32_t *where)
{
    struct timespec now;
    uint32_t none = 0;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint32_t ms = (uint32_t)((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000);
    __atomic_compare_exchange_n(where, &none, ms ? ms : 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static int fake_is_dead(const FakeHandle *h)
{
    return h->generation != __atomic_load_n(&control->generation, __ATOMIC_SEQ_CST);
}

static int fake_fail(int error)
{
    errno = error;
    return -1;
}

/* -------------------------------------------------------------------------------------------------------------- frames */

static void fake_paint(uint8_t *to, const FakeHandle *h, uint32_t number)
{
    static const uint8_t colors[2][3] = { { 81, 90, 240 }, { 145, 54, 34 } };
    int w = (int)h->width, height = (int)h->height;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < w; x++) {
            const uint8_t *c = colors[fake_is_green(number, x, y, w, height)];
            if (h->fourcc == V4L2_PIX_FMT_YUYV) {
                to[(y * w + x) * 2] = c[0];
                to[(y * w + x) * 2 + 1] = c[1 + (x & 1)];
            } else {
                to[y * w + x] = c[0];
                if (!(y & 1)) to[w * height + y / 2 * w + x] = c[1 + (x & 1)];
            }
        }
}

static size_t fake_size(uint32_t fourcc, uint32_t width, uint32_t height)
{
    return fourcc == V4L2_PIX_FMT_NV12 ? (size_t)width * height * 3 / 2 : fourcc == V4L2_PIX_FMT_YUYV ? (size_t)width * height * 2 : (size_t)width * height * 3 + 1024;
}

static size_t fake_pages(size_t size)
{
    return (size + 4095) & ~(size_t)4095;
}

/* One period is over. Lock held. */
static void fake_take_picture(FakeHandle *h)
{
    uint32_t number = ++control->number;
    h->sequence++;
    if (!h->n_queued || (fake_fault() == FAKE_HASTY && h->sequence >= 2 && h->sequence <= 4)) {
        control->missed++;
        return;
    }
    int index = h->queued[0];
    struct v4l2_buffer *b = &h->buffers[index];
    memmove(h->queued, h->queued + 1, sizeof(int) * (size_t)--h->n_queued);
    size_t map = fake_pages(h->size);
    uint8_t *to = h->memory == V4L2_MEMORY_USERPTR ? (uint8_t *)b->m.userptr
                                                   : real.mmap(NULL, map, PROT_READ | PROT_WRITE, MAP_SHARED, h->memory_fd, (off_t)((size_t)index * map));
    b->bytesused = (uint32_t)h->size;
    if (h->fourcc == V4L2_PIX_FMT_MJPEG)
        b->bytesused = (uint32_t)fake_jpeg(to, h->size, number, (int)h->width, (int)h->height);
    else
        fake_paint(to, h, number);
    if (h->memory != V4L2_MEMORY_USERPTR) munmap(to, map);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    b->timestamp.tv_sec = now.tv_sec;
    b->timestamp.tv_usec = now.tv_nsec / 1000;
    b->sequence = h->sequence - 1;
    h->done[h->n_done++] = index;
    if (send(h->peer, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) fprintf(stderr, "fake camera: no frame could be announced\n");
}

static void *fake_stream(void *user)
{
    FakeHandle *h = user;
    struct timespec next;
    clock_gettime(CLOCK_MONOTONIC, &next);
    pthread_mutex_lock(&lock);
    while (h->streaming && !fake_is_dead(h)) {
        uint32_t fault = fake_fault(), fps = fault == FAKE_SLOW ? 3 : control->fps;
        if (h->fourcc != V4L2_PIX_FMT_MJPEG && control->formats & 8) fps /= 4;
        pthread_mutex_unlock(&lock);
        int64_t at = (int64_t)next.tv_sec * 1000000000 + next.tv_nsec + 1000000000 / (fps ? fps : 1);
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        int64_t left = at - ((int64_t)now.tv_sec * 1000000000 + now.tv_nsec);
        /* In short pieces: a death is seen at once, as poll shows it. */
        if (left > 5000000) {
            nanosleep(&(struct timespec){ .tv_nsec = 4000000 }, NULL);
            pthread_mutex_lock(&lock);
            continue;
        }
        next = (struct timespec){ at / 1000000000, at % 1000000000 };
        if (left > 0) clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
        pthread_mutex_lock(&lock);
        if (h->streaming && !fake_is_dead(h) && fault != FAKE_STALL && fault != FAKE_STUCK) fake_take_picture(h);
    }
    if (fake_is_dead(h)) shutdown(h->peer, SHUT_RDWR);
    pthread_mutex_unlock(&lock);
    return NULL;
}

/* Lock held; let go meanwhile. */
static void fake_stop(FakeHandle *h)
{
    if (!h->streaming) return;
    h->streaming = 0;
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < 3000 && fake_fault() == FAKE_STUCK; i++) nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
    pthread_join(h->thread, NULL);
    pthread_mutex_lock(&lock);
    h->n_queued = h->n_done = 0;
    char drained[64];
    while (recv(h->app, drained, sizeof drained, MSG_DONTWAIT) > 0) continue;
}

/* ------------------------------------------------------------------------------------------------------------- answers */

static int fake_capability(const FakeHandle *h, struct v4l2_capability *c)
{
    memset(c, 0, sizeof *c);
    strcpy((char *)c->driver, "fake");
    strcpy((char *)c->card, "Stand-in Camera");
    strcpy((char *)c->bus_info, "usb-fake-1");
    c->version = 0x60100;
    c->device_caps = (fake_fault() == FAKE_METADATA ? V4L2_CAP_META_CAPTURE : V4L2_CAP_VIDEO_CAPTURE) | V4L2_CAP_STREAMING;
    c->capabilities = c->device_caps | V4L2_CAP_DEVICE_CAPS;
    return 0;
}

static int fake_enum_format(struct v4l2_fmtdesc *f)
{
    static const uint32_t all[] = { V4L2_PIX_FMT_YUYV, V4L2_PIX_FMT_NV12, V4L2_PIX_FMT_MJPEG };
    uint32_t index = f->index;
    if (f->type != V4L2_BUF_TYPE_VIDEO_CAPTURE) return EINVAL;
    if (fake_fault() == FAKE_ABSURD) {
        if (index > 5 && !(control->formats & 32)) return EINVAL;
        f->pixelformat = index == 2 ? V4L2_PIX_FMT_NV12 : index * 0x01010101u;
        memset(f->description, 0xff, sizeof f->description);
        return 0;
    }
    uint32_t formats = fake_fault() == FAKE_LOST_MODE ? 4 : control->formats;
    if (formats & 256 && index < 100) {
        f->pixelformat = v4l2_fourcc('X', 'X', '0' + index / 10, '0' + index % 10);
        return 0;
    }
    if (formats & 256) index -= 100;
    for (uint32_t i = 0; i < 3; i++) {
        if (!(formats >> i & 1)) continue;
        if (index--) continue;
        f->flags = i == 2 ? V4L2_FMT_FLAG_COMPRESSED : 0;
        f->pixelformat = all[i];
        return 0;
    }
    return EINVAL;
}

static int fake_enum_size(struct v4l2_frmsizeenum *f)
{
    if (fake_fault() == FAKE_ABSURD) {
        static const uint32_t sides[][2] = { { 0, 0 }, { 0xffffffff, 0xffffffff }, { 64, 36 }, { 0x80000000, 1 }, { 64, 0 } };
        if (f->index > 9 && !(control->formats & 64)) return EINVAL;
        f->type = V4L2_FRMSIZE_TYPE_DISCRETE;
        f->discrete.width = sides[f->index % 5][0];
        f->discrete.height = sides[f->index % 5][1];
        return 0;
    }
    if (f->index > 1) return EINVAL;
    f->type = V4L2_FRMSIZE_TYPE_DISCRETE;
    f->discrete.width = control->width >> f->index;
    f->discrete.height = control->height >> f->index;
    return 0;
}

static int fake_enum_rate(struct v4l2_frmivalenum *f)
{
    if (fake_fault() == FAKE_ABSURD) {
        static const struct v4l2_fract rates[] = { { 0, 0 }, { 1, 0 }, { 0, 1 }, { 0xffffffff, 1 }, { 1, 0xffffffff }, { 1, 30 } };
        if (f->index > 11 && !(control->formats & 128)) return EINVAL;
        f->type = V4L2_FRMIVAL_TYPE_DISCRETE;
        f->discrete = rates[f->index % 6];
        return 0;
    }
    if (f->index) return EINVAL;
    f->type = V4L2_FRMIVAL_TYPE_DISCRETE;
    f->discrete = (struct v4l2_fract){ f->pixel_format != V4L2_PIX_FMT_MJPEG && control->formats & 8 ? 4 : 1, control->fps };
    return 0;
}

static int fake_format(FakeHandle *h, struct v4l2_format *f, int set)
{
    if (f->type != V4L2_BUF_TYPE_VIDEO_CAPTURE) return EINVAL;
    struct v4l2_pix_format *p = &f->fmt.pix;
    uint32_t half = fake_fault() == FAKE_HALF || (p->width && p->width <= control->width / 2);
    uint32_t fourcc = p->pixelformat == V4L2_PIX_FMT_NV12 || p->pixelformat == V4L2_PIX_FMT_MJPEG ? p->pixelformat : V4L2_PIX_FMT_YUYV;
    if (set < 0) fourcc = h->fourcc, half = h->width < control->width;
    memset(p, 0, sizeof *p);
    p->width = control->width >> half;
    p->height = control->height >> half;
    p->pixelformat = fourcc;
    p->field = V4L2_FIELD_NONE;
    p->bytesperline = fourcc == V4L2_PIX_FMT_YUYV ? p->width * 2 : fourcc == V4L2_PIX_FMT_NV12 ? p->width : 0;
    p->sizeimage = (uint32_t)fake_size(fourcc, p->width, p->height);
    p->colorspace = fourcc == V4L2_PIX_FMT_MJPEG ? V4L2_COLORSPACE_JPEG : V4L2_COLORSPACE_SMPTE170M;
    if (set == 1) {
        if (fake_fault() == FAKE_BUSY) return EBUSY;
        h->fourcc = control->fourcc = fourcc;
        h->width = p->width;
        h->height = p->height;
        h->size = p->sizeimage;
    }
    return 0;
}

static int fake_request(FakeHandle *h, struct v4l2_requestbuffers *r)
{
    if (fake_fault() == FAKE_BUSY) return EBUSY;
    if (r->memory == V4L2_MEMORY_USERPTR ? control->formats >> 4 & 1 : r->memory != V4L2_MEMORY_MMAP) return EINVAL;
    if (r->memory == V4L2_MEMORY_USERPTR && r->count && fake_fault() == FAKE_NO_USERPTR) return EINVAL;
    fake_stop(h);
    if (r->count > MOST_BUFFERS) r->count = MOST_BUFFERS;
    h->memory = (int)r->memory;
    h->n_buffers = (int)r->count;
    h->n_queued = h->n_done = 0;
    r->capabilities = V4L2_BUF_CAP_SUPPORTS_MMAP | (control->formats >> 4 & 1 ? 0 : V4L2_BUF_CAP_SUPPORTS_USERPTR);
    return ftruncate(h->memory_fd, (off_t)((size_t)h->n_buffers * fake_pages(h->size))) ? ENOMEM : 0;
}

static int fake_query_buffer(FakeHandle *h, struct v4l2_buffer *b)
{
    if ((int)b->index >= h->n_buffers) return EINVAL;
    b->length = (uint32_t)h->size;
    b->memory = (uint32_t)h->memory;
    b->flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    b->m.offset = b->index * (uint32_t)fake_pages(h->size);
    return 0;
}

static int fake_queue(FakeHandle *h, struct v4l2_buffer *b)
{
    if ((int)b->index >= h->n_buffers || h->n_queued >= MOST_BUFFERS) return EINVAL;
    if (h->memory == V4L2_MEMORY_USERPTR && (!b->m.userptr || b->length < h->size)) return EINVAL;
    h->buffers[b->index] = *b;
    h->queued[h->n_queued++] = (int)b->index;
    b->flags = V4L2_BUF_FLAG_QUEUED | V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    return 0;
}

static int fake_dequeue(FakeHandle *h, struct v4l2_buffer *b)
{
    char byte;
    if (!h->streaming) return EINVAL;
    if (!h->n_done || recv(h->app, &byte, 1, MSG_DONTWAIT) != 1) return EAGAIN;
    int index = h->done[0];
    memmove(h->done, h->done + 1, sizeof(int) * (size_t)--h->n_done);
    if (fake_fault() == FAKE_EIO) {
        h->queued[h->n_queued++] = index;
        return EIO;
    }
    *b = h->buffers[index];
    b->index = (uint32_t)index;
    b->length = (uint32_t)h->size;
    if (fake_fault() == FAKE_SHORT) b->bytesused /= 2;
    b->flags = V4L2_BUF_FLAG_DONE | V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    b->field = V4L2_FIELD_NONE;
    fake_count(&control->given, 1);
    fake_note_time(&control->fetched_ms);
    if (h->memory == V4L2_MEMORY_USERPTR) fake_count(&control->userptr, 1);
    return 0;
}

static int fake_start(FakeHandle *h)
{
    if (h->streaming) return 0;
    h->streaming = 1;
    h->sequence = 0;
    fake_count(&control->streams, 1);
    return pthread_create(&h->thread, NULL, fake_stream, h) ? ENOMEM : 0;
}

static int fake_rate(struct v4l2_streamparm *p)
{
    if (p->type != V4L2_BUF_TYPE_VIDEO_CAPTURE) return EINVAL;
    p->parm.capture.capability = V4L2_CAP_TIMEPERFRAME;
    p->parm.capture.timeperframe = (struct v4l2_fract){ 1, control->fps };
    return 0;
}

/* Lock held. Returns 0 or an errno. */
static int fake_answer(FakeHandle *h, uint32_t request, void *argument)
{
    switch (request) {
    case VIDIOC_QUERYCAP: return fake_capability(h, argument);
    case VIDIOC_ENUMINPUT: {
        struct v4l2_input *input = argument;
        if (input->index) return EINVAL;
        memset(input, 0, sizeof *input);
        strcpy((char *)input->name, "Camera");
        input->type = V4L2_INPUT_TYPE_CAMERA;
        return 0;
    }
    case VIDIOC_G_INPUT: *(int *)argument = 0; return 0;
    case VIDIOC_S_INPUT: return 0;
    case VIDIOC_ENUM_FMT: return fake_enum_format(argument);
    case VIDIOC_ENUM_FRAMESIZES: return fake_enum_size(argument);
    case VIDIOC_ENUM_FRAMEINTERVALS: return fake_enum_rate(argument);
    case VIDIOC_G_FMT: return fake_format(h, argument, -1);
    case VIDIOC_TRY_FMT: return fake_format(h, argument, 0);
    case VIDIOC_S_FMT: return fake_format(h, argument, 1);
    case VIDIOC_G_PARM:
    case VIDIOC_S_PARM: return fake_rate(argument);
    case VIDIOC_REQBUFS: return fake_request(h, argument);
    case VIDIOC_QUERYBUF: return fake_query_buffer(h, argument);
    case VIDIOC_QBUF: return fake_queue(h, argument);
    case VIDIOC_DQBUF: return fake_dequeue(h, argument);
    case VIDIOC_STREAMON: return fake_start(h);
    case VIDIOC_STREAMOFF: fake_stop(h); return 0;
    default: return ENOTTY;
    }
}

/* --------------------------------------------------------------------------------------------------------- system calls */

static int fake_open(const char *path)
{
    if (access(path, F_OK)) return fake_fail(ENOENT);
    fake_note_time(&control->opened_ms);
    if (fake_fault() == FAKE_DENIED) return fake_fail(EACCES);
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) return -1;
    pthread_mutex_lock(&lock);
    int i = 0;
    while (i < MOST_HANDLES && handles[i].used) i++;
    if (i == MOST_HANDLES || pair[0] >= MOST_FDS) {
        pthread_mutex_unlock(&lock);
        real.close(pair[0]);
        real.close(pair[1]);
        return fake_fail(EMFILE);
    }
    FakeHandle *h = &handles[i];
    *h = (FakeHandle){ .used = 1, .users = 1, .app = fcntl(pair[0], F_DUPFD_CLOEXEC, 0), .peer = pair[1], .generation = control->generation, .memory_fd = memfd_create("fake-camera", MFD_CLOEXEC) };
    h->fourcc = V4L2_PIX_FMT_YUYV;
    h->width = control->width;
    h->height = control->height;
    h->size = fake_size(h->fourcc, h->width, h->height);
    handle_of[pair[0]] = (uint8_t)(i + 1);
    pthread_mutex_unlock(&lock);
    fake_count(&control->opens, 1);
    fake_count(&control->open_now, 1);
    return pair[0];
}

#define DEFINE_OPEN(name)                                                      \
    EXPORTED int name(const char *path, int flags, ...)                        \
    {                                                                          \
        va_list rest;                                                          \
        va_start(rest, flags);                                                 \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                                          \
        return fake_is_node(path) ? fake_open(path) : real.name(path, flags, mode); \
    }
DEFINE_OPEN(open)
DEFINE_OPEN(open64)

EXPORTED int __open_2(const char *path, int flags);
EXPORTED int __open_2(const char *path, int flags)
{
    return open(path, flags);
}
EXPORTED int __open64_2(const char *path, int flags);
EXPORTED int __open64_2(const char *path, int flags)
{
    return open(path, flags);
}

EXPORTED int stat(const char *path, struct stat *st)
{
    fake_find_real();
    int result = real.stat(path, st);
    if (!result && fake_is_node(path)) st->st_mode = (st->st_mode & ~(mode_t)S_IFMT) | S_IFCHR;
    return result;
}
EXPORTED int stat64(const char *path, struct stat64 *st)
{
    fake_find_real();
    int result = real.stat64(path, st);
    if (!result && fake_is_node(path)) st->st_mode = (st->st_mode & ~(mode_t)S_IFMT) | S_IFCHR;
    return result;
}

EXPORTED int ioctl(int fd, unsigned long request, ...)
{
    fake_find_real();
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    pthread_mutex_lock(&lock);
    FakeHandle *h = fake_handle(fd);
    int error = !h ? 0 : fake_is_dead(h) && (uint32_t)request != VIDIOC_STREAMOFF ? ENODEV : fake_fault() == FAKE_FOREIGN ? ENOTTY : fake_answer(h, (uint32_t)request, argument);
    pthread_mutex_unlock(&lock);
    if (!h) return real.ioctl(fd, request, argument);
    return error ? fake_fail(error) : 0;
}

static int fake_memory(int fd)
{
    FakeHandle *h = fake_handle(fd);
    fake_find_real();
    return h ? h->memory_fd : fd;
}
EXPORTED void *mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset)
{
    int from = fake_memory(fd);
    return real.mmap(at, length, protection, flags, from, offset);
}
EXPORTED void *mmap64(void *at, size_t length, int protection, int flags, int fd, off64_t offset)
{
    int from = fake_memory(fd);
    return real.mmap64(at, length, protection, flags, from, offset);
}

EXPORTED int dup(int fd)
{
    fake_find_real();
    int copy = real.dup(fd);
    pthread_mutex_lock(&lock);
    FakeHandle *h = fake_handle(fd);
    if (h && copy >= 0 && copy < MOST_FDS) {
        handle_of[copy] = handle_of[fd];
        h->users++;
    }
    pthread_mutex_unlock(&lock);
    return copy;
}

EXPORTED int close(int fd)
{
    fake_find_real();
    pthread_mutex_lock(&lock);
    FakeHandle *h = fake_handle(fd);
    if (h) {
        handle_of[fd] = 0;
        if (!--h->users) {
            fake_stop(h);
            real.close(h->app);
            real.close(h->peer);
            real.close(h->memory_fd);
            h->used = 0;
            fake_count(&control->open_now, -1);
        }
    }
    pthread_mutex_unlock(&lock);
    return real.close(fd);
}
