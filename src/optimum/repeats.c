/* SPDX-License-Identifier: GPL-3.0-or-later */
/* repeats.c - an optimum of a law with repetition beside the one that knows nothing of it, and what
 * more tokens of a domain would be worth. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "optimum/search.h"

enum { GIVEN = 3 }; /* starts: the optimum, the baseline, the best observed mixture */

static double r1_of(const struct mix_fit *fit)
{
    return fit->params[fit->n_params - 1]; /* see law.h: the last one */
}

enum mix_status mix_fresh_find(struct mix_search *search, const struct mix_optimum_options *options,
                               const struct mix_fit *fit, const struct mix_question *question,
                               struct mix_optimum *o, struct mix_error *err)
{
    const size_t n = o->n_domains;
    bool known = false;
    for (size_t j = 0; j < n; j++)
        known = known || !isnan(o->supply[j]);
    if (!known || !mix_law_repeats(fit->spec.law))
        return MIX_OK;
    o->r1 = r1_of(fit);
    struct mix_question fresh = *question;
    struct mix_search *without = NULL;
    double *block = malloc((1 + GIVEN + MIX_WARM_MAX) * n * sizeof *block);
    if (block == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu domains", n);
    double *endless = block, *given = block + n;
    struct mix_valleys valleys = {.bottom = given + GIVEN * n};
    const double *const starts[GIVEN] = {o->mixture, o->baseline, o->best_observed};
    for (size_t j = 0; j < n; j++)
        endless[j] = NAN;
    for (size_t i = 0; i < GIVEN; i++)
        memcpy(given + i * n, starts[i], n * sizeof *given);
    fresh.supply = endless;
    enum mix_status status = mix_search_create(fit, &fresh, &without, err);
    if (status == MIX_OK)
        status = mix_search_valleys(without, GIVEN, given, options->n_starts, options->seed,
                                    &valleys, err);
    if (status == MIX_OK) {
        memcpy(o->fresh_mixture, valleys.bottom, n * sizeof *o->fresh_mixture);
        o->fresh_expected = valleys.best.value;
        status = mix_search_value(search, o->fresh_mixture, &o->fresh_value, NULL, err);
    } else if (status == MIX_ENUMERIC) { /* no mixture keeps the guards: this one is not known */
        status = mix_fail(err, MIX_OK, "%s", "");
    }
    mix_search_destroy(without);
    free(block);
    return status;
}

/* d objective / d loss_m at the optimum, of what is relative to the baseline's losses apart. */
static double pull_of(const struct mix_search *s, size_t m, double *relative)
{
    const bool is_worst = s->asked.goal == MIX_GOAL_WORST || s->asked.goal == MIX_GOAL_WORST_GAIN;
    const bool by_gain =
        s->asked.goal == MIX_GOAL_MEAN_GAIN || s->asked.goal == MIX_GOAL_WORST_GAIN;
    const double goal = (is_worst ? s->multiplier[m] : s->weight[m]) * s->unit[m];
    const double guard =
        s->asked.guard != NULL && s->asked.guard[m]
            ? (s->is_score[m] ? -1.0 : 1.0) * s->multiplier[s->n_targets + m] / s->baseline_loss[m]
            : 0.0;
    *relative = guard + (by_gain ? goal : 0.0);
    return by_gain ? 0.0 : goal;
}

/* By the envelope theorem the optimum falls by the derivative of the Lagrangian: that of the losses
 * by the supply, and where supply limits a share the price of that limit. */
enum mix_status mix_supply_prices_set(struct mix_search *s, struct mix_optimum *o,
                                      struct mix_error *err)
{
    const size_t n = s->n_domains, n_targets = s->n_targets;
    double *slope = calloc(2 * n_targets * n, sizeof *slope), *at_baseline = slope + n_targets * n;
    if (slope == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu prices", n);
    enum mix_status status = mix_model_supply_gradient(s->model, s->params, o->mixture, s->n_params,
                                                       s->n_tokens, slope, err);
    if (status == MIX_OK)
        status = mix_model_supply_gradient(s->model, s->params, o->baseline, s->n_params,
                                           s->n_tokens, at_baseline, err);
    for (size_t j = 0; j < n && status == MIX_OK; j++) {
        if (isnan(o->supply[j]))
            continue;
        o->supply_price[j] = 0.0;
        if (o->binding[j] == MIX_ON_SUPPLY)
            o->supply_price[j] = o->price[j] * o->max_epochs * 1e9 / o->n_tokens;
        for (size_t m = 0; m < n_targets; m++) {
            double relative, pull = pull_of(s, m, &relative);
            o->supply_price[j] -= (pull + relative) * slope[m * n + j];
            if (relative != 0.0)
                o->supply_price[j] +=
                    relative * o->loss[m].value / s->baseline_loss[m] * at_baseline[m * n + j];
        }
    }
    free(slope);
    return status;
}
