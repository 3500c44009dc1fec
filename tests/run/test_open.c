/* SPDX-License-Identifier: MIT */
/* The front door: every wrong configuration, model, card, labels file and backend is refused with a status and a message that names the
 * values. */
#include "run/pipeline.h"

#include "base/log.h"

#include <dirent.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "run_models.h"

static char said[8192]; /* the log of the last open */

static void keep_log(void *user, KerbLogLevel level, const char *line)
{
    size_t n = strlen(said);
    snprintf(said + n, sizeof said - n, "%d %s\n", (int)level, line);
}

static KerbConfig plain(void)
{
    KerbConfig config;
    kerb_config_init(&config);
    config.model_file = "net.onnx";
    config.backend = "ref";
    return config;
}

/* Words are separated by '|'; all must be in the text. */
static void expect_words(const char *text, const char *words)
{
    char list[512];
    snprintf(list, sizeof list, "%s", words);
    for (char *save, *word = strtok_r(list, "|", &save); word; word = strtok_r(NULL, "|", &save))
        if (!strstr(text, word)) fail_msg("\"%s\" does not say \"%s\"", text, word);
}

static void refused(const KerbConfig *config, KerbStatus status, const char *words)
{
    KerbPipeline *k = (void *)1;
    KerbError error;
    KerbStatus got = kerb_open(&k, config, &error);
    if (got != status) fail_msg("%s (%s), but expected %s: %s", kerb_status_name(got), error.message, kerb_status_name(status), words);
    assert_null(k);
    assert_int_equal(error.status, status);
    expect_words(error.message, words);
    assert_int_equal(kerb_open(&k, config, NULL), status); /* without a place for the message too */
}

static KerbPipeline *accepted(const KerbConfig *config)
{
    said[0] = '\0';
    KerbPipeline *k;
    KerbError error;
    if (kerb_open(&k, config, &error) != KERB_OK) fail_msg("%s", error.message);
    return k;
}

static void with_card(const TestModel *model, const char *card, KerbStatus status, const char *words)
{
    write_model("net.onnx", model);
    write_text("net.json", card);
    KerbConfig config = plain();
    if (status != KERB_OK) {
        refused(&config, status, words);
    } else {
        KerbPipeline *k = accepted(&config);
        expect_words(said, words);
        kerb_close(&k);
    }
    unlink("net.json");
}

/* Cores of every thread of this process but the caller, as the kernel lists them. */
static int threads_that_keep_to(const char *list, int *others)
{
    int kept = 0;
    *others = 0;
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    for (struct dirent *entry; (entry = readdir(tasks));) {
        if (entry->d_name[0] == '.' || atoi(entry->d_name) == getpid()) continue;
        char path[300], line[256], cores[200] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/status", entry->d_name);
        FILE *file = fopen(path, "r");
        if (!file) continue; /* ended meanwhile */
        while (fgets(line, sizeof line, file)) sscanf(line, "Cpus_allowed_list: %199s", cores);
        fclose(file);
        if (strcmp(cores, list) == 0) kept++;
        else ++*others;
    }
    closedir(tasks);
    return kept;
}

/* cpu-list: all threads of the pipeline keep to it, also those that a format starts; the caller's own cores are as before. */
static void test_cores(void **state)
{
    cpu_set_t mine, after;
    assert_int_equal(sched_getaffinity(0, sizeof mine, &mine), 0);
    size_t last = CPU_SETSIZE - 1;
    while (!CPU_ISSET(last, &mine)) last--;
    char list[16];
    snprintf(list, sizeof list, "%zu", last);
    write_model("net.onnx", &(TestModel){ 0 });
    int others_before, others;
    threads_that_keep_to("none", &others_before); /* a sanitizer's own */
    KerbConfig config = plain();
    config.backend = "cpu";
    config.cpu_list = list;
    KerbPipeline *k = accepted(&config);
    assert_int_equal(k->threads, 1); /* one for each */
    kerb_close(&k);
    config.threads = 3;
    k = accepted(&config);
    KerbVideoFormat format = { .pixel_format = KERB_FORMAT_RGB, .width_px = 64, .height_px = 48 };
    assert_int_equal(kerb_set_format(k, &format, NULL), KERB_OK);
    int kept = threads_that_keep_to(list, &others);
    if (CPU_COUNT(&mine) > 1) {
        assert_true(kept >= 5); /* two each of the pool and of the network, and the ring's */
        assert_int_equal(others, others_before);
    }
    assert_int_equal(sched_getaffinity(0, sizeof after, &after), 0);
    assert_true(CPU_EQUAL(&mine, &after));
    kerb_close(&k);
}

