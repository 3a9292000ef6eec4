/* SPDX-License-Identifier: GPL-3.0-or-later */
/* world.h - sweeps whose law is known, for the tests of the fit. */
#ifndef MIXSWEEP_TESTS_FIT_WORLD_H
#define MIXSWEEP_TESTS_FIT_WORLD_H

#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/fit.h"

enum { WORLD_MAX = 8 };

static const char *const world_names[WORLD_MAX] = {"arxiv", "book",  "code", "dialogue",
                                                   "essay", "forum", "game", "health"};

/** What to simulate: targets are domains, then none; sizes and lengths end by 0. */
struct world_plan {
    const char *law;
    size_t n_domains, n_targets, n_mixtures;
    double sizes[WORLD_MAX];   /* 1e6 parameters */
    double lengths[WORLD_MAX]; /* 1e9 tokens */
    double noise;              /* standard deviation of the losses */
    uint64_t seed;
};

/** A table of runs, and the law behind it. */
struct world {
    struct mix_model *model;
    double *params; /* (P) */
    struct mix_table *table;
};

static inline void must(enum mix_status status, const struct mix_error *err)
{
    if (status == MIX_OK)
        return;
    fprintf(stderr, "the test's own set-up failed: %s\n", err->text);
    abort();
}

static inline void *zeros(size_t n, size_t size)
{
    void *p = calloc(n > 0 ? n : 1, size);
    if (p == NULL)
        abort();
    return p;
}

static inline double *numbers(size_t n)
{
    return zeros(n, sizeof(double));
}

static inline gsl_rng *stream(uint64_t seed, const char *what)
{
    gsl_rng *rng = mix_rng_create(mix_key_make(seed, what, NULL, 0));
    if (rng == NULL)
        abort();
    return rng;
}

static inline double uniform(gsl_rng *rng, double low, double high)
{
    return low + (high - low) * gsl_rng_uniform(rng);
}

/* Place of a natural parameter by name, or P. */
static inline size_t param_index(const struct mix_model *model, const char *name)
{
    const size_t n = mix_model_n_params(model);
    for (size_t p = 0; p < n; p++) {
        char this[2 * MIX_NAME_MAX], unit[MIX_UNIT_MAX];
        mix_model_param_name(model, p, world_names, world_names, this, unit);
        if (strcmp(this, name) == 0)
            return p;
    }
    return n;
}

/* c[x] belongs to b[x], A[x] to a[x], P[x] to p[x] or p, Q[x] to q[x] or q; 0 where there is none.
 */
static inline double exponent_of(const struct world *world, const char *factor)
{
    char name[2 * MIX_NAME_MAX];
    const size_t n = mix_model_n_params(world->model);
    snprintf(name, sizeof name, "%s", factor);
    name[0] = factor[0] == 'c' ? 'b' : (char)(factor[0] - 'A' + 'a');
    size_t p = param_index(world->model, name);
    name[1] = '\0';
    p = p < n ? p : param_index(world->model, name);
    return p < n ? world->params[p] : 0.0;
}

static inline double middle(const double *ended_by_0)
{
    size_t last = 0;
    while (last + 1 < WORLD_MAX && ended_by_0[last + 1] > 0.0)
        last++;
    return sqrt(ended_by_0[0] * ended_by_0[last]);
}

/* Exponents and shares first; then factors, so that terms are 0.2 to 1.5 in the middle of the
 * plan, on an irreducible loss of 1 to 2. */
static inline void set_truth(const struct world_plan *plan, struct world *world, bool factors,
                             gsl_rng *rng)
{
    const double share = 1.0 / (double)plan->n_domains;
    for (size_t p = 0; p < mix_model_n_params(world->model); p++) {
        char name[2 * MIX_NAME_MAX], unit[MIX_UNIT_MAX];
        mix_model_param_name(world->model, p, world_names, world_names, name, unit);
        if (factors != (strchr("cAPQ", name[0]) != NULL))
            continue;
        const double exponent = factors ? exponent_of(world, name) : 0.0;
        if (name[0] == 'c')
            world->params[p] = uniform(rng, 0.5, 1.5) * pow(middle(plan->sizes) * share, exponent);
        else if (name[0] == 'A')
            world->params[p] =
                uniform(rng, 0.2, 0.6) * pow(middle(plan->lengths) * share, exponent);
        else if (name[0] == 'P')
            world->params[p] = uniform(rng, 0.2, 0.5) * pow(middle(plan->sizes), exponent);
        else if (name[0] == 'Q')
            world->params[p] = uniform(rng, 0.2, 0.5) * pow(middle(plan->lengths), exponent);
        else if (name[0] == 'E')
            world->params[p] = uniform(rng, 1.0, 2.0);
        else if (name[0] == 'H')
            world->params[p] = uniform(rng, 0.1, 0.3) * plan->sizes[0];
        else if (name[0] == 'T')
            world->params[p] = uniform(rng, 0.05, 0.4);
        else if (name[0] == 'p' || name[0] == 'q')
            world->params[p] = uniform(rng, 0.2, 0.45);
        else
            world->params[p] = uniform(rng, 0.2, 0.8);
    }
}

/* Rows of demand's T sum to 1. */
static inline void normalise_demand(const struct world_plan *plan, struct world *world)
{
    const size_t n_domains = plan->n_domains;
    char first[2 * MIX_NAME_MAX];
    snprintf(first, sizeof first, "T[%s,%s]", world_names[0], world_names[0]);
    double *row = world->params + param_index(world->model, first);
    if (strcmp(plan->law, "demand") != 0)
        return;
    for (size_t m = 0; m < plan->n_targets; m++, row += n_domains) {
        double sum = 0.0;
        for (size_t j = 0; j < n_domains; j++)
            sum += row[j];
        for (size_t j = 0; j < n_domains; j++)
            row[j] /= sum;
    }
}

