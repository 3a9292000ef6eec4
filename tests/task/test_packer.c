/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The packer: what it starts is replayed on counters of its own, so that no place ever holds more
 * than it has and each task runs once; then its rules, one by one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <malloc.h>
#include <math.h>
#include <stdlib.h>

#include "mixsweep/farm.h"
#include "mixsweep/random.h"

#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#elif defined(__has_feature)
#define HAS_ASAN __has_feature(address_sanitizer)
#else
#define HAS_ASAN 0
#endif

enum { PLACES_MAX = 6, CLASSES_MAX = 5, TASKS_MAX = 400 };

/* ---- a random world, replayed */

struct run {
    bool is_running;
    int class_, n_places, index;
    int place[PLACES_MAX];
    uint64_t gpus[PLACES_MAX];
    double end_s;
};

struct world {
    gsl_rng *rng;
    int n_places, n_classes;
    size_t n_tasks, n_finished, n_started;
    struct mix_place places[PLACES_MAX];
    struct mix_task_class classes[CLASSES_MAX];
    double duration_s[CLASSES_MAX];
    double aside_s[PLACES_MAX], not_before_s[TASKS_MAX];
    bool is_finished[TASKS_MAX];
    int class_of[TASKS_MAX];
    struct run runs[TASKS_MAX];
    struct mix_packer *packer;
    double now_s;
};

static int between(gsl_rng *rng, int lo, int hi)
{
    return lo + (int)gsl_rng_uniform_int(rng, (unsigned long)hi - (unsigned long)lo + 1);
}

static void make_world(struct world *world, uint64_t seed)
{
    memset(world, 0, sizeof *world);
    gsl_rng *rng = mix_rng_create(mix_key_make(seed, "packer", NULL, 0));
    assert_non_null(rng);
    world->rng = rng;
    world->n_places = between(rng, 1, PLACES_MAX);
    world->n_classes = between(rng, 1, CLASSES_MAX);
    world->n_tasks = (size_t)between(rng, 1, TASKS_MAX);
    for (int p = 0; p < world->n_places; p++) {
        world->places[p] = (struct mix_place){.host = "node",
                                              .slots = between(rng, 0, 1) * between(rng, 1, 9),
                                              .cpus = between(rng, 8, 64),
                                              .gpus = 4,
                                              .mem_bytes = 1e9 * between(rng, 64, 128)};
        world->aside_s[p] = -INFINITY;
    }
    for (int c = 0; c < world->n_classes; c++) {
        world->duration_s[c] = between(rng, 1, 100);
        world->classes[c] =
            (struct mix_task_class){.demand = {.n_nodes = between(rng, 1, world->n_places),
                                               .cpus = between(rng, 1, 8),
                                               .gpus = between(rng, 0, 4),
                                               .mem_bytes = 1e9 * between(rng, 0, 64)},
                                    .declared_s = between(rng, 0, 1) ? world->duration_s[c] : NAN,
                                    .cost = between(rng, 0, 1) ? world->duration_s[c] * 1e18 : NAN,
                                    .resumable = between(rng, 0, 1) != 0};
    }
    for (size_t task = 0; task < world->n_tasks; task++)
        world->class_of[task] = between(rng, 0, world->n_classes - 1);
}

/* All that runs, counted anew. */
static void assert_places_hold(const struct world *world)
{
    for (int p = 0; p < world->n_places; p++) {
        const struct mix_place *place = &world->places[p];
        int slots = 0, cpus = 0;
        double mem_bytes = 0;
        uint64_t gpus = 0;
        for (size_t task = 0; task < world->n_tasks; task++) {
            const struct run *run = &world->runs[task];
            const struct mix_demand *demand = &world->classes[run->class_].demand;
            for (int i = 0; run->is_running && i < run->n_places; i++) {
                if (run->place[i] != p)
                    continue;
                slots++;
                cpus += demand->cpus;
                mem_bytes += demand->mem_bytes;
                assert_true((gpus & run->gpus[i]) == 0);
                assert_int_equal(__builtin_popcountll(run->gpus[i]), demand->gpus);
                gpus |= run->gpus[i];
            }
        }
        assert_true(place->slots == 0 || slots <= place->slots);
        assert_true(cpus <= place->cpus && mem_bytes <= place->mem_bytes);
        assert_true(gpus >> place->gpus == 0);
    }
}

