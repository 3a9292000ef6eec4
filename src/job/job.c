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

enum { FILE_MAX = 1 << 20 };
static const double size_max = 1e18;      /* parameters or tokens */
static const double sum_tolerance = 1e-3; /* how far priors may sum from 1 */
static const double share_min = 1e-6;     /* the lattice of mixtures */

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

/* The text behind entry `i` of a list. */
static void take_source(struct reader *in, const char *list, size_t i, const char *document,
                        struct mix_job_source *source)
{
    static const char *const documents[] = {"file", "paragraph", "line"};
    int word = MIX_DOCUMENT_FILE;
    ITEM_KEY(paths, "%s[%zu].paths", list, i);
    ITEM_KEY(key, "%s[%zu].document", list, i);
    take_texts(in, paths, &source->n_paths, &source->paths);
    for (size_t j = 0; in->status == MIX_OK && j < source->n_paths; j++)
        if (!source->paths[j][0])
            FAIL(in, paths, "a path is empty.");
    if (in->status == MIX_OK && source->n_paths == 0 && job_document_has(&in->document, paths))
        FAIL(in, paths, "is empty.");
    take_word(in, key, document, documents, 3, &word);
    source->document = (enum mix_corpus_document)word;
}

static void take_domains(struct reader *in, const struct raw_job *raw)
{
    struct mix_job *job = in->job;
    job->domains = take_memory(in, raw->n_domains, sizeof *job->domains);
    job->domain_sources = take_memory(in, raw->n_domains, sizeof *job->domain_sources);
    if (!job->domains || !job->domain_sources)
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
        take_source(in, "domains", k, raw->domains[k].document, &job->domain_sources[k]);
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
    ITEM_KEY(chance, "targets[%zu].chance", m);
    ITEM_KEY(weight, "targets[%zu].weight", m);
    int is_higher = 0;
    take_name(in, name, raw->name, target->name, sizeof target->name);
    check_unique(in, "targets", in->job->targets->name, sizeof *target, m);
    take_text(in, unit, raw->unit, target->unit, sizeof target->unit);
    take_word(in, direction, raw->direction, directions, 2, &is_higher);
    take_number(in, weight, raw->weight, 0, 1e6, &target->weight);
    target->direction = is_higher ? 1 : -1;
    take_number(in, chance, raw->chance, -1e6, 1e6, &target->chance);
    if (in->status == MIX_OK && raw->chance && !is_higher)
        FAIL(in, chance, "%s is no score: only those (direction: higher) have a chance level.",
             target->name);
    target->domain = domain_index(in->job, target->name);
    take_source(in, "targets", m, raw->document, &in->job->target_sources[m]);
    ITEM_KEY(paths, "targets[%zu].paths", m);
    if (in->status == MIX_OK && target->domain >= 0 && in->job->target_sources[m].n_paths > 0)
        FAIL(in, paths, "%s is a domain: its loss is that on the domain's own validation part.",
             target->name);
}

/* Without targets the domains are the targets. */
static void take_targets(struct reader *in, const struct raw_job *raw)
{
    struct mix_job *job = in->job;
    size_t n = raw->n_targets ? raw->n_targets : job->n_domains;
    double sum = 0;
    job->targets = take_memory(in, n, sizeof *job->targets);
    job->target_sources = take_memory(in, n, sizeof *job->target_sources);
    if (!job->targets || !job->target_sources)
        return;
    job->n_targets = n;
    for (size_t m = 0; m < n; m++) {
        struct raw_target of_domain = {.name = raw->n_targets ? NULL : job->domains[m].name};
        job->targets[m] = (struct mix_target){
            .unit = "nats/token", .transform = "none", .weight = 1, .direction = -1, .chance = NAN};
        take_target(in, raw->n_targets ? &raw->targets[m] : &of_domain, m);
        sum += job->targets[m].weight;
    }
    if (in->status == MIX_OK && sum <= 0)
        FAIL(in, "targets", "all weights are 0; at least one must be larger.");
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
    bool has_terms = !mix_law_is(spec.law, "capacity");
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

static void take_job(struct reader *in, const struct raw_job *raw)
{
    struct mix_job *job = in->job;
    job->seed = 1;
    job->command.loss_min = -INFINITY; /* results are recorded beside any evaluator */
    job->command.loss_max = INFINITY;
    take_name(in, "job", raw->job, job->name, sizeof job->name);
    take_text(in, "file", raw->file, job->file, sizeof job->file);
    take_seed(in, "seed", raw->seed, &job->seed);
    take_name(in, "recipe", raw->recipe, job->recipe, sizeof job->recipe);
    take_name(in, "schedule", raw->schedule, job->schedule, sizeof job->schedule);
    take_domains(in, raw);
    take_targets(in, raw);
    if (in->status != MIX_OK)
        return;
    /* a job for online mixing alone has none */
    if (!raw->online && !raw->agent && (!raw->scales || !raw->sweep))
        FAIL(in, "", "the key %s is missing.", raw->scales ? "sweep" : "scales");
    if (raw->scales)
        take_scales(in, "scales", raw->scales, raw->n_scales, &job->n_scales, &job->scales);
    take_design(in, raw);
    if (raw->sweep)
        take_sweep(in, raw);
    take_fit(in, raw->fit);
    take_bootstrap(in, raw->bootstrap);
    take_optima(in);
    take_adaptive(in, raw->adaptive);
    take_confirm(in, raw);
    take_online(in, raw);
    take_agent(in, raw);
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
    else if (n > 4 && memcmp(text, "\211HDF", 4) == 0)
        status = mix_fail(err, MIX_EINVAL,
                          "%s is a sweep file; a job file is wanted, which is YAML.", path);
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

static void free_sources(size_t n, struct mix_job_source *sources)
{
    for (size_t i = 0; sources && i < n; i++)
        job_free_texts(sources[i].n_paths, sources[i].paths);
    free(sources);
}

static void free_optima(struct mix_job *job)
{
    for (size_t i = 0; i < job->n_optima; i++) {
        const struct mix_optimum_options *optimum = &job->optima[i];
        free_const(optimum->name);
        free_const(optimum->weight);
        free_const(optimum->no_worse);
        free_const(optimum->lower);
        free_const(optimum->upper);
        free_const(optimum->baseline);
    }
    free(job->optima);
}

void mix_job_destroy(struct mix_job *job)
{
    if (!job)
        return;
    struct mix_job_command *command = &job->command;
    free_sources(job->n_domains, job->domain_sources);
    free_sources(job->n_targets, job->target_sources);
    job_free_texts(command->n_argv, command->argv);
    job_free_texts(command->n_launcher, command->launcher);
    job_free_texts(command->n_environment, command->environment_value);
    free(command->environment);
    free(job->listed);
    free(job->listed_runs);
    mix_table_destroy(job->chosen);
    free(job->confirm.scales);
    job_free_online(&job->online);
    job_free_agent(&job->agent);
    free(job->domains);
    free(job->targets);
    free(job->scales);
    free(job->simulate.param_names);
    free(job->simulate.params);
    free_const(job->fit.law);
    free_const(job->fit.name);
    free_const(job->fit.holdout);
    free_optima(job);
    free(job->text);
    free(job);
}
