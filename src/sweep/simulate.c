/* SPDX-License-Identifier: GPL-3.0-or-later */
/* simulate.c - losses of a known law plus seeded noise: nothing is trained.
 *
 *     loss_m = L_m(h, N, D) (1 + noise z),    z standard normal, one stream per checkpoint
 *
 * A law with repetition sees the supply of the domains, as far as the run may use it.
 *
 * The stream is keyed by (simulate seed, key of the row), so that a loss depends neither on the
 * rank that made it nor on the order. True parameters that the job leaves open are drawn so that,
 * at the middle of the job's scales and an even mixture, the capacity term is 0.3 to 1 and the
 * other terms 0.05 to 0.4 of the loss unit, on an irreducible loss of 1 to 2.5. Of laws whose
 * parameters mean something else all must be given.
 */
#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sweep/evaluators.h"

struct simulation {
    struct mix_model *model;
    double *params; /* (P) */
    gsl_rng *rng;
    double noise;
    double delay_s;
    uint64_t seed;
};

/* Where terms have their intended size: geometric means over the scales, shared by the domains. */
struct middle {
    double capacity; /* 1e6 parameters per domain */
    double tokens;   /* 1e9 per domain */
    double n_params; /* 1e6 */
    double n_tokens; /* 1e9 */
    double n_min;    /* 1e6 */
};

static struct middle middle_of(const struct mix_job *job)
{
    double ln_n = 0, ln_d = 0, n_min = INFINITY;
    for (size_t s = 0; s < job->n_scales; s++) {
        ln_n += log(job->scales[s].n_params / 1e6) / (double)job->n_scales;
        ln_d += log(job->scales[s].n_tokens / 1e9) / (double)job->n_scales;
        n_min = fmin(n_min, job->scales[s].n_params / 1e6);
    }
    double n_domains = (double)job->n_domains;
    return (struct middle){.capacity = exp(ln_n) / n_domains,
                           .tokens = exp(ln_d) / n_domains,
                           .n_params = exp(ln_n),
                           .n_tokens = exp(ln_d),
                           .n_min = n_min};
}

/* Uniform in [lo, hi] from the stream of the parameter's name. */
static double draw(const struct mix_job *job, gsl_rng *rng, const char *name, double lo, double hi)
{
    mix_rng_rekey(rng, mix_key_make(job->simulate.seed, "truth", name, strlen(name)));
    return lo + (hi - lo) * gsl_rng_uniform(rng);
}

static bool is_given(const struct mix_job_simulate *simulate, const char *name, double *value)
{
    for (size_t i = 0; i < simulate->n_params; i++)
        if (strcmp(simulate->param_names[i], name) == 0) {
            *value = simulate->params[i];
            return true;
        }
    return false;
}

/* Value of an exponent: b, a, p or q. */
static double exponent(const struct mix_job *job, gsl_rng *rng, const char *name)
{
    double value;
    if (is_given(&job->simulate, name, &value))
        return value;
    return name[0] == 'a' ? draw(job, rng, name, 0.2, 0.8) : draw(job, rng, name, 0.1, 0.5);
}

/* The exponent that belongs to a factor: c[x] has b[x], A[x] has a[x], P[x] has p, Q[x] has q. */
static double exponent_of(const struct mix_job *job, gsl_rng *rng, const char *factor)
{
    static const char pairs[] = "cbAaPpQq";
    char name[2 * MIX_NAME_MAX];
    name[0] = strchr(pairs, factor[0])[1];
    snprintf(name + 1, sizeof name - 1, "%s", name[0] == 'p' || name[0] == 'q' ? "" : factor + 1);
    return exponent(job, rng, name);
}

/* Laws of which typical parameters are known here. */
static bool is_drawn(const char *law)
{
    static const char *const laws[] = {"capacity", "transfer", "demand", "chinchilla"};
    for (size_t i = 0; i < sizeof laws / sizeof laws[0]; i++)
        if (mix_law_is(law, laws[i]))
            return true;
    return false;
}

