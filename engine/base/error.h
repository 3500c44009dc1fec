/* SPDX-License-Identifier: MIT */
/* Errors: the discoverer writes one message, everyone above forwards the status silently. */
#ifndef KERB_BASE_ERROR_H
#define KERB_BASE_ERROR_H

#include "kerb.h"

#include <stdarg.h>

/* Fills *error (NULL is fine) and returns `status`, so that a function can `return kerb_fail(...)`. The message says the values
 * involved and what to do next; too long a message is cut at a UTF-8 boundary. */
KerbStatus kerb_fail(KerbError *error, KerbStatus status, const char *format, ...) KERB_PRINTF(3, 4);

/* Puts text before a message that is already there ("net.onnx: "). No effect on NULL or KERB_OK. Returns error's status. */
KerbStatus kerb_error_prefix(KerbError *error, const char *format, ...) KERB_PRINTF(2, 3);

/* status OK, message "". NULL is fine. */
void kerb_error_clear(KerbError *error);

/* vsnprintf() that cuts at a UTF-8 boundary. */
void kerb_format(char *buffer, size_t bytes, const char *format, va_list args);

#endif
