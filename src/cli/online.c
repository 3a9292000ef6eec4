/* SPDX-License-Identifier: GPL-3.0-or-later */
/* online.c - the verb online: methods of online mixing against the stratified mixture. */
#include "mixsweep/online.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "campaign.h"
#include "mixsweep/version.h"

struct request {
    const char *path, *format;
    bool json;
    struct cli_campaign of;
    size_t n_before;
    double started_s;
};

/* ---- the run */

static enum mix_status open_file(struct request *request, struct mix_error *err)
{
    enum mix_status status = mix_campaign_plan(request->of.job, &request->of.online, err);
    if (status == MIX_OK)
        status = cli_campaign_open(&request->of, err);
    if (status == MIX_OK)
        status = cli_campaign_recall_online(&request->of, "campaign", "online.name",
                                            &request->n_before, err);
    return status;
}

static enum mix_status run_campaign(struct mix_ranks *ranks, struct request *request,
                                    struct mix_error *err)
{
    struct mix_campaign_options options;
    char *log_dir = NULL;
    enum mix_status status = cli_campaign_options(ranks, &request->of, &options, &log_dir, err);
    if (status == MIX_OK)
        status = mix_campaign_run(ranks, request->of.job, request->of.online, &options, err);
    if (mix_ranks_rank(ranks) == 0)
        status = cli_campaign_keep(&request->of, status, err);
    free(log_dir);
    return mix_ranks_agree(ranks, status, err);
}

/* ---- what is printed */

static void print_trainer(FILE *out, const struct mix_job_online *online)
{
    const struct mix_trainer_options *o = &online->options;
    switch (online->trainer) {
    case MIX_ONLINE_EMBEDDED:
        fprintf(out, "embedded, width %zu, %zu layers, context %zu, batch %zu", o->shape.width,
                o->shape.n_layers, o->shape.context, o->batch);
        break;
    case MIX_ONLINE_SIMULATE:
        fprintf(out, "simulate (a known world, not a training)");
        break;
    case MIX_ONLINE_COMMAND:
        fprintf(out, "command %s", online->argv[0]);
        break;
    }
}

static void print_opening(const struct mix_ranks *ranks, const struct request *request, FILE *out)
{
    const struct mix_job *job = request->of.job;
    const struct mix_job_online *online = &job->online;
    const int n_ranks = mix_ranks_count(ranks), n_nodes = mix_ranks_nodes(ranks);
    fprintf(out, "mixsweep %s · job %s · %d rank%s on %d node%s · file %s\n", MIX_VERSION,
            job->name, n_ranks, n_ranks == 1 ? "" : "s", n_nodes, n_nodes == 1 ? "" : "s",
            job->file);
    fprintf(out, "trainer    ");
    print_trainer(out, online);
    fprintf(out, "; S = %llu steps, %zu seeds\n", (unsigned long long)online->n_steps,
            online->n_seeds);
    for (size_t s = 0; s < online->n_settings; s++) {
        const size_t m = online->settings[s].n_groups;
        bool is_new = true;
        for (size_t t = 0; t < s; t++)
            is_new = is_new && online->settings[t].n_groups != m;
        if (!is_new)
            continue;
        const struct mix_method_options o = mix_campaign_method_options(job, m);
        fprintf(out,
                "options    %zu groups: aioli rounds %zu, interval %zu, sweeps %zu, smoothing %g, "
                "eta %.3g; skillit eta %g, updates %zu; static runs %zu\n",
                m, o.n_rounds, o.interval, o.n_sweeps, o.smoothing, o.eta, o.skillit_eta,
                o.skillit_updates, o.n_static);
    }
    fflush(out);
}

/* "aioli", "grid (S/2)", "aioli after grid (S/2)". */
static void name_entry(const struct mix_online_entry *entry, char name[MIX_NAME_MAX])
{
    snprintf(name, MIX_NAME_MAX, "%s%s%s%s", entry->method,
             entry->after[0] != '\0' ? " after " : "", entry->after,
             entry->restricted ? " (S/2)" : "");
}

static void put_difference(struct cli_table *table, const struct mix_online_score *score,
                           enum mix_online_metric metric, double unit)
{
    if (score->n_seeds == 0)
        cli_table_cell(table, "-");
    else if (isnan(score->se[metric]))
        cli_table_cell(table, "%+.1f", score->difference[metric] / unit);
    else
        cli_table_cell(table, "%+.1f ± %.1f", score->difference[metric] / unit,
                       score->se[metric] / unit);
}

