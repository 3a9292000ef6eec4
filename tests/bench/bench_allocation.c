/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_allocation.c - is the table of `next --allocate` honest? Simulated sweeps of known truth:
 * 24 runs at two scales, a fit and its draws, the table for a budget. Then the budget is really
 * spent, by `next` at the cheapest scale, at the dearest, and at all three; each is fitted and
 * asked for its optimum, whose true regret is set beside what the table expects. Worlds are tasks
 * over the ranks.
 *
 * Seen, 10 worlds of transfer, K = 4, noise 1%: regret x 1e4. The way that the table had lowest was
 * truly so in 4 of 10 worlds, and lost 0.23 against the best of the three there, where one at
 * random lost 1.01.
 *
 *                   runs   the table expects        true
 *     before          24          6.4 +- 0.6  5.8 +- 1.4
 *     all small  60 more          1.8 +- 0.3  1.1 +- 0.2
 *     all large        7          3.5 +- 0.4  3.1 +- 0.9
 *     mixed           40          1.4 +- 0.1  1.1 +- 0.3
 *
 * Of 12 worlds of demand 4.6 and 4.8, 1.5 and 0.9, 2.5 and 2.1, 1.3 and 0.9; lowest truly in 5.
 *
 *     mpirun -n 2 bench.allocation.bench [WORLDS (20) [NOISE (0.01) [LAW (demand) [K (4)]]]] */
#include <gsl/gsl_errno.h>
#include <gsl/gsl_randist.h>
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis.h"
#include "mixsweep/job.h"
#include "mixsweep/next.h"
#include "mixsweep/random.h"
#include "mixsweep/sweep.h"

enum {
    K_MAX = 32,
    SCALES = 3,
    FIRST_BY_DOMAIN = 6,
    EXACT_BY_DOMAIN = 20,
    DRAWS = 150,
    STARTS = 8,
    REPEATS = 2
};
enum { SMALL, LARGE, ALL, WAYS };

static const struct mix_next_scale scales[SCALES] = {
    {20e6, 1e9, 0}, {40e6, 1.5e9, 0}, {80e6, 2e9, 0}};
static const double TARGET_N = 1e9, TARGET_D = 2e10, BUDGET = 7.2e18;

/* True regrets and those that the table expects; NaN = could not be had. */
struct outcome {
    double now, now_expected;
    double regret[WAYS][REPEATS], expected[WAYS], runs[WAYS];
};

struct study {
    const char *law;
    size_t n_domains;
    bool is_drawn; /* the truth; else it is fitted to losses of law capacity */
    double noise;
    size_t n_worlds;
};

struct world {
    const struct study *study;
    struct mix_model *model;
    double *truth;
    double best; /* least true objective */
    gsl_rng *rng;
};

static struct mix_table *make_table(size_t n_domains, const struct mix_table *from)
{
    struct mix_table *table = mix_table_create(n_domains, n_domains);
    for (size_t k = 0; table != NULL && k < n_domains; k++) {
        snprintf(table->domains[k].name, MIX_NAME_MAX, "d%zu", k);
        snprintf(table->targets[k].name, MIX_NAME_MAX, "d%zu", k);
    }
    if (table != NULL)
        mix_table_link_targets(table);
    if (table != NULL && from != NULL && mix_table_merge(table, from, NULL, NULL) != MIX_OK) {
        mix_table_destroy(table);
        return NULL;
    }
    return table;
}

static bool add_run(struct world *w, struct mix_table *table, const double *mixture,
                    double n_params, double n_tokens, double noise)
{
    const size_t r = mix_table_append(table), k = w->study->n_domains;
    const double n = n_params / 1e6, d = n_tokens / 1e9;
    if (r == SIZE_MAX)
        return false;
    table->runs[r].n_params = n_params;
    table->runs[r].n_tokens = table->runs[r].n_tokens_planned = n_tokens;
    table->runs[r].seed = r;
    snprintf(table->runs[r].run, MIX_NAME_MAX, "r%zu", r);
    memcpy(table->mixture + r * k, mixture, k * sizeof *mixture);
    memcpy(table->asked + r * k, mixture, k * sizeof *mixture);
    if (mix_model_predict(w->model, w->truth, 1, mixture, &n, &d, table->loss + r * k, NULL) !=
        MIX_OK)
        return false;
    for (size_t m = 0; m < k; m++)
        table->loss[r * k + m] *= 1 + gsl_ran_gaussian_ziggurat(w->rng, noise);
    return true;
}

