/* SPDX-License-Identifier: MIT */
/* The log: one sink for the library (and one for each module, which has its own copy of base). */
#include "base/error.h"
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static KerbLogSink log_sink = { NULL, NULL, KERB_LOG_WARNING };

/* KERB_LOG=error|warning|info|debug|trace wins over the program's level. */
static KerbLogLevel level_from_environment(KerbLogLevel level)
{
    static const char *const names[] = { "error", "warning", "info", "debug", "trace" };
    const char *wanted = getenv("KERB_LOG");
    for (size_t i = 0; wanted && i < sizeof names / sizeof names[0]; i++)
        if (strcmp(wanted, names[i]) == 0) return (KerbLogLevel)i;
    return level;
}

KERB_API void kerb_set_log(KerbLogFn fn, void *user, KerbLogLevel level)
{
    log_sink = (KerbLogSink){ fn, user, level_from_environment(level) };
}

KerbLogSink kerb_log_sink(void) { return log_sink; }

bool kerb_log_enabled(KerbLogLevel level) { return log_sink.fn && level <= log_sink.level; }

void kerb_log(KerbLogLevel level, const char *format, ...)
{
    if (!kerb_log_enabled(level)) return;
    char line[2304];
    va_list args;
    va_start(args, format);
    kerb_format(line, sizeof line, format, args);
    va_end(args);
    log_sink.fn(log_sink.user, level, line);
}
