/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Laws fitted to sweeps whose truth is known, matrices compared, runs forked on their way. The
 * names have the numbers of the invariants. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <gsl/gsl_randist.h>

#include "mixsweep/online_analysis.h"

enum { M = 3, N = 12 };

static const double start[M] = {3.0, 2.5, 4.0}, least[M] = {1.0, 0.5, 1.5};
static const double gain[M * M] = {4e-3, 1e-3, 5e-4, -5e-4, 2e-3, 1e-3, 0.0, 8e-4, 6e-3};

static gsl_rng *stream(const char *what)
{
    gsl_rng *rng = mix_rng_create(mix_key_make(11, what, NULL, 0));
    assert_non_null(rng);
    return rng;
}

/* n points of the simplex of m groups. */
static void draw_mixtures(size_t n, size_t m, double *mixture)
{
    static const double ones[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    gsl_rng *rng = stream("mixtures");
    for (size_t r = 0; r < n; r++)
        gsl_ran_dirichlet(rng, m, ones, mixture + r * m);
    gsl_rng_free(rng);
}

static struct mix_trainee *simulate(const struct mix_simulator_options *more)
{
    struct mix_simulator_options options = *more;
    struct mix_trainee *trainee = NULL;
    struct mix_error err = {.text = ""};
    options.n_groups = M;
    options.n_steps = 1000;
    options.loss = start;
    options.gain = gain;
    if (mix_trainee_simulator(&options, &trainee, &err) != MIX_OK)
        fail_msg("%s", err.text);
    return trainee;
}

/* A and its quality from a sweep at the start of a simulated run. */
static void sweep(const struct mix_simulator_options *options, uint64_t horizon, bool intercept,
                  double *a, struct mix_law_quality *quality)
{
    double mixture[N * M], drop[N * M], d[M];
    struct mix_error err = {.text = ""};
    struct mix_trainee *trainee = simulate(options);
    draw_mixtures(N, M, mixture);
    if (mix_online_fork(trainee, N, mixture, horizon, 0, drop, NULL, &err) != MIX_OK ||
        mix_online_fit_linear(N, M, mixture, drop, intercept, a, d, quality, &err) != MIX_OK)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < M; i++) {
        assert_true(mix_simulator_loss(trainee)[i] == start[i]); /* it is back */
        assert_true(intercept || d[i] == 0.0);
    }
    mix_trainee_destroy(trainee);
}

static double mean_r2(const struct mix_law_quality *quality)
{
    return (quality[0].r2 + quality[1].r2 + quality[2].r2) / 3.0;
}

/* ---- I19 */

static void test_I19_similarity_of_a_matrix_with_itself(void **state)
{
    (void)state;
    gsl_rng *rng = stream("matrices");
    for (size_t m = 2; m <= 7; m++)
        for (int trial = 0; trial < 50; trial++) {
            double a[49], b[49], scaled[49], minus[49];
            for (size_t k = 0; k < m * m; k++) {
                a[k] = gsl_ran_ugaussian(rng);
                b[k] = gsl_ran_ugaussian(rng);
                scaled[k] = 17.0 * a[k];
                minus[k] = -a[k];
            }
            assert_true(fabs(mix_online_similarity(m, a, scaled) - 1.0) < 1e-12);
            assert_true(fabs(mix_online_similarity(m, a, minus) + 1.0) < 1e-12);
            const double similarity = mix_online_similarity(m, a, b);
            assert_true(fabs(similarity - mix_online_similarity(m, b, a)) < 1e-12);
            assert_true(similarity >= -1.0 - 1e-12 && similarity <= 1.0 + 1e-12);
        }
    gsl_rng_free(rng);
}

static void test_I19_similarity_by_hand(void **state)
{
    (void)state;
    /* Column sums (1,2,3) and (1,3,2): cosine 13/14, ranks 1/2. */
    const double a[9] = {1, 0, 0, 0, 2, 0, 0, 0, 3}, b[9] = {0, 0, 0, 0, 0, 0, 1, 3, 2};
    assert_true(fabs(mix_online_similarity(3, a, b) - 0.5 * (13.0 / 14.0 + 0.5)) < 1e-12);
    /* Two groups: contrasts (1,3) and (2,1), cosine 5 / sqrt 50, ranks -1. */
    const double c[4] = {2, 1, 4, 7}, d[4] = {5, 3, 0, 1};
    assert_true(fabs(mix_online_similarity(2, c, d) - 0.5 * (5.0 / sqrt(50.0) - 1.0)) < 1e-12);
    const double none[9] = {0}, even[4] = {1, 0, 0, 1};
    assert_true(isnan(mix_online_similarity(3, a, none)));
    assert_true(isnan(mix_online_similarity(2, c, even)));
}

