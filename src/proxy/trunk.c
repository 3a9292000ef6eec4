/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trunk.c - see trunk.h for the layers and their matrices. The tests compile this file a second
 * time in double. */
#include "proxy/trunk.h"

#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The Fortran names: GSL's own slow BLAS also has the C ones, and which of the two a program gets
 * would hang on the order of its libraries. */
#ifdef PROXY_DOUBLE
#define GEMM dgemm_
#define GEMV dgemv_
#else
#define GEMM sgemm_
#define GEMV sgemv_
#endif
void GEMM(const char *trans_a, const char *trans_b, const int *m, const int *n, const int *k,
          const real *alpha, const real *a, const int *lda, const real *b, const int *ldb,
          const real *beta, real *c, const int *ldc);
void GEMV(const char *trans, const int *m, const int *n, const real *alpha, const real *a,
          const int *lda, const real *x, const int *step_x, const real *beta, real *y,
          const int *step_y);
void openblas_set_num_threads(int n_threads);

static const real *entry(struct proxy_factor factor, size_t row, size_t column)
{
    return factor.at + (factor.flip ? column * factor.ld + row : row * factor.ld + column);
}

/* Products up to 100^3 run without copies in OpenBLAS's kernels for AVX-512, and a quarter faster:
 * these blocks did best over the shapes of the ladder. */
enum { BLOCK = 64, BLOCK_INNER = 128 };

static size_t at_most(size_t n, size_t most)
{
    return n < most ? n : most;
}

void proxy_multiply(const struct proxy_kernels *kernels, size_t m, size_t n, size_t k,
                    struct proxy_factor a, struct proxy_factor b, real keep, real *out, size_t ld)
{
    const bool cut = kernels->cut_products;
    const size_t most = cut ? BLOCK : m + n, most_inner = cut ? BLOCK_INNER : k;
    const real one = 1;
    const int lda = (int)a.ld, ldb = (int)b.ld, ldc = (int)ld;
    for (size_t i = 0; i < m; i += most)
        for (size_t j = 0; j < n; j += most)
            for (size_t l = 0; l < k; l += most_inner) {
                const int rows = (int)at_most(m - i, most), columns = (int)at_most(n - j, most);
                const int inner = (int)at_most(k - l, most_inner);
                /* to Fortran a row-major matrix is the transposed one: out' = b' a' */
                GEMM(b.flip ? "T" : "N", a.flip ? "T" : "N", &columns, &rows, &inner, &one,
                     entry(b, l, j), &ldb, entry(a, i, l), &lda, l == 0 ? &keep : &one,
                     out + i * ld + j, &ldc);
            }
}

real *proxy_take(real *base, size_t *used, size_t n)
{
    real *here = base == NULL ? NULL : base + *used;
    *used += (n + PROXY_LINE - 1) / PROXY_LINE * PROXY_LINE;
    return here;
}

void proxy_draw(real *at, size_t n, double deviation, gsl_rng *rng)
{
    for (size_t i = 0; i < n; i++)
        at[i] = (real)gsl_ran_gaussian_ziggurat(rng, deviation);
}

void proxy_step(const struct proxy_kernels *kernels, const struct proxy_step *step, uint64_t n_done,
                double norm, size_t n_params, size_t n_decayed, const real *gradient, real *params,
                real *first, real *second)
{
    const size_t d = n_decayed;
    const double n = (double)n_done + 1.0;
    struct proxy_adamw adamw = {
        .rate = (real)step->rate,
        .beta1 = (real)step->beta1,
        .beta2 = (real)step->beta2,
        .epsilon = (real)step->epsilon,
        .decay = (real)(step->rate * step->weight_decay),
        .gradient_scale = (real)(step->clip > 0.0 && norm > step->clip ? step->clip / norm : 1.0),
        .correction1 = (real)(1.0 / (1.0 - pow(step->beta1, n))),
        .correction2 = (real)(1.0 / (1.0 - pow(step->beta2, n))),
    };
    kernels->adamw(d, &adamw, gradient, params, first, second);
    adamw.decay = 0;
    kernels->adamw(n_params - d, &adamw, gradient + d, params + d, first + d, second + d);
}

