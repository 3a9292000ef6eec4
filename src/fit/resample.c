/* SPDX-License-Identifier: GPL-3.0-or-later */
/* resample.c - what all refits of a fit share, and the weights of one: how often every mixture (or
 * run) was drawn, or Dirichlet weights; or all rows but those of one group. */
#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bootstrap_parts.h"

void resampler_destroy(struct resampler *s)
{
    lsq_destroy(s->lsq);
    free(s->names.domains);
    free(s->names.targets);
    free(s->unit);
    free(s->unit_weight);
    free(s->row_weight);
    pool_destroy(&s->pool);
    free(s->points);
    free(s->spare);
    free(s->trial);
    free(s->lambda);
    free(s->shared);
    free(s->is_shared);
    free(s->centre);
    free(s->centre_sd);
    links_destroy(s->links);
    if (s->data != s->all)
        mix_data_destroy(s->data);
    mix_data_destroy(s->all);
}

/* Rows of one run (name and size) are one unit, numbered by first appearance. */
static void number_runs(const struct mix_table *table, struct resampler *s)
{
    for (size_t r = 0; r < s->data->n_rows; r++) {
        const struct mix_run *run = &table->runs[s->data->row[r]];
        s->unit[r] = s->n_units;
        for (size_t i = 0; i < r; i++) {
            const struct mix_run *other = &table->runs[s->data->row[i]];
            if (strcmp(run->run, other->run) == 0 && run->n_params == other->n_params &&
                s->data->cluster[i] == s->data->cluster[r]) {
                s->unit[r] = s->unit[i];
                break;
            }
        }
        s->n_units += s->unit[r] == s->n_units;
    }
}

static enum mix_status select_again(const struct mix_table *table, struct resampler *s,
                                    struct mix_error *err)
{
    enum mix_status status = mix_table_select(table, &s->fit->selection, &s->all, err);
    s->data = s->all;
    if (status == MIX_OK)
        status = fit_names(table, s->all, &s->names, err);
    if (status != MIX_OK)
        return status;
    const char *outdated = mix_fit_outdated(s->fit, table);
    if (outdated == NULL && s->all->n_scores != s->fit->spec.n_scores)
        outdated = "the runs have changed";
    if (outdated != NULL)
        return mix_fail(err, MIX_EINVAL, "%s since fit %s was made; fit again with --replace",
                        outdated, s->fit->name);
    if (s->all->n_scores == 0)
        return MIX_OK;
    status = fit_split_scores(s->all, &s->data, err);
    return status == MIX_OK ? links_create(table, s->all, s->fit->target_weight, &s->links, err)
                            : status;
}

/* Draws count priors against the residuals of the fit. If all were pulled to one centre they would
 * know the pulled parameters better than the runs do: each draws its own centre from the prior,
 * which for linear Gaussian problems makes it a draw of the posterior. */
