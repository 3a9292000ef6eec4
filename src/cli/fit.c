/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fit.c - the verb fit: fit a law to the runs of a file, judge it, store it. */
#include "cli.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/share.h"
#include "mixsweep/store.h"

struct request {
    const char *path, *checkpoints, *format, *targets, *where, *form;
    bool replace, json, break_lock, found;
    double started_s;
    struct mix_fit_options fit;
};

static enum mix_status parse_form(const char *text, int *form, struct mix_error *err)
{
    if (text == NULL)
        return MIX_OK;
    if (strcmp(text, "eq1") != 0 && strcmp(text, "eq3") != 0)
        return mix_fail(err, MIX_EUSAGE, "--form %s is unknown; allowed are eq1 and eq3", text);
    *form = text[2] - '0';
    return MIX_OK;
}

enum mix_status cli_parse_checkpoints(const char *text, enum mix_checkpoints *out,
                                      struct mix_error *err)
{
    *out = MIX_CHECKPOINTS_LAST;
    if (text != NULL && !mix_checkpoints_read(text, out))
        return mix_fail(err, MIX_EUSAGE, "--checkpoints \"%.80s\": not last, late or all", text);
    return MIX_OK;
}

static enum mix_status fill_selection(struct request *request, struct mix_error *err)
{
    struct mix_selection *selection = &request->fit.selection;
    const size_t size = sizeof selection->where;
    if (request->where != NULL &&
        (size_t)snprintf(selection->where, size, "%s", request->where) >= size)
        return mix_fail(err, MIX_EUSAGE, "--where is longer than %zu bytes", size - 1);
    if (request->targets != NULL &&
        (size_t)snprintf(selection->targets, size, "%s", request->targets) >= size)
        return mix_fail(err, MIX_EUSAGE, "--targets is longer than %zu bytes", size - 1);
    enum mix_status status =
        cli_parse_checkpoints(request->checkpoints, &selection->checkpoints, err);
    if (status == MIX_OK)
        status = parse_form(request->form, &request->fit.form, err);
    if (status == MIX_OK)
        status = cli_parse_format(request->format, &request->json, err);
    if (status == MIX_OK && request->fit.name == NULL)
        request->fit.name = request->fit.law;
    if (status == MIX_OK)
        status = cli_check_name("name", request->fit.name, err);
    char laws[MIX_TEXT_MAX];
    mix_law_list(laws);
    if (status == MIX_OK && mix_law_find(request->fit.law) == NULL)
        return mix_fail(err, MIX_EUSAGE,
                        "--law %s is unknown; the laws are %s, each also as LAW+repetition",
                        request->fit.law, laws);
    return status;
}

static json_t *metrics_json(const struct mix_metrics *m)
{
    return json_pack("{s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "n", (json_int_t)m->n,
                     "left_out", (json_int_t)m->n_left_out, "mse", cli_json_number(m->mse), "mre",
                     cli_json_number(m->mre), "mae", cli_json_number(m->mae), "rmse",
                     cli_json_number(m->rmse), "rho", cli_json_number(m->rho), "regret",
                     cli_json_number(m->regret), "slope", cli_json_number(m->slope), "skill",
                     cli_json_number(m->skill));
}

static json_t *by_target_json(const struct mix_fit *fit, const struct mix_metrics *metrics)
{
    json_t *out = json_object();
    for (size_t m = 0; m < fit->spec.n_targets; m++)
        json_object_set_new(out, fit->targets[m], metrics_json(&metrics[m]));
    return out;
}

static json_t *holdout_json(const struct mix_fit *fit, size_t i)
{
    const struct mix_holdout *holdout = &fit->holdouts[i];
    json_t *out = metrics_json(&holdout->law), *floors = json_object();
    json_object_set_new(out, "kind", json_string(holdout->kind));
    for (size_t f = 0; f < MIX_FLOORS; f++)
        if (holdout->floor[f].n > 0)
            json_object_set_new(floors, mix_floor_names[f], metrics_json(&holdout->floor[f]));
    json_object_set_new(out, "floors", floors);
    if (i == 0)
        json_object_set_new(out, "by_target", by_target_json(fit, fit->holdout_by_target));
    return out;
}

