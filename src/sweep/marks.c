/* SPDX-License-Identifier: GPL-3.0-or-later */
/* marks.c - which planned runs are over. */
#include <assert.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/runs.h"
#include "sweep/evaluators.h"
#include "sweep/sweep_impl.h"

/* A row of the table under its key. */
struct keyed {
    struct mix_key key;
    size_t row;
};

static int compare_keyed(const void *left, const void *right)
{
    const struct keyed *a = left, *b = right;
    if (a->key.hi != b->key.hi)
        return a->key.hi < b->key.hi ? -1 : 1;
    return (a->key.lo > b->key.lo) - (a->key.lo < b->key.lo);
}

static enum mix_status sort_keys(const struct mix_table *table, struct keyed **out,
                                 struct mix_error *err)
{
    struct keyed *keys = calloc(table->n_rows + 1, sizeof *keys);
    if (!keys)
        return mix_fail(err, MIX_ENOMEM, "out of memory for the keys of %zu runs.", table->n_rows);
    for (size_t r = 0; r < table->n_rows; r++)
        keys[r] = (struct keyed){table->runs[r].key, r};
    qsort(keys, table->n_rows, sizeof *keys, compare_keyed);
    *out = keys;
    return MIX_OK;
}

/* The row of a run's end, or SIZE_MAX. */
static size_t find_row(const struct keyed *keys, size_t n, struct mix_key key)
{
    const struct keyed wanted = {.key = key};
    const struct keyed *found = bsearch(&wanted, keys, n, sizeof *keys, compare_keyed);
    return found ? found->row : SIZE_MAX;
}

/* Add "targets news, forum only in the job; " for the names that `others` lacks; names lie `stride`
 * bytes apart. */
static void tell_missing(const char *kind, const char *where, const char *names, size_t stride,
                         size_t n, const char *others, size_t n_others, char text[MIX_TEXT_MAX])
{
    size_t used = strlen(text), n_told = 0;
    for (size_t i = 0; i < n && used + 3 * MIX_NAME_MAX < MIX_TEXT_MAX; i++) {
        size_t j = 0;
        while (j < n_others && strcmp(names + i * stride, others + j * stride) != 0)
            j++;
        if (j == n_others)
            used +=
                (size_t)snprintf(text + used, MIX_TEXT_MAX - used, "%s%s%s", n_told > 0 ? "" : kind,
                                 n_told > 0 ? ", " : " ", names + i * stride);
        n_told += j == n_others;
    }
    if (n_told > 0)
        snprintf(text + used, MIX_TEXT_MAX - used, " only in the %s; ", where);
}

/* The same names in another order: which that of the file is. */
static enum mix_status fail_order(const struct mix_job *job, const char *path,
                                  const struct mix_table *table, struct mix_error *err)
{
    char names[MIX_TEXT_MAX] = "domains ";
    size_t used = strlen(names);
    for (size_t i = 0; i < table->n_domains + table->n_targets; i++) {
        const bool is_domain = i < table->n_domains;
        if (used + MIX_NAME_MAX + 32 >= sizeof names) { /* the rest is in status */
            snprintf(names + used, sizeof names - used, ", ... (mixsweep status)");
            break;
        }
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s",
                                 i == table->n_domains ? "; targets "
                                 : i > 0               ? ", "
                                                       : "",
                                 is_domain ? table->domains[i].name
                                           : table->targets[i - table->n_domains].name);
    }
    return mix_fail(err, MIX_EINVAL,
                    "%s has the domains and targets of the job %s in another order; list them in "
                    "the job as they are in the file: %s.",
                    path, job->name, names);
}

enum mix_status mix_sweep_check_names(const struct mix_job *job, const char *path,
                                      const struct mix_table *table, struct mix_error *err)
{
    char what[MIX_TEXT_MAX] = "";
    bool same = table->n_domains == job->n_domains && table->n_targets == job->n_targets;
    for (size_t k = 0; same && k < job->n_domains; k++)
        same = strcmp(table->domains[k].name, job->domains[k].name) == 0;
    for (size_t m = 0; same && m < job->n_targets; m++)
        same = strcmp(table->targets[m].name, job->targets[m].name) == 0;
    if (same)
        return MIX_OK;
    const char *const file[2] = {table->domains[0].name, table->targets[0].name};
    const char *const own[2] = {job->domains[0].name, job->targets[0].name};
    const size_t stride[2] = {sizeof *table->domains, sizeof *table->targets};
    const size_t n_file[2] = {table->n_domains, table->n_targets};
    const size_t n_own[2] = {job->n_domains, job->n_targets};
    static const char *const kinds[2] = {"domains", "targets"};
    for (size_t i = 0; i < 2; i++) {
        tell_missing(kinds[i], "file", file[i], stride[i], n_file[i], own[i], n_own[i], what);
        tell_missing(kinds[i], "job", own[i], stride[i], n_own[i], file[i], n_file[i], what);
    }
    if (what[0] == '\0')
        return fail_order(job, path, table, err);
    const bool is_empty = table->n_rows == 0; /* `plan --emit` made it */
    return mix_fail(err, MIX_EINVAL,
                    "%s %s other domains or targets than the job %s (%s%zu domains and "
                    "%zu targets against %zu and %zu); %sgive the job another file.",
                    path, is_empty ? "has no runs yet and was made for" : "holds runs of",
                    job->name, what, table->n_domains, table->n_targets, job->n_domains,
                    job->n_targets, is_empty ? "remove it, or " : "");
}

