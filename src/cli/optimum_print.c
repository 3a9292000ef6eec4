/* SPDX-License-Identifier: GPL-3.0-or-later */
/* optimum_print.c - an optimum as text, JSON, YAML and CSV. */
#include "cli.h"

#include <ctype.h>
#include <jansson.h>
#include <math.h>
#include <string.h>
#include <strings.h>

enum { CELL = 80 };

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

static void print_mixture(FILE *out, const struct mix_optimum *o)
{
    char text[CELL], heading[CELL];
    struct cli_table *table = cli_table_create(6);
    snprintf(heading, CELL, "%g%% interval", 100.0 * o->level);
    const char *const headings[] = {"domain", "prior",      "optimum",
                                    heading,  "seen up to", "nearest tie"};
    for (size_t i = 0; i < 6; i++)
        cli_table_cell(table, "%s", headings[i]);
    for (size_t j = 0; j < o->n_domains; j++) {
        cli_table_cell(table, "%s", o->domains[j]);
        cli_table_cell(table, "%s", share_text(o->prior[j], text));
        cli_table_cell(table, "%s", share_text(o->mixture[j], text));
        cli_table_cell(table, "%s", share_range(o->mixture_lo[j], o->mixture_hi[j], text));
        cli_table_cell(table, "%s", share_text(o->seen_max[j], text));
        cli_table_cell(table, "%s", share_text(o->tied[j], text));
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
    cli_table_cell(table, "%g%% interval", 100.0 * o->level);
    for (size_t m = 0; m < o->n_targets; m++) {
        cli_table_cell(table, "%s", o->targets[m]);
        cli_table_cell(table, "%g", o->weight[m]);
        cli_table_cell(table, "%.4f", o->loss[m].value);
        cli_table_cell(table, "%s", loss_range(o->loss[m], text));
    }
    cli_table_print(table, out, "  ");
    cli_table_destroy(table);
}

void cli_print_loss(FILE *out, size_t n_targets, const double *weight,
                    struct mix_interval resampling, struct mix_interval wide)
{
    const char *name = "mean loss";
    char text[CELL];
    for (size_t m = 1; m < n_targets; m++)
        if (weight[m] != weight[0])
            name = "weighted mean loss";
    const int indent = (int)strlen(name) + 4;
    fprintf(out, "  %s  %.4f predicted\n", name, resampling.value);
    if (isfinite(resampling.lo))
        fprintf(out, "%*s%s  resampling only\n", indent, "", loss_range(resampling, text));
    if (isfinite(wide.lo))
        fprintf(out, "%*s%s  %s\n", indent, "", loss_range(wide, text),
                isfinite(resampling.lo) ? "with held-out-scale error"
                                        : "held-out-scale error only");
}

/* The bounds that a mixture of a gain breaks: "floors", "caps", "floors and caps", or NULL. */
static const char *broken_bounds(const struct mix_optimum *o, size_t gain)
{
    static const double ROUNDING = 1e-9;
    bool floors = false, caps = false;
    for (size_t j = 0; j < o->n_domains; j++) {
        const double shares[MIX_GAINS] = {o->baseline[j], 1.0 / (double)o->n_domains,
                                          o->best_observed[j]};
        floors = floors || shares[gain] < o->lower[j] - ROUNDING;
        caps = caps || shares[gain] > o->upper[j] + ROUNDING;
    }
    if (floors && caps)
        return "floors and caps";
    return floors ? "floors" : caps ? "caps" : NULL;
}

static void print_gains(FILE *out, const struct mix_optimum *o)
{
    static const char *const others[MIX_GAINS] = {"baseline", "uniform", "best observed"};
    const bool uniform_baseline = strcmp(o->baseline_name, "uniform") == 0;
    char text[CELL];
    struct cli_table *table = cli_table_create(4);
    cli_table_cell(table, "gain over");
    cli_table_cell(table, "loss");
    cli_table_cell(table, "%g%% interval", 100.0 * o->level);
    cli_table_cell(table, "P(better)");
    for (size_t i = 0; i < MIX_GAINS; i++) {
        if (isnan(o->gain[i].value) || (i == 0 && uniform_baseline))
            continue;
        const char *bounds = broken_bounds(o, i);
        const bool named = i == 0;
        cli_table_cell(table, "%s%s%s%s%s%s%s", others[i], named || bounds != NULL ? " (" : "",
                       named ? o->baseline_name : "", named && bounds != NULL ? ", " : "",
                       bounds != NULL ? "not allowed by the " : "", bounds != NULL ? bounds : "",
                       named || bounds != NULL ? ")" : "");
        cli_table_cell(table, "%.4f", o->gain[i].value);
        cli_table_cell(table, "%s", loss_range(o->gain[i], text));
        if (isnan(o->p_better[i]))
            cli_table_cell(table, "–");
        else
            cli_table_cell(table, "%.2f", o->p_better[i]);
    }
    cli_table_print(table, out, "  ");
    cli_table_destroy(table);
}

void cli_print_warnings(FILE *out, const char *warnings)
{
    for (const char *line = warnings; *line != '\0';) {
        const size_t length = strcspn(line, "\n");
        fprintf(out, "  warning: %.*s\n", (int)length, line);
        line += length + (line[length] == '\n');
    }
}

void cli_print_optimum(FILE *out, const struct mix_optimum *o)
{
    char size[16], tokens[16];
    fprintf(out, "optimum    %s at %s parameters, %s tokens", o->law, cli_size(o->n_params, size),
            cli_size(o->n_tokens, tokens));
    if (o->n_draws > 0)
        fprintf(out, ", %zu draws", o->n_draws);
    fprintf(out, "\n\n");
    print_mixture(out, o);
    fprintf(out, "\n");
    cli_print_loss(out, o->n_targets, o->weight, o->objective, o->objective_wide);
    fprintf(out, "\n");
    print_gains(out, o);
    fprintf(out, "\n");
    print_losses(out, o);
    fprintf(out, "\n");
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
            json_object_set_new(object, o->domains[j],
                                json_string(o->binding[j] == 1 ? "floor" : "cap"));
    return object;
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
    return json_pack(
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
        fprintf(out, "%.17g", value);
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
