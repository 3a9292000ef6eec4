/* SPDX-License-Identifier: GPL-3.0-or-later */
/* link.c - see link.h.
 *
 * The problem is small and bounded: Levenberg and Marquardt's steps on the parameters that are not
 * held by a bound, cut off at the bounds. It is solved in z = u' - sum_j v_j X_j, X the losses less
 * their means, or their weighted mean alone where one slope is all that the runs can bear. What
 * they can bear is the choice with the least AICc (C. M. Hurvich, C.-L. Tsai, Biometrika 76 (1989)
 * 297).
 */
#include "link.h"

#include <gsl/gsl_errno.h>
#include <gsl/gsl_linalg.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "law/score.h"
#include "validate.h"

enum { STEPS = 400, RUNS_LEAST = 10 }; /* lo, hi, u, s; two runs for each and the variance */
static const double FAR = 10.0;        /* ranges of the score that lo and hi may be outside it */
static const double EXACT = 1e-24;     /* share of the variance that is rounding alone */
static const double ENOUGH = 1e-15;    /* gain of a step, of the sum of squares */
static const double DAMPING = 1e-3, DAMPING_MAX = 1e12, DAMPING_MIN = 1e-12;
static const double STEEPEST = 1e3; /* slopes, per standard deviation of what they go with */

struct links {
    const struct mix_table *table;
    const struct mix_data *data;
    size_t n_losses, n_scores;
    double *share;   /* (I) weights of the mean, sum 1 */
    double *mean_of; /* (I) parts of the weighted mean */
    double *size;    /* (I + S) of the rows of a fold */
    /* the rows in use of one score */
    size_t n, n_slopes;
    double *x, *y, *w;                         /* (n,J), (n), (n) */
    double *centre;                            /* (J) */
    double *at, *trial, *best, *lower, *upper; /* (3 + J) */
    double *jacobian;                          /* (n, 3 + J) */
    double *residual;                          /* (n) */
    double *gradient, *step;                   /* (3 + J) */
    gsl_matrix *matrix, *factor;               /* (3 + J, 3 + J) */
    double damping;
};

static bool failed(const struct links *l)
{
    return l->share == NULL || l->size == NULL || l->mean_of == NULL || l->x == NULL ||
           l->y == NULL || l->w == NULL || l->centre == NULL || l->at == NULL || l->trial == NULL ||
           l->best == NULL || l->lower == NULL || l->upper == NULL || l->jacobian == NULL ||
           l->residual == NULL || l->gradient == NULL || l->step == NULL || l->matrix == NULL ||
           l->factor == NULL;
}

static void set_mean(struct links *l, const double *size)
{
    for (size_t i = 0; i < l->n_losses; i++)
        l->mean_of[i] = l->share[i] / size[i];
}

