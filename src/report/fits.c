/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fits.c - the section on fits: predicted against observed, residuals, what the law is worth beside
 * its floors, parameters. */
#include "report/report_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One loss, as observed and as the fit says. */
struct pair {
    double observed, predicted;
    uint32_t target;
    uint32_t size; /* of data->sizes */
    bool seen;     /* the fit was made from it */
};

struct pairs {
    size_t n, n_seen;
    struct pair *pair;
};

/* ---- the numbers */

/* Mark the losses that a fit selects: (R,M) of the fit's targets. */
static enum mix_status mark_seen(const struct mix_table *table, const struct mix_fit *fit,
                                 uint8_t *seen)
{
    struct mix_data *selected = NULL;
    const enum mix_status status = mix_table_select(table, &fit->selection, &selected, NULL);
    if (status != MIX_OK || selected->n_targets != fit->spec.n_targets) {
        mix_data_destroy(selected);
        return status;
    }
    for (size_t i = 0; i < selected->n_rows; i++)
        for (size_t m = 0; m < selected->n_targets; m++)
            if (selected->weight[i * selected->n_targets + m] > 0.0)
                seen[selected->row[i] * selected->n_targets + m] = 1;
    mix_data_destroy(selected);
    return MIX_OK;
}

static void collect_pairs(const struct report_data *data, const struct mix_fit *fit,
                          const double *predicted, const uint8_t *seen, struct pairs *pairs)
{
    const struct mix_table *table = data->table;
    const size_t n_targets = fit->spec.n_targets;
    for (size_t m = 0; m < n_targets; m++) {
        const int at = mix_table_target(table, fit->targets[m]);
        for (size_t r = 0; at >= 0 && r < table->n_rows; r++) {
            const struct mix_run *run = &table->runs[r];
            const double observed = table->loss[r * table->n_targets + (size_t)at];
            const double value = predicted[r * n_targets + m];
            const bool used = seen[r * n_targets + m] != 0;
            if (run->status != MIX_RUN_DONE || !isfinite(observed) || !isfinite(value))
                continue;
            if (!used && run->is_final == 0)
                continue; /* an intermediate loss that the law is not for */
            pairs->pair[pairs->n++] =
                (struct pair){observed, value, (uint32_t)m,
                              (uint32_t)report_size_index(data, run->n_params), used};
            pairs->n_seen += used;
        }
    }
}

static enum mix_status find_pairs(const struct report_data *data, const struct mix_fit *fit,
                                  struct pairs *pairs, struct mix_error *err)
{
    const size_t n = data->table->n_rows * fit->spec.n_targets;
    struct mix_prediction *prediction = NULL;
    *pairs = (struct pairs){0};
    uint8_t *seen = calloc(n + 1, 1);
    struct pair *pair = calloc(n + 1, sizeof *pair);
    enum mix_status status = MIX_ENOMEM;
    if (seen == NULL || pair == NULL) {
        free(seen);
        free(pair);
        return mix_fail(err, status, "not enough memory for the predictions of %s.", fit->name);
    }
    pairs->pair = pair;
    status = mix_predict_table(fit, data->table, &prediction, err);
    if (status == MIX_OK)
        status = mark_seen(data->table, fit, seen);
    if (status == MIX_OK)
        collect_pairs(data, fit, prediction->predicted, seen, pairs);
    mix_prediction_destroy(prediction);
    free(seen);
    return status;
}

/* ---- predicted against observed */