static json_t *lines_json(const char *lines)
{
    json_t *out = json_array();
    for (const char *line = lines; *line != '\0';) {
        const size_t n = strcspn(line, "\n");
        json_array_append_new(out, json_stringn(line, n));
        line += n + (line[n] == '\n');
    }
    return out;
}

static void print_json(const struct mix_fit *fit)
{
    json_t *params = json_object(), *errors = json_object(), *holdouts = json_array();
    for (size_t p = 0; p < fit->n_params; p++) {
        json_object_set_new(params, fit->param_names[p], cli_json_number(fit->params[p]));
        json_object_set_new(errors, fit->param_names[p], cli_json_number(fit->std_error[p]));
    }
    for (size_t i = 0; i < fit->n_holdouts; i++)
        json_array_append_new(holdouts, holdout_json(fit, i));
    json_t *out = json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
        "name", fit->name, "law", fit->spec.law, "n_rows", (json_int_t)fit->n_rows, "n_mixtures",
        (json_int_t)fit->n_clusters, "n_fitted", (json_int_t)fit->n_fitted, "n_params",
        (json_int_t)fit->n_params, "objective", cli_json_number(fit->objective), "mse",
        cli_json_number(fit->train.mse), "starts", (json_int_t)fit->n_starts, "starts_at_best",
        (json_int_t)fit->n_at_best, "train", metrics_json(&fit->train), "train_by_target",
        by_target_json(fit, fit->train_by_target), "holdout",
        fit->n_holdouts > 0 ? holdout_json(fit, 0) : json_null(), "holdouts", holdouts, "params",
        params, "std_errors", errors, "warnings", lines_json(fit->warnings));
    json_dumpf(out, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    putchar('\n');
    json_decref(out);
}

static void number_cell(struct cli_table *table, const char *format, double value)
{
    char text[32];
    if (!isfinite(value)) {
        cli_table_cell(table, "%s", "-");
        return;
    }
    snprintf(text, sizeof text, format, fabs(value) < 5e-5 ? 0.0 : value); /* never -0.000 */
    cli_table_cell(table, "%s", text);
}

static void metrics_row(struct cli_table *table, const char *label, const struct mix_metrics *m)
{
    cli_table_cell(table, "%s", label);
    cli_table_cell(table, "%zu", m->n);
    number_cell(table, "%.2f%%", 100.0 * m->mre);
    number_cell(table, "%.4f", m->mae);
    number_cell(table, "%.4f", m->rmse);
    number_cell(table, "%.3f", m->rho);
    number_cell(table, "%.4f", m->regret);
    number_cell(table, "%.2f", m->slope);
    number_cell(table, "%.3f", m->skill);
}

static struct cli_table *metrics_table(const char *title)
{
    const char *const head[] = {title, "losses", "MRE",   "MAE",  "RMSE",
                                "ρ",   "regret", "slope", "skill"};
    struct cli_table *table = cli_table_create(9);
    for (size_t i = 0; i < 9; i++)
        cli_table_cell(table, "%s", head[i]);
    return table;
}

static void print_metrics(FILE *out, const struct mix_fit *fit)
{
    struct cli_table *table = metrics_table("trained on");
    for (size_t m = 0; m < fit->spec.n_targets; m++)
        metrics_row(table, fit->targets[m], &fit->train_by_target[m]);
    metrics_row(table, "all", &fit->train);
    cli_table_print(table, out, "  ");
    cli_table_destroy(table);
    for (size_t i = 0; i < fit->n_holdouts; i++) {
        const struct mix_holdout *holdout = &fit->holdouts[i];
        char title[MIX_KIND_MAX + 16];
        snprintf(title, sizeof title, "held out: %s", holdout->kind);
        fputc('\n', out);
        table = metrics_table(title);
        for (size_t m = 0; i == 0 && m < fit->spec.n_targets; m++)
            metrics_row(table, fit->targets[m], &fit->holdout_by_target[m]);
        metrics_row(table, fit->spec.law, &holdout->law);
        for (size_t f = 0; f < MIX_FLOORS; f++) {
            snprintf(title, sizeof title, "floor %s", mix_floor_names[f]);
            if (holdout->floor[f].n > 0)
                metrics_row(table, title, &holdout->floor[f]);
        }
        cli_table_print(table, out, "  ");
        cli_table_destroy(table);
    }
}

