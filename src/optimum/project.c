/* SPDX-License-Identifier: GPL-3.0-or-later */
/* project.c - the nearest point of the capped simplex. */
#include "mixsweep/optimum.h"

#include <float.h>
#include <math.h>

static double clip(double value, double lower, double upper)
{
    return value < lower ? lower : value > upper ? upper : value;
}

static double lower_of(const double *lower, size_t i)
{
    return lower != NULL ? lower[i] : 0.0;
}

static double upper_of(const double *upper, size_t i)
{
    return upper != NULL ? upper[i] : 1.0;
}

/* Sum of clip(v - nu) minus 1, and how many shares are strictly between their bounds. */
static double excess(size_t n, const double *v, const double *lower, const double *upper, double nu,
                     size_t *n_free)
{
    double sum = -1.0;
    *n_free = 0;
    for (size_t i = 0; i < n; i++) {
        const double lo = lower_of(lower, i), hi = upper_of(upper, i), x = v[i] - nu;
        sum += clip(x, lo, hi);
        *n_free += x > lo && x < hi;
    }
    return sum;
}

/* The sum is piecewise linear and falls with nu, so a Newton step is exact once the right piece is
 * found; the bracket guards the steps before. */
static double multiplier(size_t n, const double *v, const double *lower, const double *upper)
{
    double left = INFINITY, right = -INFINITY; /* excess(left) >= 0 >= excess(right) */
    for (size_t i = 0; i < n; i++) {
        left = fmin(left, v[i] - upper_of(upper, i));
        right = fmax(right, v[i] - lower_of(lower, i));
    }
    double nu = 0.5 * (left + right);
    for (int step = 0; step < 200; step++) {
        size_t n_free = 0;
        const double over = excess(n, v, lower, upper, nu, &n_free);
        if (fabs(over) <= 1e-16)
            break;
        if (over > 0.0)
            left = nu;
        else
            right = nu;
        double next = n_free > 0 ? nu + over / (double)n_free : 0.5 * (left + right);
        if (!(next > left && next < right))
            next = 0.5 * (left + right);
        if (next == nu)
            break;
        nu = next;
    }
    return nu;
}

/* Rounding leaves the sum a few 1e-16 off (more where v is huge): the shares with room take it. */
static void close_sum(size_t n, double *h, const double *lower, const double *upper)
{
    for (int round = 0; round < 4; round++) {
        double rest = 1.0;
        for (size_t i = 0; i < n; i++)
            rest -= h[i];
        if (fabs(rest) <= 2.0 * DBL_EPSILON)
            return;
        for (size_t i = 0; i < n && rest != 0.0; i++) {
            const double lo = lower_of(lower, i), hi = upper_of(upper, i);
            if (round < 2 && (h[i] <= lo || h[i] >= hi))
                continue; /* a share on its bound stays there where it can */
            const double moved = clip(h[i] + rest, lo, hi);
            rest -= moved - h[i];
            h[i] = moved;
        }
    }
}

void mix_simplex_project(size_t n, double *v, const double *lower, const double *upper)
{
    const double nu = multiplier(n, v, lower, upper);
    for (size_t i = 0; i < n; i++)
        v[i] = clip(v[i] - nu, lower_of(lower, i), upper_of(upper, i));
    close_sum(n, v, lower, upper);
}
