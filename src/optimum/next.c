/* SPDX-License-Identifier: GPL-3.0-or-later */
/* next.c - see next.h: batches are chosen greedily, dearest use of FLOPs or largest step first, and
 * each run is then exchanged where another serves better.
 */
#include "mixsweep/next.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "optimum/next_impl.h"

enum { EXCHANGED_MAX = 16 };

static const double SAME_MIXTURE = 1e-9; /* in any share */
static const double WORTH =
    0.1; /* of the scatter of a measured mean loss: less is not worth a run */

const char *const mix_next_criteria[MIX_NEXT_CRITERIA] = {"regret", "variance", "information"};
const char *const mix_advices[MIX_ADVICE_GO_ON + 1] = {"cannot tell", "stop", "go on"};

struct mix_next_options mix_next_defaults(void)
{
    return (struct mix_next_options){.n_runs = 32,
                                     .max_epochs = INFINITY,
                                     .match_tokens = NAN,
                                     .worth = NAN,
                                     .n_mixtures = 64,
                                     .seed = 1};
}

/* ---- choosing */

/* A batch. */
struct batch {
    size_t n;
    size_t *candidate; /* (n_runs) */
    double merit;      /* in all */
};

/* A run that is one of some can be made once. */
static void take(struct mix_proposing *p, size_t candidate, bool taken)
{
    if (p->options->among)
        p->barred[candidate] = taken;
}

static void take_all(struct mix_proposing *p, const struct batch *batch, bool taken)
{
    for (size_t i = 0; i < batch->n; i++)
        take(p, batch->candidate[i], taken);
}

/* Where the law is in doubt scales take turns, the dearest first, or a cheaper one if that is all
 * that `left` allows: by the law the cheapest are nearly always best. */
static void take_turns(struct mix_proposing *p, size_t turn, double left)
{
    const size_t n = p->ask.n_scales;
    size_t s = n - 1 - turn % n;
    while (s > 0 && mix_next_cost(&p->ask.scale[s]) > left)
        s--;
    for (size_t t = 0; t < n; t++)
        p->n_seeds[t] = t == s;
}

/* Collective. */
static enum mix_status choose_greedily(struct mix_proposing *p, bool per_flop, struct batch *batch,
                                       struct mix_error *err)
{
    double left = p->options->flops;
    batch->n = 0;
    batch->merit = 0;
    mix_belief_reset(p->belief);
    while (batch->n < p->options->n_runs) {
        double gained = 0;
        if (p->by_turns)
            take_turns(p, batch->n, left);
        enum mix_status status = mix_proposing_score(p, left, err);
        if (status != MIX_OK)
            return status;
        size_t chosen = p->is_first ? mix_proposing_best(p, per_flop, &gained) : 0;
        mix_ranks_broadcast(p->ranks, &chosen, sizeof chosen);
        mix_ranks_broadcast(p->ranks, &gained, sizeof gained);
        if (chosen == SIZE_MAX)
            return MIX_OK;
        batch->candidate[batch->n++] = chosen;
        batch->merit += gained;
        take(p, chosen, true);
        left -= mix_next_cost(&p->ask.scale[p->of_scale[chosen]]);
        status = mix_ranks_agree(p->ranks, mix_belief_measure(p->belief, chosen, 1, err), err);
        if (status != MIX_OK)
            return status;
    }
    return MIX_OK;
}

/* Collective: a run gives way to a better one beside the others, which are measured. */
static enum mix_status exchange_one(struct mix_proposing *p, struct batch *batch, size_t i,
                                    struct mix_error *err)
{
    double left = p->options->flops, gained = 0;
    for (size_t o = 0; o < batch->n; o++)
        if (o != i)
            left -= mix_next_cost(&p->ask.scale[p->of_scale[batch->candidate[o]]]);
    take(p, batch->candidate[i], false);
    for (size_t s = 0; p->by_turns && s < p->ask.n_scales; s++)
        p->n_seeds[s] = s == p->of_scale[batch->candidate[i]];
    const enum mix_status status = mix_proposing_score(p, left, err);
    if (status != MIX_OK)
        return status;
    size_t chosen = batch->candidate[i];
    if (p->is_first) {
        const size_t best = mix_proposing_best(p, false, &gained);
        if (best != SIZE_MAX && gained > mix_proposing_merit(p, chosen) * (1 + 1e-9))
            chosen = best;
    }
    mix_ranks_broadcast(p->ranks, &chosen, sizeof chosen);
    batch->candidate[i] = chosen;
    take(p, chosen, true);
    return MIX_OK;
}

