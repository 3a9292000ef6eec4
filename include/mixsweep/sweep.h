/* SPDX-License-Identifier: GPL-3.0-or-later */
/* sweep.h - the stage of proxy runs: evaluators and the sweep over the ranks. */
#ifndef MIXSWEEP_SWEEP_H
#define MIXSWEEP_SWEEP_H

#include "mixsweep/job.h"
#include "mixsweep/task.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What evaluates a proxy run. One file and one table line each. */
struct mix_evaluator {
    const char *name;
    const char *summary;
    /** Make the state (rank-local); MIX_EINVAL with file and key where the job does not suit. */
    enum mix_status (*create)(const struct mix_job *job, void **state, struct mix_error *err);
    /** Evaluate run `row` of the plan: losses (M), run fields status, wall_s, reason. */
    enum mix_status (*evaluate)(void *state, const struct mix_table *plan, size_t row, double *loss,
                                struct mix_run *run, struct mix_poll *poll, struct mix_error *err);
    void (*destroy)(void *state);
};

const struct mix_evaluator *mix_evaluator_find(const char *name);

/**
 * The parameters behind the simulate evaluator: those that the job gives, and for the rest values
 * that language models might have, drawn from the evaluator's seed and the parameter's name.
 *
 * @param job     a job whose evaluator is simulate
 * @param model   from mix_job_model() with the evaluator's law
 * @param params  (P) out: natural parameters
 * @return MIX_OK; MIX_ENOMEM
 */
enum mix_status mix_simulate_truth(const struct mix_job *job, const struct mix_model *model,
                                   double *params, struct mix_error *err);

/**
 * Local. Count the runs of a job and those of them that a table has.
 *
 * @return MIX_OK; MIX_EINVAL the table has other domains or targets than the job; MIX_ENOMEM
 */
enum mix_status mix_sweep_count(const struct mix_job *job, const struct mix_table *table,
                                size_t *n_planned, size_t *n_had, struct mix_error *err);

/**
 * Collective. Evaluate the planned runs that `table` (rank 0) does not have yet; rows are added to
 * it.
 *
 * @param log_dir  folder of the logs, or NULL
 * @return MIX_OK; MIX_EINTERRUPTED (what is finished is in `table`); MIX_EINVAL; MIX_EIO
 */
enum mix_status mix_sweep_run(struct mix_ranks *ranks, const struct mix_job *job,
                              struct mix_table *table, const char *log_dir,
                              mix_progress_fn progress, void *progress_context,
                              struct mix_error *err);

#ifdef __cplusplus
}
#endif
#endif
