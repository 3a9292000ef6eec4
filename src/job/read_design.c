/* SPDX-License-Identifier: GPL-3.0-or-later */
/* read_design.c - the section design, and what it says about each scale. */
#include "reader.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    MIXTURES_MAX = 10000,
    REPLICATES_MAX = 1000,
    RUNS_MAX = 1000000,
    SOBOL_MAX = 40, /* dimensions of GSL */
    POINTS_MAX = 1000000
};
static const double size_max = 1e18;
static const size_t default_replicated = 4, default_seeds = 3; /* tell noise from mixture */

static void take_method(struct reader *in, const struct raw_design *raw)
{
    static const char *const methods[] = {"dirichlet", "sobol", "lattice", "file"};
    int method = raw->file ? MIX_DESIGN_FILE : raw->step ? MIX_DESIGN_LATTICE : 0;
    struct mix_job *job = in->job;
    take_word(in, "design.method", raw->method, methods, 4, &method);
    job->method = (enum mix_design_method)method;
    if (in->status != MIX_OK)
        return;
    if (job->method == MIX_DESIGN_SOBOL && job->n_domains > SOBOL_MAX)
        FAIL(in, "design.method", "sobol has at most %d domains, not %zu.", SOBOL_MAX,
             job->n_domains);
    if (job->method == MIX_DESIGN_LATTICE && !raw->step)
        FAIL(in, "design", "the key step is missing, which method lattice wants.");
    if (job->method == MIX_DESIGN_FILE && !raw->file)
        FAIL(in, "design", "the key file is missing, which method file wants.");
    if (job->method <= MIX_DESIGN_SOBOL && !raw->mixtures)
        FAIL(in, "design", "the key mixtures is missing.");
}

static void take_step(struct reader *in, const struct raw_design *raw)
{
    struct mix_job *job = in->job;
    take_number(in, "design.step", raw->step, 1e-3, 1, &job->step);
    if (in->status != MIX_OK || job->method != MIX_DESIGN_LATTICE)
        return;
    if (fabs(job->step * round(1 / job->step) - 1) > 1e-6)
        FAIL(in, "design.step", "1 is not a multiple of %.40s.", raw->step);
    else if (job_lattice_points(job) > POINTS_MAX)
        FAIL(in, "design.step", "%zu domains in steps of %.40s are %.3g mixtures, more than %d.",
             job->n_domains, raw->step, job_lattice_points(job), POINTS_MAX);
}

static void take_distribution(struct reader *in, const struct raw_design *raw)
{
    struct mix_job *job = in->job;
    job->strength_min = 0.5;
    job->strength_max = 4;
    job->temperature = 1;
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
}

static void take_match(struct reader *in, const struct raw_match_epochs *raw)
{
    struct mix_job *job = in->job;
    job->match_tokens = NAN;
    if (!raw)
        return;
    take_number(in, "design.match_epochs.n_tokens", raw->n_tokens, 1, size_max, &job->match_tokens);
    for (size_t s = 0; in->status == MIX_OK && s < job->n_scales; s++)
        if (job->scales[s].n_tokens > job->match_tokens)
            FAIL(in, "design.match_epochs.n_tokens",
                 "%.40s are fewer than the %.15g of scales[%zu].", raw->n_tokens,
                 job->scales[s].n_tokens, s);
}

/* Caps on repetition want a supply, and must leave room for a mixture. */
static void take_epochs(struct reader *in, const struct raw_design *raw)
{
    struct mix_job *job = in->job;
    double caps[MIX_DOMAINS_MAX];
    bool has_supply = false;
    job->max_epochs = INFINITY;
    take_match(in, raw->match_epochs);
    take_number(in, "design.max_epochs", raw->max_epochs, 1e-3, 1e6, &job->max_epochs);
    for (size_t k = 0; k < job->n_domains; k++)
        has_supply = has_supply || !isnan(job->domains[k].supply_tokens);
    if (in->status != MIX_OK)
        return;
    if (!has_supply && (raw->max_epochs || raw->match_epochs))
        FAIL(in, raw->max_epochs ? "design.max_epochs" : "design.match_epochs",
             "no domain has supply_tokens, so that nothing repeats.");
    else if (job_caps(job, caps) < 1 - 1e-9)
        FAIL(in, "design.max_epochs",
             "%.40s passes over every domain are %.3g of the tokens of the largest scale; more "
             "passes or supply are needed.",
             raw->max_epochs, job_caps(job, caps));
}

/* A list of mixtures is taken as it is: none may repeat a domain too often. */
static void check_listed(struct reader *in)
{
    const struct mix_job *job = in->job;
    double caps[MIX_DOMAINS_MAX];
    job_caps(job, caps);
    for (size_t i = 0; in->status == MIX_OK && i < job->n_listed; i++)
        for (size_t k = 0; in->status == MIX_OK && k < job->n_domains; k++) {
            const double share = job->listed[i * job->n_domains + k];
            if (share > caps[k] + 1e-9)
                FAIL(in, "design.file",
                     "mixture %zu has %.6g of %s; design.max_epochs allows %.6g.", i + 1, share,
                     job->domains[k].name, caps[k]);
        }
}

