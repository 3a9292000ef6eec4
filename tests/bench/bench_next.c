/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_next.c - does choosing runs pay? Simulated sweeps of known truth: from the same first runs,
 * one batch chosen by `next`, by each criterion, against random mixtures (Dirichlet, at the same
 * scales by turns) for the same FLOPs and for two and four times as many; each is refitted and
 * asked for its optimum, whose true regret at the target scale counts. Worlds are tasks over the
 * ranks. Use: mpirun -n 2 bench.next.bench [WORLDS (40)] [NOISE (0.01)] */
#include <gsl/gsl_errno.h>
#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/job.h"
#include "mixsweep/next.h"
#include "mixsweep/random.h"
#include "mixsweep/sweep.h"

enum { LAWS = 3, SIZES = 2, SCALES = 3, FIRST = 24, BATCH = 8, DRAWS = 200, STARTS = 12 };
enum { START, REGRET, VARIANCE, INFORMATION, RANDOM, RANDOM_2, RANDOM_4, ARMS };
static const char *const laws[LAWS] = {"capacity", "transfer", "demand"};
static const size_t sizes[SIZES] = {3, 5};
static const struct mix_next_scale scales[SCALES] = {{20e6, 1e9}, {60e6, 2e9}, {200e6, 4e9}};
static const double TARGET_N = 1e9, TARGET_D = 2e10;

struct study {
    size_t n_worlds;
    double noise;
};

struct outcome {
    double regret[ARMS]; /* NaN = could not be had */
};

struct world {
    const struct study *study;
    size_t n_domains;
    uint64_t seed;
    struct mix_job *job;
    struct mix_model *model;
    double *truth;
    double best; /* true objective of the true optimum */
    gsl_rng *rng;
};

static struct mix_job *make_job(const char *law, size_t n_domains, uint64_t seed, double noise)
{
    char text[4096];
    size_t used = (size_t)snprintf(text, sizeof text, "job: b\nfile: b.h5\nseed: %llu\ndomains: [",
                                   (unsigned long long)seed);
    for (size_t k = 0; k < n_domains; k++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s{name: d%zu}",
                                 k > 0 ? ", " : "", k);
    snprintf(text + used, sizeof text - used,
             "]\ndesign: {mixtures: 4, replicates: 1}\nscales:\n"
             "  - {n_params: 20e6, n_tokens: 1e9}\n  - {n_params: 60e6, n_tokens: 2e9}\n"
             "  - {n_params: 200e6, n_tokens: 4e9}\n"
             "sweep: {evaluator: simulate, simulate: {law: %s, noise: %g}}\n",
             law, noise);
    struct mix_job *job = NULL;
    struct mix_error err = {.text = ""};
    if (mix_job_parse("bench", text, &job, &err) != MIX_OK)
        fprintf(stderr, "%s\n", err.text);
    return job;
}

static double true_objective(struct world *w, const double *mixture)
{
    double loss[64], sum = 0;
    const double n = TARGET_N / 1e6, d = TARGET_D / 1e9;
    if (mix_model_predict(w->model, w->truth, 1, mixture, &n, &d, loss, NULL) != MIX_OK)
        return NAN;
    for (size_t m = 0; m < w->n_domains; m++)
        sum += loss[m] / (double)w->n_domains;
    return sum;
}

static bool add_run(struct world *w, struct mix_table *table, const double *mixture,
                    const struct mix_next_scale *scale)
{
    const size_t r = mix_table_append(table), k = w->n_domains;
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
        table->loss[r * k + m] *= 1 + gsl_ran_gaussian_ziggurat(w->rng, w->study->noise);
    return true;
}

/* `flops` of random mixtures at the scales by turns, dearest first; what is left goes to the
 * cheapest. */
static bool add_random(struct world *w, struct mix_table *table, double flops)
{
    double alpha[64], mixture[64];
    for (size_t i = 0;; i++) {
        size_t s = SCALES - 1 - i % SCALES;
        while (s > 0 && 6 * scales[s].n_params * scales[s].n_tokens > flops)
            s--;
        const double cost = 6 * scales[s].n_params * scales[s].n_tokens;
        if (cost > flops * (1 + 1e-9))
            return true;
        flops -= cost;
        for (size_t k = 0; k < w->n_domains; k++)
            alpha[k] = 1;
        gsl_ran_dirichlet(w->rng, w->n_domains, alpha, mixture);
        if (!add_run(w, table, mixture, &scales[s]))
            return false;
    }
}

