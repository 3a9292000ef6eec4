/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trade_off.c - several optima of one fit, each judged by the others' objectives. */
#include <math.h>
#include <stdlib.h>

#include "mixsweep/interval.h"
#include "optimum/search.h"

static const double ROUNDING = 1e-9; /* of shares that were written and read again */

/* The search that found an optimum, as far as its objective goes. */
static enum mix_status search_of(const struct mix_fit *fit, const struct mix_optimum *o,
                                 struct mix_search **out, struct mix_error *err)
{
    const struct mix_key key = mix_fit_key(fit);
    const struct mix_question question = {.n_params = o->n_params,
                                          .n_tokens = o->n_tokens,
                                          .weight = o->weight,
                                          .lower = o->lower,
                                          .upper = isnan(o->limit[0]) ? o->upper : o->limit,
                                          .baseline = o->baseline,
                                          .supply = o->supply,
                                          .guard = o->guard,
                                          .goal = o->goal,
                                          .distance = o->near,
                                          .radius = o->near_radius};
    if (o->fit_key.hi != key.hi || o->fit_key.lo != key.lo || o->n_domains != fit->spec.n_domains ||
        o->n_targets != fit->spec.n_targets)
        return mix_fail(err, MIX_EINVAL, "the optimum %s is not one of the fit %s", o->name,
                        fit->name);
    return mix_search_create(fit, &question, out, err);
}

static bool is_allowed(struct mix_search *search, const double *h)
{
    for (size_t j = 0; j < search->n_domains; j++)
        if (h[j] < search->asked.lower[j] - ROUNDING || h[j] > search->asked.upper[j] + ROUNDING)
            return false;
    return mix_search_keeps(search, h);
}

/* Counts the draws, and those (n) that put a mixture no higher than optimum i. */
static void ask_draws(struct mix_search *search, const struct mix_draws *draws, size_t n,
                      const struct mix_optimum *const *optima, size_t i, double *counts)
{
    double n_known = 0.0;
    for (size_t b = 0; b < draws->n_draws; b++) {
        double own = 0.0, other = 0.0;
        if (!draws->done[b] ||
            mix_search_aim(search, draws->params + b * draws->n_params, NULL) != MIX_OK ||
            mix_search_value(search, optima[i]->mixture, &own, NULL, NULL) != MIX_OK)
            continue;
        n_known += 1.0;
        for (size_t j = 0; j < n; j++)
            counts[j] +=
                mix_search_value(search, optima[j]->mixture, &other, NULL, NULL) == MIX_OK &&
                other <= own;
    }
    for (size_t j = 0; j < n; j++)
        counts[j] = n_known > 0.0 ? counts[j] / n_known : NAN;
}

static enum mix_status judge(const struct mix_fit *fit, const struct mix_draws *draws, size_t i,
                             const struct mix_optimum *const *optima, struct mix_trade_off *out,
                             struct mix_error *err)
{
    struct mix_search *search = NULL;
    const size_t n = out->n;
    const enum mix_status status = search_of(fit, optima[i], &search, err);
    if (status != MIX_OK)
        return status;
    for (size_t j = 0; j < n; j++) {
        const double *h = optima[j]->mixture;
        double value = 0.0;
        const bool known = mix_search_value(search, h, &value, NULL, NULL) == MIX_OK;
        out->objective[i * n + j] = known ? value : NAN;
        out->not_worse[i * n + j] = draws != NULL ? 0.0 : NAN;
        out->allowed[i * n + j] = is_allowed(search, h);
    }
    if (draws != NULL)
        ask_draws(search, draws, n, optima, i, out->not_worse + i * n);
    mix_search_destroy(search);
    return MIX_OK;
}

enum mix_status mix_trade_off_compute(const struct mix_fit *fit, const struct mix_draws *draws,
                                      size_t n, const struct mix_optimum *const *optima,
                                      struct mix_trade_off *out, struct mix_error *err)
{
    *out = (struct mix_trade_off){.n = n};
    enum mix_status status = draws != NULL ? mix_draws_check(fit, draws, err) : MIX_OK;
    if (status != MIX_OK)
        return status;
    out->objective = calloc(n * n + 1, sizeof *out->objective);
    out->not_worse = calloc(n * n + 1, sizeof *out->not_worse);
    out->allowed = calloc(n * n + 1, sizeof *out->allowed);
    if (out->objective == NULL || out->not_worse == NULL || out->allowed == NULL)
        status = mix_fail(err, MIX_ENOMEM, "out of memory for %zu optima", n);
    for (size_t i = 0; i < n && status == MIX_OK; i++)
        status = judge(fit, draws, i, optima, out, err);
    if (status != MIX_OK)
        mix_trade_off_clear(out);
    return status;
}

void mix_trade_off_clear(struct mix_trade_off *trade_off)
{
    free(trade_off->objective);
    free(trade_off->not_worse);
    free(trade_off->allowed);
    *trade_off = (struct mix_trade_off){0};
}
