/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lmo.c - the arithmetic that the online methods share. Equations: Chen et al., arXiv 2411.05735,
 * Algorithm 1 and 2; the normalisation is that of the released code. */
#include <float.h>
#include <math.h>

#include "online/online_impl.h"

void online_uniform(size_t m, double *p)
{
    for (size_t j = 0; j < m; j++)
        p[j] = 1.0 / (double)m;
}

void mix_softmax(size_t m, const double *score, double *p)
{
    double most = -INFINITY, sum = 0.0;
    for (size_t j = 0; j < m; j++)
        most = fmax(most, score[j]);
    for (size_t j = 0; j < m; j++)
        sum += p[j] = exp(score[j] - most);
    for (size_t j = 0; j < m; j++)
        p[j] /= sum;
}

void mix_egd(size_t m, double *p, const double *g, double eta)
{
    for (size_t j = 0; j < m; j++)
        p[j] = log(p[j]) + eta * g[j];
    mix_softmax(m, p, p);
}

void mix_column_sums(size_t m, const double *a, double *g)
{
    for (size_t j = 0; j < m; j++)
        g[j] = 0.0;
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < m; j++)
            g[j] += a[i * m + j];
}

bool mix_normalise_matrix(size_t m, double *a)
{
    double least = 0.0, most = 0.0, sum = 0.0;
    for (size_t e = 0; e < m * m; e++) {
        least = fmin(least, a[e]);
        most = fmax(most, fabs(a[e]));
    }
    for (size_t e = 0; e < m * m; e++)
        sum += a[e] - least;
    /* A sum of rounding errors alone, as of equal negative entries, has no direction either. */
    if (!isfinite(sum) || !(sum > (double)(m * m) * DBL_EPSILON * most))
        return false;
    for (size_t e = 0; e < m * m; e++)
        a[e] = (a[e] - least) / sum;
    return true;
}

void online_perturbed(size_t m, double smoothing, size_t j, double *p)
{
    const double other = smoothing / (double)m;
    for (size_t l = 0; l < m; l++)
        p[l] = l == j ? 1.0 - smoothing + other : other;
}

void online_add_drops(size_t m, size_t j, const double *before, const double *after, double *drops)
{
    for (size_t i = 0; i < m; i++)
        drops[i * m + j] += before[i] - after[i];
}

/* B = A W with W = (1 - e) I + (e / m) 1 1', symmetric and with rows that sum to 1: rows of A and B
 * have equal sums, so A_ij = (B_ij - (e / m) sum_l B_il) / (1 - e). */
void mix_solve_perturbed(size_t m, double smoothing, const double *b, double *a)
{
    for (size_t i = 0; i < m; i++) {
        double sum = 0.0;
        for (size_t l = 0; l < m; l++)
            sum += b[i * m + l];
        for (size_t j = 0; j < m; j++)
            a[i * m + j] = (b[i * m + j] - smoothing / (double)m * sum) / (1.0 - smoothing);
    }
}
