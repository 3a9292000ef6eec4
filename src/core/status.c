/* SPDX-License-Identifier: GPL-3.0-or-later */
/* status.c - see status.h. */
#include "mixsweep/status.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum { END_BYTES = 256 }; /* of a sentence that is too long */

static const struct {
    int exit_status;
    const char *text;
} statuses[] = {
#define X(code, exit_status, text) [code] = {exit_status, text},
    MIX_STATUS_LIST(X)
#undef X
};

/* Bytes of UTF-8 behind the first of a letter. */
static bool is_inside_letter(char byte)
{
    return ((unsigned char)byte & 0xC0u) == 0x80u;
}

enum mix_status mix_fail(struct mix_error *err, enum mix_status status, const char *format, ...)
{
    if (err == NULL)
        return status;
    va_list arguments;
    va_start(arguments, format);
    /* The sentence may quote err itself: it is built aside first. */
    char text[8 * MIX_ERROR_MAX];
    if (vsnprintf(text, sizeof text, format, arguments) < 0)
        text[0] = '\0';
    va_end(arguments);
    const size_t length = strlen(text);
    if (length < sizeof err->text) {
        memcpy(err->text, text, length + 1);
        return status;
    }
    /* A long name or value in it: what is wrong comes last. No letter is cut in two. */
    size_t begin = sizeof err->text - sizeof " ... " - END_BYTES, end = length - END_BYTES;
    while (begin > 0 && is_inside_letter(text[begin]))
        begin--;
    while (is_inside_letter(text[end]))
        end++;
    (void)snprintf(err->text, sizeof err->text, "%.*s ... %s", (int)begin, text, text + end);
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
