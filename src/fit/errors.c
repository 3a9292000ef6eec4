/* SPDX-License-Identifier: GPL-3.0-or-later */
/* errors.c - standard errors by the delta method, and what the design does not identify.
 *
 * With J the Jacobian of all free parameters (theta, lambda) and s^2 = RSS / (n - rank J), the
 * covariance is s^2 (J'J)^-1 on the directions that the data see, carried to natural parameters by
 * their derivative. A direction counts as unseen where its eigenvalue of the matrix scaled to a
 * unit diagonal is below 1e-11 of the largest; a natural parameter that moves along one is not
 * identified.
 */
#include <gsl/gsl_eigen.h>
#include <gsl/gsl_matrix.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fit_parts.h"

static const double UNSEEN = 1e-11;

/* Parameters off their bounds; returns how many. */
static size_t free_columns(const struct mix_model *model, const double *theta, const double *lambda,
                           size_t *column)
{
    const size_t n_lambda = model->spec.n_targets * model->n_linear;
    size_t n = 0;
    for (size_t i = 0; i < model->n_theta; i++) {
        const double slack = 1e-9 * (model->upper[i] - model->lower[i]);
        if (theta[i] > model->lower[i] + slack && theta[i] < model->upper[i] - slack)
            column[n++] = i;
    }
    for (size_t i = 0; i < n_lambda; i++)
        if (lambda[i] > 0.0)
            column[n++] = model->n_theta + i;
    return n;
}

struct spectrum {
    size_t n;
    gsl_matrix *scaled, *vectors;
    gsl_vector *values;
    double *norm; /* (n) roots of the diagonal */
};

static void destroy_spectrum(struct spectrum *s)
{
    gsl_matrix_free(s->scaled);
    gsl_matrix_free(s->vectors);
    gsl_vector_free(s->values);
    free(s->norm);
}

/* Eigenvectors of the matrix (N,N) restricted to `column` (n) and scaled to a unit diagonal. */
static enum mix_status decompose(const double *matrix, size_t n_all, const size_t *column, size_t n,
                                 struct spectrum *s, struct mix_error *err)
{
    gsl_eigen_symmv_workspace *work = gsl_eigen_symmv_alloc(n);
    *s = (struct spectrum){n, gsl_matrix_alloc(n, n), gsl_matrix_alloc(n, n), gsl_vector_alloc(n),
                           calloc(n, sizeof(double))};
    if (work == NULL || s->scaled == NULL || s->vectors == NULL || s->values == NULL ||
        s->norm == NULL) {
        gsl_eigen_symmv_free(work);
        return mix_fail(err, MIX_ENOMEM, "out of memory for the errors of %zu parameters", n);
    }
    for (size_t i = 0; i < n; i++) {
        const double d = matrix[column[i] * n_all + column[i]];
        s->norm[i] = d > 0.0 ? sqrt(d) : 1.0;
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            gsl_matrix_set(s->scaled, i, j,
                           matrix[column[i] * n_all + column[j]] / (s->norm[i] * s->norm[j]));
    const int failed = gsl_eigen_symmv(s->scaled, s->values, s->vectors, work);
    gsl_eigen_symmv_free(work);
    if (failed)
        return mix_fail(err, MIX_ENUMERIC, "the Gauss-Newton matrix has no eigenvalues");
    return MIX_OK;
}

/* moved (P,n): derivative of the natural parameters along the scaled eigenvectors. */
static void natural_directions(const struct mix_model *model, const double *natural,
                               const size_t *column, const struct spectrum *s, double *moved)
{
    const size_t n_columns = model->n_theta + model->spec.n_targets * model->n_linear;
    for (size_t p = 0; p < model->n_params; p++)
        for (size_t k = 0; k < s->n; k++) {
            double sum = 0.0;
            for (size_t i = 0; i < s->n; i++)
                sum += natural[p * n_columns + column[i]] * gsl_matrix_get(s->vectors, i, k) /
                       s->norm[i];
            moved[p * s->n + k] = sum;
        }
}

static void fill_errors(const struct spectrum *s, const double *moved, double squares,
                        double n_entries, struct mix_fit *fit)
{
    const double top = gsl_vector_max(s->values);
    double freedom = n_entries; /* less the directions that the data see: a gauge costs nothing */
    for (size_t k = 0; k < s->n; k++)
        freedom -= gsl_vector_get(s->values, k) > UNSEEN * top;
    const double variance = freedom > 0.0 ? squares / freedom : NAN;
    for (size_t p = 0; p < fit->n_params; p++) {
        double all = 0.0, unseen = 0.0;
        for (size_t k = 0; k < s->n; k++) {
            const double square = moved[p * s->n + k] * moved[p * s->n + k];
            all += square;
            if (gsl_vector_get(s->values, k) <= UNSEEN * top)
                unseen += square;
        }
        fit->param_state[p] = all == 0.0 ? 1 : unseen > 1e-6 * all ? 2 : 0;
    }
    for (size_t p = 0; p < fit->n_params; p++)
        for (size_t o = 0; o < fit->n_params; o++) {
            double sum = 0.0;
            for (size_t k = 0; k < s->n; k++)
                if (gsl_vector_get(s->values, k) > UNSEEN * top)
                    sum += moved[p * s->n + k] * moved[o * s->n + k] / gsl_vector_get(s->values, k);
            const bool known = fit->param_state[p] == 0 && fit->param_state[o] == 0;
            fit->covariance[p * fit->n_params + o] = known ? variance * sum : NAN;
        }
    for (size_t p = 0; p < fit->n_params; p++)
        fit->std_error[p] = sqrt(fit->covariance[p * fit->n_params + p]);
}

enum mix_status fit_errors(struct lsq *lsq, const double *theta, const double *lambda,
                           struct mix_fit *fit, struct mix_error *err)
{
    const struct mix_model *model = lsq_model(lsq);
    const size_t n_all = model->n_theta + model->spec.n_targets * model->n_linear;
    double *matrix = calloc(n_all * n_all, sizeof *matrix);
    double *natural = calloc(model->n_params * n_all, sizeof *natural);
    double *moved = calloc(model->n_params * n_all, sizeof *moved);
    size_t *column = calloc(n_all, sizeof *column), n_entries = 0;
    struct spectrum spectrum = {0};
    enum mix_status status = MIX_OK;
    if (matrix == NULL || natural == NULL || moved == NULL || column == NULL) {
        status = mix_fail(err, MIX_ENOMEM, "out of memory for the errors of %zu parameters", n_all);
        goto out;
    }
    lsq_normal_matrix(lsq, theta, matrix, &n_entries);
    const size_t n = free_columns(model, theta, lambda, column);
    for (size_t p = 0; p < fit->n_params; p++) { /* until shown otherwise: on a bound */
        fit->param_state[p] = 1;
        fit->std_error[p] = NAN;
    }
    if (n == 0)
        goto out;
    status = decompose(matrix, n_all, column, n, &spectrum, err);
    if (status != MIX_OK)
        goto out;
    model->law->natural_jacobian(model, theta, natural);
    natural_directions(model, natural, column, &spectrum, moved);
    fill_errors(&spectrum, moved, lsq_squares(lsq, theta), (double)n_entries, fit);
out:
    destroy_spectrum(&spectrum);
    free(matrix);
    free(natural);
    free(moved);
    free(column);
    return status;
}
