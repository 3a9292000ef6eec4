/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The reduced problem: its gradient, its solution, its linear part, its weights and its
 * Gauss-Newton matrix, each against a plain computation of the same thing. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fit/lsq_parts.h"

#include <gsl/gsl_linalg.h>

#include "expect.h"
#include "world.h"

/* A noisy table with holes, and the problem of a law on it. */
struct problem {
    struct world world;
    struct mix_data *data;
    struct mix_law_spec spec;
    struct lsq *lsq;
    double *theta;      /* (Q) a start */
    double *row_weight; /* (R) zeros among them */
    gsl_rng *rng;
};

static const struct law_case {
    const char *law;
    int form;
    size_t n_domains, n_targets;
} cases[] = {{"capacity", 0, 4, 4}, {"capacity", 1, 3, 3},  {"capacity", 3, 3, 3},
             {"transfer", 0, 3, 3}, {"demand", 0, 3, 5},    {"chinchilla", 0, 2, 3},
             {"additive", 0, 3, 3}, {"joint", 0, 2, 3},     {"dml", 0, 3, 2},
             {"bimix", 0, 3, 3},    {"loglinear", 0, 3, 2}, {"linear", 0, 3, 4},
             {"product", 0, 3, 3}};
enum { N_CASES = sizeof cases / sizeof cases[0] };

static struct world_plan plan_of(const struct law_case *law, uint64_t seed)
{
    return (struct world_plan){.law = law->law,
                               .n_domains = law->n_domains,
                               .n_targets = law->n_targets,
                               .n_mixtures = 12,
                               .sizes = {10, 40, 90},
                               .lengths = {2, 8},
                               .noise = 0.02,
                               .seed = seed};
}

static struct problem problem_create(const struct law_case *law, uint64_t seed)
{
    const struct world_plan plan = plan_of(law, seed);
    struct problem p = {.world = world_create(&plan), .rng = stream(seed, "problem")};
    struct mix_error err = {{0}};
    p.data = world_data(&p.world);
    p.spec = world_spec(&plan);
    p.spec.form = law->form;
    p.row_weight = numbers(p.data->n_rows);
    for (size_t r = 0; r < p.data->n_rows; r++)
        p.row_weight[r] = (double)gsl_rng_uniform_int(p.rng, 3);
    for (size_t e = 0; e < p.data->n_rows * p.data->n_targets; e++)
        if (gsl_rng_uniform_int(p.rng, 8) == 0) {
            p.data->weight[e] = 0.0;
            p.data->loss[e] = NAN;
        }
    must(lsq_create(&p.spec, p.data->target_domain, p.data, &p.lsq, &err), &err);
    p.theta = numbers(lsq_model(p.lsq)->n_theta);
    lsq_model(p.lsq)->law->start(lsq_model(p.lsq), lsq_scales(p.lsq), p.rng, p.theta);
    return p;
}

static void problem_destroy(struct problem *p)
{
    world_destroy(&p->world);
    mix_data_destroy(p->data);
    lsq_destroy(p->lsq);
    free(p->theta);
    free(p->row_weight);
    gsl_rng_free(p->rng);
}

/* Sum of squares of the reduced problem. */
static double sum_at(struct lsq *lsq, const double *theta)
{
    double lambda[WORLD_MAX * L_MAX];
    return lsq_evaluate(lsq, theta, lambda) * lsq->weight_sum;
}

/* Central difference of the reduced sum of squares, Richardson-extrapolated: error O(h^4). */
static double slope_at(struct lsq *lsq, const double *theta, size_t i, double h)
{
    const size_t n = lsq->n_theta;
    double *moved = numbers(n), d[2];
    memcpy(moved, theta, n * sizeof *moved);
    for (int k = 0; k < 2; k++) {
        const double step = k == 0 ? 2.0 * h : h;
        moved[i] = theta[i] + step;
        const double up = sum_at(lsq, moved);
        moved[i] = theta[i] - step;
        d[k] = (up - sum_at(lsq, moved)) / (2.0 * step);
    }
    free(moved);
    return (4.0 * d[1] - d[0]) / 3.0;
}

