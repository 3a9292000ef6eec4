/* SPDX-License-Identifier: GPL-3.0-or-later */
/* domains_bound.c - what runs that are taken for those of a nearby mixture are wrong by; see
 * mix_domains_bound() in domains.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/domains.h"

enum { SLOPE_ROWS_MAX = 2000 };
static const double SLOPE_DISTANCE = 0.1; /* nearer mixtures differ by noise, not by slope */

struct bounding {
    const struct mix_table *table;
    const struct mix_domains_change *change;
    struct mix_model *model; /* NULL = by slopes */
    const double *params;
    const char (*targets)[MIX_NAME_MAX];
    double *loss;  /* (2,M) at the mixture, and at the one it is taken for */
    double *slope; /* (M) */
    double square; /* of the errors */
    size_t n;      /* of them */
    struct mix_domains_bound *out;
};

/* The mixtures that a row may stand for, counted by i; false behind the last. */
static bool taken_for(const struct bounding *b, const double *h, size_t i, double *other)
{
    const struct mix_domains_change *c = b->change;
    const size_t n = b->table->n_domains;
    const int domain = c->action == MIX_DOMAINS_MERGE ? -1 : mix_table_domain(b->table, c->domain);
    memcpy(other, h, n * sizeof *other);
    if (c->action == MIX_DOMAINS_REVISE) {
        i += i >= (size_t)domain;
        if (i >= n)
            return false;
        other[i] += other[domain];
        other[domain] = 0;
        return true;
    }
    double sum = 0;
    for (size_t p = 0; p < c->n_parts; p++)
        sum += h[mix_table_domain(b->table, c->parts[p].name)];
    for (size_t p = 0; p < c->n_parts; p++)
        other[mix_table_domain(b->table, c->parts[p].name)] = c->parts[p].proportion * sum;
    if (c->action == MIX_DOMAINS_DROP)
        for (size_t k = 0; k < n; k++)
            other[k] = k == (size_t)domain ? 0 : h[k] / (1 - h[domain]);
    return i == 0;
}

static double distance(size_t n, const double *a, const double *b)
{
    double sum = 0;
    for (size_t k = 0; k < n; k++)
        sum += fabs(a[k] - b[k]) / 2;
    return sum;
}

static void take_error(struct bounding *b, size_t row, const char *target, double error)
{
    b->square += isnan(error) ? 0 : error * error;
    b->n += !isnan(error);
    if (!(error > b->out->loss))
        return;
    b->out->loss = error;
    memcpy(b->out->run, b->table->runs[row].run, MIX_NAME_MAX);
    memcpy(b->out->target, target, MIX_NAME_MAX);
}

static enum mix_status bound_pair(struct bounding *b, size_t row, const double *other,
                                  struct mix_error *err)
{
    const struct mix_table *t = b->table;
    const size_t n_domains = t->n_domains;
    const double *h = t->mixture + row * n_domains;
    if (b->model == NULL) {
        for (size_t m = 0; m < t->n_targets; m++)
            take_error(b, row, t->targets[m].name, b->slope[m] * distance(n_domains, h, other));
        return MIX_OK;
    }
    double mixtures[2 * MIX_DOMAINS_MAX], unique[2 * MIX_DOMAINS_MAX], n[2], d[2];
    for (size_t i = 0; i < 2; i++) {
        n[i] = t->runs[row].n_params / 1e6;
        d[i] = t->runs[row].n_tokens / 1e9;
        memcpy(mixtures + i * n_domains, i == 0 ? h : other, n_domains * sizeof *h);
        for (size_t k = 0; k < n_domains; k++)
            unique[i * n_domains + k] = mix_table_unique(t, row, k) / 1e9;
    }
    const size_t n_targets = mix_model_spec(b->model)->n_targets;
    const enum mix_status status =
        mix_model_predict_runs(b->model, b->params, 2, mixtures, unique, n, d, b->loss, err);
    for (size_t m = 0; status == MIX_OK && m < n_targets; m++)
        take_error(b, row, b->targets[m], fabs(b->loss[n_targets + m] - b->loss[m]));
    return status;
}

