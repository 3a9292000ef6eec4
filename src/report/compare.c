/* SPDX-License-Identifier: GPL-3.0-or-later */
/* compare.c - the section on law comparisons: who predicts best what it has not seen. */
#include "report/report_impl.h"

#include <math.h>
#include <stdlib.h>

static double error_of(const struct mix_compare_row *row)
{
    return row->metrics.n > 0 && isfinite(row->metrics.mre) ? row->metrics.mre : INFINITY;
}

/* Predictors of a hold-out, the best first; the number of those that predict. */
static size_t order_rows(const struct mix_compare *c, size_t test, size_t *order)
{
    const struct mix_compare_row *rows = c->rows + test * c->n_predictors;
    size_t n = 0;
    for (size_t q = 0; q < c->n_predictors; q++) {
        size_t at = q;
        for (; at > 0 && error_of(&rows[q]) < error_of(&rows[order[at - 1]]); at--)
            order[at] = order[at - 1];
        order[at] = q;
        n += isfinite(error_of(&rows[q]));
    }
    return n;
}

static void plot_errors(struct page *page, const struct mix_compare *c, size_t test,
                        const size_t *order, size_t n)
{
    const struct mix_compare_row *rows = c->rows + test * c->n_predictors;
    char name[2 * MIX_NAME_MAX];
    FILE *gp = page->script;
    snprintf(name, sizeof name, "compare-%s-%zu", c->name, test + 1);
    page_figure(page, name, PLOT_WIDTH, 110 + 24 * (int)n,
                "Comparison %s, held-out %s: mean relative error with its standard error; floors, "
                "which know nothing of mixing, are hollow.",
                c->name, c->tests[test].kind);
    fputs("set ytics scale 0 (", gp);
    for (size_t i = 0; i < n; i++) {
        fputs(i > 0 ? ", " : "", gp);
        plot_tick(gp, c->predictors[order[i]].name, 18);
        fprintf(gp, " %zu", i);
    }
    fputs(")\n$errors << EOD\n", gp);
    for (size_t i = 0; i < n; i++) {
        const struct mix_compare_row *row = &rows[order[i]];
        const double mre = 100.0 * row->metrics.mre;
        const double se = isfinite(row->mre_se) ? 100.0 * row->mre_se : 0.0;
        const bool floor = c->predictors[order[i]].kind == MIX_PREDICTOR_FLOOR;
        fprintf(gp, "%zu %.6g %.6g %.6g %d\n", i, mre, fmax(mre - se, 0.05 * mre), mre + se, floor);
    }
    fprintf(gp,
            "EOD\nset yrange [%g:-0.6]\nset logscale x\nset border 1\nset grid noy\n"
            "set xlabel 'mean relative error in %%'\n"
            "plot $errors using 2:1:3:4 with xerrorbars pt 7 ps 0.01 lw 2 lc rgb '" PLOT_FAINT "', "
            "$errors using ($5 == 0 ? $2 : NaN):1 with points pt 7 ps 0.9 lc rgb '" PLOT_BLUE "', "
            "$errors using ($5 == 1 ? $2 : NaN):1 with points pt 6 ps 0.9 lc rgb '" PLOT_MUTED
            "'\n",
            (double)n - 0.4);
}

static void put_row(struct page *page, const struct mix_compare_row *row, const char *name)
{
    char a[32], b[32];
    page_row(page);
    page_cell(page, "%s", name);
    if (row->metrics.n == 0) {
        page_words(page, 9, row->reason);
        return;
    }
    page_cell(page, "%zu", row->n_params);
    page_cell(page, "%s ± %s", report_percent(row->metrics.mre, a), report_percent(row->mre_se, b));
    page_cell(page, "%s ± %s", report_percent(row->worse, a), report_percent(row->worse_se, b));
    page_cell(page, "%s", report_number(row->metrics.skill, 3, a));
    page_cell(page, "%s", report_number(row->metrics.rho, 3, a));
    page_cell(page, "%s", report_number(row->metrics.regret, 4, a));
    page_cell(page, "%s", report_number(row->weight, 2, a));
    page_cell(page, "%s", report_duration(row->fit_s, a));
    page_cell(page, "%s",
              row->loses_mre != 0 || row->loses_skill != 0 ? "loses to a floor" : row->reason);
}

