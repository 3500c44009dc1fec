/* SPDX-License-Identifier: MIT */
/* Where libkerb lies, and the model that is taken where none is named: KERB_MODEL's, that of the installation, that of the build tree. Looks
 * whether files are there; opens none of them. */
#include "run/installed.h"

#include "base/error.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *kerb_installed_folder(int *length)
{
    static const char here; /* not a public function: the address of one may be the program's that calls it */
    Dl_info self;
    const char *slash = dladdr(&here, &self) ? strrchr(self.dli_fname, '/') : NULL;
    *length = slash ? (int)(slash - self.dli_fname) : 0;
    return slash ? self.dli_fname : NULL;
}

/* From libkerb's folder: of an installation, of a build tree (where it is a link). */
static const char *const places[] = { KERB_MODELS_FROM_LIBRARY, "../models" };
/* Best first. The second may be used by everybody for everything: it is for those who have deleted the first, whose data set is non-commercial. */
static const char *const names[] = { "drive.onnx", "drive-free.onnx" };

/* The folder is named without links and "..", for people; the file as it is, for its card lies beside the link. */
static bool find_in(const char *folder, char path[KERB_PATH_BYTES])
{
    char resolved[PATH_MAX];
    if (!realpath(folder, resolved)) return false;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct stat about;
        int n = snprintf(path, KERB_PATH_BYTES, "%s/%s", resolved, names[i]);
        if (n > 0 && n < KERB_PATH_BYTES && stat(path, &about) == 0 && S_ISREG(about.st_mode)) return true;
    }
    return false;
}

static KerbStatus take_wished(const char *wished, char path[KERB_PATH_BYTES], KerbError *error)
{
    if (access(wished, R_OK) != 0)
        return kerb_fail(error, KERB_ERROR_ASSET,
                         "the environment's KERB_MODEL is \"%s\", which cannot be read (%s): correct it, or unset it for the model that came with Kerb",
                         wished, strerror(errno));
    snprintf(path, KERB_PATH_BYTES, "%s", wished); /* fits: the system takes no longer path either */
    return KERB_OK;
}

KERB_API KerbStatus kerb_model_default(char path[KERB_PATH_BYTES], KerbError *error)
{
    kerb_error_clear(error);
    if (!path) return kerb_fail(error, KERB_ERROR_ARGUMENT, "kerb_model_default: no place for the path was given");
    path[0] = '\0';
    const char *wished = secure_getenv("KERB_MODEL");
    if (wished && *wished) return take_wished(wished, path, error);
    int length;
    const char *folder = kerb_installed_folder(&length);
    for (size_t i = 0; folder && i < sizeof places / sizeof places[0]; i++) {
        char place[PATH_MAX];
        int n = snprintf(place, sizeof place, "%.*s/%s", length, folder, places[i]);
        if (n > 0 && n < (int)sizeof place && find_in(place, path)) return KERB_OK;
    }
    path[0] = '\0';
    return kerb_fail(error, KERB_ERROR_ASSET,
                     "no model was named, and none came with Kerb: seen from the folder of libkerb, %.*s, neither %s nor %s is in %s or %s. Name an ONNX "
                     "file (--model of kerb, model-file of kerbseg, model_file of KerbConfig), or put its path into the environment's KERB_MODEL",
                     folder ? length : 7, folder ? folder : "unknown", names[0], names[1], places[0], places[1]);
}
