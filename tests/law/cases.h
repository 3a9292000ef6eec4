/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cases.h - random models and points for the tests of the laws. */
#ifndef MIXSWEEP_TESTS_LAW_CASES_H
#define MIXSWEEP_TESTS_LAW_CASES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "law/competition.h"

/* A model with parameters, points and the values there. */
struct trial {
    struct mix_model *model;
    struct law_points points;
    double *theta;   /* (Q) */
    double *lambda;  /* (M,L) */
    double *g, *phi; /* (R,M), (L,R,M) */
    double *loss;    /* (R,M) */
};

static inline double *numbers(size_t n)
{
    double *x = calloc(n > 0 ? n : 1, sizeof *x);
    if (x == NULL)
        abort();
    return x;
}

static inline uint8_t *flags(size_t n)
{
    uint8_t *x = calloc(n, sizeof *x);
    if (x == NULL)
        abort();
    return x;
}

static inline double uniform(gsl_rng *rng, double low, double high)
{
    return low + (high - low) * gsl_rng_uniform(rng);
}

static inline double log_uniform(gsl_rng *rng, double low, double high)
{
    return low * pow(high / low, gsl_rng_uniform(rng));
}

static inline struct mix_law_spec spec_of(const char *law, int form, size_t n_domains,
                                          size_t n_targets, double n_min)
{
    const int scales = !mix_law_is(law, "capacity");
    struct mix_law_spec spec = {.form = form,
                                .n_domains = n_domains,
                                .n_targets = n_targets,
                                .has_size_term = scales,
                                .has_token_term = scales,
                                .n_min = n_min,
                                .h_min = 1e-4};
    strcpy(spec.law, law);
    return spec;
}

/* The law under LAW+repetition, or the law itself. */
static inline struct mix_model *core(const struct trial *t)
{
    return t->model->inner != NULL ? t->model->inner : t->model;
}

/* ln D of point r as the law sees it. */
static inline double ln_tokens(const struct trial *t, size_t r)
{
    return t->model->inner != NULL ? t->model->effective.ln_d[r] : t->points.ln_d[r];
}

/* Losses at the trial's theta and lambda, forgetting what earlier evaluations left. */
static inline void trial_eval(struct trial *t)
{
    const size_t n_targets = t->model->spec.n_targets, n_linear = t->model->n_linear;
    const size_t n = t->points.n_rows * n_targets;
    law_model_reset(t->model);
    t->model->law->eval(t->model, t->theta, &t->points, t->g, t->phi);
    for (size_t e = 0; e < n; e++) {
        t->loss[e] = t->g[e];
        for (size_t l = 0; l < n_linear; l++)
            t->loss[e] += t->lambda[e % n_targets * n_linear + l] * t->phi[l * n + e];
    }
}

/* Targets 0 .. M-1 are the domains of the same number; those beyond the domains are none. */
static inline void trial_create(struct trial *t, const struct mix_law_spec *spec,
                                const int *target_domain, size_t n_rows)
{
    int *linked = calloc(spec->n_targets, sizeof *linked);
    assert_non_null(linked);
    for (size_t m = 0; m < spec->n_targets; m++)
        linked[m] = m < spec->n_domains ? (int)m : -1;
    struct mix_error err;
    const enum mix_status status =
        mix_model_create(spec, target_domain != NULL ? target_domain : linked, &t->model, &err);
    if (status != MIX_OK)
        fail_msg("%s", err.text);
    free(linked);
    assert_int_equal(law_model_reserve(t->model, n_rows, &err), MIX_OK);
    assert_int_equal(law_points_create(n_rows, spec->n_domains, &t->points, &err), MIX_OK);
    const size_t n = n_rows * spec->n_targets, n_linear = t->model->n_linear;
    t->theta = numbers(t->model->n_theta);
    t->lambda = numbers(spec->n_targets * n_linear);
    t->g = numbers(n);
    t->phi = numbers(n_linear * n);
    t->loss = numbers(n);
}

static inline void trial_destroy(struct trial *t)
{
    mix_model_destroy(t->model);
    law_points_destroy(&t->points);
    free(t->theta);
    free(t->lambda);
    free(t->g);
    free(t->phi);
    free(t->loss);
}

/* A mixture of Dirichlet weights; where there are three domains or more, one in three has a zero.
 */
