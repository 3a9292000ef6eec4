/* SPDX-License-Identifier: GPL-3.0-or-later */
/* sweep.h - the stage of proxy runs: evaluators and the sweep over the ranks.
 *
 * A planned run is evaluated to one row per checkpoint. All rows of a run go into one record of the
 * rank's log (MIX_LOG_RESULT), so that a run is there whole or not at all; rank 0 folds the logs
 * into the file at intervals and at the end. Rank 0 keeps no results in memory while it sweeps.
 *
 * A run is over when its last checkpoint is there, or when it has failed for good: as often as the
 * job allows, or in a way that would come out the same again. `attempts` of a row counts failed
 * attempts and the one that ended well; an interruption is none.
 */
#ifndef MIXSWEEP_SWEEP_H
#define MIXSWEEP_SWEEP_H

#include "mixsweep/farm.h"
#include "mixsweep/job.h"
#include "mixsweep/store.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A planned run, as an evaluator is asked for it. */
struct mix_request {
    const struct mix_job *job;
    const struct mix_job_scale *scale;
    struct mix_run run;    /* identity, sizes, seed; attempts: of this one, from 1 */
    const double *mixture; /* (K) asked for */
};

/**
 * Append the row of a checkpoint: identity of the run, n_tokens, mixture, epochs; losses NaN,
 * status done.
 *
 * @return index of the row, or SIZE_MAX when memory is out
 */
size_t mix_request_row(const struct mix_request *request, struct mix_table *rows, double n_tokens);

/** Append the one row of a run that failed or was interrupted, with the reason (cut to fit). */
enum mix_status mix_request_failed(const struct mix_request *request, struct mix_table *rows,
                                   enum mix_run_status status, const char *reason,
                                   struct mix_error *err);

/** Why the run of a row has failed, whole where the row itself has a part of it. Free with free();
 * NULL when memory is out. */
char *mix_run_reason(const struct mix_table *table, size_t row);

/** Where a child runs. */
struct mix_seat {
    int n_nodes;
    char *nodelist; /* "n1,n2" */
    char *gpu_ids;  /* for CUDA_VISIBLE_DEVICES; NULL = leave that as it is */
    int index;      /* see struct mix_placement */
};

/** What evaluates proxy runs. One file and one table line each. Either `evaluate` (in process) or
 * the four of child processes are set. */
struct mix_evaluator {
    const char *name;
    const char *summary;
    /** Make the state of this rank; MIX_EINVAL with file and key where the job does not suit. */
    enum mix_status (*create)(const struct mix_job *job, void **state, struct mix_error *err);
    void (*destroy)(void *state);
    /** What is behind the name of a domain: "text:" and a hash of the text that a run is trained
     * and measured on, "files:" and one of the files; empty = not known. NULL = never known. The
     * sweep keeps it in the file and refuses to mix runs of other text with those that are there.
     */
    void (*content)(const void *state, size_t domain, char out[MIX_NAME_MAX]);
    /** Compute the rows of a run. A run that fails (diverged, no such row) is a row with that
     * status; a status other than MIX_OK ends the sweep. */
    enum mix_status (*evaluate)(void *state, const struct mix_request *request,
                                struct mix_table *rows, struct mix_poll *poll,
                                struct mix_error *err);
    /** Run it as a child: see struct mix_farm. The request stays until the run has ended; `check`
     * fills rows when the attempt has ended, but not end->record. */
    enum mix_status (*start)(void *state, const struct mix_request *request,
                             const struct mix_seat *seat, void **run, struct mix_error *err);
    enum mix_status (*check)(void *state, void *run, bool stop, struct mix_attempt_end *end,
                             struct mix_table *rows, struct mix_error *err);
    int (*descriptor)(void *state, void *run, double *check_s);
    void (*abandon)(void *state, void *run);
};

const struct mix_evaluator *mix_evaluator_find(const char *name);

/**
 * The parameters behind the simulate evaluator: those that the job gives, and for the rest values
 * that language models might have, drawn from the evaluator's seed and the parameter's name.
 *
 * @param job     a job whose evaluator is simulate
 * @param model   from mix_job_model() with the evaluator's law
 * @param params  (P) out: natural parameters
 * @return MIX_OK; MIX_EINVAL a law of which such values are not known, and a parameter that the job
 * does not give; MIX_ENOMEM
 */
enum mix_status mix_simulate_truth(const struct mix_job *job, const struct mix_model *model,
                                   double *params, struct mix_error *err);

/**
 * Local. Seconds until all planned runs are over where each lasts as declared (resources.wall) and
 * they start as a sweep starts them, on equal nodes with the CPUs, GPUs and memory that the job
 * says a node has (GPUs, where it does not: as many as the run that takes most).
 *
 * @param over   (n_runs) runs that take no time any more; NULL = none
 * @param slots  runs at once on all nodes; 0 = what fits
 * @return MIX_OK; MIX_EINVAL the runs of a scale fit nowhere (sentence says which), or without
 * limit; MIX_ENOMEM
 */
