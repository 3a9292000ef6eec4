/* SPDX-License-Identifier: GPL-3.0-or-later */
/* belief.c - see belief.h
 *
 * With anomalies a of n teaching draws the covariance of columns p and q is a_p
 * . a_q / (n - 1). A measurement of the M columns W of a candidate, noise R,
 * has S = W W' / (n - 1) + R and gain S^-1 W g / (n - 1) for column g. Worlds
 * move by gain x innovation, the innovation being what the world shows (its
 * noise included) less what was expected there by then. Teaching anomalies
 * shrink by the symmetric square root of I - W' S^-1 W / (n - 1), which is the
 * identity but for M directions (the square-root filter of Bishop et al.,
 * Monthly Weather Review 129, 2001).
 */
#include "optimum/belief.h"

#include <gsl/gsl_eigen.h>
#include <gsl/gsl_linalg.h>
#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/random.h"

enum { FOLDS = 2 };

/* One half teaches, the other half are worlds. Columns are rows of these
 * arrays. */
struct fold {
    size_t n_teaching, n_worlds;
    double *teaching;   /* (P + C, n_teaching) anomalies */
    double *innovation; /* (P, n_worlds) what a world has, less what is expected
                           there */
    double *expected;   /* (C, n_worlds) */
};

struct mix_belief {
    size_t n_draws, n_candidates, n_targets, n_decisions; /* B, -, M, C */
    size_t n_losses;                                      /* P = n_candidates M */
    const double *loss, *goal;                            /* borrowed */
    double *noise;                                        /* (M) */
    uint64_t seed;
    uint64_t n_measured;
    struct fold fold[FOLDS];
    double *best; /* (B) least goal of each draw */
    gsl_rng *rng;
    gsl_matrix *s, *chol, *eigenvectors; /* (M,M) */
    gsl_vector *eigenvalues, *column;    /* (M) */
    gsl_eigen_symmv_workspace *eigen;
    double *gain, *cov;    /* (C, M) */
    double *shown;         /* (M, n_worlds) innovations with noise */
    double *direction;     /* (M, n_teaching) */
    double *decided;       /* (n_worlds) */
    double *moved, *least; /* (n_worlds) */
    size_t *chosen;        /* (n_worlds) */
};

static size_t draw_of(int fold, bool teaches, size_t i)
{
    return 2 * i + (size_t)(teaches ? fold : 1 - fold);
}

