/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_next.c - does choosing runs pay? Simulated sweeps of known truth. From the same first runs
 * two rounds of one batch each: chosen by `next`, or random mixtures (Dirichlet, at the scales by
 * turns) for the same FLOPs and for twice as many; every round is refitted and asked for its
 * optimum, whose true regret at the target scale counts. Printed beside it: whether the advice was
 * right, and how often 90% intervals of shares and of the loss at the optimum cover the truth with
 * chosen and with random runs. Worlds are tasks over the ranks.
 *
 * Advice is right where it says of the true expected reduction of the regret, by the same runs
 * measured again and again, whether that is more than it has to be; where the repetitions leave
 * that open either answer is.
 *
 *     mpirun -n 2 bench.next.bench [WORLDS (4) [NOISE (0.01) [FIRST WORLD (1) [K, or 0 [FILE]]]]]
 *
 * Finished worlds are kept in FILE, and are not made again; all that are in it are printed. With 0
 * WORLDS it only prints. A signal ends it with what is finished.
 */
#include <gsl/gsl_errno.h>
#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mixsweep/job.h"
#include "mixsweep/next.h"
#include "mixsweep/random.h"
#include "mixsweep/sweep.h"

enum { CASES = 9, SCALES = 3, ROUNDS = 2, BATCH = 16, DRAWS = 150, STARTS = 8, K_MAX = 17 };
enum { REPEATS = 3, WORTHS = 2 };
enum { NEXT, RANDOM, RANDOM_2, ARMS };

/* A law is drawn from the seed where it can be; else it is fitted to the losses of one that can. */
static const struct law_case {
    const char *law;
    bool is_drawn, is_blind; /* to sizes: one scale, which is the target */
    size_t n_domains;
} cases[CASES] = {
    {"capacity", true, false, 4},  {"transfer", true, false, 4},   {"demand", true, false, 4},
    {"additive", false, false, 4}, {"loglinear", false, true, 4},  {"capacity", true, false, 7},
    {"additive", false, false, 7}, {"additive", false, false, 17}, {"loglinear", false, true, 17},
};
static const double worths[WORTHS] = {NAN, 1e-4}; /* that of a user who says nothing; little */
static const struct mix_next_scale scales[SCALES] = {
    {20e6, 1e9, 0}, {60e6, 2e9, 0}, {200e6, 4e9, 0}};

/* NaN = could not be had. */
struct outcome {
    double regret[ARMS][ROUNDS + 1];   /* true, of the optimum */
    double bagged[ARMS];               /* of the mean of the draws' optima, at the end */
    double expected[ROUNDS];           /* regret by the draws, before each batch */
    double reduction[ROUNDS];          /* of it, as expected */
    double again[ROUNDS][REPEATS];     /* true regret after the same batch with other noise */
    double worth[ROUNDS][WORTHS];      /* what the reduction had to be more than */
    double pays[ROUNDS][WORTHS];       /* 1 = the advice was to go on */
    double is_sure[ROUNDS][WORTHS];    /* 1 = and said so */
    double spent[ROUNDS];              /* of the FLOPs, by the chosen runs */
    double covered[ARMS], width[ARMS]; /* shares of the true optimum in their intervals */
    double loss_covered[ARMS];         /* the true loss at the optimum in its interval */
};

/* Of a finished world, in the file. */
struct record {
    uint64_t n_bytes, cell, seed; /* the first says that it is one of this program */
    double noise;
    struct outcome outcome;
};

struct study {
    size_t n_worlds, first_world, n_domains;
    double noise;
    FILE *file; /* rank 0's; NULL = none */
    size_t n_records;
    struct record *record; /* (n_records) rank 0's: finished worlds */
};

struct world {
    const struct study *study;
    const struct law_case *at;
    uint64_t seed;
    struct mix_job *job;
    struct mix_model *model;
    double *truth;
    double best_mixture[K_MAX], best; /* true objective of the true optimum */
    double target_n, target_d;
    gsl_rng *rng;
};

