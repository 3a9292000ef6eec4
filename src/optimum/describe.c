/* SPDX-License-Identifier: GPL-3.0-or-later */
/* describe.c - what an optimum minimises, as a number and in words, for everybody who shows one. */
#include "mixsweep/optimum.h"

#include <math.h>
#include <stdio.h>

static const double ROUNDING = 1e-9; /* of a share */
static const double NO_FLOOR = 1e-4; /* of a share: the floor where nobody gives one */

bool mix_goal_is_relative(enum mix_goal goal)
{
    return goal == MIX_GOAL_MEAN_GAIN || goal == MIX_GOAL_WORST_GAIN;
}

void mix_goal_fill_weights(const struct mix_fit *fit, enum mix_goal goal, double *weight)
{
    const size_t n_losses = fit->spec.n_targets - fit->spec.n_scores; /* scores come last */
    bool any_loss = false;
    for (size_t m = 0; m < fit->spec.n_targets; m++) {
        const bool left_out = m >= n_losses && any_loss && !mix_goal_is_relative(goal);
        if (isnan(weight[m]))
            weight[m] = left_out ? 0.0 : fit->target_weight[m];
        any_loss = any_loss || (m < n_losses && weight[m] > 0.0);
    }
}

double mix_goal_value(const struct mix_fit *fit, enum mix_goal goal, const double *weight,
                      const double *loss, const double *baseline)
{
    const bool relative = mix_goal_is_relative(goal);
    double sum = 0.0, total = 0.0, worst = -INFINITY;
    for (size_t m = 0; m < fit->spec.n_targets; m++) {
        if (!(weight[m] > 0.0))
            continue;
        const double plain = relative ? loss[m] / baseline[m] : loss[m];
        const double value = fit->link[m] != 0 ? (relative ? 2.0 : 0.0) - plain : plain;
        if (!isfinite(value))
            return NAN;
        sum += weight[m] * value;
        total += weight[m];
        worst = fmax(worst, value);
    }
    return goal == MIX_GOAL_WORST || goal == MIX_GOAL_WORST_GAIN ? worst : sum / total;
}

const char *mix_optimum_objective_text(const struct mix_optimum *o)
{
    static const char *const texts[MIX_GOALS] = {
        [MIX_GOAL_MEAN] = "mean loss",
        [MIX_GOAL_WORST] = "worst loss",
        [MIX_GOAL_MEAN_GAIN] = "mean loss relative to the baseline's",
        [MIX_GOAL_WORST_GAIN] = "worst loss relative to the baseline's"};
    if (o->goal <= MIX_GOAL_WORST && o->objective.value < 0.0) /* no law predicts negative losses */
        return o->goal == MIX_GOAL_MEAN ? "minus the mean score" : "minus the worst score";
    for (size_t m = 1; o->goal == MIX_GOAL_MEAN && m < o->n_targets; m++)
        if (o->weight[m] != o->weight[0])
            return "weighted mean loss";
    return texts[o->goal];
}

static double distance_to_baseline(const struct mix_optimum *o, const double *shares)
{
    double tv = 0.0, kl = 0.0;
    for (size_t j = 0; j < o->n_domains; j++) {
        tv += 0.5 * fabs(shares[j] - o->baseline[j]);
        if (shares[j] > 0.0)
            kl += shares[j] * log(shares[j] / o->baseline[j]);
    }
    return o->near == MIX_DISTANCE_TV ? tv : kl;
}

/* Which largest share of domain j a share is above: an index into the names below, or 0. */
static size_t limit_of(const struct mix_optimum *o, size_t j, double share)
{
    const double limit = isnan(o->limit[j]) ? o->upper[j] : o->limit[j];
    if (share <= limit + ROUNDING)
        return 0;
    if (share > o->upper[j] + ROUNDING)
        return 1;
    return o->max_epochs > 0.0 && share > o->supply[j] * o->max_epochs / o->n_tokens + ROUNDING ? 2
                                                                                                : 3;
}

const char *mix_optimum_broken_text(const struct mix_optimum *o, size_t gain,
                                    char text[MIX_NAME_MAX])
{
    static const char *const names[] = {"floors", "caps", "supply", "support", "distance"};
    double shares[MIX_DOMAINS_MAX];
    bool broken[5] = {false};
    for (size_t j = 0; j < o->n_domains && j < MIX_DOMAINS_MAX; j++) {
        const double all[MIX_GAINS] = {o->baseline[j], 1.0 / (double)o->n_domains,
                                       o->best_observed[j]};
        shares[j] = all[gain];
        /* a floor of 1e-4, the default, is not worth a word */
        broken[0] =
            broken[0] || shares[j] < o->lower[j] - (o->lower[j] > NO_FLOOR ? ROUNDING : NO_FLOOR);
        const size_t limit = limit_of(o, j, shares[j]);
        broken[limit] = broken[limit] || limit > 0;
    }
    broken[4] =
        o->near != MIX_DISTANCE_NONE && distance_to_baseline(o, shares) > o->near_radius + ROUNDING;
    text[0] = '\0';
    for (size_t i = 0, used = 0; i < 5; i++)
        if (broken[i])
            used += (size_t)snprintf(text + used, MIX_NAME_MAX - used, "%s%s",
                                     used > 0 ? " and " : "", names[i]);
    return text;
}
