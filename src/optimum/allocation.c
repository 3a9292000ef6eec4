/* SPDX-License-Identifier: GPL-3.0-or-later */
/* allocation.c - how many runs at which scales a budget buys best. Every way of spending is one
 * path of greedy choices that passes all budgets; steps grow with what is spent, as seeds of one
 * candidate, so that a thousand small runs are some forty steps.
 *
 * What is chosen is by the belief of `next`, what is expected of it is simulated (a parametric
 * bootstrap): losses are drawn as the fit has them, the fit is made again of the old runs and the
 * new ones, and its recommendation judged by the first fit. The belief will not do for that: laws
 * bend over what draws by counts reach, so that losses regressed on losses leave a good part of
 * what a refit learns, and the draws' own worlds are wilder than the true one.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fit/simulated.h"
#include "mixsweep/random.h"
#include "mixsweep/share.h"
#include "optimum/next_impl.h"
#include "optimum/search.h"

const char *const mix_spendings[MIX_SPENDINGS] = {"all small", "all large", "even", "mixed"};

static const double STEP = 1.0 / 6; /* of what is spent, at least a run */

/* Simulations of each cell: nothing is bought, then every way of every budget. */
enum { WORLDS = 64, STARTS = 3, CELLS = 1 + MIX_BUDGETS * MIX_SPENDINGS };

static size_t cell_of(size_t budget, int how)
{
    return 1 + budget * MIX_SPENDINGS + (size_t)how;
}

/* What one of them answers. */
struct answer {
    double regret; /* of the mixture that is recommended there; NaN = none is */
    double left;   /* mean square residual by that of the noise */
};

/* One per rank. */
struct simulation {
    struct mix_proposing *p;
    size_t first_cell;
    uint32_t *bought;       /* (CELLS,n_candidates) seeds of each candidate */
    double *noise;          /* (M) */
    double *params;         /* (P) of a refit */
    double *mixture;        /* (4,K) the best of the searches, this one's; floors and limits */
    uint8_t *guard;         /* (M) */
    struct answer *answers; /* (CELLS,WORLDS) on rank 0 */
    struct mix_simulated *simulated;
    struct mix_search *search;
    struct mix_simulated_run *more; /* (n_candidates) */
};

struct path {
    enum mix_spending how;
    size_t small, large; /* scales */
    double spent, at[NEXT_SCALES_MAX];
    uint8_t *seen;    /* (n_candidates) measured */
    uint32_t *bought; /* (n_candidates) seeds */
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
    path->bought[chosen] += (uint32_t)p->n_seeds[s];
    status = mix_belief_measure(p->belief, chosen, p->n_seeds[s], err);
    return mix_ranks_agree(p->ranks, status, err);
}

/* Collective: the path of one way through all budgets. */
static enum mix_status walk(struct mix_proposing *p, struct path *path, struct mix_allocation *out,
                            uint32_t *bought, struct mix_error *err)
{
    const size_t n = p->ask.n_candidates;
    mix_belief_reset(p->belief);
    memset(path->seen, 0, p->ask.n_candidates);
    path->spent = 0;
    path->now = (struct mix_allocated){.how = path->how};
    memset(path->bought, 0, n * sizeof *path->bought);
    for (size_t s = 0; s < NEXT_SCALES_MAX; s++)
        path->at[s] = 0;
    for (size_t b = 0; b < MIX_BUDGETS; b++) {
        for (bool more = true; more;) {
            const enum mix_status status = step(p, path, out->budget[b] - path->spent, &more, err);
            if (status != MIX_OK)
                return status;
        }
        path->now.flops = path->spent;
        memcpy(bought + cell_of(b, path->how) * n, path->bought, n * sizeof *bought);
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
                                uint32_t *bought, struct mix_error *err)
{
    struct path path = {.small = p->ask.n_scales,
                        .seen = calloc(p->ask.n_candidates + 1, sizeof *path.seen),
                        .bought = calloc(p->ask.n_candidates + 1, sizeof *path.bought)};
    enum mix_status status = path.seen && path.bought
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
        status = walk(p, &path, out, bought, err);
    }
    free(path.seen);
    free(path.bought);
    return status;
}

/* ---- what is expected */

static enum mix_status make_room(struct simulation *w, struct mix_error *err)
{
    const struct mix_proposing *p = w->p;
    w->bought = calloc(CELLS * p->ask.n_candidates, sizeof *w->bought);
    w->noise = calloc(p->n_targets, sizeof *w->noise);
    w->params = calloc(p->fit->n_params, sizeof *w->params);
    w->mixture = calloc(4 * p->n_domains, sizeof *w->mixture);
    w->guard = calloc(p->n_targets, sizeof *w->guard);
    w->more = calloc(p->ask.n_candidates + 1, sizeof *w->more);
    if (p->is_first)
        w->answers = calloc(WORLDS * CELLS, sizeof *w->answers);
    return w->bought && w->noise && w->params && w->mixture && w->guard && w->more &&
                   (w->answers || !p->is_first)
               ? MIX_OK
               : mix_fail(err, MIX_ENOMEM, "out of memory for an allocation");
}

