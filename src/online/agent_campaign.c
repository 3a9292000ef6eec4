/* SPDX-License-Identifier: GPL-3.0-or-later */
/* agent_campaign.c - collecting, training and running as tasks over the ranks; see
 * mixsweep/agent_campaign.h. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/agent_compare.h"
#include "online/agent_world.h"

static const char *const trainer_names[] = {"embedded", "simulate", "command"};

enum mix_status mix_agent_campaign_plan(const struct mix_job *job, struct mix_agent_campaign **out,
                                        struct mix_error *err)
{
    const struct mix_agent_space space = mix_agent_space_of(job);
    struct mix_agent_campaign *campaign = mix_agent_campaign_create(job->agent.name, &space);
    if (campaign == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu slots", space.n_slots);
    for (size_t i = 0; i < space.n_slots; i++)
        memcpy(campaign->slots[i], job->domains[job->agent.slots[i]].name, MIX_NAME_MAX);
    snprintf(campaign->trainer, sizeof campaign->trainer, "%s", trainer_names[job->agent.trainer]);
    campaign->n_steps = job->agent.n_steps;
    campaign->options = agent_log_head(job).options;
    *out = campaign;
    return MIX_OK;
}

/* ---- a stage of tasks whose records a campaign takes */

struct tasks {
    const char *name;
    size_t n, record_bytes;
    mix_task_fn run;
    void *context;
    uint8_t *done; /* (n) rank 0; the rest may leave it NULL */
};

/* Collective. */
static enum mix_status run_tasks(struct mix_ranks *ranks, const struct mix_job *job,
                                 const struct tasks *tasks, struct mix_agent_campaign *campaign,
                                 const struct mix_campaign_options *options, struct mix_error *err)
{
    const struct mix_agent_log_head head = agent_log_head(job);
    const size_t n = tasks->n, bytes = tasks->record_bytes;
    const bool is_root = campaign != NULL;
    uint8_t *finished = is_root ? calloc(n + 1, 1) : NULL;
    uint8_t *records = is_root ? calloc(n + 1, bytes) : NULL;
    enum mix_status status =
        is_root && (finished == NULL || records == NULL)
            ? mix_fail(err, MIX_ENOMEM, "out of memory for %zu records of %zu bytes", n, bytes)
            : MIX_OK;
    if (status == MIX_OK && is_root && options->stage != NULL && memchr(tasks->done, 0, n) != NULL)
        status = options->stage(options->progress_context, tasks->name, err);
    status = mix_ranks_agree(ranks, status, err);
    if (status == MIX_OK) {
        const struct mix_stage stage = {.name = tasks->name,
                                        .n_tasks = n,
                                        .record_bytes = bytes,
                                        .run = tasks->run,
                                        .context = tasks->context,
                                        .done = tasks->done,
                                        .records = records,
                                        .finished = finished,
                                        .log_kind = MIX_LOG_AGENT,
                                        .log_head = &head,
                                        .log_head_bytes = sizeof head,
                                        .log_dir = options->log_dir,
                                        .progress = options->progress,
                                        .progress_context = options->progress_context,
                                        .stop_s = options->stop_s};
        status = mix_stage_run(ranks, &stage, err);
        for (size_t i = 0; is_root && i < n; i++)
            if (finished[i] != 0) {
                const enum mix_status taken = mix_agent_campaign_take(
                    campaign, &head, sizeof head, records + i * bytes, bytes, err);
                status = taken != MIX_OK ? taken : status;
            }
        status = mix_ranks_agree(ranks, status, err);
    }
    free(finished);
    free(records);
    return status;
}

static bool same_key(struct mix_key a, struct mix_key b)
{
    return a.hi == b.hi && a.lo == b.lo;
}

/* Rank 0: trajectories of other text are not mixed with new ones. */
static enum mix_status check_text(struct mix_agent_campaign *campaign,
                                  const struct agent_world *world, struct mix_error *err)
{
    const struct mix_key text = agent_world_key(world);
    const bool is_empty = campaign->n_rows == 0 && campaign->n_bases == 0 && campaign->n_runs == 0;
    if (!is_empty && !same_key(campaign->text, text))
        return mix_fail(err, MIX_EEXIST,
                        "the text behind the slots of the agent %s is not what its %zu "
                        "trajectories were made with; give another agent.name, or --replace them",
                        campaign->name, campaign->n_rows);
    campaign->text = text;
    return MIX_OK;
}

