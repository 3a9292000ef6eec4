/* SPDX-License-Identifier: GPL-3.0-or-later */
/* optimum.c - the section on the answer: the mixture, its interval, what it gains, what to mind. */
#include "report/report_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the mixture */

static void plot_rows(FILE *gp, const struct mix_optimum *o)
{
    fputs("$shares << EOD\n", gp); /* domain, optimum, lo, hi, prior, tie, seen up to */
    for (size_t k = 0; k < o->n_domains; k++) {
        fprintf(gp, "%zu", k);
        const double values[] = {o->mixture[k], o->mixture_lo[k], o->mixture_hi[k],
                                 o->prior[k],   o->tied[k],       o->seen_max[k]};
        for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
            plot_number(gp, values[i]);
        fputc('\n', gp);
    }
    fputs("EOD\n", gp);
}

/* Domains from top to bottom, so that long names have room. */
static void plot_mixture(struct page *page, const struct mix_optimum *o)
{
    char name[2 * MIX_NAME_MAX], size[16], tokens[16];
    FILE *gp = page->script;
    const bool draws = o->n_draws > 0, prior = isfinite(o->prior[0]);
    const int height = 120 + 26 * (int)o->n_domains;
    const double uniform = 1.0 / (double)o->n_domains;
    double largest = uniform;
    for (size_t k = 0; k < o->n_domains; k++) {
        largest = fmax(largest, fmax(o->mixture[k], prior ? o->prior[k] : 0.0));
        largest = fmax(largest, draws ? o->mixture_hi[k] : 0.0);
    }
    snprintf(name, sizeof name, "mixture-%s", o->name);
    page_figure(page, name, PLOT_WIDTH, height < 1600 ? height : 1600,
                "Optimum %s at %s parameters and %s tokens: share of each domain%s%s; the line is "
                "the uniform mixture.",
                o->name, report_size(o->n_params, size), report_size(o->n_tokens, tokens),
                draws ? " with its interval over the draws, the nearest tie as a circle" : "",
                prior ? ", the prior as a triangle" : "");
    plot_rows(gp, o);
    fputs("set ytics scale 0 (", gp);
    for (size_t k = 0; k < o->n_domains; k++) {
        fputs(k > 0 ? ", " : "", gp);
        plot_tick(gp, o->domains[k], 18);
        fprintf(gp, " %zu", k);
    }
    fprintf(gp,
            ")\nset yrange [%g:-0.6]\nset xrange [0:*]\nset xlabel 'share'\nset border 1\n"
            "set grid noy\nset key outside top center horizontal\n"
            "set arrow from %g,graph 0 to %g,graph 1 nohead lc rgb '" PLOT_MUTED "' lw 1\n",
            (double)o->n_domains - 0.4, uniform, uniform);
    plot_ticks(gp, "x", 0.0, largest);
    fputs("plot ", gp);
    if (draws)
        fputs("$shares using 2:1:3:4 with xerrorbars pt 7 ps 0.01 lw 3 lc rgb '" PLOT_FAINT
              "' notitle, ",
              gp);
    if (prior)
        fputs("$shares using 5:1 with points pt 8 ps 1 lc rgb '" PLOT_ORANGE "' title 'prior', ",
              gp);
    if (draws)
        fputs("$shares using 6:1 with points pt 6 ps 1 lc rgb '" PLOT_GREEN "' title 'tie', ", gp);
    fputs("$shares using 2:1 with points pt 7 ps 0.9 lc rgb '" PLOT_BLUE "' title 'optimum'\n", gp);
}

static const char *bound_name(uint8_t bound)
{
    return bound > MIX_INTERIOR && bound < MIX_BOUNDS ? mix_bound_names[bound] : "";
}

/* Columns that would be empty are left out. */
static bool any_known(size_t n, const double *values)
{
    for (size_t k = 0; k < n; k++)
        if (isfinite(values[k]))
            return true;
    return false;
}

static bool any_bound(const struct mix_optimum *o)
{
    for (size_t k = 0; k < o->n_domains; k++)
        if (o->price[k] > 0.0 || bound_name(o->binding[k])[0] != '\0')
            return true;
    return false;
}

