/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The other methods, the sweep that two of them share, budgets, and what is refused: invariants I15
 * to I18 of the specification. */
#include <signal.h>

#include "online/steered.h"

enum { M = 3 };
static const double START[M] = {3.0, 4.0, 5.0};
static const double GAIN[M * M] = {.0020, .0005, .0001, .0002, .0010, .0003, .0001, .0002, .0030};

static struct mix_simulator_options world_of(uint64_t n_steps)
{
    return (struct mix_simulator_options){
        .n_groups = M, .n_steps = n_steps, .loss = START, .gain = GAIN, .seed = 5};
}

static struct mix_static_run *plan_of(const char *method, struct mix_method_setup *setup)
{
    struct mix_static_run *runs = NULL;
    struct mix_error err = {.text = ""};
    if (mix_method_plan(mix_method_find(method), setup, &runs, &setup->n_static, &err) != MIX_OK)
        fail_msg("%s", err.text);
    setup->statics = runs;
    return runs;
}

static enum mix_status refusal(const char *method, const struct mix_method_setup *setup,
                               struct mix_error *err)
{
    struct mix_mixer *mixer = NULL;
    const enum mix_status status = mix_mixer_create(mix_method_find(method), setup, &mixer, err);
    assert_null(mixer);
    return status;
}

static void answer_of(const char *method, const struct mix_method_setup *setup, double *mixture)
{
    struct mix_error err = {.text = ""};
    struct mix_mixer *mixer = mixer_of(method, setup);
    if (mixer->method->result(mixer, mixture, &err) != MIX_OK)
        fail_msg("%s", err.text);
    mix_mixer_destroy(mixer);
}

/* ---- grid and dml ---- */

/* A static law: L_i = c_i + exp(b_i + sum_j t_ij p_j). */
struct truth {
    double c[M], b[M], t[M * M];
};

static double true_loss(const struct truth *truth, size_t m, size_t i, const double *p)
{
    double exponent = truth->b[i];
    for (size_t j = 0; j < m; j++)
        exponent += truth->t[i * m + j] * p[j];
    return truth->c[i] + exp(exponent);
}

static double true_sum(const struct truth *truth, size_t m, const double *p)
{
    double sum = 0.0;
    for (size_t i = 0; i < m; i++)
        sum += true_loss(truth, m, i, p);
    return sum;
}

static void dml_answer(const struct truth *truth, size_t m, double *mixture)
{
    struct mix_method_setup setup = setup_of(m, 500);
    struct mix_static_run *runs = plan_of("dml", &setup);
    for (size_t r = 0; r < setup.n_static; r++)
        for (size_t i = 0; i < m; i++)
            runs[r].loss_end[i] = true_loss(truth, m, i, runs[r].mixture);
    answer_of("dml", &setup, mixture);
    mix_static_runs_destroy(runs);
}

/* L_i = c_i + exp(k_i p_i + b_i): where sum_i L_i is least (spec 2.2), within [0, 1]. */
static double closed_form(const double *k, const double *b)
{
    const double p = (k[1] + b[1] - b[0] + log(k[1] / k[0])) / (k[0] + k[1]);
    return fmin(fmax(p, 0.0), 1.0);
}

static void test_I15_two_groups_have_a_closed_form(void **state)
{
    (void)state;
    const double k[][2] = {{-2.2, -1.7}, {-1.6, -2.4}, {-2.0, -2.0}, {-2.4, -0.3}, {-0.2, -2.0}},
                 b[][2] = {{-0.3, -0.6}, {-0.9, -0.1}, {-0.5, -0.5}, {0.6, -2.0}, {-2.0, 0.5}};
    for (size_t n = 0; n < 5; n++) {
        const struct truth truth = {
            .c = {2.1, 2.6}, .b = {b[n][0], b[n][1]}, .t = {k[n][0], 0, 0, k[n][1]}};
        const double exact = closed_form(k[n], b[n]);
        double p[2], least = INFINITY, best = 0.0;
        dml_answer(&truth, 2, p);
        assert_near(p[0], exact, 1e-5);
        assert_near(p[0] + p[1], 1.0, 1e-12);
        for (int i = 0; i <= 10000; i++) {
            const double q[2] = {i / 10000.0, 1.0 - i / 10000.0};
            if (true_sum(&truth, 2, q) < least) {
                least = true_sum(&truth, 2, q);
                best = q[0];
            }
        }
        assert_near(p[0], best, 2e-4);
        if (n == 2)
            assert_near(p[0], 0.5, 1e-6);
    }
    assert_true(closed_form(k[3], b[3]) == 1.0 && closed_form(k[4], b[4]) == 0.0);
}

