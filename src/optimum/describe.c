/* SPDX-License-Identifier: GPL-3.0-or-later */
/* describe.c - an optimum in words, for everybody who shows one. */
#include "mixsweep/optimum.h"

#include <math.h>
#include <stdio.h>

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

const char *mix_optimum_broken_text(const struct mix_optimum *o, size_t gain,
                                    char text[MIX_NAME_MAX])
{
    static const double ROUNDING = 1e-9;
    static const char *const names[] = {"floors", "caps", "distance"};
    double shares[MIX_DOMAINS_MAX];
    bool broken[3] = {false, false, false};
    for (size_t j = 0; j < o->n_domains && j < MIX_DOMAINS_MAX; j++) {
        const double all[MIX_GAINS] = {o->baseline[j], 1.0 / (double)o->n_domains,
                                       o->best_observed[j]};
        const double limit = isnan(o->limit[j]) ? o->upper[j] : o->limit[j];
        shares[j] = all[gain];
        broken[0] = broken[0] || shares[j] < o->lower[j] - ROUNDING;
        broken[1] = broken[1] || shares[j] > limit + ROUNDING;
    }
    broken[2] =
        o->near != MIX_DISTANCE_NONE && distance_to_baseline(o, shares) > o->near_radius + ROUNDING;
    text[0] = '\0';
    for (size_t i = 0, used = 0; i < 3; i++)
        if (broken[i])
            used += (size_t)snprintf(text + used, MIX_NAME_MAX - used, "%s%s",
                                     used > 0 ? " and " : "", names[i]);
    return text;
}
