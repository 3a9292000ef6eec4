/* SPDX-License-Identifier: GPL-3.0-or-later */
/* competition.c - see competition.h for the law, the notation and the layout of theta. */
#include "competition.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gsl/gsl_randist.h>

static const double EXPONENT_MIN = 1e-3, EXPONENT_MAX = 8.0;
/* b where it has a prior: what the runs show of it lies between .03 and .6 on three public tables.
 * Beyond, the term is a wall that a skill meets below its least x, of any height at H. */
static const double PRIOR_B_MAX = 2.0;
/* p: published size exponents lie between .05 and .5 (Kaplan et al. .076, Hoffmann et al. .34,
 * Besiroglu et al. .35). A sweep holds few sizes, on which P N^-p trades freely with E and c x^-b;
 * left to the box above, p runs away and extrapolates 1.5 to 2.7 times worse (fitted up to 310M and
 * 680M on two public tables). */
static const double SIZE_EXPONENT_MAX = 0.5;
static const double LN_SCALE_MAX = 40.0; /* ln of the capacity term at x_ref */
static const double ETA_MAX = 18.0;      /* H between 1.5e-8 and 1 - 1.5e-8 of n_min */
static const double LOGIT_MAX = 25.0;
static const double TRANSFER_MAX = 50.0;
static const double GAMMA_MIN = 0.1,
                    GAMMA_MAX = 1.0; /* beyond 1 more of one domain helps ever more */

enum competition_kind competition_kind_of(const struct mix_model *model)
{
    if (model->law == &mix_law_transfer)
        return COMPETITION_TRANSFER;
    return model->law == &mix_law_demand ? COMPETITION_DEMAND : COMPETITION_PLAIN;
}

struct competition_terms competition_terms_of(const struct mix_model *model)
{
    struct competition_terms t = {-1, -1, -1};
    int next = 1;
    if (model->spec.form != 1)
        t.noise = next++;
    if (model->spec.has_size_term)
        t.size = next++;
    if (model->spec.has_token_term)
        t.token = next;
    return t;
}

double competition_fixed_h(const struct mix_model *model)
{
    return 0.1 * model->spec.n_min;
}

