/* SPDX-License-Identifier: GPL-3.0-or-later */
/* next.c - the verb next: which proxy runs to make next. */
#include "cli.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/runs.h"
#include "mixsweep/csv.h"
#include "mixsweep/job.h"
#include "mixsweep/next.h"
#include "mixsweep/share.h"

/* The command line. */
struct asked {
    const char *path, *optimum, *fit, *criterion, *output, *folder, *format;
    double n_params, n_tokens; /* of an optimum that the file does not have; NaN = it has it */
    struct cli_list scales;
    struct mix_next_options next;
    struct mix_next_scale scale[CLI_LIST_MAX];
    bool force, allocate, json;
};

/* What rank 0 has read; table, fit and draws are shared by all ranks. */
struct session {
    struct mix_store *store;
    struct mix_table *table;
    struct mix_fit *fit;
    struct mix_draws *draws;
    struct mix_optimum *optimum;
    size_t n_fits;
    struct mix_fit **fits;          /* (n_fits) all of the file */
    struct mix_law_check check;     /* of the fit's law */
    char caveats[5 * MIX_TEXT_MAX]; /* of the fit, one a line */
};

static enum mix_status parse(int argc, char **argv, struct asked *a, bool *help,
                             struct mix_error *err)
{
    const struct cli_option options[] = {
        {"flops", 0, "F", "FLOP for all proposed runs (needed)", CLI_NUMBER, &a->next.flops, 1,
         1e40},
        {"optimum", 0, "NAME",
         "the optimum to make more certain (default: the only one of the file)", CLI_TEXT,
         &a->optimum, 0, 0},
        {"params", 0, "N", "instead: the optimum at N parameters, with no constraints", CLI_NUMBER,
         &a->n_params, 1, 1e18},
        {"tokens", 0, "D", "and D tokens", CLI_NUMBER, &a->n_tokens, 1, 1e21},
        {"fit", 0, "NAME", "by this fit (default: the only one)", CLI_TEXT, &a->fit, 0, 0},
        {"batch", 0, "N", "propose at most so many runs (default 32)", CLI_COUNT, &a->next.n_runs,
         1, 64},
        {"scale", 0, "N:D",
         "parameters and tokens of possible runs, as 40M:1B; may be given again (default: the "
         "scales of the runs in the file)",
         CLI_TEXT_LIST, &a->scales, 0, 0},
        {"criterion", 0, "WHAT",
         "what to make least: regret, variance (of the difference between the draws' optima), or "
         "information (D-optimal for the parameters) (default regret)",
         CLI_TEXT, &a->criterion, 0, 0},
        {"allocate", 0, NULL,
         "how many runs at which scales, for --flops and parts of it; proposes none", CLI_FLAG,
         &a->allocate, 0, 0},
        {"worth", 0, "LOSS",
         "runs pay where the regret falls by more than this, in units of the loss (default: a "
         "tenth of the scatter of a measured mean loss)",
         CLI_NUMBER, &a->next.worth, 0, 1e6},
        {"max-epochs", 0, "E",
         "passes over a domain's supply in a run, at most (default: no limit)", CLI_NUMBER,
         &a->next.max_epochs, 1e-9, 1e9},
        {"mixtures", 0, "N", "candidate mixtures at each scale (default 64)", CLI_COUNT,
         &a->next.n_mixtures, 4, 512},
        {"seed", 0, "S", "seed of the candidates (default 1)", CLI_SEED, &a->next.seed, 0, 0},
        {"output", 'o', "FILE", "write the runs as CSV, which design: {file: FILE} of a job makes",
         CLI_TEXT, &a->output, 0, 0},
        {"emit", 0, "DIR", "write a task file and a batch script for each run, as plan --emit does",
         CLI_TEXT, &a->folder, 0, 0},
        {"force", 0, NULL, "replace the output where it exists", CLI_FLAG, &a->force, 0, 0},
        {"format", 0, "FORMAT", "text or json (default text)", CLI_TEXT, &a->format, 0, 0},
        {.name = NULL}};
    const char *words[1];
    const enum mix_status status =
        cli_parse(&cli_verb_next, options, argc, argv, 1, 1, words, help, err);
    a->path = words[0];
    return status;
}

