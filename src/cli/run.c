/* SPDX-License-Identifier: GPL-3.0-or-later */
/* run.c - the verbs run (a whole job), sweep (only its proxy runs) and confirm (its last stage). */
#include "cli.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/next.h"
#include "mixsweep/pipeline.h"
#include "mixsweep/version.h"

/* A job at work and where its lines go: stdout, or stderr where stdout is for JSON. */
struct show {
    struct mix_pipeline *pipeline; /* NULL after --help */
    struct mix_sweep_options sweep;
    struct cli_progress progress;          /* of the sweep */
    struct mix_confirmation *confirmation; /* on rank 0, or NULL */
    FILE *out;
    bool json;
    bool goes_on; /* a round of chosen runs has begun: what is made anew is no surprise */
};

static bool is_root(const struct show *show)
{
    return mix_ranks_rank(show->pipeline->ranks) == 0;
}

static void print_note(const struct show *show)
{
    if (show->pipeline->notice[0] && !show->goes_on)
        fprintf(show->out, "note: %s\n", show->pipeline->notice);
}

/* The line of a finished stage, at once, also in a log file. */
static void print_stage(const struct show *show, const char *stage, const char *text,
                        double start_s)
{
    char time[16];
    print_note(show);
    fprintf(show->out, "%-10s %-52s %8s\n", stage, text,
            show->pipeline->skipped ? "in file" : cli_duration(cli_now_s() - start_s, time));
    fflush(show->out);
}

/* What the file has of the runs, where it has some and not all. */
static void print_resuming(FILE *out, const struct mix_job *job,
                           const struct mix_sweep_progress *runs)
{
    fprintf(out, "resuming %s: %zu of %zu runs done", job->file, runs->n_done, runs->n_planned);
    if (runs->n_failed + runs->n_again > 0)
        fprintf(out, ", %zu failed", runs->n_failed + runs->n_again);
    if (runs->n_again > 0)
        fprintf(out, " (%zu of them to be tried again)", runs->n_again);
    fprintf(out, ", %zu to do\n", runs->n_waiting - runs->n_again);
}

static void print_opening(const struct show *show)
{
    const struct mix_pipeline *pipeline = show->pipeline;
    const struct mix_job *job = pipeline->job;
    const struct mix_sweep_progress *runs = &pipeline->runs;
    const int n_ranks = mix_ranks_count(pipeline->ranks);
    const int n_nodes = mix_ranks_nodes(pipeline->ranks);
    fprintf(show->out, "mixsweep %s · job %s · ", MIX_VERSION, job->name);
    if (runs->n_waiting > 0 && runs->n_waiting - runs->n_again < runs->n_planned)
        print_resuming(show->out, job, runs);
    else
        fprintf(show->out, "%d rank%s on %d node%s · file %s\n", n_ranks, n_ranks == 1 ? "" : "s",
                n_nodes, n_nodes == 1 ? "" : "s", job->file);
    fprintf(show->out, "%-10s %zu mixtures × %zu scale%s × %zu domains, %zu run%s%s, %.2g FLOP\n",
            "design", job->n_mixtures, job->n_scales, job->n_scales == 1 ? "" : "s", job->n_domains,
            runs->n_planned, runs->n_planned == 1 ? "" : "s",
            show->pipeline->options.n_shards > 0 ? " in this shard" : "", runs->flops);
    fflush(show->out);
}

enum mix_status cli_parse_margin(const char *text, double *seconds, struct mix_error *err)
{
    static const char units[] = "smh";
    static const double factors[] = {1, 60, 3600};
    char *end = NULL;
    if (!text)
        return MIX_OK;
    if (strcmp(text, "none") == 0) {
        *seconds = NAN;
        return MIX_OK;
    }
    const double value = strtod(text, &end);
    const char *unit = *end ? strchr(units, *end) : units;
    const size_t n_digits = strspn(text, "0123456789.");
    if (n_digits == 0 || end != text + n_digits || !unit || (*end && end[1]) || !(value <= 1e6))
        return mix_fail(err, MIX_EUSAGE,
                        "--stop-before \"%.80s\": not a time like 300s, 5m or 1h, nor none.", text);
    *seconds = value * factors[unit - units];
    return MIX_OK;
}