/* By setting, in thousandths of a nat. */
static void print_by_setting(FILE *out, const struct mix_job *job,
                             const struct mix_online_summary *summary)
{
    const size_t n_settings = summary->n_settings;
    struct cli_table *table = cli_table_create(n_settings + 1);
    char name[MIX_NAME_MAX];
    for (size_t s = 0; s < n_settings; s++)
        fprintf(out, "  %zu  %s: stratified %.4f\n", s + 1, job->online.settings[s].name,
                summary->scores[s].value[MIX_METRIC_LOSS]);
    fprintf(out,
            "\n  mean test loss minus that of stratified, 1e-3 nats, paired by seed (± standard "
            "error); below 0: better\n");
    cli_table_cell(table, "setting");
    for (size_t s = 0; s < n_settings; s++)
        cli_table_cell(table, "%zu", s + 1);
    for (size_t e = 1; e < summary->n_entries; e++) {
        name_entry(&summary->entries[e], name);
        cli_table_cell(table, "%s", name);
        for (size_t s = 0; s < n_settings; s++)
            put_difference(table, &summary->scores[e * n_settings + s], MIX_METRIC_LOSS, 1e-3);
    }
    cli_table_print(table, out, "  ");
    cli_table_destroy(table);
}

/* A simulated training takes no time to compare with. */
static void print_totals(FILE *out, bool is_simulated, const struct mix_online_summary *summary)
{
    static const char *const heads[] = {"over settings", "mean loss",   "mean exp",
                                        "exp mean",      "better",      "clearly",
                                        "extra runs",    "evaluations", "mixer time"};
    enum { COLUMNS = sizeof heads / sizeof heads[0] };
    struct cli_table *table = cli_table_create(COLUMNS);
    char name[MIX_NAME_MAX];
    for (int c = 0; c < COLUMNS; c++)
        cli_table_cell(table, "%s", heads[c]);
    for (size_t e = 1; e < summary->n_entries; e++) {
        const struct mix_online_score *total = &summary->total[e];
        name_entry(&summary->entries[e], name);
        cli_table_cell(table, "%s", name);
        for (int t = 0; t < MIX_METRICS; t++)
            put_difference(table, total, (enum mix_online_metric)t, 1e-3);
        cli_table_cell(table, "%zu of %zu", summary->n_better[e], summary->n_measured[e]);
        cli_table_cell(table, "%zu", summary->n_clear[e]);
        cli_table_cell(table, "%.2f", total->extra_runs);
        cli_table_cell(table, "%.0f", total->n_evaluations);
        if (is_simulated)
            cli_table_cell(table, "-");
        else
            cli_table_cell(table, "%.3f%%", 100 * total->mixer_share);
    }
    fputc('\n', out);
    cli_table_print(table, out, "  ");
    cli_table_destroy(table);
    fprintf(out, "  (differences in 1e-3; clearly: by more than two standard errors; extra runs in "
                 "units of S; (S/2): learnt with half a run)\n");
    if (summary->n_pairs > 0)
        fprintf(out,
                "  restricted: Aioli after a method is better than the method alone in %zu of %zu "
                "pairs; mean change %+.1f\n",
                summary->n_pairs_better, summary->n_pairs, summary->pair_change / 1e-3);
}

static void put_figure(struct cli_table *table, const struct mix_online_figure *figure)
{
    if (figure->n == 0)
        cli_table_cell(table, "-");
    else if (isnan(figure->se))
        cli_table_cell(table, "%.2f", figure->mean);
    else
        cli_table_cell(table, "%.2f ± %.2f", figure->mean, figure->se);
}

/* Similarity by setting; over all settings also how well the laws hold. */
static void print_laws(FILE *out, const struct mix_online_summary *summary)
{
    const size_t n_settings = summary->n_settings;
    struct cli_table *table = cli_table_create(n_settings + 4);
    fprintf(out, "\n  analysis: how near a method's A comes to the optimal one (1: the same), by "
                 "setting and over all,\n  and R2 of the linear law with the optimal A and with "
                 "the method's\n");
    cli_table_cell(table, "setting");
    for (size_t s = 0; s < n_settings; s++)
        cli_table_cell(table, "%zu", s + 1);
    cli_table_cell(table, "all");
    cli_table_cell(table, "R2 optimal");
    cli_table_cell(table, "R2 own");
    for (size_t e = 1; e < summary->n_entries; e++) {
        const struct mix_online_law *total = &summary->total_laws[e];
        if (total->law_r2.n == 0)
            continue;
        cli_table_cell(table, "%s", summary->entries[e].method);
        for (size_t s = 0; s < n_settings; s++)
            put_figure(table, &summary->laws[e * n_settings + s].similarity);
        put_figure(table, &total->similarity);
        put_figure(table, &total->law_r2);
        put_figure(table, &total->own_r2);
    }
    cli_table_print(table, out, "  ");
    cli_table_destroy(table);
    if (summary->total_laws[0].law_r2.n > 0)
        fprintf(out,
                "  R2 of the log-linear law over static runs: %.3f (means over %zu runs of %s)\n",
                summary->total_laws[0].law_r2.mean, summary->total_laws[0].law_r2.n,
                "setting and seed");
}

