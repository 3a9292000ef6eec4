/* SPDX-License-Identifier: GPL-3.0-or-later */
/* warnings.c - what a reader of an optimum has to know beside its figures. */
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/interval.h"
#include "optimum/search.h"

static const double OUTSIDE_HULL = 0.02; /* largest share difference that is no matter */
static const double FAR_BEYOND = 2.0;    /* times the largest share seen */
static const double BEYOND_TEST = 3.0;   /* times the factor that the held-out size tested */
static const double WIDE = 0.1;          /* median total variation of the draws' optima */
enum { FEW_DRAWS = 100, LISTED = 6 };
static const double PASSES_BEYOND = 1.5; /* of the most that any run makes */

static void add_line(size_t n_text, char *text, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void warn(struct mix_optimum *o, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void append(size_t n_text, char *text, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));

/* A line that does not fit any more is left out whole. */
static void append(size_t n_text, char *text, const char *format, va_list arguments)
{
    char line[MIX_TEXT_MAX];
    const int length = vsnprintf(line, sizeof line, format, arguments);
    const size_t used = strlen(text), room = n_text - used;
    if (length > 0 && strlen(line) + 2 <= room)
        snprintf(text + used, room, "%s%s", used > 0 ? "\n" : "", line);
}

static void add_line(size_t n_text, char *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    append(n_text, text, format, arguments);
    va_end(arguments);
}

static void warn(struct mix_optimum *o, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    append(sizeof o->warnings, o->warnings, format, arguments);
    va_end(arguments);
}

/* The best other fit on hold-out `at` of a fit, of the same runs; NULL = none is better. */
static const struct mix_fit *find_better(const struct mix_fit *fit, size_t at, size_t n_others,
                                         const struct mix_fit *const *others, double *mre)
{
    const struct mix_fit *best = NULL;
    *mre = fit->holdouts[at].law.mre;
    for (size_t i = 0; i < n_others; i++)
        for (size_t h = 0; h < others[i]->n_holdouts; h++) {
            const struct mix_holdout *held = &others[i]->holdouts[h];
            if (strcmp(held->kind, fit->holdouts[at].kind) != 0 || !(held->law.mre < *mre) ||
                !mix_fits_of_same_runs(fit, others[i]))
                continue;
            best = others[i];
            *mre = held->law.mre;
        }
    return best;
}

void mix_fit_caveats(const struct mix_table *table, const struct mix_fit *fit, size_t n_others,
                     const struct mix_fit *const *others, size_t n_text, char *text)
{
    text[0] = '\0';
    const char *outdated = mix_fit_outdated(fit, table);
    if (outdated != NULL)
        add_line(n_text, text, "%s since fit %s was made: fit again with --replace", outdated,
                 fit->name);
    for (size_t i = 0; i < fit->n_holdouts; i++) {
        const struct mix_holdout *held = &fit->holdouts[i];
        char instead[MIX_NAME_MAX + 48] = "";
        double mre = 0.0, least = held->law.mre;
        size_t floor = MIX_FLOORS;
        for (size_t f = 0; f < MIX_FLOORS; f++)
            if (held->floor[f].n > 0 && held->floor[f].mre < least) {
                least = held->floor[f].mre;
                floor = f;
            }
        if (floor == MIX_FLOORS)
            continue;
        const struct mix_fit *better = find_better(fit, i, n_others, others, &mre);
        if (better != NULL)
            snprintf(instead, sizeof instead, "; fit %s does better there (%.2f%%)", better->name,
                     100.0 * mre);
        add_line(n_text, text, "on held-out %s law %s (MRE %.2f%%) loses to %s (%.2f%%)%s",
                 held->kind, fit->spec.law, 100.0 * held->law.mre, mix_floor_names[floor],
                 100.0 * least, instead);
    }
}

/* "a (0.1), b (0.2) and c (0.3)": the chosen domains, with what `show` holds of each; of many
 * those of the largest `show`, "... and 5 more". */
static size_t list_domains(const struct mix_optimum *o, const uint8_t *chosen, const double *show,
                           char text[MIX_TEXT_MAX / 2])
{
    size_t n = 0, used = 0, total = 0;
    for (size_t j = 0; j < o->n_domains; j++)
        total += chosen[j] != 0;
    text[0] = '\0';
    for (size_t j = 0; j < o->n_domains && n < LISTED; j++) {
        size_t n_before = 0;
        for (size_t i = 0; i < o->n_domains; i++)
            n_before += chosen[i] != 0 && (show[i] > show[j] || (show[i] == show[j] && i < j));
        if (chosen[j] == 0 || n_before >= LISTED)
            continue;
        const char *before = n == 0 ? "" : n + 1 == total ? " and " : ", ";
        used += (size_t)snprintf(text + used, MIX_TEXT_MAX / 2 - used, "%s%s (%.3g)", before,
                                 o->domains[j], show[j]);
        n++;
    }
    if (n < total && used < MIX_TEXT_MAX / 2)
        snprintf(text + used, MIX_TEXT_MAX / 2 - used, " and %zu more", total - n);
    return total;
}

static void warn_observed(struct mix_optimum *o)
{
    char names[MIX_TEXT_MAX / 2];
    uint8_t above[MIX_DOMAINS_MAX] = {0}, far[MIX_DOMAINS_MAX] = {0}, never[MIX_DOMAINS_MAX] = {0};
    double times[MIX_DOMAINS_MAX] = {0};
    for (size_t j = 0; j < o->n_domains && j < MIX_DOMAINS_MAX; j++) {
        const double beyond = o->mixture[j] - o->seen_max[j];
        times[j] = o->mixture[j] / o->seen_max[j];
        never[j] = !(o->seen_max[j] > 0.0) && beyond > 1e-3;
        far[j] = times[j] > FAR_BEYOND && beyond > OUTSIDE_HULL && !never[j];
        above[j] = beyond > 1e-6 && !far[j] && !never[j];
    }
    if (list_domains(o, never, o->mixture, names) > 0)
        warn(o,
             "caution: do not trust this optimum, no run had any (in brackets: the share) of %s: "
             "what "
             "that does is a guess; --within-support leaves it out",
             names);
    if (list_domains(o, far, times, names) > 0)
        warn(o,
             "caution: do not trust this optimum, its shares lie far beyond all runs (in brackets: "
             "times the largest share seen): %s; --within-support keeps to what was seen",
             names);
    if (list_domains(o, above, o->seen_max, names) > 0)
        warn(o, "more than any run had (in brackets: the largest share seen) of %s", names);
    if (o->hull_distance > OUTSIDE_HULL)
        warn(o,
             "the optimum lies outside the observed mixtures: %.2g of share from the nearest blend "
             "of them",
             o->hull_distance);
}

/* "1.68", "1000" */
static const char *factor_text(double factor, char text[32])
{
    snprintf(text, 32, factor < 100.0 ? "%.3g" : "%.0f", factor);
    return text;
}

/* A law that does not look at size or tokens answers as if the target had those of its runs. */
static void warn_blind(const struct mix_fit *fit, struct mix_optimum *o)
{
    static const char *const what[] = {"", "size", "tokens", "size or tokens"};
    const unsigned blind = mix_fit_blind(fit, o->mixture, o->n_params, o->n_tokens);
    char size[64] = "", tokens[64] = "";
    if (blind == 0)
        return;
    if ((blind & MIX_BLIND_TO_SIZE) != 0)
        snprintf(size, sizeof size, "%.4g parameters", fit->max_n_params);
    if ((blind & MIX_BLIND_TO_TOKENS) != 0)
        snprintf(tokens, sizeof tokens, "%s%.4g tokens", size[0] != '\0' ? " and " : "",
                 fit->max_n_tokens);
    warn(
        o,
        "caution: law %s does not depend on %s: these are its losses for the fitted %s%s, whatever "
        "the target; the mixture holds there as far as it is the same at every scale",
        fit->spec.law, what[blind], size, tokens);
}

static void warn_extrapolation(const struct mix_fit *fit, struct mix_optimum *o)
{
    char size[32], tokens[32];
    warn_blind(fit, o);
    factor_text(o->extrapolation_n, size);
    if (o->extrapolation_n > 1.0 + 1e-9) {
        if (!(fit->scale_factor > 1.0))
            warn(o,
                 "%sthe size is %s times the largest fitted one, and no held-out size was tested",
                 o->extrapolation_n > BEYOND_TEST ? "caution: " : "", size);
        else if (o->extrapolation_n > BEYOND_TEST * fit->scale_factor)
            warn(o,
                 "caution: the size is %s times the largest fitted one; the held-out test went "
                 "only %.3g times beyond",
                 size, fit->scale_factor);
        else
            warn(o, "the size is %s times the largest fitted one (held-out test: %.3g times)", size,
                 fit->scale_factor);
    }
    if (o->extrapolation_d > 1.0 + 1e-9)
        warn(o, "%sthe tokens are %s times the most fitted",
             o->extrapolation_d > 10.0 ? "caution: " : "", factor_text(o->extrapolation_d, tokens));
}

static void warn_bounds(struct mix_optimum *o)
{
    static const char *const texts[MIX_BOUNDS] = {
        [MIX_ON_FLOOR] = "on the floor, the law asks for less",
        [MIX_ON_CAP] = "on the cap, the law asks for more",
        [MIX_ON_SUPPLY] = "all that the supply allows, the law asks for more",
        [MIX_ON_SUPPORT] = "on the largest share seen, the law asks for more"};
    char names[MIX_TEXT_MAX / 2];
    for (int kind = MIX_ON_FLOOR; kind < MIX_BOUNDS; kind++) {
        uint8_t chosen[MIX_DOMAINS_MAX] = {0};
        for (size_t j = 0; j < o->n_domains && j < MIX_DOMAINS_MAX; j++)
            chosen[j] = o->binding[j] == kind;
        if (list_domains(o, chosen, kind == MIX_ON_FLOOR ? o->lower : o->limit, names) > 0)
            warn(o, "%s: %s", texts[kind], names);
    }
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Where the draws' own optima lie far away, yet gain them little, the answer is a set. */
static void warn_spread(const struct mix_answers *answers, struct mix_optimum *o)
{
    double *variation = malloc(2 * answers->n * sizeof *variation);
    if (variation == NULL)
        return;
    double *regret = variation + answers->n;
    size_t n = 0;
    for (size_t b = 0; b < answers->n; b++) {
        const double *answer = answers->answer + b * answers->width;
        if (answer[MIX_ANSWER_OK] == 0.0)
            continue;
        variation[n] = 0.0;
        for (size_t j = 0; j < o->n_domains; j++)
            variation[n] += 0.5 * fabs(answer[MIX_ANSWER_MIXTURE + j] - o->mixture[j]);
        regret[n++] = answer[MIX_ANSWER_AT + MIX_AT_OPTIMUM] - answer[MIX_ANSWER_OWN];
    }
    if (n > 0) {
        qsort(variation, n, sizeof *variation, ascending);
        qsort(regret, n, sizeof *regret, ascending);
        const double far = gsl_stats_quantile_from_sorted_data(variation, 1, n, 0.5);
        if (far > WIDE)
            warn(o,
                 "the optimum is a tie set, not a point: the draws' own optima move %.2g of the "
                 "mixture (median) and gain %.2g by it",
                 far, gsl_stats_quantile_from_sorted_data(regret, 1, n, 0.5));
    }
    free(variation);
}

static void warn_draws(const struct mix_answers *answers, struct mix_optimum *o)
{
    size_t n_failed = 0;
    for (size_t b = 0; b < answers->n; b++)
        n_failed += answers->answer[b * answers->width + MIX_ANSWER_OK] == 0.0;
    if (answers->n == 0) {
        warn(o, "no bootstrap of %s, so no intervals", o->fit);
        return;
    }
    if (answers->n < FEW_DRAWS)
        warn(o, "only %zu draws: the ends of the intervals are rough; 1000 are usual", answers->n);
    if (n_failed > 0)
        warn(o, "%zu of %zu draws have no answer at this scale and are left out", n_failed,
             answers->n);
    warn_spread(answers, o);
}

/* With which a number of passes is shown: 1.0, 37. */
static int decimals(double passes)
{
    return passes < 10.0 ? 1 : 0;
}

/* Domains that the large run would see more than once. */
static void warn_supply(const struct mix_table *table, struct mix_optimum *o)
{
    for (size_t j = 0; j < o->n_domains && isnan(o->r1); j++) {
        const int domain = isnan(o->supply[j]) ? mix_table_domain(table, o->domains[j]) : -1;
        const double supply = domain >= 0 ? table->domains[domain].supply_tokens : NAN;
        const double epochs = o->mixture[j] * o->n_tokens / supply;
        if (epochs > 1.0)
            warn(
                o,
                "%s would be seen %.*f times: its share of %.3g tokens exceeds the supply of %.3g; "
                "a cap of %.3g or --max-epochs keeps it within",
                o->domains[j], decimals(epochs), epochs, o->n_tokens, supply, supply / o->n_tokens);
    }
}

/* What repeats are worth at so many passes may be a guess. */
static void warn_repetition(const struct mix_table *table, const struct mix_fit *fit,
                            struct mix_optimum *o)
{
    const bool held = fit->n_params > 0 && fit->param_state[fit->n_params - 1] == 2;
    double most = 1.0;
    for (size_t i = 0; i < table->n_rows * table->n_domains; i++)
        most = fmax(most, table->epochs[i]); /* NaN where it is not known */
    for (size_t j = 0; j < o->n_domains && isfinite(o->r1); j++) {
        const double passes = o->mixture[j] * o->n_tokens / o->supply[j];
        if (passes > 1.0 && held)
            warn(
                o,
                "%s would be seen %.*f times, and what that is worth (r1 = %.3g) is not known from "
                "these runs: let proxies repeat (design.match_epochs)",
                o->domains[j], decimals(passes), passes, o->r1);
        else if (passes > PASSES_BEYOND * most)
            warn(o, "%s would be seen %.*f times, and the runs see no domain more than %.*f times",
                 o->domains[j], decimals(passes), passes, decimals(most), most);
    }
}

void mix_optimum_warn(const struct mix_table *table, const struct mix_fit *fit,
                      const struct mix_optimum_options *options, const struct mix_answers *answers,
                      struct mix_optimum *o)
{
    mix_fit_caveats(table, fit, options->n_others, options->others, sizeof o->warnings,
                    o->warnings);
    warn_draws(answers, o);
    warn_extrapolation(fit, o);
    warn_observed(o);
    warn_bounds(o);
    warn_supply(table, o);
    warn_repetition(table, fit, o);
    if (2 * o->n_at_best < o->n_starts)
        warn(o, "only %zu of %zu starts reach this optimum: the loss has several valleys",
             o->n_at_best, o->n_starts);
}
