/* SPDX-License-Identifier: GPL-3.0-or-later */
/* kink.c - minima where the gradient jumps.
 *
 * Near a kink the value is the maximum of smooth pieces. The bundle holds points with value and
 * gradient from its sides; each stands for the piece it lies on, carried to the current point by a
 * common matrix B of second derivatives:  f_i + g_i d + ½ d B d. The step d to the least maximum of
 * these is found in its dual, the nearest point of a polytope (hull.c). Where the step fails, the
 * failed point joins the bundle and shows the other side.
 */
#include <math.h>
#include <string.h>

#include "mixsweep/optimum.h"
#include "optimum/minimise_impl.h"

enum {
    STEPS = 60,    /* of the bundle method */
    FAILURES = 12, /* in a row */
    REFRESHES = 6  /* of the second derivatives */
};
static const double SERIOUS = 0.01;    /* part of the predicted fall that a step must bring */
static const double CONVERGED = 4e-16; /* predicted fall relative to the value */
static const double COUNTS = 0.02;     /* weight of a piece whose second derivatives are taken */
static const double ASIDE = 1e-4;      /* share by which these are taken away from the kink */
static const double NEARBY = 1e-6;     /* shares around a kink whose gradients certify it */
static const double FAR = 10.0;        /* radii beyond which a point says nothing here */
static const double RADIUS = 0.1;      /* largest step, in shares, at first */

static void remember(struct mix_minimiser *m, const struct point *point)
{
    const size_t row = m->n_remembered++ % m->n_seen;
    memcpy(m->seen + row * m->n, point->h, m->n * sizeof *m->seen);
    memcpy(m->slopes + row * m->n, point->gradient, m->n * sizeof *m->slopes);
    m->values[row] = point->value;
}

static size_t n_rows(const struct mix_minimiser *m)
{
    return m->n_remembered < m->n_seen ? m->n_remembered : m->n_seen;
}

/* Factor B, with a diagonal that grows until it is positive definite, into m->matrix. */
static bool factor(struct mix_minimiser *m, size_t n)
{
    for (double shift = 0.0; shift < 1e6; shift = fmax(1e-6, 10.0 * shift)) {
        for (size_t r = 0; r < n; r++) {
            memcpy(m->matrix + r * n, m->hessian + r * n, (r + 1) * sizeof *m->matrix);
            m->matrix[r * n + r] += shift * (fabs(m->hessian[r * n + r]) + m->here.scale);
        }
        if (mix_cholesky_factor(n, m->matrix))
            return true;
    }
    return false;
}

/* Carry row i of the bundle to the current point: slope (n) out, returns value less the current
 * one. */
static double carry(struct mix_minimiser *m, size_t n, size_t row, double *slope)
{
    const size_t reference = m->free[n];
    const double *seen = m->seen + row * m->n, *gradient = m->slopes + row * m->n;
    double value = m->values[row] - m->here.value;
    for (size_t j = 0; j < m->n; j++)
        value += gradient[j] * (m->here.h[j] - seen[j]);
    for (size_t r = 0; r < n; r++) {
        double bend = 0.0;
        for (size_t c = 0; c < n; c++)
            bend += m->hessian[r > c ? r * n + c : c * n + r] *
                    (m->here.h[m->free[c]] - seen[m->free[c]]);
        slope[r] = gradient[m->free[r]] - gradient[reference] + bend;
        value += 0.5 * bend * (m->here.h[m->free[r]] - seen[m->free[r]]);
    }
    return value;
}

static double distance(const struct mix_minimiser *m, size_t row)
{
    double largest = 0.0;
    for (size_t j = 0; j < m->n; j++)
        largest = fmax(largest, fabs(m->seen[row * m->n + j] - m->here.h[j]));
    return largest;
}

/* Weights of the pieces into m->weights and the step into m->step; returns the predicted change of
 * the value, at most 0. */
