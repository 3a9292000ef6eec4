/* SPDX-License-Identifier: GPL-3.0-or-later */
/* joint.c - the mixture sets the size of the scale terms too (Shukor et al., arXiv 2507.09404, Eq.
 * 2.5):
 *
 *     L_m = E_m + 1 / sum_j C_mj h_j^gamma_mj + A_m(h) N^(-alpha_m) + B_m(h) D^(-beta_m)
 *     A_m(h) = (sum_j CA_mj h_j)^gammaA_m,   B_m(h) = (sum_j CB_mj h_j)^gammaB_m
 *
 * 4K+5 parameters per target, less K+2 for each of N and D that does not vary. The mixing term is
 * that of additive.c.
 *
 * A(h) is a mean of A_j, what it is where domain j is alone, of power 1 / gamma:
 *
 *     A(h) = (sum_j h_j A_j^(1/gamma))^gamma,    C_j = A_j^(1/gamma)
 *
 * and theta holds the A_j, in units of the loss at n_min, as they stay put when gamma moves.
 *
 * theta of a target: the mixing term's 2K; then for each scale term ln A_j (K) at N = n_min or D =
 * 1, gamma and ln of the exponent. Linear: E. Natural: E, C (K), gamma (K), then for each scale
 * term its C (K), gamma and exponent.
 */
#include "separable.h"

#include <math.h>
#include <string.h>

static const double LN_SCALE_MIN = -10.0, LN_SCALE_MAX = 10.0, POWER_MIN = 0.05, POWER_MAX = 8.0;

static struct separable_symbols symbols_of(const struct mix_model *model)
{
    struct separable_symbols s = {0};
    separable_add(&s, true, "E", "loss", false);
    separable_add(&s, true, "C", "1/loss", true);
    separable_add(&s, true, "gamma", "1", true);
    separable_add(&s, model->spec.has_size_term, "CA", "1", true);
    separable_add(&s, model->spec.has_size_term, "gammaA", "1", false);
    separable_add(&s, model->spec.has_size_term, "alpha", "1", false);
    separable_add(&s, model->spec.has_token_term, "CB", "1", true);
    separable_add(&s, model->spec.has_token_term, "gammaB", "1", false);
    separable_add(&s, model->spec.has_token_term, "beta", "1", false);
    return s;
}

/* Where scale term k begins in a target's theta. */
static size_t at_scale(const struct mix_model *model, size_t k)
{
    return 2 * model->spec.n_domains + k * (model->spec.n_domains + 2);
}

static enum mix_status layout(struct mix_model *model, struct mix_error *err)
{
    const size_t n_domains = model->spec.n_domains, n = separable_n_scales(model);
    const struct separable_symbols symbols = symbols_of(model);
    const enum mix_status status =
        separable_layout(model, at_scale(model, n), 1, &symbols, n_domains + 1 + 2 * n,
                         model->spec.n_targets * n * (n_domains + 2), err);
    if (status != MIX_OK)
        return status;
    mixing_box(model);
    for (size_t k = 0; k < n; k++) {
        const size_t at = at_scale(model, k);
        separable_box(model, at, n_domains, LN_SCALE_MIN, LN_SCALE_MAX);
        separable_box(model, at + n_domains, 1, POWER_MIN, POWER_MAX);
        separable_exponent(model, at + n_domains + 1, separable_is_size(model, k));
    }
    return MIX_OK;
}

/* ln of the N or D at which theta holds scale term k. */
static double ln_unit(const struct mix_model *model, size_t k)
{
    return separable_is_size(model, k) ? model->ln_n_min : 0.0;
}

