/* SPDX-License-Identifier: GPL-3.0-or-later */
/* belief.c - see belief.h
 *
 * With anomalies a of n draws the covariance of columns p and q is a_p . a_q / (n - 1). A
 * measurement of the M columns W of a candidate, noise R, has S = W W' / (n - 1) + R = L L'. With V
 * = L^-1 W / sqrt(n - 1) and V V' = Z diag(l) Z' it takes the part l_k off the variance along the
 * unit vectors u_k = V' z_k / sqrt(l_k) of the draws' space, and anomalies shrink by the symmetric
 * square root of what is left, I - sum_k (1 - sqrt(1 - l_k)) u_k u_k' (the square-root filter of
 * Bishop et al., Monthly Weather Review 129, 2001).
 */
#include "optimum/belief.h"

#include <gsl/gsl_eigen.h>
#include <gsl/gsl_linalg.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double NO_PART = 1e-14;     /* of a variance */
static const double LEAST_FREEDOM = 0.2; /* of that of the draws */

struct mix_belief {
    size_t n_draws, n_candidates, n_targets, n_decisions; /* n, -, M, C */
    size_t n_losses;                                      /* P = n_candidates M */
    const double *loss, *goal;                            /* borrowed */
    double *noise;                                        /* (M) */
    double *anomaly;                                      /* (P + C, n) */
    double *regret;                                       /* (n) before any measurement */
    double *unit;   /* (C) of a decision's difference: the root of its variance before */
    double all;     /* sum of the variances in these units, before */
    double freedom; /* n - 1 less what measurements have used up */
    double scale;   /* part of the regret that is expected */
    double left;    /* part of the regret that measurements have left */
    gsl_matrix *s, *chol, *eigenvectors; /* (M,M) */
    gsl_vector *eigenvalues;             /* (M) */
    gsl_eigen_symmv_workspace *eigen;
    double *white;     /* (M, n) V sqrt(n - 1) */
    double *direction; /* (M, n) rows u_k */
    double *part;      /* (M) l_k */
    double *first;     /* (M) the first decision along u_k */
    size_t n_directions;
};

struct mix_belief_state {
    double freedom, left;
    double anomaly[];
};

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

static double *decision(const struct mix_belief *b, size_t c)
{
    return b->anomaly + (b->n_losses + c) * b->n_draws;
}

/* Variance of a decision's difference from the first. */
static double variance_of(const struct mix_belief *b, size_t c)
{
    const double *a = decision(b, c), *first = decision(b, 0);
    double sum = 0;
    for (size_t d = 0; d < b->n_draws; d++)
        sum += (a[d] - first[d]) * (a[d] - first[d]);
    return sum / (double)(b->n_draws - 1);
}

/* In units of what they were before any measurement. */
static double sum_variances(const struct mix_belief *b)
{
    double sum = 0;
    for (size_t c = 1; c < b->n_decisions; c++)
        sum += b->unit[c] > 0 ? variance_of(b, c) / b->unit[c] : 0;
    return sum;
}

void mix_belief_reset(struct mix_belief *b)
{
    for (size_t p = 0; p < b->n_losses + b->n_decisions; p++) {
        double *a = b->anomaly + p * b->n_draws, mean = 0;
        for (size_t d = 0; d < b->n_draws; d++)
            mean += a[d] = p < b->n_losses ? b->loss[d * b->n_losses + p]
                                           : b->goal[d * b->n_decisions + p - b->n_losses];
        mean /= (double)b->n_draws;
        for (size_t d = 0; d < b->n_draws; d++)
            a[d] -= mean;
    }
    b->freedom = (double)(b->n_draws - 1);
    b->left = 1;
}

enum mix_status mix_belief_keep(const struct mix_belief *b, struct mix_belief_state **out,
                                struct mix_error *err)
{
    const size_t n = (b->n_losses + b->n_decisions) * b->n_draws;
    struct mix_belief_state *state = malloc(sizeof *state + n * sizeof *state->anomaly);
    *out = state;
    if (!state)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu draws of %zu candidates",
                        b->n_draws, b->n_candidates);
    state->freedom = b->freedom;
    state->left = b->left;
    memcpy(state->anomaly, b->anomaly, n * sizeof *state->anomaly);
    return MIX_OK;
}

