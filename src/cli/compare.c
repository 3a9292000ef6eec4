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
    enum mix_status status = cli_check_name("name", request->compare.name, err);
    if (status == MIX_OK)
        status = cli_parse_checkpoints(request->checkpoints, &selection->checkpoints, err);
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

/* null where the file says nothing by target. */
static json_t *by_target_json(const struct mix_compare *c, size_t test, size_t predictor)
{
    json_t *out = c->by_target != NULL ? json_object() : json_null();
    for (size_t m = 0; c->by_target != NULL && m < c->n_targets; m++) {
        const struct mix_compare_target *on = mix_compare_on_target(c, test, predictor, m);
        const struct mix_metrics *of = &on->metrics;
        json_object_set_new(
            out, c->targets[m],
            json_pack("{s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "n",
                      (json_int_t)of->n, "left_out", (json_int_t)of->n_left_out, "mse",
                      cli_json_number(of->mse), "mre", cli_json_number(of->mre), "mae",
                      cli_json_number(of->mae), "rmse", cli_json_number(of->rmse), "rho",
                      cli_json_number(of->rho), "regret", cli_json_number(of->regret), "slope",
                      cli_json_number(of->slope), "skill", cli_json_number(of->skill), "worse",
                      cli_json_number(on->worse), "worse_se", cli_json_number(on->worse_se),
                      "loses_mae", floors_json(on->loses_mae), "loses_skill",
                      floors_json(on->loses_skill)));
    }
    return out;
}

static json_t *row_json(const struct mix_compare *c, size_t test, size_t q)
{
    static const char *const kinds[] = {"law", "floor", "stack"};
    const struct mix_predictor *predictor = &c->predictors[q];
    const struct mix_compare_row *row = &c->rows[test * c->n_predictors + q];
    const struct mix_metrics *m = &row->metrics;
    return json_pack(
        "{s:s, s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, "
        "s:o, s:o, s:o}",
        "name", predictor->name, "kind", kinds[predictor->kind], "n_params",
        (json_int_t)row->n_params, "n", (json_int_t)m->n, "mre", cli_json_number(m->mre), "mre_se",
        cli_json_number(row->mre_se), "worse", cli_json_number(row->worse), "worse_se",
        cli_json_number(row->worse_se), "mae", cli_json_number(m->mae), "rmse",
        cli_json_number(m->rmse), "rho", cli_json_number(m->rho), "slope",
        cli_json_number(m->slope), "regret", cli_json_number(m->regret), "skill",
        cli_json_number(m->skill), "weight", cli_json_number(row->weight), "fit_s",
        cli_json_number(row->fit_s), "loses_mre", floors_json(row->loses_mre), "loses_skill",
        floors_json(row->loses_skill), "reason",
        row->reason[0] != '\0' ? json_string(row->reason) : json_null(), "by_target",
        by_target_json(c, test, q));
}

/* Why scores have no link in a fold, by name. */
static json_t *no_link_json(const struct mix_compare *c, size_t test)
{
    json_t *out = json_object();
    for (size_t m = 0; c->by_target != NULL && m < c->n_targets; m++)
        if (c->no_link[test * c->n_targets + m][0] != '\0')
            json_object_set_new(out, c->targets[m],
                                json_string(c->no_link[test * c->n_targets + m]));
    return out;
}

static json_t *test_json(const struct mix_compare *c, size_t t)
{
    const struct mix_compare_test *test = &c->tests[t];
    size_t order[MIX_COMPARE_LAWS_MAX + MIX_FLOORS + 1];
    json_t *rows = json_array();
    order_rows(c, t, order);
    for (size_t i = 0; i < c->n_predictors; i++)
        json_array_append_new(rows, row_json(c, t, order[i]));
    return json_pack("{s:s, s:I, s:I, s:s, s:o, s:o, s:s, s:o, s:o}", "kind", test->kind, "folds",
                     (json_int_t)test->n_folds, "groups", (json_int_t)test->n_groups,
                     "standard_errors_over", test->groups_are_folds ? "folds" : "mixtures",
                     "trained_min", cli_json_number(test->trained_min), "trained_max",
                     cli_json_number(test->trained_max), "best", c->predictors[test->best].name,
                     "rows", rows, "no_link", no_link_json(c, t));
}

