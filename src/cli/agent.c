/* SPDX-License-Identifier: GPL-3.0-or-later */
/* agent.c - the verb agent: collect trajectories, train agents on them, let one steer a run. */
#include "mixsweep/agent.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "campaign.h"
#include "mixsweep/version.h"

enum word { COLLECT, TRAIN, RUN };

struct request {
    enum word word;
    const char *path, *format, *agent, *output;
    bool json, blind, force;
    size_t n_seeds;
    struct cli_campaign of;
    struct mix_agent_trained *steering; /* of `run`, on every rank */
    size_t n_before;                    /* trajectories, agents or runs */
    double started_s;
};

static size_t n_entries(const struct request *request)
{
    const struct mix_agent_campaign *campaign = request->of.agent;
    return request->word == COLLECT ? campaign->n_rows
           : request->word == TRAIN ? campaign->n_agents
                                    : campaign->n_runs;
}

/* ---- the file */

static enum mix_status open_file(struct request *request, struct mix_error *err)
{
    enum mix_status status = mix_agent_campaign_plan(request->of.job, &request->of.agent, err);
    if (status == MIX_OK)
        status = cli_campaign_open(&request->of, err);
    if (status == MIX_OK)
        status = cli_campaign_recall_agent(&request->of, request->of.replace, err);
    if (status == MIX_OK)
        request->n_before = n_entries(request);
    return status;
}

/* ---- which agent steers */

static struct mix_agent_trained *copy_of(const struct mix_agent_trained *agent)
{
    const size_t n = (size_t)agent->head.n_weights;
    struct mix_agent_trained *copy = malloc(sizeof *copy);
    float *weights = malloc((n + 1) * sizeof *weights);
    if (copy == NULL || weights == NULL) {
        free(copy);
        free(weights);
        return NULL;
    }
    *copy = *agent;
    copy->weights = memcpy(weights, agent->weights, n * sizeof *weights);
    return copy;
}

/* Rank 0: a label of the job's file, or the name of a file. */
static enum mix_status find_agent(struct request *request, struct mix_error *err)
{
    const struct mix_agent_trained *found =
        request->agent != NULL ? mix_agent_campaign_find(request->of.agent, request->agent)
                               : mix_agent_campaign_best(request->of.agent);
    if (found != NULL && mix_agent_has_diverged(found))
        return mix_fail(err, MIX_EINVAL,
                        "the training of the agent %s in %s has diverged; name another, or none.",
                        found->label, request->of.job->file);
    if (found != NULL) {
        request->steering = copy_of(found);
        return request->steering != NULL ? MIX_OK
                                         : mix_fail(err, MIX_ENOMEM, "out of memory for an agent.");
    }
    if (request->agent == NULL)
        return mix_fail(err, MIX_ENOTFOUND,
                        "%s has no agent %s: mixsweep agent train makes one, or give --agent FILE.",
                        request->of.job->file, request->of.job->agent.name);
    const enum mix_status status = mix_store_import_agent(request->agent, &request->steering, err);
    return status != MIX_ENOTFOUND
               ? status
               : mix_fail(err, status, "%s: no such file, nor the label of an agent in %s.",
                          request->agent, request->of.job->file);
}

static enum mix_status choose_agent(struct mix_ranks *ranks, struct request *request,
                                    struct mix_error *err)
{
    const struct mix_agent_space space = mix_agent_space_of(request->of.job);
    enum mix_status status = mix_ranks_rank(ranks) == 0 ? find_agent(request, err) : MIX_OK;
    if (status == MIX_OK && request->steering != NULL)
        status = mix_agent_check_space(
            &request->steering->head.space, &space,
            request->agent != NULL ? request->agent : request->steering->label, err);
    status = mix_ranks_agree(ranks, status, err);
    return status == MIX_OK ? mix_agent_share(ranks, &request->steering, err) : status;
}

/* ---- the work */

