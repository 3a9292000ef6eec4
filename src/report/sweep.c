/* SPDX-License-Identifier: GPL-3.0-or-later */
/* sweep.c - the section on the runs: what is done, what failed, how long it took, what it cost. */
#include "report/report_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/sweep.h"

/* The runs of one size: the rows of its runs' ends, whatever became of them. */
struct tally {
    size_t n_done, n_failed, n_other, n_excluded, n_retried, n_planned;
    double wall_s, flops, planned_flops;
};

static bool is_end(const struct mix_run *run)
{
    return run->is_final != 0 || run->status != MIX_RUN_DONE;
}

static void count_run(struct tally *tally, const struct mix_run *run)
{
    tally->n_done += run->status == MIX_RUN_DONE;
    tally->n_failed += run->status == MIX_RUN_FAILED;
    tally->n_other += run->status == MIX_RUN_INTERRUPTED;
    tally->n_excluded += run->excluded != 0;
    tally->n_retried += run->attempts > 1;
    tally->wall_s += isfinite(run->wall_s) ? run->wall_s : 0.0;
    if (run->status == MIX_RUN_DONE && isfinite(run->flops))
        tally->flops += run->flops;
}

static enum mix_status count_planned(const struct report_data *data, struct tally *tallies,
                                     struct mix_error *err)
{
    struct mix_plan *plan = NULL;
    struct mix_planned planned;
    size_t shard, n_shards;
    if (data->job == NULL)
        return MIX_OK;
    const enum mix_status status = mix_plan_create(data->job, &plan, err);
    if (status != MIX_OK)
        return status;
    mix_shard_of_file(data->path, &shard, &n_shards);
    for (size_t i = 0; i < mix_plan_n_runs(plan); i++) {
        mix_plan_run(plan, i, &planned);
        if (!mix_shard_has(shard, n_shards, planned.run.key))
            continue;
        const size_t s = report_size_index(data, planned.run.n_params);
        if (data->sizes[s] != planned.run.n_params)
            continue; /* nothing of this size has run */
        tallies[s].n_planned++;
        tallies[s].planned_flops += planned.run.flops;
    }
    mix_plan_destroy(plan);
    return MIX_OK;
}

static void put_flops(struct page *page, double flops)
{
    if (flops > 0.0)
        page_cell(page, "%.3g", flops);
    else
        page_cell(page, "–");
}

static void put_tally(struct page *page, const char *name, const struct tally *t, bool planned)
{
    char text[16];
    page_row(page);
    page_cell(page, "%s", name);
    if (planned)
        page_cell(page, "%zu", t->n_planned);
    page_cell(page, "%zu", t->n_done);
    page_cell(page, "%zu", t->n_failed);
    page_cell(page, "%zu", t->n_other);
    page_cell(page, "%zu", t->n_retried);
    page_cell(page, "%zu", t->n_excluded);
    page_cell(page, "%s", t->wall_s > 0.0 ? report_duration(t->wall_s, text) : "–");
    put_flops(page, t->flops);
    if (planned)
        put_flops(page, t->planned_flops);
}

static void put_tallies(struct page *page, const struct report_data *data,
                        const struct tally *tallies)
{
    static const char *const with_plan[] = {
        "parameters", "planned",  "done",        "failed",       "interrupted",
        "retried",    "left out", "time in all", "FLOP of done", "FLOP planned"};
    static const char *const without[] = {"parameters", "done",     "failed",      "interrupted",
                                          "retried",    "left out", "time in all", "FLOP of done"};
    const bool planned = data->job != NULL;
    struct tally sum = {0};
    char text[16];
    page_table(page, "Runs by size", false, planned ? 10 : 8, planned ? with_plan : without);
    for (size_t s = 0; s < data->n_sizes; s++) {
        const struct tally *t = &tallies[s];
        put_tally(page, report_size(data->sizes[s], text), t, planned);
        sum.n_planned += t->n_planned;
        sum.n_done += t->n_done;
        sum.n_failed += t->n_failed;
        sum.n_other += t->n_other;
        sum.n_retried += t->n_retried;
        sum.n_excluded += t->n_excluded;
        sum.wall_s += t->wall_s;
        sum.flops += t->flops;
        sum.planned_flops += t->planned_flops;
    }
    if (data->n_sizes > 1)
        put_tally(page, "all", &sum, planned);
    page_table_end(page, false);
}

static void put_origin(struct page *page, const char *name, const struct tally *tally)
{
    page_row(page);
    page_cell(page, "%s", name);
    page_cell(page, "%zu", tally->n_done);
    page_cell(page, "%zu", tally->n_failed);
    page_cell(page, "%zu", tally->n_other);
    put_flops(page, tally->flops);
}

