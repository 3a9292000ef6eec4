/* SPDX-License-Identifier: GPL-3.0-or-later */
/* campaign_summary.c - methods against stratified: differences of equal seeds, over seeds and over
 * settings. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "online/campaign_impl.h"

const char *const mix_metric_names[MIX_METRICS] = {
    [MIX_METRIC_LOSS] = "mean_loss",
    [MIX_METRIC_MEAN_EXP] = "mean_exp",
    [MIX_METRIC_EXP_MEAN] = "exp_mean",
};

/* The three averages of the (K) test losses of a row, of which those outside the setting are NaN;
 * false where none is measured. */
static bool average(const double *test, size_t n_groups, double value[MIX_METRICS])
{
    double sum = 0, sum_exp = 0;
    size_t n = 0;
    for (size_t k = 0; k < n_groups; k++)
        if (!isnan(test[k])) {
            sum += test[k];
            sum_exp += exp(test[k]);
            n++;
        }
    value[MIX_METRIC_LOSS] = sum / (double)n;
    value[MIX_METRIC_MEAN_EXP] = sum_exp / (double)n;
    value[MIX_METRIC_EXP_MEAN] = exp(sum / (double)n);
    return n > 0;
}

/* The final run of an entry in a setting with a seed; SIZE_MAX = none. */
static size_t find_final(const struct mix_online *online, const char *setting,
                         const struct mix_online_entry *entry, uint64_t seed)
{
    for (size_t i = 0; i < online->n_runs; i++) {
        const struct mix_online_run *run = &online->runs[i];
        if (run->role == MIX_ONLINE_FINAL && run->seed == seed && !run->diverged &&
            (run->restricted != 0) == entry->restricted && strcmp(run->setting, setting) == 0 &&
            strcmp(run->method, entry->method) == 0 && strcmp(run->after, entry->after) == 0)
            return i;
    }
    return SIZE_MAX;
}

/* Sums over the seeds of an entry in a setting. */
struct sums {
    size_t n;
    double value[MIX_METRICS], difference[MIX_METRICS], square[MIX_METRICS];
    double extra_runs, n_evaluations, mixer_s, train_s;
};

static struct mix_online_score score_of(const struct sums *sums)
{
    const double n = (double)sums->n;
    struct mix_online_score score = {.n_seeds = sums->n,
                                     .extra_runs = sums->extra_runs / n,
                                     .n_evaluations = sums->n_evaluations / n,
                                     .mixer_share = sums->mixer_s / sums->train_s};
    for (int t = 0; t < MIX_METRICS; t++) {
        const double mean = sums->difference[t] / n;
        score.value[t] = sums->value[t] / n;
        score.difference[t] = mean;
        score.se[t] =
            sums->n > 1 ? sqrt(fmax(sums->square[t] / n - mean * mean, 0) / (n - 1)) : (double)NAN;
    }
    return score;
}

static struct mix_online_score score_entry(const struct mix_job *job,
                                           const struct mix_online *online, size_t setting,
                                           const struct mix_online_entry *stratified,
                                           const struct mix_online_entry *entry)
{
    struct sums sums = {.n = 0};
    const char *name = job->online.settings[setting].name;
    const size_t k = online->n_groups;
    for (uint64_t seed = 0; seed < job->online.n_seeds; seed++) {
        double value[MIX_METRICS], reference[MIX_METRICS];
        const size_t row = find_final(online, name, entry, seed);
        const size_t base = find_final(online, name, stratified, seed);
        if (row == SIZE_MAX || base == SIZE_MAX || !average(online->test + row * k, k, value) ||
            !average(online->test + base * k, k, reference))
            continue;
        const struct mix_online_run *run = &online->runs[row];
        sums.n++;
        sums.extra_runs += (double)run->extra_steps / (double)online->n_steps;
        sums.n_evaluations += (double)run->n_evaluations;
        sums.mixer_s += run->mixer_s;
        sums.train_s += run->train_s;
        for (int t = 0; t < MIX_METRICS; t++) {
            const double difference = value[t] - reference[t];
            sums.value[t] += value[t];
            sums.difference[t] += difference;
            sums.square[t] += difference * difference;
        }
    }
    return score_of(&sums);
}

