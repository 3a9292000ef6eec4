/* SPDX-License-Identifier: GPL-3.0-or-later */
/* agent_net.h - the agent's networks: policy and critic, over the history of a trajectory.
 *
 *     token_t = [D a_{t-1} - 1; (o_t - o_0) / sigma; sqrt(T) (o_t - o_{t-1}) / sigma; t / T]
 *     h_t     = trunk(token_0 ... token_t)
 *     policy    mu, log sigma of z at t = linear in h_t
 *     critic    Q(s_t, a) = v . gelu(h_t Wh + (D a - 1) Wa + b) + v_0
 *
 * The trunk is the project's transformer (proxy/trunk.h) behind a linear layer and learned
 * positions, causal: one pass over a trajectory gives the outputs at all its decisions. Or, an
 * ablation, two layers over the last four tokens.
 *
 * The action enters the critic behind the trunk, not in its last token: a decision's history is
 * read once for however many actions are asked about, conservative learning asks about some thirty.
 *
 * Shapes: n histories of t tokens of F = 3D + 1 features; their decisions, n t, are rows. W width
 * of h. A actions per decision. `real` is float; double in the tests of gradients.
 *
 * Order of use: read, then outputs (of the policy they stand in mu and log_sigma, of the critic:
 * values), then their backward, any number of times; then step. Nothing but create allocates. */
#ifndef MIXSWEEP_ONLINE_AGENT_NET_H
#define MIXSWEEP_ONLINE_AGENT_NET_H

#include <gsl/gsl_rng.h>

#include "mixsweep/agent.h"
#include "proxy/trunk.h"

#ifdef PROXY_DOUBLE
#define agent_tokens agent_tokens_f64
#define agent_net_create agent_net_create_f64
#define agent_net_destroy agent_net_destroy_f64
#define agent_net_initialise agent_net_initialise_f64
#define agent_net_read agent_net_read_f64
#define agent_net_extend agent_net_extend_f64
#define agent_net_policy_backward agent_net_policy_backward_f64
#define agent_net_values agent_net_values_f64
#define agent_net_values_backward agent_net_values_backward_f64
#define agent_net_step agent_net_step_f64
#define agent_net_follow agent_net_follow_f64
#endif

enum { AGENT_DECISIONS_MAX = 256 };

enum agent_role {
    AGENT_POLICY = 0,
    AGENT_CRITIC = 1,
};

struct agent_shape {
    size_t n_slots, n_decisions; /* D, T */
    enum mix_agent_trunk trunk;
    size_t width, n_layers, n_heads; /* of the transformer; the other trunk has its own */
    size_t batch;                    /* histories in a pass, at most */
    size_t n_actions;                /* per decision, at most; of the critic */
};

static inline size_t agent_n_features(size_t n_slots)
{
    return 3 * n_slots + 1;
}

/** The tokens (n,F) of a history: n - 1 mixtures (n - 1,D) and n feedbacks (n,D) of a trajectory,
 * 1 <= n <= T. Before the first decision stands the source field, evenly. Blind: no feedback. */
void agent_tokens(const struct mix_agent_space *space, const struct mix_agent_scale *scale,
                  bool blind, size_t n, const double *mixture, const double *feedback,
                  real *tokens);

/* Where the matrices and vectors of a network stand in its parameters. Of the window's trunk `in`
 * and `place` are the first layer's matrix and its bias, `weights` and `gains` the second's. */
struct agent_places {
    size_t in, place; /* (F,C), (T,C) */
    size_t weights, gains;
    size_t head, bias;   /* policy: (W,2(D-1)), (2(D-1)); critic: Wh (W,128), b (128) */
    size_t action, last; /* critic: Wa (D,128); v (128) and v_0 */
};

/* Rows are decisions, history after history. */
struct agent_net {
    struct agent_shape shape;
    enum agent_role role;
    size_t n_params;
    real *params;         /* (n_params) all there is to save; may be set at any time */
    real *gradient;       /* (n_params) added to by the ways back; 0 after a step */
    real *mu, *log_sigma; /* (rows,D-1) of the policy, after a read; log sigma is in -4 ... 0 */

    /* the rest is for agent_net.c */
    const struct proxy_kernels *kernels;
    struct agent_places at;
    size_t n_sequences, n_tokens, n_rows; /* of the last read */
    size_t input, width;                  /* numbers in a row of `tokens`; W */
    uint64_t n_steps;
    real *first, *second; /* moments of the gradient */
    struct proxy_trunk layers;
    real *tokens;                    /* (rows,F); of the window's trunk (rows,4F) */
    real *up1, *act1, *d_act1, *up2; /* (rows,128) of the window's trunk, around GELU */
    real *h, *d_h;                   /* (rows,W) */
    real *out, *d_out;               /* policy: (rows,2(D-1)); critic: (rows,128) h Wh + b */
    real *up;                        /* critic: (rows,A,128) before GELU */
    real *features, *act, *d_act;    /* critic, of a block of actions: (block,D), (block,128) */
    void *block;                     /* all of the above */
};

/** Allocates all that a network needs; parameters are 0.
 * @return MIX_OK; MIX_EINVAL sizes out of range; MIX_ENOMEM */
enum mix_status agent_net_create(const struct agent_shape *shape, enum agent_role role,
                                 const struct proxy_kernels *kernels, struct agent_net *net,
                                 struct mix_error *err);
void agent_net_destroy(struct agent_net *net); /* of zeros is fine */

/** Draw the parameters. */
void agent_net_initialise(struct agent_net *net, gsl_rng *rng);

/** Read n <= batch histories of t <= T tokens each, (n,t,F). */
void agent_net_read(struct agent_net *net, size_t n, size_t t, const real *tokens);

/** Policy: read one token (F) more of a history, its `row`-th, 0 first; mu and log sigma of this
 * decision alone. Tokens before it were read the same way, or `row` is 0; other reads in between
 * lose the history. A decision costs no more the longer the history is. */
void agent_net_extend(struct agent_net *net, size_t row, const real *token);

/** Policy: from gradients (rows,D-1) by mu and log sigma to those of the parameters. */
void agent_net_policy_backward(struct agent_net *net, const real *d_mu, const real *d_log_sigma);

/** Critic: values (rows,A) of actions (rows,A,D), A <= n_actions. */
void agent_net_values(struct agent_net *net, size_t n_actions, const real *actions, real *values);

/** Critic, after agent_net_values() of the same actions: from d_values (rows,A) to the gradients of
 * the parameters, if `learn`, and to d_actions (rows,A,D), unless that is NULL. */
void agent_net_values_backward(struct agent_net *net, size_t n_actions, const real *actions,
                               const real *d_values, bool learn, real *d_actions);

/** A step of Adam (beta 0.9, 0.999) down the gradient, clipped to a norm (0 = not), which is then 0
 * again. @return the gradient's norm before clipping; not finite, and no step, when training has
 * diverged */
double agent_net_step(struct agent_net *net, double rate, double clip);

/** params += share (those of `from` - params): 1 copies them. Both have one shape. */
void agent_net_follow(struct agent_net *net, const struct agent_net *from, double share);

#endif
