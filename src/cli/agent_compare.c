/* SPDX-License-Identifier: GPL-3.0-or-later */
/* agent_compare.c - the word compare of the verb agent: collect, train, and compare on equal terms.
 */
#include "mixsweep/agent_compare.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "agent_compare_print.h"
#include "campaign.h"
#include "mixsweep/version.h"

/* A setting that was compared; on rank 0. */
struct compared {
    int index;
    size_t n_before; /* runs that were there */
    double wall_s;
    struct mix_online *online;
    struct mix_agent_summary *summary;
};

struct request {
    const char *path, *format;
    struct cli_list transfers;
    bool json;
    struct cli_campaign of; /* its online runs: of the setting under way */
    size_t n_settings;
    struct compared *settings; /* (n_settings) the agent's own first */
    double regmix[MIX_GROUPS_MAX];
    /* rank 0 */
    struct mix_agent_contrast *contrasts;
    double started_s;
};

/* ---- the file ---- */

static enum mix_status open_file(struct request *request, struct mix_error *err)
{
    enum mix_status status = mix_agent_campaign_plan(request->of.job, &request->of.agent, err);
    if (status == MIX_OK)
        status = cli_campaign_open(&request->of, err);
    if (status == MIX_OK)
        status = cli_campaign_recall_agent(&request->of, false, err);
    return status;
}

/* ---- what is compared ---- */

static enum mix_status find_transfer(const struct mix_job *job, const char *name, int *index,
                                     struct mix_error *err)
{
    const struct mix_job_agent *agent = &job->agent;
    for (size_t i = 0; i < agent->n_transfers; i++)
        if (strcmp(agent->transfers[i].name, name) == 0) {
            *index = (int)i;
            return MIX_OK;
        }
    return mix_fail(err, MIX_EUSAGE,
                    "--transfer %s: agent.transfers of the job has no such name (it has %zu)", name,
                    agent->n_transfers);
}