static void note_start(struct world *world, size_t task, const struct mix_placement *placement)
{
    struct run *run = &world->runs[task];
    assert_true(task < world->n_tasks && !run->is_running && !world->is_finished[task]);
    assert_true(world->now_s >= world->not_before_s[task]);
    *run = (struct run){.is_running = true,
                        .class_ = world->class_of[task],
                        .n_places = placement->n_places,
                        .index = placement->index};
    assert_int_equal(run->n_places, world->classes[run->class_].demand.n_nodes);
    for (int i = 0; i < run->n_places; i++) {
        run->place[i] = placement->place[i];
        run->gpus[i] = placement->gpus[i];
        assert_true(run->place[i] >= 0 && run->place[i] < world->n_places);
        assert_true(world->aside_s[run->place[i]] <= world->now_s);
        for (int j = 0; j < i; j++)
            assert_int_not_equal(run->place[i], run->place[j]);
    }
    int n_lower = 0; /* all lower numbers are in use, and this is not */
    for (size_t other = 0; other < world->n_tasks; other++)
        if (other != task && world->runs[other].is_running) {
            assert_int_not_equal(world->runs[other].index, run->index);
            n_lower += world->runs[other].index < run->index;
        }
    assert_int_equal(n_lower, run->index);
    run->end_s =
        world->now_s + world->duration_s[run->class_] * (0.5 + gsl_rng_uniform(world->rng));
    world->n_started++;
}

static void end_task(struct world *world, size_t task)
{
    const bool finished = gsl_rng_uniform(world->rng) < 0.8;
    world->runs[task].is_running = false;
    mix_packer_end(world->packer, task, world->now_s, finished);
    if (finished) {
        world->is_finished[task] = true;
        world->n_finished++;
        return;
    }
    const bool waits = gsl_rng_uniform(world->rng) < 0.5;
    world->not_before_s[task] = waits ? world->now_s + between(world->rng, 1, 50) : -INFINITY;
    assert_int_equal(
        mix_packer_add(world->packer, task, world->class_of[task], world->not_before_s[task], NULL),
        MIX_OK);
}

static size_t count_running(const struct world *world)
{
    size_t n = 0;
    for (size_t task = 0; task < world->n_tasks; task++)
        n += world->runs[task].is_running;
    return n;
}

/* Go to the next event: an end, or when the packer wants to be asked again. */
static void advance(struct world *world)
{
    double next_s = mix_packer_wake_s(world->packer);
    size_t ending = SIZE_MAX;
    assert_true(next_s > world->now_s);
    for (size_t task = 0; task < world->n_tasks; task++)
        if (world->runs[task].is_running && world->runs[task].end_s <= next_s) {
            next_s = world->runs[task].end_s;
            ending = task;
        }
    assert_true(next_s < INFINITY);
    world->now_s = next_s;
    if (ending != SIZE_MAX)
        end_task(world, ending);
    const int place = between(world->rng, 0, 20 * PLACES_MAX);
    if (place < world->n_places) {
        world->aside_s[place] = world->now_s + between(world->rng, 1, 30);
        mix_packer_set_aside(world->packer, place, world->aside_s[place]);
    }
}

static void run_world(struct world *world)
{
    struct mix_error err;
    assert_int_equal(mix_packer_create(world->places, world->n_places, world->classes,
                                       world->n_classes, &world->packer, &err),
                     MIX_OK);
    for (size_t task = 0; task < world->n_tasks; task++) {
        world->not_before_s[task] = between(world->rng, 0, 3) == 0 ? 20 : -INFINITY;
        assert_int_equal(mix_packer_add(world->packer, task, world->class_of[task],
                                        world->not_before_s[task], &err),
                         MIX_OK);
    }
    while (world->n_finished < world->n_tasks) {
        size_t task = 0;
        struct mix_placement placement;
        while (mix_packer_next(world->packer, world->now_s, INFINITY, &task, &placement)) {
            note_start(world, task, &placement);
            assert_places_hold(world);
        }
        const size_t n_running = count_running(world);
        assert_int_equal(mix_packer_n_running(world->packer), n_running);
        assert_int_equal(mix_packer_n_waiting(world->packer),
                         world->n_tasks - world->n_finished - n_running);
        advance(world);
    }
    assert_true(world->n_started >= world->n_tasks);
    mix_packer_destroy(world->packer);
}