static void expect_gradient(struct lsq *lsq, const double *theta)
{
    law_model_reset(lsq->model);
    const double sum = lsq_project_out(lsq, theta);
    lsq_assemble(lsq, theta);
    double *gradient = numbers(lsq->n_theta), *norm = numbers(lsq->n_theta);
    memcpy(gradient, lsq->gradient, lsq->n_theta * sizeof *gradient);
    for (size_t i = 0; i < lsq->n_theta; i++) {
        const double slope = lsq->slope[i / lsq->width]; /* of what is minimised by squares */
        norm[i] = slope * sqrt(fmax(lsq->matrix[i * lsq->n_theta + i], 0.0) * sum);
        gradient[i] *= slope;
    }
    for (size_t i = 0; i < lsq->n_theta; i++) {
        const double by_difference = 0.5 * slope_at(lsq, theta, i, 1e-4);
        assert_near(gradient[i], by_difference, 1e-6 * (norm[i] + 1e-3 * sum));
    }
    free(gradient);
    free(norm);
}

/* The problem less what pulls parameters to their centres. */
static void drop_pull(struct lsq *lsq)
{
    if (lsq->model->pull != NULL)
        memset(lsq->model->pull, 0, lsq->n_theta * sizeof *lsq->model->pull);
    memset(lsq->missing, 0, lsq->n_blocks * sizeof *lsq->missing);
}

static size_t count_zeros(const double *x, size_t n)
{
    size_t zero = 0;
    for (size_t i = 0; i < n; i++)
        zero += x[i] == 0.0;
    return zero;
}

static void test_gradient_matches_central_differences(void **state)
{
    (void)state;
    size_t n_on_bound = 0;
    for (size_t i = 0; i < N_CASES; i++)
        for (uint64_t seed = 1; seed <= 4; seed++) {
            struct problem p = problem_create(&cases[i], seed);
            double lambda[WORLD_MAX * L_MAX];
            lsq_evaluate(p.lsq, p.theta, lambda);
            n_on_bound += count_zeros(lambda, p.lsq->n_targets * p.lsq->n_linear);
            expect_gradient(p.lsq, p.theta);
            lsq_weigh_rows(p.lsq, p.row_weight);
            expect_gradient(p.lsq, p.theta);
            problem_destroy(&p);
        }
    assert_true(n_on_bound > 20); /* else the active set of lambda was never put to the test */
}

/* At a solution: no slope along what is free, slopes outward on bounds, and no linear parameter
 * that is on 0 wants to rise. */
static void expect_kkt(struct lsq *lsq, const double *theta)
{
    double lambda[WORLD_MAX * L_MAX], *norm = numbers(lsq->n_theta);
    const double sum = sum_at(lsq, theta);
    lsq_assemble(lsq, theta);
    for (size_t i = 0; i < lsq->n_theta; i++)
        norm[i] = sqrt(fmax(lsq->matrix[i * lsq->n_theta + i], 0.0) * sum);
    for (size_t i = 0; i < lsq->n_theta; i++) {
        /* A short way: the second derivative jumps where a linear parameter is just on 0. */
        const double slope = slope_at(lsq, theta, i, 1e-8), tolerance = 1e-5 * (norm[i] + sum);
        const double lower = lsq->model->lower[i], upper = lsq->model->upper[i];
        assert_true(theta[i] >= lower && theta[i] <= upper);
        if (theta[i] < upper)
            assert_true(slope >= -tolerance);
        if (theta[i] > lower)
            assert_true(slope <= tolerance);
    }
    free(norm);
    lsq_evaluate(lsq, theta, lambda);
    const size_t n_m = lsq->n_targets, n_e = lsq->n_rows * n_m;
    for (size_t m = 0; m < n_m; m++)
        for (size_t l = 0; l < lsq->n_linear; l++) {
            double dot = 0.0, square = 0.0;
            for (size_t r = 0; r < lsq->n_rows; r++) {
                const double x = lsq->phi[l * n_e + r * n_m + m] * lsq->sw[r * n_m + m];
                dot += x * lsq->residual[r * n_m + m];
                square += x * x;
            }
            const double cosine = dot / sqrt(square * sum);
            assert_true(lambda[m * lsq->n_linear + l] >= 0.0);
            assert_true(cosine <= 1e-6);
            if (lambda[m * lsq->n_linear + l] > 0.0)
                assert_near(cosine, 0.0, 1e-6);
        }
}

