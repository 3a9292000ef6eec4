/* SPDX-License-Identifier: GPL-3.0-or-later */
/* agent_compare_job.c - what a job's agents are compared in: its own setting and its transfers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/agent_compare.h"
#include "mixsweep/job.h"
#include "online/agent_world.h"

enum { AGENT, CLONED, BLIND, AGENTS };
_Static_assert((int)MIX_AGENT_OWN == (int)AGENT_OWN, "one number for the own setting");

struct mix_agent_setting {
    struct agent_world *trainer;
    struct mix_agent_world world;
    struct mix_agent *agents[AGENTS];
    struct mix_agent_space space;
    struct mix_agent_scale scale;
    double *best; /* (T,D) */
    struct mix_agent_compare compare;
};

static enum mix_status make_trainee(void *world, uint64_t base, uint64_t seed,
                                    struct mix_trainee **out, struct mix_poll *poll,
                                    struct mix_error *err)
{
    return agent_world_trainee(world, base, seed, out, poll, err);
}

/* The part that is neither feedback nor report. */
static enum mix_status tune(void *world, struct mix_trainee *trainee, double *loss,
                            struct mix_poll *poll, struct mix_error *err)
{
    double se[MIX_GROUPS_MAX];
    (void)world;
    mix_trainee_test_on(trainee, MIX_PART_SELECT);
    const enum mix_status status = trainee->kind->test(trainee, loss, se, poll, err);
    mix_trainee_test_on(trainee, MIX_PART_TEST);
    return status;
}

/* ---- agents ---- */

/* An agent of rank 0 on every rank; stays NULL where there is none. */
static enum mix_status bring(struct mix_ranks *ranks, const struct mix_agent_trained *trained,
                             enum mix_isa isa, struct mix_agent **out,
                             struct mix_agent_scale *scale, struct mix_error *err)
{
    int32_t is_there = trained != NULL;
    struct mix_agent_trained *shared = (struct mix_agent_trained *)trained; /* only read */
    mix_ranks_broadcast(ranks, &is_there, sizeof is_there);
    if (is_there == 0)
        return MIX_OK;
    enum mix_status status = mix_agent_share(ranks, &shared, err);
    if (status != MIX_OK)
        return status;
    status = mix_agent_restore(&shared->head, shared->weights, (size_t)shared->head.n_weights, isa,
                               out, err);
    *scale = shared->head.scale;
    if (trained == NULL)
        mix_agent_trained_destroy(shared);
    return mix_ranks_agree(ranks, status, err);
}

/* Of the seed of an agent: what it was before reinforcement, or the one that is blind. */
static const struct mix_agent_trained *find_beside(const struct mix_agent_campaign *campaign,
                                                   const struct mix_agent_trained *agent,
                                                   bool blind)
{
    for (size_t i = 0; agent != NULL && i < campaign->n_agents; i++) {
        const struct mix_agent_trained *other = &campaign->agents[i];
        if (!mix_agent_has_diverged(other) && other->seed == agent->seed &&
            (other->head.blind != 0) == blind && (isnan(other->alpha) != 0) != blind)
            return other;
    }
    return NULL;
}

static enum mix_status bring_all(struct mix_ranks *ranks, const struct mix_agent_campaign *campaign,
                                 enum mix_isa isa, struct mix_agent_setting *setting,
                                 struct mix_error *err)
{
    const struct mix_agent_trained *trained[AGENTS] = {NULL};
    enum mix_status status = MIX_OK;
    if (campaign != NULL) {
        trained[AGENT] = mix_agent_campaign_best(campaign);
        trained[CLONED] = find_beside(campaign, trained[AGENT], false);
        trained[BLIND] = find_beside(campaign, trained[AGENT], true);
        if (trained[AGENT] == trained[CLONED]) /* none was reinforced */
            trained[AGENT] = NULL;
        if (trained[AGENT] == NULL && trained[CLONED] == NULL)
            status =
                mix_fail(err, MIX_ENOTFOUND, "%s has no trained agent to compare", campaign->name);
    }
    status = mix_ranks_agree(ranks, status, err);
    for (int a = AGENTS - 1; status == MIX_OK && a >= 0; a--) /* the scale of the first stays */
        status = bring(ranks, trained[a], isa, &setting->agents[a], &setting->scale, err);
    return status;
}

/* Rank 0: the mixtures of the trajectory that ends best. */
static enum mix_status find_best(const struct mix_agent_campaign *campaign,
                                 const struct mix_agent_scale *scale, double *best,
                                 struct mix_error *err)
{
    struct mix_agent_data *data = NULL;
    const enum mix_status status = mix_agent_campaign_data(campaign, &data, err);
    if (status != MIX_OK)
        return status;
    const size_t d = data->space.n_slots, t_max = data->space.n_decisions;
    double most = -INFINITY;
    for (size_t r = 0; r < data->n; r++) {
        const double *feedback = data->feedback + r * (t_max + 1) * d;
        const double u = mix_agent_utility(&data->space, scale, feedback, feedback + t_max * d);
        if (!(u > most))
            continue;
        most = u;
        memcpy(best, data->mixture + r * t_max * d, t_max * d * sizeof *best);
    }
    mix_agent_data_destroy(data);
    return MIX_OK;
}

