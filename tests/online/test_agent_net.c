/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The agent's networks in float: tokens, causality, blindness, what is deterministic, learning,
 * sizes out of range; and the distributions' samples. Gradients: test_agent_gradient.c. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <gsl/gsl_randist.h>

#include "mixsweep/random.h"
#include "online/agent_net.h"
#include "online/agent_policy.h"

enum { D = 6, M = D - 1, N = 3, T = 10, ROWS = N * T, A = 4, F = 3 * D + 1 };

static const struct mix_agent_space SPACE = {.n_slots = D, .n_source = 3, .n_decisions = T};
static const struct agent_shape SHAPE = {.n_slots = D,
                                         .n_decisions = T,
                                         .trunk = MIX_AGENT_TRANSFORMER,
                                         .width = 48,
                                         .n_layers = 2,
                                         .n_heads = 6,
                                         .batch = N,
                                         .n_actions = A};

/* Random trajectories and their tokens. */
struct fixture {
    gsl_rng *rng;
    double mixture[N][T][D], feedback[N][T + 1][D];
    struct mix_agent_scale scale;
    float tokens[ROWS * F], actions[ROWS * A * D];
};

static void make_tokens(struct fixture *f, bool blind)
{
    for (size_t i = 0; i < N; i++)
        agent_tokens(&SPACE, &f->scale, blind, T, f->mixture[i][0], f->feedback[i][0],
                     f->tokens + i * T * F);
}

static void begin(struct fixture *f)
{
    float action[D];
    f->rng = mix_rng_create(mix_key_make(3, "agent test", NULL, 0));
    assert_non_null(f->rng);
    for (size_t i = 0; i < D; i++)
        f->scale.sigma[i] = 0.1 + 0.05 * (double)i;
    for (size_t i = 0; i < N; i++) {
        for (size_t t = 0; t < T; t++) {
            agent_policy_uniform(D, f->rng, action);
            for (size_t k = 0; k < D; k++)
                f->mixture[i][t][k] = (double)action[k];
        }
        for (size_t t = 0; t <= T; t++)
            for (size_t k = 0; k < D; k++)
                f->feedback[i][t][k] = gsl_ran_gaussian_ziggurat(f->rng, 0.1);
    }
    for (size_t i = 0; i < ROWS * A; i++)
        agent_policy_uniform(D, f->rng, f->actions + i * D);
    make_tokens(f, false);
}

static void end(struct fixture *f)
{
    gsl_rng_free(f->rng);
}

/* A network of parameters that hang on the role alone. */
static struct agent_net make(enum agent_role role, enum mix_agent_trunk trunk, enum mix_isa isa)
{
    struct agent_net net;
    struct agent_shape shape = SHAPE;
    gsl_rng *rng = mix_rng_create(mix_key_make(role, "agent test net", NULL, 0));
    assert_non_null(rng);
    shape.trunk = trunk;
    assert_int_equal(agent_net_create(&shape, role, proxy_kernels(isa), &net, NULL), MIX_OK);
    agent_net_initialise(&net, rng);
    for (size_t i = 0; i < net.n_params; i++) /* nothing is to be 0 */
        net.params[i] += (float)gsl_ran_gaussian_ziggurat(rng, 0.05);
    gsl_rng_free(rng);
    return net;
}

/* Outputs of each decision, (ROWS,n): mu and log sigma, or values of A actions. */
static size_t outputs(struct agent_net *net, struct fixture *f, float *out)
{
    agent_net_read(net, N, T, f->tokens);
    if (net->role == AGENT_CRITIC) {
        agent_net_values(net, A, f->actions, out);
        return A;
    }
    for (size_t row = 0; row < ROWS; row++) {
        memcpy(out + row * 2 * M, net->mu + row * M, M * sizeof *out);
        memcpy(out + row * 2 * M + M, net->log_sigma + row * M, M * sizeof *out);
    }
    return (size_t)2 * M;
}

