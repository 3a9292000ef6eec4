/* SPDX-License-Identifier: GPL-3.0-or-later */
/* optimum_print.c - an optimum as text, JSON, YAML and CSV. */
#include "cli.h"

#include <ctype.h>
#include <jansson.h>
#include <math.h>
#include <string.h>
#include <strings.h>

#include "mixsweep/csv.h"

enum { CELL = 80, PRICES_SHOWN = 6, PATH_SHOWN = 6 };

/* A floor of 1e-4 must not read as 0. */
const char *cli_share_text(double share, char text[80])
{
    if (isnan(share))
        snprintf(text, CELL, "–");
    else
        snprintf(text, CELL, share > 0.0 && share < 0.0095 ? "%.4f" : "%.3f", share);
    return text;
}

static const char *share_range(double lo, double hi, char text[CELL])
{
    char left[CELL], right[CELL];
    if (isnan(lo) || isnan(hi))
        snprintf(text, CELL, "–");
    else
        snprintf(text, CELL, "%.20s … %.20s", cli_share_text(lo, left), cli_share_text(hi, right));
    return text;
}

/* Draws may be wild where no run was near; their digits say nothing. */
static void loss_text(double loss, char text[32])
{
    if (fabs(loss) < 1e4)
        snprintf(text, 32, "%.4f", loss);
    else
        snprintf(text, 32, "%.1e", loss);
}

const char *cli_loss_range(struct mix_interval interval, char text[80])
{
    char lo[32], hi[32];
    loss_text(interval.lo, lo);
    loss_text(interval.hi, hi);
    if (isnan(interval.lo) || isnan(interval.hi))
        snprintf(text, CELL, "–");
    else
        snprintf(text, CELL, "%s … %s", lo, hi);
    return text;
}

static void passes_cell(struct cli_table *table, double passes)
{
    if (isnan(passes))
        cli_table_cell(table, "–");
    else
        cli_table_cell(table, "%.3g", passes);
}

/* Whether any of the numbers is known. */
static bool any_known(size_t n, const double *numbers)
{
    bool known = false;
    for (size_t i = 0; i < n; i++)
        known = known || isfinite(numbers[i]);
    return known;
}

static void print_mixture(FILE *out, const struct mix_optimum *o)
{
    const bool laws = any_known(o->n_domains, o->mixture_wide_lo),
               ties = any_known(o->n_domains, o->tied_lo);
    const size_t n_columns = 6 + (size_t)laws + (size_t)ties + (size_t)(o->lattice > 0);
    char text[CELL];
    struct cli_table *table = cli_table_create(n_columns);
    cli_table_cell(table, "domain");
    cli_table_cell(table, "prior");
    cli_table_cell(table, "optimum");
    cli_table_cell(table, "%g%% interval", 100.0 * o->level);
    if (laws)
        cli_table_cell(table, "with other laws");
    cli_table_cell(table, "seen up to");
    if (ties)
        cli_table_cell(table, "tied at least");
    cli_table_cell(table, "nearest tie");
    if (o->lattice > 0)
        cli_table_cell(table, "n of %zu", o->lattice);
    for (size_t j = 0; j < o->n_domains; j++) {
        cli_table_cell(table, "%s", o->domains[j]);
        cli_table_cell(table, "%s", cli_share_text(o->prior[j], text));
        cli_table_cell(table, "%s", cli_share_text(o->mixture[j], text));
        cli_table_cell(table, "%s", share_range(o->mixture_lo[j], o->mixture_hi[j], text));
        if (laws)
            cli_table_cell(table, "%s",
                           share_range(o->mixture_wide_lo[j], o->mixture_wide_hi[j], text));
        cli_table_cell(table, "%s", cli_share_text(o->seen_max[j], text));
        if (ties)
            cli_table_cell(table, "%s", share_range(o->tied_lo[j], o->tied_hi[j], text));
        cli_table_cell(table, "%s", cli_share_text(o->tied[j], text));
        if (o->lattice > 0)
            cli_table_cell(table, "%.0f", o->lattice_mixture[j] * (double)o->lattice);
    }
    cli_table_print(table, out, "  ");
    cli_table_destroy(table);
}

