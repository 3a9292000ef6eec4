/* SPDX-License-Identifier: GPL-3.0-or-later */
/* optimum.c - see optimum.h: the question is checked, rank 0 finds the optimum, all ranks ask the
 * draws, rank 0 concludes. */
#include "mixsweep/optimum.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "optimum/search.h"

const char *const mix_gain_names[MIX_GAINS] = {"baseline", "uniform", "best_observed"};

static const double DEFAULT_FLOOR = 1e-4;
static const double ON_BOUND = 1e-12;
static const double SUM_ERROR = 1e-9; /* of floors, caps and baselines that people add up */

/* All of one run of mix_optimum_run(). */
struct inquiry {
    const struct mix_table *table;
    const struct mix_fit *fit;
    const struct mix_draws *draws; /* NULL: no bootstrap */
    const struct mix_optimum_options *options;
    size_t n_domains, n_targets;
    double *weight;        /* (M) */
    double *lower, *upper; /* (K) */
    double *references;    /* (MIX_REFERENCES,K) */
    struct mix_search *search;
    struct mix_valleys valleys;
    struct mix_observed observed;
    struct mix_answers answers;
};

static enum mix_status check_options(const struct inquiry *q, struct mix_error *err)
{
    const struct mix_optimum_options *o = q->options;
    if (!(o->n_params > 0.0 && isfinite(o->n_params)))
        return mix_fail(err, MIX_EINVAL, "the target size is %g parameters; it must be positive",
                        o->n_params);
    if (!(o->n_tokens > 0.0 && isfinite(o->n_tokens)))
        return mix_fail(err, MIX_EINVAL, "the target length is %g tokens; it must be positive",
                        o->n_tokens);
    if (!(o->level > 0.0 && o->level < 1.0))
        return mix_fail(err, MIX_EINVAL, "the level %g of the intervals is not between 0 and 1",
                        o->level);
    if (q->draws == NULL)
        return MIX_OK;
    const struct mix_key key = mix_fit_key(q->fit);
    if (q->draws->n_params != q->fit->n_params || q->draws->fit_key.hi != key.hi ||
        q->draws->fit_key.lo != key.lo)
        return mix_fail(err, MIX_EINVAL,
                        "the bootstrap draws belong to an earlier fit %s: run mixsweep bootstrap "
                        "again",
                        q->fit->name);
    return MIX_OK;
}

static enum mix_status check_weights(const struct inquiry *q, struct mix_error *err)
{
    double sum = 0.0;
    for (size_t m = 0; m < q->n_targets; m++) {
        if (!(q->weight[m] >= 0.0 && isfinite(q->weight[m])))
            return mix_fail(err, MIX_EINVAL, "the weight %g of target %s is not 0 or more",
                            q->weight[m], q->fit->targets[m]);
        sum += q->weight[m];
    }
    if (!(sum > 0.0))
        return mix_fail(err, MIX_EINVAL, "all target weights are 0: nothing is to be minimised");
    return MIX_OK;
}

static enum mix_status check_bound(const struct inquiry *q, const char *what, double value,
                                   size_t domain, struct mix_error *err)
{
    if (value >= 0.0 && value <= 1.0)
        return MIX_OK;
    return mix_fail(err, MIX_EINVAL, "the %s %g of %s is not between 0 and 1", what, value,
                    q->fit->domains[domain]);
}

static enum mix_status check_pairs(const struct inquiry *q, struct mix_error *err)
{
    size_t worst = q->n_domains;
    for (size_t j = 0; j < q->n_domains; j++)
        if (q->lower[j] > q->upper[j] && (worst == q->n_domains || q->upper[j] < q->upper[worst]))
            worst = j;
    if (worst == q->n_domains)
        return MIX_OK;
    return mix_fail(err, MIX_EINVAL,
                    "no mixture satisfies the constraints: the floor %g exceeds the cap of %s "
                    "(%g).\n  Lower --floor to %g or less, or raise the cap.",
                    q->lower[worst], q->fit->domains[worst], q->upper[worst], q->upper[worst]);
}

