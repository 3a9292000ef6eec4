/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The agent's networks and distributions in double: every gradient against central differences,
 * densities against their integrals. */
#define PROXY_DOUBLE
#define MIX_ISA f64
/* NOLINTNEXTLINE(bugprone-suspicious-include): a second time, as another type */
#include "proxy/attention.isa.c"
/* NOLINTNEXTLINE(bugprone-suspicious-include) */
#include "proxy/kernels.isa.c"
/* NOLINTNEXTLINE(bugprone-suspicious-include) */
#include "proxy/trunk.c"
/* NOLINTNEXTLINE(bugprone-suspicious-include) */
#include "online/agent_net.c"
/* NOLINTNEXTLINE(bugprone-suspicious-include) */
#include "online/agent_policy.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { D = 4, M = D - 1, N = 3, T = 5, ROWS = N * T, A = 2, MOST_FEATURES = 3 * D + 1 };

/* A policy and a critic with random parameters, which have read random histories. */
struct fixture {
    struct agent_net policy, critic;
    gsl_rng *rng;
    double tokens[ROWS * MOST_FEATURES];
    double noise[ROWS * M], actions[ROWS * A * D], aim[ROWS * A * D];
};

static void fill(gsl_rng *rng, size_t n, double *x)
{
    for (size_t i = 0; i < n; i++)
        x[i] = gsl_ran_gaussian_ziggurat(rng, 1.0);
}

static void begin(struct fixture *f, enum mix_agent_trunk trunk, size_t n_decisions)
{
    const struct agent_shape shape = {.n_slots = D,
                                      .n_decisions = n_decisions,
                                      .trunk = trunk,
                                      .width = 16,
                                      .n_layers = 2,
                                      .n_heads = 2,
                                      .batch = N,
                                      .n_actions = A};
    struct agent_net *nets[] = {&f->policy, &f->critic};
    f->rng = mix_rng_create(mix_key_make(5, "agent gradient", NULL, 0));
    assert_non_null(f->rng);
    fill(f->rng, ROWS * MOST_FEATURES, f->tokens);
    fill(f->rng, ROWS * M, f->noise);
    fill(f->rng, ROWS * A * D, f->aim);
    for (size_t i = 0; i < ROWS * A; i++)
        agent_policy_uniform(D, f->rng, f->actions + i * D);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(agent_net_create(&shape, i == 0 ? AGENT_POLICY : AGENT_CRITIC,
                                          &proxy_kernels_f64, nets[i], NULL),
                         MIX_OK);
        agent_net_initialise(nets[i], f->rng);
        for (size_t p = 0; p < nets[i]->n_params; p++)
            nets[i]->params[p] += 0.1 * gsl_ran_gaussian_ziggurat(f->rng, 1.0);
    }
}

static void end(struct fixture *f)
{
    agent_net_destroy(&f->policy);
    agent_net_destroy(&f->critic);
    gsl_rng_free(f->rng);
}

typedef double (*loss_fn)(struct fixture *f);

/* Every stride-th of the numbers at x, on which the loss depends, and its gradient. */
static void check_gradient(struct fixture *f, loss_fn loss, size_t n, size_t stride, double *x,
                           const double *gradient)
{
    const double h = 1e-5;
    double worst = 0.0, largest = 0.0;
    for (size_t i = 0; i < n; i += stride) {
        const double at = x[i];
        x[i] = at + h;
        const double above = loss(f);
        x[i] = at - h;
        const double below = loss(f);
        x[i] = at;
        const double difference = (above - below) / (2.0 * h);
        /* relative, except to what is small beside the others: truncation and rounding are not */
        worst = fmax(worst, fabs(difference - gradient[i]) / fmax(fabs(difference), 1e-2));
        largest = fmax(largest, fabs(difference));
    }
    if (!(worst < 1e-5) || !(largest > 1e-2))
        fail_msg("gradients are off by %g of themselves; the largest is %g", worst, largest);
}

/* Linear and quadratic in all outputs. */
static double policy_loss(struct fixture *f)
{
    double sum = 0.0;
    agent_net_read(&f->policy, N, f->policy.shape.n_decisions, f->tokens);
    for (size_t i = 0; i < f->policy.n_rows * M; i++) {
        const double mu = f->policy.mu[i], log_sigma = f->policy.log_sigma[i];
        sum += 0.5 * mu * mu + f->aim[i] * mu + log_sigma * (f->noise[i] + mu);
    }
    return sum;
}

