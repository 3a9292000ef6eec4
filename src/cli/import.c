/* SPDX-License-Identifier: GPL-3.0-or-later */
/* import.c - the verb import: other people's tables of proxy runs into a sweep file. */
#include "cli.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/csv.h"
#include "mixsweep/store.h"

/* What the command line says. */
struct request {
    const char *table, *output, *checkpoints, *map, *ratios, *metrics, *format;
    double n_params, n_tokens;
    struct cli_list where;
    bool append, json, break_lock;
};

/* What came of it. */
struct outcome {
    struct mix_import_notes notes;
    struct mix_table *table; /* the rows read; then those of the file */
    size_t n_added, n_same;
    size_t n_mixtures, n_sizes;
};

static enum mix_status check_request(const struct request *request, enum mix_checkpoints *take,
                                     struct mix_error *err)
{
    if (request->output == NULL)
        return mix_fail(err, MIX_EUSAGE, "where to? Give -o S.h5.");
    if ((request->ratios == NULL) != (request->metrics == NULL))
        return mix_fail(err, MIX_EUSAGE, "--ratios and --metrics belong together.");
    if ((request->table == NULL) == (request->ratios == NULL))
        return mix_fail(err, MIX_EUSAGE, "give either a TABLE or --ratios and --metrics.");
    if (strcmp(request->checkpoints, "last") == 0)
        *take = MIX_CHECKPOINTS_LAST;
    else if (strcmp(request->checkpoints, "all") == 0)
        *take = MIX_CHECKPOINTS_ALL;
    else
        return mix_fail(err, MIX_EUSAGE, "--checkpoints \"%.80s\": not last or all.",
                        request->checkpoints);
    return cli_refuse_folder(request->output, err);
}

static enum mix_status read_rows(const struct request *request, enum mix_checkpoints checkpoints,
                                 struct outcome *outcome, struct mix_error *err)
{
    struct mix_map *map = NULL;
    enum mix_status status = MIX_OK;
    if (request->map != NULL)
        status = mix_map_read(request->map, &map, err);
    if (status != MIX_OK)
        return status;
    const struct mix_import import = {
        .path = request->table,
        .map = map,
        .ratios_path = request->ratios,
        .metrics_path = request->metrics,
        .n_params = request->n_params,
        .n_tokens = request->n_tokens,
        .where = request->where.item,
        .n_where = request->where.n,
        .checkpoints = checkpoints,
    };
    status = mix_csv_import(&import, &outcome->table, &outcome->notes, err);
    mix_map_destroy(map);
    return status;
}

/* Join the rows read to those of the file, if it has any. */
static enum mix_status merge(struct mix_store *store, struct outcome *outcome,
                             struct mix_error *err)
{
    struct mix_table *old = NULL;
    enum mix_status status = mix_store_read_table(store, &old, err);
    if (status == MIX_ENOTFOUND)
        return MIX_OK;
    if (status == MIX_OK)
        status = mix_table_merge(old, outcome->table, &outcome->n_same, err);
    if (status != MIX_OK) {
        mix_table_destroy(old);
        return status;
    }
    mix_table_destroy(outcome->table);
    outcome->table = old;
    return MIX_OK;
}

static int compare_doubles(const void *left, const void *right)
{
    const double a = *(const double *)left, b = *(const double *)right;
    return a < b ? -1 : a > b;
}

/* Count mixtures and sizes of the rows read. */
static enum mix_status count(struct outcome *outcome, struct mix_error *err)
{
    const struct mix_table *table = outcome->table;
    double *sizes = calloc(table->n_rows + 1, sizeof *sizes);
    if (sizes == NULL)
        return mix_fail(err, MIX_ENOMEM, "not enough memory for %zu runs.", table->n_rows);
    for (size_t r = 0; r < table->n_rows; r++) {
        sizes[r] = table->runs[r].n_params;
        if (table->runs[r].mixture_id >= (int32_t)outcome->n_mixtures)
            outcome->n_mixtures = (size_t)table->runs[r].mixture_id + 1;
    }
    qsort(sizes, table->n_rows, sizeof *sizes, compare_doubles);
    for (size_t r = 0; r < table->n_rows; r++)
        outcome->n_sizes += r == 0 || sizes[r] != sizes[r - 1];
    free(sizes);
    return MIX_OK;
}

static enum mix_status write_file(const struct request *request, struct outcome *outcome,
                                  struct mix_error *err)
{
    struct mix_store *store = NULL;
    enum mix_status status =
        mix_store_open(request->output, request->append ? MIX_STORE_WRITE : MIX_STORE_CREATE,
                       request->break_lock, &store, err);
    if (status == MIX_ENOTFOUND)
        return mix_fail(err, status, "%s does not exist; leave out --append to make it.",
                        request->output);
    if (status == MIX_EEXIST)
        return mix_fail(err, status, "%s exists already; --append adds rows to it.",
                        request->output);
    if (status != MIX_OK)
        return status;
    if (request->append)
        status = merge(store, outcome, err);
    if (status == MIX_OK)
        status = mix_store_put_table(store, outcome->table, err);
    if (status == MIX_OK)
        status = mix_store_commit(store, err);
    mix_store_close(store);
    return status;
}

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