/* Losses, or the scores that are linked to them, which have another range. */
static void plot_pairs(struct page *page, const struct report_data *data, const struct mix_fit *fit,
                       const struct pairs *pairs, bool scores)
{
    size_t n = 0, n_seen = 0;
    for (size_t i = 0; i < pairs->n; i++) {
        const bool is_shown = (fit->link[pairs->pair[i].target] != 0) == scores;
        n += is_shown;
        n_seen += is_shown && pairs->pair[i].seen;
    }
    if (n < 2)
        return;
    const size_t n_unseen = n - n_seen;
    const size_t seen_stride = plot_stride(n_seen), stride = plot_stride(4 * n_unseen);
    const size_t n_groups = data->n_sizes < PLOT_STEPS ? data->n_sizes : PLOT_STEPS;
    const char *what = scores ? "score" : "loss";
    char name[2 * MIX_NAME_MAX];
    FILE *gp = page->script;
    snprintf(name, sizeof name, "observed-%s%s", scores ? "scores-" : "", fit->name);
    page_figure(page, name, PLOT_WIDTH, 400,
                "Fit %s: predicted against observed %s, stronger for larger models%s. Equal on the "
                "line.%s",
                fit->name, scores ? "scores" : "losses",
                n_unseen > 0 ? "; orange for runs that the fit has not seen" : "",
                plot_thinned(seen_stride));
    for (size_t g = 0; g <= n_groups; g++) { /* the last: not seen */
        size_t n_here = 0;
        fprintf(gp, "$group%zu << EOD\n", g);
        for (size_t i = 0; i < pairs->n; i++) {
            const struct pair *p = &pairs->pair[i];
            const size_t group =
                p->seen && data->n_sizes > 0 ? p->size * n_groups / data->n_sizes : n_groups;
            if (group == g && (fit->link[p->target] != 0) == scores &&
                n_here++ % (p->seen ? seen_stride : stride) == 0)
                fprintf(gp, "%.5g %.5g\n", p->observed, p->predicted);
        }
        fputs("EOD\n", gp);
    }
    fprintf(gp, "set xlabel 'observed %s'\nset ylabel 'predicted %s'\nset key left top\nplot ",
            what, what);
    for (size_t g = 0; g < n_groups; g++)
        fprintf(gp, "$group%zu using 1:2 with points pt 7 ps 0.35 lc rgb '%s' notitle, ", g,
                plot_step(g, n_groups));
    if (n_unseen > 0)
        fprintf(gp,
                "$group%zu using 1:2 with points pt 8 ps 0.7 lc rgb '" PLOT_ORANGE
                "' title 'not seen', ",
                n_groups);
    fputs("x with lines lc rgb '" PLOT_MUTED "' notitle\n", gp);
}

/* What was held out, by hold-out; equal on the line. */
static void plot_held(struct page *page, const struct mix_fit *fit)
{
    static const char *const colours[] = {PLOT_BLUE, PLOT_ORANGE, PLOT_VIOLET, PLOT_GREEN};
    const size_t n_m = fit->spec.n_targets, n = fit->n_held * n_m, stride = plot_stride(n);
    const size_t n_colours = sizeof colours / sizeof colours[0];
    char name[2 * MIX_NAME_MAX];
    FILE *gp = page->script;
    snprintf(name, sizeof name, "held-out-losses-%s", fit->name);
    page_figure(page, name, PLOT_WIDTH, 400,
                "Fit %s: predicted against observed losses of runs that were held out, each by the "
                "law fitted without it. Equal on the line.%s",
                fit->name, plot_thinned(stride));
    for (size_t h = 0; h < fit->n_holdouts; h++) {
        size_t seen = 0;
        fprintf(gp, "$held%zu << EOD\n", h);
        for (size_t i = 0; i < n; i++)
            if ((size_t)fit->held_out[i / n_m] == h && fit->link[i % n_m] == 0 &&
                isfinite(fit->held_loss[i]) && isfinite(fit->held_predicted[i]) &&
                seen++ % stride == 0)
                fprintf(gp, "%.5g %.5g\n", fit->held_loss[i], fit->held_predicted[i]);
        fputs("EOD\n", gp);
    }
    fputs("set xlabel 'observed loss'\nset ylabel 'predicted loss'\n"
          "set key outside top center vertical\nplot ",
          gp);
    for (size_t h = 0; h < fit->n_holdouts; h++) {
        fprintf(gp, "$held%zu using 1:2 with points pt 7 ps 0.4 lc rgb '%s' title ", h,
                colours[h % n_colours]);
        plot_text(gp, fit->holdouts[h].kind, 40);
        fputs(", ", gp);
    }
    fputs("x with lines lc rgb '" PLOT_MUTED "' notitle\n", gp);
}