static enum mix_status do_word(struct mix_ranks *ranks, struct request *request,
                               const struct mix_campaign_options *options, struct mix_error *err)
{
    switch (request->word) {
    case COLLECT:
        return mix_agent_collect(ranks, request->of.job, request->of.agent, options, err);
    case TRAIN:
        return mix_agent_train_all(ranks, request->of.job, request->blind, request->of.agent,
                                   options, err);
    case RUN:
        break;
    }
    return mix_agent_run_all(ranks, request->of.job, request->steering, request->n_seeds,
                             request->of.agent, options, err);
}

static enum mix_status work(struct mix_ranks *ranks, struct request *request, struct mix_error *err)
{
    struct mix_campaign_options options;
    char *log_dir = NULL;
    enum mix_status status = cli_campaign_options(ranks, &request->of, &options, &log_dir, err);
    if (status == MIX_OK)
        status = do_word(ranks, request, &options, err);
    if (mix_ranks_rank(ranks) == 0)
        status = cli_campaign_keep(&request->of, status, err);
    free(log_dir);
    return mix_ranks_agree(ranks, status, err);
}

/* ---- what is printed */

static void print_trainer(FILE *out, const struct mix_job_agent *agent)
{
    const struct mix_trainer_options *o = &agent->options;
    switch (agent->trainer) {
    case MIX_ONLINE_EMBEDDED:
        fprintf(out,
                "embedded, width %zu, %zu layers, context %zu, batch %zu; base models of %llu "
                "steps, rate %.2g, then %.2g",
                o->shape.width, o->shape.n_layers, o->shape.context, o->batch,
                (unsigned long long)agent->base_steps, o->learning_rate, agent->learning_rate);
        break;
    case MIX_ONLINE_SIMULATE:
        fprintf(out, "simulate (known worlds, not a training)");
        break;
    case MIX_ONLINE_COMMAND:
        fprintf(out, "command %s", agent->argv[0]);
        break;
    }
}

static void print_opening(const struct mix_ranks *ranks, const struct request *request, FILE *out)
{
    const struct mix_job *job = request->of.job;
    const struct mix_job_agent *agent = &job->agent;
    const int n_ranks = mix_ranks_count(ranks), n_nodes = mix_ranks_nodes(ranks);
    fprintf(out, "mixsweep %s · job %s · %d rank%s on %d node%s · file %s\n", MIX_VERSION,
            job->name, n_ranks, n_ranks == 1 ? "" : "s", n_nodes, n_nodes == 1 ? "" : "s",
            job->file);
    fprintf(out, "slots      source");
    for (size_t i = 0; i < agent->n_slots; i++)
        fprintf(out, "%s %s", i == agent->n_source ? "; target" : "",
                job->domains[agent->slots[i]].name);
    fprintf(out, "\ntrainer    ");
    print_trainer(out, agent);
    fprintf(out, "; %zu decisions every %llu steps\n", agent->n_decisions,
            (unsigned long long)(agent->n_steps / agent->n_decisions));
    fflush(out);
}

/* Trajectories by the way their mixtures came about. */
struct stratum {
    size_t n;
    double sum, best;
};

static enum mix_status sum_strata(const struct mix_agent_campaign *campaign,
                                  struct stratum strata[MIX_AGENT_STRATA], struct mix_error *err)
{
    struct mix_agent_data *data = NULL;
    struct mix_agent_scale scale;
    for (int s = 0; s < MIX_AGENT_STRATA; s++)
        strata[s] = (struct stratum){0, 0, -INFINITY};
    enum mix_status status = mix_agent_campaign_data(campaign, &data, err);
    if (status == MIX_OK)
        status = mix_agent_scale_of(data, &scale, err);
    const size_t d = campaign->space.n_slots, o = (campaign->space.n_decisions + 1) * d;
    for (size_t i = 0; status == MIX_OK && i < data->n; i++) {
        struct stratum *stratum = &strata[data->stratum[i]];
        const double *feedback = data->feedback + i * o;
        const double u = mix_agent_utility(&campaign->space, &scale, feedback, feedback + o - d);
        stratum->n++;
        stratum->sum += u;
        stratum->best = fmax(stratum->best, u);
    }
    mix_agent_data_destroy(data);
    return status;
}

