/* SPDX-License-Identifier: MIT */
/* How results are drawn, as properties that kerbseg and kerboverlay share: visualize, alpha, palette, selected-classes.
 *
 * In: property values and the classes. Out: a KerbDisplay, or a complaint. No locks: the elements hold theirs around each call. */
#ifndef KERB_PLUGIN_LOOK_H
#define KERB_PLUGIN_LOOK_H

#include "kerb.h"
#include <glib-object.h>

typedef struct KerbLook {
    KerbVisualize visualize;
    gdouble alpha;
    gchar *palette;  /* NULL: the classes' own colours */
    gchar *selected; /* "all", "none", or names and indices between commas; never NULL */
} KerbLook;

/* Offsets from the first of the property ids that an element sets aside. */
enum { KERB_LOOK_VISUALIZE, KERB_LOOK_ALPHA, KERB_LOOK_PALETTE, KERB_LOOK_SELECTED, KERB_LOOK_PROPERTIES };

void kerb_look_init(KerbLook *look);
void kerb_look_clear(KerbLook *look);
void kerb_look_install(GObjectClass *klass, guint first_id);

/* Takes one property. FALSE: the value does not fit the classes (n = 0: not known yet, checked when they are); nothing changed, and
 * *complaint (g_free() it) says why and what would do. */
gboolean kerb_look_set(KerbLook *look, guint which, const GValue *value, const KerbClass *classes, int n, gchar **complaint);
void kerb_look_get(const KerbLook *look, guint which, GValue *value);

/* The display for these classes. FALSE where palette or selected-classes do not fit: *display then has the classes' own colours or all
 * classes in their place, and *complaint says so. */
gboolean kerb_look_display(const KerbLook *look, const KerbClass *classes, int n, KerbDisplay *display, gchar **complaint);

#endif