static void test_I15_three_groups(void **state)
{
    (void)state;
    const struct truth truth = {.c = {2.0, 2.5, 1.5},
                                .b = {-0.2, -0.5, 0.1},
                                .t = {-2.0, -0.3, 0.1, 0.0, -1.8, -0.2, -0.1, 0.2, -2.4}};
    struct truth shifted = truth;
    for (size_t i = 0; i < M; i++) { /* the same losses: shares sum to 1 */
        shifted.b[i] -= 0.7;
        for (size_t j = 0; j < M; j++)
            shifted.t[i * M + j] += 0.7;
    }
    double p[M], q[M], least = INFINITY, best[M] = {0};
    dml_answer(&truth, M, p);
    dml_answer(&shifted, M, q);
    for (int a = 0; a <= 200; a++)
        for (int c = 0; a + c <= 200; c++) {
            const double point[M] = {a / 200.0, c / 200.0, (200 - a - c) / 200.0};
            if (true_sum(&truth, M, point) < least) {
                least = true_sum(&truth, M, point);
                memcpy(best, point, sizeof best);
            }
        }
    assert_true(true_sum(&truth, M, p) <= least + 1e-12);
    for (size_t j = 0; j < M; j++) {
        assert_near(p[j], q[j], 1e-5);
        assert_near(p[j], best[j], 0.01);
    }
}

static void test_grid_takes_the_best_mean(void **state)
{
    (void)state;
    struct mix_method_setup setup = setup_of(M, 500);
    struct mix_static_run *runs = plan_of("grid", &setup);
    for (size_t r = 0; r < setup.n_static; r++)
        for (size_t i = 0; i < M; i++)
            runs[r].loss_end[i] = 3.0 + fabs((double)r - 4.2) * (i == 0 ? 1.0 : 0.1);
    double p[M];
    answer_of("grid", &setup, p);
    assert_memory_equal(p, runs[4].mixture, sizeof p);
    runs[3].loss_end[1] = NAN;
    struct mix_error err;
    assert_int_equal(refusal("grid", &setup, &err), MIX_ENUMERIC);
    assert_string_equal(err.text, "grid: the loss of group 2 at the end of static run 4 is nan");
    mix_static_runs_destroy(runs);
}

static void test_sweep_of_two_groups_is_even(void **state)
{
    (void)state;
    struct mix_method_setup setup = setup_of(2, 500);
    struct mix_static_run *runs = plan_of("grid", &setup);
    assert_int_equal(setup.n_static, 9);
    for (size_t r = 0; r < 9; r++) {
        assert_near(runs[r].mixture[0], 0.1 * (double)(r + 1), 1e-15);
        assert_int_equal(runs[r].n_steps, 500);
        assert_true(isnan(runs[r].loss_start[0]) && isnan(runs[r].loss_end[1]));
    }
    mix_static_runs_destroy(runs);
}

static double least_distance(size_t m, size_t n, const struct mix_static_run *runs)
{
    double least = INFINITY;
    for (size_t r = 0; r < n; r++)
        for (size_t s = 0; s < r; s++) {
            double sum = 0.0;
            for (size_t j = 0; j < m; j++)
                sum += (runs[r].mixture[j] - runs[s].mixture[j]) *
                       (runs[r].mixture[j] - runs[s].mixture[j]);
            least = fmin(least, sqrt(sum));
        }
    return least;
}

static void test_sweep_fills_the_simplex(void **state)
{
    (void)state;
    for (size_t m = 3; m <= 8; m += 5) {
        struct mix_method_setup setup = setup_of(m, 500);
        setup.options.n_static = 20;
        struct mix_static_run *runs = plan_of("grid", &setup);
        struct mix_method_setup twin_setup = setup;
        struct mix_static_run *twin = plan_of("dml", &twin_setup);
        for (size_t r = 0; r < 20; r++) {
            double sum = 0.0;
            for (size_t j = 0; j < m; j++) {
                assert_true(runs[r].mixture[j] > 0.0);
                sum += runs[r].mixture[j];
            }
            assert_near(sum, 1.0, 1e-14);
            assert_memory_equal(runs[r].mixture, twin[r].mixture, m * sizeof(double));
        }
        /* 20 points drawn freely have two at less than a third of this */
        assert_true(least_distance(m, 20, runs) > 0.1);
        mix_static_runs_destroy(twin);
        twin_setup.seed++;
        twin = plan_of("dml", &twin_setup);
        assert_memory_not_equal(runs[0].mixture, twin[0].mixture, m * sizeof(double));
        mix_static_runs_destroy(twin);
        mix_static_runs_destroy(runs);
    }
}

/* ---- skillit ---- */

/* Statics of a graph G: loss_end = loss_start (1 - G). */
static struct mix_static_run *graph_of(struct mix_method_setup *setup, const double *graph)
{
    const size_t m = setup->n_groups;
    struct mix_static_run *runs = plan_of("skillit", setup);
    assert_int_equal(setup->n_static, m);
    for (size_t j = 0; j < m; j++)
        for (size_t i = 0; i < m; i++) {
            runs[j].loss_start[i] = 4.0;
            runs[j].loss_end[i] = 4.0 * (1.0 - graph[i * m + j]);
            assert_true(runs[j].mixture[i] == (i == j ? 1.0 : 0.0));
        }
    return runs;
}