static void put_mixture(struct page *page, const struct mix_optimum *o)
{
    const bool prior = any_known(o->n_domains, o->prior), draws = o->n_draws > 0,
               laws = any_known(o->n_domains, o->mixture_wide_lo), bounds = any_bound(o);
    char heading[32], text[32], range[64];
    const char *heads[12] = {"domain"};
    size_t n = 1;
    snprintf(heading, sizeof heading, "%g%% interval", 100.0 * o->level);
    if (prior)
        heads[n++] = "prior";
    heads[n++] = "optimum";
    if (draws)
        heads[n++] = heading;
    if (laws)
        heads[n++] = "with other laws";
    heads[n++] = "seen up to";
    if (draws) {
        heads[n++] = "tied at least";
        heads[n++] = "nearest tie";
    }
    heads[n++] = "allowed";
    if (bounds) {
        heads[n++] = "bound";
        heads[n++] = "shadow price";
    }
    if (o->lattice > 0)
        heads[n++] = "on the lattice";
    page_table(page, "The mixture", false, n, heads);
    for (size_t k = 0; k < o->n_domains; k++) {
        page_row(page);
        page_cell(page, "%s", o->domains[k]);
        if (prior)
            page_cell(page, "%s", report_share(o->prior[k], text));
        page_cell(page, "%s", report_share(o->mixture[k], text));
        if (draws)
            page_cell(page, "%s", report_range(o->mixture_lo[k], o->mixture_hi[k], 3, range));
        if (laws)
            page_cell(page, "%s",
                      report_range(o->mixture_wide_lo[k], o->mixture_wide_hi[k], 3, range));
        page_cell(page, "%s", report_share(o->seen_max[k], text));
        if (draws) {
            page_cell(page, "%s", report_range(o->tied_lo[k], o->tied_hi[k], 3, range));
            page_cell(page, "%s", report_share(o->tied[k], text));
        }
        page_cell(page, "%.4g … %.4g", o->lower[k],
                  isfinite(o->limit[k]) ? o->limit[k] : o->upper[k]);
        if (bounds)
            page_cell(page, "%s", bound_name(o->binding[k]));
        if (bounds && o->price[k] > 0.0)
            page_cell(page, "%.3g", o->price[k]);
        else if (bounds)
            page_cell(page, "–");
        if (o->lattice > 0)
            page_cell(page, "%s", report_share(o->lattice_mixture[k], text));
    }
    page_table_end(page, false);
}

/* Of a law with repetition: how often domains are seen, and what that is worth. */
static void put_repetition(struct page *page, const struct mix_optimum *o)
{
    static const char *const heads[] = {"domain", "tokens there are",    "passes",
                                        "worth",  "if repeats were new", "passes"};
    char text[32];
    page_table(page, "Repetition: passes at the target, and what they are worth", false, 6, heads);
    for (size_t k = 0; k < o->n_domains; k++) {
        const double scale = o->n_tokens / o->supply[k];
        page_row(page);
        page_cell(page, "%s", o->domains[k]);
        page_cell(page, "%s", report_size(o->supply[k], text));
        page_cell(page, "%s", report_number(o->mixture[k] * scale, 3, text));
        page_cell(page, "%s", report_number(mix_law_worth(o->mixture[k] * scale, o->r1), 3, text));
        page_cell(page, "%s", report_share(o->fresh_mixture[k], text));
        page_cell(page, "%s", report_number(o->fresh_mixture[k] * scale, 3, text));
    }
    page_table_end(page, false);
}

/* ---- what it gains */

static const char *gain_name(const struct mix_optimum *o, size_t i, char text[MIX_NAME_MAX + 16])
{
    static const char *const names[MIX_GAINS] = {"baseline", "uniform", "best observed"};
    if (i == 0)
        snprintf(text, MIX_NAME_MAX + 16, "%s", o->baseline_name);
    else
        snprintf(text, MIX_NAME_MAX + 16, "%s", names[i]);
    return text;
}

