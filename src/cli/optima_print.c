/* SPDX-License-Identifier: GPL-3.0-or-later */
/* optima_print.c - the optima of a job side by side: what each asks, its mixture, and what the
 * others' mixtures cost by its objective. */
#include "cli.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

static bool any_wide(size_t n, struct mix_optimum *const *optima)
{
    bool wide = false;
    for (size_t i = 0; i < n; i++)
        wide = wide || isfinite(optima[i]->objective_wide.lo);
    return wide;
}

/* "90%, ", or "" where their intervals have several levels. */
static const char *common_level(size_t n, struct mix_optimum *const *optima, char text[24])
{
    snprintf(text, 24, "%g%%, ", 100.0 * optima[0]->level);
    for (size_t i = 1; i < n; i++)
        if (optima[i]->level != optima[0]->level)
            text[0] = '\0';
    return text;
}

static void print_values(FILE *out, size_t n, struct mix_optimum *const *optima)
{
    const bool wide = any_wide(n, optima);
    char text[80], size[16], tokens[16], level[24];
    const char *common = common_level(n, optima, level);
    struct cli_table *table = cli_table_create(wide ? 7 : 6);
    cli_table_cell(table, "optimum");
    cli_table_cell(table, "parameters, tokens");
    cli_table_cell(table, "minimises");
    cli_table_cell(table, "value");
    cli_table_cell(table, "%sresampling only", common);
    if (wide)
        cli_table_cell(table, "all known errors");
    cli_table_cell(table, "gain over the baseline");
    for (size_t i = 0; i < n; i++) {
        const struct mix_optimum *o = optima[i];
        cli_table_cell(table, "%s", o->name);
        cli_table_cell(table, "%s, %s", cli_size(o->n_params, size), cli_size(o->n_tokens, tokens));
        cli_table_cell(table, "%s", mix_optimum_objective_text(o));
        cli_table_cell(table, "%.4f", o->objective.value);
        if (common[0] != '\0')
            cli_table_cell(table, "%s", cli_loss_range(o->objective, text));
        else
            cli_table_cell(table, "%g%%: %s", 100.0 * o->level, cli_loss_range(o->objective, text));
        if (wide)
            cli_table_cell(table, "%s", cli_loss_range(o->objective_wide, text));
        cli_table_cell(table, "%.4f", o->gain[0].value);
    }
    cli_table_print(table, out, "  ");
    cli_table_destroy(table);
    for (size_t i = 0; i < n; i++)
        if (optima[i]->question[0] != '\0')
            fprintf(out, "  %s: %s\n", optima[i]->name, optima[i]->question);
}

static void print_mixtures(FILE *out, size_t n, struct mix_optimum *const *optima)
{
    char text[80];
    struct cli_table *table = cli_table_create(2 + n);
    cli_table_cell(table, "share of");
    cli_table_cell(table, "prior");
    for (size_t i = 0; i < n; i++)
        cli_table_cell(table, "%s", optima[i]->name);
    for (size_t k = 0; k < optima[0]->n_domains; k++) {
        cli_table_cell(table, "%s", optima[0]->domains[k]);
        cli_table_cell(table, "%s", cli_share_text(optima[0]->prior[k], text));
        for (size_t i = 0; i < n; i++)
            cli_table_cell(table, "%s", cli_share_text(optima[i]->mixture[k], text));
    }
    cli_table_print(table, out, "  ");
    cli_table_destroy(table);
}

static bool is_tied(const struct mix_trade_off *t, size_t at, const struct mix_optimum *o)
{
    return t->not_worse[at] >= 0.5 * (1.0 - o->level);
}

static void print_trade_off(FILE *out, size_t n, struct mix_optimum *const *optima,
                            const struct mix_trade_off *t)
{
    struct cli_table *table = cli_table_create(1 + n);
    cli_table_cell(table, "objective of, by mixture");
    for (size_t j = 0; j < n; j++)
        cli_table_cell(table, "%s", optima[j]->name);
    for (size_t i = 0; i < n; i++) {
        cli_table_cell(table, "%s", optima[i]->name);
        for (size_t j = 0; j < n; j++) {
            const size_t at = i * n + j;
            if (isnan(t->objective[at]))
                cli_table_cell(table, "–");
            else if (i == j)
                cli_table_cell(table, "%.4f", t->objective[at]);
            else
                cli_table_cell(table, "%+.4f%s", t->objective[at] - t->objective[i * n + i],
                               !t->allowed[at]             ? " (not allowed)"
                               : is_tied(t, at, optima[i]) ? " tied"
                                                           : "");
        }
    }
    cli_table_print(table, out, "  ");
    cli_table_destroy(table);
    fprintf(out,
            "  + what an objective rises by under the mixture of the column; not allowed: by the "
            "bounds and constraints of the row");
    char level[24];
    const bool drawn = t->n > 0 && !isnan(t->not_worse[0]);
    if (drawn && common_level(n, optima, level)[0] != '\0')
        fprintf(out, ";\n  tied: %g%% of the draws or more put it no higher than the row's own",
                50.0 * (1.0 - optima[0]->level));
    else if (drawn)
        fprintf(out, ";\n  tied: more of the draws than an interval of the row leaves out on one "
                     "side put it no higher than the row's own");
    fputc('\n', out);
}

static bool has_line(const struct mix_optimum *o, const char *line, size_t length)
{
    for (const char *other = o->warnings; *other != '\0';) {
        const size_t n = strcspn(other, "\n");
        if (n == length && strncmp(other, line, n) == 0)
            return true;
        other += n + (other[n] == '\n');
    }
    return false;
}

/* Each once: those of all without a name. */
static void print_warnings(FILE *out, size_t n, struct mix_optimum *const *optima)
{
    for (size_t i = 0; i < n; i++) {
        for (const char *line = optima[i]->warnings; *line != '\0';) {
            const size_t length = strcspn(line, "\n");
            size_t n_have = 0;
            for (size_t j = 0; j < n; j++)
                n_have += has_line(optima[j], line, length);
            if (n_have == n && i == 0)
                fprintf(out, "  warning: %.*s\n", (int)length, line);
            else if (n_have < n)
                fprintf(out, "  warning: %s: %.*s\n", optima[i]->name, (int)length, line);
            line += length + (line[length] == '\n');
        }
    }
}

void cli_print_optima(FILE *out, size_t n, struct mix_optimum *const *optima,
                      const struct mix_trade_off *trade_off)
{
    fprintf(out, "optima     %s, %zu side by side", optima[0]->law, n);
    if (optima[0]->n_draws > 0)
        fprintf(out, ", %zu draws", optima[0]->n_draws);
    fprintf(out, "\n\n");
    print_values(out, n, optima);
    fputc('\n', out);
    print_mixtures(out, n, optima);
    fputc('\n', out);
    print_trade_off(out, n, optima, trade_off);
    print_warnings(out, n, optima);
}

json_t *cli_json_trade_off(size_t n, struct mix_optimum *const *optima,
                           const struct mix_trade_off *trade_off)
{
    json_t *rows = json_object();
    for (size_t i = 0; i < n; i++) {
        json_t *row = json_object();
        for (size_t j = 0; j < n; j++) {
            const size_t at = i * n + j;
            json_object_set_new(row, optima[j]->name,
                                json_pack("{s:o, s:o, s:b}", "objective",
                                          cli_json_number(trade_off->objective[at]), "not_worse",
                                          cli_json_number(trade_off->not_worse[at]), "allowed",
                                          (int)trade_off->allowed[at]));
        }
        json_object_set_new(rows, optima[i]->name, row);
    }
    return rows;
}