static inline void random_mixture(gsl_rng *rng, size_t n_domains, double *h)
{
    double sum = 0.0;
    for (size_t j = 0; j < n_domains; j++)
        sum += h[j] = gsl_ran_gamma(rng, 0.8, 1.0) + 0.02;
    if (n_domains > 2 && gsl_rng_uniform_int(rng, 3) == 0) {
        const size_t j = gsl_rng_uniform_int(rng, n_domains);
        sum -= h[j];
        h[j] = 0.0;
    }
    for (size_t j = 0; j < n_domains; j++)
        h[j] /= sum;
}

/* Parameters as a fit may meet them: losses of order one, some skills inactive. */
static inline void random_theta(struct trial *t, gsl_rng *rng)
{
    const struct mix_model *model = t->model;
    const size_t n_targets = model->spec.n_targets;
    double *mean_loss = numbers(n_targets);
    for (size_t m = 0; m < n_targets; m++)
        mean_loss[m] = uniform(rng, 1.0, 4.0);
    const struct law_scales scales = {mean_loss, 3.0 * model->spec.n_min, 10.0};
    model->law->start(model, &scales, rng, t->theta);
    for (size_t i = 0; core(t)->separable && i < model->n_theta; i++) { /* linear starts at 0 */
        const double moved = t->theta[i] + 0.01 * gsl_ran_ugaussian(rng);
        t->theta[i] = fmin(fmax(moved, model->lower[i]), model->upper[i]);
    }
    for (size_t i = 0; i < n_targets * model->n_linear; i++)
        t->lambda[i] = uniform(rng, 0.05, 2.0);
    free(mean_loss);
}

/* Supplies (K) of which some are repeated up to three times; clear of one pass, where the second
 * derivative jumps. */
static inline void random_supply(gsl_rng *rng, size_t n_domains, const double *h, double n_tokens,
                                 double *supply)
{
    for (size_t j = 0; j < n_domains; j++) {
        const double passes =
            uniform(rng, 0.0, 1.0) < 0.4 ? uniform(rng, 0.3, 0.9) : uniform(rng, 1.1, 3.0);
        supply[j] = h[j] > 0.0 ? h[j] * n_tokens / passes : 1.0;
    }
}

static inline void random_points(struct trial *t, gsl_rng *rng)
{
    const size_t n_domains = t->points.n_domains;
    double *h = numbers(n_domains), *supply = numbers(n_domains);
    for (size_t r = 0; r < t->points.n_rows; r++) {
        const double size = log_uniform(rng, 1.0, 40.0) * t->model->spec.n_min;
        const double tokens = log_uniform(rng, 0.5, 100.0);
        random_mixture(rng, n_domains, h);
        law_points_set(&t->points, r, h, size, tokens);
        if (t->model->inner == NULL)
            continue;
        random_supply(rng, n_domains, h, tokens, supply);
        law_points_set_unique(&t->points, r, supply);
    }
    free(h);
    free(supply);
}

/* The number of point r's cell as the law sees it. */
static inline size_t cell_of(const struct trial *t, size_t r)
{
    return t->model->inner != NULL ? t->model->effective.cell[r] : t->points.cell[r];
}

/* What eval leaves in the cache: ln lambda of point r, and ln x of skill m. */
static inline double multiplier(const struct trial *t, size_t r)
{
    return competition_cells_of(core(t)).mu[cell_of(t, r)];
}

static inline double ln_capacity(const struct trial *t, size_t r, size_t m)
{
    const struct competition_cells cells = competition_cells_of(core(t));
    return cells.ln_x[m * cells.ld + cell_of(t, r)];
}

/* The Jacobian as (R M, Q), put together from own block and rank one. */
static inline double *dense_jacobian(struct trial *t)
{
    const struct mix_model *model = t->model;
    const size_t n_targets = model->spec.n_targets, n = t->points.n_rows * n_targets;
    double *own = numbers(n * model->n_own), *u = numbers(n);
    double *v = numbers(t->points.n_rows * model->n_v), *dense = numbers(n * model->n_theta);
    model->law->jacobian(t->model, t->theta, &t->points, t->lambda, t->phi, own, u, v);
    for (size_t e = 0; e < n; e++) {
        double *row = dense + e * model->n_theta;
        for (size_t i = 0; i < model->n_v; i++)
            row[i] = u[e] * v[e / n_targets * model->n_v + i];
        for (size_t k = 0; k < model->n_own; k++)
            row[model->own_column[e % n_targets * model->n_own + k]] += own[k * n + e];
    }
    free(own);
    free(u);
    free(v);
    return dense;
}

#endif
