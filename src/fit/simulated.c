/* SPDX-License-Identifier: GPL-3.0-or-later */
/* simulated.c - see simulated.h. Of many seeds of one run a fit sees their mean and their scatter:
 * two rows of half their weight have both.
 */
#include "simulated.h"

#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "link.h"

enum { REFIT_STEPS = 150, NEAR = 4, FRESH = 24, FRESH_STEPS = 20 };
static const double REFIT_TOLERANCE = 3e-4;

struct mix_simulated {
    const struct mix_fit *fit;
    enum mix_isa isa;
    struct mix_data *all;  /* as selected */
    struct mix_data *data; /* the losses of it; `all` itself where there are no scores */
    struct mix_model *model;
    struct mix_law_spec spec; /* of the losses */
    size_t *first; /* (R) first row of the same run, whose checkpoints share their noise */
};

/* One simulation. The data of lsq, whose rows are the fit's, then those of other runs. */
struct world {
    struct mix_data data;
    double *row_weight; /* (R) */
    double *predicted;  /* (R,M) scores too */
    double *theta, *best, *lambda;
    struct lsq *lsq;
};

void mix_simulated_destroy(struct mix_simulated *s)
{
    if (s == NULL)
        return;
    if (s->data != s->all)
        mix_data_destroy(s->data);
    mix_data_destroy(s->all);
    mix_model_destroy(s->model);
    free(s->first);
    free(s);
}

/* The rows of a run share its name, size and seed. */
static bool same_run(const struct mix_run *a, const struct mix_run *b)
{
    return a->n_params == b->n_params && a->seed == b->seed && strcmp(a->run, b->run) == 0 &&
           strcmp(a->recipe, b->recipe) == 0;
}