/* Means over the settings in which there is something to compare; their errors are independent. */
static struct mix_online_score total_of(const struct mix_online_score *scores, size_t n_settings)
{
    struct mix_online_score total = {.n_seeds = 0};
    double n = 0;
    for (size_t s = 0; s < n_settings; s++) {
        const struct mix_online_score *score = &scores[s];
        if (score->n_seeds == 0)
            continue;
        n++;
        total.n_seeds += score->n_seeds;
        total.extra_runs += score->extra_runs;
        total.n_evaluations += score->n_evaluations;
        total.mixer_share += score->mixer_share;
        for (int t = 0; t < MIX_METRICS; t++) {
            total.value[t] += score->value[t];
            total.difference[t] += score->difference[t];
            total.se[t] += score->se[t] * score->se[t];
        }
    }
    total.extra_runs /= n;
    total.n_evaluations /= n;
    total.mixer_share /= n;
    for (int t = 0; t < MIX_METRICS; t++) {
        total.value[t] /= n;
        total.difference[t] /= n;
        total.se[t] = sqrt(total.se[t]) / n;
    }
    return total;
}

static void count_better(struct mix_online_summary *summary, size_t e)
{
    for (size_t s = 0; s < summary->n_settings; s++) {
        const struct mix_online_score *score = &summary->scores[e * summary->n_settings + s];
        const double difference = score->difference[MIX_METRIC_LOSS];
        summary->n_measured[e] += score->n_seeds > 0;
        summary->n_better[e] += score->n_seeds > 0 && difference < 0;
        summary->n_clear[e] += score->n_seeds > 1 && difference < -2 * score->se[MIX_METRIC_LOSS];
    }
}

/* An entry that comes after a method stands behind that of the method alone. */
static void compare_pairs(struct mix_online_summary *summary)
{
    double change = 0;
    for (size_t e = 1; e < summary->n_entries; e++)
        for (size_t s = 0; summary->entries[e].after[0] != '\0' && s < summary->n_settings; s++) {
            const struct mix_online_score *behind = &summary->scores[e * summary->n_settings + s];
            const struct mix_online_score *alone = behind - summary->n_settings;
            const double difference =
                behind->difference[MIX_METRIC_LOSS] - alone->difference[MIX_METRIC_LOSS];
            if (isnan(difference))
                continue;
            change += difference;
            summary->n_pairs++;
            summary->n_pairs_better += difference < 0;
        }
    summary->pair_change = change / (double)summary->n_pairs;
}

/* ---- laws */

/* Sums of a figure. */
struct tally {
    size_t n;
    double sum, square;
};

static void count(struct tally *tally, double value)
{
    if (!isfinite(value))
        return;
    tally->n++;
    tally->sum += value;
    tally->square += value * value;
}

static struct mix_online_figure figure_of(const struct tally *tally)
{
    const double n = (double)tally->n, mean = tally->sum / n;
    return (struct mix_online_figure){
        .n = tally->n,
        .mean = mean,
        .se =
            tally->n > 1 ? sqrt(fmax(tally->square / n - mean * mean, 0) / (n - 1)) : (double)NAN};
}

struct law_tally {
    struct tally law_r2, own_r2, similarity;
};

static void count_laws(const struct mix_online *online, const char *setting, const char *method,
                       struct law_tally *tally)
{
    for (size_t i = 0; i < online->n_runs; i++) {
        const struct mix_online_run *run = &online->runs[i];
        if (run->role != MIX_ONLINE_ANALYSIS || strcmp(run->method, method) != 0 ||
            strcmp(run->setting, setting) != 0)
            continue;
        count(&tally->law_r2, run->law_r2);
        count(&tally->own_r2, run->own_r2);
        count(&tally->similarity, run->similarity);
    }
}

