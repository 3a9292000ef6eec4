/* SPDX-License-Identifier: GPL-3.0-or-later */
/* losses.c - the section on what was measured: loss against model size and tokens. */
#include "report/report_impl.h"

#include <math.h>
#include <stdlib.h>

/* Runs that are left out of fits may be off any axis. */
static bool is_shown(const struct report_data *data, size_t r)
{
    return data->table->runs[r].status == MIX_RUN_DONE && data->table->runs[r].excluded == 0;
}

static bool has_mean(const struct report_data *data, size_t r)
{
    return is_shown(data, r) && isfinite(data->mean[r]);
}

static bool has_losses(const struct report_data *data)
{
    const struct mix_table *table = data->table;
    for (size_t r = 0; table != NULL && r < table->n_rows; r++)
        for (size_t m = 0; m < table->n_targets && is_shown(data, r); m++)
            if (isfinite(table->loss[r * table->n_targets + m]))
                return true;
    return false;
}

/* The rows behind a figure of mean losses: ends of runs, or all checkpoints. */
static size_t count_known(const struct report_data *data, bool ends)
{
    size_t n = 0;
    for (size_t r = 0; r < data->table->n_rows; r++)
        n += has_mean(data, r) && (!ends || data->table->runs[r].is_final != 0);
    return n;
}

static void plot_against_size(struct page *page, const struct report_data *data)
{
    FILE *gp = page->script;
    const struct mix_table *table = data->table;
    const size_t n_known = count_known(data, true), stride = plot_stride(n_known);
    page_figure(page, "loss-size", PLOT_WIDTH, PLOT_HEIGHT,
                "Mean loss of every run against the size of its model; the line joins the best "
                "mixture of each size.%s",
                plot_thinned(stride));
    fputs("$runs << EOD\n", gp);
    for (size_t r = 0, n = 0; r < table->n_rows; r++)
        if (has_mean(data, r) && table->runs[r].is_final != 0 && n++ % stride == 0)
            fprintf(gp, "%.6g %.6g\n", table->runs[r].n_params, data->mean[r]);
    fputs("EOD\n$best << EOD\n", gp);
    for (size_t s = 0; s < data->n_sizes; s++) {
        double best = INFINITY;
        for (size_t r = 0; r < table->n_rows; r++)
            if (table->runs[r].n_params == data->sizes[s] && table->runs[r].is_final != 0)
                best = fmin(best, has_mean(data, r) ? data->mean[r] : best);
        if (isfinite(best))
            fprintf(gp, "%.6g %.6g\n", data->sizes[s], best);
    }
    fputs("EOD\n", gp);
    plot_powers(gp, "x", data->sizes[0], data->sizes[data->n_sizes - 1]);
    fputs("set xlabel 'parameters'\nset ylabel 'mean loss'\n"
          "plot $runs with points pt 7 ps 0.35 lc rgb '" PLOT_FAINT "', "
          "$best with linespoints pt 7 ps 0.5 lw 1.5 lc rgb '" PLOT_BLUE "'\n",
          gp);
}

static void plot_against_tokens(struct page *page, const struct report_data *data, double least,
                                double most)
{
    enum { GROUPS = PLOT_STEPS };
    FILE *gp = page->script;
    const struct mix_table *table = data->table;
    const size_t stride = plot_stride(count_known(data, false));
    const size_t n_groups = data->n_sizes < GROUPS ? data->n_sizes : GROUPS;
    char from[16], to[16];
    page_figure(page, "loss-tokens", PLOT_WIDTH, PLOT_HEIGHT,
                "Mean loss of every checkpoint against the tokens it has seen, by model size.%s",
                plot_thinned(stride));
    for (size_t g = 0; g < n_groups; g++) {
        fprintf(gp, "$size%zu << EOD\n", g);
        for (size_t r = 0, n = 0; r < table->n_rows; r++)
            if (has_mean(data, r) && n++ % stride == 0 &&
                report_size_index(data, table->runs[r].n_params) * n_groups / data->n_sizes == g)
                fprintf(gp, "%.6g %.6g\n", table->runs[r].n_tokens, data->mean[r]);
        fputs("EOD\n", gp);
    }
    plot_powers(gp, "x", least, most);
    fputs("set xlabel 'tokens'\nset ylabel 'mean loss'\n"
          "set key outside top center horizontal\nplot ",
          gp);
    for (size_t g = 0; g < n_groups; g++) {
        size_t first = 0, last = 0;
        for (size_t s = data->n_sizes; s-- > 0;)
            if (s * n_groups / data->n_sizes == g) {
                first = s;
                last = s > last ? s : last;
            }
        report_size(data->sizes[first], from);
        report_size(data->sizes[last], to);
        fprintf(gp, "%s$size%zu with points pt 7 ps 0.35 lc rgb '%s' title '%s%s%s'",
                g > 0 ? ", " : "", g, plot_step(g, n_groups), from, first < last ? "–" : "",
                first < last ? to : "");
    }
    fputc('\n', gp);
}

