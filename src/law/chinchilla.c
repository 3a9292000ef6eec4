/* SPDX-License-Identifier: GPL-3.0-or-later */
/* chinchilla.c - scale only, blind to the mixture: the floor that any mixing law must beat.
 *
 *     L_m = E_m + P_m N^(-p_m) + Q_m D^(-q_m)       (Hoffmann et al., arXiv 2203.15556, per target)
 *
 * theta: ln p (M) where N varies, then ln q (M) where D varies. Natural: E (M), P (M), p (M), Q
 * (M), q (M). All targets are allowed. Nothing is shared between targets, so n_v = 0.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "competition.h"

static const double EXPONENT_MIN = 1e-3, EXPONENT_MAX = 8.0;

static enum mix_status check(const struct mix_data *data, const char *const *domains,
                             const char *const *targets, struct mix_law_spec *spec,
                             char notes[MIX_TEXT_MAX], struct mix_error *err)
{
    (void)domains;
    (void)targets;
    if (spec->form != 0)
        return mix_fail(err, MIX_EINVAL,
                        "law chinchilla has no forms; form eq%d belongs to capacity", spec->form);
    competition_check_terms(data, spec, notes);
    return MIX_OK;
}

/* Scale terms present: their exponents' places in theta are 0 .. n-1 blocks of M. */
static size_t n_terms(const struct mix_model *model)
{
    return (size_t)(model->spec.has_size_term != 0) + (size_t)(model->spec.has_token_term != 0);
}

static bool is_size(const struct mix_model *model, size_t term)
{
    return term == 0 && model->spec.has_size_term;
}