static void test_packer_never_exceeds_a_place_and_runs_each_task_once(void **state)
{
    (void)state;
    struct world *world = malloc(sizeof *world);
    assert_non_null(world);
    int n_run = 0;
    for (uint64_t seed = 1; seed <= 120; seed++) {
        make_world(world, seed);
        struct mix_packer *probe = NULL; /* about half of the worlds cannot hold all classes */
        if (mix_packer_create(world->places, world->n_places, world->classes, world->n_classes,
                              &probe, NULL) == MIX_OK) {
            run_world(world);
            n_run++;
        }
        mix_packer_destroy(probe);
        gsl_rng_free(world->rng);
    }
    free(world);
    assert_true(n_run >= 40);
}

/* ---- the rules */

static const struct mix_demand ONE = {.n_nodes = 1};

static struct mix_packer *make_packer(const struct mix_place *places, int n_places,
                                      const struct mix_task_class *classes, int n_classes)
{
    struct mix_packer *packer = NULL;
    struct mix_error err;
    assert_int_equal(mix_packer_create(places, n_places, classes, n_classes, &packer, &err),
                     MIX_OK);
    return packer;
}

static void add(struct mix_packer *packer, size_t task, int class_)
{
    assert_int_equal(mix_packer_add(packer, task, class_, -INFINITY, NULL), MIX_OK);
}

/* The task that starts, SIZE_MAX where none does. */
static size_t next_before(struct mix_packer *packer, double now_s, double stop_s)
{
    size_t task = SIZE_MAX;
    struct mix_placement placement;
    return mix_packer_next(packer, now_s, stop_s, &task, &placement) ? task : SIZE_MAX;
}

static size_t next(struct mix_packer *packer, double now_s)
{
    return next_before(packer, now_s, INFINITY);
}

static void test_packer_starts_the_longest_first(void **state)
{
    (void)state;
    const struct mix_place place = {.slots = 1};
    const struct mix_task_class classes[] = {{.demand = ONE, .declared_s = NAN, .cost = 1},
                                             {.demand = ONE, .declared_s = NAN, .cost = 3},
                                             {.demand = ONE, .declared_s = NAN, .cost = 2}};
    struct mix_packer *packer = make_packer(&place, 1, classes, 3);
    for (size_t task = 0; task < 9; task++)
        add(packer, task, (int)task % 3);
    assert_int_equal(next(packer, 0), 1); /* by cost */
    assert_int_equal(next(packer, 0), SIZE_MAX);
    mix_packer_end(packer, 1, 10, true); /* class 1: 10 s, so class 2 7 s and class 0 3 s */
    assert_int_equal(next(packer, 10), 4);
    mix_packer_end(packer, 4, 12, true); /* class 1: (10 + 2) / 2 s = 6 s, 2 s per cost */
    assert_int_equal(next(packer, 12), 7);
    mix_packer_end(packer, 7, 12, true); /* nothing left of class 1, class 2 costs more */
    assert_int_equal(next(packer, 12), 2);
    mix_packer_end(packer, 2, 12.1, true); /* class 2 is measured: 0.1 s; class 0 2 s by its cost */
    assert_int_equal(next(packer, 12.1), 0);
    mix_packer_end(packer, 0, 12.15, true); /* class 0 is measured: 0.05 s */
    assert_int_equal(next(packer, 12.2), 5);
    mix_packer_destroy(packer);
}

