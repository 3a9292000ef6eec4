/* SPDX-License-Identifier: GPL-3.0-or-later */
/* budget.c - where the error of a predicted mean loss comes from; see interval.h. */
#include <gsl/gsl_cdf.h>
#include <gsl/gsl_math.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fit_parts.h"
#include "law/score.h"
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
    uint8_t *tried = calloc(data->n_rows + 1, sizeof *tried); /* rows of scales that are done */
    if (ln_mean == NULL || tried == NULL) {
        free(ln_mean);
        free(tried);
        mix_data_destroy(data);
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu runs", data->n_rows);
    }
    for (size_t i = 0; i < data->n_rows; i++) /* a checkpoint is no seed of a shorter run */
        ln_mean[i] = data->early != NULL && data->early[i]
                         ? NAN
                         : log(fit_mean_loss(data, weight != NULL ? weight : fit->target_weight,
                                             data->loss + i * data->n_targets, -1));
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < data->n_rows; i++) {
        size_t freedom = 0;
        const bool larger = best == SIZE_MAX || data->n_params[i] > data->n_params[best] ||
                            (same(data->n_params[i], data->n_params[best]) &&
                             data->n_tokens[i] > data->n_tokens[best]);
        if (!larger || tried[i] || (best != SIZE_MAX && same_scale(data, i, best)))
            continue;
        for (size_t k = i; k < data->n_rows; k++)
            tried[k] |= same_scale(data, k, i);
        const double variance = pooled_variance(data, ln_mean, i, &freedom);
        if (freedom > 0) {
            best = i;
            *n = freedom;
            *sd = sqrt(variance);
        }
    }
    free(ln_mean);
    free(tried);
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
        sum = mix_fit_mean(fit, weight, loss);
    }
    mix_model_destroy(model);
    free(loss);
    return sum;
}

/* What a law says at two scales is the same to the last digits where it does not look at them. */
static bool says_the_same(const struct mix_fit *fit, const double *mixture, double value,
                          double n_params, double n_tokens)
{
    const double there =
        mean_of(fit, fit->params, fit->target_weight, mixture, n_params, n_tokens, NULL);
    return fabs(there - value) <= SAME_SCALE * fabs(value);
}

unsigned mix_fit_blind(const struct mix_fit *fit, const double *mixture, double n_params,
                       double n_tokens)
{
    const double value =
        mean_of(fit, fit->params, fit->target_weight, mixture, n_params, n_tokens, NULL);
    const bool other_size = !same(n_params, fit->max_n_params),
               other_length = !same(n_tokens, fit->max_n_tokens);
    unsigned blind = 0;
    if (other_size && says_the_same(fit, mixture, value, fit->max_n_params, n_tokens))
        blind |= MIX_BLIND_TO_SIZE;
    if (other_length && says_the_same(fit, mixture, value, n_params, fit->max_n_tokens))
        blind |= MIX_BLIND_TO_TOKENS;
    return blind;
}

static bool same_law(const struct mix_fit *a, const struct mix_fit *b)
{
    return strcmp(a->spec.law, b->spec.law) == 0 && a->spec.form == b->spec.form;
}

bool mix_fits_of_same_runs(const struct mix_fit *a, const struct mix_fit *b)
{
    const struct mix_selection *of_a = &a->selection, *of_b = &b->selection;
    if (a->table_key.hi == b->table_key.hi && a->table_key.lo == b->table_key.lo)
        return true;
    /* the key of a law with repetition is of the supplies too */
    return mix_law_repeats(a->spec.law) != mix_law_repeats(b->spec.law) &&
           strcmp(of_a->where, of_b->where) == 0 && strcmp(of_a->targets, of_b->targets) == 0 &&
           of_a->checkpoints == of_b->checkpoints && of_a->mask_below == of_b->mask_below &&
           a->train.n == b->train.n;
}

static bool held_out_alike(const struct mix_fit *fit, const struct mix_fit *other)
{
    return fit->n_holdouts > 0 && other->n_holdouts > 0 &&
           strcmp(fit->holdouts[0].kind, other->holdouts[0].kind) == 0;
}

/* Which of the others count: one of each other law on the same runs and targets, unless it answers
 * for the scale of the runs where the fit does not. */
