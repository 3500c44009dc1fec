/* SPDX-License-Identifier: MIT */
/* `kerb devices`: where networks can run here, best first. */
#include "options.h"
#include "say.h"

#include <jansson.h>
#include <stdio.h>

#define MAX_DEVICES 16

static json_t *kerb_device_json(const KerbDevice *d)
{
    json_t *precisions = json_array();
    gchar **words = g_strsplit(d->precisions, " ", -1);
    for (gchar **word = words; *word; word++)
        if (**word) json_array_append_new(precisions, json_string(*word));
    g_strfreev(words);
    return json_pack("{s:s, s:s, s:b, s:s, s:o}", "name", d->name, "description", d->description, "usable", (int)d->usable, "remedy", d->remedy, "precisions",
                     precisions);
}

static int kerb_devices_run(const KerbCommand *command, int argc, char **argv)
{
    KerbOptions o;
    int exit_code;
    if (kerb_options_parse(command, &o, KERB_OPTIONS_JSON, NULL, argc, argv, &exit_code)) {
        exit_code = KERB_EXIT_OK;
        KerbDevice devices[MAX_DEVICES];
        int n = kerb_devices(devices, MAX_DEVICES);
        json_t *list = json_array();
        for (int i = 0; i < n; i++) {
            const KerbDevice *d = &devices[i];
            if (o.json) {
                json_array_append_new(list, kerb_device_json(d));
                continue;
            }
            printf("%-6s %s\n       %s%s\n", d->name, d->description, d->usable ? "precisions: " : "not usable: ", d->usable ? d->precisions : d->remedy);
        }
        if (o.json && (json_dumpf(list, stdout, JSON_INDENT(2)) || putchar('\n') == EOF)) exit_code = KERB_EXIT_STORAGE;
        json_decref(list);
        if (o.arguments[0]) {
            kerb_say("kerb devices takes no argument (\"%s\").", o.arguments[0]);
            exit_code = KERB_EXIT_USAGE;
        }
    }
    kerb_options_clear(&o);
    return exit_code;
}

const KerbCommand kerb_command_devices = {
    .name = "devices",
    .arguments = "",
    .summary = "List where networks can run on this machine",
    .description = "Examples:\n"
                   "  kerb devices           best first; what is not usable says why, and what to do\n"
                   "  kerb devices --json\n\n"
                   "The names are what --backend and the element's property backend take.\n",
    .run = kerb_devices_run,
};