static double dot(const double *a, const double *b, size_t n)
{
    double sum[8] = {0}; /* as many as keep the adders busy */
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (size_t k = 0; k < 8; k++)
            sum[k] += a[i + k] * b[i + k];
    for (; i < n; i++)
        sum[0] += a[i] * b[i];
    return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

static void add_scaled(double *a, double factor, const double *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        a[i] += factor * b[i];
}

/* ---- making */

static double entry(const struct mix_belief *b, size_t draw, size_t column)
{
    return column < b->n_losses ? b->loss[draw * b->n_losses + column]
                                : b->goal[draw * b->n_decisions + column - b->n_losses];
}

static void fill_fold(struct mix_belief *b, int f)
{
    struct fold *fold = &b->fold[f];
    for (size_t p = 0; p < b->n_losses + b->n_decisions; p++) {
        double *teaching = fold->teaching + p * fold->n_teaching;
        double mean = 0;
        for (size_t i = 0; i < fold->n_teaching; i++)
            mean += teaching[i] = entry(b, draw_of(f, true, i), p);
        mean /= (double)fold->n_teaching;
        for (size_t i = 0; i < fold->n_teaching; i++)
            teaching[i] -= mean;
        for (size_t w = 0; w < fold->n_worlds; w++) {
            if (p < b->n_losses)
                fold->innovation[p * fold->n_worlds + w] = entry(b, draw_of(f, false, w), p) - mean;
            else
                fold->expected[(p - b->n_losses) * fold->n_worlds + w] = mean;
        }
    }
}

void mix_belief_reset(struct mix_belief *belief)
{
    belief->n_measured = 0;
    for (int f = 0; f < FOLDS; f++)
        fill_fold(belief, f);
}

static bool allocate(struct mix_belief *b)
{
    const size_t columns = b->n_losses + b->n_decisions, m = b->n_targets;
    bool complete = true;
    for (int f = 0; f < FOLDS; f++) {
        struct fold *fold = &b->fold[f];
        fold->n_teaching = (b->n_draws + (f == 0)) / 2;
        fold->n_worlds = b->n_draws - fold->n_teaching;
        fold->teaching = calloc(columns * fold->n_teaching, sizeof *fold->teaching);
        fold->innovation = calloc(b->n_losses * fold->n_worlds, sizeof *fold->innovation);
        fold->expected = calloc(b->n_decisions * fold->n_worlds, sizeof *fold->expected);
        complete = complete && fold->teaching && fold->innovation && fold->expected;
    }
    b->noise = calloc(m, sizeof *b->noise);
    b->best = calloc(b->n_draws, sizeof *b->best);
    b->rng = mix_rng_create((struct mix_key){0, 0});
    b->s = gsl_matrix_alloc(m, m);
    b->chol = gsl_matrix_alloc(m, m);
    b->eigenvectors = gsl_matrix_alloc(m, m);
    b->eigenvalues = gsl_vector_alloc(m);
    b->column = gsl_vector_alloc(m);
    b->eigen = gsl_eigen_symmv_alloc(m);
    b->gain = calloc(m * b->n_decisions, sizeof *b->gain);
    b->cov = calloc(m * b->n_decisions, sizeof *b->cov);
    b->shown = calloc(m * b->n_draws, sizeof *b->shown);
    b->direction = calloc(m * b->n_draws, sizeof *b->direction);
    b->decided = calloc(b->n_draws, sizeof *b->decided);
    b->moved = calloc(b->n_draws, sizeof *b->moved);
    b->least = calloc(b->n_draws, sizeof *b->least);
    b->chosen = calloc(b->n_draws, sizeof *b->chosen);
    return complete && b->noise && b->best && b->rng && b->s && b->chol && b->eigenvectors &&
           b->eigenvalues && b->column && b->eigen && b->gain && b->cov && b->shown &&
           b->direction && b->decided && b->moved && b->least && b->chosen;
}

enum mix_status mix_belief_create(size_t n_draws, size_t n_candidates, size_t n_targets,
                                  size_t n_decisions, const double *loss, const double *goal,
                                  const double *noise, uint64_t seed, struct mix_belief **out,
                                  struct mix_error *err)
{
    struct mix_belief *b = calloc(1, sizeof *b);
    if (b) {
        b->n_draws = n_draws;
        b->n_candidates = n_candidates;
        b->n_targets = n_targets;
        b->n_decisions = n_decisions;
        b->n_losses = n_candidates * n_targets;
        b->loss = loss;
        b->goal = goal;
        b->seed = seed;
    }
    if (!b || !allocate(b)) {
        mix_belief_destroy(b);
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu draws of %zu candidates", n_draws,
                        n_candidates);
    }
    memcpy(b->noise, noise, n_targets * sizeof *noise);
    for (size_t d = 0; d < n_draws; d++) {
        b->best[d] = INFINITY;
        for (size_t c = 0; c < n_decisions; c++)
            b->best[d] = fmin(b->best[d], goal[d * n_decisions + c]);
    }
    mix_belief_reset(b);
    *out = b;
    return MIX_OK;
}

void mix_belief_destroy(struct mix_belief *b)
{
    if (!b)
        return;
    for (int f = 0; f < FOLDS; f++) {
        free(b->fold[f].teaching);
        free(b->fold[f].innovation);
        free(b->fold[f].expected);
    }
    if (b->rng)
        gsl_rng_free(b->rng);
    gsl_matrix_free(b->s);
    gsl_matrix_free(b->chol);
    gsl_matrix_free(b->eigenvectors);
    gsl_vector_free(b->eigenvalues);
    gsl_vector_free(b->column);
    if (b->eigen)
        gsl_eigen_symmv_free(b->eigen);
    free(b->noise);
    free(b->best);
    free(b->gain);
    free(b->cov);
    free(b->shown);
    free(b->direction);
    free(b->decided);
    free(b->moved);
    free(b->least);
    free(b->chosen);
    free(b);
}

/* ---- one measurement */

