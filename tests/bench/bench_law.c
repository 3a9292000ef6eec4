/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_law.c - nanoseconds of processor time per residual of the values and of the Jacobian of
 * each law, warm as in a fit: theta moves a little from step to step, multipliers are guessed from
 * the last step. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>

#include "law/law_impl.h"

enum { N_ROUNDS = 7 };

struct bench {
    struct mix_model *model;
    struct law_points points;
    double *start, *theta, *lambda, *g, *phi, *own, *u, *v;
};

static double cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

static double *numbers(size_t n)
{
    double *x = calloc(n, sizeof *x);
    if (x == NULL)
        abort();
    return x;
}

static void create(struct bench *b, const struct mix_law_spec *spec, size_t n_rows, gsl_rng *rng)
{
    int target_domain[64];
    double mean_loss[64], h[64], alpha[64];
    for (size_t m = 0; m < spec->n_targets; m++) {
        target_domain[m] = m < spec->n_domains ? (int)m : -1;
        mean_loss[m] = 2.5;
    }
    if (mix_model_create(spec, target_domain, &b->model, NULL) != MIX_OK ||
        law_model_reserve(b->model, n_rows, NULL) != MIX_OK ||
        law_points_create(n_rows, spec->n_domains, &b->points, NULL) != MIX_OK)
        abort();
    const struct mix_model *model = b->model;
    const size_t n = n_rows * spec->n_targets;
    b->start = numbers(model->n_theta);
    b->theta = numbers(model->n_theta);
    b->lambda = numbers(spec->n_targets * model->n_linear);
    b->g = numbers(n);
    b->phi = numbers(n * model->n_linear);
    b->own = numbers(n * model->n_own);
    b->u = numbers(n);
    b->v = numbers(n_rows * model->n_v);
    const struct law_scales scales = {mean_loss, spec->n_min, 10.0};
    model->law->start(model, &scales, rng, b->start);
    for (size_t i = 0; i < spec->n_targets * model->n_linear; i++)
        b->lambda[i] = gsl_rng_uniform(rng);
    for (size_t j = 0; j < spec->n_domains; j++)
        alpha[j] = 1.0;
    for (size_t r = 0; r < n_rows; r++) {
        gsl_ran_dirichlet(rng, spec->n_domains, alpha, h);
        law_points_set(&b->points, r, h, spec->n_min * (1.0 + (double)(r % 4)), 10.0);
    }
}

static void destroy(struct bench *b)
{
    mix_model_destroy(b->model);
    law_points_destroy(&b->points);
    double *const owned[] = {b->start, b->theta, b->lambda, b->g, b->phi, b->own, b->u, b->v};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++)
        free(owned[i]);
}

/* The best of several rounds, in ns per call. */
static void measure(struct bench *b, gsl_rng *rng, size_t n_calls, double *eval, double *jacobian)
{
    const struct mix_law *law = b->model->law;
    *eval = *jacobian = INFINITY;
    for (size_t round = 0; round < N_ROUNDS; round++) {
        double eval_ns = 0.0, jacobian_ns = 0.0;
        for (size_t call = 0; call < n_calls; call++) {
            for (size_t i = 0; i < b->model->n_theta; i++)
                b->theta[i] = b->start[i] + 0.01 * (gsl_rng_uniform(rng) - 0.5);
            const double t0 = cpu_ns();
            law->eval(b->model, b->theta, &b->points, b->g, b->phi);
            const double t1 = cpu_ns();
            law->jacobian(b->model, b->theta, &b->points, b->lambda, b->phi, b->own, b->u, b->v);
            eval_ns += t1 - t0;
            jacobian_ns += cpu_ns() - t1;
        }
        *eval = fmin(*eval, eval_ns / (double)n_calls);
        *jacobian = fmin(*jacobian, jacobian_ns / (double)n_calls);
    }
}

int main(void)
{
    const struct {
        struct mix_law_spec spec;
        size_t n_rows;
    } cases[] = {
        {{"capacity", 0, 7, 7, 0, 0, 0, 122.0, 1e-4}, 60},
        {{"transfer", 0, 7, 7, 0, 1, 1, 122.0, 1e-4}, 1748},
        {{"demand", 0, 5, 22, 0, 1, 1, 70.0, 1e-4}, 1120},
    };
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    if (rng == NULL)
        return 1;
    printf("%-10s %6s %9s  %s\n", "law", "rows", "residuals", "ns per residual: eval, jacobian");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bench b;
        double eval, jacobian;
        create(&b, &cases[i].spec, cases[i].n_rows, rng);
        const double n = (double)(cases[i].n_rows * cases[i].spec.n_targets);
        measure(&b, rng, (size_t)(4e5 / n) + 1, &eval, &jacobian);
        printf("%-10s %6zu %9.0f  %.1f  %.1f\n", cases[i].spec.law, cases[i].n_rows, n, eval / n,
               jacobian / n);
        destroy(&b);
    }
    gsl_rng_free(rng);
    return 0;
}
