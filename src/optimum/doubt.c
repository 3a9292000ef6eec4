/* SPDX-License-Identifier: GPL-3.0-or-later */
/* doubt.c - whether the runs show that a law does not hold: against seeds, against the fits of the
 * file, and against other laws that are fitted to the same runs here.
 *
 * Of two laws that both hold either can leave less by its parameters alone, and parameters that
 * priors or bounds hold cost less than one degree of freedom. So another law has to leave less both
 * by its degrees of freedom and as it stands: the first takes off what a law with more parameters
 * fits of the noise, the second what degrees of freedom say too much of a law that has many.
 */
#include <gsl/gsl_cdf.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "optimum/next_impl.h"

static const double BY_CHANCE = 0.01; /* a larger lack of fit */
static const double BETTER = 0.5;     /* of the mean square residual that another law leaves */

/* Laws that describe most of what the others do, those of a kind once: mixtures that multiply or
 * add up, and domains that compete for capacity. The last two are of one kind. */
static const char *const checks[] = {"product", "transfer", "demand"};
enum { CHECKS = sizeof checks / sizeof *checks, CHECKED_BY = 2, CHECK_STARTS = 4 };

static size_t count_losses(const struct mix_fit *fit)
{
    size_t n = 0;
    for (size_t m = 0; m < fit->spec.n_targets; m++)
        n += fit->train_by_target[m].n;
    return n;
}

double mix_next_freedom(const struct mix_fit *fit)
{
    return 1 - (double)fit->n_params / (double)(count_losses(fit) + 1);
}

/* One line more of what a law was tested against. */
static void add_test(struct mix_law_check *check, const char *what, const char *name)
{
    const size_t used = strlen(check->against);
    if (used + strlen(what) + strlen(name) + 2 <= sizeof check->against)
        snprintf(check->against + used, sizeof check->against - used, "%s%s%s",
                 used > 0 ? "\n" : "", what, name);
}

/* ---- seeds */

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
           fabs(data->n_params[a] / data->n_params[b] - 1) <= NEXT_SAME_SCALE &&
           fabs(data->n_tokens[a] / data->n_tokens[b] - 1) <= NEXT_SAME_SCALE;
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
        variance[m] = of->squares / of->further + pow(NEXT_LEAST_NOISE * of->largest, 2);
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
                                      struct mix_law_check *check, struct mix_error *err)
{
    struct mix_data *data = NULL;
    enum mix_status status = mix_table_select(table, &fit->selection, &data, err);
    double *variance = status == MIX_OK ? calloc(data->n_targets, sizeof *variance) : NULL;
    size_t n = 0;
    if (status == MIX_OK && variance)
        status = seed_variance(data, variance, &n, err);
    else if (status == MIX_OK)
        status = mix_fail(err, MIX_ENOMEM, "out of memory for %zu targets", data->n_targets);
    if (status == MIX_OK && n > 0) {
        const double times = times_larger(fit, variance);
        add_test(check, "seeds", "");
        check->is_doubted =
            times > 1 && gsl_cdf_fdist_Q(times, (double)(data->n_rows - n), (double)n) < BY_CHANCE;
        if (check->is_doubted)
            snprintf(check->doubt, sizeof check->doubt,
                     "runs are %.2g times as far from law %s as seeds of one mixture are from each "
                     "other: it does not hold, and regrets are larger than its draws say",
                     sqrt(times), fit->spec.law);
    }
    free(variance);
    mix_data_destroy(data);
    return status;
}

/* ---- other laws */

/* Where a law leaves nothing, or has nearly as many parameters as there are losses, no other is
 * better. */
static bool can_be_judged(const struct mix_fit *fit)
{
    return fit->train.mre >= NEXT_LEAST_NOISE && mix_next_freedom(fit) >= NEXT_LEAST_FREEDOM;
}

static bool can_judge(const struct mix_fit *other, const struct mix_fit *fit)
{
    const bool is_same =
        strcmp(other->spec.law, fit->spec.law) == 0 && other->spec.form == fit->spec.form;
    return !is_same && other->spec.n_targets == fit->spec.n_targets &&
           mix_next_freedom(other) >= NEXT_LEAST_FREEDOM && mix_fits_of_same_runs(fit, other);
}

/* Mean square residual of another fit by that of `fit`, the geometric mean over targets: as it
 * stands or by degrees of freedom, whichever is more. 1 where it could be by chance. */
static double part_left(const struct mix_fit *other, const struct mix_fit *fit)
{
    const double n = (double)count_losses(fit), own = mix_next_freedom(fit);
    const double its = mix_next_freedom(other);
    double sum = 0;
    for (size_t m = 0; m < fit->spec.n_targets; m++)
        sum += log(other->train_by_target[m].mse / fit->train_by_target[m].mse);
    const double part = exp(sum / (double)fit->spec.n_targets) * fmax(1, own / its);
    return gsl_cdf_fdist_Q(1 / part, n * own, n * its) < BY_CHANCE ? part : 1;
}

