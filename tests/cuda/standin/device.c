/* SPDX-License-Identifier: MIT */
/* Devices, their attributes, versions, and the words for errors. */
#include "machine.h"

#include <stdio.h>
#include <string.h>

static _Thread_local int kerb_device;

int kerb_current_device(void)
{
    return kerb_device;
}

cudaError_t cudaGetDeviceCount(int *count)
{
    const cudaError_t code = kerb_call(__func__, 0);
    if (count) {
        kerb_machine_lock();
        *count = code == cudaSuccess ? kerb_machine.config.devices : 0;
        kerb_machine_unlock();
    }
    return code;
}

static bool kerb_device_exists(int device)
{
    kerb_machine_lock();
    const bool exists = device >= 0 && device < kerb_machine.config.devices;
    kerb_machine_unlock();
    return exists;
}

cudaError_t cudaSetDevice(int device)
{
    const cudaError_t code = kerb_call(__func__, 0);
    if (code != cudaSuccess)
        return code;
    if (!kerb_device_exists(device))
        return kerb_fail_with(cudaErrorInvalidDevice);
    kerb_device = device;
    return cudaSuccess;
}

cudaError_t cudaGetDevice(int *device)
{
    const cudaError_t code = kerb_call(__func__, 0);
    if (code == cudaSuccess && device)
        *device = kerb_device;
    return code;
}

cudaError_t cudaSetDeviceFlags(unsigned flags)
{
    (void)flags;
    return kerb_call(__func__, 0);
}

/* Ends the context: nothing of Kerb does that, for others in the process may use it. */
cudaError_t cudaDeviceReset(void)
{
    const cudaError_t code = kerb_call(__func__, 0);
    kerb_machine_lock();
    kerb_misuse_locked("cudaDeviceReset() takes the device from everybody in the process");
    kerb_machine_unlock();
    return code;
}

static bool kerb_attribute(const KerbStandinConfig *c, enum cudaDeviceAttr attribute, int *value)
{
    switch (attribute) {
    case cudaDevAttrComputeCapabilityMajor: *value = c->sm / 10; return true;
    case cudaDevAttrComputeCapabilityMinor: *value = c->sm % 10; return true;
    case cudaDevAttrMultiProcessorCount: *value = c->integrated ? 16 : 132; return true;
    case cudaDevAttrIntegrated: *value = c->integrated; return true;
    case cudaDevAttrCanMapHostMemory: *value = 1; return true;
    case cudaDevAttrUnifiedAddressing: *value = 1; return true;
    case cudaDevAttrCanUseHostPointerForRegisteredMem: *value = c->no_alias; return true;
    case cudaDevAttrHostRegisterSupported: *value = 1; return true;
    case cudaDevAttrPageableMemoryAccess: *value = 0; return true;
    case cudaDevAttrManagedMemory: *value = 0; return true;
    case cudaDevAttrConcurrentManagedAccess: *value = 0; return true;
    case cudaDevAttrMemoryPoolsSupported: *value = 0; return true;
    case cudaDevAttrConcurrentKernels: *value = 1; return true;
    case cudaDevAttrAsyncEngineCount: *value = c->integrated ? 1 : 3; return true;
    case cudaDevAttrStreamPrioritiesSupported: *value = 1; return true;
    case cudaDevAttrComputeMode: *value = cudaComputeModeDefault; return true;
    case cudaDevAttrWarpSize: *value = 32; return true;
    case cudaDevAttrMaxThreadsPerBlock: *value = 1024; return true;
    case cudaDevAttrMaxThreadsPerMultiProcessor: *value = 2048; return true;
    case cudaDevAttrMaxGridDimX: *value = 2147483647; return true;
    case cudaDevAttrMaxGridDimY: *value = 65535; return true;
    case cudaDevAttrMaxGridDimZ: *value = 65535; return true;
    case cudaDevAttrMaxSharedMemoryPerBlock: *value = 49152; return true;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = 227 * 1024; return true;
    case cudaDevAttrL2CacheSize: *value = 50 << 20; return true;
    case cudaDevAttrPciBusId: *value = 1; return true;
    case cudaDevAttrPciDeviceId: *value = 0; return true;
    case cudaDevAttrPciDomainId: *value = 0; return true;
    default: return false;
    }
}

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int device)
{
    const cudaError_t code = kerb_call(__func__, 0);
    if (code != cudaSuccess)
        return code;
    if (!kerb_device_exists(device))
        return kerb_fail_with(cudaErrorInvalidDevice);
    kerb_machine_lock();
    const bool known = value && kerb_attribute(&kerb_machine.config, attribute, value);
    kerb_machine_unlock();
    return known ? cudaSuccess : kerb_fail_with(cudaErrorInvalidValue);
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *out, int device)
{
    const cudaError_t code = kerb_call("cudaGetDeviceProperties", 0);
    if (code != cudaSuccess)
        return code;
    if (!kerb_device_exists(device))
        return kerb_fail_with(cudaErrorInvalidDevice);
    memset(out, 0, sizeof *out);
    kerb_machine_lock();
    const KerbStandinConfig *c = &kerb_machine.config;
    snprintf(out->name, sizeof out->name, "Stand-in GPU %d", device);
    out->totalGlobalMem = c->memory_bytes;
    out->major = c->sm / 10;
    out->minor = c->sm % 10;
    kerb_attribute(c, cudaDevAttrMultiProcessorCount, &out->multiProcessorCount);
    out->integrated = c->integrated;
    out->canMapHostMemory = 1;
    out->unifiedAddressing = 1;
    out->warpSize = 32;
    out->maxThreadsPerBlock = 1024;
    out->concurrentKernels = 1;
    kerb_attribute(c, cudaDevAttrAsyncEngineCount, &out->asyncEngineCount);
    kerb_machine_unlock();
    return cudaSuccess;
}

