/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Aioli and its variants: invariants I1, I3 to I6, I8, I12 to I14 of the specification. */
#include "online/steered.h"

enum { M = 3 };
static const double START[M] = {3.0, 4.0, 5.0};
static const double GAIN[M * M] = {.0020, .0005, .0001, .0002, .0010, .0003, .0001, .0002, .0030};
static const double FLOOR[M] = {1.0, 2.0, 1.5};

static struct mix_simulator_options world_of(uint64_t n_steps)
{
    return (struct mix_simulator_options){
        .n_groups = M, .n_steps = n_steps, .loss = START, .gain = GAIN, .seed = 5};
}

static struct mix_method_setup rounds_of(size_t m, uint64_t n_steps, size_t n_rounds,
                                         size_t n_sweeps, size_t interval)
{
    struct mix_method_setup setup = setup_of(m, n_steps);
    setup.options.n_rounds = n_rounds;
    setup.options.n_sweeps = n_sweeps;
    setup.options.interval = interval;
    setup.options.eta = 0.3;
    return setup;
}

static double log_ratio(const double *p, size_t a, size_t b)
{
    return log(p[a] / p[b]);
}

static void test_I1_exact_recovery(void **state)
{
    (void)state;
    const double smoothings[] = {0.0, 0.3, 0.75};
    for (size_t s = 0; s < 3; s++)
        for (size_t n_sweeps = 1; n_sweeps <= 4; n_sweeps += 3)
            for (uint64_t seed = 1; seed <= 5; seed++) {
                const struct mix_simulator_options world = world_of(300);
                struct mix_method_setup setup = rounds_of(M, 300, 4, n_sweeps, 3);
                setup.options.smoothing = smoothings[s];
                setup.seed = seed;
                struct mix_trajectory *t = steer(&world, "aioli", &setup);
                assert_int_equal(t->n_rounds, 4);
                for (size_t e = 0; e < t->n_rounds * M * M; e++)
                    assert_near(t->matrix[e], 3.0 * GAIN[e % (M * M)], 1e-12);
                mix_trajectory_destroy(t);
            }
}

/* ---- losses made up by the test ---- */

/* A of the one round of a mixer under losses that fall by s(place in the sweep) h G p; the order of
 * its sweep as a number. */
static size_t recover_with_drift(uint64_t seed, double *matrix)
{
    const double scale[M] = {1.0, 0.6, 0.1};
    struct mix_method_setup setup = rounds_of(M, 12, 1, 1, 2);
    setup.seed = seed;
    struct mix_mixer *mixer = mixer_of("aioli", &setup);
    struct bench b;
    bench_init(&b);
    memcpy(b.seen.loss, START, sizeof START);
    size_t place = 0, order = 0;
    while (mix_mixer_next(mixer, &b.segment)) {
        if (b.segment.measure == 0)
            continue;
        for (size_t i = 0; b.segment.exact && i < M; i++)
            for (size_t j = 0; j < M; j++)
                b.seen.loss[i] -= scale[place] * 2.0 * GAIN[i * M + j] * b.segment.mixture[j];
        if (b.segment.exact) {
            order = order * M + leading_group(M, b.segment.mixture);
            place++;
        }
        assert_int_equal(mix_mixer_observe(mixer, &b.seen, NULL), MIX_OK);
    }
    memcpy(matrix, mixer->matrix, M * M * sizeof *matrix);
    mix_mixer_destroy(mixer);
    return order;
}

static void test_I3_the_mean_over_all_orders_is_exact(void **state)
{
    (void)state;
    enum { ORDERS = 6 };
    size_t seen[ORDERS], n = 0;
    double mean[M * M] = {0}, a[M * M];
    const double mean_scale = (1.0 + 0.6 + 0.1) / M;
    for (uint64_t seed = 1; n < ORDERS && seed < 1000; seed++) {
        const size_t order = recover_with_drift(seed, a);
        size_t i = 0;
        while (i < n && seen[i] != order)
            i++;
        if (i < n)
            continue;
        seen[n++] = order;
        double worst = 0.0;
        for (size_t e = 0; e < M * M; e++) {
            mean[e] += a[e] / ORDERS;
            worst = fmax(worst, fabs(a[e] - mean_scale * 2.0 * GAIN[e]));
        }
        assert_true(worst > 1e-4); /* one order alone charges the drift to the groups */
    }
    assert_int_equal(n, ORDERS);
    for (size_t e = 0; e < M * M; e++)
        assert_near(mean[e], mean_scale * 2.0 * GAIN[e], 1e-12);
}

