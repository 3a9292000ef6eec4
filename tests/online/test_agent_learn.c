/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The agent's learning: invariants I9 to I12 of the specification, from tables, whose values were
 * checked by other means, to episodes in worlds of known dynamics; files and steering. */
#include "online/agent_cql.h"
#include "online/losssim.h"
#include "online/steered.h"

/* ---- I9: tables. The arithmetic is what the networks are trained by; every action is listed. ----
 */

enum { ACTIONS = 3 };

/* Descend the conservative loss of one state whose actions were taken in shares beta, with targets
 * y of each. */
static void descend(size_t n, const double *beta, const double *y, double alpha, double rate,
                    size_t n_steps, double *q)
{
    for (size_t step = 0; step < n_steps; step++) {
        double d_q[ACTIONS] = {0.0};
        for (size_t a = 0; a < n; a++) {
            double d_values[ACTIONS], d_data;
            agent_cql_loss(q[a], y[a], alpha, n, q, NULL, d_values, &d_data);
            for (size_t i = 0; i < n; i++)
                d_q[i] += beta[a] * (d_values[i] + (i == a ? d_data : 0.0));
        }
        for (size_t i = 0; i < n; i++)
            q[i] -= rate * d_q[i];
    }
}

static void softmax(size_t n, const double *q, double *p)
{
    mix_softmax(n, q, p);
}

static void test_I9_bandit(void **state)
{
    (void)state;
    const double beta[ACTIONS] = {0.5, 0.3, 0.2}, r[ACTIONS] = {0.0, 1.0, 0.5};
    const struct {
        double alpha, q[ACTIONS], gap; /* E over softmax(Q) of Q - r */
    } known[] = {{0.0, {0.0, 1.0, 0.5}, 0.0},
                 {0.5, {0.2326, 0.7514, 0.2913}, -0.109},
                 {1.0, {0.3599, 0.6184, 0.1728}, -0.130},
                 {5.0, {0.6132, 0.3547, -0.0651}, -0.075}};
    for (size_t k = 0; k < sizeof known / sizeof known[0]; k++) {
        double q[ACTIONS] = {0.0}, p[ACTIONS], gap = 0.0;
        descend(ACTIONS, beta, r, known[k].alpha, 0.3, 20000, q);
        softmax(ACTIONS, q, p);
        for (size_t a = 0; a < ACTIONS; a++) {
            gap += p[a] * (q[a] - r[a]);
            assert_near(q[a], known[k].q[a], 6e-5);
            assert_near(q[a], r[a] + known[k].alpha * (1.0 - p[a] / beta[a]), 1e-9);
        }
        assert_near(gap, known[k].gap, 6e-4);
    }
    double q[ACTIONS] = {0.0}, p[ACTIONS];
    descend(ACTIONS, beta, r, 200.0, 0.005, 40000, q); /* near the limit of cloning */
    softmax(ACTIONS, q, p);
    assert_near(p[0], 0.498, 6e-4);
    assert_near(p[1], 0.301, 6e-4);
    assert_near(p[2], 0.201, 6e-4);
}

/* An action that was never taken, thought good at first. */
static void test_I9_unseen_action(void **state)
{
    (void)state;
    const double beta[ACTIONS] = {0.6, 0.4, 0.0}, r[ACTIONS] = {0.0, 1.0, 0.0};
    double q[ACTIONS] = {0.0, 0.0, 3.0};
    descend(ACTIONS, beta, r, 0.0, 0.1, 20000, q);
    assert_true(q[2] == 3.0 && q[1] < q[2]); /* chosen */
    descend(ACTIONS, beta, r, 1.0, 0.1, 20000, q);
    assert_true(q[2] < -5.0 && q[1] > q[0]); /* the best that was seen is */
}

/* A chain of five states, the last a goal of reward 1: 0 left, 1 right (taken in 40 % of cases), 2
 * a trap that was never tried and is thought good. */
