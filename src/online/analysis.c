/* SPDX-License-Identifier: GPL-3.0-or-later */
/* analysis.c - mixing laws fitted to short and long runs, and A compared with A; see
 * mixsweep/online_analysis.h. */
#include "mixsweep/online_analysis.h"

#include <gsl/gsl_linalg.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/fit.h"

/* Least ratio of singular values of mixtures that tell all groups apart. */
static const double LEAST_SPREAD = 1e-9;

static double dot(size_t m, const double *a, const double *b)
{
    double sum = 0.0;
    for (size_t j = 0; j < m; j++)
        sum += a[j] * b[j];
    return sum;
}

static double identity(double x)
{
    return x;
}

/* observed_i = d_i + link(b sum_j A_ij q_j) */
static void judge(size_t n, size_t m, const double *mixture, const double *observed,
                  double (*link)(double), double b, const double *a, const double *d,
                  struct mix_law_quality *quality)
{
    for (size_t i = 0; i < m; i++) {
        const double mean = gsl_stats_mean(observed + i, m, n);
        double sse = 0.0, sst = 0.0;
        for (size_t r = 0; r < n; r++) {
            const double predicted = d[i] + link(b * dot(m, a + i * m, mixture + r * m));
            sse += pow(observed[r * m + i] - predicted, 2.0);
            sst += pow(observed[r * m + i] - mean, 2.0);
        }
        quality[i] = (struct mix_law_quality){.mse = sse / (double)n,
                                              .r2 = sst > 0.0 ? 1.0 - sse / sst : NAN};
    }
}

/* ---- the linear law */

/* mixture (n,m) = u s v' with room for all of them. */
struct decomposition {
    double *room;
    gsl_matrix_view u, v;
    gsl_vector_view s, work;
};

