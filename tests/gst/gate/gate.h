/* SPDX-License-Identifier: MIT */
/* A backend module whose runs wait at a gate, so that tests decide when a network is done. It is ref otherwise, and passes for kerb-cpu.so:
 * KERB_MODULE_PATH puts it in that one's place. Tests dlopen() the same file and find these functions there. */
#ifndef KERB_TESTS_GST_GATE_H
#define KERB_TESTS_GST_GATE_H

#include "kerb.h"

typedef struct Gate {
    void (*reset)(int open);           /* counts from 0 again; open: nobody waits */
    int (*entered)(int n, int ms);     /* waits until n runs have begun since reset, at most ms; whether they have */
    void (*let)(int n);                /* n more may end */
    void (*refuse)(KerbStatus status); /* what runs return from now on */
} Gate;

/* The module exports one Gate under the name "kerb_gate". */

#endif
