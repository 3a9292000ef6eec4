/* SPDX-License-Identifier: GPL-3.0-or-later */
/* law.c - the table of law families and what they share; see law.h. */
#include "mixsweep/law.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "law_impl.h"
#include "score.h"

static const struct mix_law *const laws[] = {&mix_law_capacity, &mix_law_transfer,  &mix_law_demand,
                                             &mix_law_product,  &mix_law_additive,  &mix_law_joint,
                                             &mix_law_dml,      &mix_law_loglinear, &mix_law_bimix,
                                             &mix_law_linear,   &mix_law_chinchilla};
enum { N_LAWS = sizeof laws / sizeof laws[0] };
static const double H_MIN = 1e-4;
static const char REPETITION[] = "+repetition";

const struct mix_law *mix_law_get(size_t index)
{
    return index < N_LAWS ? laws[index] : NULL;
}

const struct mix_law *mix_law_find(const char *name)
{
    for (size_t i = 0; i < N_LAWS; i++)
        if (mix_law_is(name, laws[i]->name))
            return laws[i];
    return NULL;
}

bool mix_law_repeats(const char *name)
{
    return strcmp(name + strcspn(name, "+"), REPETITION) == 0;
}

bool mix_law_is(const char *name, const char *family)
{
    const size_t length = strlen(family);
    return strncmp(name, family, length) == 0 &&
           (name[length] == '\0' || strcmp(name + length, REPETITION) == 0);
}

const char *mix_law_name(const struct mix_law *law)
{
    return law->name;
}

const char *mix_law_summary(const struct mix_law *law)
{
    return law->summary;
}

void mix_law_list(char text[MIX_TEXT_MAX])
{
    text[0] = '\0';
    for (size_t i = 0, used = 0; i < N_LAWS && used < MIX_TEXT_MAX; i++)
        used += (size_t)snprintf(text + used, MIX_TEXT_MAX - used, "%s%s", i ? ", " : "",
                                 laws[i]->name);
}

static enum mix_status unknown_law(const char *name, struct mix_error *err)
{
    char known[MIX_TEXT_MAX];
    mix_law_list(known);
    return mix_fail(err, MIX_EINVAL,
                    "there is no law %s; the laws are %s, each also as LAW+repetition", name,
                    known);
}

static enum mix_status check_counts(const struct mix_data *data, const char *const *targets,
                                    size_t n_params, const char *law, struct mix_error *err)
{
    size_t n_all = 0;
    for (size_t m = 0; m < data->n_targets; m++) {
        size_t n = 0;
        for (size_t r = 0; r < data->n_rows; r++)
            n += data->weight[r * data->n_targets + m] > 0.0;
        if (n < 3)
            return mix_fail(
                err, MIX_EINVAL,
                "target %s has %zu unmasked losses in the selection; a law needs 3 or more "
                "(lower --mask-below, or leave it out by --targets)",
                targets[m], n);
        n_all += n;
    }
    if (n_all < n_params)
        return mix_fail(
            err, MIX_EINVAL,
            "law %s has %zu parameters and the selection only %zu losses; add runs or use a "
            "smaller law",
            law, n_params, n_all);
    return MIX_OK;
}

enum mix_status mix_law_spec_from_data(const char *name, int form, const struct mix_data *data,
                                       const char *const *domains, const char *const *targets,
                                       struct mix_law_spec *spec, char notes[MIX_TEXT_MAX],
                                       struct mix_error *err)
{
    const struct mix_law *law = mix_law_find(name);
    if (law == NULL)
        return unknown_law(name, err);
    struct mix_law_spec out = {.form = form,
                               .n_domains = data->n_domains,
                               .n_targets = data->n_targets,
                               .n_min = INFINITY,
                               .h_min = H_MIN};
    snprintf(out.law, sizeof out.law, "%s", name);
    for (size_t r = 0; r < data->n_rows; r++)
        out.n_min = fmin(out.n_min, data->n_params[r]);
    notes[0] = '\0';
    enum mix_status status = law->check(data, domains, targets, &out, notes, err);
    if (status != MIX_OK)
        return status;
    if (mix_law_repeats(name))
        law_note_repetition(data, notes);
    struct mix_model *model = NULL;
    status = mix_model_create(&out, data->target_domain, &model, err);
    if (model == NULL)
        return status;
    status = check_counts(data, targets, mix_model_n_free(model), name, err);
    mix_model_destroy(model);
    if (status == MIX_OK)
        *spec = out;
    return status;
}