/* Collective: the world of the job with its base models. */
static enum mix_status open_world(struct mix_ranks *ranks, const struct mix_job *job,
                                  struct mix_agent_campaign *campaign,
                                  const struct mix_campaign_options *options,
                                  struct agent_world **out, struct mix_error *err)
{
    enum mix_status status = agent_world_open(job, AGENT_OWN, options->isa, out, err);
    if (status == MIX_OK && campaign != NULL)
        status = check_text(campaign, *out, err);
    status = mix_ranks_agree(ranks, status, err);
    if (status == MIX_OK)
        status = agent_world_bases(ranks, *out, campaign, 0, job->agent.n_bases, options, err);
    return status;
}

/* ---- collecting */

struct collection {
    const struct agent_world *world;
    const struct mix_agent_space *space;
    size_t n_bases;
    double *plan;     /* (n,T,D) */
    int32_t *stratum; /* (n) */
};

static const double *planned(const struct collection *collection, size_t i)
{
    return collection->plan + i * collection->space->n_decisions * collection->space->n_slots;
}

/* All base models within each group of as many trajectories, by turns in another order: strata come
 * in a pattern of their own. */
static uint64_t base_of(const struct collection *collection, size_t i)
{
    return (i + i / collection->n_bases) % collection->n_bases;
}

static struct mix_key row_key(const struct collection *collection, size_t i)
{
    const struct mix_agent_space *space = collection->space;
    const struct {
        struct mix_key world, mixture;
        uint64_t number, base;
    } what = {agent_world_key(collection->world),
              mix_key_make(0, "mixtures", planned(collection, i),
                           space->n_decisions * space->n_slots * sizeof(double)),
              i, base_of(collection, i)};
    return mix_key_make(0, "agent trajectory", &what, sizeof what);
}