static void test_config(void **state)
{
    write_model("net.onnx", &(TestModel){ 0 });
    KerbPipeline *k;
    KerbError error;
    assert_int_equal(kerb_open(&k, NULL, &error), KERB_ERROR_ARGUMENT);
    assert_int_equal(kerb_open(NULL, NULL, &error), KERB_ERROR_ARGUMENT);
    KerbConfig c = plain();
    c.threads = 257;
    refused(&c, KERB_ERROR_ARGUMENT, "threads|257|256");
    c = plain(), c.threads = -1;
    refused(&c, KERB_ERROR_ARGUMENT, "threads|-1");
    static const char *const no_lists[] = { "0-", "-1", "1,,0", "a", "0,", "3-1", "0x1", " 0", "99999999999999999999" };
    for (size_t i = 0; i < sizeof no_lists / sizeof no_lists[0]; i++) c = plain(), c.cpu_list = no_lists[i], refused(&c, KERB_ERROR_ARGUMENT, "no list of cores|0-3,6");
    c = plain(), c.cpu_list = "0-1023";
    refused(&c, KERB_ERROR_ARGUMENT, "0-1023|may use");
    c = plain(), c.slots = 0;
    refused(&c, KERB_ERROR_ARGUMENT, "slots|0|1 to 8");
    c = plain(), c.slots = KERB_MAX_SLOTS + 1;
    refused(&c, KERB_ERROR_ARGUMENT, "slots|9");
    c = plain(), c.network_width_px = -5;
    refused(&c, KERB_ERROR_ARGUMENT, "network width|-5");
    c = plain(), c.network_height_px = 20000;
    refused(&c, KERB_ERROR_ARGUMENT, "network height|20000");
    c = plain(), c.fit = (KerbFit)9;
    refused(&c, KERB_ERROR_ARGUMENT, "fit|9");
    c = plain(), c.color = (KerbColor)-1;
    refused(&c, KERB_ERROR_ARGUMENT, "color");
    c = plain(), c.precision = (KerbPrecision)7;
    refused(&c, KERB_ERROR_ARGUMENT, "precision");
    c = plain(), c.palette = "sunset";
    refused(&c, KERB_ERROR_ARGUMENT, "sunset|cityscapes|labels file");
    c = plain(), c.has_norm = true, c.std[0] = c.std[1] = 1, c.std[2] = 0;
    refused(&c, KERB_ERROR_ARGUMENT, "std|channel 2|greater than 0");
    c.std[2] = __builtin_nanf("");
    refused(&c, KERB_ERROR_ARGUMENT, "finite");
    c = plain(), c.backend = "gpu";
    refused(&c, KERB_ERROR_ARGUMENT, "gpu|auto, cuda, cpu, ref");
    c = plain(), c.precision = KERB_PRECISION_BF16;
    c.network_width_px = c.network_height_px = 32;
    refused(&c, KERB_ERROR_ARGUMENT, "ref|bf16|f32");
    c = plain(), c.color = KERB_COLOR_GRAY;
    refused(&c, KERB_ERROR_ARGUMENT, "GRAY|3 channels");
    c = plain(), c.card_file = "elsewhere.json";
    refused(&c, KERB_ERROR_ASSET, "elsewhere.json|no such file");
    c = plain(), c.labels_file = "elsewhere.txt";
    refused(&c, KERB_ERROR_ASSET, "elsewhere.txt|no such file");
    write_model("net.onnx", &(TestModel){ .width = 64, .height = 32 });
    c = plain(), c.network_width_px = 128;
    refused(&c, KERB_ERROR_ARGUMENT, "width|64|128|dynamic");
}

