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

/* Of the method of multipliers; all relative to the scale of the losses. */
enum { ROUNDS = 40 };
static const double PENALTY = 30.0, PENALTY_MAX = 1e6, GROWTH = 4.0;
static const double SLOW = 0.2;      /* a residual that falls less calls for a larger penalty */
static const double NEARLY = 1e-6;   /* residual from which on descents are exact */
static const double SETTLED = 1e-10; /* residual */
static const double EXACT = 1e-12;   /* KKT residual of a descent */

static bool is_relative(const struct mix_search *s)
{
    return s->asked.goal == MIX_GOAL_MEAN_GAIN || s->asked.goal == MIX_GOAL_WORST_GAIN;
}

static enum mix_status make_memory(struct mix_search *s, struct mix_error *err)
{
    const size_t n_domains = s->n_domains, n_targets = s->n_targets;
    s->n_multipliers = 2 * n_targets + n_domains;
    s->minimiser = mix_minimiser_create(n_domains);
    s->weight = malloc(n_targets * sizeof *s->weight);
    s->loss = malloc(n_targets * sizeof *s->loss);
    s->slope = malloc((n_targets + 1) * n_domains * sizeof *s->slope);
    s->baseline_loss = malloc(n_targets * sizeof *s->baseline_loss);
    s->unit = malloc(n_targets * sizeof *s->unit);
    s->offset = calloc(n_targets, sizeof *s->offset);
    s->is_score = calloc(n_targets, sizeof *s->is_score);
    s->start = calloc(s->n_multipliers, sizeof *s->start);
    s->multiplier = calloc(s->n_multipliers, sizeof *s->multiplier);
    s->next = calloc(s->n_multipliers, sizeof *s->next);
    s->part = calloc(2 * n_targets + n_domains, sizeof *s->part);
    if (s->minimiser == NULL || s->weight == NULL || s->loss == NULL || s->slope == NULL ||
        s->baseline_loss == NULL || s->unit == NULL || s->start == NULL || s->multiplier == NULL ||
        s->next == NULL || s->part == NULL || s->offset == NULL || s->is_score == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for the search of the optimum");
    return MIX_OK;
}

static void set_supply(struct mix_search *search, const double *tokens)
{
    double supply[MIX_DOMAINS_MAX];
    for (size_t j = 0; j < search->n_domains; j++)
        supply[j] = tokens[j] / 1e9;
    mix_model_set_supply(search->model, supply);
}

enum mix_status mix_search_create(const struct mix_fit *fit, const struct mix_question *question,
                                  struct mix_search **out, struct mix_error *err)
{
    struct mix_search *search = calloc(1, sizeof *search);
    if (search == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for the search of the optimum");
    *search = (struct mix_search){.n_domains = fit->spec.n_domains,
                                  .n_targets = fit->spec.n_targets,
                                  .n_params = question->n_params / 1e6,
                                  .n_tokens = question->n_tokens / 1e9,
                                  .asked = *question};
    double sum = 0.0;
    enum mix_status status = make_memory(search, err);
    if (status == MIX_OK)
        status = mix_fit_model(fit, &search->model, err);
    if (status == MIX_OK && question->supply != NULL)
        set_supply(search, question->supply);
    for (size_t m = 0; m < search->n_targets && status == MIX_OK; m++)
        sum += question->weight[m];
    for (size_t m = 0; m < search->n_targets && status == MIX_OK; m++) {
        search->weight[m] = question->weight[m] / sum;
        search->is_score[m] = fit->link[m] != 0;
    }
    for (size_t m = 0; question->guard != NULL && m < search->n_targets; m++)
        search->has_terms = search->has_terms || question->guard[m] != 0;
    if (!search->has_terms)
        search->asked.guard = NULL;
    search->has_terms = search->has_terms || question->distance != MIX_DISTANCE_NONE ||
                        question->goal == MIX_GOAL_WORST || question->goal == MIX_GOAL_WORST_GAIN;
    if (status == MIX_OK)
        status = mix_search_aim(search, fit->params, err);
    if (status == MIX_OK)
        *out = search;
    else
        mix_search_destroy(search);
    return status;
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
    free(search->baseline_loss);
    free(search->unit);
    free(search->offset);
    free(search->is_score);
    free(search->start);
    free(search->multiplier);
    free(search->next);
    free(search->part);
    free(search);
}

/* Where a loss is compared with the baseline's, that has to be a positive number. */
static enum mix_status check_baseline_loss(const struct mix_search *s, struct mix_error *err)
{
    for (size_t m = 0; m < s->n_targets; m++) {
        const bool counts =
            (is_relative(s) && s->weight[m] > 0.0) || (s->asked.guard != NULL && s->asked.guard[m]);
        if (counts && !(s->baseline_loss[m] > 0.0 && isfinite(s->baseline_loss[m])))
            return mix_fail(err, MIX_EINVAL,
                            "the predicted loss of the baseline on target %zu is %g: nothing can "
                            "be relative to it",
                            m + 1, s->baseline_loss[m]);
    }
    return MIX_OK;
}

enum mix_status mix_search_aim(struct mix_search *s, const double *params, struct mix_error *err)
{
    s->params = params;
    s->size = 1.0;
    for (size_t m = 0; m < s->n_targets; m++) {
        s->unit[m] = s->is_score[m] ? -1.0 : 1.0;
        s->offset[m] = 0.0;
        s->baseline_loss[m] = NAN;
    }
    if (!s->has_terms && !is_relative(s))
        return MIX_OK;
    enum mix_status status = mix_model_predict(s->model, params, 1, s->asked.baseline, &s->n_params,
                                               &s->n_tokens, s->baseline_loss, err);
    if (status == MIX_OK)
        status = check_baseline_loss(s, err);
    if (status != MIX_OK)
        return status;
    for (size_t m = 0; m < s->n_targets && is_relative(s); m++) {
        s->unit[m] *= s->weight[m] > 0.0 ? 1.0 / s->baseline_loss[m] : 1.0;
        s->offset[m] = s->is_score[m] ? 2.0 : 0.0;
    }
    s->size = fabs(mix_terms_goal(s, s->baseline_loss));
    if (!(s->size > 0.0 && isfinite(s->size)))
        s->size = 1.0;
    return MIX_OK;
}

static enum mix_status predict(struct mix_search *search, const double *h, struct mix_error *err)
{
    return mix_model_predict(search->model, search->params, 1, h, &search->n_params,
                             &search->n_tokens, search->loss, err);
}

enum mix_status mix_search_value(struct mix_search *search, const double *h, double *value,
                                 double *loss, struct mix_error *err)
{
    const enum mix_status status = predict(search, h, err);
    if (status != MIX_OK)
        return status;
    *value = mix_terms_goal(search, search->loss);
    if (loss != NULL)
        memcpy(loss, search->loss, search->n_targets * sizeof *loss);
    return MIX_OK;
}

double mix_search_excess(struct mix_search *search, const double *h)
{
    double excess = mix_terms_distance(&search->asked, search->n_domains, h);
    if (search->asked.guard == NULL)
        return excess;
    if (predict(search, h, NULL) != MIX_OK)
        return INFINITY;
    for (size_t m = 0; m < search->n_targets; m++)
        if (search->asked.guard[m])
            excess = fmax(excess, mix_terms_ratio(search, m, search->loss) - MIX_NO_WORSE);
    return isnan(excess) ? INFINITY : excess;
}

bool mix_search_keeps(struct mix_search *search, const double *h)
{
    return mix_search_excess(search, h) <= MIX_KEEPS;
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
    mix_terms_add(search, h, value, gradient);
    for (size_t j = 0; j < n_domains && search->anchor != NULL; j++) {
        const double away = h[j] - search->anchor[j];
        *value += 0.5 * search->rho * away * away;
        gradient[j] += search->rho * away;
    }
    return MIX_OK;
}

static enum mix_status descend_once(struct mix_search *search, double *h, double enough,
                                    struct mix_minimum *minimum, struct mix_error *err)
{
    const struct mix_problem problem = {.n = search->n_domains,
                                        .lower = search->asked.lower,
                                        .upper = search->asked.upper,
                                        .objective = objective,
                                        .context = search,
                                        .enough = enough};
    return mix_minimise(search->minimiser, &problem, h, minimum, err);
}

/* The multipliers that belong to h: its gradient is needed for them, its value is not. */
static enum mix_status renew_multipliers(struct mix_search *s, const double *h,
                                         struct mix_error *err)
{
    double value = 0.0;
    double *gradient = s->slope + s->n_targets * s->n_domains; /* room behind the slopes */
    return objective(s, h, &value, gradient, err);
}

/* The method of multipliers; see terms.c. First steps need not be exact. */
static enum mix_status settle(struct mix_search *s, double *h, struct mix_minimum *minimum,
                              struct mix_error *err)
{
    double last = INFINITY, residual = INFINITY;
    bool rough = true, settled = false;
    memcpy(s->multiplier, s->start, s->n_multipliers * sizeof *s->start);
    s->penalty = PENALTY;
    for (int round = 0; round < ROUNDS && !settled; round++) {
        enum mix_status status =
            descend_once(s, h, rough ? INFINITY : EXACT * s->size, minimum, err);
        if (status == MIX_OK)
            status = renew_multipliers(s, h, err);
        if (status != MIX_OK)
            return status;
        residual = mix_terms_residual(s);
        memcpy(s->multiplier, s->next, s->n_multipliers * sizeof *s->next);
        settled = !rough && (residual <= SETTLED || s->penalty >= PENALTY_MAX);
        rough = rough && residual > NEARLY && s->penalty < PENALTY_MAX;
        if (residual > SLOW * last && s->penalty < PENALTY_MAX)
            s->penalty *= GROWTH;
        last = residual;
    }
    minimum->kkt = fmax(minimum->kkt, residual * s->size);
    return MIX_OK;
}

enum mix_status mix_search_descend(struct mix_search *search, double *h,
                                   struct mix_minimum *minimum, struct mix_error *err)
{
    if (!search->has_terms) {
        const enum mix_status plain = descend_once(search, h, 0.0, minimum, err);
        return plain == MIX_OK && search->anchor != NULL
                   ? mix_search_value(search, h, &minimum->value, NULL, err)
                   : plain;
    }
    enum mix_status status = settle(search, h, minimum, err);
    if (status == MIX_OK && !mix_search_keeps(search, h))
        status = mix_fail(err, MIX_ENUMERIC, "no mixture that keeps the constraints was found");
    if (status == MIX_OK)
        status = mix_search_value(search, h, &minimum->value, NULL, err);
    return status;
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
        const double shares[3] = {search->asked.lower[j], STARVED / (double)n, 1.0 / (double)n};
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
