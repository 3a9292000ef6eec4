/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lsq_step.c - damped steps of the free parameters of a block. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "lsq_parts.h"

/* Free parameters of block b: not on a bound that the gradient pushes against. Returns their
 * number. */
static size_t find_free(struct lsq *s, size_t b, const double *theta)
{
    const size_t first = b * s->width;
    size_t n = 0;
    for (size_t k = 0; k < s->width; k++) {
        const size_t i = first + s->order[k];
        const bool low = theta[i] <= s->model->lower[i] && s->gradient[i] > 0.0;
        const bool high = theta[i] >= s->model->upper[i] && s->gradient[i] < 0.0;
        if (!low && !high)
            s->free_index[first + n++] = i - first;
    }
    return n;
}

/* Cosine of the angle between the residual and the free column of block b it is nearest to. Of a
 * separable law a column that has all but vanished, as that of a power of something that has no
 * weight, counts as long as 1e-5 of the longest: its own gradient is rounding. */
static double gradient_cosine(const struct lsq *s, size_t b)
{
    const size_t first = b * s->width;
    const double *matrix = s->matrix + first * (s->n_theta + 1);
    double worst = 0.0, least = 0.0;
    for (size_t i = 0; s->model->separable && i < s->width; i++)
        least = fmax(least, 1e-10 * matrix[i * (s->n_theta + 1)]);
    for (size_t k = 0; k < s->search[b].n_free; k++) {
        const size_t i = s->free_index[first + k];
        const double norm = sqrt(fmax(matrix[i * (s->n_theta + 1)], least) * s->search[b].squares);
        if (!isfinite(norm) || !isfinite(s->gradient[first + i]))
            return INFINITY;
        if (norm > DBL_MIN)
            worst = fmax(worst, fabs(s->gradient[first + i]) / norm);
    }
    return worst;
}

/* Where the free parameters of each single target end, into s->end; returns how many there are. */
static size_t find_ends(struct lsq *s, size_t n_free, const size_t *free_index)
{
    size_t n = 0;
    for (size_t place = 0; place < s->n_private && n < n_free; place++)
        if (s->order[place] == free_index[n]) /* both are in the same order */
            s->end[n++] = s->order_end[place];
    for (size_t k = n, after = SIZE_MAX, end = n; k-- > 0;) {
        const size_t of_target = s->end[k];
        end = of_target == after ? end : k + 1;
        after = of_target;
        s->end[k] = end;
    }
    return n;
}

/* step = -(matrix + damping diag(scale))^-1 gradient on the free parameters of block b, 0
 * elsewhere.
 */
static bool solve_damped(struct lsq *s, size_t b)
{
    const size_t first = b * s->width, n_free = s->search[b].n_free;
    const size_t *free_index = s->free_index + first;
    const double *matrix = s->matrix + first * (s->n_theta + 1);
    const size_t lda = lsq_padded(n_free);
    double *a = s->factor, *x = s->z;
    for (size_t i = 0; i < n_free; i++) {
        const size_t fi = free_index[i];
        double *row = a + i * lda;
        for (size_t j = i; j < n_free; j++) {
            const size_t fj = free_index[j];
            row[j] = matrix[(fi < fj ? fi : fj) * s->n_theta + (fi < fj ? fj : fi)];
        }
        memset(row + n_free, 0, (lda - n_free) * sizeof *row);
        row[i] += s->search[b].damping * s->scale[first + fi];
        x[i] = -s->gradient[first + fi];
    }
    const bool dense = s->search[b].corrected && s->n_corrected > s->width - s->n_private;
    const size_t n_private = dense ? 0 : find_ends(s, n_free, free_index);
    if (!lsq_kernels(s)->factorise(n_free, a, lda, s->end, n_private))
        return false;
    lsq_kernels(s)->solve(n_free, a, lda, x);
    memset(s->step + first, 0, s->width * sizeof *s->step);
    for (size_t i = 0; i < n_free; i++)
        s->step[first + free_index[i]] = x[i];
    return true;
}

/* Clip the trial point of block b to the box; returns the reduction of the sum of squares that the
 * model predicts. */
static double clip_and_predict(struct lsq *s, size_t b, const double *theta)
{
    const size_t first = b * s->width, width = s->width;
    const double *matrix = s->matrix + first * (s->n_theta + 1), *gradient = s->gradient + first;
    double *trial = s->trial + first, *step = s->step + first;
    double linear = 0.0;
    for (size_t i = 0; i < width; i++) {
        trial[i] = fmin(fmax(theta[first + i] + step[i], s->model->lower[first + i]),
                        s->model->upper[first + i]);
        step[i] = trial[i] - theta[first + i];
        linear += gradient[i] * step[i];
    }
    return -2.0 * linear - lsq_kernels(s)->quadratic(width, matrix, s->n_theta, step);
}

static void update_scale(struct lsq *s, size_t b)
{
    const double *matrix = s->matrix + b * s->width * (s->n_theta + 1);
    double *scale = s->scale + b * s->width, top = 0.0;
    for (size_t i = 0; i < s->width; i++) {
        scale[i] = fmax(scale[i], matrix[i * (s->n_theta + 1)]);
        top = fmax(top, scale[i]);
    }
    for (size_t i = 0; i < s->width; i++)
        scale[i] = fmax(scale[i], 1e-10 * top);
}

double lsq_survey(struct lsq *s, size_t b, const double *theta)
{
    update_scale(s, b);
    s->search[b].n_free = find_free(s, b, theta);
    return gradient_cosine(s, b);
}

double lsq_try_step(struct lsq *s, size_t b, const double *theta)
{
    return solve_damped(s, b) ? clip_and_predict(s, b, theta) : 0.0;
}
