/* SPDX-License-Identifier: GPL-3.0-or-later */
/* schema.h - the job file as libcyaml loads it: every value is the text that
 * the file has.
 *
 * Numbers stay text here because people write 7e9 and 10_000_000 for counts,
 * and because the range of a value is checked with its key at hand. A text is
 * NULL where the key is left out. Private to src/job/.
 */
#ifndef MIXSWEEP_JOB_SCHEMA_H
#define MIXSWEEP_JOB_SCHEMA_H

#include <cyaml/cyaml.h>

struct raw_domain {
    char *name, *prior, *supply_tokens, *content;
};

struct raw_target {
    char *name, *unit, *direction, *weight;
};

struct raw_design {
    char *mixtures, *temperature, *minimum_share, *include_prior, *include_uniform, *replicates;
    char **strength; /* (2) */
    unsigned n_strength;
};

struct raw_scale {
    char *n_params, *n_tokens, *mixtures;
};

struct raw_simulate {
    char *law, *noise, *seed, *delay_s; /* params is a free mapping, read from the document */
};

struct raw_sweep {
    char *evaluator;
    struct raw_simulate *simulate;
};

struct raw_fit {
    char *law, *form, *name, *where, *checkpoints, *targets, *starts, *mask_below, *holdout, *seed;
};

struct raw_bootstrap {
    char *draws, *cluster, *bayesian;
};

struct raw_optimum {
    char *n_params, *n_tokens, *floor, *baseline, *level; /* weights and caps are free mappings */
};

struct raw_job {
    char *job, *file, *seed, *recipe;
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
    struct raw_optimum *optimum;
};

extern const cyaml_schema_value_t job_schema;

#endif
