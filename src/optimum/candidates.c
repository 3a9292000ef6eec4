/* SPDX-License-Identifier: GPL-3.0-or-later */
/* candidates.c - rank 0's lists for `next`: runs that could be made, and mixtures to decide
 * between. */
#include <gsl/gsl_cdf.h>
#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/random.h"
#include "optimum/next_impl.h"

static const double FLOPS_PER_TOKEN = 6;  /* and parameter */
static const double SAME_SCALE = 0.01;    /* relative */
static const double DISTINCT = 2e-3;      /* candidates differ more in some share */
static const double LATTICE = 1e6;        /* shares are multiples of 1 / LATTICE */
static const double TOWARDS_CORNER = 0.3; /* of the way from the optimum */
static const double SPARSE = 0.3;         /* most of a mixture is two domains or three */
static const double LEAST_FREEDOM = 0.2;
static const double LEAST_NOISE = 1e-6; /* relative to the loss */
static const double BY_CHANCE = 0.01;   /* a larger lack of fit */
static const double BETTER = 0.5;       /* of the mean square residual that another fit leaves */
static const double LEAST_SHARE = 0.02; /* of a centre of random mixtures, where a law is doubted */

enum { BASELINE, BEST_OBSERVED = 2 }; /* of mix_gain_names */

double mix_next_cost(const struct mix_next_scale *scale)
{
    return scale->flops > 0 ? scale->flops : FLOPS_PER_TOKEN * scale->n_params * scale->n_tokens;
}

double mix_next_distance(const double *a, const double *b, size_t n)
{
    double largest = 0;
    for (size_t j = 0; j < n; j++)
        largest = fmax(largest, fabs(a[j] - b[j]));
    return largest;
}

/* A list of mixtures that takes no two alike. */
struct list {
    size_t n, most, n_domains;
    double *mixture;
};

static bool list_has(const struct list *list, const double *mixture, double within)
{
    for (size_t i = 0; i < list->n; i++)
        if (mix_next_distance(list->mixture + i * list->n_domains, mixture, list->n_domains) <=
            within)
            return true;
    return false;
}

static void list_add(struct list *list, const double *mixture)
{
    if (list->n < list->most && isfinite(mixture[0]) && !list_has(list, mixture, DISTINCT))
        memcpy(list->mixture + list->n++ * list->n_domains, mixture,
               list->n_domains * sizeof *mixture);
}

/* Farthest first: up to `n` of the (n_from,K) mixtures, each the one least like
 * all in the list. */
static void list_spread(struct list *list, size_t n, size_t n_from, const double *from)
{
    const size_t k = list->n_domains;
    for (size_t taken = 0; taken < n && list->n < list->most; taken++) {
        double farthest = DISTINCT;
        size_t chosen = n_from;
        for (size_t i = 0; i < n_from; i++) {
            double nearest = INFINITY;
            for (size_t l = 0; isfinite(from[i * k]) && l < list->n; l++)
                nearest = fmin(nearest, mix_next_distance(list->mixture + l * k, from + i * k, k));
            if (isfinite(nearest) && nearest > farthest) {
                farthest = nearest;
                chosen = i;
            }
        }
        if (chosen == n_from)
            return;
        list_add(list, from + chosen * k);
    }
}

static void round_to_lattice(double *mixture, size_t n)
{
    double sum = 0;
    size_t largest = 0;
    for (size_t j = 0; j < n; j++) {
        mixture[j] = round(mixture[j] * LATTICE);
        sum += mixture[j];
        largest = mixture[j] > mixture[largest] ? j : largest;
    }
    mixture[largest] += LATTICE - sum;
    for (size_t j = 0; j < n; j++)
        mixture[j] /= LATTICE;
}

/* Of few domains (concentration SPARSE), around a mixture (4 K) and anywhere (1), in turns, until
 * the list is full; where only inner ones are wanted, none of few domains. */
static enum mix_status list_random(struct list *list, const double *centre, bool inner,
                                   uint64_t seed, struct mix_error *err)
{
    const size_t k = list->n_domains;
    const double least = inner ? LEAST_SHARE : 1e-3;
    double alpha[MIX_DOMAINS_MAX], drawn[MIX_DOMAINS_MAX];
    gsl_rng *rng = mix_rng_create(mix_key_make(seed, "next mixtures", NULL, 0));
    if (!rng)
        return mix_fail(err, MIX_ENOMEM, "out of memory for random mixtures");
    for (size_t i = 0; list->n < list->most && i < 20 * list->most; i++) {
        const bool around = inner ? i % 2 == 0 : i % 4 == 1;
        for (size_t j = 0; j < k; j++)
            alpha[j] = around                ? 4 * (double)k * fmax(centre[j], least)
                       : inner || i % 2 == 1 ? 1
                                             : SPARSE;
        gsl_ran_dirichlet(rng, k, alpha, drawn);
        round_to_lattice(drawn, k);
        list_add(list, drawn);
    }
    gsl_rng_free(rng);
    return MIX_OK;
}

