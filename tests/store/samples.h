/* SPDX-License-Identifier: GPL-3.0-or-later */
/* samples.h - tables, fits, draws and optima with every field set, and their comparison. */
#ifndef MIXSWEEP_TESTS_SAMPLES_H
#define MIXSWEEP_TESTS_SAMPLES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those four first. */
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/store.h"

/* Numbers without a pattern, with a NaN of its own bits and a signed zero now and then. */
static inline double sample_number(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    const uint64_t draw = *state >> 33;
    if (draw % 11 == 0) {
        const uint64_t bits = 0x7ff8000000000000u | draw;
        double nan;
        memcpy(&nan, &bits, sizeof nan);
        return nan;
    }
    return draw % 13 == 0 ? -0.0 : ldexp((double)draw + 1.0 / 3.0, (int)(draw % 40) - 20);
}

static inline void sample_numbers(double *values, size_t n, uint64_t *state)
{
    for (size_t i = 0; i < n; i++)
        values[i] = sample_number(state);
}

static inline void sample_run(struct mix_run *run, size_t row)
{
    snprintf(run->run, sizeof run->run, "läuf-%zu, \"quoted\"", row);
    snprintf(run->recipe, sizeof run->recipe, row % 2 ? "" : "recipe");
    snprintf(run->schedule, sizeof run->schedule, "cosine");
    snprintf(run->host, sizeof run->host, "node%zu", row);
    run->n_params = 1e6 * (double)(1 + row);
    run->n_tokens = 1e9;
    run->seed = UINT64_MAX - row;
    run->attempts = (int32_t)row;
    run->exit_code = -9;
    run->rank = 3;
    run->wall_s = 0.1;
    run->started = 1.7e9 + 0.25;
    run->excluded = row % 3 == 0;
    if (run->excluded)
        snprintf(run->reason, sizeof run->reason, "loss spike");
}

/* Finished and sorted, with rows that differ. */
static inline struct mix_table *sample_table(size_t n_rows, size_t n_domains, size_t n_targets)
{
    struct mix_table *table = mix_table_create(n_domains, n_targets);
    assert_non_null(table);
    uint64_t state = 1;
    for (size_t k = 0; k < n_domains; k++) {
        snprintf(table->domains[k].name, MIX_NAME_MAX, "domain%zu", k);
        table->domains[k].supply_tokens = sample_number(&state);
    }
    for (size_t m = 0; m < n_targets; m++)
        snprintf(table->targets[m].name, MIX_NAME_MAX, m % 2 ? "domain%zu" : "target%zu", m);
    mix_table_link_targets(table);
    for (size_t r = 0; r < n_rows; r++) {
        assert_int_equal(mix_table_append(table), r);
        sample_run(&table->runs[r], r);
        double rest = 1.0;
        for (size_t k = 0; k + 1 < n_domains; k++) {
            table->mixture[r * n_domains + k] = rest * 0.5 / (double)(r % 5 + 1);
            rest -= table->mixture[r * n_domains + k];
        }
        table->mixture[r * n_domains + n_domains - 1] = rest;
        memcpy(table->asked + r * n_domains, table->mixture + r * n_domains,
               n_domains * sizeof(double));
        sample_numbers(table->epochs + r * n_domains, n_domains, &state);
        sample_numbers(table->loss + r * n_targets, n_targets, &state);
        if (r % 2) {
            table->metadata[r] = strdup("{\"note\": \"größer\", \"longer\": [1, 2, 3]}");
            assert_non_null(table->metadata[r]);
        }
    }
    struct mix_error err = {""};
    assert_int_equal(mix_table_finish(table, &err), MIX_OK);
    assert_int_equal(mix_table_sort(table, &err), MIX_OK);
    return table;
}

static inline void sample_metrics(struct mix_metrics *metrics, size_t n, uint64_t *state)
{
    for (size_t i = 0; i < n; i++) {
        metrics[i].n = i + 5;
        metrics[i].n_left_out = i;
        sample_numbers(&metrics[i].mse, 8, state);
    }
}

