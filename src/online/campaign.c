/* SPDX-License-Identifier: GPL-3.0-or-later */
/* campaign.c - the stages of a campaign, and a training in it; see mixsweep/online_campaign.h. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "online/campaign_impl.h"

enum { POINTS_MAX = 256, ROUNDS_MAX = 64 };

/* ---- options */

static struct mix_key hash_text(struct mix_key before, const char *text)
{
    const struct mix_key key = mix_key_make(0, "text", text, strlen(text));
    const struct mix_key both[2] = {before, key};
    return mix_key_make(1, "text", both, sizeof both);
}

static struct mix_key hash_numbers(struct mix_key before, const double *numbers, size_t n)
{
    if (numbers == NULL)
        return before;
    const struct mix_key key = mix_key_make(0, "numbers", numbers, n * sizeof *numbers);
    const struct mix_key both[2] = {before, key};
    return mix_key_make(1, "numbers", both, sizeof both);
}

/* What the job says of the trainer; zeros where another trains. */
static struct mix_key hash_trainer(const struct mix_job *job, struct mix_key before)
{
    const struct mix_job_online *online = &job->online;
    const struct mix_trainer_options *o = &online->options;
    const struct mix_corpus_options *corpus = &job->embedded.corpus;
    const struct mix_job_world *world = &online->world;
    const double embedded[] = {(double)o->shape.width,
                               (double)o->shape.n_layers,
                               (double)o->shape.n_heads,
                               (double)o->shape.context,
                               (double)o->batch,
                               o->learning_rate,
                               o->beta1,
                               o->beta2,
                               o->epsilon,
                               o->weight_decay,
                               o->clip,
                               (double)o->schedule,
                               o->warmup,
                               o->decay,
                               o->final_rate,
                               (double)o->sampling,
                               (double)o->validation_bytes,
                               (double)online->test_bytes,
                               online->test_share,
                               corpus->validation_share,
                               (double)corpus->max_bytes,
                               (double)(corpus->seed >> 32),
                               (double)(corpus->seed & UINT32_MAX)};
    const double simulate[] = {world->noise, world->decay, world->curvature,
                               (double)(world->seed >> 32), (double)(world->seed & UINT32_MAX)};
    if (online->trainer == MIX_ONLINE_EMBEDDED)
        return hash_numbers(before, embedded, sizeof embedded / sizeof embedded[0]);
    if (online->trainer != MIX_ONLINE_SIMULATE)
        return before;
    before = hash_numbers(before, simulate, sizeof simulate / sizeof simulate[0]);
    before = hash_numbers(before, world->loss, job->n_domains);
    before = hash_numbers(hash_text(before, "gain"), world->gain, job->n_domains * job->n_domains);
    return hash_numbers(hash_text(before, "floor"), world->floor, job->n_domains);
}

/* The options of the methods as they come out, defaults too: another version's may differ. */
static struct mix_key hash_methods(const struct mix_job *job, struct mix_key before)
{
    enum { GROUPS = 8 }; /* defaults hardly change beyond; more settings must not change the hash */
    for (size_t m = 2; m <= GROUPS; m++) {
        const struct mix_method_options o = mix_campaign_method_options(job, m);
        const double numbers[] = {(double)o.n_rounds,
                                  (double)o.interval,
                                  (double)o.n_sweeps,
                                  o.smoothing,
                                  o.eta,
                                  o.ema,
                                  o.skillit_eta,
                                  (double)o.skillit_window,
                                  (double)o.skillit_updates,
                                  o.doremi_rate,
                                  o.doremi_smoothing,
                                  o.doge_mu,
                                  o.doge_smoothing,
                                  (double)o.proxy_every,
                                  (double)o.n_static};
        before = hash_numbers(before, numbers, sizeof numbers / sizeof numbers[0]);
    }
    return before;
}

static const char *const trainer_names[] = {"embedded", "simulate", "command"};

