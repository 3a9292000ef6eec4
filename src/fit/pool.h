/* SPDX-License-Identifier: GPL-3.0-or-later */
/* pool.h - points that refits may start from, and how well each fits every mixture. Private to
 * src/fit/.
 *
 * A resample changes the weights alone, so what a point leaves of a resample's losses is a sum of
 * squares that are known: thousands of points are compared for the price of a step or two.
 */
#ifndef MIXSWEEP_FIT_POOL_H
#define MIXSWEEP_FIT_POOL_H

#include "least_squares.h"

/** Zero-initialise but for the shapes; free with pool_destroy(). */
struct pool {
    size_t n_theta, n_units;
    size_t n, capacity;
    double *theta;  /* (n,Q) */
    double *square; /* (n,n_units) squared residuals, where the linear parameters suit all rows */
};

/** Room for n points in all; those that are there stay. */
enum mix_status pool_reserve(struct pool *pool, size_t n, struct mix_error *err);
void pool_destroy(struct pool *pool);

/**
 * Add a point, for which there is room; one without finite losses is left out.
 *
 * @param lsq   its rows weigh as in the fit
 * @param unit  (R) of each row of the data
 * @param work  (R)
 */
void pool_add(struct pool *pool, struct lsq *lsq, const double *theta, size_t n_rows,
              const size_t *unit, double *work);

/** The n points, or all that there are, of the least weighted squares: their numbers, the best
 * first; of equals the first. Returns how many. */
size_t pool_choose(const struct pool *pool, const double *unit_weight, size_t n, size_t *chosen);

#endif
