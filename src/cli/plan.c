/* SPDX-License-Identifier: GPL-3.0-or-later */
/* plan.c - the verb plan: what a job would run and what it costs. */
#include "cli.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plan_impl.h"

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

static double scale_flops(const struct plan_summary *s, size_t scale)
{
    return mix_job_flops(&s->job->scales[scale]) *
           (double)mix_job_n_runs(s->job, &s->job->scales[scale]);
}

static void print_scale(const struct plan_summary *s, size_t index, struct cli_table *table)
{
    char a[16], b[16];
    const struct mix_job_scale *scale = &s->job->scales[index];
    cli_table_cell(table, "%s", cli_size(scale->n_params, a));
    cli_table_cell(table, "%s", cli_size(scale->n_tokens, b));
    cli_table_cell(table, "%zu", scale->n_checkpoints);
    cli_table_cell(table, "%zu", scale->n_mixtures ? scale->n_mixtures : s->job->n_mixtures);
    cli_table_cell(table, "%zu", mix_job_n_runs(s->job, scale));
    cli_table_cell(table, "%.3g", scale_flops(s, index));
}

static void print_scales(const struct plan_summary *s)
{
    static const char *const heads[] = {"size",     "tokens", "checkpoints",
                                        "mixtures", "runs",   "FLOP"};
    struct cli_table *table = cli_table_create(6);
    for (size_t c = 0; c < 6; c++)
        cli_table_cell(table, "%s", heads[c]);
    for (size_t i = 0; i < s->job->n_scales; i++)
        print_scale(s, i, table);
    cli_table_cell(table, "in all");
    for (size_t c = 1; c < 4; c++)
        cli_table_cell(table, "%s", "");
    cli_table_cell(table, "%zu", mix_plan_n_runs(s->plan));
    cli_table_cell(table, "%.3g", s->flops);
    cli_table_print(table, stdout, "  ");
    cli_table_destroy(table);
}

/* Seeds, and the part of the text where passes are matched. */
static void print_notes(const struct plan_summary *s)
{
    char a[16], b[16];
    const struct mix_job *job = s->job;
    for (size_t i = 0; i < job->n_scales; i++) {
        const struct mix_job_scale *scale = &job->scales[i];
        if (scale->n_replicates < 2)
            continue;
        printf("  %zu seeds of ", scale->n_replicates);
        if (scale->n_replicated < job->n_mixtures)
            printf("the first %zu mixture%s", scale->n_replicated, plural(scale->n_replicated));
        else
            printf("every mixture");
        printf(" at %s\n", cli_size(scale->n_params, a));
    }
    for (size_t i = 0; i < job->n_scales && !isnan(job->match_tokens); i++)
        printf("  at %s domains of known supply are cut to %.3g of it, so that they pass as often "
               "as in %s tokens\n",
               cli_size(job->scales[i].n_params, a), job->scales[i].n_tokens / job->match_tokens,
               cli_size(job->match_tokens, b));
}

static void print_domains(const struct plan_summary *s)
{
    static const char *const heads[] = {"domain", "prior", "least", "mean", "seen up to", "passes"};
    struct cli_table *table = cli_table_create(6);
    for (size_t c = 0; c < 6; c++)
        cli_table_cell(table, "%s", heads[c]);
    for (size_t k = 0; k < s->job->n_domains; k++) {
        cli_table_cell(table, "%s", s->job->domains[k].name);
        cli_table_cell(table, "%.3f", s->job->domains[k].prior);
        cli_table_cell(table, "%.3f", s->share_min[k]);
        cli_table_cell(table, "%.3f", s->share_mean[k]);
        cli_table_cell(table, "%.3f", s->share_max[k]);
        if (isnan(s->epochs_max[k]))
            cli_table_cell(table, "-");
        else
            cli_table_cell(table, "%.2g", s->epochs_max[k]);
    }
    cli_table_print(table, stdout, "  ");
    cli_table_destroy(table);
}

static void print_coverage(const struct plan_summary *s)
{
    const struct mix_job *job = s->job;
    printf("\nshares of the mixtures\n");
    print_domains(s);
    printf("\ndistances (0 = equal, 1 = disjoint): from the prior %.2f in the middle, %.2f at most",
           s->distance[job->n_mixtures / 2], s->distance[job->n_mixtures - 1]);
    if (isnan(s->nearest))
        printf("\n");
    else
        printf("; the nearest two mixtures %.3f\n%zu mixtures count as %.1f, those nearer than 0.1 "
               "to each other in part\n",
               s->nearest, job->n_mixtures, s->n_effective);
    if (s->has_rank)
        printf("the runs tell apart %zu of the %zu parameters of the law %s\n", s->rank, s->n_free,
               job->fit.law);
    else if (s->n_free > 0)
        printf("the law %s has %zu parameters; whether the runs tell them apart is not known\n",
               job->fit.law, s->n_free);
}

