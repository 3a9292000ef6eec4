/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What an agent is compared with, on hand-computed numbers and on a world of known answers. */
#include "mixsweep/agent_compare.h"
#include "online/steered.h"

enum { D = 3, T = 16 };

/* The specification's world: two source slots, a target slot; rate .3, forgetting .05; base
 * models of odd numbers learn faster. */
static const double world_loss[D] = {1, 1, 3}, world_low[D] = {.9, .9, 1},
                    world_high[D] = {2.5, 2, 3.2}, world_natural[D] = {.75, .25, 1};
static const struct mix_agent_space space = {
    .n_slots = D, .n_source = 2, .n_decisions = T, .source_weight = .5, .target_weight = .5};
static const struct mix_agent_scale scale = {.sigma = {1, 1, 1}, .reward = 1};

static enum mix_status make_trainee(void *n_made, uint64_t base, uint64_t seed,
                                    struct mix_trainee **out, struct mix_poll *poll,
                                    struct mix_error *err)
{
    const struct mix_forgetting_options options = {.n_groups = D,
                                                   .n_steps = T,
                                                   .steps_per_decision = 1,
                                                   .rate = base % 2 == 0 ? .3 : .4,
                                                   .forgetting = .05,
                                                   .loss = world_loss,
                                                   .low = world_low,
                                                   .high = world_high,
                                                   .seed = 1000 * base + seed};
    (void)poll;
    if (n_made != NULL)
        ++*(size_t *)n_made;
    return mix_trainee_forgetting(&options, out, err);
}

static enum mix_status tune(void *n_made, struct mix_trainee *trainee, double *loss,
                            struct mix_poll *poll, struct mix_error *err)
{
    double se[D];
    (void)n_made;
    return trainee->kind->test(trainee, loss, se, poll, err);
}

static struct mix_trainee *trainee_of(void)
{
    struct mix_trainee *trainee = NULL;
    assert_int_equal(make_trainee(NULL, 0, 0, &trainee, NULL, NULL), MIX_OK);
    return trainee;
}

/* ---- steering */

struct watched {
    size_t n;
    double mixture[T * D], last[D];
};

/* All on the slot whose turn it is; what was seen is kept. */
static void in_turn(void *context, size_t t, const double *mixture, const double *feedback,
                    double *out)
{
    struct watched *seen = context;
    assert_int_equal(seen->n, t);
    assert_memory_equal(seen->mixture, mixture, t * D * sizeof *mixture);
    memcpy(seen->last, feedback + t * D, sizeof seen->last);
    for (size_t i = 0; i < D; i++)
        out[i] = seen->mixture[t * D + i] = i == t % D;
    seen->n++;
}

static void test_steering_tells_a_closed_loop_all_so_far(void **state)
{
    (void)state;
    struct watched seen = {.n = 0};
    double mixture[T * D], feedback[(T + 1) * D];
    struct mix_agent_steered run = {.mixture = mixture, .feedback = feedback};
    struct mix_trainee *trainee = trainee_of();
    assert_int_equal(mix_agent_steer(trainee, T, 1, true, in_turn, &seen, &run, NULL, NULL),
                     MIX_OK);
    assert_int_equal(seen.n, T);
    assert_memory_equal(seen.mixture, mixture, sizeof mixture);
    assert_memory_equal(seen.last, feedback + (T - 1) * D, sizeof seen.last);
    for (size_t i = 0; i < D; i++)
        assert_true(feedback[i] == -world_loss[i]);
    assert_true(feedback[D] > feedback[0]);         /* trained on in the first stretch */
    assert_true(feedback[2 * D] < feedback[D]);     /* and forgotten in the second */
    assert_true(feedback[T * D + 2] > feedback[2]); /* the target has fallen */
    mix_trainee_destroy(trainee);
}

