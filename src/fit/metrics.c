/* SPDX-License-Identifier: GPL-3.0-or-later */
/* metrics.c - how well predictions meet observations; definitions in fit.h. */
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fit_parts.h"

/* Rows of one (N, D), with room for the means that ranks are taken of. */
struct group {
    size_t n;
    size_t *row;
    size_t *cluster; /* of each mean */
    double *observed, *predicted, *work;
};

static bool same(double a, double b)
{
    return fabs(a - b) <= 1e-9 * fabs(b);
}

/* The rows scored that share (N, D) with row `first` and come with or after it. */
static void fill_group(const struct mix_data *data, const uint8_t *rows, size_t first,
                       struct group *group)
{
    group->n = 0;
    for (size_t r = first; r < data->n_rows; r++)
        if ((rows == NULL || rows[r]) && same(data->n_params[r], data->n_params[first]) &&
            same(data->n_tokens[r], data->n_tokens[first]))
            group->row[group->n++] = r;
}

static bool starts_group(const struct mix_data *data, const uint8_t *rows, size_t r)
{
    if (rows != NULL && !rows[r])
        return false;
    for (size_t i = 0; i < r; i++)
        if ((rows == NULL || rows[i]) && same(data->n_params[i], data->n_params[r]) &&
            same(data->n_tokens[i], data->n_tokens[r]))
            return false;
    return true;
}

bool fit_is_mean_score(size_t n_targets, size_t n_scores, const double *weight)
{
    for (size_t m = 0; m < n_targets - n_scores; m++)
        if (weight == NULL || weight[m] > 0.0)
            return false;
    return n_scores > 0;
}

double fit_mean(size_t n_targets, size_t n_scores, const double *weight, const double *size,
                const double *loss)
{
    const size_t n_losses = n_targets - n_scores;
    const bool of_scores = fit_is_mean_score(n_targets, n_scores, weight);
    const size_t begin = of_scores ? n_losses : 0, end = of_scores ? n_targets : n_losses;
    bool mixed = false;
    double sum = 0.0, relative = 0.0, total = 0.0, first = NAN;
    for (size_t m = begin; m < end; m++) {
        const double w = weight != NULL ? weight[m] : 1.0, of = size != NULL ? size[m] : 1.0;
        if (!(w > 0.0))
            continue;
        mixed = mixed || (isfinite(first) && of != first);
        first = of;
        sum += w * loss[m];
        relative += w * loss[m] / of;
        total += w;
    }
    return (mixed ? relative : sum) / total;
}

double fit_mean_loss(const struct mix_data *data, const double *weight, const double *loss,
                     int target)
{
    return target >= 0 ? loss[target]
                       : fit_mean(data->n_targets, data->n_scores, weight, data->size, loss);
}

struct sums {
    double squares, relative, absolute, n;      /* over entries */
    double rho, slope, regret, n_rho, n_regret; /* over groups */
    double skill, n_skill;                      /* over targets and groups */
};

static void add_entries(const struct mix_data *data, const double *predicted,
                        const struct group *group, size_t m, double size, struct sums *sums)
{
    double observed_mean = 0.0, error_mean = 0.0, n = 0.0;
    for (size_t i = 0; i < group->n; i++) {
        const size_t e = group->row[i] * data->n_targets + m;
        if (!(data->weight[e] > 0.0) || !isfinite(predicted[e]))
            continue;
        const double error = (predicted[e] - data->loss[e]) / size;
        sums->squares += error * error;
        sums->absolute += fabs(error);
        sums->relative += fabs(error) / (fabs(data->loss[e]) / size);
        observed_mean += data->loss[e];
        error_mean += predicted[e] - data->loss[e];
        n += 1.0;
    }
    sums->n += n;
    if (n < 3.0)
        return;
    observed_mean /= n;
    error_mean /= n;
    double spread = 0.0, miss = 0.0;
    for (size_t i = 0; i < group->n; i++) {
        const size_t e = group->row[i] * data->n_targets + m;
        if (!(data->weight[e] > 0.0) || !isfinite(predicted[e]))
            continue;
        spread += pow(data->loss[e] - observed_mean, 2);
        miss += pow(predicted[e] - data->loss[e] - error_mean, 2);
    }
    if (spread > 0.0) {
        sums->skill += 1.0 - sqrt(miss / spread);
        sums->n_skill += 1.0;
    }
}

/* False for what is constant but for rounding: it has neither ranks nor a slope. */
static bool varies(const double *x, size_t n)
{
    const double mean = gsl_stats_mean(x, 1, n);
    return gsl_stats_variance_m(x, 1, n, mean) > 1e-24 * mean * mean;
}

/* Mean loss of each mixture of the group, observed and predicted, replicates averaged; returns how
 * many mixtures have both, and counts in left_out the rows that lack one. */