/* What tells most of a law is at the edges: each domain alone, and few of them; what is to be
 * decided is in the middle. */
static enum mix_status list_candidates(struct mix_proposing *p, const struct mix_optimum *optimum,
                                       const struct mix_data *data, struct mix_error *err)
{
    const size_t k = p->n_domains, most = p->options->n_mixtures;
    struct list list = {.most = most, .n_domains = k, .mixture = p->mixture};
    double mixture[MIX_DOMAINS_MAX];
    memcpy(mixture, optimum->mixture, k * sizeof *mixture);
    round_to_lattice(mixture, k);
    list_add(&list, mixture);
    list_add(&list, optimum->best_observed);
    list_spread(&list, most / 8, data->n_rows, data->mixture);
    const bool inner = p->ask.is_doubted;
    for (int towards = inner ? 2 : 0; towards < 2; towards++) /* corners, some of the way to them */
        for (size_t d = 0; d < k && list.n < most / 2; d++) {
            const double part = towards == 0 ? 1 : TOWARDS_CORNER;
            for (size_t j = 0; j < k; j++)
                mixture[j] = (1 - part) * optimum->mixture[j] + part * (j == d);
            round_to_lattice(mixture, k);
            list_add(&list, mixture);
        }
    const size_t before = list.n;
    list_spread(&list, inner ? most / 4 : most / 8, optimum->n_draws, optimum->draw_mixture);
    for (size_t i = before; i < list.n; i++)
        round_to_lattice(list.mixture + i * k, k);
    const enum mix_status status =
        list_random(&list, optimum->mixture, inner, p->options->seed, err);
    p->ask.n_mixtures = list.n;
    return status;
}

/* Whether floors, caps and distance allow the optimum's other mixture; of guards that is not known.
 */
static bool is_allowed(const struct mix_optimum *o, size_t other)
{
    char text[MIX_NAME_MAX];
    bool has_guards = false;
    for (size_t m = 0; m < o->n_targets; m++)
        has_guards = has_guards || o->guard[m] != 0;
    return mix_optimum_broken_text(o, other, text)[0] == '\0' && (other == BASELINE || !has_guards);
}

static void list_decisions(struct mix_proposing *p, const struct mix_optimum *optimum)
{
    struct list list = {
        .most = NEXT_DECISIONS_MAX, .n_domains = p->n_domains, .mixture = p->decision};
    list_add(&list, optimum->mixture);
    if (is_allowed(optimum, BASELINE))
        list_add(&list, optimum->baseline);
    if (is_allowed(optimum, BEST_OBSERVED))
        list_add(&list, optimum->best_observed);
    list_add(&list, optimum->tied);
    list_spread(&list, NEXT_DECISIONS_MAX, optimum->n_draws, optimum->draw_mixture);
    p->ask.n_decisions = list.n;
}

static void sort_scales(struct mix_next_question *ask)
{
    for (size_t s = 1; s < ask->n_scales; s++)
        for (size_t t = s;
             t > 0 && mix_next_cost(&ask->scale[t]) < mix_next_cost(&ask->scale[t - 1]); t--) {
            const struct mix_next_scale swap = ask->scale[t];
            ask->scale[t] = ask->scale[t - 1];
            ask->scale[t - 1] = swap;
        }
}

static bool is_at(const struct mix_next_scale *a, const struct mix_next_scale *b)
{
    return fabs(a->n_params / b->n_params - 1) <= SAME_SCALE &&
           fabs(a->n_tokens / b->n_tokens - 1) <= SAME_SCALE;
}

/* Those given, or those of finished runs with the mean of what these cost; the cheapest first. */
static void list_scales(struct mix_proposing *p, const struct mix_table *table,
                        const struct mix_data *data)
{
    struct mix_next_question *ask = &p->ask;
    size_t n_runs[NEXT_SCALES_MAX] = {0};
    for (size_t s = 0; p->options->scales && s < p->options->n_scales; s++)
        ask->scale[ask->n_scales++] = p->options->scales[s];
    for (size_t r = 0; !p->options->scales && r < data->n_rows; r++) {
        const struct mix_run *run = &table->runs[data->row[r]];
        const struct mix_next_scale at = {1e6 * data->n_params[r], 1e9 * data->n_tokens[r], 0};
        size_t s = 0;
        while (s < ask->n_scales && !is_at(&at, &ask->scale[s]))
            s++;
        if (!run->is_final || s == NEXT_SCALES_MAX)
            continue;
        if (s == ask->n_scales)
            ask->scale[ask->n_scales++] = at;
        n_runs[s]++;
        ask->scale[s].flops += (run->flops - ask->scale[s].flops) / (double)n_runs[s];
    }
    sort_scales(ask);
}