static void write_input_model(int type, int rank, const int64_t dims[])
{
    OnnxWriter w = { 0 };
    onnx_input(&w, "picture", type, rank, dims);
    onnx_node(&w, "Relu", "r", "picture", "scores");
    onnx_output(&w, "scores", type, rank, dims);
    assert_true(onnx_save(&w, 14, "net.onnx"));
}

static void test_inputs(void **state)
{
    KerbConfig c = plain();
    unlink("net.onnx");
    refused(&c, KERB_ERROR_ASSET, "net.onnx|no such file");
    write_text("net.onnx", "");
    refused(&c, KERB_ERROR_ASSET, "net.onnx|empty");
    c.model_file = "/tmp";
    refused(&c, KERB_ERROR_ASSET, "/tmp|folder");
    c = plain();
    write_input_model(ONNX_F32, 2, (int64_t[]){ 1, 1000 });
    refused(&c, KERB_ERROR_ASSET, "picture|1x1000|not a picture");
    write_input_model(ONNX_F32, 5, (int64_t[]){ 1, 3, 4, 8, 8 });
    refused(&c, KERB_ERROR_ASSET, "1x3x4x8x8|not a picture");
    write_input_model(ONNX_F32, 4, (int64_t[]){ 1, 7, 8, 8 });
    refused(&c, KERB_ERROR_ASSET, "1x7x8x8|channels");
    write_input_model(ONNX_F32, 4, (int64_t[]){ 4, 3, 8, 8 });
    refused(&c, KERB_ERROR_ASSET, "4x3x8x8|batch of 4|batch size 1");
    write_input_model(ONNX_F32, 4, (int64_t[]){ 1, 3, 0, 8 });
    refused(&c, KERB_ERROR_ASSET, "1x3x0x8|16384");
    write_input_model(ONNX_F32, 4, (int64_t[]){ 1, 3, 8, 100000 });
    refused(&c, KERB_ERROR_ASSET, "16384");
    write_input_model(ONNX_I64, 4, (int64_t[]){ 1, 3, 8, 8 });
    refused(&c, KERB_ERROR_ASSET, "i64|u8");
    OnnxWriter w = { 0 };
    onnx_input(&w, "left", ONNX_F32, 4, (int64_t[]){ 1, 3, 8, 8 });
    onnx_input(&w, "right", ONNX_F32, 4, (int64_t[]){ 1, 3, 8, 8 });
    onnx_node(&w, "Add", "a", "left right", "scores");
    onnx_output(&w, "scores", ONNX_F32, 4, (int64_t[]){ 1, 3, 8, 8 });
    assert_true(onnx_save(&w, 13, "net.onnx"));
    refused(&c, KERB_ERROR_ASSET, "2 inputs|left|right|one picture");
}

