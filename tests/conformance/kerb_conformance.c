/* SPDX-License-Identifier: MIT */
/* kerb-conformance: runs folders of ONNX backend cases on a backend, and says which fail. See --help. */
#include <dirent.h>
#include <getopt.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "case.h"
#include "run/backends.h"

enum { EXIT_ALL_PASSED = 0, EXIT_SOME_FAILED = 1, EXIT_USAGE = 2 };

static const char help[] =
    "Usage: kerb-conformance [OPTION...] DIR...\n"
    "Runs ONNX backend cases: folders with model.onnx and test_data_set_N/{input,output}_M.pb. DIR is a case, or\n"
    "holds cases at any depth.\n"
    "\n"
    "  --backend NAME  ref (default), or a module (cpu), found as the library finds it: KERB_MODULE_PATH names its folder\n"
    "  --only OP       only cases with a node of this ONNX operator type (Conv, Relu, ...)\n"
    "  --no-passes     run the graph as it was imported, not optimised\n"
    "  --errata        also run the cases whose expected values are known to be wrong (otherwise skipped, with the reason)\n"
    "  --least N       fail unless at least N cases pass\n"
    "  --threads N     threads of the backend (default 1)\n"
    "  --verbose       a line for every case, not only for those that fail\n"
    "  --json          one JSON object on standard output; the summary goes to standard error\n"
    "\n"
    "Floats may differ by 1e-7 + 1e-3 * |expected| (onnx.backend.test's tolerance), bfloat16 by one unit; integers, quantised\n"
    "ones too, must be equal.\n"
    "Models with operators that Kerb or the backend lacks are skipped. The last line is `N passed, N failed, N skipped`.\n"
    "Exit code: 0 none failed, 1 some failed (or fewer passed than asked for), 2 wrong usage.\n"
    "\n"
    "Example: kerb-conformance --backend cpu --only Resize onnx/onnx/backend/test/data/node\n";

typedef struct Options {
    CaseOptions run;
    bool verbose, json;
    int least;
} Options;

typedef struct Reason {
    char *text;
    int count;
} Reason;

typedef struct Totals {
    int passed, failed, skipped, found;
    Reason *reasons; /* of skipping */
    int n_reasons;
    json_t *cases;
} Totals;

static int usage_error(const char *format, const char *value)
{
    fprintf(stderr, "kerb-conformance: ");
    fprintf(stderr, format, value);
    fprintf(stderr, "\nTry: kerb-conformance --help\n");
    return EXIT_USAGE;
}

/* ---- results */

static void count_reason(Totals *t, const char *text, size_t n)
{
    for (int i = 0; i < t->n_reasons; i++) {
        if (strlen(t->reasons[i].text) != n || strncmp(t->reasons[i].text, text, n)) continue;
        t->reasons[i].count++;
        return;
    }
    Reason *more = realloc(t->reasons, (size_t)(t->n_reasons + 1) * sizeof *more);
    if (!more) return;
    t->reasons = more;
    t->reasons[t->n_reasons++] = (Reason){ strndup(text, n), 1 };
}

/* By operator where operators are the reason: a case that lacks two counts for both. */
static void count_reasons(Totals *t, const CaseResult *r)
{
    if (!r->operators[0]) {
        count_reason(t, r->detail, strcspn(r->detail, "\n"));
        return;
    }
    for (const char *p = r->operators; *p;) {
        size_t n = strcspn(p, ",");
        count_reason(t, p, n);
        p += n;
        p += strspn(p, ", ");
    }
}

static void report_case(const char *folder, const CaseResult *r, const Options *o, Totals *t)
{
    static const char *const names[] = { "passed", "failed", "skipped" };
    const char *slash = strrchr(folder, '/'), *name = slash ? slash + 1 : folder;
    int *const counts[] = { &t->passed, &t->failed, &t->skipped };
    ++*counts[r->outcome];
    if (r->outcome == CASE_SKIPPED) count_reasons(t, r);
    if (o->json) {
        json_array_append_new(t->cases, json_pack("{s:s, s:s, s:s}", "name", name, "outcome", names[r->outcome], "detail", r->detail));
    } else if (r->outcome == CASE_FAILED || o->verbose) {
        printf("%s %s%s%s\n", names[r->outcome], name, r->detail[0] ? ": " : "", r->detail);
        fflush(stdout);
    }
}

static int by_count(const void *a, const void *b)
{
    const Reason *x = a, *y = b;
    return x->count != y->count ? y->count - x->count : strcmp(x->text, y->text);
}

static void report_totals(const Options *o, Totals *t)
{
    if (t->n_reasons) qsort(t->reasons, (size_t)t->n_reasons, sizeof *t->reasons, by_count);
    if (o->json) {
        json_t *reasons = json_object();
        for (int i = 0; i < t->n_reasons; i++) json_object_set_new(reasons, t->reasons[i].text, json_integer(t->reasons[i].count));
        json_t *all = json_pack("{s:s, s:i, s:i, s:i, s:o, s:o}", "backend", o->run.backend->name, "passed", t->passed, "failed", t->failed,
                                "skipped", t->skipped, "skipped_by", reasons, "cases", json_incref(t->cases));
        json_dumpf(all, stdout, JSON_INDENT(2));
        printf("\n");
        json_decref(all);
    } else {
        for (int i = 0; i < t->n_reasons; i++) printf("skipped %d: %s\n", t->reasons[i].count, t->reasons[i].text);
    }
    fflush(stdout);
    fprintf(o->json ? stderr : stdout, "%d passed, %d failed, %d skipped\n", t->passed, t->failed, t->skipped);
}

