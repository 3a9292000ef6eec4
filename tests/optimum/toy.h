/* SPDX-License-Identifier: GPL-3.0-or-later */
/* toy.h - a sweep of three domains whose law is known, for the tests of the optimum. */
#ifndef MIXSWEEP_TESTS_OPTIMUM_TOY_H
#define MIXSWEEP_TESTS_OPTIMUM_TOY_H

#include <assert.h>
#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/optimum.h"

enum { TOY_DOMAINS = 3, TOY_MIXTURES = 12 };

static const char *const toy_names[TOY_DOMAINS] = {"code", "web", "wiki"};

/* Values of "b[code]" and so on for law capacity; H is in 1e6 parameters. */
static const struct {
    char symbol;
    double value[TOY_DOMAINS];
} toy_params[] = {{'b', {0.35, 0.25, 0.30}}, {'c', {2.2, 4.1, 3.0}}, {'A', {0.9, 0.6, 1.4}},
                  {'a', {0.30, 0.25, 0.35}}, {'E', {0.4, 1.3, 0.8}}, {'H', {0.5, 0.5, 0.5}}};

static inline double toy_value(const char *name)
{
    for (size_t i = 0; i < sizeof toy_params / sizeof toy_params[0]; i++)
        for (size_t j = 0; j < TOY_DOMAINS; j++)
            if (toy_params[i].symbol == name[0] &&
                (name[1] == '\0' || strncmp(name + 2, toy_names[j], strlen(toy_names[j])) == 0))
                return toy_params[i].value[j];
    abort();
}

/* Dirichlet mixtures at 10M and 40M parameters, without losses yet. */
static inline struct mix_table *toy_table(void)
{
    const double ones[TOY_DOMAINS] = {1, 1, 1};
    struct mix_table *table = mix_table_create(TOY_DOMAINS, TOY_DOMAINS);
    gsl_rng *rng = mix_rng_create(mix_key_make(7, "toy", NULL, 0));
    for (size_t j = 0; j < TOY_DOMAINS; j++) {
        snprintf(table->domains[j].name, MIX_NAME_MAX, "%s", toy_names[j]);
        snprintf(table->targets[j].name, MIX_NAME_MAX, "%s", toy_names[j]);
        table->domains[j].prior = j == 1 ? 0.6 : 0.2;
    }
    mix_table_link_targets(table);
    for (size_t i = 0; i < TOY_MIXTURES; i++) {
        double h[TOY_DOMAINS];
        gsl_ran_dirichlet(rng, TOY_DOMAINS, ones, h);
        for (int large = 0; large < 2; large++) {
            const size_t r = mix_table_append(table);
            snprintf(table->runs[r].run, MIX_NAME_MAX, "m%zu", i);
            table->runs[r].n_params = large ? 40e6 : 10e6;
            table->runs[r].n_tokens = 2e9;
            memcpy(table->mixture + r * TOY_DOMAINS, h, sizeof h);
            memcpy(table->asked + r * TOY_DOMAINS, h, sizeof h);
        }
    }
    gsl_rng_free(rng);
    return table;
}

/* The fit that knows the truth; fills the losses of the table too. */
static inline struct mix_fit *toy_fit(struct mix_table *table)
{
    const struct mix_law_spec spec = {
        .law = "capacity", .n_domains = 3, .n_targets = 3, .n_min = 10, .h_min = 1e-4};
    const int target_domain[TOY_DOMAINS] = {0, 1, 2};
    struct mix_model *model = NULL;
    if (mix_model_create(&spec, target_domain, &model, NULL) != MIX_OK)
        abort();
    struct mix_fit *fit = mix_fit_create(3, 3, mix_model_n_params(model), 1, 1);
    snprintf(fit->name, sizeof fit->name, "truth");
    snprintf(fit->selection.targets, sizeof fit->selection.targets, "domains");
    fit->spec = spec;
    for (size_t j = 0; j < TOY_DOMAINS; j++) {
        snprintf(fit->domains[j], MIX_NAME_MAX, "%s", toy_names[j]);
        snprintf(fit->targets[j], MIX_NAME_MAX, "%s", toy_names[j]);
        fit->target_domain[j] = (int32_t)j;
        fit->target_weight[j] = 1.0;
        fit->seen_max[j] = 0.0;
    }
    for (size_t p = 0; p < fit->n_params; p++) {
        mix_model_param_name(model, p, toy_names, toy_names, fit->param_names[p],
                             fit->param_units[p]);
        fit->params[p] = toy_value(fit->param_names[p]);
    }
    fit->max_n_params = 40e6;
    fit->max_n_tokens = 2e9;
    fit->scale_error = 0.01;
    fit->scale_factor = 4.0;
    for (size_t r = 0; r < table->n_rows; r++) {
        const double size = table->runs[r].n_params / 1e6, tokens = table->runs[r].n_tokens / 1e9;
        for (size_t j = 0; j < TOY_DOMAINS; j++)
            fit->seen_max[j] = fmax(fit->seen_max[j], table->mixture[r * 3 + j]);
        if (mix_model_predict(model, fit->params, 1, table->mixture + r * 3, &size, &tokens,
                              table->loss + r * 3, NULL) != MIX_OK)
            abort();
    }
    mix_model_destroy(model);
    if (mix_table_finish(table, NULL) != MIX_OK)
        abort();
    return fit;
}

/* Draws around the truth: every parameter times exp(noise * normal). */
static inline struct mix_draws *toy_draws(const struct mix_fit *fit, size_t n, double noise)
{
    struct mix_draws *draws = mix_draws_create(n, fit->n_params);
    gsl_rng *rng = mix_rng_create(mix_key_make(8, "toy draws", NULL, 0));
    snprintf(draws->fit, sizeof draws->fit, "%s", fit->name);
    draws->fit_key = mix_fit_key(fit);
    for (size_t b = 0; b < n; b++) {
        draws->done[b] = 1;
        for (size_t p = 0; p < fit->n_params; p++)
            draws->params[b * fit->n_params + p] =
                fit->params[p] * exp(noise * gsl_ran_gaussian_ziggurat(rng, 1.0));
    }
    gsl_rng_free(rng);
    return draws;
}

/* A jackknife of n refits, which are the first draws again. */
static inline bool toy_jackknife(struct mix_draws *draws, size_t n)
{
    if (!mix_draws_hold_left(draws, n))
        return false;
    memcpy(draws->left, draws->params, n * draws->n_params * sizeof *draws->left);
    memset(draws->left_done, 1, n);
    return true;
}

static inline struct mix_optimum_options toy_options(void)
{
    return (struct mix_optimum_options){
        .n_params = 400e6, .n_tokens = 10e9, .level = 0.9, .seed = 1, .n_starts = 32};
}

#endif
