/* SPDX-License-Identifier: GPL-3.0-or-later */
/* near.h - equality of doubles in tests; cmocka's own compares floats. NaN is near nothing. */
#ifndef MIXSWEEP_TESTS_OPTIMUM_NEAR_H
#define MIXSWEEP_TESTS_OPTIMUM_NEAR_H

#include <math.h>

#define assert_near(a, b, tolerance)                                                               \
    do {                                                                                           \
        const double near_a = (a), near_b = (b);                                                   \
        if (!(fabs(near_a - near_b) <= (tolerance)))                                               \
            fail_msg("%s = %.17g is not near %.17g", #a, near_a, near_b);                          \
    } while (0)

#endif
