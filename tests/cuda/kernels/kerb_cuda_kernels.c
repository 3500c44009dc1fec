/* SPDX-License-Identifier: MIT */
/* kerb-cuda-kernels: the network's own kernels on a GPU. Every generated check is run by the host twin and by the GPU: both are held
 * against the reference operator, and the GPU's results against the twin's (exactly where no function of the mathematics library is in
 * them). Then, unless KERB_SHORT is set, times of large cases with the bytes that they must move. The last line is `N passed, N failed, N
 * skipped`. Exit code: 0 all passed, 1 some failed, 77 there is no GPU. */
#include "kernel_times.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct Family {
    const char *name;
    void (*run)(Case *);
} Family;

static const Family families[] = {
    { "picture", kernel_cases_picture }, { "conv", kernel_cases_conv }, { "pool", kernel_cases_pool },     { "axes", kernel_cases_axes },
    { "walk", kernel_cases_walk },       { "move", kernel_cases_move }, { "matmul", kernel_cases_matmul },
};

static void run_family(const Family *f, int *passed, int *failed)
{
    CaseRecord record = { 0 };
    Case twin = { .record = &record, .seed = 20240607 }, gpu = { .device = true, .record = &record, .seed = twin.seed };
    f->run(&twin);
    case_end(&twin);
    if (cudaStreamCreate(&gpu.stream) != cudaSuccess) exit(1);
    f->run(&gpu);
    case_end(&gpu);
    if (cudaStreamDestroy(gpu.stream) != cudaSuccess) exit(1);
    int bad = twin.failures + gpu.failures;
    printf("%-8s %5d checks, %d failed; %d results differ from the twin's within tolerance\n", f->name, gpu.checks, bad,
           gpu.bit_differences);
    *failed += bad;
    *passed += gpu.checks > bad ? gpu.checks - bad : 0;
    case_record_free(&record);
}

int main(void)
{
    int count = 0, passed = 0, failed = 0;
    cudaError_t error = cudaGetDeviceCount(&count);
    if (error != cudaSuccess || count < 1) {
        printf("no GPU: %s\n0 passed, 0 failed, 1 skipped\n", error != cudaSuccess ? cudaGetErrorString(error) : "none was found");
        return 77;
    }
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) run_family(&families[i], &passed, &failed);
    if (!getenv("KERB_SHORT")) kernel_times();
    printf("%d passed, %d failed, 0 skipped\n", passed, failed);
    return failed ? 1 : 0;
}
