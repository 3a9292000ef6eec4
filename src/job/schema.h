/* SPDX-License-Identifier: GPL-3.0-or-later */
/* schema.h - the job file as libcyaml loads it: every value is the text that
 * the file has.
 *
 * Numbers stay text here because people write 7e9 and 10_000_000 for counts,
 * and because the range of a value is checked with its key at hand. A text is
 * NULL where the key is left out. Free mappings and lists that may be a single
 * value are not here: they are read from the document. Private to src/job/.
 */
#ifndef MIXSWEEP_JOB_SCHEMA_H
#define MIXSWEEP_JOB_SCHEMA_H

#include <cyaml/cyaml.h>

struct raw_domain {
    char *name, *prior, *supply_tokens, *content, *document; /* free: paths */
};

struct raw_target {
    char *name, *unit, *direction, *chance, *weight, *document; /* free: paths */
};

struct raw_match_epochs {
    char *n_tokens;
};

struct raw_design { /* free: replicates */
    char *method, *mixtures, *temperature, *minimum_share, *include_prior, *include_uniform,
        *corner_share, *step, *file, *min_distance, *max_epochs;
    char **strength; /* (2) */
    unsigned n_strength;
    struct raw_match_epochs *match_epochs;
};

struct raw_resources {
    char *nodes, *gpus, *cpus, *mem, *wall;
};

struct raw_scale { /* free: checkpoints */
    char *size, *width, *layers, *heads, *context, *n_params, *n_tokens, *mixtures, *replicates;
    struct raw_resources *resources;
};

struct raw_simulate {
    char *law, *noise, *seed, *delay_s; /* free: params */
};

struct raw_table {
    char *file, *delay;
};

struct raw_command { /* free: argv, launcher, environment, fatal_exit, requeue_exit */
    char *shell, *scrub, *result, *result_file, *run_dir, *keep, *time_limit, *grace, *retries,
        *backoff, *resumable, *slots, *gpus, *cpus, *mem, *max_failures;
    char **loss_range; /* (2) */
    unsigned n_loss_range;
};

struct raw_synthetic {
    char *bytes, *validation_bytes, *shared, *seed;
};

struct raw_embedded {
    char *batch, *learning_rate, *warmup, *decay, *final_rate, *schedule, *weight_decay, *clip,
        *sampling, *validation_bytes, *validation_share, *split_seed, *max_bytes,
        *decay_checkpoints;
    struct raw_synthetic *synthetic;
};

struct raw_sweep {
    char *evaluator;
    struct raw_simulate *simulate;
    struct raw_table *table;
    struct raw_command *command;
    struct raw_embedded *embedded;
};

struct raw_fit {
    char *law, *form, *name, *where, *checkpoints, *targets, *starts, *mask_below, *holdout, *seed;
};

struct raw_bootstrap {
    char *draws, *cluster, *bayesian;
};

struct raw_adaptive {
    char *rounds, *runs, *flops, *worth, *criterion;
};

struct raw_confirm {
    char *seeds, *of;
    struct raw_scale *scales;
    unsigned n_scales;
};

struct raw_online_simulate { /* free: loss, gain, floor */
    char *noise, *decay, *curvature, *seed;
};

struct raw_online_command { /* free: argv */
    char *time_limit, *grace;
};

struct raw_online_options {
    char *rounds, *interval, *sweeps, *smoothing, *eta, *ema, *skillit_eta, *skillit_window,
        *skillit_updates, *doremi_rate, *doremi_smoothing, *doge_mu, *doge_smoothing, *proxy_every,
        *static_runs;
};

struct raw_online { /* free: methods, settings */
    char *name, *seeds, *steps, *trainer, *validation_bytes, *test_bytes, *test_share, *restricted,
        *analysis;
    struct raw_online_simulate *simulate;
    struct raw_online_command *command;
    struct raw_online_options *options;
};

struct raw_agent_base {
    char *tokens, *seeds;
};

struct raw_agent_simulate { /* free: loss, low, high */
    char *rate, *forgetting, *spread, *noise, *seed;
};

struct raw_agent_command { /* free: argv */
    char *time_limit, *grace;
};

struct raw_agent_training { /* free: alpha */
    char *supervised, *updates, *width, *seeds;
};

struct raw_agent_transfer { /* free: source, target */
    char *name, *scale;
};

struct raw_agent { /* free: source, target */
    char *name, *decisions, *tokens, *steps, *trajectories, *learning_rate, *feedback_bytes,
        *test_bytes, *test_share, *trainer, *compare_seeds;
    struct raw_agent_transfer *transfers;
    unsigned n_transfers;
    struct raw_agent_base *base;
    struct raw_agent_simulate *simulate;
    struct raw_agent_command *command;
    struct raw_agent_training *training;
};

struct raw_job { /* free: optimum */
    char *job, *file, *seed, *recipe, *schedule;
    struct raw_domain *domains;
    unsigned n_domains;
    struct raw_target *targets;
    unsigned n_targets;
    struct raw_design *design;
    struct raw_scale *scales;
    unsigned n_scales;
    struct raw_sweep *sweep;
    struct raw_fit *fit;
    struct raw_bootstrap *bootstrap;
    struct raw_adaptive *adaptive;
    struct raw_confirm *confirm;
    struct raw_online *online;
    struct raw_agent *agent;
};

extern const cyaml_schema_value_t job_schema;

#endif
