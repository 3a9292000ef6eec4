/* SPDX-License-Identifier: GPL-3.0-or-later */
/* makespan.c - how long a sweep takes where every run lasts as declared: the packer with a clock
 * that jumps from one end of a run to the next. */
#include <math.h>
#include <stdlib.h>

#include "sweep/places.h"
#include "sweep/sweep_impl.h"

/* A run that is on. */
struct running {
    double end_s;
    size_t task;
};

struct clock {
    double now_s;
    struct running *heap; /* (n) the next to end on top */
    size_t n, size;
};

static bool push(struct clock *clock, struct running run)
{
    if (clock->n == clock->size) {
        const size_t size = 2 * clock->size + 64;
        struct running *heap = realloc(clock->heap, size * sizeof *heap);
        if (!heap)
            return false;
        clock->heap = heap;
        clock->size = size;
    }
    size_t at = clock->n++;
    for (; at > 0 && run.end_s < clock->heap[(at - 1) / 2].end_s; at = (at - 1) / 2)
        clock->heap[at] = clock->heap[(at - 1) / 2];
    clock->heap[at] = run;
    return true;
}

static struct running pop(struct clock *clock)
{
    const struct running first = clock->heap[0], last = clock->heap[--clock->n];
    size_t at = 0;
    for (size_t child = 1; child < clock->n; child = 2 * at + 1) {
        child += child + 1 < clock->n && clock->heap[child + 1].end_s < clock->heap[child].end_s;
        if (last.end_s <= clock->heap[child].end_s)
            break;
        clock->heap[at] = clock->heap[child];
        at = child;
    }
    clock->heap[at] = last;
    return first;
}

/* Equal nodes with what the job says of them; where it does not, with the GPUs of the run that
 * takes most. */
static struct mix_place *make_places(const struct mix_job *job, int n_nodes, int slots)
{
    const struct mix_job_command *is = &job->command;
    struct mix_place *places = calloc((size_t)n_nodes, sizeof *places);
    int gpus = is->gpus >= 0 ? is->gpus : 0;
    for (size_t s = 0; is->gpus < 0 && s < job->n_scales; s++)
        gpus = job->scales[s].resources.gpus > gpus ? job->scales[s].resources.gpus : gpus;
    for (int p = 0; places && p < n_nodes; p++)
        places[p] = (struct mix_place){.host = "node",
                                       .slots = slots / n_nodes + (p < slots % n_nodes),
                                       .cpus = is->cpus > 0 ? is->cpus : 0,
                                       .gpus = gpus,
                                       .mem_bytes = is->mem_bytes};
    return places;
}

static enum mix_status play(const struct mix_plan *plan, const uint8_t *over,
                            const struct mix_task_class *classes, struct mix_packer *packer,
                            struct clock *clock, struct mix_error *err)
{
    struct mix_planned planned;
    struct mix_placement placement;
    enum mix_status status = MIX_OK;
    size_t task = 0;
    for (; status == MIX_OK && task < mix_plan_n_runs(plan); task++) {
        if (over && over[task])
            continue;
        mix_plan_run(plan, task, &planned);
        status = mix_packer_add(packer, task, (int)planned.scale, -INFINITY, err);
    }
    while (status == MIX_OK) {
        while (status == MIX_OK &&
               mix_packer_next(packer, clock->now_s, INFINITY, &task, &placement)) {
            mix_plan_run(plan, task, &planned);
            if (!push(clock,
                      (struct running){clock->now_s + classes[planned.scale].declared_s, task}))
                status = mix_fail(err, MIX_ENOMEM, "out of memory for the runs of a plan.");
        }
        if (clock->n == 0)
            break;
        const struct running ended = pop(clock);
        clock->now_s = ended.end_s;
        mix_packer_end(packer, ended.task, clock->now_s, true);
    }
    return status;
}

enum mix_status mix_sweep_makespan(const struct mix_job *job, const struct mix_plan *plan,
                                   const uint8_t *over, int n_nodes, int slots, double *out_s,
                                   struct mix_error *err)
{
    struct clock clock = {.now_s = 0};
    struct mix_packer *packer = NULL;
    struct mix_task_class *classes = mix_sweep_classes(job);
    struct mix_place *places =
        make_places(job, n_nodes, slots > 0 && slots < n_nodes ? n_nodes : slots);
    enum mix_status status = MIX_OK;
    if (!classes || !places)
        status = mix_fail(err, MIX_ENOMEM, "out of memory for %d nodes.", n_nodes);
    if (status == MIX_OK)
        status = mix_packer_create(places, n_nodes, classes, (int)job->n_scales, &packer, err);
    if (status == MIX_OK)
        status = play(plan, over, classes, packer, &clock, err);
    if (status == MIX_OK)
        *out_s = clock.now_s;
    mix_packer_destroy(packer);
    free(clock.heap);
    free(classes);
    free(places);
    return status;
}
