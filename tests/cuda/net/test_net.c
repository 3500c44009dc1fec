/* SPDX-License-Identifier: MIT */
/* What the compiler makes of graphs, seen in its steps and its memory; runs that are captured and replayed; what each call that fails leads
 * to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net_case.h"
#include "standin.h"

static KerbCudaNetFacts facts(const KerbNetCase *c)
{
    KerbCudaNetFacts f;
    kerb_cuda_net_facts(c->net, &f);
    return f;
}
static void compile(KerbNetCase *c, KerbPrecision precision)
{
    if (kerb_net_case_compile(c, precision)) fail_msg("%s", c->error.message);
}
static void agrees(KerbNetCase *c, KerbRandom *r, double limit)
{
    double worst;
    const int differences = kerb_net_case_differences(c, r, limit, &worst);
    if (differences) fail_msg("%d elements differ by more than %g, the worst by %g", differences, limit, worst);
}

/* ---- concatenation ---- */

/* Branches of these widths, put together and read by a convolution; how many copies are left. */
static int copies_of_concat(KerbPrecision precision, int n, const int widths[])
{
    KerbRandom r = kerb_random_seeded("concat", 5);
    KerbNetCase c = kerb_net_case();
    const int64_t xd[4] = {1, 8, 7, 9};
    const uint32_t x = kerb_case_input(c.g, 4, xd);
    uint32_t branches[8];
    int all = 0;
    for (int i = 0; i < n; i++) {
        branches[i] = kerb_net_case_conv(c.g, &r, x, 8, widths[i], 3, 1);
        all += widths[i];
    }
    kerb_case_output(c.g, kerb_net_case_conv(c.g, &r, kerb_net_case_concat(c.g, n, branches), all, 6, 3, 1));
    compile(&c, precision);
    const int copies = kerb_net_case_steps(&c, "copy");
    agrees(&c, &r, precision == KERB_PRECISION_F32 ? 1e-5 : 0.02);
    kerb_net_case_free(&c);
    return copies;
}
static void slices_of_whole_pitch_units_are_written_in_place(void **state)
{
    assert_int_equal(copies_of_concat(KERB_PRECISION_F16, 3, (const int[]){16, 8, 24}), 0);
    assert_int_equal(copies_of_concat(KERB_PRECISION_F16, 3, (const int[]){16, 8, 5}), 0); /* the last one takes the padding along */
    assert_int_equal(copies_of_concat(KERB_PRECISION_F32, 3, (const int[]){4, 12, 5}), 0);
}
static void other_slices_are_copied(void **state)
{
    assert_int_equal(copies_of_concat(KERB_PRECISION_F16, 2, (const int[]){4, 8}), 3); /* 4: its padding would be the next one's channels */
    assert_int_equal(copies_of_concat(KERB_PRECISION_F16, 3, (const int[]){16, 12, 3}), 3); /* two, and the padding behind the last */
    assert_int_equal(copies_of_concat(KERB_PRECISION_F32, 2, (const int[]){4, 8}), 0);
}

/* A slot in a slot: (a, b), then ((a, b), d). */
static void slices_of_slices(void **state)
{
    KerbRandom r = kerb_random_seeded("nested concat", 6);
    KerbNetCase c = kerb_net_case();
    const int64_t xd[4] = {1, 8, 6, 6};
    const uint32_t x = kerb_case_input(c.g, 4, xd);
    const uint32_t first =
        kerb_net_case_concat(c.g, 2, (uint32_t[]){kerb_net_case_conv(c.g, &r, x, 8, 16, 3, 1), kerb_net_case_conv(c.g, &r, x, 8, 8, 1, 1)});
    const uint32_t d = kerb_net_case_conv(c.g, &r, first, 24, 11, 3, 1);
    kerb_case_output(c.g, kerb_net_case_concat(c.g, 2, (uint32_t[]){first, d}));
    compile(&c, KERB_PRECISION_F16);
    assert_int_equal(kerb_net_case_steps(&c, "copy"), 0);
    agrees(&c, &r, 0.02);
    kerb_net_case_free(&c);
}

/* ---- memory ---- */

/* However long a chain is, three pictures are alive at most (the input stays), and one plan's workspace; which plan wins, and so how much that is, is
 * a matter of timing. */
static void layers_share_memory(void **state)
{
    const int64_t xd[4] = {1, 16, 20, 20};
    const size_t picture = 16 * 20 * 20 * sizeof(float);
    KerbRandom r = kerb_random_seeded("chain", 7);
    KerbNetCase c = kerb_net_case();
    uint32_t x = kerb_case_input(c.g, 4, xd);
    for (int i = 0; i < 9; i++) x = kerb_net_case_conv(c.g, &r, x, 16, 16, 3, 1);
    kerb_case_output(c.g, x);
    compile(&c, KERB_PRECISION_F32);
    assert_true(facts(&c).arena_bytes <= 3 * picture + facts(&c).workspace_bytes);
    assert_true(facts(&c).sum_bytes >= 10 * picture);
    kerb_net_case_free(&c);
}

