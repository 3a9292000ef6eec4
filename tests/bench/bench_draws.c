/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_draws.c TABLE.csv WHERE MASK [DRAWS [SAMPLED [STARTS]]] - what bootstrap refits of law
 * capacity cost and how good they are; or
 * bench_draws.c TABLE.csv WHERE LAW - processor time of one start of a fit of all checkpoints.
 *
 * SAMPLED of the draws are refitted from STARTS data-scaled random starts each; a draw is good that
 * is within 1% of the best of those. The gradient is the cosine between the residual and the column
 * of the Jacobian it is nearest to: at optima where a skill just meets its bound, which most are,
 * it has no reason to vanish.
 *
 * How draws are searched: what depends on mixture and size alone is worked out once for all
 * checkpoints, linear parameters are eliminated, the factor keeps the zeros between parameters of
 * different targets, and the inner loops exist for AVX-512, AVX2 and any CPU. Draws of the laws in
 * which skills compete come in generations (0 to 63, to 255, to 1023, to 4095, the rest): a draw
 * starts from those of the earlier draws that suit its weights best, which their squared residuals
 * by mixture tell at once, and then hops: what all targets share, the bound H above all, moves at
 * random, and what is better is kept (16 hops for the first draws, 2 for the last).
 *
 * Where the problem is rugged more is done: behind the first 64 draws of a law without priors
 * (capacity) the searches of 64 probes are compared, and where they disagree by more than 4% of the
 * objective (2.4% without a mask below 0.1, 6.7% with it), draws 64 to 255 search from 180 random
 * points too, those to 1023 from 60 and the rest from 20, the best of them longer, and then take
 * one domain's parameters at a time from 16 other suitable points (20 or 30 times, the best of four
 * exchanges searched). Smooth problems pay for the probes alone. Of the masked draws 95% then come
 * within 1% and 56% are better than those 200 starts by more than 1%, the worst is 4% off; with the
 * searches of smooth problems 77%, the worst 12% off. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "fit/least_squares.h"
#include "mixsweep/csv.h"
#include "mixsweep/fit.h"
#include "mixsweep/random.h"

static struct mix_table *read_table(const char *path, const char *where)
{
    const struct mix_import import = {
        .path = path, .where = &where, .n_where = 1, .checkpoints = MIX_CHECKPOINTS_ALL};
    struct mix_error err = {.text = ""};
    struct mix_table *table = NULL;
    must(mix_csv_import(&import, &table, NULL, &err), &err);
    return table;
}

static struct mix_fit *fit_table(const struct mix_table *table, struct mix_fit_options *options)
{
    struct mix_error err = {.text = ""};
    struct mix_fit *fit = NULL;
    options->holdout = "none";
    const double begin = cpu_s();
    must(mix_fit_run(NULL, table, options, NULL, NULL, &fit, &err), &err);
    printf("%s, %zu losses: %.3f s a start with its hops, %zu of %zu at the best, mse %.6e\n",
           options->law, fit->n_fitted, (cpu_s() - begin) / (double)fit->n_starts, fit->n_at_best,
           fit->n_starts, fit->objective);
    return fit;
}

/* The weights of a draw: how often each mixture was drawn; as resample.c draws them. */
static void weigh(const struct mix_data *data, uint64_t draw, struct lsq *lsq)
{
    gsl_rng *rng = mix_rng_create(mix_key_make(1, "bootstrap", &draw, sizeof draw));
    double *unit = room(data->n_clusters, sizeof *unit), *row = room(data->n_rows, sizeof *row);
    for (size_t i = 0; i < data->n_clusters; i++)
        unit[gsl_rng_uniform_int(rng, data->n_clusters)] += 1.0;
    for (size_t r = 0; r < data->n_rows; r++)
        row[r] = unit[data->cluster[r]];
    lsq_weigh_rows(lsq, row);
    free(unit);
    free(row);
    gsl_rng_free(rng);
}

static double best_of_starts(struct lsq *lsq, uint64_t draw, size_t n_starts)
{
    const struct mix_model *model = lsq_model(lsq);
    gsl_rng *rng = mix_rng_create(mix_key_make(1, "bench", &draw, sizeof draw));
    double *theta = room(model->n_theta, sizeof *theta), best = INFINITY;
    struct lsq_result result;
    for (size_t k = 0; k < n_starts; k++) {
        model->law->start(model, lsq_scales(lsq), rng, theta);
        if (lsq_minimise(lsq, theta, 400, 1e-7, NULL, &result, NULL) == MIX_OK)
            best = fmin(best, result.objective);
    }
    free(theta);
    gsl_rng_free(rng);
    return best;
}

