/* SPDX-License-Identifier: GPL-3.0-or-later */
/* wide.c - intervals of an optimum with all sources of error that are known: of its objective, its
 * losses and its gains by error budgets, of its shares by the optima of other laws. */
#include <gsl/gsl_cdf.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/interval.h"
#include "optimum/search.h"

/* The optimum of another law, into valleys->bottom, where it has one. */
static enum mix_status find_other(const struct mix_wide *w, const struct mix_fit *law,
                                  struct mix_valleys *valleys, bool *found, struct mix_error *err)
{
    struct mix_search *search = NULL;
    struct mix_question question = *w->question;
    enum mix_status status = mix_search_create(law, &question, &search, err);
    if (status == MIX_OK)
        status = mix_search_valleys(search, MIX_GAINS, w->references + law->spec.n_domains,
                                    w->options->n_starts, w->options->seed, valleys, err);
    mix_search_destroy(search);
    *found = status == MIX_OK;
    return status == MIX_EINVAL || status == MIX_ENUMERIC ? mix_fail(err, MIX_OK, "%s", "")
                                                          : status;
}

/* Mean squares (K) of how far the laws' optima are from this one; *known where another law has
 * one. */
static enum mix_status spread_of_optima(const struct mix_wide *w, const double *mixture,
                                        double *weight, double *bottom, double *squares,
                                        bool *known, struct mix_error *err)
{
    const struct mix_optimum_options *o = w->options;
    const size_t n = w->fit->spec.n_domains;
    struct mix_valleys valleys = {.bottom = bottom};
    enum mix_status status = MIX_OK;
    (void)mix_law_weights(w->fit, o->n_others, o->others, mixture, o->n_params, o->n_tokens,
                          weight);
    double sum = weight[o->n_others];
    for (size_t i = 0; i < o->n_others && status == MIX_OK; i++) {
        bool found = false;
        if (weight[i] > 0.0)
            status = find_other(w, o->others[i], &valleys, &found, err);
        for (size_t j = 0; j < n && found; j++)
            squares[j] += weight[i] * pow(bottom[j] - mixture[j], 2);
        sum += found ? weight[i] : 0.0;
        *known = *known || found;
    }
    for (size_t j = 0; j < n; j++)
        squares[j] /= sum;
    return status;
}

static enum mix_status set_shares(const struct mix_wide *w, struct mix_optimum *out,
                                  struct mix_error *err)
{
    const struct mix_optimum_options *o = w->options;
    const size_t n = out->n_domains;
    const double z = gsl_cdf_ugaussian_Pinv(0.5 * (1.0 + out->level));
    double *block = calloc(o->n_others + 1 + (1 + MIX_WARM_MAX) * n, sizeof *block);
    if (block == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu fits", o->n_others);
    double *squares = block + o->n_others + 1;
    bool known = false;
    const enum mix_status status =
        spread_of_optima(w, out->mixture, block, squares + n, squares, &known, err);
    for (size_t j = 0; j < n && status == MIX_OK && known; j++) {
        const double h = out->mixture[j], laws = z * sqrt(squares[j]);
        const double below = isfinite(out->mixture_lo[j]) ? fmax(0.0, h - out->mixture_lo[j]) : 0.0;
        const double above = isfinite(out->mixture_hi[j]) ? fmax(0.0, out->mixture_hi[j] - h) : 0.0;
        out->mixture_wide_lo[j] = fmax(out->lower[j], h - hypot(below, laws));
        out->mixture_wide_hi[j] = fmin(out->limit[j], h + hypot(above, laws));
    }
    free(block);
    return status;
}

static enum mix_status set_losses(const struct mix_wide *w, const struct mix_error_budget *mean,
                                  struct mix_optimum *out, struct mix_error *err)
{
    const struct mix_optimum_options *o = w->options;
    struct mix_error_budget budget;
    enum mix_status status = MIX_OK;
    for (size_t m = 0; m < out->n_targets && status == MIX_OK; m++) {
        status =
            mix_error_budget_target(w->table, w->fit, o->n_others, o->others, out->weight, m,
                                    out->mixture, o->n_params, o->n_tokens, mean, &budget, err);
        if (status == MIX_OK)
            out->loss_wide[m] = mix_error_budget_widen(&budget, out->loss[m], out->level);
    }
    return status;
}

static enum mix_status set_gains(const struct mix_wide *w, const struct mix_error_budget *mean,
                                 struct mix_optimum *out, struct mix_error *err)
{
    const struct mix_optimum_options *o = w->options;
    struct mix_error_budget budget;
    enum mix_status status = MIX_OK;
    for (size_t g = 0; g < MIX_GAINS && status == MIX_OK; g++) {
        const double *other = w->references + (1 + g) * out->n_domains;
        if (isnan(other[0]))
            continue;
        status = mix_error_budget_gain(w->fit, w->draws, o->n_others, o->others, out->weight,
                                       out->mixture, other, o->n_params, o->n_tokens, mean, &budget,
                                       err);
        if (status != MIX_OK)
            break;
        out->gain_wide[g] = mix_error_budget_widen(&budget, out->gain[g], out->level);
        out->gain_error[g] = mix_error_budget_other(&budget, w->draws != NULL);
    }
    return status;
}

enum mix_status mix_wide_set(const struct mix_wide *w, struct mix_optimum *out,
                             struct mix_error *err)
{
    const struct mix_optimum_options *o = w->options;
    struct mix_error_budget budget;
    out->objective_wide = (struct mix_interval){out->objective.value, NAN, NAN};
    enum mix_status status =
        mix_error_budget_compute(w->table, w->fit, w->draws, o->n_others, o->others, out->weight,
                                 out->mixture, o->n_params, o->n_tokens, &budget, err);
    if (status == MIX_EINVAL) /* the law predicts nothing for some of its own rows */
        return mix_fail(err, MIX_OK, "%s", "");
    if (status == MIX_OK)
        status = set_losses(w, &budget, out, err);
    if (status == MIX_OK)
        status = set_shares(w, out, err);
    if (status != MIX_OK || out->goal != MIX_GOAL_MEAN)
        return status;
    out->objective_wide = mix_error_budget_widen(&budget, out->objective, out->level);
    out->seed_error = budget.seed;
    out->fit_error = budget.fit;
    out->law_error = budget.law;
    out->scale_error = budget.scale;
    return set_gains(w, &budget, out, err);
}
