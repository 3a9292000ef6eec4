/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trunk.h - the layers of the project's transformer, over vectors x (rows,C) of one or more
 * sequences, and what else a model is made of: matrix products, and the step of training.
 *
 *     L times: x += A(norm(x)), x += F(norm(x));  h = norm(x)
 *     A(h) = heads(h Wq, h Wk, h Wv) Wo',  F(h) = gelu(h Wu) Wd'
 *
 * No biases. Whoever owns the parameters keeps them in two blocks: per layer Wq beside Wk beside Wv
 * (C,3C), Wo (C,C), Wu (C,4C), Wd (C,4C); and the gains of the 2L + 1 norms (C), which are not to
 * be decayed.
 *
 * What lies between the first and second product of A and F is kept transposed, one row per
 * channel: attention wants that, and then no product is of the one kind, plain times transposed,
 * for which OpenBLAS copies its operands however small they are. */
#ifndef MIXSWEEP_PROXY_TRUNK_H
#define MIXSWEEP_PROXY_TRUNK_H

#include <gsl/gsl_rng.h>

#include "mixsweep/task.h"
#include "proxy/kernels.h"

#ifdef PROXY_DOUBLE
#define proxy_multiply proxy_multiply_f64
#define proxy_take proxy_take_f64
#define proxy_draw proxy_draw_f64
#define proxy_step proxy_step_f64
#define proxy_trunk_begin proxy_trunk_begin_f64
#define proxy_trunk_end proxy_trunk_end_f64
#define proxy_trunk_place proxy_trunk_place_f64
#define proxy_trunk_bind proxy_trunk_bind_f64
#define proxy_trunk_initialise proxy_trunk_initialise_f64
#define proxy_trunk_forward proxy_trunk_forward_f64
#define proxy_trunk_backward proxy_trunk_backward_f64
#define proxy_trunk_extend proxy_trunk_extend_f64
#endif

enum { PROXY_LINE = 64 / sizeof(real) }; /* numbers in a cache line */

/* A matrix, or one whose transpose is in memory. */
struct proxy_factor {
    const real *at;
    size_t ld;
    bool flip;
};

static inline struct proxy_factor proxy_plain(const real *at, size_t ld)
{
    return (struct proxy_factor){at, ld, false};
}

static inline struct proxy_factor proxy_flipped(const real *at, size_t ld)
{
    return (struct proxy_factor){at, ld, true};
}

/* out (m,n) = keep out + a (m,k) b (k,n), row-major. */
void proxy_multiply(const struct proxy_kernels *kernels, size_t m, size_t n, size_t k,
                    struct proxy_factor a, struct proxy_factor b, real keep, real *out, size_t ld);

/* The next n numbers of a block whose size is being counted (base NULL: the result is NULL) or that
 * is being laid out, on a cache line of their own. */
real *proxy_take(real *base, size_t *used, size_t n);

/* n draws from a normal distribution. */
void proxy_draw(real *at, size_t n, double deviation, gsl_rng *rng);

/* How parameters are trained. */
struct proxy_step {
    double rate, beta1, beta2, epsilon;
    double weight_decay; /* of the first n_decayed parameters */
    double clip;         /* of the gradient's norm; 0 = none */
};

/* One step of AdamW (Loshchilov & Hutter, arXiv 1711.05101), the n_done + 1 st, with a gradient of
 * the given norm. n_params and n_decayed are multiples of 16. */
void proxy_step(const struct proxy_kernels *kernels, const struct proxy_step *step, uint64_t n_done,
                double norm, size_t n_params, size_t n_decayed, const real *gradient, real *params,
                real *first, real *second);

/* What a layer keeps of a pass for the way back. Transposed matrices have rows of trunk.ld. */
struct proxy_layer {
    const real *w_qkv, *w_out, *w_up, *w_down, *gain1, *gain2;
    real *d_w_qkv, *d_w_out, *d_w_up, *d_w_down, *d_gain1, *d_gain2;
    real *unit1, *scale1;    /* (rows,C), (rows) of the norm before attention */
    real *qkv;               /* (3C,rows) transposed */
    real *largest, *inverse; /* (H,rows) of the softmax */
    real *heads;             /* (C,rows) transposed: output of attention before Wo */
    real *unit2, *scale2;    /* (rows,C), (rows) of the norm before the feed-forward part */
    real *up;                /* (4C,rows) transposed: before GELU */
};

struct proxy_trunk {
    size_t width, n_layers, n_heads; /* C, L, H */
    size_t most_rows, most_context;
    size_t context, n_sequences; /* of a pass, set before it; their product is its rows */
    const struct proxy_kernels *kernels;
    size_t ld; /* row length of what is transposed */
    struct proxy_layer *layers;
    const real *gain; /* of the last norm */
    real *d_gain;
    real *unit, *scale;
    real *x, *h,
        *branch; /* (rows,C): residual stream and its gradient, input of a product, output */
    real *wide, *d_wide;   /* (4C,rows) transposed */
    real *d_qkv, *d_heads; /* (3C,rows), (C,rows) transposed */
    real *head;            /* scratch of attention */
};

/* Parameters in the block of matrices, and of gains. */
static inline size_t proxy_trunk_n_weights(size_t width, size_t n_layers)
{
    return n_layers * 12 * width * width;
}

static inline size_t proxy_trunk_n_gains(size_t width, size_t n_layers)
{
    return (2 * n_layers + 1) * width;
}

/* A trunk for passes of up to n_sequences sequences of up to `context` vectors, a multiple of 16
 * as the width. MIX_ENOMEM. */
enum mix_status proxy_trunk_begin(struct proxy_trunk *trunk, size_t width, size_t n_layers,
                                  size_t n_heads, size_t context, size_t n_sequences,
                                  const struct proxy_kernels *kernels, struct mix_error *err);
void proxy_trunk_end(struct proxy_trunk *trunk);

/* Lay out the workspace in the owner's block; see proxy_take(). */
void proxy_trunk_place(struct proxy_trunk *trunk, real *base, size_t *used);

/* Where the parameters are, and where their gradients are added up. */
void proxy_trunk_bind(struct proxy_trunk *trunk, const real *weights, real *d_weights,
                      const real *gains, real *d_gains);

/* Draw the matrices; gains are 1. */
void proxy_trunk_initialise(const struct proxy_trunk *trunk, real *weights, real *gains,
                            gsl_rng *rng);

/* From trunk->x to trunk->h; x is used up. */
void proxy_trunk_forward(struct proxy_trunk *trunk, struct mix_poll *poll);

/* After forward: from the gradient of h, in trunk->branch, to that of x, in trunk->x; gradients of
 * the parameters are added. h is used up. */
void proxy_trunk_backward(struct proxy_trunk *trunk, struct mix_poll *poll);

/* One vector more of one sequence: from the first row of trunk->x to that of trunk->h. Row 0 begins
 * a sequence; the keys and values of those before `row` are kept from when they were given. There
 * is no way back, and a forward pass between two rows loses the sequence. Bound by how fast the
 * parameters are read, once. */
void proxy_trunk_extend(struct proxy_trunk *trunk, size_t row);

#endif
