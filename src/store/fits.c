/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fits.c - fits and bootstrap draws in the file: /fits/NAME and /bootstrap/NAME. */
#include "store/store_impl.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { TARGETS_MAX = 65536, PARAMS_MAX = 65536, COUNT_MAX = 100 * 1000 * 1000, HELD_MAX = 1 << 28 };
enum { PREDICTORS = 1 + MIX_FLOORS }; /* the law and the floors */

enum { FIT_DOMAIN, FIT_TARGET, FIT_PARAM, FIT_START, FIT_OPTIMUM, FIT_OTHER, FIT_DIMS };

#define SCALAR(member, name, type) H5_SCALAR(struct mix_fit, member, name, type)
#define ARRAY(member, name, unit, type, dim0, dim1)                                                \
    H5_ARRAY(struct mix_fit, member, name, unit, type, dim0, dim1)

static const struct h5_field fit_fields[] = {
    SCALAR(spec.law, "law", H5_TEXT),
    SCALAR(spec.form, "form", H5_INT32),
    SCALAR(spec.has_size_term, "has_size_term", H5_INT32),
    SCALAR(spec.has_token_term, "has_token_term", H5_INT32),
    SCALAR(spec.n_min, "n_min_millions", H5_DOUBLE),
    SCALAR(spec.h_min, "h_min", H5_DOUBLE),
    SCALAR(selection.where, "where", H5_TEXT),
    SCALAR(selection.targets, "targets", H5_TEXT),
    SCALAR(selection.mask_below, "mask_below", H5_DOUBLE),
    SCALAR(holdout_option, "holdout_option", H5_TEXT),
    SCALAR(seed, "seed", H5_UINT64),
    SCALAR(table_key, "table_key", H5_KEY),
    SCALAR(n_rows, "n_rows", H5_UINT64),
    SCALAR(n_fitted, "n_fitted", H5_UINT64),
    SCALAR(n_clusters, "n_mixtures", H5_UINT64),
    SCALAR(objective, "objective", H5_DOUBLE),
    SCALAR(n_at_best, "n_starts_at_best", H5_UINT64),
    SCALAR(scale_error, "scale_error", H5_DOUBLE),
    SCALAR(scale_factor, "scale_factor", H5_DOUBLE),
    SCALAR(max_n_params, "max_n_params", H5_DOUBLE),
    SCALAR(max_n_tokens, "max_n_tokens", H5_DOUBLE),
    SCALAR(warnings, "warnings", H5_TEXT),
    ARRAY(domains, "domain", NULL, H5_TEXT, FIT_DOMAIN, NO_DIM),
    ARRAY(targets, "target", NULL, H5_TEXT, FIT_TARGET, NO_DIM),
    ARRAY(param_names, "param", NULL, H5_TEXT, FIT_PARAM, NO_DIM),
    ARRAY(target_domain, "target_domain", NULL, H5_INT32, FIT_TARGET, NO_DIM),
    ARRAY(target_weight, "target_weight", "1", H5_DOUBLE, FIT_TARGET, NO_DIM),
    ARRAY(param_units, "param_unit", NULL, H5_TEXT, FIT_PARAM, NO_DIM),
    ARRAY(params, "params", NULL, H5_DOUBLE, FIT_PARAM, NO_DIM),
    ARRAY(std_error, "std_error", NULL, H5_DOUBLE, FIT_PARAM, NO_DIM),
    ARRAY(covariance, "covariance", NULL, H5_DOUBLE, FIT_PARAM, FIT_OTHER),
    ARRAY(param_state, "param_state", NULL, H5_UINT8, FIT_PARAM, NO_DIM),
    ARRAY(seen_max, "seen_max", "1", H5_DOUBLE, FIT_DOMAIN, NO_DIM),
};

/* The parameters again, for readers that want two names for two dimensions; never read. */
static const struct h5_field other_field =
    ARRAY(param_names, "param_other", NULL, H5_TEXT, FIT_OTHER, NO_DIM);

/* Of laws with repetition only. */
static const struct h5_field supply_field =
    ARRAY(supply, "supply", "tokens", H5_DOUBLE, FIT_DOMAIN, NO_DIM);

/* Of laws with priors only. */
static const struct h5_field priors_field = SCALAR(priors_key, "priors_key", H5_KEY);

/* Of fits of targets in several units, and of fits with scores, only. */
static const struct h5_field size_field =
    ARRAY(target_size, "target_size", NULL, H5_DOUBLE, FIT_TARGET, NO_DIM);