/* Simulated losses are those of one truth. A run that is there already is simulated again: where
 * its losses come out otherwise, the simulate section (or the scales, to which a drawn truth is
 * fitted) has changed since. */
static enum mix_status check_simulated(const struct mix_job *job, const struct mix_planned *planned,
                                       const struct mix_table *table, size_t row,
                                       struct mix_error *err)
{
    struct mix_job at_once = *job;
    at_once.simulate.delay_s = 0.0;
    const struct mix_request request = {.job = &at_once,
                                        .scale = &job->scales[planned->scale],
                                        .run = planned->run,
                                        .mixture = planned->mixture};
    void *state = NULL;
    struct mix_table *rows = mix_table_create(job->n_domains, job->n_targets);
    if (!rows)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a simulated run.");
    enum mix_status status = mix_evaluator_simulate.create(&at_once, &state, err);
    if (status == MIX_OK)
        status = mix_evaluator_simulate.evaluate(state, &request, rows, NULL, err);
    for (size_t m = 0; status == MIX_OK && m < job->n_targets; m++) {
        const double loss = rows->loss[(rows->n_rows - 1) * job->n_targets + m];
        if (!(fabs(loss - table->loss[row * job->n_targets + m]) <= 1e-9 * fabs(loss)))
            status =
                mix_fail(err, MIX_EINVAL,
                         "%s holds runs that were simulated otherwise: simulate: or scales: of "
                         "the job %s have changed since; give the job another file.",
                         job->file, job->name);
    }
    mix_evaluator_simulate.destroy(state);
    mix_table_destroy(rows);
    return status;
}

/* The evaluator said that the same would come out again. */
static bool is_final_failure(const char *metadata)
{
    json_t *root = metadata ? json_loads(metadata, 0, NULL) : NULL;
    const bool is_final = json_is_true(json_object_get(root, "final"));
    json_decref(root);
    return is_final;
}

bool mix_sweep_is_over(const struct mix_job *job, const struct mix_table *table, size_t row)
{
    const struct mix_run *run = &table->runs[row];
    if (run->status == MIX_RUN_DONE)
        return true;
    if (run->status != MIX_RUN_FAILED)
        return false;
    const struct mix_evaluator *evaluator = mix_evaluator_find(job->evaluator);
    return !evaluator || evaluator->evaluate || run->attempts > (int)job->command.n_retries ||
           is_final_failure(table->metadata[row]);
}

static uint16_t count_failures(const struct mix_run *run)
{
    const int n = run->attempts;
    return (uint16_t)(n < 0 ? 0 : n < UINT16_MAX ? n : UINT16_MAX);
}

/* Mark run i, whose end is row `row` (SIZE_MAX = it has none). */
static void mark(const struct mix_job *job, const struct mix_table *table,
                 const struct mix_sweep_options *options, size_t i, size_t row,
                 struct mix_marks *marks)
{
    struct mix_sweep_progress *counts = &marks->counts;
    const bool has_failed = row != SIZE_MAX && table->runs[row].status == MIX_RUN_FAILED;
    const bool forgets = has_failed && options->retry_failed;
    counts->n_planned++;
    counts->flops += mix_job_flops(&job->scales[marks->scale[i]]);
    marks->has_failed_rows |= forgets;
    if (row != SIZE_MAX && !forgets && mix_sweep_is_over(job, table, row)) {
        marks->done[i] = 1;
        *(has_failed ? &counts->n_failed : &counts->n_done) += 1;
        return;
    }
    counts->n_waiting++;
    counts->n_again += has_failed;
    if (row != SIZE_MAX && !forgets)
        marks->failures[i] = count_failures(&table->runs[row]);
}