/* The objective has kinks where a skill meets its bound H, and a minimum may sit on one: there the
 * gradient is not zero on either side, and result.gradient says so. */
static void test_solution_meets_kkt(void **state)
{
    (void)state;
    struct mix_error err = {{0}};
    int n_smooth = 0, n_all = 0;
    for (size_t i = 0; i < N_CASES; i++)
        for (uint64_t seed = 11; seed <= 16; seed++) {
            struct problem p = problem_create(&cases[i], seed);
            struct lsq_result result;
            lsq_weigh_rows(p.lsq, p.row_weight);
            const double before = sum_at(p.lsq, p.theta);
            assert_ok(lsq_minimise(p.lsq, p.theta, 5000, 1e-9, NULL, &result, &err), err);
            assert_true(result.converged);
            assert_true(result.objective * p.lsq->weight_sum < before);
            assert_near(sum_at(p.lsq, p.theta), result.objective * p.lsq->weight_sum,
                        1e-10 * before);
            if (result.gradient <= 1e-6) {
                expect_kkt(p.lsq, p.theta);
                n_smooth++;
            }
            n_all++;
            problem_destroy(&p);
        }
    print_message("%d of %d solutions are smooth\n", n_smooth, n_all);
    assert_true(3 * n_smooth > n_all);
}

/* In curved valleys and along kinks Gauss-Newton steps creep: without what gradients tell of the
 * curvature these searches take 2,342 steps in all, one of them 1,255; with it 960. */
static void test_searches_do_not_creep(void **state)
{
    (void)state;
    struct mix_error err = {{0}};
    int n_steps = 0;
    for (size_t k = 3; k <= 7; k++)
        for (uint64_t seed = 1; seed <= 6; seed++) {
            const struct law_case of = {"transfer", 0, k, k};
            struct problem p = problem_create(&of, seed);
            struct lsq_result result;
            assert_ok(lsq_minimise(p.lsq, p.theta, 5000, 1e-9, NULL, &result, &err), err);
            n_steps += result.steps;
            problem_destroy(&p);
        }
    print_message("%d steps\n", n_steps);
    assert_true(n_steps < 1500);
}

/* Where a fit stands it stays when priors count against its residuals of now, heavy tails as the
 * normal ones that they are there: draws have their centre at the fit. */
static void test_held_priors_keep_the_minimum(void **state)
{
    (void)state;
    struct mix_error err = {{0}};
    int n_pulled = 0;
    for (size_t i = 0; i < N_CASES; i++) {
        struct problem p = problem_create(&cases[i], 17);
        struct lsq_result result;
        assert_ok(lsq_minimise(p.lsq, p.theta, 5000, 1e-10, NULL, &result, &err), err);
        lsq_hold_priors(p.lsq, p.theta);
        const double sum = lsq_project_out(p.lsq, p.theta);
        lsq_assemble(p.lsq, p.theta);
        for (size_t k = 0; k < p.lsq->n_theta && result.gradient <= 1e-8; k++) {
            const struct mix_model *model = p.lsq->model;
            if (p.theta[k] <= model->lower[k] || p.theta[k] >= model->upper[k])
                continue;
            const double square = p.lsq->matrix[k * (p.lsq->n_theta + 1)];
            const double norm = sqrt(fmax(square, 0.0) * sum); /* rounding may leave less than 0 */
            assert_near(p.lsq->gradient[k], 0.0, 1e-6 * norm + 1e-9 * sum);
            n_pulled += model->pull != NULL && p.theta[k] != model->centre[k];
        }
        problem_destroy(&p);
    }
    assert_true(n_pulled > 40);
}