/* A (2,2) of one round of two groups whose losses are noise alone. */
static void recover_noise(uint64_t seed, size_t n_sweeps, double smoothing, double *a)
{
    struct mix_method_setup setup = rounds_of(2, 40, 1, n_sweeps, 1);
    setup.options.smoothing = smoothing;
    setup.seed = seed;
    const double loss[2] = {3.0, 3.0}, gain[4] = {0};
    const struct mix_simulator_options world = {
        .n_groups = 2, .n_steps = 40, .loss = loss, .gain = gain, .noise = 0.01, .seed = seed};
    struct mix_trajectory *t = steer(&world, "aioli", &setup);
    memcpy(a, t->matrix, 4 * sizeof *a);
    mix_trajectory_destroy(t);
}

static double contrast_variance(size_t n_sweeps, double smoothing)
{
    enum { N = 4000 };
    double sum = 0.0, a[4];
    for (uint64_t seed = 1; seed <= N; seed++) {
        recover_noise(seed, n_sweeps, smoothing, a);
        sum += (a[0] - a[1]) * (a[0] - a[1]);
    }
    return sum / N;
}

/* With s of one evaluation, one sweep of two groups has the contrast +-(e0 - 2 e1 + e2): 6 s^2. */
static void test_I4_noise_of_a_contrast(void **state)
{
    (void)state;
    const double one = contrast_variance(1, 0.0);
    assert_near(one / (6.0 * 0.01 * 0.01), 1.0, 0.12);
    assert_near(one / contrast_variance(4, 0.0), 4.0, 0.5);
    assert_near(contrast_variance(1, 0.75) / one, 16.0, 2.0);
}

static void test_I4_adjacent_drops_share_an_evaluation(void **state)
{
    (void)state;
    enum { N = 4000 };
    double own = 0.0, cross = 0.0, a[4];
    for (uint64_t seed = 1; seed <= N; seed++) {
        recover_noise(seed, 1, 0.0, a); /* without smoothing A is the drops */
        own += 0.5 * (a[0] * a[0] + a[1] * a[1]);
        cross += a[0] * a[1];
    }
    assert_near(cross / own, -0.5, 0.06);
}

/* ---- relabelled groups ---- */

/* The orders of all sweeps of a run as one number: depends on the seed alone. */
static uint64_t orders_of(const struct mix_method_setup *setup, const size_t *label)
{
    uint64_t orders = 0;
    struct mix_mixer *mixer = mixer_of("aioli", setup);
    struct bench b;
    bench_init(&b);
    memcpy(b.seen.loss, START, sizeof START);
    while (mix_mixer_next(mixer, &b.segment)) {
        if (b.segment.exact)
            orders = orders * M + label[leading_group(M, b.segment.mixture)];
        if (b.segment.measure != 0)
            assert_int_equal(mix_mixer_observe(mixer, &b.seen, NULL), MIX_OK);
    }
    mix_mixer_destroy(mixer);
    return orders;
}

