/* SPDX-License-Identifier: GPL-3.0-or-later */
/* interval.c - percentile and BCa intervals over bootstrap draws; see interval.h. */
#include "mixsweep/interval.h"

#include <gsl/gsl_cdf.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Acceleration from the finite ones of the jackknife's figures; 0 where they do not differ, NaN
 * where there are none. */
static double acceleration(size_t n, const double *left)
{
    double mean = 0.0, squares = 0.0, cubes = 0.0;
    size_t n_known = 0;
    for (size_t g = 0; g < n; g++)
        if (isfinite(left[g]))
            mean += (left[g] - mean) / (double)++n_known;
    for (size_t g = 0; g < n; g++) {
        const double d = isfinite(left[g]) ? mean - left[g] : 0.0;
        squares += d * d;
        cubes += d * d * d;
    }
    if (n_known == 0)
        return NAN;
    return squares > 0.0 ? cubes / (6.0 * pow(squares, 1.5)) : 0.0;
}

/* Quantile of the sorted draws at the level that BCa moves z to. */
static double moved_quantile(size_t n, const double *sorted, double z0, double a, double z)
{
    const double stretch = 1.0 - a * (z0 + z);
    double p = stretch > 0.0 ? gsl_cdf_ugaussian_P(z0 + (z0 + z) / stretch) : (z0 + z > 0.0);
    return mix_quantile_of_draws(n, sorted, p);
}

struct mix_intervals mix_intervals_over_draws(double value, size_t n, double *draws, size_t n_left,
                                              const double *left, double level)
{
    struct mix_intervals out = {.percentile = mix_interval_over_draws(value, n, draws, level),
                                .bca = {value, NAN, NAN}};
    const double a = acceleration(n_left, left);
    double below = 0.0;
    size_t n_known = 0; /* mix_interval_over_draws() has moved them to the front */
    while (n_known < n && isfinite(draws[n_known]))
        n_known++;
    if (!isfinite(out.percentile.lo) || isnan(a))
        return out;
    for (size_t b = 0; b < n_known; b++)
        below += draws[b] < value ? 1.0 : draws[b] == value ? 0.5 : 0.0;
    /* Draws all on one side cannot say that the estimate is outside them for certain. */
    const double few = 1.0 / ((double)n_known + 1.0);
    const double share = fmin(fmax(below / (double)n_known, few), 1.0 - few);
    const double z0 = gsl_cdf_ugaussian_Pinv(share);
    const double z = gsl_cdf_ugaussian_Pinv(0.5 * (1.0 + level));
    out.bca.lo = moved_quantile(n_known, draws, z0, a, -z);
    out.bca.hi = moved_quantile(n_known, draws, z0, a, z);
    return out;
}

enum mix_status mix_draws_check(const struct mix_fit *fit, const struct mix_draws *draws,
                                struct mix_error *err)
{
    const struct mix_key key = mix_fit_key(fit);
    if (draws->n_params == fit->n_params && draws->fit_key.hi == key.hi &&
        draws->fit_key.lo == key.lo)
        return MIX_OK;
    return mix_fail(err, MIX_EINVAL,
                    "the bootstrap draws belong to an earlier fit %s: run mixsweep bootstrap again",
                    fit->name);
}

/* Figures (F) of one set of parameters; false where there are none. */
typedef bool (*figures_fn)(void *context, const double *params, double *figures);

/* Both intervals of F figures: of the fit, of its done draws, of its done refits. Percentiles
 * `about` the figure are for losses. */
static enum mix_status intervals_of(const struct mix_fit *fit, const struct mix_draws *draws,
                                    double level, bool about, size_t n_figures, figures_fn figures,
                                    void *context, struct mix_intervals *out, struct mix_error *err)
{
    const size_t n = draws->n_draws, n_left = draws->n_left;
    double *columns = malloc((n + n_left + 1) * n_figures * sizeof *columns); /* (F, B + C) */
    double *row = malloc((n_figures + 1) * sizeof *row);
    if (columns == NULL || row == NULL) {
        free(columns);
        free(row);
        return mix_fail(err, MIX_ENOMEM, "out of memory for the intervals of %zu draws", n);
    }
    for (size_t b = 0; b < n + n_left; b++) {
        const bool done = b < n ? draws->done[b] : draws->left_done[b - n];
        const double *params =
            b < n ? draws->params + b * draws->n_params : draws->left + (b - n) * draws->n_params;
        const bool ok = done && isfinite(params[0]) && figures(context, params, row);
        for (size_t f = 0; f < n_figures; f++)
            columns[f * (n + n_left) + b] = ok ? row[f] : NAN;
    }
    const bool ok = figures(context, fit->params, row);
    for (size_t f = 0; f < n_figures; f++) {
        double *column = columns + f * (n + n_left);
        const double value = ok ? row[f] : NAN;
        out[f] = mix_intervals_over_draws(value, n, column, n_left, column + n, level);
        if (about)
            out[f].percentile = mix_interval_about(value, n, column, level);
    }
    free(columns);
    free(row);
    return MIX_OK;
}