static enum mix_status check_constraints(const struct inquiry *q, struct mix_error *err)
{
    double floors = 0.0, caps = 0.0, largest_floor = 0.0;
    for (size_t j = 0; j < q->n_domains; j++) {
        enum mix_status status = check_bound(q, "floor", q->lower[j], j, err);
        if (status == MIX_OK)
            status = check_bound(q, "cap", q->upper[j], j, err);
        if (status != MIX_OK)
            return status;
        floors += q->lower[j];
        caps += q->upper[j];
        largest_floor = fmax(largest_floor, q->lower[j]);
    }
    const enum mix_status status = check_pairs(q, err);
    if (status != MIX_OK)
        return status;
    if (floors > 1.0 + SUM_ERROR)
        return mix_fail(err, MIX_EINVAL,
                        "no mixture satisfies the constraints: the floors of the %zu domains (up "
                        "to %g) sum to %.4g, more than 1.\n  Lower --floor to %.4g or less.",
                        q->n_domains, largest_floor, floors,
                        floor(1e4 / (double)q->n_domains) / 1e4);
    if (caps < 1.0 - SUM_ERROR)
        return mix_fail(err, MIX_EINVAL,
                        "no mixture satisfies the constraints: the caps of the %zu domains sum to "
                        "%.4g, less than 1.\n  Raise caps by %.4g in all.",
                        q->n_domains, caps, 1.0 - caps);
    return MIX_OK;
}

static enum mix_status check_baseline(const double *baseline, size_t n, struct mix_error *err)
{
    double sum = 0.0;
    for (size_t j = 0; j < n; j++) {
        if (!(baseline[j] >= 0.0))
            return mix_fail(err, MIX_EINVAL, "share %zu of the baseline is %g, not 0 or more",
                            j + 1, baseline[j]);
        sum += baseline[j];
    }
    if (!(fabs(sum - 1.0) <= SUM_ERROR))
        return mix_fail(err, MIX_EINVAL, "the shares of the baseline sum to %.9g, not 1", sum);
    return MIX_OK;
}

