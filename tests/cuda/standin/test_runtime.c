/* SPDX-License-Identifier: MIT */
/* The stand-in itself: memory that host code can't touch, order in and between streams, captures, failures on demand, what it finds leaked. */
#include "clean.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char text[8192];

static int begin(void **state)
{
    (void)state;
    kerb_standin_configure("");
    cudaSetDevice(0);
    return 0;
}

/* --------------------------------------------------------------------------------------------------------------- memory */

typedef struct AddArgs {
    int *to;
    const int *from;
    int n, add;
} AddArgs;

static void add_kernel(const void *args)
{
    const AddArgs *a = args;
    for (int i = 0; i < a->n; i++)
        a->to[i] = a->from[i] + a->add;
}

static void *alloc(size_t bytes)
{
    void *p;
    assert_int_equal(cudaMalloc(&p, bytes), cudaSuccess);
    return p;
}

static void *pinned(size_t bytes)
{
    void *p;
    assert_int_equal(cudaHostAlloc(&p, bytes, cudaHostAllocMapped), cudaSuccess);
    assert_int_equal((uintptr_t)p % 4096, 0);
    return p;
}

static cudaStream_t stream_new(void)
{
    cudaStream_t s;
    assert_int_equal(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking), cudaSuccess);
    return s;
}

static cudaEvent_t event_new(void)
{
    cudaEvent_t e;
    assert_int_equal(cudaEventCreate(&e), cudaSuccess);
    return e;
}

static void test_copies_and_kernels(void **state)
{
    (void)state;
    enum { N = 1000 };
    int *device = alloc(N * sizeof(int)), *host = pinned(N * sizeof(int)), *as_seen;
    cudaStream_t s = stream_new();
    for (int i = 0; i < N; i++)
        host[i] = i;
    assert_int_equal(cudaHostGetDevicePointer((void **)&as_seen, host, 0), cudaSuccess);
    assert_ptr_not_equal(as_seen, host);
    assert_int_equal(cudaMemcpyAsync(device, host, N * sizeof(int), cudaMemcpyHostToDevice, s), cudaSuccess);
    AddArgs args = { device, device, N, 5 };
    assert_int_equal(kerb_standin_enqueue(s, add_kernel, &args, sizeof args), cudaSuccess);
    args = (AddArgs){ as_seen, device, N, 2 };
    assert_int_equal(kerb_standin_enqueue(s, add_kernel, &args, sizeof args), cudaSuccess);
    args = (AddArgs){ 0 }; /* it was copied */
    assert_int_equal(cudaStreamSynchronize(s), cudaSuccess);
    for (int i = 0; i < N; i++)
        assert_int_equal(host[i], i + 7);
    int plain[4] = { 0 };
    assert_int_equal(cudaMemcpy2D(plain, 2 * sizeof(int), device + 10, 100 * sizeof(int), 2 * sizeof(int), 2, cudaMemcpyDeviceToHost), cudaSuccess);
    assert_int_equal(plain[0], 15);
    assert_int_equal(plain[3], 116);
    assert_int_equal(cudaMemset(device, 0, N * sizeof(int)), cudaSuccess);
    assert_int_equal(cudaMemcpy(plain, device, sizeof plain, cudaMemcpyDefault), cudaSuccess);
    assert_int_equal(plain[3], 0);
    struct cudaPointerAttributes what;
    assert_int_equal(cudaPointerGetAttributes(&what, host + 3), cudaSuccess);
    assert_int_equal(what.type, cudaMemoryTypeHost);
    assert_ptr_equal(what.devicePointer, as_seen + 3);
    assert_int_equal(cudaPointerGetAttributes(&what, plain), cudaSuccess);
    assert_int_equal(what.type, cudaMemoryTypeUnregistered);
    cudaStreamDestroy(s);
    cudaFreeHost(host);
    cudaFree(device);
}

/* Pageable memory is read before the call returns, however late the copy is done. */
static void test_pageable(void **state)
{
    (void)state;
    kerb_standin_configure("delay=2ms seed=3");
    int *device = alloc(sizeof(int));
    cudaStream_t s = stream_new();
    for (int i = 0; i < 20; i++) {
        int value = i, back = -1;
        assert_int_equal(cudaMemcpyAsync(device, &value, sizeof value, cudaMemcpyHostToDevice, s), cudaSuccess);
        value = -2;
        assert_int_equal(cudaMemcpyAsync(&back, device, sizeof back, cudaMemcpyDeviceToHost, s), cudaSuccess);
        assert_int_equal(back, i);
        assert_int_equal(value, -2);
    }
    cudaStreamDestroy(s);
    cudaFree(device);
}

