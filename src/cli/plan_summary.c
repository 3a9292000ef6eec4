/* SPDX-License-Identifier: GPL-3.0-or-later */
/* plan_summary.c - what the runs of a job cost, how far its mixtures reach, and what they cannot
 * tell.
 */
#include <assert.h>
#include <gsl/gsl_linalg.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "plan_impl.h"

static const double many_epochs = 4; /* repeated more often, tokens are worth less */
static const double near_sizes = 3;  /* largest over smallest N */
static const double far_size = 100;  /* target N or D over the largest of the sweep */
static const double entries_per_param = 2;
static const double near_mixtures = 0.1; /* mixtures this near tell much the same */
static const double varied = 2;          /* largest over least share */
static const double visible_share = 0.01;
static const double many_inodes = 1e5;
static const double usual_rate = 4e14; /* FLOP/s: 40% of what an H100 does in bf16 */

enum {
    RUN_INODES = 5, /* a run folder with run.json, result, stdout and stderr */
    RANK_ROWS_PER_PARAM = 4,
    RANK_PARAMS_MAX = 800 /* a few seconds */
};

void plan_summary_free(struct plan_summary *s)
{
    mix_plan_destroy(s->plan);
    mix_job_destroy(s->job);
    free(s->mixtures);
    free(s->share_min);
    free(s->share_mean);
    free(s->share_max);
    free(s->epochs_max);
    free(s->epochs_scale);
    free(s->distance);
    free(s->n_runs);
    free(s->n_left);
    free(s->over);
    plan_others_free(&s->others);
}

void plan_warn(struct plan_summary *s, const char *format, ...)
{
    va_list arguments;
    if (s->n_warnings == PLAN_WARNINGS_MAX) {
        snprintf(s->warnings[PLAN_WARNINGS_MAX - 1], MIX_TEXT_MAX, "and more");
        return;
    }
    va_start(arguments, format);
    vsnprintf(s->warnings[s->n_warnings++], MIX_TEXT_MAX, format, arguments);
    va_end(arguments);
}

static int compare_numbers(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure_shares(struct plan_summary *s)
{
    const size_t n = s->job->n_mixtures, n_domains = s->job->n_domains;
    for (size_t k = 0; k < n_domains; k++)
        s->share_min[k] = 1;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n_domains; k++) {
            const double share = s->mixtures[i * n_domains + k];
            s->share_min[k] = fmin(s->share_min[k], share);
            s->share_max[k] = fmax(s->share_max[k], share);
            s->share_mean[k] += share / (double)n;
            s->distance[i] += 0.5 * fabs(share - s->job->domains[k].prior);
        }
    qsort(s->distance, n, sizeof *s->distance, compare_numbers);
}

/* n^2 / sum of similarities 1 - distance / 0.1 (a diversity of order 2, Leinster and Cobbold,
 * Ecology 93, 2012): n mixtures far from each other count n, n equal ones count 1. */
static void measure_spread(struct plan_summary *s)
{
    const size_t n = s->job->n_mixtures, n_domains = s->job->n_domains;
    double similarity = (double)n;
    s->nearest = n > 1 ? 1 : NAN;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++) {
            const double *a = &s->mixtures[i * n_domains], *b = &s->mixtures[j * n_domains];
            const double bound = 2 * fmax(near_mixtures, s->nearest);
            double sum = 0;
            for (size_t k = 0; k < n_domains && sum < bound; k++)
                sum += fabs(a[k] - b[k]);
            s->nearest = fmin(s->nearest, sum / 2);
            similarity += 2 * fmax(0, 1 - sum / 2 / near_mixtures);
        }
    s->n_effective = (double)n * (double)n / similarity;
}

static size_t scale_mixtures(const struct plan_summary *s, size_t scale)
{
    const size_t n = s->job->scales[scale].n_mixtures;
    return n > 0 && n < s->job->n_mixtures ? n : s->job->n_mixtures;
}

