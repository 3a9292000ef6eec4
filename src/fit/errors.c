/* SPDX-License-Identifier: GPL-3.0-or-later */
/* errors.c - standard errors by the delta method, and what the design does not identify.
 *
 * With J the Jacobian of all free parameters (theta, lambda) and s^2 = RSS / (n - rank J), the
 * covariance is s^2 d (J'J)^-1 on the directions that the data see, carried to natural parameters
 * by their derivative. J'J is scaled to a unit diagonal and factorised, the largest of what is left
 * of a target's own parameters first, then those that targets share: so targets meet in the latter
 * alone. Where less than 1e-11 is left of a parameter the data do not see the direction in which it
 * moves with those before it; a natural parameter that moves along one is not identified.
 *
 * Rows of one mixture (its sizes, seeds, checkpoints) share errors. d is the design effect (Kish,
 * Survey Sampling, 1965): the squares of the sums of the residuals of a mixture and target, over
 * what they would be on average if all errors were independent, which is s^2 (n - sum |F'g|^2) with
 * (J'J)^-1 = F F' and g the sum of the rows of J in question. It is 1 at least, and where no
 * mixture has two rows. One d for all: errors of parameters that only rows of one mixture tell
 * apart come out too large. A sandwich would know, but has no more directions than there are
 * mixtures, which are few for so many parameters.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fit_parts.h"

static const double UNSEEN = 1e-11;

/* Parameters off their bounds, those of a target next to each other and behind them those that
 * targets share, and the factor of their matrix. */
struct factor {
    size_t n, shared; /* how many, and the first that targets share */
    size_t *column;   /* (n) in (theta, lambda) */
    size_t *begin;    /* (n) where those of its target begin */
    size_t *end;      /* (n) and end */
    double *norm;     /* (n) roots of the diagonal */
    double *u;        /* (n,n) scaled J'J; row p becomes that of U where p is a pivot */
    size_t n_pivots;  /* rank */
    size_t *pivot;    /* (n) in order, behind them what is not seen */
    bool *left;       /* (n) not a pivot yet */
    struct mix_poll *poll;
};

static void destroy_factor(struct factor *f)
{
    free(f->column);
    free(f->begin);
    free(f->end);
    free(f->norm);
    free(f->u);
    free(f->pivot);
    free(f->left);
}

/* Add the parameters off their bounds that target `of` has alone, or (M) those that are shared. */
static void add_columns(const struct mix_model *model, const double *theta, const double *lambda,
                        const size_t *owner, size_t of, struct factor *f)
{
    const size_t n_lambda = model->spec.n_targets * model->n_linear, first = f->n;
    for (size_t i = 0; i < model->n_theta; i++) {
        const double slack = 1e-9 * (model->upper[i] - model->lower[i]);
        if (owner[i] == of && theta[i] > model->lower[i] + slack &&
            theta[i] < model->upper[i] - slack)
            f->column[f->n++] = i;
    }
    for (size_t i = 0; i < n_lambda; i++)
        if (i / model->n_linear == of && lambda[i] > 0.0)
            f->column[f->n++] = model->n_theta + i;
    for (size_t i = first; i < f->n; i++) {
        f->begin[i] = first;
        f->end[i] = f->n;
        f->left[i] = true;
    }
}

/* Free parameters by target; owner (Q) is scratch. */
static void order_columns(const struct mix_model *model, const double *theta, const double *lambda,
                          size_t *owner, struct factor *f)
{
    const size_t n_targets = model->spec.n_targets;
    for (size_t i = 0; i < model->n_theta; i++)
        owner[i] = i < model->n_v ? n_targets : SIZE_MAX;
    for (size_t i = 0; i < n_targets * model->n_own; i++) {
        size_t *of = &owner[model->own_column[i]];
        *of = *of == SIZE_MAX || *of == i / model->n_own ? i / model->n_own : n_targets;
    }
    for (size_t m = 0; m < n_targets; m++)
        add_columns(model, theta, lambda, owner, m, f);
    f->shared = f->n;
    add_columns(model, theta, lambda, owner, n_targets, f);
}