/* Against fits of the same runs, which the file has or which were made here. */
static void doubt_by_others(const struct mix_fit *fit, size_t n_others,
                            const struct mix_fit *const *others, bool is_stored, double *least,
                            struct mix_law_check *check)
{
    for (size_t i = 0; i < n_others && can_be_judged(fit); i++) {
        const struct mix_fit *other = others[i];
        if (!other || !can_judge(other, fit))
            continue;
        add_test(check, is_stored ? "fit " : "", other->name);
        const double part = part_left(other, fit);
        if (!(part < *least))
            continue;
        *least = part;
        check->is_doubted = true;
        snprintf(check->doubt, sizeof check->doubt,
                 "%s%s%slaw %s%s leaves %.2g of the residuals of law %s on the same runs: this one "
                 "does not hold, and regrets are larger than its draws say; %s",
                 is_stored ? "fit " : "", is_stored ? other->name : "", is_stored ? " (" : "",
                 other->spec.law, is_stored ? ")" : "", sqrt(part), fit->spec.law,
                 is_stored ? "ask that fit" : "fit that one, and ask it");
    }
}

/* The form of a check that the law of a fit has: with repetition or without. */
static void name_check(const struct mix_fit *fit, size_t c, char law[MIX_UNIT_MAX])
{
    snprintf(law, MIX_UNIT_MAX, "%s%s", checks[c], fit->spec.law + strcspn(fit->spec.law, "+"));
}

/* Rank 0: which checks the file has already; none is to be made where it would say nothing. */
static void find_checks(const struct mix_table *table, const struct mix_fit *fit, size_t n_others,
                        const struct mix_fit *const *others, bool *useless, bool has[CHECKS])
{
    char law[MIX_UNIT_MAX];
    *useless = !can_be_judged(fit) || mix_fit_outdated(fit, table) != NULL;
    for (size_t c = 0; c < CHECKS; c++) {
        name_check(fit, c, law);
        for (size_t i = 0; i < n_others; i++)
            has[c] = has[c] || (strcmp(others[i]->spec.law, law) == 0 && can_judge(others[i], fit));
    }
}

/* Collective: fit the first CHECKED_BY checks that are other laws and suit the table, but those
 * that the file has. `made` on rank 0. */
static enum mix_status make_checks(struct mix_ranks *ranks, const struct mix_table *table,
                                   const struct mix_fit *fit, const bool has[CHECKS],
                                   mix_progress_fn progress, void *progress_context,
                                   struct mix_fit *made[CHECKED_BY], struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    char law[MIX_UNIT_MAX];
    struct mix_fit_options options = mix_fit_options_default();
    options.law = law;
    options.selection = fit->selection;
    options.holdout = "none";
    options.n_starts = CHECK_STARTS;
    for (size_t c = 0, n = 0; c < CHECKS && n < CHECKED_BY && status == MIX_OK; c++) {
        struct mix_error reason = {.text = ""};
        name_check(fit, c, law);
        if (strcmp(law, fit->spec.law) == 0)
            continue;
        if (!has[c])
            status =
                mix_fit_run(ranks, table, &options, progress, progress_context, &made[n], &reason);
        n += status == MIX_OK;
        if (status == MIX_EINVAL || status == MIX_ENUMERIC) /* it does not suit them */
            status = MIX_OK;
        else if (status != MIX_OK)
            mix_fail(err, status, "%s", reason.text);
    }
    return status;
}

enum mix_status mix_law_check(struct mix_ranks *ranks, const struct mix_table *table,
                              const struct mix_fit *fit, size_t n_others,
                              const struct mix_fit *const *others, mix_progress_fn progress,
                              void *progress_context, struct mix_law_check *out,
                              struct mix_error *err)
{
    const bool is_first = mix_ranks_rank(ranks) == 0;
    struct mix_fit *made[CHECKED_BY] = {NULL};
    bool has[CHECKS] = {false}, useless = false;
    double least = BETTER;
    enum mix_status status = MIX_OK;
    *out = (struct mix_law_check){.is_doubted = false};
    if (is_first) {
        find_checks(table, fit, n_others, others, &useless, has);
        status = doubt_by_seeds(table, fit, out, err);
    }
    status = mix_ranks_agree(ranks, status, err);
    mix_ranks_broadcast(ranks, &useless, sizeof useless);
    mix_ranks_broadcast(ranks, has, sizeof has);
    if (status == MIX_OK && !useless)
        status = make_checks(ranks, table, fit, has, progress, progress_context, made, err);
    if (status == MIX_OK && is_first) {
        doubt_by_others(fit, n_others, others, true, &least, out);
        doubt_by_others(fit, CHECKED_BY, (const struct mix_fit *const *)made, false, &least, out);
    }
    for (size_t i = 0; i < CHECKED_BY; i++)
        mix_fit_destroy(made[i]);
    return status;
}