static void test_card_contradictions(void **state)
{
    const TestModel free_size = {0}, fixed = {.width = 64, .height = 32}, gray = {.channels = 1}, five = {.classes = 5},
                    two = {.outputs = 2};
    with_card(&fixed, "{\"input\": {\"width\": 640}}", KERB_ERROR_ASSET, "net.json|640|64|correct the card");
    with_card(&fixed, "{\"input\": {\"height\": 30}}", KERB_ERROR_ASSET, "net.json|30|32");
    with_card(&gray, "{\"input\": {\"color\": \"BGR\"}}", KERB_ERROR_ASSET, "net.json|BGR|1 channel");
    with_card(&free_size, "{\"input\": {\"color\": \"gray\"}}", KERB_ERROR_ASSET, "GRAY|3 channels");
    with_card(&gray, "{\"input\": {\"mean\": [0, 0, 0]}}", KERB_ERROR_ASSET, "3 values|1 channel");
    with_card(&free_size, "{\"input\": {\"std\": [1, 0, 1]}}", KERB_ERROR_ASSET, "std 0|channel 1|greater than 0");
    with_card(&free_size, "{\"input\": {\"mean\": [123.7, 116, 103]}}", KERB_ERROR_ASSET, "123.7|\"scale\": 1");
    with_card(&free_size, "{\"input\": {\"mean\": [0.5, 0.5]}}", KERB_ERROR_ASSET, "mean|3 numbers");
    with_card(&free_size, "{\"input\": {\"mean\": \"ImageNet\"}}", KERB_ERROR_ASSET, "mean|numbers");
    with_card(&free_size, "{\"input\": {\"width\": \"wide\"}}", KERB_ERROR_ASSET, "width|a text|a number");
    with_card(&free_size, "{\"input\": {\"width\": 12.5}}", KERB_ERROR_ASSET, "width|12.5|whole");
    with_card(&free_size, "{\"input\": {\"width\": 0}}", KERB_ERROR_ASSET, "width|0|between");
    with_card(&free_size, "{\"input\": {\"longer_side\": 0}}", KERB_ERROR_ASSET, "longer_side|0|between");
    with_card(&free_size, "{\"input\": {\"fit\": \"zoom\"}}", KERB_ERROR_ASSET, "zoom|stretch, letterbox, crop");
    with_card(&fixed, "{\"input\": {\"layout\": \"NHWC\"}}", KERB_ERROR_ASSET, "1x3x32x64|the card says which axis");
    with_card(&free_size, "{\"input\": 5}", KERB_ERROR_ASSET, "input|a number|an object");
    with_card(&free_size, "{\"outputs\": [{\"name\": \"mask\"}]}", KERB_ERROR_ASSET, "mask|\"scores\"");
    with_card(&free_size, "{\"outputs\": [{}, {}]}", KERB_ERROR_ASSET, "2 outputs|has 1");
    with_card(&two, "{\"outputs\": [{\"name\": \"scores\"}, {\"name\": \"scores\"}]}", KERB_ERROR_ASSET, "scores|twice");
    with_card(&free_size, "{\"outputs\": []}", KERB_ERROR_ASSET, "outputs|1 to 8");
    with_card(&free_size, "{\"outputs\": [7]}", KERB_ERROR_ASSET, "outputs|objects");
    with_card(&free_size, "{\"outputs\": [{\"threshold\": 1.5}]}", KERB_ERROR_ASSET, "threshold|1.5");
    with_card(&free_size, "{\"outputs\": [{\"probabilities\": \"yes\"}]}", KERB_ERROR_ASSET, "probabilities|true or false");
    with_card(&five, "{\"classes\": [{\"name\": \"a\"}, {\"name\": \"b\"}]}", KERB_ERROR_ASSET, "2 classes|5|map");
    with_card(&two, "{\"classes\": [{\"name\": \"a\"}, {\"name\": \"b\"}]}", KERB_ERROR_ASSET, "2 classes|2 outputs|need 3");
    with_card(&free_size, "{\"classes\": [{\"title\": \"a\"}]}", KERB_ERROR_ASSET, "net.json|name");
    with_card(&free_size, "{\"classes\": \"road\"}", KERB_ERROR_ASSET, "classes|a text");
    with_card(&five, "{\"classes\": [{\"name\": \"a\"}], \"outputs\": [{\"classes\": [0, 0, 0]}]}", KERB_ERROR_ASSET, "lists 3|5");
    with_card(&free_size, "{\"classes\": [{\"name\": \"a\"}], \"outputs\": [{\"classes\": [\"a\", \"tree\"]}]}", KERB_ERROR_ASSET,
              "tree|1 classes");
    with_card(&free_size, "{\"classes\": [{\"name\": \"a\"}], \"outputs\": [{\"classes\": [0, 1]}]}", KERB_ERROR_ASSET,
              "class 1|1 classes");
    with_card(&free_size, "{\"classes\": [{\"name\": \"a\"}], \"outputs\": [{\"classes\": [0, -1]}]}", KERB_ERROR_ASSET, "class -1");
    with_card(&free_size, "{\"palette\": \"sunset\"}", KERB_ERROR_ASSET, "net.json|sunset|cityscapes");
    with_card(&five, "{\"palette\": \"road\"}", KERB_ERROR_ASSET, "road|2 colours|5");
    with_card(&free_size, "{\"card\": 2}", KERB_ERROR_ASSET, "version 2");
    with_card(&free_size, "{\"input\": {\"width\": 32,}}", KERB_ERROR_ASSET, "net.json:1:|JSON");
    with_card(&free_size, "{\"name\": \"a\", \"name\": \"b\"}", KERB_ERROR_ASSET, "duplicate");
    with_card(&free_size, "[1]", KERB_ERROR_ASSET, "one JSON object");
    with_card(&free_size, "", KERB_ERROR_ASSET, "net.json");
    with_card(&free_size, "{\"input\": {\"colour\": \"RGB\"}, \"labels\": 3, \"$comment\": 1}", KERB_OK, "input.colour|\"labels\"|color");
    assert_null(strstr(said, "$comment"));
}

