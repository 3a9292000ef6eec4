/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lsq_points.c - points of several searches, compared and exchanged block by block. */
#include <stdlib.h>
#include <string.h>

#include "lsq_parts.h"

size_t lsq_point_doubles(const struct lsq *s)
{
    return s->n_theta + 2 * s->n_blocks;
}

void lsq_complete_point(const struct lsq *s, double *point)
{
    memcpy(point + s->n_theta, s->reached, s->n_blocks * sizeof *point);
    for (size_t b = 0; b < s->n_blocks; b++)
        point[s->n_theta + s->n_blocks + b] = s->search[b].damping;
}

void lsq_set_damping(const struct lsq *s, double *point, double damping)
{
    for (size_t b = 0; b < s->n_blocks; b++)
        point[s->n_theta + s->n_blocks + b] = damping;
}

double lsq_point_objective(const struct lsq *s, const double *point)
{
    double sum = 0.0;
    for (size_t b = 0; b < s->n_blocks; b++)
        sum += point[s->n_theta + b];
    return sum;
}

static void copy_block(const struct lsq *s, size_t b, const double *from, double *to)
{
    memcpy(to + b * s->width, from + b * s->width, s->width * sizeof *to);
    to[s->n_theta + b] = from[s->n_theta + b];
    to[s->n_theta + s->n_blocks + b] = from[s->n_theta + s->n_blocks + b];
}

void lsq_keep_better(const struct lsq *s, const double *from, double *to)
{
    for (size_t b = 0; b < s->n_blocks; b++)
        if (from[s->n_theta + b] < to[s->n_theta + b])
            copy_block(s, b, from, to);
}

/* A point by what a block reached there; ties by its place, so that the order is defined. */
struct ranked {
    double objective;
    size_t place;
};

static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->objective != y->objective)
        return x->objective < y->objective ? -1 : 1;
    return (x->place > y->place) - (x->place < y->place);
}

enum mix_status lsq_sort_blocks(const struct lsq *s, size_t n, size_t stride, double *points,
                                struct mix_error *err)
{
    if (s->n_blocks == 1)
        return MIX_OK;
    const size_t n_doubles = lsq_point_doubles(s);
    double *old = malloc((n * n_doubles + 1) * sizeof *old);
    struct ranked *ranked = malloc((n + 1) * sizeof *ranked);
    if (old == NULL || ranked == NULL) {
        free(old);
        free(ranked);
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu starts", n);
    }
    for (size_t i = 0; i < n; i++)
        memcpy(old + i * n_doubles, points + i * stride, n_doubles * sizeof *old);
    for (size_t b = 0; b < s->n_blocks; b++) {
        for (size_t i = 0; i < n; i++)
            ranked[i] = (struct ranked){old[i * n_doubles + s->n_theta + b], i};
        qsort(ranked, n, sizeof *ranked, compare_ranked);
        for (size_t i = 0; i < n; i++)
            copy_block(s, b, old + ranked[i].place * n_doubles, points + i * stride);
    }
    free(old);
    free(ranked);
    return MIX_OK;
}
