/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_next_replay.c - does choosing runs pay on published tables? Recorded runs are shown a batch
 * at a time: those that `next` chooses among the rest, a random order, and the cheapest first.
 * After every batch the law is fitted to what was shown and recommends one of the recorded mixtures
 * at the largest scale of the table; its observed mean loss less the least one there is the regret.
 * The tables are in $MIXSWEEP_SHARED/data. Seeds are tasks over the ranks.
 *
 * Seen, 3 seeds: mean regret x 1e4 after so many runs (RegMix has one size: no order by cost)
 *
 *     runs  SlimPajama, 937M: next   random  small first    runs  RegMix, 1M: next      random
 *       24                 15 +- 15  15 +- 15     15 +- 15     48      1034 +- 605  1034 +- 605
 *       32                 15 +- 15    6 +- 6       8 +- 8     64        290 +- 79  1629 +- 592
 *       40                 15 +- 15    8 +- 8            0     80        204 +- 16    2220 +- 0
 *       64                        0   14 +- 7            0    128         188 +- 0     188 +- 0
 *
 *     mpirun -n 2 bench.next_replay.bench [SEEDS (10) [FIRST SEED (1)]] */
#include <gsl/gsl_errno.h>
#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/csv.h"
#include "mixsweep/next.h"
#include "mixsweep/random.h"
#include "mixsweep/task.h"

enum {
    CASES = 2,
    ROUNDS = 5,
    DRAWS = 150,
    STARTS = 6,
    NEXT = 0,
    RANDOM = 1,
    CHEAPEST = 2,
    ARMS = 3
};

static const struct replay {
    const char *file, *law;
    const char *pool, *test; /* --where */
    size_t n_first, n_batch;
} cases[CASES] = {
    {"slimpajama7.csv", "additive", "n_params<=680e6", "n_params>680e6", 24, 8},
    {"regmix17.csv", "loglinear", "n_params>0", "n_params>0", 48, 16},
};
static const char *const arms[ARMS] = {"next", "random", "cheapest first"};

struct outcome {
    double regret[ARMS][ROUNDS + 1], flops[ARMS][ROUNDS + 1];
};

struct study {
    size_t n_seeds, first_seed;
    struct mix_table *pool[CASES], *test[CASES]; /* NULL = the table is not there */
};

static struct mix_table *read_runs(const char *file, const char *where)
{
    const char *folder = getenv("MIXSWEEP_SHARED");
    char path[MIX_TEXT_MAX];
    struct mix_table *table = NULL;
    struct mix_error err = {.text = ""};
    snprintf(path, sizeof path, "%s/data/%s", folder ? folder : "../shared", file);
    const struct mix_import import = {.path = path, .where = &where, .n_where = 1};
    if (mix_csv_import(&import, &table, NULL, &err) != MIX_OK)
        fprintf(stderr, "%s\n", err.text);
    return table;
}

/* ---- one seed */

struct play {
    const struct replay *at;
    const struct mix_table *pool, *test;
    size_t *order; /* (pool rows) those shown first */
    size_t n_shown;
    gsl_rng *rng;
};

/* The rows [first, last) of the order, as a table. */
static struct mix_table *some(const struct play *p, size_t first, size_t last)
{
    const struct mix_table *pool = p->pool;
    const size_t k = pool->n_domains, m = pool->n_targets;
    struct mix_table *table = mix_table_create(k, m);
    for (size_t i = first; table && i < last; i++) {
        const size_t from = p->order[i], row = mix_table_append(table);
        if (row == SIZE_MAX) {
            mix_table_destroy(table);
            return NULL;
        }
        table->runs[row] = pool->runs[from];
        memcpy(table->asked + row * k, pool->asked + from * k, k * sizeof(double));
        memcpy(table->mixture + row * k, pool->mixture + from * k, k * sizeof(double));
        memcpy(table->loss + row * m, pool->loss + from * m, m * sizeof(double));
    }
    if (table) {
        memcpy(table->domains, pool->domains, k * sizeof *table->domains);
        memcpy(table->targets, pool->targets, m * sizeof *table->targets);
    }
    return table;
}

