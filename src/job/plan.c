/* SPDX-License-Identifier: GPL-3.0-or-later */
/* plan.c - the runs of a job: scales x mixtures x seeds, made one by one. */
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reader.h"

enum { SIZE_TEXT = 24, RUN_SEED_BITS = 31 };

/* The runs of a scale: first all mixtures with one seed, then again those that have more. Or one
 * run, of a list or one that was chosen later. */
struct block {
    size_t scale; /* of the job */
    size_t first; /* number of its first run */
    size_t n_mixtures, n_replicated, n_replicates;
    size_t mixture, replicate; /* of its first run */
    int round;
    size_t chosen; /* row of job->chosen, or SIZE_MAX */
    double flops;  /* of a run */
    char n_params[SIZE_TEXT], n_tokens[SIZE_TEXT];
};

struct mix_plan {
    const struct mix_job *job;
    size_t n_mixtures;
    double *mixtures;      /* (n_mixtures,K) */
    struct mix_key *names; /* (n_mixtures) hashes that names are made from */
    struct mix_key *seeds; /* (n_mixtures) hashes that seeds are made from */
    size_t n_blocks;
    struct block *blocks; /* (n_blocks) the dearest first */
    size_t n_runs;
};

double mix_job_flops(const struct mix_job_scale *scale)
{
    if (scale->shape.width > 0)
        return mix_proxy_flops(&scale->shape, scale->n_tokens);
    return 6 * scale->n_params * scale->n_tokens;
}

static bool is_at(const struct mix_job *job, const struct mix_job_listed *listed,
                  const struct mix_job_scale *scale)
{
    const struct mix_job_scale *at = &job->scales[listed->scale];
    return listed->mixture < job->n_mixtures && at->n_params == scale->n_params &&
           at->n_tokens == scale->n_tokens;
}

size_t mix_job_n_runs(const struct mix_job *job, const struct mix_job_scale *scale)
{
    if (scale->is_added)
        return 0;
    if (job->listed_runs && !job->given) {
        size_t n_listed = 0;
        for (size_t i = 0; i < job->n_listed_runs; i++)
            n_listed += is_at(job, &job->listed_runs[i], scale);
        return n_listed;
    }
    const size_t n_all = job->given ? job->n_given : job->n_mixtures;
    const size_t n = scale->n_mixtures > 0 && scale->n_mixtures < n_all ? scale->n_mixtures : n_all;
    const size_t n_more = scale->n_replicated < n && !job->given ? scale->n_replicated : n;
    return n + n_more * (scale->n_replicates - 1);
}

/* "122M" where that is the whole number, else all its digits: a text that names one size only. */
static void exact_size(double value, char text[SIZE_TEXT])
{
    static const struct {
        double factor;
        const char *unit;
    } units[] = {{1e12, "T"}, {1e9, "B"}, {1e6, "M"}, {1e3, "k"}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        snprintf(text, SIZE_TEXT, "%.4g", value / units[i].factor);
        if (value >= units[i].factor && strtod(text, NULL) * units[i].factor == value) {
            strncat(text, units[i].unit, 2);
            return;
        }
    }
    snprintf(text, SIZE_TEXT, "%.15g", value);
}

/* What the seed of a run depends on besides the mixture. */
struct run_identity {
    double n_params;
    double n_tokens;
    uint64_t replicate;
};

/* Seeds of trainers are often 32-bit and signed, hence 31 bits. */
static uint64_t run_seed(const struct mix_job *job, struct mix_key mixture,
                         const struct run_identity *identity)
{
    struct {
        struct run_identity identity;
        struct mix_key mixture;
    } what = {*identity, mixture};
    const struct mix_key key = mix_key_make(job->seed, "run seed", &what, sizeof what);
    return key.lo & ((UINT64_C(1) << RUN_SEED_BITS) - 1);
}

static int compare_blocks(const void *a, const void *b)
{
    const struct block *x = a, *y = b;
    if (x->flops != y->flops)
        return x->flops > y->flops ? -1 : 1;
    if (x->scale != y->scale)
        return x->scale > y->scale ? 1 : -1;
    if (x->chosen != y->chosen)
        return x->chosen + 1 > y->chosen + 1 ? 1 : -1; /* the design first */
    if (x->mixture != y->mixture)
        return x->mixture > y->mixture ? 1 : -1;
    return (x->replicate > y->replicate) - (x->replicate < y->replicate);
}