/* Local and equal on all ranks but for memory. */
static enum mix_status prepare(struct inquiry *q, struct mix_error *err)
{
    const struct mix_optimum_options *o = q->options;
    const size_t n = q->n_domains;
    enum mix_status status = check_options(q, err);
    if (status != MIX_OK)
        return status;
    q->weight = malloc(q->n_targets * sizeof *q->weight);
    q->lower = malloc(2 * n * sizeof *q->lower);
    q->references = malloc(MIX_REFERENCES * n * sizeof *q->references);
    q->valleys.bottom = calloc(MIX_WARM_MAX * n, sizeof *q->valleys.bottom);
    if (q->weight == NULL || q->lower == NULL || q->references == NULL || q->valleys.bottom == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu domains", n);
    q->upper = q->lower + n;
    memcpy(q->weight, o->weight != NULL ? o->weight : q->fit->target_weight,
           q->n_targets * sizeof *q->weight);
    for (size_t j = 0; j < n; j++) {
        q->upper[j] = o->upper != NULL ? o->upper[j] : 1.0;
        q->lower[j] = o->lower != NULL ? o->lower[j] : fmin(DEFAULT_FLOOR, q->upper[j]);
        for (size_t i = 0; i < MIX_REFERENCES; i++)
            q->references[i * n + j] = 1.0 / (double)n;
        if (o->baseline != NULL)
            q->references[n + j] = o->baseline[j];
    }
    status = check_weights(q, err);
    if (status == MIX_OK)
        status = check_constraints(q, err);
    if (status == MIX_OK)
        status = check_baseline(q->references + n, n, err);
    if (status == MIX_OK)
        status = mix_search_create(q->fit, o, q->weight, q->lower, q->upper, &q->search, err);
    return status;
}

/* Rank 0: the optimum of the point fit, and the mixtures to compare it with. */
static enum mix_status find_point(struct inquiry *q, struct mix_error *err)
{
    const size_t n = q->n_domains;
    enum mix_status status = mix_observed_read(q->table, q->fit, q->weight, &q->observed, err);
    if (status != MIX_OK)
        return status;
    memcpy(q->references + 3 * n, q->observed.best, n * sizeof *q->references);
    status = mix_search_valleys(q->search, MIX_GAINS, q->references + n, q->options->n_starts,
                                q->options->seed, &q->valleys, err);
    if (status == MIX_OK)
        memcpy(q->references, q->valleys.bottom, n * sizeof *q->references);
    return status;
}

/* Every draw's search starts from the valleys of the point fit, then baseline and centre where
 * there is room. */
static void add_warm_starts(struct inquiry *q)
{
    const size_t n = q->n_domains;
    for (size_t i = 1; i <= 2; i++) {
        if (q->valleys.n >= MIX_WARM_MAX)
            q->valleys.n = MIX_WARM_MAX - 1; /* the highest valley gives way */
        memcpy(q->valleys.bottom + n * q->valleys.n++, q->references + i * n,
               n * sizeof *q->references);
    }
}

static enum mix_status ask_draws(struct mix_ranks *ranks, struct inquiry *q, struct mix_error *err)
{
    const size_t n = q->n_domains;
    if (mix_ranks_rank(ranks) == 0)
        add_warm_starts(q);
    mix_ranks_broadcast(ranks, &q->valleys.n, sizeof q->valleys.n);
    mix_ranks_broadcast(ranks, q->valleys.bottom, MIX_WARM_MAX * n * sizeof *q->valleys.bottom);
    mix_ranks_broadcast(ranks, q->references, MIX_REFERENCES * n * sizeof *q->references);
    return mix_answers_collect(ranks, q->search, q->draws, q->references, q->valleys.n,
                               q->valleys.bottom, &q->answers, err);
}

static void describe(const struct inquiry *q, struct mix_optimum *out)
{
    const struct mix_optimum_options *o = q->options;
    const struct mix_fit *fit = q->fit;
    const size_t n = q->n_domains;
    snprintf(out->name, sizeof out->name, "%s", o->name != NULL ? o->name : fit->name);
    snprintf(out->fit, sizeof out->fit, "%s", fit->name);
    snprintf(out->law, sizeof out->law, "%s", fit->spec.law);
    snprintf(out->baseline_name, sizeof out->baseline_name, "%s",
             o->baseline_name != NULL ? o->baseline_name : "uniform");
    out->fit_key = mix_fit_key(fit);
    memcpy(out->domains, fit->domains, n * sizeof *out->domains);
    memcpy(out->targets, fit->targets, q->n_targets * sizeof *out->targets);
    out->n_params = o->n_params;
    out->n_tokens = o->n_tokens;
    out->level = o->level;
    memcpy(out->weight, q->weight, q->n_targets * sizeof *out->weight);
    memcpy(out->lower, q->lower, n * sizeof *out->lower);
    memcpy(out->upper, q->upper, n * sizeof *out->upper);
    memcpy(out->seen_max, fit->seen_max, n * sizeof *out->seen_max);
    memcpy(out->mixture, q->references, n * sizeof *out->mixture);
    memcpy(out->baseline, q->references + n, n * sizeof *out->baseline);
    memcpy(out->best_observed, q->references + 3 * n, n * sizeof *out->best_observed);
    for (size_t j = 0; j < n; j++) {
        const int domain = mix_table_domain(q->table, fit->domains[j]);
        out->prior[j] = domain >= 0 ? q->table->domains[domain].prior : NAN;
        out->binding[j] = out->mixture[j] <= q->lower[j] + ON_BOUND   ? 1
                          : out->mixture[j] >= q->upper[j] - ON_BOUND ? 2
                                                                      : 0;
    }
    out->kkt = q->valleys.best.kkt;
    out->n_starts = q->valleys.n_starts;
    out->n_at_best = q->valleys.n_at_best;
    out->hull_distance =
        mix_hull_distance(q->observed.n_mixtures, n, q->observed.mixtures, out->mixture);
    out->extrapolation_n = o->n_params / fit->max_n_params;
    out->extrapolation_d = o->n_tokens / fit->max_n_tokens;
}

/* Interval of column `column` of the answers, less column `minus` where that is not 0. */
static struct mix_interval interval_of(const struct mix_answers *answers, double value,
                                       size_t column, size_t minus, double level, double *scratch)
{
    for (size_t b = 0; b < answers->n; b++) {
        const double *answer = answers->answer + b * answers->width;
        scratch[b] = answer[MIX_ANSWER_OK] == 0.0 ? NAN : answer[column];
        if (minus != 0)
            scratch[b] -= answer[minus];
    }
    return mix_interval_over_draws(value, answers->n, scratch, level);
}

static void set_mixture_intervals(const struct inquiry *q, struct mix_optimum *out, double *scratch)
{
    const struct mix_answers *answers = &q->answers;
    const size_t n = q->n_domains;
    for (size_t j = 0; j < n; j++) {
        const struct mix_interval share =
            interval_of(answers, out->mixture[j], MIX_ANSWER_MIXTURE + j, 0, out->level, scratch);
        out->mixture_lo[j] = share.lo;
        out->mixture_hi[j] = share.hi;
    }
    for (size_t b = 0; b < answers->n; b++) {
        const double *answer = answers->answer + b * answers->width;
        for (size_t j = 0; j < n; j++)
            out->draw_mixture[b * n + j] =
                answer[MIX_ANSWER_OK] != 0.0 ? answer[MIX_ANSWER_MIXTURE + j] : NAN;
    }
}

static void set_gain(const struct inquiry *q, size_t gain, double value, struct mix_optimum *out,
                     double *scratch)
{
    const struct mix_answers *answers = &q->answers;
    const size_t other = MIX_ANSWER_AT + 1 + gain;
    size_t n_known = 0, n_better = 0;
    for (size_t b = 0; b < answers->n; b++) {
        const double *answer = answers->answer + b * answers->width;
        if (answer[MIX_ANSWER_OK] == 0.0 || !isfinite(answer[other]))
            continue;
        n_known++;
        n_better += answer[other] > answer[MIX_ANSWER_AT + MIX_AT_OPTIMUM];
    }
    out->p_better[gain] = n_known > 0 ? (double)n_better / (double)n_known : NAN;
    out->gain[gain] =
        interval_of(answers, value, other, MIX_ANSWER_AT + MIX_AT_OPTIMUM, out->level, scratch);
}

/* Losses, gains and their intervals. */
static enum mix_status set_figures(const struct inquiry *q, struct mix_optimum *out,
                                   double *scratch, struct mix_error *err)
{
    const size_t n = q->n_domains;
    double value = 0.0;
    double *loss = scratch + q->answers.n; /* (M) */
    enum mix_status status = mix_search_value(q->search, out->mixture, &value, loss, err);
    if (status != MIX_OK)
        return status;
    for (size_t m = 0; m < q->n_targets; m++)
        out->loss[m] =
            interval_of(&q->answers, loss[m], MIX_ANSWER_MIXTURE + n + m, 0, out->level, scratch);
    out->objective =
        interval_of(&q->answers, value, MIX_ANSWER_AT + MIX_AT_OPTIMUM, 0, out->level, scratch);
    out->objective_wide = mix_interval_widen(q->fit, out->n_params, out->level, out->objective);
    set_mixture_intervals(q, out, scratch);
    for (size_t gain = 0; gain < MIX_GAINS; gain++) {
        const double *other = q->references + (1 + gain) * n;
        double there = NAN;
        if (!isnan(other[0]))
            status = mix_search_value(q->search, other, &there, NULL, err);
        if (status != MIX_OK)
            return status;
        set_gain(q, gain, there - value, out, scratch);
    }
    return MIX_OK;
}

/* Rank 0: everything that is printed and stored. */
static enum mix_status conclude(struct inquiry *q, struct mix_optimum **result,
                                struct mix_error *err)
{
    struct mix_optimum *out = mix_optimum_create(q->n_domains, q->n_targets, q->answers.n);
    double *scratch = malloc((q->answers.n + q->n_targets) * sizeof *scratch);
    enum mix_status status = MIX_OK;
    if (out == NULL || scratch == NULL) {
        status = mix_fail(err, MIX_ENOMEM, "out of memory for the optimum");
        goto out;
    }
    describe(q, out);
    status = set_figures(q, out, scratch, err);
    out->tied_loss = NAN;
    for (size_t j = 0; j < q->n_domains; j++)
        out->tied[j] = NAN;
    if (status == MIX_OK && isfinite(out->objective.lo))
        status = mix_search_tied(q->search, q->draws, &q->answers, out->mixture, out->baseline,
                                 out->level, out->tied, &out->tied_loss, err);
    if (status == MIX_OK) {
        mix_optimum_warn(q->table, q->fit, &q->answers, out);
        *result = out;
        out = NULL;
    }
out:
    free(scratch);
    mix_optimum_destroy(out);
    return status;
}

enum mix_status mix_optimum_run(struct mix_ranks *ranks, const struct mix_table *table,
                                const struct mix_fit *fit, const struct mix_draws *draws,
                                const struct mix_optimum_options *options, struct mix_optimum **out,
                                struct mix_error *err)
{
    struct inquiry q = {.table = table,
                        .fit = fit,
                        .draws = draws,
                        .options = options,
                        .n_domains = fit->spec.n_domains,
                        .n_targets = fit->spec.n_targets};
    const bool is_first = mix_ranks_rank(ranks) == 0;
    enum mix_status status = prepare(&q, err);
    if (status == MIX_OK && is_first)
        status = find_point(&q, err);
    status = mix_ranks_agree(ranks, status, err);
    if (status == MIX_OK && draws != NULL)
        status = ask_draws(ranks, &q, err);
    *out = NULL;
    if (status == MIX_OK && is_first)
        status = conclude(&q, out, err);
    status = mix_ranks_agree(ranks, status, err);
    free(q.weight);
    free(q.lower);
    free(q.references);
    free(q.valleys.bottom);
    mix_search_destroy(q.search);
    mix_observed_clear(&q.observed);
    mix_answers_clear(&q.answers);
    return status;
}
