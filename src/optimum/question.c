/* SPDX-License-Identifier: GPL-3.0-or-later */
/* question.c - what is asked of an optimum, as texts and as numbers. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "optimum/search.h"

static const double SAME = 1e-12; /* of shares and weights that were written and read again */

const char *const mix_goal_names[MIX_GOALS] = {"mean", "worst", "mean-gain", "worst-gain"};
const char *const mix_bound_names[MIX_BOUNDS] = {"interior", "floor", "cap", "supply", "support"};

bool mix_near_parse(const char *text, enum mix_distance *distance, double *radius)
{
    static const char prefix[] = "baseline:";
    char *end = NULL;
    if (strncmp(text, prefix, strlen(prefix)) == 0)
        text += strlen(prefix);
    const bool is_tv = strncmp(text, "tv=", 3) == 0;
    if (!is_tv && strncmp(text, "kl=", 3) != 0)
        return false;
    if (strspn(text + 3, "+-.0123456789eE") != strlen(text + 3))
        return false;
    *radius = strtod(text + 3, &end);
    *distance = is_tv ? MIX_DISTANCE_TV : MIX_DISTANCE_KL;
    return end != text + 3 && *end == '\0' && *radius > 0.0 && isfinite(*radius) &&
           !(is_tv && *radius > 1.0); /* no two mixtures are further apart */
}

void mix_question_supply(const struct mix_optimum_options *options, const struct mix_table *table,
                         const struct mix_fit *fit, double *supply)
{
    for (size_t j = 0; j < fit->spec.n_domains; j++) {
        const int domain = mix_table_domain(table, fit->domains[j]);
        supply[j] = NAN;
        if (!(options->max_epochs > 0.0) && !mix_law_repeats(fit->spec.law))
            continue;
        if (options->supply != NULL)
            supply[j] = options->supply[j];
        else if (domain >= 0)
            supply[j] = table->domains[domain].supply_tokens;
    }
}

void mix_question_text(const struct mix_optimum_options *o, size_t size, char *text)
{
    char part[7][MIX_TEXT_MAX + 32] = {{0}};
    if (o->goal != MIX_GOAL_MEAN)
        snprintf(part[0], sizeof part[0], "objective %s", mix_goal_names[o->goal]);
    if (o->no_worse != NULL)
        snprintf(part[1], sizeof part[1], "no worse %s", o->no_worse);
    if (o->distance != MIX_DISTANCE_NONE)
        snprintf(part[2], sizeof part[2], "near %s=%g",
                 o->distance == MIX_DISTANCE_TV ? "tv" : "kl", o->radius);
    if (o->max_epochs > 0.0)
        snprintf(part[3], sizeof part[3], "epochs at most %g", o->max_epochs);
    if (o->within_support)
        snprintf(part[4], sizeof part[4], "within support");
    if (o->lattice > 0)
        snprintf(part[5], sizeof part[5], "lattice 1/%zu", o->lattice);
    if (o->path)
        snprintf(part[6], sizeof part[6], "path");
    text[0] = '\0';
    for (size_t i = 0, used = 0; i < 7 && used < size; i++)
        if (part[i][0] != '\0')
            used +=
                (size_t)snprintf(text + used, size - used, "%s%s", used > 0 ? "; " : "", part[i]);
}

void mix_question_scores(const struct mix_table *table, const struct mix_fit *fit,
                         enum mix_goal goal, const double *weight, size_t size, char *text)
{
    const bool relative = goal == MIX_GOAL_MEAN_GAIN || goal == MIX_GOAL_WORST_GAIN;
    for (size_t m = 0, used = strlen(text); m < fit->spec.n_targets && used < size; m++) {
        const int target = mix_table_target(table, fit->targets[m]);
        if (fit->link[m] == 0 || target < 0)
            continue;
        used +=
            (size_t)snprintf(text + used, size - used, "%s%s is a score (%s), better when higher%s",
                             used > 0 ? "\n" : "", fit->targets[m], table->targets[target].unit,
                             !(weight[m] > 0.0) ? ""
                             : relative ? ", and counts as 2 - score / score of the baseline"
                                        : "; the objective is minus the score");
    }
}

