/* SPDX-License-Identifier: GPL-3.0-or-later */
/* agent.h - the Data Mixing Agent: a learned policy that re-weights domains while a model is
 * trained further (Yang et al., arXiv 2507.15640).
 *
 * A base model was trained on a source field. It is trained on towards a target field, in T equal
 * stretches, and before each the agent chooses the mixture over the D slots (K of the source field
 * first, then those of the target field) from the mixtures and the losses so far. It learns from
 * recorded trajectories alone: a supervised start on the good ones, then Conservative Q-Learning
 * (Kumar et al., arXiv 2006.04779) on all.
 *
 * No code of the paper was published, and beyond abstract, introduction and a caption its text was
 * not to be had; for the rest there are notes of readers, which agree or stand alone. Who says
 * what, and what is done here:
 *   - idea, the paper: a policy, learnt by model-based reinforcement from random data mixing
 *     trajectories and an evaluation's feedback, re-weights source and target data. The same here.
 *   - domains: 52 slots (the paper), which would be 26 topics x {source, target} (our inference); 2
 *     (one note). Here any number of slots, source first.
 *   - trajectories: random (the paper); 384 of 50M models with 27,266 feedbacks (two notes);
 *     covering heuristics (one note). Here agent.trajectories runs of the job's own model; how they
 *     are drawn is ours: constraints per trajectory (target mass over time, topics, largest step),
 *     each next mixture scored given those before and by what is not covered yet; a third are
 *     static, one field ratio, target only, or random.
 *   - feedback: from an evaluation of both fields (the paper); mean log-probability of answers (one
 *     note). Here minus the validation loss of each slot.
 *   - reward: nothing that can be trusted. Ours: change of u = half the mean change of the source
 *     slots and half that of the target slots, each in standard deviations over trajectories; all
 *     of it scaled to deviation 1.
 *   - agent: 2.1M parameters (two notes); a two-layer Transformer decoder (one note). Here the same
 *     kind, 57,000 parameters; ours: actions are logistic normal.
 *   - training: supervised start on good trajectories, then CQL on all (two notes). The same; ours:
 *     the best fifth are good, all constants.
 *   - base model: pre-trained on the source field (the paper). Here base.seeds of them, on the
 *     source slots alone; every run begins with their parameters and a fresh optimiser, whose rate
 *     warms up over ten steps and then stays.
 *
 * The agent is a method of online mixing (mixsweep/online.h): it steers whatever a mix_trainee
 * trains. Its transformer is the embedded proxy's.
 *
 * Shapes: D slots, T decisions, n trajectories. Feedback is minus the validation loss, nats per
 * token: higher is better.
 */
#ifndef MIXSWEEP_AGENT_H
#define MIXSWEEP_AGENT_H

#include <stdbool.h>

#include "mixsweep/isa.h"
#include "mixsweep/online.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What an agent is about; two that differ in the sizes do not understand each other. */
struct mix_agent_space {
    size_t n_slots;       /* D, 2 to MIX_GROUPS_MAX */
    size_t n_source;      /* slots 0 ... n_source - 1 are the source field, the others the target */
    size_t n_decisions;   /* T */
    double source_weight; /* w_s of the mean change over source slots in the utility */
    double target_weight; /* w_t */
};

/** How a trajectory's mixtures came about. */
enum mix_agent_stratum {
    MIX_AGENT_SCORED = 0, /* prefix-scored sampler */
    MIX_AGENT_STATIC = 1, /* one draw from Dirichlet(1) */
    MIX_AGENT_FIELD = 2,  /* one target mass, natural shares within the fields */
    MIX_AGENT_TARGET = 3, /* target slots only */
    MIX_AGENT_RANDOM = 4, /* Dirichlet(1) anew at every decision */
};
enum { MIX_AGENT_STRATA = 5 };
extern const char *const mix_agent_stratum_names[MIX_AGENT_STRATA];

/** Recorded trajectories. Owns its arrays. */
struct mix_agent_data {
    struct mix_agent_space space;
    size_t n, capacity;
    int32_t *stratum;  /* (n) enum mix_agent_stratum */
    int32_t *base;     /* (n) number of the base model */
    int32_t *held_out; /* (n) 1: for validation */
    double *mixture;   /* (n,T,D) */
    double *feedback;  /* (n,T+1,D) [0] is the base model's */
};
struct mix_agent_data *mix_agent_data_create(const struct mix_agent_space *space);
void mix_agent_data_destroy(struct mix_agent_data *data); /* NULL is fine */
/** A new trajectory, all NaN, at the end; SIZE_MAX when memory is out. */
size_t mix_agent_data_append(struct mix_agent_data *data);

/** Whether trajectory `index` of a plan is held out for validation: one in ten, of all strata. */
bool mix_agent_held_out(size_t index);

/**
 * Mixtures of trajectories worth learning from. Of twenty, fourteen are scored by prefix (each next
 * mixture drawn among candidates by how it keeps to the trajectory's own constraints and how far it
 * is from what is there already), the others simple. The first n of a longer plan are the plan of
 * n.
 *
 * @param natural  (D) natural shares, positive: of the source slots among themselves, of the target
 *                 slots among themselves
 * @param plan     out: (n,T,D)
 * @param stratum  out: (n) enum mix_agent_stratum
 * @return MIX_OK; MIX_EINVAL; MIX_ENOMEM
 */
enum mix_status mix_agent_plan(const struct mix_agent_space *space, const double *natural, size_t n,
                               uint64_t seed, double *plan, int32_t *stratum,
                               struct mix_error *err);

