/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mixsweep/confirm.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/interval.h"

static const double SAME = 5e-3; /* mixtures whose shares differ by less compete once */

/* What is trained: the same on all ranks. */
struct line_up {
    size_t n;
    int which[MIX_CONTENDERS_MAX];                        /* index into contender_names */
    double mixture[MIX_CONTENDERS_MAX * MIX_DOMAINS_MAX]; /* (n,K) */
};

static const char *const contender_names[MIX_CONTENDERS_MAX] = {"optimum", "nearest tie", "prior",
                                                                "uniform", "best observed"};

static bool is_root(const struct mix_pipeline *pipeline)
{
    return mix_ranks_rank(pipeline->ranks) == 0;
}

/* Rank 0: the optimum that is confirmed, behind recall(). */
static const struct mix_optimum *claimed(const struct mix_pipeline *pipeline)
{
    return pipeline->optima[pipeline->job->confirm.of];
}

/* The largest difference of a share. */
static double distance_of(size_t n, const double *a, const double *b)
{
    double distance = 0;
    for (size_t k = 0; k < n; k++)
        distance = fmax(distance, fabs(a[k] - b[k]));
    return distance;
}

/* A mixture that is none (no prior is known) or stands in the line already does not compete. */
static void enter(struct line_up *line, int which, size_t n_domains, const double *mixture)
{
    double *place = &line->mixture[line->n * n_domains];
    for (size_t k = 0; k < n_domains; k++)
        if (!(mixture[k] >= 0))
            return;
    for (size_t c = 0; c < line->n; c++)
        if (distance_of(n_domains, mixture, &line->mixture[c * n_domains]) < SAME)
            return;
    memcpy(place, mixture, n_domains * sizeof *place);
    line->which[line->n++] = which;
}