/* "1/4": the first of four. */
static enum mix_status parse_shard(const char *text, size_t *shard, size_t *n_shards,
                                   struct mix_error *err)
{
    char *slash = NULL, *end = NULL;
    if (!text)
        return MIX_OK;
    const unsigned long i = strtoul(text, &slash, 10);
    const unsigned long n = *slash == '/' ? strtoul(slash + 1, &end, 10) : 0;
    if (strspn(text, "0123456789/") != strlen(text) || !end || *end || i < 1 || i > n ||
        n > 1000000)
        return mix_fail(err, MIX_EUSAGE,
                        "--shard \"%s\": not of the form I/N with I from 1 to N, as in 1/4.", text);
    *shard = i - 1;
    *n_shards = n;
    return MIX_OK;
}

static enum mix_status open_job(struct mix_ranks *ranks, const struct cli_verb *verb, int argc,
                                char **argv, struct show *show, struct mix_error *err)
{
    const char *path = NULL, *format = "text", *margin = NULL, *shard = NULL;
    bool help = false, break_lock = false;
    struct mix_sweep_options *sweep = &show->sweep;
    sweep->stop_before_s = 60;
    const struct cli_option options[] = {
        {.name = "stop-before",
         .value = "TIME",
         .help = "stop so long before the end of Slurm's wall time: 300s, 5m, none (default 60s)",
         .kind = CLI_TEXT,
         .target = &margin},
        {.name = "retry-failed",
         .help = "begin failed runs anew, whatever attempts they have had",
         .kind = CLI_FLAG,
         .target = &sweep->retry_failed},
        {.name = "format",
         .value = "FORMAT",
         .help = "of the result on stdout: text or json (default text)",
         .kind = CLI_TEXT,
         .target = &format},
        {.name = "break-lock",
         .help = "take the file from a process that seems to be alive",
         .kind = CLI_FLAG,
         .target = &break_lock},
        {.name = verb == &cli_verb_confirm ? NULL : "shard", /* its runs are few, and need all */
         .value = "I/N",
         .help = "evaluate part I of N of the runs only, into FILE.I-of-N.h5, and stop there",
         .kind = CLI_TEXT,
         .target = &shard},
        {.name = NULL},
    };
    enum mix_status status = cli_parse(verb, options, argc, argv, 1, 1, &path, &help, err);
    if (status == MIX_OK && !help)
        status = cli_parse_format(format, &show->json, err);
    if (status == MIX_OK && !help)
        status = cli_parse_margin(margin, &sweep->stop_before_s, err);
    if (status == MIX_OK && !help)
        status = parse_shard(shard, &sweep->shard, &sweep->n_shards, err);
    if (status != MIX_OK || help)
        return status;
    show->out = show->json ? stderr : stdout;
    sweep->progress = cli_sweep_progress;
    sweep->progress_context = &show->progress;
    status = mix_pipeline_open(ranks, path, break_lock, sweep, &show->pipeline, err);
    if (status == MIX_OK && is_root(show))
        print_opening(show);
    return status;
}

/* Rank 0: the line of the sweep. Without any result there is nothing to go on from. */
static enum mix_status print_sweep(const struct show *show, double start_s, struct mix_error *err)
{
    const struct mix_pipeline *pipeline = show->pipeline;
    const struct mix_sweep_progress *runs = &pipeline->runs;
    char text[MIX_TEXT_MAX];
    snprintf(text, sizeof text, "%zu/%zu runs, %zu failed", runs->n_done + runs->n_failed,
             runs->n_planned, runs->n_failed);
    print_stage(show, "sweep", text, start_s);
    if (strcmp(pipeline->job->evaluator, "simulate") == 0)
        fprintf(show->out,
                "%-10s losses come from the simulate evaluator (a known law + noise), not from "
                "training\n",
                "");
    if (runs->n_done > 0 || runs->n_failed == 0)
        return MIX_OK;
    return mix_fail(
        err, MIX_EINVAL,
        "%s: none of %zu runs has a result; `mixsweep status` says why, `mixsweep retry "
        "--failed` begins them anew.",
        pipeline->job->file, runs->n_planned);
}