static void test_open_loop_is_measured_at_its_ends_and_is_a_static_run(void **state)
{
    (void)state;
    static const double p[D] = {.19, .07, .74};
    double plan[T * D], mixture[T * D], feedback[(T + 1) * D];
    struct mix_agent_steered run = {.mixture = mixture, .feedback = feedback};
    struct mix_agent_schedule schedule = {.n_slots = D, .mixture = plan};
    struct mix_trainee *trainee = trainee_of();
    struct mix_trajectory *trajectory = mix_trajectory_create(D);
    for (size_t t = 0; t < T; t++)
        memcpy(plan + t * D, p, sizeof p);
    assert_int_equal(
        mix_agent_steer(trainee, T, 1, false, mix_agent_schedule_act, &schedule, &run, NULL, NULL),
        MIX_OK);
    assert_int_equal(mix_online_static(trainee, p, T, 0, trajectory, NULL, NULL), MIX_OK);
    for (size_t t = 1; t < T; t++)
        assert_true(isnan(feedback[t * D]));
    for (size_t i = 0; i < D; i++)
        assert_near(-feedback[T * D + i], trajectory->test[i], 1e-12);
    /* spec, LossSim: the best static mixture scores -1.3021 */
    assert_near(.25 * (feedback[T * D] + feedback[T * D + 1]) + .5 * feedback[T * D + 2], -1.3021,
                1e-4);
    mix_trajectory_destroy(trajectory);
    mix_trainee_destroy(trainee);
}

static void test_steering_ends_where_a_loss_is_not_finite(void **state)
{
    (void)state;
    double plan[T * D] = {0}, mixture[T * D], feedback[(T + 1) * D];
    struct mix_agent_steered run = {.mixture = mixture, .feedback = feedback};
    struct mix_agent_schedule schedule = {.n_slots = D, .mixture = plan};
    struct mix_trainee *trainee = trainee_of();
    struct mix_error err = {.text = ""};
    for (size_t i = 0; i < D; i++)
        plan[i] = NAN;
    assert_int_equal(
        mix_agent_steer(trainee, T, 1, true, mix_agent_schedule_act, &schedule, &run, NULL, &err),
        MIX_ENUMERIC);
    assert_non_null(strstr(err.text, "after decision 1"));
    mix_trainee_destroy(trainee);
}

/* ---- baselines */

static void test_field_keeps_natural_shares(void **state)
{
    (void)state;
    double p[D];
    mix_agent_field(&space, world_natural, .6, p);
    assert_near(p[0], .3, 1e-15);
    assert_near(p[1], .1, 1e-15);
    assert_near(p[2], .6, 1e-15);
}

static void test_loading_follows_the_excess(void **state)
{
    (void)state;
    static const double reference[D] = {1, 2, 3};
    /* the start counts for nothing; then excesses (.1, 0, 1), then (0, 0, .5) */
    static const double feedback[3 * D] = {-9, -9, -9, -1.1, -1.5, -4, -.5, -2, -3.5};
    struct mix_agent_loading rule = {.n_slots = D, .reference = reference};
    double w[D];
    mix_agent_loading_act(&rule, 0, NULL, feedback, w);
    for (size_t i = 0; i < D; i++)
        assert_near(w[i], 1.0 / 3, 1e-15);
    mix_agent_loading_act(&rule, 1, NULL, feedback, w);
    const double sum = exp(.1) + 1 + exp(1);
    assert_near(w[0], exp(.1) / sum, 1e-15);
    assert_near(w[1], 1 / sum, 1e-15);
    assert_near(w[2], exp(1) / sum, 1e-15);
    mix_agent_loading_act(&rule, 2, NULL, feedback, w);
    assert_near(w[2] / w[1], exp(1.5), 1e-12);
    assert_near(w[0] / w[1], exp(.1), 1e-12);
}

static void test_shuffle_keeps_rows_and_mean(void **state)
{
    (void)state;
    double from[T * D], to[T * D], again[T * D], mean[D], shuffled[D];
    bool moved = false;
    for (size_t t = 0; t < T; t++)
        for (size_t i = 0; i < D; i++)
            from[t * D + i] = (double)(10 * t + i);
    assert_int_equal(mix_agent_shuffle(T, D, 7, from, to, NULL), MIX_OK);
    assert_int_equal(mix_agent_shuffle(T, D, 7, from, again, NULL), MIX_OK);
    assert_memory_equal(to, again, sizeof to);
    unsigned seen = 0;
    for (size_t t = 0; t < T; t++) {
        const double row = to[t * D] / 10;
        assert_true(to[t * D + 1] == to[t * D] + 1 && to[t * D + 2] == to[t * D] + 2);
        seen |= 1u << (unsigned)row;
        moved = moved || row != (double)t;
    }
    assert_int_equal(seen, (1u << T) - 1);
    assert_true(moved);
    mix_agent_time_mean(T, D, from, mean);
    mix_agent_time_mean(T, D, to, shuffled);
    for (size_t i = 0; i < D; i++) {
        assert_near(mean[i], 75 + (double)i, 1e-12);
        assert_near(shuffled[i], mean[i], 1e-12);
    }
}