static void measure_epochs(struct plan_summary *s)
{
    const size_t n_domains = s->job->n_domains;
    for (size_t k = 0; k < n_domains; k++) {
        s->epochs_max[k] = isnan(s->job->domains[k].supply_tokens) ? NAN : 0;
        for (size_t c = 0; c < s->job->n_scales; c++) {
            const struct mix_job_scale *scale = &s->job->scales[c];
            const double supply =
                s->job->domains[k].supply_tokens * mix_job_subsample(s->job, scale, k);
            for (size_t i = 0; i < scale_mixtures(s, c); i++) {
                const double epochs = s->mixtures[i * n_domains + k] * scale->n_tokens / supply;
                if (epochs > s->epochs_max[k]) {
                    s->epochs_max[k] = epochs;
                    s->epochs_scale[k] = c;
                }
            }
        }
    }
}

static void add_run(struct plan_cost *cost, const struct mix_job_scale *scale)
{
    cost->n_runs++;
    cost->flops += mix_job_flops(scale);
    cost->wall_s += scale->resources.wall_s;
}

static void measure_cost(struct plan_summary *s)
{
    const bool trains_here = strcmp(s->job->evaluator, "embedded") == 0;
    if (isnan(s->options.flops_rate) && !trains_here)
        s->options.flops_rate = usual_rate;
    for (size_t i = 0; i < mix_plan_n_runs(s->plan); i++) {
        struct mix_planned planned;
        mix_plan_run(s->plan, i, &planned);
        add_run(&s->all, &s->job->scales[planned.scale]);
        s->n_runs[planned.scale]++;
        if (s->over[i])
            continue;
        add_run(&s->left, &s->job->scales[planned.scale]);
        s->n_left[planned.scale]++;
    }
    s->all.gpu_hours = s->all.flops / s->options.flops_rate / 3600;
    s->left.gpu_hours = s->left.flops / s->options.flops_rate / 3600;
    if (strcmp(s->job->evaluator, "command") == 0 && s->job->command.keep == MIX_KEEP_ALL)
        s->n_inodes = 1 + RUN_INODES * (double)s->all.n_runs;
}

/* Whether runs ask for CPUs and the job does not say how many a node has. */
static bool lacks_cpus(const struct plan_summary *s)
{
    const struct mix_job *job = s->job;
    bool asks = false;
    for (size_t c = 0; c < job->n_scales; c++)
        asks = asks || job->scales[c].resources.cpus > 0;
    return asks && s->slots == 0 && job->command.cpus <= 0;
}

/* Whether as many runs go at once as there will be ranks: a launcher and runs that ask for nothing.
 */
static bool goes_by_ranks(const struct plan_summary *s)
{
    const struct mix_job_command *command = &s->job->command;
    return s->options.slots == 0 && command->n_launcher > 0 && command->slots == 0 &&
           mix_sweep_slots(s->job) > 0;
}

/* What fits nowhere is a warning: the cluster may be another. */
static enum mix_status measure_time(struct plan_summary *s, struct mix_error *err)
{
    const struct mix_job *job = s->job;
    const bool is_command = strcmp(job->evaluator, "command") == 0;
    s->all.makespan_s = s->left.makespan_s = NAN;
    s->n_nodes = s->options.n_nodes > 0 ? s->options.n_nodes : 1;
    const bool by_ranks = is_command && goes_by_ranks(s);
    s->slots = s->options.slots > 0 ? s->options.slots
               : by_ranks           ? 0
               : is_command         ? (size_t)mix_sweep_slots(job)
                                    : 1;
    for (size_t c = 0; c < job->n_scales && s->options.n_nodes == 0; c++)
        if ((size_t)job->scales[c].resources.n_nodes > s->n_nodes)
            s->n_nodes = (size_t)job->scales[c].resources.n_nodes;
    if (by_ranks && !isnan(s->all.wall_s))
        plan_warn(s, "as many runs go at once as there are ranks: --slots says how many");
    if (by_ranks || isnan(s->all.wall_s))
        return MIX_OK;
    enum mix_status status = mix_sweep_makespan(job, s->plan, NULL, (int)s->n_nodes, (int)s->slots,
                                                &s->all.makespan_s, err);
    if (status == MIX_OK)
        status = mix_sweep_makespan(job, s->plan, s->over, (int)s->n_nodes, (int)s->slots,
                                    &s->left.makespan_s, err);
    if (status != MIX_EINVAL)
        return status;
    if (lacks_cpus(s))
        plan_warn(s, "how many runs go at once is not known here, as the CPUs of a node are not "
                     "(sweep.command.cpus, or --slots)");
    else
        plan_warn(s, "%s", err->text);
    err->text[0] = '\0';
    return MIX_OK;
}

