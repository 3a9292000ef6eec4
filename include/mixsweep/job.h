/* SPDX-License-Identifier: GPL-3.0-or-later */
/* job.h - the job file: one YAML from design to optimum.
 *
 * Read by schema (libcyaml); unknown keys, wrong types and values out of range are refused with
 * file, line and key. The only module that knows YAML.
 */
#ifndef MIXSWEEP_JOB_H
#define MIXSWEEP_JOB_H

#include "mixsweep/corpus.h"
#include "mixsweep/fit.h"
#include "mixsweep/next.h"
#include "mixsweep/optimum.h"
#include "mixsweep/proxy.h"
#include "mixsweep/table.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { MIX_CHECKPOINTS_MAX = 32, MIX_GROUPS_MAX = 64 };

/** What one run of a scale needs of the cluster (command evaluator). */
struct mix_job_resources {
    int n_nodes, gpus, cpus; /* gpus, cpus, mem_bytes: on each node; 0 = not said */
    double mem_bytes;
    double wall_s; /* how long a run may take; NaN = not said */
};

/** A scale of the sweep: every mixture is trained at it (or only the first `mixtures` of the
 * design). */
struct mix_job_scale {
    double n_params;
    double n_tokens;
    size_t n_mixtures;   /* 0 = all */
    bool is_added;       /* by mix_job_add_scale(): the design has no run here */
    size_t n_replicates; /* seeds of the first n_replicated mixtures here, the others have one */
    size_t n_replicated; /* SIZE_MAX = all */
    size_t n_checkpoints;
    double checkpoints[MIX_CHECKPOINTS_MAX]; /* tokens, ascending, the last is n_tokens */
    struct mix_job_resources resources;
    struct mix_proxy_shape shape;       /* embedded evaluator; width 0 = not given */
    struct mix_trainer_options trainer; /* where a shape is given: its defaults and what the job
                                           says; seed and isa are the run's */
};

/** The simulate evaluator: losses of a known law plus seeded Gaussian noise. */
struct mix_job_simulate {
    char law[MIX_UNIT_MAX];
    double noise;    /* standard deviation, relative to the loss */
    uint64_t seed;   /* the true parameters are drawn from this seed where none are given */
    size_t n_params; /* P given, or 0 */
    char (*param_names)[2 * MIX_NAME_MAX]; /* (P) */
    double *params;                        /* (P) */
    double delay_s;                        /* pretended duration of a run */
};

enum mix_keep { MIX_KEEP_FAILED = 0, MIX_KEEP_ALL = 1, MIX_KEEP_NONE = 2 };
enum mix_result_source { MIX_RESULT_FILE = 0, MIX_RESULT_STDOUT = 1, MIX_RESULT_NONE = 2 };

/** The command evaluator: any command per run. */
struct mix_job_command {
    size_t n_argv;
    char **argv;     /* (n_argv + 1) with placeholders {name}; NULL behind the last */
    char **launcher; /* put before argv, placeholders too: srun --exact ...; NULL = none: ranks
                        start the command themselves */
    size_t n_launcher;
    bool shell; /* argv is one text for /bin/sh -c */
    size_t n_environment;
    char (*environment)[MIX_NAME_MAX]; /* (n_environment) names */
    char **environment_value;
    bool scrub; /* take MPI's and the step's variables out of the child's environment */
    enum mix_result_source result;
    char result_file[MIX_NAME_MAX]; /* within the run folder */
    char run_dir[MIX_TEXT_MAX];     /* folder of the run folders; $NAME is expanded; "S.h5.runs" */
    enum mix_keep keep;
    double time_limit_s; /* INFINITY = none; resources.wall of a scale comes before it */
    double grace_s;      /* between SIGTERM and SIGKILL */
    size_t n_retries;    /* attempts after the first failure */
    double backoff_s;    /* before the first retry; doubles, at most 10 minutes */
    size_t n_fatal;
    int fatal[16]; /* exit codes: do not retry */
    size_t n_requeue;
    int requeue[16];  /* exit codes: start me again, this was no failure (75 unless said) */
    bool resumable;   /* continues from its own checkpoint in its run folder */
    int slots;        /* runs at once on a rank (or, with a launcher, in all; 0 = what fits) */
    int gpus, cpus;   /* of a node that the ranks on it share; -1 = found out */
    double mem_bytes; /* of a node; 0 = not counted */
    double loss_min, loss_max; /* a loss outside is a failure */
    size_t max_failures;       /* end the sweep after so many failed runs; 0 = never */
};

/** The table evaluator: replays recorded runs. */
struct mix_job_table {
    char file[MIX_TEXT_MAX]; /* a sweep file or CSV */
    double delay_s;          /* pretended duration of a run */
};

