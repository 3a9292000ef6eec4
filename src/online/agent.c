/* SPDX-License-Identifier: GPL-3.0-or-later */
/* agent.c - a frozen agent, and the method that lets it steer: T decisions, each after a look at
 * the losses. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "online/agent_data.h"
#include "online/agent_net.h"
#include "online/agent_policy.h"
#include "online/online_impl.h"

/* ---- the agent ---- */

struct mix_agent {
    struct mix_agent_head head;
    enum mix_isa isa;
    struct agent_net policy;
    real *tokens;  /* (T,F) of the history */
    size_t n_read; /* tokens that the policy has read */
    real *read;    /* (T,F) those */
};

struct mix_agent_head mix_agent_head(const struct mix_agent *agent)
{
    return agent->head;
}

const float *mix_agent_weights(const struct mix_agent *agent)
{
    return agent->policy.params;
}

void mix_agent_destroy(struct mix_agent *agent)
{
    if (agent == NULL)
        return;
    agent_net_destroy(&agent->policy);
    free(agent->tokens); /* and what is read, behind them */
    free(agent);
}

static enum mix_status check_head(const struct mix_agent_head *head, struct mix_error *err)
{
    const enum mix_status status = agent_space_check(&head->space, err);
    if (status != MIX_OK)
        return MIX_EFORMAT;
    if (head->trunk != MIX_AGENT_TRANSFORMER && head->trunk != MIX_AGENT_MLP)
        return mix_fail(err, MIX_EFORMAT, "agent: there is no trunk %d", (int)head->trunk);
    for (size_t i = 0; i < head->space.n_slots; i++)
        if (!(head->scale.sigma[i] > 0.0 && isfinite(head->scale.sigma[i])))
            return mix_fail(err, MIX_EFORMAT,
                            "agent: the scale of slot %zu is %g; it must be positive", i + 1,
                            head->scale.sigma[i]);
    return MIX_OK;
}

static enum mix_status load(struct mix_agent *agent, const float *weights, size_t n_weights,
                            struct mix_error *err)
{
    const struct mix_agent_head *head = &agent->head;
    const size_t d = head->space.n_slots, t = head->space.n_decisions;
    const struct agent_shape shape = {.n_slots = d,
                                      .n_decisions = t,
                                      .trunk = (enum mix_agent_trunk)head->trunk,
                                      .width = head->width,
                                      .n_layers = head->n_layers,
                                      .n_heads = head->n_heads,
                                      .batch = 1};
    const enum mix_status status =
        agent_net_create(&shape, AGENT_POLICY, proxy_kernels(agent->isa), &agent->policy, err);
    if (status != MIX_OK)
        return status == MIX_EINVAL ? MIX_EFORMAT : status;
    if (n_weights != agent->policy.n_params || head->n_weights != n_weights)
        return mix_fail(err, MIX_EFORMAT,
                        "agent: %zu weights, %llu by its head; its sizes need %zu", n_weights,
                        (unsigned long long)head->n_weights, agent->policy.n_params);
    for (size_t i = 0; i < n_weights; i++)
        if (!isfinite(weights[i]))
            return mix_fail(err, MIX_EFORMAT, "agent: weight %zu is %g", i + 1, (double)weights[i]);
    memcpy(agent->policy.params, weights, n_weights * sizeof *weights);
    agent->tokens = calloc(2 * t * agent_n_features(d), sizeof *agent->tokens);
    if (agent->tokens == NULL)
        return mix_fail(err, MIX_ENOMEM, "agent: out of memory for %zu decisions", t);
    agent->read = agent->tokens + t * agent_n_features(d);
    return MIX_OK;
}

enum mix_status mix_agent_restore(const struct mix_agent_head *head, const float *weights,
                                  size_t n_weights, enum mix_isa isa, struct mix_agent **out,
                                  struct mix_error *err)
{
    enum mix_status status = check_head(head, err);
    if (status != MIX_OK)
        return status;
    struct mix_agent *agent = calloc(1, sizeof *agent);
    if (agent == NULL)
        return mix_fail(err, MIX_ENOMEM, "agent: out of memory");
    agent->head = *head;
    agent->isa = isa;
    status = load(agent, weights, n_weights, err);
    if (status == MIX_OK)
        *out = agent;
    else
        mix_agent_destroy(agent);
    return status;
}

/* A history grows by a decision at a time, and what was read of it stays read: only where another
 * one begins, or an earlier decision is asked for, tokens are read again. Always one by one, so
 * that a decision does not hang on what was asked before. */
