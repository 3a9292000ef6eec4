/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fit_types.c - memory of fits and bootstrap draws; see fit.h. */
#include "mixsweep/fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* An empty array is one byte, so that NULL means out of memory. calloc() sees the overflow of n *
 * size. */
static void *zeros(size_t n, size_t size)
{
    return n > 0 && size > 0 ? calloc(n, size) : calloc(1, 1);
}

struct mix_fit *mix_fit_create(size_t n_domains, size_t n_targets, size_t n_params, size_t n_starts,
                               size_t n_optima)
{
    struct mix_fit *fit = calloc(1, sizeof *fit);
    if (fit == NULL)
        return NULL;
    fit->spec.n_domains = n_domains;
    fit->spec.n_targets = n_targets;
    fit->n_params = n_params;
    fit->n_starts = n_starts;
    fit->n_optima = n_optima;
    fit->scale_error = fit->stacked = NAN;
    fit->scale_factor = NAN;
    fit->domains = zeros(n_domains, sizeof *fit->domains);
    fit->targets = zeros(n_targets, sizeof *fit->targets);
    fit->target_domain = zeros(n_targets, sizeof *fit->target_domain);
    fit->target_weight = zeros(n_targets, sizeof *fit->target_weight);
    fit->target_size = zeros(n_targets, sizeof *fit->target_size);
    fit->link = zeros(n_targets, sizeof *fit->link);
    fit->param_names = zeros(n_params, sizeof *fit->param_names);
    fit->param_units = zeros(n_params, sizeof *fit->param_units);
    fit->params = zeros(n_params, sizeof *fit->params);
    fit->std_error = zeros(n_params, sizeof *fit->std_error);
    fit->covariance = zeros(n_params, n_params * sizeof *fit->covariance);
    fit->param_state = zeros(n_params, sizeof *fit->param_state);
    fit->start_objective = zeros(n_starts, sizeof *fit->start_objective);
    fit->optima = zeros(n_optima, n_params * sizeof *fit->optima);
    fit->train_by_target = zeros(n_targets, sizeof *fit->train_by_target);
    fit->seen_max = zeros(n_domains, sizeof *fit->seen_max);
    fit->supply = zeros(n_domains, sizeof *fit->supply);
    if (fit->domains == NULL || fit->targets == NULL || fit->target_domain == NULL ||
        fit->target_weight == NULL || fit->param_names == NULL || fit->param_units == NULL ||
        fit->params == NULL || fit->std_error == NULL || fit->covariance == NULL ||
        fit->param_state == NULL || fit->start_objective == NULL || fit->optima == NULL ||
        fit->train_by_target == NULL || fit->seen_max == NULL || fit->supply == NULL ||
        fit->target_size == NULL || fit->link == NULL) {
        mix_fit_destroy(fit);
        return NULL;
    }
    for (size_t k = 0; k < n_domains; k++)
        fit->supply[k] = NAN;
    for (size_t m = 0; m < n_targets; m++)
        fit->target_size[m] = 1.0;
    return fit;
}

/* A longer array, the new part zero; the old one stays where memory is out. */
static bool lengthen(void *array_of, size_t n_before, size_t n, size_t size)
{
    void **array = array_of;
    char *larger = size > 0 && n > SIZE_MAX / size ? NULL : realloc(*array, n * size + 1);
    if (larger == NULL)
        return false;
    if (n > n_before)
        memset(larger + n_before * size, 0, (n - n_before) * size);
    *array = larger;
    return true;
}

bool mix_fit_hold(struct mix_fit *fit, size_t n_held)
{
    const size_t n = fit->n_held, row = fit->spec.n_targets * sizeof *fit->held_loss;
    const bool held = lengthen(&fit->held_out, n, n_held, sizeof *fit->held_out) &&
                      lengthen(&fit->held_key, n, n_held, sizeof *fit->held_key) &&
                      lengthen(&fit->held_n_params, n, n_held, sizeof *fit->held_n_params) &&
                      lengthen(&fit->held_loss, n, n_held, row) &&
                      lengthen(&fit->held_predicted, n, n_held, row);
    if (held)
        fit->n_held = n_held;
    return held;
}

void mix_fit_destroy(struct mix_fit *fit)
{
    if (fit == NULL)
        return;
    free(fit->domains);
    free(fit->targets);
    free(fit->target_domain);
    free(fit->target_weight);
    free(fit->target_size);
    free(fit->link);
    free(fit->param_names);
    free(fit->param_units);
    free(fit->params);
    free(fit->std_error);
    free(fit->covariance);
    free(fit->param_state);
    free(fit->start_objective);
    free(fit->optima);
    free(fit->train_by_target);
    free(fit->holdout_by_target);
    free(fit->held_out);
    free(fit->held_key);
    free(fit->held_n_params);
    free(fit->held_loss);
    free(fit->held_predicted);
    free(fit->seen_max);
    free(fit->supply);
    free(fit);
}

void mix_fits_destroy(size_t n, struct mix_fit **fits)
{
    for (size_t i = 0; fits != NULL && i < n; i++)
        mix_fit_destroy(fits[i]);
    free(fits);
}

struct mix_draws *mix_draws_create(size_t n_draws, size_t n_params)
{
    struct mix_draws *draws = calloc(1, sizeof *draws);
    if (draws == NULL)
        return NULL;
    draws->n_draws = n_draws;
    draws->n_params = n_params;
    draws->residual = NAN;
    draws->objective = zeros(n_draws, sizeof *draws->objective);
    draws->params = zeros(n_draws, n_params * sizeof *draws->params);
    draws->done = zeros(n_draws, sizeof *draws->done);
    if (draws->objective == NULL || draws->params == NULL || draws->done == NULL) {
        mix_draws_destroy(draws);
        return NULL;
    }
    return draws;
}

void mix_draws_destroy(struct mix_draws *draws)
{
    if (draws == NULL)
        return;
    free(draws->objective);
    free(draws->params);
    free(draws->done);
    free(draws->left);
    free(draws->left_done);
    free(draws->origins);
    free(draws);
}

bool mix_draws_hold_left(struct mix_draws *draws, size_t n_left)
{
    free(draws->left);
    free(draws->left_done);
    draws->n_left = n_left;
    draws->left = n_left > 0 ? zeros(n_left, draws->n_params * sizeof *draws->left) : NULL;
    draws->left_done = n_left > 0 ? zeros(n_left, sizeof *draws->left_done) : NULL;
    const bool held = n_left == 0 || (draws->left != NULL && draws->left_done != NULL);
    if (!held) {
        free(draws->left);
        free(draws->left_done);
        draws->n_left = 0;
        draws->left = NULL;
        draws->left_done = NULL;
    }
    return held;
}

bool mix_draws_hold_origins(struct mix_draws *draws, size_t n_origins)
{
    free(draws->origins);
    draws->origins = n_origins > 0 ? calloc(n_origins, sizeof *draws->origins) : NULL;
    draws->n_origins = draws->origins != NULL ? n_origins : 0;
    return draws->n_origins == n_origins;
}

bool mix_draws_copy_left(struct mix_draws *to, const struct mix_draws *from)
{
    to->residual = from->residual;
    if (!mix_draws_hold_left(to, from->n_left) || !mix_draws_hold_origins(to, from->n_origins))
        return false;
    if (from->n_left > 0) {
        memcpy(to->left, from->left, from->n_left * from->n_params * sizeof *from->left);
        memcpy(to->left_done, from->left_done, from->n_left);
    }
    if (from->n_origins > 0)
        memcpy(to->origins, from->origins, from->n_origins * sizeof *from->origins);
    return true;
}
