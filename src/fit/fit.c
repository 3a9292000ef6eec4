/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fit.c - many starts over the ranks, for the fit that is stored and for those of its hold-outs.
 *
 * A start is a chain: a data-scaled random point, least squares, then hops that disturb the point
 * and keep what is better. The landscape is rugged because skills sit on their capacity bound or
 * not; one skill at a time crosses those ridges, where 2,000 plain random starts do not find the
 * best optimum.
 */
#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "link.h"
#include "mixsweep/share.h"

enum { HOPS = 12, HOP_STEPS = 80, POLISH_STEPS = 2000, HOLDOUT_SHARE = 4, HOLDOUT_LEAST = 8 };
/* Where targets are fitted apart, each start is one for every target, and nothing rests on a bound
 * that it shares with others. */
enum { SEPARABLE_HOPS = 4, SEPARABLE_STEPS = 300 };
static const double TOLERANCE = 1e-9, HOP_TOLERANCE = 1e-3, NUDGE = 0.01, NUDGE_RANGE = 10.0;

struct mix_fit_options mix_fit_options_default(void)
{
    return (struct mix_fit_options){.law = "transfer",
                                    .selection = {.targets = "domains"},
                                    .holdout = "auto",
                                    .n_starts = 64,
                                    .seed = 1};
}

/* Every other hop draws one skill's parameters anew; those between nudge all of theta by about 1%
 * of its box, since least squares also stalls on the kinks where a skill meets its bound. */
static void disturb(struct lsq *lsq, gsl_rng *rng, int number, double *theta, double *fresh)
{
    struct mix_model *model = lsq_model(lsq);
    if (number % 2 == 1) {
        for (size_t i = 0; i < model->n_theta; i++) {
            const double range = fmin(model->upper[i] - model->lower[i], NUDGE_RANGE);
            theta[i] += NUDGE * range * gsl_ran_ugaussian(rng);
            theta[i] = fmin(fmax(theta[i], model->lower[i]), model->upper[i]);
        }
        return;
    }
    model->law->start(model, lsq_scales(lsq), rng, fresh);
    if (model->separable) { /* what is worse stays as it was, target by target */
        memcpy(theta, fresh, model->n_theta * sizeof *theta);
        return;
    }
    const size_t m = gsl_rng_uniform_int(rng, model->spec.n_targets);
    for (size_t k = 0; k < model->n_own; k++) {
        const size_t column = model->own_column[m * model->n_own + k];
        theta[column] = fresh[column];
    }
}

static enum mix_status hop(const struct subfit *subfit, gsl_rng *rng, int number, int n_steps,
                           double *point, struct mix_poll *poll, struct lsq_result *result,
                           struct mix_error *err)
{
    struct lsq *lsq = subfit->lsq;
    struct lsq_result of_trial;
    memcpy(subfit->trial, point, lsq_model(lsq)->n_theta * sizeof *point);
    disturb(lsq, rng, number, subfit->trial, subfit->fresh);
    const enum mix_status status =
        lsq_minimise(lsq, subfit->trial, n_steps, HOP_TOLERANCE, poll, &of_trial, err);
    if (status != MIX_OK)
        return status == MIX_EINTERRUPTED ? status : MIX_OK; /* a hop to nowhere is no loss */
    lsq_complete_point(lsq, subfit->trial);
    lsq_keep_better(lsq, subfit->trial, point);
    result->objective = lsq_point_objective(lsq, point);
    return MIX_OK;
}

/* A random point, least squares of `n_steps`, then hops that keep what is better; point and return
 * as in fit_run_chain(). */
static enum mix_status run_hops(const struct subfit *subfit, gsl_rng *rng, int n_hops, int n_steps,
                                double *point, struct mix_poll *poll, struct lsq_result *result,
                                struct mix_error *err)
{
    struct lsq *lsq = subfit->lsq;
    const struct mix_model *model = lsq_model(lsq);
    model->law->start(model, lsq_scales(lsq), rng, point);
    enum mix_status status = lsq_minimise(lsq, point, n_steps, HOP_TOLERANCE, poll, result, err);
    lsq_complete_point(lsq, point);
    if (status == MIX_ENUMERIC) { /* a start without a finite loss is a result: the worst */
        result->objective = INFINITY;
        return MIX_OK;
    }
    for (int i = 0; status == MIX_OK && i < n_hops && model->n_own > 0; i++)
        status = hop(subfit, rng, i, n_steps, point, poll, result, err);
    return status;
}