static void tell_loss(struct mix_mixer *mixer, const double *loss)
{
    struct bench b;
    bench_init(&b);
    assert_true(mix_mixer_next(mixer, &b.segment));
    assert_int_equal(b.segment.measure, MIX_MEASURE_LOSS);
    memcpy(b.seen.loss, loss, mixer->setup.n_groups * sizeof *loss);
    assert_int_equal(mix_mixer_observe(mixer, &b.seen, NULL), MIX_OK);
}

static void test_I16_even_graph_and_losses_stay_uniform(void **state)
{
    (void)state;
    const double graph[M * M] = {.7, 0, 0, 0, .7, 0, 0, 0, .7}, loss[M] = {3.0, 3.0, 3.0};
    struct mix_method_setup setup = setup_of(M, 500);
    struct mix_static_run *runs = graph_of(&setup, graph);
    struct mix_mixer *mixer = mixer_of("skillit", &setup);
    for (int n = 0; n < 5; n++) {
        for (size_t j = 0; j < M; j++)
            assert_near(mixer->mixture[j], 1.0 / M, 1e-15);
        tell_loss(mixer, loss);
    }
    mix_mixer_destroy(mixer);
    mix_static_runs_destroy(runs);
}

static void test_I16_window_of_one_is_a_softmax_of_losses(void **state)
{
    (void)state;
    const double graph[M * M] = {1, 0, 0, 0, 1, 0, 0, 0, 1}, loss[M] = {3.0, 2.0, 4.5};
    struct mix_method_setup setup = setup_of(M, 500);
    setup.options.skillit_window = 1;
    struct mix_static_run *runs = graph_of(&setup, graph);
    struct mix_mixer *mixer = mixer_of("skillit", &setup);
    tell_loss(mixer, START);
    tell_loss(mixer, loss);
    for (size_t j = 1; j < M; j++)
        assert_near(log(mixer->mixture[j] / mixer->mixture[0]), 0.2 * (loss[j] - loss[0]), 1e-14);
    assert_true(mixer->matrix[4] == 2.0 && mixer->matrix[1] == 0.0);
    mix_mixer_destroy(mixer);
    mix_static_runs_destroy(runs);
}

static void test_I16_only_the_window_counts(void **state)
{
    (void)state;
    const double graph[M * M] = {.7, .3, .2, .1, .8, .1, .0, .2, .5};
    const double window[3][M] = {{3.0, 2.0, 4.5}, {2.9, 1.9, 4.4}, {2.8, 1.9, 4.0}};
    struct mix_method_setup setup = setup_of(M, 500);
    struct mix_static_run *runs = graph_of(&setup, graph);
    struct mix_mixer *early = mixer_of("skillit", &setup), *late = mixer_of("skillit", &setup);
    for (size_t j = 1; j < M; j++) { /* before any loss: by the graph alone */
        double difference = 0.0;
        for (size_t i = 0; i < M; i++)
            difference += graph[i * M + j] - graph[i * M];
        assert_near(log(early->mixture[j] / early->mixture[0]), 0.2 * difference, 1e-14);
    }
    for (int n = 0; n < 5; n++)
        tell_loss(late, START);
    for (int n = 0; n < 3; n++) {
        tell_loss(early, window[n]);
        tell_loss(late, window[n]);
        assert_int_equal(n == 2, fabs(early->mixture[0] - late->mixture[0]) < 1e-14);
    }
    mix_mixer_destroy(early);
    mix_mixer_destroy(late);
    mix_static_runs_destroy(runs);
}

static void test_skillit_steers_all_steps(void **state)
{
    (void)state;
    const double graph[M * M] = {.7, .3, .2, .1, .8, .1, .0, .2, .5};
    const struct mix_simulator_options world = world_of(503);
    struct mix_method_setup setup = setup_of(M, 503);
    struct mix_static_run *runs = graph_of(&setup, graph);
    struct mix_trajectory *t = steer(&world, "skillit", &setup);
    assert_int_equal(t->n_steps, 503);
    assert_int_equal(t->n_rounds, 9);
    assert_int_equal(t->n_points, 11);
    mix_trajectory_destroy(t);
    runs[1].mixture[1] = 0.9;
    struct mix_error err;
    assert_int_equal(refusal("skillit", &setup, &err), MIX_EINVAL);
    runs[1].mixture[1] = 1.0;
    runs[2].loss_start[0] = NAN;
    assert_int_equal(refusal("skillit", &setup, &err), MIX_EINVAL);
    assert_non_null(strstr(err.text, "static run 3 is nan; it must be positive"));
    mix_static_runs_destroy(runs);
}

/* ---- doremi and doge ---- */

