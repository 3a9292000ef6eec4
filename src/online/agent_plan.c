/* SPDX-License-Identifier: GPL-3.0-or-later */
/* agent_plan.c - mixtures of trajectories worth learning from.
 *
 * Most are scored by prefix: a trajectory has constraints (a schedule of the
 * target mass, a tilt of the topics within each field, a longest move), and
 * each next mixture is drawn among candidates by how well it keeps to them,
 * given the mixtures before it, and by how far it is from what the plan already
 * has at such a time. The others make sure that what the agent is compared with
 * lies among what it has seen. */
#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "online/agent_data.h"

enum { CANDIDATES = 64 };
enum shape { LINEAR, COSINE, JUMP, CONSTANT, SAW, SHAPES };
static const double PI = 3.14159265358979323846;
static const double COVER = 1.0; /* a distance beyond which further is no better */

/* The trajectory under way. */
struct plan {
    const struct mix_agent_space *space;
    const double *natural; /* (D) each field sums to 1 */
    double *all;           /* (n,T,D) */
    size_t index;
    gsl_rng *rng;
    /* constraints */
    enum shape shape;
    double start, end; /* target mass */
    size_t jump;
    double most;                 /* L1 that a mixture may move in one decision */
    double floor;                /* of a share */
    double tilt[MIX_GROUPS_MAX]; /* (D) each field sums to 1 */
    /* scratch */
    double candidate[CANDIDATES][MIX_GROUPS_MAX], score[CANDIDATES];
};

static double uniform(gsl_rng *rng, double low, double high)
{
    return low + (high - low) * gsl_rng_uniform(rng);
}

/* Shares of the source slots and those of the target slots, scaled to their
 * masses. */
static void join(const struct mix_agent_space *space, const double *shares, double target,
                 double *out)
{
    for (size_t i = 0; i < space->n_slots; i++)
        out[i] = shares[i] * (i < space->n_source ? 1.0 - target : target);
}

static double target_mass(const struct mix_agent_space *space, const double *mixture)
{
    double mass = 0.0;
    for (size_t i = space->n_source; i < space->n_slots; i++)
        mass += mixture[i];
    return mass;
}

static double distance(size_t d, const double *a, const double *b, double enough)
{
    double sum = 0.0;
    for (size_t i = 0; i < d && sum < enough; i += 8)
        for (size_t k = i; k < d && k < i + 8; k++)
            sum += fabs(a[k] - b[k]);
    return sum;
}

/* Draw the shares of a field: Dirichlet(strength natural), none of them 0. */
static void draw_tilt(const struct plan *p, size_t from, size_t to, double strength, double *out)
{
    const size_t n = to - from;
    double alpha[MIX_GROUPS_MAX];
    for (size_t i = 0; i < n; i++)
        alpha[i] = strength * p->natural[from + i];
    gsl_ran_dirichlet(p->rng, n, alpha, out + from);
    for (size_t i = from; i < to; i++)
        out[i] = 0.999 * out[i] + 0.001 / (double)n;
}

static void draw_constraints(struct plan *p)
{
    static const double moves[] = {0.05, 0.1, 0.2, 0.4, 2.0};
    const size_t d = p->space->n_slots, n_source = p->space->n_source;
    p->start = uniform(p->rng, 0.05, 0.6);
    p->end = uniform(p->rng, 0.2, 1.0);
    p->shape = (enum shape)gsl_rng_uniform_int(p->rng, SHAPES);
    p->jump = gsl_rng_uniform_int(p->rng, p->space->n_decisions);
    p->most = moves[gsl_rng_uniform_int(p->rng, sizeof moves / sizeof moves[0])];
    p->floor = gsl_rng_uniform_int(p->rng, 2) == 0 ? 0.0 : 0.06 / (double)d;
    const double strength = exp(uniform(p->rng, log(2.0), log(200.0)));
    draw_tilt(p, 0, n_source, strength, p->tilt);
    draw_tilt(p, n_source, d, strength, p->tilt);
}

