/* SPDX-License-Identifier: GPL-3.0-or-later */
/* plan.c - the verb plan: what a job would run and what it costs. */
#include "cli.h"

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/job.h"

static const double many_epochs = 4; /* repeated more often, tokens are worth less */
static const double near_sizes = 3;  /* largest over smallest N */
static const double far_size = 100;  /* target N over the largest of the sweep */
static const double entries_per_param = 2;

enum { WARNINGS_MAX = 8 };

/* The numbers that text and JSON both show. */
struct summary {
    struct mix_job *job;
    struct mix_table *plan;
    double *mixtures;   /* (n_mixtures,K) */
    double *share_min;  /* (K) over the mixtures */
    double *share_mean; /* (K) */
    double *share_max;  /* (K) */
    double *distance;   /* (n_mixtures) half the sum of |share - prior|, ascending */
    double flops;
    double max_epochs;
    size_t max_epochs_domain;
    size_t n_warnings;
    char warnings[WARNINGS_MAX][MIX_TEXT_MAX];
};

static void free_summary(struct summary *s)
{
    mix_job_destroy(s->job);
    mix_table_destroy(s->plan);
    free(s->mixtures);
    free(s->share_min);
    free(s->share_mean);
    free(s->share_max);
    free(s->distance);
}

static void warn(struct summary *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void warn(struct summary *s, const char *format, ...)
{
    va_list arguments;
    if (s->n_warnings == WARNINGS_MAX)
        return;
    va_start(arguments, format);
    vsnprintf(s->warnings[s->n_warnings++], MIX_TEXT_MAX, format, arguments);
    va_end(arguments);
}

static int compare_numbers(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure_mixtures(struct summary *s)
{
    const size_t n = s->job->n_mixtures, n_domains = s->job->n_domains;
    for (size_t k = 0; k < n_domains; k++)
        s->share_min[k] = 1;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n_domains; k++) {
            const double share = s->mixtures[i * n_domains + k];
            s->share_min[k] = fmin(s->share_min[k], share);
            s->share_max[k] = fmax(s->share_max[k], share);
            s->share_mean[k] += share / (double)n;
            s->distance[i] += 0.5 * fabs(share - s->job->domains[k].prior);
        }
    qsort(s->distance, n, sizeof *s->distance, compare_numbers);
}

static void measure_runs(struct summary *s)
{
    const size_t n_domains = s->job->n_domains;
    for (size_t r = 0; r < s->plan->n_rows; r++) {
        s->flops += s->plan->runs[r].flops;
        for (size_t k = 0; k < n_domains; k++) {
            const double epochs = s->plan->epochs[r * n_domains + k]; /* NaN = supply unknown */
            if (epochs > s->max_epochs) {
                s->max_epochs = epochs;
                s->max_epochs_domain = k;
            }
        }
    }
}

/* Sizes of the sweep, distinct ones. */
static size_t count_sizes(const struct mix_job *job, double *least, double *largest)
{
    size_t n = 0;
    *least = INFINITY;
    *largest = 0;
    for (size_t s = 0; s < job->n_scales; s++) {
        bool is_new = true;
        for (size_t t = 0; t < s; t++)
            is_new = is_new && job->scales[t].n_params != job->scales[s].n_params;
        n += is_new;
        *least = fmin(*least, job->scales[s].n_params);
        *largest = fmax(*largest, job->scales[s].n_params);
    }
    return n;
}

static void warn_of_sizes(struct summary *s)
{
    char a[16], b[16];
    double least, largest;
    const struct mix_job *job = s->job;
    const size_t n = count_sizes(job, &least, &largest);
    const double wanted = job->optimum.n_params;
    if (n == 1 && wanted > 0 && wanted != largest)
        warn(s, "one model size: nothing says how the loss changes on the way to %s",
             cli_size(wanted, a));
    else if (n < 3 && wanted > 0)
        warn(s, "%zu model sizes: with three or more the largest can be held out as a check", n);
    if (n > 1 && largest / least < near_sizes)
        warn(s, "the sizes %s … %s differ by a factor of %.2g only: extrapolation needs more",
             cli_size(least, a), cli_size(largest, b), largest / least);
    if (wanted > far_size * largest)
        warn(s, "%s is %.0f times the largest size of the sweep, %s", cli_size(wanted, a),
             wanted / largest, cli_size(largest, b));
}

static enum mix_status warn_of_runs(struct summary *s, struct mix_error *err)
{
    const struct mix_job *job = s->job;
    struct mix_model *model;
    if (!job->fit.law)
        return MIX_OK;
    const enum mix_status status = mix_job_model(job, job->fit.law, job->fit.form, &model, err);
    if (status != MIX_OK)
        return status;
    const size_t n_params = mix_model_n_params(model);
    const size_t n_entries = s->plan->n_rows * job->n_targets;
    mix_model_destroy(model);
    if ((double)n_entries < entries_per_param * (double)n_params)
        warn(s, "%zu losses for the %zu parameters of the law %s: at least %.0f are wise",
             n_entries, n_params, job->fit.law, entries_per_param * (double)n_params);
    if (job->n_mixtures < 2 * job->n_domains)
        warn(s, "%zu mixtures of %zu domains: at least %zu are wise", job->n_mixtures,
             job->n_domains, 2 * job->n_domains);
    return MIX_OK;
}

static void warn_of_shares(struct summary *s)
{
    const struct mix_job *job = s->job;
    if (s->max_epochs > many_epochs)
        warn(s, "%s is repeated up to %.2g times; beyond %.0f passes tokens are worth less",
             job->domains[s->max_epochs_domain].name, s->max_epochs, many_epochs);
    for (size_t k = 0; job->optimum.n_params > 0 && k < job->n_domains; k++)
        if (s->share_max[k] < job->optimum.lower[k])
            warn(s, "no mixture has as much of %s as the optimum's floor, %g", job->domains[k].name,
                 job->optimum.lower[k]);
}

static enum mix_status summarise(const char *path, struct summary *s, struct mix_error *err)
{
    enum mix_status status = mix_job_read(path, &s->job, err);
    if (status != MIX_OK)
        return status;
    const size_t n_domains = s->job->n_domains;
    s->mixtures = calloc(s->job->n_mixtures * n_domains, sizeof *s->mixtures);
    s->share_min = calloc(n_domains, sizeof *s->share_min);
    s->share_mean = calloc(n_domains, sizeof *s->share_mean);
    s->share_max = calloc(n_domains, sizeof *s->share_max);
    s->distance = calloc(s->job->n_mixtures, sizeof *s->distance);
    if (!s->mixtures || !s->share_min || !s->share_mean || !s->share_max || !s->distance)
        return mix_fail(err, MIX_ENOMEM, "%s: out of memory for the plan.", path);
    status = mix_job_design(s->job, s->mixtures, err);
    if (status == MIX_OK)
        status = mix_job_plan(s->job, &s->plan, err);
    if (status != MIX_OK)
        return status;
    measure_mixtures(s);
    measure_runs(s);
    warn_of_sizes(s);
    warn_of_shares(s);
    return warn_of_runs(s, err);
}

static size_t scale_runs(const struct mix_job *job, const struct mix_job_scale *scale)
{
    return (scale->n_mixtures ? scale->n_mixtures : job->n_mixtures) * job->n_replicates;
}

static double scale_flops(const struct mix_job *job, const struct mix_job_scale *scale)
{
    return 6 * scale->n_params * scale->n_tokens * (double)scale_runs(job, scale);
}

static void print_scales(const struct summary *s)
{
    char a[16], b[16];
    struct cli_table *table = cli_table_create(4);
    cli_table_cell(table, "size");
    cli_table_cell(table, "tokens");
    cli_table_cell(table, "runs");
    cli_table_cell(table, "FLOP");
    for (size_t i = 0; i < s->job->n_scales; i++) {
        const struct mix_job_scale *scale = &s->job->scales[i];
        cli_table_cell(table, "%s", cli_size(scale->n_params, a));
        cli_table_cell(table, "%s", cli_size(scale->n_tokens, b));
        cli_table_cell(table, "%zu", scale_runs(s->job, scale));
        cli_table_cell(table, "%.3g", scale_flops(s->job, scale));
    }
    cli_table_cell(table, "in all");
    cli_table_cell(table, "%s", "");
    cli_table_cell(table, "%zu", s->plan->n_rows);
    cli_table_cell(table, "%.3g", s->flops);
    cli_table_print(table, stdout, "  ");
    cli_table_destroy(table);
}

static void print_domains(const struct summary *s)
{
    struct cli_table *table = cli_table_create(5);
    cli_table_cell(table, "domain");
    cli_table_cell(table, "prior");
    cli_table_cell(table, "least");
    cli_table_cell(table, "mean");
    cli_table_cell(table, "largest");
    for (size_t k = 0; k < s->job->n_domains; k++) {
        cli_table_cell(table, "%s", s->job->domains[k].name);
        cli_table_cell(table, "%.2f", s->job->domains[k].prior);
        cli_table_cell(table, "%.2f", s->share_min[k]);
        cli_table_cell(table, "%.2f", s->share_mean[k]);
        cli_table_cell(table, "%.2f", s->share_max[k]);
    }
    cli_table_print(table, stdout, "  ");
    cli_table_destroy(table);
}

static void print_text(const char *path, const struct summary *s)
{
    const struct mix_job *job = s->job;
    printf("job %s · %zu mixtures × %zu scales × %zu domains, %zu seed%s each · file %s\n",
           job->name, job->n_mixtures, job->n_scales, job->n_domains, job->n_replicates,
           job->n_replicates == 1 ? "" : "s", job->file);
    if (strcmp(job->evaluator, "simulate") == 0)
        printf(
            "losses come from the simulate evaluator (a known law + noise), not from training\n");
    putchar('\n');
    print_scales(s);
    printf("\nshares of the mixtures\n");
    print_domains(s);
    printf(
        "\ndistance from the prior: %.2f in the middle, %.2f at most (0 = equal, 1 = disjoint)\n",
        s->distance[job->n_mixtures / 2], s->distance[job->n_mixtures - 1]);
    for (size_t i = 0; i < s->n_warnings; i++)
        printf("warning: %s\n", s->warnings[i]);
    printf("\nnext: mpirun -n 4 mixsweep run %s\n", path);
}

static json_t *json_scales(const struct summary *s)
{
    json_t *list = json_array();
    for (size_t i = 0; i < s->job->n_scales; i++) {
        const struct mix_job_scale *scale = &s->job->scales[i];
        json_array_append_new(list, json_pack("{s:f, s:f, s:I, s:f}", "n_params", scale->n_params,
                                              "n_tokens", scale->n_tokens, "n_runs",
                                              (json_int_t)scale_runs(s->job, scale), "flops",
                                              scale_flops(s->job, scale)));
    }
    return list;
}

static json_t *json_domains(const struct summary *s)
{
    json_t *list = json_array();
    for (size_t k = 0; k < s->job->n_domains; k++)
        json_array_append_new(
            list, json_pack("{s:s, s:f, s:f, s:f, s:f}", "name", s->job->domains[k].name, "prior",
                            s->job->domains[k].prior, "share_min", s->share_min[k], "share_mean",
                            s->share_mean[k], "share_max", s->share_max[k]));
    return list;
}

static enum mix_status print_json(const struct summary *s, struct mix_error *err)
{
    const struct mix_job *job = s->job;
    json_t *warnings = json_array();
    for (size_t i = 0; i < s->n_warnings; i++)
        json_array_append_new(warnings, json_string(s->warnings[i]));
    json_t *root = json_pack(
        "{s:s, s:s, s:s, s:I, s:I, s:I, s:f, s:o, s:o, s:{s:f, s:f}, s:o}", "job", job->name,
        "file", job->file, "evaluator", job->evaluator, "n_mixtures", (json_int_t)job->n_mixtures,
        "n_replicates", (json_int_t)job->n_replicates, "n_runs", (json_int_t)s->plan->n_rows,
        "flops", s->flops, "scales", json_scales(s), "domains", json_domains(s), "prior_distance",
        "median", s->distance[job->n_mixtures / 2], "max", s->distance[job->n_mixtures - 1],
        "warnings", warnings);
    const bool failed = !root || json_dumpf(root, stdout, JSON_INDENT(2)) != 0;
    putchar('\n');
    json_decref(root);
    return failed ? mix_fail(err, MIX_EIO, "the plan could not be printed as JSON.") : MIX_OK;
}

static enum mix_status run_plan(struct mix_ranks *ranks, int argc, char **argv,
                                struct mix_error *err)
{
    const char *path = NULL, *format = "text";
    bool help = false, json = false;
    const struct cli_option options[] = {
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
    struct summary summary = {.job = NULL};
    status = summarise(path, &summary, err);
    if (status == MIX_OK && json)
        status = print_json(&summary, err);
    else if (status == MIX_OK)
        print_text(path, &summary);
    free_summary(&summary);
    return status;
}

const struct cli_verb cli_verb_plan = {
    .name = "plan",
    .summary = "say what a job would run and what it costs",
    .synopsis = "JOB.yaml [OPTIONS]",
    .details = "Prints the design, the runs and their FLOP, how far the mixtures reach, and what\n"
               "the design cannot answer. Runs nothing and writes nothing.\n\n"
               "  mixsweep plan jobs/quickstart.yaml",
    .ranks = false,
    .run = run_plan,
};