/* What is made of some runs. */
struct analysis {
    struct mix_fit *fit;
    struct mix_draws *draws;
    struct mix_optimum *optimum;
};

static void clear(struct analysis *a)
{
    mix_optimum_destroy(a->optimum);
    mix_draws_destroy(a->draws);
    mix_fit_destroy(a->fit);
    *a = (struct analysis){NULL, NULL, NULL};
}

static struct mix_job *make_job(const struct world *w)
{
    char text[4096];
    size_t used = (size_t)snprintf(text, sizeof text, "job: b\nfile: b.h5\nseed: %llu\ndomains: [",
                                   (unsigned long long)w->seed);
    for (size_t k = 0; k < w->at->n_domains; k++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s{name: d%zu}",
                                 k > 0 ? ", " : "", k);
    snprintf(text + used, sizeof text - used,
             "]\ndesign: {mixtures: 4, replicates: 1}\nscales:\n"
             "  - {n_params: 20e6, n_tokens: 1e9}\n  - {n_params: 60e6, n_tokens: 2e9}\n"
             "  - {n_params: 200e6, n_tokens: 4e9}\n"
             "sweep: {evaluator: simulate, simulate: {law: %s, noise: 0.01}}\n",
             w->at->is_drawn ? w->at->law : "capacity");
    struct mix_job *job = NULL;
    struct mix_error err = {.text = ""};
    if (mix_job_parse("bench", text, &job, &err) != MIX_OK)
        fprintf(stderr, "%s\n", err.text);
    return job;
}

static double true_objective(const struct world *w, const double *mixture)
{
    double loss[K_MAX], sum = 0;
    const double n = w->target_n / 1e6, d = w->target_d / 1e9;
    if (mix_model_predict(w->model, w->truth, 1, mixture, &n, &d, loss, NULL) != MIX_OK)
        return NAN;
    for (size_t m = 0; m < w->at->n_domains; m++)
        sum += loss[m] / (double)w->at->n_domains;
    return sum;
}

static bool add_run(struct world *w, struct mix_table *table, const double *mixture,
                    const struct mix_next_scale *scale, double noise)
{
    const size_t r = mix_table_append(table), k = w->at->n_domains;
    if (r == SIZE_MAX)
        return false;
    struct mix_run *run = &table->runs[r];
    run->n_params = scale->n_params;
    run->n_tokens = run->n_tokens_planned = scale->n_tokens;
    run->seed = r;
    snprintf(run->run, sizeof run->run, "r%zu", r);
    memcpy(table->mixture + r * k, mixture, k * sizeof *mixture);
    memcpy(table->asked + r * k, mixture, k * sizeof *mixture);
    const double n = scale->n_params / 1e6, d = scale->n_tokens / 1e9;
    if (mix_model_predict(w->model, w->truth, 1, mixture, &n, &d, table->loss + r * k, NULL) !=
        MIX_OK)
        return false;
    for (size_t m = 0; m < k; m++)
        table->loss[r * k + m] *= 1 + gsl_ran_gaussian_ziggurat(w->rng, noise);
    return true;
}

static void draw_mixture(struct world *w, double *mixture)
{
    double alpha[K_MAX];
    for (size_t k = 0; k < w->at->n_domains; k++)
        alpha[k] = 1;
    gsl_ran_dirichlet(w->rng, w->at->n_domains, alpha, mixture);
}

static double cost(size_t s)
{
    return 6 * scales[s].n_params * scales[s].n_tokens;
}

/* `flops` of random mixtures at the scales by turns, dearest first; what is left goes to the
 * cheapest. A blind law has the middle scale alone. */
static bool add_random(struct world *w, struct mix_table *table, double flops)
{
    double mixture[K_MAX];
    for (size_t i = 0;; i++) {
        size_t s = w->at->is_blind ? 1 : SCALES - 1 - i % SCALES;
        while (s > 0 && !w->at->is_blind && cost(s) > flops)
            s--;
        if (cost(s) > flops * (1 + 1e-9))
            return true;
        flops -= cost(s);
        draw_mixture(w, mixture);
        if (!add_run(w, table, mixture, &scales[s], w->study->noise))
            return false;
    }
}

