/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bootstrap.c - the verb bootstrap: refit a stored fit on resampled mixtures. */
#include "cli.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/interval.h"
#include "mixsweep/share.h"
#include "mixsweep/store.h"

static const double LEVEL = 0.9;
static const uint64_t NO_SEED = UINT64_MAX; /* none asked for */

struct request {
    const char *path, *fit, *cluster, *format;
    struct mix_bootstrap_options options;
    bool replace, json, break_lock, announce;
    size_t n_before;   /* draws that were there already */
    bool was_complete; /* with jackknife and rolling origin */
    double started_s;
};

/* What is not asked for is as in the draws that are there, so that more are added to them. */
static void take_stored_options(struct request *request, const struct mix_draws *old)
{
    struct mix_bootstrap_options *options = &request->options;
    const bool goes_on = old != NULL && !request->replace;
    if (options->seed == NO_SEED)
        options->seed = goes_on ? old->seed : 1;
    if (goes_on && request->cluster == NULL)
        options->cluster_run = old->cluster_run != 0;
    if (goes_on)
        options->bayesian = options->bayesian || old->bayesian != 0;
}

/* Draws that others cannot be added to: what differs. */
static enum mix_status refuse_draws(const struct request *request, const struct mix_fit *fit,
                                    const struct mix_draws *old, struct mix_error *err)
{
    const struct mix_bootstrap_options *options = &request->options;
    char what[3][MIX_NAME_MAX] = {"", "", ""};
    if (old->seed != options->seed)
        snprintf(what[0], sizeof what[0], ": --seed %" PRIu64 " there, %" PRIu64 " asked for",
                 old->seed, options->seed);
    if ((old->cluster_run != 0) != options->cluster_run)
        snprintf(what[1], sizeof what[1], ": --cluster %s there, %s asked for",
                 old->cluster_run ? "run" : "mixture", options->cluster_run ? "run" : "mixture");
    if ((old->bayesian != 0) != options->bayesian)
        snprintf(what[2], sizeof what[2], ": no --bayesian there");
    return mix_fail(err, MIX_EEXIST,
                    "%s has another bootstrap of fit %s%s%s%s; --replace it to start over",
                    request->path, fit->name, what[0], what[1], what[2]);
}

/* The draws to complete: those of the file where they belong to the same question, else none done.
 */
