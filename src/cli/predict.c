/* SPDX-License-Identifier: GPL-3.0-or-later */
/* predict.c - the verb predict: a fit on runs it has not seen, or on one
 * mixture. */
#include "cli.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/csv.h"
#include "mixsweep/interval.h"
#include "mixsweep/predict.h"
#include "mixsweep/store.h"

/* The command line. */
struct asked {
    const char *path, *table, *fit, *checkpoints, *mixture, *output, *format;
    struct cli_list where;
    double n_params, n_tokens, level;
    bool force, json;
};

static enum mix_status parse(int argc, char **argv, struct asked *a, bool *help,
                             struct mix_error *err)
{
    const struct cli_option options[] = {
        {"fit", 0, "NAME", "the fit to ask (default: the only one of the file)", CLI_TEXT, &a->fit,
         0, 0},
        {"where", 0, "TERM", "rows to take, as n_params<=680e6; may be given again, all must hold",
         CLI_TEXT_LIST, &a->where, 0, 0},
        {"checkpoints", 0, "WHICH", "last of each run, or all (default last)", CLI_TEXT,
         &a->checkpoints, 0, 0},
        {"output", 'o', "FILE", "write the predictions as CSV", CLI_TEXT, &a->output, 0, 0},
        {"force", 0, NULL, "replace the output where it exists", CLI_FLAG, &a->force, 0, 0},
        {"mixture", 0, "A=.3,B=.7", "predict this mixture instead of a table", CLI_TEXT,
         &a->mixture, 0, 0},
        {"params", 0, "N", "with --mixture: size of the model, in parameters", CLI_NUMBER,
         &a->n_params, 1, INFINITY},
        {"tokens", 0, "D", "with --mixture: tokens it is trained on", CLI_NUMBER, &a->n_tokens, 1,
         INFINITY},
        {"level", 0, "P", "level of the intervals, between 0 and 1 (default 0.9)", CLI_NUMBER,
         &a->level, 0.01, 0.999},
        {"format", 0, "FORMAT", "text or json (default text)", CLI_TEXT, &a->format, 0, 0},
        {.name = NULL}};
    const char *words[2];
    const enum mix_status status =
        cli_parse(&cli_verb_predict, options, argc, argv, 1, 2, words, help, err);
    a->path = words[0];
    a->table = words[1];
    return status;
}

static enum mix_status check(struct asked *a, struct mix_error *err)
{
    if ((a->table == NULL) == (a->mixture == NULL))
        return mix_fail(err, MIX_EUSAGE, "give either a table of runs or --mixture.");
    if (a->mixture != NULL && (isnan(a->n_params) || isnan(a->n_tokens)))
        return mix_fail(err, MIX_EUSAGE,
                        "--mixture needs --params and --tokens, for example "
                        "--params 7e9 --tokens "
                        "2e12.");
    if (a->mixture != NULL && (a->where.n > 0 || a->checkpoints != NULL || a->output != NULL))
        return mix_fail(err, MIX_EUSAGE,
                        "--where, --checkpoints and -o go with a table of runs, not with "
                        "--mixture.");
    if (a->table != NULL && (!isnan(a->n_params) || !isnan(a->n_tokens)))
        return mix_fail(err, MIX_EUSAGE,
                        "--params and --tokens go with --mixture; the table gives "
                        "its own sizes.");
    if (a->checkpoints != NULL && strcmp(a->checkpoints, "last") != 0 &&
        strcmp(a->checkpoints, "all") != 0)
        return mix_fail(err, MIX_EUSAGE, "--checkpoints \"%s\": not last or all.", a->checkpoints);
    return cli_parse_format(a->format, &a->json, err);
}

static void write_predictions(FILE *out, const struct mix_fit *fit, const struct mix_table *table,
                              const struct mix_prediction *p)
{
    fprintf(out, "run,n_params,n_tokens");
    for (size_t m = 0; m < p->n_targets; m++) {
        char name[MIX_NAME_MAX + 8];
        snprintf(name, sizeof name, "pred_%s", fit->targets[m]);
        fputc(',', out);
        cli_csv_text(out, name);
    }
    fputc('\n', out);
    for (size_t r = 0; r < p->n_rows; r++) {
        cli_csv_text(out, table->runs[r].run);
        fputc(',', out);
        cli_csv_number(out, table->runs[r].n_params);
        fputc(',', out);
        cli_csv_number(out, table->runs[r].n_tokens);
        for (size_t m = 0; m < p->n_targets; m++) {
            fputc(',', out);
            cli_csv_number(out, p->predicted[r * p->n_targets + m]);
        }
        fputc('\n', out);
    }
}