static enum mix_status bound_row(struct bounding *b, size_t row, struct mix_error *err)
{
    double other[MIX_DOMAINS_MAX];
    const double *h = b->table->mixture + row * b->table->n_domains;
    enum mix_status status = MIX_OK;
    for (size_t i = 0; status == MIX_OK && taken_for(b, h, i, other); i++)
        status = bound_pair(b, row, other, err);
    b->out->n_rows++;
    return status;
}

/* ---- without a fit */

static bool is_used(const struct mix_table *table, size_t row)
{
    return table->runs[row].status == MIX_RUN_DONE && !table->runs[row].excluded;
}

static void steepen(struct bounding *b, size_t i, size_t j)
{
    const struct mix_table *t = b->table;
    const double apart =
        distance(t->n_domains, t->mixture + i * t->n_domains, t->mixture + j * t->n_domains);
    if (t->runs[i].n_params != t->runs[j].n_params || t->runs[i].n_tokens != t->runs[j].n_tokens ||
        !(apart >= SLOPE_DISTANCE))
        return;
    for (size_t m = 0; m < t->n_targets; m++) {
        const double slope =
            fabs(t->loss[i * t->n_targets + m] - t->loss[j * t->n_targets + m]) / apart;
        if (slope > b->slope[m]) /* not NaN */
            b->slope[m] = slope;
    }
}

static void find_slopes(struct bounding *b)
{
    const size_t step = b->table->n_rows / SLOPE_ROWS_MAX + 1;
    for (size_t i = 0; i < b->table->n_rows; i += step)
        for (size_t j = 0; j < i && is_used(b->table, i); j += step)
            if (is_used(b->table, j))
                steepen(b, i, j);
}

static enum mix_status take_fit(struct bounding *b, const struct mix_fit *fit,
                                struct mix_error *err)
{
    bool same = fit->spec.n_domains == b->table->n_domains;
    for (size_t k = 0; same && k < b->table->n_domains; k++)
        same = strcmp(fit->domains[k], b->table->domains[k].name) == 0;
    if (!same)
        return mix_fail(err, MIX_EINVAL, "fit %s is of other domains than the runs", fit->name);
    b->params = fit->params;
    b->targets = (const char(*)[MIX_NAME_MAX])fit->targets;
    b->out->noise = fit->train.rmse;
    return mix_fit_model(fit, &b->model, err);
}

enum mix_status mix_domains_bound(const struct mix_table *old, const struct mix_fit *fit,
                                  const struct mix_domains_change *change, const uint8_t *fate,
                                  struct mix_domains_bound *out, struct mix_error *err)
{
    struct bounding b = {.table = old, .change = change, .out = out};
    const size_t n_targets = fit != NULL ? fit->spec.n_targets : old->n_targets;
    enum mix_status status = MIX_OK;
    *out = (struct mix_domains_bound){.noise = NAN};
    if (memchr(fate, MIX_DOMAINS_NEAR, old->n_rows) == NULL)
        return MIX_OK;
    b.loss = calloc(2 * n_targets + 1, sizeof *b.loss);
    b.slope = calloc(n_targets + 1, sizeof *b.slope);
    if (b.loss == NULL || b.slope == NULL)
        status = mix_fail(err, MIX_ENOMEM, "not enough memory for %zu targets", n_targets);
    else if (fit != NULL)
        status = take_fit(&b, fit, err);
    else
        find_slopes(&b);
    for (size_t r = 0; status == MIX_OK && r < old->n_rows; r++)
        if (fate[r] == MIX_DOMAINS_NEAR)
            status = bound_row(&b, r, err);
    out->rms = b.n > 0 ? sqrt(b.square / (double)b.n) : 0;
    mix_model_destroy(b.model);
    free(b.slope);
    free(b.loss);
    return status;
}
