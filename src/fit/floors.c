/* SPDX-License-Identifier: GPL-3.0-or-later */
/* floors.c - predictions that know nothing of mixing: what a law has to beat. See validate.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "least_squares.h"
#include "validate.h"

const char *const mix_floor_names[MIX_FLOORS] = {"mean", "scale-only", "copy-scale"};

static void predict_mean(const struct mix_data *data, const uint8_t *train, double *predicted)
{
    for (size_t m = 0; m < data->n_targets; m++) {
        double sum = 0.0, n = 0.0;
        for (size_t r = 0; r < data->n_rows; r++) {
            const size_t e = r * data->n_targets + m;
            if (train[r] && data->weight[e] > 0.0) {
                sum += data->loss[e];
                n += 1.0;
            }
        }
        for (size_t r = 0; r < data->n_rows; r++)
            predicted[r * data->n_targets + m] = n > 0.0 ? sum / n : NAN;
    }
}

/* The losses of the same mixture at the nearest other scale that was trained; NaN where there is
 * none. */
static void predict_copy(const struct mix_data *data, const uint8_t *train, double *predicted)
{
    const size_t n_m = data->n_targets;
    for (size_t r = 0; r < data->n_rows; r++)
        for (size_t m = 0; m < n_m; m++) {
            double nearest = INFINITY, sum = 0.0, n = 0.0;
            for (size_t i = 0; i < data->n_rows; i++) {
                if (!train[i] || i == r || data->cluster[i] != data->cluster[r] ||
                    !isfinite(data->loss[i * n_m + m]))
                    continue;
                const double distance = fabs(log(data->n_params[i] / data->n_params[r])) +
                                        fabs(log(data->n_tokens[i] / data->n_tokens[r]));
                if (distance < nearest - 1e-9) {
                    nearest = distance;
                    sum = n = 0.0;
                }
                if (distance <= nearest + 1e-9) {
                    sum += data->loss[i * n_m + m];
                    n += 1.0;
                }
            }
            predicted[r * n_m + m] = n > 0.0 ? sum / n : NAN;
        }
}

enum { SCALE_STARTS = 24 };

static enum mix_status fit_scale_only(struct lsq *lsq, uint64_t seed, double *theta, double *trial,
                                      struct mix_error *err)
{
    struct mix_model *model = lsq_model(lsq);
    double best = INFINITY;
    for (uint64_t i = 0; i < SCALE_STARTS; i++) {
        gsl_rng *rng = mix_rng_create(mix_key_make(seed, "scale-only", &i, sizeof i));
        if (rng == NULL)
            return mix_fail(err, MIX_ENOMEM, "out of memory for a random stream");
        model->law->start(model, lsq_scales(lsq), rng, trial);
        gsl_rng_free(rng);
        struct lsq_result result;
        if (lsq_minimise(lsq, trial, 200, 1e-8, NULL, &result, NULL) != MIX_OK)
            continue;
        if (result.objective < best) {
            best = result.objective;
            memcpy(theta, trial, model->n_theta * sizeof *theta);
        }
    }
    return MIX_OK;
}

/* Fit law chinchilla on the training rows; all NaN where the table does not suit it. */
static enum mix_status predict_scale_only(const struct mix_data *data, const uint8_t *train,
                                          uint64_t seed, double *predicted, struct mix_error *err)
{
    const size_t n_m = data->n_targets;
    for (size_t e = 0; e < data->n_rows * n_m; e++)
        predicted[e] = NAN;
    struct mix_data *subset = NULL;
    struct lsq *lsq = NULL;
    double *work = NULL;
    enum mix_status status = validate_subset(data, train, &subset, err);
    if (status != MIX_OK)
        return status;
    struct mix_law_spec spec;
    if (validate_spec("chinchilla", 0, subset, &spec, NULL) != MIX_OK)
        goto out; /* too few losses: this floor is not possible */
    status = lsq_create(&spec, subset->target_domain, subset, &lsq, err);
    if (status != MIX_OK)
        goto out;
    struct mix_model *model = lsq_model(lsq);
    const size_t n_linear = n_m * model->n_linear;
    work = calloc(2 * model->n_theta + n_linear + model->n_params, sizeof *work);
    if (work == NULL) {
        status = mix_fail(err, MIX_ENOMEM, "out of memory for the scale-only floor");
        goto out;
    }
    double *theta = work, *lambda = work + 2 * model->n_theta, *params = lambda + n_linear;
    status = fit_scale_only(lsq, seed, theta, work + model->n_theta, err);
    if (status != MIX_OK)
        goto out;
    lsq_evaluate(lsq, theta, lambda);
    model->law->to_natural(model, theta, lambda, params);
    status = mix_model_predict(model, params, data->n_rows, data->mixture, data->n_params,
                               data->n_tokens, predicted, err);
out:
    free(work);
    lsq_destroy(lsq);
    mix_data_destroy(subset);
    return status;
}

enum mix_status validate_floor(size_t floor, const struct mix_data *data, const uint8_t *train,
                               uint64_t seed, double *predicted, struct mix_error *err)
{
    if (floor == 1)
        return predict_scale_only(data, train, seed, predicted, err);
    if (floor == 0)
        predict_mean(data, train, predicted);
    else
        predict_copy(data, train, predicted);
    return MIX_OK;
}
