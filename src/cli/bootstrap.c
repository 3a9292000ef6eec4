/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bootstrap.c - the verb bootstrap: refit a stored fit on resampled mixtures. */
#include "cli.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/share.h"
#include "mixsweep/store.h"

struct request {
    const char *path, *fit, *cluster, *format;
    struct mix_bootstrap_options options;
    bool replace, json, break_lock, announce;
    size_t n_before; /* draws that were there already */
    double started_s;
};

/* The draws to complete: those of the file where they belong to the same question, else none done.
 */
static enum mix_status prepare_draws(struct request *request, const struct mix_fit *fit,
                                     struct mix_draws *old, struct mix_draws **out,
                                     struct mix_error *err)
{
    const bool usable = old != NULL && mix_draws_match(old, fit, &request->options);
    if (old != NULL && !usable && !request->replace) {
        mix_draws_destroy(old);
        return mix_fail(err, MIX_EEXIST,
                        "%s has a bootstrap of fit %s with another seed, cluster or weighting; "
                        "--replace it to start over",
                        request->path, fit->name);
    }
    const size_t n_old = usable ? old->n_draws : 0;
    *out = mix_draws_plan(fit, &request->options, usable ? old : NULL);
    mix_draws_destroy(old);
    if (*out == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu draws", request->options.n_draws);
    request->n_before = mix_draws_count(*out);
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

static void print_result(const struct request *request, const struct mix_fit *fit,
                         const struct mix_draws *draws)
{
    const double wall_s = cli_now_s() - request->started_s;
    const size_t n_done = mix_draws_count(draws);
    size_t n_failed = 0;
    for (size_t b = 0; b < draws->n_draws; b++)
        n_failed += draws->done[b] && !isfinite(draws->objective[b]);
    if (request->json) {
        json_t *out =
            json_pack("{s:s, s:I, s:I, s:I, s:I, s:s, s:b, s:I, s:o}", "fit", fit->name, "draws",
                      (json_int_t)draws->n_draws, "done", (json_int_t)n_done, "resumed",
                      (json_int_t)request->n_before, "failed", (json_int_t)n_failed, "cluster",
                      draws->cluster_run ? "run" : "mixture", "bayesian", draws->bayesian, "seed",
                      (json_int_t)draws->seed, "wall_s", cli_json_number(wall_s));
        json_dumpf(out, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(out);
        return;
    }
    char duration[16];
    printf("bootstrap  %-10s  %zu/%zu draws", fit->name, n_done, draws->n_draws);
    if (request->n_before > 0)
        printf(", %zu of them from before", request->n_before);
    printf("    %s\n", cli_duration(wall_s, duration));
    if (n_failed > 0)
        printf("  note: %zu draws could not be fitted and are left out of intervals\n", n_failed);
    printf("\nnext: mixsweep optimum %s --fit %s --params N --tokens D\n", request->path,
           fit->name);
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
    if (first && (status == MIX_OK || status == MIX_EINTERRUPTED) && draws != NULL &&
        mix_draws_count(draws) > request->n_before) {
        enum mix_status stored = mix_store_put_draws(store, draws, err);
        if (stored == MIX_OK)
            stored = mix_store_commit(store, err);
        if (stored != MIX_OK)
            status = stored;
    }
    if (first)
        cli_progress_clear(&progress);
    if (first && status == MIX_OK)
        print_result(request, fit, draws);
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
    struct request request = {.options = {.n_draws = 1000, .seed = 1}, .started_s = cli_now_s()};
    const struct cli_option options[] = {
        {"fit", 0, "NAME", "the fit to resample (may be left out where there is one)", CLI_TEXT,
         &request.fit, 0, 0},
        {"draws", 0, "N", "bootstrap draws in all (default 1000)", CLI_COUNT,
         &request.options.n_draws, 1, 1e7},
        {"cluster", 0, "UNIT", "what is resampled: mixture or run (default mixture)", CLI_TEXT,
         &request.cluster, 0, 0},
        {"bayesian", 0, NULL, "Dirichlet weights instead of counts: no mixture drops out", CLI_FLAG,
         &request.options.bayesian, 0, 0},
        {"seed", 0, "SEED", "seed of the draws (default 1)", CLI_SEED, &request.options.seed, 0, 0},
        {"replace", 0, NULL, "where the draws there have other options: drop them and start over",
         CLI_FLAG, &request.replace, 0, 0},
        {"break-lock", 0, NULL, "take the file from a holder that is no longer alive", CLI_FLAG,
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
        "\n"
        "Example:\n"
        "  mpirun -n 16 mixsweep bootstrap sweep.h5 --fit transfer --draws 1000\n",
    .ranks = true,
    .run = verb_bootstrap,
};
