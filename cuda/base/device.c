/* SPDX-License-Identifier: MIT */
/* What is known of a GPU. Attributes one by one, because the properties' layout differs between CUDA 12 and 13; nothing here makes a context. */
#include "cuda/base/cuda.h"

#include <stdio.h>
#include <string.h>

#define OLDEST_CAPABILITY 75

int kerb_cuda_device_count(void)
{
    int n = 0;
    if (cudaGetDeviceCount(&n) == cudaSuccess) return n;
    (void)cudaGetLastError();
    return 0;
}

/* The oldest driver that runs programs of this CUDA release (NVIDIA's table of minor version compatibility). */
static const char *driver_needed(void)
{
    return CUDART_VERSION >= 14000 ? "one for CUDA 14" : CUDART_VERSION >= 13000 ? "580" : "525";
}

static KerbStatus fail_count(cudaError_t code, KerbError *error)
{
    int driver = 0;
    if (cudaDriverGetVersion(&driver) != cudaSuccess) driver = 0;
    (void)cudaGetLastError();
    if (code == cudaErrorInsufficientDriver && driver == 0)
        return kerb_fail(error, KERB_ERROR_BACKEND, "there is no NVIDIA driver here (libcuda.so.1 is not found): install driver %s or newer "
                         "(Debian: nvidia-driver), and restart", driver_needed());
    if (code == cudaErrorInsufficientDriver)
        return kerb_fail(error, KERB_ERROR_BACKEND, "the NVIDIA driver is too old: it is made for CUDA %d.%d, this build of Kerb needs CUDA %d.%d: "
                         "install driver %s or newer", driver / 1000, driver % 1000 / 10, CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10,
                         driver_needed());
    if (code == cudaErrorNoDevice)
        return kerb_fail(error, KERB_ERROR_BACKEND, "the NVIDIA driver finds no GPU: see nvidia-smi, and CUDA_VISIBLE_DEVICES, which can hide it");
    return kerb_cuda_check(code, "looking for GPUs", error);
}

static KerbStatus ask(int id, enum cudaDeviceAttr attribute, const char *what, int *value, KerbError *error)
{
    *value = 0;
    return kerb_cuda_check(cudaDeviceGetAttribute(value, attribute, id), what, error);
}

static KerbStatus read_attributes(int id, KerbCudaDevice *out, int *mode, KerbError *error)
{
    int integrated = 0;
    KerbStatus status = ask(id, cudaDevAttrComputeCapabilityMajor, "reading the GPU's compute capability", &out->major, error);
    if (status == KERB_OK) status = ask(id, cudaDevAttrComputeCapabilityMinor, "reading the GPU's compute capability", &out->minor, error);
    if (status == KERB_OK) status = ask(id, cudaDevAttrMultiProcessorCount, "reading the GPU's multiprocessors", &out->multiprocessors, error);
    if (status == KERB_OK) status = ask(id, cudaDevAttrIntegrated, "reading whether the GPU is integrated", &integrated, error);
    if (status == KERB_OK) status = ask(id, cudaDevAttrComputeMode, "reading the GPU's compute mode", mode, error);
    out->integrated = integrated != 0;
    return status;
}

/* Only name and total memory: they lie where they always lay. */
static KerbStatus read_properties(int id, KerbCudaDevice *out, KerbError *error)
{
    struct cudaDeviceProp properties;
    memset(&properties, 0, sizeof properties);
    KerbStatus status = kerb_cuda_check(cudaGetDeviceProperties(&properties, id), "reading the GPU's properties", error);
    if (status != KERB_OK) return status;
    snprintf(out->name, sizeof out->name, "%.95s", properties.name);
    out->memory_bytes = properties.totalGlobalMem;
    return KERB_OK;
}

KerbStatus kerb_cuda_device(int id, KerbCudaDevice *out, KerbError *error)
{
    memset(out, 0, sizeof *out);
    int n = 0, mode = 0;
    cudaError_t code = cudaGetDeviceCount(&n);
    if (code != cudaSuccess || n == 0) return fail_count(code == cudaSuccess ? cudaErrorNoDevice : code, error);
    if (id < 0 || id >= n)
        return kerb_fail(error, KERB_ERROR_BACKEND, "there is no GPU %d: %s; `kerb devices` lists them", id,
                         n == 1 ? "the only one is 0" : "their numbers begin with 0 and there are fewer");
    out->id = id;
    KerbStatus status = read_attributes(id, out, &mode, error);
    if (status == KERB_OK) status = read_properties(id, out, error);
    if (status == KERB_OK) status = kerb_cuda_check(cudaDriverGetVersion(&out->driver), "reading the driver's version", error);
    if (status == KERB_OK) status = kerb_cuda_check(cudaRuntimeGetVersion(&out->runtime), "reading the CUDA runtime's version", error);
    if (status != KERB_OK) return status;
    if (out->major * 10 + out->minor < OLDEST_CAPABILITY)
        return kerb_fail(error, KERB_ERROR_BACKEND, "%s has compute capability %d.%d; Kerb needs %d.%d (Turing) or newer", out->name, out->major,
                         out->minor, OLDEST_CAPABILITY / 10, OLDEST_CAPABILITY % 10);
    if (mode == cudaComputeModeProhibited)
        return kerb_fail(error, KERB_ERROR_BACKEND, "%s is set not to compute: sudo nvidia-smi -i %d -c DEFAULT", out->name, id);
    return KERB_OK;
}