static enum mix_status make_factor(const struct mix_model *model, const double *theta,
                                   const double *lambda, struct mix_poll *poll, struct factor *f,
                                   struct mix_error *err)
{
    const size_t n_all = model->n_theta + model->spec.n_targets * model->n_linear;
    size_t *owner = calloc(n_all, sizeof *owner);
    *f = (struct factor){.column = calloc(n_all, sizeof *f->column),
                         .begin = calloc(n_all, sizeof *f->begin),
                         .end = calloc(n_all, sizeof *f->end),
                         .norm = calloc(n_all, sizeof *f->norm),
                         .pivot = calloc(n_all, sizeof *f->pivot),
                         .left = calloc(n_all, sizeof *f->left),
                         .poll = poll};
    if (owner != NULL && f->column != NULL && f->begin != NULL && f->end != NULL &&
        f->norm != NULL && f->pivot != NULL && f->left != NULL) {
        order_columns(model, theta, lambda, owner, f);
        f->u = calloc(f->n * f->n + 1, sizeof *f->u);
    }
    free(owner);
    return f->u == NULL
               ? mix_fail(err, MIX_ENOMEM, "out of memory for the errors of %zu parameters", n_all)
               : MIX_OK;
}

static void take_matrix(const double *matrix, size_t n_all, struct factor *f)
{
    for (size_t i = 0; i < f->n; i++) {
        const double d = matrix[f->column[i] * n_all + f->column[i]];
        f->norm[i] = d > 0.0 ? sqrt(d) : 1.0;
    }
    for (size_t i = 0; i < f->n; i++)
        for (size_t j = 0; j < f->n; j++)
            f->u[i * f->n + j] =
                matrix[f->column[i] * n_all + f->column[j]] / (f->norm[i] * f->norm[j]);
}

/* The place behind j of those where row p of U may be other than 0: its target's, the shared ones.
 */
static size_t next_place(const struct factor *f, size_t p, size_t j)
{
    return j + 1 == f->end[p] && p < f->shared ? f->shared : j + 1;
}

/* Row p becomes that of U, and all others lose what it explains of them. */
static void eliminate(struct factor *f, size_t p)
{
    const size_t n = f->n, n_shared = p < f->shared ? n - f->shared : 0;
    double *row = f->u + p * n;
    const double root = sqrt(row[p]);
    f->left[p] = false;
    f->pivot[f->n_pivots++] = p;
    for (size_t j = 0; j < n; j++)
        row[j] = f->left[j] && (j >= f->shared || p < f->shared) ? row[j] / root : 0.0;
    for (size_t i = 0; i < n; i++) {
        double *other = f->u + i * n;
        for (size_t j = f->begin[p]; row[i] != 0.0 && j < f->end[p]; j++)
            other[j] -= row[i] * row[j];
        for (size_t j = n - n_shared; row[i] != 0.0 && j < n; j++)
            other[j] -= row[i] * row[j];
    }
    row[p] = root;
}

static enum mix_status factorise(struct factor *f, struct mix_error *err)
{
    for (size_t begin = 0; begin < f->n; begin = f->end[begin])
        for (size_t k = begin; k < f->end[begin]; k++) {
            size_t best = SIZE_MAX;
            if (mix_poll(f->poll))
                return mix_fail(err, MIX_EINTERRUPTED, "interrupted");
            for (size_t i = begin; i < f->end[begin]; i++)
                if (f->left[i] &&
                    (best == SIZE_MAX || f->u[i * f->n + i] > f->u[best * f->n + best]))
                    best = i;
            if (!(f->u[best * f->n + best] > UNSEEN))
                break;
            eliminate(f, best);
        }
    for (size_t i = 0, n = f->n_pivots; i < f->n; i++)
        if (f->left[i])
            f->pivot[n++] = i;
    return MIX_OK;
}

/* x (n,width), scaled already: rows of pivots become those of F'x, the others what a unit of an
 * unseen direction moves. */
static enum mix_status solve(const struct factor *f, size_t width, double *x, struct mix_error *err)
{
    for (size_t k = 0; k < f->n_pivots; k++) {
        const size_t p = f->pivot[k];
        const double *row = f->u + p * f->n;
        double *of = x + p * width;
        if (mix_poll(f->poll))
            return mix_fail(err, MIX_EINTERRUPTED, "interrupted");
        for (size_t c = 0; c < width; c++)
            of[c] /= row[p];
        for (size_t j = f->begin[p]; j < f->n; j = next_place(f, p, j))
            for (size_t c = 0; j != p && row[j] != 0.0 && c < width; c++)
                x[j * width + c] -= row[j] * of[c];
    }
    return MIX_OK;
}