/* Run a proxy on figures that stay as they are in `b`; the last weights in `alpha`. */
static void run_proxy(const char *method, const struct mix_method_setup *setup, struct bench *b,
                      double *alpha, double *mean)
{
    const size_t m = setup->n_groups;
    struct mix_mixer *mixer = mixer_of(method, setup);
    uint64_t n_steps = 0;
    while (mix_mixer_next(mixer, &b->segment)) {
        n_steps += b->segment.n_steps;
        for (size_t j = 0; j < m; j++) {
            assert_true(b->segment.mixture[j] == 1.0 / (double)m);
            assert_near(b->segment.weight[j], (double)m * mixer->mixture[j], 1e-12);
        }
        assert_int_equal(b->segment.weighted, b->segment.n_steps > 0);
        if (b->segment.measure != 0)
            assert_int_equal(mix_mixer_observe(mixer, &b->seen, NULL), MIX_OK);
    }
    assert_int_equal(n_steps, mixer->n_steps);
    memcpy(alpha, mixer->mixture, m * sizeof *alpha);
    assert_int_equal(mixer->method->result(mixer, mean, NULL), MIX_OK);
    mix_mixer_destroy(mixer);
}

static void test_I17_proxy_like_its_reference_stays_uniform(void **state)
{
    (void)state;
    const struct mix_method_setup setup = setup_of(M, 500);
    struct bench b;
    double alpha[M], mean[M];
    bench_init(&b);
    memcpy(b.seen.train_loss, START, sizeof START);
    memcpy(b.seen.reference_loss, START, sizeof START);
    b.seen.reference_loss[1] += 0.5; /* better than the reference counts as nothing */
    run_proxy("doremi", &setup, &b, alpha, mean);
    for (size_t j = 0; j < M; j++) {
        assert_near(alpha[j], 1.0 / M, 1e-12);
        assert_near(mean[j], 1.0 / M, 1e-12);
    }
}

static void test_I17_constant_excess(void **state)
{
    (void)state;
    struct mix_method_setup setup = setup_of(M, 500);
    setup.options.doremi_rate = 0.02;
    setup.options.doremi_smoothing = 0.0;
    struct bench b;
    double alpha[M], mean[M], sparse[M];
    bench_init(&b);
    for (size_t i = 0; i < M; i++) {
        b.seen.train_loss[i] = START[i] + 0.1 * (double)i;
        b.seen.reference_loss[i] = START[i];
    }
    run_proxy("doremi", &setup, &b, alpha, mean);
    for (size_t j = 1; j < M; j++)
        assert_near(log(alpha[j] / alpha[0]), 500 * 0.02 * 0.1 * (double)j, 1e-10);
    assert_true(mean[2] < alpha[2] && mean[2] > 1.0 / M);
    setup.options.proxy_every = 7; /* an update stands for seven steps, the last one for three */
    run_proxy("doremi", &setup, &b, sparse, mean);
    for (size_t j = 0; j < M; j++)
        assert_near(alpha[j], sparse[j], 1e-10);
}

static void test_I17_every_group_keeps_its_floor(void **state)
{
    (void)state;
    struct mix_method_setup setup = setup_of(M, 500);
    setup.options.doremi_rate = 50.0;
    setup.options.doremi_smoothing = 0.003;
    struct bench b;
    double alpha[M], mean[M];
    bench_init(&b);
    memset(b.seen.reference_loss, 0, sizeof START);
    memcpy(b.seen.train_loss, START, sizeof START);
    run_proxy("doremi", &setup, &b, alpha, mean);
    for (size_t j = 0; j < M; j++) {
        assert_true(alpha[j] >= 0.003 / M);
        assert_true(mean[j] >= 0.003 / M);
    }
    assert_near(alpha[0], 0.001, 1e-9);
}

static void test_I17_doremi_on_the_simulator(void **state)
{
    (void)state;
    const double floor[M] = {1.0, 2.0, 1.5};
    struct mix_simulator_options world = world_of(500);
    world.floor = floor;
    const struct mix_method_setup setup = setup_of(M, 500);
    struct mix_mixer *mixer = mixer_of("doremi", &setup);
    struct mix_trainee *trainee = simulator_of(&world);
    struct mix_trajectory *t = mix_trajectory_create(M);
    double p[M];
    assert_int_equal(mixer->method->result(mixer, p, NULL), MIX_EINVAL); /* too early */
    assert_int_equal(mix_online_steer(trainee, mixer, t, NULL, NULL), MIX_OK);
    assert_int_equal(mixer->method->result(mixer, p, NULL), MIX_OK);
    assert_int_equal(t->n_steps, 500);
    assert_int_equal(t->n_rounds, 500);
    assert_int_equal(t->n_evaluations, 2);
    assert_true(isnan(t->test[0]));
    /* the first excess is the whole way of the reference: what group 3 fell most by */
    assert_true(t->matrix[8] > t->matrix[0] && t->matrix[8] > t->matrix[4]);
    assert_true(t->matrix[1] == 0.0);
    assert_true(p[1] < 0.2 && p[0] > 1.0 / M && p[2] > 1.0 / M); /* group 2 learns least */
    mix_trajectory_destroy(t);
    mix_trainee_destroy(trainee);
    mix_mixer_destroy(mixer);
}

