/* SPDX-License-Identifier: GPL-3.0-or-later */
/* agent_compare.h - a data mixing agent against what it has to beat, on equal terms.
 *
 * Equal seeds give all arms the same base model, bytes, optimiser and order of the text, so that
 * their differences are paired. Arms are open loop (a schedule of mixtures known beforehand) or
 * closed loop (the next mixture depends on the losses so far); both are one function that names the
 * next mixture. Trainings are rows of a struct mix_online: what is logged, resumed, stored and
 * exported is what online mixing has.
 *
 * Shapes: D slots, T decisions, S seeds. Losses are nats per token; feedback is minus the loss.
 */
#ifndef MIXSWEEP_AGENT_COMPARE_H
#define MIXSWEEP_AGENT_COMPARE_H

#include "mixsweep/agent.h"
#include "mixsweep/agent_campaign.h"
#include "mixsweep/online_campaign.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- steering ---- */

/** The mixture (D) for decision t, from the mixtures (t,D) and the feedback (t+1,D) so far. */
typedef void (*mix_agent_act_fn)(void *context, size_t t, const double *mixture,
                                 const double *feedback, double *out);

/** A run of T decisions. Arrays are the caller's. */
struct mix_agent_steered {
    double *mixture;  /* (T,D) out */
    double *feedback; /* (T+1,D) out; NaN where nothing was measured */
    double act_s, train_s, measure_s;
};

/**
 * Train from the trainee's beginning, a stretch of `steps` under each mixture. Local.
 *
 * @param every  measure before every decision; false: at the start and the end alone, as an open
 *               loop has no use for it
 * @return MIX_OK; MIX_ENUMERIC it diverged; MIX_EINTERRUPTED
 */
enum mix_status mix_agent_steer(struct mix_trainee *trainee, size_t n_decisions, uint64_t steps,
                                bool every, mix_agent_act_fn act, void *context,
                                struct mix_agent_steered *out, struct mix_poll *poll,
                                struct mix_error *err);

/* ---- what an agent is compared with ---- */

/** `mass` on the target slots, natural shares (D) within the two fields. */
void mix_agent_field(const struct mix_agent_space *space, const double *natural, double mass,
                     double *mixture);

/** Open loop: row t of a schedule (T,D). */
struct mix_agent_schedule {
    size_t n_slots;
    const double *mixture;
};
void mix_agent_schedule_act(void *schedule, size_t t, const double *mixture, const double *feedback,
                            double *out);

/** Dynamic batch loading (Xia et al., arXiv 2310.06694): w_i <- w_i exp(max(0, L_i - Lref_i)),
 * normalised, from equal weights on. */
struct mix_agent_loading {
    size_t n_slots;
    const double *reference; /* (D) Lref */
};
void mix_agent_loading_act(void *loading, size_t t, const double *mixture, const double *feedback,
                           double *out);

/** Coefficients of a quadratic in the shares: D of a_i, then those of a_i a_j, i < j. */
size_t mix_agent_regmix_size(size_t n_slots);
double mix_agent_regmix_value(size_t n_slots, const double *coef, const double *mixture);

/**
 * Ridge regression of u (n) on mixtures (n,D); its strength is the one whose leave-one-out error is
 * least.
 *
 * @return MIX_OK; MIX_EINVAL fewer than three runs; MIX_ENUMERIC; MIX_ENOMEM
 */
enum mix_status mix_agent_regmix_fit(size_t n_slots, size_t n, const double *mixture,
                                     const double *u, double *coef, struct mix_error *err);

/** RegMix's answer (Liu et al., arXiv 2407.01492): the mean of the 100 of 1e5 draws from
 * Dirichlet(1) that the regression likes best. @return MIX_OK; MIX_ENOMEM */
enum mix_status mix_agent_regmix_best(size_t n_slots, const double *coef, uint64_t seed,
                                      double *mixture, struct mix_error *err);

/** The mixture of static run i for RegMix: Dirichlet(1). MIX_ENOMEM */
enum mix_status mix_agent_regmix_draw(size_t n_slots, uint64_t seed, uint64_t i, double *mixture,
                                      struct mix_error *err);

/** The rows of a schedule (T,D) in a random order. MIX_ENOMEM */
enum mix_status mix_agent_shuffle(size_t n_decisions, size_t n_slots, uint64_t seed,
                                  const double *from, double *to, struct mix_error *err);

/** Their mean. */
void mix_agent_time_mean(size_t n_decisions, size_t n_slots, const double *from, double *mean);

/* ---- arms ---- */