/** How feedback becomes reward: u(o) = w_s mean_source (o - o_0) / sigma + w_t mean_target ...,
 * r_t = scale (u(o_{t+1}) - u(o_t)). */
struct mix_agent_scale {
    double
        sigma[MIX_GROUPS_MAX]; /* (D) deviation of the whole change of a slot over trajectories */
    double reward;             /* such that rewards have deviation 1 */
};
/** From the trajectories that are not held out. @return MIX_OK; MIX_EINVAL fewer than two, or a
 * slot whose feedback never changes (sentence names it by number) */
enum mix_status mix_agent_scale_of(const struct mix_agent_data *data, struct mix_agent_scale *scale,
                                   struct mix_error *err);
/** u of a feedback (D) against that of the base model (D). */
double mix_agent_utility(const struct mix_agent_space *space, const struct mix_agent_scale *scale,
                         const double *base, const double *feedback);

enum mix_agent_trunk {
    MIX_AGENT_TRANSFORMER = 0, /* two causal layers over the whole history */
    MIX_AGENT_MLP = 1,         /* ablation: the last four decisions */
};

struct mix_agent_options {
    enum mix_agent_trunk trunk;
    size_t width, n_layers, n_heads; /* 48, 2, 6 (heads of 8 channels: the proxy's) */
    bool blind;                      /* ablation: feedback is masked */
    bool supervised_only;            /* stop before reinforcement */
    double good_share; /* of trajectories, by their end, that cloning learns from; .2 */
    size_t n_supervised, n_updates; /* steps of the two parts, at most */
    size_t batch;                   /* trajectories per step; every decision of them is used; 8 */
    double alpha; /* conservatism: what an action beyond the data loses, rewards of deviation 1;
                     .03, by episodes in worlds of known dynamics (bench.losssim) */
    double eta;   /* entropy; 1e-3 */
    double clone_weight;             /* of cloning in the policy's loss; .01 */
    double discount;                 /* 1 for T <= 32 */
    double rate_supervised;          /* of Adam */
    double rate_critic, rate_policy; /* these fall to 0 linearly */
    double polyak;                   /* how far slow critics follow in an update; .02 */
    double noise; /* deviation of what is added to the tokens while training: the networks would
                     else know each of so few trajectories by heart; 1 */
    enum mix_isa isa;
    uint64_t seed;
};
struct mix_agent_options mix_agent_defaults(const struct mix_agent_space *space);

/** A policy, frozen. Opaque. */
struct mix_agent;

/** What training found out. */
struct mix_agent_report {
    size_t n_params;        /* of the policy */
    size_t n_supervised;    /* steps done (early stop on held-out trajectories) */
    double supervised_loss; /* held out, nats per decision */
    size_t n_updates;       /* behind the policy that is kept: that with the best value, the
                               supervised start among them */
    double value;           /* fitted Q evaluation on held-out trajectories: expected sum of
                               rewards of the policy; NaN where none are held out */
    double behaviour_value; /* mean sum of rewards of these trajectories */
    double train_s;
};

/**
 * Train an agent. Local: seeds, alphas, ablations are tasks of their own.
 *
 * @return MIX_OK; MIX_EINVAL options out of range, too few trajectories; MIX_ENUMERIC training
 * diverged; MIX_EINTERRUPTED; MIX_ENOMEM
 */
enum mix_status mix_agent_train(const struct mix_agent_data *data,
                                const struct mix_agent_options *options, struct mix_agent **out,
                                struct mix_agent_report *report, struct mix_poll *poll,
                                struct mix_error *err);
void mix_agent_destroy(struct mix_agent *agent);

/** What a frozen agent is made of, for files: everything but the weights is in the head. */
struct mix_agent_head {
    struct mix_agent_space space;
    struct mix_agent_scale scale;
    int32_t trunk, blind;
    uint64_t width, n_layers, n_heads, n_weights;
};
struct mix_agent_head mix_agent_head(const struct mix_agent *agent);
const float *mix_agent_weights(const struct mix_agent *agent); /* (n_weights) borrowed */
/** @return MIX_OK; MIX_EFORMAT head and weights do not go together; MIX_ENOMEM */
enum mix_status mix_agent_restore(const struct mix_agent_head *head, const float *weights,
                                  size_t n_weights, enum mix_isa isa, struct mix_agent **out,
                                  struct mix_error *err);

/**
 * The mixture for the next decision.
 *
 * @param t         decisions made so far
 * @param mixture   (t,D) those
 * @param feedback  (t+1,D)
 * @param out       (D) out: the mean of the policy
 */
void mix_agent_act(struct mix_agent *agent, size_t t, const double *mixture, const double *feedback,
                   double *out);

/**
 * A world of known dynamics for tests and for the choice of alpha ("LossSim"): a loss falls where
 * it is trained on and rises where it is not,
 * dL_i/dt = - rate a_i (L_i - low_i) + forgetting (1 - a_i) (high_i - L_i), t in decisions,
 * integrated in 8 substeps or more. Also a trainee with MIX_CAN_FORK.
 */
struct mix_forgetting_options {
    size_t n_groups;
    uint64_t n_steps;            /* S, planned */
    uint64_t steps_per_decision; /* steps of one unit of t */
    double rate, forgetting;
    const double *loss, *low, *high; /* (D) copied */
    double noise;                    /* deviation of an evaluation */
    uint64_t seed;
};
enum mix_status mix_trainee_forgetting(const struct mix_forgetting_options *options,
                                       struct mix_trainee **out, struct mix_error *err);

#ifdef __cplusplus
}
#endif
#endif
