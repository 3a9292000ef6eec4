/* SPDX-License-Identifier: GPL-3.0-or-later */
/* model.c - see model.h for the model and its matrices. The tests compile this file a second time
 * in double. */
#include "proxy/model.h"

#include <stdlib.h>
#include <string.h>

/* Numbers in the block; with a base, the arrays' places in it. */
static size_t place(struct proxy_model *model, real *base)
{
    const size_t m = model->shape.context;
    size_t used = 0;
    model->params = proxy_take(base, &used, model->n_params);
    model->gradient = proxy_take(base, &used, model->n_params);
    proxy_trunk_place(&model->trunk, base, &used);
    model->h_flipped = proxy_take(base, &used, model->shape.width * model->trunk.ld);
    model->logits = proxy_take(base, &used, m * PROXY_VOCABULARY);
    model->loss = proxy_take(base, &used, m);
    return used;
}

enum mix_status proxy_model_create(const struct mix_proxy_shape *shape,
                                   const struct proxy_kernels *kernels, struct proxy_model *model,
                                   struct mix_error *err)
{
    const size_t n_embedded = (PROXY_VOCABULARY + shape->context) * shape->width;
    *model = (struct proxy_model){
        .shape = *shape,
        .kernels = kernels,
        .n_params = mix_proxy_n_params(shape, 1),
    };
    model->n_decayed = model->n_params - proxy_trunk_n_gains(shape->width, shape->n_layers);
    const enum mix_status status =
        proxy_trunk_begin(&model->trunk, shape->width, shape->n_layers, shape->n_heads,
                          shape->context, 1, kernels, err);
    if (status != MIX_OK)
        return status;
    const size_t n_bytes = place(model, NULL) * sizeof(real);
    model->block = aligned_alloc(64, n_bytes);
    if (model->block == NULL) {
        proxy_model_destroy(model);
        return mix_fail(err, MIX_ENOMEM, "out of memory for a proxy of %zu parameters (%zu bytes)",
                        mix_proxy_n_params(shape, 1), n_bytes);
    }
    memset(model->block, 0, n_bytes);
    place(model, model->block);
    proxy_trunk_bind(&model->trunk, model->params + n_embedded, model->gradient + n_embedded,
                     model->params + model->n_decayed, model->gradient + model->n_decayed);
    return MIX_OK;
}

void proxy_model_destroy(struct proxy_model *model)
{
    proxy_trunk_end(&model->trunk);
    free(model->block);
    *model = (struct proxy_model){0};
}

void proxy_model_initialise(struct proxy_model *model, gsl_rng *rng)
{
    const size_t n_embedded = (PROXY_VOCABULARY + model->shape.context) * model->shape.width;
    proxy_draw(model->params, n_embedded, 0.02, rng);
    proxy_trunk_initialise(&model->trunk, model->params + n_embedded,
                           model->params + model->n_decayed, rng);
}

static void embed(struct proxy_model *model, const uint8_t *bytes)
{
    const size_t c = model->shape.width;
    const real *place_ = model->params + PROXY_VOCABULARY * c;
    for (size_t t = 0; t < model->shape.context; t++) {
        const real *byte = model->params + bytes[t] * c;
        for (size_t i = 0; i < c; i++)
            model->trunk.x[t * c + i] = byte[i] + place_[t * c + i];
    }
}

static void embed_backward(struct proxy_model *model, const uint8_t *bytes)
{
    const size_t c = model->shape.width;
    real *place_ = model->gradient + PROXY_VOCABULARY * c;
    for (size_t t = 0; t < model->shape.context; t++) {
        real *byte = model->gradient + bytes[t] * c;
        for (size_t i = 0; i < c; i++) {
            byte[i] += model->trunk.x[t * c + i];
            place_[t * c + i] += model->trunk.x[t * c + i];
        }
    }
}

static void forward(struct proxy_model *model, const uint8_t *bytes, struct mix_poll *poll)
{
    const size_t t = model->shape.context, c = model->shape.width, ld = model->trunk.ld;
    embed(model, bytes);
    proxy_trunk_forward(&model->trunk, poll);
    for (size_t row = 0; row < t; row++)
        for (size_t i = 0; i < c; i++)
            model->h_flipped[i * ld + row] = model->trunk.h[row * c + i];
    proxy_multiply(model->kernels, t, PROXY_VOCABULARY, c, proxy_flipped(model->h_flipped, ld),
                   proxy_flipped(model->params, c), 0, model->logits, PROXY_VOCABULARY);
}

static void backward(struct proxy_model *model, const uint8_t *bytes, struct mix_poll *poll)
{
    const size_t t = model->shape.context, c = model->shape.width;
    proxy_multiply(model->kernels, PROXY_VOCABULARY, c, t,
                   proxy_flipped(model->logits, PROXY_VOCABULARY), proxy_plain(model->trunk.h, c),
                   1, model->gradient, c);
    proxy_multiply(model->kernels, t, c, PROXY_VOCABULARY,
                   proxy_plain(model->logits, PROXY_VOCABULARY), proxy_plain(model->params, c), 0,
                   model->trunk.branch, c);
    proxy_trunk_backward(&model->trunk, poll);
    embed_backward(model, bytes);
}

double proxy_model_pass(struct proxy_model *model, const uint8_t *bytes, const double *weight,
                        struct mix_poll *poll)
{
    const size_t t = model->shape.context;
    const double w = weight == NULL ? 0.0 : *weight / (double)t;
    forward(model, bytes, poll);
    model->kernels->cross_entropy(t, model->logits, bytes + 1, weight != NULL, (real)w,
                                  model->loss);
    if (weight != NULL)
        backward(model, bytes, poll);
    double sum = 0.0;
    for (size_t row = 0; row < t; row++)
        sum += (double)model->loss[row];
    return sum / (double)t;
}
