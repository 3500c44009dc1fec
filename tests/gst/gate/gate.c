/* SPDX-License-Identifier: MIT */
/* See gate.h. */
#include "gate.h"

#include "net/ref/ref.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int begun, ended, allowed, is_open = 1;
static KerbStatus fails;

static void gate_reset(int open)
{
    pthread_mutex_lock(&mutex);
    begun = ended = allowed = 0;
    is_open = open;
    fails = KERB_OK;
    pthread_cond_broadcast(&cond);
    pthread_mutex_unlock(&mutex);
}

static int gate_entered(int n, int ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000;
    pthread_mutex_lock(&mutex);
    for (int late = 0; begun < n && !late;) late = pthread_cond_timedwait(&cond, &mutex, &until);
    int there = begun >= n;
    pthread_mutex_unlock(&mutex);
    return there;
}

static void gate_let(int n)
{
    pthread_mutex_lock(&mutex);
    allowed += n;
    pthread_cond_broadcast(&cond);
    pthread_mutex_unlock(&mutex);
}

static void gate_refuse(KerbStatus status)
{
    pthread_mutex_lock(&mutex);
    fails = status;
    pthread_mutex_unlock(&mutex);
}

static KerbStatus gate_run(KerbNet *net, KerbError *error)
{
    pthread_mutex_lock(&mutex);
    begun++;
    pthread_cond_broadcast(&cond);
    while (!is_open && ended >= allowed) pthread_cond_wait(&cond, &mutex);
    ended++;
    KerbStatus status = fails;
    pthread_mutex_unlock(&mutex);
    if (status == KERB_OK) return kerb_backend_ref.run(net, error);
    error->status = status;
    snprintf(error->message, sizeof error->message, "the gate fails this run");
    return status;
}

__attribute__((visibility("default"))) const KerbBackend *kerb_backend(uint32_t abi, const KerbLogSink *sink);
__attribute__((visibility("default"))) const Gate kerb_gate = {gate_reset, gate_entered, gate_let, gate_refuse};

const KerbBackend *kerb_backend(uint32_t abi, const KerbLogSink *sink)
{
    static KerbBackend gate;
    (void)sink;
    gate = kerb_backend_ref;
    gate.name = "cpu";
    gate.run = gate_run;
    return abi == KERB_BACKEND_ABI ? &gate : NULL;
}
