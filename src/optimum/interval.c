/* SPDX-License-Identifier: GPL-3.0-or-later */
/* interval.c - intervals of a figure over bootstrap draws. */
#include <gsl/gsl_cdf.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdlib.h>

#include "mixsweep/optimum.h"

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct mix_interval mix_interval_over_draws(double value, size_t n, double *draws, double level)
{
    size_t n_known = 0;
    for (size_t b = 0; b < n; b++)
        if (isfinite(draws[b]))
            draws[n_known++] = draws[b];
    if (n_known == 0)
        return (struct mix_interval){value, NAN, NAN};
    qsort(draws, n_known, sizeof *draws, ascending);
    return (struct mix_interval){
        value, gsl_stats_quantile_from_sorted_data(draws, 1, n_known, 0.5 * (1.0 - level)),
        gsl_stats_quantile_from_sorted_data(draws, 1, n_known, 0.5 * (1.0 + level))};
}

struct mix_interval mix_interval_widen(const struct mix_fit *fit, double n_params, double level,
                                       struct mix_interval draws)
{
    double steps = 1.0; /* of the held-out test, in ln N */
    if (fit->scale_factor > 1.0)
        steps = fmax(1.0, log(n_params / fit->max_n_params) / log(fit->scale_factor));
    const double beyond =
        gsl_cdf_ugaussian_Pinv(0.5 * (1.0 + level)) * fit->scale_error * steps * fabs(draws.value);
    const double below = isfinite(draws.lo) ? fmax(0.0, draws.value - draws.lo) : 0.0;
    const double above = isfinite(draws.hi) ? fmax(0.0, draws.hi - draws.value) : 0.0;
    return (struct mix_interval){draws.value, draws.value - hypot(below, beyond),
                                 draws.value + hypot(above, beyond)};
}
