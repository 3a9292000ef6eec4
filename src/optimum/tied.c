/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tied.c - the mixture nearest the baseline that the draws cannot tell from the optimum. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "optimum/search.h"

enum { BISECTIONS = 30 };
static const double RHO_RANGE = 1e6; /* about the rho at which anchor and loss pull alike */

/* Share of the draws that put h no higher than the optimum. */
static double share_not_worse(struct mix_search *search, const struct mix_draws *draws,
                              const struct mix_answers *answers, const double *h)
{
    const double *params = search->params;
    size_t n = 0, n_not_worse = 0;
    for (size_t b = 0; b < answers->n; b++) {
        const double *answer = answers->answer + b * answers->width;
        double value = 0.0;
        if (answer[MIX_ANSWER_OK] == 0.0)
            continue;
        n++;
        n_not_worse += mix_search_aim(search, draws->params + answers->draw[b] * draws->n_params,
                                      NULL) == MIX_OK &&
                       mix_search_value(search, h, &value, NULL, NULL) == MIX_OK &&
                       value <= answer[MIX_ANSWER_AT + MIX_AT_OPTIMUM];
    }
    (void)mix_search_aim(search, params, NULL); /* it has succeeded before */
    return n > 0 ? (double)n_not_worse / (double)n : NAN;
}

/* The rho at which a step of the anchor's size costs as much as the loss gains by it. */
static double balance(const struct mix_search *search, double rise, const double *optimum,
                      const double *nearest)
{
    double squared = 0.0;
    for (size_t j = 0; j < search->n_domains; j++)
        squared += (optimum[j] - nearest[j]) * (optimum[j] - nearest[j]);
    return 2.0 * fmax(rise, 1e-12) / fmax(squared, 1e-12);
}

/* Bisect ln rho; `tied` holds the best mixture that passed, at first the optimum. */
static enum mix_status bisect(struct mix_search *search, const struct mix_draws *draws,
                              const struct mix_answers *answers, double middle, double enough,
                              double *trial, double *tied, struct mix_error *err)
{
    const size_t n = search->n_domains;
    double passes = log(middle / RHO_RANGE), fails = log(middle * RHO_RANGE);
    for (int i = 0; i < BISECTIONS; i++) {
        const double ln_rho = 0.5 * (passes + fails);
        struct mix_minimum minimum;
        search->rho = exp(ln_rho);
        memcpy(trial, tied, n * sizeof *trial);
        const enum mix_status status = mix_search_descend(search, trial, &minimum, err);
        if (status != MIX_OK && status != MIX_ENUMERIC)
            return status;
        if (status == MIX_OK && share_not_worse(search, draws, answers, trial) >= enough) {
            memcpy(tied, trial, n * sizeof *tied);
            passes = ln_rho;
        } else {
            fails = ln_rho;
        }
    }
    return MIX_OK;
}

enum mix_status mix_search_tied(struct mix_search *search, const struct mix_draws *draws,
                                const struct mix_answers *answers, const double *optimum,
                                const double *baseline, double level, double *tied,
                                double *tied_loss, struct mix_error *err)
{
    const size_t n = search->n_domains;
    const double enough = 0.5 * (1.0 - level);
    double *nearest = malloc(2 * n * sizeof *nearest);
    if (nearest == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu domains", n);
    memcpy(nearest, baseline, n * sizeof *nearest); /* it need not keep the floors and caps */
    mix_simplex_project(n, nearest, search->asked.lower, search->asked.upper);
    double there = 0.0, here = 0.0;
    enum mix_status status = mix_search_value(search, nearest, &there, NULL, err);
    if (status == MIX_OK)
        status = mix_search_value(search, optimum, &here, NULL, err);
    if (status == MIX_OK && mix_search_keeps(search, nearest) &&
        share_not_worse(search, draws, answers, nearest) >= enough) {
        memcpy(tied, nearest, n * sizeof *tied);
    } else if (status == MIX_OK) {
        memcpy(tied, optimum, n * sizeof *tied);
        search->anchor = nearest;
        status = bisect(search, draws, answers, balance(search, there - here, optimum, nearest),
                        enough, nearest + n, tied, err);
        search->anchor = NULL;
    }
    if (status == MIX_OK)
        status = mix_search_value(search, tied, tied_loss, NULL, err);
    free(nearest);
    return status;
}