static enum mix_status keep_centres(struct resampler *s, struct mix_error *err)
{
    const struct mix_model *model = lsq_model(s->lsq);
    double *theta = s->spare;
    model->law->from_natural(model, s->fit->params, theta, s->lambda);
    for (size_t k = 0; k < model->n_theta; k++)
        theta[k] = fmin(fmax(theta[k], model->lower[k]), model->upper[k]);
    lsq_hold_priors(s->lsq, theta);
    if (model->pull == NULL)
        return MIX_OK;
    s->centre = calloc(model->n_theta + 1, sizeof *s->centre);
    s->centre_sd = calloc(model->n_theta + 1, sizeof *s->centre_sd);
    if (s->centre == NULL || s->centre_sd == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a bootstrap");
    memcpy(s->centre, model->centre, model->n_theta * sizeof *s->centre);
    for (size_t i = 0; i < model->n_theta; i++)
        s->centre_sd[i] = lsq_prior_sd(s->lsq, i);
    return MIX_OK;
}

/* The centres of a draw; without a stream those of the law. */
static void set_centres(struct resampler *s, gsl_rng *rng)
{
    const struct mix_model *model = lsq_model(s->lsq);
    for (size_t i = 0; s->centre != NULL && i < model->n_theta; i++)
        model->centre[i] = s->centre[i] + (rng != NULL && s->centre_sd[i] > 0.0
                                               ? gsl_ran_gaussian_ziggurat(rng, s->centre_sd[i])
                                               : 0.0);
}

/* Natural parameters (n,P) become points to start from. */
enum mix_status resampler_add_points(struct resampler *s, size_t n, const double *params,
                                     struct mix_error *err)
{
    const struct mix_model *model = lsq_model(s->lsq);
    double *theta = s->spare;
    const enum mix_status status = pool_reserve(&s->pool, s->pool.n + n, err);
    lsq_weigh_rows(s->lsq, NULL);
    for (size_t i = 0; status == MIX_OK && i < n; i++) {
        const double *natural = params + i * s->fit->n_params;
        if (isnan(natural[0])) /* a draw that could not be fitted */
            continue;
        model->law->from_natural(model, natural, theta, s->lambda);
        for (size_t k = 0; k < model->n_theta; k++)
            theta[k] = fmin(fmax(theta[k], model->lower[k]), model->upper[k]);
        pool_add(&s->pool, s->lsq, theta, s->data->n_rows, s->unit, s->row_weight);
    }
    return status;
}

/* Of laws without such parameters none: their draws do not hop. */
static void find_shared(const struct mix_model *model, struct resampler *s)
{
    for (size_t k = 0; !model->separable && k < model->n_theta; k++) {
        size_t n_users = 0;
        for (size_t i = 0; i < model->spec.n_targets * model->n_own; i++)
            n_users += model->own_column[i] == k;
        s->is_shared[k] = n_users > 1;
        if (n_users > 1)
            s->shared[s->n_shared++] = k;
    }
}

enum mix_status resampler_create(const struct mix_table *table, struct resampler *s,
                                 struct mix_error *err)
{
    struct mix_law_spec spec = s->fit->spec;
    enum mix_status status = select_again(table, s, err);
    spec.n_targets -= spec.n_scores;
    spec.n_scores = 0;
    if (status == MIX_OK)
        status = lsq_create(&spec, s->data->target_domain, s->data, &s->lsq, err);
    if (status != MIX_OK)
        return status;
    struct mix_model *model = lsq_model(s->lsq);
    const size_t n_rows = s->data->n_rows;
    law_model_set_isa(model, s->isa);
    const size_t n_linked = s->fit->spec.n_scores * score_params(spec.n_targets);
    if (model->n_params + n_linked != s->fit->n_params)
        return mix_fail(err, MIX_EFORMAT, "fit %s has %zu parameters where law %s has %zu",
                        s->fit->name, s->fit->n_params, s->fit->spec.law,
                        model->n_params + n_linked);
    s->unit = calloc(n_rows, sizeof *s->unit);
    s->row_weight = calloc(n_rows, sizeof *s->row_weight);
    s->points = calloc((CANDIDATES_MAX + 1) * lsq_point_doubles(s->lsq), sizeof *s->points);
    s->spare = calloc(lsq_point_doubles(s->lsq), sizeof *s->spare);
    s->trial = calloc(lsq_point_doubles(s->lsq), sizeof *s->trial);
    s->shared = calloc(model->n_theta + 1, sizeof *s->shared);
    s->is_shared = calloc(model->n_theta + 1, sizeof *s->is_shared);
    s->lambda = calloc(model->spec.n_targets * model->n_linear, sizeof *s->lambda);
    if (s->unit == NULL || s->row_weight == NULL || s->points == NULL || s->spare == NULL ||
        s->trial == NULL || s->lambda == NULL || s->shared == NULL || s->is_shared == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a bootstrap of %zu rows", n_rows);
    if (s->draws->cluster_run) {
        number_runs(table, s);
    } else {
        memcpy(s->unit, s->data->cluster, n_rows * sizeof *s->unit);
        s->n_units = s->data->n_clusters;
    }
    s->unit_weight = calloc(s->n_units, sizeof *s->unit_weight);
    if (s->unit_weight == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a bootstrap of %zu rows", n_rows);
    find_shared(model, s);
    s->pool = (struct pool){.n_theta = model->n_theta, .n_units = s->n_units};
    status = resampler_add_points(s, s->fit->n_optima, s->fit->optima, err);
    return status == MIX_OK ? keep_centres(s, err) : status;
}

void resampler_draw(struct resampler *s, gsl_rng *rng)
{
    double total = 0.0;
    memset(s->unit_weight, 0, s->n_units * sizeof *s->unit_weight);
    for (size_t i = 0; i < s->n_units; i++) {
        if (s->draws->bayesian)
            total += s->unit_weight[i] = gsl_ran_exponential(rng, 1.0);
        else
            s->unit_weight[gsl_rng_uniform_int(rng, s->n_units)] += 1.0;
    }
    set_centres(s, rng);
    for (size_t r = 0; r < s->data->n_rows; r++) {
        const double w = s->unit_weight[s->unit[r]];
        s->row_weight[r] = s->draws->bayesian ? w * (double)s->n_units / total : w;
    }
    lsq_weigh_rows(s->lsq, s->row_weight);
}

/* All rows but those of one group of units. */
void resampler_leave_out(struct resampler *s, size_t group)
{
    for (size_t u = 0; u < s->n_units; u++)
        s->unit_weight[u] = u % s->n_groups != group;
    for (size_t r = 0; r < s->data->n_rows; r++)
        s->row_weight[r] = s->unit_weight[s->unit[r]];
    lsq_weigh_rows(s->lsq, s->row_weight);
    set_centres(s, NULL);
}
