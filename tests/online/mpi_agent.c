/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Trajectories, agents and steered runs of any number of ranks are those of one. */
#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/agent_campaign.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: rank %d: %s does not hold: %s\n", __FILE__, __LINE__,          \
                    mix_ranks_rank(ranks), #condition, err.text);                                  \
            MPI_Abort(MPI_COMM_WORLD, 1);                                                          \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static const char text[] =
    "job: m\nfile: m.h5\ndomains: [{name: a}, {name: b}, {name: c}, {name: d}, {name: e}]\n"
    "agent: {source: [a, b], target: [c, d, e], base: {seeds: 3}, decisions: 5, steps: 40,\n"
    "  trajectories: 20, trainer: simulate, training: {supervised: 3, updates: 2, width: 16}}\n";

static bool same(const void *a, const void *b, size_t n_bytes)
{
    return memcmp(a, b, n_bytes) == 0;
}

/* Collective over `ranks`: everything, from nothing on. */
static void do_all(struct mix_ranks *ranks, const struct mix_job *job,
                   struct mix_agent_campaign *campaign)
{
    struct mix_error err = {.text = ""};
    const struct mix_campaign_options options = {.isa = MIX_ISA_GENERIC};
    struct mix_agent_trained *agent = NULL;
    CHECK(mix_agent_collect(ranks, job, campaign, &options, &err) == MIX_OK);
    CHECK(mix_agent_train_all(ranks, job, true, campaign, &options, &err) == MIX_OK);
    if (campaign != NULL) {
        CHECK(mix_agent_campaign_sort(campaign, &err) == MIX_OK);
        agent = (struct mix_agent_trained *)mix_agent_campaign_best(campaign);
        CHECK(agent != NULL && strcmp(agent->label, "rl") == 0);
    }
    struct mix_agent_trained *shared = agent;
    CHECK(mix_agent_share(ranks, &shared, &err) == MIX_OK);
    CHECK(mix_agent_run_all(ranks, job, shared, 2, campaign, &options, &err) == MIX_OK);
    if (shared != agent)
        mix_agent_trained_destroy(shared);
    if (campaign != NULL)
        CHECK(mix_agent_campaign_sort(campaign, &err) == MIX_OK);
}

static void compare(struct mix_ranks *ranks, const struct mix_agent_campaign *a,
                    const struct mix_agent_campaign *b)
{
    struct mix_error err = {.text = ""};
    const size_t d = 5, t = 5;
    CHECK(a->n_rows == 20 && b->n_rows == 20 && a->n_runs == 6 && b->n_runs == 6);
    for (size_t i = 0; i < a->n_rows; i++)
        CHECK(a->rows[i].number == i && same(&a->rows[i].key, &b->rows[i].key, 16));
    CHECK(same(a->mixture, b->mixture, 20 * t * d * sizeof(double)));
    CHECK(same(a->feedback, b->feedback, 20 * (t + 1) * d * sizeof(double)));
    CHECK(a->n_agents == 3 && b->n_agents == 3);
    for (size_t i = 0; i < 3; i++)
        CHECK(same(a->agents[i].weights, b->agents[i].weights,
                   (size_t)a->agents[i].head.n_weights * sizeof(float)) &&
              same(&a->agents[i].hash, &b->agents[i].hash, 16));
    CHECK(same(a->run_feedback, b->run_feedback, 6 * (t + 1) * d * sizeof(double)));
    CHECK(same(a->run_test, b->run_test, 6 * d * sizeof(double)));
    CHECK(!same(a->run_feedback, a->run_feedback + (t + 1) * d, (t + 1) * d * sizeof(double)));
}

int main(int argc, char **argv)
{
    struct mix_ranks *ranks = NULL;
    struct mix_job *job = NULL;
    struct mix_agent_campaign *many = NULL, *one = NULL;
    struct mix_error err = {.text = ""};
    CHECK(mix_ranks_create(&argc, &argv, &ranks, &err) == MIX_OK);
    CHECK(mix_job_parse("m.yaml", text, &job, &err) == MIX_OK);
    const bool is_root = mix_ranks_rank(ranks) == 0;
    if (is_root)
        CHECK(mix_agent_campaign_plan(job, &many, &err) == MIX_OK);
    do_all(ranks, job, many);
    if (is_root) {
        CHECK(mix_agent_campaign_plan(job, &one, &err) == MIX_OK);
        do_all(NULL, job, one);
        compare(ranks, many, one);
    }
    mix_agent_campaign_destroy(many);
    mix_agent_campaign_destroy(one);
    mix_job_destroy(job);
    CHECK(mix_ranks_agree(ranks, MIX_OK, &err) == MIX_OK);
    mix_ranks_destroy(ranks);
    return 0;
}
