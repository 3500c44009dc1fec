/* SPDX-License-Identifier: MIT */
/* Preloaded, it widens the moment in which GStreamer's decodebin loses errors: between letting the stream lock of a new element go and ending the filter of its
 * errors, decodebin sleeps. What needs a loaded machine and luck otherwise happens every time. tests/apps/test_lost_errors.py. */
#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

#define WINDOW_US 100000

__attribute__((visibility("default"))) void g_rec_mutex_unlock(void *mutex); /* GLib's */

void g_rec_mutex_unlock(void *mutex)
{
    static void (*real)(void *);
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "g_rec_mutex_unlock");
    real(mutex);
    Dl_info caller;
    if (dladdr(__builtin_return_address(0), &caller) && caller.dli_fname && strstr(caller.dli_fname, "libgstplayback")) usleep(WINDOW_US);
}
