/* SPDX-License-Identifier: GPL-3.0-or-later */
/* repetition.c - tokens that are seen again are worth less: any law as LAW+repetition.
 *
 * Of a domain with U_j tokens, a run of D tokens with share h_j makes r_j = h_j D / U_j passes.
 * They are worth
 *
 *     f(r) = r  for r <= 1,    1 + r1 (1 - exp(-(r - 1) / r1))  beyond,
 *
 * passes over tokens that are all new (Muennighoff et al., arXiv 2305.16264, for one corpus, where
 * r1 is R*_D, about 15.4; domain by domain as in arXiv 2605.12715). So a run that repeats counts as
 * one that does not, of as many tokens as it has effective ones, D' = sum_j U_j f(r_j), in the
 * shares that they have of each other, h'_j = U_j f(r_j) / D':
 *
 *     L(h, N, D; U) = LAW(h', N, D')
 *
 * Both sums of a law's arguments stay what they are: shares sum to 1, and D' < D is what repeating
 * costs. With e_j = U_j f(r_j) / D the part of D' is kept = sum_j e_j = 1 - sum_j (h_j - e_j), and
 * h'_j = e_j / kept; the second form of the sum has derivatives by each h_j alone that are the
 * law's own where nothing repeats. f has a continuous slope at r = 1.
 *
 * theta is the law's, then ln r1; the natural parameters are the law's, then r1. ln r1 has a
 * prior around the published value.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "law_impl.h"

static const double R1_USUAL = 15.4, R1_MIN = 0.05, R1_MAX = 1e3;
/* Of ln r1. */
static const double R1_SD = 1.0;

/* What domain j of a point makes of its tokens. */
struct law_worth {
    double share;   /* e_j */
    double slope;   /* d e_j / d h_j; 1 where nothing repeats */
    double by_ln_r; /* d e_j / d ln r1 */
    double by_size; /* d e_j / d U_j */
};

double mix_law_worth(double passes, double r1)
{
    return passes > 1.0 ? 1.0 - r1 * expm1(-(passes - 1.0) / r1) : passes;
}

static struct law_worth worth_of(double h, double d, double unique, double r1)
{
    const double passes = h * d / unique, more = passes - 1.0;
    if (!(more > 0.0))
        return (struct law_worth){.share = h, .slope = 1.0};
    const double value = mix_law_worth(passes, r1), decay = exp(-more / r1);
    return (struct law_worth){.share = unique / d * value,
                              .slope = decay,
                              .by_ln_r = unique / d * (value - 1.0 - more * decay),
                              .by_size = (value - (decay > 0.0 ? passes * decay : 0.0)) / d};
}

static double r1_of(const struct mix_model *model, const double *theta)
{
    return exp(theta[model->n_theta - 1]);
}

/* Row of the points as the law sees it; false where nothing repeats and it is the same row. */
static bool set_effective(struct mix_model *model, double r1, const struct law_points *points,
                          size_t r)
{
    const size_t n = points->n_domains;
    const double *h = points->h + r * n, *unique = points->unique + r * n;
    struct law_points *out = &model->effective;
    const double d = exp(points->ln_d[r]);
    double lost = 0.0;
    bool repeats = false;
    for (size_t j = 0; j < n; j++) {
        const bool again = h[j] * d > unique[j];
        const double share = again ? unique[j] / d * mix_law_worth(h[j] * d / unique[j], r1) : h[j];
        out->h[r * n + j] = share;
        lost += h[j] - share;
        repeats = repeats || again;
    }
    out->n[r] = points->n[r];
    out->ln_n[r] = points->ln_n[r];
    out->ln_d[r] = points->ln_d[r];
    memcpy(out->ln_h + r * n, points->ln_h + r * n, n * sizeof *out->ln_h);
    if (!repeats)
        return false;
    for (size_t j = 0; j < n; j++) {
        out->h[r * n + j] /= 1.0 - lost;
        out->ln_h[r * n + j] = log(out->h[r * n + j]);
    }
    out->ln_d[r] += log1p(-lost);
    return true;
}