/* Collective: the question of the optimum, which rank 0 has. */
static struct mix_question share_question(struct simulation *w, const struct mix_optimum *o)
{
    const struct mix_proposing *p = w->p;
    const size_t k = p->n_domains;
    double *lower = w->mixture + 2 * k, *upper = lower + k;
    bool has_guards = false;
    struct mix_question asked = {.n_params = p->ask.n_params,
                                 .n_tokens = p->ask.n_tokens,
                                 .weight = p->weight,
                                 .lower = lower,
                                 .upper = upper,
                                 .baseline = p->baseline,
                                 .supply = p->supply,
                                 .goal = p->ask.goal};
    if (p->is_first) {
        asked.distance = o->near;
        asked.radius = o->near_radius;
        memcpy(lower, o->lower, k * sizeof *lower);
        memcpy(upper, isnan(o->limit[0]) ? o->upper : o->limit, k * sizeof *upper);
        memcpy(w->guard, o->guard, p->n_targets);
    }
    mix_ranks_broadcast(p->ranks, &asked.distance, sizeof asked.distance);
    mix_ranks_broadcast(p->ranks, &asked.radius, sizeof asked.radius);
    mix_ranks_broadcast(p->ranks, lower, 2 * k * sizeof *lower);
    mix_ranks_broadcast(p->ranks, w->guard, p->n_targets);
    for (size_t m = 0; m < p->n_targets; m++)
        has_guards = has_guards || w->guard[m] != 0;
    asked.guard = has_guards ? w->guard : NULL;
    return asked;
}

/* Collective. */
static enum mix_status open_simulation(struct simulation *w, const struct mix_table *table,
                                       const struct mix_optimum *optimum, struct mix_error *err)
{
    const struct mix_proposing *p = w->p;
    enum mix_isa isa;
    enum mix_status status = mix_share_isa(p->ranks, &isa, err);
    if (status == MIX_OK)
        status = mix_ranks_agree(p->ranks, make_room(w, err), err);
    if (status != MIX_OK)
        return status;
    const struct mix_question question = share_question(w, optimum);
    memcpy(w->noise, p->noise, p->n_targets * sizeof *w->noise);
    status = mix_simulated_create(table, p->fit, isa, &w->simulated, err);
    if (status == MIX_OK)
        status = mix_search_create(p->fit, &question, &w->search, err);
    return mix_ranks_agree(p->ranks, status, err);
}

static void close_simulation(struct simulation *w)
{
    free(w->bought);
    free(w->noise);
    free(w->params);
    free(w->mixture);
    free(w->guard);
    free(w->more);
    free(w->answers);
    mix_simulated_destroy(w->simulated);
    mix_search_destroy(w->search);
}

/* The least of what is found downhill from the first decisions, into w->mixture: the optimum, and
 * where these are allowed the baseline and the best observed mixture. */
static enum mix_status recommend(struct simulation *w, bool *found, struct mix_error *err)
{
    const size_t k = w->p->n_domains;
    double least = INFINITY, *h = w->mixture + k;
    *found = false;
    enum mix_status status = mix_search_aim(w->search, w->params, err);
    for (size_t i = 0; i < STARTS && i < w->p->ask.n_decisions && status == MIX_OK; i++) {
        struct mix_minimum minimum;
        memcpy(h, w->p->decision + i * k, k * sizeof *h);
        const enum mix_status found_one = mix_search_descend(w->search, h, &minimum, err);
        if (found_one != MIX_OK && found_one != MIX_EINVAL && found_one != MIX_ENUMERIC)
            status = found_one;
        if (found_one != MIX_OK || !(minimum.value < least))
            continue;
        least = minimum.value;
        memcpy(w->mixture, h, k * sizeof *h);
        *found = true;
    }
    return status;
}

static size_t list_bought(struct simulation *w, size_t cell)
{
    const struct mix_proposing *p = w->p;
    const uint32_t *bought = w->bought + cell * p->ask.n_candidates;
    size_t n = 0;
    for (size_t c = 0; c < p->ask.n_candidates; c++)
        if (bought[c] > 0)
            w->more[n++] = (struct mix_simulated_run){.mixture = p->rows + c * p->n_domains,
                                                      .unique = p->row_unique + c * p->n_domains,
                                                      .n_params = p->row_params[c],
                                                      .n_tokens = p->row_tokens[c],
                                                      .n_seeds = bought[c]};
    return n;
}

