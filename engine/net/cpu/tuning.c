/* SPDX-License-Identifier: MIT */
/* Which way computed a convolution fastest, as timing found it: in this compile, or in an earlier one on the same processor with as many threads (base/cache.h).
 * What the time for timing did not suffice for is found out at a later start. */
#include <stdio.h>
#include <string.h>

#include "base/cpu.h"
#include "net/cpu/conv.h"
#include "net/cpu/dnn.h"

typedef struct KerbTuned {
    char kind[24]; /* KerbConvKind.name */
    float ms;
} KerbTuned;

KerbStatus kerb_tuning_open(KerbCompiler *c)
{
    char key[512], name[128], flags[64], version[32];
    snprintf(key, sizeof key, "cpu, Kerb %d.%d.%d, oneDNN %s, %s, %s, %d threads", KERB_VERSION_MAJOR, KERB_VERSION_MINOR, KERB_VERSION_PATCH, kerb_dnn_version(version, sizeof version), kerb_cpu_name(name, sizeof name),
             kerb_cpu_flags_text(kerb_cpu_flags(), flags, sizeof flags), c->net->threads);
    c->tuning = kerb_cache_open("tuning", key, sizeof(KerbConvSpec));
    return c->tuning ? KERB_OK : kerb_cpu_no_memory(c, sizeof key);
}

void kerb_tuning_close(KerbCompiler *c)
{
    if (c->tuning && c->tuned) kerb_cache_save(c->tuning);
    kerb_cache_close(&c->tuning);
}

const KerbConvKind *kerb_tuning_find(const KerbCompiler *c, const KerbConvSpec *spec, const KerbConvKind *const *can, int n)
{
    const void *data;
    size_t bytes;
    KerbTuned tuned;
    if (!kerb_cache_find(c->tuning, spec, &data, &bytes) || bytes != sizeof tuned) return NULL;
    memcpy(&tuned, data, sizeof tuned);
    for (int i = 0; i < n; i++) {
        if (!strncmp(tuned.kind, can[i]->name, sizeof tuned.kind)) return can[i];
    }
    return NULL;
}

void kerb_tuning_add(KerbCompiler *c, const KerbConvSpec *spec, const KerbConvKind *kind, int64_t ns)
{
    KerbTuned tuned = {.ms = (float)((double)ns * 1e-6)};
    snprintf(tuned.kind, sizeof tuned.kind, "%s", kind->name);
    kerb_cache_add(c->tuning, spec, &tuned, sizeof tuned, NULL, 0);
    c->tuned = true;
}
