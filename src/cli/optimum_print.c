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

/* Three digits that mean something; a floor of 1e-4 must not read as 0. */
static const char *share_text(double share, char text[CELL])
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
        snprintf(text, CELL, "%.20s … %.20s", share_text(lo, left), share_text(hi, right));
    return text;
}

static const char *loss_range(struct mix_interval interval, char text[CELL])
{
    if (isnan(interval.lo) || isnan(interval.hi))
        snprintf(text, CELL, "–");
    else
        snprintf(text, CELL, "%.4f … %.4f", interval.lo, interval.hi);
    return text;
}

static void passes_cell(struct cli_table *table, double passes)
{
    if (isnan(passes))
        cli_table_cell(table, "–");
    else
        cli_table_cell(table, "%.3g", passes);
}

static void print_mixture(FILE *out, const struct mix_optimum *o)
{
    char text[CELL], heading[CELL];
    const size_t n_columns = o->lattice > 0 ? 7 : 6;
    struct cli_table *table = cli_table_create(n_columns);
    char lattice[CELL];
    snprintf(heading, CELL, "%g%% interval", 100.0 * o->level);
    snprintf(lattice, CELL, "n of %zu", o->lattice);
    const char *const headings[] = {"domain",     "prior",       "optimum", heading,
                                    "seen up to", "nearest tie", lattice};
    for (size_t i = 0; i < n_columns; i++)
        cli_table_cell(table, "%s", headings[i]);
    for (size_t j = 0; j < o->n_domains; j++) {
        cli_table_cell(table, "%s", o->domains[j]);
        cli_table_cell(table, "%s", share_text(o->prior[j], text));
        cli_table_cell(table, "%s", share_text(o->mixture[j], text));
        cli_table_cell(table, "%s", share_range(o->mixture_lo[j], o->mixture_hi[j], text));
        cli_table_cell(table, "%s", share_text(o->seen_max[j], text));
        cli_table_cell(table, "%s", share_text(o->tied[j], text));
        if (o->lattice > 0)
            cli_table_cell(table, "%.0f", o->lattice_mixture[j] * (double)o->lattice);
    }
    cli_table_print(table, out, "  ");
    cli_table_destroy(table);
}

static void print_losses(FILE *out, const struct mix_optimum *o)
{
    char text[CELL];
    struct cli_table *table = cli_table_create(4);
    cli_table_cell(table, "target");
    cli_table_cell(table, "weight");
    cli_table_cell(table, "loss");
    cli_table_cell(table, "%g%%, resampling only", 100.0 * o->level);
    for (size_t m = 0; m < o->n_targets; m++) {
        cli_table_cell(table, "%s", o->targets[m]);
        cli_table_cell(table, "%g", o->weight[m]);
        cli_table_cell(table, "%.4f", o->loss[m].value);
        cli_table_cell(table, "%s", loss_range(o->loss[m], text));
    }
    cli_table_print(table, out, "  ");
    cli_table_destroy(table);
}

static void print_figure(FILE *out, const char *name, struct mix_interval resampling,
                         struct mix_interval wide)
{
    char text[CELL];
    const int indent = (int)strlen(name) + 4;
    fprintf(out, "  %s  %.4f predicted\n", name, resampling.value);
    if (isfinite(resampling.lo))
        fprintf(out, "%*s%s  resampling only\n", indent, "", loss_range(resampling, text));
    if (isfinite(wide.lo) && (wide.lo != resampling.lo || wide.hi != resampling.hi))
        fprintf(out, "%*s%s  %s\n", indent, "", loss_range(wide, text),
                isfinite(resampling.lo) ? "with all known errors"
                                        : "known errors, but no bootstrap");
}

void cli_print_loss(FILE *out, size_t n_targets, const double *weight,
                    struct mix_interval resampling, struct mix_interval wide)
{
    const char *name = "mean loss";
    for (size_t m = 1; m < n_targets; m++)
        if (weight[m] != weight[0])
            name = "weighted mean loss";
    print_figure(out, name, resampling, wide);
}

