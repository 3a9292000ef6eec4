/* SPDX-License-Identifier: GPL-3.0-or-later */
/* compare.c - which fits a comparison needs, and their starts over the ranks; see
 * mixsweep/compare.h.
 *
 * Every (fold, law) is a subfit. The weights of the stack come from folds within the training rows
 * of a fold, made by the same rule: the test rows of a fold are seen by nothing that predicts them.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "compare_parts.h"
#include "link.h"
#include "mixsweep/share.h"

enum { INNER_LEAST = 4 };
static const char INNER_FOLDS[] = "mixture:3-fold";
static const char *const all_holdouts[COMPARE_TESTS_MAX] = {"scale", "mixture:4-fold", "both"};

struct mix_compare_options mix_compare_options_default(void)
{
    return (struct mix_compare_options){.name = "laws",
                                        .laws = "all",
                                        .holdout = "all",
                                        .selection = {.targets = "domains"},
                                        .n_starts = 16,
                                        .seed = 1};
}

struct mix_compare *mix_compare_create(size_t n_tests, size_t n_predictors)
{
    struct mix_compare *compare = calloc(1, sizeof *compare);
    if (compare == NULL)
        return NULL;
    compare->n_tests = n_tests;
    compare->n_predictors = n_predictors;
    compare->predictors = calloc(n_predictors + 1, sizeof *compare->predictors);
    compare->tests = calloc(n_tests + 1, sizeof *compare->tests);
    compare->rows = calloc(n_tests * n_predictors + 1, sizeof *compare->rows);
    if (compare->predictors == NULL || compare->tests == NULL || compare->rows == NULL) {
        mix_compare_destroy(compare);
        return NULL;
    }
    return compare;
}

bool mix_compare_hold_targets(struct mix_compare *compare, size_t n_targets)
{
    const size_t n_rows = compare->n_tests * compare->n_predictors;
    compare->n_targets = n_targets;
    compare->targets = calloc(n_targets + 1, sizeof *compare->targets);
    compare->units = calloc(n_targets + 1, sizeof *compare->units);
    compare->target_size = calloc(n_targets + 1, sizeof *compare->target_size);
    compare->by_target = calloc(n_rows * n_targets + 1, sizeof *compare->by_target);
    compare->no_link = calloc(compare->n_tests * n_targets + 1, sizeof *compare->no_link);
    return compare->targets != NULL && compare->units != NULL && compare->target_size != NULL &&
           compare->by_target != NULL && compare->no_link != NULL;
}

void mix_compare_destroy(struct mix_compare *compare)
{
    if (compare == NULL)
        return;
    free(compare->predictors);
    free(compare->tests);
    free(compare->rows);
    free(compare->targets);
    free(compare->units);
    free(compare->target_size);
    free(compare->by_target);
    free(compare->no_link);
    free(compare);
}

const struct mix_compare_target *mix_compare_on_target(const struct mix_compare *compare,
                                                       size_t test, size_t predictor, size_t target)
{
    const size_t row = test * compare->n_predictors + predictor;
    return &compare->by_target[row * compare->n_targets + target];
}

bool mix_compare_mixes_units(const struct mix_compare *compare)
{
    for (size_t m = 0; compare->by_target != NULL && m < compare->n_targets; m++)
        if (compare->target_size[m] != 1.0)
            return true;
    return false;
}

bool mix_compare_sees_same_runs(const struct mix_compare *compare, const struct mix_table *table)
{
    struct mix_data *data = NULL;
    struct fit_names names = {NULL, NULL};
    struct mix_key key = {0, 0};
    if (mix_table_select(table, &compare->selection, &data, NULL) == MIX_OK &&
        fit_names(table, data, &names, NULL) == MIX_OK)
        key = fit_table_key(data, &names, compare->laws);
    free(names.domains);
    free(names.targets);
    mix_data_destroy(data);
    return key.hi == compare->table_key.hi && key.lo == compare->table_key.lo;
}

static enum mix_status add_law(struct compare_plan *plan, const char *text, size_t length,
                               struct mix_error *err)
{
    struct compare_law law = {.form = 0};
    char known[MIX_TEXT_MAX];
    mix_law_list(known);
    snprintf(law.label, sizeof law.label, "%.*s", (int)length, text);
    const size_t n_name = strcspn(law.label, ":");
    snprintf(law.law, sizeof law.law, "%.*s", (int)n_name, law.label);
    const char *form = law.label + n_name;
    if (length >= sizeof law.label || mix_law_find(law.law) == NULL ||
        (form[0] != '\0' && strcmp(form, ":eq1") != 0 && strcmp(form, ":eq3") != 0))
        return mix_fail(err, MIX_EUSAGE,
                        "--laws: there is no law \"%s\"; the laws are %s, and the forms "
                        "capacity:eq1 and capacity:eq3",
                        law.label, known);
    if (form[0] != '\0')
        law.form = form[3] - '0';
    for (size_t i = 0; i < plan->n_laws; i++)
        if (strcmp(plan->law[i].label, law.label) == 0)
            return mix_fail(err, MIX_EUSAGE, "--laws names %s twice", law.label);
    if (plan->n_laws == MIX_COMPARE_LAWS_MAX)
        return mix_fail(err, MIX_EUSAGE, "--laws names more than %d laws", MIX_COMPARE_LAWS_MAX);
    plan->law[plan->n_laws++] = law;
    return MIX_OK;
}

static enum mix_status read_laws(struct compare_plan *plan, struct mix_error *err)
{
    const char *text = plan->options->laws;
    enum mix_status status = MIX_OK;
    if (strcmp(text, "all") == 0) {
        const struct mix_law *law;
        for (size_t i = 0; status == MIX_OK && (law = mix_law_get(i)) != NULL; i++)
            status = add_law(plan, mix_law_name(law), strlen(mix_law_name(law)), err);
        return status;
    }
    for (const char *at = text; status == MIX_OK; at++) {
        const size_t length = strcspn(at, ",");
        status = add_law(plan, at, length, err);
        at += length;
        if (*at == '\0')
            break;
    }
    return status;
}

static enum mix_status add_test(struct compare_plan *plan, const char *option,
                                struct mix_error *err)
{
    struct compare_test *test = &plan->test[plan->n_tests];
    test->option = option;
    enum mix_status status =
        validate_splits(option, plan->fits.data, plan->options->seed, &test->splits, err);
    if (status != MIX_OK) {
        validate_splits_destroy(&test->splits);
        return status;
    }
    plan->n_tests++;
    test->reason = calloc(plan->n_laws, sizeof *test->reason);
    test->n_params = calloc(plan->n_laws, sizeof *test->n_params);
    return test->reason != NULL && test->n_params != NULL
               ? MIX_OK
               : mix_fail(err, MIX_ENOMEM, "out of memory for a comparison");
}

static enum mix_status make_tests(struct compare_plan *plan, struct mix_error *err)
{
    const char *option = plan->options->holdout;
    enum mix_status status = MIX_OK;
    if (strcmp(option, "all") != 0) {
        if (strcmp(option, "none") == 0 || strcmp(option, "auto") == 0)
            return mix_fail(err, MIX_EUSAGE,
                            "--holdout %s: a comparison holds out scale, mixture:K-fold, "
                            "mixture:F, both, or all",
                            option);
        return add_test(plan, option, err);
    }
    for (size_t i = 0; i < COMPARE_TESTS_MAX && (status == MIX_OK || status == MIX_EINVAL); i++)
        status = add_test(plan, all_holdouts[i], err);
    if (status == MIX_EINVAL && plan->n_tests > 0)
        return MIX_OK; /* those that can be made */
    if (status == MIX_EINVAL)
        return mix_fail(err, status,
                        "the selection allows no hold-out: it has %zu mixtures, and fewer than two "
                        "sizes",
                        plan->fits.data->n_clusters);
    return status;
}

