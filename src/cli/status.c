/* SPDX-License-Identifier: GPL-3.0-or-later */
/* status.c - the verb status: what a sweep file holds. */
#include "cli.h"

#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>

#include "mixsweep/store.h"

/* Everything that is said about a file, read once. The lists end with NULL. */
struct overview {
    const char *path;
    struct mix_table *table; /* NULL = no runs yet */
    struct mix_fit **fits;
    struct mix_draws **draws;
    struct mix_optimum **optima;
    size_t n_logs; /* log files that are not folded in yet */
};

static void free_overview(struct overview *o)
{
    mix_table_destroy(o->table);
    for (struct mix_fit **fit = o->fits; fit != NULL && *fit != NULL; fit++)
        mix_fit_destroy(*fit);
    for (struct mix_draws **draws = o->draws; draws != NULL && *draws != NULL; draws++)
        mix_draws_destroy(*draws);
    for (struct mix_optimum **optimum = o->optima; optimum != NULL && *optimum != NULL; optimum++)
        mix_optimum_destroy(*optimum);
    free(o->fits);
    free(o->draws);
    free(o->optima);
}

static size_t count_logs(const char *dir)
{
    size_t n = 0;
    DIR *folder = opendir(dir);
    if (folder == NULL)
        return 0; /* no folder, no logs */
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        n += entry->d_name[0] != '.';
    closedir(folder);
    return n;
}

static enum mix_status read_fits(struct mix_store *store, struct overview *o, struct mix_error *err)
{
    struct mix_names names = {0};
    enum mix_status status = mix_store_list(store, "fits", &names, err);
    if (status != MIX_OK)
        return status;
    o->fits = calloc(names.n + 1, sizeof(struct mix_fit *));
    if (o->fits == NULL)
        status = mix_fail(err, MIX_ENOMEM, "out of memory for the fits in %s.", o->path);
    for (size_t i = 0; status == MIX_OK && i < names.n; i++)
        status = mix_store_read_fit(store, names.name[i], &o->fits[i], err);
    mix_names_destroy(&names);
    return status;
}

static enum mix_status read_draws(struct mix_store *store, struct overview *o,
                                  struct mix_error *err)
{
    struct mix_names names = {0};
    enum mix_status status = mix_store_list(store, "bootstrap", &names, err);
    if (status != MIX_OK)
        return status;
    o->draws = calloc(names.n + 1, sizeof(struct mix_draws *));
    if (o->draws == NULL)
        status = mix_fail(err, MIX_ENOMEM, "out of memory for the draws in %s.", o->path);
    for (size_t i = 0; status == MIX_OK && i < names.n; i++)
        status = mix_store_read_draws(store, names.name[i], &o->draws[i], err);
    mix_names_destroy(&names);
    return status;
}

static enum mix_status read_optima(struct mix_store *store, struct overview *o,
                                   struct mix_error *err)
{
    struct mix_names names = {0};
    enum mix_status status = mix_store_list(store, "optimum", &names, err);
    if (status != MIX_OK)
        return status;
    o->optima = calloc(names.n + 1, sizeof(struct mix_optimum *));
    if (o->optima == NULL)
        status = mix_fail(err, MIX_ENOMEM, "out of memory for the optima in %s.", o->path);
    for (size_t i = 0; status == MIX_OK && i < names.n; i++)
        status = mix_store_read_optimum(store, names.name[i], &o->optima[i], err);
    mix_names_destroy(&names);
    return status;
}

static enum mix_status read_overview(struct overview *o, struct mix_error *err)
{
    struct mix_store *store = NULL;
    enum mix_status status = mix_store_open(o->path, MIX_STORE_READ, false, &store, err);
    if (status != MIX_OK)
        return status;
    o->n_logs = count_logs(mix_store_log_dir(store));
    status = mix_store_read_table(store, &o->table, err);
    if (status == MIX_ENOTFOUND) {
        err->text[0] = '\0'; /* a file without runs is fine here */
        status = MIX_OK;
    }
    if (status == MIX_OK)
        status = read_fits(store, o, err);
    if (status == MIX_OK)
        status = read_draws(store, o, err);
    if (status == MIX_OK)
        status = read_optima(store, o, err);
    mix_store_close(store);
    return status;
}

static bool is_stale(const struct overview *o, const struct mix_fit *fit)
{
    return o->table == NULL || !mix_fit_sees_same_runs(fit, o->table);
}

