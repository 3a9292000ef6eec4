/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mixsweep/sweep.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "mixsweep/confirm.h"
#include "sweep/evaluators.h"
#include "sweep/sweep_impl.h"

static const struct mix_evaluator *const evaluators[] = {
    &mix_evaluator_simulate,
    &mix_evaluator_table,
    &mix_evaluator_command,
    &mix_evaluator_embedded,
};

const struct mix_evaluator *mix_evaluator_find(const char *name)
{
    for (size_t i = 0; i < sizeof evaluators / sizeof evaluators[0]; i++)
        if (strcmp(evaluators[i]->name, name) == 0)
            return evaluators[i];
    return NULL;
}

/* ---- rows of a run */

size_t mix_request_row(const struct mix_request *request, struct mix_table *rows, double n_tokens)
{
    const size_t n_domains = rows->n_domains;
    const size_t row = mix_table_append(rows);
    if (row == SIZE_MAX)
        return SIZE_MAX;
    struct mix_run *run = &rows->runs[row];
    *run = request->run;
    run->n_tokens = n_tokens;
    run->is_final = n_tokens >= run->n_tokens_planned;
    run->flops *= n_tokens / run->n_tokens_planned;
    run->status = MIX_RUN_DONE;
    for (size_t k = 0; k < n_domains; k++) {
        const size_t at = row * n_domains + k;
        const double supply = request->job->domains[k].supply_tokens *
                              mix_job_subsample(request->job, request->scale, k);
        rows->asked[at] = rows->mixture[at] = request->mixture[k];
        rows->epochs[at] = request->mixture[k] * n_tokens / supply;
    }
    return row;
}

/* Bytes of `text` that fit, without cutting a UTF-8 character. */
static int fitting_length(const char *text, size_t n_max)
{
    size_t n = strlen(text);
    if (n > n_max)
        for (n = n_max; n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80; n--)
            ;
    return (int)n;
}

enum mix_status mix_request_failed(const struct mix_request *request, struct mix_table *rows,
                                   enum mix_run_status status, const char *reason,
                                   struct mix_error *err)
{
    const size_t row = mix_request_row(request, rows, request->run.n_tokens_planned);
    if (row == SIZE_MAX)
        return mix_fail(err, MIX_ENOMEM, "out of memory for the rows of a run.");
    struct mix_run *run = &rows->runs[row];
    run->status = status;
    run->attempts -= status == MIX_RUN_INTERRUPTED;
    const int length = fitting_length(reason, sizeof run->reason - 1);
    snprintf(run->reason, sizeof run->reason, "%.*s", length, reason);
    if (reason[length] != '\0') { /* the whole of it is not for every run's row */
        json_t *whole = json_pack("{s:s}", "reason", reason);
        rows->metadata[row] = whole ? json_dumps(whole, JSON_COMPACT) : NULL;
        json_decref(whole);
    }
    return MIX_OK;
}

char *mix_run_reason(const struct mix_table *table, size_t row)
{
    const char *kept = table->runs[row].reason;
    json_t *metadata =
        table->metadata[row] != NULL ? json_loads(table->metadata[row], 0, NULL) : NULL;
    const char *whole = json_string_value(json_object_get(metadata, "reason"));
    /* An exclusion has a reason of its own. */
    char *reason = strdup(whole != NULL && strncmp(whole, kept, strlen(kept)) == 0 ? whole : kept);
    json_decref(metadata);
    return reason;
}

