/* SPDX-License-Identifier: MIT */
/* The host twins of cuda/out's kernels against engine/out, to the byte; refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "out/score_cases.h"
#include "stages.h"
#include "clean.h"

#include <stdio.h>

enum { CASES = 700 };

static void cases_equal_the_engine(void **state)
{
    Stages s;
    char message[512];
    stages_init(&s);
    for (uint64_t seed = 1; seed <= CASES; seed++)
        if (!stages_out_case(&s, seed, message, sizeof message)) fail_msg("%s", message);
    assert_int_equal(stages_finish(&s), 0);
}

static KerbCase two_heads(void)
{
    KerbCase c = kerb_one_head(KERB_SCORES_LOGITS, 5, 8, 8, 8, 64, 48, KERB_F16, KERB_LAYOUT_NHWC_EIGHTS);
    c.params.n_heads = 2;
    c.params.heads[1] = c.params.heads[0];
    c.scores[1] = kerb_tensor_new(KERB_F16, 5, 8, 8, KERB_LAYOUT_NHWC_EIGHTS);
    return c;
}

static void bad_parameters_are_refused(void **state)
{
    KerbCase c = two_heads();
    for (int what = 0; what < 5; what++) {
        KerbOutParams p = c.params;
        switch (what) {
        case 0: p.n_heads = 0; break;
        case 1: p.heads[1].channels = 257; break;
        case 2: p.format.width_px = 65; break;
        case 3: p.geometry.frame_x1 = 99; break;
        case 4: p.heads[0].cell_w_px = 0.0; break;
        }
        KerbCudaMemory memory = { 0 };
        KerbCudaOut *out = (KerbCudaOut *)(void *)&memory;
        KerbError error = { 0 };
        assert_int_equal(kerb_cuda_out_new(&out, &p, c.scores, &memory, &error), KERB_ERROR_ARGUMENT);
        assert_null(out);
        assert_int_equal(memory.device_bytes, 0);
        assert_true(strlen(error.message) > 10);
    }
    kerb_case_free(&c);
    kerb_cuda_out_free(NULL);
}

/* Every call of open fails once: a message, nothing kept. */
static void failing_calls_leave_nothing(void **state)
{
    KerbCase c = two_heads();
    for (int n = 1, failed = 1; failed; n++) {
        char words[32];
        snprintf(words, sizeof words, "fail=%d", n);
        kerb_standin_configure(words);
        KerbCudaMemory memory = { 0 };
        KerbCudaOut *out;
        KerbError error = { 0 };
        failed = kerb_cuda_out_new(&out, &c.params, c.scores, &memory, &error) != KERB_OK;
        assert_true(failed ? n < 30 && !out && error.message[0] && !memory.device_bytes : n > 5);
        kerb_cuda_out_free(&out);
        assert_int_equal(memory.device_bytes, 0);
    }
    kerb_standin_configure("");
    kerb_case_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(cases_equal_the_engine, kerb_standin_is_clean), cmocka_unit_test(bad_parameters_are_refused),
        cmocka_unit_test_teardown(failing_calls_leave_nothing, kerb_standin_is_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
