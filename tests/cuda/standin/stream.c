/* SPDX-License-Identifier: MIT */
/* Streams, events and the work they order. A stream is a thread with a queue; an event's record is a marker in one, which other streams and the host
 * wait for. When the context is lost, queues go on without doing their work: nothing hangs. */
#include "machine.h"

#include <stdlib.h>
#include <string.h>

static KerbStream *kerb_legacy[KERB_STANDIN_MAX_DEVICES];
static uint64_t kerb_stream_seed;

/* --------------------------------------------------------------------------------------------------- work and markers */

KerbWork *kerb_work_new(void (*fn)(const void *args), void (*drop)(void *args), const void *args, size_t bytes)
{
    KerbWork *w = aligned_alloc(16, (sizeof *w + bytes + 15) / 16 * 16);
    if (!w)
        return NULL;
    *w = (KerbWork){ .refs = 1, .fn = fn, .drop = drop };
    if (bytes)
        memcpy(w->args, args, bytes);
    return w;
}

void kerb_work_unref_locked(KerbWork *work)
{
    if (!work || --work->refs)
        return;
    if (work->drop)
        work->drop(work->args);
    free(work);
}

KerbMarker *kerb_marker_new(void)
{
    KerbMarker *m = calloc(1, sizeof *m);
    if (m)
        m->refs = 1;
    return m;
}

void kerb_marker_unref_locked(KerbMarker *marker)
{
    if (marker && !--marker->refs)
        free(marker);
}

static void kerb_marker_signal_locked(KerbMarker *marker)
{
    marker->done = true;
    marker->time_ns = kerb_machine_now_ns();
    pthread_cond_broadcast(&kerb_machine.changed);
}

static void kerb_marker_wait_locked(const KerbMarker *marker)
{
    while (!marker->done)
        pthread_cond_wait(&kerb_machine.changed, &kerb_machine.lock);
}

void kerb_work_run_locked(KerbWork *work, uint64_t *random)
{
    KerbMachine *m = &kerb_machine;
    m->works++;
    if (m->config.fail_op && m->works == m->config.fail_op)
        kerb_lose_locked(m->config.code ? (cudaError_t)m->config.code : cudaErrorLaunchFailure);
    const bool lost = m->lost != cudaSuccess;
    const int most_us = m->config.delay_us;
    kerb_machine_unlock();
    kerb_random_wait(random, most_us);
    if (lost && !work->host) {
        kerb_machine_lock();
        return;
    }
    if (work->host)
        kerb_in_host_function = true;
    else
        kerb_memory_open();
    work->fn(work->args);
    kerb_in_host_function = false;
    kerb_memory_close();
    kerb_machine_lock();
}

/* ----------------------------------------------------------------------------------------------------------- the thread */

static void kerb_op_run_locked(KerbStream *s, KerbOp *op)
{
    switch (op->kind) {
    case KERB_OP_WORK:
        kerb_work_run_locked(op->work, &s->random);
        break;
    case KERB_OP_WAIT:
        kerb_marker_wait_locked(op->marker);
        break;
    case KERB_OP_SIGNAL:
        kerb_marker_signal_locked(op->marker);
        break;
    case KERB_OP_GRAPH:
        kerb_recipe_run_locked(op->recipe, op->node_markers, &s->random);
        break;
    }
}

static void kerb_op_drop_locked(KerbOp *op)
{
    kerb_work_unref_locked(op->work);
    kerb_marker_unref_locked(op->marker);
    for (int i = 0; op->node_markers && i < op->recipe->n; i++)
        kerb_marker_unref_locked(op->node_markers[i]);
    free(op->node_markers);
    if (op->recipe)
        kerb_recipe_unref_locked(op->recipe);
    free(op);
}

static void *kerb_stream_thread(void *user)
{
    KerbStream *s = user;
    kerb_memory_close();
    kerb_machine_lock();
    for (;;) {
        while (!s->head && !s->closing)
            pthread_cond_wait(&s->wake, &kerb_machine.lock);
        KerbOp *op = s->head;
        if (!op)
            break;
        kerb_op_run_locked(s, op);
        s->head = op->next;
        if (!s->head)
            s->tail = &s->head;
        kerb_op_drop_locked(op);
        s->finished++;
        pthread_cond_broadcast(&kerb_machine.changed);
    }
    kerb_machine_unlock();
    return NULL;
}