cudaError_t cudaDeviceGetPCIBusId(char *text, int bytes, int device)
{
    const cudaError_t code = kerb_call(__func__, 0);
    if (code != cudaSuccess)
        return code;
    if (!text || bytes < 13 || !kerb_device_exists(device))
        return kerb_fail_with(cudaErrorInvalidValue);
    snprintf(text, (size_t)bytes, "0000:%02x:00.0", device + 1);
    return cudaSuccess;
}

/* 0 without a driver, and no error: as CUDA. */
cudaError_t cudaDriverGetVersion(int *version)
{
    const cudaError_t code = kerb_call(__func__, KERB_CALL_ANYWHERE);
    if (code == cudaSuccess && version) {
        kerb_machine_lock();
        *version = kerb_machine.config.no_driver ? 0 : kerb_machine.config.driver;
        kerb_machine_unlock();
    }
    return code;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    const cudaError_t code = kerb_call(__func__, KERB_CALL_ANYWHERE);
    if (code == cudaSuccess && version) {
        kerb_machine_lock();
        *version = kerb_machine.config.runtime;
        kerb_machine_unlock();
    }
    return code;
}

/* ---------------------------------------------------------------------------------------------------------------- errors */

cudaError_t cudaPeekAtLastError(void)
{
    kerb_machine_lock();
    const cudaError_t lost = kerb_machine.lost;
    kerb_machine_unlock();
    return lost != cudaSuccess ? lost : kerb_last_error;
}

cudaError_t cudaGetLastError(void)
{
    const cudaError_t code = cudaPeekAtLastError();
    kerb_last_error = cudaSuccess;
    return code;
}

static const struct {
    cudaError_t code;
    const char *name, *text;
} kerb_errors[] = {
    { cudaSuccess, "cudaSuccess", "no error" },
    { cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument" },
    { cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory" },
    { cudaErrorInitializationError, "cudaErrorInitializationError", "initialization error" },
    { cudaErrorInvalidPitchValue, "cudaErrorInvalidPitchValue", "invalid pitch argument" },
    { cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver", "CUDA driver version is insufficient for CUDA runtime version" },
    { cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected" },
    { cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal" },
    { cudaErrorECCUncorrectable, "cudaErrorECCUncorrectable", "uncorrectable ECC error encountered" },
    { cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle" },
    { cudaErrorNotReady, "cudaErrorNotReady", "device not ready" },
    { cudaErrorIllegalAddress, "cudaErrorIllegalAddress", "an illegal memory access was encountered" },
    { cudaErrorLaunchOutOfResources, "cudaErrorLaunchOutOfResources", "too many resources requested for launch" },
    { cudaErrorLaunchTimeout, "cudaErrorLaunchTimeout", "the launch timed out and was terminated" },
    { cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure" },
    { cudaErrorNotSupported, "cudaErrorNotSupported", "operation not supported" },
    { cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported", "operation not permitted when stream is capturing" },
    { cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated", "operation failed due to a previous error during capture" },
    { cudaErrorStreamCaptureMerge, "cudaErrorStreamCaptureMerge", "operation would result in a merge of separate capture sequences" },
    { cudaErrorStreamCaptureUnmatched, "cudaErrorStreamCaptureUnmatched", "capture was not ended in the same stream as it began" },
    { cudaErrorStreamCaptureUnjoined, "cudaErrorStreamCaptureUnjoined", "capturing stream has unjoined work" },
    { cudaErrorStreamCaptureIsolation, "cudaErrorStreamCaptureIsolation", "dependency created on uncaptured work in another stream" },
    { cudaErrorCapturedEvent, "cudaErrorCapturedEvent", "operation not permitted on an event last recorded in a capturing stream" },
    { cudaErrorUnknown, "cudaErrorUnknown", "unknown error" },
};

static size_t kerb_error_index(cudaError_t code)
{
    const size_t n = sizeof kerb_errors / sizeof *kerb_errors;
    for (size_t i = 0; i < n; i++)
        if (kerb_errors[i].code == code)
            return i;
    return n - 1;
}

const char *cudaGetErrorName(cudaError_t code)
{
    return kerb_errors[kerb_error_index(code)].name;
}

const char *cudaGetErrorString(cudaError_t code)
{
    return kerb_errors[kerb_error_index(code)].text;
}
