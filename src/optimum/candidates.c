/* SPDX-License-Identifier: GPL-3.0-or-later */
/* candidates.c - rank 0's lists for `next`: runs that could be made, and mixtures to decide
 * between. */
#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/random.h"
#include "optimum/next_impl.h"

static const double FLOPS_PER_TOKEN = 6;  /* and parameter */
static const double DISTINCT = 2e-3;      /* candidates differ more in some share */
static const double LATTICE = 1e6;        /* shares are multiples of 1 / LATTICE */
static const double TOWARDS_CORNER = 0.3; /* of the way from the optimum */
static const double SPARSE = 0.3;         /* most of a mixture is two domains or three */
static const double LEAST_SHARE = 0.02; /* of a centre of random mixtures, where a law is doubted */

enum { BASELINE, BEST_OBSERVED = 2 }; /* of mix_gain_names */

double mix_next_cost(const struct mix_next_scale *scale)
{
    return scale->flops > 0 ? scale->flops : FLOPS_PER_TOKEN * scale->n_params * scale->n_tokens;
}

double mix_next_distance(const double *a, const double *b, size_t n)
{
    double largest = 0;
    for (size_t j = 0; j < n; j++)
        largest = fmax(largest, fabs(a[j] - b[j]));
    return largest;
}

/* A list of mixtures that takes no two alike. */
struct list {
    size_t n, most, n_domains;
    double *mixture;
};

static bool list_has(const struct list *list, const double *mixture, double within)
{
    for (size_t i = 0; i < list->n; i++)
        if (mix_next_distance(list->mixture + i * list->n_domains, mixture, list->n_domains) <=
            within)
            return true;
    return false;
}

static void list_add(struct list *list, const double *mixture)
{
    if (list->n < list->most && isfinite(mixture[0]) && !list_has(list, mixture, DISTINCT))
        memcpy(list->mixture + list->n++ * list->n_domains, mixture,
               list->n_domains * sizeof *mixture);
}

/* Farthest first: up to `n` of the (n_from,K) mixtures, each the one least like
 * all in the list. */
static void list_spread(struct list *list, size_t n, size_t n_from, const double *from)
{
    const size_t k = list->n_domains;
    for (size_t taken = 0; taken < n && list->n < list->most; taken++) {
        double farthest = DISTINCT;
        size_t chosen = n_from;
        for (size_t i = 0; i < n_from; i++) {
            double nearest = INFINITY;
            for (size_t l = 0; isfinite(from[i * k]) && l < list->n; l++)
                nearest = fmin(nearest, mix_next_distance(list->mixture + l * k, from + i * k, k));
            if (isfinite(nearest) && nearest > farthest) {
                farthest = nearest;
                chosen = i;
            }
        }
        if (chosen == n_from)
            return;
        list_add(list, from + chosen * k);
    }
}

static void round_to_lattice(double *mixture, size_t n)
{
    double sum = 0;
    size_t largest = 0;
    for (size_t j = 0; j < n; j++) {
        mixture[j] = round(mixture[j] * LATTICE);
        sum += mixture[j];
        largest = mixture[j] > mixture[largest] ? j : largest;
    }
    mixture[largest] += LATTICE - sum;
    for (size_t j = 0; j < n; j++)
        mixture[j] /= LATTICE;
}

/* Of few domains (concentration SPARSE), around a mixture (4 K) and anywhere (1), in turns, until
 * the list is full; where only inner ones are wanted, none of few domains. */
