/* SPDX-License-Identifier: GPL-3.0-or-later */
/* confirmation.c - the section on the check of optima: what was trained to confirm them, measured
 * beside predicted. */
#include "report/report_impl.h"

#include <math.h>
#include <string.h>

/* ---- figures */

/* A row for each contender from `first` on, from top to bottom: its interval as predicted, and two
 * standard errors about what was measured. */
static void plot_contests(FILE *gp, const struct mix_confirmation *c, size_t s, size_t first)
{
    const struct mix_contest *contest = &c->contest[s * c->n_contenders];
    double least = INFINITY, largest = -INFINITY;
    fputs("$contests << EOD\n", gp); /* y, predicted, lo, hi, measured, lo, hi */
    for (size_t i = first; i < c->n_contenders; i++) {
        const struct mix_contest *x = &contest[i];
        const struct mix_interval claim = first > 0 ? x->predicted_gain : x->predicted;
        const double at = first > 0 ? x->gain : x->measured,
                     se = first > 0 ? x->gain_se : x->measured_se, by = isfinite(se) ? 2 * se : 0;
        const double values[] = {claim.value,
                                 isfinite(claim.lo) ? claim.lo : claim.value,
                                 isfinite(claim.hi) ? claim.hi : claim.value,
                                 at,
                                 at - by,
                                 at + by};
        fprintf(gp, "%zu", i - first);
        for (size_t v = 0; v < sizeof values / sizeof values[0]; v++) {
            plot_number(gp, values[v]);
            least = isfinite(values[v]) ? fmin(least, values[v]) : least;
            largest = isfinite(values[v]) ? fmax(largest, values[v]) : largest;
        }
        fputc('\n', gp);
    }
    fputs("EOD\nset ytics scale 0 (", gp);
    for (size_t i = first; i < c->n_contenders; i++)
        fprintf(gp, "%s'%s' %zu", i > first ? ", " : "", c->name[i], i - first);
    fprintf(gp,
            ")\nset yrange [%g:-0.6]\nset border 1\nset grid noy\nset lmargin 14\n"
            "set key outside top center horizontal\n",
            (double)(c->n_contenders - first) - 0.4);
    plot_ticks(gp, "x", least, largest);
}

static const char PLOT_CONTESTS[] =
    "plot $contests using 2:($1-0.12):3:4 with xerrorbars pt 7 ps 0.8 lw 2 lc rgb '" PLOT_BLUE
    "' title 'predicted', $contests using 5:($1+0.12):6:7 with xerrorbars pt 5 ps 0.7 lw 2 lc rgb "
    "'" PLOT_ORANGE "' title 'measured, ± 2 se'\n";

static void plot_values(struct page *page, const struct mix_confirmation *c, size_t s)
{
    char name[2 * MIX_NAME_MAX], size[16];
    FILE *gp = page->script;
    snprintf(name, sizeof name, "confirmed-%s-%zu", c->optimum, s + 1);
    page_figure(page, name, PLOT_WIDTH, 110 + 36 * (int)c->n_contenders,
                "Optimum %s at %s parameters: %s of each mixture, predicted (%g%% interval) and "
                "measured.",
                c->optimum, report_size(c->scales[s].n_params, size), c->objective, 100 * c->level);
    plot_contests(gp, c, s, 0);
    fputs("set xlabel ", gp);
    plot_text(gp, c->objective, 60);
    fprintf(gp, "\n%s", PLOT_CONTESTS);
}

static void plot_differences(struct page *page, const struct mix_confirmation *c, size_t s)
{
    char name[2 * MIX_NAME_MAX], size[16];
    FILE *gp = page->script;
    snprintf(name, sizeof name, "confirmed-gain-%s-%zu", c->optimum, s + 1);
    page_figure(page, name, PLOT_WIDTH, 110 + 36 * (int)(c->n_contenders - 1),
                "Optimum %s at %s parameters: what the other mixtures are worse by, predicted and "
                "measured over equal seeds; right of 0 the optimum is better.",
                c->optimum, report_size(c->scales[s].n_params, size));
    plot_contests(gp, c, s, 1);
    fputs("set xrange [*<0:0<*]\nset xlabel 'worse than the optimum by'\n"
          "set arrow from 0,graph 0 to 0,graph 1 nohead lc rgb '" PLOT_MUTED "'\n",
          gp);
    fputs(PLOT_CONTESTS, gp);
}

/* ---- tables */

static void put_mixtures(struct page *page, const struct mix_confirmation *c)
{
    const char *heads[1 + MIX_CONTENDERS_MAX] = {"domain"};
    char text[32];
    for (size_t i = 0; i < c->n_contenders; i++)
        heads[1 + i] = c->name[i];
    page_table(page, "The mixtures that were trained", false, 1 + c->n_contenders, heads);
    for (size_t k = 0; k < c->n_domains; k++) {
        page_row(page);
        page_cell(page, "%s", c->domains[k]);
        for (size_t i = 0; i < c->n_contenders; i++)
            page_cell(page, "%s", report_share(c->mixture[i * c->n_domains + k], text));
    }
    page_table_end(page, false);
}

static void put_claim(struct page *page, struct mix_interval claim)
{
    char text[32], range[64];
    if (isfinite(claim.lo) && isfinite(claim.hi))
        page_cell(page, "%s (%s)", report_number(claim.value, 4, text),
                  report_range(claim.lo, claim.hi, 4, range));
    else
        page_cell(page, "%s", report_number(claim.value, 4, text));
}