static void test_I5_relabelling_of_groups(void **state)
{
    (void)state;
    const size_t label[M] = {2, 0, 1}, same[M] = {0, 1, 2}; /* group j becomes label[j] */
    double loss[M], floor[M], gain[M * M];
    for (size_t i = 0; i < M; i++) {
        loss[label[i]] = START[i];
        floor[label[i]] = FLOOR[i];
        for (size_t j = 0; j < M; j++)
            gain[label[i] * M + label[j]] = GAIN[i * M + j];
    }
    struct mix_simulator_options world = world_of(60), other = world_of(60);
    world.floor = FLOOR;
    other.loss = loss;
    other.gain = gain;
    other.floor = floor;
    world.decay = other.decay = 0.05;
    struct mix_method_setup setup = rounds_of(M, 60, 2, 1, 4), twin = setup;
    const uint64_t wanted = orders_of(&setup, label);
    while (twin.seed < 2000 && orders_of(&twin, same) != wanted)
        twin.seed++;
    assert_int_equal(orders_of(&twin, same), wanted);
    struct mix_trajectory *a = steer(&world, "aioli", &setup), *b = steer(&other, "aioli", &twin);
    for (size_t t = 0; t < a->n_rounds; t++)
        for (size_t j = 0; j < M; j++)
            assert_near(a->chosen[t * M + j], b->chosen[t * M + label[j]], 1e-12);
    for (size_t j = 0; j < M; j++)
        assert_near(a->test[j], b->test[label[j]], 1e-12);
    assert_true(fabs(a->chosen[M] - a->chosen[M + 1]) > 1e-3);
    mix_trajectory_destroy(a);
    mix_trajectory_destroy(b);
}

/* ---- steps and evaluations ---- */

static void test_I6_account_of_steps(void **state)
{
    (void)state;
    const uint64_t lengths[] = {500, 503, 997}, initial[] = {0, 25};
    const size_t rounds[] = {1, 7, 10};
    const double first[M] = {0.2, 0.3, 0.5};
    for (size_t c = 0; c < 18; c++) {
        struct mix_method_setup setup = rounds_of(M, lengths[c % 3], rounds[c / 3 % 3], 2, 3);
        setup.initial_steps = initial[c / 9];
        setup.initial = first;
        struct mix_mixer *mixer = mixer_of("aioli", &setup);
        struct bench b;
        bench_init(&b);
        memcpy(b.seen.loss, START, sizeof START);
        uint64_t n_steps = 0, n_perturbed = 0, n_measured = 0;
        double mean[M] = {0};
        while (mix_mixer_next(mixer, &b.segment)) {
            n_steps += b.segment.n_steps;
            assert_int_equal(mixer->step, n_steps);
            for (size_t j = 0; b.segment.exact && j < M; j++)
                mean[j] += (double)b.segment.n_steps * b.segment.mixture[j];
            n_perturbed += b.segment.exact ? b.segment.n_steps : 0;
            if (b.segment.measure == 0)
                continue;
            n_measured++;
            assert_int_equal(mix_mixer_observe(mixer, &b.seen, NULL), MIX_OK);
        }
        assert_int_equal(n_steps, setup.n_steps);
        assert_int_equal(n_perturbed, rounds[c / 3 % 3] * M * 2 * 3);
        assert_int_equal(n_measured, rounds[c / 3 % 3] * (M * 2 + 1));
        for (size_t j = 0; j < M; j++)
            assert_near(mean[j] / (double)n_perturbed, 1.0 / M, 1e-13);
        mix_mixer_destroy(mixer);
    }
}

static void test_I6_steps_of_the_trainee(void **state)
{
    (void)state;
    const struct mix_simulator_options world = world_of(503);
    const struct mix_method_setup setup = rounds_of(M, 503, 7, 2, 3);
    struct mix_trajectory *t = steer(&world, "aioli", &setup);
    assert_int_equal(t->n_steps, 503);
    assert_int_equal(t->n_evaluations, 7 * (M * 2 + 1) + 1);
    assert_int_equal(t->n_points, t->n_evaluations);
    assert_int_equal(t->step[0], 0);
    assert_int_equal(t->step[t->n_points - 1], 503);
    for (size_t i = 0; i < M; i++) {
        assert_true(t->loss[i] == START[i]);
        assert_true(t->loss[(t->n_points - 1) * M + i] == t->test[i]);
        assert_true(t->test_se[i] == 0.0);
    }
    /* losses follow from the mixtures that the record says were in use */
    double loss[M];
    memcpy(loss, START, sizeof loss);
    for (size_t n = 0; n < t->n_points; n++)
        for (size_t i = 0; i < M; i++) {
            assert_near(t->loss[n * M + i], loss[i], 1e-12);
            for (size_t j = 0; n + 1 < t->n_points && j < M; j++)
                loss[i] -=
                    (double)(t->step[n + 1] - t->step[n]) * GAIN[i * M + j] * t->mixture[n * M + j];
        }
    mix_trajectory_destroy(t);
}

