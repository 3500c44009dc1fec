/* SPDX-License-Identifier: MIT */
/* What every entry point of the stand-in goes through: the configuration, the count of calls and the one that fails, what is alive, what was misused.
 * Does no CUDA itself. */
#include "machine.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { KERB_BUCKETS = 4096, KERB_NAMES = 128, KERB_MISUSES = 64, KERB_EXIT_LEAKS = 86 };

KerbMachine kerb_machine = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
_Thread_local cudaError_t kerb_last_error;
_Thread_local bool kerb_in_host_function;
static _Thread_local uint64_t kerb_call_random;

static KerbHeld *kerb_buckets[KERB_BUCKETS];
static struct {
    const char *name;
    uint64_t calls;
} kerb_names[KERB_NAMES];
static char kerb_misuse_lines[KERB_MISUSES][192];
static int kerb_n_misuses;
static pthread_once_t kerb_configured = PTHREAD_ONCE_INIT;

int64_t kerb_machine_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

uint64_t kerb_random(uint64_t *state) /* xorshift64* */
{
    uint64_t x = *state ? *state : 88172645463325252u;
    x ^= x >> 12, x ^= x << 25, x ^= x >> 27;
    *state = x;
    return x * 2685821657736338717u;
}

/* One wait in four, so that long ones are among them although all together stay affordable. */
void kerb_random_wait(uint64_t *state, int most_us)
{
    if (most_us <= 0 || kerb_random(state) % 4)
        return;
    const long us = (long)(kerb_random(state) % (uint64_t)most_us) + 1;
    nanosleep(&(struct timespec){ .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000 }, NULL);
}

/* ---------------------------------------------------------------------------------------------------- configuration */

static void kerb_config_die(const char *word)
{
    fprintf(stderr, "kerb-standin: KERB_STANDIN has '%s', which is not a word of it (tests/cuda/standin/standin.h)\n", word);
    abort();
}

static uint64_t kerb_config_number(const char *word, const char *text)
{
    char *end;
    errno = 0;
    uint64_t value = strtoull(text, &end, 10);
    if (end == text || errno)
        kerb_config_die(word);
    if (!strcmp(end, "G"))
        value <<= 30;
    else if (!strcmp(end, "M"))
        value <<= 20;
    else if (!strcmp(end, "K"))
        value <<= 10;
    else if (!strcmp(end, "ms"))
        value *= 1000;
    else if (*end && strcmp(end, "us"))
        kerb_config_die(word);
    return value;
}

static bool kerb_config_flag(KerbStandinConfig *c, const char *word)
{
    const struct {
        const char *name;
        bool *flag;
    } flags[] = { { "nodriver", &c->no_driver }, { "integrated", &c->integrated }, { "sticky", &c->sticky }, { "nocapture", &c->no_capture },
                  { "nofuse", &c->no_fuse },     { "nodnn", &c->no_dnn },          { "noalias", &c->no_alias }, { "trace", &c->trace },
                  { "check", &c->check } };
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (!strcmp(word, flags[i].name)) {
            *flags[i].flag = true;
            return true;
        }
    return false;
}

static void kerb_config_word(KerbStandinConfig *c, char *word)
{
    if (kerb_config_flag(c, word))
        return;
    char *value = strchr(word, '=');
    if (!value)
        kerb_config_die(word);
    const size_t name = (size_t)(value++ - word);
    if (name == 4 && !strncmp(word, "only", name)) {
        snprintf(c->only, sizeof c->only, "%s", value);
        return;
    }
    const uint64_t n = kerb_config_number(word, value);
    const struct {
        const char *name;
        int *number;
    } numbers[] = { { "devices", &c->devices }, { "sm", &c->sm },          { "driver", &c->driver },      { "runtime", &c->runtime },
                    { "dnn", &c->dnn },         { "code", &c->code },      { "delay", &c->delay_us },     { "calldelay", &c->call_delay_us } };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (strlen(numbers[i].name) == name && !strncmp(word, numbers[i].name, name)) {
            *numbers[i].number = (int)n;
            return;
        }
    if (name == 6 && !strncmp(word, "memory", name))
        c->memory_bytes = n;
    else if (name == 4 && !strncmp(word, "fail", name))
        c->fail = n;
    else if (name == 6 && !strncmp(word, "failop", name))
        c->fail_op = n;
    else if (name == 4 && !strncmp(word, "seed", name))
        c->seed = n;
    else if (name == 10 && !strncmp(word, "integrated", name))
        c->integrated = n != 0;
    else
        kerb_config_die(word);
}