static bool is_measured(const struct mix_table *table, size_t target)
{
    for (size_t r = 0; r < table->n_rows; r++)
        if (!isnan(table->loss[r * table->n_targets + target]))
            return true;
    return false;
}

/* The target of a domain, or SIZE_MAX. */
static size_t target_of(const struct mix_table *table, size_t domain)
{
    for (size_t m = 0; m < table->n_targets; m++)
        if (table->targets[m].domain == (int32_t)domain)
            return m;
    return SIZE_MAX;
}

static bool all_domains_have_losses(const struct mix_table *table)
{
    for (size_t k = 0; k < table->n_domains; k++)
        if (target_of(table, k) == SIZE_MAX || !is_measured(table, target_of(table, k)))
            return false;
    return true;
}

/* "a, b, c, ...", item by item. */
static void print_item(const char *prefix, const char *name, size_t i)
{
    enum { NAMED = 3 };
    if (i < NAMED)
        fprintf(stderr, "%s%s%s", i > 0 ? ", " : "", prefix, name);
    else if (i == NAMED)
        fputs(", ...", stderr);
}

/* Domains without a column of losses, and targets that may have been meant. */
static void print_unmatched(const struct mix_table *table)
{
    size_t n_domains = 0, n_targets = 0;
    for (size_t k = 0; k < table->n_domains; k++)
        n_domains += target_of(table, k) == SIZE_MAX;
    if (n_domains == 0)
        return;
    fprintf(stderr, "note: no loss is of domain%s ", plural(n_domains));
    for (size_t k = 0, i = 0; k < table->n_domains; k++)
        if (target_of(table, k) == SIZE_MAX)
            print_item("", table->domains[k].name, i++);
    for (size_t m = 0; m < table->n_targets; m++)
        if (table->targets[m].domain < 0) {
            fputs(n_targets == 0 ? " (" : "", stderr);
            print_item("loss_", table->targets[m].name, n_targets++);
        }
    if (n_targets > 0)
        fprintf(stderr, " %s)",
                n_targets == 1 ? "is a target that is no domain"
                               : "are targets that are no domain");
    fputs(".\n", stderr);
}

/* Columns of losses without a number: how many there are. */
static size_t print_unmeasured(const struct mix_table *table)
{
    size_t n = 0;
    for (size_t m = 0; m < table->n_targets; m++)
        if (!is_measured(table, m)) {
            fputs(n == 0 ? "note: no run has a loss of target " : "", stderr);
            print_item("", table->targets[m].name, n++);
        }
    if (n > 0)
        fprintf(stderr, " (%zu of %zu): laws are fitted without.\n", n, table->n_targets);
    return n;
}

/* Sizes that no language model has: a table in millions and billions is likelier. */
static void print_units(const struct mix_table *table)
{
    static const double least_params = 1e4, least_tokens = 1e6;
    double params = 0, tokens = 0;
    for (size_t r = 0; r < table->n_rows; r++) {
        params = fmax(params, table->runs[r].n_params);
        tokens = fmax(tokens, table->runs[r].n_tokens);
    }
    const bool few_params = params < least_params, few_tokens = tokens < least_tokens;
    if (few_params || few_tokens)
        fprintf(stderr,
                "note: no run has more than %.10g %s: in millions or billions? `factor` of --map "
                "turns them into numbers, as in factor: {n_params: 1e6, n_tokens: 1e9}.\n",
                few_params ? params : tokens, few_params ? "parameters" : "tokens");
}

static void print_outliers(const struct mix_import_notes *notes)
{
    size_t n = 0;
    for (const char *line = notes->outliers; *line != '\0'; n++) {
        const size_t length = strcspn(line, "\n");
        fprintf(stderr, "note: %.*s.\n", (int)length, line);
        line += length + (line[length] == '\n');
    }
    if (notes->n_outliers > n)
        fprintf(stderr, "note: and %zu more losses or sizes like these.\n", notes->n_outliers - n);
}