void kerb_stream_append_locked(KerbStream *stream, KerbOp op)
{
    KerbOp *copy = malloc(sizeof *copy);
    if (!copy)
        abort(); /* out of host memory: nothing that a test of CUDA wants to know */
    *copy = op;
    copy->next = NULL;
    *stream->tail = copy;
    stream->tail = &copy->next;
    stream->queued++;
    pthread_cond_signal(&stream->wake);
}

void kerb_stream_drain_locked(KerbStream *stream)
{
    const uint64_t until = stream->queued;
    stream->waiters++;
    while (stream->finished < until)
        pthread_cond_wait(&kerb_machine.changed, &kerb_machine.lock);
    stream->waiters--;
    pthread_cond_broadcast(&kerb_machine.changed);
}

void kerb_device_drain_locked(int device)
{
    /* Streams may come and go while the lock is given up: begin again after each that was waited for. */
    for (KerbStream *s = kerb_machine.streams; s;) {
        if (s->held.device == device && s->finished < s->queued) {
            kerb_stream_drain_locked(s);
            s = kerb_machine.streams;
        } else {
            s = s->next_stream;
        }
    }
}

/* --------------------------------------------------------------------------------------------------------------- streams */

static KerbStream *kerb_stream_new_locked(bool blocking)
{
    KerbStream *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->tail = &s->head;
    s->blocking = blocking;
    s->random = kerb_machine.config.seed * 7919 + ++kerb_stream_seed * 104729;
    pthread_cond_init(&s->wake, NULL);
    if (pthread_create(&s->thread, NULL, kerb_stream_thread, s)) {
        pthread_cond_destroy(&s->wake);
        free(s);
        return NULL;
    }
    kerb_held_add_locked(&s->held, KERB_HELD_STREAM);
    s->next_stream = kerb_machine.streams;
    kerb_machine.streams = s;
    return s;
}

KerbStream *kerb_stream_find_locked(cudaStream_t stream, const char *name, cudaError_t *error)
{
    const int device = kerb_current_device();
    *error = cudaErrorInvalidResourceHandle;
    if (stream == cudaStreamPerThread) {
        kerb_misuse_locked("%s: the stand-in has no per-thread stream", name);
        return NULL;
    }
    if (stream && stream != cudaStreamLegacy)
        return kerb_held_find_locked(stream, KERB_HELD_STREAM, name);
    if (!kerb_legacy[device]) {
        kerb_legacy[device] = kerb_stream_new_locked(true);
        if (kerb_legacy[device])
            kerb_legacy[device]->legacy = true;
    }
    *error = cudaErrorMemoryAllocation;
    return kerb_legacy[device];
}

static void kerb_stream_after_locked(KerbStream *later, KerbStream *earlier)
{
    if (earlier->finished == earlier->queued)
        return;
    KerbMarker *m = kerb_marker_new();
    if (!m)
        abort();
    m->refs = 2;
    kerb_stream_append_locked(earlier, (KerbOp){ .kind = KERB_OP_SIGNAL, .marker = m });
    kerb_stream_append_locked(later, (KerbOp){ .kind = KERB_OP_WAIT, .marker = m });
}

/* The legacy stream waits for all blocking streams, and they for it. */
void kerb_stream_order_locked(KerbStream *stream)
{
    const int device = stream->held.device;
    if (stream->legacy) {
        for (KerbStream *s = kerb_machine.streams; s; s = s->next_stream)
            if (s != stream && s->blocking && s->held.device == device)
                kerb_stream_after_locked(stream, s);
    } else if (stream->blocking && kerb_legacy[device]) {
        kerb_stream_after_locked(stream, kerb_legacy[device]);
    }
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *out, unsigned flags, int priority)
{
    const cudaError_t code = kerb_call(__func__, 0);
    (void)priority;
    if (out)
        *out = NULL;
    if (code != cudaSuccess)
        return code;
    if (!out || flags > cudaStreamNonBlocking)
        return kerb_fail_with(cudaErrorInvalidValue);
    kerb_machine_lock();
    KerbStream *s = kerb_stream_new_locked(flags != cudaStreamNonBlocking);
    kerb_machine_unlock();
    *out = (cudaStream_t)s;
    return s ? cudaSuccess : kerb_fail_with(cudaErrorMemoryAllocation);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags)
{
    return cudaStreamCreateWithPriority(out, flags, 0);
}