/* u = 2 - |a - (.2,.3,.5)|^2: its greatest value is inside. */
static double hill(const double *a)
{
    return 2 - (a[0] - .2) * (a[0] - .2) - (a[1] - .3) * (a[1] - .3) - (a[2] - .5) * (a[2] - .5);
}

static void test_regmix_recovers_a_quadratic(void **state)
{
    (void)state;
    enum { N = 60 };
    double mixture[N * D], u[N], coef[D * (D + 1) / 2], best[D], again[D], a[D];
    assert_int_equal(mix_agent_regmix_size(D), D * (D + 1) / 2);
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(mix_agent_regmix_draw(D, 5, i, mixture + i * D, NULL), MIX_OK);
        u[i] = hill(mixture + i * D);
    }
    assert_int_equal(mix_agent_regmix_fit(D, N, mixture, u, coef, NULL), MIX_OK);
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(mix_agent_regmix_draw(D, 6, i, a, NULL), MIX_OK);
        assert_near(mix_agent_regmix_value(D, coef, a), hill(a), 1e-5);
    }
    assert_int_equal(mix_agent_regmix_best(D, coef, 9, best, NULL), MIX_OK);
    assert_int_equal(mix_agent_regmix_best(D, coef, 9, again, NULL), MIX_OK);
    assert_memory_equal(best, again, sizeof best);
    assert_near(best[0], .2, .005);
    assert_near(best[1], .3, .005);
    assert_near(best[2], .5, .005);
}

static void test_regmix_refuses_two_runs(void **state)
{
    (void)state;
    static const double mixture[2 * D] = {1, 0, 0, 0, 1, 0}, u[2] = {1, 2};
    double coef[D * (D + 1) / 2];
    struct mix_error err = {.text = ""};
    assert_int_equal(mix_agent_regmix_fit(D, 2, mixture, u, coef, &err), MIX_EINVAL);
    assert_non_null(strstr(err.text, "2 runs"));
}

/* ---- measures */

static void test_measures_by_hand(void **state)
{
    (void)state;
    const double bit = log(2);
    const double base[D] = {1, 2, 3}, naive[D] = {1 + 2 * bit, 2 + 4 * bit, 3 - 4 * bit},
                 loss[D] = {1 + bit, 2 + bit, 3 - 3 * bit};
    const struct mix_agent_scale by = {.sigma = {bit, 2 * bit, 4 * bit}, .reward = 1};
    struct mix_agent_measures m = mix_agent_measure(&space, &by, base, naive, loss);
    assert_near(m.gain, 3, 1e-12);
    assert_near(m.forgetting, 1, 1e-12);
    assert_near(m.adaptation, .75, 1e-12);
    assert_near(m.retention, 1 - 1.0 / 3, 1e-12);
    assert_near(m.balanced, (.75 + 2.0 / 3) / 2, 1e-12);
    assert_near(m.utility, .5 * (-1 - .5) / 2 + .5 * .75, 1e-12);
    m = mix_agent_measure(&space, &by, base, naive, naive);
    assert_near(m.balanced, .5, 1e-12); /* adapts fully, retains nothing */
    m = mix_agent_measure(&space, &by, base, naive, base);
    assert_near(m.balanced, .5, 1e-12); /* the other way round */
    m = mix_agent_measure(&space, &by, base, base, loss);
    assert_true(isnan(m.balanced) && isfinite(m.utility));
}

