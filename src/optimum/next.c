/* SPDX-License-Identifier: GPL-3.0-or-later */
/* next.c - see next.h: rank 0 lists candidates and decisions, every draw says
 * what it expects of them, then batches are chosen: greedily, dearest use of
 * FLOPs or largest step first, and each run is then exchanged where another
 * serves better.
 */
#include "mixsweep/next.h"

#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/random.h"
#include "optimum/belief.h"

enum { DRAWS_MIN = 50, DECISIONS_MAX = 128, SCALES_MAX = 8 };
static const double FLOPS_PER_TOKEN = 6;  /* and parameter */
static const double SAME_SCALE = 0.01;    /* relative */
static const double SAME_MIXTURE = 1e-9;  /* in any share */
static const double DISTINCT = 2e-3;      /* candidates differ more in some share */
static const double LATTICE = 1e6;        /* shares are multiples of 1 / LATTICE */
static const double TOWARDS_CORNER = 0.3; /* of the way from the optimum */
static const double WORTH =
    0.1; /* of the scatter of a measured mean loss: less is not worth a run */
static const double WILD =
    20; /* interquartile ranges, and scatters of a loss, beyond the quartiles */
static const double LEAST_NOISE = 1e-6; /* relative to the loss */

/* What rank 0 tells all. */
struct question {
    size_t n_mixtures, n_scales, n_decisions, n_candidates;
    double n_params, n_tokens; /* of the target */
    struct mix_next_scale scale[SCALES_MAX];
};

struct proposing {
    struct mix_ranks *ranks;
    bool is_first;
    const struct mix_fit *fit;
    const struct mix_draws *draws;
    const struct mix_next_options *options;
    size_t n_domains, n_targets;
    struct question ask;
    double *mixture;               /* (n_mixtures,K) */
    double *decision;              /* (n_decisions,K), the recommended one first */
    size_t *of_mixture, *of_scale; /* (n_candidates) */
    double *weight;                /* (M) sums to 1 */
    double *noise;                 /* (M) */
    size_t *draw;                  /* (n_known) rows of draws that are fitted */
    size_t n_known, width;
    double *records; /* (n_known,width) on rank 0: 1 = answered, losses, objectives */
    struct mix_model *model;
    double *rows, *row_params, *row_tokens, *row_loss; /* what a draw is asked, laid out */
    size_t n_draws;                                    /* answered */
    double *loss, *goal;
    struct mix_belief *belief;
    struct mix_prospect *prospect; /* (n_candidates) */
    uint8_t *left_out;             /* (n_candidates) */
};

struct mix_next_options mix_next_defaults(void)
{
    return (struct mix_next_options){
        .n_runs = 8, .max_epochs = INFINITY, .n_mixtures = 64, .seed = 1};
}

static double cost_of(const struct mix_next_scale *scale)
{
    return FLOPS_PER_TOKEN * scale->n_params * scale->n_tokens;
}

/* ---- rank 0: the lists */

static double distance(const double *a, const double *b, size_t n)
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
        if (distance(list->mixture + i * list->n_domains, mixture, list->n_domains) <= within)
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
                nearest = fmin(nearest, distance(list->mixture + l * k, from + i * k, k));
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

/* Around a mixture (concentration 4 K) and anywhere (1), in turns, until the
 * list is full. */
static enum mix_status list_random(struct list *list, const double *centre, uint64_t seed,
                                   struct mix_error *err)
{
    const size_t k = list->n_domains;
    double alpha[MIX_DOMAINS_MAX], drawn[MIX_DOMAINS_MAX];
    gsl_rng *rng = mix_rng_create(mix_key_make(seed, "next mixtures", NULL, 0));
    if (!rng)
        return mix_fail(err, MIX_ENOMEM, "out of memory for random mixtures");
    for (size_t i = 0; list->n < list->most && i < 20 * list->most; i++) {
        for (size_t j = 0; j < k; j++)
            alpha[j] = i % 2 == 0 ? 4 * (double)k * fmax(centre[j], 1e-3) : 1;
        gsl_ran_dirichlet(rng, k, alpha, drawn);
        round_to_lattice(drawn, k);
        list_add(list, drawn);
    }
    gsl_rng_free(rng);
    return MIX_OK;
}

