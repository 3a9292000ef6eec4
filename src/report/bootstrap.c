/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bootstrap.c - the section on the draws: their objective, and the optima they have themselves. */
#include "report/report_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void plot_objective(struct page *page, const struct mix_draws *draws, double *values)
{
    enum { BINS_MAX = 40 };
    size_t counts[BINS_MAX] = {0}, n = 0;
    char name[2 * MIX_NAME_MAX];
    FILE *gp = page->script;
    for (size_t b = 0; b < draws->n_draws; b++)
        if (draws->done[b] != 0)
            values[n++] = draws->objective[b];
    n = report_sort(values, n);
    if (n < 2)
        return;
    /* a few wild draws must not squeeze all others into one bin */
    const double lo = report_quantile(values, n, 0.005), hi = report_quantile(values, n, 0.995);
    const size_t n_bins = (size_t)fmin(BINS_MAX, ceil(2.0 * cbrt((double)n))); /* Rice's rule */
    const double width = (hi - lo) / (double)n_bins;
    if (!(width > 0.0))
        return;
    for (size_t i = 0; i < n; i++)
        if (values[i] >= lo && values[i] <= hi) {
            const size_t bin = (size_t)((values[i] - lo) / width);
            counts[bin < n_bins ? bin : n_bins - 1]++;
        }
    snprintf(name, sizeof name, "draws-%s", draws->fit);
    page_figure(page, name, PLOT_WIDTH, PLOT_HEIGHT,
                "Fit %s: what %zu bootstrap draws minimised, prior included (the middle 99%%).",
                draws->fit, n);
    fputs("$bins << EOD\n", gp);
    for (size_t i = 0; i < n_bins; i++)
        fprintf(gp, "%.6g %zu\n", lo + ((double)i + 0.5) * width, counts[i]);
    fprintf(gp,
            "EOD\nset boxwidth %.6g\nset yrange [0:*]\nset xlabel 'objective: weighted mean "
            "squared error and prior'\n"
            "set ylabel 'draws'\n",
            0.92 * width);
    plot_ticks(gp, "x", lo, hi);
    fputs("plot $bins with boxes lc rgb '" PLOT_BLUE "'\n", gp);
}

static const char *domain_name(const void *optimum, size_t i)
{
    return ((const struct mix_optimum *)optimum)->domains[i];
}

enum { QUANTILES = 5 };

/* 5%, 25%, median, 75%, 95% of a domain's share over the draws. */
static void find_quantiles(const struct mix_optimum *optimum, size_t k, double *values,
                           double quantile[QUANTILES])
{
    static const double at[QUANTILES] = {0.05, 0.25, 0.5, 0.75, 0.95};
    for (size_t b = 0; b < optimum->n_draws; b++)
        values[b] = optimum->draw_mixture[b * optimum->n_domains + k];
    const size_t n = report_sort(values, optimum->n_draws);
    for (size_t q = 0; q < QUANTILES; q++)
        quantile[q] = report_quantile(values, n, at[q]);
}

/* Boxes over the draws' own optima, and the optimum of the fit itself. */
static void plot_shares(struct page *page, const struct mix_optimum *optimum, double *values)
{
    const size_t n_domains = optimum->n_domains;
    double quantile[QUANTILES];
    char name[2 * MIX_NAME_MAX];
    FILE *gp = page->script;
    snprintf(name, sizeof name, "shares-%s", optimum->name);
    page_figure(
        page, name, n_domains > 8 ? 760 : PLOT_WIDTH, n_domains > 8 ? 380 : PLOT_HEIGHT,
        "Optimum %s: shares in the optima of %zu draws: median, quartiles, and 5%% to 95%%. "
        "The circle is the optimum of the fit itself.",
        optimum->name, optimum->n_draws);
    fputs("$box << EOD\n", gp);
    for (size_t k = 0; k < n_domains; k++) {
        find_quantiles(optimum, k, values, quantile);
        fprintf(gp, "%zu", k);
        for (size_t q = 0; q < QUANTILES; q++)
            plot_number(gp, quantile[q]);
        fprintf(gp, " %.6g\n", optimum->mixture[k]);
    }
    fputs("EOD\n", gp);
    plot_names(gp, n_domains, domain_name, optimum);
    fputs("set yrange [0:*]\nset ylabel 'share'\nset style fill solid 0.35 border\n"
          "plot $box using 1:3:2:6:5:(0.5) with candlesticks lc rgb '" PLOT_BLUE
          "' whiskerbars 0.5, "
          "$box using 1:4:4:4:4:(0.5) with candlesticks lw 2 lc rgb '" PLOT_INK "', "
          "$box using 1:7 with points pt 6 ps 1 lw 2 lc rgb '" PLOT_ORANGE "'\n",
          gp);
}

static void put_shares(struct page *page, const struct mix_optimum *optimum, double *values)
{
    static const char *const heads[] = {"domain", "optimum", "5%", "25%", "median", "75%", "95%"};
    double quantile[QUANTILES];
    char caption[2 * MIX_NAME_MAX], text[32];
    snprintf(caption, sizeof caption, "Shares over the draws of %s", optimum->name);
    page_table(page, caption, true, sizeof heads / sizeof heads[0], heads);
    for (size_t k = 0; k < optimum->n_domains; k++) {
        find_quantiles(optimum, k, values, quantile);
        page_row(page);
        page_cell(page, "%s", optimum->domains[k]);
        page_cell(page, "%s", report_share(optimum->mixture[k], text));
        for (size_t q = 0; q < QUANTILES; q++)
            page_cell(page, "%s", report_share(quantile[q], text));
    }
    page_table_end(page, true);
}

static bool has_shares(const struct mix_optimum *optimum)
{
    return optimum->n_draws > 1 && optimum->draw_mixture != NULL;
}

static bool has_draws(const struct report_data *data)
{
    return data->n_draws > 0;
}

static enum mix_status write_bootstrap(struct page *page, const struct report_data *data,
                                       struct mix_error *err)
{
    size_t n_max = 0;
    for (size_t i = 0; i < data->n_draws; i++)
        n_max = data->draws[i]->n_draws > n_max ? data->draws[i]->n_draws : n_max;
    for (size_t i = 0; i < data->n_optima; i++)
        n_max = data->optima[i]->n_draws > n_max ? data->optima[i]->n_draws : n_max;
    double *values = calloc(n_max + 1, sizeof *values);
    if (values == NULL)
        return mix_fail(err, MIX_ENOMEM, "not enough memory for %zu draws.", n_max);
    page_figures(page);
    for (size_t i = 0; i < data->n_draws; i++)
        plot_objective(page, data->draws[i], values);
    for (size_t i = 0; i < data->n_optima; i++)
        if (has_shares(data->optima[i]))
            plot_shares(page, data->optima[i], values);
    page_figures_end(page);
    for (size_t i = 0; i < data->n_draws; i++)
        page_element(page, "p", "Fit %s: %zu of %zu draws are done; %s are resampled%s.",
                     data->draws[i]->fit, mix_draws_count(data->draws[i]), data->draws[i]->n_draws,
                     data->draws[i]->cluster_run != 0 ? "runs" : "mixtures",
                     data->draws[i]->bayesian != 0 ? ", by Dirichlet weights" : "");
    for (size_t i = 0; i < data->n_optima; i++)
        if (has_shares(data->optima[i]))
            put_shares(page, data->optima[i], values);
    free(values);
    return MIX_OK;
}

const struct report_section report_bootstrap = {"bootstrap", "Bootstrap", has_draws,
                                                write_bootstrap};