/* The worths (K) of a point; returns what is kept of D. 0 = nothing repeats. */
static double find_worths(double r1, const struct law_points *points, size_t r,
                          struct law_worth *worth)
{
    const size_t n = points->n_domains;
    const double d = exp(points->ln_d[r]);
    double lost = 0.0;
    bool repeats = false;
    for (size_t j = 0; j < n; j++) {
        const double h = points->h[r * n + j];
        worth[j] = worth_of(h, d, points->unique[r * n + j], r1);
        lost += h - worth[j].share;
        repeats = repeats || h * d > points->unique[r * n + j];
    }
    return repeats ? 1.0 - lost : 0.0;
}

/* What moves a loss with the slopes (K) by the shares h' and `by_ln_d` by ln D': d loss / d e_j is
 * (slope_j - along) / kept. */
static double along(const struct mix_model *model, size_t r, const double *slope, double by_ln_d)
{
    const size_t n = model->spec.n_domains;
    double sum = -by_ln_d;
    for (size_t k = 0; k < n; k++)
        sum += slope[k] * model->effective.h[r * n + k];
    return sum;
}

/* Scratch: worths (K), slopes (M,K), slopes by ln D (M). */
static struct law_worth *worths(const struct mix_model *model)
{
    return model->worth;
}

static double *slopes(const struct mix_model *model)
{
    return model->scratch;
}

static double *token_slopes(const struct mix_model *model)
{
    return model->scratch + model->spec.n_targets * model->spec.n_domains;
}

static void eval(struct mix_model *model, const double *theta, const struct law_points *points,
                 double *g, double *phi)
{
    const double r1 = r1_of(model, theta);
    model->effective.n_rows = points->n_rows;
    for (size_t r = 0; r < points->n_rows; r++)
        set_effective(model, r1, points, r);
    for (size_t r = 0; r < points->n_rows; r++)
        law_points_find_cell(&model->effective, r);
    model->inner->law->eval(model->inner, theta, &model->effective, g, phi);
}

/* The slopes of the law at point r, in scratch. */
static void find_slopes(const struct mix_model *model, const double *theta, size_t r,
                        const double *lambda, const double *phi)
{
    model->inner->law->point_gradient(model->inner, theta, &model->effective, r, lambda, phi,
                                      slopes(model), token_slopes(model));
}

static void jacobian(struct mix_model *model, const double *theta, const struct law_points *points,
                     const double *lambda, const double *phi, double *own, double *u, double *v)
{
    const size_t n_targets = model->spec.n_targets, n_domains = model->spec.n_domains;
    const double r1 = r1_of(model, theta);
    double *by_r1 = own + (model->n_own - 1) * points->n_rows * n_targets;
    model->inner->law->jacobian(model->inner, theta, &model->effective, lambda, phi, own, u, v);
    memset(by_r1, 0, points->n_rows * n_targets * sizeof *by_r1);
    for (size_t r = 0; r < points->n_rows; r++) {
        const double kept = find_worths(r1, points, r, worths(model));
        if (kept == 0.0)
            continue;
        find_slopes(model, theta, r, lambda, phi);
        for (size_t m = 0; m < n_targets; m++) {
            const double *slope = slopes(model) + m * n_domains;
            const double mean = along(model, r, slope, token_slopes(model)[m]);
            for (size_t j = 0; j < n_domains; j++)
                by_r1[r * n_targets + m] += worths(model)[j].by_ln_r * (slope[j] - mean) / kept;
        }
    }
}