static void test_every_step_of_a_round_may_be_perturbed(void **state)
{
    (void)state;
    const struct mix_simulator_options world = world_of(36);
    const struct mix_method_setup setup = rounds_of(M, 36, 2, 2, 3);
    struct mix_trajectory *t = steer(&world, "aioli", &setup);
    assert_int_equal(t->n_steps, 36);
    assert_int_equal(t->n_rounds, 2);
    mix_trajectory_destroy(t);
}

/* ---- the path of p ---- */

static void test_I8_constant_world_gives_the_closed_form(void **state)
{
    (void)state;
    const struct mix_simulator_options world = world_of(400);
    const struct mix_method_setup setup = rounds_of(M, 400, 8, 2, 3);
    double a[M * M], g[M];
    memcpy(a, GAIN, sizeof a);
    assert_true(mix_normalise_matrix(M, a));
    mix_column_sums(M, a, g);
    struct mix_trajectory *t = steer(&world, "aioli", &setup);
    for (size_t n = 0; n < 8; n++)
        for (size_t j = 1; j < M; j++)
            assert_near(log_ratio(t->chosen + n * M, j, 0), (double)(n + 1) * 0.3 * (g[j] - g[0]),
                        1e-9);
    mix_trajectory_destroy(t);
}

static void test_I12_average_without_past_is_plain(void **state)
{
    (void)state;
    struct mix_simulator_options world = world_of(400);
    world.decay = 0.01;
    world.floor = FLOOR;
    struct mix_method_setup setup = rounds_of(M, 400, 8, 2, 3);
    setup.options.ema = 0.0;
    struct mix_trajectory *plain = steer(&world, "aioli", &setup);
    struct mix_trajectory *average = steer(&world, "aioli-ema", &setup);
    assert_memory_equal(plain->chosen, average->chosen, 8 * M * sizeof *plain->chosen);
    setup.options.ema = 0.5;
    struct mix_trajectory *slower = steer(&world, "aioli-ema", &setup);
    assert_memory_equal(plain->chosen, slower->chosen, M * sizeof *plain->chosen);
    assert_true(fabs(plain->chosen[7 * M] - slower->chosen[7 * M]) > 1e-6);
    mix_trajectory_destroy(plain);
    mix_trajectory_destroy(average);
    mix_trajectory_destroy(slower);
}

static void test_I12_released_average_stays_within_eta(void **state)
{
    (void)state;
    const struct mix_simulator_options world = world_of(1000);
    struct mix_method_setup setup = rounds_of(M, 1000, 20, 2, 3);
    struct mix_trajectory *released = steer(&world, "aioli-released", &setup);
    struct mix_trajectory *cumulative = steer(&world, "aioli-ema", &setup);
    for (size_t n = 0; n < 20; n++)
        for (size_t j = 0; j < M; j++)
            assert_true(fabs(log_ratio(released->chosen + n * M, j, 0)) <= 0.3);
    assert_true(fabs(log_ratio(cumulative->chosen + 19 * M, 2, 1)) > 0.6);
    mix_trajectory_destroy(released);
    mix_trajectory_destroy(cumulative);
}

/* ---- restricted use ---- */

static void test_I12_initial_mixture_ends_with_its_steps(void **state)
{
    (void)state;
    const struct mix_simulator_options world = world_of(400);
    const double first[M] = {0.9, 0.05, 0.05};
    struct mix_method_setup setup = rounds_of(M, 400, 5, 2, 3);
    setup.initial_steps = 20;
    setup.initial = first;
    struct mix_trajectory *after = steer(&world, "aioli", &setup);
    setup.initial_steps = 0;
    setup.n_steps = 380;
    struct mix_trajectory *alone = steer(&world, "aioli", &setup);
    assert_int_equal(after->n_steps, 400);
    assert_int_equal(after->step[1], 20);
    for (size_t j = 0; j < M; j++)
        assert_true(after->mixture[j] == first[j]);
    for (size_t e = 0; e < 5 * M; e++) /* a constant world: the same rounds, 20 steps later */
        assert_near(after->chosen[e], alone->chosen[e], 1e-11);
    for (size_t n = 0; n < 5; n++)
        assert_int_equal(after->round_step[n], alone->round_step[n] + 20);
    mix_trajectory_destroy(after);
    mix_trajectory_destroy(alone);
}