/* Append the runs of one mixture at all sizes and lengths, with losses. */
static inline void add_mixture(const struct world_plan *plan, struct world *world, size_t number,
                               const double *h, gsl_rng *rng)
{
    struct mix_table *table = world->table;
    for (size_t i = 0; i < WORLD_MAX && plan->sizes[i] > 0.0; i++)
        for (size_t k = 0; k < WORLD_MAX && plan->lengths[k] > 0.0; k++) {
            const size_t r = mix_table_append(table);
            if (r == SIZE_MAX)
                abort();
            snprintf(table->runs[r].run, MIX_NAME_MAX, "m%zu-%g", number, plan->lengths[k]);
            table->runs[r].n_params = plan->sizes[i] * 1e6;
            table->runs[r].n_tokens = plan->lengths[k] * 1e9;
            memcpy(table->mixture + r * plan->n_domains, h, plan->n_domains * sizeof *h);
            memcpy(table->asked + r * plan->n_domains, h, plan->n_domains * sizeof *h);
            double *loss = table->loss + r * plan->n_targets;
            struct mix_error err = {{0}};
            must(mix_model_predict(world->model, world->params, 1, h, &plan->sizes[i],
                                   &plan->lengths[k], loss, &err),
                 &err);
            for (size_t m = 0; m < plan->n_targets; m++)
                loss[m] += plan->noise * gsl_ran_gaussian_ziggurat(rng, 1.0);
        }
}

/* Flat Dirichlet mixtures, none below 0.01. */
static inline void add_mixtures(const struct world_plan *plan, struct world *world)
{
    gsl_rng *rng = stream(plan->seed, "mixtures"), *noise = stream(plan->seed, "noise");
    double h[WORLD_MAX], ones[WORLD_MAX];
    for (size_t j = 0; j < WORLD_MAX; j++)
        ones[j] = 1.0;
    for (size_t i = 0; i < plan->n_mixtures; i++) {
        gsl_ran_dirichlet(rng, plan->n_domains, ones, h);
        for (size_t j = 0; j < plan->n_domains; j++)
            h[j] = 0.01 + (1.0 - 0.01 * (double)plan->n_domains) * h[j];
        add_mixture(plan, world, i, h, noise);
    }
    gsl_rng_free(rng);
    gsl_rng_free(noise);
}

static inline struct mix_law_spec world_spec(const struct world_plan *plan)
{
    struct mix_law_spec spec = {.n_domains = plan->n_domains,
                                .n_targets = plan->n_targets,
                                .n_min = plan->sizes[0],
                                .h_min = 1e-4};
    snprintf(spec.law, sizeof spec.law, "%s", plan->law);
    if (strcmp(plan->law, "capacity") != 0) {
        spec.has_size_term = plan->sizes[1] > 0.0;
        spec.has_token_term = plan->lengths[1] > 0.0;
    }
    return spec;
}

static inline struct world world_create(const struct world_plan *plan)
{
    struct world world = {NULL, NULL, mix_table_create(plan->n_domains, plan->n_targets)};
    const struct mix_law_spec spec = world_spec(plan);
    struct mix_error err = {{0}};
    int target_domain[WORLD_MAX];
    for (size_t m = 0; m < plan->n_targets; m++) {
        target_domain[m] = m < plan->n_domains ? (int)m : -1;
        snprintf(world.table->targets[m].name, MIX_NAME_MAX, "%s", world_names[m]);
    }
    for (size_t j = 0; j < plan->n_domains; j++)
        snprintf(world.table->domains[j].name, MIX_NAME_MAX, "%s", world_names[j]);
    mix_table_link_targets(world.table);
    must(mix_model_create(&spec, target_domain, &world.model, &err), &err);
    world.params = numbers(mix_model_n_params(world.model));
    gsl_rng *rng = stream(plan->seed, "truth");
    set_truth(plan, &world, false, rng);
    set_truth(plan, &world, true, rng);
    gsl_rng_free(rng);
    normalise_demand(plan, &world);
    add_mixtures(plan, &world);
    must(mix_table_finish(world.table, &err), &err);
    return world;
}

static inline void world_destroy(struct world *world)
{
    mix_model_destroy(world->model);
    mix_table_destroy(world->table);
    free(world->params);
}

/* The selected numbers of all rows and targets. */
static inline struct mix_data *world_data(const struct world *world)
{
    const struct mix_selection all = {.targets = "all", .checkpoints = MIX_CHECKPOINTS_ALL};
    struct mix_data *data = NULL;
    struct mix_error err = {{0}};
    must(mix_table_select(world->table, &all, &data, &err), &err);
    return data;
}

/* Options of a quick fit without hold-out. */
static inline struct mix_fit_options quick_options(const char *law, size_t n_starts)
{
    struct mix_fit_options options = mix_fit_options_default();
    options.law = law;
    options.holdout = "none";
    options.n_starts = n_starts;
    return options;
}

static inline struct mix_fit *quick_fit(const struct mix_table *table,
                                        const struct mix_fit_options *options)
{
    struct mix_fit *fit = NULL;
    struct mix_error err = {{0}};
    must(mix_fit_run(NULL, table, options, NULL, NULL, &fit, &err), &err);
    return fit;
}

#endif
