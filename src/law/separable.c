/* SPDX-License-Identifier: GPL-3.0-or-later */
/* separable.c - see separable.h. */
#include "separable.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double BOX = 40.0, EXPONENT_MIN = 1e-3, EXPONENT_MAX = 8.0;
static const double USUAL_ALPHA = 0.34, USUAL_BETA = 0.28;

void separable_add(struct separable_symbols *symbols, bool present, const char *symbol,
                   const char *unit, bool per_domain)
{
    if (!present)
        return;
    assert(symbols->n < SEPARABLE_SYMBOLS_MAX);
    symbols->symbol[symbols->n++] = (struct separable_symbol){symbol, unit, per_domain};
}

static size_t width(const struct mix_model *model, const struct separable_symbol *symbol)
{
    return symbol->per_domain ? model->spec.n_domains : 1;
}

enum mix_status separable_layout(struct mix_model *model, size_t n_own, size_t n_linear,
                                 const struct separable_symbols *symbols, size_t n_cache,
                                 size_t n_scratch, struct mix_error *err)
{
    const size_t n_targets = model->spec.n_targets, n_theta = n_targets * n_own;
    model->n_own = n_own;
    model->n_theta = n_theta;
    model->n_linear = n_linear;
    model->n_v = 0;
    model->separable = true;
    model->n_params = 0;
    for (size_t i = 0; i < symbols->n; i++)
        model->n_params += n_targets * width(model, &symbols->symbol[i]);
    model->cache_entry = n_cache;
    model->cache_row = n_targets * n_cache + 1; /* the first number is law_model_reset()'s */
    model->own_column = calloc(n_theta + 1, sizeof *model->own_column);
    model->lower = calloc(n_theta + 1, sizeof *model->lower);
    model->upper = calloc(n_theta + 1, sizeof *model->upper);
    model->idle = calloc(n_targets, sizeof *model->idle);
    model->scratch = calloc(n_scratch + 1, sizeof *model->scratch);
    model->symbols = malloc(sizeof *model->symbols);
    if (model->symbols != NULL)
        *model->symbols = *symbols;
    if (model->symbols == NULL || model->own_column == NULL || model->lower == NULL ||
        model->upper == NULL || model->idle == NULL || model->scratch == NULL ||
        !law_make_priors(model))
        return mix_fail(err, MIX_ENOMEM, "out of memory for a law of %zu targets", n_targets);
    for (size_t i = 0; i < n_theta; i++)
        model->own_column[i] = i;
    separable_box(model, 0, n_own, -BOX, BOX);
    return MIX_OK;
}

void separable_box(struct mix_model *model, size_t at, size_t n, double lower, double upper)
{
    for (size_t m = 0; m < model->spec.n_targets; m++)
        for (size_t i = m * model->n_own + at; i < m * model->n_own + at + n; i++) {
            model->lower[i] = lower;
            model->upper[i] = upper;
        }
}

void separable_prior(struct mix_model *model, size_t at, size_t n, double centre, double sd)
{
    for (size_t m = 0; m < model->spec.n_targets; m++)
        law_set_prior(model, m * model->n_own + at, n, centre, sd);
}

void separable_clip(const struct mix_model *model, double *theta)
{
    for (size_t i = 0; i < model->n_theta; i++)
        theta[i] = fmin(fmax(theta[i], model->lower[i]), model->upper[i]);
}

/* What the targets of a point have in common. */
static struct separable_entry entry_of(const struct mix_model *model,
                                       const struct law_points *points, size_t r)
{
    const size_t n_domains = model->spec.n_domains;
    return (struct separable_entry){.points = points,
                                    .r = r,
                                    .h = points->h + r * n_domains,
                                    .ln_h = points->ln_h + r * n_domains,
                                    .stride = points->n_rows * model->spec.n_targets};
}

static void enter_target(const struct mix_model *model, const double *theta, size_t m,
                         struct separable_entry *at)
{
    at->m = m;
    at->theta = theta + m * model->n_own;
    at->kept = model->cache + at->r * model->cache_row + 1 + m * model->cache_entry;
}

void separable_eval(struct mix_model *model, const double *theta, const struct law_points *points,
                    double *g, double *phi)
{
    const struct separable_law *law = model->law->separable;
    const size_t n_targets = model->spec.n_targets;
    if (law->unpack != NULL)
        law->unpack(model, theta);
    for (size_t r = 0; r < points->n_rows; r++) {
        if (law->at_point != NULL)
            law->at_point(model, points, r);
        struct separable_entry at = entry_of(model, points, r);
        for (size_t m = 0; m < n_targets; m++) {
            if (model->idle[m])
                continue;
            enter_target(model, theta, m, &at);
            g[r * n_targets + m] = law->value(model, &at, phi + r * n_targets + m);
        }
    }
}