static void aligned(struct bench *b, const double *matrix, double norm)
{
    bench_init(b);
    memcpy(b->seen.alignment, matrix, M * M * sizeof *matrix);
    for (size_t j = 0; j < M; j++)
        b->seen.train_norm[j] = norm;
    b->seen.validation_norm = norm;
    b->seen.learning_rate = 0.003;
}

static void test_I18_equal_gradients_stay_uniform(void **state)
{
    (void)state;
    const double same[M * M] = {.1, .1, .1, .2, .2, .2, .3, .3, .3};
    const struct mix_method_setup setup = setup_of(M, 100);
    struct bench b;
    double alpha[M], mean[M];
    aligned(&b, same, 0.5);
    run_proxy("doge", &setup, &b, alpha, mean);
    for (size_t j = 0; j < M; j++)
        assert_near(mean[j], 1.0 / M, 1e-12);
}

/* s_j = lr <g_j, v> / mean norm, <g_j, v> = column sum / m where nothing is clipped. */
static void test_I18_scores_follow_column_sums(void **state)
{
    (void)state;
    const double matrix[M * M] = {.10, .02, .05, .01, .20, .03, .02, .04, .08};
    struct mix_method_setup setup = setup_of(M, 100);
    struct bench b;
    double alpha[M], mean[M], g[M];
    aligned(&b, matrix, 0.5);
    mix_column_sums(M, matrix, g);
    run_proxy("doge", &setup, &b, alpha, mean);
    for (size_t j = 1; j < M; j++)
        assert_near(log(alpha[j] / alpha[0]), 100 * 0.003 / 0.01 * (g[j] - g[0]) / M / (0.5 + 1e-6),
                    1e-10);
    aligned(&b, matrix, 4.0); /* clipped to 1: both factors 1/4 */
    run_proxy("doge", &setup, &b, alpha, mean);
    for (size_t j = 1; j < M; j++)
        assert_near(log(alpha[j] / alpha[0]),
                    100 * 0.003 / 0.01 * (g[j] - g[0]) / M / 16.0 / (1.0 + 1e-6), 1e-10);
}

static void test_I18_scores_are_bounded(void **state)
{
    (void)state;
    const double matrix[M * M] = {90, -90, 0, 90, -90, 0, 90, -90, 0};
    struct mix_method_setup setup = setup_of(M, 1);
    struct bench b;
    double alpha[M], mean[M];
    aligned(&b, matrix, 0.5);
    run_proxy("doge", &setup, &b, alpha, mean);
    assert_near(log(alpha[0] / alpha[2]), 5 * 0.003 / 0.01, 1e-12); /* the most: 5 lr */
    assert_near(log(alpha[1] / alpha[2]), 0.0, 1e-12);              /* against v: 0 */
}

static void test_I18_alignment_is_the_drop_of_a_step(void **state)
{
    (void)state;
    const double floor[M] = {1.0, 2.0, 1.5};
    struct mix_simulator_options world = world_of(500);
    world.floor = floor;
    world.decay = 0.01;
    struct mix_trainee *trainee = simulator_of(&world);
    struct bench b;
    bench_init(&b);
    b.segment.n_steps = 40;
    online_uniform(M, b.segment.mixture);
    assert_int_equal(trainee->kind->train(trainee, &b.segment, NULL, NULL), MIX_OK);
    assert_int_equal(trainee->kind->measure(trainee, MIX_MEASURE_GRADIENT, &b.seen, NULL, NULL),
                     MIX_OK);
    assert_int_equal(trainee->kind->snapshot(trainee, 3, NULL, NULL), MIX_OK);
    for (size_t j = 0; j < M; j++) {
        double before[M];
        assert_int_equal(trainee->kind->restore(trainee, 3, NULL, NULL), MIX_OK);
        memcpy(before, mix_simulator_loss(trainee), sizeof before);
        b.segment.n_steps = 1;
        for (size_t l = 0; l < M; l++)
            b.segment.mixture[l] = l == j ? 1.0 : 0.0;
        assert_int_equal(trainee->kind->train(trainee, &b.segment, NULL, NULL), MIX_OK);
        for (size_t i = 0; i < M; i++)
            assert_near(before[i] - mix_simulator_loss(trainee)[i],
                        b.seen.learning_rate * b.seen.alignment[i * M + j], 1e-14);
    }
    assert_int_equal(trainee->kind->restore(trainee, 2, NULL, NULL), MIX_EINVAL);
    mix_trainee_destroy(trainee);
}

/* ---- budgets ---- */