static enum mix_status sweep_stage(struct show *show, struct mix_error *err)
{
    struct mix_pipeline *pipeline = show->pipeline;
    const struct mix_sweep_progress *runs = &pipeline->runs;
    show->progress = (struct cli_progress){
        .stage = "sweep", .unit = "runs", .n_before = runs->n_done + runs->n_failed};
    const double start_s = cli_now_s();
    enum mix_status status = mix_pipeline_sweep(pipeline, err);
    cli_progress_clear(&show->progress);
    if (status != MIX_OK)
        return status;
    if (is_root(show))
        status = print_sweep(show, start_s, err);
    return mix_ranks_agree(pipeline->ranks, status, err);
}

static enum mix_status fit_stage(const struct show *show, struct mix_error *err)
{
    struct mix_pipeline *pipeline = show->pipeline;
    struct cli_progress progress = {.stage = "fit", .unit = "starts", .store = pipeline->store};
    const double start_s = cli_now_s();
    const enum mix_status status = mix_pipeline_fit(pipeline, cli_progress, &progress, err);
    cli_progress_clear(&progress);
    if (!is_root(show) || status != MIX_OK || !pipeline->fit)
        return status;
    char text[MIX_TEXT_MAX];
    snprintf(text, sizeof text, "%-10s %zu starts, %zu reached the best optimum",
             pipeline->fit->name, pipeline->fit->n_starts, pipeline->fit->n_at_best);
    print_stage(show, "fit", text, start_s);
    return MIX_OK;
}

static enum mix_status bootstrap_stage(const struct show *show, struct mix_error *err)
{
    struct mix_pipeline *pipeline = show->pipeline;
    struct cli_progress progress = {
        .stage = "bootstrap", .unit = "draws", .store = pipeline->store};
    const double start_s = cli_now_s();
    const enum mix_status status = mix_pipeline_bootstrap(pipeline, cli_progress, &progress, err);
    cli_progress_clear(&progress);
    if (!is_root(show) || status != MIX_OK || !pipeline->draws)
        return status;
    char text[MIX_TEXT_MAX];
    snprintf(text, sizeof text, "%zu/%zu draws", pipeline->draws->n_draws,
             pipeline->draws->n_draws);
    print_stage(show, "bootstrap", text, start_s);
    return MIX_OK;
}

/* What the fit is worth on runs that it has not seen, beside the floor that is blind to mixtures.
 */
static void print_holdout(const struct mix_fit *fit)
{
    if (fit->n_holdouts == 0)
        return;
    const struct mix_holdout *holdout = &fit->holdouts[0];
    const struct mix_metrics *law = &holdout->law, *floor = &holdout->floor[1];
    printf("\n  checked on held-out %s: MRE %.2f%%", holdout->kind, 100 * law->mre);
    if (isfinite(law->rho))
        printf(", ρ %.3f", law->rho);
    if (isfinite(law->regret))
        printf(", regret %.4f", law->regret);
    if (floor->n > 0)
        printf("; %s MRE %.2f%%", mix_floor_names[1], 100 * floor->mre);
    putchar('\n');
}

static enum mix_status optimum_stage(const struct show *show, struct mix_error *err)
{
    const enum mix_status status = mix_pipeline_optimum(show->pipeline, err);
    if (is_root(show) && status == MIX_OK && show->pipeline->optima)
        print_note(show);
    return status;
}