/* Squared length of the unseen direction in which parameter z moves by 1; x (n) is scratch. */
static double unseen_length(const struct factor *f, size_t z, double *x)
{
    double sum = 1.0;
    memset(x, 0, f->n * sizeof *x);
    x[z] = 1.0;
    for (size_t k = f->n_pivots; k-- > 0;) {
        const size_t p = f->pivot[k];
        double dot = 0.0;
        for (size_t j = f->begin[p]; j < f->n; j = next_place(f, p, j))
            dot += f->u[p * f->n + j] * x[j];
        x[p] = -dot / f->u[p * f->n + p];
        sum += x[p] * x[p];
    }
    return sum;
}

/* moved (n,P): the derivative of the natural parameters by (theta, lambda), scaled, then solve()d;
 * param_state (P) by what is not seen of it. */
static enum mix_status move_params(const struct mix_model *model, const double *theta,
                                   const struct factor *f, double *moved, uint8_t *state,
                                   struct mix_error *err)
{
    const size_t n_all = model->n_theta + model->spec.n_targets * model->n_linear;
    const size_t n_params = model->n_params;
    double *natural = calloc(n_params * n_all, sizeof *natural);
    double *all =
        calloc(n_params + f->n, sizeof *all); /* squares of what moves each, then scratch */
    enum mix_status status = MIX_OK;
    if (natural == NULL || all == NULL) {
        status = mix_fail(err, MIX_ENOMEM, "out of memory for the errors of %zu parameters", n_all);
        goto out;
    }
    model->law->natural_jacobian(model, theta, natural);
    for (size_t i = 0; i < f->n; i++)
        for (size_t p = 0; p < n_params; p++) {
            const double by = natural[p * n_all + f->column[i]] / f->norm[i];
            moved[i * n_params + p] = by;
            all[p] += by * by;
        }
    status = solve(f, n_params, moved, err);
    for (size_t p = 0; p < n_params; p++)
        state[p] = all[p] == 0.0;
    for (size_t k = f->n_pivots; status == MIX_OK && k < f->n; k++) {
        if (mix_poll(f->poll)) {
            status = mix_fail(err, MIX_EINTERRUPTED, "interrupted");
            break;
        }
        double *unseen = moved + f->pivot[k] * n_params;
        const double length = unseen_length(f, f->pivot[k], all + n_params);
        for (size_t p = 0; p < n_params; p++)
            if (unseen[p] * unseen[p] > 1e-6 * all[p] * length)
                state[p] = 2;
        memset(unseen, 0, n_params * sizeof *unseen);
    }
out:
    free(natural);
    free(all);
    return status;
}