static inline struct mix_fit *sample_fit(const char *name, size_t n_starts, size_t n_holdouts)
{
    enum { K = 3, M = 4, P = 6 };
    const size_t n_optima = n_starts > 0 ? 2 : 0;
    uint64_t state = 7;
    struct mix_fit *fit = mix_fit_create(K, M, P, n_starts, n_optima);
    assert_non_null(fit);
    snprintf(fit->name, sizeof fit->name, "%s", name);
    snprintf(fit->spec.law, sizeof fit->spec.law, "transfer+repetition");
    fit->spec.form = 3;
    fit->spec.has_size_term = 1;
    fit->spec.n_min = 122.0;
    fit->spec.h_min = 1e-4;
    snprintf(fit->selection.where, MIX_TEXT_MAX, "n_params<=680e6");
    snprintf(fit->selection.targets, MIX_TEXT_MAX, "domains");
    fit->selection.checkpoints = MIX_CHECKPOINTS_ALL;
    fit->selection.mask_below = 0.1;
    snprintf(fit->holdout_option, MIX_KIND_MAX, "auto");
    fit->seed = UINT64_MAX;
    fit->table_key = (struct mix_key){0x0123456789abcdefu, UINT64_MAX};
    fit->n_rows = 60;
    fit->n_fitted = 420;
    fit->n_clusters = 20;
    for (size_t k = 0; k < K; k++)
        snprintf(fit->domains[k], MIX_NAME_MAX, "domain%zu", k);
    for (size_t m = 0; m < M; m++) {
        snprintf(fit->targets[m], MIX_NAME_MAX, "target%zu", m);
        fit->target_domain[m] = m < K ? (int32_t)m : -1;
    }
    for (size_t p = 0; p < P; p++) {
        snprintf(fit->param_names[p], 2 * MIX_NAME_MAX, "c[domain%zu]", p);
        snprintf(fit->param_units[p], MIX_UNIT_MAX, p % 2 ? "" : "nats/token");
        fit->param_state[p] = (uint8_t)(p % 3);
    }
    sample_numbers(fit->target_weight, M, &state);
    sample_numbers(fit->params, P, &state);
    sample_numbers(fit->std_error, P, &state);
    sample_numbers(fit->covariance, (size_t)P * P, &state);
    sample_numbers(fit->start_objective, n_starts, &state);
    sample_numbers(fit->optima, n_optima * P, &state);
    sample_numbers(fit->seen_max, K, &state);
    sample_numbers(fit->supply, K, &state);
    sample_metrics(&fit->train, 1, &state);
    sample_metrics(fit->train_by_target, M, &state);
    fit->objective = 1.771e-4;
    fit->n_at_best = n_starts / 2;
    fit->n_holdouts = n_holdouts;
    for (size_t h = 0; h < n_holdouts; h++) {
        snprintf(fit->holdouts[h].kind, MIX_KIND_MAX, "scale %zuM", h);
        sample_metrics(&fit->holdouts[h].law, 1, &state);
        sample_metrics(fit->holdouts[h].floor, MIX_FLOORS, &state);
    }
    if (n_holdouts > 0) {
        fit->holdout_by_target = calloc(M, sizeof *fit->holdout_by_target);
        assert_non_null(fit->holdout_by_target);
        sample_metrics(fit->holdout_by_target, M, &state);
        fit->scale_error = 0.0046;
        assert_true(mix_fit_hold(fit, 1) && mix_fit_hold(fit, 5));
        for (size_t i = 0; i < fit->n_held; i++) {
            fit->held_out[i] = (int32_t)(i % n_holdouts);
            fit->held_key[i] = (struct mix_key){i, ~i};
        }
        sample_numbers(fit->held_n_params, fit->n_held, &state);
        sample_numbers(fit->held_loss, fit->n_held * M, &state);
        sample_numbers(fit->held_predicted, fit->n_held * M, &state);
    }
    fit->max_n_params = 680e6;
    fit->max_n_tokens = 9.998e9;
    snprintf(fit->warnings, sizeof fit->warnings, "a[wiki] sits on its bound\nb is not identified");
    return fit;
}