/* Whether the design has mixture m with seed s at a scale. */
static bool is_planned(const struct mix_job *job, size_t scale, size_t m, size_t s)
{
    const struct mix_job_scale *at = &job->scales[scale];
    for (size_t i = 0; i < job->n_listed_runs; i++) {
        const struct mix_job_listed *listed = &job->listed_runs[i];
        if (listed->mixture == m && listed->scale == scale && listed->replicate == s)
            return true;
    }
    return !job->listed_runs && !at->is_added && (at->n_mixtures == 0 || m < at->n_mixtures) &&
           (s == 0 || m < at->n_replicated);
}

/* A design that has grown since has some of the runs that were chosen. */
static bool in_design(const struct mix_plan *plan, size_t row, size_t scale)
{
    const struct mix_job *job = plan->job;
    const size_t k = job->n_domains;
    const struct mix_key key = job->chosen->runs[row].key;
    size_t n_replicates = job->scales[scale].n_replicates;
    for (size_t i = 0; i < job->n_listed_runs; i++)
        if (job->listed_runs[i].replicate >= n_replicates)
            n_replicates = job->listed_runs[i].replicate + 1;
    for (size_t m = 0; m < plan->n_mixtures; m++) {
        const double *mixture = &plan->mixtures[m * k];
        const bool same = memcmp(mixture, &job->chosen->asked[row * k], k * sizeof *mixture) == 0;
        for (size_t s = 0; same && s < n_replicates; s++) {
            struct mix_run run;
            job_make_run(job, &job->scales[scale], mixture, s, &run);
            if (run.key.hi == key.hi && run.key.lo == key.lo)
                return is_planned(job, scale, m, s);
        }
    }
    return false;
}

static void add_chosen(struct mix_plan *plan)
{
    const struct mix_job *job = plan->job;
    for (size_t r = 0; job->chosen && !job->given && r < job->chosen->n_rows; r++) {
        const struct mix_run *run = &job->chosen->runs[r];
        size_t s = 0;
        while (s + 1 < job->n_scales && (job->scales[s].n_params != run->n_params ||
                                         job->scales[s].n_tokens != run->n_tokens))
            s++;
        if (in_design(plan, r, s))
            continue;
        plan->blocks[plan->n_blocks++] = (struct block){.scale = s,
                                                        .n_mixtures = 1,
                                                        .n_replicated = 1,
                                                        .n_replicates = 1,
                                                        .chosen = r,
                                                        .flops = mix_job_flops(&job->scales[s])};
    }
}

static void order_blocks(struct mix_plan *plan)
{
    qsort(plan->blocks, plan->n_blocks, sizeof *plan->blocks, compare_blocks);
    plan->n_runs = 0;
    for (size_t b = 0; b < plan->n_blocks; b++) {
        struct block *block = &plan->blocks[b];
        block->first = plan->n_runs;
        plan->n_runs += block->n_mixtures + block->n_replicated * (block->n_replicates - 1);
    }
}

static void add_listed(struct mix_plan *plan)
{
    const struct mix_job *job = plan->job;
    for (size_t i = 0; job->listed_runs && !job->given && i < job->n_listed_runs; i++) {
        const struct mix_job_listed *listed = &job->listed_runs[i];
        struct block *block = &plan->blocks[plan->n_blocks];
        if (listed->mixture >= plan->n_mixtures)
            continue;
        *block = plan->blocks[listed->scale]; /* its texts and FLOPs */
        block->n_mixtures = block->n_replicated = block->n_replicates = 1;
        block->mixture = listed->mixture;
        block->replicate = listed->replicate;
        block->round = listed->round;
        plan->n_blocks++;
    }
}

static void make_blocks(struct mix_plan *plan)
{
    const struct mix_job *job = plan->job;
    const bool is_listed = job->listed_runs && !job->given;
    for (size_t s = 0; s < job->n_scales; s++) {
        const struct mix_job_scale *scale = &job->scales[s];
        struct block *block = &plan->blocks[s];
        const bool some = scale->n_mixtures > 0 && scale->n_mixtures < plan->n_mixtures;
        block->scale = s;
        block->chosen = SIZE_MAX;
        block->flops = mix_job_flops(scale);
        block->n_mixtures = scale->is_added || is_listed ? 0
                            : some                       ? scale->n_mixtures
                                                         : plan->n_mixtures;
        block->n_replicates = scale->n_replicates;
        block->n_replicated = scale->n_replicated < block->n_mixtures && !job->given
                                  ? scale->n_replicated
                                  : block->n_mixtures;
        exact_size(scale->n_params, block->n_params);
        exact_size(scale->n_tokens, block->n_tokens);
    }
    plan->n_blocks = job->n_scales;
    add_listed(plan);
    add_chosen(plan);
    order_blocks(plan);
}