/* Least squares on the columns of `set` by the singular values; returns the sum of squares left, or
 * infinity where an x is negative. */
static double subset_sum(const struct lsq *lsq, size_t m, unsigned set, double x[L_MAX])
{
    const size_t n_m = lsq->n_targets, n_e = lsq->n_rows * n_m;
    const size_t n_set = (size_t)__builtin_popcount(set);
    gsl_matrix *a = gsl_matrix_calloc(lsq->n_rows, n_set + (n_set == 0));
    gsl_vector *y = gsl_vector_calloc(lsq->n_rows);
    for (size_t r = 0; r < lsq->n_rows; r++) {
        const double sw = lsq->sw[r * n_m + m];
        size_t column = 0;
        for (size_t l = 0; l < lsq->n_linear; l++)
            if (set & 1u << l)
                gsl_matrix_set(a, r, column++, sw * lsq->phi[l * n_e + r * n_m + m]);
        gsl_vector_set(y, r, sw * (lsq->y[r * n_m + m] - lsq->g[r * n_m + m]));
    }
    double z[L_MAX] = {0}, sum = 0.0;
    if (n_set > 0) {
        gsl_matrix *u = gsl_matrix_alloc(lsq->n_rows, n_set), *v = gsl_matrix_alloc(n_set, n_set);
        gsl_vector *s = gsl_vector_alloc(n_set), *work = gsl_vector_alloc(n_set);
        gsl_matrix_memcpy(u, a);
        gsl_linalg_SV_decomp(u, v, s, work);
        for (size_t k = 0; k < n_set; k++) {
            double project = 0.0;
            if (gsl_vector_get(s, k) < 1e-9 * gsl_vector_get(s, 0))
                continue;
            for (size_t r = 0; r < lsq->n_rows; r++)
                project += gsl_matrix_get(u, r, k) * gsl_vector_get(y, r);
            for (size_t i = 0; i < n_set; i++)
                z[i] += gsl_matrix_get(v, i, k) * project / gsl_vector_get(s, k);
        }
        gsl_matrix_free(u);
        gsl_matrix_free(v);
        gsl_vector_free(s);
        gsl_vector_free(work);
    }
    for (size_t r = 0; r < lsq->n_rows; r++) {
        double left = gsl_vector_get(y, r);
        for (size_t i = 0; i < n_set; i++)
            left -= gsl_matrix_get(a, r, i) * z[i];
        sum += left * left;
    }
    gsl_matrix_free(a);
    gsl_vector_free(y);
    for (size_t l = 0, column = 0; l < lsq->n_linear; l++)
        x[l] = set & 1u << l ? z[column++] : 0.0;
    for (size_t l = 0; l < lsq->n_linear; l++)
        if (x[l] < 0.0)
            return INFINITY;
    return sum;
}

static void expect_best_subsets(struct lsq *lsq, const double *theta, bool unique)
{
    double lambda[WORLD_MAX * L_MAX], total = 0.0;
    const double sum = lsq_evaluate(lsq, theta, lambda) * lsq->weight_sum;
    for (size_t m = 0; m < lsq->n_targets; m++) {
        double best = INFINITY, x[L_MAX], best_x[L_MAX] = {0};
        for (unsigned set = 0; set < 1u << lsq->n_linear; set++) {
            const double left = subset_sum(lsq, m, set, x);
            if (left < best * (1.0 - 1e-12)) {
                best = left;
                memcpy(best_x, x, sizeof x);
            }
        }
        total += best;
        for (size_t l = 0; unique && l < lsq->n_linear; l++)
            assert_near(lambda[m * lsq->n_linear + l], best_x[l], 1e-6 * (1.0 + best_x[l]));
    }
    assert_near(sum, total, 1e-9 * total);
}

static void test_linear_part_is_the_best_of_all_subsets(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_CASES; i++)
        for (uint64_t seed = 21; seed <= 28; seed++) {
            struct problem p = problem_create(&cases[i], seed);
            if (seed % 2 == 0) /* losses of no law: other sets are active */
                for (size_t e = 0; e < p.data->n_rows * p.data->n_targets; e++)
                    if (p.data->weight[e] > 0.0)
                        p.data->loss[e] = uniform(p.rng, 0.5, 3.0);
            lsq_weigh_rows(p.lsq, p.row_weight);
            drop_pull(p.lsq);
            expect_best_subsets(p.lsq, p.theta, true);
            problem_destroy(&p);
        }
}