static size_t find_target(const struct mix_fit *fit, const char *name, size_t length)
{
    size_t m = 0;
    while (m < fit->spec.n_targets &&
           !(strlen(fit->targets[m]) == length && strncmp(fit->targets[m], name, length) == 0))
        m++;
    return m;
}

enum mix_status mix_question_guards(const struct mix_optimum_options *options,
                                    const struct mix_fit *fit, uint8_t *guard,
                                    struct mix_error *err)
{
    const bool all = options->no_worse != NULL && strcmp(options->no_worse, "all") == 0;
    memset(guard, all, fit->spec.n_targets * sizeof *guard);
    if (options->no_worse != NULL && strlen(options->no_worse) >= MIX_TEXT_MAX)
        return mix_fail(err, MIX_EINVAL,
                        "no worse than the baseline: the list of targets is longer than %d bytes",
                        MIX_TEXT_MAX - 1);
    for (const char *name = options->no_worse; name != NULL && !all;) {
        const size_t length = strcspn(name, ","), m = find_target(fit, name, length);
        if (m == fit->spec.n_targets)
            return mix_fail(err, MIX_EINVAL,
                            "no worse than the baseline: the fit %s has no target \"%.*s\"; say "
                            "all, or names joined by commas such as %s",
                            fit->name, (int)(length < MIX_NAME_MAX ? length : MIX_NAME_MAX), name,
                            fit->targets[0]);
        guard[m] = 1;
        name = name[length] == ',' ? name + length + 1 : NULL;
    }
    return MIX_OK;
}

static bool same(size_t n, const double *a, const double *b)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabs(a[i] - b[i]) <= SAME) && !(isnan(a[i]) && isnan(b[i])))
            return false;
    return true;
}

/* The bounds of a question are those that an optimum was found within. */
static bool same_bounds(const struct mix_optimum *o, const struct mix_table *table,
                        const struct mix_fit *fit, const struct mix_optimum_options *options)
{
    const size_t n = o->n_domains;
    double *bounds = calloc(3 * n + 1, sizeof *bounds);
    if (bounds == NULL)
        return false;
    mix_question_supply(options, table, fit, bounds + 2 * n);
    mix_bounds_set(options, fit, bounds + 2 * n, options->n_tokens, bounds, bounds + n);
    const double *limit = isnan(o->limit[0]) ? o->upper : o->limit; /* NaN: of an earlier version */
    bool is_same = same(n, o->lower, bounds) && same(n, limit, bounds + n);
    if (mix_law_repeats(fit->spec.law))
        is_same = is_same && same(n, o->supply, bounds + 2 * n);
    free(bounds);
    return is_same;
}

bool mix_optimum_same_question(const struct mix_optimum *optimum, const struct mix_table *table,
                               const struct mix_fit *fit, const struct mix_optimum_options *options)
{
    char question[sizeof optimum->question];
    const size_t n = fit->spec.n_domains, n_targets = fit->spec.n_targets;
    const double *weight = options->weight != NULL ? options->weight : fit->target_weight;
    mix_question_text(options, sizeof question, question);
    if (strcmp(optimum->fit, fit->name) != 0 || optimum->n_domains != n ||
        optimum->n_targets != n_targets || optimum->n_params != options->n_params ||
        optimum->n_tokens != options->n_tokens || optimum->level != options->level ||
        strcmp(optimum->question, question) != 0 || !same(n_targets, optimum->weight, weight))
        return false;
    for (size_t j = 0; j < n; j++) {
        const double share = options->baseline != NULL ? options->baseline[j] : 1.0 / (double)n;
        if (!(fabs(optimum->baseline[j] - share) <= SAME))
            return false;
    }
    return same_bounds(optimum, table, fit, options);
}