static double scheduled(const struct plan *p, size_t t)
{
    const size_t last = p->space->n_decisions - 1;
    const double done = last > 0 ? (double)t / (double)last : 0.0;
    double part = 0.0;
    switch (p->shape) {
    case LINEAR:
        part = done;
        break;
    case COSINE:
        part = 0.5 - 0.5 * cos(PI * done);
        break;
    case JUMP:
        part = t >= p->jump ? 1.0 : 0.0;
        break;
    case SAW: /* four teeth */
        part = fmod(4.0 * done, 1.0);
        break;
    default:
        break;
    }
    return p->start + part * (p->end - p->start);
}

/* KL of the shares within a field from its tilt; 0 where the field has no mass.
 */
static double field_divergence(const double *shares, const double *tilt, size_t n)
{
    double mass = 0.0, sum = 0.0;
    for (size_t i = 0; i < n; i++)
        mass += shares[i];
    for (size_t i = 0; mass > 1e-9 && i < n; i++)
        if (shares[i] > 0.0)
            sum += shares[i] / mass * log(shares[i] / mass / tilt[i]);
    return sum;
}

/* How far a mixture is from the nearest that the plan has at such a time. */
static double novelty(const struct plan *p, size_t t, const double *mixture)
{
    const size_t d = p->space->n_slots, n_decisions = p->space->n_decisions;
    const size_t near = n_decisions / 16;
    const size_t first = t > near ? t - near : 0;
    const size_t last = t + near < n_decisions ? t + near : n_decisions - 1;
    double least = COVER;
    for (size_t i = 0; i < p->index; i++)
        for (size_t s = first; s <= last; s++) {
            const double *other = p->all + (i * n_decisions + s) * d;
            least = fmin(least, distance(d, mixture, other, least));
        }
    return least;
}

/* A candidate: part of the way from the last mixture to a draw about schedule
 * and tilt. */
static void draw_candidate(const struct plan *p, double target, const double *last, double *out)
{
    const size_t d = p->space->n_slots;
    double alpha[MIX_GROUPS_MAX], drawn[MIX_GROUPS_MAX];
    join(p->space, p->tilt, fmin(fmax(target, 0.01), 0.99), alpha);
    for (size_t i = 0; i < d; i++)
        alpha[i] *= (double)d;
    gsl_ran_dirichlet(p->rng, d, alpha, drawn);
    const double part = gsl_rng_uniform(p->rng);
    for (size_t i = 0; i < d; i++)
        out[i] =
            ((1.0 - part) * last[i] + part * drawn[i]) * (1.0 - p->floor * (double)d) + p->floor;
}

static double score(const struct plan *p, size_t t, double target, const double *last,
                    const double *mixture)
{
    const size_t d = p->space->n_slots, n_source = p->space->n_source;
    const double move = distance(d, mixture, last, INFINITY);
    return -4.0 * fabs(target_mass(p->space, mixture) - target) - 4.0 * fmax(0.0, move - p->most) -
           0.5 * field_divergence(mixture, p->tilt, n_source) -
           0.5 * field_divergence(mixture + n_source, p->tilt + n_source, d - n_source) +
           0.5 * novelty(p, t, mixture);
}

/* One of the candidates, by softmax(score / 0.25). */
static size_t choose(struct plan *p)
{
    double share[CANDIDATES];
    for (size_t c = 0; c < CANDIDATES; c++)
        p->score[c] /= 0.25;
    mix_softmax(CANDIDATES, p->score, share);
    double left = gsl_rng_uniform(p->rng);
    size_t chosen = 0;
    while (chosen + 1 < CANDIDATES && left >= share[chosen])
        left -= share[chosen++];
    return chosen;
}

