/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_fit.c [starts] - processor time of one least-squares search, and how it grows with runs,
 * domains and targets; `starts` prints starts and what is reached from them, for fit_scipy.py.
 *
 * Runs are drawn from the law with 1% noise. A search has 40 steps at most, so that time per step
 * is compared, and the best of several starts counts. Exponents are slopes of ln time against
 * ln size by least squares. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>

#include "bench.h"
#include "fit/least_squares.h"

enum { N_STARTS = 5, N_STEPS = 40, N_SIZES = 4 };

/* A table of noisy losses of the law, and the problem of fitting it. */
struct problem {
    struct mix_law_spec spec;
    struct mix_data data;
    struct lsq *lsq;
    gsl_rng *rng;
};

static void draw_losses(struct problem *p)
{
    struct mix_data *data = &p->data;
    struct mix_error err = {{0}};
    struct mix_model *model = NULL;
    const size_t n_m = data->n_targets;
    must(mix_model_create(&p->spec, data->target_domain, &model, &err), &err);
    double *mean_loss = room(n_m, sizeof *mean_loss), *theta = room(model->n_theta, sizeof *theta);
    double *lambda = room(n_m * model->n_linear, sizeof *lambda);
    double *params = room(model->n_params, sizeof *params);
    for (size_t m = 0; m < n_m; m++)
        mean_loss[m] = 2.5;
    for (size_t i = 0; i < n_m * model->n_linear; i++)
        lambda[i] = 0.2 + 0.5 * gsl_rng_uniform(p->rng);
    const struct law_scales scales = {mean_loss, p->spec.n_min, 10.0};
    model->law->start(model, &scales, p->rng, theta);
    model->law->to_natural(model, theta, lambda, params);
    must(mix_model_predict(model, params, data->n_rows, data->mixture, data->n_params,
                           data->n_tokens, data->loss, &err),
         &err);
    for (size_t e = 0; e < data->n_rows * n_m; e++)
        data->loss[e] *= 1.0 + 0.01 * gsl_ran_ugaussian(p->rng);
    free(mean_loss);
    free(theta);
    free(lambda);
    free(params);
    mix_model_destroy(model);
}

static struct problem create(const char *law, size_t n_rows, size_t n_domains, size_t n_targets)
{
    const bool scales = strcmp(law, "capacity") != 0;
    struct problem p = {.spec = {.n_domains = n_domains,
                                 .n_targets = n_targets,
                                 .has_size_term = scales,
                                 .has_token_term = scales,
                                 .n_min = 100.0,
                                 .h_min = 1e-4},
                        .rng = gsl_rng_alloc(gsl_rng_mt19937)};
    struct mix_error err = {{0}};
    snprintf(p.spec.law, sizeof p.spec.law, "%s", law);
    p.data = (struct mix_data){.n_rows = n_rows,
                               .n_domains = n_domains,
                               .n_targets = n_targets,
                               .target_domain = room(n_targets, sizeof(int)),
                               .mixture = room(n_rows * n_domains, sizeof(double)),
                               .unique = room(n_rows * n_domains, sizeof(double)),
                               .n_params = room(n_rows, sizeof(double)),
                               .n_tokens = room(n_rows, sizeof(double)),
                               .loss = room(n_rows * n_targets, sizeof(double)),
                               .weight = room(n_rows * n_targets, sizeof(double))};
    double *alpha = room(n_domains, sizeof *alpha);
    for (size_t j = 0; j < n_domains; j++)
        alpha[j] = 1.0;
    for (size_t m = 0; m < n_targets; m++)
        p.data.target_domain[m] = m < n_domains ? (int)m : -1;
    for (size_t r = 0; r < n_rows; r++) {
        gsl_ran_dirichlet(p.rng, n_domains, alpha, p.data.mixture + r * n_domains);
        p.data.n_params[r] = 100.0 * (double)(1 + r % 3);
        p.data.n_tokens[r] = 5.0 * (double)(1 + r % 4);
        for (size_t j = 0; j < n_domains; j++)
            p.data.unique[r * n_domains + j] = INFINITY;
        for (size_t m = 0; m < n_targets; m++)
            p.data.weight[r * n_targets + m] = 1.0;
    }
    free(alpha);
    draw_losses(&p);
    must(lsq_create(&p.spec, p.data.target_domain, &p.data, &p.lsq, &err), &err);
    return p;
}

static void destroy(struct problem *p)
{
    lsq_destroy(p->lsq);
    free(p->data.target_domain);
    double *const owned[] = {p->data.mixture,  p->data.unique, p->data.n_params,
                             p->data.n_tokens, p->data.loss,   p->data.weight};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++)
        free(owned[i]);
    gsl_rng_free(p->rng);
}