/* Runs by what became of them; the sizes and mixtures they have. */
struct counts {
    size_t done, failed, interrupted, excluded, mixtures;
};

static struct counts count_runs(const struct mix_table *table)
{
    struct counts counts = {0};
    for (size_t i = 0; i < table->n_rows; i++) {
        const struct mix_run *run = &table->runs[i];
        counts.done += run->status == MIX_RUN_DONE;
        counts.failed += run->status == MIX_RUN_FAILED;
        counts.interrupted += run->status == MIX_RUN_INTERRUPTED;
        counts.excluded += run->excluded != 0;
        if ((size_t)run->mixture_id >= counts.mixtures) /* they are numbered from 0 */
            counts.mixtures = (size_t)run->mixture_id + 1;
    }
    return counts;
}

/* One line of the list of sizes: runs of one size, with the range of their tokens. */
struct size_group {
    double n_params, min_tokens, max_tokens;
    size_t n_rows;
};

static int compare_groups(const void *a, const void *b)
{
    const double x = ((const struct size_group *)a)->n_params;
    const double y = ((const struct size_group *)b)->n_params;
    return (x > y) - (x < y);
}

/* The sizes in ascending order; NULL when memory is out. */
static struct size_group *group_sizes(const struct mix_table *table, size_t *n_groups)
{
    struct size_group *groups = calloc(table->n_rows + 1, sizeof *groups);
    size_t n = 0;
    if (groups == NULL)
        return NULL;
    for (size_t i = 0; i < table->n_rows; i++) {
        const struct mix_run *run = &table->runs[i];
        size_t g = 0;
        while (g < n && groups[g].n_params != run->n_params)
            g++;
        if (g == n)
            groups[n++] = (struct size_group){.n_params = run->n_params,
                                              .min_tokens = run->n_tokens,
                                              .max_tokens = run->n_tokens};
        groups[g].n_rows++;
        groups[g].min_tokens = fmin(groups[g].min_tokens, run->n_tokens);
        groups[g].max_tokens = fmax(groups[g].max_tokens, run->n_tokens);
    }
    qsort(groups, n, sizeof *groups, compare_groups);
    *n_groups = n;
    return groups;
}

static enum mix_status print_sizes(const struct mix_table *table, struct mix_error *err)
{
    char a[16], b[16];
    size_t n_groups = 0;
    struct size_group *groups = group_sizes(table, &n_groups);
    struct cli_table *lines = cli_table_create(3);
    if (groups == NULL || lines == NULL) {
        free(groups);
        cli_table_destroy(lines);
        return mix_fail(err, MIX_ENOMEM, "out of memory for the sizes.");
    }
    cli_table_cell(lines, "parameters");
    cli_table_cell(lines, "tokens");
    cli_table_cell(lines, "rows");
    for (size_t g = 0; g < n_groups; g++) {
        const bool one = groups[g].min_tokens == groups[g].max_tokens;
        cli_table_cell(lines, "%s", cli_size(groups[g].n_params, a));
        cli_size(groups[g].min_tokens, a);
        cli_size(groups[g].max_tokens, b);
        cli_table_cell(lines, "%s%s%s", a, one ? "" : " … ", one ? "" : b);
        cli_table_cell(lines, "%zu", groups[g].n_rows);
    }
    putchar('\n');
    cli_table_print(lines, stdout, "  ");
    cli_table_destroy(lines);
    free(groups);
    return MIX_OK;
}

static enum mix_status print_runs(const struct overview *o, struct mix_error *err)
{
    const struct mix_table *table = o->table;
    if (table == NULL) {
        printf("runs       none\n");
        return MIX_OK;
    }
    const struct counts counts = count_runs(table);
    printf("runs       %zu done, %zu failed, %zu interrupted, %zu excluded; %zu mixtures\n",
           counts.done, counts.failed, counts.interrupted, counts.excluded, counts.mixtures);
    printf("domains   ");
    for (size_t j = 0; j < table->n_domains; j++)
        printf(" %s", table->domains[j].name);
    printf("\ntargets   ");
    for (size_t m = 0; m < table->n_targets; m++)
        printf(" %s", table->targets[m].name);
    putchar('\n');
    return print_sizes(table, err);
}

static void number_cell(struct cli_table *lines, int digits, double value, const char *unit)
{
    if (isfinite(value))
        cli_table_cell(lines, "%.*f%s", digits, value, unit);
    else
        cli_table_cell(lines, "-");
}

