/* SPDX-License-Identifier: GPL-3.0-or-later */
/* data.c - what a report is made from: the whole file, read once. */
#include "report/report_impl.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void report_data_clear(struct report_data *data)
{
    for (size_t i = 0; i < data->n_fits; i++)
        mix_fit_destroy(data->fits[i]);
    for (size_t i = 0; i < data->n_draws; i++)
        mix_draws_destroy(data->draws[i]);
    for (size_t i = 0; i < data->n_optima; i++)
        mix_optimum_destroy(data->optima[i]);
    for (size_t i = 0; i < data->n_compares; i++)
        mix_compare_destroy(data->compares[i]);
    for (size_t i = 0; i < data->n_onlines; i++)
        mix_online_destroy(data->onlines[i]);
    for (size_t i = 0; i < data->n_campaigns; i++)
        mix_agent_campaign_destroy(data->campaigns[i]);
    for (size_t i = 0; i < data->n_confirmations; i++)
        mix_confirmation_destroy(data->confirmations[i]);
    free(data->confirmations);
    free(data->campaigns);
    free(data->compares);
    free(data->onlines);
    free(data->fits);
    free(data->draws);
    free(data->optima);
    free(data->mean);
    free(data->sizes);
    mix_table_destroy(data->table);
    mix_job_destroy(data->job);
    *data = (struct report_data){.path = NULL};
}

static enum mix_status no_memory(const struct report_data *data, struct mix_error *err)
{
    return mix_fail(err, MIX_ENOMEM, "not enough memory for a report on %s.", data->path);
}

/* The weighted mean over the losses that anybody measured; a run that lacks one has none. */
static enum mix_status measure_means(struct report_data *data, struct mix_error *err)
{
    const struct mix_table *table = data->table;
    const size_t n_targets = table->n_targets;
    uint8_t *counts = calloc(n_targets + 1, 1);
    data->mean = calloc(table->n_rows + 1, sizeof *data->mean);
    if (counts == NULL || data->mean == NULL) {
        free(counts);
        return no_memory(data, err);
    }
    for (size_t i = 0; i < table->n_rows * n_targets; i++)
        if (isfinite(table->loss[i]) && table->targets[i % n_targets].direction < 0)
            counts[i % n_targets] = 1;
    for (size_t r = 0; r < table->n_rows; r++) {
        double sum = 0.0, weights = 0.0;
        for (size_t m = 0; m < n_targets; m++)
            if (counts[m] != 0) {
                sum += table->targets[m].weight * table->loss[r * n_targets + m];
                weights += table->targets[m].weight;
            }
        const bool known = table->runs[r].status == MIX_RUN_DONE && weights > 0.0;
        data->mean[r] = known ? sum / weights : NAN;
    }
    free(counts);
    return MIX_OK;
}

static enum mix_status list_sizes(struct report_data *data, struct mix_error *err)
{
    const size_t n_rows = data->table->n_rows;
    data->sizes = calloc(n_rows + 1, sizeof *data->sizes);
    if (data->sizes == NULL)
        return no_memory(data, err);
    for (size_t r = 0; r < n_rows; r++)
        data->sizes[r] =
            mix_run_confirms(&data->table->runs[r]) ? NAN : data->table->runs[r].n_params;
    const size_t n = report_sort(data->sizes, n_rows);
    for (size_t i = 0; i < n; i++)
        if (data->n_sizes == 0 || data->sizes[i] > data->sizes[data->n_sizes - 1])
            data->sizes[data->n_sizes++] = data->sizes[i];
    return MIX_OK;
}

static enum mix_status count_mixtures(struct report_data *data, struct mix_error *err)
{
    const struct mix_table *table = data->table;
    uint8_t *seen = calloc(table->n_rows + 1, 1);
    if (seen == NULL)
        return no_memory(data, err);
    for (size_t r = 0; r < table->n_rows; r++) {
        uint8_t *mixture = &seen[table->runs[r].mixture_id];
        data->n_mixtures += *mixture == 0 && !mix_run_confirms(&table->runs[r]);
        *mixture = *mixture != 0 || !mix_run_confirms(&table->runs[r]);
    }
    free(seen);
    return MIX_OK;
}

static enum mix_status read_table(struct mix_store *store, struct report_data *data,
                                  struct mix_error *err)
{
    enum mix_status status = mix_store_read_table(store, &data->table, err);
    if (status == MIX_ENOTFOUND) {
        if (err != NULL)
            err->text[0] = '\0'; /* a file without runs is fine here */
        return MIX_OK;
    }
    if (status == MIX_OK)
        status = measure_means(data, err);
    if (status == MIX_OK)
        status = count_mixtures(data, err);
    return status == MIX_OK ? list_sizes(data, err) : status;
}

/* All results of a kind, in the order of their names. */
#define READ_ALL(function, kind, type, list, count, read)                                          \
    static enum mix_status function(struct mix_store *store, struct report_data *data,             \
                                    struct mix_error *err)                                         \
    {                                                                                              \
        struct mix_names names = {0};                                                              \
        enum mix_status status = mix_store_list(store, kind, &names, err);                         \
        if (status != MIX_OK)                                                                      \
            return status;                                                                         \
        data->list = calloc(names.n + 1, sizeof(type *));                                          \
        if (data->list == NULL)                                                                    \
            status = no_memory(data, err);                                                         \
        for (size_t i = 0; status == MIX_OK && i < names.n; i++) {                                 \
            status = read(store, names.name[i], &data->list[i], err);                              \
            data->count += status == MIX_OK;                                                       \
        }                                                                                          \
        mix_names_destroy(&names);                                                                 \
        return status;                                                                             \
    }
