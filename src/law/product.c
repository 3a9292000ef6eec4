/* SPDX-License-Identifier: GPL-3.0-or-later */
/* product.c - the mixture multiplies the loss:
 *
 *     L_m = E_m F_m(h) + (A_m N^(-alpha_m) + B_m D^(-beta_m)) F_m(h)^kappa_m
 *     F_m(h) = 1 + (sum_j C_mj h_j^gamma_m)^(-a_m)
 *
 * On the public tables the spread of ln L over mixtures hardly depends on the scale, while that of
 * L falls with L (slimpajama7, 122M to 937M: ratio 1.02 of the one, 0.85 of the other; on two other
 * tables, 70M to 305M, 1.09 and 0.93). At kappa = 1 the mixture multiplies the whole loss, at 0 it
 * adds to it as in additive.c. The sum is that of competition.h, with the same elasticity.
 *
 * gamma is at most 1 and kappa at least 0, so L is convex in h: ln(1 + s^-a) is convex and falls
 * with s, and s is concave. K+8 parameters per target, less 2 for each of N and D that does not
 * vary and less kappa where neither does. h_j stands for max(h_j, h_min), so that slopes stay
 * finite.
 *
 * theta of a target: ln of C_j K^-gamma (K), what domain j has at the even mixture; ln gamma, ln a;
 * then kappa, ln alpha, ln beta. Linear: E, A, B. Natural: E, C (K), gamma, a, kappa, A, alpha, B,
 * beta. All of theta has priors around usual values: what a sweep leaves open stays where it was
 * found elsewhere.
 */
#include "separable.h"

#include <math.h>
#include <string.h>

#include <gsl/gsl_randist.h>

static const double LN_WEIGHT_MAX = 12.0, GAMMA_MIN = 0.08, POWER_MIN = 2e-3, POWER_MAX = 20.0,
                    KAPPA_MAX = 3.0;
static const double USUAL_GAMMA = 0.6, USUAL_POWER = 0.4, USUAL_KAPPA = 1.0;
/* Standard deviations of the priors. Weights of domains differ by orders of magnitude, powers less;
 * kappa is near 1 by the ratios above. */
static const double WEIGHT_SD = 3.0, GAMMA_SD = 0.5, POWER_SD = 1.5, KAPPA_SD = 0.25;

/* Entries of a target's theta behind the weights of the domains. */
enum { AT_GAMMA, AT_POWER, AT_KAPPA, AT_EXPONENTS };

static size_t at_entry(const struct mix_model *model, size_t entry)
{
    return model->spec.n_domains + entry;
}

static struct separable_symbols symbols_of(const struct mix_model *model)
{
    struct separable_symbols s = {0};
    separable_add(&s, true, "E", "loss", false);
    separable_add(&s, true, "C", "1", true);
    separable_add(&s, true, "gamma", "1", false);
    separable_add(&s, true, "a", "1", false);
    separable_add(&s, separable_n_scales(model) > 0, "kappa", "1", false);
    separable_add(&s, model->spec.has_size_term, "A", "loss", false);
    separable_add(&s, model->spec.has_size_term, "alpha", "1", false);
    separable_add(&s, model->spec.has_token_term, "B", "loss", false);
    separable_add(&s, model->spec.has_token_term, "beta", "1", false);
    return s;
}

static enum mix_status layout(struct mix_model *model, struct mix_error *err)
{
    const size_t n_domains = model->spec.n_domains, n = separable_n_scales(model);
    const struct separable_symbols symbols = symbols_of(model);
    const enum mix_status status =
        separable_layout(model, at_entry(model, n > 0 ? AT_EXPONENTS + n : AT_KAPPA), 1 + n,
                         &symbols, n_domains + 2, 0, err);
    if (status != MIX_OK)
        return status;
    separable_box(model, 0, n_domains, -LN_WEIGHT_MAX, LN_WEIGHT_MAX);
    separable_prior(model, 0, n_domains, -model->ln_n_domains, WEIGHT_SD);
    separable_box(model, at_entry(model, AT_GAMMA), 1, log(GAMMA_MIN), 0.0);
    separable_prior(model, at_entry(model, AT_GAMMA), 1, log(USUAL_GAMMA), GAMMA_SD);
    separable_box(model, at_entry(model, AT_POWER), 1, log(POWER_MIN), log(POWER_MAX));
    separable_prior(model, at_entry(model, AT_POWER), 1, log(USUAL_POWER), POWER_SD);
    if (n > 0) {
        separable_box(model, at_entry(model, AT_KAPPA), 1, 0.0, KAPPA_MAX);
        separable_prior(model, at_entry(model, AT_KAPPA), 1, USUAL_KAPPA, KAPPA_SD);
    }
    for (size_t k = 0; k < n; k++)
        separable_exponent(model, at_entry(model, AT_EXPONENTS + k), separable_is_size(model, k));
    return MIX_OK;
}

