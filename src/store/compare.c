/* SPDX-License-Identifier: GPL-3.0-or-later */
/* compare.c - comparisons of laws in the file: /compare/NAME, and by target in its group by_target.
 */
#include "store/store_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { PREDICTORS_MAX = MIX_COMPARE_LAWS_MAX + MIX_FLOORS + 1 };
enum { DIM_HOLDOUT, DIM_PREDICTOR, DIM_TARGET, DIMS };
static const char BY_TARGET[] = "by_target";

#define SCALAR(member, name, type) H5_SCALAR(struct mix_compare, member, name, type)
#define TEST(member, name, unit, type)                                                             \
    H5_COLUMN(struct mix_compare, tests, struct mix_compare_test, member, name, unit, type,        \
              DIM_HOLDOUT)
#define PREDICTOR(member, name, type)                                                              \
    H5_COLUMN(struct mix_compare, predictors, struct mix_predictor, member, name, NULL, type,      \
              DIM_PREDICTOR)
#define ROW(member, name, unit, type)                                                              \
    {                                                                                              \
        name, unit, type, H5_POINTER_AT, sizeof(((struct mix_compare_row *)0)->member),            \
            offsetof(struct mix_compare, rows), offsetof(struct mix_compare_row, member),          \
            sizeof(struct mix_compare_row),                                                        \
        {                                                                                          \
            DIM_HOLDOUT, DIM_PREDICTOR, NO_DIM                                                     \
        }                                                                                          \
    }
#define METRIC(member, unit) ROW(metrics.member, #member, unit, H5_DOUBLE)

static const struct h5_field compare_fields[] = {
    SCALAR(laws, "laws", H5_TEXT),
    SCALAR(selection.where, "where", H5_TEXT),
    SCALAR(selection.targets, "targets", H5_TEXT),
    SCALAR(selection.mask_below, "mask_below", H5_DOUBLE),
    SCALAR(holdout_option, "holdout_option", H5_TEXT),
    SCALAR(seed, "seed", H5_UINT64),
    SCALAR(n_starts, "n_starts", H5_UINT64),
    SCALAR(table_key, "table_key", H5_KEY),
    SCALAR(n_rows, "n_rows", H5_UINT64),
    SCALAR(n_fitted, "n_fitted", H5_UINT64),
    SCALAR(n_clusters, "n_mixtures", H5_UINT64),
    SCALAR(n_targets, "n_targets", H5_UINT64),
    TEST(kind, "holdout", NULL, H5_TEXT),
    PREDICTOR(name, "predictor", H5_TEXT),
    PREDICTOR(kind, "predictor_kind", H5_INT32),
    TEST(n_folds, "n_folds", NULL, H5_UINT64),
    TEST(n_groups, "n_groups", NULL, H5_UINT64),
    TEST(groups_are_folds, "groups_are_folds", NULL, H5_UINT8),
    TEST(best, "best", NULL, H5_UINT8),
    TEST(trained_min, "trained_min", "parameters", H5_DOUBLE),
    TEST(trained_max, "trained_max", "parameters", H5_DOUBLE),
    ROW(n_params, "n_params", NULL, H5_UINT64),
    ROW(metrics.n, "n", NULL, H5_UINT64),
    ROW(metrics.n_left_out, "n_left_out", NULL, H5_UINT64),
    METRIC(mse, "loss^2"),
    METRIC(mre, "1"),
    METRIC(mae, "loss"),
    METRIC(rmse, "loss"),
    METRIC(rho, "1"),
    METRIC(regret, "loss"),
    METRIC(slope, "1"),
    METRIC(skill, "1"),
    ROW(mre_se, "mre_se", "1", H5_DOUBLE),
    ROW(worse, "worse", "1", H5_DOUBLE),
    ROW(worse_se, "worse_se", "1", H5_DOUBLE),
    ROW(weight, "weight", "1", H5_DOUBLE),
    ROW(fit_s, "fit_s", "s", H5_DOUBLE),
    ROW(loses_mre, "loses_mre", NULL, H5_UINT8),
    ROW(loses_skill, "loses_skill", NULL, H5_UINT8),
    ROW(reason, "reason", NULL, H5_TEXT),
};

