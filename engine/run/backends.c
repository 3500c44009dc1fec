/* SPDX-License-Identifier: MIT */
/* Backends: the one that is built in, and the modules. A module NAME is looked for as kerb-NAME.so in the folders of KERB_MODULE_PATH
 * (separated by colons), then beside libkerb itself (kerb/, and ../modules of a build tree), then where Kerb was configured to be
 * installed: what was built together is used together, whatever else is installed.
 *
 * Before the first module is loaded, OMP_WAIT_POLICY=passive is put into the environment unless it is set: libgomp reads it once, when
 * it is loaded, and its spinning threads otherwise take the processor from the decoder beside us (20 small convolutions: 15 -> 268 ms).
 * Modules stay loaded (RTLD_NODELETE): threads of their libraries may outlive the last pipeline. */
#include "run/backends.h"
#include "run/installed.h"

#include "base/cpu.h"
#include "net/passes.h"
#include "net/quantize.h"
#include "net/ref/ref.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name, *what, *build;
} modules[] = { /* best first */
    { "cuda", "NVIDIA GPU", "with the CUDA toolkit and cuDNN 9 (docs/cuda.md)" },
    { "cpu", "processor", "with oneDNN (libdnnl-dev)" },
};
#define N_MODULES ((int)(sizeof modules / sizeof modules[0]))

/* ---- loading */

typedef enum LoadResult { LOAD_OK, LOAD_ABSENT, LOAD_BROKEN } LoadResult;

static LoadResult load_file(const char *name, const char *path, KerbBackendChoice *out, char *why, size_t why_bytes)
{
    if (access(path, F_OK) != 0) return LOAD_ABSENT;
    setenv("OMP_WAIT_POLICY", "passive", 0);
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!module) {
        const char *text = dlerror();
        snprintf(why, why_bytes, "its module cannot be loaded: %s", text ? text : "unknown reason");
        return LOAD_BROKEN;
    }
    KerbBackendEntryFn entry;
    *(void **)&entry = dlsym(module, "kerb_backend"); /* POSIX's way to turn an object pointer into a function pointer */
    KerbLogSink sink = kerb_log_sink();
    const KerbBackend *backend = entry ? entry(KERB_BACKEND_ABI, &sink) : NULL;
    if (backend && backend->abi == KERB_BACKEND_ABI && strcmp(backend->name, name) == 0) {
        *out = (KerbBackendChoice){ .backend = backend, .module = module };
        return LOAD_OK;
    }
    snprintf(why, why_bytes, "%.150s is not of this libkerb (%s, interface %d): install both from one build", path, kerb_version(),
             KERB_BACKEND_ABI);
    dlclose(module);
    return LOAD_BROKEN;
}

/* A folder to look in: the first n characters of `folder`, then `below`. */
typedef struct ModulePlace {
    const char *folder;
    size_t n;
    const char *below;
} ModulePlace;
#define MAX_PLACES 32

static int find_places(ModulePlace places[MAX_PLACES])
{
    int n = 0;
    const char *list = secure_getenv("KERB_MODULE_PATH");
    while (list && *list && n < MAX_PLACES - 3) {
        size_t length = strcspn(list, ":");
        if (length) places[n++] = (ModulePlace){ list, length, "" };
        list += length + (list[length] == ':');
    }
    int length;
    const char *folder = kerb_installed_folder(&length);
    if (folder) {
        places[n++] = (ModulePlace){ folder, (size_t)length, "/kerb" };
        places[n++] = (ModulePlace){ folder, (size_t)length, "/../modules" };
    }
    places[n++] = (ModulePlace){ KERB_MODULE_DIR, strlen(KERB_MODULE_DIR), "" };
    return n;
}

/* The first sound module wins; of broken ones the first one's reason is kept. */
static LoadResult load_module(const char *name, KerbBackendChoice *out, char *why, size_t why_bytes)
{
    ModulePlace places[MAX_PLACES];
    int n = find_places(places);
    LoadResult worst = LOAD_ABSENT;
    for (int i = 0; i < n; i++) {
        char path[4096], reason[256];
        int used = snprintf(path, sizeof path, "%.*s%s/kerb-%s.so", (int)places[i].n, places[i].folder, places[i].below, name);
        if (used < 0 || (size_t)used >= sizeof path) continue;
        LoadResult result = load_file(name, path, out, reason, sizeof reason);
        if (result == LOAD_OK) return result;
        if (result == LOAD_BROKEN && worst == LOAD_ABSENT) {
            snprintf(why, why_bytes, "%s", reason);
            worst = result;
        }
    }
    return worst;
}

