/* SPDX-License-Identifier: GPL-3.0-or-later */
/* agent_world.h - what trains under an agent: the text of the slots or a simulated world, and the
 * base models. Private to src/online/ and its tests.
 */
#ifndef MIXSWEEP_ONLINE_AGENT_WORLD_H
#define MIXSWEEP_ONLINE_AGENT_WORLD_H

#include "mixsweep/agent_campaign.h"
#include "mixsweep/isa.h"

enum { AGENT_OWN = -1 }; /* the setting that the agent is made in */

/** Local, the same on every rank. Opaque. */
struct agent_world;

/**
 * @param job      borrowed
 * @param setting  AGENT_OWN, or one of job->agent.transfers
 */
enum mix_status agent_world_open(const struct mix_job *job, int setting, enum mix_isa isa,
                                 struct agent_world **out, struct mix_error *err);
void agent_world_close(struct agent_world *world); /* NULL is fine */

const char *agent_world_name(const struct agent_world *world); /* "own", or of the transfer */
/** Of all that makes its losses: texts, model, optimiser, base models, steps. */
struct mix_key agent_world_key(const struct agent_world *world);
const struct mix_agent_space *agent_world_space(const struct agent_world *world);
/** Natural shares (D): the priors of the source slots among themselves, and of the target slots
 * among themselves. */
const double *agent_world_natural(const struct agent_world *world);
uint64_t agent_world_steps(const struct agent_world *world); /* per decision */
/** NULL but for the embedded trainer. */
const struct mix_corpus *agent_world_corpus(const struct agent_world *world);

/**
 * Collective. Make the base models first ... first + n - 1 that `campaign` does not have, as tasks;
 * then every rank's world has them. Only the embedded trainer has base models of ours.
 *
 * @param campaign  rank 0; NULL elsewhere
 */
enum mix_status agent_world_bases(struct mix_ranks *ranks, struct agent_world *world,
                                  struct mix_agent_campaign *campaign, uint64_t first, size_t n,
                                  const struct mix_campaign_options *options,
                                  struct mix_error *err);

/**
 * A trainee for a run from base model `base` on, to which it goes back by restart; its test is on
 * the part MIX_PART_TEST unless mix_trainee_test_on() says otherwise. Equal seeds have an equal
 * order of the text.
 *
 * @param seed  any number
 * @return also MIX_ENOTFOUND the world does not have that base model
 */
enum mix_status agent_world_trainee(const struct agent_world *world, uint64_t base, uint64_t seed,
                                    struct mix_trainee **out, struct mix_poll *poll,
                                    struct mix_error *err);

/** What is known of an agent whose training has diverged: the head has no weights. */
enum mix_status agent_diverged_head(const struct mix_agent_data *data,
                                    const struct mix_agent_options *options,
                                    struct mix_agent_head *head, struct mix_agent_report *report,
                                    struct mix_error *err);

/** What stands before the records of a job's campaign. */
struct mix_agent_log_head agent_log_head(const struct mix_job *job);

#endif