#define RELATIVE "where losses have several units, of each relative to by_target/target_size"
static const struct h5_note compare_notes[] = {
    {"predictor_kind", "meaning", "0 a law, 1 a floor that knows nothing of mixing, 2 the stack"},
    {"groups_are_folds", "meaning", "standard errors are over 1 folds, 0 mixtures"},
    {"best", "description", "index of the predictor of the smallest mre"},
    {"n", "description", "losses predicted; 0 = none, see reason"},
    {"mae", "description", RELATIVE},
    {"rmse", "description", RELATIVE},
    {"mse", "description", RELATIVE},
    {"regret", "description", RELATIVE},
    {"worse", "description", "mre less that of the best predictor, on the losses both predict"},
    {"weight", "description", "of a law in the stack, mean over folds; NaN = no member"},
    {"fit_s", "description", "processor time of all starts of a fold, mean over folds"},
    {"loses_mre", "meaning", "bits: 1 mean, 2 scale-only, 4 copy-scale has a smaller mre"},
    {"loses_skill", "meaning", "bits: 1 mean, 2 scale-only, 4 copy-scale has a larger skill"},
};

#define TARGET(member, name, type)                                                                 \
    H5_ARRAY(struct mix_compare, member, name, NULL, type, DIM_TARGET, NO_DIM)
#define BY(member, name, unit, type)                                                               \
    {                                                                                              \
        name, unit, type, H5_POINTER_AT, sizeof(((struct mix_compare_target *)0)->member),         \
            offsetof(struct mix_compare, by_target), offsetof(struct mix_compare_target, member),  \
            sizeof(struct mix_compare_target),                                                     \
        {                                                                                          \
            DIM_HOLDOUT, DIM_PREDICTOR, DIM_TARGET, NO_DIM                                         \
        }                                                                                          \
    }
#define METRIC_BY(member, unit) BY(metrics.member, #member, unit, H5_DOUBLE)

static const struct h5_field target_fields[] = {
    SCALAR(n_scores, "n_scores", H5_UINT64),
    TEST(kind, "holdout", NULL, H5_TEXT),
    PREDICTOR(name, "predictor", H5_TEXT),
    TARGET(targets, "target", H5_TEXT),
    TARGET(units, "target_unit", H5_TEXT),
    TARGET(target_size, "target_size", H5_DOUBLE),
    H5_ARRAY(struct mix_compare, no_link, "no_link", NULL, H5_TEXT, DIM_HOLDOUT, DIM_TARGET),
    BY(metrics.n, "n", NULL, H5_UINT64),
    BY(metrics.n_left_out, "n_left_out", NULL, H5_UINT64),
    METRIC_BY(mse, "target_unit^2"),
    METRIC_BY(mre, "1"),
    METRIC_BY(mae, "target_unit"),
    METRIC_BY(rmse, "target_unit"),
    METRIC_BY(rho, "1"),
    METRIC_BY(regret, "target_unit"),
    METRIC_BY(slope, "1"),
    METRIC_BY(skill, "1"),
    BY(worse, "worse", "target_unit", H5_DOUBLE),
    BY(worse_se, "worse_se", "target_unit", H5_DOUBLE),
    BY(loses_mae, "loses_mae", NULL, H5_UINT8),
    BY(loses_skill, "loses_skill", NULL, H5_UINT8),
};

static const struct h5_note target_notes[] = {
    {".", "n_scores_description", "so many of the targets, the last, are scores"},
    {"target_size", "description", "what losses count relative to in figures over targets"},
    {"no_link", "description", "why a score has no link to the losses in a fold"},
    {"n", "description", "values predicted; 0 = none"},
    {"worse", "description", "mae less that of the best predictor, where both predict"},
    {"loses_mae", "meaning", "bits: 1 mean, 2 scale-only, 4 copy-scale has a smaller mae"},
    {"loses_skill", "meaning", "bits: 1 mean, 2 scale-only, 4 copy-scale has a larger skill"},
};

static enum mix_status write_by_target(const struct h5_group *group,
                                       const struct mix_compare *compare, const struct h5_dim *dims,
                                       struct mix_error *err)
{
    struct h5_group part;
    enum mix_status status = h5_group_create(group, BY_TARGET, &part, err);
    if (status != MIX_OK)
        return status;
    status = h5_write(&part, compare, target_fields, COUNT(target_fields), dims, err);
    if (status == MIX_OK)
        status = h5_annotate(&part, target_notes, COUNT(target_notes), err);
    h5_group_close(&part);
    return status;
}

