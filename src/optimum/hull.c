/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hull.c - nearest point of a convex hull, by the method of P. Wolfe, "Finding the nearest point in
 * a polytope", Mathematical Programming 11 (1976) 128, here with a bonus on each row.
 *
 * The corral is a set of affinely independent rows whose affine hull has its best point inside
 * their convex hull. Rows enter while they improve and leave where their weight would turn
 * negative; the objective falls at each round, so it ends.
 */
#include "mixsweep/optimum.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "optimum/minimise.h"

static const double IMPROVES = 1e-13; /* times the longest row: shorter is no distance */
static const double RIDGE = 1e-12;    /* keeps rows independent where a bonus tells them apart */

struct hull {
    size_t n_rows, n_domains, size; /* R, K, rows in the corral */
    size_t most;                    /* C: K + 1, with a bonus R: rows in the corral at most */
    const double *rows;             /* (R,K) */
    const double *origin;           /* (K) taken off every row; NULL = 0 */
    const double *bonus;            /* (R) or NULL */
    size_t *corral;                 /* (C+1) rows */
    double *weight;                 /* (C+1) convex weights of the corral */
    double *affine;                 /* (C+1) weights of the best point of its affine hull */
    double *ones;                   /* (C+1) */
    double *gram;                   /* (C+1,C+1) */
    double *nearest;                /* (K) weighted sum of the rows, less the origin */
    double longest;                 /* length of the longest row */
    double ridge;                   /* with a bonus: a private coordinate, squared, of each row */
    double *block;
};

static double coordinate(const struct hull *hull, size_t row, size_t j)
{
    return hull->rows[row * hull->n_domains + j] - (hull->origin != NULL ? hull->origin[j] : 0.0);
}

static double bonus_of(const struct hull *hull, size_t row)
{
    return hull->bonus != NULL ? hull->bonus[row] : 0.0;
}

static double dot_rows(const struct hull *hull, size_t a, size_t b)
{
    double dot = 0.0;
    for (size_t j = 0; j < hull->n_domains; j++)
        dot += coordinate(hull, a, j) * coordinate(hull, b, j);
    return dot;
}

static void set_nearest(struct hull *hull)
{
    memset(hull->nearest, 0, hull->n_domains * sizeof *hull->nearest);
    for (size_t c = 0; c < hull->size; c++)
        for (size_t j = 0; j < hull->n_domains; j++)
            hull->nearest[j] += hull->weight[c] * coordinate(hull, hull->corral[c], j);
}

/* With p_c the rows of the corral: (1 1' + P P') u = bonus + t, t such that the sum of u is 1. */
static bool solve_affine(struct hull *hull)
{
    const size_t n = hull->size;
    double of_bonus = 0.0, of_ones = 0.0;
    for (size_t a = 0; a < n; a++) {
        for (size_t b = 0; b <= a; b++)
            hull->gram[a * n + b] =
                hull->longest * hull->longest + dot_rows(hull, hull->corral[a], hull->corral[b]);
        hull->gram[a * n + a] += hull->ridge;
        hull->affine[a] = bonus_of(hull, hull->corral[a]);
        hull->ones[a] = 1.0;
    }
    if (!mix_cholesky_factor(n, hull->gram))
        return false;
    mix_cholesky_forward(n, hull->gram, hull->affine);
    mix_cholesky_back(n, hull->gram, hull->affine);
    mix_cholesky_forward(n, hull->gram, hull->ones);
    mix_cholesky_back(n, hull->gram, hull->ones);
    for (size_t a = 0; a < n; a++) {
        of_bonus += hull->affine[a];
        of_ones += hull->ones[a];
    }
    const double t = (1.0 - of_bonus) / of_ones;
    for (size_t a = 0; a < n; a++)
        hull->affine[a] += t * hull->ones[a];
    return isfinite(t) && of_ones > 0.0;
}

/* Go towards the affine point as far as weights stay >= 0 and drop the row that stops us; false
 * where nothing had to be dropped. */
static bool drop_row(struct hull *hull)
{
    double step = 1.0;
    size_t leaving = SIZE_MAX;
    for (size_t c = 0; c < hull->size; c++) {
        const double w = hull->weight[c], a = hull->affine[c];
        if (a <= 0.0 && w / (w - a + 1e-300) < step) {
            step = w / (w - a + 1e-300);
            leaving = c;
        }
    }
    for (size_t c = 0; c < hull->size; c++)
        hull->weight[c] += step * (hull->affine[c] - hull->weight[c]);
    if (leaving == SIZE_MAX)
        return false;
    hull->size--;
    hull->corral[leaving] = hull->corral[hull->size];
    hull->weight[leaving] = hull->weight[hull->size];
    return true;
}