/* The baseline may be the uniform mixture itself. */
static bool shows_gain(const struct mix_optimum *o, size_t i)
{
    return isfinite(o->gain[i].value) && !(i == 0 && strcmp(o->baseline_name, "uniform") == 0);
}

static void plot_gain(struct page *page, const struct mix_optimum *o)
{
    char name[2 * MIX_NAME_MAX], text[MIX_NAME_MAX + 16];
    FILE *gp = page->script;
    size_t n = 0;
    snprintf(name, sizeof name, "gain-%s", o->name);
    page_figure(page, name, PLOT_WIDTH, 220,
                "Optimum %s: predicted gain in %s over other mixtures%s; right of 0 the optimum "
                "is better.",
                o->name, mix_optimum_objective_text(o),
                o->n_draws > 0 ? ", with its interval over the draws" : "");
    fputs("set ytics scale 0 (", gp);
    for (size_t i = 0; i < MIX_GAINS; i++) {
        if (!shows_gain(o, i))
            continue;
        fputs(n > 0 ? ", " : "", gp);
        plot_tick(gp, gain_name(o, i, text), 18);
        fprintf(gp, " %zu", n++);
    }
    fputs(")\n$gain << EOD\n", gp);
    double least = 0.0, largest = 0.0;
    for (size_t i = 0, at = 0; i < MIX_GAINS; i++) {
        if (!shows_gain(o, i))
            continue;
        const struct mix_interval gain = o->gain[i];
        const double lo = isfinite(gain.lo) ? gain.lo : gain.value;
        const double hi = isfinite(gain.hi) ? gain.hi : gain.value;
        fprintf(gp, "%zu %.6g %.6g %.6g\n", at++, gain.value, lo, hi);
        least = fmin(least, lo);
        largest = fmax(largest, hi);
    }
    fprintf(gp,
            "EOD\nset yrange [%g:-0.6]\nset xlabel 'other mixture less optimum'\n"
            "set border 1\nset grid noy\n"
            "set arrow from 0,graph 0 to 0,graph 1 nohead lc rgb '" PLOT_MUTED "'\n"
            "set lmargin 15\nset xrange [*<0:0<*]\n",
            (double)n - 0.4);
    plot_ticks(gp, "x", least, largest);
    fputs("plot $gain using 2:1:3:4 with xerrorbars pt 7 ps 0.9 lw 2 lc rgb '" PLOT_BLUE "'\n", gp);
}

static void put_gain(struct page *page, const struct mix_optimum *o)
{
    char heading[40], text[32], range[64], name[MIX_NAME_MAX + 16], bounds[MIX_NAME_MAX];
    bool wide = false;
    const char *heads[6] = {"gain over", mix_optimum_objective_text(o)};
    size_t n = 2;
    snprintf(heading, sizeof heading, "%g%%, resampling only", 100.0 * o->level);
    for (size_t i = 0; i < MIX_GAINS; i++)
        wide = wide || (shows_gain(o, i) && isfinite(o->gain_wide[i].lo));
    heads[n++] = heading;
    if (wide)
        heads[n++] = "all known errors";
    heads[n++] = "P(better), resampling only";
    if (wide)
        heads[n++] = "P(better), all known errors";
    page_table(page, "Predicted gain", false, n, heads);
    for (size_t i = 0; i < MIX_GAINS; i++) {
        if (!shows_gain(o, i))
            continue;
        page_row(page);
        const bool breaks = mix_optimum_broken_text(o, i, bounds)[0] != '\0';
        page_cell(page, "%s%s%s%s", gain_name(o, i, name), breaks ? " (not allowed by the " : "",
                  bounds, breaks ? ")" : "");
        page_cell(page, "%s", report_number(o->gain[i].value, 4, text));
        page_cell(page, "%s", report_range(o->gain[i].lo, o->gain[i].hi, 4, range));
        if (wide)
            page_cell(page, "%s", report_range(o->gain_wide[i].lo, o->gain_wide[i].hi, 4, range));
        page_cell(page, "%s", report_number(o->p_better[i], 2, text));
        if (wide)
            page_cell(page, "%s", report_number(o->p_better_wide[i], 2, text));
    }
    page_table_end(page, false);
    if (isfinite(o->gain_bias))
        page_element(page, "p", "The gain over %s, corrected for the winner's curse: %s.",
                     o->baseline_name, report_number(o->gain[0].value - o->gain_bias, 4, text));
}