static void test_another_method_may_steer_the_initial_steps(void **state)
{
    (void)state;
    const struct mix_simulator_options world = world_of(400);
    struct mix_method_setup setup = rounds_of(M, 400, 5, 2, 3),
                            initial = rounds_of(M, 400, 8, 1, 2);
    struct mix_mixer *first = mixer_of("aioli-raw", &initial);
    setup.initial_steps = 53; /* amid a stretch of its second round */
    setup.initial_mixer = first;
    struct mix_trajectory *t = steer(&world, "aioli", &setup);
    struct mix_trajectory *alone = steer(&world, "aioli-raw", &initial);
    assert_int_equal(t->n_steps, 400);
    assert_int_equal(t->n_rounds, 5); /* the other method's are not of this one */
    size_t n = 0;
    while (t->step[n] < 53) {
        assert_int_equal(t->step[n], alone->step[n]);
        assert_memory_equal(t->loss + n * M, alone->loss + n * M, M * sizeof *t->loss);
        n++;
    }
    assert_true(n > 5);
    assert_int_equal(t->step[n], 53);
    mix_mixer_destroy(first);
    mix_trajectory_destroy(t);
    mix_trajectory_destroy(alone);
}

/* ---- worlds ---- */

static void test_I13_one_dominant_column(void **state)
{
    (void)state;
    const double gain[M * M] = {.0010, .0020, .0005, .0005, .0030, .0005, .0002, .0020, .0015};
    struct mix_simulator_options world = world_of(500);
    world.gain = gain;
    const struct mix_method_setup setup = rounds_of(M, 500, 10, 2, 2);
    struct mix_trajectory *t = steer(&world, "aioli", &setup);
    double before = 1.0 / M, even[M];
    for (size_t n = 0; n < t->n_rounds; n++) {
        assert_true(t->chosen[n * M + 1] > before);
        before = t->chosen[n * M + 1];
    }
    online_uniform(M, even);
    assert_true(test_sum(t) < static_sum(&world, even) - 0.01);
    mix_trajectory_destroy(t);
    const double level[M * M] = {.0010, .0020, .0005, .0005, .0010, .0020, .0020, .0005, .0010};
    world.gain = level; /* equal column sums: nothing is gained, nothing lost */
    t = steer(&world, "aioli", &setup);
    assert_near(test_sum(t), static_sum(&world, even), 1e-10);
    mix_trajectory_destroy(t);
}

static double unevenness(const double *matrix)
{
    double g[2];
    mix_column_sums(2, matrix, g);
    return (g[0] - g[1]) / (g[0] + g[1]);
}

/* Two groups on their own, G_jj = r_j (L_j - floor_j): column sums stay equal where they are equal
 * and p_1 r_1 = p_2 r_2, so at p_1 = r_2 / (r_1 + r_2). */
static struct mix_simulator_options concave_world(const double *loss, const double *gain,
                                                  const double *floor)
{
    return (struct mix_simulator_options){
        .n_groups = 2, .n_steps = 4000, .loss = loss, .gain = gain, .floor = floor};
}

static void test_I13_equal_column_sums_are_a_rest(void **state)
{
    (void)state;
    const double loss[2] = {4.0, 6.0}, floor[2] = {1.0, 3.0}, gain[4] = {.006, 0, 0, .006};
    const struct mix_simulator_options world = concave_world(loss, gain, floor);
    const struct mix_method_setup setup = rounds_of(2, 4000, 80, 2, 2);
    struct mix_trajectory *t = steer(&world, "aioli", &setup);
    for (size_t n = 0; n < 80; n++) /* what is left is the curvature within a round */
        assert_near(t->chosen[2 * n], 0.5, 0.01);
    mix_trajectory_destroy(t);
}

