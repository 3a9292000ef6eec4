/* SPDX-License-Identifier: GPL-3.0-or-later */
/* simulated.h - a fit made again of losses as it has them itself, after further runs: what it would
 * be if it were the truth. Private to src/fit/, src/optimum/ and their tests.
 */
#ifndef MIXSWEEP_FIT_SIMULATED_H
#define MIXSWEEP_FIT_SIMULATED_H

#include <gsl/gsl_rng.h>

#include "mixsweep/fit.h"
#include "mixsweep/isa.h"

/** The runs of a fit. */
struct mix_simulated;

/** Runs beside them, all of one mixture and scale. */
struct mix_simulated_run {
    const double *mixture; /* (K) borrowed */
    const double *unique;  /* (K) tokens that are seen without a repeat, 1e9; borrowed */
    double n_params;       /* 1e6 */
    double n_tokens;       /* 1e9 */
    size_t n_seeds;
};

/**
 * Select the runs of a fit.
 *
 * @param isa  that all ranks have
 * @param out  out: to be destroyed after a failure too
 * @return MIX_OK; MIX_EINVAL the runs have changed since; MIX_ENOMEM
 */
enum mix_status mix_simulated_create(const struct mix_table *table, const struct mix_fit *fit,
                                     enum mix_isa isa, struct mix_simulated **out,
                                     struct mix_error *err);
void mix_simulated_destroy(struct mix_simulated *simulated);

/**
 * Draw losses of the fit's runs and of others, as the fit has them with normal noise, and fit its
 * law to them, from the optima of the fit, and from random points where a law has many. Links of
 * scores are taken as known. The checkpoints of a run have one noise.
 *
 * @param noise   (M) standard deviation of a loss
 * @param more    (n_more) other runs
 * @param params  (P) out: NaN where nothing has a finite loss
 * @param left    out: mean square residual of the fit's own runs, by that of the noise
 * @return MIX_OK; MIX_EINVAL the fit says nothing of a run; MIX_EINTERRUPTED; MIX_ENOMEM
 */
enum mix_status mix_simulated_fit(struct mix_simulated *simulated, const double *noise,
                                  size_t n_more, const struct mix_simulated_run *more, gsl_rng *rng,
                                  struct mix_poll *poll, double *params, double *left,
                                  struct mix_error *err);

#endif