/* A candidate is a mixture at a scale that budget and supply allow. */
static enum mix_status list_pairs(struct mix_proposing *p, const struct mix_table *table,
                                  struct mix_error *err)
{
    struct mix_next_question *ask = &p->ask;
    size_t n_affordable = 0;
    for (size_t s = 0; s < ask->n_scales; s++) {
        const struct mix_next_scale *scale = &ask->scale[s];
        if (mix_next_cost(scale) > p->options->flops)
            continue;
        n_affordable++;
        const double part = fmin(scale->n_tokens / p->options->match_tokens, 1); /* not NaN */
        for (size_t i = 0; i < ask->n_mixtures; i++) {
            bool has_supply = true;
            for (size_t j = 0; j < p->n_domains; j++) {
                const double supply =
                    table->domains[j].supply_tokens * part * p->options->max_epochs;
                has_supply =
                    has_supply && !(p->mixture[i * p->n_domains + j] * scale->n_tokens > supply);
            }
            if (!has_supply)
                continue;
            p->of_mixture[ask->n_candidates] = i;
            p->of_scale[ask->n_candidates++] = s;
        }
    }
    if (ask->n_scales == 0)
        return mix_fail(err, MIX_EINVAL, "there is no scale at which a run could be made");
    if (n_affordable == 0)
        return mix_fail(
            err, MIX_EINVAL,
            "no run is within %.4g FLOP: the cheapest, %.4g parameters on %.4g tokens, takes %.4g",
            p->options->flops, ask->scale[0].n_params, ask->scale[0].n_tokens,
            mix_next_cost(&ask->scale[0]));
    if (ask->n_candidates == 0)
        return mix_fail(err, MIX_EINVAL,
                        "no candidate repeats its domains %g times at most: raise the limit",
                        p->options->max_epochs);
    return MIX_OK;
}

static enum mix_status check_optimum(const struct mix_proposing *p,
                                     const struct mix_optimum *optimum, struct mix_error *err)
{
    const struct mix_key fit = mix_fit_key(p->fit);
    if (fit.hi != optimum->fit_key.hi || fit.lo != optimum->fit_key.lo ||
        p->draws->fit_key.hi != fit.hi || p->draws->fit_key.lo != fit.lo ||
        optimum->n_draws != p->n_known)
        return mix_fail(err, MIX_EINVAL,
                        "optimum %s, its fit %s and the bootstrap draws do not belong together any "
                        "more: make the bootstrap and the optimum again",
                        optimum->name, p->fit->name);
    if (p->n_known < MIX_NEXT_DRAWS_MIN)
        return mix_fail(
            err, MIX_EINVAL,
            "there are %zu bootstrap draws of %s: at least %d are needed, 1000 are wise",
            p->n_known, p->fit->name, MIX_NEXT_DRAWS_MIN);
    return MIX_OK;
}

/* The runs to choose among, as candidates. */
static enum mix_status list_among(struct mix_proposing *p, struct mix_error *err)
{
    const struct mix_table *among = p->options->among;
    struct mix_next_question *ask = &p->ask;
    ask->n_scales = 0;
    for (size_t r = 0; r < among->n_rows; r++) {
        const struct mix_run *run = &among->runs[r];
        size_t s = 0;
        while (s < ask->n_scales &&
               (ask->scale[s].n_params != run->n_params || ask->scale[s].n_tokens != run->n_tokens))
            s++;
        if (s == NEXT_SCALES_MAX)
            return mix_fail(err, MIX_EINVAL, "the runs have more than %d scales", NEXT_SCALES_MAX);
        if (s == ask->n_scales)
            ask->scale[ask->n_scales++] = (struct mix_next_scale){run->n_params, run->n_tokens, 0};
    }
    sort_scales(ask);
    ask->n_mixtures = among->n_rows;
    memcpy(p->mixture, among->mixture, among->n_rows * p->n_domains * sizeof *p->mixture);
    for (size_t s = 0; s < ask->n_scales; s++)
        for (size_t r = 0; r < among->n_rows; r++)
            if (among->runs[r].n_params == ask->scale[s].n_params &&
                among->runs[r].n_tokens == ask->scale[s].n_tokens) {
                p->of_mixture[ask->n_candidates] = r;
                p->of_scale[ask->n_candidates++] = s;
            }
    return ask->n_candidates > 0 ? MIX_OK
                                 : mix_fail(err, MIX_EINVAL, "there are no runs to choose among");
}

