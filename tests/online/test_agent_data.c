/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Plans of trajectories; utility, rewards and their scale: invariant I4 of the specification. */
#include "online/losssim.h"
#include "online/steered.h"

enum { N = 64 };

static void simple_space(size_t n_slots, size_t n_decisions, struct mix_agent_space *space,
                         double *natural)
{
    *space = (struct mix_agent_space){n_slots, n_slots / 2, n_decisions, 0.5, 0.5};
    for (size_t i = 0; i < n_slots; i++)
        natural[i] = 1.0 + (double)(i % 3);
}

static double *plan_of(const struct mix_agent_space *space, const double *natural, size_t n,
                       uint64_t seed, int32_t *stratum)
{
    double *plan = malloc(n * space->n_decisions * space->n_slots * sizeof *plan);
    struct mix_error err = {.text = ""};
    assert_non_null(plan);
    if (mix_agent_plan(space, natural, n, seed, plan, stratum, &err) != MIX_OK)
        fail_msg("%s", err.text);
    return plan;
}

static double mass(const double *p, size_t from, size_t to)
{
    double sum = 0.0;
    for (size_t i = from; i < to; i++)
        sum += p[i];
    return sum;
}

static void test_plan_is_of_mixtures(void **state)
{
    (void)state;
    const size_t sizes[] = {2, 6, 52, MIX_GROUPS_MAX}, n_decisions[] = {1, 16, 40, 5};
    for (size_t k = 0; k < 4; k++) {
        struct mix_agent_space space;
        double natural[MIX_GROUPS_MAX];
        int32_t stratum[40];
        simple_space(sizes[k], n_decisions[k], &space, natural);
        double *plan = plan_of(&space, natural, 40, 3, stratum);
        for (size_t row = 0; row < 40 * n_decisions[k]; row++) {
            const double *p = plan + row * sizes[k];
            for (size_t i = 0; i < sizes[k]; i++)
                assert_true(p[i] >= 0.0);
            assert_near(mass(p, 0, sizes[k]), 1.0, 1e-9);
        }
        free(plan);
    }
}

/* The first of a longer plan are a plan; another seed makes another. */
static void test_plan_by_seed_and_index(void **state)
{
    (void)state;
    struct mix_agent_space space;
    double natural[MIX_GROUPS_MAX];
    int32_t stratum[2 * N], again[2 * N];
    simple_space(6, 16, &space, natural);
    double *longer = plan_of(&space, natural, 2 * N, 3, stratum);
    double *shorter = plan_of(&space, natural, N, 3, again);
    double *other = plan_of(&space, natural, N, 4, again);
    assert_memory_equal(longer, shorter, N * 16 * 6 * sizeof *longer);
    assert_memory_equal(stratum, again, N * sizeof *stratum);
    assert_memory_not_equal(longer, other, 16 * 6 * sizeof *longer);
    free(longer);
    free(shorter);
    free(other);
}

static void test_strata(void **state)
{
    (void)state;
    struct mix_agent_space space;
    double natural[MIX_GROUPS_MAX];
    int32_t stratum[100];
    size_t count[MIX_AGENT_STRATA] = {0}, held[MIX_AGENT_STRATA] = {0};
    const size_t expected[MIX_AGENT_STRATA] = {70, 10, 10, 5, 5};
    simple_space(6, 16, &space, natural);
    double *plan = plan_of(&space, natural, 100, 3, stratum);
    for (size_t i = 0; i < 100; i++) {
        const double *first = plan + i * 16 * 6, *last = first + 15 * 6;
        bool constant = true;
        for (size_t k = 0; k < 6; k++)
            constant = constant && first[k] == last[k];
        count[stratum[i]]++;
        held[stratum[i]] += mix_agent_held_out(i);
        assert_int_equal(constant,
                         stratum[i] != MIX_AGENT_SCORED && stratum[i] != MIX_AGENT_RANDOM);
        if (stratum[i] == MIX_AGENT_TARGET)
            assert_near(mass(first, 3, 6), 1.0, 1e-12);
        if (stratum[i] == MIX_AGENT_FIELD) { /* natural shares: 1, 2, 3 within both fields */
            assert_near(first[1] / first[0], 2.0, 1e-9);
            assert_near(first[5] / first[3], 3.0, 1e-9);
            assert_true(mass(first, 3, 6) >= 0.1 && mass(first, 3, 6) <= 0.9);
        }
    }
    assert_memory_equal(count, expected, sizeof count);
    assert_int_equal(held[0] + held[1] + held[2] + held[3] + held[4], 10);
    for (size_t s = 0; s < MIX_AGENT_STRATA; s++)
        assert_true(held[s] <= 7 && held[s] * 100 <= count[s] * 20);
    free(plan);
}