static enum mix_status parse_scale(const char *text, struct mix_next_scale *out,
                                   struct mix_error *err)
{
    const char *colon = strchr(text, ':');
    char size[MIX_NAME_MAX];
    if (colon && colon - text < MIX_NAME_MAX) {
        snprintf(size, sizeof size, "%.*s", (int)(colon - text), text);
        if (mix_number_read(size, &out->n_params) && mix_number_read(colon + 1, &out->n_tokens) &&
            out->n_params >= 1 && out->n_tokens >= 1)
            return MIX_OK;
    }
    return mix_fail(err, MIX_EUSAGE,
                    "--scale \"%s\": not of the form N:D, parameters and tokens, as in 40e6:1e9 or "
                    "40M:1B.",
                    text);
}

/* The optimum is one of the file or one asked for by its scale. */
static enum mix_status check_optimum(const struct asked *a, struct mix_error *err)
{
    const bool here = !isnan(a->n_params) || !isnan(a->n_tokens) || a->fit;
    if (here && a->optimum)
        return mix_fail(err, MIX_EUSAGE,
                        "--optimum %s is one of the file; --fit, --params and --tokens ask for "
                        "another: give one or the other.",
                        a->optimum);
    if (here && (isnan(a->n_params) || isnan(a->n_tokens)))
        return mix_fail(err, MIX_EUSAGE,
                        "%s is missing: an optimum is asked for by --params and --tokens.",
                        isnan(a->n_params) ? "--params" : "--tokens");
    return MIX_OK;
}

static enum mix_status check(struct asked *a, struct mix_error *err)
{
    static const char *const criteria[] = {"regret", "variance", "information"};
    enum { CRITERIA = sizeof criteria / sizeof *criteria };
    if (isnan(a->next.flops))
        return mix_fail(
            err, MIX_EUSAGE,
            "--flops says what the proposed runs may cost in all, for example --flops 1e20.");
    if (a->allocate && (a->output || a->folder))
        return mix_fail(err, MIX_EUSAGE, "--allocate proposes no runs, so there is nothing for %s.",
                        a->output ? "--output" : "--emit");
    size_t c = 0;
    while (a->criterion && c < CRITERIA && strcmp(a->criterion, criteria[c]) != 0)
        c++;
    if (c == CRITERIA)
        return mix_fail(err, MIX_EUSAGE, "--criterion \"%s\": not regret, variance or information.",
                        a->criterion);
    a->next.criterion = (enum mix_next_criterion)c;
    for (size_t s = 0; s < a->scales.n; s++) {
        const enum mix_status status = parse_scale(a->scales.item[s], &a->scale[s], err);
        if (status != MIX_OK)
            return status;
    }
    const enum mix_status status = check_optimum(a, err);
    if (status != MIX_OK)
        return status;
    a->next.n_scales = a->scales.n;
    a->next.scales = a->scales.n > 0 ? a->scale : NULL;
    return cli_parse_format(a->format, &a->json, err);
}

/* One more line. */
static void add_caveat(struct session *s, const char *line)
{
    const size_t used = strlen(s->caveats);
    snprintf(s->caveats + used, sizeof s->caveats - used, "%s%s", used > 0 ? "\n" : "", line);
}

static enum mix_status read_caveats(struct session *s, struct mix_error *err)
{
    const enum mix_status status = mix_store_read_fits(s->store, &s->n_fits, &s->fits, err);
    bool has_guards = false;
    if (status != MIX_OK)
        return status;
    mix_fit_caveats(s->table, s->fit, s->n_fits, (const struct mix_fit *const *)s->fits,
                    sizeof s->caveats - 2 * (size_t)MIX_TEXT_MAX, s->caveats);
    for (size_t m = 0; m < s->optimum->n_targets; m++)
        has_guards = has_guards || s->optimum->guard[m] != 0;
    if (has_guards)
        add_caveat(s, "guards hold by the fit: draws in which the recommendation breaks one count "
                      "it as a gain, so that regrets are too low");
    return MIX_OK;
}

/* Collective: a doubt is one of the caveats. */
static enum mix_status check_law(struct mix_ranks *ranks, struct session *s, struct mix_error *err)
{
    struct cli_progress progress = {.stage = "check", .unit = "starts"};
    const enum mix_status status =
        mix_law_check(ranks, s->table, s->fit, s->n_fits, (const struct mix_fit *const *)s->fits,
                      cli_progress, &progress, &s->check, err);
    cli_progress_clear(&progress);
    if (s->check.is_doubted)
        add_caveat(s, s->check.doubt);
    return status;
}

