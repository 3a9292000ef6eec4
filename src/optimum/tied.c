/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tied.c - the mixtures that the draws cannot tell from the optimum: the one nearest the baseline,
 * and how far the share of each domain goes among them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "optimum/search.h"

enum { BISECTIONS = 30, RANGE_BISECTIONS = 9, RANGE_DRAWS = 256 };
static const double RHO_RANGE = 1e6; /* about the rho at which anchor and loss pull alike */

/* Share of the draws, or of every step-th, that put h no higher than the optimum. */
static double share_not_worse(struct mix_search *search, const struct mix_draws *draws,
                              const struct mix_answers *answers, size_t step, const double *h)
{
    const double *params = search->params;
    size_t n = 0, n_not_worse = 0;
    for (size_t b = 0; b < answers->n; b += step) {
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
        if (status == MIX_OK && share_not_worse(search, draws, answers, 1, trial) >= enough) {
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
        share_not_worse(search, draws, answers, 1, nearest) >= enough) {
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

/* All that the search for a share's end looks at. */
struct range {
    struct mix_search *search;
    const struct mix_draws *draws;
    const struct mix_answers *answers;
    const double *optimum;
    double enough;
    size_t step;
    double *lower, *upper; /* (K) bounds of the search, one domain held */
    double *h, *tied;      /* (K) tried; the last that is tied */
};

/* Whether the mixture that the fit likes best among those with this share of domain j is tied. */
static enum mix_status try_share(struct range *r, size_t j, double share, bool *is_tied,
                                 struct mix_error *err)
{
    const size_t n = r->search->n_domains;
    const double lower = r->lower[j], upper = r->upper[j];
    const double others = (1.0 - share) / fmax(1.0 - r->tied[j], 1e-12);
    struct mix_minimum minimum;
    for (size_t i = 0; i < n; i++)
        r->h[i] = i == j ? share : r->tied[i] * others;
    r->lower[j] = r->upper[j] = share;
    enum mix_status status = mix_search_descend(r->search, r->h, &minimum, err);
    r->lower[j] = lower;
    r->upper[j] = upper;
    *is_tied = status == MIX_OK &&
               share_not_worse(r->search, r->draws, r->answers, r->step, r->h) >= r->enough;
    if (*is_tied)
        memcpy(r->tied, r->h, n * sizeof *r->tied);
    return status == MIX_ENUMERIC ? mix_fail(err, MIX_OK, "%s", "") : status;
}

/* The last tied share of domain j on the way from the optimum to `end`. */
static enum mix_status find_end(struct range *r, size_t j, double end, double *share,
                                struct mix_error *err)
{
    double passes = r->optimum[j], fails = end;
    bool is_tied = false;
    memcpy(r->tied, r->optimum, r->search->n_domains * sizeof *r->tied);
    enum mix_status status = passes != end ? try_share(r, j, end, &is_tied, err) : MIX_OK;
    for (int i = 0; i < RANGE_BISECTIONS && !is_tied && passes != end && status == MIX_OK; i++) {
        const double middle = 0.5 * (passes + fails);
        bool here = false;
        status = try_share(r, j, middle, &here, err);
        *(here ? &passes : &fails) = middle;
    }
    *share = is_tied ? end : passes;
    return status;
}

enum mix_status mix_search_tied_range(struct mix_search *search, const struct mix_draws *draws,
                                      const struct mix_answers *answers, const double *optimum,
                                      double level, double *least, double *most,
                                      struct mix_error *err)
{
    const size_t n = search->n_domains;
    const struct mix_question before = search->asked;
    double *block = malloc(4 * n * sizeof *block), floors = 0.0, limits = 0.0;
    if (block == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu domains", n);
    struct range r = {.search = search,
                      .draws = draws,
                      .answers = answers,
                      .optimum = optimum,
                      .enough = 0.5 * (1.0 - level),
                      .step = 1 + (answers->n - 1) / RANGE_DRAWS,
                      .lower = block,
                      .upper = block + n,
                      .h = block + 2 * n,
                      .tied = block + 3 * n};
    memcpy(r.lower, before.lower, n * sizeof *r.lower);
    memcpy(r.upper, before.upper, n * sizeof *r.upper);
    search->asked.lower = r.lower;
    search->asked.upper = r.upper;
    for (size_t j = 0; j < n; j++) {
        floors += before.lower[j];
        limits += before.upper[j];
    }
    enum mix_status status = MIX_OK;
    for (size_t j = 0; j < n && status == MIX_OK; j++) {
        const double bottom = fmax(before.lower[j], 1.0 - (limits - before.upper[j]));
        const double top = fmin(before.upper[j], 1.0 - (floors - before.lower[j]));
        status = find_end(&r, j, fmin(bottom, optimum[j]), &least[j], err);
        if (status == MIX_OK)
            status = find_end(&r, j, fmax(top, optimum[j]), &most[j], err);
    }
    search->asked = before;
    free(block);
    return status;
}