/* ---- the list */

/* Loads module i. Where there is none that can be loaded: choice->backend stays NULL, and choice->device says so. */
static LoadResult find_module(int i, KerbBackendChoice *choice)
{
    const char *name = modules[i].name;
    char why[sizeof choice->device.remedy] = "";
    *choice = (KerbBackendChoice){ 0 };
    LoadResult result = load_module(name, choice, why, sizeof why);
    if (result == LOAD_OK) return result;
    KerbDevice *device = &choice->device;
    snprintf(device->name, sizeof device->name, "%s", name);
    snprintf(device->description, sizeof device->description, "%s (module kerb-%s.so)", modules[i].what, name);
    if (result == LOAD_BROKEN) memcpy(device->remedy, why, sizeof device->remedy);
    else snprintf(device->remedy, sizeof device->remedy, "the module kerb-%s.so is not installed: build Kerb %s, or name the module's folder in "
                  "KERB_MODULE_PATH", name, modules[i].build);
    return result;
}

static int count_devices(const KerbBackend *backend)
{
    int n = backend && backend->devices ? backend->devices() : 1;
    return n < 1 ? 1 : n;
}

/* Fills choice->device. */
static void examine_device(KerbBackendChoice *choice, int id)
{
    KerbDevice *device = &choice->device;
    if (!choice->backend) return;
    *device = (KerbDevice){ .id = id };
    choice->backend->probe(device);
    device->id = id;
}

static void examine_ref(KerbBackendChoice *choice)
{
    *choice = (KerbBackendChoice){ .backend = &kerb_backend_ref };
    examine_device(choice, 0);
}

void kerb_backends_release(KerbBackendChoice *choices, int n)
{
    for (int i = 0; i < n; i++) {
        if (choices[i].module) dlclose(choices[i].module);
        choices[i] = (KerbBackendChoice){ 0 };
    }
}

KERB_API int kerb_devices(KerbDevice *devices, int max)
{
    int n = 0;
    for (int i = 0; i <= N_MODULES; i++) {
        KerbBackendChoice choice;
        if (i < N_MODULES) find_module(i, &choice);
        else examine_ref(&choice);
        int count = count_devices(choice.backend);
        for (int id = 0; id < count; id++, n++) {
            if (n >= max) continue;
            examine_device(&choice, id);
            devices[n] = choice.device;
        }
        kerb_backends_release(&choice, 1);
    }
    return n;
}

/* ---- choosing */

static KerbStatus check_name(const char *name, KerbError *error)
{
    char names[128] = "auto";
    for (int i = 0; i < N_MODULES; i++) {
        if (strcmp(modules[i].name, name) == 0) return KERB_OK;
        snprintf(names + strlen(names), sizeof names - strlen(names), ", %s", modules[i].name);
    }
    return kerb_fail(error, KERB_ERROR_ARGUMENT, "there is no backend \"%s\"; there are: %s, ref", name, names);
}

/* A GPU with a driver of NVIDIA's: one that is not used is worth a warning. The kernel's side, which is there whatever libraries are missing. */
static bool gpu_is_there(void)
{
    static const char *const signs[] = { "/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/nvhost-gpu", "/dev/nvgpu" };
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++)
        if (access(signs[i], F_OK) == 0) return true;
    return false;
}

/* Why auto does not take module i. */
static void say_passed_over(int i, LoadResult result, const KerbDevice *device)
{
    bool gpu = strcmp(modules[i].name, "cuda") == 0;
    if (!gpu) return; /* said where it matters: when nothing but ref is left */
    KerbLogLevel level = result == LOAD_ABSENT ? KERB_LOG_DEBUG : result == LOAD_BROKEN || gpu_is_there() ? KERB_LOG_WARNING : KERB_LOG_INFO;
    kerb_log(level, "the GPU is not used: %s", device->remedy);
}

