/* SPDX-License-Identifier: GPL-3.0-or-later */
/* allocation.c - how many runs at which scales a budget buys best. Every way of spending is one
 * path of greedy choices that passes all budgets; steps grow with what is spent, as seeds of one
 * candidate, so that a thousand small runs are some forty steps. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "optimum/next_impl.h"

const char *const mix_spendings[MIX_SPENDINGS] = {"all small", "all large", "even", "mixed"};

static const double STEP = 1.0 / 6; /* of what is spent, at least a run */

struct path {
    enum mix_spending how;
    size_t small, large; /* scales */
    double spent, at[NEXT_SCALES_MAX];
    uint8_t *seen; /* (n_candidates) measured */
    double *regret;
    struct mix_allocated now;
};

static size_t affordable(const struct mix_proposing *p, size_t s, double flops)
{
    const double n = floor(flops * (1 + 1e-12) / mix_next_cost(&p->ask.scale[s]));
    return (size_t)fmin(fmax(n, 0), 1e9); /* a budget may be spent but for rounding */
}

static bool has_candidates(const struct mix_proposing *p, size_t s)
{
    for (size_t c = 0; c < p->ask.n_candidates; c++)
        if (p->of_scale[c] == s && !p->barred[c])
            return true;
    return false;
}

/* The scale at which least is spent of those with a run for `left`; n_scales where there is none.
 */
static size_t least_spent(const struct mix_proposing *p, const struct path *path, double left)
{
    size_t least = p->ask.n_scales;
    for (size_t s = 0; s < p->ask.n_scales; s++)
        if (has_candidates(p, s) && affordable(p, s, left) > 0 &&
            (least == p->ask.n_scales || path->at[s] < path->at[least]))
            least = s;
    return least;
}

/* How many seeds at once the next step may have at each scale. */
static void set_steps(struct mix_proposing *p, const struct path *path, double left)
{
    const size_t even = path->how == MIX_SPEND_EVEN ? least_spent(p, path, left) : 0;
    for (size_t s = 0; s < p->ask.n_scales; s++) {
        const bool allowed = path->how == MIX_SPEND_MIXED ||
                             (path->how == MIX_SPEND_SMALL && s == path->small) ||
                             (path->how == MIX_SPEND_LARGE && s == path->large) ||
                             (path->how == MIX_SPEND_EVEN && s == even);
        const size_t grown = affordable(p, s, path->spent * STEP), most = affordable(p, s, left);
        const size_t step = grown > 1 ? grown : 1;
        p->n_seeds[s] = allowed ? (step < most ? step : most) : 0;
    }
}

/* Collective: one step within `left`; *more where there was one. */
static enum mix_status step(struct mix_proposing *p, struct path *path, double left, bool *more,
                            struct mix_error *err)
{
    double gained = 0;
    size_t chosen = SIZE_MAX;
    set_steps(p, path, left);
    enum mix_status status = mix_proposing_score(p, left, err);
    if (status != MIX_OK)
        return status;
    if (p->is_first)
        chosen = mix_proposing_best(p, path->how == MIX_SPEND_MIXED, &gained);
    mix_ranks_broadcast(p->ranks, &chosen, sizeof chosen);
    *more = chosen != SIZE_MAX;
    if (!*more)
        return MIX_OK;
    const size_t s = p->of_scale[chosen];
    const double cost = mix_next_cost(&p->ask.scale[s]) * (double)p->n_seeds[s];
    path->spent += cost;
    path->at[s] += cost;
    path->now.n_runs[s] += p->n_seeds[s];
    path->now.n_mixtures[s] += !path->seen[chosen];
    path->seen[chosen] = 1;
    status = mix_belief_measure(p->belief, chosen, p->n_seeds[s], err);
    return mix_ranks_agree(p->ranks, status, err);
}