enum mix_status store_write_compare(const struct h5_group *group, const struct mix_compare *compare,
                                    struct mix_error *err)
{
    const struct h5_dim dims[DIMS] = {{"holdout", compare->n_tests, "holdout"},
                                      {"predictor", compare->n_predictors, "predictor"},
                                      {"target", compare->n_targets, "target"}};
    enum mix_status status = h5_write_text(
        group, "checkpoints", mix_checkpoints_name(compare->selection.checkpoints), err);
    if (status == MIX_OK)
        status = h5_write(group, compare, compare_fields, COUNT(compare_fields), dims, err);
    if (status == MIX_OK)
        status = h5_annotate(group, compare_notes, COUNT(compare_notes), err);
    return status == MIX_OK && compare->by_target != NULL
               ? write_by_target(group, compare, dims, err)
               : status;
}

/* Numbers that readers take for granted. */
static enum mix_status check_compare(const struct h5_group *group,
                                     const struct mix_compare *compare, struct mix_error *err)
{
    for (size_t q = 0; q < compare->n_predictors; q++)
        if (compare->predictors[q].kind < 0 || compare->predictors[q].kind > MIX_PREDICTOR_STACK)
            return mix_fail(err, MIX_EFORMAT,
                            "%s: %s/predictor_kind, entry %zu: %d is not 0, 1 or 2", group->file,
                            group->path, q, compare->predictors[q].kind);
    for (size_t t = 0; t < compare->n_tests; t++)
        if (compare->tests[t].best >= compare->n_predictors)
            return mix_fail(err, MIX_EFORMAT, "%s: %s/best, entry %zu: %d is no predictor",
                            group->file, group->path, t, compare->tests[t].best);
    return MIX_OK;
}

static enum mix_status read_checkpoints(const struct h5_group *group, struct mix_compare *compare,
                                        struct mix_error *err)
{
    char *word = NULL;
    enum mix_status status = h5_read_text(group, "checkpoints", &word, err);
    if (status == MIX_OK && !mix_checkpoints_read(word, &compare->selection.checkpoints))
        status = mix_fail(err, MIX_EFORMAT,
                          "%s: %s/checkpoints (attribute) is \"%.80s\", not last, late or all",
                          group->file, group->path, word);
    free(word);
    return status;
}

/* Comparisons of the first versions have none. */
static enum mix_status read_by_target(const struct h5_group *group, struct mix_compare *compare,
                                      struct h5_dim *dims, struct mix_error *err)
{
    struct h5_group part;
    const size_t n = compare->n_targets;
    enum mix_status status = h5_group_open(group, BY_TARGET, &part, err);
    if (status != MIX_OK)
        return status == MIX_ENOTFOUND ? MIX_OK : status;
    status = h5_extent(&part, "target", n, n, &dims[DIM_TARGET].n, err);
    if (status == MIX_OK && !mix_compare_hold_targets(compare, n))
        status = mix_fail(err, MIX_ENOMEM, "%s: no memory for %s", part.file, part.path);
    if (status == MIX_OK)
        status = h5_read(&part, compare, target_fields, COUNT(target_fields), dims, err);
    if (status == MIX_OK && compare->n_scores >= n)
        status = mix_fail(err, MIX_EFORMAT, "%s: %s/n_scores is %zu of %zu targets", part.file,
                          part.path, compare->n_scores, n);
    h5_group_close(&part);
    return status;
}

enum mix_status store_read_compare(const struct h5_group *group, const char *name,
                                   struct mix_compare **out, struct mix_error *err)
{
    struct h5_dim dims[DIMS] = {
        {"holdout", 0, "holdout"}, {"predictor", 0, "predictor"}, {"target", 0, "target"}};
    enum mix_status status = h5_extent(group, "holdout", 1, MIX_HOLDOUTS_MAX, &dims[0].n, err);
    if (status == MIX_OK)
        status = h5_extent(group, "predictor", 1, PREDICTORS_MAX, &dims[1].n, err);
    if (status != MIX_OK)
        return status;
    struct mix_compare *compare = mix_compare_create(dims[0].n, dims[1].n);
    if (compare == NULL)
        return mix_fail(err, MIX_ENOMEM, "%s: no memory for %s", group->file, group->path);
    snprintf(compare->name, sizeof compare->name, "%s", name);
    status = h5_read(group, compare, compare_fields, COUNT(compare_fields), dims, err);
    if (status == MIX_OK)
        status = read_checkpoints(group, compare, err);
    if (status == MIX_OK)
        status = read_by_target(group, compare, dims, err);
    if (status == MIX_OK)
        status = check_compare(group, compare, err);
    if (status == MIX_OK)
        *out = compare;
    else
        mix_compare_destroy(compare);
    return status;
}
