/* SPDX-License-Identifier: MIT */
/* `kerb devices`: where networks can run here, best first; and the cameras, with their modes. */
#include "camera.h"
#include "options.h"
#include "say.h"

#include <jansson.h>
#include <stdio.h>

#define MAX_DEVICES 32

static json_t *kerb_device_json(const KerbDevice *d)
{
    json_t *precisions = json_array();
    gchar **words = g_strsplit(d->precisions, " ", -1);
    for (gchar **word = words; *word; word++)
        if (**word) json_array_append_new(precisions, json_string(*word));
    g_strfreev(words);
    return json_pack("{s:s, s:i, s:s, s:b, s:s, s:o, s:b, s:o}", "name", d->name, "id", d->id, "description", d->description, "usable", (int)d->usable,
                     "remedy", d->remedy, "precisions", precisions, "integrated", (int)d->integrated, "memory_bytes",
                     d->memory_bytes ? json_integer((json_int_t)d->memory_bytes) : json_null());
}

/* Further GPUs have their number behind the name: it is what --device takes. */
static void kerb_device_print(const KerbDevice *d)
{
    gchar *name = d->id ? g_strdup_printf("%s %d", d->name, d->id) : g_strdup(d->name);
    printf("%-6s %s\n", name, d->description);
    if (d->memory_bytes) printf("       memory: %.1f GiB%s\n", (double)d->memory_bytes / (1 << 30), d->integrated ? ", shared with the processor: nothing is copied" : "");
    printf("       %s%s\n", d->usable ? "precisions: " : "not usable: ", d->usable ? d->precisions : d->remedy);
    g_free(name);
}

/* ------------------------------------------------------------------------------------------------------------- cameras */

static json_t *kerb_camera_json(const KerbCamera *c)
{
    json_t *modes = json_array();
    for (guint i = 0; i < c->modes->len; i++) {
        const KerbCameraMode *m = &g_array_index(c->modes, KerbCameraMode, i);
        gchar *format = kerb_camera_format_name(m->fourcc);
        json_array_append_new(modes, json_pack("{s:s, s:i, s:i, s:f, s:b}", "format", format, "width", m->width, "height", m->height, "fps", kerb_camera_mode_fps(m), "readable",
                                               kerb_camera_mode_is_readable(m)));
        g_free(format);
    }
    static const KerbCameraWish any = { 0 };
    gint chosen = kerb_camera_choose(c, &any, NULL);
    return json_pack("{s:s, s:s, s:s?, s:s, s:s, s:b, s:s?, s:b, s:i, s:o}", "name", c->name, "path", c->node, "stable_path", c->stable, "driver", c->driver, "bus", c->bus,
                     "usable", c->trouble == KERB_CAMERA_OK, "remedy", c->why, "own_buffers", (int)!c->userptr, "chosen_mode", chosen, "modes", modes);
}

/* Modes of one format and size share a line: their rates follow each other. */
static void kerb_camera_print(const KerbCamera *c)
{
    static const KerbCameraWish any = { 0 };
    gint chosen = kerb_camera_choose(c, &any, NULL);
    printf("%s %s (%s, %s)\n", c->stable ? c->stable : c->node, c->name, c->driver, c->bus);
    if (c->stable) printf("       now %s\n", c->node);
    if (c->why) printf("       not usable: %s\n", c->why);
    for (guint i = 0; i < c->modes->len;) {
        const KerbCameraMode *first = &g_array_index(c->modes, KerbCameraMode, i), *m = first;
        gchar *format = kerb_camera_format_name(first->fourcc), *size = g_strdup_printf("%d x %d", first->width, first->height);
        gboolean is_chosen = FALSE;
        printf("       %-6s %-12s", format, size);
        for (; i < c->modes->len; i++) {
            m = &g_array_index(c->modes, KerbCameraMode, i);
            if (m->fourcc != first->fourcc || m->width != first->width || m->height != first->height) break;
            if (m->fps_n) printf("%s%.4g", m == first ? "" : ", ", kerb_camera_mode_fps(m));
            is_chosen |= (gint)i == chosen;
        }
        printf("%s%s%s\n", first->fps_n ? " fps" : "", kerb_camera_mode_is_readable(first) ? "" : " (Kerb does not read this)", is_chosen ? "  <- chosen" : "");
        g_free(size);
        g_free(format);
    }
}

/* ------------------------------------------------------------------------------------------------------------- command */

static int kerb_devices_run(const KerbCommand *command, int argc, char **argv)
{
    KerbOptions o;
    int exit_code;
    if (kerb_options_parse(command, &o, KERB_OPTIONS_JSON, NULL, argc, argv, &exit_code)) {
        exit_code = KERB_EXIT_OK;
        KerbDevice devices[MAX_DEVICES];
        int n = MIN(kerb_devices(devices, MAX_DEVICES), MAX_DEVICES);
        json_t *list = json_array(), *found = json_array();
        for (int i = 0; i < n; i++) {
            const KerbDevice *d = &devices[i];
            if (o.json) {
                json_array_append_new(list, kerb_device_json(d));
                continue;
            }
            kerb_device_print(d);
        }
        GPtrArray *cameras = kerb_camera_list();
        for (guint i = 0; i < cameras->len; i++) {
            if (o.json)
                json_array_append_new(found, kerb_camera_json(cameras->pdata[i]));
            else
                kerb_camera_print(cameras->pdata[i]);
        }
        if (!o.json && !cameras->len) printf("no camera is plugged in\n");
        g_ptr_array_free(cameras, TRUE);
        json_t *root = json_pack("{s:o, s:o}", "backends", list, "cameras", found);
        if (o.json && (json_dumpf(root, stdout, JSON_INDENT(2)) || putchar('\n') == EOF)) exit_code = KERB_EXIT_STORAGE;
        json_decref(root);
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
    .summary = "List where networks can run on this machine, and its cameras",
    .description = "Examples:\n"
                   "  kerb devices           best first; what is not usable says why, and what to do\n"
                   "  kerb devices --json\n\n"
                   "The names of backends are what --backend and the element's property backend take, a number behind the name what --device and\n"
                   "cuda-device-id take; the first precision is what auto takes; paths of cameras are SOURCEs, and their modes what\n"
                   "--camera-format takes: MJPEG@1280x720@30. A path under /dev/v4l/by-id stays the same wherever the camera is plugged in.\n",
    .run = kerb_devices_run,
};