/* Rank 0: what the optima are worth by each other's objectives. */
static enum mix_status weigh_optima(const struct mix_pipeline *pipeline,
                                    struct mix_trade_off *trade_off, struct mix_error *err)
{
    return mix_trade_off_compute(pipeline->fit, pipeline->draws, pipeline->job->n_optima,
                                 (const struct mix_optimum *const *)pipeline->optima, trade_off,
                                 err);
}

/* One at length, several side by side. */
static enum mix_status print_optima(const struct show *show, struct mix_error *err)
{
    const struct mix_pipeline *pipeline = show->pipeline;
    struct mix_trade_off trade_off;
    if (!is_root(show) || show->json || !pipeline->optima)
        return MIX_OK;
    if (pipeline->job->n_optima == 1) {
        cli_print_optimum(stdout, pipeline->job->file, pipeline->fit, pipeline->optima[0]);
    } else {
        const enum mix_status status = weigh_optima(pipeline, &trade_off, err);
        if (status != MIX_OK)
            return status;
        cli_print_optima(stdout, pipeline->job->n_optima, pipeline->optima, &trade_off);
        mix_trade_off_clear(&trade_off);
    }
    print_holdout(pipeline->fit);
    return MIX_OK;
}

/* The line of a round, or why there is none. */
static void print_round(const struct show *show, const struct mix_next *next, int round,
                        double start_s)
{
    char text[MIX_TEXT_MAX], name[24];
    snprintf(name, sizeof name, "round %d", round);
    if (show->pipeline->notice[0])
        fprintf(show->out, "note: %s\n", show->pipeline->notice);
    if (!show->goes_on) {
        fprintf(show->out, "%-10s no more runs: %s\n", name, next->reason);
        return;
    }
    snprintf(text, sizeof text, "%zu runs chosen, %.2g FLOP, regret %.2g to %.2g ± %.1g",
             next->n_runs, next->flops, next->before.value, next->after.value, next->after.se);
    print_stage(show, name, text, start_s);
}

/* Choose the runs of a round; show->goes_on says whether there are some. */
static enum mix_status round_stage(struct show *show, struct mix_error *err)
{
    struct mix_pipeline *pipeline = show->pipeline;
    struct cli_progress progress = {.stage = "round", .unit = "draws", .store = pipeline->store};
    struct mix_next *next = NULL;
    const int round = mix_pipeline_rounds(pipeline) + 1;
    const double start_s = cli_now_s();
    const enum mix_status status =
        mix_pipeline_choose(pipeline, cli_progress, &progress, &next, &show->goes_on, err);
    cli_progress_clear(&progress);
    if (status == MIX_OK && next) {
        pipeline->skipped = false;
        print_round(show, next, round, start_s);
    }
    mix_next_destroy(next);
    return status;
}

static enum mix_status confirm_stage(struct show *show, struct mix_error *err)
{
    struct mix_pipeline *pipeline = show->pipeline;
    show->progress = (struct cli_progress){.stage = "confirm", .unit = "runs"};
    const double start_s = cli_now_s();
    const enum mix_status status =
        mix_pipeline_confirm(pipeline, &show->sweep, &show->confirmation, err);
    cli_progress_clear(&show->progress);
    if (!is_root(show) || status != MIX_OK)
        return status;
    char text[MIX_TEXT_MAX];
    const struct mix_confirmation *confirmation = show->confirmation;
    const struct mix_job *job = pipeline->job;
    snprintf(text, sizeof text, "%zu runs of %zu mixtures, %zu failed%s%s", confirmation->n_planned,
             confirmation->n_contenders, confirmation->n_failed,
             job->n_optima > 1 ? ", optimum " : "",
             job->n_optima > 1 ? job->optima[job->confirm.of].name : "");
    fputc('\n', show->out);
    print_stage(show, "confirm", text, start_s);
    if (!show->json)
        cli_print_confirmation(stdout, confirmation);
    return MIX_OK;
}

/* Several optima: the first, then all of them and what they are worth by each other's objectives;
 * the verb confirm has read but one. */