/* S of a candidate and its Cholesky factor. */
static enum mix_status factorise(struct mix_belief *b, const struct fold *fold, size_t candidate,
                                 size_t n_seeds, struct mix_error *err)
{
    const size_t m = b->n_targets, n = fold->n_teaching;
    const double *w = fold->teaching + candidate * m * n;
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j <= i; j++) {
            double s = dot(w + i * n, w + j * n, n) / (double)(n - 1);
            if (i == j)
                s += b->noise[i] * b->noise[i] / (double)n_seeds;
            gsl_matrix_set(b->s, i, j, s);
            gsl_matrix_set(b->s, j, i, s);
        }
    gsl_matrix_memcpy(b->chol, b->s);
    if (gsl_linalg_cholesky_decomp1(b->chol) != 0)
        return mix_fail(err, MIX_ENUMERIC, "the draws give no covariance for a candidate run");
    return MIX_OK;
}

/* S^-1 W a / (n - 1) for column `a` of teaching anomalies, into b->column; before S^-1 into `cov`
 * (M) where that is wanted. */
static void find_gain(struct mix_belief *b, const struct fold *fold, size_t candidate,
                      const double *a, double *cov)
{
    const size_t m = b->n_targets, n = fold->n_teaching;
    const double *w = fold->teaching + candidate * m * n;
    for (size_t i = 0; i < m; i++) {
        const double c = dot(w + i * n, a, n) / (double)(n - 1);
        gsl_vector_set(b->column, i, c);
        if (cov)
            cov[i] = c;
    }
    gsl_linalg_cholesky_svx(b->chol, b->column);
}

/* What the worlds would show of a candidate, less what is expected; noise by
 * what is measured when, so that candidates are compared in the same weather.
 */
static void show(struct mix_belief *b, int f, size_t candidate, size_t n_seeds)
{
    const struct fold *fold = &b->fold[f];
    const size_t m = b->n_targets, n = fold->n_worlds;
    const double root = sqrt((double)n_seeds);
    const uint64_t what[] = {b->n_measured, (uint64_t)f};
    mix_rng_rekey(b->rng, mix_key_make(b->seed, "next noise", what, sizeof what));
    memcpy(b->shown, fold->innovation + candidate * m * n, m * n * sizeof *b->shown);
    for (size_t i = 0; i < m * n; i++)
        b->shown[i] += b->noise[i / n] / root * gsl_ran_gaussian_ziggurat(b->rng, 1);
}

/* The decision's true regret in each world, if expectations were moved by gain
 * x shown. */
static void decide(struct mix_belief *b, int f, const double *gain, double *regret)
{
    const struct fold *fold = &b->fold[f];
    const size_t n = fold->n_worlds, m = b->n_targets;
    for (size_t c = 0; c < b->n_decisions; c++) {
        memcpy(b->moved, fold->expected + c * n, n * sizeof *b->moved);
        for (size_t i = 0; gain && i < m; i++)
            add_scaled(b->moved, gain[c * m + i], b->shown + i * n, n);
        for (size_t w = 0; w < n; w++)
            if (c == 0 || b->moved[w] < b->least[w]) {
                b->least[w] = b->moved[w];
                b->chosen[w] = c;
            }
    }
    for (size_t w = 0; w < n; w++) {
        const size_t draw = draw_of(f, false, w);
        regret[w] = b->goal[draw * b->n_decisions + b->chosen[w]] - b->best[draw];
    }
}

/* Gains of all decisions, and how much the variance of their differences from
 * the decision of now falls. */
static double find_gains(struct mix_belief *b, const struct fold *fold, size_t candidate)
{
    const size_t m = b->n_targets, n = fold->n_teaching;
    double reduction = 0;
    for (size_t c = 0; c < b->n_decisions; c++) {
        find_gain(b, fold, candidate, fold->teaching + (b->n_losses + c) * n, b->cov + c * m);
        for (size_t i = 0; i < m; i++)
            b->gain[c * m + i] = gsl_vector_get(b->column, i);
    }
    for (size_t c = 1; c < b->n_decisions; c++)
        for (size_t i = 0; i < m; i++)
            reduction += (b->gain[c * m + i] - b->gain[i]) * (b->cov[c * m + i] - b->cov[i]);
    return b->n_decisions > 1 ? reduction / (double)(b->n_decisions - 1) : 0;
}

