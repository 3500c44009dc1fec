/* SPDX-License-Identifier: MIT */
/* The configuration at the front door: checked once, whole, before anything is read. */
#ifndef KERB_RUN_CONFIG_H
#define KERB_RUN_CONFIG_H

#include "base/error.h"

/* ARGUMENT with the value and what is allowed. NULL config or model_file too. */
KerbStatus kerb_config_check(const KerbConfig *config, KerbError *error);

#endif
