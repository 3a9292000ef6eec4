/* SPDX-License-Identifier: GPL-3.0-or-later */
/* search.c - the objective of one set of parameters, and its search from many starts. */
#include "optimum/search.h"

#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TURNS = 4 };                      /* times every domain may be turned around */
static const double SAME_VALUE = 1e-7;   /* relative: a start reached the best valley */
static const double STARVED = 0.1;       /* of an even share */
static const double SAME_MIXTURE = 1e-4; /* largest share difference within one valley */
static const double CORNER = 0.8;        /* share of the one domain in a corner start */

enum mix_status mix_search_create(const struct mix_fit *fit,
                                  const struct mix_optimum_options *options, const double *weight,
                                  const double *lower, const double *upper, struct mix_search **out,
                                  struct mix_error *err)
{
    const size_t n_domains = fit->spec.n_domains, n_targets = fit->spec.n_targets;
    struct mix_search *search = calloc(1, sizeof *search);
    if (search == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for the search of the optimum");
    *search = (struct mix_search){.n_domains = n_domains,
                                  .n_targets = n_targets,
                                  .params = fit->params,
                                  .n_params = options->n_params / 1e6,
                                  .n_tokens = options->n_tokens / 1e9,
                                  .lower = lower,
                                  .upper = upper};
    search->minimiser = mix_minimiser_create(n_domains);
    search->weight = malloc(n_targets * sizeof *search->weight);
    search->loss = malloc(n_targets * sizeof *search->loss);
    search->slope = malloc(n_targets * n_domains * sizeof *search->slope);
    enum mix_status status = MIX_OK;
    if (search->minimiser == NULL || search->weight == NULL || search->loss == NULL ||
        search->slope == NULL)
        status = mix_fail(err, MIX_ENOMEM, "out of memory for the search of the optimum");
    if (status == MIX_OK)
        status = mix_fit_model(fit, &search->model, err);
    if (status != MIX_OK) {
        mix_search_destroy(search);
        return status;
    }
    double sum = 0.0;
    for (size_t m = 0; m < n_targets; m++)
        sum += weight[m];
    for (size_t m = 0; m < n_targets; m++)
        search->weight[m] = weight[m] / sum;
    *out = search;
    return MIX_OK;
}

void mix_search_destroy(struct mix_search *search)
{
    if (search == NULL)
        return;
    mix_minimiser_destroy(search->minimiser);
    mix_model_destroy(search->model);
    free(search->weight);
    free(search->loss);
    free(search->slope);
    free(search);
}

enum mix_status mix_search_value(struct mix_search *search, const double *h, double *value,
                                 double *loss, struct mix_error *err)
{
    const enum mix_status status =
        mix_model_predict(search->model, search->params, 1, h, &search->n_params, &search->n_tokens,
                          search->loss, err);
    if (status != MIX_OK)
        return status;
    *value = 0.0;
    for (size_t m = 0; m < search->n_targets; m++)
        *value += search->weight[m] * search->loss[m];
    if (loss != NULL)
        memcpy(loss, search->loss, search->n_targets * sizeof *loss);
    return MIX_OK;
}

static enum mix_status objective(void *context, const double *h, double *value, double *gradient,
                                 struct mix_error *err)
{
    struct mix_search *search = context;
    const size_t n_domains = search->n_domains;
    const enum mix_status status =
        mix_model_gradient(search->model, search->params, h, search->n_params, search->n_tokens,
                           search->loss, search->slope, err);
    if (status != MIX_OK)
        return status;
    *value = 0.0;
    memset(gradient, 0, n_domains * sizeof *gradient);
    for (size_t m = 0; m < search->n_targets; m++) {
        *value += search->weight[m] * search->loss[m];
        for (size_t j = 0; j < n_domains; j++)
            gradient[j] += search->weight[m] * search->slope[m * n_domains + j];
    }
    for (size_t j = 0; j < n_domains && search->anchor != NULL; j++) {
        const double away = h[j] - search->anchor[j];
        *value += 0.5 * search->rho * away * away;
        gradient[j] += search->rho * away;
    }
    return MIX_OK;
}

enum mix_status mix_search_descend(struct mix_search *search, double *h,
                                   struct mix_minimum *minimum, struct mix_error *err)
{
    const struct mix_problem problem = {.n = search->n_domains,
                                        .lower = search->lower,
                                        .upper = search->upper,
                                        .objective = objective,
                                        .context = search};
    return mix_minimise(search->minimiser, &problem, h, minimum, err);
}

static bool is_known(size_t n, const double *mixture)
{
    for (size_t j = 0; j < n; j++)
        if (!isfinite(mixture[j]))
            return false;
    return true;
}

/* Start number `start`: the given mixtures, the centre, the corners, then chance. */
static bool set_start(size_t n, size_t n_given, const double *given, size_t start, gsl_rng *rng,
                      double *ones, double *h)
{
    if (start < n_given) {
        memcpy(h, given + start * n, n * sizeof *h);
        return is_known(n, h);
    }
    for (size_t j = 0; j < n; j++) {
        ones[j] = 1.0;
        h[j] = 1.0 / (double)n;
    }
    const size_t other = start - n_given;
    if (other >= 1 && other <= n) {
        for (size_t j = 0; j < n; j++)
            h[j] *= 1.0 - CORNER;
        h[other - 1] += CORNER;
    } else if (other > n) {
        gsl_ran_dirichlet(rng, n, ones, h);
    }
    return true;
}

static double largest_difference(size_t n, const double *a, const double *b)
{
    double largest = 0.0;
    for (size_t j = 0; j < n; j++)
        largest = fmax(largest, fabs(a[j] - b[j]));
    return largest;
}

/* The bottoms reached, by value: `order` sorts them. */
struct bottoms {
    size_t n, n_domains;
    struct mix_minimum *minimum; /* (n) */
    double *h;                   /* (n,K) */
    size_t *order;               /* (n) */
};

static void sort_bottoms(struct bottoms *b)
{
    for (size_t i = 0; i < b->n;
         i++) { /* by insertion: dozens, and equal values keep their order */
        size_t place = i;
        for (; place > 0 && b->minimum[i].value < b->minimum[b->order[place - 1]].value; place--)
            b->order[place] = b->order[place - 1];
        b->order[place] = i;
    }
}

static double same_value(double value)
{
    return SAME_VALUE * fmax(fabs(value), 1e-3);
}

static void keep_valleys(const struct bottoms *b, struct mix_valleys *out)
{
    const size_t n = b->n_domains;
    out->best = b->minimum[b->order[0]];
    const double same = same_value(out->best.value);
    out->n = out->n_at_best = 0;
    for (size_t i = 0; i < b->n; i++) {
        const double *h = b->h + b->order[i] * n;
        out->n_at_best += b->minimum[b->order[i]].value <= out->best.value + same;
        bool is_new = out->n < MIX_WARM_MAX;
        for (size_t v = 0; v < out->n && is_new; v++)
            is_new = largest_difference(n, h, out->bottom + v * n) > SAME_MIXTURE;
        if (is_new)
            memcpy(out->bottom + n * out->n++, h, n * sizeof *h);
    }
}

/* Descend from every start. A start without a finite value is no start; none at all is an error. */
static enum mix_status descend_all(struct mix_search *search, size_t n_given, const double *given,
                                   size_t n_starts, gsl_rng *rng, double *ones, struct bottoms *b,
                                   struct mix_error *err)
{
    const size_t n = search->n_domains;
    enum mix_status status = MIX_OK;
    for (size_t start = 0; start < n_starts; start++) {
        double *h = b->h + b->n * n;
        if (!set_start(n, n_given, given, start, rng, ones, h))
            continue;
        status = mix_search_descend(search, h, &b->minimum[b->n], err);
        if (status == MIX_OK)
            b->n++;
        else if (status != MIX_ENUMERIC)
            return status;
    }
    return b->n > 0 ? MIX_OK : status;
}

/* Start next to the valley `h` with another share of domain j. */
static void move_domain(size_t n, size_t j, double share, const double *h, double *moved)
{
    for (size_t i = 0; i < n; i++)
        moved[i] = i == j ? share : h[i] * (1.0 - share) / fmax(1.0 - h[j], 1e-3);
}

/* Which domains get capacity above H is a choice with a valley for each answer. So from the lowest
 * valley (into `here`, the last of b) each domain in turn is left out, starved and fed, until that
 * helps with none. */
static enum mix_status turn_domains(struct mix_search *search, struct bottoms *b, double *moved,
                                    struct mix_error *err)
{
    const size_t n = b->n_domains;
    double *here = b->h + b->n * n;
    struct mix_minimum lowest = b->minimum[b->order[0]];
    memcpy(here, b->h + b->order[0] * n, n * sizeof *here);
    size_t n_tried = 0, n_helped = 0, j = 0;
    for (size_t move = 0; n_tried < 3 * n && n_helped < TURNS * n; move++, n_tried++) {
        if (move > 0 && move % 3 == 0)
            j = j + 1 < n ? j + 1 : 0;
        const double shares[3] = {search->lower[j], STARVED / (double)n, 1.0 / (double)n};
        struct mix_minimum minimum;
        move_domain(n, j, shares[move % 3], here, moved);
        const enum mix_status status = mix_search_descend(search, moved, &minimum, err);
        if (status != MIX_OK && status != MIX_ENUMERIC)
            return status;
        if (status != MIX_OK || !(minimum.value < lowest.value - same_value(lowest.value)))
            continue;
        lowest = minimum;
        memcpy(here, moved, n * sizeof *here);
        n_tried = 0;
        n_helped++;
    }
    if (n_helped > 0)
        b->minimum[b->n++] = lowest;
    return MIX_OK;
}

enum mix_status mix_search_valleys(struct mix_search *search, size_t n_given, const double *given,
                                   size_t n_starts, uint64_t seed, struct mix_valleys *out,
                                   struct mix_error *err)
{
    const size_t n = search->n_domains;
    n_starts = n_starts > n_given + 1 ? n_starts : n_given + 1;
    gsl_rng *rng = mix_rng_create(mix_key_make(seed, "optimum", NULL, 0));
    struct bottoms b = {.n_domains = n};
    b.minimum = malloc((n_starts + 1) * sizeof *b.minimum);
    b.order = calloc(n_starts + 1, sizeof *b.order);
    b.h = malloc((n_starts + 2) * n * sizeof *b.h);
    enum mix_status status = MIX_OK;
    if (rng == NULL || b.minimum == NULL || b.order == NULL || b.h == NULL)
        status = mix_fail(err, MIX_ENOMEM, "out of memory for %zu starts of the optimum", n_starts);
    if (status == MIX_OK)
        status =
            descend_all(search, n_given, given, n_starts, rng, b.h + (n_starts + 1) * n, &b, err);
    if (status == MIX_OK) {
        out->n_starts = b.n;
        sort_bottoms(&b);
        status = turn_domains(search, &b, b.h + (n_starts + 1) * n, err);
    }
    if (status == MIX_OK) {
        sort_bottoms(&b);
        keep_valleys(&b, out);
    }
    if (rng != NULL)
        gsl_rng_free(rng);
    free(b.minimum);
    free(b.order);
    free(b.h);
    return status;
}