static void test_packer_knows_declared_durations_and_shares_cost(void **state)
{
    (void)state;
    const struct mix_place place = {.slots = 1, .gpus = 8};
    /* 600 s for a cost of 1 on one GPU; of 4 on eight that makes 300 s */
    const struct mix_task_class classes[] = {
        {.demand = {.n_nodes = 1, .gpus = 8}, .declared_s = NAN, .cost = 4},
        {.demand = {.n_nodes = 1, .gpus = 1}, .declared_s = 600, .cost = 1},
        {.demand = {.n_nodes = 1, .gpus = 1}, .declared_s = 400, .cost = NAN}};
    struct mix_packer *packer = make_packer(&place, 1, classes, 3);
    for (int c = 0; c < 3; c++)
        add(packer, (size_t)c, c);
    assert_true(fabs(mix_packer_left_s(packer, 0) - 1300) < 1e-6);
    static const size_t expected[] = {1, 2, 0};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(next(packer, 0), expected[i]);
        mix_packer_end(packer, expected[i], 0, false);
    }
    mix_packer_destroy(packer);
}

static void test_packer_of_equal_tasks_keeps_their_order(void **state)
{
    (void)state;
    const struct mix_place place = {.slots = 2};
    const struct mix_task_class class_ = {.demand = ONE, .declared_s = NAN, .cost = NAN};
    struct mix_packer *packer = make_packer(&place, 1, &class_, 1);
    for (size_t task = 0; task < 100; task++)
        add(packer, task, 0);
    for (size_t task = 0; task < 100; task++) {
        assert_int_equal(next(packer, (double)task), task);
        if (task > 0)
            mix_packer_end(packer, task - 1, (double)task + 0.5, true);
    }
    mix_packer_destroy(packer);
}

/* Two places; A holds one until 100. The wide class needs both, and nearly all that is left to do
 * is wide: what would end after 100 may not take the other place, what ends before may. */
static void test_packer_reserves_for_a_wide_task_and_fills_the_gap(void **state)
{
    (void)state;
    const struct mix_place places[] = {{.slots = 1}, {.slots = 1}};
    const struct mix_task_class classes[] = {
        {.demand = {.n_nodes = 2}, .declared_s = 300, .cost = NAN},
        {.demand = ONE, .declared_s = 200, .cost = NAN},
        {.demand = ONE, .declared_s = 50, .cost = NAN},
        {.demand = ONE, .declared_s = 100, .cost = NAN}};
    struct mix_packer *packer = make_packer(places, 2, classes, 4);
    add(packer, 0, 3); /* A */
    assert_int_equal(next(packer, 0), 0);
    for (size_t task = 1; task <= 20; task++)
        add(packer, task, 0);
    add(packer, 21, 1);
    for (size_t task = 22; task < 25; task++)
        add(packer, task, 2);
    assert_int_equal(next(packer, 0), 22); /* not 21 */
    mix_packer_end(packer, 22, 35, true);
    assert_int_equal(next(packer, 35), 23);
    mix_packer_end(packer, 23, 70, true);
    assert_int_equal(next(packer, 70), SIZE_MAX); /* 24 would end at 105 or so */
    mix_packer_end(packer, 0, 100, true);
    assert_int_equal(next(packer, 100), 1); /* the wide one */
    mix_packer_destroy(packer);
}

/* One wide task that comes when narrow ones have all places, at odds with each other. */
struct late {
    int n_places, n_narrow, n_nodes; /* n_nodes: of the wide one, as is wide_s */
    double narrow_s, wide_s;
    /* out */
    double started_s, end_s, idle_s; /* start of the wide one; of all; places x seconds */
};

enum { LATE_MAX = 64 };

/* Take the running task that ends first to its end. */
static size_t end_first(struct mix_packer *packer, const double *end_s, bool *runs, int n)
{
    size_t first = SIZE_MAX;
    for (int task = 0; task < n; task++)
        if (runs[task] && (first == SIZE_MAX || end_s[task] < end_s[first]))
            first = (size_t)task;
    runs[first] = false;
    mix_packer_end(packer, first, end_s[first], true);
    return first;
}

