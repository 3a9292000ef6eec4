/* SPDX-License-Identifier: GPL-3.0-or-later */
/* packer_make.c - a packer without tasks: what there is, what is asked for, and whether it fits. */
#include "task/packer.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>

enum { GPUS_MAX = 64, CAPACITY_MAX = 1 << 16 };

static struct amounts need_of(const struct mix_demand *demand)
{
    return (struct amounts){{[SLOTS] = 1,
                             [CPUS] = demand->cpus,
                             [GPUS] = demand->gpus,
                             [MEMORY] = (int64_t)ceil(demand->mem_bytes)}};
}

static struct amounts room_of(const struct mix_place *place)
{
    return (struct amounts){
        {[SLOTS] = place->slots > 0 ? place->slots : MIX_UNCOUNTED,
         [CPUS] = place->cpus > 0 ? place->cpus : MIX_UNCOUNTED,
         [GPUS] = place->gpus,
         [MEMORY] = place->mem_bytes > 0 ? (int64_t)place->mem_bytes : MIX_UNCOUNTED}};
}

/* Tasks of a need that a room holds at once. */
static int64_t capacity(const struct amounts *room, const struct amounts *need)
{
    int64_t n = MIX_UNCOUNTED;
    for (int i = 0; i < N_RESOURCES; i++)
        if (need->of[i] > 0 && room->of[i] / need->of[i] < n)
            n = room->of[i] / need->of[i];
    return n;
}

static enum mix_status check_places(const struct mix_place *places, int n_places,
                                    struct mix_error *err)
{
    if (n_places < 1)
        return mix_fail(err, MIX_EINVAL, "there is no place to run tasks on");
    for (int p = 0; p < n_places; p++) {
        const struct mix_place *place = &places[p];
        if (place->gpus < 0 || place->gpus > GPUS_MAX || place->cpus < 0 || place->slots < 0 ||
            !(place->mem_bytes >= 0) || !(place->mem_bytes < 9e18))
            return mix_fail(err, MIX_EINVAL,
                            "place %d (%s): %d slots, %d CPUs, %d GPUs, %g bytes; none may be "
                            "negative, and a place has at most %d GPUs",
                            p, place->host, place->slots, place->cpus, place->gpus,
                            place->mem_bytes, GPUS_MAX);
    }
    return MIX_OK;
}

static const char *name_of(const struct mix_task_class *class_)
{
    return class_->name[0] != '\0' ? class_->name : "tasks";
}

static enum mix_status check_demand(const struct mix_task_class *class_, struct mix_error *err)
{
    const struct mix_demand *demand = &class_->demand;
    if (demand->n_nodes >= 1 && demand->cpus >= 0 && demand->gpus >= 0 && demand->mem_bytes >= 0 &&
        demand->mem_bytes < 9e18)
        return MIX_OK;
    return mix_fail(err, MIX_EINVAL,
                    "%s: %d nodes, %d CPUs, %d GPUs, %g bytes; a task needs at least one node, and "
                    "nothing may be negative",
                    name_of(class_), demand->n_nodes, demand->cpus, demand->gpus,
                    demand->mem_bytes);
}

static enum mix_status fail_fit(const struct mix_place *places, int n_places,
                                const struct mix_task_class *class_, int n_fit,
                                struct mix_error *err)
{
    const struct mix_demand *demand = &class_->demand;
    int cpus = 0, gpus = 0;
    double mem_bytes = 0;
    for (int p = 0; p < n_places; p++) {
        cpus = places[p].cpus > cpus ? places[p].cpus : cpus;
        gpus = places[p].gpus > gpus ? places[p].gpus : gpus;
        mem_bytes = fmax(mem_bytes, places[p].mem_bytes);
    }
    return mix_fail(err, MIX_EINVAL,
                    "%s need %d nodes with %d CPUs, %d GPUs and %.3g GB each; of %d places %d can "
                    "hold such a task (the largest have %d CPUs, %d GPUs, %.3g GB; 0 CPUs or GB = "
                    "not counted)",
                    name_of(class_), demand->n_nodes, demand->cpus, demand->gpus,
                    1e-9 * demand->mem_bytes, n_places, n_fit, cpus, gpus, 1e-9 * mem_bytes);
}

/* How many tasks of a class can run at once when nothing else does. */
static enum mix_status count_seats(const struct mix_place *places, int n_places,
                                   struct task_class *class_, struct mix_error *err)
{
    int64_t n_shares = 0;
    int n_fit = 0;
    for (int p = 0; p < n_places; p++) {
        const struct amounts room = room_of(&places[p]);
        const int64_t n = capacity(&room, &class_->need);
        if (n > CAPACITY_MAX)
            return mix_fail(err, MIX_EINVAL,
                            "%s ask for nothing that is known and counted of place %d (%s): any "
                            "number would run there at once; give it slots",
                            name_of(&class_->is), p, places[p].host);
        n_shares += n;
        n_fit += n > 0;
    }
    if (n_fit < class_->is.demand.n_nodes)
        return fail_fit(places, n_places, &class_->is, n_fit, err);
    if (n_shares > INT_MAX / 2)
        return mix_fail(err, MIX_EINVAL, "%d places hold %lld %s at once", n_places,
                        (long long)n_shares, name_of(&class_->is));
    class_->n_seats = (int)(n_shares / class_->is.demand.n_nodes);
    return MIX_OK;
}

