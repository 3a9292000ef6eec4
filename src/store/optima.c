/* SPDX-License-Identifier: GPL-3.0-or-later */
/* optima.c - optima in the file: /optimum/NAME. */
#include "store/store_impl.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { TARGETS_MAX = 65536, DRAWS_MAX = 100 * 1000 * 1000 };
enum { DIM_DOMAIN, DIM_TARGET, DIM_GAIN, DIM_DRAW, DIMS };

#define SCALAR(member, name, type) H5_SCALAR(struct mix_optimum, member, name, type)
#define INTERVAL(member)                                                                           \
    SCALAR(member.value, #member, H5_DOUBLE), SCALAR(member.lo, #member "_lo", H5_DOUBLE),         \
        SCALAR(member.hi, #member "_hi", H5_DOUBLE)
#define SHARES(member)                                                                             \
    H5_ARRAY(struct mix_optimum, member, #member, "1", H5_DOUBLE, DIM_DOMAIN, NO_DIM)
#define LOSS(part, name)                                                                           \
    H5_COLUMN(struct mix_optimum, loss, struct mix_interval, part, name, "loss", H5_DOUBLE,        \
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

static const struct h5_note optimum_notes[] = {
    {"binding", "meaning", "0 interior, 1 on its floor, 2 on its cap"},
    {"gain", "description", "loss of the other mixture minus loss of the optimum"},
    {"p_better", "description", "share of the draws in which the gain is positive"},
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
                                      {"draw", optimum->n_draws, "draw"}};
    enum mix_status status =
        h5_write(group, optimum, optimum_fields, COUNT(optimum_fields), dims, err);
    if (status == MIX_OK)
        status = h5_write_names(group, "gain_over", MIX_GAINS, MIX_UNIT_MAX, gains, err);
    if (status == MIX_OK)
        status = h5_write_index(group, "draw", optimum->n_draws, err);
    if (status == MIX_OK)
        status = h5_write(group, optimum, gain_fields, COUNT(gain_fields), dims, err);
    return status == MIX_OK ? h5_annotate(group, optimum_notes, COUNT(optimum_notes), err) : status;
}

enum mix_status store_read_optimum(const struct h5_group *group, const char *name,
                                   struct mix_optimum **out, struct mix_error *err)
{
    struct h5_dim dims[DIMS] = {{"domain", 0, "domain"},
                                {"target", 0, "target"},
                                {"gain_over", 0, "gain_over"},
                                {"draw", 0, "draw"}};
    const size_t min[DIMS] = {1, 1, MIX_GAINS, 0};
    const size_t max[DIMS] = {MIX_DOMAINS_MAX, TARGETS_MAX, MIX_GAINS, DRAWS_MAX};
    enum mix_status status = MIX_OK;
    for (int d = 0; d < DIMS && status == MIX_OK; d++)
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
    for (size_t k = 0; k < optimum->n_domains && status == MIX_OK; k++)
        if (optimum->binding[k] > 2)
            status = mix_fail(err, MIX_EFORMAT, "%s: %s/binding, entry %zu: %d is not 0, 1 or 2",
                              group->file, group->path, k, optimum->binding[k]);
    if (status == MIX_OK)
        *out = optimum;
    else
        mix_optimum_destroy(optimum);
    return status;
}