static struct mix_table *copy_table(const struct world *w, const struct mix_table *from)
{
    const size_t k_max = w->at->n_domains;
    struct mix_table *table = mix_table_create(k_max, k_max);
    for (size_t k = 0; table && k < k_max; k++) {
        snprintf(table->domains[k].name, MIX_NAME_MAX, "d%zu", k);
        snprintf(table->targets[k].name, MIX_NAME_MAX, "d%zu", k);
    }
    if (table) {
        mix_table_link_targets(table);
        if (from && mix_table_merge(table, from, NULL, NULL) != MIX_OK) {
            mix_table_destroy(table);
            return NULL;
        }
    }
    return table;
}

/* Fit, bootstrap (where draws are wanted) and optimum of a table. */
static bool analyse(struct world *w, struct mix_table *table, bool with_draws, struct analysis *a)
{
    struct mix_error err = {.text = ""};
    struct mix_fit_options options = mix_fit_options_default();
    options.law = w->at->law;
    options.holdout = "none";
    options.n_starts = w->at->n_domains < K_MAX ? STARTS : STARTS / 2; /* they take longest */
    const struct mix_bootstrap_options resample = {.n_draws = DRAWS, .seed = 1};
    const struct mix_optimum_options question = {
        .n_params = w->target_n, .n_tokens = w->target_d, .level = 0.9, .seed = 1, .n_starts = 32};
    clear(a);
    bool good = mix_table_finish(table, &err) == MIX_OK &&
                mix_fit_run(NULL, table, &options, NULL, NULL, &a->fit, &err) == MIX_OK;
    if (good && with_draws) {
        a->draws = mix_draws_plan(a->fit, &resample, NULL);
        good = a->draws &&
               mix_bootstrap_run(NULL, table, a->fit, a->draws, NULL, NULL, NULL, &err) == MIX_OK;
    }
    good = good &&
           mix_optimum_run(NULL, table, a->fit, a->draws, &question, &a->optimum, &err) == MIX_OK;
    if (!good)
        fprintf(stderr, "bench, %s, K %zu, world %llu: %s\n", w->at->law, w->at->n_domains,
                (unsigned long long)w->seed, err.text);
    return good;
}

/* ---- the truth */

/* Losses without noise of many mixtures at all scales. */
static struct mix_table *exact_runs(struct world *w)
{
    double mixture[K_MAX];
    struct mix_table *table = copy_table(w, NULL);
    for (size_t i = 0; table && i < 12 * w->at->n_domains + 60; i++) {
        draw_mixture(w, mixture);
        if (!add_run(w, table, mixture, &scales[w->at->is_blind ? 1 : i % SCALES], 0)) {
            mix_table_destroy(table);
            return NULL;
        }
    }
    return table;
}

/* The least true objective: the optimum of a fit that has the true parameters. A law that cannot be
 * drawn takes those that are fitted to losses of one that can. */