/* Whether the mixture of a gain is one that the draws cannot tell from the optimum. */
static bool is_tied(const struct mix_optimum *o, size_t gain)
{
    return o->not_worse[gain] >= 0.5 * (1.0 - o->level);
}

/* Whether an interval says more than that over the draws. */
static bool is_wider(struct mix_interval wide, struct mix_interval draws)
{
    return isfinite(wide.lo) && (wide.lo != draws.lo || wide.hi != draws.hi);
}

const char *cli_score_text(const struct mix_fit *fit, size_t target)
{
    return fit->link[target] != 0 ? " (score, better when higher)" : "";
}

const char *cli_loss_heading(const struct mix_fit *fit)
{
    return fit->spec.n_scores == 0                     ? "loss"
           : fit->spec.n_scores == fit->spec.n_targets ? "score"
                                                       : "loss or score";
}

static void print_losses(FILE *out, const struct mix_fit *fit, const struct mix_optimum *o)
{
    char text[CELL];
    bool wide = false;
    for (size_t m = 0; m < o->n_targets; m++)
        wide = wide || is_wider(o->loss_wide[m], o->loss[m]);
    struct cli_table *table = cli_table_create(wide ? 5 : 4);
    cli_table_cell(table, "target");
    cli_table_cell(table, "weight");
    cli_table_cell(table, "%s", cli_loss_heading(fit));
    cli_table_cell(table, "%g%%, resampling only", 100.0 * o->level);
    if (wide)
        cli_table_cell(table, "all known errors");
    for (size_t m = 0; m < o->n_targets; m++) {
        cli_table_cell(table, "%s%s", o->targets[m], cli_score_text(fit, m));
        cli_table_cell(table, "%g", o->weight[m]);
        cli_table_cell(table, "%.4f", o->loss[m].value);
        cli_table_cell(table, "%s", cli_loss_range(o->loss[m], text));
        if (wide)
            cli_table_cell(table, "%s", cli_loss_range(o->loss_wide[m], text));
    }
    cli_table_print(table, out, "  ");
    cli_table_destroy(table);
}

void cli_print_figure(FILE *out, const char *name, struct mix_interval resampling,
                      struct mix_interval wide, bool whole)
{
    char text[CELL];
    const int indent = (int)strlen(name) + 4;
    fprintf(out, "  %s  %.4f predicted\n", name, resampling.value);
    if (isfinite(resampling.lo))
        fprintf(out, "%*s%s  resampling only\n", indent, "", cli_loss_range(resampling, text));
    if (is_wider(wide, resampling))
        fprintf(out, "%*s%s  %s%s\n", indent, "", cli_loss_range(wide, text),
                isfinite(resampling.lo) ? "with all known errors"
                                        : "known errors, but no bootstrap",
                whole ? "" : "; that of extrapolation is not known");
}

static void print_objective(FILE *out, const struct mix_optimum *o)
{
    cli_print_figure(out, mix_optimum_objective_text(o), o->objective, o->objective_wide,
                     isfinite(o->scale_error));
    if (o->lattice > 0)
        fprintf(out, "  on the lattice 1/%zu  %.4f\n", o->lattice, o->lattice_value);
}

static void chance_cell(struct cli_table *table, double chance)
{
    if (isnan(chance))
        cli_table_cell(table, "–");
    else
        cli_table_cell(table, "%.2f", chance);
}

static void print_gain(struct cli_table *table, const struct mix_optimum *o, size_t i, bool wide,
                       bool ties)
{
    static const char *const others[MIX_GAINS] = {"baseline", "uniform", "best observed"};
    char text[CELL], words[MIX_NAME_MAX];
    const char *bounds = mix_optimum_broken_text(o, i, words);
    const bool breaks = bounds[0] != '\0', named = i == 0;
    cli_table_cell(table, "%s%s%s%s%s%s%s", others[i], named || breaks ? " (" : "",
                   named ? o->baseline_name : "", named && breaks ? ", " : "",
                   breaks ? "not allowed by the " : "", bounds, named || breaks ? ")" : "");
    cli_table_cell(table, "%.4f", o->gain[i].value);
    cli_table_cell(table, "%s", cli_loss_range(o->gain[i], text));
    if (wide)
        cli_table_cell(table, "%s", cli_loss_range(o->gain_wide[i], text));
    chance_cell(table, o->p_better[i]);
    if (wide)
        chance_cell(table, o->p_better_wide[i]);
    if (ties)
        cli_table_cell(table, breaks ? "–" : is_tied(o, i) ? "yes" : "no");
}

