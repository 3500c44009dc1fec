/* SPDX-License-Identifier: MIT */
/* Finding and opening cuDNN 9. Candidates are walked in the header's order; what was seen on the way is kept for the message. */
#include "cuda/base/dnn.h"

#include "base/log.h"
#include "base/memory.h"

#include <dlfcn.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SONAME "libcudnn.so.9"
#define OLDEST 90000
#define TRIED_MAX 16

typedef struct KerbCudnnSearch {
    KerbCudnn *dnn;
    int driver;
    bool found;
    KerbText looked; /* folders without the library */
    KerbText seen;   /* libraries that are no good, and why */
    struct { dev_t device; ino_t file; } tried[TRIED_MAX]; /* CUDA's folders are links to one another */
    int n_tried;
} KerbCudnnSearch;

/* ---- one candidate */

static bool kerb_cudnn_resolve(KerbCudnn *dnn, const char **missing)
{
#define KERB_CUDNN_RESOLVE(name)                                                                                               \
    if (!(dnn->name = (__typeof__(dnn->name))dlsym(dnn->library, "cudnn" #name))) {                                            \
        *missing = "cudnn" #name;                                                                                              \
        return false;                                                                                                          \
    }
    KERB_CUDNN_CALLS(KERB_CUDNN_RESOLVE)
#undef KERB_CUDNN_RESOLVE
    return true;
}

/* Why the library that was just opened is of no use; "" where it is. */
static void kerb_cudnn_judge(KerbCudnn *dnn, int driver, char *why, size_t bytes)
{
    const char *missing = NULL;
    why[0] = '\0';
    size_t (*version)(void) = (size_t (*)(void))dlsym(dnn->library, "cudnnGetVersion");
    size_t (*cuda)(void) = (size_t (*)(void))dlsym(dnn->library, "cudnnGetCudartVersion");
    if (!version) {
        snprintf(why, bytes, "is not cuDNN (it has no cudnnGetVersion)");
        return;
    }
    size_t number = version();
    dnn->version = number > INT_MAX ? INT_MAX : (int)number;
    number = cuda ? cuda() : 0;
    dnn->cuda = number > INT_MAX ? 0 : (int)number;
    if (dnn->version < OLDEST) /* cuDNN 8 and older count 8907: 8.9.7 */
        snprintf(why, bytes, "is version %d.%d.%d, too old: 9.0 or newer is needed", dnn->version / 1000, dnn->version / 100 % 10, dnn->version % 100);
    else if (dnn->version >= 100000)
        snprintf(why, bytes, "is version %d.%d: Kerb knows cuDNN 9 only", dnn->version / 10000, dnn->version / 100 % 100);
    else if (driver && dnn->cuda / 1000 > driver / 1000)
        snprintf(why, bytes, "is built with CUDA %d.%d, the driver runs CUDA %d.%d: install cuDNN for CUDA %d, or a newer driver", dnn->cuda / 1000,
                 dnn->cuda % 1000 / 10, driver / 1000, driver % 1000 / 10, driver / 1000);
    else if (!kerb_cudnn_resolve(dnn, &missing))
        snprintf(why, bytes, "is damaged (it has no %s): install it again", missing);
}

/* `path`: a file, or SONAME alone for the dynamic linker's own search. */
static void kerb_cudnn_try(KerbCudnnSearch *s, const char *path)
{
    char why[512];
    KerbCudnn *dnn = s->dnn;
    /* NODELETE: its threads and static objects do not survive unloading. */
    dnn->library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!dnn->library) {
        const char *text = dlerror();
        if (strchr(path, '/')) kerb_text_append(&s->seen, "\n  %s does not load (%s)", path, text ? text : "no reason given");
        return;
    }
    kerb_cudnn_judge(dnn, s->driver, why, sizeof why);
    if (!why[0]) {
        snprintf(dnn->path, sizeof dnn->path, "%s", path);
        s->found = true;
        return;
    }
    kerb_text_append(&s->seen, "\n  %s %s", path, why);
    dlclose(dnn->library);
    memset(dnn, 0, sizeof *dnn);
}

/* ---- where it may lie */

/* False for a file that has been tried under another name. */
static bool kerb_cudnn_is_new(KerbCudnnSearch *s, const struct stat *at)
{
    for (int i = 0; i < s->n_tried; i++) {
        if (s->tried[i].device == at->st_dev && s->tried[i].file == at->st_ino) return false;
    }
    if (s->n_tried < TRIED_MAX) {
        s->tried[s->n_tried].device = at->st_dev;
        s->tried[s->n_tried++].file = at->st_ino;
    }
    return true;
}

static void kerb_cudnn_folder(KerbCudnnSearch *s, const char *folder)
{
    char path[PATH_MAX];
    struct stat at;
    if (s->found || stat(folder, &at) || !S_ISDIR(at.st_mode)) return;
    if (snprintf(path, sizeof path, "%s/" SONAME, folder) >= (int)sizeof path) return;
    if (stat(path, &at) != 0) kerb_text_append(&s->looked, "%s%s", s->looked.text ? ", " : "", folder);
    else if (kerb_cudnn_is_new(s, &at)) kerb_cudnn_try(s, path);
}

/* Folders that a pattern matches, the last (newest) first. */
static void kerb_cudnn_folders(KerbCudnnSearch *s, const char *prefix, const char *pattern)
{
    char path[PATH_MAX];
    glob_t found;
    if (s->found || !prefix || !prefix[0] || snprintf(path, sizeof path, "%s%s", prefix, pattern) >= (int)sizeof path) return;
    if (glob(path, 0, NULL, &found)) return;
    for (size_t i = found.gl_pathc; i > 0; i--) kerb_cudnn_folder(s, found.gl_pathv[i - 1]);
    globfree(&found);
}

static void kerb_cudnn_cuda_home(KerbCudnnSearch *s, const char *home)
{
    static const char *const parts[] = { "/lib64", "/lib", "/targets/*-linux/lib" };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) kerb_cudnn_folders(s, home, parts[i]);
}