static void point_gradient(struct mix_model *model, const double *theta,
                           const struct law_points *points, size_t r, const double *lambda,
                           const double *phi, double *dloss_dh, double *dloss_dln_d)
{
    const size_t n_targets = model->spec.n_targets, n_domains = model->spec.n_domains;
    model->inner->law->point_gradient(model->inner, theta, &model->effective, r, lambda, phi,
                                      dloss_dh, dloss_dln_d);
    const double kept = find_worths(r1_of(model, theta), points, r, worths(model));
    if (kept == 0.0)
        return;
    for (size_t m = 0; m < n_targets; m++) {
        double *slope = dloss_dh + m * n_domains;
        const double mean = along(model, r, slope, dloss_dln_d[m]);
        for (size_t j = 0; j < n_domains; j++) {
            const struct law_worth *w = &worths(model)[j];
            const double moved = points->h[r * n_domains + j] * w->slope - w->share;
            dloss_dln_d[m] += moved * (slope[j] - mean) / kept;
            slope[j] = (w->slope * slope[j] + (1.0 - w->slope) * mean) / kept;
        }
    }
}

void law_supply_gradient(struct mix_model *model, double *dloss_dsupply)
{
    const size_t n_targets = model->spec.n_targets, n_domains = model->spec.n_domains;
    memset(dloss_dsupply, 0, n_targets * n_domains * sizeof *dloss_dsupply);
    if (model->inner == NULL)
        return;
    const double kept =
        find_worths(r1_of(model, model->theta_1), &model->point_1, 0, worths(model));
    if (kept == 0.0)
        return;
    find_slopes(model, model->theta_1, 0, model->lambda_1, model->phi_1);
    for (size_t m = 0; m < n_targets; m++) {
        const double *slope = slopes(model) + m * n_domains;
        const double mean = along(model, 0, slope, token_slopes(model)[m]);
        for (size_t j = 0; j < n_domains; j++)
            dloss_dsupply[m * n_domains + j] = worths(model)[j].by_size * (slope[j] - mean) / kept;
    }
}

static void start(const struct mix_model *model, const struct law_scales *scales, gsl_rng *rng,
                  double *theta)
{
    model->inner->law->start(model->inner, scales, rng, theta);
    theta[model->n_theta - 1] = log(1.0) + log(50.0) * gsl_rng_uniform(rng);
}

static void to_natural(const struct mix_model *model, const double *theta, const double *lambda,
                       double *params)
{
    model->inner->law->to_natural(model->inner, theta, lambda, params);
    params[model->n_params - 1] = r1_of(model, theta);
}

static void from_natural(const struct mix_model *model, const double *params, double *theta,
                         double *lambda)
{
    model->inner->law->from_natural(model->inner, params, theta, lambda);
    theta[model->n_theta - 1] = log(fmax(params[model->n_params - 1], 1e-300));
}

/* The law fills its own matrix, which has a column less; then its rows are moved to their places,
 * the last first. */
static void natural_jacobian(const struct mix_model *model, const double *theta, double *jac)
{
    const struct mix_model *inner = model->inner;
    const size_t n_lambda = model->spec.n_targets * model->n_linear, n_theta = inner->n_theta;
    const size_t n_from = n_theta + n_lambda, n_to = n_from + 1;
    inner->law->natural_jacobian(inner, theta, jac);
    for (size_t p = inner->n_params; p-- > 0;) {
        memmove(jac + p * n_to + n_theta + 1, jac + p * n_from + n_theta, n_lambda * sizeof *jac);
        memmove(jac + p * n_to, jac + p * n_from, n_theta * sizeof *jac);
        jac[p * n_to + n_theta] = 0.0;
    }
    memset(jac + inner->n_params * n_to, 0, n_to * sizeof *jac);
    jac[inner->n_params * n_to + n_theta] = r1_of(model, theta);
}

static void param_name(const struct mix_model *model, size_t p, const char *const *domains,
                       const char *const *targets, char *name, char *unit)
{
    if (p < model->inner->n_params) {
        model->inner->law->param_name(model->inner, p, domains, targets, name, unit);
        return;
    }
    snprintf(name, 2 * MIX_NAME_MAX, "r1");
    snprintf(unit, MIX_UNIT_MAX, "1");
}

