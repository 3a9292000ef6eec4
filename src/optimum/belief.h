/* SPDX-License-Identifier: GPL-3.0-or-later */
/* belief.h - what draws say together of losses that are not measured yet: a
 * normal belief that measurements sharpen. Private to src/optimum/ and its
 * tests.
 *
 * Columns are candidates' losses (M each), then the objective of the decisions.
 * Two folds: half of the draws teach (their covariance is the belief), the
 * other half are worlds in which the measurements come out as they would there.
 */
#ifndef MIXSWEEP_OPTIMUM_BELIEF_H
#define MIXSWEEP_OPTIMUM_BELIEF_H

#include <stddef.h>
#include <stdint.h>

#include "mixsweep/next.h"

struct mix_belief;

/** What one more measurement would give, by fold-averaged estimates. */
struct mix_prospect {
    double regret;      /* expected, after it */
    double variance;    /* mean reduction of the variance of decision differences */
    double information; /* nats about the law */
};

/**
 * Copy what the draws predict.
 *
 * @param loss   (n_draws, n_candidates * M)
 * @param goal   (n_draws, n_decisions) objective of each decision at the target
 * scale
 * @param noise  (M) standard deviation of a measured loss; 0 where it is not
 * measured
 */
enum mix_status mix_belief_create(size_t n_draws, size_t n_candidates, size_t n_targets,
                                  size_t n_decisions, const double *loss, const double *goal,
                                  const double *noise, uint64_t seed, struct mix_belief **out,
                                  struct mix_error *err);
void mix_belief_destroy(struct mix_belief *belief);

/** Forget all measurements. */
void mix_belief_reset(struct mix_belief *belief);

/** The prospect of measuring a candidate with so many seeds, on top of what was measured. */
enum mix_status mix_belief_prospect(struct mix_belief *belief, size_t candidate, size_t n_seeds,
                                    struct mix_prospect *out, struct mix_error *err);

/** Measure a candidate in all worlds: the mean of so many seeds. */
enum mix_status mix_belief_measure(struct mix_belief *belief, size_t candidate, size_t n_seeds,
                                   struct mix_error *err);

/** Regret of the decision that each draw's world ends with by what was
 * measured: (n_draws). */
void mix_belief_regret(struct mix_belief *belief, double *regret);

#endif