enum mix_status fit_run_chain(const struct subfit *subfit, gsl_rng *rng, double *point,
                              struct mix_poll *poll, struct lsq_result *result,
                              struct mix_error *err)
{
    struct lsq *lsq = subfit->lsq;
    const bool separable = lsq_model(lsq)->separable;
    const int polish_steps = separable ? SEPARABLE_STEPS : POLISH_STEPS;
    lsq_expect_least_residuals(lsq, true);
    enum mix_status status = run_hops(subfit, rng, separable ? SEPARABLE_HOPS : HOPS, HOP_STEPS,
                                      point, poll, result, err);
    lsq_expect_least_residuals(lsq, false);
    if (status != MIX_OK || !isfinite(result->objective))
        return status;
    struct lsq_result polished;
    status = lsq_minimise(lsq, point, polish_steps, TOLERANCE, poll, &polished, err);
    if (status == MIX_OK) {
        lsq_complete_point(lsq, point);
        *result = polished;
    }
    if (status ==
        MIX_ENUMERIC) { /* what the hops reached is not to be compared with other starts */
        result->objective = INFINITY;
        return MIX_OK;
    }
    return status;
}

/* Which fit a task belongs to. */
static const struct subfit *subfit_of(const struct fit_plan *plan, size_t task, size_t *start)
{
    size_t i = 0;
    while (i + 1 < plan->n_subfits && task >= plan->subfit[i + 1].first_task)
        i++;
    *start = task - plan->subfit[i].first_task;
    return &plan->subfit[i];
}