static struct mix_online_law law_of(const struct law_tally *tally)
{
    return (struct mix_online_law){.law_r2 = figure_of(&tally->law_r2),
                                   .own_r2 = figure_of(&tally->own_r2),
                                   .similarity = figure_of(&tally->similarity)};
}

/* What static runs show stands with the first entry. */
static void tell_laws(const struct mix_job *job, const struct mix_online *online,
                      struct mix_online_summary *summary)
{
    for (size_t e = 0; e < summary->n_entries; e++) {
        const struct mix_online_entry *entry = &summary->entries[e];
        const char *method = e == 0 ? "grid" : entry->method;
        const bool is_static = mix_method_find(method)->kind == MIX_METHOD_STATIC;
        struct law_tally all = {.law_r2 = {0}};
        for (size_t s = 0; s < summary->n_settings; s++) {
            struct law_tally here = {.law_r2 = {0}};
            if (e == 0 || (!is_static && entry->after[0] == '\0' && !entry->restricted)) {
                count_laws(online, job->online.settings[s].name, method, &here);
                count_laws(online, job->online.settings[s].name, method, &all);
            }
            summary->laws[e * summary->n_settings + s] = law_of(&here);
        }
        summary->total_laws[e] = law_of(&all);
        summary->has_laws = summary->has_laws || all.law_r2.n > 0;
    }
}

void mix_online_summary_destroy(struct mix_online_summary *summary)
{
    if (summary == NULL)
        return;
    free(summary->entries);
    free(summary->scores);
    free(summary->total);
    free(summary->n_better);
    free(summary->n_measured);
    free(summary->n_clear);
    free(summary->laws);
    free(summary->total_laws);
    free(summary);
}

static struct mix_online_summary *make_summary(struct mix_online_entry *entries, size_t n_entries,
                                               size_t n_settings)
{
    struct mix_online_summary *summary = calloc(1, sizeof *summary);
    if (summary == NULL) {
        free(entries);
        return NULL;
    }
    summary->entries = entries;
    summary->n_entries = n_entries;
    summary->n_settings = n_settings;
    summary->scores = calloc(n_entries * n_settings, sizeof *summary->scores);
    summary->total = calloc(n_entries, sizeof *summary->total);
    summary->n_better = calloc(n_entries, sizeof *summary->n_better);
    summary->n_measured = calloc(n_entries, sizeof *summary->n_measured);
    summary->n_clear = calloc(n_entries, sizeof *summary->n_clear);
    summary->laws = calloc(n_entries * n_settings, sizeof *summary->laws);
    summary->total_laws = calloc(n_entries, sizeof *summary->total_laws);
    if (summary->scores != NULL && summary->total != NULL && summary->n_better != NULL &&
        summary->n_measured != NULL && summary->n_clear != NULL && summary->laws != NULL &&
        summary->total_laws != NULL)
        return summary;
    mix_online_summary_destroy(summary);
    return NULL;
}

enum mix_status mix_online_summarise(const struct mix_job *job, const struct mix_online *online,
                                     struct mix_online_summary **out, struct mix_error *err)
{
    const size_t n_settings = job->online.n_settings;
    struct mix_online_entry *entries = NULL;
    size_t n_entries = 0;
    const enum mix_status status = campaign_entries(job, &entries, &n_entries, err);
    if (status != MIX_OK)
        return status;
    struct mix_online_summary *summary = make_summary(entries, n_entries, n_settings);
    if (summary == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a table of %zu methods", n_entries);
    for (size_t e = 0; e < n_entries; e++) {
        struct mix_online_score *scores = summary->scores + e * n_settings;
        for (size_t s = 0; s < n_settings; s++)
            scores[s] = score_entry(job, online, s, &summary->entries[0], &summary->entries[e]);
        summary->total[e] = total_of(scores, n_settings);
        count_better(summary, e);
    }
    compare_pairs(summary);
    tell_laws(job, online, summary);
    *out = summary;
    return MIX_OK;
}