/* Collective: the path of one way through all budgets. */
static enum mix_status walk(struct mix_proposing *p, struct path *path, struct mix_allocation *out,
                            struct mix_error *err)
{
    mix_belief_reset(p->belief);
    memset(path->seen, 0, p->ask.n_candidates);
    path->spent = 0;
    path->now = (struct mix_allocated){.how = path->how};
    (void)mix_proposing_regret(p, path->regret);
    out->before = mix_next_estimate(p->n_draws, path->regret);
    for (size_t s = 0; s < NEXT_SCALES_MAX; s++)
        path->at[s] = 0;
    for (size_t b = 0; b < MIX_BUDGETS; b++) {
        for (bool more = true; more;) {
            const enum mix_status status = step(p, path, out->budget[b] - path->spent, &more, err);
            if (status != MIX_OK)
                return status;
        }
        (void)mix_proposing_regret(p, path->regret);
        path->now.flops = path->spent;
        path->now.regret = mix_next_estimate(p->n_draws, path->regret);
        out->way[b][path->how] = path->now;
    }
    out->few_draws = out->few_draws || mix_belief_few_draws(p->belief);
    return MIX_OK;
}

/* Less may be spent than there is. */
static void find_best(struct mix_allocation *out)
{
    for (size_t b = 0; b < MIX_BUDGETS; b++) {
        const struct mix_allocated *best = b > 0 ? &out->best[b - 1] : NULL;
        for (int how = 0; how < MIX_SPENDINGS; how++)
            if (!best || out->way[b][how].regret.value < best->regret.value)
                best = &out->way[b][how];
        out->best[b] = *best;
    }
}

/* Collective. */
static enum mix_status walk_all(struct mix_proposing *p, struct mix_allocation *out,
                                struct mix_error *err)
{
    struct path path = {.small = p->ask.n_scales,
                        .seen = calloc(p->ask.n_candidates + 1, sizeof *path.seen),
                        .regret = calloc(p->n_draws + 1, sizeof *path.regret)};
    enum mix_status status = path.seen && path.regret
                                 ? MIX_OK
                                 : mix_fail(err, MIX_ENOMEM, "out of memory for an allocation");
    status = mix_ranks_agree(p->ranks, status, err);
    for (size_t s = 0; s < p->ask.n_scales; s++)
        if (has_candidates(p, s)) {
            path.small = path.small == p->ask.n_scales ? s : path.small;
            path.large = s;
        }
    for (int how = 0; how < MIX_SPENDINGS && status == MIX_OK; how++) {
        path.how = (enum mix_spending)how;
        status = walk(p, &path, out, err);
    }
    free(path.seen);
    free(path.regret);
    return status;
}

enum mix_status mix_next_allocate(struct mix_ranks *ranks, const struct mix_table *table,
                                  const struct mix_fit *fit, const struct mix_draws *draws,
                                  const struct mix_optimum *optimum,
                                  const struct mix_next_options *options, mix_progress_fn progress,
                                  void *progress_context, struct mix_allocation **out,
                                  struct mix_error *err)
{
    struct mix_proposing p = {.ranks = ranks,
                              .fit = fit,
                              .draws = draws,
                              .options = options,
                              .progress = progress,
                              .progress_context = progress_context};
    struct mix_allocation *found = calloc(1, sizeof *found);
    *out = NULL;
    enum mix_status status =
        found ? MIX_OK : mix_fail(err, MIX_ENOMEM, "out of memory for an allocation");
    status = mix_ranks_agree(ranks, status, err);
    if (status == MIX_OK && found) {
        for (size_t b = 0; b < MIX_BUDGETS; b++)
            found->budget[b] = options->flops / (double)(1 << (MIX_BUDGETS - 1 - b));
        status = mix_proposing_open(&p, table, optimum, err);
    }
    if (status == MIX_OK && found) {
        found->n_scales = p.ask.n_scales;
        memcpy(found->scale, p.ask.scale, sizeof found->scale);
        found->n_draws = p.n_draws;
        status = walk_all(&p, found, err);
    }
    status = mix_ranks_agree(ranks, status, err);
    if (status == MIX_OK && found)
        find_best(found);
    mix_proposing_close(&p);
    if (status == MIX_OK && mix_ranks_rank(ranks) == 0)
        *out = found;
    else
        free(found);
    return status;
}
