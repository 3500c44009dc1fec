/* SPDX-License-Identifier: MIT */
/* The host twin of cuda/in's kernel against engine/in, to the bit; refusals. Where host code touches device memory, or a kernel anything but it, the
 * stand-in faults. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stages.h"
#include "clean.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CASES = 1500 };

static void cases_equal_the_engine(void **state)
{
    Stages s;
    char message[512];
    stages_init(&s);
    for (uint64_t seed = 1; seed <= CASES; seed++)
        if (!stages_in_case(&s, seed, message, sizeof message)) fail_msg("%s", message);
    assert_int_equal(stages_finish(&s), 0);
}

static void refuse(const KerbInParams *p, const KerbTensor *input, const char *word)
{
    KerbCudaMemory memory = { 0 };
    KerbCudaIn *in = (KerbCudaIn *)(void *)&memory;
    KerbError error;
    assert_int_equal(kerb_cuda_in_new(&in, p, input, &memory, &error), KERB_ERROR_ARGUMENT);
    assert_null(in);
    assert_int_equal(memory.device_bytes, 0);
    if (!strstr(error.message, word)) fail_msg("\"%s\" does not say \"%s\"", error.message, word);
}

static void bad_parameters_are_refused(void **state)
{
    KerbInParams good = { .format = { KERB_FORMAT_I420, 64, 48, KERB_MATRIX_BT709, KERB_RANGE_LIMITED, KERB_CHROMA_LEFT }, .color = KERB_COLOR_RGB };
    kerb_geometry_init(&good.geometry, 64, 48, 32, 24, KERB_FIT_STRETCH);
    for (int c = 0; c < 3; c++) good.std[c] = 1;
    const KerbTensor half = kerb_tensor_channels_last(NULL, KERB_F16, 4, (int64_t[]){ 1, 3, 24, 32 }, 8);
    good.input = half;
    KerbInParams p = good;
    KerbTensor t = half;
    p.std[1] = 0, refuse(&p, &half, "std 0 of channel 1");
    p = good, p.format.width_px = 66, refuse(&p, &half, "66 x 48");
    p = good, p.color = KERB_COLOR_GRAY, refuse(&p, &half, "1x1xHxW");
    p = good, p.mean[0] = NAN, refuse(&p, &half, "channel 0");
    t.dtype = KERB_I8, refuse(&good, &t, "i8");
    t = half, t.dims[3] = 33, refuse(&good, &t, "1x3x24x33");
    t = half, t.strides[2] = 0, refuse(&good, &t, "stride 0");
    t = half, t.strides[2] = (int64_t)1 << 40, refuse(&good, &t, "1099511627776");
    kerb_cuda_in_free(NULL);
    KerbCudaIn *none = NULL;
    kerb_cuda_in_free(&none);
}

/* Every call of open fails once: a message, nothing kept. */
static void failing_calls_leave_nothing(void **state)
{
    KerbInParams p = { .format = { KERB_FORMAT_NV12, 64, 48, KERB_MATRIX_BT709, KERB_RANGE_LIMITED, KERB_CHROMA_LEFT }, .color = KERB_COLOR_RGB };
    kerb_geometry_init(&p.geometry, 64, 48, 32, 24, KERB_FIT_CROP);
    for (int c = 0; c < 3; c++) p.std[c] = 1;
    KerbTensor input = kerb_tensor_channels_last(NULL, KERB_F16, 4, (int64_t[]){ 1, 3, 24, 32 }, 8);
    p.input = input;
    for (int n = 1, failed = 1; failed; n++) {
        char words[32];
        snprintf(words, sizeof words, "fail=%d", n);
        kerb_standin_configure(words);
        KerbCudaMemory memory = { 0 };
        KerbCudaIn *in;
        KerbError error = { 0 };
        KerbStatus status = kerb_cuda_in_new(&in, &p, &input, &memory, &error);
        failed = status != KERB_OK;
        assert_true(failed ? n < 20 && !in && error.message[0] && !memory.device_bytes : n > 3);
        kerb_cuda_in_free(&in);
        assert_int_equal(memory.device_bytes, 0);
    }
    kerb_standin_configure("");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(cases_equal_the_engine, kerb_standin_is_clean), cmocka_unit_test(bad_parameters_are_refused),
        cmocka_unit_test_teardown(failing_calls_leave_nothing, kerb_standin_is_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
