/* SPDX-License-Identifier: GPL-3.0-or-later */
/* expect.h - what the tests of the fit expect, beside cmocka's own. */
#ifndef MIXSWEEP_TESTS_FIT_EXPECT_H
#define MIXSWEEP_TESTS_FIT_EXPECT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/status.h"

/* Equality of doubles; cmocka's own compares floats. NaN is near nothing. */
#define assert_near(a, b, tolerance)                                                               \
    do {                                                                                           \
        const double near_a = (a), near_b = (b);                                                   \
        if (!(fabs(near_a - near_b) <= (tolerance)))                                               \
            fail_msg("%s = %.17g is not near %.17g", #a, near_a, near_b);                          \
    } while (0)

/* A status that must be MIX_OK, else its sentence is the failure. */
#define assert_ok(call, err)                                                                       \
    do {                                                                                           \
        if ((call) != MIX_OK)                                                                      \
            fail_msg("%s: %s", #call, (err).text);                                                 \
    } while (0)

/* A refusal, with words that its sentence must have. */
#define assert_refused(call, status, err, words)                                                   \
    do {                                                                                           \
        (err).text[0] = '\0';                                                                      \
        assert_int_equal(call, status);                                                            \
        if (strstr((err).text, words) == NULL)                                                     \
            fail_msg("\"%s\" does not say \"%s\"", (err).text, words);                             \
    } while (0)

/* A file of the shared folder, or NULL: then the caller skips. */
static inline const char *shared_file(const char *name, char path[512])
{
    const char *folder = getenv("MIXSWEEP_SHARED");
    snprintf(path, 512, "%s/%s", folder != NULL ? folder : "../shared", name);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        print_message("%s is not there: skipped\n", path);
        return NULL;
    }
    fclose(file);
    return path;
}

#endif