static enum mix_status decompose(size_t n, size_t m, const double *mixture,
                                 struct decomposition *svd, struct mix_error *err)
{
    bool apart = true;
    svd->room = malloc((n * m + m * m + 2 * m) * sizeof *svd->room);
    if (svd->room == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a fit to %zu mixtures.", n);
    memcpy(svd->room, mixture, n * m * sizeof *mixture);
    svd->u = gsl_matrix_view_array(svd->room, n, m);
    svd->v = gsl_matrix_view_array(svd->room + n * m, m, m);
    svd->s = gsl_vector_view_array(svd->room + n * m + m * m, m);
    svd->work = gsl_vector_view_array(svd->room + n * m + m * m + m, m);
    for (size_t i = 0; i < n * m; i++)
        apart = apart && isfinite(mixture[i]);
    if (apart) {
        gsl_linalg_SV_decomp(&svd->u.matrix, &svd->v.matrix, &svd->s.vector, &svd->work.vector);
        apart = gsl_vector_get(&svd->s.vector, m - 1) >
                LEAST_SPREAD * gsl_vector_get(&svd->s.vector, 0);
    }
    if (!apart)
        return mix_fail(err, MIX_EINVAL,
                        "the %zu mixtures of a sweep do not tell its %zu groups apart.", n, m);
    return MIX_OK;
}

/* The row of A that fits the drops of group i. */
static void solve_row(struct decomposition *svd, size_t i, const double *drop, double *row)
{
    const size_t n = svd->u.matrix.size1, m = svd->u.matrix.size2;
    for (size_t k = 0; k < m; k++) {
        double along = 0.0;
        for (size_t r = 0; r < n; r++)
            along += gsl_matrix_get(&svd->u.matrix, r, k) * drop[r * m + i];
        gsl_vector_set(&svd->work.vector, k, along / gsl_vector_get(&svd->s.vector, k));
    }
    for (size_t j = 0; j < m; j++) {
        row[j] = 0.0;
        for (size_t k = 0; k < m; k++)
            row[j] += gsl_matrix_get(&svd->v.matrix, j, k) * gsl_vector_get(&svd->work.vector, k);
    }
}

enum mix_status mix_online_fit_linear(size_t n, size_t m, const double *mixture, const double *drop,
                                      bool intercept, double *a, double *d,
                                      struct mix_law_quality *quality, struct mix_error *err)
{
    struct decomposition svd = {.room = NULL};
    if (m == 0 || n < m)
        return mix_fail(err, MIX_EINVAL, "%zu mixtures do not make a linear law of %zu groups.", n,
                        m);
    const enum mix_status status = decompose(n, m, mixture, &svd, err);
    for (size_t i = 0; status == MIX_OK && i < m; i++) {
        double *row = a + i * m;
        solve_row(&svd, i, drop, row);
        d[i] = intercept ? gsl_stats_mean(row, 1, m) : 0.0;
        for (size_t j = 0; j < m; j++)
            row[j] -= d[i];
    }
    if (status == MIX_OK)
        judge(n, m, mixture, drop, identity, 1.0, a, d, quality);
    free(svd.room);
    return status;
}

/* ---- one factor */

/* Means over the mixtures of the drops of group i and of what A says of them. */
static void means_of(size_t n, size_t m, const double *mixture, const double *drop,
                     const double *row, size_t i, double *observed, double *said)
{
    *observed = *said = 0.0;
    for (size_t r = 0; r < n; r++) {
        *observed += drop[r * m + i] / (double)n;
        *said += dot(m, row, mixture + r * m) / (double)n;
    }
}

void mix_online_fit_scale(size_t n, size_t m, const double *mixture, const double *drop,
                          bool intercept, const double *a, double *b, double *d,
                          struct mix_law_quality *quality)
{
    double together = 0.0, squares = 0.0, size = 0.0;
    for (size_t i = 0; i < m; i++) {
        const double *row = a + i * m;
        double observed = 0.0, said = 0.0;
        if (intercept)
            means_of(n, m, mixture, drop, row, i, &observed, &said);
        for (size_t r = 0; r < n; r++) {
            const double x = dot(m, row, mixture + r * m);
            together += (x - said) * (drop[r * m + i] - observed);
            squares += (x - said) * (x - said);
            size += x * x;
        }
    }
    *b = squares > 1e-24 * size ? together / squares : NAN;
    for (size_t i = 0; i < m; i++) {
        double observed = 0.0, said = 0.0;
        if (intercept)
            means_of(n, m, mixture, drop, a + i * m, i, &observed, &said);
        d[i] = observed - *b * said;
    }
    judge(n, m, mixture, drop, identity, *b, a, d, quality);
}

/* ---- the log-linear law */

static struct mix_table *table_of(size_t n, size_t m, const double *mixture, const double *loss)
{
    struct mix_table *table = mix_table_create(m, m);
    for (size_t j = 0; table != NULL && j < m; j++) {
        (void)snprintf(table->domains[j].name, MIX_NAME_MAX, "%zu", j + 1);
        (void)snprintf(table->targets[j].name, MIX_NAME_MAX, "%zu", j + 1);
        table->targets[j].domain = (int32_t)j;
    }
    for (size_t r = 0; table != NULL && r < n; r++) {
        if (mix_table_append(table) == SIZE_MAX) {
            mix_table_destroy(table);
            return NULL;
        }
        (void)snprintf(table->runs[r].run, MIX_NAME_MAX, "%zu", r + 1);
        table->runs[r].n_params = 1e6; /* one scale, whichever */
        table->runs[r].n_tokens = 1e9;
        memcpy(table->mixture + r * m, mixture + r * m, m * sizeof *mixture);
        memcpy(table->loss + r * m, loss + r * m, m * sizeof *loss);
    }
    return table;
}

enum mix_status mix_online_fit_loglinear(size_t n, size_t m, const double *mixture,
                                         const double *loss, uint64_t seed, double *c, double *t,
                                         struct mix_law_quality *quality, struct mix_error *err)
{
    struct mix_fit_options options = mix_fit_options_default();
    struct mix_fit *fit = NULL;
    struct mix_table *table = table_of(n, m, mixture, loss);
    if (table == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a fit to %zu runs.", n);
    options.law = "loglinear";
    options.holdout = "none";
    options.seed = seed;
    enum mix_status status = mix_table_finish(table, err);
    if (status == MIX_OK)
        status = mix_fit_run(NULL, table, &options, NULL, NULL, &fit, err);
    mix_table_destroy(table);
    if (status != MIX_OK)
        return status;
    for (size_t i = 0; i < m; i++) { /* of a target: c, t (m) */
        const double *params = fit->params + i * (m + 1);
        c[i] = params[0];
        memcpy(t + i * m, params + 1, m * sizeof *t);
    }
    judge(n, m, mixture, loss, exp, 1.0, t, c, quality);
    mix_fit_destroy(fit);
    return MIX_OK;
}

/* ---- comparing */

void mix_online_diagonalise(double a[4])
{
    a[0] -= a[1];
    a[3] -= a[2];
    a[1] = a[2] = 0.0;
}

/* Column sums, as far as they are identified. */
static void effects_of(size_t m, const double *a, double *g)
{
    if (m == 2) {
        double only[4] = {a[0], a[1], a[2], a[3]};
        mix_online_diagonalise(only);
        mix_column_sums(m, only, g);
    } else {
        mix_column_sums(m, a, g);
    }
}

double mix_online_similarity(size_t m, const double *a, const double *b)
{
    double *g = malloc(4 * m * sizeof *g);
    if (g == NULL)
        return NAN;
    effects_of(m, a, g);
    effects_of(m, b, g + m);
    const double size = sqrt(dot(m, g, g) * dot(m, g + m, g + m));
    const double cosine = size > 0.0 ? dot(m, g, g + m) / size : NAN;
    const double rank = m > 1 ? gsl_stats_spearman(g, 1, g + m, 1, m, g + 2 * m) : NAN;
    free(g);
    return 0.5 * cosine + 0.5 * rank;
}

bool mix_online_matrix_at(const struct mix_trajectory *trajectory, uint64_t step, size_t n_last,
                          double *a)
{
    const size_t size = trajectory->n_groups * trajectory->n_groups;
    size_t end = 0;
    while (end < trajectory->n_rounds && trajectory->round_step[end] <= step)
        end++;
    const size_t first = end > n_last ? end - n_last : 0;
    memset(a, 0, size * sizeof *a);
    for (size_t r = first; r < end; r++)
        for (size_t k = 0; k < size; k++)
            a[k] += trajectory->matrix[r * size + k] / (double)(end - first);
    return end > first;
}