static void play_late(struct late *late)
{
    const struct mix_task_class classes[] = {
        {.demand = {.n_nodes = late->n_nodes}, .declared_s = late->wide_s, .cost = NAN},
        {.demand = ONE, .declared_s = late->narrow_s, .cost = NAN}};
    struct mix_place places[4] = {{.slots = 1}, {.slots = 1}, {.slots = 1}, {.slots = 1}};
    struct mix_packer *packer = make_packer(places, late->n_places, classes, 2);
    const size_t wide = (size_t)late->n_narrow;
    double end_s[LATE_MAX] = {0}, now_s = 0, busy_s = late->n_nodes * late->wide_s;
    bool runs[LATE_MAX] = {false};
    assert_in_range(late->n_narrow, late->n_places, LATE_MAX - 1);
    for (size_t task = 0; task < wide; task++)
        add(packer, task, 1);
    for (int i = 0; i < late->n_places; i++) {
        assert_int_equal(next(packer, 0), i);
        runs[i] = true;
        end_s[i] = late->narrow_s * (1 + (double)i / late->n_places);
    }
    add(packer, wide, 0);
    while (mix_packer_n_running(packer) > 0) {
        now_s = end_s[end_first(packer, end_s, runs, late->n_narrow + 1)];
        for (size_t task; (task = next(packer, now_s)) != SIZE_MAX;) {
            runs[task] = true;
            end_s[task] = now_s + (task == wide ? late->wide_s : late->narrow_s);
            late->started_s = task == wide ? now_s : late->started_s;
        }
    }
    for (int task = 0; task < late->n_narrow; task++)
        busy_s += late->narrow_s * (task < late->n_places ? 1 + (double)task / late->n_places : 1);
    assert_int_equal(mix_packer_n_waiting(packer), 0);
    late->end_s = now_s;
    late->idle_s = late->n_places * now_s - busy_s;
    mix_packer_destroy(packer);
}

/* The wide task is a small part of what is left: draining a place for it would only leave it idle.
 * It waits, and comes before the end all the same. */
static void test_packer_lets_a_wide_task_wait_but_not_starve(void **state)
{
    (void)state;
    struct late late = {.n_places = 2, .n_narrow = 60, .n_nodes = 2, .narrow_s = 10, .wide_s = 15};
    play_late(&late);
    assert_true(late.started_s > 100); /* it waited */
    assert_true(late.end_s <= 340);    /* 60 x 10 s / 2 + 15 s = 315 s at best */
    assert_true(late.idle_s <= 30);    /* one gap only, and at the end */
}

/* It takes half of the places, for long: what is left to do for all places is twice its share of
 * it, but nothing makes it shorter. */
static void test_packer_does_not_leave_a_long_task_to_the_end(void **state)
{
    (void)state;
    struct late late = {.n_places = 4, .n_narrow = 60, .n_nodes = 2, .narrow_s = 10, .wide_s = 100};
    play_late(&late);
    assert_true(late.started_s > 50);
    assert_true(late.end_s <= 215); /* (60 x 10 s + 2 x 100 s) / 4 = 200 s at best */
}

static void test_packer_reserves_where_nothing_is_known(void **state)
{
    (void)state;
    const struct mix_place places[] = {{.slots = 1}, {.slots = 1}};
    const struct mix_task_class classes[] = {
        {.demand = {.n_nodes = 2}, .declared_s = NAN, .cost = 2},
        {.demand = ONE, .declared_s = NAN, .cost = 0.1}};
    struct mix_packer *packer = make_packer(places, 2, classes, 2);
    for (size_t task = 0; task < 9; task++)
        add(packer, task, 1);
    assert_int_equal(next(packer, 0), 0);
    add(packer, 9, 0);
    assert_int_equal(next(packer, 0), SIZE_MAX);
    mix_packer_end(packer, 0, 5, false);
    assert_int_equal(next(packer, 5), 9);
    mix_packer_destroy(packer);
}