static enum mix_status mark_all(const struct mix_job *job, const struct mix_plan *plan,
                                const struct mix_table *table,
                                const struct mix_sweep_options *options, const struct keyed *keys,
                                struct mix_marks *marks, struct mix_error *err)
{
    bool is_checked = strcmp(job->evaluator, mix_evaluator_simulate.name) != 0;
    enum mix_status status = MIX_OK;
    for (size_t i = 0; status == MIX_OK && i < marks->n; i++) {
        struct mix_planned planned;
        mix_plan_run(plan, i, &planned);
        marks->scale[i] = (uint16_t)planned.scale;
        if (!mix_shard_has(options->shard, options->n_shards, planned.run.key)) {
            marks->done[i] = 1;
            continue;
        }
        const size_t row = find_row(keys, table->n_rows, planned.run.key);
        if (!is_checked && row != SIZE_MAX && table->runs[row].status == MIX_RUN_DONE) {
            is_checked = true;
            status = check_simulated(job, &planned, table, row, err);
        }
        mark(job, table, options, i, row, marks);
    }
    return status;
}

enum mix_status mix_marks_make(const struct mix_job *job, const struct mix_plan *plan,
                               const struct mix_table *table,
                               const struct mix_sweep_options *options, struct mix_marks *out,
                               struct mix_error *err)
{
    const size_t n = mix_plan_n_runs(plan);
    struct keyed *keys = NULL;
    *out = (struct mix_marks){.n = n, .counts = {.elapsed_s = 0, .left_s = NAN, .best_loss = NAN}};
    enum mix_status status = mix_sweep_check_names(job, job->file, table, err);
    if (status != MIX_OK)
        return status;
    assert(job->n_scales <= UINT16_MAX);
    out->done = calloc(n + 1, sizeof *out->done);
    out->failures = calloc(n + 1, sizeof *out->failures);
    out->scale = calloc(n + 1, sizeof *out->scale);
    if (!out->done || !out->failures || !out->scale)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu runs.", n);
    status = sort_keys(table, &keys, err);
    if (status == MIX_OK)
        status = mark_all(job, plan, table, options, keys, out, err);
    free(keys);
    return status;
}

void mix_marks_clear(struct mix_marks *marks)
{
    free(marks->done);
    free(marks->failures);
    free(marks->scale);
    *marks = (struct mix_marks){0};
}

enum mix_status mix_marks_forget_failed(const struct mix_marks *marks, const struct mix_plan *plan,
                                        struct mix_table *table, struct mix_error *err)
{
    struct keyed *keys = NULL;
    uint8_t *keep = malloc(table->n_rows + 1);
    enum mix_status status = sort_keys(table, &keys, err);
    if (status == MIX_OK && !keep)
        status = mix_fail(err, MIX_ENOMEM, "out of memory for %zu runs.", table->n_rows);
    if (status == MIX_OK) {
        memset(keep, 1, table->n_rows);
        for (size_t i = 0; i < marks->n; i++) {
            struct mix_planned planned;
            if (marks->done[i])
                continue;
            mix_plan_run(plan, i, &planned);
            const size_t row = find_row(keys, table->n_rows, planned.run.key);
            if (row != SIZE_MAX && table->runs[row].status == MIX_RUN_FAILED)
                keep[row] = 0;
        }
        mix_table_forget(table, keep);
    }
    free(keep);
    free(keys);
    return status;
}

enum mix_status mix_sweep_over(const struct mix_job *job, const struct mix_plan *plan,
                               const struct mix_table *table, uint8_t *over,
                               struct mix_sweep_progress *counts, struct mix_error *err)
{
    const struct mix_sweep_options options = {.stop_before_s = NAN};
    struct mix_marks marks = {0};
    const enum mix_status status = mix_marks_make(job, plan, table, &options, &marks, err);
    if (status == MIX_OK) {
        memcpy(over, marks.done, marks.n);
        *counts = marks.counts;
    }
    mix_marks_clear(&marks);
    return status;
}

enum mix_status mix_sweep_count(const struct mix_job *job, const struct mix_table *table,
                                const struct mix_sweep_options *options,
                                struct mix_sweep_progress *out, struct mix_error *err)
{
    struct mix_plan *plan = NULL;
    struct mix_marks marks = {0};
    enum mix_status status = mix_plan_create(job, &plan, err);
    if (status != MIX_OK)
        return status;
    status = mix_marks_make(job, plan, table, options, &marks, err);
    if (status == MIX_OK)
        *out = marks.counts;
    mix_marks_clear(&marks);
    mix_plan_destroy(plan);
    return status;
}
