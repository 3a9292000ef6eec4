/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mixsweep/job.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reader.h"
#include "schema.h"

enum {
    FILE_MAX = 1 << 20,
    MIXTURES_MAX = 10000,
    REPLICATES_MAX = 1000,
    RUNS_MAX = 1000000,
    STARTS_MAX = 100000,
    DRAWS_MAX = 1000000,
    NUMBER_MAX = 64
};
static const double size_max = 1e18;      /* parameters or tokens */
static const double sum_tolerance = 1e-3; /* how far priors may sum from 1 */
static const double share_min = 1e-6;     /* the lattice of mixtures */

#define ITEM_KEY(key, ...)                                                                         \
    char key[JOB_KEY_MAX];                                                                         \
    snprintf(key, sizeof key, __VA_ARGS__)

/* Refuse a name that an earlier entry of the list has. `names` are `stride`
 * bytes apart. */
static void check_unique(struct reader *in, const char *list, const char *names, size_t stride,
                         size_t i)
{
    for (size_t j = 0; in->status == MIX_OK && j < i; j++)
        if (strcmp(names + j * stride, names + i * stride) == 0) {
            ITEM_KEY(key, "%s[%zu].name", list, i);
            FAIL(in, key, "%s is the name of an earlier entry too.", names + i * stride);
        }
}

/* Priors are given for all domains (and then sum to 1 within the tolerance) or
 * for none. */
static void take_priors(struct reader *in, const struct raw_job *raw)
{
    struct mix_job *job = in->job;
    double sum = 0;
    size_t n_given = 0;
    for (size_t k = 0; k < job->n_domains; k++) {
        ITEM_KEY(key, "domains[%zu].prior", k);
        job->domains[k].prior = 1.0 / (double)job->n_domains;
        take_number(in, key, raw->domains[k].prior, share_min, 1, &job->domains[k].prior);
        n_given += raw->domains[k].prior != NULL;
        sum += job->domains[k].prior;
    }
    for (size_t k = 0; in->status == MIX_OK && k < job->n_domains; k++) {
        ITEM_KEY(key, "domains[%zu]", k);
        if (n_given > 0 && !raw->domains[k].prior)
            FAIL(in, key, "prior is missing; give it for all domains or for none.");
    }
    if (in->status == MIX_OK && fabs(sum - 1) > sum_tolerance)
        FAIL(in, "domains", "the priors sum to %.6g; they must sum to 1 within %g.", sum,
             sum_tolerance);
    for (size_t k = 0; k < job->n_domains; k++)
        job->domains[k].prior /= sum;
}

static void take_domains(struct reader *in, const struct raw_job *raw)
{
    struct mix_job *job = in->job;
    job->domains = take_memory(in, raw->n_domains, sizeof *job->domains);
    if (!job->domains)
        return;
    job->n_domains = raw->n_domains;
    for (size_t k = 0; k < job->n_domains; k++) {
        struct mix_domain *domain = &job->domains[k];
        ITEM_KEY(name, "domains[%zu].name", k);
        ITEM_KEY(supply, "domains[%zu].supply_tokens", k);
        ITEM_KEY(content, "domains[%zu].content", k);
        take_name(in, name, raw->domains[k].name, domain->name, sizeof domain->name);
        check_unique(in, "domains", job->domains->name, sizeof *domain, k);
        domain->supply_tokens = NAN;
        take_number(in, supply, raw->domains[k].supply_tokens, 1, size_max, &domain->supply_tokens);
        take_text(in, content, raw->domains[k].content, domain->content, sizeof domain->content);
    }
    take_priors(in, raw);
}

static int domain_index(const struct mix_job *job, const char *name)
{
    for (size_t k = 0; k < job->n_domains; k++)
        if (strcmp(job->domains[k].name, name) == 0)
            return (int)k;
    return -1;
}