/* Where runs come from: the design, the rounds that were chosen after it, the confirmation. */
static void put_origins(struct page *page, const struct mix_table *table)
{
    static const char *const heads[] = {"origin", "done", "failed", "not done", "FLOP of done"};
    struct tally confirming = {0};
    int last = 0;
    bool confirms = false;
    for (size_t r = 0; r < table->n_rows; r++) {
        const struct mix_run *run = &table->runs[r];
        last = run->round > last ? run->round : last;
        confirms = confirms || mix_run_confirms(run);
        if (mix_run_confirms(run) && is_end(run))
            count_run(&confirming, run);
    }
    if (last == 0 && !confirms)
        return;
    page_table(page, "Runs by origin", false, 5, heads);
    for (int round = 0; round <= last; round++) {
        struct tally tally = {0};
        char name[32] = "design";
        for (size_t r = 0; r < table->n_rows; r++)
            if (table->runs[r].round == round && is_end(&table->runs[r]) &&
                !mix_run_confirms(&table->runs[r]))
                count_run(&tally, &table->runs[r]);
        if (round > 0)
            snprintf(name, sizeof name, "chosen in round %d", round);
        put_origin(page, name, &tally);
    }
    if (confirms)
        put_origin(page, "confirmation", &confirming);
    page_table_end(page, false);
}

/* What somebody has left out of the fits, and why. */
static void put_excluded(struct page *page, const struct mix_table *table)
{
    enum { SHOWN = 50 };
    static const char *const heads[] = {"run", "parameters", "tokens", "reason"};
    char size[16], tokens[16];
    size_t n = 0;
    for (size_t r = 0; r < table->n_rows; r++) {
        const struct mix_run *run = &table->runs[r];
        if (run->excluded == 0 || mix_run_confirms(run) || !is_end(run) || n++ >= SHOWN)
            continue;
        if (n == 1)
            page_table(page, "Runs that are left out of fits", false, 4, heads);
        page_row(page);
        page_cell(page, "%s", run->run);
        page_cell(page, "%s", report_size(run->n_params, size));
        page_cell(page, "%s", report_size(run->n_tokens, tokens));
        page_cell(page, "%s", run->reason[0] != '\0' ? run->reason : "not given");
    }
    if (n > 0)
        page_table_end(page, false);
    if (n > SHOWN)
        page_element(page, "p", "%zu more: mixsweep export has them.", n - SHOWN);
}

static void put_failures(struct page *page, const struct mix_table *table)
{
    enum { SHOWN = 50 };
    static const char *const heads[] = {"run", "parameters", "attempts", "host", "reason"};
    char text[16];
    size_t n = 0;
    for (size_t r = 0; r < table->n_rows; r++) {
        const struct mix_run *run = &table->runs[r];
        if (run->status != MIX_RUN_FAILED || n++ >= SHOWN)
            continue;
        if (n == 1)
            page_table(page, "Failed runs", false, 5, heads);
        page_row(page);
        page_cell(page, "%s", run->run);
        page_cell(page, "%s", report_size(run->n_params, text));
        page_cell(page, "%d", run->attempts);
        page_cell(page, "%s", run->host);
        char *reason = mix_run_reason(table, r);
        page_cell(page, "%s", reason != NULL && reason[0] != '\0' ? reason : "not given");
        free(reason);
    }
    if (n > 0)
        page_table_end(page, false);
    if (n > SHOWN)
        page_element(page, "p", "%zu more failed runs: mixsweep status --format json has them.",
                     n - SHOWN);
}

/* Where sizes repeat, points of one size would hide each other: spread them by the golden ratio. */
static double spread(size_t i)
{
    return 0.7 * (fmod(0.6180339887498949 * (double)i, 1.0) - 0.5);
}

static void plot_size_names(FILE *script, const struct report_data *data)
{
    char text[16];
    fputs("set xtics scale 0 (", script);
    for (size_t s = 0; s < data->n_sizes; s++)
        if (data->n_sizes <= 8 || s % (data->n_sizes / 6) == 0)
            fprintf(script, "%s'%s' %zu", s > 0 ? ", " : "", report_size(data->sizes[s], text), s);
    fprintf(script, ")\nset xrange [-0.5:%g]\nset xlabel 'parameters'\n",
            (double)data->n_sizes - 0.5);
}