static enum mix_status list_candidates(struct proposing *p, const struct mix_optimum *optimum,
                                       const struct mix_data *data, struct mix_error *err)
{
    const size_t k = p->n_domains, most = p->options->n_mixtures;
    struct list list = {.most = most, .n_domains = k, .mixture = p->mixture};
    double mixture[MIX_DOMAINS_MAX];
    memcpy(mixture, optimum->mixture, k * sizeof *mixture);
    round_to_lattice(mixture, k);
    list_add(&list, mixture);
    list_add(&list, optimum->best_observed);
    list_spread(&list, most / 4, data->n_rows, data->mixture);
    for (size_t d = 0; d < k && list.n < most / 2; d++) {
        for (size_t j = 0; j < k; j++)
            mixture[j] = (1 - TOWARDS_CORNER) * optimum->mixture[j] + TOWARDS_CORNER * (j == d);
        round_to_lattice(mixture, k);
        list_add(&list, mixture);
    }
    const size_t before = list.n;
    list_spread(&list, most / 4, optimum->n_draws, optimum->draw_mixture);
    for (size_t i = before; i < list.n; i++)
        round_to_lattice(list.mixture + i * k, k);
    const enum mix_status status = list_random(&list, optimum->mixture, p->options->seed, err);
    p->ask.n_mixtures = list.n;
    return status;
}

static void list_decisions(struct proposing *p, const struct mix_optimum *optimum)
{
    struct list list = {.most = DECISIONS_MAX, .n_domains = p->n_domains, .mixture = p->decision};
    list_add(&list, optimum->mixture);
    list_add(&list, optimum->baseline);
    list_add(&list, optimum->best_observed);
    list_add(&list, optimum->tied);
    list_spread(&list, DECISIONS_MAX, optimum->n_draws, optimum->draw_mixture);
    p->ask.n_decisions = list.n;
}

/* Those given, or those of finished runs, the cheapest first. */
static void list_scales(struct proposing *p, const struct mix_table *table,
                        const struct mix_data *data)
{
    struct question *ask = &p->ask;
    for (size_t s = 0; p->options->scales && s < p->options->n_scales && s < SCALES_MAX; s++)
        ask->scale[ask->n_scales++] = p->options->scales[s];
    for (size_t r = 0; !p->options->scales && r < data->n_rows; r++) {
        const struct mix_next_scale at = {1e6 * data->n_params[r], 1e9 * data->n_tokens[r]};
        bool is_new = ask->n_scales < SCALES_MAX && table->runs[data->row[r]].is_final;
        for (size_t s = 0; s < ask->n_scales && is_new; s++)
            is_new = fabs(at.n_params / ask->scale[s].n_params - 1) > SAME_SCALE ||
                     fabs(at.n_tokens / ask->scale[s].n_tokens - 1) > SAME_SCALE;
        if (is_new)
            ask->scale[ask->n_scales++] = at;
    }
    for (size_t s = 1; s < ask->n_scales; s++)
        for (size_t t = s; t > 0 && cost_of(&ask->scale[t]) < cost_of(&ask->scale[t - 1]); t--) {
            const struct mix_next_scale swap = ask->scale[t];
            ask->scale[t] = ask->scale[t - 1];
            ask->scale[t - 1] = swap;
        }
}

