/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_pack.c - what an allocation of GPUs is used for: a sweep of 200 proxies of 30M to 1B
 * parameters on 1 to 64 GPUs, on 8 nodes of 8 GPUs that fail and a job that is preempted, by the
 * packer of farm.h and by three habits: first come first served; the same with slots of one size, a
 * node, as `parallel` over a list of nodes fills them; and one such `parallel` per scale with slots
 * of its size, scale after scale. The clock is simulated.
 *
 * Durations are log-normal around 6 N D / (GPUs x 1.4e14 FLOP/s), D = 100 N. A proxy has a
 * checkpoint every 30 minutes and loses 2 minutes by a restart. A node fails every 10 days for 2
 * hours, the job is preempted every 2 days for an hour (exponential; the same times for all).
 *
 * The bound, below which no packer comes, is the largest of
 *   - the time at which the GPUs that are up have offered the work of all proxies,
 *   - for each n > 4: the time at which n nodes have been up together as long as all proxies that
 *     need n nodes or more last, since no two of them run at once,
 *   - the longest proxy.
 * It counts no work lost by a preemption. At the end, what a decision costs in processor time.
 * Use: bench.pack.bench [seeds] */
#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mixsweep/farm.h"
#include "mixsweep/random.h"

enum { N_SCALES = 6, N_TASKS = 200, N_NODES = 8, GPUS = 8, OUTAGES_MAX = 4096 };

static const double HOUR = 3600, CHECKPOINT_S = 1800, RESTART_S = 120, SPREAD = 0.2;
static const double FLOPS_PER_S = 1.4e14;

static const struct {
    double n_params;
    int n_tasks, n_nodes, gpus;
} scales[N_SCALES] = {{30e6, 60, 1, 1},  {70e6, 50, 1, 2},  {150e6, 40, 1, 4},
                      {300e6, 30, 1, 8}, {600e6, 12, 4, 8}, {1e9, 8, 8, 8}};

/* A node, or all of them (-1), is gone from start_s to end_s. */
struct outage {
    double start_s, end_s;
    int node;
};

struct trace {
    int scale_of[N_TASKS]; /* in the order of the design: by mixture */
    double work_s[N_TASKS];
    struct outage outages[OUTAGES_MAX];
    int n_outages;
};

enum policy { PACKER, FIRST_COME, EQUAL_SLOTS, BY_SCALE, N_POLICIES };

struct simulation {
    const struct trace *trace;
    enum policy policy;
    struct mix_packer *packer;
    struct mix_task_class classes[N_SCALES];
    double learnt_s[N_SCALES];
    int n_learnt[N_SCALES];
    double left_s[N_TASKS]; /* of a task; 0 = finished */
    double start_s[N_TASKS], end_s[N_TASKS];
    struct mix_placement placed[N_TASKS];
    bool is_running[N_TASKS], is_added[N_TASKS];
    bool is_up[N_NODES], job_up;
    int n_left;
    double now_s, busy_s; /* GPU-seconds */
};

static double flop_s(int scale)
{
    const double n = scales[scale].n_params;
    return 6 * n * 100 * n / FLOPS_PER_S / scales[scale].n_nodes / scales[scale].gpus;
}

static int compare_outages(const void *a, const void *b)
{
    const struct outage *x = a, *y = b;
    return (x->start_s > y->start_s) - (x->start_s < y->start_s);
}

/* Times between failures and their lengths are exponential. */
static void add_outages(struct trace *trace, gsl_rng *rng, int node, double every_s, double last_s)
{
    for (double at_s = gsl_ran_exponential(rng, every_s);
         at_s < 3000 * HOUR && trace->n_outages < OUTAGES_MAX;) {
        const double end_s = at_s + 60 + gsl_ran_exponential(rng, last_s);
        trace->outages[trace->n_outages++] = (struct outage){at_s, end_s, node};
        at_s = end_s + gsl_ran_exponential(rng, every_s);
    }
}

