/* SPDX-License-Identifier: GPL-3.0-or-later */
/* pool.c - see pool.h. */
#include "pool.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum mix_status pool_reserve(struct pool *pool, size_t n, struct mix_error *err)
{
    if (n <= pool->capacity)
        return MIX_OK;
    double *theta = realloc(pool->theta, n * pool->n_theta * sizeof *theta);
    pool->theta = theta != NULL ? theta : pool->theta;
    double *square = realloc(pool->square, n * pool->n_units * sizeof *square);
    pool->square = square != NULL ? square : pool->square;
    if (theta == NULL || square == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu draws to start from", n);
    pool->capacity = n;
    return MIX_OK;
}

void pool_destroy(struct pool *pool)
{
    free(pool->theta);
    free(pool->square);
}

void pool_add(struct pool *pool, struct lsq *lsq, const double *theta, size_t n_rows,
              const size_t *unit, double *work)
{
    double *square = pool->square + pool->n * pool->n_units, sum = 0.0;
    memset(square, 0, pool->n_units * sizeof *square);
    lsq_row_squares(lsq, theta, work);
    for (size_t r = 0; r < n_rows; r++)
        square[unit[r]] += work[r];
    for (size_t u = 0; u < pool->n_units; u++)
        sum += square[u];
    if (!isfinite(sum))
        return;
    memcpy(pool->theta + pool->n * pool->n_theta, theta, pool->n_theta * sizeof *theta);
    pool->n++;
}

static double weighted(const struct pool *pool, const double *unit_weight, size_t i)
{
    const double *square = pool->square + i * pool->n_units;
    double sum = 0.0;
    for (size_t u = 0; u < pool->n_units; u++)
        sum += unit_weight[u] * square[u];
    return sum;
}

enum { CHOSEN_MAX = 64 };

size_t pool_choose(const struct pool *pool, const double *unit_weight, size_t n, size_t *chosen)
{
    double best[CHOSEN_MAX];
    size_t n_chosen = 0;
    n = n < CHOSEN_MAX ? n : CHOSEN_MAX;
    for (size_t i = 0; n > 0 && i < pool->n; i++) {
        const double sum = weighted(pool, unit_weight, i);
        if (n_chosen == n && !(sum < best[n - 1]))
            continue;
        size_t at = n_chosen < n ? n_chosen++ : n - 1;
        for (; at > 0 && sum < best[at - 1]; at--) {
            best[at] = best[at - 1];
            chosen[at] = chosen[at - 1];
        }
        best[at] = sum;
        chosen[at] = i;
    }
    return n_chosen;
}