static void test_tokens_say_what_happened(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    const float *first = f.tokens, *third = f.tokens + 2 * F;
    for (size_t k = 0; k < D; k++) {
        const double now = f.feedback[0][2][k], sigma = f.scale.sigma[k];
        assert_true(fabsf(first[k] - (k < 3 ? 1.0F : -1.0F)) < 1e-6F);
        assert_true(first[D + k] == 0.0F && first[2 * D + k] == 0.0F);
        assert_true(fabs((double)third[k] - (6.0 * f.mixture[0][1][k] - 1.0)) < 1e-6);
        assert_true(fabs((double)third[D + k] - (now - f.feedback[0][0][k]) / sigma) < 1e-5);
        assert_true(fabs((double)third[2 * D + k] -
                         sqrt(10.0) * (now - f.feedback[0][1][k]) / sigma) < 1e-5);
    }
    assert_true(first[3 * D] == 0.0F && fabsf(third[3 * D] - 0.2F) < 1e-6F);
    end(&f);
}

/* With another action or feedback in token `changed` of a trajectory, its outputs before stay as
 * they were, bit by bit, and so do other trajectories'; those from there on change, as far as the
 * trunk sees. */
static void check_causality(enum agent_role role, enum mix_agent_trunk trunk, size_t sight)
{
    struct fixture f;
    float before[ROWS * 2 * M], after[ROWS * 2 * M];
    struct agent_net net = make(role, trunk, mix_isa_best());
    begin(&f);
    for (size_t changed = 0; changed < T; changed++) {
        const size_t n = outputs(&net, &f, before), first = T + changed;
        f.tokens[first * F + changed % (F - 1)] += 0.5F;
        outputs(&net, &f, after);
        for (size_t row = 0; row < ROWS; row++) {
            const bool sees = row >= first && row < T + T && row < first + sight;
            const bool same = memcmp(before + row * n, after + row * n, n * sizeof *before) == 0;
            assert_true(same == !sees);
        }
    }
    agent_net_destroy(&net);
    end(&f);
}

static void test_I6_no_decision_sees_what_follows(void **state)
{
    (void)state;
    check_causality(AGENT_POLICY, MIX_AGENT_TRANSFORMER, T);
    check_causality(AGENT_CRITIC, MIX_AGENT_TRANSFORMER, T);
    check_causality(AGENT_POLICY, MIX_AGENT_MLP, 4);
    check_causality(AGENT_CRITIC, MIX_AGENT_MLP, 4);
}

static void test_I6_the_blind_see_no_feedback(void **state)
{
    (void)state;
    struct fixture f;
    float before[ROWS * 2 * M], after[ROWS * 2 * M];
    struct agent_net net = make(AGENT_POLICY, MIX_AGENT_TRANSFORMER, mix_isa_best());
    begin(&f);
    for (int blind = 1; blind >= 0; blind--) {
        make_tokens(&f, blind != 0);
        outputs(&net, &f, before);
        f.feedback[1][4][2] += 0.3;
        make_tokens(&f, blind != 0);
        outputs(&net, &f, after);
        if (blind)
            assert_memory_equal(before, after, sizeof before);
        else
            assert_memory_not_equal(before, after, sizeof before);
    }
    agent_net_destroy(&net);
    end(&f);
}

/* A decision of a running trajectory, with a network for one, against the same in a batch of whole
 * ones: products of other sizes may differ in the last bits. */
static void test_reading_a_beginning_is_reading_it_in_a_batch(void **state)
{
    (void)state;
    struct fixture f;
    float all[ROWS * 2 * M];
    for (int trunk = MIX_AGENT_TRANSFORMER; trunk <= MIX_AGENT_MLP; trunk++) {
        struct agent_net net = make(AGENT_POLICY, (enum mix_agent_trunk)trunk, mix_isa_best()), one;
        struct agent_shape shape = net.shape;
        shape.batch = 1;
        begin(&f);
        outputs(&net, &f, all);
        assert_int_equal(
            agent_net_create(&shape, AGENT_POLICY, proxy_kernels(mix_isa_best()), &one, NULL),
            MIX_OK);
        memcpy(one.params, net.params, net.n_params * sizeof *one.params);
        for (size_t t = 1; t <= T; t++) {
            agent_net_read(&one, 1, t, f.tokens + T * F);
            for (size_t i = 0; i < t * M; i++)
                assert_true(fabsf(one.mu[i] - all[(T + i / M) * 2 * M + i % M]) < 1e-4F &&
                            fabsf(one.log_sigma[i] - all[(T + i / M) * 2 * M + M + i % M]) < 1e-4F);
        }
        agent_net_destroy(&one);
        agent_net_destroy(&net);
        end(&f);
    }
}

