/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_agent.c [SECONDS] - what an agent costs on one core: milliseconds of the passes of one
 * update of conservative learning (8 trajectories of 16 decisions over 6 slots, 31 actions per
 * decision), and microseconds of a frozen policy's decision; that also at the paper's size, about
 * 2.1M parameters, after 64 decisions.
 *
 * Time is processor time, the best of several rounds. */
#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "mixsweep/random.h"
#include "online/agent_net.h"
#include "online/agent_policy.h"

enum { D = 6, M = D - 1, T = 16, BATCH = 8, ROWS = BATCH * T, A = 31, N_ROUNDS = 5 };

struct bench {
    struct agent_net policy, critic, frozen;
    float *tokens, *actions, *values, *d_actions, *d_mu, *d_log_sigma, *noise;
};

static void check(enum mix_status status, const struct mix_error *err)
{
    if (status == MIX_OK)
        return;
    fprintf(stderr, "%s\n", err->text);
    exit(1);
}

static struct agent_net make(const struct agent_shape *shape, enum agent_role role, gsl_rng *rng)
{
    struct agent_net net;
    struct mix_error err = {.text = ""};
    check(agent_net_create(shape, role, proxy_kernels(mix_isa_best()), &net, &err), &err);
    agent_net_initialise(&net, rng);
    return net;
}

static float *numbers(size_t n, gsl_rng *rng)
{
    float *x = calloc(n, sizeof *x);
    if (x == NULL)
        abort();
    for (size_t i = 0; i < n; i++)
        x[i] = (float)gsl_rng_uniform(rng) - 0.5F;
    return x;
}

/* The best processor time of a call, in seconds. */
static double time_of(void (*call)(struct bench *b), struct bench *b, double seconds)
{
    double best = INFINITY;
    for (int round = 0; round < N_ROUNDS; round++) {
        size_t n = 0;
        double spent = 0.0;
        const clock_t start = clock();
        while (spent < seconds / N_ROUNDS) {
            call(b);
            n++;
            spent = (double)(clock() - start) / CLOCKS_PER_SEC;
        }
        best = fmin(best, spent / (double)n);
    }
    return best;
}

static void sample(struct bench *b)
{
    for (size_t i = 0; i < ROWS * A; i++)
        agent_policy_sample(D, b->policy.mu + i / A * M, b->policy.log_sigma + i / A * M,
                            b->noise + i % ROWS * M, b->actions + i * D);
}

static void train_policy(struct bench *b)
{
    agent_net_read(&b->policy, BATCH, T, b->tokens);
    agent_net_policy_backward(&b->policy, b->d_mu, b->d_log_sigma);
    agent_net_step(&b->policy, 1e-6, 1.0);
}

static void train_critic(struct bench *b)
{
    agent_net_read(&b->critic, BATCH, T, b->tokens);
    agent_net_values(&b->critic, A, b->actions, b->values);
    agent_net_values_backward(&b->critic, A, b->actions, b->values, true, NULL);
    agent_net_step(&b->critic, 1e-6, 1.0);
}

static void judge(struct bench *b)
{
    agent_net_read(&b->critic, BATCH, T, b->tokens);
    agent_net_values(&b->critic, 1, b->actions, b->values);
}

static void improve(struct bench *b)
{
    agent_net_values(&b->critic, 1, b->actions, b->values);
    agent_net_values_backward(&b->critic, 1, b->actions, b->values, false, b->d_actions);
}

/* The last decision of a history that was read before. */
static void decide(struct bench *b)
{
    double mixture[MIX_GROUPS_MAX];
    agent_net_extend(&b->frozen, b->frozen.shape.n_decisions - 1, b->tokens);
    agent_policy_mean(b->frozen.shape.n_slots, b->frozen.mu, mixture);
}

static double time_of_decision(struct bench *b, double seconds)
{
    for (size_t row = 0; row < b->frozen.shape.n_decisions; row++)
        agent_net_extend(&b->frozen, row, b->tokens);
    return 1e6 * time_of(decide, b, seconds);
}