static bool find_truth(struct world *w)
{
    struct mix_error err = {.text = ""};
    struct analysis a = {NULL, NULL, NULL};
    struct mix_table *table = exact_runs(w);
    bool good = table && analyse(w, table, false, &a);
    if (good && w->at->is_drawn) {
        const struct mix_optimum_options question = {.n_params = w->target_n,
                                                     .n_tokens = w->target_d,
                                                     .level = 0.9,
                                                     .seed = 1,
                                                     .n_starts = 64};
        mix_optimum_destroy(a.optimum);
        a.optimum = NULL;
        good = a.fit->n_params == mix_model_n_params(w->model);
        if (good)
            memcpy(a.fit->params, w->truth, a.fit->n_params * sizeof *a.fit->params);
        good = good &&
               mix_optimum_run(NULL, table, a.fit, NULL, &question, &a.optimum, &err) == MIX_OK;
    } else if (good) {
        double *params = malloc(a.fit->n_params * sizeof *params);
        struct mix_model *model = NULL;
        good = params && mix_fit_model(a.fit, &model, &err) == MIX_OK;
        if (good) {
            memcpy(params, a.fit->params, a.fit->n_params * sizeof *params);
            mix_model_destroy(w->model);
            free(w->truth);
            w->model = model;
            w->truth = params;
        } else {
            free(params);
        }
    }
    if (good) {
        memcpy(w->best_mixture, a.optimum->mixture, w->at->n_domains * sizeof(double));
        w->best = true_objective(w, w->best_mixture);
    } else {
        fprintf(stderr, "bench, truth of %s: %s\n", w->at->law, err.text);
    }
    clear(&a);
    mix_table_destroy(table);
    return good;
}

/* ---- arms */

/* What the end of an arm says of its intervals. */
static void judge_end(const struct world *w, const struct analysis *a, int arm, struct outcome *out)
{
    const size_t k_max = w->at->n_domains;
    const struct mix_optimum *o = a->optimum;
    double mean[K_MAX] = {0};
    out->covered[arm] = out->width[arm] = 0;
    const double loss = true_objective(w, o->mixture);
    out->loss_covered[arm] = loss >= o->objective.lo && loss <= o->objective.hi;
    for (size_t k = 0; k < k_max; k++) {
        const double share = w->best_mixture[k];
        out->covered[arm] +=
            (share >= o->mixture_lo[k] - 1e-6 && share <= o->mixture_hi[k] + 1e-6) / (double)k_max;
        out->width[arm] += (o->mixture_hi[k] - o->mixture_lo[k]) / (double)k_max;
    }
    size_t n = 0;
    for (size_t d = 0; d < o->n_draws; d++) {
        if (!isfinite(o->draw_mixture[d * k_max]))
            continue;
        n++;
        for (size_t k = 0; k < k_max; k++)
            mean[k] += o->draw_mixture[d * k_max + k];
    }
    for (size_t k = 0; k < k_max; k++)
        mean[k] /= (double)n;
    out->bagged[arm] = true_objective(w, mean) - w->best;
}

static bool add_batch(struct world *w, struct mix_table *table, const struct mix_next *next)
{
    bool good = true;
    for (size_t i = 0; good && i < next->n_runs; i++) {
        const struct mix_next_scale scale = {next->runs[i].n_params, next->runs[i].n_tokens, 0};
        good = add_run(w, table, next->mixture + i * w->at->n_domains, &scale, w->study->noise);
    }
    return good;
}

/* The true regret after the same batch, with other noise. */
static double measure_again(struct world *w, const struct mix_table *before,
                            const struct mix_next *next)
{
    struct mix_table *table = copy_table(w, before);
    struct analysis a = {NULL, NULL, NULL};
    double regret = NAN;
    if (table && add_batch(w, table, next) && analyse(w, table, false, &a))
        regret = true_objective(w, a.optimum->mixture) - w->best;
    clear(&a);
    mix_table_destroy(table);
    return regret;
}

static void note_proposal(struct outcome *out, int round, struct mix_next *next, double flops)
{
    out->expected[round] = next->before.value;
    out->reduction[round] = next->reduction.value;
    out->spent[round] = next->flops / flops;
    for (int i = 0; i < WORTHS; i++) {
        mix_next_weigh(next, worths[i]);
        out->worth[round][i] = next->worth;
        out->pays[round][i] = next->pays;
        out->is_sure[round][i] = next->is_sure;
    }
}