/* An optimum of the file. */
static enum mix_status read_optimum(const struct asked *a, struct session *s, struct mix_error *err)
{
    char name[MIX_NAME_MAX] = "";
    enum mix_status status = MIX_OK;
    if (a->optimum)
        snprintf(name, sizeof name, "%s", a->optimum);
    else
        status = cli_only_result(s->store, "optimum", "optimum", "optima", name, err);
    if (status == MIX_OK && a->optimum == NULL && name[0] == '\0')
        return mix_fail(err, MIX_ENOTFOUND,
                        "%s has no optimum yet, which is what the next runs are to make more "
                        "certain: give --params and --tokens",
                        mix_store_path(s->store));
    if (status == MIX_OK)
        status = mix_store_read_optimum(s->store, name, &s->optimum, err);
    if (status == MIX_ENOTFOUND && a->optimum != NULL)
        status = cli_unknown_result(s->store, "optimum", "optimum", "optimum", a->optimum, err);
    return status;
}

/* One that is not: at a scale, with no constraints. It is not stored. */
static enum mix_status find_optimum(const struct asked *a, struct session *s, struct mix_error *err)
{
    const struct mix_optimum_options options = {.n_params = a->n_params,
                                                .n_tokens = a->n_tokens,
                                                .baseline_name = "uniform",
                                                .level = 0.9,
                                                .seed = 1,
                                                .n_starts = 32};
    return mix_optimum_run(NULL, s->table, s->fit, s->draws, &options, &s->optimum, err);
}

static enum mix_status read_file(const struct asked *a, struct session *s, struct mix_error *err)
{
    const bool is_stored = isnan(a->n_params);
    enum mix_status status = mix_store_open(a->path, MIX_STORE_READ, false, &s->store, err);
    if (status == MIX_OK)
        status = mix_store_read_table(s->store, &s->table, err);
    if (status == MIX_OK && is_stored)
        status = read_optimum(a, s, err);
    if (status == MIX_OK)
        status =
            cli_read_fit(s->store, is_stored ? s->optimum->fit : a->fit, &s->fit, &s->draws, err);
    if (status == MIX_OK && !s->draws)
        status = mix_fail(err, MIX_ENOTFOUND,
                          "%s has no bootstrap of %s, which says what is uncertain: mixsweep "
                          "bootstrap %s --fit %s --draws 1000 first",
                          a->path, s->fit->name, a->path, s->fit->name);
    if (status == MIX_OK && !is_stored)
        status = find_optimum(a, s, err);
    return status == MIX_OK ? read_caveats(s, err) : status;
}

/* Passes are over a supply that somebody told. */
static enum mix_status check_supply(const struct asked *a, const struct session *s,
                                    struct mix_error *err)
{
    bool known = isinf(a->next.max_epochs);
    for (size_t k = 0; k < s->table->n_domains; k++)
        known = known || isfinite(s->table->domains[k].supply_tokens);
    return known ? MIX_OK
                 : mix_fail(err, MIX_EUSAGE,
                            "--max-epochs: %s does not know the supply of any domain "
                            "(supply_tokens of a job).",
                            a->path);
}

/* Runs see the part of the supply that the job in the file gives them; no matter where nothing asks
 * for it. */
static enum mix_status match_epochs(struct asked *a, const struct session *s, struct mix_error *err)
{
    struct mix_job *job = NULL;
    const char *text = mix_store_job(s->store);
    if (text[0] == '\0' || (isinf(a->next.max_epochs) && !mix_law_repeats(s->fit->spec.law)))
        return MIX_OK;
    const enum mix_status status = mix_job_parse(a->path, text, &job, err);
    if (status == MIX_OK)
        a->next.match_tokens = job->match_tokens;
    mix_job_destroy(job);
    return status;
}

/* ---- what is said */

static void print_shares(char *text, size_t n_text, const struct mix_next *next, size_t run)
{
    const double *mixture = next->mixture + run * next->n_domains;
    size_t used = 0;
    for (size_t j = 0; j < next->n_domains && used < n_text; j++)
        if (mixture[j] >= 0.0005)
            used += (size_t)snprintf(text + used, n_text - used, "%s%s %.3f", used > 0 ? ", " : "",
                                     next->domains[j], mixture[j]);
}

