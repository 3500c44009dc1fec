/* SPDX-License-Identifier: MIT */
/* The front door of the command `kerb`: finds the subcommand and gives it the rest of the line. */
#include "options.h"
#include "say.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>

static const KerbCommand *const commands[] = { &kerb_command_record, &kerb_command_view,    &kerb_command_review, &kerb_command_bench,
                                              &kerb_command_eval,   &kerb_command_inspect, &kerb_command_calibrate, &kerb_command_devices };

static void kerb_print_help(void)
{
    puts("Usage: kerb SUBCOMMAND ...\n\n"
         "Kerb finds the road, and everything on it, in video.\n");
    for (gsize i = 0; i < G_N_ELEMENTS(commands); i++) printf("  %-9s %s\n", commands[i]->name, commands[i]->summary);
    puts("\n  kerb SUBCOMMAND --help   options and examples\n"
         "  kerb --version           version\n\n"
         "Examples:\n"
         "  kerb record drive.mp4 -o segmented.mkv\n"
         "  kerb record test: -o town.mkv --duration 10      a synthetic drive, no file needed\n\n"
         "Exit codes: 0 done (also after SIGINT, SIGTERM); 2 usage; 3 a model, video or other file cannot be used; 4 camera lost;\n"
         "5 a file cannot be written; 6 the backend failed; 7 internal; 130 the second SIGINT.");
}

static int kerb_unknown(const char *word)
{
    const char *names[G_N_ELEMENTS(commands) + 1] = { NULL };
    for (gsize i = 0; i < G_N_ELEMENTS(commands); i++) names[i] = commands[i]->name;
    const char *near = kerb_nearest(word, names);
    if (near)
        kerb_say("there is no subcommand \"%s\". Did you mean %s? `kerb --help` lists them.", word, near);
    else
        kerb_say("there is no subcommand \"%s\". `kerb --help` lists them.", word);
    return KERB_EXIT_USAGE;
}

int main(int argc, char **argv)
{
    setlocale(LC_ALL, "");
    setlocale(LC_NUMERIC, "C"); /* numbers are written and read with a point */
    if (argc < 2) {
        kerb_say("which subcommand? record, view, review, bench, eval, inspect, calibrate or devices; `kerb --help` says more.");
        return KERB_EXIT_USAGE;
    }
    const char *word = argv[1];
    if (!strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help")) {
        for (gsize i = 0; argc > 2 && i < G_N_ELEMENTS(commands); i++)
            if (!strcmp(argv[2], commands[i]->name)) return commands[i]->run(commands[i], 2, (char *[]){ argv[2], (char[]){ "--help" }, NULL });
        kerb_print_help();
        return KERB_EXIT_OK;
    }
    if (!strcmp(word, "--version")) {
        printf("kerb %s\n", kerb_version());
        return KERB_EXIT_OK;
    }
    for (gsize i = 0; i < G_N_ELEMENTS(commands); i++)
        if (!strcmp(word, commands[i]->name)) return commands[i]->run(commands[i], argc - 1, argv + 1);
    return kerb_unknown(word);
}