/* Collective. */
static enum mix_status measure_runs(struct mix_proposing *p, const struct batch *batch,
                                    size_t first, size_t last, struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    for (size_t i = first; i < last && status == MIX_OK; i++)
        status = mix_belief_measure(p->belief, batch->candidate[i], 1, err);
    return mix_ranks_agree(p->ranks, status, err);
}

/* Collective: [first, last) of a batch in turn, beside the others, which are measured. One half
 * beside the other and then the other beside it: n log n measurements instead of n^2. */
static enum mix_status exchange_some(struct mix_proposing *p, struct batch *batch, size_t first,
                                     size_t last, struct mix_error *err)
{
    const size_t middle = first + (last - first) / 2;
    struct mix_belief_state *before = NULL;
    if (last - first == 1)
        return exchange_one(p, batch, first, err);
    enum mix_status status = mix_belief_keep(p->belief, &before, err);
    status = mix_ranks_agree(p->ranks, status, err);
    if (status == MIX_OK)
        status = measure_runs(p, batch, middle, last, err);
    if (status == MIX_OK)
        status = exchange_some(p, batch, first, middle, err);
    if (status == MIX_OK) {
        mix_belief_restore(p->belief, before);
        status = measure_runs(p, batch, first, middle, err);
    }
    free(before);
    return status == MIX_OK ? exchange_some(p, batch, middle, last, err) : status;
}

/* Collective: those that were chosen when least was known. */
static enum mix_status exchange(struct mix_proposing *p, struct batch *batch, struct mix_error *err)
{
    const size_t n = batch->n < EXCHANGED_MAX ? batch->n : EXCHANGED_MAX;
    mix_belief_reset(p->belief);
    const enum mix_status status = measure_runs(p, batch, n, batch->n, err);
    return status == MIX_OK && n > 0 ? exchange_some(p, batch, 0, n, err) : status;
}

/* Whether a FLOP buys the same wherever it is spent, so that both ways to be greedy are one. */
static bool all_cost_the_same(const struct mix_proposing *p)
{
    for (size_t s = 1; s < p->ask.n_scales; s++)
        if (mix_next_cost(&p->ask.scale[s]) != mix_next_cost(&p->ask.scale[0]))
            return false;
    return true;
}

/* Collective. */
static enum mix_status choose(struct mix_proposing *p, struct batch *out, struct mix_error *err)
{
    struct batch other = {.candidate = calloc(p->options->n_runs, sizeof *other.candidate)};
    enum mix_status status = MIX_OK;
    if (!other.candidate)
        status = mix_fail(err, MIX_ENOMEM, "out of memory for a batch of runs");
    status = mix_ranks_agree(p->ranks, status, err);
    if (status == MIX_OK)
        status = choose_greedily(p, true, out, err);
    take_all(p, out, false);
    if (status == MIX_OK && !p->by_turns && !all_cost_the_same(p))
        status = choose_greedily(p, false, &other, err);
    take_all(p, &other, false);
    if (status == MIX_OK && other.merit > out->merit) {
        memcpy(out->candidate, other.candidate, other.n * sizeof *other.candidate);
        out->n = other.n;
    }
    take_all(p, out, true);
    if (status == MIX_OK)
        status = exchange(p, out, err);
    free(other.candidate);
    return status;
}
/* ---- what comes out */

/* Runs like it in the table and earlier in the batch, whose candidates are given. */
static size_t count_seen(const struct mix_proposing *p, const struct mix_data *data,
                         const struct mix_next_run *run, const double *mixture, size_t n_batch,
                         const size_t *batch)
{
    size_t n = 0;
    for (size_t i = 0; i < n_batch; i++)
        n += batch[i] == batch[n_batch];
    for (size_t r = 0; r < data->n_rows; r++)
        n += fabs(1e6 * data->n_params[r] / run->n_params - 1) <= NEXT_SAME_SCALE &&
             fabs(1e9 * data->n_tokens[r] / run->n_tokens - 1) <= NEXT_SAME_SCALE &&
             mix_next_distance(data->mixture + r * p->n_domains, mixture, p->n_domains) <=
                 SAME_MIXTURE;
    return n;
}

