/* SPDX-License-Identifier: GPL-3.0-or-later */
/* allocate.c - the capacity competition of one point; see competition.h. */
#include "competition.h"

#include <math.h>

int competition_allocate(size_t n, const double *q, const double *e, double ln_low, double ln_n,
                         double total, double *mu, double *ln_x)
{
    const struct competition_kernels *kernels = competition_kernels(mix_isa_best());
    const size_t n_lanes = kernels->n_lanes;
    double q_of[MIX_DOMAINS_MAX * LANES_MOST], ln_x_of[MIX_DOMAINS_MAX * LANES_MOST];
    double ln_n_of[LANES_MOST], total_of[LANES_MOST], mu_of[LANES_MOST];
    for (size_t lane = 0; lane < n_lanes; lane++) {
        for (size_t i = 0; i < n; i++)
            q_of[i * n_lanes + lane] = q[i];
        ln_n_of[lane] = ln_n;
        total_of[lane] = total;
        mu_of[lane] = *mu;
    }
    const int steps =
        kernels->allocate(n, q_of, e, ln_low, ln_n_of, total_of, mu_of, ln_x_of, n_lanes);
    for (size_t i = 0; i < n; i++)
        ln_x[i] = ln_x_of[i * n_lanes];
    *mu = mu_of[0];
    return steps;
}
