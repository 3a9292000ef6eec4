/* SPDX-License-Identifier: GPL-3.0-or-later */
/* optimum_types.c - memory of optima; see optimum.h. */
#include "mixsweep/optimum.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* An empty array is one byte, so that NULL means out of memory. calloc() sees the overflow of n *
 * size. */
static void *zeros(size_t n, size_t size)
{
    return n > 0 && size > 0 ? calloc(n, size) : calloc(1, 1);
}

/* Every array of an optimum but those of the path: where its pointer is, of what, how often. */
struct member {
    size_t at, size;
    enum { PER_DOMAIN, PER_TARGET, PER_DRAW_AND_DOMAIN } count;
    bool unknown; /* doubles, NaN until they are set */
};

#define MEMBER(name, count, unknown)                                                               \
    {                                                                                              \
        offsetof(struct mix_optimum, name), sizeof *((struct mix_optimum *)0)->name, count,        \
            unknown                                                                                \
    }

static const struct member members[] = {
    MEMBER(domains, PER_DOMAIN, false),        MEMBER(targets, PER_TARGET, false),
    MEMBER(weight, PER_TARGET, false),         MEMBER(lower, PER_DOMAIN, false),
    MEMBER(upper, PER_DOMAIN, false),          MEMBER(prior, PER_DOMAIN, false),
    MEMBER(baseline, PER_DOMAIN, false),       MEMBER(seen_max, PER_DOMAIN, false),
    MEMBER(best_observed, PER_DOMAIN, false),  MEMBER(mixture, PER_DOMAIN, false),
    MEMBER(mixture_lo, PER_DOMAIN, false),     MEMBER(mixture_hi, PER_DOMAIN, false),
    MEMBER(tied, PER_DOMAIN, false),           MEMBER(binding, PER_DOMAIN, false),
    MEMBER(loss, PER_TARGET, false),           MEMBER(draw_mixture, PER_DRAW_AND_DOMAIN, false),
    MEMBER(supply, PER_DOMAIN, true),          MEMBER(limit, PER_DOMAIN, true),
    MEMBER(price, PER_DOMAIN, true),           MEMBER(guard, PER_TARGET, false),
    MEMBER(guard_price, PER_TARGET, true),     MEMBER(baseline_loss, PER_TARGET, true),
    MEMBER(lattice_mixture, PER_DOMAIN, true), MEMBER(supply_price, PER_DOMAIN, true),
    MEMBER(fresh_mixture, PER_DOMAIN, true),   MEMBER(mixture_wide_lo, PER_DOMAIN, true),
    MEMBER(mixture_wide_hi, PER_DOMAIN, true), MEMBER(mixture_bca_lo, PER_DOMAIN, true),
    MEMBER(mixture_bca_hi, PER_DOMAIN, true),  MEMBER(tied_lo, PER_DOMAIN, true),
    MEMBER(tied_hi, PER_DOMAIN, true),         MEMBER(loss_wide, PER_TARGET, true),
    MEMBER(loss_bca, PER_TARGET, true),
};
enum { MEMBERS = sizeof members / sizeof members[0] };

static void *get(const struct mix_optimum *o, const struct member *member)
{
    void *array;
    memcpy(&array, (const char *)o + member->at, sizeof array);
    return array;
}

static bool make(struct mix_optimum *o, const struct member *member)
{
    const size_t n = member->count == PER_TARGET ? o->n_targets : o->n_domains;
    void *array = member->count == PER_DRAW_AND_DOMAIN ? zeros(o->n_draws, n * member->size)
                                                       : zeros(n, member->size);
    memcpy((char *)o + member->at, &array, sizeof array);
    const size_t n_doubles = n * member->size / sizeof(double);
    for (size_t i = 0; member->unknown && array != NULL && i < n_doubles; i++)
        ((double *)array)[i] = NAN;
    return array != NULL;
}

struct mix_optimum *mix_optimum_create(size_t n_domains, size_t n_targets, size_t n_draws)
{
    struct mix_optimum *o = calloc(1, sizeof *o);
    if (o == NULL)
        return NULL;
    o->n_domains = n_domains;
    o->n_targets = n_targets;
    o->n_draws = n_draws;
    o->near_radius = o->near_price = o->gain_bias = o->lattice_value = NAN;
    o->seed_error = o->law_error = o->scale_error = o->fit_error = NAN;
    o->objective_bca = (struct mix_interval){NAN, NAN, NAN};
    for (size_t g = 0; g < MIX_GAINS; g++) {
        o->gain_wide[g] = o->gain_bca[g] = o->objective_bca;
        o->not_worse[g] = o->gain_error[g] = o->p_better_wide[g] = NAN;
    }
    o->r1 = o->fresh_expected = o->fresh_value = NAN;
    for (size_t i = 0; i < MEMBERS; i++) {
        if (members[i].count == PER_DRAW_AND_DOMAIN && n_draws == 0)
            continue;
        if (!make(o, &members[i])) {
            mix_optimum_destroy(o);
            return NULL;
        }
    }
    return o;
}

bool mix_optimum_add_path(struct mix_optimum *o, size_t n_path)
{
    o->n_path = n_path;
    o->path_n_params = zeros(n_path, sizeof *o->path_n_params);
    o->path_n_tokens = zeros(n_path, sizeof *o->path_n_tokens);
    o->path_value = zeros(n_path, sizeof *o->path_value);
    o->path_mixture = zeros(n_path, o->n_domains * sizeof *o->path_mixture);
    return o->path_n_params != NULL && o->path_n_tokens != NULL && o->path_value != NULL &&
           o->path_mixture != NULL;
}

void mix_optima_destroy(size_t n, struct mix_optimum **optima)
{
    for (size_t i = 0; optima != NULL && i < n; i++)
        mix_optimum_destroy(optima[i]);
    free(optima);
}

void mix_optimum_destroy(struct mix_optimum *optimum)
{
    if (optimum == NULL)
        return;
    for (size_t i = 0; i < MEMBERS; i++)
        free(get(optimum, &members[i]));
    free(optimum->path_n_params);
    free(optimum->path_n_tokens);
    free(optimum->path_value);
    free(optimum->path_mixture);
    free(optimum);
}