static inline struct mix_draws *sample_draws(const struct mix_fit *fit, size_t n_draws)
{
    uint64_t state = 11;
    struct mix_draws *draws = mix_draws_create(n_draws, fit->n_params);
    assert_non_null(draws);
    snprintf(draws->fit, sizeof draws->fit, "%s", fit->name);
    draws->fit_key = mix_fit_key(fit);
    draws->seed = 5;
    draws->cluster_run = 1;
    for (size_t b = 0; b < n_draws; b++)
        draws->done[b] = b % 3 != 2;
    sample_numbers(draws->objective, n_draws, &state);
    sample_numbers(draws->params, n_draws * fit->n_params, &state);
    return draws;
}

static inline struct mix_optimum *sample_optimum(const char *name, size_t n_draws)
{
    enum { K = 3, M = 4 };
    uint64_t state = 13;
    struct mix_optimum *o = mix_optimum_create(K, M, n_draws);
    assert_non_null(o);
    snprintf(o->name, sizeof o->name, "%s", name);
    snprintf(o->fit, sizeof o->fit, "transfer");
    snprintf(o->law, sizeof o->law, "transfer");
    snprintf(o->baseline_name, sizeof o->baseline_name, "prior");
    o->fit_key = (struct mix_key){1, 2};
    for (size_t k = 0; k < K; k++) {
        snprintf(o->domains[k], MIX_NAME_MAX, "domain%zu", k);
        o->binding[k] = (uint8_t)k;
    }
    for (size_t m = 0; m < M; m++)
        snprintf(o->targets[m], MIX_NAME_MAX, "target%zu", m);
    double *const shares[] = {o->lower,      o->upper,         o->prior,   o->baseline,
                              o->seen_max,   o->best_observed, o->mixture, o->mixture_lo,
                              o->mixture_hi, o->tied};
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++)
        sample_numbers(shares[i], K, &state);
    sample_numbers(o->weight, M, &state);
    sample_numbers(&o->n_params, 3, &state); /* with n_tokens and level */
    sample_numbers(&o->objective.value, 3, &state);
    sample_numbers(&o->objective_wide.value, 3, &state);
    sample_numbers(&o->loss[0].value, (size_t)3 * M, &state);
    sample_numbers(&o->gain[0].value, (size_t)3 * MIX_GAINS, &state);
    sample_numbers(o->p_better, MIX_GAINS, &state);
    sample_numbers(&o->tied_loss, 1, &state);
    sample_numbers(&o->kkt, 1, &state);
    o->n_starts = 32;
    o->n_at_best = 31;
    sample_numbers(&o->hull_distance, 3, &state); /* with the extrapolation factors */
    if (n_draws > 0)
        sample_numbers(o->draw_mixture, n_draws * K, &state);
    snprintf(o->question, sizeof o->question, "objective worst; path");
    o->goal = MIX_GOAL_WORST;
    o->near = MIX_DISTANCE_KL;
    o->lattice = 2048;
    double *const later[] = {o->supply,          o->limit,           o->price,
                             o->lattice_mixture, o->supply_price,    o->fresh_mixture,
                             o->mixture_wide_lo, o->mixture_wide_hi, o->mixture_bca_lo,
                             o->mixture_bca_hi,  o->tied_lo,         o->tied_hi};
    sample_numbers(&o->objective_bca.value, 3, &state);
    sample_numbers(&o->seed_error, 3, &state); /* with those of law and scale */
    sample_numbers(&o->fit_error, 1, &state);
    sample_numbers(o->not_worse, MIX_GAINS, &state);
    for (size_t m = 0; m < M; m++)
        o->loss_wide[m].lo = o->loss_bca[m].hi = 0.1 * (double)m;
    for (size_t g = 0; g < MIX_GAINS; g++)
        o->gain_wide[g].hi = o->gain_bca[g].lo = 0.2 * (double)g;
    for (size_t i = 0; i < sizeof later / sizeof *later; i++)
        sample_numbers(later[i], K, &state);
    sample_numbers(o->guard_price, M, &state);
    sample_numbers(o->baseline_loss, M, &state);
    sample_numbers(&o->near_radius, 3, &state); /* with the price and gain_bias */
    sample_numbers(&o->r1, 1, &state);
    sample_numbers(&o->fresh_expected, 2, &state); /* with fresh_value */
    assert_true(mix_optimum_add_path(o, 2));
    sample_numbers(o->path_n_params, 2, &state);
    sample_numbers(o->path_n_tokens, 2, &state);
    sample_numbers(o->path_value, 2, &state);
    sample_numbers(o->path_mixture, (size_t)2 * K, &state);
    sample_numbers(o->gain_error, MIX_GAINS, &state);
    sample_numbers(o->p_better_wide, MIX_GAINS, &state);
    return o;
}