/* The row that leads down steepest; SIZE_MAX where none improves. */
static size_t entering_row(const struct hull *hull)
{
    double here = 0.0, length = 0.0, best = INFINITY;
    for (size_t j = 0; j < hull->n_domains; j++)
        length += hull->nearest[j] * hull->nearest[j];
    here = length;
    for (size_t c = 0; c < hull->size; c++)
        here += hull->weight[c] * (hull->ridge * hull->weight[c] - bonus_of(hull, hull->corral[c]));
    size_t row = SIZE_MAX;
    for (size_t r = 0; r < hull->n_rows; r++) {
        double dot = -bonus_of(hull, r);
        for (size_t j = 0; j < hull->n_domains; j++)
            dot += hull->nearest[j] * coordinate(hull, r, j);
        if (dot < best) {
            best = dot;
            row = r;
        }
    }
    for (size_t c = 0; c < hull->size; c++)
        if (hull->corral[c] == row)
            return SIZE_MAX;
    const double least = IMPROVES * hull->longest;
    return best < here - least * (sqrt(length) + least) ? row : SIZE_MAX;
}

/* The first row is the best single one. */
static void begin(struct hull *hull)
{
    double least = INFINITY;
    hull->corral[0] = 0;
    hull->weight[0] = 1.0;
    hull->size = 1;
    for (size_t r = 0; r < hull->n_rows; r++) {
        const double squared = dot_rows(hull, r, r);
        if (!isfinite(bonus_of(hull, r)))
            continue;
        hull->longest = fmax(hull->longest, sqrt(squared));
        if (0.5 * squared - bonus_of(hull, r) < least) {
            least = 0.5 * squared - bonus_of(hull, r);
            hull->corral[0] = r;
        }
    }
    hull->ridge = hull->bonus != NULL ? RIDGE * hull->longest * hull->longest : 0.0;
    set_nearest(hull);
}

static void walk(struct hull *hull)
{
    begin(hull);
    for (size_t round = 0; round < 20 * (hull->n_rows + hull->n_domains); round++) {
        const size_t row = entering_row(hull);
        if (row == SIZE_MAX || hull->size == hull->most)
            return;
        hull->corral[hull->size] = row;
        hull->weight[hull->size++] = 0.0;
        do {
            if (!solve_affine(hull)) { /* dependent up to rounding: we are there */
                set_nearest(hull);
                return;
            }
        } while (drop_row(hull));
        set_nearest(hull);
    }
}

static bool make_room(struct hull *hull)
{
    hull->most = hull->bonus != NULL ? hull->n_rows : hull->n_domains + 1;
    const size_t room = hull->most + 1, n_domains = hull->n_domains;
    hull->corral = malloc(room * sizeof *hull->corral);
    hull->block = malloc((room * (room + 3) + n_domains) * sizeof *hull->block);
    if (hull->corral == NULL || hull->block == NULL)
        return false;
    hull->weight = hull->block;
    hull->affine = hull->weight + room;
    hull->ones = hull->affine + room;
    hull->gram = hull->ones + room;
    hull->nearest = hull->gram + room * room;
    return true;
}

static void free_room(struct hull *hull)
{
    free(hull->corral);
    free(hull->block);
}

bool mix_hull_weights(size_t n_rows, size_t n_domains, const double *points, const double *bonus,
                      double *weights)
{
    struct hull hull = {.n_rows = n_rows, .n_domains = n_domains, .rows = points, .bonus = bonus};
    const bool room = make_room(&hull);
    if (room) {
        walk(&hull);
        memset(weights, 0, n_rows * sizeof *weights);
        for (size_t c = 0; c < hull.size; c++)
            weights[hull.corral[c]] = hull.weight[c];
    }
    free_room(&hull);
    return room;
}

double mix_hull_distance(size_t n_rows, size_t n_domains, const double *mixtures,
                         const double *mixture)
{
    struct hull hull = {
        .n_rows = n_rows, .n_domains = n_domains, .rows = mixtures, .origin = mixture};
    double largest = NAN;
    if (n_rows > 0 && make_room(&hull)) {
        walk(&hull);
        largest = 0.0;
        for (size_t j = 0; j < n_domains; j++)
            largest = fmax(largest, fabs(hull.nearest[j]));
    }
    free_room(&hull);
    return largest;
}