static void print_gains(FILE *out, const struct mix_optimum *o)
{
    const bool uniform_baseline = strcmp(o->baseline_name, "uniform") == 0,
               ties = any_known(MIX_GAINS, o->not_worse);
    bool wide = false;
    for (size_t i = 0; i < MIX_GAINS; i++)
        wide = wide || is_wider(o->gain_wide[i], o->gain[i]);
    struct cli_table *table = cli_table_create(4 + 2 * (size_t)wide + (size_t)ties);
    cli_table_cell(table, "gain over");
    cli_table_cell(table, o->goal == MIX_GOAL_MEAN_GAIN || o->goal == MIX_GOAL_WORST_GAIN
                              ? "relative"
                          : o->objective.value < 0.0 ? "score"
                                                     : "loss");
    cli_table_cell(table, "%g%%, resampling only", 100.0 * o->level);
    if (wide)
        cli_table_cell(table, "all known errors");
    cli_table_cell(table, wide ? "P(better), resampling only" : "P(better)");
    if (wide)
        cli_table_cell(table, "all known errors");
    if (ties)
        cli_table_cell(table, "tied");
    for (size_t i = 0; i < MIX_GAINS; i++)
        if (!isnan(o->gain[i].value) && !(i == 0 && uniform_baseline))
            print_gain(table, o, i, wide, ties);
    cli_table_print(table, out, "  ");
    cli_table_destroy(table);
    if (isfinite(o->gain_bias))
        fprintf(out, "  gain over the baseline, corrected for winner's curse: %.4f (by %.4f)\n",
                o->gain[0].value - o->gain_bias, fabs(o->gain_bias) < 5e-5 ? 0.0 : o->gain_bias);
}

/* An amount to state a price by, which is a slope: the largest power of ten within a tenth of the
 * supply. */
static double round_amount(double supply)
{
    return supply > 0.0 ? pow(10.0, floor(log10(0.1 * supply) + 1e-9)) : 1.0;
}

/* Per 1e9 tokens; files of earlier versions have the price of the limit alone. */
static double supply_price(const struct mix_optimum *o, size_t j)
{
    if (!isnan(o->supply_price[j]))
        return o->supply_price[j];
    return o->binding[j] == MIX_ON_SUPPLY ? o->price[j] * 1e9 * o->max_epochs / o->n_tokens : 0.0;
}

static void print_bound_price(FILE *out, const struct mix_optimum *o, size_t j)
{
    char amount[16];
    if (o->binding[j] < MIX_ON_CAP || o->binding[j] == MIX_ON_SUPPLY) {
        const double tokens = round_amount(o->supply[j]);
        fprintf(out, "  price: %s more tokens of %s would lower the objective by %.2g\n",
                cli_size(tokens, amount), o->domains[j], supply_price(o, j) * tokens / 1e9);
    } else {
        fprintf(out, "  price: 0.01 more of %s than its %s would lower the objective by %.2g\n",
                o->domains[j], o->binding[j] == MIX_ON_SUPPORT ? "largest share seen" : "cap",
                0.01 * o->price[j]);
    }
}

/* Shadow prices of what is used up; floors are in the other formats. */
static void print_prices(FILE *out, const struct mix_optimum *o)
{
    size_t n = 0;
    for (size_t j = 0; j < o->n_domains; j++)
        if (((o->binding[j] >= MIX_ON_CAP && o->price[j] > 0.0) || supply_price(o, j) > 0.0) &&
            n++ < PRICES_SHOWN)
            print_bound_price(out, o, j);
    for (size_t m = 0; m < o->n_targets; m++)
        if (o->guard[m] && o->guard_price[m] > 0.0 && n++ < PRICES_SHOWN)
            fprintf(out,
                    "  price: a loss of %s 0.01 above the baseline's %.4f would lower the "
                    "objective by %.2g\n",
                    o->targets[m], o->baseline_loss[m], 0.01 * o->guard_price[m]);
    if (o->near != MIX_DISTANCE_NONE && o->near_price > 0.0)
        fprintf(out,
                "  price: 0.01 more than %s=%g from the baseline would lower the objective by "
                "%.2g\n",
                o->near == MIX_DISTANCE_TV ? "tv" : "kl", o->near_radius, 0.01 * o->near_price);
    if (n > PRICES_SHOWN)
        fprintf(out, "  %zu more prices are in --format json\n", n - PRICES_SHOWN);
}