/* What part of the losses' scatter a fit with so many parameters leaves. */
static double freedom_of(const struct mix_fit *fit)
{
    size_t n_losses = 0;
    for (size_t m = 0; m < fit->spec.n_targets; m++)
        n_losses += fit->train_by_target[m].n;
    return 1 - (double)fit->n_params / (double)(n_losses + 1);
}

/* ---- whether the law holds */

/* Mean square residual of a fit by that of every target in `variance` that is known: the geometric
 * mean. */
static double times_larger(const struct mix_fit *fit, const double *variance)
{
    double sum = 0, n = 0;
    for (size_t m = 0; m < fit->spec.n_targets; m++)
        if (!isnan(variance[m])) {
            sum += log(fit->train_by_target[m].mse / variance[m]);
            n++;
        }
    return exp(sum / n);
}

/* Whether row `b` is a seed more of row `a`. */
static bool is_replicate(const struct mix_data *data, size_t a, size_t b)
{
    return data->cluster[a] == data->cluster[b] &&
           fabs(data->n_params[a] / data->n_params[b] - 1) <= SAME_SCALE &&
           fabs(data->n_tokens[a] / data->n_tokens[b] - 1) <= SAME_SCALE;
}

/* What seeds say of one target. */
struct seeds {
    double squares, largest, further; /* further: runs that are a seed more of others */
    double n, mean;                   /* of the runs before one */
};

/* Add run `r`, against the mean of its replicates before it. */
static void add_seed(const struct mix_data *data, size_t r, struct seeds *seeds)
{
    const size_t n_m = data->n_targets;
    for (size_t m = 0; m < n_m; m++)
        seeds[m].n = seeds[m].mean = 0;
    for (size_t q = 0; q < r; q++) {
        if (!is_replicate(data, q, r) ||
            (data->early != NULL && (data->early[q] || data->early[r])))
            continue;
        for (size_t m = 0; m < n_m; m++)
            if (data->weight[r * n_m + m] > 0 && data->weight[q * n_m + m] > 0)
                seeds[m].mean += (data->loss[q * n_m + m] - seeds[m].mean) / ++seeds[m].n;
    }
    for (size_t m = 0; m < n_m; m++) {
        struct seeds *of = &seeds[m];
        if (of->n == 0)
            continue;
        const double off = data->loss[r * n_m + m] - of->mean;
        of->squares += off * off * of->n / (of->n + 1);
        of->further++;
        of->largest = fmax(of->largest, of->mean);
    }
}

/* Variance (M) between seeds, NaN of a target that has none; how many runs are a further seed of
 * others, of the target with the fewest that has any. */
static enum mix_status seed_variance(const struct mix_data *data, double *variance, size_t *n,
                                     struct mix_error *err)
{
    struct seeds *seeds = calloc(data->n_targets, sizeof *seeds);
    if (!seeds)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu targets", data->n_targets);
    double fewest = INFINITY;
    for (size_t r = 0; r < data->n_rows; r++)
        add_seed(data, r, seeds);
    for (size_t m = 0; m < data->n_targets; m++) {
        const struct seeds *of = &seeds[m];
        variance[m] = of->squares / of->further + pow(LEAST_NOISE * of->largest, 2);
        if (of->further > 0)
            fewest = fmin(fewest, of->further);
    }
    *n = isfinite(fewest) ? (size_t)fewest : 0;
    free(seeds);
    return MIX_OK;
}

/* The parameters are not taken off the degrees of freedom: where priors hold them they cost less.
 */
static enum mix_status doubt_by_seeds(const struct mix_table *table, const struct mix_fit *fit,
                                      char text[MIX_TEXT_MAX], struct mix_error *err)
{
    struct mix_data *data = NULL;
    enum mix_status status = mix_table_select(table, &fit->selection, &data, err);
    double *variance = status == MIX_OK ? calloc(data->n_targets, sizeof *variance) : NULL;
    size_t n = 0;
    if (status == MIX_OK && variance)
        status = seed_variance(data, variance, &n, err);
    if (status == MIX_OK && variance) {
        const double times = n > 0 ? times_larger(fit, variance) : NAN;
        const double left = (double)(data->n_rows - n);
        if (times > 1 && gsl_cdf_fdist_Q(times, left, (double)n) < BY_CHANCE)
            snprintf(text, MIX_TEXT_MAX,
                     "runs are %.2g times as far from law %s as seeds of one mixture are from each "
                     "other: it does not hold, and regrets are larger than its draws say",
                     sqrt(times), fit->spec.law);
    } else if (status == MIX_OK) {
        status = mix_fail(err, MIX_ENOMEM, "out of memory for %zu targets", data->n_targets);
    }
    free(variance);
    mix_data_destroy(data);
    return status;
}