static void test_budget_shortens_the_runs_beside(void **state)
{
    (void)state;
    const struct {
        const char *method;
        uint64_t free, half; /* extra steps without a budget, and with S / 2 */
    } cases[] = {{"stratified", 0, 0},   {"grid", 9 * 500, 243}, {"dml", 9 * 500, 243},
                 {"skillit", 1500, 249}, {"doremi", 1000, 250},  {"doge", 500, 250},
                 {"aioli", 0, 0},        {"aioli-static", 0, 0}};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        const struct mix_method *method = mix_method_find(cases[c].method);
        struct mix_method_setup setup = setup_of(M, 500);
        assert_int_equal(method->extra_steps(&setup), cases[c].free);
        setup.budget = 250;
        assert_int_equal(method->extra_steps(&setup), cases[c].half);
        struct mix_static_run *runs = plan_of(cases[c].method, &setup);
        uint64_t sum = 0;
        for (size_t r = 0; r < setup.n_static; r++)
            sum += runs[r].n_steps;
        if (setup.n_static > 0)
            assert_int_equal(sum, cases[c].half);
        mix_static_runs_destroy(runs);
    }
    struct mix_method_setup setup = setup_of(M, 500);
    setup.budget = 250;
    struct mix_mixer *mixer = mixer_of("doremi", &setup);
    assert_int_equal(mixer->n_steps, 125);
    mix_mixer_destroy(mixer);
    setup.budget = 8;
    struct mix_error err;
    assert_int_equal(refusal("grid", &setup, &err), MIX_EINVAL);
    assert_string_equal(err.text, "grid: a budget of 8 steps leaves none for each of its runs; "
                                  "raise it");
}

/* ---- the table, options, refusals ---- */

static void test_table_of_methods(void **state)
{
    (void)state;
    char text[MIX_TEXT_MAX];
    mix_method_list(text);
    assert_string_equal(text,
                        "stratified, grid, dml, skillit, doremi, doge, aioli, aioli-diagonal, "
                        "aioli-static, aioli-ema, aioli-released, aioli-raw, agent");
    for (size_t i = 0; mix_method_get(i) != NULL; i++) {
        const struct mix_method *method = mix_method_get(i);
        assert_ptr_equal(mix_method_find(method->name), method);
        assert_int_equal(method->next != NULL, method->kind != MIX_METHOD_STATIC);
        assert_int_equal(method->result != NULL, method->kind != MIX_METHOD_DYNAMIC);
    }
    assert_null(mix_method_find("regmix"));
}

static void test_defaults_fit_all_lengths(void **state)
{
    (void)state;
    for (size_t m = 2; m <= 12; m++)
        for (uint64_t n_steps = 4 * m; n_steps <= 40000; n_steps += 1 + n_steps / 3) {
            const struct mix_method_setup setup = setup_of(m, n_steps);
            const struct mix_method_options *o = &setup.options;
            assert_int_equal(mix_method_options_check(o, NULL), MIX_OK);
            assert_true(10 * o->n_rounds * o->interval * o->n_sweeps * m <= 3 * n_steps);
            mix_mixer_destroy(mixer_of("aioli", &setup));
        }
    /* arXiv 2411.05735 takes h = 6 and k = 4 for three groups and 5000 steps in 20 rounds */
    const struct mix_method_options o = mix_online_defaults(3, 5000);
    assert_int_equal(o.n_rounds, 20);
    assert_int_equal(o.interval, 6);
    assert_int_equal(o.n_sweeps, 4);
}

static void test_options_out_of_range_are_refused(void **state)
{
    (void)state;
    struct mix_method_options o = mix_online_defaults(M, 500);
    struct mix_error err;
    o.eta = NAN;
    assert_int_equal(mix_method_options_check(&o, &err), MIX_EINVAL);
    assert_string_equal(err.text, "option eta is nan; from 0 to 1e+06 is allowed");
    o = mix_online_defaults(M, 500);
    o.skillit_window = 0;
    assert_int_equal(mix_method_options_check(&o, &err), MIX_EINVAL);
    assert_string_equal(err.text, "option skillit_window is 0; from 1 to 10000 is allowed");
    o = mix_online_defaults(M, 500);
    o.interval = SIZE_MAX;
    assert_int_equal(mix_method_options_check(&o, &err), MIX_EINVAL);
}

static void test_setups_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    struct mix_error err;
    const double first[M] = {0.2, 0.3, 0.5};
    struct mix_method_setup setup = setup_of(1, 500);
    assert_int_equal(refusal("aioli", &setup, &err), MIX_EINVAL);
    setup = setup_of(M, 500);
    setup.n_steps = 0;
    assert_int_equal(refusal("stratified", &setup, &err), MIX_EINVAL);
    setup = setup_of(M, 500);
    assert_int_equal(refusal("skillit", &setup, &err), MIX_EINVAL);
    assert_string_equal(err.text, "skillit needs the losses of 3 static runs, not of 0");
    setup.initial_steps = 20;
    assert_int_equal(refusal("aioli", &setup, &err), MIX_EINVAL);
    setup.initial = first;
    assert_int_equal(refusal("doge", &setup, &err), MIX_EINVAL);
    setup.initial_steps = 500;
    assert_int_equal(refusal("aioli", &setup, &err), MIX_EINVAL);
    assert_string_equal(err.text, "aioli: 500 initial steps leave none of 500");
}