/* The part takes a copy of the rows. */
static enum mix_status add_part(struct compare_plan *plan, struct compare_part part,
                                struct mix_error *err)
{
    const size_t n_rows = plan->fits.data->n_rows;
    struct compare_part *larger = realloc(plan->part, (plan->n_parts + 1) * sizeof *plan->part);
    uint8_t *rows = malloc(2 * n_rows + 1);
    if (larger != NULL)
        plan->part = larger;
    if (larger == NULL || rows == NULL) {
        free(rows);
        return mix_fail(err, MIX_ENOMEM, "out of memory for a comparison");
    }
    memcpy(rows, part.train, n_rows);
    memcpy(rows + n_rows, part.tested, n_rows);
    part.train = rows;
    part.tested = rows + n_rows;
    part.data = NULL;
    plan->part[plan->n_parts++] = part; /* counted before the check, so that it is freed */
    return validate_subset(plan->fits.data, part.train, &plan->part[plan->n_parts - 1].data, err);
}

/* Folds within the training rows of the last part, by the rule of its hold-out, or by mixtures
 * where those rows do not allow it; none where they are too few for that as well. */
static enum mix_status split_inner(const struct compare_plan *plan, struct splits *splits,
                                   struct mix_error *err)
{
    const struct compare_part *outer = &plan->part[plan->n_parts - 1];
    const char *option = plan->test[outer->test].option;
    const bool by_mixture = strncmp(option, "mixture", 7) == 0;
    enum mix_status status = validate_splits(by_mixture ? INNER_FOLDS : option, outer->data,
                                             plan->options->seed, splits, err);
    if (status == MIX_EINVAL && !by_mixture) {
        validate_splits_destroy(splits);
        status = validate_splits(INNER_FOLDS, outer->data, plan->options->seed, splits, err);
    }
    if (status != MIX_EINVAL)
        return status;
    validate_splits_destroy(splits);
    return MIX_OK;
}

