/* SPDX-License-Identifier: MIT */
/* Full tier: every call of a pipeline's life failed, every piece of device work faulted, 10,000 frames with random waits. With KERB_FAULTS=all, for the
 * figures, each call fails with every kind of error, and the first open's are all tried. */
#include "long.h"
#include "sweep.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static FramesTable table;

static bool all_of_them(void)
{
    const char *wanted = getenv("KERB_FAULTS");
    return wanted && !strcmp(wanted, "all");
}

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

static void check_sweep(const SweepPlan *plan)
{
    SweepSums s;
    sweep_run(&table, plan, &s);
    printf("%s (%s%s): %llu calls, %llu plans run, %llu host functions; %d lives: %d whole, %d failed to open, %d to take the format, %d lost frames; %d frames out, %d errored; %d broken\n", plan->fail,
           plan->words[0] ? plan->words : "default", plan->warm ? ", warm cache" : "", (unsigned long long)s.calls,
           (unsigned long long)s.executions, (unsigned long long)s.host_functions, s.lives, s.lives_untouched, s.opens_failed,
           s.formats_failed, s.lives_with_lost_frames, s.frames_out, s.frames_errored, s.broken);
    assert_int_equal(s.broken, 0);
    assert_true((uint64_t)s.lives > s.calls / (uint64_t)plan->step);
}

static void test_every_call(void **state)
{
    static const int codes[] = { 2, 1, 719 }, others[] = { 700, 214, 3000 };
    check_sweep(&(SweepPlan){ "", "fail", codes, 3, 1, .all_codes = all_of_them(), .warm = true });
    check_sweep(&(SweepPlan){ "delay=30us calldelay=20us seed=9", "fail", others, 3, 1, .warm = true });
}

static void test_every_call_of_a_first_open(void **state)
{
    static const int codes[] = { 2, 719 };
    check_sweep(&(SweepPlan){ "", "fail", codes, 2, all_of_them() ? 1 : 5, .warm = false });
}

static void test_every_call_elsewhere(void **state)
{
    static const int codes[] = { 2, 702 };
    check_sweep(&(SweepPlan){ "integrated sm=87", "fail", codes, 2, 1, .warm = true });
    check_sweep(&(SweepPlan){ "nocapture", "fail", codes, 2, 1, .warm = true });
}

static void test_every_work(void **state)
{
    static const int codes[] = { 719 };
    check_sweep(&(SweepPlan){ "delay=20us seed=4", "failop", codes, 1, 1, .warm = true });
    check_sweep(&(SweepPlan){ "nocapture", "failop", codes, 1, 1, .warm = true });
}

static void check_long(const LongPlan *plan)
{
    LongSums sums;
    const bool ok = long_run(&table, plan, &sums);
    printf("%s: %d frames in, %d out, %d flushed, %d errored, %d formats, %s\n", plan->words, sums.in, sums.out, sums.flushed, sums.errored, sums.formats,
           sums.replays ? "graphs" : "launches");
    assert_true(ok);
    assert_int_equal(sums.errored, 0);
}

static void test_10000_frames(void **state)
{
    check_long(&(LongPlan){ "delay=60us calldelay=10us seed=21", 6000, 3, .seed = 21 });
    check_long(&(LongPlan){ "delay=60us seed=22 nocapture", 2000, 2, .pinned = true, .seed = 22 });
    check_long(&(LongPlan){ "delay=60us seed=23 integrated sm=87", 2000, 4, .pinned = true, .seed = 23 });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_call),
        cmocka_unit_test(test_every_call_of_a_first_open),
        cmocka_unit_test(test_every_call_elsewhere),
        cmocka_unit_test(test_every_work),
        cmocka_unit_test(test_10000_frames),
    };
    return cmocka_run_group_tests(tests, begin, finish);
}