static void start(const struct mix_model *model, const struct law_scales *scales, gsl_rng *rng,
                  double *theta)
{
    const size_t n_domains = model->spec.n_domains;
    for (size_t m = 0; m < model->spec.n_targets; m++) {
        double *own = theta + m * model->n_own;
        const double loss = scales->mean_loss[m];
        mixing_start(model, (0.05 + 0.75 * gsl_rng_uniform(rng)) * loss, rng, own);
        for (size_t k = 0; k < separable_n_scales(model); k++) {
            double *scale = own + at_scale(model, k);
            const double power = 0.2 + 1.8 * gsl_rng_uniform(rng);
            const double ln_exponent = separable_start_exponent(rng);
            const double size = log(separable_is_size(model, k) ? scales->n_mean : scales->d_mean);
            const double value = (0.02 + 0.3 * gsl_rng_uniform(rng)) * loss *
                                 exp(exp(ln_exponent) * (size - ln_unit(model, k)));
            for (size_t j = 0; j < n_domains; j++)
                scale[j] = log(value * (0.5 + gsl_rng_uniform(rng)));
            scale[n_domains] = power;
            scale[n_domains + 1] = ln_exponent;
        }
    }
    separable_clip(model, theta);
}

/* Scale term k of target m as theta has it: A_j^(1/gamma) (K), gamma and exponent, unpacked in
 * model->scratch. */
static double *values_of(const struct mix_model *model, size_t m, size_t k)
{
    return model->scratch + (m * separable_n_scales(model) + k) * (model->spec.n_domains + 2);
}

static void unpack(const struct mix_model *model, const double *theta)
{
    const size_t n_domains = model->spec.n_domains;
    for (size_t m = 0; m < model->spec.n_targets; m++)
        for (size_t k = 0; k < separable_n_scales(model); k++) {
            const double *scale = theta + m * model->n_own + at_scale(model, k);
            double *values = values_of(model, m, k);
            for (size_t j = 0; j < n_domains; j++)
                values[j] = exp(scale[j] / scale[n_domains]);
            values[n_domains] = scale[n_domains];
            values[n_domains + 1] = exp(scale[n_domains + 1]);
        }
}

/* Scale term k: sum_j h_j A_j^(1/gamma), and the term itself, behind what the mixing term keeps. */
static double *sum_and_term(const struct mix_model *model, const struct separable_entry *at,
                            size_t k)
{
    return at->kept + model->spec.n_domains + 1 + 2 * k;
}

static double value(const struct mix_model *model, const struct separable_entry *at, double *phi)
{
    const size_t n_domains = model->spec.n_domains;
    double loss = mixing_value(model, at->theta, at->ln_h, at->kept);
    phi[0] = 1.0;
    for (size_t k = 0; k < separable_n_scales(model); k++) {
        const double *values = values_of(model, at->m, k);
        double *sum = sum_and_term(model, at, k);
        sum[0] = separable_dot(n_domains, values, at->h);
        sum[1] =
            exp(values[n_domains] * log(sum[0]) -
                values[n_domains + 1] * (separable_ln_scale(model, k, at) - ln_unit(model, k)));
        loss += sum[1];
    }
    return loss;
}

/* Derivatives of scale term k by its K+2 entries of theta. */
static void term_derivatives(const struct mix_model *model, const struct separable_entry *at,
                             size_t k, double *own)
{
    const size_t n_domains = model->spec.n_domains, stride = at->stride;
    const double *theta = at->theta + at_scale(model, k), *values = values_of(model, at->m, k);
    const double *h = at->h, *kept = sum_and_term(model, at, k);
    const double sum = kept[0], term = kept[1], power = values[n_domains];
    double mean = 0.0; /* of ln A_j */
    for (size_t j = 0; j < n_domains; j++) {
        const double share = values[j] / sum * h[j];
        own[j * stride] = term * share;
        mean += share * theta[j];
    }
    own[n_domains * stride] = term * (log(sum) - mean / power);
    own[(n_domains + 1) * stride] =
        -term * values[n_domains + 1] * (separable_ln_scale(model, k, at) - ln_unit(model, k));
}

static void derivatives(const struct mix_model *model, const struct separable_entry *at,
                        double *own)
{
    mixing_derivatives(model, at->theta, at->ln_h, at->kept, own, at->stride);
    for (size_t k = 0; k < separable_n_scales(model); k++)
        term_derivatives(model, at, k, own + at_scale(model, k) * at->stride);
}

static void slopes(const struct mix_model *model, const struct separable_entry *at, double *slope)
{
    const size_t n_domains = model->spec.n_domains;
    mixing_slopes(model, at->theta, at->h, at->kept, slope);
    for (size_t k = 0; k < separable_n_scales(model); k++) {
        const double *values = values_of(model, at->m, k), *sum = sum_and_term(model, at, k);
        for (size_t j = 0; j < n_domains; j++)
            slope[j] += sum[1] * values[n_domains] / sum[0] * values[j];
    }
}

