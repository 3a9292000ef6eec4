/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The world of known dynamics that agents are tested in. Checked values are those of the
 * specification, from an integration of its own. */
#include "mixsweep/agent.h"
#include "online/steered.h"

enum { M = 3, T = 16 };

static const double loss0[M] = {1.0, 1.0, 3.0}, low[M] = {0.9, 0.9, 1.0}, high[M] = {2.5, 2.0, 3.2};

static struct mix_forgetting_options options_of(double rate, double forgetting, uint64_t each)
{
    return (struct mix_forgetting_options){.n_groups = M,
                                           .n_steps = T * each,
                                           .steps_per_decision = each,
                                           .rate = rate,
                                           .forgetting = forgetting,
                                           .loss = loss0,
                                           .low = low,
                                           .high = high,
                                           .seed = 1};
}

static struct mix_trainee *world_of(const struct mix_forgetting_options *options)
{
    struct mix_trainee *trainee = NULL;
    struct mix_error err = {.text = ""};
    if (mix_trainee_forgetting(options, &trainee, &err) != MIX_OK)
        fail_msg("%s", err.text);
    return trainee;
}

static void train(struct mix_trainee *world, uint64_t n_steps, const double *mixture)
{
    double p[M];
    memcpy(p, mixture, sizeof p);
    const struct mix_segment segment = {.n_steps = n_steps, .mixture = p};
    assert_int_equal(world->kind->train(world, &segment, NULL, NULL), MIX_OK);
}

static void look(struct mix_trainee *world, double *loss)
{
    struct mix_observation seen = {.loss = loss};
    assert_int_equal(world->kind->measure(world, MIX_MEASURE_LOSS, &seen, NULL, NULL), MIX_OK);
}

/* -(half the mean source loss + half the target loss) at the end of a static run. */
static double score(const struct mix_forgetting_options *options, const double *p)
{
    struct mix_trainee *world = world_of(options);
    struct mix_trajectory *t = mix_trajectory_create(M);
    assert_non_null(t);
    assert_int_equal(mix_online_static(world, p, options->n_steps, 0, t, NULL, NULL), MIX_OK);
    const double *end = t->test;
    const double is = -(0.25 * (end[0] + end[1]) + 0.5 * end[2]);
    mix_trajectory_destroy(t);
    mix_trainee_destroy(world);
    return is;
}

static void test_checked_values(void **state)
{
    (void)state;
    const struct {
        double rate, forgetting, p[M], score;
    } known[] = {
        {0.3, 0.05, {0.0, 0.0, 1.0}, -1.3524},
        {0.3, 0.05, {1.0 / 3, 1.0 / 3, 1.0 / 3}, -1.4643},
        {0.3, 0.05, {0.19, 0.07, 0.74}, -1.3021},
        {0.5, 0.1, {0.0, 0.0, 1.0}, -1.5003},
        {0.5, 0.1, {1.0 / 3, 1.0 / 3, 1.0 / 3}, -1.4694},
        {0.5, 0.1, {0.24, 0.13, 0.63}, -1.3641},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        const struct mix_forgetting_options eight =
            options_of(known[i].rate, known[i].forgetting, 8);
        const struct mix_forgetting_options two = options_of(known[i].rate, known[i].forgetting, 2);
        /* shares are given to two digits: at the optimum that costs less than 1e-4 */
        assert_near(score(&eight, known[i].p), known[i].score, 1.1e-4);
        assert_near(score(&two, known[i].p), score(&eight, known[i].p), 1e-12);
    }
}

/* No other static mixture on a grid is better than the checked best. */
static void test_best_static(void **state)
{
    (void)state;
    const struct mix_forgetting_options options = options_of(0.5, 0.1, 8);
    const double best[M] = {0.24, 0.13, 0.63};
    const double most = score(&options, best);
    for (int i = 0; i <= 20; i++)
        for (int j = 0; i + j <= 20; j++) {
            const double p[M] = {i / 20.0, j / 20.0, (20 - i - j) / 20.0};
            assert_true(score(&options, p) <= most + 1e-4);
        }
}

