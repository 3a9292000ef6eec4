/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lsq_secant.c - what the Gauss-Newton matrix misses of the curvature, learnt from gradients.
 *
 * In curved valleys, and along kinks where skills meet their bound, Gauss-Newton steps are far off
 * however short they are, and a search creeps. So a symmetric correction lets the matrix map the
 * last step to the change of the gradient, by BFGS, which copes with kinks (Lewis & Overton, Math.
 * Program. 141, 2013); what was learnt before shrinks first where it was too much (Dennis, Gay &
 * Welsch, ACM TOMS 7, 1981). Of large blocks the parameters of single targets are left alone, so
 * that the matrix keeps its zeros.
 */
#include <math.h>
#include <string.h>

#include "lsq_parts.h"

/* A larger gain, of what is minimised, leads elsewhere: what was learnt on the way does not hold
 * there. */
static const double NEAR_GAIN = 1e-4;
/* Of the curvature that is there, the least that a change of the gradient may show (Powell 1978).
 */
static const double LEAST_CURVATURE = 0.2;

/* Of the n corrected parameters, of the last step. */
struct secant {
    double *step;   /* (n) */
    double *known;  /* (n) by the matrix of the n, then by the correction too */
    double *missed; /* (n) change of the gradient that the whole matrix does not tell */
    double *learnt; /* (n) by the correction */
};

static struct secant look_back(const struct lsq *s, size_t b)
{
    const size_t n = s->n_corrected, q = s->n_theta, first = b * s->width;
    const size_t *column = s->order + s->width - s->n_corrected;
    const double *matrix = s->matrix + first * (q + 1), *correction = s->correction + b * n * n;
    const double *step = s->step + first, past = s->search[b].last_slope / s->search[b].slope;
    const struct secant of = {s->secant, s->secant + n, s->secant + 2 * n, s->secant + 3 * n};
    for (size_t k = 0; k < n; k++) {
        const size_t i = column[k];
        double all = 0.0;
        of.step[k] = step[i];
        of.known[k] = of.learnt[k] = 0.0;
        for (size_t j = 0; j < s->width; j++)
            all += matrix[(i < j ? i : j) * q + (i < j ? j : i)] * step[j];
        for (size_t l = 0; l < n; l++) {
            const size_t j = column[l];
            of.known[k] += matrix[(i < j ? i : j) * q + (i < j ? j : i)] * step[j];
            of.learnt[k] += correction[(k < l ? k : l) * n + (k < l ? l : k)] * step[j];
        }
        of.missed[k] = s->gradient[first + i] - past * s->last_gradient[first + i] - all;
    }
    return of;
}

static double dot(size_t n, const double *x, const double *y)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] * y[i];
    return sum;
}

/* Let the correction (n,n) explain the last step. */
static void update(size_t n, const struct secant *of, double *correction)
{
    const double known = dot(n, of->step, of->known), missed = dot(n, of->step, of->missed);
    const double learnt = dot(n, of->step, of->learnt);
    double keep = fabs(learnt) > fabs(missed) ? fabs(missed / learnt) : 1.0;
    if (!(known + keep * learnt > 0.0))
        keep = 0.0;
    const double before = known + keep * learnt, shown = known + missed;
    const double part = shown < LEAST_CURVATURE * before
                            ? (1.0 - LEAST_CURVATURE) * before / (before - shown)
                            : 1.0;
    const double after = part * shown + (1.0 - part) * before;
    if (!(before > 0.0) || !isfinite(after))
        return;
    for (size_t k = 0; k < n; k++) {
        of->missed[k] = part * (of->known[k] + of->missed[k]);
        of->known[k] += keep * of->learnt[k];
        of->missed[k] += (1.0 - part) * of->known[k];
    }
    for (size_t k = 0; k < n; k++)
        for (size_t l = k; l < n; l++)
            correction[k * n + l] = keep * correction[k * n + l] -
                                    of->known[k] * of->known[l] / before +
                                    of->missed[k] * of->missed[l] / after;
}

void lsq_correct(struct lsq *s, size_t b)
{
    const size_t n = s->n_corrected, q = s->n_theta, first = b * s->width;
    const size_t *column = s->order + s->width - s->n_corrected;
    double *matrix = s->matrix + first * (q + 1), *correction = s->correction + b * n * n;
    struct search *at = &s->search[b];
    const bool knows = at->corrected;
    at->corrected = at->last_gain <= NEAR_GAIN * at->sum;
    if (at->corrected) {
        if (!knows)
            memset(correction, 0, n * n * sizeof *correction);
        const struct secant of = look_back(s, b);
        update(n, &of, correction);
    }
    for (size_t k = 0; at->corrected && k < n; k++)
        for (size_t l = k; l < n; l++) {
            const size_t i = column[k], j = column[l];
            matrix[(i < j ? i : j) * q + (i < j ? j : i)] += correction[k * n + l];
        }
    memcpy(s->last_gradient + first, s->gradient + first, s->width * sizeof *s->gradient);
    at->last_slope = at->slope;
}