static void print_bases(const struct mix_agent_campaign *campaign)
{
    for (size_t i = 0; i < campaign->n_bases; i++) {
        const struct mix_agent_base *base = &campaign->bases[i];
        char duration[16];
        if (strcmp(base->setting, "own") == 0)
            printf("base %-5llu source loss %.3f, %.3f, %.3f nats/token at 1/2, 7/8 and the end "
                   "of %llu steps    %s\n",
                   (unsigned long long)base->number, base->curve[4], base->curve[7], base->curve[8],
                   (unsigned long long)base->n_steps, cli_duration(base->train_s, duration));
    }
}

static enum mix_status print_collection(const struct request *request, struct mix_error *err)
{
    const struct mix_agent_campaign *campaign = request->of.agent;
    struct stratum strata[MIX_AGENT_STRATA];
    char duration[16];
    size_t n_diverged = 0;
    const enum mix_status status = sum_strata(campaign, strata, err);
    if (status != MIX_OK)
        return status;
    for (size_t i = 0; i < campaign->n_rows; i++)
        n_diverged += campaign->rows[i].diverged != 0;
    print_bases(campaign);
    printf("collect    %zu trajectories, %zu of them from before, %zu diverged    %s\n\n",
           campaign->n_rows, request->n_before, n_diverged,
           cli_duration(cli_now_s() - request->started_s, duration));
    struct cli_table *table = cli_table_create(4);
    cli_table_cell(table, "mixtures");
    cli_table_cell(table, "trajectories");
    cli_table_cell(table, "mean utility");
    cli_table_cell(table, "best");
    for (int s = 0; s < MIX_AGENT_STRATA; s++) {
        if (strata[s].n == 0)
            continue;
        cli_table_cell(table, "%s", mix_agent_stratum_names[s]);
        cli_table_cell(table, "%zu", strata[s].n);
        cli_table_cell(table, "%+.2f", strata[s].sum / (double)strata[s].n);
        cli_table_cell(table, "%+.2f", strata[s].best);
    }
    cli_table_print(table, stdout, "  ");
    cli_table_destroy(table);
    printf(
        "  (utility: half the mean change of the source slots and half that of the target slots, "
        "in standard deviations over trajectories)\n\n"
        "next: mixsweep agent train %s -o agent.h5\n",
        request->path);
    return MIX_OK;
}

static void print_agents(const struct request *request)
{
    const struct mix_agent_campaign *campaign = request->of.agent;
    const struct mix_agent_trained *best = mix_agent_campaign_best(campaign);
    char duration[16];
    printf("train      %zu agents on %zu trajectories    %s\n\n", campaign->n_agents,
           campaign->n_rows, cli_duration(cli_now_s() - request->started_s, duration));
    static const char *const heads[] = {"agent", "alpha", "weights", "steps",
                                        "loss",  "value", "data",    "time"};
    enum { COLUMNS = sizeof heads / sizeof heads[0] };
    struct cli_table *table = cli_table_create(COLUMNS);
    for (int c = 0; c < COLUMNS; c++)
        cli_table_cell(table, "%s", heads[c]);
    for (size_t i = 0; i < campaign->n_agents; i++) {
        const struct mix_agent_trained *agent = &campaign->agents[i];
        const struct mix_agent_report *report = &agent->report;
        cli_table_cell(table, "%s%s", agent->label, agent == best ? " *" : "");
        cli_table_cell(table, isnan(agent->alpha) ? "-" : "%.3g", agent->alpha);
        if (mix_agent_has_diverged(agent)) {
            cli_table_cell(table, "diverged");
            for (int c = 3; c < COLUMNS; c++)
                cli_table_cell(table, "-");
            continue;
        }
        cli_table_cell(table, "%zu", report->n_params);
        cli_table_cell(table, "%zu", report->n_supervised);
        cli_table_cell(table, "%.3f", report->supervised_loss);
        cli_table_cell(table, isnan(report->value) ? "-" : "%+.2f", report->value);
        cli_table_cell(table, "%+.2f", report->behaviour_value);
        cli_table_cell(table, "%s", cli_duration(report->train_s, duration));
    }
    cli_table_print(table, stdout, "  ");
    cli_table_destroy(table);
    printf(
        "  (steps, loss: of the supervised part, held out; value: what the critic expects of the "
        "agent on held-out trajectories, data: what these had; *: the one that steers)\n\n");
    if (request->output != NULL)
        printf("wrote %s: the agent %s\n", request->output, best != NULL ? best->label : "");
    printf("next: mixsweep agent run %s\n", request->path);
}