static enum mix_status layout(struct mix_model *model, struct mix_error *err)
{
    const size_t n_targets = model->spec.n_targets, n = n_terms(model);
    model->n_theta = n * n_targets;
    model->n_linear = 1 + n;
    model->n_own = n;
    model->n_v = 0;
    model->n_params = n_targets * (1 + 2 * n);
    model->cache_row = 1;
    model->own_column = calloc(model->n_theta + 1, sizeof *model->own_column);
    model->lower = calloc(model->n_theta + 1, sizeof *model->lower);
    model->upper = calloc(model->n_theta + 1, sizeof *model->upper);
    if (model->own_column == NULL || model->lower == NULL || model->upper == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a law of %zu targets", n_targets);
    for (size_t m = 0; m < n_targets; m++)
        for (size_t k = 0; k < n; k++) {
            model->own_column[m * n + k] = k * n_targets + m;
            model->lower[k * n_targets + m] = log(EXPONENT_MIN);
            model->upper[k * n_targets + m] = log(EXPONENT_MAX);
        }
    return MIX_OK;
}

static void start(const struct mix_model *model, const struct law_scales *scales, gsl_rng *rng,
                  double *theta)
{
    (void)scales;
    for (size_t i = 0; i < model->n_theta; i++)
        theta[i] = log(0.02) + log(2.0 / 0.02) * gsl_rng_uniform(rng);
}

static void eval(struct mix_model *model, const double *theta, const struct law_points *points,
                 double *g, double *phi)
{
    const size_t n_targets = model->spec.n_targets, n_e = points->n_rows * n_targets;
    for (size_t r = 0; r < points->n_rows; r++)
        for (size_t m = 0; m < n_targets; m++) {
            const size_t e = r * n_targets + m;
            g[e] = 0.0;
            phi[e] = 1.0;
            for (size_t k = 0; k < n_terms(model); k++) {
                const double ln_size = is_size(model, k) ? points->ln_n[r] : points->ln_d[r];
                phi[(1 + k) * n_e + e] = exp(-exp(theta[k * n_targets + m]) * ln_size);
            }
        }
}

static void jacobian(struct mix_model *model, const double *theta, const struct law_points *points,
                     const double *lambda, const double *phi, double *own, double *u, double *v)
{
    (void)v;
    const size_t n_targets = model->spec.n_targets, n_e = points->n_rows * n_targets;
    for (size_t r = 0; r < points->n_rows; r++)
        for (size_t m = 0; m < n_targets; m++) {
            const size_t e = r * n_targets + m;
            u[e] = 0.0;
            for (size_t k = 0; k < n_terms(model); k++) {
                const double ln_size = is_size(model, k) ? points->ln_n[r] : points->ln_d[r];
                own[k * n_e + e] = -lambda[m * model->n_linear + 1 + k] * phi[(1 + k) * n_e + e] *
                                   exp(theta[k * n_targets + m]) * ln_size;
            }
        }
}

static void point_gradient(struct mix_model *model, const double *theta,
                           const struct law_points *points, size_t r, const double *lambda,
                           const double *phi, double *dloss_dh, double *dloss_dln_d)
{
    const size_t n_targets = model->spec.n_targets, n_e = points->n_rows * n_targets;
    const size_t k = n_terms(model) - 1; /* the last term, where it is there */
    memset(dloss_dh, 0, n_targets * model->spec.n_domains * sizeof *dloss_dh);
    memset(dloss_dln_d, 0, n_targets * sizeof *dloss_dln_d);
    for (size_t m = 0; model->spec.has_token_term && m < n_targets; m++)
        dloss_dln_d[m] = -lambda[m * model->n_linear + 1 + k] *
                         phi[(1 + k) * n_e + r * n_targets + m] * exp(theta[k * n_targets + m]);
}

static void to_natural(const struct mix_model *model, const double *theta, const double *lambda,
                       double *params)
{
    const size_t n_targets = model->spec.n_targets;
    for (size_t m = 0; m < n_targets; m++) {
        params[m] = lambda[m * model->n_linear];
        for (size_t k = 0; k < n_terms(model); k++) {
            params[(1 + 2 * k) * n_targets + m] = lambda[m * model->n_linear + 1 + k];
            params[(2 + 2 * k) * n_targets + m] = exp(theta[k * n_targets + m]);
        }
    }
}

static void from_natural(const struct mix_model *model, const double *params, double *theta,
                         double *lambda)
{
    const size_t n_targets = model->spec.n_targets;
    for (size_t m = 0; m < n_targets; m++) {
        lambda[m * model->n_linear] = params[m];
        for (size_t k = 0; k < n_terms(model); k++) {
            lambda[m * model->n_linear + 1 + k] = params[(1 + 2 * k) * n_targets + m];
            theta[k * n_targets + m] = log(fmax(params[(2 + 2 * k) * n_targets + m], 1e-300));
        }
    }
}

static void natural_jacobian(const struct mix_model *model, const double *theta, double *jac)
{
    const size_t n_targets = model->spec.n_targets;
    const size_t n_columns = model->n_theta + n_targets * model->n_linear;
    for (size_t m = 0; m < n_targets; m++) {
        const size_t linear = model->n_theta + m * model->n_linear;
        jac[m * n_columns + linear] = 1.0;
        for (size_t k = 0; k < n_terms(model); k++) {
            const size_t at = k * n_targets + m;
            jac[((1 + 2 * k) * n_targets + m) * n_columns + linear + 1 + k] = 1.0;
            jac[((2 + 2 * k) * n_targets + m) * n_columns + at] = exp(theta[at]);
        }
    }
}

static void param_name(const struct mix_model *model, size_t p, const char *const *domains,
                       const char *const *targets, char *name, char *unit)
{
    (void)domains;
    const size_t n_targets = model->spec.n_targets, kind = p / n_targets;
    const bool size = is_size(model, kind > 2 ? 1 : 0);
    const char *symbol = kind == 0 ? "E" : kind % 2 == 1 ? (size ? "P" : "Q") : (size ? "p" : "q");
    snprintf(name, 2 * MIX_NAME_MAX, "%s[%.*s]", symbol, MIX_NAME_MAX - 1, targets[p % n_targets]);
    snprintf(unit, MIX_UNIT_MAX, "%s", kind == 0 || kind % 2 == 1 ? "loss" : "1");
}

static double least_size(const struct mix_model *model, const double *params)
{
    (void)model;
    (void)params;
    return 0.0;
}

const struct mix_law mix_law_chinchilla = {
    .name = "chinchilla",
    .summary = "scale only, blind to the mixture: the floor, up to 5M parameters",
    .targets = LAW_ANY_TARGET,
    .check = check,
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