/* The observed mean loss of a row on the targets of a fit; NaN where one is missing. */
static double observed(const struct mix_table *table, size_t row, const struct mix_fit *fit)
{
    double sum = 0;
    for (size_t m = 0; m < fit->spec.n_targets; m++)
        sum +=
            table->loss[row * table->n_targets + (size_t)mix_table_target(table, fit->targets[m])];
    return sum / (double)fit->spec.n_targets;
}

static double regret_of(const struct play *p, const struct mix_fit *fit)
{
    const struct mix_table *test = p->test;
    const size_t n = test->n_rows, m = fit->spec.n_targets;
    double *n_params = malloc(n * sizeof *n_params), *n_tokens = malloc(n * sizeof *n_tokens);
    double *loss = malloc(n * m * sizeof *loss), least = INFINITY, chosen = NAN, best = INFINITY;
    struct mix_model *model = NULL;
    for (size_t r = 0; n_params && n_tokens && r < n; r++) {
        n_params[r] = test->runs[r].n_params / 1e6;
        n_tokens[r] = test->runs[r].n_tokens / 1e9;
    }
    if (n_params && n_tokens && loss && mix_fit_model(fit, &model, NULL) == MIX_OK &&
        mix_model_predict(model, fit->params, n, test->mixture, n_params, n_tokens, loss, NULL) ==
            MIX_OK)
        for (size_t r = 0; r < n; r++) {
            const double seen = observed(test, r, fit);
            double predicted = 0;
            for (size_t i = 0; i < m; i++)
                predicted += loss[r * m + i];
            if (isnan(seen))
                continue;
            best = fmin(best, seen);
            if (predicted < least) {
                least = predicted;
                chosen = seen;
            }
        }
    mix_model_destroy(model);
    free(n_params);
    free(n_tokens);
    free(loss);
    return chosen - best;
}

/* Bring the chosen runs to the front of those not shown. */
static void bring_forward(struct play *p, const struct mix_next *next)
{
    const size_t k = p->pool->n_domains;
    size_t to = p->n_shown;
    for (size_t c = 0; c < next->n_runs; c++)
        for (size_t i = to; i < p->pool->n_rows; i++) {
            const size_t row = p->order[i];
            if (p->pool->runs[row].n_params != next->runs[c].n_params ||
                memcmp(p->pool->mixture + row * k, next->mixture + c * k, k * sizeof(double)) != 0)
                continue;
            p->order[i] = p->order[to];
            p->order[to++] = row;
            break;
        }
}

/* The next batch by the draws of what was shown. */
static bool choose(struct play *p, struct mix_table *shown, const struct mix_fit *fit, int round)
{
    struct mix_error err = {.text = ""};
    const struct mix_run *largest = &p->test->runs[0];
    const struct mix_bootstrap_options resample = {.n_draws = DRAWS, .seed = 1};
    const struct mix_optimum_options question = {.n_params = largest->n_params,
                                                 .n_tokens = largest->n_tokens,
                                                 .level = 0.9,
                                                 .seed = 1,
                                                 .n_starts = 16,
                                                 .within_support = true};
    struct mix_draws *draws = mix_draws_plan(fit, &resample, NULL);
    struct mix_optimum *optimum = NULL;
    struct mix_next *next = NULL;
    struct mix_table *rest = some(p, p->n_shown, p->pool->n_rows);
    struct mix_next_options options = mix_next_defaults();
    options.n_runs = p->at->n_batch;
    options.among = rest;
    options.seed = (uint64_t)round + 1;
    options.flops = 0;
    for (size_t r = 0; rest && r < rest->n_rows; r++)
        options.flops += rest->runs[r].flops * (double)p->at->n_batch / (double)rest->n_rows;
    struct mix_law_check check = {0};
    bool good = mix_law_check(NULL, shown, fit, 0, NULL, NULL, NULL, &check, &err) == MIX_OK;
    options.is_doubted = check.is_doubted;
    good = good && draws && rest &&
           mix_bootstrap_run(NULL, shown, fit, draws, NULL, NULL, NULL, &err) == MIX_OK &&
           mix_optimum_run(NULL, shown, fit, draws, &question, &optimum, &err) == MIX_OK &&
           mix_next_propose(NULL, shown, fit, draws, optimum, &options, NULL, NULL, &next, &err) ==
               MIX_OK;
    if (good)
        bring_forward(p, next);
    else
        fprintf(stderr, "bench, %s: %s\n", p->at->file, err.text);
    mix_next_destroy(next);
    mix_table_destroy(rest);
    mix_optimum_destroy(optimum);
    mix_draws_destroy(draws);
    return good;
}