/* One D in the table, and yet a term in D: its column is a multiple of the one of E. */
static void test_linear_part_with_dependent_columns(void **state)
{
    (void)state;
    for (uint64_t seed = 31; seed <= 34; seed++) {
        struct problem p = problem_create(&cases[seed % 2 ? 3 : 5], seed);
        for (size_t r = 0; r < p.data->n_rows; r++)
            p.data->n_tokens[r] = 5.0;
        lsq_weigh_rows(p.lsq, NULL);
        drop_pull(p.lsq);
        expect_best_subsets(p.lsq, p.theta, false);
        expect_gradient(p.lsq, p.theta);
        problem_destroy(&p);
    }
}

static void keep_rows(struct mix_data *data, const double *weight)
{
    const size_t n_k = data->n_domains, n_m = data->n_targets;
    size_t next = 0;
    for (size_t r = 0; r < data->n_rows; r++) {
        if (!(weight[r] > 0.0))
            continue;
        memmove(data->mixture + next * n_k, data->mixture + r * n_k, n_k * sizeof(double));
        memmove(data->loss + next * n_m, data->loss + r * n_m, n_m * sizeof(double));
        memmove(data->weight + next * n_m, data->weight + r * n_m, n_m * sizeof(double));
        data->n_params[next] = data->n_params[r];
        data->n_tokens[next] = data->n_tokens[r];
        next++;
    }
    data->n_rows = next;
}

/* Rows of weight 0 and masked losses, whatever is in them: bit for bit what the table without them
 * gives. */
static void test_what_does_not_count_never_matters(void **state)
{
    (void)state;
    struct mix_error err = {{0}};
    struct lsq_result with, without;
    for (size_t i = 0; i < N_CASES; i++) {
        struct problem p = problem_create(&cases[i], 41), q = problem_create(&cases[i], 41);
        for (size_t r = 0; r < p.data->n_rows; r++) {
            p.row_weight[r] = p.row_weight[r] > 0.0 ? 1.0 : 0.0;
            for (size_t m = 0; m < p.data->n_targets; m++)
                if (p.row_weight[r] == 0.0 || p.data->weight[r * p.data->n_targets + m] == 0.0)
                    p.data->loss[r * p.data->n_targets + m] = m % 2 ? NAN : 1e300;
        }
        lsq_weigh_rows(p.lsq, p.row_weight);
        keep_rows(q.data, p.row_weight);
        lsq_destroy(q.lsq);
        must(lsq_create(&q.spec, q.data->target_domain, q.data, &q.lsq, &err), &err);
        assert_ok(lsq_minimise(p.lsq, p.theta, 60, 1e-9, NULL, &with, &err), err);
        assert_ok(lsq_minimise(q.lsq, q.theta, 60, 1e-9, NULL, &without, &err), err);
        assert_true(isfinite(with.objective) && with.objective == without.objective);
        assert_memory_equal(p.theta, q.theta, p.lsq->n_theta * sizeof *p.theta);
        problem_destroy(&p);
        problem_destroy(&q);
    }
}

/* A problem solved with other weights before gives what a fresh one gives. */
static void test_weights_leave_nothing_behind(void **state)
{
    (void)state;
    struct mix_error err = {{0}};
    struct lsq_result after, fresh;
    struct problem p = problem_create(&cases[3], 45), q = problem_create(&cases[3], 45);
    double *theta = numbers(p.lsq->n_theta);
    memcpy(theta, p.theta, p.lsq->n_theta * sizeof *theta);
    lsq_weigh_rows(p.lsq, p.row_weight);
    assert_ok(lsq_minimise(p.lsq, theta, 40, 1e-9, NULL, &after, &err), err);
    lsq_weigh_rows(p.lsq, NULL);
    assert_ok(lsq_minimise(p.lsq, p.theta, 40, 1e-9, NULL, &after, &err), err);
    assert_ok(lsq_minimise(q.lsq, q.theta, 40, 1e-9, NULL, &fresh, &err), err);
    assert_true(after.objective == fresh.objective && after.steps == fresh.steps);
    assert_memory_equal(p.theta, q.theta, p.lsq->n_theta * sizeof *p.theta);
    free(theta);
    problem_destroy(&p);
    problem_destroy(&q);
}

