/* SPDX-License-Identifier: GPL-3.0-or-later */
/* model.h - the transformer of the proxy: parameters, and the pass of one sequence.
 *
 *     x = E[byte] + P[place];  h = trunk(x), see trunk.h;  logits = h E'
 *
 * No biases. Parameters stand in one block: E (256,C), P (T,C), the trunk's matrices; then, not
 * decayed, the gains of its norms. */
#ifndef MIXSWEEP_PROXY_MODEL_H
#define MIXSWEEP_PROXY_MODEL_H

#include <gsl/gsl_rng.h>

#include "mixsweep/proxy.h"
#include "proxy/trunk.h"

#ifdef PROXY_DOUBLE
#define proxy_model_create proxy_model_create_f64
#define proxy_model_destroy proxy_model_destroy_f64
#define proxy_model_initialise proxy_model_initialise_f64
#define proxy_model_pass proxy_model_pass_f64
#endif

struct proxy_model {
    struct mix_proxy_shape shape;
    const struct proxy_kernels *kernels;
    size_t n_params, n_decayed;
    real *params, *gradient; /* (P); gradient is added to */
    struct proxy_trunk trunk;
    real *h_flipped; /* (C,T) transposed, rows of trunk.ld: h before the last product */
    real *logits;    /* (T,256) */
    real *loss;      /* (T) */
    void *block;     /* all of the above */
};

/* Allocate parameters, gradient and workspace; all is zero. MIX_ENOMEM. */
enum mix_status proxy_model_create(const struct mix_proxy_shape *shape,
                                   const struct proxy_kernels *kernels, struct proxy_model *model,
                                   struct mix_error *err);
void proxy_model_destroy(struct proxy_model *model);

/* Draw the parameters. */
void proxy_model_initialise(struct proxy_model *model, gsl_rng *rng);

/*
 * Mean loss per byte, in nats, of a sequence of T + 1 bytes. With a weight, weight times its
 * gradient is added to model->gradient.
 *
 * One sequence at a time: what a pass keeps then stays in the second-level cache, and batches of
 * any size need no more memory.
 */
double proxy_model_pass(struct proxy_model *model, const uint8_t *bytes, const double *weight,
                        struct mix_poll *poll);

#endif