/** Numbers of the specification's runs; the static grid is many. */
enum mix_agent_arm {
    MIX_ARM_BASE,     /* no training */
    MIX_ARM_NAIVE,    /* target slots only, natural shares */
    MIX_ARM_UNIFORM,  /* over the slots */
    MIX_ARM_HALF,     /* half source, half target, natural shares */
    MIX_ARM_ORACLE,   /* of the grid .1 ... .9 of target mass, the best on the text for tuning */
    MIX_ARM_REGMIX,   /* its budget: as many static runs as the agent has trajectories */
    MIX_ARM_LOADING,  /* dynamic batch loading */
    MIX_ARM_HAND,     /* target mass from .2 to .8, a straight line */
    MIX_ARM_BEST,     /* the best trajectory of the agent's data, open loop */
    MIX_ARM_CLONED,   /* the agent before reinforcement */
    MIX_ARM_AGENT,    /* as trained, frozen */
    MIX_ARM_BLIND,    /* an agent trained and run without feedback */
    MIX_ARM_MEAN,     /* the mean over time of the agent's mixtures */
    MIX_ARM_SHUFFLED, /* the agent's mixtures in random order */
    MIX_ARM_REPLAYED, /* the agent's mixtures of another seed, open loop */
    MIX_ARMS
};
extern const char *const mix_agent_arm_names[MIX_ARMS]; /* "base", "naive", ... */
enum { MIX_AGENT_GRID = 9 };

/* ---- measures ---- */

/** A run, against the base model and the target-only run of its seed; of (D) losses, in bits per
 * token. */
struct mix_agent_measures {
    double gain;       /* G: mean fall of the target losses */
    double forgetting; /* F: mean rise of the source losses */
    double adaptation; /* A = G / G of the target-only run */
    double retention;  /* R = 1 - F / F of the target-only run */
    double balanced;   /* (A + R) / 2; NaN where that run gains or forgets nothing */
    double utility;    /* u, as the agent's reward has it */
};
struct mix_agent_measures mix_agent_measure(const struct mix_agent_space *space,
                                            const struct mix_agent_scale *scale, const double *base,
                                            const double *naive, const double *loss);

/** The mean of the finite ones of (n) values, with its standard error. */
struct mix_online_figure mix_agent_mean_of(size_t n, const double *values);

enum mix_agent_verdict { MIX_AGENT_LOST = -1, MIX_AGENT_TIED = 0, MIX_AGENT_WON = 1 };
/** More than two standard errors from 0; tied where nothing can be said. */
enum mix_agent_verdict mix_agent_judge(struct mix_online_figure difference);
/** C4: less source text (tokens of the agent less those of the other) at no worse balance. */
enum mix_agent_verdict mix_agent_judge_source(struct mix_online_figure tokens,
                                              struct mix_online_figure balanced);

/** C5: the mixtures of steps that raise a slot's feedback against those of steps that lower it. */
struct mix_agent_contrast {
    size_t n_up, n_down;
    double distance; /* L1, between the mean mixtures */
    double p_value;  /* share of shuffled labels whose distance is as large */
    double target;   /* target mass, up minus down */
};
enum mix_status mix_agent_contrasts(const struct mix_agent_data *data, uint64_t seed,
                                    struct mix_agent_contrast *out, struct mix_error *err);

/** "grid-0.1" for i = 0, ... */
void mix_agent_grid_name(size_t i, char name[MIX_UNIT_MAX]);

/** The row of a run that did not diverge; SIZE_MAX = none. */
size_t mix_agent_find(const struct mix_online *online, const char *setting, const char *method,
                      uint64_t seed);

/** Which of the grid has the highest mean utility over seeds on the text for tuning; SIZE_MAX =
 * there are no runs. */
size_t mix_agent_oracle(const struct mix_agent_space *space, const struct mix_agent_scale *scale,
                        const struct mix_online *online, const char *setting, size_t n_seeds);

/** An arm over seeds. */
struct mix_agent_line {
    struct mix_online_figure gain, forgetting, adaptation, retention, balanced, utility;
    struct mix_online_figure source_tokens, target_tokens;
    struct mix_online_figure behind[2];   /* the agent less this arm: balanced, utility; paired */
    struct mix_online_figure more_source; /* source tokens of the agent less this arm's; paired */
    double train_s;                       /* of a run */
};
struct mix_agent_summary {
    struct mix_agent_line arms[MIX_ARMS];       /* n 0: not there */
    struct mix_agent_line grid[MIX_AGENT_GRID]; /* target mass .1 ... .9 */
    size_t oracle;                              /* of the grid; SIZE_MAX = none yet */
    size_t n_seeds;
};

