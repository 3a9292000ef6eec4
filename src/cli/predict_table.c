/* SPDX-License-Identifier: GPL-3.0-or-later */
/* predict_table.c - a fit on a table of runs: scores, and each run's losses with their intervals.
 */
#include "predict_impl.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/csv.h"

/* Intervals (R,M) of each loss in each row of a table. */
struct ranges {
    struct mix_interval *loss; /* over the draws; NULL = no bootstrap, or not asked for */
    struct mix_interval *wide; /* with all known errors */
};

/* The mixture of a row in the fit's order of domains. */
static void mixture_of(const struct mix_fit *fit, const struct mix_table *table, size_t row,
                       double *mixture)
{
    for (size_t j = 0; j < fit->spec.n_domains; j++)
        mixture[j] = table->mixture[row * table->n_domains +
                                    (size_t)mix_table_domain(table, fit->domains[j])];
}

static enum mix_status widen_rows(const struct predict_asked *a, const struct predict_session *s,
                                  const struct mix_table *table, struct ranges *ranges,
                                  struct mix_error *err)
{
    const size_t n = s->fit->spec.n_targets;
    struct mix_draws without = *s->draws; /* what resampling knows is in the intervals */
    struct mix_error_budget *budget = malloc((n + 1) * sizeof *budget);
    double *mixture = malloc(s->fit->spec.n_domains * sizeof *mixture);
    enum mix_status status = MIX_OK;
    without.n_draws = 0;
    if (budget == NULL || mixture == NULL)
        status = mix_fail(err, MIX_ENOMEM, "out of memory for %zu targets", n);
    for (size_t r = 0; r < table->n_rows && status == MIX_OK; r++) {
        mixture_of(s->fit, table, r, mixture);
        status = predict_budget(s, &without, mixture, table->runs[r].n_params,
                                table->runs[r].n_tokens, budget, err);
        for (size_t m = 0; m < n && status == MIX_OK; m++)
            ranges->wide[r * n + m] =
                mix_error_budget_widen(&budget[m], ranges->loss[r * n + m], a->level);
    }
    free(budget);
    free(mixture);
    return status;
}