/* The law of dml has m + 1 parameters of each group: said before the sweep, not after it. */
static enum mix_status check_static_runs(const struct mix_job *job, struct mix_error *err)
{
    const struct mix_job_online *online = &job->online;
    for (size_t i = 0; i < online->n_methods; i++)
        for (size_t s = 0; strcmp(online->methods[i], "dml") == 0 && s < online->n_settings; s++) {
            const size_t m = online->settings[s].n_groups;
            const size_t n = mix_campaign_method_options(job, m).n_static;
            if (n < m + 1)
                return mix_fail(err, MIX_EINVAL,
                                "online.options.static_runs is %zu; the law of dml has %zu "
                                "parameters for each of %zu groups and needs as many runs: give "
                                "%zu or more, or leave dml out of online.methods",
                                n, m + 1, m, m + 1);
        }
    return MIX_OK;
}

enum mix_status mix_campaign_plan(const struct mix_job *job, struct mix_online **out,
                                  struct mix_error *err)
{
    const struct mix_job_online *online = &job->online;
    const enum mix_status status = check_static_runs(job, err);
    if (status != MIX_OK)
        return status;
    struct mix_online *plan = mix_online_create(online->name, job->n_domains, 0, 0);
    if (plan == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu domains", job->n_domains);
    for (size_t k = 0; k < job->n_domains; k++)
        memcpy(plan->groups[k], job->domains[k].name, MIX_NAME_MAX);
    snprintf(plan->trainer, sizeof plan->trainer, "%s", trainer_names[online->trainer]);
    plan->n_steps = online->n_steps;
    const uint64_t numbers[] = {online->n_steps, job->seed};
    plan->options = mix_key_make(0, "online options", numbers, sizeof numbers);
    plan->options = hash_text(plan->options, plan->trainer);
    plan->options = hash_text(plan->options, job->recipe);
    plan->options = hash_methods(job, plan->options);
    plan->options = hash_trainer(job, plan->options);
    *out = plan;
    return MIX_OK;
}

/* ---- a training */

static double *row_of(double *array, size_t row, size_t n)
{
    return array + row * n;
}

/* The groups of a setting among the domains of the job. */
static void spread(const struct mix_job_setting *setting, const double *from, double *to)
{
    for (size_t i = 0; i < setting->n_groups; i++)
        to[setting->domain[i]] = from[i];
}

/* Which of n things stands at place i of at most `room`: evenly chosen, first and last among them.
 */
static size_t thinned(size_t i, size_t n, size_t room)
{
    return n <= room ? i : i * (n - 1) / (room - 1);
}

static void keep_trajectory(const struct mix_trajectory *t, const struct mix_job_setting *setting,
                            struct mix_online *one)
{
    const size_t k = one->n_groups, m = setting->n_groups;
    for (size_t i = 0; i < t->n_points && i < one->n_points; i++) {
        const size_t from = thinned(i, t->n_points, one->n_points);
        one->point_step[i] = (double)t->step[from];
        spread(setting, t->mixture + from * m, row_of(one->point_mixture, i, k));
        spread(setting, t->loss + from * m, row_of(one->point_loss, i, k));
    }
    for (size_t i = 0; i < t->n_rounds && i < one->n_rounds; i++) {
        const size_t from = thinned(i, t->n_rounds, one->n_rounds);
        one->round_step[i] = (double)t->round_step[from];
        spread(setting, t->chosen + from * m, row_of(one->round_mixture, i, k));
        for (size_t j = 0; j < m; j++)
            spread(setting, t->matrix + (from * m + j) * m,
                   row_of(one->matrix, i * k + setting->domain[j], k));
    }
    if (t->n_points > 0) {
        spread(setting, t->loss, one->loss_start);
        spread(setting, t->loss + (t->n_points - 1) * m, one->loss_end);
    }
    spread(setting, t->test, one->test);
    spread(setting, t->test_se, one->test_se);
    one->runs[0].n_steps = t->n_steps;
    one->runs[0].n_evaluations += t->n_evaluations;
    one->runs[0].mixer_s = t->mixer_s;
    one->runs[0].train_s = t->train_s;
    one->runs[0].measure_s = t->measure_s;
}

static struct campaign_case case_of(const struct campaign_task *task)
{
    return (struct campaign_case){
        .setting = task->setting,
        .seed = task->seed,
        .method = task->method >= 0 ? mix_method_get((size_t)task->method) : NULL,
        .after = task->after >= 0 ? mix_method_get((size_t)task->after) : NULL,
        .restricted = task->restricted != 0};
}

/* Train under a mixture that stays. */
static enum mix_status run_static(const struct campaign *campaign, const struct campaign_task *task,
                                  struct mix_trajectory *trajectory, struct mix_poll *poll,
                                  struct mix_error *err)
{
    const struct mix_job_setting *setting = &campaign->job->online.settings[task->setting];
    struct mix_trainee *trainee = NULL;
    enum mix_status status = campaign_trainee(&campaign->world, task->setting, task->n_steps,
                                              task->seed, &trainee, poll, err);
    spread(setting, task->mixture, campaign->one->mixture);
    if (status == MIX_OK)
        status = mix_online_static(trainee, task->mixture, task->n_steps, 0, trajectory, poll, err);
    mix_trainee_destroy(trainee);
    return status;
}

/* Steps beside the run, of the method that learnt something. */
static uint64_t extra_steps(const struct campaign *campaign, const struct campaign_case *which)
{
    const struct mix_method *learner = which->after != NULL ? which->after : which->method;
    const struct mix_method_setup setup = campaign_setup(campaign, which, which->after != NULL);
    assert(learner != NULL);
    return learner->extra_steps != NULL ? learner->extra_steps(&setup) : 0;
}

/* Let a method steer; a proxy ends with a mixture. */
static enum mix_status run_steered(const struct campaign *campaign,
                                   const struct campaign_task *task,
                                   struct mix_trajectory *trajectory, struct mix_poll *poll,
                                   struct mix_error *err)
{
    const struct campaign_case which = case_of(task);
    struct mix_online *one = campaign->one;
    struct campaign_mixer mixer;
    struct mix_trainee *trainee = NULL;
    double found[MIX_GROUPS_MAX];
    assert(which.method != NULL);
    enum mix_status status = campaign_mixer_open(campaign, &which, task->mixture, &mixer, err);
    if (status == MIX_OK)
        status = campaign_trainee(&campaign->world, task->setting, mixer.mixer->n_steps, task->seed,
                                  &trainee, poll, err);
    if (status == MIX_OK)
        status = mix_online_steer(trainee, mixer.mixer, trajectory, poll, err);
    if (status == MIX_OK && task->role == MIX_ONLINE_PROXY) {
        status = which.method->result(mixer.mixer, found, err);
        if (status == MIX_OK)
            spread(&campaign->job->online.settings[task->setting], found, one->mixture);
    }
    one->runs[0].extra_steps = task->role == MIX_ONLINE_FINAL ? extra_steps(campaign, &which) : 0;
    one->runs[0].n_evaluations = mixer.n_evaluations;
    mix_trainee_destroy(trainee);
    campaign_mixer_close(&mixer);
    return status;
}

static void name_run(const struct campaign *campaign, const struct campaign_task *task,
                     struct mix_online_run *run)
{
    const struct campaign_case which = case_of(task);
    run->key = task->key;
    snprintf(run->setting, sizeof run->setting, "%s",
             campaign->job->online.settings[task->setting].name);
    snprintf(run->method, sizeof run->method, "%s", which.method != NULL ? which.method->name : "");
    snprintf(run->after, sizeof run->after, "%s", which.after != NULL ? which.after->name : "");
    run->role = (int32_t)task->role;
    run->restricted = (int32_t)task->restricted;
    run->seed = task->seed;
}

static enum mix_status run_task(void *context, size_t i, void *record, struct mix_poll *poll,
                                struct mix_error *err)
{
    const struct campaign *campaign = context;
    const struct campaign_task *task = &campaign->tasks.task[i];
    const struct mix_job_setting *setting = &campaign->job->online.settings[task->setting];
    struct mix_online *one = campaign->one;
    struct mix_trajectory *trajectory = mix_trajectory_create(setting->n_groups);
    one->n_runs = 0;
    if (trajectory == NULL || mix_online_append(one) == SIZE_MAX) {
        mix_trajectory_destroy(trajectory);
        return mix_fail(err, MIX_ENOMEM, "out of memory for a trajectory");
    }
    name_run(campaign, task, &one->runs[0]);
    const struct campaign_case which = case_of(task);
    enum mix_status status = MIX_OK;
    if (task->role == MIX_ONLINE_ANALYSIS)
        status = campaign_analyse(campaign, task, &which, trajectory, poll, err);
    else if (task->is_static)
        status = run_static(campaign, task, trajectory, poll, err);
    else
        status = run_steered(campaign, task, trajectory, poll, err);
    if (task->role != MIX_ONLINE_ANALYSIS) /* the run itself is there already */
        keep_trajectory(trajectory, setting, one);
    if (status == MIX_ENUMERIC) { /* it has diverged: a result */
        one->runs[0].diverged = 1;
        for (size_t k = 0; k < one->n_groups; k++)
            one->test[k] = one->test_se[k] = one->loss_end[k] = NAN;
        status = MIX_OK;
    }
    if (status == MIX_OK)
        mix_online_pack(one, 0, record);
    mix_trajectory_destroy(trajectory);
    return status;
}

/* ---- a stage */

static void gather_groups(const struct mix_job_setting *setting, const double *from, double *to)
{
    for (size_t i = 0; i < setting->n_groups; i++)
        to[i] = from[setting->domain[i]];
}

/* What is known of a row of rank 0's table. */
static void know(const struct mix_job *job, const struct mix_online *online, size_t row,
                 struct campaign_known *known)
{
    const size_t k = online->n_groups;
    memset(known, 0, sizeof *known);
    known->key = online->runs[row].key;
    known->n_evaluations = online->runs[row].n_evaluations;
    for (size_t s = 0; s < job->online.n_settings; s++) {
        const struct mix_job_setting *setting = &job->online.settings[s];
        if (strcmp(setting->name, online->runs[row].setting) != 0)
            continue;
        gather_groups(setting, online->loss_start + row * k, known->loss_start);
        gather_groups(setting, online->loss_end + row * k, known->loss_end);
        gather_groups(setting, online->mixture + row * k, known->found);
    }
}

static int compare_known(const void *left, const void *right)
{
    const struct campaign_known *a = left, *b = right;
    if (a->key.hi != b->key.hi)
        return a->key.hi < b->key.hi ? -1 : 1;
    return a->key.lo == b->key.lo ? 0 : a->key.lo < b->key.lo ? -1 : 1;
}

/* Collective: what rank 0 knows, on all ranks. */
static enum mix_status share_known(struct campaign *campaign, struct mix_error *err)
{
    uint64_t n = campaign->online != NULL ? campaign->online->n_runs : 0;
    mix_ranks_broadcast(campaign->ranks, &n, sizeof n);
    free(campaign->known);
    campaign->n_known = 0;
    campaign->known = calloc((size_t)n + 1, sizeof *campaign->known);
    enum mix_status status =
        campaign->known != NULL
            ? MIX_OK
            : mix_fail(err, MIX_ENOMEM, "out of memory for %zu trainings", (size_t)n);
    status = mix_ranks_agree(campaign->ranks, status, err);
    if (status != MIX_OK)
        return status;
    campaign->n_known = (size_t)n;
    for (size_t i = 0; campaign->online != NULL && i < n; i++)
        know(campaign->job, campaign->online, i, &campaign->known[i]);
    if (campaign->online != NULL && n > 1)
        qsort(campaign->known, (size_t)n, sizeof *campaign->known, compare_known);
    if (n > 0)
        mix_ranks_broadcast(campaign->ranks, campaign->known, (size_t)n * sizeof *campaign->known);
    return MIX_OK;
}

/* Collective: the tasks of rank 0, on all ranks. */
static enum mix_status share_tasks(struct campaign *campaign, struct mix_error *err)
{
    struct campaign_tasks *tasks = &campaign->tasks;
    const bool is_root = campaign->online != NULL;
    enum mix_status status = MIX_OK;
    uint64_t n = tasks->n;
    mix_ranks_broadcast(campaign->ranks, &n, sizeof n);
    if (!is_root) {
        free(tasks->task);
        tasks->task = calloc((size_t)n + 1, sizeof *tasks->task);
        tasks->n = tasks->capacity = (size_t)n;
        if (tasks->task == NULL)
            status = mix_fail(err, MIX_ENOMEM, "out of memory for %zu trainings", (size_t)n);
    }
    status = mix_ranks_agree(campaign->ranks, status, err);
    if (status == MIX_OK && n > 0)
        mix_ranks_broadcast(campaign->ranks, tasks->task, (size_t)n * sizeof *tasks->task);
    return status;
}

static double cost_of(void *context, size_t i)
{
    return ((const struct campaign *)context)->tasks.task[i].cost;
}

/* Rank 0: where finished records go, and which tasks are done. */
struct gathered {
    uint8_t *done, *finished, *records;
    size_t record_bytes;
};

static void free_gathered(struct gathered *gathered)
{
    free(gathered->done);
    free(gathered->finished);
    free(gathered->records);
}

static enum mix_status make_gathered(const struct campaign *campaign, struct gathered *gathered,
                                     struct mix_error *err)
{
    const size_t n = campaign->tasks.n;
    gathered->done = calloc(n + 1, 1);
    gathered->finished = calloc(n + 1, 1);
    gathered->records = calloc(n + 1, gathered->record_bytes);
    if (gathered->done == NULL || gathered->finished == NULL || gathered->records == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu records of %zu bytes", n,
                        gathered->record_bytes);
    for (size_t i = 0; i < n; i++)
        gathered->done[i] =
            mix_online_find(campaign->online, campaign->tasks.task[i].key) != SIZE_MAX;
    return MIX_OK;
}

static enum mix_status take_gathered(struct campaign *campaign, const struct gathered *gathered,
                                     const struct mix_online_head *head, struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    for (size_t i = 0; i < campaign->tasks.n && status == MIX_OK; i++)
        if (gathered->finished[i])
            status = mix_online_take(campaign->online, head, sizeof *head,
                                     gathered->records + i * gathered->record_bytes,
                                     gathered->record_bytes, err);
    return status;
}

/* Collective: do the tasks that are not done. */
static enum mix_status run_tasks(struct campaign *campaign, const char *name, struct mix_error *err)
{
    const struct mix_campaign_options *options = campaign->options;
    const struct mix_online_head head = mix_online_head(campaign->one);
    struct gathered gathered = {.record_bytes = mix_online_record_bytes(campaign->one->n_groups,
                                                                        campaign->one->n_points,
                                                                        campaign->one->n_rounds)};
    const bool is_root = campaign->online != NULL;
    enum mix_status status = is_root ? make_gathered(campaign, &gathered, err) : MIX_OK;
    status = mix_ranks_agree(campaign->ranks, status, err);
    if (status == MIX_OK) {
        const struct mix_stage stage = {.name = name,
                                        .n_tasks = campaign->tasks.n,
                                        .record_bytes = gathered.record_bytes,
                                        .run = run_task,
                                        .context = campaign,
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
        status = mix_stage_run(campaign->ranks, &stage, err);
        if (is_root) {
            const enum mix_status taken = take_gathered(campaign, &gathered, &head, err);
            status = taken != MIX_OK ? taken : status;
        }
        status = mix_ranks_agree(campaign->ranks, status, err);
    }
    free_gathered(&gathered);
    return status;
}

typedef enum mix_status (*plan_fn)(struct campaign *campaign, struct mix_error *err);

/* Collective: a stage from its plan to its records. `is_narrow`: of static runs alone. */
static enum mix_status run_stage(struct campaign *campaign, const char *name, plan_fn plan,
                                 bool is_narrow, struct mix_error *err)
{
    const struct mix_campaign_options *options = campaign->options;
    enum mix_status status = share_known(campaign, err);
    if (status == MIX_OK && campaign->online != NULL) {
        if (options->stage != NULL)
            status = options->stage(options->progress_context, name, err);
        if (status == MIX_OK)
            status = plan(campaign, err);
    }
    status = mix_ranks_agree(campaign->ranks, status, err);
    if (status == MIX_OK)
        status = share_tasks(campaign, err);
    mix_online_destroy(campaign->one);
    campaign->one = NULL;
    if (status == MIX_OK) {
        status = mix_campaign_plan(campaign->job, &campaign->one, err);
        if (status == MIX_OK)
            status = mix_online_widen(campaign->one, is_narrow ? 2 : campaign->n_points,
                                      is_narrow ? 0 : campaign->n_rounds, err);
    }
    status = mix_ranks_agree(campaign->ranks, status, err);
    return status == MIX_OK ? run_tasks(campaign, name, err) : status;
}

/* ---- the whole */

/* Room for the longest trajectory that a method of the job leaves. */
static void find_width(struct campaign *campaign)
{
    const struct mix_job_online *online = &campaign->job->online;
    size_t n_points = 2, n_rounds = CAMPAIGN_PROBES;
    for (size_t s = 0; s < online->n_settings; s++)
        for (size_t e = 0; e < campaign->n_entries; e++) {
            const struct campaign_case which = campaign_case_of(&campaign->entries[e], s, 0);
            const struct mix_method_setup setup = campaign_setup(campaign, &which, false);
            const struct mix_method_options *o = &setup.options;
            size_t rounds = o->n_rounds, points = rounds * (setup.n_groups * o->n_sweeps + 1);
            if (which.method->kind == MIX_METHOD_PROXY)
                rounds = (size_t)(setup.n_steps / o->proxy_every), points = 2;
            else if (which.method->plan != NULL)
                rounds = points = o->skillit_updates;
            n_points = points + 2 > n_points ? points + 2 : n_points;
            n_rounds = rounds > n_rounds ? rounds : n_rounds;
        }
    campaign->n_points = n_points < POINTS_MAX ? n_points : POINTS_MAX;
    campaign->n_rounds = n_rounds < ROUNDS_MAX ? n_rounds : ROUNDS_MAX;
}

static enum mix_status open_campaign(struct campaign *campaign, struct mix_error *err)
{
    const struct mix_job_online *online = &campaign->job->online;
    enum mix_status status =
        campaign_world_open(campaign->job, campaign->options->isa, &campaign->world, err);
    if (status == MIX_OK)
        status = campaign_entries(campaign->job, &campaign->entries, &campaign->n_entries, err);
    if (status == MIX_OK)
        status = mix_campaign_plan(campaign->job, &campaign->one, err);
    if (status != MIX_OK)
        return status;
    campaign->options_key = campaign->one->options;
    campaign->setting_keys = calloc(online->n_settings, sizeof *campaign->setting_keys);
    if (campaign->setting_keys == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu settings", online->n_settings);
    for (size_t s = 0; s < online->n_settings; s++)
        campaign->setting_keys[s] = campaign_setting_key(&campaign->world, s);
    find_width(campaign);
    return campaign->online != NULL ? campaign_check_abilities(&campaign->world, err) : MIX_OK;
}

static void close_campaign(struct campaign *campaign)
{
    campaign_world_close(&campaign->world);
    mix_online_destroy(campaign->one);
    free(campaign->entries);
    free(campaign->setting_keys);
    free(campaign->tasks.task);
    free(campaign->known);
}

enum mix_status mix_campaign_run(struct mix_ranks *ranks, const struct mix_job *job,
                                 struct mix_online *online,
                                 const struct mix_campaign_options *options, struct mix_error *err)
{
    struct campaign campaign = {.ranks = ranks, .job = job, .options = options, .online = online};
    enum mix_status status = open_campaign(&campaign, err);
    status = mix_ranks_agree(ranks, status, err);
    if (status == MIX_OK)
        status = run_stage(&campaign, "static runs", campaign_plan_static, true, err);
    if (status == MIX_OK)
        status = run_stage(&campaign, "steered runs", campaign_plan_steered, false, err);
    if (status == MIX_OK)
        status = run_stage(&campaign, "final runs", campaign_plan_final, false, err);
    if (status == MIX_OK && job->online.analysis)
        status = run_stage(&campaign, "analysis", campaign_plan_analysis, false, err);
    if (status == MIX_OK)
        status = share_known(&campaign, err);
    if (status == MIX_OK && online != NULL) {
        status = campaign_add_finals(&campaign, err);
        if (status == MIX_OK)
            status = mix_online_sort(online, err);
    }
    status = mix_ranks_agree(ranks, status, err);
    close_campaign(&campaign);
    return status;
}
