/* SPDX-License-Identifier: MIT */
#include "patterns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool add(Patterns *p, const KerbConvProblem *problem, const char *name)
{
    for (int i = 0; i < p->n; i++) {
        if (memcmp(&p->list[i].problem, problem, sizeof *problem) != 0) continue;
        p->list[i].count++;
        return true;
    }
    if (p->n == p->capacity) {
        int capacity = p->capacity ? 2 * p->capacity : 64;
        Pattern *grown = realloc(p->list, (size_t)capacity * sizeof *grown);
        if (!grown) return false;
        p->list = grown;
        p->capacity = capacity;
    }
    p->list[p->n++] = (Pattern){ *problem, name, 1, kerb_conv_is_depthwise(problem) };
    return true;
}

static bool add_node(void *user, const KerbNode *n, const KerbConvProblem *problem, const char *why)
{
    Patterns *p = user;
    if (!problem) {
        p->other++;
        snprintf(p->other_why, sizeof p->other_why, "%s", why);
        return true;
    }
    KerbConvProblem any = *problem; /* scales make no other pattern */
    if (any.y_scale != 1) any.y_scale = 0.5f;
    if (any.z_scale != 1) any.z_scale = 0.5f;
    return add(p, &any, n->name);
}

KerbStatus patterns_add(Patterns *patterns, const KerbGraph *g, KerbPrecision precision, KerbError *error)
{
    return kerb_conv_forecast(g, precision, add_node, patterns, error);
}

void patterns_free(Patterns *patterns)
{
    free(patterns->list);
    memset(patterns, 0, sizeof *patterns);
}

static const char *activation_name(const KerbConvProblem *p)
{
    static const char *const unaries[] = {
#define NAME(e, name) name,
        KERB_UNARIES(NAME)
#undef NAME
    };
    switch (p->act) {
    case KERB_ACT_UNARY: return p->unary >= 0 && p->unary < KERB_UNARY_COUNT ? unaries[p->unary] : "?";
    case KERB_ACT_CLIP: return "Clip";
    case KERB_ACT_PRELU: return "PRelu";
    default: return "";
    }
}

const char *pattern_text(const KerbConvProblem *p, char *text, size_t bytes)
{
    char type[32], group[24] = "", dilation[24] = "", pitch[48] = "";
    snprintf(type, sizeof type, "%s%s%s", p->tf32 ? "tf32" : kerb_dtype_name((KerbDtype)p->x_type), p->x_type != p->y_type ? "->" : "",
             p->x_type != p->y_type ? kerb_dtype_name((KerbDtype)p->y_type) : "");
    if (p->group > 1) snprintf(group, sizeof group, " groups %d", p->group);
    if (p->dilation[0] > 1 || p->dilation[1] > 1) snprintf(dilation, sizeof dilation, " dilation %dx%d", p->dilation[0], p->dilation[1]);
    if (p->x_pixel > p->c || p->y_pixel > p->k) snprintf(pitch, sizeof pitch, " in pitches %lld->%lld", (long long)p->x_pixel, (long long)p->y_pixel);
    const char *act = activation_name(p);
    snprintf(text, bytes, "%s %s %dx%d stride %d%s%s pads %d,%d,%d,%d %d->%d %dx%d%s%s%s%s%s", type, p->transposed ? "transposed" : "conv", p->kernel[0],
             p->kernel[1], p->stride[0], dilation, group, p->pad_begin[0], p->pad_begin[1], p->pad_end[0], p->pad_end[1], p->c, p->k, p->out_w, p->out_h, pitch,
             p->has_bias ? " +bias" : "", p->has_z ? " +residual" : "", act[0] ? " " : "", act);
    return text;
}
