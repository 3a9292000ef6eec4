/* SPDX-License-Identifier: GPL-3.0-or-later */
/* packer_plan.c - which class comes first, and what it may take.
 *
 * The order is by class, longest expected duration first, then by the order in which tasks came.
 *
 * A task that does not fit now could get places reserved as they come free, but draining them
 * leaves them idle. So a class is left to wait until what it still needs, task after task, is about
 * as long as all that is left to do: then any more waiting would make the whole longer. From then
 * on its next task has a reservation: of the earliest time at which the running tasks, as long as
 * expected, leave it enough places, and of these places. Classes behind it fill the gap where they
 * surely end before that time or leave the reserved places what the reservation needs (EASY
 * backfilling: Lifka, "The ANL/IBM SP scheduling system", JSSPP 1995). Where durations are unknown
 * it is reserved at once.
 */
#include "task/packer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Of a class known by its cost alone. */
static const double GUESS_SPREAD = 0.5;
/* A class waits for places to come free by themselves while it needs less than this share of the
 * time that is left. On simulated sweeps with nodes that fail (bench_pack.c) 0, reserve at once,
 * takes 10 % longer than the bound; 0.5 10 %, 0.9 5.7 %, 0.95 5.1 %, 1, reserve at last, 4.9 %. */
static const double WAITING_SHARE = 0.95;
/* What has lasted longer than expected is expected to last this share of it longer. */
static const double OVERDUE_SHARE = 0.1;

/* ---- durations */

/* Of the cost, what one of the processors of a task bears. */
static double cost_share(const struct mix_task_class *is)
{
    const int each = is->demand.gpus > 0 ? is->demand.gpus : is->demand.cpus;
    return is->cost / is->demand.n_nodes / (each > 0 ? each : 1);
}

static double measured_s(const struct task_class *class_)
{
    return class_->learnt.n > 0 ? class_->learnt.mean : class_->is.declared_s;
}

/* Seconds per unit of cost: of finished tasks, else of declared durations; NaN = unknown. */
static double pace_of(const struct mix_packer *packer)
{
    double learnt_s = 0, learnt_cost = 0, declared_s = 0, declared_cost = 0;
    for (int c = 0; c < packer->n_classes; c++) {
        const struct task_class *class_ = &packer->classes[c];
        const double cost = cost_share(&class_->is);
        if (!(cost > 0) || !(measured_s(class_) >= 0))
            continue;
        *(class_->learnt.n > 0 ? &learnt_s : &declared_s) += measured_s(class_);
        *(class_->learnt.n > 0 ? &learnt_cost : &declared_cost) += cost;
    }
    return learnt_cost > 0 ? learnt_s / learnt_cost : declared_s / declared_cost;
}

static double expected_at(const struct task_class *class_, double pace)
{
    const double measured = measured_s(class_);
    return measured >= 0 ? measured : pace * cost_share(&class_->is);
}

/* NaN = unknown. */
static double at_most_s(const struct task_class *class_)
{
    if (class_->learnt.n > 0)
        return fmax(class_->longest_s, mix_pace_at_most(&class_->learnt));
    if (class_->is.declared_s >= 0)
        return class_->is.declared_s;
    return (1 + GUESS_SPREAD) * class_->expected_s;
}

/* Unknown durations may be long: they come first, the most costly of them before all. */
static bool is_longer(const struct task_class *a, const struct task_class *b)
{
    const bool a_known = a->expected_s >= 0, b_known = b->expected_s >= 0;
    if (a_known != b_known)
        return b_known;
    if (a_known && a->expected_s != b->expected_s)
        return a->expected_s > b->expected_s;
    return cost_share(&a->is) > cost_share(&b->is);
}

void mix_packer_put_in_order(struct mix_packer *packer)
{
    const double pace = pace_of(packer);
    for (int c = 0; c < packer->n_classes; c++)
        packer->classes[c].expected_s = expected_at(&packer->classes[c], pace);
    int *order = packer->order; /* nearly in order from the last time */
    for (int i = 1; i < packer->n_classes; i++) {
        const int c = order[i];
        int j = i;
        for (; j > 0 && is_longer(&packer->classes[c], &packer->classes[order[j - 1]]); j--)
            order[j] = order[j - 1];
        order[j] = c;
    }
}