static void test_packer_keeps_a_back_off(void **state)
{
    (void)state;
    const struct mix_place place = {.slots = 4};
    const struct mix_task_class class_ = {.demand = ONE, .declared_s = NAN, .cost = NAN};
    struct mix_packer *packer = make_packer(&place, 1, &class_, 1);
    static const double not_before_s[] = {30, 10, 20, 10, 40};
    for (size_t task = 0; task < 5; task++)
        assert_int_equal(mix_packer_add(packer, task, 0, not_before_s[task], NULL), MIX_OK);
    assert_int_equal(next(packer, 9.9), SIZE_MAX);
    assert_true(mix_packer_wake_s(packer) == 10);
    assert_int_equal(next(packer, 10), 1);
    assert_int_equal(next(packer, 10), 3);
    assert_int_equal(next(packer, 10), SIZE_MAX);
    assert_true(mix_packer_wake_s(packer) == 20);
    mix_packer_end(packer, 1, 35, false);
    assert_int_equal(mix_packer_add(packer, 1, 0, 50, NULL), MIX_OK);
    assert_int_equal(next(packer, 35), 2);
    assert_int_equal(next(packer, 35), 0);
    assert_int_equal(next(packer, 35), SIZE_MAX);
    assert_int_equal(next(packer, 45), 4);
    assert_int_equal(next(packer, 49), SIZE_MAX);
    mix_packer_end(packer, 3, 49, true);
    assert_int_equal(next(packer, 50), 1);
    assert_true(mix_packer_wake_s(packer) == INFINITY);
    assert_int_equal(mix_packer_n_running(packer), 4);
    assert_int_equal(mix_packer_n_waiting(packer), 0);
    mix_packer_destroy(packer);
}

static void test_packer_starts_nothing_that_cannot_end_in_time(void **state)
{
    (void)state;
    const struct mix_place place = {.slots = 9};
    const struct mix_task_class classes[] = {
        {.demand = ONE, .declared_s = 100, .cost = NAN},
        {.demand = ONE, .declared_s = 40, .cost = NAN},
        {.demand = ONE, .declared_s = 200, .cost = NAN, .resumable = true},
        {.demand = ONE, .declared_s = NAN, .cost = NAN}};
    struct mix_packer *packer = make_packer(&place, 1, classes, 4);
    for (size_t task = 0; task < 12; task++)
        add(packer, task, (int)task % 4);
    assert_int_equal(next_before(packer, 0, 99), 3); /* unknown, and nothing speaks against it */
    assert_int_equal(next_before(packer, 0, 99), 7);
    assert_int_equal(next_before(packer, 0, 99), 11);
    assert_int_equal(next_before(packer, 0, 99), 2); /* resumable */
    assert_int_equal(next_before(packer, 0, 99), 6);
    assert_int_equal(next_before(packer, 0, 99), 10);
    assert_int_equal(next_before(packer, 0, 99), 1); /* 40 s */
    mix_packer_end(packer, 1, 90, true);             /* 90 s it took: that is known better now */
    assert_int_equal(next_before(packer, 100, 180), SIZE_MAX);
    assert_int_equal(next_before(packer, 100, 100 + 90 * 1.3), 0); /* 100 s; 5 may take 126 s */
    assert_int_equal(next_before(packer, 100, 100 + 90 * 1.3), 4);
    assert_int_equal(next_before(packer, 100, 100 + 90 * 1.3), 8);
    assert_int_equal(next_before(packer, 100, 100 + 90 * 1.3), SIZE_MAX);
    mix_packer_end(packer, 2, 100, false);
    add(packer, 2, 2);
    assert_int_equal(next_before(packer, 200, 200), SIZE_MAX); /* the time is up */
    mix_packer_destroy(packer);
}

static void test_packer_gives_the_lowest_gpus_and_packs_tight(void **state)
{
    (void)state;
    const struct mix_place places[] = {{.gpus = 8}, {.gpus = 8}, {.gpus = 64}};
    const struct mix_task_class classes[] = {
        {.demand = {.n_nodes = 1, .gpus = 5}, .declared_s = NAN, .cost = 30},
        {.demand = {.n_nodes = 1, .gpus = 2}, .declared_s = NAN, .cost = 8},
        {.demand = {.n_nodes = 1, .gpus = 64}, .declared_s = NAN, .cost = 32},
        {.demand = {.n_nodes = 2, .gpus = 1}, .declared_s = NAN, .cost = 0.5}};
    static const struct {
        int class_, place;
        uint64_t gpus;
    } expected[] = {{0, 0, 0x1f}, {1, 0, 0x60}, {1, 1, 0x03}, {0, 1, 0x7c}, {2, 2, UINT64_MAX}};
    struct mix_packer *packer = make_packer(places, 3, classes, 4);
    size_t task = 0;
    struct mix_placement placement;
    for (size_t i = 0; i < 5; i++) {
        add(packer, i, expected[i].class_);
        assert_true(mix_packer_next(packer, 0, INFINITY, &task, &placement));
        assert_int_equal(task, i);
        assert_int_equal(placement.n_places, 1);
        assert_int_equal(placement.place[0], expected[i].place);
        assert_true(placement.gpus[0] == expected[i].gpus);
        assert_int_equal(placement.index, i);
    }
    add(packer, 5, 3);
    assert_true(mix_packer_next(packer, 0, INFINITY, &task, &placement));
    assert_int_equal(placement.n_places, 2);
    assert_true(placement.gpus[0] == 0x80 && placement.gpus[1] == 0x80);
    mix_packer_end(packer, 1, 1, true); /* index 1 and GPUs 5 and 6 of place 0 */
    add(packer, 6, 1);
    assert_true(mix_packer_next(packer, 1, INFINITY, &task, &placement));
    assert_int_equal(placement.index, 1);
    assert_true(placement.place[0] == 0 && placement.gpus[0] == 0x60);
    mix_packer_destroy(packer);
}

