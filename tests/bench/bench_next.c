/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_next.c - does choosing runs pay? Simulated sweeps of known truth. From the same first runs
 * two rounds of one batch each: chosen by `next`, for all FLOPs of a round and for half of them;
 * random mixtures (Dirichlet, at the scales by turns) for all of them; and random ones at the
 * cheapest scale alone, to tell what the choice of scales saves from what that of mixtures does.
 * All are refitted and asked for the optimum, whose true regret at the target scale counts. Two
 * cases are fitted with a law that is not the truth.
 *
 * In every third world also: whether the advice was right, how often 90% intervals of shares and of
 * the loss at the optimum cover the truth with chosen and with random runs, and whether another
 * recommendation is better, the mean of the draws' optima or the one of them that loses least over
 * all draws. Advice is right where it says of the true expected reduction of the regret, by the
 * same runs measured again and again, whether that is more than it has to be; where the repetitions
 * leave that open either answer is. Worlds are tasks over the ranks.
 *
 * Seen: worlds of loglinear leave at most 11.5 of any domain alone, as a guess among 10^5 tokens
 * does. Its regrets spread by 10^4: the first 12 worlds of K = 4 said 1.01 (0.45 - 2.23) of random,
 * 200 say 0.26 (0.18 - 0.39), with half of the FLOPs 0.43 (0.29 - 0.64). With a wrong law, capacity
 * in worlds of demand and additive in those of capacity, `next` without doubts was at 0.64 (0.19 -
 * 2.13) and 1.35 (1.02 - 1.80); inner mixtures alone gave 0.51 and 1.36, scales by turns alone 0.48
 * and 1.55 (5 and 4 worlds), both together, doubted by a fit of the truth beside, 0.45 (0.13 -
 * 1.50) and 0.97 (0.79 - 1.18), and by the laws that are fitted to the same runs, in 45 worlds,
 * 0.70 (0.35 - 1.41) and 1.05 (0.94 - 1.18). Advice at a worth of 1e-4 was right in 62 of 72
 * rounds, in 73 +- 4% of 134 of loglinear K = 4 (too often to go on: 24 to 12), where it was sure
 * in 90 +- 4%; no other threshold of the expected fall reaches 90% overall: a single world's regret
 * spreads that much around what is expected of it. Capacity at K = 4 has single worlds in which
 * half is not enough. Other recommendations than the optimum were no better after chosen runs. In
 * 20 later worlds, K = 4, the regret expected before a round was 0.5 +- 0.6 x 1e-4 below the true
 * one, its fall 0.8 +- 0.7 x 1e-4 above; advice was right in all of 20 rounds of ten of them at the
 * default worth, where it was always to stop, and in 80 +- 9% at a worth of 1e-4, near the regret
 * itself. In 25 worlds before, 90% intervals covered 93% of the shares of the true optimum after
 * chosen runs, 94% after random ones, at half the width, and the loss at the optimum in 80% and
 * 96%. In 112 rounds the fall that draws by counts expect was 1.9 times the true one (they leave
 * each run out of a third of them, be it the only one of its kind), of draws by Dirichlet
 * weights 1.0 times, whose intervals of losses hold in 80 - 87% only.
 *
 * 555 worlds of right laws (README): all FLOPs 0.21 of random, half of them 0.30; all 0.62 of
 * random runs at the cheapest scale, 1.47 (1.27 - 1.70) with additive 17. These were made before
 * searches had their secant correction.
 *
 *     mpirun -n 2 bench.next.bench [WORLDS (4) [NOISE (0.01) [FIRST WORLD (1) [CASE [FILE]]]]]
 *
 * CASE is a part of the names of those to look at, as they are printed: "additive", "in truth"; ""
 * = all.
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

#include "analysis.h"
#include "mixsweep/job.h"
#include "mixsweep/next.h"
#include "mixsweep/random.h"
#include "mixsweep/sweep.h"

enum { CASES = 11, SCALES = 3, ROUNDS = 2, BATCH = 32, DRAWS = 150, STARTS = 8, K_MAX = 17 };
enum { REPEATS = 3, WORTHS = 2, CLOSE = 3 /* one world in so many */ };
enum { NEXT, HALF, RANDOM, SMALL, ARMS };

