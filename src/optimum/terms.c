/* SPDX-License-Identifier: GPL-3.0-or-later */
/* terms.c - what is no bound: the largest of several losses, guards, and the distance to the
 * baseline, as terms of an augmented Lagrangian.
 *
 * A term is phi(z(h)), phi convex and z smooth: the largest of its parts, or 0 where all of them
 * lie in a convex set and infinite elsewhere. With multipliers y and a weight r it is replaced by
 *
 *     min_w  phi(w) + y.(z - w) + r/2 |z - w|^2
 *
 * which is smooth in z with the gradient next(y) = y + r (z - w). Taking next(y) for y again and
 * again is the method of multipliers (R. T. Rockafellar, "Augmented Lagrangians and applications of
 * the proximal point algorithm", Math. Oper. Res. 1 (1976) 97): they settle on those of the KKT
 * conditions, at any r above a threshold.
 *
 *     largest part   z_m = offset_m + unit_m L_m   next = projection of y + r z onto the simplex
 *     guard          z_m = L_m / baseline's - 1 (and a millionth: targets may be flat there);
 *                    of a score 1 - L_m / baseline's
 *                                                  next = max(0, y + r z)
 *     kl             z = KL(h, b) - radius         next = max(0, y + r z)
 *     tv             z_j = h_j - b_j, sum of the positive parts at most the radius: the positive
 *                    parts of y / r + z are cut down by a common amount t until they sum to the
 *                    radius, next_j = r min(part_j, t)
 *
 * (The shares of h and b sum to 1, so their total variation is the sum of the positive parts.)
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "optimum/search.h"

static const double TINY = 1e-300;

static double kl_distance(const struct mix_question *asked, size_t n, const double *h)
{
    double sum = 0.0;
    for (size_t j = 0; j < n; j++)
        if (h[j] > 0.0)
            sum += h[j] * log(h[j] / fmax(asked->baseline[j], TINY));
    return sum;
}

double mix_terms_distance(const struct mix_question *asked, size_t n_domains, const double *h)
{
    double sum = 0.0;
    if (asked->distance == MIX_DISTANCE_NONE)
        return -INFINITY;
    if (asked->distance == MIX_DISTANCE_KL)
        return kl_distance(asked, n_domains, h) - asked->radius;
    for (size_t j = 0; j < n_domains; j++)
        sum += fmax(0.0, h[j] - asked->baseline[j]);
    return sum - asked->radius;
}

static bool is_worst(enum mix_goal goal)
{
    return goal == MIX_GOAL_WORST || goal == MIX_GOAL_WORST_GAIN;
}

double mix_terms_ratio(const struct mix_search *s, size_t m, const double *loss)
{
    const double ratio = loss[m] / s->baseline_loss[m];
    return s->is_score[m] ? 2.0 - ratio : ratio;
}

static double part_of(const struct mix_search *s, size_t m, const double *loss)
{
    return s->offset[m] + s->unit[m] * loss[m];
}

double mix_terms_goal(const struct mix_search *s, const double *loss)
{
    double sum = 0.0, largest = -INFINITY;
    for (size_t m = 0; m < s->n_targets; m++) {
        if (s->weight[m] == 0.0)
            continue;
        sum += s->weight[m] * s->unit[m] * loss[m] + s->weight[m] * s->offset[m];
        largest = fmax(largest, part_of(s, m, loss));
    }
    return is_worst(s->asked.goal) ? largest : sum;
}

static int descending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* The cut t for which what n parts have above it sums to `above`; the parts are sorted in place. */
static double cut_of(size_t n, double *part, double above)
{
    double sum = 0.0, cut = -INFINITY;
    qsort(part, n, sizeof *part, descending);
    for (size_t i = 0; i < n && part[i] > cut; i++) {
        sum += part[i];
        cut = (sum - above) / (double)(i + 1);
    }
    return cut;
}