static const struct h5_field link_field = ARRAY(link, "link", NULL, H5_UINT8, FIT_TARGET, NO_DIM);
static const struct h5_note size_note = {"target_size", "description",
                                         "what losses count relative to in means over targets"};
static const struct h5_note link_note = {
    "link", "meaning",
    "0 a loss, by the law; a score is lo + (hi - lo) / (1 + exp(-(u - sum_i s_i loss_i))): 1, + 2 "
    "where lo is the chance level, + 4 where one slope holds for the mean loss"};

/* These need the scales of counted dimensions, which no member of the struct holds. */
static const struct h5_field counted_fields[] = {
    ARRAY(start_objective, "start_objective", "loss^2", H5_DOUBLE, FIT_START, NO_DIM),
    ARRAY(optima, "optima", NULL, H5_DOUBLE, FIT_OPTIMUM, FIT_PARAM),
};

static const struct h5_note fit_notes[] = {
    {".", "form_meaning", "0 the full law; capacity: 1 and 3 are Eq. 1 and 3 of arXiv 2606.08167"},
    {".", "has_size_term_meaning", "transfer, demand: 1 = with the term P_i N^-p, 0 = without"},
    {".", "has_token_term_meaning", "transfer, demand: 1 = with the term Q_i D^-q, 0 = without"},
    {".", "n_min_millions_description",
     "smallest size of the runs, in 1e6 parameters; H is below it"},
    {".", "h_min_description", "noise terms see the larger of a share and this one"},
    {"target_domain", "meaning", "index into domain, -1 = no training domain"},
    {"param_state", "meaning", "0 free, 1 on its bound, 2 not identified by the design"},
    {"params", "description", "each in its unit, param_unit"},
    {"std_error", "description", "in the units of params; NaN = not identified or on a bound"},
    {"covariance", "description", "in products of the units of params"},
    {"optima", "description", "warm starts of the bootstrap, the best first; units of params"},
};

#define METRIC_COLUMNS(array, dim0)                                                                \
    H5_COLUMN(struct mix_fit, array, struct mix_metrics, n, "n", NULL, H5_UINT64, dim0),           \
        H5_COLUMN(struct mix_fit, array, struct mix_metrics, n_left_out, "n_left_out", NULL,       \
                  H5_UINT64, dim0),                                                                \
        H5_COLUMN(struct mix_fit, array, struct mix_metrics, mse, "mse", "loss^2", H5_DOUBLE,      \
                  dim0),                                                                           \
        H5_COLUMN(struct mix_fit, array, struct mix_metrics, mre, "mre", "1", H5_DOUBLE, dim0),    \
        H5_COLUMN(struct mix_fit, array, struct mix_metrics, mae, "mae", "loss", H5_DOUBLE, dim0), \
        H5_COLUMN(struct mix_fit, array, struct mix_metrics, rmse, "rmse", "loss", H5_DOUBLE,      \
                  dim0),                                                                           \
        H5_COLUMN(struct mix_fit, array, struct mix_metrics, rho, "rho", "1", H5_DOUBLE, dim0),    \
        H5_COLUMN(struct mix_fit, array, struct mix_metrics, regret, "regret", "loss", H5_DOUBLE,  \
                  dim0),                                                                           \
        H5_COLUMN(struct mix_fit, array, struct mix_metrics, slope, "slope", "1", H5_DOUBLE,       \
                  dim0),                                                                           \
        H5_COLUMN(struct mix_fit, array, struct mix_metrics, skill, "skill", "1", H5_DOUBLE, dim0)

/* /fits/NAME/train: overall as attributes, by target as columns. */
static const struct h5_field train_fields[] = {
    SCALAR(train.n, "n", H5_UINT64),
    SCALAR(train.n_left_out, "n_left_out", H5_UINT64),
    SCALAR(train.mse, "mse", H5_DOUBLE),
    SCALAR(train.mre, "mre", H5_DOUBLE),
    SCALAR(train.mae, "mae", H5_DOUBLE),
    SCALAR(train.rmse, "rmse", H5_DOUBLE),
    SCALAR(train.rho, "rho", H5_DOUBLE),
    SCALAR(train.regret, "regret", H5_DOUBLE),
    SCALAR(train.slope, "slope", H5_DOUBLE),
    SCALAR(train.skill, "skill", H5_DOUBLE),
    ARRAY(targets, "target", NULL, H5_TEXT, 0, NO_DIM),
    METRIC_COLUMNS(train_by_target, 0),
};

/* /fits/NAME/holdout: the first hold-out by target. */
static const struct h5_field holdout_fields[] = {
    ARRAY(targets, "target", NULL, H5_TEXT, 0, NO_DIM),
    METRIC_COLUMNS(holdout_by_target, 0),
};