/* "law additive checked against product, transfer: no sign that it does not hold" */
static void print_check(const struct session *s)
{
    const char *text = s->check.against;
    if (!text[0]) {
        printf("law %s could not be checked: there are neither seeds nor other laws of the same "
               "runs\n",
               s->fit->spec.law);
        return;
    }
    printf("law %s checked against ", s->fit->spec.law);
    for (; *text; text++)
        fputs(*text == '\n' ? ", " : (char[]){*text, '\0'}, stdout);
    printf(": %s\n", s->check.is_doubted ? "it does not hold" : "no sign that it does not hold");
}

/* `n_draws` 0: the regret is not theirs. */
static void print_head(const struct asked *a, const struct session *s,
                       const struct mix_estimate *before, size_t n_draws)
{
    char size[16], tokens[16];
    printf("%s: optimum %s of fit %s, %s parameters on %s tokens\n", a->path, s->optimum->name,
           s->fit->name, cli_size(s->optimum->n_params, size),
           cli_size(s->optimum->n_tokens, tokens));
    printf("expected regret of the recommendation now: %.2g ± %.1g (%s, ", before->value,
           before->se, mix_optimum_objective_text(s->optimum));
    if (n_draws > 0)
        printf("over %zu draws)\n", n_draws);
    else
        printf("of simulated runs)\n");
    print_check(s);
    cli_print_warnings(stdout, s->caveats);
    putchar('\n');
}

static const char CAVEAT[] =
    "(as far as the law holds; its draws know nothing of errors of its form)\n";

static void print_few_draws(bool few, size_t n)
{
    if (few)
        printf("%zu draws are few for so many runs, whose order may be chance: bootstrap --draws "
               "%zu makes more\n",
               n, 4 * n);
}

static const char *const answers[] = {
    [MIX_ADVICE_UNSURE] = "whether more proxy runs pay cannot be told",
    [MIX_ADVICE_STOP] = "more proxy runs do not pay",
    [MIX_ADVICE_GO_ON] = "more proxy runs pay",
};

static void print_text(const struct asked *a, const struct session *s, const struct mix_next *next)
{
    char size[16], tokens[16], shares[MIX_DOMAINS_MAX * (MIX_NAME_MAX + 9)];
    print_head(a, s, &next->before, next->n_draws);
    if (next->n_runs > 0) {
        struct cli_table *table = cli_table_create(6);
        static const char *const heads[] = {"run",  "size",         "tokens",
                                            "FLOP", "regret after", "mixture"};
        for (size_t h = 0; h < 6; h++)
            cli_table_cell(table, "%s", heads[h]);
        for (size_t i = 0; i < next->n_runs; i++) {
            const struct mix_next_run *run = &next->runs[i];
            cli_table_cell(table, "%zu", i + 1);
            cli_table_cell(table, "%s", cli_size(run->n_params, size));
            cli_table_cell(table, "%s", cli_size(run->n_tokens, tokens));
            cli_table_cell(table, "%.3g", run->flops);
            cli_table_cell(table, "%.2g ± %.1g", run->regret.value, run->regret.se);
            cli_table_cell(table, "%s", run->n_seen > 0 ? "another seed" : "new");
        }
        cli_table_print(table, stdout, "  ");
        cli_table_destroy(table);
        for (size_t i = 0; i < next->n_runs; i++) {
            print_shares(shares, sizeof shares, next, i);
            printf("  %zu: %s\n", i + 1, shares);
        }
        printf("\nall %zu: %.3g FLOP, regret lower by %.2g ± %.1g\n", next->n_runs, next->flops,
               next->reduction.value, next->reduction.se);
    }
    if (next->n_runs == a->next.n_runs && next->flops < a->next.flops / 2)
        printf("%.0f%% of the budget is left: a larger --batch would use it\n",
               100 - 100 * next->flops / a->next.flops);
    print_few_draws(next->few_draws, next->n_draws);
    printf("%s: %s\n", answers[next->advice], next->reason);
    printf("%s", CAVEAT);
}