static void test_I19_diagonal_keeps_the_difference_of_column_sums(void **state)
{
    (void)state;
    gsl_rng *rng = stream("diagonal");
    for (int trial = 0; trial < 100; trial++) {
        double a[4], before[2], after[2];
        for (size_t k = 0; k < 4; k++)
            a[k] = gsl_ran_ugaussian(rng);
        mix_column_sums(2, a, before);
        mix_online_diagonalise(a);
        mix_column_sums(2, a, after);
        assert_true(a[1] == 0.0 && a[2] == 0.0);
        assert_true(fabs((before[0] - before[1]) - (after[0] - after[1])) < 1e-12);
    }
    gsl_rng_free(rng);
}

/* ---- I20 */

static void test_I20_a_sweep_finds_the_gain_of_the_simulator(void **state)
{
    (void)state;
    const struct mix_simulator_options linear = {.seed = 1};
    const double horizon = 25.0;
    struct mix_law_quality quality[M];
    double a[M * M], centred[M * M];
    sweep(&linear, 25, false, a, quality);
    sweep(&linear, 25, true, centred, quality);
    for (size_t i = 0; i < M; i++) {
        const double mean = (gain[i * M] + gain[i * M + 1] + gain[i * M + 2]) / 3.0;
        for (size_t j = 0; j < M; j++) {
            assert_true(fabs(a[i * M + j] - horizon * gain[i * M + j]) < 1e-12);
            assert_true(fabs(centred[i * M + j] - horizon * (gain[i * M + j] - mean)) < 1e-12);
        }
    }
    assert_true(fabs(mix_online_similarity(M, a, gain) - 1.0) < 1e-12);
}

static void test_I20_noise_averages_out(void **state)
{
    (void)state;
    enum { MANY = 400 };
    const struct mix_simulator_options noisy = {.noise = 1e-3, .seed = 5};
    double *mixture = malloc(2 * MANY * M * sizeof *mixture), *drop = mixture + MANY * M;
    assert_non_null(mixture);
    double a[M * M], d[M];
    struct mix_law_quality quality[M];
    struct mix_trainee *trainee = simulate(&noisy);
    draw_mixtures(MANY, M, mixture);
    assert_int_equal(mix_online_fork(trainee, MANY, mixture, 10, 4, drop, NULL, NULL), MIX_OK);
    assert_int_equal(mix_online_fit_linear(MANY, M, mixture, drop, true, a, d, quality, NULL),
                     MIX_OK);
    for (size_t i = 0; i < M; i++) { /* contrasts: what all forks share is in d */
        assert_true(quality[i].mse > 0.5e-6 && quality[i].mse < 1.5e-6);
        for (size_t j = 1; j < M; j++)
            assert_true(fabs((a[i * M + j] - a[i * M]) - 10.0 * (gain[i * M + j] - gain[i * M])) <
                        1.2e-3);
    }
    mix_trainee_destroy(trainee);
    free(mixture);
}

/* ---- I21 */

static void test_I21_curvature_and_horizon_lower_r2(void **state)
{
    (void)state;
    const struct mix_simulator_options linear = {.seed = 1},
                                       curved = {.curvature = 40.0, .seed = 1},
                                       concave = {.floor = least, .seed = 1};
    struct mix_law_quality quality[M];
    double a[M * M];
    sweep(&linear, 200, false, a, quality);
    for (size_t i = 0; i < M; i++)
        assert_true(fabs(quality[i].r2 - 1.0) < 1e-12 && quality[i].mse < 1e-24);
    sweep(&curved, 20, false, a, quality);
    assert_true(mean_r2(quality) < 1.0 - 1e-6 && mean_r2(quality) > 0.9);
    sweep(&concave, 20, false, a, quality);
    const double near = mean_r2(quality);
    sweep(&concave, 100, false, a, quality);
    const double far = mean_r2(quality);
    sweep(&concave, 400, false, a, quality);
    const double farther = mean_r2(quality);
    assert_true(near < 1.0 - 1e-9 && near > 0.99);
    assert_true(far < near - 1e-4);
    assert_true(farther < far - 1e-3);
}