static enum mix_status list_random(struct list *list, const double *centre, bool inner,
                                   uint64_t seed, struct mix_error *err)
{
    const size_t k = list->n_domains;
    const double least = inner ? LEAST_SHARE : 1e-3;
    double alpha[MIX_DOMAINS_MAX], drawn[MIX_DOMAINS_MAX];
    gsl_rng *rng = mix_rng_create(mix_key_make(seed, "next mixtures", NULL, 0));
    if (!rng)
        return mix_fail(err, MIX_ENOMEM, "out of memory for random mixtures");
    for (size_t i = 0; list->n < list->most && i < 20 * list->most; i++) {
        const bool around = inner ? i % 2 == 0 : i % 4 == 1;
        for (size_t j = 0; j < k; j++)
            alpha[j] = around                ? 4 * (double)k * fmax(centre[j], least)
                       : inner || i % 2 == 1 ? 1
                                             : SPARSE;
        gsl_ran_dirichlet(rng, k, alpha, drawn);
        round_to_lattice(drawn, k);
        list_add(list, drawn);
    }
    gsl_rng_free(rng);
    return MIX_OK;
}

/* What tells most of a law is at the edges: each domain alone, and few of them; what is to be
 * decided is in the middle. */
static enum mix_status list_candidates(struct mix_proposing *p, const struct mix_optimum *optimum,
                                       const struct mix_data *data, struct mix_error *err)
{
    const size_t k = p->n_domains, most = p->options->n_mixtures;
    struct list list = {.most = most, .n_domains = k, .mixture = p->mixture};
    double mixture[MIX_DOMAINS_MAX];
    memcpy(mixture, optimum->mixture, k * sizeof *mixture);
    round_to_lattice(mixture, k);
    list_add(&list, mixture);
    list_add(&list, optimum->best_observed);
    list_spread(&list, most / 8, data->n_rows, data->mixture);
    const bool inner = p->ask.is_doubted;
    for (int towards = inner ? 2 : 0; towards < 2; towards++) /* corners, some of the way to them */
        for (size_t d = 0; d < k && list.n < most / 2; d++) {
            const double part = towards == 0 ? 1 : TOWARDS_CORNER;
            for (size_t j = 0; j < k; j++)
                mixture[j] = (1 - part) * optimum->mixture[j] + part * (j == d);
            round_to_lattice(mixture, k);
            list_add(&list, mixture);
        }
    const size_t before = list.n;
    list_spread(&list, inner ? most / 4 : most / 8, optimum->n_draws, optimum->draw_mixture);
    for (size_t i = before; i < list.n; i++)
        round_to_lattice(list.mixture + i * k, k);
    const enum mix_status status =
        list_random(&list, optimum->mixture, inner, p->options->seed, err);
    p->ask.n_mixtures = list.n;
    return status;
}

/* Whether floors, caps and distance allow the optimum's other mixture; of guards that is not known.
 */
static bool is_allowed(const struct mix_optimum *o, size_t other)
{
    char text[MIX_NAME_MAX];
    bool has_guards = false;
    for (size_t m = 0; m < o->n_targets; m++)
        has_guards = has_guards || o->guard[m] != 0;
    return mix_optimum_broken_text(o, other, text)[0] == '\0' && (other == BASELINE || !has_guards);
}

static void list_decisions(struct mix_proposing *p, const struct mix_optimum *optimum)
{
    struct list list = {
        .most = NEXT_DECISIONS_MAX, .n_domains = p->n_domains, .mixture = p->decision};
    list_add(&list, optimum->mixture);
    if (is_allowed(optimum, BASELINE))
        list_add(&list, optimum->baseline);
    if (is_allowed(optimum, BEST_OBSERVED))
        list_add(&list, optimum->best_observed);
    list_add(&list, optimum->tied);
    list_spread(&list, NEXT_DECISIONS_MAX, optimum->n_draws, optimum->draw_mixture);
    p->ask.n_decisions = list.n;
}

static void sort_scales(struct mix_next_question *ask)
{
    for (size_t s = 1; s < ask->n_scales; s++)
        for (size_t t = s;
             t > 0 && mix_next_cost(&ask->scale[t]) < mix_next_cost(&ask->scale[t - 1]); t--) {
            const struct mix_next_scale swap = ask->scale[t];
            ask->scale[t] = ask->scale[t - 1];
            ask->scale[t - 1] = swap;
        }
}