static enum mix_status run_start(void *context, size_t task, void *record, struct mix_poll *poll,
                                 struct mix_error *err)
{
    const struct fit_plan *plan = context;
    size_t start;
    const struct subfit *subfit = subfit_of(plan, task, &start);
    const uint64_t what[2] = {(uint64_t)(subfit - plan->subfit), start};
    gsl_rng *rng = mix_rng_create(mix_key_make(plan->seed, "fit", what, sizeof what));
    if (rng == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a random stream");
    double *out = record;
    struct lsq_result result = {0};
    const enum mix_status status =
        fit_run_chain(subfit, rng, out + RECORD_POINT, poll, &result, err);
    gsl_rng_free(rng);
    out[RECORD_OBJECTIVE] = result.objective;
    out[RECORD_GRADIENT] = result.gradient;
    return status;
}

/* Make the subfit of one fold; one that the law refuses is skipped with a note. */
static enum mix_status add_subfit(struct fit_plan *plan, const struct mix_fit_options *options,
                                  const uint8_t *rows, size_t n_starts, struct mix_error *err)
{
    static const char one_size[] =
        "a hold-out by scale is fitted on one size: it says nothing of how losses change with N";
    struct subfit *subfit = &plan->subfit[plan->n_subfits];
    enum mix_status status;
    if (rows == NULL) {
        subfit->data = plan->data;
        subfit->spec = plan->spec;
    } else {
        status = validate_subset(plan->data, rows, &subfit->data, err);
        if (status != MIX_OK)
            return status;
        struct mix_error why = {{0}};
        if (validate_spec(options->law, options->form, subfit->data, &subfit->spec, &why) !=
            MIX_OK) {
            fit_note(plan->notes, sizeof plan->notes, "a hold-out was skipped: without its rows %s",
                     why.text);
            n_starts = 0;
        } else if (plan->spec.has_size_term && !subfit->spec.has_size_term &&
                   strstr(plan->notes, one_size) == NULL) {
            fit_note(plan->notes, sizeof plan->notes, "%s", one_size);
        }
    }
    subfit->n_starts = n_starts;
    subfit->first_task = plan->n_tasks;
    plan->n_tasks += n_starts;
    plan->n_subfits++;
    if (n_starts == 0)
        return MIX_OK;
    status =
        lsq_create(&subfit->spec, subfit->data->target_domain, subfit->data, &subfit->lsq, err);
    if (status != MIX_OK)
        return status;
    law_model_set_isa(lsq_model(subfit->lsq), plan->isa);
    const size_t n_point = lsq_point_doubles(subfit->lsq);
    if (n_point > plan->max_point)
        plan->max_point = n_point;
    subfit->trial = calloc(n_point, sizeof *subfit->trial);
    subfit->fresh = calloc(n_point, sizeof *subfit->fresh);
    if (subfit->trial == NULL || subfit->fresh == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a fit");
    return MIX_OK;
}

/* Whether some selected run is one whose losses before its end are far from those of finished runs.
 */
static bool decays_last(const struct mix_table *table, const struct mix_data *data)
{
    for (size_t r = 0; r < data->n_rows; r++)
        if (strncmp(table->runs[data->row[r]].schedule, "wsd", 3) == 0)
            return true;
    return false;
}

/* Name the late checkpoints where they are left out and the law knows D. */
static enum mix_status note_late(const struct mix_table *table,
                                 const struct mix_fit_options *options, struct fit_plan *plan,
                                 struct mix_error *err)
{
    if (options->selection.checkpoints != MIX_CHECKPOINTS_LAST || decays_last(table, plan->all))
        return MIX_OK;
    struct mix_selection late = options->selection;
    struct mix_data *data = NULL;
    struct mix_law_spec spec;
    late.checkpoints = MIX_CHECKPOINTS_LATE;
    const enum mix_status status = mix_table_select(table, &late, &data, err);
    if (status == MIX_OK && data->n_rows > plan->all->n_rows && options->form != 1 &&
        validate_spec(options->law, options->form, data, &spec, NULL) == MIX_OK)
        fit_note(plan->notes, sizeof plan->notes,
                 "%zu late checkpoints of these runs are left out; on public tables "
                 "--checkpoints late made laws with D better at unseen sizes",
                 data->n_rows - plan->all->n_rows);
    mix_data_destroy(data);
    return status;
}

static enum mix_status make_plan(const struct mix_table *table,
                                 const struct mix_fit_options *options, struct fit_plan *plan,
                                 struct mix_error *err)
{
    plan->seed = options->seed;
    enum mix_status status = mix_table_select(table, &options->selection, &plan->all, err);
    plan->data = plan->all;
    if (status == MIX_OK && plan->all->n_scores > 0)
        status = fit_split_scores(plan->all, &plan->data, err);
    if (status == MIX_OK)
        status = fit_names(table, plan->all, &plan->names, err);
    if (status == MIX_OK)
        status =
            mix_law_spec_from_data(options->law, options->form, plan->data, plan->names.domains,
                                   plan->names.targets, &plan->spec, plan->notes, err);
    if (status == MIX_OK)
        status = note_late(table, options, plan, err);
    if (status == MIX_OK)
        status = validate_splits(options->holdout, plan->data, options->seed, &plan->splits, err);
    if (status != MIX_OK)
        return status;
    size_t n_folds = 0;
    for (size_t i = 0; i < plan->splits.n; i++)
        n_folds += plan->splits.split[i].n_folds;
    plan->subfit = calloc(1 + n_folds, sizeof *plan->subfit);
    if (plan->subfit == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a fit");
    status = add_subfit(plan, options, NULL, options->n_starts, err);
    size_t n_holdout = options->n_starts / HOLDOUT_SHARE;
    if (n_holdout < HOLDOUT_LEAST)
        n_holdout = HOLDOUT_LEAST;
    for (size_t i = 0; i < plan->splits.n; i++)
        for (size_t f = 0; status == MIX_OK && f < plan->splits.split[i].n_folds; f++)
            status = add_subfit(plan, options, plan->splits.split[i].train + f * plan->data->n_rows,
                                n_holdout, err);
    return status;
}

static void destroy_plan(struct fit_plan *plan)
{
    for (size_t i = 0; i < plan->n_subfits; i++) {
        lsq_destroy(plan->subfit[i].lsq);
        free(plan->subfit[i].trial);
        free(plan->subfit[i].fresh);
        if (i > 0)
            mix_data_destroy(plan->subfit[i].data);
    }
    free(plan->subfit);
    free(plan->names.domains);
    free(plan->names.targets);
    free(plan->records);
    validate_splits_destroy(&plan->splits);
    if (plan->data != plan->all)
        mix_data_destroy(plan->data);
    mix_data_destroy(plan->all);
}

const double *fit_record(const struct fit_plan *plan, const struct subfit *subfit, size_t start)
{
    return plan->records + (subfit->first_task + start) * plan->record_doubles;
}

const double *fit_best_theta(const struct fit_plan *plan, const struct subfit *subfit,
                             double *objective)
{
    const double *best = NULL;
    for (size_t i = 0; i < subfit->n_starts; i++) {
        const double *record = fit_record(plan, subfit, i);
        if (isfinite(record[RECORD_OBJECTIVE]) &&
            (best == NULL || record[RECORD_OBJECTIVE] < best[RECORD_OBJECTIVE]))
            best = record;
    }
    if (best == NULL)
        return NULL;
    *objective = best[RECORD_OBJECTIVE];
    return best + RECORD_POINT;
}

enum mix_status fit_sort_starts(const struct fit_plan *plan, const struct subfit *subfit,
                                struct mix_error *err)
{
    double *first = plan->records + subfit->first_task * plan->record_doubles;
    const enum mix_status status = lsq_sort_blocks(subfit->lsq, subfit->n_starts,
                                                   plan->record_doubles, first + RECORD_POINT, err);
    for (size_t k = 0; k < subfit->n_starts; k++) {
        double *record = first + k * plan->record_doubles;
        record[RECORD_OBJECTIVE] = lsq_point_objective(subfit->lsq, record + RECORD_POINT);
    }
    return status;
}

static enum mix_status run_starts(struct mix_ranks *ranks, struct fit_plan *plan,
                                  mix_progress_fn progress, void *progress_context,
                                  struct mix_error *err)
{
    plan->record_doubles = RECORD_POINT + plan->max_point;
    enum mix_status status = MIX_OK;
    if (mix_ranks_rank(ranks) == 0) {
        plan->records = calloc(plan->n_tasks * plan->record_doubles, sizeof *plan->records);
        if (plan->records == NULL)
            status = mix_fail(err, MIX_ENOMEM, "out of memory for %zu starts", plan->n_tasks);
    }
    status = mix_ranks_agree(ranks, status, err);
    if (status != MIX_OK)
        return status;
    const struct mix_stage stage = {.name = "fit",
                                    .n_tasks = plan->n_tasks,
                                    .record_bytes = plan->record_doubles * sizeof(double),
                                    .run = run_start,
                                    .context = plan,
                                    .records = (uint8_t *)plan->records,
                                    .progress = progress,
                                    .progress_context = progress_context};
    status = mix_stage_run(ranks, &stage, err);
    if (status != MIX_OK)
        return status;
    for (size_t i = 0; status == MIX_OK && plan->records != NULL && i < plan->n_subfits; i++)
        if (plan->subfit[i].lsq != NULL)
            status = fit_sort_starts(plan, &plan->subfit[i], err);
    return mix_ranks_agree(ranks, status, err); /* only rank 0 sorts */
}

/* What rank 0 does with the starts, as the one task of a stage of its own, so that it hears
 * signals: errors of thousands of parameters take seconds. */
struct summary {
    const struct mix_table *table;
    const struct mix_fit_options *options;
    struct fit_plan *plan;
    struct mix_fit **out;
};

static enum mix_status summarise(void *context, size_t task, void *record, struct mix_poll *poll,
                                 struct mix_error *err)
{
    const struct summary *s = context;
    (void)task, (void)record;
    return fit_summarise(s->table, s->options, s->plan, poll, s->out, err);
}

enum mix_status mix_fit_run(struct mix_ranks *ranks, const struct mix_table *table,
                            const struct mix_fit_options *options, mix_progress_fn progress,
                            void *progress_context, struct mix_fit **out, struct mix_error *err)
{
    struct fit_plan plan = {0};
    *out = NULL;
    enum mix_status status = mix_share_isa(ranks, &plan.isa, err);
    if (status == MIX_OK)
        status = mix_ranks_agree(ranks, make_plan(table, options, &plan, err), err);
    if (status == MIX_OK)
        status = run_starts(ranks, &plan, progress, progress_context, err);
    if (status == MIX_OK) {
        struct summary summary = {table, options, &plan, out};
        const struct mix_stage stage = {
            .name = "fit", .n_tasks = 1, .run = summarise, .context = &summary};
        if (mix_ranks_rank(ranks) == 0)
            status = mix_stage_run(NULL, &stage, err);
        status = mix_ranks_agree(ranks, status, err);
    }
    destroy_plan(&plan);
    if (status == MIX_EINTERRUPTED)
        return mix_fail(
            err, status,
            "fit: interrupted; starts are not stored one by one, so the same command begins "
            "this fit again");
    return status;
}