static void choose_laws(const struct mix_fit *fit, size_t n_others,
                        const struct mix_fit *const *others, const double *mixture, double n_params,
                        double n_tokens, double *weight)
{
    const unsigned changed =
        (same(n_params, fit->max_n_params) ? 0u : (unsigned)MIX_BLIND_TO_SIZE) |
        (same(n_tokens, fit->max_n_tokens) ? 0u : (unsigned)MIX_BLIND_TO_TOKENS);
    const bool sees = mix_fit_blind(fit, mixture, n_params, n_tokens) != changed;
    for (size_t i = 0; i < n_others; i++) {
        bool counts = !same_law(fit, others[i]) && mix_fits_of_same_runs(fit, others[i]);
        for (size_t k = 0; k < i && counts; k++)
            counts = weight[k] == 0.0 || !same_law(others[k], others[i]);
        if (counts)
            counts = !sees || mix_fit_blind(others[i], mixture, n_params, n_tokens) != changed;
        weight[i] = counts ? 1.0 : 0.0;
    }
}

/* The weights in the stack of a comparison; false where they do not cover the fit and another law.
 */
static bool weigh_by_stack(const struct mix_fit *fit, size_t n_others,
                           const struct mix_fit *const *others, double *weight)
{
    double own = fit->stacked, sum = 0.0;
    size_t n = 0;
    for (size_t i = 0; i < n_others; i++) {
        if (same_law(fit, others[i]) && mix_fits_of_same_runs(fit, others[i]) && isnan(own))
            own = others[i]->stacked;
        n += weight[i] > 0.0 && isfinite(others[i]->stacked);
        sum += weight[i] > 0.0 && isfinite(others[i]->stacked) ? others[i]->stacked : 0.0;
    }
    if (n == 0 || !isfinite(own) || !(own + sum > 0.0))
        return false;
    for (size_t i = 0; i < n_others; i++)
        weight[i] = weight[i] > 0.0 && isfinite(others[i]->stacked) ? others[i]->stacked : 0.0;
    weight[n_others] = own;
    return true;
}

bool mix_law_weights(const struct mix_fit *fit, size_t n_others,
                     const struct mix_fit *const *others, const double *mixture, double n_params,
                     double n_tokens, double *weight)
{
    choose_laws(fit, n_others, others, mixture, n_params, n_tokens, weight);
    const bool stacked = weigh_by_stack(fit, n_others, others, weight);
    bool alike = fit->n_holdouts > 0;
    double sum = 0.0;
    for (size_t i = 0; i < n_others; i++)
        alike = alike && (weight[i] == 0.0 || held_out_alike(fit, others[i]));
    for (size_t i = 0; i <= n_others; i++) {
        const struct mix_fit *law = i < n_others ? others[i] : fit;
        if (!stacked && (i == n_others || weight[i] > 0.0))
            weight[i] = 1.0 / fmax(alike ? law->holdouts[0].law.mse : law->train.mse, TINY);
        sum += weight[i];
    }
    for (size_t i = 0; i <= n_others; i++)
        weight[i] /= sum;
    return stacked;
}

/* What is asked of laws: a mean loss, or how much lower it is than that of `other`. */
struct figure {
    const double *weight, *mixture, *other; /* (M), (K), (K) or NULL */
    double n_params, n_tokens;
};

static double value_of(const struct mix_fit *fit, const struct figure *f)
{
    const double here =
        mean_of(fit, fit->params, f->weight, f->mixture, f->n_params, f->n_tokens, NULL);
    return f->other == NULL
               ? here
               : mean_of(fit, fit->params, f->weight, f->other, f->n_params, f->n_tokens, NULL) -
                     here;
}