/* ---- which parameters of the law the runs tell apart */

/* Distinct (mixture, scale) pairs and the other runs of the file, evenly over all of them. */
struct sample {
    size_t n;
    double *mixture;             /* (n,K) */
    double *unique;              /* (n,K) 1e9 tokens that are seen without a repeat */
    double *n_params, *n_tokens; /* (n) 1e6, 1e9 */
    double *up, *down;           /* (n,M) losses */
};

static void sample_free(struct sample *sample)
{
    free(sample->mixture);
    free(sample->unique);
    free(sample->n_params);
    free(sample->n_tokens);
    free(sample->up);
    free(sample->down);
}

static void sample_add(const struct mix_job *job, const double *mixture, double n_params,
                       double n_tokens, struct sample *sample)
{
    const struct mix_job_scale scale = {.n_tokens = n_tokens};
    const size_t i = sample->n++;
    memcpy(&sample->mixture[i * job->n_domains], mixture, job->n_domains * sizeof(double));
    for (size_t k = 0; k < job->n_domains; k++) {
        const double supply =
            job->domains[k].supply_tokens * mix_job_subsample(job, &scale, k) / 1e9;
        sample->unique[i * job->n_domains + k] = isnan(supply) ? INFINITY : supply;
    }
    sample->n_params[i] = n_params / 1e6;
    sample->n_tokens[i] = n_tokens / 1e9;
}

static bool sample_make(const struct plan_summary *s, size_t n_wanted, struct sample *sample)
{
    const struct mix_job *job = s->job;
    size_t n_pairs = 0, pair = 0;
    for (size_t c = 0; c < job->n_scales; c++)
        n_pairs += scale_mixtures(s, c);
    n_pairs += s->others.n;
    const size_t n = n_wanted < n_pairs ? n_wanted : n_pairs;
    assert(n > 0 && job->n_targets > 0); /* a job has both */
    *sample = (struct sample){.mixture = calloc(n * job->n_domains, sizeof(double)),
                              .unique = calloc(n * job->n_domains, sizeof(double)),
                              .n_params = calloc(n, sizeof(double)),
                              .n_tokens = calloc(n, sizeof(double)),
                              .up = calloc(n * job->n_targets, sizeof(double)),
                              .down = calloc(n * job->n_targets, sizeof(double))};
    if (!sample->mixture || !sample->unique || !sample->n_params || !sample->n_tokens ||
        !sample->up || !sample->down)
        return false;
    for (size_t c = 0; c < job->n_scales; c++)
        for (size_t i = 0; i < scale_mixtures(s, c); i++, pair++)
            if (pair * n / n_pairs == sample->n && sample->n < n)
                sample_add(job, &s->mixtures[i * job->n_domains], job->scales[c].n_params,
                           job->scales[c].n_tokens, sample);
    for (size_t i = 0; i < s->others.n; i++, pair++)
        if (pair * n / n_pairs == sample->n && sample->n < n)
            sample_add(job, &s->others.mixture[i * job->n_domains], s->others.n_params[i],
                       s->others.n_tokens[i], sample);
    return true;
}

static bool predict_sample(struct mix_model *model, const double *params,
                           const struct sample *sample, double *loss)
{
    return mix_model_predict_runs(model, params, sample->n, sample->mixture, sample->unique,
                                  sample->n_params, sample->n_tokens, loss, NULL) == MIX_OK;
}

/* Columns of the Jacobian by central differences, each of length 1. False where the law cannot be
 * evaluated there. */
