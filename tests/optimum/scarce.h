/* SPDX-License-Identifier: GPL-3.0-or-later */
/* scarce.h - a sweep with a good domain that is scarce, for the tests of laws with repetition: how
 * its runs see the scarce domain is the question (arXiv 2606.07597). */
#ifndef MIXSWEEP_TESTS_OPTIMUM_SCARCE_H
#define MIXSWEEP_TESTS_OPTIMUM_SCARCE_H

#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/optimum.h"

enum { SCARCE_DOMAINS = 3, SCARCE_MIXTURES = 24, SCARCE_SIZES = 3 };

static const char *const scarce_names[SCARCE_DOMAINS] = {"good", "web", "code"};
static const double SCARCE_SUPPLY = 2.0; /* 1e9 tokens of "good"; there is no end of the others */
static const double SCARCE_N = 200.0, SCARCE_D = 50.0; /* the target, in the units of laws */
static const double SCARCE_R1 = 3.0;

static inline void scarce_must(enum mix_status status, const struct mix_error *err)
{
    if (status == MIX_OK)
        return;
    fprintf(stderr, "the test's own set-up failed: %s\n", err->text);
    abort();
}

/* A token of "good" serves the other targets eight times as well as one of their own. */
static inline double scarce_param(const char *name, double r1)
{
    static const struct {
        const char *start;
        double value;
    } values[] = {
        {"b", 0.4},           {"c", 0.3},          {"A", 0.7},          {"a", 0.45},
        {"E", 1.2},           {"H", 0.5},          {"T[good", 0.3},     {"T[web,good", 8.0},
        {"T[code,good", 8.0}, {"T[web,code", 0.3}, {"T[code,web", 0.3}, {"gamma", 0.9},
        {"P", 1.5},           {"p", 0.3},          {"Q", 0.1},          {"q", 0.3}};
    double value = r1;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        if (strncmp(name, values[i].start, strlen(values[i].start)) == 0)
            value = values[i].value;
    return value;
}

struct scarce {
    struct mix_model *model; /* the truth */
    double *params;
    struct mix_table *table;
};

/* Runs whose part of the scarce domain is cut so that they pass as often as the target will, or not
 * cut. `noise` relative. */
static inline struct scarce scarce_create(bool matched, double noise, uint64_t seed)
{
    static const double sizes[SCARCE_SIZES] = {10, 20, 40}, lengths[SCARCE_SIZES] = {0.4, 0.8, 1.6};
    const int target_domain[SCARCE_DOMAINS] = {0, 1, 2};
    const struct mix_law_spec spec = {.law = "transfer+repetition",
                                      .n_domains = SCARCE_DOMAINS,
                                      .n_targets = SCARCE_DOMAINS,
                                      .has_size_term = 1,
                                      .has_token_term = 1,
                                      .n_min = sizes[0],
                                      .h_min = 1e-4};
    struct scarce s = {.table = mix_table_create(SCARCE_DOMAINS, SCARCE_DOMAINS)};
    struct mix_error err = {{0}};
    scarce_must(mix_model_create(&spec, target_domain, &s.model, &err), &err);
    s.params = calloc(mix_model_n_params(s.model), sizeof *s.params);
    for (size_t p = 0; p < mix_model_n_params(s.model); p++) {
        char name[2 * MIX_NAME_MAX], unit[MIX_UNIT_MAX];
        mix_model_param_name(s.model, p, scarce_names, scarce_names, name, unit);
        s.params[p] = scarce_param(name, SCARCE_R1);
    }
    for (size_t j = 0; j < SCARCE_DOMAINS; j++) {
        snprintf(s.table->domains[j].name, MIX_NAME_MAX, "%s", scarce_names[j]);
        snprintf(s.table->targets[j].name, MIX_NAME_MAX, "%s", scarce_names[j]);
    }
    s.table->domains[0].supply_tokens = SCARCE_SUPPLY * 1e9;
    mix_table_link_targets(s.table);
    gsl_rng *rng = mix_rng_create(mix_key_make(seed, "scarce", NULL, 0));
    const double ones[SCARCE_DOMAINS] = {1, 1, 1};
    for (size_t i = 0; i < SCARCE_MIXTURES; i++) {
        double h[SCARCE_DOMAINS];
        gsl_ran_dirichlet(rng, SCARCE_DOMAINS, ones, h);
        for (size_t k = 0; k < SCARCE_SIZES; k++) {
            const size_t r = mix_table_append(s.table);
            const double part = matched ? lengths[k] / SCARCE_D : 1.0;
            const double supply[SCARCE_DOMAINS] = {SCARCE_SUPPLY * part, NAN, NAN};
            double *loss = s.table->loss + r * SCARCE_DOMAINS;
            snprintf(s.table->runs[r].run, MIX_NAME_MAX, "m%zu", i);
            s.table->runs[r].n_params = sizes[k] * 1e6;
            s.table->runs[r].n_tokens = lengths[k] * 1e9;
            memcpy(s.table->mixture + r * SCARCE_DOMAINS, h, sizeof h);
            memcpy(s.table->asked + r * SCARCE_DOMAINS, h, sizeof h);
            s.table->epochs[r * SCARCE_DOMAINS] = h[0] * lengths[k] / supply[0];
            mix_model_set_supply(s.model, supply);
            scarce_must(
                mix_model_predict(s.model, s.params, 1, h, &sizes[k], &lengths[k], loss, &err),
                &err);
            for (size_t m = 0; m < SCARCE_DOMAINS; m++)
                loss[m] *= 1.0 + noise * gsl_ran_gaussian_ziggurat(rng, 1.0);
        }
    }
    gsl_rng_free(rng);
    scarce_must(mix_table_finish(s.table, &err), &err);
    return s;
}

static inline void scarce_destroy(struct scarce *s)
{
    mix_model_destroy(s->model);
    mix_table_destroy(s->table);
    free(s->params);
}

/* The true mean loss at the target, of which `supply` is there. */
static inline double scarce_truth(const struct scarce *s, double supply, const double *h)
{
    const double tokens[SCARCE_DOMAINS] = {supply, NAN, NAN};
    double loss[SCARCE_DOMAINS], sum = 0.0;
    struct mix_error err = {{0}};
    mix_model_set_supply(s->model, tokens);
    scarce_must(mix_model_predict(s->model, s->params, 1, h, &SCARCE_N, &SCARCE_D, loss, &err),
                &err);
    for (size_t m = 0; m < SCARCE_DOMAINS; m++)
        sum += loss[m] / SCARCE_DOMAINS;
    return sum;
}

/* The best mixture of a grid of 1/200 there. */
static inline double scarce_best(const struct scarce *s, double supply, double *best)
{
    enum { STEPS = 200 };
    double least = INFINITY;
    for (int i = 0; i <= STEPS; i++)
        for (int j = 0; i + j <= STEPS; j++) {
            const double h[SCARCE_DOMAINS] = {(double)i / STEPS, (double)j / STEPS,
                                              (double)(STEPS - i - j) / STEPS};
            const double value = scarce_truth(s, supply, h);
            if (value < least) {
                least = value;
                memcpy(best, h, sizeof h);
            }
        }
    return least;
}

#endif