/* Seconds of a step, the best of the starts. */
static double step_time(const char *law, size_t n_rows, size_t n_domains, size_t n_targets)
{
    struct problem p = create(law, n_rows, n_domains, n_targets);
    struct mix_model *model = lsq_model(p.lsq);
    double *theta = room(model->n_theta, sizeof *theta), best = INFINITY;
    for (int i = 0; i < N_STARTS; i++) {
        struct lsq_result result;
        struct mix_error err = {{0}};
        model->law->start(model, lsq_scales(p.lsq), p.rng, theta);
        const double begin = cpu_s();
        if (lsq_minimise(p.lsq, theta, N_STEPS, 0.0, NULL, &result, &err) == MIX_OK &&
            result.steps > 0)
            best = fmin(best, (cpu_s() - begin) / result.steps);
    }
    free(theta);
    destroy(&p);
    return best;
}

static void growth(const char *law, const char *of, const size_t sizes[N_SIZES],
                   const size_t shape[3], int which)
{
    double x[N_SIZES], y[N_SIZES], mean_x = 0.0, mean_y = 0.0, xx = 0.0, xy = 0.0;
    printf("%-10s %-18s", law, of);
    for (int i = 0; i < N_SIZES; i++) {
        size_t at[3] = {shape[0], shape[1], shape[2]};
        at[which] = sizes[i];
        if (which == 1 && strcmp(law, "demand") != 0) /* a target for each domain */
            at[2] = sizes[i];
        const double s = step_time(law, at[0], at[1], at[2]);
        printf("  %5zu: %8.1f us", sizes[i], 1e6 * s);
        mean_x += (x[i] = log((double)sizes[i])) / N_SIZES;
        mean_y += (y[i] = log(s)) / N_SIZES;
    }
    for (int i = 0; i < N_SIZES; i++) {
        xx += (x[i] - mean_x) * (x[i] - mean_x);
        xy += (x[i] - mean_x) * (y[i] - mean_y);
    }
    printf("   exponent %.2f%s\n", xy / xx, which == 1 ? "" : " (at most 1)");
    (void)fflush(stdout);
}

/* A table of law capacity, starts, and for each the seconds and the mean squared residual. */
static void print_starts(void)
{
    struct problem p = create("capacity", 60, 7, 7);
    struct mix_model *model = lsq_model(p.lsq);
    const size_t n_m = 7;
    double *theta = room(model->n_theta, sizeof *theta);
    double *lambda = room(n_m * model->n_linear, sizeof *lambda);
    double *params = room(model->n_params, sizeof *params);
    for (size_t r = 0; r < p.data.n_rows; r++) {
        printf("row %.17g %.17g", p.data.n_params[r], p.data.n_tokens[r]);
        for (size_t j = 0; j < 7; j++)
            printf(" %.17g", p.data.mixture[r * 7 + j]);
        for (size_t m = 0; m < n_m; m++)
            printf(" %.17g", p.data.loss[r * n_m + m]);
        printf("\n");
    }
    for (int i = 0; i < 2 * N_STARTS; i++) {
        struct lsq_result result = {0};
        struct mix_error err = {{0}};
        model->law->start(model, lsq_scales(p.lsq), p.rng, theta);
        lsq_evaluate(p.lsq, theta, lambda);
        model->law->to_natural(model, theta, lambda, params);
        const double begin = cpu_s();
        if (lsq_minimise(p.lsq, theta, 400, 1e-7, NULL, &result, &err) != MIX_OK)
            continue;
        printf("start %.9g %.17g", cpu_s() - begin, result.objective);
        for (size_t k = 0; k < model->n_params; k++)
            printf(" %.17g", params[k]);
        printf("\n");
    }
    free(theta);
    free(lambda);
    free(params);
    destroy(&p);
}

int main(int argc, char **argv)
{
    static const size_t runs[N_SIZES] = {60, 300, 2000, 10000}, few[N_SIZES] = {4, 8, 16, 32};
    static const size_t many[N_SIZES] = {4, 8, 16, 64}; /* transfer would have 4,000 parameters */
    if (argc > 1 && strcmp(argv[1], "starts") == 0) {
        print_starts();
        return 0;
    }
    printf("a step of the search\n");
    for (int i = 0; i < 3; i++) {
        const char *law = (const char *const[]){"capacity", "transfer", "additive"}[i];
        growth(law, "runs (K = M = 7)", runs, (const size_t[]){60, 7, 7}, 0);
        growth(law, "domains = targets", i == 1 ? few : many, (const size_t[]){600, 7, 7}, 1);
    }
    growth("additive", "targets (K = 5)", many, (const size_t[]){300, 5, 7}, 2);
    growth("demand", "targets (K = 5)", many, (const size_t[]){300, 5, 7}, 2);
    return 0;
}