static void test_verdicts(void **state)
{
    (void)state;
    static const double values[] = {1, NAN, 2, 3, 6};
    const struct mix_online_figure of = mix_agent_mean_of(5, values);
    assert_int_equal(of.n, 4);
    assert_near(of.mean, 3, 1e-15);
    assert_near(of.se, sqrt(14.0 / 3 / 4), 1e-15);
    assert_true(isnan(mix_agent_mean_of(1, values).se));
    assert_true(isnan(mix_agent_mean_of(0, values).mean));
    const struct mix_online_figure more = {5, 2.1, 1}, same = {5, 1.9, 1}, less = {5, -2.1, 1},
                                   one = {1, 9, NAN}, below = {5, -.1, 1};
    assert_int_equal(mix_agent_judge(more), MIX_AGENT_WON);
    assert_int_equal(mix_agent_judge(same), MIX_AGENT_TIED);
    assert_int_equal(mix_agent_judge(less), MIX_AGENT_LOST);
    assert_int_equal(mix_agent_judge(one), MIX_AGENT_TIED);
    /* C4: fewer bytes and no worse */
    assert_int_equal(mix_agent_judge_source(less, same), MIX_AGENT_WON);
    assert_int_equal(mix_agent_judge_source(less, below), MIX_AGENT_TIED);
    assert_int_equal(mix_agent_judge_source(less, less), MIX_AGENT_LOST);
    assert_int_equal(mix_agent_judge_source(more, more), MIX_AGENT_LOST);
    assert_int_equal(mix_agent_judge_source(below, more), MIX_AGENT_TIED);
}

/* A slot's feedback rises exactly where half or more is trained on it; the last slot's by chance.
 */
static void test_contrasts_tell_cause_from_chance(void **state)
{
    (void)state;
    enum { N = 12 };
    const struct mix_agent_space four = {.n_slots = 4, .n_source = 2, .n_decisions = T};
    struct mix_agent_data *data = mix_agent_data_create(&four);
    struct mix_agent_contrast c[4], again[4];
    assert_non_null(data);
    for (size_t r = 0; r < N; r++) {
        const size_t row = mix_agent_data_append(data);
        assert_int_equal(row, r);
        double *a = data->mixture + r * T * 4, *o = data->feedback + r * (T + 1) * 4;
        memset(o, 0, 4 * sizeof *o);
        for (size_t t = 0; t < T; t++, a += 4, o += 4) {
            const size_t turn = (r + t) % 3;
            for (size_t i = 0; i < 4; i++) {
                a[i] = i == turn ? .7 : .1;
                o[4 + i] = o[i] + (i == turn ? 1 : -1);
            }
            o[7] = o[3] + ((r * T + t) / 3 % 2 == 0 ? 1 : -1);
        }
    }
    assert_int_equal(mix_agent_contrasts(data, 3, c, NULL), MIX_OK);
    assert_int_equal(mix_agent_contrasts(data, 3, again, NULL), MIX_OK);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(c[i].n_up + c[i].n_down, N * T);
        assert_true(c[i].p_value == again[i].p_value);
    }
    for (size_t i = 0; i < 3; i++) { /* .6 more of it, .3 less of each of the two others */
        assert_near(c[i].distance, 1.2, .01);
        assert_true(c[i].p_value <= .005);
    }
    assert_near(c[0].target, -.3, .01);
    assert_near(c[2].target, .6, .01);
    assert_true(c[3].p_value > .05);
    mix_agent_data_destroy(data);
}

/* ---- the comparison */

static double score_of(const struct mix_online *online, const char *method, uint64_t seed)
{
    const size_t row = mix_agent_find(online, "own", method, seed);
    assert_true(row != SIZE_MAX);
    const double *loss = online->test + row * D;
    return -.25 * (loss[0] + loss[1]) - .5 * loss[2];
}

static struct mix_online *compare_in(const struct mix_agent_compare *compare)
{
    static const char slots[D][MIX_NAME_MAX] = {"a", "b", "c"};
    struct mix_online *online = mix_agent_comparison_create("math", compare, "simulate", slots);
    assert_non_null(online);
    assert_string_equal(online->name, "math-own");
    return online;
}