static void put_measured(struct page *page, double value, double se)
{
    char text[32], by[32];
    if (isfinite(se))
        page_cell(page, "%s ± %s", report_number(value, 4, text), report_number(se, 4, by));
    else
        page_cell(page, "%s", report_number(value, 4, text));
}

static void put_contests(struct page *page, const struct mix_confirmation *c, size_t s)
{
    char caption[256], heading[48], size[16], tokens[16];
    const struct mix_contest *contest = &c->contest[s * c->n_contenders];
    snprintf(caption, sizeof caption, "At %s parameters, %s tokens: %s",
             report_size(c->scales[s].n_params, size), report_size(c->scales[s].n_tokens, tokens),
             c->objective);
    snprintf(heading, sizeof heading, "predicted (%g%%)", 100 * c->level);
    const char *const heads[] = {
        "mixture",       heading, "measured ± se", "worse than optimum, predicted",
        "measured ± se", "seeds", "the optimum"};
    page_table(page, caption, false, sizeof heads / sizeof heads[0], heads);
    for (size_t i = 0; i < c->n_contenders; i++) {
        page_row(page);
        page_cell(page, "%s", c->name[i]);
        put_claim(page, contest[i].predicted);
        put_measured(page, contest[i].measured, contest[i].measured_se);
        if (i == 0) {
            page_cell(page, "%s", "");
            page_cell(page, "%s", "");
        } else {
            put_claim(page, contest[i].predicted_gain);
            put_measured(page, contest[i].gain, contest[i].gain_se);
        }
        page_cell(page, "%zu", contest[i].n_done);
        page_cell(page, "%s%s", i > 0 ? mix_contest_verdict(&contest[i]) : "", i > 0 ? " it" : "");
    }
    page_table_end(page, false);
}

/* ---- the section */

static void put_confirmation(struct page *page, const struct mix_confirmation *c)
{
    page_element(page, "h3", "%s", c->optimum);
    page_figures(page);
    for (size_t s = 0; s < c->n_scales; s++)
        if (c->contest[s * c->n_contenders].n_done > 0) {
            plot_values(page, c, s);
            if (c->n_contenders > 1)
                plot_differences(page, c, s);
        }
    page_figures_end(page);
    for (size_t s = 0; s < c->n_scales; s++)
        if (c->contest[s * c->n_contenders].n_done > 0)
            put_contests(page, c, s);
    page_element(page, "p",
                 c->is_wide ? "Intervals: of a value with all known errors, of a difference "
                              "resampling only. Beaten is what is worse by two standard errors of "
                              "the difference over equal seeds."
                            : "Intervals: resampling only. Beaten is what is worse by two standard "
                              "errors of the difference over equal seeds.");
    for (size_t i = 0; i < c->n_contenders; i++)
        if (c->breaks[i][0] != '\0')
            page_element(page, "p", "The %s mixture is not allowed by the %s of the optimum.",
                         c->name[i], c->breaks[i]);
    if (c->n_failed > 0)
        page_element(page, "p", "%zu of %zu runs have no loss.", c->n_failed, c->n_planned);
    put_mixtures(page, c);
}

/* Whether a run is of a mixture and a scale that a confirmation shows. */
static bool is_shown(const struct report_data *data, size_t r)
{
    const struct mix_table *table = data->table;
    const struct mix_run *run = &table->runs[r];
    for (size_t i = 0; i < data->n_confirmations; i++) {
        const struct mix_confirmation *c = data->confirmations[i];
        bool scale = false;
        for (size_t s = 0; s < c->n_scales; s++)
            scale = scale || c->scales[s].n_params == run->n_params;
        for (size_t m = 0; scale && m < c->n_contenders; m++) {
            double off = 0;
            for (size_t k = 0; k < table->n_domains; k++)
                off = fmax(off, fabs(table->mixture[r * table->n_domains + k] -
                                     c->mixture[m * c->n_domains + k]));
            if (off < 1e-6)
                return true;
        }
    }
    return false;
}

static bool has_confirmation(const struct report_data *data)
{
    for (size_t r = 0; data->table != NULL && r < data->table->n_rows; r++)
        if (mix_run_confirms(&data->table->runs[r]))
            return true;
    return data->n_confirmations > 0;
}

static enum mix_status write_confirmation(struct page *page, const struct report_data *data,
                                          struct mix_error *err)
{
    size_t n_others = 0;
    (void)err;
    page_element(page, "p",
                 "What the optimum claims to beat was trained beside it, with the same seeds. No "
                 "fit has seen these runs.");
    for (size_t i = 0; i < data->n_confirmations; i++)
        put_confirmation(page, data->confirmations[i]);
    for (size_t r = 0; r < data->table->n_rows; r++)
        n_others += mix_run_confirms(&data->table->runs[r]) && !is_shown(data, r);
    if (n_others > 0)
        page_element(page, "p",
                     "%zu run%s confirm%s an optimum that is not in the file any more, or "
                     "whose own runs have no loss yet.",
                     n_others, n_others == 1 ? "" : "s", n_others == 1 ? "s" : "");
    return MIX_OK;
}

const struct report_section report_confirmation = {"confirmation", "Confirmation", has_confirmation,
                                                   write_confirmation};