/**
 * The measures of one setting of a comparison.
 *
 * @param tokens_per_step  of a step of training
 * @param setting          as the rows name it
 */
void mix_agent_summarise(const struct mix_agent_space *space, const struct mix_agent_scale *scale,
                         const struct mix_online *online, const char *setting,
                         double tokens_per_step, struct mix_agent_summary *out);

/* ---- the comparison ---- */

/** What trains: base models, and the texts that are continued on. */
struct mix_agent_world {
    char name[MIX_NAME_MAX]; /* "own", or as the job names a transfer */
    struct mix_key key;    /* of all that makes its losses: texts, model, optimiser, base models */
    uint64_t steps;        /* of training per decision */
    const double *natural; /* (D) shares of the source slots among themselves, of the target slots
                              among themselves */
    void *context;
    /**
     * A trainee that begins at base model number `base`; equal seeds have an equal order of text.
     * Its validation loss is the feedback, its test loss that of the report.
     */
    enum mix_status (*trainee)(void *context, uint64_t base, uint64_t seed,
                               struct mix_trainee **out, struct mix_poll *poll,
                               struct mix_error *err);
    /** Losses (D) on a third text, for tuning what is compared with. */
    enum mix_status (*tune)(void *context, struct mix_trainee *trainee, double *loss,
                            struct mix_poll *poll, struct mix_error *err);
};

/** What is compared in one world, the same on all ranks but for `online`. */
struct mix_agent_compare {
    const struct mix_agent_space *space;
    const struct mix_agent_scale *scale;
    uint64_t seed;
    size_t n_seeds;       /* S; seed s is on base model first_base + s */
    size_t first_base;    /* models before it: the agent's data */
    size_t n_regmix;      /* static runs for RegMix, on base models 0 ... first_base - 1 in turn */
    const double *regmix; /* (D) RegMix's answer from elsewhere, in place of such runs; or NULL */
    const double *best;   /* (T,D) of the data's best trajectory; NULL = the arm is left out */
    struct mix_agent *agent, *cloned, *blind; /* NULL = the arm is left out */
    const struct mix_agent_world *world;
    struct mix_online *online; /* rank 0: of mix_agent_comparison_create() */
};

/** The name that the rows of an agent in a world are kept under: AGENT-WORLD. */
void mix_agent_comparison_name(const char *agent, const char *world, char name[MIX_NAME_MAX]);

/** An empty table for a comparison: T + 1 points, and a hash of all that it depends on. NULL =
 * memory is out. */
struct mix_online *mix_agent_comparison_create(const char *agent,
                                               const struct mix_agent_compare *compare,
                                               const char *trainer,
                                               const char (*slots)[MIX_NAME_MAX]);

/**
 * Collective. Run all that is missing: first what needs no other run, then dynamic batch loading
 * (which needs the target-only run), RegMix and the agent's mixtures without the agent.
 *
 * @return as mix_campaign_run()
 */
enum mix_status mix_agent_compare_run(struct mix_ranks *ranks,
                                      const struct mix_agent_compare *compare,
                                      const struct mix_campaign_options *options,
                                      struct mix_error *err);

/* ---- the settings of a job ---- */

enum { MIX_AGENT_OWN = -1 }; /* the setting that the agent was made in */

/** A setting of a job with the agents of its campaign. Opaque. */
struct mix_agent_setting;

/**
 * Collective. Open a setting, make the base models that it lacks, and bring the agents to every
 * rank: the best one, the supervised and the blind one.
 *
 * @param index     MIX_AGENT_OWN, or one of job->agent.transfers
 * @param campaign  rank 0: with trained agents; NULL elsewhere
 * @return MIX_OK; MIX_ENOTFOUND there is no agent; failures of the trainer
 */
enum mix_status mix_agent_setting_open(struct mix_ranks *ranks, const struct mix_job *job,
                                       int index, struct mix_agent_campaign *campaign,
                                       const struct mix_campaign_options *options,
                                       struct mix_agent_setting **out, struct mix_error *err);
void mix_agent_setting_close(struct mix_agent_setting *setting); /* NULL is fine */

/** What is compared there; its `online` is the caller's to set, and in a transfer `regmix`. */
struct mix_agent_compare *mix_agent_setting_compare(struct mix_agent_setting *setting);
/** The domain in a slot of a setting. */
const char *mix_agent_setting_slot(const struct mix_job *job, int index, size_t slot);
/** Tokens of a step of training there; 1 where the trainer does not say. */
double mix_agent_setting_tokens(const struct mix_job *job, int index);

#ifdef __cplusplus
}
#endif
#endif
