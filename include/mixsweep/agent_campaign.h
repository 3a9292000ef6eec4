/* SPDX-License-Identifier: GPL-3.0-or-later */
/* agent_campaign.h - the section agent of a job at work: base models, recorded trajectories,
 * trained agents and the runs that they steered.
 *
 * A base model M0 is trained on the source slots alone, once for each base seed. Every run of the
 * campaign begins with the parameters of one of them and an optimiser of its own, whose rate warms
 * up and then stays. Feedback is measured on the validation part; the parts select and test
 * (MIX_PART_SELECT, MIX_PART_TEST) are for choosing and for reporting, and no agent sees them.
 *
 * Everything is a task over the ranks, known by a key, and one record of a log (MIX_LOG_AGENT) when
 * it is done. The same bytes come out on any number of ranks.
 *
 * Shapes: D slots, T decisions, n trajectories, B base models, A agents, R steered runs, P
 * parameters of a base model.
 */
#ifndef MIXSWEEP_AGENT_CAMPAIGN_H
#define MIXSWEEP_AGENT_CAMPAIGN_H

#include "mixsweep/agent.h"
#include "mixsweep/online_campaign.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What the feedback of our trainers is; an agent that was made with another is refused. */
#define MIX_AGENT_FEEDBACK "minus validation loss, nats per token"

enum { MIX_AGENT_CURVE = 9 };

/** A base model; plain bytes but for its parameters. */
struct mix_agent_base {
    struct mix_key key;         /* of what it is: text, options, seed */
    struct mix_key hash;        /* of its parameters: checked wherever they come from */
    char setting[MIX_UNIT_MAX]; /* "own", or the name of a transfer */
    uint64_t number;            /* 0, 1, ... */
    uint64_t n_steps;
    double train_s;
    double curve[MIX_AGENT_CURVE]; /* mean validation loss of the source slots after 0, 1/8, ... 1
                                      of its steps */
    uint64_t n_params;
    float *params; /* (P) */
};

/** A recorded trajectory; plain bytes. */
struct mix_agent_row {
    struct mix_key key;
    uint64_t number;  /* in the plan */
    int32_t stratum;  /* enum mix_agent_stratum */
    int32_t base;     /* number of the base model */
    int32_t held_out; /* 1: for validation of agents */
    int32_t diverged; /* 1: the loss was not finite; no use to an agent */
    double train_s, measure_s;
};

/** A trained agent; plain bytes but for its weights. Of one whose training has diverged there are
 * no weights, its report is NaN, and it never steers. */
struct mix_agent_trained {
    char label[MIX_UNIT_MAX]; /* "supervised", "rl", "blind", ... */
    struct mix_key key;       /* of data and options */
    struct mix_key hash;      /* of its weights: checked wherever they come from */
    struct mix_agent_head head;
    struct mix_agent_report report;
    double alpha;    /* NaN: only supervised */
    uint64_t seed;   /* its number, from 0 */
    uint64_t n_data; /* trajectories it was made from */
    float *weights;  /* (head.n_weights) */
};

/** A run that an agent steered; plain bytes. */
struct mix_agent_run {
    struct mix_key key;
    char agent[MIX_UNIT_MAX]; /* label, or what its file is called */
    struct mix_key weights;   /* hash of the agent */
    int32_t base, diverged;
    uint64_t seed; /* its number, from 0 */
    double agent_s, train_s, measure_s;
};

/** /agent/NAME. Owns its arrays. */
struct mix_agent_campaign {
    char name[MIX_NAME_MAX];
    char trainer[MIX_UNIT_MAX];
    struct mix_key options; /* hash of all that the job says of base models and trajectories */
    struct mix_key text;    /* of the slots: names and training text; 0: nothing is there yet */
    struct mix_agent_space space;
    uint64_t n_steps;            /* of a run */
    char (*slots)[MIX_NAME_MAX]; /* (D) */
    size_t n_bases;
    struct mix_agent_base *bases; /* in the order of settings and numbers */
    size_t n_rows, rows_capacity;
    struct mix_agent_row *rows; /* in the order of the plan */
    double *mixture;            /* (n,T,D) */
    double *feedback;           /* (n,T+1,D) [0]: before the first decision */
    size_t n_agents;
    struct mix_agent_trained *agents; /* in the order of their labels */
    size_t n_runs, runs_capacity;
    struct mix_agent_run *runs; /* in the order of agent, base, seed */
    double *run_mixture;        /* (R,T,D) */
    double *run_feedback;       /* (R,T+1,D) */
    double *run_test;           /* (R,D) loss on the test part at the end */
    double *run_test_se;        /* (R,D) */
};

struct mix_agent_campaign *mix_agent_campaign_create(const char *name,
                                                     const struct mix_agent_space *space);
void mix_agent_campaign_destroy(struct mix_agent_campaign *campaign); /* NULL is fine */

/** New entries; NULL or SIZE_MAX when memory is out. Numbers of a row or run are NaN. */
size_t mix_agent_add_row(struct mix_agent_campaign *campaign);
size_t mix_agent_add_run(struct mix_agent_campaign *campaign);
struct mix_agent_base *mix_agent_add_base(struct mix_agent_campaign *campaign, size_t n_params);
struct mix_agent_trained *mix_agent_add_agent(struct mix_agent_campaign *campaign,
                                              size_t n_weights);

/** The agent of a label, NULL = none. */
const struct mix_agent_trained *mix_agent_campaign_find(const struct mix_agent_campaign *campaign,
                                                        const char *label);