static bool add_chosen(struct world *w, struct mix_table *table, const struct analysis *a,
                       double flops, int round, struct outcome *out)
{
    struct mix_next_options options = mix_next_defaults();
    struct mix_next *next = NULL;
    struct mix_error err = {.text = ""};
    options.n_runs = BATCH;
    options.flops = flops;
    options.scales = w->at->is_blind ? &scales[1] : scales;
    options.n_scales = w->at->is_blind ? 1 : SCALES;
    options.seed = (uint64_t)round + 1;
    bool good = mix_next_propose(NULL, table, a->fit, a->draws, a->optimum, &options, NULL, NULL,
                                 &next, &err) == MIX_OK;
    if (good) {
        for (int i = 0; i < REPEATS; i++)
            out->again[round][i] = measure_again(w, table, next);
        note_proposal(out, round, next, flops);
        good = add_batch(w, table, next);
    } else {
        fprintf(stderr, "bench, next, %s: %s\n", w->at->law, err.text);
    }
    mix_next_destroy(next);
    return good;
}

/* `start`: what is made of the first runs. */
static void run_arm(struct world *w, const struct mix_table *first, const struct analysis *start,
                    int arm, struct outcome *out)
{
    static const double times[ARMS] = {1, 1, 2};
    const double flops = w->at->is_blind ? 8 * cost(1) : 2 * cost(2);
    const uint64_t what[] = {(uint64_t)(w->at - cases), (uint64_t)arm};
    mix_rng_rekey(w->rng, mix_key_make(w->seed, "bench arm", what, sizeof what));
    struct mix_table *table = copy_table(w, first);
    struct analysis a = {NULL, NULL, NULL};
    bool good = table && mix_table_finish(table, NULL) == MIX_OK;
    for (int round = 0; good && round <= ROUNDS; round++) {
        const struct analysis *at = round == 0 ? start : &a;
        const bool is_last = round == ROUNDS;
        good = round == 0 || analyse(w, table, arm == NEXT || (is_last && arm == RANDOM), &a);
        if (!good)
            break;
        out->regret[arm][round] = true_objective(w, at->optimum->mixture) - w->best;
        if (is_last && at->draws)
            judge_end(w, at, arm, out);
        else if (!is_last)
            good = arm == NEXT ? add_chosen(w, table, at, flops, round, out)
                               : add_random(w, table, times[arm] * flops);
    }
    clear(&a);
    mix_table_destroy(table);
}

/* The first runs, and all arms from there; a world without an answer is counted as such. */
static void run_world(struct world *w, struct outcome *out)
{
    double mixture[K_MAX];
    struct analysis start = {NULL, NULL, NULL};
    struct mix_table *first = copy_table(w, NULL);
    bool good = first != NULL;
    for (size_t i = 0; good && i < 20 + 2 * w->at->n_domains; i++) {
        draw_mixture(w, mixture);
        good = add_run(w, first, mixture, &scales[w->at->is_blind ? 1 : i % 2], w->study->noise);
    }
    good = good && analyse(w, first, true, &start);
    for (int arm = 0; good && arm < ARMS; arm++)
        run_arm(w, first, &start, arm, out);
    clear(&start);
    mix_table_destroy(first);
}

static enum mix_status study_world(void *context, size_t task, void *record, struct mix_poll *poll,
                                   struct mix_error *err)
{
    const struct study *study = context;
    struct outcome *out = record;
    const size_t cell = task % CASES;
    struct world w = {
        .study = study, .at = &cases[cell], .seed = study->first_world + task / CASES};
    double *all = &out->regret[0][0];
    for (size_t i = 0; i < sizeof *out / sizeof *all; i++)
        all[i] = NAN;
    if (mix_poll(poll))
        return MIX_EINTERRUPTED;
    w.target_n = w.at->is_blind ? scales[1].n_params : 1e9;
    w.target_d = w.at->is_blind ? scales[1].n_tokens : 2e10;
    w.job = make_job(&w);
    w.rng = mix_rng_create(mix_key_make(w.seed, "bench next", &cell, sizeof cell));
    const char *drawn = w.at->is_drawn ? w.at->law : "capacity";
    enum mix_status status = w.job && w.rng ? mix_job_model(w.job, drawn, 0, &w.model, err)
                                            : mix_fail(err, MIX_ENOMEM, "out of memory");
    if (status == MIX_OK) {
        w.truth = calloc(mix_model_n_params(w.model), sizeof *w.truth);
        status = mix_simulate_truth(w.job, w.model, w.truth, err);
    }
    if (status == MIX_OK && find_truth(&w))
        run_world(&w, out);
    free(w.truth);
    mix_model_destroy(w.model);
    if (w.rng)
        gsl_rng_free(w.rng);
    mix_job_destroy(w.job);
    return status;
}

