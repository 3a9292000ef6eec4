/* SPDX-License-Identifier: GPL-3.0-or-later */
/* children.c - a sweep by an evaluator whose runs are child processes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sweep/places.h"
#include "sweep/result.h"
#include "sweep/sweep_impl.h"

/* The farm's context. */
struct farming {
    struct mix_sweep *sweep;
    struct mix_places places;
};

/* A run that is looked after here. */
struct child_run {
    struct mix_request request;
    char host[MIX_NAME_MAX];
    void *run; /* the evaluator's; NULL = it has ended */
};

static enum mix_status start(void *context, size_t task, const struct mix_placement *placement,
                             void **run, struct mix_error *err)
{
    struct farming *farming = context;
    const struct mix_sweep *sweep = farming->sweep;
    struct mix_seat seat = {0};
    struct child_run *child = calloc(1, sizeof *child);
    if (!child)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a run.");
    child->request = mix_sweep_request(sweep, task, placement->attempt);
    snprintf(child->host, sizeof child->host, "%s",
             farming->places.place[placement->place[0]].host);
    enum mix_status status = mix_seat_make(&farming->places, placement, &seat, err);
    if (status == MIX_OK)
        status = sweep->evaluator->start(sweep->state, &child->request, &seat, &child->run, err);
    mix_seat_clear(&seat);
    if (status == MIX_OK)
        *run = child;
    else
        free(child);
    return status;
}

static enum mix_status check(void *context, void *run, bool stop, struct mix_attempt_end *end,
                             struct mix_error *err)
{
    const struct farming *farming = context;
    struct mix_sweep *sweep = farming->sweep;
    struct child_run *child = run;
    mix_result_drop(sweep->rows, 0);
    enum mix_status status =
        sweep->evaluator->check(sweep->state, child->run, stop, end, sweep->rows, err);
    if (status != MIX_OK || end->what == MIX_ATTEMPT_RUNNING)
        return status;
    child->run = NULL;
    if (sweep->rows->n_rows > 0) {
        status = mix_sweep_pack(sweep, child->host, &end->record, &end->n_record, err);
        end->objective = mix_sweep_objective(sweep, &child->request);
    }
    if (status == MIX_OK)
        free(child);
    return status;
}

static int descriptor(void *context, void *run, double *check_s)
{
    const struct mix_sweep *sweep = ((struct farming *)context)->sweep;
    return sweep->evaluator->descriptor(sweep->state, ((struct child_run *)run)->run, check_s);
}

static void abandon(void *context, void *run)
{
    const struct mix_sweep *sweep = ((struct farming *)context)->sweep;
    struct child_run *child = run;
    if (child->run)
        sweep->evaluator->abandon(sweep->state, child->run);
    free(child);
}

/* ---- rank 0 */

static int class_of(void *context, size_t task)
{
    return ((struct farming *)context)->sweep->follower->marks->scale[task];
}

static int attempt_of(void *context, size_t task)
{
    return ((struct farming *)context)->sweep->follower->marks->failures[task] + 1;
}

static enum mix_status ended(void *context, size_t task, const struct mix_attempt_end *end,
                             struct mix_error *err)
{
    (void)err;
    mix_follower_end(context, task, end);
    return MIX_OK;
}

static void progress(void *context, const struct mix_packer *packer, double elapsed_s)
{
    mix_follower_tick(context, mix_packer_n_running(packer), elapsed_s,
                      mix_packer_left_s(packer, mix_clock_s()));
}

struct mix_task_class *mix_sweep_classes(const struct mix_job *job)
{
    struct mix_task_class *classes = calloc(job->n_scales, sizeof *classes);
    for (size_t s = 0; classes && s < job->n_scales; s++) {
        const struct mix_job_scale *scale = &job->scales[s];
        const struct mix_job_resources *is = &scale->resources;
        classes[s] =
            (struct mix_task_class){.demand = {.n_nodes = is->n_nodes > 1 ? is->n_nodes : 1,
                                               .cpus = is->cpus,
                                               .gpus = is->gpus,
                                               .mem_bytes = is->mem_bytes},
                                    .declared_s = is->wall_s > 0 ? is->wall_s : NAN,
                                    .cost = mix_job_flops(scale),
                                    .resumable = job->command.resumable};
        snprintf(classes[s].name, sizeof classes[s].name, "runs of %.4g parameters",
                 scale->n_params);
    }
    return classes;
}

enum mix_status mix_sweep_children(struct mix_sweep *sweep, double stop_s, struct mix_error *err)
{
    const struct mix_job *job = sweep->job;
    struct mix_follower *follower = sweep->follower;
    struct farming farming = {.sweep = sweep};
    struct mix_task_class *classes = mix_sweep_classes(job);
    enum mix_status status =
        classes ? MIX_OK : mix_fail(err, MIX_ENOMEM, "out of memory for the scales.");
    status = mix_ranks_agree(sweep->ranks, status, err);
    if (status == MIX_OK)
        status = mix_places_find(sweep->ranks, job, &farming.places, err);
    if (status != MIX_OK)
        goto out;
    struct mix_farm farm = {.name = "sweep",
                            .n_tasks = mix_plan_n_runs(sweep->plan),
                            .context = &farming,
                            .start = start,
                            .check = check,
                            .descriptor = descriptor,
                            .abandon = abandon};
    if (follower) {
        farm.places = farming.places.place;
        farm.n_places = farming.places.n;
        farm.classes = classes;
        farm.n_classes = (int)job->n_scales;
        farm.class_of = class_of;
        farm.attempt_of = attempt_of;
        farm.done = follower->marks->done;
        farm.stop_s = stop_s;
        farm.max_failures = (int)job->command.max_failures;
        farm.log_kind = MIX_LOG_RESULT;
        farm.log_dir = mix_store_log_dir(follower->store);
        farm.ended = ended;
        farm.progress = progress;
        farm.rank0_context = follower;
    }
    status = mix_farm_run(sweep->ranks, &farm, err);
out:
    mix_places_clear(&farming.places);
    free(classes);
    return status;
}
