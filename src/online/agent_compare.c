/* SPDX-License-Identifier: GPL-3.0-or-later */
/* agent_compare.c - the trainings of a comparison as tasks over the ranks; see
 * mixsweep/agent_compare.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/agent_compare.h"

static const char regmix_run[] = "regmix-run";

enum how { OPEN_LOOP, LOADING, AGENT, CLONED, BLIND };

/* A training to be done; plain bytes. */
struct task {
    struct mix_key key;
    char method[MIX_UNIT_MAX];
    int32_t role;  /* enum mix_online_role */
    uint32_t how;  /* enum how */
    uint32_t tune; /* 1: measured on the text for tuning too */
    uint32_t n_decisions;
    uint64_t seed, base, order;
    uint64_t row; /* of its schedule */
    double cost;
};

struct compare_run {
    struct mix_ranks *ranks;
    const struct mix_agent_compare *is;
    const struct mix_campaign_options *options;
    struct mix_online *one;    /* a row to be packed */
    size_t n, capacity, width; /* width: T D */
    struct task *tasks;
    double *given; /* (n,T,D) schedule of an open loop; first row: reference of loading */
};

/* ---- a training */

static void agent_act(void *agent, size_t t, const double *mixture, const double *feedback,
                      double *out)
{
    mix_agent_act(agent, t, mixture, feedback, out);
}

/* Whether all T rows are the first. */
static bool is_static(const double *mixture, size_t n_decisions, size_t d)
{
    for (size_t t = 1; t < n_decisions; t++)
        if (memcmp(mixture, mixture + t * d, d * sizeof *mixture) != 0)
            return false;
    return n_decisions > 0;
}

static void keep(const struct compare_run *run, const struct task *task,
                 const struct mix_agent_steered *steered)
{
    struct mix_online *one = run->one;
    const size_t d = one->n_groups, t_max = task->n_decisions;
    struct mix_online_run *row = &one->runs[0];
    for (size_t t = 0; t <= t_max; t++) {
        one->point_step[t] = (double)(t * run->is->world->steps);
        row->n_evaluations += isfinite(steered->feedback[t * d]);
        for (size_t i = 0; i < d; i++)
            one->point_loss[t * d + i] = -steered->feedback[t * d + i];
    }
    memcpy(one->point_mixture, steered->mixture, t_max * d * sizeof *steered->mixture);
    if (is_static(steered->mixture, t_max, d))
        memcpy(one->mixture, steered->mixture, d * sizeof *steered->mixture);
    row->n_steps = t_max * run->is->world->steps;
    row->mixer_s = steered->act_s;
    row->train_s = steered->train_s;
    row->measure_s = steered->measure_s;
}

static enum mix_status steer(const struct compare_run *run, const struct task *task,
                             const double *given, struct mix_trainee *trainee,
                             struct mix_agent_steered *steered, struct mix_poll *poll,
                             struct mix_error *err)
{
    const struct mix_agent_compare *is = run->is;
    struct mix_agent_schedule schedule = {.n_slots = is->space->n_slots, .mixture = given};
    struct mix_agent_loading loading = {.n_slots = is->space->n_slots, .reference = given};
    const struct {
        mix_agent_act_fn act;
        void *context;
    } policies[] = {[OPEN_LOOP] = {mix_agent_schedule_act, &schedule},
                    [LOADING] = {mix_agent_loading_act, &loading},
                    [AGENT] = {agent_act, is->agent},
                    [CLONED] = {agent_act, is->cloned},
                    [BLIND] = {agent_act, is->blind}};
    return mix_agent_steer(trainee, task->n_decisions, is->world->steps, task->how != OPEN_LOOP,
                           policies[task->how].act, policies[task->how].context, steered, poll,
                           err);
}

