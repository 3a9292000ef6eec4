/* SPDX-License-Identifier: GPL-3.0-or-later */
/* run.c - the verbs run (a whole job) and sweep (only its proxy runs). */
#include "cli.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "mixsweep/pipeline.h"
#include "mixsweep/version.h"

/* A job at work and where its lines go: stdout, or stderr where stdout is for JSON. */
struct show {
    struct mix_pipeline *pipeline; /* NULL after --help */
    FILE *out;
    bool json;
};

static bool is_root(const struct show *show)
{
    return mix_ranks_rank(show->pipeline->ranks) == 0;
}

static void print_note(const struct show *show)
{
    if (show->pipeline->notice[0])
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

static void print_opening(const struct show *show)
{
    const struct mix_pipeline *pipeline = show->pipeline;
    const struct mix_job *job = pipeline->job;
    const int n_ranks = mix_ranks_count(pipeline->ranks);
    const int n_nodes = mix_ranks_nodes(pipeline->ranks);
    double flops = 0;
    fprintf(show->out, "mixsweep %s · job %s · %d rank%s on %d node%s · file %s\n", MIX_VERSION,
            job->name, n_ranks, n_ranks == 1 ? "" : "s", n_nodes, n_nodes == 1 ? "" : "s",
            job->file);
    for (size_t s = 0; s < job->n_scales; s++) {
        const size_t n = job->scales[s].n_mixtures;
        flops += 6 * job->scales[s].n_params * job->scales[s].n_tokens *
                 (double)((n ? n : job->n_mixtures) * job->n_replicates);
    }
    fprintf(show->out, "%-10s %zu mixtures × %zu scales × %zu domains, %zu runs, %.2g FLOP\n",
            "design", job->n_mixtures, job->n_scales, job->n_domains, pipeline->n_planned, flops);
    if (pipeline->n_had > 0 && pipeline->n_had < pipeline->n_planned)
        fprintf(show->out, "%-10s %zu of %zu runs done, %zu to do\n", "resuming", pipeline->n_had,
                pipeline->n_planned, pipeline->n_planned - pipeline->n_had);
    fflush(show->out);
}

static enum mix_status open_job(struct mix_ranks *ranks, const struct cli_verb *verb, int argc,
                                char **argv, struct show *show, struct mix_error *err)
{
    const char *path = NULL, *format = "text";
    bool help = false, break_lock = false;
    const struct cli_option options[] = {
        {.name = "format",
         .value = "FORMAT",
         .help = "of the result on stdout: text or json (default text)",
         .kind = CLI_TEXT,
         .target = &format},
        {.name = "break-lock",
         .help = "take the file from a process that seems to be alive",
         .kind = CLI_FLAG,
         .target = &break_lock},
        {.name = NULL},
    };
    enum mix_status status = cli_parse(verb, options, argc, argv, 1, 1, &path, &help, err);
    if (status == MIX_OK && !help)
        status = cli_parse_format(format, &show->json, err);
    if (status != MIX_OK || help)
        return status;
    show->out = show->json ? stderr : stdout;
    status = mix_pipeline_open(ranks, path, break_lock, &show->pipeline, err);
    if (status == MIX_OK && is_root(show))
        print_opening(show);
    return status;
}

static size_t count_failed(const struct mix_table *table)
{
    size_t n = 0;
    for (size_t r = 0; r < table->n_rows; r++)
        n += table->runs[r].status == MIX_RUN_FAILED;
    return n;
}

static enum mix_status sweep_stage(const struct show *show, struct mix_error *err)
{
    struct mix_pipeline *pipeline = show->pipeline;
    struct cli_progress progress = {.stage = "sweep", .unit = "runs", .store = pipeline->store};
    const double start_s = cli_now_s();
    const enum mix_status status = mix_pipeline_sweep(pipeline, cli_progress, &progress, err);
    cli_progress_clear(&progress);
    if (!is_root(show) || status != MIX_OK)
        return status;
    char text[MIX_TEXT_MAX];
    snprintf(text, sizeof text, "%zu/%zu runs, %zu failed", pipeline->n_planned,
             pipeline->n_planned, count_failed(pipeline->table));
    print_stage(show, "sweep", text, start_s);
    if (strcmp(pipeline->job->evaluator, "simulate") == 0)
        fprintf(show->out,
                "%-10s losses come from the simulate evaluator (a known law + noise), not from "
                "training\n",
                "");
    return MIX_OK;
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
    if (!is_root(show) || status != MIX_OK || !show->pipeline->optimum)
        return status;
    print_note(show);
    if (!show->json)
        cli_print_optimum(stdout, show->pipeline->optimum);
    return MIX_OK;
}

static enum mix_status print_json(const struct mix_pipeline *pipeline, struct mix_error *err)
{
    const struct mix_job *job = pipeline->job;
    json_t *root = json_pack("{s:s, s:s, s:I, s:I}", "job", job->name, "file", job->file, "n_runs",
                             (json_int_t)pipeline->n_planned, "n_failed",
                             (json_int_t)count_failed(pipeline->table));
    if (pipeline->fit)
        json_object_set_new(root, "fit", json_string(pipeline->fit->name));
    if (pipeline->draws)
        json_object_set_new(root, "draws", json_integer((json_int_t)pipeline->draws->n_draws));
    if (pipeline->optimum)
        json_object_set_new(root, "optimum", cli_json_optimum(pipeline->optimum));
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

static void print_next(const struct mix_pipeline *pipeline)
{
    char n_params[16], n_tokens[16];
    const struct mix_job *job = pipeline->job;
    printf("\nnext: mixsweep status %s\n", job->file);
    printf("      mixsweep export %s runs -o runs.csv\n", job->file);
    if (pipeline->optimum)
        printf("      mixsweep optimum %s --fit %s --params %s --tokens %s --name larger\n",
               job->file, pipeline->fit->name,
               short_number(10 * pipeline->optimum->n_params, n_params),
               short_number(10 * pipeline->optimum->n_tokens, n_tokens));
}

static enum mix_status print_end(const struct show *show, struct mix_error *err)
{
    if (!is_root(show))
        return MIX_OK;
    if (show->json)
        return print_json(show->pipeline, err);
    if (show->pipeline->fit)
        print_holdout(show->pipeline->fit);
    print_next(show->pipeline);
    return MIX_OK;
}

static enum mix_status run_job(struct mix_ranks *ranks, int argc, char **argv,
                               struct mix_error *err)
{
    struct show show = {.pipeline = NULL};
    enum mix_status status = open_job(ranks, &cli_verb_run, argc, argv, &show, err);
    if (status != MIX_OK || !show.pipeline)
        return status;
    status = sweep_stage(&show, err);
    if (status == MIX_OK)
        status = fit_stage(&show, err);
    if (status == MIX_OK)
        status = bootstrap_stage(&show, err);
    if (status == MIX_OK)
        status = optimum_stage(&show, err);
    if (status == MIX_OK)
        status = print_end(&show, err);
    mix_pipeline_close(show.pipeline);
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
    mix_pipeline_close(show.pipeline);
    return status;
}

const struct cli_verb cli_verb_run = {
    .name = "run",
    .summary = "carry out a job file: sweep, fit, bootstrap, optimum",
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
