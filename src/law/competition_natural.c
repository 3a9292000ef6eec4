/* SPDX-License-Identifier: GPL-3.0-or-later */
/* competition_natural.c - the natural parameters of the competition laws: their order, their names,
 * and the way from and to theta.
 *
 * Order: b (M), c (M), A (M), a (M), E (M), H, T (rows of targets), gamma (M), P (M), p, Q (M), q;
 * a law has those that it needs.
 */
#include "competition.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Where the blocks of natural parameters begin; SIZE_MAX where a model has none. */
struct natural {
    size_t b, c, noise, a, irreducible, h_low, transfer, n_transfer, gamma, size, p, token, q;
};

static struct natural natural_layout(const struct mix_model *model)
{
    const size_t n_targets = model->spec.n_targets, n_domains = model->spec.n_domains;
    const size_t *at = model->offset;
    const size_t none = SIZE_MAX;
    struct natural n = {.b = 0,
                        .c = n_targets,
                        .noise = none,
                        .a = none,
                        .h_low = none,
                        .transfer = none,
                        .gamma = none,
                        .size = none,
                        .p = none,
                        .token = none,
                        .q = none};
    size_t next = 2 * n_targets;
    if (at[AT_NOISE] != SIZE_MAX) {
        n.noise = next;
        n.a = next + n_targets;
        next += 2 * n_targets;
    }
    n.irreducible = next;
    next += n_targets;
    if (at[AT_H] != SIZE_MAX)
        n.h_low = next++;
    if (at[AT_TRANSFER] != SIZE_MAX || at[AT_DEMAND] != SIZE_MAX) {
        n.transfer = next;
        n.n_transfer = n_targets * (at[AT_DEMAND] != SIZE_MAX ? n_domains : n_domains - 1);
        next += n.n_transfer;
    }
    if (at[AT_GAMMA] != SIZE_MAX) {
        n.gamma = next;
        next += n_targets;
    }
    if (at[AT_SIZE] != SIZE_MAX) {
        n.size = next;
        n.p = next + n_targets;
        next += n_targets + 1;
    }
    if (at[AT_TOKEN] != SIZE_MAX) {
        n.token = next;
        n.q = next + n_targets;
        next += n_targets + 1;
    }
    assert(next == model->n_params);
    return n;
}

void competition_to_natural(const struct mix_model *model, const double *theta,
                            const double *lambda, double *params)
{
    const size_t n_targets = model->spec.n_targets, n_linear = model->n_linear;
    const size_t *at = model->offset;
    const struct natural n = natural_layout(model);
    const struct competition_terms term = competition_terms_of(model);
    const struct competition_values k = competition_unpack(model, theta);
    for (size_t m = 0; m < n_targets; m++) {
        const double *linear = lambda + m * n_linear;
        params[n.b + m] = k.b[m];
        params[n.c + m] = exp(k.ln_c[m]);
        params[n.irreducible + m] = linear[0];
        if (n.noise != SIZE_MAX) {
            params[n.noise + m] = linear[term.noise];
            params[n.a + m] = k.a[m];
        }
        if (n.gamma != SIZE_MAX)
            params[n.gamma + m] = k.gamma[m];
        if (n.size != SIZE_MAX)
            params[n.size + m] = linear[term.size];
        if (n.token != SIZE_MAX)
            params[n.token + m] = linear[term.token];
    }
    if (n.h_low != SIZE_MAX)
        params[n.h_low] = k.h_low;
    if (at[AT_TRANSFER] != SIZE_MAX)
        memcpy(params + n.transfer, theta + at[AT_TRANSFER], n.n_transfer * sizeof *params);
    if (at[AT_DEMAND] != SIZE_MAX)
        memcpy(params + n.transfer, k.transfer, n.n_transfer * sizeof *params);
    if (n.p != SIZE_MAX)
        params[n.p] = k.p_size;
    if (n.q != SIZE_MAX)
        params[n.q] = k.p_token;
}