/* Searches that go on by turns from two points know where each stands. */
static void test_searches_by_turns_know_where_they_stand(void **state)
{
    (void)state;
    struct mix_error err = {{0}};
    struct lsq_result result;
    for (size_t i = 0; i < N_CASES; i++) {
        struct problem p = problem_create(&cases[i], 47);
        const size_t n = lsq_point_doubles(p.lsq);
        double *points = numbers(2 * n), lambda[WORLD_MAX * L_MAX];
        for (size_t k = 0; k < 2; k++) {
            lsq_model(p.lsq)->law->start(lsq_model(p.lsq), lsq_scales(p.lsq), p.rng,
                                         points + k * n);
            lsq_set_damping(p.lsq, points + k * n, LSQ_DAMPING);
        }
        for (size_t turn = 0; turn < 4; turn++)
            assert_ok(lsq_continue(p.lsq, points + turn % 2 * n, 6, 1e-3, NULL, &result, &err),
                      err);
        for (size_t k = 0; k < 2; k++) {
            const double objective = lsq_evaluate(p.lsq, points + k * n, lambda);
            assert_near(lsq_point_objective(p.lsq, points + k * n), objective, 1e-12 * objective);
        }
        free(points);
        problem_destroy(&p);
    }
}

/* A law in units of the loss fits percents as it fits nats. */
static void test_units_of_the_loss_do_not_matter(void **state)
{
    (void)state;
    struct mix_error err = {{0}};
    struct lsq_result result;
    static const struct law_case linear = {"linear", 0, 3, 4};
    struct problem p = problem_create(&linear, 48), q = problem_create(&linear, 48);
    for (size_t e = 0; e < q.data->n_rows * q.data->n_targets; e++)
        q.data->loss[e] *= 1000.0;
    lsq_destroy(q.lsq);
    must(lsq_create(&q.spec, q.data->target_domain, q.data, &q.lsq, &err), &err);
    assert_ok(lsq_minimise(p.lsq, p.theta, 60, 1e-9, NULL, &result, &err), err);
    assert_ok(lsq_minimise(q.lsq, q.theta, 60, 1e-9, NULL, &result, &err), err);
    for (size_t k = 0; k < p.lsq->n_theta; k++)
        assert_near(1000.0 * p.theta[k], q.theta[k], 1e-6 * fabs(q.theta[k]) + 1e-6);
    problem_destroy(&p);
    problem_destroy(&q);
}

static struct mix_data *repeat_rows(const struct mix_data *data, const double *times)
{
    const size_t n_k = data->n_domains, n_m = data->n_targets;
    struct mix_data *out = zeros(1, sizeof *out);
    *out = *data;
    out->n_rows = 0;
    out->row = out->target = out->cluster = NULL;
    out->target_domain = zeros(n_m, sizeof *out->target_domain);
    memcpy(out->target_domain, data->target_domain, n_m * sizeof *out->target_domain);
    out->mixture = numbers(2 * data->n_rows * n_k);
    out->size = NULL;
    out->early = NULL;
    out->unique = numbers(2 * data->n_rows * n_k);
    out->n_params = numbers(2 * data->n_rows);
    out->n_tokens = numbers(2 * data->n_rows);
    out->loss = numbers(2 * data->n_rows * n_m);
    out->weight = numbers(2 * data->n_rows * n_m);
    for (size_t r = 0; r < data->n_rows; r++)
        for (double i = 0.0; i < times[r]; i += 1.0) {
            const size_t next = out->n_rows++;
            memcpy(out->mixture + next * n_k, data->mixture + r * n_k, n_k * sizeof(double));
            memcpy(out->unique + next * n_k, data->unique + r * n_k, n_k * sizeof(double));
            memcpy(out->loss + next * n_m, data->loss + r * n_m, n_m * sizeof(double));
            memcpy(out->weight + next * n_m, data->weight + r * n_m, n_m * sizeof(double));
            out->n_params[next] = data->n_params[r];
            out->n_tokens[next] = data->n_tokens[r];
        }
    return out;
}