static void plan_scored(struct plan *p, double *out)
{
    const size_t d = p->space->n_slots;
    double begin[MIX_GROUPS_MAX] = {0};
    join(p->space, p->natural, 0.0, begin); /* what the base model was trained on */
    const double *last = begin;
    draw_constraints(p);
    for (size_t t = 0; t < p->space->n_decisions; t++, last = out, out += d) {
        const double target = scheduled(p, t);
        for (size_t c = 0; c < CANDIDATES; c++) {
            draw_candidate(p, target, last, p->candidate[c]);
            p->score[c] = score(p, t, target, last, p->candidate[c]);
        }
        memcpy(out, p->candidate[choose(p)], d * sizeof *out);
    }
}

/* One mixture for all decisions, or anew for each. */
static void plan_simple(struct plan *p, enum mix_agent_stratum stratum, double *out)
{
    const size_t d = p->space->n_slots;
    double ones[MIX_GROUPS_MAX];
    for (size_t i = 0; i < d; i++)
        ones[i] = 1.0;
    for (size_t t = 0; t < p->space->n_decisions; t++, out += d) {
        if (t > 0 && stratum != MIX_AGENT_RANDOM) {
            memcpy(out, out - d, d * sizeof *out);
        } else if (stratum == MIX_AGENT_FIELD) {
            join(p->space, p->natural, uniform(p->rng, 0.1, 0.9), out);
        } else if (stratum == MIX_AGENT_TARGET) {
            double tilt[MIX_GROUPS_MAX] = {0};
            draw_tilt(p, p->space->n_source, d, (double)d, tilt);
            join(p->space, tilt, 1.0, out);
        } else {
            gsl_ran_dirichlet(p->rng, d, ones, out);
        }
    }
}

/* Of twenty: two static, two field ratios, one target only, one random,
 * fourteen scored. */
static enum mix_agent_stratum stratum_of(size_t index)
{
    switch (index % 20) {
    case 3:
    case 13:
        return MIX_AGENT_STATIC;
    case 6:
    case 16:
        return MIX_AGENT_FIELD;
    case 8:
        return MIX_AGENT_TARGET;
    case 19:
        return MIX_AGENT_RANDOM;
    default:
        return MIX_AGENT_SCORED;
    }
}

/* Natural shares, scaled so that each field sums to 1. */
static enum mix_status scale_natural(const struct mix_agent_space *space, const double *natural,
                                     double *out, struct mix_error *err)
{
    double source = 0.0, target = 0.0;
    for (size_t i = 0; i < space->n_slots; i++) {
        if (!(natural[i] > 0.0 && natural[i] <= 1e300))
            return mix_fail(err, MIX_EINVAL,
                            "agent: the natural share of slot %zu is %g; it must be positive",
                            i + 1, natural[i]);
        *(i < space->n_source ? &source : &target) += natural[i];
    }
    for (size_t i = 0; i < space->n_slots; i++)
        out[i] = natural[i] / (i < space->n_source ? source : target);
    return MIX_OK;
}

enum mix_status mix_agent_plan(const struct mix_agent_space *space, const double *natural, size_t n,
                               uint64_t seed, double *plan, int32_t *stratum, struct mix_error *err)
{
    double shares[MIX_GROUPS_MAX] = {0};
    enum mix_status status = agent_space_check(space, err);
    if (status == MIX_OK)
        status = scale_natural(space, natural, shares, err);
    if (status != MIX_OK)
        return status;
    struct plan p = {.space = space, .natural = shares, .all = plan};
    p.rng = mix_rng_create((struct mix_key){0, 0});
    if (p.rng == NULL)
        return mix_fail(err, MIX_ENOMEM, "agent: out of memory for a plan");
    for (p.index = 0; p.index < n; p.index++) {
        const uint64_t what = p.index;
        double *out = plan + p.index * space->n_decisions * space->n_slots;
        mix_rng_rekey(p.rng, mix_key_make(seed, "agent plan", &what, sizeof what));
        stratum[p.index] = (int32_t)stratum_of(p.index);
        if (stratum[p.index] == MIX_AGENT_SCORED)
            plan_scored(&p, out);
        else
            plan_simple(&p, stratum_of(p.index), out);
    }
    gsl_rng_free(p.rng);
    return MIX_OK;
}