static void print_cost(const struct plan_summary *s)
{
    static const char *const kept[] = {"running and failed runs", "all runs", "running runs"};
    char a[16], b[16];
    const struct mix_job *job = s->job;
    if (!isnan(s->gpu_hours))
        printf("%.*f GPU-hours at %.2g FLOP/s\n", s->gpu_hours < 10 ? 2 : 0, s->gpu_hours,
               s->options.flops_rate);
    if (!isnan(s->wall_s))
        printf("%s of wall time as declared", cli_duration(s->wall_s, a));
    if (!isnan(s->makespan_s))
        printf(", %s on %zu node%s", cli_duration(s->makespan_s, b), s->n_nodes,
               plural(s->n_nodes));
    if (!isnan(s->makespan_s) && s->slots > 0)
        printf(", %zu run%s at once", s->slots, plural(s->slots));
    if (!isnan(s->wall_s))
        printf("\n");
    if (strcmp(job->evaluator, "command") == 0)
        printf("folders of %s in %s", kept[job->command.keep], job->command.run_dir);
    if (s->n_inodes > 0)
        printf(": about %.0f files and folders", s->n_inodes);
    if (strcmp(job->evaluator, "command") == 0)
        printf("\n");
}

static void print_text(const struct plan_summary *s)
{
    const struct mix_job *job = s->job;
    printf("job %s · %zu mixture%s × %zu scale%s × %zu domain%s, %zu runs · file %s\n", job->name,
           job->n_mixtures, plural(job->n_mixtures), job->n_scales, plural(job->n_scales),
           job->n_domains, plural(job->n_domains), mix_plan_n_runs(s->plan), job->file);
    if (strcmp(job->evaluator, "simulate") == 0)
        printf(
            "losses come from the simulate evaluator (a known law + noise), not from training\n");
    putchar('\n');
    print_scales(s);
    print_notes(s);
    print_coverage(s);
    print_cost(s);
    for (size_t i = 0; i < s->n_warnings; i++)
        printf("warning: %s\n", s->warnings[i]);
}

static json_t *json_scale(const struct plan_summary *s, size_t index)
{
    const struct mix_job *job = s->job;
    const struct mix_job_scale *scale = &job->scales[index];
    json_t *checkpoints = json_array(), *subsample = json_object();
    for (size_t c = 0; c < scale->n_checkpoints; c++)
        json_array_append_new(checkpoints, json_real(scale->checkpoints[c]));
    for (size_t k = 0; k < job->n_domains; k++)
        json_object_set_new(subsample, job->domains[k].name,
                            json_real(mix_job_subsample(job, scale, k)));
    return json_pack("{s:f, s:f, s:o, s:I, s:I, s:f, s:o, s:o}", "n_params", scale->n_params,
                     "n_tokens", scale->n_tokens, "checkpoints", checkpoints, "n_mixtures",
                     (json_int_t)(scale->n_mixtures ? scale->n_mixtures : job->n_mixtures),
                     "n_runs", (json_int_t)mix_job_n_runs(job, scale), "flops",
                     scale_flops(s, index), "wall_s", cli_json_number(scale->resources.wall_s),
                     "subsample", subsample);
}

static json_t *json_domain(const struct plan_summary *s, size_t k)
{
    const struct mix_domain *domain = &s->job->domains[k];
    return json_pack("{s:s, s:f, s:o, s:f, s:f, s:f, s:o}", "name", domain->name, "prior",
                     domain->prior, "supply_tokens", cli_json_number(domain->supply_tokens),
                     "share_min", s->share_min[k], "share_mean", s->share_mean[k], "share_max",
                     s->share_max[k], "epochs_max", cli_json_number(s->epochs_max[k]));
}

static json_t *json_coverage(const struct plan_summary *s)
{
    json_t *coverage =
        json_pack("{s:{s:f, s:f}, s:o, s:f}", "prior_distance", "median",
                  s->distance[s->job->n_mixtures / 2], "max", s->distance[s->job->n_mixtures - 1],
                  "nearest", cli_json_number(s->nearest), "n_effective", s->n_effective);
    if (s->has_rank && coverage) {
        json_object_set_new(coverage, "rank", json_integer((json_int_t)s->rank));
        json_object_set_new(coverage, "n_free", json_integer((json_int_t)s->n_free));
    }
    return coverage;
}

