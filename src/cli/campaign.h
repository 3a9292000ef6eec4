/* SPDX-License-Identifier: GPL-3.0-or-later */
/* campaign.h - what the verbs online and agent share: a campaign of trainings whose finished ones
 * are recalled from the job's file, and go there before each stage and at the end. Private to
 * src/cli/. */
#ifndef MIXSWEEP_CLI_CAMPAIGN_H
#define MIXSWEEP_CLI_CAMPAIGN_H

#include "cli.h"
#include "mixsweep/agent_campaign.h"
#include "mixsweep/online_campaign.h"

struct cli_campaign {
    struct mix_job *job; /* on every rank */
    const char *margin;  /* --stop-before */
    double stop_before_s;
    bool break_lock, replace;
    /* rank 0 */
    struct mix_store *store;
    struct mix_agent_campaign *agent; /* what is under way; NULL = nothing of that kind */
    struct mix_online *online;
    struct cli_progress progress;
};

/** Rank 0: open the job's file. */
enum mix_status cli_campaign_open(struct cli_campaign *campaign, struct mix_error *err);

/**
 * Rank 0: what the file has of the same question takes the place of the empty agent campaign, or of
 * the empty online runs.
 *
 * @param what      "campaign", ...: for the sentence, with the key of the job that names it
 * @param n_before  out: runs that were there; set where there are some
 * @return MIX_OK; MIX_EEXIST it is of another question, and is not to be replaced
 */
enum mix_status cli_campaign_recall_agent(struct cli_campaign *campaign, bool replace,
                                          struct mix_error *err);
enum mix_status cli_campaign_recall_online(struct cli_campaign *campaign, const char *what,
                                           const char *key, size_t *n_before,
                                           struct mix_error *err);

/** Collective: how it is run; log_dir is to be freed. */
enum mix_status cli_campaign_options(struct mix_ranks *ranks, struct cli_campaign *campaign,
                                     struct mix_campaign_options *options, char **log_dir,
                                     struct mix_error *err);

/** Rank 0, at an end of status `status`: what is finished goes into the file, unless it failed.
 * @return `status`, or why it could not be kept */
enum mix_status cli_campaign_keep(struct cli_campaign *campaign, enum mix_status status,
                                  struct mix_error *err);

void cli_campaign_close(struct cli_campaign *campaign);

#endif
