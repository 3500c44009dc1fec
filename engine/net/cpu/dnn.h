/* SPDX-License-Identifier: MIT */
/* oneDNN 2.6 (Debian 12) and 3.x (Debian 13) behind one C interface. In version 2 memory descriptors are structs and operation descriptors
 * come before primitive descriptors; in version 3 both are opaque handles and made directly. Only dnn.c and conv_dnn.c see oneDNN. One
 * thread calls at a time. */
#ifndef KERB_NET_CPU_DNN_H
#define KERB_NET_CPU_DNN_H

#include <stddef.h>

#include "kerb.h"

typedef struct KerbDnn KerbDnn; /* engine and stream */
KerbStatus kerb_dnn_new(KerbDnn **out, KerbError *error);
void kerb_dnn_free(KerbDnn **dnn);
/* "2.6.3" of the library that is loaded. */
const char *kerb_dnn_version(char *buffer, size_t bytes);

#endif
