/* SPDX-License-Identifier: MIT */
/* The configuration at the front door: checked once, whole, before anything is read. The model that it does not name is found here. */
#ifndef KERB_RUN_CONFIG_H
#define KERB_RUN_CONFIG_H

#include "base/error.h"

#include <sched.h>

/* ARGUMENT with the value and what is allowed. NULL config too. */
KerbStatus kerb_config_check(const KerbConfig *config, KerbError *error);

/* The configuration to work with: `given`, checked, and with a model: where it names none, that of kerb_model_default(), whose path is kept in
 * `model` (and said in the log). Errors: those of both. */
KerbStatus kerb_config_complete(KerbConfig *out, const KerbConfig *given, char model[KERB_PATH_BYTES], KerbError *error);

/* Of a configuration that was checked: the cores that it names, in *named; NULL: none, or cores that were taken from this thread since. And its threads:
 * one a core where it does not say. */
const cpu_set_t *kerb_config_cores(const KerbConfig *config, cpu_set_t *named);
int kerb_config_threads(const KerbConfig *config, const cpu_set_t *cores);

#endif
