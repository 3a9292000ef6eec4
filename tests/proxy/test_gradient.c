/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every gradient of the proxy's model against central differences: model and kernels compiled in
 * double. */
#define PROXY_DOUBLE
#define MIX_ISA f64
/* NOLINTNEXTLINE(bugprone-suspicious-include): a second time, as another type */
#include "proxy/attention.isa.c"
/* NOLINTNEXTLINE(bugprone-suspicious-include) */
#include "proxy/kernels.isa.c"
/* NOLINTNEXTLINE(bugprone-suspicious-include) */
#include "proxy/model.c"
/* NOLINTNEXTLINE(bugprone-suspicious-include) */
#include "proxy/trunk.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Gradients of every stride-th parameter. */
static void check(struct proxy_model *model, const uint8_t *bytes, double weight, size_t stride)
{
    const double h = 1e-5;
    double worst = 0.0, largest = 0.0;
    for (size_t i = 0; i < model->n_params; i += stride) {
        const double at = model->params[i];
        model->params[i] = at + h;
        const double above = proxy_model_pass(model, bytes, NULL, NULL);
        model->params[i] = at - h;
        const double below = proxy_model_pass(model, bytes, NULL, NULL);
        model->params[i] = at;
        const double difference = weight * (above - below) / (2.0 * h);
        largest = fmax(largest, fabs(difference));
        worst = fmax(worst, fabs(difference - model->gradient[i]));
    }
    /* truncation h^2 and rounding 1e-16 / h */
    if (!(worst < 1e-8 * fmax(1.0, largest)) || largest == 0.0)
        fail_msg("gradients are off by %g; the largest is %g", worst, largest);
}

/* A model with random parameters everywhere, gains too. */
static void check_shape(const struct mix_proxy_shape *shape, size_t stride)
{
    const double weight = 0.7;
    struct proxy_model model;
    uint8_t bytes[128];
    gsl_rng *rng = mix_rng_create(mix_key_make(7, "gradient", NULL, 0));
    if (rng == NULL || proxy_model_create(shape, &proxy_kernels_f64, &model, NULL) != MIX_OK) {
        fail_msg("out of memory");
        return;
    }
    proxy_model_initialise(&model, rng);
    for (size_t i = 0; i < model.n_params; i++)
        model.params[i] += 0.1 * gsl_ran_gaussian_ziggurat(rng, 1.0);
    for (size_t i = 0; i <= shape->context; i++)
        bytes[i] = (uint8_t)gsl_rng_uniform_int(rng, 256);
    proxy_model_pass(&model, bytes, &weight, NULL);
    check(&model, bytes, weight, stride);
    proxy_model_destroy(&model);
    gsl_rng_free(rng);
}

static void test_gradient_of_every_parameter(void **state)
{
    (void)state;
    check_shape(&(struct mix_proxy_shape){16, 1, 2, 16}, 1);
}

static void test_gradient_of_deeper_and_wider_models(void **state)
{
    (void)state;
    check_shape(&(struct mix_proxy_shape){32, 2, 1, 32}, 197);
    check_shape(&(struct mix_proxy_shape){48, 3, 2, 48}, 997);
    check_shape(&(struct mix_proxy_shape){16, 2, 2, 64}, 101);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradient_of_every_parameter),
        cmocka_unit_test(test_gradient_of_deeper_and_wider_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