/* The agent's own setting, then those of --transfer. */
static enum mix_status list_settings(struct request *request, struct mix_error *err)
{
    const struct mix_job *job = request->of.job;
    const struct cli_list *names = &request->transfers;
    const bool all = names->n == 1 && strcmp(names->item[0], "all") == 0;
    const size_t n = all ? job->agent.n_transfers : names->n;
    enum mix_status status = MIX_OK;
    request->settings = calloc(n + 1, sizeof *request->settings);
    if (request->settings == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu settings", n + 1);
    request->n_settings = n + 1;
    request->settings[0].index = MIX_AGENT_OWN;
    for (size_t i = 0; status == MIX_OK && i < n; i++) {
        request->settings[i + 1].index = (int)i;
        if (!all)
            status = find_transfer(job, names->item[i], &request->settings[i + 1].index, err);
    }
    return status;
}

/* Rank 0: the table of a setting, with the runs that are there. */
static enum mix_status begin_setting(struct request *request, struct mix_agent_compare *compare,
                                     struct compared *of, struct mix_error *err)
{
    char slots[MIX_GROUPS_MAX][MIX_NAME_MAX];
    for (size_t i = 0; i < compare->space->n_slots; i++)
        snprintf(slots[i], MIX_NAME_MAX, "%s",
                 mix_agent_setting_slot(request->of.job, of->index, i));
    request->of.online =
        mix_agent_comparison_create(request->of.agent->name, compare, request->of.agent->trainer,
                                    (const char(*)[MIX_NAME_MAX])slots);
    if (request->of.online == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a comparison");
    return cli_campaign_recall_online(&request->of, "comparison", "agent.name", &of->n_before, err);
}

/* Rank 0: what came out. */
static enum mix_status end_setting(struct request *request, const struct mix_agent_compare *compare,
                                   struct compared *of, struct mix_error *err)
{
    of->online = request->of.online;
    of->summary = calloc(1, sizeof *of->summary);
    request->of.online = NULL;
    if (of->summary == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a table");
    mix_agent_summarise(compare->space, compare->scale, of->online, compare->world->name,
                        mix_agent_setting_tokens(request->of.job, of->index), of->summary);
    return MIX_OK;
}

/* All ranks: RegMix's answer in the agent's own setting, which transfers take over. */
static void share_regmix(struct mix_ranks *ranks, struct request *request)
{
    const struct mix_online *o = request->settings[0].online;
    const char *name = mix_agent_arm_names[MIX_ARM_REGMIX];
    const size_t row = o != NULL ? mix_agent_find(o, "own", name, 0) : SIZE_MAX;
    const size_t d = request->of.job->agent.n_slots;
    for (size_t i = 0; i < d; i++)
        request->regmix[i] = row != SIZE_MAX ? o->mixture[row * d + i] : (double)NAN;
    mix_ranks_broadcast(ranks, request->regmix, sizeof request->regmix);
}

static enum mix_status compare_in(struct mix_ranks *ranks, struct request *request,
                                  struct compared *of, const struct mix_campaign_options *options,
                                  struct mix_error *err)
{
    const bool is_root = mix_ranks_rank(ranks) == 0;
    const double started_s = cli_now_s();
    struct mix_agent_setting *setting = NULL;
    enum mix_status status = mix_agent_setting_open(ranks, request->of.job, of->index,
                                                    request->of.agent, options, &setting, err);
    if (status == MIX_OK) {
        struct mix_agent_compare *compare = mix_agent_setting_compare(setting);
        if (of->index != MIX_AGENT_OWN && isfinite(request->regmix[0]))
            compare->regmix = request->regmix;
        if (is_root)
            status = begin_setting(request, compare, of, err);
        status = mix_ranks_agree(ranks, status, err);
        compare->online = request->of.online;
        if (status == MIX_OK)
            status = mix_agent_compare_run(ranks, compare, options, err);
        if (is_root)
            status = cli_campaign_keep(&request->of, status, err);
        if (is_root && status == MIX_OK)
            status = end_setting(request, compare, of, err);
    } else if (is_root) {
        status = cli_campaign_keep(&request->of, status, err);
    }
    mix_agent_setting_close(setting);
    of->wall_s = cli_now_s() - started_s;
    return mix_ranks_agree(ranks, status, err);
}

/* Rank 0: C5, from the agent's data. */
static enum mix_status find_contrasts(struct request *request, struct mix_error *err)
{
    struct mix_agent_data *data = NULL;
    enum mix_status status = mix_agent_campaign_data(request->of.agent, &data, err);
    if (status != MIX_OK)
        return status;
    request->contrasts = calloc(data->space.n_slots, sizeof *request->contrasts);
    status = request->contrasts != NULL
                 ? mix_agent_contrasts(data, request->of.job->seed, request->contrasts, err)
                 : mix_fail(err, MIX_ENOMEM, "out of memory for %zu slots", data->space.n_slots);
    mix_agent_data_destroy(data);
    return status;
}

/* Collective: trajectories and agents where they are missing, then the settings. */
static enum mix_status run_all(struct mix_ranks *ranks, struct request *request,
                               const struct mix_campaign_options *options, struct mix_error *err)
{
    const bool is_root = mix_ranks_rank(ranks) == 0;
    enum mix_status status =
        mix_agent_collect(ranks, request->of.job, request->of.agent, options, err);
    if (status == MIX_OK)
        status = mix_agent_train_all(ranks, request->of.job, true, request->of.agent, options, err);
    if (is_root)
        status = cli_campaign_keep(&request->of, status, err);
    status = mix_ranks_agree(ranks, status, err);
    for (size_t i = 0; status == MIX_OK && i < request->n_settings; i++) {
        status = compare_in(ranks, request, &request->settings[i], options, err);
        if (status == MIX_OK && i == 0)
            share_regmix(ranks, request);
    }
    if (status == MIX_OK && is_root)
        status = find_contrasts(request, err);
    return mix_ranks_agree(ranks, status, err);
}

static enum mix_status run_with_options(struct mix_ranks *ranks, struct request *request,
                                        struct mix_error *err)
{
    struct mix_campaign_options options;
    char *log_dir = NULL;
    enum mix_status status = cli_campaign_options(ranks, &request->of, &options, &log_dir, err);
    if (status == MIX_OK)
        status = run_all(ranks, request, &options, err);
    free(log_dir);
    return status;
}

/* ---- what is printed ---- */

static struct comparison_print print_of(const struct request *request, const struct compared *of)
{
    const bool is_own = of->index == MIX_AGENT_OWN;
    return (struct comparison_print){.space = &request->of.agent->space,
                                     .online = of->online,
                                     .summary = of->summary,
                                     .own = is_own ? NULL : request->settings[0].summary,
                                     .contrasts = is_own ? request->contrasts : NULL};
}

/* Seconds of rank time that the agent's data, RegMix's runs and the agents took. */
static void count_costs(const struct request *request, double costs[3])
{
    const struct mix_agent_campaign *campaign = request->of.agent;
    const struct mix_online *own = request->settings[0].online;
    costs[0] = costs[1] = costs[2] = 0;
    for (size_t i = 0; i < campaign->n_rows; i++)
        costs[0] += campaign->rows[i].train_s + campaign->rows[i].measure_s;
    for (size_t i = 0; i < own->n_runs; i++)
        if (own->runs[i].role == MIX_ONLINE_STATIC)
            costs[1] += own->runs[i].train_s + own->runs[i].measure_s;
    for (size_t i = 0; i < campaign->n_agents; i++)
        costs[2] += campaign->agents[i].report.train_s;
}

static void print_text(const struct mix_ranks *ranks, const struct request *request)
{
    const struct mix_job *job = request->of.job;
    const int n_ranks = mix_ranks_count(ranks), n_nodes = mix_ranks_nodes(ranks);
    char text[4][16];
    double costs[3];
    printf("mixsweep %s · job %s · %d rank%s on %d node%s · file %s\n", MIX_VERSION, job->name,
           n_ranks, n_ranks == 1 ? "" : "s", n_nodes, n_nodes == 1 ? "" : "s", job->file);
    for (size_t i = 0; i < request->n_settings; i++) {
        const struct compared *of = &request->settings[i];
        const struct comparison_print print = print_of(request, of);
        size_t n_diverged = 0;
        for (size_t r = 0; r < of->online->n_runs; r++)
            n_diverged += of->online->runs[r].diverged != 0;
        printf("\n%-10s %s: %zu runs of %zu decisions, %zu of them from before, %zu diverged    "
               "%s\n\n",
               "compare", of->online->name, of->online->n_runs, print.space->n_decisions,
               of->n_before, n_diverged, cli_duration(of->wall_s, text[0]));
        cli_print_comparison(stdout, &print);
    }
    count_costs(request, costs);
    printf("\n  one core's time: %s for the agent's %zu trajectories, %s for RegMix's runs, %s to "
           "train the agents; in all %s went by\n",
           cli_duration(costs[0], text[0]), request->of.agent->n_rows,
           cli_duration(costs[1], text[1]), cli_duration(costs[2], text[2]),
           cli_duration(cli_now_s() - request->started_s, text[3]));
    printf("\nnext: mixsweep report %s -o report\n", job->file);
}

static enum mix_status print_json(const struct request *request, struct mix_error *err)
{
    double costs[3];
    json_t *settings = json_array();
    for (size_t i = 0; i < request->n_settings; i++) {
        const struct comparison_print print = print_of(request, &request->settings[i]);
        json_t *setting = cli_json_comparison(&print);
        if (setting != NULL) {
            json_object_set_new(setting, "runs",
                                json_integer((json_int_t)request->settings[i].online->n_runs));
            json_object_set_new(setting, "resumed",
                                json_integer((json_int_t)request->settings[i].n_before));
        }
        json_array_append_new(settings, setting);
    }
    count_costs(request, costs);
    json_t *root = json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "job",
                             request->of.job->name, "file", request->of.job->file, "agent",
                             request->of.agent->name, "trainer", request->of.agent->trainer,
                             "settings", settings, "data_s", cli_json_number(costs[0]), "regmix_s",
                             cli_json_number(costs[1]), "training_s", cli_json_number(costs[2]),
                             "wall_s", cli_json_number(cli_now_s() - request->started_s));
    const bool failed = root == NULL || json_dumpf(root, stdout, JSON_INDENT(2)) != 0;
    putchar('\n');
    json_decref(root);
    return failed ? mix_fail(err, MIX_EIO, "the result could not be printed as JSON.") : MIX_OK;
}

/* ---- the word ---- */

static enum mix_status run(struct mix_ranks *ranks, struct request *request, struct mix_error *err)
{
    const bool is_root = mix_ranks_rank(ranks) == 0;
    enum mix_status status = cli_read_job(ranks, request->path, "agent", &request->of.job, err);
    if (status == MIX_OK)
        status = list_settings(request, err);
    if (status == MIX_OK && is_root)
        status = open_file(request, err);
    status = mix_ranks_agree(ranks, status, err);
    if (status == MIX_OK)
        status = run_with_options(ranks, request, err);
    if (status == MIX_OK && is_root && request->json)
        status = print_json(request, err);
    else if (status == MIX_OK && is_root)
        print_text(ranks, request);
    return mix_ranks_agree(ranks, status, err);
}

static void clear(struct request *request)
{
    for (size_t i = 0; i < request->n_settings; i++) {
        mix_online_destroy(request->settings[i].online);
        free(request->settings[i].summary);
    }
    free(request->settings);
    free(request->contrasts);
    cli_campaign_close(&request->of);
}

static const struct cli_verb compare_word = {
    .name = "agent compare",
    .summary = "a trained agent against what it has to beat",
    .synopsis = "JOB.yaml [OPTIONS]",
    .details =
        "What is missing is done first: base models, trajectories, agents (as agent collect and\n"
        "agent train do). Then, for each of agent.compare_seeds base models that the agent has\n"
        "never seen, with equal text and optimiser:\n\n"
        "  base          no training\n"
        "  target-only   the target slots alone\n"
        "  uniform       equal shares; half: half source, half target\n"
        "  grid-0.1 ...  static target masses; oracle: the best of them on the text for tuning\n"
        "  regmix        ridge regression on as many static runs as the agent has trajectories\n"
        "  loading       dynamic batch loading (arXiv 2310.06694)\n"
        "  hand          target mass from 0.2 to 0.8, a straight line\n"
        "  best-of-data  the best trajectory of the agent's data, open loop\n"
        "  cloned        the agent before reinforcement\n"
        "  agent         the agent; blind: one that never sees the feedback\n"
        "  time-mean, shuffled, replayed   the agent's mixtures as their mean, in random order,\n"
        "                and those of another seed: what of it is ratio, schedule, feedback\n\n"
        "Measured on text that nothing was chosen on. Finished runs are kept: the same command\n"
        "resumes. In a transfer (agent.transfers) the agent stays as it is, and so do RegMix's\n"
        "and the oracle's ratios; the oracle is tuned there too.\n\n"
        "  mpirun -n 2 mixsweep agent compare jobs/agent.yaml\n",
    .ranks = true,
};

enum mix_status cli_agent_compare(struct mix_ranks *ranks, int argc, char **argv,
                                  struct mix_error *err)
{
    struct request request = {.of.stop_before_s = 60, .started_s = cli_now_s()};
    const struct cli_option options[] = {
        {"transfer", 0, "NAME",
         "compare in this transfer of the job too; may be given again; all = in each",
         CLI_TEXT_LIST, &request.transfers, 0, 0},
        {"stop-before", 0, "TIME",
         "stop so long before the end of Slurm's wall time: 300s, 5m, none (default 60s)", CLI_TEXT,
         &request.of.margin, 0, 0},
        {"replace", 0, NULL, "drop the runs of a comparison of other agents", CLI_FLAG,
         &request.of.replace, 0, 0},
        {"format", 0, "FORMAT", "of the result on stdout: text or json (default text)", CLI_TEXT,
         &request.format, 0, 0},
        {"break-lock", 0, NULL, "take the file from a process that seems to be alive", CLI_FLAG,
         &request.of.break_lock, 0, 0},
        {0}};
    bool help = false;
    enum mix_status status =
        cli_parse(&compare_word, options, argc, argv, 1, 1, &request.path, &help, err);
    if (status != MIX_OK || help)
        return status;
    status = cli_parse_format(request.format, &request.json, err);
    if (status == MIX_OK)
        status = cli_parse_margin(request.of.margin, &request.of.stop_before_s, err);
    if (status == MIX_OK)
        status = run(ranks, &request, err);
    clear(&request);
    return status;
}