static json_t *json_estimate(struct mix_estimate estimate)
{
    return json_pack("{s:o, s:o}", "value", cli_json_number(estimate.value), "se",
                     cli_json_number(estimate.se));
}

static enum mix_status print_json(const struct asked *a, const struct session *s,
                                  const struct mix_next *next, struct mix_error *err)
{
    json_t *runs = json_array();
    for (size_t i = 0; i < next->n_runs; i++) {
        const struct mix_next_run *run = &next->runs[i];
        json_t *mixture = json_object();
        for (size_t j = 0; j < next->n_domains; j++)
            json_object_set_new(mixture, next->domains[j],
                                json_real(next->mixture[i * next->n_domains + j]));
        json_array_append_new(
            runs, json_pack("{s:f, s:f, s:f, s:I, s:o, s:o}", "n_params", run->n_params, "n_tokens",
                            run->n_tokens, "flops", run->flops, "n_seen", (json_int_t)run->n_seen,
                            "regret", json_estimate(run->regret), "mixture", mixture));
    }
    json_t *root = json_pack(
        "{s:s, s:s, s:f, s:f, s:I, s:b, s:I, s:o, s:o, s:o, s:f, s:b, s:b, s:f, s:s, s:s, s:f, "
        "s:b, s:o, s:o, s:o}",
        "optimum", s->optimum->name, "fit", s->fit->name, "n_params", s->optimum->n_params,
        "n_tokens", s->optimum->n_tokens, "n_draws", (json_int_t)next->n_draws, "few_draws",
        next->few_draws, "n_candidates", (json_int_t)next->n_candidates, "regret",
        json_estimate(next->before), "regret_after", json_estimate(next->after), "reduction",
        json_estimate(next->reduction), "flops", next->flops, "pays", next->pays, "sure",
        next->is_sure, "chance", next->chance, "advice", mix_advices[next->advice], "reason",
        next->reason, "worth", next->worth, "is_doubted", s->check.is_doubted, "checked_against",
        cli_json_lines(s->check.against), "warnings", cli_json_lines(s->caveats), "runs", runs);
    if (!root)
        return mix_fail(err, MIX_EINVAL, "%s: a name in the file is not UTF-8.", a->path);
    json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(17)); /* checked at exit */
    putchar('\n');
    json_decref(root);
    return MIX_OK;
}

/* The number of the round that these runs are of. */
static int next_round(const struct mix_table *table)
{
    int last = 0;
    for (size_t r = 0; r < table->n_rows; r++)
        last = table->runs[r].round > last ? table->runs[r].round : last;
    return last + 1;
}

/* Task files, by the job in the file where it has one: resources, labels and seeds are its. The
 * runs are added to the table, which nothing else needs any more. */
static enum mix_status emit(const struct asked *a, struct session *s, const struct mix_next *next,
                            struct mix_error *err)
{
    const char *text = mix_store_job(s->store);
    const int round = next_round(s->table);
    struct mix_job *job = NULL;
    size_t n_written = 0;
    enum mix_status status = text[0] ? mix_job_parse(a->path, text, &job, err)
                                     : mix_job_of_table(s->table, a->path, &job, err);
    if (status == MIX_OK)
        snprintf(job->file, sizeof job->file, "%s", a->path);
    for (size_t i = 0; i < next->n_runs && status == MIX_OK; i++) {
        size_t scale = 0;
        status =
            mix_job_add_scale(job, next->runs[i].n_params, next->runs[i].n_tokens, &scale, err);
        if (status == MIX_OK)
            status = mix_job_choose(job, s->table, scale, next->mixture + i * next->n_domains,
                                    round, err);
    }
    if (status == MIX_OK)
        status = mix_job_take_chosen(job, s->table, err);
    if (status == MIX_OK)
        status = cli_emit(job, NULL, round, a->folder, &n_written, err);
    if (status == MIX_OK)
        fprintf(stderr, "%zu run%s in %s: NAME.json and NAME.sbatch each\n", n_written,
                n_written == 1 ? " is" : "s are", a->folder);
    mix_job_destroy(job);
    return status;
}

static bool same_mixture(size_t k, const double *a, const double *b)
{
    for (size_t j = 0; j < k; j++)
        if (!(fabs(a[j] - b[j]) <= 1e-9))
            return false;
    return true;
}