/* Where only slots count, ranks share the work evenly. */
static void test_packer_spreads_over_slots(void **state)
{
    (void)state;
    const struct mix_place places[] = {{.slots = 4}, {.slots = 4}, {.slots = 4}};
    const struct mix_task_class class_ = {.demand = ONE, .declared_s = NAN, .cost = NAN};
    struct mix_packer *packer = make_packer(places, 3, &class_, 1);
    int n_on[3] = {0};
    for (size_t i = 0; i < 12; i++) {
        size_t task = 0;
        struct mix_placement placement;
        add(packer, i, 0);
        assert_true(mix_packer_next(packer, 0, INFINITY, &task, &placement));
        n_on[placement.place[0]]++;
        for (int p = 0; p < 3; p++)
            assert_true(n_on[p] <= (int)i / 3 + 1);
    }
    add(packer, 12, 0);
    assert_int_equal(next(packer, 0), SIZE_MAX);
    mix_packer_destroy(packer);
}

static void test_packer_leaves_a_place_aside(void **state)
{
    (void)state;
    const struct mix_place places[] = {{.slots = 1}, {.slots = 1}};
    const struct mix_task_class class_ = {.demand = ONE, .declared_s = 10, .cost = NAN};
    struct mix_packer *packer = make_packer(places, 2, &class_, 1);
    for (size_t task = 0; task < 5; task++)
        add(packer, task, 0);
    assert_int_equal(next(packer, 0), 0);
    mix_packer_set_aside(packer, 0, INFINITY);
    mix_packer_set_aside(packer, 1, 7);
    assert_int_equal(next(packer, 0), SIZE_MAX);
    mix_packer_end(packer, 0, 5, true);
    assert_int_equal(next(packer, 5), SIZE_MAX);
    assert_true(mix_packer_wake_s(packer) == 7);
    assert_int_equal(next(packer, 7), 1);
    assert_int_equal(next(packer, 7), SIZE_MAX);
    assert_true(mix_packer_wake_s(packer) == INFINITY);
    mix_packer_set_aside(packer, 0, -INFINITY);
    assert_int_equal(next(packer, 8), 2);
    assert_int_equal(next(packer, 8), SIZE_MAX);
    mix_packer_destroy(packer);
}

static void test_packer_tells_the_time_left(void **state)
{
    (void)state;
    const struct mix_place places[] = {{.slots = 5}, {.slots = 5}};
    const struct mix_task_class class_ = {.demand = ONE, .declared_s = NAN, .cost = NAN};
    struct mix_packer *packer = make_packer(places, 2, &class_, 1);
    assert_true(mix_packer_left_s(packer, 0) == 0);
    for (size_t task = 0; task < 105; task++)
        add(packer, task, 0);
    assert_true(isnan(mix_packer_left_s(packer, 0)));
    for (size_t task = 0; task < 10; task++)
        assert_int_equal(next(packer, 0), task);
    for (size_t task = 0; task < 5; task++)
        mix_packer_end(packer, task, 4, true);
    /* 95 tasks wait and 5 run, of 4 s each on ten slots; those that run are overdue a little */
    assert_true(fabs(mix_packer_left_s(packer, 4) - 38.2) < 1e-9);
    mix_packer_destroy(packer);
}