static bool allocate_seats(struct task_class *class_)
{
    const size_t n = (size_t)class_->n_seats, n_shares = n * (size_t)class_->is.demand.n_nodes;
    class_->runs = calloc(n, sizeof *class_->runs);
    class_->places = calloc(n_shares, sizeof *class_->places);
    class_->gpus = calloc(n_shares, sizeof *class_->gpus);
    if (class_->runs == NULL || class_->places == NULL || class_->gpus == NULL)
        return false;
    for (int seat = 0; seat < class_->n_seats; seat++)
        class_->runs[seat] = (struct run){.task = SIZE_MAX, .next_free = seat + 1};
    return true; /* free_seat = n_seats: none is free */
}

static bool allocate(struct mix_packer *packer, const struct mix_place *places)
{
    const size_t n_places = (size_t)packer->n_places, n_classes = (size_t)packer->n_classes;
    size_t n_seats = 0;
    for (int c = 0; c < packer->n_classes; c++) {
        if (!allocate_seats(&packer->classes[c]))
            return false;
        n_seats += (size_t)packer->classes[c].n_seats;
    }
    packer->n_index_words = (int)(n_seats / 64 + 1);
    packer->places = calloc(n_places, sizeof *packer->places);
    packer->order = calloc(n_classes + 1, sizeof *packer->order);
    packer->blocked = calloc(n_classes + 1, sizeof *packer->blocked);
    packer->later = calloc(n_places, sizeof *packer->later);
    packer->events = calloc(n_places + n_seats, sizeof *packer->events);
    packer->chosen = calloc(n_places, sizeof *packer->chosen);
    packer->indices = calloc((size_t)packer->n_index_words, sizeof *packer->indices);
    if (packer->places == NULL || packer->order == NULL || packer->blocked == NULL ||
        packer->later == NULL || packer->events == NULL || packer->chosen == NULL ||
        packer->indices == NULL)
        return false;
    for (size_t p = 0; p < n_places; p++)
        packer->places[p] = (struct place){.room = room_of(&places[p]),
                                           .free_gpus = places[p].gpus < GPUS_MAX
                                                            ? (UINT64_C(1) << places[p].gpus) - 1
                                                            : UINT64_MAX,
                                           .back_s = -INFINITY};
    for (int c = 0; c < packer->n_classes; c++)
        packer->order[c] = c;
    return true;
}

enum mix_status mix_packer_create(const struct mix_place *places, int n_places,
                                  const struct mix_task_class *classes, int n_classes,
                                  struct mix_packer **out, struct mix_error *err)
{
    enum mix_status status = check_places(places, n_places, err);
    if (status != MIX_OK)
        return status;
    struct mix_packer *packer = calloc(1, sizeof *packer);
    if (packer == NULL)
        goto no_memory;
    packer->n_places = n_places;
    packer->classes = calloc((size_t)n_classes + 1, sizeof *packer->classes);
    if (packer->classes == NULL)
        goto no_memory;
    packer->n_classes = n_classes;
    for (int c = 0; c < n_classes && status == MIX_OK; c++) {
        struct task_class *class_ = &packer->classes[c];
        *class_ = (struct task_class){.is = classes[c], .head = MIX_NONE, .tail = MIX_NONE};
        status = check_demand(&class_->is, err);
        class_->need = need_of(&class_->is.demand);
        if (status == MIX_OK)
            status = count_seats(places, n_places, class_, err);
    }
    if (status != MIX_OK)
        goto out;
    if (allocate(packer, places)) {
        *out = packer;
        return MIX_OK;
    }
no_memory:
    status = mix_fail(err, MIX_ENOMEM, "out of memory for %d places and %d kinds of tasks",
                      n_places, n_classes);
out:
    mix_packer_destroy(packer);
    return status;
}

void mix_packer_destroy(struct mix_packer *packer)
{
    if (packer == NULL)
        return;
    for (int c = 0; c < packer->n_classes; c++) {
        free(packer->classes[c].runs);
        free(packer->classes[c].places);
        free(packer->classes[c].gpus);
    }
    free(packer->classes);
    free(packer->places);
    free(packer->order);
    free(packer->blocked);
    free(packer->later);
    free(packer->events);
    free(packer->chosen);
    free(packer->indices);
    free(packer->entries);
    free(packer->heap);
    free(packer);
}
