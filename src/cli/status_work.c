/* SPDX-License-Identifier: GPL-3.0-or-later */
/* status_work.c - how far a sweep is: planned runs against rows, failures, hosts, pace. */
#include "cli/status.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mixsweep/sweep.h"

bool status_is_stale(const struct overview *o, const struct mix_fit *fit)
{
    return o->table == NULL || mix_fit_outdated(fit, o->table) != NULL;
}

struct row_counts status_count_rows(const struct mix_table *table)
{
    struct row_counts counts = {0};
    for (size_t i = 0; i < table->n_rows; i++) {
        const struct mix_run *run = &table->runs[i];
        counts.done += run->status == MIX_RUN_DONE;
        counts.failed += run->status == MIX_RUN_FAILED;
        counts.interrupted += run->status == MIX_RUN_INTERRUPTED;
        counts.excluded += run->excluded != 0;
        counts.chosen += run->round > 0 && run->is_final;
        counts.rounds = run->round > counts.rounds ? run->round : counts.rounds;
        if ((size_t)run->mixture_id >= counts.mixtures) /* they are numbered from 0 */
            counts.mixtures = (size_t)run->mixture_id + 1;
    }
    return counts;
}

static int compare_groups(const void *a, const void *b)
{
    const double x = ((const struct size_group *)a)->n_params;
    const double y = ((const struct size_group *)b)->n_params;
    return (x > y) - (x < y);
}

struct size_group *status_group_sizes(const struct mix_table *table, size_t *n_groups)
{
    struct size_group *groups = calloc(table->n_rows + 1, sizeof *groups);
    size_t n = 0;
    if (groups == NULL)
        return NULL;
    for (size_t i = 0; i < table->n_rows; i++)
        groups[i] = (struct size_group){table->runs[i].n_params, table->runs[i].n_tokens,
                                        table->runs[i].n_tokens, 1};
    qsort(groups, table->n_rows, sizeof *groups, compare_groups);
    for (size_t i = 0; i < table->n_rows; i++) {
        if (n == 0 || groups[n - 1].n_params != groups[i].n_params) {
            groups[n++] = groups[i];
            continue;
        }
        groups[n - 1].n_rows++;
        groups[n - 1].min_tokens = fmin(groups[n - 1].min_tokens, groups[i].min_tokens);
        groups[n - 1].max_tokens = fmax(groups[n - 1].max_tokens, groups[i].max_tokens);
    }
    *n_groups = n;
    return groups;
}

/* ---- planned runs */

/* A row under its key; rows of the file stand in the order of keys, but those of logs do not. */
struct keyed {
    struct mix_key key;
    size_t row;
};

static int compare_keys(const void *left, const void *right)
{
    const struct mix_key *a = left, *b = right;
    if (a->hi != b->hi)
        return a->hi < b->hi ? -1 : 1;
    return (a->lo > b->lo) - (a->lo < b->lo);
}

static struct keyed *order_keys(const struct mix_table *table, size_t *n)
{
    *n = table != NULL ? table->n_rows : 0;
    struct keyed *keyed = calloc(*n + 1, sizeof *keyed);
    for (size_t r = 0; keyed != NULL && r < *n; r++)
        keyed[r] = (struct keyed){table->runs[r].key, r};
    if (keyed != NULL)
        qsort(keyed, *n, sizeof *keyed, compare_keys);
    return keyed;
}

/* A run that the sweep is to try again is missing, as it is for the sweep. */
static void count_run(struct work *work, const struct mix_planned *planned,
                      const struct mix_table *table, const struct keyed *keyed)
{
    const struct mix_run *run = keyed != NULL ? &table->runs[keyed->row] : NULL;
    struct scale_counts *scale = &work->scale[planned->scale];
    scale->n_planned++;
    if (run != NULL && mix_sweep_is_over(work->job, table, keyed->row)) {
        scale->n_done += run->status == MIX_RUN_DONE;
        scale->n_failed += run->status == MIX_RUN_FAILED;
        return;
    }
    work->n_again += run != NULL && run->status == MIX_RUN_FAILED;
    work->left_flops += planned->run.flops;
    work->longest_flops = fmax(work->longest_flops, planned->run.flops);
}

