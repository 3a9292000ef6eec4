/* SPDX-License-Identifier: GPL-3.0-or-later */
/* compare_judge.c - what laws, floors and their stack are worth on rows that they have not seen. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare_parts.h"
#include "optimum/minimise.h" /* the nearest point of a hull: weights of a stack */

/* Of members' mean squared errors: beyond, a member has no weight. */
static const double MEMBER_RATIO_MAX = 1e6;

static size_t n_entries(const struct compare_board *b)
{
    return b->plan->fits.data->n_rows * b->plan->fits.data->n_targets;
}

static double *predicted_by(const struct compare_board *b, size_t predictor)
{
    return b->predicted + predictor * n_entries(b);
}

static void set_nan(double *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = NAN;
}

/* A fold's test rows by its law; MIX_ENUMERIC where no start has a finite loss. */
static enum mix_status predict_part(struct compare_board *b, size_t part, size_t law,
                                    double *predicted, double *seconds, struct mix_error *err)
{
    struct compare_plan *plan = b->plan;
    struct subfit *subfit = compare_subfit(plan, part, law);
    enum mix_status status = compare_enliven(plan, subfit, err);
    for (size_t k = 0; status == MIX_OK && k < subfit->n_starts; k++)
        *seconds += fit_record(&plan->fits, subfit, k)[RECORD_SECONDS];
    if (status == MIX_OK)
        status = fit_sort_starts(&plan->fits, subfit, err);
    if (status == MIX_OK)
        status = fit_predict_rows(&plan->fits, subfit, plan->part[part].tested, predicted, err);
    return status;
}

static enum mix_status predict_law(struct compare_board *b, size_t law, struct mix_error *err)
{
    const struct compare_plan *plan = b->plan;
    const struct compare_test *test = &plan->test[b->test];
    struct mix_compare_row *row = &b->rows[law];
    row->n_params = test->n_params[law];
    memcpy(row->reason, test->reason[law], sizeof row->reason);
    struct mix_error why = {{0}};
    enum mix_status status = MIX_OK;
    for (size_t p = 0; status == MIX_OK && row->reason[0] == '\0' && p < plan->n_parts; p++)
        if (plan->part[p].test == b->test && plan->part[p].inner == 0)
            status = predict_part(b, p, law, predicted_by(b, law), &row->fit_s, &why);
    row->fit_s /= (double)b->split->n_folds;
    if (status == MIX_ENUMERIC) {
        memcpy(row->reason, why.text, sizeof row->reason);
        set_nan(predicted_by(b, law), n_entries(b));
        return MIX_OK;
    }
    return status == MIX_OK ? status : mix_fail(err, status, "%s", why.text);
}

/* Free parameters of the floors: none of a copy. */
static size_t floor_params(const struct compare_board *b, size_t floor)
{
    const struct mix_data *data = b->plan->fits.data;
    struct mix_law_spec spec;
    struct mix_model *model;
    size_t p = 0; /* the first fold of this hold-out */
    while (b->plan->part[p].test != b->test)
        p++;
    if (floor == 0)
        return data->n_targets;
    if (floor != 1 ||
        validate_spec("chinchilla", 0, b->plan->part[p].data, &spec, NULL) != MIX_OK ||
        mix_model_create(&spec, data->target_domain, &model, NULL) != MIX_OK)
        return 0;
    const size_t n = mix_model_n_free(model);
    mix_model_destroy(model);
    return n;
}

static enum mix_status predict_floor(struct compare_board *b, size_t floor, struct mix_error *err)
{
    const struct mix_data *data = b->plan->fits.data;
    const size_t n_m = data->n_targets, at = b->plan->n_laws + floor;
    double *of_fold = b->inner; /* not in use yet */
    enum mix_status status = MIX_OK;
    for (size_t f = 0; status == MIX_OK && f < b->split->n_folds; f++) {
        const uint8_t *test = b->split->test + f * data->n_rows;
        status = validate_floor(floor, data, b->split->train + f * data->n_rows, b->plan->fits.seed,
                                of_fold, err);
        for (size_t r = 0; r < data->n_rows; r++)
            if (test[r])
                memcpy(predicted_by(b, at) + r * n_m, of_fold + r * n_m, n_m * sizeof *of_fold);
    }
    b->rows[at].n_params = floor_params(b, floor);
    return status;
}