static enum mix_status find_ranges(const struct predict_asked *a, const struct predict_session *s,
                                   const struct mix_table *table, struct ranges *ranges,
                                   struct mix_error *err)
{
    const size_t n = table->n_rows * s->fit->spec.n_targets;
    ranges->loss = malloc(n * sizeof *ranges->loss);
    ranges->wide = malloc(n * sizeof *ranges->wide);
    if (ranges->loss == NULL || ranges->wide == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu runs", table->n_rows);
    const enum mix_status status =
        mix_predict_losses(s->fit, s->draws, table, a->level, ranges->loss, err);
    return status == MIX_OK ? widen_rows(a, s, table, ranges, err) : status;
}

static void write_head(FILE *out, const struct mix_fit *fit, const struct ranges *ranges)
{
    static const char *const columns[] = {"loss", "pred", "lo", "hi", "wide_lo", "wide_hi"};
    const size_t n = ranges->loss != NULL ? 6 : 2;
    fprintf(out, "run,n_params,n_tokens,key");
    for (size_t m = 0; m < fit->spec.n_targets; m++)
        for (size_t c = 0; c < n; c++) {
            char name[MIX_NAME_MAX + 16];
            snprintf(name, sizeof name, "%s_%s", columns[c], fit->targets[m]);
            fputc(',', out);
            cli_csv_text(out, name);
        }
    fputc('\n', out);
}

static void write_predictions(FILE *out, const struct mix_fit *fit, const struct mix_table *table,
                              const struct mix_prediction *p, const struct ranges *ranges)
{
    write_head(out, fit, ranges);
    for (size_t r = 0; r < p->n_rows; r++) {
        const struct mix_run *run = &table->runs[r];
        cli_csv_text(out, run->run);
        fputc(',', out);
        cli_csv_number(out, run->n_params);
        fputc(',', out);
        cli_csv_number(out, run->n_tokens);
        fprintf(out, ",%016llx%016llx", (unsigned long long)run->key.hi,
                (unsigned long long)run->key.lo);
        for (size_t m = 0; m < p->n_targets; m++) {
            const size_t at = r * p->n_targets + m, n = ranges->loss != NULL ? 6 : 2;
            const int target = mix_table_target(table, fit->targets[m]);
            double numbers[6] = {target < 0 ? NAN
                                            : table->loss[r * table->n_targets + (size_t)target],
                                 p->predicted[at]};
            if (ranges->loss != NULL) {
                numbers[2] = ranges->loss[at].lo;
                numbers[3] = ranges->loss[at].hi;
                numbers[4] = ranges->wide[at].lo;
                numbers[5] = ranges->wide[at].hi;
            }
            for (size_t i = 0; i < n; i++) {
                fputc(',', out);
                cli_csv_number(out, numbers[i]);
            }
        }
        fputc('\n', out);
    }
}

static enum mix_status write_file(const struct predict_asked *a, const struct mix_fit *fit,
                                  const struct mix_table *table, const struct mix_prediction *p,
                                  const struct ranges *ranges, struct mix_error *err)
{
    const char *const inputs[] = {a->path, a->table};
    struct cli_output output;
    const enum mix_status status = cli_output_open(&output, a->output, a->force, 2, inputs, err);
    if (status != MIX_OK)
        return status;
    write_predictions(output.file, fit, table, p, ranges);
    return cli_output_close(&output, MIX_OK, err);
}

static void cell_percent(struct cli_table *lines, double value)
{
    if (isnan(value))
        cli_table_cell(lines, "–");
    else
        cli_table_cell(lines, "%.2f%%", 100.0 * value);
}

static void cell_number(struct cli_table *lines, const char *format, double value)
{
    if (isnan(value))
        cli_table_cell(lines, "–");
    else if (strcmp(format, "%.3f") == 0)
        cli_table_cell(lines, "%.3f", value);
    else
        cli_table_cell(lines, "%.4f", value);
}

static void print_headings(struct cli_table *lines, size_t n, const char *const *headings)
{
    for (size_t i = 0; i < n; i++)
        cli_table_cell(lines, "%s", headings[i]);
}

static void print_targets(const struct mix_fit *fit, const struct mix_prediction *p)
{
    static const char *const headings[] = {"target", "losses", "MRE", "MAE", "RMSE", "ρ", "skill"};
    struct cli_table *lines = cli_table_create(7);
    print_headings(lines, 7, headings);
    for (size_t m = 0; m <= p->n_targets; m++) {
        const struct mix_metrics *metrics = m < p->n_targets ? &p->by_target[m] : &p->all;
        if (m < p->n_targets && !p->measured[m])
            continue;
        cli_table_cell(lines, "%s", m < p->n_targets ? fit->targets[m] : "all");
        cli_table_cell(lines, "%zu", metrics->n);
        cell_percent(lines, metrics->mre);
        cell_number(lines, "%.4f", metrics->mae);
        cell_number(lines, "%.4f", metrics->rmse);
        cell_number(lines, "%.3f", metrics->rho);
        cell_number(lines, "%.3f", metrics->skill);
    }
    cli_table_print(lines, stdout, "  ");
    cli_table_destroy(lines);
}

static void print_scales(const struct mix_prediction *p)
{
    static const char *const headings[] = {"size", "tokens", "losses", "MRE", "ρ", "regret"};
    char text[16];
    struct cli_table *lines = cli_table_create(6);
    print_headings(lines, 6, headings);
    for (size_t i = 0; i < p->n_scales; i++) {
        const struct mix_prediction_scale *scale = &p->by_scale[i];
        cli_table_cell(lines, "%s", cli_size(scale->n_params, text));
        cli_table_cell(lines, "%s", cli_size(scale->n_tokens, text));
        cli_table_cell(lines, "%zu", scale->metrics.n);
        cell_percent(lines, scale->metrics.mre);
        cell_number(lines, "%.3f", scale->metrics.rho);
        cell_number(lines, "%.4f", scale->metrics.regret);
    }
    cli_table_print(lines, stdout, "  ");
    cli_table_destroy(lines);
}

static void print_score(const struct predict_asked *a, const struct mix_fit *fit,
                        const struct mix_prediction *p)
{
    const struct mix_metrics *all = &p->all;
    printf("predict    fit %s (%s) on %s: %zu runs, %zu losses\n\n", fit->name, fit->spec.law,
           a->table, p->n_rows, all->n);
    print_targets(fit, p);
    printf("\n");
    print_scales(p);
    if (all->n > 0) /* of losses; a table may have scores alone */
        printf("\n  MRE %.2f%%, ρ %.3f, regret %.4f, slope %.2f, skill %.3f\n", 100.0 * all->mre,
               all->rho, all->regret, all->slope, all->skill);
    if (p->n_scored < p->n_targets)
        printf("  %zu of the fit's %zu targets are not measured here\n", p->n_targets - p->n_scored,
               p->n_targets);
    if (p->n_ignored > 0)
        printf("  %zu target%s of the table ignored: unknown to the fit\n", p->n_ignored,
               p->n_ignored == 1 ? "" : "s");
    if (all->n_left_out > 0)
        printf("  %zu mixture%s left out of ρ, regret and slope: a target is "
               "missing\n",
               all->n_left_out, all->n_left_out == 1 ? "" : "s");
}

static json_t *json_metrics(const struct mix_metrics *metrics)
{
    return json_pack("{s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "n",
                     (json_int_t)metrics->n, "left_out", (json_int_t)metrics->n_left_out, "mse",
                     cli_json_number(metrics->mse), "mre", cli_json_number(metrics->mre), "mae",
                     cli_json_number(metrics->mae), "rmse", cli_json_number(metrics->rmse), "rho",
                     cli_json_number(metrics->rho), "regret", cli_json_number(metrics->regret),
                     "slope", cli_json_number(metrics->slope), "skill",
                     cli_json_number(metrics->skill));
}

static void print_coverage(const struct predict_asked *a, const struct mix_prediction_intervals *i)
{
    if (i->mean == NULL || i->n == 0)
        return;
    printf("  the %g%% interval of the mean loss (draws and residual noise) covers %.0f%% of %zu "
           "runs\n",
           100.0 * a->level, 100.0 * (double)i->n_covered / (double)i->n, i->n);
}

static json_t *json_coverage(const struct predict_asked *a,
                             const struct mix_prediction_intervals *i)
{
    return json_pack("{s:o, s:I, s:I, s:o}", "level", cli_json_number(a->level), "n",
                     (json_int_t)i->n, "covered", (json_int_t)i->n_covered, "share",
                     cli_json_number((double)i->n_covered / (double)i->n));
}

static json_t *json_ranges(const struct mix_fit *fit, size_t row, const struct ranges *ranges)
{
    json_t *object = json_object();
    for (size_t m = 0; m < fit->spec.n_targets; m++) {
        const size_t at = row * fit->spec.n_targets + m;
        json_object_set_new(object, fit->targets[m],
                            cli_json_intervals(ranges->loss[at], &ranges->wide[at], NULL));
    }
    return object;
}

static json_t *json_predictions(const struct mix_fit *fit, const struct mix_table *table,
                                const struct mix_prediction *p,
                                const struct mix_prediction_intervals *intervals,
                                const struct ranges *ranges)
{
    json_t *list = json_array();
    for (size_t r = 0; r < p->n_rows; r++) {
        json_t *losses = json_object();
        for (size_t m = 0; m < p->n_targets; m++)
            json_object_set_new(losses, fit->targets[m],
                                cli_json_number(p->predicted[r * p->n_targets + m]));
        json_t *row =
            json_pack("{s:s, s:f, s:f, s:o}", "run", table->runs[r].run, "n_params",
                      table->runs[r].n_params, "n_tokens", table->runs[r].n_tokens, "loss", losses);
        if (intervals->mean != NULL)
            json_object_set_new(row, "mean", cli_json_interval(intervals->mean[r]));
        if (ranges->loss != NULL)
            json_object_set_new(row, "intervals", json_ranges(fit, r, ranges));
        json_array_append_new(list, row);
    }
    return list;
}

static json_t *json_score(const struct mix_fit *fit, const struct mix_prediction *p)
{
    json_t *root = json_metrics(&p->all), *by_target = json_object(), *by_scale = json_array();
    for (size_t m = 0; m < p->n_targets; m++)
        if (p->measured[m])
            json_object_set_new(by_target, fit->targets[m], json_metrics(&p->by_target[m]));
    for (size_t i = 0; i < p->n_scales; i++) {
        json_t *scale = json_metrics(&p->by_scale[i].metrics);
        json_object_set_new(scale, "n_params", cli_json_number(p->by_scale[i].n_params));
        json_object_set_new(scale, "n_tokens", cli_json_number(p->by_scale[i].n_tokens));
        json_array_append_new(by_scale, scale);
    }
    json_object_set_new(root, "by_target", by_target);
    json_object_set_new(root, "by_scale", by_scale);
    return root;
}

static enum mix_status print_table_json(const struct predict_asked *a, const struct mix_fit *fit,
                                        const struct mix_table *table,
                                        const struct mix_prediction *p,
                                        const struct mix_prediction_intervals *intervals,
                                        const struct ranges *ranges, struct mix_error *err)
{
    const bool scored = p->n_scored > 0;
    json_t *root = scored ? json_score(fit, p) : json_pack("{s:i}", "n", 0);
    if (!scored)
        json_object_set_new(root, "predictions",
                            json_predictions(fit, table, p, intervals, ranges));
    if (intervals->n > 0)
        json_object_set_new(root, "interval", json_coverage(a, intervals));
    json_object_set_new(root, "law", json_string(fit->spec.law));
    json_object_set_new(root, "fit", json_string(fit->name));
    json_object_set_new(root, "runs", json_integer((json_int_t)p->n_rows));
    json_object_set_new(root, "ignored_targets", json_integer((json_int_t)p->n_ignored));
    return predict_print_json(root, a, err);
}

static enum mix_status read_table(const struct predict_asked *a, struct mix_table **table,
                                  struct mix_error *err)
{
    const struct mix_import import = {.path = a->table,
                                      .n_params = NAN,
                                      .n_tokens = NAN,
                                      .where = a->where.item,
                                      .n_where = a->where.n,
                                      .checkpoints = a->checkpoints != NULL &&
                                                             strcmp(a->checkpoints, "all") == 0
                                                         ? MIX_CHECKPOINTS_ALL
                                                         : MIX_CHECKPOINTS_LAST,
                                      .without_losses_ok = true};
    const enum mix_status status = mix_csv_import(&import, table, NULL, err);
    return status == MIX_OK && (*table)->n_rows == 0
               ? mix_fail(err, MIX_EINVAL, "%s: no row is left to predict.", a->table)
               : status;
}

enum mix_status predict_table(const struct predict_asked *a, const struct predict_session *s,
                              struct mix_error *err)
{
    const struct mix_fit *fit = s->fit;
    struct mix_table *table = NULL;
    struct mix_prediction *p = NULL;
    struct mix_prediction_intervals intervals = {.mean = NULL};
    struct ranges ranges = {.loss = NULL};
    enum mix_status status = read_table(a, &table, err);
    if (status == MIX_OK)
        status = mix_predict_table(fit, table, &p, err);
    if (status == MIX_OK && s->draws != NULL)
        status = mix_predict_intervals(fit, s->draws, table, a->level, &intervals, err);
    if (status == MIX_OK && s->draws != NULL && (a->output != NULL || p->n_scored == 0))
        status = find_ranges(a, s, table, &ranges, err);
    if (status == MIX_OK && a->output != NULL)
        status = write_file(a, fit, table, p, &ranges, err);
    if (status == MIX_OK && a->json)
        status = print_table_json(a, fit, table, p, &intervals, &ranges, err);
    else if (status == MIX_OK && p->n_scored > 0) {
        print_score(a, fit, p);
        print_coverage(a, &intervals);
    } else if (status == MIX_OK && a->output == NULL)
        write_predictions(stdout, fit, table, p, &ranges);
    free(ranges.loss);
    free(ranges.wide);
    mix_prediction_intervals_clear(&intervals);
    mix_prediction_destroy(p);
    mix_table_destroy(table);
    return status;
}
