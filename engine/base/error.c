/* SPDX-License-Identifier: MIT */
/* Errors: messages into the caller's KerbError, status names, exit codes. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Cuts an incomplete UTF-8 sequence off the end of a text that was truncated to `bytes` (without the NUL). */
static void cut_at_character(char *text, size_t bytes)
{
    size_t start = bytes;
    while (start > 0 && ((unsigned char)text[start - 1] & 0xC0) == 0x80) start--;
    if (start == 0) return;
    unsigned char lead = (unsigned char)text[start - 1];
    size_t need = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    if (bytes - (start - 1) < need) text[start - 1] = '\0';
}

void kerb_format(char *buffer, size_t bytes, const char *format, va_list args)
{
    int n = vsnprintf(buffer, bytes, format, args);
    if (n < 0) buffer[0] = '\0';
    else if ((size_t)n >= bytes) cut_at_character(buffer, bytes - 1);
}

KerbStatus kerb_fail(KerbError *error, KerbStatus status, const char *format, ...)
{
    if (!error) return status;
    error->status = status;
    va_list args;
    va_start(args, format);
    kerb_format(error->message, sizeof error->message, format, args);
    va_end(args);
    return status;
}

KerbStatus kerb_error_prefix(KerbError *error, const char *format, ...)
{
    if (!error) return KERB_OK;
    if (error->status == KERB_OK) return KERB_OK;
    char prefix[512];
    va_list args;
    va_start(args, format);
    kerb_format(prefix, sizeof prefix, format, args);
    va_end(args);
    size_t n = strlen(prefix), room = sizeof error->message - 1 - n, have = strlen(error->message);
    if (have > room) {
        have = room;
        error->message[have] = '\0';
        cut_at_character(error->message, have);
        have = strlen(error->message);
    }
    memmove(error->message + n, error->message, have + 1);
    memcpy(error->message, prefix, n);
    return error->status;
}

void kerb_error_clear(KerbError *error)
{
    if (!error) return;
    error->status = KERB_OK;
    error->message[0] = '\0';
}

KERB_API const char *kerb_status_name(KerbStatus status)
{
    switch (status) {
    case KERB_OK: return "ok";
    case KERB_AGAIN: return "nothing ready yet";
    case KERB_FLUSHED: return "flushed";
    case KERB_ERROR_ARGUMENT: return "bad argument";
    case KERB_ERROR_ASSET: return "bad asset";
    case KERB_ERROR_UNSUPPORTED: return "unsupported model";
    case KERB_ERROR_BACKEND: return "backend failed";
    case KERB_ERROR_MEMORY: return "out of memory";
    case KERB_ERROR_STORAGE: return "storage failed";
    case KERB_ERROR_INTERNAL: return "internal error";
    case KERB_ERROR_FRAME: return "frame lost";
    }
    return "unknown status";
}

KERB_API int kerb_exit_code(KerbStatus status)
{
    switch (status) {
    case KERB_OK:
    case KERB_AGAIN:
    case KERB_FLUSHED: return 0;
    case KERB_ERROR_ARGUMENT: return 2;
    case KERB_ERROR_ASSET:
    case KERB_ERROR_UNSUPPORTED: return 3;
    case KERB_ERROR_STORAGE: return 5;
    case KERB_ERROR_BACKEND: return 6;
    case KERB_ERROR_MEMORY:
    case KERB_ERROR_INTERNAL:
    case KERB_ERROR_FRAME: return 7;
    }
    return 7;
}