/* ---- what is printed */

/* The values of a column. */
struct sum {
    size_t n;
    double *x;
};

static void add(struct sum *s, double x)
{
    double *more = isfinite(x) ? realloc(s->x, (s->n + 1) * sizeof *more) : NULL;
    if (!more)
        return;
    s->x = more;
    s->x[s->n++] = x;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Mean and standard error; with `median` in brackets what half of the worlds have. */
static const char *show(struct sum *s, bool median, char text[48])
{
    double mean = 0, square = 0;
    for (size_t i = 0; i < s->n; i++)
        mean += s->x[i] / (double)s->n;
    for (size_t i = 0; i < s->n; i++)
        square += (s->x[i] - mean) * (s->x[i] - mean);
    int used = 0;
    text[0] = '\0';
    const char *const one = fabs(mean) < 1e5 ? "%.2f" : "%.2g"; /* a law can run away */
    const char *const more = fabs(mean) < 1e5 ? " ± %.2f" : " ± %.2g";
    if (s->n > 0)
        used = snprintf(text, 48, one, mean);
    if (s->n > 1)
        used += snprintf(text + used, 48 - (size_t)used, more,
                         sqrt(square / (double)(s->n - 1) / (double)s->n));
    if (s->n > 0 && median) {
        qsort(s->x, s->n, sizeof *s->x, compare);
        snprintf(text + used, 48 - (size_t)used, " (%.2f)",
                 (s->x[(s->n - 1) / 2] + s->x[s->n / 2]) / 2);
    }
    return text;
}

enum { REGRETS = 8, FIGURES = 18, COLUMNS = 26 };
static const char *const heads[COLUMNS] = {
    "before",     "next 1",        "random 1",    "random2 1",     "next 2",     "random 2",
    "random2 2",  "bagged next 2", "random-next", "random2-next",  "now-true",   "fall-true",
    "cover next", "cover random",  "loss next",   "loss random",   "width next", "FLOPs of next",
    "pays",       "right",         "sure",        "right if sure", "pays",       "right",
    "sure",       "right if sure"};

static void add_advice(struct sum sums[COLUMNS], const struct outcome *o, int round)
{
    double after = o->regret[NEXT][round + 1], square = 0;
    for (int i = 0; i < REPEATS; i++)
        after += o->again[round][i];
    after /= REPEATS + 1;
    square = pow(o->regret[NEXT][round + 1] - after, 2);
    for (int i = 0; i < REPEATS; i++)
        square += pow(o->again[round][i] - after, 2);
    const double se = sqrt(square / REPEATS / (REPEATS + 1)), now = o->regret[NEXT][round];
    add(&sums[10], 1e4 * (o->expected[round] - now));
    add(&sums[11], 1e4 * (o->reduction[round] - (now - after)));
    for (int i = 0; i < WORTHS; i++) {
        const double more = now - after - o->worth[round][i];
        const bool right = fabs(more) <= 2 * se || (more > 0) == (o->pays[round][i] > 0);
        if (!isfinite(more))
            continue;
        struct sum *of = &sums[FIGURES + 4 * i];
        add(&of[0], o->pays[round][i]);
        add(&of[1], right);
        add(&of[2], o->is_sure[round][i]);
        if (o->is_sure[round][i] > 0)
            add(&of[3], right);
    }
}

static void add_world(struct sum sums[COLUMNS], const struct outcome *o)
{
    const double last = o->regret[NEXT][ROUNDS];
    if (!isfinite(last + o->regret[RANDOM][ROUNDS] + o->regret[RANDOM_2][ROUNDS]))
        return;
    add(&sums[0], 1e4 * o->regret[NEXT][0]);
    for (int round = 1; round <= ROUNDS; round++)
        for (int arm = 0; arm < ARMS; arm++)
            add(&sums[1 + (round - 1) * ARMS + arm], 1e4 * o->regret[arm][round]);
    add(&sums[7], 1e4 * o->bagged[NEXT]);
    add(&sums[8], 1e4 * (o->regret[RANDOM][ROUNDS] - last));
    add(&sums[9], 1e4 * (o->regret[RANDOM_2][ROUNDS] - last));
    add(&sums[12], o->covered[NEXT]);
    add(&sums[13], o->covered[RANDOM]);
    add(&sums[14], o->loss_covered[NEXT]);
    add(&sums[15], o->loss_covered[RANDOM]);
    add(&sums[16], o->width[NEXT] / o->width[RANDOM]);
    for (int round = 0; round < ROUNDS; round++) {
        add(&sums[17], o->spent[round]);
        add_advice(sums, o, round);
    }
}

/* Columns [first, last) of all lines; a line is a law, the last is all of them. */
static void print_table(struct sum sums[CASES + 1][COLUMNS], int first, int last)
{
    char text[64], name[48];
    printf("\n%-13s %4s", "law", "n");
    for (int c = first; c < last; c++)
        printf("%*s", c < REGRETS ? 26 : 16, heads[c]);
    for (int l = 0; l <= CASES; l++) {
        if (sums[l][0].n == 0)
            continue;
        if (l < CASES)
            snprintf(name, sizeof name, "%s %zu", cases[l].law, cases[l].n_domains);
        printf("\n%-13s %4zu", l < CASES ? name : "all", sums[l][0].n);
        for (int c = first; c < last; c++) { /* "±" has two bytes */
            show(&sums[l][c], c < REGRETS, text);
            printf(" %*s", (c < REGRETS ? 25 : 15) + (strstr(text, "±") != NULL), text);
        }
    }
    putchar('\n');
}

static void print_all(const struct study *study)
{
    struct sum sums[CASES + 1][COLUMNS] = {0};
    for (size_t i = 0; i < study->n_records; i++) {
        add_world(sums[study->record[i].cell], &study->record[i].outcome);
        add_world(sums[CASES], &study->record[i].outcome);
    }
    printf(
        "true regret x 1e4, mean ± se (median) over n worlds, noise %g, after one and two rounds "
        "of %d runs: chosen (next), random, random for twice the FLOPs (random2)\n",
        study->noise, BATCH);
    print_table(sums, 0, REGRETS);
    printf("\npaired differences x 1e4; regret now and its fall as the draws expect them, less the "
           "true ones; cover of 90%% intervals after two rounds, of shares and of the loss at the "
           "optimum; width of those of shares by that with random runs; part of the FLOPs that "
           "the chosen runs took\n");
    print_table(sums, REGRETS, FIGURES);
    printf("\nadvice that was to go on, that was right, that was sure, and that was right where it "
           "was sure; worth: a tenth of the scatter of a measured mean loss\n");
    print_table(sums, FIGURES, FIGURES + 4);
    printf("\nthe same, worth %g\n", worths[1]);
    print_table(sums, FIGURES + 4, COLUMNS);
    for (int l = 0; l <= CASES; l++)
        for (int c = 0; c < COLUMNS; c++)
            free(sums[l][c].x);
}

/* ---- finished worlds */

static bool is_in_study(const struct study *study, size_t cell)
{
    return study->n_domains == 0 || cases[cell].n_domains == study->n_domains;
}

static bool keep(struct study *study, const struct record *record)
{
    struct record *more = realloc(study->record, (study->n_records + 1) * sizeof *more);
    if (!more)
        return false;
    study->record = more;
    more[study->n_records++] = *record;
    return true;
}

/* Rank 0: what is in the file, and where to add to it. */
static bool open_file(struct study *study, const char *path)
{
    struct record record;
    study->file = fopen(path, "a+b");
    if (!study->file)
        return false;
    rewind(study->file);
    long end = 0;
    while (fread(&record, sizeof record, 1, study->file) == 1 && record.n_bytes == sizeof record &&
           record.cell < CASES) {
        end += (long)sizeof record;
        if (record.noise == study->noise && is_in_study(study, record.cell) &&
            !keep(study, &record))
            return false;
    }
    return ftruncate(fileno(study->file), end) == 0; /* half a record was not finished */
}

static void finish_world(void *context, size_t task, const void *outcome)
{
    struct study *study = context;
    struct record record = {.n_bytes = sizeof record,
                            .cell = task % CASES,
                            .seed = study->first_world + task / CASES,
                            .noise = study->noise};
    memcpy(&record.outcome, outcome, sizeof record.outcome);
    if (!keep(study, &record) ||
        (study->file &&
         (fwrite(&record, sizeof record, 1, study->file) != 1 || fflush(study->file) != 0)))
        fprintf(stderr, "bench: a finished world could not be kept\n");
}

static bool is_finished(const struct study *study, size_t task)
{
    bool found = !is_in_study(study, task % CASES);
    for (size_t i = 0; i < study->n_records && !found; i++)
        found = study->record[i].cell == task % CASES &&
                study->record[i].seed == study->first_world + task / CASES;
    return found;
}

static enum mix_status run_study(struct mix_ranks *ranks, struct study *study,
                                 struct mix_error *err)
{
    const size_t n = study->n_worlds * CASES;
    uint8_t *done = calloc(n + 1, 1);
    for (size_t i = 0; done && i < n; i++)
        done[i] = is_finished(study, i);
    const struct mix_stage stage = {.name = "worlds",
                                    .n_tasks = n,
                                    .record_bytes = sizeof(struct outcome),
                                    .run = study_world,
                                    .context = study,
                                    .done = done,
                                    .finish = finish_world,
                                    .finish_context = study};
    enum mix_status status = done ? MIX_OK : mix_fail(err, MIX_ENOMEM, "out of memory");
    status = mix_ranks_agree(ranks, status, err);
    if (status == MIX_OK && n > 0)
        status = mix_stage_run(ranks, &stage, err);
    free(done);
    return status;
}

int main(int argc, char **argv)
{
    struct mix_ranks *ranks = NULL;
    struct mix_error err = {.text = ""};
    gsl_set_error_handler_off();
    if (mix_ranks_create(&argc, &argv, &ranks, &err) != MIX_OK)
        return 1;
    mix_signals_install();
    struct study study = {.n_worlds = argc > 1 ? strtoul(argv[1], NULL, 10) : 4,
                          .noise = argc > 2 ? strtod(argv[2], NULL) : 0.01,
                          .first_world = argc > 3 ? strtoul(argv[3], NULL, 10) : 1,
                          .n_domains = argc > 4 ? strtoul(argv[4], NULL, 10) : 0};
    const bool is_first = mix_ranks_rank(ranks) == 0;
    enum mix_status status = MIX_OK;
    if (is_first && argc > 5 && !open_file(&study, argv[5]))
        status = mix_fail(&err, MIX_EIO, "%s cannot be opened", argv[5]);
    status = mix_ranks_agree(ranks, status, &err);
    if (status == MIX_OK)
        status = run_study(ranks, &study, &err);
    if (status != MIX_OK && is_first)
        fprintf(stderr, "%s\n", err.text);
    if (is_first && study.n_records > 0)
        print_all(&study);
    if (study.file)
        fclose(study.file);
    free(study.record);
    mix_ranks_destroy(ranks);
    return status == MIX_OK ? 0 : 1;
}
