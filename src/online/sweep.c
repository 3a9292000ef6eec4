/* SPDX-License-Identifier: GPL-3.0-or-later */
/* sweep.c - the static mixtures that grid and dml share. Two groups: evenly spaced. More: sixteen
 * times as many Dirichlet(1.5) points as are wanted (at most 2000, or twice), of which the two
 * closest give way to the point between them until the wanted number is left, so that they fill the
 * simplex (the generator of the released code of arXiv 2411.05735). */
#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "online/online_impl.h"

enum { OVERSAMPLING = 16, POINTS_MAX = 2000 };
static const size_t STALE = SIZE_MAX;
static const double CONCENTRATION = 1.5;

/* Points being thinned, and the nearest other one of each. */
struct cloud {
    size_t n, m;
    double *points;   /* (n,m) */
    double *distance; /* (n) squared */
    size_t *nearest;  /* (n) STALE = it is gone: no other is nearer than `distance` */
};

uint64_t online_run_steps(const struct mix_method_setup *setup, size_t n_runs)
{
    const uint64_t share = setup->budget / n_runs;
    return setup->budget == 0 || share > setup->n_steps ? setup->n_steps : share;
}

/* Find the nearest point to point i, and tell those that i is nearest to. */
static void find_nearest(struct cloud *cloud, size_t i)
{
    cloud->distance[i] = INFINITY;
    for (size_t l = 0; l < cloud->n; l++) {
        double sum = 0.0;
        for (size_t j = 0; j < cloud->m; j++) {
            const double d = cloud->points[i * cloud->m + j] - cloud->points[l * cloud->m + j];
            sum += d * d;
        }
        if (l != i && sum < cloud->distance[i]) {
            cloud->distance[i] = sum;
            cloud->nearest[i] = l;
        }
        if (l != i && sum < cloud->distance[l]) {
            cloud->distance[l] = sum;
            cloud->nearest[l] = i;
        }
    }
}

/* The first of the two closest points. */
static size_t find_closest(struct cloud *cloud)
{
    for (;;) {
        size_t a = 0;
        for (size_t i = 1; i < cloud->n; i++)
            if (cloud->distance[i] < cloud->distance[a])
                a = i;
        if (cloud->nearest[a] != STALE)
            return a;
        find_nearest(cloud, a);
    }
}

/* The point between the two closest takes the place of one of them, the last point that of the
 * other. */
static void merge_closest(struct cloud *cloud)
{
    const size_t m = cloud->m, last = cloud->n - 1, a = find_closest(cloud), b = cloud->nearest[a];
    const size_t first = a < b ? a : b, second = a < b ? b : a;
    for (size_t j = 0; j < m; j++) {
        double *middle = cloud->points + first * m + j;
        *middle = 0.5 * (*middle + cloud->points[second * m + j]);
    }
    memmove(cloud->points + second * m, cloud->points + last * m, m * sizeof *cloud->points);
    cloud->distance[second] = cloud->distance[last];
    cloud->nearest[second] = cloud->nearest[last];
    cloud->n = last;
    for (size_t i = 0; i < cloud->n; i++) {
        const size_t was = cloud->nearest[i];
        if (was == first || was == second)
            cloud->nearest[i] = STALE;
        else if (was == last)
            cloud->nearest[i] = second;
    }
    find_nearest(cloud, first);
}

static void fill(struct cloud *cloud, uint64_t seed, gsl_rng *rng, double *alpha)
{
    const uint64_t size[] = {cloud->m, cloud->n};
    mix_rng_rekey(rng, mix_key_make(seed, "online sweep", size, sizeof size));
    for (size_t j = 0; j < cloud->m; j++)
        alpha[j] = CONCENTRATION;
    for (size_t i = 0; i < cloud->n; i++) {
        gsl_ran_dirichlet(rng, cloud->m, alpha, cloud->points + i * cloud->m);
        cloud->distance[i] = INFINITY;
        cloud->nearest[i] = STALE;
    }
    for (size_t i = 0; i < cloud->n; i++)
        find_nearest(cloud, i);
}

/* False when memory is out. */
static bool scatter(uint64_t seed, size_t m, struct mix_static_run *runs, size_t n)
{
    struct cloud cloud = {.n = OVERSAMPLING * n, .m = m};
    if (cloud.n > POINTS_MAX)
        cloud.n = n < POINTS_MAX / 2 ? POINTS_MAX : 2 * n;
    cloud.points = malloc((cloud.n + 1) * m * sizeof *cloud.points);
    cloud.distance = malloc((cloud.n + m) * sizeof *cloud.distance);
    cloud.nearest = malloc((cloud.n + 1) * sizeof *cloud.nearest);
    gsl_rng *rng = mix_rng_create((struct mix_key){0, 0});
    const bool ok = cloud.points && cloud.distance && cloud.nearest && rng;
    if (ok) {
        fill(&cloud, seed, rng, cloud.distance + cloud.n);
        while (cloud.n > n)
            merge_closest(&cloud);
    }
    for (size_t r = 0; ok && r < n; r++) {
        double sum = 0.0;
        for (size_t j = 0; j < m; j++)
            sum += cloud.points[r * m + j];
        for (size_t j = 0; j < m; j++)
            runs[r].mixture[j] = cloud.points[r * m + j] / sum;
    }
    if (rng != NULL)
        gsl_rng_free(rng);
    free(cloud.points);
    free(cloud.distance);
    free(cloud.nearest);
    return ok;
}

size_t online_sweep(const struct mix_method_setup *setup, struct mix_static_run *runs)
{
    const size_t m = setup->n_groups, n = setup->options.n_static;
    if (runs == NULL)
        return n;
    for (size_t r = 0; r < n; r++)
        runs[r].n_steps = online_run_steps(setup, n);
    if (m > 2)
        return scatter(setup->seed, m, runs, n) ? n : 0;
    for (size_t r = 0; r < n; r++) {
        runs[r].mixture[0] = (double)(r + 1) / (double)(n + 1);
        runs[r].mixture[1] = (double)(n - r) / (double)(n + 1);
    }
    return n;
}

uint64_t online_sweep_steps(const struct mix_method_setup *setup)
{
    const size_t n = setup->options.n_static;
    return n * online_run_steps(setup, n);
}
