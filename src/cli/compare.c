/* SPDX-License-Identifier: GPL-3.0-or-later */
/* compare.c - the verb compare: all laws on the same hold-outs. */
#include "cli.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/compare.h"
#include "mixsweep/share.h"

struct request {
    const char *path, *checkpoints, *format, *targets, *where;
    bool show, json, break_lock;
    double started_s;
    struct mix_compare_options compare;
};

static enum mix_status fill_selection(struct request *request, struct mix_error *err)
{
    struct mix_selection *selection = &request->compare.selection;
    const size_t size = sizeof selection->where;
    if (request->where != NULL &&
        (size_t)snprintf(selection->where, size, "%s", request->where) >= size)
        return mix_fail(err, MIX_EUSAGE, "--where is longer than %zu bytes", size - 1);
    if (request->targets != NULL &&
        (size_t)snprintf(selection->targets, size, "%s", request->targets) >= size)
        return mix_fail(err, MIX_EUSAGE, "--targets is longer than %zu bytes", size - 1);
    if (strlen(request->compare.laws) >= MIX_TEXT_MAX)
        return mix_fail(err, MIX_EUSAGE, "--laws is longer than %d bytes", MIX_TEXT_MAX - 1);
    if (strlen(request->compare.holdout) >= MIX_KIND_MAX)
        return mix_fail(err, MIX_EUSAGE, "--holdout is longer than %d bytes", MIX_KIND_MAX - 1);
    const char *name = request->compare.name;
    if (name[0] == '\0' || strlen(name) >= MIX_NAME_MAX || strchr(name, '/') != NULL ||
        name[0] == '.')
        return mix_fail(err, MIX_EUSAGE,
                        "--name \"%s\" must have 1 to %d characters, no slash and no dot in front",
                        name, MIX_NAME_MAX - 1);
    enum mix_status status =
        cli_parse_checkpoints(request->checkpoints, &selection->checkpoints, err);
    if (status == MIX_OK)
        status = cli_parse_format(request->format, &request->json, err);
    return status;
}

/* Predictors of a hold-out, the smallest MRE first, those that predict nothing last. */
static void order_rows(const struct mix_compare *c, size_t test, size_t *order)
{
    const struct mix_compare_row *rows = c->rows + test * c->n_predictors;
    for (size_t q = 0; q < c->n_predictors; q++) {
        size_t at = q;
        const double mre = rows[q].metrics.n > 0 ? rows[q].metrics.mre : INFINITY;
        while (at > 0 && mre < (rows[order[at - 1]].metrics.n > 0 ? rows[order[at - 1]].metrics.mre
                                                                  : INFINITY)) {
            order[at] = order[at - 1];
            at--;
        }
        order[at] = q;
    }
}

static json_t *floors_json(unsigned bits)
{
    json_t *out = json_array();
    for (unsigned f = 0; f < MIX_FLOORS; f++)
        if ((bits >> f & 1U) != 0)
            json_array_append_new(out, json_string(mix_floor_names[f]));
    return out;
}

static json_t *row_json(const struct mix_predictor *predictor, const struct mix_compare_row *row)
{
    static const char *const kinds[] = {"law", "floor", "stack"};
    const struct mix_metrics *m = &row->metrics;
    return json_pack(
        "{s:s, s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, "
        "s:o, s:o}",
        "name", predictor->name, "kind", kinds[predictor->kind], "n_params",
        (json_int_t)row->n_params, "n", (json_int_t)m->n, "mre", cli_json_number(m->mre), "mre_se",
        cli_json_number(row->mre_se), "worse", cli_json_number(row->worse), "worse_se",
        cli_json_number(row->worse_se), "mae", cli_json_number(m->mae), "rmse",
        cli_json_number(m->rmse), "rho", cli_json_number(m->rho), "slope",
        cli_json_number(m->slope), "regret", cli_json_number(m->regret), "skill",
        cli_json_number(m->skill), "weight", cli_json_number(row->weight), "fit_s",
        cli_json_number(row->fit_s), "loses_mre", floors_json(row->loses_mre), "loses_skill",
        floors_json(row->loses_skill), "reason",
        row->reason[0] != '\0' ? json_string(row->reason) : json_null());
}