static enum mix_status find_runs(struct mix_simulated *s, const struct mix_table *table,
                                 struct mix_error *err)
{
    const struct mix_data *data = s->data;
    s->first = calloc(data->n_rows + 1, sizeof *s->first);
    if (s->first == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for simulated runs");
    for (size_t r = 0; r < data->n_rows; r++) {
        size_t at = 0;
        while (at < r && !(data->cluster[at] == data->cluster[r] &&
                           same_run(&table->runs[data->row[at]], &table->runs[data->row[r]])))
            at++;
        s->first[r] = at;
    }
    return MIX_OK;
}

enum mix_status mix_simulated_create(const struct mix_table *table, const struct mix_fit *fit,
                                     enum mix_isa isa, struct mix_simulated **out,
                                     struct mix_error *err)
{
    struct mix_simulated *s = calloc(1, sizeof *s);
    *out = s;
    if (s == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for simulated runs");
    s->fit = fit;
    s->isa = isa;
    s->spec = fit->spec;
    s->spec.n_targets -= fit->spec.n_scores;
    s->spec.n_scores = 0;
    const char *outdated = mix_fit_outdated(fit, table);
    if (outdated != NULL)
        return mix_fail(err, MIX_EINVAL, "%s since fit %s was made; fit again with --replace",
                        outdated, fit->name);
    enum mix_status status = mix_table_select(table, &fit->selection, &s->all, err);
    s->data = s->all;
    if (status == MIX_OK && s->all->n_scores > 0)
        status = fit_split_scores(s->all, &s->data, err);
    if (status == MIX_OK)
        status = find_runs(s, table, err);
    if (status == MIX_OK)
        status = mix_fit_model(fit, &s->model, err);
    if (status == MIX_OK)
        law_model_set_isa(s->model, isa);
    return status;
}

static void clear_world(struct world *w)
{
    lsq_destroy(w->lsq);
    free(w->data.mixture);
    free(w->data.n_params);
    free(w->data.n_tokens);
    free(w->data.unique);
    free(w->data.loss);
    free(w->data.weight);
    free(w->data.cluster);
    free(w->row_weight);
    free(w->predicted);
    free(w->theta);
    free(w->best);
    free(w->lambda);
}

static bool make_room(const struct mix_simulated *s, size_t n_more, struct world *w)
{
    const size_t n = s->data->n_rows + 2 * n_more, k = s->data->n_domains, m = s->data->n_targets;
    w->data = *s->data;
    w->data.early = NULL;
    w->data.mixture = calloc(n * k, sizeof(double));
    w->data.n_params = calloc(n, sizeof(double));
    w->data.n_tokens = calloc(n, sizeof(double));
    w->data.unique = calloc(n * k, sizeof(double));
    w->data.loss = calloc(n * m, sizeof(double));
    w->data.weight = calloc(n * m, sizeof(double));
    w->data.cluster = calloc(n, sizeof(size_t));
    w->row_weight = calloc(n, sizeof(double));
    w->predicted = calloc(n * s->fit->spec.n_targets, sizeof(double));
    return w->data.mixture && w->data.n_params && w->data.n_tokens && w->data.unique &&
           w->data.loss && w->data.weight && w->data.cluster && w->row_weight && w->predicted;
}

/* Rows of the fit's own runs. */
static void take_own(const struct mix_simulated *s, struct world *w)
{
    const struct mix_data *own = s->data;
    const size_t n = own->n_rows, k = own->n_domains;
    memcpy(w->data.mixture, own->mixture, n * k * sizeof(double));
    memcpy(w->data.n_params, own->n_params, n * sizeof(double));
    memcpy(w->data.n_tokens, own->n_tokens, n * sizeof(double));
    memcpy(w->data.weight, own->weight, n * own->n_targets * sizeof(double));
    memcpy(w->data.cluster, own->cluster, n * sizeof(size_t));
    for (size_t i = 0; i < n * k; i++)
        w->data.unique[i] = own->unique != NULL ? own->unique[i] : INFINITY;
    for (size_t r = 0; r < n; r++)
        w->row_weight[r] = 1.0;
}

/* One row of a run with one seed, two of more. */
static void add_rows(const struct mix_simulated_run *run, struct world *w)
{
    const size_t k = w->data.n_domains, m = w->data.n_targets, n = run->n_seeds > 1 ? 2 : 1;
    for (size_t i = 0; i < n; i++) {
        const size_t r = w->data.n_rows++;
        memcpy(w->data.mixture + r * k, run->mixture, k * sizeof(double));
        memcpy(w->data.unique + r * k, run->unique, k * sizeof(double));
        w->data.n_params[r] = run->n_params;
        w->data.n_tokens[r] = run->n_tokens;
        w->data.cluster[r] = w->data.n_clusters;
        w->row_weight[r] = (double)run->n_seeds / (double)n;
        for (size_t j = 0; j < m; j++)
            w->data.weight[r * m + j] = 1.0;
    }
    w->data.n_clusters++;
}

/* Losses of the seeds [first, last) of one mixture and scale: the mean of n, and their scatter. */
static void add_noise(struct world *w, size_t first, size_t last, double n, const double *noise,
                      gsl_rng *rng)
{
    const size_t m = w->data.n_targets;
    for (size_t j = 0; j < m; j++) {
        const double off = gsl_ran_gaussian_ziggurat(rng, noise[j] / sqrt(n));
        const double apart = noise[j] * sqrt((n - 1.0) / n);
        for (size_t r = first; r < last; r++)
            w->data.loss[r * m + j] += off + (r == first ? apart : -apart);
    }
}

static enum mix_status draw_losses(struct mix_simulated *s, const double *noise, size_t n_more,
                                   const struct mix_simulated_run *more, gsl_rng *rng,
                                   struct world *w, struct mix_error *err)
{
    const size_t m = w->data.n_targets, n_all = s->fit->spec.n_targets;
    const enum mix_status status = mix_model_predict_runs(
        s->model, s->fit->params, w->data.n_rows, w->data.mixture, w->data.unique, w->data.n_params,
        w->data.n_tokens, w->predicted, err);
    if (status != MIX_OK)
        return status;
    for (size_t r = 0; r < w->data.n_rows; r++)
        memcpy(w->data.loss + r * m, w->predicted + r * n_all, m * sizeof(double));
    size_t row = 0;
    for (; row < s->data->n_rows; row++) {
        const size_t first = s->first[row];
        if (first == row)
            add_noise(w, row, row + 1, 1.0, noise, rng);
        for (size_t j = 0; first < row && j < m; j++)
            w->data.loss[row * m + j] +=
                w->data.loss[first * m + j] - w->predicted[first * n_all + j];
    }
    for (size_t i = 0; i < n_more; i++) {
        const size_t n = more[i].n_seeds > 1 ? 2 : 1;
        add_noise(w, row, row + n, (double)more[i].n_seeds, noise, rng);
        row += n;
    }
    return MIX_OK;
}

/* On from w->theta; what is better than `objective` is kept. */
static enum mix_status search(struct world *w, int n_steps, double *objective,
                              struct mix_poll *poll, struct mix_error *err)
{
    const size_t n = lsq_model(w->lsq)->n_theta;
    struct lsq_result result = {0};
    const enum mix_status status =
        lsq_minimise(w->lsq, w->theta, n_steps, REFIT_TOLERANCE, poll, &result, err);
    if (status != MIX_OK)
        return status == MIX_ENUMERIC ? MIX_OK : status;
    if (result.objective < *objective) {
        *objective = result.objective;
        memcpy(w->best, w->theta, n * sizeof(double));
    }
    return MIX_OK;
}

/* Laws that have many optima may have a better one elsewhere, which a fit of the new runs finds: a
 * few steps from random points, then on from the best. */
static enum mix_status search_anew(struct world *w, gsl_rng *rng, double *objective,
                                   struct mix_poll *poll, struct mix_error *err)
{
    struct mix_model *model = lsq_model(w->lsq);
    enum mix_status status = MIX_OK;
    if (model->separable || model->pull != NULL)
        return MIX_OK;
    for (int i = 0; i < FRESH && status == MIX_OK; i++) {
        model->law->start(model, lsq_scales(w->lsq), rng, w->theta);
        status = search(w, FRESH_STEPS, objective, poll, err);
    }
    if (status != MIX_OK || !isfinite(*objective))
        return status;
    memcpy(w->theta, w->best, model->n_theta * sizeof(double));
    return search(w, REFIT_STEPS, objective, poll, err);
}

/* From the optima of the fit. */
static enum mix_status search_near(const struct mix_simulated *s, struct world *w,
                                   double *objective, struct mix_poll *poll, struct mix_error *err)
{
    struct mix_model *model = lsq_model(w->lsq);
    enum mix_status status = MIX_OK;
    for (size_t i = 0; i < s->fit->n_optima && i < NEAR && status == MIX_OK; i++) {
        model->law->from_natural(model, s->fit->optima + i * s->fit->n_params, w->theta, w->lambda);
        for (size_t k = 0; k < model->n_theta; k++)
            w->theta[k] = fmin(fmax(w->theta[k], model->lower[k]), model->upper[k]);
        status = search(w, REFIT_STEPS, objective, poll, err);
    }
    return status;
}

/* Mean square residual of the fit's own runs by that of their noise; NaN where the law of such
 * parameters says nothing of a run. */
static enum mix_status residual_left(struct mix_simulated *s, const struct world *w,
                                     const double *params, const double *noise, double *left,
                                     struct mix_error *err)
{
    const size_t n = s->data->n_rows, m = w->data.n_targets, n_all = s->fit->spec.n_targets;
    double sum = 0.0, count = 0.0;
    const enum mix_status status =
        mix_model_predict_runs(s->model, params, n, w->data.mixture, w->data.unique,
                               w->data.n_params, w->data.n_tokens, w->predicted, err);
    *left = NAN;
    if (status != MIX_OK)
        return status == MIX_EINVAL || status == MIX_ENUMERIC ? MIX_OK : status;
    for (size_t r = 0; r < n; r++)
        for (size_t j = 0; j < m; j++)
            if (w->data.weight[r * m + j] > 0.0) {
                const double off =
                    (w->data.loss[r * m + j] - w->predicted[r * n_all + j]) / noise[j];
                sum += off * off;
                count += 1.0;
            }
    *left = sum / count;
    return MIX_OK;
}

static enum mix_status fit_world(struct mix_simulated *s, struct world *w, gsl_rng *rng,
                                 struct mix_poll *poll, double *params, struct mix_error *err)
{
    double objective = INFINITY;
    enum mix_status status = lsq_create(&s->spec, s->data->target_domain, &w->data, &w->lsq, err);
    if (status != MIX_OK)
        return status;
    struct mix_model *model = lsq_model(w->lsq);
    law_model_set_isa(model, s->isa);
    w->theta = calloc(lsq_point_doubles(w->lsq), sizeof(double));
    w->best = calloc(model->n_theta, sizeof(double));
    w->lambda = calloc(model->spec.n_targets * model->n_linear, sizeof(double));
    if (w->theta == NULL || w->best == NULL || w->lambda == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for simulated runs");
    lsq_weigh_rows(w->lsq, w->row_weight);
    status = search_anew(w, rng, &objective, poll, err);
    if (status == MIX_OK)
        status = search_near(s, w, &objective, poll, err);
    if (status != MIX_OK)
        return status;
    memcpy(params, s->fit->params, s->fit->n_params * sizeof *params); /* links */
    for (size_t p = 0; p < model->n_params; p++)
        params[p] = NAN;
    if (isfinite(objective)) {
        lsq_evaluate(w->lsq, w->best, w->lambda);
        model->law->to_natural(model, w->best, w->lambda, params);
    }
    return MIX_OK;
}

enum mix_status mix_simulated_fit(struct mix_simulated *s, const double *noise, size_t n_more,
                                  const struct mix_simulated_run *more, gsl_rng *rng,
                                  struct mix_poll *poll, double *params, double *left,
                                  struct mix_error *err)
{
    struct world w = {.lsq = NULL};
    enum mix_status status = MIX_OK;
    if (!make_room(s, n_more, &w))
        status = mix_fail(err, MIX_ENOMEM, "out of memory for simulated runs");
    if (status == MIX_OK) {
        take_own(s, &w);
        for (size_t i = 0; i < n_more; i++)
            add_rows(&more[i], &w);
        status = draw_losses(s, noise, n_more, more, rng, &w, err);
    }
    if (status == MIX_OK)
        status = fit_world(s, &w, rng, poll, params, err);
    *left = NAN;
    if (status == MIX_OK && !isnan(params[0]))
        status = residual_left(s, &w, params, noise, left, err);
    clear_world(&w);
    return status;
}
