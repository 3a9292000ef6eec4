/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lattice.c - the mixture of shares n/Q nearest to another one, by largest remainders (Hamilton's
 * method), within bounds. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "optimum/search.h"

static const double ROUNDING = 1e-9; /* of a count: what is a whole number but for rounding */
enum { ROUNDS = 8 };                 /* moves per domain when constraints are mended */
enum { FINEST = 1 << 20 };           /* tried where a lattice is too coarse */

static size_t least_count(size_t lattice, double lower)
{
    return (size_t)fmax(0.0, ceil(lower * (double)lattice - ROUNDING));
}

static size_t most_count(size_t lattice, double upper)
{
    return (size_t)floor(upper * (double)lattice + ROUNDING);
}

/* The domain whose count is most below (or above) what h asks for and can be moved; n: none. */
static size_t next_to_move(size_t n, size_t lattice, const double *h, const double *lower,
                           const double *upper, const size_t *counts, bool up)
{
    size_t next = n;
    double most = -INFINITY;
    for (size_t j = 0; j < n; j++) {
        const double below = h[j] * (double)lattice - (double)counts[j];
        const bool can = up ? counts[j] < most_count(lattice, upper[j])
                            : counts[j] > least_count(lattice, lower[j]);
        if (can && (up ? below : -below) > most) {
            most = up ? below : -below;
            next = j;
        }
    }
    return next;
}

bool mix_lattice_round(size_t n, size_t lattice, const double *h, const double *lower,
                       const double *upper, size_t *counts)
{
    size_t sum = 0;
    for (size_t j = 0; j < n; j++) {
        const size_t least = least_count(lattice, lower[j]), most = most_count(lattice, upper[j]);
        const size_t whole = (size_t)floor(fmax(0.0, h[j]) * (double)lattice + ROUNDING);
        if (least > most)
            return false;
        counts[j] = whole < least ? least : whole > most ? most : whole;
        sum += counts[j];
    }
    while (sum != lattice) {
        const bool up = sum < lattice;
        const size_t j = next_to_move(n, lattice, h, lower, upper, counts, up);
        if (j == n)
            return false;
        counts[j] += up ? 1 : (size_t)-1;
        sum += up ? 1 : (size_t)-1;
    }
    return true;
}

static void set_shares(size_t n, size_t lattice, const size_t *counts, double *h)
{
    for (size_t j = 0; j < n; j++)
        h[j] = (double)counts[j] / (double)lattice;
}

/* Excess over the constraints first, then the objective. */
static double badness(struct mix_search *s, const double *h)
{
    double value = INFINITY;
    const double excess = mix_search_excess(s, h);
    if (excess > MIX_KEEPS)
        return 1e9 * (1.0 + excess);
    (void)mix_search_value(s, h, &value, NULL, NULL);
    return isnan(value) ? INFINITY : value;
}

/* Move one count from one domain to another while that helps: rounding may break a guard or a
 * distance that the optimum sits on. */
static void mend(struct mix_search *s, size_t lattice, size_t *counts, double *h)
{
    const size_t n = s->n_domains;
    double here = badness(s, h);
    for (size_t round = 0; round < ROUNDS * n; round++) {
        size_t best_from = n, best_to = n;
        for (size_t from = 0; from < n; from++) {
            for (size_t to = 0; to < n; to++) {
                if (from == to || counts[from] <= least_count(lattice, s->asked.lower[from]) ||
                    counts[to] >= most_count(lattice, s->asked.upper[to]))
                    continue;
                h[from] = (double)(counts[from] - 1) / (double)lattice;
                h[to] = (double)(counts[to] + 1) / (double)lattice;
                const double there = badness(s, h);
                if (there < here) {
                    here = there;
                    best_from = from;
                    best_to = to;
                }
                h[from] = (double)counts[from] / (double)lattice;
                h[to] = (double)counts[to] / (double)lattice;
            }
        }
        if (best_from == n)
            return;
        counts[best_from]--;
        counts[best_to]++;
        set_shares(n, lattice, counts, h);
    }
}

/* The first domain that no share of the lattice fits, or n. */
static size_t find_narrow(size_t n, size_t lattice, const double *lower, const double *upper)
{
    size_t j = 0;
    while (j < n && ceil(lower[j] * (double)lattice - 1e-9) <= upper[j] * (double)lattice + 1e-9)
        j++;
    return j;
}

/* Round the optimum to shares of 1/lattice and mend what that breaks; whether all is kept then. */
static bool find_near(struct mix_search *s, const double *mixture, size_t lattice, size_t *counts,
                      double *h)
{
    if (!mix_lattice_round(s->n_domains, lattice, mixture, s->asked.lower, s->asked.upper, counts))
        return false;
    set_shares(s->n_domains, lattice, counts, h);
    if (!mix_search_keeps(s, h))
        mend(s, lattice, counts, h);
    return mix_search_keeps(s, h);
}

/* Why there is none, and the first of the lattices twice, four times ... as fine that has one. */
static enum mix_status fail_coarse(struct mix_search *s, struct mix_optimum *o, size_t *counts,
                                   struct mix_error *err)
{
    const size_t n = s->n_domains;
    char finer[48] = "";
    size_t q = 2 * o->lattice;
    while (q <= FINEST && !find_near(s, o->mixture, q, counts, o->lattice_mixture))
        q *= 2;
    if (q <= FINEST)
        snprintf(finer, sizeof finer, "; 1/%zu is fine enough", q);
    const size_t narrow = find_narrow(n, o->lattice, s->asked.lower, s->asked.upper);
    if (narrow < n)
        return mix_fail(err, MIX_EINVAL,
                        "the lattice 1/%zu is too coarse: it has no share between the floor %g and "
                        "the limit %.4g of %s%s",
                        o->lattice, s->asked.lower[narrow], s->asked.upper[narrow],
                        o->domains[narrow], finer);
    const bool fits =
        mix_lattice_round(n, o->lattice, o->mixture, s->asked.lower, s->asked.upper, counts);
    return mix_fail(err, MIX_EINVAL,
                    "the lattice 1/%zu is too coarse: no mixture on it near the optimum keeps "
                    "the %s%s",
                    o->lattice,
                    fits ? "losses no worse than the baseline's and the distance to it"
                         : "floors and caps",
                    finer);
}

enum mix_status mix_lattice_find(struct mix_search *search, struct mix_optimum *o,
                                 struct mix_error *err)
{
    size_t *counts = calloc(search->n_domains + 1, sizeof *counts);
    if (counts == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu domains", search->n_domains);
    const bool found = find_near(search, o->mixture, o->lattice, counts, o->lattice_mixture);
    const enum mix_status status = found ? MIX_OK : fail_coarse(search, o, counts, err);
    free(counts);
    if (status != MIX_OK)
        return status;
    return mix_search_value(search, o->lattice_mixture, &o->lattice_value, NULL, err);
}