/* Every beginning of a card, and cards with bytes changed: refused or read, never anything else. */
static void test_damaged_cards(void **state)
{
    static const char card[] =
        "{\"card\": 1, \"input\": {\"width\": 64, \"color\": \"RGB\", \"mean\": [0.5, 0.5, 0.5], \"std\": 0.25, \"fit\": \"crop\"},"
        " \"outputs\": [{\"name\": \"scores\", \"classes\": [\"a\", 1], \"threshold\": 0.25}],"
        " \"classes\": [{\"name\": \"a\", \"color\": [1, 2, 3], \"id\": 4}, {\"name\": \"b\", \"color\": \"#102030\"}], \"accuracy\": "
        "{\"x\": 1}}";
    write_model("net.onnx", &(TestModel){ .width = 64, .height = 32 });
    KerbConfig c = plain();
    unsigned seed = 20;
    int read = 0, refused_ones = 0;
    for (size_t i = 0; i < sizeof card - 1 + 400; i++) {
        char text[sizeof card];
        memcpy(text, card, sizeof card);
        if (i < sizeof card - 1) text[i] = '\0';
        else text[(size_t)rand_r(&seed) % (sizeof card - 1)] = (char)(32 + rand_r(&seed) % 95);
        write_text("net.json", text);
        KerbPipeline *k;
        KerbError error;
        KerbStatus status = kerb_open(&k, &c, &error);
        if (status != KERB_OK && status != KERB_ERROR_ASSET) fail_msg("%s of %s", kerb_status_name(status), text);
        assert_true((status == KERB_OK) == (k != NULL) && (k || error.message[0]));
        read += status == KERB_OK;
        refused_ones += status != KERB_OK;
        kerb_close(&k);
    }
    print_message("%d read, %d refused\n", read, refused_ones);
    assert_true(read > 10 && refused_ones > (int)sizeof card - 2);
    unlink("net.json");
}

static void test_labels_files(void **state)
{
    write_model("net.onnx", &(TestModel){ .classes = 3 });
    KerbConfig c = plain();
    c.labels_file = "labels.txt";
    write_text("labels.txt", "sky 1 2 3\nroad 4 5 6\n");
    refused(&c, KERB_ERROR_ASSET, "labels.txt|names 2|needs 3|add 1");
    write_text("labels.txt", "sky 1 2 3\nroad 4 5\n");
    refused(&c, KERB_ERROR_ASSET, "labels.txt:2");
    write_text("labels.txt", "sky 1 2 3\nroad 4 5 6\ncar 7 8 9\nbike 1 1 1\n");
    KerbPipeline *k = accepted(&c);
    expect_words(said, "names 4|has 3|last 1");
    int n;
    const KerbClass *classes = kerb_classes(k, &n);
    assert_int_equal(n, 3);
    assert_string_equal(classes[2].name, "car");
    assert_int_equal(classes[2].rgb[1], 8);
    kerb_close(&k);
    c.palette = "cityscapes"; /* the names of the file, the colours of the palette */
    k = accepted(&c);
    classes = kerb_classes(k, &n);
    assert_string_equal(classes[0].name, "sky");
    assert_memory_equal(classes[0].rgb, ((uint8_t[]){ 128, 64, 128 }), 3);
    kerb_close(&k);
    c.palette = "road";
    refused(&c, KERB_ERROR_ASSET, "road|2 colours|3");
}

