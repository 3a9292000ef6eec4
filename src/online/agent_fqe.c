/* SPDX-License-Identifier: GPL-3.0-or-later */
/* agent_fqe.c - fitted Q evaluation (Le et al., arXiv 1903.08738) of a policy on recorded
 * trajectories: T times over, the best fit of
 *
 *     Q(s_t,a_t) = r_t + gamma Q(s_{t+1}, pi(s_{t+1}))
 *
 * where Q is linear in features phi of what is known to matter: with x_i = (o_i - o_{0,i}) /
 * sigma_i and the shares a_i they are (1, x_i, a_i, a_i x_i, a_i^2), and the same times t / T.
 *
 * Few trajectories are held out, and a ridge regression cannot fit their noise as a network would.
 */
#include <gsl/gsl_linalg.h>
#include <math.h>
#include <stdlib.h>

#include "online/agent_learn.h"

static const double RIDGE = 1e-3; /* per row */

struct evaluation {
    const struct agent_learner *learner;
    const struct agent_list *list;
    const double *chosen;
    size_t n_features, n_rows;
    double *recorded, *next; /* (R,F) phi of (s,a), of (s',pi(s')); 0 at the end */
    double *normal;          /* (F,F) */
    double *weight;          /* (F) */
};

static void features(const struct agent_learner *l, size_t trajectory, size_t t,
                     const double *action, double *out)
{
    const size_t d = l->n_slots, half = 4 * d + 1;
    const double *base = agent_feedback(l->data, trajectory), *seen = base + t * d;
    out[0] = 1.0;
    for (size_t i = 0; i < d; i++) {
        const double x = (seen[i] - base[i]) / l->scale.sigma[i];
        double *f = out + 1 + 4 * i;
        f[0] = x;
        f[1] = action[i];
        f[2] = action[i] * x;
        f[3] = action[i] * action[i];
    }
    for (size_t i = 0; i < half; i++)
        out[half + i] = out[i] * (double)t / (double)l->n_decisions;
}

static double dot(size_t n, const double *a, const double *b)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* Features and the normal matrix of the regression. */
static void fill(struct evaluation *e)
{
    const struct agent_learner *l = e->learner;
    const size_t d = l->n_slots, t = l->n_decisions, n = e->n_features;
    for (size_t r = 0; r < e->n_rows; r++) {
        const size_t i = e->list->at[r / t], s = r % t;
        double *phi = e->recorded + r * n;
        features(l, i, s, agent_mixtures(l->data, i) + s * d, phi);
        if (s + 1 < t)
            features(l, i, s + 1, e->chosen + (i * t + s + 1) * d, e->next + r * n);
        for (size_t f = 0; f < n; f++)
            for (size_t g = 0; g < n; g++)
                e->normal[f * n + g] += phi[f] * phi[g];
    }
    for (size_t f = 0; f < n; f++)
        e->normal[f * n + f] += RIDGE * (double)e->n_rows;
}

/* weight becomes that of one more backup. */
static void back_up(struct evaluation *e, const gsl_matrix *factor, double *moment)
{
    const struct agent_learner *l = e->learner;
    const size_t t = l->n_decisions, n = e->n_features;
    for (size_t f = 0; f < n; f++)
        moment[f] = 0.0;
    for (size_t r = 0; r < e->n_rows; r++) {
        const double target = l->reward[e->list->at[r / t] * t + r % t] +
                              l->options.discount * dot(n, e->next + r * n, e->weight);
        for (size_t f = 0; f < n; f++)
            moment[f] += target * e->recorded[r * n + f];
    }
    for (size_t f = 0; f < n; f++)
        e->weight[f] = moment[f];
    gsl_vector_view x = gsl_vector_view_array(e->weight, n);
    gsl_linalg_cholesky_svx(factor, &x.vector);
}

/* Mean Q of the first decisions. */
static double begin_value(const struct evaluation *e, double *phi)
{
    const struct agent_learner *l = e->learner;
    double sum = 0.0;
    for (size_t k = 0; k < e->list->n; k++) {
        features(l, e->list->at[k], 0, e->chosen + e->list->at[k] * l->n_decisions * l->n_slots,
                 phi);
        sum += dot(e->n_features, phi, e->weight);
    }
    return sum / (double)e->list->n;
}

double agent_evaluate(const struct agent_learner *learner, const struct agent_list *list,
                      const double *chosen)
{
    const size_t n = 2 * (4 * learner->n_slots + 1), rows = list->n * learner->n_decisions;
    double *block = calloc(2 * rows * n + n * n + 2 * n, sizeof *block);
    if (block == NULL || list->n == 0 || learner->n_decisions == 0) {
        free(block);
        return NAN;
    }
    struct evaluation e = {.learner = learner,
                           .list = list,
                           .chosen = chosen,
                           .n_features = n,
                           .n_rows = rows,
                           .recorded = block,
                           .next = block + rows * n,
                           .normal = block + 2 * rows * n,
                           .weight = block + 2 * rows * n + n * n};
    fill(&e);
    gsl_matrix_view factor = gsl_matrix_view_array(e.normal, n, n);
    double value = NAN;
    if (gsl_linalg_cholesky_decomp1(&factor.matrix) == 0) {
        for (size_t t = 0; t < learner->n_decisions; t++)
            back_up(&e, &factor.matrix, e.weight + n);
        value = begin_value(&e, e.weight + n);
    }
    free(block);
    return value;
}