enum mix_status links_create(const struct mix_table *table, const struct mix_data *data,
                             const double *weight, struct links **out, struct mix_error *err)
{
    struct links *l = calloc(1, sizeof *l);
    if (l == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for links");
    const size_t n_losses = data->n_targets - data->n_scores, n_v = score_params(n_losses);
    const size_t n = data->n_rows;
    *l = (struct links){.table = table,
                        .data = data,
                        .n_losses = n_losses,
                        .n_scores = data->n_scores,
                        .share = calloc(n_losses + 1, sizeof(double)),
                        .size = calloc(data->n_targets + 1, sizeof(double)),
                        .mean_of = calloc(n_losses + 1, sizeof(double)),
                        .x = calloc(n * n_losses + 1, sizeof(double)),
                        .y = calloc(n + 1, sizeof(double)),
                        .w = calloc(n + 1, sizeof(double)),
                        .centre = calloc(n_losses + 1, sizeof(double)),
                        .at = calloc(n_v, sizeof(double)),
                        .trial = calloc(n_v, sizeof(double)),
                        .best = calloc(n_v, sizeof(double)),
                        .lower = calloc(n_v, sizeof(double)),
                        .upper = calloc(n_v, sizeof(double)),
                        .jacobian = calloc(n * n_v + 1, sizeof(double)),
                        .residual = calloc(n + 1, sizeof(double)),
                        .gradient = calloc(n_v, sizeof(double)),
                        .step = calloc(n_v, sizeof(double)),
                        .matrix = gsl_matrix_calloc(n_v, n_v),
                        .factor = gsl_matrix_calloc(n_v, n_v)};
    if (failed(l)) {
        links_destroy(l);
        return mix_fail(err, MIX_ENOMEM, "out of memory for links over %zu runs", n);
    }
    double sum = 0.0;
    for (size_t i = 0; i < n_losses; i++)
        sum += weight[i];
    for (size_t i = 0; i < n_losses; i++)
        l->share[i] = sum > 0.0 ? weight[i] / sum : 1.0 / (double)n_losses;
    set_mean(l, data->size);
    *out = l;
    return MIX_OK;
}

void links_destroy(struct links *l)
{
    if (l == NULL)
        return;
    double *const arrays[] = {l->share,    l->size,     l->mean_of,  l->x,    l->y,     l->w,
                              l->centre,   l->at,       l->trial,    l->best, l->lower, l->upper,
                              l->jacobian, l->residual, l->gradient, l->step};
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
        free(arrays[i]);
    gsl_matrix_free(l->matrix);
    gsl_matrix_free(l->factor);
    free(l);
}

static double score_at(const struct links *l, size_t row, size_t s)
{
    return l->data->loss[row * l->data->n_targets + l->n_losses + s];
}

/* A row counts where the score and all losses are measured. */
static bool is_whole(const struct links *l, size_t row, size_t s)
{
    const double *loss = l->data->loss + row * l->data->n_targets;
    for (size_t i = 0; i < l->n_losses; i++)
        if (!isfinite(loss[i]))
            return false;
    return isfinite(score_at(l, row, s));
}

/* Take the rows that have score s and all losses; slopes for each loss, or one for their mean. */
static void take_rows(struct links *l, size_t s, bool one_slope, const uint8_t *rows,
                      const double *row_weight)
{
    const size_t n_j = one_slope ? 1 : l->n_losses;
    double weights = 0.0;
    l->n = 0;
    l->n_slopes = n_j;
    memset(l->centre, 0, n_j * sizeof *l->centre);
    for (size_t r = 0; r < l->data->n_rows; r++) {
        const double w = row_weight != NULL ? row_weight[r] : 1.0;
        const double *loss = l->data->loss + r * l->data->n_targets;
        if ((rows != NULL && !rows[r]) || !is_whole(l, r, s))
            continue;
        double *x = l->x + l->n * n_j;
        for (size_t i = 0; i < l->n_losses && one_slope; i++)
            x[0] = (i > 0 ? x[0] : 0.0) + l->mean_of[i] * loss[i];
        if (!one_slope)
            memcpy(x, loss, n_j * sizeof *x);
        for (size_t j = 0; j < n_j; j++)
            l->centre[j] += x[j];
        weights += 1.0;
        l->y[l->n] = score_at(l, r, s);
        l->w[l->n++] = w;
    }
    for (size_t j = 0; j < n_j; j++)
        l->centre[j] /= fmax(weights, 1.0);
    for (size_t r = 0; r < l->n; r++)
        for (size_t j = 0; j < n_j; j++)
            l->x[r * n_j + j] -= l->centre[j];
}

/* Bounds by all rows of the score, so that draws have those of the fit. */
static void set_bounds(struct links *l, size_t s, uint8_t form, double lo)
{
    double least = INFINITY, most = -INFINITY;
    for (size_t r = 0; r < l->n; r++) {
        least = fmin(least, l->y[r]);
        most = fmax(most, l->y[r]);
    }
    const double range = most - least, middle = 0.5 * (least + most);
    const bool is_share =
        strcmp(l->table->targets[l->data->target[l->n_losses + s]].unit, "accuracy") == 0;
    l->lower[SCORE_LO] = is_share ? fmax(0.0, least - FAR * range) : least - FAR * range;
    l->upper[SCORE_LO] = middle;
    l->lower[SCORE_HI] = middle;
    l->upper[SCORE_HI] = is_share ? fmin(1.0, most + FAR * range) : most + FAR * range;
    if ((form & LINK_LO_GIVEN) != 0)
        l->lower[SCORE_LO] = l->upper[SCORE_LO] = lo;
    l->lower[SCORE_U] = -INFINITY;
    l->upper[SCORE_U] = INFINITY;
    for (size_t j = 0; j < l->n_slopes; j++) {
        double squares = 0.0;
        for (size_t r = 0; r < l->n; r++)
            squares += pow(l->x[r * l->n_slopes + j], 2);
        l->lower[SCORE_S + j] = 0.0;
        l->upper[SCORE_S + j] = squares > 0.0 ? STEEPEST / sqrt(squares / (double)l->n) : 0.0;
    }
}

/* Sum of squares at v (3 + J), and the Jacobian of the residuals where it is asked for. */
static double squares_at(struct links *l, const double *v, bool derive)
{
    const size_t n_v = score_params(l->n_slopes);
    double sum = 0.0;
    for (size_t r = 0; r < l->n; r++) {
        const double *x = l->x + r * l->n_slopes, root = sqrt(l->w[r]);
        const double rise = score_rise(l->n_slopes, v, x), range = v[SCORE_HI] - v[SCORE_LO];
        const double e = v[SCORE_LO] + range * rise - l->y[r];
        sum += l->w[r] * e * e;
        if (!derive)
            continue;
        double *row = l->jacobian + r * n_v;
        const double steep = root * range * rise * (1.0 - rise);
        l->residual[r] = root * e;
        row[SCORE_LO] = root * (1.0 - rise);
        row[SCORE_HI] = root * rise;
        row[SCORE_U] = steep;
        for (size_t j = 0; j < l->n_slopes; j++)
            row[SCORE_S + j] = -steep * x[j];
    }
    return sum;
}

/* J'J into the matrix and J'r into the gradient. */
static void assemble(struct links *l)
{
    const size_t n_v = score_params(l->n_slopes);
    gsl_matrix_set_zero(l->matrix);
    memset(l->gradient, 0, n_v * sizeof *l->gradient);
    for (size_t r = 0; r < l->n; r++) {
        const double *row = l->jacobian + r * n_v;
        for (size_t a = 0; a < n_v; a++) {
            l->gradient[a] += row[a] * l->residual[r];
            for (size_t b = 0; b <= a; b++)
                *gsl_matrix_ptr(l->matrix, a, b) += row[a] * row[b];
        }
    }
}

static bool is_held(const struct links *l, const double *v, size_t a)
{
    return !(l->lower[a] < l->upper[a]) || (v[a] <= l->lower[a] && l->gradient[a] > 0.0) ||
           (v[a] >= l->upper[a] && l->gradient[a] < 0.0) || gsl_matrix_get(l->matrix, a, a) == 0.0;
}

/* The damped step from l->at into l->trial; false where the matrix is singular. */
static bool propose(struct links *l)
{
    const size_t n_v = score_params(l->n_slopes);
    gsl_matrix_view factor = gsl_matrix_submatrix(l->factor, 0, 0, n_v, n_v);
    gsl_vector_view step = gsl_vector_view_array(l->step, n_v);
    gsl_matrix_set_identity(&factor.matrix);
    for (size_t a = 0; a < n_v; a++) {
        const bool held = is_held(l, l->at, a);
        l->step[a] = held ? 0.0 : -l->gradient[a];
        for (size_t b = 0; b <= a && !held; b++)
            if (!is_held(l, l->at, b))
                gsl_matrix_set(&factor.matrix, a, b,
                               gsl_matrix_get(l->matrix, a, b) * (a == b ? 1.0 + l->damping : 1.0));
    }
    if (gsl_linalg_cholesky_decomp1(&factor.matrix) != GSL_SUCCESS ||
        gsl_linalg_cholesky_svx(&factor.matrix, &step.vector) != GSL_SUCCESS)
        return false;
    for (size_t a = 0; a < n_v; a++)
        l->trial[a] = fmin(fmax(l->at[a] + l->step[a], l->lower[a]), l->upper[a]);
    return true;
}

/* Minimise from l->at, in place; returns the sum of squares. */
static double minimise(struct links *l)
{
    const size_t n_v = score_params(l->n_slopes);
    for (size_t a = 0; a < n_v; a++)
        l->at[a] = fmin(fmax(l->at[a], l->lower[a]), l->upper[a]);
    double sum = squares_at(l, l->at, true);
    assemble(l);
    l->damping = DAMPING;
    for (int step = 0, n_small = 0; step < STEPS && n_small < 3 && sum > 0.0; step++) {
        const double there = propose(l) ? squares_at(l, l->trial, false) : INFINITY;
        if (!(there < sum)) {
            if ((l->damping *= 10.0) > DAMPING_MAX)
                break;
            continue;
        }
        n_small = sum - there <= ENOUGH * sum ? n_small + 1 : 0;
        memcpy(l->at, l->trial, n_v * sizeof *l->at);
        sum = squares_at(l, l->at, true);
        assemble(l);
        l->damping = fmax(0.1 * l->damping, DAMPING_MIN);
    }
    return sum;
}

/* lo and hi a part of the range outside the scores, and the line through their logits. */
static void set_start(struct links *l, double beyond)
{
    double least = INFINITY, most = -INFINITY, zx = 0.0, xx = 0.0, mean = 0.0;
    for (size_t r = 0; r < l->n; r++) {
        least = fmin(least, l->y[r]);
        most = fmax(most, l->y[r]);
    }
    const double range = most - least;
    l->at[SCORE_LO] = fmin(fmax(least - beyond * range, l->lower[SCORE_LO]), l->upper[SCORE_LO]);
    l->at[SCORE_HI] = fmin(fmax(most + beyond * range, l->lower[SCORE_HI]), l->upper[SCORE_HI]);
    for (size_t r = 0; r < l->n; r++) {
        const double share =
            (l->y[r] - l->at[SCORE_LO]) / (l->at[SCORE_HI] - l->at[SCORE_LO] + 1e-300);
        const double p = fmin(fmax(share, 0.02), 0.98), z = log(p / (1.0 - p));
        mean += z / (double)l->n;
        zx += z * l->x[r];
        xx += l->x[r] * l->x[r];
    }
    l->at[SCORE_U] = mean;
    l->at[SCORE_S] = xx > 0.0 ? fmax(0.0, -zx / xx) : 0.0;
}

/* Parameters as they are known outside, from v: u without the centres, a slope for each loss. */
static void to_params(const struct links *l, bool one_slope, const double *v, double *params)
{
    memcpy(params, v, SCORE_S * sizeof *params);
    for (size_t j = 0; j < l->n_slopes; j++)
        params[SCORE_U] += v[SCORE_S + j] * l->centre[j];
    for (size_t i = 0; i < l->n_losses; i++)
        params[SCORE_S + i] = one_slope ? v[SCORE_S] * l->mean_of[i] : v[SCORE_S + i];
}

static void from_params(const struct links *l, bool one_slope, const double *params, double *v)
{
    memcpy(v, params, SCORE_S * sizeof *v);
    size_t i = 0;
    while (one_slope && i + 1 < l->n_losses && !(l->mean_of[i] > 0.0))
        i++;
    for (size_t j = 0; j < l->n_slopes; j++) {
        v[SCORE_S + j] = one_slope ? params[SCORE_S + i] / l->mean_of[i] : params[SCORE_S + j];
        v[SCORE_U] -= v[SCORE_S + j] * l->centre[j];
    }
}

/* AICc of a sum of squares that k parameters and the variance leave; infinite where the runs cannot
 * bear so many. */
static double criterion(const struct links *l, double sum, size_t k, double variance)
{
    const double n = (double)l->n, all = (double)k + 1.0;
    if (n < 2.0 * all)
        return INFINITY;
    return n * log(fmax(sum / n, EXACT * variance)) + 2.0 * all * n / (n - all - 1.0);
}

static size_t free_params(const struct links *l, uint8_t form)
{
    size_t k = 2 + ((form & LINK_LO_GIVEN) == 0);
    for (size_t j = 0; j < l->n_slopes; j++)
        k += l->at[SCORE_S + j] > 0.0;
    return k;
}

/* Fit one form from several starts; the best point is left in l->at. */
static double fit_form(struct links *l, size_t s, uint8_t form, const uint8_t *rows, double lo)
{
    static const double beyond[] = {0.02, 0.3, 2.0};
    const size_t n_start = sizeof beyond / sizeof beyond[0];
    double least = INFINITY;
    for (size_t i = 0; i < n_start; i++) {
        double params[SCORE_S + MIX_DOMAINS_MAX];
        take_rows(l, s, true, rows, NULL);
        set_bounds(l, s, form, lo);
        set_start(l, beyond[i]);
        double sum = minimise(l);
        if ((form & LINK_ONE_SLOPE) == 0) {
            to_params(l, true, l->at, params);
            take_rows(l, s, false, rows, NULL);
            set_bounds(l, s, form, lo);
            from_params(l, false, params, l->at);
            sum = minimise(l);
        }
        if (sum < least) {
            least = sum;
            memcpy(l->best, l->at, score_params(l->n_slopes) * sizeof *l->best);
        }
    }
    memcpy(l->at, l->best, score_params(l->n_slopes) * sizeof *l->at);
    return least;
}

static enum mix_status check_rows(struct links *l, size_t s, double *variance,
                                  struct mix_error *err)
{
    const struct mix_target *target = &l->table->targets[l->data->target[l->n_losses + s]];
    if (l->n < RUNS_LEAST)
        return mix_fail(err, MIX_EINVAL,
                        "score %s was measured in %zu runs together with all losses; its link to "
                        "the losses needs %d or more (or leave it out by --targets)",
                        target->name, l->n, RUNS_LEAST);
    const double mean = gsl_stats_mean(l->y, 1, l->n);
    *variance = gsl_stats_variance_with_fixed_mean(l->y, 1, l->n, mean);
    if (!(*variance > 1e-24 * mean * mean))
        return mix_fail(err, MIX_EINVAL,
                        "score %s is %g in all of %zu runs: a constant has no link to the losses; "
                        "leave it out by --targets",
                        target->name, l->y[0], l->n);
    if (strcmp(target->unit, "accuracy") == 0)
        for (size_t r = 0; r < l->n; r++)
            if (l->y[r] < 0.0 || l->y[r] > 1.0)
                return mix_fail(err, MIX_EINVAL,
                                "score %s is %g in a run, and an accuracy is between 0 and 1; give "
                                "it another unit, or multiply it (factor) on import",
                                target->name, l->y[r]);
    if (target->chance >= mean)
        return mix_fail(err, MIX_EINVAL,
                        "score %s has the mean %g over %zu runs, and chance gives %g: these runs "
                        "say nothing of it yet; leave it out by --targets",
                        target->name, mean, l->n, target->chance);
    return MIX_OK;
}

/* A score that a constant describes as well does not follow the losses. */
static enum mix_status fail_flat(struct links *l, size_t s, const uint8_t *rows,
                                 struct mix_error *err)
{
    take_rows(l, s, true, rows, NULL);
    return mix_fail(err, MIX_EINVAL,
                    "score %s does not follow the losses: over %zu runs its correlation with their "
                    "mean is %.2f, and a link describes it no better than a constant; leave it out "
                    "by --targets",
                    l->table->targets[l->data->target[l->n_losses + s]].name, l->n,
                    gsl_stats_correlation(l->x, 1, l->y, 1, l->n));
}

static enum mix_status fit_one(struct links *l, size_t s, const uint8_t *rows, uint8_t *form_out,
                               double *params, struct mix_error *err)
{
    const struct mix_target *target = &l->table->targets[l->data->target[l->n_losses + s]];
    double variance = 0.0;
    take_rows(l, s, true, rows, NULL);
    const enum mix_status status = check_rows(l, s, &variance, err);
    if (status != MIX_OK)
        return status;
    const uint8_t given = (uint8_t)(LINK_IS | (isnan(target->chance) ? 0 : LINK_LO_GIVEN));
    const uint8_t forms[] = {given | LINK_ONE_SLOPE, given};
    double least = criterion(l, variance * (double)l->n, 1, variance);
    bool found = false;
    for (size_t i = 0; i < (l->n_losses > 1 ? 2 : 1); i++) {
        const double sum = fit_form(l, s, forms[i], rows, target->chance);
        const double value = criterion(l, sum, free_params(l, forms[i]), variance);
        if (value < least) {
            least = value;
            found = true;
            *form_out = forms[i];
            to_params(l, (forms[i] & LINK_ONE_SLOPE) != 0, l->at, params);
        }
    }
    return found ? MIX_OK : fail_flat(l, s, rows, err);
}

enum mix_status links_fit(struct links *l, const uint8_t *rows, uint8_t *form, double *params,
                          struct mix_error *err)
{
    gsl_error_handler_t *handler = gsl_set_error_handler_off();
    enum mix_status status = MIX_OK;
    for (size_t s = 0; s < l->n_scores && status == MIX_OK; s++)
        status = fit_one(l, s, rows, &form[s], params + s * score_params(l->n_losses), err);
    gsl_set_error_handler(handler);
    return status;
}

void links_fit_fold(struct links *l, const uint8_t *rows, uint8_t *form, double *params,
                    char (*why)[MIX_ERROR_MAX])
{
    const size_t n_p = score_params(l->n_losses);
    gsl_error_handler_t *handler = gsl_set_error_handler_off();
    validate_sizes(l->data, rows, l->size);
    set_mean(l, l->size);
    for (size_t s = 0; s < l->n_scores; s++) {
        struct mix_error reason = {{0}};
        if (fit_one(l, s, rows, &form[s], params + s * n_p, &reason) != MIX_OK)
            for (size_t p = 0; p < n_p; p++)
                params[s * n_p + p] = NAN;
        if (why != NULL)
            memcpy(why[s], reason.text, sizeof reason.text);
    }
    set_mean(l, l->data->size);
    gsl_set_error_handler(handler);
}

/* Rows and bounds of a fitted link, its parameters in l->at. */
static void resume(struct links *l, size_t s, uint8_t form, const double *params,
                   const double *row_weight)
{
    const bool one_slope = (form & LINK_ONE_SLOPE) != 0;
    take_rows(l, s, one_slope, NULL, row_weight);
    set_bounds(l, s, form, params[SCORE_LO]);
    from_params(l, one_slope, params, l->at);
}

void links_refit(struct links *l, const double *row_weight, const uint8_t *form, const double *from,
                 double *params)
{
    gsl_error_handler_t *handler = gsl_set_error_handler_off();
    for (size_t s = 0; s < l->n_scores; s++) {
        const size_t at = s * score_params(l->n_losses);
        resume(l, s, form[s], from + at, row_weight);
        minimise(l);
        to_params(l, (form[s] & LINK_ONE_SLOPE) != 0, l->at, params + at);
    }
    gsl_set_error_handler(handler);
}

/* Column of d params / d v. */
static void move_along(const struct links *l, bool one_slope, size_t a, double *column)
{
    memset(column, 0, score_params(l->n_losses) * sizeof *column);
    if (a < SCORE_S) {
        column[a] = 1.0;
        return;
    }
    column[SCORE_U] = l->centre[a - SCORE_S];
    for (size_t i = 0; i < l->n_losses; i++)
        column[SCORE_S + i] = one_slope ? l->mean_of[i] : (double)(i == a - SCORE_S);
}

void links_covariance(struct links *l, size_t s, uint8_t form, const double *params,
                      double *covariance)
{
    const bool one_slope = (form & LINK_ONE_SLOPE) != 0;
    const size_t n_p = score_params(l->n_losses);
    resume(l, s, form, params, NULL);
    const size_t n_v = score_params(l->n_slopes);
    const double sum = squares_at(l, l->at, true);
    double column[SCORE_S + MIX_DOMAINS_MAX], other[SCORE_S + MIX_DOMAINS_MAX], n_free = 0.0;
    assemble(l);
    memset(l->gradient, 0, n_v * sizeof *l->gradient);
    for (size_t e = 0; e < n_p * n_p; e++)
        covariance[e] = 0.0;
    gsl_matrix_view inverse = gsl_matrix_submatrix(l->factor, 0, 0, n_v, n_v);
    gsl_matrix_set_identity(&inverse.matrix);
    bool held[SCORE_S + MIX_DOMAINS_MAX];
    for (size_t a = 0; a < n_v; a++) {
        held[a] = l->at[a] <= l->lower[a] || l->at[a] >= l->upper[a];
        n_free += !held[a];
        for (size_t b = 0; b <= a; b++)
            if (!held[a] && !held[b])
                gsl_matrix_set(&inverse.matrix, a, b, gsl_matrix_get(l->matrix, a, b));
    }
    gsl_error_handler_t *handler = gsl_set_error_handler_off();
    const bool ok = gsl_linalg_cholesky_decomp1(&inverse.matrix) == GSL_SUCCESS &&
                    gsl_linalg_cholesky_invert(&inverse.matrix) == GSL_SUCCESS;
    gsl_set_error_handler(handler);
    const double variance = sum / fmax((double)l->n - n_free, 1.0);
    for (size_t a = 0; a < n_v; a++)
        for (size_t b = 0; b < n_v; b++) {
            if (held[a] || held[b])
                continue;
            move_along(l, one_slope, a, column);
            move_along(l, one_slope, b, other);
            const double c = ok ? variance * gsl_matrix_get(&inverse.matrix, a, b) : NAN;
            for (size_t p = 0; p < n_p; p++)
                for (size_t q = 0; q < n_p; q++)
                    if (column[p] != 0.0 && other[q] != 0.0)
                        covariance[p * n_p + q] += c * column[p] * other[q];
        }
    for (size_t p = 0; p < n_p; p++)
        if (!(covariance[p * n_p + p] > 0.0))
            for (size_t q = 0; q < n_p; q++)
                covariance[p * n_p + q] = covariance[q * n_p + p] = NAN;
}
