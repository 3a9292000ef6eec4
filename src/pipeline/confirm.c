/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mixsweep/confirm.h"

#include <stdlib.h>

#include "mixsweep/pipeline.h"

static bool is_root(const struct mix_pipeline *pipeline)
{
    return mix_ranks_rank(pipeline->ranks) == 0;
}

/* Rank 0: the optimum that is confirmed, behind recall(). */
static const struct mix_optimum *claimed(const struct mix_pipeline *pipeline)
{
    return pipeline->optima[pipeline->job->confirm.of];
}

static enum mix_status recall_optimum(struct mix_pipeline *pipeline, struct mix_error *err)
{
    const struct mix_job *job = pipeline->job;
    pipeline->optima = calloc(job->n_optima + 1, sizeof(struct mix_optimum *));
    if (!pipeline->optima)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu optima.", job->n_optima);
    return mix_store_read_optimum(pipeline->store, job->optima[job->confirm.of].name,
                                  &pipeline->optima[job->confirm.of], err);
}

/* Rank 0: fit, draws and optimum as the file has them, where the pipeline has not made them now. */
static enum mix_status recall(struct mix_pipeline *pipeline, struct mix_error *err)
{
    const char *name = pipeline->job->fit.name ? pipeline->job->fit.name : pipeline->job->fit.law;
    struct mix_error reason = {.text = ""};
    enum mix_status status = MIX_OK;
    if (!name)
        return mix_fail(err, MIX_EINVAL, "the job %s fits no law, so there is nothing to confirm.",
                        pipeline->job->name);
    if (pipeline->job->n_optima == 0)
        return mix_fail(err, MIX_EINVAL,
                        "the job %s asks for no optimum, so there is nothing to confirm.",
                        pipeline->job->name);
    if (!pipeline->fit)
        status = mix_store_read_fit(pipeline->store, name, &pipeline->fit, &reason);
    if (status == MIX_OK && !pipeline->draws) {
        status = mix_store_read_draws(pipeline->store, name, &pipeline->draws, &reason);
        status = status == MIX_ENOTFOUND ? MIX_OK : status;
    }
    if (status == MIX_OK && !pipeline->optima)
        status = recall_optimum(pipeline, &reason);
    if (status == MIX_OK && !pipeline->others)
        status =
            mix_store_read_fits(pipeline->store, &pipeline->n_others, &pipeline->others, &reason);
    if (status == MIX_ENOTFOUND)
        return mix_fail(err, status,
                        "%s has no optimum of the fit %s yet: `mixsweep run` makes it.",
                        pipeline->job->file, name);
    return status == MIX_OK ? MIX_OK : mix_fail(err, status, "%s", reason.text);
}

/* Rank 0: the table as the file has it after the confirming sweep. */
static enum mix_status reread(struct mix_pipeline *pipeline, struct mix_error *err)
{
    struct mix_table *table = NULL;
    const enum mix_status status = mix_store_read_table(pipeline->store, &table, err);
    if (status != MIX_OK)
        return status;
    mix_table_destroy(pipeline->table);
    pipeline->table = table;
    return MIX_OK;
}

/* Rank 0: what was measured beside what was claimed. */
static enum mix_status compare(const struct mix_pipeline *pipeline, struct mix_confirmation **out,
                               struct mix_error *err)
{
    const struct mix_claim claim = {.job = pipeline->job,
                                    .table = pipeline->table,
                                    .fit = pipeline->fit,
                                    .draws = pipeline->draws,
                                    .optimum = claimed(pipeline),
                                    .n_others = pipeline->n_others,
                                    .others = (const struct mix_fit *const *)pipeline->others};
    return mix_confirmation_compute(&claim, out, err);
}

enum mix_status mix_pipeline_confirm(struct mix_pipeline *pipeline,
                                     const struct mix_sweep_options *options,
                                     struct mix_confirmation **out, struct mix_error *err)
{
    struct mix_line_up line = {.n = 0};
    struct mix_job confirming;
    struct mix_sweep_progress progress = {.n_waiting = 0};
    pipeline->notice[0] = '\0';
    struct mix_job_scale *scales = calloc(pipeline->job->confirm.n_scales + 1, sizeof *scales);
    enum mix_status status = scales ? MIX_OK : mix_fail(err, MIX_ENOMEM, "out of memory.");
    if (status == MIX_OK && is_root(pipeline))
        status = recall(pipeline, err);
    if (status == MIX_OK && is_root(pipeline))
        mix_line_up_set(pipeline->job, claimed(pipeline), &line);
    status = mix_ranks_agree(pipeline->ranks, status, err);
    if (status != MIX_OK)
        goto out;
    mix_ranks_broadcast(pipeline->ranks, &line, sizeof line);
    status = mix_confirming_job(pipeline->job, &line, scales, &confirming, err);
    if (status != MIX_OK)
        goto out;
    if (is_root(pipeline))
        status = mix_sweep_count(&confirming, pipeline->table, options, &progress, err);
    status = mix_ranks_agree(pipeline->ranks, status, err);
    if (status != MIX_OK)
        goto out;
    pipeline->skipped = progress.n_waiting == 0;
    status = mix_sweep_run(pipeline->ranks, &confirming, pipeline->store, options, NULL, err);
    if (status == MIX_OK && is_root(pipeline)) {
        status = reread(pipeline, err);
        if (status == MIX_OK)
            status = compare(pipeline, out, err);
    }
    status = mix_ranks_agree(pipeline->ranks, status, err);
out:
    free(scales);
    return status;
}