/* The inner predictions of one law for one fold. A law that cannot be fitted there is no member. */
static enum mix_status predict_inner(struct compare_board *b, size_t fold, size_t law, bool *member,
                                     double *seconds, struct mix_error *err)
{
    const struct compare_plan *plan = b->plan;
    double *predicted = b->inner + law * n_entries(b);
    enum mix_status status = MIX_OK;
    *member = b->rows[law].reason[0] == '\0';
    set_nan(predicted, n_entries(b));
    for (size_t p = 0; *member && status == MIX_OK && p < plan->n_parts; p++) {
        const struct compare_part *part = &plan->part[p];
        if (part->test != b->test || part->fold != fold || part->inner == 0)
            continue;
        *member = compare_subfit(plan, p, law)->n_starts > 0;
        if (*member)
            status = predict_part(b, p, law, predicted, seconds, err);
    }
    if (status == MIX_ENUMERIC) {
        *member = false;
        return MIX_OK;
    }
    return status;
}

/* Rows that the inner folds of a fold test. */
static bool mark_inner(const struct compare_board *b, size_t fold, uint8_t *tested)
{
    const struct compare_plan *plan = b->plan;
    const size_t n_rows = plan->fits.data->n_rows;
    bool any = false;
    memset(tested, 0, n_rows);
    for (size_t p = 0; p < plan->n_parts; p++)
        if (plan->part[p].test == b->test && plan->part[p].fold == fold && plan->part[p].inner > 0)
            for (size_t r = 0; r < n_rows; r++) {
                tested[r] |= plan->part[p].tested[r];
                any |= tested[r] != 0;
            }
    return any;
}

/* Numbers of a member in b->errors: its errors, then its share in each of the laws' own errors. */
static size_t error_width(const struct compare_board *b, size_t n_errors)
{
    return n_errors + b->plan->n_laws;
}

/* Sizes (I) of the losses in the training rows of a fold. */
static const double *sizes_of_fold(const struct compare_board *b, size_t fold)
{
    const struct compare_part *part = b->plan->part;
    while (part->test != b->test || part->fold != fold || part->inner > 0)
        part++;
    return part->data->size;
}

/* Errors of a law on the inner test rows of a fold, relative where losses have several units, into
 * row `at`; false where a prediction is missing. */
static bool put_errors(const struct compare_board *b, size_t fold, size_t law,
                       const uint8_t *tested, size_t n_errors, size_t at)
{
    const struct mix_data *data = b->plan->fits.data;
    const double *size = sizes_of_fold(b, fold);
    const double *predicted = b->inner + law * n_entries(b);
    double *out = b->errors + at * error_width(b, n_errors);
    for (size_t e = 0, i = 0; e < n_entries(b); e++) {
        if (!tested[e / data->n_targets] || !(data->weight[e] > 0.0))
            continue;
        out[i] = (predicted[e] - data->loss[e]) / size[e % data->n_targets];
        if (!isfinite(out[i++]))
            return false;
    }
    return true;
}

static size_t count_entries(const struct mix_data *data, const uint8_t *rows)
{
    size_t n = 0;
    for (size_t e = 0; e < data->n_rows * data->n_targets; e++)
        n += rows[e / data->n_targets] && data->weight[e] > 0.0;
    return n;
}

/* On the rows to come each member has an error of its own beside those it shows on the inner ones,
 * which are nearer to what it was fitted on. This draws weights to each other: without it one inner
 * scale, where a law happens to hit the level, picks that law. It is as large as the best member's
 * shown error, times what the member's mean square is of the best's: a law that is four times as
 * far off is to have next to no weight, where equal errors of their own gave it a tenth (regmix17,
 * unseen mixtures: product, loglinear and linear 1.41, 3.63 and 9.19%; their stack 1.55% so, 1.43
 * now). */
static void add_own_errors(const struct compare_board *b, size_t n_errors, size_t n_members)
{
    const size_t width = error_width(b, n_errors);
    double square[MIX_COMPARE_LAWS_MAX], least = INFINITY;
    for (size_t i = 0; i < n_members; i++) {
        square[i] = 0.0;
        for (size_t e = 0; e < n_errors; e++)
            square[i] += pow(b->errors[i * width + e], 2);
        least = fmin(least, square[i]);
    }
    for (size_t i = 0; i < n_members; i++) {
        double *own = b->errors + i * width + n_errors;
        memset(own, 0, b->plan->n_laws * sizeof *own);
        own[i] = least > 0.0 ? sqrt(least) * fmin(square[i] / least, MEMBER_RATIO_MAX) : 0.0;
    }
}

