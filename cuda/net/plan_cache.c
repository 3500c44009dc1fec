/* SPDX-License-Identifier: MIT */
/* Plans as entries of a cache on disk (base/cache.h): what was found of the plan, then its JSON. */
#include "cuda/net/plans.h"

#include <string.h>

typedef struct KerbPlanRecord {
    int64_t engine;
    float ms;
    int32_t is_left;
} KerbPlanRecord;

KerbCache *kerb_plan_cache_open(const char *key) { return kerb_cache_open("plans", key, sizeof(KerbConvProblem)); }

bool kerb_plan_cache_find(const KerbCache *cache, const KerbConvProblem *problem, KerbPlanEntry *out)
{
    const void *data;
    size_t bytes;
    KerbPlanRecord r;
    if (!kerb_cache_find(cache, problem, &data, &bytes) || bytes < sizeof r) return false;
    memcpy(&r, data, sizeof r);
    *out = (KerbPlanEntry){ .problem = *problem, .is_left = r.is_left != 0, .ms = r.ms >= 0 && r.ms < 1e6f ? r.ms : 0, .engine = r.engine,
                            .json = (const char *)data + sizeof r, .json_bytes = bytes - sizeof r };
    return true;
}

void kerb_plan_cache_add(KerbCache *cache, const KerbPlanEntry *entry)
{
    const KerbPlanRecord r = { .engine = entry->engine, .ms = entry->ms, .is_left = entry->is_left };
    kerb_cache_add(cache, &entry->problem, &r, sizeof r, entry->json, entry->json_bytes);
}