static void make_trace(struct trace *trace, uint64_t seed, bool preempted)
{
    gsl_rng *rng = mix_rng_create(mix_key_make(seed, "bench", NULL, 0));
    if (rng == NULL)
        exit(1);
    int n = 0;
    for (int s = 0; s < N_SCALES; s++)
        for (int i = 0; i < scales[s].n_tasks; i++)
            trace->scale_of[n++] = s;
    gsl_ran_shuffle(rng, trace->scale_of, N_TASKS, sizeof trace->scale_of[0]);
    for (int i = 0; i < N_TASKS; i++)
        trace->work_s[i] = flop_s(trace->scale_of[i]) * gsl_ran_lognormal(rng, 0, SPREAD);
    trace->n_outages = 0;
    if (preempted) {
        for (int node = 0; node < N_NODES; node++)
            add_outages(trace, rng, node, 240 * HOUR, 2 * HOUR);
        add_outages(trace, rng, -1, 48 * HOUR, 1 * HOUR);
    }
    qsort(trace->outages, (size_t)trace->n_outages, sizeof trace->outages[0], compare_outages);
    gsl_rng_free(rng);
}

/* ---- the simulated cluster */

static void make_packer(struct simulation *sim)
{
    struct mix_place places[N_NODES] = {{.host = ""}};
    for (int p = 0; p < N_NODES; p++)
        places[p] = (struct mix_place){.rank = -1, .gpus = GPUS};
    for (int s = 0; s < N_SCALES; s++)
        sim->classes[s] = (struct mix_task_class){
            .demand = {.n_nodes = scales[s].n_nodes,
                       .gpus = sim->policy == EQUAL_SLOTS ? GPUS : scales[s].gpus},
            .declared_s = sim->n_learnt[s] > 0 ? sim->learnt_s[s] / sim->n_learnt[s] : NAN,
            .cost = 6 * scales[s].n_params * 100 * scales[s].n_params,
            .resumable = true};
    struct mix_error err;
    if (mix_packer_create(places, N_NODES, sim->classes, N_SCALES, &sim->packer, &err) != MIX_OK) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    for (int p = 0; p < N_NODES; p++)
        if (!sim->is_up[p])
            mix_packer_set_aside(sim->packer, p, INFINITY);
    memset(sim->is_added, 0, sizeof sim->is_added);
}

static void add_task(struct simulation *sim, int task)
{
    if (sim->is_added[task] || sim->left_s[task] <= 0)
        return;
    sim->is_added[task] = true;
    mix_packer_add(sim->packer, (size_t)task, sim->trace->scale_of[task], -INFINITY, NULL);
}

/* What the policy lets the packer see. */
static void feed(struct simulation *sim)
{
    int lowest = N_SCALES;
    for (int i = 0; i < N_TASKS; i++)
        if (sim->left_s[i] > 0 && sim->trace->scale_of[i] < lowest)
            lowest = sim->trace->scale_of[i];
    for (int i = 0; i < N_TASKS; i++) {
        if ((sim->policy == FIRST_COME || sim->policy == EQUAL_SLOTS) &&
            mix_packer_n_waiting(sim->packer) > 0)
            return;
        if (sim->policy != BY_SCALE || sim->trace->scale_of[i] == lowest)
            add_task(sim, i);
    }
}

static void start_tasks(struct simulation *sim)
{
    size_t task = 0;
    struct mix_placement placement;
    if (!sim->job_up)
        return;
    for (feed(sim); mix_packer_next(sim->packer, sim->now_s, INFINITY, &task, &placement);
         feed(sim)) {
        const double restart_s = sim->left_s[task] < sim->trace->work_s[task] ? RESTART_S : 0;
        sim->placed[task] = placement;
        sim->is_running[task] = true;
        sim->start_s[task] = sim->now_s;
        sim->end_s[task] = sim->now_s + restart_s + sim->left_s[task];
    }
}

static double gpus_of(const struct simulation *sim, int task)
{
    const int s = sim->trace->scale_of[task];
    return scales[s].n_nodes * scales[s].gpus;
}

static void end_task(struct simulation *sim, int task, bool finished)
{
    const int s = sim->trace->scale_of[task];
    const double ran_s = sim->now_s - sim->start_s[task];
    sim->busy_s += ran_s * gpus_of(sim, task);
    sim->is_running[task] = false;
    mix_packer_end(sim->packer, (size_t)task, sim->now_s, finished);
    if (finished) {
        sim->learnt_s[s] += sim->trace->work_s[task];
        sim->n_learnt[s]++;
        sim->left_s[task] = 0;
        sim->n_left--;
        return;
    }
    const bool is_first = sim->left_s[task] >= sim->trace->work_s[task];
    const double done_s =
        floor(fmax(ran_s - (is_first ? 0 : RESTART_S), 0) / CHECKPOINT_S) * CHECKPOINT_S;
    sim->left_s[task] = fmax(sim->left_s[task] - done_s, 1);
    sim->is_added[task] = false;
}