/* ---- fits */

static void test_mixtures_must_tell_groups_apart(void **state)
{
    (void)state;
    double mixture[4 * M] = {0.5, 0.5, 0, 0.2, 0.8, 0, 0.1, 0.9, 0, 0.3, 0.7, 0}, drop[4 * M] = {0};
    double a[M * M], d[M];
    struct mix_law_quality quality[M];
    struct mix_error err = {.text = ""};
    assert_int_equal(mix_online_fit_linear(4, M, mixture, drop, true, a, d, quality, &err),
                     MIX_EINVAL);
    assert_non_null(strstr(err.text, "4 mixtures of a sweep do not tell its 3 groups apart"));
    assert_int_equal(mix_online_fit_linear(2, M, mixture, drop, true, a, d, quality, &err),
                     MIX_EINVAL);
    mixture[0] = NAN;
    assert_int_equal(mix_online_fit_linear(4, M, mixture, drop, true, a, d, quality, &err),
                     MIX_EINVAL);
}

static void test_a_scaled_matrix_is_found_again(void **state)
{
    (void)state;
    double mixture[N * M], drop[N * M], b = 0.0, d[M];
    struct mix_law_quality quality[M];
    draw_mixtures(N, M, mixture);
    for (size_t r = 0; r < N; r++)
        for (size_t i = 0; i < M; i++) {
            drop[r * M + i] = 0.25 * (double)i;
            for (size_t j = 0; j < M; j++)
                drop[r * M + i] += 30.0 * gain[i * M + j] * mixture[r * M + j];
        }
    mix_online_fit_scale(N, M, mixture, drop, true, gain, &b, d, quality);
    assert_true(fabs(b - 30.0) < 1e-9);
    for (size_t i = 0; i < M; i++)
        assert_true(fabs(d[i] - 0.25 * (double)i) < 1e-12 && fabs(quality[i].r2 - 1.0) < 1e-12);
    mix_online_fit_scale(N, M, mixture, drop, false, gain, &b, d, quality);
    assert_true(d[2] == 0.0 && quality[2].r2 < 0.9);
    /* The optimal A is at least as good as any other with a factor. */
    const double other[M * M] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
    double a[M * M];
    struct mix_law_quality best[M];
    mix_online_fit_scale(N, M, mixture, drop, true, other, &b, d, quality);
    assert_int_equal(mix_online_fit_linear(N, M, mixture, drop, true, a, d, best, NULL), MIX_OK);
    for (size_t i = 0; i < M; i++)
        assert_true(best[i].mse <= quality[i].mse);
    const double flat[M * M] = {1, 1, 1, 2, 2, 2, 3, 3, 3};
    mix_online_fit_scale(N, M, mixture, drop, true, flat, &b, d, quality);
    assert_true(isnan(b));
}

static void test_the_loglinear_law_is_found_again(void **state)
{
    (void)state;
    enum { RUNS = 20 };
    const double c[M] = {1.5, 0.8, 2.2};
    const double t[M * M] = {-1.5, 0.3, 0.1, 0.2, -2.0, 0.4, 0.5, 0.1, -0.8};
    double mixture[RUNS * M], loss[RUNS * M], c_found[M], t_found[M * M];
    struct mix_law_quality quality[M];
    struct mix_error err = {.text = ""};
    draw_mixtures(RUNS, M, mixture);
    for (size_t r = 0; r < RUNS; r++)
        for (size_t i = 0; i < M; i++)
            loss[r * M + i] =
                c[i] + exp(t[i * M] * mixture[r * M] + t[i * M + 1] * mixture[r * M + 1] +
                           t[i * M + 2] * mixture[r * M + 2]);
    if (mix_online_fit_loglinear(RUNS, M, mixture, loss, 3, c_found, t_found, quality, &err) !=
        MIX_OK)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < M; i++) {
        assert_true(quality[i].r2 > 1.0 - 1e-8);
        assert_true(fabs(c_found[i] - c[i]) < 1e-3);
        for (size_t j = 0; j < M; j++)
            assert_true(fabs(t_found[i * M + j] - t[i * M + j]) < 1e-2);
    }
    loss[0] = NAN;
    assert_int_not_equal(
        mix_online_fit_loglinear(2, M, mixture, loss, 3, c_found, t_found, quality, &err), MIX_OK);
}

