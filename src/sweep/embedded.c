/* SPDX-License-Identifier: GPL-3.0-or-later */
/* embedded.c - proxy runs trained here: the language model of proxy.h on the job's own text.
 *
 * Domain k is source k of the corpus; targets that are no domains are the sources behind them. A
 * run is trained for n_tokens / (B T) steps, rounded; its rows hold the mixture and the epochs that
 * the model has really seen.
 *
 * With decay_checkpoints a checkpoint's loss is that of a finished run: the trunk keeps its
 * learning rate, and at the share `decay` before each checkpoint a copy of it decays to the end; so
 * losses along tokens belong to one schedule, and a run of several checkpoints costs little more
 * than one.
 */
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evaluators.h"

struct embedded {
    struct mix_corpus *corpus;
    size_t *source;              /* (M) of the corpus, by target */
    struct mix_proxy_loss *loss; /* (M) */
    double *entropy;             /* (K) of the synthetic corpus, nats per byte */
};

/* One run while it is trained. */
struct training {
    struct embedded *embedded;
    const struct mix_request *request;
    const struct mix_job_embedded *options;
    struct mix_trainer *trainer;
    double step_bytes;
    void *snapshot;
    size_t n_snapshot;
};

static void destroy(void *state)
{
    struct embedded *embedded = state;
    if (!embedded)
        return;
    mix_corpus_destroy(embedded->corpus);
    free(embedded->source);
    free(embedded->loss);
    free(embedded->entropy);
    free(embedded);
}

static enum mix_status load_text(const struct mix_job *job, struct embedded *embedded,
                                 struct mix_error *err)
{
    struct mix_corpus_source *sources = calloc(job->n_domains + job->n_targets, sizeof *sources);
    if (!sources)
        return mix_fail(err, MIX_ENOMEM, "out of memory for the text of the domains.");
    size_t n = 0;
    for (size_t k = 0; k < job->n_domains; k++)
        sources[n++] = mix_source_of(job->domains[k].name, &job->domain_sources[k]);
    for (size_t m = 0; m < job->n_targets; m++) {
        embedded->source[m] = n;
        if (job->targets[m].domain >= 0)
            embedded->source[m] = (size_t)job->targets[m].domain;
        else
            sources[n++] = mix_source_of(job->targets[m].name, &job->target_sources[m]);
    }
    const enum mix_status status =
        mix_corpus_load(sources, n, &job->embedded.corpus, &embedded->corpus, err);
    free(sources);
    return status;
}

/* The synthetic sources are the domains, in their order. */
static enum mix_status synthesise(const struct mix_job *job, struct embedded *embedded,
                                  struct mix_error *err)
{
    struct mix_corpus_synthetic options = job->embedded.synthetic;
    options.n_sources = job->n_domains;
    for (size_t m = 0; m < job->n_targets; m++) {
        if (job->targets[m].domain < 0)
            return mix_fail(err, MIX_EINVAL,
                            "job %s, target %s: on the synthetic corpus every target is a domain.",
                            job->name, job->targets[m].name);
        embedded->source[m] = (size_t)job->targets[m].domain;
    }
    return mix_corpus_synthesise(&options, embedded->entropy, &embedded->corpus, err);
}

/* Said before hours of training, not by the first run that stumbles over it. */
static enum mix_status check_part(const struct mix_job *job, const struct embedded *embedded,
                                  size_t source, enum mix_corpus_part part, struct mix_error *err)
{
    size_t n_bytes = 0, most = 0;
    mix_corpus_bytes(embedded->corpus, source, part, &n_bytes);
    for (size_t s = 0; s < job->n_scales; s++)
        most = job->scales[s].shape.context > most ? job->scales[s].shape.context : most;
    if (n_bytes > most)
        return MIX_OK;
    return mix_fail(err, MIX_EINVAL,
                    "job %s, %s: its %s text has %zu bytes, less than the %zu of a context and the "
                    "byte behind it.",
                    job->name, mix_corpus_name(embedded->corpus, source),
                    part == MIX_PART_TRAIN ? "training" : "validation", n_bytes, most + 1);
}

static enum mix_status check_text(const struct mix_job *job, const struct embedded *embedded,
                                  struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    for (size_t k = 0; status == MIX_OK && k < job->n_domains; k++)
        status = check_part(job, embedded, k, MIX_PART_TRAIN, err);
    for (size_t m = 0; status == MIX_OK && m < job->n_targets; m++)
        status = check_part(job, embedded, embedded->source[m], MIX_PART_VALIDATION, err);
    return status;
}

