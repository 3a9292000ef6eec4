/* SPDX-License-Identifier: GPL-3.0-or-later */
/* predict.c - see predict.h. */
#include "mixsweep/predict.h"

#include <gsl/gsl_cdf.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/interval.h"

static const double SAME_SIZE = 1e-9; /* relative */

/* Position of the fit's domains in the table. */
static enum mix_status match_domains(const struct mix_fit *fit, const struct mix_table *table,
                                     size_t *position, struct mix_error *err)
{
    for (size_t j = 0; j < fit->spec.n_domains; j++) {
        const int domain = mix_table_domain(table, fit->domains[j]);
        if (domain < 0)
            return mix_fail(err, MIX_EINVAL,
                            "domain %s of fit %s is missing in the table; its shares are needed "
                            "(0 is fine)",
                            fit->domains[j], fit->name);
        position[j] = (size_t)domain;
    }
    for (size_t k = 0; k < table->n_domains; k++) {
        bool known = false;
        for (size_t j = 0; j < fit->spec.n_domains && !known; j++)
            known = position[j] == k;
        if (!known)
            return mix_fail(err, MIX_EINVAL,
                            "domain %s of the table is unknown to fit %s: no prediction is "
                            "possible for runs that trained on it",
                            table->domains[k].name, fit->name);
    }
    return MIX_OK;
}

static bool is_measured(const struct mix_table *table, size_t target)
{
    for (size_t r = 0; r < table->n_rows; r++)
        if (isfinite(table->loss[r * table->n_targets + target]))
            return true;
    return false;
}

/* A target that the fit has and the table measures. */
struct pair {
    size_t of_fit, of_table;
};

static size_t match_targets(const struct mix_fit *fit, const struct mix_table *table,
                            struct pair *pairs, struct mix_prediction *out)
{
    size_t n = 0;
    out->n_ignored = table->n_targets;
    for (size_t m = 0; m < fit->spec.n_targets; m++) {
        const int target = mix_table_target(table, fit->targets[m]);
        out->n_ignored -= target >= 0;
        if (target < 0 || !is_measured(table, (size_t)target))
            continue;
        out->measured[m] = 1;
        pairs[n++] = (struct pair){m, (size_t)target};
    }
    out->n_scored = n;
    return n;
}

/* The rows in the fit's order of domains, with the targets in `pairs` only. Keys and mixture ids
 * do not depend on that order and stay. */
static struct mix_table *align(const struct mix_fit *fit, const struct mix_table *table,
                               const size_t *position, size_t n_pairs, const struct pair *pairs)
{
    const size_t n_domains = fit->spec.n_domains;
    struct mix_table *out = mix_table_create(n_domains, n_pairs);
    if (out == NULL)
        return NULL;
    for (size_t j = 0; j < n_domains; j++)
        out->domains[j] = table->domains[position[j]];
    for (size_t i = 0; i < n_pairs; i++) {
        out->targets[i] = table->targets[pairs[i].of_table];
        out->targets[i].direction = fit->link[pairs[i].of_fit] != 0 ? 1 : -1;
    }
    mix_table_link_targets(out);
    for (size_t r = 0; r < table->n_rows; r++) {
        const size_t row = mix_table_append(out);
        if (row == SIZE_MAX) {
            mix_table_destroy(out);
            return NULL;
        }
        out->runs[row] = table->runs[r];
        for (size_t j = 0; j < n_domains; j++) {
            out->mixture[row * n_domains + j] = table->mixture[r * table->n_domains + position[j]];
            out->epochs[row * n_domains + j] = table->epochs[r * table->n_domains + position[j]];
        }
        for (size_t i = 0; i < n_pairs; i++)
            out->loss[row * n_pairs + i] = table->loss[r * table->n_targets + pairs[i].of_table];
    }
    return out;
}

/* The runs in the units of laws: N (R), then D (R), then what they see without a repeat (R,K). NULL
 * = out of memory. */
static double *scales_of(const struct mix_table *aligned)
{
    const size_t n = aligned->n_rows, n_domains = aligned->n_domains;
    double *scales = malloc((n * (2 + n_domains) + 1) * sizeof *scales);
    for (size_t r = 0; scales != NULL && r < n; r++) {
        scales[r] = aligned->runs[r].n_params / 1e6;
        scales[n + r] = aligned->runs[r].n_tokens / 1e9;
        for (size_t j = 0; j < n_domains; j++)
            scales[2 * n + r * n_domains + j] = mix_table_unique(aligned, r, j) / 1e9;
    }
    return scales;
}

