/* SPDX-License-Identifier: GPL-3.0-or-later */
/* run.c - the verbs run (a whole job), sweep (only its proxy runs) and confirm (its last stage). */
#include "cli.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/confirm.h"
#include "mixsweep/next.h"
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
    if (strspn(text, "0123456789.") == 0 || !unit || (*end && end[1]) || !(value <= 1e6))
        return mix_fail(err, MIX_EUSAGE,
                        "--stop-before \"%s\": not a time like 300s, 5m or 1h, nor none.", text);
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
    if (is_root(show) && status == MIX_OK && show->pipeline->optimum)
        print_note(show);
    return status;
}

static void print_optimum(const struct show *show)
{
    if (!is_root(show) || show->json || !show->pipeline->optimum)
        return;
    cli_print_optimum(stdout, show->pipeline->job->file, show->pipeline->optimum);
    print_holdout(show->pipeline->fit);
}

/* The line of a round, or why there is none. */
static void print_round(const struct show *show, const struct mix_next *next, int round,
                        double start_s)
{
    char text[MIX_TEXT_MAX], name[24];
    snprintf(name, sizeof name, "round %d", round);
    if (!show->goes_on) {
        fprintf(show->out, "%-10s no more runs: %s\n", name, next->advice);
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
    snprintf(text, sizeof text, "%zu runs of %zu mixtures, %zu failed", confirmation->n_planned,
             confirmation->n_contenders, confirmation->n_failed);
    fputc('\n', show->out);
    print_stage(show, "confirm", text, start_s);
    if (!show->json)
        cli_print_confirmation(stdout, confirmation);
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
    if (pipeline->optimum)
        json_object_set_new(root, "optimum", cli_json_optimum(pipeline->optimum));
    if (show->confirmation)
        json_object_set_new(root, "confirmation", cli_json_confirmation(show->confirmation));
    const bool failed = !root || json_dumpf(root, stdout, JSON_INDENT(2)) != 0;
    putchar('\n');
    json_decref(root);
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
    const struct mix_optimum_options *o = &job->optimum;
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
        if (o->weight[m] != job->targets[m].weight)
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
    const double longer = job->optimum.max_epochs > 0 ? 1 : 10; /* the supplies might not do */
    const char *lead = print_failed(pipeline);
    printf("%smixsweep report %s -o report\n", lead, job->file);
    printf("      mixsweep export %s runs -o runs.csv\n", job->file);
    if (!pipeline->optimum)
        return;
    printf("      mixsweep optimum %s --fit %s --params %s --tokens %s --name larger", job->file,
           pipeline->fit->name, short_number(10 * pipeline->optimum->n_params, n_params),
           short_number(longer * pipeline->optimum->n_tokens, n_tokens));
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
        print_optimum(&show);
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
    .details = "Designs the mixtures, evaluates the proxy runs, fits the law, resamples the fit\n"
               "and extrapolates the best mixture, all into the file that the job names. What is\n"
               "in the file already is not done again: after an interruption the same command\n"
               "resumes. Works on any number of ranks with equal results.\n\n"
               "  mpirun -n 4 mixsweep run jobs/quickstart.yaml",
    .ranks = true,
    .run = run_job,
};

const struct cli_verb cli_verb_sweep = {
    .name = "sweep",
    .summary = "evaluate the proxy runs of a job file, nothing more",
    .synopsis = "JOB.yaml [OPTIONS]",
    .details = "Evaluates the runs that the file does not have yet; the same command resumes.\n\n"
               "  mpirun -n 4 mixsweep sweep jobs/quickstart.yaml",
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