static inline void assert_table_equal(const struct mix_table *a, const struct mix_table *b)
{
    assert_int_equal(a->n_rows, b->n_rows);
    assert_int_equal(a->n_domains, b->n_domains);
    assert_int_equal(a->n_targets, b->n_targets);
    const size_t rk = a->n_rows * a->n_domains * sizeof(double);
    const size_t rm = a->n_rows * a->n_targets * sizeof(double);
    assert_memory_equal(a->domains, b->domains, a->n_domains * sizeof *a->domains);
    assert_memory_equal(a->targets, b->targets, a->n_targets * sizeof *a->targets);
    assert_memory_equal(a->runs, b->runs, a->n_rows * sizeof *a->runs);
    assert_memory_equal(a->asked, b->asked, rk);
    assert_memory_equal(a->mixture, b->mixture, rk);
    assert_memory_equal(a->epochs, b->epochs, rk);
    assert_memory_equal(a->loss, b->loss, rm);
    assert_memory_equal(a->loss_se, b->loss_se, rm);
    for (size_t r = 0; r < a->n_rows; r++) {
        assert_int_equal(a->metadata[r] == NULL, b->metadata[r] == NULL);
        if (a->metadata[r] != NULL)
            assert_string_equal(a->metadata[r], b->metadata[r]);
    }
}

/* Scalars of a struct lie side by side: compare all but the pointers, then what they point to. */
#define SAMPLE_ARRAY(a, b, member, n)                                                              \
    do {                                                                                           \
        assert_memory_equal((a)->member, (b)->member, (n) * sizeof *(a)->member);                  \
        left.member = NULL;                                                                        \
        right.member = NULL;                                                                       \
    } while (0)

static inline void assert_fit_equal(const struct mix_fit *a, const struct mix_fit *b)
{
    assert_int_equal(a->spec.n_domains, b->spec.n_domains);
    assert_int_equal(a->spec.n_targets, b->spec.n_targets);
    assert_int_equal(a->n_params, b->n_params);
    assert_int_equal(a->n_starts, b->n_starts);
    assert_int_equal(a->n_optima, b->n_optima);
    assert_int_equal(a->holdout_by_target == NULL, b->holdout_by_target == NULL);
    struct mix_fit left, right;
    memcpy(&left, a, sizeof left);
    memcpy(&right, b, sizeof right);
    const size_t n_domains = a->spec.n_domains, n_targets = a->spec.n_targets, p = a->n_params;
    SAMPLE_ARRAY(a, b, domains, n_domains);
    SAMPLE_ARRAY(a, b, targets, n_targets);
    SAMPLE_ARRAY(a, b, target_domain, n_targets);
    SAMPLE_ARRAY(a, b, target_weight, n_targets);
    SAMPLE_ARRAY(a, b, target_size, n_targets);
    SAMPLE_ARRAY(a, b, link, n_targets);
    SAMPLE_ARRAY(a, b, param_names, p);
    SAMPLE_ARRAY(a, b, param_units, p);
    SAMPLE_ARRAY(a, b, params, p);
    SAMPLE_ARRAY(a, b, std_error, p);
    SAMPLE_ARRAY(a, b, covariance, p * p);
    SAMPLE_ARRAY(a, b, param_state, p);
    SAMPLE_ARRAY(a, b, start_objective, a->n_starts);
    SAMPLE_ARRAY(a, b, optima, a->n_optima * p);
    SAMPLE_ARRAY(a, b, train_by_target, n_targets);
    if (a->holdout_by_target != NULL)
        SAMPLE_ARRAY(a, b, holdout_by_target, n_targets);
    assert_int_equal(a->n_held, b->n_held);
    if (a->n_held > 0) {
        SAMPLE_ARRAY(a, b, held_out, a->n_held);
        SAMPLE_ARRAY(a, b, held_key, a->n_held);
        SAMPLE_ARRAY(a, b, held_n_params, a->n_held);
        SAMPLE_ARRAY(a, b, held_loss, a->n_held * n_targets);
        SAMPLE_ARRAY(a, b, held_predicted, a->n_held * n_targets);
    }
    SAMPLE_ARRAY(a, b, seen_max, n_domains);
    SAMPLE_ARRAY(a, b, supply, n_domains);
    assert_memory_equal(&left, &right, sizeof left);
}