static void test_row_weights_are_repeated_rows(void **state)
{
    (void)state;
    struct mix_error err = {{0}};
    for (size_t i = 0; i < N_CASES; i++) {
        struct problem p = problem_create(&cases[i], 51);
        struct mix_data *repeated = repeat_rows(p.data, p.row_weight);
        struct lsq *lsq = NULL;
        must(lsq_create(&p.spec, repeated->target_domain, repeated, &lsq, &err), &err);
        lsq_weigh_rows(p.lsq, p.row_weight);
        double a[WORLD_MAX * L_MAX], b[WORLD_MAX * L_MAX];
        const double weighted = lsq_evaluate(p.lsq, p.theta, a);
        assert_near(weighted, lsq_evaluate(lsq, p.theta, b), 1e-10 * weighted);
        for (size_t k = 0; k < lsq->n_targets * lsq->n_linear; k++)
            assert_near(a[k], b[k], 1e-7 * (1.0 + fabs(a[k])));
        lsq_assemble(p.lsq, p.theta);
        lsq_assemble(lsq, p.theta);
        for (size_t k = 0; k < lsq->n_theta; k++) {
            const double norm = sqrt(fabs(lsq->matrix[k * lsq->n_theta + k]));
            assert_near(p.lsq->gradient[k], lsq->gradient[k],
                        1e-7 * (1e-3 + norm * sqrt(weighted * lsq->weight_sum)));
        }
        for (size_t k = 0; k < lsq->n_theta * lsq->n_theta; k++) {
            const size_t row = k / lsq->n_theta, column = k % lsq->n_theta;
            const double norm = sqrt(fabs(lsq->matrix[row * (lsq->n_theta + 1)] *
                                          lsq->matrix[column * (lsq->n_theta + 1)]));
            assert_near(p.lsq->matrix[k], lsq->matrix[k], 1e-7 * (1e-6 + norm));
        }
        lsq_destroy(lsq);
        mix_data_destroy(repeated);
        problem_destroy(&p);
    }
}

/* Weighted losses (R M) of all parameters z = (theta, lambda). */
static void losses_at(struct lsq *lsq, const double *z, double *loss)
{
    const size_t n_m = lsq->n_targets, n_e = lsq->n_rows * n_m;
    law_model_reset(lsq->model);
    lsq->model->law->eval(lsq->model, z, &lsq->points, lsq->g, lsq->phi);
    for (size_t e = 0; e < n_e; e++) {
        loss[e] = lsq->g[e];
        for (size_t l = 0; l < lsq->n_linear; l++)
            loss[e] += z[lsq->n_theta + e % n_m * lsq->n_linear + l] * lsq->phi[l * n_e + e];
        loss[e] *= lsq->sw[e];
    }
}

static void expect_normal_matrix(struct lsq *lsq, const double *theta)
{
    const size_t n = lsq->n_theta + lsq->n_targets * lsq->n_linear;
    const size_t n_e = lsq->n_rows * lsq->n_targets;
    double *z = numbers(n), *jac = numbers(n_e * n), *matrix = numbers(n * n);
    double *up = numbers(n_e), *down = numbers(n_e);
    size_t n_entries = 0, n_expected = 0;
    lsq_normal_matrix(lsq, theta, matrix, &n_entries);
    for (size_t e = 0; e < n_e; e++)
        n_expected += lsq->sw[e] > 0.0;
    assert_int_equal(n_entries, n_expected);
    memcpy(z, theta, lsq->n_theta * sizeof *z);
    lsq_evaluate(lsq, theta, z + lsq->n_theta);
    for (size_t i = 0; i < n; i++) {
        const double at = z[i], step = 1e-5 * (1.0 + fabs(at));
        z[i] = at + step;
        losses_at(lsq, z, up);
        z[i] = at - step;
        losses_at(lsq, z, down);
        z[i] = at;
        for (size_t e = 0; e < n_e; e++)
            jac[e * n + i] = (up[e] - down[e]) / (2.0 * step);
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = 0.0;
            for (size_t e = 0; e < n_e; e++)
                sum += jac[e * n + i] * jac[e * n + j];
            const double norm = sqrt(matrix[i * n + i] * matrix[j * n + j]);
            assert_near(matrix[i * n + j], sum, 1e-6 * norm + 1e-8);
        }
    free(z);
    free(jac);
    free(matrix);
    free(up);
    free(down);
}

