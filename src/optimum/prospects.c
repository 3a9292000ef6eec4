/* SPDX-License-Identifier: GPL-3.0-or-later */
/* prospects.c - what every draw says of candidates and decisions, and what the belief makes of it.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "optimum/next_impl.h"

static const double SILENT = 0.1; /* of the draws */
static const double WILD =
    5; /* interquartile ranges, and scatters of a loss, beyond the quartiles */

/* Draws by counts leave each run, be it the only one of its kind, out of e^-1 of them, which know
 * less than the fit then: in 112 rounds of simulated worlds the fall of regret that they expect is
 * 1.86 times the true one, that of draws by Dirichlet weights 1.00 times. (On linear models that
 * have many parameters see El Karoui & Purdom, J. Mach. Learn. Res. 19 (2018) 5.) */
static const double COUNTS_EXPECT = 0.5;

/* ---- every draw's answer */

static enum mix_status lay_out(struct mix_proposing *p, struct mix_error *err)
{
    const struct mix_next_question *ask = &p->ask;
    const size_t n = ask->n_candidates + ask->n_decisions + 1, k = p->n_domains;
    p->width = 1 + ask->n_candidates * p->n_targets + ask->n_decisions;
    p->rows = calloc(n * k, sizeof *p->rows);
    p->row_params = calloc(n, sizeof *p->row_params);
    p->row_tokens = calloc(n, sizeof *p->row_tokens);
    p->row_unique = calloc(n * k, sizeof *p->row_unique);
    p->row_loss = calloc(n * p->n_targets, sizeof *p->row_loss);
    p->prospect = calloc(ask->n_candidates, sizeof *p->prospect);
    p->left_out = calloc(ask->n_candidates, sizeof *p->left_out);
    p->barred = calloc(ask->n_candidates, sizeof *p->barred);
    if (p->is_first)
        p->records = calloc(p->n_known * p->width, sizeof *p->records);
    if (!p->rows || !p->row_params || !p->row_tokens || !p->row_unique || !p->row_loss ||
        !p->prospect || !p->left_out || !p->barred || (p->is_first && !p->records))
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu candidates and %zu draws",
                        ask->n_candidates, p->n_known);
    for (size_t i = 0; i < n; i++) {
        const bool is_decision = i >= ask->n_candidates;
        const double *mixture = i + 1 == n    ? p->baseline
                                : is_decision ? p->decision + (i - ask->n_candidates) * k
                                              : p->mixture + p->of_mixture[i] * k;
        memcpy(p->rows + i * k, mixture, k * sizeof *mixture);
        p->row_params[i] =
            1e-6 * (is_decision ? ask->n_params : ask->scale[p->of_scale[i]].n_params);
        p->row_tokens[i] =
            1e-9 * (is_decision ? ask->n_tokens : ask->scale[p->of_scale[i]].n_tokens);
        const double part = is_decision ? 1 : fmin(1e9 * p->row_tokens[i] / p->match_tokens, 1);
        const double *supply = is_decision ? p->supply : p->run_supply;
        for (size_t j = 0; j < k; j++)
            p->row_unique[i * k + j] = isnan(supply[j]) ? INFINITY : 1e-9 * supply[j] * part;
    }
    return mix_fit_model(p->fit, &p->model, err);
}

/* Losses of the rows [first, last); NaN where the draw's law says nothing there (N < H). */
static enum mix_status predict(struct mix_proposing *p, const double *params, size_t first,
                               size_t last, struct mix_error *err)
{
    struct mix_error reason = {.text = ""};
    const enum mix_status status =
        mix_model_predict_runs(p->model, params, last - first, p->rows + first * p->n_domains,
                               p->row_unique + first * p->n_domains, p->row_params + first,
                               p->row_tokens + first, p->row_loss + first * p->n_targets, &reason);
    for (size_t i = first * p->n_targets; status == MIX_EINVAL && i < last * p->n_targets; i++)
        p->row_loss[i] = NAN;
    return status == MIX_OK || status == MIX_EINVAL ? MIX_OK
                                                    : mix_fail(err, status, "%s", reason.text);
}

/* What an optimum minimises, by the losses (M) of a mixture and of the baseline. */
static double goal_of(const struct mix_proposing *p, const double *loss, const double *baseline)
{
    return mix_goal_value(p->fit, p->ask.goal, p->weight, loss, baseline);
}

