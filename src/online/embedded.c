/* SPDX-License-Identifier: GPL-3.0-or-later */
/* embedded.c - the embedded proxy as a trainee; see mixsweep/online.h.
 *
 * Group i is source i of the corpus. Excess losses and gradients are measured on about a batch of
 * training text, equally much of every group, and gradients on as much validation text. Which
 * sequences: all by the number of the measurement in this run, which begins anew with restart and
 * goes with snapshots.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/online.h"

struct slot {
    unsigned char *bytes; /* of the trainer; NULL = never taken */
    uint64_t draw;
};

struct embedded {
    struct mix_trainee head;
    struct mix_trainer_options options;
    const struct mix_corpus *corpus;
    size_t test_bytes, n_snapshot, n_params;
    struct mix_trainer *trainer;
    struct mix_trainer *reference; /* frozen; NULL = nothing frozen yet */
    uint64_t draw;                 /* number of the next measurement */
    struct slot initial;
    struct slot *slots;
    size_t n_slots;
    size_t n_sequences;          /* of a group in a measurement of excess or gradients */
    size_t *source;              /* (m) 0, 1, ... */
    struct mix_proxy_loss *loss; /* (m) */
    float *gradient;             /* (m + 2, P): training, one validation, sum of validation; made
                                    by the first measurement that needs it */
};

static struct embedded *embedded_of(struct mix_trainee *trainee)
{
    return (struct embedded *)trainee;
}

static void destroy(struct mix_trainee *trainee)
{
    struct embedded *embedded = embedded_of(trainee);
    mix_trainer_destroy(embedded->trainer);
    mix_trainer_destroy(embedded->reference);
    for (size_t i = 0; i < embedded->n_slots; i++)
        free(embedded->slots[i].bytes);
    free(embedded->slots);
    free(embedded->initial.bytes);
    free(embedded->source);
    free(embedded->loss);
    free(embedded->gradient);
    free(embedded);
}

/* ---- forks */

static enum mix_status save(const struct embedded *embedded, struct slot *slot,
                            struct mix_error *err)
{
    if (slot->bytes == NULL)
        slot->bytes = malloc(embedded->n_snapshot);
    if (slot->bytes == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a snapshot of %zu bytes.",
                        embedded->n_snapshot);
    mix_trainer_snapshot(embedded->trainer, slot->bytes);
    slot->draw = embedded->draw;
    return MIX_OK;
}

static enum mix_status load(struct embedded *embedded, const struct slot *slot,
                            struct mix_error *err)
{
    embedded->draw = slot->draw;
    return mix_trainer_restore(embedded->trainer, slot->bytes, embedded->n_snapshot, err);
}

static enum mix_status restart(struct mix_trainee *trainee, struct mix_poll *poll,
                               struct mix_error *err)
{
    struct embedded *embedded = embedded_of(trainee);
    (void)poll;
    return load(embedded, &embedded->initial, err);
}

static enum mix_status snapshot(struct mix_trainee *trainee, int slot, struct mix_poll *poll,
                                struct mix_error *err)
{
    enum { MOST = 1024 };
    struct embedded *embedded = embedded_of(trainee);
    (void)poll;
    if (slot < 0 || slot >= MOST)
        return mix_fail(err, MIX_EINVAL, "proxy: snapshot %d; allowed are 0 to %d.", slot,
                        MOST - 1);
    const size_t n = (size_t)slot + 1;
    if (n > embedded->n_slots) {
        struct slot *slots = realloc(embedded->slots, n * sizeof *slots);
        if (slots == NULL)
            return mix_fail(err, MIX_ENOMEM, "out of memory for %zu snapshots.", n);
        memset(slots + embedded->n_slots, 0, (n - embedded->n_slots) * sizeof *slots);
        embedded->slots = slots;
        embedded->n_slots = n;
    }
    return save(embedded, &embedded->slots[slot], err);
}

static enum mix_status restore(struct mix_trainee *trainee, int slot, struct mix_poll *poll,
                               struct mix_error *err)
{
    struct embedded *embedded = embedded_of(trainee);
    (void)poll;
    if (slot < 0 || (size_t)slot >= embedded->n_slots || embedded->slots[slot].bytes == NULL)
        return mix_fail(err, MIX_EINVAL, "proxy: there is no snapshot %d to go back to.", slot);
    return load(embedded, &embedded->slots[slot], err);
}

