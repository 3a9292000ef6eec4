/* SPDX-License-Identifier: GPL-3.0-or-later */
/* design.c - the section on the mixtures: where in the simplex they lie, and which of them do well.
 */
#include "report/report_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One mixture of the design with the mean loss of its runs at the largest size that has it; NaN
 * where it has none there. */
struct point {
    size_t row;
    double loss;
    size_t n_losses;
};

struct points {
    size_t n;
    struct point *point; /* (n) */
    double good;         /* a loss up to this is among the best tenth; NaN = not known */
    double best, worst;
};

static bool counts(const struct report_data *data, size_t r)
{
    const struct mix_run *run = &data->table->runs[r];
    return run->is_final != 0 && run->excluded == 0 && isfinite(data->mean[r]);
}

static enum mix_status find_points(const struct report_data *data, struct points *points,
                                   struct mix_error *err)
{
    const struct mix_table *table = data->table;
    struct point *point = calloc(table->n_rows + 1, sizeof *point);
    double *losses = calloc(table->n_rows + 1, sizeof *losses);
    if (point == NULL || losses == NULL) {
        free(point);
        free(losses);
        return mix_fail(err, MIX_ENOMEM, "not enough memory for the mixtures.");
    }
    double largest = 0.0; /* size; what is left out of fits does not count */
    for (size_t r = 0; r < table->n_rows; r++) {
        point[r].row = SIZE_MAX;
        if (counts(data, r))
            largest = fmax(largest, table->runs[r].n_params);
    }
    for (size_t r = 0; r < table->n_rows; r++) {
        struct point *p = &point[table->runs[r].mixture_id];
        if (mix_run_confirms(&table->runs[r]))
            continue;
        if (p->row == SIZE_MAX)
            p->row = r;
        if (counts(data, r) && table->runs[r].n_params == largest) {
            p->loss += data->mean[r];
            p->n_losses++;
        }
    }
    size_t n = 0;
    for (size_t i = 0; i < table->n_rows; i++)
        if (point[i].row != SIZE_MAX) {
            point[n] = point[i];
            point[n].loss = point[i].n_losses > 0 ? point[i].loss / (double)point[i].n_losses : NAN;
            losses[n] = point[n].loss;
            n++;
        }
    const size_t n_known = report_sort(losses, n);
    *points =
        (struct points){n, point, report_quantile(losses, n_known, 0.1),
                        n_known > 0 ? losses[0] : NAN, n_known > 0 ? losses[n_known - 1] : NAN};
    free(losses);
    return MIX_OK;
}

static const char *domain_name(const void *names, size_t i)
{
    return ((const struct mix_table *)names)->domains[i].name;
}

static bool has_prior(const struct mix_table *table)
{
    for (size_t k = 0; k < table->n_domains; k++)
        if (!isfinite(table->domains[k].prior))
            return false;
    return true;
}

/* ---- three domains: a triangle */

static void plot_corner_point(FILE *gp, const double *share, double loss)
{
    /* corners: the first below left, the second below right, the third above */
    fprintf(gp, "%.5g %.5g", share[1] + 0.5 * share[2], 0.8660254 * share[2]);
    plot_number(gp, loss);
    fputc('\n', gp);
}

static void plot_frame(FILE *gp, const struct mix_table *table)
{
    static const double at[3][2] = {{0.0, -0.06}, {1.0, -0.06}, {0.5, 0.92}};
    fputs("unset border\nunset tics\nunset grid\nset size ratio -1\n"
          "set xrange [-0.12:1.12]\nset yrange [-0.1:0.97]\n"
          "$frame << EOD\n0 0\n1 0\n0.5 0.8660254\n0 0\n\n",
          gp);
    fputs("EOD\n$lines << EOD\n", gp);
    for (int i = 1; i < 5; i++) {
        const double s = 0.2 * i, h = 0.8660254;
        fprintf(gp, "%g %g\n%g %g\n\n", s, 0.0, 0.5 + 0.5 * s, h * (1 - s));
        fprintf(gp, "%g %g\n%g %g\n\n", s, 0.0, 0.5 * s, h * s);
        fprintf(gp, "%g %g\n%g %g\n\n", 0.5 * s, h * s, 1 - 0.5 * s, h * s);
    }
    fputs("EOD\n", gp);
    for (size_t k = 0; k < 3; k++) {
        fputs("set label ", gp);
        plot_text(gp, table->domains[k].name, 20);
        fprintf(gp, " at %g,%g center tc rgb '" PLOT_INK "'\n", at[k][0], at[k][1]);
    }
}