static void steer_refused(struct mix_trainee *trainee, struct mix_mixer *mixer,
                          enum mix_status wanted, const char *sentence)
{
    struct mix_error err = {.text = ""};
    struct mix_trajectory *t = mix_trajectory_create(trainee->n_groups);
    assert_non_null(t);
    assert_int_equal(mix_online_steer(trainee, mixer, t, NULL, &err), wanted);
    assert_string_equal(err.text, sentence);
    mix_trajectory_destroy(t);
    mix_mixer_destroy(mixer);
}

static void test_what_a_trainee_cannot_do(void **state)
{
    (void)state;
    const struct mix_simulator_options world = world_of(500);
    struct mix_method_setup setup = setup_of(M, 500);
    struct mix_trainee *trainee = simulator_of(&world);
    trainee->can = MIX_CAN_FORK | MIX_CAN_WEIGHT;
    steer_refused(trainee, mixer_of("doge", &setup), MIX_EINVAL,
                  "doge needs a trainer that can give gradients by group; the simulator trainer "
                  "cannot");
    steer_refused(trainee, mixer_of("doremi", &setup), MIX_EINVAL,
                  "doremi needs a trainer that can give the losses of a reference model; the "
                  "simulator trainer cannot");
    steer_refused(trainee, mixer_of("stratified", &setup), MIX_EINVAL,
                  "stratified steers no run: it ends with a static mixture, to be trained under");
    setup.n_groups = 2;
    steer_refused(trainee, mixer_of("aioli", &setup), MIX_EINVAL,
                  "aioli was made for 2 groups; the simulator trainer has 3");
    mix_trainee_destroy(trainee);
}

static void test_divergence_is_told(void **state)
{
    (void)state;
    const double gain[M * M] = {-1e308, -1e308, -1e308, 0, 0, 0, 0, 0, 0};
    struct mix_simulator_options world = world_of(500);
    world.gain = gain;
    struct mix_method_setup setup = setup_of(M, 500);
    setup.options.interval = 2;
    struct mix_trainee *trainee = simulator_of(&world);
    steer_refused(trainee, mixer_of("aioli", &setup), MIX_ENUMERIC,
                  "simulator: the loss of group 1 is inf at step 2");
    mix_trainee_destroy(trainee);
    struct mix_mixer *mixer = mixer_of("aioli", &setup);
    struct mix_error err;
    struct bench b;
    bench_init(&b);
    memcpy(b.seen.loss, START, sizeof START);
    b.seen.loss[2] = NAN;
    assert_true(mix_mixer_next(mixer, &b.segment));
    assert_int_equal(mix_mixer_observe(mixer, &b.seen, &err), MIX_ENUMERIC);
    assert_string_equal(err.text, "aioli: the validation loss of group 3 is nan at step 0");
    mix_mixer_destroy(mixer);
}

/* A task that is told to stop before it steers. */
static enum mix_status interrupted(void *context, size_t task, void *record, struct mix_poll *poll,
                                   struct mix_error *err)
{
    (void)task;
    (void)record;
    const struct mix_simulator_options world = world_of(500);
    const struct mix_method_setup setup = setup_of(M, 500);
    struct mix_mixer *mixer = mixer_of("aioli", &setup);
    struct mix_trainee *trainee = simulator_of(&world);
    raise(SIGTERM);
    const enum mix_status status = mix_online_steer(trainee, mixer, context, poll, err);
    mix_mixer_destroy(mixer);
    mix_trainee_destroy(trainee);
    return status;
}

static void test_steering_stops_when_told(void **state)
{
    (void)state;
    struct mix_trajectory *t = mix_trajectory_create(M);
    const struct mix_stage stage = {
        .name = "steering", .n_tasks = 1, .record_bytes = 1, .run = interrupted, .context = t};
    mix_signals_install();
    assert_int_equal(mix_stage_run(NULL, &stage, NULL), MIX_EINTERRUPTED);
    assert_true(t->n_steps < 500);
    mix_signals_install(); /* forgets it */
    mix_trajectory_destroy(t);
}

static void test_doge_needs_the_learning_rate(void **state)
{
    (void)state;
    const double matrix[M * M] = {0};
    const struct mix_method_setup setup = setup_of(M, 500);
    struct mix_mixer *mixer = mixer_of("doge", &setup);
    struct mix_error err;
    struct bench b;
    aligned(&b, matrix, 0.5);
    b.seen.learning_rate = NAN;
    assert_true(mix_mixer_next(mixer, &b.segment));
    assert_int_equal(mix_mixer_observe(mixer, &b.seen, &err), MIX_ENUMERIC);
    assert_string_equal(err.text, "doge: the learning rate at step 0 is nan; the trainer must say "
                                  "it, 0 or more");
    b.seen.learning_rate = 0.1;
    b.seen.train_norm[1] = INFINITY;
    assert_int_equal(mix_mixer_observe(mixer, &b.seen, &err), MIX_ENUMERIC);
    assert_string_equal(err.text,
                        "doge: the norm of the training gradient of group 2 is inf at step 0");
    mix_mixer_destroy(mixer);
}

