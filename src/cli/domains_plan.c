/* SPDX-License-Identifier: GPL-3.0-or-later */
/* domains_plan.c - the runs to add where domains have changed. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "domains_impl.h"
#include "mixsweep/next.h"

/* ---- the proportions that untouched domains keep */

static void take_optimum(const struct mix_optimum *optimum, const struct mix_table *table,
                         double *share)
{
    for (size_t j = 0; j < optimum->n_domains; j++) {
        const int k = mix_table_domain(table, optimum->domains[j]);
        if (k >= 0)
            share[k] = optimum->mixture[j];
    }
}

/* By domain of the old table, in terms of the new one. */
static enum mix_status take_file(const struct domains_asked *a, const struct mix_table *old,
                                 const struct mix_table *table, double *share,
                                 struct mix_error *err)
{
    char(*names)[MIX_NAME_MAX] = calloc(old->n_domains, sizeof *names);
    double mixture[MIX_DOMAINS_MAX];
    if (names == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu domains.", old->n_domains);
    for (size_t k = 0; k < old->n_domains; k++)
        memcpy(names[k], old->domains[k].name, sizeof names[k]);
    const enum mix_status status = cli_read_mixture(
        a->mixture, old->n_domains, (const char(*)[MIX_NAME_MAX])names, mixture, err);
    for (size_t k = 0; status == MIX_OK && k < old->n_domains; k++) {
        const int to = mix_table_domain(table, old->domains[k].name);
        if (to >= 0)
            share[to] = mixture[k];
    }
    free(names);
    return status;
}

/* Priors where all are known, else the mean of the runs. */
static const char *take_table(const struct mix_table *table, const uint8_t *changed, double *share)
{
    const size_t n = table->n_domains;
    bool known = true;
    for (size_t k = 0; k < n; k++) {
        share[k] = table->domains[k].prior;
        known = known && (changed[k] || share[k] >= 0);
    }
    if (known)
        return "prior";
    memset(share, 0, n * sizeof *share);
    for (size_t r = 0; r < table->n_rows; r++)
        for (size_t k = 0; k < n; k++)
            share[k] += table->runs[r].status == MIX_RUN_DONE ? table->mixture[r * n + k] : 0;
    return "mean of the runs";
}

enum mix_status domains_find_proportions(const struct domains_asked *a, struct domains_session *s,
                                         const struct mix_table *table, struct mix_error *err)
{
    struct domains_plan *plan = &s->plan;
    const char *file = strrchr(a->word[1], '/') != NULL ? strrchr(a->word[1], '/') + 1 : a->word[1];
    double sum = 0;
    enum mix_status status = MIX_OK;
    if (a->mixture != NULL) {
        status = take_file(a, s->table, table, plan->fixed, err);
        (void)snprintf(plan->source, sizeof plan->source, "%.100s", a->mixture);
    } else if (s->optimum != NULL) {
        take_optimum(s->optimum, table, plan->fixed);
        (void)snprintf(plan->source, sizeof plan->source, "optimum %s of %.50s", s->optimum->name,
                       file);
    } else {
        const char *source = take_table(table, plan->changed, plan->fixed);
        (void)snprintf(plan->source, sizeof plan->source, "%s", source);
    }
    for (size_t k = 0; k < table->n_domains; k++)
        sum += plan->changed[k] ? 0 : plan->fixed[k];
    for (size_t k = 0; k < table->n_domains; k++)
        plan->fixed[k] = plan->changed[k] || !(sum > 0) ? 0 : plan->fixed[k] / sum;
    return status;
}

/* ---- the runs to add */

/* Distinct sizes and tokens of finished runs that count, and what a mixture costs at all of them;
 * runs that confirm are excluded and often larger. Where none counts any more, of all. */
static enum mix_status count_scales(const struct mix_table *table, struct domains_plan *plan,
                                    struct mix_error *err)
{
    bool all = true;
    for (size_t r = 0; r < table->n_rows; r++)
        all = all && (table->runs[r].status != MIX_RUN_DONE || table->runs[r].excluded);
    size_t *first = calloc(table->n_rows + 1, sizeof *first);
    if (first == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu runs.", table->n_rows);
    double flops = 0;
    for (size_t r = 0; r < table->n_rows; r++) {
        const struct mix_run *run = &table->runs[r];
        size_t i = 0;
        if (run->status != MIX_RUN_DONE || !run->is_final || (run->excluded && !all))
            continue;
        while (i < plan->n_scales && (table->runs[first[i]].n_params != run->n_params ||
                                      table->runs[first[i]].n_tokens != run->n_tokens))
            i++;
        if (i < plan->n_scales)
            continue;
        first[plan->n_scales++] = r;
        flops += 6 * run->n_params * run->n_tokens;
    }
    free(first);
    plan->flops = flops;
    return MIX_OK;
}

enum mix_status domains_explore(const struct domains_asked *a, struct domains_session *s,
                                const struct mix_table *table, struct mix_error *err)
{
    struct domains_plan *plan = &s->plan;
    for (size_t k = 0; k < table->n_domains; k++)
        plan->n_touched += plan->changed[k];
    enum mix_status status = mix_domains_needed(table, plan->changed, &plan->n_mixtures, err);
    if (status != MIX_OK)
        return status;
    if (a->n_mixtures > 0)
        plan->n_mixtures = a->n_mixtures;
    for (size_t k = 0; k < table->n_domains; k++)
        plan->n_changed += plan->changed[k];
    plan->mixtures = calloc(plan->n_mixtures * table->n_domains + 1, sizeof *plan->mixtures);
    if (plan->mixtures == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu mixtures.", plan->n_mixtures);
    const struct mix_domains_design design = {.changed = plan->changed,
                                              .fixed = plan->fixed,
                                              .n_mixtures = plan->n_mixtures,
                                              .seed = a->seed};
    status = count_scales(s->table, plan, err);
    plan->flops *= (double)plan->n_mixtures;
    if (status == MIX_OK && plan->n_mixtures > 0)
        status = mix_domains_explore(table, &design, plan->mixtures, err);
    return status;
}

static void put_numbers(FILE *out, size_t n, const double *numbers)
{
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            fputc(',', out);
        cli_csv_number(out, numbers[i]);
    }
}

void domains_write_mixtures(FILE *out, const struct mix_table *table,
                            const struct domains_plan *plan)
{
    fprintf(out, plan->scale != NULL ? "n_params,n_tokens" : "mixture");
    for (size_t k = 0; k < table->n_domains; k++) {
        fputc(',', out);
        char column[MIX_NAME_MAX + 2];
        (void)snprintf(column, sizeof column, "h_%s", table->domains[k].name);
        cli_csv_text(out, column);
    }
    for (size_t i = 0; i < plan->n_mixtures; i++) {
        fputc('\n', out);
        if (plan->scale != NULL)
            put_numbers(out, 2, &plan->scale[2 * i]);
        else
            fprintf(out, "%zu", i + 1);
        fputc(',', out);
        put_numbers(out, table->n_domains, &plan->mixtures[i * table->n_domains]);
    }
    fputc('\n', out);
}

/* ---- plan: the runs to add to a file whose domains have changed */

/* By the draws of a fit: those after which the optimum is most certain. */
static enum mix_status propose(const struct domains_asked *a, struct domains_session *s,
                               struct mix_error *err)
{
    struct mix_next_options options = mix_next_defaults();
    struct mix_next *next = NULL;
    options.seed = a->seed;
    options.n_runs = s->plan.n_mixtures < 64 ? s->plan.n_mixtures : 64;
    options.flops = isnan(a->flops) ? s->plan.flops : a->flops;
    const enum mix_status status = mix_next_propose(NULL, s->table, s->fit, s->draws, s->optimum,
                                                    &options, NULL, NULL, &next, err);
    if (status != MIX_OK)
        return status;
    s->plan.scale = calloc(2 * next->n_runs + 1, sizeof *s->plan.scale);
    for (size_t i = 0; s->plan.scale != NULL && i < next->n_runs; i++) {
        s->plan.scale[2 * i] = next->runs[i].n_params;
        s->plan.scale[2 * i + 1] = next->runs[i].n_tokens;
    }
    s->plan.n_mixtures = s->plan.scale != NULL ? next->n_runs : 0;
    s->plan.flops = next->flops;
    s->plan.n_scales = 0; /* each has its own */
    memset(s->plan.changed, 1, s->table->n_domains);
    s->plan.n_changed = s->table->n_domains;
    s->plan.n_touched = 0;
    memcpy(s->plan.mixtures, next->mixture,
           next->n_runs * s->table->n_domains * sizeof *next->mixture);
    mix_next_destroy(next);
    return s->plan.scale != NULL ? MIX_OK : mix_fail(err, MIX_ENOMEM, "out of memory.");
}

enum mix_status domains_make_plan(const struct domains_asked *a, struct domains_session *s,
                                  struct mix_error *err)
{
    struct cli_output output = {.file = NULL};
    struct mix_error reason = {.text = ""};
    enum mix_status status = domains_read(a, s, err);
    if (status != MIX_OK)
        return status;
    status = domains_history_changed(s->history, s->table, s->plan.changed, &reason);
    if (status != MIX_OK)
        status = mix_fail(err, status, "%s: %s.", a->word[1], reason.text);
    if (status == MIX_OK)
        status = domains_find_proportions(a, s, s->table, err);
    if (status == MIX_OK)
        status = domains_explore(a, s, s->table, err);
    const bool proposes = s->optimum != NULL && s->draws != NULL && s->plan.n_mixtures > 0;
    if (status == MIX_OK && proposes)
        status = propose(a, s, err);
    if (status == MIX_OK && a->runs != NULL && s->plan.n_mixtures > 0) {
        status = cli_output_open(&output, a->runs, a->force, 1, &a->word[1], err);
        if (status == MIX_OK) {
            domains_write_mixtures(output.file, s->table, &s->plan);
            status = cli_output_close(&output, MIX_OK, err);
        }
    }
    if (status != MIX_OK)
        return status;
    if (!a->json) {
        printf("plan %s, %s\n", a->word[1],
               proposes ? "by the draws of its fit (as mixsweep next)" : "evenly spread");
        domains_print_plan(s->table, &s->plan, a->runs);
        return MIX_OK;
    }
    json_t *root = domains_json_plan(s->table, &s->plan, a->runs);
    if (root == NULL)
        return mix_fail(err, MIX_EINVAL, "%s: a name is not UTF-8.", a->word[1]);
    json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    putchar('\n');
    json_decref(root);
    return MIX_OK;
}
