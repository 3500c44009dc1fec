/* SPDX-License-Identifier: MIT */
#include "devices.h"

#include <stdio.h>

/* CUDA C++ Programming Guide, table "Technical Specifications per Compute Capability"; SMs, clocks and memory from the products' data sheets. */
static const struct {
    int sm;
    const char *name;
    int multiprocessors, shared_optin, shared_reserved, threads_per_sm, blocks_per_sm, clock_khz, memory_khz, l2_bytes;
    size_t memory_bytes;
    bool integrated;
} devices[] = {
    { 75, "Tesla T4", 40, 65536, 0, 1024, 16, 1590000, 5001000, 4194304, (size_t)15 << 30, false },
    { 80, "NVIDIA A100-SXM4-40GB", 108, 166912, 1024, 2048, 32, 1410000, 1215000, 41943040, (size_t)40 << 30, false },
    { 86, "NVIDIA GeForce RTX 3090", 82, 101376, 1024, 1536, 16, 1695000, 9751000, 6291456, (size_t)24 << 30, false },
    { 87, "Orin", 16, 166912, 1024, 1536, 16, 1300000, 1300000, 4194304, (size_t)60 << 30, true },
    { 89, "NVIDIA GeForce RTX 4090", 128, 101376, 1024, 1536, 24, 2520000, 10501000, 75497472, (size_t)24 << 30, false },
    { 90, "NVIDIA H100 80GB HBM3", 132, 232448, 1024, 2048, 32, 1980000, 2619000, 52428800, (size_t)79 << 30, false },
};
#define N (sizeof devices / sizeof devices[0])

bool device_describe(int sm, KerbCudaDevice *device, char *json, size_t bytes)
{
    for (size_t i = 0; i < N; i++) {
        if (devices[i].sm != sm) continue;
        *device = (KerbCudaDevice){ .major = sm / 10, .minor = sm % 10, .multiprocessors = devices[i].multiprocessors, .memory_bytes = devices[i].memory_bytes,
                                    .integrated = devices[i].integrated, .driver = 13000, .runtime = 13000 };
        snprintf(device->name, sizeof device->name, "%s", devices[i].name);
        /* isTccDriver and supportCoopLaunch must be numbers: booleans are refused. */
        snprintf(json, bytes,
                 "{\"cudaDeviceId\":0,\"deviceVer\":%d,\"driverVer\":13000,\"maxGridSize\":[2147483647,65535,65535],\"maxBlockSize\":[1024,1024,64],"
                 "\"regsPerBlock\":65536,\"multiProcessorCount\":%d,\"warpSize\":32,\"maxSharedMemoryPerBlock\":49152,\"maxSharedMemoryPerBlockOptin\":%d,"
                 "\"reservedSharedMemoryPerBlock\":%d,\"maxRegistersPerSM\":65536,\"maxCtasPerSM\":%d,\"maxThreadsPerBlock\":1024,\"maxThreadsPerSM\":%d,"
                 "\"pciDeviceId\":0,\"isTccDriver\":0,\"supportCoopLaunch\":1,\"smClockRateKHz\":%d,\"memClockRateKHz\":%d,\"l2CacheSize\":%d,"
                 "\"totalGlobalMem\":%zu,\"deviceName\":\"%s\"}",
                 sm * 10, devices[i].multiprocessors, devices[i].shared_optin, devices[i].shared_reserved, devices[i].blocks_per_sm, devices[i].threads_per_sm,
                 devices[i].clock_khz, devices[i].memory_khz, devices[i].l2_bytes, devices[i].memory_bytes, devices[i].name);
        return true;
    }
    return false;
}

const char *device_list(void) { return "75, 80, 86, 87, 89, 90"; }
