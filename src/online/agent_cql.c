/* SPDX-License-Identifier: GPL-3.0-or-later */
/* agent_cql.c - see agent_cql.h. A batch is whole trajectories: policy and critics read each once,
 * and every decision of it is learnt from. The policy learns before the critics do, from the same
 * pass. */
#include "online/agent_cql.h"

#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    N_EACH = 10,              /* actions per group: uniform, pi(.|s), pi(.|s') */
    N_ASKED = 1 + 3 * N_EACH, /* the recorded one in front */
    CHECKS = 20,              /* of the policy, by held-out trajectories */
};
static const double CLIP = 10.0;
static const double YOUNG = 0.8; /* critics are, while more of the updates are to come */

/* ---- arithmetic ---- */

double agent_cql_target(double reward, double discount, bool done, double next)
{
    return done ? reward : reward + discount * next;
}

double agent_cql_loss(double data, double target, double alpha, size_t n, const double *values,
                      const double *log_density, double *d_values, double *d_data)
{
    double most = -INFINITY, sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        d_values[i] = values[i] - (log_density != NULL ? log_density[i] : 0.0);
        most = fmax(most, d_values[i]);
    }
    for (size_t i = 0; i < n; i++)
        sum += d_values[i] = exp(d_values[i] - most);
    for (size_t i = 0; i < n; i++)
        d_values[i] *= alpha / sum;
    *d_data = data - target - alpha;
    return 0.5 * (data - target) * (data - target) + alpha * (most + log(sum) - data);
}

/* ---- the learner ---- */

struct critics {
    struct agent_learner *learner;
    struct agent_net net[2], slow[2];
    size_t n_rows;
    double left;               /* part of the updates that are to come: 1 to 0 */
    double *target;            /* (R) y */
    real *noise;               /* (R,D-1) of an action of the policy's */
    real *drawn;               /* (R,D) that action */
    real *drawn_value[2];      /* (R) */
    real *d_drawn, *d_scratch; /* (R,D) */
    real *asked;               /* (R,A,D) */
    double *asked_density;     /* (R,A) its logarithm */
    real *value, *d_value;     /* (R,A) */
};

static void destroy_critics(struct critics *c)
{
    for (size_t j = 0; j < 2; j++) {
        agent_net_destroy(&c->net[j]);
        agent_net_destroy(&c->slow[j]);
        free(c->drawn_value[j]);
    }
    void *const blocks[] = {c->target, c->noise,         c->drawn,   c->d_drawn,  c->asked,
                            c->value,  c->asked_density, c->d_value, c->d_scratch};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        free(blocks[i]);
}

static enum mix_status create_nets(struct critics *c, struct mix_error *err)
{
    struct agent_learner *l = c->learner;
    struct agent_shape shape = l->policy.shape;
    enum mix_status status = MIX_OK;
    for (uint64_t j = 0; status == MIX_OK && j < 2; j++) {
        shape.n_actions = N_ASKED;
        status = agent_net_create(&shape, AGENT_CRITIC, l->policy.kernels, &c->net[j], err);
        shape.n_actions = 1;
        if (status == MIX_OK)
            status = agent_net_create(&shape, AGENT_CRITIC, l->policy.kernels, &c->slow[j], err);
        if (status != MIX_OK)
            break;
        mix_rng_rekey(l->rng, mix_key_make(l->options.seed, "agent critic", &j, sizeof j));
        agent_net_initialise(&c->net[j], l->rng);
        agent_net_follow(&c->slow[j], &c->net[j], 1.0);
    }
    return status;
}

static enum mix_status create_critics(struct agent_learner *l, struct critics *c,
                                      struct mix_error *err)
{
    const size_t rows = l->options.batch * l->n_decisions, d = l->n_slots;
    *c = (struct critics){.learner = l, .n_rows = rows};
    c->target = calloc(rows, sizeof *c->target);
    c->noise = calloc(rows * d, sizeof *c->noise);
    c->drawn = calloc(rows * d, sizeof *c->drawn);
    c->drawn_value[0] = calloc(rows, sizeof *c->drawn_value[0]);
    c->drawn_value[1] = calloc(rows, sizeof *c->drawn_value[1]);
    c->d_drawn = calloc(rows * d, sizeof *c->d_drawn);
    c->d_scratch = calloc(rows * d, sizeof *c->d_scratch);
    c->asked = calloc(rows * N_ASKED * d, sizeof *c->asked);
    c->asked_density = calloc(rows * N_ASKED, sizeof *c->asked_density);
    c->value = calloc(rows * N_ASKED, sizeof *c->value);
    c->d_value = calloc(rows * N_ASKED, sizeof *c->d_value);
    if (c->target == NULL || c->noise == NULL || c->drawn == NULL || c->drawn_value[0] == NULL ||
        c->drawn_value[1] == NULL || c->d_drawn == NULL || c->d_scratch == NULL ||
        c->asked == NULL || c->asked_density == NULL || c->value == NULL || c->d_value == NULL)
        return mix_fail(err, MIX_ENOMEM, "agent: out of memory for batches of %zu decisions", rows);
    return create_nets(c, err);
}