static inline bool mix_agent_has_diverged(const struct mix_agent_trained *agent)
{
    return agent->head.n_weights == 0;
}
/** The agent that `run` takes where none is named: of those trained by reinforcement that see the
 * feedback, and on the most trajectories, the one with the greatest value on held-out ones, else
 * the supervised one; NULL = none. */
const struct mix_agent_trained *mix_agent_campaign_best(const struct mix_agent_campaign *campaign);

/** Bring everything into its order. */
enum mix_status mix_agent_campaign_sort(struct mix_agent_campaign *campaign, struct mix_error *err);

/** The trajectories that did not diverge, as agents are trained on them. Free with
 * mix_agent_data_destroy(). */
enum mix_status mix_agent_campaign_data(const struct mix_agent_campaign *campaign,
                                        struct mix_agent_data **out, struct mix_error *err);

/* ---- records of a log */

struct mix_agent_log_head {
    char name[MIX_NAME_MAX];
    struct mix_key options;
    uint64_t n_slots, n_source, n_decisions;
};
struct mix_agent_log_head mix_agent_log_head(const struct mix_agent_campaign *campaign);

/**
 * Take what a record holds, where it is not there yet.
 *
 * @return MIX_OK, also where it is there; MIX_ENOTFOUND of another campaign; MIX_EFORMAT damaged;
 * MIX_ENOMEM
 */
enum mix_status mix_agent_campaign_take(struct mix_agent_campaign *campaign, const void *head,
                                        size_t n_head, const void *record, size_t n_record,
                                        struct mix_error *err);

/** Whether texts end, and codes and numbers are what they can be. */
bool mix_agent_row_is_sound(const struct mix_agent_row *row, const double *mixture,
                            const double *feedback, const struct mix_agent_space *space);
bool mix_agent_base_is_sound(const struct mix_agent_base *base);
bool mix_agent_trained_is_sound(const struct mix_agent_trained *agent,
                                const struct mix_agent_space *space);
bool mix_agent_run_is_sound(const struct mix_agent_run *run);

/** The hash of parameters or weights. */
struct mix_key mix_agent_hash(const float *numbers, size_t n);

/** The bodies of records; what belongs to them is written behind their plain bytes. */
size_t mix_agent_row_bytes(const struct mix_agent_space *space);
size_t mix_agent_run_bytes(const struct mix_agent_space *space);
size_t mix_agent_base_bytes(size_t n_params);
size_t mix_agent_trained_bytes(size_t n_weights);
void mix_agent_pack_row(const struct mix_agent_row *row, const struct mix_agent_space *space,
                        const double *mixture, const double *feedback, void *record);
void mix_agent_pack_run(const struct mix_agent_run *run, const struct mix_agent_space *space,
                        const double *mixture, const double *feedback, const double *test,
                        const double *test_se, void *record);
void mix_agent_pack_base(const struct mix_agent_base *base, void *record);
void mix_agent_pack_trained(const struct mix_agent_trained *agent, void *record);

/* ---- the campaign */

/** An empty campaign for a job. */
enum mix_status mix_agent_campaign_plan(const struct mix_job *job, struct mix_agent_campaign **out,
                                        struct mix_error *err);

/** The sizes of a job's agent. */
struct mix_agent_space mix_agent_space_of(const struct mix_job *job);

/**
 * Collective. Train the base models that are missing, then run the trajectories of the plan that
 * are missing. Options: as for mix_campaign_run().
 *
 * @param campaign  rank 0: what is there, and what comes; NULL elsewhere
 * @return MIX_OK; MIX_EEXIST the campaign is of other text; MIX_EINTERRUPTED what is finished is in
 * `campaign`, and in the logs; MIX_EFORMAT the parameters of a base model are not those of its
 * hash; failures of the trainer
 */
enum mix_status mix_agent_collect(struct mix_ranks *ranks, const struct mix_job *job,
                                  struct mix_agent_campaign *campaign,
                                  const struct mix_campaign_options *options,
                                  struct mix_error *err);

/** Collective. Train the agents of the job that are missing, of all trajectories of the campaign.
 *
 * @param blind  with the ablation that does not see the feedback
 * @return also MIX_ENOTFOUND there are no trajectories */
enum mix_status mix_agent_train_all(struct mix_ranks *ranks, const struct mix_job *job, bool blind,
                                    struct mix_agent_campaign *campaign,
                                    const struct mix_campaign_options *options,
                                    struct mix_error *err);

/**
 * Collective. Let a frozen agent steer runs from every base model on, with the test at their ends.
 *
 * @param agent    on every rank
 * @param n_seeds  runs on each base model
 */
enum mix_status mix_agent_run_all(struct mix_ranks *ranks, const struct mix_job *job,
                                  const struct mix_agent_trained *agent, size_t n_seeds,
                                  struct mix_agent_campaign *campaign,
                                  const struct mix_campaign_options *options,
                                  struct mix_error *err);

/** Collective: rank 0's agent on every rank; copies are freed with mix_agent_trained_destroy(). */
enum mix_status mix_agent_share(struct mix_ranks *ranks, struct mix_agent_trained **agent,
                                struct mix_error *err);
void mix_agent_trained_destroy(struct mix_agent_trained *agent); /* of a copy; NULL is fine */

/** Whether an agent can steer a run of this job. @return MIX_OK; MIX_EINVAL the sentence says what
 * differs: slots, source slots, decisions */
enum mix_status mix_agent_check_space(const struct mix_agent_space *agent,
                                      const struct mix_agent_space *job, const char *what,
                                      struct mix_error *err);

#ifdef __cplusplus
}
#endif
#endif