static double mean_of(const double *values, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += values[i];
    return sum / (double)n;
}

/* The rows of this agent, in the file's order. */
static bool is_steered(const struct request *request, const struct mix_agent_run *run)
{
    return run->weights.hi == request->steering->hash.hi &&
           run->weights.lo == request->steering->hash.lo && run->seed < request->n_seeds;
}

static void print_run(const struct request *request, size_t row)
{
    const struct mix_agent_campaign *campaign = request->of.agent;
    const struct mix_agent_space *space = &campaign->space;
    const size_t d = space->n_slots, k = space->n_source, t_end = space->n_decisions;
    const double *mixture = campaign->run_mixture + row * t_end * d;
    const double *feedback = campaign->run_feedback + row * (t_end + 1) * d;
    const double *test = campaign->run_test + row * d, *se = campaign->run_test_se + row * d;
    struct cli_table *table = cli_table_create(d + 3);
    printf("  base model %d, seed %llu%s\n", (int)campaign->runs[row].base,
           (unsigned long long)campaign->runs[row].seed,
           campaign->runs[row].diverged != 0 ? ": diverged" : "");
    cli_table_cell(table, "decision");
    for (size_t i = 0; i < d; i++)
        cli_table_cell(table, "%s", campaign->slots[i]);
    cli_table_cell(table, "source loss");
    cli_table_cell(table, "target loss");
    for (size_t t = 0; t <= t_end; t++) {
        if (t < t_end)
            cli_table_cell(table, "%zu", t + 1);
        else
            cli_table_cell(table, "end");
        for (size_t i = 0; i < d; i++)
            if (t < t_end)
                cli_table_cell(table, "%.3f", mixture[t * d + i]);
            else
                cli_table_cell(table, "%s", "");
        cli_table_cell(table, "%.4f", -mean_of(feedback + t * d, k));
        cli_table_cell(table, "%.4f", -mean_of(feedback + t * d + k, d - k));
    }
    cli_table_cell(table, "test loss");
    for (size_t i = 0; i < d; i++)
        cli_table_cell(table, isnan(se[i]) ? "%.3f" : "%.3f±%.3f", test[i], se[i]);
    cli_table_cell(table, "%.4f", mean_of(test, k));
    cli_table_cell(table, "%.4f", mean_of(test + k, d - k));
    cli_table_print(table, stdout, "    ");
    cli_table_destroy(table);
    putchar('\n');
}

static void print_runs(const struct request *request)
{
    const struct mix_agent_campaign *campaign = request->of.agent;
    char duration[16];
    printf("run        agent %s, %zu weights    %s\n\n", request->steering->label,
           (size_t)request->steering->head.n_weights,
           cli_duration(cli_now_s() - request->started_s, duration));
    for (size_t row = 0; row < campaign->n_runs; row++)
        if (is_steered(request, &campaign->runs[row]))
            print_run(request, row);
    printf(
        "  (losses in nats/token: those the agent saw before each decision, and at the end on the "
        "test part)\n");
}

/* ---- the same as JSON */

static json_t *json_numbers(const double *values, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, cli_json_number(values[i]));
    return list;
}

static json_t *json_rows(const double *values, size_t n, size_t width)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_numbers(values + i * width, width));
    return list;
}

