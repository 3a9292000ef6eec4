/* SPDX-License-Identifier: GPL-3.0-or-later */
/* allocate.c - Newton's method for the multiplier of the capacity competition; see competition.h.
 */
#include "competition.h"

#include <math.h>

enum { MAX_STEPS = 30 };

/* A Newton step leaves F'' step^2 / 2, exactly so but for the drift of F'' over the step. Where
 * that is below rounding the step is the last, and the next sum need not be taken to see it. Not so
 * where a skill meets its bound on the way; there the last step starts from nearer by. */
static const double LEFT_BY_LAST = 2e-15, LAST_EXCESS_AT_BOUND = 5e-14;

/* ln x (n) at mu; returns how many skills lie above H. */
static size_t capacities(size_t n, const double *q, const double *e, double ln_low, double mu,
                         double *ln_x)
{
    size_t n_active = 0;
    for (size_t i = 0; i < n; i++) {
        const double free = (q[i] - mu) * e[i];
        const bool active = free > ln_low;
        ln_x[i] = active ? free : ln_low;
        n_active += active;
    }
    return n_active;
}

int competition_allocate(size_t n, const double *q, const double *e, double ln_low, double ln_n,
                         double total, double *mu, double *ln_x)
{
    const double ln_total = log(total);
    double floor_mu = -INFINITY; /* F >= 0 here: no x exceeds N */
    for (size_t i = 0; i < n; i++) {
        const double alone = q[i] - ln_n / e[i]; /* skill i would have N */
        floor_mu = alone > floor_mu ? alone : floor_mu;
    }
    double at = *mu > floor_mu ? *mu : floor_mu; /* NaN too */
    size_t n_active = capacities(n, q, e, ln_low, at, ln_x);
    if (n_active == 0 && at > floor_mu) { /* a guess beyond the last active skill */
        at = floor_mu;
        n_active = capacities(n, q, e, ln_low, at, ln_x);
    }
    int steps = 0;
    bool last = n_active == 0;
    while (!last) {
        double sum = 0.0, sum_e = 0.0, sum_e2 = 0.0; /* of x, x e, x e^2, the latter where active */
        for (size_t i = 0; i < n; i++) {
            const double x = exp(ln_x[i]), e_free = ln_x[i] > ln_low ? e[i] : 0.0;
            sum += x;
            sum_e += x * e_free;
            sum_e2 += x * e_free * e_free;
        }
        const double excess = log(sum) - ln_total, rate = sum_e / sum; /* F, -F' */
        const double step = excess / rate, curvature = sum_e2 / sum - rate * rate;
        const double next = at + step > floor_mu ? at + step : floor_mu;
        const size_t n_before = n_active; /* a step to one side only adds or only removes skills */
        n_active = capacities(n, q, e, ln_low, next, ln_x);
        steps++;
        last = next == at || n_active == 0 || steps == MAX_STEPS ||
               (n_active == n_before ? 0.5 * curvature * step * step <= LEFT_BY_LAST
                                     : fabs(excess) <= LAST_EXCESS_AT_BOUND);
        at = next;
    }
    *mu = at;
    return steps;
}