static bool all_params(void *context, const double *params, double *figures)
{
    const struct mix_fit *fit = context;
    memcpy(figures, params, fit->n_params * sizeof *figures);
    return true;
}

enum mix_status mix_intervals_params(const struct mix_fit *fit, const struct mix_draws *draws,
                                     double level, struct mix_intervals *out, struct mix_error *err)
{
    struct mix_fit shallow = *fit;
    const enum mix_status status = mix_draws_check(fit, draws, err);
    return status == MIX_OK ? intervals_of(fit, draws, level, false, fit->n_params, all_params,
                                           &shallow, out, err)
                            : status;
}

/* Losses at one mixture, less those at another where there is one; behind them their mean. */
struct asked {
    const struct mix_fit *fit;
    struct mix_model *model;
    size_t n_targets;
    const double *weight, *mixture, *minus;
    double n_params, n_tokens; /* in the law's units */
    double *scratch;           /* (M + 1) */
};

static bool losses_at(const struct asked *a, const double *mixture, const double *params,
                      double *losses)
{
    if (mix_model_predict(a->model, params, 1, mixture, &a->n_params, &a->n_tokens, losses, NULL) !=
        MIX_OK)
        return false;
    losses[a->n_targets] = mix_fit_mean(a->fit, a->weight, losses);
    return true;
}

static bool losses_or_gains(void *context, const double *params, double *figures)
{
    const struct asked *a = context;
    if (!losses_at(a, a->mixture, params, figures))
        return false;
    if (a->minus == NULL)
        return true;
    if (!losses_at(a, a->minus, params, a->scratch))
        return false;
    for (size_t m = 0; m <= a->n_targets; m++)
        figures[m] -= a->scratch[m];
    return true;
}

static enum mix_status open_asked(const struct mix_fit *fit, const struct mix_draws *draws,
                                  const double *weight, double n_params, double n_tokens,
                                  struct asked *a, struct mix_error *err)
{
    *a = (struct asked){.fit = fit,
                        .n_targets = fit->spec.n_targets,
                        .weight = weight != NULL ? weight : fit->target_weight,
                        .n_params = n_params / 1e6,
                        .n_tokens = n_tokens / 1e9};
    enum mix_status status = mix_draws_check(fit, draws, err);
    if (status == MIX_OK)
        status = mix_fit_model(fit, &a->model, err);
    if (status != MIX_OK)
        return status;
    a->scratch = malloc((a->n_targets + 1) * sizeof *a->scratch);
    return a->scratch != NULL
               ? MIX_OK
               : mix_fail(err, MIX_ENOMEM, "out of memory for %zu targets", a->n_targets);
}

static void close_asked(struct asked *a)
{
    mix_model_destroy(a->model);
    free(a->scratch);
}

static enum mix_status ask(const struct mix_fit *fit, const struct mix_draws *draws,
                           const double *weight, const double *mixture, const double *minus,
                           double n_params, double n_tokens, double level,
                           struct mix_intervals *out, struct mix_error *err)
{
    struct asked a;
    enum mix_status status = open_asked(fit, draws, weight, n_params, n_tokens, &a, err);
    if (status == MIX_OK) /* the sentence, where the point fit has no answer here */
        status = mix_model_predict(a.model, fit->params, 1, mixture, &a.n_params, &a.n_tokens,
                                   a.scratch, err);
    a.mixture = mixture;
    a.minus = minus;
    if (status == MIX_OK)
        status =
            intervals_of(fit, draws, level, true, a.n_targets + 1, losses_or_gains, &a, out, err);
    close_asked(&a);
    return status;
}

enum mix_status mix_intervals_predict(const struct mix_fit *fit, const struct mix_draws *draws,
                                      const double *weight, const double *mixture, double n_params,
                                      double n_tokens, double level, struct mix_intervals *out,
                                      struct mix_error *err)
{
    return ask(fit, draws, weight, mixture, NULL, n_params, n_tokens, level, out, err);
}

enum mix_status mix_intervals_gain(const struct mix_fit *fit, const struct mix_draws *draws,
                                   const double *weight, const double *mixture, const double *other,
                                   double n_params, double n_tokens, double level,
                                   struct mix_intervals *out, struct mix_error *err)
{
    return ask(fit, draws, weight, other, mixture, n_params, n_tokens, level, out, err);
}