/* A draw that says nothing of the target is left out. */
static enum mix_status ask_draw(void *context, size_t task, void *record, struct mix_poll *poll,
                                struct mix_error *err)
{
    struct mix_proposing *p = context;
    double *answer = record;
    const size_t n_candidates = p->ask.n_candidates, m = p->n_targets;
    const double *params = p->draws->params + p->draw[task] * p->draws->n_params;
    enum mix_status status = mix_poll(poll) ? MIX_EINTERRUPTED : MIX_OK;
    for (size_t first = 0, last = 0; status == MIX_OK && first < n_candidates; first = last) {
        while (last < n_candidates && p->of_scale[last] == p->of_scale[first])
            last++;
        status = predict(p, params, first, last, err);
    }
    if (status == MIX_OK)
        status = predict(p, params, n_candidates, n_candidates + p->ask.n_decisions + 1, err);
    if (status != MIX_OK)
        return status;
    answer[0] = 1;
    memcpy(answer + 1, p->row_loss, n_candidates * m * sizeof *answer);
    const double *decided = p->row_loss + n_candidates * m;
    for (size_t c = 0; c < p->ask.n_decisions; c++) {
        double *goal = &answer[1 + n_candidates * m + c];
        *goal = goal_of(p, decided + c * m, decided + p->ask.n_decisions * m);
        if (!isfinite(*goal))
            answer[0] = 0;
    }
    return MIX_OK;
}