static bool is_on(const struct simulation *sim, int task, int node)
{
    for (int i = 0; i < sim->placed[task].n_places; i++)
        if (sim->placed[task].place[i] == node)
            return true;
    return false;
}

static void go_down(struct simulation *sim, int node)
{
    for (int i = 0; i < N_TASKS; i++)
        if (sim->is_running[i] && (node < 0 || is_on(sim, i, node)))
            end_task(sim, i, false);
    if (node >= 0) {
        sim->is_up[node] = false;
        mix_packer_set_aside(sim->packer, node, INFINITY);
        return;
    }
    sim->job_up = false;
}

static void come_back(struct simulation *sim, int node)
{
    if (node >= 0) {
        sim->is_up[node] = true;
        mix_packer_set_aside(sim->packer, node, -INFINITY);
        return;
    }
    sim->job_up = true; /* the next job: nothing is known but what the file holds */
    mix_packer_destroy(sim->packer);
    make_packer(sim);
}

/* The time of the next event; *task, or *outage and whether it begins, say what it is. */
static double find_event(const struct simulation *sim, int *task, int *outage, bool *begins)
{
    double at_s = INFINITY;
    *task = *outage = -1;
    for (int i = 0; i < N_TASKS; i++)
        if (sim->is_running[i] && sim->end_s[i] < at_s) {
            at_s = sim->end_s[i];
            *task = i;
        }
    for (int i = 0; i < sim->trace->n_outages; i++) {
        const struct outage *o = &sim->trace->outages[i];
        const double times_s[2] = {o->start_s, o->end_s};
        for (int e = 0; e < 2; e++)
            if (times_s[e] > sim->now_s && times_s[e] < at_s) {
                at_s = times_s[e];
                *task = -1;
                *outage = i;
                *begins = e == 0;
            }
    }
    return at_s;
}

/* ---- the bound */

/* GPU-seconds offered, or seconds with at least n nodes up, until `end_s`. */
static double offered(const struct trace *trace, double end_s, int n_nodes)
{
    double sum = 0, now_s = 0;
    while (now_s < end_s) {
        double next_s = end_s;
        int n_up = N_NODES;
        for (int i = 0; i < trace->n_outages; i++) {
            const struct outage *o = &trace->outages[i];
            if (o->start_s <= now_s && now_s < o->end_s)
                n_up -= o->node < 0 ? N_NODES : 1;
            if (o->start_s > now_s)
                next_s = fmin(next_s, o->start_s);
            if (o->end_s > now_s)
                next_s = fmin(next_s, o->end_s);
        }
        if (n_up < 0)
            n_up = 0;
        sum += (next_s - now_s) * (n_nodes == 0 ? n_up * GPUS : n_up >= n_nodes);
        now_s = next_s;
    }
    return sum;
}

/* When so much has been offered. */
static double find_time(const struct trace *trace, double amount, int n_nodes)
{
    double low = 0, high = 3000 * HOUR;
    while (high - low > 1) {
        const double middle = 0.5 * (low + high);
        *(offered(trace, middle, n_nodes) < amount ? &low : &high) = middle;
    }
    return high;
}

static double find_bound(const struct trace *trace)
{
    double work = 0, longest_s = 0, wide_s[N_NODES + 1] = {0};
    for (int i = 0; i < N_TASKS; i++) {
        const int s = trace->scale_of[i];
        work += trace->work_s[i] * scales[s].n_nodes * scales[s].gpus;
        longest_s = fmax(longest_s, trace->work_s[i]);
        for (int n = N_NODES / 2 + 1; n <= scales[s].n_nodes; n++)
            wide_s[n] += trace->work_s[i];
    }
    double bound_s = fmax(longest_s, find_time(trace, work, 0));
    for (int n = N_NODES / 2 + 1; n <= N_NODES; n++)
        bound_s = fmax(bound_s, find_time(trace, wide_s[n], n));
    return bound_s;
}

/* Makespan, and the share of the offered GPU time that no proxy ran on. */
static double simulate(const struct trace *trace, enum policy policy, double *idle_share)
{
    struct simulation sim = {.trace = trace, .policy = policy, .job_up = true, .n_left = N_TASKS};
    memcpy(sim.left_s, trace->work_s, sizeof sim.left_s);
    for (int p = 0; p < N_NODES; p++)
        sim.is_up[p] = true;
    make_packer(&sim);
    while (sim.n_left > 0) {
        start_tasks(&sim);
        int task, outage;
        bool begins = false;
        const double at_s = find_event(&sim, &task, &outage, &begins);
        if (!(at_s < INFINITY)) {
            fprintf(stderr, "nothing runs and %d tasks are left\n", sim.n_left);
            exit(1);
        }
        sim.now_s = at_s;
        if (task >= 0)
            end_task(&sim, task, true);
        else if (begins)
            go_down(&sim, trace->outages[outage].node);
        else
            come_back(&sim, trace->outages[outage].node);
    }
    mix_packer_destroy(sim.packer);
    *idle_share = 1 - sim.busy_s / offered(trace, sim.now_s, 0);
    return sim.now_s;
}

