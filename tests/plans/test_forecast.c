/* SPDX-License-Identifier: MIT */
/* What is foreseen of a network's convolutions is what its compilation asks for: no plan is left to be made one by one, and none is made for nothing.
 * With arguments it looks at these models in place of the built-in graphs: PRECISION MODEL.onnx... */
#include "net/net_fixture.h"

#include "cuda/net/compile.h"
#include "cuda/net/plans.h"
#include "cuda/standin/standin.h"
#include "run/config.h"
#include "run/model.h"

static int missed;
static void count_missed(void *user, KerbLogLevel level, const char *text)
{
    if (!strstr(text, "not foreseen")) return;
    missed++;
    print_error("%s\n", text);
}

/* Compiles; the number of plans that were foreseen, and that the network has in all. */
static void look(const KerbGraph *g, KerbPrecision precision, int *foreseen, int *all)
{
    KerbNet *net = NULL;
    KerbError error = { 0 };
    KerbCompileOptions options = { .threads = 1, .precision = precision };
    missed = 0;
    if (kerb_cuda_compile(&net, g, &options, &error) != KERB_OK) fail_msg("%s", error.message);
    *foreseen = net->plans->foreseen;
    *all = 0;
    for (const KerbConvPlan *p = net->plans->first; p; p = p->next) *all += p->lender == NULL;
    kerb_cuda_net_free(&net);
}

static void expect_foreseen(KerbGraph *g, KerbPrecision precision, int convolutions)
{
    int foreseen, all;
    look(g, precision, &foreseen, &all);
    if (missed || foreseen != convolutions || all != convolutions)
        fail_msg("precision %d: %d foreseen, %d missed, %d in all; %d were expected", (int)precision, foreseen, missed, all, convolutions);
}

static uint32_t conv(KerbGraph *g, uint32_t x, const char *w, int kernel)
{
    return NODE(g, KERB_OP_CONV, IN(x, net_value(g, w)), CONV(kernel, 1, 1, kernel / 2, kernel / 2, 1));
}
static uint32_t concat(KerbGraph *g, NetInputs in) { return NODE(g, KERB_OP_CONCAT, in, .axis = 1); }

/* A dense block: concatenations in concatenations, a last slice with padding, one that does not begin at a unit. */
static KerbGraph *dense_block(void)
{
    KerbGraph *g = net_new();
    uint32_t x = net_value(g, "1x3x8x10"), a = conv(g, x, "=16x3x3x3", 3), b = conv(g, a, "=24x16x3x3", 3), ab = concat(g, IN(a, b));
    uint32_t c = conv(g, ab, "=5x40x1x1", 1), abc = concat(g, IN(ab, c)), d = conv(g, abc, "=8x45x3x3", 3), abcd = concat(g, IN(abc, d));
    net_set_outputs(g, IN(conv(g, abcd, "=19x53x1x1", 1)));
    net_infer(g);
    return g;
}

static KerbGraph *residuals(void)
{
    KerbGraph *g = net_new();
    uint32_t x = net_value(g, "1x8x9x7"), a = conv(g, x, "=16x8x3x3", 3);
    uint32_t b = NODE(g, KERB_OP_CONV, IN(a, net_value(g, "=16x16x3x3"), net_value(g, "=16"), a), CONV(3, 1, 1, 1, 1, 1));
    uint32_t deep = NODE(g, KERB_OP_CONV, IN(b, net_value(g, "=16x1x3x3")), CONV(3, 1, 1, 1, 1, 16)); /* no plan: an own kernel */
    uint32_t up = NODE(g, KERB_OP_CONV_TRANSPOSE, IN(deep, net_value(g, "=16x8x2x2")), CONV(2, 2, 1, 0, 0, 1));
    net_set_outputs(g, IN(up, conv(g, b, "=6x16x1x1", 1), conv(g, b, "=6x16x1x1", 1))); /* the last two are alike */
    net_infer(g);
    return g;
}

static void test_places(void **state)
{
    static const KerbPrecision precisions[] = { KERB_PRECISION_F32, KERB_PRECISION_TF32, KERB_PRECISION_F16, KERB_PRECISION_BF16 };
    for (size_t i = 0; i < sizeof precisions / sizeof precisions[0]; i++) {
        KerbGraph *g = dense_block();
        expect_foreseen(g, precisions[i], 5);
        kerb_graph_free(&g);
        g = residuals();
        expect_foreseen(g, precisions[i], 4);
        kerb_graph_free(&g);
    }
}

static int look_at_model(KerbPrecision precision, const char *path)
{
    KerbModel *model = NULL;
    KerbGraph *g = NULL;
    KerbError error = { 0 };
    KerbConfig config;
    int foreseen, all, width = 64, height = 64;
    kerb_config_init(&config);
    config.model_file = path;
    if (kerb_model_open(&model, &config, &error) != KERB_OK) fail_msg("%s", error.message);
    kerb_model_size(model, NULL, &width, &height);
    if (kerb_model_build(model, width, height, NULL, &g, &error) != KERB_OK) fail_msg("%s", error.message);
    look(g, precision, &foreseen, &all);
    printf("%s: %d plans, %d foreseen, %d not\n", path, all, foreseen, missed);
    kerb_graph_free(&g);
    kerb_model_free(&model);
    return missed;
}

static int n_models;
static char **models;
static void test_models(void **state)
{
    int all = 0;
    for (int i = 1; i < n_models; i++) all += look_at_model(strcmp(models[0], "int8") == 0 ? KERB_PRECISION_INT8 : KERB_PRECISION_F16, models[i]);
    assert_int_equal(all, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest places[] = { cmocka_unit_test(test_places) }, given[] = { cmocka_unit_test(test_models) };
    setenv("KERB_CUDNN", STANDIN, 1);
    setenv("KERB_PLAN_CACHE", "off", 1);
    kerb_set_log(count_missed, NULL, KERB_LOG_DEBUG);
    n_models = argc - 1;
    models = argv + 1;
    if (argc > 2) return cmocka_run_group_tests_name("forecast", given, NULL, NULL);
    return cmocka_run_group_tests_name("forecast", places, NULL, NULL);
}