static json_t *json_bases(const struct mix_agent_campaign *campaign)
{
    json_t *list = json_array();
    for (size_t i = 0; i < campaign->n_bases; i++)
        json_array_append_new(
            list, json_pack("{s:s, s:I, s:I, s:o}", "setting", campaign->bases[i].setting, "number",
                            (json_int_t)campaign->bases[i].number, "n_steps",
                            (json_int_t)campaign->bases[i].n_steps, "curve",
                            json_numbers(campaign->bases[i].curve, MIX_AGENT_CURVE)));
    return list;
}

static json_t *json_agents(const struct mix_agent_campaign *campaign)
{
    json_t *list = json_array();
    for (size_t i = 0; i < campaign->n_agents; i++) {
        const struct mix_agent_trained *agent = &campaign->agents[i];
        json_array_append_new(
            list,
            json_pack("{s:s, s:o, s:I, s:b, s:b, s:I, s:I, s:I, s:o, s:o, s:o, s:o}", "label",
                      agent->label, "alpha", cli_json_number(agent->alpha), "seed",
                      (json_int_t)agent->seed, "blind", agent->head.blind != 0, "diverged",
                      mix_agent_has_diverged(agent), "n_weights", (json_int_t)agent->head.n_weights,
                      "n_trajectories", (json_int_t)agent->n_data, "n_supervised",
                      (json_int_t)agent->report.n_supervised, "supervised_loss",
                      cli_json_number(agent->report.supervised_loss), "value",
                      cli_json_number(agent->report.value), "behaviour_value",
                      cli_json_number(agent->report.behaviour_value), "train_s",
                      cli_json_number(agent->report.train_s)));
    }
    return list;
}

static json_t *json_runs(const struct request *request)
{
    const struct mix_agent_campaign *campaign = request->of.agent;
    const size_t d = campaign->space.n_slots, t = campaign->space.n_decisions;
    json_t *list = json_array();
    for (size_t i = 0; i < campaign->n_runs; i++) {
        const struct mix_agent_run *run = &campaign->runs[i];
        if (request->steering != NULL && is_steered(request, run))
            json_array_append_new(
                list, json_pack("{s:s, s:i, s:I, s:b, s:o, s:o, s:o, s:o}", "agent", run->agent,
                                "base", (int)run->base, "seed", (json_int_t)run->seed, "diverged",
                                run->diverged != 0, "mixture",
                                json_rows(campaign->run_mixture + i * t * d, t, d), "feedback",
                                json_rows(campaign->run_feedback + i * (t + 1) * d, t + 1, d),
                                "test", json_numbers(campaign->run_test + i * d, d), "test_se",
                                json_numbers(campaign->run_test_se + i * d, d)));
    }
    return list;
}

static enum mix_status print_json(const struct request *request, struct mix_error *err)
{
    const struct mix_job *job = request->of.job;
    const struct mix_agent_campaign *campaign = request->of.agent;
    const struct mix_agent_trained *best = mix_agent_campaign_best(campaign);
    json_t *slots = json_array();
    for (size_t i = 0; i < campaign->space.n_slots; i++)
        json_array_append_new(slots, json_string(campaign->slots[i]));
    json_t *root = json_pack(
        "{s:s, s:s, s:s, s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "job",
        job->name, "file", job->file, "name", campaign->name, "trainer", campaign->trainer, "slots",
        slots, "n_source", (json_int_t)campaign->space.n_source, "n_decisions",
        (json_int_t)campaign->space.n_decisions, "n_steps", (json_int_t)campaign->n_steps,
        "n_trajectories", (json_int_t)campaign->n_rows, "resumed", (json_int_t)request->n_before,
        "wall_s", cli_json_number(cli_now_s() - request->started_s), "bases", json_bases(campaign),
        "agents", json_agents(campaign), "best",
        best != NULL ? json_string(best->label) : json_null(), "runs", json_runs(request));
    const bool failed = root == NULL || json_dumpf(root, stdout, JSON_INDENT(2)) != 0;
    putchar('\n');
    json_decref(root);
    return failed ? mix_fail(err, MIX_EIO, "the result could not be printed as JSON.") : MIX_OK;
}

