/* SPDX-License-Identifier: GPL-3.0-or-later */
/* budget.c - where the error of a predicted mean loss comes from; see interval.h. */
#include <gsl/gsl_cdf.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fit_parts.h"
#include "mixsweep/interval.h"

static const double SAME_SCALE = 1e-9; /* relative */
static const double TINY = 1e-20;      /* mse of rounding alone */

static bool same(double a, double b)
{
    return fabs(a - b) <= SAME_SCALE * fabs(b);
}

static bool same_scale(const struct mix_data *data, size_t a, size_t b)
{
    return same(data->n_params[a], data->n_params[b]) && same(data->n_tokens[a], data->n_tokens[b]);
}

/* Of the rows at the scale of row `at`: pooled variance of ln(mean loss) within mixtures, and its
 * degrees of freedom. */
static double pooled_variance(const struct mix_data *data, const double *ln_mean, size_t at,
                              size_t *freedom)
{
    double squares = 0.0;
    *freedom = 0;
    for (size_t i = 0; i < data->n_rows; i++) {
        double mean = 0.0, n = 0.0;
        if (!same_scale(data, i, at) || !isfinite(ln_mean[i]))
            continue;
        bool first = true;
        for (size_t k = 0; k < data->n_rows && first; k++) {
            if (data->cluster[k] != data->cluster[i] || !same_scale(data, k, at) ||
                !isfinite(ln_mean[k]))
                continue;
            first = k >= i; /* each mixture counts once, by its first row */
            n += 1.0;
            mean += (ln_mean[k] - mean) / n;
        }
        if (!first || n < 2.0)
            continue;
        *freedom += (size_t)n - 1;
        for (size_t k = i; k < data->n_rows; k++)
            if (data->cluster[k] == data->cluster[i] && same_scale(data, k, at) &&
                isfinite(ln_mean[k]))
                squares += (ln_mean[k] - mean) * (ln_mean[k] - mean);
    }
    return squares / (double)*freedom;
}

enum mix_status mix_seed_noise(const struct mix_table *table, const struct mix_fit *fit,
                               const double *weight, double *sd, size_t *n, struct mix_error *err)
{
    struct mix_data *data = NULL;
    *sd = NAN;
    *n = 0;
    const enum mix_status status = mix_table_select(table, &fit->selection, &data, err);
    if (status != MIX_OK)
        return status;
    double *ln_mean = malloc((data->n_rows + 1) * sizeof *ln_mean);
    if (ln_mean == NULL) {
        mix_data_destroy(data);
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu runs", data->n_rows);
    }
    for (size_t i = 0; i < data->n_rows; i++)
        ln_mean[i] = log(fit_mean_loss(data, weight != NULL ? weight : fit->target_weight,
                                       data->loss + i * data->n_targets, -1));
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < data->n_rows; i++) {
        size_t freedom = 0;
        const bool larger = best == SIZE_MAX || data->n_params[i] > data->n_params[best] ||
                            (same(data->n_params[i], data->n_params[best]) &&
                             data->n_tokens[i] > data->n_tokens[best]);
        if (!larger || (best != SIZE_MAX && same_scale(data, i, best)))
            continue;
        const double variance = pooled_variance(data, ln_mean, i, &freedom);
        if (freedom > 0) {
            best = i;
            *n = freedom;
            *sd = sqrt(variance);
        }
    }
    free(ln_mean);
    mix_data_destroy(data);
    return MIX_OK;
}