void separable_jacobian(struct mix_model *model, const double *theta,
                        const struct law_points *points, const double *lambda, const double *phi,
                        double *own, double *u, double *v)
{
    (void)v;
    const struct separable_law *law = model->law->separable;
    const size_t n_targets = model->spec.n_targets;
    memset(u, 0, points->n_rows * n_targets * sizeof *u);
    if (law->unpack != NULL)
        law->unpack(model, theta);
    for (size_t r = 0; r < points->n_rows; r++) {
        if (law->at_point != NULL)
            law->at_point(model, points, r);
        struct separable_entry at = entry_of(model, points, r);
        for (size_t m = 0; m < n_targets; m++) {
            if (model->idle[m])
                continue;
            enter_target(model, theta, m, &at);
            at.linear = lambda + m * model->n_linear;
            at.phi = phi + r * n_targets + m;
            law->derivatives(model, &at, own + r * n_targets + m);
        }
    }
}

void separable_point_gradient(struct mix_model *model, const double *theta,
                              const struct law_points *points, size_t r, const double *lambda,
                              const double *phi, double *dloss_dh, double *dloss_dln_d)
{
    const struct separable_law *law = model->law->separable;
    if (law->unpack != NULL)
        law->unpack(model, theta);
    struct separable_entry at = entry_of(model, points, r);
    for (size_t m = 0; m < model->spec.n_targets; m++) {
        enter_target(model, theta, m, &at);
        at.linear = lambda + m * model->n_linear;
        at.phi = phi + r * model->spec.n_targets + m;
        law->slopes(model, &at, dloss_dh + m * model->spec.n_domains);
        dloss_dln_d[m] = law->token_slope != NULL ? law->token_slope(model, &at) : 0.0;
    }
}

static size_t n_natural(const struct mix_model *model)
{
    return model->n_params / model->spec.n_targets;
}

void separable_to_natural(const struct mix_model *model, const double *theta, const double *lambda,
                          double *params)
{
    for (size_t m = 0; m < model->spec.n_targets; m++)
        model->law->separable->to_natural(model, theta + m * model->n_own,
                                          lambda + m * model->n_linear,
                                          params + m * n_natural(model));
}

void separable_from_natural(const struct mix_model *model, const double *params, double *theta,
                            double *lambda)
{
    for (size_t m = 0; m < model->spec.n_targets; m++)
        model->law->separable->from_natural(model, params + m * n_natural(model),
                                            theta + m * model->n_own, lambda + m * model->n_linear);
}

void separable_natural_jacobian(const struct mix_model *model, const double *theta, double *jac)
{
    const size_t n_columns = model->n_theta + model->spec.n_targets * model->n_linear;
    for (size_t m = 0; m < model->spec.n_targets; m++)
        model->law->separable->natural_rows(model, theta + m * model->n_own, m * model->n_own,
                                            model->n_theta + m * model->n_linear,
                                            jac + m * n_natural(model) * n_columns, n_columns);
}

void separable_param_name(const struct mix_model *model, size_t p, const char *const *domains,
                          const char *const *targets, char *name, char *unit)
{
    const struct separable_symbols *symbols = model->symbols;
    const size_t n_each = n_natural(model);
    const char *target = targets[p / n_each];
    size_t at = p % n_each, i = 0;
    while (at >= width(model, &symbols->symbol[i]))
        at -= width(model, &symbols->symbol[i++]);
    const struct separable_symbol *symbol = &symbols->symbol[i];
    if (symbol->per_domain)
        snprintf(name, 2 * MIX_NAME_MAX, "%s[%.*s,%.*s]", symbol->symbol, MIX_NAME_MAX - 6, target,
                 MIX_NAME_MAX - 6, domains[at]);
    else
        snprintf(name, 2 * MIX_NAME_MAX, "%s[%.*s]", symbol->symbol, MIX_NAME_MAX - 1, target);
    snprintf(unit, MIX_UNIT_MAX, "%s", symbol->unit);
}

double separable_least_size(const struct mix_model *model, const double *params)
{
    (void)model;
    (void)params;
    return 0.0;
}

