/* SPDX-License-Identifier: GPL-3.0-or-later */
/* transfer.c - the section on what domains give to each other: T of the laws transfer and demand,
 * the tokens of target i's kind that a token of domain j is worth. */
#include "report/report_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The value of "T[target,domain]"; NaN where the fit has none (its own domain is worth 1). */
static double find_value(const struct mix_fit *fit, size_t m, size_t k)
{
    char name[2 * MIX_NAME_MAX];
    snprintf(name, sizeof name, "T[%.*s,%.*s]", MIX_NAME_MAX - 4, fit->targets[m], MIX_NAME_MAX - 4,
             fit->domains[k]);
    for (size_t p = 0; p < fit->n_params; p++)
        if (strcmp(fit->param_names[p], name) == 0)
            return fit->params[p];
    return NAN;
}

static bool has_matrix(const struct mix_fit *fit)
{
    for (size_t p = 0; p < fit->n_params; p++)
        if (strncmp(fit->param_names[p], "T[", 2) == 0)
            return true;
    return false;
}

/* (M,K); what is not a parameter of `transfer` is the domain's own 1. */
static double *make_matrix(const struct mix_fit *fit)
{
    const size_t n_domains = fit->spec.n_domains, n_targets = fit->spec.n_targets;
    double *matrix = calloc(n_domains * n_targets + 1, sizeof *matrix);
    for (size_t m = 0; matrix != NULL && m < n_targets; m++)
        for (size_t k = 0; k < n_domains; k++) {
            const double value = find_value(fit, m, k);
            const bool own = fit->target_domain[m] == (int32_t)k;
            matrix[m * n_domains + k] = isnan(value) && own ? 1.0 : value;
        }
    return matrix;
}

/* White to dark blue; the text on it is dark or white. */
static unsigned cell_colour(double value, double largest)
{
    const double t =
        isfinite(value) && largest > 0.0 ? fmin(1.0, sqrt(fmax(0.0, value / largest))) : 0.0;
    const unsigned r = (unsigned)(240.0 - t * 225.0), g = (unsigned)(244.0 - t * 180.0),
                   b = (unsigned)(249.0 - t * 120.0);
    return r << 16 | g << 8 | b;
}

static void plot_axis_names(FILE *gp, const char *axis, const char *how, size_t n,
                            const char (*names)[MIX_NAME_MAX])
{
    enum { LENGTH = 14 };
    fprintf(gp, "set %stics scale 0 %s (", axis, how);
    for (size_t i = 0; i < n; i++) {
        fputs(i > 0 ? ", " : "", gp);
        plot_tick(gp, names[i], LENGTH);
        fprintf(gp, " %zu", i);
    }
    fputs(")\n", gp);
}

/* The number in a cell; a small cell has room for ".02", and none for what rounds to 0. */
static void plot_value(FILE *gp, double value, size_t x, size_t y, double largest, bool small)
{
    char text[32];
    if (!isfinite(value) || (small && value < 0.005))
        return;
    snprintf(text, sizeof text, value < 9.95 ? "%.2f" : "%.3g", value);
    fprintf(gp, "set label '%s' at %zu,%zu center font ',%d' tc rgb '%s' front\n",
            small && text[0] == '0' ? text + 1 : text, x, y, small ? 10 : 11,
            value > 0.3 * largest ? "#fefefe" : "#202020");
}

static void plot_matrix(struct page *page, const struct mix_fit *fit, const double *matrix)
{
    const size_t n_domains = fit->spec.n_domains, n_targets = fit->spec.n_targets;
    const bool large = n_domains > 8 || n_targets > 8;
    const int height = large ? 190 + 28 * (int)n_targets : 400;
    char name[2 * MIX_NAME_MAX];
    double largest = 0.0;
    FILE *gp = page->script;
    for (size_t i = 0; i < n_domains * n_targets; i++)
        largest = fmax(largest, isfinite(matrix[i]) ? matrix[i] : 0.0);
    snprintf(name, sizeof name, "transfer-%s", fit->name);
    page_figure(page, name, large ? 760 : PLOT_WIDTH, height < 1400 ? height : 1400,
                "Fit %s: what a token of a domain (column) is worth as one of a target's kind "
                "(row).",
                fit->name);
    fputs("$cells << EOD\n", gp);
    for (size_t m = 0; m < n_targets; m++)
        for (size_t k = 0; k < n_domains; k++)
            fprintf(gp, "%zu %zu %u\n", k, m, cell_colour(matrix[m * n_domains + k], largest));
    fputs("EOD\n", gp);
    for (size_t m = 0; m < n_targets && n_domains <= 24; m++)
        for (size_t k = 0; k < n_domains; k++)
            plot_value(gp, matrix[m * n_domains + k], k, m, largest, large);
    plot_axis_names(gp, "x", "rotate by 50 right", n_domains,
                    (const char(*)[MIX_NAME_MAX])fit->domains);
    plot_axis_names(gp, "y", "", n_targets, (const char(*)[MIX_NAME_MAX])fit->targets);
    fprintf(gp,
            "set xrange [-0.5:%g]\nset yrange [%g:-0.5]\nunset grid\nunset border\n"
            "set bmargin %g\nset lmargin %g\n"
            "plot $cells using 1:2:($1-0.48):($1+0.48):($2-0.48):($2+0.48):3 "
            "with boxxyerror fc rgb variable\n",
            (double)n_domains - 0.5, (double)n_targets - 0.5,
            1.5 + 0.36 * plot_margin(n_domains, (const char(*)[MIX_NAME_MAX])fit->domains, 14),
            1.0 + plot_margin(n_targets, (const char(*)[MIX_NAME_MAX])fit->targets, 14));
}

static void put_matrix(struct page *page, const struct mix_fit *fit, const double *matrix)
{
    const size_t n_domains = fit->spec.n_domains;
    const char *heads[1 + MIX_DOMAINS_MAX] = {"target"};
    for (size_t k = 0; k < n_domains; k++)
        heads[1 + k] = fit->domains[k];
    page_table(page, "Worth of a token", true, 1 + n_domains, heads);
    for (size_t m = 0; m < fit->spec.n_targets; m++) {
        page_row(page);
        page_cell(page, "%s", fit->targets[m]);
        for (size_t k = 0; k < n_domains; k++) {
            const double value = matrix[m * n_domains + k];
            if (isfinite(value))
                page_cell(page, "%.3f", value);
            else
                page_cell(page, "–");
        }
    }
    page_table_end(page, true);
}

static bool has_transfer(const struct report_data *data)
{
    for (size_t i = 0; i < data->n_fits; i++)
        if (has_matrix(data->fits[i]))
            return true;
    return false;
}

static enum mix_status write_transfer(struct page *page, const struct report_data *data,
                                      struct mix_error *err)
{
    for (size_t i = 0; i < data->n_fits; i++) {
        const struct mix_fit *fit = data->fits[i];
        if (!has_matrix(fit))
            continue;
        double *matrix = make_matrix(fit);
        if (matrix == NULL)
            return mix_fail(err, MIX_ENOMEM, "not enough memory for the matrix of %s.", fit->name);
        page_figures(page);
        plot_matrix(page, fit, matrix);
        page_figures_end(page);
        put_matrix(page, fit, matrix);
        free(matrix);
    }
    return MIX_OK;
}

const struct report_section report_transfer = {"transfer", "Transfer between domains", has_transfer,
                                               write_transfer};
