/* SPDX-License-Identifier: GPL-3.0-or-later */
/* agent_policy.h - distributions of mixtures: the agent's own, and the uniform one.
 *
 * Additive logistic normal (Aitchison & Shen 1980): z ~ N(mu, diag sigma^2) in D - 1 dimensions,
 * a = softmax([z,0]). Its density, on the first D - 1 shares,
 *
 *     log pi(a) = sum_{i<D} log N(z_i; mu_i, sigma_i) - sum_{i<=D} log a_i,   z_i = log(a_i / a_D)
 *
 * Local; nothing is allocated. Arrays of D shares, or of D - 1 for what belongs to z. Gradients are
 * added to. */
#ifndef MIXSWEEP_ONLINE_AGENT_POLICY_H
#define MIXSWEEP_ONLINE_AGENT_POLICY_H

#include <gsl/gsl_rng.h>
#include <stddef.h>

#include "proxy/real.h"

#ifdef PROXY_DOUBLE
#define agent_policy_smooth agent_policy_smooth_f64
#define agent_policy_mean agent_policy_mean_f64
#define agent_policy_divergence agent_policy_divergence_f64
#define agent_policy_log_density agent_policy_log_density_f64
#define agent_policy_sample agent_policy_sample_f64
#define agent_policy_sample_backward agent_policy_sample_backward_f64
#define agent_policy_uniform agent_policy_uniform_f64
#define agent_policy_log_uniform agent_policy_log_uniform_f64
#endif

/** (1 - 1e-3) a + 1e-3 / D: a recorded mixture, which may have zeros, before its logarithm. */
void agent_policy_smooth(size_t n_slots, const double *mixture, real *action);

/** softmax([mu,0]): what is deployed. */
void agent_policy_mean(size_t n_slots, const real *mu, double *mixture);

/** KL(a || softmax([mu,0])); weight times its gradient is added to d_mu, unless that is NULL. */
double agent_policy_divergence(size_t n_slots, const real *action, const real *mu, double weight,
                               real *d_mu);

/** log pi(a) of a given action, all of whose shares are above 0. Weight times its gradients is
 * added to d_mu and d_log_sigma, unless they are NULL. */
double agent_policy_log_density(size_t n_slots, const real *mu, const real *log_sigma,
                                const real *action, double weight, real *d_mu, real *d_log_sigma);

/** a = softmax([mu + sigma noise, 0]) for standard normal noise (D - 1). @return log pi(a), exact
 * even where a share is too small for its type */
double agent_policy_sample(size_t n_slots, const real *mu, const real *log_sigma, const real *noise,
                           real *action);

/** The way back through agent_policy_sample(), noise held: of a loss with gradient d_action (D) by
 * the action and d_log_density by log pi. */
void agent_policy_sample_backward(size_t n_slots, const real *log_sigma, const real *noise,
                                  const real *action, const real *d_action, double d_log_density,
                                  real *d_mu, real *d_log_sigma);

/** A uniform draw from the simplex. */
void agent_policy_uniform(size_t n_slots, gsl_rng *rng, real *action);

/** Its log density, log Gamma(D). */
double agent_policy_log_uniform(size_t n_slots);

#endif
