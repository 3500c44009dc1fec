/* SPDX-License-Identifier: MIT */
/* What an output is: scores, one score, or labels. Shared by the stripping pass and kerb_graph_find_heads(). */
#ifndef KERB_NET_HEAD_H
#define KERB_NET_HEAD_H

#include "net/passes/pass.h"

/* Completes a head whose name and value are set, with channel_axis where it is known (else -1). May put a Reshape behind the value to bring it
 * to four axes (then head->value and output `index` are that). `scores`: an argmax was taken off, so it is scores; `threshold`:
 * head->threshold is given. ASSET where the shape is neither. */
KerbStatus kerb_head_classify(KerbGraph *g, int index, KerbHead *head, bool scores, bool threshold, KerbError *error);

#endif
