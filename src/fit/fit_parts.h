/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fit_parts.h - what fit.c, summary.c, resample.c and compare.c share. Private to src/fit/. */
#ifndef MIXSWEEP_FIT_PARTS_H
#define MIXSWEEP_FIT_PARTS_H

#include "least_squares.h"
#include "validate.h"

/** One fit of the plan: number 0 is the one that is stored, the others belong to the folds in
 * order. */
struct subfit {
    struct mix_data *data;
    struct mix_law_spec spec;
    struct lsq *lsq; /* NULL where the law refuses the fold */
    double *trial;   /* a point, see lsq_point_doubles() */
    double *fresh;   /* (Q) */
    size_t first_task, n_starts;
};

/** Names of the selected domains and targets, borrowed from the table. */
struct fit_names {
    const char **domains; /* (K) */
    const char **targets; /* (M) */
};

/** All fits of one verb and the starts that make them. */
struct fit_plan {
    uint64_t seed;
    enum mix_isa isa;      /* that all ranks have */
    struct mix_data *all;  /* as selected */
    struct mix_data *data; /* the losses of it; `all` itself where there are no scores */
    struct fit_names names;
    struct mix_law_spec spec;
    struct splits splits;
    char notes[MIX_TEXT_MAX];
    size_t n_subfits;
    struct subfit *subfit;
    size_t n_tasks, max_point, record_doubles;
    double *records; /* (n_tasks, record_doubles) on rank 0 */
};

enum mix_status fit_names(const struct mix_table *table, const struct mix_data *data,
                          struct fit_names *out, struct mix_error *err);

/** Append a line to notes of `size` bytes; a line that does not fit is left out whole. */
void fit_note(char *notes, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** Whether a mean over targets is one of scores: of losses none has a weight (NULL = all have). */
bool fit_is_mean_score(size_t n_targets, size_t n_scores, const double *weight);
/** Weighted mean of the losses (M), the scores last; see mix_fit_mean(). `weight` and `size` NULL =
 * all 1. */
double fit_mean(size_t n_targets, size_t n_scores, const double *weight, const double *size,
                const double *loss);
/** The same of the losses (M) of a row, or one of them where target >= 0;
 * NaN where one that weighs is missing. */
double fit_mean_loss(const struct mix_data *data, const double *weight, const double *loss,
                     int target);

/** What a start leaves: objective; gradient, or in a comparison processor time; then the point. */
enum { RECORD_OBJECTIVE, RECORD_GRADIENT, RECORD_SECONDS = RECORD_GRADIENT, RECORD_POINT };
const double *fit_record(const struct fit_plan *plan, const struct subfit *subfit, size_t start);

/** A start: a chain of searches from a random point, see fit.c; point (lsq_point_doubles()) out.
 * MIX_OK also where it finds no finite loss: the objective is then infinite. */
enum mix_status fit_run_chain(const struct subfit *subfit, gsl_rng *rng, double *point,
                              struct mix_poll *poll, struct lsq_result *result,
                              struct mix_error *err);

/** Where targets are fitted apart, start k of a fit becomes the k-th best of every target. */
enum mix_status fit_sort_starts(const struct fit_plan *plan, const struct subfit *subfit,
                                struct mix_error *err);

/** Predict the rows marked in `test` (R) by the best start of a subfit; losses of a model too small
 * for the law are NaN. */
enum mix_status fit_predict_rows(const struct fit_plan *plan, const struct subfit *subfit,
                                 const uint8_t *test, double *predicted, struct mix_error *err);

/** theta (Q) of the best start, or NULL where none has a finite loss. */
const double *fit_best_theta(const struct fit_plan *plan, const struct subfit *subfit,
                             double *objective);

/** Hash of the selected numbers, as far as the laws named in `laws` look at them. */
struct mix_key fit_table_key(const struct mix_data *data, const struct fit_names *names,
                             const char *laws);

/** Polish the best start, judge it, and fill a fit. */
enum mix_status fit_summarise(const struct mix_table *table, const struct mix_fit_options *options,
                              struct fit_plan *plan, struct mix_poll *poll, struct mix_fit **out,
                              struct mix_error *err);

/** Standard errors, covariance and states of the natural parameters at theta; see mix_fit.
 * MIX_EINTERRUPTED where the poll says so. */
enum mix_status fit_errors(struct lsq *lsq, const double *theta, const double *lambda,
                           struct mix_poll *poll, struct mix_fit *fit, struct mix_error *err);

#endif