static void test_comparison_in_a_known_world(void **state)
{
    (void)state;
    enum { SEEDS = 3, STATICS = 24 };
    size_t n_made = 0;
    double best[T * D];
    const struct mix_agent_world world = {.name = "own",
                                          .key = {1, 2},
                                          .steps = 1,
                                          .natural = world_natural,
                                          .context = &n_made,
                                          .trainee = make_trainee,
                                          .tune = tune};
    struct mix_agent_compare compare = {.space = &space,
                                        .scale = &scale,
                                        .seed = 4,
                                        .n_seeds = SEEDS,
                                        .first_base = 2,
                                        .n_regmix = STATICS,
                                        .best = best,
                                        .world = &world};
    const struct mix_campaign_options options = {.stop_s = 0};
    struct mix_agent_summary *summary = malloc(sizeof *summary);
    struct mix_error err = {.text = ""};
    for (size_t t = 0; t < T; t++)
        mix_agent_field(&space, world_natural, t < T / 2 ? .9 : .5, best + t * D);
    compare.online = compare_in(&compare);
    assert_int_equal(mix_agent_compare_run(NULL, &compare, &options, &err), MIX_OK);
    /* base, target-only, uniform, the grid, hand, best-of-data; loading, regmix */
    assert_int_equal(compare.online->n_runs, STATICS + SEEDS * (5 + MIX_AGENT_GRID + 2));
    assert_int_equal(n_made, compare.online->n_runs);
    /* spec, LossSim */
    assert_near(score_of(compare.online, "target-only", 0), -1.3524, 1e-4);
    assert_near(score_of(compare.online, "uniform", 2), -1.4643, 1e-4);
    assert_near(score_of(compare.online, "base", 1), -2, 1e-12);
    assert_true(score_of(compare.online, "regmix", 0) > -1.33); /* the best static: -1.3021 */
    assert_non_null(summary);
    mix_agent_summarise(&space, &scale, compare.online, "own", 10, summary);
    assert_int_equal(summary->n_seeds, SEEDS);
    size_t most = 0;
    for (size_t g = 1; g < MIX_AGENT_GRID; g++)
        if (summary->grid[g].utility.mean > summary->grid[most].utility.mean)
            most = g;
    assert_int_equal(summary->oracle, most);
    assert_true(summary->arms[MIX_ARM_ORACLE].utility.mean == summary->grid[most].utility.mean);
    assert_true(summary->arms[MIX_ARM_HALF].gain.mean == summary->grid[4].gain.mean);
    assert_near(summary->grid[2].source_tokens.mean, .7 * T * 10, 1e-9);
    assert_near(summary->grid[2].target_tokens.mean, .3 * T * 10, 1e-9);
    assert_near(summary->arms[MIX_ARM_BEST].target_tokens.mean, .7 * T * 10, 1e-9);
    assert_near(summary->arms[MIX_ARM_NAIVE].adaptation.mean, 1, 1e-12);
    assert_near(summary->arms[MIX_ARM_NAIVE].retention.mean, 0, 1e-12);
    assert_int_equal(summary->arms[MIX_ARM_AGENT].gain.n, 0);
    assert_int_equal(mix_agent_judge(summary->arms[MIX_ARM_NAIVE].behind[0]), MIX_AGENT_TIED);
    /* all is there: nothing is trained again */
    n_made = 0;
    assert_int_equal(mix_agent_compare_run(NULL, &compare, &options, &err), MIX_OK);
    assert_int_equal(n_made, 0);
    mix_online_destroy(compare.online);
    free(summary);
}

/* A small agent that has hardly learnt anything: what it does matters, not how well. */
static struct mix_agent *make_agent(void)
{
    enum { N = 20 };
    double plan[N * T * D];
    int32_t stratum[N];
    struct mix_agent_data *data = mix_agent_data_create(&space);
    struct mix_agent_options options = mix_agent_defaults(&space);
    struct mix_agent_report report;
    struct mix_agent *agent = NULL;
    struct mix_error err = {.text = ""};
    assert_non_null(data);
    assert_int_equal(mix_agent_plan(&space, world_natural, N, 1, plan, stratum, NULL), MIX_OK);
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(mix_agent_data_append(data), i);
        struct mix_agent_schedule schedule = {.n_slots = D, .mixture = plan + i * T * D};
        struct mix_agent_steered run = {.mixture = data->mixture + i * T * D,
                                        .feedback = data->feedback + i * (T + 1) * D};
        struct mix_trainee *trainee = trainee_of();
        assert_int_equal(mix_agent_steer(trainee, T, 1, true, mix_agent_schedule_act, &schedule,
                                         &run, NULL, NULL),
                         MIX_OK);
        data->held_out[i] = mix_agent_held_out(i);
        mix_trainee_destroy(trainee);
    }
    options.supervised_only = true;
    options.width = 16;
    options.n_heads = 2;
    options.n_supervised = 20;
    if (mix_agent_train(data, &options, &agent, &report, NULL, &err) != MIX_OK)
        fail_msg("%s", err.text);
    mix_agent_data_destroy(data);
    return agent;
}