static double true_objective(const struct world *w, const double *mixture)
{
    const double n = TARGET_N / 1e6, d = TARGET_D / 1e9;
    double loss[K_MAX];
    return mix_model_predict(w->model, w->truth, 1, mixture, &n, &d, loss, NULL) == MIX_OK
               ? gsl_stats_mean(loss, 1, w->study->n_domains)
               : NAN;
}

/* n runs of random mixtures at the scales by turns. */
static bool add_runs(struct world *w, struct mix_table *table, size_t n, size_t n_scales,
                     double noise)
{
    double ones[K_MAX], mixture[K_MAX];
    bool good = true;
    for (size_t k = 0; k < K_MAX; k++)
        ones[k] = 1;
    for (size_t i = 0; good && i < n; i++) {
        gsl_ran_dirichlet(w->rng, w->study->n_domains, ones, mixture);
        good = add_run(w, table, mixture, scales[i % n_scales].n_params,
                       scales[i % n_scales].n_tokens, noise);
    }
    return good;
}

static bool analyse(const struct world *w, struct mix_table *table, bool with_draws,
                    struct analysis *a)
{
    struct mix_error err = {.text = ""};
    struct mix_fit_options options = mix_fit_options_default();
    const struct mix_bootstrap_options resample = {.n_draws = DRAWS, .seed = 1};
    const struct mix_optimum_options question = {
        .n_params = TARGET_N, .n_tokens = TARGET_D, .level = 0.9, .seed = 1, .n_starts = 32};
    options.law = w->study->law;
    options.holdout = "none";
    options.n_starts = STARTS;
    bool good = mix_table_finish(table, &err) == MIX_OK &&
                mix_fit_run(NULL, table, &options, NULL, NULL, &a->fit, &err) == MIX_OK;
    if (good && with_draws) {
        a->draws = mix_draws_plan(a->fit, &resample, NULL);
        good = a->draws != NULL &&
               mix_bootstrap_run(NULL, table, a->fit, a->draws, NULL, NULL, NULL, &err) == MIX_OK;
    }
    good = good &&
           mix_optimum_run(NULL, table, a->fit, a->draws, &question, &a->optimum, &err) == MIX_OK;
    if (!good)
        fprintf(stderr, "bench: %s\n", err.text);
    return good;
}

/* The truth of a law that cannot be drawn. */
static bool fit_truth(struct world *w)
{
    struct analysis a = {NULL, NULL, NULL};
    struct mix_table *table = make_table(w->study->n_domains, NULL);
    bool good = table != NULL &&
                add_runs(w, table, EXACT_BY_DOMAIN * w->study->n_domains, SCALES, 0) &&
                analyse(w, table, false, &a);
    if (good) {
        mix_model_destroy(w->model);
        free(w->truth);
        w->model = NULL;
        w->truth = calloc(a.fit->n_params, sizeof *w->truth);
        good = w->truth != NULL && mix_fit_model(a.fit, &w->model, NULL) == MIX_OK;
    }
    if (good)
        memcpy(w->truth, a.fit->params, a.fit->n_params * sizeof *w->truth);
    clear(&a);
    mix_table_destroy(table);
    return good;
}

/* The least true objective: that of the optimum of a fit that has the true parameters. */
static bool find_best(struct world *w, struct mix_table *table)
{
    struct analysis a = {NULL, NULL, NULL};
    bool good = analyse(w, table, false, &a) && a.fit->n_params == mix_model_n_params(w->model);
    if (good) {
        const struct mix_optimum_options question = {
            .n_params = TARGET_N, .n_tokens = TARGET_D, .level = 0.9, .seed = 1, .n_starts = 64};
        memcpy(a.fit->params, w->truth, a.fit->n_params * sizeof *a.fit->params);
        mix_optimum_destroy(a.optimum);
        a.optimum = NULL;
        good = mix_optimum_run(NULL, table, a.fit, NULL, &question, &a.optimum, NULL) == MIX_OK;
    }
    if (good)
        w->best = true_objective(w, a.optimum->mixture);
    clear(&a);
    return good;
}

/* The true regret once the proposed runs are made. */
static double spend(struct world *w, const struct mix_table *first, const struct mix_next *next)
{
    struct mix_table *table = make_table(w->study->n_domains, first);
    struct analysis a = {NULL, NULL, NULL};
    double regret = NAN;
    bool good = table != NULL;
    for (size_t i = 0; good && i < next->n_runs; i++)
        good = add_run(w, table, next->mixture + i * next->n_domains, next->runs[i].n_params,
                       next->runs[i].n_tokens, w->study->noise);
    if (good && analyse(w, table, false, &a))
        regret = true_objective(w, a.optimum->mixture) - w->best;
    clear(&a);
    mix_table_destroy(table);
    return regret;
}