static double solve_model(struct mix_minimiser *m, size_t n, double radius)
{
    const size_t rows = n_rows(m);
    for (size_t i = 0; i < rows; i++) {
        double *slope = m->pieces + i * n;
        const double value = carry(m, n, i, slope);
        mix_cholesky_forward(n, m->matrix, slope);
        m->bonus[i] = distance(m, i) > FAR * radius
                          ? -INFINITY
                          : -fabs(value); /* a piece above is not convex */
    }
    (void)mix_hull_weights(rows, n, m->pieces, m->bonus, m->weights);
    double change = 0.0;
    memset(m->step, 0, n * sizeof *m->step);
    for (size_t i = 0; i < rows; i++) {
        if (m->weights[i] == 0.0)
            continue;
        change += m->weights[i] * m->bonus[i];
        for (size_t r = 0; r < n; r++)
            m->step[r] -= m->weights[i] * m->pieces[i * n + r];
    }
    for (size_t r = 0; r < n; r++)
        change -= 0.5 * m->step[r] * m->step[r];
    mix_cholesky_back(n, m->matrix, m->step);
    return change;
}

/* The combination of the pieces' gradients that counts at the current point. */
static void set_gradient(const struct mix_minimiser *m, double *gradient)
{
    memset(gradient, 0, m->n * sizeof *gradient);
    for (size_t i = 0; i < n_rows(m); i++)
        for (size_t j = 0; j < m->n && m->weights[i] > 0.0; j++)
            gradient[j] += m->weights[i] * m->slopes[i * m->n + j];
}

/* Second derivatives of the pieces by their weights, each a little inside its own piece: piece i is
 * the highest where its gradient leads up from the combined one. */
static enum mix_status refresh(struct mix_minimiser *m, const struct mix_problem *p, size_t n_free,
                               struct mix_error *err)
{
    double *combined = m->work, total = 0.0;
    set_gradient(m, combined);
    memset(m->hessian, 0, (n_free - 1) * (n_free - 1) * sizeof *m->hessian);
    for (size_t i = 0; i < n_rows(m); i++)
        total += m->weights[i] > COUNTS ? m->weights[i] : 0.0;
    for (size_t i = 0; i < n_rows(m); i++) {
        const double *seen = m->seen + i * m->n, *slope = m->slopes + i * m->n;
        double length = 0.0, mean = 0.0;
        if (!(m->weights[i] > COUNTS))
            continue;
        for (size_t r = 0; r < n_free; r++)
            mean += (slope[m->free[r]] - combined[m->free[r]]) / (double)n_free;
        for (size_t r = 0; r < n_free; r++)
            length = fmax(length, fabs(slope[m->free[r]] - combined[m->free[r]] - mean));
        memcpy(m->aside.h, seen, m->n * sizeof *seen);
        for (size_t r = 0; r < n_free && length > 0.0; r++) {
            const size_t j = m->free[r];
            m->aside.h[j] += fmin(ASIDE, 0.2 * seen[j]) * (slope[j] - combined[j] - mean) / length;
        }
        mix_simplex_project(m->n, m->aside.h, p->lower, p->upper);
        enum mix_status status = minimise_evaluate(m, p, &m->aside, err);
        if (status == MIX_OK)
            status = minimise_add_hessian(m, p, &m->aside, n_free, m->weights[i] / total, err);
        if (status != MIX_OK)
            return status;
    }
    return MIX_OK;
}

/* Length of the direction, in shares. */
static double direction_length(const struct mix_minimiser *m)
{
    double largest = 0.0;
    for (size_t j = 0; j < m->n; j++)
        largest = fmax(largest, fabs(m->direction[j]));
    return largest;
}

/* Steps among the free shares until none is predicted to help, or a bound is met (*met: other
 * shares are free then). */