static void put_rows(struct page *page, const struct mix_compare *c, size_t test,
                     const size_t *order)
{
    static const char *const heads[] = {"law",      "parameters",
                                        "MRE ± se", "worse than the best",
                                        "skill",    "ρ",
                                        "regret",   "weight in the stack",
                                        "to fit",   ""};
    const struct mix_compare_test *t = &c->tests[test];
    char caption[256];
    snprintf(caption, sizeof caption, "Held-out %s, standard errors over %zu %s", t->kind,
             t->n_groups, t->groups_are_folds != 0 ? "folds" : "mixtures");
    page_table(page, caption, false, sizeof heads / sizeof heads[0], heads);
    for (size_t i = 0; i < c->n_predictors; i++)
        put_row(page, &c->rows[test * c->n_predictors + order[i]], c->predictors[order[i]].name);
    page_table_end(page, false);
}

static void put_on_score(struct page *page, const struct mix_compare_target *on, const char *name)
{
    char a[32], b[32];
    page_row(page);
    page_cell(page, "%s", name);
    page_cell(page, "%zu", on->metrics.n);
    page_cell(page, "%s", report_number(on->metrics.mae, 4, a));
    page_cell(page, "%s ± %s", report_number(on->worse, 4, a), report_number(on->worse_se, 4, b));
    page_cell(page, "%s", report_number(on->metrics.skill, 3, a));
    page_cell(page, "%s", report_number(on->metrics.rho, 3, a));
    page_cell(page, "%s", report_number(on->metrics.regret, 4, a));
    page_cell(page, "%s", on->loses_mae != 0 || on->loses_skill != 0 ? "loses to a floor" : "");
}

/* Scores of a hold-out, the predictors in the order of the losses. */
static void put_scores(struct page *page, const struct mix_compare *c, size_t test,
                       const size_t *order)
{
    static const char *const heads[] = {"law",   "values", "MAE",    "worse than the best ± se",
                                        "skill", "ρ",      "regret", ""};
    char caption[2 * MIX_NAME_MAX + MIX_KIND_MAX + 64];
    for (size_t m = c->n_targets - c->n_scores; c->n_scores > 0 && m < c->n_targets; m++) {
        snprintf(caption, sizeof caption, "Score %s (%s), held-out %s", c->targets[m], c->units[m],
                 c->tests[test].kind);
        page_table(page, caption, true, sizeof heads / sizeof heads[0], heads);
        for (size_t i = 0; i < c->n_predictors; i++)
            if (mix_compare_on_target(c, test, order[i], m)->metrics.n > 0)
                put_on_score(page, mix_compare_on_target(c, test, order[i], m),
                             c->predictors[order[i]].name);
        page_table_end(page, true);
        if (c->no_link[test * c->n_targets + m][0] != '\0')
            page_warnings(page, c->no_link[test * c->n_targets + m]);
    }
}

static bool has_comparisons(const struct report_data *data)
{
    return data->n_compares > 0;
}

static enum mix_status write_comparison(struct page *page, const struct report_data *data,
                                        const struct mix_compare *c, struct mix_error *err)
{
    size_t *order = calloc(c->n_predictors + 1, sizeof *order);
    if (order == NULL)
        return mix_fail(err, MIX_ENOMEM, "not enough memory for the comparison %s.", c->name);
    page_element(page, "h3", "%s", c->name);
    page_element(page, "p", "%zu %s of %zu rows, %zu mixtures%s%s.", c->n_fitted,
                 c->n_scores > 0 ? "losses and scores" : "losses", c->n_rows, c->n_clusters,
                 c->selection.where[0] != '\0' ? ", where " : "", c->selection.where);
    if (mix_compare_mixes_units(c))
        page_element(page, "p",
                     "Losses of several units: ρ and regret are of each over the mean of those in "
                     "its unit.");
    if (c->n_scores > 0)
        page_element(page, "p",
                     "Scores are linked to the losses on the training rows, and follow the losses "
                     "predicted; of the floors mean and copy-scale they are those of training "
                     "rows.");
    if (data->table != NULL && !mix_compare_sees_same_runs(c, data->table))
        page_warnings(page, "The runs have changed since this comparison was made.");
    page_figures(page);
    for (size_t t = 0; t < c->n_tests; t++) {
        const size_t n = order_rows(c, t, order);
        if (n > 0)
            plot_errors(page, c, t, order, n);
    }
    page_figures_end(page);
    for (size_t t = 0; t < c->n_tests; t++) {
        (void)order_rows(c, t, order);
        put_rows(page, c, t, order);
        put_scores(page, c, t, order);
    }
    free(order);
    return MIX_OK;
}

static enum mix_status write_comparisons(struct page *page, const struct report_data *data,
                                         struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    for (size_t i = 0; i < data->n_compares && status == MIX_OK; i++)
        status = write_comparison(page, data, data->compares[i], err);
    return status;
}

const struct report_section report_compare = {"compare", "Laws compared", has_comparisons,
                                              write_comparisons};
