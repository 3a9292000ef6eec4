/* SPDX-License-Identifier: GPL-3.0-or-later */
/* agent_baselines.c - what a data mixing agent is compared with; see mixsweep/agent_compare.h. */
#include <gsl/gsl_linalg.h>
#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/agent_compare.h"

/* ---- a run of decisions ---- */

static enum mix_status observe(struct mix_trainee *trainee, size_t at, struct mix_observation *seen,
                               struct mix_agent_steered *out, struct mix_poll *poll,
                               struct mix_error *err)
{
    const size_t d = trainee->n_groups;
    const double before_s = mix_clock_s();
    const enum mix_status status =
        trainee->kind->measure(trainee, MIX_MEASURE_LOSS, seen, poll, err);
    out->measure_s += mix_clock_s() - before_s;
    for (size_t i = 0; status == MIX_OK && i < d; i++) {
        if (!isfinite(seen->loss[i]))
            return mix_fail(err, MIX_ENUMERIC,
                            "the loss of slot %zu is %g after decision %zu: the run has diverged",
                            i + 1, seen->loss[i], at);
        out->feedback[at * d + i] = -seen->loss[i];
    }
    return status;
}

static enum mix_status decide(struct mix_trainee *trainee, size_t t, uint64_t steps,
                              mix_agent_act_fn act, void *context, struct mix_agent_steered *out,
                              struct mix_poll *poll, struct mix_error *err)
{
    double *mixture = out->mixture + t * trainee->n_groups;
    const struct mix_segment segment = {.n_steps = steps, .mixture = mixture};
    const double before_s = mix_clock_s();
    act(context, t, out->mixture, out->feedback, mixture);
    const double between_s = mix_clock_s();
    out->act_s += between_s - before_s;
    const enum mix_status status = trainee->kind->train(trainee, &segment, poll, err);
    out->train_s += mix_clock_s() - between_s;
    return status;
}