/** The embedded evaluator: trains the models of proxy.h. */
struct mix_job_embedded {
    bool
        decay_checkpoints; /* a checkpoint's loss is that of a model whose rate has decayed there */
    struct mix_corpus_options corpus;
    bool is_synthetic;
    struct mix_corpus_synthetic synthetic;
};

/** The check of the optimum: it, the baseline and others are trained at larger scales. */
struct mix_job_confirm {
    size_t n_scales; /* 0 = the optimum's own scale */
    struct mix_job_scale *scales;
    size_t n_seeds; /* of every mixture, the same for all: differences are paired; 0 = no section
                       confirm */
    size_t of;      /* which of the job's optima */
};

/** Runs that are chosen after the design's, round by round (next.h): each by the fit, the draws and
 * the optimum of all runs before it, at the scales of the job. */
struct mix_job_adaptive {
    size_t n_rounds; /* at most; 0 = no section adaptive */
    size_t n_runs;   /* in a round, at most */
    double flops;    /* of a round, at most; INFINITY = no limit */
    double worth;    /* see struct mix_next_options */
    enum mix_next_criterion criterion;
};

/** What trains under an online mixer. */
enum mix_online_trainer {
    MIX_ONLINE_EMBEDDED = 0,
    MIX_ONLINE_SIMULATE = 1,
    MIX_ONLINE_COMMAND = 2 /* an external trainer */
};

/** Domains that are mixed with one another. */
struct mix_job_setting {
    size_t n_groups;
    size_t *domain;          /* (n_groups) of the job; at most MIX_GROUPS_MAX */
    char name[MIX_TEXT_MAX]; /* "web+code" */
};

/** The world of the simulated trainer; arrays are NULL where they are drawn from the seed. */
struct mix_job_world {
    double *loss;  /* (K) at the start */
    double *gain;  /* (K,K) drop of the row's loss in a run of S steps on the column alone */
    double *floor; /* (K) */
    double noise, decay, curvature;
    uint64_t seed;
};

/** What the job says of struct mix_method_options; NaN = the default for the setting. */
struct mix_job_mixer {
    double rounds, interval, sweeps, smoothing, eta, ema;
    double skillit_eta, skillit_window, skillit_updates;
    double doremi_rate, doremi_smoothing, doge_mu, doge_smoothing, proxy_every, static_runs;
};

/** Online mixing: methods x settings x seeds. */
struct mix_job_online {
    char name[MIX_NAME_MAX]; /* of the result; empty = no section online */
    size_t n_methods;
    char **methods; /* (n_methods) the first is stratified */
    size_t n_settings;
    struct mix_job_setting *settings;
    size_t n_seeds;
    uint64_t n_steps; /* S */
    bool restricted;  /* also with at most S / 2 extra steps, alone and before Aioli */
    bool analysis;    /* also: do the laws hold, how near is a method's A to the optimal one */
    enum mix_online_trainer trainer;
    struct mix_trainer_options options; /* embedded: of the first scale; seed and isa are the run's
                                         */
    double test_share;
    size_t test_bytes;
    struct mix_job_world world;
    size_t n_argv;
    char **argv; /* (n_argv + 1) NULL behind the last */
    double answer_s, grace_s;
    struct mix_job_mixer mixer;
};

enum { MIX_ALPHAS_MAX = 16 };

/** The world of the agent's simulated trainer (agent.h); arrays (D) are NULL where not given. */
struct mix_job_forgetting {
    double *loss, *low, *high;
    double rate, forgetting; /* per decision */
    double spread;           /* deviation of the logarithms of rates and ranges over base models */
    double noise;
    uint64_t seed;
};

/** Another setting for an agent that is trained already: other domains in some slots, or another
 * model. */
struct mix_job_transfer {
    char name[MIX_UNIT_MAX];
    size_t *slots; /* (n_slots) */
    size_t scale;  /* of the job's */
};

/** The Data Mixing Agent: base models, trajectories, and how agents are trained. */
struct mix_job_agent {
    char name[MIX_NAME_MAX]; /* of the result; empty = no section agent */
    size_t n_slots, n_source;
    size_t *slots; /* (n_slots) domains of the job, those of the source field first */
    size_t n_bases;
    uint64_t base_steps; /* embedded */
    size_t n_decisions;
    uint64_t n_steps; /* of a run, a multiple of n_decisions */
    size_t n_trajectories;
    enum mix_online_trainer trainer;
    struct mix_trainer_options options; /* embedded: of the first scale, for base models; seed,
                                           steps and isa are the run's */
    double learning_rate;               /* of runs: warmed up, then constant */
    double test_share;                  /* of the parts select and test each */
    size_t test_bytes;
    struct mix_job_forgetting world;
    size_t n_argv;
    char **argv; /* (n_argv + 1) NULL behind the last */
    double answer_s, grace_s;
    /* training of agents; 0 = the default of mix_agent_defaults() */
    size_t n_supervised, n_updates, width, n_alphas;
    double alpha[MIX_ALPHAS_MAX];
    size_t n_seeds;
    /* comparison */
    size_t n_compare_seeds, n_transfers;
    struct mix_job_transfer *transfers; /* (n_transfers) */
};