static enum mix_status print_end(const struct request *request, struct mix_error *err)
{
    if (request->json)
        return print_json(request, err);
    switch (request->word) {
    case COLLECT:
        return print_collection(request, err);
    case TRAIN:
        print_agents(request);
        return MIX_OK;
    case RUN:
        break;
    }
    print_runs(request);
    return MIX_OK;
}

/* ---- the words */

/* Rank 0: the frozen agent alone, for another machine. */
static enum mix_status export_best(const struct request *request, struct mix_error *err)
{
    const struct mix_agent_campaign *campaign = request->of.agent;
    const struct mix_agent_trained *best = mix_agent_campaign_best(campaign);
    if (request->output == NULL)
        return MIX_OK;
    if (best == NULL)
        return mix_fail(err, MIX_ENOTFOUND, "there is no agent to write into %s.", request->output);
    return mix_store_export_agent(request->output, best,
                                  (const char(*)[MIX_NAME_MAX])campaign->slots, err);
}

static enum mix_status run(struct mix_ranks *ranks, struct request *request, struct mix_error *err)
{
    const bool is_root = mix_ranks_rank(ranks) == 0;
    enum mix_status status = cli_read_job(ranks, request->path, "agent", &request->of.job, err);
    if (status != MIX_OK)
        return status;
    const char *inputs[] = {request->path, request->of.job->file};
    if (is_root && request->output != NULL)
        status = cli_refuse_output(request->output, request->force, 2, inputs, err);
    if (is_root && status == MIX_OK)
        status = open_file(request, err);
    status = mix_ranks_agree(ranks, status, err);
    if (status == MIX_OK && request->word == RUN)
        status = choose_agent(ranks, request, err);
    if (status != MIX_OK)
        return status;
    if (is_root)
        print_opening(ranks, request, request->json ? stderr : stdout);
    status = work(ranks, request, err);
    if (status == MIX_OK && is_root)
        status = export_best(request, err);
    if (status == MIX_OK && is_root)
        status = print_end(request, err);
    return mix_ranks_agree(ranks, status, err);
}

#define MARGIN                                                                                     \
    {                                                                                              \
        "stop-before", 0, "TIME",                                                                  \
            "stop so long before the end of Slurm's wall time: 300s, 5m, none (default 60s)",      \
            CLI_TEXT, &request.of.margin, 0, 0                                                     \
    }
#define FORMAT                                                                                     \
    {                                                                                              \
        "format", 0, "FORMAT", "of the result on stdout: text or json (default text)", CLI_TEXT,   \
            &request.format, 0, 0                                                                  \
    }
#define BREAK_LOCK                                                                                 \
    {                                                                                              \
        "break-lock", 0, NULL, "take the file from a process that seems to be alive", CLI_FLAG,    \
            &request.of.break_lock, 0, 0                                                           \
    }

static enum mix_status begin(struct mix_ranks *ranks, const struct cli_verb *verb,
                             const struct cli_option *options, int argc, char **argv,
                             struct request *request, struct mix_error *err)
{
    bool help = false;
    enum mix_status status = cli_parse(verb, options, argc, argv, 1, 1, &request->path, &help, err);
    if (status != MIX_OK || help)
        return status;
    status = cli_parse_format(request->format, &request->json, err);
    if (status == MIX_OK)
        status = cli_parse_margin(request->of.margin, &request->of.stop_before_s, err);
    if (status == MIX_OK)
        status = run(ranks, request, err);
    mix_agent_trained_destroy(request->steering);
    cli_campaign_close(&request->of);
    return status;
}