/* /fits/NAME/predictions: of held-out rows. */
enum { HELD_ROW, HELD_TARGET, HELD_DIMS };
static const struct h5_field held_fields[] = {
    ARRAY(held_key, "key", NULL, H5_KEY, HELD_ROW, NO_DIM),
    ARRAY(targets, "target", NULL, H5_TEXT, HELD_TARGET, NO_DIM),
    ARRAY(held_out, "holdout", NULL, H5_INT32, HELD_ROW, NO_DIM),
    ARRAY(held_n_params, "n_params", "parameters", H5_DOUBLE, HELD_ROW, NO_DIM),
    ARRAY(held_loss, "loss", NULL, H5_DOUBLE, HELD_ROW, HELD_TARGET),
    ARRAY(held_predicted, "predicted", NULL, H5_DOUBLE, HELD_ROW, HELD_TARGET),
};
static const struct h5_note held_notes[] = {
    {"key", "description", "of the row of /runs; a row is once in each hold-out that tests it"},
    {"holdout", "meaning", "index into holdouts/kind"},
    {"loss", "description", "as measured, each target in its unit; NaN = not measured, or masked"},
    {"predicted", "description", "by the law, fitted without the row; NaN = it has nothing to say"},
};

/* /fits/NAME/holdouts as arrays (hold-outs, predictors). */
struct holdouts {
    char kind[MIX_HOLDOUTS_MAX][MIX_KIND_MAX];
    char predictor[PREDICTORS][MIX_UNIT_MAX];
    struct mix_metrics by[MIX_HOLDOUTS_MAX * PREDICTORS];
};

#define BY(member, unit, type)                                                                     \
    {                                                                                              \
#member, unit, type, H5_ARRAY_AT, sizeof(((struct mix_metrics *)0)->member),               \
            offsetof(struct holdouts, by), offsetof(struct mix_metrics, member),                   \
            sizeof(struct mix_metrics),                                                            \
        {                                                                                          \
            0, 1, NO_DIM                                                                           \
        }                                                                                          \
    }
static const struct h5_field holdouts_fields[] = {
    {"kind",
     NULL,
     H5_TEXT,
     H5_ARRAY_AT,
     MIX_KIND_MAX,
     offsetof(struct holdouts, kind),
     0,
     MIX_KIND_MAX,
     {0, NO_DIM}},
    {"predictor",
     NULL,
     H5_TEXT,
     H5_ARRAY_AT,
     MIX_UNIT_MAX,
     offsetof(struct holdouts, predictor),
     0,
     MIX_UNIT_MAX,
     {1, NO_DIM}},
    BY(n, NULL, H5_UINT64),
    BY(n_left_out, NULL, H5_UINT64),
    BY(mse, "loss^2", H5_DOUBLE),
    BY(mre, "1", H5_DOUBLE),
    BY(mae, "loss", H5_DOUBLE),
    BY(rmse, "loss", H5_DOUBLE),
    BY(rho, "1", H5_DOUBLE),
    BY(regret, "loss", H5_DOUBLE),
    BY(slope, "1", H5_DOUBLE),
    BY(skill, "1", H5_DOUBLE),
};

static enum mix_status write_part(const struct h5_group *group, const char *name,
                                  const void *object, const struct h5_field *fields,
                                  size_t n_fields, const struct h5_dim *dims, struct mix_error *err)
{
    struct h5_group part = {.id = -1};
    enum mix_status status = h5_group_create(group, name, &part, err);
    if (status == MIX_OK)
        status = h5_write(&part, object, fields, n_fields, dims, err);
    h5_group_close(&part);
    return status;
}

static enum mix_status read_part(const struct h5_group *group, const char *name, void *object,
                                 const struct h5_field *fields, size_t n_fields,
                                 const struct h5_dim *dims, struct mix_error *err)
{
    struct h5_group part = {.id = -1};
    enum mix_status status = h5_group_open(group, name, &part, err);
    if (status == MIX_OK)
        status = h5_read(&part, object, fields, n_fields, dims, err);
    h5_group_close(&part);
    return status == MIX_ENOTFOUND ? MIX_EFORMAT : status;
}

static enum mix_status write_held(const struct h5_group *group, const struct mix_fit *fit,
                                  struct mix_error *err)
{
    const struct h5_dim dims[HELD_DIMS] = {{"key", fit->n_held, "row"},
                                           {"target", fit->spec.n_targets, "target"}};
    struct h5_group part = {.id = -1};
    enum mix_status status = h5_group_create(group, "predictions", &part, err);
    if (status == MIX_OK)
        status = h5_write(&part, fit, held_fields, COUNT(held_fields), dims, err);
    if (status == MIX_OK)
        status = h5_annotate(&part, held_notes, COUNT(held_notes), err);
    h5_group_close(&part);
    return status;
}