static void take_target(struct reader *in, const struct raw_target *raw, size_t m)
{
    static const char *const directions[] = {"lower", "higher"};
    struct mix_target *target = &in->job->targets[m];
    ITEM_KEY(name, "targets[%zu].name", m);
    ITEM_KEY(unit, "targets[%zu].unit", m);
    ITEM_KEY(direction, "targets[%zu].direction", m);
    ITEM_KEY(weight, "targets[%zu].weight", m);
    int is_higher = 0;
    take_name(in, name, raw->name, target->name, sizeof target->name);
    check_unique(in, "targets", in->job->targets->name, sizeof *target, m);
    take_text(in, unit, raw->unit, target->unit, sizeof target->unit);
    take_word(in, direction, raw->direction, directions, 2, &is_higher);
    take_number(in, weight, raw->weight, 0, 1e6, &target->weight);
    target->direction = is_higher ? 1 : -1;
    target->domain = domain_index(in->job, target->name);
}

/* Without targets the domains are the targets. */
static void take_targets(struct reader *in, const struct raw_job *raw)
{
    struct mix_job *job = in->job;
    size_t n = raw->n_targets ? raw->n_targets : job->n_domains;
    double sum = 0;
    job->targets = take_memory(in, n, sizeof *job->targets);
    if (!job->targets)
        return;
    job->n_targets = n;
    for (size_t m = 0; m < n; m++) {
        struct raw_target of_domain = {.name = raw->n_targets ? NULL : job->domains[m].name};
        job->targets[m] = (struct mix_target){
            .unit = "nats/token", .transform = "none", .weight = 1, .direction = -1};
        take_target(in, raw->n_targets ? &raw->targets[m] : &of_domain, m);
        sum += job->targets[m].weight;
    }
    if (in->status == MIX_OK && sum <= 0)
        FAIL(in, "targets", "all weights are 0; at least one must be larger.");
}

static void take_design(struct reader *in, const struct raw_design *raw)
{
    struct mix_job *job = in->job;
    job->strength_min = 0.5;
    job->strength_max = 4;
    job->temperature = 1;
    job->include_prior = job->include_uniform = true;
    job->n_replicates = 1;
    take_count(in, "design.mixtures", raw->mixtures, 1, MIXTURES_MAX, &job->n_mixtures);
    if (raw->strength) {
        take_number(in, "design.strength[0]", raw->strength[0], 1e-3, 1e6, &job->strength_min);
        take_number(in, "design.strength[1]", raw->strength[1], 1e-3, 1e6, &job->strength_max);
    }
    if (in->status == MIX_OK && job->strength_min > job->strength_max)
        FAIL(in, "design.strength", "the least, %g, is larger than the largest, %g.",
             job->strength_min, job->strength_max);
    take_number(in, "design.temperature", raw->temperature, 0.01, 100, &job->temperature);
    take_number(in, "design.minimum_share", raw->minimum_share, 0, 1.0 / (double)job->n_domains,
                &job->minimum_share);
    take_bool(in, "design.include_prior", raw->include_prior, &job->include_prior);
    take_bool(in, "design.include_uniform", raw->include_uniform, &job->include_uniform);
    take_count(in, "design.replicates", raw->replicates, 1, REPLICATES_MAX, &job->n_replicates);
}

static void take_scales(struct reader *in, const struct raw_job *raw)
{
    struct mix_job *job = in->job;
    job->scales = take_memory(in, raw->n_scales, sizeof *job->scales);
    if (!job->scales)
        return;
    job->n_scales = raw->n_scales;
    size_t n_runs = 0;
    for (size_t s = 0; s < job->n_scales; s++) {
        struct mix_job_scale *scale = &job->scales[s];
        ITEM_KEY(n_params, "scales[%zu].n_params", s);
        ITEM_KEY(n_tokens, "scales[%zu].n_tokens", s);
        ITEM_KEY(mixtures, "scales[%zu].mixtures", s);
        ITEM_KEY(item, "scales[%zu]", s);
        take_number(in, n_params, raw->scales[s].n_params, 1, size_max, &scale->n_params);
        take_number(in, n_tokens, raw->scales[s].n_tokens, 1, size_max, &scale->n_tokens);
        take_count(in, mixtures, raw->scales[s].mixtures, 1, job->n_mixtures ? job->n_mixtures : 1,
                   &scale->n_mixtures);
        for (size_t t = 0; in->status == MIX_OK && t < s; t++)
            if (job->scales[t].n_params == scale->n_params &&
                job->scales[t].n_tokens == scale->n_tokens)
                FAIL(in, item, "the same n_params and n_tokens as an earlier entry.");
        n_runs += (scale->n_mixtures ? scale->n_mixtures : job->n_mixtures) * job->n_replicates;
    }
    if (in->status == MIX_OK && n_runs > RUNS_MAX)
        FAIL(in, "scales", "%zu runs are more than %d.", n_runs, RUNS_MAX);
}