static inline void assert_draws_equal(const struct mix_draws *a, const struct mix_draws *b)
{
    assert_int_equal(a->n_draws, b->n_draws);
    assert_int_equal(a->n_params, b->n_params);
    struct mix_draws left, right;
    memcpy(&left, a, sizeof left);
    memcpy(&right, b, sizeof right);
    SAMPLE_ARRAY(a, b, objective, a->n_draws);
    SAMPLE_ARRAY(a, b, params, a->n_draws * a->n_params);
    SAMPLE_ARRAY(a, b, done, a->n_draws);
    SAMPLE_ARRAY(a, b, left, a->n_left * a->n_params);
    SAMPLE_ARRAY(a, b, left_done, a->n_left);
    SAMPLE_ARRAY(a, b, origins, a->n_origins);
    assert_memory_equal(&left, &right, sizeof left);
}

static inline void assert_optimum_equal(const struct mix_optimum *a, const struct mix_optimum *b)
{
    assert_int_equal(a->n_domains, b->n_domains);
    assert_int_equal(a->n_targets, b->n_targets);
    assert_int_equal(a->n_draws, b->n_draws);
    assert_int_equal(a->draw_mixture == NULL, b->draw_mixture == NULL);
    struct mix_optimum left, right;
    memcpy(&left, a, sizeof left);
    memcpy(&right, b, sizeof right);
    const size_t k = a->n_domains, m = a->n_targets;
    SAMPLE_ARRAY(a, b, domains, k);
    SAMPLE_ARRAY(a, b, targets, m);
    SAMPLE_ARRAY(a, b, weight, m);
    SAMPLE_ARRAY(a, b, lower, k);
    SAMPLE_ARRAY(a, b, upper, k);
    SAMPLE_ARRAY(a, b, prior, k);
    SAMPLE_ARRAY(a, b, baseline, k);
    SAMPLE_ARRAY(a, b, seen_max, k);
    SAMPLE_ARRAY(a, b, best_observed, k);
    SAMPLE_ARRAY(a, b, mixture, k);
    SAMPLE_ARRAY(a, b, mixture_lo, k);
    SAMPLE_ARRAY(a, b, mixture_hi, k);
    SAMPLE_ARRAY(a, b, tied, k);
    SAMPLE_ARRAY(a, b, binding, k);
    SAMPLE_ARRAY(a, b, loss, m);
    SAMPLE_ARRAY(a, b, supply, k);
    SAMPLE_ARRAY(a, b, limit, k);
    SAMPLE_ARRAY(a, b, price, k);
    SAMPLE_ARRAY(a, b, guard, m);
    SAMPLE_ARRAY(a, b, guard_price, m);
    SAMPLE_ARRAY(a, b, baseline_loss, m);
    SAMPLE_ARRAY(a, b, lattice_mixture, k);
    SAMPLE_ARRAY(a, b, supply_price, k);
    SAMPLE_ARRAY(a, b, fresh_mixture, k);
    SAMPLE_ARRAY(a, b, mixture_wide_lo, k);
    SAMPLE_ARRAY(a, b, mixture_wide_hi, k);
    SAMPLE_ARRAY(a, b, mixture_bca_lo, k);
    SAMPLE_ARRAY(a, b, mixture_bca_hi, k);
    SAMPLE_ARRAY(a, b, tied_lo, k);
    SAMPLE_ARRAY(a, b, tied_hi, k);
    SAMPLE_ARRAY(a, b, loss_wide, m);
    SAMPLE_ARRAY(a, b, loss_bca, m);
    SAMPLE_ARRAY(a, b, path_n_params, a->n_path);
    SAMPLE_ARRAY(a, b, path_n_tokens, a->n_path);
    SAMPLE_ARRAY(a, b, path_value, a->n_path);
    SAMPLE_ARRAY(a, b, path_mixture, a->n_path * k);
    if (a->draw_mixture != NULL)
        SAMPLE_ARRAY(a, b, draw_mixture, a->n_draws * k);
    assert_memory_equal(&left, &right, sizeof left);
}