cudaError_t cudaStreamCreate(cudaStream_t *out)
{
    return cudaStreamCreateWithPriority(out, cudaStreamDefault, 0);
}

cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest)
{
    const cudaError_t code = kerb_call(__func__, 0);
    if (least)
        *least = 0;
    if (greatest)
        *greatest = -5;
    return code;
}

/* Unlike CUDA's it waits for what is queued. */
cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    const cudaError_t code = kerb_call(__func__, 0);
    kerb_machine_lock();
    KerbStream *s = stream ? kerb_held_find_locked(stream, KERB_HELD_STREAM, __func__) : NULL;
    if (!s || s->legacy) {
        kerb_machine_unlock();
        return kerb_fail_with(cudaErrorInvalidResourceHandle);
    }
    kerb_capture_abandon_locked(s);
    kerb_held_remove_locked(&s->held);
    s->closing = true;
    pthread_cond_signal(&s->wake);
    kerb_machine_unlock();
    pthread_join(s->thread, NULL);
    kerb_machine_lock();
    while (s->waiters)
        pthread_cond_wait(&kerb_machine.changed, &kerb_machine.lock);
    KerbStream **at = &kerb_machine.streams;
    while (*at != s)
        at = &(*at)->next_stream;
    *at = s->next_stream;
    kerb_machine_unlock();
    pthread_cond_destroy(&s->wake);
    free(s->capture_tail.nodes);
    free(s);
    return code;
}

/* Takes `work`. */
static cudaError_t kerb_stream_push_locked(cudaStream_t stream, KerbWork *work, bool wait)
{
    cudaError_t code;
    KerbStream *s = kerb_stream_find_locked(stream, "a launch", &code);
    if (!s)
        return code;
    if (s->held.device != kerb_current_device()) {
        kerb_misuse_locked("work of device %d for a stream of device %d: cudaSetDevice() is each thread's own", kerb_current_device(), s->held.device);
        return cudaErrorInvalidResourceHandle;
    }
    if (s->capture) {
        if (wait) {
            kerb_capture_spoil_locked(s, cudaErrorStreamCaptureInvalidated);
            return cudaErrorStreamCaptureUnsupported;
        }
        work->refs++;
        return kerb_capture_add_locked(s, (KerbGraphNode){ .kind = KERB_NODE_WORK, .work = work });
    }
    kerb_stream_order_locked(s);
    work->refs++;
    kerb_stream_append_locked(s, (KerbOp){ .kind = KERB_OP_WORK, .work = work });
    if (wait)
        kerb_stream_drain_locked(s);
    return wait ? kerb_machine.lost : cudaSuccess;
}

cudaError_t kerb_stream_push(cudaStream_t stream, KerbWork *work, bool wait)
{
    kerb_machine_lock();
    const cudaError_t code = work ? kerb_stream_push_locked(stream, work, wait) : cudaErrorMemoryAllocation;
    kerb_work_unref_locked(work);
    kerb_machine_unlock();
    return kerb_fail_with(code);
}

cudaError_t kerb_standin_enqueue(cudaStream_t stream, void (*fn)(const void *args), const void *args, size_t bytes)
{
    const cudaError_t code = kerb_call("cudaLaunchKernel", 0);
    return code != cudaSuccess ? code : kerb_stream_push(stream, kerb_work_new(fn, NULL, args, bytes), false);
}

typedef struct KerbHostCall {
    cudaHostFn_t fn;
    void *user;
} KerbHostCall;

static void kerb_host_call_run(const void *args)
{
    const KerbHostCall *call = args;
    call->fn(call->user);
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t fn, void *user)
{
    const cudaError_t code = kerb_call(__func__, 0);
    if (code != cudaSuccess)
        return code;
    KerbWork *work = kerb_work_new(kerb_host_call_run, NULL, &(KerbHostCall){ fn, user }, sizeof(KerbHostCall));
    if (work)
        work->host = true;
    return kerb_stream_push(stream, work, false);
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    cudaError_t code = kerb_call(__func__, 0);
    if (code != cudaSuccess)
        return code;
    kerb_machine_lock();
    KerbStream *s = kerb_stream_find_locked(stream, __func__, &code);
    if (s && s->capture) {
        kerb_capture_spoil_locked(s, cudaErrorStreamCaptureInvalidated);
        code = cudaErrorStreamCaptureUnsupported;
    } else if (s) {
        kerb_stream_drain_locked(s);
        code = kerb_machine.lost;
    }
    kerb_machine_unlock();
    return kerb_fail_with(code);
}

