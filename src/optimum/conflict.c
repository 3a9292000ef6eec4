/* SPDX-License-Identifier: GPL-3.0-or-later */
/* conflict.c - why no mixture has losses as low as the baseline's: the guards that stand in each
 * other's way, or in that of a bound.
 *
 * How near a set of guards can be met together is itself an optimum: the least over mixtures of the
 * largest loss relative to the baseline's, over the guarded targets alone. More than 1 means that
 * they cannot all be met.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "optimum/search.h"

enum { STARTS = 12, LISTED = 4 };

struct conflict {
    const struct mix_fit *fit;
    const struct mix_question *question;
    double *weight;               /* (M) 1 for the targets looked at */
    double *share;                /* (M) their multipliers at the best mixture */
    double *h;                    /* (K) the best mixture */
    double *bottom;               /* (MIX_WARM_MAX,K) */
    double excess;                /* relative, there */
    char bound[2 * MIX_NAME_MAX]; /* what stands in the way */
};

/* The bound whose price is highest at the best mixture, as words. */
static void name_bound(struct conflict *c, const struct mix_search *s, const double *gradient,
                       struct mix_optimum *o)
{
    size_t dearest = 0;
    memcpy(o->mixture, c->h, s->n_domains * sizeof *c->h);
    mix_prices_set(s, gradient, o);
    for (size_t j = 1; j < s->n_domains; j++)
        if (o->price[j] > o->price[dearest])
            dearest = j;
    if (o->price[dearest] > 0.0) {
        const bool is_floor = c->h[dearest] <= s->asked.lower[dearest] + 1e-12;
        snprintf(c->bound, sizeof c->bound, "at %s %.3g of %s%s", is_floor ? "least" : "most",
                 c->h[dearest], c->fit->domains[dearest], o->near_price > 0.0 ? " and --near" : "");
    } else {
        snprintf(c->bound, sizeof c->bound, "%s", o->near_price > 0.0 ? "--near" : "the bounds");
    }
}

/* The best mixture for the targets of c->weight alone. */
static enum mix_status look(struct conflict *c, struct mix_error *err)
{
    struct mix_question question = *c->question;
    struct mix_search *search = NULL;
    struct mix_optimum *scratch = NULL;
    struct mix_valleys valleys = {.bottom = c->bottom};
    struct mix_minimum minimum;
    const size_t n = c->fit->spec.n_domains, n_targets = c->fit->spec.n_targets;
    question.weight = c->weight;
    question.guard = NULL;
    question.goal = MIX_GOAL_WORST_GAIN;
    enum mix_status status = mix_search_create(c->fit, &question, &search, err);
    if (status == MIX_OK)
        status = mix_search_valleys(search, 1, question.baseline, STARTS, 1, &valleys, err);
    if (status == MIX_OK) {
        memcpy(c->h, valleys.bottom, n * sizeof *c->h);
        c->excess = valleys.best.value - MIX_NO_WORSE;
        scratch = mix_optimum_create(n, n_targets, 0);
        if (scratch == NULL)
            status = mix_fail(err, MIX_ENOMEM, "out of memory for the optimum");
    }
    if (status == MIX_OK) /* once more, for the multipliers there */
        status = mix_search_descend(search, c->h, &minimum, err);
    if (status == MIX_OK) {
        memcpy(c->share, search->multiplier, n_targets * sizeof *c->share);
        name_bound(c, search, mix_minimiser_gradient(search->minimiser), scratch);
    }
    mix_optimum_destroy(scratch);
    mix_search_destroy(search);
    return status;
}

static enum mix_status look_at(struct conflict *c, size_t a, size_t b, struct mix_error *err)
{
    memset(c->weight, 0, c->fit->spec.n_targets * sizeof *c->weight);
    c->weight[a] = c->weight[b] = 1.0;
    return look(c, err);
}

static enum mix_status fail_single(const struct conflict *c, size_t m, struct mix_error *err)
{
    return mix_fail(
        err, MIX_EINVAL,
        "no mixture satisfies the constraints: with %s the loss of %s is at best %.2g%% "
        "above the baseline's, and --no-worse allows none.\n  Loosen that bound, or "
        "leave %s out of --no-worse.",
        c->bound, c->fit->targets[m], 100.0 * c->excess, c->fit->targets[m]);
}