static struct mix_next *make_next(size_t n_domains, size_t n_runs, size_t n_draws)
{
    struct mix_next *next = calloc(1, sizeof *next);
    if (!next)
        return NULL;
    next->n_domains = n_domains;
    next->n_runs = n_runs;
    next->n_draws = n_draws;
    next->domains = calloc(n_domains, sizeof *next->domains);
    next->runs = calloc(n_runs + 1, sizeof *next->runs);
    next->mixture = calloc((n_runs + 1) * n_domains, sizeof *next->mixture);
    next->lower = calloc(n_draws + 1, sizeof *next->lower);
    if (next->domains && next->runs && next->mixture && next->lower)
        return next;
    mix_next_destroy(next);
    return NULL;
}

void mix_next_destroy(struct mix_next *next)
{
    if (!next)
        return;
    free(next->domains);
    free(next->runs);
    free(next->mixture);
    free(next->lower);
    free(next);
}

/* "0.0026 (a tenth of what a measurement scatters)" */
static void say_worth(const struct mix_next *next, bool is_default, char text[MIX_NAME_MAX + 24])
{
    snprintf(text, MIX_NAME_MAX + 24, "%.2g%s", next->worth,
             is_default ? " (a tenth of what a measurement scatters)" : "");
}

/* One sentence on what the runs bring, and one on how many draws agree. */
static void explain(struct mix_next *next, const char *limit)
{
    const struct mix_estimate *less = &next->reduction, *now = &next->before;
    char *text = next->reason;
    if (next->n_runs == 0) {
        snprintf(text, MIX_TEXT_MAX, "no run is expected to lower the regret of %.2g ± %.1g.%s",
                 now->value, now->se,
                 next->is_doubted ? " That is not sure: the law does not hold." : "");
        return;
    }
    if (!next->pays && now->value <= next->worth)
        snprintf(text, MIX_TEXT_MAX, "the regret that is left, %.2g ± %.1g, is less than %s.",
                 now->value, now->se, limit);
    else
        snprintf(text, MIX_TEXT_MAX,
                 "%zu run%s for %.3g FLOP would lower the regret of %.2g by %.2g ± %.1g, %s than "
                 "%s.",
                 next->n_runs, next->n_runs == 1 ? "" : "s", next->flops, now->value, less->value,
                 less->se, next->pays ? "more" : "less", limit);
    const size_t used = strlen(text);
    const double agree = next->pays ? next->chance : 1 - next->chance;
    if (next->is_doubted)
        snprintf(text + used, MIX_TEXT_MAX - used, " That is not sure: the law does not hold.");
    else if (next->is_sure)
        snprintf(text + used, MIX_TEXT_MAX - used, " %.0f%% of the draws agree.", 100 * agree);
    else
        snprintf(text + used, MIX_TEXT_MAX - used,
                 " That is not sure: %.0f%% of the draws say the contrary.", 100 * (1 - agree));
}

void mix_next_weigh(struct mix_next *next, double worth)
{
    const struct mix_estimate *less = &next->reduction;
    char limit[MIX_NAME_MAX + 24];
    size_t n_more = 0;
    next->worth = isnan(worth) ? WORTH * next->noise : worth;
    for (size_t d = 0; d < next->n_draws; d++)
        n_more += next->lower[d] > next->worth;
    next->chance = (double)n_more / (double)next->n_draws;
    next->pays = less->value > next->worth;
    next->is_sure = next->pays ? next->chance >= 1 - MIX_NEXT_DOUBT && less->value > 2 * less->se
                               : next->chance <= MIX_NEXT_DOUBT;
    next->is_sure = next->is_sure && !next->is_doubted;
    next->advice = !next->is_sure ? MIX_ADVICE_UNSURE
                   : next->pays   ? MIX_ADVICE_GO_ON
                                  : MIX_ADVICE_STOP;
    say_worth(next, isnan(worth), limit);
    explain(next, limit);
}