static enum mix_status fail_not_given(const struct mix_job *job, const char *name,
                                      struct mix_error *err)
{
    return mix_fail(err, MIX_EINVAL,
                    "job %s, sweep.simulate.params: %s is missing; for the law %s all parameters "
                    "must be given (they are drawn for capacity, transfer, demand, chinchilla).",
                    job->name, name, job->simulate.law);
}

static double drawn_value(const struct mix_job *job, const struct middle *middle, gsl_rng *rng,
                          const char *name)
{
    double value;
    switch (name[0]) {
    case 'E':
        return draw(job, rng, name, 1, 2.5);
    case 'H':
        return draw(job, rng, name, 0.02, 0.2) * middle->n_min;
    case 'T':
        return draw(job, rng, name, 0, 0.3);
    case 'r':
        return draw(job, rng, name, 2, 20);
    case 'c':
        value = pow(middle->capacity, exponent_of(job, rng, name));
        return value * draw(job, rng, name, 0.3, 1);
    case 'A':
        value = pow(middle->tokens, exponent_of(job, rng, name));
        return value * draw(job, rng, name, 0.05, 0.4);
    case 'P':
        value = pow(middle->n_params, exponent_of(job, rng, name));
        return value * draw(job, rng, name, 0.05, 0.4);
    case 'Q':
        value = pow(middle->n_tokens, exponent_of(job, rng, name));
        return value * draw(job, rng, name, 0.05, 0.4);
    default:
        return exponent(job, rng, name);
    }
}

/* In the law demand the rows of T sum to 1; they are the T of each target in the order of the
 * domains, one after the other. */
static void normalise_demand(const struct mix_model *model, size_t first, double *params)
{
    const struct mix_law_spec *spec = mix_model_spec(model);
    if (!mix_law_is(spec->law, "demand"))
        return;
    for (size_t m = 0; m < spec->n_targets; m++) {
        double *row = &params[first + m * spec->n_domains], sum = 0;
        for (size_t k = 0; k < spec->n_domains; k++)
            sum += row[k];
        for (size_t k = 0; k < spec->n_domains; k++)
            row[k] = sum > 0 ? row[k] / sum : 1 / (double)spec->n_domains;
    }
}

enum mix_status mix_simulate_truth(const struct mix_job *job, const struct mix_model *model,
                                   double *params, struct mix_error *err)
{
    const char *domains[MIX_DOMAINS_MAX], *targets[MIX_DOMAINS_MAX];
    const struct middle middle = middle_of(job);
    size_t first_transfer = SIZE_MAX;
    enum mix_status status = MIX_OK;
    gsl_rng *rng = mix_rng_create((struct mix_key){0});
    if (!rng)
        return mix_fail(err, MIX_ENOMEM, "out of memory for the simulated law.");
    for (size_t k = 0; k < job->n_domains; k++)
        domains[k] = job->domains[k].name;
    for (size_t m = 0; m < job->n_targets; m++)
        targets[m] = job->targets[m].name;
    for (size_t p = 0; status == MIX_OK && p < mix_model_n_params(model); p++) {
        char name[2 * MIX_NAME_MAX], unit[MIX_UNIT_MAX];
        mix_model_param_name(model, p, domains, targets, name, unit);
        if (!is_given(&job->simulate, name, &params[p])) {
            if (is_drawn(mix_model_spec(model)->law))
                params[p] = drawn_value(job, &middle, rng, name);
            else
                status = fail_not_given(job, name, err);
        }
        if (name[0] == 'T' && first_transfer == SIZE_MAX)
            first_transfer = p;
    }
    gsl_rng_free(rng);
    if (status == MIX_OK)
        normalise_demand(model, first_transfer, params);
    return status;
}

static void destroy(void *state)
{
    struct simulation *simulation = state;
    if (!simulation)
        return;
    mix_model_destroy(simulation->model);
    if (simulation->rng)
        gsl_rng_free(simulation->rng);
    free(simulation->params);
    free(simulation);
}