/* What the scored ones are for: between them small target masses early and all of them late, and
 * gradual moves as well as jumps. */
static void test_scored_cover(void **state)
{
    (void)state;
    struct mix_agent_space space;
    double natural[MIX_GROUPS_MAX];
    int32_t stratum[N];
    size_t bin[2][5] = {{0}}, gradual = 0, n = 0;
    simple_space(6, 16, &space, natural);
    double *plan = plan_of(&space, natural, N, 3, stratum);
    for (size_t i = 0; i < N; i++) {
        if (stratum[i] != MIX_AGENT_SCORED)
            continue;
        double most = 0.0;
        for (size_t t = 0; t < 16; t++) {
            const double *p = plan + (i * 16 + t) * 6;
            const size_t at = (size_t)fmin(4.0, 5.0 * mass(p, 3, 6));
            double move = 0.0;
            for (size_t k = 0; t > 0 && k < 6; k++)
                move += fabs(p[k] - p[k - 6]);
            most = fmax(most, move);
            bin[t >= 8][at]++;
        }
        gradual += most < 0.5;
        n++;
    }
    for (size_t b = 0; b < 5; b++)
        assert_true((bin[0][b] > 4 || b > 2) && bin[1][b] > 4);
    assert_true(gradual > n / 10 && gradual < n * 9 / 10);
    free(plan);
}

static void refused_plan(struct mix_agent_space space, double share, const char *why)
{
    double natural[MIX_GROUPS_MAX], plan[16 * 6];
    int32_t stratum;
    struct mix_error err = {.text = ""};
    for (size_t i = 0; i < MIX_GROUPS_MAX; i++)
        natural[i] = share;
    assert_int_equal(mix_agent_plan(&space, natural, 1, 1, plan, &stratum, &err), MIX_EINVAL);
    if (strstr(err.text, why) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, why);
}

static void test_refused_plans(void **state)
{
    (void)state;
    refused_plan((struct mix_agent_space){1, 1, 16, 0.5, 0.5}, 1.0, "1 slots; 2 to 64");
    refused_plan((struct mix_agent_space){6, 6, 16, 0.5, 0.5}, 1.0, "6 of 6 slots");
    refused_plan((struct mix_agent_space){6, 0, 16, 0.5, 0.5}, 1.0, "0 of 6 slots");
    refused_plan((struct mix_agent_space){6, 3, 0, 0.5, 0.5}, 1.0, "0 decisions");
    refused_plan((struct mix_agent_space){6, 3, 16, -0.5, 0.5}, 1.0, "are -0.5 and 0.5");
    refused_plan((struct mix_agent_space){6, 3, 16, NAN, 0.5}, 1.0, "are nan and 0.5");
    refused_plan((struct mix_agent_space){6, 3, 16, 0.5, 0.5}, 0.0, "share of slot 1 is 0");
    refused_plan((struct mix_agent_space){6, 3, 16, 0.5, 0.5}, NAN, "share of slot 1 is nan");
}