static void print_result(const struct request *request, const struct mix_online_summary *summary)
{
    char duration[16];
    size_t n_diverged = 0;
    for (size_t i = 0; i < request->of.online->n_runs; i++)
        n_diverged += request->of.online->runs[i].diverged != 0;
    printf("online     %zu runs, %zu of them from before, %zu diverged    %s\n\n",
           request->of.online->n_runs, request->n_before, n_diverged,
           cli_duration(cli_now_s() - request->started_s, duration));
    print_by_setting(stdout, request->of.job, summary);
    print_totals(stdout, request->of.job->online.trainer == MIX_ONLINE_SIMULATE, summary);
    if (summary->has_laws)
        print_laws(stdout, summary);
    printf("\nnext: mixsweep export %s online -o online.csv\n", request->of.job->file);
}

static json_t *json_metrics(const struct mix_online_score *score)
{
    json_t *root = json_pack("{s:I}", "n_seeds", (json_int_t)score->n_seeds);
    for (int t = 0; t < MIX_METRICS; t++)
        json_object_set_new(root, mix_metric_names[t],
                            json_pack("{s:o, s:o, s:o}", "value", cli_json_number(score->value[t]),
                                      "difference", cli_json_number(score->difference[t]), "se",
                                      cli_json_number(score->se[t])));
    json_object_set_new(root, "extra_runs", cli_json_number(score->extra_runs));
    json_object_set_new(root, "evaluations", cli_json_number(score->n_evaluations));
    json_object_set_new(root, "mixer_share", cli_json_number(score->mixer_share));
    return root;
}

static json_t *json_figure(const struct mix_online_figure *figure)
{
    return json_pack("{s:I, s:o, s:o}", "n", (json_int_t)figure->n, "mean",
                     cli_json_number(figure->mean), "se", cli_json_number(figure->se));
}

/* {"linear_r2": ..., "own_r2": ..., "similarity": ...} or null. */
static json_t *json_law(const struct mix_online_law *law)
{
    if (law->law_r2.n == 0)
        return json_null();
    return json_pack("{s:o, s:o, s:o}", "linear_r2", json_figure(&law->law_r2), "own_r2",
                     json_figure(&law->own_r2), "similarity", json_figure(&law->similarity));
}

static json_t *json_entry(const struct mix_job *job, const struct mix_online_summary *summary,
                          size_t e)
{
    const struct mix_online_entry *entry = &summary->entries[e];
    json_t *settings = json_object(), *laws = json_object();
    for (size_t s = 0; s < summary->n_settings; s++) {
        const size_t at = e * summary->n_settings + s;
        const char *name = job->online.settings[s].name;
        json_object_set_new(settings, name, json_metrics(&summary->scores[at]));
        if (e > 0 && summary->laws[at].law_r2.n > 0)
            json_object_set_new(laws, name, json_law(&summary->laws[at]));
    }
    return json_pack("{s:s, s:o, s:b, s:I, s:I, s:I, s:o, s:o, s:o}", "method", entry->method,
                     "after", entry->after[0] != '\0' ? json_string(entry->after) : json_null(),
                     "restricted", entry->restricted, "n_better", (json_int_t)summary->n_better[e],
                     "n_clearly_better", (json_int_t)summary->n_clear[e], "n_settings",
                     (json_int_t)summary->n_measured[e], "mean", json_metrics(&summary->total[e]),
                     "settings", settings, "analysis", laws);
}

static json_t *json_options(const struct mix_job *job, size_t m)
{
    const struct mix_method_options o = mix_campaign_method_options(job, m);
    return json_pack("{s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:I, s:I, s:f, s:f, s:f, s:f, s:I, s:I}",
                     "rounds", (json_int_t)o.n_rounds, "interval", (json_int_t)o.interval, "sweeps",
                     (json_int_t)o.n_sweeps, "smoothing", o.smoothing, "eta", o.eta, "ema", o.ema,
                     "skillit_eta", o.skillit_eta, "skillit_window", (json_int_t)o.skillit_window,
                     "skillit_updates", (json_int_t)o.skillit_updates, "doremi_rate", o.doremi_rate,
                     "doremi_smoothing", o.doremi_smoothing, "doge_mu", o.doge_mu, "doge_smoothing",
                     o.doge_smoothing, "proxy_every", (json_int_t)o.proxy_every, "static_runs",
                     (json_int_t)o.n_static);
}