/* Weighted mean loss of a fit at a mixture; NaN where it cannot say. */
static double mean_of(const struct mix_fit *fit, const double *params, const double *weight,
                      const double *mixture, double n_params, double n_tokens,
                      struct mix_error *err)
{
    const size_t n_m = fit->spec.n_targets;
    const double size = n_params / 1e6, tokens = n_tokens / 1e9;
    struct mix_model *model = NULL;
    double *loss = malloc(n_m * sizeof *loss), sum = NAN;
    if (loss != NULL && mix_fit_model(fit, &model, err) == MIX_OK &&
        mix_model_predict(model, params, 1, mixture, &size, &tokens, loss, err) == MIX_OK) {
        double weights = sum = 0.0;
        for (size_t m = 0; m < n_m; m++) {
            sum += weight[m] > 0.0 ? weight[m] * loss[m] : 0.0;
            weights += weight[m];
        }
        sum /= weights;
    }
    mix_model_destroy(model);
    free(loss);
    return sum;
}

/* Whether another fit is another law on the same runs and targets. */
static bool is_other_law(const struct mix_fit *fit, const struct mix_fit *other)
{
    return (strcmp(fit->spec.law, other->spec.law) != 0 || fit->spec.form != other->spec.form) &&
           fit->table_key.hi == other->table_key.hi && fit->table_key.lo == other->table_key.lo;
}

static bool held_out_alike(const struct mix_fit *fit, const struct mix_fit *other)
{
    return fit->n_holdouts > 0 && other->n_holdouts > 0 &&
           strcmp(fit->holdouts[0].kind, other->holdouts[0].kind) == 0;
}

/* Weighted standard deviation over laws, unbiased for weights of reliability. */
static double spread_of_laws(const struct mix_fit *fit, size_t n_others,
                             const struct mix_fit *const *others, const double *weight,
                             const double *mixture, double n_params, double n_tokens,
                             struct mix_error_budget *out)
{
    bool alike = true;
    for (size_t i = 0; i < n_others; i++)
        alike = alike && (!is_other_law(fit, others[i]) || held_out_alike(fit, others[i]));
    double sum = 0.0, first = 0.0, second = 0.0, squared = 0.0;
    out->n_laws = 0;
    for (size_t i = 0; i <= n_others; i++) {
        const struct mix_fit *law = i < n_others ? others[i] : fit;
        if (i < n_others && !is_other_law(fit, law))
            continue;
        const double value =
            mean_of(law, law->params, weight, mixture, n_params, n_tokens, NULL) - out->value;
        const double mse = alike && fit->n_holdouts > 0 ? law->holdouts[0].law.mse : law->train.mse;
        const double w = 1.0 / fmax(mse, TINY);
        if (!isfinite(value))
            continue;
        out->n_laws++;
        sum += w;
        squared += w * w;
        first += w * value;
        second += w * value * value;
    }
    if (out->n_laws < 2)
        return NAN;
    const double mean = first / sum, freedom = 1.0 - squared / (sum * sum);
    return sqrt(fmax(0.0, second / sum - mean * mean) / freedom);
}

static double log_distance(double from_n, double from_d, double to_n, double to_d)
{
    return hypot(fmax(0.0, log(to_n / from_n)), fmax(0.0, log(to_d / from_d)));
}

/* Relative error per unit of log-distance by the fit's held-out size, where no origin was rolled.
 */
static double held_out_per_distance(const struct mix_fit *fit, double *longest)
{
    *longest = fit->scale_factor > 1.0 ? log(fit->scale_factor) : 0.0;
    return *longest > 0.0 ? fit->scale_error / *longest : NAN;
}

/* The same by the rolling origin, and the longest distance that was tested. */
static double error_per_distance(const struct mix_draws *draws, size_t *n, double *longest)
{
    double sum = 0.0;
    const double noise = isfinite(draws->residual) ? draws->residual : 0.0;
    *n = 0;
    *longest = 0.0;
    for (size_t k = 0; k < draws->n_origins; k++) {
        const struct mix_origin *o = &draws->origins[k];
        const double d = log_distance(o->from_n, o->from_d, o->to_n, o->to_d);
        if (o->n_runs == 0 || !isfinite(o->rms) || d <= 0.0)
            continue;
        (*n)++;
        const double spread = isfinite(o->spread) ? o->spread : 0.0;
        sum += fmax(0.0, o->rms * o->rms - noise * noise - spread * spread) / (d * d);
        *longest = fmax(*longest, d);
    }
    return *n > 0 ? sqrt(sum / (double)*n) : NAN;
}