/* Root mean square distance of what the laws say from what the fit says. */
static enum mix_status add_laws(const struct mix_fit *fit, size_t n_others,
                                const struct mix_fit *const *others, const struct figure *figure,
                                struct mix_error_budget *out, struct mix_error *err)
{
    double *weight = malloc((n_others + 1) * sizeof *weight), squares = 0.0, sum = 0.0;
    if (weight == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu fits", n_others);
    out->stacked = mix_law_weights(fit, n_others, others, figure->mixture, figure->n_params,
                                   figure->n_tokens, weight);
    sum = weight[n_others];
    out->n_laws = 1;
    for (size_t i = 0; i < n_others; i++) {
        const double off = weight[i] > 0.0 ? value_of(others[i], figure) - out->value : NAN;
        if (!isfinite(off))
            continue;
        out->n_laws++;
        sum += weight[i];
        squares += weight[i] * off * off;
    }
    out->law = out->n_laws > 1 ? sqrt(squares / sum) : NAN;
    free(weight);
    return MIX_OK;
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
        const double all = o->rms * o->rms - noise * noise,
                     shared = o->bias * o->bias - noise * noise / (double)o->n_runs;
        sum += fmax(0.0, fmax(all, shared) - spread * spread) / (d * d);
        *longest = fmax(*longest, d);
    }
    return *n > 0 ? sqrt(sum / (double)*n) : NAN;
}

/* How far the target lies beyond what was fitted; 0 = within. */
static double distance_of(const struct mix_fit *fit, double n_params, double n_tokens)
{
    return log_distance(fit->max_n_params, fit->max_n_tokens, n_params, n_tokens);
}

static void fill_scale(const struct mix_fit *fit, const struct mix_draws *draws, double n_params,
                       double n_tokens, struct mix_error_budget *out)
{
    double longest = 0.0, rate = NAN;
    const double d = distance_of(fit, n_params, n_tokens);
    if (draws != NULL)
        rate = error_per_distance(draws, &out->n_origins, &longest);
    if (out->n_origins == 0)
        rate = held_out_per_distance(fit, &longest);
    if (out->blind != 0)
        rate = NAN; /* what it was tested on says nothing of what it does not look at */
    out->scale = d > 0.0 ? rate * d * fabs(out->value) : 0.0;
    out->reach = d > 0.0 ? (longest > 0.0 ? d / longest : NAN) : 0.0;
}

/* Mean and mean square, over the runs of the held-out size, of the relative error of a weighted
 * mean loss; how many runs. */
static size_t held_out_moments(const struct mix_fit *fit, const double *weight, double *mean,
                               double *square)
{
    const size_t n_m = fit->spec.n_targets;
    double n = 0.0;
    *mean = *square = 0.0;
    for (size_t r = 0; r < fit->n_held; r++) {
        if (strncmp(fit->holdouts[fit->held_out[r]].kind, "scale", 5) != 0)
            continue;
        const double by = mix_fit_mean(fit, weight, fit->held_predicted + r * n_m),
                     of = mix_fit_mean(fit, weight, fit->held_loss + r * n_m);
        const double error = by / of - 1.0;
        if (!isfinite(error))
            continue;
        n += 1.0;
        *mean += (error - *mean) / n;
        *square += (error * error - *square) / n;
    }
    return (size_t)n;
}

/* Relative error per unit of log-distance of a difference between two mixtures: what is left of
 * the errors of a scale once what all its mixtures share is gone, by the rolling origin or else by
 * the held-out size. */
static double difference_per_distance(const struct mix_fit *fit, const struct mix_draws *draws,
                                      const double *weight, double seed)
{
    const double noise = isfinite(seed)                               ? seed
                         : draws != NULL && isfinite(draws->residual) ? draws->residual
                                                                      : 0.0;
    double sum = 0.0, mean = 0.0, square = 0.0, longest = 0.0;
    size_t n = 0;
    for (size_t k = 0; draws != NULL && k < draws->n_origins; k++) {
        const struct mix_origin *o = &draws->origins[k];
        const double d = log_distance(o->from_n, o->from_d, o->to_n, o->to_d);
        if (o->n_runs < 2 || !isfinite(o->rms) || d <= 0.0)
            continue;
        n++;
        sum += 2.0 * fmax(0.0, o->rms * o->rms - o->bias * o->bias - noise * noise) / (d * d);
    }
    if (n > 0)
        return sqrt(sum / (double)n);
    (void)held_out_per_distance(fit, &longest);
    if (held_out_moments(fit, weight, &mean, &square) < 2 || !(longest > 0.0))
        return NAN;
    return sqrt(2.0 * fmax(0.0, square - mean * mean - noise * noise)) / longest;
}

