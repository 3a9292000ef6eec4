/* SPDX-License-Identifier: GPL-3.0-or-later */
/* dml.c - the optimum of a log-linear law fitted to a sweep of static runs (Ye et al., arXiv
 * 2403.16952): the project's own law `dml` at one scale,
 *
 *     L_i = c_i + k_i exp(sum_j t_ij p_j),     c_i, k_i >= 0,   sum_j t_ij = 0,
 *
 * least squares from many starts, then the minimum of sum_i L_i over the simplex. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/optimum.h"
#include "online/online_impl.h"

/* All runs have one size and length; the law does not see which. */
static const double SIZE = 1e6, LENGTH = 1e9;
enum { FIT_STARTS = 32, OPTIMUM_STARTS = 8 };

static void add_run(struct mix_table *table, size_t row, const struct mix_static_run *run)
{
    const size_t m = table->n_domains;
    struct mix_run *line = &table->runs[row];
    (void)snprintf(line->run, sizeof line->run, "%zu", row);
    line->n_params = SIZE;
    line->n_tokens = LENGTH;
    memcpy(table->asked + row * m, run->mixture, m * sizeof *run->mixture);
    memcpy(table->mixture + row * m, run->mixture, m * sizeof *run->mixture);
    memcpy(table->loss + row * m, run->loss_end, m * sizeof *run->loss_end);
}

static enum mix_status make_table(const struct mix_method_setup *setup, struct mix_table **out,
                                  struct mix_error *err)
{
    const size_t m = setup->n_groups;
    struct mix_table *table = mix_table_create(m, m);
    for (size_t r = 0; table != NULL && r < setup->n_static; r++) {
        if (mix_table_append(table) == SIZE_MAX) {
            mix_table_destroy(table);
            table = NULL;
        } else {
            add_run(table, r, &setup->statics[r]);
        }
    }
    if (table == NULL)
        return mix_fail(err, MIX_ENOMEM, "dml: out of memory for %zu static runs", setup->n_static);
    for (size_t j = 0; j < m; j++) {
        (void)snprintf(table->domains[j].name, MIX_NAME_MAX, "group %zu", j + 1);
        (void)snprintf(table->targets[j].name, MIX_NAME_MAX, "group %zu", j + 1);
    }
    mix_table_link_targets(table);
    *out = table;
    return mix_table_finish(table, err);
}

static enum mix_status find_optimum(const struct mix_table *table, const struct mix_fit *fit,
                                    uint64_t seed, double *mixture, struct mix_error *err)
{
    struct mix_optimum *optimum = NULL;
    double *floors = calloc(table->n_domains, sizeof *floors);
    if (floors == NULL)
        return mix_fail(err, MIX_ENOMEM, "dml: out of memory for an optimum");
    const struct mix_optimum_options options = {.n_params = SIZE,
                                                .n_tokens = LENGTH,
                                                .lower = floors,
                                                .baseline_name = "uniform",
                                                .level = 0.9,
                                                .seed = seed,
                                                .n_starts = OPTIMUM_STARTS};
    const enum mix_status status = mix_optimum_run(NULL, table, fit, NULL, &options, &optimum, err);
    if (status == MIX_OK)
        memcpy(mixture, optimum->mixture, table->n_domains * sizeof *mixture);
    mix_optimum_destroy(optimum);
    free(floors);
    return status;
}

static enum mix_status result(struct mix_mixer *mixer, double *mixture, struct mix_error *err)
{
    struct mix_table *table = NULL;
    struct mix_fit *fit = NULL;
    enum mix_status status = make_table(&mixer->setup, &table, err);
    if (status == MIX_OK) {
        struct mix_fit_options options = mix_fit_options_default();
        options.law = "dml";
        options.holdout = "none";
        options.n_starts = FIT_STARTS;
        options.seed = mixer->setup.seed;
        status = mix_fit_run(NULL, table, &options, NULL, NULL, &fit, err);
    }
    if (status == MIX_OK)
        status = find_optimum(table, fit, mixer->setup.seed, mixture, err);
    mix_fit_destroy(fit);
    mix_table_destroy(table);
    return status;
}

const struct mix_method mix_method_dml = {
    .name = "dml",
    .summary = "the optimum of a log-linear law fitted to a sweep of static mixtures",
    .law = "log-linear, static",
    .estimate = "least squares on static runs",
    .update = "minimum of the fitted law",
    .kind = MIX_METHOD_STATIC,
    .plan = online_sweep,
    .result = result,
    .extra_steps = online_sweep_steps,
};
