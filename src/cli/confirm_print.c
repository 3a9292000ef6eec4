/* SPDX-License-Identifier: GPL-3.0-or-later */
/* confirm.c - the verb confirm: the optimum trained at a larger scale, measured beside predicted.
 */
#include "cli.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "mixsweep/confirm.h"
#include "mixsweep/version.h"

enum { CELL = 96 };

static const char *loss_text(double value, double se, char text[CELL])
{
    if (isnan(value))
        snprintf(text, CELL, "–");
    else if (isnan(se))
        snprintf(text, CELL, "%.4f", value);
    else
        snprintf(text, CELL, "%.4f ± %.4f", value, se);
    return text;
}

static const char *claim_text(struct mix_interval claim, char text[CELL])
{
    if (isnan(claim.value))
        snprintf(text, CELL, "–");
    else if (isnan(claim.lo) || isnan(claim.hi))
        snprintf(text, CELL, "%.4f", claim.value);
    else
        snprintf(text, CELL, "%.4f (%.4f … %.4f)", claim.value, claim.lo, claim.hi);
    return text;
}

static void print_mixtures(FILE *out, const struct mix_confirmation *c)
{
    struct cli_table *table = cli_table_create(1 + c->n_contenders);
    cli_table_cell(table, "domain");
    for (size_t i = 0; i < c->n_contenders; i++)
        cli_table_cell(table, "%s", c->name[i]);
    for (size_t k = 0; k < c->n_domains; k++) {
        cli_table_cell(table, "%s", c->domains[k]);
        for (size_t i = 0; i < c->n_contenders; i++)
            cli_table_cell(table, "%.3f", c->mixture[i * c->n_domains + k]);
    }
    cli_table_print(table, out, "  ");
    cli_table_destroy(table);
}

static void print_scale(FILE *out, const struct mix_confirmation *c, size_t s)
{
    char text[CELL], n_params[16], n_tokens[16];
    const struct mix_contest *contest = &c->contest[s * c->n_contenders];
    struct cli_table *table = cli_table_create(5);
    const bool is_loss = c->is_mean && !(contest[0].predicted.value < 0);
    fprintf(out, "\n  at %s parameters, %s tokens, %zu seed%s%s%s\n",
            cli_size(c->scales[s].n_params, n_params), cli_size(c->scales[s].n_tokens, n_tokens),
            c->n_seeds, c->n_seeds == 1 ? "" : "s", is_loss ? "" : ": ",
            is_loss ? "" : c->objective);
    cli_table_cell(table, "mixture");
    cli_table_cell(table, "%spredicted (%g%%)", is_loss ? "loss " : "", 100 * c->level);
    cli_table_cell(table, "measured ± se");
    cli_table_cell(table, "worse than optimum, predicted");
    cli_table_cell(table, "measured ± se");
    for (size_t i = 0; i < c->n_contenders; i++) {
        cli_table_cell(table, "%s", c->name[i]);
        cli_table_cell(table, "%s", claim_text(contest[i].predicted, text));
        cli_table_cell(table, "%s", loss_text(contest[i].measured, contest[i].measured_se, text));
        cli_table_cell(table, "%s", i == 0 ? "" : claim_text(contest[i].predicted_gain, text));
        cli_table_cell(table, "%s",
                       i == 0 ? "" : loss_text(contest[i].gain, contest[i].gain_se, text));
    }
    cli_table_print(table, out, "  ");
    cli_table_destroy(table);
}

/* In words, whichever way it fell. */
static void print_verdict(FILE *out, const struct mix_confirmation *c, size_t s)
{
    const struct mix_contest *contest = &c->contest[s * c->n_contenders];
    for (size_t i = 1; i < c->n_contenders; i++)
        fprintf(out, "%s%s %s", i == 1 ? "  the optimum " : ", ", mix_contest_verdict(&contest[i]),
                c->name[i]);
    fprintf(out, " (two standard errors of the paired difference)\n");
}

void cli_print_confirmation(FILE *out, const struct mix_confirmation *c)
{
    fputc('\n', out);
    print_mixtures(out, c);
    for (size_t s = 0; s < c->n_scales; s++) {
        print_scale(out, c, s);
        if (c->n_contenders > 1)
            print_verdict(out, c, s);
    }
    fprintf(out,
            c->is_wide
                ? "  intervals: of a loss with all known errors, of a difference resampling only\n"
                : "  intervals: resampling only\n");
    for (size_t i = 0; i < c->n_contenders; i++)
        if (c->breaks[i][0] != '\0')
            fprintf(out, "  %s: not allowed by the %s\n", c->name[i], c->breaks[i]);
    if (c->n_failed > 0)
        fprintf(out, "  %zu of %zu runs have no loss\n", c->n_failed, c->n_planned);
}

static json_t *contest_json(const struct mix_confirmation *c, size_t s, size_t i)
{
    const struct mix_contest *contest = &c->contest[s * c->n_contenders + i];
    return json_pack("{s:s, s:s, s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "mixture", c->name[i],
                     "breaks", c->breaks[i], "n_done", (json_int_t)contest->n_done, "measured",
                     cli_json_number(contest->measured), "measured_se",
                     cli_json_number(contest->measured_se), "predicted",
                     cli_json_interval(contest->predicted), "gain", cli_json_number(contest->gain),
                     "gain_se", cli_json_number(contest->gain_se), "predicted_gain",
                     cli_json_interval(contest->predicted_gain));
}

json_t *cli_json_confirmation(const struct mix_confirmation *c)
{
    json_t *mixtures = json_object(), *scales = json_array();
    for (size_t i = 0; i < c->n_contenders; i++)
        json_object_set_new(mixtures, c->name[i],
                            cli_json_by_name(c->n_domains, (const char(*)[MIX_NAME_MAX])c->domains,
                                             &c->mixture[i * c->n_domains]));
    for (size_t s = 0; s < c->n_scales; s++) {
        json_t *contests = json_array();
        for (size_t i = 0; i < c->n_contenders; i++)
            json_array_append_new(contests, contest_json(c, s, i));
        json_array_append_new(scales,
                              json_pack("{s:f, s:f, s:o}", "n_params", c->scales[s].n_params,
                                        "n_tokens", c->scales[s].n_tokens, "contests", contests));
    }
    return json_pack("{s:I, s:s, s:f, s:b, s:I, s:I, s:o, s:o}", "n_seeds", (json_int_t)c->n_seeds,
                     "objective", c->objective, "level", c->level, "is_wide", c->is_wide, "n_runs",
                     (json_int_t)c->n_planned, "n_failed", (json_int_t)c->n_failed, "mixtures",
                     mixtures, "scales", scales);
}