static void line_them_up(const struct mix_job *job, const struct mix_optimum *optimum,
                         struct line_up *line)
{
    double prior[MIX_DOMAINS_MAX], uniform[MIX_DOMAINS_MAX];
    const size_t n_domains = job->n_domains;
    for (size_t k = 0; k < n_domains; k++) {
        prior[k] = job->domains[k].prior;
        uniform[k] = 1.0 / (double)n_domains;
    }
    const double *const mixtures[MIX_CONTENDERS_MAX] = {optimum->mixture, optimum->tied, prior,
                                                        uniform, optimum->best_observed};
    line->n = 0;
    for (int c = 0; c < MIX_CONTENDERS_MAX; c++)
        enter(line, c, n_domains, mixtures[c]);
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

/* The optimum's own scale, trained as the job's largest scale is. */
static struct mix_job_scale target_scale(const struct mix_job *job)
{
    const struct mix_job_scale *largest = &job->scales[0];
    for (size_t s = 1; s < job->n_scales; s++)
        if (job->scales[s].n_params >= largest->n_params)
            largest = &job->scales[s];
    struct mix_job_scale scale = *largest;
    scale.n_params = job->optima[job->confirm.of].n_params;
    scale.n_tokens = job->optima[job->confirm.of].n_tokens;
    scale.n_checkpoints = 1;
    scale.checkpoints[0] = scale.n_tokens;
    scale.n_mixtures = 0;
    return scale;
}

/* The job that trains the line-up and nothing else; borrows from both. */
static enum mix_status confirming_job(const struct mix_job *job, const struct line_up *line,
                                      struct mix_job_scale *scales, struct mix_job *out,
                                      struct mix_error *err)
{
    *out = *job;
    out->confirmed = job;
    out->given = line->mixture;
    out->n_given = line->n;
    out->n_mixtures = line->n;
    out->paired_seeds = true;
    out->scales = scales;
    out->n_scales = job->confirm.n_scales > 0 ? job->confirm.n_scales : 1;
    if (job->confirm.n_scales > 0)
        memcpy(scales, job->confirm.scales, job->confirm.n_scales * sizeof *scales);
    else
        scales[0] = target_scale(job);
    for (size_t s = 0; s < out->n_scales; s++) {
        scales[s].n_replicates = job->confirm.n_seeds > 0 ? job->confirm.n_seeds : 3;
        if (scales[s].n_checkpoints > 1)
            return mix_fail(err, MIX_EINVAL,
                            "the job %s, key confirm.scales[%zu].checkpoints: %zu, but what is "
                            "confirmed is measured at the end only.",
                            job->name, s, scales[s].n_checkpoints);
        if (strcmp(job->evaluator, "embedded") == 0 && scales[s].shape.width > 0 &&
            scales[s].n_params != (double)mix_proxy_n_params(&scales[s].shape, 1))
            return mix_fail(err, MIX_EINVAL,
                            "the job %s trains embedded proxies, whose shape a number of "
                            "parameters does not say: give the section confirm its scales.",
                            job->name);
    }
    return MIX_OK;
}

static bool same_key(struct mix_key a, struct mix_key b)
{
    return a.hi == b.hi && a.lo == b.lo;
}

/* What the optimum minimised, of losses and scores (M) and those of its baseline (M). */
static double objective_from(const struct mix_pipeline *pipeline, const double *losses,
                             const double *baseline)
{
    return mix_goal_value(pipeline->fit, claimed(pipeline)->goal, claimed(pipeline)->weight, losses,
                          baseline);
}

/* Losses (M) of a row; NaN where a target is not measured. */
static void losses_of(const struct mix_pipeline *pipeline, size_t row, double *losses)
{
    const struct mix_fit *fit = pipeline->fit;
    const struct mix_table *table = pipeline->table;
    for (size_t m = 0; m < fit->spec.n_targets; m++) {
        const int t = mix_table_target(table, fit->targets[m]);
        losses[m] = t < 0 ? NAN : table->loss[row * table->n_targets + (size_t)t];
    }
}

/* Mean and standard error of the finite ones. */
static size_t mean_of(size_t n, const double *values, double *mean, double *se)
{
    double sum = 0, squares = 0;
    size_t n_good = 0;
    for (size_t i = 0; i < n; i++)
        if (isfinite(values[i])) {
            sum += values[i];
            n_good++;
        }
    *mean = n_good > 0 ? sum / (double)n_good : NAN;
    for (size_t i = 0; i < n; i++)
        if (isfinite(values[i]))
            squares += (values[i] - *mean) * (values[i] - *mean);
    *se = n_good > 1 ? sqrt(squares / (double)(n_good - 1) / (double)n_good) : NAN;
    return n_good;
}

/* The contender that the plan has rounded to `mixture`. */
static size_t contender_of(const struct mix_confirmation *out, const double *mixture)
{
    size_t c = 0;
    while (c + 1 < out->n_contenders &&
           distance_of(out->n_domains, mixture, &out->mixture[c * out->n_domains]) >= SAME / 2)
        c++;
    return c;
}

/* Losses (n_scales, n_contenders, n_seeds, M) of the confirming plan; NaN where not measured. */
static enum mix_status gather(const struct mix_pipeline *pipeline, const struct mix_job *confirming,
                              struct mix_confirmation *out, double *losses, struct mix_error *err)
{
    struct mix_plan *plan = NULL;
    const struct mix_table *table = pipeline->table;
    const size_t n_targets = pipeline->fit->spec.n_targets;
    enum mix_status status = mix_plan_create(confirming, &plan, err);
    if (status != MIX_OK)
        return status;
    size_t *n_seen = calloc(out->n_scales * out->n_contenders, sizeof *n_seen);
    if (!n_seen)
        status = mix_fail(err, MIX_ENOMEM, "out of memory for the confirmation.");
    out->n_planned = mix_plan_n_runs(plan);
    for (size_t i = 0; status == MIX_OK && i < out->n_planned; i++) {
        struct mix_planned planned;
        mix_plan_run(plan, i, &planned);
        const size_t c = contender_of(out, planned.mixture);
        size_t row = 0;
        memcpy(&out->mixture[c * out->n_domains], planned.mixture,
               out->n_domains * sizeof *planned.mixture);
        while (row < table->n_rows && !same_key(table->runs[row].key, planned.run.key))
            row++;
        const size_t at = planned.scale * out->n_contenders + c;
        assert(n_seen[at] < out->n_seeds);
        const size_t seed = at * out->n_seeds + n_seen[at]++;
        if (row < table->n_rows && table->runs[row].status == MIX_RUN_DONE)
            losses_of(pipeline, row, &losses[seed * n_targets]);
    }
    free(n_seen);
    mix_plan_destroy(plan);
    return status;
}

/* Mean measured losses (M) at a scale of the optimum's baseline, which stands in the line as prior
 * or uniform; NaN where it does not. losses (n_contenders, n_seeds, M) */
static void measure_baseline(const struct mix_pipeline *pipeline,
                             const struct mix_confirmation *out, const double *losses,
                             double *baseline)
{
    const size_t n_targets = pipeline->fit->spec.n_targets;
    size_t c = 0;
    while (c < out->n_contenders && distance_of(out->n_domains, claimed(pipeline)->baseline,
                                                &out->mixture[c * out->n_domains]) >= SAME)
        c++;
    for (size_t m = 0; m < n_targets; m++) {
        double sum = 0, n = 0;
        for (size_t s = 0; c < out->n_contenders && s < out->n_seeds; s++) {
            const double loss = losses[(c * out->n_seeds + s) * n_targets + m];
            sum += isfinite(loss) ? loss : 0;
            n += isfinite(loss);
        }
        baseline[m] = n > 0 ? sum / n : NAN;
    }
}

/* Objectives (n_scales, n_contenders, n_seeds) as they were measured. */
static enum mix_status measure(const struct mix_pipeline *pipeline,
                               const struct mix_job *confirming, struct mix_confirmation *out,
                               double *objective, struct mix_error *err)
{
    const size_t n_targets = pipeline->fit->spec.n_targets;
    const size_t n = out->n_contenders * out->n_seeds;
    double *losses = calloc((out->n_scales * n + 1) * n_targets, sizeof *losses);
    if (!losses)
        return mix_fail(err, MIX_ENOMEM, "out of memory for the confirmation.");
    double *baseline = losses + out->n_scales * n * n_targets;
    for (size_t i = 0; i < out->n_scales * n * n_targets; i++)
        losses[i] = NAN;
    const enum mix_status status = gather(pipeline, confirming, out, losses, err);
    for (size_t s = 0; status == MIX_OK && s < out->n_scales; s++) {
        const double *here = losses + s * n * n_targets;
        measure_baseline(pipeline, out, here, baseline);
        for (size_t i = 0; i < n; i++) {
            objective[s * n + i] = objective_from(pipeline, here + i * n_targets, baseline);
            out->n_failed += !isfinite(objective[s * n + i]);
        }
    }
    free(losses);
    return status;
}

/* Objective of a mixture under one set of parameters; NaN where the law has no answer. losses (2M)
 */
static double predict(const struct mix_pipeline *pipeline, struct mix_model *model,
                      const double *params, const double *mixture,
                      const struct mix_job_scale *scale, double *losses)
{
    const double size = scale->n_params / 1e6, tokens = scale->n_tokens / 1e9;
    const struct mix_optimum *o = claimed(pipeline);
    double *baseline = losses + pipeline->fit->spec.n_targets;
    if (mix_model_predict(model, params, 1, mixture, &size, &tokens, losses, NULL) != MIX_OK ||
        (mix_goal_is_relative(o->goal) && mix_model_predict(model, params, 1, o->baseline, &size,
                                                            &tokens, baseline, NULL) != MIX_OK))
        return NAN;
    return objective_from(pipeline, losses, baseline);
}

/* What a law with repetition sees: the part of the text that runs of the scale are given. */
static void set_supply(const struct mix_pipeline *pipeline, const struct mix_job_scale *scale,
                       struct mix_model *model)
{
    const struct mix_job *job = pipeline->job;
    const struct mix_fit *fit = pipeline->fit;
    double supply[MIX_DOMAINS_MAX];
    for (size_t k = 0; k < fit->spec.n_domains; k++) {
        supply[k] = NAN;
        for (size_t j = 0; j < job->n_domains; j++)
            if (strcmp(job->domains[j].name, fit->domains[k]) == 0)
                supply[k] = job->domains[j].supply_tokens * mix_job_subsample(job, scale, j) / 1e9;
    }
    mix_model_set_supply(model, supply);
}

/* With all sources of error that are known, which is of mean losses. */
static enum mix_status widen(const struct mix_pipeline *pipeline, const double *mixture,
                             const struct mix_job_scale *scale, double level,
                             struct mix_interval narrow, struct mix_interval *out,
                             struct mix_error *err)
{
    struct mix_error_budget budget;
    *out = narrow;
    if (claimed(pipeline)->goal != MIX_GOAL_MEAN)
        return MIX_OK;
    const enum mix_status status = mix_error_budget_compute(
        pipeline->table, pipeline->fit, pipeline->draws, pipeline->n_others,
        (const struct mix_fit *const *)pipeline->others, claimed(pipeline)->weight, mixture,
        scale->n_params, scale->n_tokens, &budget, err);
    if (status != MIX_OK) /* EINVAL: the law predicts nothing for some of its own rows */
        return status == MIX_EINVAL ? MIX_OK : status;
    const struct mix_interval wide = mix_error_budget_widen(&budget, narrow, level);
    *out = isfinite(wide.lo) ? wide : narrow;
    return MIX_OK;
}

/* The law's own claim at a scale: losses, and differences to the optimum draw by draw. */
static enum mix_status forecast(const struct mix_pipeline *pipeline,
                                const struct mix_confirmation *out,
                                const struct mix_job_scale *scale, struct mix_contest *contest,
                                struct mix_error *err)
{
    const struct mix_fit *fit = pipeline->fit;
    const struct mix_draws *draws = pipeline->draws;
    const size_t n_draws = draws ? draws->n_draws : 0;
    struct mix_model *model = NULL;
    enum mix_status status = mix_fit_model(fit, &model, err);
    double *losses = calloc(2 * fit->spec.n_targets, sizeof *losses);
    double *values = calloc(2 * n_draws + 1, sizeof *values),
           *gains = values ? values + n_draws : 0;
    if (status == MIX_OK && (!losses || !values))
        status = mix_fail(err, MIX_ENOMEM, "out of memory for %zu draws.", n_draws);
    if (status == MIX_OK)
        set_supply(pipeline, scale, model);
    const double best =
        status == MIX_OK ? predict(pipeline, model, fit->params, out->mixture, scale, losses) : NAN;
    for (size_t c = 0; status == MIX_OK && c < out->n_contenders; c++) {
        const double *mixture = &out->mixture[c * out->n_domains];
        const double value = predict(pipeline, model, fit->params, mixture, scale, losses);
        size_t n = 0;
        for (size_t b = 0; b < n_draws; b++) {
            const double *params = draws->params + b * draws->n_params;
            if (!draws->done[b])
                continue;
            values[n] = predict(pipeline, model, params, mixture, scale, losses);
            gains[n] = values[n] - predict(pipeline, model, params, out->mixture, scale, losses);
            n++;
        }
        const struct mix_interval narrow = mix_interval_about(value, n, values, out->level);
        status = widen(pipeline, mixture, scale, out->level, narrow, &contest[c].predicted, err);
        contest[c].predicted_gain = mix_interval_about(value - best, n, gains, out->level);
    }
    mix_model_destroy(model);
    free(losses);
    free(values);
    return status;
}

static void judge(struct mix_confirmation *out, const double *objective)
{
    double difference[1024];
    assert(out->n_seeds <= sizeof difference / sizeof *difference);
    for (size_t at = 0; at < out->n_scales * out->n_contenders; at++) {
        const size_t c = at % out->n_contenders;
        const double *mine = &objective[at * out->n_seeds], *best = mine - c * out->n_seeds;
        struct mix_contest *contest = &out->contest[at];
        contest->n_done = mean_of(out->n_seeds, mine, &contest->measured, &contest->measured_se);
        for (size_t s = 0; s < out->n_seeds; s++)
            difference[s] = c == 0 ? NAN : mine[s] - best[s];
        mean_of(out->n_seeds, difference, &contest->gain, &contest->gain_se);
    }
}

static struct mix_confirmation *create(const struct mix_pipeline *pipeline,
                                       const struct line_up *line, const struct mix_job *confirming)
{
    struct mix_confirmation *out = calloc(1, sizeof *out);
    if (!out)
        return NULL;
    out->n_contenders = line->n;
    out->n_scales = confirming->n_scales;
    out->n_seeds = confirming->scales[0].n_replicates;
    out->n_domains = confirming->n_domains;
    out->level = claimed(pipeline)->level;
    out->objective = mix_optimum_objective_text(claimed(pipeline));
    out->is_mean = claimed(pipeline)->goal == MIX_GOAL_MEAN;
    out->domains = calloc(out->n_domains, sizeof *out->domains);
    out->mixture = calloc(out->n_contenders * out->n_domains, sizeof *out->mixture);
    out->scales = calloc(out->n_scales, sizeof *out->scales);
    out->contest = calloc(out->n_scales * out->n_contenders, sizeof *out->contest);
    if (!out->domains || !out->mixture || !out->scales || !out->contest) {
        mix_confirmation_destroy(out);
        return NULL;
    }
    for (size_t c = 0; c < line->n; c++)
        out->name[c] = contender_names[line->which[c]];
    for (size_t k = 0; k < out->n_domains; k++)
        memcpy(out->domains[k], confirming->domains[k].name, MIX_NAME_MAX);
    memcpy(out->mixture, line->mixture, line->n * out->n_domains * sizeof *out->mixture);
    memcpy(out->scales, confirming->scales, out->n_scales * sizeof *out->scales);
    return out;
}

/* Rank 0: what was measured beside what was claimed. */
static enum mix_status compare(const struct mix_pipeline *pipeline, const struct line_up *line,
                               const struct mix_job *confirming, struct mix_confirmation **result,
                               struct mix_error *err)
{
    struct mix_confirmation *out = create(pipeline, line, confirming);
    double *objective =
        out ? calloc(out->n_scales * out->n_contenders * out->n_seeds, sizeof *objective) : NULL;
    enum mix_status status = MIX_OK;
    if (!out || !objective)
        status = mix_fail(err, MIX_ENOMEM, "out of memory for the confirmation.");
    if (status == MIX_OK)
        status = measure(pipeline, confirming, out, objective, err);
    if (status == MIX_OK)
        judge(out, objective);
    for (size_t s = 0; status == MIX_OK && s < out->n_scales; s++)
        status =
            forecast(pipeline, out, &out->scales[s], &out->contest[s * out->n_contenders], err);
    free(objective);
    if (status == MIX_OK)
        *result = out;
    else
        mix_confirmation_destroy(out);
    return status;
}

void mix_confirmation_destroy(struct mix_confirmation *confirmation)
{
    if (!confirmation)
        return;
    free(confirmation->domains);
    free(confirmation->mixture);
    free(confirmation->scales);
    free(confirmation->contest);
    free(confirmation);
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

enum mix_status mix_pipeline_confirm(struct mix_pipeline *pipeline,
                                     const struct mix_sweep_options *options,
                                     struct mix_confirmation **out, struct mix_error *err)
{
    struct line_up line = {.n = 0};
    struct mix_job confirming;
    struct mix_sweep_progress progress = {.n_waiting = 0};
    pipeline->notice[0] = '\0';
    struct mix_job_scale *scales = calloc(pipeline->job->confirm.n_scales + 1, sizeof *scales);
    enum mix_status status = scales ? MIX_OK : mix_fail(err, MIX_ENOMEM, "out of memory.");
    if (status == MIX_OK && is_root(pipeline))
        status = recall(pipeline, err);
    if (status == MIX_OK && is_root(pipeline))
        line_them_up(pipeline->job, claimed(pipeline), &line);
    status = mix_ranks_agree(pipeline->ranks, status, err);
    if (status != MIX_OK)
        goto out;
    mix_ranks_broadcast(pipeline->ranks, &line, sizeof line);
    status = confirming_job(pipeline->job, &line, scales, &confirming, err);
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
            status = compare(pipeline, &line, &confirming, out, err);
    }
    status = mix_ranks_agree(pipeline->ranks, status, err);
out:
    free(scales);
    return status;
}
