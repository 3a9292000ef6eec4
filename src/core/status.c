/* SPDX-License-Identifier: GPL-3.0-or-later */
/* status.c - see status.h. */
#include "mixsweep/status.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

static const struct {
    int exit_status;
    const char *text;
} statuses[] = {
#define X(code, exit_status, text) [code] = {exit_status, text},
    MIX_STATUS_LIST(X)
#undef X
};

enum mix_status mix_fail(struct mix_error *err, enum mix_status status, const char *format, ...)
{
    if (err == NULL)
        return status;
    va_list arguments;
    va_start(arguments, format);
    /* The sentence may quote err itself: it is built aside first. */
    char text[MIX_ERROR_MAX];
    if (vsnprintf(text, sizeof text, format, arguments) < 0)
        text[0] = '\0';
    va_end(arguments);
    (void)snprintf(err->text, sizeof err->text, "%s", text);
    return status;
}

const char *mix_status_text(enum mix_status status)
{
    const size_t index = (size_t)status;
    return index < sizeof statuses / sizeof statuses[0] ? statuses[index].text : "unknown status";
}

int mix_status_exit(enum mix_status status)
{
    const size_t index = (size_t)status;
    return index < sizeof statuses / sizeof statuses[0] ? statuses[index].exit_status : 1;
}