static void cheapest_first(struct play *p)
{
    for (size_t i = p->n_shown; i < p->pool->n_rows; i++)
        for (size_t j = i; j > p->n_shown &&
                           p->pool->runs[p->order[j]].flops < p->pool->runs[p->order[j - 1]].flops;
             j--) {
            const size_t swap = p->order[j];
            p->order[j] = p->order[j - 1];
            p->order[j - 1] = swap;
        }
}

/* The first runs are at random among the cheapest half of the pool, the same for all arms. */
static void shuffle(struct play *p)
{
    const size_t n = p->pool->n_rows, n_first = p->at->n_first;
    for (size_t i = 0; i < n; i++)
        p->order[i] = i;
    gsl_ran_shuffle(p->rng, p->order, n, sizeof *p->order);
    p->n_shown = 0;
    cheapest_first(p); /* stable: equal costs stay shuffled */
    gsl_ran_shuffle(p->rng, p->order, n / 2, sizeof *p->order);
    gsl_ran_shuffle(p->rng, p->order + n_first, n - n_first, sizeof *p->order);
    p->n_shown = n_first;
}

static void play_arm(struct play *p, int arm, struct outcome *out)
{
    struct mix_error err = {.text = ""};
    struct mix_fit_options options = mix_fit_options_default();
    options.law = p->at->law;
    options.holdout = "none";
    options.n_starts = STARTS;
    shuffle(p);
    if (arm == CHEAPEST)
        cheapest_first(p);
    for (int round = 0; round <= ROUNDS; round++) {
        struct mix_fit *fit = NULL;
        struct mix_table *shown = some(p, 0, p->n_shown);
        bool good = shown && mix_table_finish(shown, &err) == MIX_OK &&
                    mix_fit_run(NULL, shown, &options, NULL, NULL, &fit, &err) == MIX_OK;
        if (good) {
            out->regret[arm][round] = regret_of(p, fit);
            out->flops[arm][round] = 0;
            for (size_t r = 0; r < shown->n_rows; r++)
                out->flops[arm][round] += shown->runs[r].flops;
            if (arm == NEXT && round < ROUNDS)
                good = choose(p, shown, fit, round);
        } else {
            fprintf(stderr, "bench, %s: %s\n", p->at->file, err.text);
        }
        mix_fit_destroy(fit);
        mix_table_destroy(shown);
        if (!good)
            return;
        p->n_shown += p->at->n_batch;
    }
}

static enum mix_status play_seed(void *context, size_t task, void *record, struct mix_poll *poll,
                                 struct mix_error *err)
{
    const struct study *study = context;
    struct outcome *out = record;
    const size_t c = task / study->n_seeds;
    const uint64_t seed = study->first_seed + task % study->n_seeds;
    struct play p = {.at = &cases[c], .pool = study->pool[c], .test = study->test[c]};
    for (int arm = 0; arm < ARMS; arm++)
        for (int round = 0; round <= ROUNDS; round++)
            out->regret[arm][round] = out->flops[arm][round] = NAN;
    if (mix_poll(poll))
        return MIX_EINTERRUPTED;
    if (!p.pool || !p.test)
        return MIX_OK;
    p.order = calloc(p.pool->n_rows, sizeof *p.order);
    for (int arm = 0; p.order && arm < ARMS; arm++) {
        p.rng = mix_rng_create(mix_key_make(seed, "bench replay", &c, sizeof c));
        if (p.rng)
            play_arm(&p, arm, out);
        if (p.rng)
            gsl_rng_free(p.rng);
    }
    const bool complete = p.order && p.rng;
    free(p.order);
    return complete ? MIX_OK : mix_fail(err, MIX_ENOMEM, "out of memory for a replay");
}

