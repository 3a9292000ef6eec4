/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <assert.h>
#include <gsl/gsl_randist.h>
#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/job.h"

enum { LATTICE = 1000000, TRIES_MAX = 1000, SIZE_TEXT = 24, RUN_SEED_BITS = 31 };
static const double same_mixture = 1e-5; /* the table takes mixtures this near for one */

/* Room for one mixture being made. */
struct workspace {
    gsl_rng *rng;
    double *base;   /* (K) prior^(1/temperature), summing to 1 */
    double *alpha;  /* (K) */
    int32_t *units; /* (K) shares in units of the lattice */
};

static void workspace_free(struct workspace *work)
{
    if (work->rng)
        gsl_rng_free(work->rng);
    free(work->base);
    free(work->alpha);
    free(work->units);
}

/* To be freed also after a failure. */
static enum mix_status workspace_make(const struct mix_job *job, struct workspace *work,
                                      struct mix_error *err)
{
    size_t n = job->n_domains;
    *work = (struct workspace){.rng = mix_rng_create((struct mix_key){0}),
                               .base = calloc(n, sizeof *work->base),
                               .alpha = calloc(n, sizeof *work->alpha),
                               .units = calloc(n, sizeof *work->units)};
    if (!work->rng || !work->base || !work->alpha || !work->units)
        return mix_fail(err, MIX_ENOMEM, "out of memory for the design.");
    double sum = 0;
    for (size_t k = 0; k < n; k++)
        sum += work->base[k] = pow(job->domains[k].prior, 1 / job->temperature);
    for (size_t k = 0; k < n; k++)
        work->base[k] /= sum;
    return MIX_OK;
}

/* Largest remainder: the units sum to LATTICE exactly; of equal remainders the first wins. */
static void round_to_lattice(size_t n_domains, double *share, int32_t *units)
{
    double sum = 0;
    int32_t left = LATTICE;
    for (size_t k = 0; k < n_domains; k++)
        sum += share[k];
    for (size_t k = 0; k < n_domains; k++) {
        share[k] = share[k] / sum * LATTICE;
        units[k] = (int32_t)floor(share[k]);
        left -= units[k];
    }
    for (; left > 0; left--) {
        size_t most = 0;
        for (size_t k = 1; k < n_domains; k++)
            if (share[k] - units[k] > share[most] - units[most])
                most = k;
        units[most]++;
    }
    for (size_t k = 0; k < n_domains; k++)
        share[k] = (double)units[k] / LATTICE;
}

/* A mixture of the design: the stream is keyed by its index and try, so that longer designs begin
 * with shorter ones. */
static void draw_mixture(const struct mix_job *job, struct workspace *work, size_t index,
                         size_t attempt, double *mixture)
{
    const uint64_t what[2] = {index, attempt};
    size_t n_domains = job->n_domains;
    mix_rng_rekey(work->rng, mix_key_make(job->seed, "design", what, sizeof what));
    double log_min = log(job->strength_min), log_max = log(job->strength_max);
    double strength = exp(log_min + (log_max - log_min) * gsl_rng_uniform(work->rng));
    for (size_t k = 0; k < n_domains; k++)
        work->alpha[k] = strength * (double)n_domains * work->base[k];
    gsl_ran_dirichlet(work->rng, n_domains, work->alpha, mixture);
    for (size_t k = 0; k < n_domains; k++)
        if (mixture[k] < job->minimum_share)
            mixture[k] = 0;
    round_to_lattice(n_domains, mixture, work->units);
}

static bool is_new(size_t n_domains, const double *mixtures, size_t n, const double *mixture)
{
    for (size_t i = 0; i < n; i++) {
        double distance = 0;
        for (size_t k = 0; k < n_domains && distance <= same_mixture; k++)
            distance += fabs(mixtures[i * n_domains + k] - mixture[k]);
        if (distance <= same_mixture)
            return false;
    }
    return true;
}

/* Prior and uniform mixture, those that are asked for and differ; returns how many. */
static size_t put_fixed(const struct mix_job *job, struct workspace *work, double *mixtures)
{
    size_t n = 0, n_domains = job->n_domains;
    for (int uniform = 0; uniform < 2 && n < job->n_mixtures; uniform++) {
        double *mixture = &mixtures[n * n_domains];
        if (!(uniform ? job->include_uniform : job->include_prior))
            continue;
        for (size_t k = 0; k < n_domains; k++)
            mixture[k] = uniform ? 1 : job->domains[k].prior;
        round_to_lattice(n_domains, mixture, work->units);
        n += is_new(n_domains, mixtures, n, mixture);
    }
    return n;
}

enum mix_status mix_job_design(const struct mix_job *job, double *mixtures, struct mix_error *err)
{
    struct workspace work;
    enum mix_status status = workspace_make(job, &work, err);
    size_t n_domains = job->n_domains;
    size_t n_fixed = status == MIX_OK ? put_fixed(job, &work, mixtures) : 0;
    for (size_t i = n_fixed; status == MIX_OK && i < job->n_mixtures; i++) {
        double *mixture = &mixtures[i * n_domains];
        size_t attempt = 0;
        do
            draw_mixture(job, &work, i, attempt, mixture);
        while (!is_new(n_domains, mixtures, i, mixture) && ++attempt < TRIES_MAX);
        if (attempt == TRIES_MAX)
            status = mix_fail(err, MIX_EINVAL,
                              "the design of job %s has %zu distinct mixtures, not %zu: lower "
                              "design.mixtures, design.strength or design.minimum_share.",
                              job->name, i, job->n_mixtures);
    }
    workspace_free(&work);
    return status;
}

