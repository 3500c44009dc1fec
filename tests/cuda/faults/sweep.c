/* SPDX-License-Identifier: MIT */
/* A life: open, a format, 6 frames over 2 slots, close. What must hold however it goes: an error has a message and a pipeline that is NULL; frames come
 * back in order; what is OK is what ref computes; counts add up; a failure that the device survives costs no more than the frames in flight; nothing is
 * left alive in the stand-in, nothing was misused. Processes: crashes and hangs (an alarm) are the parent's to see, leaks of the host LeakSanitizer's. */
#include "sweep.h"

#include "standin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FRAMES = 6, SLOTS = 2, PARALLEL = 2, ALARM_S = 60 };

/* What a life tells its parent; lies in shared memory. */
typedef struct Life {
    uint64_t calls, works, executions, hosts;
    bool done, open_failed, format_failed;
    int out, errored;
    char broken[512];
} Life;

static void broken(Life *life, const char *what, const char *more)
{
    if (!life->broken[0])
        snprintf(life->broken, sizeof life->broken, "%s: %.400s", what, more);
}

static void check_error(Life *life, KerbStatus status, const KerbError *error, const char *where)
{
    const bool apt = status == KERB_ERROR_BACKEND || status == KERB_ERROR_MEMORY || status == KERB_ERROR_FRAME;
    if (!apt || error->status != status || !error->message[0])
        broken(life, where, error->message[0] ? error->message : "an error without a message, or of the wrong kind");
}

static void collect(const FramesTable *t, KerbPipeline *k, int number, uint8_t *picture, Life *life)
{
    KerbResult result;
    KerbError error = { 0 };
    char why[256];
    if (kerb_collect(k, &result, -1, &error) != KERB_OK || (intptr_t)result.user != number) {
        broken(life, "a frame came out of order", error.message);
        return;
    }
    if (result.status != KERB_OK) {
        life->errored++;
        check_error(life, result.status, &error, "a frame's error");
        return;
    }
    life->out++;
    const int content = number % FRAMES_CONTENTS;
    if (!frames_equal(t, &(FramesGot){ .content = content, .labels = result.labels.data, .confidence = result.confidence.data, .picture = picture }, why, sizeof why))
        broken(life, "a wrong result", why);
}

static void frames_through(const FramesTable *t, KerbPipeline *k, Life *life)
{
    const KerbVideoFormat *format = &t->formats[0];
    uint8_t *pictures[SLOTS] = { calloc(1, frames_bytes(format)), calloc(1, frames_bytes(format)) };
    KerbError error = { 0 };
    int in = 0, back = 0;
    for (; in < FRAMES && !life->broken[0]; in++) {
        if (in - back == SLOTS)
            collect(t, k, back, pictures[back % SLOTS], life), back++;
        const KerbJob job = { .frame = frames_frame(format, t->contents[0][in % FRAMES_CONTENTS]), .picture = frames_frame(format, pictures[in % SLOTS]),
                              .user = (void *)(intptr_t)in };
        const KerbStatus status = kerb_submit(k, &job, &error);
        if (status != KERB_OK) { /* a lost device may be said here too */
            check_error(life, status, &error, "kerb_submit");
            break;
        }
    }
    for (; back < in && !life->broken[0]; back++)
        collect(t, k, back, pictures[back % SLOTS], life);
    KerbStats stats;
    kerb_get_stats(k, &stats);
    if (stats.frames_in != (uint64_t)in || stats.frames_out != (uint64_t)life->out || stats.frames_errored != (uint64_t)life->errored || stats.frames_flushed ||
        stats.in_flight)
        broken(life, "stats", "counts do not add up");
    kerb_close(&k);
    free(pictures[0]);
    free(pictures[1]);
}

static void live(const FramesTable *t, Life *life)
{
    static char text[4096];
    KerbConfig config;
    KerbPipeline *k = NULL;
    KerbError error = { 0 };
    frames_config(&config, "cuda");
    config.slots = SLOTS;
    KerbStatus status = kerb_open(&k, &config, &error);
    if (status != KERB_OK) {
        life->open_failed = true;
        check_error(life, status, &error, "kerb_open");
        if (k)
            broken(life, "kerb_open", "failed, but gave a pipeline");
    } else if ((status = kerb_set_format(k, &t->formats[0], &error)) != KERB_OK) {
        life->format_failed = true;
        check_error(life, status, &error, "kerb_set_format");
        kerb_close(&k);
    } else {
        frames_through(t, k, life);
    }
    life->calls = kerb_standin_calls(NULL);
    life->works = kerb_standin_works();
    life->executions = kerb_standin_calls("cudnnBackendExecute");
    life->hosts = kerb_standin_calls("cudaLaunchHostFunc");
    if (kerb_standin_leaks(text, sizeof text))
        broken(life, "left alive", text);
    if (kerb_standin_misuses(text, sizeof text))
        broken(life, "misused", text);
    life->done = true;
}