static void print_large(struct bench *b, gsl_rng *rng, double seconds)
{
    const struct agent_shape shape = {
        .n_slots = 52, .n_decisions = 64, .width = 288, .n_layers = 2, .n_heads = 6, .batch = 1};
    struct bench large = {.tokens = b->tokens}; /* longer than one token of 52 slots */
    large.frozen = make(&shape, AGENT_POLICY, rng);
    const double us = time_of_decision(&large, seconds);
    printf("52 slots, width 288, %zu parameters\n  decision 64 %26.1f us\n", large.frozen.n_params,
           us);
    agent_net_destroy(&large.frozen);
}

static void print_update(struct bench *b, double seconds)
{
    const double policy = 1e3 * time_of(train_policy, b, seconds);
    const double critic = 1e3 * time_of(train_critic, b, seconds);
    const double target = 1e3 * time_of(judge, b, seconds);
    const double actor = 1e3 * time_of(improve, b, seconds);
    const double draws = 1e3 * time_of(sample, b, seconds);
    printf("  policy, read and learn       %7.2f ms  %zu parameters\n", policy, b->policy.n_params);
    printf("  critic, read and learn       %7.2f ms  %zu parameters\n", critic, b->critic.n_params);
    printf("  target critic, read          %7.2f ms\n", target);
    printf("  critic, dQ/da                %7.2f ms\n", actor);
    printf("  %d actions per decision      %7.2f ms\n", A, draws);
    printf("  update with two critics      %7.2f ms\n",
           policy + draws + 2.0 * (critic + target + actor));
}

int main(int argc, char **argv)
{
    const double seconds = argc > 1 ? strtod(argv[1], NULL) : 0.5;
    struct agent_shape shape = {.n_slots = D,
                                .n_decisions = T,
                                .width = 48,
                                .n_layers = 2,
                                .n_heads = 6,
                                .batch = BATCH,
                                .n_actions = A};
    gsl_rng *rng = mix_rng_create(mix_key_make(1, "agent bench", NULL, 0));
    if (rng == NULL)
        abort();
    openblas_set_num_threads(1);
    struct bench b = {.tokens = numbers(ROWS * agent_n_features(D), rng),
                      .actions = numbers(ROWS * A * D, rng),
                      .values = numbers(ROWS * A, rng),
                      .d_actions = numbers(ROWS * D, rng),
                      .d_mu = numbers(ROWS * M, rng),
                      .d_log_sigma = numbers(ROWS * M, rng),
                      .noise = numbers(ROWS * M, rng)};
    printf("isa %s; %d trajectories of %d decisions over %d slots, %d actions per decision\n",
           mix_isa_name(mix_isa_best()), BATCH, T, D, A);
    for (int trunk = MIX_AGENT_TRANSFORMER; trunk <= MIX_AGENT_MLP; trunk++) {
        shape.trunk = (enum mix_agent_trunk)trunk;
        b.policy = make(&shape, AGENT_POLICY, rng);
        b.critic = make(&shape, AGENT_CRITIC, rng);
        b.frozen = make(&shape, AGENT_POLICY, rng);
        agent_net_read(&b.policy, BATCH, T, b.tokens);
        printf("%s\n", trunk == MIX_AGENT_MLP ? "window of four" : "transformer");
        print_update(&b, seconds);
        printf("  a decision, the last one     %7.1f us\n", time_of_decision(&b, seconds));
        agent_net_destroy(&b.policy);
        agent_net_destroy(&b.critic);
        agent_net_destroy(&b.frozen);
    }
    print_large(&b, rng, seconds);
    free(b.tokens);
    free(b.actions);
    free(b.values);
    free(b.d_actions);
    free(b.d_mu);
    free(b.d_log_sigma);
    free(b.noise);
    gsl_rng_free(rng);
    return 0;
}