static void put_losses(struct page *page, const struct report_data *data,
                       const struct mix_optimum *o)
{
    const struct mix_fit *fit = report_fit(data, o->fit);
    char heading[40], text[32], range[64];
    snprintf(heading, sizeof heading, "%g%%, resampling only", 100.0 * o->level);
    const char *const heads[] = {"target", "weight", "predicted", heading, "all known errors"};
    page_table(page, "Predicted loss of each target", true, 5, heads);
    for (size_t m = 0; m < o->n_targets; m++) {
        page_row(page);
        const bool score = fit != NULL && m < fit->spec.n_targets && fit->link[m] != 0;
        page_cell(page, "%s%s", o->targets[m], score ? " (score: higher is better)" : "");
        page_cell(page, "%g", o->weight[m]);
        page_cell(page, "%s", report_number(o->loss[m].value, 4, text));
        page_cell(page, "%s", report_range(o->loss[m].lo, o->loss[m].hi, 4, range));
        page_cell(page, "%s", report_range(o->loss_wide[m].lo, o->loss_wide[m].hi, 4, range));
    }
    page_table_end(page, true);
}

/* ---- along scale, and what other constraints cost */

/* The path is a grid of sizes and lengths: shown are the sizes at the target's length, and the
 * lengths at the target's size. */
static void plot_path(struct page *page, const struct mix_optimum *o, bool along_size)
{
    const double *x = along_size ? o->path_n_params : o->path_n_tokens;
    const double *other = along_size ? o->path_n_tokens : o->path_n_params;
    const double target = along_size ? o->n_tokens : o->n_params;
    char name[2 * MIX_NAME_MAX];
    double least = INFINITY, most = 0.0;
    FILE *gp = page->script;
    snprintf(name, sizeof name, "path-%s-%s", along_size ? "parameters" : "tokens", o->name);
    page_figure(page, name, PLOT_WIDTH, o->n_domains > 8 ? 560 : 380,
                "Optimum %s: the optimal mixture at smaller %s, the %s those of the target.",
                o->name, along_size ? "sizes" : "token counts",
                along_size ? "tokens" : "parameters");
    fputs("$path << EOD\n", gp);
    for (size_t i = 0; i < o->n_path; i++) {
        if (!(fabs(other[i] / target - 1.0) < 1e-6))
            continue;
        fprintf(gp, "%.6g", x[i]);
        for (size_t k = 0; k < o->n_domains; k++)
            plot_number(gp, o->path_mixture[i * o->n_domains + k]);
        fputc('\n', gp);
        least = fmin(least, x[i]);
        most = fmax(most, x[i]);
    }
    fputs("EOD\n", gp);
    plot_powers(gp, "x", least, most);
    fprintf(gp,
            "set xlabel '%s'\nset ylabel 'share'\nset yrange [0:*]\n"
            "set key outside top center horizontal\nplot ",
            along_size ? "parameters" : "tokens");
    for (size_t k = 0; k < o->n_domains; k++) {
        fprintf(gp, "%s$path using 1:%zu with linespoints ", k > 0 ? ", " : "", k + 2);
        plot_series(gp, k);
        fputs(" title ", gp);
        plot_text(gp, o->domains[k], 14);
    }
    fputc('\n', gp);
}

/* Whether the path has several values of x beside the target's other one. */
static bool has_path(const struct mix_optimum *o, const double *x, const double *other,
                     double target)
{
    double least = INFINITY, most = 0.0;
    for (size_t i = 0; i < o->n_path; i++)
        if (fabs(other[i] / target - 1.0) < 1e-6) {
            least = fmin(least, x[i]);
            most = fmax(most, x[i]);
        }
    return most > least;
}