static bool fill_jacobian(struct mix_model *model, double *params, const struct sample *sample,
                          size_t n_targets, gsl_matrix *jacobian)
{
    static const double step = 1e-5;
    for (size_t p = 0; p < jacobian->size2; p++) {
        const double value = params[p], h = step * fmax(fabs(value), 1e-3);
        double norm = 0;
        params[p] = value + h;
        bool ok = predict_sample(model, params, sample, sample->up);
        params[p] = value - h;
        ok = ok && predict_sample(model, params, sample, sample->down);
        params[p] = value;
        for (size_t e = 0; ok && e < sample->n * n_targets; e++) {
            const double slope = (sample->up[e] - sample->down[e]) / (2 * h);
            norm = hypot(norm, slope);
            gsl_matrix_set(jacobian, e, p, slope);
        }
        if (!ok || !isfinite(norm))
            return false;
        for (size_t e = 0; norm > 0 && e < sample->n * n_targets; e++)
            gsl_matrix_set(jacobian, e, p, gsl_matrix_get(jacobian, e, p) / norm);
    }
    return true;
}

static size_t matrix_rank(gsl_matrix *matrix)
{
    static const double tolerance = 1e-7; /* the differences are good to 1e-10 */
    const size_t n = matrix->size1 < matrix->size2 ? matrix->size1 : matrix->size2;
    gsl_vector *tau = gsl_vector_alloc(n), *norm = gsl_vector_alloc(matrix->size2);
    gsl_permutation *order = gsl_permutation_alloc(matrix->size2);
    int sign;
    size_t rank = 0;
    if (tau && norm && order && gsl_linalg_QRPT_decomp(matrix, tau, order, &sign, norm) == 0)
        while (rank < n && fabs(gsl_matrix_get(matrix, rank, rank)) >
                               tolerance * fabs(gsl_matrix_get(matrix, 0, 0)))
            rank++;
    gsl_vector_free(tau);
    gsl_vector_free(norm);
    gsl_permutation_free(order);
    return rank;
}

/* The rank of the law's Jacobian at parameters that language models might have. */
static enum mix_status measure_rank(struct plan_summary *s, struct mix_error *err)
{
    struct mix_model *model = NULL;
    struct sample sample = {.n = 0};
    gsl_matrix *jacobian = NULL;
    double *params = NULL;
    if (!s->job->fit.law)
        return MIX_OK;
    enum mix_status status = mix_job_model(s->job, s->job->fit.law, s->job->fit.form, &model, err);
    if (status != MIX_OK)
        return status;
    const size_t n_params = mix_model_n_params(model), n_targets = s->job->n_targets;
    s->n_free = mix_model_n_free(model);
    if (n_params > RANK_PARAMS_MAX) {
        mix_model_destroy(model);
        return MIX_OK;
    }
    params = calloc(n_params, sizeof *params);
    if (params && sample_make(s, 1 + RANK_ROWS_PER_PARAM * n_params / n_targets, &sample))
        jacobian = gsl_matrix_calloc(sample.n * n_targets, n_params);
    if (!jacobian)
        status = mix_fail(err, MIX_ENOMEM, "out of memory for the rank of the design.");
    s->has_rank = jacobian && mix_simulate_truth(s->job, model, params, NULL) == MIX_OK &&
                  fill_jacobian(model, params, &sample, n_targets, jacobian);
    if (s->has_rank)
        s->rank = matrix_rank(jacobian);
    if (s->rank > s->n_free)
        s->rank = s->n_free;
    gsl_matrix_free(jacobian);
    sample_free(&sample);
    free(params);
    mix_model_destroy(model);
    return status;
}

/* Whether losses can be simulated: that a parameter lacks is told before the runs begin. */
static enum mix_status check_simulation(const struct mix_job *job, struct mix_error *err)
{
    struct mix_model *model = NULL;
    if (strcmp(job->evaluator, "simulate") != 0)
        return MIX_OK;
    enum mix_status status = mix_job_model(job, job->simulate.law, 0, &model, err);
    if (status != MIX_OK)
        return status;
    double *params = calloc(mix_model_n_params(model), sizeof *params);
    status = params != NULL ? mix_simulate_truth(job, model, params, err)
                            : mix_fail(err, MIX_ENOMEM, "out of memory for the simulated law.");
    free(params);
    mix_model_destroy(model);
    return status;
}