static void kerb_config_read(const char *words)
{
    KerbStandinConfig c = { .devices = 1, .sm = 90, .driver = 13000, .runtime = CUDART_VERSION, .dnn = 91900, .memory_bytes = (size_t)8 << 30, .seed = 1 };
    if (words) {
        char *copy = strdup(words), *save = NULL;
        for (char *word = strtok_r(copy, " ,", &save); word; word = strtok_r(NULL, " ,", &save))
            kerb_config_word(&c, word);
        free(copy);
    }
    if (c.devices > KERB_STANDIN_MAX_DEVICES)
        c.devices = KERB_STANDIN_MAX_DEVICES;
    kerb_machine.config = c;
    kerb_machine.calls = kerb_machine.matching = kerb_machine.works = 0;
    kerb_machine.lost = cudaSuccess;
    memset(kerb_names, 0, sizeof kerb_names);
    kerb_n_misuses = 0;
}

static void kerb_config_first(void)
{
    kerb_config_read(getenv("KERB_STANDIN"));
}

void kerb_machine_lock(void)
{
    pthread_mutex_lock(&kerb_machine.lock);
    pthread_once(&kerb_configured, kerb_config_first);
}

void kerb_machine_unlock(void)
{
    pthread_mutex_unlock(&kerb_machine.lock);
}

void kerb_standin_configure(const char *words)
{
    kerb_machine_lock();
    kerb_config_read(words ? words : getenv("KERB_STANDIN"));
    kerb_machine_unlock();
    kerb_last_error = cudaSuccess;
}

/* ------------------------------------------------------------------------------------------------------------- calls */

bool kerb_code_is_sticky(int code)
{
    return code == 214 || code == 220 || (code >= 700 && code <= 702 && code != 701) || code == 710 || (code >= 714 && code <= 719);
}

cudaError_t kerb_fail_with(cudaError_t code)
{
    if (code != cudaSuccess)
        kerb_last_error = code;
    return code;
}

void kerb_lose_locked(cudaError_t code)
{
    if (kerb_machine.lost == cudaSuccess)
        kerb_machine.lost = code;
}

static void kerb_call_count_locked(const char *name)
{
    kerb_machine.calls++;
    for (int i = 0; i < KERB_NAMES; i++) {
        if (!kerb_names[i].name)
            kerb_names[i].name = name;
        if (!strcmp(kerb_names[i].name, name)) {
            kerb_names[i].calls++;
            return;
        }
    }
}

static cudaError_t kerb_call_locked(const char *name, unsigned flags)
{
    const KerbStandinConfig *c = &kerb_machine.config;
    kerb_call_count_locked(name);
    if (c->trace)
        fprintf(stderr, "kerb-standin: %llu %s\n", (unsigned long long)kerb_machine.calls, name);
    if (kerb_in_host_function)
        kerb_misuse_locked("%s was called by a host function", name);
    if (!(flags & KERB_CALL_ANYWHERE)) {
        if (c->no_driver)
            return cudaErrorInsufficientDriver;
        if (c->devices == 0)
            return cudaErrorNoDevice;
    }
    if (c->fail && (!c->only[0] || !strcmp(c->only, name)) && ++kerb_machine.matching >= c->fail) {
        int code = c->code ? c->code : cudaErrorMemoryAllocation;
        if (code >= 1000 && !(flags & KERB_CALL_DNN))
            code = cudaErrorNotSupported;
        if (kerb_machine.matching == c->fail && kerb_code_is_sticky(code))
            kerb_lose_locked((cudaError_t)code);
        if (kerb_machine.matching == c->fail || c->sticky)
            return (cudaError_t)code;
    }
    if (kerb_machine.lost != cudaSuccess && !(flags & KERB_CALL_ANYWHERE))
        return kerb_machine.lost;
    if ((flags & KERB_CALL_UNSAFE) && kerb_capture_forbids_locked())
        return cudaErrorStreamCaptureUnsupported;
    return cudaSuccess;
}

cudaError_t kerb_call(const char *name, unsigned flags)
{
    kerb_machine_lock();
    const cudaError_t code = kerb_call_locked(name, flags);
    const int most_us = kerb_machine.config.call_delay_us;
    if (!kerb_call_random)
        kerb_call_random = kerb_machine.config.seed * 977 + kerb_machine.calls;
    kerb_machine_unlock();
    kerb_random_wait(&kerb_call_random, most_us);
    return kerb_fail_with(code);
}

uint64_t kerb_standin_calls(const char *name)
{
    uint64_t n = 0;
    kerb_machine_lock();
    if (!name)
        n = kerb_machine.calls;
    for (int i = 0; name && i < KERB_NAMES && kerb_names[i].name; i++)
        if (!strcmp(kerb_names[i].name, name))
            n = kerb_names[i].calls;
    kerb_machine_unlock();
    return n;
}