/* EGD adds up, so p does not stop there but swings around it, as predator and prey do: it turns
 * where the column sums are equal, and its mean over a swing is the rest. */
static void test_I13_swings_around_equal_column_sums(void **state)
{
    (void)state;
    const double loss[2] = {2.0, 4.0}, floor[2] = {1.0, 3.0}, gain[4] = {.004, 0, 0, .002};
    const struct mix_simulator_options world = concave_world(loss, gain, floor);
    struct mix_method_setup setup = rounds_of(2, 4000, 80, 2, 2);
    setup.options.eta = 0.5;
    struct mix_trajectory *t = steer(&world, "aioli", &setup);
    size_t turn[3], n_turns = 0;
    for (size_t n = 1; n < 80; n++) {
        const double now = unevenness(t->matrix + 4 * n),
                     before = unevenness(t->matrix + 4 * n - 4);
        assert_true((t->chosen[2 * n] > t->chosen[2 * n - 2]) == (now > 0.0));
        if ((now > 0.0) != (before > 0.0) && n_turns < 3)
            turn[n_turns++] = n;
    }
    assert_int_equal(n_turns, 3);
    double mean = 0.0;
    for (size_t n = turn[0]; n < turn[2]; n++)
        mean += t->chosen[2 * n] / (double)(turn[2] - turn[0]);
    const double perturbed = 8.0 / 50.0; /* of a round, spent at the even mixture */
    assert_near(perturbed * 0.5 + (1.0 - perturbed) * mean, 1.0 / 3.0, 0.01);
    mix_trajectory_destroy(t);
}

static void test_I14_world_that_flips(void **state)
{
    (void)state;
    const double loss[2] = {3.0, 3.0}, early[4] = {.003, .001, .001, .001},
                 late[4] = {.001, .001, .001, .003};
    const struct mix_simulator_options world = {
        .n_groups = 2, .n_steps = 500, .loss = loss, .gain = early, .gain_late = late, .flip = 250};
    const struct mix_method_setup setup = rounds_of(2, 500, 10, 2, 2);
    struct mix_trajectory *t = steer(&world, "aioli", &setup);
    for (size_t n = 1; n < 10; n++) {
        const double slope =
            log_ratio(t->chosen + 2 * n, 0, 1) - log_ratio(t->chosen + 2 * (n - 1), 0, 1);
        assert_true(n < 5 ? slope > 0.01 : slope < -0.01);
    }
    struct mix_trajectory *stale = steer(&world, "aioli-static", &setup);
    assert_int_equal(stale->n_rounds, 1);
    assert_true(log_ratio(stale->chosen, 0, 1) > 0.1);
    assert_true(stale->mixture[2 * (stale->n_points - 1)] == stale->chosen[0]);
    double mean = 0.0; /* of a run that would not flip */
    for (size_t n = 0; n < 5; n++)
        mean += log_ratio(t->chosen + 2 * n, 0, 1) / 5.0;
    assert_near(log_ratio(stale->chosen, 0, 1), mean * (10.0 + 1.0) / (5.0 + 1.0), 1e-9);
    mix_trajectory_destroy(t);
    mix_trajectory_destroy(stale);
}

/* The diagonal prefers group 1, the column sums group 2. */
static void test_I14_world_with_a_misleading_diagonal(void **state)
{
    (void)state;
    const double loss[2] = {3.0, 3.0}, gain[4] = {.003, .0025, 0, .002};
    const struct mix_simulator_options world = {
        .n_groups = 2, .n_steps = 500, .loss = loss, .gain = gain};
    const struct mix_method_setup setup = rounds_of(2, 500, 10, 2, 2);
    struct mix_trajectory *full = steer(&world, "aioli", &setup);
    struct mix_trajectory *diagonal = steer(&world, "aioli-diagonal", &setup);
    assert_true(full->chosen[18] < 0.45);
    assert_true(diagonal->chosen[18] > 0.55);
    assert_true(diagonal->matrix[1] == 0.0 && diagonal->matrix[2] == 0.0);
    /* own drop over own weight, omega = 1 - 0.75 + 0.75 / 2 */
    assert_near(diagonal->matrix[0], 2.0 * (.625 * .003 + .375 * .0025) / .625, 1e-12);
    assert_true(test_sum(full) < test_sum(diagonal));
    mix_trajectory_destroy(full);
    mix_trajectory_destroy(diagonal);
}