/* An action of the policy's at a row, and the logarithm of its density. */
static double draw_action(struct critics *c, size_t row, real *noise, real *action)
{
    struct agent_learner *l = c->learner;
    const size_t free_ = l->n_slots - 1;
    for (size_t i = 0; i < free_; i++)
        noise[i] = (real)gsl_ran_gaussian_ziggurat(l->rng, 1.0);
    return agent_policy_sample(l->n_slots, l->policy.mu + row * free_,
                               l->policy.log_sigma + row * free_, noise, action);
}

static bool is_last(const struct critics *c, size_t row)
{
    return (row + 1) % c->learner->n_decisions == 0;
}

/* ---- the policy ---- */

/* Add the gradient of eta log pi(a|s) - min_j Q_j(s,a), a drawn, mean over rows. */
static void seek_value(struct critics *c)
{
    struct agent_learner *l = c->learner;
    const size_t d = l->n_slots;
    const real each = (real)(-1.0 / (double)c->n_rows);
    for (size_t j = 0; j < 2; j++)
        agent_net_values(&c->net[j], 1, c->drawn, c->drawn_value[j]);
    memset(c->d_drawn, 0, c->n_rows * d * sizeof *c->d_drawn);
    for (size_t j = 0; j < 2; j++) {
        for (size_t r = 0; r < c->n_rows; r++) {
            const bool least = j == 0 ? c->drawn_value[0][r] <= c->drawn_value[1][r]
                                      : c->drawn_value[1][r] < c->drawn_value[0][r];
            c->d_value[r] = least ? each : 0;
        }
        agent_net_values_backward(&c->net[j], 1, c->drawn, c->d_value, false, c->d_scratch);
        for (size_t i = 0; i < c->n_rows * d; i++)
            c->d_drawn[i] += c->d_scratch[i];
    }
    for (size_t r = 0; r < c->n_rows; r++)
        agent_policy_sample_backward(d, l->policy.log_sigma + r * (d - 1), c->noise + r * (d - 1),
                                     c->drawn + r * d, c->d_drawn + r * d,
                                     l->options.eta / (double)c->n_rows, l->d_mu + r * (d - 1),
                                     l->d_log_sigma + r * (d - 1));
}

/* Young critics are not worth following: until then the policy clones alone. */
static enum mix_status update_policy(struct critics *c, struct mix_error *err)
{
    struct agent_learner *l = c->learner;
    size_t n_good = 0;
    for (size_t b = 0; b < l->options.batch; b++)
        n_good += l->is_good[l->batch[b]];
    if (c->left < YOUNG)
        seek_value(c);
    for (size_t b = 0; b < l->options.batch; b++)
        if (l->is_good[l->batch[b]] && l->options.clone_weight > 0.0)
            agent_clone(l, b, l->options.clone_weight / (double)(n_good * l->n_decisions));
    return agent_improve(l, c->left * l->options.rate_policy, err);
}

/* ---- the critics ---- */

static void find_targets(struct critics *c)
{
    const struct agent_learner *l = c->learner;
    const size_t t = l->n_decisions;
    for (size_t j = 0; j < 2; j++)
        agent_net_values(&c->slow[j], 1, c->drawn, c->drawn_value[j]);
    for (size_t r = 0; r < c->n_rows; r++) {
        const bool done = is_last(c, r);
        const double next =
            done ? 0.0 : (double)fminf(c->drawn_value[0][r + 1], c->drawn_value[1][r + 1]);
        c->target[r] = agent_cql_target(l->reward[l->batch[r / t] * t + r % t], l->options.discount,
                                        done, next);
    }
}