static enum mix_status add_inner(struct compare_plan *plan, struct mix_error *err)
{
    const struct compare_part outer = plan->part[plan->n_parts - 1];
    const size_t n_rows = plan->fits.data->n_rows, n_inner = outer.data->n_rows;
    struct splits splits;
    enum mix_status status = split_inner(plan, &splits, err);
    uint8_t *rows = calloc(2 * n_rows + 1, 1);
    if (status == MIX_OK && rows == NULL)
        status = mix_fail(err, MIX_ENOMEM, "out of memory for a comparison");
    for (size_t f = 0; status == MIX_OK && splits.n > 0 && f < splits.split[0].n_folds; f++) {
        for (size_t r = 0, i = 0; r < n_rows; r++)
            if (outer.train[r]) {
                rows[r] = splits.split[0].train[f * n_inner + i];
                rows[n_rows + r] = splits.split[0].test[f * n_inner + i++];
            }
        status = add_part(plan,
                          (struct compare_part){.test = outer.test,
                                                .fold = outer.fold,
                                                .inner = f + 1,
                                                .train = rows,
                                                .tested = rows + n_rows},
                          err);
    }
    free(rows);
    validate_splits_destroy(&splits);
    return status;
}

static enum mix_status make_parts(struct compare_plan *plan, struct mix_error *err)
{
    const size_t n_rows = plan->fits.data->n_rows;
    enum mix_status status = MIX_OK;
    for (size_t t = 0; t < plan->n_tests; t++) {
        const struct split *split = &plan->test[t].splits.split[0];
        for (size_t f = 0; status == MIX_OK && f < split->n_folds; f++) {
            status = add_part(plan,
                              (struct compare_part){.test = t,
                                                    .fold = f,
                                                    .train = split->train + f * n_rows,
                                                    .tested = split->test + f * n_rows},
                              err);
            if (status == MIX_OK && plan->n_laws > 1)
                status = add_inner(plan, err);
        }
    }
    return status;
}

/* Shape of the subfit of a part and a law; the reason where the law refuses the part. */
static enum mix_status make_subfit(struct compare_plan *plan, size_t part, size_t law,
                                   struct mix_error *err)
{
    struct subfit *subfit = compare_subfit(plan, part, law);
    const struct compare_law *which = &plan->law[law];
    struct compare_test *test = &plan->test[plan->part[part].test];
    const struct fit_names *names = &plan->fits.names;
    char notes[MIX_TEXT_MAX];
    struct mix_error why = {{0}};
    struct mix_model *model;
    subfit->data = plan->part[part].data;
    enum mix_status status =
        mix_law_spec_from_data(which->law, which->form, subfit->data, names->domains,
                               names->targets, &subfit->spec, notes, &why);
    if (status == MIX_EINVAL) {
        if (plan->part[part].inner == 0 && test->reason[law][0] == '\0')
            memcpy(test->reason[law], why.text, sizeof why.text);
        return MIX_OK;
    }
    if (status == MIX_OK)
        status = mix_model_create(&subfit->spec, subfit->data->target_domain, &model, &why);
    if (status != MIX_OK)
        return mix_fail(err, status, "%s", why.text);
    const size_t n_point = model->n_theta + 2 * subfit->spec.n_targets; /* lsq_point_doubles() */
    if (n_point > plan->fits.max_point)
        plan->fits.max_point = n_point;
    if (plan->part[part].inner == 0 && plan->part[part].fold == 0)
        test->n_params[law] = mix_model_n_free(model);
    mix_model_destroy(model);
    subfit->n_starts = plan->options->n_starts;
    if (plan->part[part].inner > 0)
        subfit->n_starts = (subfit->n_starts + 1) / 2;
    if (plan->part[part].inner > 0 && subfit->n_starts < INNER_LEAST)
        subfit->n_starts = INNER_LEAST;
    return MIX_OK;
}

