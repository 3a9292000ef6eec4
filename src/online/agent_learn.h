/* SPDX-License-Identifier: GPL-3.0-or-later */
/* agent_learn.h - what the two parts of an agent's training share. Private to src/online/ and its
 * tests. Rows are decisions: T of each trajectory of a batch. */
#ifndef MIXSWEEP_ONLINE_AGENT_LEARN_H
#define MIXSWEEP_ONLINE_AGENT_LEARN_H

#include <gsl/gsl_rng.h>

#include "online/agent_data.h"
#include "online/agent_net.h"
#include "online/agent_policy.h"

/** Numbers of trajectories. */
struct agent_list {
    size_t n;
    size_t *at; /* (n) */
};

struct agent_learner {
    const struct mix_agent_data *data;
    struct mix_agent_options options;
    struct mix_agent_scale scale;
    struct mix_poll *poll;
    gsl_rng *rng;
    size_t n_slots, n_decisions;         /* D, T */
    struct agent_list train, good, held; /* good: those of train that ended best */
    struct agent_list held_good;
    bool *is_good;  /* (n) */
    real *tokens;   /* (n,T,F) */
    real *action;   /* (n,T,D) without zeros */
    double *reward; /* (n,T) */
    struct agent_net policy;
    /* the best policy so far, by held-out trajectories */
    real *kept;       /* its parameters */
    double kept_loss; /* INFINITY = none is kept */
    size_t kept_at, n_worse;
    /* a batch */
    size_t *batch;            /* (B) numbers of trajectories */
    real *batch_tokens;       /* (B,T,F) */
    real *d_mu, *d_log_sigma; /* (B T,D-1) */
};

/** Draw a batch of B trajectories of a list, noise added to their tokens, and let the policy read
 * it. */
void agent_draw(struct agent_learner *learner, const struct agent_list *list);

/** What the policy has read is trajectory batch[b]: its cloning loss, -log pi(a|s) + 0.1 KL(a ||
 * mean), summed over decisions. weight times its gradient is added to d_mu and d_log_sigma, unless
 * weight is 0. */
double agent_clone(struct agent_learner *learner, size_t b, double weight);

/** A step of the policy down what is in d_mu and d_log_sigma, which are then 0.
 * @return MIX_ENUMERIC training has diverged */
enum mix_status agent_improve(struct agent_learner *learner, double rate, struct mix_error *err);

/** Keep the policy if its loss is less than that of the one that is kept, else count it as worse.
 */
void agent_keep(struct agent_learner *learner, double loss, size_t at);

/** The kept policy becomes the policy, if there is one, and none is kept any more. @return its loss
 */
double agent_take_kept(struct agent_learner *learner);

/** Fitted Q evaluation of the policy on held-out trajectories: see agent_fqe.c.
 * @return the expected sum of rewards; NaN when none are held out, the fit is singular, or memory
 * is out */
double agent_judge(struct agent_learner *learner);

/** The same of given actions.
 * @param chosen  (n,T,D) what the policy would do at each recorded decision of the list */
double agent_evaluate(const struct agent_learner *learner, const struct agent_list *list,
                      const double *chosen);

#endif