cudaError_t cudaStreamQuery(cudaStream_t stream)
{
    cudaError_t code = kerb_call(__func__, 0);
    if (code != cudaSuccess)
        return code;
    kerb_machine_lock();
    KerbStream *s = kerb_stream_find_locked(stream, __func__, &code);
    if (s)
        code = s->finished < s->queued ? cudaErrorNotReady : kerb_machine.lost;
    kerb_machine_unlock();
    return kerb_fail_with(code);
}

cudaError_t cudaDeviceSynchronize(void)
{
    cudaError_t code = kerb_call(__func__, KERB_CALL_UNSAFE);
    if (code != cudaSuccess)
        return code;
    kerb_machine_lock();
    kerb_device_drain_locked(kerb_current_device());
    code = kerb_machine.lost;
    kerb_machine_unlock();
    return kerb_fail_with(code);
}

cudaError_t cudaStreamGetFlags(cudaStream_t stream, unsigned *flags)
{
    cudaError_t code = kerb_call(__func__, 0);
    if (code != cudaSuccess)
        return code;
    kerb_machine_lock();
    const KerbStream *s = kerb_stream_find_locked(stream, __func__, &code);
    if (s && flags) {
        *flags = s->blocking ? cudaStreamDefault : cudaStreamNonBlocking;
        code = cudaSuccess;
    }
    kerb_machine_unlock();
    return kerb_fail_with(code);
}

/* ---------------------------------------------------------------------------------------------------------------- events */

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags)
{
    const cudaError_t code = kerb_call(__func__, 0);
    if (out)
        *out = NULL;
    if (code != cudaSuccess)
        return code;
    KerbEvent *e = out ? calloc(1, sizeof *e) : NULL;
    if (!e)
        return kerb_fail_with(out ? cudaErrorMemoryAllocation : cudaErrorInvalidValue);
    e->flags = flags;
    kerb_machine_lock();
    kerb_held_add_locked(&e->held, KERB_HELD_EVENT);
    kerb_machine_unlock();
    *out = (cudaEvent_t)e;
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *out)
{
    return cudaEventCreateWithFlags(out, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    const cudaError_t code = kerb_call(__func__, 0);
    kerb_machine_lock();
    KerbEvent *e = kerb_held_find_locked(event, KERB_HELD_EVENT, __func__);
    if (e) {
        kerb_held_remove_locked(&e->held);
        kerb_marker_unref_locked(e->marker);
        free(e->capture_tail.nodes);
        free(e);
    }
    kerb_machine_unlock();
    return e ? code : kerb_fail_with(cudaErrorInvalidResourceHandle);
}

static cudaError_t kerb_event_record_locked(cudaEvent_t event, cudaStream_t stream, bool external)
{
    cudaError_t code;
    KerbStream *s = kerb_stream_find_locked(stream, "cudaEventRecord", &code);
    KerbEvent *e = s ? kerb_held_find_locked(event, KERB_HELD_EVENT, "cudaEventRecord") : NULL;
    if (!s || !e)
        return s ? cudaErrorInvalidResourceHandle : code;
    if (s->held.device != e->held.device) {
        kerb_misuse_locked("an event of device %d is recorded in a stream of device %d", e->held.device, s->held.device);
        return cudaErrorInvalidResourceHandle;
    }
    if (s->capture && external)
        return kerb_capture_add_locked(s, (KerbGraphNode){ .kind = KERB_NODE_RECORD, .event = e });
    if (s->capture) {
        kerb_capture_mark_locked(s, e);
        return cudaSuccess;
    }
    KerbMarker *m = kerb_marker_new();
    if (!m)
        return cudaErrorMemoryAllocation;
    kerb_stream_order_locked(s);
    kerb_marker_unref_locked(e->marker);
    e->marker = m;
    e->capture_id = 0;
    m->refs = 2;
    kerb_stream_append_locked(s, (KerbOp){ .kind = KERB_OP_SIGNAL, .marker = m });
    return cudaSuccess;
}

static cudaError_t kerb_event_record(cudaEvent_t event, cudaStream_t stream, unsigned flags, const char *name)
{
    cudaError_t code = kerb_call(name, 0);
    if (code != cudaSuccess)
        return code;
    kerb_machine_lock();
    code = flags > cudaEventRecordExternal ? cudaErrorInvalidValue : kerb_event_record_locked(event, stream, flags == cudaEventRecordExternal);
    kerb_machine_unlock();
    return kerb_fail_with(code);
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    return kerb_event_record(event, stream, cudaEventRecordDefault, __func__);
}

cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned flags)
{
    return kerb_event_record(event, stream, flags, __func__);
}