/* Token by token, the decisions are those of reading the whole history, but for the last bits; from
 * its beginning on they are the same again. */
static void test_a_history_that_grows_is_read_on(void **state)
{
    (void)state;
    struct fixture f;
    float all[ROWS * 2 * M], first[T * 2 * M];
    for (int trunk = MIX_AGENT_TRANSFORMER; trunk <= MIX_AGENT_MLP; trunk++) {
        struct agent_net net = make(AGENT_POLICY, (enum mix_agent_trunk)trunk, mix_isa_best());
        for (int again = 0; again < 2; again++) {
            begin(&f);
            outputs(&net, &f, all);
            for (size_t t = 0; t < T; t++) {
                agent_net_extend(&net, t, f.tokens + (T + t) * F);
                float *one = first + t * 2 * M;
                for (size_t i = 0; i < M; i++) {
                    assert_true(fabsf(net.mu[i] - all[(T + t) * 2 * M + i]) < 1e-4F);
                    assert_true(fabsf(net.log_sigma[i] - all[(T + t) * 2 * M + M + i]) < 1e-4F);
                    assert_true(again == 0 || (net.mu[i] == one[i] && net.mu[i] != 0.0F));
                    one[i] = net.mu[i];
                }
            }
            end(&f);
        }
        agent_net_destroy(&net);
    }
}

/* Mean of (Q(s,a) - sum_k k (a_k - a'_k) a_0)^2 over the actions, a' the mixture before; a step
 * down its gradient. */
static double critic_step(struct agent_net *net, const struct fixture *f, double rate)
{
    float values[ROWS * A], d_values[ROWS * A];
    double sum = 0.0;
    agent_net_read(net, N, T, f->tokens);
    agent_net_values(net, A, f->actions, values);
    for (size_t i = 0; i < ROWS * A; i++) {
        const float *a = f->actions + i * D, *last = f->tokens + i / A * F;
        double aim = 0.0;
        for (size_t k = 0; k < D; k++)
            aim += (double)k * ((double)a[k] - ((double)last[k] + 1.0) / D) * (1.0 + (double)a[0]);
        const double miss = (double)values[i] - aim;
        sum += miss * miss;
        d_values[i] = (float)(2.0 * miss / (ROWS * A));
    }
    agent_net_values_backward(net, A, f->actions, d_values, true, NULL);
    assert_true(isfinite(agent_net_step(net, rate, 1.0)));
    return sum / (ROWS * A);
}

/* Mean of -log pi of the recorded mixtures, and a step. */
static double policy_step(struct agent_net *net, const struct fixture *f, double rate)
{
    float d_mu[ROWS * M] = {0}, d_log_sigma[ROWS * M] = {0}, action[D];
    double sum = 0.0;
    agent_net_read(net, N, T, f->tokens);
    for (size_t i = 0; i < ROWS; i++) {
        agent_policy_smooth(D, f->mixture[i / T][i % T], action);
        sum -= agent_policy_log_density(D, net->mu + i * M, net->log_sigma + i * M, action,
                                        -1.0 / ROWS, d_mu + i * M, d_log_sigma + i * M);
    }
    agent_net_policy_backward(net, d_mu, d_log_sigma);
    assert_true(isfinite(agent_net_step(net, rate, 1.0)));
    return sum / ROWS;
}

static void test_both_roles_and_trunks_learn(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    for (int trunk = MIX_AGENT_TRANSFORMER; trunk <= MIX_AGENT_MLP; trunk++) {
        struct agent_net policy = make(AGENT_POLICY, (enum mix_agent_trunk)trunk, mix_isa_best());
        struct agent_net critic = make(AGENT_CRITIC, (enum mix_agent_trunk)trunk, mix_isa_best());
        const double first_q = critic_step(&critic, &f, 3e-3);
        const double first_pi = policy_step(&policy, &f, 3e-3);
        double last_q = 0.0, last_pi = 0.0;
        for (int i = 0; i < 300; i++) {
            last_q = critic_step(&critic, &f, 3e-3);
            last_pi = policy_step(&policy, &f, 3e-3);
        }
        assert_true(last_q < 0.02 * first_q);
        assert_true(last_pi < first_pi - 5.0); /* nats: it knows these trajectories by heart */
        agent_net_destroy(&policy);
        agent_net_destroy(&critic);
    }
    end(&f);
}