enum mix_status mix_sweep_makespan(const struct mix_job *job, const struct mix_plan *plan,
                                   const uint8_t *over, int n_nodes, int slots, double *out_s,
                                   struct mix_error *err);

/** The runs of a job at once on a rank, with a launcher in all; 0 = what fits. Where the job says
 * nothing and a run takes nothing that is counted: 1. */
int mix_sweep_slots(const struct mix_job *job);

/** How far a sweep is. */
struct mix_sweep_progress {
    size_t n_planned;            /* runs of this job (of this shard) */
    double flops;                /* of the planned runs */
    size_t n_done, n_failed;     /* over, those before this sweep included */
    size_t n_running, n_waiting; /* not over */
    size_t n_again;              /* of these those that have failed before; 0 while a sweep runs */
    double n_tokens;             /* of the runs that were done in this sweep */
    double elapsed_s, left_s;    /* NaN = unknown */
    double best_loss; /* least weighted mean loss of a run finished in this sweep at the largest
                         scale; NaN = none yet */
    char best_run[MIX_NAME_MAX];
};
typedef void (*mix_sweep_progress_fn)(void *context, const struct mix_sweep_progress *progress);

struct mix_sweep_options {
    double stop_before_s;   /* seconds before the wall time's end; NaN = do not look at it */
    size_t shard, n_shards; /* only runs with key % n_shards = shard; n_shards 0 = all */
    bool retry_failed;      /* failed runs are begun anew, their attempts forgotten */
    double fold_s;          /* seconds between folds at least; 0 = 60 */
    mix_sweep_progress_fn progress; /* called on rank 0; may be NULL */
    void *progress_context;
};

/** "job.h5" and the second shard of four: "job.2-of-4.h5". `shard` counts from 0. MIX_EINVAL where
 * that is too long. */
enum mix_status mix_shard_file(const char *file, size_t shard, size_t n_shards,
                               char out[MIX_TEXT_MAX], struct mix_error *err);
/** What mix_shard_file() has made of a name; n_shards 0 = this is the file of the whole job. */
void mix_shard_of_file(const char *file, size_t *shard, size_t *n_shards);
/** Whether a run belongs to a shard; n_shards 0 = all do. */
bool mix_shard_has(size_t shard, size_t n_shards, struct mix_key key);

/** Whether nothing is to be done for the run that ended in this row: it is done, or it failed for
 * good or as often as the job allows. */
bool mix_sweep_is_over(const struct mix_job *job, const struct mix_table *table, size_t row);

/** Local. The vectors of a table have the order of its names: both must be the job's. `path` is of
 * the table's file. MIX_EINVAL names what is only in one of them. */
enum mix_status mix_sweep_check_names(const struct mix_job *job, const char *path,
                                      const struct mix_table *table, struct mix_error *err);

/**
 * Local. Count the planned runs by what a table has of them.
 *
 * @return MIX_OK; MIX_EINVAL the table has other domains or targets than the job, or runs that were
 * simulated otherwise; MIX_ENOMEM
 */
enum mix_status mix_sweep_count(const struct mix_job *job, const struct mix_table *table,
                                const struct mix_sweep_options *options,
                                struct mix_sweep_progress *out, struct mix_error *err);

/**
 * Local. Compare what is behind the domains with what it was for the runs of a table. Nothing is
 * read where the files have the names, sizes and times that they had then. What cannot be read any
 * more is no matter, and a domain that the job gives a label of is known by that.
 *
 * @param table   content and files of its domains are set where they were not known
 * @param is_new  out: whether any was
 * @return MIX_OK; MIX_EINVAL as mix_sweep_run() says it; MIX_ENOMEM
 */
enum mix_status mix_sweep_check_content(const struct mix_job *job, struct mix_table *table,
                                        bool *is_new, struct mix_error *err);

/** Whether the content of a domain is a hash of its data, not a label that somebody gave. */
bool mix_content_is_hash(const char *content);

/**
 * Local. Which runs of a plan are over by what a table has of them.
 *
 * @param over    (n_runs) out: 1 = nothing is to be done for it
 * @param counts  out
 * @return as mix_sweep_count()
 */
enum mix_status mix_sweep_over(const struct mix_job *job, const struct mix_plan *plan,
                               const struct mix_table *table, uint8_t *over,
                               struct mix_sweep_progress *counts, struct mix_error *err);

/**
 * Collective. Evaluate the planned runs that are not over and fold them into the file.
 *
 * @param store  on rank 0, open for writing and with a table; NULL elsewhere
 * @param last   out: on rank 0 how far it came; may be NULL
 * @return MIX_OK; MIX_EINTERRUPTED (what is finished is in the file or its logs); MIX_EINVAL, also
 * where the text of a domain has changed since; MIX_EIO
 */
enum mix_status mix_sweep_run(struct mix_ranks *ranks, const struct mix_job *job,
                              struct mix_store *store, const struct mix_sweep_options *options,
                              struct mix_sweep_progress *last, struct mix_error *err);

#ifdef __cplusplus
}
#endif
#endif