/* Mean, least and largest loss of a target over the ends of runs of a size. */
static void put_target(struct page *page, const struct report_data *data, size_t m)
{
    const struct mix_table *table = data->table;
    page_row(page);
    page_cell(page, "%s", table->targets[m].name);
    page_cell(page, "%s%s", table->targets[m].unit,
              table->targets[m].direction > 0 ? ", higher is better" : "");
    page_cell(page, "%g", table->targets[m].weight);
    for (size_t s = 0; s < data->n_sizes; s++) {
        double sum = 0.0, least = INFINITY, largest = -INFINITY;
        size_t n = 0;
        for (size_t r = 0; r < table->n_rows; r++) {
            const struct mix_run *run = &table->runs[r];
            const double loss = table->loss[r * table->n_targets + m];
            if (run->n_params != data->sizes[s] || !run->is_final || !is_shown(data, r) ||
                !isfinite(loss))
                continue;
            sum += loss;
            least = fmin(least, loss);
            largest = fmax(largest, loss);
            n++;
        }
        if (n > 0)
            page_cell(page, "%#.4g (%#.4g … %#.4g)", sum / (double)n, least, largest);
        else
            page_cell(page, "–");
    }
}

/* What the figures do not show. */
static void put_left_out(struct page *page, const struct report_data *data)
{
    const struct mix_table *table = data->table;
    size_t n_scores = 0, n_left = 0;
    for (size_t m = 0; m < table->n_targets; m++)
        n_scores += table->targets[m].direction > 0;
    for (size_t r = 0; r < table->n_rows; r++) {
        const struct mix_run *run = &table->runs[r];
        n_left += run->status == MIX_RUN_DONE && run->is_final != 0 && run->excluded != 0 &&
                  !mix_run_confirms(run);
    }
    if (n_left > 0)
        page_element(page, "p", "%zu run%s left out of fits %s not shown here.", n_left,
                     n_left == 1 ? "" : "s", n_left == 1 ? "is" : "are");
    if (n_scores > 0)
        page_element(page, "p",
                     "%zu of %zu targets are scores, which are better when higher: they are in the "
                     "table, not in mean losses.",
                     n_scores, table->n_targets);
}

static enum mix_status write_losses(struct page *page, const struct report_data *data,
                                    struct mix_error *err)
{
    enum { SIZES_MAX = 12 };
    const char *heads[3 + SIZES_MAX] = {"target", "unit", "weight"};
    char texts[SIZES_MAX][16];
    const struct mix_table *table = data->table;
    double least = INFINITY, most = 0.0; /* tokens */
    (void)err;
    for (size_t r = 0; r < table->n_rows; r++)
        if (has_mean(data, r)) {
            least = fmin(least, table->runs[r].n_tokens);
            most = fmax(most, table->runs[r].n_tokens);
        }
    put_left_out(page, data);
    page_figures(page);
    if (data->n_sizes > 1 && count_known(data, true) > 0)
        plot_against_size(page, data);
    if (most > least)
        plot_against_tokens(page, data, least, most);
    page_figures_end(page);
    if (data->n_sizes > SIZES_MAX)
        return MIX_OK; /* a table this wide says nothing */
    for (size_t s = 0; s < data->n_sizes; s++)
        heads[3 + s] = report_size(data->sizes[s], texts[s]);
    page_table(page, "Mean (least … largest) of each target by model size", false,
               3 + data->n_sizes, heads);
    for (size_t m = 0; m < table->n_targets; m++)
        put_target(page, data, m);
    page_table_end(page, false);
    return MIX_OK;
}

const struct report_section report_losses = {"losses", "Losses", has_losses, write_losses};