/* A candidate is a mixture at a scale that budget and supply allow. */
static enum mix_status list_pairs(struct proposing *p, const struct mix_table *table,
                                  struct mix_error *err)
{
    struct question *ask = &p->ask;
    size_t n_affordable = 0;
    for (size_t s = 0; s < ask->n_scales; s++) {
        const struct mix_next_scale *scale = &ask->scale[s];
        if (cost_of(scale) > p->options->flops)
            continue;
        n_affordable++;
        for (size_t i = 0; i < ask->n_mixtures; i++) {
            bool has_supply = true;
            for (size_t j = 0; j < p->n_domains; j++) {
                const double supply = table->domains[j].supply_tokens * p->options->max_epochs;
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
            cost_of(&ask->scale[0]));
    if (ask->n_candidates == 0)
        return mix_fail(err, MIX_EINVAL,
                        "no candidate repeats its domains %g times at most: raise the limit",
                        p->options->max_epochs);
    return MIX_OK;
}

static enum mix_status check_optimum(const struct proposing *p, const struct mix_optimum *optimum,
                                     struct mix_error *err)
{
    const struct mix_key fit = mix_fit_key(p->fit);
    if (fit.hi != optimum->fit_key.hi || fit.lo != optimum->fit_key.lo ||
        p->draws->fit_key.hi != fit.hi || p->draws->fit_key.lo != fit.lo ||
        optimum->n_draws != p->n_known)
        return mix_fail(err, MIX_EINVAL,
                        "optimum %s, its fit %s and the bootstrap draws do not belong together any "
                        "more: make the bootstrap and the optimum again",
                        optimum->name, p->fit->name);
    if (p->n_known < DRAWS_MIN)
        return mix_fail(
            err, MIX_EINVAL,
            "there are %zu bootstrap draws of %s: at least %d are needed, 1000 are wise",
            p->n_known, p->fit->name, DRAWS_MIN);
    return MIX_OK;
}

static enum mix_status make_lists(struct proposing *p, const struct mix_table *table,
                                  const struct mix_optimum *optimum, struct mix_error *err)
{
    struct mix_data *data = NULL;
    double sum = 0;
    enum mix_status status = check_optimum(p, optimum, err);
    if (status == MIX_OK)
        status = mix_table_select(table, &p->fit->selection, &data, err);
    if (status != MIX_OK)
        return status;
    p->ask.n_params = optimum->n_params;
    p->ask.n_tokens = optimum->n_tokens;
    for (size_t m = 0; m < p->n_targets; m++)
        sum += optimum->weight[m];
    for (size_t m = 0; m < p->n_targets; m++) {
        const double mse = p->fit->train_by_target[m].mse;
        p->weight[m] = optimum->weight[m] / sum;
        p->noise[m] =
            sqrt(mse > 0 ? mse : p->fit->objective) + LEAST_NOISE * optimum->loss[m].value;
    }
    list_scales(p, table, data);
    list_decisions(p, optimum);
    status = list_candidates(p, optimum, data, err);
    if (status == MIX_OK)
        status = list_pairs(p, table, err);
    mix_data_destroy(data);
    return status;
}

/* ---- every draw's answer */

static enum mix_status lay_out(struct proposing *p, struct mix_error *err)
{
    const struct question *ask = &p->ask;
    const size_t n = ask->n_candidates + ask->n_decisions, k = p->n_domains;
    p->width = 1 + ask->n_candidates * p->n_targets + ask->n_decisions;
    p->rows = calloc(n * k, sizeof *p->rows);
    p->row_params = calloc(n, sizeof *p->row_params);
    p->row_tokens = calloc(n, sizeof *p->row_tokens);
    p->row_loss = calloc(n * p->n_targets, sizeof *p->row_loss);
    p->prospect = calloc(ask->n_candidates, sizeof *p->prospect);
    p->left_out = calloc(ask->n_candidates, sizeof *p->left_out);
    if (p->is_first)
        p->records = calloc(p->n_known * p->width, sizeof *p->records);
    if (!p->rows || !p->row_params || !p->row_tokens || !p->row_loss || !p->prospect ||
        !p->left_out || (p->is_first && !p->records))
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu candidates and %zu draws",
                        ask->n_candidates, p->n_known);
    for (size_t i = 0; i < n; i++) {
        const bool is_decision = i >= ask->n_candidates;
        const double *mixture = is_decision ? p->decision + (i - ask->n_candidates) * k
                                            : p->mixture + p->of_mixture[i] * k;
        memcpy(p->rows + i * k, mixture, k * sizeof *mixture);
        p->row_params[i] =
            1e-6 * (is_decision ? ask->n_params : ask->scale[p->of_scale[i]].n_params);
        p->row_tokens[i] =
            1e-9 * (is_decision ? ask->n_tokens : ask->scale[p->of_scale[i]].n_tokens);
    }
    return mix_fit_model(p->fit, &p->model, err);
}

/* A draw whose law says nothing at one of the scales (N < H) is left out. */
static enum mix_status ask_draw(void *context, size_t task, void *record, struct mix_poll *poll,
                                struct mix_error *err)
{
    struct proposing *p = context;
    double *answer = record;
    const size_t n_candidates = p->ask.n_candidates, m = p->n_targets;
    if (mix_poll(poll))
        return MIX_EINTERRUPTED;
    const double *params = p->draws->params + p->draw[task] * p->draws->n_params;
    const enum mix_status status =
        mix_model_predict(p->model, params, n_candidates + p->ask.n_decisions, p->rows,
                          p->row_params, p->row_tokens, p->row_loss, err);
    if (status == MIX_EINVAL)
        return mix_fail(err, MIX_OK, "%s", "");
    if (status != MIX_OK)
        return status;
    answer[0] = 1;
    memcpy(answer + 1, p->row_loss, n_candidates * m * sizeof *answer);
    for (size_t c = 0; c < p->ask.n_decisions; c++)
        for (size_t i = 0; i < m; i++)
            answer[1 + n_candidates * m + c] +=
                p->weight[i] * p->row_loss[(n_candidates + c) * m + i];
    for (size_t i = 1; i < p->width; i++)
        if (!isfinite(answer[i]))
            answer[0] = 0;
    return MIX_OK;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Rank 0: a draw that is far outside what the others say somewhere would be all of the covariance:
 * it is left out. */
static enum mix_status leave_out_wild(struct proposing *p, struct mix_error *err)
{
    double *column = calloc(p->n_known, sizeof *column);
    if (!column)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu draws", p->n_known);
    for (size_t i = 1; i < p->width; i++) {
        size_t n = 0;
        for (size_t d = 0; d < p->n_known; d++)
            if (p->records[d * p->width] != 0)
                column[n++] = p->records[d * p->width + i];
        qsort(column, n, sizeof *column, compare);
        if (n < DRAWS_MIN)
            break;
        const double low = column[n / 4], high = column[n - 1 - n / 4];
        const double reach = WILD * (high - low + p->noise[(i - 1) % p->n_targets]);
        for (size_t d = 0; d < p->n_known; d++) {
            const double value = p->records[d * p->width + i];
            if (!(value >= low - reach && value <= high + reach))
                p->records[d * p->width] = 0;
        }
    }
    free(column);
    return MIX_OK;
}

/* Collective: the answers of draws that have one, on all ranks. */
static enum mix_status share_answers(struct proposing *p, struct mix_error *err)
{
    const size_t n_losses = p->ask.n_candidates * p->n_targets, n_goals = p->ask.n_decisions;
    enum mix_status status =
        mix_ranks_agree(p->ranks, p->is_first ? leave_out_wild(p, err) : MIX_OK, err);
    if (status != MIX_OK)
        return status;
    for (size_t d = 0; p->is_first && d < p->n_known; d++)
        p->n_draws += p->records[d * p->width] != 0;
    mix_ranks_broadcast(p->ranks, &p->n_draws, sizeof p->n_draws);
    p->loss = calloc(p->n_draws * n_losses + 1, sizeof *p->loss);
    p->goal = calloc(p->n_draws * n_goals + 1, sizeof *p->goal);
    if (!p->loss || !p->goal)
        status = mix_fail(err, MIX_ENOMEM, "out of memory for %zu draws", p->n_draws);
    else if (p->n_draws < DRAWS_MIN)
        status = mix_fail(
            err, MIX_EINVAL,
            "only %zu of %zu draws of %s say something at these scales: at least %d are needed",
            p->n_draws, p->n_known, p->fit->name, DRAWS_MIN);
    status = mix_ranks_agree(p->ranks, status, err);
    if (status != MIX_OK)
        return status;
    for (size_t d = 0, at = 0; p->is_first && d < p->n_known; d++) {
        const double *record = p->records + d * p->width;
        if (record[0] == 0)
            continue;
        memcpy(p->loss + at * n_losses, record + 1, n_losses * sizeof *record);
        memcpy(p->goal + at++ * n_goals, record + 1 + n_losses, n_goals * sizeof *record);
    }
    mix_ranks_broadcast(p->ranks, p->loss, p->n_draws * n_losses * sizeof *p->loss);
    mix_ranks_broadcast(p->ranks, p->goal, p->n_draws * n_goals * sizeof *p->goal);
    status = mix_belief_create(p->n_draws, p->ask.n_candidates, p->n_targets, n_goals, p->loss,
                               p->goal, p->noise, p->options->seed, &p->belief, err);
    return mix_ranks_agree(p->ranks, status, err);
}

/* ---- choosing */

static enum mix_status score(void *context, size_t task, void *record, struct mix_poll *poll,
                             struct mix_error *err)
{
    struct proposing *p = context;
    if (mix_poll(poll))
        return MIX_EINTERRUPTED;
    return mix_belief_prospect(p->belief, task, record, err);
}

/* Collective: prospects of all candidates within `flops`, on rank 0. */
static enum mix_status score_all(struct proposing *p, double flops, struct mix_error *err)
{
    for (size_t c = 0; c < p->ask.n_candidates; c++)
        p->left_out[c] = cost_of(&p->ask.scale[p->of_scale[c]]) > flops * (1 + 1e-12);
    const struct mix_stage stage = {.name = "next",
                                    .n_tasks = p->ask.n_candidates,
                                    .record_bytes = sizeof *p->prospect,
                                    .run = score,
                                    .context = p,
                                    .done = p->left_out,
                                    .records = (uint8_t *)p->prospect};
    return mix_stage_run(p->ranks, &stage, err);
}

static double merit(const struct proposing *p, size_t candidate, double regret)
{
    const struct mix_prospect *prospect = &p->prospect[candidate];
    switch (p->options->criterion) {
    case MIX_NEXT_VARIANCE:
        return prospect->variance;
    case MIX_NEXT_INFORMATION:
        return prospect->information;
    default:
        return regret - prospect->regret;
    }
}

static double mean_regret(struct proposing *p, double *regret)
{
    double sum = 0;
    mix_belief_regret(p->belief, regret);
    for (size_t d = 0; d < p->n_draws; d++)
        sum += regret[d];
    return sum / (double)p->n_draws;
}

/* Rank 0: the best of those scored, by FLOP or as such. SIZE_MAX = none helps.
 */
static size_t pick_best(const struct proposing *p, double regret, bool per_flop, double *best)
{
    size_t chosen = SIZE_MAX;
    double most = 0;
    for (size_t c = 0; c < p->ask.n_candidates; c++) {
        if (p->left_out[c])
            continue;
        const double m = merit(p, c, regret);
        const double rate = per_flop ? m / cost_of(&p->ask.scale[p->of_scale[c]]) : m;
        if (rate > most) {
            most = rate;
            *best = m;
            chosen = c;
        }
    }
    return chosen;
}

/* A batch. */
struct batch {
    size_t n;
    size_t *candidate; /* (n_runs) */
    double merit;      /* in all */
};

/* Collective. */
static enum mix_status choose_greedily(struct proposing *p, bool per_flop, struct batch *batch,
                                       double *regret, struct mix_error *err)
{
    double left = p->options->flops;
    batch->n = 0;
    batch->merit = 0;
    mix_belief_reset(p->belief);
    while (batch->n < p->options->n_runs) {
        double gained = 0;
        enum mix_status status = score_all(p, left, err);
        if (status != MIX_OK)
            return status;
        size_t chosen = p->is_first ? pick_best(p, mean_regret(p, regret), per_flop, &gained) : 0;
        mix_ranks_broadcast(p->ranks, &chosen, sizeof chosen);
        mix_ranks_broadcast(p->ranks, &gained, sizeof gained);
        if (chosen == SIZE_MAX)
            return MIX_OK;
        batch->candidate[batch->n++] = chosen;
        batch->merit += gained;
        left -= cost_of(&p->ask.scale[p->of_scale[chosen]]);
        status = mix_ranks_agree(p->ranks, mix_belief_measure(p->belief, chosen, err), err);
        if (status != MIX_OK)
            return status;
    }
    return MIX_OK;
}

/* Collective: each run in turn gives way to a better one beside the others. */
static enum mix_status exchange(struct proposing *p, struct batch *batch, double *regret,
                                struct mix_error *err)
{
    for (size_t i = 0; i < batch->n; i++) {
        double left = p->options->flops, gained = 0;
        enum mix_status status = MIX_OK;
        mix_belief_reset(p->belief);
        for (size_t o = 0; o < batch->n && status == MIX_OK; o++) {
            if (o == i)
                continue;
            left -= cost_of(&p->ask.scale[p->of_scale[batch->candidate[o]]]);
            status = mix_belief_measure(p->belief, batch->candidate[o], err);
        }
        status = mix_ranks_agree(p->ranks, status, err);
        if (status == MIX_OK)
            status = score_all(p, left, err);
        if (status != MIX_OK)
            return status;
        size_t chosen = batch->candidate[i];
        if (p->is_first) {
            const double now = mean_regret(p, regret);
            const size_t best = pick_best(p, now, false, &gained);
            if (best != SIZE_MAX && gained > merit(p, chosen, now) * (1 + 1e-9))
                chosen = best;
        }
        mix_ranks_broadcast(p->ranks, &chosen, sizeof chosen);
        batch->candidate[i] = chosen;
    }
    return MIX_OK;
}

/* Collective. */
static enum mix_status choose(struct proposing *p, struct batch *out, double *regret,
                              struct mix_error *err)
{
    struct batch other = {.candidate = calloc(p->options->n_runs, sizeof *other.candidate)};
    enum mix_status status = MIX_OK;
    if (!other.candidate)
        status = mix_fail(err, MIX_ENOMEM, "out of memory for a batch of runs");
    status = mix_ranks_agree(p->ranks, status, err);
    if (status == MIX_OK)
        status = choose_greedily(p, true, out, regret, err);
    if (status == MIX_OK)
        status = choose_greedily(p, false, &other, regret, err);
    if (status == MIX_OK && other.merit > out->merit) {
        memcpy(out->candidate, other.candidate, other.n * sizeof *other.candidate);
        out->n = other.n;
    }
    if (status == MIX_OK)
        status = exchange(p, out, regret, err);
    free(other.candidate);
    return status;
}

/* ---- what comes out */

static struct mix_estimate estimate(size_t n, const double *value)
{
    double mean = 0, square = 0;
    for (size_t i = 0; i < n; i++)
        mean += value[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        square += (value[i] - mean) * (value[i] - mean);
    return (struct mix_estimate){mean, sqrt(square / (double)(n - 1) / (double)n)};
}

static size_t count_seen(const struct proposing *p, const struct mix_data *data,
                         const struct mix_next_run *run, const double *mixture)
{
    size_t n = 0;
    for (size_t r = 0; r < data->n_rows; r++)
        n += fabs(1e6 * data->n_params[r] / run->n_params - 1) <= SAME_SCALE &&
             fabs(1e9 * data->n_tokens[r] / run->n_tokens - 1) <= SAME_SCALE &&
             distance(data->mixture + r * p->n_domains, mixture, p->n_domains) <= SAME_MIXTURE;
    return n;
}

static struct mix_next *make_next(size_t n_domains, size_t n_runs)
{
    struct mix_next *next = calloc(1, sizeof *next);
    if (!next)
        return NULL;
    next->n_domains = n_domains;
    next->n_runs = n_runs;
    next->domains = calloc(n_domains, sizeof *next->domains);
    next->runs = calloc(n_runs + 1, sizeof *next->runs);
    next->mixture = calloc((n_runs + 1) * n_domains, sizeof *next->mixture);
    if (next->domains && next->runs && next->mixture)
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
    free(next);
}

/* Rank 0. */
static enum mix_status conclude(struct proposing *p, const struct mix_data *data,
                                const struct batch *batch, double *regret, double *before,
                                struct mix_next **out, struct mix_error *err)
{
    const size_t k = p->n_domains;
    struct mix_next *next = make_next(k, batch->n);
    if (!next)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a batch of runs");
    memcpy(next->domains, p->fit->domains, k * sizeof *next->domains);
    next->n_draws = p->n_draws;
    next->n_candidates = p->ask.n_candidates;
    next->n_decisions = p->ask.n_decisions;
    for (size_t m = 0; m < p->n_targets; m++)
        next->noise += p->weight[m] * p->weight[m] * p->noise[m] * p->noise[m];
    next->noise = sqrt(next->noise);
    mix_belief_reset(p->belief);
    mix_belief_regret(p->belief, before);
    next->before = next->after = estimate(p->n_draws, before);
    for (size_t i = 0; i < batch->n; i++) {
        struct mix_next_run *run = &next->runs[i];
        const size_t c = batch->candidate[i];
        const struct mix_next_scale *scale = &p->ask.scale[p->of_scale[c]];
        const enum mix_status status = mix_belief_measure(p->belief, c, err);
        if (status != MIX_OK) {
            mix_next_destroy(next);
            return status;
        }
        memcpy(next->mixture + i * k, p->mixture + p->of_mixture[c] * k, k * sizeof *p->mixture);
        run->n_params = scale->n_params;
        run->n_tokens = scale->n_tokens;
        run->flops = cost_of(scale);
        run->n_seen = count_seen(p, data, run, next->mixture + i * k);
        mix_belief_regret(p->belief, regret);
        run->regret = next->after = estimate(p->n_draws, regret);
        next->flops += run->flops;
    }
    for (size_t d = 0; d < p->n_draws; d++)
        before[d] -= batch->n > 0 ? regret[d] : before[d];
    next->reduction = estimate(p->n_draws, before);
    next->pays = next->reduction.value > fmax(2 * next->reduction.se, WORTH * next->noise);
    *out = next;
    return MIX_OK;
}

static enum mix_status propose(struct proposing *p, const struct mix_table *table,
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
        status = choose(p, &batch, regret, err);
    if (status == MIX_OK && p->is_first)
        status = mix_table_select(table, &p->fit->selection, &data, err);
    if (status == MIX_OK && p->is_first)
        status = conclude(p, data, &batch, regret, regret + p->n_draws, out, err);
    mix_data_destroy(data);
    free(regret);
    free(batch.candidate);
    return status;
}

/* ---- the whole */

static enum mix_status allocate(struct proposing *p, struct mix_error *err)
{
    const size_t k = p->n_domains, n = p->options->n_mixtures;
    p->mixture = calloc(n * k, sizeof *p->mixture);
    p->decision = calloc(DECISIONS_MAX * k, sizeof *p->decision);
    p->of_mixture = calloc(n * SCALES_MAX, sizeof *p->of_mixture);
    p->of_scale = calloc(n * SCALES_MAX, sizeof *p->of_scale);
    p->weight = calloc(p->n_targets, sizeof *p->weight);
    p->noise = calloc(p->n_targets, sizeof *p->noise);
    p->draw = calloc(p->draws->n_draws + 1, sizeof *p->draw);
    if (!p->mixture || !p->decision || !p->of_mixture || !p->of_scale || !p->weight || !p->noise ||
        !p->draw)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu mixtures", n);
    for (size_t b = 0; b < p->draws->n_draws; b++)
        if (p->draws->done[b] && isfinite(p->draws->objective[b]))
            p->draw[p->n_known++] = b;
    return MIX_OK;
}

static void clear(struct proposing *p)
{
    free(p->mixture);
    free(p->decision);
    free(p->of_mixture);
    free(p->of_scale);
    free(p->weight);
    free(p->noise);
    free(p->draw);
    free(p->records);
    mix_model_destroy(p->model);
    free(p->rows);
    free(p->row_params);
    free(p->row_tokens);
    free(p->row_loss);
    free(p->loss);
    free(p->goal);
    mix_belief_destroy(p->belief);
    free(p->prospect);
    free(p->left_out);
}

static void share_lists(struct proposing *p)
{
    const size_t k = p->n_domains;
    mix_ranks_broadcast(p->ranks, &p->ask, sizeof p->ask);
    mix_ranks_broadcast(p->ranks, p->mixture, p->ask.n_mixtures * k * sizeof *p->mixture);
    mix_ranks_broadcast(p->ranks, p->decision, p->ask.n_decisions * k * sizeof *p->decision);
    mix_ranks_broadcast(p->ranks, p->of_mixture, p->ask.n_candidates * sizeof *p->of_mixture);
    mix_ranks_broadcast(p->ranks, p->of_scale, p->ask.n_candidates * sizeof *p->of_scale);
    mix_ranks_broadcast(p->ranks, p->weight, p->n_targets * sizeof *p->weight);
    mix_ranks_broadcast(p->ranks, p->noise, p->n_targets * sizeof *p->noise);
}

enum mix_status mix_next_propose(struct mix_ranks *ranks, const struct mix_table *table,
                                 const struct mix_fit *fit, const struct mix_draws *draws,
                                 const struct mix_optimum *optimum,
                                 const struct mix_next_options *options, mix_progress_fn progress,
                                 void *progress_context, struct mix_next **out,
                                 struct mix_error *err)
{
    struct proposing p = {.ranks = ranks,
                          .is_first = mix_ranks_rank(ranks) == 0,
                          .fit = fit,
                          .draws = draws,
                          .options = options,
                          .n_domains = fit->spec.n_domains,
                          .n_targets = fit->spec.n_targets};
    *out = NULL;
    enum mix_status status = allocate(&p, err);
    if (status == MIX_OK && p.is_first)
        status = make_lists(&p, table, optimum, err);
    status = mix_ranks_agree(ranks, status, err);
    if (status == MIX_OK) {
        share_lists(&p);
        status = mix_ranks_agree(ranks, lay_out(&p, err), err);
    }
    const struct mix_stage stage = {.name = "next",
                                    .n_tasks = p.n_known,
                                    .record_bytes = p.width * sizeof(double),
                                    .run = ask_draw,
                                    .context = &p,
                                    .records = (uint8_t *)p.records,
                                    .progress = progress,
                                    .progress_context = progress_context};
    if (status == MIX_OK)
        status = mix_stage_run(ranks, &stage, err);
    if (status == MIX_OK)
        status = share_answers(&p, err);
    if (status == MIX_OK)
        status = propose(&p, table, out, err);
    status = mix_ranks_agree(ranks, status, err);
    clear(&p);
    return status;
}