static void print_notes(const struct request *request, const struct outcome *outcome)
{
    const struct mix_import_notes *notes = &outcome->notes;
    print_outliers(notes);
    print_units(outcome->table);
    print_unmatched(outcome->table);
    const size_t n_told = print_unmeasured(outcome->table) * notes->n_kept;
    const size_t n_empty = notes->n_cells_empty - (n_told <= notes->n_cells_empty ? n_told : 0);
    if (notes->n_kept < notes->n_read && request->where.n == 0) /* no word of what was asked for */
        fprintf(stderr, "note: of %zu rows %zu %s taken: the last checkpoint of each run.\n",
                notes->n_read, notes->n_kept, notes->n_kept == 1 ? "was" : "were");
    if (notes->n_renormalised > 0)
        fprintf(stderr,
                "note: the proportions of %zu row%s of %zu did not sum to 1 (off by up to %.1e) "
                "and were divided by their sum.\n",
                notes->n_renormalised, plural(notes->n_renormalised), notes->n_read,
                notes->largest_off);
    if (n_empty > 0)
        fprintf(stderr, "note: %zu loss%s not measured (empty cells).\n", n_empty,
                n_empty == 1 ? " was" : "es were");
    if (outcome->n_same > 0)
        fprintf(stderr, "note: %zu row%s in the file already and %s skipped.\n", outcome->n_same,
                outcome->n_same == 1 ? " was" : "s were", outcome->n_same == 1 ? "was" : "were");
    if (notes->n_intermediate > 0)
        fprintf(stderr,
                "warning: %zu row%s kept %s not the last checkpoint of %s run; where the learning "
                "rate follows a cosine, intermediate losses are not those of finished runs.\n",
                notes->n_intermediate, plural(notes->n_intermediate),
                notes->n_intermediate == 1 ? "is" : "are",
                notes->n_intermediate == 1 ? "its" : "their");
}

static void print_text(const struct request *request, const struct outcome *outcome)
{
    const bool grid = outcome->n_mixtures * outcome->n_sizes == outcome->notes.n_kept;
    printf("imported %zu run%s (%zu mixture%s%s%zu size%s, %zu domain%s, %zu target%s) into %s\n",
           outcome->n_added, plural(outcome->n_added), outcome->n_mixtures,
           plural(outcome->n_mixtures), grid ? " × " : ", ", outcome->n_sizes,
           plural(outcome->n_sizes), outcome->table->n_domains, plural(outcome->table->n_domains),
           outcome->table->n_targets, plural(outcome->table->n_targets), request->output);
    printf("next: mixsweep fit %s %s\n", request->output,
           all_domains_have_losses(outcome->table) ? "--law transfer"
                                                   : "--law demand --targets all");
}

static json_t *text_list(const char *first, size_t n, size_t stride)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_string(first + i * stride));
    return list;
}

static enum mix_status print_json(const struct request *request, const struct outcome *outcome,
                                  struct mix_error *err)
{
    const struct mix_table *table = outcome->table;
    const struct mix_import_notes *notes = &outcome->notes;
    json_t *root = json_object();
    json_object_set_new(root, "file", json_string(request->output));
    json_object_set_new(root, "read", json_integer((json_int_t)notes->n_read));
    json_object_set_new(root, "kept", json_integer((json_int_t)notes->n_kept));
    json_object_set_new(root, "imported", json_integer((json_int_t)outcome->n_added));
    json_object_set_new(root, "skipped", json_integer((json_int_t)outcome->n_same));
    json_object_set_new(root, "mixtures", json_integer((json_int_t)outcome->n_mixtures));
    json_object_set_new(root, "sizes", json_integer((json_int_t)outcome->n_sizes));
    json_object_set_new(
        root, "domains",
        text_list(table->domains[0].name, table->n_domains, sizeof table->domains[0]));
    json_object_set_new(
        root, "targets",
        text_list(table->targets[0].name, table->n_targets, sizeof table->targets[0]));
    json_object_set_new(root, "renormalised", json_integer((json_int_t)notes->n_renormalised));
    json_object_set_new(root, "largest_off", cli_json_number(notes->largest_off));
    json_object_set_new(root, "not_measured", json_integer((json_int_t)notes->n_cells_empty));
    json_object_set_new(root, "intermediate", json_integer((json_int_t)notes->n_intermediate));
    const int failure = json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    json_decref(root);
    if (failure != 0)
        return mix_fail(err, MIX_EIO, "cannot write the JSON result.");
    putchar('\n');
    return MIX_OK;
}

static enum mix_status import(const struct request *request, struct outcome *outcome,
                              struct mix_error *err)
{
    enum mix_checkpoints checkpoints = MIX_CHECKPOINTS_LAST;
    enum mix_status status = check_request(request, &checkpoints, err);
    if (status == MIX_OK)
        status = read_rows(request, checkpoints, outcome, err);
    if (status == MIX_OK)
        status = count(outcome, err);
    if (status == MIX_OK)
        status = write_file(request, outcome, err);
    outcome->n_added = outcome->notes.n_kept - outcome->n_same;
    return status;
}