static json_t *test_json(const struct mix_compare *c, size_t t)
{
    const struct mix_compare_test *test = &c->tests[t];
    size_t order[MIX_COMPARE_LAWS_MAX + MIX_FLOORS + 1];
    json_t *rows = json_array();
    order_rows(c, t, order);
    for (size_t i = 0; i < c->n_predictors; i++)
        json_array_append_new(
            rows, row_json(&c->predictors[order[i]], &c->rows[t * c->n_predictors + order[i]]));
    return json_pack("{s:s, s:I, s:I, s:s, s:o, s:o, s:s, s:o}", "kind", test->kind, "folds",
                     (json_int_t)test->n_folds, "groups", (json_int_t)test->n_groups,
                     "standard_errors_over", test->groups_are_folds ? "folds" : "mixtures",
                     "trained_min", cli_json_number(test->trained_min), "trained_max",
                     cli_json_number(test->trained_max), "best", c->predictors[test->best].name,
                     "rows", rows);
}

static void print_json(const struct mix_compare *c)
{
    json_t *holdouts = json_array();
    for (size_t t = 0; t < c->n_tests; t++)
        json_array_append_new(holdouts, test_json(c, t));
    json_t *out = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "name", c->name,
        "laws", c->laws, "holdout", c->holdout_option, "where", c->selection.where, "targets",
        c->selection.targets, "checkpoints", mix_checkpoints_name(c->selection.checkpoints),
        "mask_below", c->selection.mask_below, "starts", (json_int_t)c->n_starts, "seed",
        (json_int_t)c->seed, "n_rows", (json_int_t)c->n_rows, "n_fitted", (json_int_t)c->n_fitted,
        "n_mixtures", (json_int_t)c->n_clusters, "n_targets", (json_int_t)c->n_targets, "holdouts",
        holdouts);
    json_dumpf(out, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    putchar('\n');
    json_decref(out);
}

static void number_cell(struct cli_table *table, const char *format, double value)
{
    char text[32];
    snprintf(text, sizeof text, format, fabs(value) < 5e-5 ? 0.0 : value); /* never -0.000 */
    cli_table_cell(table, "%s", isfinite(value) ? text : "-");
}

/* "0.45 ±0.03%" */
static void percent_cell(struct cli_table *table, double value, double se)
{
    if (isfinite(value) && isfinite(se))
        cli_table_cell(table, "%.2f ±%.2f%%", 100.0 * value, 100.0 * se);
    else
        number_cell(table, "%.2f%%", 100.0 * value);
}

/* "scale-only; skill: mean, copy-scale": those better in both, in MRE, in skill. */
static void floors_cell(struct cli_table *table, const struct mix_compare_row *row)
{
    const unsigned both = row->loses_mre & row->loses_skill;
    const unsigned sets[] = {both, row->loses_mre & ~both, row->loses_skill & ~both};
    static const char *const labels[] = {"", "MRE: ", "skill: "};
    char text[MIX_TEXT_MAX] = "";
    for (size_t s = 0; s < 3; s++) {
        bool is_first = true;
        for (unsigned f = 0; f < MIX_FLOORS; f++) {
            const size_t used = strlen(text);
            if ((sets[s] >> f & 1) == 0)
                continue;
            snprintf(text + used, sizeof text - used, "%s%s%s",
                     used == 0  ? ""
                     : is_first ? "; "
                                : ", ",
                     is_first ? labels[s] : "", mix_floor_names[f]);
            is_first = false;
        }
    }
    cli_table_cell(table, "%s", text[0] != '\0' ? text : "-");
}

static void print_row(struct cli_table *table, const struct mix_predictor *predictor,
                      const struct mix_compare_row *row, bool best)
{
    const struct mix_metrics *m = &row->metrics;
    char duration[16];
    cli_table_cell(table, "%s%s", predictor->kind == MIX_PREDICTOR_FLOOR ? "floor " : "",
                   predictor->name);
    cli_table_cell(table, "%zu", row->n_params);
    cli_table_cell(table, "%zu", m->n);
    percent_cell(table, m->mre, row->mre_se);
    if (best)
        cli_table_cell(table, "best");
    else
        percent_cell(table, row->worse, row->worse_se);
    number_cell(table, "%.4f", m->mae);
    number_cell(table, "%.4f", m->rmse);
    number_cell(table, "%.3f", m->rho);
    number_cell(table, "%.2f", m->slope);
    number_cell(table, "%.4f", m->regret);
    number_cell(table, "%.3f", m->skill);
    number_cell(table, "%.2f", row->weight);
    cli_table_cell(table, "%s", isfinite(row->fit_s) ? cli_duration(row->fit_s, duration) : "-");
    floors_cell(table, row);
}