/* "b[code]" is symbol b of target code; "T[code,web]" is an entry of a matrix; "H" stands alone. No
 * name has a comma of its own. */
enum { SYMBOLS_MAX = 32 };
struct symbols {
    size_t n;
    char name[SYMBOLS_MAX][MIX_NAME_MAX];
};

static bool is_entry(const char *name)
{
    return strchr(name, '[') != NULL && strchr(name, ',') != NULL;
}

static void add_symbol(struct symbols *symbols, const char *name)
{
    char symbol[MIX_NAME_MAX];
    snprintf(symbol, sizeof symbol, "%.*s", (int)strcspn(name, "["), name);
    for (size_t i = 0; i < symbols->n; i++)
        if (strcmp(symbols->name[i], symbol) == 0)
            return;
    if (symbols->n < SYMBOLS_MAX)
        memcpy(symbols->name[symbols->n++], symbol, sizeof symbol);
}

/* Those of targets, or those of matrices, in the order of the law. */
static struct symbols symbols_of(const struct mix_fit *fit, bool entries)
{
    struct symbols symbols = {0};
    for (size_t p = 0; p < fit->n_params; p++)
        if (strchr(fit->param_names[p], '[') != NULL && is_entry(fit->param_names[p]) == entries)
            add_symbol(&symbols, fit->param_names[p]);
    return symbols;
}

static bool has_index(const char *name, const char *symbol, const char *index)
{
    const size_t n = strlen(symbol);
    return strncmp(name, symbol, n) == 0 && name[n] == '[' &&
           strncmp(name + n + 1, index, strlen(index)) == 0 &&
           strcmp(name + n + 1 + strlen(index), "]") == 0;
}

/* "", " bound" or " ?"; of the last also those whose error is larger than they are. */
static const char *param_mark(const struct mix_fit *fit, size_t p)
{
    static const char *const marks[] = {"", " bound", " ?"};
    if (isfinite(fit->std_error[p]))
        return fit->std_error[p] > fabs(fit->params[p]) ? marks[2] : marks[0];
    return marks[fit->param_state[p] % 3];
}

/* "0.31 ±0.04", "0 bound", "1.2 ?", "11 ±7e+02 ?". */
static const char *param_text(const struct mix_fit *fit, size_t p, char text[48])
{
    char error[24] = "";
    if (isfinite(fit->std_error[p]))
        snprintf(error, sizeof error, " ±%.1g", fit->std_error[p]);
    snprintf(text, 48, "%.3g%s%s", fit->params[p], error, param_mark(fit, p));
    return text;
}

static void symbol_cell(struct cli_table *table, const struct mix_fit *fit, const char *symbol,
                        const char *index)
{
    for (size_t p = 0; p < fit->n_params; p++)
        if (has_index(fit->param_names[p], symbol, index)) {
            char text[48];
            cli_table_cell(table, "%s", param_text(fit, p, text));
            return;
        }
    cli_table_cell(table, "%s", "");
}

static void print_matrix(FILE *out, const struct mix_fit *fit, const char *symbol)
{
    const bool own_is_one = strcmp(symbol, "T") == 0 && mix_law_is(fit->spec.law, "transfer");
    struct cli_table *table = cli_table_create(fit->spec.n_domains + 1);
    cli_table_cell(table, "%s: target, domain", symbol);
    for (size_t k = 0; k < fit->spec.n_domains; k++)
        cli_table_cell(table, "%s", fit->domains[k]);
    for (size_t m = 0; m < fit->spec.n_targets; m++) {
        cli_table_cell(table, "%s", fit->targets[m]);
        for (size_t k = 0; k < fit->spec.n_domains; k++) {
            char index[2 * MIX_NAME_MAX + 2];
            snprintf(index, sizeof index, "%s,%s", fit->targets[m], fit->domains[k]);
            if (own_is_one && fit->target_domain[m] == (int)k)
                cli_table_cell(table, "%s", "1");
            else
                symbol_cell(table, fit, symbol, index);
        }
    }
    fputc('\n', out);
    cli_table_print(table, out, "  ");
    cli_table_destroy(table);
}

