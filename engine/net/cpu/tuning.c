/* SPDX-License-Identifier: MIT */
/* Which way computed a convolution fastest, as timing found it: in this compile, or in an earlier one on the same processor with as many threads (base/cache.h).
 * What the time for timing did not suffice for is found out at a later start. */
#include <stdio.h>
#include <string.h>

#include "base/cpu.h"
#include "net/cpu/conv.h"
#include "net/cpu/dnn.h"

/* An item's data: KerbConvKind.name, without its end. */

static KerbCache *kerb_tuning_open(const KerbCompiler *c)
{
    char key[512], name[128], flags[64], version[32];
    snprintf(key, sizeof key, "cpu, Kerb %d.%d.%d, oneDNN %s, %s, %s, %d threads", KERB_VERSION_MAJOR, KERB_VERSION_MINOR, KERB_VERSION_PATCH, kerb_dnn_version(version, sizeof version), kerb_cpu_name(name, sizeof name),
             kerb_cpu_flags_text(kerb_cpu_flags(), flags, sizeof flags), c->net->threads);
    return kerb_cache_open("tuning", key, sizeof(KerbConvSpec));
}

void kerb_tuning_close(KerbCompiler *c)
{
    if (c->tuning) kerb_cache_save(c->tuning);
    kerb_cache_close(&c->tuning);
}

const KerbConvKind *kerb_tuning_find(KerbCompiler *c, const KerbConvSpec *spec, const KerbConvKind *const *can, int n)
{
    const void *data;
    size_t bytes;
    if (!c->tuning) c->tuning = kerb_tuning_open(c);
    if (!c->tuning || !kerb_cache_find(c->tuning, spec, &data, &bytes)) return NULL;
    for (int i = 0; i < n; i++) {
        if (bytes == strlen(can[i]->name) && memcmp(data, can[i]->name, bytes) == 0) return can[i];
    }
    return NULL;
}

void kerb_tuning_add(KerbCompiler *c, const KerbConvSpec *spec, const KerbConvKind *kind)
{
    if (c->tuning) kerb_cache_add(c->tuning, spec, kind->name, strlen(kind->name), NULL, 0);
}