/* Files of before have none. */
static enum mix_status read_held(const struct h5_group *group, struct mix_fit *fit,
                                 struct mix_error *err)
{
    struct h5_dim dims[HELD_DIMS] = {{"key", 0, "row"}, {"target", fit->spec.n_targets, "target"}};
    struct h5_group part = {.id = -1};
    enum mix_status status = h5_group_open(group, "predictions", &part, NULL);
    if (status == MIX_ENOTFOUND)
        return MIX_OK;
    if (status == MIX_OK)
        status = h5_extent(&part, "key", 0, HELD_MAX / (fit->spec.n_targets + 1), &dims[0].n, err);
    if (status == MIX_OK && !mix_fit_hold(fit, dims[0].n))
        status = mix_fail(err, MIX_ENOMEM, "%s: no memory for %s", group->file, part.path);
    if (status == MIX_OK)
        status = h5_read(&part, fit, held_fields, COUNT(held_fields), dims, err);
    for (size_t i = 0; i < fit->n_held && status == MIX_OK; i++)
        if (fit->held_out[i] < 0 || (size_t)fit->held_out[i] >= fit->n_holdouts)
            status = mix_fail(err, MIX_EFORMAT, "%s: %s/holdout, row %zu: %d is none of %zu",
                              group->file, part.path, i, fit->held_out[i], fit->n_holdouts);
    h5_group_close(&part);
    return status == MIX_ENOTFOUND ? MIX_EFORMAT : status;
}

static enum mix_status write_holdouts(const struct h5_group *group, const struct mix_fit *fit,
                                      struct mix_error *err)
{
    struct holdouts image;
    memset(&image, 0, sizeof image);
    for (int p = 0; p < PREDICTORS; p++)
        snprintf(image.predictor[p], MIX_UNIT_MAX, "%s", p == 0 ? "law" : mix_floor_names[p - 1]);
    for (size_t h = 0; h < fit->n_holdouts; h++) {
        const struct mix_holdout *holdout = &fit->holdouts[h];
        memcpy(image.kind[h], holdout->kind, MIX_KIND_MAX);
        image.by[h * PREDICTORS] = holdout->law;
        memcpy(&image.by[h * PREDICTORS + 1], holdout->floor, sizeof holdout->floor);
    }
    const struct h5_dim dims[] = {{"kind", fit->n_holdouts, "holdout"},
                                  {"predictor", PREDICTORS, "predictor"}};
    const struct h5_dim target = {"target", fit->spec.n_targets, "target"};
    enum mix_status status =
        write_part(group, "holdouts", &image, holdouts_fields, COUNT(holdouts_fields), dims, err);
    if (status == MIX_OK && fit->n_holdouts > 0)
        status =
            write_part(group, "holdout", fit, holdout_fields, COUNT(holdout_fields), &target, err);
    if (status == MIX_OK && fit->n_held > 0)
        status = write_held(group, fit, err);
    return status;
}

static enum mix_status read_holdouts(const struct h5_group *group, struct mix_fit *fit,
                                     struct mix_error *err)
{
    struct holdouts image;
    struct h5_group part = {.id = -1};
    struct h5_dim dims[] = {{"kind", 0, "holdout"}, {"predictor", PREDICTORS, "predictor"}};
    const struct h5_dim target = {"target", fit->spec.n_targets, "target"};
    enum mix_status status = h5_group_open(group, "holdouts", &part, err);
    if (status == MIX_OK)
        status = h5_extent(&part, "kind", 0, MIX_HOLDOUTS_MAX, &dims[0].n, err);
    if (status == MIX_OK)
        status = h5_read(&part, &image, holdouts_fields, COUNT(holdouts_fields), dims, err);
    h5_group_close(&part);
    if (status != MIX_OK || dims[0].n == 0)
        return status == MIX_ENOTFOUND ? MIX_EFORMAT : status;
    fit->n_holdouts = dims[0].n;
    for (size_t h = 0; h < fit->n_holdouts; h++) {
        struct mix_holdout *holdout = &fit->holdouts[h];
        memcpy(holdout->kind, image.kind[h], MIX_KIND_MAX);
        holdout->law = image.by[h * PREDICTORS];
        memcpy(holdout->floor, &image.by[h * PREDICTORS + 1], sizeof holdout->floor);
    }
    fit->holdout_by_target = calloc(target.n + 1, sizeof *fit->holdout_by_target);
    if (fit->holdout_by_target == NULL)
        return mix_fail(err, MIX_ENOMEM, "%s: no memory for %s", group->file, group->path);
    status = read_part(group, "holdout", fit, holdout_fields, COUNT(holdout_fields), &target, err);
    return status == MIX_OK ? read_held(group, fit, err) : status;
}