/* A law that refuses one fold of a hold-out is not fitted on the others. */
static void number_tasks(struct compare_plan *plan)
{
    for (size_t p = 0; p < plan->n_parts; p++)
        for (size_t l = 0; l < plan->n_laws; l++) {
            struct subfit *subfit = compare_subfit(plan, p, l);
            if (plan->test[plan->part[p].test].reason[l][0] != '\0')
                subfit->n_starts = 0;
            subfit->first_task = plan->fits.n_tasks;
            plan->fits.n_tasks += subfit->n_starts;
        }
}

static enum mix_status make_plan(struct compare_plan *plan, struct mix_error *err)
{
    struct fit_plan *fits = &plan->fits;
    fits->seed = plan->options->seed;
    enum mix_status status = read_laws(plan, err);
    if (status == MIX_OK)
        status = mix_table_select(plan->table, &plan->options->selection, &fits->all, err);
    fits->data = fits->all;
    if (status == MIX_OK && fits->all->n_scores > 0)
        status = fit_split_scores(fits->all, &fits->data, err);
    if (status == MIX_OK)
        status = fit_names(plan->table, fits->all, &fits->names, err);
    if (status == MIX_OK)
        status = make_tests(plan, err);
    if (status == MIX_OK)
        status = make_parts(plan, err);
    if (status != MIX_OK)
        return status;
    fits->n_subfits = plan->n_parts * plan->n_laws;
    fits->subfit = calloc(fits->n_subfits + 1, sizeof *fits->subfit);
    if (fits->subfit == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a comparison");
    for (size_t i = 0; status == MIX_OK && i < fits->n_subfits; i++)
        status = make_subfit(plan, i / plan->n_laws, i % plan->n_laws, err);
    number_tasks(plan);
    fits->record_doubles = RECORD_POINT + fits->max_point;
    return status;
}

static void destroy_plan(struct compare_plan *plan)
{
    if (plan->fits.subfit != NULL)
        compare_rest(plan);
    for (size_t p = 0; p < plan->n_parts; p++) {
        free(plan->part[p].train); /* tested stands behind it */
        mix_data_destroy(plan->part[p].data);
    }
    for (size_t t = 0; t < plan->n_tests; t++) {
        validate_splits_destroy(&plan->test[t].splits);
        free(plan->test[t].reason);
        free(plan->test[t].n_params);
    }
    free(plan->part);
    free(plan->fits.subfit);
    free(plan->fits.names.domains);
    free(plan->fits.names.targets);
    free(plan->fits.records);
    if (plan->fits.data != plan->fits.all)
        mix_data_destroy(plan->fits.data);
    mix_data_destroy(plan->fits.all);
}

void compare_rest(struct compare_plan *plan)
{
    if (plan->live == SIZE_MAX)
        return;
    struct subfit *subfit = &plan->fits.subfit[plan->live];
    lsq_destroy(subfit->lsq);
    free(subfit->trial);
    free(subfit->fresh);
    subfit->lsq = NULL;
    subfit->trial = subfit->fresh = NULL;
    plan->live = SIZE_MAX;
}

/* Hundreds of workspaces at once would not fit into memory. */
enum mix_status compare_enliven(struct compare_plan *plan, struct subfit *subfit,
                                struct mix_error *err)
{
    if (subfit->lsq != NULL)
        return MIX_OK;
    compare_rest(plan);
    plan->live = (size_t)(subfit - plan->fits.subfit);
    const enum mix_status status =
        lsq_create(&subfit->spec, subfit->data->target_domain, subfit->data, &subfit->lsq, err);
    if (status != MIX_OK)
        return status;
    law_model_set_isa(lsq_model(subfit->lsq), plan->fits.isa);
    const size_t n_point = lsq_point_doubles(subfit->lsq);
    subfit->trial = calloc(n_point, sizeof *subfit->trial);
    subfit->fresh = calloc(n_point, sizeof *subfit->fresh);
    if (subfit->trial == NULL || subfit->fresh == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a fit");
    return MIX_OK;
}

/* Of the process: what others compute beside us does not count. */
static double processor_s(void)
{
    struct timespec now;
    return clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0
               ? (double)now.tv_sec + 1e-9 * (double)now.tv_nsec
               : NAN;
}

/* Random streams depend on what is fitted, not on what else is compared. */
static gsl_rng *stream_of(const struct compare_plan *plan, size_t subfit, uint64_t start)
{
    const struct compare_part *part = &plan->part[subfit / plan->n_laws];
    const uint64_t what[3] = {part->fold, part->inner, start};
    char stage[MIX_NAME_MAX + MIX_KIND_MAX + 16];
    snprintf(stage, sizeof stage, "compare %s %s", plan->law[subfit % plan->n_laws].label,
             plan->test[part->test].option);
    return mix_rng_create(mix_key_make(plan->fits.seed, stage, what, sizeof what));
}

static enum mix_status run_start(void *context, size_t task, void *record, struct mix_poll *poll,
                                 struct mix_error *err)
{
    struct compare_plan *plan = context;
    size_t i = 0;
    while (task - plan->fits.subfit[i].first_task >= plan->fits.subfit[i].n_starts)
        i++;
    struct subfit *subfit = &plan->fits.subfit[i];
    const double before = processor_s();
    enum mix_status status = compare_enliven(plan, subfit, err);
    if (status != MIX_OK)
        return status;
    gsl_rng *rng = stream_of(plan, i, task - subfit->first_task);
    if (rng == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a random stream");
    double *out = record;
    struct lsq_result result = {0};
    status = fit_run_chain(subfit, rng, out + RECORD_POINT, poll, &result, err);
    gsl_rng_free(rng);
    out[RECORD_OBJECTIVE] = result.objective;
    out[RECORD_SECONDS] = processor_s() - before;
    return status;
}

static enum mix_status run_starts(struct mix_ranks *ranks, struct compare_plan *plan,
                                  mix_progress_fn progress, void *progress_context,
                                  struct mix_error *err)
{
    struct fit_plan *fits = &plan->fits;
    enum mix_status status = MIX_OK;
    if (mix_ranks_rank(ranks) == 0) {
        fits->records = calloc(fits->n_tasks * fits->record_doubles + 1, sizeof *fits->records);
        if (fits->records == NULL)
            status = mix_fail(err, MIX_ENOMEM, "out of memory for %zu starts", fits->n_tasks);
    }
    status = mix_ranks_agree(ranks, status, err);
    if (status != MIX_OK)
        return status;
    const struct mix_stage stage = {.name = "compare",
                                    .n_tasks = fits->n_tasks,
                                    .record_bytes = fits->record_doubles * sizeof(double),
                                    .run = run_start,
                                    .context = plan,
                                    .records = (uint8_t *)fits->records,
                                    .progress = progress,
                                    .progress_context = progress_context};
    status = mix_stage_run(ranks, &stage, err);
    if (status == MIX_EINTERRUPTED)
        return mix_fail(err, status,
                        "compare: interrupted; starts are not stored one by one, so the same "
                        "command begins again");
    return status;
}

enum mix_status mix_compare_run(struct mix_ranks *ranks, const struct mix_table *table,
                                const struct mix_compare_options *options, mix_progress_fn progress,
                                void *progress_context, struct mix_compare **out,
                                struct mix_error *err)
{
    struct compare_plan plan = {.options = options, .table = table, .live = SIZE_MAX};
    *out = NULL;
    enum mix_status status = mix_share_isa(ranks, &plan.fits.isa, err);
    if (status == MIX_OK)
        status = mix_ranks_agree(ranks, make_plan(&plan, err), err);
    if (status == MIX_OK)
        status = run_starts(ranks, &plan, progress, progress_context, err);
    if (status == MIX_OK && mix_ranks_rank(ranks) == 0)
        status = compare_judge(&plan, out, err);
    if (status != MIX_EINTERRUPTED)
        status = mix_ranks_agree(ranks, status, err);
    destroy_plan(&plan);
    return status;
}