static void take_law(struct reader *in, const char *key, const char *text, const char **out)
{
    const char *names[16];
    size_t n = 0;
    int index = -1;
    for (; n < 16 && mix_law_get(n); n++)
        names[n] = mix_law_name(mix_law_get(n));
    take_word(in, key, text, names, n, &index);
    if (index >= 0)
        *out = names[index];
}

enum mix_status mix_job_model(const struct mix_job *job, const char *law, int form,
                              struct mix_model **out, struct mix_error *err)
{
    struct mix_law_spec spec = {.form = form,
                                .n_domains = job->n_domains,
                                .n_targets = job->n_targets,
                                .n_min = INFINITY,
                                .h_min = 1e-4};
    snprintf(spec.law, sizeof spec.law, "%s", law);
    bool has_terms = strcmp(spec.law, "capacity") != 0;
    for (size_t s = 0; s < job->n_scales; s++) {
        const struct mix_job_scale *scale = &job->scales[s], *first = &job->scales[0];
        spec.n_min = fmin(spec.n_min, scale->n_params / 1e6);
        spec.has_size_term |= has_terms && scale->n_params != first->n_params;
        spec.has_token_term |= has_terms && scale->n_tokens != first->n_tokens;
    }
    int target_domain[MIX_DOMAINS_MAX];
    for (size_t m = 0; m < job->n_targets; m++)
        target_domain[m] = job->targets[m].domain;
    return mix_model_create(&spec, target_domain, out, err);
}

/* True where the law has a parameter of this name; else `near` is the nearest
 * or "". */
static bool law_has_param(const struct mix_job *job, struct mix_model *model, const char *name,
                          char near[2 * MIX_NAME_MAX])
{
    const char *domains[MIX_DOMAINS_MAX], *targets[MIX_DOMAINS_MAX];
    for (size_t k = 0; k < job->n_domains; k++)
        domains[k] = job->domains[k].name;
    for (size_t m = 0; m < job->n_targets; m++)
        targets[m] = job->targets[m].name;
    near[0] = '\0';
    for (size_t p = 0; p < mix_model_n_params(model); p++) {
        char known[2 * MIX_NAME_MAX], unit[MIX_UNIT_MAX];
        mix_model_param_name(model, p, domains, targets, known, unit);
        if (strcmp(known, name) == 0)
            return true;
        const char *const one = known;
        if (!near[0] && job_nearest(name, &one, 1))
            memcpy(near, known, sizeof known);
    }
    return false;
}

static void take_simulate_params(struct reader *in, struct mix_model *model)
{
    struct mix_job_simulate *simulate = &in->job->simulate;
    const char *key = "sweep.simulate.params", *name, *text;
    size_t n = 0;
    while (job_document_entry(&in->document, key, n, &name, &text))
        n++;
    simulate->param_names = take_memory(in, n, sizeof *simulate->param_names);
    simulate->params = take_memory(in, n, sizeof *simulate->params);
    for (size_t i = 0; in->status == MIX_OK && i < n; i++) {
        char near[2 * MIX_NAME_MAX];
        job_document_entry(&in->document, key, i, &name, &text);
        ITEM_KEY(item, "%s.%.64s", key, name);
        if (!law_has_param(in->job, model, name, near))
            FAIL(in, item, "the law %s has no such parameter%s%s%s.", simulate->law,
                 near[0] ? "; did you mean " : "", near, near[0] ? "?" : "");
        take_number(in, item, text ? text : "", 0, 1e12, &simulate->params[i]);
        snprintf(simulate->param_names[i], sizeof simulate->param_names[i], "%s", name);
        simulate->n_params = i + 1;
    }
}