static double safe_log(double x)
{
    return log(fmax(x, 1e-300));
}

void competition_from_natural(const struct mix_model *model, const double *params, double *theta,
                              double *lambda)
{
    const size_t n_targets = model->spec.n_targets, n_linear = model->n_linear;
    const size_t *at = model->offset;
    const struct natural n = natural_layout(model);
    const struct competition_terms term = competition_terms_of(model);
    for (size_t m = 0; m < n_targets; m++) {
        double *linear = lambda + m * n_linear;
        theta[at[AT_B] + m] = safe_log(params[n.b + m]);
        theta[at[AT_C] + m] = safe_log(params[n.c + m]) - params[n.b + m] * model->ln_x_ref;
        linear[0] = params[n.irreducible + m];
        if (n.noise != SIZE_MAX) {
            linear[term.noise] = params[n.noise + m];
            theta[at[AT_NOISE] + m] = safe_log(params[n.a + m]);
        }
        if (n.gamma != SIZE_MAX)
            theta[at[AT_GAMMA] + m] = safe_log(params[n.gamma + m]);
        if (n.size != SIZE_MAX)
            linear[term.size] = params[n.size + m];
        if (n.token != SIZE_MAX)
            linear[term.token] = params[n.token + m];
    }
    if (n.h_low != SIZE_MAX) {
        const double share = fmin(params[n.h_low] / model->spec.n_min, 1.0 - 1e-15);
        theta[at[AT_H]] = safe_log(share) - log1p(-share);
    }
    if (at[AT_TRANSFER] != SIZE_MAX)
        memcpy(theta + at[AT_TRANSFER], params + n.transfer, n.n_transfer * sizeof *theta);
    for (size_t i = 0; at[AT_DEMAND] != SIZE_MAX && i < n.n_transfer; i++)
        theta[at[AT_DEMAND] + i] = safe_log(params[n.transfer + i]);
    if (n.p != SIZE_MAX)
        theta[at[AT_SIZE]] = safe_log(params[n.p]);
    if (n.q != SIZE_MAX)
        theta[at[AT_TOKEN]] = safe_log(params[n.q]);
}

/* A row-major matrix. */
struct view {
    double *at;
    size_t n_columns;
};

static double *entry(const struct view *view, size_t row, size_t column)
{
    return view->at + row * view->n_columns + column;
}

/* d T_i / d logit_j of one row of demand's T, the rows n_columns apart. */
static void softmax_jacobian(size_t n, const double *t, double *jac, size_t n_columns)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            jac[i * n_columns + j] = t[i] * ((i == j ? 1.0 : 0.0) - t[j]);
}

void competition_natural_jacobian(const struct mix_model *model, const double *theta, double *jac)
{
    const size_t n_targets = model->spec.n_targets, n_domains = model->spec.n_domains;
    const size_t n_linear = model->n_linear, n_columns = model->n_theta + n_targets * n_linear;
    const size_t *at = model->offset;
    const struct natural n = natural_layout(model);
    const struct competition_terms term = competition_terms_of(model);
    const struct competition_values k = competition_unpack(model, theta);
    const struct view view = {jac, n_columns};
    for (size_t m = 0; m < n_targets; m++) {
        const size_t linear = model->n_theta + m * n_linear;
        const double c = exp(k.ln_c[m]);
        *entry(&view, n.b + m, at[AT_B] + m) = k.b[m];
        *entry(&view, n.c + m, at[AT_C] + m) = c;
        *entry(&view, n.c + m, at[AT_B] + m) = c * k.b[m] * model->ln_x_ref;
        *entry(&view, n.irreducible + m, linear) = 1.0;
        if (n.noise != SIZE_MAX) {
            *entry(&view, n.noise + m, linear + (size_t)term.noise) = 1.0;
            *entry(&view, n.a + m, at[AT_NOISE] + m) = k.a[m];
        }
        if (n.gamma != SIZE_MAX)
            *entry(&view, n.gamma + m, at[AT_GAMMA] + m) = k.gamma[m];
        if (n.size != SIZE_MAX)
            *entry(&view, n.size + m, linear + (size_t)term.size) = 1.0;
        if (n.token != SIZE_MAX)
            *entry(&view, n.token + m, linear + (size_t)term.token) = 1.0;
        if (at[AT_DEMAND] != SIZE_MAX)
            softmax_jacobian(n_domains, k.transfer + m * n_domains,
                             jac + (n.transfer + m * n_domains) * n_columns + at[AT_DEMAND] +
                                 m * n_domains,
                             n_columns);
    }
    if (n.h_low != SIZE_MAX)
        *entry(&view, n.h_low, at[AT_H]) = k.h_low * k.d_ln_h;
    for (size_t i = 0; at[AT_TRANSFER] != SIZE_MAX && i < n.n_transfer; i++)
        *entry(&view, n.transfer + i, at[AT_TRANSFER] + i) = 1.0;
    if (n.p != SIZE_MAX)
        *entry(&view, n.p, at[AT_SIZE]) = k.p_size;
    if (n.q != SIZE_MAX)
        *entry(&view, n.q, at[AT_TOKEN]) = k.p_token;
}