static void choose_automatically(int device_id, KerbBackendChoice choices[KERB_MAX_BACKENDS], int *n)
{
    char why[sizeof choices->device.remedy] = "";
    for (int i = 0; i < N_MODULES; i++) {
        KerbBackendChoice *choice = &choices[*n];
        LoadResult result = find_module(i, choice);
        examine_device(choice, choice->backend && choice->backend->devices ? device_id : 0);
        if (choice->backend && choice->device.usable) {
            ++*n;
            continue;
        }
        say_passed_over(i, result, &choice->device);
        memcpy(why, choice->device.remedy, sizeof why);
        kerb_backends_release(choice, 1);
    }
    if (*n == 0) kerb_log(KERB_LOG_WARNING, "the network runs on the reference backend, which is slow: %s", why);
    examine_ref(&choices[(*n)++]);
    kerb_log(KERB_LOG_INFO, "backend auto: %s (%s)", choices[0].backend->name, choices[0].device.description);
}

KerbStatus kerb_backends_choose(const char *name, int device_id, KerbBackendChoice choices[KERB_MAX_BACKENDS], int *n, KerbError *error)
{
    *n = 0;
    if (!name || !name[0] || strcmp(name, "auto") == 0) {
        choose_automatically(device_id, choices, n);
        return KERB_OK;
    }
    if (strcmp(name, "ref") == 0) {
        examine_ref(&choices[(*n)++]);
        return KERB_OK;
    }
    KerbStatus status = check_name(name, error);
    if (status != KERB_OK) return status;
    int i = 0;
    while (strcmp(modules[i].name, name) != 0) i++;
    find_module(i, &choices[0]);
    examine_device(&choices[0], choices[0].backend && choices[0].backend->devices ? device_id : 0);
    if (choices[0].backend && choices[0].device.usable) {
        *n = 1;
        return KERB_OK;
    }
    KerbDevice device = choices[0].device;
    kerb_backends_release(choices, 1);
    return kerb_fail(error, KERB_ERROR_BACKEND, "the backend \"%s\" cannot be used: %s", name, device.remedy);
}

/* ---- what a choice can do */

static const char *const precision_names[] = { "auto", "f32", "bf16", "tf32", "f16", "int8" }; /* by KerbPrecision */
#define N_PRECISIONS ((int)(sizeof precision_names / sizeof precision_names[0]))
static const char *precision_name(KerbPrecision precision) { return precision_names[precision]; }

static bool lists(const char *words, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = words; (at = strstr(at, word)); at++)
        if ((at == words || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0')) return true;
    return false;
}

KerbStatus kerb_backend_precision(const KerbBackendChoice *choice, KerbGraph *g, KerbPrecision wanted, KerbPrecision *out, KerbError *error)
{
    const char *can = choice->device.precisions;
    const bool integers = wanted == KERB_PRECISION_AUTO && lists(can, "int8") && kerb_graph_is_quantised(g);
    *out = wanted;
    if (integers && choice->device.fast_int8) {
        *out = KERB_PRECISION_INT8;
    } else if (wanted == KERB_PRECISION_AUTO) {
        *out = KERB_PRECISION_F32;
        size_t n = strcspn(can, " ");
        for (int i = 0; i < N_PRECISIONS; i++)
            if (strlen(precision_names[i]) == n && strncmp(can, precision_names[i], n) == 0) *out = (KerbPrecision)i;
        if (integers) {
            kerb_log(KERB_LOG_INFO, "the model is quantised, and %s is faster in %s here: tensors are not rounded; precision int8 computes in integers",
                     choice->backend->name, precision_name(*out));
            return kerb_graph_drop_rounding(g, error);
        }
    } else if (!lists(can, precision_name(wanted))) {
        return kerb_fail(error, KERB_ERROR_ARGUMENT, "the backend %s cannot run in %s here; it can: %s", choice->backend->name,
                         precision_name(wanted), can);
    }
    return KERB_OK;
}

/* A module's library is what its description says last ("Intel ..., oneDNN 2.6.3"), where it fits. */
void kerb_backend_text(const KerbBackendChoice *choice, KerbPrecision precision, char *text, size_t bytes)
{
    const char *comma = choice->module ? strrchr(choice->device.description, ',') : NULL;
    const char *library = comma ? comma + 1 + strspn(comma + 1, " ") : "";
    int n = snprintf(text, bytes, "%s (%s, %s)", choice->backend->name, library, precision_name(precision));
    if (!*library || n < 0 || (size_t)n >= bytes) snprintf(text, bytes, "%s (%s)", choice->backend->name, precision_name(precision));
}
