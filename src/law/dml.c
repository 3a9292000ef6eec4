/* SPDX-License-Identifier: GPL-3.0-or-later */
/* dml.c - the exponential data-mixing law (Ye et al., arXiv 2403.16952). At one N and D:
 *
 *     L_m = c_m + k_m exp(sum_j t_mj h_j)                                K+2 parameters per target
 *
 * Shares sum to 1, so a constant added to all t_mj is a factor of k_m: sum_j t_mj = 0 holds it, and
 * k_m is what the mixture costs at the even mixture. Where N or D varies, c and k follow it:
 *
 *     c_m -> c_m + P_m N^(-p_m) + Q_m D^(-q_m),   k_m -> k_m N^(-u_m) D^(-v_m)
 *
 * three parameters more for each. The paper nests three fits instead: a power law in the steps of
 * each run, one in N of each mixture, then the mixing law on what they predict for the target
 * scale. Here too every mixture follows power laws in D and N and the mixtures follow the
 * exponential law at every scale, but all is fitted at once, so that no mixture need be seen at all
 * scales.
 *
 * theta of a target: t in contrasts (K-1), then ln p, u, ln q, v. Linear: c, k, P, Q. Natural: c,
 * k, t (K), P, p, u, Q, q, v.
 */
#include "separable.h"

#include <math.h>
#include <string.h>

#include <gsl/gsl_randist.h>

static const double SPREAD_MAX = 2.0; /* box of u and v */
/* A loss that falls steeply with the first percent of a domain has t of some hundreds. */
static const double SLOPE_MAX = 1e4;
/* See loglinear.c; contrasts mix a steep t into many. */
static const double CONTRAST_SD = 10.0;

static struct separable_symbols symbols_of(const struct mix_model *model)
{
    struct separable_symbols s = {0};
    separable_add(&s, true, "c", "loss", false);
    separable_add(&s, true, "k", "loss", false);
    separable_add(&s, true, "t", "1", true);
    separable_add(&s, model->spec.has_size_term, "P", "loss", false);
    separable_add(&s, model->spec.has_size_term, "p", "1", false);
    separable_add(&s, model->spec.has_size_term, "u", "1", false);
    separable_add(&s, model->spec.has_token_term, "Q", "loss", false);
    separable_add(&s, model->spec.has_token_term, "q", "1", false);
    separable_add(&s, model->spec.has_token_term, "v", "1", false);
    return s;
}

/* Where scale term k begins in a target's theta: ln of the exponent, then u or v. */
static size_t at_scale(const struct mix_model *model, size_t k)
{
    return model->spec.n_domains - 1 + 2 * k;
}

static enum mix_status layout(struct mix_model *model, struct mix_error *err)
{
    const size_t n = separable_n_scales(model);
    const struct separable_symbols symbols = symbols_of(model);
    const enum mix_status status =
        separable_layout(model, at_scale(model, n), 2 + n, &symbols, 0,
                         (model->spec.n_targets + 1) * model->spec.n_domains, err);
    if (status != MIX_OK)
        return status;
    model->n_gauge = model->spec.n_targets;
    law_set_heavy_tails(model, 0, model->n_theta);
    separable_box(model, 0, model->spec.n_domains - 1, -SLOPE_MAX, SLOPE_MAX);
    separable_prior(model, 0, model->spec.n_domains - 1, 0.0, CONTRAST_SD);
    for (size_t k = 0; k < n; k++) {
        separable_exponent(model, at_scale(model, k), separable_is_size(model, k));
        separable_box(model, at_scale(model, k) + 1, 1, -SPREAD_MAX, SPREAD_MAX);
    }
    return MIX_OK;
}

static void start(const struct mix_model *model, const struct law_scales *scales, gsl_rng *rng,
                  double *theta)
{
    (void)scales; /* all factors are linear */
    for (size_t m = 0; m < model->spec.n_targets; m++) {
        double *own = theta + m * model->n_own;
        const double spread = 0.2 * pow(20.0, gsl_rng_uniform(rng));
        for (size_t j = 0; j + 1 < model->spec.n_domains; j++)
            own[j] = spread * gsl_ran_ugaussian(rng);
        for (size_t k = 0; k < separable_n_scales(model); k++) {
            own[at_scale(model, k)] = separable_start_exponent(rng);
            own[at_scale(model, k) + 1] = 0.2 * gsl_ran_ugaussian(rng);
        }
    }
    separable_clip(model, theta);
}

/* t (M,K) of all targets, in model->scratch; behind it the contrasts of h. */
static void unpack(const struct mix_model *model, const double *theta)
{
    const size_t n_domains = model->spec.n_domains;
    for (size_t m = 0; m < model->spec.n_targets; m++)
        separable_from_contrasts(n_domains, theta + m * model->n_own,
                                 model->scratch + m * n_domains);
}

static double *contrasts_of(const struct mix_model *model)
{
    return model->scratch + model->spec.n_targets * model->spec.n_domains;
}