static void print_by_target(FILE *out, const struct mix_fit *fit)
{
    const struct symbols symbols = symbols_of(fit, false);
    if (symbols.n == 0)
        return;
    struct cli_table *table = cli_table_create(symbols.n + 1);
    cli_table_cell(table, "%s", "parameters ± standard error");
    for (size_t i = 0; i < symbols.n; i++)
        cli_table_cell(table, "%s", symbols.name[i]);
    for (size_t m = 0; m < fit->spec.n_targets; m++) {
        cli_table_cell(table, "%s", fit->targets[m]);
        for (size_t i = 0; i < symbols.n; i++)
            symbol_cell(table, fit, symbols.name[i], fit->targets[m]);
    }
    fputc('\n', out);
    cli_table_print(table, out, "  ");
    cli_table_destroy(table);
}

/* "  E, A, B in units of loss; C in 1/loss; N in 1e6 parameters", of what the fit has. */
static void print_units(FILE *out, const struct mix_fit *fit)
{
    struct symbols units = {0};
    const char *begin = "  ";
    bool of_capacity = false; /* b, c of N and A, a of D are there whatever varies */
    for (size_t p = 0; p < fit->n_params; p++) {
        of_capacity = of_capacity || strncmp(fit->param_names[p], "b[", 2) == 0;
        if (strchr(fit->param_names[p], '[') != NULL && strcmp(fit->param_units[p], "1") != 0)
            add_symbol(&units, fit->param_units[p]);
    }
    for (size_t u = 0; u < units.n; u++) {
        struct symbols of_unit = {0};
        for (size_t p = 0; p < fit->n_params; p++)
            if (strchr(fit->param_names[p], '[') != NULL &&
                strcmp(fit->param_units[p], units.name[u]) == 0)
                add_symbol(&of_unit, fit->param_names[p]);
        for (size_t i = 0; i < of_unit.n; i++)
            fprintf(out, "%s%s", i == 0 ? begin : ", ", of_unit.name[i]);
        fprintf(out, " in %s%s", strcmp(units.name[u], "loss") == 0 ? "units of " : "",
                units.name[u]);
        begin = "; ";
    }
    if (of_capacity || fit->spec.has_size_term) {
        fprintf(out, "%sN in 1e6 parameters", begin);
        begin = "; ";
    }
    if (of_capacity || fit->spec.has_token_term) {
        fprintf(out, "%sD in 1e9 tokens", begin);
        begin = "; ";
    }
    if (begin[0] == ';')
        fputc('\n', out);
}

static void print_marks(FILE *out, const struct mix_fit *fit)
{
    bool bound = false, open = false;
    for (size_t p = 0; p < fit->n_params; p++) {
        const char *mark = param_mark(fit, p);
        bound = bound || strcmp(mark, " bound") == 0;
        open = open || strcmp(mark, " ?") == 0;
    }
    if (bound)
        fprintf(out, "  bound: the parameter is on its bound\n");
    if (open)
        fprintf(out, "  ?: the design does not identify it, or its standard error exceeds it\n");
}

static void print_params(FILE *out, const struct mix_fit *fit)
{
    const struct symbols matrices = symbols_of(fit, true);
    print_by_target(out, fit);
    for (size_t i = 0; i < matrices.n; i++)
        print_matrix(out, fit, matrices.name[i]);
    for (size_t p = 0; p < fit->n_params; p++) {
        char text[48];
        const bool unitless = strcmp(fit->param_units[p], "1") == 0;
        if (strchr(fit->param_names[p], '[') == NULL)
            fprintf(out, "  %s = %s%s%s\n", fit->param_names[p], param_text(fit, p, text),
                    unitless ? "" : " ", unitless ? "" : fit->param_units[p]);
    }
    print_units(out, fit);
    print_marks(out, fit);
}