static enum mix_status add_optima(const struct mix_pipeline *pipeline, json_t *root,
                                  struct mix_error *err)
{
    const size_t n = pipeline->optima ? pipeline->job->n_optima : 0;
    struct mix_trade_off trade_off;
    size_t n_known = 0;
    for (size_t i = 0; i < n; i++)
        if (pipeline->optima[i] && n_known++ == 0)
            json_object_set_new(root, "optimum", cli_json_optimum(pipeline->optima[i]));
    if (n_known < n || n < 2)
        return MIX_OK;
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, cli_json_optimum(pipeline->optima[i]));
    json_object_set_new(root, "optima", list);
    const enum mix_status status = weigh_optima(pipeline, &trade_off, err);
    if (status != MIX_OK)
        return status;
    json_object_set_new(root, "trade_off", cli_json_trade_off(n, pipeline->optima, &trade_off));
    mix_trade_off_clear(&trade_off);
    return MIX_OK;
}

static enum mix_status print_json(const struct show *show, struct mix_error *err)
{
    const struct mix_pipeline *pipeline = show->pipeline;
    const struct mix_job *job = pipeline->job;
    json_t *root = json_pack("{s:s, s:s, s:I, s:I}", "job", job->name, "file", job->file, "n_runs",
                             (json_int_t)pipeline->runs.n_planned, "n_failed",
                             (json_int_t)pipeline->runs.n_failed);
    if (pipeline->fit)
        json_object_set_new(root, "fit", json_string(pipeline->fit->name));
    if (pipeline->draws)
        json_object_set_new(root, "draws", json_integer((json_int_t)pipeline->draws->n_draws));
    const enum mix_status status = add_optima(pipeline, root, err);
    if (show->confirmation)
        json_object_set_new(root, "confirmation", cli_json_confirmation(show->confirmation));
    const bool failed = !root || json_dumpf(root, stdout, JSON_INDENT(2)) != 0;
    putchar('\n');
    json_decref(root);
    if (status != MIX_OK)
        return status;
    return failed ? mix_fail(err, MIX_EIO, "the result could not be printed as JSON.") : MIX_OK;
}

/* "7e9" as people write it, not "7e+09". */
static const char *short_number(double value, char text[16])
{
    int exponent = (int)floor(log10(value));
    double digits = value / pow(10, exponent);
    snprintf(text, 16, "%.3ge%d", digits, exponent);
    return text;
}

/* Failed runs are the first thing to look at; the next hint goes on in their column. */
static const char *print_failed(const struct mix_pipeline *pipeline)
{
    const char *file = pipeline->job->file;
    if (pipeline->runs.n_failed == 0)
        return "\nnext: ";
    printf("\nnext: mixsweep status %s\n      mixsweep retry %s --failed\n", file, file);
    return "      ";
}

/* The options with which the verb optimum asks what the job asks. */
static void print_question(const struct mix_job *job)
{
    const struct mix_optimum_options *o = &job->optima[0];
    static const char *const distance[] = {[MIX_DISTANCE_TV] = "tv", [MIX_DISTANCE_KL] = "kl"};
    if (strcmp(o->baseline_name, "uniform") != 0)
        printf(" --baseline %s", o->baseline_name);
    if (o->max_epochs > 0)
        printf(" --max-epochs %g", o->max_epochs);
    if (o->lower[0] != 1e-4)
        printf(" --floor %g", o->lower[0]);
    for (size_t k = 0; k < job->n_domains; k++)
        if (o->upper[k] < 1)
            printf(" --cap %s=%g", job->domains[k].name, o->upper[k]);
    for (size_t m = 0; o->weight && m < job->n_targets; m++)
        if (!isnan(o->weight[m]))
            printf(" --weight %s=%g", job->targets[m].name, o->weight[m]);
    if (o->level != 0.9)
        printf(" --level %g", o->level);
    if (o->goal != MIX_GOAL_MEAN)
        printf(" --objective %s", mix_goal_names[o->goal]);
    if (o->no_worse)
        printf(" --no-worse %s", o->no_worse);
    if (o->distance != MIX_DISTANCE_NONE)
        printf(" --near baseline:%s=%g", distance[o->distance], o->radius);
    if (o->within_support)
        printf(" --within-support");
    if (o->lattice > 0)
        printf(" --lattice 1/%zu", o->lattice);
}