/* ---- residuals */

static const char *target_name(const void *fit, size_t i)
{
    return ((const struct mix_fit *)fit)->targets[i];
}

/* A box for each target: quartiles, the whiskers 5% and 95%. */
static void plot_residuals(struct page *page, const struct mix_fit *fit, const struct pairs *pairs,
                           double *values)
{
    char name[2 * MIX_NAME_MAX];
    FILE *gp = page->script;
    const size_t n_targets = fit->spec.n_targets;
    snprintf(name, sizeof name, "residuals-%s", fit->name);
    page_figure(page, name, n_targets > 8 ? 760 : PLOT_WIDTH, n_targets > 8 ? 380 : 400,
                "Fit %s: predicted less observed, in percent of the observed loss, of the runs it "
                "was made from: median, quartiles, and 5%% to 95%%.",
                fit->name);
    fputs("$box << EOD\n", gp);
    for (size_t m = 0; m < n_targets; m++) {
        size_t n = 0;
        for (size_t i = 0; i < pairs->n; i++)
            if (pairs->pair[i].seen && pairs->pair[i].target == m)
                values[n++] = 100.0 * (pairs->pair[i].predicted / pairs->pair[i].observed - 1.0);
        n = report_sort(values, n);
        static const double at[] = {0.05, 0.25, 0.5, 0.75, 0.95};
        fprintf(gp, "%zu", m);
        for (size_t q = 0; q < 5; q++)
            plot_number(gp, report_quantile(values, n, at[q]));
        fputc('\n', gp);
    }
    fputs("EOD\n", gp);
    plot_names(gp, n_targets, target_name, fit);
    fputs("set ylabel 'residual in %'\nset style fill solid 0.35 border\n"
          "plot 0 with lines lc rgb '" PLOT_MUTED "', "
          "$box using 1:3:2:6:5:(0.5) with candlesticks lc rgb '" PLOT_BLUE "' whiskerbars 0.5, "
          "$box using 1:4:4:4:4:(0.5) with candlesticks lw 2 lc rgb '" PLOT_INK "'\n",
          gp);
}

/* ---- metrics */

static void put_metrics(struct page *page, const char *rows, const char *who,
                        const struct mix_metrics *x)
{
    char text[32];
    if (x->n == 0)
        return;
    page_row(page);
    page_cell(page, "%s", rows);
    page_cell(page, "%s", who);
    page_cell(page, "%zu", x->n);
    page_cell(page, "%s", report_percent(x->mre, text));
    page_cell(page, "%s", report_number(x->rmse, 4, text));
    page_cell(page, "%s", report_number(x->skill, 3, text));
    page_cell(page, "%s", report_number(x->rho, 3, text));
    page_cell(page, "%s", report_number(x->regret, 4, text));
    page_cell(page, "%s", report_number(x->slope, 3, text));
}

static void put_all_metrics(struct page *page, const struct mix_fit *fit)
{
    static const char *const heads[] = {"runs", "predicted by", "losses", "MRE", "RMSE", "skill",
                                        "ρ",    "regret",       "slope"};
    page_table(page, "How well it predicts", false, sizeof heads / sizeof heads[0], heads);
    put_metrics(page, "fitted", fit->spec.law, &fit->train);
    for (size_t i = 0; i < fit->n_holdouts; i++) {
        put_metrics(page, fit->holdouts[i].kind, fit->spec.law, &fit->holdouts[i].law);
        for (size_t f = 0; f < MIX_FLOORS; f++)
            put_metrics(page, fit->holdouts[i].kind, mix_floor_names[f],
                        &fit->holdouts[i].floor[f]);
    }
    page_table_end(page, false);
}