bool mix_packer_ends_by(const struct task_class *class_, double now_s, double stop_s)
{
    return now_s < stop_s && (class_->is.resumable || !(now_s + at_most_s(class_) > stop_s));
}

/* ---- places */

/* The smaller, the better a place for a need: GPUs and CPUs are packed tight, so that wide tasks
 * find whole nodes; where only slots count, tasks are spread. */
static int64_t score(const struct amounts *room, const struct amounts *need)
{
    if (need->of[GPUS] > 0)
        return room->of[GPUS];
    if (need->of[CPUS] > 0 && room->of[CPUS] < MIX_UNCOUNTED / 2)
        return room->of[CPUS];
    return -room->of[SLOTS];
}

/* Put the best places that have room now (and in `later`, where given) into packer->chosen;
 * false where they are too few. */
static bool choose(struct mix_packer *packer, const struct task_class *class_,
                   const struct amounts *room_at(const struct mix_packer *, int),
                   const struct amounts *later)
{
    const int n_nodes = class_->is.demand.n_nodes;
    int n = 0;
    for (int p = 0; p < packer->n_places; p++) {
        const struct amounts *room = room_at(packer, p);
        if (!mix_amounts_fit(room, &class_->need) ||
            (later != NULL && !mix_amounts_fit(&later[p], &class_->need)))
            continue;
        const int64_t here = score(room, &class_->need);
        int j = n < n_nodes ? n++ : n_nodes;
        for (; j > 0 && here < score(room_at(packer, packer->chosen[j - 1]), &class_->need); j--)
            if (j < n_nodes)
                packer->chosen[j] = packer->chosen[j - 1];
        if (j < n_nodes)
            packer->chosen[j] = p;
    }
    return n == n_nodes;
}

static const struct amounts *room_now(const struct mix_packer *packer, int p)
{
    return &packer->places[p].room;
}

static const struct amounts *room_later(const struct mix_packer *packer, int p)
{
    return &packer->later[p];
}

bool mix_packer_choose(struct mix_packer *packer, const struct task_class *class_)
{
    return choose(packer, class_, room_now, NULL);
}

static double ends_s(const struct run *run, double expected_s, double now_s)
{
    const double elapsed_s = now_s - run->start_s;
    if (!(expected_s >= 0))
        return now_s + elapsed_s; /* has lasted so long, may last as long again */
    return fmax(run->start_s + expected_s, now_s + OVERDUE_SHARE * elapsed_s);
}

static int compare_events(const void *a, const void *b)
{
    const struct event *x = a, *y = b;
    if (x->at_s != y->at_s)
        return x->at_s < y->at_s ? -1 : 1;
    if (x->class_ != y->class_)
        return x->class_ < y->class_ ? -1 : 1;
    return (x->seat > y->seat) - (x->seat < y->seat);
}

static int list_events(struct mix_packer *packer, double now_s)
{
    int n = 0;
    for (int c = 0; c < packer->n_classes; c++)
        for (int seat = 0, left = packer->classes[c].n_running; left > 0; seat++) {
            const struct run *run = &packer->classes[c].runs[seat];
            if (run->task == SIZE_MAX)
                continue;
            packer->events[n++] =
                (struct event){ends_s(run, packer->classes[c].expected_s, now_s), c, seat};
            left--;
        }
    for (int p = 0; p < packer->n_places; p++)
        if (packer->places[p].back_s > -INFINITY && packer->places[p].back_s < INFINITY)
            packer->events[n++] = (struct event){packer->places[p].back_s, -1, p};
    qsort(packer->events, (size_t)n, sizeof packer->events[0], compare_events);
    return n;
}

/* Give back in packer->later what an event frees; the number of places that then hold the need
 * and did not before. */