static void test_classes_without_labels_file(void **state)
{
    int n;
    write_model("net.onnx", &(TestModel){ .classes = 19 });
    KerbConfig c = plain();
    c.palette = "cityscapes";
    KerbPipeline *k = accepted(&c);
    assert_string_equal(kerb_classes(k, &n)[0].name, "road");
    assert_int_equal(n, 19);
    kerb_close(&k);
    c.palette = NULL;
    k = accepted(&c);
    expect_words(said, "no model card|19 invented|RGB|/ 255|net.json|docs/models.md");
    assert_string_equal(kerb_classes(k, &n)[3].name, "class 3");
    kerb_close(&k);
    write_model("net.onnx", &(TestModel){ .outputs = 3 });
    k = accepted(&c);
    expect_words(said, "3 outputs|over earlier");
    const KerbClass *classes = kerb_classes(k, &n);
    assert_int_equal(n, 4);
    assert_true(classes[0].is_background);
    assert_string_equal(classes[3].name, "scores2");
    kerb_close(&k);
    write_model("net.onnx", &(TestModel){ .outputs = 3, .classes = 4 });
    k = accepted(&c);
    expect_words(said, "only the first of 3 outputs");
    kerb_classes(k, &n);
    assert_int_equal(n, 4);
    kerb_close(&k);
}

static void test_precedence(void **state)
{
    TestModel m = {.width = 64,
                   .height = 32,
                   .metadata = {"kerb.input.color", "BGR", "kerb.input.mean", "[0.5, 0.25, 0]", "kerb.input.fit", "crop", "kerb.classes",
                                "[{\"name\": \"no\"}, {\"name\": \"yes\"}]"}};
    write_model("net.onnx", &m);
    KerbConfig c = plain();
    KerbPipeline *k = accepted(&c);
    const KerbModelInput *in = &k->model->input;
    int n;
    assert_int_equal(in->color, KERB_COLOR_BGR);
    assert_int_equal(in->fit, KERB_FIT_CROP);
    assert_true(in->mean[0] == 127.5f && in->mean[1] == 63.75f && in->std[2] == 255);
    assert_string_equal(kerb_classes(k, &n)[1].name, "yes");
    assert_string_equal(said, ""); /* nothing had to be assumed */
    kerb_close(&k);
    write_text("net.json", "{\"input\": {\"color\": \"RGB\", \"scale\": 1, \"std\": 2}}");
    k = accepted(&c);
    in = &k->model->input;
    assert_int_equal(in->color, KERB_COLOR_RGB);
    assert_int_equal(in->fit, KERB_FIT_CROP); /* the metadata's, where the card says nothing */
    assert_true(in->mean[0] == 0.5f && in->std[0] == 2);
    kerb_close(&k);
    c.color = KERB_COLOR_BGR, c.fit = KERB_FIT_LETTERBOX, c.has_norm = true;
    for (int i = 0; i < 3; i++) c.mean[i] = 7, c.std[i] = 9;
    k = accepted(&c);
    in = &k->model->input;
    assert_int_equal(in->color, KERB_COLOR_BGR);
    assert_int_equal(in->fit, KERB_FIT_LETTERBOX);
    assert_true(in->mean[0] == 7 && in->std[0] == 9);
    kerb_close(&k);
    unlink("net.json");
    write_text("other.json", "{\"input\": {\"color\": \"RGB\"}}");
    c = plain(), c.card_file = "other.json";
    k = accepted(&c);
    assert_int_equal(k->model->input.color, KERB_COLOR_RGB);
    kerb_close(&k);
    m.metadata[0] = "kerb.card", m.metadata[1] = "{\"input\": {\"color\": \"BGR\"}}", m.metadata[2] = NULL;
    write_model("net.onnx", &m);
    c = plain();
    k = accepted(&c);
    assert_int_equal(k->model->input.color, KERB_COLOR_BGR);
    kerb_close(&k);
    m.metadata[0] = "kerb.input.width", m.metadata[1] = "65";
    write_model("net.onnx", &m);
    refused(&c, KERB_ERROR_ASSET, "net.onnx's metadata|65|64");
}