static void start(const struct mix_model *model, const struct law_scales *scales, gsl_rng *rng,
                  double *theta)
{
    const size_t n_domains = model->spec.n_domains, n = separable_n_scales(model);
    (void)scales; /* all factors are linear */
    for (size_t m = 0; m < model->spec.n_targets; m++) {
        double *own = theta + m * model->n_own;
        for (size_t j = 0; j < n_domains; j++)
            own[j] = 0.7 * gsl_ran_ugaussian(rng) - model->ln_n_domains;
        own += n_domains;
        own[AT_GAMMA] = log(0.3) - log(0.3) * gsl_rng_uniform(rng);
        own[AT_POWER] = log(0.1) + log(20.0) * gsl_rng_uniform(rng);
        if (n > 0)
            own[AT_KAPPA] = 1.3 * gsl_rng_uniform(rng);
        for (size_t k = 0; k < n; k++)
            own[AT_EXPONENTS + k] = separable_start_exponent(rng);
    }
    separable_clip(model, theta);
}

/* ln of K h_j. */
static double ln_share(const struct mix_model *model, const struct separable_entry *at, size_t j)
{
    return fmax(at->ln_h[j], model->ln_h_min) + model->ln_n_domains;
}

/* kept: C_j h_j^gamma (K), their sum, and F - 1. */
static double value(const struct mix_model *model, const struct separable_entry *at, double *phi)
{
    const size_t n_domains = model->spec.n_domains;
    const double *own = at->theta + n_domains;
    const double gamma = exp(own[AT_GAMMA]);
    double sum = 0.0;
    for (size_t j = 0; j < n_domains; j++)
        sum += at->kept[j] = exp(at->theta[j] + gamma * ln_share(model, at, j));
    at->kept[n_domains] = sum;
    at->kept[n_domains + 1] = exp(-exp(own[AT_POWER]) * log(sum));
    phi[0] = 1.0 + at->kept[n_domains + 1];
    for (size_t k = 0; k < separable_n_scales(model); k++)
        phi[(1 + k) * at->stride] =
            exp(own[AT_KAPPA] * log(phi[0]) -
                exp(own[AT_EXPONENTS + k]) * separable_ln_scale(model, k, at));
    return 0.0;
}

/* A N^-alpha F^kappa + B D^-beta F^kappa. */
static double scale_terms(const struct mix_model *model, const struct separable_entry *at)
{
    double sum = 0.0;
    for (size_t k = 0; k < separable_n_scales(model); k++)
        sum += at->linear[1 + k] * at->phi[(1 + k) * at->stride];
    return sum;
}

/* d loss / d ln of the sum of C_j h_j^gamma. */
static double by_ln_sum(const struct mix_model *model, const struct separable_entry *at)
{
    const double *own = at->theta + model->spec.n_domains;
    double by_factor = at->linear[0];
    if (separable_n_scales(model) > 0)
        by_factor += own[AT_KAPPA] * scale_terms(model, at) / at->phi[0];
    return -by_factor * exp(own[AT_POWER]) * at->kept[model->spec.n_domains + 1];
}

static void derivatives(const struct mix_model *model, const struct separable_entry *at,
                        double *own)
{
    const size_t n_domains = model->spec.n_domains;
    const double *theta = at->theta + n_domains;
    const double sum = at->kept[n_domains], slope = by_ln_sum(model, at);
    double mean = 0.0; /* of ln (K h_j) */
    for (size_t j = 0; j < n_domains; j++) {
        const double share = at->kept[j] / sum;
        own[j * at->stride] = slope * share;
        mean += share * ln_share(model, at, j);
    }
    own += n_domains * at->stride;
    own[AT_GAMMA * at->stride] = slope * exp(theta[AT_GAMMA]) * mean;
    own[AT_POWER * at->stride] = slope * log(sum);
    if (separable_n_scales(model) > 0)
        own[AT_KAPPA * at->stride] = scale_terms(model, at) * log(at->phi[0]);
    for (size_t k = 0; k < separable_n_scales(model); k++)
        own[(AT_EXPONENTS + k) * at->stride] = -at->linear[1 + k] * at->phi[(1 + k) * at->stride] *
                                               exp(theta[AT_EXPONENTS + k]) *
                                               separable_ln_scale(model, k, at);
}