static bool is_at(const struct mix_next_scale *a, const struct mix_next_scale *b)
{
    return fabs(a->n_params / b->n_params - 1) <= NEXT_SAME_SCALE &&
           fabs(a->n_tokens / b->n_tokens - 1) <= NEXT_SAME_SCALE;
}

/* Those given, or those of finished runs with the mean of what these cost; the cheapest first. */
static void list_scales(struct mix_proposing *p, const struct mix_table *table,
                        const struct mix_data *data)
{
    struct mix_next_question *ask = &p->ask;
    size_t n_runs[NEXT_SCALES_MAX] = {0};
    for (size_t s = 0; p->options->scales && s < p->options->n_scales; s++)
        ask->scale[ask->n_scales++] = p->options->scales[s];
    for (size_t r = 0; !p->options->scales && r < data->n_rows; r++) {
        const struct mix_run *run = &table->runs[data->row[r]];
        const struct mix_next_scale at = {1e6 * data->n_params[r], 1e9 * data->n_tokens[r], 0};
        size_t s = 0;
        while (s < ask->n_scales && !is_at(&at, &ask->scale[s]))
            s++;
        if (!run->is_final || s == NEXT_SCALES_MAX)
            continue;
        if (s == ask->n_scales)
            ask->scale[ask->n_scales++] = at;
        n_runs[s]++;
        ask->scale[s].flops += (run->flops - ask->scale[s].flops) / (double)n_runs[s];
    }
    sort_scales(ask);
}

/* A candidate is a mixture at a scale that budget and supply allow. */
static enum mix_status list_pairs(struct mix_proposing *p, const struct mix_table *table,
                                  struct mix_error *err)
{
    struct mix_next_question *ask = &p->ask;
    size_t n_affordable = 0;
    for (size_t s = 0; s < ask->n_scales; s++) {
        const struct mix_next_scale *scale = &ask->scale[s];
        if (mix_next_cost(scale) > p->options->flops)
            continue;
        n_affordable++;
        const double part = fmin(scale->n_tokens / p->options->match_tokens, 1); /* not NaN */
        for (size_t i = 0; i < ask->n_mixtures; i++) {
            bool has_supply = true;
            for (size_t j = 0; j < p->n_domains; j++) {
                const double supply =
                    table->domains[j].supply_tokens * part * p->options->max_epochs;
                has_supply =
                    has_supply && !(p->mixture[i * p->n_domains + j] * scale->n_tokens > supply);
            }
            if (!has_supply)
                continue;
            p->of_mixture[ask->n_candidates] = i;
            p->of_scale[ask->n_candidates++] = s;
        }
    }
    if (ask->n_scales == 0)
        return mix_fail(err, MIX_EINVAL, "there is no scale at which a run could be made");
    if (n_affordable == 0)
        return mix_fail(
            err, MIX_EINVAL,
            "no run is within %.4g FLOP: the cheapest, %.4g parameters on %.4g tokens, takes %.4g",
            p->options->flops, ask->scale[0].n_params, ask->scale[0].n_tokens,
            mix_next_cost(&ask->scale[0]));
    if (ask->n_candidates == 0)
        return mix_fail(err, MIX_EINVAL,
                        "no candidate repeats its domains %g times at most: raise the limit",
                        p->options->max_epochs);
    return MIX_OK;
}

static enum mix_status check_optimum(const struct mix_proposing *p,
                                     const struct mix_optimum *optimum, struct mix_error *err)
{
    const struct mix_key fit = mix_fit_key(p->fit);
    if (fit.hi != optimum->fit_key.hi || fit.lo != optimum->fit_key.lo ||
        p->draws->fit_key.hi != fit.hi || p->draws->fit_key.lo != fit.lo ||
        optimum->n_draws != p->n_known)
        return mix_fail(err, MIX_EINVAL,
                        "optimum %s, its fit %s and the bootstrap draws do not belong together any "
                        "more: make the bootstrap and the optimum again",
                        optimum->name, p->fit->name);
    if (p->n_known < MIX_NEXT_DRAWS_MIN)
        return mix_fail(
            err, MIX_EINVAL,
            "there are %zu bootstrap draws of %s: at least %d are needed, 1000 are wise",
            p->n_known, p->fit->name, MIX_NEXT_DRAWS_MIN);
    return MIX_OK;
}