/* ---- warnings */

static double size_of(const struct plan_summary *s, size_t i)
{
    const size_t n = s->job->n_scales;
    return i < n ? s->job->scales[i].n_params : s->others.n_params[i - n];
}

/* Sizes of the sweep and of the other runs of the file, distinct ones. */
static size_t count_sizes(const struct plan_summary *s, double *least, double *largest)
{
    size_t n = 0;
    *least = INFINITY;
    *largest = 0;
    for (size_t i = 0; i < s->job->n_scales + s->others.n; i++) {
        size_t before = 0;
        while (before < i && size_of(s, before) != size_of(s, i))
            before++;
        n += before == i;
        *least = fmin(*least, size_of(s, i));
        *largest = fmax(*largest, size_of(s, i));
    }
    return n;
}

static void warn_of_sizes(struct plan_summary *s)
{
    char a[16], b[16];
    double least, largest, most_tokens = 0, wanted = 0, tokens = 0;
    const struct mix_job *job = s->job;
    const size_t n = count_sizes(s, &least, &largest);
    for (size_t i = 0; i < job->n_optima; i++) {
        wanted = fmax(wanted, job->optima[i].n_params);
        tokens = fmax(tokens, job->optima[i].n_tokens);
    }
    for (size_t c = 0; c < job->n_scales; c++)
        most_tokens = fmax(most_tokens, job->scales[c].n_tokens);
    for (size_t i = 0; i < s->others.n; i++)
        most_tokens = fmax(most_tokens, s->others.n_tokens[i]);
    if (n == 1 && wanted > 0 && wanted != largest)
        plan_warn(s, "one model size: nothing says how the loss changes on the way to %s",
                  cli_size(wanted, a));
    else if (n < 3 && wanted > 0)
        plan_warn(s, "%zu model sizes: with three or more the largest can be held out as a check",
                  n);
    if (n > 1 && largest / least < near_sizes)
        plan_warn(s, "the sizes %s … %s differ by a factor of %.2g only: extrapolation needs more",
                  cli_size(least, a), cli_size(largest, b), largest / least);
    if (wanted > far_size * largest)
        plan_warn(s, "%s is %.0f times the largest size of the sweep, %s", cli_size(wanted, a),
                  wanted / largest, cli_size(largest, b));
    if (tokens > far_size * most_tokens)
        plan_warn(s, "%s tokens are %.0f times the most of the sweep, %s", cli_size(tokens, a),
                  tokens / most_tokens, cli_size(most_tokens, b));
}

static void warn_of_runs(struct plan_summary *s)
{
    const struct mix_job *job = s->job;
    const size_t n_mixtures = job->n_mixtures + s->others.n_mixtures;
    size_t n_entries = s->others.n_losses;
    bool some_replicated = s->others.is_replicated;
    for (size_t c = 0; c < job->n_scales; c++) {
        n_entries += scale_mixtures(s, c) * job->n_targets;
        some_replicated = some_replicated || job->scales[c].n_replicates > 1;
    }
    const double wise = entries_per_param * (double)s->n_free;
    if (job->fit.law && (double)n_entries < wise)
        plan_warn(s, "%zu losses for the %zu parameters of the law %s: at least %.0f are wise",
                  n_entries, s->n_free, job->fit.law, wise);
    if (s->has_rank && s->rank < s->n_free)
        plan_warn(s, "the runs tell apart only %zu of the %zu parameters of the law %s", s->rank,
                  s->n_free, job->fit.law);
    if (n_mixtures < 2 * job->n_domains)
        plan_warn(s, "%zu mixtures of %zu domains: at least %zu are wise", n_mixtures,
                  job->n_domains, 2 * job->n_domains);
    if (!some_replicated && strcmp(job->evaluator, "table") != 0)
        plan_warn(s, "every run has one seed: nothing tells noise from the mixture "
                     "(design.replicates)");
    if (s->n_inodes > many_inodes)
        plan_warn(s, "%.0f files and folders in %s; keep: failed leaves few", s->n_inodes,
                  job->command.run_dir);
}

