/* SPDX-License-Identifier: GPL-3.0-or-later */
/* origin.c - the rolling origin: the law fitted up to each size, judged on the scales behind it;
 * see interval.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fit_parts.h"
#include "mixsweep/interval.h"
#include "mixsweep/share.h"

enum { ORIGIN_STARTS = 12, ORIGIN_DRAWS = 20 };
static const double SAME_SIZE = 1e-9; /* relative */

/* What all origins look at. */
struct rolling {
    const struct mix_fit *fit;
    struct mix_data *data;
    double *predicted; /* (R,M) */
    double *size;      /* (n_sizes) distinct, ascending, in 1e6 parameters */
    size_t n_sizes;
};

static void destroy_rolling(struct rolling *r)
{
    mix_data_destroy(r->data);
    free(r->predicted);
    free(r->size);
}

static bool same(double a, double b)
{
    return fabs(a - b) <= SAME_SIZE * fabs(b);
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static enum mix_status create_rolling(const struct mix_table *table, const struct mix_fit *fit,
                                      struct rolling *r, struct mix_error *err)
{
    *r = (struct rolling){.fit = fit};
    const char *outdated = mix_fit_outdated(fit, table);
    if (outdated != NULL)
        return mix_fail(err, MIX_EINVAL, "%s since fit %s was made; fit again with --replace",
                        outdated, fit->name);
    const enum mix_status status = mix_table_select(table, &fit->selection, &r->data, err);
    if (status != MIX_OK)
        return status;
    const size_t n = r->data->n_rows;
    r->predicted = malloc((n * r->data->n_targets + 1) * sizeof *r->predicted);
    r->size = malloc((n + 1) * sizeof *r->size);
    if (r->predicted == NULL || r->size == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu runs", n);
    memcpy(r->size, r->data->n_params, n * sizeof *r->size);
    qsort(r->size, n, sizeof *r->size, ascending);
    for (size_t i = 0; i < n; i++)
        if (r->n_sizes == 0 || !same(r->size[i], r->size[r->n_sizes - 1]))
            r->size[r->n_sizes++] = r->size[i];
    return MIX_OK;
}

static enum mix_status predict_all(struct rolling *r, const struct mix_fit *fit,
                                   const double *params, struct mix_error *err)
{
    struct mix_model *model = NULL;
    enum mix_status status = mix_fit_model(fit, &model, err);
    if (status == MIX_OK)
        status = mix_model_predict_runs(model, params, r->data->n_rows, r->data->mixture,
                                        r->data->unique, r->data->n_params, r->data->n_tokens,
                                        r->predicted, err);
    mix_model_destroy(model);
    return status;
}

/* Relative error of the weighted mean loss of a row; NaN where a target is missing. */
static double error_of(const struct rolling *r, size_t row)
{
    const size_t at = row * r->data->n_targets;
    const double observed = fit_mean_loss(r->data, r->fit->target_weight, r->data->loss + at, -1);
    const double predicted = fit_mean_loss(r->data, r->fit->target_weight, r->predicted + at, -1);
    return predicted / observed - 1.0;
}

static bool is_early(const struct mix_data *data, size_t row)
{
    return data->early != NULL && data->early[row];
}

static bool at_step(const struct rolling *r, size_t row, const struct mix_origin *step)
{
    return same(r->data->n_params[row], step->to_n) && same(r->data->n_tokens[row], step->to_d);
}

static void judge(const struct rolling *r, struct mix_origin *origin)
{
    double sum = 0.0, squares = 0.0;
    for (size_t i = 0; i < r->data->n_rows; i++) {
        if (!at_step(r, i, origin) || is_early(r->data, i))
            continue;
        const double e = error_of(r, i);
        if (!isfinite(e))
            continue;
        origin->n_runs++;
        sum += e;
        squares += e * e;
    }
    origin->bias = sum / (double)origin->n_runs;
    origin->rms = sqrt(squares / (double)origin->n_runs);
}

/* The later scales of one origin, appended; sizes still in the law's units. */
static size_t later_scales(const struct rolling *r, double from_n, struct mix_origin *out)
{
    const struct mix_data *data = r->data;
    double from_d = 0.0;
    size_t n = 0;
    for (size_t i = 0; i < data->n_rows; i++)
        if (data->n_params[i] <= from_n * (1.0 + SAME_SIZE))
            from_d = fmax(from_d, data->n_tokens[i]);
    for (size_t i = 0; i < data->n_rows; i++) {
        bool known = is_early(data, i) || data->n_params[i] <= from_n * (1.0 + SAME_SIZE);
        for (size_t k = 0; k < n && !known; k++)
            known = same(data->n_params[i], out[k].to_n) && same(data->n_tokens[i], out[k].to_d);
        if (!known)
            out[n++] = (struct mix_origin){.from_n = from_n,
                                           .from_d = from_d,
                                           .to_n = data->n_params[i],
                                           .to_d = data->n_tokens[i],
                                           .bias = NAN,
                                           .rms = NAN,
                                           .spread = NAN};
    }
    return n;
}

static int by_scale(const void *a, const void *b)
{
    const struct mix_origin *x = a, *y = b;
    if (x->from_n != y->from_n)
        return x->from_n < y->from_n ? -1 : 1;
    if (x->to_n != y->to_n)
        return x->to_n < y->to_n ? -1 : 1;
    return (x->to_d > y->to_d) - (x->to_d < y->to_d);
}

/* What resampling explains of the errors of one step: the variance over draws of the mean error, on
 * average over the runs. */
static void spread_of_draws(struct rolling *r, const struct mix_fit *fit,
                            const struct mix_draws *draws, size_t n, struct mix_origin *steps)
{
    const size_t n_rows = r->data->n_rows;
    double *mean = calloc(2 * n_rows + 1, sizeof *mean), *squares = mean + n_rows, n_known = 0.0;
    for (size_t b = 0; mean != NULL && b < draws->n_draws; b++) {
        const double *params = draws->params + b * draws->n_params;
        if (!draws->done[b] || !isfinite(params[0]) || predict_all(r, fit, params, NULL) != MIX_OK)
            continue;
        n_known += 1.0;
        for (size_t i = 0; i < n_rows; i++) {
            const double step = error_of(r, i) - mean[i];
            mean[i] += step / n_known;
            squares[i] += step * (error_of(r, i) - mean[i]);
        }
    }
    for (size_t k = 0; mean != NULL && k < n; k++) {
        double sum = 0.0, runs = 0.0;
        for (size_t i = 0; i < n_rows; i++)
            if (at_step(r, i, &steps[k]) && isfinite(squares[i])) {
                sum += squares[i];
                runs += 1.0;
            }
        steps[k].spread = n_known > 1.0 ? sqrt(sum / runs / (n_known - 1.0)) : NAN;
    }
    free(mean);
}

/* Collective. Resample the fit of an origin a few times, for the spread of its steps. */
static enum mix_status resample_origin(struct mix_ranks *ranks, const struct mix_table *table,
                                       struct rolling *r, struct mix_fit **fit, size_t n,
                                       struct mix_origin *steps, struct mix_error *err)
{
    const struct mix_bootstrap_options options = {.n_draws = ORIGIN_DRAWS, .seed = r->fit->seed};
    struct mix_draws *draws = NULL;
    enum mix_status status = MIX_OK;
    if (mix_ranks_rank(ranks) == 0) {
        draws = mix_draws_plan(*fit, &options, NULL);
        if (draws == NULL)
            status = mix_fail(err, MIX_ENOMEM, "out of memory for a rolling origin");
    }
    status = mix_ranks_agree(ranks, status, err);
    if (status == MIX_OK)
        status = mix_share_fit(ranks, fit, err);
    if (status == MIX_OK)
        status = mix_bootstrap_run(ranks, table, *fit, draws, NULL, NULL, NULL, err);
    if (status == MIX_OK && draws != NULL)
        spread_of_draws(r, *fit, draws, n, steps);
    mix_draws_destroy(draws);
    return status;
}

/* Collective. Fit up to `from_n` and, on rank 0, judge the steps; a law that refuses these runs
 * leaves them without a figure. */
static enum mix_status run_origin(struct mix_ranks *ranks, const struct mix_table *table,
                                  struct rolling *r, double from_n, size_t n,
                                  struct mix_origin *steps, struct mix_error *err)
{
    struct mix_fit *fit = NULL;
    struct mix_fit_options options = mix_fit_options_default();
    options.law = r->fit->spec.law;
    options.form = r->fit->spec.form;
    options.selection = r->fit->selection;
    options.holdout = "none";
    options.n_starts = ORIGIN_STARTS;
    options.seed = r->fit->seed;
    const size_t used = strlen(options.selection.where);
    if (used + 40 >= sizeof options.selection.where)
        return MIX_OK; /* no room for the size: this origin is not known */
    snprintf(options.selection.where + used, sizeof options.selection.where - used,
             "%sn_params<=%.15g", used > 0 ? "," : "", 1e6 * from_n * (1.0 + SAME_SIZE));
    enum mix_status status = mix_fit_run(ranks, table, &options, NULL, NULL, &fit, err);
    if (status == MIX_OK && fit != NULL && predict_all(r, fit, fit->params, NULL) == MIX_OK)
        for (size_t k = 0; k < n; k++)
            judge(r, &steps[k]);
    if (status == MIX_OK)
        status = resample_origin(ranks, table, r, &fit, n, steps, err);
    mix_fit_destroy(fit);
    return status == MIX_EINVAL || status == MIX_ENUMERIC ? MIX_OK : status;
}

/* Noise and lack of fit of the weighted mean loss, of the rows that fits are judged on, with their
 * part of the parameters that a target costs taken off the degrees of freedom. */
static double residual_of(struct rolling *r, struct mix_error *err)
{
    double squares = 0.0, n = 0.0, n_fitted = 0.0;
    if (predict_all(r, r->fit, r->fit->params, err) != MIX_OK)
        return NAN;
    for (size_t i = 0; i < r->data->n_rows; i++) {
        const double e = error_of(r, i);
        n_fitted += isfinite(e);
        if (!isfinite(e) || is_early(r->data, i))
            continue;
        n += 1.0;
        squares += e * e;
    }
    const double cost = (double)r->fit->n_params / (double)r->fit->spec.n_targets;
    const double freedom = n * (1.0 - cost / n_fitted);
    return freedom >= 1.0 ? sqrt(squares / freedom) : NAN;
}

static bool keep_steps(struct mix_origin *steps, size_t n, struct mix_draws *draws)
{
    if (!mix_draws_hold_origins(draws, n))
        return false;
    qsort(steps, n, sizeof *steps, by_scale);
    for (size_t k = 0; k < n; k++) {
        draws->origins[k] = steps[k];
        draws->origins[k].from_n *= 1e6;
        draws->origins[k].from_d *= 1e9;
        draws->origins[k].to_n *= 1e6;
        draws->origins[k].to_d *= 1e9;
    }
    return true;
}

enum mix_status mix_rolling_origin_run(struct mix_ranks *ranks, const struct mix_table *table,
                                       const struct mix_fit *fit, struct mix_draws *draws,
                                       struct mix_error *err)
{
    struct rolling r;
    struct mix_origin *steps = NULL;
    enum mix_status status = create_rolling(table, fit, &r, err);
    if (status == MIX_OK) {
        steps = calloc(r.n_sizes * r.data->n_rows + 1, sizeof *steps);
        if (steps == NULL)
            status = mix_fail(err, MIX_ENOMEM, "out of memory for a rolling origin");
    }
    status = mix_ranks_agree(ranks, status, err);
    size_t n = 0;
    for (size_t s = 1; status == MIX_OK && s + 1 < r.n_sizes; s++) {
        const size_t n_new = later_scales(&r, r.size[s], steps + n);
        status = run_origin(ranks, table, &r, r.size[s], n_new, steps + n, err);
        n += n_new;
    }
    if (status == MIX_OK && draws != NULL) {
        draws->residual = residual_of(&r, err);
        if (!keep_steps(steps, n, draws))
            status = mix_fail(err, MIX_ENOMEM, "out of memory for a rolling origin");
    }
    status = mix_ranks_agree(ranks, status, err);
    free(steps);
    destroy_rolling(&r);
    return status;
}

enum mix_status mix_bootstrap_complete(struct mix_ranks *ranks, const struct mix_table *table,
                                       const struct mix_fit *fit, struct mix_draws *draws,
                                       const char *log_dir, struct mix_error *err)
{
    const enum mix_status status =
        mix_jackknife_run(ranks, table, fit, draws, log_dir, NULL, NULL, err);
    int known = draws != NULL && isfinite(draws->residual);
    mix_ranks_broadcast(ranks, &known, sizeof known);
    return status == MIX_OK && !known ? mix_rolling_origin_run(ranks, table, fit, draws, err)
                                      : status;
}