/* The actions that critics are asked about at each row. After the last decision the policy does
 * nothing: its group for s' is then one more for s. */
static void draw_asked(struct critics *c)
{
    struct agent_learner *l = c->learner;
    const size_t d = l->n_slots, t = l->n_decisions;
    const double log_uniform = agent_policy_log_uniform(d);
    real noise[MIX_GROUPS_MAX];
    for (size_t r = 0; r < c->n_rows; r++) {
        real *action = c->asked + r * N_ASKED * d;
        double *density = c->asked_density + r * N_ASKED;
        memcpy(action, l->action + (l->batch[r / t] * t + r % t) * d, d * sizeof *action);
        for (size_t n = 1; n < N_ASKED; n++) {
            const size_t row = n <= 2 * N_EACH || is_last(c, r) ? r : r + 1;
            if (n <= N_EACH) {
                agent_policy_uniform(d, l->rng, action + n * d);
                density[n] = log_uniform;
            } else {
                density[n] = draw_action(c, row, noise, action + n * d);
            }
        }
    }
}

static enum mix_status update_critic(struct critics *c, struct agent_net *net,
                                     struct mix_error *err)
{
    const struct mix_agent_options *o = &c->learner->options;
    double values[N_ASKED], d_values[N_ASKED];
    agent_net_values(net, N_ASKED, c->asked, c->value);
    mix_poll(c->learner->poll);
    for (size_t r = 0; r < c->n_rows; r++) {
        for (size_t n = 0; n < N_ASKED; n++)
            values[n] = (double)c->value[r * N_ASKED + n];
        agent_cql_loss(values[0], c->target[r], o->alpha, N_ASKED - 1, values + 1,
                       c->asked_density + r * N_ASKED + 1, d_values + 1, d_values);
        for (size_t n = 0; n < N_ASKED; n++)
            c->d_value[r * N_ASKED + n] = (real)(d_values[n] / (double)c->n_rows);
    }
    agent_net_values_backward(net, N_ASKED, c->asked, c->d_value, true, NULL);
    if (!isfinite(agent_net_step(net, c->left * o->rate_critic, CLIP)))
        return mix_fail(err, MIX_ENUMERIC, "agent: the critic has diverged; lower rate_critic (%g)",
                        o->rate_critic);
    return MIX_OK;
}

/* One batch. */
static enum mix_status update(struct critics *c, struct mix_error *err)
{
    struct agent_learner *l = c->learner;
    const size_t d = l->n_slots;
    agent_draw(l, &l->train);
    for (size_t j = 0; j < 2; j++) {
        agent_net_read(&c->net[j], l->options.batch, l->n_decisions, l->batch_tokens);
        agent_net_read(&c->slow[j], l->options.batch, l->n_decisions, l->batch_tokens);
        mix_poll(l->poll);
    }
    for (size_t r = 0; r < c->n_rows; r++)
        (void)draw_action(c, r, c->noise + r * (d - 1), c->drawn + r * d);
    draw_asked(c);
    enum mix_status status = update_policy(c, err);
    find_targets(c);
    for (size_t j = 0; status == MIX_OK && j < 2; j++) {
        status = update_critic(c, &c->net[j], err);
        agent_net_follow(&c->slow[j], &c->net[j], l->options.polyak);
    }
    return status;
}

enum mix_status agent_reinforce(struct agent_learner *learner, size_t *n_updates,
                                struct mix_error *err)
{
    struct critics c;
    enum mix_status status = create_critics(learner, &c, err);
    mix_rng_rekey(learner->rng, mix_key_make(learner->options.seed, "agent cql", NULL, 0));
    const size_t n = learner->options.n_updates, every = n / CHECKS > 0 ? n / CHECKS : 1;
    agent_keep(learner, -agent_judge(learner), 0);
    for (size_t i = 0; status == MIX_OK && i < n; i++) {
        c.left = 1.0 - (double)i / (double)n;
        if (mix_poll(learner->poll))
            status =
                mix_fail(err, MIX_EINTERRUPTED, "agent: interrupted at update %zu of %zu", i, n);
        else
            status = update(&c, err);
        if ((i + 1) % every == 0 && c.left < YOUNG)
            agent_keep(learner, -agent_judge(learner), i + 1);
    }
    *n_updates = learner->kept_loss < INFINITY ? learner->kept_at : n;
    agent_take_kept(learner);
    destroy_critics(&c);
    return status;
}