/* In the build tree a sound module stands behind the broken one: it is taken. */
static void test_backends(void **state)
{
    write_model("net.onnx", &(TestModel){ .width = 32, .height = 32 });
    char *path = getenv("KERB_MODULE_PATH") ? strdup(getenv("KERB_MODULE_PATH")) : NULL;
    write_text("kerb-cpu.so", "this is no library");
    setenv("KERB_MODULE_PATH", run_folder, 1);
    KerbDevice devices[16]; /* a GPU's place, or several, then the others */
    int n = kerb_devices(devices, 0);
    assert_in_range(n, 3, 16);
    assert_int_equal(kerb_devices(devices, 16), n);
    assert_string_equal(devices[0].name, "cuda");
    for (int i = 0; i < n - 2; i++) assert_int_equal(devices[i].id, i);
    assert_string_equal(devices[n - 2].name, "cpu");
    assert_string_equal(devices[n - 1].name, "ref");
    assert_true(devices[n - 1].usable);
    assert_int_equal(devices[n - 1].id, 0);
    unlink("kerb-cpu.so");
    if (path) setenv("KERB_MODULE_PATH", path, 1);
    else unsetenv("KERB_MODULE_PATH");
    free(path);
}

static void expect_no_cpu(const char *why)
{
    KerbDevice devices[4];
    assert_int_equal(kerb_devices(devices, 4), 3);
    assert_string_equal(devices[1].name, "cpu");
    assert_false(devices[1].usable);
    expect_words(devices[1].description, "processor");
    expect_words(devices[1].remedy, why);
    KerbConfig c = plain();
    c.backend = "cpu";
    char words[256];
    snprintf(words, sizeof words, "cpu|cannot be used|%s", why);
    refused(&c, KERB_ERROR_BACKEND, words);
    c.backend = "auto";
    KerbPipeline *k = accepted(&c);
    expect_words(said, "slow");
    expect_words(said, why);
    KerbStats s;
    kerb_get_stats(k, &s);
    assert_string_equal(s.backend, "ref (f32)");
    kerb_close(&k);
}

/* Nobody asked for the GPU, and none is promised: auto does not speak of a module that is not there. Who asks is told. */
static void expect_no_cuda(void)
{
    KerbDevice devices[4];
    kerb_devices(devices, 4);
    assert_string_equal(devices[0].name, "cuda");
    assert_false(devices[0].usable);
    expect_words(devices[0].description, "NVIDIA GPU");
    expect_words(devices[0].remedy, "kerb-cuda.so|not installed|KERB_MODULE_PATH|cuDNN");
    KerbConfig c = plain();
    c.backend = "cuda";
    refused(&c, KERB_ERROR_BACKEND, "cuda|cannot be used|not installed");
    c.backend = "auto";
    KerbPipeline *k = accepted(&c);
    if (strstr(said, "cuda") || strstr(said, "GPU")) fail_msg("auto speaks of a GPU: %s", said);
    expect_words(said, "backend auto: ref");
    kerb_close(&k);
}

/* Without a sound module anywhere: this program's copy in a folder of its own, because modules are also looked for beside libkerb. */
static void test_backends_alone(void **state)
{
    write_model("net.onnx", &(TestModel){ .width = 32, .height = 32 });
    expect_no_cpu("not installed|KERB_MODULE_PATH");
    expect_no_cuda();
    write_text("kerb-cpu.so", "this is no library");
    expect_no_cpu("kerb-cpu.so|cannot be loaded");
    unlink("kerb-cpu.so");
    assert_int_equal(symlink(getenv("KERB_FOREIGN_MODULE"), "kerb-cpu.so"), 0);
    expect_no_cpu("kerb-cpu.so|not of this libkerb|install both");
    unlink("kerb-cpu.so");
}