static enum mix_status write_links(const struct h5_group *group, const struct mix_fit *fit,
                                   const struct h5_dim *dims, struct mix_error *err)
{
    bool sized = false;
    enum mix_status status = MIX_OK;
    for (size_t m = 0; m < fit->spec.n_targets; m++)
        sized = sized || fit->target_size[m] != 1.0;
    if (sized)
        status = h5_write(group, fit, &size_field, 1, dims, err);
    if (sized && status == MIX_OK)
        status = h5_annotate(group, &size_note, 1, err);
    if (fit->spec.n_scores > 0 && status == MIX_OK)
        status = h5_write(group, fit, &link_field, 1, dims, err);
    if (fit->spec.n_scores > 0 && status == MIX_OK)
        status = h5_annotate(group, &link_note, 1, err);
    return status;
}

/* What is not there is 1, and a loss. Scores are behind the losses. */
static enum mix_status read_links(const struct h5_group *group, struct mix_fit *fit,
                                  const struct h5_dim *dims, struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    if (h5_has_any(group, &size_field, 1))
        status = h5_read(group, fit, &size_field, 1, dims, err);
    if (status == MIX_OK && h5_has_any(group, &link_field, 1))
        status = h5_read(group, fit, &link_field, 1, dims, err);
    for (size_t m = 0; m < fit->spec.n_targets && status == MIX_OK; m++) {
        fit->spec.n_scores += fit->link[m] != 0;
        if (!(fit->target_size[m] > 0.0 && isfinite(fit->target_size[m])))
            status = mix_fail(err, MIX_EFORMAT, "%s: %s/target_size, entry %zu: %g is not positive",
                              group->file, group->path, m, fit->target_size[m]);
        else if (fit->link[m] > 7 || (fit->link[m] != 0 && fit->link[m] % 2 == 0) ||
                 (fit->link[m] == 0 && fit->spec.n_scores > 0) || (m == 0 && fit->link[m] != 0))
            status = mix_fail(err, MIX_EFORMAT,
                              "%s: %s/link, entry %zu: %d is not that of losses in front and "
                              "scores behind them",
                              group->file, group->path, m, fit->link[m]);
    }
    return status;
}

enum mix_status store_write_fit(const struct h5_group *group, const struct mix_fit *fit,
                                struct mix_error *err)
{
    const struct h5_dim dims[FIT_DIMS] = {
        {"domain", fit->spec.n_domains, "domain"}, {"target", fit->spec.n_targets, "target"},
        {"param", fit->n_params, "parameter"},     {"start", fit->n_starts, "start"},
        {"optimum", fit->n_optima, "optimum"},     {"param_other", fit->n_params, "parameter"},
    };
    enum mix_status status = h5_write(group, fit, &other_field, 1, dims, err);
    if (status == MIX_OK)
        status = h5_write(group, fit, fit_fields, COUNT(fit_fields), dims, err);
    if (status == MIX_OK)
        status = h5_write_index(group, "start", fit->n_starts, err);
    if (status == MIX_OK)
        status = h5_write_index(group, "optimum", fit->n_optima, err);
    if (status == MIX_OK)
        status = h5_write(group, fit, counted_fields, COUNT(counted_fields), dims, err);
    if (status == MIX_OK && mix_law_repeats(fit->spec.law))
        status = h5_write(group, fit, &supply_field, 1, dims, err);
    if (status == MIX_OK && (fit->priors_key.hi != 0 || fit->priors_key.lo != 0))
        status = h5_write(group, fit, &priors_field, 1, dims, err);
    if (status == MIX_OK)
        status = write_links(group, fit, dims, err);
    if (status == MIX_OK)
        status = h5_write_text(group, "checkpoints",
                               mix_checkpoints_name(fit->selection.checkpoints), err);
    if (status == MIX_OK)
        status = h5_annotate(group, fit_notes, COUNT(fit_notes), err);
    if (status == MIX_OK)
        status = write_part(group, "train", fit, train_fields, COUNT(train_fields),
                            &dims[FIT_TARGET], err);
    return status == MIX_OK ? write_holdouts(group, fit, err) : status;
}

