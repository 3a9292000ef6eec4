/* SPDX-License-Identifier: GPL-3.0-or-later */
/* plan_impl.h - what a plan comes to, for the verb plan to print. Private to src/cli/. */
#ifndef MIXSWEEP_CLI_PLAN_IMPL_H
#define MIXSWEEP_CLI_PLAN_IMPL_H

#include "mixsweep/job.h"
#include "mixsweep/sweep.h"

enum { PLAN_WARNINGS_MAX = 24 };

/** What is asked besides the job. */
struct plan_options {
    double flops_rate; /* FLOP/s of a GPU; NaN = 4e14, or not asked for where runs train here */
    size_t slots;      /* runs at once; 0 = those of sweep.command, else 1 */
    size_t n_nodes;    /* 0 = those of the run that takes most */
};

/** What runs cost. */
struct plan_cost {
    size_t n_runs;
    double flops, gpu_hours; /* gpu_hours NaN = not asked for */
    double wall_s; /* of all runs one after the other, as declared; NaN = not declared for all */
    double makespan_s; /* on the slots and nodes; NaN also where a run does not fit */
};

/** Valid runs in the job's file that its plan has not; a fit sees them too. */
struct plan_others {
    size_t n;
    size_t n_mixtures; /* that the job has not */
    size_t n_losses;
    double *mixture;             /* (n,K) */
    double *n_params, *n_tokens; /* (n) */
    bool is_replicated;          /* some run of the file has two seeds */
};

/** The numbers that text and JSON both show. K domains, S scales. */
struct plan_summary {
    struct mix_job *job;
    struct mix_plan *plan;
    struct plan_options options;
    double *mixtures;     /* (n_mixtures,K) */
    double *share_min;    /* (K) over the mixtures */
    double *share_mean;   /* (K) */
    double *share_max;    /* (K) */
    double *epochs_max;   /* (K) passes, over all scales; NaN = supply unknown */
    size_t *epochs_scale; /* (K) where that is */
    double *distance;     /* (n_mixtures) half the sum of |share - prior|, ascending */
    double nearest;       /* least distance between two mixtures; NaN = there is one only */
    double n_effective;   /* mixtures, those nearer than 0.1 to each other counted in part */
    bool has_rank;
    size_t rank, n_free; /* parameters of the law that the runs tell apart, of how many; n_free 0 =
                            no section fit */
    size_t *n_runs, *n_left;          /* (S) of the plan */
    struct plan_cost all, left;       /* left: of the runs that the job's file does not have */
    struct mix_sweep_progress counts; /* of the file; n_done + n_failed + n_again 0 = it has none */
    uint8_t *over;                    /* (n_runs) 1 = the file has it */
    struct plan_others others;        /* of the file */
    size_t slots, n_nodes;            /* slots 0 = what fits, or one per rank */
    double n_inodes; /* of run folders when all is done without a failure; 0 = none */
    size_t n_warnings;
    char warnings[PLAN_WARNINGS_MAX][MIX_TEXT_MAX];
};

enum mix_status plan_summarise(const char *path, const struct plan_options *options,
                               struct plan_summary *s, struct mix_error *err);
void plan_summary_free(struct plan_summary *s);

/** Make the plan and fill what the job's file says of it. */
enum mix_status plan_measure_file(struct plan_summary *s, struct mix_error *err);
void plan_others_free(struct plan_others *others);

/** Warn of what runs of sweep.command would fail by: placeholders and programs that are not there.
 */
enum mix_status plan_check_command(struct plan_summary *s, struct mix_error *err);

/** Add a warning. */
void plan_warn(struct plan_summary *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