static void count_planned(struct work *work, const struct mix_plan *plan,
                          const struct mix_table *table, const struct keyed *keyed, size_t n_keyed)
{
    struct mix_planned planned;
    for (size_t i = 0; i < mix_plan_n_runs(plan); i++) {
        mix_plan_run(plan, i, &planned);
        if (!mix_shard_has(work->shard, work->n_shards, planned.run.key))
            continue;
        count_run(work, &planned, table,
                  bsearch(&planned.run.key, keyed, n_keyed, sizeof *keyed, compare_keys));
    }
    for (size_t s = 0; s < work->n_scales; s++) {
        work->n_planned += work->scale[s].n_planned;
        work->n_done += work->scale[s].n_done;
        work->n_failed += work->scale[s].n_failed;
    }
    work->n_missing = work->n_planned - work->n_done - work->n_failed;
}

/* The job in the file against its rows. A job that this version cannot read is none. */
static enum mix_status measure_work(struct overview *o, struct mix_error *err)
{
    struct work *work = &o->work;
    struct mix_plan *plan = NULL;
    struct keyed *keyed = NULL;
    size_t n_keyed = 0;
    if (o->job[0] == '\0' || mix_job_parse(o->path, o->job, &work->job, NULL) != MIX_OK)
        return MIX_OK;
    if (!work->job->has_design) { /* what it makes are no proxy runs */
        mix_job_destroy(work->job);
        work->job = NULL;
        return MIX_OK;
    }
    enum mix_status status = mix_job_take_chosen(work->job, o->table, err);
    if (status == MIX_OK)
        status = mix_plan_create(work->job, &plan, err);
    if (status != MIX_OK)
        return status;
    mix_shard_of_file(o->path, &work->shard, &work->n_shards);
    work->n_scales = work->job->n_scales;
    work->scale = calloc(work->n_scales + 1, sizeof *work->scale);
    keyed = order_keys(o->table, &n_keyed);
    if (work->scale == NULL || keyed == NULL) {
        status = mix_fail(err, MIX_ENOMEM, "not enough memory for %zu runs.", n_keyed);
        goto out;
    }
    for (size_t s = 0; s < work->n_scales; s++) {
        work->scale[s].n_params = work->job->scales[s].n_params;
        work->scale[s].n_tokens = work->job->scales[s].n_tokens;
    }
    count_planned(work, plan, o->table, keyed, n_keyed);
out:
    free(keyed);
    mix_plan_destroy(plan);
    return status;
}

/* ---- hosts and failures */

static int compare_host_names(const void *a, const void *b)
{
    return strcmp(((const struct host_counts *)a)->name, ((const struct host_counts *)b)->name);
}

static int compare_host_counts(const void *a, const void *b)
{
    const struct host_counts *x = a, *y = b;
    if (x->n_runs != y->n_runs)
        return x->n_runs < y->n_runs ? 1 : -1;
    return strcmp(x->name, y->name);
}

static enum mix_status measure_hosts(struct overview *o, struct mix_error *err)
{
    const struct mix_table *table = o->table;
    struct host_counts *hosts = calloc(table->n_rows + 1, sizeof *hosts);
    size_t n_rows = 0, n = 0;
    if (hosts == NULL)
        return mix_fail(err, MIX_ENOMEM, "not enough memory for the hosts.");
    for (size_t r = 0; r < table->n_rows; r++) {
        const struct mix_run *run = &table->runs[r];
        const bool counts = run->is_final || run->status != MIX_RUN_DONE;
        if (run->host[0] == '\0' || !counts)
            continue;
        memcpy(hosts[n_rows].name, run->host, sizeof run->host);
        hosts[n_rows].n_runs = 1;
        hosts[n_rows++].n_failed = run->status == MIX_RUN_FAILED;
    }
    qsort(hosts, n_rows, sizeof *hosts, compare_host_names);
    for (size_t i = 0; i < n_rows; i++) {
        if (n > 0 && strcmp(hosts[n - 1].name, hosts[i].name) == 0) {
            hosts[n - 1].n_runs++;
            hosts[n - 1].n_failed += hosts[i].n_failed;
        } else {
            hosts[n++] = hosts[i];
        }
    }
    qsort(hosts, n, sizeof *hosts, compare_host_counts);
    o->hosts = hosts;
    o->n_hosts = n;
    return MIX_OK;
}