static void print_next(const struct mix_pipeline *pipeline)
{
    char n_params[16], n_tokens[16];
    const struct mix_job *job = pipeline->job;
    const char *lead = print_failed(pipeline);
    printf("%smixsweep report %s -o report\n", lead, job->file);
    printf("      mixsweep export %s runs -o runs.csv\n", job->file);
    if (!pipeline->optima)
        return;
    const struct mix_optimum_options *asked = &job->optima[0];
    const double longer = asked->max_epochs > 0 ? 1 : 10; /* the supplies might not do */
    printf("      mixsweep optimum %s --fit %s --params %s --tokens %s --name larger", job->file,
           pipeline->fit->name, short_number(10 * asked->n_params, n_params),
           short_number(longer * asked->n_tokens, n_tokens));
    print_question(job);
    printf("\n");
}

/* "job.2-of-4.h5" goes with its likes into "job.h5". */
static void print_merge(const struct mix_pipeline *pipeline)
{
    const char *file = pipeline->job->file;
    const size_t n = pipeline->options.n_shards;
    char shard[MIX_NAME_MAX];
    snprintf(shard, sizeof shard, ".%zu-of-%zu", pipeline->options.shard + 1, n);
    const char *folder_end = strrchr(file, '/');
    const char *at = strstr(folder_end ? folder_end : file, shard);
    if (!at)
        return;
    const int n_stem = (int)(at - file);
    const char *ending = at + strlen(shard);
    (void)print_failed(pipeline);
    printf("\nnext, once all shards are done: mixsweep merge %.*s.*-of-%zu%s -o %.*s%s\n", n_stem,
           file, n, ending, n_stem, file, ending);
}

static enum mix_status print_end(const struct show *show, struct mix_error *err)
{
    if (!is_root(show))
        return MIX_OK;
    if (show->json)
        return print_json(show, err);
    if (show->sweep.n_shards > 0)
        print_merge(show->pipeline);
    else
        print_next(show->pipeline);
    return MIX_OK;
}

static void close_job(struct show *show)
{
    mix_confirmation_destroy(show->confirmation);
    mix_pipeline_close(show->pipeline);
}

static enum mix_status run_job(struct mix_ranks *ranks, int argc, char **argv,
                               struct mix_error *err)
{
    struct show show = {.pipeline = NULL};
    enum mix_status status = open_job(ranks, &cli_verb_run, argc, argv, &show, err);
    if (status != MIX_OK || !show.pipeline)
        return status;
    const bool is_whole = show.sweep.n_shards == 0; /* part of the runs is nothing to fit */
    do {
        status = sweep_stage(&show, err);
        if (status == MIX_OK && is_whole)
            status = fit_stage(&show, err);
        if (status == MIX_OK && is_whole)
            status = bootstrap_stage(&show, err);
        if (status == MIX_OK && is_whole)
            status = optimum_stage(&show, err);
        if (status == MIX_OK && is_whole)
            status = round_stage(&show, err);
    } while (status == MIX_OK && show.goes_on);
    if (status == MIX_OK)
        status = mix_ranks_agree(ranks, print_optima(&show, err), err);
    if (status == MIX_OK && is_whole && show.pipeline->job->confirm.n_seeds > 0)
        status = confirm_stage(&show, err);
    if (status == MIX_OK)
        status = print_end(&show, err);
    close_job(&show);
    return status;
}

static enum mix_status run_sweep(struct mix_ranks *ranks, int argc, char **argv,
                                 struct mix_error *err)
{
    struct show show = {.pipeline = NULL};
    enum mix_status status = open_job(ranks, &cli_verb_sweep, argc, argv, &show, err);
    if (status != MIX_OK || !show.pipeline)
        return status;
    status = sweep_stage(&show, err);
    if (status == MIX_OK)
        status = print_end(&show, err);
    close_job(&show);
    return status;
}