static void equal_constants_are_kept_once(void **state)
{
    size_t bytes[2];
    for (int twice = 0; twice < 2; twice++) {
        KerbNetCase c = kerb_net_case();
        const int64_t xd[4] = {1, 16, 5, 5};
        uint32_t x = kerb_case_input(c.g, 4, xd);
        for (int i = 0; i <= twice; i++) {
            KerbRandom r = {.state = 3}; /* the same weights in two constants */
            x = kerb_net_case_conv(c.g, &r, x, 16, 16, 3, 1);
        }
        kerb_case_output(c.g, x);
        compile(&c, KERB_PRECISION_F16);
        bytes[twice] = facts(&c).weight_bytes;
        kerb_net_case_free(&c);
    }
    assert_int_equal(bytes[0], bytes[1]);
}

/* ---- operators on the host ---- */

/* LRN over a batch of two has no kernel: two such nodes in a row are one copy down and one up. */
static uint32_t lrn(KerbGraph *g, uint32_t x)
{
    const uint32_t y = kerb_net_case_result(g, KERB_F32);
    KerbNode *n = kerb_case_node(g, KERB_OP_LRN, 1, &x, y);
    n->attrs.lrn.size = 3;
    n->attrs.lrn.alpha = 0.1f;
    n->attrs.lrn.beta = 0.75f;
    n->attrs.lrn.bias = 1;
    return y;
}
static void neighbours_on_the_host_copy_once(void **state)
{
    KerbRandom r = kerb_random_seeded("host", 8);
    KerbNetCase c = kerb_net_case();
    const int64_t xd[4] = {2, 64, 6, 8}; /* smaller ones would stay on the host to the end */
    const uint32_t x = kerb_net_case_relu(c.g, kerb_case_input(c.g, 4, xd));
    kerb_case_output(c.g, kerb_net_case_relu(c.g, lrn(c.g, lrn(c.g, x))));
    compile(&c, KERB_PRECISION_F16);
    assert_int_equal(facts(&c).host_steps, 2);
    assert_int_equal(kerb_net_case_steps(&c, "copy down"), 1);
    assert_int_equal(kerb_net_case_steps(&c, "copy up"), 1);
    agrees(&c, &r, 1e-5);
    kerb_net_case_free(&c);
}

/* ---- capture ---- */

/* A small net with everything that a stream can be asked for: kernels, plans, copies and a step on the host. */
static void build_mixed(KerbNetCase *c, KerbRandom *r)
{
    const int64_t xd[4] = {1, 3, 12, 10}, gd[4] = {1, 6, 5, 2};
    uint32_t x = kerb_net_case_conv(c->g, r, kerb_case_input(c->g, 4, xd), 3, 16, 3, 2), y = kerb_net_case_result(c->g, KERB_F32);
    x = kerb_net_case_relu(c->g, x);
    KerbNode *grid = kerb_case_node(c->g, KERB_OP_GRID_SAMPLE, 2, (uint32_t[]){x, kerb_case_constant(c->g, r, 4, gd, 0.9f)}, y);
    grid->attrs.grid.mode = KERB_RESIZE_LINEAR;
    kerb_case_output(c->g, kerb_net_case_conv(c->g, r, kerb_net_case_concat(c->g, 2, (uint32_t[]){y, x}), 32, 5, 1, 1));
}

