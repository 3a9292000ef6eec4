/* SPDX-License-Identifier: GPL-3.0-or-later */
/* compare_scores.c - what predictors are worth on each target; scores follow predicted losses by
 * links that the test rows have no part in. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compare_parts.h"
#include "link.h"

/* Floors that take the scores of training rows; the third has losses, which links go on from. */
static bool copies_scores(const struct compare_board *b, size_t predictor)
{
    const size_t floor = predictor - b->plan->n_laws; /* of a law beyond all floors */
    return floor < MIX_FLOORS && floor != 1;
}

/* Scores of the test rows of a fold from the losses that each predictor has for them. */
static void follow_losses(const struct compare_board *b, const uint8_t *test, const double *params)
{
    const struct mix_data *all = b->plan->fits.all;
    const size_t n_m = all->n_targets, n_l = n_m - all->n_scores;
    for (size_t q = 0; q < compare_n_predictors(b); q++)
        for (size_t r = 0; r < all->n_rows; r++) {
            double *of_row = b->all + (q * all->n_rows + r) * n_m;
            if (!test[r])
                continue;
            memcpy(of_row, b->predicted + (q * all->n_rows + r) * n_l, n_l * sizeof *of_row);
            if (!copies_scores(b, q))
                scores_from_losses(n_l, all->n_scores, params, of_row);
        }
}

/* What the floors mean and copy-scale say of the scores of the test rows; work (R,M). */
static enum mix_status copy_scores(const struct compare_board *b, const uint8_t *train,
                                   const uint8_t *test, double *work, struct mix_error *err)
{
    const struct mix_data *all = b->plan->fits.all;
    const size_t n_m = all->n_targets, n_l = n_m - all->n_scores;
    enum mix_status status = MIX_OK;
    for (size_t q = 0; q < compare_n_predictors(b) && status == MIX_OK; q++) {
        if (!copies_scores(b, q))
            continue;
        status = validate_floor(q - b->plan->n_laws, all, train, b->plan->fits.seed, work, err);
        for (size_t r = 0; r < all->n_rows && status == MIX_OK; r++)
            if (test[r])
                memcpy(b->all + (q * all->n_rows + r) * n_m + n_l, work + r * n_m + n_l,
                       all->n_scores * sizeof *work);
    }
    return status;
}

/* The first sentence of each score is kept. */
static void keep_reasons(size_t n, char (*why)[MIX_ERROR_MAX], char (*no_link)[MIX_ERROR_MAX])
{
    for (size_t s = 0; s < n; s++)
        if (no_link[s][0] == '\0')
            memcpy(no_link[s], why[s], sizeof why[s]);
}

enum mix_status compare_link_scores(struct compare_board *b, char (*no_link)[MIX_ERROR_MAX],
                                    struct mix_error *err)
{
    const struct mix_data *all = b->plan->fits.all;
    const size_t n_m = all->n_targets, n_l = n_m - all->n_scores, n_r = all->n_rows;
    const size_t n_params = all->n_scores * score_params(n_l);
    struct links *links = NULL;
    double *work = malloc((n_r * n_m + n_params + 1) * sizeof *work);
    uint8_t *form = calloc(all->n_scores + 1, sizeof *form);
    char(*why)[MIX_ERROR_MAX] = calloc(all->n_scores + 1, sizeof *why);
    enum mix_status status = MIX_OK;
    if (work == NULL || form == NULL || why == NULL)
        status = mix_fail(err, MIX_ENOMEM, "out of memory for links of %zu scores", all->n_scores);
    if (status == MIX_OK)
        status = links_create(b->plan->table, all, b->target_weight, &links, err);
    for (size_t e = 0; e < compare_n_predictors(b) * n_r * n_m; e++)
        b->all[e] = NAN;
    for (size_t f = 0; f < b->split->n_folds && status == MIX_OK; f++) {
        const uint8_t *train = b->split->train + f * n_r, *test = b->split->test + f * n_r;
        double *params = work + n_r * n_m;
        links_fit_fold(links, train, form, params, why);
        keep_reasons(all->n_scores, why, no_link + n_l);
        follow_losses(b, test, params);
        status = copy_scores(b, train, test, work, err);
    }
    links_destroy(links);
    free(work);
    free(form);
    free(why);
    return status;
}

/* Those that predict most come first, then the smaller error. */
static size_t best_of(const struct compare_board *b, const struct mix_compare_target *out, size_t m)
{
    const size_t n_m = b->plan->fits.all->n_targets;
    size_t best = 0;
    for (size_t q = 1; q < compare_n_predictors(b); q++) {
        const struct mix_metrics *here = &out[q * n_m + m].metrics,
                                 *there = &out[best * n_m + m].metrics;
        if (here->n > there->n || (here->n == there->n && here->mae < there->mae))
            best = q;
    }
    return best;
}

static void compare_with(const struct compare_board *b, size_t q, size_t best, size_t m,
                         struct mix_compare_target *out)
{
    const size_t n_m = b->plan->fits.all->n_targets, first_floor = b->plan->n_laws;
    struct mix_compare_target *of = &out[q * n_m + m];
    of->worse = compare_mean_error(b, q, best, (int)m, &of->worse_se);
    if (of->metrics.n == 0 || (q >= first_floor && q < first_floor + MIX_FLOORS))
        return;
    for (size_t f = 0; f < MIX_FLOORS; f++) {
        double se;
        const struct mix_metrics *floor = &out[(first_floor + f) * n_m + m].metrics;
        if (compare_mean_error(b, q, first_floor + f, (int)m, &se) > COMPARE_TIE * floor->mae)
            of->loses_mae |= (uint8_t)(1U << f);
        if (floor->skill > of->metrics.skill + COMPARE_TIE)
            of->loses_skill |= (uint8_t)(1U << f);
    }
}

enum mix_status compare_judge_targets(const struct compare_board *b, struct mix_compare_target *out,
                                      struct mix_error *err)
{
    const struct mix_data *all = b->plan->fits.all;
    const size_t n_m = all->n_targets, n = all->n_rows * n_m;
    enum mix_status status = MIX_OK;
    for (size_t q = 0; q < compare_n_predictors(b); q++)
        for (size_t m = 0; m < n_m && status == MIX_OK; m++) {
            struct mix_metrics *metrics = &out[q * n_m + m].metrics;
            status = mix_metrics_compute(all, b->target_weight, b->all + q * n, b->tested, (int)m,
                                         metrics, err);
            if (b->blind[q]) {
                metrics->rho = metrics->slope = metrics->regret = NAN;
                metrics->skill = metrics->n > 0 ? 0.0 : NAN;
            }
        }
    for (size_t m = 0; m < n_m && status == MIX_OK; m++) {
        const size_t best = best_of(b, out, m);
        for (size_t q = 0; q < compare_n_predictors(b); q++)
            compare_with(b, q, best, m, out);
    }
    return status;
}