double mix_proposing_noise(const struct mix_proposing *p)
{
    const bool is_worst = p->ask.goal == MIX_GOAL_WORST || p->ask.goal == MIX_GOAL_WORST_GAIN;
    double square = 0, most = 0;
    for (size_t m = 0; m < p->n_targets; m++) {
        const double noise = p->unit[m] * p->noise[m];
        square += p->weight[m] * p->weight[m] * noise * noise;
        most = p->weight[m] > 0 ? fmax(most, noise) : most;
    }
    return is_worst ? most : sqrt(square);
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Rank 0: how far values of column `i` may be from what most draws say. */
static void find_reach(const struct mix_proposing *p, size_t i, double *column, double *low,
                       double *high)
{
    const bool is_goal = i > p->ask.n_candidates * p->n_targets;
    const double noise = is_goal ? mix_proposing_noise(p) : p->noise[(i - 1) % p->n_targets];
    size_t n = 0;
    for (size_t d = 0; d < p->n_known; d++)
        if (p->records[d * p->width] != 0)
            column[n++] = p->records[d * p->width + i];
    qsort(column, n, sizeof *column, compare);
    *low = n > 0 ? column[n / 4] : 0;
    *high = n > 0 ? column[n - 1 - n / 4] : 0;
    const double reach = WILD * (*high - *low + noise);
    *low -= reach;
    *high += reach;
}

/* Rank 0: a draw that is far outside what the others say would be all of the covariance, or of the
 * regret: it is brought in. */
static enum mix_status tame(struct mix_proposing *p, struct mix_error *err)
{
    double *column = calloc(p->n_known + 1, sizeof *column), low, high;
    if (!column)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu draws", p->n_known);
    for (size_t i = 1; i < p->width; i++) {
        find_reach(p, i, column, &low, &high);
        for (size_t d = 0; d < p->n_known; d++)
            p->records[d * p->width + i] = fmin(fmax(p->records[d * p->width + i], low), high);
    }
    free(column);
    return MIX_OK;
}

/* Rank 0: a candidate of which many draws say nothing (its scale is too small for them, a domain is
 * missing in it) is not for choice; a draw that says nothing of one of the others is left out. */
static void bar_candidates(struct mix_proposing *p)
{
    const size_t m = p->n_targets;
    for (size_t c = 0; c < p->ask.n_candidates; c++) {
        size_t n_all = 0, n_silent = 0;
        for (int pass = 0; pass < 2; pass++)
            for (size_t d = 0; d < p->n_known; d++) {
                double *record = p->records + d * p->width, *loss = record + 1 + c * m;
                bool speaks = true;
                for (size_t i = 0; i < m; i++)
                    speaks = speaks && isfinite(loss[i]);
                if (pass == 0) {
                    n_all += record[0] != 0;
                    n_silent += record[0] != 0 && !speaks;
                } else if ((double)n_silent > SILENT * (double)n_all) {
                    memset(loss, 0, m * sizeof *loss);
                } else if (!speaks) {
                    record[0] = 0;
                }
            }
        p->barred[c] = (double)n_silent > SILENT * (double)n_all;
    }
}

/* Collective: the answers of draws that have one, on all ranks. */
static enum mix_status share_answers(struct mix_proposing *p, struct mix_error *err)
{
    const size_t n_losses = p->ask.n_candidates * p->n_targets, n_goals = p->ask.n_decisions;
    if (p->is_first)
        bar_candidates(p);
    enum mix_status status = mix_ranks_agree(p->ranks, p->is_first ? tame(p, err) : MIX_OK, err);
    if (status != MIX_OK)
        return status;
    for (size_t d = 0; p->is_first && d < p->n_known; d++)
        p->n_draws += p->records[d * p->width] != 0;
    mix_ranks_broadcast(p->ranks, &p->n_draws, sizeof p->n_draws);
    p->loss = calloc(p->n_draws * n_losses + 1, sizeof *p->loss);
    p->goal = calloc(p->n_draws * n_goals + 1, sizeof *p->goal);
    if (!p->loss || !p->goal)
        status = mix_fail(err, MIX_ENOMEM, "out of memory for %zu draws", p->n_draws);
    else if (p->n_draws < MIX_NEXT_DRAWS_MIN)
        status = mix_fail(
            err, MIX_EINVAL,
            "only %zu of %zu draws of %s say something of the target: at least %d are needed",
            p->n_draws, p->n_known, p->fit->name, MIX_NEXT_DRAWS_MIN);
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
    mix_ranks_broadcast(p->ranks, p->barred, p->ask.n_candidates);
    mix_ranks_broadcast(p->ranks, p->loss, p->n_draws * n_losses * sizeof *p->loss);
    mix_ranks_broadcast(p->ranks, p->goal, p->n_draws * n_goals * sizeof *p->goal);
    status =
        mix_belief_create(p->n_draws, p->ask.n_candidates, p->n_targets, n_goals, p->loss, p->goal,
                          p->noise, p->draws->bayesian ? 1 : COUNTS_EXPECT, &p->belief, err);
    return mix_ranks_agree(p->ranks, status, err);
}
/* ---- scores */

static enum mix_status score(void *context, size_t task, void *record, struct mix_poll *poll,
                             struct mix_error *err)
{
    struct mix_proposing *p = context;
    if (mix_poll(poll))
        return MIX_EINTERRUPTED;
    return mix_belief_prospect(p->belief, task, p->n_seeds[p->of_scale[task]], record, err);
}

enum mix_status mix_proposing_score(struct mix_proposing *p, double flops, struct mix_error *err)
{
    for (size_t c = 0; c < p->ask.n_candidates; c++) {
        const size_t s = p->of_scale[c];
        const double cost = mix_next_cost(&p->ask.scale[s]) * (double)p->n_seeds[s];
        p->left_out[c] = p->barred[c] || p->n_seeds[s] == 0 || cost > flops * (1 + 1e-12);
    }
    const struct mix_stage stage = {.name = "next",
                                    .n_tasks = p->ask.n_candidates,
                                    .record_bytes = sizeof *p->prospect,
                                    .run = score,
                                    .context = p,
                                    .done = p->left_out,
                                    .records = (uint8_t *)p->prospect};
    return mix_stage_run(p->ranks, &stage, err);
}

double mix_proposing_merit(const struct mix_proposing *p, size_t candidate)
{
    const struct mix_prospect *prospect = &p->prospect[candidate];
    switch (p->options->criterion) {
    case MIX_NEXT_VARIANCE:
        return prospect->variance;
    case MIX_NEXT_INFORMATION:
        return prospect->information;
    default:
        return prospect->regret;
    }
}

double mix_proposing_regret(const struct mix_proposing *p, double *regret)
{
    double sum = 0;
    mix_belief_regret(p->belief, regret);
    for (size_t d = 0; d < p->n_draws; d++)
        sum += regret[d];
    return sum / (double)p->n_draws;
}

size_t mix_proposing_best(const struct mix_proposing *p, bool per_flop, double *best)
{
    size_t chosen = SIZE_MAX;
    double most = 0;
    for (size_t c = 0; c < p->ask.n_candidates; c++) {
        if (p->left_out[c])
            continue;
        const size_t s = p->of_scale[c];
        const double merit = mix_proposing_merit(p, c);
        const double cost = mix_next_cost(&p->ask.scale[s]) * (double)p->n_seeds[s];
        const double rate = per_flop ? merit / cost : merit;
        if (rate > most) {
            most = rate;
            *best = merit;
            chosen = c;
        }
    }
    return chosen;
}

struct mix_estimate mix_next_estimate(size_t n, const double *value)
{
    double mean = 0, square = 0;
    for (size_t i = 0; i < n; i++)
        mean += value[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        square += (value[i] - mean) * (value[i] - mean);
    return (struct mix_estimate){mean, sqrt(square / (double)(n - 1) / (double)n)};
}

/* ---- the whole */

static enum mix_status allocate(struct mix_proposing *p, struct mix_error *err)
{
    const struct mix_table *among = p->options->among;
    const size_t k = p->n_domains, n = among ? among->n_rows : p->options->n_mixtures;
    p->mixture = calloc(n * k, sizeof *p->mixture);
    p->decision = calloc(NEXT_DECISIONS_MAX * k, sizeof *p->decision);
    p->of_mixture = calloc(n * NEXT_SCALES_MAX, sizeof *p->of_mixture);
    p->of_scale = calloc(n * NEXT_SCALES_MAX, sizeof *p->of_scale);
    p->weight = calloc(p->n_targets, sizeof *p->weight);
    p->unit = calloc(p->n_targets, sizeof *p->unit);
    p->noise = calloc(p->n_targets, sizeof *p->noise);
    p->draw = calloc(p->draws->n_draws + 1, sizeof *p->draw);
    if (!p->mixture || !p->decision || !p->of_mixture || !p->of_scale || !p->weight || !p->unit ||
        !p->noise || !p->draw)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu mixtures", n);
    for (size_t b = 0; b < p->draws->n_draws; b++)
        if (p->draws->done[b] && isfinite(p->draws->objective[b]))
            p->draw[p->n_known++] = b;
    return MIX_OK;
}

void mix_proposing_close(struct mix_proposing *p)
{
    free(p->mixture);
    free(p->decision);
    free(p->of_mixture);
    free(p->of_scale);
    free(p->weight);
    free(p->unit);
    free(p->noise);
    free(p->draw);
    free(p->records);
    mix_model_destroy(p->model);
    free(p->rows);
    free(p->row_params);
    free(p->row_tokens);
    free(p->row_unique);
    free(p->row_loss);
    free(p->loss);
    free(p->goal);
    mix_belief_destroy(p->belief);
    free(p->prospect);
    free(p->left_out);
    free(p->barred);
}

static void share_lists(struct mix_proposing *p)
{
    const size_t k = p->n_domains;
    mix_ranks_broadcast(p->ranks, &p->ask, sizeof p->ask);
    mix_ranks_broadcast(p->ranks, p->supply, k * sizeof *p->supply);
    mix_ranks_broadcast(p->ranks, p->run_supply, k * sizeof *p->run_supply);
    mix_ranks_broadcast(p->ranks, &p->match_tokens, sizeof p->match_tokens);
    mix_ranks_broadcast(p->ranks, p->mixture, p->ask.n_mixtures * k * sizeof *p->mixture);
    mix_ranks_broadcast(p->ranks, p->decision, p->ask.n_decisions * k * sizeof *p->decision);
    mix_ranks_broadcast(p->ranks, p->of_mixture, p->ask.n_candidates * sizeof *p->of_mixture);
    mix_ranks_broadcast(p->ranks, p->of_scale, p->ask.n_candidates * sizeof *p->of_scale);
    mix_ranks_broadcast(p->ranks, p->weight, p->n_targets * sizeof *p->weight);
    mix_ranks_broadcast(p->ranks, p->unit, p->n_targets * sizeof *p->unit);
    mix_ranks_broadcast(p->ranks, p->noise, p->n_targets * sizeof *p->noise);
    mix_ranks_broadcast(p->ranks, p->baseline, k * sizeof *p->baseline);
}

enum mix_status mix_proposing_open(struct mix_proposing *p, const struct mix_table *table,
                                   const struct mix_optimum *optimum, struct mix_error *err)
{
    p->is_first = mix_ranks_rank(p->ranks) == 0;
    p->n_domains = p->fit->spec.n_domains;
    p->n_targets = p->fit->spec.n_targets;
    for (size_t s = 0; s < NEXT_SCALES_MAX; s++)
        p->n_seeds[s] = 1;
    enum mix_status status = allocate(p, err);
    if (status == MIX_OK && p->is_first)
        status = mix_proposing_list(p, table, optimum, err);
    if (status == MIX_OK && p->is_first) {
        memcpy(p->supply, optimum->supply, p->n_domains * sizeof *p->supply);
        for (size_t j = 0; j < p->n_domains; j++)
            p->run_supply[j] = table->domains[j].supply_tokens;
        p->match_tokens = p->options->match_tokens;
    }
    status = mix_ranks_agree(p->ranks, status, err);
    if (status == MIX_OK) {
        share_lists(p);
        status = mix_ranks_agree(p->ranks, lay_out(p, err), err);
    }
    const struct mix_stage stage = {.name = "next",
                                    .n_tasks = p->n_known,
                                    .record_bytes = p->width * sizeof(double),
                                    .run = ask_draw,
                                    .context = p,
                                    .records = (uint8_t *)p->records,
                                    .progress = p->progress,
                                    .progress_context = p->progress_context};
    if (status == MIX_OK)
        status = mix_stage_run(p->ranks, &stage, err);
    return status == MIX_OK ? share_answers(p, err) : status;
}