static enum mix_status write_file(const struct asked *a, const struct mix_fit *fit,
                                  const struct mix_table *table, const struct mix_prediction *p,
                                  struct mix_error *err)
{
    const char *const inputs[] = {a->path, a->table};
    struct cli_output output;
    const enum mix_status status = cli_output_open(&output, a->output, a->force, 2, inputs, err);
    if (status != MIX_OK)
        return status;
    write_predictions(output.file, fit, table, p);
    return cli_output_close(&output, MIX_OK, err);
}

static void cell_percent(struct cli_table *lines, double value)
{
    if (isnan(value))
        cli_table_cell(lines, "–");
    else
        cli_table_cell(lines, "%.2f%%", 100.0 * value);
}

static void cell_number(struct cli_table *lines, const char *format, double value)
{
    if (isnan(value))
        cli_table_cell(lines, "–");
    else if (strcmp(format, "%.3f") == 0)
        cli_table_cell(lines, "%.3f", value);
    else
        cli_table_cell(lines, "%.4f", value);
}

static void print_headings(struct cli_table *lines, size_t n, const char *const *headings)
{
    for (size_t i = 0; i < n; i++)
        cli_table_cell(lines, "%s", headings[i]);
}

static void print_targets(const struct mix_fit *fit, const struct mix_prediction *p)
{
    static const char *const headings[] = {"target", "losses", "MRE", "MAE", "RMSE", "ρ", "skill"};
    struct cli_table *lines = cli_table_create(7);
    print_headings(lines, 7, headings);
    for (size_t m = 0; m <= p->n_targets; m++) {
        const struct mix_metrics *metrics = m < p->n_targets ? &p->by_target[m] : &p->all;
        if (m < p->n_targets && !p->measured[m])
            continue;
        cli_table_cell(lines, "%s", m < p->n_targets ? fit->targets[m] : "all");
        cli_table_cell(lines, "%zu", metrics->n);
        cell_percent(lines, metrics->mre);
        cell_number(lines, "%.4f", metrics->mae);
        cell_number(lines, "%.4f", metrics->rmse);
        cell_number(lines, "%.3f", metrics->rho);
        cell_number(lines, "%.3f", metrics->skill);
    }
    cli_table_print(lines, stdout, "  ");
    cli_table_destroy(lines);
}

static void print_scales(const struct mix_prediction *p)
{
    static const char *const headings[] = {"size", "tokens", "losses", "MRE", "ρ", "regret"};
    char text[16];
    struct cli_table *lines = cli_table_create(6);
    print_headings(lines, 6, headings);
    for (size_t i = 0; i < p->n_scales; i++) {
        const struct mix_prediction_scale *scale = &p->by_scale[i];
        cli_table_cell(lines, "%s", cli_size(scale->n_params, text));
        cli_table_cell(lines, "%s", cli_size(scale->n_tokens, text));
        cli_table_cell(lines, "%zu", scale->metrics.n);
        cell_percent(lines, scale->metrics.mre);
        cell_number(lines, "%.3f", scale->metrics.rho);
        cell_number(lines, "%.4f", scale->metrics.regret);
    }
    cli_table_print(lines, stdout, "  ");
    cli_table_destroy(lines);
}

static void print_score(const struct asked *a, const struct mix_fit *fit,
                        const struct mix_prediction *p)
{
    const struct mix_metrics *all = &p->all;
    printf("predict    fit %s (%s) on %s: %zu runs, %zu losses\n\n", fit->name, fit->spec.law,
           a->table, p->n_rows, all->n);
    print_targets(fit, p);
    printf("\n");
    print_scales(p);
    if (all->n > 0) /* of losses; a table may have scores alone */
        printf("\n  MRE %.2f%%, ρ %.3f, regret %.4f, slope %.2f, skill %.3f\n", 100.0 * all->mre,
               all->rho, all->regret, all->slope, all->skill);
    if (p->n_scored < p->n_targets)
        printf("  %zu of the fit's %zu targets are not measured here\n", p->n_targets - p->n_scored,
               p->n_targets);
    if (p->n_ignored > 0)
        printf("  %zu target%s of the table ignored: unknown to the fit\n", p->n_ignored,
               p->n_ignored == 1 ? "" : "s");
    if (all->n_left_out > 0)
        printf("  %zu mixture%s left out of ρ, regret and slope: a target is "
               "missing\n",
               all->n_left_out, all->n_left_out == 1 ? "" : "s");
}

