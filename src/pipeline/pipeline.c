/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mixsweep/pipeline.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/interval.h"
#include "mixsweep/isa.h"
#include "mixsweep/share.h"

static const double SAME_BOUND = 1e-9; /* part of a bound */

static bool is_root(const struct mix_pipeline *pipeline)
{
    return mix_ranks_rank(pipeline->ranks) == 0;
}

static bool same_key(struct mix_key a, struct mix_key b)
{
    return a.hi == b.hi && a.lo == b.lo;
}

static void note(struct mix_pipeline *pipeline, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void note(struct mix_pipeline *pipeline, const char *format, ...)
{
    char *end = pipeline->notice + strlen(pipeline->notice);
    const size_t room = sizeof pipeline->notice - strlen(pipeline->notice);
    va_list arguments;
    if (end > pipeline->notice && room > 3)
        end += snprintf(end, room, "; ");
    va_start(arguments, format);
    vsnprintf(end, sizeof pipeline->notice - (size_t)(end - pipeline->notice), format, arguments);
    va_end(arguments);
}

/* Rank 0 reads, all know: the text travels, so that the file need not be visible elsewhere. */
static enum mix_status read_job(struct mix_pipeline *pipeline, const char *path,
                                struct mix_error *err)
{
    char *text = NULL;
    enum mix_status status = is_root(pipeline) ? mix_job_text(path, &text, err) : MIX_OK;
    status = mix_ranks_agree(pipeline->ranks, status, err);
    if (status == MIX_OK)
        status = mix_share_text(pipeline->ranks, &text, err);
    if (status == MIX_OK)
        status = mix_job_parse(path, text, &pipeline->job, err);
    free(text);
    return mix_ranks_agree(pipeline->ranks, status, err);
}

/* Embedded models are equal on all ranks only where all compute with the same instructions. */
static enum mix_status share_isa(struct mix_pipeline *pipeline, struct mix_error *err)
{
    struct mix_job *job = pipeline->job;
    enum mix_isa least = MIX_ISA_GENERIC;
    const enum mix_status status = mix_share_isa(pipeline->ranks, &least, err);
    for (size_t s = 0; s < job->n_scales; s++)
        job->scales[s].trainer.isa = least;
    for (size_t s = 0; s < job->confirm.n_scales; s++)
        job->confirm.scales[s].trainer.isa = least;
    return status;
}

/* A label that the job changes is other data behind the name; runs of another recipe are others
 * anyway. */
static enum mix_status check_content(const struct mix_pipeline *pipeline, struct mix_error *err)
{
    const struct mix_job *job = pipeline->job;
    const struct mix_table *table = pipeline->table;
    bool has_runs = false;
    for (size_t r = 0; r < table->n_rows; r++)
        has_runs = has_runs || (table->runs[r].status == MIX_RUN_DONE &&
                                strcmp(table->runs[r].recipe, job->recipe) == 0);
    for (size_t k = 0; has_runs && k < job->n_domains; k++) {
        const char *old = table->domains[k].content, *new = job->domains[k].content;
        if (old[0] != '\0' && new[0] != '\0' && !mix_content_is_hash(old) && strcmp(old, new) != 0)
            return mix_fail(err, MIX_EINVAL,
                            "the content of %s is %s in job %s, and %s of the runs in %s: give the "
                            "job another file or another recipe; mixsweep domains revise %s %s "
                            "--content %s -o NEW.h5 keeps what is still valid.",
                            job->domains[k].name, new, job->name, old, job->file, job->file,
                            job->domains[k].name, new);
    }
    return MIX_OK;
}

/* Rank 0: the runs and the job's present text into the file. Prior, supply and weights are the
 * job's; what is known of the text behind a domain stays where the job gives no label of it. */
static enum mix_status keep_runs(struct mix_pipeline *pipeline, struct mix_error *err)
{
    const struct mix_job *job = pipeline->job;
    struct mix_table *table = pipeline->table;
    enum mix_status status = check_content(pipeline, err);
    if (status != MIX_OK)
        return status;
    for (size_t k = 0; k < job->n_domains; k++) {
        const struct mix_domain old = table->domains[k];
        table->domains[k] = job->domains[k];
        if (!job->domains[k].content[0]) {
            memcpy(table->domains[k].content, old.content, sizeof old.content);
            memcpy(table->domains[k].files, old.files, sizeof old.files);
        }
    }
    memcpy(table->targets, job->targets, job->n_targets * sizeof *table->targets);
    status = mix_store_set_job(pipeline->store, job->text, job->seed);
    if (status == MIX_OK)
        status = mix_store_put_table(pipeline->store, table, err);
    return status == MIX_OK ? mix_store_commit(pipeline->store, err) : status;
}

/* The file is there before the first run is: the logs of a sweep that is killed belong to it. */
static enum mix_status make_table(struct mix_pipeline *pipeline, struct mix_error *err)
{
    const struct mix_job *job = pipeline->job;
    struct mix_table *table = mix_table_create(job->n_domains, job->n_targets);
    if (!table)
        return mix_fail(err, MIX_ENOMEM, "%s: out of memory for the runs.", job->file);
    pipeline->table = table;
    memcpy(table->domains, job->domains, job->n_domains * sizeof *table->domains);
    memcpy(table->targets, job->targets, job->n_targets * sizeof *table->targets);
    const enum mix_status status = mix_store_fold_runs(pipeline->store, table, err);
    return status == MIX_OK ? keep_runs(pipeline, err) : status;
}

static enum mix_status read_table(struct mix_pipeline *pipeline, struct mix_error *err)
{
    struct mix_error reason = {.text = ""};
    enum mix_status status = mix_store_read_table(pipeline->store, &pipeline->table, &reason);
    if (status == MIX_ENOTFOUND)
        return make_table(pipeline, err);
    return status == MIX_OK ? MIX_OK : mix_fail(err, status, "%s", reason.text);
}

static enum mix_status name_shard(struct mix_pipeline *pipeline, struct mix_error *err)
{
    const struct mix_sweep_options *options = &pipeline->options;
    char whole[MIX_TEXT_MAX];
    if (options->n_shards == 0)
        return MIX_OK;
    memcpy(whole, pipeline->job->file, sizeof whole);
    return mix_shard_file(whole, options->shard, options->n_shards, pipeline->job->file, err);
}

enum mix_status mix_pipeline_open(struct mix_ranks *ranks, const char *path, bool break_lock,
                                  const struct mix_sweep_options *options,
                                  struct mix_pipeline **out, struct mix_error *err)
{
    struct mix_pipeline *pipeline = calloc(1, sizeof *pipeline);
    enum mix_status status =
        pipeline ? MIX_OK : mix_fail(err, MIX_ENOMEM, "%s: out of memory.", path);
    status = mix_ranks_agree(ranks, status, err);
    if (status != MIX_OK || !pipeline) {
        free(pipeline);
        return status;
    }
    pipeline->ranks = ranks;
    pipeline->options = options ? *options : (struct mix_sweep_options){.stop_before_s = NAN};
    status = read_job(pipeline, path, err);
    if (status == MIX_OK)
        status = name_shard(pipeline, err);
    if (status == MIX_OK)
        status = share_isa(pipeline, err);
    if (status == MIX_OK && is_root(pipeline)) {
        status =
            mix_store_open(pipeline->job->file, MIX_STORE_OPEN, break_lock, &pipeline->store, err);
        if (status == MIX_OK)
            status = read_table(pipeline, err);
        if (status == MIX_OK)
            status = mix_job_take_chosen(pipeline->job, pipeline->table, err);
        if (status == MIX_OK)
            status = mix_sweep_count(pipeline->job, pipeline->table, &pipeline->options,
                                     &pipeline->runs, err);
    }
    status = mix_ranks_agree(ranks, status, err);
    if (status == MIX_OK)
        status = mix_share_table(ranks, &pipeline->job->chosen, err);
    if (status == MIX_OK)
        *out = pipeline;
    else
        mix_pipeline_close(pipeline);
    return status;
}

void mix_pipeline_close(struct mix_pipeline *pipeline)
{
    if (!pipeline)
        return;
    mix_store_close(pipeline->store);
    if (pipeline->job)
        mix_optima_destroy(pipeline->job->n_optima, pipeline->optima);
    mix_job_destroy(pipeline->job);
    mix_table_destroy(pipeline->table);
    mix_fit_destroy(pipeline->fit);
    mix_draws_destroy(pipeline->draws);
    mix_fits_destroy(pipeline->n_others, pipeline->others);
    free(pipeline);
}

/* Rank 0: the file has the job's present text first; the runs leave memory while they are added to.
 */
static enum mix_status release_runs(struct mix_pipeline *pipeline, struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    if (strcmp(mix_store_job(pipeline->store), pipeline->job->text) != 0)
        status = keep_runs(pipeline, err);
    if (pipeline->skipped) /* nothing will be added */
        return status;
    mix_table_destroy(pipeline->table);
    pipeline->table = NULL;
    return status;
}

/* Rank 0: other text does not harm the runs that are there. */
static enum mix_status note_content(struct mix_pipeline *pipeline, struct mix_error *err)
{
    struct mix_error reason = {.text = ""};
    bool is_new = false;
    const enum mix_status status =
        mix_sweep_check_content(pipeline->job, pipeline->table, &is_new, &reason);
    if (status == MIX_EINVAL)
        note(pipeline, "%s", reason.text);
    else if (status == MIX_OK && is_new)
        return keep_runs(pipeline, err);
    return status == MIX_OK || status == MIX_EINVAL ? MIX_OK
                                                    : mix_fail(err, status, "%s", reason.text);
}

enum mix_status mix_pipeline_sweep(struct mix_pipeline *pipeline, struct mix_error *err)
{
    struct mix_ranks *ranks = pipeline->ranks;
    pipeline->notice[0] = '\0';
    /* mix_sweep_run() refuses a job without a section sweep. */
    pipeline->skipped = pipeline->runs.n_waiting == 0 && pipeline->job->evaluator[0] != '\0';
    mix_ranks_broadcast(ranks, &pipeline->skipped, sizeof pipeline->skipped);
    enum mix_status status = is_root(pipeline) ? release_runs(pipeline, err) : MIX_OK;
    status = mix_ranks_agree(ranks, status, err);
    if (status != MIX_OK)
        return status;
    if (!pipeline->skipped)
        status = mix_sweep_run(ranks, pipeline->job, pipeline->store, &pipeline->options,
                               &pipeline->runs, err);
    else if (is_root(pipeline))
        status = note_content(pipeline, err);
    if (is_root(pipeline) && mix_store_warning(pipeline->store)[0])
        note(pipeline, "%s", mix_store_warning(pipeline->store));
    return mix_ranks_agree(ranks, status, err);
}

/* The runs come into memory where something is made of them. */
static enum mix_status share_runs(struct mix_pipeline *pipeline, struct mix_error *err)
{
    const struct mix_job *job = pipeline->job;
    enum mix_status status = MIX_OK;
    if (!job->fit.law && job->n_draws == 0 && job->n_optima == 0 && job->confirm.n_scales == 0)
        return MIX_OK;
    if (is_root(pipeline) && !pipeline->table)
        status = read_table(pipeline, err);
    status = mix_ranks_agree(pipeline->ranks, status, err);
    return status == MIX_OK ? mix_share_table(pipeline->ranks, &pipeline->table, err) : status;
}

/* On all ranks: a stage that keeps nothing of its own was interrupted. */
static enum mix_status interrupted(const struct mix_pipeline *pipeline, const char *stage,
                                   struct mix_error *err)
{
    return mix_fail(err, MIX_EINTERRUPTED,
                    "interrupted in the %s: %s keeps all that came before it; the same command "
                    "resumes.",
                    stage, pipeline->job->file);
}

/* Rank 0: the stored fit where it still holds. */
static enum mix_status recall_fit(struct mix_pipeline *pipeline, struct mix_error *err)
{
    const struct mix_job *job = pipeline->job;
    struct mix_error reason = {.text = ""};
    struct mix_fit *fit = NULL;
    struct mix_data *selected = NULL; /* a selection of nothing is no reason to make a fit anew */
    enum mix_status status = mix_table_select(pipeline->table, &job->fit.selection, &selected, err);
    mix_data_destroy(selected);
    if (status != MIX_OK)
        return status;
    status = mix_store_read_fit(pipeline->store, job->fit.name, &fit, &reason);
    if (status == MIX_ENOTFOUND)
        return MIX_OK;
    if (status != MIX_OK)
        return mix_fail(err, status, "%s", reason.text);
    char text[MIX_TEXT_MAX];
    const char *difference = mix_fit_difference(fit, pipeline->table, &job->fit, text);
    if (!difference) {
        pipeline->fit = fit;
        return MIX_OK;
    }
    note(pipeline, "fit %s is made anew: %s; draws and optima made from the old one are dropped",
         job->fit.name, difference);
    mix_fit_destroy(fit);
    return MIX_OK;
}

/* Whether the first of a list of optima, each as "optimum NAME", is one that the job makes. */
static bool is_own(const struct mix_job *job, const char *list, size_t *length)
{
    for (size_t i = 0; i < job->n_optima; i++) {
        char own[2 * MIX_NAME_MAX];
        *length = (size_t)snprintf(own, sizeof own, "optimum %s", job->optima[i].name);
        if (strncmp(list, own, *length) == 0 &&
            (list[*length] == '\0' || strncmp(list + *length, ", optimum ", 10) == 0))
            return true;
    }
    return false;
}

/* Name what goes with a fit or its draws, where the job will not make all of it again. */
static void note_dropped(struct mix_pipeline *pipeline, const char *dropped)
{
    const char *optimum = strstr(dropped, "optimum ");
    size_t length = 0;
    while (optimum != NULL && is_own(pipeline->job, optimum, &length))
        optimum = optimum[length] != '\0' ? optimum + length + 2 : NULL;
    if (optimum == NULL)
        return;
    const size_t used = strlen(pipeline->notice);
    snprintf(pipeline->notice + used, sizeof pipeline->notice - used, "%s%s",
             used > 0 ? ": " : "made from the former draws and dropped: ", dropped);
}

/* Rank 0. */
static enum mix_status keep_fit(struct mix_pipeline *pipeline, struct mix_error *err)
{
    enum mix_status status = mix_store_put_fit(pipeline->store, pipeline->fit, err);
    char dropped[MIX_TEXT_MAX] = "";
    if (status == MIX_OK)
        status = mix_store_drop_dependents(pipeline->store, pipeline->job->fit.name, dropped, err);
    note_dropped(pipeline, dropped);
    return status == MIX_OK ? mix_store_commit(pipeline->store, err) : status;
}

enum mix_status mix_pipeline_fit(struct mix_pipeline *pipeline, mix_progress_fn progress,
                                 void *progress_context, struct mix_error *err)
{
    pipeline->notice[0] = '\0';
    enum mix_status status = share_runs(pipeline, err);
    if (status != MIX_OK || !pipeline->job->fit.law)
        return status;
    status = is_root(pipeline) ? recall_fit(pipeline, err) : MIX_OK;
    status = mix_ranks_agree(pipeline->ranks, status, err);
    if (status != MIX_OK)
        return status;
    pipeline->skipped = pipeline->fit != NULL;
    mix_ranks_broadcast(pipeline->ranks, &pipeline->skipped, sizeof pipeline->skipped);
    if (!pipeline->skipped) {
        status = mix_fit_run(pipeline->ranks, pipeline->table, &pipeline->job->fit, progress,
                             progress_context, &pipeline->fit, err);
        if (status == MIX_OK && is_root(pipeline))
            status = keep_fit(pipeline, err);
        status = mix_ranks_agree(pipeline->ranks, status, err);
        if (status == MIX_EINTERRUPTED)
            return interrupted(pipeline, "fit", err);
    }
    return status == MIX_OK ? mix_share_fit(pipeline->ranks, &pipeline->fit, err) : status;
}

static struct mix_bootstrap_options bootstrap_options(const struct mix_pipeline *pipeline)
{
    const struct mix_job *job = pipeline->job;
    return (struct mix_bootstrap_options){.n_draws = job->n_draws,
                                          .seed = pipeline->fit->seed,
                                          .cluster_run = job->cluster_run != 0,
                                          .bayesian = job->bayesian};
}

/* Rank 0: finished draws into the file, all or some. */
static enum mix_status keep_draws(struct mix_pipeline *pipeline, struct mix_error *err)
{
    char dropped[MIX_TEXT_MAX] = "";
    enum mix_status status = mix_store_put_draws(pipeline->store, pipeline->draws, err);
    if (status == MIX_OK)
        status = mix_store_drop_optima(pipeline->store, pipeline->fit->name, dropped, err);
    note_dropped(pipeline, dropped);
    return status == MIX_OK ? mix_store_commit(pipeline->store, err) : status;
}

/* Rank 0: draws with what the file has of them. More than are asked for stay. */
static enum mix_status recall_draws(struct mix_pipeline *pipeline, struct mix_error *err)
{
    struct mix_error reason = {.text = ""};
    struct mix_draws *old = NULL;
    enum mix_status status =
        mix_store_read_draws(pipeline->store, pipeline->fit->name, &old, &reason);
    if (status != MIX_OK && status != MIX_ENOTFOUND)
        return mix_fail(err, status, "%s", reason.text);
    const struct mix_bootstrap_options options = bootstrap_options(pipeline);
    bool same = old && mix_draws_match(old, pipeline->fit, &options);
    if (old && !same)
        note(pipeline, "the draws of %s are made anew: bootstrap options have changed",
             pipeline->fit->name);
    pipeline->draws = mix_draws_plan(pipeline->fit, &options, same ? old : NULL);
    const size_t n_old = same ? old->n_draws : 0;
    mix_draws_destroy(old);
    if (!pipeline->draws)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu draws.", pipeline->job->n_draws);
    /* The file says first whose draws the logs hold from here on, or a crash would lose them. */
    return pipeline->draws->n_draws > n_old ? keep_draws(pipeline, err) : MIX_OK;
}

static enum mix_status make_draws(struct mix_pipeline *pipeline, mix_progress_fn progress,
                                  void *progress_context, struct mix_error *err)
{
    const char *log_dir = pipeline->store ? mix_store_log_dir(pipeline->store) : NULL;
    struct mix_error kept_err = {.text = ""};
    enum mix_status kept = MIX_OK;
    enum mix_status status =
        mix_bootstrap_run(pipeline->ranks, pipeline->table, pipeline->fit, pipeline->draws, log_dir,
                          progress, progress_context, err);
    if (status == MIX_OK)
        status = mix_bootstrap_complete(pipeline->ranks, pipeline->table, pipeline->fit,
                                        pipeline->draws, log_dir, err);
    if (status != MIX_OK && status != MIX_EINTERRUPTED)
        return status;
    if (is_root(pipeline)) {
        kept = keep_draws(pipeline, &kept_err);
        if (status == MIX_EINTERRUPTED)
            mix_fail(
                err, status, "interrupted: %s keeps %zu of %zu draws; the same command resumes.",
                pipeline->job->file, mix_draws_count(pipeline->draws), pipeline->draws->n_draws);
    }
    kept = mix_ranks_agree(pipeline->ranks, kept, &kept_err);
    return kept == MIX_OK ? status : mix_fail(err, kept, "%s", kept_err.text);
}

enum mix_status mix_pipeline_bootstrap(struct mix_pipeline *pipeline, mix_progress_fn progress,
                                       void *progress_context, struct mix_error *err)
{
    pipeline->notice[0] = '\0';
    if (pipeline->job->n_draws == 0)
        return MIX_OK;
    enum mix_status status = is_root(pipeline) ? recall_draws(pipeline, err) : MIX_OK;
    status = mix_ranks_agree(pipeline->ranks, status, err);
    if (status != MIX_OK)
        return status;
    pipeline->skipped =
        pipeline->draws && mix_draws_count(pipeline->draws) == pipeline->draws->n_draws;
    mix_ranks_broadcast(pipeline->ranks, &pipeline->skipped, sizeof pipeline->skipped);
    if (!pipeline->skipped)
        status = make_draws(pipeline, progress, progress_context, err);
    return status == MIX_OK ? mix_share_draws(pipeline->ranks, &pipeline->draws, err) : status;
}

/* Weights of the fit's targets: the job's by name where it gives some, else the fit's own. */
static enum mix_status fit_weights(const struct mix_pipeline *pipeline,
                                   const struct mix_optimum_options *options, double **out,
                                   struct mix_error *err)
{
    const struct mix_job *job = pipeline->job;
    const struct mix_fit *fit = pipeline->fit;
    double *weight = calloc(fit->spec.n_targets + 1, sizeof *weight);
    if (!weight)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu weights.", fit->spec.n_targets);
    for (size_t i = 0; i < fit->spec.n_targets; i++) {
        weight[i] = NAN;
        for (size_t m = 0; options->weight && m < job->n_targets; m++)
            if (strcmp(fit->targets[i], job->targets[m].name) == 0)
                weight[i] = options->weight[m];
    }
    mix_goal_fill_weights(fit, options->goal, weight);
    *out = weight;
    return MIX_OK;
}

static bool same_optimum(const struct mix_optimum *optimum, const struct mix_pipeline *pipeline,
                         const struct mix_optimum_options *options)
{
    const size_t n_draws = pipeline->draws ? pipeline->draws->n_draws : 0;
    for (size_t k = 0; k < pipeline->job->n_domains && k < optimum->n_domains; k++)
        if (optimum->prior[k] != pipeline->job->domains[k].prior)
            return false;
    return same_key(optimum->fit_key, mix_fit_key(pipeline->fit)) && optimum->n_draws == n_draws &&
           strcmp(optimum->baseline_name, options->baseline_name) == 0 &&
           mix_optimum_same_question(optimum, pipeline->table, pipeline->fit, options);
}

static bool same_bound(double a, double b)
{
    return (isnan(a) && isnan(b)) || fabs(a - b) <= SAME_BOUND * fabs(b);
}

/* Whether the interval with all known errors is still that of an optimum: other fits say how much
 * hangs on the choice of the law. */
static bool same_budget(const struct mix_optimum *optimum, const struct mix_pipeline *pipeline,
                        const struct mix_optimum_options *options)
{
    struct mix_error_budget budget;
    if (optimum->goal != MIX_GOAL_MEAN ||
        mix_error_budget_compute(pipeline->table, pipeline->fit, pipeline->draws, options->n_others,
                                 options->others, options->weight, optimum->mixture,
                                 options->n_params, options->n_tokens, &budget, NULL) != MIX_OK)
        return true;
    const struct mix_interval wide =
        mix_error_budget_widen(&budget, optimum->objective, optimum->level);
    return same_bound(wide.lo, optimum->objective_wide.lo) &&
           same_bound(wide.hi, optimum->objective_wide.hi);
}

/* Rank 0: room for the optima, and all fits of the file, which say how much hangs on the choice of
 * the law. */
static enum mix_status prepare_optima(struct mix_pipeline *pipeline, struct mix_error *err)
{
    mix_fits_destroy(pipeline->n_others, pipeline->others);
    pipeline->others = NULL;
    pipeline->n_others = 0;
    mix_optima_destroy(pipeline->job->n_optima, pipeline->optima);
    pipeline->optima = calloc(pipeline->job->n_optima, sizeof(struct mix_optimum *));
    if (!pipeline->optima)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu optima.", pipeline->job->n_optima);
    return mix_store_read_fits(pipeline->store, &pipeline->n_others, &pipeline->others, err);
}

/* Rank 0: the stored optimum where it still holds. */
static enum mix_status recall_optimum(struct mix_pipeline *pipeline,
                                      const struct mix_optimum_options *options,
                                      struct mix_optimum **out, struct mix_error *err)
{
    struct mix_error reason = {.text = ""};
    struct mix_optimum *optimum = NULL;
    enum mix_status status =
        mix_store_read_optimum(pipeline->store, options->name, &optimum, &reason);
    if (status == MIX_ENOTFOUND)
        return MIX_OK;
    if (status != MIX_OK)
        return mix_fail(err, status, "%s", reason.text);
    const bool same = same_optimum(optimum, pipeline, options);
    if (same && same_budget(optimum, pipeline, options)) {
        *out = optimum;
        return MIX_OK;
    }
    note(pipeline, "the optimum of %s is made anew: %s", options->name,
         same ? "its error is another beside the other fits of the file"
              : "what is asked has changed");
    mix_optimum_destroy(optimum);
    return MIX_OK;
}

/* Collective: optimum i of the job, from the file or made and stored. */
static enum mix_status find_optimum(struct mix_pipeline *pipeline, size_t i, bool *recalled,
                                    struct mix_error *err)
{
    struct mix_optimum_options options = pipeline->job->optima[i];
    struct mix_optimum *optimum = NULL;
    double *weight = NULL;
    enum mix_status status = fit_weights(pipeline, &options, &weight, err);
    options.weight = weight;
    options.n_others = pipeline->n_others;
    options.others = (const struct mix_fit *const *)pipeline->others;
    if (status == MIX_OK && is_root(pipeline))
        status = recall_optimum(pipeline, &options, &optimum, err);
    status = mix_ranks_agree(pipeline->ranks, status, err);
    *recalled = optimum != NULL;
    mix_ranks_broadcast(pipeline->ranks, recalled, sizeof *recalled);
    if (status == MIX_OK && !*recalled) {
        status = mix_optimum_run(pipeline->ranks, pipeline->table, pipeline->fit, pipeline->draws,
                                 &options, &optimum, err);
        if (status == MIX_OK && is_root(pipeline))
            status = mix_store_put_optimum(pipeline->store, optimum, err);
        if (status == MIX_OK && is_root(pipeline))
            status = mix_store_commit(pipeline->store, err);
        status = mix_ranks_agree(pipeline->ranks, status, err);
    }
    if (is_root(pipeline))
        pipeline->optima[i] = optimum;
    free(weight);
    return status;
}

/* Collective: optima [first, last) of the job. */
static enum mix_status find_optima(struct mix_pipeline *pipeline, size_t first, size_t last,
                                   struct mix_error *err)
{
    const size_t n = pipeline->job->n_optima;
    enum mix_status status = MIX_OK;
    for (size_t i = first; status == MIX_OK && i < last; i++) {
        struct mix_error reason = {.text = ""};
        bool recalled = false;
        status = find_optimum(pipeline, i, &recalled, &reason);
        pipeline->skipped = pipeline->skipped && recalled;
        if (status != MIX_OK)
            (void)mix_fail(err, status, "%s%s%s%s", n > 1 ? "optimum " : "",
                           n > 1 ? pipeline->job->optima[i].name : "", n > 1 ? ": " : "",
                           reason.text);
    }
    return status == MIX_EINTERRUPTED ? interrupted(pipeline, "optimum", err) : status;
}

/* How many optima there are after mix_pipeline_optimum(). */
static size_t count_first(const struct mix_pipeline *pipeline)
{
    const size_t n = pipeline->job->n_optima;
    return n > 1 && mix_pipeline_round_left(pipeline) ? 1 : n;
}

enum mix_status mix_pipeline_optimum(struct mix_pipeline *pipeline, struct mix_error *err)
{
    pipeline->notice[0] = '\0';
    if (pipeline->job->n_optima == 0)
        return MIX_OK;
    enum mix_status status = is_root(pipeline) ? prepare_optima(pipeline, err) : MIX_OK;
    status = mix_ranks_agree(pipeline->ranks, status, err);
    pipeline->skipped = true;
    return status == MIX_OK ? find_optima(pipeline, 0, count_first(pipeline), err) : status;
}

enum mix_status mix_pipeline_other_optima(struct mix_pipeline *pipeline, struct mix_error *err)
{
    return find_optima(pipeline, count_first(pipeline), pipeline->job->n_optima, err);
}
