/* SPDX-License-Identifier: MIT */
/* Fast tier: some calls failed, some hundred frames on every kind of machine. slow_faults.c does all of it. */
#include "long.h"
#include "sweep.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static FramesTable table;

static int begin(void **state)
{
    frames_begin(&table);
    return 0;
}

static int finish(void **state)
{
    frames_end(&table);
    return 0;
}

/* Labels of different contents differ so much that a frame in the wrong place can't pass for the right one. */
static void test_contents_differ(void **state)
{
    char why[256];
    for (int f = 0; f < FRAMES_FORMATS; f++)
        for (int a = 0; a < FRAMES_CONTENTS; a++)
            for (int b = 0; b < FRAMES_CONTENTS; b++) {
                const FramesGot got = { .format = f, .content = a, .labels = table.labels[f][b], .picture = table.pictures[f][b][0] };
                assert_int_equal(frames_equal(&table, &got, why, sizeof why), a == b);
            }
}

static void check_long(const LongPlan *plan)
{
    LongSums sums;
    const bool ok = long_run(&table, plan, &sums);
    printf("%s: %d frames in, %d out, %d flushed, %d formats, %s, %llu bytes copied on the host\n", plan->words, sums.in, sums.out, sums.flushed, sums.formats,
           sums.replays ? "graphs" : "launches", (unsigned long long)sums.host_copy_bytes);
    assert_true(ok);
    assert_int_equal(sums.errored, 0);
    assert_in_range(sums.out, plan->frames / 2, plan->frames);
    assert_in_range(sums.flushed, 0, plan->frames / 2);
}

static void test_machines(void **state)
{
    static const LongPlan plans[] = {
        { "delay=300us seed=1", 150, 3, .seed = 1 },
        { "delay=300us seed=2 nocapture", 150, 2, .seed = 2 },
        { "delay=300us seed=3 integrated sm=87", 150, 4, .pinned = true, .seed = 3 },
        { "delay=300us seed=4 integrated noalias sm=87", 100, 2, .seed = 4 },
        { "delay=300us seed=5 devices=2", 100, 3, .device_id = 1, .pinned = true, .seed = 5 },
        { "delay=200us seed=6 nofuse", 100, 1, .seed = 6 },
        { "delay=200us seed=7 nodnn sm=75", 100, 8, .seed = 7 },
    };
    for (size_t i = 0; i < sizeof plans / sizeof *plans; i++)
        check_long(&plans[i]);
}

static void check_sweep(const SweepPlan *plan)
{
    SweepSums s;
    sweep_run(&table, plan, &s);
    printf("%s (%s%s): %llu calls, %llu plans run, %llu host functions; %d lives: %d whole, %d failed to open, %d to take the format, %d lost frames; %d frames out, %d errored; %d broken\n", plan->fail,
           plan->words[0] ? plan->words : "default", plan->warm ? ", warm cache" : "", (unsigned long long)s.calls,
           (unsigned long long)s.executions, (unsigned long long)s.host_functions, s.lives, s.lives_untouched, s.opens_failed,
           s.formats_failed, s.lives_with_lost_frames, s.frames_out, s.frames_errored, s.broken);
    assert_int_equal(s.broken, 0);
    assert_in_range(s.calls, 50, 100000);
    assert_in_range(s.opens_failed + s.formats_failed, 1, s.lives);
    assert_in_range(s.lives_with_lost_frames, 1, s.lives);
}

static void test_some_calls_fail(void **state)
{
    static const int codes[] = { 2, 719, 1, 3000, 700 };
    check_sweep(&(SweepPlan){ "", "fail", codes, 5, 29, .warm = true });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contents_differ),
        cmocka_unit_test(test_some_calls_fail),
        cmocka_unit_test(test_machines),
    };
    return cmocka_run_group_tests(tests, begin, finish);
}