/* The targets that pull against each other have multipliers; the largest two are tried as a pair.
 */
static enum mix_status fail_several(struct conflict *c, struct mix_error *err)
{
    const size_t n_targets = c->fit->spec.n_targets;
    const double excess = c->excess;
    char list[LISTED * (MIX_NAME_MAX + 8)] = "";
    size_t largest = 0, second = SIZE_MAX, used = 0, n = 0;
    for (size_t m = 1; m < n_targets; m++)
        if (c->share[m] > c->share[largest])
            largest = m;
    for (size_t m = 0; m < n_targets; m++)
        if (m != largest && c->share[m] > 0.0 &&
            (second == SIZE_MAX || c->share[m] > c->share[second]))
            second = m;
    for (size_t m = 0; m < n_targets && n < LISTED; m++)
        if (c->share[m] > 0.0)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", n++ > 0 ? ", " : "",
                                     c->fit->targets[m]);
    const enum mix_status status = second == SIZE_MAX ? MIX_OK : look_at(c, largest, second, err);
    if (status != MIX_OK)
        return status;
    if (second != SIZE_MAX && c->excess > MIX_KEEPS)
        return mix_fail(err, MIX_EINVAL,
                        "no mixture satisfies the constraints: with %s the losses of %s and %s "
                        "cannot both be as low as the baseline's; at best one is %.2g%% above.\n  "
                        "Leave one of them out of --no-worse, or loosen that bound.",
                        c->bound, c->fit->targets[largest], c->fit->targets[second],
                        100.0 * c->excess);
    return mix_fail(err, MIX_EINVAL,
                    "no mixture satisfies the constraints: the losses of %s%s cannot all be as low "
                    "as the baseline's; at best one is %.2g%% above.\n  Leave one of them out of "
                    "--no-worse, or loosen floors and caps.",
                    list, n == LISTED ? ", ..." : "", 100.0 * excess);
}

static enum mix_status explain(struct conflict *c, double *h, struct mix_error *err)
{
    const size_t n_targets = c->fit->spec.n_targets;
    for (size_t m = 0; m < n_targets; m++)
        c->weight[m] = c->question->guard[m] ? 1.0 : 0.0;
    enum mix_status status = look(c, err);
    if (status != MIX_OK)
        return status;
    if (c->excess <= MIX_KEEPS) {
        memcpy(h, c->h, c->fit->spec.n_domains * sizeof *h);
        return MIX_OK;
    }
    double *share = calloc(n_targets + 1, sizeof *share);
    const double excess = c->excess;
    if (share == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu targets", n_targets);
    memcpy(share, c->share, n_targets * sizeof *share);
    for (size_t m = 0; m < n_targets && status == MIX_OK; m++) {
        if (!(share[m] > 0.0))
            continue;
        status = look_at(c, m, m, err);
        if (status == MIX_OK && c->excess > MIX_KEEPS)
            status = fail_single(c, m, err);
    }
    memcpy(c->share, share, n_targets * sizeof *share);
    c->excess = excess;
    free(share);
    return status == MIX_OK ? fail_several(c, err) : status;
}

enum mix_status mix_conflict_explain(const struct mix_fit *fit, const struct mix_question *question,
                                     double *h, struct mix_error *err)
{
    const size_t n = fit->spec.n_domains, n_targets = fit->spec.n_targets;
    if (question->guard == NULL)
        return mix_fail(err, MIX_ENUMERIC, "the search found no mixture within the constraints");
    double *block = calloc(2 * n_targets + (1 + MIX_WARM_MAX) * n, sizeof *block);
    if (block == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu targets", n_targets);
    struct conflict c = {.fit = fit,
                         .question = question,
                         .weight = block,
                         .share = block + n_targets,
                         .h = block + 2 * n_targets,
                         .bottom = block + 2 * n_targets + n};
    const enum mix_status status = explain(&c, h, err);
    free(block);
    return status;
}