static enum mix_status print_json(const struct plan_summary *s, struct mix_error *err)
{
    const struct mix_job *job = s->job;
    json_t *warnings = json_array(), *scales = json_array(), *domains = json_array();
    for (size_t i = 0; i < s->n_warnings; i++)
        json_array_append_new(warnings, json_string(s->warnings[i]));
    for (size_t i = 0; i < job->n_scales; i++)
        json_array_append_new(scales, json_scale(s, i));
    for (size_t k = 0; k < job->n_domains; k++)
        json_array_append_new(domains, json_domain(s, k));
    json_t *root = json_pack(
        "{s:s, s:s, s:s, s:I, s:I, s:f, s:o, s:o, s:o, s:I, s:I, s:f, s:o, s:o, s:o, s:o}", "job",
        job->name, "file", job->file, "evaluator", job->evaluator, "n_mixtures",
        (json_int_t)job->n_mixtures, "n_runs", (json_int_t)mix_plan_n_runs(s->plan), "flops",
        s->flops, "gpu_hours", cli_json_number(s->gpu_hours), "wall_s", cli_json_number(s->wall_s),
        "makespan_s", cli_json_number(s->makespan_s), "slots", (json_int_t)s->slots, "nodes",
        (json_int_t)s->n_nodes, "inodes", s->n_inodes, "scales", scales, "domains", domains,
        "coverage", json_coverage(s), "warnings", warnings);
    const bool failed = !root || json_dumpf(root, stdout, JSON_INDENT(2)) != 0;
    putchar('\n');
    json_decref(root);
    return failed ? mix_fail(err, MIX_EIO, "the plan could not be printed as JSON.") : MIX_OK;
}

static enum mix_status run_plan(struct mix_ranks *ranks, int argc, char **argv,
                                struct mix_error *err)
{
    const char *path = NULL, *format = "text", *folder = NULL;
    bool help = false, json = false;
    size_t n_emitted = 0;
    struct plan_options plan = {.flops_rate = NAN};
    const struct cli_option options[] = {
        {.name = "flops-rate",
         .value = "RATE",
         .help = "FLOP/s of a GPU, for GPU-hours (default 4e14)",
         .kind = CLI_NUMBER,
         .target = &plan.flops_rate,
         .min = 1,
         .max = 1e20},
        {.name = "slots",
         .value = "N",
         .help = "runs at once, for the time it takes (default sweep.command.slots, else 1)",
         .kind = CLI_COUNT,
         .target = &plan.slots,
         .min = 1,
         .max = 65536},
        {.name = "nodes",
         .value = "N",
         .help = "nodes, for the time it takes (default those of the largest run)",
         .kind = CLI_COUNT,
         .target = &plan.n_nodes,
         .min = 1,
         .max = 10000},
        {.name = "emit",
         .value = "DIR",
         .help = "write a task file and a batch script for each run that the file lacks",
         .kind = CLI_TEXT,
         .target = &folder},
        {.name = "format",
         .value = "FORMAT",
         .help = "text or json (default text)",
         .kind = CLI_TEXT,
         .target = &format},
        {.name = NULL},
    };
    (void)ranks;
    enum mix_status status =
        cli_parse(&cli_verb_plan, options, argc, argv, 1, 1, &path, &help, err);
    if (status == MIX_OK && !help)
        status = cli_parse_format(format, &json, err);
    if (status != MIX_OK || help)
        return status;
    struct plan_summary summary;
    status = plan_summarise(path, &plan, &summary, err);
    if (status == MIX_OK && json)
        status = print_json(&summary, err);
    else if (status == MIX_OK)
        print_text(&summary);
    if (status == MIX_OK && folder)
        status = cli_emit(summary.job, path, 0, folder, &n_emitted, err);
    if (status == MIX_OK && folder)
        fprintf(stderr, "%zu run%s in %s: %s\n", n_emitted, n_emitted == 1 ? " is" : "s are",
                folder, n_emitted > 0 ? "NAME.json and NAME.sbatch each" : "all are done");
    if (status == MIX_OK && !json && n_emitted > 0)
        printf("\nnext: for script in %s/*.sbatch; do sbatch \"$script\"; done\n", folder);
    else if (status == MIX_OK && !json && !folder)
        printf("\nnext: mpirun -n 4 mixsweep run %s\n", path);
    plan_summary_free(&summary);
    return status;
}

const struct cli_verb cli_verb_plan = {
    .name = "plan",
    .summary = "say what a job would run and what it costs",
    .synopsis = "JOB.yaml [OPTIONS]",
    .details =
        "Prints the design, the runs and their FLOP, how far the mixtures reach, and what\n"
        "the design cannot answer. Runs nothing; writes nothing but what --emit asks for: a\n"
        "task file and a batch script for every run, to be trained elsewhere and taken in by\n"
        "`mixsweep record`.\n\n"
        "  mixsweep plan jobs/quickstart.yaml",
    .ranks = false,
    .run = run_plan,
};