static double share_range_on_path(const struct mix_optimum *o, size_t j)
{
    double least = INFINITY, most = -INFINITY;
    for (size_t i = 0; i < o->n_path; i++) {
        least = fmin(least, o->path_mixture[i * o->n_domains + j]);
        most = fmax(most, o->path_mixture[i * o->n_domains + j]);
    }
    return most - least;
}

/* The domains whose shares move most along the path, in the order of the file. */
static size_t choose_moving(const struct mix_optimum *o, size_t chosen[PATH_SHOWN])
{
    size_t n = 0;
    for (size_t j = 0; j < o->n_domains && n < PATH_SHOWN; j++) {
        size_t n_above = 0;
        for (size_t i = 0; i < o->n_domains; i++)
            n_above += share_range_on_path(o, i) > share_range_on_path(o, j) ||
                       (share_range_on_path(o, i) == share_range_on_path(o, j) && i < j);
        if (n_above < PATH_SHOWN)
            chosen[n++] = j;
    }
    return n;
}

static void print_path(FILE *out, const struct mix_optimum *o)
{
    char text[CELL], size[16];
    size_t chosen[PATH_SHOWN];
    const size_t n = choose_moving(o, chosen);
    struct cli_table *table = cli_table_create(3 + n);
    const char *const headings[] = {"parameters", "tokens", "objective"};
    for (size_t i = 0; i < 3; i++)
        cli_table_cell(table, "%s", headings[i]);
    for (size_t c = 0; c < n; c++)
        cli_table_cell(table, "%s", o->domains[chosen[c]]);
    for (size_t i = 0; i < o->n_path; i++) {
        cli_table_cell(table, "%s", cli_size(o->path_n_params[i], size));
        cli_table_cell(table, "%s", cli_size(o->path_n_tokens[i], size));
        if (isnan(o->path_value[i]))
            cli_table_cell(table, "–");
        else
            cli_table_cell(table, "%.4f", o->path_value[i]);
        for (size_t c = 0; c < n; c++)
            cli_table_cell(table, "%s",
                           cli_share_text(o->path_mixture[i * o->n_domains + chosen[c]], text));
    }
    fprintf(out, "\n");
    cli_table_print(table, out, "  ");
    cli_table_destroy(table);
    if (n < o->n_domains)
        fprintf(out, "  (the %zu domains that move most)\n", n);
}

void cli_print_warnings(FILE *out, const char *warnings)
{
    for (const char *line = warnings; *line != '\0';) {
        const size_t length = strcspn(line, "\n");
        const bool is_named = strncmp(line, "caution: ", 9) == 0;
        fprintf(out, "  %s%.*s\n", is_named ? "" : "warning: ", (int)length, line);
        line += length + (line[length] == '\n');
    }
}

/* Of a law with repetition: how often the domains of known supply are seen, what that is worth, and
 * what the optimum would be if repeats were as good as new. */
static void print_repetition(FILE *out, const struct mix_optimum *o)
{
    static const char *const headings[] = {
        "domain", "supply", "passes", "worth", "if repeats were new", "passes"};
    char text[CELL];
    struct cli_table *table = cli_table_create(6);
    for (size_t i = 0; i < 6; i++)
        cli_table_cell(table, "%s", headings[i]);
    for (size_t j = 0; j < o->n_domains; j++) {
        const double scale = o->n_tokens / o->supply[j];
        cli_table_cell(table, "%s", o->domains[j]);
        cli_table_cell(table, "%s", isnan(scale) ? "–" : cli_size(o->supply[j], text));
        passes_cell(table, o->mixture[j] * scale);
        passes_cell(table, mix_law_worth(o->mixture[j] * scale, o->r1));
        cli_table_cell(table, "%s", cli_share_text(o->fresh_mixture[j], text));
        passes_cell(table, o->fresh_mixture[j] * scale);
    }
    cli_table_print(table, out, "  ");
    cli_table_destroy(table);
    fprintf(out, "  worth: in passes over new tokens (r1 = %.3g)\n", o->r1);
    if (isfinite(o->fresh_value))
        fprintf(out,
                "  the optimum if repeats were new: %.4f expected, %.4f with what they are worth, "
                "%.4f above the optimum\n",
                o->fresh_expected, o->fresh_value, o->fresh_value - o->objective.value);
    fprintf(out, "\n");
}