static void take_simulate(struct reader *in, const struct raw_simulate *raw)
{
    static const char *const key = "sweep.simulate";
    struct mix_job_simulate *simulate = &in->job->simulate;
    const char *law = NULL;
    if (!raw) {
        if (in->status == MIX_OK)
            FAIL(in, "sweep", "the evaluator simulate wants a section simulate.");
        return;
    }
    simulate->seed = in->job->seed;
    take_law(in, "sweep.simulate.law", raw->law, &law);
    take_number(in, "sweep.simulate.noise", raw->noise, 0, 1, &simulate->noise);
    take_seed(in, "sweep.simulate.seed", raw->seed, &simulate->seed);
    take_number(in, "sweep.simulate.delay_s", raw->delay_s, 0, 86400, &simulate->delay_s);
    if (in->status != MIX_OK)
        return;
    snprintf(simulate->law, sizeof simulate->law, "%s", law);
    struct mix_model *model;
    struct mix_error reason = {.text = ""};
    if (mix_job_model(in->job, law, 0, &model, &reason) != MIX_OK) {
        FAIL(in, key, "%s", reason.text);
        return;
    }
    take_simulate_params(in, model);
    mix_model_destroy(model);
}

static void take_sweep(struct reader *in, const struct raw_sweep *raw)
{
    static const char *const evaluators[] = {"simulate"};
    int index = 0;
    take_word(in, "sweep.evaluator", raw->evaluator, evaluators, 1, &index);
    snprintf(in->job->evaluator, sizeof in->job->evaluator, "%s", evaluators[index]);
    take_simulate(in, raw->simulate);
}

/* "auto", "none", "scale", "both" or "mixture:0.3". */
static void check_holdout(struct reader *in, const char *text)
{
    static const char *const words[] = {"auto", "none", "scale", "both", "mixture"};
    double share;
    int ignored;
    if (in->status != MIX_OK || !text)
        return;
    if (strncmp(text, "mixture:", 8) != 0)
        take_word(in, "fit.holdout", text, words, 5, &ignored);
    else if (!parse_number(text + 8, &share) || share <= 0 || share >= 1)
        FAIL(in, "fit.holdout", "the share in \"%.40s\" is not between 0 and 1.", text);
}

/* "domains", "all", or names of targets joined by commas. */
static void check_fit_targets(struct reader *in, const char *text)
{
    const struct mix_job *job = in->job;
    if (in->status != MIX_OK || strcmp(text, "all") == 0 || strcmp(text, "domains") == 0)
        return;
    for (const char *name = text; in->status == MIX_OK; name++) {
        size_t n = strcspn(name, ",");
        bool known = false;
        for (size_t m = 0; m < job->n_targets; m++)
            known |= strncmp(job->targets[m].name, name, n) == 0 && !job->targets[m].name[n];
        if (!known)
            FAIL(in, "fit.targets",
                 "\"%.*s\" is not a target; allowed are domains, all, or names "
                 "joined by commas.",
                 (int)(n < 64 ? n : 64), name);
        name += n;
        if (!*name)
            return;
    }
}

/* The terms are tried on the planned runs, so that a slip shows before the
 * sweep. */
static void check_where(struct reader *in)
{
    struct mix_table *plan = NULL;
    struct mix_error reason = {.text = ""};
    size_t n_pass = 0;
    if (in->status != MIX_OK || !in->job->fit.selection.where[0])
        return;
    enum mix_status status = mix_job_plan(in->job, &plan, &reason);
    for (size_t r = 0; status == MIX_OK && r < plan->n_rows; r++) {
        bool pass = false;
        status = mix_table_where(plan, in->job->fit.selection.where, r, &pass, &reason);
        n_pass += pass;
    }
    mix_table_destroy(plan);
    if (status != MIX_OK)
        FAIL(in, "fit.where", "%s", reason.text);
    else if (n_pass == 0)
        FAIL(in, "fit.where", "no planned run passes \"%.80s\".", in->job->fit.selection.where);
}