static enum mix_status descend_free(struct mix_minimiser *m, const struct mix_problem *p,
                                    size_t n_free, bool *met, struct mix_error *err)
{
    const size_t n = n_free - 1;
    int failures = 0, refreshes = 0;
    double radius = RADIUS;
    enum mix_status status = MIX_OK;
    *met = false;
    for (int i = 0; i < STEPS && failures < FAILURES; i++) {
        if (refreshes < REFRESHES && failures == 0) {
            status = refresh(m, p, n_free, err);
            refreshes++;
        }
        if (status != MIX_OK || !factor(m, n))
            return status;
        const double change = solve_model(m, n, radius);
        if (!(change < -CONVERGED * fabs(m->here.value)))
            return MIX_OK;
        minimise_set_direction(m, n_free);
        const double length = direction_length(m);
        const double longest = minimise_longest_step(m, p, 1.0);
        const double alpha = fmin(longest, radius / length);
        minimise_set_trial(m, p, alpha);
        status = minimise_evaluate(m, p, &m->trial, err);
        if (status != MIX_OK)
            return status;
        remember(m, &m->trial);
        if (m->trial.value < m->here.value + SERIOUS * alpha * change) {
            minimise_swap(m);
            radius = fmin(RADIUS, 3.0 * alpha * length); /* old points are soon far */
            failures = 0;
            *met = alpha == longest && longest < 1.0;
            if (*met)
                return MIX_OK;
        } else if (++failures > 1) { /* the first shows the other side */
            radius = 0.3 * alpha * length;
        }
    }
    return MIX_OK;
}

/* Meet the gradients around m->here: a step to either side between each free share and the
 * reference. */
static enum mix_status look_around(struct mix_minimiser *m, const struct mix_problem *p,
                                   size_t n_free, struct mix_error *err)
{
    for (size_t look = 0; look < 2 * (n_free - 1); look++) {
        const size_t j = m->free[look / 2], reference = m->free[n_free - 1];
        const double away = (look % 2 == 0 ? 0.5 : -0.5) * NEARBY;
        memcpy(m->trial.h, m->here.h, m->n * sizeof *m->trial.h);
        m->trial.h[j] = fmax(0.0, m->trial.h[j] + away);
        m->trial.h[reference] -= m->trial.h[j] - m->here.h[j];
        const enum mix_status status = minimise_evaluate(m, p, &m->trial, err);
        if (status != MIX_OK)
            return status;
        remember(m, &m->trial);
    }
    return MIX_OK;
}

/* Of the gradients met nearby the combination that comes nearest to a multiplier of the sum becomes
 * the gradient of m->here: it certifies a minimum on a kink, which is no zero of any gradient. */
static void combine_sides(struct mix_minimiser *m, size_t n_free)
{
    const size_t rows = n_rows(m);
    for (size_t i = 0; i < rows; i++) {
        double *slope = m->pieces + i * n_free, mean = 0.0;
        for (size_t r = 0; r < n_free; r++)
            mean += m->slopes[i * m->n + m->free[r]] / (double)n_free;
        for (size_t r = 0; r < n_free; r++)
            slope[r] = m->slopes[i * m->n + m->free[r]] - mean;
        m->bonus[i] = distance(m, i) <= NEARBY ? 0.0 : -INFINITY;
    }
    (void)mix_hull_weights(rows, n_free, m->pieces, m->bonus, m->weights);
    set_gradient(m, m->here.gradient);
}

enum mix_status minimise_on_kink(struct mix_minimiser *m, const struct mix_problem *p,
                                 struct mix_error *err)
{
    bool met = true;
    m->n_remembered = 0;
    for (size_t round = 0; round < m->n + 4 && met; round++) {
        remember(m, &m->here);
        memset(m->weights, 0, m->n_seen * sizeof *m->weights);
        m->weights[(m->n_remembered - 1) % m->n_seen] = 1.0;
        minimise_certify(m, p, &m->here);
        const size_t n_free = minimise_find_free(m, p);
        if (n_free == 0)
            break;
        const enum mix_status status = descend_free(m, p, n_free, &met, err);
        if (status != MIX_OK)
            return status;
    }
    const size_t n_free = minimise_find_free(m, p);
    if (n_free > 0) {
        remember(m, &m->here);
        const enum mix_status status = look_around(m, p, n_free, err);
        if (status != MIX_OK)
            return status;
        combine_sides(m, n_free);
    }
    minimise_certify(m, p, &m->here);
    return MIX_OK;
}