static void warn_of_shares(struct plan_summary *s)
{
    char a[16], b[16];
    const struct mix_job *job = s->job;
    for (size_t k = 0; k < job->n_domains; k++) {
        const char *name = job->domains[k].name;
        const struct mix_job_scale *scale = &job->scales[s->epochs_scale[k]];
        double least = s->share_min[k], most = s->share_max[k];
        for (size_t i = 0; i < s->others.n; i++) {
            least = fmin(least, s->others.mixture[i * job->n_domains + k]);
            most = fmax(most, s->others.mixture[i * job->n_domains + k]);
        }
        if (s->epochs_max[k] > many_epochs)
            plan_warn(
                s,
                "%s is repeated up to %.2g times at %s, %s tokens; beyond %.0f passes tokens are "
                "worth less (design.max_epochs; a law with +repetition)",
                name, s->epochs_max[k], cli_size(scale->n_params, a), cli_size(scale->n_tokens, b),
                many_epochs);
        if (job->n_domains > 1 && most < visible_share)
            plan_warn(s, "no mixture has more than %.2g of %s: its effect will not show", most,
                      name);
        else if (job->n_domains > 1 && most < varied * least)
            plan_warn(s, "%s hardly varies, from %.2g to %.2g: its effect will not show", name,
                      least, most);
        double floor_share = 0;
        for (size_t i = 0; i < job->n_optima; i++)
            floor_share = fmax(floor_share, job->optima[i].lower[k]);
        if (most < floor_share)
            plan_warn(s, "no mixture has as much of %s as the optimum's floor, %g", name,
                      floor_share);
    }
}

static enum mix_status allocate(struct plan_summary *s, struct mix_error *err)
{
    const size_t n = s->job->n_mixtures, n_domains = s->job->n_domains;
    s->mixtures = calloc(n * n_domains, sizeof *s->mixtures);
    s->share_min = calloc(n_domains, sizeof *s->share_min);
    s->share_mean = calloc(n_domains, sizeof *s->share_mean);
    s->share_max = calloc(n_domains, sizeof *s->share_max);
    s->epochs_max = calloc(n_domains, sizeof *s->epochs_max);
    s->epochs_scale = calloc(n_domains, sizeof *s->epochs_scale);
    s->distance = calloc(n, sizeof *s->distance);
    s->n_runs = calloc(s->job->n_scales, sizeof *s->n_runs);
    s->n_left = calloc(s->job->n_scales, sizeof *s->n_left);
    if (!s->n_runs || !s->n_left || !s->mixtures || !s->share_min || !s->share_mean ||
        !s->share_max || !s->epochs_max || !s->epochs_scale || !s->distance)
        return mix_fail(err, MIX_ENOMEM, "out of memory for the plan.");
    return MIX_OK;
}

enum mix_status plan_summarise(const char *path, const struct plan_options *options,
                               struct plan_summary *s, struct mix_error *err)
{
    *s = (struct plan_summary){.options = *options};
    enum mix_status status = mix_job_read(path, &s->job, err);
    if (status == MIX_OK)
        status = allocate(s, err);
    if (status == MIX_OK)
        status = mix_job_design(s->job, s->mixtures, err);
    if (status == MIX_OK)
        status = plan_measure_file(s, err);
    if (status != MIX_OK)
        return status;
    measure_shares(s);
    measure_spread(s);
    measure_epochs(s);
    measure_cost(s);
    status = measure_time(s, err);
    if (status == MIX_OK)
        status = check_simulation(s->job, err);
    if (status == MIX_OK)
        status = measure_rank(s, err);
    if (status == MIX_OK)
        status = plan_check_command(s, err);
    warn_of_sizes(s);
    warn_of_shares(s);
    warn_of_runs(s);
    return status;
}