static void print_objective(FILE *out, const struct mix_optimum *o)
{
    static const char *const names[MIX_GOALS] = {
        [MIX_GOAL_WORST] = "worst loss",
        [MIX_GOAL_MEAN_GAIN] = "mean loss relative to the baseline's",
        [MIX_GOAL_WORST_GAIN] = "worst loss relative to the baseline's"};
    if (o->goal == MIX_GOAL_MEAN)
        cli_print_loss(out, o->n_targets, o->weight, o->objective, o->objective_wide);
    else
        print_figure(out, names[o->goal], o->objective, o->objective_wide);
    if (o->lattice > 0)
        fprintf(out, "  on the lattice 1/%zu  %.4f\n", o->lattice, o->lattice_value);
}

static double distance_to_baseline(const struct mix_optimum *o, const double *shares)
{
    double tv = 0.0, kl = 0.0;
    for (size_t j = 0; j < o->n_domains; j++) {
        tv += 0.5 * fabs(shares[j] - o->baseline[j]);
        if (shares[j] > 0.0)
            kl += shares[j] * log(shares[j] / o->baseline[j]);
    }
    return o->near == MIX_DISTANCE_TV ? tv : kl;
}

/* What a mixture of a gain breaks, as words: "floors and caps"; empty where it breaks neither
 * bounds nor the distance. */
static const char *broken_bounds(const struct mix_optimum *o, size_t gain, char text[CELL])
{
    static const double ROUNDING = 1e-9;
    static const char *const names[] = {"floors", "caps", "distance"};
    double shares[MIX_DOMAINS_MAX];
    bool broken[3] = {false, false, false};
    for (size_t j = 0; j < o->n_domains && j < MIX_DOMAINS_MAX; j++) {
        const double all[MIX_GAINS] = {o->baseline[j], 1.0 / (double)o->n_domains,
                                       o->best_observed[j]};
        const double limit = isnan(o->limit[j]) ? o->upper[j] : o->limit[j];
        shares[j] = all[gain];
        broken[0] = broken[0] || shares[j] < o->lower[j] - ROUNDING;
        broken[1] = broken[1] || shares[j] > limit + ROUNDING;
    }
    broken[2] =
        o->near != MIX_DISTANCE_NONE && distance_to_baseline(o, shares) > o->near_radius + ROUNDING;
    text[0] = '\0';
    for (size_t i = 0, used = 0; i < 3; i++)
        if (broken[i])
            used += (size_t)snprintf(text + used, CELL - used, "%s%s", used > 0 ? " and " : "",
                                     names[i]);
    return text;
}

static void print_gains(FILE *out, const struct mix_optimum *o)
{
    static const char *const others[MIX_GAINS] = {"baseline", "uniform", "best observed"};
    const bool uniform_baseline = strcmp(o->baseline_name, "uniform") == 0;
    char text[CELL];
    struct cli_table *table = cli_table_create(4);
    cli_table_cell(table, "gain over");
    cli_table_cell(table, o->goal == MIX_GOAL_MEAN_GAIN || o->goal == MIX_GOAL_WORST_GAIN
                              ? "relative"
                              : "loss");
    cli_table_cell(table, "%g%%, resampling only", 100.0 * o->level);
    cli_table_cell(table, "P(better)");
    for (size_t i = 0; i < MIX_GAINS; i++) {
        if (isnan(o->gain[i].value) || (i == 0 && uniform_baseline))
            continue;
        char words[CELL];
        const char *bounds = broken_bounds(o, i, words);
        const bool breaks = bounds[0] != '\0';
        const bool named = i == 0;
        cli_table_cell(table, "%s%s%s%s%s%s%s", others[i], named || breaks ? " (" : "",
                       named ? o->baseline_name : "", named && breaks ? ", " : "",
                       breaks ? "not allowed by the " : "", bounds, named || breaks ? ")" : "");
        cli_table_cell(table, "%.4f", o->gain[i].value);
        cli_table_cell(table, "%s", loss_range(o->gain[i], text));
        if (isnan(o->p_better[i]))
            cli_table_cell(table, "–");
        else
            cli_table_cell(table, "%.2f", o->p_better[i]);
    }
    cli_table_print(table, out, "  ");
    cli_table_destroy(table);
    if (isfinite(o->gain_bias))
        fprintf(out, "  gain over the baseline, corrected for winner's curse: %.4f (by %.4f)\n",
                o->gain[0].value - o->gain_bias, o->gain_bias);
}

