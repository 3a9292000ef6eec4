/* SPDX-License-Identifier: GPL-3.0-or-later */
/* loglinear.c - an exponential of the mixture on a constant, at one N and D, as Olmix fits it
 * (Chen et al., arXiv 2602.12237):
 *
 *     L_m = c_m + exp(sum_j t_mj h_j),    K+1 parameters per target, convex in h
 *
 * It is the curve of law dml at one scale: a factor before the exponential folds into t, as shares
 * sum to 1, so t_mj is the log of what domain j alone leaves above c_m.
 *
 * theta of a target: t (K). Linear: c. Natural: c, t (K).
 */
#include "separable.h"

#include <math.h>
#include <string.h>

#include <gsl/gsl_randist.h>

/* A loss that falls steeply with the first percent of a domain has t of some hundreds. */
static const double SLOPE_MAX = 1e4;
/* Most t are a few, some are hundreds: priors with Cauchy's tails let those be. Without priors some
 * runs more than domains let exponentials run away: fitted on 23 of the 512 public RegMix runs the
 * others were 15% to 10^16 % off, with them 9%. */
static const double SLOPE_SD = 3.0;

static const double STEEPEST = 1e3;

static enum mix_status layout(struct mix_model *model, struct mix_error *err)
{
    struct separable_symbols symbols = {0};
    separable_add(&symbols, true, "c", "loss", false);
    separable_add(&symbols, true, "t", "ln(loss)", true);
    const enum mix_status status =
        separable_layout(model, model->spec.n_domains, 1, &symbols, 1, 0, err);
    if (status != MIX_OK)
        return status;
    separable_box(model, 0, model->spec.n_domains, -SLOPE_MAX, SLOPE_MAX);
    separable_prior(model, 0, model->spec.n_domains, 0.0, SLOPE_SD);
    law_set_heavy_tails(model, 0, model->n_theta);
    return MIX_OK;
}

/* The domain that a target's loss may fall steeply with: its own, or any. */
static size_t steep_domain(const struct mix_model *model, size_t m, gsl_rng *rng)
{
    const bool own = gsl_rng_uniform(rng) < 0.5;
    const size_t any = gsl_rng_uniform_int(rng, model->spec.n_domains);
    return own && model->target_domain[m] >= 0 ? (size_t)model->target_domain[m] : any;
}

/* Steep t are far from all others, and a search does not come there by itself: every other start
 * has one, of any size. */
static void start(const struct mix_model *model, const struct law_scales *scales, gsl_rng *rng,
                  double *theta)
{
    for (size_t m = 0; m < model->spec.n_targets; m++) {
        const double share = 0.1 + 0.8 * gsl_rng_uniform(rng);
        const double spread = 0.1 * pow(10.0, gsl_rng_uniform(rng));
        double *t = theta + m * model->n_own;
        for (size_t j = 0; j < model->n_own; j++)
            t[j] = log(share * scales->mean_loss[m]) + spread * gsl_ran_ugaussian(rng);
        const size_t steep = steep_domain(model, m, rng);
        const double size = pow(STEEPEST, gsl_rng_uniform(rng));
        if (gsl_rng_uniform(rng) < 0.5)
            t[steep] -= size;
    }
    separable_clip(model, theta);
}

static double value(const struct mix_model *model, const struct separable_entry *at, double *phi)
{
    phi[0] = 1.0;
    at->kept[0] = exp(separable_dot(model->spec.n_domains, at->theta, at->h));
    return at->kept[0];
}

static void derivatives(const struct mix_model *model, const struct separable_entry *at,
                        double *own)
{
    for (size_t j = 0; j < model->spec.n_domains; j++)
        own[j * at->stride] = at->kept[0] * at->h[j];
}

static void slopes(const struct mix_model *model, const struct separable_entry *at, double *slope)
{
    for (size_t j = 0; j < model->spec.n_domains; j++)
        slope[j] = at->kept[0] * at->theta[j];
}

static void to_natural(const struct mix_model *model, const double *theta, const double *linear,
                       double *params)
{
    params[0] = linear[0];
    memcpy(params + 1, theta, model->spec.n_domains * sizeof *params);
}

static void from_natural(const struct mix_model *model, const double *params, double *theta,
                         double *linear)
{
    linear[0] = params[0];
    memcpy(theta, params + 1, model->spec.n_domains * sizeof *params);
}

static void natural_rows(const struct mix_model *model, const double *theta, size_t own,
                         size_t linear, double *jac, size_t n_columns)
{
    (void)theta;
    jac[linear] = 1.0;
    for (size_t j = 0; j < model->spec.n_domains; j++)
        jac[(1 + j) * n_columns + own + j] = 1.0;
}

static const struct separable_law target = {
    .value = value,
    .derivatives = derivatives,
    .slopes = slopes,
    .to_natural = to_natural,
    .from_natural = from_natural,
    .natural_rows = natural_rows,
};

const struct mix_law mix_law_loglinear = {
    .name = "loglinear",
    .summary = "exponential in the mixture at one scale (Olmix), M(K+1) parameters",
    .targets = LAW_ANY_TARGET,
    .separable = &target,
    .check = separable_check_one_scale,
    .layout = layout,
    .start = start,
    SEPARABLE_FUNCTIONS,
};