static json_t *json_metrics(const struct mix_metrics *metrics)
{
    return json_pack("{s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "n",
                     (json_int_t)metrics->n, "left_out", (json_int_t)metrics->n_left_out, "mse",
                     cli_json_number(metrics->mse), "mre", cli_json_number(metrics->mre), "mae",
                     cli_json_number(metrics->mae), "rmse", cli_json_number(metrics->rmse), "rho",
                     cli_json_number(metrics->rho), "regret", cli_json_number(metrics->regret),
                     "slope", cli_json_number(metrics->slope), "skill",
                     cli_json_number(metrics->skill));
}

static void print_coverage(const struct asked *a, const struct mix_prediction_intervals *i)
{
    if (i->mean == NULL || i->n == 0)
        return;
    printf("  the %g%% interval of the mean loss (draws and residual noise) covers %.0f%% of %zu "
           "runs\n",
           100.0 * a->level, 100.0 * (double)i->n_covered / (double)i->n, i->n);
}

static json_t *json_coverage(const struct asked *a, const struct mix_prediction_intervals *i)
{
    return json_pack("{s:o, s:I, s:I, s:o}", "level", cli_json_number(a->level), "n",
                     (json_int_t)i->n, "covered", (json_int_t)i->n_covered, "share",
                     cli_json_number((double)i->n_covered / (double)i->n));
}

static json_t *json_predictions(const struct mix_fit *fit, const struct mix_table *table,
                                const struct mix_prediction *p,
                                const struct mix_prediction_intervals *intervals)
{
    json_t *list = json_array();
    for (size_t r = 0; r < p->n_rows; r++) {
        json_t *losses = json_object();
        for (size_t m = 0; m < p->n_targets; m++)
            json_object_set_new(losses, fit->targets[m],
                                cli_json_number(p->predicted[r * p->n_targets + m]));
        json_t *row =
            json_pack("{s:s, s:f, s:f, s:o}", "run", table->runs[r].run, "n_params",
                      table->runs[r].n_params, "n_tokens", table->runs[r].n_tokens, "loss", losses);
        if (intervals->mean != NULL)
            json_object_set_new(row, "mean", cli_json_interval(intervals->mean[r]));
        json_array_append_new(list, row);
    }
    return list;
}

static json_t *json_score(const struct mix_fit *fit, const struct mix_prediction *p)
{
    json_t *root = json_metrics(&p->all), *by_target = json_object(), *by_scale = json_array();
    for (size_t m = 0; m < p->n_targets; m++)
        if (p->measured[m])
            json_object_set_new(by_target, fit->targets[m], json_metrics(&p->by_target[m]));
    for (size_t i = 0; i < p->n_scales; i++) {
        json_t *scale = json_metrics(&p->by_scale[i].metrics);
        json_object_set_new(scale, "n_params", cli_json_number(p->by_scale[i].n_params));
        json_object_set_new(scale, "n_tokens", cli_json_number(p->by_scale[i].n_tokens));
        json_array_append_new(by_scale, scale);
    }
    json_object_set_new(root, "by_target", by_target);
    json_object_set_new(root, "by_scale", by_scale);
    return root;
}

static enum mix_status print_json(json_t *root, const struct asked *a, struct mix_error *err)
{
    if (root == NULL)
        return mix_fail(err, MIX_EINVAL, "%s: a name in the file is not UTF-8.", a->path);
    json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(17)); /* checked at exit */
    putchar('\n');
    json_decref(root);
    return MIX_OK;
}

