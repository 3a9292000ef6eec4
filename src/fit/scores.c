/* SPDX-License-Identifier: GPL-3.0-or-later */
/* scores.c - from the fit of the losses to that of losses and the scores linked to them: rank 0
 * only, see link.h. */
#include "link.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A copy of a fit with room for scores, which have no numbers yet. */
static struct mix_fit *widen(const struct mix_fit *fit, size_t n_scores)
{
    const size_t n_l = fit->spec.n_targets, n_m = n_l + n_scores;
    const size_t n_p = fit->n_params, n_all = n_p + n_scores * score_params(n_l);
    struct mix_fit *out =
        mix_fit_create(fit->spec.n_domains, n_m, n_all, fit->n_starts, fit->n_optima);
    if (out == NULL)
        return NULL;
    const struct mix_fit own = *out; /* its arrays */
    *out = *fit;
#define COPY(member, n)                                                                            \
    out->member = own.member;                                                                      \
    memcpy(out->member, fit->member, (n) * sizeof *out->member)
    COPY(domains, fit->spec.n_domains);
    COPY(targets, n_l);
    COPY(target_domain, n_l);
    COPY(target_weight, n_l);
    COPY(target_size, n_l);
    COPY(param_names, n_p);
    COPY(param_units, n_p);
    COPY(params, n_p);
    COPY(std_error, n_p);
    COPY(param_state, n_p);
    COPY(start_objective, fit->n_starts);
    COPY(train_by_target, n_l);
    COPY(seen_max, fit->spec.n_domains);
    COPY(supply, fit->spec.n_domains);
#undef COPY
    out->link = own.link;
    out->covariance = own.covariance;
    out->optima = own.optima;
    for (size_t p = 0; p < n_p; p++)
        memcpy(out->covariance + p * n_all, fit->covariance + p * n_p, n_p * sizeof(double));
    for (size_t i = 0; i < fit->n_optima; i++)
        memcpy(out->optima + i * n_all, fit->optima + i * n_p, n_p * sizeof(double));
    out->spec.n_targets = n_m;
    out->spec.n_scores = n_scores;
    out->n_params = n_all;
    out->holdout_by_target = NULL;
    out->n_held = 0;
    out->held_out = NULL;
    out->held_key = NULL;
    out->held_n_params = out->held_loss = out->held_predicted = NULL;
    return out;
}

/* The held-out rows of the fit of the losses; scores stay NaN. */
static bool widen_held(const struct mix_fit *fit, struct mix_fit *out)
{
    const size_t n_l = fit->spec.n_targets, n_m = out->spec.n_targets;
    if (fit->n_holdouts > 0) {
        out->holdout_by_target = calloc(n_m, sizeof *out->holdout_by_target);
        if (out->holdout_by_target == NULL)
            return false;
        memcpy(out->holdout_by_target, fit->holdout_by_target,
               n_l * sizeof *fit->holdout_by_target);
    }
    if (!mix_fit_hold(out, fit->n_held))
        return false;
    for (size_t i = 0; i < fit->n_held; i++) {
        out->held_out[i] = fit->held_out[i];
        out->held_key[i] = fit->held_key[i];
        out->held_n_params[i] = fit->held_n_params[i];
        for (size_t m = 0; m < n_m; m++) {
            out->held_loss[i * n_m + m] = m < n_l ? fit->held_loss[i * n_l + m] : NAN;
            out->held_predicted[i * n_m + m] = m < n_l ? fit->held_predicted[i * n_l + m] : NAN;
        }
    }
    return true;
}