static enum mix_status predict_rows(const struct mix_fit *fit, const struct mix_table *aligned,
                                    double *predicted, struct mix_error *err)
{
    struct mix_model *model = NULL;
    const size_t n = aligned->n_rows;
    double *scales = scales_of(aligned);
    if (scales == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu runs", n);
    enum mix_status status = mix_fit_model(fit, &model, err);
    if (status == MIX_OK)
        status = mix_model_predict_runs(model, fit->params, n, aligned->mixture, scales + 2 * n,
                                        scales, scales + n, predicted, err);
    mix_model_destroy(model);
    free(scales);
    return status;
}

/* What is scored: the selected rows and the measured targets. */
struct score {
    const struct mix_data *data;
    double *predicted; /* (R',M') */
    double *weight;    /* (M') of the targets */
    uint8_t *rows;     /* (R') rows of one scale */
    uint8_t *seen;     /* (R') rows whose scale is done */
};

static void free_score(struct score *score)
{
    free(score->predicted);
    free(score->weight);
    free(score->rows);
    free(score->seen);
}

static enum mix_status make_score(const struct mix_fit *fit, const struct mix_data *data,
                                  const struct pair *pairs, const struct mix_prediction *out,
                                  struct score *score, struct mix_error *err)
{
    const size_t n_targets = data->n_targets;
    *score = (struct score){.data = data};
    score->predicted = malloc((data->n_rows * n_targets + 1) * sizeof *score->predicted);
    score->weight = malloc((n_targets + 1) * sizeof *score->weight);
    score->rows = calloc(data->n_rows + 1, 1);
    score->seen = calloc(data->n_rows + 1, 1);
    if (score->predicted == NULL || score->weight == NULL || score->rows == NULL ||
        score->seen == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu runs", data->n_rows);
    for (size_t m = 0; m < n_targets; m++) {
        const size_t of_fit = pairs[data->target[m]].of_fit;
        score->weight[m] = fit->target_weight[of_fit];
        data->size[m] = fit->target_size[of_fit];
        for (size_t r = 0; r < data->n_rows; r++)
            score->predicted[r * n_targets + m] =
                out->predicted[data->row[r] * out->n_targets + of_fit];
    }
    return MIX_OK;
}

static bool same(double a, double b)
{
    return fabs(a - b) <= SAME_SIZE * fabs(b);
}

static int by_size(const void *a, const void *b)
{
    const struct mix_prediction_scale *x = a, *y = b;
    if (x->n_params != y->n_params)
        return x->n_params < y->n_params ? -1 : 1;
    return (x->n_tokens > y->n_tokens) - (x->n_tokens < y->n_tokens);
}

static enum mix_status score_scales(const struct score *score, struct mix_prediction *out,
                                    struct mix_error *err)
{
    const struct mix_data *data = score->data;
    out->by_scale = malloc((data->n_rows + 1) * sizeof *out->by_scale);
    if (out->by_scale == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu runs", data->n_rows);
    for (size_t r = 0; r < data->n_rows; r++) {
        if (score->seen[r])
            continue;
        for (size_t i = 0; i < data->n_rows; i++) {
            score->rows[i] = same(data->n_params[i], data->n_params[r]) &&
                             same(data->n_tokens[i], data->n_tokens[r]);
            score->seen[i] |= score->rows[i];
        }
        struct mix_prediction_scale *scale = &out->by_scale[out->n_scales];
        scale->n_params = 1e6 * data->n_params[r];
        scale->n_tokens = 1e9 * data->n_tokens[r];
        const enum mix_status status = mix_metrics_compute(data, score->weight, score->predicted,
                                                           score->rows, -1, &scale->metrics, err);
        if (status != MIX_OK)
            return status;
        out->n_scales++;
    }
    qsort(out->by_scale, out->n_scales, sizeof *out->by_scale, by_size);
    return MIX_OK;
}

static enum mix_status score_table(const struct mix_fit *fit, const struct mix_table *aligned,
                                   const struct pair *pairs, struct mix_prediction *out,
                                   struct mix_error *err)
{
    const struct mix_selection selection = {.targets = "all",
                                            .checkpoints = MIX_CHECKPOINTS_ALL,
                                            .mask_below = fit->selection.mask_below};
    struct mix_data *data = NULL;
    struct score score = {0};
    enum mix_status status = mix_table_select(aligned, &selection, &data, err);
    if (status == MIX_OK)
        status = make_score(fit, data, pairs, out, &score, err);
    if (status == MIX_OK)
        status = mix_metrics_compute(data, score.weight, score.predicted, NULL, -1, &out->all, err);
    for (size_t m = 0; status == MIX_OK && m < data->n_targets; m++)
        status = mix_metrics_compute(data, score.weight, score.predicted, NULL, (int)m,
                                     &out->by_target[pairs[data->target[m]].of_fit], err);
    if (status == MIX_OK)
        status = score_scales(&score, out, err);
    free_score(&score);
    mix_data_destroy(data);
    return status;
}

static struct mix_prediction *create(size_t n_rows, size_t n_targets)
{
    struct mix_prediction *out = calloc(1, sizeof *out);
    if (out == NULL)
        return NULL;
    out->n_rows = n_rows;
    out->n_targets = n_targets;
    out->predicted = calloc(n_rows * n_targets + 1, sizeof *out->predicted);
    out->measured = calloc(n_targets, sizeof *out->measured);
    out->by_target = calloc(n_targets, sizeof *out->by_target);
    if (out->predicted == NULL || out->measured == NULL || out->by_target == NULL) {
        mix_prediction_destroy(out);
        return NULL;
    }
    return out;
}

void mix_prediction_destroy(struct mix_prediction *prediction)
{
    if (prediction == NULL)
        return;
    free(prediction->predicted);
    free(prediction->measured);
    free(prediction->by_target);
    free(prediction->by_scale);
    free(prediction);
}

enum mix_status mix_predict_table(const struct mix_fit *fit, const struct mix_table *table,
                                  struct mix_prediction **out, struct mix_error *err)
{
    struct mix_prediction *prediction = create(table->n_rows, fit->spec.n_targets);
    size_t *position = malloc(fit->spec.n_domains * sizeof *position);
    struct pair *pairs = calloc(fit->spec.n_targets, sizeof *pairs);
    struct mix_table *aligned = NULL;
    enum mix_status status = MIX_OK;
    if (prediction == NULL || position == NULL || pairs == NULL) {
        status = mix_fail(err, MIX_ENOMEM, "out of memory for %zu runs", table->n_rows);
        goto out;
    }
    status = match_domains(fit, table, position, err);
    if (status != MIX_OK)
        goto out;
    const size_t n_pairs = match_targets(fit, table, pairs, prediction);
    aligned = align(fit, table, position, n_pairs, pairs);
    status = aligned == NULL
                 ? mix_fail(err, MIX_ENOMEM, "out of memory for %zu runs", table->n_rows)
                 : predict_rows(fit, aligned, prediction->predicted, err);
    if (status == MIX_OK && n_pairs > 0)
        status = score_table(fit, aligned, pairs, prediction, err);
    if (status == MIX_OK) {
        *out = prediction;
        prediction = NULL;
    }
out:
    mix_table_destroy(aligned);
    mix_prediction_destroy(prediction);
    free(position);
    free(pairs);
    return status;
}

/* Weighted mean loss (R) by a set of parameters; all NaN where a row has no answer. */
struct means {
    const struct mix_fit *fit;
    struct mix_model *model;
    const struct mix_table *aligned;
    double *scales; /* see scales_of() */
    double *weight; /* (M) of the fit's targets; 0 = not measured */
    double *losses; /* (R,M) */
};

static void clear_means(struct means *means)
{
    mix_model_destroy(means->model);
    free(means->scales);
    free(means->weight);
    free(means->losses);
}

static enum mix_status make_means(const struct mix_fit *fit, const struct mix_table *aligned,
                                  size_t n_pairs, const struct pair *pairs, struct means *out,
                                  struct mix_error *err)
{
    const size_t n = aligned->n_rows, n_m = fit->spec.n_targets;
    *out = (struct means){.fit = fit,
                          .aligned = aligned,
                          .scales = scales_of(aligned),
                          .weight = calloc(n_m, sizeof(double)),
                          .losses = malloc((n * n_m + 1) * sizeof(double))};
    if (out->scales == NULL || out->weight == NULL || out->losses == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu runs", n);
    for (size_t i = 0; i < n_pairs; i++)
        out->weight[pairs[i].of_fit] = fit->target_weight[pairs[i].of_fit];
    if (n_pairs == 0)
        memcpy(out->weight, fit->target_weight, n_m * sizeof *out->weight);
    return mix_fit_model(fit, &out->model, err);
}

static void mean_losses(const struct means *means, const double *params, double *mean)
{
    const struct mix_table *aligned = means->aligned;
    const size_t n_m = mix_model_spec(means->model)->n_targets, n = aligned->n_rows;
    const double *scales = means->scales;
    const bool ok =
        mix_model_predict_runs(means->model, params, n, aligned->mixture, scales + 2 * n, scales,
                               scales + n, means->losses, NULL) == MIX_OK;
    for (size_t r = 0; r < aligned->n_rows; r++)
        mean[r] = ok ? mix_fit_mean(means->fit, means->weight, means->losses + r * n_m) : NAN;
}

/* The same of what was observed; NaN where a target is missing, or the run does not count. */
static double observed_mean(const struct means *means, size_t row, size_t n_pairs,
                            const struct pair *pairs)
{
    const struct mix_run *run = &means->aligned->runs[row];
    double *loss = means->losses; /* those of the row, in the order of the fit */
    if (run->excluded || run->status != MIX_RUN_DONE)
        return NAN;
    for (size_t m = 0; m < means->fit->spec.n_targets; m++)
        loss[m] = NAN;
    for (size_t i = 0; i < n_pairs; i++)
        loss[pairs[i].of_fit] = means->aligned->loss[row * n_pairs + i];
    return mix_fit_mean(means->fit, means->weight, loss);
}

static void widen_by(double other, struct mix_interval *interval)
{
    const double value = interval->value;
    interval->lo = value - hypot(fmax(0.0, value - interval->lo), other);
    interval->hi = value + hypot(fmax(0.0, interval->hi - value), other);
}

/* columns (R,B): the mean losses of each run by the draws. */
static enum mix_status means_of_draws(const struct means *means, const struct mix_draws *draws,
                                      double **out, struct mix_error *err)
{
    const size_t n = draws->n_draws, n_rows = means->aligned->n_rows;
    double *columns = malloc((n_rows * n + 1) * sizeof *columns);
    double *mean = malloc((n_rows + 1) * sizeof *mean);
    if (columns == NULL || mean == NULL) {
        free(columns);
        free(mean);
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu draws", n);
    }
    for (size_t b = 0; b < n; b++) {
        if (draws->done[b])
            mean_losses(means, draws->params + b * draws->n_params, mean);
        for (size_t r = 0; r < n_rows; r++)
            columns[r * n + b] = draws->done[b] ? mean[r] : NAN;
    }
    free(mean);
    *out = columns;
    return MIX_OK;
}

static enum mix_status intervals_of_rows(const struct means *means, const struct mix_fit *fit,
                                         const struct mix_draws *draws, size_t n_pairs,
                                         const struct pair *pairs, double level,
                                         struct mix_prediction_intervals *out,
                                         struct mix_error *err)
{
    const size_t n_rows = means->aligned->n_rows, n = draws->n_draws;
    const double z = gsl_cdf_ugaussian_Pinv(0.5 * (1.0 + level));
    const bool of_scores = mix_fit_mean_is_score(fit, means->weight); /* their noise is not known */
    double *columns = NULL, *point = malloc((n_rows + 1) * sizeof *point);
    out->mean = malloc((n_rows + 1) * sizeof *out->mean);
    enum mix_status status = point == NULL || out->mean == NULL
                                 ? mix_fail(err, MIX_ENOMEM, "out of memory for %zu runs", n_rows)
                                 : means_of_draws(means, draws, &columns, err);
    if (status == MIX_OK)
        mean_losses(means, fit->params, point);
    for (size_t r = 0; status == MIX_OK && r < n_rows; r++) {
        out->mean[r] = mix_interval_about(point[r], n, columns + r * n, level);
        if (isfinite(draws->residual) && !of_scores)
            widen_by(z * draws->residual * fabs(point[r]), &out->mean[r]);
        const double observed = observed_mean(means, r, n_pairs, pairs);
        if (n_pairs == 0 || of_scores || !isfinite(observed) || !isfinite(out->mean[r].lo))
            continue;
        out->n++;
        out->n_covered += observed >= out->mean[r].lo && observed <= out->mean[r].hi;
    }
    free(columns);
    free(point);
    return status;
}

enum mix_status mix_predict_intervals(const struct mix_fit *fit, const struct mix_draws *draws,
                                      const struct mix_table *table, double level,
                                      struct mix_prediction_intervals *out, struct mix_error *err)
{
    struct mix_prediction *prediction = create(0, fit->spec.n_targets); /* which are measured */
    size_t *position = malloc(fit->spec.n_domains * sizeof *position);
    struct pair *pairs = calloc(fit->spec.n_targets, sizeof *pairs);
    struct mix_table *aligned = NULL;
    struct means means = {0};
    enum mix_status status = MIX_OK;
    *out = (struct mix_prediction_intervals){.mean = NULL};
    if (prediction == NULL || position == NULL || pairs == NULL)
        status = mix_fail(err, MIX_ENOMEM, "out of memory for %zu runs", table->n_rows);
    if (status == MIX_OK)
        status = mix_draws_check(fit, draws, err);
    if (status == MIX_OK)
        status = match_domains(fit, table, position, err);
    if (status == MIX_OK) {
        const size_t n_pairs = match_targets(fit, table, pairs, prediction);
        aligned = align(fit, table, position, n_pairs, pairs);
        status = aligned == NULL
                     ? mix_fail(err, MIX_ENOMEM, "out of memory for %zu runs", table->n_rows)
                     : make_means(fit, aligned, n_pairs, pairs, &means, err);
        if (status == MIX_OK)
            status = intervals_of_rows(&means, fit, draws, n_pairs, pairs, level, out, err);
    }
    if (status != MIX_OK)
        mix_prediction_intervals_clear(out);
    clear_means(&means);
    mix_table_destroy(aligned);
    mix_prediction_destroy(prediction);
    free(position);
    free(pairs);
    return status;
}

/* columns (M,B): the losses of a row by each draw; NaN where a draw has no answer. */
static void losses_of_row(struct mix_model *model, const struct mix_draws *draws,
                          const struct mix_table *aligned, const double *scales, size_t row,
                          double *loss, double *columns)
{
    const size_t n_m = mix_model_spec(model)->n_targets, n_k = aligned->n_domains,
                 n = aligned->n_rows;
    for (size_t b = 0; b < draws->n_draws; b++) {
        const bool ok =
            draws->done[b] &&
            mix_model_predict_runs(model, draws->params + b * draws->n_params, 1,
                                   aligned->mixture + row * n_k, scales + 2 * n + row * n_k,
                                   scales + row, scales + n + row, loss, NULL) == MIX_OK;
        for (size_t m = 0; m < n_m; m++)
            columns[m * draws->n_draws + b] = ok ? loss[m] : NAN;
    }
}

static enum mix_status losses_of_rows(const struct mix_fit *fit, const struct mix_draws *draws,
                                      const struct mix_table *aligned, double level,
                                      struct mix_interval *out, struct mix_error *err)
{
    const size_t n_m = fit->spec.n_targets, n = aligned->n_rows;
    struct mix_model *model = NULL;
    double *scales = scales_of(aligned), *point = malloc((n * n_m + 1) * sizeof *point),
           *loss = malloc(n_m * sizeof *loss),
           *columns = malloc((n_m * draws->n_draws + 1) * sizeof *columns);
    enum mix_status status = scales == NULL || point == NULL || loss == NULL || columns == NULL
                                 ? mix_fail(err, MIX_ENOMEM, "out of memory for %zu runs", n)
                                 : predict_rows(fit, aligned, point, err);
    if (status == MIX_OK)
        status = mix_fit_model(fit, &model, err);
    for (size_t r = 0; r < n && status == MIX_OK; r++) {
        losses_of_row(model, draws, aligned, scales, r, loss, columns);
        for (size_t m = 0; m < n_m; m++)
            out[r * n_m + m] = mix_interval_about(point[r * n_m + m], draws->n_draws,
                                                  columns + m * draws->n_draws, level);
    }
    mix_model_destroy(model);
    free(scales);
    free(point);
    free(loss);
    free(columns);
    return status;
}

enum mix_status mix_predict_losses(const struct mix_fit *fit, const struct mix_draws *draws,
                                   const struct mix_table *table, double level,
                                   struct mix_interval *out, struct mix_error *err)
{
    size_t *position = malloc(fit->spec.n_domains * sizeof *position);
    struct mix_table *aligned = NULL;
    enum mix_status status =
        position == NULL ? mix_fail(err, MIX_ENOMEM, "out of memory for %zu runs", table->n_rows)
                         : mix_draws_check(fit, draws, err);
    if (status == MIX_OK)
        status = match_domains(fit, table, position, err);
    if (status == MIX_OK) {
        aligned = align(fit, table, position, 0, NULL);
        status = aligned == NULL
                     ? mix_fail(err, MIX_ENOMEM, "out of memory for %zu runs", table->n_rows)
                     : losses_of_rows(fit, draws, aligned, level, out, err);
    }
    mix_table_destroy(aligned);
    free(position);
    return status;
}

void mix_prediction_intervals_clear(struct mix_prediction_intervals *intervals)
{
    free(intervals->mean);
    *intervals = (struct mix_prediction_intervals){.mean = NULL};
}

/* Losses (M) and behind them their weighted mean. */
static enum mix_status forecast_one(struct mix_model *model, const struct mix_fit *fit,
                                    const double *params, const double *mixture, double n_params,
                                    double n_tokens, double *losses, struct mix_error *err)
{
    const size_t n_targets = fit->spec.n_targets;
    const double size = n_params / 1e6, tokens = n_tokens / 1e9;
    const enum mix_status status =
        mix_model_predict(model, params, 1, mixture, &size, &tokens, losses, err);
    if (status == MIX_OK)
        losses[n_targets] = mix_fit_mean(fit, fit->target_weight, losses);
    return status;
}

/* (M+1,B) column-wise: losses of each draw; NaN where a draw has no answer at this scale. */
static size_t forecast_draws(struct mix_model *model, const struct mix_fit *fit,
                             const struct mix_draws *draws, const double *mixture, double n_params,
                             double n_tokens, double *losses, double *columns)
{
    const size_t n = fit->spec.n_targets + 1;
    size_t n_done = 0;
    for (size_t b = 0; b < draws->n_draws; b++) {
        if (!draws->done[b])
            continue;
        const bool ok = forecast_one(model, fit, draws->params + b * draws->n_params, mixture,
                                     n_params, n_tokens, losses, NULL) == MIX_OK;
        for (size_t m = 0; m < n; m++)
            columns[m * draws->n_draws + n_done] = ok ? losses[m] : NAN;
        n_done++;
    }
    return n_done;
}

enum mix_status mix_predict_mixture(const struct mix_fit *fit, const struct mix_draws *draws,
                                    const double *mixture, double n_params, double n_tokens,
                                    double level, struct mix_forecast *out, struct mix_error *err)
{
    const size_t n_targets = fit->spec.n_targets, n_draws = draws != NULL ? draws->n_draws : 0;
    if (draws != NULL && mix_draws_check(fit, draws, err) != MIX_OK)
        return MIX_EINVAL;
    struct mix_model *model = NULL;
    double *point = malloc(2 * (n_targets + 1) * sizeof *point);
    double *columns = malloc((n_targets + 1) * (n_draws + 1) * sizeof *columns);
    struct mix_interval *loss = malloc((n_targets + 1) * sizeof *loss);
    enum mix_status status = MIX_OK;
    if (point == NULL || columns == NULL || loss == NULL)
        status = mix_fail(err, MIX_ENOMEM, "out of memory for %zu draws", n_draws);
    if (status == MIX_OK)
        status = mix_fit_model(fit, &model, err);
    if (status == MIX_OK)
        status = forecast_one(model, fit, fit->params, mixture, n_params, n_tokens, point, err);
    if (status == MIX_OK) {
        size_t n_done = 0;
        if (draws != NULL)
            n_done = forecast_draws(model, fit, draws, mixture, n_params, n_tokens,
                                    point + n_targets + 1, columns);
        for (size_t m = 0; m <= n_targets; m++)
            loss[m] = mix_interval_about(point[m], n_done, columns + m * n_draws, level);
        *out = (struct mix_forecast){.objective = loss[n_targets], .loss = loss, .n_draws = n_done};
        loss = NULL;
    }
    mix_model_destroy(model);
    free(loss);
    free(columns);
    free(point);
    return status;
}

void mix_forecast_clear(struct mix_forecast *forecast)
{
    free(forecast->loss);
    *forecast = (struct mix_forecast){0};
}