static enum mix_status print_table_json(const struct asked *a, const struct mix_fit *fit,
                                        const struct mix_table *table,
                                        const struct mix_prediction *p,
                                        const struct mix_prediction_intervals *intervals,
                                        struct mix_error *err)
{
    const bool scored = p->n_scored > 0;
    json_t *root = scored ? json_score(fit, p) : json_pack("{s:i}", "n", 0);
    if (!scored)
        json_object_set_new(root, "predictions", json_predictions(fit, table, p, intervals));
    if (intervals->n > 0)
        json_object_set_new(root, "interval", json_coverage(a, intervals));
    json_object_set_new(root, "law", json_string(fit->spec.law));
    json_object_set_new(root, "fit", json_string(fit->name));
    json_object_set_new(root, "runs", json_integer((json_int_t)p->n_rows));
    json_object_set_new(root, "ignored_targets", json_integer((json_int_t)p->n_ignored));
    return print_json(root, a, err);
}

static enum mix_status predict_table(const struct asked *a, const struct mix_fit *fit,
                                     const struct mix_draws *draws, struct mix_error *err)
{
    const struct mix_import import = {.path = a->table,
                                      .n_params = NAN,
                                      .n_tokens = NAN,
                                      .where = a->where.item,
                                      .n_where = a->where.n,
                                      .checkpoints = a->checkpoints != NULL &&
                                                             strcmp(a->checkpoints, "all") == 0
                                                         ? MIX_CHECKPOINTS_ALL
                                                         : MIX_CHECKPOINTS_LAST,
                                      .without_losses_ok = true};
    struct mix_table *table = NULL;
    struct mix_prediction *p = NULL;
    struct mix_prediction_intervals intervals = {.mean = NULL};
    enum mix_status status = mix_csv_import(&import, &table, NULL, err);
    if (status == MIX_OK && table->n_rows == 0)
        status = mix_fail(err, MIX_EINVAL, "%s: no row is left to predict.", a->table);
    if (status == MIX_OK)
        status = mix_predict_table(fit, table, &p, err);
    if (status == MIX_OK && draws != NULL)
        status = mix_predict_intervals(fit, draws, table, a->level, &intervals, err);
    if (status == MIX_OK && a->output != NULL)
        status = write_file(a, fit, table, p, err);
    if (status == MIX_OK && a->json)
        status = print_table_json(a, fit, table, p, &intervals, err);
    else if (status == MIX_OK && p->n_scored > 0) {
        print_score(a, fit, p);
        print_coverage(a, &intervals);
    } else if (status == MIX_OK && a->output == NULL)
        write_predictions(stdout, fit, table, p);
    mix_prediction_intervals_clear(&intervals);
    mix_prediction_destroy(p);
    mix_table_destroy(table);
    return status;
}

/* A mixture at a scale: losses over the draws, and the error budgets of the mean (the last) and of
 * each target. */
struct forecast {
    const double *mixture; /* (K) */
    struct mix_forecast over_draws;
    struct mix_error_budget *budget; /* (M + 1) */
    struct mix_interval *wide;       /* (M + 1) */
    struct mix_intervals *both;      /* (M + 1) NULL without a jackknife */
};

static bool is_wider(struct mix_interval wide, struct mix_interval draws)
{
    return isfinite(wide.lo) && (wide.lo != draws.lo || wide.hi != draws.hi);
}

static void print_forecast_losses(const struct asked *a, const struct mix_fit *fit,
                                  const struct forecast *f)
{
    const struct mix_interval *loss = f->over_draws.loss;
    char text[80];
    bool wide = false;
    for (size_t m = 0; m < fit->spec.n_targets; m++)
        wide = wide || is_wider(f->wide[m], loss[m]);
    struct cli_table *lines = cli_table_create(wide ? 4 : 3);
    cli_table_cell(lines, "target");
    cli_table_cell(lines, "loss");
    cli_table_cell(lines, "%g%%, resampling only", 100.0 * a->level);
    if (wide)
        cli_table_cell(lines, "all known errors");
    for (size_t m = 0; m < fit->spec.n_targets; m++) {
        cli_table_cell(lines, "%s%s", fit->targets[m],
                       fit->link[m] != 0 ? " (score, better when higher)" : "");
        cli_table_cell(lines, "%.4f", loss[m].value);
        cli_table_cell(lines, "%s", cli_loss_range(loss[m], text));
        if (wide)
            cli_table_cell(lines, "%s", cli_loss_range(f->wide[m], text));
    }
    cli_table_print(lines, stdout, "  ");
    cli_table_destroy(lines);
}