/* Which seed of its mixture and scale a proposed run is, the first being 1. Runs that are in no
 * fit, failed ones say, have seeds too. */
static size_t replicate_of(const struct mix_table *table, const struct mix_next *next, size_t run)
{
    const size_t k = next->n_domains;
    const struct mix_next_run *is = &next->runs[run];
    size_t n = 1;
    for (size_t r = 0; r < table->n_rows; r++)
        n += table->runs[r].n_params == is->n_params && table->runs[r].n_tokens == is->n_tokens &&
             same_mixture(k, table->mixture + r * k, next->mixture + run * k);
    for (size_t i = 0; i < run; i++)
        n += next->runs[i].n_params == is->n_params && next->runs[i].n_tokens == is->n_tokens &&
             memcmp(next->mixture + i * k, next->mixture + run * k, k * sizeof(double)) == 0;
    return n;
}

static enum mix_status write_csv(const struct asked *a, const struct session *s,
                                 const struct mix_next *next, struct mix_error *err)
{
    struct cli_output output;
    enum mix_status status = cli_output_open(&output, a->output, a->force, 1, &a->path, err);
    if (status != MIX_OK)
        return status;
    fprintf(output.file, "n_params,n_tokens,round,replicate");
    for (size_t j = 0; j < next->n_domains; j++)
        fprintf(output.file, ",h_%s", next->domains[j]);
    for (size_t i = 0; i < next->n_runs; i++) {
        fprintf(output.file, "\n%.17g,%.17g,%d,%zu", next->runs[i].n_params, next->runs[i].n_tokens,
                next_round(s->table), replicate_of(s->table, next, i));
        for (size_t j = 0; j < next->n_domains; j++) {
            fputc(',', output.file);
            mix_csv_put_number(output.file, next->mixture[i * next->n_domains + j]);
        }
    }
    fputc('\n', output.file);
    status = cli_output_close(&output, MIX_OK, err);
    if (status == MIX_OK)
        fprintf(stderr,
                "%zu run%s in %s: a job with their scales and design: {file: %s} makes them\n",
                next->n_runs, next->n_runs == 1 ? " is" : "s are", a->output, a->output);
    return status;
}

/* ---- the verb */

static enum mix_status print_allocation(const struct asked *a, const struct session *s,
                                        const struct mix_allocation *allocation,
                                        struct mix_error *err)
{
    if (!a->json) {
        print_head(a, s, &allocation->before, 0);
        cli_print_allocation(stdout, allocation);
        print_few_draws(allocation->few_draws, allocation->n_draws);
        printf("%s", CAVEAT);
        return MIX_OK;
    }
    json_t *root = json_pack(
        "{s:s, s:s, s:f, s:f, s:I, s:b, s:o, s:b, s:o, s:o, s:o}", "optimum", s->optimum->name,
        "fit", s->fit->name, "n_params", s->optimum->n_params, "n_tokens", s->optimum->n_tokens,
        "n_draws", (json_int_t)allocation->n_draws, "few_draws", allocation->few_draws, "regret",
        json_estimate(allocation->before), "is_doubted", s->check.is_doubted, "checked_against",
        cli_json_lines(s->check.against), "warnings", cli_json_lines(s->caveats), "budgets",
        cli_json_allocation(allocation));
    if (!root)
        return mix_fail(err, MIX_EINVAL, "%s: a name in the file is not UTF-8.", a->path);
    json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(17)); /* checked at exit */
    putchar('\n');
    json_decref(root);
    return MIX_OK;
}

static enum mix_status allocate(struct mix_ranks *ranks, const struct asked *a,
                                const struct session *s, struct mix_error *err)
{
    struct mix_allocation *allocation = NULL;
    struct cli_progress progress = {.stage = "next", .unit = "draws"};
    enum mix_status status = mix_next_allocate(ranks, s->table, s->fit, s->draws, s->optimum,
                                               &a->next, cli_progress, &progress, &allocation, err);
    cli_progress_clear(&progress);
    if (status == MIX_OK && allocation)
        status = print_allocation(a, s, allocation, err);
    free(allocation);
    return mix_ranks_agree(ranks, status, err);
}