/* See the head of the file. */
static enum mix_status design_effect(struct lsq *lsq, const struct factor *f, double variance,
                                     double n_entries, double *effect, struct mix_error *err)
{
    const struct mix_data *data = lsq_data(lsq);
    const struct mix_model *model = lsq_model(lsq);
    const size_t n_m = data->n_targets, n_all = model->n_theta + n_m * model->n_linear;
    *effect = 1.0;
    if (data->n_clusters == data->n_rows)
        return MIX_OK;
    double *sums = calloc((1 + n_all + f->n) * n_m, sizeof *sums); /* (M), (Q+ML,M), (n,M) */
    if (sums == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for the errors of %zu parameters", n_all);
    double *jacobian = sums + n_m, *moved = jacobian + n_all * n_m;
    double squares = 0.0, freedom = n_entries;
    enum mix_status status = MIX_OK;
    for (size_t c = 0; c < data->n_clusters && status == MIX_OK; c++) {
        lsq_cluster_sums(lsq, c, sums, jacobian);
        for (size_t i = 0; i < f->n * n_m; i++)
            moved[i] = jacobian[f->column[i / n_m] * n_m + i % n_m] / f->norm[i / n_m];
        status = solve(f, n_m, moved, err);
        for (size_t m = 0; m < n_m; m++)
            squares += sums[m] * sums[m];
        for (size_t i = 0; i < f->n_pivots; i++)
            for (size_t m = 0; m < n_m; m++)
                freedom -= pow(moved[f->pivot[i] * n_m + m], 2);
    }
    if (squares > variance * freedom && variance * freedom > 0.0)
        *effect = squares / (variance * freedom);
    free(sums);
    return status;
}

/* covariance (P,P) = variance moved' moved. */
static enum mix_status fill_covariance(const struct factor *f, const double *moved, double variance,
                                       struct mix_fit *fit, struct mix_error *err)
{
    const size_t n_params = fit->n_params;
    memset(fit->covariance, 0, n_params * n_params * sizeof *fit->covariance);
    for (size_t p = 0; p < n_params; p++) {
        double *row = fit->covariance + p * n_params;
        if (mix_poll(f->poll))
            return mix_fail(err, MIX_EINTERRUPTED, "interrupted");
        for (size_t i = 0; i < f->n; i++) {
            const double *of = moved + i * n_params, by = variance * of[p];
            for (size_t o = p; of[p] != 0.0 && o < n_params; o++)
                row[o] += by * of[o];
        }
    }
    for (size_t p = 0; p < n_params; p++)
        for (size_t o = 0; o < n_params; o++)
            if (fit->param_state[p] != 0 || fit->param_state[o] != 0)
                fit->covariance[p * n_params + o] = NAN;
            else if (o < p)
                fit->covariance[p * n_params + o] = fit->covariance[o * n_params + p];
    for (size_t p = 0; p < n_params; p++)
        fit->std_error[p] = sqrt(fit->covariance[p * n_params + p]);
    return MIX_OK;
}

/* Errors by the factor of the matrix. */
static enum mix_status fill_errors(struct lsq *lsq, const double *theta, const struct factor *f,
                                   double n_entries, struct mix_fit *fit, struct mix_error *err)
{
    const struct mix_model *model = lsq_model(lsq);
    const double freedom = n_entries - (double)f->n_pivots; /* a gauge costs nothing */
    double *moved = calloc(f->n * model->n_params, sizeof *moved), effect = 1.0;
    enum mix_status status = MIX_OK;
    if (moved == NULL)
        status = mix_fail(err, MIX_ENOMEM, "out of memory for the errors of %zu parameters", f->n);
    const double variance = freedom > 0.0 ? lsq_squares(lsq, theta) / freedom : NAN;
    if (status == MIX_OK)
        status = design_effect(lsq, f, variance, n_entries, &effect, err);
    if (status == MIX_OK)
        status = move_params(model, theta, f, moved, fit->param_state, err);
    if (status == MIX_OK)
        status = fill_covariance(f, moved, variance * effect, fit, err);
    free(moved);
    return status;
}

enum mix_status fit_errors(struct lsq *lsq, const double *theta, const double *lambda,
                           struct mix_poll *poll, struct mix_fit *fit, struct mix_error *err)
{
    const struct mix_model *model = lsq_model(lsq);
    const size_t n_all = model->n_theta + model->spec.n_targets * model->n_linear;
    double *matrix = calloc(n_all * n_all, sizeof *matrix);
    size_t n_entries = 0;
    struct factor f = {0};
    enum mix_status status = MIX_OK;
    if (matrix == NULL)
        status = mix_fail(err, MIX_ENOMEM, "out of memory for the errors of %zu parameters", n_all);
    if (status == MIX_OK)
        status = make_factor(model, theta, lambda, poll, &f, err);
    for (size_t p = 0; p < fit->n_params; p++) { /* until shown otherwise: on a bound */
        fit->param_state[p] = 1;
        fit->std_error[p] = NAN;
    }
    if (status == MIX_OK && f.n > 0) {
        lsq_normal_matrix(lsq, theta, matrix, &n_entries);
        take_matrix(matrix, n_all, &f);
        status = factorise(&f, err);
    }
    free(matrix);
    if (status == MIX_OK && f.n > 0)
        status = fill_errors(lsq, theta, &f, (double)n_entries, fit, err);
    destroy_factor(&f);
    return status;
}