static void test_normal_matrix_is_j_transposed_j(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_CASES; i++) {
        struct problem p = problem_create(&cases[i], 61 + i);
        expect_normal_matrix(p.lsq, p.theta);
        lsq_weigh_rows(p.lsq, p.row_weight);
        expect_normal_matrix(p.lsq, p.theta);
        problem_destroy(&p);
    }
}

/* The matrix that steps are made with is the Schur complement of the free linear parameters in
 * J'J. */
static void test_reduced_matrix_is_the_schur_complement(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_CASES; i++) {
        struct problem p = problem_create(&cases[i], 71 + i);
        struct lsq *lsq = p.lsq;
        const size_t q = lsq->n_theta, n = q + lsq->n_targets * lsq->n_linear;
        double *full = numbers(n * n), *lambda = numbers(n);
        size_t n_entries;
        drop_pull(lsq);
        lsq_normal_matrix(lsq, p.theta, full, &n_entries);
        lsq_evaluate(lsq, p.theta, lambda);
        lsq_assemble(lsq, p.theta);
        for (size_t k = q; k < n; k++) /* eliminate one free linear parameter after the other */
            for (size_t r = 0; lambda[k - q] > 0.0 && r < n; r++) {
                const double f = full[r * n + k] / full[k * n + k];
                for (size_t c = 0; r != k && f != 0.0 && c < n; c++)
                    full[r * n + c] -= f * full[k * n + c];
            }
        for (size_t r = 0; r < q; r++)
            for (size_t c = 0; c < q; c++) {
                const double norm = sqrt(fabs(full[r * n + r] * full[c * n + c]));
                assert_near(lsq->matrix[(r < c ? r : c) * q + (r < c ? c : r)], full[r * n + c],
                            1e-6 * norm + 1e-9);
            }
        free(full);
        free(lambda);
        problem_destroy(&p);
    }
}

static void test_a_start_without_a_finite_loss_is_refused(void **state)
{
    (void)state;
    struct problem p = problem_create(&cases[0], 81);
    struct lsq_result result;
    struct mix_error err = {{0}};
    p.theta[0] = NAN;
    assert_refused(lsq_minimise(p.lsq, p.theta, 10, 1e-9, NULL, &result, &err), MIX_ENUMERIC, err,
                   "finite");
    problem_destroy(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradient_matches_central_differences),
        cmocka_unit_test(test_solution_meets_kkt),
        cmocka_unit_test(test_searches_do_not_creep),
        cmocka_unit_test(test_held_priors_keep_the_minimum),
        cmocka_unit_test(test_linear_part_is_the_best_of_all_subsets),
        cmocka_unit_test(test_linear_part_with_dependent_columns),
        cmocka_unit_test(test_what_does_not_count_never_matters),
        cmocka_unit_test(test_weights_leave_nothing_behind),
        cmocka_unit_test(test_searches_by_turns_know_where_they_stand),
        cmocka_unit_test(test_units_of_the_loss_do_not_matter),
        cmocka_unit_test(test_row_weights_are_repeated_rows),
        cmocka_unit_test(test_normal_matrix_is_j_transposed_j),
        cmocka_unit_test(test_reduced_matrix_is_the_schur_complement),
        cmocka_unit_test(test_a_start_without_a_finite_loss_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
