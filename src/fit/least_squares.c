/* SPDX-License-Identifier: GPL-3.0-or-later */
/* least_squares.c - the problem of a law on a table: its creation, its weights, and what it leaves
 * at a point; see least_squares.h. */
#include "least_squares.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lsq_parts.h"

static void set_scales(struct lsq *s)
{
    const struct mix_data *data = s->data;
    double ln_n = 0.0, ln_d = 0.0;
    for (size_t m = 0; m < s->n_targets; m++) {
        double sum = 0.0, n = 0.0;
        for (size_t r = 0; r < data->n_rows; r++)
            if (data->weight[r * s->n_targets + m] > 0.0) {
                sum += data->loss[r * s->n_targets + m];
                n += 1.0;
            }
        s->mean_loss[m] = n > 0.0 && sum > 0.0 ? sum / n : 1.0;
    }
    for (size_t r = 0; r < data->n_rows; r++) {
        ln_n += log(data->n_params[r]);
        ln_d += log(data->n_tokens[r]);
    }
    const double n_rows = (double)data->n_rows;
    s->scales = (struct law_scales){s->mean_loss, exp(ln_n / n_rows), exp(ln_d / n_rows)};
}

/* Targets that share parameters are weighed against each other: where they differ in unit, by
 * squares relative to their sizes. Together they count as many as they are. */
static void set_worth(struct lsq *s)
{
    double sum = 0.0, n = 0.0;
    bool equal = s->data->size == NULL || s->n_blocks > 1;
    for (size_t m = 0; m < s->n_targets && !equal; m++)
        for (size_t r = 0; r < s->data->n_rows; r++)
            if (s->data->weight[r * s->n_targets + m] > 0.0) {
                sum += 1.0 / (s->data->size[m] * s->data->size[m]);
                n += 1.0;
            }
    for (size_t m = 0; m < s->n_targets; m++)
        s->worth[m] = equal ? 1.0 : n / sum / (s->data->size[m] * s->data->size[m]);
}

enum mix_status lsq_create(const struct mix_law_spec *spec, const int *target_domain,
                           const struct mix_data *data, struct lsq **out, struct mix_error *err)
{
    struct lsq *s = calloc(1, sizeof *s);
    if (s == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a fit");
    enum mix_status status = mix_model_create(spec, target_domain, &s->model, err);
    if (status == MIX_OK)
        status = law_model_reserve(s->model, data->n_rows, err);
    if (status == MIX_OK)
        status = law_points_create(data->n_rows, data->n_domains, &s->points, err);
    if (status != MIX_OK) {
        lsq_destroy(s);
        return status;
    }
    s->data = data;
    s->n_targets = data->n_targets;
    s->n_theta = s->model->n_theta;
    s->n_linear = s->model->n_linear;
    s->n_own = s->model->n_own;
    s->n_v = s->model->n_v;
    s->rows = (struct normal_rows){0, s->n_targets, lsq_padded(s->n_targets)};
    status = lsq_create_workspace(s, err);
    if (status != MIX_OK) {
        lsq_destroy(s);
        return status;
    }
    set_scales(s);
    set_worth(s);
    for (size_t b = 0; b < s->n_blocks; b++)
        s->given[b] = NAN;
    lsq_weigh_rows(s, NULL);
    *out = s;
    return MIX_OK;
}

struct mix_model *lsq_model(struct lsq *s)
{
    return s->model;
}

const struct mix_data *lsq_data(const struct lsq *s)
{
    return s->data;
}

const struct law_scales *lsq_scales(const struct lsq *s)
{
    return &s->scales;
}

void lsq_weigh_rows(struct lsq *s, const double *row_weight)
{
    const struct mix_data *data = s->data;
    size_t next = 0;
    s->weight_sum = 0.0;
    memset(s->block_weight, 0, s->n_blocks * sizeof *s->block_weight);
    for (size_t i = 0; i < data->n_rows; i++) {
        const size_t r = s->row_order[i];
        const double of_row = row_weight != NULL ? row_weight[r] : 1.0;
        double row_sum = 0.0;
        for (size_t m = 0; m < s->n_targets; m++) {
            const double w = of_row * data->weight[r * s->n_targets + m] * s->worth[m];
            row_sum += w;
            s->block_weight[lsq_block_of(s, m)] += w;
            s->sw[next * s->n_targets + m] = sqrt(w);
            s->y[next * s->n_targets + m] = w > 0.0 ? data->loss[r * s->n_targets + m] : 0.0;
        }
        if (!(row_sum > 0.0))
            continue;
        s->weight_sum += row_sum;
        law_points_set(&s->points, next, data->mixture + r * data->n_domains, data->n_params[r],
                       data->n_tokens[r]);
        if (data->unique != NULL)
            law_points_set_unique(&s->points, next, data->unique + r * data->n_domains);
        s->row[next++] = r;
    }
    s->n_rows = s->points.n_rows = s->rows.n_rows = next;
    law_model_reset(s->model);
    lsq_weigh_priors(s);
}

double lsq_evaluate(struct lsq *s, const double *theta, double *lambda)
{
    law_model_reset(s->model);
    const double sum = lsq_project_out(s, theta);
    memcpy(lambda, s->lambda, s->n_targets * s->n_linear * sizeof *lambda);
    return sum / s->weight_sum;
}

void lsq_row_squares(struct lsq *s, const double *theta, double *squares)
{
    law_model_reset(s->model);
    lsq_project_out(s, theta);
    memset(squares, 0, s->data->n_rows * sizeof *squares);
    for (size_t r = 0; r < s->n_rows; r++)
        for (size_t m = 0; m < s->n_targets; m++) {
            const double off = s->residual[r * s->n_targets + m];
            squares[s->row[r]] += off * off;
        }
}

double lsq_squares(struct lsq *s, const double *theta)
{
    double sum = 0.0;
    law_model_reset(s->model);
    lsq_project_out(s, theta);
    for (size_t m = 0; m < s->n_targets; m++)
        sum += s->square[m];
    return sum;
}