/* Two groups, three points, two rounds; every number set, rows sorted. */
static inline struct mix_online *sample_online(const char *name, size_t n_runs)
{
    uint64_t state = 5;
    struct mix_online *online = mix_online_create(name, 2, 3, 2);
    assert_non_null(online);
    snprintf(online->trainer, sizeof online->trainer, "embedded");
    online->options = mix_key_make(1, "options", name, strlen(name));
    online->n_steps = 500;
    snprintf(online->groups[0], MIX_NAME_MAX, "web");
    snprintf(online->groups[1], MIX_NAME_MAX, "läuf");
    for (size_t i = 0; i < n_runs; i++) {
        const size_t row = mix_online_append(online);
        assert_int_equal(row, i);
        struct mix_online_run *run = &online->runs[row];
        run->key = mix_key_make(i, "run", NULL, 0);
        snprintf(run->setting, sizeof run->setting, "web+läuf");
        snprintf(run->method, sizeof run->method, i % 2 ? "aioli" : "");
        snprintf(run->after, sizeof run->after, i % 4 == 3 ? "grid" : "");
        run->role = i % 2 ? MIX_ONLINE_FINAL : MIX_ONLINE_STATIC;
        run->restricted = i % 4 == 3;
        run->diverged = i % 5 == 4;
        run->seed = i;
        run->n_steps = 500 + i;
        run->extra_steps = i;
        run->n_evaluations = 7 * i;
        run->mixer_s = 1e-6;
        run->train_s = 2.5;
        run->measure_s = 0.25;
        double *const pairs[] = {online->mixture, online->loss_start, online->loss_end,
                                 online->test, online->test_se};
        for (size_t c = 0; c < sizeof pairs / sizeof pairs[0]; c++)
            sample_numbers(pairs[c] + row * 2, 2, &state);
        sample_numbers(online->point_step + row * 3, 3, &state);
        sample_numbers(online->point_mixture + row * 6, 6, &state);
        sample_numbers(online->point_loss + row * 6, 6, &state);
        sample_numbers(online->round_step + row * 2, 2, &state);
        sample_numbers(online->round_mixture + row * 4, 4, &state);
        sample_numbers(online->matrix + row * 8, 8, &state);
    }
    assert_int_equal(mix_online_sort(online, NULL), MIX_OK);
    return online;
}

static inline void compare_online(const struct mix_online *a, const struct mix_online *b)
{
    assert_string_equal(a->name, b->name);
    assert_string_equal(a->trainer, b->trainer);
    assert_memory_equal(&a->options, &b->options, sizeof a->options);
    assert_int_equal(a->n_steps, b->n_steps);
    assert_int_equal(a->n_runs, b->n_runs);
    assert_int_equal(a->n_groups, b->n_groups);
    assert_int_equal(a->n_points, b->n_points);
    assert_int_equal(a->n_rounds, b->n_rounds);
    assert_memory_equal(a->groups, b->groups, a->n_groups * sizeof *a->groups);
    const size_t n_bytes = mix_online_record_bytes(a->n_groups, a->n_points, a->n_rounds);
    void *left = malloc(n_bytes), *right = malloc(n_bytes);
    assert_true(left != NULL && right != NULL);
    for (size_t i = 0; i < a->n_runs; i++) {
        mix_online_pack(a, i, left);
        mix_online_pack(b, i, right);
        assert_memory_equal(left, right, n_bytes);
    }
    free(left);
    free(right);
}

#endif