static enum mix_status print_json(const struct mix_compare *c, struct mix_error *err)
{
    json_t *holdouts = json_array(), *units = json_object(), *sizes = json_object();
    json_t *scores = json_array();
    for (size_t m = 0; c->by_target != NULL && m < c->n_targets; m++) {
        json_object_set_new(units, c->targets[m], json_string(c->units[m]));
        json_object_set_new(sizes, c->targets[m], cli_json_number(c->target_size[m]));
        if (m >= c->n_targets - c->n_scores)
            json_array_append_new(scores, json_string(c->targets[m]));
    }
    for (size_t t = 0; t < c->n_tests; t++)
        json_array_append_new(holdouts, test_json(c, t));
    json_t *out = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o}",
        "name", c->name, "laws", c->laws, "holdout", c->holdout_option, "where", c->selection.where,
        "targets", c->selection.targets, "checkpoints",
        mix_checkpoints_name(c->selection.checkpoints), "mask_below", c->selection.mask_below,
        "starts", (json_int_t)c->n_starts, "seed", (json_int_t)c->seed, "n_rows",
        (json_int_t)c->n_rows, "n_fitted", (json_int_t)c->n_fitted, "n_mixtures",
        (json_int_t)c->n_clusters, "n_targets", (json_int_t)c->n_targets, "holdouts", holdouts,
        "units", units, "target_size", sizes, "scores", scores);
    if (out == NULL) /* a name of the file that is not UTF-8 */
        return mix_fail(err, MIX_EINVAL,
                        "a name of comparison \"%.80s\" cannot be printed as JSON.", c->name);
    json_dumpf(out, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    putchar('\n');
    json_decref(out);
    return MIX_OK;
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

/* "scale-only; skill: mean, copy-scale": those better in both, in error, in skill. */
static void floors_cell(struct cli_table *table, const char *error, unsigned loses_error,
                        unsigned loses_skill)
{
    const unsigned both = loses_error & loses_skill;
    const unsigned sets[] = {both, loses_error & ~both, loses_skill & ~both};
    const char *const labels[] = {"", error, "skill: "};
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
    floors_cell(table, "MRE: ", row->loses_mre, row->loses_skill);
}

/* Predictors on a target, the smallest MAE first; returns how many predict it, those come first. */
static size_t order_on_target(const struct mix_compare *c, size_t test, size_t m, size_t *order)
{
    size_t n = 0;
    for (size_t q = 0; q < c->n_predictors; q++) {
        const struct mix_metrics *of = &mix_compare_on_target(c, test, q, m)->metrics;
        size_t at = n;
        if (of->n == 0)
            continue;
        for (; at > 0 && of->mae < mix_compare_on_target(c, test, order[at - 1], m)->metrics.mae;
             at--)
            order[at] = order[at - 1];
        order[at] = q;
        n++;
    }
    return n;
}

static void print_on_score(struct cli_table *table, const struct mix_compare *c, size_t test,
                           size_t q, size_t m, bool is_best)
{
    const struct mix_compare_target *on = mix_compare_on_target(c, test, q, m);
    const bool floor = c->predictors[q].kind == MIX_PREDICTOR_FLOOR;
    cli_table_cell(table, "%s%s", floor ? "floor " : "", c->predictors[q].name);
    cli_table_cell(table, "%zu", on->metrics.n);
    number_cell(table, "%.4f", on->metrics.mae);
    const double worse = fabs(on->worse) < 5e-5 ? 0.0 : on->worse; /* never -0.0000 */
    if (is_best)
        cli_table_cell(table, "best");
    else if (isfinite(on->worse) && isfinite(on->worse_se))
        cli_table_cell(table, "%.4f ±%.4f", worse, on->worse_se);
    else
        number_cell(table, "%.4f", on->worse);
    number_cell(table, "%.4f", on->metrics.rmse);
    number_cell(table, "%.3f", on->metrics.rho);
    number_cell(table, "%.2f", on->metrics.slope);
    number_cell(table, "%.4f", on->metrics.regret);
    number_cell(table, "%.3f", on->metrics.skill);
    floors_cell(table, "MAE: ", on->loses_mae, on->loses_skill);
}

static void print_scores(const struct mix_compare *c, size_t t)
{
    const char *const head[] = {"",  "values", "MAE",    "worse by", "RMSE",
                                "ρ", "slope",  "regret", "skill",    "loses to"};
    enum { COLUMNS = sizeof head / sizeof head[0] };
    for (size_t m = c->n_targets - c->n_scores; c->n_scores > 0 && m < c->n_targets; m++) {
        size_t order[MIX_COMPARE_LAWS_MAX + MIX_FLOORS + 1];
        const size_t n = order_on_target(c, t, m, order);
        const char *no_link = c->no_link[t * c->n_targets + m];
        size_t best = 0; /* the first that others are judged by: of equals one is the best */
        while (best < n && !(fabs(mix_compare_on_target(c, t, order[best], m)->worse) <= 0.0))
            best++;
        printf("\n  score %s (%s), better when higher; held out: %s\n", c->targets[m], c->units[m],
               c->tests[t].kind);
        struct cli_table *table = cli_table_create(COLUMNS);
        for (size_t i = 0; i < COLUMNS; i++)
            cli_table_cell(table, "%s", head[i]);
        for (size_t i = 0; i < n; i++)
            print_on_score(table, c, t, order[i], m, i == best);
        cli_table_print(table, stdout, "  ");
        cli_table_destroy(table);
        if (no_link[0] != '\0')
            printf("  without a link on training rows: %s\n", no_link);
    }
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
    print_scores(c, t);
}

static void print_text(const struct mix_compare *c)
{
    printf("  %zu rows, %zu mixtures, %zu targets", c->n_rows, c->n_clusters, c->n_targets);
    if (c->n_scores > 0)
        printf(" (%zu of them scores)", c->n_scores);
    printf(", %zu starts a fit\n", c->n_starts);
    for (size_t t = 0; t < c->n_tests; t++)
        print_test(c, t);
    const char *error = c->n_scores > 0 ? "MRE (of a score MAE)" : "MRE";
    printf("\n  worse by: %s less that of the best row, with the standard error of the paired "
           "difference\n  weight: in the stack, learnt from hold-outs within the training rows; "
           "fit: processor time of a fold\n  loses to: floors that know nothing of mixing and are "
           "better in %s, skill or both\n",
           error, error);
    if (c->n_scores > 0)
        printf(
            "  scores: from the losses predicted, by links made on the training rows; floors mean "
            "and copy-scale:\n  from the scores of training rows\n");
    if (mix_compare_mixes_units(c))
        printf(
            "  losses of several units: MAE, RMSE, ρ, slope and regret are of each over the mean "
            "of those in\n  its unit; in its own unit: by_target of --format json\n");
}

static enum mix_status print(const struct request *request, const struct mix_compare *compare,
                             bool stale, struct mix_error *err)
{
    char duration[16];
    if (request->json)
        return print_json(compare, err);
    if (request->show)
        printf("compare    %s%s\n", compare->name, stale ? "; the runs have changed since" : "");
    else
        printf("compare    %s  %zu hold-out%s    %s\n", compare->name, compare->n_tests,
               compare->n_tests == 1 ? "" : "s",
               cli_duration(cli_now_s() - request->started_s, duration));
    print_text(compare);
    return MIX_OK;
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
    if (status == MIX_ENOTFOUND && store != NULL)
        status =
            cli_unknown_result(store, "name", "compare", "comparison", request->compare.name, err);
    if (status == MIX_OK)
        status = mix_store_read_table(store, &table, err);
    if (status == MIX_OK && compare != NULL)
        status = print(request, compare, !mix_compare_sees_same_runs(compare, table), err);
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
            status = print(request, compare, false, err);
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
        "Scores among the targets (--targets all) are linked to the losses on the training rows;\n"
        "what a law says of the losses of a held-out row gives its scores, which are judged "
        "apart.\n"
        "A comparison takes the place of an earlier one of its name.\n"
        "\n"
        "JSON: name laws holdout where targets checkpoints mask_below starts seed n_rows n_fitted\n"
        "n_mixtures n_targets units target_size (what losses count relative to) scores, and "
        "holdouts,\n"
        "each with kind folds groups standard_errors_over (folds or mixtures) trained_min "
        "trained_max\n"
        "(parameters) best no_link (why scores have no link in a fold), and rows, the best first: "
        "name\n"
        "kind (law, floor, stack) n_params (free ones) n (losses predicted; 0: see reason) mre "
        "mre_se\n"
        "worse worse_se (than the best) mae rmse rho slope regret skill weight (in the stack) "
        "fit_s\n"
        "(processor seconds of a fold) loses_mre loses_skill (floors it loses to) reason, and\n"
        "by_target, of each loss and score in its own unit: n left_out mse mre mae rmse rho "
        "regret\n"
        "slope skill worse worse_se (in MAE) loses_mae loses_skill. What is not defined is null.\n"
        "\n"
        "Example:\n"
        "  mpirun -n 16 mixsweep compare sweep.h5 --where 'n_params<=937e6'\n",
    .ranks = true,
    .run = verb_compare,
};