/* Numbers that readers of a fit take for granted. */
static enum mix_status check_fit(const struct h5_group *group, const struct mix_fit *fit,
                                 struct mix_error *err)
{
    for (size_t m = 0; m < fit->spec.n_targets; m++)
        if (fit->target_domain[m] < -1 || fit->target_domain[m] >= (int64_t)fit->spec.n_domains)
            return mix_fail(err, MIX_EFORMAT, "%s: %s/target_domain, entry %zu: %d is no domain",
                            group->file, group->path, m, fit->target_domain[m]);
    for (size_t p = 0; p < fit->n_params; p++)
        if (fit->param_state[p] > 2)
            return mix_fail(err, MIX_EFORMAT, "%s: %s/param_state, entry %zu: %d is not 0, 1 or 2",
                            group->file, group->path, p, fit->param_state[p]);
    return MIX_OK;
}

/* A word; files of the first versions have its number. */
static enum mix_status read_checkpoints(const struct h5_group *group, struct mix_fit *fit,
                                        struct mix_error *err)
{
    static const struct h5_field number = {.name = "checkpoints",
                                           .type = H5_INT32,
                                           .place = H5_SCALAR_AT,
                                           .width = sizeof(int32_t),
                                           .dim = {NO_DIM, NO_DIM}};
    char *word = NULL;
    int32_t code = -1;
    if (h5_read_text(group, "checkpoints", &word, NULL) == MIX_OK) {
        enum mix_checkpoints which;
        if (mix_checkpoints_read(word, &which))
            code = (int32_t)which;
        free(word);
    } else {
        const enum mix_status status = h5_read(group, &code, &number, 1, NULL, err);
        if (status != MIX_OK)
            return status;
        if (code > (int32_t)MIX_CHECKPOINTS_ALL)
            code = -1;
    }
    if (code < 0 || code >= (int32_t)MIX_N_CHECKPOINTS)
        return mix_fail(err, MIX_EFORMAT, "%s: %s/checkpoints (attribute) is not last, late or all",
                        group->file, group->path);
    fit->selection.checkpoints = (enum mix_checkpoints)code;
    return MIX_OK;
}

enum mix_status store_read_fit(const struct h5_group *group, const char *name, struct mix_fit **out,
                               struct mix_error *err)
{
    struct h5_dim dims[FIT_DIMS] = {{"domain", 0, "domain"},   {"target", 0, "target"},
                                    {"param", 0, "parameter"}, {"start", 0, "start"},
                                    {"optimum", 0, "optimum"}, {"param_other", 0, "parameter"}};
    const size_t min[FIT_OTHER] = {1, 1, 0, 0, 0};
    const size_t max[FIT_OTHER] = {MIX_DOMAINS_MAX, TARGETS_MAX, PARAMS_MAX, COUNT_MAX, COUNT_MAX};
    enum mix_status status = MIX_OK;
    for (int d = 0; d < FIT_OTHER && status == MIX_OK; d++)
        status = h5_extent(group, dims[d].scale, min[d], max[d], &dims[d].n, err);
    dims[FIT_OTHER].n = dims[FIT_PARAM].n;
    if (status != MIX_OK)
        return status;
    struct mix_fit *fit = mix_fit_create(dims[FIT_DOMAIN].n, dims[FIT_TARGET].n, dims[FIT_PARAM].n,
                                         dims[FIT_START].n, dims[FIT_OPTIMUM].n);
    if (fit == NULL)
        return mix_fail(err, MIX_ENOMEM, "%s: no memory for %s", group->file, group->path);
    snprintf(fit->name, sizeof fit->name, "%s", name);
    status = h5_read(group, fit, fit_fields, COUNT(fit_fields), dims, err);
    if (status == MIX_OK)
        status = h5_read(group, fit, counted_fields, COUNT(counted_fields), dims, err);
    if (status == MIX_OK && mix_law_repeats(fit->spec.law))
        status = h5_read(group, fit, &supply_field, 1, dims, err);
    if (status == MIX_OK && h5_has_any(group, &priors_field, 1))
        status = h5_read(group, fit, &priors_field, 1, dims, err);
    if (status == MIX_OK)
        status = read_links(group, fit, dims, err);
    if (status == MIX_OK)
        status = read_checkpoints(group, fit, err);
    if (status == MIX_OK)
        status = read_part(group, "train", fit, train_fields, COUNT(train_fields),
                           &dims[FIT_TARGET], err);
    if (status == MIX_OK)
        status = read_holdouts(group, fit, err);
    if (status == MIX_OK)
        status = check_fit(group, fit, err);
    if (status == MIX_OK)
        *out = fit;
    else
        mix_fit_destroy(fit);
    return status;
}

