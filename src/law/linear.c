/* SPDX-License-Identifier: GPL-3.0-or-later */
/* linear.c - ridge regression on the mixture at one N and D, as in RegMix without its trees (Liu et
 * al., arXiv 2407.01492):
 *
 *     L_m = sum_j w_mj h_j,    K parameters per target
 *
 * An intercept folds into w, as shares sum to 1: w_mj is the loss that domain j alone would leave.
 * w_mj - mean has a normal prior, so this is ridge regression with the penalty that the residuals
 * call for; domains that no run has seen stay at the mean.
 *
 * theta of a target: w in contrasts (K-1). Linear: their mean. Natural: w (K).
 */
#include "separable.h"

#include <string.h>

/* Of what single domains alone leave, by the mean loss of the target. */
static const double SPREAD_SD = 0.7;

static enum mix_status layout(struct mix_model *model, struct mix_error *err)
{
    struct separable_symbols symbols = {0};
    separable_add(&symbols, true, "w", "loss", true);
    const size_t n_domains = model->spec.n_domains;
    const enum mix_status status =
        separable_layout(model, n_domains - 1, 1, &symbols, 0, n_domains, err);
    if (status != MIX_OK)
        return status;
    separable_box(model, 0, n_domains - 1, -1e6, 1e6);
    separable_prior(model, 0, n_domains - 1, 0.0, SPREAD_SD);
    model->n_loss_priors = model->n_theta;
    return MIX_OK;
}

/* The mean of all runs. */
static void start(const struct mix_model *model, const struct law_scales *scales, gsl_rng *rng,
                  double *theta)
{
    (void)scales;
    (void)rng;
    memset(theta, 0, model->n_theta * sizeof *theta);
}

/* The contrasts of h (K-1), and its sum. */
static void at_point(const struct mix_model *model, const struct law_points *points, size_t r)
{
    const size_t n_domains = model->spec.n_domains;
    const double *h = points->h + r * n_domains;
    double sum = 0.0;
    for (size_t j = 0; j < n_domains; j++)
        sum += h[j];
    separable_contrasts(n_domains, h, model->scratch);
    model->scratch[n_domains - 1] = sum;
}

static double value(const struct mix_model *model, const struct separable_entry *at, double *phi)
{
    const size_t n_contrasts = model->spec.n_domains - 1;
    phi[0] = model->scratch[n_contrasts];
    return separable_dot(n_contrasts, at->theta, model->scratch);
}

static void derivatives(const struct mix_model *model, const struct separable_entry *at,
                        double *own)
{
    for (size_t k = 0; k < model->n_own; k++)
        own[k * at->stride] = model->scratch[k];
}

static void to_natural(const struct mix_model *model, const double *theta, const double *linear,
                       double *params)
{
    separable_from_contrasts(model->spec.n_domains, theta, params);
    for (size_t j = 0; j < model->spec.n_domains; j++)
        params[j] += linear[0];
}

static void slopes(const struct mix_model *model, const struct separable_entry *at, double *slope)
{
    to_natural(model, at->theta, at->linear, slope);
}

static void from_natural(const struct mix_model *model, const double *params, double *theta,
                         double *linear)
{
    linear[0] = 0.0;
    for (size_t j = 0; j < model->spec.n_domains; j++)
        linear[0] += params[j] / (double)model->spec.n_domains;
    separable_contrasts(model->spec.n_domains, params, theta);
}

static void natural_rows(const struct mix_model *model, const double *theta, size_t own,
                         size_t linear, double *jac, size_t n_columns)
{
    (void)theta;
    separable_contrasts_jacobian(model->spec.n_domains, jac + own, n_columns);
    for (size_t j = 0; j < model->spec.n_domains; j++)
        jac[j * n_columns + linear] = 1.0;
}

static const struct separable_law target = {
    .at_point = at_point,
    .value = value,
    .derivatives = derivatives,
    .slopes = slopes,
    .to_natural = to_natural,
    .from_natural = from_natural,
    .natural_rows = natural_rows,
};

const struct mix_law mix_law_linear = {
    .name = "linear",
    .summary = "ridge regression on the mixture at one scale (RegMix), MK parameters",
    .targets = LAW_ANY_TARGET,
    .separable = &target,
    .check = separable_check_one_scale,
    .layout = layout,
    .start = start,
    SEPARABLE_FUNCTIONS,
};
