/* SPDX-License-Identifier: GPL-3.0-or-later */
/* online_impl.h - what the methods have in common; see mixsweep/online.h. Private to src/online/
 * and its tests. */
#ifndef MIXSWEEP_ONLINE_ONLINE_IMPL_H
#define MIXSWEEP_ONLINE_ONLINE_IMPL_H

#include "mixsweep/online.h"

extern const struct mix_method mix_method_stratified, mix_method_grid, mix_method_dml,
    mix_method_skillit, mix_method_doremi, mix_method_doge, mix_method_aioli,
    mix_method_aioli_diagonal, mix_method_aioli_static, mix_method_aioli_ema,
    mix_method_aioli_released, mix_method_aioli_raw, mix_method_agent;

/** p_j = 1 / m. */
void online_uniform(size_t m, double *p);

/** Steps that a dynamic method has for itself: without the initial ones. */
uint64_t online_own_steps(const struct mix_mixer *mixer);

/** Length of piece i when n_steps are cut into n_pieces as even as can be; they sum to n_steps. */
uint64_t online_piece(uint64_t n_steps, size_t n_pieces, size_t i);

/** Steps of each of n_runs runs within the budget of the setup: S, or a share of the budget. */
uint64_t online_run_steps(const struct mix_method_setup *setup, size_t n_runs);

/** The space-filling sweep of static mixtures that grid and dml share: a plan, and its steps. */
size_t online_sweep(const struct mix_method_setup *setup, struct mix_static_run *runs);
uint64_t online_sweep_steps(const struct mix_method_setup *setup);

/** D(:,j) += before - after. */
void online_add_drops(size_t m, size_t j, const double *before, const double *after, double *drops);

/** Where p is to be perturbed towards group j: (1 - e) one-hot j + e / m. */
void online_perturbed(size_t m, double smoothing, size_t j, double *p);

/** What a proxy run of doremi and doge keeps: group weights alpha and their mean over steps. The
 * first member of the state of both. */
struct online_proxy {
    bool begun;       /* the measurement before the first step was asked for */
    uint64_t n_steps; /* that the sum is of */
    double *sum;      /* (m) of alpha over steps */
    double *exponent; /* (m) scratch */
};

/** Make a proxy run; mixer->mixture is its alpha. */
enum mix_status online_proxy_create(struct mix_mixer *mixer, struct mix_error *err);
void online_proxy_destroy(struct mix_mixer *mixer);

/** The next stretch of a proxy run: groups sampled evenly, losses weighted by m alpha, `measure` at
 * its end unless it is the last. */
bool online_proxy_next(struct mix_mixer *mixer, unsigned measure, struct mix_segment *segment);

/** alpha_j <- alpha_j exp(exponent_j) / sum, then (1 - c) alpha + c / m, for each step until the
 * next update. */
void online_proxy_update(struct mix_mixer *mixer, double smoothing);

/** The mean of alpha over the steps of the proxy run. */
enum mix_status online_proxy_result(struct mix_mixer *mixer, double *mixture,
                                    struct mix_error *err);

#endif