static void put_path(struct page *page, const struct mix_optimum *o)
{
    const char *heads[2 + MIX_DOMAINS_MAX] = {"parameters", "tokens"};
    char text[32];
    for (size_t k = 0; k < o->n_domains; k++)
        heads[2 + k] = o->domains[k];
    page_table(page, "The optimum along scale", true, 2 + o->n_domains, heads);
    for (size_t i = 0; i < o->n_path; i++) {
        page_row(page);
        page_cell(page, "%s", report_size(o->path_n_params[i], text));
        page_cell(page, "%s", report_size(o->path_n_tokens[i], text));
        for (size_t k = 0; k < o->n_domains; k++)
            page_cell(page, "%s", report_share(o->path_mixture[i * o->n_domains + k], text));
    }
    page_table_end(page, true);
}

static void put_constraints(struct page *page, const struct mix_optimum *o)
{
    if (o->question[0] != '\0')
        page_element(page, "p", "Asked: %s.", o->question);
    if (o->near != MIX_DISTANCE_NONE && o->near_price > 0.0)
        page_element(page, "p",
                     "The distance to the baseline binds: the objective falls by %.3g per unit of "
                     "distance allowed.",
                     o->near_price);
    for (size_t m = 0; m < o->n_targets; m++)
        if (o->guard[m] != 0 && o->guard_price[m] > 0.0)
            page_element(page, "p",
                         "That %s be no worse than under the baseline binds: the objective falls "
                         "by %.3g per unit of loss allowed.",
                         o->targets[m], o->guard_price[m]);
}

/* ---- several side by side */

static void put_shares(struct page *page, size_t n, const struct mix_optimum *const *optima)
{
    const bool prior = any_known(optima[0]->n_domains, optima[0]->prior);
    const char *heads[2 + MIX_DOMAINS_MAX] = {"share of", "prior"};
    char text[32];
    for (size_t i = 0; i < n; i++)
        heads[1 + prior + i] = optima[i]->name;
    page_table(page, "The optima side by side", false, 1 + prior + n, heads);
    for (size_t k = 0; k < optima[0]->n_domains; k++) {
        page_row(page);
        page_cell(page, "%s", optima[0]->domains[k]);
        if (prior)
            page_cell(page, "%s", report_share(optima[0]->prior[k], text));
        for (size_t i = 0; i < n; i++)
            page_cell(page, "%s", report_share(optima[i]->mixture[k], text));
    }
    page_table_end(page, false);
}

/* Own values, and what an objective rises by under the others' mixtures. */
static void put_trade_off(struct page *page, const struct mix_trade_off *t,
                          const struct mix_optimum *const *optima)
{
    const char *heads[1 + MIX_DOMAINS_MAX] = {"objective of, by the mixture of"};
    char text[32];
    for (size_t i = 0; i < t->n; i++)
        heads[1 + i] = optima[i]->name;
    page_table(page, "What each mixture costs by the objectives of the others", false, 1 + t->n,
               heads);
    for (size_t i = 0; i < t->n; i++) {
        page_row(page);
        page_cell(page, "%s (%s)", optima[i]->name, mix_optimum_objective_text(optima[i]));
        for (size_t j = 0; j < t->n; j++) {
            const size_t at = i * t->n + j;
            const double rise = t->objective[at] - t->objective[i * t->n + i];
            const bool tied = t->not_worse[at] >= 0.5 * (1.0 - optima[i]->level);
            page_cell(page, "%s%s%s%s", i != j && rise >= 0.0 ? "+" : "",
                      report_number(i == j ? t->objective[at] : rise, 4, text),
                      i != j && tied ? " tied" : "", t->allowed[at] ? "" : " (not allowed)");
        }
    }
    page_table_end(page, false);
}