/* Names, parameters and their errors. */
static enum mix_status fill_links(const struct mix_table *table, const struct fit_plan *plan,
                                  struct links *links, uint8_t *form, struct mix_fit *out,
                                  struct mix_error *err)
{
    const size_t n_l = plan->data->n_targets, n_s = plan->all->n_scores;
    const size_t of_score = score_params(n_l);
    const size_t first = out->n_params - n_s * of_score;
    double *covariance = calloc(of_score * of_score, sizeof *covariance);
    enum mix_status status = covariance != NULL
                                 ? links_fit(links, NULL, form, out->params + first, err)
                                 : mix_fail(err, MIX_ENOMEM, "out of memory for links");
    for (size_t s = 0; s < n_s && status == MIX_OK; s++) {
        const size_t at = first + s * of_score, m = n_l + s;
        const struct mix_target *target = &table->targets[plan->all->target[m]];
        snprintf(out->targets[m], MIX_NAME_MAX, "%s", target->name);
        out->target_domain[m] = plan->all->target_domain[m];
        out->target_weight[m] = target->weight;
        out->link[m] = form[s];
        links_covariance(links, s, form[s], out->params + at, covariance);
        for (size_t p = 0; p < of_score; p++) {
            const double variance = covariance[p * of_score + p];
            score_param_name(p, target->name, plan->names.targets, out->param_names[at + p],
                             out->param_units[at + p]);
            out->std_error[at + p] = sqrt(variance);
            out->param_state[at + p] = (uint8_t)(isfinite(variance) ? 0 : 1);
            memcpy(out->covariance + (at + p) * out->n_params + at, covariance + p * of_score,
                   of_score * sizeof *covariance);
        }
        for (size_t i = 0; i < out->n_optima; i++)
            memcpy(out->optima + i * out->n_params + at, out->params + at,
                   of_score * sizeof(double));
        for (size_t r = 0; r < plan->all->n_rows; r++)
            out->n_fitted += plan->all->weight[r * plan->all->n_targets + m] > 0.0;
    }
    free(covariance);
    return status;
}

/* Scores of the runs behind the fit. */
static enum mix_status judge_links(const struct fit_plan *plan, struct mix_fit *out,
                                   double *predicted, struct mix_error *err)
{
    const struct mix_data *data = plan->all;
    struct mix_model *model = NULL;
    enum mix_status status = mix_fit_model(out, &model, err);
    if (status == MIX_OK)
        status =
            mix_model_predict_runs(model, out->params, data->n_rows, data->mixture, data->unique,
                                   data->n_params, data->n_tokens, predicted, err);
    for (size_t m = data->n_targets - data->n_scores; m < data->n_targets && status == MIX_OK; m++)
        status = mix_metrics_compute(data, out->target_weight, predicted, NULL, (int)m,
                                     &out->train_by_target[m], err);
    mix_model_destroy(model);
    return status;
}

/* One row of a hold-out: its score as measured, and by a link of the fold from predicted losses. */
static void hold_row(const struct mix_data *data, size_t row, const double *params,
                     struct mix_fit *out, size_t at)
{
    const size_t n_m = data->n_targets, n_l = n_m - data->n_scores;
    for (size_t m = n_l; m < n_m; m++)
        if (data->weight[row * n_m + m] > 0.0)
            out->held_loss[at * n_m + m] = data->loss[row * n_m + m];
    scores_from_losses(n_l, data->n_scores, params, out->held_predicted + at * n_m);
}

/* Links of every fold of a split, fitted without its rows, on what the law of the fold predicts for
 * them; *at is the next held-out row of the fit. */
static enum mix_status judge_fold_links(const struct fit_plan *plan, struct links *links,
                                        const struct split *split, uint8_t *form, double *params,
                                        double *predicted, size_t *at, struct mix_fit *out,
                                        struct mix_error *err)
{
    const struct mix_data *data = plan->all;
    const size_t n_r = data->n_rows, n_m = data->n_targets;
    uint8_t *tested = calloc(n_r + 1, 1);
    enum mix_status status =
        tested != NULL ? MIX_OK : mix_fail(err, MIX_ENOMEM, "out of memory for a hold-out");
    for (size_t i = 0; i < split->n_folds * n_r && status == MIX_OK; i++)
        tested[i % n_r] = tested[i % n_r] != 0 || split->test[i] != 0;
    for (size_t f = 0; f < split->n_folds && status == MIX_OK; f++) {
        links_fit_fold(links, split->train + f * n_r, form, params, NULL);
        for (size_t r = 0, held = *at; r < n_r; r++) {
            if (tested[r] && split->test[f * n_r + r])
                hold_row(data, r, params, out, held);
            held += tested[r] != 0;
        }
    }
    for (size_t r = 0; r < n_r && status == MIX_OK; r++)
        if (tested[r])
            memcpy(predicted + r * n_m, out->held_predicted + (*at)++ * n_m,
                   n_m * sizeof *predicted);
    for (size_t m = n_m - data->n_scores;
         m < n_m && status == MIX_OK && out->held_out[*at - 1] == 0; m++)
        status = mix_metrics_compute(data, out->target_weight, predicted, tested, (int)m,
                                     &out->holdout_by_target[m], err);
    free(tested);
    return status;
}