void separable_exponent(struct mix_model *model, size_t at, bool is_size)
{
    separable_box(model, at, 1, log(EXPONENT_MIN), log(EXPONENT_MAX));
    separable_prior(model, at, 1, log(is_size ? USUAL_ALPHA : USUAL_BETA), LAW_EXPONENT_SD);
}

double separable_start_exponent(gsl_rng *rng)
{
    return log(0.05) + log(1.0 / 0.05) * gsl_rng_uniform(rng);
}

static enum mix_status check_form(const struct mix_law_spec *spec, struct mix_error *err)
{
    if (spec->form != 0)
        return mix_fail(err, MIX_EINVAL, "law %s has no forms; form eq%d belongs to capacity",
                        spec->law, spec->form);
    return MIX_OK;
}

struct range {
    double low, high;
    bool varies;
};

static struct range range_of(size_t n, const double *x)
{
    struct range range = {x[0], x[0], false};
    for (size_t i = 1; i < n; i++) {
        range.low = fmin(range.low, x[i]);
        range.high = fmax(range.high, x[i]);
    }
    range.varies = range.high - range.low > 1e-9 * range.high;
    return range;
}

enum mix_status separable_check_terms(const struct mix_data *data, const char *const *domains,
                                      const char *const *targets, struct mix_law_spec *spec,
                                      char notes[MIX_TEXT_MAX], struct mix_error *err)
{
    (void)domains;
    (void)targets;
    spec->has_size_term = range_of(data->n_rows, data->n_params).varies;
    spec->has_token_term = range_of(data->n_rows, data->n_tokens).varies;
    snprintf(
        notes, MIX_TEXT_MAX, "%s%s",
        spec->has_size_term ? "" : "what depends on N is dropped: all selected runs have one N\n",
        spec->has_token_term ? "" : "what depends on D is dropped: all selected runs have one D\n");
    return check_form(spec, err);
}

enum mix_status separable_check_one_size(const struct mix_data *data, struct mix_law_spec *spec,
                                         char notes[MIX_TEXT_MAX], struct mix_error *err)
{
    const struct range n = range_of(data->n_rows, data->n_params);
    if (n.varies)
        return mix_fail(err, MIX_EINVAL,
                        "law %s knows nothing of N, and the selected runs have from %.6g to %.6g "
                        "million parameters; select one size by --where n_params=%.10g, or use law "
                        "additive",
                        spec->law, n.low, n.high, n.high * 1e6);
    spec->has_token_term = range_of(data->n_rows, data->n_tokens).varies;
    snprintf(notes, MIX_TEXT_MAX, "law %s answers for %s whatever is asked for\n", spec->law,
             spec->has_token_term ? "the N of the selected runs"
                                  : "the scale of the selected runs");
    return check_form(spec, err);
}

enum mix_status separable_check_one_scale(const struct mix_data *data, const char *const *domains,
                                          const char *const *targets, struct mix_law_spec *spec,
                                          char notes[MIX_TEXT_MAX], struct mix_error *err)
{
    (void)domains;
    (void)targets;
    const struct range d = range_of(data->n_rows, data->n_tokens);
    const enum mix_status status = separable_check_one_size(data, spec, notes, err);
    if (status == MIX_OK && d.varies)
        return mix_fail(err, MIX_EINVAL,
                        "law %s knows nothing of D, and the selected runs saw from %.6g to %.6g "
                        "billion tokens; select one length by --where n_tokens=%.10g, or use law "
                        "additive",
                        spec->law, d.low, d.high, d.high * 1e9);
    return status;
}

void separable_contrasts(size_t n, const double *x, double *y)
{
    double sum = 0.0;
    for (size_t k = 1; k < n; k++) {
        sum += x[k - 1];
        y[k - 1] = (sum - (double)k * x[k]) / sqrt((double)(k * (k + 1)));
    }
}

void separable_from_contrasts(size_t n, const double *y, double *x)
{
    double later = 0.0;
    for (size_t j = n; j-- > 0;) {
        x[j] = later;
        if (j > 0) {
            const double each = y[j - 1] / sqrt((double)(j * (j + 1)));
            x[j] -= (double)j * each;
            later += each;
        }
    }
}

void separable_contrasts_jacobian(size_t n, double *jac, size_t n_columns)
{
    for (size_t k = 1; k < n; k++) {
        const double each = 1.0 / sqrt((double)(k * (k + 1)));
        for (size_t j = 0; j <= k; j++)
            jac[j * n_columns + k - 1] = j < k ? each : -(double)k * each;
    }
}
