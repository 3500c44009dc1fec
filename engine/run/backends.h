/* SPDX-License-Identifier: MIT */
/* Which backends there are: ref is built in, the others are modules that are looked for at run time. */
#ifndef KERB_RUN_BACKENDS_H
#define KERB_RUN_BACKENDS_H

#include "net/backend.h"

#define KERB_MAX_BACKENDS 4

/* A backend that may be used, and the module that it lives in (NULL: built in or somebody else's). */
typedef struct KerbBackendChoice {
    const KerbBackend *backend;
    void *module;
    KerbDevice device;
} KerbBackendChoice;

/* What to try for a name ("auto", NULL: auto, "cuda", "cpu", "ref"), best first; *n of them. device_id: which of the backend's devices, where it has
 * several. Errors: ARGUMENT (no such name; lists the names), BACKEND (a named one cannot be used; says why). Auto says once which it takes and why
 * not a better one: a warning where something can be done about it (a GPU whose driver is too old; no module but ref, which is slow), otherwise info. */
KerbStatus kerb_backends_choose(const char *name, int device_id, KerbBackendChoice choices[KERB_MAX_BACKENDS], int *n, KerbError *error);
void kerb_backends_release(KerbBackendChoice *choices, int n);

/* The precision to compile graph `g` for, and g made ready for it: see KERB_PRECISION_AUTO, which may take the rounding out of a quantised graph. ARGUMENT
 * where the device cannot do the precision that is wanted. */
KerbStatus kerb_backend_precision(const KerbBackendChoice *choice, KerbGraph *g, KerbPrecision wanted, KerbPrecision *out, KerbError *error);

/* "cpu (oneDNN 2.6.3, f32)". */
void kerb_backend_text(const KerbBackendChoice *choice, KerbPrecision precision, char *text, size_t bytes);

#endif