/* All parts that are known, in quadrature; NaN where none is, or none but a 0. */
static double sum_of(size_t n, const double *parts)
{
    double total = 0.0;
    for (size_t i = 0; i < n; i++)
        total = isfinite(parts[i]) ? hypot(total, parts[i]) : total;
    return total > 0.0 ? total : NAN;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Half of what holds the middle 68% of the draws, the standard deviation of normal ones: where no
 * run was near a few draws may be wild. */
static double spread_of_draws(const struct mix_fit *fit, const struct mix_draws *draws,
                              const double *weight, const double *mixture, double n_params,
                              double n_tokens, size_t *n)
{
    double *values = malloc((draws->n_draws + 1) * sizeof *values), spread = NAN;
    *n = 0;
    for (size_t b = 0; b < draws->n_draws && values != NULL; b++) {
        if (!draws->done[b])
            continue;
        const double value = mean_of(fit, draws->params + b * draws->n_params, weight, mixture,
                                     n_params, n_tokens, NULL);
        if (!isfinite(value))
            continue;
        values[(*n)++] = value;
    }
    if (*n > 1) {
        qsort(values, *n, sizeof *values, ascending);
        spread = 0.5 * (mix_quantile_of_draws(*n, values, gsl_cdf_ugaussian_P(1.0)) -
                        mix_quantile_of_draws(*n, values, gsl_cdf_ugaussian_P(-1.0)));
    }
    free(values);
    return spread;
}

/* What is left of the residual once the noise is off; both are relative. */
static double lack_of_fit(double residual, double noise)
{
    return isfinite(noise) && isfinite(residual)
               ? sqrt(fmax(0.0, residual * residual - noise * noise))
               : residual;
}

/* Relative, of normal errors; the parameters that a target costs are off the degrees of freedom. */
static double residual_of_target(const struct mix_fit *fit, size_t target)
{
    const struct mix_metrics *of = &fit->train_by_target[target];
    const double n = (double)of->n,
                 freedom = n - (double)fit->n_params / (double)fit->spec.n_targets;
    return freedom >= 1.0 ? of->mre * sqrt(0.5 * M_PI * n / freedom) : NAN;
}

/* The ends of the links of the scores that weigh; of losses none. */
static enum mix_status set_ends(const struct mix_fit *fit, const double *weight,
                                struct mix_error_budget *out, struct mix_error *err)
{
    const size_t n_m = fit->spec.n_targets, n_l = n_m - fit->spec.n_scores;
    out->least = -INFINITY;
    out->most = INFINITY;
    if (!mix_fit_mean_is_score(fit, weight))
        return MIX_OK;
    double *ends = calloc(2 * n_m, sizeof *ends);
    if (ends == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu targets", n_m);
    for (size_t m = n_l; m < n_m; m++) {
        const double *link = fit->params + fit->n_params - (n_m - m) * score_params(n_l);
        ends[m] = fmin(link[SCORE_LO], link[SCORE_HI]);
        ends[n_m + m] = fmax(link[SCORE_LO], link[SCORE_HI]);
    }
    out->least = mix_fit_mean(fit, weight, ends);
    out->most = mix_fit_mean(fit, weight, ends + n_m);
    free(ends);
    return MIX_OK;
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
    const struct figure figure = {
        .weight = w, .mixture = mixture, .n_params = n_params, .n_tokens = n_tokens};
    out->blind = mix_fit_blind(fit, mixture, n_params, n_tokens);
    fill_scale(fit, draws, n_params, n_tokens, out);
    if (set_ends(fit, w, out, err) != MIX_OK ||
        add_laws(fit, n_others, others, &figure, out, err) != MIX_OK)
        return MIX_ENOMEM;
    out->fit = lack_of_fit(draws != NULL ? draws->residual : NAN, out->seed / fabs(out->value)) *
               fabs(out->value);
    out->total =
        sum_of(5, (const double[]){out->resampling, out->seed, out->fit, out->law, out->scale});
    return MIX_OK;
}

enum mix_status mix_error_budget_target(const struct mix_table *table, const struct mix_fit *fit,
                                        size_t n_others, const struct mix_fit *const *others,
                                        const double *weight, size_t target, const double *mixture,
                                        double n_params, double n_tokens,
                                        const struct mix_error_budget *mean,
                                        struct mix_error_budget *out, struct mix_error *err)
{
    double *one = calloc(fit->spec.n_targets, sizeof *one), bias = 0.0, of_one = 0.0, of_all = 0.0;
    size_t n_one = 0;
    if (one == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu targets", fit->spec.n_targets);
    one[target] = 1.0;
    const struct figure figure = {
        .weight = one, .mixture = mixture, .n_params = n_params, .n_tokens = n_tokens};
    *out = *mean;
    out->resampling = out->total = NAN;
    out->value = value_of(fit, &figure);
    enum mix_status status = set_ends(fit, one, out, err);
    if (status == MIX_OK && isfinite(mean->seed))
        status = mix_seed_noise(table, fit, one, &out->seed, &out->n_replicates, err);
    out->seed *= fabs(out->value);
    if (isfinite(mean->fit))
        out->fit = lack_of_fit(residual_of_target(fit, target), out->seed / fabs(out->value)) *
                   fabs(out->value);
    if (status == MIX_OK)
        status = add_laws(fit, n_others, others, &figure, out, err);
    const double *w = weight != NULL ? weight : fit->target_weight;
    if (mean->scale > 0.0) {
        n_one = held_out_moments(fit, one, &bias, &of_one);
        if (held_out_moments(fit, w, &bias, &of_all) == 0 || n_one == 0)
            out->scale = NAN;
        else
            out->scale *= sqrt(of_one / fmax(of_all, TINY)) * fabs(out->value / mean->value);
    }
    free(one);
    return status;
}

enum mix_status mix_error_budget_gain(const struct mix_fit *fit, const struct mix_draws *draws,
                                      size_t n_others, const struct mix_fit *const *others,
                                      const double *weight, const double *mixture,
                                      const double *other, double n_params, double n_tokens,
                                      const struct mix_error_budget *mean,
                                      struct mix_error_budget *out, struct mix_error *err)
{
    const double *w = weight != NULL ? weight : fit->target_weight;
    const double d = distance_of(fit, n_params, n_tokens);
    const struct figure figure = {.weight = w,
                                  .mixture = mixture,
                                  .other = other,
                                  .n_params = n_params,
                                  .n_tokens = n_tokens};
    *out = *mean;
    out->resampling = out->total = out->seed = out->fit = NAN;
    out->least = mean->least - mean->most;
    out->most = mean->most - mean->least;
    out->value = value_of(fit, &figure);
    if (d > 0.0)
        out->scale = out->blind != 0
                         ? NAN
                         : difference_per_distance(fit, draws, w, mean->seed / fabs(mean->value)) *
                               d * fabs(mean->value);
    return add_laws(fit, n_others, others, &figure, out, err);
}

double mix_error_budget_other(const struct mix_error_budget *budget, bool drawn)
{
    const double other =
        sum_of(4, (const double[]){budget->seed, budget->fit, budget->law, budget->scale});
    return isnan(other) && drawn && budget->scale == 0.0 ? 0.0 : other;
}

struct mix_interval mix_error_budget_widen(const struct mix_error_budget *budget,
                                           struct mix_interval over_draws, double level)
{
    const double other = mix_error_budget_other(budget, isfinite(over_draws.lo)) *
                         gsl_cdf_ugaussian_Pinv(0.5 * (1.0 + level));
    const double value = over_draws.value;
    const double below = isfinite(over_draws.lo) ? fmax(0.0, value - over_draws.lo) : 0.0;
    const double above = isfinite(over_draws.hi) ? fmax(0.0, over_draws.hi - value) : 0.0;
    struct mix_interval wide = {value, value - hypot(below, other), value + hypot(above, other)};
    const bool negated = value * budget->value < 0.0; /* a score to be made high, as a loss */
    const double least = negated ? -budget->most : budget->least,
                 most = negated ? -budget->least : budget->most;
    if (wide.lo < least)
        wide.lo = fmin(least, value - below);
    if (wide.hi > most)
        wide.hi = fmax(most, value + above);
    return wide;
}