/** Files behind a domain or target (embedded evaluator). */
struct mix_job_source {
    size_t n_paths;
    char **paths;
    enum mix_corpus_document document;
};

/** Where the mixtures of a design come from. */
enum mix_design_method {
    MIX_DESIGN_DIRICHLET = 0,
    MIX_DESIGN_SOBOL = 1,   /* the same distribution, spread evenly; at most 40 domains */
    MIX_DESIGN_LATTICE = 2, /* all mixtures whose shares are multiples of a step, in random order */
    MIX_DESIGN_FILE = 3     /* a list of mixtures */
};

/** A run of a list that says at which scale each is. */
struct mix_job_listed {
    size_t mixture, scale, replicate;
    int round; /* 0 = the design */
};

/** A job. Owns its arrays; free with mix_job_destroy(). */
struct mix_job {
    char name[MIX_NAME_MAX];
    char file[MIX_TEXT_MAX]; /* the HDF5 file */
    char recipe[MIX_NAME_MAX];
    uint64_t seed;
    size_t n_domains;
    struct mix_domain *domains;            /* (K) prior sums to 1 */
    struct mix_job_source *domain_sources; /* (K) n_paths 0 = none */
    size_t n_targets;
    struct mix_target *targets;            /* (M) */
    struct mix_job_source *target_sources; /* (M) of targets that are no domains */
    /* design */
    enum mix_design_method method;
    size_t n_mixtures;
    double strength_min,
        strength_max;     /* Dirichlet concentration = strength * prior * K, log-uniform */
    double temperature;   /* prior^(1/temperature), renormalised */
    double minimum_share; /* shares below it become 0 and the rest is renormalised */
    bool
        has_design; /* false: a job for online mixing or an agent alone, with the prior as design */
    bool include_prior, include_uniform;
    double corner_share; /* 0 = none; else for each domain a mixture in which it has this share */
    double step;         /* method lattice: shares are multiples of it */
    size_t n_listed;     /* method file */
    double *listed;      /* (n_listed,K) */
    size_t n_listed_runs;
    struct mix_job_listed *listed_runs; /* (n_listed_runs) take the place of every mixture at every
                                           scale; NULL = none */
    double min_distance;                /* between two mixtures: half the sum of |differences| */
    double max_epochs;                  /* passes over a domain at any scale; INFINITY = no limit */
    double match_tokens; /* tokens of the run whose passes the proxies are to have; NaN = none */
    size_t n_scales;
    struct mix_job_scale *scales;
    char evaluator[MIX_UNIT_MAX]; /* "simulate", "table", "command", "embedded" */
    struct mix_job_simulate simulate;
    struct mix_job_table table;
    struct mix_job_command command;
    struct mix_job_embedded embedded;
    char schedule[MIX_UNIT_MAX]; /* learning-rate schedule of all runs, part of their identity */
    struct mix_table *chosen; /* the ends of runs chosen since, by mix_job_take_chosen(); or NULL */
    /* a plan of other mixtures than the design's, for confirm; never read from the file */
    size_t n_given;
    const double *given;             /* (n_given,K) take the place of the design */
    bool paired_seeds;               /* seeds depend on scale and replicate alone */
    const struct mix_job *confirmed; /* the job as it was read, or NULL: this is it */
    /* analysis */
    struct mix_fit_options fit; /* strings owned by the job; law NULL = stage not asked for */
    size_t n_draws;             /* 0 = stage not asked for */
    bool cluster_run;           /* runs are resampled instead of mixtures */
    bool bayesian;
    size_t n_optima;                    /* 0 = stage not asked for */
    struct mix_optimum_options *optima; /* (n_optima) names and arrays owned by the job, weight (M)
                                           in the order of the job's targets, NaN = not named;
                                           rounds of chosen runs are for the first */
    struct mix_job_adaptive adaptive;
    struct mix_job_confirm confirm;
    struct mix_job_online online;
    struct mix_job_agent agent;
    char *text; /* the file as read */
};

/**
 * Read the text of a job file: at most 1 MB without zero bytes. The caller frees it.
 *
 * @return MIX_OK; MIX_ENOTFOUND; MIX_EIO; MIX_EINVAL too long or not text; MIX_ENOMEM
 */