enum mix_status mix_agent_steer(struct mix_trainee *trainee, size_t n_decisions, uint64_t steps,
                                bool every, mix_agent_act_fn act, void *context,
                                struct mix_agent_steered *out, struct mix_poll *poll,
                                struct mix_error *err)
{
    const size_t d = trainee->n_groups;
    double *block = calloc(d * (d + 4), sizeof *block);
    if (block == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu slots", d);
    struct mix_observation seen = {.loss = block,
                                   .train_loss = block + d,
                                   .reference_loss = block + 2 * d,
                                   .train_norm = block + 3 * d,
                                   .alignment = block + 4 * d};
    for (size_t i = 0; i < (n_decisions + 1) * d; i++)
        out->feedback[i] = NAN;
    enum mix_status status = trainee->kind->restart(trainee, poll, err);
    if (status == MIX_OK)
        status = observe(trainee, 0, &seen, out, poll, err);
    for (size_t t = 0; status == MIX_OK && t < n_decisions; t++) {
        if (mix_poll(poll))
            status = mix_fail(err, MIX_EINTERRUPTED, "a run was interrupted at decision %zu", t);
        if (status == MIX_OK)
            status = decide(trainee, t, steps, act, context, out, poll, err);
        if (status == MIX_OK && (every || t + 1 == n_decisions))
            status = observe(trainee, t + 1, &seen, out, poll, err);
    }
    free(block);
    return status;
}

/* ---- schedules ---- */

void mix_agent_field(const struct mix_agent_space *space, const double *natural, double mass,
                     double *mixture)
{
    for (size_t i = 0; i < space->n_slots; i++)
        mixture[i] = natural[i] * (i < space->n_source ? 1 - mass : mass);
}

void mix_agent_schedule_act(void *schedule, size_t t, const double *mixture, const double *feedback,
                            double *out)
{
    const struct mix_agent_schedule *plan = schedule;
    (void)mixture;
    (void)feedback;
    memcpy(out, plan->mixture + t * plan->n_slots, plan->n_slots * sizeof *out);
}

/* The weights after t updates depend on the feedback so far alone: nothing is kept. */
void mix_agent_loading_act(void *loading, size_t t, const double *mixture, const double *feedback,
                           double *out)
{
    const struct mix_agent_loading *rule = loading;
    const size_t d = rule->n_slots;
    double score[MIX_GROUPS_MAX] = {0};
    (void)mixture;
    for (size_t s = 1; s <= t; s++)
        for (size_t i = 0; i < d; i++)
            score[i] += fmax(0, -feedback[s * d + i] - rule->reference[i]);
    mix_softmax(d, score, out);
}

void mix_agent_time_mean(size_t n_decisions, size_t n_slots, const double *from, double *mean)
{
    for (size_t i = 0; i < n_slots; i++) {
        double sum = 0;
        for (size_t t = 0; t < n_decisions; t++)
            sum += from[t * n_slots + i];
        mean[i] = sum / (double)n_decisions;
    }
}

enum mix_status mix_agent_shuffle(size_t n_decisions, size_t n_slots, uint64_t seed,
                                  const double *from, double *to, struct mix_error *err)
{
    gsl_rng *rng = mix_rng_create(mix_key_make(seed, "agent shuffle", NULL, 0));
    if (rng == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a random order");
    memcpy(to, from, n_decisions * n_slots * sizeof *to);
    if (n_decisions > 1)
        gsl_ran_shuffle(rng, to, n_decisions, n_slots * sizeof *to);
    gsl_rng_free(rng);
    return MIX_OK;
}

/* ---- RegMix ---- */

enum { CANDIDATES = 100000, BEST = 100, RIDGES = 13 };

size_t mix_agent_regmix_size(size_t n_slots)
{
    return n_slots * (n_slots + 1) / 2;
}

/* On the simplex these span all quadratics: a_i^2 = a_i - sum_j a_i a_j. */
static void features(size_t d, const double *a, double *x)
{
    size_t at = d;
    memcpy(x, a, d * sizeof *x);
    for (size_t i = 0; i < d; i++)
        for (size_t j = i + 1; j < d; j++)
            x[at++] = a[i] * a[j];
}

double mix_agent_regmix_value(size_t n_slots, const double *coef, const double *mixture)
{
    double value = 0;
    size_t at = n_slots;
    for (size_t i = 0; i < n_slots; i++) {
        value += coef[i] * mixture[i];
        for (size_t j = i + 1; j < n_slots; j++)
            value += coef[at++] * mixture[i] * mixture[j];
    }
    return value;
}

/* A ridge regression of centred u: n runs, p features. */
struct ridge {
    size_t n, p;
    double mean;
    double *x;       /* (n,p) */
    double *u;       /* (n) less its mean */
    double *normal;  /* (p,p) x'x */
    double *factor;  /* (p,p) of normal + strength */
    double *product; /* (p) x'u */
    double *coef;    /* (p) */
    double *solved;  /* (p) scratch */
};

static bool solve(struct ridge *ridge, double strength)
{
    const size_t p = ridge->p;
    memcpy(ridge->factor, ridge->normal, p * p * sizeof *ridge->factor);
    for (size_t i = 0; i < p; i++)
        ridge->factor[i * p + i] += strength;
    gsl_matrix_view factor = gsl_matrix_view_array(ridge->factor, p, p);
    const gsl_vector_view product = gsl_vector_view_array(ridge->product, p);
    gsl_vector_view coef = gsl_vector_view_array(ridge->coef, p);
    return gsl_linalg_cholesky_decomp1(&factor.matrix) == 0 &&
           gsl_linalg_cholesky_solve(&factor.matrix, &product.vector, &coef.vector) == 0;
}

/* Sum of squares of the leave-one-out errors: residual / (1 - leverage). */
static double left_out(struct ridge *ridge)
{
    const size_t p = ridge->p;
    const gsl_matrix_view factor = gsl_matrix_view_array(ridge->factor, p, p);
    double sum = 0;
    for (size_t r = 0; r < ridge->n; r++) {
        const gsl_vector_view x = gsl_vector_view_array(ridge->x + r * p, p);
        gsl_vector_view solved = gsl_vector_view_array(ridge->solved, p);
        gsl_linalg_cholesky_solve(&factor.matrix, &x.vector, &solved.vector);
        double leverage = 1 / (double)ridge->n, error = ridge->u[r];
        for (size_t i = 0; i < p; i++) {
            leverage += x.vector.data[i] * ridge->solved[i];
            error -= x.vector.data[i] * ridge->coef[i];
        }
        error /= fmax(1 - leverage, 1e-9);
        sum += error * error;
    }
    return sum;
}

static void fill_ridge(struct ridge *ridge, size_t d, const double *mixture, const double *u)
{
    const size_t n = ridge->n, p = ridge->p;
    for (size_t r = 0; r < n; r++)
        ridge->mean += u[r] / (double)n;
    for (size_t r = 0; r < n; r++) {
        double *x = ridge->x + r * p;
        features(d, mixture + r * d, x);
        ridge->u[r] = u[r] - ridge->mean;
        for (size_t i = 0; i < p; i++) {
            ridge->product[i] += x[i] * ridge->u[r];
            for (size_t j = 0; j < p; j++)
                ridge->normal[i * p + j] += x[i] * x[j];
        }
    }
}

enum mix_status mix_agent_regmix_fit(size_t n_slots, size_t n, const double *mixture,
                                     const double *u, double *coef, struct mix_error *err)
{
    const size_t p = mix_agent_regmix_size(n_slots);
    struct ridge ridge = {.n = n, .p = p};
    double least = INFINITY;
    if (n < 3)
        return mix_fail(err, MIX_EINVAL, "RegMix: a regression of %zu runs; at least 3 are needed",
                        n);
    double *block = calloc(n * (p + 1) + p * (2 * p + 3), sizeof *block);
    if (block == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a regression of %zu runs", n);
    ridge.x = block;
    ridge.u = ridge.x + n * p;
    ridge.normal = ridge.u + n;
    ridge.factor = ridge.normal + p * p;
    ridge.product = ridge.factor + p * p;
    ridge.coef = ridge.product + p;
    ridge.solved = ridge.coef + p;
    fill_ridge(&ridge, n_slots, mixture, u);
    for (int s = 0; s < RIDGES; s++) { /* 1e-9 n ... 1e3 n */
        if (!solve(&ridge, (double)n * pow(10, s - 9)))
            continue;
        const double sum = left_out(&ridge);
        if (!(sum < least))
            continue;
        least = sum;
        memcpy(coef, ridge.coef, p * sizeof *coef);
    }
    for (size_t i = 0; i < n_slots; i++) /* shares sum to 1: the mean goes here */
        coef[i] += ridge.mean;
    free(block);
    return isfinite(least) ? MIX_OK
                           : mix_fail(err, MIX_ENUMERIC, "RegMix: its regression is singular");
}

enum mix_status mix_agent_regmix_draw(size_t n_slots, uint64_t seed, uint64_t i, double *mixture,
                                      struct mix_error *err)
{
    double ones[MIX_GROUPS_MAX];
    gsl_rng *rng = mix_rng_create(mix_key_make(seed, "agent regmix", &i, sizeof i));
    if (rng == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for random numbers");
    for (size_t j = 0; j < n_slots; j++)
        ones[j] = 1;
    gsl_ran_dirichlet(rng, n_slots, ones, mixture);
    gsl_rng_free(rng);
    return MIX_OK;
}

/* A heap of the best so far, the least of them at its root. */
static void sink(double *value, double (*mixture)[MIX_GROUPS_MAX], size_t n)
{
    for (size_t at = 0;;) {
        size_t least = 2 * at + 1;
        if (least + 1 < n && value[least + 1] < value[least])
            least++;
        if (least >= n || value[at] <= value[least])
            return;
        double kept[MIX_GROUPS_MAX];
        const double kept_value = value[at];
        memcpy(kept, mixture[at], sizeof kept);
        memcpy(mixture[at], mixture[least], sizeof kept);
        memcpy(mixture[least], kept, sizeof kept);
        value[at] = value[least];
        value[least] = kept_value;
        at = least;
    }
}

enum mix_status mix_agent_regmix_best(size_t n_slots, const double *coef, uint64_t seed,
                                      double *mixture, struct mix_error *err)
{
    double value[BEST], best[BEST][MIX_GROUPS_MAX], ones[MIX_GROUPS_MAX], draw[MIX_GROUPS_MAX];
    gsl_rng *rng = mix_rng_create(mix_key_make(seed, "agent regmix candidates", NULL, 0));
    if (rng == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for random numbers");
    memset(best, 0, sizeof best);
    for (size_t i = 0; i < BEST; i++)
        value[i] = -INFINITY;
    for (size_t j = 0; j < MIX_GROUPS_MAX; j++)
        ones[j] = 1;
    for (size_t i = 0; i < CANDIDATES; i++) {
        gsl_ran_dirichlet(rng, n_slots, ones, draw);
        const double likes = mix_agent_regmix_value(n_slots, coef, draw);
        if (likes <= value[0])
            continue;
        value[0] = likes;
        memcpy(best[0], draw, n_slots * sizeof *draw);
        sink(value, best, BEST);
    }
    gsl_rng_free(rng);
    for (size_t j = 0; j < n_slots; j++) {
        double sum = 0;
        for (size_t i = 0; i < BEST; i++)
            sum += best[i][j];
        mixture[j] = sum / BEST;
    }
    return MIX_OK;
}