static void at_point(const struct mix_model *model, const struct law_points *points, size_t r)
{
    separable_contrasts(model->spec.n_domains, points->h + r * model->spec.n_domains,
                        contrasts_of(model));
}

static double value(const struct mix_model *model, const struct separable_entry *at, double *phi)
{
    const size_t n_domains = model->spec.n_domains;
    double ln_mixing = separable_dot(n_domains, model->scratch + at->m * n_domains, at->h);
    for (size_t k = 0; k < separable_n_scales(model); k++) {
        const double *scale = at->theta + at_scale(model, k);
        const double ln_size = separable_ln_scale(model, k, at);
        phi[(2 + k) * at->stride] = exp(-exp(scale[0]) * ln_size);
        ln_mixing -= scale[1] * ln_size;
    }
    phi[0] = 1.0;
    phi[at->stride] = exp(ln_mixing);
    return 0.0;
}

static void derivatives(const struct mix_model *model, const struct separable_entry *at,
                        double *own)
{
    const double mixing = at->linear[1] * at->phi[at->stride], *contrasts = contrasts_of(model);
    for (size_t j = 0; j + 1 < model->spec.n_domains; j++)
        own[j * at->stride] = mixing * contrasts[j];
    for (size_t k = 0; k < separable_n_scales(model); k++) {
        const size_t i = at_scale(model, k);
        const double ln_size = separable_ln_scale(model, k, at);
        own[i * at->stride] =
            -at->linear[2 + k] * at->phi[(2 + k) * at->stride] * exp(at->theta[i]) * ln_size;
        own[(i + 1) * at->stride] = -mixing * ln_size;
    }
}

static void slopes(const struct mix_model *model, const struct separable_entry *at, double *slope)
{
    const size_t n_domains = model->spec.n_domains;
    for (size_t j = 0; j < n_domains; j++)
        slope[j] = at->linear[1] * at->phi[at->stride] * model->scratch[at->m * n_domains + j];
}

static double token_slope(const struct mix_model *model, const struct separable_entry *at)
{
    const size_t k = separable_n_scales(model) - 1; /* the last scale term, where it is there */
    if (!model->spec.has_token_term)
        return 0.0;
    const double *scale = at->theta + at_scale(model, k);
    return -at->linear[2 + k] * at->phi[(2 + k) * at->stride] * exp(scale[0]) -
           at->linear[1] * at->phi[at->stride] * scale[1];
}

static void to_natural(const struct mix_model *model, const double *theta, const double *linear,
                       double *params)
{
    *params++ = linear[0];
    *params++ = linear[1];
    separable_from_contrasts(model->spec.n_domains, theta, params);
    params += model->spec.n_domains;
    for (size_t k = 0; k < separable_n_scales(model); k++) {
        *params++ = linear[2 + k];
        *params++ = exp(theta[at_scale(model, k)]);
        *params++ = theta[at_scale(model, k) + 1];
    }
}

static void from_natural(const struct mix_model *model, const double *params, double *theta,
                         double *linear)
{
    const size_t n_domains = model->spec.n_domains;
    double mean = 0.0;
    for (size_t j = 0; j < n_domains; j++)
        mean += params[2 + j] / (double)n_domains;
    linear[0] = params[0];
    linear[1] = params[1] * exp(mean);
    separable_contrasts(n_domains, params + 2, theta);
    params += 2 + n_domains;
    for (size_t k = 0; k < separable_n_scales(model); k++, params += 3) {
        linear[2 + k] = params[0];
        theta[at_scale(model, k)] = log(fmax(params[1], 1e-300));
        theta[at_scale(model, k) + 1] = params[2];
    }
}

static void natural_rows(const struct mix_model *model, const double *theta, size_t own,
                         size_t linear, double *jac, size_t n_columns)
{
    jac[linear] = 1.0;
    jac[n_columns + linear + 1] = 1.0;
    jac += 2 * n_columns;
    separable_contrasts_jacobian(model->spec.n_domains, jac + own, n_columns);
    jac += model->spec.n_domains * n_columns;
    for (size_t k = 0; k < separable_n_scales(model); k++, jac += 3 * n_columns) {
        const size_t i = at_scale(model, k);
        jac[linear + 2 + k] = 1.0;
        jac[n_columns + own + i] = exp(theta[i]);
        jac[2 * n_columns + own + i + 1] = 1.0;
    }
}

static const struct separable_law target = {
    .unpack = unpack,
    .at_point = at_point,
    .value = value,
    .derivatives = derivatives,
    .slopes = slopes,
    .token_slope = token_slope,
    .to_natural = to_natural,
    .from_natural = from_natural,
    .natural_rows = natural_rows,
};

const struct mix_law mix_law_dml = {
    .name = "dml",
    .summary =
        "exponential in the mixture, nested in scale (Ye et al.), M(K+2) to M(K+8) parameters",
    .targets = LAW_ANY_TARGET,
    .separable = &target,
    .check = separable_check_terms,
    .layout = layout,
    .start = start,
    SEPARABLE_FUNCTIONS,
};