static size_t mixture_means(const struct mix_data *data, const double *weight,
                            const double *predicted, int target, struct group *group,
                            size_t *left_out)
{
    const bool is_score = target >= 0 ? (size_t)target >= data->n_targets - data->n_scores
                                      : fit_is_mean_score(data->n_targets, data->n_scores, weight);
    const double sign = is_score ? -1.0 : 1.0; /* the best of scores is the highest */
    size_t n = 0;
    for (size_t i = 0; i < group->n; i++) {
        const size_t row = group->row[i], cluster = data->cluster[row];
        const double *losses = data->loss + row * data->n_targets;
        const double of = sign * fit_mean_loss(data, weight, losses, target);
        const double by =
            sign * fit_mean_loss(data, weight, predicted + row * data->n_targets, target);
        if (!isfinite(of) || !isfinite(by)) {
            ++*left_out;
            continue;
        }
        size_t at = 0;
        while (at < n && group->cluster[at] != cluster)
            at++;
        if (at == n) {
            group->cluster[n] = cluster;
            group->observed[n] = group->predicted[n] = group->work[n] = 0.0;
            n++;
        }
        group->observed[at] += of;
        group->predicted[at] += by;
        group->work[at] += 1.0; /* replicates */
    }
    for (size_t at = 0; at < n; at++) {
        group->observed[at] /= group->work[at];
        group->predicted[at] /= group->work[at];
    }
    return n;
}

/* Ranks, slope and regret of the mean loss within a group; returns mixtures left out. */
static size_t add_means(const struct mix_data *data, const double *weight, const double *predicted,
                        int target, struct group *group, struct sums *sums)
{
    size_t left_out = 0;
    const size_t n = mixture_means(data, weight, predicted, target, group, &left_out);
    if (n >= 2 && varies(group->predicted, n)) {
        size_t chosen = 0;
        double best = group->observed[0];
        for (size_t i = 1; i < n; i++) {
            if (group->predicted[i] < group->predicted[chosen])
                chosen = i;
            best = fmin(best, group->observed[i]);
        }
        sums->regret += group->observed[chosen] - best;
        sums->n_regret += 1.0;
    }
    if (n >= 3 && varies(group->predicted, n) && varies(group->observed, n)) {
        sums->slope += gsl_stats_covariance(group->predicted, 1, group->observed, 1, n) /
                       gsl_stats_variance(group->predicted, 1, n);
        sums->rho += gsl_stats_spearman(group->predicted, 1, group->observed, 1, n, group->work);
        sums->n_rho += 1.0;
    }
    return left_out;
}

static double ratio(double sum, double n)
{
    return n > 0.0 ? sum / n : NAN;
}

enum mix_status mix_metrics_compute(const struct mix_data *data, const double *target_weight,
                                    const double *predicted, const uint8_t *rows, int target,
                                    struct mix_metrics *out, struct mix_error *err)
{
    const size_t n_rows = data->n_rows;
    struct group group = {.row = calloc(2 * n_rows + 1, sizeof *group.row)};
    double *numbers = calloc(4 * n_rows + 1, sizeof *numbers);
    if (group.row == NULL || numbers == NULL) {
        free(group.row);
        free(numbers);
        return mix_fail(err, MIX_ENOMEM, "out of memory for the metrics of %zu rows", n_rows);
    }
    group.cluster = group.row + n_rows;
    group.observed = numbers;
    group.predicted = numbers + n_rows;
    group.work = numbers + 2 * n_rows;
    struct sums sums = {0};
    size_t left_out = 0;
    for (size_t r = 0; r < n_rows; r++) {
        if (!starts_group(data, rows, r))
            continue;
        fill_group(data, rows, r, &group);
        for (size_t m = 0; m < data->n_targets; m++)
            if (target < 0 ? m < data->n_targets - data->n_scores : (size_t)target == m)
                add_entries(data, predicted, &group, m,
                            target < 0 && data->size != NULL ? data->size[m] : 1.0, &sums);
        left_out += add_means(data, target_weight, predicted, target, &group, &sums);
    }
    *out = (struct mix_metrics){.n = (size_t)sums.n,
                                .n_left_out = left_out,
                                .mse = ratio(sums.squares, sums.n),
                                .mre = ratio(sums.relative, sums.n),
                                .mae = ratio(sums.absolute, sums.n),
                                .rmse = sqrt(ratio(sums.squares, sums.n)),
                                .rho = ratio(sums.rho, sums.n_rho),
                                .regret = ratio(sums.regret, sums.n_regret),
                                .slope = ratio(sums.slope, sums.n_rho),
                                .skill = ratio(sums.skill, sums.n_skill)};
    free(group.row);
    free(numbers);
    return MIX_OK;
}