/* Where the number of mixtures is left out it is that of the list. */
static void count_mixtures(struct reader *in)
{
    struct mix_job *job = in->job;
    double *mixtures = take_memory(in, (MIXTURES_MAX + 1) * job->n_domains, sizeof *mixtures);
    if (!mixtures)
        return;
    job->n_mixtures = job_make_mixtures(job, MIXTURES_MAX + 1, mixtures);
    free(mixtures);
    if (job->n_mixtures == SIZE_MAX)
        in->status = mix_fail(in->err, MIX_ENOMEM, "%s: out of memory.", in->document.path);
    else if (job->n_mixtures == 0)
        FAIL(in, "design", "there is no mixture in steps of %g within the other keys.", job->step);
    else if (job->n_mixtures > MIXTURES_MAX)
        FAIL(in, "design", "the key mixtures is missing; there are more than %d.", MIXTURES_MAX);
}

/* The scales whose runs cost least and most. */
static void find_ends(const struct mix_job *job, size_t *least, size_t *most)
{
    *least = *most = 0;
    for (size_t s = 1; s < job->n_scales; s++) {
        const double flops = mix_job_flops(&job->scales[s]);
        if (flops < mix_job_flops(&job->scales[*least]))
            *least = s;
        if (flops > mix_job_flops(&job->scales[*most]))
            *most = s;
    }
}

/* A number: so many seeds of every mixture everywhere. A section, or nothing: of the first mixtures
 * at the ends of the scales; recorded runs have the seeds they have, and listed mixtures are run as
 * they are listed. */
static void take_replicates(struct reader *in, const struct raw_job *raw)
{
    static const char *const key = "design.replicates";
    struct mix_job *job = in->job;
    const char *all = job_document_text(&in->document, key);
    size_t n_replicated = default_replicated, n_seeds = default_seeds, least, most;
    const bool is_table = raw->sweep && strcmp(raw->sweep->evaluator, "table") == 0;
    const bool is_given = is_table || job->method == MIX_DESIGN_FILE;
    if (all)
        take_count(in, key, all, 1, REPLICATES_MAX, &n_seeds);
    else if (is_given && !job_document_has(&in->document, key))
        n_seeds = 1;
    take_count(in, "design.replicates.mixtures",
               job_document_text(&in->document, "design.replicates.mixtures"), 1, MIXTURES_MAX,
               &n_replicated);
    take_count(in, "design.replicates.seeds",
               job_document_text(&in->document, "design.replicates.seeds"), 1, REPLICATES_MAX,
               &n_seeds);
    find_ends(job, &least, &most);
    for (size_t s = 0; s < job->n_scales; s++) {
        struct mix_job_scale *scale = &job->scales[s];
        scale->n_replicates = all || s == least || s == most ? n_seeds : 1;
        scale->n_replicated = all ? SIZE_MAX : n_replicated;
    }
}

static void take_counts(struct reader *in, const struct raw_scale *raw)
{
    struct mix_job *job = in->job;
    size_t n_runs = 0;
    for (size_t s = 0; s < job->n_scales; s++) {
        struct mix_job_scale *scale = &job->scales[s];
        ITEM_KEY(mixtures, "scales[%zu].mixtures", s);
        ITEM_KEY(replicates, "scales[%zu].replicates", s);
        take_count(in, mixtures, raw[s].mixtures, 1, job->n_mixtures ? job->n_mixtures : 1,
                   &scale->n_mixtures);
        if (raw[s].replicates)
            scale->n_replicated = SIZE_MAX;
        take_count(in, replicates, raw[s].replicates, 1, REPLICATES_MAX, &scale->n_replicates);
        if (job->listed_runs && raw[s].replicates)
            FAIL(in, replicates, "design.file lists the runs; each is a line of it.");
        if (job->listed_runs)
            scale->n_replicates = 1;
        n_runs += mix_job_n_runs(job, scale);
    }
    if (in->status == MIX_OK && n_runs > RUNS_MAX)
        FAIL(in, "scales", "%zu runs are more than %d.", n_runs, RUNS_MAX);
}

void take_design(struct reader *in, const struct raw_job *raw_job)
{
    static char one[] = "1"; /* a job for online mixing alone: of a sweep, the prior */
    static const struct raw_design prior = {.mixtures = one};
    const struct raw_design *raw = raw_job->design ? raw_job->design : &prior;
    struct mix_job *job = in->job;
    if (in->status == MIX_OK && !raw_job->design && !raw_job->online && !raw_job->agent)
        FAIL(in, "", "the key design is missing.");
    if (in->status != MIX_OK)
        return;
    job->has_design = raw_job->design != NULL;
    take_method(in, raw);
    const bool is_listed = job->method >= MIX_DESIGN_LATTICE;
    job->include_prior = job->include_uniform = !is_listed;
    take_count(in, "design.mixtures", raw->mixtures, 1, MIXTURES_MAX, &job->n_mixtures);
    take_distribution(in, raw);
    take_bool(in, "design.include_prior", raw->include_prior, &job->include_prior);
    take_bool(in, "design.include_uniform", raw->include_uniform, &job->include_uniform);
    take_number(in, "design.corner_share", raw->corner_share, 0, 1, &job->corner_share);
    take_number(in, "design.min_distance", raw->min_distance, 0, 1, &job->min_distance);
    take_step(in, raw);
    take_epochs(in, raw);
    if (in->status == MIX_OK && job->method == MIX_DESIGN_FILE) {
        take_mixtures(in, "design.file", raw->file);
        check_listed(in);
    }
    if (in->status == MIX_OK && is_listed && !raw->mixtures)
        count_mixtures(in);
    take_replicates(in, raw_job);
    if (in->status == MIX_OK)
        take_counts(in, raw_job->scales);
}
