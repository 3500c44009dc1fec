/* SPDX-License-Identifier: MIT */
/* The log: lines to whoever asked for them (kerb_set_log). Nothing on the streaming path logs above trace. */
#ifndef KERB_BASE_LOG_H
#define KERB_BASE_LOG_H

#include "kerb.h"

bool kerb_log_enabled(KerbLogLevel level);
void kerb_log(KerbLogLevel level, const char *format, ...) KERB_PRINTF(2, 3);

/* What a module (its own copy of base) is given at load, so that its lines go where the library's go. */
typedef struct KerbLogSink {
    KerbLogFn fn;
    void *user;
    KerbLogLevel level;
} KerbLogSink;
KerbLogSink kerb_log_sink(void);

#endif