static void print_fits(const struct overview *o)
{
    struct cli_table *lines = cli_table_create(7);
    static const char *const heads[] = {"fit", "law", "losses", "MRE", "held out", "MRE", "ρ"};
    for (size_t j = 0; j < sizeof heads / sizeof heads[0]; j++)
        cli_table_cell(lines, "%s", heads[j]);
    for (size_t i = 0; o->fits[i] != NULL; i++) {
        const struct mix_fit *fit = o->fits[i];
        cli_table_cell(lines, "%s", fit->name);
        cli_table_cell(lines, "%s", fit->spec.law);
        cli_table_cell(lines, "%zu", fit->n_fitted);
        number_cell(lines, 2, 100.0 * fit->train.mre, "%");
        if (fit->n_holdouts > 0) {
            cli_table_cell(lines, "%s", fit->holdouts[0].kind);
            number_cell(lines, 2, 100.0 * fit->holdouts[0].law.mre, "%");
            number_cell(lines, 3, fit->holdouts[0].law.rho, "");
        } else {
            for (int j = 0; j < 3; j++)
                cli_table_cell(lines, "-");
        }
    }
    putchar('\n');
    cli_table_print(lines, stdout, "  ");
    cli_table_destroy(lines);
    for (size_t i = 0; o->fits[i] != NULL; i++)
        if (is_stale(o, o->fits[i]))
            printf("  note: %s: the runs have changed since this fit; fit again with --replace\n",
                   o->fits[i]->name);
}

static void print_optimum(const struct mix_optimum *optimum)
{
    char n_params[16], n_tokens[16], loss[32] = "-";
    if (isfinite(optimum->objective.value))
        snprintf(loss, sizeof loss, "%.4g", optimum->objective.value);
    printf("optimum    %s: fit %s at %s parameters, %s tokens, loss %s\n", optimum->name,
           optimum->fit, cli_size(optimum->n_params, n_params),
           cli_size(optimum->n_tokens, n_tokens), loss);
}

static enum mix_status print_text(const struct overview *o, struct mix_error *err)
{
    printf("file       %s\n", o->path);
    const enum mix_status status = print_runs(o, err);
    if (status != MIX_OK)
        return status;
    if (o->fits[0] != NULL)
        print_fits(o);
    if (o->draws[0] != NULL || o->optima[0] != NULL)
        putchar('\n');
    for (size_t i = 0; o->draws[i] != NULL; i++)
        printf("bootstrap  %s: %zu/%zu draws\n", o->draws[i]->fit, mix_draws_count(o->draws[i]),
               o->draws[i]->n_draws);
    for (size_t i = 0; o->optima[i] != NULL; i++)
        print_optimum(o->optima[i]);
    if (o->n_logs > 0)
        printf("\n%zu log%s beside the file (%s.log/): a job is at work, or one was stopped; what "
               "the logs hold is counted above.\n",
               o->n_logs, o->n_logs == 1 ? "" : "s", o->path);
    return MIX_OK;
}

static json_t *json_runs(const struct overview *o)
{
    if (o->table == NULL)
        return json_null();
    const struct counts counts = count_runs(o->table);
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "n", (json_int_t)o->table->n_rows, "done",
                     (json_int_t)counts.done, "failed", (json_int_t)counts.failed, "interrupted",
                     (json_int_t)counts.interrupted, "excluded", (json_int_t)counts.excluded,
                     "mixtures", (json_int_t)counts.mixtures);
}

static json_t *json_sizes(const struct overview *o)
{
    json_t *list = json_array();
    size_t n_groups = 0;
    struct size_group *groups = o->table == NULL ? NULL : group_sizes(o->table, &n_groups);
    for (size_t g = 0; g < n_groups; g++)
        json_array_append_new(list, json_pack("{s:o, s:[o, o], s:I}", "n_params",
                                              cli_json_number(groups[g].n_params), "n_tokens",
                                              cli_json_number(groups[g].min_tokens),
                                              cli_json_number(groups[g].max_tokens), "rows",
                                              (json_int_t)groups[g].n_rows));
    free(groups);
    return list;
}

static json_t *json_domains(const struct overview *o)
{
    json_t *list = json_array();
    for (size_t j = 0; o->table != NULL && j < o->table->n_domains; j++)
        json_array_append_new(list,
                              json_pack("{s:s, s:o}", "name", o->table->domains[j].name, "prior",
                                        cli_json_number(o->table->domains[j].prior)));
    return list;
}