static void name_mixtures(struct mix_plan *plan)
{
    static const struct mix_key none = {0, 0};
    const struct mix_job *job = plan->job;
    const size_t n_bytes = job->n_domains * sizeof *plan->mixtures;
    for (size_t i = 0; i < plan->n_mixtures; i++) {
        const double *mixture = &plan->mixtures[i * job->n_domains];
        plan->names[i] = mix_key_make(0, "mixture", mixture, n_bytes);
        plan->seeds[i] =
            job->paired_seeds ? none : mix_key_make(job->seed, "mixture", mixture, n_bytes);
    }
}

enum mix_status mix_plan_create(const struct mix_job *job, struct mix_plan **out,
                                struct mix_error *err)
{
    struct mix_plan *plan = calloc(1, sizeof *plan);
    const size_t n = job->given ? job->n_given : job->n_mixtures, n_domains = job->n_domains;
    const size_t n_more = job->n_listed_runs + (job->chosen ? job->chosen->n_rows : 0);
    if (plan) {
        *plan =
            (struct mix_plan){.job = job,
                              .n_mixtures = n,
                              .mixtures = calloc(n * n_domains + 1, sizeof(double)),
                              .names = calloc(n + 1, sizeof *plan->names),
                              .seeds = calloc(n + 1, sizeof *plan->seeds),
                              .blocks = calloc(job->n_scales + n_more + 1, sizeof *plan->blocks)};
    }
    if (!plan || !plan->mixtures || !plan->names || !plan->seeds || !plan->blocks) {
        mix_plan_destroy(plan);
        return mix_fail(err, MIX_ENOMEM, "out of memory for the plan.");
    }
    enum mix_status status = MIX_OK;
    if (job->given)
        memcpy(plan->mixtures, job->given, n * n_domains * sizeof *plan->mixtures);
    else if (n > 0)
        status = mix_job_design(job, plan->mixtures, err);
    for (size_t i = 0; job->given && i < n; i++)
        job_round_mixture(n_domains, &plan->mixtures[i * n_domains]);
    if (status != MIX_OK) {
        mix_plan_destroy(plan);
        return status;
    }
    name_mixtures(plan);
    make_blocks(plan);
    *out = plan;
    return MIX_OK;
}

void mix_plan_destroy(struct mix_plan *plan)
{
    if (!plan)
        return;
    free(plan->mixtures);
    free(plan->names);
    free(plan->seeds);
    free(plan->blocks);
    free(plan);
}

size_t mix_plan_n_runs(const struct mix_plan *plan)
{
    return plan->n_runs;
}

/* The block of a run, the number of its mixture and of its seed. */
static const struct block *find_run(const struct mix_plan *plan, size_t i, size_t *mixture,
                                    size_t *replicate)
{
    size_t low = 0, high = plan->n_blocks; /* the last one that begins at or before i */
    assert(i < plan->n_runs);
    while (high - low > 1) {
        const size_t middle = (low + high) / 2;
        *(plan->blocks[middle].first <= i ? &low : &high) = middle;
    }
    const struct block *block = &plan->blocks[low];
    const size_t at = i - block->first, n = block->n_mixtures;
    *mixture = block->mixture + (at < n ? at : (at - n) % block->n_replicated);
    *replicate = block->replicate + (at < n ? 0 : 1 + (at - n) / block->n_replicated);
    return block;
}

/* What a run is made of. */
struct making {
    const struct mix_job *job;
    const struct mix_job_scale *scale;
    const double *mixture; /* (K) */
    struct mix_key name, seed;
    const char *n_params, *n_tokens;
    size_t replicate;
    double flops;
};