void cli_print_fit(FILE *out, const struct mix_fit *fit, double wall_s)
{
    char duration[16];
    fprintf(out, "fit        %-10s  %zu starts, %zu reached the best optimum    %s\n", fit->name,
            fit->n_starts, fit->n_at_best, cli_duration(wall_s, duration));
}

static void print_text(const struct request *request, const struct mix_fit *fit)
{
    cli_print_fit(stdout, fit, cli_now_s() - request->started_s);
    printf("  law %s, %zu parameters, %zu losses of %zu rows and %zu mixtures, MSE %.4g%s\n\n",
           fit->spec.law, fit->n_params, fit->n_fitted, fit->n_rows, fit->n_clusters,
           fit->train.mse, request->found ? " (in the file already)" : "");
    print_metrics(stdout, fit);
    print_params(stdout, fit);
    if (fit->warnings[0] != '\0')
        putchar('\n');
    cli_print_warnings(stdout, fit->warnings);
    printf("\nnext: mixsweep bootstrap %s --fit %s --draws 1000\n", request->path, fit->name);
}

/* Rank 0: open the file, read the runs, and see whether the fit is there already. */
static enum mix_status prepare(struct request *request, struct mix_store **store,
                               struct mix_table **table, struct mix_fit **fit,
                               struct mix_error *err)
{
    enum mix_status status =
        mix_store_open(request->path, MIX_STORE_WRITE, request->break_lock, store, err);
    if (status == MIX_OK)
        status = mix_store_read_table(*store, table, err);
    if (status != MIX_OK)
        return status;
    struct mix_data *selected = NULL; /* a misspelt column is no change of the selection */
    status = mix_table_select(*table, &request->fit.selection, &selected, err);
    mix_data_destroy(selected);
    if (status != MIX_OK)
        return status;
    struct mix_fit *old = NULL;
    status = mix_store_read_fit(*store, request->fit.name, &old, err);
    if (status == MIX_ENOTFOUND)
        return MIX_OK;
    if (status != MIX_OK)
        return status;
    char text[MIX_TEXT_MAX];
    const char *difference = mix_fit_difference(old, *table, &request->fit, text);
    if (difference == NULL) {
        request->found = true;
        *fit = old;
        return MIX_OK;
    }
    mix_fit_destroy(old);
    if (!request->replace)
        return mix_fail(
            err, MIX_EEXIST,
            "%s has a fit %s already, and %s since; give another --name, or --replace it "
            "(its bootstrap and optima then go with it)",
            request->path, request->fit.name, difference);
    return MIX_OK;
}

/* Rank 0: store the fit; what was made from a former one of its name goes. */
static enum mix_status keep(struct mix_store *store, const struct mix_fit *fit,
                            struct mix_error *err)
{
    char dropped[MIX_TEXT_MAX] = "";
    enum mix_status status = mix_store_put_fit(store, fit, err);
    if (status == MIX_OK)
        status = mix_store_drop_dependents(store, fit->name, dropped, err);
    if (status == MIX_OK)
        status = mix_store_commit(store, err);
    if (status == MIX_OK && dropped[0] != '\0')
        fprintf(stderr, "mixsweep: made from the former fit %s and dropped: %s\n", fit->name,
                dropped);
    return status;
}

static enum mix_status run_fit(struct mix_ranks *ranks, struct request *request,
                               struct mix_error *err)
{
    struct mix_store *store = NULL;
    struct mix_table *table = NULL;
    struct mix_fit *fit = NULL;
    struct cli_progress progress = {.stage = "fit", .unit = "starts"};
    enum mix_status status = MIX_OK;
    if (mix_ranks_rank(ranks) == 0)
        status = prepare(request, &store, &table, &fit, err);
    progress.store = store;
    status = mix_ranks_agree(ranks, status, err);
    if (status == MIX_OK) {
        mix_ranks_broadcast(ranks, &request->found, sizeof request->found);
        if (!request->found) {
            status = mix_share_table(ranks, &table, err);
            if (status == MIX_OK)
                status =
                    mix_fit_run(ranks, table, &request->fit, cli_progress, &progress, &fit, err);
            if (status == MIX_OK && mix_ranks_rank(ranks) == 0) {
                cli_progress_clear(&progress);
                status = keep(store, fit, err);
            }
        }
    }
    if (mix_ranks_rank(ranks) == 0) {
        cli_progress_clear(&progress);
        if (status == MIX_OK && fit != NULL && request->json)
            print_json(fit);
        else if (status == MIX_OK && fit != NULL)
            print_text(request, fit);
    }
    status = mix_ranks_agree(ranks, status, err);
    mix_store_close(store);
    mix_table_destroy(table);
    mix_fit_destroy(fit);
    return status;
}