void cli_print_optimum(FILE *out, const char *path, const struct mix_fit *fit,
                       const struct mix_optimum *o)
{
    char size[16], tokens[16];
    fprintf(out, "optimum    %s at %s parameters, %s tokens", o->law, cli_size(o->n_params, size),
            cli_size(o->n_tokens, tokens));
    if (o->n_draws > 0)
        fprintf(out, ", %zu draws", o->n_draws);
    fprintf(out, "\n");
    if (o->question[0] != '\0')
        fprintf(out, "           %s\n", o->question);
    fprintf(out, "\n");
    print_mixture(out, o);
    fprintf(out, "\n");
    if (isfinite(o->r1))
        print_repetition(out, o);
    print_objective(out, o);
    fprintf(out, "\n");
    print_gains(out, o);
    fprintf(out, "\n");
    print_losses(out, fit, o);
    if (o->n_path > 0)
        print_path(out, o);
    fprintf(out, "\n");
    print_prices(out, o);
    if (isfinite(o->tied_loss))
        fprintf(out,
                "  tied: %g%% of the draws or more put it no higher than the optimum; nearest tie: "
                "of these the one nearest the baseline (%s), loss %.4f\n",
                50.0 * (1.0 - o->level), o->baseline_name, o->tied_loss);
    fprintf(out, "  certificate: KKT residual %.1e; %zu of %zu starts end here\n", o->kkt,
            o->n_at_best, o->n_starts);
    cli_print_warnings(out, o->warnings);
    if (o->n_draws == 0)
        fprintf(out, "  mixsweep bootstrap %s --fit %s makes the draws for intervals\n", path,
                o->fit);
}

static void add_ends(json_t *object, const char *lo, const char *hi, struct mix_interval interval)
{
    json_object_set_new(object, lo, cli_json_number(interval.lo));
    json_object_set_new(object, hi, cli_json_number(interval.hi));
}

json_t *cli_json_intervals(struct mix_interval draws, const struct mix_interval *wide,
                           const struct mix_interval *bca)
{
    json_t *object = cli_json_interval(draws);
    if (wide != NULL)
        add_ends(object, "wide_lo", "wide_hi", *wide);
    if (bca != NULL)
        add_ends(object, "bca_lo", "bca_hi", *bca);
    return object;
}

json_t *cli_json_interval(struct mix_interval interval)
{
    return json_pack("{s:o, s:o, s:o}", "value", cli_json_number(interval.value), "lo",
                     cli_json_number(interval.lo), "hi", cli_json_number(interval.hi));
}

json_t *cli_json_lines(const char *text)
{
    json_t *list = json_array();
    while (*text != '\0') {
        const size_t length = strcspn(text, "\n");
        json_array_append_new(list, json_stringn(text, length));
        text += length + (text[length] == '\n');
    }
    return list;
}

json_t *cli_json_by_name(size_t n, const char (*names)[MIX_NAME_MAX], const double *values)
{
    json_t *object = json_object();
    for (size_t i = 0; i < n; i++)
        json_object_set_new(object, names[i], cli_json_number(values[i]));
    return object;
}

static json_t *json_shares(const struct mix_optimum *o, const double *shares)
{
    return cli_json_by_name(o->n_domains, (const char(*)[MIX_NAME_MAX])o->domains, shares);
}

static json_t *json_share_ranges(const struct mix_optimum *o, const double *lo, const double *hi)
{
    json_t *object = json_object();
    for (size_t j = 0; j < o->n_domains; j++)
        json_object_set_new(object, o->domains[j],
                            json_pack("[o, o]", cli_json_number(lo[j]), cli_json_number(hi[j])));
    return object;
}

static json_t *json_tie(const struct mix_optimum *o, const char *what, const double *mixture,
                        double loss)
{
    return json_pack("{s:s, s:o, s:o}", "what", what, "mixture", json_shares(o, mixture), "loss",
                     cli_json_number(loss));
}

