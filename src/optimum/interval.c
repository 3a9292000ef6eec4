/* SPDX-License-Identifier: GPL-3.0-or-later */
/* interval.c - intervals of a figure over bootstrap draws. */
#include <gsl/gsl_cdf.h>
#include <math.h>
#include <stdlib.h>

#include "mixsweep/optimum.h"

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double mix_quantile_of_draws(size_t n, const double *sorted, double p)
{
    const double at = p * ((double)n + 1.0) - 1.0; /* from 0 */
    if (!(at > 0.0))
        return sorted[0];
    if (at >= (double)n - 1.0)
        return sorted[n - 1];
    const size_t below = (size_t)at;
    return sorted[below] + (at - (double)below) * (sorted[below + 1] - sorted[below]);
}

/* The finite draws to the front, in order, and no number behind them; how many. */
static size_t sort_known(size_t n, double *draws)
{
    size_t n_known = 0;
    for (size_t b = 0; b < n; b++)
        if (isfinite(draws[b]))
            draws[n_known++] = draws[b];
    for (size_t b = n_known; b < n; b++)
        draws[b] = NAN;
    qsort(draws, n_known, sizeof *draws, ascending);
    return n_known;
}

struct mix_interval mix_interval_over_draws(double value, size_t n, double *draws, double level)
{
    const size_t n_known = sort_known(n, draws);
    if (n_known == 0)
        return (struct mix_interval){value, NAN, NAN};
    return (struct mix_interval){value, mix_quantile_of_draws(n_known, draws, 0.5 * (1.0 - level)),
                                 mix_quantile_of_draws(n_known, draws, 0.5 * (1.0 + level))};
}

struct mix_interval mix_interval_about(double value, size_t n, double *draws, double level)
{
    struct mix_interval interval = mix_interval_over_draws(value, n, draws, level);
    if (!isfinite(interval.lo))
        return interval;
    const double shift = value - mix_quantile_of_draws(sort_known(n, draws), draws, 0.5);
    interval.lo += shift;
    interval.hi += shift;
    return interval;
}

double mix_share_above(double limit, double value, size_t n, double *draws)
{
    const size_t n_known = sort_known(n, draws);
    if (n_known == 0)
        return NAN;
    const double shift = value - mix_quantile_of_draws(n_known, draws, 0.5);
    size_t n_above = 0;
    for (size_t b = 0; b < n_known; b++)
        n_above += draws[b] + shift > limit;
    return (double)n_above / (double)n_known;
}

double mix_chance_above(double limit, double value, double spread, size_t n, double *draws)
{
    const size_t n_known = sort_known(n, draws);
    if (isnan(spread) || isnan(value))
        return NAN;
    if (spread == 0.0)
        return mix_share_above(limit, value, n, draws);
    if (n_known == 0)
        return gsl_cdf_ugaussian_P((value - limit) / spread);
    const double shift = value - mix_quantile_of_draws(n_known, draws, 0.5);
    double sum = 0.0;
    for (size_t b = 0; b < n_known; b++)
        sum += gsl_cdf_ugaussian_P((draws[b] + shift - limit) / spread);
    return sum / (double)n_known;
}
