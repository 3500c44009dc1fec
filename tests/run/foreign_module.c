/* SPDX-License-Identifier: MIT */
/* kerb-cpu.so as another version of Kerb would have it: the entry point is there, and refuses this one's interface. */
#include "net/backend.h"

KERB_API const KerbBackend *kerb_backend(uint32_t abi, const KerbLogSink *sink);

KERB_API const KerbBackend *kerb_backend(uint32_t abi, const KerbLogSink *sink)
{
    static const KerbBackend older = { .abi = KERB_BACKEND_ABI - 1, .name = "cpu" };
    (void)abi, (void)sink;
    return &older;
}
