/* SPDX-License-Identifier: GPL-3.0-or-later */
/* validate.c - see validate.h. */
#include "validate.h"

#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/random.h"

static const double AUTO_SHARE = 0.3;

static double largest_size(const struct mix_data *data)
{
    double top = 0.0;
    for (size_t r = 0; r < data->n_rows; r++)
        top = fmax(top, data->n_params[r]);
    return top;
}

static size_t count_sizes(const struct mix_data *data)
{
    size_t n = 0;
    for (size_t r = 0; r < data->n_rows; r++) {
        bool seen = false;
        for (size_t i = 0; i < r && !seen; i++)
            seen = fabs(data->n_params[i] - data->n_params[r]) <= 1e-9 * data->n_params[r];
        n += !seen;
    }
    return n;
}

static bool at_size(const struct mix_data *data, size_t r, double size)
{
    return data->n_params[r] >= size * (1.0 - 1e-9);
}

static void size_text(double millions, char text[16])
{
    if (millions >= 1000.0)
        snprintf(text, 16, "%.4gB", millions / 1000.0);
    else if (millions >= 1.0)
        snprintf(text, 16, "%.4gM", millions);
    else
        snprintf(text, 16, "%.4gk", millions * 1000.0);
}

static enum mix_status new_split(struct splits *splits, const struct mix_data *data, size_t n_folds,
                                 struct split **out, struct mix_error *err)
{
    struct split *split = &splits->split[splits->n];
    split->n_folds = n_folds;
    split->train = calloc(n_folds * data->n_rows + 1, 1);
    split->test = calloc(n_folds * data->n_rows + 1, 1);
    splits->n++; /* counted before the check, so that destroy frees both */
    if (split->train == NULL || split->test == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a split of %zu rows", data->n_rows);
    *out = split;
    return MIX_OK;
}

static enum mix_status add_scale(struct splits *splits, const struct mix_data *data,
                                 struct mix_error *err)
{
    struct split *split = NULL;
    const double top = largest_size(data);
    char size[16];
    const enum mix_status status = new_split(splits, data, 1, &split, err);
    if (status != MIX_OK)
        return status;
    size_text(top, size);
    snprintf(split->kind, sizeof split->kind, "scale %s", size);
    split->scale = true;
    for (size_t r = 0; r < data->n_rows; r++) {
        split->test[r] = at_size(data, r, top);
        split->train[r] = !split->test[r];
    }
    return MIX_OK;
}

/* A seeded order of the n mixtures. */
static enum mix_status shuffled(size_t n, uint64_t seed, const char *stage, size_t **out,
                                struct mix_error *err)
{
    size_t *order = calloc(n, sizeof *order);
    gsl_rng *rng = mix_rng_create(mix_key_make(seed, stage, NULL, 0));
    if (order == NULL || rng == NULL) {
        free(order);
        gsl_rng_free(rng);
        return mix_fail(err, MIX_ENOMEM, "out of memory for a split of %zu mixtures", n);
    }
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    gsl_ran_shuffle(rng, order, n, sizeof *order);
    gsl_rng_free(rng);
    *out = order;
    return MIX_OK;
}

static enum mix_status add_mixtures(struct splits *splits, const struct mix_data *data,
                                    double share, uint64_t seed, struct mix_error *err)
{
    const size_t n = data->n_clusters;
    const size_t n_test = (size_t)lround(share * (double)n);
    if (n_test == 0 || n_test >= n)
        return mix_fail(
            err, MIX_EINVAL,
            "--holdout mixture:%g of %zu mixtures holds out %zu; at least one must be held "
            "out and one kept",
            share, n, n_test);
    size_t *order;
    enum mix_status status = shuffled(n, seed, "holdout mixture", &order, err);
    if (status != MIX_OK)
        return status;
    struct split *split = NULL;
    status = new_split(splits, data, 1, &split, err);
    if (status == MIX_OK) {
        snprintf(split->kind, sizeof split->kind, "mixture %.3g%%", 100.0 * share);
        for (size_t r = 0; r < data->n_rows; r++) {
            for (size_t i = 0; i < n_test; i++)
                split->test[r] = split->test[r] || order[i] == data->cluster[r];
            split->train[r] = !split->test[r];
        }
    }
    free(order);
    return status;
}

/* Deal the mixtures that have a run of this size or a larger one out to folds, in a seeded order;
 * the fold (G) of all others is n_folds. */
static enum mix_status deal(const struct mix_data *data, double size, size_t n_folds, uint64_t seed,
                            const char *stage, size_t **fold, size_t *n_dealt,
                            struct mix_error *err)
{
    size_t *order;
    *n_dealt = 0;
    *fold = calloc(data->n_clusters, sizeof **fold);
    if (*fold == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a split of %zu rows", data->n_rows);
    const enum mix_status status = shuffled(data->n_clusters, seed, stage, &order, err);
    if (status != MIX_OK)
        return status;
    for (size_t i = 0; i < data->n_clusters; i++) {
        (*fold)[order[i]] = n_folds;
        for (size_t r = 0; r < data->n_rows; r++)
            if (data->cluster[r] == order[i] && at_size(data, r, size)) {
                (*fold)[order[i]] = (*n_dealt)++ % n_folds;
                break;
            }
    }
    free(order);
    return MIX_OK;
}

/* Every mixture is in one fold. */
static enum mix_status add_folds(struct splits *splits, const struct mix_data *data, size_t n_folds,
                                 uint64_t seed, struct mix_error *err)
{
    size_t *fold, n_mixtures;
    struct split *split = NULL;
    enum mix_status status =
        deal(data, 0.0, n_folds, seed, "holdout folds", &fold, &n_mixtures, err);
    if (status == MIX_OK && n_mixtures < n_folds)
        status = mix_fail(err, MIX_EINVAL,
                          "--holdout mixture:%zu-fold needs as many mixtures, and the selection "
                          "has %zu",
                          n_folds, n_mixtures);
    if (status == MIX_OK)
        status = new_split(splits, data, n_folds, &split, err);
    if (status == MIX_OK && split != NULL) {
        snprintf(split->kind, sizeof split->kind, "mixture, %zu folds", n_folds);
        for (size_t f = 0; f < n_folds; f++)
            for (size_t r = 0; r < data->n_rows; r++) {
                split->test[f * data->n_rows + r] = fold[data->cluster[r]] == f;
                split->train[f * data->n_rows + r] = fold[data->cluster[r]] != f;
            }
    }
    free(fold);
    return status;
}

/* Unseen mixtures at the unseen size: the mixtures of the largest size in four folds. */
static enum mix_status add_both(struct splits *splits, const struct mix_data *data, uint64_t seed,
                                struct mix_error *err)
{
    const double top = largest_size(data);
    size_t *fold, n_mixtures;
    struct split *split = NULL;
    enum mix_status status =
        deal(data, top, VALIDATE_FOLDS, seed, "holdout both", &fold, &n_mixtures, err);
    if (status == MIX_OK)
        status = new_split(splits, data, VALIDATE_FOLDS, &split, err);
    if (status == MIX_OK) {
        char size[16];
        size_text(top, size);
        snprintf(split->kind, sizeof split->kind, "scale %s and mixture, %d folds", size,
                 VALIDATE_FOLDS);
        for (size_t f = 0; f < VALIDATE_FOLDS; f++)
            for (size_t r = 0; r < data->n_rows; r++) {
                const bool mine = fold[data->cluster[r]] == f;
                split->test[f * data->n_rows + r] = mine && at_size(data, r, top);
                split->train[f * data->n_rows + r] = !mine && !at_size(data, r, top);
            }
    }
    free(fold);
    return status;
}

/* Whether the largest size has mixtures enough, and smaller sizes exist. */
static bool can_hold_out_both(const struct mix_data *data)
{
    const double top = largest_size(data);
    size_t n_top = 0, n_smaller = 0; /* mixtures at the largest size, runs below it */
    for (size_t r = 0; r < data->n_rows; r++) {
        bool counts = at_size(data, r, top);
        n_smaller += !counts;
        for (size_t i = 0; counts && i < r; i++)
            counts = data->cluster[i] != data->cluster[r] || !at_size(data, i, top);
        n_top += counts;
    }
    return n_top >= 2 * (size_t)VALIDATE_FOLDS && n_smaller > 0 &&
           data->n_clusters >= 3 * (size_t)VALIDATE_FOLDS;
}

static enum mix_status make_splits(const char *option, const struct mix_data *data, uint64_t seed,
                                   struct splits *out, struct mix_error *err)
{
    const size_t n_sizes = count_sizes(data);
    double share;
    int n_folds, length = 0;
    char rest;
    if (strcmp(option, "none") == 0)
        return MIX_OK;
    if (strcmp(option, "auto") == 0) {
        if (n_sizes < 3)
            return data->n_clusters < 4 ? MIX_OK : add_mixtures(out, data, AUTO_SHARE, seed, err);
        const enum mix_status status = add_scale(out, data, err);
        return status == MIX_OK && can_hold_out_both(data) ? add_both(out, data, seed, err)
                                                           : status;
    }
    if (strcmp(option, "scale") == 0 || strcmp(option, "both") == 0) {
        if (n_sizes < 2)
            return mix_fail(err, MIX_EINVAL,
                            "--holdout %s needs two sizes or more, and the selection has one; use "
                            "mixture:0.3 or none",
                            option);
        if (option[0] == 's')
            return add_scale(out, data, err);
        if (!can_hold_out_both(data))
            return mix_fail(
                err, MIX_EINVAL,
                "--holdout both needs %d mixtures at the largest size and smaller sizes; "
                "use scale or mixture:0.3",
                2 * VALIDATE_FOLDS);
        return add_both(out, data, seed, err);
    }
    if (sscanf(option, "mixture:%lf%c", &share, &rest) == 1 && share > 0.0 && share < 1.0)
        return add_mixtures(out, data, share, seed, err);
    if (sscanf(option, "mixture:%4d-fold%n", &n_folds, &length) == 1 && n_folds >= 2 &&
        length > 0 && option[length] == '\0')
        return add_folds(out, data, (size_t)n_folds, seed, err);
    return mix_fail(
        err, MIX_EUSAGE,
        "--holdout \"%.80s\" is unknown; allowed are auto, none, scale, both and mixture:F with F "
        "between 0 and 1, or mixture:K-fold with K of 2 or more",
        option);
}

enum mix_status validate_splits(const char *option, const struct mix_data *data, uint64_t seed,
                                struct splits *out, struct mix_error *err)
{
    *out = (struct splits){0};
    const enum mix_status status = make_splits(option, data, seed, out, err);
    for (size_t i = 0; status == MIX_OK && data->early != NULL && i < out->n; i++)
        for (size_t e = 0; e < out->split[i].n_folds * data->n_rows; e++)
            if (data->early[e % data->n_rows])
                out->split[i].test[e] = 0;
    return status;
}

void validate_splits_destroy(struct splits *splits)
{
    for (size_t i = 0; i < splits->n; i++) {
        free(splits->split[i].train);
        free(splits->split[i].test);
    }
    *splits = (struct splits){0};
}

void validate_sizes(const struct mix_data *data, const uint8_t *rows, double *size)
{
    const size_t n_m = data->n_targets, n_losses = n_m - data->n_scores;
    const double *of_all = data->size;
    bool mixed = false;
    for (size_t m = 0; m < n_m; m++) {
        size[m] = 1.0;
        mixed = mixed || (of_all != NULL && m < n_losses && fabs(of_all[m] - of_all[0]) > 0.0);
    }
    for (size_t m = 0; mixed && m < n_losses; m++) {
        double sum = 0.0, n = 0.0;
        for (size_t e = 0; e < data->n_rows * n_m; e++)
            if (rows[e / n_m] && data->weight[e] > 0.0 && e % n_m < n_losses &&
                !(fabs(of_all[e % n_m] - of_all[m]) > 0.0)) {
                sum += fabs(data->loss[e]);
                n += 1.0;
            }
        size[m] = sum > 0.0 ? sum / n : 1.0;
    }
}

enum mix_status validate_subset(const struct mix_data *data, const uint8_t *rows,
                                struct mix_data **out, struct mix_error *err)
{
    const size_t n_k = data->n_domains, n_m = data->n_targets;
    size_t n = 0;
    for (size_t r = 0; r < data->n_rows; r++)
        n += rows[r] != 0;
    struct mix_data *sub = calloc(1, sizeof *sub);
    if (sub == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu rows", n);
    *sub = (struct mix_data){.n_rows = n,
                             .n_domains = n_k,
                             .n_targets = n_m,
                             .n_scores = data->n_scores,
                             .n_clusters = data->n_clusters,
                             .row = calloc(n + 1, sizeof *sub->row),
                             .early = calloc(n + 1, sizeof *sub->early),
                             .target = calloc(n_m, sizeof *sub->target),
                             .target_domain = calloc(n_m, sizeof *sub->target_domain),
                             .mixture = calloc(n * n_k + 1, sizeof *sub->mixture),
                             .n_params = calloc(n + 1, sizeof *sub->n_params),
                             .n_tokens = calloc(n + 1, sizeof *sub->n_tokens),
                             .unique = calloc(n * n_k + 1, sizeof *sub->unique),
                             .loss = calloc(n * n_m + 1, sizeof *sub->loss),
                             .weight = calloc(n * n_m + 1, sizeof *sub->weight),
                             .size = calloc(n_m, sizeof *sub->size),
                             .cluster = calloc(n + 1, sizeof *sub->cluster)};
    if (sub->row == NULL || sub->early == NULL || sub->target == NULL ||
        sub->target_domain == NULL || sub->mixture == NULL || sub->n_params == NULL ||
        sub->n_tokens == NULL || sub->unique == NULL || sub->loss == NULL || sub->weight == NULL ||
        sub->cluster == NULL || sub->size == NULL) {
        mix_data_destroy(sub);
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu rows", n);
    }
    memcpy(sub->target, data->target, n_m * sizeof *sub->target);
    memcpy(sub->target_domain, data->target_domain, n_m * sizeof *sub->target_domain);
    size_t next = 0;
    for (size_t r = 0; r < data->n_rows; r++) {
        if (!rows[r])
            continue;
        sub->row[next] = data->row[r];
        sub->early[next] = data->early != NULL && data->early[r];
        sub->n_params[next] = data->n_params[r];
        sub->n_tokens[next] = data->n_tokens[r];
        sub->cluster[next] = data->cluster[r];
        memcpy(sub->mixture + next * n_k, data->mixture + r * n_k, n_k * sizeof(double));
        memcpy(sub->unique + next * n_k, data->unique + r * n_k, n_k * sizeof(double));
        memcpy(sub->loss + next * n_m, data->loss + r * n_m, n_m * sizeof(double));
        memcpy(sub->weight + next * n_m, data->weight + r * n_m, n_m * sizeof(double));
        next++;
    }
    validate_sizes(data, rows, sub->size);
    *out = sub;
    return MIX_OK;
}

enum mix_status validate_spec(const char *law, int form, const struct mix_data *data,
                              struct mix_law_spec *spec, struct mix_error *err)
{
    const size_t n = data->n_domains > data->n_targets ? data->n_domains : data->n_targets;
    const char **name = calloc(n, sizeof *name);
    char notes[MIX_TEXT_MAX];
    if (name == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu names", n);
    for (size_t i = 0; i < n; i++)
        name[i] = "?";
    const enum mix_status status =
        mix_law_spec_from_data(law, form, data, name, name, spec, notes, err);
    free(name);
    return status;
}