void mix_agent_act(struct mix_agent *agent, size_t t, const double *mixture, const double *feedback,
                   double *out)
{
    const struct mix_agent_head *head = &agent->head;
    const size_t d = head->space.n_slots, f = agent_n_features(d);
    size_t row = 0;
    agent_tokens(&head->space, &head->scale, head->blind != 0, t + 1, mixture, feedback,
                 agent->tokens);
    while (row < t && row < agent->n_read &&
           memcmp(agent->tokens + row * f, agent->read + row * f, f * sizeof *agent->read) == 0)
        row++;
    if (head->trunk == MIX_AGENT_MLP && (row < t || agent->n_read > t))
        row = 0; /* it keeps no more than the last tokens that it has read */
    for (; row <= t; row++) {
        memcpy(agent->read + row * f, agent->tokens + row * f, f * sizeof *agent->read);
        agent_net_extend(&agent->policy, row, agent->tokens + row * f);
    }
    agent->n_read = t + 1;
    agent_policy_mean(d, agent->policy.mu, out);
}

/* ---- the method ---- */

struct steering {
    struct mix_agent *agent; /* our own copy: acting writes to it */
    size_t n_seen, n_given;  /* feedbacks, decisions */
    double *mixture;         /* (T,D) */
    double *feedback;        /* (T,D) */
};

static uint64_t extra_steps(const struct mix_method_setup *setup)
{
    (void)setup;
    return 0;
}

static enum mix_status check_agent(const struct mix_mixer *mixer, struct mix_error *err)
{
    const struct mix_agent *agent = mixer->setup.agent;
    if (agent == NULL)
        return mix_fail(err, MIX_EINVAL,
                        "agent: none is given; train one first (mixsweep agent train)");
    const struct mix_agent_space *space = &agent->head.space;
    if (space->n_slots != mixer->setup.n_groups)
        return mix_fail(err, MIX_EINVAL, "agent: it mixes %zu slots and cannot steer %zu groups",
                        space->n_slots, mixer->setup.n_groups);
    if (online_own_steps(mixer) < space->n_decisions)
        return mix_fail(err, MIX_EINVAL,
                        "agent: its %zu decisions need as many steps; there are %llu",
                        space->n_decisions, (unsigned long long)online_own_steps(mixer));
    return MIX_OK;
}

static enum mix_status create(struct mix_mixer *mixer, struct mix_error *err)
{
    struct steering *s = mixer->state;
    const struct mix_agent *agent = mixer->setup.agent;
    enum mix_status status = check_agent(mixer, err);
    if (status != MIX_OK)
        return status;
    const size_t n = agent->head.space.n_decisions * agent->head.space.n_slots;
    s->mixture = calloc(2 * n, sizeof *s->mixture);
    if (s->mixture == NULL)
        return mix_fail(err, MIX_ENOMEM, "agent: out of memory for %zu decisions",
                        agent->head.space.n_decisions);
    s->feedback = s->mixture + n;
    return mix_agent_restore(&agent->head, mix_agent_weights(agent), agent->policy.n_params,
                             agent->isa, &s->agent, err);
}

static void destroy(struct mix_mixer *mixer)
{
    struct steering *s = mixer->state;
    mix_agent_destroy(s->agent);
    free(s->mixture);
}

static bool next(struct mix_mixer *mixer, struct mix_segment *segment)
{
    struct steering *s = mixer->state;
    const size_t d = mixer->setup.n_groups, n = s->agent->head.space.n_decisions;
    memcpy(segment->mixture, mixer->mixture, d * sizeof *segment->mixture);
    if (s->n_given == n)
        return false;
    if (s->n_seen > s->n_given) {
        segment->n_steps = online_piece(online_own_steps(mixer), n, s->n_given);
        memcpy(s->mixture + s->n_given++ * d, mixer->mixture, d * sizeof *s->mixture);
    }
    segment->measure = s->n_given < n ? MIX_MEASURE_LOSS : 0;
    return true;
}

static enum mix_status observe(struct mix_mixer *mixer, const struct mix_observation *seen,
                               struct mix_error *err)
{
    (void)err;
    struct steering *s = mixer->state;
    const size_t d = mixer->setup.n_groups;
    for (size_t i = 0; i < d; i++)
        s->feedback[s->n_seen * d + i] = -seen->loss[i];
    mix_agent_act(s->agent, s->n_seen++, s->mixture, s->feedback, mixer->mixture);
    return MIX_OK;
}

const struct mix_method mix_method_agent = {
    .name = "agent",
    .summary = "a policy learnt from recorded runs chooses each mixture from the losses so far",
    .law = "none",
    .estimate = "values learnt offline (CQL)",
    .update = "the policy's mean",
    .kind = MIX_METHOD_DYNAMIC,
    .state_bytes = sizeof(struct steering),
    .create = create,
    .destroy = destroy,
    .next = next,
    .observe = observe,
    .extra_steps = extra_steps,
};