static json_t *json_settings(const struct mix_job *job)
{
    json_t *settings = json_array();
    for (size_t s = 0; s < job->online.n_settings; s++) {
        const struct mix_job_setting *setting = &job->online.settings[s];
        json_t *groups = json_array();
        for (size_t i = 0; i < setting->n_groups; i++)
            json_array_append_new(groups, json_string(job->domains[setting->domain[i]].name));
        json_array_append_new(settings,
                              json_pack("{s:s, s:o, s:o}", "name", setting->name, "groups", groups,
                                        "options", json_options(job, setting->n_groups)));
    }
    return settings;
}

static json_t *json_pairs(const struct mix_online_summary *summary)
{
    if (summary->n_pairs == 0)
        return json_null();
    return json_pack("{s:I, s:I, s:o}", "n", (json_int_t)summary->n_pairs, "n_better",
                     (json_int_t)summary->n_pairs_better, "mean_change",
                     cli_json_number(summary->pair_change));
}

static enum mix_status print_json(const struct request *request,
                                  const struct mix_online_summary *summary, struct mix_error *err)
{
    const struct mix_job *job = request->of.job;
    json_t *methods = json_array();
    for (size_t e = 0; e < summary->n_entries; e++)
        json_array_append_new(methods, json_entry(job, summary, e));
    json_t *root = json_pack(
        "{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "job", job->name,
        "file", job->file, "name", job->online.name, "trainer", request->of.online->trainer,
        "n_steps", (json_int_t)job->online.n_steps, "n_seeds", (json_int_t)job->online.n_seeds,
        "n_runs", (json_int_t)request->of.online->n_runs, "resumed", (json_int_t)request->n_before,
        "wall_s", cli_json_number(cli_now_s() - request->started_s), "settings", json_settings(job),
        "methods", methods, "restricted_pairs", json_pairs(summary), "loglinear_r2",
        json_figure(&summary->total_laws[0].law_r2));
    const bool failed = root == NULL || json_dumpf(root, stdout, JSON_INDENT(2)) != 0;
    putchar('\n');
    json_decref(root);
    return failed ? mix_fail(err, MIX_EIO, "the result could not be printed as JSON.") : MIX_OK;
}

static enum mix_status print_end(const struct request *request, struct mix_error *err)
{
    struct mix_online_summary *summary = NULL;
    enum mix_status status =
        mix_online_summarise(request->of.job, request->of.online, &summary, err);
    if (status == MIX_OK && request->json)
        status = print_json(request, summary, err);
    else if (status == MIX_OK)
        print_result(request, summary);
    mix_online_summary_destroy(summary);
    return status;
}

/* ---- the verb */

static enum mix_status run(struct mix_ranks *ranks, struct request *request, struct mix_error *err)
{
    const bool is_root = mix_ranks_rank(ranks) == 0;
    enum mix_status status = cli_read_job(ranks, request->path, "online", &request->of.job, err);
    if (status != MIX_OK)
        return status;
    if (is_root)
        status = open_file(request, err);
    status = mix_ranks_agree(ranks, status, err);
    if (status != MIX_OK)
        return status;
    if (is_root)
        print_opening(ranks, request, request->json ? stderr : stdout);
    status = run_campaign(ranks, request, err);
    if (status == MIX_OK && is_root)
        status = print_end(request, err);
    return mix_ranks_agree(ranks, status, err);
}

/* The table of methods, into the help. */
static void print_methods(void)
{
    enum { LEFT = 14 };
    char text[MIX_TEXT_MAX];
    printf("\nMethods, each a mixing law, a way to estimate its A, and one to update p (arXiv "
           "2411.05735):\n\n");
    printf("  %-*s  law; A from; update of p\n", LEFT, "method");
    for (size_t i = 0; mix_method_get(i) != NULL; i++) {
        const struct mix_method *method = mix_method_get(i);
        if (strcmp(method->name, "agent") == 0) /* of the verb agent */
            continue;
        printf("  %-*s  ", LEFT, method->name);
        snprintf(text, sizeof text, "%s; %s; %s", method->law, method->estimate, method->update);
        cli_print_wrapped(text, LEFT + 4);
    }
}