static enum mix_status collect(struct mix_ranks *ranks, int argc, char **argv,
                               struct mix_error *err)
{
    static const struct cli_verb verb = {
        .name = "agent collect",
        .summary = "record trajectories for an agent to learn from",
        .synopsis = "JOB.yaml [OPTIONS]",
        .details =
            "Trains the base models of the section agent, then from them on one run for every\n"
            "trajectory of the plan; all are tasks over the ranks and go into /agent of the job's\n"
            "file. After an interruption the same command resumes; more agent.trajectories run "
            "only\n"
            "what is missing.\n\n"
            "  mpirun -n 2 mixsweep agent collect jobs/agent.yaml\n"};
    struct request request = {.word = COLLECT, .of.stop_before_s = 60, .started_s = cli_now_s()};
    const struct cli_option options[] = {MARGIN,
                                         {"replace", 0, NULL,
                                          "drop everything of that name in the file", CLI_FLAG,
                                          &request.of.replace, 0, 0},
                                         FORMAT,
                                         BREAK_LOCK,
                                         {0}};
    return begin(ranks, &verb, options, argc, argv, &request, err);
}

static enum mix_status train(struct mix_ranks *ranks, int argc, char **argv, struct mix_error *err)
{
    static const struct cli_verb verb = {
        .name = "agent train",
        .summary = "train agents on the trajectories of the job's file",
        .synopsis = "JOB.yaml [OPTIONS]",
        .details =
            "A supervised start on the good trajectories, then Conservative Q-Learning on all, "
            "for\n"
            "every alpha and seed of agent.training. Agents are kept in the file; the one of the\n"
            "greatest value on held-out trajectories steers, and is what -o writes.\n\n"
            "  mixsweep agent train jobs/agent.yaml -o frozen.h5\n"};
    struct request request = {.word = TRAIN, .of.stop_before_s = 60, .started_s = cli_now_s()};
    const struct cli_option options[] = {
        {"output", 'o', "FILE", "write the frozen agent alone, to be used elsewhere", CLI_TEXT,
         &request.output, 0, 0},
        {"force", 0, NULL, "replace FILE where it is there", CLI_FLAG, &request.force, 0, 0},
        {"blind", 0, NULL, "also an agent that does not see the feedback", CLI_FLAG, &request.blind,
         0, 0},
        MARGIN,
        FORMAT,
        BREAK_LOCK,
        {0}};
    return begin(ranks, &verb, options, argc, argv, &request, err);
}

static enum mix_status steer(struct mix_ranks *ranks, int argc, char **argv, struct mix_error *err)
{
    static const struct cli_verb verb = {
        .name = "agent run",
        .summary = "let a frozen agent steer a run from every base model on",
        .synopsis = "JOB.yaml [OPTIONS]",
        .details =
            "The trainer is that of the job: the embedded one, a simulated world, or a program of\n"
            "your own. Decisions, feedback and the test losses at the end are printed and kept in\n"
            "the job's file.\n\n"
            "  mixsweep agent run jobs/agent.yaml --agent frozen.h5\n"};
    struct request request = {
        .word = RUN, .of.stop_before_s = 60, .started_s = cli_now_s(), .n_seeds = 1};
    const struct cli_option options[] = {
        {"agent", 0, "AGENT",
         "a file of agent train -o, or the label of an agent in the job's file", CLI_TEXT,
         &request.agent, 0, 0},
        {"seeds", 0, "N", "runs from each base model on (default 1)", CLI_COUNT, &request.n_seeds,
         1, 1000},
        MARGIN,
        FORMAT,
        BREAK_LOCK,
        {0}};
    return begin(ranks, &verb, options, argc, argv, &request, err);
}

static const struct {
    const char *name;
    enum mix_status (*run)(struct mix_ranks *ranks, int argc, char **argv, struct mix_error *err);
} words[] = {
    {"collect", collect},
    {"train", train},
    {"run", steer},
    {"compare", cli_agent_compare},
};
enum { N_WORDS = sizeof words / sizeof words[0] };