static void test_the_same_steps_make_the_same_network(void **state)
{
    (void)state;
    struct fixture f;
    struct agent_net critics[2], policies[2];
    begin(&f);
    for (size_t i = 0; i < 2; i++) {
        critics[i] = make(AGENT_CRITIC, MIX_AGENT_TRANSFORMER, mix_isa_best());
        policies[i] = make(AGENT_POLICY, MIX_AGENT_TRANSFORMER, mix_isa_best());
        for (int step = 0; step < 5; step++) {
            critic_step(&critics[i], &f, 1e-3);
            policy_step(&policies[i], &f, 1e-3);
        }
    }
    assert_memory_equal(critics[0].params, critics[1].params, critics[0].n_params * sizeof(float));
    assert_memory_equal(policies[0].params, policies[1].params,
                        policies[0].n_params * sizeof(float));
    for (size_t i = 0; i < 2; i++) {
        agent_net_destroy(&critics[i]);
        agent_net_destroy(&policies[i]);
    }
    end(&f);
}

static void test_instruction_sets_agree(void **state)
{
    (void)state;
    struct fixture f;
    float generic[ROWS * 2 * M], best[ROWS * 2 * M];
    begin(&f);
    for (int role = AGENT_POLICY; role <= AGENT_CRITIC; role++) {
        struct agent_net a = make((enum agent_role)role, MIX_AGENT_TRANSFORMER, MIX_ISA_GENERIC);
        const size_t n = outputs(&a, &f, generic);
        for (int isa = MIX_ISA_AVX2; isa <= (int)mix_isa_best(); isa++) {
            struct agent_net b =
                make((enum agent_role)role, MIX_AGENT_TRANSFORMER, (enum mix_isa)isa);
            outputs(&b, &f, best);
            for (size_t i = 0; i < ROWS * n; i++)
                assert_true(fabsf(generic[i] - best[i]) < 1e-4F);
            agent_net_destroy(&b);
        }
        agent_net_destroy(&a);
    }
    end(&f);
}

static void test_a_target_follows(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct agent_net net = make(AGENT_CRITIC, MIX_AGENT_TRANSFORMER, mix_isa_best());
    struct agent_net target = make(AGENT_CRITIC, MIX_AGENT_TRANSFORMER, mix_isa_best());
    critic_step(&net, &f, 1e-2);
    const float before = target.params[7], aim = net.params[7];
    assert_true(before != aim);
    agent_net_follow(&target, &net, 0.25);
    assert_true(fabsf(target.params[7] - (0.75F * before + 0.25F * aim)) < 1e-6F);
    agent_net_follow(&target, &net, 1.0);
    assert_memory_equal(target.params, net.params, net.n_params * sizeof *net.params);
    agent_net_destroy(&net);
    agent_net_destroy(&target);
    end(&f);
}

static void test_a_step_with_no_number_is_none(void **state)
{
    (void)state;
    struct agent_net net = make(AGENT_POLICY, MIX_AGENT_MLP, mix_isa_best());
    const float before = net.params[3];
    net.gradient[3] = NAN;
    assert_false(isfinite(agent_net_step(&net, 1.0, 1.0)));
    assert_true(net.params[3] == before && net.gradient[3] == 0.0F);
    agent_net_destroy(&net);
}