static const char *holdout_name(const void *fit, size_t i)
{
    return ((const struct mix_fit *)fit)->holdouts[i].kind;
}

/* Bars side by side for each hold-out: the law, then its floors. */
static void plot_floors(struct page *page, const struct mix_fit *fit)
{
    static const char *const colours[1 + MIX_FLOORS] = {PLOT_BLUE, PLOT_FAINT, PLOT_MUTED,
                                                        PLOT_VIOLET};
    char name[2 * MIX_NAME_MAX];
    FILE *gp = page->script;
    snprintf(name, sizeof name, "held-out-%s", fit->name);
    page_figure(page, name, PLOT_WIDTH, 400,
                "Fit %s on runs it has not seen: mean relative error of the law beside its floors.",
                fit->name);
    fputs("$bars << EOD\n", gp);
    for (size_t i = 0; i < fit->n_holdouts; i++) {
        fprintf(gp, "%zu", i);
        plot_number(gp, 100.0 * fit->holdouts[i].law.mre);
        for (size_t f = 0; f < MIX_FLOORS; f++) {
            const struct mix_metrics *floor = &fit->holdouts[i].floor[f];
            plot_number(gp, floor->n > 0 ? 100.0 * floor->mre : NAN);
        }
        fputc('\n', gp);
    }
    fputs("EOD\nset logscale y\n", gp);
    fputs("set xtics scale 0 font ',11' (", gp);
    for (size_t i = 0; i < fit->n_holdouts; i++) {
        fputs(i > 0 ? ", " : "", gp);
        plot_tick(gp, holdout_name(fit, i), fit->n_holdouts > 2 ? 20 : 34);
        fprintf(gp, " %zu", i);
    }
    fprintf(gp,
            ")\nset xrange [-0.6:%g]\nset ylabel 'mean relative error in %%'\n"
            "set key outside top center horizontal\nset boxwidth 0.18\nplot ",
            (double)fit->n_holdouts - 0.4);
    for (size_t f = 0; f < 1 + MIX_FLOORS; f++) {
        fprintf(gp, "%s$bars using ($1%+g):%zu with boxes lc rgb '%s' title ", f > 0 ? ", " : "",
                0.2 * (double)f - 0.3, f + 2, colours[f]);
        plot_text(gp, f == 0 ? fit->spec.law : mix_floor_names[f - 1], 20);
    }
    fputc('\n', gp);
}

static void put_targets(struct page *page, const struct mix_fit *fit)
{
    static const char *const heads[] = {"target", "fitted",       "MRE",
                                        "skill",  "held-out MRE", "held-out skill"};
    char text[32];
    page_table(page, "By target", true, sizeof heads / sizeof heads[0], heads);
    for (size_t m = 0; m < fit->spec.n_targets; m++) {
        const struct mix_metrics *train = &fit->train_by_target[m];
        const struct mix_metrics *held =
            fit->holdout_by_target != NULL ? &fit->holdout_by_target[m] : NULL;
        page_row(page);
        page_cell(page, "%s%s", fit->targets[m], fit->link[m] != 0 ? " (score)" : "");
        page_cell(page, "%zu", train->n);
        page_cell(page, "%s", report_percent(train->mre, text));
        page_cell(page, "%s", report_number(train->skill, 3, text));
        page_cell(page, "%s", report_percent(held != NULL ? held->mre : NAN, text));
        page_cell(page, "%s", report_number(held != NULL ? held->skill : NAN, 3, text));
    }
    page_table_end(page, true);
}

