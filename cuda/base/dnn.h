/* SPDX-License-Identifier: MIT */
/* cuDNN 9, opened at run time: nothing is linked, so one build runs with whatever version is there, and says what to do where there is none.
 *
 * Looked for, in this order:
 *   1. KERB_CUDNN: the library's file or its folder; nothing else is then tried
 *   2. libcudnn.so.9 as the dynamic linker finds it
 *   3. CUDA's own folders: CUDA_HOME, CUDA_PATH, /usr/local/cuda, /usr/local/cuda-*
 *   4. pip's nvidia-cudnn-cu12 and -cu13: site-packages/nvidia/cudnn/lib of VIRTUAL_ENV, CONDA_PREFIX, ~/.local, and of the python3s in PATH
 *      (guessed from where they lie; none is run)
 * The first one of version 9 that the driver can run is taken. */
#ifndef KERB_CUDA_BASE_DNN_H
#define KERB_CUDA_BASE_DNN_H

#include "base/error.h"

#include <cudnn_graph.h>

/* Entry points, without their prefix `cudnn`: dnn->BackendFinalize(d). All are in 9.0. */
#define KERB_CUDNN_CALLS(X)                                                                                                    \
    X(GetVersion) X(GetErrorString) X(GetLastErrorString) X(Create) X(Destroy) X(SetStream) X(BackendCreateDescriptor)           \
    X(BackendDestroyDescriptor) X(BackendFinalize) X(BackendSetAttribute) X(BackendGetAttribute) X(BackendExecute)

typedef struct KerbCudnn {
    void *library;
    char path[512];  /* "libcudnn.so.9" where the dynamic linker found it */
    int version;     /* 91900: 9.19.0 */
    int cuda;        /* CUDA's version that it was built with: 13010; 0: not said */
#define KERB_CUDNN_FIELD(name) __typeof__(cudnn##name) *name;
    KERB_CUDNN_CALLS(KERB_CUDNN_FIELD)
#undef KERB_CUDNN_FIELD
} KerbCudnn;

/* driver: the newest CUDA version that the driver runs (KerbCudaDevice.driver); libraries for a newer major version are passed over. 0: any.
 * BACKEND: none found, too old, broken; the message lists where was looked and how to install it. Any thread. */
KerbStatus kerb_cudnn_open(KerbCudnn *out, int driver, KerbError *error);
/* The library stays mapped (cuDNN does not survive unloading). Accepts what open failed on. */
void kerb_cudnn_close(KerbCudnn *dnn);

/* OK, or a message: `what`, the error's name, cuDNN's own last words. Memory errors give MEMORY, the device's BACKEND, others `otherwise`. */
KerbStatus kerb_cudnn_check(const KerbCudnn *dnn, cudnnStatus_t code, KerbStatus otherwise, const char *what, KerbError *error);
/* "9.19.0" */
const char *kerb_cudnn_version_text(const KerbCudnn *dnn, char *text, size_t bytes);

#endif