static enum mix_status create(const struct mix_job *job, void **state, struct mix_error *err)
{
    struct embedded *embedded = calloc(1, sizeof *embedded);
    if (embedded) {
        embedded->source = calloc(job->n_targets, sizeof *embedded->source);
        embedded->loss = calloc(job->n_targets, sizeof *embedded->loss);
        embedded->entropy = calloc(job->n_domains, sizeof *embedded->entropy);
    }
    if (!embedded || !embedded->source || !embedded->loss || !embedded->entropy) {
        destroy(embedded);
        return mix_fail(err, MIX_ENOMEM, "out of memory for the embedded proxy.");
    }
    enum mix_status status =
        job->embedded.is_synthetic ? synthesise(job, embedded, err) : load_text(job, embedded, err);
    if (status == MIX_OK)
        status = check_text(job, embedded, err);
    if (status == MIX_OK)
        *state = embedded;
    else
        destroy(embedded);
    return status;
}

static void content(const void *state, size_t domain, char out[MIX_NAME_MAX])
{
    const struct embedded *embedded = state;
    size_t n_bytes = 0;
    const void *bytes = mix_corpus_bytes(embedded->corpus, domain, MIX_PART_VALIDATION, &n_bytes);
    const struct mix_key parts[2] = {mix_corpus_hash(embedded->corpus, domain),
                                     mix_key_make(0, "validation text", bytes, n_bytes)};
    const struct mix_key key = mix_key_make(0, "text", parts, sizeof parts);
    snprintf(out, MIX_NAME_MAX, "text:%016" PRIx64 "%016" PRIx64, key.hi, key.lo);
}

static uint64_t steps_of(const struct training *training, double n_tokens)
{
    const double n_steps = round(n_tokens / training->step_bytes);
    return n_steps < 1 ? 1 : (uint64_t)n_steps;
}

static enum mix_status train_to(struct training *training, uint64_t step, struct mix_poll *poll,
                                struct mix_error *err)
{
    const uint64_t now = mix_trainer_progress(training->trainer)->n_steps;
    if (step <= now)
        return MIX_OK;
    return mix_trainer_train(training->trainer, training->request->mixture, NULL, step - now, poll,
                             err);
}

/* What the model has seen, how many bytes its losses were measured on and, where it is known, the
 * least that they can be. */
static char *describe(const struct training *training, const struct mix_proxy_loss *loss)
{
    const struct mix_job *job = training->request->job;
    const struct mix_trainer_progress *progress = mix_trainer_progress(training->trainer);
    const struct embedded *embedded = training->embedded;
    json_t *root = json_object(), *evaluated = json_object(), *entropy = json_object();
    json_object_set_new(root, "trained_bytes", json_integer((json_int_t)progress->n_bytes));
    for (size_t m = 0; m < job->n_targets; m++) {
        const char *name = job->targets[m].name;
        json_object_set_new(evaluated, name, json_integer((json_int_t)loss[m].n_bytes));
        if (job->embedded.is_synthetic)
            json_object_set_new(entropy, name, json_real(embedded->entropy[embedded->source[m]]));
    }
    json_object_set_new(root, "evaluated_bytes", evaluated);
    if (job->embedded.is_synthetic)
        json_object_set(root, "entropy", entropy);
    json_decref(entropy);
    char *text = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    return text;
}

/* Measure the model and append its row. */
static enum mix_status measure(struct training *training, double n_tokens, struct mix_table *rows,
                               struct mix_poll *poll, struct mix_error *err)
{
    const struct mix_request *request = training->request;
    const struct mix_job *job = request->job;
    struct embedded *embedded = training->embedded;
    enum mix_status status =
        mix_trainer_evaluate(training->trainer, MIX_PART_VALIDATION, embedded->source,
                             job->n_targets, embedded->loss, poll, err);
    if (status != MIX_OK)
        return status;
    const size_t row = mix_request_row(request, rows, n_tokens);
    if (row == SIZE_MAX)
        return mix_fail(err, MIX_ENOMEM, "out of memory for the rows of a run.");
    struct mix_run *run = &rows->runs[row];
    const struct mix_proxy_shape *shape = &request->scale->shape;
    const struct mix_trainer_progress *progress = mix_trainer_progress(training->trainer);
    run->n_params_non_embedding = (double)mix_proxy_n_params(shape, 0);
    run->flops = mix_proxy_flops(shape, (double)progress->n_bytes);
    for (size_t k = 0; k < job->n_domains; k++) {
        rows->mixture[row * job->n_domains + k] =
            (double)progress->bytes[k] / (double)progress->n_bytes;
        rows->epochs[row * job->n_domains + k] = progress->epochs[k];
    }
    for (size_t m = 0; m < job->n_targets; m++) {
        rows->loss[row * job->n_targets + m] = embedded->loss[m].loss;
        rows->loss_se[row * job->n_targets + m] = embedded->loss[m].se;
    }
    rows->metadata[row] = describe(training, embedded->loss);
    return MIX_OK;
}

