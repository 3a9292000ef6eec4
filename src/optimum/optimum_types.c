/* SPDX-License-Identifier: GPL-3.0-or-later */
/* optimum_types.c - memory of optima; see optimum.h. */
#include "mixsweep/optimum.h"

#include <stdlib.h>

/* An empty array is one byte, so that NULL means out of memory. calloc() sees the overflow of n *
 * size. */
static void *zeros(size_t n, size_t size)
{
    return n > 0 && size > 0 ? calloc(n, size) : calloc(1, 1);
}

struct mix_optimum *mix_optimum_create(size_t n_domains, size_t n_targets, size_t n_draws)
{
    struct mix_optimum *o = calloc(1, sizeof *o);
    if (o == NULL)
        return NULL;
    o->n_domains = n_domains;
    o->n_targets = n_targets;
    o->n_draws = n_draws;
    o->domains = zeros(n_domains, sizeof *o->domains);
    o->targets = zeros(n_targets, sizeof *o->targets);
    o->weight = zeros(n_targets, sizeof *o->weight);
    o->lower = zeros(n_domains, sizeof *o->lower);
    o->upper = zeros(n_domains, sizeof *o->upper);
    o->prior = zeros(n_domains, sizeof *o->prior);
    o->baseline = zeros(n_domains, sizeof *o->baseline);
    o->seen_max = zeros(n_domains, sizeof *o->seen_max);
    o->best_observed = zeros(n_domains, sizeof *o->best_observed);
    o->mixture = zeros(n_domains, sizeof *o->mixture);
    o->mixture_lo = zeros(n_domains, sizeof *o->mixture_lo);
    o->mixture_hi = zeros(n_domains, sizeof *o->mixture_hi);
    o->tied = zeros(n_domains, sizeof *o->tied);
    o->binding = zeros(n_domains, sizeof *o->binding);
    o->loss = zeros(n_targets, sizeof *o->loss);
    if (n_draws > 0)
        o->draw_mixture = zeros(n_draws, n_domains * sizeof *o->draw_mixture);
    if (o->domains == NULL || o->targets == NULL || o->weight == NULL || o->lower == NULL ||
        o->upper == NULL || o->prior == NULL || o->baseline == NULL || o->seen_max == NULL ||
        o->best_observed == NULL || o->mixture == NULL || o->mixture_lo == NULL ||
        o->mixture_hi == NULL || o->tied == NULL || o->binding == NULL || o->loss == NULL ||
        (n_draws > 0 && o->draw_mixture == NULL)) {
        mix_optimum_destroy(o);
        return NULL;
    }
    return o;
}

void mix_optimum_destroy(struct mix_optimum *optimum)
{
    if (optimum == NULL)
        return;
    free(optimum->domains);
    free(optimum->targets);
    free(optimum->weight);
    free(optimum->lower);
    free(optimum->upper);
    free(optimum->prior);
    free(optimum->baseline);
    free(optimum->seen_max);
    free(optimum->best_observed);
    free(optimum->mixture);
    free(optimum->mixture_lo);
    free(optimum->mixture_hi);
    free(optimum->tied);
    free(optimum->binding);
    free(optimum->loss);
    free(optimum->draw_mixture);
    free(optimum);
}
