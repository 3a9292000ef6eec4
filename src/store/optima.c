/* SPDX-License-Identifier: GPL-3.0-or-later */
/* optima.c - optima in the file: /optimum/NAME. */
#include "store/store_impl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { TARGETS_MAX = 65536, DRAWS_MAX = 100 * 1000 * 1000 };
enum { DIM_DOMAIN, DIM_TARGET, DIM_GAIN, DIM_DRAW, DIM_PATH, DIMS };
enum { PATH_MAX_POINTS = MIX_PATH_STEPS * MIX_PATH_STEPS };

#define SCALAR(member, name, type) H5_SCALAR(struct mix_optimum, member, name, type)
#define INTERVAL(member)                                                                           \
    SCALAR(member.value, #member, H5_DOUBLE), SCALAR(member.lo, #member "_lo", H5_DOUBLE),         \
        SCALAR(member.hi, #member "_hi", H5_DOUBLE)
#define SHARES(member)                                                                             \
    H5_ARRAY(struct mix_optimum, member, #member, "1", H5_DOUBLE, DIM_DOMAIN, NO_DIM)
#define LOSS(part, name)                                                                           \
    H5_COLUMN(struct mix_optimum, loss, struct mix_interval, part, name, "loss", H5_DOUBLE,        \
              DIM_TARGET)
#define LOSSES(member, part, name)                                                                 \
    H5_COLUMN(struct mix_optimum, member, struct mix_interval, part, name, "loss", H5_DOUBLE,      \
              DIM_TARGET)
#define GAIN(member, part, unit, name)                                                             \
    {                                                                                              \
        name, unit, H5_DOUBLE, H5_ARRAY_AT, sizeof(double), offsetof(struct mix_optimum, member),  \
            part, sizeof(((struct mix_optimum *)0)->member) / MIX_GAINS,                           \
        {                                                                                          \
            DIM_GAIN, NO_DIM                                                                       \
        }                                                                                          \
    }

static const struct h5_field optimum_fields[] = {
    SCALAR(fit, "fit", H5_TEXT),
    SCALAR(law, "law", H5_TEXT),
    SCALAR(baseline_name, "baseline_name", H5_TEXT),
    SCALAR(fit_key, "fit_key", H5_KEY),
    SCALAR(n_params, "n_params", H5_DOUBLE),
    SCALAR(n_tokens, "n_tokens", H5_DOUBLE),
    SCALAR(level, "level", H5_DOUBLE),
    INTERVAL(objective),
    INTERVAL(objective_wide),
    SCALAR(tied_loss, "tied_loss", H5_DOUBLE),
    SCALAR(kkt, "kkt", H5_DOUBLE),
    SCALAR(n_starts, "n_starts", H5_UINT64),
    SCALAR(n_at_best, "n_starts_at_best", H5_UINT64),
    SCALAR(hull_distance, "hull_distance", H5_DOUBLE),
    SCALAR(extrapolation_n, "extrapolation_n_params", H5_DOUBLE),
    SCALAR(extrapolation_d, "extrapolation_n_tokens", H5_DOUBLE),
    SCALAR(warnings, "warnings", H5_TEXT),
    H5_ARRAY(struct mix_optimum, domains, "domain", NULL, H5_TEXT, DIM_DOMAIN, NO_DIM),
    H5_ARRAY(struct mix_optimum, targets, "target", NULL, H5_TEXT, DIM_TARGET, NO_DIM),
    H5_ARRAY(struct mix_optimum, weight, "weight", "1", H5_DOUBLE, DIM_TARGET, NO_DIM),
    SHARES(lower),
    SHARES(upper),
    SHARES(prior),
    SHARES(baseline),
    SHARES(seen_max),
    SHARES(best_observed),
    SHARES(mixture),
    SHARES(mixture_lo),
    SHARES(mixture_hi),
    SHARES(tied),
    H5_ARRAY(struct mix_optimum, binding, "binding", NULL, H5_UINT8, DIM_DOMAIN, NO_DIM),
    LOSS(value, "loss"),
    LOSS(lo, "loss_lo"),
    LOSS(hi, "loss_hi"),
};

/* These need scales that no member of the struct holds. */
static const struct h5_field gain_fields[] = {
    GAIN(gain, offsetof(struct mix_interval, value), "loss", "gain"),
    GAIN(gain, offsetof(struct mix_interval, lo), "loss", "gain_lo"),
    GAIN(gain, offsetof(struct mix_interval, hi), "loss", "gain_hi"),
    GAIN(p_better, 0, "1", "p_better"),
    H5_ARRAY(struct mix_optimum, draw_mixture, "draw_mixture", "1", H5_DOUBLE, DIM_DRAW,
             DIM_DOMAIN),
};

/* Not in files of earlier versions. */
static const struct h5_field later_fields[] = {
    SCALAR(question, "question", H5_TEXT),
    SCALAR(goal, "goal", H5_INT32),
    SCALAR(max_epochs, "max_epochs", H5_DOUBLE),
    SCALAR(near, "near", H5_INT32),
    SCALAR(near_radius, "near_radius", H5_DOUBLE),
    SCALAR(near_price, "near_price", H5_DOUBLE),
    SCALAR(gain_bias, "gain_bias", H5_DOUBLE),
    SCALAR(lattice, "lattice", H5_UINT64),
    SCALAR(lattice_value, "lattice_value", H5_DOUBLE),
    H5_ARRAY(struct mix_optimum, supply, "supply", "tokens", H5_DOUBLE, DIM_DOMAIN, NO_DIM),
    SHARES(limit),
    H5_ARRAY(struct mix_optimum, price, "price", "loss", H5_DOUBLE, DIM_DOMAIN, NO_DIM),
    H5_ARRAY(struct mix_optimum, guard, "guard", NULL, H5_UINT8, DIM_TARGET, NO_DIM),
    H5_ARRAY(struct mix_optimum, guard_price, "guard_price", "1", H5_DOUBLE, DIM_TARGET, NO_DIM),
    H5_ARRAY(struct mix_optimum, baseline_loss, "baseline_loss", "loss", H5_DOUBLE, DIM_TARGET,
             NO_DIM),
    SHARES(lattice_mixture),
};

/* Not in files that have all the others either. */
static const struct h5_field newest_fields[] = {
    SCALAR(fit_error, "fit_error", H5_DOUBLE),
    GAIN(gain_error, 0, "loss", "gain_error"),
    GAIN(p_better_wide, 0, "1", "p_better_wide"),
};

/* Intervals of other kinds, and which mixtures are tied; not in files of earlier versions either.
 */
static const struct h5_field interval_fields[] = {
    INTERVAL(objective_bca),
    SCALAR(seed_error, "seed_error", H5_DOUBLE),
    SCALAR(law_error, "law_error", H5_DOUBLE),
    SCALAR(scale_error, "scale_error", H5_DOUBLE),
    SHARES(mixture_wide_lo),
    SHARES(mixture_wide_hi),
    SHARES(mixture_bca_lo),
    SHARES(mixture_bca_hi),
    SHARES(tied_lo),
    SHARES(tied_hi),
    LOSSES(loss_wide, lo, "loss_wide_lo"),
    LOSSES(loss_wide, hi, "loss_wide_hi"),
    LOSSES(loss_bca, lo, "loss_bca_lo"),
    LOSSES(loss_bca, hi, "loss_bca_hi"),
    GAIN(gain_wide, offsetof(struct mix_interval, lo), "loss", "gain_wide_lo"),
    GAIN(gain_wide, offsetof(struct mix_interval, hi), "loss", "gain_wide_hi"),
    GAIN(gain_bca, offsetof(struct mix_interval, lo), "loss", "gain_bca_lo"),
    GAIN(gain_bca, offsetof(struct mix_interval, hi), "loss", "gain_bca_hi"),
    GAIN(not_worse, 0, "1", "not_worse"),
};

static const struct h5_note interval_notes[] = {
    {"mixture_wide_lo", "description", "widened by how far the optima of other laws are"},
    {"mixture_bca_lo", "description", "BCa interval over draws and jackknife"},
    {"loss_wide_lo", "description", "with all known errors"},
    {"gain_wide_lo", "description", "with all known errors, of expected losses"},
    {"gain_error", "description",
     "standard deviation of what gain_wide adds to resampling; NaN = not known"},
    {"p_better_wide", "description", "p_better with all known errors, of expected losses"},
    {"tied_lo", "description", "least share of a mixture that the draws cannot tell from mixture"},
    {"tied_hi", "description", "largest share of such a mixture"},
    {"not_worse", "description", "share of draws that put the other mixture no higher"},
    {".", "scale_error_meaning", "standard deviation by extrapolation, of objective_wide"},
};

/* Of optima to which supply is something. */
static const struct h5_field supply_fields[] = {
    SCALAR(r1, "r1", H5_DOUBLE),
    SCALAR(fresh_expected, "fresh_expected", H5_DOUBLE),
    SCALAR(fresh_value, "fresh_objective", H5_DOUBLE),
    SHARES(fresh_mixture),
    H5_ARRAY(struct mix_optimum, supply_price, "supply_price", "loss", H5_DOUBLE, DIM_DOMAIN,
             NO_DIM),
};

static const struct h5_note supply_notes[] = {
    {"supply_price", "description", "fall of the objective per 1e9 more tokens of a domain"},
    {"fresh_mixture", "description", "the optimum if what is seen again were as good as new"},
    {".", "fresh_expected_meaning", "objective at fresh_mixture, if repeats were as good as new"},
    {".", "fresh_objective_meaning", "objective at fresh_mixture, by the law"},
};

static const struct h5_field path_fields[] = {
    H5_ARRAY(struct mix_optimum, path_n_params, "path_n_params", "parameter", H5_DOUBLE, DIM_PATH,
             NO_DIM),
    H5_ARRAY(struct mix_optimum, path_n_tokens, "path_n_tokens", "tokens", H5_DOUBLE, DIM_PATH,
             NO_DIM),
    H5_ARRAY(struct mix_optimum, path_value, "path_objective", "loss", H5_DOUBLE, DIM_PATH, NO_DIM),
    H5_ARRAY(struct mix_optimum, path_mixture, "path_mixture", "1", H5_DOUBLE, DIM_PATH,
             DIM_DOMAIN),
};

static const struct h5_note optimum_notes[] = {
    {"guard", "meaning", "1 to be no worse than under the baseline, 0 free"},
    {"binding", "meaning",
     "0 interior, 1 on its floor, on its largest share by 2 cap, 3 supply, 4 support"},
    {"gain", "description", "loss of the other mixture minus loss of the optimum"},
    {"p_better", "description",
     "share of the draws, moved as the interval of the gain is, in which it is positive"},
    {"price", "description",
     "fall of the objective per unit of share that the binding floor or largest share is moved"},
    {"guard_price", "description", "fall of the objective per unit of loss that is allowed more"},
    {"gain", "corrected", "gain over the baseline less the attribute gain_bias of the group"},
    {".", "goal_meaning", "0 mean, 1 worst, 2 mean-gain, 3 worst-gain: gains relative to baseline"},
    {".", "near_meaning", "distance to the baseline: 0 any, 1 total variation, 2 Kullback-Leibler"},
    {"tied", "description", "mixture nearest the baseline that the draws cannot tell from mixture"},
};

enum mix_status store_write_optimum(const struct h5_group *group, const struct mix_optimum *optimum,
                                    struct mix_error *err)
{
    char gains[MIX_GAINS][MIX_UNIT_MAX] = {{0}};
    for (int g = 0; g < MIX_GAINS; g++)
        snprintf(gains[g], MIX_UNIT_MAX, "%s", mix_gain_names[g]);
    const struct h5_dim dims[DIMS] = {{"domain", optimum->n_domains, "domain"},
                                      {"target", optimum->n_targets, "target"},
                                      {"gain_over", MIX_GAINS, "gain_over"},
                                      {"draw", optimum->n_draws, "draw"},
                                      {"path", optimum->n_path, "path"}};
    enum mix_status status =
        h5_write(group, optimum, optimum_fields, COUNT(optimum_fields), dims, err);
    if (status == MIX_OK)
        status = h5_write_names(group, "gain_over", MIX_GAINS, MIX_UNIT_MAX, gains, err);
    if (status == MIX_OK)
        status = h5_write_index(group, "draw", optimum->n_draws, err);
    if (status == MIX_OK)
        status = h5_write(group, optimum, gain_fields, COUNT(gain_fields), dims, err);
    if (status == MIX_OK)
        status = h5_write(group, optimum, later_fields, COUNT(later_fields), dims, err);
    if (status == MIX_OK)
        status = h5_write(group, optimum, newest_fields, COUNT(newest_fields), dims, err);
    if (status == MIX_OK)
        status = h5_write(group, optimum, interval_fields, COUNT(interval_fields), dims, err);
    if (status == MIX_OK)
        status = h5_annotate(group, interval_notes, COUNT(interval_notes), err);
    if (status == MIX_OK && (optimum->max_epochs > 0.0 || isfinite(optimum->r1))) {
        status = h5_write(group, optimum, supply_fields, COUNT(supply_fields), dims, err);
        if (status == MIX_OK)
            status = h5_annotate(group, supply_notes, COUNT(supply_notes), err);
    }
    if (status == MIX_OK && optimum->n_path > 0)
        status = h5_write_index(group, "path", optimum->n_path, err);
    if (status == MIX_OK && optimum->n_path > 0)
        status = h5_write(group, optimum, path_fields, COUNT(path_fields), dims, err);
    return status == MIX_OK ? h5_annotate(group, optimum_notes, COUNT(optimum_notes), err) : status;
}

/* The scale path, where there is one. */
static enum mix_status read_path(const struct h5_group *group, struct h5_dim *dims,
                                 struct mix_optimum *optimum, struct mix_error *err)
{
    if (H5Lexists(group->id, "path", H5P_DEFAULT) == 0 &&
        !h5_has_any(group, path_fields, COUNT(path_fields)))
        return MIX_OK;
    const enum mix_status status =
        h5_extent(group, "path", 1, PATH_MAX_POINTS, &dims[DIM_PATH].n, err);
    if (status != MIX_OK)
        return status;
    if (!mix_optimum_add_path(optimum, dims[DIM_PATH].n))
        return mix_fail(err, MIX_ENOMEM, "%s: no memory for %s", group->file, group->path);
    return h5_read(group, optimum, path_fields, COUNT(path_fields), dims, err);
}

/* Codes that a program would use as an index. */
static enum mix_status check_codes(const struct h5_group *group, const struct mix_optimum *optimum,
                                   struct mix_error *err)
{
    if ((unsigned)optimum->goal >= MIX_GOALS || (unsigned)optimum->near > MIX_DISTANCE_KL)
        return mix_fail(err, MIX_EFORMAT, "%s: %s has the goal %d and the distance %d", group->file,
                        group->path, (int)optimum->goal, (int)optimum->near);
    for (size_t k = 0; k < optimum->n_domains; k++)
        if (optimum->binding[k] >= MIX_BOUNDS)
            return mix_fail(err, MIX_EFORMAT, "%s: %s/binding, entry %zu: %d is not one of 0 to %d",
                            group->file, group->path, k, optimum->binding[k], MIX_BOUNDS - 1);
    return MIX_OK;
}

enum mix_status store_read_optimum(const struct h5_group *group, const char *name,
                                   struct mix_optimum **out, struct mix_error *err)
{
    struct h5_dim dims[DIMS] = {{"domain", 0, "domain"},
                                {"target", 0, "target"},
                                {"gain_over", 0, "gain_over"},
                                {"draw", 0, "draw"},
                                {"path", 0, "path"}};
    const size_t min[DIM_PATH] = {1, 1, MIX_GAINS, 0};
    const size_t max[DIM_PATH] = {MIX_DOMAINS_MAX, TARGETS_MAX, MIX_GAINS, DRAWS_MAX};
    enum mix_status status = MIX_OK;
    for (int d = 0; d < DIM_PATH && status == MIX_OK; d++)
        status = h5_extent(group, dims[d].scale, min[d], max[d], &dims[d].n, err);
    if (status != MIX_OK)
        return status;
    struct mix_optimum *optimum =
        mix_optimum_create(dims[DIM_DOMAIN].n, dims[DIM_TARGET].n, dims[DIM_DRAW].n);
    if (optimum == NULL)
        return mix_fail(err, MIX_ENOMEM, "%s: no memory for %s", group->file, group->path);
    snprintf(optimum->name, sizeof optimum->name, "%s", name);
    status = h5_read(group, optimum, optimum_fields, COUNT(optimum_fields), dims, err);
    if (status == MIX_OK)
        status = h5_read(group, optimum, gain_fields, COUNT(gain_fields), dims, err);
    if (status == MIX_OK && h5_has_any(group, later_fields, COUNT(later_fields)))
        status = h5_read(group, optimum, later_fields, COUNT(later_fields), dims, err);
    if (status == MIX_OK && h5_has_any(group, interval_fields, COUNT(interval_fields)))
        status = h5_read(group, optimum, interval_fields, COUNT(interval_fields), dims, err);
    if (status == MIX_OK && h5_has_any(group, newest_fields, COUNT(newest_fields)))
        status = h5_read(group, optimum, newest_fields, COUNT(newest_fields), dims, err);
    if (status == MIX_OK && h5_has_any(group, supply_fields, COUNT(supply_fields)))
        status = h5_read(group, optimum, supply_fields, COUNT(supply_fields), dims, err);
    if (status == MIX_OK)
        status = read_path(group, dims, optimum, err);
    if (status == MIX_OK)
        status = check_codes(group, optimum, err);
    if (status == MIX_OK)
        *out = optimum;
    else
        mix_optimum_destroy(optimum);
    return status;
}
