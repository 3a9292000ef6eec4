/* SPDX-License-Identifier: GPL-3.0-or-later */
/* belief.h - what draws say together of losses that are not measured yet: a normal belief that
 * measurements sharpen. Private to src/optimum/ and its tests.
 *
 * Columns are candidates' losses (M each), then the objective of the decisions; their covariance
 * over the draws is the belief. Near an optimum the regret of a decision is quadratic in the error
 * of what it was made by. So it falls as the variance falls of the objective's differences from the
 * first decision; a decision that lies a step away from the first has a variance of the square of
 * this step, and regret is made of steps: differences are averaged in units of the square root of
 * their variance before any measurement.
 */
#ifndef MIXSWEEP_OPTIMUM_BELIEF_H
#define MIXSWEEP_OPTIMUM_BELIEF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mixsweep/next.h"

struct mix_belief;

/** What one more measurement would give. */
struct mix_prospect {
    double regret;      /* fall of the mean expected regret */
    double variance;    /* mean fall of the variance of decision differences */
    double information; /* nats about the law */
};

/**
 * Copy what the draws predict.
 *
 * @param loss   (n_draws, n_candidates * M)
 * @param goal   (n_draws, n_decisions) objective of each decision at the target scale
 * @param noise  (M) standard deviation of a measured loss; 0 where it is not measured
 * @param scale  part of the regret in the draws' worlds that is expected
 */
enum mix_status mix_belief_create(size_t n_draws, size_t n_candidates, size_t n_targets,
                                  size_t n_decisions, const double *loss, const double *goal,
                                  const double *noise, double scale, struct mix_belief **out,
                                  struct mix_error *err);
void mix_belief_destroy(struct mix_belief *belief);

/** Forget all measurements. */
void mix_belief_reset(struct mix_belief *belief);

/** What is known by now, to come back to: free with free(). */
struct mix_belief_state;
enum mix_status mix_belief_keep(const struct mix_belief *belief, struct mix_belief_state **out,
                                struct mix_error *err);
void mix_belief_restore(struct mix_belief *belief, const struct mix_belief_state *state);

/** The prospect of measuring a candidate with so many seeds, on top of what was measured. */
enum mix_status mix_belief_prospect(struct mix_belief *belief, size_t candidate, size_t n_seeds,
                                    struct mix_prospect *out, struct mix_error *err);

/** Measure a candidate: the mean of so many seeds. */
enum mix_status mix_belief_measure(struct mix_belief *belief, size_t candidate, size_t n_seeds,
                                   struct mix_error *err);

/** Expected regret of the decision with the least mean objective, in each draw's world by now:
 * (n_draws). What falls by chance, because the draws are few for what was measured, is taken off;
 * it never rises by a measurement. */
void mix_belief_regret(const struct mix_belief *belief, double *regret);

/** Whether the draws are few for what was measured: half of their freedom, or more, is used up. */
bool mix_belief_few_draws(const struct mix_belief *belief);

#endif
