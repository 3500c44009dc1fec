/* SPDX-License-Identifier: MIT */
/* `kerb inspect`: what a model is and what Kerb makes of it, on standard output. Runs nothing, but with --plan. */
#include "models.h"
#include "options.h"
#include "say.h"

#include <stdio.h>

static bool kerb_inspect_print(void *user, const char *text, size_t bytes)
{
    return fwrite(text, 1, bytes, stdout) == bytes;
}

static int kerb_inspect_run(const KerbCommand *command, int argc, char **argv)
{
    gboolean layers = FALSE, passes = FALSE, plan = FALSE;
    const GOptionEntry own[] = {
        { "layers", 0, 0, G_OPTION_ARG_NONE, &layers, "A line a layer: operator, shapes, GFLOP, weights", NULL },
        { "passes", 0, 0, G_OPTION_ARG_NONE, &passes, "The graph before and after every pass", NULL },
        { "plan", 0, 0, G_OPTION_ARG_NONE, &plan, "Runs it: how each step is computed, its time, its share of the peak", NULL },
        { 0 },
    };
    KerbOptions o;
    int exit_code;
    if (kerb_options_parse(command, &o, KERB_OPTIONS_NETWORK | KERB_OPTIONS_JSON, own, argc, argv, &exit_code)) {
        exit_code = KERB_EXIT_USAGE;
        if (!o.model && o.arguments[0]) o.model = g_strdup(kerb_options_single(command, &o, "MODEL"));
        else if (!o.model) o.model = kerb_model_find(TRUE, &exit_code); /* its first line says which file it is */
        if (o.model) {
            KerbConfig config;
            KerbError error = { 0 };
            unsigned flags = (layers ? KERB_INSPECT_LAYERS : 0) | (passes ? KERB_INSPECT_PASSES : 0) | (plan ? KERB_INSPECT_PLAN : 0) | (o.json ? KERB_INSPECT_JSON : 0);
            kerb_options_config(&o, &config);
            KerbStatus status = kerb_inspect(&config, flags, kerb_inspect_print, NULL, &error);
            if (fflush(stdout)) status = KERB_ERROR_STORAGE, g_strlcpy(error.message, "standard output cannot be written", sizeof error.message);
            if (status != KERB_OK) kerb_say("%s", error.message);
            exit_code = kerb_exit_code(status);
        }
    }
    kerb_options_clear(&o);
    return exit_code;
}

const KerbCommand kerb_command_inspect = {
    .name = "inspect",
    .arguments = "[MODEL]",
    .summary = "Say what a model is, and what Kerb makes of it",
    .description = "Examples:\n"
                   "  kerb inspect                                      the model that is used where none is named\n"
                   "  kerb inspect net.onnx                             operators, input, outputs, classes, GFLOP, memory\n"
                   "  kerb inspect net.onnx --layers --network-size 640x384\n"
                   "  kerb inspect net.onnx --passes                    the graph before and after each simplification\n"
                   "  kerb inspect net.onnx --plan --threads 1          which way each convolution takes, and its time here\n"
                   "  kerb inspect net.onnx --json | jq .classes\n\n"
                   "An operator that Kerb lacks is named with its nodes, all of them at once (exit code 3).\n",
    .run = kerb_inspect_run,
};
