/* SPDX-License-Identifier: GPL-3.0-or-later */
/* allocation.c - next --allocate: expected regret against budget, and what to spend it on. */
#include "cli.h"

#include <jansson.h>

#include "mixsweep/next.h"

/* "12 of 8": runs of so many mixtures; "-" where there are none. */
static void put_runs(struct cli_table *table, const struct mix_allocated *way, size_t s)
{
    if (way->n_runs[s] == 0)
        cli_table_cell(table, "-");
    else if (way->n_runs[s] == way->n_mixtures[s])
        cli_table_cell(table, "%zu", way->n_runs[s]);
    else
        cli_table_cell(table, "%zu of %zu", way->n_runs[s], way->n_mixtures[s]);
}

static void put_way(struct cli_table *table, const struct mix_allocation *a, const char *budget,
                    const char *name, const struct mix_allocated *way)
{
    cli_table_cell(table, "%s", budget);
    cli_table_cell(table, "%s", name);
    for (size_t s = 0; s < a->n_scales; s++)
        put_runs(table, way, s);
    cli_table_cell(table, "%.2g", way->flops);
    cli_table_cell(table, "%.2g ± %.1g", way->regret.value, way->regret.se);
}

void cli_print_allocation(FILE *out, const struct mix_allocation *a)
{
    struct cli_table *table = cli_table_create(a->n_scales + 4);
    char n[16], d[16], budget[16];
    cli_table_cell(table, "budget");
    cli_table_cell(table, "way");
    for (size_t s = 0; s < a->n_scales; s++)
        cli_table_cell(table, "%s·%s", cli_size(a->scale[s].n_params, n),
                       cli_size(a->scale[s].n_tokens, d));
    cli_table_cell(table, "FLOP");
    cli_table_cell(table, "regret after");
    for (size_t b = 0; b < MIX_BUDGETS; b++) {
        snprintf(budget, sizeof budget, "%.2g", a->budget[b]);
        for (int how = 0; how < MIX_SPENDINGS; how++)
            put_way(table, a, how == 0 ? budget : "", mix_spendings[how], &a->way[b][how]);
        put_way(table, a, "", "best", &a->best[b]);
    }
    cli_table_print(table, out, "  ");
    cli_table_destroy(table);
    fprintf(out,
            "runs, or runs of so many mixtures; best is the lowest within the budget, spent or "
            "not\n"
            "regrets, that of now too, are what fits of simulated runs lose by this one, 64 of "
            "each\n");
}

static json_t *json_way(const struct mix_allocation *a, const struct mix_allocated *way)
{
    json_t *runs = json_array();
    for (size_t s = 0; s < a->n_scales; s++)
        json_array_append_new(
            runs, json_pack("{s:f, s:f, s:I, s:I}", "n_params", a->scale[s].n_params, "n_tokens",
                            a->scale[s].n_tokens, "n_mixtures", (json_int_t)way->n_mixtures[s],
                            "n_runs", (json_int_t)way->n_runs[s]));
    return json_pack("{s:s, s:f, s:{s:o, s:o}, s:o}", "way", mix_spendings[way->how], "flops",
                     way->flops, "regret", "value", cli_json_number(way->regret.value), "se",
                     cli_json_number(way->regret.se), "scales", runs);
}

json_t *cli_json_allocation(const struct mix_allocation *a)
{
    json_t *budgets = json_array();
    for (size_t b = 0; b < MIX_BUDGETS; b++) {
        json_t *ways = json_array();
        for (int how = 0; how < MIX_SPENDINGS; how++)
            json_array_append_new(ways, json_way(a, &a->way[b][how]));
        json_array_append_new(budgets, json_pack("{s:f, s:o, s:o}", "budget", a->budget[b], "ways",
                                                 ways, "best", json_way(a, &a->best[b])));
    }
    return budgets;
}