/* ---- a setting ---- */

/* The numbers of base models that are wanted: in the agent's own setting RegMix's too. */
static enum mix_status make_bases(struct mix_ranks *ranks, const struct mix_job *job, int index,
                                  struct mix_agent_campaign *campaign,
                                  const struct mix_campaign_options *options,
                                  struct mix_agent_setting *setting, struct mix_error *err)
{
    const size_t first = index == MIX_AGENT_OWN ? 0 : job->agent.n_bases;
    return agent_world_bases(ranks, setting->trainer, campaign, first,
                             job->agent.n_bases - first + job->agent.n_compare_seeds, options, err);
}

static enum mix_status fill(struct mix_ranks *ranks, const struct mix_job *job, int index,
                            const struct mix_agent_campaign *campaign,
                            struct mix_agent_setting *setting, struct mix_error *err)
{
    const size_t width = setting->space.n_slots * setting->space.n_decisions;
    uint64_t n_rows = campaign != NULL ? campaign->n_rows : 0;
    setting->best = calloc(width, sizeof *setting->best);
    enum mix_status status = setting->best != NULL
                                 ? MIX_OK
                                 : mix_fail(err, MIX_ENOMEM, "out of memory for %zu mixtures",
                                            setting->space.n_decisions);
    if (status == MIX_OK && campaign != NULL)
        status = find_best(campaign, &setting->scale, setting->best, err);
    status = mix_ranks_agree(ranks, status, err);
    if (status != MIX_OK)
        return status;
    mix_ranks_broadcast(ranks, setting->best, width * sizeof *setting->best);
    mix_ranks_broadcast(ranks, &n_rows, sizeof n_rows);
    setting->world = (struct mix_agent_world){.key = agent_world_key(setting->trainer),
                                              .steps = agent_world_steps(setting->trainer),
                                              .natural = agent_world_natural(setting->trainer),
                                              .context = setting->trainer,
                                              .trainee = make_trainee,
                                              .tune = tune};
    snprintf(setting->world.name, sizeof setting->world.name, "%s",
             agent_world_name(setting->trainer));
    setting->compare =
        (struct mix_agent_compare){.space = &setting->space,
                                   .scale = &setting->scale,
                                   .seed = job->seed,
                                   .n_seeds = job->agent.n_compare_seeds,
                                   .first_base = job->agent.n_bases,
                                   .n_regmix = index == MIX_AGENT_OWN ? (size_t)n_rows : 0,
                                   .best = setting->best,
                                   .agent = setting->agents[AGENT],
                                   .cloned = setting->agents[CLONED],
                                   .blind = setting->agents[BLIND],
                                   .world = &setting->world};
    return MIX_OK;
}

enum mix_status mix_agent_setting_open(struct mix_ranks *ranks, const struct mix_job *job,
                                       int index, struct mix_agent_campaign *campaign,
                                       const struct mix_campaign_options *options,
                                       struct mix_agent_setting **out, struct mix_error *err)
{
    struct mix_agent_setting *setting = calloc(1, sizeof *setting);
    enum mix_status status =
        setting != NULL ? agent_world_open(job, index, options->isa, &setting->trainer, err)
                        : mix_fail(err, MIX_ENOMEM, "out of memory for a setting");
    status = mix_ranks_agree(ranks, status, err);
    if (status == MIX_OK) {
        setting->space = *agent_world_space(setting->trainer);
        status = bring_all(ranks, campaign, options->isa, setting, err);
    }
    if (status == MIX_OK)
        status = make_bases(ranks, job, index, campaign, options, setting, err);
    if (status == MIX_OK)
        status = fill(ranks, job, index, campaign, setting, err);
    if (status == MIX_OK)
        *out = setting;
    else
        mix_agent_setting_close(setting);
    return status;
}

void mix_agent_setting_close(struct mix_agent_setting *setting)
{
    if (setting == NULL)
        return;
    for (int a = 0; a < AGENTS; a++)
        mix_agent_destroy(setting->agents[a]);
    agent_world_close(setting->trainer);
    free(setting->best);
    free(setting);
}

struct mix_agent_compare *mix_agent_setting_compare(struct mix_agent_setting *setting)
{
    return &setting->compare;
}

const char *mix_agent_setting_slot(const struct mix_job *job, int index, size_t slot)
{
    const struct mix_job_agent *agent = &job->agent;
    return job
        ->domains[index == MIX_AGENT_OWN ? agent->slots[slot] : agent->transfers[index].slots[slot]]
        .name;
}

double mix_agent_setting_tokens(const struct mix_job *job, int index)
{
    const struct mix_job_agent *agent = &job->agent;
    const size_t scale = index == MIX_AGENT_OWN ? 0 : agent->transfers[index].scale;
    const struct mix_trainer_options *o = scale > 0 ? &job->scales[scale].trainer : &agent->options;
    return agent->trainer == MIX_ONLINE_EMBEDDED ? (double)(o->batch * o->shape.context) : 1;
}