static enum mix_status run_confirm(struct mix_ranks *ranks, int argc, char **argv,
                                   struct mix_error *err)
{
    struct show show = {.pipeline = NULL};
    enum mix_status status = open_job(ranks, &cli_verb_confirm, argc, argv, &show, err);
    if (status != MIX_OK || !show.pipeline)
        return status;
    status = confirm_stage(&show, err);
    if (status == MIX_OK && is_root(&show) && show.json)
        status = print_json(&show, err);
    close_job(&show);
    return status;
}

const struct cli_verb cli_verb_run = {
    .name = "run",
    .summary = "carry out a job file: sweep, fit, bootstrap, optimum, confirm",
    .synopsis = "JOB.yaml [OPTIONS]",
    .details =
        "Designs the mixtures, evaluates the proxy runs, fits the law, resamples the fit\n"
        "and extrapolates the best mixture, all into the file that the job names. What is\n"
        "in the file already is not done again: after an interruption the same command\n"
        "resumes. Works on any number of ranks with equal results.\n\n"
        "  mpirun -n 4 mixsweep run jobs/quickstart.yaml\n"
        "\n"
        "Keys of the sections, with defaults (design and scales: plan --help; sweep: sweep "
        "--help;\n"
        "online, agent: theirs):\n"
        "  fit.law, form, name   as options of fit (--law, --form: full, eq1, eq3); name: the "
        "law's\n"
        "  fit.where, targets, checkpoints, mask_below   the selection (all, domains, last, 0);\n"
        "                      checkpoints: last, late, all\n"
        "  fit.starts, holdout, seed   as options of fit; holdout: auto, none, scale, both, "
        "mixture:0.3,\n"
        "                      mixture:4-fold\n"
        "  bootstrap.draws, cluster, bayesian   resamples (1000) of mixtures or of runs (mixture); "
        "false\n"
        "  optimum             one, or a list of several, each with a name: printed side by side, "
        "with\n"
        "                      what each one's mixture costs by the others' objectives\n"
        "  optimum.n_params, n_tokens, name   required: the scale asked for; its name (the fit's)\n"
        "  optimum.weights, floor, caps   by target (its own; 0 of scores beside losses, but for "
        "gains),\n"
        "                      least share (1e-4), largest by domain (1)\n"
        "  optimum.baseline, level   uniform or prior (uniform); of intervals (0.9)\n"
        "  optimum.objective, no_worse, near, within_support   as options of optimum (mean, none, "
        "none,\n"
        "                      false)\n"
        "  optimum.max_epochs, lattice, path   passes over domains[].supply_tokens (no limit); "
        "1/2048\n"
        "                      (none); true: the optimum at smaller scales too (false)\n"
        "  adaptive.rounds, runs, flops   required: rounds of chosen runs after the design; runs "
        "(8) and\n"
        "                      FLOPs (no limit) of a round, at most\n"
        "  adaptive.criterion, worth   as options of next; a round whose expected reduction is "
        "less than\n"
        "                      worth ends them\n"
        "  confirm.scales, seeds, of   where optimum and baseline are trained as a check (the "
        "optimum's\n"
        "                      scale): entries as in scales, without mixtures and replicates; "
        "seeds (3);\n"
        "                      which of several optima (the first)\n",
    .ranks = true,
    .run = run_job,
};