/* A law is drawn from the seed where it can be; else it is fitted to the losses of one that can. */
static const struct law_case {
    const char *law;
    const char *truth;       /* another law, drawn; NULL = it is the law */
    bool is_drawn, is_blind; /* to sizes: one scale, which is the target */
    size_t n_domains;
} cases[CASES] = {
    {"capacity", NULL, true, false, 4},       {"transfer", NULL, true, false, 4},
    {"demand", NULL, true, false, 4},         {"additive", NULL, false, false, 4},
    {"loglinear", NULL, false, true, 4},      {"capacity", NULL, true, false, 7},
    {"additive", NULL, false, false, 7},      {"additive", NULL, false, false, 17},
    {"loglinear", NULL, false, true, 17},     {"capacity", "demand", true, false, 4},
    {"additive", "capacity", true, false, 7},
};
static const double MOST = 11.5;                  /* ln 1e5 */
static const double worths[WORTHS] = {NAN, 1e-4}; /* that of a user who says nothing; little */
static const struct mix_next_scale scales[SCALES] = {
    {20e6, 1e9, 0}, {60e6, 2e9, 0}, {200e6, 4e9, 0}};

/* NaN = could not be had, or was not looked at. */
struct outcome {
    double regret[ARMS][ROUNDS + 1]; /* true, of the optimum */
    double bagged[ARMS];             /* of the mean of the draws' optima, at the end */
    double least[ARMS];              /* of that of these with the least mean objective */
    double expected[ROUNDS];         /* regret by the draws, before each batch */
    double reduction[ROUNDS];        /* of it, as expected */
    double again[ROUNDS][REPEATS];   /* true regret after the same batch with other noise */
    double worth[ROUNDS][WORTHS];    /* what the reduction had to be more than */
    double pays[ROUNDS][WORTHS];     /* 1 = the advice was to go on */
    double is_sure[ROUNDS][WORTHS];  /* 1 = and said so */
    double doubted[ARMS][ROUNDS];    /* 1 = the law was */
    double spent[ARMS][ROUNDS];      /* of the FLOPs */
    double n_runs[ARMS][ROUNDS];
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
    size_t n_worlds, first_world;
    const char *cases; /* part of the names of those that are looked at */
    double noise;
    FILE *file; /* rank 0's; NULL = none */
    size_t n_records;
    struct record *record; /* (n_records) rank 0's: finished worlds */
};

struct world {
    const struct study *study;
    const struct law_case *at;
    const char *law; /* that is fitted */
    bool is_close;   /* looked at closely */
    uint64_t seed;
    struct mix_job *job;
    struct mix_model *model;
    double *truth;
    double best_mixture[K_MAX], best; /* true objective of the true optimum */
    double target_n, target_d;
    gsl_rng *rng;
};

/* "additive 7, in truth capacity" */
static void name_case(const struct law_case *at, char text[48])
{
    snprintf(text, 48, "%s %zu%s%s", at->law, at->n_domains, at->truth ? ", in truth " : "",
             at->truth ? at->truth : "");
}

