/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lsq_priors.c - what priors cost, and how they pull; see least_squares.h. */
#include <math.h>
#include <string.h>

#include "lsq_parts.h"

/* Residuals, relative to the mean loss, that laws usually leave, and the least that any does. */
static const double FREEDOM_MIN = 4.0, USUAL_RESIDUAL = 0.005, LEAST_RESIDUAL = 0.001;
/* Of what priors cost, which is far off then. */
static const double EXPONENT_MAX = 300.0;

/* Where losses leave less than FREEDOM_MIN, residuals do not tell their variance, and a law could
 * follow every loss at any price: the missing ones are taken to leave USUAL_RESIDUAL of the mean
 * loss, as laws do that suit a table. */
static void set_freedom(struct lsq *s)
{
    const double n_params = (double)mix_model_n_free(s->model) / (double)s->n_blocks;
    memset(s->missing, 0, s->n_blocks * sizeof *s->missing);
    for (size_t m = 0; m < s->n_targets; m++) {
        const size_t b = lsq_block_of(s, m);
        const double left = s->block_weight[b] - n_params, usual = USUAL_RESIDUAL * s->unit[m];
        s->freedom[b] = fmax(left, FREEDOM_MIN);
        if (s->model->pull != NULL)
            s->missing[b] += (s->freedom[b] - left) * usual * usual * (double)s->n_blocks /
                             (double)s->n_targets * s->worth[m];
    }
}

static void set_units(struct lsq *s)
{
    for (size_t m = 0; !s->priors_held && m < s->n_targets; m++) {
        double sum = 0.0, n = 0.0;
        for (size_t e = m; e < s->n_rows * s->n_targets; e += s->n_targets) {
            sum += s->sw[e] * s->sw[e] * s->y[e];
            n += s->sw[e] * s->sw[e];
        }
        s->unit[m] = n > 0.0 && sum > 0.0 ? sum / n : 1.0;
    }
}

void lsq_weigh_priors(struct lsq *s)
{
    set_units(s);
    set_freedom(s);
}

/* Those of losses are in units of the target's. */
static double pull_of(const struct lsq *s, size_t i)
{
    const size_t n = s->model->n_loss_priors;
    if (i >= n)
        return s->model->pull[i];
    const double unit = s->unit[i / (n / s->n_targets)];
    return s->model->pull[i] / (unit * unit);
}

/* Precision of the prior of theta_i, off its centre by so much: a Cauchy prior is a normal one
 * whose precision falls with the distance. */
static double precision_of(const struct lsq *s, size_t i, double off)
{
    const double pull = pull_of(s, i);
    return s->model->heavy_tails[i] ? 2.0 * pull / (1.0 + pull * off * off) : pull;
}

/* Set -2 ln of the prior of every block. */
static void set_penalties(struct lsq *s, const double *theta)
{
    memset(s->penalty, 0, s->n_blocks * sizeof *s->penalty);
    for (size_t i = 0; s->model->pull != NULL && i < s->n_theta; i++) {
        const double off = theta[i] - s->model->centre[i], square = pull_of(s, i) * off * off;
        s->penalty[i / s->width] += s->model->heavy_tails[i] ? 2.0 * log1p(square) : square;
    }
}

/* Set what is minimised of every block, see least_squares.h; returns the total. */
double lsq_sum_squares(struct lsq *s, const double *theta)
{
    double total = 0.0;
    set_penalties(s, theta);
    memcpy(s->squares, s->missing, s->n_blocks * sizeof *s->squares);
    for (size_t m = 0; m < s->n_targets; m++)
        s->squares[lsq_block_of(s, m)] += s->square[m];
    for (size_t b = 0; b < s->n_blocks; b++) {
        const bool given = !isnan(s->given[b]);
        s->variance[b] = given ? s->given[b] : s->squares[b] / s->freedom[b];
        s->slope[b] = given ? 1.0 : exp(fmin(s->penalty[b] / s->freedom[b], EXPONENT_MAX));
        s->sums[b] = s->slope[b] * s->squares[b];
        s->squares[b] += s->variance[b] * s->penalty[b];
        if (given)
            s->sums[b] = s->squares[b];
        total += s->sums[b];
    }
    return total;
}

/* Parameters are pulled to their centres, the harder the larger the residuals of now. */
void lsq_add_pull(struct lsq *s, size_t b, const double *theta)
{
    const size_t n = s->width, first = b * n;
    for (size_t i = first; i < first + n; i++) {
        const double off = theta[i] - s->model->centre[i];
        const double pull = s->variance[b] * precision_of(s, i, off);
        s->matrix[i * (s->n_theta + 1)] += pull;
        s->gradient[i] += pull * off;
    }
}

void lsq_expect_least_residuals(struct lsq *s, bool least)
{
    for (size_t b = 0; b < s->n_blocks; b++)
        s->given[b] = least ? 0.0 : NAN;
    for (size_t m = 0; least && m < s->n_targets; m++)
        s->given[lsq_block_of(s, m)] +=
            pow(LEAST_RESIDUAL * s->mean_loss[m], 2) * (double)s->n_blocks / (double)s->n_targets;
}

void lsq_hold_priors(struct lsq *s, const double *theta)
{
    struct mix_model *model = s->model;
    law_model_reset(model);
    lsq_project_out(s, theta);
    memcpy(s->given, s->variance, s->n_blocks * sizeof *s->given);
    s->priors_held = true;
    for (size_t i = 0; model->pull != NULL && i < s->n_theta; i++)
        if (model->heavy_tails[i]) {
            model->pull[i] = precision_of(s, i, theta[i] - model->centre[i]);
            model->heavy_tails[i] = false;
        }
}

double lsq_prior_sd(const struct lsq *s, size_t i)
{
    return s->model->pull != NULL && s->model->pull[i] > 0.0 ? 1.0 / sqrt(pull_of(s, i)) : 0.0;
}