static enum mix_status verb_online(struct mix_ranks *ranks, int argc, char **argv,
                                   struct mix_error *err)
{
    struct request request = {.of.stop_before_s = 60, .started_s = cli_now_s()};
    const struct cli_option options[] = {
        {"stop-before", 0, "TIME",
         "stop so long before the end of Slurm's wall time: 300s, 5m, none (default 60s)", CLI_TEXT,
         &request.of.margin, 0, 0},
        {"replace", 0, NULL, "drop runs of that name that were made with other options", CLI_FLAG,
         &request.of.replace, 0, 0},
        {"format", 0, "FORMAT", "of the result on stdout: text or json (default text)", CLI_TEXT,
         &request.format, 0, 0},
        {"break-lock", 0, NULL, "take the file from a process that seems to be alive", CLI_FLAG,
         &request.of.break_lock, 0, 0},
        {0}};
    bool help = false;
    enum mix_status status =
        cli_parse(&cli_verb_online, options, argc, argv, 1, 1, &request.path, &help, err);
    if (status == MIX_OK && help && mix_ranks_rank(ranks) == 0)
        print_methods();
    if (status != MIX_OK || help)
        return status;
    status = cli_parse_format(request.format, &request.json, err);
    if (status == MIX_OK)
        status = cli_parse_margin(request.of.margin, &request.of.stop_before_s, err);
    if (status == MIX_OK)
        status = run(ranks, &request, err);
    cli_campaign_close(&request.of);
    return status;
}

const struct cli_verb cli_verb_online = {
    .name = "online",
    .summary = "compare online mixers (Aioli and its kin) with the stratified mixture",
    .synopsis = "JOB.yaml [OPTIONS]",
    .details =
        "Trains under every method of the section online, in every setting, with every seed; all\n"
        "trainings are tasks over the ranks and go into /online of the job's file. Equal seeds "
        "have\n"
        "the same model at the start and the same order of the text. After an interruption the "
        "same\n"
        "command resumes.\n\n"
        "  mpirun -n 2 mixsweep online jobs/online.yaml\n"
        "\n"
        "Keys of the section online, with defaults; S is the length of a run, m groups a setting. "
        "A\n"
        "job for this verb alone needs no design and, unless the trainer is embedded, neither "
        "scales\n"
        "nor sweep; the embedded trainer has the shape of the first scale and sweep.embedded's "
        "options.\n"
        "\n"
        "  name                of the result, /online/NAME (the job's)\n"
        "  methods             [stratified, grid, dml, skillit, doremi, doge, aioli]; stratified "
        "is\n"
        "                      always there\n"
        "  settings            lists of domains that are mixed with one another (all in one)\n"
        "  seeds               5: of model, data order and method, the same for all\n"
        "  steps               S (embedded: n_tokens / (batch x context))\n"
        "  trainer             embedded, simulate or command\n"
        "  validation_bytes, test_bytes, test_share   embedded: evaluated of each domain while "
        "training\n"
        "                      (8192) and at the end (65536); part of the documents kept for that "
        "(0.1)\n"
        "  restricted          false: also with S/2 extra steps, alone and before Aioli\n"
        "  analysis            false: also how near every method's A is to the optimal one\n"
        "  options:\n"
        "    rounds, interval, sweeps   aioli: T (10; 20 where S is 4000 or more), steps on a "
        "perturbed\n"
        "                      mixture (at most 6), how often each comes in a round (1 to 4); by "
        "default\n"
        "                      at most 0.3 of a round\n"
        "    smoothing, eta, ema   aioli: 0.75, perturbed mixture j is (1 - e) on j and e evenly; "
        "rate\n"
        "                      (2/T); share of the past in A of aioli-ema (0.1)\n"
        "    skillit_eta, skillit_window, skillit_updates   rate (0.2), evaluations looked back on "
        "(3),\n"
        "                      updates (10)\n"
        "    doremi_rate, doremi_smoothing   max(0.01, 50/S), 1e-3\n"
        "    doge_mu, doge_smoothing   0.01 (0.1 with 4 groups or more), 0\n"
        "    proxy_every       steps from update to update of these proxies (1)\n"
        "    static_runs       mixtures of the sweep of grid and dml (9; with 7 groups or more m + "
        "3);\n"
        "                      dml needs m + 1\n"
        "  simulate:\n"
        "    loss, floor, gain   by domain at the start; least; a list of rows: drop of the row's "
        "loss\n"
        "                      in a run on the column alone (drawn from seed)\n"
        "    noise, decay, curvature, seed   of an evaluation (0); of the gain with steps (0); of "
        "the\n"
        "                      drop with its size (0); the job's\n"
        "  command:\n"
        "    argv, time_limit, grace   the external trainer (required); longest wait for an "
        "answer\n"
        "                      (600s); from SIGTERM to SIGKILL (30s)\n",
    .ranks = true,
    .run = verb_online,
};
