/* SPDX-License-Identifier: GPL-3.0-or-later */
/* campaign_plan.c - which trainings a campaign consists of, stage by stage, and what each is known
 * by. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "online/campaign_impl.h"

enum { INITIAL_SHARE = 20 }; /* S / 20 initial steps: the released scripts' 250 of 5000 */
static const char aioli[] = "aioli";

/* ---- entries */

static bool has_extra(const struct mix_method *method)
{
    return method->plan != NULL || method->kind == MIX_METHOD_PROXY;
}

enum mix_status campaign_entries(const struct mix_job *job, struct mix_online_entry **out,
                                 size_t *n_out, struct mix_error *err)
{
    const struct mix_job_online *online = &job->online;
    struct mix_online_entry *entries = calloc(3 * online->n_methods + 1, sizeof *entries);
    size_t n = 0;
    if (entries == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu methods", online->n_methods);
    for (size_t i = 0; i < online->n_methods; i++)
        entries[n++] = (struct mix_online_entry){.method = online->methods[i], .after = ""};
    for (size_t i = 0; online->restricted && i < online->n_methods; i++) {
        const struct mix_method *method = mix_method_find(online->methods[i]);
        if (method == NULL || !has_extra(method))
            continue;
        entries[n++] =
            (struct mix_online_entry){.method = method->name, .after = "", .restricted = true};
        entries[n++] =
            (struct mix_online_entry){.method = aioli, .after = method->name, .restricted = true};
    }
    *out = entries;
    *n_out = n;
    return MIX_OK;
}

struct campaign_case campaign_case_of(const struct mix_online_entry *entry, size_t setting,
                                      uint64_t seed)
{
    return (struct campaign_case){.setting = setting,
                                  .seed = seed,
                                  .method = mix_method_find(entry->method),
                                  .after = entry->after[0] != '\0' ? mix_method_find(entry->after)
                                                                   : NULL,
                                  .restricted = entry->restricted};
}

/* ---- setups */

static void set_count(double given, size_t *option)
{
    if (!isnan(given))
        *option = (size_t)given;
}

static void set_number(double given, double *option)
{
    if (!isnan(given))
        *option = given;
}

struct mix_method_options mix_campaign_method_options(const struct mix_job *job, size_t n_groups)
{
    const struct mix_job_mixer *given = &job->online.mixer;
    struct mix_method_options options = mix_online_defaults(n_groups, job->online.n_steps);
    if (!isnan(given->rounds)) /* fewer rounds, longer strides */
        options.eta *= (double)options.n_rounds / given->rounds;
    set_count(given->rounds, &options.n_rounds);
    set_count(given->interval, &options.interval);
    set_count(given->sweeps, &options.n_sweeps);
    set_number(given->smoothing, &options.smoothing);
    set_number(given->eta, &options.eta);
    set_number(given->ema, &options.ema);
    set_number(given->skillit_eta, &options.skillit_eta);
    set_count(given->skillit_window, &options.skillit_window);
    set_count(given->skillit_updates, &options.skillit_updates);
    set_number(given->doremi_rate, &options.doremi_rate);
    set_number(given->doremi_smoothing, &options.doremi_smoothing);
    set_number(given->doge_mu, &options.doge_mu);
    set_number(given->doge_smoothing, &options.doge_smoothing);
    set_count(given->proxy_every, &options.proxy_every);
    set_count(given->static_runs, &options.n_static);
    return options;
}

struct mix_method_setup campaign_setup(const struct campaign *campaign,
                                       const struct campaign_case *which, bool after)
{
    const struct mix_job *job = campaign->job;
    const size_t m = job->online.settings[which->setting].n_groups;
    const bool is_learnt_short = which->restricted && (after || which->after == NULL);
    return (struct mix_method_setup){
        .n_groups = m,
        .n_steps = job->online.n_steps,
        .budget = is_learnt_short ? job->online.n_steps / 2 : 0,
        .seed = mix_key_make(job->seed, "online method", &which->seed, sizeof which->seed).lo,
        .options = mix_campaign_method_options(job, m)};
}

/* ---- identities */

static struct mix_key make_key(const struct campaign *campaign, size_t setting, uint64_t seed,
                               const char *method, const char *after, bool restricted,
                               enum mix_online_role role, uint64_t n_steps, const double *mixture)
{
    struct {
        struct mix_key options, setting;
        uint64_t role, restricted, seed, n_steps;
        char method[MIX_UNIT_MAX], after[MIX_UNIT_MAX];
        double mixture[MIX_GROUPS_MAX];
    } what;
    memset(&what, 0, sizeof what);
    what.options = campaign->options_key;
    what.setting = campaign->setting_keys[setting];
    what.role = (uint64_t)role;
    what.restricted = restricted;
    what.seed = seed;
    what.n_steps = n_steps;
    snprintf(what.method, sizeof what.method, "%s", method);
    snprintf(what.after, sizeof what.after, "%s", after);
    if (mixture != NULL)
        memcpy(what.mixture, mixture,
               campaign->job->online.settings[setting].n_groups * sizeof *mixture);
    return mix_key_make(campaign->job->seed, "online run", &what, sizeof what);
}

struct mix_key campaign_key(const struct campaign *campaign, const struct campaign_case *which,
                            enum mix_online_role role, uint64_t n_steps, const double *mixture)
{
    return make_key(campaign, which->setting, which->seed, which->method->name,
                    which->after != NULL ? which->after->name : "", which->restricted, role,
                    n_steps, mixture);
}

struct mix_key campaign_static_key(const struct campaign *campaign, size_t setting, uint64_t seed,
                                   uint64_t n_steps, const double *mixture)
{
    return make_key(campaign, setting, seed, "", "", false, MIX_ONLINE_STATIC, n_steps, mixture);
}

static int compare_known(const void *left, const void *right)
{
    const struct campaign_known *a = left, *b = right;
    if (a->key.hi != b->key.hi)
        return a->key.hi < b->key.hi ? -1 : 1;
    return a->key.lo == b->key.lo ? 0 : a->key.lo < b->key.lo ? -1 : 1;
}

const struct campaign_known *campaign_find(const struct campaign *campaign, struct mix_key key)
{
    const struct campaign_known wanted = {.key = key};
    if (campaign->n_known == 0)
        return NULL;
    return bsearch(&wanted, campaign->known, campaign->n_known, sizeof *campaign->known,
                   compare_known);
}

/* ---- methods, made ready from what is known */

/* The static runs that a method wants, with the losses of those that are known. */
static enum mix_status take_statics(const struct campaign *campaign,
                                    const struct campaign_case *which, bool after,
                                    struct mix_method_setup *setup, struct mix_static_run **statics,
                                    uint64_t *n_evaluations, struct mix_error *err)
{
    const struct mix_method *method = after ? which->after : which->method;
    const size_t bytes = setup->n_groups * sizeof(double);
    size_t n = 0;
    const enum mix_status status = mix_method_plan(method, setup, statics, &n, err);
    for (size_t r = 0; status == MIX_OK && r < n; r++) {
        struct mix_static_run *run = &(*statics)[r];
        const struct campaign_known *known =
            campaign_find(campaign, campaign_static_key(campaign, which->setting, which->seed,
                                                        run->n_steps, run->mixture));
        if (known == NULL)
            return mix_fail(err, MIX_EINVAL, "%s: a static run of its plan is not there",
                            method->name);
        memcpy(run->loss_start, known->loss_start, bytes);
        memcpy(run->loss_end, known->loss_end, bytes);
        *n_evaluations += known->n_evaluations;
    }
    setup->statics = *statics;
    setup->n_static = n;
    return status;
}

static enum mix_status begin_after(const struct campaign *campaign,
                                   const struct campaign_case *which, const double *initial,
                                   struct mix_method_setup *setup, struct campaign_mixer *out,
                                   struct mix_error *err)
{
    setup->initial_steps = setup->n_steps / INITIAL_SHARE > 0 ? setup->n_steps / INITIAL_SHARE : 1;
    if (which->after->kind != MIX_METHOD_DYNAMIC) {
        setup->initial = initial;
        return MIX_OK;
    }
    struct mix_method_setup before = campaign_setup(campaign, which, true);
    enum mix_status status = take_statics(campaign, which, true, &before, &out->initial_statics,
                                          &out->n_evaluations, err);
    if (status == MIX_OK)
        status = mix_mixer_create(which->after, &before, &out->initial, err);
    setup->initial_mixer = out->initial;
    return status;
}

enum mix_status campaign_mixer_open(const struct campaign *campaign,
                                    const struct campaign_case *which, const double *initial,
                                    struct campaign_mixer *out, struct mix_error *err)
{
    struct mix_method_setup setup = campaign_setup(campaign, which, false);
    *out = (struct campaign_mixer){.mixer = NULL};
    enum mix_status status =
        take_statics(campaign, which, false, &setup, &out->statics, &out->n_evaluations, err);
    if (status == MIX_OK && which->after != NULL)
        status = begin_after(campaign, which, initial, &setup, out, err);
    if (status == MIX_OK)
        status = mix_mixer_create(which->method, &setup, &out->mixer, err);
    if (status != MIX_OK)
        campaign_mixer_close(out);
    return status;
}

void campaign_mixer_close(struct campaign_mixer *mixer)
{
    mix_mixer_destroy(mixer->mixer);
    mix_mixer_destroy(mixer->initial);
    mix_static_runs_destroy(mixer->statics);
    mix_static_runs_destroy(mixer->initial_statics);
    *mixer = (struct campaign_mixer){.mixer = NULL};
}

enum mix_status campaign_result(const struct campaign *campaign, const struct campaign_case *which,
                                double *mixture, struct mix_error *err)
{
    struct campaign_mixer mixer;
    if (which->method->kind == MIX_METHOD_PROXY) {
        const struct campaign_known *known =
            campaign_find(campaign, campaign_key(campaign, which, MIX_ONLINE_PROXY, 0, NULL));
        if (known == NULL || !isfinite(known->found[0]))
            return mix_fail(err, MIX_ENUMERIC, "%s: its proxy run has no mixture",
                            which->method->name);
        memcpy(mixture, known->found, sizeof known->found);
        return MIX_OK;
    }
    enum mix_status status = campaign_mixer_open(campaign, which, NULL, &mixer, err);
    if (status != MIX_OK)
        return status;
    status = which->method->result(mixer.mixer, mixture, err);
    campaign_mixer_close(&mixer);
    return status;
}

/* ---- tasks */

static enum mix_status add_task(struct campaign *campaign, const struct campaign_task *task,
                                struct mix_error *err)
{
    struct campaign_tasks *tasks = &campaign->tasks;
    if (tasks->n == tasks->capacity) {
        const size_t capacity = tasks->n < 64 ? 64 : 2 * tasks->n;
        struct campaign_task *larger = realloc(tasks->task, capacity * sizeof *larger);
        if (larger == NULL)
            return mix_fail(err, MIX_ENOMEM, "out of memory for %zu trainings", capacity);
        tasks->task = larger;
        tasks->capacity = capacity;
    }
    tasks->task[tasks->n++] = *task;
    return MIX_OK;
}

static enum mix_status add_static(struct campaign *campaign, size_t setting, uint64_t seed,
                                  uint64_t n_steps, const double *mixture, struct mix_error *err)
{
    const size_t m = campaign->job->online.settings[setting].n_groups;
    struct campaign_task task;
    memset(&task, 0, sizeof task);
    task.key = campaign_static_key(campaign, setting, seed, n_steps, mixture);
    task.setting = (uint32_t)setting;
    task.role = MIX_ONLINE_STATIC;
    task.is_static = 1;
    task.method = task.after = -1;
    task.seed = seed;
    task.n_steps = n_steps;
    task.cost = (double)n_steps;
    memcpy(task.mixture, mixture, m * sizeof *mixture);
    return add_task(campaign, &task, err);
}

static int32_t index_of(const struct mix_method *method)
{
    int32_t i = 0;
    while (mix_method_get((size_t)i) != NULL && mix_method_get((size_t)i) != method)
        i++;
    return method != NULL ? i : -1;
}

static enum mix_status add_steered(struct campaign *campaign, const struct campaign_case *which,
                                   const double *initial, struct mix_error *err)
{
    const size_t m = campaign->job->online.settings[which->setting].n_groups;
    struct campaign_task task;
    memset(&task, 0, sizeof task);
    task.role = which->method->kind == MIX_METHOD_PROXY ? MIX_ONLINE_PROXY : MIX_ONLINE_FINAL;
    task.key = campaign_key(campaign, which, (enum mix_online_role)task.role, 0, initial);
    task.setting = (uint32_t)which->setting;
    task.restricted = which->restricted;
    task.method = index_of(which->method);
    task.after = index_of(which->after);
    task.seed = which->seed;
    task.n_steps = campaign->job->online.n_steps;
    task.cost = 3 * (double)task.n_steps; /* evaluations and gradients too */
    if (initial != NULL)
        memcpy(task.mixture, initial, m * sizeof *initial);
    return add_task(campaign, &task, err);
}

/* The dearest first; each training once. */
static int compare_tasks(const void *left, const void *right)
{
    const struct campaign_task *a = left, *b = right;
    if (a->cost != b->cost)
        return a->cost > b->cost ? -1 : 1;
    if (a->key.hi != b->key.hi)
        return a->key.hi < b->key.hi ? -1 : 1;
    return a->key.lo == b->key.lo ? 0 : a->key.lo < b->key.lo ? -1 : 1;
}

static void order_tasks(struct campaign_tasks *tasks)
{
    size_t n = 0;
    if (tasks->n > 1)
        qsort(tasks->task, tasks->n, sizeof *tasks->task, compare_tasks);
    for (size_t i = 0; i < tasks->n; i++)
        if (n == 0 || compare_tasks(&tasks->task[i], &tasks->task[n - 1]) != 0)
            tasks->task[n++] = tasks->task[i];
    tasks->n = n;
}

/* Do something for every entry in every setting with every seed. */
typedef enum mix_status (*case_fn)(struct campaign *campaign, const struct campaign_case *which,
                                   struct mix_error *err);

static enum mix_status for_all(struct campaign *campaign, case_fn fn, struct mix_error *err)
{
    const struct mix_job_online *online = &campaign->job->online;
    enum mix_status status = MIX_OK;
    for (size_t s = 0; s < online->n_settings; s++)
        for (uint64_t seed = 0; seed < online->n_seeds; seed++)
            for (size_t e = 0; e < campaign->n_entries && status == MIX_OK; e++) {
                const struct campaign_case which = campaign_case_of(&campaign->entries[e], s, seed);
                status = fn(campaign, &which, err);
            }
    return status;
}

static enum mix_status plan(struct campaign *campaign, case_fn fn, struct mix_error *err)
{
    campaign->tasks.n = 0;
    const enum mix_status status = for_all(campaign, fn, err);
    order_tasks(&campaign->tasks);
    return status;
}

static enum mix_status add_statics(struct campaign *campaign, const struct campaign_case *which,
                                   const struct mix_static_run *runs, size_t n,
                                   struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    for (size_t r = 0; r < n && status == MIX_OK; r++)
        status = add_static(campaign, which->setting, which->seed, runs[r].n_steps, runs[r].mixture,
                            err);
    return status;
}

static enum mix_status plan_grid(struct campaign *campaign, const struct campaign_case *which,
                                 struct mix_error *err)
{
    struct mix_static_run *runs = NULL;
    size_t n = 0;
    enum mix_status status = campaign_grid(campaign, which, &runs, &n, err);
    if (status == MIX_OK)
        status = add_statics(campaign, which, runs, n, err);
    mix_static_runs_destroy(runs);
    return status;
}

/* A method that asks for nothing has its mixture at once. */
static enum mix_status plan_statics_of(struct campaign *campaign, const struct campaign_case *which,
                                       struct mix_error *err)
{
    const struct mix_method_setup setup = campaign_setup(campaign, which, false);
    struct mix_static_run *runs = NULL;
    size_t n = 0;
    if (which->after != NULL)
        return MIX_OK;
    enum mix_status status = mix_method_plan(which->method, &setup, &runs, &n, err);
    if (status == MIX_OK)
        status = add_statics(campaign, which, runs, n, err);
    mix_static_runs_destroy(runs);
    if (status == MIX_OK && campaign->job->online.analysis && which->method == mix_method_get(0))
        status = plan_grid(campaign, which, err);
    if (status != MIX_OK || n > 0 || which->method->kind != MIX_METHOD_STATIC)
        return status;
    double mixture[MIX_GROUPS_MAX];
    status = campaign_result(campaign, which, mixture, err);
    return status == MIX_OK
               ? add_static(campaign, which->setting, which->seed, setup.n_steps, mixture, err)
               : status;
}

enum mix_status campaign_plan_static(struct campaign *campaign, struct mix_error *err)
{
    return plan(campaign, plan_statics_of, err);
}

static enum mix_status plan_steered_of(struct campaign *campaign, const struct campaign_case *which,
                                       struct mix_error *err)
{
    if (which->method->kind == MIX_METHOD_STATIC || which->after != NULL)
        return MIX_OK;
    return add_steered(campaign, which, NULL, err);
}

enum mix_status campaign_plan_steered(struct campaign *campaign, struct mix_error *err)
{
    return plan(campaign, plan_steered_of, err);
}

/* What a method that comes before Aioli ends with; none where it is dynamic. */
static struct campaign_case case_before(const struct campaign_case *which)
{
    struct campaign_case before = *which;
    before.method = which->after;
    before.after = NULL;
    return before;
}

static enum mix_status plan_final_of(struct campaign *campaign, const struct campaign_case *which,
                                     struct mix_error *err)
{
    double mixture[MIX_GROUPS_MAX];
    struct campaign_case learner = which->after != NULL ? case_before(which) : *which;
    if (learner.method->kind == MIX_METHOD_DYNAMIC)
        return which->after != NULL ? add_steered(campaign, which, NULL, err) : MIX_OK;
    const enum mix_status status = campaign_result(campaign, &learner, mixture, err);
    if (status == MIX_ENUMERIC) /* what it learnt from has diverged: there is nothing to judge */
        return MIX_OK;
    if (status != MIX_OK)
        return status;
    return which->after != NULL ? add_steered(campaign, which, mixture, err)
                                : add_static(campaign, which->setting, which->seed,
                                             campaign->job->online.n_steps, mixture, err);
}

enum mix_status campaign_plan_final(struct campaign *campaign, struct mix_error *err)
{
    return plan(campaign, plan_final_of, err);
}

/* ---- analysis */

enum mix_status campaign_grid(const struct campaign *campaign, const struct campaign_case *which,
                              struct mix_static_run **runs, size_t *n_runs, struct mix_error *err)
{
    const struct campaign_case plain = {.setting = which->setting, .seed = which->seed};
    const struct mix_method_setup setup = campaign_setup(campaign, &plain, false);
    return mix_method_plan(mix_method_find("grid"), &setup, runs, n_runs, err);
}

/* What static runs show stands under grid, once for all methods. */
static enum mix_status plan_analysis_of(struct campaign *campaign,
                                        const struct campaign_case *which, struct mix_error *err)
{
    const bool is_first = which->method == mix_method_get(0);
    struct campaign_task task;
    struct campaign_case as = *which;
    if (which->after != NULL || which->restricted ||
        (which->method->kind == MIX_METHOD_STATIC && !is_first))
        return MIX_OK;
    if (is_first)
        as.method = mix_method_find("grid");
    memset(&task, 0, sizeof task);
    task.role = MIX_ONLINE_ANALYSIS;
    task.key = campaign_key(campaign, &as, MIX_ONLINE_ANALYSIS, 0, NULL);
    task.setting = (uint32_t)which->setting;
    task.method = index_of(as.method);
    task.after = -1;
    task.seed = which->seed;
    task.n_steps = campaign->job->online.n_steps;
    task.cost = is_first ? 1 : 6 * (double)task.n_steps;
    return add_task(campaign, &task, err);
}

enum mix_status campaign_plan_analysis(struct campaign *campaign, struct mix_error *err)
{
    return plan(campaign, plan_analysis_of, err);
}

/* ---- what methods are judged by */

/* Evaluations in what a method learnt from. */
static uint64_t evaluations_before(const struct campaign *campaign,
                                   const struct campaign_case *which, struct mix_error *err)
{
    struct mix_method_setup setup = campaign_setup(campaign, which, false);
    struct mix_static_run *statics = NULL;
    uint64_t n = 0;
    if (which->method->kind == MIX_METHOD_PROXY) {
        const struct campaign_known *known =
            campaign_find(campaign, campaign_key(campaign, which, MIX_ONLINE_PROXY, 0, NULL));
        return known != NULL ? known->n_evaluations : 0;
    }
    (void)take_statics(campaign, which, false, &setup, &statics, &n, err);
    mix_static_runs_destroy(statics);
    return n;
}

/* Row `from` once more, under another key. */
static enum mix_status copy_row(struct mix_online *online, size_t from,
                                const struct mix_online_run *as, struct mix_error *err)
{
    const struct mix_online_head head = mix_online_head(online);
    const size_t n_bytes =
        mix_online_record_bytes(online->n_groups, online->n_points, online->n_rounds);
    void *record = malloc(n_bytes);
    if (record == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a record of %zu bytes", n_bytes);
    mix_online_pack(online, from, record);
    memcpy(record, as, sizeof *as);
    const enum mix_status status =
        mix_online_take(online, &head, sizeof head, record, n_bytes, err);
    free(record);
    return status;
}

/* The seconds of a method that learns in a proxy run are spent there. */
static void add_proxy_times(const struct campaign *campaign, const struct campaign_case *which,
                            struct mix_online_run *run)
{
    const size_t row =
        which->method->kind == MIX_METHOD_PROXY
            ? mix_online_find(campaign->online,
                              campaign_key(campaign, which, MIX_ONLINE_PROXY, 0, NULL))
            : SIZE_MAX;
    if (row == SIZE_MAX)
        return;
    run->mixer_s += campaign->online->runs[row].mixer_s;
    run->train_s += campaign->online->runs[row].train_s;
    run->measure_s += campaign->online->runs[row].measure_s;
}

static enum mix_status add_final_of(struct campaign *campaign, const struct campaign_case *which,
                                    struct mix_error *err)
{
    double mixture[MIX_GROUPS_MAX];
    const uint64_t n_steps = campaign->job->online.n_steps;
    if (which->after != NULL || which->method->kind == MIX_METHOD_DYNAMIC)
        return MIX_OK;
    const enum mix_status status = campaign_result(campaign, which, mixture, err);
    if (status != MIX_OK)
        return status == MIX_ENUMERIC ? MIX_OK : status;
    const size_t row =
        mix_online_find(campaign->online, campaign_static_key(campaign, which->setting, which->seed,
                                                              n_steps, mixture));
    if (row == SIZE_MAX)
        return MIX_OK;
    const struct mix_method_setup setup = campaign_setup(campaign, which, false);
    struct mix_online_run run = campaign->online->runs[row];
    run.key = campaign_key(campaign, which, MIX_ONLINE_FINAL, n_steps, mixture);
    snprintf(run.method, sizeof run.method, "%s", which->method->name);
    run.role = MIX_ONLINE_FINAL;
    run.restricted = which->restricted;
    run.extra_steps = which->method->extra_steps != NULL ? which->method->extra_steps(&setup) : 0;
    run.n_evaluations += evaluations_before(campaign, which, err);
    add_proxy_times(campaign, which, &run);
    return copy_row(campaign->online, row, &run, err);
}

enum mix_status campaign_add_finals(struct campaign *campaign, struct mix_error *err)
{
    return for_all(campaign, add_final_of, err);
}
