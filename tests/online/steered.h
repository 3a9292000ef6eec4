/* SPDX-License-Identifier: GPL-3.0-or-later */
/* steered.h - methods made and driven, for the tests of src/online/. */
#ifndef MIXSWEEP_TESTS_ONLINE_STEERED_H
#define MIXSWEEP_TESTS_ONLINE_STEERED_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "online/online_impl.h"

enum { GROUPS_MAX = 8 };

static inline void assert_near(double a, double b, double tolerance)
{
    if (!(fabs(a - b) <= tolerance))
        fail_msg("%.17g is not within %g of %.17g", a, tolerance, b);
}

static inline struct mix_method_setup setup_of(size_t m, uint64_t n_steps)
{
    return (struct mix_method_setup){
        .n_groups = m, .n_steps = n_steps, .seed = 1, .options = mix_online_defaults(m, n_steps)};
}

static inline struct mix_mixer *mixer_of(const char *method, const struct mix_method_setup *setup)
{
    struct mix_mixer *mixer = NULL;
    struct mix_error err = {.text = ""};
    assert_non_null(mix_method_find(method));
    if (mix_mixer_create(mix_method_find(method), setup, &mixer, &err) != MIX_OK)
        fail_msg("%s", err.text);
    return mixer;
}

static inline struct mix_trainee *simulator_of(const struct mix_simulator_options *world)
{
    struct mix_trainee *trainee = NULL;
    struct mix_error err = {.text = ""};
    if (mix_trainee_simulator(world, &trainee, &err) != MIX_OK)
        fail_msg("%s", err.text);
    return trainee;
}

/* The whole run of a mixer, which is destroyed, in a world. */
static inline struct mix_trajectory *steer_mixer(const struct mix_simulator_options *world,
                                                 struct mix_mixer *mixer)
{
    struct mix_error err = {.text = ""};
    struct mix_trainee *trainee = simulator_of(world);
    struct mix_trajectory *trajectory = mix_trajectory_create(world->n_groups);
    assert_non_null(trajectory);
    if (mix_online_steer(trainee, mixer, trajectory, NULL, &err) != MIX_OK)
        fail_msg("%s", err.text);
    mix_mixer_destroy(mixer);
    mix_trainee_destroy(trainee);
    return trajectory;
}

static inline struct mix_trajectory *steer(const struct mix_simulator_options *world,
                                           const char *method, const struct mix_method_setup *setup)
{
    return steer_mixer(world, mixer_of(method, setup));
}

/* The sum of the last losses of a static run under p. */
static inline double static_sum(const struct mix_simulator_options *world, const double *p)
{
    double sum = 0.0;
    struct mix_trainee *trainee = simulator_of(world);
    struct mix_trajectory *t = mix_trajectory_create(world->n_groups);
    assert_non_null(t);
    assert_int_equal(mix_online_static(trainee, p, world->n_steps, 0, t, NULL, NULL), MIX_OK);
    for (size_t i = 0; i < world->n_groups; i++)
        sum += t->test[i];
    mix_trajectory_destroy(t);
    mix_trainee_destroy(trainee);
    return sum;
}

static inline double test_sum(const struct mix_trajectory *t)
{
    double sum = 0.0;
    for (size_t i = 0; i < t->n_groups; i++)
        sum += t->test[i];
    return sum;
}

/* Segment and observation with their arrays. */
struct bench {
    struct mix_segment segment;
    struct mix_observation seen;
    double arrays[6][GROUPS_MAX], alignment[GROUPS_MAX * GROUPS_MAX];
};

static inline void bench_init(struct bench *b)
{
    *b = (struct bench){.segment = {.mixture = b->arrays[0], .weight = b->arrays[1]},
                        .seen = {.loss = b->arrays[2],
                                 .train_loss = b->arrays[3],
                                 .reference_loss = b->arrays[4],
                                 .train_norm = b->arrays[5],
                                 .alignment = b->alignment}};
}

/* The group that a perturbed mixture leans to. */
static inline size_t leading_group(size_t m, const double *p)
{
    size_t best = 0;
    for (size_t j = 1; j < m; j++)
        if (p[j] > p[best])
            best = j;
    return best;
}

#endif