static void check_policy(enum mix_agent_trunk trunk, size_t n_decisions, size_t stride)
{
    struct fixture f;
    double d_mu[ROWS * M] = {0}, d_log_sigma[ROWS * M] = {0};
    begin(&f, trunk, n_decisions);
    policy_loss(&f);
    for (size_t i = 0; i < f.policy.n_rows * M; i++) {
        d_mu[i] = f.policy.mu[i] + f.aim[i] + f.policy.log_sigma[i];
        d_log_sigma[i] = f.noise[i] + f.policy.mu[i];
    }
    agent_net_policy_backward(&f.policy, d_mu, d_log_sigma);
    check_gradient(&f, policy_loss, f.policy.n_params, stride, f.policy.params, f.policy.gradient);
    end(&f);
}

static void test_I5_gradient_of_the_policy(void **state)
{
    (void)state;
    check_policy(MIX_AGENT_TRANSFORMER, T, 11);
    check_policy(MIX_AGENT_TRANSFORMER, 1, 53);
    check_policy(MIX_AGENT_MLP, T, 97);
}

static double critic_loss(struct fixture *f)
{
    double values[ROWS * A] = {0}, sum = 0.0;
    agent_net_read(&f->critic, N, T, f->tokens);
    agent_net_values(&f->critic, A, f->actions, values);
    for (size_t i = 0; i < ROWS * A; i++)
        sum += 0.5 * values[i] * values[i] + f->aim[i] * values[i];
    return sum;
}

static void check_critic(enum mix_agent_trunk trunk, size_t stride)
{
    struct fixture f;
    double values[ROWS * A] = {0}, d_values[ROWS * A], d_actions[ROWS * A * D], again[ROWS * A * D];
    begin(&f, trunk, T);
    agent_net_read(&f.critic, N, T, f.tokens);
    agent_net_values(&f.critic, A, f.actions, values);
    for (size_t i = 0; i < ROWS * A; i++)
        d_values[i] = values[i] + f.aim[i];
    agent_net_values_backward(&f.critic, A, f.actions, d_values, false, again);
    for (size_t i = 0; i < f.critic.n_params; i++)
        assert_true(f.critic.gradient[i] == 0.0); /* only `learn` touches them */
    agent_net_values_backward(&f.critic, A, f.actions, d_values, true, d_actions);
    assert_memory_equal(d_actions, again, sizeof again);
    check_gradient(&f, critic_loss, f.critic.n_params, stride, f.critic.params, f.critic.gradient);
    check_gradient(&f, critic_loss, ROWS * A * D, 1, f.actions, d_actions);
    end(&f);
}

static void test_I5_gradient_of_the_critic_by_parameters_and_actions(void **state)
{
    (void)state;
    check_critic(MIX_AGENT_TRANSFORMER, 19);
    check_critic(MIX_AGENT_MLP, 197);
}

/* What the policy is trained with: sum of eta log pi(a|s) - Q(s,a) over reparameterised samples. */
static const double ETA = 0.3;

static double actor_loss(struct fixture *f)
{
    double values[ROWS] = {0}, sum = 0.0;
    agent_net_read(&f->policy, N, T, f->tokens);
    for (size_t i = 0; i < ROWS; i++)
        sum += ETA * agent_policy_sample(D, f->policy.mu + i * M, f->policy.log_sigma + i * M,
                                         f->noise + i * M, f->actions + i * D);
    agent_net_values(&f->critic, 1, f->actions, values);
    for (size_t i = 0; i < ROWS; i++)
        sum -= values[i];
    return sum;
}

static void test_I5_gradient_of_the_reparameterised_path(void **state)
{
    (void)state;
    struct fixture f;
    double minus_one[ROWS], d_actions[ROWS * D], d_mu[ROWS * M] = {0}, d_log_sigma[ROWS * M] = {0};
    begin(&f, MIX_AGENT_TRANSFORMER, T);
    agent_net_read(&f.critic, N, T, f.tokens);
    actor_loss(&f);
    for (size_t i = 0; i < ROWS; i++)
        minus_one[i] = -1.0;
    agent_net_values_backward(&f.critic, 1, f.actions, minus_one, false, d_actions);
    for (size_t i = 0; i < ROWS; i++)
        agent_policy_sample_backward(D, f.policy.log_sigma + i * M, f.noise + i * M,
                                     f.actions + i * D, d_actions + i * D, ETA, d_mu + i * M,
                                     d_log_sigma + i * M);
    agent_net_policy_backward(&f.policy, d_mu, d_log_sigma);
    check_gradient(&f, actor_loss, f.policy.n_params, 23, f.policy.params, f.policy.gradient);
    end(&f);
}