static enum mix_status freeze(struct mix_trainee *trainee, struct mix_poll *poll,
                              struct mix_error *err)
{
    struct embedded *embedded = embedded_of(trainee);
    struct slot now = {.bytes = NULL};
    (void)poll;
    enum mix_status status = save(embedded, &now, err);
    if (status == MIX_OK && embedded->reference == NULL)
        status = mix_trainer_create(&embedded->options, embedded->corpus, trainee->n_groups,
                                    &embedded->reference, err);
    if (status == MIX_OK)
        status = mix_trainer_restore(embedded->reference, now.bytes, embedded->n_snapshot, err);
    free(now.bytes);
    return status;
}

/* ---- training and measuring */

static enum mix_status train(struct mix_trainee *trainee, const struct mix_segment *segment,
                             struct mix_poll *poll, struct mix_error *err)
{
    struct embedded *embedded = embedded_of(trainee);
    mix_trainer_set_sampling(embedded->trainer,
                             segment->exact ? MIX_SAMPLING_EXACT : embedded->options.sampling);
    return mix_trainer_train(embedded->trainer, segment->mixture,
                             segment->weighted ? segment->weight : NULL, segment->n_steps, poll,
                             err);
}

static enum mix_status measure_loss(struct embedded *embedded, struct mix_observation *out,
                                    struct mix_poll *poll, struct mix_error *err)
{
    const size_t m = embedded->head.n_groups;
    const enum mix_status status = mix_trainer_evaluate(
        embedded->trainer, MIX_PART_VALIDATION, embedded->source, m, embedded->loss, poll, err);
    for (size_t i = 0; status == MIX_OK && i < m; i++)
        out->loss[i] = embedded->loss[i].loss;
    return status;
}

static enum mix_status measure_excess(struct embedded *embedded, struct mix_observation *out,
                                      struct mix_poll *poll, struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    if (embedded->reference == NULL)
        return mix_fail(err, MIX_EINVAL,
                        "proxy: losses of a reference are asked for before one is frozen.");
    for (size_t i = 0; status == MIX_OK && i < embedded->head.n_groups; i++) {
        status = mix_trainer_gradient(embedded->trainer, i, MIX_PART_TRAIN, embedded->draw,
                                      embedded->n_sequences, NULL, &out->train_loss[i], poll, err);
        if (status == MIX_OK)
            status = mix_trainer_gradient(embedded->reference, i, MIX_PART_TRAIN, embedded->draw,
                                          embedded->n_sequences, NULL, &out->reference_loss[i],
                                          poll, err);
    }
    embedded->draw++;
    return status;
}

