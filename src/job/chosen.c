/* SPDX-License-Identifier: GPL-3.0-or-later */
/* chosen.c - the runs of a job that were chosen after its design, as the rows of a table say. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reader.h"

static const double SAME_MIXTURE = 1e-9; /* in any share */
enum { REPLICATES_MAX = 10000 };         /* a name has room for as many */

/* The scale at which a row's run ends, or n_scales. */
static size_t find_scale(const struct mix_job *job, const struct mix_run *run)
{
    size_t s = 0;
    while (s < job->n_scales &&
           (job->scales[s].n_params != run->n_params || job->scales[s].n_tokens != run->n_tokens))
        s++;
    return s;
}

/* Whether the row is the end of a run of this job that was chosen. */
static bool was_chosen(const struct mix_job *job, const struct mix_table *table, size_t row)
{
    const struct mix_run *run = &table->runs[row];
    return run->round > 0 && run->is_final && strcmp(run->recipe, job->recipe) == 0 &&
           strcmp(run->schedule, job->schedule) == 0 && find_scale(job, run) < job->n_scales &&
           !isnan(table->asked[row * table->n_domains]);
}

static bool same_names(const struct mix_job *job, const struct mix_table *table)
{
    bool same = table->n_domains == job->n_domains && table->n_targets == job->n_targets;
    for (size_t k = 0; same && k < job->n_domains; k++)
        same = strcmp(table->domains[k].name, job->domains[k].name) == 0;
    return same;
}

/* The identity of a run that is planned; what became of it stays behind. */
static void take_identity(const struct mix_run *from, struct mix_run *to)
{
    to->key = from->key;
    to->round = from->round;
    to->n_params = from->n_params;
    to->n_tokens = to->n_tokens_planned = from->n_tokens;
    to->seed = from->seed;
    memcpy(to->run, from->run, sizeof to->run);
    memcpy(to->schedule, from->schedule, sizeof to->schedule);
    memcpy(to->recipe, from->recipe, sizeof to->recipe);
}

enum mix_status mix_job_take_chosen(struct mix_job *job, const struct mix_table *table,
                                    struct mix_error *err)
{
    const size_t k = job->n_domains;
    mix_table_destroy(job->chosen);
    job->chosen = NULL;
    for (size_t r = 0; table && same_names(job, table) && r < table->n_rows; r++) {
        if (!was_chosen(job, table, r))
            continue;
        if (!job->chosen)
            job->chosen = mix_table_create(k, job->n_targets);
        const size_t row = job->chosen ? mix_table_append(job->chosen) : SIZE_MAX;
        if (row == SIZE_MAX)
            return mix_fail(err, MIX_ENOMEM, "out of memory for the runs that were chosen.");
        take_identity(&table->runs[r], &job->chosen->runs[row]);
        memcpy(job->chosen->asked + row * k, table->asked + r * k, k * sizeof(double));
    }
    return MIX_OK;
}

static bool has_run(const struct mix_table *table, const struct mix_run *run)
{
    for (size_t r = 0; r < table->n_rows; r++)
        if (table->runs[r].key.hi == run->key.hi && table->runs[r].key.lo == run->key.lo)
            return true;
    return false;
}

/* What was asked for where a run realised this mixture, so that a further seed is one; else the
 * mixture itself. */
static const double *asked_for(const struct mix_table *table, const double *mixture)
{
    const size_t k = table->n_domains;
    for (size_t r = 0; r < table->n_rows; r++) {
        double distance = 0;
        for (size_t j = 0; j < k; j++)
            distance = fmax(distance, fabs(table->mixture[r * k + j] - mixture[j]));
        if (distance <= SAME_MIXTURE && !isnan(table->asked[r * k]))
            return &table->asked[r * k];
    }
    return mixture;
}

enum mix_status mix_job_choose(const struct mix_job *job, struct mix_table *table, size_t scale,
                               const double *mixture, int round, struct mix_error *err)
{
    const struct mix_job_scale *at = &job->scales[scale];
    const size_t k = job->n_domains;
    double asked[MIX_DOMAINS_MAX];
    struct mix_run run;
    if (!same_names(job, table))
        return mix_fail(err, MIX_EINVAL,
                        "job %s has %zu domains and %zu targets, the runs in %s have %zu and %zu, "
                        "or other names: no runs can be chosen for it.",
                        job->name, k, job->n_targets, job->file, table->n_domains,
                        table->n_targets);
    memcpy(asked, asked_for(table, mixture), k * sizeof *asked);
    const size_t row = mix_table_append(table);
    if (row == SIZE_MAX)
        return mix_fail(err, MIX_ENOMEM, "out of memory for the runs that are chosen.");
    job_round_mixture(k, asked);
    size_t replicate = 0;
    for (; replicate < REPLICATES_MAX; replicate++) {
        job_make_run(job, at, asked, replicate, &run);
        if (!has_run(table, &run))
            break;
    }
    run.status = MIX_RUN_INTERRUPTED;
    run.round = round;
    run.flops = mix_job_flops(at);
    table->runs[row] = run;
    memcpy(table->asked + row * k, asked, k * sizeof *asked);
    memcpy(table->mixture + row * k, asked, k * sizeof *asked);
    for (size_t j = 0; j < k; j++)
        table->epochs[row * k + j] =
            asked[j] * at->n_tokens /
            (job->domains[j].supply_tokens * mix_job_subsample(job, at, j));
    return MIX_OK;
}

enum mix_status mix_job_of_table(const struct mix_table *table, const char *file,
                                 struct mix_job **out, struct mix_error *err)
{
    struct mix_job *job = calloc(1, sizeof *job);
    if (job) {
        *job = (struct mix_job){.n_domains = table->n_domains,
                                .n_targets = table->n_targets,
                                .domains = calloc(table->n_domains + 1, sizeof *job->domains),
                                .targets = calloc(table->n_targets + 1, sizeof *job->targets),
                                .max_epochs = INFINITY,
                                .match_tokens = NAN,
                                .command = {.loss_min = -INFINITY, .loss_max = INFINITY}};
        strcpy(job->name, "runs");
        snprintf(job->file, sizeof job->file, "%s", file);
    }
    if (!job || !job->domains || !job->targets) {
        mix_job_destroy(job);
        return mix_fail(err, MIX_ENOMEM, "out of memory for a job.");
    }
    memcpy(job->domains, table->domains, table->n_domains * sizeof *job->domains);
    memcpy(job->targets, table->targets, table->n_targets * sizeof *job->targets);
    *out = job;
    return MIX_OK;
}

enum mix_status mix_job_add_scale(struct mix_job *job, double n_params, double n_tokens,
                                  size_t *scale, struct mix_error *err)
{
    const struct mix_run run = {.n_params = n_params, .n_tokens = n_tokens};
    *scale = find_scale(job, &run);
    if (*scale < job->n_scales)
        return MIX_OK;
    struct mix_job_scale *more = realloc(job->scales, (job->n_scales + 1) * sizeof *more);
    if (!more)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a scale.");
    job->scales = more;
    more[job->n_scales++] = (struct mix_job_scale){.n_params = n_params,
                                                   .n_tokens = n_tokens,
                                                   .is_added = true,
                                                   .n_replicates = 1,
                                                   .n_replicated = SIZE_MAX,
                                                   .n_checkpoints = 1,
                                                   .checkpoints = {n_tokens},
                                                   .resources = {.wall_s = NAN}};
    return MIX_OK;
}
