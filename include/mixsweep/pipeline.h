/* SPDX-License-Identifier: GPL-3.0-or-later */
/* pipeline.h - a whole job, stage by stage: sweep, fit, bootstrap, optimum, and again in rounds;
 * then the check of the optimum.
 *
 * Each stage is skipped where the file has its result already, made from the same numbers with the
 * same options; what a stage makes is in the file before the next one begins. Runs are known by
 * what they are, so they stay whatever the job file becomes; a fit whose options or runs have
 * changed is made anew, and with it all that was made from it.
 */
#ifndef MIXSWEEP_PIPELINE_H
#define MIXSWEEP_PIPELINE_H

#include "mixsweep/confirm.h"
#include "mixsweep/job.h"
#include "mixsweep/store.h"
#include "mixsweep/sweep.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A job being carried out. Visible so that a program can print what it has; made by
 * mix_pipeline_open(). */
struct mix_pipeline {
    struct mix_ranks *ranks;     /* borrowed */
    struct mix_job *job;         /* on all ranks */
    struct mix_store *store;     /* rank 0 only */
    struct mix_table *table;     /* rank 0; all ranks after the fit */
    struct mix_fit *fit;         /* all ranks after the fit, or NULL */
    struct mix_draws *draws;     /* all ranks after the bootstrap, or NULL */
    struct mix_optimum **optima; /* (job->n_optima) on rank 0, in the job's order, or NULL where
                                    they are not made yet */
    size_t n_others;
    struct mix_fit **others; /* (n_others) rank 0, with the optimum: all fits of the file */
    struct mix_sweep_options options;
    struct mix_sweep_progress runs; /* on rank 0: what the file had when it was opened, then what it
                                       has after the sweep */
    bool skipped;                   /* the last stage found its result in the file */
    char notice[MIX_TEXT_MAX];      /* what the last stage made anew and why; empty where nothing */
};

/**
 * Collective. Read the job on rank 0, open its file and count what is there.
 *
 * @param ranks       ranks to use; NULL = this process alone
 * @param path        the job file; read by rank 0
 * @param break_lock  see mix_store_open()
 * @param options     of the sweep; copied; NULL = all runs, without a look at the wall time
 * @param out         out: free with mix_pipeline_close()
 * @return as mix_job_text(), mix_job_parse(), mix_store_open(); equal on all ranks
 */
enum mix_status mix_pipeline_open(struct mix_ranks *ranks, const char *path, bool break_lock,
                                  const struct mix_sweep_options *options,
                                  struct mix_pipeline **out, struct mix_error *err);

/** Local. Release the file and free; NULL is fine. */
void mix_pipeline_close(struct mix_pipeline *pipeline);

/**
 * Collective. Evaluate the runs that are missing.
 *
 * @return MIX_OK; MIX_EINTERRUPTED what is finished is in the file; MIX_EINVAL the file holds runs
 * of other domains or targets; MIX_EIO
 */
enum mix_status mix_pipeline_sweep(struct mix_pipeline *pipeline, struct mix_error *err);

/** Collective. After the sweep: the fit that the job asks for; does nothing where it asks for none.
 */
enum mix_status mix_pipeline_fit(struct mix_pipeline *pipeline, mix_progress_fn progress,
                                 void *progress_context, struct mix_error *err);

/** Collective. After the fit: the draws that are missing; does nothing where none are asked for. */
enum mix_status mix_pipeline_bootstrap(struct mix_pipeline *pipeline, mix_progress_fn progress,
                                       void *progress_context, struct mix_error *err);

/** Collective. After the bootstrap: the optima, one after the other, or the first alone where a
 * round is left, which is chosen for that one; does nothing where none is asked for. */
enum mix_status mix_pipeline_optimum(struct mix_pipeline *pipeline, struct mix_error *err);

/** Collective. The others, where mix_pipeline_optimum() has left them; mix_pipeline_choose() calls
 * it where it chooses no runs. */
enum mix_status mix_pipeline_other_optima(struct mix_pipeline *pipeline, struct mix_error *err);

/** Rounds of chosen runs that the file has, and whether the job allows another. */
int mix_pipeline_rounds(const struct mix_pipeline *pipeline);
bool mix_pipeline_round_left(const struct mix_pipeline *pipeline);

/**
 * Collective. After the optimum, where the job has a section adaptive and rounds are left: choose
 * the runs of the next one (next.h) and put them into the file as not begun, unless they do not
 * pay. Then fit, draws and optimum are no longer there, and the sweep is the next stage again.
 *
 * @param next     out: on rank 0 the proposal, NULL elsewhere and where no round is left; free with
 * mix_next_destroy()
 * @param goes_on  out: on all ranks, whether there are new runs
 * @return MIX_OK; as mix_next_propose(); MIX_EIO
 */
enum mix_status mix_pipeline_choose(struct mix_pipeline *pipeline, mix_progress_fn progress,
                                    void *progress_context, struct mix_next **next, bool *goes_on,
                                    struct mix_error *err);

/**
 * Collective. Train what the job's section confirm asks for (without one: the optimum's target
 * scale, 3 seeds) and compare: confirm.h.
 *
 * @param pipeline  open; its fit, draws and optimum are read from the file where it has none yet
 * @param out       out on rank 0: free with mix_confirmation_destroy(); NULL elsewhere
 * @return MIX_OK; MIX_ENOTFOUND no optimum in the file; MIX_EINVAL the job fits no law, or as
 * mix_confirming_job(); MIX_EINTERRUPTED
 */
enum mix_status mix_pipeline_confirm(struct mix_pipeline *pipeline,
                                     const struct mix_sweep_options *options,
                                     struct mix_confirmation **out, struct mix_error *err);

#ifdef __cplusplus
}
#endif
#endif