static enum mix_status doubt_by_others(const struct mix_fit *fit, size_t n_others,
                                       const struct mix_fit *const *others, char text[MIX_TEXT_MAX],
                                       struct mix_error *err)
{
    const double freedom = freedom_of(fit);
    double least = BETTER, *variance = calloc(fit->spec.n_targets, sizeof *variance);
    if (!variance)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu targets", fit->spec.n_targets);
    for (size_t m = 0; m < fit->spec.n_targets; m++)
        variance[m] = fit->train_by_target[m].mse / freedom;
    for (size_t i = 0; i < n_others; i++) {
        const struct mix_fit *other = others[i];
        if (other->spec.n_targets != fit->spec.n_targets || freedom_of(other) < LEAST_FREEDOM ||
            freedom < LEAST_FREEDOM || fit->train.mre < LEAST_NOISE ||
            !mix_fits_of_same_runs(fit, other))
            continue;
        const double part = times_larger(other, variance) / freedom_of(other);
        if (!(part < least))
            continue;
        least = part;
        snprintf(text, MIX_TEXT_MAX,
                 "fit %s (law %s) leaves %.2g of the residuals of law %s on the same runs: this "
                 "one does not hold, and regrets are larger than its draws say; ask that fit",
                 other->name, other->spec.law, sqrt(part), fit->spec.law);
    }
    free(variance);
    return MIX_OK;
}

enum mix_status mix_law_doubt(const struct mix_table *table, const struct mix_fit *fit,
                              size_t n_others, const struct mix_fit *const *others,
                              char text[MIX_TEXT_MAX], struct mix_error *err)
{
    text[0] = '\0';
    const enum mix_status status = doubt_by_seeds(table, fit, text, err);
    return status == MIX_OK ? doubt_by_others(fit, n_others, others, text, err) : status;
}

/* ---- all lists */

enum mix_status mix_proposing_list(struct mix_proposing *p, const struct mix_table *table,
                                   const struct mix_optimum *optimum, struct mix_error *err)
{
    struct mix_data *data = NULL;
    double sum = 0;
    char doubt[MIX_TEXT_MAX] = "";
    enum mix_status status = check_optimum(p, optimum, err);
    if (status == MIX_OK && p->options->n_scales > NEXT_SCALES_MAX)
        status = mix_fail(err, MIX_EINVAL, "%zu scales are given; at most %d are compared",
                          p->options->n_scales, NEXT_SCALES_MAX);
    if (status == MIX_OK)
        status = mix_law_doubt(table, p->fit, p->options->n_others, p->options->others, doubt, err);
    if (status == MIX_OK)
        status = mix_table_select(table, &p->fit->selection, &data, err);
    if (status != MIX_OK)
        return status;
    p->ask.is_doubted = doubt[0] != '\0';
    p->ask.n_params = optimum->n_params;
    p->ask.n_tokens = optimum->n_tokens;
    for (size_t m = 0; m < p->n_targets; m++)
        sum += optimum->weight[m];
    const double freedom = fmax(freedom_of(p->fit), LEAST_FREEDOM);
    const bool relative =
        optimum->goal == MIX_GOAL_MEAN_GAIN || optimum->goal == MIX_GOAL_WORST_GAIN;
    p->ask.goal = optimum->goal;
    memcpy(p->baseline, optimum->baseline, p->n_domains * sizeof *p->baseline);
    for (size_t m = 0; m < p->n_targets; m++) {
        const double mse = p->fit->train_by_target[m].mse / freedom;
        p->weight[m] = optimum->weight[m] / sum;
        p->unit[m] = relative ? 1 / optimum->baseline_loss[m] : 1;
        p->noise[m] = sqrt(mse > 0 ? mse : p->fit->objective / freedom) +
                      LEAST_NOISE * optimum->loss[m].value;
    }
    list_decisions(p, optimum);
    if (p->options->among) {
        status = list_among(p, err);
    } else {
        list_scales(p, table, data);
        status = list_candidates(p, optimum, data, err);
        if (status == MIX_OK)
            status = list_pairs(p, table, err);
    }
    mix_data_destroy(data);
    return status;
}