static void walk_chain(double alpha, char greedy[5])
{
    enum { N = 4 };
    const double beta[ACTIONS] = {0.6, 0.4, 0.0};
    double q[N][ACTIONS];
    for (size_t s = 0; s < N; s++)
        for (size_t a = 0; a < ACTIONS; a++)
            q[s][a] = a == 2 ? 2.0 : 0.0;
    for (size_t sweep = 0; sweep < 20000; sweep++)
        for (size_t s = 0; s < N; s++) {
            double y[ACTIONS] = {0.0};
            for (size_t a = 0; a < 2; a++) {
                const size_t to = a == 1 ? s + 1 : s > 0 ? s - 1 : 0;
                const bool done = to == N;
                const double *next = q[done ? 0 : to];
                y[a] = agent_cql_target(done ? 1.0 : 0.0, 0.95, done,
                                        fmax(next[0], fmax(next[1], next[2])));
            }
            descend(ACTIONS, beta, y, alpha, 0.1, 1, q[s]);
        }
    for (size_t s = 0; s < N; s++) {
        size_t best = 0;
        for (size_t a = 1; a < ACTIONS; a++)
            best = q[s][a] > q[s][best] ? a : best;
        greedy[s] = (char)('0' + best);
    }
    greedy[N] = '\0';
}

static void test_I9_chain(void **state)
{
    (void)state;
    char greedy[5];
    walk_chain(0.0, greedy);
    assert_string_equal(greedy, "2222");
    walk_chain(0.05, greedy);
    assert_string_equal(greedy, "1111"); /* the best policy within the data */
    walk_chain(0.5, greedy);
    assert_string_equal(greedy, "0000"); /* the mode of behaviour */
}

/* Densities take the place of listing: with values v and densities p, weights exp(v - log p). */
static void test_importance_weights(void **state)
{
    (void)state;
    const double values[] = {0.3, -1.0, 2.0, 0.5}, log_density[] = {0.1, 1.5, -0.7, 0.0};
    double d_values[4], d_data, sum = 0.0, all = 0.0;
    for (size_t i = 0; i < 4; i++)
        sum += exp(values[i] - log_density[i]);
    const double loss = agent_cql_loss(0.4, 1.0, 0.3, 4, values, log_density, d_values, &d_data);
    assert_near(loss, 0.18 + 0.3 * (log(sum) - 0.4), 1e-12);
    for (size_t i = 0; i < 4; i++) {
        assert_near(d_values[i], 0.3 * exp(values[i] - log_density[i]) / sum, 1e-12);
        all += d_values[i];
    }
    assert_near(d_data, -0.6 - 0.3, 1e-12);
    assert_near(all, 0.3, 1e-12);
    assert_near(agent_cql_target(0.5, 0.9, false, 2.0), 2.3, 1e-12);
    assert_true(agent_cql_target(0.5, 0.9, true, NAN) == 0.5);
}

/* ---- agents, small ---- */

static struct mix_agent_options small_options(void)
{
    const struct mix_agent_space space = losssim_space();
    struct mix_agent_options o = mix_agent_defaults(&space);
    o.width = 16;
    o.n_layers = 1;
    o.n_heads = 2;
    o.batch = 8;
    o.n_supervised = 300;
    o.n_updates = 10;
    return o;
}

static struct mix_agent *train(const struct mix_agent_data *data,
                               const struct mix_agent_options *options,
                               struct mix_agent_report *report)
{
    struct mix_agent *agent = NULL;
    struct mix_error err = {.text = ""};
    if (mix_agent_train(data, options, &agent, report, NULL, &err) != MIX_OK)
        fail_msg("%s", err.text);
    return agent;
}

static double distance(const double *a, const double *b)
{
    double sum = 0.0;
    for (size_t i = 0; i < SIM_SLOTS; i++)
        sum += fabs(a[i] - b[i]);
    return sum;
}