static bool spend_ways(struct world *w, const struct mix_table *first, const struct analysis *a,
                       struct mix_next_options options, struct outcome *out)
{
    static const struct {
        size_t first, n;
    } of[WAYS] = {{0, 1}, {SCALES - 1, 1}, {0, SCALES}};
    bool good = true;
    options.n_runs = MIX_NEXT_RUNS_MAX;
    for (int way = 0; good && way < WAYS; way++) {
        struct mix_next *next = NULL;
        options.scales = &scales[of[way].first];
        options.n_scales = of[way].n;
        good = mix_next_propose(NULL, first, a->fit, a->draws, a->optimum, &options, NULL, NULL,
                                &next, NULL) == MIX_OK;
        out->runs[way] = good ? (double)next->n_runs : NAN;
        for (int i = 0; good && i < REPEATS; i++)
            out->regret[way][i] = spend(w, first, next);
        mix_next_destroy(next);
    }
    return good;
}

static bool study_table(struct world *w, struct outcome *out)
{
    static const enum mix_spending how[WAYS] = {MIX_SPEND_SMALL, MIX_SPEND_LARGE, MIX_SPEND_MIXED};
    struct analysis a = {NULL, NULL, NULL};
    struct mix_table *first = make_table(w->study->n_domains, NULL);
    struct mix_allocation *table = NULL;
    struct mix_next_options options = mix_next_defaults();
    bool good = first != NULL && add_runs(w, first, FIRST_BY_DOMAIN * w->study->n_domains,
                                          SCALES - 1, w->study->noise);
    good = good && find_best(w, first) && analyse(w, first, true, &a);
    options.flops = BUDGET;
    options.scales = scales;
    options.n_scales = SCALES;
    good = good && mix_next_allocate(NULL, first, a.fit, a.draws, a.optimum, &options, NULL, NULL,
                                     &table, NULL) == MIX_OK;
    if (good) {
        out->now = true_objective(w, a.optimum->mixture) - w->best;
        out->now_expected = table->before.value;
        for (int way = 0; way < WAYS; way++)
            out->expected[way] = table->way[MIX_BUDGETS - 1][how[way]].regret.value;
        good = spend_ways(w, first, &a, options, out);
    }
    free(table);
    clear(&a);
    mix_table_destroy(first);
    return good;
}

static enum mix_status run_world(void *context, size_t task, void *record, struct mix_poll *poll,
                                 struct mix_error *err)
{
    const struct study *study = context;
    struct outcome *out = record;
    struct world w = {.study = study};
    struct mix_job *job = NULL;
    const char *law = study->is_drawn ? study->law : "capacity";
    char text[2048], domains[1024] = "";
    for (size_t k = 0, used = 0; k < study->n_domains; k++)
        used += (size_t)snprintf(domains + used, sizeof domains - used, "%s{name: d%zu}",
                                 k > 0 ? ", " : "", k);
    for (size_t i = 0; i < sizeof *out / sizeof out->now; i++)
        ((double *)out)[i] = NAN;
    if (mix_poll(poll))
        return MIX_EINTERRUPTED;
    snprintf(text, sizeof text,
             "job: b\nfile: b.h5\nseed: %zu\ndomains: [%s]\ndesign: {mixtures: 4, replicates: 1}\n"
             "scales: [{n_params: 20e6, n_tokens: 1e9}, {n_params: 40e6, n_tokens: 1.5e9}]\n"
             "sweep: {evaluator: simulate, simulate: {law: %.40s, noise: 0.01}}\n",
             task + 1, domains, law);
    enum mix_status status = mix_job_parse("bench", text, &job, err);
    if (status == MIX_OK)
        status = mix_job_model(job, law, 0, &w.model, err);
    if (status == MIX_OK) {
        w.truth = calloc(mix_model_n_params(w.model), sizeof *w.truth);
        status = mix_simulate_truth(job, w.model, w.truth, err);
    }
    w.rng = mix_rng_create(mix_key_make(task + 1, "bench allocation", NULL, 0));
    if (status == MIX_OK && ((!study->is_drawn && !fit_truth(&w)) || !study_table(&w, out)))
        out->now = NAN;
    gsl_rng_free(w.rng);
    free(w.truth);
    mix_model_destroy(w.model);
    mix_job_destroy(job);
    return status;
}