static double token_slope(const struct mix_model *model, const struct separable_entry *at)
{
    const size_t k = separable_n_scales(model) - 1; /* the last scale term, where it is there */
    if (!model->spec.has_token_term)
        return 0.0;
    return -sum_and_term(model, at, k)[1] * values_of(model, at->m, k)[model->spec.n_domains + 1];
}

/* What A_j^(1/gamma) is multiplied by to give C, as theta holds A_j at n_min. */
static double unit_of(const struct mix_model *model, size_t k, double power, double exponent)
{
    return exp(exponent / power * ln_unit(model, k));
}

static void to_natural(const struct mix_model *model, const double *theta, const double *linear,
                       double *params)
{
    const size_t n_domains = model->spec.n_domains;
    *params++ = linear[0];
    mixing_to_natural(model, theta, params);
    params += 2 * n_domains;
    for (size_t k = 0; k < separable_n_scales(model); k++) {
        const double *scale = theta + at_scale(model, k);
        const double power = scale[n_domains], exponent = exp(scale[n_domains + 1]);
        const double unit = unit_of(model, k, power, exponent);
        for (size_t j = 0; j < n_domains; j++)
            *params++ = exp(scale[j] / power) * unit;
        *params++ = power;
        *params++ = exponent;
    }
}

static void from_natural(const struct mix_model *model, const double *params, double *theta,
                         double *linear)
{
    const size_t n_domains = model->spec.n_domains;
    linear[0] = *params++;
    mixing_from_natural(model, params, theta);
    params += 2 * n_domains;
    for (size_t k = 0; k < separable_n_scales(model); k++, params += n_domains + 2) {
        double *scale = theta + at_scale(model, k);
        const double power = params[n_domains], exponent = fmax(params[n_domains + 1], 1e-300);
        const double unit = unit_of(model, k, power, exponent);
        for (size_t j = 0; j < n_domains; j++)
            scale[j] = power * log(fmax(params[j] / unit, 1e-300));
        scale[n_domains] = power;
        scale[n_domains + 1] = log(exponent);
    }
}

static void natural_rows(const struct mix_model *model, const double *theta, size_t own,
                         size_t linear, double *jac, size_t n_columns)
{
    const size_t n_domains = model->spec.n_domains;
    jac[linear] = 1.0;
    jac += n_columns;
    mixing_natural_jacobian(model, theta, own, jac, n_columns);
    jac += 2 * n_domains * n_columns;
    for (size_t k = 0; k < separable_n_scales(model); k++) {
        const double *scale = theta + at_scale(model, k);
        const size_t at = own + at_scale(model, k), at_power = at + n_domains;
        const double power = scale[n_domains], exponent = exp(scale[n_domains + 1]);
        const double unit = unit_of(model, k, power, exponent), ln_s = ln_unit(model, k);
        for (size_t j = 0; j < n_domains; j++, jac += n_columns) {
            const double c = exp(scale[j] / power) * unit;
            jac[at + j] = c / power;
            jac[at_power] = -c * (scale[j] + exponent * ln_s) / (power * power);
            jac[at_power + 1] = c * exponent / power * ln_s;
        }
        jac[at_power] = 1.0;
        jac[n_columns + at_power + 1] = exponent;
        jac += 2 * n_columns;
    }
}

static const struct separable_law target = {
    .unpack = unpack,
    .value = value,
    .derivatives = derivatives,
    .slopes = slopes,
    .token_slope = token_slope,
    .to_natural = to_natural,
    .from_natural = from_natural,
    .natural_rows = natural_rows,
};

const struct mix_law mix_law_joint = {
    .name = "joint",
    .summary = "the mixture sets the scale terms too (Shukor et al.), M(4K+5) parameters",
    .targets = LAW_ANY_TARGET,
    .separable = &target,
    .check = separable_check_terms,
    .layout = layout,
    .start = start,
    SEPARABLE_FUNCTIONS,
};