/* Let trajectories of all worlds hold one mixture. */
static void hold(struct mix_agent_data *data, const double *p)
{
    for (size_t i = 0; i < data->n; i++) {
        struct mix_trainee *world = losssim_world(9, i, 0.5);
        struct losssim_episode episode;
        losssim_play(world, NULL, p, &episode);
        memcpy(data->mixture + i * SIM_DECISIONS * SIM_SLOTS, episode.mixture,
               sizeof episode.mixture);
        memcpy(data->feedback + i * (SIM_DECISIONS + 1) * SIM_SLOTS, episode.feedback,
               sizeof episode.feedback);
        mix_trainee_destroy(world);
    }
}

static void test_I10_constant_mixture(void **state)
{
    (void)state;
    const double p[SIM_SLOTS] = {0.15, 0.25, 0.6};
    struct mix_agent_data *data = losssim_data(20, 1, 0.5);
    struct mix_agent_options o = small_options();
    struct mix_agent_report report;
    hold(data, p);
    o.supervised_only = true;
    o.n_supervised = 600;
    o.rate_supervised = 3e-3;
    struct mix_agent *agent = train(data, &o, &report);
    struct mix_trainee *world = losssim_world(77, 0, 0.5);
    struct losssim_episode episode;
    losssim_play(world, agent, NULL, &episode);
    for (size_t t = 0; t < SIM_DECISIONS; t++)
        assert_true(distance(episode.mixture + t * SIM_SLOTS, p) < 0.01);
    assert_true(report.n_supervised <= 600 && report.n_params == mix_agent_head(agent).n_weights);
    mix_trainee_destroy(world);
    mix_agent_destroy(agent);
    mix_agent_data_destroy(data);
}

/* One good trajectory of three, none held out: it can be known by heart. */
static void test_I10_one_trajectory(void **state)
{
    (void)state;
    struct mix_agent_data *data = losssim_data(3, 5, 0.5);
    struct mix_agent_options o = small_options();
    struct mix_agent_scale scale;
    struct mix_agent_report report;
    o.supervised_only = true;
    o.good_share = 0.3;
    o.noise = 0.0;
    o.n_supervised = 1000;
    o.rate_supervised = 3e-3;
    assert_int_equal(mix_agent_scale_of(data, &scale, NULL), MIX_OK);
    size_t good = 0;
    for (size_t i = 1; i < 3; i++)
        good = agent_end(data, &scale, i) > agent_end(data, &scale, good) ? i : good;
    struct mix_agent *agent = train(data, &o, &report);
    for (size_t t = 0; t < SIM_DECISIONS; t++) {
        double p[SIM_SLOTS];
        mix_agent_act(agent, t, agent_mixtures(data, good), agent_feedback(data, good), p);
        assert_true(distance(p, agent_mixtures(data, good) + t * SIM_SLOTS) < 0.05);
    }
    assert_true(isnan(report.value)); /* nothing is held out to judge by */
    mix_agent_destroy(agent);
    mix_agent_data_destroy(data);
}

/* The same from the same seed, to the bit; another from another. */
static void test_training_is_determined(void **state)
{
    (void)state;
    struct mix_agent_data *data = losssim_data(20, 1, 0.5);
    struct mix_agent_options o = small_options();
    struct mix_agent_report report, again;
    o.n_supervised = 20;
    struct mix_agent *first = train(data, &o, &report), *second = train(data, &o, &again);
    o.seed = 2;
    struct mix_agent *other = train(data, &o, NULL);
    const size_t bytes = report.n_params * sizeof(float);
    assert_memory_equal(mix_agent_weights(first), mix_agent_weights(second), bytes);
    assert_memory_not_equal(mix_agent_weights(first), mix_agent_weights(other), bytes);
    assert_true(report.value == again.value && isfinite(report.value));
    assert_true(report.supervised_loss == again.supervised_loss);
    mix_agent_destroy(first);
    mix_agent_destroy(second);
    mix_agent_destroy(other);
    mix_agent_data_destroy(data);
}