/* ---- static runs and the simulator ---- */

static void test_static_run(void **state)
{
    (void)state;
    const struct mix_simulator_options world = world_of(500);
    const double p[M] = {0.2, 0.3, 0.5};
    struct mix_trainee *trainee = simulator_of(&world);
    for (int again = 0; again < 2; again++) { /* it begins anew */
        struct mix_trajectory *t = mix_trajectory_create(M);
        assert_int_equal(mix_online_static(trainee, p, 502, 2, t, NULL, NULL), MIX_OK);
        assert_int_equal(t->n_points, 4);
        const uint64_t step[] = {0, 168, 335, 502};
        for (size_t n = 0; n < 4; n++)
            for (size_t i = 0; i < M; i++) {
                double loss = START[i];
                for (size_t j = 0; j < M; j++)
                    loss -= (double)step[n] * GAIN[i * M + j] * p[j];
                assert_int_equal(t->step[n], step[n]);
                assert_near(t->loss[n * M + i], loss, 1e-11);
                assert_true(t->mixture[n * M + i] == p[i]);
            }
        assert_int_equal(t->n_evaluations, 4);
        mix_trajectory_destroy(t);
    }
    mix_trainee_destroy(trainee);
}

static void test_simulated_curvature_and_noise(void **state)
{
    (void)state;
    struct mix_simulator_options world = world_of(500);
    world.curvature = 100.0;
    world.noise = 0.1;
    struct mix_trainee *trainee = simulator_of(&world);
    struct bench b;
    bench_init(&b);
    b.segment.n_steps = 1;
    b.segment.mixture[2] = 1.0;
    assert_int_equal(trainee->kind->train(trainee, &b.segment, NULL, NULL), MIX_OK);
    assert_near(mix_simulator_loss(trainee)[2], 5.0 - (.003 - 100.0 * .003 * .003 / 5.0), 1e-15);
    double first[M];
    assert_int_equal(trainee->kind->measure(trainee, MIX_MEASURE_LOSS, &b.seen, NULL, NULL),
                     MIX_OK);
    memcpy(first, b.seen.loss, sizeof first);
    assert_true(fabs(first[2] - mix_simulator_loss(trainee)[2]) > 1e-6);
    assert_int_equal(trainee->kind->measure(trainee, MIX_MEASURE_LOSS, &b.seen, NULL, NULL),
                     MIX_OK);
    assert_memory_equal(first, b.seen.loss, sizeof first);
    assert_int_equal(trainee->kind->measure(trainee, MIX_MEASURE_EXCESS, &b.seen, NULL, NULL),
                     MIX_EINVAL); /* nothing is frozen */
    mix_trainee_destroy(trainee);
    struct mix_error err;
    const double low[M] = {3.0, 1.0, 1.0};
    world.floor = low;
    assert_int_equal(mix_trainee_simulator(&world, &trainee, &err), MIX_EINVAL);
    assert_string_equal(err.text, "simulator: the first loss of group 1 is 3; it must be above 3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_I15_two_groups_have_a_closed_form),
        cmocka_unit_test(test_I15_three_groups),
        cmocka_unit_test(test_grid_takes_the_best_mean),
        cmocka_unit_test(test_sweep_of_two_groups_is_even),
        cmocka_unit_test(test_sweep_fills_the_simplex),
        cmocka_unit_test(test_I16_even_graph_and_losses_stay_uniform),
        cmocka_unit_test(test_I16_window_of_one_is_a_softmax_of_losses),
        cmocka_unit_test(test_I16_only_the_window_counts),
        cmocka_unit_test(test_skillit_steers_all_steps),
        cmocka_unit_test(test_I17_proxy_like_its_reference_stays_uniform),
        cmocka_unit_test(test_I17_constant_excess),
        cmocka_unit_test(test_I17_every_group_keeps_its_floor),
        cmocka_unit_test(test_I17_doremi_on_the_simulator),
        cmocka_unit_test(test_I18_equal_gradients_stay_uniform),
        cmocka_unit_test(test_I18_scores_follow_column_sums),
        cmocka_unit_test(test_I18_scores_are_bounded),
        cmocka_unit_test(test_I18_alignment_is_the_drop_of_a_step),
        cmocka_unit_test(test_budget_shortens_the_runs_beside),
        cmocka_unit_test(test_table_of_methods),
        cmocka_unit_test(test_defaults_fit_all_lengths),
        cmocka_unit_test(test_options_out_of_range_are_refused),
        cmocka_unit_test(test_setups_that_make_no_sense_are_refused),
        cmocka_unit_test(test_what_a_trainee_cannot_do),
        cmocka_unit_test(test_divergence_is_told),
        cmocka_unit_test(test_steering_stops_when_told),
        cmocka_unit_test(test_doge_needs_the_learning_rate),
        cmocka_unit_test(test_static_run),
        cmocka_unit_test(test_simulated_curvature_and_noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
