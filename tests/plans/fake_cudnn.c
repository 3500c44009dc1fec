/* SPDX-License-Identifier: MIT */
/* Libraries that call themselves cuDNN, for the loader's tests: of version VERSION, built with CUDA (if it is not 0), with all entry points where WHOLE. */
#include <stddef.h>

size_t cudnnGetVersion(void);
size_t cudnnGetVersion(void) { return VERSION; }
#if CUDA
size_t cudnnGetCudartVersion(void);
size_t cudnnGetCudartVersion(void) { return CUDA; }
#endif

#ifdef WHOLE
#define STUB(name)                                                                                                             \
    int name(void);                                                                                                            \
    int name(void) { return 1; }
STUB(cudnnGetErrorString)
STUB(cudnnGetLastErrorString)
STUB(cudnnCreate)
STUB(cudnnDestroy)
STUB(cudnnSetStream)
STUB(cudnnBackendCreateDescriptor)
STUB(cudnnBackendDestroyDescriptor)
STUB(cudnnBackendFinalize)
STUB(cudnnBackendSetAttribute)
STUB(cudnnBackendGetAttribute)
STUB(cudnnBackendExecute)
#endif