/* What no run was near, one a line. */
static void list_unseen(const struct mix_fit *fit, const double *mixture, char text[MIX_TEXT_MAX])
{
    static const double NEAR = 0.02; /* of share */
    size_t used = 0;
    text[0] = '\0';
    for (size_t k = 0; k < fit->spec.n_domains && used < MIX_TEXT_MAX / 2; k++)
        if (mixture[k] > fit->seen_max[k] + NEAR)
            used += (size_t)snprintf(
                text + used, MIX_TEXT_MAX - used,
                "%scaution: no run had so much of %s: %.3g, and at most %.3g was "
                "seen",
                used > 0 ? "\n" : "", fit->domains[k], mixture[k], fit->seen_max[k]);
}

static const char *mean_name(const struct mix_fit *fit)
{
    if (mix_fit_mean_is_score(fit, fit->target_weight))
        return "mean score";
    bool weighted = false;
    for (size_t m = 1; m < fit->spec.n_targets; m++) {
        if (fit->target_size[m] != fit->target_size[0])
            return "mean relative loss"; /* of several units */
        weighted = weighted || fit->target_weight[m] != fit->target_weight[0];
    }
    return weighted ? "weighted mean loss" : "mean loss";
}

static void print_forecast(const struct asked *a, const struct mix_fit *fit,
                           const struct forecast *f)
{
    const size_t n = fit->spec.n_targets;
    char size[16], tokens[16], unseen[MIX_TEXT_MAX];
    printf("predict    fit %s (%s) at %s parameters, %s tokens\n\n", fit->name, fit->spec.law,
           cli_size(a->n_params, size), cli_size(a->n_tokens, tokens));
    cli_print_figure(stdout, mean_name(fit), f->over_draws.objective, f->wide[n],
                     isfinite(f->budget[n].scale));
    printf("\n");
    print_forecast_losses(a, fit, f);
    if (strcmp(mean_name(fit), "mean relative loss") == 0)
        printf("  losses of several units: the mean is of each over its target_size in the fit\n");
    printf("\n");
    cli_print_budget(stdout, &f->budget[n]);
    printf("\n  %.3g times the largest fitted size, %.3g times the most tokens\n",
           a->n_params / fit->max_n_params, a->n_tokens / fit->max_n_tokens);
    list_unseen(fit, f->mixture, unseen);
    cli_print_warnings(stdout, unseen);
    if (f->over_draws.n_draws == 0)
        printf("  no bootstrap, so no interval over draws: mixsweep bootstrap %s "
               "--fit %s\n",
               a->path, fit->name);
}

static json_t *json_forecast(const struct asked *a, const struct mix_fit *fit,
                             const struct forecast *f)
{
    const size_t n = fit->spec.n_targets;
    char unseen[MIX_TEXT_MAX];
    json_t *loss = json_object();
    list_unseen(fit, f->mixture, unseen);
    for (size_t m = 0; m < n; m++)
        json_object_set_new(loss, fit->targets[m],
                            cli_json_intervals(f->over_draws.loss[m], &f->wide[m],
                                               f->both != NULL ? &f->both[m].bca : NULL));
    return json_pack(
        "{s:s, s:s, s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:{s:o, s:o}}", "law",
        fit->spec.law, "fit", fit->name, "n_params", cli_json_number(a->n_params), "n_tokens",
        cli_json_number(a->n_tokens), "mixture",
        cli_json_by_name(fit->spec.n_domains, (const char(*)[MIX_NAME_MAX])fit->domains,
                         f->mixture),
        "level", cli_json_number(a->level), "draws", (json_int_t)f->over_draws.n_draws, "objective",
        cli_json_intervals(f->over_draws.objective, NULL, f->both != NULL ? &f->both[n].bca : NULL),
        "objective_wide", cli_json_interval(f->wide[n]), "loss", loss, "error",
        cli_json_budget(&f->budget[n]), "warnings", cli_json_lines(unseen), "extrapolation",
        "n_params", cli_json_number(a->n_params / fit->max_n_params), "n_tokens",
        cli_json_number(a->n_tokens / fit->max_n_tokens));
}