static int apply_event(struct mix_packer *packer, struct event event, const struct amounts *need)
{
    const struct amounts slots = {{[SLOTS] = MIX_ASIDE}};
    const struct task_class *from = event.class_ < 0 ? NULL : &packer->classes[event.class_];
    const int n_nodes = from == NULL ? 1 : from->is.demand.n_nodes;
    int n_new = 0;
    for (int i = 0; i < n_nodes; i++) {
        const int p = from == NULL ? event.seat : from->places[event.seat * n_nodes + i];
        const bool did_fit = mix_amounts_fit(&packer->later[p], need);
        mix_amounts_add(&packer->later[p], from == NULL ? &slots : &from->need, 1);
        n_new += !did_fit && mix_amounts_fit(&packer->later[p], need);
    }
    return n_new;
}

/* Reserve places for the next task of a class that does not fit now: packer->later becomes what
 * is left to others at the time it can start, which is returned. INFINITY = never. */
static double reserve(struct mix_packer *packer, const struct task_class *class_, double now_s)
{
    int n_fit = 0;
    for (int p = 0; p < packer->n_places; p++) {
        packer->later[p] = packer->places[p].room;
        n_fit += mix_amounts_fit(&packer->later[p], &class_->need);
    }
    const int n_events = list_events(packer, now_s);
    int next = 0;
    double at_s = now_s;
    while (n_fit < class_->is.demand.n_nodes) {
        if (next == n_events)
            return INFINITY;
        at_s = packer->events[next].at_s;
        n_fit += apply_event(packer, packer->events[next++], &class_->need);
    }
    while (next < n_events && packer->events[next].at_s <= at_s)
        apply_event(packer, packer->events[next++], &class_->need);
    choose(packer, class_, room_later, NULL);
    for (int i = 0; i < class_->is.demand.n_nodes; i++)
        mix_amounts_add(&packer->later[packer->chosen[i]], &class_->need, -1);
    return at_s;
}

/* Each class as if the others left it its share of the machine. */
double mix_packer_left_s(const struct mix_packer *packer, double now_s)
{
    const double pace = pace_of(packer);
    double sum_s = 0, longest_s = 0;
    for (int c = 0; c < packer->n_classes; c++) {
        const struct task_class *class_ = &packer->classes[c];
        const double expected_s = expected_at(class_, pace);
        const size_t n_waiting = class_->n_ready + class_->n_delayed;
        double work_s = n_waiting > 0 ? (double)n_waiting * expected_s : 0;
        if (n_waiting > 0)
            longest_s = fmax(longest_s, expected_s);
        for (int seat = 0, left = class_->n_running; left > 0; seat++) {
            if (class_->runs[seat].task == SIZE_MAX)
                continue;
            const double left_s = ends_s(&class_->runs[seat], expected_s, now_s) - now_s;
            work_s += left_s;
            longest_s = fmax(longest_s, left_s);
            left--;
        }
        sum_s += work_s / class_->n_seats;
    }
    return isnan(sum_s) ? NAN : fmax(sum_s, longest_s);
}

/* Whether a class that is blocked would make the whole longer by waiting: as many of its tasks as
 * there are seats run at once, the others after them. */
static bool is_urgent(const struct mix_packer *packer, const struct task_class *class_,
                      double now_s)
{
    const double n_waiting = (double)(class_->n_ready + class_->n_delayed);
    const double own_s = ceil(n_waiting / class_->n_seats) * class_->expected_s;
    return !(own_s < WAITING_SHARE * mix_packer_left_s(packer, now_s)); /* unknown: yes */
}

bool mix_packer_backfill(struct mix_packer *packer, const struct task_class *class_, int *n_blocked,
                         double *reserved_s, double now_s, double stop_s)
{
    while (isnan(*reserved_s) && *n_blocked > 0) {
        const struct task_class *first = &packer->classes[packer->blocked[0]];
        const double at_s =
            is_urgent(packer, first, now_s) ? reserve(packer, first, now_s) : INFINITY;
        if (at_s < INFINITY && mix_packer_ends_by(first, at_s, stop_s)) {
            *reserved_s = at_s;
            break;
        }
        *n_blocked -= 1;
        memmove(packer->blocked, packer->blocked + 1, (size_t)*n_blocked * sizeof *packer->blocked);
    }
    const bool is_short = isnan(*reserved_s) || now_s + at_most_s(class_) <= *reserved_s;
    return choose(packer, class_, room_now, is_short ? NULL : packer->later);
}
