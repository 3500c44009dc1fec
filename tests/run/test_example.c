/* SPDX-License-Identifier: MIT */
/* docs/example.c as a user runs it: built against libkerb.so and kerb.h alone, on a model of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "run_models.h"

static int example(const char *arguments, char *printed, size_t bytes)
{
    char command[1024];
    snprintf(command, sizeof command, "%s/bin/kerb-example %s 2>&1", getenv("KERB_BUILD"), arguments);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    printed[fread(printed, 1, bytes - 1, f)] = '\0';
    int status = pclose(f);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_invented_road(void **state)
{
    char printed[4096];
    write_model("net.onnx", &(TestModel){ 0 });
    if (example("net.onnx out.ppm", printed, sizeof printed) != 0) fail_msg("%s", printed);
    assert_non_null(strstr(printed, "scores"));
    assert_non_null(strstr(printed, "no model card"));
    FILE *f = fopen("out.ppm", "rb");
    int w, h;
    assert_non_null(f);
    assert_int_equal(fscanf(f, "P6 %d %d 255", &w, &h), 2);
    assert_int_equal(w, 640);
    fclose(f);
}

/* A picture in, the same picture with the bright half painted out. */
static void test_picture(void **state)
{
    char printed[4096];
    write_model("net.onnx", &(TestModel){ 0 });
    uint8_t rgb[32 * 16 * 3], out[sizeof rgb];
    for (int i = 0; i < 32 * 16; i++) memset(rgb + i * 3, i % 32 < 16 ? 10 : 240, 3);
    FILE *f = fopen("in.ppm", "wb");
    fprintf(f, "P6\n32 16\n255\n");
    fwrite(rgb, 1, sizeof rgb, f);
    fclose(f);
    if (example("net.onnx out.ppm in.ppm", printed, sizeof printed) != 0) fail_msg("%s", printed);
    f = fopen("out.ppm", "rb");
    assert_int_equal(fseek(f, -(long)sizeof out, SEEK_END), 0);
    assert_int_equal(fread(out, 1, sizeof out, f), sizeof out);
    fclose(f);
    for (int y = 0; y < 16; y++) {
        assert_memory_equal(out + y * 96, rgb + y * 96, 3 * 12);                /* dark: background */
        assert_memory_not_equal(out + y * 96 + 60, rgb + y * 96 + 60, 3 * 12);  /* bright: painted */
    }
}

static void test_errors(void **state)
{
    char printed[4096];
    assert_int_equal(example("", printed, sizeof printed), 2);
    assert_int_equal(example("nothing.onnx out.ppm", printed, sizeof printed), 3);
    assert_non_null(strstr(printed, "nothing.onnx"));
    write_text("in.ppm", "P5 no");
    assert_int_equal(example("net.onnx out.ppm in.ppm", printed, sizeof printed), 3);
    assert_int_equal(example("net.onnx /nowhere/out.ppm", printed, sizeof printed), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_invented_road), cmocka_unit_test(test_picture), cmocka_unit_test(test_errors)};
    return cmocka_run_group_tests(tests, run_setup, run_teardown);
}
