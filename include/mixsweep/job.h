/* SPDX-License-Identifier: GPL-3.0-or-later */
/* job.h - the job file: one YAML from design to optimum.
 *
 * Read by schema (libcyaml); unknown keys, wrong types and values out of range are refused with
 * file, line and key. The only module that knows YAML.
 */
#ifndef MIXSWEEP_JOB_H
#define MIXSWEEP_JOB_H

#include "mixsweep/fit.h"
#include "mixsweep/optimum.h"
#include "mixsweep/table.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A scale of the sweep: every mixture is trained at it (or only the first `mixtures` of the
 * design). */
struct mix_job_scale {
    double n_params;
    double n_tokens;
    size_t n_mixtures; /* 0 = all */
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

/** A job. Owns its arrays; free with mix_job_destroy(). */
struct mix_job {
    char name[MIX_NAME_MAX];
    char file[MIX_TEXT_MAX]; /* the HDF5 file */
    char recipe[MIX_NAME_MAX];
    uint64_t seed;
    size_t n_domains;
    struct mix_domain *domains; /* (K) prior sums to 1 */
    size_t n_targets;
    struct mix_target *targets; /* (M) */
    /* design */
    size_t n_mixtures;
    double strength_min,
        strength_max;     /* Dirichlet concentration = strength * prior * K, log-uniform */
    double temperature;   /* prior^(1/temperature), renormalised */
    double minimum_share; /* shares below it become 0 and the rest is renormalised */
    bool include_prior, include_uniform;
    size_t n_replicates; /* seeds per mixture and scale */
    size_t n_scales;
    struct mix_job_scale *scales;
    char evaluator[MIX_UNIT_MAX]; /* "simulate" */
    struct mix_job_simulate simulate;
    /* analysis */
    struct mix_fit_options fit; /* strings owned by the job; law NULL = stage not asked for */
    size_t n_draws;             /* 0 = stage not asked for */
    bool cluster_run;           /* runs are resampled instead of mixtures */
    bool bayesian;
    struct mix_optimum_options optimum; /* arrays owned by the job, weight (M) in the order of the
                                           job's targets; n_params 0 = stage not asked for */
    char *text;                         /* the file as read */
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

/** The planned runs as a table without losses: mixture x scale x replicate, keys set. */
enum mix_status mix_job_plan(const struct mix_job *job, struct mix_table **out,
                             struct mix_error *err);

#ifdef __cplusplus
}
#endif
#endif