/* The runs to choose among, as candidates. */
static enum mix_status list_among(struct mix_proposing *p, struct mix_error *err)
{
    const struct mix_table *among = p->options->among;
    struct mix_next_question *ask = &p->ask;
    ask->n_scales = 0;
    for (size_t r = 0; r < among->n_rows; r++) {
        const struct mix_run *run = &among->runs[r];
        size_t s = 0;
        while (s < ask->n_scales &&
               (ask->scale[s].n_params != run->n_params || ask->scale[s].n_tokens != run->n_tokens))
            s++;
        if (s == NEXT_SCALES_MAX)
            return mix_fail(err, MIX_EINVAL, "the runs have more than %d scales", NEXT_SCALES_MAX);
        if (s == ask->n_scales)
            ask->scale[ask->n_scales++] = (struct mix_next_scale){run->n_params, run->n_tokens, 0};
    }
    sort_scales(ask);
    ask->n_mixtures = among->n_rows;
    memcpy(p->mixture, among->mixture, among->n_rows * p->n_domains * sizeof *p->mixture);
    for (size_t s = 0; s < ask->n_scales; s++)
        for (size_t r = 0; r < among->n_rows; r++)
            if (among->runs[r].n_params == ask->scale[s].n_params &&
                among->runs[r].n_tokens == ask->scale[s].n_tokens) {
                p->of_mixture[ask->n_candidates] = r;
                p->of_scale[ask->n_candidates++] = s;
            }
    return ask->n_candidates > 0 ? MIX_OK
                                 : mix_fail(err, MIX_EINVAL, "there are no runs to choose among");
}

/* ---- all lists */

enum mix_status mix_proposing_list(struct mix_proposing *p, const struct mix_table *table,
                                   const struct mix_optimum *optimum, struct mix_error *err)
{
    struct mix_data *data = NULL;
    double sum = 0;
    enum mix_status status = check_optimum(p, optimum, err);
    if (status == MIX_OK && p->options->n_scales > NEXT_SCALES_MAX)
        status = mix_fail(err, MIX_EINVAL, "%zu scales are given; at most %d are compared",
                          p->options->n_scales, NEXT_SCALES_MAX);
    if (status == MIX_OK)
        status = mix_table_select(table, &p->fit->selection, &data, err);
    if (status != MIX_OK)
        return status;
    p->ask.is_doubted = p->options->is_doubted;
    p->ask.n_params = optimum->n_params;
    p->ask.n_tokens = optimum->n_tokens;
    for (size_t m = 0; m < p->n_targets; m++)
        sum += optimum->weight[m];
    const double freedom = fmax(mix_next_freedom(p->fit), NEXT_LEAST_FREEDOM);
    const bool relative =
        optimum->goal == MIX_GOAL_MEAN_GAIN || optimum->goal == MIX_GOAL_WORST_GAIN;
    p->ask.goal = optimum->goal;
    memcpy(p->baseline, optimum->baseline, p->n_domains * sizeof *p->baseline);
    for (size_t m = 0; m < p->n_targets; m++) {
        const double mse = p->fit->train_by_target[m].mse / freedom;
        p->weight[m] = optimum->weight[m] / sum;
        p->unit[m] = relative ? 1 / optimum->baseline_loss[m] : 1;
        p->noise[m] = sqrt(mse > 0 ? mse : p->fit->objective / freedom) +
                      NEXT_LEAST_NOISE * optimum->loss[m].value;
    }
    list_decisions(p, optimum);
    if (p->options->among) {
        status = list_among(p, err);
    } else {
        list_scales(p, table, data);
        status = list_candidates(p, optimum, data, err);
        if (status == MIX_OK)
            status = list_pairs(p, table, err);
    }
    mix_data_destroy(data);
    return status;
}