#undef SCALAR
#undef ARRAY

static const struct h5_field draws_fields[] = {
    H5_SCALAR(struct mix_draws, fit_key, "fit_key", H5_KEY),
    H5_SCALAR(struct mix_draws, seed, "seed", H5_UINT64),
    H5_SCALAR(struct mix_draws, cluster_run, "cluster_run", H5_INT32),
    H5_SCALAR(struct mix_draws, bayesian, "bayesian", H5_INT32),
    H5_ARRAY(struct mix_draws, objective, "objective", "loss^2", H5_DOUBLE, 0, NO_DIM),
    H5_ARRAY(struct mix_draws, params, "params", NULL, H5_DOUBLE, 0, 1),
    H5_ARRAY(struct mix_draws, done, "done", NULL, H5_UINT8, 0, NO_DIM),
};

static const struct h5_field residual_field =
    H5_SCALAR(struct mix_draws, residual, "residual", H5_DOUBLE);

enum { LEFT_GROUP, LEFT_PARAM, LEFT_ORIGIN, LEFT_DIMS };

static const struct h5_field left_fields[] = {
    H5_ARRAY(struct mix_draws, left, "jackknife", NULL, H5_DOUBLE, LEFT_GROUP, LEFT_PARAM),
    H5_ARRAY(struct mix_draws, left_done, "jackknife_done", NULL, H5_UINT8, LEFT_GROUP, NO_DIM),
};

#define ORIGIN(member, unit, type)                                                                 \
    H5_COLUMN(struct mix_draws, origins, struct mix_origin, member, "origin_" #member, unit, type, \
              LEFT_ORIGIN)
static const struct h5_field origin_fields[] = {
    ORIGIN(from_n, "parameters", H5_DOUBLE),
    ORIGIN(from_d, "tokens", H5_DOUBLE),
    ORIGIN(to_n, "parameters", H5_DOUBLE),
    ORIGIN(to_d, "tokens", H5_DOUBLE),
    ORIGIN(n_runs, NULL, H5_UINT64),
    ORIGIN(bias, "1", H5_DOUBLE),
    ORIGIN(rms, "1", H5_DOUBLE),
    ORIGIN(spread, "1", H5_DOUBLE),
};
#undef ORIGIN

static const struct h5_note left_notes[] = {
    {"jackknife", "description", "parameters fitted without each group of mixtures (or runs)"},
    {"jackknife_done", "meaning", "0 still to be made, 1 done"},
};
static const struct h5_note origin_notes[] = {
    {"origin_from_n", "description", "rolling origin: fitted on the runs up to this size"},
    {"origin_n_runs", "meaning", "runs predicted; 0 = the law could not be fitted from here"},
    {"origin_bias", "description", "mean of predicted / observed - 1 of the weighted mean loss"},
    {"origin_rms", "description", "root mean square of the same"},
    {"origin_spread", "description", "the part of it that resampling explains"},
};

static const struct h5_note draws_notes[] = {
    {".", "cluster_run_meaning", "0 mixtures are resampled, 1 runs"},
    {".", "bayesian_meaning", "0 counts, 1 Dirichlet weights"},
    {"done", "meaning", "0 still to be made, 1 done"},
    {"objective", "description", "NaN = the draw could not be fitted"},
    {"params", "description", "in the units of /fits/NAME/param_unit"},
};

/* Jackknife and rolling origin, where there are any; files of the first versions have none. */
static enum mix_status write_left(const struct h5_group *group, const struct mix_draws *draws,
                                  struct mix_error *err)
{
    const struct h5_dim dims[LEFT_DIMS] = {{"left_out", draws->n_left, "group left out"},
                                           {"param", draws->n_params, "parameter"},
                                           {"origin", draws->n_origins, "origin"}};
    enum mix_status status = MIX_OK;
    if (isfinite(draws->residual))
        status = h5_write(group, draws, &residual_field, 1, NULL, err);
    if (status == MIX_OK && draws->n_left > 0) {
        status = h5_write_index(group, "left_out", draws->n_left, err);
        if (status == MIX_OK)
            status = h5_write(group, draws, left_fields, COUNT(left_fields), dims, err);
        if (status == MIX_OK)
            status = h5_annotate(group, left_notes, COUNT(left_notes), err);
    }
    if (status == MIX_OK && draws->n_origins > 0) {
        status = h5_write_index(group, "origin", draws->n_origins, err);
        if (status == MIX_OK)
            status = h5_write(group, draws, origin_fields, COUNT(origin_fields), dims, err);
        if (status == MIX_OK)
            status = h5_annotate(group, origin_notes, COUNT(origin_notes), err);
    }
    return status;
}