void mix_belief_restore(struct mix_belief *b, const struct mix_belief_state *state)
{
    b->freedom = state->freedom;
    b->left = state->left;
    memcpy(b->anomaly, state->anomaly,
           (b->n_losses + b->n_decisions) * b->n_draws * sizeof *b->anomaly);
}

/* What the decision with the least mean objective loses in each draw's world. */
static void find_regrets(struct mix_belief *b)
{
    double least = INFINITY;
    size_t chosen = 0;
    for (size_t c = 0; c < b->n_decisions; c++) {
        double mean = 0;
        for (size_t d = 0; d < b->n_draws; d++)
            mean += b->goal[d * b->n_decisions + c] / (double)b->n_draws;
        if (mean < least) {
            least = mean;
            chosen = c;
        }
    }
    for (size_t d = 0; d < b->n_draws; d++) {
        const double *goal = b->goal + d * b->n_decisions;
        double best = goal[chosen];
        for (size_t c = 0; c < b->n_decisions; c++)
            best = fmin(best, goal[c]);
        b->regret[d] = b->scale * (goal[chosen] - best);
    }
}

static bool allocate(struct mix_belief *b)
{
    const size_t m = b->n_targets, n = b->n_draws;
    b->noise = calloc(m, sizeof *b->noise);
    b->anomaly = calloc((b->n_losses + b->n_decisions) * n, sizeof *b->anomaly);
    b->regret = calloc(n, sizeof *b->regret);
    b->unit = calloc(b->n_decisions, sizeof *b->unit);
    b->s = gsl_matrix_alloc(m, m);
    b->chol = gsl_matrix_alloc(m, m);
    b->eigenvectors = gsl_matrix_alloc(m, m);
    b->eigenvalues = gsl_vector_alloc(m);
    b->eigen = gsl_eigen_symmv_alloc(m);
    b->white = calloc(m * n, sizeof *b->white);
    b->direction = calloc(m * n, sizeof *b->direction);
    b->part = calloc(m, sizeof *b->part);
    b->first = calloc(m, sizeof *b->first);
    return b->noise && b->anomaly && b->regret && b->unit && b->s && b->chol && b->eigenvectors &&
           b->eigenvalues && b->eigen && b->white && b->direction && b->part && b->first;
}

enum mix_status mix_belief_create(size_t n_draws, size_t n_candidates, size_t n_targets,
                                  size_t n_decisions, const double *loss, const double *goal,
                                  const double *noise, double scale, struct mix_belief **out,
                                  struct mix_error *err)
{
    struct mix_belief *b = calloc(1, sizeof *b);
    if (b) {
        b->n_draws = n_draws;
        b->n_candidates = n_candidates;
        b->n_targets = n_targets;
        b->n_decisions = n_decisions;
        b->n_losses = n_candidates * n_targets;
        b->scale = scale;
        b->loss = loss;
        b->goal = goal;
    }
    if (!b || !allocate(b)) {
        mix_belief_destroy(b);
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu draws of %zu candidates", n_draws,
                        n_candidates);
    }
    memcpy(b->noise, noise, n_targets * sizeof *noise);
    find_regrets(b);
    mix_belief_reset(b);
    for (size_t c = 0; c < n_decisions; c++)
        b->unit[c] = sqrt(variance_of(b, c));
    b->all = sum_variances(b);
    *out = b;
    return MIX_OK;
}

void mix_belief_destroy(struct mix_belief *b)
{
    if (!b)
        return;
    free(b->noise);
    free(b->anomaly);
    free(b->regret);
    free(b->unit);
    gsl_matrix_free(b->s);
    gsl_matrix_free(b->chol);
    gsl_matrix_free(b->eigenvectors);
    gsl_vector_free(b->eigenvalues);
    if (b->eigen)
        gsl_eigen_symmv_free(b->eigen);
    free(b->white);
    free(b->direction);
    free(b->part);
    free(b->first);
    free(b);
}

/* ---- one measurement */