static enum mix_status layout_columns(struct mix_model *model, struct mix_error *err)
{
    const size_t n_targets = model->spec.n_targets, n_domains = model->spec.n_domains;
    const size_t *at = model->offset;
    size_t *column = calloc(n_targets * model->n_own, sizeof *column);
    if (column == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a law of %zu targets", n_targets);
    for (size_t m = 0; m < n_targets; m++) {
        size_t *own = column + m * model->n_own;
        *own++ = at[AT_B] + m;
        *own++ = at[AT_C] + m;
        if (at[AT_H] != SIZE_MAX)
            *own++ = at[AT_H];
        for (size_t j = 0; at[AT_DEMAND] != SIZE_MAX && j < n_domains; j++)
            *own++ = at[AT_DEMAND] + m * n_domains + j;
        if (at[AT_NOISE] != SIZE_MAX)
            *own++ = at[AT_NOISE] + m;
        for (size_t j = 0; at[AT_TRANSFER] != SIZE_MAX && j + 1 < n_domains; j++)
            *own++ = at[AT_TRANSFER] + m * (n_domains - 1) + j;
        if (at[AT_GAMMA] != SIZE_MAX)
            *own++ = at[AT_GAMMA] + m;
        if (at[AT_SIZE] != SIZE_MAX)
            *own++ = at[AT_SIZE];
        if (at[AT_TOKEN] != SIZE_MAX)
            *own++ = at[AT_TOKEN];
        assert(own == column + (m + 1) * model->n_own);
    }
    model->own_column = column;
    return MIX_OK;
}

static void set_box(struct mix_model *model, size_t at, size_t n, double lower, double upper)
{
    for (size_t i = 0; at != SIZE_MAX && i < n; i++) {
        model->lower[at + i] = lower;
        model->upper[at + i] = upper;
    }
}

/* Reserve a block of n entries of theta; SIZE_MAX where the model has none. */
static size_t block(struct mix_model *model, int present, size_t n, size_t n_own)
{
    if (!present)
        return SIZE_MAX;
    const size_t at = model->n_theta;
    model->n_theta += n;
    model->n_own += n_own;
    return at;
}

static size_t padded(size_t n)
{
    return (n + LANES_MOST - 1) / LANES_MOST * LANES_MOST;
}

static size_t n_transfer(const struct mix_model *model)
{
    return model->spec.n_targets * model->spec.n_domains;
}

/* Of model->scratch, see competition_unpack(): what is a multiple of LANES_MOST comes first. */
static size_t row_end(const struct mix_model *model)
{
    return (7 + 2 * LANES_MOST + 4 + model->n_own + 1) * padded(model->spec.n_targets);
}

static size_t scratch_doubles(const struct mix_model *model)
{
    const size_t n_targets = model->spec.n_targets;
    return row_end(model) + 2 * n_transfer(model) + 4 * n_targets +
           ((model->n_own + 1) * n_targets + model->n_v) * LANES_MOST;
}

static void layout_blocks(struct mix_model *model)
{
    const size_t n_targets = model->spec.n_targets, n_domains = model->spec.n_domains;
    const enum competition_kind kind = competition_kind_of(model);
    size_t *at = model->offset;
    at[AT_B] = block(model, 1, n_targets, 1);
    at[AT_C] = block(model, 1, n_targets, 1);
    at[AT_H] = block(model, model->spec.form == 0, 1, 1);
    at[AT_DEMAND] = block(model, kind == COMPETITION_DEMAND, n_targets * n_domains, n_domains);
    at[AT_GAMMA] = block(model, kind == COMPETITION_DEMAND && n_domains > 1, n_targets, 1);
    model->n_v = model->n_theta;
    at[AT_NOISE] = block(model, model->spec.form != 1, n_targets, 1);
    at[AT_TRANSFER] =
        block(model, kind == COMPETITION_TRANSFER, n_targets * (n_domains - 1), n_domains - 1);
    if (kind == COMPETITION_TRANSFER)
        at[AT_GAMMA] = block(model, n_domains > 1, n_targets, 1);
    at[AT_SIZE] = block(model, model->spec.has_size_term, 1, 1);
    at[AT_TOKEN] = block(model, model->spec.has_token_term, 1, 1);
}

/* Priors of transfer and demand, standard deviations of the logarithm but of T and the logits. p, q
 * and the noise exponents a lie around what Hoffmann et al. (arXiv 2203.15556, approach 3) found
 * for N and D, give or take a factor of 2, gamma around what product.c finds. Domains mostly have
 * little in common, and T is near 0; some have much: tails are Cauchy's. Fitted on 122M and 310M of
 * slimpajama7 without the mixtures asked for, 680M has skill .89 with these, .78 without. b lies
 * where fits of three public tables have most of theirs, H weakly at a tenth of the least N: where
 * all x_i of the runs are above H nothing keeps it from 0, nor b from its bound in some draws, and
 * c H^-b is then the loss of a skill that a mixture leaves out. Of commoncrawl alone (slimpajama7
 * up to 680M, 60 draws) transfer had github at 6.2 (3.2 to 7e5) with an sd of 1.5 about .5, b up to
 * 8, and has 5.9 (3.5 to 11.1). Two lengths of run leave q to what the noise term lacks: it runs to
 * a bound, all draws with it, and their 90% intervals of losses at larger scales hold a third of
 * the time (bench_coverage.c, transfer, K 3); in law demand unseen mixtures at an unseen size were
 * 10% off instead of 1.6% (mixlaws_5mix). */
static const double TRANSFER_SD = 0.2, LOGIT_SD = 2.0, GAMMA_SD = 0.45, NOISE_SD = 0.7, B_SD = 1.0,
                    ETA_SD = 2.5;
static const double USUAL_GAMMA = 0.6, USUAL_SIZE_EXPONENT = 0.34, USUAL_TOKEN_EXPONENT = 0.28,
                    USUAL_B = 0.3, USUAL_ETA = -2.0;

static void set_priors(struct mix_model *model)
{
    const size_t n_targets = model->spec.n_targets, n_domains = model->spec.n_domains;
    const size_t *at = model->offset;
    set_box(model, at[AT_B], n_targets, log(EXPONENT_MIN), log(PRIOR_B_MAX));
    law_set_prior(model, at[AT_B], n_targets, log(USUAL_B), B_SD);
    if (at[AT_H] != SIZE_MAX)
        law_set_prior(model, at[AT_H], 1, USUAL_ETA, ETA_SD);
    if (at[AT_DEMAND] != SIZE_MAX)
        law_set_prior(model, at[AT_DEMAND], n_targets * n_domains, 0.0, LOGIT_SD);
    if (at[AT_TRANSFER] != SIZE_MAX) {
        law_set_prior(model, at[AT_TRANSFER], n_targets * (n_domains - 1), 0.0, TRANSFER_SD);
        law_set_heavy_tails(model, at[AT_TRANSFER], n_targets * (n_domains - 1));
    }
    if (at[AT_GAMMA] != SIZE_MAX)
        law_set_prior(model, at[AT_GAMMA], n_targets, log(USUAL_GAMMA), GAMMA_SD);
    law_set_prior(model, at[AT_NOISE], n_targets, log(USUAL_TOKEN_EXPONENT), NOISE_SD);
    if (at[AT_SIZE] != SIZE_MAX)
        law_set_prior(model, at[AT_SIZE], 1, log(USUAL_SIZE_EXPONENT), LAW_EXPONENT_SD);
    if (at[AT_TOKEN] != SIZE_MAX)
        law_set_prior(model, at[AT_TOKEN], 1, log(USUAL_TOKEN_EXPONENT), LAW_EXPONENT_SD);
}

static enum mix_status make_priors(struct mix_model *model, struct mix_error *err)
{
    if (competition_kind_of(model) == COMPETITION_PLAIN)
        return MIX_OK;
    if (!law_make_priors(model))
        return mix_fail(err, MIX_ENOMEM, "out of memory for a law of %zu targets",
                        model->spec.n_targets);
    set_priors(model);
    return MIX_OK;
}

enum mix_status competition_layout(struct mix_model *model, struct mix_error *err)
{
    const size_t n_targets = model->spec.n_targets, n_domains = model->spec.n_domains;
    model->offset = calloc(N_BLOCKS, sizeof *model->offset);
    if (model->offset == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a law");
    layout_blocks(model);
    const size_t *at = model->offset;
    model->n_linear = 1 + (size_t)(model->spec.form != 1) +
                      (size_t)(model->spec.has_size_term != 0) +
                      (size_t)(model->spec.has_token_term != 0);
    model->n_params = model->n_theta + model->n_linear * n_targets;
    model->n_gauge = at[AT_DEMAND] != SIZE_MAX ? n_targets : 0; /* rows of T sum to 1 */
    model->ln_x_ref = log(model->spec.n_min / (double)n_targets);
    model->cache_row = 1 + 4 * n_targets + n_targets * n_domains; /* struct competition_cells */
    model->scratch = calloc(scratch_doubles(model), sizeof *model->scratch);
    model->lower = calloc(model->n_theta, sizeof *model->lower);
    model->upper = calloc(model->n_theta, sizeof *model->upper);
    if (model->scratch == NULL || model->lower == NULL || model->upper == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a law of %zu targets", n_targets);
    set_box(model, at[AT_B], n_targets, log(EXPONENT_MIN), log(EXPONENT_MAX));
    set_box(model, at[AT_C], n_targets, -LN_SCALE_MAX, LN_SCALE_MAX);
    set_box(model, at[AT_H], 1, -ETA_MAX, ETA_MAX);
    set_box(model, at[AT_DEMAND], n_targets * n_domains, -LOGIT_MAX, LOGIT_MAX);
    set_box(model, at[AT_NOISE], n_targets, log(EXPONENT_MIN), log(EXPONENT_MAX));
    set_box(model, at[AT_TRANSFER], n_targets * (n_domains - 1), 0.0, TRANSFER_MAX);
    set_box(model, at[AT_GAMMA], n_targets, log(GAMMA_MIN), log(GAMMA_MAX));
    set_box(model, at[AT_SIZE], 1, log(EXPONENT_MIN), log(SIZE_EXPONENT_MAX));
    set_box(model, at[AT_TOKEN], 1, log(EXPONENT_MIN), log(EXPONENT_MAX));
    const enum mix_status status = make_priors(model, err);
    return status == MIX_OK ? layout_columns(model, err) : status;
}

static double log_uniform(gsl_rng *rng, double low, double high)
{
    return low * pow(high / low, gsl_rng_uniform(rng));
}

void competition_start(const struct mix_model *model, const struct law_scales *scales, gsl_rng *rng,
                       double *theta)
{
    const size_t n_targets = model->spec.n_targets, n_domains = model->spec.n_domains;
    const size_t *at = model->offset;
    const double ln_x = log(scales->n_mean / (double)n_targets);
    for (size_t m = 0; m < n_targets; m++) {
        const double b = log_uniform(rng, 0.03, 2.0);
        const double share = 0.05 + 0.75 * gsl_rng_uniform(rng); /* of the loss is capacity term */
        theta[at[AT_B] + m] = log(b);
        theta[at[AT_C] + m] = log(share * scales->mean_loss[m]) + b * (ln_x - model->ln_x_ref);
        if (at[AT_NOISE] != SIZE_MAX)
            theta[at[AT_NOISE] + m] = log(log_uniform(rng, 0.03, 2.0));
    }
    if (at[AT_H] != SIZE_MAX) {
        const double share = log_uniform(rng, 1e-3, 0.9);
        theta[at[AT_H]] = log(share / (1.0 - share));
    }
    if (at[AT_DEMAND] != SIZE_MAX)
        for (size_t i = 0; i < n_targets * n_domains; i++)
            theta[at[AT_DEMAND] + i] = 1.5 * gsl_ran_ugaussian(rng);
    if (at[AT_TRANSFER] != SIZE_MAX)
        for (size_t i = 0; i < n_targets * (n_domains - 1); i++)
            theta[at[AT_TRANSFER] + i] = 0.3 * gsl_rng_uniform(rng) * gsl_rng_uniform(rng);
    if (at[AT_GAMMA] != SIZE_MAX)
        for (size_t m = 0; m < n_targets; m++)
            theta[at[AT_GAMMA] + m] = log(log_uniform(rng, 0.3, GAMMA_MAX));
    if (at[AT_SIZE] != SIZE_MAX)
        theta[at[AT_SIZE]] = log(log_uniform(rng, 0.05, SIZE_EXPONENT_MAX));
    if (at[AT_TOKEN] != SIZE_MAX)
        theta[at[AT_TOKEN]] = log(log_uniform(rng, 0.05, 1.0));
    for (size_t i = 0; i < model->n_theta; i++)
        theta[i] = fmin(fmax(theta[i], model->lower[i]), model->upper[i]);
}

static void unpack_transfer(const struct mix_model *model, const double *theta, double *transfer)
{
    const size_t n_targets = model->spec.n_targets, n_domains = model->spec.n_domains;
    const size_t *at = model->offset;
    for (size_t m = 0; m < n_targets; m++) {
        double *row = transfer + m * n_domains;
        if (at[AT_DEMAND] != SIZE_MAX) {
            const double *logit = theta + at[AT_DEMAND] + m * n_domains;
            double top = logit[0], sum = 0.0;
            for (size_t j = 1; j < n_domains; j++)
                top = fmax(top, logit[j]);
            for (size_t j = 0; j < n_domains; j++)
                sum += row[j] = exp(logit[j] - top);
            for (size_t j = 0; j < n_domains; j++)
                row[j] /= sum;
        } else {
            const size_t self = (size_t)model->target_domain[m];
            const double *off = theta + at[AT_TRANSFER] + m * (n_domains - 1);
            for (size_t j = 0; j < n_domains; j++)
                row[j] = j == self ? 1.0 : *off++;
        }
    }
}

static double logistic(double eta)
{
    return 1.0 / (1.0 + exp(-eta));
}

struct competition_values competition_unpack(const struct mix_model *model, const double *theta)
{
    const size_t n_targets = model->spec.n_targets;
    const size_t *at = model->offset;
    const size_t n = padded(n_targets);
    double *s = model->scratch;
    struct competition_values k = {.b = s,
                                   .e = s + n,
                                   .ln_c = s + 2 * n,
                                   .ln_bc = s + 3 * n,
                                   .a = s + 4 * n,
                                   .gamma = s + 5 * n,
                                   .share = s + 6 * n,
                                   .q = s + 7 * n,
                                   .row = s + (7 + 2 * LANES_MOST) * n,
                                   .transfer = s + row_end(model),
                                   .point = s + row_end(model) + n_transfer(model),
                                   .block =
                                       s + row_end(model) + 2 * n_transfer(model) + 4 * n_targets,
                                   .h_low = competition_fixed_h(model)};
    for (size_t m = 0; m < n_targets; m++) {
        const double ln_b = theta[at[AT_B] + m];
        k.b[m] = exp(ln_b);
        k.e[m] = 1.0 / (k.b[m] + 1.0);
        k.ln_c[m] = theta[at[AT_C] + m] + k.b[m] * model->ln_x_ref;
        k.ln_bc[m] = ln_b + k.ln_c[m];
        k.a[m] = at[AT_NOISE] != SIZE_MAX ? exp(theta[at[AT_NOISE] + m]) : 0.0;
        k.gamma[m] = at[AT_GAMMA] != SIZE_MAX ? exp(theta[at[AT_GAMMA] + m]) : 1.0;
    }
    if (at[AT_H] != SIZE_MAX) {
        k.h_low = logistic(theta[at[AT_H]]) * model->spec.n_min;
        k.d_ln_h = logistic(-theta[at[AT_H]]);
    }
    k.ln_low = log(k.h_low);
    if (at[AT_DEMAND] != SIZE_MAX || at[AT_TRANSFER] != SIZE_MAX)
        unpack_transfer(model, theta, k.transfer);
    k.p_size = at[AT_SIZE] != SIZE_MAX ? exp(theta[at[AT_SIZE]]) : 0.0;
    k.p_token = at[AT_TOKEN] != SIZE_MAX ? exp(theta[at[AT_TOKEN]]) : 0.0;
    return k;
}

#ifdef __x86_64__
extern const struct competition_kernels competition_kernels_avx2, competition_kernels_avx512;
#endif
extern const struct competition_kernels competition_kernels_generic;

const struct competition_kernels *competition_kernels(enum mix_isa isa)
{
#ifdef __x86_64__
    if (isa == MIX_ISA_AVX512)
        return &competition_kernels_avx512;
    if (isa == MIX_ISA_AVX2)
        return &competition_kernels_avx2;
#endif
    (void)isa;
    return &competition_kernels_generic;
}

void competition_eval(struct mix_model *model, const double *theta, const struct law_points *points,
                      double *g, double *phi)
{
    const struct competition_values k = competition_unpack(model, theta);
    competition_kernels(model->isa)->eval(model, &k, points, g, phi);
}

void competition_jacobian(struct mix_model *model, const double *theta,
                          const struct law_points *points, const double *lambda, const double *phi,
                          double *own, double *u, double *v)
{
    const struct competition_values k = competition_unpack(model, theta);
    competition_kernels(model->isa)->jacobian(model, &k, points, lambda, phi, own, u, v);
}

/* What eval has left of one point. */
struct point {
    double *ln_x;  /* (M) */
    double *term;  /* (M) c x^-b */
    double *sum;   /* (M) t^gamma */
    double *power; /* (M,K) h_j^gamma */
};

static struct point point_of(const struct mix_model *model, const struct competition_values *k,
                             size_t c)
{
    const size_t n_targets = model->spec.n_targets, n = n_targets * model->spec.n_domains;
    const struct competition_cells cells = competition_cells_of(model);
    const struct point p = {k->point, k->point + n_targets, k->point + 2 * n_targets,
                            k->point + 3 * n_targets};
    for (size_t m = 0; m < n_targets; m++) {
        p.ln_x[m] = cells.ln_x[m * cells.ld + c];
        p.term[m] = cells.term[m * cells.ld + c];
        p.sum[m] = cells.sum[m * cells.ld + c];
    }
    for (size_t i = 0; competition_kind_of(model) != COMPETITION_PLAIN && i < n; i++)
        p.power[i] = cells.power[i * cells.ld + c];
    return p;
}

/* k->share (M) = d mu / d ln s_m = x e / W over active skills, 0 for the others; returns W = sum of
 * x e, 0 where no skill is active. */
static double set_multiplier_shares(const struct competition_values *k, size_t n_targets,
                                    const double *ln_x)
{
    double weight = 0.0;
    for (size_t m = 0; m < n_targets; m++) {
        k->share[m] = ln_x[m] > k->ln_low ? exp(ln_x[m]) * k->e[m] : 0.0;
        weight += k->share[m];
    }
    for (size_t m = 0; weight > 0.0 && m < n_targets; m++)
        k->share[m] /= weight;
    return weight;
}

/* d ln s_m / d h_j and, where `noise` is set, d ln n_m / d h_j. */
static double share_slope(const struct mix_model *model, const struct competition_values *k,
                          const struct point *p, const double *h, size_t m, size_t j, bool noise)
{
    const enum competition_kind kind = competition_kind_of(model);
    const size_t at = m * model->spec.n_domains + j;
    if (kind == COMPETITION_DEMAND || (kind == COMPETITION_TRANSFER && noise))
        return h[j] >= model->spec.h_min ? k->transfer[at] * p->power[at] / (p->sum[m] * h[j])
                                         : 0.0;
    if (j != (size_t)model->target_domain[m] || (noise && !(h[j] > model->spec.h_min)))
        return 0.0;
    return 1.0 / h[j];
}

void competition_point_gradient(struct mix_model *model, const double *theta,
                                const struct law_points *points, size_t r, const double *lambda,
                                const double *phi, double *dloss_dh, double *dloss_dln_d)
{
    const size_t n_targets = model->spec.n_targets, n_domains = model->spec.n_domains;
    const size_t stride = points->n_rows * n_targets;
    const double *h = points->h + r * n_domains, *at = phi + r * n_targets;
    const struct competition_values k = competition_unpack(model, theta);
    const struct competition_terms term = competition_terms_of(model);
    const struct point p = point_of(model, &k, points->cell[r]);
    set_multiplier_shares(&k, n_targets, p.ln_x);
    for (size_t m = 0; m < n_targets; m++) {
        const double *linear = lambda + m * model->n_linear;
        dloss_dln_d[m] = 0.0;
        if (term.noise > 0)
            dloss_dln_d[m] -= linear[term.noise] * at[(size_t)term.noise * stride + m] * k.a[m];
        if (term.token > 0)
            dloss_dln_d[m] -= linear[term.token] * at[(size_t)term.token * stride + m] * k.p_token;
    }
    for (size_t j = 0; j < n_domains; j++) {
        double d_mu = 0.0;
        for (size_t m = 0; m < n_targets; m++)
            if (k.share[m] > 0.0)
                d_mu += k.share[m] * share_slope(model, &k, &p, h, m, j, false);
        for (size_t m = 0; m < n_targets; m++) {
            double slope = 0.0;
            if (k.share[m] > 0.0)
                slope -= p.term[m] * k.b[m] * k.e[m] *
                         (share_slope(model, &k, &p, h, m, j, false) - d_mu);
            if (term.noise > 0)
                slope -= lambda[m * model->n_linear + (size_t)term.noise] *
                         at[(size_t)term.noise * stride + m] * k.a[m] *
                         share_slope(model, &k, &p, h, m, j, true);
            dloss_dh[m * n_domains + j] = slope;
        }
    }
}

enum mix_status competition_check_domains(const struct mix_data *data, const char *law,
                                          const char *const *domains, const char *const *targets,
                                          struct mix_error *err)
{
    for (size_t m = 0; m < data->n_targets; m++)
        if (data->target_domain[m] < 0)
            return mix_fail(
                err, MIX_EINVAL,
                "law %s needs targets that are training domains, and target %s is none; "
                "%suse law demand",
                law, targets[m], law_domains_hint(data));
    for (size_t j = 0; j < data->n_domains; j++) {
        bool measured = false;
        for (size_t m = 0; m < data->n_targets; m++)
            measured = measured || (size_t)data->target_domain[m] == j;
        if (!measured)
            return mix_fail(
                err, MIX_EINVAL,
                "law %s needs a measured loss for every training domain, and %s has none; "
                "use law demand",
                law, domains[j]);
    }
    return MIX_OK;
}

static bool varies(size_t n, const double *x)
{
    for (size_t i = 1; i < n; i++)
        if (fabs(x[i] - x[0]) > 1e-9 * fabs(x[0]))
            return true;
    return false;
}

void competition_check_terms(const struct mix_data *data, struct mix_law_spec *spec,
                             char notes[MIX_TEXT_MAX])
{
    spec->has_size_term = varies(data->n_rows, data->n_params);
    spec->has_token_term = varies(data->n_rows, data->n_tokens);
    const size_t used = strlen(notes);
    snprintf(
        notes + used, MIX_TEXT_MAX - used, "%s%s",
        spec->has_size_term ? "" : "the term P N^-p is dropped: all selected runs have one N\n",
        spec->has_token_term ? "" : "the term Q D^-q is dropped: all selected runs have one D\n");
}