static enum mix_status propose(struct mix_ranks *ranks, const struct asked *a, struct session *s,
                               struct mix_error *err)
{
    const bool is_first = mix_ranks_rank(ranks) == 0;
    struct mix_next *next = NULL;
    struct cli_progress progress = {.stage = "next", .unit = "draws"};
    enum mix_status status = mix_next_propose(ranks, s->table, s->fit, s->draws, s->optimum,
                                              &a->next, cli_progress, &progress, &next, err);
    cli_progress_clear(&progress);
    if (status == MIX_OK && is_first && a->output)
        status = write_csv(a, s, next, err);
    if (status == MIX_OK && is_first && a->folder)
        status = emit(a, s, next, err);
    if (status == MIX_OK && is_first && a->json)
        status = print_json(a, s, next, err);
    else if (status == MIX_OK && is_first)
        print_text(a, s, next);
    mix_next_destroy(next);
    return mix_ranks_agree(ranks, status, err);
}

static enum mix_status answer(struct mix_ranks *ranks, struct asked *a, struct session *s,
                              struct mix_error *err)
{
    const bool is_first = mix_ranks_rank(ranks) == 0;
    enum mix_status status = is_first ? read_file(a, s, err) : MIX_OK;
    if (status == MIX_OK && is_first)
        status = check_supply(a, s, err);
    if (status == MIX_OK && is_first)
        status = match_epochs(a, s, err);
    status = mix_ranks_agree(ranks, status, err);
    if (status == MIX_OK)
        status = mix_share_table(ranks, &s->table, err);
    if (status == MIX_OK)
        status = mix_share_fit(ranks, &s->fit, err);
    if (status == MIX_OK)
        status = mix_share_draws(ranks, &s->draws, err);
    if (status == MIX_OK)
        status = check_law(ranks, s, err);
    if (status != MIX_OK)
        return status;
    a->next.is_doubted = s->check.is_doubted;
    return a->allocate ? allocate(ranks, a, s, err) : propose(ranks, a, s, err);
}

static enum mix_status run_next(struct mix_ranks *ranks, int argc, char **argv,
                                struct mix_error *err)
{
    struct asked asked = {.next = mix_next_defaults()};
    struct session session = {0};
    bool help = false;
    asked.next.flops = asked.n_params = asked.n_tokens = NAN;
    enum mix_status status = parse(argc, argv, &asked, &help, err);
    if (status == MIX_OK && !help)
        status = check(&asked, err);
    if (status != MIX_OK || help)
        return status;
    status = answer(ranks, &asked, &session, err);
    mix_store_close(session.store);
    mix_table_destroy(session.table);
    mix_fit_destroy(session.fit);
    mix_fits_destroy(session.n_fits, session.fits);
    mix_draws_destroy(session.draws);
    mix_optimum_destroy(session.optimum);
    return status;
}

const struct cli_verb cli_verb_next = {
    .name = "next",
    .summary = "propose the proxy runs that make an optimum most certain",
    .synopsis = "S.h5 --flops F [--optimum NAME | --params N --tokens D] [OPTIONS]",
    .details =
        "The bootstrap draws say what is uncertain about an optimum: each has its own, and the\n"
        "recommendation loses something against it, its regret. Proposes the runs (mixture, size,\n"
        "tokens) within the budget after which the expected regret is least, new mixtures or\n"
        "further seeds, at small scales or large ones, and says when more runs no longer pay.\n"
        "Where the runs show that the law does not hold (they are farther from it than seeds from\n"
        "each other, or another law leaves half the squared residual: the fits in the file, and\n"
        "two of product, transfer, demand, which it fits where the file lacks them), it says so,\n"
        "lets the scales take turns and keeps away from the edges.\n"
        "The optimum is one of the file, with its constraints, or the one at --params, --tokens.\n"
        "A run costs what those of its scale did on average (column flops of the runs, which is\n"
        "6 x parameters x tokens where nobody measured); at a --scale that none had, just that.\n"
        "--emit writes what `plan --emit` writes, for any cluster; `record` takes the results,\n"
        "and the runs stay marked by their round. --allocate compares ways to spend the budget.\n"
        "Runs under mpirun too.\n\n"
        "  mixsweep next sweep.h5 --flops 1e20 --batch 8 --emit tasks\n"
        "  mixsweep next sweep.h5 --flops 1e21 --allocate --scale 40e6:1e9 --scale 300e6:6e9\n",
    .ranks = true,
    .run = run_next,
};