/* A Python's prefix: where pip puts nvidia-cudnn-cu12 and -cu13. */
static void kerb_cudnn_prefix(KerbCudnnSearch *s, const char *prefix)
{
    static const char *const parts[] = { "/lib/python3*/site-packages/nvidia/cudnn/lib", "/lib/python3*/dist-packages/nvidia/cudnn/lib",
                                         "/local/lib/python3*/dist-packages/nvidia/cudnn/lib", "/lib" };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (i == 3 && (!prefix || strncmp(prefix, "/usr", 4) == 0)) continue; /* conda's; the system's has been looked through */
        kerb_cudnn_folders(s, prefix, parts[i]);
    }
}

/* PREFIX of PREFIX/bin/python3, in place; false: it lies elsewhere. */
static bool kerb_cudnn_up_two(char *path)
{
    for (int i = 0; i < 2; i++) {
        char *slash = strrchr(path, '/');
        if (!slash || slash == path) return false;
        *slash = '\0';
    }
    return true;
}

static void kerb_cudnn_pythons(KerbCudnnSearch *s)
{
    const char *at = getenv("PATH");
    char path[PATH_MAX], real[PATH_MAX];
    while (at && *at && !s->found) {
        size_t n = strcspn(at, ":");
        int length = snprintf(path, sizeof path, "%.*s/python3", (int)(n > PATH_MAX ? PATH_MAX : n), at);
        at += n + (at[n] == ':');
        if (length >= (int)sizeof path || path[0] != '/' || access(path, X_OK)) continue;
        bool linked = realpath(path, real) != NULL; /* a virtual environment's python3 is a link to the one it was made of */
        if (kerb_cudnn_up_two(path)) kerb_cudnn_prefix(s, path);
        if (linked && kerb_cudnn_up_two(real) && strcmp(real, path) != 0) kerb_cudnn_prefix(s, real);
    }
}

static void kerb_cudnn_search(KerbCudnnSearch *s)
{
    kerb_cudnn_try(s, SONAME);
    kerb_cudnn_cuda_home(s, getenv("CUDA_HOME"));
    kerb_cudnn_cuda_home(s, getenv("CUDA_PATH"));
    kerb_cudnn_cuda_home(s, "/usr/local/cuda");
    kerb_cudnn_cuda_home(s, "/usr/local/cuda-*");
    if (s->found) return;
    kerb_cudnn_prefix(s, getenv("VIRTUAL_ENV"));
    kerb_cudnn_prefix(s, getenv("CONDA_PREFIX"));
    kerb_cudnn_folders(s, getenv("HOME"), "/.local/lib/python3*/site-packages/nvidia/cudnn/lib");
    kerb_cudnn_pythons(s);
}