static double gradient_at(struct lsq *lsq, const double *params)
{
    const struct mix_model *model = lsq_model(lsq);
    double *theta = room(model->n_theta, sizeof *theta);
    double *lambda = room(model->spec.n_targets * model->n_linear, sizeof *lambda);
    struct lsq_result result = {0};
    model->law->from_natural(model, params, theta, lambda);
    (void)lsq_minimise(lsq, theta, 1, 1e-7, NULL, &result, NULL);
    free(theta);
    free(lambda);
    return result.gradient;
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void judge(const struct mix_fit *fit, const struct mix_data *data,
                  const struct mix_draws *draws, size_t n_sampled, size_t n_starts)
{
    struct mix_error err = {.text = ""};
    struct lsq *lsq = NULL;
    must(lsq_create(&fit->spec, data->target_domain, data, &lsq, &err), &err);
    double *ratio = room(n_sampled, sizeof *ratio), *gradient = room(n_sampled, sizeof *gradient);
    size_t n_good = 0, n_better = 0;
    for (size_t i = 0; i < n_sampled; i++) {
        const size_t b = (2 * i + 1) * draws->n_draws / (2 * n_sampled);
        weigh(data, b, lsq);
        ratio[i] = draws->objective[b] / best_of_starts(lsq, b, n_starts);
        gradient[i] = gradient_at(lsq, draws->params + b * draws->n_params);
        n_good += ratio[i] <= 1.01;
        n_better += ratio[i] < 0.99;
    }
    qsort(ratio, n_sampled, sizeof *ratio, compare_doubles);
    qsort(gradient, n_sampled, sizeof *gradient, compare_doubles);
    printf("  of %zu draws %zu within 1%% of the best of %zu starts, %zu better by 1%%; worst "
           "%+.1f%%; "
           "gradient cosine: median %.1e, worst %.1e\n",
           n_sampled, n_good, n_starts, n_better, 100.0 * (ratio[n_sampled - 1] - 1.0),
           gradient[n_sampled / 2], gradient[n_sampled - 1]);
    free(ratio);
    free(gradient);
    lsq_destroy(lsq);
}

static size_t number(int argc, char **argv, int at, size_t otherwise)
{
    return argc > at ? (size_t)strtoul(argv[at], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    struct mix_error err = {.text = ""};
    struct mix_fit_options options = mix_fit_options_default();
    if (argc < 4) {
        fprintf(stderr, "usage: %s TABLE.csv WHERE LAW | MASK [DRAWS [SAMPLED [STARTS]]]\n",
                argv[0]);
        return 2;
    }
    struct mix_table *table = read_table(argv[1], argv[2]);
    char *end;
    options.selection.mask_below = strtod(argv[3], &end);
    options.selection.checkpoints = MIX_CHECKPOINTS_ALL;
    options.law = *end == '\0' ? "capacity" : argv[3];
    options.n_starts = *end == '\0' ? options.n_starts : 16;
    struct mix_fit *fit = fit_table(table, &options);
    if (*end == '\0') {
        struct mix_data *data = NULL;
        struct mix_draws *draws = mix_draws_create(number(argc, argv, 4, 10000), fit->n_params);
        if (draws == NULL)
            abort();
        must(mix_table_select(table, &options.selection, &data, &err), &err);
        snprintf(draws->fit, sizeof draws->fit, "%s", fit->name);
        draws->fit_key = mix_fit_key(fit);
        draws->seed = 1;
        const double begin = cpu_s();
        must(mix_bootstrap_run(NULL, table, fit, draws, NULL, NULL, NULL, &err), &err);
        const double s = cpu_s() - begin;
        printf("  %zu draws: %.2f s, %.3f ms each\n", draws->n_draws, s,
               1e3 * s / (double)draws->n_draws);
        (void)fflush(stdout);
        judge(fit, data, draws, number(argc, argv, 5, 100), number(argc, argv, 6, 200));
        mix_draws_destroy(draws);
        mix_data_destroy(data);
    }
    mix_fit_destroy(fit);
    mix_table_destroy(table);
    return 0;
}