/* Weights (L) of the laws in the stack of one fold, by least squares on the inner test rows. */
static enum mix_status weigh_fold(struct compare_board *b, size_t fold, double *weight,
                                  double *seconds, struct mix_error *err)
{
    const struct mix_data *data = b->plan->fits.data;
    uint8_t *tested = malloc(data->n_rows + 1);
    size_t member[MIX_COMPARE_LAWS_MAX], n_members = 0;
    double of_member[MIX_COMPARE_LAWS_MAX];
    enum mix_status status = MIX_OK;
    if (tested == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a stack");
    memset(weight, 0, b->plan->n_laws * sizeof *weight);
    if (mark_inner(b, fold, tested)) {
        const size_t n_errors = count_entries(data, tested);
        for (size_t l = 0; status == MIX_OK && l < b->plan->n_laws; l++) {
            bool is_member;
            status = predict_inner(b, fold, l, &is_member, seconds, err);
            if (status == MIX_OK && is_member &&
                put_errors(b, fold, l, tested, n_errors, n_members))
                member[n_members++] = l;
        }
        add_own_errors(b, n_errors, n_members);
        if (status == MIX_OK && n_members > 1 &&
            !mix_hull_weights(n_members, error_width(b, n_errors), b->errors, b->none, of_member))
            status = mix_fail(err, MIX_ENOMEM, "out of memory for a stack");
    }
    free(tested);
    for (size_t i = 0; status == MIX_OK && n_members > 1 && i < n_members; i++)
        weight[member[i]] = of_member[i];
    return status;
}

static void stack_fold(const struct compare_board *b, size_t fold, const double *weight)
{
    const struct mix_data *data = b->plan->fits.data;
    double *out = predicted_by(b, b->plan->n_laws + MIX_FLOORS);
    for (size_t e = 0; e < n_entries(b); e++) {
        if (!b->split->test[fold * data->n_rows + e / data->n_targets])
            continue;
        out[e] = 0.0;
        for (size_t l = 0; l < b->plan->n_laws; l++)
            if (weight[l] > 0.0)
                out[e] += weight[l] * predicted_by(b, l)[e];
    }
}

static enum mix_status predict_stack(struct compare_board *b, struct mix_error *err)
{
    const size_t n_laws = b->plan->n_laws, n_folds = b->split->n_folds;
    struct mix_compare_row *row = &b->rows[n_laws + MIX_FLOORS];
    double weight[MIX_COMPARE_LAWS_MAX];
    enum mix_status status = MIX_OK;
    for (size_t f = 0; status == MIX_OK && f < n_folds; f++) {
        double total = 0.0;
        status = weigh_fold(b, f, weight, &row->fit_s, err);
        for (size_t l = 0; status == MIX_OK && l < n_laws; l++) {
            b->rows[l].weight += weight[l] / (double)n_folds;
            total += weight[l];
        }
        if (status == MIX_OK && total == 0.0) {
            snprintf(row->reason, sizeof row->reason,
                     "a stack needs two laws that can be fitted and held out within the training "
                     "rows");
            set_nan(predicted_by(b, n_laws + MIX_FLOORS), n_entries(b));
            break;
        }
        if (status == MIX_OK)
            stack_fold(b, f, weight);
    }
    row->fit_s /= (double)n_folds;
    for (size_t l = 0; l < n_laws; l++) {
        if (row->reason[0] != '\0')
            b->rows[l].weight = NAN;
        if (b->rows[l].weight > 0.0)
            row->n_params += b->rows[l].n_params + 1;
        if (b->rows[l].weight > 0.0)
            row->fit_s += b->rows[l].fit_s;
    }
    row->n_params -= row->n_params > 0; /* weights sum to 1 */
    return status;
}

/* Groups that errors are independent between: folds, or mixtures where there is one fold. */
static void set_groups(struct compare_board *b)
{
    const struct mix_data *data = b->plan->fits.data;
    for (size_t f = 0; f < b->split->n_folds; f++)
        for (size_t r = 0; r < data->n_rows; r++)
            if (b->split->test[f * data->n_rows + r]) {
                b->tested[r] = 1;
                b->group[r] = b->split->n_folds > 1 ? f : data->cluster[r];
            }
    b->n_groups = b->split->n_folds > 1 ? b->split->n_folds : data->n_clusters;
}

double compare_mean_error(const struct compare_board *b, size_t one, size_t other, int target,
                          double *se)
{
    const struct mix_data *data = b->plan->fits.all;
    const size_t n_m = data->n_targets, n = data->n_rows * n_m;
    const double *p = b->all + one * n, *q = other != SIZE_MAX ? b->all + other * n : NULL;
    const size_t first = target < 0 ? 0 : (size_t)target;
    const size_t end = target < 0 ? n_m - data->n_scores : first + 1;
    double total = 0.0, count = 0.0, squares = 0.0, groups = 0.0;
    memset(b->sum, 0, b->n_groups * sizeof *b->sum);
    memset(b->n, 0, b->n_groups * sizeof *b->n);
    for (size_t e = 0; e < n; e++) {
        const size_t r = e / n_m, m = e % n_m;
        if (m < first || m >= end || !b->tested[r] || !(data->weight[e] > 0.0) || !isfinite(p[e]) ||
            (q != NULL && !isfinite(q[e])))
            continue;
        const double miss = fabs(p[e] - data->loss[e]);
        b->sum[b->group[r]] += (q != NULL ? miss - fabs(q[e] - data->loss[e]) : miss) /
                               (target < 0 ? fabs(data->loss[e]) : 1.0);
        b->n[b->group[r]] += 1.0;
    }
    for (size_t g = 0; g < b->n_groups; g++) {
        total += b->sum[g];
        count += b->n[g];
        groups += b->n[g] > 0.0;
    }
    const double mean = count > 0.0 ? total / count : NAN;
    for (size_t g = 0; g < b->n_groups; g++)
        squares += pow(b->sum[g] - mean * b->n[g], 2);
    *se = groups > 1.0 ? sqrt(squares * groups / (groups - 1.0)) / count : NAN;
    return mean;
}

/* The first row of the fold before r that has the same N and D; r where there is none. */
static size_t first_alike(const struct mix_data *data, const uint8_t *tested, size_t r)
{
    for (size_t i = 0; i < r; i++)
        if (tested[i] && fabs(data->n_params[i] / data->n_params[r] - 1.0) <= 1e-9 &&
            fabs(data->n_tokens[i] / data->n_tokens[r] - 1.0) <= 1e-9)
            return i;
    return r;
}

/* True where the predictor gives all mixtures of a fold and a scale the same losses. Folds differ
 * all the same, as a fold that loses its best mixtures predicts higher losses for them: ranks over
 * all folds would be those of the folds. */
static bool is_blind(const struct compare_board *b, size_t predictor)
{
    const struct mix_data *data = b->plan->fits.data;
    const double *p = predicted_by(b, predictor);
    for (size_t f = 0; f < b->split->n_folds; f++) {
        const uint8_t *tested = b->split->test + f * data->n_rows;
        for (size_t r = 0; r < data->n_rows; r++) {
            const size_t like = tested[r] ? first_alike(data, tested, r) : r;
            for (size_t m = 0; like != r && m < data->n_targets; m++) {
                const double here = p[r * data->n_targets + m],
                             there = p[like * data->n_targets + m];
                if (!(fabs(here - there) <= 1e-12 * fabs(there)))
                    return false;
            }
        }
    }
    return true;
}

/* Which floors are better than the predictor. */
static void mark_losses(const struct compare_board *b, size_t predictor)
{
    struct mix_compare_row *row = &b->rows[predictor];
    for (size_t f = 0; f < MIX_FLOORS; f++) {
        double se;
        const struct mix_metrics *floor = &b->rows[b->plan->n_laws + f].metrics;
        if (compare_mean_error(b, predictor, b->plan->n_laws + f, -1, &se) >
            COMPARE_TIE * floor->mre)
            row->loses_mre |= (uint8_t)(1U << f);
        if (floor->skill > row->metrics.skill + COMPARE_TIE)
            row->loses_skill |= (uint8_t)(1U << f);
    }
}

static enum mix_status judge_rows(struct compare_board *b, struct mix_compare_test *test,
                                  struct mix_error *err)
{
    const struct mix_data *data = b->plan->fits.data;
    const size_t n_laws = b->plan->n_laws, n_predictors = compare_n_predictors(b);
    enum mix_status status = MIX_OK;
    for (size_t q = 0; status == MIX_OK && q < n_predictors; q++)
        status = mix_metrics_compute(data, b->target_weight, predicted_by(b, q), b->tested, -1,
                                     &b->rows[q].metrics, err);
    size_t best = 0;
    for (size_t q = 1; status == MIX_OK && q < n_predictors; q++) {
        const struct mix_metrics *here = &b->rows[q].metrics, *there = &b->rows[best].metrics;
        if (here->n > there->n || (here->n == there->n && here->mre < there->mre))
            best = q;
    }
    for (size_t q = 0; status == MIX_OK && q < n_predictors; q++) {
        struct mix_compare_row *row = &b->rows[q];
        b->blind[q] = is_blind(b, q);
        if (b->blind[q]) {
            row->metrics.rho = row->metrics.slope = row->metrics.regret = NAN;
            row->metrics.skill = row->metrics.n > 0 ? 0.0 : NAN;
        }
        compare_mean_error(b, q, SIZE_MAX, -1, &row->mre_se);
        row->worse = compare_mean_error(b, q, best, -1, &row->worse_se);
        if (row->metrics.n > 0 && (q < n_laws || q == n_predictors - 1))
            mark_losses(b, q);
        if (row->metrics.n == 0 && row->reason[0] == '\0')
            snprintf(row->reason, sizeof row->reason,
                     "no mixture of the test rows is among the training rows at another scale");
        if (row->metrics.n == 0 || q >= n_laws)
            row->weight = NAN;
        if (row->metrics.n == 0 || (q >= n_laws && q < n_predictors - 1))
            row->fit_s = NAN;
    }
    test->best = (uint8_t)best;
    return status;
}

static void describe_test(const struct compare_board *b, struct mix_compare_test *test)
{
    const struct mix_data *data = b->plan->fits.data;
    memcpy(test->kind, b->split->kind, sizeof test->kind);
    test->n_folds = b->split->n_folds;
    test->groups_are_folds = b->split->n_folds > 1;
    test->trained_min = INFINITY;
    for (size_t i = 0; i < b->split->n_folds * data->n_rows; i++)
        if (b->split->train[i]) {
            test->trained_min = fmin(test->trained_min, data->n_params[i % data->n_rows] * 1e6);
            test->trained_max = fmax(test->trained_max, data->n_params[i % data->n_rows] * 1e6);
        }
    memset(b->n, 0, b->n_groups * sizeof *b->n);
    for (size_t r = 0; r < data->n_rows; r++)
        if (b->tested[r] && b->n[b->group[r]]++ == 0.0)
            test->n_groups++;
}

static enum mix_status make_board(struct compare_board *b, struct mix_error *err)
{
    const struct mix_data *data = b->plan->fits.data, *all = b->plan->fits.all;
    const size_t n_laws = b->plan->n_laws, n = n_entries(b);
    const size_t n_predicted = compare_n_predictors(b) * n;
    const size_t n_all = compare_n_predictors(b) * all->n_rows * all->n_targets;
    b->n_groups = data->n_clusters + b->split->n_folds;
    b->predicted = malloc((n_predicted + (n_laws + 1) * (2 * n + n_laws) + MIX_COMPARE_LAWS_MAX +
                           2 * b->n_groups + 1) *
                          sizeof *b->predicted);
    b->tested = calloc(data->n_rows + 1, 1);
    b->group = calloc(data->n_rows + 1, sizeof *b->group);
    b->all = all == data ? b->predicted : malloc((n_all + 1) * sizeof *b->all);
    if (b->predicted == NULL || b->all == NULL || b->tested == NULL || b->group == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a comparison");
    b->inner = b->predicted + n_predicted;
    b->errors = b->inner + (n_laws + 1) * n;
    b->none = b->errors + (n_laws + 1) * (n + n_laws);
    b->sum = b->none + MIX_COMPARE_LAWS_MAX;
    b->n = b->sum + b->n_groups;
    set_nan(b->predicted, n_predicted);
    memset(b->none, 0, MIX_COMPARE_LAWS_MAX * sizeof *b->none);
    set_groups(b);
    return MIX_OK;
}

static void free_board(struct compare_board *b)
{
    if (b->all != b->predicted)
        free(b->all);
    free(b->predicted);
    free(b->tested);
    free(b->group);
}

static enum mix_status judge_test(struct compare_plan *plan, size_t t, const double *target_weight,
                                  struct mix_compare *out, struct mix_error *err)
{
    const struct mix_data *data = plan->fits.all;
    const size_t n_m = data->n_targets;
    struct compare_board board = {.plan = plan,
                                  .test = t,
                                  .split = &plan->test[t].splits.split[0],
                                  .target_weight = target_weight,
                                  .rows = out->rows + t * out->n_predictors};
    enum mix_status status = make_board(&board, err);
    for (size_t l = 0; status == MIX_OK && l < plan->n_laws; l++)
        status = predict_law(&board, l, err);
    for (size_t f = 0; status == MIX_OK && f < MIX_FLOORS; f++)
        status = predict_floor(&board, f, err);
    if (status == MIX_OK)
        status = predict_stack(&board, err);
    if (status == MIX_OK && data->n_scores > 0)
        status = compare_link_scores(&board, out->no_link + t * n_m, err);
    if (status == MIX_OK)
        status = judge_rows(&board, &out->tests[t], err);
    if (status == MIX_OK)
        status = compare_judge_targets(&board, out->by_target + t * out->n_predictors * n_m, err);
    if (status == MIX_OK)
        describe_test(&board, &out->tests[t]);
    free_board(&board);
    return status;
}

static void fill_facts(const struct compare_plan *plan, struct mix_compare *out)
{
    const struct mix_compare_options *options = plan->options;
    const struct mix_data *data = plan->fits.all;
    snprintf(out->name, sizeof out->name, "%s", options->name);
    out->selection = options->selection;
    snprintf(out->laws, sizeof out->laws, "%s", options->laws);
    snprintf(out->holdout_option, sizeof out->holdout_option, "%s", options->holdout);
    out->seed = options->seed;
    out->n_starts = options->n_starts;
    out->table_key = fit_table_key(data, &plan->fits.names, options->laws);
    out->n_rows = data->n_rows;
    out->n_clusters = data->n_clusters;
    out->n_scores = data->n_scores;
    for (size_t m = 0; m < data->n_targets; m++) {
        const struct mix_target *target = &plan->table->targets[data->target[m]];
        snprintf(out->targets[m], sizeof out->targets[m], "%s", target->name);
        snprintf(out->units[m], sizeof out->units[m], "%s", target->unit);
        out->target_size[m] = data->size[m];
    }
    for (size_t e = 0; e < data->n_rows * data->n_targets; e++)
        out->n_fitted += data->weight[e] > 0.0;
    for (size_t q = 0; q < out->n_predictors; q++) {
        struct mix_predictor *predictor = &out->predictors[q];
        predictor->kind = q < plan->n_laws                ? MIX_PREDICTOR_LAW
                          : q < plan->n_laws + MIX_FLOORS ? MIX_PREDICTOR_FLOOR
                                                          : MIX_PREDICTOR_STACK;
        snprintf(predictor->name, sizeof predictor->name, "%s",
                 q < plan->n_laws                ? plan->law[q].label
                 : q < plan->n_laws + MIX_FLOORS ? mix_floor_names[q - plan->n_laws]
                                                 : "stack");
    }
}

enum mix_status compare_judge(struct compare_plan *plan, struct mix_compare **out,
                              struct mix_error *err)
{
    const struct mix_data *data = plan->fits.all;
    struct mix_compare *compare = mix_compare_create(plan->n_tests, plan->n_laws + MIX_FLOORS + 1);
    double *target_weight = calloc(data->n_targets, sizeof *target_weight);
    enum mix_status status = MIX_OK;
    if (compare == NULL || target_weight == NULL ||
        !mix_compare_hold_targets(compare, data->n_targets))
        status = mix_fail(err, MIX_ENOMEM, "out of memory for a comparison");
    if (status == MIX_OK) {
        fill_facts(plan, compare);
        for (size_t m = 0; m < data->n_targets; m++)
            target_weight[m] = plan->table->targets[data->target[m]].weight;
    }
    for (size_t t = 0; status == MIX_OK && t < plan->n_tests; t++)
        status = judge_test(plan, t, target_weight, compare, err);
    free(target_weight);
    if (status == MIX_OK)
        *out = compare;
    else
        mix_compare_destroy(compare);
    return status;
}
