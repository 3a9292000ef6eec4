/* SPDX-License-Identifier: GPL-3.0-or-later */
/* campaign.c - see campaign.h. */
#include "campaign.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/share.h"

enum mix_status cli_campaign_open(struct cli_campaign *campaign, struct mix_error *err)
{
    return mix_store_open(campaign->job->file, MIX_STORE_OPEN, campaign->break_lock,
                          &campaign->store, err);
}

void cli_campaign_close(struct cli_campaign *campaign)
{
    mix_online_destroy(campaign->online);
    mix_agent_campaign_destroy(campaign->agent);
    mix_store_close(campaign->store);
    mix_job_destroy(campaign->job);
}

/* ---- the file */

static enum mix_status commit(struct cli_campaign *campaign, struct mix_error *err)
{
    struct mix_store *store = campaign->store;
    enum mix_status status = mix_store_set_job(store, campaign->job->text, campaign->job->seed);
    if (status == MIX_OK && campaign->agent != NULL)
        status = mix_agent_campaign_sort(campaign->agent, err);
    if (status == MIX_OK && campaign->agent != NULL)
        status = mix_store_put_agent(store, campaign->agent, err);
    if (status == MIX_OK && campaign->online != NULL)
        status = mix_online_sort(campaign->online, err);
    if (status == MIX_OK && campaign->online != NULL)
        status = mix_store_put_online(store, campaign->online, err);
    return status == MIX_OK ? mix_store_commit(store, err) : status;
}

enum mix_status cli_campaign_keep(struct cli_campaign *campaign, enum mix_status status,
                                  struct mix_error *err)
{
    struct mix_error reason = {.text = ""};
    cli_progress_clear(&campaign->progress);
    if (status != MIX_OK && status != MIX_EINTERRUPTED)
        return status;
    const enum mix_status stored = commit(campaign, &reason);
    return stored != MIX_OK ? mix_fail(err, stored, "%s", reason.text) : status;
}

/* Before a stage: what is done is in the file, the bar begins anew. */
static enum mix_status begin_stage(void *context, const char *stage, struct mix_error *err)
{
    struct cli_progress *progress = context;
    struct cli_campaign *campaign =
        (struct cli_campaign *)(void *)((char *)context - offsetof(struct cli_campaign, progress));
    cli_progress_clear(progress);
    *progress = (struct cli_progress){.stage = stage, .unit = "tasks", .store = campaign->store};
    return commit(campaign, err);
}

enum mix_status cli_campaign_recall_agent(struct cli_campaign *campaign, bool replace,
                                          struct mix_error *err)
{
    struct mix_agent_campaign *old = NULL;
    struct mix_error reason = {.text = ""};
    const enum mix_status status =
        mix_store_read_agent(campaign->store, campaign->agent->name, &old, &reason);
    if (status == MIX_ENOTFOUND)
        return MIX_OK;
    if (status != MIX_OK)
        return mix_fail(err, status, "%s", reason.text);
    const struct mix_agent_log_head ours = mix_agent_log_head(campaign->agent),
                                    theirs = mix_agent_log_head(old);
    if (!replace && memcmp(&ours, &theirs, sizeof ours) == 0) {
        mix_agent_campaign_destroy(campaign->agent);
        campaign->agent = old;
        return MIX_OK;
    }
    const size_t n_rows = old->n_rows;
    mix_agent_campaign_destroy(old);
    if (replace)
        return MIX_OK;
    return mix_fail(
        err, MIX_EEXIST,
        "%s has %zu trajectories under the name %s that were made with another trainer, "
        "other domains or options; give another agent.name, or collect with --replace",
        campaign->job->file, n_rows, campaign->agent->name);
}

static bool is_same(struct mix_key a, struct mix_key b)
{
    return a.hi == b.hi && a.lo == b.lo;
}

enum mix_status cli_campaign_recall_online(struct cli_campaign *campaign, const char *what,
                                           const char *key, size_t *n_before, struct mix_error *err)
{
    struct mix_online *old = NULL;
    struct mix_error reason = {.text = ""};
    const enum mix_status status =
        mix_store_read_online(campaign->store, campaign->online->name, &old, &reason);
    if (status == MIX_ENOTFOUND)
        return MIX_OK;
    if (status != MIX_OK)
        return mix_fail(err, status, "%s", reason.text);
    const struct mix_online_head ours = mix_online_head(campaign->online),
                                 theirs = mix_online_head(old);
    const size_t n_runs = old->n_runs;
    if (is_same(ours.options, theirs.options) && is_same(ours.groups, theirs.groups) &&
        ours.n_groups == theirs.n_groups) {
        mix_online_destroy(campaign->online);
        campaign->online = old;
        *n_before = n_runs;
        return MIX_OK;
    }
    mix_online_destroy(old);
    if (campaign->replace || n_runs == 0)
        return MIX_OK;
    return mix_fail(err, MIX_EEXIST,
                    "%s has %zu runs of the %s %s that were made with other agents, domains or "
                    "options, or another trainer; give another %s, or --replace them",
                    campaign->job->file, n_runs, what, campaign->online->name, key);
}

/* ---- running */

enum mix_status cli_campaign_options(struct mix_ranks *ranks, struct cli_campaign *campaign,
                                     struct mix_campaign_options *options, char **log_dir,
                                     struct mix_error *err)
{
    const bool is_root = mix_ranks_rank(ranks) == 0;
    *options = (struct mix_campaign_options){
        .progress = cli_progress, .progress_context = &campaign->progress, .stage = begin_stage};
    *log_dir = is_root ? strdup(mix_store_log_dir(campaign->store)) : NULL;
    enum mix_status status = mix_share_isa(ranks, &options->isa, err);
    if (status == MIX_OK)
        status = mix_share_text(ranks, log_dir, err);
    options->log_dir = *log_dir;
    if (is_root && !isnan(campaign->stop_before_s))
        options->stop_s = mix_stop_from_wall_time(campaign->stop_before_s);
    return status;
}
