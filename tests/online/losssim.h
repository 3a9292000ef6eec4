/* SPDX-License-Identifier: GPL-3.0-or-later */
/* losssim.h - episodes in worlds of known dynamics, "LossSim", for the tests and the bench of the
 * agent: two source slots, one target slot, 16 decisions; rates and bounds of each episode are
 * drawn anew. */
#ifndef MIXSWEEP_TESTS_ONLINE_LOSSSIM_H
#define MIXSWEEP_TESTS_ONLINE_LOSSSIM_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "online/agent_data.h"

enum { SIM_SLOTS = 3, SIM_DECISIONS = 16, SIM_STEPS = 8 };

static inline struct mix_agent_space losssim_space(void)
{
    return (struct mix_agent_space){SIM_SLOTS, SIM_SLOTS - 1, SIM_DECISIONS, 0.5, 0.5};
}

/* What cannot happen here ends the program. */
static inline void losssim_must(enum mix_status status, const struct mix_error *err)
{
    if (status != MIX_OK) {
        fprintf(stderr, "losssim: %s\n", err->text);
        abort();
    }
}

/* The world of an episode; width 0: the middle of all worlds. */
static inline struct mix_trainee *losssim_world(uint64_t seed, uint64_t episode, double width)
{
    const double loss[] = {1.0, 1.0, 3.0}, bottom[] = {0.9, 0.9, 1.0}, top[] = {2.5, 2.0, 3.2};
    double low[SIM_SLOTS], high[SIM_SLOTS];
    struct mix_error err = {.text = ""};
    gsl_rng *rng = mix_rng_create(mix_key_make(seed, "losssim", &episode, sizeof episode));
    if (rng == NULL)
        abort();
    struct mix_forgetting_options options = {
        .n_groups = SIM_SLOTS,
        .n_steps = SIM_DECISIONS * SIM_STEPS,
        .steps_per_decision = SIM_STEPS,
        .rate = 0.4 * (1.0 + width * (gsl_rng_uniform(rng) - 0.5)),
        .forgetting = 0.075 * (1.0 + width * (gsl_rng_uniform(rng) - 0.5)),
        .loss = loss,
        .low = low,
        .high = high,
    };
    for (size_t i = 0; i < SIM_SLOTS; i++) {
        const double drop = loss[i] - bottom[i], rise = top[i] - loss[i];
        low[i] = loss[i] - drop * (1.0 + width * (gsl_rng_uniform(rng) - 0.5));
        high[i] = loss[i] + rise * (1.0 + width * (gsl_rng_uniform(rng) - 0.5));
    }
    gsl_rng_free(rng);
    struct mix_trainee *trainee = NULL;
    losssim_must(mix_trainee_forgetting(&options, &trainee, &err), &err);
    return trainee;
}

/* Train for a decision under a mixture and look; a NULL mixture only looks. */
static inline void losssim_step(struct mix_trainee *world, const double *mixture, double *feedback)
{
    double p[SIM_SLOTS], loss[SIM_SLOTS];
    struct mix_observation seen = {.loss = loss};
    struct mix_error err = {.text = ""};
    if (mixture != NULL) {
        memcpy(p, mixture, sizeof p);
        const struct mix_segment segment = {.n_steps = SIM_STEPS, .mixture = p};
        losssim_must(world->kind->train(world, &segment, NULL, &err), &err);
    }
    losssim_must(world->kind->measure(world, MIX_MEASURE_LOSS, &seen, NULL, &err), &err);
    for (size_t i = 0; i < SIM_SLOTS; i++)
        feedback[i] = -loss[i];
}

/* n trajectories of a plan, each in a world of its own. */
static inline struct mix_agent_data *losssim_data(size_t n, uint64_t seed, double width)
{
    const struct mix_agent_space space = losssim_space();
    const double natural[SIM_SLOTS] = {1.0, 1.0, 1.0};
    struct mix_agent_data *data = mix_agent_data_create(&space);
    struct mix_error err = {.text = ""};
    for (size_t i = 0; data != NULL && i < n; i++)
        if (mix_agent_data_append(data) == SIZE_MAX)
            abort();
    if (data == NULL)
        abort();
    losssim_must(mix_agent_plan(&space, natural, n, seed, data->mixture, data->stratum, &err),
                 &err);
    for (size_t i = 0; i < n; i++) {
        struct mix_trainee *world = losssim_world(seed, i, width);
        double *feedback = data->feedback + i * (SIM_DECISIONS + 1) * SIM_SLOTS;
        data->held_out[i] = mix_agent_held_out(i);
        losssim_step(world, NULL, feedback);
        for (size_t t = 0; t < SIM_DECISIONS; t++)
            losssim_step(world, agent_mixtures(data, i) + t * SIM_SLOTS,
                         feedback + (t + 1) * SIM_SLOTS);
        mix_trainee_destroy(world);
    }
    return data;
}

/* Give each trajectory the feedback of another: what is then rewarded has no cause in what was
 * done. */
static inline void losssim_shuffle(struct mix_agent_data *data)
{
    const size_t row = (SIM_DECISIONS + 1) * SIM_SLOTS;
    double kept[(SIM_DECISIONS + 1) * SIM_SLOTS];
    memcpy(kept, data->feedback, sizeof kept);
    memmove(data->feedback, data->feedback + row, (data->n - 1) * row * sizeof *kept);
    memcpy(data->feedback + (data->n - 1) * row, kept, sizeof kept);
}

/* An episode: one mixture holds, or the agent decides where it is NULL. */
struct losssim_episode {
    double mixture[SIM_DECISIONS * SIM_SLOTS];
    double feedback[(SIM_DECISIONS + 1) * SIM_SLOTS];
};

static inline void losssim_play(struct mix_trainee *world, struct mix_agent *agent,
                                const double *constant, struct losssim_episode *out)
{
    struct mix_error err = {.text = ""};
    losssim_must(world->kind->restart(world, NULL, &err), &err);
    losssim_step(world, NULL, out->feedback);
    for (size_t t = 0; t < SIM_DECISIONS; t++) {
        double *p = out->mixture + t * SIM_SLOTS;
        if (constant != NULL)
            memcpy(p, constant, SIM_SLOTS * sizeof *p);
        else
            mix_agent_act(agent, t, out->mixture, out->feedback, p);
        losssim_step(world, p, out->feedback + (t + 1) * SIM_SLOTS);
    }
}

static inline double losssim_end(const struct mix_agent_scale *scale,
                                 const struct losssim_episode *episode)
{
    const struct mix_agent_space space = losssim_space();
    return mix_agent_utility(&space, scale, episode->feedback,
                             episode->feedback + SIM_DECISIONS * SIM_SLOTS);
}

#endif
