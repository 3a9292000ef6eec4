/* SPDX-License-Identifier: GPL-3.0-or-later */
/* adaptive.c - the rounds of a job: runs that are chosen by what the runs before them say. They are
 * in the file as not begun before the first of them runs, so that a job that ends at any point goes
 * on with the same ones. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "mixsweep/next.h"
#include "mixsweep/pipeline.h"
#include "mixsweep/share.h"

static bool is_root(const struct mix_pipeline *pipeline)
{
    return mix_ranks_rank(pipeline->ranks) == 0;
}

int mix_pipeline_rounds(const struct mix_pipeline *pipeline)
{
    const struct mix_table *chosen = pipeline->job->chosen;
    int last = 0;
    for (size_t r = 0; chosen && r < chosen->n_rows; r++)
        last = chosen->runs[r].round > last ? chosen->runs[r].round : last;
    return last;
}

bool mix_pipeline_round_left(const struct mix_pipeline *pipeline)
{
    return (size_t)mix_pipeline_rounds(pipeline) < pipeline->job->adaptive.n_rounds;
}

/* The scale of the job that a proposed run has. */
static size_t scale_of(const struct mix_job *job, const struct mix_next_run *run)
{
    size_t s = 0;
    while (s + 1 < job->n_scales &&
           (job->scales[s].n_params != run->n_params || job->scales[s].n_tokens != run->n_tokens))
        s++;
    return s;
}

/* Rank 0: the chosen runs into the file, as not begun. */
static enum mix_status keep_chosen(struct mix_pipeline *pipeline, const struct mix_next *next,
                                   struct mix_error *err)
{
    const int round = mix_pipeline_rounds(pipeline) + 1;
    enum mix_status status = MIX_OK;
    for (size_t i = 0; i < next->n_runs && status == MIX_OK; i++)
        status =
            mix_job_choose(pipeline->job, pipeline->table, scale_of(pipeline->job, &next->runs[i]),
                           next->mixture + i * next->n_domains, round, err);
    if (status == MIX_OK)
        status = mix_table_finish(pipeline->table, err);
    if (status == MIX_OK)
        status = mix_store_put_table(pipeline->store, pipeline->table, err);
    if (status == MIX_OK)
        status = mix_store_commit(pipeline->store, err);
    if (status == MIX_OK)
        status = mix_job_take_chosen(pipeline->job, pipeline->table, err);
    return status == MIX_OK ? mix_sweep_count(pipeline->job, pipeline->table, &pipeline->options,
                                              &pipeline->runs, err)
                            : status;
}

/* What was made of the runs so far is made again with the new ones. */
static enum mix_status begin_round(struct mix_pipeline *pipeline, struct mix_error *err)
{
    mix_fit_destroy(pipeline->fit);
    mix_draws_destroy(pipeline->draws);
    mix_optima_destroy(pipeline->job->n_optima, pipeline->optima);
    pipeline->fit = NULL;
    pipeline->draws = NULL;
    pipeline->optima = NULL;
    if (!is_root(pipeline)) {
        mix_table_destroy(pipeline->table);
        mix_table_destroy(pipeline->job->chosen);
        pipeline->table = NULL;
        pipeline->job->chosen = NULL;
    }
    return mix_share_table(pipeline->ranks, &pipeline->job->chosen, err);
}

/* Collective. The proposal on rank 0. */
static enum mix_status propose(struct mix_pipeline *pipeline, mix_progress_fn progress,
                               void *progress_context, struct mix_next **out, struct mix_error *err)
{
    const struct mix_job *job = pipeline->job;
    struct mix_next_options options = mix_next_defaults();
    struct mix_law_check check = {.is_doubted = false};
    struct mix_next_scale *scales = calloc(job->n_scales, sizeof *scales);
    enum mix_status status =
        scales ? MIX_OK : mix_fail(err, MIX_ENOMEM, "out of memory for %zu scales.", job->n_scales);
    status = mix_ranks_agree(pipeline->ranks, status, err);
    for (size_t s = 0; status == MIX_OK && s < job->n_scales; s++)
        scales[s] = (struct mix_next_scale){.n_params = job->scales[s].n_params,
                                            .n_tokens = job->scales[s].n_tokens,
                                            .flops = mix_job_flops(&job->scales[s])};
    options.scales = scales;
    options.n_scales = job->n_scales;
    options.criterion = job->adaptive.criterion;
    options.n_runs = job->adaptive.n_runs;
    options.flops = job->adaptive.flops;
    options.worth = job->adaptive.worth;
    options.max_epochs = job->max_epochs;
    options.match_tokens = job->match_tokens;
    options.seed = job->seed + (uint64_t)mix_pipeline_rounds(pipeline);
    if (status == MIX_OK)
        status =
            mix_law_check(pipeline->ranks, pipeline->table, pipeline->fit, pipeline->n_others,
                          (const struct mix_fit *const *)pipeline->others, NULL, NULL, &check, err);
    options.is_doubted = check.is_doubted;
    if (status == MIX_OK)
        status = mix_next_propose(pipeline->ranks, pipeline->table, pipeline->fit, pipeline->draws,
                                  pipeline->optima ? pipeline->optima[0] : NULL, &options, progress,
                                  progress_context, out, err);
    free(scales);
    snprintf(pipeline->notice, sizeof pipeline->notice, "%s", check.doubt);
    return status;
}

enum mix_status mix_pipeline_choose(struct mix_pipeline *pipeline, mix_progress_fn progress,
                                    void *progress_context, struct mix_next **next, bool *goes_on,
                                    struct mix_error *err)
{
    pipeline->notice[0] = '\0';
    *next = NULL;
    *goes_on = false;
    if (!mix_pipeline_round_left(pipeline))
        return MIX_OK;
    enum mix_status status = propose(pipeline, progress, progress_context, next, err);
    if (status != MIX_OK)
        return status;
    if (is_root(pipeline))
        *goes_on = (*next)->pays;
    mix_ranks_broadcast(pipeline->ranks, goes_on, sizeof *goes_on);
    if (!*goes_on)
        return mix_pipeline_other_optima(pipeline, err);
    if (is_root(pipeline))
        status = keep_chosen(pipeline, *next, err);
    status = mix_ranks_agree(pipeline->ranks, status, err);
    return status == MIX_OK ? begin_round(pipeline, err) : status;
}