/* Log density of a fixed action and divergence from it, by mu and log sigma: f->noise, f->aim. */
static double density_loss(struct fixture *f)
{
    return 0.7 * agent_policy_log_density(D, f->noise, f->aim, f->actions, 0.0, NULL, NULL) +
           0.4 * agent_policy_divergence(D, f->actions, f->noise, 0.0, NULL);
}

static void test_I5_gradient_of_density_and_divergence(void **state)
{
    (void)state;
    struct fixture f;
    double d_mu[M] = {0}, d_log_sigma[M] = {0}, sample[D];
    begin(&f, MIX_AGENT_TRANSFORMER, T);
    agent_policy_log_density(D, f.noise, f.aim, f.actions, 0.7, d_mu, d_log_sigma);
    agent_policy_divergence(D, f.actions, f.noise, 0.4, d_mu);
    check_gradient(&f, density_loss, M, 1, f.noise, d_mu);
    check_gradient(&f, density_loss, M, 1, f.aim, d_log_sigma);
    const double drawn = agent_policy_sample(D, f.noise, f.aim, f.noise + M, sample);
    assert_true(fabs(drawn - agent_policy_log_density(D, f.noise, f.aim, sample, 0.0, NULL, NULL)) <
                1e-9);
    end(&f);
}

/* On the 2-simplex, whose area in the first two shares is 1/2. */
static void test_I7_densities_integrate_to_one(void **state)
{
    (void)state;
    enum { GRID = 800 };
    const double mu[2] = {0.3, -0.4}, log_sigma[2] = {-0.2, -0.7}, h = 1.0 / GRID;
    double sum = 0.0;
    for (size_t i = 0; i < GRID; i++)
        for (size_t j = 0; i + j + 1 < GRID; j++) {
            const double x = ((double)i + 0.5) * h, y = ((double)j + 0.5) * h;
            const double a[3] = {x, y, 1.0 - x - y};
            sum += h * h * exp(agent_policy_log_density(3, mu, log_sigma, a, 0.0, NULL, NULL));
        }
    assert_true(fabs(sum - 1.0) < 1e-5);
    assert_true(fabs(exp(agent_policy_log_uniform(3)) * 0.5 - 1.0) < 1e-12);
    assert_true(fabs(agent_policy_log_uniform(6) - log(120.0)) < 1e-12);
}

/* log of the integral of e^{3x} over 0 ... 1 = log((e^3 - 1) / 3) = 1.8503, as conservative
 * learning estimates such integrals: by importance, of uniform draws and of a policy's. */
static void test_I8_log_integral_by_importance_sampling(void **state)
{
    (void)state;
    const size_t n = 200000;
    /* wider than the network may be: the tails of a normal are thinner than the integrand's */
    const double mu = 1.0, log_sigma = 0.5;
    double uniform = 0.0, own = 0.0, a[2];
    gsl_rng *rng = mix_rng_create(mix_key_make(1, "agent integral", NULL, 0));
    assert_non_null(rng);
    for (size_t i = 0; i < n; i++) {
        agent_policy_uniform(2, rng, a);
        uniform += exp(3.0 * a[0] - agent_policy_log_uniform(2));
        const double noise = gsl_ran_gaussian_ziggurat(rng, 1.0);
        const double log_density = agent_policy_sample(2, &mu, &log_sigma, &noise, a);
        own += exp(3.0 * a[0] - log_density);
    }
    gsl_rng_free(rng);
    const double exact = log((exp(3.0) - 1.0) / 3.0);
    assert_true(fabs(log(uniform / (double)n) - exact) < 0.01);
    assert_true(fabs(log(own / (double)n) - exact) < 0.01);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_I5_gradient_of_the_policy),
        cmocka_unit_test(test_I5_gradient_of_the_critic_by_parameters_and_actions),
        cmocka_unit_test(test_I5_gradient_of_the_reparameterised_path),
        cmocka_unit_test(test_I5_gradient_of_density_and_divergence),
        cmocka_unit_test(test_I7_densities_integrate_to_one),
        cmocka_unit_test(test_I8_log_integral_by_importance_sampling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