static void slopes(const struct mix_model *model, const struct separable_entry *at, double *slope)
{
    const size_t n_domains = model->spec.n_domains;
    const double each = by_ln_sum(model, at) * exp(at->theta[at_entry(model, AT_GAMMA)]);
    for (size_t j = 0; j < n_domains; j++)
        slope[j] = at->h[j] >= model->spec.h_min
                       ? each * at->kept[j] / at->kept[n_domains] / at->h[j]
                       : 0.0;
}

static double token_slope(const struct mix_model *model, const struct separable_entry *at)
{
    const size_t k = separable_n_scales(model) - 1; /* the last scale term, where it is there */
    if (!model->spec.has_token_term)
        return 0.0;
    return -at->linear[1 + k] * at->phi[(1 + k) * at->stride] *
           exp(at->theta[at_entry(model, AT_EXPONENTS + k)]);
}

static void to_natural(const struct mix_model *model, const double *theta, const double *linear,
                       double *params)
{
    const size_t n_domains = model->spec.n_domains;
    const double *own = theta + n_domains, gamma = exp(own[AT_GAMMA]);
    *params++ = linear[0];
    for (size_t j = 0; j < n_domains; j++)
        *params++ = exp(theta[j] + gamma * model->ln_n_domains);
    *params++ = gamma;
    *params++ = exp(own[AT_POWER]);
    if (separable_n_scales(model) > 0)
        *params++ = own[AT_KAPPA];
    for (size_t k = 0; k < separable_n_scales(model); k++) {
        *params++ = linear[1 + k];
        *params++ = exp(own[AT_EXPONENTS + k]);
    }
}

static double safe_log(double x)
{
    return log(fmax(x, 1e-300));
}

static void from_natural(const struct mix_model *model, const double *params, double *theta,
                         double *linear)
{
    const size_t n_domains = model->spec.n_domains;
    const double *c = params + 1;
    double *own = theta + n_domains;
    linear[0] = params[0];
    params += 1 + n_domains;
    const double gamma = *params++;
    for (size_t j = 0; j < n_domains; j++)
        theta[j] = safe_log(c[j]) - gamma * model->ln_n_domains;
    own[AT_GAMMA] = safe_log(gamma);
    own[AT_POWER] = safe_log(*params++);
    if (separable_n_scales(model) > 0)
        own[AT_KAPPA] = *params++;
    for (size_t k = 0; k < separable_n_scales(model); k++) {
        linear[1 + k] = *params++;
        own[AT_EXPONENTS + k] = safe_log(*params++);
    }
}

static void natural_rows(const struct mix_model *model, const double *theta, size_t own,
                         size_t linear, double *jac, size_t n_columns)
{
    const size_t n_domains = model->spec.n_domains, at = own + n_domains;
    const double gamma = exp(theta[at_entry(model, AT_GAMMA)]), ln_even = model->ln_n_domains;
    jac[linear] = 1.0;
    jac += n_columns;
    for (size_t j = 0; j < n_domains; j++, jac += n_columns) {
        const double c = exp(theta[j] + gamma * ln_even);
        jac[own + j] = c;
        jac[at + AT_GAMMA] = c * gamma * ln_even;
    }
    jac[at + AT_GAMMA] = gamma;
    jac += n_columns;
    jac[at + AT_POWER] = exp(theta[at_entry(model, AT_POWER)]);
    jac += n_columns;
    if (separable_n_scales(model) == 0)
        return;
    jac[at + AT_KAPPA] = 1.0;
    jac += n_columns;
    for (size_t k = 0; k < separable_n_scales(model); k++, jac += 2 * n_columns) {
        jac[linear + 1 + k] = 1.0;
        jac[n_columns + at + AT_EXPONENTS + k] = exp(theta[at_entry(model, AT_EXPONENTS + k)]);
    }
}

static const struct separable_law target = {
    .value = value,
    .derivatives = derivatives,
    .slopes = slopes,
    .token_slope = token_slope,
    .to_natural = to_natural,
    .from_natural = from_natural,
    .natural_rows = natural_rows,
};

const struct mix_law mix_law_product = {
    .name = "product",
    .summary = "the mixture multiplies the loss of the scale, M(K+8) parameters",
    .targets = LAW_ANY_TARGET,
    .separable = &target,
    .check = separable_check_terms,
    .layout = layout,
    .start = start,
    SEPARABLE_FUNCTIONS,
};