static void totals_free(Totals *t)
{
    for (int i = 0; i < t->n_reasons; i++) free(t->reasons[i].text);
    free(t->reasons);
    json_decref(t->cases);
}

/* ---- finding cases */

static bool is_folder(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

static int visible_folder(const struct dirent *entry) { return entry->d_name[0] != '.'; }

/* Runs the case, or those below, in the order of their names. */
static void run_folder(const char *folder, const Options *o, Totals *t, int depth)
{
    char path[PATH_MAX + 300];
    snprintf(path, sizeof path, "%s/model.onnx", folder);
    if (access(path, F_OK) == 0) {
        CaseResult result;
        case_run(folder, &o->run, &result);
        if (result.outcome != CASE_NOT_CHOSEN) report_case(folder, &result, o, t);
        t->found++;
        return;
    }
    struct dirent **entries = NULL;
    int n = depth < 16 ? scandir(folder, &entries, visible_folder, alphasort) : 0; /* deeper: a loop of links */
    for (int i = 0; i < n; i++) {
        if (strlen(folder) + strlen(entries[i]->d_name) + 2 < PATH_MAX) {
            snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
            if (is_folder(path)) run_folder(path, o, t, depth + 1);
        }
        free(entries[i]);
    }
    free(entries);
}

/* ---- the command line */

static bool read_count(const char *text, int *out)
{
    char *end;
    long v = strtol(text, &end, 10);
    *out = (int)v;
    return end != text && *end == '\0' && v >= 0 && v <= 100000;
}

/* Goes on with -1; otherwise the exit code. */
static int read_options(int argc, char **argv, Options *o, const char **backend)
{
    enum { OPTION_BACKEND = 1, OPTION_ONLY, OPTION_NO_PASSES, OPTION_ERRATA, OPTION_LEAST, OPTION_THREADS };
    static const struct option options[] = {
        { "backend", required_argument, NULL, OPTION_BACKEND }, { "only", required_argument, NULL, OPTION_ONLY },
        { "no-passes", no_argument, NULL, OPTION_NO_PASSES },   { "errata", no_argument, NULL, OPTION_ERRATA },
        { "least", required_argument, NULL, OPTION_LEAST },
        { "threads", required_argument, NULL, OPTION_THREADS }, { "verbose", no_argument, NULL, 'v' },
        { "json", no_argument, NULL, 'j' },                     { "help", no_argument, NULL, 'h' },
        { 0 },
    };
    for (int option; (option = getopt_long(argc, argv, "vjh", options, NULL)) != -1;) {
        switch (option) {
        case OPTION_BACKEND: *backend = optarg; break;
        case OPTION_ONLY: o->run.only = optarg; break;
        case OPTION_NO_PASSES: o->run.passes = false; break;
        case OPTION_ERRATA: o->run.errata = true; break;
        case OPTION_LEAST: if (!read_count(optarg, &o->least)) return usage_error("--least takes a number, not \"%s\"", optarg); break;
        case OPTION_THREADS:
            if (!read_count(optarg, &o->run.threads) || o->run.threads < 1)
                return usage_error("--threads takes a number of at least 1, not \"%s\"", optarg);
            break;
        case 'v': o->verbose = true; break;
        case 'j': o->json = true; break;
        case 'h': fputs(help, stdout); return EXIT_ALL_PASSED;
        default: fprintf(stderr, "Try: kerb-conformance --help\n"); return EXIT_USAGE;
        }
    }
    return -1;
}

static void log_line(void *user, KerbLogLevel level, const char *line) { fprintf(stderr, "%s\n", line); }

int main(int argc, char **argv)
{
    kerb_set_log(log_line, NULL, KERB_LOG_WARNING); /* KERB_LOG=debug: what the backend makes of each node */
    Options o = { .run = { .passes = true, .threads = 1 } };
    const char *backend = "ref";
    int code = read_options(argc, argv, &o, &backend);
    if (code >= 0) return code;
    if (optind == argc) return usage_error("%s", "no DIR is given");
    for (int i = optind; i < argc; i++)
        if (!is_folder(argv[i])) return usage_error("\"%s\" is not a folder", argv[i]);
    KerbBackendChoice choices[KERB_MAX_BACKENDS];
    KerbError error = { 0 };
    int n_choices;
    if (kerb_backends_choose(backend, 0, choices, &n_choices, &error) != KERB_OK) return usage_error("%s", error.message);
    o.run.backend = choices[0].backend;
    Totals t = { .cases = json_array() };
    for (int i = optind; i < argc; i++) run_folder(argv[i], &o, &t, 0);
    code = t.failed ? EXIT_SOME_FAILED : EXIT_ALL_PASSED;
    if (t.found == 0) {
        code = usage_error("no case (a folder with model.onnx) in \"%s\"", argv[optind]);
    } else if (o.run.only && t.passed + t.failed + t.skipped == 0) {
        code = usage_error("no case has a node of type %s", o.run.only);
    } else {
        report_totals(&o, &t);
        if (t.passed < o.least) {
            fprintf(stderr, "kerb-conformance: at least %d were to pass\n", o.least);
            code = EXIT_SOME_FAILED;
        }
    }
    totals_free(&t);
    kerb_backends_release(choices, n_choices);
    return code;
}