typedef struct Child {
    pid_t pid;
    uint64_t n;
    int code;
    Life *life;
} Child;

static void child_start(Child *c, const FramesTable *t, const SweepPlan *plan, bool cold)
{
    char words[256], cache[512], folder[256];
    memset(c->life, 0, sizeof *c->life);
    if (c->n)
        snprintf(words, sizeof words, "%s %s=%llu code=%d", plan->words, plan->fail, (unsigned long long)c->n, c->code);
    else
        snprintf(words, sizeof words, "%s", plan->words);
    if (!getcwd(folder, sizeof folder))
        abort();
    snprintf(cache, sizeof cache, cold ? "%s/cold-%llu-%d" : "%s/warm", folder, (unsigned long long)c->n, c->code);
    fflush(NULL);
    c->pid = fork();
    if (c->pid)
        return;
    setenv("XDG_CACHE_HOME", cache, 1);
    kerb_standin_configure(words);
    alarm(ALARM_S);
    live(t, c->life);
    exit(0); /* LeakSanitizer has its say */
}

static void child_judge(const Child *c, const SweepPlan *plan, int status, SweepSums *sums)
{
    Life *life = c->life;
    const bool survivable = c->code < 100 || c->code >= 900; /* the others lose the device */
    char text[64];
    if (!WIFEXITED(status) || WEXITSTATUS(status) || !life->done) {
        snprintf(text, sizeof text, "%s %d", WIFSIGNALED(status) ? "signal" : "exit code", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        broken(life, "crashed, hung or leaked", text);
    }
    if (survivable && life->errored > SLOTS) {
        snprintf(text, sizeof text, "%d frames were lost to one failure", life->errored);
        broken(life, "too much", text);
    }
    if (life->broken[0])
        fprintf(stderr, "%s=%llu code=%d (%s): %s\n", plan->fail, (unsigned long long)c->n, c->code, plan->words, life->broken);
    sums->lives++;
    sums->broken += life->broken[0] != 0;
    sums->opens_failed += life->open_failed;
    sums->formats_failed += life->format_failed;
    sums->lives_with_lost_frames += life->errored > 0;
    sums->lives_untouched += life->out == FRAMES;
    sums->frames_out += life->out;
    sums->frames_errored += life->errored;
}

static void reap(Child children[PARALLEL], const SweepPlan *plan, SweepSums *sums)
{
    int status;
    const pid_t pid = wait(&status);
    for (int i = 0; i < PARALLEL; i++)
        if (children[i].pid == pid) {
            child_judge(&children[i], plan, status, sums);
            children[i].pid = 0;
        }
}

static Child *free_child(Child children[PARALLEL], const SweepPlan *plan, SweepSums *sums)
{
    for (;;) {
        for (int i = 0; i < PARALLEL; i++)
            if (!children[i].pid)
                return &children[i];
        reap(children, plan, sums);
    }
}

void sweep_run(const FramesTable *t, const SweepPlan *plan, SweepSums *sums)
{
    Life *lives = mmap(NULL, PARALLEL * sizeof *lives, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    Child children[PARALLEL] = { { .life = &lives[0] }, { .life = &lives[1] } };
    memset(sums, 0, sizeof *sums);
    for (int i = 0; i < (plan->warm ? 2 : 1); i++) { /* the first fills the cache */
        child_start(&children[0], t, plan, !plan->warm);
        reap(children, plan, sums);
    }
    sums->calls = strcmp(plan->fail, "failop") == 0 ? lives[0].works : lives[0].calls;
    sums->executions = lives[0].executions;
    sums->host_functions = lives[0].hosts;
    if (sums->lives_untouched != sums->lives) /* not one life without failures is whole */
        sums->broken++;
    int turn = 0;
    for (uint64_t n = 1; n <= sums->calls && sums->broken < 10; n += (uint64_t)plan->step)
        for (int i = 0; i < (plan->all_codes ? plan->n_codes : 1); i++) {
            Child *c = free_child(children, plan, sums);
            c->n = n;
            c->code = plan->codes[plan->all_codes ? i : turn++ % plan->n_codes];
            child_start(c, t, plan, !plan->warm);
        }
    while (children[0].pid || children[1].pid)
        reap(children, plan, sums);
    munmap(lives, PARALLEL * sizeof *lives);
}