/* What `mixsweep agent` says without a word, and the help of all of them. */
static enum mix_status overview(struct mix_ranks *ranks, int argc, char **argv,
                                struct mix_error *err)
{
    static const struct cli_option none[] = {{0}};
    const char *rest[2];
    bool help = false;
    enum mix_status status = cli_parse(&cli_verb_agent, none, argc, argv, 2, 2, rest, &help, err);
    for (size_t i = 0; status == MIX_OK && help && i < N_WORDS; i++) {
        char ask[] = "--help";
        char *both[] = {NULL, ask, NULL};
        putchar('\n');
        status = words[i].run(ranks, 2, both, err);
    }
    return status;
}

static enum mix_status verb_agent(struct mix_ranks *ranks, int argc, char **argv,
                                  struct mix_error *err)
{
    const char *names[N_WORDS];
    if (argc < 2 || argv[1][0] == '-')
        return overview(ranks, argc, argv, err);
    for (size_t i = 0; i < N_WORDS; i++) {
        names[i] = words[i].name;
        if (strcmp(argv[1], words[i].name) == 0)
            return words[i].run(ranks, argc - 1, argv + 1, err);
    }
    const char *nearest = cli_nearest(argv[1], names, N_WORDS);
    return mix_fail(err, MIX_EUSAGE, "agent \"%s\": %s%s?", argv[1],
                    nearest != NULL ? "did you mean " : "which of collect, train, run and compare",
                    nearest != NULL ? nearest : "");
}

const struct cli_verb cli_verb_agent = {
    .name = "agent",
    .summary = "a learned policy that re-weights domains while a model is trained further",
    .synopsis = "collect|train|run|compare JOB.yaml [OPTIONS]",
    .details =
        "The Data Mixing Agent: collect records runs of a small model under many schedules of\n"
        "mixtures, train learns from them, run lets what was learnt steer, compare judges it.\n"
        "\n"
        "Keys of the section agent, with defaults. A job for this verb needs no design; the "
        "embedded\n"
        "trainer has the shape of the first scale and sweep.embedded's options; priors of domains "
        "are\n"
        "natural shares within their field.\n"
        "\n"
        "  name                of the result, /agent/NAME (the job's)\n"
        "  source, target      required: lists of domains, the slots in this order\n"
        "  base.tokens, base.seeds   pre-training of a base model, on the source slots (n_tokens "
        "of the\n"
        "                      first scale); how many base models (2)\n"
        "  decisions           T (16), at most 256\n"
        "  tokens or steps     of a run, with the embedded trainer (an eighth of n_tokens) or "
        "another\n"
        "                      (16 per decision); rounded to equal stretches\n"
        "  trajectories        128 recorded; more are added to those there\n"
        "  learning_rate       embedded: of runs (0.3 of that of the base model)\n"
        "  feedback_bytes, test_bytes, test_share   embedded: evaluated of each slot at every "
        "decision\n"
        "                      (8192) and at the end (65536); part of the documents kept for "
        "`select`\n"
        "                      and for `test`, each (0.1)\n"
        "  trainer             embedded, simulate or command\n"
        "  training.alpha      how conservative (0.03); a list trains one agent each\n"
        "  training.supervised, updates, width, seeds   steps of the two parts (1000, 2000), width "
        "of\n"
        "                      the network (48), agents of each kind (1)\n"
        "  compare_seeds       of agent compare (5)\n"
        "  transfers           other settings, each a name and any of source, target (as many "
        "domains)\n"
        "                      and scale (index of the job's scales: another model)\n"
        "  simulate.rate, forgetting, spread, noise, seed   learning and forgetting per decision "
        "(0.3,\n"
        "                      0.05); deviation of their logarithms over base models (0.3); of an\n"
        "                      evaluation (1e-3); the job's\n"
        "  simulate.loss, low, high   of each slot: at the start, learnt, forgotten (source 1, "
        "0.9,\n"
        "                      2.25; target 3, 1, 3.2)\n"
        "  command.argv, time_limit, grace   as in the section online\n",
    .ranks = true,
    .run = verb_agent,
};