static void fill_scale(const struct mix_fit *fit, const struct mix_draws *draws, double n_params,
                       double n_tokens, struct mix_error_budget *out)
{
    double longest = 0.0, rate = NAN;
    const double d = log_distance(fit->max_n_params, fit->max_n_tokens, n_params, n_tokens);
    if (draws != NULL)
        rate = error_per_distance(draws, &out->n_origins, &longest);
    if (out->n_origins == 0)
        rate = held_out_per_distance(fit, &longest);
    out->scale = d > 0.0 ? rate * d * fabs(out->value) : 0.0;
    out->reach = d > 0.0 ? d / longest : 0.0;
}

static double spread_of_draws(const struct mix_fit *fit, const struct mix_draws *draws,
                              const double *weight, const double *mixture, double n_params,
                              double n_tokens, size_t *n)
{
    double mean = 0.0, squares = 0.0;
    *n = 0;
    for (size_t b = 0; b < draws->n_draws; b++) {
        if (!draws->done[b])
            continue;
        const double value = mean_of(fit, draws->params + b * draws->n_params, weight, mixture,
                                     n_params, n_tokens, NULL);
        if (!isfinite(value))
            continue;
        const double step = value - mean;
        mean += step / (double)++(*n);
        squares += step * (value - mean);
    }
    return *n > 1 ? sqrt(squares / (double)(*n - 1)) : NAN;
}

enum mix_status mix_error_budget_compute(const struct mix_table *table, const struct mix_fit *fit,
                                         const struct mix_draws *draws, size_t n_others,
                                         const struct mix_fit *const *others, const double *weight,
                                         const double *mixture, double n_params, double n_tokens,
                                         struct mix_error_budget *out, struct mix_error *err)
{
    const double *w = weight != NULL ? weight : fit->target_weight;
    *out = (struct mix_error_budget){.resampling = NAN};
    if (draws != NULL && mix_draws_check(fit, draws, err) != MIX_OK)
        return MIX_EINVAL;
    struct mix_error why = {{0}};
    out->value = mean_of(fit, fit->params, w, mixture, n_params, n_tokens, &why);
    if (!isfinite(out->value))
        return mix_fail(err, MIX_EINVAL, "fit %s predicts nothing there: %s", fit->name, why.text);
    const enum mix_status status =
        mix_seed_noise(table, fit, w, &out->seed, &out->n_replicates, err);
    if (status != MIX_OK)
        return status;
    out->seed *= fabs(out->value);
    if (draws != NULL)
        out->resampling =
            spread_of_draws(fit, draws, w, mixture, n_params, n_tokens, &out->n_draws);
    out->law = spread_of_laws(fit, n_others, others, w, mixture, n_params, n_tokens, out);
    fill_scale(fit, draws, n_params, n_tokens, out);
    const double parts[] = {out->resampling, out->seed, out->law, out->scale};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        out->total = isfinite(parts[i]) ? hypot(out->total, parts[i]) : out->total;
    return MIX_OK;
}

struct mix_interval mix_error_budget_widen(const struct mix_error_budget *budget,
                                           struct mix_interval over_draws, double level)
{
    const double parts[] = {budget->seed, budget->law, budget->scale};
    double other = NAN;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (isfinite(parts[i]))
            other = isnan(other) ? parts[i] : hypot(other, parts[i]);
    other *= gsl_cdf_ugaussian_Pinv(0.5 * (1.0 + level));
    const double value = over_draws.value;
    const double below = isfinite(over_draws.lo) ? fmax(0.0, value - over_draws.lo) : 0.0;
    const double above = isfinite(over_draws.hi) ? fmax(0.0, over_draws.hi - value) : 0.0;
    return (struct mix_interval){value, value - hypot(below, other), value + hypot(above, other)};
}