/* "122M" where that is the whole number, else all its digits: a text that names one size only. */
static const char *exact_size(double value, char text[SIZE_TEXT])
{
    static const struct {
        double factor;
        const char *unit;
    } units[] = {{1e12, "T"}, {1e9, "B"}, {1e6, "M"}, {1e3, "k"}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        snprintf(text, SIZE_TEXT, "%.4g", value / units[i].factor);
        if (value >= units[i].factor && strtod(text, NULL) * units[i].factor == value) {
            strncat(text, units[i].unit, 2);
            return text;
        }
    }
    snprintf(text, SIZE_TEXT, "%.15g", value);
    return text;
}

/* What the seed of a run depends on besides the mixture. */
struct run_identity {
    double n_params;
    double n_tokens;
    uint64_t replicate;
};

/* Seeds of trainers are often 32-bit and signed, hence 31 bits. */
static uint64_t run_seed(const struct mix_job *job, const double *mixture,
                         const struct run_identity *identity)
{
    struct {
        struct run_identity identity;
        struct mix_key mixture;
    } what = {*identity,
              mix_key_make(job->seed, "mixture", mixture, job->n_domains * sizeof *mixture)};
    struct mix_key key = mix_key_make(job->seed, "run seed", &what, sizeof what);
    return key.lo & ((UINT64_C(1) << RUN_SEED_BITS) - 1);
}

static enum mix_status plan_row(const struct mix_job *job, struct mix_table *plan,
                                const double *mixture, const struct mix_job_scale *scale,
                                size_t replicate, struct mix_error *err)
{
    char n_params[SIZE_TEXT], n_tokens[SIZE_TEXT];
    size_t row = mix_table_append(plan), n_domains = job->n_domains;
    if (row == SIZE_MAX)
        return mix_fail(err, MIX_ENOMEM, "out of memory for the plan of runs.");
    struct mix_run *run = &plan->runs[row];
    const struct run_identity identity = {scale->n_params, scale->n_tokens, replicate};
    /* The name is part of a run's identity, so it tells the mixture and not its place in the
     * design. job.c keeps the number of replicates below 10000, so that the text always fits. */
    const struct mix_key name = mix_key_make(0, "mixture", mixture, n_domains * sizeof *mixture);
    snprintf(run->run, sizeof run->run, "%08" PRIx32 "-%s-%s-s%u", (uint32_t)name.lo,
             exact_size(scale->n_params, n_params), exact_size(scale->n_tokens, n_tokens),
             (unsigned)(uint16_t)(replicate + 1));
    memcpy(run->recipe, job->recipe, sizeof run->recipe);
    run->n_params = scale->n_params;
    run->n_tokens = run->n_tokens_planned = scale->n_tokens;
    run->seed = run_seed(job, mixture, &identity);
    for (size_t k = 0; k < n_domains; k++) {
        size_t at = row * n_domains + k;
        plan->asked[at] = plan->mixture[at] = mixture[k];
        plan->epochs[at] = mixture[k] * scale->n_tokens / plan->domains[k].supply_tokens;
    }
    return MIX_OK;
}

static enum mix_status plan_rows(const struct mix_job *job, struct mix_table *plan,
                                 const double *mixtures, struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    for (size_t s = 0; s < job->n_scales; s++) {
        const struct mix_job_scale *scale = &job->scales[s];
        size_t n = scale->n_mixtures ? scale->n_mixtures : job->n_mixtures;
        assert(n <= job->n_mixtures);
        for (size_t i = 0; i < n; i++)
            for (size_t r = 0; status == MIX_OK && r < job->n_replicates; r++)
                status = plan_row(job, plan, &mixtures[i * job->n_domains], scale, r, err);
    }
    return status == MIX_OK ? mix_table_finish(plan, err) : status;
}

enum mix_status mix_job_plan(const struct mix_job *job, struct mix_table **out,
                             struct mix_error *err)
{
    double *mixtures = calloc(job->n_mixtures * job->n_domains, sizeof *mixtures);
    struct mix_table *plan = mix_table_create(job->n_domains, job->n_targets);
    enum mix_status status = MIX_OK;
    if (!mixtures || !plan) {
        status = mix_fail(err, MIX_ENOMEM, "out of memory for the plan.");
        goto out;
    }
    memcpy(plan->domains, job->domains, job->n_domains * sizeof *plan->domains);
    memcpy(plan->targets, job->targets, job->n_targets * sizeof *plan->targets);
    status = mix_job_design(job, mixtures, err);
    if (status == MIX_OK)
        status = plan_rows(job, plan, mixtures, err);
out:
    free(mixtures);
    if (status == MIX_OK)
        *out = plan;
    else
        mix_table_destroy(plan);
    return status;
}
