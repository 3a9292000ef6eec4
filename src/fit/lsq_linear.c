/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lsq_linear.c - variable projection: the linear parameters of every target, none negative, and
 * what they leave of the losses. */
#include <math.h>
#include <string.h>

#include "lsq_parts.h"

/* min |c - T[:,set] x| by Gram-Schmidt on the small triangle; rotation (n_l, n_set) spans T[:,set].
 * Returns the explained sum of squares, or -1 where a column is dependent or an x is negative. */
static double solve_subset(size_t n_l, double t[L_MAX][L_MAX], const double *c, unsigned set,
                           double x[L_MAX], double rotation[L_MAX][L_MAX])
{
    double upper[L_MAX][L_MAX] = {{0}}, project[L_MAX] = {0}, explained = 0.0;
    size_t column[L_MAX], n = 0;
    for (size_t l = 0; l < n_l; l++) {
        if (!(set & 1u << l))
            continue;
        double w[L_MAX], norm = 0.0, before = 0.0;
        for (size_t i = 0; i < n_l; i++) {
            w[i] = t[i][l];
            before += w[i] * w[i];
        }
        for (size_t k = 0; k < n; k++) {
            for (size_t i = 0; i < n_l; i++)
                upper[k][n] += rotation[i][k] * w[i];
            for (size_t i = 0; i < n_l; i++)
                w[i] -= upper[k][n] * rotation[i][k];
        }
        for (size_t i = 0; i < n_l; i++)
            norm += w[i] * w[i];
        if (!(norm > 1e-20 * before) || !(before > 0.0))
            return -1.0;
        upper[n][n] = sqrt(norm);
        for (size_t i = 0; i < n_l; i++) {
            rotation[i][n] = w[i] / upper[n][n];
            project[n] += rotation[i][n] * c[i];
        }
        explained += project[n] * project[n];
        column[n++] = l;
    }
    for (size_t l = 0; l < n_l; l++)
        x[l] = 0.0;
    for (size_t k = n; k-- > 0;) {
        double value = project[k];
        for (size_t i = k + 1; i < n; i++)
            value -= upper[k][i] * x[column[i]];
        x[column[k]] = value / upper[k][k];
        if (!(x[column[k]] >= 0.0))
            return -1.0;
    }
    return explained;
}

/* All linear parameters of one target by the triangle alone; false where a column is dependent or a
 * parameter negative. */
static bool solve_all(struct lsq *s, size_t m)
{
    const size_t n_l = s->n_linear, ld = s->rows.ld;
    double *x = s->lambda + m * n_l, *rotation = s->rotation + m * L_MAX * L_MAX;
    for (size_t l = n_l; l-- > 0;) {
        const double diagonal = s->triangle[(l * n_l + l) * ld + m];
        double value = s->rhs[l * ld + m];
        for (size_t i = l + 1; i < n_l; i++)
            value -= s->triangle[(l * n_l + i) * ld + m] * x[i];
        if (!(diagonal > 0.0) || !(value >= 0.0))
            return false;
        x[l] = value / diagonal;
    }
    memset(rotation, 0, L_MAX * L_MAX * sizeof *rotation);
    for (size_t l = 0; l < n_l; l++)
        rotation[l * L_MAX + l] = 1.0;
    s->n_basis[m] = n_l;
    return true;
}

/* Non-negative linear parameters of one target: the best feasible subset of at most four columns.
 */
static void solve_target(struct lsq *s, size_t m)
{
    const size_t n_l = s->n_linear;
    if (solve_all(s, m))
        return;
    double t[L_MAX][L_MAX], c[L_MAX], x[L_MAX], rotation[L_MAX][L_MAX] = {{0}};
    double *best_rotation = s->rotation + m * L_MAX * L_MAX;
    unsigned all = 0, best_set = 0;
    double best = 0.0;
    for (size_t l = 0; l < n_l; l++) {
        for (size_t i = 0; i < n_l; i++)
            t[i][l] = i <= l ? s->triangle[(i * n_l + l) * s->rows.ld + m] : 0.0;
        c[l] = s->rhs[l * s->rows.ld + m];
        s->lambda[m * n_l + l] = 0.0;
        all |= 1u << l;
    }
    for (unsigned set = all; set > 0; set--) {
        const double explained = solve_subset(n_l, t, c, set, x, rotation);
        if (explained > best) {
            best = explained;
            best_set = set;
            memcpy(best_rotation, rotation, sizeof rotation); /* rows l, columns k */
            memcpy(s->lambda + m * n_l, x, n_l * sizeof *x);
        }
        if (set == all && explained >= 0.0)
            break; /* unconstrained solution is feasible */
    }
    s->n_basis[m] = (size_t)__builtin_popcount(best_set);
}

/* Evaluate the law, solve for lambda, set basis and residual; returns the sum of squares. */
double lsq_project_out(struct lsq *s, const double *theta)
{
    const size_t n_m = s->n_targets, n_e = s->n_rows * n_m, n_l = s->n_linear;
    const struct normal_kernels *kernels = lsq_kernels(s);
    s->model->law->eval(s->model, theta, &s->points, s->g, s->phi);
    kernels->residuals(n_e, s->y, s->g, s->sw, s->residual);
    kernels->orthogonalise(&s->rows, n_l, n_e, s->phi, s->sw, s->residual, s->basis, s->triangle,
                           s->rhs);
    for (size_t m = 0; m < n_m; m++)
        solve_target(s, m);
    for (size_t l = 0; l < n_l; l++)
        for (size_t m = 0; m < n_m; m++)
            s->lambda_by_term[l * s->rows.ld + m] = s->lambda[m * n_l + l];
    kernels->subtract(&s->rows, n_l, n_e, s->lambda_by_term, s->phi, s->sw, s->residual, s->square);
    return lsq_sum_squares(s, theta);
}