/* The tied mixture nearest the baseline, then those compared with that are tied. */
static json_t *json_tied(const struct mix_optimum *o)
{
    json_t *list = json_array();
    char words[MIX_NAME_MAX];
    double uniform[MIX_DOMAINS_MAX];
    for (size_t j = 0; j < o->n_domains && j < MIX_DOMAINS_MAX; j++)
        uniform[j] = 1.0 / (double)o->n_domains;
    const double *const mixtures[MIX_GAINS] = {o->baseline, uniform, o->best_observed};
    if (isfinite(o->tied_loss))
        json_array_append_new(list, json_tie(o, "nearest_baseline", o->tied, o->tied_loss));
    for (size_t i = 0; i < MIX_GAINS; i++)
        if (is_tied(o, i) && mix_optimum_broken_text(o, i, words)[0] == '\0')
            json_array_append_new(list, json_tie(o, mix_gain_names[i], mixtures[i],
                                                 o->objective.value + o->gain[i].value));
    return list;
}

static json_t *json_binding(const struct mix_optimum *o)
{
    json_t *object = json_object();
    for (size_t j = 0; j < o->n_domains; j++)
        if (o->binding[j] != 0)
            json_object_set_new(object, o->domains[j], json_string(mix_bound_names[o->binding[j]]));
    return object;
}

/* Shadow prices: of the bounds that shares are on, of guards and of the distance. */
static json_t *json_prices(const struct mix_optimum *o)
{
    json_t *domains = json_object(), *guards = json_object();
    for (size_t j = 0; j < o->n_domains; j++) {
        const bool is_scarce = supply_price(o, j) > 0.0 || o->binding[j] == MIX_ON_SUPPLY;
        if ((o->binding[j] == MIX_INTERIOR && !is_scarce) || isnan(o->price[j]))
            continue;
        json_t *price = json_pack("{s:o}", "per_share", cli_json_number(o->price[j]));
        if (is_scarce)
            json_object_set_new(price, "per_1e9_tokens", cli_json_number(supply_price(o, j)));
        json_object_set_new(domains, o->domains[j], price);
    }
    for (size_t m = 0; m < o->n_targets; m++)
        if (o->guard[m])
            json_object_set_new(guards, o->targets[m],
                                json_pack("{s:o, s:o}", "baseline_loss",
                                          cli_json_number(o->baseline_loss[m]), "per_loss",
                                          cli_json_number(o->guard_price[m])));
    return json_pack("{s:o, s:o, s:o}", "domains", domains, "guards", guards, "near",
                     cli_json_number(o->near_price));
}

static json_t *json_path(const struct mix_optimum *o)
{
    json_t *list = json_array();
    for (size_t i = 0; i < o->n_path; i++)
        json_array_append_new(list, json_pack("{s:o, s:o, s:o, s:o}", "n_params",
                                              cli_json_number(o->path_n_params[i]), "n_tokens",
                                              cli_json_number(o->path_n_tokens[i]), "objective",
                                              cli_json_number(o->path_value[i]), "mixture",
                                              json_shares(o, o->path_mixture + i * o->n_domains)));
    return list;
}

static json_t *json_lattice(const struct mix_optimum *o)
{
    if (o->lattice == 0)
        return json_null();
    return json_pack("{s:I, s:o, s:o}", "steps", (json_int_t)o->lattice, "mixture",
                     json_shares(o, o->lattice_mixture), "objective",
                     cli_json_number(o->lattice_value));
}

static json_t *json_repetition(const struct mix_optimum *o)
{
    if (!isfinite(o->r1))
        return json_null();
    json_t *passes = json_object(), *worth = json_object(), *fresh = json_object();
    for (size_t j = 0; j < o->n_domains; j++) {
        const double scale = o->n_tokens / o->supply[j];
        json_object_set_new(passes, o->domains[j], cli_json_number(o->mixture[j] * scale));
        json_object_set_new(worth, o->domains[j],
                            cli_json_number(mix_law_worth(o->mixture[j] * scale, o->r1)));
        json_object_set_new(fresh, o->domains[j], cli_json_number(o->fresh_mixture[j] * scale));
    }
    return json_pack("{s:o, s:o, s:o, s:{s:o, s:o, s:o, s:o}}", "r1", cli_json_number(o->r1),
                     "passes", passes, "worth", worth, "if_new", "mixture",
                     json_shares(o, o->fresh_mixture), "passes", fresh, "expected",
                     cli_json_number(o->fresh_expected), "objective",
                     cli_json_number(o->fresh_value));
}