/* What it came to; the report's text is looked at here alone, once. */
static enum mix_status finish(const struct compare_run *run, const struct task *task,
                              struct mix_trainee *trainee, struct mix_poll *poll,
                              struct mix_error *err)
{
    const struct mix_agent_world *world = run->is->world;
    enum mix_status status = MIX_OK;
    if (task->tune != 0)
        status = world->tune(world->context, trainee, run->one->loss_end, poll, err);
    if (status == MIX_OK && task->role == MIX_ONLINE_FINAL)
        status = trainee->kind->test(trainee, run->one->test, run->one->test_se, poll, err);
    return status;
}

static enum mix_status train(const struct compare_run *run, const struct task *task,
                             const double *given, double *room, struct mix_poll *poll,
                             struct mix_error *err)
{
    const struct mix_agent_world *world = run->is->world;
    struct mix_agent_steered steered = {.mixture = room, .feedback = room + run->width};
    struct mix_trainee *trainee = NULL;
    enum mix_status status =
        world->trainee(world->context, task->base, task->order, &trainee, poll, err);
    if (status == MIX_OK)
        status = steer(run, task, given, trainee, &steered, poll, err);
    if (status == MIX_OK || status == MIX_ENUMERIC)
        keep(run, task, &steered);
    if (status == MIX_OK)
        status = finish(run, task, trainee, poll, err);
    mix_trainee_destroy(trainee);
    return status;
}

static enum mix_status run_task(void *context, size_t i, void *record, struct mix_poll *poll,
                                struct mix_error *err)
{
    const struct compare_run *run = context;
    const struct task *task = &run->tasks[i];
    struct mix_online *one = run->one;
    const size_t d = one->n_groups;
    double *room = calloc(2 * run->width + d, sizeof *room);
    one->n_runs = 0;
    if (room == NULL || mix_online_append(one) == SIZE_MAX) {
        free(room);
        return mix_fail(err, MIX_ENOMEM, "out of memory for a trajectory");
    }
    struct mix_online_run *row = &one->runs[0];
    row->key = task->key;
    row->role = task->role;
    row->seed = task->seed;
    row->law_r2 = row->own_r2 = row->similarity = NAN;
    snprintf(row->setting, sizeof row->setting, "%s", run->is->world->name);
    snprintf(row->method, sizeof row->method, "%s", task->method);
    enum mix_status status = train(run, task, run->given + task->row * run->width, room, poll, err);
    if (status == MIX_ENUMERIC) { /* it has diverged: a result */
        row->diverged = 1;
        for (size_t k = 0; k < d; k++)
            one->test[k] = one->test_se[k] = one->loss_end[k] = NAN;
        status = MIX_OK;
    }
    if (status == MIX_OK)
        mix_online_pack(one, 0, record);
    free(room);
    return status;
}

/* ---- tasks */

static struct mix_key key_of(const struct compare_run *run, const struct task *task,
                             const double *given)
{
    struct {
        struct mix_key world, given;
        char method[MIX_UNIT_MAX];
        uint64_t seed, base, order, n_decisions, steps;
    } what;
    memset(&what, 0, sizeof what);
    what.world = run->is->world->key;
    if (given != NULL)
        what.given = mix_key_make(0, "schedule", given, run->width * sizeof *given);
    memcpy(what.method, task->method, sizeof what.method);
    what.seed = task->seed;
    what.base = task->base;
    what.order = task->order;
    what.n_decisions = task->n_decisions;
    what.steps = run->is->world->steps;
    return mix_key_make(run->is->seed, "agent comparison", &what, sizeof what);
}

