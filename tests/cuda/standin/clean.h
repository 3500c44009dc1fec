/* SPDX-License-Identifier: MIT */
/* cmocka's teardown for tests on the stand-in: nothing is alive that was made, and nothing was done that no correct program does. */
#ifndef KERB_STANDIN_CLEAN_H
#define KERB_STANDIN_CLEAN_H

#include "standin.h"

#include <stdio.h>

static inline int kerb_standin_is_clean(void **state)
{
    static char text[8192];
    (void)state;
    int leaks = kerb_standin_leaks(text, sizeof text);
    if (leaks) fprintf(stderr, "alive:\n%s", text);
    int misuses = kerb_standin_misuses(text, sizeof text);
    if (misuses) fprintf(stderr, "misuse:\n%s", text);
    return leaks || misuses;
}

#endif