/* A copy of the trunk decays to the checkpoint; the trunk goes on from where it was. */
static enum mix_status measure_decayed(struct training *training, double n_tokens,
                                       struct mix_table *rows, struct mix_poll *poll,
                                       struct mix_error *err)
{
    const uint64_t end = steps_of(training, n_tokens);
    const double decay = training->request->scale->trainer.decay;
    enum mix_status status =
        train_to(training, (uint64_t)floor((double)end * (1 - decay)), poll, err);
    if (status != MIX_OK)
        return status;
    mix_trainer_snapshot(training->trainer, training->snapshot);
    if (mix_trainer_progress(training->trainer)->n_steps < end) /* else nothing decays */
        status = mix_trainer_replan(training->trainer, MIX_SCHEDULE_WSD, end, err);
    if (status == MIX_OK)
        status = train_to(training, end, poll, err);
    if (status == MIX_OK)
        status = measure(training, n_tokens, rows, poll, err);
    if (status == MIX_OK)
        status =
            mix_trainer_restore(training->trainer, training->snapshot, training->n_snapshot, err);
    return status;
}

static enum mix_status train_all(struct training *training, struct mix_table *rows,
                                 struct mix_poll *poll, struct mix_error *err)
{
    const struct mix_job_scale *scale = training->request->scale;
    enum mix_status status = MIX_OK;
    for (size_t c = 0; status == MIX_OK && c < scale->n_checkpoints; c++) {
        const double n_tokens = scale->checkpoints[c];
        if (training->options->decay_checkpoints) {
            status = measure_decayed(training, n_tokens, rows, poll, err);
            continue;
        }
        status = train_to(training, steps_of(training, n_tokens), poll, err);
        if (status == MIX_OK)
            status = measure(training, n_tokens, rows, poll, err);
    }
    return status;
}

/* The part of the training text of a domain that holds what a run may use of its supply: the text
 * that is here may be more than the supply, which is then as much as the plan counts on, or less.
 */
static double part_of_text(const struct training *training, size_t domain)
{
    const struct mix_request *request = training->request;
    const double part = mix_job_subsample(request->job, request->scale, domain);
    const double supply = request->job->domains[domain].supply_tokens;
    size_t n_bytes = 0;
    mix_corpus_bytes(training->embedded->corpus, domain, MIX_PART_TRAIN, &n_bytes);
    return part < 1 && n_bytes > 0 ? fmin(1, part * supply / (double)n_bytes) : part;
}

/* The trainer of a run; decaying checkpoints want a trunk whose rate stays up to the last decay. */
static enum mix_status begin(struct training *training, struct mix_error *err)
{
    const struct mix_request *request = training->request;
    struct mix_trainer_options options = request->scale->trainer;
    double subsample[MIX_DOMAINS_MAX];
    for (size_t k = 0; k < request->job->n_domains; k++)
        subsample[k] = part_of_text(training, k);
    options.subsample = subsample;
    options.seed = request->run.seed;
    training->step_bytes = (double)(options.batch * options.shape.context);
    options.n_steps = steps_of(training, request->scale->n_tokens);
    if (training->options->decay_checkpoints)
        options.schedule = MIX_SCHEDULE_WSD;
    enum mix_status status = mix_trainer_create(&options, training->embedded->corpus,
                                                request->job->n_domains, &training->trainer, err);
    if (status != MIX_OK || !training->options->decay_checkpoints)
        return status;
    training->n_snapshot = mix_trainer_snapshot_bytes(training->trainer);
    training->snapshot = malloc(training->n_snapshot);
    if (!training->snapshot)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a snapshot of %zu bytes.",
                        training->n_snapshot);
    return MIX_OK;
}

static enum mix_status evaluate(void *state, const struct mix_request *request,
                                struct mix_table *rows, struct mix_poll *poll,
                                struct mix_error *err)
{
    struct training training = {
        .embedded = state, .request = request, .options = &request->job->embedded};
    struct mix_error reason = {.text = ""};
    enum mix_status status = begin(&training, &reason);
    if (status == MIX_OK)
        status = train_all(&training, rows, poll, &reason);
    mix_trainer_destroy(training.trainer);
    free(training.snapshot);
    if (status == MIX_ENUMERIC) { /* diverged: a result; what came before it stays */
        return mix_request_failed(request, rows, MIX_RUN_FAILED, reason.text, err);
    }
    return status == MIX_OK ? MIX_OK : mix_fail(err, status, "%s", reason.text);
}

const struct mix_evaluator mix_evaluator_embedded = {
    .name = "embedded",
    .summary = "a small language model trained here, on the text of the domains",
    .create = create,
    .destroy = destroy,
    .content = content,
    .evaluate = evaluate,
};