static void test_restored_agent_acts_alike(void **state)
{
    (void)state;
    struct mix_agent_data *data = losssim_data(20, 1, 0.5);
    struct mix_agent_options o = small_options();
    struct mix_agent *copy = NULL, *agent = NULL;
    struct mix_error err;
    o.n_supervised = 20;
    for (size_t trunk = 0; trunk < 2; trunk++) {
        o.trunk = (enum mix_agent_trunk)trunk;
        agent = train(data, &o, NULL);
        struct mix_agent_head head = mix_agent_head(agent);
        const float *weights = mix_agent_weights(agent);
        assert_int_equal(mix_agent_restore(&head, weights, head.n_weights, o.isa, &copy, &err),
                         MIX_OK);
        for (size_t t = 0; t < SIM_DECISIONS; t += 3) {
            double p[SIM_SLOTS], q[SIM_SLOTS];
            mix_agent_act(agent, t, agent_mixtures(data, 1), agent_feedback(data, 1), p);
            mix_agent_act(copy, t, agent_mixtures(data, 1), agent_feedback(data, 1), q);
            assert_memory_equal(p, q, sizeof p);
            assert_near(p[0] + p[1] + p[2], 1.0, 1e-12);
        }
        mix_agent_destroy(copy);
        copy = NULL;
        assert_int_equal(mix_agent_restore(&head, weights, head.n_weights - 1, o.isa, &copy, &err),
                         MIX_EFORMAT);
        assert_non_null(strstr(err.text, "weights, "));
        head.width = 17;
        assert_int_equal(mix_agent_restore(&head, weights, head.n_weights, o.isa, &copy, &err),
                         MIX_EFORMAT);
        head = mix_agent_head(agent);
        head.scale.sigma[1] = -1.0;
        assert_int_equal(mix_agent_restore(&head, weights, head.n_weights, o.isa, &copy, &err),
                         MIX_EFORMAT);
        assert_null(copy);
        mix_agent_destroy(agent);
    }
    mix_agent_data_destroy(data);
}

/* To the bit: of a history that grows, of one that is asked for as a whole, of an earlier decision
 * asked for again, of another history in between. */
static void test_a_decision_hangs_on_its_history_alone(void **state)
{
    (void)state;
    enum { LAST = SIM_DECISIONS - 1 };
    struct mix_agent_data *data = losssim_data(20, 1, 0.5);
    struct mix_agent_options o = small_options();
    double grown[SIM_DECISIONS][SIM_SLOTS], p[SIM_SLOTS];
    o.n_supervised = 5;
    for (size_t trunk = 0; trunk < 2; trunk++) {
        o.trunk = (enum mix_agent_trunk)trunk;
        struct mix_agent *agent = train(data, &o, NULL), *fresh = train(data, &o, NULL);
        const double *mixtures = agent_mixtures(data, 1), *seen = agent_feedback(data, 1);
        for (size_t t = 0; t < SIM_DECISIONS; t++)
            mix_agent_act(agent, t, mixtures, seen, grown[t]);
        mix_agent_act(fresh, LAST, mixtures, seen, p);
        assert_memory_equal(p, grown[LAST], sizeof p);
        const size_t asked[] = {LAST, 3, 3, 7, 0, 1};
        for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
            if (i % 2 == 1)
                mix_agent_act(fresh, i, agent_mixtures(data, 2), agent_feedback(data, 2), p);
            mix_agent_act(fresh, asked[i], mixtures, seen, p);
            assert_memory_equal(p, grown[asked[i]], sizeof p);
            mix_agent_act(agent, asked[i], mixtures, seen, p);
            assert_memory_equal(p, grown[asked[i]], sizeof p);
        }
        assert_memory_not_equal(grown[0], grown[LAST], sizeof p);
        mix_agent_destroy(agent);
        mix_agent_destroy(fresh);
    }
    mix_agent_data_destroy(data);
}

