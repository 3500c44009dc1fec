/* SPDX-License-Identifier: MIT */
/* A stand-in for libcuda.so.1 that lets cuDNN finalise plans where there is no driver: it takes compiled kernels and forgets them. Nothing can be
 * run on it. CMakeLists.txt reads the names of the functions here, and makes driver_names.h of all others that the toolkit's stub has. */
#include <stddef.h>

typedef int CUresult;
#define SUCCESS 0
#define IS_A_STUB 34 /* CUDA_ERROR_STUB_LIBRARY */

static char somewhere[64]; /* what handles point to */

static CUresult give(void **handle)
{
    if (handle) *handle = somewhere;
    return SUCCESS;
}

/* Modules, libraries and kernels out of them. */
CUresult cuLibraryLoadData(void **handle) { return give(handle); }
CUresult cuLibraryLoadFromFile(void **handle) { return give(handle); }
CUresult cuLibraryGetKernel(void **handle) { return give(handle); }
CUresult cuLibraryGetModule(void **handle) { return give(handle); }
CUresult cuKernelGetFunction(void **handle) { return give(handle); }
CUresult cuModuleLoadData(void **handle) { return give(handle); }
CUresult cuModuleLoadDataEx(void **handle) { return give(handle); }
CUresult cuModuleGetFunction(void **handle) { return give(handle); }
CUresult cuLibraryUnload(void *library) { return SUCCESS; }
CUresult cuModuleUnload(void *module) { return SUCCESS; }
CUresult cuLibraryGetGlobal(void **address, size_t *bytes)
{
    if (bytes) *bytes = 4;
    return give(address);
}

/* Attributes of kernels: any may be set, all are 0. */
CUresult cuKernelSetAttribute(void) { return SUCCESS; }
CUresult cuFuncSetAttribute(void) { return SUCCESS; }
CUresult cuKernelSetCacheConfig(void) { return SUCCESS; }
CUresult cuFuncSetCacheConfig(void) { return SUCCESS; }
CUresult cuKernelGetAttribute(int *value)
{
    *value = 0;
    return SUCCESS;
}
CUresult cuFuncGetAttribute(int *value)
{
    *value = 0;
    return SUCCESS;
}

CUresult cuDriverGetVersion(int *version)
{
    *version = 13000;
    return SUCCESS;
}

#define STUB(name)                                                                                                             \
    CUresult name(void) { return IS_A_STUB; }
#include "driver_names.h"
