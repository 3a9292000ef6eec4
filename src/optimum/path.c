/* SPDX-License-Identifier: GPL-3.0-or-later */
/* path.c - the optimum on a grid of scales from what was fitted to the target. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "optimum/search.h"

enum {
    GIVEN = 4
}; /* starts: the point before, the optimum at the target, the baseline, the best
      observed mixture */

/* (MIX_PATH_STEPS) values evenly spaced in the logarithm, the last is the target; from the largest
 * fitted, or from the smallest where the target is no larger than that. Returns their number. */
static size_t set_steps(double largest, double least, double target, double *steps)
{
    const double first = largest < target ? largest : least;
    if (!(first > 0.0 && first < target)) {
        steps[0] = target;
        return 1;
    }
    for (size_t i = 0; i + 1 < MIX_PATH_STEPS; i++)
        steps[i] = first * pow(target / first, (double)i / (MIX_PATH_STEPS - 1));
    steps[MIX_PATH_STEPS - 1] = target;
    return MIX_PATH_STEPS;
}

/* A scale without a mixture that keeps the constraints has NaN. */
static enum mix_status find_point(struct mix_search *s, const struct mix_optimum_options *options,
                                  const double *given, struct mix_valleys *valleys, double *mixture,
                                  double *value, struct mix_error *err)
{
    enum mix_status status = mix_search_aim(s, s->params, err);
    if (status == MIX_OK)
        status = mix_search_valleys(s, GIVEN, given, GIVEN + 1, options->seed, valleys, err);
    const bool found = status == MIX_OK;
    *value = found ? valleys->best.value : NAN;
    for (size_t j = 0; j < s->n_domains; j++)
        mixture[j] = found ? valleys->bottom[j] : NAN;
    return status == MIX_ENUMERIC || status == MIX_EINVAL ? mix_fail(err, MIX_OK, "%s", "")
                                                          : status;
}

/* The grid from the target down, each point from the one before. */
static enum mix_status walk(struct mix_search *s, const struct mix_optimum_options *options,
                            const struct mix_fit *fit, double *lower, double *limit, double *given,
                            struct mix_valleys *valleys, struct mix_optimum *o,
                            struct mix_error *err)
{
    const size_t n = s->n_domains;
    enum mix_status status = MIX_OK;
    for (size_t i = o->n_path; i-- > 0 && status == MIX_OK;) {
        double sum_lower = 0.0, sum_limit = 0.0, *mixture = o->path_mixture + i * n;
        s->n_params = o->path_n_params[i] / 1e6;
        s->n_tokens = o->path_n_tokens[i] / 1e9;
        mix_bounds_set(options, fit, o->supply, o->path_n_tokens[i], lower, limit);
        for (size_t j = 0; j < n; j++) {
            sum_lower += lower[j];
            sum_limit += limit[j];
        }
        if (sum_lower > 1.0 || sum_limit < 1.0) {
            o->path_value[i] = NAN;
            for (size_t j = 0; j < n; j++)
                mixture[j] = NAN;
            continue;
        }
        status = find_point(s, options, given, valleys, mixture, &o->path_value[i], err);
        if (isfinite(mixture[0]))
            memcpy(given, mixture, n * sizeof *given);
    }
    return status;
}

enum mix_status mix_path_find(struct mix_search *s, const struct mix_optimum_options *options,
                              const struct mix_fit *fit, const struct mix_observed *observed,
                              struct mix_optimum *o, struct mix_error *err)
{
    const size_t n = s->n_domains;
    const struct mix_search before = *s;
    double n_params[MIX_PATH_STEPS] = {0}, n_tokens[MIX_PATH_STEPS] = {0};
    const size_t n_sizes =
        set_steps(fit->max_n_params, observed->least_n_params, o->n_params, n_params);
    const size_t n_lengths =
        set_steps(fit->max_n_tokens, observed->least_n_tokens, o->n_tokens, n_tokens);
    double *block = malloc((2 + GIVEN + MIX_WARM_MAX) * n * sizeof *block);
    if (block == NULL || !mix_optimum_add_path(o, n_sizes * n_lengths)) {
        free(block);
        return mix_fail(err, MIX_ENOMEM, "out of memory for the scale path");
    }
    for (size_t i = 0; i < o->n_path; i++) {
        o->path_n_params[i] = n_params[i / n_lengths];
        o->path_n_tokens[i] = n_tokens[i % n_lengths];
    }
    double *given = block + 2 * n;
    const double *const starts[GIVEN] = {o->mixture, o->mixture, o->baseline, o->best_observed};
    for (size_t i = 0; i < GIVEN; i++)
        memcpy(given + i * n, starts[i], n * sizeof *given);
    struct mix_valleys valleys = {.bottom = given + GIVEN * n};
    s->asked.lower = block;
    s->asked.upper = block + n;
    enum mix_status status = walk(s, options, fit, block, block + n, given, &valleys, o, err);
    s->n_params = before.n_params;
    s->n_tokens = before.n_tokens;
    s->asked = before.asked;
    if (status == MIX_OK)
        status = mix_search_aim(s, before.params, err);
    free(block);
    return status;
}
