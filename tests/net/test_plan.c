/* SPDX-License-Identifier: MIT */
/* The memory plan, checked by brute force: a run is played byte by byte on the arena, each byte remembering which value was written last. */
#include "net_fixture.h"

#include "base/memory.h"

/* What a sharing rule said for each value. */
typedef struct Sharing {
    bool inplace, alias;
    uint32_t *root; /* of chains of aliases: the value whose bytes they are */
} Sharing;

static uint32_t share(void *user, const KerbGraph *g, uint32_t value, bool *alias)
{
    const Sharing *s = user;
    const KerbNode *n = &g->nodes[g->values[value].producer];
    if (n->outputs[0] != value) return KERB_NO_VALUE;
    *alias = n->op == KERB_OP_RESHAPE;
    if (*alias) return s->alias ? n->inputs[0] : KERB_NO_VALUE;
    return s->inplace && (n->op == KERB_OP_UNARY || n->op == KERB_OP_BINARY) ? n->inputs[0] : KERB_NO_VALUE;
}

/* Sizes that are not a multiple of the alignment, and one value in 16 that takes no memory. */
static size_t odd_bytes(void *user, const KerbGraph *g, uint32_t value)
{
    if (g->values[value].data || value % 16 == 15) return 0;
    KerbTensor t = kerb_tensor(NULL, g->values[value].dtype, g->values[value].rank, g->values[value].dims);
    return kerb_tensor_bytes(&t) + value % 7;
}

static void write_value(uint32_t *arena, const KerbPlan *plan, uint32_t id, uint32_t tag)
{
    assert_true(plan->offsets[id] % 64 == 0);
    assert_true(plan->offsets[id] + plan->sizes[id] <= plan->arena_bytes);
    for (size_t b = 0; b < plan->sizes[id]; b++) arena[plan->offsets[id] + b] = tag;
}

static void expect_value_there(const uint32_t *arena, const KerbPlan *plan, uint32_t id, uint32_t tag)
{
    if (plan->offsets[id] == SIZE_MAX) return;
    for (size_t b = 0; b < plan->sizes[id]; b++)
        if (arena[plan->offsets[id] + b] != tag) fail_msg("value %u was overwritten by %u", id, arena[plan->offsets[id] + b]);
}

static uint32_t tag_of(const KerbGraph *g, const Sharing *s, uint32_t id) { return s->root ? s->root[id] : id; }

static void play(const KerbGraph *g, const KerbPlan *plan, Sharing *s)
{
    uint32_t *arena = malloc((plan->arena_bytes + 1) * sizeof *arena), *root = malloc((size_t)g->n_values * sizeof *root);
    memset(arena, 0xff, (plan->arena_bytes + 1) * sizeof *arena);
    for (int i = 0; i < g->n_values; i++) root[i] = (uint32_t)i;
    for (int i = 0; i < g->n_nodes && s->alias; i++)
        if (g->nodes[i].op == KERB_OP_RESHAPE && plan->offsets[g->nodes[i].inputs[0]] != SIZE_MAX && plan->offsets[g->nodes[i].outputs[0]] != SIZE_MAX)
            root[g->nodes[i].outputs[0]] = root[g->nodes[i].inputs[0]];
    s->root = root;
    for (int i = 0; i < g->n_inputs; i++) write_value(arena, plan, g->inputs[i], g->inputs[i]);
    for (int i = 0; i < g->n_nodes; i++) {
        const KerbNode *n = &g->nodes[i];
        for (int k = 0; k < n->n_inputs; k++) expect_value_there(arena, plan, n->inputs[k], tag_of(g, s, n->inputs[k]));
        /* A node that is not in place writes while it reads: none of its outputs may touch its inputs. */
        bool inplace = s->inplace && (n->op == KERB_OP_UNARY || n->op == KERB_OP_BINARY);
        for (int k = 0; k < n->n_outputs; k++)
            if (plan->offsets[n->outputs[k]] != SIZE_MAX) write_value(arena, plan, n->outputs[k], tag_of(g, s, n->outputs[k]));
        for (int k = 0; k < n->n_inputs && !inplace; k++) expect_value_there(arena, plan, n->inputs[k], tag_of(g, s, n->inputs[k]));
        for (int k = inplace ? 1 : n->n_inputs; k < n->n_inputs; k++) /* in place over input 0 only */
            expect_value_there(arena, plan, n->inputs[k], tag_of(g, s, n->inputs[k]));
        for (int k = 0; k < n->n_outputs; k++) expect_value_there(arena, plan, n->outputs[k], tag_of(g, s, n->outputs[k]));
    }
    for (int i = 0; i < g->n_inputs; i++) expect_value_there(arena, plan, g->inputs[i], tag_of(g, s, g->inputs[i]));
    for (int i = 0; i < g->n_outputs; i++) expect_value_there(arena, plan, g->outputs[i], tag_of(g, s, g->outputs[i]));
    s->root = NULL;
    free(arena);
    free(root);
}