static void plot_times(struct page *page, const struct report_data *data, size_t n_timed)
{
    const struct mix_table *table = data->table;
    const size_t stride = plot_stride(n_timed);
    FILE *gp = page->script;
    page_figure(page, "time-per-run", PLOT_WIDTH, PLOT_HEIGHT,
                "Time per run against the size of its model; failed runs as crosses.%s",
                plot_thinned(stride));
    fputs("$time << EOD\n", gp);
    for (size_t r = 0, n = 0; r < table->n_rows; r++) {
        const struct mix_run *run = &table->runs[r];
        if (!is_end(run) || mix_run_confirms(run) || !(run->wall_s > 0.0) || n++ % stride != 0)
            continue;
        const bool failed = run->status == MIX_RUN_FAILED;
        const double x = (double)report_size_index(data, run->n_params) + spread(n);
        fprintf(gp, "%.4g %.6g NaN\n", x, failed ? NAN : run->wall_s);
        if (failed)
            fprintf(gp, "%.4g NaN %.6g\n", x, run->wall_s);
    }
    fputs("EOD\n", gp);
    plot_size_names(gp, data);
    fputs("set logscale y\nset ylabel 'seconds'\n"
          "plot $time using 1:2 with points pt 7 ps 0.35 lc rgb '" PLOT_BLUE "', "
          "$time using 1:3 with points pt 2 ps 0.6 lc rgb '" PLOT_ORANGE "'\n",
          gp);
}

struct moment {
    double ended;
    double flops;
};

static int compare_moments(const void *a, const void *b)
{
    const double x = ((const struct moment *)a)->ended, y = ((const struct moment *)b)->ended;
    return (x > y) - (x < y);
}

static enum mix_status plot_progress(struct page *page, const struct report_data *data,
                                     struct mix_error *err)
{
    const struct mix_table *table = data->table;
    struct moment *moments = calloc(table->n_rows + 1, sizeof *moments);
    size_t n = 0;
    if (moments == NULL)
        return mix_fail(err, MIX_ENOMEM, "not enough memory for the times of %zu runs.",
                        table->n_rows);
    for (size_t r = 0; r < table->n_rows; r++)
        if (table->runs[r].is_final != 0 && table->runs[r].status == MIX_RUN_DONE &&
            isfinite(table->runs[r].ended))
            moments[n++] = (struct moment){table->runs[r].ended, table->runs[r].flops};
    if (n > 1)
        qsort(moments, n, sizeof *moments, compare_moments);
    const double began = moments[0].ended, span = n > 1 ? moments[n - 1].ended - began : 0.0;
    if (span > 0.0) {
        const double unit = span < 600.0 ? 1.0 : span < 36000.0 ? 60.0 : 3600.0;
        const size_t stride = plot_stride(n);
        FILE *gp = page->script;
        page_figure(page, "runs-done", PLOT_WIDTH, PLOT_HEIGHT,
                    "Runs done over time, counted from the first that ended.");
        fputs("$done << EOD\n", gp);
        for (size_t i = 0; i < n; i++)
            if (i % stride == 0 || i + 1 == n)
                fprintf(gp, "%.6g %zu\n", (moments[i].ended - began) / unit, i + 1);
        fprintf(gp, "EOD\nset xlabel '%s'\nset ylabel 'runs'\nset yrange [0:*]\n",
                unit == 1.0    ? "seconds"
                : unit == 60.0 ? "minutes"
                               : "hours");
        fputs("plot $done with steps lw 2 lc rgb '" PLOT_BLUE "'\n", gp);
    }
    free(moments);
    return MIX_OK;
}

static bool has_runs(const struct report_data *data)
{
    return data->table != NULL && data->table->n_rows > 0;
}

static enum mix_status write_sweep(struct page *page, const struct report_data *data,
                                   struct mix_error *err)
{
    const struct mix_table *table = data->table;
    struct tally *tallies = calloc(data->n_sizes + 1, sizeof *tallies);
    size_t n_timed = 0;
    if (tallies == NULL)
        return mix_fail(err, MIX_ENOMEM, "not enough memory for %zu sizes.", data->n_sizes);
    enum mix_status status = count_planned(data, tallies, err);
    for (size_t r = 0; r < table->n_rows; r++)
        if (is_end(&table->runs[r]) && !mix_run_confirms(&table->runs[r])) {
            count_run(&tallies[report_size_index(data, table->runs[r].n_params)], &table->runs[r]);
            n_timed += table->runs[r].wall_s > 0.0;
        }
    put_tallies(page, data, tallies);
    put_origins(page, table);
    put_failures(page, table);
    put_excluded(page, table);
    page_figures(page);
    if (n_timed > 1)
        plot_times(page, data, n_timed);
    if (status == MIX_OK)
        status = plot_progress(page, data, err);
    page_figures_end(page);
    free(tallies);
    return status;
}

const struct report_section report_sweep = {"sweep", "Sweep", has_runs, write_sweep};