static void test_sizes_out_of_range_are_named(void **state)
{
    (void)state;
    const struct {
        size_t offset, value;
        const char *text;
    } cases[] = {
        {offsetof(struct agent_shape, n_slots), 1, "agent: 1 slots; allowed are 2 to 64"},
        {offsetof(struct agent_shape, n_slots), 65, "agent: 65 slots; allowed are 2 to 64"},
        {offsetof(struct agent_shape, n_decisions), 0, "agent: 0 decisions"},
        {offsetof(struct agent_shape, n_decisions), 257, "allowed are 1 to 256"},
        {offsetof(struct agent_shape, width), 40, "agent: width is 40; allowed are multiples"},
        {offsetof(struct agent_shape, width), 2048, "agent: 2048 channels of width"},
        {offsetof(struct agent_shape, n_layers), 0, "agent: 0 layers"},
        {offsetof(struct agent_shape, n_heads), 4, "agent: 4 heads do not divide width 48"},
        {offsetof(struct agent_shape, n_heads), 0, "agent: 0 heads do not divide width 48"},
        {offsetof(struct agent_shape, batch), 0, "agent: 0 trajectories in a batch"},
        {offsetof(struct agent_shape, n_actions), 0, "agent: 0 actions per decision"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct agent_shape shape = SHAPE;
        struct agent_net net;
        struct mix_error err = {.text = ""};
        memcpy((char *)&shape + cases[i].offset, &cases[i].value, sizeof cases[i].value);
        assert_int_equal(
            agent_net_create(&shape, AGENT_CRITIC, proxy_kernels(MIX_ISA_GENERIC), &net, &err),
            MIX_EINVAL);
        if (strstr(err.text, cases[i].text) == NULL)
            fail_msg("expected \"%s\" in \"%s\"", cases[i].text, err.text);
        agent_net_destroy(&net);
    }
}

/* No padding at all, and the most slots: nothing is read or written past an end. */
static void test_large_sizes_pass_both_ways(void **state)
{
    (void)state;
    enum { SLOTS = 64, DECISIONS = 64, MANY = 5 };
    const size_t n_rows = 2 * DECISIONS, n_features = agent_n_features(SLOTS);
    struct agent_shape shape = {SLOTS, DECISIONS, MIX_AGENT_TRANSFORMER, 32, 1, 4, 2, MANY};
    gsl_rng *rng = mix_rng_create(mix_key_make(6, "agent test", NULL, 0));
    float *tokens = calloc(n_rows * n_features, sizeof *tokens);
    float *actions = calloc(n_rows * MANY * SLOTS, sizeof *actions);
    float *values = calloc(n_rows * MANY, sizeof *values);
    assert_true(rng != NULL && tokens != NULL && actions != NULL && values != NULL);
    for (size_t i = 0; i < n_rows * n_features; i++)
        tokens[i] = (float)gsl_ran_gaussian_ziggurat(rng, 1.0);
    for (size_t i = 0; i < n_rows * MANY; i++)
        agent_policy_uniform(SLOTS, rng, actions + i * SLOTS);
    for (int trunk = MIX_AGENT_TRANSFORMER; trunk <= MIX_AGENT_MLP; trunk++) {
        struct agent_net policy, critic;
        shape.trunk = (enum mix_agent_trunk)trunk;
        const struct proxy_kernels *kernels = proxy_kernels(mix_isa_best());
        assert_int_equal(agent_net_create(&shape, AGENT_POLICY, kernels, &policy, NULL), MIX_OK);
        assert_int_equal(agent_net_create(&shape, AGENT_CRITIC, kernels, &critic, NULL), MIX_OK);
        agent_net_initialise(&policy, rng);
        agent_net_initialise(&critic, rng);
        agent_net_read(&policy, 2, DECISIONS, tokens);
        agent_net_policy_backward(&policy, policy.mu, policy.log_sigma);
        agent_net_read(&critic, 2, DECISIONS, tokens);
        agent_net_values(&critic, MANY, actions, values);
        agent_net_values_backward(&critic, MANY, actions, values, true, actions);
        assert_true(isfinite(agent_net_step(&policy, 1e-3, 1.0)));
        assert_true(isfinite(agent_net_step(&critic, 1e-3, 1.0)));
        agent_net_destroy(&policy);
        agent_net_destroy(&critic);
    }
    free(tokens);
    free(actions);
    free(values);
    gsl_rng_free(rng);
}

/* However far away the policy's mean is. */
static void test_I1_every_action_is_a_mixture(void **state)
{
    (void)state;
    const size_t sizes[] = {2, 3, 6, 64};
    gsl_rng *rng = mix_rng_create(mix_key_make(4, "agent test", NULL, 0));
    assert_non_null(rng);
    for (size_t draw = 0; draw < 4000; draw++) {
        const size_t d = sizes[draw % 4];
        const double far = draw % 8 < 4 ? 1.0 : 60.0;
        float mu[64], log_sigma[64], noise[64], sample[64], uniform[64];
        double mean[64], sums[3] = {0};
        for (size_t i = 0; i + 1 < d; i++) {
            mu[i] = (float)gsl_ran_gaussian_ziggurat(rng, far);
            log_sigma[i] = (float)gsl_ran_flat(rng, -4.0, 0.0);
            noise[i] = (float)gsl_ran_gaussian_ziggurat(rng, 1.0);
        }
        assert_true(isfinite(agent_policy_sample(d, mu, log_sigma, noise, sample)));
        agent_policy_mean(d, mu, mean);
        agent_policy_uniform(d, rng, uniform);
        for (size_t i = 0; i < d; i++) {
            assert_true(sample[i] >= 0.0F && mean[i] >= 0.0 && uniform[i] >= 0.0F);
            sums[0] += (double)sample[i];
            sums[1] += mean[i];
            sums[2] += (double)uniform[i];
        }
        for (size_t i = 0; i < 3; i++)
            assert_true(fabs(sums[i] - 1.0) < 1e-6);
    }
    gsl_rng_free(rng);
}

/* Moments of the uniform distribution: E a = 1 / D, E a^2 = 2 / (D (D + 1)). */
static void test_uniform_draws_are_uniform(void **state)
{
    (void)state;
    enum { DRAWS = 40000 };
    double sum[D] = {0}, squares[D] = {0};
    gsl_rng *rng = mix_rng_create(mix_key_make(5, "agent test", NULL, 0));
    assert_non_null(rng);
    for (size_t n = 0; n < DRAWS; n++) {
        float a[D];
        agent_policy_uniform(D, rng, a);
        for (size_t i = 0; i < D; i++) {
            sum[i] += (double)a[i];
            squares[i] += (double)a[i] * (double)a[i];
        }
    }
    for (size_t i = 0; i < D; i++) { /* deviations 7e-4 and 4e-4 of the means */
        assert_true(fabs(sum[i] / DRAWS - 1.0 / D) < 3.5e-3);
        assert_true(fabs(squares[i] / DRAWS - 2.0 / (D * (D + 1.0))) < 2e-3);
    }
    gsl_rng_free(rng);
}

/* A recorded mixture may have zeros; its density is finite all the same. */
static void test_a_mixture_of_one_slot_has_a_density(void **state)
{
    (void)state;
    const double mixture[D] = {0, 1};
    const float mu[M] = {0}, log_sigma[M] = {0};
    float action[D];
    agent_policy_smooth(D, mixture, action);
    assert_true(fabsf(action[0] - 1e-3F / D) < 1e-8F);
    assert_true(fabsf(action[1] - (1.0F - 5e-3F / D)) < 1e-6F);
    assert_true(isfinite(agent_policy_log_density(D, mu, log_sigma, action, 0.0, NULL, NULL)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens_say_what_happened),
        cmocka_unit_test(test_I6_no_decision_sees_what_follows),
        cmocka_unit_test(test_I6_the_blind_see_no_feedback),
        cmocka_unit_test(test_reading_a_beginning_is_reading_it_in_a_batch),
        cmocka_unit_test(test_a_history_that_grows_is_read_on),
        cmocka_unit_test(test_both_roles_and_trunks_learn),
        cmocka_unit_test(test_the_same_steps_make_the_same_network),
        cmocka_unit_test(test_instruction_sets_agree),
        cmocka_unit_test(test_a_target_follows),
        cmocka_unit_test(test_a_step_with_no_number_is_none),
        cmocka_unit_test(test_sizes_out_of_range_are_named),
        cmocka_unit_test(test_large_sizes_pass_both_ways),
        cmocka_unit_test(test_I1_every_action_is_a_mixture),
        cmocka_unit_test(test_uniform_draws_are_uniform),
        cmocka_unit_test(test_a_mixture_of_one_slot_has_a_density),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