/* ---- what a decision costs */

/* Processor time of a start and an end, where all places are taken. */
static double decision_s(int n_places, size_t n_tasks)
{
    enum { N_ENDS = 2000, N_CLASSES = 5 };
    struct mix_place *places = calloc((size_t)n_places, sizeof *places);
    size_t *running = calloc((size_t)n_places * 8, sizeof *running), n_running = 0, task = 0;
    struct mix_task_class classes[N_CLASSES];
    struct mix_packer *packer = NULL;
    struct mix_placement placement;
    if (places == NULL || running == NULL)
        exit(1);
    for (int p = 0; p < n_places; p++)
        places[p] = (struct mix_place){.gpus = 8};
    for (int c = 0; c < N_CLASSES; c++)
        classes[c] = (struct mix_task_class){
            .demand = {.n_nodes = 1, .gpus = 1 + c % 4}, .declared_s = 100 * (c + 1), .cost = NAN};
    if (mix_packer_create(places, n_places, classes, N_CLASSES, &packer, NULL) != MIX_OK)
        exit(1);
    for (size_t i = 0; i < n_tasks; i++)
        mix_packer_add(packer, i, (int)(i % N_CLASSES), -INFINITY, NULL);
    while (mix_packer_next(packer, 0, INFINITY, &task, &placement))
        running[n_running++] = task;
    const clock_t start = clock();
    for (size_t i = 0; i < N_ENDS && n_running > 0; i++) {
        mix_packer_end(packer, running[--n_running], (double)i, true);
        while (mix_packer_next(packer, (double)i, INFINITY, &task, &placement))
            running[n_running++] = task;
    }
    const double cpu_s = (double)(clock() - start) / CLOCKS_PER_SEC;
    mix_packer_destroy(packer);
    free(running);
    free(places);
    return cpu_s / N_ENDS;
}

static void bench_decisions(void)
{
    static const struct {
        int n_places;
        size_t n_tasks;
    } cases[] = {{8, 10000}, {8, 1000000}, {1000, 10000}, {1000, 1000000}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        printf("an end and what it starts, %4d places, %7zu tasks: %.1f us\n", cases[i].n_places,
               cases[i].n_tasks, 1e6 * decision_s(cases[i].n_places, cases[i].n_tasks));
}

int main(int argc, char **argv)
{
    static const char *const names[N_POLICIES] = {"packer", "first come first served",
                                                  "a node each, first come", "scale by scale"};
    const int n_seeds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 20;
    static struct trace trace;
    if (n_seeds < 1)
        return 2;
    for (int preempted = 0; preempted < 2; preempted++) {
        double sum[N_POLICIES] = {0}, worst[N_POLICIES] = {0}, idle[N_POLICIES] = {0}, bound = 0;
        int n_over[N_POLICIES] = {0};
        for (int seed = 0; seed < n_seeds; seed++) {
            make_trace(&trace, (uint64_t)seed + 1, preempted != 0);
            const double bound_s = find_bound(&trace);
            bound += bound_s / HOUR / n_seeds;
            for (int policy = 0; policy < N_POLICIES; policy++) {
                double idle_share = 0;
                const double ratio = simulate(&trace, (enum policy)policy, &idle_share) / bound_s;
                sum[policy] += ratio / n_seeds;
                worst[policy] = fmax(worst[policy], ratio);
                n_over[policy] += ratio > 1.1;
                idle[policy] += idle_share / n_seeds;
            }
        }
        printf("%s: bound %.1f h (mean of %d seeds)\n",
               preempted ? "with preemptions" : "undisturbed", bound, n_seeds);
        for (int policy = 0; policy < N_POLICIES; policy++)
            printf("  %-28s makespan / bound %.3f, worst %.3f, %d above 1.1   GPUs idle %4.1f %%\n",
                   names[policy], sum[policy], worst[policy], n_over[policy], 100 * idle[policy]);
    }
    bench_decisions();
    return 0;
}