static void print_test(const struct mix_compare *c, size_t t)
{
    const char *const head[] = {"",  "params", "losses", "MRE",   "worse by", "MAE", "RMSE",
                                "ρ", "slope",  "regret", "skill", "weight",   "fit", "loses to"};
    enum { COLUMNS = sizeof head / sizeof head[0] };
    const struct mix_compare_test *test = &c->tests[t];
    const struct mix_compare_row *rows = c->rows + t * c->n_predictors;
    size_t order[MIX_COMPARE_LAWS_MAX + MIX_FLOORS + 1];
    char from[16], to[16];
    printf("\nheld out: %s; fitted on %s to %s, ± over %zu %s\n", test->kind,
           cli_size(test->trained_min, from), cli_size(test->trained_max, to), test->n_groups,
           test->groups_are_folds ? "folds" : "mixtures");
    if (strncmp(test->kind, "scale", 5) == 0 && test->trained_min == test->trained_max)
        printf("  note: fitted on one size: says nothing of N, the laws go on by their priors\n");
    struct cli_table *table = cli_table_create(COLUMNS);
    for (size_t i = 0; i < COLUMNS; i++)
        cli_table_cell(table, "%s", head[i]);
    order_rows(c, t, order);
    for (size_t i = 0; i < c->n_predictors; i++)
        if (rows[order[i]].metrics.n > 0)
            print_row(table, &c->predictors[order[i]], &rows[order[i]], order[i] == test->best);
    cli_table_print(table, stdout, "  ");
    cli_table_destroy(table);
    for (size_t i = 0; i < c->n_predictors; i++)
        if (rows[order[i]].metrics.n == 0)
            printf("  not %s: %s\n", c->predictors[order[i]].name, rows[order[i]].reason);
}

static void print_text(const struct mix_compare *c)
{
    printf("  %zu rows, %zu mixtures, %zu targets, %zu starts a fit\n", c->n_rows, c->n_clusters,
           c->n_targets, c->n_starts);
    for (size_t t = 0; t < c->n_tests; t++)
        print_test(c, t);
    printf("\n  worse by: MRE less that of the best row, with the standard error of the paired "
           "difference\n  weight: in the stack, learnt from hold-outs within the training rows; "
           "fit: processor time of a fold\n  loses to: floors that know nothing of mixing and are "
           "better in MRE, skill or both\n");
}

static void print(const struct request *request, const struct mix_compare *compare, bool stale)
{
    char duration[16];
    if (request->json) {
        print_json(compare);
        return;
    }
    if (request->show)
        printf("compare    %s%s\n", compare->name, stale ? "; the runs have changed since" : "");
    else
        printf("compare    %s  %zu hold-out%s    %s\n", compare->name, compare->n_tests,
               compare->n_tests == 1 ? "" : "s",
               cli_duration(cli_now_s() - request->started_s, duration));
    print_text(compare);
}

/* What the file holds. */
static enum mix_status show(const struct request *request, struct mix_error *err)
{
    struct mix_store *store = NULL;
    struct mix_table *table = NULL;
    struct mix_compare *compare = NULL;
    enum mix_status status = mix_store_open(request->path, MIX_STORE_READ, false, &store, err);
    if (status == MIX_OK)
        status = mix_store_read_compare(store, request->compare.name, &compare, err);
    if (status == MIX_OK)
        status = mix_store_read_table(store, &table, err);
    if (status == MIX_OK)
        print(request, compare, !mix_compare_sees_same_runs(compare, table));
    mix_compare_destroy(compare);
    mix_table_destroy(table);
    mix_store_close(store);
    return status;
}

static enum mix_status run_compare(struct mix_ranks *ranks, const struct request *request,
                                   struct mix_error *err)
{
    struct mix_store *store = NULL;
    struct mix_table *table = NULL;
    struct mix_compare *compare = NULL;
    struct cli_progress progress = {.stage = "compare", .unit = "starts"};
    enum mix_status status = MIX_OK;
    if (mix_ranks_rank(ranks) == 0) {
        status = mix_store_open(request->path, MIX_STORE_WRITE, request->break_lock, &store, err);
        if (status == MIX_OK)
            status = mix_store_read_table(store, &table, err);
    }
    progress.store = store;
    status = mix_ranks_agree(ranks, status, err);
    if (status == MIX_OK)
        status = mix_share_table(ranks, &table, err);
    if (status == MIX_OK)
        status = mix_compare_run(ranks, table, &request->compare, cli_progress, &progress, &compare,
                                 err);
    if (mix_ranks_rank(ranks) == 0) {
        cli_progress_clear(&progress);
        if (status == MIX_OK)
            status = mix_store_put_compare(store, compare, err);
        if (status == MIX_OK)
            status = mix_store_commit(store, err);
        if (status == MIX_OK)
            print(request, compare, false);
    }
    status = mix_ranks_agree(ranks, status, err);
    mix_store_close(store);
    mix_table_destroy(table);
    mix_compare_destroy(compare);
    return status;
}