/* The splits that the fit of the losses was judged on, in its order. */
static enum mix_status judge_held_links(const struct fit_plan *plan, struct links *links,
                                        uint8_t *form, double *params, double *predicted,
                                        struct mix_fit *out, struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    size_t first = 1, at = 0;
    for (size_t i = 0; i < plan->splits.n && status == MIX_OK; i++) {
        const struct split *split = &plan->splits.split[i];
        bool whole = true;
        for (size_t f = 0; f < split->n_folds; f++)
            whole = whole && plan->subfit[first + f].lsq != NULL;
        if (whole)
            status = judge_fold_links(plan, links, split, form, params, predicted, &at, out, err);
        first += split->n_folds;
    }
    return status;
}

enum mix_status fit_add_scores(const struct mix_table *table, struct fit_plan *plan,
                               struct mix_fit **fit, struct mix_error *err)
{
    const size_t n_s = plan->all->n_scores, n_entries = plan->all->n_rows * plan->all->n_targets;
    if (n_s == 0)
        return MIX_OK;
    const size_t n_params = n_s * score_params(plan->data->n_targets);
    struct links *links = NULL;
    struct mix_fit *out = widen(*fit, n_s);
    double *numbers = calloc(n_entries + n_params + 1, sizeof *numbers);
    uint8_t *form = calloc(n_s, sizeof *form);
    enum mix_status status = MIX_OK;
    if (out == NULL || numbers == NULL || form == NULL || !widen_held(*fit, out))
        status = mix_fail(err, MIX_ENOMEM, "out of memory for links of %zu scores", n_s);
    if (status == MIX_OK)
        status = links_create(table, plan->all, (*fit)->target_weight, &links, err);
    if (status == MIX_OK)
        status = fill_links(table, plan, links, form, out, err);
    if (status == MIX_OK)
        status = judge_links(plan, out, numbers, err);
    if (status == MIX_OK)
        status = judge_held_links(plan, links, form, numbers + n_entries, numbers, out, err);
    links_destroy(links);
    free(numbers);
    free(form);
    if (status != MIX_OK) {
        mix_fit_destroy(out);
        return status;
    }
    mix_fit_destroy(*fit);
    *fit = out;
    return MIX_OK;
}

enum mix_status fit_split_scores(const struct mix_data *all, struct mix_data **losses,
                                 struct mix_error *err)
{
    const size_t n_m = all->n_targets, n_l = n_m - all->n_scores;
    if (n_l == 0)
        return mix_fail(err, MIX_EINVAL,
                        "only scores are selected, and laws describe losses, which scores follow; "
                        "add losses to --targets");
    uint8_t *rows = malloc(all->n_rows + 1);
    if (rows == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu rows", all->n_rows);
    memset(rows, 1, all->n_rows);
    struct mix_data *data = NULL;
    const enum mix_status status = validate_subset(all, rows, &data, err);
    free(rows);
    if (status != MIX_OK)
        return status;
    data->n_targets = n_l; /* in place: entries only move to the front */
    data->n_scores = 0;
    data->n_intermediate = all->n_intermediate;
    for (size_t r = 0; r < all->n_rows; r++)
        for (size_t m = 0; m < n_l; m++) {
            data->loss[r * n_l + m] = all->loss[r * n_m + m];
            data->weight[r * n_l + m] = all->weight[r * n_m + m];
        }
    *losses = data;
    return MIX_OK;
}
