/* SPDX-License-Identifier: GPL-3.0-or-later */
/* predict.c - the verb predict: a fit on runs it has not seen, or on one
 * mixture. */
#include "predict_impl.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/interval.h"
#include "mixsweep/predict.h"

static enum mix_status parse(int argc, char **argv, struct predict_asked *a, bool *help,
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

static enum mix_status check(struct predict_asked *a, struct mix_error *err)
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

enum mix_status predict_print_json(json_t *root, const struct predict_asked *a,
                                   struct mix_error *err)
{
    if (root == NULL)
        return mix_fail(err, MIX_EINVAL, "%s: a name in the file is not UTF-8.", a->path);
    json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(17)); /* checked at exit */
    putchar('\n');
    json_decref(root);
    return MIX_OK;
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

static void print_forecast_losses(const struct predict_asked *a, const struct mix_fit *fit,
                                  const struct forecast *f)
{
    const struct mix_interval *loss = f->over_draws.loss;
    char text[80];
    bool wide = false;
    for (size_t m = 0; m < fit->spec.n_targets; m++)
        wide = wide || is_wider(f->wide[m], loss[m]);
    struct cli_table *lines = cli_table_create(wide ? 4 : 3);
    cli_table_cell(lines, "target");
    cli_table_cell(lines, "%s", cli_loss_heading(fit));
    cli_table_cell(lines, "%g%%, resampling only", 100.0 * a->level);
    if (wide)
        cli_table_cell(lines, "all known errors");
    for (size_t m = 0; m < fit->spec.n_targets; m++) {
        cli_table_cell(lines, "%s%s", fit->targets[m], cli_score_text(fit, m));
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

static void print_forecast(const struct predict_asked *a, const struct mix_fit *fit,
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

static json_t *json_forecast(const struct predict_asked *a, const struct mix_fit *fit,
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

enum mix_status predict_budget(const struct predict_session *s, const struct mix_draws *draws,
                               const double *mixture, double n_params, double n_tokens,
                               struct mix_error_budget *out, struct mix_error *err)
{
    const struct mix_fit *const *fits = (const struct mix_fit *const *)s->fits;
    const size_t n = s->fit->spec.n_targets;
    enum mix_status status = mix_error_budget_compute(s->runs, s->fit, draws, s->n_fits, fits, NULL,
                                                      mixture, n_params, n_tokens, &out[n], err);
    for (size_t m = 0; m < n && status == MIX_OK; m++)
        status = mix_error_budget_target(s->runs, s->fit, s->n_fits, fits, NULL, m, mixture,
                                         n_params, n_tokens, &out[n], &out[m], err);
    return status;
}

static enum mix_status make_forecast(const struct predict_asked *a, const struct predict_session *s,
                                     struct forecast *f, struct mix_error *err)
{
    const struct mix_fit *fit = s->fit;
    const struct mix_draws *draws = s->draws;
    const size_t n = fit->spec.n_targets;
    enum mix_status status = mix_predict_mixture(fit, draws, f->mixture, a->n_params, a->n_tokens,
                                                 a->level, &f->over_draws, err);
    if (status == MIX_OK)
        status = predict_budget(s, draws, f->mixture, a->n_params, a->n_tokens, f->budget, err);
    for (size_t m = 0; m <= n && status == MIX_OK; m++)
        f->wide[m] = mix_error_budget_widen(
            &f->budget[m], m < n ? f->over_draws.loss[m] : f->over_draws.objective, a->level);
    if (status == MIX_OK && f->both != NULL)
        status = mix_intervals_predict(fit, draws, NULL, f->mixture, a->n_params, a->n_tokens,
                                       a->level, f->both, err);
    return status;
}

static enum mix_status predict_mixture(const struct predict_asked *a,
                                       const struct predict_session *s, struct mix_error *err)
{
    const struct mix_fit *fit = s->fit;
    const struct mix_draws *draws = s->draws;
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
        status = make_forecast(a, s, &f, err);
    if (status == MIX_OK && a->json)
        status = predict_print_json(json_forecast(a, fit, &f), a, err);
    else if (status == MIX_OK)
        print_forecast(a, fit, &f);
    mix_forecast_clear(&f.over_draws);
    free(mixture);
    free(f.budget);
    free(f.wide);
    free(f.both);
    return status;
}

static enum mix_status read_session(const struct predict_asked *a, struct predict_session *s,
                                    struct mix_error *err)
{
    enum mix_status status = mix_store_open(a->path, MIX_STORE_READ, false, &s->store, err);
    if (status == MIX_OK)
        status = cli_read_fit(s->store, a->fit, &s->fit, &s->draws, err);
    if (status == MIX_OK)
        status = mix_store_read_table(s->store, &s->runs, err);
    return status == MIX_OK ? mix_store_read_fits(s->store, &s->n_fits, &s->fits, err) : status;
}

static enum mix_status run_predict(struct mix_ranks *ranks, int argc, char **argv,
                                   struct mix_error *err)
{
    (void)ranks;
    struct predict_asked asked = {.n_params = NAN, .n_tokens = NAN, .level = 0.9};
    bool help = false;
    enum mix_status status = parse(argc, argv, &asked, &help, err);
    if (status == MIX_OK && !help)
        status = check(&asked, err);
    if (status != MIX_OK || help)
        return status;

    struct predict_session session = {.store = NULL};
    status = read_session(&asked, &session, err);
    if (status == MIX_OK)
        status = asked.mixture != NULL ? predict_mixture(&asked, &session, err)
                                       : predict_table(&asked, &session, err);
    mix_draws_destroy(session.draws);
    mix_fit_destroy(session.fit);
    mix_table_destroy(session.runs);
    mix_fits_destroy(session.n_fits, session.fits);
    mix_store_close(session.store);
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
               "The CSV has a row per run: run, n_params, n_tokens, key (of the run in a sweep\n"
               "file), and of each target T of the fit loss_T (measured, may be empty), pred_T, "
               "and\n"
               "with a bootstrap lo_T, hi_T (resampling only) and wide_lo_T, wide_hi_T (all known\n"
               "errors of a single run).\n\n"
               "  mixsweep predict sweep.h5 --fit transfer larger-runs.csv\n"
               "  mixsweep predict sweep.h5 --mixture code=.3,web=.7 --params "
               "7e9 --tokens 2e12\n",
    .run = run_predict,
};
