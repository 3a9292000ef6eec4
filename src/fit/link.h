/* SPDX-License-Identifier: GPL-3.0-or-later */
/* link.h - least squares of the links from losses to scores; see mixsweep/law.h for their form.
 * Private to src/fit/.
 */
#ifndef MIXSWEEP_FIT_LINK_H
#define MIXSWEEP_FIT_LINK_H

#include "fit_parts.h"
#include "law/score.h"

/** What is given of a link, as in mix_fit.link. */
enum { LINK_IS = 1, LINK_LO_GIVEN = 2, LINK_ONE_SLOPE = 4 };

/** The links of a selection of runs, with workspace. */
struct links;

/**
 * @param data    losses and scores, borrowed
 * @param weight  (M) of the losses in the mean that one slope is for
 * @return MIX_OK; MIX_ENOMEM
 */
enum mix_status links_create(const struct mix_table *table, const struct mix_data *data,
                             const double *weight, struct links **out, struct mix_error *err);
void links_destroy(struct links *links);

/**
 * Fit every link: all forms that the runs can bear, the one with the least AICc counts.
 *
 * @param rows    (R) 1 = use this row; NULL = all
 * @param form    (S) out
 * @param params  (S, 3 + I) out
 * @return MIX_OK; MIX_EINVAL too few runs, or a score that stays as it is or does not follow the
 *         losses
 */
enum mix_status links_fit(struct links *links, const uint8_t *rows, uint8_t *form, double *params,
                          struct mix_error *err);

/** The same where a score may have no link: its parameters are then NaN, and why[s] says why. `why`
 * (S) NULL = nobody asks. */
void links_fit_fold(struct links *links, const uint8_t *rows, uint8_t *form, double *params,
                    char (*why)[MIX_ERROR_MAX]);

/** Fit them again in the same form, with weights of the rows (R), from `from`. */
void links_refit(struct links *links, const double *row_weight, const uint8_t *form,
                 const double *from, double *params);

/** Covariance (3 + I, 3 + I) of the parameters of score s, fitted last or not; NaN in rows and
 * columns of what is given or on its bound. */
void links_covariance(struct links *links, size_t s, uint8_t form, const double *params,
                      double *covariance);

/** The losses of a selection as data of their own; MIX_EINVAL where there are scores only. */
enum mix_status fit_split_scores(const struct mix_data *all, struct mix_data **losses,
                                 struct mix_error *err);

/** Rank 0: the fit of the losses becomes the fit of losses and scores. */
enum mix_status fit_add_scores(const struct mix_table *table, struct fit_plan *plan,
                               struct mix_fit **fit, struct mix_error *err);

#endif