static void put_params(struct page *page, const struct mix_fit *fit)
{
    static const char *const heads[] = {"parameter", "unit", "value", "standard error", ""};
    static const char *const states[] = {"", "on its bound", "not identified"};
    char caption[64];
    snprintf(caption, sizeof caption, "%zu parameters", fit->n_params);
    page_table(page, caption, true, sizeof heads / sizeof heads[0], heads);
    for (size_t p = 0; p < fit->n_params; p++) {
        page_row(page);
        page_cell(page, "%s", fit->param_names[p]);
        page_cell(page, "%s", fit->param_units[p]);
        page_cell(page, "%.5g", fit->params[p]);
        if (isfinite(fit->std_error[p]))
            page_cell(page, "%.2g", fit->std_error[p]);
        else
            page_cell(page, "–");
        page_cell(page, "%s", fit->param_state[p] < 3 ? states[fit->param_state[p]] : "");
    }
    page_table_end(page, true);
}

/* ---- the section */

static enum mix_status plot_fit(struct page *page, const struct report_data *data,
                                const struct mix_fit *fit, struct mix_error *err)
{
    struct pairs pairs = {0};
    struct mix_error why = {.text = ""};
    const enum mix_status status = find_pairs(data, fit, &pairs, &why);
    double *values = calloc(pairs.n + 1, sizeof *values);
    if (status == MIX_ENOMEM || values == NULL) {
        free(pairs.pair);
        free(values);
        return mix_fail(err, MIX_ENOMEM, "not enough memory for the figures of fit %s.", fit->name);
    }
    page_figures(page);
    if (status == MIX_OK)
        plot_pairs(page, data, fit, &pairs, false);
    if (status == MIX_OK)
        plot_pairs(page, data, fit, &pairs, true);
    if (fit->n_held > 0)
        plot_held(page, fit);
    if (fit->n_holdouts > 0)
        plot_floors(page, fit);
    if (status == MIX_OK && pairs.n_seen > 1)
        plot_residuals(page, fit, &pairs, values);
    page_figures_end(page);
    if (status != MIX_OK)
        page_element(page, "p", "No predictions for the runs that are in the file now: %s",
                     why.text);
    free(pairs.pair);
    free(values);
    return MIX_OK;
}

static enum mix_status write_fit(struct page *page, const struct report_data *data,
                                 const struct mix_fit *fit, struct mix_error *err)
{
    page_element(page, "h3", "%s", fit->name);
    page_element(
        page, "p",
        "Law %s on %zu losses of %zu rows, %zu mixtures%s%s; %zu of %zu starts reached the "
        "best optimum.",
        fit->spec.law, fit->n_fitted, fit->n_rows, fit->n_clusters,
        fit->selection.where[0] != '\0' ? ", where " : "", fit->selection.where, fit->n_at_best,
        fit->n_starts);
    const char *outdated = data->table != NULL ? mix_fit_outdated(fit, data->table) : NULL;
    if (outdated != NULL) {
        char text[MIX_NAME_MAX + 64];
        snprintf(text, sizeof text, "Since this fit was made %s.", outdated);
        page_warnings(page, text);
    }
    page_warnings(page, fit->warnings);
    put_all_metrics(page, fit);
    enum mix_status status = MIX_OK;
    if (data->table != NULL)
        status = plot_fit(page, data, fit, err);
    put_targets(page, fit);
    put_params(page, fit);
    return status;
}

static bool has_fits(const struct report_data *data)
{
    return data->n_fits > 0;
}

static enum mix_status write_fits(struct page *page, const struct report_data *data,
                                  struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    page_element(
        page, "p",
        "MRE: mean of |error| / observed. Skill: 0 is no better than ignoring the mixture, "
        "1 perfect. ρ: rank correlation of the mean loss across mixtures of one size. "
        "Regret: what the mixture predicted best loses against the best observed.");
    for (size_t i = 0; i < data->n_fits && status == MIX_OK; i++)
        status = write_fit(page, data, data->fits[i], err);
    return status;
}

const struct report_section report_fits = {"fits", "Fits", has_fits, write_fits};