/* In double, four sums at a time. */
static double dot(size_t n, const float *a, const float *b)
{
    double sum[4] = {0.0};
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (size_t k = 0; k < 4; k++)
            sum[k] += (double)a[i + k] * (double)b[i + k];
    for (; i < n; i++)
        sum[0] += (double)a[i] * (double)b[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

static enum mix_status measure_gradient(struct embedded *embedded, struct mix_observation *out,
                                        struct mix_poll *poll, struct mix_error *err)
{
    const size_t m = embedded->head.n_groups, p = embedded->n_params;
    enum mix_status status = MIX_OK;
    double loss = 0.0;
    if (embedded->gradient == NULL)
        embedded->gradient = malloc((m + 2) * p * sizeof *embedded->gradient);
    if (embedded->gradient == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu gradients of %zu parameters.",
                        m + 2, p);
    float *gradient = embedded->gradient, *validation = gradient + m * p, *sum = validation + p;
    memset(sum, 0, p * sizeof *sum);
    for (size_t j = 0; status == MIX_OK && j < m; j++) {
        status = mix_trainer_gradient(embedded->trainer, j, MIX_PART_TRAIN, embedded->draw,
                                      embedded->n_sequences, gradient + j * p, &loss, poll, err);
        out->train_norm[j] = sqrt(dot(p, gradient + j * p, gradient + j * p));
    }
    for (size_t i = 0; status == MIX_OK && i < m; i++) {
        status = mix_trainer_gradient(embedded->trainer, i, MIX_PART_VALIDATION, embedded->draw,
                                      embedded->n_sequences, validation, &loss, poll, err);
        for (size_t j = 0; j < m; j++)
            out->alignment[i * m + j] = dot(p, validation, gradient + j * p);
        for (size_t k = 0; k < p; k++)
            sum[k] += validation[k];
    }
    out->validation_norm = sqrt(dot(p, sum, sum)) / (double)m;
    embedded->draw++;
    return status;
}

static enum mix_status measure(struct mix_trainee *trainee, unsigned what,
                               struct mix_observation *out, struct mix_poll *poll,
                               struct mix_error *err)
{
    struct embedded *embedded = embedded_of(trainee);
    const size_t m = trainee->n_groups;
    enum mix_status status = MIX_OK;
    for (size_t i = 0; i < m; i++)
        out->loss[i] = out->train_loss[i] = out->reference_loss[i] = out->train_norm[i] = NAN;
    for (size_t i = 0; i < m * m; i++)
        out->alignment[i] = NAN;
    out->validation_norm = NAN;
    out->step = mix_trainer_progress(embedded->trainer)->n_steps;
    out->learning_rate = mix_trainer_learning_rate(embedded->trainer);
    if ((what & MIX_MEASURE_LOSS) != 0)
        status = measure_loss(embedded, out, poll, err);
    if (status == MIX_OK && (what & MIX_MEASURE_EXCESS) != 0)
        status = measure_excess(embedded, out, poll, err);
    if (status == MIX_OK && (what & MIX_MEASURE_GRADIENT) != 0)
        status = measure_gradient(embedded, out, poll, err);
    return status;
}

/* As often as a run ends: a trainer of its own, as how much is evaluated is an option of one. */
static enum mix_status test(struct mix_trainee *trainee, double *loss, double *se,
                            struct mix_poll *poll, struct mix_error *err)
{
    struct embedded *embedded = embedded_of(trainee);
    struct mix_trainer_options options = embedded->options;
    struct mix_trainer *tester = NULL;
    struct slot now = {.bytes = NULL};
    options.validation_bytes = embedded->test_bytes;
    enum mix_status status = save(embedded, &now, err);
    if (status == MIX_OK)
        status = mix_trainer_create(&options, embedded->corpus, trainee->n_groups, &tester, err);
    if (status == MIX_OK)
        status = mix_trainer_restore(tester, now.bytes, embedded->n_snapshot, err);
    if (status == MIX_OK)
        status =
            mix_trainer_evaluate(tester, trainee->on_select ? MIX_PART_SELECT : MIX_PART_TEST,
                                 embedded->source, trainee->n_groups, embedded->loss, poll, err);
    for (size_t i = 0; status == MIX_OK && i < trainee->n_groups; i++) {
        loss[i] = embedded->loss[i].loss;
        se[i] = embedded->loss[i].se;
    }
    mix_trainer_destroy(tester);
    free(now.bytes);
    return status;
}

static const struct mix_trainee_kind embedded_kind = {
    .name = "embedded",
    .destroy = destroy,
    .restart = restart,
    .train = train,
    .measure = measure,
    .test = test,
    .freeze = freeze,
    .snapshot = snapshot,
    .restore = restore,
};

/* ---- making one */

/* Said before hours of training, not at their end. */
static enum mix_status check_text(const struct mix_corpus *corpus, size_t n_groups, size_t context,
                                  struct mix_error *err)
{
    static const char *const parts[] = {"training", "validation", "test"};
    if (n_groups == 0 || n_groups > mix_corpus_n_sources(corpus))
        return mix_fail(err, MIX_EINVAL, "proxy: %zu groups of a corpus of %zu sources.", n_groups,
                        mix_corpus_n_sources(corpus));
    for (size_t i = 0; i < n_groups; i++)
        for (enum mix_corpus_part part = MIX_PART_TRAIN; part <= MIX_PART_TEST; part++) {
            size_t n_bytes = 0;
            mix_corpus_bytes(corpus, i, part, &n_bytes);
            if (n_bytes <= context)
                return mix_fail(err, MIX_EINVAL,
                                "group %s: its %s text has %zu bytes, less than the %zu of a "
                                "context and the byte behind it.",
                                mix_corpus_name(corpus, i), parts[part], n_bytes, context + 1);
        }
    return MIX_OK;
}

/* `params` NULL: a model of its own. */
static enum mix_status make(struct embedded *embedded, const float *params, struct mix_error *err)
{
    const size_t m = embedded->head.n_groups;
    embedded->source = calloc(m, sizeof *embedded->source);
    embedded->loss = calloc(m, sizeof *embedded->loss);
    if (embedded->source == NULL || embedded->loss == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu groups.", m);
    for (size_t i = 0; i < m; i++)
        embedded->source[i] = i;
    const enum mix_status status =
        mix_trainer_create(&embedded->options, embedded->corpus, m, &embedded->trainer, err);
    if (status != MIX_OK)
        return status;
    if (params != NULL)
        mix_trainer_set_params(embedded->trainer, params);
    embedded->n_snapshot = mix_trainer_snapshot_bytes(embedded->trainer);
    embedded->n_params = mix_proxy_n_params(&embedded->options.shape, 1);
    return save(embedded, &embedded->initial, err);
}

static enum mix_status create(const struct mix_trainer_options *options,
                              const struct mix_corpus *corpus, size_t n_groups, size_t test_bytes,
                              const float *params, struct mix_trainee **out, struct mix_error *err)
{
    enum mix_status status = check_text(corpus, n_groups, options->shape.context, err);
    if (status != MIX_OK)
        return status;
    struct embedded *embedded = calloc(1, sizeof *embedded);
    size_t n_select = 0;
    if (embedded == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a proxy.");
    mix_corpus_bytes(corpus, 0, MIX_PART_SELECT, &n_select);
    embedded->head = (struct mix_trainee){
        .kind = &embedded_kind,
        .n_groups = n_groups,
        .can = MIX_CAN_FORK | MIX_CAN_WEIGHT | MIX_CAN_REFERENCE | MIX_CAN_GRADIENT |
               (n_select > 0 ? MIX_CAN_SELECT : 0),
        .n_steps = options->n_steps,
    };
    embedded->options = *options;
    embedded->corpus = corpus;
    embedded->test_bytes = test_bytes;
    embedded->n_sequences = (options->batch + n_groups - 1) / n_groups;
    status = make(embedded, params, err);
    if (status == MIX_OK)
        *out = &embedded->head;
    else
        destroy(&embedded->head);
    return status;
}

enum mix_status mix_trainee_embedded(const struct mix_trainer_options *options,
                                     const struct mix_corpus *corpus, size_t n_groups,
                                     size_t test_bytes, struct mix_trainee **out,
                                     struct mix_error *err)
{
    return create(options, corpus, n_groups, test_bytes, NULL, out, err);
}

enum mix_status mix_trainee_from_base(const struct mix_trainer_options *options,
                                      const struct mix_corpus *corpus, size_t n_groups,
                                      size_t test_bytes, const float *params,
                                      struct mix_trainee **out, struct mix_error *err)
{
    return create(options, corpus, n_groups, test_bytes, params, out, err);
}

void mix_trainee_test_on(struct mix_trainee *trainee, enum mix_corpus_part part)
{
    trainee->on_select = part == MIX_PART_SELECT && (trainee->can & MIX_CAN_SELECT) != 0;
}

/* ---- base models */

static enum mix_status mean_loss(struct mix_trainer *trainer, size_t n_groups,
                                 const double *mixture, double *out, struct mix_poll *poll,
                                 struct mix_error *err)
{
    size_t n = 0;
    double sum = 0.0;
    for (size_t i = 0; i < n_groups; i++) {
        struct mix_proxy_loss loss;
        if (mixture[i] <= 0.0)
            continue;
        const enum mix_status status =
            mix_trainer_evaluate(trainer, MIX_PART_VALIDATION, &i, 1, &loss, poll, err);
        if (status != MIX_OK)
            return status;
        sum += loss.loss;
        n++;
    }
    *out = sum / (double)n;
    return MIX_OK;
}

enum mix_status mix_base_train(const struct mix_trainer_options *options,
                               const struct mix_corpus *corpus, size_t n_groups,
                               const double *mixture, float *params, size_t n_curve, double *curve,
                               struct mix_poll *poll, struct mix_error *err)
{
    struct mix_trainer *trainer = NULL;
    uint64_t done = 0;
    enum mix_status status = check_text(corpus, n_groups, options->shape.context, err);
    if (status == MIX_OK)
        status = mix_trainer_create(options, corpus, n_groups, &trainer, err);
    for (size_t i = 0; i < n_curve && status == MIX_OK; i++) {
        const uint64_t until =
            (uint64_t)((double)options->n_steps * (double)i / (double)(n_curve - 1));
        status = mix_trainer_train(trainer, mixture, NULL, until - done, poll, err);
        done = until;
        if (status == MIX_OK)
            status = mean_loss(trainer, n_groups, mixture, &curve[i], poll, err);
    }
    if (status == MIX_OK)
        memcpy(params, mix_trainer_params(trainer),
               mix_proxy_n_params(&options->shape, 1) * sizeof *params);
    mix_trainer_destroy(trainer);
    return status;
}
