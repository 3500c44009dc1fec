/* SPDX-License-Identifier: MIT */
/* The configuration at the front door: checked once, whole, before anything is read. The model that it does not name is found here. */
#ifndef KERB_RUN_CONFIG_H
#define KERB_RUN_CONFIG_H

#include "base/error.h"

/* ARGUMENT with the value and what is allowed. NULL config too. */
KerbStatus kerb_config_check(const KerbConfig *config, KerbError *error);

/* The configuration to work with: `given`, checked, and with a model: where it names none, that of kerb_model_default(), whose path is kept in
 * `model` (and said in the log). Errors: those of both. */
KerbStatus kerb_config_complete(KerbConfig *out, const KerbConfig *given, char model[KERB_PATH_BYTES], KerbError *error);

#endif
