/* SPDX-License-Identifier: GPL-3.0-or-later */
/* observed.c - the mixtures behind a fit, and the best of them at the largest scale. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "optimum/search.h"

static const double SAME_SIZE = 0.99; /* of the largest: runs that differ by a last batch count */

/* Scores count as losses of the other sign, in units of their mean, which does not matter where
 * all that count have one unit. */
static void set_score_sizes(struct mix_data *data)
{
    for (size_t m = data->n_targets - data->n_scores; m < data->n_targets; m++) {
        double sum = 0.0, n = 0.0;
        for (size_t r = 0; r < data->n_rows; r++)
            if (isfinite(data->loss[r * data->n_targets + m])) {
                sum += fabs(data->loss[r * data->n_targets + m]);
                n += 1.0;
            }
        data->size[m] = sum > 0.0 ? -sum / n : -1.0;
    }
}

/* Weighted mean loss of a row; NaN where a target that counts was not measured. */
static double mean_loss(const struct mix_data *data, size_t row, const double *weight)
{
    double sum = 0.0, weights = 0.0;
    for (size_t m = 0; m < data->n_targets; m++) {
        if (weight[m] == 0.0)
            continue;
        sum += weight[m] * data->loss[row * data->n_targets + m] / data->size[m];
        weights += weight[m];
    }
    return sum / weights;
}

/* Largest of the sizes among rows with `size2` at least `least2` and a mean loss. */
static double largest(size_t n, const double *size, const double *mean, const double *size2,
                      double least2)
{
    double most = 0.0;
    for (size_t r = 0; r < n; r++)
        if (!isnan(mean[r]) && size2[r] >= least2)
            most = fmax(most, size[r]);
    return most;
}

/* Replicates of a mixture are averaged. */
static void find_best(const struct mix_data *data, const double *mean, double *sum, size_t *count,
                      double *best)
{
    const double *size = data->n_params, *tokens = data->n_tokens;
    const double least_n = SAME_SIZE * largest(data->n_rows, size, mean, size, 0.0);
    const double least_d = SAME_SIZE * largest(data->n_rows, tokens, mean, size, least_n);
    for (size_t r = 0; r < data->n_rows; r++) {
        if (isnan(mean[r]) || size[r] < least_n || tokens[r] < least_d)
            continue;
        sum[data->cluster[r]] += mean[r];
        count[data->cluster[r]]++;
    }
    double least = INFINITY;
    for (size_t r = 0; r < data->n_rows; r++) {
        const size_t c = data->cluster[r];
        if (count[c] == 0 || sum[c] / (double)count[c] >= least)
            continue;
        least = sum[c] / (double)count[c];
        memcpy(best, data->mixture + r * data->n_domains, data->n_domains * sizeof *best);
    }
}

static enum mix_status check_targets(const struct mix_table *table, const struct mix_data *data,
                                     const struct mix_fit *fit, const double *weight,
                                     enum mix_goal goal, struct mix_error *err)
{
    const bool relative = goal == MIX_GOAL_MEAN_GAIN || goal == MIX_GOAL_WORST_GAIN;
    const struct mix_target *first = NULL;
    if (data->n_domains != fit->spec.n_domains || data->n_targets != fit->spec.n_targets)
        return mix_fail(err, MIX_EINVAL,
                        "the table has %zu domains and %zu selected targets, the fit %s %zu and "
                        "%zu: the table has changed, fit again",
                        data->n_domains, data->n_targets, fit->name, fit->spec.n_domains,
                        fit->spec.n_targets);
    if (data->n_scores != fit->spec.n_scores)
        return mix_fail(err, MIX_EINVAL,
                        "%zu of the selected targets are better when higher, and %zu were for the "
                        "fit %s: the table has changed, fit again",
                        data->n_scores, fit->spec.n_scores, fit->name);
    for (size_t m = 0; m < data->n_targets; m++) {
        const struct mix_target *target = &table->targets[data->target[m]];
        if (!(weight[m] > 0.0))
            continue;
        if (first == NULL)
            first = target;
        if (!relative && first->direction != target->direction)
            return mix_fail(err, MIX_EINVAL,
                            "of targets %s and %s one is better when lower and one when higher: "
                            "ask for --objective mean-gain or worst-gain, relative to the "
                            "baseline, or give one weight 0 (--weight %s=0)",
                            first->name, target->name, target->name);
        if (!relative && strcmp(first->unit, target->unit) != 0)
            return mix_fail(err, MIX_EINVAL,
                            "targets %s (%s) and %s (%s) have different units, which cannot be "
                            "weighed against each other: ask for --objective mean-gain or "
                            "worst-gain, relative to the baseline, or give one weight 0 "
                            "(--weight %s=0)",
                            first->name, first->unit, target->name, target->unit, target->name);
    }
    return MIX_OK;
}

static enum mix_status read_data(const struct mix_data *data, const double *weight,
                                 struct mix_observed *out, struct mix_error *err)
{
    const size_t n_domains = data->n_domains;
    double *mean = malloc((data->n_rows + 1) * sizeof *mean);
    double *sum = calloc(data->n_clusters + 1, sizeof *sum);
    size_t *count = calloc(data->n_clusters + 1, sizeof *count);
    out->mixtures = malloc((data->n_clusters + 1) * n_domains * sizeof *out->mixtures);
    out->best = malloc(n_domains * sizeof *out->best);
    enum mix_status status = MIX_OK;
    if (mean == NULL || sum == NULL || count == NULL || out->mixtures == NULL ||
        out->best == NULL) {
        status = mix_fail(err, MIX_ENOMEM, "out of memory for %zu runs", data->n_rows);
        goto out;
    }
    for (size_t j = 0; j < n_domains; j++)
        out->best[j] = NAN;
    out->least_n_params = out->least_n_tokens = INFINITY;
    for (size_t r = 0; r < data->n_rows; r++) {
        out->least_n_params = fmin(out->least_n_params, 1e6 * data->n_params[r]);
        out->least_n_tokens = fmin(out->least_n_tokens, 1e9 * data->n_tokens[r]);
        mean[r] = mean_loss(data, r, weight);
        memcpy(out->mixtures + data->cluster[r] * n_domains, data->mixture + r * n_domains,
               n_domains * sizeof *out->mixtures);
    }
    out->n_mixtures = data->n_clusters;
    find_best(data, mean, sum, count, out->best);
out:
    free(mean);
    free(sum);
    free(count);
    return status;
}

enum mix_status mix_observed_read(const struct mix_table *table, const struct mix_fit *fit,
                                  const double *weight, enum mix_goal goal,
                                  struct mix_observed *out, struct mix_error *err)
{
    struct mix_data *data = NULL;
    enum mix_status status = mix_table_select(table, &fit->selection, &data, err);
    if (status == MIX_OK)
        status = check_targets(table, data, fit, weight, goal, err);
    if (status == MIX_OK) {
        set_score_sizes(data);
        status = read_data(data, weight, out, err);
    }
    mix_data_destroy(data);
    return status;
}

void mix_observed_clear(struct mix_observed *observed)
{
    free(observed->mixtures);
    free(observed->best);
    *observed = (struct mix_observed){0};
}