static void test_raw_follows_the_size_of_the_drops(void **state)
{
    (void)state;
    const struct mix_simulator_options world = world_of(500);
    const struct mix_method_setup setup = rounds_of(M, 500, 10, 2, 2);
    double g[M];
    mix_column_sums(M, GAIN, g);
    struct mix_trajectory *t = steer(&world, "aioli-raw", &setup);
    assert_near(log_ratio(t->chosen + 9 * M, 2, 0), 10 * 0.3 * 2.0 * (g[2] - g[0]), 1e-10);
    mix_trajectory_destroy(t);
}

static void test_flat_losses_move_nothing(void **state)
{
    (void)state;
    const double gain[M * M] = {0};
    struct mix_simulator_options world = world_of(500);
    world.gain = gain;
    const struct mix_method_setup setup = rounds_of(M, 500, 10, 2, 2);
    struct mix_trajectory *t = steer(&world, "aioli", &setup);
    for (size_t j = 0; j < M; j++)
        assert_near(t->chosen[9 * M + j], 1.0 / M, 1e-15);
    mix_trajectory_destroy(t);
}

static void test_orders_depend_on_seed_and_round(void **state)
{
    (void)state;
    const size_t same[M] = {0, 1, 2};
    struct mix_method_setup setup = rounds_of(M, 500, 6, 2, 2);
    const uint64_t orders = orders_of(&setup, same);
    assert_int_equal(orders_of(&setup, same), orders);
    setup.seed++;
    assert_int_not_equal(orders_of(&setup, same), orders);
    const uint64_t block = 729; /* 3^6: the two sweeps of a round */
    assert_int_not_equal(orders % block, orders / block % block);
}

static void test_perturbed_mixtures_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    const struct mix_method_setup setup = rounds_of(M, 100, 10, 2, 2);
    struct mix_mixer *mixer = NULL;
    struct mix_error err;
    assert_int_equal(mix_mixer_create(mix_method_find("aioli"), &setup, &mixer, &err), MIX_EINVAL);
    assert_string_equal(err.text,
                        "aioli: a round has 10 steps, but its perturbed mixtures take 3 groups "
                        "times sweeps 2 times interval 2 = 12; lower these or rounds (10)");
    assert_null(mixer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_I1_exact_recovery),
        cmocka_unit_test(test_I3_the_mean_over_all_orders_is_exact),
        cmocka_unit_test(test_I4_noise_of_a_contrast),
        cmocka_unit_test(test_I4_adjacent_drops_share_an_evaluation),
        cmocka_unit_test(test_I5_relabelling_of_groups),
        cmocka_unit_test(test_I6_account_of_steps),
        cmocka_unit_test(test_I6_steps_of_the_trainee),
        cmocka_unit_test(test_every_step_of_a_round_may_be_perturbed),
        cmocka_unit_test(test_I8_constant_world_gives_the_closed_form),
        cmocka_unit_test(test_I12_average_without_past_is_plain),
        cmocka_unit_test(test_I12_released_average_stays_within_eta),
        cmocka_unit_test(test_I12_initial_mixture_ends_with_its_steps),
        cmocka_unit_test(test_another_method_may_steer_the_initial_steps),
        cmocka_unit_test(test_I13_one_dominant_column),
        cmocka_unit_test(test_I13_equal_column_sums_are_a_rest),
        cmocka_unit_test(test_I13_swings_around_equal_column_sums),
        cmocka_unit_test(test_I14_world_that_flips),
        cmocka_unit_test(test_I14_world_with_a_misleading_diagonal),
        cmocka_unit_test(test_raw_follows_the_size_of_the_drops),
        cmocka_unit_test(test_flat_losses_move_nothing),
        cmocka_unit_test(test_orders_depend_on_seed_and_round),
        cmocka_unit_test(test_perturbed_mixtures_that_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
