/* SPDX-License-Identifier: GPL-3.0-or-later */
/* mixing.isa.c - the powers in the mixing term of additive and joint, a domain in each lane; see
 * separable.h. */
#include "core/lanes.h"

#include "core/isa_name.h"
#include "separable.h"

static void powers(size_t n, const double *power, const double *ln_h, double ln_h_min,
                   double ln_even, double *out)
{
    const lanes least = lane_all(ln_h_min);
    for (size_t j = 0; j < n; j += LANES) {
        const lanes at = lane_max(lane_load_some(ln_h + j, n - j), least) + ln_even;
        lane_store_some(out + j, lane_exp(lane_load_some(power + j, n - j) * at), n - j);
    }
}

const struct mixing_kernels ISA_NAME(mixing_kernels) = {.powers = powers};