static json_t *json_targets(const struct overview *o)
{
    json_t *list = json_array();
    for (size_t m = 0; o->table != NULL && m < o->table->n_targets; m++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:o}", "name", o->table->targets[m].name,
                                              "unit", o->table->targets[m].unit, "weight",
                                              cli_json_number(o->table->targets[m].weight)));
    return list;
}

static json_t *json_fits(const struct overview *o)
{
    json_t *list = json_array();
    for (size_t i = 0; o->fits[i] != NULL; i++) {
        const struct mix_fit *fit = o->fits[i];
        json_t *holdout = json_null();
        if (fit->n_holdouts > 0)
            holdout = json_pack("{s:s, s:o, s:o, s:o}", "kind", fit->holdouts[0].kind, "mre",
                                cli_json_number(fit->holdouts[0].law.mre), "rho",
                                cli_json_number(fit->holdouts[0].law.rho), "regret",
                                cli_json_number(fit->holdouts[0].law.regret));
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:b, s:I, s:o, s:o, s:o}", "name", fit->name, "law",
                            fit->spec.law, "stale", is_stale(o, fit), "n_fitted",
                            (json_int_t)fit->n_fitted, "objective", cli_json_number(fit->objective),
                            "mre", cli_json_number(fit->train.mre), "holdout", holdout));
    }
    return list;
}

static json_t *json_draws(const struct overview *o)
{
    json_t *list = json_array();
    for (size_t i = 0; o->draws[i] != NULL; i++)
        json_array_append_new(list, json_pack("{s:s, s:I, s:I}", "fit", o->draws[i]->fit, "draws",
                                              (json_int_t)o->draws[i]->n_draws, "done",
                                              (json_int_t)mix_draws_count(o->draws[i])));
    return list;
}

static json_t *json_optima(const struct overview *o)
{
    json_t *list = json_array();
    for (size_t i = 0; o->optima[i] != NULL; i++) {
        const struct mix_optimum *optimum = o->optima[i];
        json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:o, s:o}", "name", optimum->name,
                                              "fit", optimum->fit, "n_params",
                                              cli_json_number(optimum->n_params), "n_tokens",
                                              cli_json_number(optimum->n_tokens), "objective",
                                              cli_json_number(optimum->objective.value)));
    }
    return list;
}

static enum mix_status print_json(const struct overview *o, struct mix_error *err)
{
    json_t *root =
        json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I}", "file", o->path, "runs",
                  json_runs(o), "sizes", json_sizes(o), "domains", json_domains(o), "targets",
                  json_targets(o), "fits", json_fits(o), "bootstrap", json_draws(o), "optimum",
                  json_optima(o), "logs", (json_int_t)o->n_logs);
    if (root == NULL)
        return mix_fail(err, MIX_EINVAL, "%s: a name in the file is not UTF-8.", o->path);
    json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(17)); /* checked at exit */
    putchar('\n');
    json_decref(root);
    return MIX_OK;
}

static enum mix_status run_status(struct mix_ranks *ranks, int argc, char **argv,
                                  struct mix_error *err)
{
    (void)ranks;
    const char *format = NULL, *path = NULL;
    bool help = false, json = false;
    const struct cli_option options[] = {{.name = "format",
                                          .value = "FORMAT",
                                          .help = "text or json (text)",
                                          .kind = CLI_TEXT,
                                          .target = &format},
                                         {.name = NULL}};
    enum mix_status status =
        cli_parse(&cli_verb_status, options, argc, argv, 1, 1, &path, &help, err);
    if (status == MIX_OK && !help)
        status = cli_parse_format(format, &json, err);
    if (status != MIX_OK || help)
        return status;

    struct overview overview = {.path = path};
    status = read_overview(&overview, err);
    if (status == MIX_OK)
        status = json ? print_json(&overview, err) : print_text(&overview, err);
    free_overview(&overview);
    return status;
}

const struct cli_verb cli_verb_status = {
    .name = "status",
    .summary = "say what a sweep file holds",
    .synopsis = "S.h5 [--format json]",
    .details =
        "Reads the file and the logs of a job that is still at work (or was stopped), so it\n"
        "can be asked at any time, on a login node too.\n\n"
        "  mixsweep status sweep.h5\n",
    .run = run_status,
};