static enum mix_status verb_fit(struct mix_ranks *ranks, int argc, char **argv,
                                struct mix_error *err)
{
    struct request request = {.fit = mix_fit_options_default(), .started_s = cli_now_s()};
    double mask = 0.0;
    char laws[MIX_TEXT_MAX], law_help[MIX_TEXT_MAX + 64];
    mix_law_list(laws);
    snprintf(law_help, sizeof law_help, "%s; each also as LAW+repetition (default %s)", laws,
             request.fit.law);
    const struct cli_option options[] = {
        {"law", 0, "LAW", law_help, CLI_TEXT, &request.fit.law, 0, 0},
        {"form", 0, "FORM", "capacity only: eq1 or eq3, the paper's simpler forms", CLI_TEXT,
         &request.form, 0, 0},
        {"name", 0, "NAME", "name of the fit in the file (default: the law)", CLI_TEXT,
         &request.fit.name, 0, 0},
        {"targets", 0, "LIST", "domains, all, or names a,b,c (default domains)", CLI_TEXT,
         &request.targets, 0, 0},
        {"where", 0, "TERMS", "rows to fit, for example n_params<=680e6,n_tokens=20e9", CLI_TEXT,
         &request.where, 0, 0},
        {"checkpoints", 0, "WHICH",
         "last of each run, late (from 60% of it on), or all (default last)", CLI_TEXT,
         &request.checkpoints, 0, 0},
        {"mask-below", 0, "SHARE",
         "a domain's loss counts only where its share is at least this (default 0)", CLI_NUMBER,
         &mask, 0.0, 1.0},
        {"holdout", 0, "SPLIT",
         "auto, none, scale, both, mixture:0.3 or mixture:4-fold (default auto)", CLI_TEXT,
         &request.fit.holdout, 0, 0},
        {"starts", 0, "N", "starts of the search (default 64)", CLI_COUNT, &request.fit.n_starts, 1,
         1e6},
        {"seed", 0, "SEED", "seed of starts and splits (default 1)", CLI_SEED, &request.fit.seed, 0,
         0},
        {"replace", 0, NULL,
         "where the fit of this name has other options or runs: drop it and what was made from it",
         CLI_FLAG, &request.replace, 0, 0},
        {"break-lock", 0, NULL, "take the file from a process that seems to be alive", CLI_FLAG,
         &request.break_lock, 0, 0},
        {"format", 0, "FORMAT", "text or json (default text)", CLI_TEXT, &request.format, 0, 0},
        {0}};
    bool help = false;
    enum mix_status status =
        cli_parse(&cli_verb_fit, options, argc, argv, 1, 1, &request.path, &help, err);
    if (status != MIX_OK || help)
        return status;
    request.fit.selection.mask_below = mask;
    status = fill_selection(&request, err);
    return status == MIX_OK ? run_fit(ranks, &request, err) : status;
}

const struct cli_verb cli_verb_fit = {
    .name = "fit",
    .summary = "fit a mixing law to the runs, and judge it on runs it has not seen",
    .synopsis = "S.h5 [--law LAW] [OPTIONS]",
    .details =
        "Nonlinear least squares from many starts, spread over the ranks. The stored fit uses all\n"
        "selected rows; hold-out fits serve the printed figures only. With three sizes or more "
        "the\n"
        "largest is held out, and unseen mixtures at that size; else 30% of the mixtures.\n"
        "Bootstrap and optimum inherit the selection, the mask and the targets of the fit.\n"
        "\n"
        "Example:\n"
        "  mpirun -n 16 mixsweep fit sweep.h5 --law transfer --where 'n_params<=680e6'\n",
    .ranks = true,
    .run = verb_fit,
};