static enum mix_status make_forecast(const struct asked *a, struct mix_store *store,
                                     const struct mix_fit *fit, const struct mix_draws *draws,
                                     struct forecast *f, struct mix_error *err)
{
    const size_t n = fit->spec.n_targets;
    enum mix_status status = mix_predict_mixture(fit, draws, f->mixture, a->n_params, a->n_tokens,
                                                 a->level, &f->over_draws, err);
    if (status == MIX_OK)
        status = cli_budget(store, fit, draws, NULL, f->mixture, a->n_params, a->n_tokens,
                            &f->budget[n], f->budget, err);
    for (size_t m = 0; m <= n && status == MIX_OK; m++)
        f->wide[m] = mix_error_budget_widen(
            &f->budget[m], m < n ? f->over_draws.loss[m] : f->over_draws.objective, a->level);
    if (status == MIX_OK && f->both != NULL)
        status = mix_intervals_predict(fit, draws, NULL, f->mixture, a->n_params, a->n_tokens,
                                       a->level, f->both, err);
    return status;
}

static enum mix_status predict_mixture(const struct asked *a, struct mix_store *store,
                                       const struct mix_fit *fit, const struct mix_draws *draws,
                                       struct mix_error *err)
{
    const size_t n = fit->spec.n_targets + 1;
    const bool jackknifed = draws != NULL && draws->n_left > 0;
    double *mixture = malloc(fit->spec.n_domains * sizeof *mixture);
    struct forecast f = {.mixture = mixture};
    f.budget = malloc(n * sizeof *f.budget);
    f.wide = malloc(n * sizeof *f.wide);
    f.both = jackknifed ? malloc(n * sizeof *f.both) : NULL;
    enum mix_status status = MIX_OK;
    if (mixture == NULL || f.budget == NULL || f.wide == NULL || (jackknifed && f.both == NULL))
        status = mix_fail(err, MIX_ENOMEM, "out of memory for %zu domains", fit->spec.n_domains);
    if (status == MIX_OK)
        status = cli_parse_mixture("mixture", a->mixture, fit->spec.n_domains,
                                   (const char(*)[MIX_NAME_MAX])fit->domains, mixture, err);
    if (status == MIX_OK)
        status = make_forecast(a, store, fit, draws, &f, err);
    if (status == MIX_OK && a->json)
        status = print_json(json_forecast(a, fit, &f), a, err);
    else if (status == MIX_OK)
        print_forecast(a, fit, &f);
    mix_forecast_clear(&f.over_draws);
    free(mixture);
    free(f.budget);
    free(f.wide);
    free(f.both);
    return status;
}

static enum mix_status run_predict(struct mix_ranks *ranks, int argc, char **argv,
                                   struct mix_error *err)
{
    (void)ranks;
    struct asked asked = {.n_params = NAN, .n_tokens = NAN, .level = 0.9};
    bool help = false;
    enum mix_status status = parse(argc, argv, &asked, &help, err);
    if (status == MIX_OK && !help)
        status = check(&asked, err);
    if (status != MIX_OK || help)
        return status;

    struct mix_store *store = NULL;
    struct mix_fit *fit = NULL;
    struct mix_draws *draws = NULL;
    status = mix_store_open(asked.path, MIX_STORE_READ, false, &store, err);
    if (status == MIX_OK)
        status = cli_read_fit(store, asked.fit, &fit, &draws, err);
    if (status == MIX_OK)
        status = asked.mixture != NULL ? predict_mixture(&asked, store, fit, draws, err)
                                       : predict_table(&asked, fit, draws, err);
    mix_draws_destroy(draws);
    mix_fit_destroy(fit);
    mix_store_close(store);
    return status;
}

const struct cli_verb cli_verb_predict = {
    .name = "predict",
    .summary = "score a fit on runs it has not seen, or predict a mixture",
    .synopsis = "S.h5 [--fit NAME] (TABLE.csv | --mixture A=.3,B=.7 --params N "
                "--tokens D)",
    .details = "Columns are matched by name, in any order. A table without "
               "losses is predicted and\n"
               "printed as CSV. Intervals are those of the fit's bootstrap, where "
               "there is one: of a\n"
               "--mixture for every target, of a table how many observed mean losses they "
               "hold.\n\n"
               "  mixsweep predict sweep.h5 --fit transfer larger-runs.csv\n"
               "  mixsweep predict sweep.h5 --mixture code=.3,web=.7 --params "
               "7e9 --tokens 2e12\n",
    .run = run_predict,
};