static enum mix_status verb_compare(struct mix_ranks *ranks, int argc, char **argv,
                                    struct mix_error *err)
{
    struct request request = {.compare = mix_compare_options_default(), .started_s = cli_now_s()};
    double mask = 0.0;
    char laws[MIX_TEXT_MAX], law_help[MIX_TEXT_MAX + 64];
    mix_law_list(laws);
    snprintf(law_help, sizeof law_help, "all (default), or some of %s", laws);
    const struct cli_option options[] = {
        {"laws", 0, "LIST", law_help, CLI_TEXT, &request.compare.laws, 0, 0},
        {"holdout", 0, "SPLIT", "scale, mixture:K-fold, both, or all (default all)", CLI_TEXT,
         &request.compare.holdout, 0, 0},
        {"name", 0, "NAME", "name of the comparison in the file (default laws)", CLI_TEXT,
         &request.compare.name, 0, 0},
        {"targets", 0, "LIST", "domains, all, or names a,b,c (default domains)", CLI_TEXT,
         &request.targets, 0, 0},
        {"where", 0, "TERMS", "rows to compare on, for example n_params<=680e6", CLI_TEXT,
         &request.where, 0, 0},
        {"checkpoints", 0, "WHICH",
         "last of each run, late (from 60% of it on), or all (default last)", CLI_TEXT,
         &request.checkpoints, 0, 0},
        {"mask-below", 0, "SHARE",
         "a domain's loss counts only where its share is at least this (default 0)", CLI_NUMBER,
         &mask, 0.0, 1.0},
        {"starts", 0, "N", "starts of each fit (default 16)", CLI_COUNT, &request.compare.n_starts,
         1, 1e6},
        {"seed", 0, "SEED", "seed of starts and folds (default 1)", CLI_SEED, &request.compare.seed,
         0, 0},
        {"show", 0, NULL, "print what the file holds; nothing is fitted", CLI_FLAG, &request.show,
         0, 0},
        {"break-lock", 0, NULL, "take the file from a process that seems to be alive", CLI_FLAG,
         &request.break_lock, 0, 0},
        {"format", 0, "FORMAT", "text or json (default text)", CLI_TEXT, &request.format, 0, 0},
        {0}};
    bool help = false;
    enum mix_status status =
        cli_parse(&cli_verb_compare, options, argc, argv, 1, 1, &request.path, &help, err);
    if (status != MIX_OK || help)
        return status;
    request.compare.selection.mask_below = mask;
    status = fill_selection(&request, err);
    if (status != MIX_OK || !request.show)
        return status == MIX_OK ? run_compare(ranks, &request, err) : status;
    if (mix_ranks_rank(ranks) == 0)
        status = show(&request, err);
    return mix_ranks_agree(ranks, status, err);
}

const struct cli_verb cli_verb_compare = {
    .name = "compare",
    .summary = "judge all laws on the same runs that they have not seen",
    .synopsis = "S.h5 [--laws LIST] [OPTIONS]",
    .details =
        "Fits every law on the same training rows and predicts the rows held out: the largest\n"
        "size (scale), each of K folds of the mixtures (mixture:K-fold), mixtures and largest "
        "size\n"
        "at once (both). Beside them stand floors that know nothing of mixing (mean, scale-only,\n"
        "copy-scale: the same mixture at the nearest scale), and a stack: a mean of the laws "
        "whose\n"
        "weights come from hold-outs within the training rows. Held-out rows choose nothing.\n"
        "A comparison takes the place of an earlier one of its name.\n"
        "\n"
        "JSON: name laws holdout where targets checkpoints mask_below starts seed n_rows n_fitted\n"
        "n_mixtures n_targets, and holdouts, each with kind folds groups standard_errors_over "
        "(folds or\n"
        "mixtures) trained_min trained_max (parameters) best, and rows, the best first: name kind "
        "(law,\n"
        "floor, stack) n_params (free ones) n (losses predicted; 0: see reason) mre mre_se worse\n"
        "worse_se (than the best) mae rmse rho slope regret skill weight (in the stack) fit_s "
        "(processor\n"
        "seconds of a fold) loses_mre loses_skill (floors it loses to) reason; what is not defined "
        "is\n"
        "null.\n"
        "\n"
        "Example:\n"
        "  mpirun -n 16 mixsweep compare sweep.h5 --where 'n_params<=937e6'\n",
    .ranks = true,
    .run = verb_compare,
};