static void write_past(const void *args)
{
    (*(unsigned char *const *)args)[10] = 1;
}

static void test_misuses_are_found(void **state)
{
    (void)state;
    unsigned char *device = alloc(10), buffer[20] = { 0 };
    assert_int_equal(cudaMemcpy(device, buffer, 11, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
    assert_int_equal(cudaMemcpy(buffer, device, 10, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
    assert_int_equal(cudaMemset(buffer, 0, 1), cudaErrorInvalidValue);
    cudaStream_t s = stream_new();
    assert_int_equal(kerb_standin_enqueue(s, write_past, &device, sizeof device), cudaSuccess);
    assert_int_equal(cudaStreamDestroy(s), cudaSuccess);
    assert_int_equal(cudaStreamSynchronize(s), cudaErrorInvalidResourceHandle);
    assert_int_equal(cudaFree(device), cudaSuccess);
    assert_int_equal(cudaFree(device), cudaErrorInvalidValue);
    assert_int_equal(kerb_standin_misuses(text, sizeof text), 6);
    assert_non_null(strstr(text, "was written at 10"));
    kerb_standin_configure("");
}

static int child_touches(void *pointer)
{
    const pid_t child = fork();
    if (!child) {
        signal(SIGSEGV, SIG_DFL); /* not cmocka's, nor a sanitizer's */
        *(volatile char *)pointer = 1;
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    return status;
}

static void test_device_memory_is_closed(void **state)
{
    (void)state;
    char *device = alloc(4096), *host = pinned(64), *as_seen;
    cudaHostGetDevicePointer((void **)&as_seen, host, 0);
    assert_int_equal(child_touches(host), 0);
    assert_int_not_equal(child_touches(device + 4096), 0);
    if (kerb_standin_guards()) {
        assert_int_not_equal(child_touches(device), 0);
        assert_int_not_equal(child_touches(as_seen), 0);
    }
    cudaFreeHost(host);
    cudaFree(device);
    assert_int_not_equal(child_touches(device), 0);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    kerb_standin_configure("memory=1M");
    void *a = alloc(1 << 19), *b;
    assert_int_equal(cudaMalloc(&b, (1 << 19) + 1), cudaErrorMemoryAllocation);
    assert_null(b);
    assert_int_equal(cudaGetLastError(), cudaErrorMemoryAllocation);
    assert_int_equal(cudaGetLastError(), cudaSuccess);
    size_t available, total;
    assert_int_equal(cudaMemGetInfo(&available, &total), cudaSuccess);
    assert_int_equal(available, 1 << 19);
    assert_int_equal(total, 1 << 20);
    cudaFree(a);
}

/* ---------------------------------------------------------------------------------------------------------------- order */

typedef struct AppendArgs {
    int *count, *list;
    int value;
} AppendArgs;

static void append_kernel(const void *args)
{
    const AppendArgs *a = args;
    a->list[(*a->count)++] = a->value;
}

static void test_streams_and_events(void **state)
{
    (void)state;
    enum { N = 60 };
    kerb_standin_configure("delay=300us seed=11");
    static int count, list[N];
    count = 0;
    cudaStream_t s[3];
    cudaEvent_t e[3];
    for (int i = 0; i < 3; i++) {
        s[i] = stream_new();
        e[i] = event_new();
        assert_int_equal(cudaEventQuery(e[i]), cudaSuccess); /* never recorded */
    }
    for (int i = 0; i < N; i++) { /* round and round, each after the one before; events are recorded anew while others still wait for them */
        if (i)
            assert_int_equal(cudaStreamWaitEvent(s[i % 3], e[(i - 1) % 3], 0), cudaSuccess);
        const AppendArgs args = { &count, list, i };
        assert_int_equal(kerb_standin_enqueue(s[i % 3], append_kernel, &args, sizeof args), cudaSuccess);
        assert_int_equal(cudaEventRecord(e[i % 3], s[i % 3]), cudaSuccess);
    }
    assert_int_equal(cudaEventSynchronize(e[(N - 1) % 3]), cudaSuccess);
    assert_int_equal(count, N);
    for (int i = 0; i < N; i++)
        assert_int_equal(list[i], i);
    float ms = -1;
    assert_int_equal(cudaEventElapsedTime(&ms, e[(N - 2) % 3], e[(N - 1) % 3]), cudaSuccess);
    assert_true(ms >= 0);
    for (int i = 0; i < 3; i++) {
        cudaEventDestroy(e[i]);
        cudaStreamDestroy(s[i]);
    }
}

static void count_call(void *user)
{
    ++*(int *)user;
}

static void test_legacy_stream_and_host_functions(void **state)
{
    (void)state;
    kerb_standin_configure("delay=1ms seed=2");
    int calls = 0, *device = alloc(sizeof(int)), back;
    cudaStream_t s;
    assert_int_equal(cudaStreamCreate(&s), cudaSuccess); /* one that the legacy stream waits for */
    assert_int_equal(cudaMemset(device, 0, sizeof(int)), cudaSuccess);
    for (int i = 1; i <= 20; i++) {
        const AddArgs args = { device, device, 1, 1 };
        assert_int_equal(kerb_standin_enqueue(s, add_kernel, &args, sizeof args), cudaSuccess);
        assert_int_equal(cudaLaunchHostFunc(s, count_call, &calls), cudaSuccess);
        assert_int_equal(cudaMemcpy(&back, device, sizeof back, cudaMemcpyDeviceToHost), cudaSuccess);
        assert_int_equal(back, i);
        assert_int_equal(calls, i);
    }
    assert_int_equal(cudaStreamQuery(s), cudaSuccess);
    cudaStreamDestroy(s);
    cudaFree(device);
}

/* Another thread's current device is 0 until it says otherwise. */
static void test_two_devices(void **state)
{
    (void)state;
    kerb_standin_configure("devices=2");
    assert_int_equal(cudaSetDevice(2), cudaErrorInvalidDevice);
    assert_int_equal(cudaSetDevice(1), cudaSuccess);
    cudaStream_t s = stream_new();
    int *device = alloc(sizeof(int));
    const AddArgs args = { device, device, 1, 1 };
    assert_int_equal(cudaSetDevice(0), cudaSuccess);
    assert_int_equal(kerb_standin_enqueue(s, add_kernel, &args, sizeof args), cudaErrorInvalidResourceHandle);
    assert_int_equal(cudaSetDevice(1), cudaSuccess);
    assert_int_equal(kerb_standin_enqueue(s, add_kernel, &args, sizeof args), cudaSuccess);
    assert_int_equal(kerb_standin_misuses(NULL, 0), 1);
    cudaStreamDestroy(s);
    cudaFree(device);
    kerb_standin_configure("");
}

/* --------------------------------------------------------------------------------------------------------------- capture */

/* a forks b and joins it again; `joined` false: it forgets to. */
static cudaError_t capture(cudaStream_t a, cudaStream_t b, cudaEvent_t fork_at, cudaEvent_t join_at, AppendArgs args, bool joined, cudaGraph_t *graph)
{
    assert_int_equal(cudaStreamBeginCapture(a, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    const int values[] = { 0, 1, 2, 3 };
    for (int i = 0; i < 4; i++) {
        args.value = values[i];
        if (i == 1) {
            assert_int_equal(cudaEventRecord(fork_at, a), cudaSuccess);
            assert_int_equal(cudaStreamWaitEvent(b, fork_at, 0), cudaSuccess);
        }
        if (i == 3 && joined) {
            assert_int_equal(cudaEventRecord(join_at, b), cudaSuccess);
            assert_int_equal(cudaStreamWaitEvent(a, join_at, 0), cudaSuccess);
        }
        assert_int_equal(kerb_standin_enqueue(i == 1 ? b : a, append_kernel, &args, sizeof args), cudaSuccess);
    }
    return cudaStreamEndCapture(a, graph);
}

static void test_capture(void **state)
{
    (void)state;
    static int count, list[400];
    cudaStream_t a = stream_new(), b = stream_new();
    cudaEvent_t fork_at = event_new(), join_at = event_new(), timed = event_new();
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    count = 0;
    assert_int_equal(capture(a, b, fork_at, join_at, (AppendArgs){ &count, list, 0 }, false, &graph), cudaErrorStreamCaptureUnjoined);
    assert_null(graph);
    assert_int_equal(capture(a, b, fork_at, join_at, (AppendArgs){ &count, list, 0 }, true, &graph), cudaSuccess);
    assert_int_equal(count, 0);
    assert_int_equal(cudaEventQuery(fork_at), cudaErrorCapturedEvent);
    size_t nodes;
    assert_int_equal(cudaGraphGetNodes(graph, NULL, &nodes), cudaSuccess);
    assert_int_equal(nodes, 4);
    assert_int_equal(cudaGraphInstantiate(&exec, graph, 0), cudaSuccess);
    assert_int_equal(cudaGraphDestroy(graph), cudaSuccess);
    for (int i = 0; i < 50; i++) { /* in two streams: one exec never overlaps itself */
        assert_int_equal(cudaGraphLaunch(exec, i % 2 ? a : b), cudaSuccess);
    }
    assert_int_equal(cudaEventRecord(timed, a), cudaSuccess);
    assert_int_equal(cudaDeviceSynchronize(), cudaSuccess);
    assert_int_equal(cudaGraphExecDestroy(exec), cudaSuccess);
    int first = 0;
    assert_int_equal(count, 200);
    for (int i = 0; i < 200; i += 4) {
        assert_int_equal(list[i], 0);
        assert_int_equal(list[i + 1] + list[i + 2], 3); /* 1 and 2 in either order */
        assert_int_equal(list[i + 3], 3);
        first += list[i + 1] == 1;
    }
    assert_in_range(first, 1, 49); /* and both orders come up */
    cudaEventDestroy(fork_at);
    cudaEventDestroy(join_at);
    cudaEventDestroy(timed);
    cudaStreamDestroy(a);
    cudaStreamDestroy(b);
}

static void test_capture_forbids(void **state)
{
    (void)state;
    cudaStream_t s = stream_new();
    cudaGraph_t graph;
    void *p;
    assert_int_equal(cudaStreamBeginCapture(s, cudaStreamCaptureModeGlobal), cudaSuccess);
    assert_int_equal(cudaMalloc(&p, 16), cudaErrorStreamCaptureUnsupported);
    assert_int_equal(cudaStreamEndCapture(s, &graph), cudaErrorStreamCaptureInvalidated);
    assert_int_equal(cudaStreamBeginCapture(s, cudaStreamCaptureModeRelaxed), cudaSuccess);
    assert_int_equal(cudaMalloc(&p, 16), cudaSuccess);
    assert_int_equal(cudaFree(p), cudaSuccess);
    assert_int_equal(cudaStreamSynchronize(s), cudaErrorStreamCaptureUnsupported);
    assert_int_equal(cudaStreamEndCapture(s, &graph), cudaErrorStreamCaptureInvalidated);
    assert_int_equal(cudaStreamEndCapture(s, &graph), cudaErrorIllegalState);
    kerb_standin_configure("nocapture");
    assert_int_equal(cudaStreamBeginCapture(s, cudaStreamCaptureModeRelaxed), cudaErrorStreamCaptureUnsupported);
    assert_int_equal(cudaStreamDestroy(s), cudaSuccess);
}

/* Events that are recorded by the graph itself: times of a launch's parts. */
static void test_events_in_graphs(void **state)
{
    (void)state;
    static int count, list[8];
    count = 0;
    cudaStream_t s = stream_new();
    cudaEvent_t start = event_new(), end = event_new();
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    const AppendArgs args = { &count, list, 1 };
    assert_int_equal(cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    assert_int_equal(cudaEventRecordWithFlags(start, s, cudaEventRecordExternal), cudaSuccess);
    assert_int_equal(kerb_standin_enqueue(s, append_kernel, &args, sizeof args), cudaSuccess);
    assert_int_equal(cudaEventRecordWithFlags(end, s, cudaEventRecordExternal), cudaSuccess);
    assert_int_equal(cudaStreamEndCapture(s, &graph), cudaSuccess);
    assert_int_equal(cudaGraphInstantiate(&exec, graph, 0), cudaSuccess);
    float ms = -1;
    assert_int_equal(cudaEventElapsedTime(&ms, start, end), cudaErrorInvalidResourceHandle);
    assert_int_equal(cudaGraphLaunch(exec, s), cudaSuccess);
    assert_int_equal(cudaEventSynchronize(end), cudaSuccess);
    assert_int_equal(count, 1);
    assert_int_equal(cudaEventElapsedTime(&ms, start, end), cudaSuccess);
    assert_true(ms >= 0);
    cudaGraphExecDestroy(exec);
    cudaGraphDestroy(graph);
    cudaEventDestroy(start);
    cudaEventDestroy(end);
    cudaStreamDestroy(s);
}

/* --------------------------------------------------------------------------------------------------------------- failures */

static void test_nth_call(void **state)
{
    (void)state;
    void *p;
    kerb_standin_configure("fail=2 code=2");
    assert_int_equal(cudaMalloc(&p, 16), cudaSuccess);
    assert_int_equal(cudaFree(p), cudaErrorMemoryAllocation); /* and is freed */
    assert_int_equal(kerb_standin_leaks(NULL, 0), 0);
    assert_int_equal(cudaMalloc(&p, 16), cudaSuccess);
    assert_int_equal(kerb_standin_leaks(text, sizeof text), 1);
    assert_string_equal(text, "device block made by call 3, 16 bytes\n");
    assert_int_equal(cudaFree(p), cudaSuccess);
    assert_int_equal(kerb_standin_calls(NULL), 4);
    assert_int_equal(kerb_standin_calls("cudaMalloc"), 2);
    kerb_standin_configure("fail=2 only=cudaMalloc code=1 sticky");
    assert_int_equal(cudaMalloc(&p, 16), cudaSuccess);
    assert_int_equal(cudaFree(p), cudaSuccess);
    for (int i = 0; i < 2; i++)
        assert_int_equal(cudaMalloc(&p, 16), cudaErrorInvalidValue);
}

/* A lost context: every call says so, nothing hangs, what is released is gone. */
static void test_lost_device(void **state)
{
    (void)state;
    static int count, list[8];
    count = 0;
    kerb_standin_configure("failop=3 code=700");
    cudaStream_t s = stream_new();
    cudaEvent_t e = event_new();
    const AppendArgs args = { &count, list, 1 };
    for (int i = 0; i < 5; i++)
        kerb_standin_enqueue(s, append_kernel, &args, sizeof args);
    cudaEventRecord(e, s);
    assert_int_equal(cudaStreamSynchronize(s), cudaErrorIllegalAddress);
    assert_int_equal(cudaEventSynchronize(e), cudaErrorIllegalAddress);
    assert_int_equal(cudaGetLastError(), cudaErrorIllegalAddress);
    assert_int_equal(cudaGetLastError(), cudaErrorIllegalAddress);
    assert_int_equal(count, 2);
    assert_int_equal(kerb_standin_enqueue(s, append_kernel, &args, sizeof args), cudaErrorIllegalAddress);
    assert_int_equal(cudaEventDestroy(e), cudaErrorIllegalAddress);
    assert_int_equal(cudaStreamDestroy(s), cudaErrorIllegalAddress);
}

static void test_machines(void **state)
{
    (void)state;
    int n = -1, value = -1;
    kerb_standin_configure("nodriver");
    assert_int_equal(cudaGetDeviceCount(&n), cudaErrorInsufficientDriver);
    assert_int_equal(n, 0);
    assert_int_equal(cudaDriverGetVersion(&value), cudaSuccess);
    assert_int_equal(value, 0);
    kerb_standin_configure("devices=0");
    assert_int_equal(cudaGetDeviceCount(&n), cudaErrorNoDevice);
    kerb_standin_configure("sm=87, integrated, driver=12060");
    assert_int_equal(cudaDeviceGetAttribute(&value, cudaDevAttrIntegrated, 0), cudaSuccess);
    assert_int_equal(value, 1);
    assert_int_equal(cudaDeviceGetAttribute(&value, cudaDevAttrComputeCapabilityMinor, 0), cudaSuccess);
    assert_int_equal(value, 7);
    assert_string_equal(cudaGetErrorName(cudaErrorIllegalAddress), "cudaErrorIllegalAddress");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_copies_and_kernels, begin, kerb_standin_is_clean),
        cmocka_unit_test_setup_teardown(test_pageable, begin, kerb_standin_is_clean),
        cmocka_unit_test_setup_teardown(test_misuses_are_found, begin, kerb_standin_is_clean),
        cmocka_unit_test_setup_teardown(test_device_memory_is_closed, begin, kerb_standin_is_clean),
        cmocka_unit_test_setup_teardown(test_out_of_memory, begin, kerb_standin_is_clean),
        cmocka_unit_test_setup_teardown(test_streams_and_events, begin, kerb_standin_is_clean),
        cmocka_unit_test_setup_teardown(test_legacy_stream_and_host_functions, begin, kerb_standin_is_clean),
        cmocka_unit_test_setup_teardown(test_two_devices, begin, kerb_standin_is_clean),
        cmocka_unit_test_setup_teardown(test_capture, begin, kerb_standin_is_clean),
        cmocka_unit_test_setup_teardown(test_capture_forbids, begin, kerb_standin_is_clean),
        cmocka_unit_test_setup_teardown(test_events_in_graphs, begin, kerb_standin_is_clean),
        cmocka_unit_test_setup_teardown(test_nth_call, begin, kerb_standin_is_clean),
        cmocka_unit_test_setup_teardown(test_lost_device, begin, kerb_standin_is_clean),
        cmocka_unit_test_setup_teardown(test_machines, begin, kerb_standin_is_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
