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
    return mix_job_flops(&s->job->scales[scale]) * (double)s->n_runs[scale];
}

/* Whether the file has anything of the job. */
static bool has_begun(const struct plan_summary *s)
{
    return s->counts.n_done + s->counts.n_failed + s->counts.n_again > 0;
}

static void print_scale(const struct plan_summary *s, size_t index, struct cli_table *table)
{
    char a[16], b[16];
    const struct mix_job_scale *scale = &s->job->scales[index];
    cli_table_cell(table, "%s", cli_size(scale->n_params, a));
    cli_table_cell(table, "%s", cli_size(scale->n_tokens, b));
    cli_table_cell(table, "%zu", scale->n_checkpoints);
    cli_table_cell(table, "%zu", scale->n_mixtures ? scale->n_mixtures : s->job->n_mixtures);
    cli_table_cell(table, "%zu", s->n_runs[index]);
    if (has_begun(s))
        cli_table_cell(table, "%zu", s->n_left[index]);
    cli_table_cell(table, "%.3g", scale_flops(s, index));
}

static void print_scales(const struct plan_summary *s)
{
    static const char *const heads[] = {"size", "tokens", "checkpoints", "mixtures", "runs"};
    struct cli_table *table = cli_table_create(has_begun(s) ? 7 : 6);
    for (size_t c = 0; c < 5; c++)
        cli_table_cell(table, "%s", heads[c]);
    if (has_begun(s))
        cli_table_cell(table, "left");
    cli_table_cell(table, "FLOP");
    for (size_t i = 0; i < s->job->n_scales; i++)
        print_scale(s, i, table);
    cli_table_cell(table, "in all");
    for (size_t c = 1; c < 4; c++)
        cli_table_cell(table, "%s", "");
    cli_table_cell(table, "%zu", s->all.n_runs);
    if (has_begun(s))
        cli_table_cell(table, "%zu", s->left.n_runs);
    cli_table_cell(table, "%.3g", s->all.flops);
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
    printf("\nhalf of the mixtures are within %.2f of the prior, all within %.2f (0 = equal, 1 = "
           "disjoint)",
           s->distance[job->n_mixtures / 2], s->distance[job->n_mixtures - 1]);
    if (isnan(s->nearest))
        printf("\n");
    else
        printf("; the nearest two are %.3f apart\n%zu mixtures tell as much as %.1f that are 0.1 "
               "apart or more\n",
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
    const bool in_part = has_begun(s) && s->left.n_runs > 0;
    const struct plan_cost *cost = in_part ? &s->left : &s->all;
    if (has_begun(s))
        printf("%s %zu run%s%s: %.3g FLOP\n", in_part ? "the" : "all", cost->n_runs,
               plural(cost->n_runs), in_part ? " left" : "", cost->flops);
    if (!isnan(cost->gpu_hours))
        printf("%.*f GPU-hours at %.2g FLOP/s\n", cost->gpu_hours < 10 ? 2 : 0, cost->gpu_hours,
               s->options.flops_rate);
    if (!isnan(cost->wall_s))
        printf("wall time as declared: %s one run after the other", cli_duration(cost->wall_s, a));
    if (!isnan(cost->makespan_s))
        printf(", %s on %zu node%s", cli_duration(cost->makespan_s, b), s->n_nodes,
               plural(s->n_nodes));
    if (!isnan(cost->makespan_s) && s->slots > 0)
        printf(", %zu run%s at once", s->slots, plural(s->slots));
    if (!isnan(cost->wall_s))
        printf("\n");
    if (strcmp(job->evaluator, "command") == 0)
        printf("folders of %s in %s", kept[job->command.keep], job->command.run_dir);
    if (s->n_inodes > 0)
        printf(": about %.0f files and folders", s->n_inodes);
    if (strcmp(job->evaluator, "command") == 0)
        printf("\n");
}

static void print_begun(const struct plan_summary *s)
{
    const struct mix_sweep_progress *is = &s->counts;
    printf("%s has %zu of %zu runs done", s->job->file, is->n_done, is->n_planned);
    if (is->n_failed + is->n_again > 0)
        printf(", %zu failed", is->n_failed + is->n_again);
    if (is->n_again > 0)
        printf(" (%zu of them to be tried again)", is->n_again);
    printf(", %zu left\n", is->n_waiting);
}

static void print_others(const struct plan_summary *s)
{
    const size_t n = s->others.n;
    if (n > 0)
        printf("%s has %zu other valid run%s, which fits see too; the warnings count %s\n",
               s->job->file, n, plural(n), n == 1 ? "it" : "them");
}

static void print_text(const struct plan_summary *s)
{
    const struct mix_job *job = s->job;
    printf("job %s · %zu mixture%s × %zu scale%s × %zu domain%s, %zu runs · file %s\n", job->name,
           job->n_mixtures, plural(job->n_mixtures), job->n_scales, plural(job->n_scales),
           job->n_domains, plural(job->n_domains), s->all.n_runs, job->file);
    if (has_begun(s))
        print_begun(s);
    print_others(s);
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
    return json_pack("{s:f, s:f, s:o, s:I, s:I, s:I, s:f, s:o, s:o}", "n_params", scale->n_params,
                     "n_tokens", scale->n_tokens, "checkpoints", checkpoints, "n_mixtures",
                     (json_int_t)(scale->n_mixtures ? scale->n_mixtures : job->n_mixtures),
                     "n_runs", (json_int_t)s->n_runs[index], "n_left", (json_int_t)s->n_left[index],
                     "flops", scale_flops(s, index), "wall_s",
                     cli_json_number(scale->resources.wall_s), "subsample", subsample);
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

/* What is left of the job, and what the file has. */
static json_t *json_left(const struct plan_summary *s)
{
    const struct plan_cost *left = &s->left;
    return json_pack("{s:I, s:I, s:I, s:I, s:f, s:o, s:o, s:o}", "n_done",
                     (json_int_t)s->counts.n_done, "n_failed", (json_int_t)s->counts.n_failed,
                     "n_again", (json_int_t)s->counts.n_again, "n_runs", (json_int_t)left->n_runs,
                     "flops", left->flops, "gpu_hours", cli_json_number(left->gpu_hours), "wall_s",
                     cli_json_number(left->wall_s), "makespan_s",
                     cli_json_number(left->makespan_s));
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
        "{s:s, s:s, s:s, s:I, s:I, s:f, s:o, s:o, s:o, s:o, s:I, s:I, s:f, s:o, s:o, s:o, s:o}",
        "job", job->name, "file", job->file, "evaluator", job->evaluator, "n_mixtures",
        (json_int_t)job->n_mixtures, "n_runs", (json_int_t)s->all.n_runs, "flops", s->all.flops,
        "gpu_hours", cli_json_number(s->all.gpu_hours), "wall_s", cli_json_number(s->all.wall_s),
        "makespan_s", cli_json_number(s->all.makespan_s), "left", json_left(s), "slots",
        (json_int_t)s->slots, "nodes", (json_int_t)s->n_nodes, "inodes", s->n_inodes, "scales",
        scales, "domains", domains, "coverage", json_coverage(s), "warnings", warnings);
    const bool failed = !root || json_dumpf(root, stdout, JSON_INDENT(2)) != 0;
    putchar('\n');
    json_decref(root);
    return failed ? mix_fail(err, MIX_EIO, "the plan could not be printed as JSON.") : MIX_OK;
}

/* What is asked. */
struct asked {
    const char *path, *folder; /* of the job; of --emit, or NULL */
    bool json;
    struct plan_options plan;
};

static enum mix_status parse(int argc, char **argv, struct asked *a, bool *help,
                             struct mix_error *err)
{
    const char *format = NULL;
    const struct cli_option options[] = {
        {"flops-rate", 0, "RATE", "FLOP/s of a GPU, for GPU-hours (default 4e14)", CLI_NUMBER,
         &a->plan.flops_rate, 1, 1e20},
        {"slots", 0, "N",
         "runs at once, for the time it takes (default sweep.command.slots, else 1)", CLI_COUNT,
         &a->plan.slots, 1, 65536},
        {"nodes", 0, "N", "nodes, for the time it takes (default those of the largest run)",
         CLI_COUNT, &a->plan.n_nodes, 1, 10000},
        {"emit", 0, "DIR", "write a task file and a batch script for each run that the file lacks",
         CLI_TEXT, &a->folder, 0, 0},
        {"format", 0, "FORMAT", "text or json (default text)", CLI_TEXT, &format, 0, 0},
        {0},
    };
    const enum mix_status status =
        cli_parse(&cli_verb_plan, options, argc, argv, 1, 1, &a->path, help, err);
    return status == MIX_OK && !*help ? cli_parse_format(format, &a->json, err) : status;
}

static enum mix_status emit(const struct asked *a, struct plan_summary *summary,
                            struct mix_error *err)
{
    size_t n = 0;
    const enum mix_status status = cli_emit(summary->job, a->path, 0, a->folder, &n, err);
    if (status != MIX_OK)
        return status;
    fprintf(stderr, "%zu run%s in %s: %s\n", n, n == 1 ? " is" : "s are", a->folder,
            n > 0 ? "NAME.json and NAME.sbatch each" : "all are done");
    if (!a->json && n > 0)
        printf("\nnext: for script in %s/*.sbatch; do sbatch \"$script\"; done\n", a->folder);
    return MIX_OK;
}

static enum mix_status run_plan(struct mix_ranks *ranks, int argc, char **argv,
                                struct mix_error *err)
{
    struct asked asked = {.plan.flops_rate = NAN};
    struct plan_summary summary;
    bool help = false;
    (void)ranks;
    enum mix_status status = parse(argc, argv, &asked, &help, err);
    if (status != MIX_OK || help)
        return status;
    status = plan_summarise(asked.path, &asked.plan, &summary, err);
    if (status == MIX_OK && asked.json)
        status = print_json(&summary, err);
    else if (status == MIX_OK)
        print_text(&summary);
    if (status == MIX_OK && asked.folder)
        status = emit(&asked, &summary, err);
    else if (status == MIX_OK && !asked.json && summary.left.n_runs > 0)
        printf("\nnext: mpirun -n 4 mixsweep run %s\n", asked.path);
    plan_summary_free(&summary);
    return status;
}

const struct cli_verb cli_verb_plan = {
    .name = "plan",
    .summary = "say what a job would run and what it costs",
    .synopsis = "JOB.yaml [OPTIONS]",
    .details =
        "Prints the design, the runs and their FLOP, how far the mixtures reach, and what\n"
        "the design cannot answer; where the file has some of the runs, how many are left and\n"
        "what these cost. Runs nothing; writes nothing but what --emit asks for: a\n"
        "task file and a batch script for every run, to be trained elsewhere and taken in by\n"
        "`mixsweep record`, and the sweep file with no runs where it is not there.\n"
        "Distances are half the sum of |differences of shares|; n mixtures tell as much as\n"
        "n / (mean similarity) that are 0.1 apart or more, equal ones as one.\n\n"
        "  mixsweep plan jobs/quickstart.yaml\n"
        "\n"
        "Keys of the section design, which mixtures, with defaults:\n"
        "  method              dirichlet; sobol: the same spread evenly, at most 40 domains; "
        "lattice: all\n"
        "                      mixtures in steps of step, in random order; file: those of file. "
        "step or\n"
        "                      file alone say it too\n"
        "  mixtures            how many: required; lattice and file: all. The first n of a longer "
        "design\n"
        "                      are the design of n\n"
        "  strength            [0.5, 4]: Dirichlet concentration = strength x K x prior, "
        "log-uniform\n"
        "                      between the two; low is far from the prior\n"
        "  temperature         prior^(1/temperature): 1 leaves the prior, large flattens it (1)\n"
        "  minimum_share       smaller shares become 0 (0)\n"
        "  include_prior, include_uniform   come first (true; lattice and file: false)\n"
        "  corner_share        also, for each domain, a mixture in which it has this share and the "
        "others\n"
        "                      keep their proportions; 1 = one-hot (none)\n"
        "  step                shares are multiples of it (0.1)\n"
        "  file                CSV or JSON lines with a column for each domain (its name or "
        "h_NAME), or\n"
        "                      YAML, a list of {domain: share}. With columns n_params and n_tokens "
        "(as\n"
        "                      next -o and domains write them; replicate and round too) a row is "
        "one run,\n"
        "                      at that scale of the job alone\n"
        "  min_distance        between any two mixtures: half the sum of |differences| (0)\n"
        "  max_epochs          no domain with supply_tokens is repeated more often at any scale "
        "(no\n"
        "                      limit): a drawn share above its cap is drawn anew below it, prior, "
        "uniform\n"
        "                      mixture and corners are cut, mixtures of a lattice left out, of a "
        "file\n"
        "                      refused\n"
        "  match_epochs        {n_tokens: D}: proxies repeat domains as often as the run of D "
        "tokens\n"
        "                      will: at d tokens only d/D of a domain's text is used; max_epochs "
        "counts\n"
        "                      at D\n"
        "  replicates          {mixtures: 4, seeds: 3}: seeds that tell noise from mixture, of the "
        "first\n"
        "                      4 mixtures, at the smallest and the largest scale. A number: of "
        "every\n"
        "                      mixture at every scale; 1 (with a file or the evaluator table) = "
        "none\n"
        "Keys of scales, a list:\n"
        "  n_params, n_tokens  required: parameters (not where a shape is given), tokens of a run\n"
        "                      (embedded: bytes)\n"
        "  size or width, layers, heads, context   shape of an embedded proxy: 10k, 30k, 100k, "
        "300k, 1m;\n"
        "                      the same by hand\n"
        "  mixtures, replicates   only the first so many mixtures (all); seeds of each at this "
        "scale\n"
        "  checkpoints         a number: each has half the tokens of the next, the last is "
        "n_tokens; or a\n"
        "                      list of tokens (1)\n"
        "  resources           nodes (1), and on each gpus, cpus, mem; wall: how long a run may "
        "take\n",
    .ranks = false,
    .run = run_plan,
};