static int compare_rows(const void *left, const void *right)
{
    return memcmp(left, right, D * sizeof(double));
}

/* The agent's mixtures without the agent: their mean, their rows, those of the next seed. */
static void test_controls_are_made_of_the_agents_mixtures(void **state)
{
    (void)state;
    static const double third[D] = {1.0 / 3, 1.0 / 3, 1.0 / 3};
    struct mix_agent *agent = make_agent();
    const struct mix_agent_world world = {
        .name = "own", .steps = 1, .natural = world_natural, .trainee = make_trainee, .tune = tune};
    struct mix_agent_compare compare = {.space = &space,
                                        .scale = &scale,
                                        .n_seeds = 2,
                                        .regmix = third,
                                        .agent = agent,
                                        .world = &world};
    const struct mix_campaign_options options = {.stop_s = 0};
    compare.online = compare_in(&compare);
    assert_int_equal(mix_agent_compare_run(NULL, &compare, &options, NULL), MIX_OK);
    const struct mix_online *o = compare.online;
    double mean[D], sorted[2][T * D];
    for (uint64_t s = 0; s < 2; s++) {
        const size_t own = mix_agent_find(o, "own", "agent", s);
        const size_t shuffled = mix_agent_find(o, "own", "shuffled", s);
        const size_t replayed = mix_agent_find(o, "own", "replayed", 1 - s);
        const size_t averaged = mix_agent_find(o, "own", "time-mean", s);
        assert_true(own != SIZE_MAX && shuffled != SIZE_MAX && replayed != SIZE_MAX &&
                    averaged != SIZE_MAX);
        const double *mixture = o->point_mixture + own * (T + 1) * D;
        mix_agent_time_mean(T, D, mixture, mean);
        assert_memory_equal(o->mixture + averaged * D, mean, sizeof mean);
        assert_memory_equal(o->point_mixture + replayed * (T + 1) * D, mixture, sizeof sorted[0]);
        memcpy(sorted[0], mixture, sizeof sorted[0]);
        memcpy(sorted[1], o->point_mixture + shuffled * (T + 1) * D, sizeof sorted[1]);
        for (int k = 0; k < 2; k++)
            qsort(sorted[k], T, D * sizeof(double), compare_rows);
        assert_memory_equal(sorted[0], sorted[1], sizeof sorted[0]);
        for (size_t t = 0; t <= T; t++) /* a closed loop has seen it all */
            assert_true(isfinite(o->point_loss[(own * (T + 1) + t) * D]));
        assert_true(score_of(o, "regmix", s) == score_of(o, "uniform", s));
    }
    mix_online_destroy(compare.online);
    mix_agent_destroy(agent);
}

/* A trainee that diverges where it sees the target slot alone. */
struct fragile {
    struct mix_trainee head, *inner;
    bool broken;
};

static void fragile_destroy(struct mix_trainee *trainee)
{
    mix_trainee_destroy(((struct fragile *)trainee)->inner);
    free(trainee);
}

static enum mix_status fragile_restart(struct mix_trainee *trainee, struct mix_poll *poll,
                                       struct mix_error *err)
{
    struct fragile *f = (struct fragile *)trainee;
    f->broken = false;
    return f->inner->kind->restart(f->inner, poll, err);
}

static enum mix_status fragile_train(struct mix_trainee *trainee, const struct mix_segment *segment,
                                     struct mix_poll *poll, struct mix_error *err)
{
    struct fragile *f = (struct fragile *)trainee;
    f->broken = f->broken || segment->mixture[D - 1] == 1;
    return f->inner->kind->train(f->inner, segment, poll, err);
}