static void test_packer_keeps_32_bytes_per_task(void **state)
{
    (void)state;
#if HAS_ASAN
    skip(); /* its allocator is not the one that mallinfo2() counts */
#else
    enum { N = 1000000 };
    const struct mix_place place = {.slots = 2};
    const struct mix_task_class class_ = {.demand = ONE, .declared_s = NAN, .cost = NAN};
    struct mix_packer *packer = make_packer(&place, 1, &class_, 1);
    const struct mallinfo2 before = mallinfo2();
    for (size_t task = 0; task < N; task++)
        assert_int_equal(mix_packer_add(packer, task, 0, 100, NULL), MIX_OK); /* the worst case */
    const struct mallinfo2 after = mallinfo2();
    const size_t n_bytes = after.uordblks + after.hblkhd - before.uordblks - before.hblkhd;
    assert_true(n_bytes > 12u * N && n_bytes <= 32u * N);
    for (size_t task = 0; task < N; task++) {
        assert_int_equal(next(packer, 100), task);
        mix_packer_end(packer, task, 100, true);
    }
    mix_packer_destroy(packer);
#endif
}

static void assert_refused(const struct mix_place *places, int n_places,
                           const struct mix_task_class *class_, const char *says)
{
    struct mix_packer *packer = NULL;
    struct mix_error err = {{0}};
    assert_int_equal(mix_packer_create(places, n_places, class_, 1, &packer, &err), MIX_EINVAL);
    assert_null(packer);
    assert_non_null(strstr(err.text, says));
}

static void test_packer_refuses_what_cannot_be(void **state)
{
    (void)state;
    const struct mix_place good = {.host = "n1", .slots = 2, .gpus = 4}, unbounded = {.host = "n1"};
    const struct mix_place many = {.host = "n1", .gpus = 65},
                           negative = {.host = "n1", .slots = -1};
    const struct mix_task_class one = {.demand = ONE};
    const struct mix_task_class wide = {.demand = {.n_nodes = 2, .gpus = 4}};
    const struct mix_task_class none = {.demand = {.n_nodes = 0}};
    const struct mix_task_class minus = {.demand = {.n_nodes = 1, .gpus = -1}};
    assert_refused(&good, 0, &one, "no place");
    assert_refused(&good, 1, &wide, "need 2 nodes with 0 CPUs, 4 GPUs");
    assert_refused(&good, 1, &none, "0 nodes");
    assert_refused(&good, 1, &minus, "-1 GPUs");
    assert_refused(&unbounded, 1, &one, "give it slots");
    assert_refused(&many, 1, &one, "at most 64 GPUs");
    assert_refused(&negative, 1, &one, "-1 slots");
    struct mix_packer *packer = make_packer(&good, 1, &one, 1);
    assert_int_equal(mix_packer_add(packer, (size_t)1 << 40, 0, 0, NULL), MIX_EINVAL);
    mix_packer_destroy(packer);
    mix_packer_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packer_never_exceeds_a_place_and_runs_each_task_once),
        cmocka_unit_test(test_packer_starts_the_longest_first),
        cmocka_unit_test(test_packer_knows_declared_durations_and_shares_cost),
        cmocka_unit_test(test_packer_of_equal_tasks_keeps_their_order),
        cmocka_unit_test(test_packer_reserves_for_a_wide_task_and_fills_the_gap),
        cmocka_unit_test(test_packer_lets_a_wide_task_wait_but_not_starve),
        cmocka_unit_test(test_packer_does_not_leave_a_long_task_to_the_end),
        cmocka_unit_test(test_packer_reserves_where_nothing_is_known),
        cmocka_unit_test(test_packer_keeps_a_back_off),
        cmocka_unit_test(test_packer_starts_nothing_that_cannot_end_in_time),
        cmocka_unit_test(test_packer_gives_the_lowest_gpus_and_packs_tight),
        cmocka_unit_test(test_packer_spreads_over_slots),
        cmocka_unit_test(test_packer_leaves_a_place_aside),
        cmocka_unit_test(test_packer_tells_the_time_left),
        cmocka_unit_test(test_packer_keeps_32_bytes_per_task),
        cmocka_unit_test(test_packer_refuses_what_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
