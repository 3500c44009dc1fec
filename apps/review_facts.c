/* SPDX-License-Identifier: MIT */
/* The facts of a recording: cues of its subtitle track, one a second. Enters: the text of a cue, from a file that anybody may have written. Leaves:
 * numbers that are finite, and names. Knows nothing of Matroska. */
#include "review.h"

#include <math.h>
#include <string.h>

void kerb_review_facts_clear(KerbReviewFacts *facts)
{
    for (guint i = 0; facts->shares && i < facts->shares->len; i++) g_free(g_array_index(facts->shares, KerbReviewShare, i).name);
    if (facts->shares) g_array_free(facts->shares, TRUE);
    g_free(facts->event);
    *facts = (KerbReviewFacts){ 0 };
}

gchar *kerb_review_facts_name(const gchar *name)
{
    gchar *out = g_strdup(name);
    return g_strcanon(out, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "_-", '_');
}

/* A whole word that is a number, or NAN. */
static gdouble kerb_review_number(const gchar *text, const gchar *unit)
{
    gchar *end;
    gdouble value = g_ascii_strtod(text, &end);
    return end == text || strcmp(end, unit) || !isfinite(value) || value < 0 ? (gdouble)NAN : value;
}

static gboolean kerb_review_facts_word(KerbReviewFacts *facts, const gchar *key, const gchar *value)
{
    const struct {
        const gchar *key;
        gdouble *to;
    } numbers[] = { { "fps", &facts->fps },               { "encode_fps", &facts->encode_fps }, { "age_p50_ms", &facts->age_p50_ms },
                    { "age_max_ms", &facts->age_max_ms }, { "gap_ms", &facts->gap_ms },         { "t", &facts->said_s } };
    for (gsize i = 0; i < G_N_ELEMENTS(numbers); i++) {
        if (strcmp(key, numbers[i].key)) continue;
        *numbers[i].to = kerb_review_number(value, "");
        return !isnan(*numbers[i].to);
    }
    if (!strcmp(key, "event")) {
        g_free(facts->event);
        facts->event = g_strdup(value);
        return *value != 0;
    }
    gdouble percent = kerb_review_number(value, "%");
    if (isnan(percent)) return FALSE;
    KerbReviewShare share = { g_strdup(key), MIN(percent, 100) };
    g_array_append_val(facts->shares, share);
    return TRUE;
}

gboolean kerb_review_facts_parse(KerbReviewFacts *facts, const gchar *text, gsize bytes)
{
    gboolean any = FALSE;
    *facts = (KerbReviewFacts){ .fps = NAN, .encode_fps = NAN, .age_p50_ms = NAN, .age_max_ms = NAN, .gap_ms = NAN, .said_s = NAN };
    facts->shares = g_array_new(FALSE, FALSE, sizeof(KerbReviewShare));
    gchar *line = g_utf8_make_valid(text, (gssize)bytes);
    gchar **words = g_strsplit_set(line, " \t\r\n", -1);
    for (gchar **word = words; *word; word++) {
        gchar *value = strchr(*word, '=');
        if (!value || value == *word) continue;
        *value++ = 0;
        if (kerb_review_facts_word(facts, *word, value)) any = TRUE;
    }
    g_strfreev(words);
    g_free(line);
    if (!any) kerb_review_facts_clear(facts);
    return any;
}