static double least_size(const struct mix_model *model, const double *params)
{
    return model->inner->law->least_size(model->inner, params);
}

/* The law's columns, box and pulls, and behind them those of r1. */
static void copy_layout(struct mix_model *model)
{
    const struct mix_model *inner = model->inner;
    const size_t last = inner->n_theta, n_own = inner->n_own;
    for (size_t m = 0; m < model->spec.n_targets; m++) {
        memcpy(model->own_column + m * (n_own + 1), inner->own_column + m * n_own,
               n_own * sizeof *inner->own_column);
        model->own_column[m * (n_own + 1) + n_own] = last;
    }
    memcpy(model->lower, inner->lower, last * sizeof *inner->lower);
    memcpy(model->upper, inner->upper, last * sizeof *inner->upper);
    model->n_loss_priors = inner->n_loss_priors;
    if (inner->pull != NULL) {
        memcpy(model->pull, inner->pull, last * sizeof *inner->pull);
        memcpy(model->centre, inner->centre, last * sizeof *inner->centre);
        memcpy(model->heavy_tails, inner->heavy_tails, last * sizeof *inner->heavy_tails);
    }
    model->lower[last] = log(R1_MIN);
    model->upper[last] = log(R1_MAX);
    law_set_prior(model, last, 1, log(R1_USUAL), R1_SD);
}

static enum mix_status layout(struct mix_model *model, struct mix_error *err)
{
    const size_t n_targets = model->spec.n_targets, n_domains = model->spec.n_domains;
    struct mix_law_spec spec = model->spec;
    spec.law[strcspn(spec.law, "+")] = '\0';
    const enum mix_status status =
        mix_model_create(&spec, model->target_domain, &model->inner, err);
    if (status != MIX_OK)
        return status;
    model->n_own = model->inner->n_own + 1;
    model->n_theta = model->inner->n_theta + 1;
    model->n_params = model->inner->n_params + 1;
    model->n_v = model->inner->n_v;
    model->n_linear = model->inner->n_linear;
    model->n_gauge = model->inner->n_gauge;
    model->own_column = calloc(n_targets * model->n_own, sizeof *model->own_column);
    model->lower = calloc(model->n_theta, sizeof *model->lower);
    model->upper = calloc(model->n_theta, sizeof *model->upper);
    model->scratch = calloc(n_targets * (n_domains + 1), sizeof *model->scratch);
    model->worth = calloc(n_domains, sizeof *model->worth);
    if (model->own_column == NULL || model->lower == NULL || model->upper == NULL ||
        model->scratch == NULL || model->worth == NULL || !law_make_priors(model))
        return mix_fail(err, MIX_ENOMEM, "out of memory for a law of %zu targets", n_targets);
    copy_layout(model);
    return MIX_OK;
}

void law_note_repetition(const struct mix_data *data, char notes[MIX_TEXT_MAX])
{
    const size_t n = data->n_domains, used = strlen(notes);
    double most = 0.0;
    for (size_t i = 0; data->unique != NULL && i < data->n_rows * n; i++)
        most = fmax(most, data->mixture[i] * data->n_tokens[i / n] / data->unique[i]);
    if (most <= 1.0)
        snprintf(notes + used, MIX_TEXT_MAX - used,
                 "no selected run sees a domain more than once (%.3g passes at most): r1, what "
                 "repeats are worth, is held at the published %.3g\n",
                 most, R1_USUAL);
}

const struct mix_law mix_law_repetition = {
    .name = "repetition",
    .summary = "any law on effective tokens: repeats are worth less and less, 1 parameter more",
    .targets = LAW_ANY_TARGET,
    .layout = layout,
    .start = start,
    .eval = eval,
    .jacobian = jacobian,
    .point_gradient = point_gradient,
    .to_natural = to_natural,
    .from_natural = from_natural,
    .natural_jacobian = natural_jacobian,
    .param_name = param_name,
    .least_size = least_size,
};