static void a_run_can_be_captured_and_replayed(void **state)
{
    KerbRandom r = kerb_random_seeded("capture", 9);
    KerbNetCase c = kerb_net_case();
    build_mixed(&c, &r);
    compile(&c, KERB_PRECISION_F32);
    agrees(&c, &r, 1e-5);
    assert_int_equal(facts(&c).host_steps, 1);
    const KerbTensor *device = kerb_cuda_net_output(c.net, 0);
    const size_t bytes = 5 * 4; /* the first pixel's scores */
    float first[5], replayed[5];
    cudaStream_t stream = kerb_cuda_net_stream(c.net);
    cudaGraph_t graph;
    cudaGraphExec_t instance;
    assert_int_equal(cudaMemcpyAsync(first, device->data, bytes, cudaMemcpyDeviceToHost, stream), cudaSuccess);
    assert_int_equal(cudaStreamSynchronize(stream), cudaSuccess);
    assert_int_equal(cudaMemsetAsync(device->data, 0x7f, bytes, stream), cudaSuccess);
    assert_int_equal(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    assert_int_equal(kerb_cuda_net_enqueue(c.net, stream, &c.error), KERB_OK);
    assert_int_equal(cudaStreamEndCapture(stream, &graph), cudaSuccess);
    assert_int_equal(cudaGraphInstantiate(&instance, graph, 0), cudaSuccess);
    for (int i = 0; i < 3; i++) assert_int_equal(cudaGraphLaunch(instance, stream), cudaSuccess);
    assert_int_equal(cudaMemcpyAsync(replayed, device->data, bytes, cudaMemcpyDeviceToHost, stream), cudaSuccess);
    assert_int_equal(cudaStreamSynchronize(stream), cudaSuccess);
    assert_memory_equal(first, replayed, bytes);
    assert_int_equal(kerb_cuda_net_host_fault(c.net, &c.error), KERB_OK);
    assert_int_equal(cudaGraphExecDestroy(instance), cudaSuccess);
    assert_int_equal(cudaGraphDestroy(graph), cudaSuccess);
    kerb_net_case_free(&c);
}

/* ---- what the picture's memory promises ---- */

/* Padding channels of every picture are 0 or finite: an input whose padding is poisoned would show if they were read as more than zeros. */
static void a_picture_that_the_graph_has_channels_last(void **state)
{
    KerbRandom r = kerb_random_seeded("nhwc", 10);
    KerbNetCase c = kerb_net_case();
    const int64_t xd[4] = {1, 9, 11, 3};
    const uint32_t x = kerb_case_input(c.g, 4, xd), turned = kerb_net_case_result(c.g, KERB_F32);
    KerbNode *n = kerb_case_node(c.g, KERB_OP_TRANSPOSE, 1, &x, turned);
    n->attrs.transpose.n = 4;
    memcpy(n->attrs.transpose.perm, (const int64_t[4]){0, 3, 1, 2}, 4 * sizeof(int64_t));
    kerb_case_output(c.g, kerb_net_case_conv(c.g, &r, turned, 3, 8, 3, 1));
    compile(&c, KERB_PRECISION_F16);
    assert_int_equal(kerb_net_case_steps(&c, "copy"), 0);
    const KerbTensor *t = kerb_cuda_net_input(c.net, 0);
    assert_int_equal(t->dtype, KERB_F16);
    assert_int_equal(t->strides[3], 1);
    assert_int_equal(t->strides[2], 8);
    agrees(&c, &r, 0.01);
    kerb_net_case_free(&c);
}

/* ---- failure ---- */

/* The n-th call fails, for every n until none does: nothing may leak, hang or crash, and the message is there. */
static void every_call_may_fail(void **state)
{
    KerbRandom r = kerb_random_seeded("faults", 11);
    char text[4096], words[64];
    int n = 1, failures = 0;
    for (bool through = false; !through && n < 3000; n++) {
        KerbNetCase c = kerb_net_case();
        KerbRandom same = r;
        build_mixed(&c, &same);
        snprintf(words, sizeof words, "fail=%d code=%d", n, n % 2 ? 2 : 719);
        kerb_standin_configure(words);
        KerbStatus status = kerb_net_case_compile(&c, KERB_PRECISION_F32);
        if (!status) status = c.backend->run(c.net, &c.error);
        through = !status && kerb_standin_calls(NULL) < (uint64_t)n;
        if (status) {
            failures++;
            assert_true(c.error.message[0]);
            assert_int_equal(c.error.status, status);
        }
        kerb_net_case_free(&c);
        if (kerb_standin_leaks(text, sizeof text)) fail_msg("call %d: %s", n, text);
        if (kerb_standin_misuses(text, sizeof text)) fail_msg("call %d: %s", n, text);
    }
    kerb_standin_configure(NULL);
    printf("faults: %d calls, %d failures seen\n", n, failures);
    assert_true(failures > 20);
}

static void precisions_that_the_device_lacks(void **state)
{
    KerbRandom r = kerb_random_seeded("old device", 12);
    kerb_standin_configure("sm=75");
    KerbDevice device = {.id = 0};
    KerbNetCase c = kerb_net_case();
    c.backend->probe(&device);
    assert_string_equal(device.precisions, "f16 f32 int8");
    const int64_t xd[4] = {1, 3, 8, 8};
    kerb_case_output(c.g, kerb_net_case_conv(c.g, &r, kerb_case_input(c.g, 4, xd), 3, 8, 3, 1));
    assert_int_equal(kerb_net_case_compile(&c, KERB_PRECISION_BF16), KERB_ERROR_ARGUMENT);
    assert_non_null(strstr(c.error.message, "8.0"));
    kerb_net_case_free(&c);
    kerb_standin_configure(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_of_whole_pitch_units_are_written_in_place),
        cmocka_unit_test(other_slices_are_copied),
        cmocka_unit_test(slices_of_slices),
        cmocka_unit_test(layers_share_memory),
        cmocka_unit_test(equal_constants_are_kept_once),
        cmocka_unit_test(neighbours_on_the_host_copy_once),
        cmocka_unit_test(a_run_can_be_captured_and_replayed),
        cmocka_unit_test(a_picture_that_the_graph_has_channels_last),
        cmocka_unit_test(every_call_may_fail),
        cmocka_unit_test(precisions_that_the_device_lacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