static void plot_triangle(struct page *page, const struct mix_table *table,
                          const struct points *points)
{
    FILE *gp = page->script;
    const size_t stride = plot_stride(points->n);
    const bool losses = points->worst > points->best, prior = has_prior(table);
    page_figure(page, "design", PLOT_WIDTH, 400,
                "The mixtures of the design; each corner is all of one domain%s%s.",
                losses ? ", the colour the mean loss at the largest size" : "",
                prior ? ", the circle the prior" : "");
    plot_frame(gp, table);
    fputs("$mixtures << EOD\n", gp);
    for (size_t i = 0; i < points->n; i += stride)
        plot_corner_point(gp, table->mixture + 3 * points->point[i].row, points->point[i].loss);
    fputs("EOD\n$prior << EOD\n", gp);
    if (prior) {
        const double share[3] = {table->domains[0].prior, table->domains[1].prior,
                                 table->domains[2].prior};
        plot_corner_point(gp, share, 0.0);
    }
    fputs("EOD\nset palette defined (0 '#1f4e8c', 0.5 '#3fa08a', 1 '#e0b13a')\n"
          "set cblabel 'mean loss' tc rgb '" PLOT_INK "'\nset colorbox horizontal user origin "
          "0.62,0.9 size 0.3,0.025\nset cbtics scale 0.5 textcolor rgb '" PLOT_INK "'\n",
          gp);
    if (losses)
        fprintf(gp, "set cbrange [%.6g:%.6g]\nset cbtics %.2g\n", points->best, points->worst,
                (points->worst - points->best) / 2.0);
    fputs("plot $lines with lines lc rgb '" PLOT_GRID "', "
          "$frame with lines lc rgb '" PLOT_MUTED "', $mixtures using 1:2",
          gp);
    fputs(losses ? ":3 with points pt 7 ps 0.7 lc palette"
                 : " with points pt 7 ps 0.6 lc rgb '" PLOT_BLUE "'",
          gp);
    fputs(prior ? ", $prior using 1:2 with points pt 6 ps 1.4 lw 2 lc rgb '" PLOT_ORANGE "'\n"
                : "\n",
          gp);
}

/* ---- any number: parallel coordinates */

static void plot_mixture(FILE *gp, const double *share, size_t n_domains)
{
    for (size_t k = 0; k < n_domains; k++)
        fprintf(gp, "%zu %.4g\n", k, share[k]);
    fputc('\n', gp);
}

static void plot_parallel(struct page *page, const struct mix_table *table,
                          const struct points *points)
{
    enum { LINES_MAX = 250 };
    const size_t n_domains = table->n_domains;
    const size_t stride = (points->n + LINES_MAX - 1) / LINES_MAX;
    const bool losses = points->worst > points->best, prior = has_prior(table);
    FILE *gp = page->script;
    page_figure(page, "design", n_domains > 6 ? 760 : PLOT_WIDTH, 380,
                "The mixtures of the design, a line each%s%s.%s",
                losses ? "; in green the tenth with the least mean loss at the largest size" : "",
                prior ? "; in orange the prior" : "", plot_thinned(stride));
    fputs("$others << EOD\n", gp);
    for (size_t i = 0; i < points->n; i += stride)
        if (!(points->point[i].loss <= points->good) || !losses)
            plot_mixture(gp, table->mixture + n_domains * points->point[i].row, n_domains);
    fputs("EOD\n$good << EOD\n", gp);
    for (size_t i = 0; i < points->n && losses; i += stride)
        if (points->point[i].loss <= points->good)
            plot_mixture(gp, table->mixture + n_domains * points->point[i].row, n_domains);
    fputs("EOD\n$prior << EOD\n", gp);
    for (size_t k = 0; k < n_domains && prior; k++)
        fprintf(gp, "%zu %.4g\n", k, table->domains[k].prior);
    fputs("EOD\n", gp);
    plot_names(gp, n_domains, domain_name, table);
    fputs("set xrange [-0.3:*]\nset autoscale xmax\n", gp);
    fprintf(gp, "set xrange [-0.3:%g]\nset yrange [0:*]\nset ylabel 'share'\n",
            (double)n_domains - 0.7);
    fputs("plot $others with lines lw 1 lc rgb '" PLOT_FAINT "', "
          "$good with lines lw 1.3 lc rgb '" PLOT_GREEN "', "
          "$prior with linespoints pt 7 ps 0.6 lw 2 lc rgb '" PLOT_ORANGE "'\n",
          gp);
}

