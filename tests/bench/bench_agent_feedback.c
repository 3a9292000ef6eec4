/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_agent_feedback.c - how noisy an agent's feedback is beside its reward: runs of a job's
 * plan, measured after every decision on the feedback text and on two others of equal length. What
 * the change in one step differs by from text to text is noise. Use: bench.agent_feedback.bench
 * JOB.yaml [RUNS (4)] */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/agent_compare.h"
#include "online/agent_world.h"

enum { TEXTS = 3 };

struct bench {
    struct mix_job *job;
    struct agent_world *world;
    const struct mix_agent_space *space;
    size_t n_runs;
    double *plan;     /* (n,T,D) */
    int32_t *stratum; /* (n) */
    double *seen;     /* (texts,n,T+1,D) minus the loss */
};

static void demand(enum mix_status status, const struct mix_error *err)
{
    if (status == MIX_OK)
        return;
    fprintf(stderr, "bench: %s\n", err->text);
    exit(1);
}

static double *seen_at(const struct bench *b, size_t text, size_t run, size_t t)
{
    return b->seen +
           ((text * b->n_runs + run) * (b->space->n_decisions + 1) + t) * b->space->n_slots;
}

static void look(const struct bench *b, struct mix_trainee *trainee, size_t run, size_t t)
{
    static const enum mix_corpus_part parts[TEXTS - 1] = {MIX_PART_SELECT, MIX_PART_TEST};
    const size_t d = b->space->n_slots;
    double se[MIX_GROUPS_MAX], numbers[4][MIX_GROUPS_MAX];
    struct mix_error err = {.text = ""};
    double *alignment = calloc(d * d, sizeof *alignment);
    struct mix_observation seen = {.loss = numbers[0],
                                   .train_loss = numbers[1],
                                   .reference_loss = numbers[2],
                                   .train_norm = numbers[3],
                                   .alignment = alignment};
    demand(alignment == NULL ? MIX_ENOMEM : MIX_OK, &err);
    demand(trainee->kind->measure(trainee, MIX_MEASURE_LOSS, &seen, NULL, &err), &err);
    memcpy(seen_at(b, 0, run, t), seen.loss, d * sizeof *seen.loss);
    for (size_t p = 0; p < TEXTS - 1; p++) {
        mix_trainee_test_on(trainee, parts[p]);
        demand(trainee->kind->test(trainee, seen_at(b, p + 1, run, t), se, NULL, &err), &err);
    }
    for (size_t p = 0; p < TEXTS; p++)
        for (size_t i = 0; i < d; i++)
            seen_at(b, p, run, t)[i] *= -1;
    free(alignment);
}

static void play(const struct bench *b, size_t run)
{
    const size_t d = b->space->n_slots, n = b->space->n_decisions;
    struct mix_trainee *trainee = NULL;
    struct mix_error err = {.text = ""};
    demand(agent_world_trainee(b->world, 0, run, &trainee, NULL, &err), &err);
    look(b, trainee, run, 0);
    for (size_t t = 0; t < n; t++) {
        const struct mix_segment segment = {.n_steps = agent_world_steps(b->world),
                                            .mixture = b->plan + (run * n + t) * d};
        demand(trainee->kind->train(trainee, &segment, NULL, &err), &err);
        look(b, trainee, run, t + 1);
    }
    mix_trainee_destroy(trainee);
}

static double deviation(double sum, double squares, double n)
{
    return sqrt(fmax(0, squares / n - sum / n * (sum / n)));
}

/* Of the whole changes, as the agent's reward is scaled by. */
static void find_scale(const struct bench *b, struct mix_agent_scale *scale)
{
    for (size_t i = 0; i < b->space->n_slots; i++) {
        double sum = 0, squares = 0;
        for (size_t r = 0; r < b->n_runs; r++) {
            const double change =
                seen_at(b, 0, r, b->space->n_decisions)[i] - seen_at(b, 0, r, 0)[i];
            sum += change;
            squares += change * change;
        }
        scale->sigma[i] = deviation(sum, squares, (double)b->n_runs);
    }
}

/* Deviation of the reward, and of its noise: half the variance of a difference between two texts is
 * that of one. */
static void print_noise(const struct bench *b, const struct mix_agent_scale *scale)
{
    double sum = 0, squares = 0, noise = 0;
    const double n = (double)(b->n_runs * b->space->n_decisions);
    for (size_t r = 0; r < b->n_runs; r++)
        for (size_t t = 0; t < b->space->n_decisions; t++) {
            double reward[TEXTS];
            for (size_t p = 0; p < TEXTS; p++)
                reward[p] = mix_agent_utility(b->space, scale, seen_at(b, p, r, t),
                                              seen_at(b, p, r, t + 1));
            sum += reward[0];
            squares += reward[0] * reward[0];
            for (size_t p = 1; p < TEXTS; p++)
                noise += (reward[p] - reward[0]) * (reward[p] - reward[0]) / 2 / (TEXTS - 1);
        }
    const double std = deviation(sum, squares, n), off = sqrt(noise / n);
    printf(
        "reward: deviation %.4f, noise %.4f, ratio %.2f (to be below 0.3) over %.0f decisions of "
        "%zu runs, %zu bytes of each slot\n",
        std, off, off / std, n, b->n_runs, b->job->agent.options.validation_bytes);
}

int main(int argc, char **argv)
{
    struct mix_error err = {.text = ""};
    struct mix_agent_campaign *campaign = NULL;
    struct mix_agent_scale scale;
    struct bench b = {.n_runs = argc > 2 ? strtoul(argv[2], NULL, 10) : 4};
    const struct mix_campaign_options options = {.isa = mix_isa_best()};
    if (argc < 2 || b.n_runs < 2) {
        fprintf(stderr, "use: %s JOB.yaml [RUNS (4)]\n", argv[0]);
        return 2;
    }
    demand(mix_job_read(argv[1], &b.job, &err), &err);
    b.job->agent.test_bytes = b.job->agent.options.validation_bytes;
    demand(agent_world_open(b.job, AGENT_OWN, options.isa, &b.world, &err), &err);
    demand(mix_agent_campaign_plan(b.job, &campaign, &err), &err);
    demand(agent_world_bases(NULL, b.world, campaign, 0, 1, &options, &err), &err);
    b.space = agent_world_space(b.world);
    const size_t d = b.space->n_slots, t = b.space->n_decisions;
    b.plan = calloc(b.n_runs * t * d, sizeof *b.plan);
    b.stratum = calloc(b.n_runs, sizeof *b.stratum);
    b.seen = calloc(TEXTS * b.n_runs * (t + 1) * d, sizeof *b.seen);
    demand(b.plan == NULL || b.stratum == NULL || b.seen == NULL ? MIX_ENOMEM : MIX_OK, &err);
    demand(
        mix_agent_plan(b.space, agent_world_natural(b.world), b.n_runs, 1, b.plan, b.stratum, &err),
        &err);
    for (size_t r = 0; r < b.n_runs; r++)
        play(&b, r);
    find_scale(&b, &scale);
    print_noise(&b, &scale);
    mix_agent_campaign_destroy(campaign);
    agent_world_close(b.world);
    mix_job_destroy(b.job);
    free(b.plan);
    free(b.stratum);
    free(b.seen);
    return 0;
}