static void test_blind_agent_sees_nothing(void **state)
{
    (void)state;
    struct mix_agent_data *data = losssim_data(20, 1, 0.5);
    struct mix_agent_options o = small_options();
    double p[SIM_SLOTS], q[SIM_SLOTS];
    for (int blind = 0; blind < 2; blind++) {
        o.blind = blind == 1;
        o.n_supervised = 40;
        struct mix_agent *agent = train(data, &o, NULL);
        mix_agent_act(agent, 8, agent_mixtures(data, 1), agent_feedback(data, 1), p);
        mix_agent_act(agent, 8, agent_mixtures(data, 1), agent_feedback(data, 2), q);
        assert_int_equal(distance(p, q) == 0.0, blind);
        mix_agent_destroy(agent);
    }
    mix_agent_data_destroy(data);
}

static void refused(const struct mix_agent_data *data, struct mix_agent_options o, const char *why)
{
    struct mix_agent *agent = NULL;
    struct mix_error err = {.text = ""};
    assert_int_equal(mix_agent_train(data, &o, &agent, NULL, NULL, &err), MIX_EINVAL);
    assert_null(agent);
    if (strstr(err.text, why) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, why);
}

static void test_refusals(void **state)
{
    (void)state;
    struct mix_agent_data *data = losssim_data(4, 1, 0.5);
    struct mix_agent_options o = small_options();
    o.alpha = NAN;
    refused(data, o, "option alpha is nan");
    o = small_options();
    o.good_share = 0.0;
    refused(data, o, "option good_share is 0");
    o = small_options();
    o.batch = 0;
    refused(data, o, "option batch is 0");
    o = small_options();
    o.width = 17;
    refused(data, o, "width is 17");
    o = small_options();
    o.n_heads = 3;
    refused(data, o, "3 heads");
    for (size_t i = 1; i < data->n; i++)
        data->held_out[i] = 1;
    refused(data, small_options(), "1 of 4 trajectories");
    mix_agent_data_destroy(data);
}

/* ---- at the wheel ---- */

static void test_agent_steers(void **state)
{
    (void)state;
    struct mix_agent_data *data = losssim_data(20, 1, 0.5);
    struct mix_agent_options o = small_options();
    o.n_supervised = 40;
    struct mix_agent *agent = train(data, &o, NULL);
    struct mix_method_setup setup = setup_of(SIM_SLOTS, SIM_DECISIONS * SIM_STEPS);
    setup.agent = agent;
    struct mix_mixer *mixer = mixer_of("agent", &setup);
    struct mix_trainee *world = losssim_world(5, 0, 0.5);
    struct mix_trajectory *t = mix_trajectory_create(SIM_SLOTS);
    struct losssim_episode played;
    assert_int_equal(mix_online_steer(world, mixer, t, NULL, NULL), MIX_OK);
    losssim_play(world, agent, NULL, &played);
    assert_int_equal(t->n_points, SIM_DECISIONS + 1);
    assert_int_equal(t->n_steps, SIM_DECISIONS * SIM_STEPS);
    for (size_t k = 0; k < SIM_DECISIONS; k++) {
        assert_int_equal(t->step[k], k * SIM_STEPS);
        assert_memory_equal(t->mixture + k * SIM_SLOTS, played.mixture + k * SIM_SLOTS,
                            SIM_SLOTS * sizeof(double));
    }
    mix_trajectory_destroy(t);
    mix_trainee_destroy(world);
    mix_mixer_destroy(mixer);
    mix_agent_destroy(agent);
    mix_agent_data_destroy(data);
}

static void no_mixer(const struct mix_method_setup *setup, const char *why)
{
    struct mix_mixer *mixer = NULL;
    struct mix_error err = {.text = ""};
    assert_int_equal(mix_mixer_create(mix_method_find("agent"), setup, &mixer, &err), MIX_EINVAL);
    assert_null(mixer);
    if (strstr(err.text, why) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, why);
}

