/* SPDX-License-Identifier: MIT */
/* libkerb-standin.so stands in for the CUDA runtime and for cuDNN 9's backend API where there is no GPU, and really computes, on the host: streams are
 * threads, device memory is memory that host threads can't touch, convolutions are plain C. Tests run ring, order, teardown and the failure of every
 * single call against it. This header is what tests and host twins of kernels use; everything else is CUDA's and cuDNN's own headers.
 *
 * Not here: the driver API, memory pools, managed memory, arrays, more of the graph API than capture, instantiate and launch.
 *
 * The environment's KERB_STANDIN (or kerb_standin_configure()) says what the machine is like, words separated by spaces or commas:
 *   devices=N nodriver sm=87 memory=8G integrated driver=13000 runtime=13000 dnn=91900    what there is (default: one device, sm 90, 8G, discrete)
 *   fail=N code=C sticky only=NAME   the N-th call (of NAME, where given) fails with cudaError C (default 2); sticky: and all after it. Codes that lose
 *                                    the context (700, 702, 719, 214, ...) are sticky by themselves. Codes from 1000 on are cuDNN's (the runtime
 *                                    then says 801, not supported). Calls that release something do so all the same.
 *   failop=N                         the N-th piece of device work faults with `code` (default 719): found by a later call, as on a GPU
 *   delay=200us calldelay=50us seed=S   random waits in streams, in calls; also the order of independent nodes of a graph
 *   nocapture                        cudaStreamBeginCapture() refuses
 *   nofuse nodnn                     cuDNN refuses fused graphs; every graph
 *   noalias                          mapped host memory has one address (default: another one for the device)
 *   trace                            each call to stderr
 *   check                            at exit: calls, leaks and misuses to stderr, exit code 86 where there are any of the latter two */
#ifndef KERB_STANDIN_H
#define KERB_STANDIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cuda_runtime_api.h>

#define KERB_STANDIN_API __attribute__((visibility("default")))

/* Queues fn(args) as a kernel: args are copied, order is the stream's, capturable; device memory is open while it runs. Counts as a call of
 * "cudaLaunchKernel"; an error is returned and is also the thread's last error, so that a launcher may end in `return cudaGetLastError()`. */
KERB_STANDIN_API cudaError_t kerb_standin_enqueue(cudaStream_t stream, void (*fn)(const void *args), const void *args, size_t bytes);

/* Starts anew with these words (NULL: those of the environment): counters, faults and a lost device are forgotten. What is alive stays alive. */
KERB_STANDIN_API void kerb_standin_configure(const char *words);

/* Calls so far that can fail, of all functions (NULL) or of one. */
KERB_STANDIN_API uint64_t kerb_standin_calls(const char *name);
/* Pieces of device work run so far (kernels, copies, fills; nodes of graphs). */
KERB_STANDIN_API uint64_t kerb_standin_works(void);
/* What is alive: device blocks, pinned blocks, streams, events, graphs, cuDNN's handles and descriptors. A line each; returns how many. */
KERB_STANDIN_API int kerb_standin_leaks(char *text, size_t bytes);
/* What no correct program does: dead handles, copies out of bounds, overwritten guards, frees of what is not there. A line each; returns how many. */
KERB_STANDIN_API int kerb_standin_misuses(char *text, size_t bytes);
/* True where a host thread that touches device memory faults (memory protection keys; without them only the bounds are guarded). */
KERB_STANDIN_API bool kerb_standin_guards(void);

#endif