static enum mix_status prepare_draws(struct request *request, const struct mix_fit *fit,
                                     struct mix_draws *old, struct mix_draws **out,
                                     struct mix_error *err)
{
    take_stored_options(request, old);
    const bool usable = old != NULL && mix_draws_match(old, fit, &request->options);
    if (old != NULL && !usable && !request->replace) {
        const enum mix_status status = refuse_draws(request, fit, old, err);
        mix_draws_destroy(old);
        return status;
    }
    const size_t n_old = usable ? old->n_draws : 0;
    *out = mix_draws_plan(fit, &request->options, usable ? old : NULL);
    mix_draws_destroy(old);
    if (*out == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu draws", request->options.n_draws);
    request->n_before = mix_draws_count(*out);
    request->was_complete = (*out)->n_left > 0 && isfinite((*out)->residual) &&
                            mix_jackknife_count(*out) == (*out)->n_left;
    request->announce = (*out)->n_draws > n_old;
    return MIX_OK;
}

static enum mix_status prepare(struct request *request, struct mix_store **store,
                               struct mix_table **table, struct mix_fit **fit,
                               struct mix_draws **draws, struct mix_error *err)
{
    struct mix_draws *old = NULL;
    enum mix_status status =
        mix_store_open(request->path, MIX_STORE_WRITE, request->break_lock, store, err);
    if (status == MIX_OK)
        status = mix_store_read_table(*store, table, err);
    if (status == MIX_OK)
        status = cli_read_fit(*store, request->fit, fit, &old, err);
    const char *outdated = status == MIX_OK ? mix_fit_outdated(*fit, *table) : NULL;
    if (outdated != NULL) { /* before anything is dropped for draws that nobody can make */
        mix_draws_destroy(old);
        return mix_fail(err, MIX_EINVAL, "%s: %s since fit %s was made; fit again with --replace",
                        request->path, outdated, (*fit)->name);
    }
    if (status == MIX_OK)
        status = prepare_draws(request, *fit, old, draws, err);
    if (status != MIX_OK || !request->announce)
        return status;
    /* The file says first whose draws the logs hold from here on, and how many are asked for: a
     * crash would else lose draws that replace others, and status would not know the goal. */
    char dropped[MIX_TEXT_MAX] = "";
    status = mix_store_put_draws(*store, *draws, err);
    if (status == MIX_OK)
        status = mix_store_drop_optima(*store, (*fit)->name, dropped, err);
    if (status == MIX_OK && dropped[0] != '\0')
        fprintf(stderr, "mixsweep: made from fewer or other draws and dropped: %s\n", dropped);
    return status == MIX_OK ? mix_store_commit(*store, err) : status;
}

static json_t *json_params(const struct mix_fit *fit, const struct mix_intervals *both)
{
    json_t *params = json_object();
    for (size_t p = 0; p < fit->n_params && both != NULL; p++) {
        json_t *param = cli_json_interval(both[p].percentile);
        json_object_set_new(param, "bca_lo", cli_json_number(both[p].bca.lo));
        json_object_set_new(param, "bca_hi", cli_json_number(both[p].bca.hi));
        json_object_set_new(params, fit->param_names[p], param);
    }
    return params;
}

static json_t *json_origins(const struct mix_draws *draws)
{
    json_t *list = json_array();
    for (size_t k = 0; k < draws->n_origins; k++) {
        const struct mix_origin *o = &draws->origins[k];
        json_array_append_new(
            list, json_pack("{s:o, s:o, s:o, s:o, s:I, s:o, s:o}", "from_params",
                            cli_json_number(o->from_n), "from_tokens", cli_json_number(o->from_d),
                            "params", cli_json_number(o->to_n), "tokens", cli_json_number(o->to_d),
                            "runs", (json_int_t)o->n_runs, "bias", cli_json_number(o->bias), "rms",
                            cli_json_number(o->rms)));
    }
    return list;
}

static void print_json(const struct request *request, const struct mix_fit *fit,
                       const struct mix_draws *draws, const struct mix_intervals *both,
                       size_t n_failed, double wall_s)
{
    json_t *out =
        json_pack("{s:s, s:I, s:I, s:I, s:I, s:s, s:b, s:I, s:o, s:I, s:o, s:o, s:o, s:o}", "fit",
                  fit->name, "draws", (json_int_t)draws->n_draws, "done",
                  (json_int_t)mix_draws_count(draws), "resumed", (json_int_t)request->n_before,
                  "failed", (json_int_t)n_failed, "cluster", draws->cluster_run ? "run" : "mixture",
                  "bayesian", draws->bayesian, "seed", (json_int_t)draws->seed, "wall_s",
                  cli_json_number(wall_s), "jackknife", (json_int_t)draws->n_left, "level",
                  cli_json_number(LEVEL), "params", json_params(fit, both), "residual",
                  cli_json_number(draws->residual), "origins", json_origins(draws));
    json_dumpf(out, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(out);
}

/* Whether the ends differ by more than a twentieth of the width. */
static bool differ(const struct mix_intervals *both)
{
    const double slack = 0.05 * (both->percentile.hi - both->percentile.lo);
    return fabs(both->bca.lo - both->percentile.lo) > slack ||
           fabs(both->bca.hi - both->percentile.hi) > slack;
}

static void print_params(const struct mix_fit *fit, const struct mix_intervals *both)
{
    struct cli_table *lines = cli_table_create(4);
    cli_table_cell(lines, "parameter");
    cli_table_cell(lines, "value");
    cli_table_cell(lines, "%g%% interval", 100.0 * LEVEL);
    cli_table_cell(lines, "BCa, where it differs");
    for (size_t p = 0; p < fit->n_params; p++) {
        if (fit->param_state[p] != 0)
            continue; /* on its bound, or not identified */
        cli_table_cell(lines, "%s", fit->param_names[p]);
        cli_table_cell(lines, "%.4g", both[p].percentile.value);
        cli_table_cell(lines, "%.4g … %.4g", both[p].percentile.lo, both[p].percentile.hi);
        if (isfinite(both[p].bca.lo) && differ(&both[p]))
            cli_table_cell(lines, "%.4g … %.4g", both[p].bca.lo, both[p].bca.hi);
        else
            cli_table_cell(lines, "%s", "");
    }
    printf("\n");
    cli_table_print(lines, stdout, "  ");
    cli_table_destroy(lines);
}

/* The rolling origin: one line a step. */
static void print_origins(const struct mix_draws *draws)
{
    struct cli_table *lines = cli_table_create(5);
    static const char *const headings[] = {"fitted up to", "predicted", "runs", "bias", "error"};
    char size[16], tokens[16];
    for (size_t i = 0; i < 5; i++)
        cli_table_cell(lines, "%s", headings[i]);
    for (size_t k = 0; k < draws->n_origins; k++) {
        const struct mix_origin *o = &draws->origins[k];
        cli_table_cell(lines, "%s", cli_size(o->from_n, size));
        cli_table_cell(lines, "%s, %s tokens", cli_size(o->to_n, size), cli_size(o->to_d, tokens));
        cli_table_cell(lines, "%zu", o->n_runs);
        cli_table_cell(lines, "%+.2f%%", 100.0 * o->bias);
        cli_table_cell(lines, "%.2f%%", 100.0 * o->rms);
    }
    if (draws->n_origins > 0) {
        printf("\n  the mean loss across scale:\n");
        cli_table_print(lines, stdout, "  ");
    }
    cli_table_destroy(lines);
}

static enum mix_status print_result(const struct request *request, const struct mix_fit *fit,
                                    const struct mix_draws *draws, struct mix_error *err)
{
    const double wall_s = cli_now_s() - request->started_s;
    size_t n_failed = 0;
    for (size_t b = 0; b < draws->n_draws; b++)
        n_failed += draws->done[b] && !isfinite(draws->objective[b]);
    struct mix_intervals *both = malloc((fit->n_params + 1) * sizeof *both);
    enum mix_status status =
        both == NULL ? mix_fail(err, MIX_ENOMEM, "out of memory for %zu parameters", fit->n_params)
                     : mix_intervals_params(fit, draws, LEVEL, both, err);
    if (status == MIX_OK && request->json) {
        print_json(request, fit, draws, both, n_failed, wall_s);
    } else if (status == MIX_OK) {
        char duration[16];
        printf("bootstrap  %-10s  %zu/%zu draws", fit->name, mix_draws_count(draws),
               draws->n_draws);
        if (request->n_before > 0)
            printf(", %zu of them from before", request->n_before);
        printf("    %s\n", cli_duration(wall_s, duration));
        if (n_failed > 0)
            printf("  note: %zu draws could not be fitted and are left out of intervals\n",
                   n_failed);
        print_params(fit, both);
        print_origins(draws);
        printf("\nnext: mixsweep optimum %s --fit %s --params N --tokens D\n", request->path,
               fit->name);
    }
    free(both);
    return status;
}

static enum mix_status run_bootstrap(struct mix_ranks *ranks, struct request *request,
                                     struct mix_error *err)
{
    struct mix_store *store = NULL;
    struct mix_table *table = NULL;
    struct mix_fit *fit = NULL;
    struct mix_draws *draws = NULL;
    struct cli_progress progress = {.stage = "bootstrap", .unit = "draws"};
    const bool first = mix_ranks_rank(ranks) == 0;
    char *log_dir = NULL;
    enum mix_status status = MIX_OK;
    if (first)
        status = prepare(request, &store, &table, &fit, &draws, err);
    progress.store = store;
    status = mix_ranks_agree(ranks, status, err);
    if (status == MIX_OK)
        status = mix_share_table(ranks, &table, err);
    if (status == MIX_OK)
        status = mix_share_fit(ranks, &fit, err);
    if (status == MIX_OK) {
        if (first)
            log_dir = strdup(mix_store_log_dir(store));
        status = mix_share_text(ranks, &log_dir, err);
    }
    if (status == MIX_OK)
        status = mix_bootstrap_run(ranks, table, fit, draws, log_dir, cli_progress, &progress, err);
    if (status == MIX_OK)
        status = mix_bootstrap_complete(ranks, table, fit, draws, log_dir, err);
    if (first && (status == MIX_OK || status == MIX_EINTERRUPTED) && draws != NULL &&
        (mix_draws_count(draws) > request->n_before || !request->was_complete)) {
        enum mix_status stored = mix_store_put_draws(store, draws, err);
        if (stored == MIX_OK)
            stored = mix_store_commit(store, err);
        if (stored != MIX_OK)
            status = stored;
    }
    if (first)
        cli_progress_clear(&progress);
    if (first && status == MIX_OK)
        status = print_result(request, fit, draws, err);
    status = mix_ranks_agree(ranks, status, err);
    free(log_dir);
    mix_store_close(store);
    mix_table_destroy(table);
    mix_fit_destroy(fit);
    mix_draws_destroy(draws);
    return status;
}

static enum mix_status verb_bootstrap(struct mix_ranks *ranks, int argc, char **argv,
                                      struct mix_error *err)
{
    struct request request = {.options = {.n_draws = 1000, .seed = NO_SEED},
                              .started_s = cli_now_s()};
    const struct cli_option options[] = {
        {"fit", 0, "NAME", "the fit to resample (may be left out where there is one)", CLI_TEXT,
         &request.fit, 0, 0},
        {"draws", 0, "N", "bootstrap draws in all (default 1000)", CLI_COUNT,
         &request.options.n_draws, 1, 1e7},
        {"cluster", 0, "UNIT", "what is resampled: mixture or run (default mixture)", CLI_TEXT,
         &request.cluster, 0, 0},
        {"bayesian", 0, NULL, "Dirichlet weights instead of counts: no mixture drops out", CLI_FLAG,
         &request.options.bayesian, 0, 0},
        {"seed", 0, "SEED", "seed of the draws (default that of the draws there, else 1)", CLI_SEED,
         &request.options.seed, 0, 0},
        {"replace", 0, NULL, "where the draws there have other options: drop them and start over",
         CLI_FLAG, &request.replace, 0, 0},
        {"break-lock", 0, NULL, "take the file from a process that seems to be alive", CLI_FLAG,
         &request.break_lock, 0, 0},
        {"format", 0, "FORMAT", "text or json (default text)", CLI_TEXT, &request.format, 0, 0},
        {0}};
    bool help = false;
    enum mix_status status =
        cli_parse(&cli_verb_bootstrap, options, argc, argv, 1, 1, &request.path, &help, err);
    if (status != MIX_OK || help)
        return status;
    status = cli_parse_format(request.format, &request.json, err);
    if (status != MIX_OK)
        return status;
    if (request.cluster != NULL && strcmp(request.cluster, "mixture") != 0 &&
        strcmp(request.cluster, "run") != 0)
        return mix_fail(err, MIX_EUSAGE, "--cluster %s is unknown; allowed are mixture and run",
                        request.cluster);
    request.options.cluster_run = request.cluster != NULL && strcmp(request.cluster, "run") == 0;
    return run_bootstrap(ranks, &request, err);
}

const struct cli_verb cli_verb_bootstrap = {
    .name = "bootstrap",
    .summary = "refit a fit on resampled mixtures, for intervals",
    .synopsis = "S.h5 [--fit NAME] [--draws N] [OPTIONS]",
    .details =
        "Each draw resamples the mixtures with all their sizes, seeds and checkpoints, and "
        "refits.\n"
        "Draws are tasks over the ranks; a finished draw survives a crash, and the same command "
        "goes on\n"
        "with those that are missing. More --draws later are added to those that are there.\n"
        "Then comes the jackknife, a refit without each mixture, for BCa intervals, and the "
        "rolling\n"
        "origin: the law fitted up to each size and judged on the larger ones.\n"
        "\n"
        "Example:\n"
        "  mpirun -n 16 mixsweep bootstrap sweep.h5 --fit transfer --draws 1000\n",
    .ranks = true,
    .run = verb_bootstrap,
};