/* S of a candidate and its Cholesky factor. */
static enum mix_status factorise(struct mix_belief *b, size_t candidate, size_t n_seeds,
                                 struct mix_error *err)
{
    const size_t m = b->n_targets, n = b->n_draws;
    const double *w = b->anomaly + candidate * m * n;
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

/* V sqrt(n - 1) by forward substitution, and V V' into s. */
static void whiten(struct mix_belief *b, size_t candidate)
{
    const size_t m = b->n_targets, n = b->n_draws;
    double *v = b->white;
    memcpy(v, b->anomaly + candidate * m * n, m * n * sizeof *v);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < i; j++)
            add_scaled(v + i * n, -gsl_matrix_get(b->chol, i, j), v + j * n, n);
        const double scale = 1 / gsl_matrix_get(b->chol, i, i);
        for (size_t k = 0; k < n; k++)
            v[i * n + k] *= scale;
        for (size_t j = 0; j <= i; j++) {
            const double s = dot(v + i * n, v + j * n, n) / (double)(n - 1);
            gsl_matrix_set(b->s, i, j, s);
            gsl_matrix_set(b->s, j, i, s);
        }
    }
}

/* Directions u_k and their parts l_k. */
static enum mix_status find_directions(struct mix_belief *b, size_t candidate, size_t n_seeds,
                                       struct mix_error *err)
{
    const size_t m = b->n_targets, n = b->n_draws;
    const enum mix_status status = factorise(b, candidate, n_seeds, err);
    if (status != MIX_OK)
        return status;
    whiten(b, candidate);
    gsl_eigen_symmv(b->s, b->eigenvalues, b->eigenvectors, b->eigen);
    b->n_directions = 0;
    for (size_t i = 0; i < m; i++) {
        const double l = fmin(gsl_vector_get(b->eigenvalues, i), 1);
        if (!(l > NO_PART))
            continue;
        double *u = b->direction + b->n_directions * n;
        b->part[b->n_directions++] = l;
        memset(u, 0, n * sizeof *u);
        for (size_t j = 0; j < m; j++)
            add_scaled(u, gsl_matrix_get(b->eigenvectors, j, i) / sqrt(l * (double)(n - 1)),
                       b->white + j * n, n);
    }
    return MIX_OK;
}

enum mix_status mix_belief_prospect(struct mix_belief *b, size_t candidate, size_t n_seeds,
                                    struct mix_prospect *out, struct mix_error *err)
{
    const size_t n = b->n_draws;
    *out = (struct mix_prospect){0, 0, 0};
    const enum mix_status status = find_directions(b, candidate, n_seeds, err);
    for (size_t c = 0; c < b->n_decisions && status == MIX_OK; c++) {
        double fall = 0;
        for (size_t k = 0; k < b->n_directions; k++) {
            const double along = dot(b->direction + k * n, decision(b, c), n);
            if (c == 0)
                b->first[k] = along;
            fall += b->part[k] * (along - b->first[k]) * (along - b->first[k]) / (double)(n - 1);
        }
        out->variance += c > 0 ? fall / (double)(b->n_decisions - 1) : 0;
        out->regret += b->unit[c] > 0 ? fall / b->unit[c] / b->all : 0;
    }
    for (size_t k = 0; k < b->n_directions && status == MIX_OK; k++)
        out->information -= log(fmax(1 - b->part[k], NO_PART)) / 2;
    double before = 0;
    for (size_t d = 0; d < n; d++)
        before += b->regret[d] / (double)n;
    out->regret *= before;
    return status;
}

enum mix_status mix_belief_measure(struct mix_belief *b, size_t candidate, size_t n_seeds,
                                   struct mix_error *err)
{
    const size_t n = b->n_draws;
    const enum mix_status status = find_directions(b, candidate, n_seeds, err);
    if (status != MIX_OK)
        return status;
    for (size_t p = 0; p < b->n_losses + b->n_decisions; p++) {
        double *a = b->anomaly + p * n;
        for (size_t k = 0; k < b->n_directions; k++) {
            const double *u = b->direction + k * n;
            add_scaled(a, -(1 - sqrt(1 - b->part[k])) * dot(u, a, n), u, n);
        }
    }
    for (size_t k = 0; k < b->n_directions; k++)
        b->freedom -= b->part[k];
    const double all = (double)(b->n_draws - 1);
    const double chance = all / fmax(b->freedom, LEAST_FREEDOM * all);
    if (b->all > 0)
        b->left = fmin(b->left, chance * sum_variances(b) / b->all);
    return MIX_OK;
}

void mix_belief_regret(const struct mix_belief *b, double *regret)
{
    for (size_t d = 0; d < b->n_draws; d++)
        regret[d] = b->left * b->regret[d];
}

bool mix_belief_few_draws(const struct mix_belief *b)
{
    return b->freedom < 0.5 * (double)(b->n_draws - 1);
}
