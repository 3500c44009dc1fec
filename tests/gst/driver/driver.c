/* SPDX-License-Identifier: MIT */
/* A libcuda.so.1 for GStreamer's CUDA library where there is no GPU: one device, whose memory is the processor's, contexts that are names, copies
 * that copy. What GStreamer only asks for when it draws (modules, textures, OpenGL) says that it is not supported. Test of kerbseg's CUDAMemory alone. */
#include <cuda.h>
#include <stdlib.h>
#include <string.h>

#define OUT __attribute__((visibility("default")))
#define PITCH 512
#define MAX_DEPTH 16

static char primary; /* its address is the device's primary context */
static __thread CUcontext stack[MAX_DEPTH];
static __thread int depth;

CUresult cuCtxCreate_v2(CUcontext *context, unsigned flags, CUdevice device); /* newer cuda.h's have the fourth version alone */

#undef cuCtxCreate
#undef cuMemAlloc
#undef cuStreamDestroy
OUT CUresult cuInit(unsigned flags) { return CUDA_SUCCESS; }
OUT CUresult cuDriverGetVersion(int *version) { return *version = 12000, CUDA_SUCCESS; }
OUT CUresult cuDeviceGetCount(int *count) { return *count = 1, CUDA_SUCCESS; }
OUT CUresult cuDeviceGet(CUdevice *device, int ordinal) { return *device = ordinal, ordinal ? CUDA_ERROR_INVALID_DEVICE : CUDA_SUCCESS; }
OUT CUresult cuDeviceGetName(char *name, int bytes, CUdevice device)
{
    strncpy(name, "none", (size_t)bytes);
    return CUDA_SUCCESS;
}
OUT CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute which, CUdevice device)
{
    *value = which == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR ? 8 : which == CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT ? PITCH : 0;
    return CUDA_SUCCESS;
}
OUT CUresult cuDeviceCanAccessPeer(int *can, CUdevice device, CUdevice peer) { return *can = 0, CUDA_SUCCESS; }
OUT CUresult cuGetErrorName(CUresult error, const char **text) { return *text = "error", CUDA_SUCCESS; }
OUT CUresult cuGetErrorString(CUresult error, const char **text) { return *text = "error", CUDA_SUCCESS; }

OUT CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) { return *context = (CUcontext)&primary, CUDA_SUCCESS; }
OUT CUresult cuCtxPushCurrent_v2(CUcontext context)
{
    if (depth == MAX_DEPTH) return CUDA_ERROR_INVALID_VALUE;
    stack[depth++] = context;
    return CUDA_SUCCESS;
}
OUT CUresult cuCtxPopCurrent_v2(CUcontext *context)
{
    if (!depth) return CUDA_ERROR_INVALID_CONTEXT;
    depth--;
    if (context) *context = stack[depth];
    return CUDA_SUCCESS;
}
OUT CUresult cuCtxCreate_v2(CUcontext *context, unsigned flags, CUdevice device) { return *context = malloc(1), cuCtxPushCurrent_v2(*context); }
OUT CUresult cuCtxDestroy_v2(CUcontext context)
{
    free(context);
    return CUDA_SUCCESS;
}
OUT CUresult cuCtxEnablePeerAccess(CUcontext context, unsigned flags) { return CUDA_ERROR_NOT_SUPPORTED; }
OUT CUresult cuCtxDisablePeerAccess(CUcontext context) { return CUDA_ERROR_NOT_SUPPORTED; }

OUT CUresult cuMemAlloc_v2(CUdeviceptr *pointer, size_t bytes)
{
    void *data = aligned_alloc(PITCH, (bytes + PITCH - 1) / PITCH * PITCH);
    *pointer = (CUdeviceptr)(uintptr_t)data;
    return data ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}
OUT CUresult cuMemAllocPitch_v2(CUdeviceptr *pointer, size_t *pitch, size_t width, size_t height, unsigned element)
{
    *pitch = (width + PITCH - 1) / PITCH * PITCH;
    return cuMemAlloc_v2(pointer, *pitch * height);
}
OUT CUresult cuMemFree_v2(CUdeviceptr pointer)
{
    free((void *)(uintptr_t)pointer);
    return CUDA_SUCCESS;
}
OUT CUresult cuMemAllocHost_v2(void **pointer, size_t bytes)
{
    *pointer = malloc(bytes);
    return *pointer ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}
OUT CUresult cuMemFreeHost(void *pointer)
{
    free(pointer);
    return CUDA_SUCCESS;
}

static char *place(CUmemorytype type, void *host, CUdeviceptr device, size_t x, size_t y, size_t pitch)
{
    return (char *)(type == CU_MEMORYTYPE_HOST ? host : (void *)(uintptr_t)device) + y * pitch + x;
}
OUT CUresult cuMemcpy2D_v2(const CUDA_MEMCPY2D *c)
{
    if (!depth) return CUDA_ERROR_INVALID_CONTEXT;
    const char *from = place(c->srcMemoryType, (void *)(uintptr_t)c->srcHost, c->srcDevice, c->srcXInBytes, c->srcY, c->srcPitch);
    char *to = place(c->dstMemoryType, c->dstHost, c->dstDevice, c->dstXInBytes, c->dstY, c->dstPitch);
    for (size_t y = 0; y < c->Height; y++) memcpy(to + y * c->dstPitch, from + y * c->srcPitch, c->WidthInBytes);
    return CUDA_SUCCESS;
}
OUT CUresult cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D *c, CUstream stream) { return cuMemcpy2D_v2(c); }
OUT CUresult cuStreamCreate(CUstream *stream, unsigned flags) { return *stream = malloc(1), CUDA_SUCCESS; }
OUT CUresult cuStreamDestroy_v2(CUstream stream)
{
    free(stream);
    return CUDA_SUCCESS;
}
__asm__(".globl cuStreamDestroy\n.set cuStreamDestroy, cuStreamDestroy_v2\n"); /* cuda.h renames it; GStreamer asks for the old name */
OUT CUresult cuStreamSynchronize(CUstream stream) { return CUDA_SUCCESS; }

/* Looked up when the library is loaded, and never called here. Their types do not matter, so cuda.h's are not used. */
#define ABSENT(name) __asm__(".globl " #name "\n.set " #name ", kerb_absent\n")
CUresult kerb_absent(void);
OUT CUresult kerb_absent(void) { return CUDA_ERROR_NOT_SUPPORTED; }
ABSENT(cuGraphicsMapResources);
ABSENT(cuGraphicsUnmapResources);
ABSENT(cuGraphicsUnregisterResource);
ABSENT(cuGraphicsGLRegisterImage);
ABSENT(cuGraphicsGLRegisterBuffer);
ABSENT(cuGraphicsResourceSetMapFlags_v2);
ABSENT(cuGraphicsSubResourceGetMappedArray);
ABSENT(cuGraphicsResourceGetMappedPointer_v2);
ABSENT(cuGLGetDevices_v2);
ABSENT(cuModuleLoadData);
ABSENT(cuModuleUnload);
ABSENT(cuModuleGetFunction);
ABSENT(cuTexObjectCreate);
ABSENT(cuTexObjectDestroy);
ABSENT(cuLaunchKernel);