static void take_fit(struct reader *in, const struct raw_fit *raw)
{
    static const char *const checkpoints[] = {"last", "all"};
    static const char *const forms[] = {"full", "eq1", "eq3"};
    static const int form_of[] = {0, 1, 3};
    int form = 0;
    struct mix_fit_options defaults = mix_fit_options_default();
    struct mix_fit_options *fit = &in->job->fit;
    int last_or_all = MIX_CHECKPOINTS_LAST;
    char name[MIX_NAME_MAX] = "";
    if (in->status != MIX_OK || !raw)
        return;
    const char *law = defaults.law;
    take_law(in, "fit.law", raw->law, &law);
    take_word(in, "fit.form", raw->form, forms, 3, &form);
    fit->form = form_of[form];
    if (form != 0 && strcmp(law, "capacity") != 0)
        FAIL(in, "fit.form", "%s is a form of law capacity, not of %s.", forms[form], law);
    take_name(in, "fit.name", raw->name, name, sizeof name);
    fit->selection = defaults.selection;
    take_text(in, "fit.where", raw->where, fit->selection.where, sizeof fit->selection.where);
    take_word(in, "fit.checkpoints", raw->checkpoints, checkpoints, 2, &last_or_all);
    fit->selection.checkpoints = last_or_all ? MIX_CHECKPOINTS_ALL : MIX_CHECKPOINTS_LAST;
    take_text(in, "fit.targets", raw->targets, fit->selection.targets,
              sizeof fit->selection.targets);
    fit->n_starts = defaults.n_starts;
    take_count(in, "fit.starts", raw->starts, 1, STARTS_MAX, &fit->n_starts);
    take_number(in, "fit.mask_below", raw->mask_below, 0, 1, &fit->selection.mask_below);
    fit->seed = in->job->seed;
    take_seed(in, "fit.seed", raw->seed, &fit->seed);
    check_holdout(in, raw->holdout);
    check_fit_targets(in, fit->selection.targets);
    check_where(in);
    take_copy(in, law, &fit->law);
    take_copy(in, raw->name ? name : law, &fit->name);
    take_copy(in, raw->holdout ? raw->holdout : defaults.holdout, &fit->holdout);
}

static void take_bootstrap(struct reader *in, const struct raw_bootstrap *raw)
{
    static const char *const clusters[] = {"mixture", "run"};
    int cluster = 0;
    if (in->status != MIX_OK || !raw)
        return;
    if (!in->job->fit.law) {
        FAIL(in, "bootstrap", "there is no section fit to resample.");
        return;
    }
    in->job->n_draws = 1000;
    take_count(in, "bootstrap.draws", raw->draws, 1, DRAWS_MAX, &in->job->n_draws);
    take_word(in, "bootstrap.cluster", raw->cluster, clusters, 2, &cluster);
    take_bool(in, "bootstrap.bayesian", raw->bayesian, &in->job->bayesian);
    in->job->cluster_run = cluster == 1;
}

/* Numbers of a free mapping whose names are domains or targets, into `out` by
 * index. */
static void take_named(struct reader *in, const char *key, const char *names, size_t stride,
                       size_t n_names, double min, double max, double *out)
{
    const char *name, *text;
    for (size_t i = 0;
         in->status == MIX_OK && job_document_entry(&in->document, key, i, &name, &text); i++) {
        const char *known[MIX_DOMAINS_MAX];
        size_t j = n_names;
        for (size_t k = 0; k < n_names; k++) {
            known[k] = names + k * stride;
            if (strcmp(known[k], name) == 0)
                j = k;
        }
        ITEM_KEY(item, "%s.%.64s", key, name);
        if (j < n_names) {
            take_number(in, item, text ? text : "", min, max, &out[j]);
            continue;
        }
        const char *near = job_nearest(name, known, n_names);
        if (near)
            FAIL(in, item, "there is no such name; did you mean %s?", near);
        else
            FAIL(in, item, "there is no such name.");
    }
}

/* lower <= upper for each domain, and room for a sum of 1. */
static void check_bounds(struct reader *in)
{
    const struct mix_job *job = in->job;
    const struct mix_optimum_options *optimum = &job->optimum;
    double sum_upper = 0, sum_lower = 0;
    for (size_t k = 0; in->status == MIX_OK && k < job->n_domains; k++) {
        ITEM_KEY(key, "optimum.caps.%s", job->domains[k].name);
        if (optimum->upper[k] < optimum->lower[k])
            FAIL(in, key, "the cap %g is below the floor %g.", optimum->upper[k],
                 optimum->lower[k]);
        sum_upper += optimum->upper[k];
        sum_lower += optimum->lower[k];
    }
    if (in->status == MIX_OK && sum_lower > 1 + 1e-12)
        FAIL(in, "optimum.floor", "%zu floors of %g sum to more than 1; at most %g is possible.",
             job->n_domains, optimum->lower[0], 1.0 / (double)job->n_domains);
    if (in->status == MIX_OK && sum_upper < 1 - 1e-12)
        FAIL(in, "optimum.caps", "the caps sum to %g; they must leave room for 1.", sum_upper);
}