static void test_no_module(void **state)
{
    char self[512] = "", copy[128], command[2048];
    assert_true(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    snprintf(copy, sizeof copy, "%s/alone/bin/test", run_folder);
    snprintf(command, sizeof command, "mkdir -p alone/bin alone/work && cp '%s' %s && cd alone/work && KERB_MODULE_PATH=$PWD %s alone", self, copy, copy);
    if (access(KERB_MODULE_DIR "/kerb-cpu.so", F_OK) == 0) skip(); /* Kerb is installed: its module is always found */
    assert_int_equal(system(command), 0);
}

static void test_words(void **state)
{
    assert_string_equal(kerb_version(), "0.1.0");
    assert_int_equal(kerb_exit_code(KERB_ERROR_ASSET), 3);
    KerbClass classes[KERB_MAX_CLASSES];
    KerbError error;
    int n;
    assert_int_equal(kerb_classes_load("voc", classes, &n, &error), KERB_OK);
    assert_int_equal(n, 21);
    assert_int_equal(kerb_classes_load("sunset", classes, &n, &error), KERB_ERROR_ASSET);
    expect_words(error.message, "sunset|neither|cityscapes");
    assert_int_equal(n, 0);
    assert_int_equal(kerb_classes_load("", classes, &n, &error), KERB_ERROR_ARGUMENT);
    KerbDrawer *drawer;
    assert_int_equal(kerb_drawer_new(&drawer, &(KerbVideoFormat){ .pixel_format = KERB_FORMAT_RGB }, &error), KERB_ERROR_ARGUMENT);
    assert_null(drawer);
    assert_int_equal(kerb_drawer_new(&drawer, &(KerbVideoFormat){.pixel_format = KERB_FORMAT_RGB, .width_px = 3, .height_px = 1}, &error),
                     KERB_OK);
    uint8_t source[9] = { 10, 20, 30, 10, 20, 30, 10, 20, 30 }, picture[9], labels[3] = { 0, 1, KERB_LABEL_NONE };
    KerbDisplay display;
    kerb_classes_load("road", classes, &n, &error);
    kerb_display_init(&display, classes, n);
    display.alpha = 1;
    kerb_drawer_draw(drawer, &(KerbFrame){ .planes = { source }, .strides = { 9 } }, (KerbMap){ labels, 3 }, &display,
                     &(KerbFrame){ .planes = { picture }, .strides = { 9 } });
    assert_memory_equal(picture, source, 3);
    assert_memory_equal(picture + 3, classes[1].rgb, 3);
    assert_memory_equal(picture + 6, source, 3);
    kerb_drawer_free(&drawer);
    kerb_drawer_free(&drawer);
}

/* auto takes a quantised model's integers where they are fast, else it says that it does not; who asks for integers of a float model is told how to get them. */
static void test_quantised(void **state)
{
    write_model("net.onnx", &(TestModel){ .width = 64, .height = 32 });
    write_quantised_model("quantised.onnx", 64, 32);
    KerbDevice devices[4];
    kerb_devices(devices, 4);
    KerbConfig c = plain();
    c.backend = devices[1].usable ? "cpu" : "ref";
    c.precision = KERB_PRECISION_INT8;
    refused(&c, KERB_ERROR_ARGUMENT, devices[1].usable ? "int8|quantised|kerb calibrate --model" : "ref|int8|f32");
    c.model_file = "quantised.onnx";
    static const KerbPrecision precisions[] = { KERB_PRECISION_AUTO, KERB_PRECISION_INT8, KERB_PRECISION_F32 };
    const char *const words[] = { devices[1].fast_int8 ? "cpu|int8" : "cpu|f32", "cpu|int8", "cpu|f32" };
    for (int i = 0; i < 3; i++) {
        if (!devices[1].usable && precisions[i] == KERB_PRECISION_INT8) continue;
        KerbStats s;
        *said = 0;
        c.precision = precisions[i];
        KerbPipeline *k = accepted(&c);
        kerb_get_stats(k, &s);
        expect_words(s.backend, devices[1].usable ? words[i] : "ref|f32");
        assert_int_equal(strstr(said, "not rounded") != NULL, !i && devices[1].usable && !devices[1].fast_int8);
        kerb_close(&k);
    }
}

int main(int argc, char **argv)
{
    kerb_set_log(keep_log, NULL, KERB_LOG_INFO);
    if (argc > 1) {
        const struct CMUnitTest alone[] = { cmocka_unit_test(test_backends_alone) };
        return cmocka_run_group_tests(alone, NULL, NULL); /* in the folder where it was started */
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config),
        cmocka_unit_test(test_cores),
        cmocka_unit_test(test_inputs),
        cmocka_unit_test(test_card_contradictions),
        cmocka_unit_test(test_damaged_cards),
        cmocka_unit_test(test_labels_files),
        cmocka_unit_test(test_classes_without_labels_file),
        cmocka_unit_test(test_precedence),
        cmocka_unit_test(test_backends),
        cmocka_unit_test(test_no_module),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_quantised),
    };
    return cmocka_run_group_tests(tests, run_setup, run_teardown);
}