/* ---- the table */

/* What is known of domains: columns that would be empty are left out. */
struct columns {
    bool prior, supply, epochs;
};

static struct columns find_columns(const struct mix_table *table)
{
    struct columns has = {.prior = has_prior(table)};
    for (size_t k = 0; k < table->n_domains; k++)
        has.supply = has.supply || isfinite(table->domains[k].supply_tokens);
    for (size_t i = 0; i < table->n_rows * table->n_domains; i++)
        has.epochs = has.epochs || isfinite(table->epochs[i]);
    return has;
}

static void put_domain(struct page *page, const struct mix_table *table, size_t k,
                       const struct points *points, struct columns has, double *values)
{
    char text[32];
    double epochs = NAN;
    const struct mix_domain *domain = &table->domains[k];
    for (size_t i = 0; i < points->n; i++)
        values[i] = table->mixture[points->point[i].row * table->n_domains + k];
    for (size_t r = 0; r < table->n_rows; r++)
        if (!mix_run_confirms(&table->runs[r]))
            epochs = fmax(epochs, table->epochs[r * table->n_domains + k]);
    const size_t n = report_sort(values, points->n);
    page_row(page);
    page_cell(page, "%s", domain->name);
    if (has.prior)
        page_cell(page, "%s", report_share(domain->prior, text));
    page_cell(page, "%s", report_share(report_quantile(values, n, 0.0), text));
    page_cell(page, "%s", report_share(report_quantile(values, n, 0.5), text));
    page_cell(page, "%s", report_share(report_quantile(values, n, 1.0), text));
    if (has.supply)
        page_cell(page, "%s", report_size(domain->supply_tokens, text));
    if (has.epochs)
        page_cell(page, "%s", report_number(epochs, 2, text));
}

static enum mix_status write_design(struct page *page, const struct report_data *data,
                                    struct mix_error *err)
{
    const struct mix_table *table = data->table;
    const struct columns has = find_columns(table);
    const char *heads[7] = {"domain"};
    size_t n = 1;
    if (has.prior)
        heads[n++] = "prior";
    heads[n++] = "least share";
    heads[n++] = "median";
    heads[n++] = "largest";
    if (has.supply)
        heads[n++] = "tokens there are";
    if (has.epochs)
        heads[n++] = "most epochs";
    struct points points = {0};
    double *values = calloc(table->n_rows + 1, sizeof *values);
    if (values == NULL)
        return mix_fail(err, MIX_ENOMEM, "not enough memory for the mixtures.");
    const enum mix_status status = find_points(data, &points, err);
    if (status == MIX_OK) {
        char caption[64];
        page_figures(page);
        if (table->n_domains == 3)
            plot_triangle(page, table, &points);
        else if (table->n_domains > 1)
            plot_parallel(page, table, &points);
        page_figures_end(page);
        snprintf(caption, sizeof caption, "%zu mixtures of %zu domains", points.n,
                 table->n_domains);
        page_table(page, caption, false, n, heads);
        for (size_t k = 0; k < table->n_domains; k++)
            put_domain(page, table, k, &points, has, values);
        page_table_end(page, false);
    }
    free(points.point);
    free(values);
    return status;
}

static bool has_design(const struct report_data *data)
{
    return data->table != NULL && data->table->n_rows > 0;
}

const struct report_section report_design = {"design", "Design", has_design, write_design};