static enum mix_status create(const struct mix_job *job, void **state, struct mix_error *err)
{
    struct simulation *simulation = calloc(1, sizeof *simulation);
    if (!simulation)
        return mix_fail(err, MIX_ENOMEM, "out of memory for the simulated law.");
    simulation->noise = job->simulate.noise;
    simulation->delay_s = job->simulate.delay_s;
    simulation->seed = job->simulate.seed;
    /* what is confirmed is of the world of the sweep: of its terms, and its parameters */
    const struct mix_job *world = job->confirmed ? job->confirmed : job;
    enum mix_status status = mix_job_model(world, job->simulate.law, 0, &simulation->model, err);
    if (status != MIX_OK)
        goto out;
    simulation->rng = mix_rng_create((struct mix_key){0});
    simulation->params = calloc(mix_model_n_params(simulation->model), sizeof(double));
    if (simulation->rng && simulation->params)
        status = mix_simulate_truth(world, simulation->model, simulation->params, err);
    else
        status = mix_fail(err, MIX_ENOMEM, "out of memory for the simulated law.");
out:
    if (status == MIX_OK)
        *state = simulation;
    else
        destroy(simulation);
    return status;
}

/* Rank 0 answers others while it sleeps, hence the short slices. */
bool mix_pretend(double seconds, struct mix_poll *poll)
{
    static const double slice_s = 0.002;
    const double end_s = mix_clock_s() + seconds;
    for (;;) {
        if (mix_poll(poll))
            return false;
        const double left_s = end_s - mix_clock_s();
        if (left_s <= 0)
            return true;
        struct timespec slice = {.tv_nsec = (long)(1e9 * fmin(left_s, slice_s))};
        nanosleep(&slice, NULL);
    }
}

static enum mix_status measure(const struct simulation *simulation,
                               const struct mix_request *request, struct mix_table *rows,
                               double n_tokens, struct mix_error *err)
{
    const size_t row = mix_request_row(request, rows, n_tokens);
    if (row == SIZE_MAX)
        return mix_fail(err, MIX_ENOMEM, "out of memory for the rows of a run.");
    const struct mix_run *run = &rows->runs[row];
    const double n_params = run->n_params / 1e6, n_billions = n_tokens / 1e9;
    double *loss = &rows->loss[row * rows->n_targets], supply[MIX_DOMAINS_MAX];
    for (size_t k = 0; k < rows->n_domains; k++)
        supply[k] = mix_table_unique(rows, row, k) / 1e9;
    mix_model_set_supply(simulation->model, supply);
    const enum mix_status status =
        mix_model_predict(simulation->model, simulation->params, 1, request->mixture, &n_params,
                          &n_billions, loss, err);
    if (status != MIX_OK)
        return status;
    const struct mix_key key = mix_run_key(run, request->mixture, rows->n_domains);
    mix_rng_rekey(simulation->rng, mix_key_make(simulation->seed, "noise", &key, sizeof key));
    for (size_t m = 0; m < rows->n_targets; m++)
        loss[m] *= 1 + gsl_ran_gaussian(simulation->rng, simulation->noise);
    return MIX_OK;
}

static enum mix_status evaluate(void *state, const struct mix_request *request,
                                struct mix_table *rows, struct mix_poll *poll,
                                struct mix_error *err)
{
    const struct simulation *simulation = state;
    const struct mix_job_scale *scale = request->scale;
    if (!mix_pretend(simulation->delay_s, poll))
        return mix_fail(err, MIX_EINTERRUPTED, "interrupted");
    enum mix_status status = MIX_OK;
    for (size_t c = 0; status == MIX_OK && c + 1 < scale->n_checkpoints; c++)
        status = measure(simulation, request, rows, scale->checkpoints[c], err);
    return status == MIX_OK ? measure(simulation, request, rows, request->run.n_tokens_planned, err)
                            : status;
}

const struct mix_evaluator mix_evaluator_simulate = {
    .name = "simulate",
    .summary = "a known law plus seeded noise; nothing is trained",
    .create = create,
    .destroy = destroy,
    .evaluate = evaluate,
};
