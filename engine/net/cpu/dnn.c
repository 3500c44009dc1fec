/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "base/error.h"
#include "net/cpu/dnn.h"
#include "net/cpu/dnn_shim.h"

KerbStatus kerb_dnn_new(KerbDnn **out, KerbError *error)
{
    *out = NULL;
    KerbDnn *d = calloc(1, sizeof *d);
    if (!d) return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for oneDNN");
    dnnl_status_t status = dnnl_engine_create(&d->engine, dnnl_cpu, 0);
    if (!status) status = dnnl_stream_create(&d->stream, d->engine, dnnl_stream_default_flags);
    if (status) {
        kerb_dnn_free(&d);
        return kerb_fail(error, KERB_ERROR_BACKEND, "oneDNN cannot start (status %d): use backend=ref, or reinstall libdnnl", (int)status);
    }
    *out = d;
    return KERB_OK;
}

void kerb_dnn_free(KerbDnn **dnn)
{
    if (!dnn || !*dnn) return;
    if ((*dnn)->stream) dnnl_stream_destroy((*dnn)->stream);
    if ((*dnn)->engine) dnnl_engine_destroy((*dnn)->engine);
    free(*dnn);
    *dnn = NULL;
}

const char *kerb_dnn_version(char *buffer, size_t bytes)
{
    const dnnl_version_t *v = dnnl_version();
    snprintf(buffer, bytes, "%d.%d.%d", v->major, v->minor, v->patch);
    return buffer;
}