/* Sizes come from files too, so they are bounded before anything is allocated. */
static enum mix_status check_shape(const struct mix_law *law, const struct mix_law_spec *spec,
                                   const int *target_domain, struct mix_error *err)
{
    const size_t n_domains = spec->n_domains, n_targets = spec->n_targets;
    if (n_domains == 0 || n_domains > MIX_DOMAINS_MAX || n_targets == 0 ||
        n_targets > MIX_DOMAINS_MAX || !(spec->n_min > 0.0))
        return mix_fail(err, MIX_EINVAL,
                        "law %s on %zu domains and %zu targets from N = %g: allowed are 1 to %d "
                        "domains, 1 to %d targets and N > 0",
                        spec->law, n_domains, n_targets, spec->n_min, MIX_DOMAINS_MAX,
                        MIX_DOMAINS_MAX);
    if (law->targets == LAW_ALL_DOMAINS && n_targets != n_domains)
        return mix_fail(err, MIX_EINVAL,
                        "law %s needs one target for each training domain, not %zu targets on %zu "
                        "domains",
                        spec->law, n_targets, n_domains);
    for (size_t m = 0; m < n_targets; m++)
        if (target_domain[m] >= (int)n_domains ||
            (law->targets != LAW_ANY_TARGET && target_domain[m] < 0))
            return mix_fail(err, MIX_EINVAL, "law %s: target %zu is not a training domain",
                            spec->law, m);
    return MIX_OK;
}

