/* SPDX-License-Identifier: GPL-3.0-or-later */
/* agent_cql.h - the arithmetic of conservative Q-learning, CQL(H) (Kumar et al., arXiv 2006.04779),
 * and its learner.
 *
 *     l = 1/2 (Q(s,a) - y)^2 + alpha (log int exp Q(s,a~) da~ - Q(s,a)),   (s,a,r,s') recorded
 *     y = r + gamma (1 - done) min_j Qslow_j(s',a'),                       a' ~ pi(.|s')
 *
 * The integral is a mean over sampled actions, each weighted by 1 / its density; over few actions
 * all of them are listed instead, with density 1. */
#ifndef MIXSWEEP_ONLINE_AGENT_CQL_H
#define MIXSWEEP_ONLINE_AGENT_CQL_H

#include "online/agent_learn.h"

/** y; next: the least slow value of s' and a', not looked at when done. */
double agent_cql_target(double reward, double discount, bool done, double next);

/**
 * l of one decision and its gradients.
 *
 * @param data         Q(s,a) of the recorded action
 * @param values       (n) Q(s,a~)
 * @param log_density  (n) of a~; NULL = 0
 * @param d_values     (n) out: alpha times the softmax of values - log_density
 * @param d_data       out: Q(s,a) - y - alpha
 * @return l, up to the constant log n
 */
double agent_cql_loss(double data, double target, double alpha, size_t n, const double *values,
                      const double *log_density, double *d_values, double *d_data);

/** Improve the policy of a learner on all its trajectories. What is left is the policy that fitted
 * Q evaluation thinks best, the one it began with among them; the last where none are held out.
 * @param n_updates  out: behind that policy */
enum mix_status agent_reinforce(struct agent_learner *learner, size_t *n_updates,
                                struct mix_error *err);

#endif
