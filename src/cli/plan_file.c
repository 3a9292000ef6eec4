/* SPDX-License-Identifier: GPL-3.0-or-later */
/* plan_file.c - what the job's file has already: runs of the plan, and others that a fit sees too.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "mixsweep/store.h"
#include "plan_impl.h"

static const double same_share = 1e-5; /* as in mix_table_finish() */

void plan_others_free(struct plan_others *others)
{
    free(others->mixture);
    free(others->n_params);
    free(others->n_tokens);
}

static int compare_keys(const void *left, const void *right)
{
    const struct mix_key *a = left, *b = right;
    if (a->hi != b->hi)
        return a->hi < b->hi ? -1 : 1;
    return (a->lo > b->lo) - (a->lo < b->lo);
}

/* Keys of the plan, in order; NULL when memory is out. */
static struct mix_key *list_keys(const struct mix_plan *plan, size_t *n)
{
    *n = mix_plan_n_runs(plan);
    struct mix_key *keys = calloc(*n + 1, sizeof *keys);
    for (size_t i = 0; keys != NULL && i < *n; i++) {
        struct mix_planned planned;
        mix_plan_run(plan, i, &planned);
        keys[i] = planned.run.key;
    }
    if (keys != NULL)
        qsort(keys, *n, sizeof *keys, compare_keys);
    return keys;
}

/* The end of a run that fits see. */
static bool is_valid(const struct mix_run *run)
{
    return run->status == MIX_RUN_DONE && run->is_final && !run->excluded;
}

/* Whether a mixture is among those of the job. */
static bool is_planned(const struct plan_summary *s, const double *mixture)
{
    const size_t n_domains = s->job->n_domains;
    for (size_t i = 0; i < s->job->n_mixtures; i++) {
        const double *own = &s->mixtures[i * n_domains];
        size_t k = 0;
        while (k < n_domains && fabs(mixture[k] - own[k]) <= same_share)
            k++;
        if (k == n_domains)
            return true;
    }
    return false;
}

/* is_seen: (n_rows) by mixture_id, those of the others before. */
static void add_other(struct plan_summary *s, const struct mix_table *table, size_t row,
                      bool *is_seen)
{
    const struct mix_job *job = s->job;
    struct plan_others *others = &s->others;
    double *mixture = &others->mixture[others->n * job->n_domains];
    for (size_t k = 0; k < job->n_domains; k++) {
        const int column = mix_table_domain(table, job->domains[k].name);
        mixture[k] = column >= 0 ? table->mixture[row * table->n_domains + (size_t)column] : 0;
    }
    for (size_t m = 0; m < job->n_targets; m++) {
        const int column = mix_table_target(table, job->targets[m].name);
        others->n_losses +=
            column >= 0 && !isnan(table->loss[row * table->n_targets + (size_t)column]);
    }
    const int32_t id = table->runs[row].mixture_id; /* below n_rows, as the store has seen to */
    others->n_mixtures += !is_seen[id] && !is_planned(s, mixture);
    is_seen[id] = true;
    others->n_params[others->n] = table->runs[row].n_params;
    others->n_tokens[others->n++] = table->runs[row].n_tokens;
}

/* Order pointers to runs: those that differ in no more than the seed are neighbours. */
static int compare_runs(const void *left, const void *right)
{
    const struct mix_run *a = *(const struct mix_run *const *)left,
                         *b = *(const struct mix_run *const *)right;
    if (a->mixture_id != b->mixture_id)
        return a->mixture_id < b->mixture_id ? -1 : 1;
    if (a->n_params != b->n_params)
        return a->n_params < b->n_params ? -1 : 1;
    return (a->n_tokens > b->n_tokens) - (a->n_tokens < b->n_tokens);
}

/* Whether a run is there with two seeds; valid: room for all runs. */
static bool has_replicates(const struct mix_table *table, const struct mix_run **valid)
{
    size_t n = 0;
    for (size_t r = 0; r < table->n_rows; r++)
        if (is_valid(&table->runs[r]))
            valid[n++] = &table->runs[r];
    qsort(valid, n, sizeof *valid, compare_runs);
    for (size_t i = 1; i < n; i++)
        if (compare_runs(&valid[i - 1], &valid[i]) == 0 && valid[i - 1]->seed != valid[i]->seed)
            return true;
    return false;
}

static enum mix_status take_others(struct plan_summary *s, const struct mix_table *table,
                                   struct mix_error *err)
{
    size_t n_keys = 0;
    struct plan_others *others = &s->others;
    struct mix_key *keys = list_keys(s->plan, &n_keys);
    others->mixture = calloc(table->n_rows * s->job->n_domains + 1, sizeof *others->mixture);
    others->n_params = calloc(table->n_rows + 1, sizeof *others->n_params);
    others->n_tokens = calloc(table->n_rows + 1, sizeof *others->n_tokens);
    bool *is_seen = calloc(table->n_rows + 1, sizeof *is_seen);
    const struct mix_run **valid = calloc(table->n_rows + 1, sizeof *valid);
    const bool is_made =
        keys && others->mixture && others->n_params && others->n_tokens && is_seen && valid;
    for (size_t r = 0; is_made && r < table->n_rows; r++)
        if (is_valid(&table->runs[r]) &&
            !bsearch(&table->runs[r].key, keys, n_keys, sizeof *keys, compare_keys))
            add_other(s, table, r, is_seen);
    others->is_replicated = is_made && others->n > 0 && has_replicates(table, valid);
    free(valid);
    free(is_seen);
    free(keys);
    return is_made ? MIX_OK : mix_fail(err, MIX_ENOMEM, "out of memory for the plan.");
}

/* A file that the job cannot go on with is a warning: a plan needs none. */
enum mix_status plan_measure_file(struct plan_summary *s, struct mix_error *err)
{
    struct mix_store *store = NULL;
    struct mix_table *table = NULL;
    struct mix_error why = {.text = ""};
    enum mix_status found = mix_store_open(s->job->file, MIX_STORE_READ, false, &store, &why);
    if (found == MIX_OK)
        found = mix_store_read_table(store, &table, &why);
    enum mix_status status = mix_job_take_chosen(s->job, table, err);
    if (status == MIX_OK)
        status = mix_plan_create(s->job, &s->plan, err);
    if (status == MIX_OK) {
        s->over = calloc(mix_plan_n_runs(s->plan) + 1, 1);
        status = s->over ? MIX_OK : mix_fail(err, MIX_ENOMEM, "out of memory for the plan.");
    }
    if (status == MIX_OK && table)
        found = mix_sweep_over(s->job, s->plan, table, s->over, &s->counts, &why);
    bool is_new = false;
    if (status == MIX_OK && table && found == MIX_OK)
        found = mix_sweep_check_content(s->job, table, &is_new, &why);
    if (status == MIX_OK && table && found == MIX_OK)
        status = take_others(s, table, err);
    if (status == MIX_OK && found != MIX_OK && found != MIX_ENOTFOUND)
        plan_warn(s, "%s", why.text);
    mix_table_destroy(table);
    mix_store_close(store);
    return status;
}
