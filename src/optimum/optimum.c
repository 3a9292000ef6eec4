/* SPDX-License-Identifier: GPL-3.0-or-later */
/* optimum.c - see optimum.h: the question is checked, rank 0 finds the optimum, all ranks ask the
 * draws, rank 0 concludes. */
#include "mixsweep/optimum.h"

#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/interval.h"
#include "optimum/search.h"

const char *const mix_gain_names[MIX_GAINS] = {"baseline", "uniform", "best_observed"};

static const double ON_BOUND = 1e-12;
static const double BIAS_TRIM = 0.05; /* of the draws, at either end */
static const double SUM_ERROR = 1e-9; /* of baselines that people add up */

/* All of one run of mix_optimum_run(). */
struct inquiry {
    const struct mix_table *table;
    const struct mix_fit *fit;
    const struct mix_draws *draws; /* NULL: no bootstrap */
    const struct mix_optimum_options *options;
    size_t n_domains, n_targets;
    double *weight;        /* (M) */
    uint8_t *guard;        /* (M) */
    double *lower, *limit; /* (K) */
    double *supply;        /* (K) */
    double *gradient;      /* (K) of the Lagrangian at the optimum */
    double *references;    /* (MIX_REFERENCES,K) */
    struct mix_question question;
    struct mix_search *search;
    struct mix_valleys valleys;
    struct mix_observed observed;
    struct mix_answers answers, left; /* of the draws and of the jackknife's refits */
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
    if (!(o->max_epochs >= 0.0 && isfinite(o->max_epochs)))
        return mix_fail(err, MIX_EINVAL, "%g epochs at most: not a positive number", o->max_epochs);
    if (o->distance != MIX_DISTANCE_NONE && !(o->radius > 0.0 && isfinite(o->radius)))
        return mix_fail(err, MIX_EINVAL, "the distance %g to the baseline is not positive",
                        o->radius);
    if (o->lattice == 1 || o->lattice > MIX_LATTICE_MAX)
        return mix_fail(err, MIX_EINVAL, "the lattice 1/%zu is not one of 1/2 to 1/%d", o->lattice,
                        MIX_LATTICE_MAX);
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

static enum mix_status make_memory(struct inquiry *q, struct mix_error *err)
{
    const size_t n = q->n_domains;
    q->weight = malloc(q->n_targets * sizeof *q->weight);
    q->guard = calloc(q->n_targets, sizeof *q->guard);
    q->lower = malloc((4 + MIX_REFERENCES) * n * sizeof *q->lower);
    q->valleys.bottom = calloc(MIX_WARM_MAX * n, sizeof *q->valleys.bottom);
    if (q->weight == NULL || q->guard == NULL || q->lower == NULL || q->valleys.bottom == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu domains", n);
    q->limit = q->lower + n;
    q->supply = q->limit + n;
    q->gradient = q->supply + n;
    q->references = q->gradient + n;
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
    status = make_memory(q, err);
    if (status != MIX_OK)
        return status;
    for (size_t m = 0; m < q->n_targets; m++)
        q->weight[m] = o->weight != NULL ? o->weight[m] : NAN;
    if (o->weight == NULL)
        mix_goal_fill_weights(q->fit, o->goal, q->weight);
    for (size_t i = 0; i < MIX_REFERENCES * n; i++)
        q->references[i] = 1.0 / (double)n;
    if (o->baseline != NULL)
        memcpy(q->references + n, o->baseline, n * sizeof *o->baseline);
    mix_question_supply(o, q->table, q->fit, q->supply);
    mix_bounds_set(o, q->fit, q->supply, o->n_tokens, q->lower, q->limit);
    q->question = (struct mix_question){.n_params = o->n_params,
                                        .n_tokens = o->n_tokens,
                                        .weight = q->weight,
                                        .lower = q->lower,
                                        .upper = q->limit,
                                        .baseline = q->references + n,
                                        .supply = q->supply,
                                        .guard = o->no_worse != NULL ? q->guard : NULL,
                                        .goal = o->goal,
                                        .distance = o->distance,
                                        .radius = o->radius};
    status = check_weights(q, err);
    if (status == MIX_OK)
        status = check_baseline(q->references + n, n, err);
    if (status == MIX_OK)
        status = mix_bounds_check(o, q->fit, q->supply, &q->question, err);
    if (status == MIX_OK)
        status = mix_question_guards(o, q->fit, q->guard, err);
    if (status == MIX_OK)
        status = mix_search_create(q->fit, &q->question, &q->search, err);
    return status;
}

/* A mixture that keeps the guards is known, yet no search comes to an end among such mixtures: the
 * guard with the largest multiplier, whose loss hardly moves any more, is what they run against. */
static enum mix_status fail_narrow(const struct inquiry *q, struct mix_error *err)
{
    const double *multiplier = q->search->multiplier + q->n_targets;
    size_t largest = 0;
    if (q->question.guard == NULL)
        return mix_fail(err, MIX_EINVAL,
                        "the search comes to no end among the mixtures that the constraints "
                        "leave%s.\n  Loosen floors and caps%s.",
                        q->options->distance != MIX_DISTANCE_NONE ? ", hardly any but the baseline"
                                                                  : "",
                        q->options->distance != MIX_DISTANCE_NONE ? ", or widen --near" : "");
    for (size_t m = 1; m < q->n_targets; m++)
        if (multiplier[m] > multiplier[largest])
            largest = m;
    return mix_fail(
        err, MIX_EINVAL,
        "the constraints leave hardly any mixture: next to none has a loss of %s as low "
        "as the baseline's.\n  Leave %s out of --no-worse, or loosen floors and caps.",
        q->fit->targets[largest], q->fit->targets[largest]);
}

/* Descend from the baseline, the uniform and the best observed mixture and from many others; where
 * none of these finds a mixture that keeps the guards, from one that does if there is any. */
static enum mix_status find_valleys(struct inquiry *q, struct mix_error *err)
{
    const size_t n = q->n_domains;
    enum mix_status status =
        mix_search_valleys(q->search, MIX_GAINS, q->references + n, q->options->n_starts,
                           q->options->seed, &q->valleys, err);
    if (status != MIX_ENUMERIC || !q->search->has_terms)
        return status;
    double *given = malloc(n * sizeof *given);
    if (given == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu domains", n);
    status = mix_conflict_explain(q->fit, &q->question, given, err);
    if (status == MIX_OK)
        status = mix_search_valleys(q->search, 1, given, q->options->n_starts, q->options->seed,
                                    &q->valleys, err);
    free(given);
    return status == MIX_ENUMERIC ? fail_narrow(q, err) : status;
}

/* The multipliers at the optimum: draws begin with them, and they are the shadow prices. */
static enum mix_status keep_multipliers(struct inquiry *q, struct mix_error *err)
{
    struct mix_search *s = q->search;
    struct mix_minimum minimum;
    double *h = q->references; /* the optimum; it moves by rounding at most */
    const enum mix_status status = mix_search_descend(s, h, &minimum, err);
    if (status != MIX_OK)
        return status;
    memcpy(s->start, s->multiplier, s->n_multipliers * sizeof *s->start);
    memcpy(q->gradient, mix_minimiser_gradient(s->minimiser), q->n_domains * sizeof *q->gradient);
    memcpy(h, q->valleys.bottom, q->n_domains * sizeof *h);
    return MIX_OK;
}

/* Rank 0: the optimum of the point fit, and the mixtures to compare it with. */
static enum mix_status find_point(struct inquiry *q, struct mix_error *err)
{
    const size_t n = q->n_domains;
    enum mix_status status =
        mix_observed_read(q->table, q->fit, q->weight, q->options->goal, &q->observed, err);
    if (status != MIX_OK)
        return status;
    memcpy(q->references + 3 * n, q->observed.best, n * sizeof *q->references);
    status = find_valleys(q, err);
    if (status != MIX_OK)
        return status;
    memcpy(q->references, q->valleys.bottom, n * sizeof *q->references);
    return keep_multipliers(q, err);
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
    mix_ranks_broadcast(ranks, q->search->start,
                        q->search->n_multipliers * sizeof *q->search->start);
    const struct mix_draws left = {.n_draws = q->draws->n_left,
                                   .n_params = q->draws->n_params,
                                   .params = q->draws->left,
                                   .done = q->draws->left_done};
    const enum mix_status status =
        mix_answers_collect(ranks, q->search, q->draws, q->references, q->valleys.n,
                            q->valleys.bottom, &q->answers, err);
    return status == MIX_OK && left.n_draws > 0
               ? mix_answers_collect(ranks, q->search, &left, q->references, q->valleys.n,
                                     q->valleys.bottom, &q->left, err)
               : status;
}

/* Where the floor gave way to the limit, the share is on the limit. */
static enum mix_bound bound_of(const struct inquiry *q, double share, size_t j)
{
    const enum mix_bound limit =
        mix_bound_of(q->options, q->supply, q->options->n_tokens, j, q->limit[j]);
    const bool fixed = q->limit[j] <= q->lower[j] + ON_BOUND && limit != MIX_ON_CAP;
    if (share <= q->lower[j] + ON_BOUND && !fixed)
        return MIX_ON_FLOOR;
    return share >= q->limit[j] - ON_BOUND ? limit : MIX_INTERIOR;
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
    memcpy(out->limit, q->limit, n * sizeof *out->limit);
    memcpy(out->supply, q->supply, n * sizeof *out->supply);
    memcpy(out->guard, q->guard, q->n_targets * sizeof *out->guard);
    memcpy(out->seen_max, fit->seen_max, n * sizeof *out->seen_max);
    memcpy(out->mixture, q->references, n * sizeof *out->mixture);
    memcpy(out->baseline, q->references + n, n * sizeof *out->baseline);
    memcpy(out->best_observed, q->references + 3 * n, n * sizeof *out->best_observed);
    for (size_t j = 0; j < n; j++) {
        const int domain = mix_table_domain(q->table, fit->domains[j]);
        out->prior[j] = domain >= 0 ? q->table->domains[domain].prior : NAN;
        out->upper[j] = o->upper != NULL ? o->upper[j] : 1.0;
        out->binding[j] = (uint8_t)bound_of(q, out->mixture[j], j);
    }
    mix_question_text(o, sizeof out->question, out->question);
    out->goal = o->goal;
    out->max_epochs = o->max_epochs;
    out->near = o->distance;
    out->near_radius = o->distance != MIX_DISTANCE_NONE ? o->radius : NAN;
    out->lattice = o->lattice;
    out->kkt = q->valleys.best.kkt;
    out->n_starts = q->valleys.n_starts;
    out->n_at_best = q->valleys.n_at_best;
    out->hull_distance =
        mix_hull_distance(q->observed.n_mixtures, n, q->observed.mixtures, out->mixture);
    out->extrapolation_n = o->n_params / fit->max_n_params;
    out->extrapolation_d = o->n_tokens / fit->max_n_tokens;
}

/* Column `column` of the answers, less column `minus` where that is not 0. */
static void read_column(const struct mix_answers *answers, size_t column, size_t minus, double *out)
{
    for (size_t b = 0; b < answers->n; b++) {
        const double *answer = answers->answer + b * answers->width;
        out[b] = answer[MIX_ANSWER_OK] == 0.0 ? NAN : answer[column];
        if (minus != 0)
            out[b] -= answer[minus];
    }
}

/* Both intervals of a column; `scratch` holds the draws' figures behind that. */
static struct mix_intervals intervals_of(const struct inquiry *q, double value, size_t column,
                                         size_t minus, double *scratch)
{
    const size_t n = q->answers.n;
    const double level = q->options->level;
    read_column(&q->answers, column, minus, scratch);
    read_column(&q->left, column, minus, scratch + n);
    return mix_intervals_over_draws(value, n, scratch, q->left.n, scratch + n, level);
}

/* The same of losses and their differences. */
static struct mix_interval interval_of(const struct inquiry *q, double value, size_t column,
                                       size_t minus, struct mix_interval *bca, double *scratch)
{
    *bca = intervals_of(q, value, column, minus, scratch).bca;
    return mix_interval_about(value, q->answers.n, scratch, q->options->level);
}

static void set_mixture_intervals(const struct inquiry *q, struct mix_optimum *out, double *scratch)
{
    const struct mix_answers *answers = &q->answers;
    const size_t n = q->n_domains;
    for (size_t j = 0; j < n; j++) {
        read_column(answers, MIX_ANSWER_MIXTURE + j, 0, scratch);
        for (size_t b = 0; b < answers->n; b++)
            out->draw_mixture[b * n + j] = scratch[b];
        const struct mix_intervals share =
            intervals_of(q, out->mixture[j], MIX_ANSWER_MIXTURE + j, 0, scratch);
        out->mixture_lo[j] = share.percentile.lo;
        out->mixture_hi[j] = share.percentile.hi;
        out->mixture_bca_lo[j] = share.bca.lo;
        out->mixture_bca_hi[j] = share.bca.hi;
    }
}

/* Share of the draws that put the mixture of a gain no higher than the optimum. */
static double share_not_worse(const struct mix_answers *answers, size_t gain)
{
    double n = 0.0, n_not_worse = 0.0;
    for (size_t b = 0; b < answers->n; b++) {
        const double *answer = answers->answer + b * answers->width;
        if (answer[MIX_ANSWER_OK] == 0.0 || isnan(answer[MIX_ANSWER_AT + 1 + gain]))
            continue;
        n += 1.0;
        n_not_worse += answer[MIX_ANSWER_AT + 1 + gain] <= answer[MIX_ANSWER_AT + MIX_AT_OPTIMUM];
    }
    return n > 0.0 ? n_not_worse / n : NAN;
}

static void set_gain(const struct inquiry *q, size_t gain, double value, struct mix_optimum *out,
                     double *scratch)
{
    const size_t other = MIX_ANSWER_AT + 1 + gain;
    out->gain[gain] =
        interval_of(q, value, other, MIX_ANSWER_AT + MIX_AT_OPTIMUM, &out->gain_bca[gain], scratch);
    out->p_better[gain] = mix_share_above(0.0, value, q->answers.n, scratch);
    out->not_worse[gain] = share_not_worse(&q->answers, gain);
}

/* Losses, gains and their intervals. */
static enum mix_status set_figures(const struct inquiry *q, struct mix_optimum *out,
                                   double *scratch, struct mix_error *err)
{
    const size_t n = q->n_domains;
    double value = 0.0;
    double *loss = scratch + q->answers.n + q->left.n; /* (M) */
    enum mix_status status = mix_search_value(q->search, out->mixture, &value, loss, err);
    if (status != MIX_OK)
        return status;
    for (size_t m = 0; m < q->n_targets; m++)
        out->loss[m] =
            interval_of(q, loss[m], MIX_ANSWER_MIXTURE + n + m, 0, &out->loss_bca[m], scratch);
    out->objective =
        interval_of(q, value, MIX_ANSWER_AT + MIX_AT_OPTIMUM, 0, &out->objective_bca, scratch);
    status = mix_search_value(q->search, out->baseline, &value, out->baseline_loss, err);
    set_mixture_intervals(q, out, scratch);
    for (size_t gain = 0; gain < MIX_GAINS && status == MIX_OK; gain++) {
        const double *other = q->references + (1 + gain) * n;
        double there = NAN;
        if (!isnan(other[0]))
            status = mix_search_value(q->search, other, &there, NULL, err);
        set_gain(q, gain, there - out->objective.value, out, scratch);
    }
    const struct mix_wide wide = {.table = q->table,
                                  .fit = q->fit,
                                  .draws = q->draws,
                                  .options = q->options,
                                  .question = &q->question,
                                  .references = q->references};
    if (status == MIX_OK)
        status = mix_wide_set(&wide, out, err);
    for (size_t gain = 0; gain < MIX_GAINS && status == MIX_OK; gain++) {
        read_column(&q->answers, MIX_ANSWER_AT + 1 + gain, MIX_ANSWER_AT + MIX_AT_OPTIMUM, scratch);
        out->p_better_wide[gain] = mix_chance_above(0.0, out->gain[gain].value,
                                                    out->gain_error[gain], q->answers.n, scratch);
    }
    return status;
}

/* Winner's curse: the optimum is chosen for what the fit says of it, errors of the fit included.
 * What the draws' own optima lose when the fit that they were drawn from judges them estimates it.
 * A mean without the draws at either end: one wild draw would be all of a mean. */
static enum mix_status set_bias(const struct inquiry *q, struct mix_optimum *out, double *scratch,
                                struct mix_error *err)
{
    const struct mix_answers *answers = &q->answers;
    const double baseline = out->gain[0].value + out->objective.value;
    size_t n = 0;
    for (size_t b = 0; b < answers->n; b++) {
        const double *answer = answers->answer + b * answers->width;
        double value = 0.0;
        if (answer[MIX_ANSWER_OK] == 0.0 || !isfinite(answer[MIX_ANSWER_AT + 1]))
            continue;
        const enum mix_status status =
            mix_search_value(q->search, answer + MIX_ANSWER_MIXTURE, &value, NULL, err);
        if (status != MIX_OK)
            return status;
        scratch[n++] = answer[MIX_ANSWER_AT + 1] - answer[MIX_ANSWER_OWN] - (baseline - value);
    }
    if (n == 0)
        return MIX_OK;
    gsl_sort(scratch, 1, n);
    out->gain_bias = gsl_stats_trmean_from_sorted_data(BIAS_TRIM, scratch, 1, n);
    return MIX_OK;
}

/* What was asked for beside the optimum. */
static enum mix_status add_extras(struct inquiry *q, struct mix_optimum *out, double *scratch,
                                  struct mix_error *err)
{
    enum mix_status status = set_bias(q, out, scratch, err);
    memcpy(q->search->multiplier, q->search->start,
           q->search->n_multipliers * sizeof *q->search->start);
    mix_prices_set(q->search, q->gradient, out);
    if (status == MIX_OK)
        status = mix_supply_prices_set(q->search, out, err);
    if (status == MIX_OK)
        status = mix_fresh_find(q->search, q->options, q->fit, &q->question, out, err);
    if (status == MIX_OK && out->lattice > 0)
        status = mix_lattice_find(q->search, out, err);
    if (status == MIX_OK && q->options->path)
        status = mix_path_find(q->search, q->options, q->fit, &q->observed, out, err);
    return status;
}

/* How far shares go among tied mixtures; the one nearest the baseline is one. */
static enum mix_status set_tied_range(struct inquiry *q, struct mix_optimum *out,
                                      struct mix_error *err)
{
    const enum mix_status status =
        mix_search_tied_range(q->search, q->draws, &q->answers, out->mixture, out->level,
                              out->tied_lo, out->tied_hi, err);
    for (size_t j = 0; j < q->n_domains && status == MIX_OK; j++) {
        out->tied_lo[j] = fmin(out->tied_lo[j], out->tied[j]);
        out->tied_hi[j] = fmax(out->tied_hi[j], out->tied[j]);
    }
    return status;
}

/* Rank 0: everything that is printed and stored. */
static enum mix_status conclude(struct inquiry *q, struct mix_optimum **result,
                                struct mix_error *err)
{
    struct mix_optimum *out = mix_optimum_create(q->n_domains, q->n_targets, q->answers.n);
    double *scratch = malloc((q->answers.n + q->left.n + q->n_targets) * sizeof *scratch);
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
    if (status == MIX_OK && isfinite(out->objective.lo))
        status = set_tied_range(q, out, err);
    if (status == MIX_OK)
        status = add_extras(q, out, scratch, err);
    if (status == MIX_OK) {
        mix_optimum_warn(q->table, q->fit, q->options, &q->answers, out);
        mix_question_scores(q->table, q->fit, out->goal, q->weight, sizeof out->warnings,
                            out->warnings);
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
    free(q.guard);
    free(q.lower);
    free(q.valleys.bottom);
    mix_search_destroy(q.search);
    mix_observed_clear(&q.observed);
    mix_answers_clear(&q.answers);
    mix_answers_clear(&q.left);
    return status;
}