/* Shares by other intervals, and which mixtures are tied. */
static void add_ranges(json_t *root, const struct mix_optimum *o)
{
    json_t *not_worse = json_object();
    for (size_t i = 0; i < MIX_GAINS; i++)
        json_object_set_new(not_worse, mix_gain_names[i], cli_json_number(o->not_worse[i]));
    json_object_set_new(root, "interval_wide",
                        json_share_ranges(o, o->mixture_wide_lo, o->mixture_wide_hi));
    json_object_set_new(root, "interval_bca",
                        json_share_ranges(o, o->mixture_bca_lo, o->mixture_bca_hi));
    json_object_set_new(root, "tied_range", json_share_ranges(o, o->tied_lo, o->tied_hi));
    json_object_set_new(root, "not_worse", not_worse);
}

/* What an optimum is asked for beyond weights, floors, caps and baseline. */
static void add_deployment(json_t *root, const struct mix_optimum *o)
{
    json_object_set_new(root, "repetition", json_repetition(o));
    json_object_set_new(root, "question", json_string(o->question));
    json_object_set_new(root, "objective_kind", json_string(mix_goal_names[o->goal]));
    json_object_set_new(root, "max_epochs",
                        o->max_epochs > 0.0 ? cli_json_number(o->max_epochs) : json_null());
    json_object_set_new(root, "supply", json_shares(o, o->supply));
    json_object_set_new(root, "limit", json_shares(o, o->limit));
    json_object_set_new(root, "prices", json_prices(o));
    json_object_set_new(root, "gain_bias", cli_json_number(o->gain_bias));
    json_object_set_new(root, "gain_corrected", cli_json_number(o->gain[0].value - o->gain_bias));
    json_object_set_new(root, "lattice", json_lattice(o));
    json_object_set_new(root, "path", json_path(o));
}

json_t *cli_json_optimum(const struct mix_optimum *o)
{
    json_t *loss = json_object(), *gain = json_object(), *p_better = json_object(),
           *p_wide = json_object();
    for (size_t m = 0; m < o->n_targets; m++)
        json_object_set_new(loss, o->targets[m],
                            cli_json_intervals(o->loss[m], &o->loss_wide[m], &o->loss_bca[m]));
    for (size_t i = 0; i < MIX_GAINS; i++) {
        json_object_set_new(gain, mix_gain_names[i],
                            cli_json_intervals(o->gain[i], &o->gain_wide[i], &o->gain_bca[i]));
        json_object_set_new(p_better, mix_gain_names[i], cli_json_number(o->p_better[i]));
        json_object_set_new(p_wide, mix_gain_names[i], cli_json_number(o->p_better_wide[i]));
    }
    json_t *root = json_pack(
        "{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:o, "
        "s:s, s:o, s:o, "
        "s:o, s:o, s:o, s:{s:o, s:I, s:I}, s:{s:o, s:o}, s:o, s:o, s:o, s:o, s:o}",
        "name", o->name, "fit", o->fit, "law", o->law, "n_params", cli_json_number(o->n_params),
        "n_tokens", cli_json_number(o->n_tokens), "mixture", json_shares(o, o->mixture), "interval",
        json_share_ranges(o, o->mixture_lo, o->mixture_hi), "level", cli_json_number(o->level),
        "draws", (json_int_t)o->n_draws, "objective",
        cli_json_intervals(o->objective, NULL, &o->objective_bca), "objective_wide",
        cli_json_interval(o->objective_wide), "loss", loss, "gain", gain, "p_better", p_better,
        "baseline_name", o->baseline_name, "baseline", json_shares(o, o->baseline), "best_observed",
        json_shares(o, o->best_observed), "seen_max", json_shares(o, o->seen_max), "tied",
        json_tied(o), "binding", json_binding(o), "certificate", "kkt", cli_json_number(o->kkt),
        "starts", (json_int_t)o->n_starts, "starts_at_best", (json_int_t)o->n_at_best,
        "extrapolation", "n_params", cli_json_number(o->extrapolation_n), "n_tokens",
        cli_json_number(o->extrapolation_d), "hull_distance", cli_json_number(o->hull_distance),
        "warnings", cli_json_lines(o->warnings), "weights",
        cli_json_by_name(o->n_targets, (const char(*)[MIX_NAME_MAX])o->targets, o->weight), "lower",
        json_shares(o, o->lower), "upper", json_shares(o, o->upper));
    if (root == NULL) {
        json_decref(p_wide);
    } else {
        json_object_set_new(root, "p_better_wide", p_wide);
        add_ranges(root, o);
        add_deployment(root, o);
    }
    return root;
}