const struct cli_verb cli_verb_sweep = {
    .name = "sweep",
    .summary = "evaluate the proxy runs of a job file, nothing more",
    .synopsis = "JOB.yaml [OPTIONS]",
    .details =
        "Evaluates the runs that the file does not have yet; the same command resumes.\n\n"
        "  mpirun -n 4 mixsweep sweep jobs/quickstart.yaml\n"
        "\n"
        "Keys of the section sweep, with defaults. command:\n"
        "  argv                required: a list, or one line that is split at blanks; {name} are\n"
        "                      placeholders. With shell: true one text for /bin/sh\n"
        "  launcher            put before argv (srun --exact -n1); none: the ranks start it "
        "themselves\n"
        "  environment, scrub  variables; MPI's and the step's are taken out (true)\n"
        "  result, result_file   file (result.json in the run folder), stdout or none\n"
        "  run_dir, keep       run folders (FILE.runs); which stay: failed (default), all, none\n"
        "  time_limit, grace   of a run (none; resources.wall of its scale comes first); from "
        "SIGTERM to\n"
        "                      SIGKILL (30s)\n"
        "  retries, backoff    attempts after the first failure (2); the wait (10s) doubles\n"
        "  fatal_exit, requeue_exit   exit codes: do not try again (none); start again, this was "
        "no\n"
        "                      failure (75; [] = none)\n"
        "  resumable           continues from its own checkpoint in its run folder (false)\n"
        "  slots               runs at once, on a rank (1) or with a launcher in all (what fits; "
        "without\n"
        "                      resources as many as ranks)\n"
        "  gpus, cpus, mem     of a node (found out, found out, not counted)\n"
        "  loss_range          a loss outside [least, largest] is a failure (any)\n"
        "  max_failures        end the sweep after so many failed runs (0 = never)\n"
        "Other evaluators:\n"
        "  simulate.law        required: losses of a known law; params: {name: value} sets some of "
        "its\n"
        "                      parameters, the rest is drawn (of capacity, transfer, demand and\n"
        "                      chinchilla; of other laws all must be given)\n"
        "  simulate.noise, seed, delay_s   relative standard deviation (0); seed of the truth "
        "(the\n"
        "                      job's); pretended seconds of a run (0)\n"
        "  table.file, delay   required: recorded runs (a sweep file or CSV); pretended duration "
        "(0s)\n"
        "  embedded.batch, learning_rate, weight_decay, clip   the trainer, AdamW (16, 0.3/width, "
        "0.1,\n"
        "                      1); clip 0 = none\n"
        "  embedded.schedule, warmup, decay, final_rate   constant, cosine or wsd (wsd); warmup "
        "and\n"
        "                      decay as parts of a run (0.05, 0.3); 0.05 of the learning rate at "
        "the end\n"
        "  embedded.sampling   domains of a step: exact (largest remainder) or iid (exact)\n"
        "  embedded.decay_checkpoints   a checkpoint's loss is that of a model whose rate has "
        "decayed\n"
        "                      there (true with wsd)\n"
        "  embedded.validation_bytes, validation_share, split_seed, max_bytes   what is evaluated "
        "of a\n"
        "                      source (65536), held out (0.1), with which seed (the job's), and "
        "read\n"
        "                      (all)\n"
        "  embedded.synthetic  {bytes: 1e6, validation_bytes: 1e5, shared: 0.5, seed: the job's}: "
        "text\n"
        "                      is made, by Markov sources of known entropy that share a part of "
        "what\n"
        "                      they are; also for online and agent, all of whose held-out parts "
        "have\n"
        "                      validation_bytes\n",
    .ranks = true,
    .run = run_sweep,
};

const struct cli_verb cli_verb_confirm = {
    .name = "confirm",
    .summary = "train the optimum and its rivals at larger scales, compare with the claim",
    .synopsis = "JOB.yaml [OPTIONS]",
    .details = "Trains the optimal mixture, the nearest tie, the prior, uniform and the best\n"
               "observed mixture by the job's own evaluator at the scales of its section confirm\n"
               "(without one: at the optimum's), with the same seeds for all, and prints measured\n"
               "beside predicted losses and gains. The runs go into the file, marked as left out\n"
               "of fits; `mixsweep exclude --undo` gives them to the next fit. After an\n"
               "interruption the same command resumes.\n\n"
               "  mpirun -n 4 mixsweep confirm jobs/quickstart.yaml",
    .ranks = true,
    .run = run_confirm,
};