/* The same world has the same losses of the old runs, whatever is bought. */
static enum mix_status simulate(void *context, size_t task, void *record, struct mix_poll *poll,
                                struct mix_error *err)
{
    struct simulation *w = context;
    struct answer *answer = record;
    const size_t cell = w->first_cell + task / WORLDS;
    const uint64_t world = task % WORLDS;
    double chosen, best;
    bool found = false;
    *answer = (struct answer){NAN, NAN};
    gsl_rng *rng =
        mix_rng_create(mix_key_make(w->p->options->seed, "allocation", &world, sizeof world));
    if (!rng)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a random stream");
    enum mix_status status = mix_simulated_fit(w->simulated, w->noise, list_bought(w, cell),
                                               w->more, rng, poll, w->params, &answer->left, err);
    gsl_rng_free(rng);
    if (status == MIX_OK && !isnan(answer->left))
        status = recommend(w, &found, err);
    if (status != MIX_OK || !found)
        return status == MIX_EINVAL ? MIX_OK : status;
    status = mix_search_aim(w->search, w->p->fit->params, err);
    if (status == MIX_OK)
        status = mix_search_value(w->search, w->mixture, &chosen, NULL, err);
    if (status == MIX_OK)
        status = mix_search_value(w->search, w->p->decision, &best, NULL, err);
    if (status == MIX_OK)
        answer->regret = fmax(chosen - best, 0);
    return status;
}

/* Collective: cells [first, last), on rank 0. */
static enum mix_status simulate_cells(struct simulation *w, size_t first, size_t last,
                                      struct mix_error *err)
{
    const bool is_first = w->p->is_first;
    w->first_cell = first;
    const struct mix_stage stage = {.name = "allocation",
                                    .n_tasks = (last - first) * WORLDS,
                                    .record_bytes = sizeof *w->answers,
                                    .run = simulate,
                                    .context = w,
                                    .records =
                                        is_first ? (uint8_t *)(w->answers + first * WORLDS) : NULL,
                                    .progress = w->p->progress,
                                    .progress_context = w->p->progress_context};
    return mix_stage_run(w->p->ranks, &stage, err);
}

/* Rank 0. */
static enum mix_status take_regret(const struct simulation *w, size_t cell,
                                   struct mix_estimate *out, struct mix_error *err)
{
    double known[WORLDS];
    size_t n = 0;
    for (size_t i = 0; i < WORLDS; i++)
        if (!isnan(w->answers[cell * WORLDS + i].regret))
            known[n++] = w->answers[cell * WORLDS + i].regret;
    *out = mix_next_estimate(n, known);
    return n >= WORLDS / 2 ? MIX_OK
                           : mix_fail(err, MIX_ENUMERIC,
                                      "fit %s, made again of what it says of the runs itself, has "
                                      "an answer in %zu of %d cases only: what runs are worth to "
                                      "it cannot be told",
                                      w->p->fit->name, n, WORLDS);
}

/* Collective: the noise of which refits leave as much as the fit does. */
static enum mix_status find_noise(struct simulation *w, struct mix_error *err)
{
    struct mix_proposing *p = w->p;
    const double taken = fmax(mix_next_freedom(p->fit), NEXT_LEAST_FREEDOM);
    double left = 0, n = 0;
    struct mix_estimate before;
    enum mix_status status = simulate_cells(w, 0, 1, err);
    if (status != MIX_OK)
        return status;
    if (p->is_first)
        status = take_regret(w, 0, &before, err);
    for (size_t i = 0; p->is_first && i < WORLDS; i++)
        if (!isnan(w->answers[i].left)) {
            left += w->answers[i].left;
            n++;
        }
    left /= n;
    mix_ranks_broadcast(p->ranks, &left, sizeof left);
    for (size_t m = 0; m < p->n_targets; m++)
        w->noise[m] = p->noise[m] * sqrt(taken / left);
    return mix_ranks_agree(p->ranks, status, err);
}

/* Collective. */
static enum mix_status simulate_all(struct simulation *w, struct mix_allocation *out,
                                    struct mix_error *err)
{
    enum mix_status status = find_noise(w, err);
    if (status == MIX_OK)
        status = simulate_cells(w, 0, CELLS, err);
    if (status != MIX_OK || !w->p->is_first)
        return status;
    status = take_regret(w, 0, &out->before, err);
    for (size_t b = 0; b < MIX_BUDGETS; b++)
        for (int how = 0; how < MIX_SPENDINGS && status == MIX_OK; how++)
            status = take_regret(w, cell_of(b, how), &out->way[b][how].regret, err);
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
        struct simulation w = {.p = &p};
        status = open_simulation(&w, table, optimum, err);
        if (status == MIX_OK)
            status = walk_all(&p, found, w.bought, err);
        if (status == MIX_OK)
            status = simulate_all(&w, found, err);
        close_simulation(&w);
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