static enum mix_status run_trajectory(void *context, size_t i, void *record, struct mix_poll *poll,
                                      struct mix_error *err)
{
    const struct collection *collection = context;
    const struct mix_agent_space *space = collection->space;
    struct mix_agent_schedule schedule = {space->n_slots, planned(collection, i)};
    const size_t a = space->n_decisions * space->n_slots, o = a + space->n_slots;
    struct mix_agent_row row;
    struct mix_trainee *trainee = NULL;
    double *numbers = calloc(a + o, sizeof *numbers);
    if (numbers == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a trajectory");
    struct mix_agent_steered steered = {.mixture = numbers, .feedback = numbers + a};
    memset(&row, 0, sizeof row);
    enum mix_status status =
        agent_world_trainee(collection->world, base_of(collection, i), i, &trainee, poll, err);
    if (status == MIX_OK)
        status = mix_agent_steer(trainee, space->n_decisions, agent_world_steps(collection->world),
                                 true, mix_agent_schedule_act, &schedule, &steered, poll, err);
    if (status == MIX_ENUMERIC) { /* it has diverged: a result, of no use */
        row.diverged = 1;
        memcpy(numbers, schedule.mixture, a * sizeof *numbers);
        for (size_t j = 0; j < o; j++)
            steered.feedback[j] = NAN;
        status = MIX_OK;
    }
    row.key = row_key(collection, i);
    row.number = i;
    row.stratum = collection->stratum[i];
    row.base = (int32_t)base_of(collection, i);
    row.held_out = mix_agent_held_out(i);
    row.train_s = steered.train_s;
    row.measure_s = steered.measure_s;
    if (status == MIX_OK)
        mix_agent_pack_row(&row, space, steered.mixture, steered.feedback, record);
    mix_trainee_destroy(trainee);
    free(numbers);
    return status;
}

static enum mix_status plan_rows(const struct mix_job *job, struct collection *collection,
                                 struct mix_error *err)
{
    const size_t n = job->agent.n_trajectories;
    const struct mix_agent_space *space = collection->space;
    const uint64_t seed = mix_key_make(job->seed, "agent plan", NULL, 0).lo;
    collection->plan = calloc(n * space->n_decisions * space->n_slots, sizeof *collection->plan);
    collection->stratum = calloc(n, sizeof *collection->stratum);
    if (collection->plan == NULL || collection->stratum == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu trajectories", n);
    return mix_agent_plan(space, agent_world_natural(collection->world), n, seed, collection->plan,
                          collection->stratum, err);
}

/* Rank 0: which tasks are done. */
static enum mix_status find_rows(const struct collection *collection, size_t n,
                                 const struct mix_agent_campaign *campaign, uint8_t **done,
                                 struct mix_error *err)
{
    *done = calloc(n + 1, 1);
    if (*done == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu trajectories", n);
    for (size_t i = 0; i < n; i++) {
        const struct mix_key key = row_key(collection, i);
        for (size_t row = 0; row < campaign->n_rows && (*done)[i] == 0; row++)
            (*done)[i] = same_key(campaign->rows[row].key, key);
    }
    return MIX_OK;
}

enum mix_status mix_agent_collect(struct mix_ranks *ranks, const struct mix_job *job,
                                  struct mix_agent_campaign *campaign,
                                  const struct mix_campaign_options *options, struct mix_error *err)
{
    const size_t n = job->agent.n_trajectories;
    struct agent_world *world = NULL;
    struct collection collection = {.n_bases = job->agent.n_bases};
    uint8_t *done = NULL;
    enum mix_status status = open_world(ranks, job, campaign, options, &world, err);
    if (status == MIX_OK) {
        collection.world = world;
        collection.space = agent_world_space(world);
        status = plan_rows(job, &collection, err);
        if (status == MIX_OK && campaign != NULL)
            status = find_rows(&collection, n, campaign, &done, err);
        status = mix_ranks_agree(ranks, status, err);
    }
    if (status == MIX_OK) {
        const struct tasks tasks = {.name = "trajectories",
                                    .n = n,
                                    .record_bytes = mix_agent_row_bytes(collection.space),
                                    .run = run_trajectory,
                                    .context = &collection,
                                    .done = done};
        status = run_tasks(ranks, job, &tasks, campaign, options, err);
    }
    free(done);
    free(collection.plan);
    free(collection.stratum);
    agent_world_close(world);
    return status;
}

/* ---- training agents */

struct lesson {
    char label[MIX_UNIT_MAX];
    struct mix_agent_options options;
    uint64_t seed; /* its number */
};

struct school {
    const struct mix_agent_data *data;
    struct mix_key data_key;
    size_t n, record_bytes, n_weights; /* lessons; room for weights */
    struct lesson *lessons;
};

/* More than any network of these sizes has: a record has one size for all agents. */
static size_t room_for_weights(const struct mix_agent_options *o,
                               const struct mix_agent_space *space)
{
    enum { HIDDEN = 128, HISTORY = 4 }; /* of the other trunk */
    const size_t w = o->width, features = 3 * space->n_slots + 8;
    const size_t transformer =
        w * (14 * w * o->n_layers + features + space->n_decisions + 2 * space->n_slots + 64);
    const size_t mlp = HIDDEN * (HISTORY * features + HIDDEN + 2 * space->n_slots + 64);
    return 2 * ((transformer > mlp ? transformer : mlp) + 1024);
}

static struct mix_key key_of_lesson(const struct school *school, const struct lesson *lesson)
{
    const struct mix_agent_options *o = &lesson->options;
    const double numbers[] = {(double)o->trunk,
                              (double)o->width,
                              (double)o->n_layers,
                              (double)o->n_heads,
                              o->blind,
                              o->supervised_only,
                              o->good_share,
                              (double)o->n_supervised,
                              (double)o->n_updates,
                              (double)o->batch,
                              o->alpha,
                              o->eta,
                              o->clone_weight,
                              o->discount,
                              o->rate_supervised,
                              o->rate_critic,
                              o->rate_policy,
                              o->polyak,
                              o->noise};
    const struct {
        struct mix_key data, options;
        uint64_t seed;
    } what = {school->data_key, mix_key_make(0, "agent options", numbers, sizeof numbers), o->seed};
    return mix_key_make(0, "agent", &what, sizeof what);
}

enum mix_status agent_diverged_head(const struct mix_agent_data *data,
                                    const struct mix_agent_options *options,
                                    struct mix_agent_head *head, struct mix_agent_report *report,
                                    struct mix_error *err)
{
    *report =
        (struct mix_agent_report){.supervised_loss = NAN, .value = NAN, .behaviour_value = NAN};
    *head = (struct mix_agent_head){.space = data->space,
                                    .trunk = (int32_t)options->trunk,
                                    .blind = options->blind,
                                    .width = options->width,
                                    .n_layers = options->n_layers,
                                    .n_heads = options->n_heads};
    return mix_agent_scale_of(data, &head->scale, err);
}

/* A training that diverges is a result: the others go on. */
static enum mix_status learn(void *context, size_t i, void *record, struct mix_poll *poll,
                             struct mix_error *err)
{
    const struct school *school = context;
    const struct lesson *lesson = &school->lessons[i];
    struct mix_agent *agent = NULL;
    struct mix_agent_trained trained;
    memset(&trained, 0, sizeof trained);
    enum mix_status status =
        mix_agent_train(school->data, &lesson->options, &agent, &trained.report, poll, err);
    if (status == MIX_OK)
        trained.head = mix_agent_head(agent);
    else if (status == MIX_ENUMERIC)
        status = agent_diverged_head(school->data, &lesson->options, &trained.head, &trained.report,
                                     err);
    if (status != MIX_OK)
        return status;
    const size_t n = (size_t)trained.head.n_weights;
    snprintf(trained.label, sizeof trained.label, "%s", lesson->label);
    trained.key = key_of_lesson(school, lesson);
    trained.alpha = lesson->options.supervised_only ? (double)NAN : lesson->options.alpha;
    trained.seed = lesson->seed;
    trained.n_data = school->data->n;
    trained.weights = calloc(n + 1, sizeof *trained.weights);
    if (trained.weights == NULL)
        status = mix_fail(err, MIX_ENOMEM, "out of memory for %zu weights", n);
    else if (n > school->n_weights)
        status = mix_fail(err, MIX_EINVAL, "an agent of %zu weights; room is for %zu", n,
                          school->n_weights);
    if (status == MIX_OK) {
        if (agent != NULL)
            memcpy(trained.weights, mix_agent_weights(agent), n * sizeof *trained.weights);
        trained.hash = mix_agent_hash(trained.weights, n);
        mix_agent_pack_trained(&trained, record);
    }
    free(trained.weights);
    mix_agent_destroy(agent);
    return status;
}

/* "rl", or "rl-a0.1-s2" where there are several. */
static void add_lesson(struct school *school, const struct mix_job *job,
                       const struct mix_campaign_options *options, const char *name, size_t alpha,
                       uint64_t seed)
{
    const struct mix_job_agent *agent = &job->agent;
    struct lesson *lesson = &school->lessons[school->n++];
    char label[MIX_TEXT_MAX];
    int at;
    struct mix_agent_options *o = &lesson->options;
    *o = mix_agent_defaults(&school->data->space);
    o->isa = options->isa;
    o->n_supervised = agent->n_supervised > 0 ? agent->n_supervised : o->n_supervised;
    o->n_updates = agent->n_updates > 0 ? agent->n_updates : o->n_updates;
    if (agent->width > 0) {
        o->width = agent->width;
        o->n_heads = agent->width / 8;
    }
    if (agent->n_alphas > 0)
        o->alpha = agent->alpha[alpha];
    o->seed = mix_key_make(job->seed, "agent training", &seed, sizeof seed).lo;
    o->supervised_only = strcmp(name, "supervised") == 0;
    o->blind = strcmp(name, "blind") == 0;
    lesson->seed = seed;
    at = snprintf(label, sizeof label, "%s", name);
    if (agent->n_alphas > 1 && !o->supervised_only)
        at += snprintf(label + at, sizeof label - (size_t)at, "-a%.4g", o->alpha);
    if (seed > 0)
        snprintf(label + at, sizeof label - (size_t)at, "-s%llu", (unsigned long long)seed + 1);
    snprintf(lesson->label, sizeof lesson->label, "%.*s", MIX_UNIT_MAX - 1, label);
}

/* The supervised start of each seed, then every alpha; the ablation with the first. */
static enum mix_status plan_lessons(struct school *school, const struct mix_job *job, bool blind,
                                    const struct mix_campaign_options *options,
                                    struct mix_error *err)
{
    const size_t n_alphas = job->agent.n_alphas > 0 ? job->agent.n_alphas : 1;
    const size_t most = job->agent.n_seeds * (n_alphas + 2);
    school->lessons = calloc(most, sizeof *school->lessons);
    if (school->lessons == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu agents", most);
    for (uint64_t seed = 0; seed < job->agent.n_seeds; seed++) {
        for (size_t a = 0; a < n_alphas; a++)
            add_lesson(school, job, options, "rl", a, seed);
        if (blind)
            add_lesson(school, job, options, "blind", 0, seed);
        add_lesson(school, job, options, "supervised", 0, seed);
    }
    school->n_weights = room_for_weights(&school->lessons[0].options, &school->data->space);
    school->record_bytes = mix_agent_trained_bytes(school->n_weights);
    return MIX_OK;
}

static struct mix_key key_of_data(const struct mix_agent_data *data)
{
    const size_t a = data->space.n_decisions * data->space.n_slots, o = a + data->space.n_slots;
    const struct mix_key parts[] = {
        mix_key_make(0, "mixtures", data->mixture, data->n * a * sizeof(double)),
        mix_key_make(0, "feedback", data->feedback, data->n * o * sizeof(double)),
        mix_key_make(0, "held out", data->held_out, data->n * sizeof *data->held_out)};
    return mix_key_make(0, "agent data", parts, sizeof parts);
}

/* Collective: rank 0's data on every rank. */
static enum mix_status share_data(struct mix_ranks *ranks, const struct mix_job *job,
                                  struct mix_agent_data **data, struct mix_error *err)
{
    const struct mix_agent_space space = mix_agent_space_of(job);
    const size_t a = space.n_decisions * space.n_slots, o = a + space.n_slots;
    uint64_t n = *data != NULL ? (*data)->n : 0;
    enum mix_status status = MIX_OK;
    mix_ranks_broadcast(ranks, &n, sizeof n);
    if (*data == NULL) {
        *data = mix_agent_data_create(&space);
        bool ok = *data != NULL;
        for (uint64_t i = 0; ok && i < n; i++)
            ok = mix_agent_data_append(*data) != SIZE_MAX;
        if (!ok)
            status = mix_fail(err, MIX_ENOMEM, "out of memory for %zu trajectories", (size_t)n);
    }
    status = mix_ranks_agree(ranks, status, err);
    if (status != MIX_OK || n == 0)
        return status;
    mix_ranks_broadcast(ranks, (*data)->stratum, n * sizeof *(*data)->stratum);
    mix_ranks_broadcast(ranks, (*data)->base, n * sizeof *(*data)->base);
    mix_ranks_broadcast(ranks, (*data)->held_out, n * sizeof *(*data)->held_out);
    mix_ranks_broadcast(ranks, (*data)->mixture, n * a * sizeof(double));
    mix_ranks_broadcast(ranks, (*data)->feedback, n * o * sizeof(double));
    return MIX_OK;
}

static enum mix_status find_lessons(const struct school *school,
                                    const struct mix_agent_campaign *campaign, uint8_t **done,
                                    struct mix_error *err)
{
    *done = calloc(school->n + 1, 1);
    if (*done == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu agents", school->n);
    for (size_t i = 0; i < school->n; i++) {
        const struct mix_agent_trained *agent =
            mix_agent_campaign_find(campaign, school->lessons[i].label);
        (*done)[i] =
            agent != NULL && same_key(agent->key, key_of_lesson(school, &school->lessons[i]));
    }
    return MIX_OK;
}

/* Rank 0: what there is to learn from. */
static enum mix_status gather_data(const struct mix_agent_campaign *campaign,
                                   struct mix_agent_data **data, struct mix_error *err)
{
    if (campaign->n_rows == 0)
        return mix_fail(err, MIX_ENOTFOUND,
                        "there are no trajectories of the agent %s yet: mixsweep agent collect "
                        "makes them",
                        campaign->name);
    return mix_agent_campaign_data(campaign, data, err);
}

/* Rank 0: one agent that can steer is enough. */
static enum mix_status check_agents(const struct mix_agent_campaign *campaign,
                                    struct mix_error *err)
{
    for (size_t i = 0; i < campaign->n_agents; i++)
        if (!mix_agent_has_diverged(&campaign->agents[i]))
            return MIX_OK;
    return mix_fail(err, MIX_ENUMERIC,
                    "the training of all %zu agents of %s has diverged; give another "
                    "agent.training.alpha or fewer agent.training.updates",
                    campaign->n_agents, campaign->name);
}

enum mix_status mix_agent_train_all(struct mix_ranks *ranks, const struct mix_job *job, bool blind,
                                    struct mix_agent_campaign *campaign,
                                    const struct mix_campaign_options *options,
                                    struct mix_error *err)
{
    struct mix_agent_data *data = NULL;
    struct school school = {.n = 0};
    uint8_t *done = NULL;
    enum mix_status status = campaign != NULL ? gather_data(campaign, &data, err) : MIX_OK;
    status = mix_ranks_agree(ranks, status, err);
    if (status == MIX_OK)
        status = share_data(ranks, job, &data, err);
    if (status == MIX_OK) {
        school.data = data;
        school.data_key = key_of_data(data);
        status = plan_lessons(&school, job, blind, options, err);
        if (status == MIX_OK && campaign != NULL)
            status = find_lessons(&school, campaign, &done, err);
        status = mix_ranks_agree(ranks, status, err);
    }
    if (status == MIX_OK) {
        const struct tasks tasks = {.name = "agents",
                                    .n = school.n,
                                    .record_bytes = school.record_bytes,
                                    .run = learn,
                                    .context = &school,
                                    .done = done};
        status = run_tasks(ranks, job, &tasks, campaign, options, err);
        if (status == MIX_OK && campaign != NULL)
            status = check_agents(campaign, err);
        status = mix_ranks_agree(ranks, status, err);
    }
    free(done);
    free(school.lessons);
    mix_agent_data_destroy(data);
    return status;
}

/* ---- runs that an agent steers */

void mix_agent_trained_destroy(struct mix_agent_trained *agent)
{
    if (agent != NULL)
        free(agent->weights);
    free(agent);
}

enum mix_status mix_agent_share(struct mix_ranks *ranks, struct mix_agent_trained **agent,
                                struct mix_error *err)
{
    struct mix_agent_trained plain;
    enum mix_status status = MIX_OK;
    memset(&plain, 0, sizeof plain);
    if (*agent != NULL)
        plain = **agent;
    mix_ranks_broadcast(ranks, &plain, sizeof plain);
    const size_t n = (size_t)plain.head.n_weights;
    if (*agent == NULL) {
        *agent = malloc(sizeof **agent);
        plain.weights = calloc(n + 1, sizeof *plain.weights);
        if (*agent == NULL || plain.weights == NULL) {
            free(plain.weights);
            free(*agent);
            *agent = NULL;
            status = mix_fail(err, MIX_ENOMEM, "out of memory for an agent of %zu weights", n);
        } else {
            **agent = plain;
        }
    }
    status = mix_ranks_agree(ranks, status, err);
    if (status == MIX_OK)
        mix_ranks_broadcast(ranks, (*agent)->weights, n * sizeof *(*agent)->weights);
    return status;
}

struct tour {
    const struct agent_world *world;
    const struct mix_agent_space *space;
    const struct mix_agent_trained *trained;
    struct mix_agent *agent;
    size_t n_bases;
    struct mix_key weights;
};

/* Numbers of runs for the order of the text, far from those of trajectories. */
static const uint64_t RUN_SEEDS = (uint64_t)1 << 32;

static struct mix_key run_key(const struct tour *tour, size_t i)
{
    const struct {
        struct mix_key world, weights;
        uint64_t task, n_bases;
    } what = {agent_world_key(tour->world), tour->weights, i, tour->n_bases};
    return mix_key_make(0, "agent run", &what, sizeof what);
}

static void act(void *context, size_t t, const double *mixture, const double *feedback, double *out)
{
    mix_agent_act(context, t, mixture, feedback, out);
}

static enum mix_status steer_run(void *context, size_t i, void *record, struct mix_poll *poll,
                                 struct mix_error *err)
{
    const struct tour *tour = context;
    const struct mix_agent_space *space = tour->space;
    const size_t d = space->n_slots, a = space->n_decisions * d, o = a + d;
    const uint64_t base = i % tour->n_bases, seed = i / tour->n_bases;
    struct mix_agent_run run;
    struct mix_trainee *trainee = NULL;
    double *numbers = calloc(a + o + 2 * d, sizeof *numbers);
    if (numbers == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a run");
    double *test = numbers + a + o;
    struct mix_agent_steered steered = {.mixture = numbers, .feedback = numbers + a};
    memset(&run, 0, sizeof run);
    enum mix_status status =
        agent_world_trainee(tour->world, base, RUN_SEEDS + seed, &trainee, poll, err);
    if (status == MIX_OK)
        status = mix_agent_steer(trainee, space->n_decisions, agent_world_steps(tour->world), true,
                                 act, tour->agent, &steered, poll, err);
    if (status == MIX_OK)
        status = trainee->kind->test(trainee, test, test + d, poll, err);
    if (status == MIX_ENUMERIC) {
        run.diverged = 1;
        for (size_t j = 0; j < 2 * d; j++)
            test[j] = NAN;
        status = MIX_OK;
    }
    run.key = run_key(tour, i);
    memcpy(run.agent, tour->trained->label, sizeof run.agent);
    run.weights = tour->weights;
    run.base = (int32_t)base;
    run.seed = seed;
    run.agent_s = steered.act_s;
    run.train_s = steered.train_s;
    run.measure_s = steered.measure_s;
    if (status == MIX_OK)
        mix_agent_pack_run(&run, space, steered.mixture, steered.feedback, test, test + d, record);
    mix_trainee_destroy(trainee);
    free(numbers);
    return status;
}

static enum mix_status find_runs(const struct tour *tour, size_t n,
                                 const struct mix_agent_campaign *campaign, uint8_t **done,
                                 struct mix_error *err)
{
    *done = calloc(n + 1, 1);
    if (*done == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu runs", n);
    for (size_t i = 0; i < n; i++)
        for (size_t row = 0; row < campaign->n_runs && (*done)[i] == 0; row++)
            (*done)[i] = same_key(campaign->runs[row].key, run_key(tour, i));
    return MIX_OK;
}

enum mix_status mix_agent_run_all(struct mix_ranks *ranks, const struct mix_job *job,
                                  const struct mix_agent_trained *agent, size_t n_seeds,
                                  struct mix_agent_campaign *campaign,
                                  const struct mix_campaign_options *options, struct mix_error *err)
{
    const struct mix_agent_space space = mix_agent_space_of(job);
    const size_t n = n_seeds * job->agent.n_bases;
    struct agent_world *world = NULL;
    uint8_t *done = NULL;
    struct tour tour = {.trained = agent, .n_bases = job->agent.n_bases, .space = &space};
    tour.weights = agent->hash;
    enum mix_status status = mix_agent_check_space(&agent->head.space, &space, agent->label, err);
    if (status == MIX_OK)
        status = mix_agent_restore(&agent->head, agent->weights, (size_t)agent->head.n_weights,
                                   options->isa, &tour.agent, err);
    status = mix_ranks_agree(ranks, status, err);
    if (status == MIX_OK)
        status = open_world(ranks, job, campaign, options, &world, err);
    if (status == MIX_OK) {
        tour.world = world;
        if (campaign != NULL)
            status = find_runs(&tour, n, campaign, &done, err);
        status = mix_ranks_agree(ranks, status, err);
    }
    if (status == MIX_OK) {
        const struct tasks tasks = {.name = "steered runs",
                                    .n = n,
                                    .record_bytes = mix_agent_run_bytes(&space),
                                    .run = steer_run,
                                    .context = &tour,
                                    .done = done};
        status = run_tasks(ranks, job, &tasks, campaign, options, err);
    }
    free(done);
    mix_agent_destroy(tour.agent);
    agent_world_close(world);
    return status;
}
