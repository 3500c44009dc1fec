/* SPDX-License-Identifier: MIT */
/* Drawing without a network, and what a program needs for it: classes and a display. The work is out/'s. */
#include "out/classes.h"
#include "out/out.h"
#include "base/cpu.h"

#include <stdlib.h>
#include <string.h>

struct KerbDrawer {
    KerbVideoFormat format;
    KerbDraw *draw;
};

KERB_API KerbStatus kerb_drawer_new(KerbDrawer **out, const KerbVideoFormat *format, KerbError *error)
{
    kerb_error_clear(error);
    if (!out) return kerb_fail(error, KERB_ERROR_ARGUMENT, "kerb_drawer_new: no place for the drawer was given");
    *out = NULL;
    if (!format) return kerb_fail(error, KERB_ERROR_ARGUMENT, "kerb_drawer_new: no video format was given");
    KerbStatus status = kerb_video_format_check(format, error);
    if (status != KERB_OK) return status;
    KerbDrawer *drawer = calloc(1, sizeof *drawer);
    if (!drawer) return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for a drawer (%zu bytes)", sizeof *drawer);
    drawer->format = *format;
    status = kerb_draw_new(&drawer->draw, format, kerb_cpu_flags(), error);
    if (status != KERB_OK) kerb_drawer_free(&drawer);
    *out = drawer;
    return status;
}

KERB_API void kerb_drawer_draw(KerbDrawer *drawer, const KerbFrame *source, KerbMap labels, const KerbDisplay *display,
                               const KerbFrame *picture)
{
    kerb_draw_prepare(drawer->draw, display);
    kerb_draw_rows(drawer->draw, source, labels, picture, 0, drawer->format.height_px);
}

KERB_API void kerb_drawer_free(KerbDrawer **drawer)
{
    if (!drawer || !*drawer) return;
    kerb_draw_free(&(*drawer)->draw);
    free(*drawer);
    *drawer = NULL;
}

KERB_API KerbStatus kerb_classes_load(const char *name, KerbClass classes[KERB_MAX_CLASSES], int *n, KerbError *error)
{
    kerb_error_clear(error);
    *n = 0;
    if (!name || !name[0]) return kerb_fail(error, KERB_ERROR_ARGUMENT, "no labels file or palette was named");
    KerbClassTable *table = calloc(1, sizeof *table);
    if (!table) return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for a class table (%zu bytes)", sizeof *table);
    KerbStatus status = KERB_OK;
    if (!kerb_classes_builtin(table, name)) {
        status = kerb_classes_read(table, name, error);
        if (status == KERB_ERROR_ASSET && !strpbrk(name, "./"))
            status = kerb_fail(error, status, "\"%s\" is neither a palette (%s) nor a labels file that can be read", name,
                               kerb_classes_builtin_names());
    }
    if (status == KERB_OK) {
        *n = table->n;
        memcpy(classes, table->classes, (size_t)table->n * sizeof classes[0]);
    }
    free(table);
    return status;
}

KERB_API void kerb_display_init(KerbDisplay *display, const KerbClass *classes, int n)
{
    *display = (KerbDisplay){ .visualize = KERB_VISUALIZE_OVERLAY, .alpha = 0.5f };
    for (int i = 0; i < n && i < KERB_MAX_CLASSES; i++) {
        display->enabled[i] = !classes[i].is_background;
        memcpy(display->rgb[i], classes[i].rgb, sizeof display->rgb[i]);
    }
}