enum mix_status mix_belief_prospect(struct mix_belief *belief, size_t candidate, size_t n_seeds,
                                    struct mix_prospect *out, struct mix_error *err)
{
    const double root = sqrt((double)n_seeds);
    *out = (struct mix_prospect){0, 0, 0};
    for (int f = 0; f < FOLDS; f++) {
        const struct fold *fold = &belief->fold[f];
        const enum mix_status status = factorise(belief, fold, candidate, n_seeds, err);
        if (status != MIX_OK)
            return status;
        for (size_t i = 0; i < belief->n_targets; i++)
            out->information +=
                log(gsl_matrix_get(belief->chol, i, i) / belief->noise[i] * root) / FOLDS;
        out->variance += find_gains(belief, fold, candidate) / FOLDS;
        show(belief, f, candidate, n_seeds);
        decide(belief, f, belief->gain, belief->decided);
        for (size_t w = 0; w < fold->n_worlds; w++)
            out->regret += belief->decided[w] / (double)belief->n_draws;
    }
    return MIX_OK;
}

/* Worlds: expectations move, and innovations with them. */
static void move_worlds(struct mix_belief *b, int f, size_t candidate, size_t n_seeds)
{
    struct fold *fold = &b->fold[f];
    const size_t m = b->n_targets, n = fold->n_worlds;
    show(b, f, candidate, n_seeds);
    for (size_t p = 0; p < b->n_losses + b->n_decisions; p++) {
        find_gain(b, fold, candidate, fold->teaching + p * fold->n_teaching, NULL);
        const bool is_loss = p < b->n_losses;
        double *moved = is_loss ? fold->innovation + p * n : fold->expected + (p - b->n_losses) * n;
        for (size_t i = 0; i < m; i++) {
            const double gain = gsl_vector_get(b->column, i);
            add_scaled(moved, is_loss ? -gain : gain, b->shown + i * n, n);
        }
    }
}

/* Teaching anomalies shrink: with V = L^-1 W / sqrt(n - 1) and V V' = Z diag(l)
 * Z', by I - sum_i (1 - sqrt(1 - l_i)) u_i u_i', u_i = V' z_i / sqrt(l_i). */
static void shrink_teaching(struct mix_belief *b, struct fold *fold, size_t candidate)
{
    const size_t m = b->n_targets, n = fold->n_teaching, columns = b->n_losses + b->n_decisions;
    double *v = b->direction;
    memcpy(v, fold->teaching + candidate * m * n, m * n * sizeof *v);
    for (size_t i = 0; i < m; i++) { /* forward substitution */
        for (size_t j = 0; j < i; j++)
            add_scaled(v + i * n, -gsl_matrix_get(b->chol, i, j), v + j * n, n);
        const double scale = 1 / gsl_matrix_get(b->chol, i, i);
        for (size_t k = 0; k < n; k++)
            v[i * n + k] *= scale;
    }
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < m; j++)
            gsl_matrix_set(b->s, i, j, dot(v + i * n, v + j * n, n) / (double)(n - 1));
    gsl_eigen_symmv(b->s, b->eigenvalues, b->eigenvectors, b->eigen);
    double *u = b->decided; /* (n_draws): room for one direction */
    for (size_t i = 0; i < m; i++) {
        const double l = fmin(gsl_vector_get(b->eigenvalues, i), 1);
        if (!(l > 1e-14))
            continue;
        memset(u, 0, n * sizeof *u);
        for (size_t j = 0; j < m; j++)
            add_scaled(u, gsl_matrix_get(b->eigenvectors, j, i) / sqrt(l * (double)(n - 1)),
                       v + j * n, n);
        const double shrinkage = 1 - sqrt(1 - l);
        for (size_t p = 0; p < columns; p++) {
            double *a = fold->teaching + p * n;
            add_scaled(a, -shrinkage * dot(u, a, n), u, n);
        }
    }
}

enum mix_status mix_belief_measure(struct mix_belief *belief, size_t candidate, size_t n_seeds,
                                   struct mix_error *err)
{
    for (int f = 0; f < FOLDS; f++) {
        const enum mix_status status = factorise(belief, &belief->fold[f], candidate, n_seeds, err);
        if (status != MIX_OK)
            return status;
        move_worlds(belief, f, candidate, n_seeds);
        shrink_teaching(belief, &belief->fold[f], candidate);
    }
    belief->n_measured++;
    return MIX_OK;
}

void mix_belief_regret(struct mix_belief *belief, double *regret)
{
    for (int f = 0; f < FOLDS; f++) {
        decide(belief, f, NULL, belief->decided);
        for (size_t w = 0; w < belief->fold[f].n_worlds; w++)
            regret[draw_of(f, false, w)] = belief->decided[w];
    }
}