static struct mix_table *copy_table(const struct world *w, const struct mix_table *from)
{
    struct mix_table *table = mix_table_create(w->n_domains, w->n_domains);
    for (size_t k = 0; table && k < w->n_domains; k++) {
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
static bool analyse(struct mix_table *table, const char *law, struct mix_fit **fit,
                    struct mix_draws **draws, struct mix_optimum **optimum)
{
    struct mix_error err = {.text = ""};
    struct mix_fit_options options = mix_fit_options_default();
    options.law = law;
    options.holdout = "none";
    options.n_starts = STARTS;
    const struct mix_bootstrap_options resample = {.n_draws = DRAWS, .seed = 1};
    const struct mix_optimum_options question = {
        .n_params = TARGET_N, .n_tokens = TARGET_D, .level = 0.9, .seed = 1, .n_starts = 32};
    bool good = mix_table_finish(table, &err) == MIX_OK &&
                mix_fit_run(NULL, table, &options, NULL, NULL, fit, &err) == MIX_OK;
    if (good && draws) {
        *draws = mix_draws_plan(*fit, &resample, NULL);
        good = *draws &&
               mix_bootstrap_run(NULL, table, *fit, *draws, NULL, NULL, NULL, &err) == MIX_OK;
    }
    good = good && mix_optimum_run(NULL, table, *fit, draws ? *draws : NULL, &question, optimum,
                                   &err) == MIX_OK;
    if (!good)
        fprintf(stderr, "bench: %s\n", err.text);
    return good;
}

static double regret_of(struct world *w, struct mix_table *table, const char *law)
{
    struct mix_fit *fit = NULL;
    struct mix_optimum *optimum = NULL;
    double regret = NAN;
    if (analyse(table, law, &fit, NULL, &optimum))
        regret = true_objective(w, optimum->mixture) - w->best;
    mix_optimum_destroy(optimum);
    mix_fit_destroy(fit);
    return regret;
}

/* The least true objective: the optimum of a fit that has the true parameters. */
static bool find_best(struct world *w, struct mix_table *table, const struct mix_fit *fit)
{
    struct mix_fit *exact = NULL;
    struct mix_optimum *optimum = NULL;
    struct mix_error err = {.text = ""};
    struct mix_fit_options options = mix_fit_options_default();
    options.law = fit->spec.law;
    options.holdout = "none";
    options.n_starts = 1;
    const struct mix_optimum_options question = {
        .n_params = TARGET_N, .n_tokens = TARGET_D, .level = 0.9, .seed = 1, .n_starts = 64};
    bool good = mix_fit_run(NULL, table, &options, NULL, NULL, &exact, &err) == MIX_OK &&
                exact->n_params == mix_model_n_params(w->model);
    if (good) {
        memcpy(exact->params, w->truth, exact->n_params * sizeof *exact->params);
        good = mix_optimum_run(NULL, table, exact, NULL, &question, &optimum, &err) == MIX_OK;
    }
    if (good)
        w->best = true_objective(w, optimum->mixture);
    else
        fprintf(stderr, "bench, truth: %s\n", err.text);
    mix_optimum_destroy(optimum);
    mix_fit_destroy(exact);
    return good;
}

static bool run_world(struct world *w, const char *law, struct outcome *out)
{
    struct mix_table *first = copy_table(w, NULL), *table = NULL;
    struct mix_fit *fit = NULL;
    struct mix_draws *draws = NULL;
    struct mix_optimum *optimum = NULL;
    struct mix_next *next = NULL;
    double alpha[64], mixture[64];
    bool good = first != NULL;
    for (size_t i = 0; good && i < FIRST + w->n_domains; i++) {
        for (size_t k = 0; k < w->n_domains; k++)
            alpha[k] = 1;
        gsl_ran_dirichlet(w->rng, w->n_domains, alpha, mixture);
        good = add_run(w, first, mixture, &scales[i % 2]);
    }
    good = good && analyse(first, law, &fit, &draws, &optimum) && find_best(w, first, fit);
    if (!good)
        goto out;
    out->regret[START] = true_objective(w, optimum->mixture) - w->best;
    struct mix_next_options options = mix_next_defaults();
    options.n_runs = BATCH;
    options.flops = 2 * 6 * scales[2].n_params * scales[2].n_tokens;
    options.scales = scales;
    options.n_scales = SCALES;
    for (int arm = REGRET; arm < ARMS && good; arm++) {
        static const double times[ARMS] = {[RANDOM] = 1, [RANDOM_2] = 2, [RANDOM_4] = 4};
        struct mix_error err = {.text = ""};
        table = copy_table(w, first);
        good = table != NULL;
        if (good && arm < RANDOM) {
            options.criterion = (enum mix_next_criterion)(arm - REGRET);
            good = mix_next_propose(NULL, first, fit, draws, optimum, &options, NULL, NULL, &next,
                                    &err) == MIX_OK;
        }
        for (size_t i = 0; good && arm < RANDOM && i < next->n_runs; i++) {
            const struct mix_next_scale scale = {next->runs[i].n_params, next->runs[i].n_tokens};
            good = add_run(w, table, next->mixture + i * w->n_domains, &scale);
        }
        if (good && arm >= RANDOM)
            good = add_random(w, table, times[arm] * options.flops);
        if (good)
            out->regret[arm] = regret_of(w, table, law);
        else
            fprintf(stderr, "bench, next: %s\n", err.text);
        mix_next_destroy(next);
        next = NULL;
        mix_table_destroy(table);
    }
out:
    mix_next_destroy(next);
    mix_optimum_destroy(optimum);
    mix_draws_destroy(draws);
    mix_fit_destroy(fit);
    mix_table_destroy(first);
    return good;
}

static enum mix_status study_world(void *context, size_t task, void *record, struct mix_poll *poll,
                                   struct mix_error *err)
{
    const struct study *study = context;
    struct outcome *out = record;
    const size_t cell = task / study->n_worlds;
    struct world w = {
        .study = study, .n_domains = sizes[cell % SIZES], .seed = 1 + task % study->n_worlds};
    const char *law = laws[cell / SIZES];
    for (int arm = 0; arm < ARMS; arm++)
        out->regret[arm] = NAN;
    if (mix_poll(poll))
        return MIX_EINTERRUPTED;
    w.job = make_job(law, w.n_domains, w.seed, study->noise);
    w.rng = mix_rng_create(mix_key_make(w.seed, "bench next", &cell, sizeof cell));
    enum mix_status status = w.job && w.rng ? mix_job_model(w.job, law, 0, &w.model, err)
                                            : mix_fail(err, MIX_ENOMEM, "out of memory");
    if (status == MIX_OK) {
        w.truth = calloc(mix_model_n_params(w.model), sizeof *w.truth);
        status = mix_simulate_truth(w.job, w.model, w.truth, err);
    }
    if (status == MIX_OK)
        (void)run_world(&w, law, out); /* a world without an answer is counted as such */
    free(w.truth);
    mix_model_destroy(w.model);
    if (w.rng)
        gsl_rng_free(w.rng);
    mix_job_destroy(w.job);
    return status;
}

static void mean_of(size_t n, const struct outcome *outcome, int arm, int minus, double *mean,
                    double *se, size_t *known)
{
    double sum = 0, square = 0;
    *known = 0;
    for (size_t i = 0; i < n; i++) {
        const double x = outcome[i].regret[arm] - (minus >= 0 ? outcome[i].regret[minus] : 0);
        if (!isfinite(x) || !isfinite(outcome[i].regret[REGRET]))
            continue;
        sum += x;
        square += x * x;
        ++*known;
    }
    const double count = (double)*known;
    *mean = sum / count;
    *se = sqrt((square / count - *mean * *mean) / (count - 1));
}

int main(int argc, char **argv)
{
    struct mix_ranks *ranks = NULL;
    struct mix_error err = {.text = ""};
    gsl_set_error_handler_off();
    if (mix_ranks_create(&argc, &argv, &ranks, &err) != MIX_OK)
        return 1;
    struct study study = {.n_worlds = argc > 1 ? strtoul(argv[1], NULL, 10) : 40,
                          .noise = argc > 2 ? strtod(argv[2], NULL) : 0.01};
    const size_t n = study.n_worlds * LAWS * SIZES;
    struct outcome *outcome = calloc(n, sizeof *outcome);
    const struct mix_stage stage = {.name = "worlds",
                                    .n_tasks = n,
                                    .record_bytes = sizeof *outcome,
                                    .run = study_world,
                                    .context = &study,
                                    .records = (uint8_t *)outcome};
    const enum mix_status status = outcome ? mix_stage_run(ranks, &stage, &err) : MIX_ENOMEM;
    if (status != MIX_OK)
        fprintf(stderr, "%s\n", err.text);
    static const char *const arms[ARMS] = {"before", "regret",    "variance", "information",
                                           "random", "random x2", "random x4"};
    if (status == MIX_OK && mix_ranks_rank(ranks) == 0) {
        printf("true regret x 1e4 of the recommendation, noise %g, %zu worlds a cell\n",
               study.noise, study.n_worlds);
        for (size_t cell = 0; cell < LAWS * SIZES; cell++) {
            const struct outcome *at = outcome + cell * study.n_worlds;
            printf("%-9s K %zu ", laws[cell / SIZES], sizes[cell % SIZES]);
            for (int arm = 0; arm < ARMS; arm++) {
                double mean, se;
                size_t known;
                mean_of(study.n_worlds, at, arm, -1, &mean, &se, &known);
                printf("  %s %.1f ± %.1f", arms[arm], 1e4 * mean, 1e4 * se);
                if (arm == ARMS - 1)
                    printf("  (%zu worlds)\n", known);
            }
            for (int arm = REGRET + 1; arm < ARMS; arm++) {
                double mean, se;
                size_t known;
                mean_of(study.n_worlds, at, arm, REGRET, &mean, &se, &known);
                printf("            %s less regret: %.1f ± %.1f\n", arms[arm], 1e4 * mean,
                       1e4 * se);
            }
        }
    }
    free(outcome);
    mix_ranks_destroy(ranks);
    return status == MIX_OK ? 0 : 1;
}