static enum mix_status fragile_measure(struct mix_trainee *trainee, unsigned what,
                                       struct mix_observation *out, struct mix_poll *poll,
                                       struct mix_error *err)
{
    struct fragile *f = (struct fragile *)trainee;
    const enum mix_status status = f->inner->kind->measure(f->inner, what, out, poll, err);
    if (f->broken)
        out->loss[0] = NAN;
    return status;
}

static enum mix_status fragile_test(struct mix_trainee *trainee, double *loss, double *se,
                                    struct mix_poll *poll, struct mix_error *err)
{
    struct fragile *f = (struct fragile *)trainee;
    return f->inner->kind->test(f->inner, loss, se, poll, err);
}

static enum mix_status make_fragile(void *context, uint64_t base, uint64_t seed,
                                    struct mix_trainee **out, struct mix_poll *poll,
                                    struct mix_error *err)
{
    static const struct mix_trainee_kind kind = {.name = "fragile",
                                                 .destroy = fragile_destroy,
                                                 .restart = fragile_restart,
                                                 .train = fragile_train,
                                                 .measure = fragile_measure,
                                                 .test = fragile_test};
    struct fragile *f = calloc(1, sizeof *f);
    assert_non_null(f);
    assert_int_equal(make_trainee(context, base, seed, &f->inner, poll, err), MIX_OK);
    f->head = (struct mix_trainee){.kind = &kind, .n_groups = D, .n_steps = T};
    *out = &f->head;
    return MIX_OK;
}

/* It is a result; what is measured against it is not known, and what needs it is left out. */
static void test_a_run_that_diverges_is_a_result(void **state)
{
    (void)state;
    const struct mix_agent_world world = {
        .name = "own", .steps = 1, .natural = world_natural, .trainee = make_fragile, .tune = tune};
    struct mix_agent_compare compare = {
        .space = &space, .scale = &scale, .n_seeds = 1, .world = &world};
    const struct mix_campaign_options options = {.stop_s = 0};
    struct mix_agent_summary *summary = calloc(1, sizeof *summary);
    assert_non_null(summary);
    compare.online = compare_in(&compare);
    assert_int_equal(mix_agent_compare_run(NULL, &compare, &options, NULL), MIX_OK);
    size_t n_diverged = 0;
    for (size_t i = 0; i < compare.online->n_runs; i++)
        if (compare.online->runs[i].diverged != 0) {
            n_diverged++;
            assert_string_equal(compare.online->runs[i].method, "target-only");
            assert_true(isnan(compare.online->test[i * D]));
        }
    assert_int_equal(n_diverged, 1);
    assert_true(mix_agent_find(compare.online, "own", "target-only", 0) == SIZE_MAX);
    assert_true(mix_agent_find(compare.online, "own", "loading", 0) == SIZE_MAX);
    assert_true(mix_agent_find(compare.online, "own", "uniform", 0) != SIZE_MAX);
    mix_agent_summarise(&space, &scale, compare.online, "own", 1, summary);
    assert_int_equal(summary->arms[MIX_ARM_UNIFORM].gain.n, 1);
    assert_int_equal(summary->arms[MIX_ARM_UNIFORM].balanced.n, 0);
    assert_true(summary->oracle < MIX_AGENT_GRID);
    mix_online_destroy(compare.online);
    free(summary);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steering_tells_a_closed_loop_all_so_far),
        cmocka_unit_test(test_open_loop_is_measured_at_its_ends_and_is_a_static_run),
        cmocka_unit_test(test_steering_ends_where_a_loss_is_not_finite),
        cmocka_unit_test(test_field_keeps_natural_shares),
        cmocka_unit_test(test_loading_follows_the_excess),
        cmocka_unit_test(test_shuffle_keeps_rows_and_mean),
        cmocka_unit_test(test_regmix_recovers_a_quadratic),
        cmocka_unit_test(test_regmix_refuses_two_runs),
        cmocka_unit_test(test_measures_by_hand),
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_contrasts_tell_cause_from_chance),
        cmocka_unit_test(test_comparison_in_a_known_world),
        cmocka_unit_test(test_controls_are_made_of_the_agents_mixtures),
        cmocka_unit_test(test_a_run_that_diverges_is_a_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