/* ---- along a run */

static struct mix_mixer *aioli(void)
{
    const struct mix_method_setup setup = {
        .n_groups = M, .n_steps = 1000, .seed = 3, .options = mix_online_defaults(M, 1000)};
    struct mix_mixer *mixer = NULL;
    assert_int_equal(mix_mixer_create(mix_method_find("aioli"), &setup, &mixer, NULL), MIX_OK);
    return mixer;
}

static struct mix_trajectory *steer(struct mix_trainee *trainee)
{
    struct mix_mixer *mixer = aioli();
    struct mix_error err = {.text = ""};
    struct mix_trajectory *trajectory = mix_trajectory_create(M);
    assert_non_null(trajectory);
    if (mix_online_steer(trainee, mixer, trajectory, NULL, &err) != MIX_OK)
        fail_msg("%s", err.text);
    mix_mixer_destroy(mixer);
    return trajectory;
}

static void test_a_probe_sees_the_run_and_leaves_it_alone(void **state)
{
    (void)state;
    const uint64_t steps[3] = {0, 333, 700};
    const double late[M * M] = {1e-3, 3e-3, 0, 5e-4, 5e-4, 2e-3, 0, 2e-3, 1e-3};
    const struct mix_simulator_options options = {.gain_late = late, .flip = 500, .seed = 2};
    double mixture[N * M], a[M * M], d[M];
    draw_mixtures(N, M, mixture);
    const struct mix_probe_options points = {.n_points = 3,
                                             .step = steps,
                                             .n_mixtures = N,
                                             .mixture = mixture,
                                             .horizon = 20,
                                             .slot = 7};
    struct mix_trainee *plain = simulate(&options), *inner = simulate(&options), *probed = NULL;
    const struct mix_probe *probe = NULL;
    struct mix_law_quality quality[M];
    struct mix_error err = {.text = ""};
    if (mix_trainee_probed(inner, &points, &probed, &probe, &err) != MIX_OK)
        fail_msg("%s", err.text);
    struct mix_trajectory *alone = steer(plain), *watched = steer(probed);
    assert_int_equal(probe->n_done, 3);
    assert_int_equal(alone->n_points, watched->n_points);
    assert_memory_equal(alone->loss, watched->loss, alone->n_points * M * sizeof(double));
    assert_memory_equal(alone->mixture, watched->mixture, alone->n_points * M * sizeof(double));
    for (size_t k = 0; k < 3; k++) {
        assert_int_equal(mix_online_fit_linear(N, M, mixture, probe->drop + k * N * M, false, a, d,
                                               quality, &err),
                         MIX_OK);
        for (size_t i = 0; i < M * M; i++)
            assert_true(fabs(a[i] - 20.0 * (steps[k] < 500 ? gain : late)[i]) < 1e-11);
    }
    /* Aioli's own A is as good: the simulator is linear and silent. */
    double own[M * M];
    assert_true(mix_online_matrix_at(watched, 700, 1, own));
    assert_true(mix_online_similarity(M, own, late) > 1.0 - 1e-9);
    assert_true(mix_online_matrix_at(watched, 499, 2, own));
    assert_true(mix_online_similarity(M, own, gain) > 1.0 - 1e-9);
    mix_trajectory_destroy(alone);
    mix_trajectory_destroy(watched);
    mix_trainee_destroy(probed);
    mix_trainee_destroy(inner);
    mix_trainee_destroy(plain);
}