static enum mix_status run(struct mix_ranks *ranks, int argc, char **argv, struct mix_error *err)
{
    (void)ranks;
    struct request request = {.checkpoints = "last", .format = "text"};
    const struct cli_option options[] = {
        {"output", 'o', "FILE", "the sweep file to make", CLI_TEXT, &request.output, 0, 0},
        {"append", 0, NULL, "add the rows to a sweep file; equal rows are skipped", CLI_FLAG,
         &request.append, 0, 0},
        {"break-lock", 0, NULL, "take the file from a process that seems to be alive", CLI_FLAG,
         &request.break_lock, 0, 0},
        {"where", 0, "TERMS", "rows to take, as n_params=122e6,n_tokens<=1e10; may be given again",
         CLI_TEXT_LIST, &request.where, 0, 0},
        {"checkpoints", 0, "WHICH", "last of each run, or all (default last)", CLI_TEXT,
         &request.checkpoints, 0, 0},
        {"map", 0, "MAP.yaml", "how other people's columns become ours, see below", CLI_TEXT,
         &request.map, 0, 0},
        {"ratios", 0, "R.csv", "two-CSV form (Olmix, RegMix): the mixtures", CLI_TEXT,
         &request.ratios, 0, 0},
        {"metrics", 0, "M.csv", "and the losses, joined by run, run_id, index or name", CLI_TEXT,
         &request.metrics, 0, 0},
        {"params", 0, "N", "parameters of every run, where no column says it", CLI_NUMBER,
         &request.n_params, 1, INFINITY},
        {"tokens", 0, "D", "tokens of every run, where no column says it", CLI_NUMBER,
         &request.n_tokens, 1, INFINITY},
        {"format", 0, "FORMAT", "text or json (default text)", CLI_TEXT, &request.format, 0, 0},
        {0},
    };
    bool help = false;
    enum mix_status status =
        cli_parse(&cli_verb_import, options, argc, argv, 0, 1, &request.table, &help, err);
    if (status != MIX_OK || help)
        return status;
    status = cli_parse_format(request.format, &request.json, err);
    if (status != MIX_OK)
        return status;
    struct outcome outcome = {.table = NULL};
    status = import(&request, &outcome, err);
    if (status == MIX_OK) {
        print_notes(&request, &outcome);
        if (request.json)
            status = print_json(&request, &outcome, err);
        else
            print_text(&request, &outcome);
    } else if (status != MIX_EUSAGE) {
        const size_t n = strlen(err->text);
        (void)snprintf(err->text + n, sizeof err->text - n, "%s\n  Nothing was written.",
                       n > 0 && err->text[n - 1] == '.' ? "" : ".");
    }
    mix_table_destroy(outcome.table);
    return status;
}

const struct cli_verb cli_verb_import = {
    .name = "import",
    .summary = "read a table of proxy runs into a sweep file",
    .synopsis = "TABLE.csv -o S.h5 [OPTIONS]",
    .details =
        "TABLE is a CSV with the columns run,n_params,n_tokens,h_DOMAIN...,loss_TARGET..., sizes "
        "in\n"
        "parameters and tokens, losses in nats/token; or JSON lines with such keys (name.jsonl).\n"
        "Rows of equal run and n_params are checkpoints of one run. An empty loss is not "
        "measured.\n"
        "Proportions have to sum to 1 within 0.001. Anything wrong is refused with its line; a "
        "loss\n"
        "10 times from its median, or a size of one run 1000 times from all others, is noted.\n"
        "\n"
        "A map brings other tables into this form. Patterns are POSIX extended regular "
        "expressions\n"
        "and fit whole names; every key is optional:\n"
        "\n"
        "  rename: {size: n_params}               # their column: ours\n"
        "  regex:                                 # the first that fits a column not renamed;\n"
        "                                         # one that fits nothing is refused\n"
        "    - {match: 'train_(.*)', to: 'h_\\1'}\n"
        "    - {match: 'metric/(.*)_val_loss', to: 'loss_\\1'}\n"
        "  factor: {n_params: 1e6, 'h_.*': 0.01}  # our columns, values are multiplied\n"
        "  constants: {n_tokens: 1e9}             # columns that the table does not have\n"
        "  drop: ['_.*', step]                    # their columns to leave out\n"
        "  targets: [{name: mmlu, unit: accuracy, direction: higher, chance: .25}]\n"
        "  long: {target: metric, value: loss}    # a row per loss: columns of target and value;\n"
        "                                         # rename, regex, drop fit names of targets too\n"
        "\n"
        "In the two-CSV form other columns than ours are domains in R.csv and targets in M.csv.\n"
        "Every run has to be in both files once; the order of rows does not matter.\n"
        "\n"
        "Examples:\n"
        "  mixsweep import runs.csv -o sweep.h5 --where 'n_params<=680e6'\n"
        "  mixsweep import --ratios ratios.csv --metrics metrics.csv --params 1e6 --tokens 1e9 -o "
        "s.h5",
    .run = run,
};
