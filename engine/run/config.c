/* SPDX-License-Identifier: MIT */
/* Configuration: defaults and the check at the front door. What depends on the model is checked in model.c. */
#include "run/config.h"

#include "base/cpu.h"
#include "base/log.h"
#include "out/classes.h"

#include <math.h>
#include <string.h>

KERB_API const char *kerb_version(void) { return KERB_VERSION; }

KERB_API void kerb_config_init(KerbConfig *config)
{
    *config = (KerbConfig){ .slots = 2, .tune = true, .confidence = true, .std = { 1, 1, 1 } };
}

static KerbStatus check_range(const char *what, int value, int lo, int hi, const char *hint, KerbError *error)
{
    if (value >= lo && value <= hi) return KERB_OK;
    return kerb_fail(error, KERB_ERROR_ARGUMENT, "%s is %d, but must be %d to %d%s", what, value, lo, hi, hint);
}

static KerbStatus check_norm(const KerbConfig *c, KerbError *error)
{
    for (int i = 0; i < 3 && c->has_norm; i++) {
        if (!isfinite(c->mean[i]) || !isfinite(c->std[i]))
            return kerb_fail(error, KERB_ERROR_ARGUMENT, "mean %g and std %g of channel %d must be finite numbers", (double)c->mean[i],
                             (double)c->std[i], i);
        if (c->std[i] <= 0)
            return kerb_fail(error, KERB_ERROR_ARGUMENT,
                             "std of channel %d is %g, but must be greater than 0: the input is (value - mean) / std", i,
                             (double)c->std[i]);
    }
    return KERB_OK;
}

static bool names_cores(const KerbConfig *c) { return c->cpu_list && c->cpu_list[0]; }

KerbStatus kerb_config_check(const KerbConfig *c, KerbError *error)
{
    if (!c) return kerb_fail(error, KERB_ERROR_ARGUMENT, "no configuration was given; start from kerb_config_init()");
    const struct { const char *what; int value, lo, hi; const char *hint; } ranges[] = {
        { "threads", c->threads, 0, 256, " (0: one a core)" },
        { "slots", c->slots, 1, KERB_MAX_SLOTS, " (2: double buffering)" },
        { "network width", c->network_width_px, 0, KERB_MAX_SIDE_PX, " (0: the model's)" },
        { "network height", c->network_height_px, 0, KERB_MAX_SIDE_PX, " (0: the model's)" },
        { "fit", (int)c->fit, KERB_FIT_AUTO, KERB_FIT_CROP, ": a value of KerbFit" },
        { "color", (int)c->color, KERB_COLOR_AUTO, KERB_COLOR_GRAY, ": a value of KerbColor" },
        { "smoothing", (int)c->smoothing, KERB_SMOOTHING_OFF, KERB_SMOOTHING_STRONG, ": a value of KerbSmoothing" },
        { "precision", (int)c->precision, KERB_PRECISION_AUTO, KERB_PRECISION_INT8, ": a value of KerbPrecision" },
        { "device id", c->device_id, 0, 63, ": `kerb devices` lists them" },
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        KerbStatus status = check_range(ranges[i].what, ranges[i].value, ranges[i].lo, ranges[i].hi, ranges[i].hint, error);
        if (status != KERB_OK) return status;
    }
    KerbClassTable table;
    if (c->palette && !kerb_classes_builtin(&table, c->palette))
        return kerb_fail(error, KERB_ERROR_ARGUMENT,
                         "there is no palette \"%s\"; there are: %s; for a file of your own use the labels file", c->palette,
                         kerb_classes_builtin_names());
    cpu_set_t cores;
    KerbStatus status = names_cores(c) ? kerb_cpu_list(&cores, c->cpu_list, error) : KERB_OK;
    return status == KERB_OK ? check_norm(c, error) : status;
}

KerbStatus kerb_config_complete(KerbConfig *out, const KerbConfig *given, char model[KERB_PATH_BYTES], KerbError *error)
{
    KerbStatus status = kerb_config_check(given, error);
    if (status != KERB_OK) return status;
    *out = *given;
    if (given->model_file && given->model_file[0]) return KERB_OK;
    status = kerb_model_default(model, error);
    if (status != KERB_OK) return status;
    kerb_log(KERB_LOG_INFO, "no model was named: %s is taken", model);
    out->model_file = model;
    return KERB_OK;
}

const cpu_set_t *kerb_config_cores(const KerbConfig *config, cpu_set_t *named)
{
    return names_cores(config) && kerb_cpu_list(named, config->cpu_list, NULL) == KERB_OK ? named : NULL;
}

int kerb_config_threads(const KerbConfig *config, const cpu_set_t *cores)
{
    if (config->threads) return config->threads;
    return cores ? CPU_COUNT(cores) : kerb_cpu_count();
}
