/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mixsweep/sweep.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "evaluators.h"
#include "mixsweep/store.h"

static const struct mix_evaluator *const evaluators[] = {&mix_evaluator_simulate};

const struct mix_evaluator *mix_evaluator_find(const char *name)
{
    for (size_t i = 0; i < sizeof evaluators / sizeof evaluators[0]; i++)
        if (strcmp(evaluators[i]->name, name) == 0)
            return evaluators[i];
    return NULL;
}

/* What a rank needs to evaluate runs. */
struct sweep {
    const struct mix_evaluator *evaluator;
    void *state;
    struct mix_table *plan; /* the losses of runs evaluated here go into it */
    size_t record_bytes;
    int rank;
};

static double unix_time(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* The record is the packed run, so that the log that task.c appends is the one the store reads. */
static enum mix_status evaluate_task(void *context, size_t task, void *record,
                                     struct mix_poll *poll, struct mix_error *err)
{
    struct sweep *sweep = context;
    struct mix_table *plan = sweep->plan;
    struct mix_run *run = &plan->runs[task];
    run->started = unix_time();
    run->attempts = 1;
    run->rank = sweep->rank;
    if (gethostname(run->host, sizeof run->host - 1) != 0)
        run->host[0] = '\0';
    enum mix_status status = sweep->evaluator->evaluate(
        sweep->state, plan, task, &plan->loss[task * plan->n_targets], run, poll, err);
    if (status != MIX_OK)
        return status;
    run->ended = unix_time();
    run->wall_s = run->ended - run->started;

    void *bytes;
    size_t n_bytes;
    status = mix_store_run_pack(plan, task, &bytes, &n_bytes, err);
    if (status != MIX_OK)
        return status;
    if (n_bytes == sweep->record_bytes)
        memcpy(record, bytes, n_bytes);
    else
        status = mix_fail(err, MIX_EFORMAT, "a packed run has %zu bytes, not %zu.", n_bytes,
                          sweep->record_bytes);
    free(bytes);
    return status;
}

/* The vectors of a table have the order of its names: both must be the job's. */
static enum mix_status check_names(const struct mix_job *job, const struct mix_table *table,
                                   struct mix_error *err)
{
    bool same = table->n_domains == job->n_domains && table->n_targets == job->n_targets;
    for (size_t k = 0; same && k < job->n_domains; k++)
        same = strcmp(table->domains[k].name, job->domains[k].name) == 0;
    for (size_t m = 0; same && m < job->n_targets; m++)
        same = strcmp(table->targets[m].name, job->targets[m].name) == 0;
    if (same)
        return MIX_OK;
    return mix_fail(err, MIX_EINVAL,
                    "%s holds runs of other domains or targets than the job %s (%zu domains and "
                    "%zu targets against %zu and %zu, or other names); give the job another file.",
                    job->file, job->name, table->n_domains, table->n_targets, job->n_domains,
                    job->n_targets);
}

static int compare_keys(const void *a, const void *b)
{
    const struct mix_key *x = a, *y = b;
    if (x->hi != y->hi)
        return x->hi < y->hi ? -1 : 1;
    return (x->lo > y->lo) - (x->lo < y->lo);
}

/* done[i] = 1 where the table has planned run i already. */
static enum mix_status mark_done(const struct mix_table *plan, const struct mix_table *table,
                                 uint8_t *done, struct mix_error *err)
{
    struct mix_key *keys = calloc(table->n_rows + 1, sizeof *keys);
    if (!keys)
        return mix_fail(err, MIX_ENOMEM, "out of memory for the keys of %zu runs.", table->n_rows);
    for (size_t r = 0; r < table->n_rows; r++)
        keys[r] = table->runs[r].key;
    qsort(keys, table->n_rows, sizeof *keys, compare_keys);
    for (size_t i = 0; i < plan->n_rows; i++)
        done[i] =
            bsearch(&plan->runs[i].key, keys, table->n_rows, sizeof *keys, compare_keys) != NULL;
    free(keys);
    return MIX_OK;
}

static size_t find_key(const struct mix_table *table, struct mix_key key)
{
    size_t r = 0;
    while (r < table->n_rows && compare_keys(&table->runs[r].key, &key) != 0)
        r++;
    return r;
}

/* Simulated losses are those of one truth. A run that is there already is simulated again: where
 * its losses come out otherwise, the simulate section (or the scales, to which a drawn truth is
 * fitted) has changed since. */
static enum mix_status check_simulated(const struct mix_job *job, const struct mix_table *plan,
                                       const struct mix_table *table, const uint8_t *done,
                                       struct mix_error *err)
{
    size_t planned = 0;
    while (planned < plan->n_rows && !done[planned])
        planned++;
    if (planned == plan->n_rows || strcmp(job->evaluator, mix_evaluator_simulate.name) != 0)
        return MIX_OK;
    struct mix_job at_once = *job;
    at_once.simulate.delay_s = 0.0;
    struct mix_run run = plan->runs[planned];
    void *state = NULL;
    double *loss = calloc(plan->n_targets, sizeof *loss);
    if (!loss)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a simulated run.");
    enum mix_status status = mix_evaluator_simulate.create(&at_once, &state, err);
    if (status == MIX_OK)
        status = mix_evaluator_simulate.evaluate(state, plan, planned, loss, &run, NULL, err);
    const size_t row = find_key(table, run.key);
    for (size_t m = 0; status == MIX_OK && row < table->n_rows && m < plan->n_targets; m++)
        if (!(fabs(loss[m] - table->loss[row * plan->n_targets + m]) <= 1e-9 * fabs(loss[m])))
            status =
                mix_fail(err, MIX_EINVAL,
                         "%s holds runs that were simulated otherwise: simulate: or scales: of "
                         "the job %s have changed since; give the job another file.",
                         job->file, job->name);
    mix_evaluator_simulate.destroy(state);
    free(loss);
    return status;
}

enum mix_status mix_sweep_count(const struct mix_job *job, const struct mix_table *table,
                                size_t *n_planned, size_t *n_had, struct mix_error *err)
{
    struct mix_table *plan = NULL;
    uint8_t *done = NULL;
    enum mix_status status = check_names(job, table, err);
    if (status == MIX_OK)
        status = mix_job_plan(job, &plan, err);
    if (status != MIX_OK)
        return status;
    assert(plan);
    done = calloc(plan->n_rows, 1);
    if (!done) {
        status = mix_fail(err, MIX_ENOMEM, "out of memory for %zu runs.", plan->n_rows);
        goto out;
    }
    status = mark_done(plan, table, done, err);
    if (status != MIX_OK)
        goto out;
    status = check_simulated(job, plan, table, done, err);
    if (status != MIX_OK)
        goto out;
    *n_planned = plan->n_rows;
    *n_had = 0;
    for (size_t i = 0; i < plan->n_rows; i++)
        *n_had += done[i];
out:
    free(done);
    mix_table_destroy(plan);
    return status;
}

/* What rank 0 holds while the stage runs. */
struct gathered {
    uint8_t *done;     /* (R) */
    uint8_t *finished; /* (R) */
    uint8_t *records;  /* (R, record_bytes) */
};

static enum mix_status gather_create(const struct sweep *sweep, const struct mix_job *job,
                                     const struct mix_table *table, struct gathered *gathered,
                                     struct mix_error *err)
{
    assert(sweep->plan && table);
    size_t n = sweep->plan->n_rows;
    gathered->done = calloc(n, 1);
    gathered->finished = calloc(n, 1);
    gathered->records = calloc(n, sweep->record_bytes);
    if (!gathered->done || !gathered->finished || !gathered->records)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu runs.", n);
    enum mix_status status = check_names(job, table, err);
    return status == MIX_OK ? mark_done(sweep->plan, table, gathered->done, err) : status;
}

static void gather_destroy(struct gathered *gathered)
{
    free(gathered->done);
    free(gathered->finished);
    free(gathered->records);
}

/* Rank 0: finished runs into the table, also where the stage was interrupted. */
static enum mix_status collect(const struct sweep *sweep, const struct gathered *gathered,
                               struct mix_table *table, struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    assert(gathered->finished && gathered->records);
    for (size_t i = 0; status == MIX_OK && i < sweep->plan->n_rows; i++) {
        bool added;
        if (gathered->finished[i])
            status = mix_store_run_unpack(table, gathered->records + i * sweep->record_bytes,
                                          sweep->record_bytes, &added, err);
    }
    return status == MIX_OK ? mix_table_sort(table, err) : status;
}

static enum mix_status prepare(struct sweep *sweep, const struct mix_job *job,
                               struct mix_error *err)
{
    sweep->evaluator = mix_evaluator_find(job->evaluator);
    if (!sweep->evaluator)
        return mix_fail(err, MIX_EINVAL, "there is no evaluator \"%s\".", job->evaluator);
    enum mix_status status = mix_job_plan(job, &sweep->plan, err);
    if (status != MIX_OK)
        return status;
    void *bytes;
    status = mix_store_run_pack(sweep->plan, 0, &bytes, &sweep->record_bytes, err);
    if (status != MIX_OK)
        return status;
    free(bytes);
    return sweep->evaluator->create(job, &sweep->state, err);
}

enum mix_status mix_sweep_run(struct mix_ranks *ranks, const struct mix_job *job,
                              struct mix_table *table, const char *log_dir,
                              mix_progress_fn progress, void *progress_context,
                              struct mix_error *err)
{
    struct sweep sweep = {.rank = mix_ranks_rank(ranks)};
    struct gathered gathered = {.done = NULL};
    enum mix_status status = prepare(&sweep, job, err);
    if (status == MIX_OK && sweep.rank == 0)
        status = gather_create(&sweep, job, table, &gathered, err);
    status = mix_ranks_agree(ranks, status, err);
    if (status != MIX_OK)
        goto out;
    assert(sweep.plan);
    const struct mix_stage stage = {.name = "sweep",
                                    .n_tasks = sweep.plan->n_rows,
                                    .record_bytes = sweep.record_bytes,
                                    .run = evaluate_task,
                                    .context = &sweep,
                                    .done = gathered.done,
                                    .records = gathered.records,
                                    .finished = gathered.finished,
                                    .log_kind = MIX_LOG_RUN,
                                    .log_dir = log_dir,
                                    .progress = progress,
                                    .progress_context = progress_context};
    status = mix_stage_run(ranks, &stage, err);
    enum mix_status kept =
        sweep.rank == 0 ? collect(&sweep, &gathered, table, status == MIX_OK ? err : NULL) : MIX_OK;
    status = mix_ranks_agree(ranks, status == MIX_OK ? kept : status, err);
out:
    if (sweep.evaluator)
        sweep.evaluator->destroy(sweep.state);
    mix_table_destroy(sweep.plan);
    gather_destroy(&gathered);
    return status;
}