/* ---- what is printed */

static void mean_of(size_t n, const double *x, size_t stride, double factor, char text[32])
{
    double sum = 0, square = 0, count = 0;
    for (size_t i = 0; i < n; i++) {
        const double value = factor * x[i * stride];
        if (!isfinite(value))
            continue;
        sum += value;
        square += value * value;
        count++;
    }
    const double mean = sum / count, variance = (square / count - mean * mean) / (count - 1);
    snprintf(text, 32, count > 1 ? "%.1f ± %.1f" : "%.1f", mean, sqrt(fmax(variance, 0)));
}

static void print_case(const struct study *study, size_t c, const struct outcome *outcome)
{
    const size_t n = study->n_seeds, stride = sizeof *outcome / sizeof(double);
    char text[32];
    printf("\n%s, law %s, %zu seeds: regret x 1e4 among %zu mixtures at %.4g parameters\n",
           cases[c].file, cases[c].law, n, study->test[c]->n_rows,
           study->test[c]->runs[0].n_params);
    printf("%5s", "runs");
    for (int arm = 0; arm < ARMS; arm++)
        printf("%20s%10s", arms[arm], "FLOP");
    for (int round = 0; round <= ROUNDS; round++) {
        printf("\n%5zu", cases[c].n_first + (size_t)round * cases[c].n_batch);
        for (int arm = 0; arm < ARMS; arm++) {
            double flops = 0;
            for (size_t i = 0; i < n; i++)
                flops += outcome[i].flops[arm][round] / (double)n;
            mean_of(n, &outcome[0].regret[arm][round], stride, 1e4, text);
            printf("%*s%10.2g", 20 + (strstr(text, "±") != NULL), text, flops);
        }
    }
    putchar('\n');
}

int main(int argc, char **argv)
{
    struct mix_ranks *ranks = NULL;
    struct mix_error err = {.text = ""};
    gsl_set_error_handler_off();
    if (mix_ranks_create(&argc, &argv, &ranks, &err) != MIX_OK)
        return 1;
    struct study study = {.n_seeds = argc > 1 ? strtoul(argv[1], NULL, 10) : 10,
                          .first_seed = argc > 2 ? strtoul(argv[2], NULL, 10) : 1};
    for (size_t c = 0; c < CASES; c++) {
        study.pool[c] = read_runs(cases[c].file, cases[c].pool);
        study.test[c] = read_runs(cases[c].file, cases[c].test);
    }
    const size_t n = study.n_seeds * CASES;
    struct outcome *outcome = calloc(n, sizeof *outcome);
    const struct mix_stage stage = {.name = "replays",
                                    .n_tasks = n,
                                    .record_bytes = sizeof *outcome,
                                    .run = play_seed,
                                    .context = &study,
                                    .records = (uint8_t *)outcome};
    const enum mix_status status = outcome ? mix_stage_run(ranks, &stage, &err) : MIX_ENOMEM;
    if (status != MIX_OK)
        fprintf(stderr, "%s\n", err.text);
    for (size_t c = 0; status == MIX_OK && c < CASES && mix_ranks_rank(ranks) == 0; c++)
        if (study.pool[c] && study.test[c])
            print_case(&study, c, outcome + c * study.n_seeds);
    for (size_t c = 0; c < CASES; c++) {
        mix_table_destroy(study.pool[c]);
        mix_table_destroy(study.test[c]);
    }
    free(outcome);
    mix_ranks_destroy(ranks);
    return status == MIX_OK ? 0 : 1;
}