static double unix_time(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

struct mix_request mix_sweep_request(const struct mix_sweep *sweep, size_t task, int attempt)
{
    struct mix_planned planned;
    mix_plan_run(sweep->plan, task, &planned);
    planned.run.attempts = attempt;
    planned.run.rank = mix_ranks_rank(sweep->ranks);
    planned.run.started = unix_time();
    if (sweep->job->n_given > 0) { /* a claim is checked on what its law has not seen */
        planned.run.excluded = 1;
        snprintf(planned.run.reason, sizeof planned.run.reason, MIX_CONFIRMATION);
    }
    return (struct mix_request){.job = sweep->job,
                                .scale = &sweep->job->scales[planned.scale],
                                .run = planned.run,
                                .mixture = planned.mixture};
}

enum mix_status mix_sweep_pack(const struct mix_sweep *sweep, const char *host, void **bytes,
                               size_t *n_bytes, struct mix_error *err)
{
    const double now = unix_time();
    for (size_t r = 0; r < sweep->rows->n_rows; r++) {
        struct mix_run *run = &sweep->rows->runs[r];
        run->ended = now;
        if (isnan(run->wall_s))
            run->wall_s = fmax(now - run->started, 0);
        snprintf(run->host, sizeof run->host, "%s", host);
    }
    return mix_store_result_pack(sweep->rows, bytes, n_bytes, err);
}

double mix_sweep_objective(const struct mix_sweep *sweep, const struct mix_request *request)
{
    const struct mix_job *job = sweep->job;
    const size_t last = sweep->rows->n_rows - 1;
    double sum = 0, weights = 0;
    if (sweep->rows->runs[last].status != MIX_RUN_DONE)
        return NAN;
    for (size_t s = 0; s < job->n_scales; s++)
        if (mix_job_flops(&job->scales[s]) > mix_job_flops(request->scale))
            return NAN;
    for (size_t m = 0; m < job->n_targets; m++) {
        const double loss = sweep->rows->loss[last * job->n_targets + m];
        if (isnan(loss) || job->targets[m].direction > 0)
            continue;
        sum += job->targets[m].weight * loss;
        weights += job->targets[m].weight;
    }
    return weights > 0 ? sum / weights : NAN;
}

/* ---- the sweep */

/* Rank 0: what is to do. The table is read for that alone. */
static enum mix_status compare(struct mix_follower *follower, struct mix_error *err)
{
    struct mix_table *table = NULL;
    enum mix_status status = mix_store_read_table(follower->store, &table, err);
    if (status == MIX_OK)
        status = mix_marks_make(follower->job, follower->plan, table, follower->options,
                                follower->marks, err);
    if (status == MIX_OK && follower->marks->has_failed_rows) {
        status = mix_marks_forget_failed(follower->marks, follower->plan, table, err);
        if (status == MIX_OK)
            status = mix_store_put_table(follower->store, table, err);
        if (status == MIX_OK)
            status = mix_store_commit(follower->store, err);
    }
    mix_table_destroy(table);
    if (status == MIX_OK)
        mix_follower_begin(follower);
    return status;
}

static enum mix_status prepare(struct mix_sweep *sweep, struct mix_error *err)
{
    const struct mix_job *job = sweep->job;
    if (job->evaluator[0] == '\0')
        return mix_fail(err, MIX_EINVAL,
                        "job %s has no section sweep: there is nothing to evaluate.", job->name);
    sweep->evaluator = mix_evaluator_find(job->evaluator);
    if (!sweep->evaluator)
        return mix_fail(err, MIX_EINVAL, "there is no evaluator \"%s\".", job->evaluator);
    sweep->rows = mix_table_create(job->n_domains, job->n_targets);
    if (!sweep->rows)
        return mix_fail(err, MIX_ENOMEM, "out of memory for the rows of a run.");
    memcpy(sweep->rows->domains, job->domains, job->n_domains * sizeof *job->domains);
    memcpy(sweep->rows->targets, job->targets, job->n_targets * sizeof *job->targets);
    if (gethostname(sweep->host, sizeof sweep->host - 1) != 0)
        sweep->host[0] = '\0';
    enum mix_status status = mix_plan_create(job, &sweep->plan, err);
    if (status != MIX_OK || !sweep->follower)
        return status;
    sweep->follower->plan = sweep->plan;
    return compare(sweep->follower, err);
}

static enum mix_status run_missing(struct mix_sweep *sweep, const struct mix_sweep_options *options,
                                   struct mix_error *err)
{
    double stop_s = INFINITY;
    enum mix_status status = sweep->evaluator->create(sweep->job, &sweep->state, err);
    status = mix_ranks_agree(sweep->ranks, status, err);
    if (status == MIX_OK && sweep->evaluator->content)
        status = mix_content_check(sweep, err);
    if (status != MIX_OK)
        return status;
    if (sweep->follower && !isnan(options->stop_before_s)) {
        stop_s = mix_stop_from_wall_time(options->stop_before_s);
        /* Not an interruption: a script that queues itself again would do so for nothing. */
        if (stop_s <= mix_clock_s())
            status =
                mix_fail(err, MIX_EINVAL,
                         "--stop-before %g s leaves no time: Slurm's wall time ends in %.0f s; "
                         "ask for more time or stop later.",
                         options->stop_before_s, stop_s - mix_clock_s() + options->stop_before_s);
    }
    status = mix_ranks_agree(sweep->ranks, status, err);
    if (status != MIX_OK)
        return status;
    return sweep->evaluator->evaluate ? mix_sweep_in_process(sweep, stop_s, err)
                                      : mix_sweep_children(sweep, stop_s, err);
}

/* " (the time is up)" out of "sweep: the time is up, 3 of 7 tasks ..."; nothing for a signal. */
static void explain_stop(const char *text, char why[MIX_NAME_MAX])
{
    const char *begin = strchr(text, ':'), *end = begin ? strchr(begin, ',') : NULL;
    why[0] = '\0';
    if (end && !strstr(text, ": interrupted,"))
        snprintf(why, MIX_NAME_MAX, " (%.*s)", (int)(end - begin - 2), begin + 2);
}

/* Rank 0: everything into the file, whatever ended the sweep. */
static enum mix_status fold_last(const struct mix_follower *follower, enum mix_status status,
                                 struct mix_error *err)
{
    const struct mix_sweep_progress *now = &follower->now;
    struct mix_error reason = {.text = ""};
    char why[MIX_NAME_MAX] = "";
    if (status == MIX_EINTERRUPTED)
        explain_stop(err->text, why);
    const enum mix_status kept = mix_store_commit(follower->store, &reason);
    if (kept != MIX_OK && (status == MIX_OK || status == MIX_EINTERRUPTED))
        return mix_fail(err, kept, "%s", reason.text);
    if (status == MIX_EINTERRUPTED)
        return mix_fail(err, status,
                        "interrupted%s: %s keeps %zu of %zu runs; the same command resumes.", why,
                        follower->job->file, now->n_done + now->n_failed, now->n_planned);
    return status;
}

static void finish(struct mix_sweep *sweep)
{
    if (sweep->state)
        sweep->evaluator->destroy(sweep->state);
    mix_plan_destroy(sweep->plan);
    mix_table_destroy(sweep->rows);
}

enum mix_status mix_sweep_run(struct mix_ranks *ranks, const struct mix_job *job,
                              struct mix_store *store, const struct mix_sweep_options *options,
                              struct mix_sweep_progress *last, struct mix_error *err)
{
    struct mix_marks marks = {0};
    struct mix_follower follower = {.job = job,
                                    .store = store,
                                    .options = options,
                                    .marks = &marks,
                                    .n_ranks = (size_t)mix_ranks_count(ranks)};
    struct mix_sweep sweep = {.ranks = ranks, .job = job};
    if (mix_ranks_rank(ranks) == 0)
        sweep.follower = &follower;
    enum mix_status status = mix_ranks_agree(ranks, prepare(&sweep, err), err);
    if (status == MIX_OK) {
        bool is_idle = follower.now.n_waiting == 0;
        mix_ranks_broadcast(ranks, &is_idle, sizeof is_idle);
        if (!is_idle)
            status = run_missing(&sweep, options, err);
        if (!is_idle && sweep.follower)
            status = fold_last(&follower, status, err);
        status = mix_ranks_agree(ranks, status, err);
        if (sweep.follower && last)
            *last = follower.now;
    }
    finish(&sweep);
    mix_marks_clear(&marks);
    return status;
}