static void test_agent_refuses_to_steer(void **state)
{
    (void)state;
    struct mix_agent_data *data = losssim_data(4, 1, 0.5);
    struct mix_agent_options o = small_options();
    o.n_supervised = 1;
    o.supervised_only = true;
    struct mix_agent *agent = train(data, &o, NULL);
    struct mix_method_setup setup = setup_of(SIM_SLOTS, 100);
    no_mixer(&setup, "none is given");
    setup.agent = agent;
    setup.n_steps = SIM_DECISIONS - 1;
    no_mixer(&setup, "its 16 decisions need as many steps; there are 15");
    setup = setup_of(SIM_SLOTS + 1, 100);
    setup.agent = agent;
    no_mixer(&setup, "it mixes 3 slots and cannot steer 4 groups");
    mix_agent_destroy(agent);
    mix_agent_data_destroy(data);
}

/* ---- I11, I12: what is learnt ---- */

static double mean_end(const struct mix_agent_scale *scale, struct mix_agent *agent,
                       const double *constant)
{
    enum { EPISODES = 40 };
    double sum = 0.0;
    for (uint64_t e = 0; e < EPISODES; e++) {
        struct mix_trainee *world = losssim_world(1000, e, 0.5);
        struct losssim_episode episode;
        losssim_play(world, agent, constant, &episode);
        sum += losssim_end(scale, &episode) / EPISODES;
        mix_trainee_destroy(world);
    }
    return sum;
}

/* Where an agent ends that clones a share of the trajectories, and is then reinforced or not. */
static double learnt(const struct mix_agent_data *data, const struct mix_agent_scale *scale,
                     double good_share, bool supervised_only)
{
    struct mix_agent_options o = small_options();
    o.batch = 4;
    o.n_updates = 800;
    o.rate_critic = 2e-3;
    o.rate_policy = 1e-3;
    o.good_share = good_share;
    o.supervised_only = supervised_only;
    struct mix_agent *agent = train(data, &o, NULL);
    const double end = mean_end(scale, agent, NULL);
    mix_agent_destroy(agent);
    return end;
}

/* Cloning the good is better than the data. From a start that clones everything, reinforcement
 * finds what is good by itself; not so where feedback belongs to other trajectories than the
 * mixtures it stands beside, or there is something that leaks. Sizes are small here: the bench has
 * others. */
static void test_I11_I12_reinforcement(void **state)
{
    (void)state;
    const double naive[SIM_SLOTS] = {0.0, 0.0, 1.0};
    struct mix_agent_data *data = losssim_data(64, 1, 0.5);
    struct mix_agent_scale scale;
    double mean = 0.0;
    assert_int_equal(mix_agent_scale_of(data, &scale, NULL), MIX_OK);
    for (size_t i = 0; i < data->n; i++)
        mean += agent_end(data, &scale, i) / (double)data->n;
    const double good = learnt(data, &scale, 0.2, true);
    const double all = learnt(data, &scale, 1.0, true);
    const double reinforced = learnt(data, &scale, 1.0, false);
    losssim_shuffle(data);
    const double shuffled = learnt(data, &scale, 1.0, false);
    mix_agent_data_destroy(data);
    print_message("data %.3f, good %.3f, all %.3f, reinforced %.3f, shuffled %.3f\n", mean, good,
                  all, reinforced, shuffled);
    assert_true(good > mean + 0.05);
    assert_true(reinforced > all + 0.05);
    assert_true(reinforced > mean_end(&scale, NULL, naive));
    assert_true(shuffled < all + 0.05);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_I9_bandit),
        cmocka_unit_test(test_I9_unseen_action),
        cmocka_unit_test(test_I9_chain),
        cmocka_unit_test(test_importance_weights),
        cmocka_unit_test(test_I10_constant_mixture),
        cmocka_unit_test(test_I10_one_trajectory),
        cmocka_unit_test(test_training_is_determined),
        cmocka_unit_test(test_restored_agent_acts_alike),
        cmocka_unit_test(test_a_decision_hangs_on_its_history_alone),
        cmocka_unit_test(test_blind_agent_sees_nothing),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_agent_steers),
        cmocka_unit_test(test_agent_refuses_to_steer),
        cmocka_unit_test(test_I11_I12_reinforcement),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
