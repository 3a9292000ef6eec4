/* SPDX-License-Identifier: GPL-3.0-or-later */
/* sweep_impl.h - parts of a sweep. Private to src/sweep/. */
#ifndef MIXSWEEP_SWEEP_IMPL_H
#define MIXSWEEP_SWEEP_IMPL_H

#include "mixsweep/sweep.h"

/** What is done of a plan. 5 bytes per run, on rank 0. */
struct mix_marks {
    size_t n;           /* runs of the plan */
    uint8_t *done;      /* (n) 1 = not to be run: over, or another shard's */
    uint16_t *failures; /* (n) attempts that failed */
    uint16_t *scale;    /* (n) of the job */
    struct mix_sweep_progress counts;
    bool has_failed_rows; /* of runs that are begun anew */
};

/** Compare a plan with a table. Free with mix_marks_clear(), also after a failure. */
enum mix_status mix_marks_make(const struct mix_job *job, const struct mix_plan *plan,
                               const struct mix_table *table,
                               const struct mix_sweep_options *options, struct mix_marks *out,
                               struct mix_error *err);
void mix_marks_clear(struct mix_marks *marks);

/** Drop the rows of failed runs that are to be run again from the table. */
enum mix_status mix_marks_forget_failed(const struct mix_marks *marks, const struct mix_plan *plan,
                                        struct mix_table *table, struct mix_error *err);

/** Rank 0 follows a sweep: counts what ends, reports, keeps the lock alive, folds. */
struct mix_follower {
    const struct mix_job *job;
    const struct mix_plan *plan;
    struct mix_store *store;
    const struct mix_sweep_options *options;
    struct mix_marks *marks;
    size_t n_ranks;
    struct mix_sweep_progress now;
    size_t n_folded, n_new; /* runs that the file has; that are in the logs only */
    double folded_s;        /* clock */
    double done_cost, left_cost;
};

void mix_follower_begin(struct mix_follower *follower);
/** An attempt has ended. */
void mix_follower_end(struct mix_follower *follower, size_t task,
                      const struct mix_attempt_end *end);
/** Called often. */
void mix_follower_tick(struct mix_follower *follower, size_t n_running, double elapsed_s,
                       double left_s);

/** A sweep on one rank. */
struct mix_sweep {
    struct mix_ranks *ranks;
    const struct mix_job *job;
    const struct mix_evaluator *evaluator;
    void *state;
    struct mix_plan *plan;
    struct mix_table *rows; /* of the run that ends */
    char host[MIX_NAME_MAX];
    struct mix_follower *follower; /* NULL on all ranks but 0 */
};

/** The request of a task. */
struct mix_request mix_sweep_request(const struct mix_sweep *sweep, size_t task, int attempt);

/** Complete sweep->rows, filled by an evaluator, and pack them: caller frees. */
enum mix_status mix_sweep_pack(const struct mix_sweep *sweep, const char *host, void **bytes,
                               size_t *n_bytes, struct mix_error *err);

/** The weighted mean loss of sweep->rows where they are a finished run at the largest scale, else
 * NaN. */
double mix_sweep_objective(const struct mix_sweep *sweep, const struct mix_request *request);

/** The kinds of tasks of a job for the packer, one per scale; the caller frees them. NULL when
 * memory is out. */
struct mix_task_class *mix_sweep_classes(const struct mix_job *job);

/** Collective. Run what is missing, by evaluators in process or by children. @param stop_s  on the
 * clock of mix_clock_s(); counts on rank 0 */
enum mix_status mix_sweep_in_process(struct mix_sweep *sweep, double stop_s, struct mix_error *err);
enum mix_status mix_sweep_children(struct mix_sweep *sweep, double stop_s, struct mix_error *err);

/** Collective. What is behind the domains is the same on all ranks that train, and that of the runs
 * in the file, which is told it. MIX_EINVAL where it is not; MIX_ENOMEM */
enum mix_status mix_content_check(const struct mix_sweep *sweep, struct mix_error *err);

#endif