/* The goal: search->part (M) becomes its derivative by each loss. */
static double add_goal(struct mix_search *s)
{
    double *pull = s->part, *next = s->next, *sorted = s->part + s->n_targets, value = 0.0;
    const double rate = s->penalty / s->size;
    size_t n = 0;
    for (size_t m = 0; m < s->n_targets; m++)
        pull[m] = s->weight[m] * s->unit[m];
    if (!is_worst(s->asked.goal)) {
        for (size_t m = 0; m < s->n_targets; m++)
            value += pull[m] * s->loss[m] + s->weight[m] * s->offset[m];
        return value;
    }
    for (size_t m = 0; m < s->n_targets; m++) {
        next[m] = s->multiplier[m] + (rate * s->unit[m] * s->loss[m] + rate * s->offset[m]);
        if (s->weight[m] > 0.0)
            sorted[n++] = next[m];
    }
    const double cut = cut_of(n, sorted, 1.0);
    for (size_t m = 0; m < s->n_targets; m++) {
        next[m] = s->weight[m] > 0.0 ? fmax(0.0, next[m] - cut) : 0.0;
        const double change = next[m] - s->multiplier[m];
        value += next[m] * s->unit[m] * s->loss[m] + next[m] * s->offset[m] -
                 0.5 * change * change / rate;
        pull[m] = next[m] * s->unit[m];
    }
    return value;
}

static double add_guards(struct mix_search *s)
{
    const double rate = s->penalty * s->size;
    double value = 0.0;
    for (size_t m = 0; m < s->n_targets; m++) {
        const double before = s->multiplier[s->n_targets + m];
        double *next = &s->next[s->n_targets + m];
        if (!s->asked.guard[m])
            continue;
        *next = fmax(0.0, before + rate * (mix_terms_ratio(s, m, s->loss) - MIX_NO_WORSE));
        value += 0.5 * (*next * *next - before * before) / rate;
        s->part[m] += (s->is_score[m] ? -*next : *next) / s->baseline_loss[m];
    }
    return value;
}

static double add_kl(struct mix_search *s, const double *h, double *gradient)
{
    const double rate = s->penalty * s->size, before = s->multiplier[2 * s->n_targets];
    double *next = &s->next[2 * s->n_targets];
    *next = fmax(0.0, before + rate * mix_terms_distance(&s->asked, s->n_domains, h));
    for (size_t j = 0; j<s->n_domains && * next> 0.0; j++)
        gradient[j] += *next * (log(fmax(h[j], TINY) / fmax(s->asked.baseline[j], TINY)) + 1.0);
    return 0.5 * (*next * *next - before * before) / rate;
}

static double add_tv(struct mix_search *s, const double *h, double *gradient)
{
    const double rate = s->penalty * s->size;
    const double *before = s->multiplier + 2 * s->n_targets;
    double *next = s->next + 2 * s->n_targets, *part = s->part + s->n_targets, value = 0.0;
    for (size_t j = 0; j < s->n_domains; j++)
        part[j] = next[j] = h[j] - s->asked.baseline[j] + before[j] / rate;
    const double cut = fmax(0.0, cut_of(s->n_domains, part, s->asked.radius));
    for (size_t j = 0; j < s->n_domains; j++) {
        next[j] = rate * fmax(0.0, fmin(next[j], cut));
        value += 0.5 * (next[j] * next[j] - before[j] * before[j]) / rate;
        gradient[j] += next[j];
    }
    return value;
}

void mix_terms_add(struct mix_search *s, const double *h, double *value, double *gradient)
{
    *value += add_goal(s);
    if (s->asked.guard != NULL)
        *value += add_guards(s);
    for (size_t m = 0; m < s->n_targets; m++)
        for (size_t j = 0; j < s->n_domains && s->part[m] != 0.0; j++)
            gradient[j] += s->part[m] * s->slope[m * s->n_domains + j];
    if (s->asked.distance == MIX_DISTANCE_TV)
        *value += add_tv(s, h, gradient);
    else if (s->asked.distance == MIX_DISTANCE_KL)
        *value += add_kl(s, h, gradient);
}

double mix_terms_residual(const struct mix_search *s)
{
    double largest = 0.0;
    for (size_t i = 0; i < s->n_multipliers; i++) {
        const double unit = i < s->n_targets ? 1.0 : s->size;
        largest = fmax(largest, fabs(s->next[i] - s->multiplier[i]) / unit);
    }
    return largest / s->penalty;
}