/* The optima of the fit that the first is of, where there are several. */
static enum mix_status put_side_by_side(struct page *page, const struct report_data *data,
                                        struct mix_error *err)
{
    enum { SHOWN = 16 };
    const struct mix_optimum *optima[SHOWN];
    const struct mix_fit *fit = report_fit(data, data->optima[0]->fit);
    struct mix_trade_off trade_off;
    size_t n = 0;
    for (size_t i = 0; i < data->n_optima && n < SHOWN; i++)
        if (strcmp(data->optima[i]->fit, data->optima[0]->fit) == 0)
            optima[n++] = data->optima[i];
    if (n < 2 || fit == NULL)
        return MIX_OK;
    const enum mix_status status =
        mix_trade_off_compute(fit, report_draws(data, fit), n, optima, &trade_off, err);
    if (status != MIX_OK) /* EINVAL: of an earlier fit */
        return status == MIX_EINVAL ? MIX_OK : status;
    put_shares(page, n, optima);
    put_trade_off(page, &trade_off, optima);
    page_element(page, "p",
                 "+: what the objective of the row rises by under the mixture of the column. Tied: "
                 "%g%% of the draws or more put it no higher than the row's own. Not allowed: by "
                 "the bounds and constraints of the row.",
                 50.0 * (1.0 - optima[0]->level));
    mix_trade_off_clear(&trade_off);
    return MIX_OK;
}

/* ---- the section */

static void put_claim(struct page *page, const struct mix_optimum *o)
{
    char size[16], tokens[16], text[32], range[64];
    page_raw(page, "<p>");
    page_text(page, "At %s parameters and %s tokens, by the fit %s (law %s): %s %s",
              report_size(o->n_params, size), report_size(o->n_tokens, tokens), o->fit, o->law,
              mix_optimum_objective_text(o), report_number(o->objective.value, 4, text));
    if (isfinite(o->objective.lo))
        page_text(page, ", %s over %zu draws",
                  report_range(o->objective.lo, o->objective.hi, 4, range), o->n_draws);
    if (isfinite(o->objective_wide.lo))
        page_text(page, ", %s with all known errors",
                  report_range(o->objective_wide.lo, o->objective_wide.hi, 4, range));
    page_text(page, ". The size is %.3g times the largest fitted one, the tokens %.3g times.",
              o->extrapolation_n, o->extrapolation_d);
    page_raw(page, "</p>\n");
    if (isfinite(o->tied_loss))
        page_element(page, "p",
                     "Nearest tie: of the mixtures that the draws cannot tell from the optimum the "
                     "one nearest the baseline (%s); %s %s.",
                     o->baseline_name, mix_optimum_objective_text(o),
                     report_number(o->tied_loss, 4, text));
}

static void put_certificate(struct page *page, const struct mix_optimum *o)
{
    page_element(page, "p",
                 "Certificate: KKT residual %.1e, %zu of %zu starts end here. Distance to the "
                 "observed mixtures: %.3f in the share that is "
                 "farthest off.",
                 o->kkt, o->n_at_best, o->n_starts, o->hull_distance);
}

static bool has_optima(const struct report_data *data)
{
    return data->n_optima > 0;
}

static enum mix_status write_optima(struct page *page, const struct report_data *data,
                                    struct mix_error *err)
{
    const enum mix_status status = put_side_by_side(page, data, err);
    if (status != MIX_OK)
        return status;
    for (size_t i = 0; i < data->n_optima; i++) {
        const struct mix_optimum *o = data->optima[i];
        size_t n_gains = 0;
        for (size_t g = 0; g < MIX_GAINS; g++)
            n_gains += shows_gain(o, g);
        page_element(page, "h3", "%s", o->name);
        put_claim(page, o);
        put_constraints(page, o);
        page_warnings(page, o->warnings);
        page_figures(page);
        plot_mixture(page, o);
        if (n_gains > 0)
            plot_gain(page, o);
        if (has_path(o, o->path_n_params, o->path_n_tokens, o->n_tokens))
            plot_path(page, o, true);
        if (has_path(o, o->path_n_tokens, o->path_n_params, o->n_params))
            plot_path(page, o, false);
        page_figures_end(page);
        put_mixture(page, o);
        if (isfinite(o->r1))
            put_repetition(page, o);
        if (n_gains > 0)
            put_gain(page, o);
        put_losses(page, data, o);
        if (o->n_path > 1)
            put_path(page, o);
        put_certificate(page, o);
    }
    return MIX_OK;
}

const struct report_section report_optimum = {"optimum", "Optimal mixture", has_optima,
                                              write_optima};
