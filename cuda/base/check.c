/* SPDX-License-Identifier: MIT */
/* Error codes of the CUDA runtime -> Kerb's: which fault ends one frame, and which one the device for this process. Enters: a code; leaves: a
 * status and one message. */
#include "cuda/base/cuda.h"

/* After these the context is gone: every later call of this process gives the same error again, and only a new process helps. */
bool kerb_cuda_is_sticky(cudaError_t code)
{
    switch ((int)code) { /* by number: toolkits before 12.8 lack the names of some */
    case 4:   /* the runtime is unloading */
    case 201: /* invalid device context */
    case 214: /* uncorrectable ECC error */
    case 220: /* uncorrectable NVLink error */
    case 226: /* contained: the hardware's damage is confined to this process */
    case 700: /* illegal address */
    case 702: /* launch timeout */
    case 709: /* context is destroyed */
    case 710: /* device-side assert */
    case 714: /* hardware stack error */
    case 715: /* illegal instruction */
    case 716: /* misaligned address */
    case 717: /* invalid address space */
    case 718: /* invalid program counter */
    case 719: /* launch failure */
    case 721: /* tensor memory leak */
    case 810: /* MPS client terminated */
    case 911: /* error outside of CUDA that it depends on */
    case 999: /* unknown: seen when the machine slept, or the driver was unloaded or replaced below us */
        return true;
    default: return false;
    }
}

/* The context may be sound, but asking again gives the same answer. */
static bool is_lasting(cudaError_t code)
{
    switch ((int)code) {
    case 3:   /* initialization error */
    case 34:  /* stub library */
    case 35:  /* driver too old, or none */
    case 46:  /* devices unavailable */
    case 100: /* no device */
    case 101: /* no such device */
    case 200: /* invalid kernel image */
    case 209: /* no kernel image for this device */
    case 218: /* invalid PTX */
    case 222: /* PTX of a newer toolkit than the driver knows */
    case 802: /* system not ready */
    case 803: /* driver's parts of different versions */
    case 804: /* compatibility package on a device that it is not for */
        return true;
    default: return false;
    }
}

static const char *remedy_of(cudaError_t code)
{
    switch ((int)code) {
    case 214: return "the GPU's memory is damaged there (nvidia-smi -q -d ECC): reset the GPU or restart the machine";
    case 702: return "a kernel ran longer than the display's watchdog allows: use a smaller network, or a GPU without a display";
    case 200:
    case 209:
    case 218:
    case 222: return "this build has no code for this GPU: build Kerb with its compute capability in KERB_CUDA_ARCHITECTURES, or install a newer driver";
    case 802: return "the GPU's services are not up yet (nvidia-fabricmanager): start them, or try again";
    case 803:
    case 804: return "the driver's kernel module and libcuda.so.1 do not belong together: restart the machine after a driver update";
    case 46: return "another program uses the GPU alone, or its mode forbids it (nvidia-smi -q -d COMPUTE)";
    default: break;
    }
    return kerb_cuda_is_sticky(code) ? "the GPU cannot be used any more by this process: start the program again; dmesg and nvidia-smi may say why"
                                     : "nvidia-smi shows the state of driver and GPU";
}

static KerbStatus fail_memory(const char *what, KerbError *error)
{
    size_t free_bytes = 0, total = 0;
    if (cudaMemGetInfo(&free_bytes, &total) != cudaSuccess) (void)cudaGetLastError();
    return kerb_fail(error, KERB_ERROR_MEMORY, "%s: the GPU's memory is full (%.0f MiB of %.0f are free): end other programs that use it "
                     "(nvidia-smi lists them), use a smaller network size, or precision f16", what, (double)free_bytes / (1 << 20),
                     (double)total / (1 << 20));
}

KerbStatus kerb_cuda_check(cudaError_t code, const char *what, KerbError *error)
{
    if (code == cudaSuccess) return KERB_OK;
    (void)cudaGetLastError(); /* told here: the next launch's own check must not find it again */
    if (code == cudaErrorMemoryAllocation) return fail_memory(what, error);
    if (kerb_cuda_is_sticky(code) || is_lasting(code))
        return kerb_fail(error, KERB_ERROR_BACKEND, "%s: %s (%s, %d): %s", what, cudaGetErrorString(code), cudaGetErrorName(code), (int)code,
                         remedy_of(code));
    return kerb_fail(error, KERB_ERROR_FRAME, "%s: %s (%s, %d); what was being done is lost, later work may succeed", what,
                     cudaGetErrorString(code), cudaGetErrorName(code), (int)code);
}