READ_ALL(read_fits, "fits", struct mix_fit, fits, n_fits, mix_store_read_fit)
READ_ALL(read_draws, "bootstrap", struct mix_draws, draws, n_draws, mix_store_read_draws)
READ_ALL(read_optima, "optimum", struct mix_optimum, optima, n_optima, mix_store_read_optimum)
READ_ALL(read_compares, "compare", struct mix_compare, compares, n_compares, mix_store_read_compare)
READ_ALL(read_campaigns, "agent", struct mix_agent_campaign, campaigns, n_campaigns,
         mix_store_read_agent)
READ_ALL(read_onlines, "online", struct mix_online, onlines, n_onlines, mix_store_read_online)

/* The questions of the job come first; others were asked beside it. */
static void put_job_optima_first(struct report_data *data)
{
    const struct mix_job *job = data->job;
    for (size_t last = job == NULL ? 0 : job->n_optima; last-- > 0;) {
        size_t i = 0;
        while (i < data->n_optima && strcmp(data->optima[i]->name, job->optima[last].name) != 0)
            i++;
        if (i == data->n_optima)
            continue;
        struct mix_optimum *own = data->optima[i];
        memmove(data->optima + 1, data->optima, i * sizeof(*data->optima));
        data->optima[0] = own;
    }
}

const struct mix_fit *report_fit(const struct report_data *data, const char *name)
{
    for (size_t i = 0; i < data->n_fits; i++) {
        assert(data->fits[i] != NULL);
        if (strcmp(data->fits[i]->name, name) == 0)
            return data->fits[i];
    }
    return NULL;
}

/* Whether the runs are of the optimum's domains, in their order. */
static bool suits(const struct mix_table *table, const struct mix_optimum *optimum)
{
    bool same = table->n_domains == optimum->n_domains;
    for (size_t k = 0; same && k < table->n_domains; k++)
        same = strcmp(table->domains[k].name, optimum->domains[k]) == 0;
    return same;
}

/* The confirmation of an optimum, where it was trained. */
static enum mix_status confirm(struct report_data *data, const struct mix_claim *claim,
                               struct mix_error *err)
{
    struct mix_confirmation *confirmation = NULL;
    struct mix_error why = {.text = ""};
    const enum mix_status status = mix_confirmation_compute(claim, &confirmation, &why);
    if (status != MIX_OK) /* EINVAL: of an earlier fit */
        return status == MIX_ENOMEM ? no_memory(data, err) : MIX_OK;
    bool any = false;
    for (size_t s = 0; s < confirmation->n_scales; s++)
        any = any || confirmation->contest[s * confirmation->n_contenders].n_done > 0;
    if (any)
        data->confirmations[data->n_confirmations++] = confirmation;
    else
        mix_confirmation_destroy(confirmation);
    return MIX_OK;
}

static enum mix_status read_confirmations(struct mix_store *store, struct report_data *data,
                                          struct mix_error *err)
{
    struct mix_fit **others = NULL;
    size_t n_others = 0;
    bool any = false;
    for (size_t r = 0; data->table != NULL && r < data->table->n_rows; r++)
        any = any || mix_run_confirms(&data->table->runs[r]);
    if (!any)
        return MIX_OK;
    data->confirmations = calloc(data->n_optima + 1, sizeof(struct mix_confirmation *));
    if (data->confirmations == NULL)
        return no_memory(data, err);
    enum mix_status status = mix_store_read_fits(store, &n_others, &others, err);
    for (size_t i = 0; i < data->n_optima && status == MIX_OK; i++) {
        const struct mix_fit *fit = report_fit(data, data->optima[i]->fit);
        if (fit == NULL || !suits(data->table, data->optima[i]))
            continue;
        const struct mix_claim claim = {.table = data->table,
                                        .fit = fit,
                                        .draws = report_draws(data, fit),
                                        .optimum = data->optima[i],
                                        .n_others = n_others,
                                        .others = (const struct mix_fit *const *)others};
        status = confirm(data, &claim, err);
    }
    mix_fits_destroy(n_others, others);
    return status;
}

enum mix_status report_read(const char *path, struct report_data *data, struct mix_error *err)
{
    struct mix_store *store = NULL;
    *data = (struct report_data){.path = path};
    enum mix_status status = mix_store_open(path, MIX_STORE_READ, false, &store, err);
    if (status != MIX_OK)
        return status;
    const char *job = mix_store_job(store);
    if (job[0] != '\0' && mix_job_parse(path, job, &data->job, NULL) != MIX_OK)
        data->job = NULL; /* of another version */
    status = read_table(store, data, err);
    if (status == MIX_OK && data->job != NULL)
        status = mix_job_take_chosen(data->job, data->table, err);
    if (status == MIX_OK)
        status = read_fits(store, data, err);
    if (status == MIX_OK)
        status = read_draws(store, data, err);
    if (status == MIX_OK)
        status = read_optima(store, data, err);
    put_job_optima_first(data);
    if (status == MIX_OK)
        status = read_compares(store, data, err);
    if (status == MIX_OK)
        status = read_onlines(store, data, err);
    if (status == MIX_OK)
        status = read_campaigns(store, data, err);
    if (status == MIX_OK)
        status = read_confirmations(store, data, err);
    snprintf(data->warning, sizeof data->warning, "%s", mix_store_warning(store));
    mix_store_close(store);
    return status;
}

const struct mix_draws *report_draws(const struct report_data *data, const struct mix_fit *fit)
{
    for (size_t i = 0; i < data->n_draws; i++)
        if (strcmp(data->draws[i]->fit, fit->name) == 0 &&
            data->draws[i]->n_params == fit->n_params)
            return data->draws[i];
    return NULL;
}
