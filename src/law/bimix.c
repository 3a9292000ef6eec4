/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bimix.c - a power law of the domain's own share times one of the tokens, at one N (Ge et al.,
 * arXiv 2405.14908):
 *
 *     L_m = h_m^(-alpha_m) (C_m + B_m D^(-beta_m))
 *
 * 4 parameters per target, 2 where all runs have one D. The paper's factor A_m in front is left
 * out: B and C take it up. h_m stands for max(h_m, h_min).
 *
 * theta of a target: ln alpha, ln beta. Linear: C, B. Natural: alpha, C, B, beta.
 */
#include "separable.h"

#include <math.h>
#include <string.h>

static const double ALPHA_MIN = 1e-4, ALPHA_MAX = 8.0;

static enum mix_status check(const struct mix_data *data, const char *const *domains,
                             const char *const *targets, struct mix_law_spec *spec,
                             char notes[MIX_TEXT_MAX], struct mix_error *err)
{
    (void)domains;
    for (size_t m = 0; m < data->n_targets; m++)
        if (data->target_domain[m] < 0)
            return mix_fail(err, MIX_EINVAL,
                            "law bimix knows a target by the share of its own domain, and target "
                            "%s is no training domain; %suse law additive",
                            targets[m], law_domains_hint(data));
    return separable_check_one_size(data, spec, notes, err);
}

static struct separable_symbols symbols_of(const struct mix_model *model)
{
    struct separable_symbols s = {0};
    separable_add(&s, true, "alpha", "1", false);
    separable_add(&s, true, "C", "loss", false);
    separable_add(&s, model->spec.has_token_term, "B", "loss", false);
    separable_add(&s, model->spec.has_token_term, "beta", "1", false);
    return s;
}

static enum mix_status layout(struct mix_model *model, struct mix_error *err)
{
    const size_t n = model->spec.has_token_term ? 2 : 1;
    const struct separable_symbols symbols = symbols_of(model);
    const enum mix_status status = separable_layout(model, n, n, &symbols, 0, 0, err);
    if (status != MIX_OK)
        return status;
    separable_box(model, 0, 1, log(ALPHA_MIN), log(ALPHA_MAX));
    if (n == 2)
        separable_exponent(model, 1, false);
    return MIX_OK;
}

static void start(const struct mix_model *model, const struct law_scales *scales, gsl_rng *rng,
                  double *theta)
{
    (void)scales; /* all factors are linear */
    for (size_t m = 0; m < model->spec.n_targets; m++) {
        double *own = theta + m * model->n_own;
        own[0] = log(0.01) + log(1.0 / 0.01) * gsl_rng_uniform(rng);
        if (model->n_own == 2)
            own[1] = separable_start_exponent(rng);
    }
    separable_clip(model, theta);
}

static size_t domain_of(const struct mix_model *model, const struct separable_entry *at)
{
    return (size_t)model->target_domain[at->m];
}

static double ln_share(const struct mix_model *model, const struct separable_entry *at)
{
    return fmax(at->ln_h[domain_of(model, at)], model->ln_h_min);
}

static double value(const struct mix_model *model, const struct separable_entry *at, double *phi)
{
    const double ln_mixing = -exp(at->theta[0]) * ln_share(model, at);
    phi[0] = exp(ln_mixing);
    if (model->n_own == 2)
        phi[at->stride] = exp(ln_mixing - exp(at->theta[1]) * at->points->ln_d[at->r]);
    return 0.0;
}

static void derivatives(const struct mix_model *model, const struct separable_entry *at,
                        double *own)
{
    double loss = at->linear[0] * at->phi[0];
    if (model->n_own == 2) {
        const double term = at->linear[1] * at->phi[at->stride];
        own[at->stride] = -term * exp(at->theta[1]) * at->points->ln_d[at->r];
        loss += term;
    }
    own[0] = -loss * exp(at->theta[0]) * ln_share(model, at);
}

static void slopes(const struct mix_model *model, const struct separable_entry *at, double *slope)
{
    const size_t domain = domain_of(model, at);
    double loss = at->linear[0] * at->phi[0];
    if (model->n_own == 2)
        loss += at->linear[1] * at->phi[at->stride];
    memset(slope, 0, model->spec.n_domains * sizeof *slope);
    if (at->h[domain] >= model->spec.h_min)
        slope[domain] = -loss * exp(at->theta[0]) / at->h[domain];
}

static double token_slope(const struct mix_model *model, const struct separable_entry *at)
{
    return model->n_own == 2 ? -at->linear[1] * at->phi[at->stride] * exp(at->theta[1]) : 0.0;
}

static void to_natural(const struct mix_model *model, const double *theta, const double *linear,
                       double *params)
{
    params[0] = exp(theta[0]);
    params[1] = linear[0];
    if (model->n_own == 2) {
        params[2] = linear[1];
        params[3] = exp(theta[1]);
    }
}

static void from_natural(const struct mix_model *model, const double *params, double *theta,
                         double *linear)
{
    theta[0] = log(fmax(params[0], 1e-300));
    linear[0] = params[1];
    if (model->n_own == 2) {
        linear[1] = params[2];
        theta[1] = log(fmax(params[3], 1e-300));
    }
}

static void natural_rows(const struct mix_model *model, const double *theta, size_t own,
                         size_t linear, double *jac, size_t n_columns)
{
    jac[own] = exp(theta[0]);
    jac[n_columns + linear] = 1.0;
    if (model->n_own == 2) {
        jac[2 * n_columns + linear + 1] = 1.0;
        jac[3 * n_columns + own + 1] = exp(theta[1]);
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

const struct mix_law mix_law_bimix = {
    .name = "bimix",
    .summary = "powers of the own share and of the tokens at one size (BiMix), 2M to 4M parameters",
    .targets = LAW_OWN_DOMAIN,
    .separable = &target,
    .check = check,
    .layout = layout,
    .start = start,
    SEPARABLE_FUNCTIONS,
};
