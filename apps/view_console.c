/* SPDX-License-Identifier: MIT */
/* The console's screen and keyboard; see view_console.h. */
#include "view_console.h"
#include "say.h"

#include <SDL.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

/* What this user may do with a kind of device nodes. */
typedef struct KerbViewNodes {
    gchar *opened, *denied; /* the first of each, or NULL */
} KerbViewNodes;

static KerbViewNodes kerb_view_nodes_try(const char *folder, const char *prefix, int flags)
{
    KerbViewNodes nodes = { 0 };
    GDir *dir = g_dir_open(folder, 0, NULL);
    for (const gchar *name; dir && (name = g_dir_read_name(dir));) {
        if (!g_str_has_prefix(name, prefix)) continue;
        gchar *path = g_build_filename(folder, name, NULL);
        int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK);
        gchar **as = fd >= 0 ? &nodes.opened : errno == EACCES || errno == EPERM ? &nodes.denied : NULL;
        if (as && !*as) *as = g_steal_pointer(&path);
        if (fd >= 0) close(fd);
        g_free(path);
    }
    if (dir) g_dir_close(dir);
    return nodes;
}

static void kerb_view_nodes_clear(KerbViewNodes *nodes)
{
    g_free(nodes->opened);
    g_free(nodes->denied);
}

/* "/dev/dri/card0, which is for the group video: ...". */
static gchar *kerb_view_node_remedy(const gchar *path, const gchar *usual_group)
{
    struct stat node;
    const struct group *group = !stat(path, &node) && node.st_gid ? getgrgid(node.st_gid) : NULL;
    const gchar *name = group ? group->gr_name : usual_group;
    return g_strdup_printf("%s, which is for the group %s: `sudo usermod -aG %s %s`, and log in again", path, name, name, g_get_user_name());
}

void kerb_view_console_prepare(void)
{
    KerbViewNodes keyboards = kerb_view_nodes_try("/dev/input", "event", O_RDONLY);
    if (!keyboards.opened) SDL_setenv("SDL_INPUT_LINUX_KEEP_KBD", "1", 1);
    kerb_view_nodes_clear(&keyboards);
}

gboolean kerb_view_console_is_used(void)
{
    const char *driver = SDL_GetCurrentVideoDriver();
    if (!driver || g_ascii_strcasecmp(driver, "kmsdrm")) return FALSE;
    KerbViewNodes keyboards = kerb_view_nodes_try("/dev/input", "event", O_RDONLY);
    if (!keyboards.opened && keyboards.denied) {
        gchar *remedy = kerb_view_node_remedy(keyboards.denied, "input");
        kerb_warn("keys do nothing, Ctrl-C ends the view: they come from %s.", remedy);
        g_free(remedy);
    }
    kerb_view_nodes_clear(&keyboards);
    return TRUE;
}

gchar *kerb_view_console_trouble(void)
{
    KerbViewNodes cards = kerb_view_nodes_try("/dev/dri", "card", O_RDWR);
    gchar *text;
    if (cards.opened) {
        text = g_strdup_printf("%s has no screen that is on, or another program (a desktop) holds it: `sudo systemctl isolate multi-user.target` ends that", cards.opened);
    } else if (cards.denied) {
        gchar *remedy = kerb_view_node_remedy(cards.denied, "video");
        text = g_strdup_printf("SDL needs %s", remedy);
        g_free(remedy);
    } else {
        text = g_strdup("SDL needs a graphics card with a KMS/DRM driver, and /dev/dri has none");
    }
    kerb_view_nodes_clear(&cards);
    return text;
}