enum mix_status mix_job_text(const char *path, char **out, struct mix_error *err);

/**
 * Make a job from its text, so that one rank reads the file and all know the job.
 *
 * @param path  for messages
 * @param text  the YAML
 * @param out   out: the job; free with mix_job_destroy()
 * @return MIX_OK; MIX_EINVAL ("FILE, line L, key KEY: the value, what is allowed"); MIX_ENOMEM
 */
enum mix_status mix_job_parse(const char *path, const char *text, struct mix_job **out,
                              struct mix_error *err);

/** mix_job_text() and mix_job_parse(). */
enum mix_status mix_job_read(const char *path, struct mix_job **out, struct mix_error *err);
void mix_job_destroy(struct mix_job *job);

/** A law for the domains, targets and sizes of the job, with all its terms. Free with
 * mix_model_destroy(). */
enum mix_status mix_job_model(const struct mix_job *job, const char *law, int form,
                              struct mix_model **out, struct mix_error *err);

/**
 * The design: mixtures (n_mixtures,K) on a lattice of 1e-6, distinct. Depends on seed and design
 * keys alone; the first n mixtures of a larger design are the design of n.
 */
enum mix_status mix_job_design(const struct mix_job *job, double *mixtures, struct mix_error *err);

/**
 * Plan beside the design the runs that a table says were chosen in rounds: those of the job's
 * recipe and schedule at one of its scales. Their rows are there before they run.
 *
 * @return MIX_OK, also where the table is NULL or of other domains; MIX_ENOMEM
 */
enum mix_status mix_job_take_chosen(struct mix_job *job, const struct mix_table *table,
                                    struct mix_error *err);

/** A job that has the domains and targets of a table and nothing else, for runs that are made
 * outside beside those of an imported file. Free with mix_job_destroy(). */
enum mix_status mix_job_of_table(const struct mix_table *table, const char *file,
                                 struct mix_job **out, struct mix_error *err);

/** The scale of a job with these sizes, appended with one checkpoint where there is none; its
 * number in *scale. */
enum mix_status mix_job_add_scale(struct mix_job *job, double n_params, double n_tokens,
                                  size_t *scale, struct mix_error *err);

/**
 * The row of a run to be chosen, as not begun: a further seed where the mixture has runs at the
 * scale.
 *
 * @param job      the job; its chosen runs are those of `table`
 * @param table    in and out: the runs; the row is appended
 * @param scale    of the job
 * @param mixture  (K) as asked for, or as a run of the table realised it
 * @param round    from 1
 * @return MIX_OK; MIX_EINVAL job and table are not of the same domains and targets; MIX_ENOMEM
 */
enum mix_status mix_job_choose(const struct mix_job *job, struct mix_table *table, size_t scale,
                               const double *mixture, int round, struct mix_error *err);

/**
 * The planned runs, made one by one: a plan of a million runs holds its mixtures only. Runs come in
 * the order of their cost, the dearest first.
 */
struct mix_plan;
enum mix_status mix_plan_create(const struct mix_job *job, struct mix_plan **out,
                                struct mix_error *err);
void mix_plan_destroy(struct mix_plan *plan);
size_t mix_plan_n_runs(const struct mix_plan *plan);

/** Run `i`: identity (key, name, seed, sizes, schedule, recipe) and FLOPs, other fields as
 * mix_table_append() leaves them. The key is that of the last checkpoint; those of the others come
 * from mix_run_key() with their n_tokens. */
struct mix_planned {
    struct mix_run run;
    size_t scale;          /* of the job */
    const double *mixture; /* (K), borrowed from the plan */
};
void mix_plan_run(const struct mix_plan *plan, size_t i, struct mix_planned *out);

/** Runs at a scale: mixtures, and further seeds of some. */
size_t mix_job_n_runs(const struct mix_job *job, const struct mix_job_scale *scale);

/** FLOPs of a run: 6 n_params n_tokens, or those of the embedded proxy where a shape is given. */
double mix_job_flops(const struct mix_job_scale *scale);

/**
 * The part of a domain's text that a run of this scale is to train on, so that it sees each
 * document as often as the run of design.match_epochs will: n_tokens / match_tokens, at most 1. 1
 * where nothing is matched and for a domain whose supply is not known.
 */
double mix_job_subsample(const struct mix_job *job, const struct mix_job_scale *scale,
                         size_t domain);

/** The planned runs as a table without losses, keys set: one row per run. */
enum mix_status mix_job_plan(const struct mix_job *job, struct mix_table **out,
                             struct mix_error *err);

#ifdef __cplusplus
}
#endif
#endif