static void test_the_analysis_of_a_run(void **state)
{
    (void)state;
    const uint64_t steps[4] = {0, 450, 999, 1000};
    const struct mix_simulator_options options = {.floor = least, .seed = 2};
    double mixture[N * M];
    draw_mixtures(N, M, mixture);
    const struct mix_probe_options points = {
        .n_points = 4, .step = steps, .n_mixtures = N, .mixture = mixture, .horizon = 3};
    struct mix_trainee *plain = simulate(&options), *inner = simulate(&options);
    struct mix_trajectory *alone = steer(plain), *watched = mix_trajectory_create(M);
    struct mix_mixer *mixer = aioli();
    struct mix_analysis *analysis = NULL;
    struct mix_error err = {.text = ""};
    assert_non_null(watched);
    if (mix_online_analyse(inner, mixer, &points, 1, watched, &analysis, NULL, &err) != MIX_OK)
        fail_msg("%s", err.text);
    assert_memory_equal(alone->test, watched->test, M * sizeof(double));
    assert_int_equal(analysis->n_points, 3); /* nothing is trained behind the last step */
    assert_true(isnan(analysis->points[0].similarity) && isnan(analysis->own[0]));
    for (size_t k = 0; k < 3; k++) {
        const struct mix_analysis_point *point = &analysis->points[k];
        assert_int_equal(point->step, steps[k]);
        assert_true(point->linear.r2 > 0.9999 && point->linear.r2 < 1.0);
        if (k == 0)
            continue;
        assert_true(point->similarity > 0.999); /* concave, but silent */
        assert_true(point->scale > 0.0 && point->own.r2 > 0.99);
        assert_true(point->own.mse >= point->linear.mse);
    }
    mix_analysis_destroy(analysis);
    mix_mixer_destroy(mixer);
    mix_trajectory_destroy(alone);
    mix_trajectory_destroy(watched);
    mix_trainee_destroy(inner);
    mix_trainee_destroy(plain);
}

static void test_what_cannot_be_probed(void **state)
{
    (void)state;
    const uint64_t steps[2] = {5, 5};
    const double mixture[M] = {1, 0, 0};
    double drop[M];
    const struct mix_simulator_options linear = {.seed = 1};
    struct mix_probe_options points = {
        .n_points = 2, .step = steps, .n_mixtures = 1, .mixture = mixture, .horizon = 1};
    struct mix_trainee *inner = simulate(&linear), *probed = NULL;
    const struct mix_probe *probe = NULL;
    struct mix_error err = {.text = ""};
    assert_int_equal(mix_trainee_probed(inner, &points, &probed, &probe, &err), MIX_EINVAL);
    assert_non_null(strstr(err.text, "step 5 behind step 5"));
    points.n_points = 1;
    assert_int_equal(mix_trainee_probed(inner, &points, &probed, &probe, &err), MIX_OK);
    assert_int_equal(probed->can & MIX_CAN_FORK, 0);
    struct mix_trainee *twice = NULL;
    assert_int_equal(mix_trainee_probed(probed, &points, &twice, &probe, &err), MIX_EINVAL);
    assert_int_equal(mix_online_fork(probed, 1, mixture, 1, 0, drop, NULL, &err), MIX_EINVAL);
    assert_non_null(strstr(err.text, "cannot go back to a snapshot"));
    mix_trainee_destroy(probed);
    mix_trainee_destroy(inner);
}

static void test_no_matrix_before_the_first_round(void **state)
{
    (void)state;
    uint64_t steps[3] = {10, 20, 30};
    double matrix[3] = {1, 2, 6}, a = 0.0;
    const struct mix_trajectory trajectory = {
        .n_groups = 1, .n_rounds = 3, .round_step = steps, .matrix = matrix};
    assert_false(mix_online_matrix_at(&trajectory, 9, 4, &a));
    assert_true(mix_online_matrix_at(&trajectory, 10, 4, &a) && a == 1.0);
    assert_true(mix_online_matrix_at(&trajectory, 30, 2, &a) && a == 4.0);
    assert_true(mix_online_matrix_at(&trajectory, 99, 9, &a) && a == 3.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_I19_similarity_of_a_matrix_with_itself),
        cmocka_unit_test(test_I19_similarity_by_hand),
        cmocka_unit_test(test_I19_diagonal_keeps_the_difference_of_column_sums),
        cmocka_unit_test(test_I20_a_sweep_finds_the_gain_of_the_simulator),
        cmocka_unit_test(test_I20_noise_averages_out),
        cmocka_unit_test(test_I21_curvature_and_horizon_lower_r2),
        cmocka_unit_test(test_mixtures_must_tell_groups_apart),
        cmocka_unit_test(test_a_scaled_matrix_is_found_again),
        cmocka_unit_test(test_the_loglinear_law_is_found_again),
        cmocka_unit_test(test_a_probe_sees_the_run_and_leaves_it_alone),
        cmocka_unit_test(test_the_analysis_of_a_run),
        cmocka_unit_test(test_what_cannot_be_probed),
        cmocka_unit_test(test_no_matrix_before_the_first_round),
    };
    return cmocka_run_group_tests_name("analysis", tests, NULL, NULL);
}