static enum mix_status reserve(struct compare_run *run, size_t n, struct mix_error *err)
{
    if (n <= run->capacity)
        return MIX_OK;
    const size_t capacity = n < 64 ? 64 : 2 * n;
    struct task *tasks = realloc(run->tasks, capacity * sizeof *tasks);
    if (tasks != NULL)
        run->tasks = tasks;
    double *given = realloc(run->given, capacity * run->width * sizeof *given);
    if (given != NULL)
        run->given = given;
    if (tasks == NULL || given == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu trainings", capacity);
    run->capacity = capacity;
    return MIX_OK;
}

/* @param given  (T,D); NULL = zeros */
static enum mix_status add(struct compare_run *run, const char *method, enum how how, uint64_t seed,
                           const double *given, struct mix_error *err)
{
    const enum mix_status status = reserve(run, run->n + 1, err);
    if (status != MIX_OK)
        return status;
    const struct mix_agent_compare *is = run->is;
    struct task task;
    memset(&task, 0, sizeof task);
    const bool counts = method != regmix_run;
    const bool is_base = strcmp(method, mix_agent_arm_names[MIX_ARM_BASE]) == 0;
    snprintf(task.method, sizeof task.method, "%s", method);
    task.role = counts ? MIX_ONLINE_FINAL : MIX_ONLINE_STATIC;
    task.how = how;
    task.tune = is_base || strncmp(method, "grid-", 5) == 0;
    task.n_decisions = is_base ? 0 : (uint32_t)is->space->n_decisions;
    task.seed = seed;
    task.base = counts ? is->first_base + seed : is->first_base > 0 ? seed % is->first_base : 0;
    task.order = counts ? seed : (UINT64_C(1) << 32) + seed;
    task.cost = task.n_decisions * (how == OPEN_LOOP ? 1 : 1.5); /* evaluations */
    task.key = key_of(run, &task, given);
    task.row = run->n;
    double *row = run->given + run->n * run->width;
    if (given != NULL)
        memcpy(row, given, run->width * sizeof *row);
    else
        memset(row, 0, run->width * sizeof *row);
    run->tasks[run->n++] = task;
    return MIX_OK;
}

/* A schedule that stays. */
static enum mix_status add_static(struct compare_run *run, const char *method, uint64_t seed,
                                  const double *mixture, double *room, struct mix_error *err)
{
    const size_t d = run->is->space->n_slots;
    for (size_t t = 0; t < run->is->space->n_decisions; t++)
        memcpy(room + t * d, mixture, d * sizeof *mixture);
    return add(run, method, OPEN_LOOP, seed, room, err);
}

static enum mix_status add_field(struct compare_run *run, const char *method, uint64_t seed,
                                 double mass, double *room, struct mix_error *err)
{
    double mixture[MIX_GROUPS_MAX];
    mix_agent_field(run->is->space, run->is->world->natural, mass, mixture);
    return add_static(run, method, seed, mixture, room, err);
}

static enum mix_status add_hand(struct compare_run *run, uint64_t seed, double *room,
                                struct mix_error *err)
{
    static const double first = .2, last = .8;
    const size_t t_max = run->is->space->n_decisions, d = run->is->space->n_slots;
    for (size_t t = 0; t < t_max; t++)
        mix_agent_field(run->is->space, run->is->world->natural,
                        first + (last - first) * (double)t / (double)(t_max > 1 ? t_max - 1 : 1),
                        room + t * d);
    return add(run, mix_agent_arm_names[MIX_ARM_HAND], OPEN_LOOP, seed, room, err);
}

static enum mix_status add_ratios(struct compare_run *run, uint64_t seed, double *room,
                                  struct mix_error *err)
{
    const size_t d = run->is->space->n_slots;
    double uniform[MIX_GROUPS_MAX];
    char name[MIX_UNIT_MAX];
    for (size_t i = 0; i < d; i++)
        uniform[i] = 1 / (double)d;
    enum mix_status status = add_field(run, mix_agent_arm_names[MIX_ARM_NAIVE], seed, 1, room, err);
    if (status == MIX_OK)
        status = add_static(run, mix_agent_arm_names[MIX_ARM_UNIFORM], seed, uniform, room, err);
    for (size_t g = 0; status == MIX_OK && g < MIX_AGENT_GRID; g++) {
        mix_agent_grid_name(g, name);
        status = add_field(run, name, seed, (double)(g + 1) / 10, room, err);
    }
    if (status == MIX_OK && run->is->regmix != NULL)
        status =
            add_static(run, mix_agent_arm_names[MIX_ARM_REGMIX], seed, run->is->regmix, room, err);
    return status;
}

static enum mix_status add_agents(struct compare_run *run, uint64_t seed, struct mix_error *err)
{
    const struct {
        const struct mix_agent *agent;
        enum mix_agent_arm arm;
        enum how how;
    } agents[] = {{run->is->cloned, MIX_ARM_CLONED, CLONED},
                  {run->is->agent, MIX_ARM_AGENT, AGENT},
                  {run->is->blind, MIX_ARM_BLIND, BLIND}};
    enum mix_status status = MIX_OK;
    for (size_t a = 0; status == MIX_OK && a < sizeof agents / sizeof agents[0]; a++)
        if (agents[a].agent != NULL)
            status = add(run, mix_agent_arm_names[agents[a].arm], agents[a].how, seed, NULL, err);
    return status;
}

/* What needs no other run. */
static enum mix_status plan_first(struct compare_run *run, double *room, struct mix_error *err)
{
    const struct mix_agent_compare *is = run->is;
    enum mix_status status = MIX_OK;
    double mixture[MIX_GROUPS_MAX];
    for (uint64_t s = 0; status == MIX_OK && s < is->n_seeds; s++) {
        status = add(run, mix_agent_arm_names[MIX_ARM_BASE], OPEN_LOOP, s, NULL, err);
        if (status == MIX_OK)
            status = add_ratios(run, s, room, err);
        if (status == MIX_OK)
            status = add_hand(run, s, room, err);
        if (status == MIX_OK && is->best != NULL)
            status = add(run, mix_agent_arm_names[MIX_ARM_BEST], OPEN_LOOP, s, is->best, err);
        if (status == MIX_OK)
            status = add_agents(run, s, err);
    }
    for (uint64_t i = 0; status == MIX_OK && is->regmix == NULL && i < is->n_regmix; i++) {
        status = mix_agent_regmix_draw(is->space->n_slots, is->seed, i, mixture, err);
        if (status == MIX_OK)
            status = add_static(run, regmix_run, i, mixture, room, err);
    }
    return status;
}

/* ---- what needs other runs */

static const double *points_of(const struct mix_online *o, size_t row, size_t point)
{
    return o->point_loss + (row * o->n_points + point) * o->n_groups;
}

/* RegMix from its static runs; false where there are too few. */
static enum mix_status answer_regmix(const struct compare_run *run, double *answer, bool *found,
                                     struct mix_error *err)
{
    const struct mix_agent_compare *is = run->is;
    const struct mix_online *o = is->online;
    const size_t d = is->space->n_slots, t_max = is->space->n_decisions;
    double *mixture = calloc((o->n_runs + 1) * (d + 1), sizeof *mixture);
    double *coef = calloc(mix_agent_regmix_size(d), sizeof *coef);
    enum mix_status status = MIX_OK;
    size_t n = 0;
    if (mixture == NULL || coef == NULL)
        status = mix_fail(err, MIX_ENOMEM, "out of memory for %zu static runs", o->n_runs);
    for (size_t r = 0; status == MIX_OK && r < o->n_runs; r++) {
        double start[MIX_GROUPS_MAX], end[MIX_GROUPS_MAX];
        if (o->runs[r].role != MIX_ONLINE_STATIC || o->runs[r].diverged != 0)
            continue;
        for (size_t i = 0; i < d; i++) {
            start[i] = -points_of(o, r, 0)[i];
            end[i] = -points_of(o, r, t_max)[i];
        }
        memcpy(mixture + n * d, o->mixture + r * d, d * sizeof *mixture);
        mixture[(o->n_runs + 1) * d + n] = mix_agent_utility(is->space, is->scale, start, end);
        n++;
    }
    *found = n >= 3;
    if (status == MIX_OK && *found)
        status = mix_agent_regmix_fit(d, n, mixture, mixture + (o->n_runs + 1) * d, coef, err);
    if (status == MIX_OK && *found)
        status = mix_agent_regmix_best(d, coef, is->seed, answer, err);
    free(mixture);
    free(coef);
    return status;
}

static enum mix_status add_loading(struct compare_run *run, uint64_t seed, double *room,
                                   struct mix_error *err)
{
    const struct mix_online *o = run->is->online;
    const struct mix_agent_space *space = run->is->space;
    const size_t naive =
        mix_agent_find(o, run->is->world->name, mix_agent_arm_names[MIX_ARM_NAIVE], seed);
    if (naive == SIZE_MAX) /* it has diverged */
        return MIX_OK;
    memset(room, 0, run->width * sizeof *room);
    for (size_t i = 0; i < space->n_slots; i++)
        room[i] = points_of(o, naive, i < space->n_source ? 0 : space->n_decisions)[i];
    return add(run, mix_agent_arm_names[MIX_ARM_LOADING], LOADING, seed, room, err);
}

/* The agent's mixtures without the agent. */
static enum mix_status add_controls(struct compare_run *run, uint64_t seed, double *room,
                                    struct mix_error *err)
{
    const struct mix_agent_compare *is = run->is;
    const struct mix_online *o = is->online;
    const size_t d = is->space->n_slots, t_max = is->space->n_decisions;
    const char *agent = mix_agent_arm_names[MIX_ARM_AGENT];
    const size_t own = mix_agent_find(o, is->world->name, agent, seed);
    const size_t other = mix_agent_find(o, is->world->name, agent, seed > 0 ? seed - 1 : 1);
    enum mix_status status = MIX_OK;
    double mean[MIX_GROUPS_MAX];
    if (own != SIZE_MAX) {
        const double *mixture = o->point_mixture + own * o->n_points * d;
        const struct mix_key order = mix_key_make(is->seed, "agent shuffle", &seed, sizeof seed);
        mix_agent_time_mean(t_max, d, mixture, mean);
        status = add_static(run, mix_agent_arm_names[MIX_ARM_MEAN], seed, mean, room, err);
        if (status == MIX_OK)
            status = mix_agent_shuffle(t_max, d, order.lo, mixture, room, err);
        if (status == MIX_OK)
            status = add(run, mix_agent_arm_names[MIX_ARM_SHUFFLED], OPEN_LOOP, seed, room, err);
    }
    if (status == MIX_OK && other != SIZE_MAX && other != own)
        status = add(run, mix_agent_arm_names[MIX_ARM_REPLAYED], OPEN_LOOP, seed,
                     o->point_mixture + other * o->n_points * d, err);
    return status;
}

static enum mix_status plan_second(struct compare_run *run, double *room, struct mix_error *err)
{
    double answer[MIX_GROUPS_MAX];
    bool has_answer = false;
    enum mix_status status = MIX_OK;
    if (run->is->regmix == NULL)
        status = answer_regmix(run, answer, &has_answer, err);
    for (uint64_t s = 0; status == MIX_OK && s < run->is->n_seeds; s++) {
        status = add_loading(run, s, room, err);
        if (status == MIX_OK && has_answer)
            status = add_static(run, mix_agent_arm_names[MIX_ARM_REGMIX], s, answer, room, err);
        if (status == MIX_OK)
            status = add_controls(run, s, room, err);
    }
    return status;
}

/* ---- a stage */

typedef enum mix_status (*plan_fn)(struct compare_run *run, double *room, struct mix_error *err);

/* Costs must not rise from task to task. */
static int compare_tasks(const void *left, const void *right)
{
    const struct task *a = left, *b = right;
    if (a->cost != b->cost)
        return a->cost > b->cost ? -1 : 1;
    return a->row < b->row ? -1 : a->row > b->row;
}

/* Rank 0: a plan, the dearest first. */
static enum mix_status plan(struct compare_run *run, plan_fn fn, struct mix_error *err)
{
    double *room = calloc(run->width + 1, sizeof *room);
    run->n = 0;
    enum mix_status status =
        room != NULL ? fn(run, room, err) : mix_fail(err, MIX_ENOMEM, "out of memory for a plan");
    free(room);
    if (status == MIX_OK && run->n > 1)
        qsort(run->tasks, run->n, sizeof *run->tasks, compare_tasks);
    return status;
}

static double cost_of(void *context, size_t i)
{
    return ((const struct compare_run *)context)->tasks[i].cost;
}

/* Collective: the plan on all ranks. */
static enum mix_status share(struct compare_run *run, struct mix_error *err)
{
    uint64_t n = run->n;
    mix_ranks_broadcast(run->ranks, &n, sizeof n);
    enum mix_status status = reserve(run, (size_t)n, err);
    status = mix_ranks_agree(run->ranks, status, err);
    run->n = (size_t)n;
    if (status != MIX_OK || n == 0)
        return status;
    mix_ranks_broadcast(run->ranks, run->tasks, run->n * sizeof *run->tasks);
    mix_ranks_broadcast(run->ranks, run->given, run->n * run->width * sizeof *run->given);
    return status;
}

/* Rank 0: where finished records go. */
struct gathered {
    uint8_t *done, *finished, *records;
    size_t record_bytes;
};

static enum mix_status make_gathered(const struct compare_run *run, struct gathered *to,
                                     struct mix_error *err)
{
    to->done = calloc(run->n + 1, 1);
    to->finished = calloc(run->n + 1, 1);
    to->records = calloc(run->n + 1, to->record_bytes);
    if (to->done == NULL || to->finished == NULL || to->records == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu records of %zu bytes", run->n,
                        to->record_bytes);
    for (size_t i = 0; i < run->n; i++)
        to->done[i] = mix_online_find(run->is->online, run->tasks[i].key) != SIZE_MAX;
    return MIX_OK;
}

static enum mix_status take_gathered(const struct compare_run *run, const struct gathered *from,
                                     const struct mix_online_head *head, struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    for (size_t i = 0; i < run->n && status == MIX_OK; i++)
        if (from->finished[i])
            status =
                mix_online_take(run->is->online, head, sizeof *head,
                                from->records + i * from->record_bytes, from->record_bytes, err);
    return status;
}

/* Collective: do the tasks that are not done. */
static enum mix_status run_tasks(struct compare_run *run, const char *name, struct mix_error *err)
{
    const struct mix_campaign_options *options = run->options;
    struct mix_online *online = run->is->online;
    struct mix_online_head head;
    struct gathered gathered = {
        .record_bytes = mix_online_record_bytes(run->one->n_groups, run->one->n_points, 0)};
    enum mix_status status = online != NULL ? make_gathered(run, &gathered, err) : MIX_OK;
    status = mix_ranks_agree(run->ranks, status, err);
    if (status == MIX_OK) {
        if (online != NULL)
            head = mix_online_head(online);
        const struct mix_stage stage = {.name = name,
                                        .n_tasks = run->n,
                                        .record_bytes = gathered.record_bytes,
                                        .run = run_task,
                                        .context = run,
                                        .done = gathered.done,
                                        .records = gathered.records,
                                        .finished = gathered.finished,
                                        .log_kind = MIX_LOG_ONLINE,
                                        .log_head = &head,
                                        .log_head_bytes = sizeof head,
                                        .log_dir = options->log_dir,
                                        .progress = options->progress,
                                        .progress_context = options->progress_context,
                                        .stop_s = options->stop_s,
                                        .cost = cost_of};
        status = mix_stage_run(run->ranks, &stage, err);
        if (online != NULL) {
            const enum mix_status taken = take_gathered(run, &gathered, &head, err);
            status = taken != MIX_OK ? taken : status;
        }
        status = mix_ranks_agree(run->ranks, status, err);
    }
    free(gathered.done);
    free(gathered.finished);
    free(gathered.records);
    return status;
}

static enum mix_status run_stage(struct compare_run *run, const char *name, plan_fn fn,
                                 struct mix_error *err)
{
    const struct mix_campaign_options *options = run->options;
    enum mix_status status = MIX_OK;
    if (run->is->online != NULL) {
        if (options->stage != NULL)
            status = options->stage(options->progress_context, name, err);
        if (status == MIX_OK)
            status = plan(run, fn, err);
    }
    status = mix_ranks_agree(run->ranks, status, err);
    if (status == MIX_OK)
        status = share(run, err);
    return status == MIX_OK ? run_tasks(run, name, err) : status;
}

/* ---- the whole */

void mix_agent_comparison_name(const char *agent, const char *world, char name[MIX_NAME_MAX])
{
    snprintf(name, MIX_NAME_MAX, "%.30s-%.32s", agent, world);
}

static struct mix_key hash_agent(const struct mix_agent *agent)
{
    if (agent == NULL)
        return (struct mix_key){0, 0};
    const struct mix_agent_head head = mix_agent_head(agent);
    return mix_key_make(0, "agent", mix_agent_weights(agent),
                        (size_t)head.n_weights * sizeof(float));
}

struct mix_online *mix_agent_comparison_create(const char *agent,
                                               const struct mix_agent_compare *compare,
                                               const char *trainer,
                                               const char (*slots)[MIX_NAME_MAX])
{
    const struct mix_agent_space *space = compare->space;
    const size_t d = space->n_slots;
    char name[MIX_NAME_MAX];
    mix_agent_comparison_name(agent, compare->world->name, name);
    struct mix_online *online = mix_online_create(name, d, space->n_decisions + 1, 0);
    if (online == NULL)
        return NULL;
    for (size_t i = 0; i < d; i++)
        snprintf(online->groups[i], MIX_NAME_MAX, "%s", slots[i]); /* zeros behind: hashed */
    snprintf(online->trainer, sizeof online->trainer, "%s", trainer);
    online->n_steps = space->n_decisions * compare->world->steps;
    struct {
        struct mix_key world, agents[3];
        uint64_t seed, n_slots, n_source, n_decisions, first_base;
        double weights[2], sigma[MIX_GROUPS_MAX];
    } what;
    memset(&what, 0, sizeof what);
    what.world = compare->world->key;
    what.agents[0] = hash_agent(compare->agent);
    what.agents[1] = hash_agent(compare->cloned);
    what.agents[2] = hash_agent(compare->blind);
    what.seed = compare->seed;
    what.n_slots = d;
    what.n_source = space->n_source;
    what.n_decisions = space->n_decisions;
    what.first_base = compare->first_base;
    what.weights[0] = space->source_weight;
    what.weights[1] = space->target_weight;
    memcpy(what.sigma, compare->scale->sigma, d * sizeof *what.sigma);
    online->options = mix_key_make(0, "agent comparison", &what, sizeof what);
    return online;
}

enum mix_status mix_agent_compare_run(struct mix_ranks *ranks,
                                      const struct mix_agent_compare *compare,
                                      const struct mix_campaign_options *options,
                                      struct mix_error *err)
{
    const size_t d = compare->space->n_slots, t_max = compare->space->n_decisions;
    struct compare_run run = {.ranks = ranks,
                              .is = compare,
                              .options = options,
                              .width = d * t_max,
                              .one = mix_online_create("", d, t_max + 1, 0)};
    enum mix_status status =
        run.one != NULL ? MIX_OK : mix_fail(err, MIX_ENOMEM, "out of memory for %zu slots", d);
    status = mix_ranks_agree(ranks, status, err);
    if (status == MIX_OK)
        status = run_stage(&run, "trainings", plan_first, err);
    if (status == MIX_OK)
        status = run_stage(&run, "controls", plan_second, err);
    if (status == MIX_OK && compare->online != NULL)
        status = mix_online_sort(compare->online, err);
    status = mix_ranks_agree(ranks, status, err);
    mix_online_destroy(run.one);
    free(run.tasks);
    free(run.given);
    return status;
}