/* I3: on the target alone its loss falls and source losses rise; more of it, more of that. */
static void test_I3_trade(void **state)
{
    (void)state;
    const struct mix_forgetting_options options = options_of(0.4, 0.075, 8);
    double before[M] = {0.0};
    for (int share = 0; share <= 10; share++) {
        struct mix_trainee *world = world_of(&options);
        const double p[M] = {(10 - share) / 20.0, (10 - share) / 20.0, share / 10.0};
        double now[M];
        train(world, options.n_steps, p);
        look(world, now);
        for (size_t i = 0; share > 0 && i < M; i++)
            assert_true(i < 2 ? now[i] > before[i] : now[i] < before[i]);
        if (share == 10)
            assert_true(now[0] > loss0[0] && now[1] > loss0[1] && now[2] < loss0[2]);
        memcpy(before, now, sizeof before);
        mix_trainee_destroy(world);
    }
}

static void test_fork_and_restart(void **state)
{
    (void)state;
    const struct mix_forgetting_options options = options_of(0.4, 0.075, 8);
    struct mix_trainee *world = world_of(&options);
    const double p[M] = {0.2, 0.3, 0.5}, q[M] = {0.0, 0.0, 1.0};
    double first[M], again[M];
    struct mix_error err;
    assert_int_equal(world->can, MIX_CAN_FORK);
    train(world, 5, p);
    assert_int_equal(world->kind->snapshot(world, 3, NULL, &err), MIX_OK);
    train(world, 7, q);
    look(world, first);
    train(world, 9, p);
    assert_int_equal(world->kind->restore(world, 3, NULL, &err), MIX_OK);
    train(world, 7, q);
    look(world, again);
    assert_memory_equal(first, again, sizeof first);
    assert_int_equal(world->kind->restart(world, NULL, &err), MIX_OK);
    look(world, again);
    assert_memory_equal(again, loss0, sizeof again);
    assert_int_equal(world->kind->restore(world, 2, NULL, &err), MIX_EINVAL);
    assert_string_equal(err.text, "forgetting: no snapshot is in slot 2");
    assert_int_equal(world->kind->snapshot(world, -1, NULL, &err), MIX_EINVAL);
    assert_int_equal(world->kind->snapshot(world, 99, NULL, &err), MIX_EINVAL);
    mix_trainee_destroy(world);
}

/* Noise is of the look, by state: the same state looks the same, the state has none. */
static void test_noise(void **state)
{
    (void)state;
    struct mix_forgetting_options options = options_of(0.4, 0.075, 8);
    const double p[M] = {0.2, 0.3, 0.5};
    options.noise = 0.05;
    struct mix_trainee *world = world_of(&options);
    double first[M], again[M], se[M], later[M];
    look(world, first);
    look(world, again);
    assert_memory_equal(first, again, sizeof first);
    assert_true(fabs(first[0] - loss0[0]) > 0.0 && fabs(first[0] - loss0[0]) < 0.5);
    assert_int_equal(world->kind->test(world, again, se, NULL, NULL), MIX_OK);
    assert_memory_equal(again, loss0, sizeof again);
    train(world, 1, p);
    look(world, later);
    assert_true(fabs(later[0] - first[0]) > 1e-3); /* other noise in another state */
    mix_trainee_destroy(world);
}

static void refused(struct mix_forgetting_options options, const char *why)
{
    struct mix_trainee *trainee = NULL;
    struct mix_error err = {.text = ""};
    assert_int_equal(mix_trainee_forgetting(&options, &trainee, &err), MIX_EINVAL);
    assert_null(trainee);
    if (strstr(err.text, why) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, why);
}

static void test_refusals(void **state)
{
    (void)state;
    const double bad[M] = {1.0, NAN, 1.0};
    struct mix_forgetting_options o = options_of(0.4, 0.075, 8);
    o.n_groups = 0;
    refused(o, "0 groups; 1 to 64");
    o = options_of(0.4, 0.075, 8);
    o.steps_per_decision = 0;
    refused(o, "a decision of 0 steps");
    refused(options_of(9.0, 0.075, 8), "rate 9");
    refused(options_of(0.4, -1.0, 8), "forgetting -1");
    o = options_of(0.4, 0.075, 8);
    o.high = bad;
    refused(o, "high nan of group 2");
    o = options_of(0.4, 0.075, 8);
    o.noise = NAN;
    refused(o, "noise");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checked_values), cmocka_unit_test(test_best_static),
        cmocka_unit_test(test_I3_trade),       cmocka_unit_test(test_fork_and_restart),
        cmocka_unit_test(test_noise),          cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