/* Mean, its standard error, and median. */
static void print_figure(size_t n, double *x)
{
    gsl_sort(x, 1, n);
    printf("  %7.2f ± %5.2f (%6.2f)", gsl_stats_mean(x, 1, n),
           gsl_stats_sd(x, 1, n) / sqrt((double)n), gsl_stats_median_from_sorted_data(x, 1, n));
}

static void print_row(const char *name, size_t n, const struct outcome *o, int way, double n_first,
                      double *x, double *y)
{
    size_t known = 0;
    double runs = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(o[i].now))
            continue;
        x[known] = 1e4 * (way < 0 ? o[i].now_expected : o[i].expected[way]);
        y[known] = 1e4 * (way < 0 ? o[i].now : gsl_stats_mean(o[i].regret[way], 1, REPEATS));
        runs += way < 0 ? n_first : o[i].runs[way];
        known++;
    }
    if (known < 2)
        return;
    printf("  %-16s %6.1f", name, runs / (double)known);
    print_figure(known, x);
    print_figure(known, y);
    printf("\n");
}

/* In how many worlds the way that the table has lowest is truly so, and what following it costs
 * against the one that is. */
static void print_choice(size_t n, const struct outcome *o)
{
    size_t known = 0, right = 0;
    double lost = 0, random = 0;
    for (size_t i = 0; i < n; i++) {
        double mean[WAYS];
        for (int way = 0; way < WAYS; way++)
            mean[way] = gsl_stats_mean(o[i].regret[way], 1, REPEATS);
        if (!isfinite(o[i].now))
            continue;
        const size_t said = gsl_stats_min_index(o[i].expected, 1, WAYS);
        known++;
        right += said == gsl_stats_min_index(mean, 1, WAYS);
        lost += mean[said] - gsl_stats_min(mean, 1, WAYS);
        random += gsl_stats_mean(mean, 1, WAYS) - gsl_stats_min(mean, 1, WAYS);
    }
    if (known > 0)
        printf("  the way that the table has lowest was so in %zu of %zu worlds; it lost %.2f "
               "against the best way there, one of the ways at random %.2f\n",
               right, known, 1e4 * lost / (double)known, 1e4 * random / (double)known);
}

int main(int argc, char **argv)
{
    struct mix_ranks *ranks = NULL;
    struct mix_error err = {.text = ""};
    gsl_set_error_handler_off();
    if (mix_ranks_create(&argc, &argv, &ranks, &err) != MIX_OK)
        return 1;
    struct study study = {.n_worlds = argc > 1 ? strtoul(argv[1], NULL, 10) : 20,
                          .noise = argc > 2 ? strtod(argv[2], NULL) : 0.01,
                          .law = argc > 3 ? argv[3] : "demand",
                          .n_domains = argc > 4 ? strtoul(argv[4], NULL, 10) : 4};
    study.is_drawn = strcmp(study.law, "capacity") == 0 || strcmp(study.law, "transfer") == 0 ||
                     strcmp(study.law, "demand") == 0;
    if (study.n_domains < 2 || study.n_domains > K_MAX)
        return 2;
    const size_t n = study.n_worlds;
    struct outcome *outcome = calloc(n + 1, sizeof *outcome);
    double *x = calloc(2 * n + 1, sizeof *x);
    const struct mix_stage stage = {.name = "worlds",
                                    .n_tasks = n,
                                    .record_bytes = sizeof *outcome,
                                    .run = run_world,
                                    .context = &study,
                                    .records = (uint8_t *)outcome};
    const enum mix_status status =
        outcome != NULL && x != NULL ? mix_stage_run(ranks, &stage, &err) : MIX_ENOMEM;
    if (status != MIX_OK)
        fprintf(stderr, "%s\n", err.text);
    if (status == MIX_OK && mix_ranks_rank(ranks) == 0) {
        static const char *const names[WAYS] = {"all small", "all large", "mixed"};
        printf("%zu worlds of %s, %zu domains, noise %g, %.2g FLOP more\n"
               "  regret x 10^4    runs    the table expects          true (mean ± se, median)\n",
               n, study.law, study.n_domains, study.noise, BUDGET);
        print_row("before", n, outcome, -1, (double)(FIRST_BY_DOMAIN * study.n_domains), x, x + n);
        for (int way = 0; way < WAYS; way++)
            print_row(names[way], n, outcome, way, NAN, x, x + n);
        print_choice(n, outcome);
    }
    free(x);
    free(outcome);
    mix_ranks_destroy(ranks);
    return status == MIX_OK ? 0 : 1;
}