static void test_I4_rewards_telescope(void **state)
{
    (void)state;
    struct mix_agent_data *data = losssim_data(N, 1, 0.5);
    struct mix_agent_scale scale, other;
    double sum = 0.0, squares = 0.0, count = 0.0;
    assert_int_equal(mix_agent_scale_of(data, &scale, NULL), MIX_OK);
    for (size_t i = 0; i < N; i++) {
        double reward[SIM_DECISIONS], all = 0.0;
        agent_rewards(data, &scale, i, reward);
        for (size_t t = 0; t < SIM_DECISIONS; t++) {
            all += reward[t];
            if (data->held_out[i] == 0) {
                sum += reward[t];
                squares += reward[t] * reward[t];
                count += 1.0;
            }
        }
        assert_near(all, scale.reward * agent_end(data, &scale, i), 1e-9);
    }
    assert_near(squares / count - pow(sum / count, 2.0), 1.0, 1e-9);

    /* other weights change rewards alone */
    const double before = agent_end(data, &scale, 5), seen = data->feedback[77];
    data->space.source_weight = 0.0;
    data->space.target_weight = 1.0;
    assert_int_equal(mix_agent_scale_of(data, &other, NULL), MIX_OK);
    assert_memory_equal(other.sigma, scale.sigma, SIM_SLOTS * sizeof *scale.sigma);
    const double *end = agent_feedback(data, 5) + SIM_DECISIONS * SIM_SLOTS;
    assert_near(agent_end(data, &other, 5), (end[2] - agent_feedback(data, 5)[2]) / other.sigma[2],
                1e-12);
    assert_true(fabs(agent_end(data, &other, 5) - before) > 1e-3);
    assert_true(data->feedback[77] == seen);
    mix_agent_data_destroy(data);
}

/* The scale is of trajectories that are not held out. */
static void test_scale_of_training(void **state)
{
    (void)state;
    struct mix_agent_data *data = losssim_data(N, 1, 0.5);
    struct mix_agent_scale scale, again;
    assert_int_equal(mix_agent_scale_of(data, &scale, NULL), MIX_OK);
    for (size_t i = 0; i < N; i++)
        for (size_t e = SIM_SLOTS; data->held_out[i] != 0 && e < (SIM_DECISIONS + 1) * SIM_SLOTS;
             e++)
            data->feedback[i * (SIM_DECISIONS + 1) * SIM_SLOTS + e] *= 3.0;
    assert_int_equal(mix_agent_scale_of(data, &again, NULL), MIX_OK);
    assert_memory_equal(&scale, &again, sizeof scale);
    mix_agent_data_destroy(data);
}

static void refused_scale(const struct mix_agent_data *data, const char *why)
{
    struct mix_agent_scale scale;
    struct mix_error err = {.text = ""};
    assert_int_equal(mix_agent_scale_of(data, &scale, &err), MIX_EINVAL);
    if (strstr(err.text, why) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, why);
}

static void test_refused_data(void **state)
{
    (void)state;
    struct mix_agent_data *data = losssim_data(4, 1, 0.5);
    const size_t row = (SIM_DECISIONS + 1) * SIM_SLOTS;
    double *at = data->feedback + 2 * row + 4;
    const double kept = *at;
    *at = NAN;
    refused_scale(data, "trajectory 3, decision 1: the feedback of slot 2 is nan");
    *at = kept;
    data->mixture[SIM_DECISIONS * SIM_SLOTS] = 1.5;
    refused_scale(data, "trajectory 2, decision 1: the share of slot 1 is 1.5");
    data->mixture[SIM_DECISIONS * SIM_SLOTS] = 0.5;
    for (size_t i = 0; i < 4; i++)
        data->feedback[i * row + row - 1] = data->feedback[i * row + 2] + 0.5;
    refused_scale(data, "slot 3 ends alike in all 4 trajectories");
    data->held_out[0] = data->held_out[1] = data->held_out[2] = 1;
    refused_scale(data, "1 of 4 trajectories");
    mix_agent_data_destroy(data);
    mix_agent_data_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plan_is_of_mixtures),
        cmocka_unit_test(test_plan_by_seed_and_index),
        cmocka_unit_test(test_strata),
        cmocka_unit_test(test_scored_cover),
        cmocka_unit_test(test_refused_plans),
        cmocka_unit_test(test_I4_rewards_telescope),
        cmocka_unit_test(test_scale_of_training),
        cmocka_unit_test(test_refused_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