static void make_run(const struct making *making, struct mix_run *run)
{
    const struct mix_job *job = making->job;
    const struct mix_job_scale *scale = making->scale;
    const struct run_identity identity = {scale->n_params, scale->n_tokens, making->replicate};
    *run = (struct mix_run){
        .is_final = 1,
        .n_params = scale->n_params,
        .n_params_non_embedding = NAN,
        .n_params_active = NAN,
        .n_tokens = scale->n_tokens,
        .n_tokens_planned = scale->n_tokens,
        .flops = making->flops,
        .seed = run_seed(job, making->seed, &identity),
        .wall_s = NAN,
        .started = NAN,
        .ended = NAN,
    };
    /* The name is part of a run's identity, so it tells the mixture and not its place in the
     * design. The number of replicates is below 10000, so that the text always fits. */
    snprintf(run->run, sizeof run->run, "%08" PRIx32 "-%s-%s-s%u", (uint32_t)making->name.lo,
             making->n_params, making->n_tokens, (unsigned)(uint16_t)(making->replicate + 1));
    memcpy(run->recipe, job->recipe, sizeof run->recipe);
    memcpy(run->schedule, job->schedule, sizeof run->schedule);
    run->key = mix_run_key(run, making->mixture, job->n_domains);
}

void job_make_run(const struct mix_job *job, const struct mix_job_scale *scale,
                  const double *mixture, size_t replicate, struct mix_run *out)
{
    const size_t n_bytes = job->n_domains * sizeof *mixture;
    char n_params[SIZE_TEXT], n_tokens[SIZE_TEXT];
    exact_size(scale->n_params, n_params);
    exact_size(scale->n_tokens, n_tokens);
    const struct making making = {
        .job = job,
        .scale = scale,
        .mixture = mixture,
        .name = mix_key_make(0, "mixture", mixture, n_bytes),
        .seed = mix_key_make(job->seed, "mixture", mixture, n_bytes),
        .n_params = n_params,
        .n_tokens = n_tokens,
        .replicate = replicate,
        .flops = mix_job_flops(scale),
    };
    make_run(&making, out);
}

void mix_plan_run(const struct mix_plan *plan, size_t i, struct mix_planned *out)
{
    const struct mix_job *job = plan->job;
    size_t m, replicate;
    const struct block *block = find_run(plan, i, &m, &replicate);
    out->scale = block->scale;
    if (block->chosen != SIZE_MAX) {
        out->run = job->chosen->runs[block->chosen];
        out->run.flops = block->flops;
        out->mixture = &job->chosen->asked[block->chosen * job->n_domains];
        return;
    }
    out->mixture = &plan->mixtures[m * job->n_domains];
    const struct making making = {
        .job = job,
        .scale = &job->scales[block->scale],
        .mixture = out->mixture,
        .name = plan->names[m],
        .seed = plan->seeds[m],
        .n_params = block->n_params,
        .n_tokens = block->n_tokens,
        .replicate = replicate,
        .flops = block->flops,
    };
    make_run(&making, &out->run);
    out->run.round = block->round;
}

static enum mix_status add_rows(const struct mix_plan *plan, struct mix_table *table,
                                struct mix_error *err)
{
    const struct mix_job *job = plan->job;
    for (size_t i = 0; i < plan->n_runs; i++) {
        struct mix_planned planned;
        const size_t row = mix_table_append(table);
        if (row == SIZE_MAX)
            return mix_fail(err, MIX_ENOMEM, "out of memory for the plan of runs.");
        mix_plan_run(plan, i, &planned);
        table->runs[row] = planned.run;
        const struct mix_job_scale *scale = &job->scales[planned.scale];
        for (size_t k = 0; k < job->n_domains; k++) {
            const size_t at = row * job->n_domains + k;
            const double supply =
                table->domains[k].supply_tokens * mix_job_subsample(job, scale, k);
            table->asked[at] = table->mixture[at] = planned.mixture[k];
            table->epochs[at] = planned.mixture[k] * scale->n_tokens / supply;
        }
    }
    return mix_table_finish(table, err);
}

enum mix_status mix_job_plan(const struct mix_job *job, struct mix_table **out,
                             struct mix_error *err)
{
    struct mix_plan *plan = NULL;
    enum mix_status status = mix_plan_create(job, &plan, err);
    if (status != MIX_OK)
        return status;
    struct mix_table *table = mix_table_create(job->n_domains, job->n_targets);
    if (table) {
        memcpy(table->domains, job->domains, job->n_domains * sizeof *table->domains);
        memcpy(table->targets, job->targets, job->n_targets * sizeof *table->targets);
        status = add_rows(plan, table, err);
    } else {
        status = mix_fail(err, MIX_ENOMEM, "out of memory for the plan.");
    }
    mix_plan_destroy(plan);
    if (status == MIX_OK)
        *out = table;
    else
        mix_table_destroy(table);
    return status;
}