enum mix_status proxy_trunk_begin(struct proxy_trunk *trunk, size_t width, size_t n_layers,
                                  size_t n_heads, size_t context, size_t n_sequences,
                                  const struct proxy_kernels *kernels, struct mix_error *err)
{
    openblas_set_num_threads(1); /* every rank has a core of its own */
    *trunk = (struct proxy_trunk){
        .width = width,
        .n_layers = n_layers,
        .n_heads = n_heads,
        .context = context,
        .n_sequences = n_sequences,
        .most_rows = context * n_sequences,
        .most_context = context,
        .kernels = kernels,
        /* one line more: rows of a power of two would share few places in the cache */
        .ld = context * n_sequences + PROXY_LINE,
        .layers = calloc(n_layers, sizeof *trunk->layers),
    };
    if (trunk->layers == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a transformer of %zu layers", n_layers);
    return MIX_OK;
}

void proxy_trunk_end(struct proxy_trunk *trunk)
{
    free(trunk->layers);
    trunk->layers = NULL;
}

void proxy_trunk_place(struct proxy_trunk *trunk, real *base, size_t *used)
{
    const size_t c = trunk->width, m = trunk->most_rows, ld = trunk->ld;
    for (size_t l = 0; l < trunk->n_layers; l++) {
        struct proxy_layer *layer = &trunk->layers[l];
        layer->unit1 = proxy_take(base, used, m * c);
        layer->scale1 = proxy_take(base, used, m);
        layer->qkv = proxy_take(base, used, 3 * c * ld);
        layer->largest = proxy_take(base, used, trunk->n_heads * m);
        layer->inverse = proxy_take(base, used, trunk->n_heads * m);
        layer->heads = proxy_take(base, used, c * ld);
        layer->unit2 = proxy_take(base, used, m * c);
        layer->scale2 = proxy_take(base, used, m);
        layer->up = proxy_take(base, used, 4 * c * ld);
    }
    trunk->unit = proxy_take(base, used, m * c);
    trunk->scale = proxy_take(base, used, m);
    trunk->x = proxy_take(base, used, m * c);
    trunk->h = proxy_take(base, used, m * c);
    trunk->branch = proxy_take(base, used, m * c);
    trunk->wide = proxy_take(base, used, 4 * c * ld);
    trunk->d_wide = proxy_take(base, used, 4 * c * ld);
    trunk->d_qkv = proxy_take(base, used, 3 * c * ld);
    trunk->d_heads = proxy_take(base, used, c * ld);
    trunk->head =
        proxy_take(base, used, proxy_head_scratch(c / trunk->n_heads, trunk->most_context));
}

void proxy_trunk_bind(struct proxy_trunk *trunk, const real *weights, real *d_weights,
                      const real *gains, real *d_gains)
{
    const size_t c = trunk->width;
    for (size_t l = 0; l < trunk->n_layers; l++) {
        struct proxy_layer *layer = &trunk->layers[l];
        const struct {
            const real **at;
            real **d_at;
            size_t n;
        } matrices[] = {{&layer->w_qkv, &layer->d_w_qkv, 3 * c * c},
                        {&layer->w_out, &layer->d_w_out, c * c},
                        {&layer->w_up, &layer->d_w_up, 4 * c * c},
                        {&layer->w_down, &layer->d_w_down, 4 * c * c}};
        for (size_t i = 0; i < sizeof matrices / sizeof matrices[0]; i++) {
            *matrices[i].at = weights;
            *matrices[i].d_at = d_weights;
            weights += matrices[i].n;
            d_weights += matrices[i].n;
        }
        layer->gain1 = gains + 2 * l * c;
        layer->gain2 = gains + (2 * l + 1) * c;
        layer->d_gain1 = d_gains + 2 * l * c;
        layer->d_gain2 = d_gains + (2 * l + 1) * c;
    }
    trunk->gain = gains + 2 * trunk->n_layers * c;
    trunk->d_gain = d_gains + 2 * trunk->n_layers * c;
}

void proxy_trunk_initialise(const struct proxy_trunk *trunk, real *weights, real *gains,
                            gsl_rng *rng)
{
    const size_t c = trunk->width, n_layers = trunk->n_layers;
    /* 1 / sqrt(inputs) keeps variances; what ends on the residual stream is smaller by the number
     * of its summands (Radford et al. 2019, GPT-2) */
    const double inward = 1.0 / sqrt((double)c);
    const double outward = inward / sqrt(2.0 * (double)n_layers);
    for (size_t l = 0; l < n_layers; l++, weights += 12 * c * c) {
        proxy_draw(weights, 3 * c * c, inward, rng);
        proxy_draw(weights + 3 * c * c, c * c, outward, rng);
        proxy_draw(weights + 4 * c * c, 4 * c * c, inward, rng);
        proxy_draw(weights + 8 * c * c, 4 * c * c, outward / 2.0, rng);
    }
    for (size_t i = 0; i < proxy_trunk_n_gains(c, n_layers); i++)
        gains[i] = 1;
}

static size_t pass_rows(const struct proxy_trunk *trunk)
{
    return trunk->context * trunk->n_sequences;
}

static void each_head(const struct proxy_trunk *trunk, const struct proxy_layer *layer,
                      void (*attention)(const struct proxy_head *head))
{
    const size_t c = trunk->width, t = trunk->context, ld = trunk->ld, d = c / trunk->n_heads;
    for (size_t i = 0; i < trunk->n_heads * trunk->n_sequences; i++) {
        const size_t h = i / trunk->n_sequences, begin = i % trunk->n_sequences * t;
        const size_t q = h * d * ld + begin, k = q + c * ld, v = k + c * ld;
        const size_t row = h * trunk->most_rows + begin;
        const struct proxy_head head = {
            .d = d,
            .n_bytes = t,
            .ld = ld,
            .q = layer->qkv + q,
            .k = layer->qkv + k,
            .v = layer->qkv + v,
            .out = layer->heads + q,
            .largest = layer->largest + row,
            .inverse = layer->inverse + row,
            .scratch = trunk->head,
            .d_out = trunk->d_heads + q,
            .d_q = trunk->d_qkv + q,
            .d_k = trunk->d_qkv + k,
            .d_v = trunk->d_qkv + v,
        };
        attention(&head);
    }
}

/* `added` is the last layer's output, which the norm here adds to x. */
static void layer_forward(struct proxy_trunk *trunk, const struct proxy_layer *layer,
                          const real *added)
{
    const struct proxy_kernels *kernels = trunk->kernels;
    const size_t t = pass_rows(trunk), c = trunk->width, ld = trunk->ld;
    kernels->norm_forward(t, c, trunk->x, added, layer->gain1, layer->unit1, layer->scale1,
                          trunk->h);
    proxy_multiply(kernels, 3 * c, t, c, proxy_flipped(layer->w_qkv, 3 * c),
                   proxy_flipped(trunk->h, c), 0, layer->qkv, ld);
    each_head(trunk, layer, kernels->attention_forward);
    proxy_multiply(kernels, t, c, c, proxy_flipped(layer->heads, ld),
                   proxy_flipped(layer->w_out, c), 0, trunk->branch, c);
    kernels->norm_forward(t, c, trunk->x, trunk->branch, layer->gain2, layer->unit2, layer->scale2,
                          trunk->h);
    proxy_multiply(kernels, 4 * c, t, c, proxy_flipped(layer->w_up, 4 * c),
                   proxy_flipped(trunk->h, c), 0, layer->up, ld);
    kernels->gelu_forward(4 * c, t, ld, layer->up, trunk->wide);
    proxy_multiply(kernels, t, c, 4 * c, proxy_flipped(trunk->wide, ld),
                   proxy_flipped(layer->w_down, 4 * c), 0, trunk->branch, c);
}

static void feed_forward_backward(struct proxy_trunk *trunk, const struct proxy_layer *layer)
{
    const struct proxy_kernels *kernels = trunk->kernels;
    const size_t t = pass_rows(trunk), c = trunk->width, ld = trunk->ld;
    proxy_multiply(kernels, 4 * c, t, c, proxy_flipped(layer->w_down, 4 * c),
                   proxy_flipped(trunk->x, c), 0, trunk->d_wide, ld);
    kernels->gelu_backward(4 * c, t, ld, layer->up, trunk->wide, trunk->d_wide);
    proxy_multiply(kernels, c, 4 * c, t, proxy_flipped(trunk->x, c), proxy_flipped(trunk->wide, ld),
                   1, layer->d_w_down, 4 * c);
    kernels->norm_again(t, c, layer->unit2, layer->gain2, trunk->h);
    proxy_multiply(kernels, c, 4 * c, t, proxy_flipped(trunk->h, c),
                   proxy_flipped(trunk->d_wide, ld), 1, layer->d_w_up, 4 * c);
    proxy_multiply(kernels, t, c, 4 * c, proxy_flipped(trunk->d_wide, ld),
                   proxy_flipped(layer->w_up, 4 * c), 0, trunk->branch, c);
    kernels->norm_backward(t, c, layer->unit2, layer->scale2, layer->gain2, trunk->branch, trunk->x,
                           layer->d_gain2);
}

static void attention_backward(struct proxy_trunk *trunk, const struct proxy_layer *layer)
{
    const struct proxy_kernels *kernels = trunk->kernels;
    const size_t t = pass_rows(trunk), c = trunk->width, ld = trunk->ld;
    proxy_multiply(kernels, c, t, c, proxy_flipped(layer->w_out, c), proxy_flipped(trunk->x, c), 0,
                   trunk->d_heads, ld);
    proxy_multiply(kernels, c, c, t, proxy_flipped(trunk->x, c), proxy_flipped(layer->heads, ld), 1,
                   layer->d_w_out, c);
    each_head(trunk, layer, kernels->attention_backward);
    kernels->norm_again(t, c, layer->unit1, layer->gain1, trunk->h);
    proxy_multiply(kernels, c, 3 * c, t, proxy_flipped(trunk->h, c),
                   proxy_flipped(trunk->d_qkv, ld), 1, layer->d_w_qkv, 3 * c);
    proxy_multiply(kernels, t, c, 3 * c, proxy_flipped(trunk->d_qkv, ld),
                   proxy_flipped(layer->w_qkv, 3 * c), 0, trunk->branch, c);
    kernels->norm_backward(t, c, layer->unit1, layer->scale1, layer->gain1, trunk->branch, trunk->x,
                           layer->d_gain1);
}

void proxy_trunk_forward(struct proxy_trunk *trunk, struct mix_poll *poll)
{
    for (size_t l = 0; l < trunk->n_layers; l++) {
        layer_forward(trunk, &trunk->layers[l], l == 0 ? NULL : trunk->branch);
        mix_poll(poll);
    }
    trunk->kernels->norm_forward(pass_rows(trunk), trunk->width, trunk->x, trunk->branch,
                                 trunk->gain, trunk->unit, trunk->scale, trunk->h);
}

/* From here on x is the gradient of the residual stream. */
void proxy_trunk_backward(struct proxy_trunk *trunk, struct mix_poll *poll)
{
    const size_t t = pass_rows(trunk), c = trunk->width;
    memset(trunk->x, 0, t * c * sizeof *trunk->x);
    trunk->kernels->norm_backward(t, c, trunk->unit, trunk->scale, trunk->gain, trunk->branch,
                                  trunk->x, trunk->d_gain);
    for (size_t l = trunk->n_layers; l-- > 0;) {
        mix_poll(poll);
        feed_forward_backward(trunk, &trunk->layers[l]);
        attention_backward(trunk, &trunk->layers[l]);
    }
}

/* ---- one row at a time ---- */

/* out (n) = x (k) w, for w (k,n) or, flipped, w (n,k) */
static void apply(size_t n, size_t k, const real *x, const real *w, bool flip, real *out)
{
    const int rows = (int)(flip ? k : n), columns = (int)(flip ? n : k), step = 1;
    const real one = 1, none = 0;
    GEMV(flip ? "T" : "N", &rows, &columns, &one, w, &rows, x, &step, &none, out, &step);
}

/* Of the last of n rows of queries, keys and values, (n,3C): what a head attends to. */
static void attend(size_t n, size_t c, size_t d, const real *rows, real *share, real *out)
{
    const real *q = rows + (n - 1) * 3 * c, scale = (real)1 / (real)sqrt((double)d);
    real largest = 0, sum = 0;
    for (size_t j = 0; j < n; j++) {
        const real *k = rows + j * 3 * c + c;
        real score = 0;
        for (size_t i = 0; i < d; i++)
            score += q[i] * k[i];
        share[j] = scale * score;
        largest = j == 0 || share[j] > largest ? share[j] : largest;
    }
    for (size_t i = 0; i < d; i++)
        out[i] = 0;
    for (size_t j = 0; j < n; j++) {
        const real *v = rows + j * 3 * c + 2 * c;
        const real e = (real)exp((double)(share[j] - largest));
        sum += e;
        for (size_t i = 0; i < d; i++)
            out[i] += e * v[i];
    }
    for (size_t i = 0; i < d; i++)
        out[i] /= sum;
}

/* Here layer->qkv holds (rows,3C), not transposed: each row is written once and read whole. */
void proxy_trunk_extend(struct proxy_trunk *trunk, size_t row)
{
    const struct proxy_kernels *kernels = trunk->kernels;
    const size_t c = trunk->width, d = c / trunk->n_heads;
    const real *added = NULL;
    for (size_t l = 0; l < trunk->n_layers; l++, added = trunk->branch) {
        const struct proxy_layer *layer = &trunk->layers[l];
        kernels->norm_forward(1, c, trunk->x, added, layer->gain1, layer->unit1, layer->scale1,
                              trunk->h);
        apply(3 * c, c, trunk->h, layer->w_qkv, false, layer->qkv + row * 3 * c);
        for (size_t h = 0; h < trunk->n_heads; h++)
            attend(row + 1, c, d, layer->qkv + h * d, trunk->head, trunk->wide + h * d);
        apply(c, c, trunk->wide, layer->w_out, true, trunk->branch);
        kernels->norm_forward(1, c, trunk->x, trunk->branch, layer->gain2, layer->unit2,
                              layer->scale2, trunk->h);
        apply(4 * c, c, trunk->h, layer->w_up, false, layer->up);
        kernels->gelu_forward(1, 4 * c, 4 * c, layer->up, trunk->wide);
        apply(c, 4 * c, trunk->wide, layer->w_down, true, trunk->branch);
    }
    kernels->norm_forward(1, c, trunk->x, added, trunk->gain, trunk->unit, trunk->scale, trunk->h);
}