struct ended {
    double ended;
    size_t row;
};

static int compare_ended(const void *a, const void *b)
{
    const struct ended *x = a, *y = b;
    if (x->ended != y->ended)
        return x->ended < y->ended ? 1 : -1;
    return (x->row > y->row) - (x->row < y->row);
}

static enum mix_status measure_failures(struct overview *o, struct mix_error *err)
{
    const struct mix_table *table = o->table;
    struct ended *failed = calloc(table->n_rows + 1, sizeof *failed);
    o->failures = calloc(table->n_rows + 1, sizeof *o->failures);
    if (failed == NULL || o->failures == NULL) {
        free(failed);
        return mix_fail(err, MIX_ENOMEM, "not enough memory for the failures.");
    }
    for (size_t r = 0; r < table->n_rows; r++) {
        const double ended = table->runs[r].ended;
        if (table->runs[r].status == MIX_RUN_FAILED)
            failed[o->n_failures++] = (struct ended){isnan(ended) ? 0 : ended, r};
    }
    qsort(failed, o->n_failures, sizeof *failed, compare_ended);
    for (size_t i = 0; i < o->n_failures; i++)
        o->failures[i] = failed[i].row;
    free(failed);
    return MIX_OK;
}

/* The last n lines of a text: where they begin. */
static const char *last_lines(const char *text, int n_lines)
{
    const char *at = text + strlen(text);
    while (at > text && at[-1] == '\n')
        at--;
    for (int n = 0; at > text; at--)
        if (at[-1] == '\n' && ++n == n_lines)
            break;
    return at;
}

char *status_stderr(const struct mix_table *table, size_t row, int n_lines)
{
    json_t *metadata =
        table->metadata[row] != NULL ? json_loads(table->metadata[row], 0, NULL) : NULL;
    const char *text = json_string_value(json_object_get(metadata, "stderr"));
    char *lines = NULL;
    if (text != NULL && text[strspn(text, " \n")] != '\0')
        lines = strdup(n_lines > 0 ? last_lines(text, n_lines) : text);
    json_decref(metadata);
    for (size_t n = lines != NULL ? strlen(lines) : 0; n > 0 && lines[n - 1] == '\n'; n--)
        lines[n - 1] = '\0';
    return lines;
}

/* ---- pace */

/* What has ended since the writer began says how fast it is; FLOPs say how much is left. At the end
 * of a sweep few runs go at once: it takes no less than one of them. */
static void measure_pace(struct overview *o)
{
    const double now = (double)time(NULL), since = o->writer.since;
    size_t n = 0;
    double flops = 0, wall_s = 0, wall_flops = 0;
    o->rate = NAN;
    o->left_s = NAN;
    if (!o->has_writer || o->table == NULL || !(now > since))
        return;
    for (size_t r = 0; r < o->table->n_rows; r++) {
        const struct mix_run *run = &o->table->runs[r];
        if (!(run->ended >= since) || !run->is_final || run->status == MIX_RUN_INTERRUPTED)
            continue;
        n++;
        flops += run->flops;
        if (run->wall_s > 0) {
            wall_s += run->wall_s;
            wall_flops += run->flops;
        }
    }
    if (n == 0)
        return;
    o->rate = (double)n / (now - since);
    if (o->work.job != NULL && flops > 0)
        o->left_s = o->work.left_flops / flops * (now - since);
    if (isfinite(o->left_s) && wall_flops > 0)
        o->left_s = fmax(o->left_s, o->work.longest_flops / wall_flops * wall_s);
}

enum mix_status status_measure(struct overview *o, struct mix_error *err)
{
    enum mix_status status = measure_work(o, err);
    if (status == MIX_OK && o->table != NULL)
        status = measure_hosts(o, err);
    if (status == MIX_OK && o->table != NULL)
        status = measure_failures(o, err);
    measure_pace(o);
    return status;
}

void status_clear_work(struct overview *o)
{
    mix_job_destroy(o->work.job);
    free(o->work.scale);
    free(o->hosts);
    free(o->failures);
}