static void take_weights(struct reader *in)
{
    struct mix_job *job = in->job;
    const char *name, *text;
    double sum = 0;
    if (!job_document_entry(&in->document, "optimum.weights", 0, &name, &text))
        return;
    double *weight = take_memory(in, job->n_targets, sizeof *weight);
    job->optimum.weight = weight;
    if (!weight)
        return;
    for (size_t m = 0; m < job->n_targets; m++)
        weight[m] = job->targets[m].weight;
    take_named(in, "optimum.weights", job->targets->name, sizeof *job->targets, job->n_targets, 0,
               1e6, weight);
    for (size_t m = 0; m < job->n_targets; m++)
        sum += weight[m];
    if (in->status == MIX_OK && sum <= 0)
        FAIL(in, "optimum.weights", "all weights are 0; at least one must be larger.");
}

static void take_optimum(struct reader *in, const struct raw_optimum *raw)
{
    static const char *const baselines[] = {"uniform", "prior"};
    struct mix_job *job = in->job;
    struct mix_optimum_options *optimum = &job->optimum;
    int baseline = 0;
    double floor_share = 1e-4;
    if (in->status != MIX_OK || !raw)
        return;
    if (!job->fit.law) {
        FAIL(in, "optimum", "there is no section fit to extrapolate.");
        return;
    }
    double *lower = take_memory(in, job->n_domains, sizeof *lower);
    double *upper = take_memory(in, job->n_domains, sizeof *upper);
    double *prior = take_memory(in, job->n_domains, sizeof *prior);
    optimum->lower = lower;
    optimum->upper = upper;
    optimum->baseline = prior;
    take_number(in, "optimum.n_params", raw->n_params, 1, size_max, &optimum->n_params);
    take_number(in, "optimum.n_tokens", raw->n_tokens, 1, size_max, &optimum->n_tokens);
    take_number(in, "optimum.floor", raw->floor, 0, 1, &floor_share);
    optimum->level = 0.9;
    take_number(in, "optimum.level", raw->level, 0.01, 0.9999, &optimum->level);
    take_word(in, "optimum.baseline", raw->baseline, baselines, 2, &baseline);
    if (in->status != MIX_OK)
        return;
    for (size_t k = 0; k < job->n_domains; k++) {
        lower[k] = floor_share;
        upper[k] = 1;
        prior[k] = baseline ? job->domains[k].prior : 1.0 / (double)job->n_domains;
    }
    take_named(in, "optimum.caps", job->domains->name, sizeof *job->domains, job->n_domains, 0, 1,
               upper);
    check_bounds(in);
    take_weights(in);
    optimum->baseline_name = baselines[baseline];
    optimum->seed = 1;
    optimum->n_starts = 32;
}

static void take_job(struct reader *in, const struct raw_job *raw)
{
    struct mix_job *job = in->job;
    job->seed = 1;
    take_name(in, "job", raw->job, job->name, sizeof job->name);
    take_text(in, "file", raw->file, job->file, sizeof job->file);
    take_seed(in, "seed", raw->seed, &job->seed);
    take_name(in, "recipe", raw->recipe, job->recipe, sizeof job->recipe);
    take_domains(in, raw);
    take_targets(in, raw);
    if (in->status != MIX_OK)
        return;
    take_design(in, raw->design);
    take_scales(in, raw);
    take_sweep(in, raw->sweep);
    take_fit(in, raw->fit);
    take_bootstrap(in, raw->bootstrap);
    take_optimum(in, raw->optimum);
}