/* Reshape's alias must be the very same address, or the brute force would not see a lost copy. */
static void expect_aliases(const KerbGraph *g, const KerbPlan *plan)
{
    for (int i = 0; i < g->n_nodes; i++) {
        const KerbNode *n = &g->nodes[i];
        if (n->op != KERB_OP_RESHAPE || plan->offsets[n->outputs[0]] == SIZE_MAX || plan->offsets[n->inputs[0]] == SIZE_MAX) continue;
        assert_true(plan->offsets[n->outputs[0]] == plan->offsets[n->inputs[0]]);
    }
}

static unsigned pick(unsigned n) { return (unsigned)((net_random() + 1) * 0.5f * (float)n) % n; }

/* A random network of 1-D tensors: unaries, binaries of two earlier values, splits, concats, reshapes. */
static KerbGraph *random_graph(unsigned seed)
{
    KerbGraph *g = net_new();
    uint32_t pool[200], out[2];
    int n = 0;
    net_seed = seed;
    pool[n++] = net_value(g, "24");
    pool[n++] = net_value(g, "24");
    for (int i = 0; i < 40; i++) {
        uint32_t a = pool[pick((unsigned)n)], b = pool[pick((unsigned)n)];
        net_set_outputs(g, IN(a));
        switch (pick(6)) {
        case 0: pool[n++] = UNARY(g, a, RELU); break;
        case 1: pool[n++] = NODE(g, KERB_OP_RESHAPE, IN(a, net_value(g, "[-1]")), .axis = 0); break;
        case 2:
            net_outputs(g, KERB_OP_SPLIT, (KerbAttrs){ .split = { 0 } }, 1, &a, 2, out);
            pool[n++] = NODE(g, KERB_OP_CONCAT, IN(out[0], out[1]), .axis = 0);
            break;
        case 3: /* a larger one, that is cut again */
            pool[n++] = NODE(g, KERB_OP_SLICE, IN(NODE(g, KERB_OP_CONCAT, IN(a, b, a), .axis = 0), net_value(g, "[5]"), net_value(g, "[29]")), .axis = 0);
            break;
        default: pool[n++] = BINARY(g, a, b, ADD); break;
        }
    }
    net_set_outputs(g, IN(pool[n - 1], pool[pick((unsigned)n - 2) + 2], pool[n - 3]));
    net_infer(g);
    return g;
}

static void test_random_graphs(void **state)
{
    for (unsigned seed = 1; seed <= 200; seed++) {
        KerbGraph *g = random_graph(seed);
        for (int mode = 0; mode < 8; mode++) {
            Sharing s = { .inplace = mode & 1, .alias = mode & 2 };
            KerbPlanOptions options = { .share = mode & 3 ? share : NULL, .bytes = mode & 4 ? odd_bytes : NULL, .user = &s };
            KerbPlan *plan = NULL;
            KerbError error = { 0 };
            if (kerb_plan_new(&plan, g, &options, &error) != KERB_OK) fail_msg("%s", error.message);
            play(g, plan, &s);
            if (s.alias) expect_aliases(g, plan);
            assert_true(plan->arena_bytes <= plan->sum_bytes);
            kerb_plan_free(&plan);
            assert_null(plan);
        }
        kerb_graph_free(&g);
    }
}

/* A chain needs two buffers, in place one; inputs and outputs stay. */
static void test_chain(void **state)
{
    KerbGraph *g = net_new();
    uint32_t x = net_value(g, "1x1x16x16"), y = x; /* 1 KiB each */
    for (int i = 0; i < 10; i++) y = UNARY(g, y, RELU);
    net_set_outputs(g, IN(y));
    net_infer(g);
    Sharing s = { .inplace = true };
    KerbPlanOptions options = { .share = share, .user = &s };
    KerbPlan *plan = NULL;
    assert_int_equal(kerb_plan_new(&plan, g, NULL, NULL), KERB_OK);
    assert_int_equal(plan->sum_bytes, 11 * 1024);
    assert_int_equal(plan->arena_bytes, 3 * 1024); /* the input, and two in turns, one of which ends as the output */
    assert_int_equal(plan->n, g->n_values);
    kerb_plan_free(&plan);
    assert_int_equal(kerb_plan_new(&plan, g, &options, NULL), KERB_OK);
    assert_int_equal(plan->arena_bytes, 2 * 1024); /* the input is not overwritten; all others share the output's place */
    kerb_plan_free(&plan);
    kerb_graph_free(&g);
}

/* Constants take no place; a graph without nodes is a plan too. */
static void test_nothing(void **state)
{
    KerbGraph *g = net_new();
    KerbPlan *plan = NULL;
    net_set_outputs(g, IN(net_value(g, "[1,2]")));
    net_infer(g);
    assert_int_equal(kerb_plan_new(&plan, g, NULL, NULL), KERB_OK);
    assert_int_equal(plan->arena_bytes, 0);
    assert_true(plan->offsets[0] == SIZE_MAX);
    kerb_plan_free(&plan);
    kerb_plan_free(&plan);
    kerb_graph_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_random_graphs), cmocka_unit_test(test_chain), cmocka_unit_test(test_nothing) };
    return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