/* The law that is drawn. */
static const char *law_of_truth(const struct law_case *at)
{
    return at->truth ? at->truth : at->is_drawn ? at->law : "capacity";
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
             law_of_truth(w->at));
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
static bool add_random(struct world *w, struct mix_table *table, double flops, bool is_small)
{
    double mixture[K_MAX];
    for (size_t i = 0;; i++) {
        size_t s = w->at->is_blind ? 1 : is_small ? 0 : SCALES - 1 - i % SCALES;
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
    options.law = w->law;
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
        fprintf(stderr, "bench, %s, K %zu, world %llu: %s\n", w->law, w->at->n_domains,
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

/* A loglinear law that is fitted where many domains are mixed can say of one alone that it leaves
 * thousands, where a guess among 1e5 tokens leaves 11.5: none leaves more. */
static void bound_losses(struct world *w)
{
    const size_t k_max = w->at->n_domains;
    for (size_t m = 0; m < k_max; m++) {
        double *c = w->truth + m * (k_max + 1), *t = c + 1;
        for (size_t k = 0; k < k_max; k++)
            t[k] = fmin(t[k], log(MOST - *c));
    }
}

/* The parameters of a fit become the truth. */
static bool take_truth(struct world *w, const struct mix_fit *fit, struct mix_error *err)
{
    mix_model_destroy(w->model);
    free(w->truth);
    w->model = NULL;
    w->truth = malloc(fit->n_params * sizeof *w->truth);
    if (!w->truth || mix_fit_model(fit, &w->model, err) != MIX_OK)
        return false;
    memcpy(w->truth, fit->params, fit->n_params * sizeof *w->truth);
    if (w->at->is_blind)
        bound_losses(w);
    return true;
}

/* The least true objective: the optimum of a fit that has the true parameters. A law that cannot be
 * drawn takes those that are fitted to losses of one that can. */
static bool find_truth(struct world *w)
{
    struct mix_error err = {.text = ""};
    struct analysis a = {NULL, NULL, NULL};
    struct mix_table *table = exact_runs(w);
    w->law = w->at->truth ? w->at->truth : w->at->law;
    bool good = table && analyse(w, table, false, &a);
    if (good && !w->at->is_drawn)
        good = take_truth(w, a.fit, &err);
    if (good)
        good = a.fit->n_params == mix_model_n_params(w->model);
    if (good) {
        const struct mix_optimum_options question = {.n_params = w->target_n,
                                                     .n_tokens = w->target_d,
                                                     .level = 0.9,
                                                     .seed = 1,
                                                     .n_starts = 64};
        mix_optimum_destroy(a.optimum);
        a.optimum = NULL;
        memcpy(a.fit->params, w->truth, a.fit->n_params * sizeof *a.fit->params);
        good = mix_optimum_run(NULL, table, a.fit, NULL, &question, &a.optimum, &err) == MIX_OK;
    }
    if (good) {
        memcpy(w->best_mixture, a.optimum->mixture, w->at->n_domains * sizeof(double));
        w->best = true_objective(w, w->best_mixture);
    } else {
        fprintf(stderr, "bench, truth of %s: %s\n", w->law, err.text);
    }
    clear(&a);
    mix_table_destroy(table);
    w->law = w->at->law;
    return good;
}

/* ---- arms */

/* The mean of the draws' optima. */
static void find_mean(const struct world *w, const struct mix_optimum *o, double *mean)
{
    const size_t k_max = w->at->n_domains;
    double n = 0;
    memset(mean, 0, k_max * sizeof *mean);
    for (size_t d = 0; d < o->n_draws; d++) {
        if (!isfinite(o->draw_mixture[d * k_max]))
            continue;
        n++;
        for (size_t k = 0; k < k_max; k++)
            mean[k] += o->draw_mixture[d * k_max + k];
    }
    for (size_t k = 0; k < k_max; k++)
        mean[k] /= n;
}

/* Mean objective over the draws of one mixture at the target. */
static double mean_objective(const struct world *w, const struct analysis *a,
                             struct mix_model *model, const double *mixture)
{
    double loss[K_MAX], sum = 0;
    const double n = w->target_n / 1e6, d = w->target_d / 1e9;
    for (size_t b = 0; b < a->draws->n_draws; b++) {
        if (!a->draws->done[b] || !isfinite(a->draws->objective[b]))
            continue;
        if (mix_model_predict(model, a->draws->params + b * a->draws->n_params, 1, mixture, &n, &d,
                              loss, NULL) != MIX_OK)
            continue; /* such a draw says nothing of any mixture */
        for (size_t m = 0; m < w->at->n_domains; m++)
            sum += loss[m] / (double)w->at->n_domains;
    }
    return sum;
}

/* True regrets of other recommendations: the mean of the draws' optima, and which of these, of the
 * optimum and of the mean has the least mean objective over the draws. */
static void judge_others(const struct world *w, const struct analysis *a, double *bagged,
                         double *least)
{
    const size_t k_max = w->at->n_domains;
    const struct mix_optimum *o = a->optimum;
    double mean[K_MAX];
    struct mix_model *model = NULL;
    find_mean(w, o, mean);
    *bagged = true_objective(w, mean) - w->best;
    if (mix_fit_model(a->fit, &model, NULL) != MIX_OK)
        return;
    const double *best = mean;
    double lowest = mean_objective(w, a, model, mean);
    for (size_t d = 0; d <= o->n_draws; d++) {
        const double *mixture = d < o->n_draws ? o->draw_mixture + d * k_max : o->mixture;
        const double sum = isfinite(mixture[0]) ? mean_objective(w, a, model, mixture) : INFINITY;
        if (sum < lowest) {
            lowest = sum;
            best = mixture;
        }
    }
    *least = true_objective(w, best) - w->best;
    mix_model_destroy(model);
}

/* What the end of an arm says of its intervals. */
static void judge_end(const struct world *w, const struct analysis *a, int arm, struct outcome *out)
{
    const size_t k_max = w->at->n_domains;
    const struct mix_optimum *o = a->optimum;
    out->covered[arm] = out->width[arm] = 0;
    const double loss = true_objective(w, o->mixture);
    out->loss_covered[arm] = loss >= o->objective.lo && loss <= o->objective.hi;
    for (size_t k = 0; k < k_max; k++) {
        const double share = w->best_mixture[k];
        out->covered[arm] +=
            (share >= o->mixture_lo[k] - 1e-6 && share <= o->mixture_hi[k] + 1e-6) / (double)k_max;
        out->width[arm] += (o->mixture_hi[k] - o->mixture_lo[k]) / (double)k_max;
    }
    judge_others(w, a, &out->bagged[arm], &out->least[arm]);
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

static void note_proposal(struct outcome *out, int round, struct mix_next *next)
{
    out->expected[round] = next->before.value;
    out->reduction[round] = next->reduction.value;
    for (int i = 0; i < WORTHS; i++) {
        mix_next_weigh(next, worths[i]);
        out->worth[round][i] = next->worth;
        out->pays[round][i] = next->pays;
        out->is_sure[round][i] = next->is_sure;
    }
}

static bool add_chosen(struct world *w, struct mix_table *table, const struct analysis *a,
                       double flops, int arm, int round, struct outcome *out)
{
    struct mix_next_options options = mix_next_defaults();
    struct mix_next *next = NULL;
    struct mix_error err = {.text = ""};
    struct mix_law_check check;
    options.n_runs = BATCH;
    options.flops = flops;
    options.scales = w->at->is_blind ? &scales[1] : scales;
    options.n_scales = w->at->is_blind ? 1 : SCALES;
    options.seed = (uint64_t)round + 1;
    bool good = mix_law_check(NULL, table, a->fit, 0, NULL, NULL, NULL, &check, &err) == MIX_OK;
    options.is_doubted = good && check.is_doubted;
    good = good && mix_next_propose(NULL, table, a->fit, a->draws, a->optimum, &options, NULL, NULL,
                                    &next, &err) == MIX_OK;
    if (good) {
        out->doubted[arm][round] = check.is_doubted;
        for (int i = 0; i < REPEATS && w->is_close && arm == NEXT; i++)
            out->again[round][i] = measure_again(w, table, next);
        if (arm == NEXT)
            note_proposal(out, round, next);
        good = add_batch(w, table, next);
    } else {
        fprintf(stderr, "bench, next, %s: %s\n", w->law, err.text);
    }
    mix_next_destroy(next);
    return good;
}

/* The runs of a round. */
static bool add_round(struct world *w, struct mix_table *table, const struct analysis *a, int arm,
                      int round, struct outcome *out)
{
    const double all = w->at->is_blind ? 8 * cost(1) : 2 * cost(2);
    const double flops = arm == HALF ? all / 2 : all;
    const size_t before = table->n_rows;
    const bool good = arm == NEXT || arm == HALF ? add_chosen(w, table, a, flops, arm, round, out)
                                                 : add_random(w, table, flops, arm == SMALL);
    out->n_runs[arm][round] = (double)(table->n_rows - before);
    out->spent[arm][round] = 0;
    for (size_t r = before; r < table->n_rows; r++)
        out->spent[arm][round] += 6 * table->runs[r].n_params * table->runs[r].n_tokens / all;
    return good;
}

/* `start`: what is made of the first runs. */
static void run_arm(struct world *w, const struct mix_table *first, const struct analysis *start,
                    int arm, struct outcome *out)
{
    const uint64_t what[] = {(uint64_t)(w->at - cases), (uint64_t)arm};
    mix_rng_rekey(w->rng, mix_key_make(w->seed, "bench arm", what, sizeof what));
    struct mix_table *table = copy_table(w, first);
    struct analysis a = {NULL, NULL, NULL};
    bool good = table && mix_table_finish(table, NULL) == MIX_OK;
    for (int round = 0; good && round <= ROUNDS; round++) {
        const struct analysis *at = round == 0 ? start : &a;
        const bool is_last = round == ROUNDS, is_chosen = arm == NEXT || arm == HALF;
        const bool with_draws = is_last ? w->is_close && (arm == NEXT || arm == RANDOM) : is_chosen;
        if (round > 0 && (is_last || arm != SMALL)) /* of these the end alone counts */
            good = analyse(w, table, with_draws, &a);
        if (!good)
            break;
        if (at->optimum)
            out->regret[arm][round] = true_objective(w, at->optimum->mixture) - w->best;
        if (is_last && at->draws && at->optimum)
            judge_end(w, at, arm, out);
        else if (!is_last)
            good = add_round(w, table, at, arm, round, out);
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
        if (arm != SMALL || !w->at->is_blind)
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
    w.law = w.at->law;
    w.is_close = w.seed % CLOSE == 1;
    double *all = &out->regret[0][0];
    for (size_t i = 0; i < sizeof *out / sizeof *all; i++)
        all[i] = NAN;
    if (mix_poll(poll))
        return MIX_EINTERRUPTED;
    w.target_n = w.at->is_blind ? scales[1].n_params : 1e9;
    w.target_d = w.at->is_blind ? scales[1].n_tokens : 2e10;
    w.job = make_job(&w);
    w.rng = mix_rng_create(mix_key_make(w.seed, "bench next", &cell, sizeof cell));
    const char *drawn = law_of_truth(w.at);
    enum mix_status status = w.job && w.rng ? mix_job_model(w.job, drawn, 0, &w.model, err)
                                            : mix_fail(err, MIX_ENOMEM, "out of memory");
    if (status == MIX_OK) {
        w.truth = calloc(mix_model_n_params(w.model), sizeof *w.truth);
        status = mix_simulate_truth(w.job, w.model, w.truth, err);
    }
    if (status == MIX_OK && find_truth(&w))
        run_world(&w, out);
    if (mix_poll(poll)) /* what was cut short is no outcome */
        status = MIX_EINTERRUPTED;
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

/* There is room for all rounds of all worlds. */
static void add(struct sum *s, double x)
{
    if (isfinite(x))
        s->x[s->n++] = x;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

enum kind { MEAN, MEDIAN /* beside the mean */, RATIO /* of which logarithms are added */ };
enum { TABLES = 6 };
enum column {
    BEFORE,
    REGRET_1, /* of the arms that have one after the first round */
    REGRET_2 = REGRET_1 + SMALL,
    BY_RANDOM = REGRET_2 + ARMS, /* of all arms but RANDOM */
    BY_SMALL = BY_RANDOM + 3,
    SPENT = BY_SMALL + 2,
    RUNS = SPENT + 2,
    DOUBTED = RUNS + ARMS,
    NOW = DOUBTED + 2,
    FALL,
    COVER,
    LOSS = COVER + 2,
    WIDTH = LOSS + 2,
    OTHERS,
    ADVICE = OTHERS + 4,
    COLUMNS = ADVICE + 4 * WORTHS
};

static const struct table {
    int first, last, width;
    enum kind kind;
    const char *title;
} tables[TABLES] = {
    {BEFORE, BY_RANDOM, 26, MEDIAN,
     "true regret x 1e4, mean ± se (median), after one and two rounds: chosen (next), chosen for "
     "half of the FLOPs (half), random for all of them, at the scales by turns (random) or at the "
     "cheapest (small)"},
    {BY_RANDOM, SPENT, 24, RATIO,
     "regret after two rounds by that of another way to spend all FLOPs: geometric mean (± 2 se); "
     "all: of the laws that are the truth"},
    {SPENT, NOW, 16, MEAN,
     "part of all FLOPs that was spent, runs, and part of the rounds whose law was doubted"},
    {NOW, OTHERS, 16, MEAN,
     "regret x 1e4 now, and its fall, as the draws expect them, less the true ones; cover of 90% "
     "intervals after two rounds, of shares and of the loss at the optimum; width of those of "
     "shares by that with random runs"},
    {OTHERS, ADVICE, 24, RATIO,
     "other recommendations, regret by that of the optimum: the mean of the draws' optima (bagged) "
     "and that with the least mean objective over the draws (least)"},
    {ADVICE, COLUMNS, 16, MEAN,
     "advice that was to go on, that was right, that was sure, and that was right where it was "
     "sure; worth: a tenth of the scatter of a measured mean loss, then 1e-4"},
};
static const char *const heads[COLUMNS] = {
    "before",        "next 1",       "half 1",      "random 1",     "next 2",       "half 2",
    "random 2",      "small 2",      "next/random", "half/random",  "small/random", "next/small",
    "half/small",    "next",         "half",        "runs next",    "half",         "random",
    "small",         "doubted next", "half",        "now-true",     "fall-true",    "shares next",
    "random",        "loss next",    "random",      "width",        "bagged next",  "least next",
    "bagged random", "least random", "pays",        "right",        "sure",         "right if sure",
    "pays",          "right",        "sure",        "right if sure"};

/* What half of the worlds have. */
static double median(struct sum *s)
{
    qsort(s->x, s->n, sizeof *s->x, compare);
    return (s->x[(s->n - 1) / 2] + s->x[s->n / 2]) / 2;
}

static void show(struct sum *s, enum kind kind, char text[48])
{
    double mean = 0, square = 0;
    for (size_t i = 0; i < s->n; i++)
        mean += s->x[i] / (double)s->n;
    for (size_t i = 0; i < s->n; i++)
        square += (s->x[i] - mean) * (s->x[i] - mean);
    const double se = s->n > 1 ? sqrt(square / (double)(s->n - 1) / (double)s->n) : INFINITY;
    text[0] = '\0';
    if (s->n == 0)
        return;
    int used = snprintf(text, 48, fabs(mean) < 1e5 ? "%.2f" : "%.2g", /* a law can run away */
                        kind == RATIO ? exp(mean) : mean);
    if (kind == RATIO && isfinite(se))
        snprintf(text + used, 48 - (size_t)used, " (%.2f-%.2f)", exp(mean - 2 * se),
                 exp(mean + 2 * se));
    else if (isfinite(se))
        used +=
            snprintf(text + used, 48 - (size_t)used, fabs(se) < 1e5 ? " ± %.2f" : " ± %.2g", se);
    if (kind == MEDIAN)
        snprintf(text + used, 48 - (size_t)used, " (%.2f)", median(s));
}

/* A regret that is nothing has no logarithm. */
static void add_ratio(struct sum *s, double regret, double other)
{
    const double nothing = 1e-6;
    if (isfinite(regret) && isfinite(other))
        add(s, log(fmax(regret, 0) + nothing) - log(fmax(other, 0) + nothing));
}

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
    add(&sums[NOW], 1e4 * (o->expected[round] - now));
    add(&sums[FALL], 1e4 * (o->reduction[round] - (now - after)));
    for (int i = 0; i < WORTHS; i++) {
        const double more = now - after - o->worth[round][i];
        const bool right = fabs(more) <= 2 * se || (more > 0) == (o->pays[round][i] > 0);
        if (!isfinite(more))
            continue;
        struct sum *of = &sums[ADVICE + 4 * i];
        add(&of[0], o->pays[round][i]);
        add(&of[1], right);
        add(&of[2], o->is_sure[round][i]);
        if (o->is_sure[round][i] > 0)
            add(&of[3], right);
    }
}

static void add_world(struct sum sums[COLUMNS], const struct outcome *o)
{
    static const int chosen[] = {NEXT, HALF, SMALL}, judged[] = {NEXT, RANDOM};
    const double random = o->regret[RANDOM][ROUNDS], small = o->regret[SMALL][ROUNDS];
    if (!isfinite(o->regret[NEXT][ROUNDS] + o->regret[HALF][ROUNDS] + random))
        return;
    add(&sums[BEFORE], 1e4 * o->regret[NEXT][0]);
    for (int arm = 0; arm < ARMS; arm++) {
        if (arm != SMALL)
            add(&sums[REGRET_1 + arm], 1e4 * o->regret[arm][1]);
        add(&sums[REGRET_2 + arm], 1e4 * o->regret[arm][ROUNDS]);
    }
    for (int i = 0; i < 3; i++) {
        add_ratio(&sums[BY_RANDOM + i], o->regret[chosen[i]][ROUNDS], random);
        if (chosen[i] != SMALL)
            add_ratio(&sums[BY_SMALL + i], o->regret[chosen[i]][ROUNDS], small);
    }
    for (int round = 0; round < ROUNDS; round++) {
        for (int arm = 0; arm < ARMS; arm++)
            add(&sums[RUNS + arm], o->n_runs[arm][round]);
        add(&sums[SPENT], o->spent[NEXT][round]);
        add(&sums[SPENT + 1], o->spent[HALF][round]);
        add(&sums[DOUBTED], o->doubted[NEXT][round]);
        add(&sums[DOUBTED + 1], o->doubted[HALF][round]);
        add_advice(sums, o, round);
    }
    for (int i = 0; i < 2; i++) {
        const int arm = judged[i];
        add(&sums[COVER + i], o->covered[arm]);
        add(&sums[LOSS + i], o->loss_covered[arm]);
        add_ratio(&sums[OTHERS + 2 * i], o->bagged[arm], o->regret[arm][ROUNDS]);
        add_ratio(&sums[OTHERS + 2 * i + 1], o->least[arm], o->regret[arm][ROUNDS]);
    }
    add(&sums[WIDTH], o->width[NEXT] / o->width[RANDOM]);
}

/* A line is a case, the last is all of them. */
static void print_table(struct sum sums[CASES + 1][COLUMNS], const struct table *table)
{
    char text[64], name[48];
    printf("\n%s\n%-24s %4s", table->title, "law", "n");
    for (int c = table->first; c < table->last; c++)
        printf("%*s", table->width, heads[c]);
    for (int l = 0; l <= CASES; l++) {
        const struct sum *any = &sums[l][table->first];
        if (any->n == 0)
            continue;
        snprintf(name, sizeof name, "all");
        if (l < CASES)
            name_case(&cases[l], name);
        printf("\n%-24s %4zu", name, any->n);
        for (int c = table->first; c < table->last; c++) { /* "±" has two bytes */
            show(&sums[l][c], table->kind, text);
            printf(" %*s", table->width - 1 + (strstr(text, "±") != NULL), text);
        }
    }
    putchar('\n');
}

static void print_all(const struct study *study)
{
    struct sum sums[CASES + 1][COLUMNS] = {0};
    const size_t room = ROUNDS * study->n_records;
    double *all = calloc((CASES + 1) * COLUMNS * room, sizeof *all);
    for (int i = 0; all && i < (CASES + 1) * COLUMNS; i++)
        sums[i / COLUMNS][i % COLUMNS].x = all + (size_t)i * room;
    for (size_t i = 0; all && i < study->n_records; i++) {
        const struct record *record = &study->record[i];
        add_world(sums[record->cell], &record->outcome);
        if (!cases[record->cell].truth)
            add_world(sums[CASES], &record->outcome);
    }
    printf("noise %g, rounds of at most %d chosen runs\n", study->noise, BATCH);
    for (int t = 0; t < TABLES; t++)
        print_table(sums, &tables[t]);
    free(all);
}

/* ---- finished worlds */

static bool is_in_study(const struct study *study, size_t cell)
{
    char name[48];
    name_case(&cases[cell], name);
    return strstr(name, study->cases) != NULL;
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
                          .cases = argc > 4 ? argv[4] : ""};
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