enum mix_status mix_job_text(const char *path, char **out, struct mix_error *err)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return mix_fail(err, errno == ENOENT ? MIX_ENOTFOUND : MIX_EIO, "%s: %s.", path,
                        strerror(errno));
    char *text = malloc(FILE_MAX + 2);
    size_t n = text ? fread(text, 1, FILE_MAX + 1, file) : 0;
    int failed = ferror(file) ? errno : 0;
    fclose(file);
    if (!text)
        return mix_fail(err, MIX_ENOMEM, "%s: out of memory.", path);
    enum mix_status status = MIX_OK;
    if (failed)
        status = mix_fail(err, MIX_EIO, "%s: %s.", path, strerror(failed));
    else if (n > FILE_MAX)
        status = mix_fail(err, MIX_EINVAL, "%s: longer than 1 MB, which no job file is.", path);
    else if (memchr(text, '\0', n))
        status = mix_fail(err, MIX_EINVAL, "%s: not a text file (it has a zero byte).", path);
    if (status != MIX_OK) {
        free(text);
        return status;
    }
    text[n] = '\0';
    *out = text;
    return MIX_OK;
}

/* libcyaml reports by callback; the last line stays. It speaks only where our
 * own check and libcyaml disagree. */
static void keep_line(cyaml_log_t level, void *context, const char *format, va_list arguments)
{
    struct mix_error *line = context;
    if (level >= CYAML_LOG_ERROR)
        vsnprintf(line->text, sizeof line->text, format, arguments);
}

static enum mix_status load(struct reader *in, const char *text, size_t n_bytes)
{
    struct mix_error line = {.text = ""};
    const cyaml_config_t config = {.log_fn = keep_line,
                                   .log_ctx = &line,
                                   .log_level = CYAML_LOG_ERROR,
                                   .mem_fn = cyaml_mem,
                                   .flags = CYAML_CFG_DEFAULT};
    struct raw_job *raw = NULL;
    cyaml_err_t failure = cyaml_load_data((const uint8_t *)text, n_bytes, &config, &job_schema,
                                          (cyaml_data_t **)&raw, NULL);
    if (failure != CYAML_OK)
        return mix_fail(in->err, failure == CYAML_ERR_OOM ? MIX_ENOMEM : MIX_EINVAL,
                        "%s: libcyaml refuses it: %s (%s).", in->document.path,
                        cyaml_strerror(failure), line.text);
    take_job(in, raw);
    cyaml_free(&config, &job_schema, raw, 0);
    return in->status;
}

enum mix_status mix_job_parse(const char *path, const char *text, struct mix_job **out,
                              struct mix_error *err)
{
    assert(text);
    size_t n_bytes = strlen(text);
    struct reader in = {.err = err};
    enum mix_status status = job_document_parse(path, text, n_bytes, &in.document, err);
    if (status != MIX_OK)
        return status;
    in.job = calloc(1, sizeof *in.job);
    char *copy = malloc(n_bytes + 1);
    if (!in.job || !copy) {
        free(copy);
        status = mix_fail(err, MIX_ENOMEM, "%s: out of memory.", path);
        goto out;
    }
    memcpy(copy, text, n_bytes + 1);
    in.job->text = copy;
    status = job_document_check(&in.document, &job_schema, err);
    if (status == MIX_OK)
        status = load(&in, text, n_bytes);
out:
    job_document_close(&in.document);
    if (status == MIX_OK)
        *out = in.job;
    else
        mix_job_destroy(in.job);
    return status;
}

enum mix_status mix_job_read(const char *path, struct mix_job **out, struct mix_error *err)
{
    char *text = NULL;
    enum mix_status status = mix_job_text(path, &text, err);
    if (status == MIX_OK)
        status = mix_job_parse(path, text, out, err);
    free(text);
    return status;
}

/* The members that are shown read-only to the rest were allocated here. */
static void free_const(const void *memory)
{
    free((void *)memory);
}

void mix_job_destroy(struct mix_job *job)
{
    if (!job)
        return;
    free(job->domains);
    free(job->targets);
    free(job->scales);
    free(job->simulate.param_names);
    free(job->simulate.params);
    free_const(job->fit.law);
    free_const(job->fit.name);
    free_const(job->fit.holdout);
    free_const(job->optimum.weight);
    free_const(job->optimum.lower);
    free_const(job->optimum.upper);
    free_const(job->optimum.baseline);
    free(job->text);
    free(job);
}
