/* SPDX-License-Identifier: MIT */
/* GPUs that are not here, as cuDNN wants to be told of them. */
#ifndef KERB_TESTS_PLANS_DEVICES_H
#define KERB_TESTS_PLANS_DEVICES_H

#include "cuda/base/cuda.h"

/* false: no such compute capability is known. json: at least 1024 bytes. */
bool device_describe(int sm, KerbCudaDevice *device, char *json, size_t bytes);
const char *device_list(void); /* "75, 80, ..." */

#endif