enum mix_status mix_model_create(const struct mix_law_spec *spec, const int *target_domain,
                                 struct mix_model **out, struct mix_error *err)
{
    struct mix_law_spec losses = *spec;
    const struct mix_law *law = mix_law_find(losses.law);
    if (law == NULL)
        return unknown_law(losses.law, err);
    losses.n_scores = 0;
    losses.n_targets -= spec->n_scores < spec->n_targets ? spec->n_scores : spec->n_targets;
    enum mix_status status = check_shape(law, &losses, target_domain, err);
    if (status != MIX_OK)
        return status;
    struct mix_model *model = calloc(1, sizeof *model);
    if (model == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for law %s", losses.law);
    model->law = mix_law_repeats(losses.law) ? &mix_law_repetition : law;
    model->spec = losses;
    model->whole = *spec;
    model->isa = mix_isa_best();
    model->ln_h_min = log(losses.h_min);
    model->ln_n_min = log(losses.n_min);
    model->ln_n_domains = log((double)losses.n_domains);
    const size_t n_targets = losses.n_targets;
    status = mix_fail(err, MIX_ENOMEM, "out of memory for law %s", losses.law);
    model->target_domain = calloc(n_targets, sizeof *model->target_domain);
    if (model->target_domain == NULL)
        goto fail;
    memcpy(model->target_domain, target_domain, n_targets * sizeof *target_domain);
    status = model->law->layout(model, err);
    if (status == MIX_OK)
        status = law_points_create(1, losses.n_domains, &model->point_1, err);
    if (status != MIX_OK)
        goto fail;
    model->theta_1 = calloc(model->n_theta, sizeof *model->theta_1);
    model->lambda_1 = calloc(n_targets * model->n_linear, sizeof *model->lambda_1);
    model->g_1 = calloc(n_targets, sizeof *model->g_1);
    model->phi_1 = calloc(n_targets * model->n_linear, sizeof *model->phi_1);
    model->slope_1 = calloc(n_targets, sizeof *model->slope_1);
    model->supply = calloc(losses.n_domains, sizeof *model->supply);
    status = mix_fail(err, MIX_ENOMEM, "out of memory for law %s", losses.law);
    if (model->theta_1 == NULL || model->lambda_1 == NULL || model->g_1 == NULL ||
        model->phi_1 == NULL || model->slope_1 == NULL || model->supply == NULL)
        goto fail;
    mix_model_set_supply(model, NULL);
    status = law_model_reserve(model, 1, err);
    if (status != MIX_OK)
        goto fail;
    *out = model;
    return mix_fail(err, MIX_OK, "%s", "");
fail:
    mix_model_destroy(model);
    return status;
}

void mix_model_destroy(struct mix_model *model)
{
    if (model == NULL)
        return;
    law_points_destroy(&model->point_1);
    free(model->target_domain);
    free(model->own_column);
    free(model->lower);
    free(model->upper);
    free(model->idle);
    free(model->symbols);
    free(model->pull);
    free(model->heavy_tails);
    free(model->centre);
    free(model->scratch);
    free(model->offset);
    free(model->theta_1);
    free(model->lambda_1);
    free(model->g_1);
    free(model->phi_1);
    free(model->slope_1);
    free(model->supply);
    free(model->worth);
    law_points_destroy(&model->effective);
    mix_model_destroy(model->inner);
    free(model->cache);
    free(model);
}

const struct mix_law_spec *mix_model_spec(const struct mix_model *model)
{
    return &model->whole;
}

static size_t n_score_params(const struct mix_model *model)
{
    return model->whole.n_scores * score_params(model->spec.n_targets);
}

size_t mix_model_n_params(const struct mix_model *model)
{
    return model->n_params + n_score_params(model);
}

size_t mix_model_n_free(const struct mix_model *model)
{
    return model->n_params - model->n_gauge + n_score_params(model);
}

void mix_model_param_name(const struct mix_model *model, size_t p, const char *const *domains,
                          const char *const *targets, char *name, char *unit)
{
    const size_t n_losses = model->spec.n_targets, of_score = score_params(n_losses);
    if (p < model->n_params)
        model->law->param_name(model, p, domains, targets, name, unit);
    else
        score_param_name((p - model->n_params) % of_score,
                         targets[n_losses + (p - model->n_params) / of_score], targets, name, unit);
}

void mix_model_set_supply(struct mix_model *model, const double *supply)
{
    for (size_t j = 0; j < model->spec.n_domains; j++)
        model->supply[j] = supply == NULL || isnan(supply[j]) ? INFINITY : supply[j];
}

static enum mix_status one_point(struct mix_model *model, const double *params,
                                 const double *mixture, const double *unique, double n_params,
                                 double n_tokens, struct mix_error *err)
{
    const double least = model->law->least_size(model, params);
    if (!(n_params >= least))
        return mix_fail(
            err, MIX_EINVAL,
            "N = %g million parameters is below H = %g million, the capacity that law %s "
            "gives every domain; ask for a larger model",
            n_params, least, model->spec.law);
    if (!(n_params > 0.0) || !(n_tokens > 0.0))
        return mix_fail(err, MIX_EINVAL, "N = %g and D = %g must be positive", n_params, n_tokens);
    law_points_set(&model->point_1, 0, mixture, n_params, n_tokens);
    law_points_set_unique(&model->point_1, 0, unique);
    law_model_reset(model);
    model->law->eval(model, model->theta_1, &model->point_1, model->g_1, model->phi_1);
    return MIX_OK;
}

static void one_point_losses(const struct mix_model *model, const double *params, double *loss)
{
    const size_t n_targets = model->spec.n_targets, n_linear = model->n_linear;
    for (size_t m = 0; m < n_targets; m++) {
        loss[m] = model->g_1[m];
        for (size_t l = 0; l < n_linear; l++)
            loss[m] += model->lambda_1[m * n_linear + l] * model->phi_1[l * n_targets + m];
    }
    scores_from_losses(n_targets, model->whole.n_scores, params + model->n_params, loss);
}

enum mix_status mix_model_predict(struct mix_model *model, const double *params, size_t n_rows,
                                  const double *mixture, const double *n_params,
                                  const double *n_tokens, double *loss, struct mix_error *err)
{
    return mix_model_predict_runs(model, params, n_rows, mixture, NULL, n_params, n_tokens, loss,
                                  err);
}

enum mix_status mix_model_predict_runs(struct mix_model *model, const double *params, size_t n_rows,
                                       const double *mixture, const double *unique,
                                       const double *n_params, const double *n_tokens, double *loss,
                                       struct mix_error *err)
{
    const size_t n_domains = model->spec.n_domains;
    model->law->from_natural(model, params, model->theta_1, model->lambda_1);
    for (size_t r = 0; r < n_rows; r++) {
        const double *of_run = unique != NULL ? unique + r * n_domains : model->supply;
        const enum mix_status status = one_point(model, params, mixture + r * n_domains, of_run,
                                                 n_params[r], n_tokens[r], err);
        if (status != MIX_OK)
            return status;
        one_point_losses(model, params, loss + r * model->whole.n_targets);
    }
    return MIX_OK;
}

enum mix_status mix_model_gradient(struct mix_model *model, const double *params,
                                   const double *mixture, double n_params, double n_tokens,
                                   double *loss, double *dloss_dh, struct mix_error *err)
{
    model->law->from_natural(model, params, model->theta_1, model->lambda_1);
    const enum mix_status status =
        one_point(model, params, mixture, model->supply, n_params, n_tokens, err);
    if (status != MIX_OK)
        return status;
    one_point_losses(model, params, loss);
    model->law->point_gradient(model, model->theta_1, &model->point_1, 0, model->lambda_1,
                               model->phi_1, dloss_dh, model->slope_1);
    score_slopes(model->spec.n_targets, model->whole.n_scores, params + model->n_params, loss,
                 model->spec.n_domains, dloss_dh);
    return MIX_OK;
}

enum mix_status mix_model_supply_gradient(struct mix_model *model, const double *params,
                                          const double *mixture, double n_params, double n_tokens,
                                          double *dloss_dsupply, struct mix_error *err)
{
    model->law->from_natural(model, params, model->theta_1, model->lambda_1);
    const enum mix_status status =
        one_point(model, params, mixture, model->supply, n_params, n_tokens, err);
    if (status != MIX_OK)
        return status;
    const size_t n_losses = model->spec.n_targets, n_scores = model->whole.n_scores;
    double *loss = malloc((n_losses + n_scores) * sizeof *loss);
    if (loss == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu losses", n_losses);
    one_point_losses(model, params, loss);
    law_supply_gradient(model, dloss_dsupply);
    score_slopes(n_losses, n_scores, params + model->n_params, loss, model->spec.n_domains,
                 dloss_dsupply);
    free(loss);
    return MIX_OK;
}

static size_t padded(size_t n)
{
    return (n + LANES_MOST - 1) / LANES_MOST * LANES_MOST;
}

enum mix_status law_points_create(size_t n_rows, size_t n_domains, struct law_points *points,
                                  struct mix_error *err)
{
    const size_t ld = padded(n_rows);
    *points =
        (struct law_points){.n_rows = n_rows, .n_domains = n_domains, .capacity = n_rows, .ld = ld};
    points->h = calloc(n_rows * n_domains, sizeof(double));
    points->ln_h = calloc(n_rows * n_domains, sizeof(double));
    points->unique = calloc(n_rows * n_domains, sizeof(double));
    points->n = calloc(n_rows, sizeof(double));
    points->ln_n = calloc(ld, sizeof(double));
    points->ln_d = calloc(ld, sizeof(double));
    points->cell = calloc(n_rows, sizeof *points->cell);
    points->cell_ln_h = calloc(ld * n_domains, sizeof(double));
    points->cell_n = calloc(ld, sizeof(double));
    points->cell_ln_n = calloc(ld, sizeof(double));
    if (points->h == NULL || points->ln_h == NULL || points->unique == NULL || points->n == NULL ||
        points->ln_n == NULL || points->ln_d == NULL || points->cell == NULL ||
        points->cell_ln_h == NULL || points->cell_n == NULL || points->cell_ln_n == NULL) {
        law_points_destroy(points);
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu points", n_rows);
    }
    return MIX_OK;
}

void law_points_destroy(struct law_points *points)
{
    free(points->h);
    free(points->ln_h);
    free(points->unique);
    free(points->n);
    free(points->ln_n);
    free(points->ln_d);
    free(points->cell);
    free(points->cell_ln_h);
    free(points->cell_n);
    free(points->cell_ln_n);
    *points = (struct law_points){0};
}

/* Row r begins a cell; the lanes of its block that have no cell yet are given the same one. */
static void add_cell(struct law_points *points, size_t r)
{
    const size_t c = points->n_cells++;
    const size_t end = c % LANES_MOST == 0 ? c + LANES_MOST : c + 1;
    for (size_t i = c; i < end; i++) {
        for (size_t j = 0; j < points->n_domains; j++)
            points->cell_ln_h[j * points->ld + i] = points->ln_h[r * points->n_domains + j];
        points->cell_n[i] = points->n[r];
        points->cell_ln_n[i] = points->ln_n[r];
    }
}

void law_points_find_cell(struct law_points *points, size_t r)
{
    const size_t n = points->n_domains, before = r - (r > 0);
    bool same = r > 0 && points->n[before] == points->n[r];
    for (size_t j = 0; same && j < n; j++)
        same = points->h[before * n + j] == points->h[r * n + j];
    if (r == 0)
        points->n_cells = 0;
    if (!same)
        add_cell(points, r);
    points->cell[r] = points->n_cells - 1;
}

void law_points_set(struct law_points *points, size_t r, const double *h, double n, double d)
{
    for (size_t j = 0; j < points->n_domains; j++) {
        points->h[r * points->n_domains + j] = h[j];
        points->ln_h[r * points->n_domains + j] = log(h[j]);
        points->unique[r * points->n_domains + j] = INFINITY;
    }
    points->n[r] = n;
    points->ln_n[r] = log(n);
    points->ln_d[r] = log(d);
    law_points_find_cell(points, r);
}

void law_points_set_unique(struct law_points *points, size_t r, const double *unique)
{
    memcpy(points->unique + r * points->n_domains, unique, points->n_domains * sizeof *unique);
}

/* Room for R points in the law under LAW+repetition, which has no cache of its own. */
static enum mix_status reserve_inner(struct mix_model *model, size_t n_rows, struct mix_error *err)
{
    if (n_rows > model->effective.capacity) {
        law_points_destroy(&model->effective);
        const enum mix_status status =
            law_points_create(n_rows, model->spec.n_domains, &model->effective, err);
        if (status != MIX_OK)
            return status;
    }
    return law_model_reserve(model->inner, n_rows, err);
}

enum mix_status law_model_reserve(struct mix_model *model, size_t n_rows, struct mix_error *err)
{
    if (model->inner != NULL)
        return reserve_inner(model, n_rows, err);
    if (n_rows > model->cache_rows) {
        const size_t n_padded = padded(n_rows);
        double *cache = realloc(model->cache, n_padded * model->cache_row * sizeof *cache);
        if (cache == NULL)
            return mix_fail(err, MIX_ENOMEM, "out of memory for %zu points", n_rows);
        model->cache = cache;
        model->cache_rows = n_padded;
    }
    law_model_reset(model);
    return MIX_OK;
}

const char *law_domains_hint(const struct mix_data *data)
{
    for (size_t m = 0; m < data->n_targets; m++)
        if (data->target_domain[m] >= 0)
            return "select --targets domains or ";
    return "";
}

bool law_make_priors(struct mix_model *model)
{
    model->pull = calloc(model->n_theta + 1, sizeof *model->pull);
    model->centre = calloc(model->n_theta + 1, sizeof *model->centre);
    model->heavy_tails = calloc(model->n_theta + 1, sizeof *model->heavy_tails);
    return model->pull != NULL && model->centre != NULL && model->heavy_tails != NULL;
}

void law_set_heavy_tails(struct mix_model *model, size_t at, size_t n)
{
    memset(model->heavy_tails + at, 1, n * sizeof *model->heavy_tails);
}

void law_set_prior(struct mix_model *model, size_t at, size_t n, double centre, double sd)
{
    for (size_t i = at; i < at + n; i++) {
        model->pull[i] = 1.0 / (sd * sd);
        model->centre[i] = centre;
    }
}

void law_model_reset(struct mix_model *model)
{
    if (model->inner != NULL)
        law_model_reset(model->inner);
    for (size_t r = 0; r < model->cache_rows; r++)
        model->cache[r] = NAN;
    if (model->idle != NULL)
        memset(model->idle, 0, model->spec.n_targets * sizeof *model->idle);
}

void law_model_set_isa(struct mix_model *model, enum mix_isa isa)
{
    model->isa = isa;
    if (model->inner != NULL)
        law_model_set_isa(model->inner, isa);
}