/* YAML is a superset of JSON: scalars are printed as JSON, which quotes what
 * needs it. */
static void print_scalar(FILE *out, const json_t *value)
{
    if (json_is_real(value))
        mix_csv_put_number(out, json_real_value(value));
    else
        json_dumpf(value, out, JSON_ENCODE_ANY | JSON_COMPACT);
}

/* A key may stand bare where it can be nothing but a word. */
static void print_key(FILE *out, const char *key)
{
    static const char *const words[] = {"y",   "n",    "yes",   "no",  "on",
                                        "off", "true", "false", "null"};
    bool bare = isalpha((unsigned char)key[0]);
    for (const char *c = key; *c != '\0'; c++)
        bare = bare && (isalnum((unsigned char)*c) || *c == '_');
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        bare = bare && strcasecmp(key, words[i]) != 0;
    json_t *text = json_string(key);
    if (bare)
        fprintf(out, "%s:", key);
    else if (json_dumpf(text, out, JSON_ENCODE_ANY) == 0)
        fprintf(out, ":");
    json_decref(text);
}

static bool is_flat(const json_t *value)
{
    return !(json_is_object(value) && json_object_size(value) > 0) &&
           !(json_is_array(value) && json_array_size(value) > 0);
}

void cli_print_yaml(FILE *out, json_t *value, int depth)
{
    const char *key;
    json_t *item;
    size_t i;
    json_object_foreach(value, key, item)
    {
        fprintf(out, "%*s", 2 * depth, "");
        print_key(out, key);
        fputc(is_flat(item) ? ' ' : '\n', out);
        cli_print_yaml(out, item, depth + 1);
    }
    json_array_foreach(value, i, item)
    {
        fprintf(out, "%*s-%s", 2 * depth, "", is_flat(item) ? " " : "\n");
        cli_print_yaml(out, item, depth + 1);
    }
    if (is_flat(value)) {
        print_scalar(out, value);
        fputc('\n', out);
    }
}

void cli_csv_text(FILE *out, const char *text)
{
    if (text[strcspn(text, ",\"\r\n")] == '\0') {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (; *text != '\0'; text++)
        fprintf(out, *text == '"' ? "\"\"" : "%c", *text);
    fputc('"', out);
}

void cli_csv_number(FILE *out, double value)
{
    if (isfinite(value))
        mix_csv_put_number(out, value);
}

void cli_print_optimum_csv(FILE *out, const struct mix_optimum *o)
{
    fprintf(out, "domain,share,lo,hi,prior,baseline,tied,seen_max,wide_lo,wide_hi,tied_lo,tied_hi,"
                 "binding,bca_lo,bca_hi\n");
    for (size_t j = 0; j < o->n_domains; j++) {
        const double numbers[] = {o->mixture[j],  o->mixture_lo[j],      o->mixture_hi[j],
                                  o->prior[j],    o->baseline[j],        o->tied[j],
                                  o->seen_max[j], o->mixture_wide_lo[j], o->mixture_wide_hi[j],
                                  o->tied_lo[j],  o->tied_hi[j]};
        cli_csv_text(out, o->domains[j]);
        for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
            fputc(',', out);
            cli_csv_number(out, numbers[i]);
        }
        fprintf(out, ",%s,", o->binding[j] == MIX_INTERIOR ? "" : mix_bound_names[o->binding[j]]);
        cli_csv_number(out, o->mixture_bca_lo[j]);
        fputc(',', out);
        cli_csv_number(out, o->mixture_bca_hi[j]);
        fputc('\n', out);
    }
}