/* ---- */

static KerbStatus kerb_cudnn_fail(KerbCudnnSearch *s, const char *named, KerbError *error)
{
    const char *seen = s->seen.text ? s->seen.text : "";
    if (named)
        return kerb_fail(error, KERB_ERROR_BACKEND, "KERB_CUDNN=%s gives no cuDNN 9:%.900s\nSet it to libcudnn.so.9 or its folder, or unset it", named,
                         seen[0] ? seen : "\n  there is no " SONAME);
    return kerb_fail(error, KERB_ERROR_BACKEND,
                     "no usable cuDNN 9 found%s%.900s\n%s looked for by the dynamic linker%s%.500s\nInstall it (Debian, Ubuntu: NVIDIA's package cudnn9-cuda-13 or -12; "
                     "pip: pip install nvidia-cudnn-cu13 or -cu12; JetPack: nvidia-cudnn), or set KERB_CUDNN to " SONAME " or its folder",
                     seen[0] ? ":" : "", seen, SONAME, s->looked.text ? " and in " : ", in CUDA's folders and in those of Python's packages",
                     s->looked.text ? s->looked.text : "");
}

KerbStatus kerb_cudnn_open(KerbCudnn *out, int driver, KerbError *error)
{
    KerbCudnnSearch s = { .dnn = out, .driver = driver };
    const char *named = getenv("KERB_CUDNN");
    struct stat at;
    memset(out, 0, sizeof *out);
    if (named && !named[0]) named = NULL;
    if (named && stat(named, &at) == 0 && S_ISDIR(at.st_mode))
        kerb_cudnn_folder(&s, named);
    else if (named)
        kerb_cudnn_try(&s, named);
    else
        kerb_cudnn_search(&s);
    KerbStatus status = s.found ? KERB_OK : kerb_cudnn_fail(&s, named, error);
    if (status == KERB_OK) {
        char text[32];
        kerb_log(KERB_LOG_DEBUG, "cuDNN %s (CUDA %d.%d) from %s", kerb_cudnn_version_text(out, text, sizeof text), out->cuda / 1000, out->cuda % 1000 / 10,
                 out->path);
    }
    kerb_text_free(&s.looked);
    kerb_text_free(&s.seen);
    return status;
}

void kerb_cudnn_close(KerbCudnn *dnn)
{
    if (dnn->library) dlclose(dnn->library);
    memset(dnn, 0, sizeof *dnn);
}

KerbStatus kerb_cudnn_check(const KerbCudnn *dnn, cudnnStatus_t code, KerbStatus otherwise, const char *what, KerbError *error)
{
    char words[512] = "";
    KerbStatus status = otherwise;
    if (code == CUDNN_STATUS_SUCCESS) return KERB_OK;
    dnn->GetLastErrorString(words, sizeof words);
    words[sizeof words - 1] = '\0';
    const char *name = dnn->GetErrorString(code);
    /* Families by the thousand: 2xxx bad parameters, 3xxx not supported, 4xxx internal, 5xxx the GPU itself. */
    if (code == CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED || code == CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED)
        status = KERB_ERROR_MEMORY;
    else if (code >= CUDNN_STATUS_EXECUTION_FAILED || code == CUDNN_STATUS_NOT_INITIALIZED)
        status = KERB_ERROR_BACKEND;
    else if (otherwise == KERB_ERROR_INTERNAL && CUDNN_STATUS_CATEGORY((int)code) != CUDNN_STATUS_BAD_PARAM)
        status = KERB_ERROR_BACKEND; /* cuDNN's own doing, not a promise of ours */
    return kerb_fail(error, status, "%s: cuDNN says %s (%d)%s%s", what, name ? name : "an error", (int)code, words[0] ? ": " : "", words);
}

const char *kerb_cudnn_version_text(const KerbCudnn *dnn, char *text, size_t bytes)
{
    snprintf(text, bytes, "%d.%d.%d", dnn->version / 10000, dnn->version / 100 % 100, dnn->version % 100);
    return text;
}