/* An amount to state a price by: the largest power of ten within the supply. */
static double round_amount(double supply)
{
    return supply > 0.0 ? pow(10.0, floor(log10(supply) + 1e-9)) : 1.0;
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
                           share_text(o->path_mixture[i * o->n_domains + chosen[c]], text));
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
        cli_table_cell(table, "%s", share_text(o->fresh_mixture[j], text));
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

void cli_print_optimum(FILE *out, const struct mix_optimum *o)
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
    print_losses(out, o);
    if (o->n_path > 0)
        print_path(out, o);
    fprintf(out, "\n");
    print_prices(out, o);
    if (isfinite(o->tied_loss))
        fprintf(out,
                "  nearest tie: of the mixtures that the draws cannot tell from "
                "the optimum the one "
                "nearest the baseline (%s); loss %.4f\n",
                o->baseline_name, o->tied_loss);
    fprintf(out, "  certificate: KKT residual %.1e; %zu of %zu starts end here\n", o->kkt,
            o->n_at_best, o->n_starts);
    cli_print_warnings(out, o->warnings);
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

static json_t *json_share_intervals(const struct mix_optimum *o)
{
    json_t *object = json_object();
    for (size_t j = 0; j < o->n_domains; j++)
        json_object_set_new(object, o->domains[j],
                            json_pack("[o, o]", cli_json_number(o->mixture_lo[j]),
                                      cli_json_number(o->mixture_hi[j])));
    return object;
}

static json_t *json_tied(const struct mix_optimum *o)
{
    json_t *list = json_array();
    if (isfinite(o->tied_loss))
        json_array_append_new(list, json_pack("{s:o, s:o}", "mixture", json_shares(o, o->tied),
                                              "loss", cli_json_number(o->tied_loss)));
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
    json_t *loss = json_object(), *gain = json_object(), *p_better = json_object();
    for (size_t m = 0; m < o->n_targets; m++)
        json_object_set_new(loss, o->targets[m], cli_json_interval(o->loss[m]));
    for (size_t i = 0; i < MIX_GAINS; i++) {
        json_object_set_new(gain, mix_gain_names[i], cli_json_interval(o->gain[i]));
        json_object_set_new(p_better, mix_gain_names[i], cli_json_number(o->p_better[i]));
    }
    json_t *root = json_pack(
        "{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:o, "
        "s:s, s:o, s:o, "
        "s:o, s:o, s:o, s:{s:o, s:I, s:I}, s:{s:o, s:o}, s:o, s:o, s:o, s:o, s:o}",
        "name", o->name, "fit", o->fit, "law", o->law, "n_params", cli_json_number(o->n_params),
        "n_tokens", cli_json_number(o->n_tokens), "mixture", json_shares(o, o->mixture), "interval",
        json_share_intervals(o), "level", cli_json_number(o->level), "draws",
        (json_int_t)o->n_draws, "objective", cli_json_interval(o->objective), "objective_wide",
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
    if (root != NULL)
        add_deployment(root, o);
    return root;
}

/* YAML is a superset of JSON: scalars are printed as JSON, which quotes what
 * needs it. */
static void print_scalar(FILE *out, const json_t *value)
{
    if (json_is_real(value))
        fprintf(out, "%.17g", json_real_value(value));
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
    fprintf(out, "domain,share,lo,hi,prior,baseline,tied,seen_max,binding\n");
    for (size_t j = 0; j < o->n_domains; j++) {
        const double numbers[] = {o->mixture[j],  o->mixture_lo[j], o->mixture_hi[j], o->prior[j],
                                  o->baseline[j], o->tied[j],       o->seen_max[j]};
        cli_csv_text(out, o->domains[j]);
        for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
            fputc(',', out);
            cli_csv_number(out, numbers[i]);
        }
        fprintf(out, ",%s\n", o->binding[j] == 1 ? "floor" : o->binding[j] == 2 ? "cap" : "");
    }
}
