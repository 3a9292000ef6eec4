/* SPDX-License-Identifier: GPL-3.0-or-later */
/* prices.c - shadow prices: what the objective would fall by if a constraint were a little looser.
 *
 * By the envelope theorem that is the derivative of the Lagrangian by the bound. Share that a
 * domain may have more of comes from where it is missed least, and share that a floor lets go of
 * goes where it helps most: with the gradient g of the Lagrangian the price of the limit of j is
 * max_i g_i - g_j over the other shares that may fall, of its floor g_j - min_i g_i over those that
 * may rise. That holds in a corner of the bounds too, where the multiplier of the sum is not
 * unique.
 */
#include <math.h>

#include "optimum/search.h"

static const double ON_BOUND = 1e-12;

static double price_of(const struct mix_search *s, const double *gradient, const double *h,
                       size_t j)
{
    const double *lower = s->asked.lower, *upper = s->asked.upper;
    double highest = -INFINITY, lowest = INFINITY, price = 0.0;
    for (size_t i = 0; i < s->n_domains; i++) {
        if (i != j && h[i] > lower[i] + ON_BOUND)
            highest = fmax(highest, gradient[i]);
        if (i != j && h[i] < upper[i] - ON_BOUND)
            lowest = fmin(lowest, gradient[i]);
    }
    if (h[j] <= lower[j] + ON_BOUND && isfinite(lowest))
        price = fmax(price, gradient[j] - lowest);
    if (h[j] >= upper[j] - ON_BOUND && isfinite(highest))
        price = fmax(price, highest - gradient[j]);
    return price;
}

void mix_prices_set(const struct mix_search *s, const double *gradient, struct mix_optimum *o)
{
    const double *of_guards = s->multiplier + s->n_targets, *of_distance = of_guards + s->n_targets;
    for (size_t j = 0; j < s->n_domains; j++)
        o->price[j] = price_of(s, gradient, o->mixture, j);
    for (size_t m = 0; m < s->n_targets && s->asked.guard != NULL; m++)
        o->guard_price[m] = s->asked.guard[m] ? of_guards[m] / s->baseline_loss[m] : NAN;
    if (s->asked.distance == MIX_DISTANCE_NONE)
        return;
    o->near_price = 0.0;
    for (size_t j = 0; j < s->n_domains; j++) /* the support function of the tv ball: the largest */
        o->near_price = fmax(o->near_price, of_distance[j]);
}