uint64_t kerb_standin_works(void)
{
    kerb_machine_lock();
    const uint64_t n = kerb_machine.works;
    kerb_machine_unlock();
    return n;
}

/* ------------------------------------------------------------------------------------------------- what is alive, what is wrong */

static KerbHeld **kerb_bucket(const void *pointer)
{
    return &kerb_buckets[((uintptr_t)pointer >> 4) * 2654435761u >> 7 & (KERB_BUCKETS - 1)];
}

void kerb_held_add_locked(KerbHeld *held, KerbHeldKind kind)
{
    KerbHeld **bucket = kerb_bucket(held);
    held->kind = kind;
    held->call = kerb_machine.calls;
    held->device = kerb_current_device();
    held->next = *bucket;
    held->slot = bucket;
    if (held->next)
        held->next->slot = &held->next;
    *bucket = held;
}

void kerb_held_remove_locked(KerbHeld *held)
{
    *held->slot = held->next;
    if (held->next)
        held->next->slot = held->slot;
}

static const char *kerb_held_name(KerbHeldKind kind)
{
    static const char *const names[] = { "device block", "pinned block", "stream", "event", "graph", "graph exec", "cuDNN handle", "cuDNN descriptor" };
    return names[kind];
}

void *kerb_held_find_locked(const void *pointer, KerbHeldKind kind, const char *name)
{
    for (KerbHeld *h = *kerb_bucket(pointer); h; h = h->next)
        if ((const void *)h == pointer && h->kind == kind)
            return h;
    kerb_misuse_locked("%s got %p, which is no living %s", name, pointer, kerb_held_name(kind));
    return NULL;
}

void kerb_misuse_locked(const char *format, ...)
{
    char *line = kerb_misuse_lines[kerb_n_misuses < KERB_MISUSES ? kerb_n_misuses : KERB_MISUSES - 1];
    const int n = snprintf(line, sizeof *kerb_misuse_lines, "call %llu: ", (unsigned long long)kerb_machine.calls);
    va_list args;
    va_start(args, format);
    vsnprintf(line + n, sizeof *kerb_misuse_lines - (size_t)n, format, args);
    va_end(args);
    kerb_n_misuses++;
    if (kerb_machine.config.trace)
        fprintf(stderr, "kerb-standin: misuse: %s\n", line);
}

int kerb_standin_misuses(char *text, size_t bytes)
{
    size_t at = 0;
    kerb_machine_lock();
    if (bytes)
        text[0] = '\0';
    for (int i = 0; i < kerb_n_misuses && i < KERB_MISUSES && at < bytes; i++)
        at += (size_t)snprintf(text + at, bytes - at, "%s\n", kerb_misuse_lines[i]);
    const int n = kerb_n_misuses;
    kerb_machine_unlock();
    return n;
}

static bool kerb_held_is_own(const KerbHeld *h) /* the legacy stream is nobody's */
{
    return h->kind == KERB_HELD_STREAM && ((const KerbStream *)h)->legacy;
}

int kerb_standin_leaks(char *text, size_t bytes)
{
    int n = 0;
    size_t at = 0;
    kerb_machine_lock();
    if (bytes)
        text[0] = '\0';
    for (int i = 0; i < KERB_BUCKETS; i++)
        for (const KerbHeld *h = kerb_buckets[i]; h; h = h->next) {
            if (kerb_held_is_own(h))
                continue;
            n++;
            if (at >= bytes)
                continue;
            at += (size_t)snprintf(text + at, bytes - at, "%s made by call %llu", kerb_held_name(h->kind), (unsigned long long)h->call);
            if (at < bytes && h->bytes)
                at += (size_t)snprintf(text + at, bytes - at, ", %zu bytes", h->bytes);
            if (at < bytes && h->kind == KERB_HELD_DESCRIPTOR)
                at += (size_t)snprintf(text + at, bytes - at, ", type %d", h->detail);
            if (at < bytes)
                at += (size_t)snprintf(text + at, bytes - at, "\n");
        }
    kerb_machine_unlock();
    return n;
}

__attribute__((destructor)) static void kerb_standin_at_exit(void)
{
    static char leaks[8192], misuses[8192];
    if (!kerb_machine.config.check)
        return;
    const int n_leaks = kerb_standin_leaks(leaks, sizeof leaks), n_misuses = kerb_standin_misuses(misuses, sizeof misuses);
    fprintf(stderr, "kerb-standin: %llu calls, %d leaks, %d misuses\n%s%s", (unsigned long long)kerb_standin_calls(NULL), n_leaks, n_misuses, leaks, misuses);
    if (n_leaks || n_misuses) {
        fflush(NULL);
        _exit(KERB_EXIT_LEAKS);
    }
}