static cudaError_t kerb_stream_wait_event_locked(cudaStream_t stream, cudaEvent_t event, bool external)
{
    cudaError_t code;
    KerbStream *s = kerb_stream_find_locked(stream, "cudaStreamWaitEvent", &code);
    KerbEvent *e = s ? kerb_held_find_locked(event, KERB_HELD_EVENT, "cudaStreamWaitEvent") : NULL;
    if (!s || !e)
        return s ? cudaErrorInvalidResourceHandle : code;
    if (s->capture && external)
        return kerb_capture_add_locked(s, (KerbGraphNode){ .kind = KERB_NODE_WAIT, .event = e });
    if (e->capture_id || s->capture)
        return kerb_capture_join_locked(s, e);
    if (!e->marker || e->marker->done)
        return cudaSuccess;
    kerb_stream_order_locked(s);
    e->marker->refs++;
    kerb_stream_append_locked(s, (KerbOp){ .kind = KERB_OP_WAIT, .marker = e->marker });
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags)
{
    cudaError_t code = kerb_call(__func__, 0);
    if (code != cudaSuccess)
        return code;
    kerb_machine_lock();
    code = flags > cudaEventWaitExternal ? cudaErrorInvalidValue : kerb_stream_wait_event_locked(stream, event, flags == cudaEventWaitExternal);
    kerb_machine_unlock();
    return kerb_fail_with(code);
}

static cudaError_t kerb_event_look(cudaEvent_t event, bool wait, const char *name)
{
    cudaError_t code = kerb_call(name, KERB_CALL_UNSAFE);
    if (code != cudaSuccess)
        return code;
    kerb_machine_lock();
    KerbEvent *e = kerb_held_find_locked(event, KERB_HELD_EVENT, name);
    if (!e) {
        code = cudaErrorInvalidResourceHandle;
    } else if (e->capture_id) {
        code = cudaErrorCapturedEvent;
    } else if (e->marker) {
        KerbMarker *m = e->marker; /* the event may be recorded again meanwhile: this record is what is waited for */
        m->refs++;
        if (wait)
            kerb_marker_wait_locked(m);
        code = !m->done ? cudaErrorNotReady : kerb_machine.lost;
        kerb_marker_unref_locked(m);
    }
    kerb_machine_unlock();
    return kerb_fail_with(code);
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
    return kerb_event_look(event, false, __func__);
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    return kerb_event_look(event, true, __func__);
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t end)
{
    cudaError_t code = kerb_call("cudaEventElapsedTime", 0);
    if (code != cudaSuccess)
        return code;
    kerb_machine_lock();
    const KerbEvent *a = kerb_held_find_locked(start, KERB_HELD_EVENT, "cudaEventElapsedTime");
    const KerbEvent *b = kerb_held_find_locked(end, KERB_HELD_EVENT, "cudaEventElapsedTime");
    if (!ms || !a || !b || !a->marker || !b->marker || ((a->flags | b->flags) & cudaEventDisableTiming))
        code = ms ? cudaErrorInvalidResourceHandle : cudaErrorInvalidValue;
    else if (!a->marker->done || !b->marker->done)
        code = cudaErrorNotReady;
    else
        *ms = (float)((double)(b->marker->time_ns - a->marker->time_ns) * 1e-6);
    kerb_machine_unlock();
    return kerb_fail_with(code);
}