/* Rank 0. */
static enum mix_status conclude(struct mix_proposing *p, const struct mix_data *data,
                                const struct batch *batch, double *regret, double *before,
                                struct mix_next **out, struct mix_error *err)
{
    const size_t k = p->n_domains;
    struct mix_next *next = make_next(k, batch->n, p->n_draws);
    if (!next)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a batch of runs");
    memcpy(next->domains, p->fit->domains, k * sizeof *next->domains);
    next->n_candidates = p->ask.n_candidates;
    next->n_decisions = p->ask.n_decisions;
    next->noise = mix_proposing_noise(p);
    next->is_doubted = p->ask.is_doubted;
    mix_belief_reset(p->belief);
    mix_belief_regret(p->belief, before);
    next->before = next->after = mix_next_estimate(p->n_draws, before);
    for (size_t i = 0; i < batch->n; i++) {
        struct mix_next_run *run = &next->runs[i];
        const size_t c = batch->candidate[i];
        const struct mix_next_scale *scale = &p->ask.scale[p->of_scale[c]];
        const enum mix_status status = mix_belief_measure(p->belief, c, 1, err);
        if (status != MIX_OK) {
            mix_next_destroy(next);
            return status;
        }
        memcpy(next->mixture + i * k, p->mixture + p->of_mixture[c] * k, k * sizeof *p->mixture);
        run->n_params = scale->n_params;
        run->n_tokens = scale->n_tokens;
        run->flops = mix_next_cost(scale);
        run->n_seen = count_seen(p, data, run, next->mixture + i * k, i, batch->candidate);
        mix_belief_regret(p->belief, regret);
        run->regret = next->after = mix_next_estimate(p->n_draws, regret);
        next->flops += run->flops;
    }
    for (size_t d = 0; d < p->n_draws; d++)
        next->lower[d] = batch->n > 0 ? before[d] - regret[d] : 0;
    next->few_draws = mix_belief_few_draws(p->belief);
    next->reduction = mix_next_estimate(p->n_draws, next->lower);
    mix_next_weigh(next, p->options->worth);
    *out = next;
    return MIX_OK;
}

static enum mix_status propose(struct mix_proposing *p, const struct mix_table *table,
                               struct mix_next **out, struct mix_error *err)
{
    struct mix_data *data = NULL;
    double *regret = calloc(2 * p->n_draws, sizeof *regret);
    struct batch batch = {.candidate = calloc(p->options->n_runs, sizeof *batch.candidate)};
    enum mix_status status = MIX_OK;
    if (!regret || !batch.candidate)
        status = mix_fail(err, MIX_ENOMEM, "out of memory for a batch of runs");
    status = mix_ranks_agree(p->ranks, status, err);
    if (status == MIX_OK)
        status = choose(p, &batch, err);
    if (status == MIX_OK && p->is_first)
        status = mix_table_select(table, &p->fit->selection, &data, err);
    if (status == MIX_OK && p->is_first)
        status = conclude(p, data, &batch, regret, regret + p->n_draws, out, err);
    mix_data_destroy(data);
    free(regret);
    free(batch.candidate);
    return status;
}
enum mix_status mix_next_propose(struct mix_ranks *ranks, const struct mix_table *table,
                                 const struct mix_fit *fit, const struct mix_draws *draws,
                                 const struct mix_optimum *optimum,
                                 const struct mix_next_options *options, mix_progress_fn progress,
                                 void *progress_context, struct mix_next **out,
                                 struct mix_error *err)
{
    struct mix_proposing p = {.ranks = ranks,
                              .fit = fit,
                              .draws = draws,
                              .options = options,
                              .progress = progress,
                              .progress_context = progress_context};
    *out = NULL;
    enum mix_status status = mix_proposing_open(&p, table, optimum, err);
    p.by_turns = p.ask.is_doubted && !options->among;
    if (status == MIX_OK)
        status = propose(&p, table, out, err);
    status = mix_ranks_agree(ranks, status, err);
    mix_proposing_close(&p);
    return status;
}
