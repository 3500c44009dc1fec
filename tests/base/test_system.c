/* SPDX-License-Identifier: MIT */
/* The log's levels and sink, processor flags, the clock and trace. */
#include "base_test.h"

#include "base/cpu.h"
#include "base/log.h"
#include "base/trace.h"

#define EURO "\xE2\x82\xAC" /* three bytes */
#define EUROS10 EURO EURO EURO EURO EURO EURO EURO EURO EURO EURO
#define EUROS EUROS10 EUROS10 EUROS10 EUROS10 EUROS10 EUROS10 EUROS10 EUROS10 EUROS10 EUROS10 /* 300 bytes */

typedef struct Lines {
    int n;
    KerbLogLevel level;
    char last[4096];
} Lines;

static void keep(void *user, KerbLogLevel level, const char *line)
{
    Lines *lines = user;
    lines->n++;
    lines->level = level;
    snprintf(lines->last, sizeof lines->last, "%s", line);
}

static void log_levels(void **state)
{
    Lines lines = { 0 };
    unsetenv("KERB_LOG");
    assert_false(kerb_log_enabled(KERB_LOG_ERROR)); /* nobody listens */
    kerb_log(KERB_LOG_ERROR, "to nobody");
    for (int level = KERB_LOG_ERROR; level <= KERB_LOG_TRACE; level++) {
        kerb_set_log(keep, &lines, (KerbLogLevel)level);
        for (int of = KERB_LOG_ERROR; of <= KERB_LOG_TRACE; of++) {
            lines.n = 0;
            kerb_log((KerbLogLevel)of, "frame %d of %s", 7, "a.mp4");
            assert_int_equal(lines.n, of <= level);
            assert_int_equal(kerb_log_enabled((KerbLogLevel)of), of <= level);
            if (!lines.n) continue;
            assert_string_equal(lines.last, "frame 7 of a.mp4");
            assert_int_equal(lines.level, of);
        }
    }
    kerb_log(KERB_LOG_ERROR, "%4000d", 1); /* cut, not overrun */
    assert_true(strlen(lines.last) > 2000 && strlen(lines.last) < 4000);
    for (int shift = 0; shift < 4; shift++) { /* between characters */
        kerb_log(KERB_LOG_ERROR, "%.*s%s", shift, "abcd", EUROS EUROS EUROS EUROS EUROS EUROS EUROS EUROS EUROS EUROS);
        assert_true(strlen(lines.last) > 2000 && strlen(lines.last) < 3000 && is_utf8(lines.last));
    }
    KerbLogSink sink = kerb_log_sink();
    assert_true(sink.fn == keep && sink.user == &lines && sink.level == KERB_LOG_TRACE);

    setenv("KERB_LOG", "error", 1);
    kerb_set_log(keep, &lines, KERB_LOG_TRACE);
    assert_true(kerb_log_enabled(KERB_LOG_ERROR));
    assert_false(kerb_log_enabled(KERB_LOG_WARNING));
    setenv("KERB_LOG", "nonsense", 1);
    kerb_set_log(keep, &lines, KERB_LOG_INFO);
    assert_true(kerb_log_enabled(KERB_LOG_INFO));
    assert_false(kerb_log_enabled(KERB_LOG_DEBUG));
    unsetenv("KERB_LOG");
    kerb_set_log(NULL, NULL, KERB_LOG_TRACE);
    assert_false(kerb_log_enabled(KERB_LOG_ERROR));
}

static void processor(void **state)
{
    unsigned flags = kerb_cpu_flags();
    assert_int_equal(kerb_cpu_flags(), flags);
    if (flags & KERB_CPU_AVX512) assert_true(flags & KERB_CPU_AVX2); /* variants build on each other */
    if (flags & (KERB_CPU_AVX512_VNNI | KERB_CPU_AVX512_BF16)) assert_true(flags & KERB_CPU_AVX512);
#if defined(__x86_64__)
    if (!getenv("KERB_CPU")) {
        assert_int_equal(!!(flags & KERB_CPU_AVX2), __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"));
        assert_int_equal(!!(flags & KERB_CPU_AVX512), __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                                                          __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"));
        assert_int_equal(!!(flags & KERB_CPU_AVX512_VNNI), !!__builtin_cpu_supports("avx512vnni"));
    }
#endif
    kerb_cpu_mask(KERB_CPU_AVX2);
    assert_int_equal(kerb_cpu_flags(), flags & KERB_CPU_AVX2);
    kerb_cpu_mask(0);
    assert_int_equal(kerb_cpu_flags(), 0);
    kerb_cpu_mask(~0u);
    assert_int_equal(kerb_cpu_flags(), flags);
    char text[128], tiny[6];
    assert_string_equal(kerb_cpu_flags_text(0, text, sizeof text), "plain C");
    assert_string_equal(kerb_cpu_flags_text(KERB_CPU_AVX2 | KERB_CPU_AVX512_BF16, text, sizeof text), "AVX2 BF16");
    kerb_cpu_flags_text(~0u, tiny, sizeof tiny);
    assert_true(strlen(tiny) < sizeof tiny);
    assert_true(kerb_cpu_count() >= 1);
    assert_true(strlen(kerb_cpu_name(text, sizeof text)) > 0);
    assert_true(strlen(kerb_cpu_name(tiny, sizeof tiny)) < sizeof tiny);
}

static void clock_and_trace(void **state)
{
    int64_t last = kerb_now_ns();
    for (int i = 0; i < 1000; i++) {
        int64_t now = kerb_now_ns();
        assert_true(now >= last);
        last = now;
    }
    KerbSpan spans[2] = { { .name = "conv" }, { .name = "relu" } };
    KerbTrace trace = { .spans = spans, .n = 2 };
    kerb_trace_add(&trace, 1, 5);
    kerb_trace_add(&trace, 1, 7);
    kerb_trace_add(&trace, 2, 9); /* past the end: dropped */
    kerb_trace_add(NULL, 0, 1);
    kerb_trace_add(&(KerbTrace){ 0 }, 0, 1);
    assert_true(spans[1].total_ns == 12 && spans[1].count == 2 && spans[0].count == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(log_levels), cmocka_unit_test(processor), cmocka_unit_test(clock_and_trace) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