static enum mix_status read_left(const struct h5_group *group, struct mix_draws *draws,
                                 struct mix_error *err)
{
    struct h5_dim dims[LEFT_DIMS] = {{"left_out", 0, "group left out"},
                                     {"param", draws->n_params, "parameter"},
                                     {"origin", 0, "origin"}};
    enum mix_status status = MIX_OK;
    if (H5Aexists(group->id, residual_field.name) > 0)
        status = h5_read(group, draws, &residual_field, 1, NULL, err);
    if (status == MIX_OK && H5Lexists(group->id, "left_out", H5P_DEFAULT) > 0) {
        status = h5_extent(group, "left_out", 1, MIX_LEFT_MAX, &dims[LEFT_GROUP].n, err);
        if (status == MIX_OK && !mix_draws_hold_left(draws, dims[LEFT_GROUP].n))
            status = mix_fail(err, MIX_ENOMEM, "%s: no memory for %s", group->file, group->path);
        if (status == MIX_OK)
            status = h5_read(group, draws, left_fields, COUNT(left_fields), dims, err);
    }
    if (status == MIX_OK && H5Lexists(group->id, "origin", H5P_DEFAULT) > 0) {
        status = h5_extent(group, "origin", 1, COUNT_MAX, &dims[LEFT_ORIGIN].n, err);
        if (status == MIX_OK && !mix_draws_hold_origins(draws, dims[LEFT_ORIGIN].n))
            status = mix_fail(err, MIX_ENOMEM, "%s: no memory for %s", group->file, group->path);
        if (status == MIX_OK)
            status = h5_read(group, draws, origin_fields, COUNT(origin_fields), dims, err);
    }
    for (size_t g = 0; g < draws->n_left && status == MIX_OK; g++)
        if (draws->left_done[g] > 1)
            status =
                mix_fail(err, MIX_EFORMAT, "%s: %s/jackknife_done, entry %zu: %d is not 0 or 1",
                         group->file, group->path, g, draws->left_done[g]);
    return status;
}

enum mix_status store_write_draws(const struct h5_group *group, const struct mix_draws *draws,
                                  const struct mix_fit *fit, struct mix_error *err)
{
    const struct h5_dim dims[] = {{"draw", draws->n_draws, "draw"},
                                  {"param", draws->n_params, "parameter"}};
    enum mix_status status = h5_write_index(group, "draw", draws->n_draws, err);
    if (status == MIX_OK)
        status = fit != NULL && fit->n_params == draws->n_params
                     ? h5_write_names(group, "param", fit->n_params, sizeof *fit->param_names,
                                      fit->param_names, err)
                     : h5_write_index(group, "param", draws->n_params, err);
    if (status == MIX_OK)
        status = h5_write(group, draws, draws_fields, COUNT(draws_fields), dims, err);
    if (status == MIX_OK)
        status = write_left(group, draws, err);
    return status == MIX_OK ? h5_annotate(group, draws_notes, COUNT(draws_notes), err) : status;
}

enum mix_status store_read_draws(const struct h5_group *group, const char *name,
                                 struct mix_draws **out, struct mix_error *err)
{
    struct h5_dim dims[] = {{"draw", 0, "draw"}, {"param", 0, "parameter"}};
    enum mix_status status = h5_extent(group, "draw", 0, COUNT_MAX, &dims[0].n, err);
    if (status == MIX_OK)
        status = h5_extent(group, "param", 0, PARAMS_MAX, &dims[1].n, err);
    if (status != MIX_OK)
        return status;
    struct mix_draws *draws = mix_draws_create(dims[0].n, dims[1].n);
    if (draws == NULL)
        return mix_fail(err, MIX_ENOMEM, "%s: no memory for %s", group->file, group->path);
    snprintf(draws->fit, sizeof draws->fit, "%s", name);
    status = h5_read(group, draws, draws_fields, COUNT(draws_fields), dims, err);
    for (size_t b = 0; b < draws->n_draws && status == MIX_OK; b++)
        if (draws->done[b] > 1)
            status = mix_fail(err, MIX_EFORMAT, "%s: %s/done, entry %zu: %d is not 0 or 1",
                              group->file, group->path, b, draws->done[b]);
    if (status == MIX_OK)
        status = read_left(group, draws, err);
    if (status == MIX_OK)
        *out = draws;
    else
        mix_draws_destroy(draws);
    return status;
}