static void name_param(char *name, char *unit, const char *symbol, const char *index,
                       const char *unit_text)
{
    if (index != NULL)
        snprintf(name, 2 * MIX_NAME_MAX, "%s[%.*s]", symbol, MIX_NAME_MAX - 1, index);
    else
        snprintf(name, 2 * MIX_NAME_MAX, "%s", symbol);
    snprintf(unit, MIX_UNIT_MAX, "%s", unit_text);
}

static void name_transfer(const struct mix_model *model, size_t i, const char *const *domains,
                          const char *const *targets, char *name, char *unit)
{
    const size_t n_domains = model->spec.n_domains;
    const bool demand = model->offset[AT_DEMAND] != SIZE_MAX;
    const size_t width = demand ? n_domains : n_domains - 1;
    const size_t m = i / width;
    size_t j = i % width;
    if (!demand && j >= (size_t)model->target_domain[m])
        j++;
    snprintf(name, 2 * MIX_NAME_MAX, "T[%.*s,%.*s]", MIX_NAME_MAX - 4, targets[m], MIX_NAME_MAX - 4,
             domains[j]);
    snprintf(unit, MIX_UNIT_MAX, "1");
}

void competition_param_name(const struct mix_model *model, size_t p, const char *const *domains,
                            const char *const *targets, char *name, char *unit)
{
    const size_t n_targets = model->spec.n_targets;
    const struct natural n = natural_layout(model);
    const struct {
        size_t at;
        const char *symbol, *unit;
    } blocks[] = {{n.b, "b", "1"},       {n.c, "c", "loss"},           {n.noise, "A", "loss"},
                  {n.a, "a", "1"},       {n.irreducible, "E", "loss"}, {n.gamma, "gamma", "1"},
                  {n.size, "P", "loss"}, {n.token, "Q", "loss"}};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        if (blocks[i].at != SIZE_MAX && p >= blocks[i].at && p < blocks[i].at + n_targets) {
            name_param(name, unit, blocks[i].symbol, targets[p - blocks[i].at], blocks[i].unit);
            return;
        }
    if (p == n.h_low)
        name_param(name, unit, "H", NULL, "1e6 parameters");
    else if (p == n.p)
        name_param(name, unit, "p", NULL, "1");
    else if (p == n.q)
        name_param(name, unit, "q", NULL, "1");
    else
        name_transfer(model, p - n.transfer, domains, targets, name, unit);
}

double competition_least_size(const struct mix_model *model, const double *params)
{
    const struct natural n = natural_layout(model);
    if (model->spec.form == 1)
        return 0.0;
    return n.h_low != SIZE_MAX ? params[n.h_low] : competition_fixed_h(model);
}
