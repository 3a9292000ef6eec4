/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trainer.c - making a trainer and training; see mixsweep/proxy.h. */
#include "proxy/trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/sampler.h"

struct mix_trainer_options mix_trainer_defaults(const struct mix_proxy_shape *shape)
{
    return (struct mix_trainer_options){
        .shape = *shape,
        .isa = mix_isa_best(),
        .batch = 16,
        .learning_rate = 0.3 / (double)shape->width, /* near the best of 16 to 128 on real text */
        .beta1 = 0.9,
        .beta2 = 0.95,
        .epsilon = 1e-8,
        .weight_decay = 0.1,
        .clip = 1.0,
        .schedule = MIX_SCHEDULE_WSD,
        .warmup = 0.05,
        .decay = 0.3,
        .final_rate = 0.05,
        .n_steps = 1000,
        .sampling = MIX_SAMPLING_EXACT,
        .seed = 1,
        .validation_bytes = 1 << 16,
    };
}

static enum mix_status check_shape(const struct mix_proxy_shape *shape, struct mix_error *err)
{
    enum { MOST = 1 << 14 };
    if (shape->width == 0 || shape->width > MOST || shape->width % 16 != 0)
        return mix_fail(err, MIX_EINVAL,
                        "proxy: width is %zu; allowed are multiples of 16 up to %d", shape->width,
                        MOST);
    if (shape->context == 0 || shape->context > MOST || shape->context % 16 != 0)
        return mix_fail(err, MIX_EINVAL,
                        "proxy: context is %zu; allowed are multiples of 16 up to %d",
                        shape->context, MOST);
    if (shape->n_layers == 0 || shape->n_layers > 256)
        return mix_fail(err, MIX_EINVAL, "proxy: %zu layers; allowed are 1 to 256",
                        shape->n_layers);
    if (shape->n_heads == 0 || shape->width % shape->n_heads != 0 ||
        shape->width / shape->n_heads % 8 != 0)
        return mix_fail(err, MIX_EINVAL,
                        "proxy: %zu heads do not divide width %zu into multiples of 8",
                        shape->n_heads, shape->width);
    return MIX_OK;
}

static enum mix_status check_options(const struct mix_trainer_options *o, struct mix_error *err)
{
    const struct {
        const char *name;
        double value, lowest, highest;
    } ranges[] = {
        {"batch", (double)o->batch, 1, 65536},
        {"learning rate", o->learning_rate, 0, 1e3},
        {"beta1", o->beta1, 0, 0.999999},
        {"beta2", o->beta2, 0, 0.999999},
        {"epsilon", o->epsilon, 1e-30, 1},
        {"weight decay", o->weight_decay, 0, 1e3},
        {"clip", o->clip, 0, 1e30},
        {"warmup", o->warmup, 0, 1},
        {"decay", o->decay, 0, 1},
        {"final rate", o->final_rate, 0, 1},
        {"planned steps", (double)o->n_steps, 1, 1e15},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        if (!(ranges[i].value >= ranges[i].lowest && ranges[i].value <= ranges[i].highest))
            return mix_fail(err, MIX_EINVAL, "proxy: %s is %g; allowed are %g to %g",
                            ranges[i].name, ranges[i].value, ranges[i].lowest, ranges[i].highest);
    if (o->isa > mix_isa_best())
        return mix_fail(err, MIX_EINVAL, "proxy: this CPU has no %s; the best it has is %s",
                        mix_isa_name(o->isa), mix_isa_name(mix_isa_best()));
    if (o->schedule > MIX_SCHEDULE_WSD || o->sampling > MIX_SAMPLING_IID)
        return mix_fail(err, MIX_EINVAL, "proxy: no such schedule (%d) or sampling (%d)",
                        (int)o->schedule, (int)o->sampling);
    return check_shape(&o->shape, err);
}

enum mix_status proxy_find_text(const struct mix_trainer *trainer, size_t source,
                                enum mix_corpus_part part, struct proxy_text *out,
                                struct mix_error *err)
{
    static const char *const parts[] = {"training", "validation", "test"};
    const size_t t = trainer->options.shape.context;
    size_t n_bytes = 0;
    const uint8_t *bytes = mix_corpus_bytes(trainer->corpus, source, part, &n_bytes);
    if (n_bytes <= t)
        return mix_fail(err, MIX_EINVAL,
                        "source %s: its %s part has %zu bytes; a context and the byte behind it "
                        "need %zu",
                        mix_corpus_name(trainer->corpus, source), parts[part], n_bytes, t + 1);
    const uint64_t n_chunks = (n_bytes - 1) / t;
    *out = (struct proxy_text){.bytes = bytes, .n_chunks = n_chunks, .n_used = n_chunks};
    return MIX_OK;
}

/* Of shape and training text: word by word, so that it is the same everywhere. */
static struct mix_key identity_of(const struct mix_trainer *trainer)
{
    const struct mix_proxy_shape *s = &trainer->options.shape;
    uint64_t words[] = {s->width, s->n_layers, s->n_heads, s->context, trainer->n_domains};
    struct mix_key key = mix_key_make(0, "proxy", words, sizeof words);
    for (size_t k = 0; k < trainer->n_domains; k++) {
        const struct mix_key text = mix_corpus_hash(trainer->corpus, k);
        const uint64_t link[] = {key.hi, key.lo, text.hi, text.lo, trainer->train[k].n_used};
        key = mix_key_make(k, "proxy", link, sizeof link);
    }
    return key;
}

static enum mix_status allocate(struct mix_trainer *t, struct mix_error *err)
{
    const size_t k = t->n_domains;
    const enum mix_status status =
        proxy_model_create(&t->options.shape, proxy_kernels(t->options.isa), &t->model, err);
    if (status != MIX_OK)
        return status;
    t->train = calloc(k, sizeof *t->train);
    t->first = calloc(t->model.n_params, sizeof *t->first);
    t->second = calloc(t->model.n_params, sizeof *t->second);
    t->drawn = calloc(k, sizeof *t->drawn);
    t->owed = calloc(k, sizeof *t->owed);
    t->loss_sum = calloc(k, sizeof *t->loss_sum);
    t->loss_count = calloc(k, sizeof *t->loss_count);
    t->progress_bytes = calloc(k, sizeof *t->progress_bytes);
    t->progress_epochs = calloc(k, sizeof *t->progress_epochs);
    t->progress_loss = calloc(k, sizeof *t->progress_loss);
    t->rng = mix_rng_create(mix_key_make(t->options.seed, "proxy parameters", NULL, 0));
    const void *const needed[] = {
        t->train,    t->first,      t->second,         t->drawn,           t->owed,
        t->loss_sum, t->loss_count, t->progress_bytes, t->progress_epochs, t->progress_loss,
        t->rng};
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
        if (needed[i] == NULL)
            return mix_fail(err, MIX_ENOMEM, "out of memory for a proxy of %zu parameters",
                            t->model.n_params);
    return MIX_OK;
}

void mix_trainer_destroy(struct mix_trainer *t)
{
    if (t == NULL)
        return;
    proxy_model_destroy(&t->model);
    gsl_rng_free(t->rng);
    free(t->train);
    free(t->first);
    free(t->second);
    free(t->drawn);
    free(t->owed);
    free(t->loss_sum);
    free(t->loss_count);
    free(t->progress_bytes);
    free(t->progress_epochs);
    free(t->progress_loss);
    free(t);
}

static enum mix_status find_training_text(struct mix_trainer *trainer, size_t domain,
                                          const double *subsample, struct mix_error *err)
{
    struct proxy_text *text = &trainer->train[domain];
    const enum mix_status status = proxy_find_text(trainer, domain, MIX_PART_TRAIN, text, err);
    if (status != MIX_OK || subsample == NULL)
        return status;
    const double part = subsample[domain];
    if (!(part > 0 && part <= 1))
        return mix_fail(err, MIX_EINVAL,
                        "proxy: the part of %s to train on is %g; allowed is more "
                        "than 0, at most 1",
                        mix_corpus_name(trainer->corpus, domain), part);
    text->n_used = (uint64_t)fmax(1, round(part * (double)text->n_chunks));
    return MIX_OK;
}

enum mix_status mix_trainer_create(const struct mix_trainer_options *options,
                                   const struct mix_corpus *corpus, size_t n_domains,
                                   struct mix_trainer **out, struct mix_error *err)
{
    enum mix_status status = check_options(options, err);
    if (status != MIX_OK)
        return status;
    if (n_domains == 0 || n_domains > mix_corpus_n_sources(corpus))
        return mix_fail(err, MIX_EINVAL, "proxy: %zu training domains of a corpus of %zu sources",
                        n_domains, mix_corpus_n_sources(corpus));
    struct mix_trainer *trainer = calloc(1, sizeof *trainer);
    if (trainer == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a proxy");
    trainer->options = *options;
    trainer->corpus = corpus;
    trainer->n_domains = n_domains;
    status = allocate(trainer, err);
    for (size_t k = 0; k < n_domains && status == MIX_OK; k++)
        status = find_training_text(trainer, k, options->subsample, err);
    trainer->options.subsample = NULL; /* was borrowed */
    if (status != MIX_OK) {
        mix_trainer_destroy(trainer);
        return status;
    }
    trainer->identity = identity_of(trainer);
    proxy_model_initialise(&trainer->model, trainer->rng);
    trainer->plan = (struct proxy_plan){
        .schedule = options->schedule,
        .n_steps = options->n_steps,
        .n_warmup = (uint64_t)ceil(options->warmup * (double)options->n_steps),
        .from_rate = 1.0,
    };
    trainer->progress = (struct mix_trainer_progress){
        .bytes = trainer->progress_bytes,
        .epochs = trainer->progress_epochs,
        .step_loss = NAN,
        .domain_loss = trainer->progress_loss,
    };
    for (size_t k = 0; k < n_domains; k++)
        trainer->progress_loss[k] = NAN;
    *out = trainer;
    return MIX_OK;
}

const struct mix_trainer_progress *mix_trainer_progress(const struct mix_trainer *trainer)
{
    return &trainer->progress;
}

void proxy_trainer_count(struct mix_trainer *trainer)
{
    const uint64_t context = trainer->options.shape.context;
    trainer->progress.n_steps = trainer->step;
    trainer->progress.n_bytes = 0;
    for (size_t k = 0; k < trainer->n_domains; k++) {
        trainer->progress_bytes[k] = trainer->drawn[k] * context;
        trainer->progress.n_bytes += trainer->progress_bytes[k];
        trainer->progress_epochs[k] = (double)trainer->drawn[k] / (double)trainer->train[k].n_used;
    }
}

double proxy_rate(const struct mix_trainer *trainer, uint64_t step)
{
    const struct proxy_plan *plan = &trainer->plan;
    const double last = trainer->options.final_rate, end = (double)plan->n_steps;
    if (step < plan->n_warmup)
        return (double)(step + 1) / (double)plan->n_warmup;
    double begin = (double)(plan->from_step > plan->n_warmup ? plan->from_step : plan->n_warmup);
    if (plan->schedule == MIX_SCHEDULE_WSD)
        begin = fmax(begin, end - trainer->options.decay * end);
    const double way =
        (double)step <= begin ? 0.0 : fmin(1.0, ((double)step - begin) / (end - begin));
    switch (plan->schedule) {
    case MIX_SCHEDULE_COSINE:
        return last + (plan->from_rate - last) * 0.5 * (1.0 + cos(3.14159265358979323846 * way));
    case MIX_SCHEDULE_WSD:
        return plan->from_rate + (last - plan->from_rate) * way;
    default:
        return plan->from_rate;
    }
}

double mix_trainer_learning_rate(const struct mix_trainer *trainer)
{
    return trainer->options.learning_rate * proxy_rate(trainer, trainer->step);
}

void mix_trainer_set_sampling(struct mix_trainer *trainer, enum mix_sampling sampling)
{
    trainer->options.sampling = sampling;
}

enum mix_status mix_trainer_replan(struct mix_trainer *trainer, enum mix_proxy_schedule schedule,
                                   uint64_t n_steps, struct mix_error *err)
{
    if (schedule > MIX_SCHEDULE_WSD)
        return mix_fail(err, MIX_EINVAL, "proxy: no such schedule (%d)", (int)schedule);
    if (n_steps <= trainer->step)
        return mix_fail(err, MIX_EINVAL, "proxy: %llu steps are planned, but %llu are done",
                        (unsigned long long)n_steps, (unsigned long long)trainer->step);
    const uint64_t n_warmup = trainer->plan.n_warmup;
    trainer->plan = (struct proxy_plan){
        .schedule = schedule,
        .n_steps = n_steps,
        .n_warmup = n_warmup,
        .from_step = trainer->step,
        .from_rate = trainer->step < n_warmup ? 1.0 : proxy_rate(trainer, trainer->step),
    };
    return MIX_OK;
}

static enum mix_status check_mixture(const struct mix_trainer *trainer, const double *mixture,
                                     const double *weight, struct mix_error *err)
{
    double sum = 0.0;
    for (size_t k = 0; k < trainer->n_domains; k++) {
        const char *name = mix_corpus_name(trainer->corpus, k);
        if (!(mixture[k] >= 0.0))
            return mix_fail(err, MIX_EINVAL, "proxy: the share of %s is %g; allowed are 0 to 1",
                            name, mixture[k]);
        if (weight != NULL && !(weight[k] >= 0.0 && isfinite(weight[k])))
            return mix_fail(err, MIX_EINVAL,
                            "proxy: the loss weight of %s is %g; allowed are finite weights, 0 "
                            "or more",
                            name, weight[k]);
        sum += mixture[k];
    }
    if (!(fabs(sum - 1.0) <= 1e-6)) /* this way round, NaN fails too */
        return mix_fail(err, MIX_EINVAL, "proxy: the mixture sums to %.9g, not to 1", sum);
    return MIX_OK;
}

/* Chunk `index` of those that are used: a part of the text is spread over all of it, equal for all
 * runs, and within every larger part. */
static uint64_t used_chunk(const struct mix_trainer *trainer, size_t domain, uint64_t index)
{
    const struct proxy_text *text = &trainer->train[domain];
    if (text->n_used == text->n_chunks)
        return index;
    const struct mix_key hash = mix_corpus_hash(trainer->corpus, domain);
    return proxy_permute(mix_key_make(0, "proxy subsample", &hash, sizeof hash), text->n_chunks,
                         index);
}

/* The next chunk of a domain: every epoch goes through all chunks in an order of its own. */
static const uint8_t *next_chunk(struct mix_trainer *trainer, size_t domain)
{
    const struct proxy_text *text = &trainer->train[domain];
    const uint64_t position = trainer->drawn[domain]++;
    const uint64_t what[] = {domain, position / text->n_used};
    const struct mix_key order =
        mix_key_make(trainer->options.seed, "proxy epoch", what, sizeof what);
    const uint64_t index = proxy_permute(order, text->n_used, position % text->n_used);
    return text->bytes +
           used_chunk(trainer, domain, index) * (uint64_t)trainer->options.shape.context;
}

static size_t choose_domain(struct mix_trainer *trainer, const double *mixture)
{
    return trainer->options.sampling == MIX_SAMPLING_IID
               ? proxy_choose_iid(trainer->n_domains, mixture, trainer->rng)
               : proxy_choose_exact(trainer->n_domains, mixture, trainer->owed);
}

/* Loss of a fresh batch, and its gradient in place of the last one. */
static double pass_batch(struct mix_trainer *trainer, const double *mixture, const double *weight,
                         struct mix_poll *poll)
{
    struct proxy_model *model = &trainer->model;
    const double n = (double)trainer->options.batch;
    double sum = 0.0;
    mix_rng_rekey(trainer->rng, mix_key_make(trainer->options.seed, "proxy sampling",
                                             &trainer->step, sizeof trainer->step));
    memset(model->gradient, 0, model->n_params * sizeof *model->gradient);
    for (size_t i = 0; i < trainer->options.batch; i++) {
        const size_t domain = choose_domain(trainer, mixture);
        const double share = (weight == NULL ? 1.0 : weight[domain]) / n;
        const double loss = proxy_model_pass(model, next_chunk(trainer, domain), &share, poll);
        sum += loss;
        trainer->loss_sum[domain] += loss;
        trainer->loss_count[domain]++;
    }
    return sum / n;
}

static void update(struct mix_trainer *trainer, double norm)
{
    const struct mix_trainer_options *o = &trainer->options;
    struct proxy_model *model = &trainer->model;
    const struct proxy_step step = {
        .rate = mix_trainer_learning_rate(trainer),
        .beta1 = o->beta1,
        .beta2 = o->beta2,
        .epsilon = o->epsilon,
        .weight_decay = o->weight_decay,
        .clip = o->clip,
    };
    proxy_step(model->kernels, &step, trainer->step, norm, model->n_params, model->n_decayed,
               model->gradient, model->params, trainer->first, trainer->second);
}

static enum mix_status step_once(struct mix_trainer *trainer, const double *mixture,
                                 const double *weight, struct mix_poll *poll, struct mix_error *err)
{
    struct proxy_model *model = &trainer->model;
    const double loss = pass_batch(trainer, mixture, weight, poll);
    const double norm = sqrt(model->kernels->sum_of_squares(model->n_params, model->gradient));
    trainer->progress.step_loss = loss;
    if (!isfinite(loss) || !isfinite(norm))
        return mix_fail(err, MIX_ENUMERIC,
                        "proxy: training diverged in step %llu (loss %g, gradient "
                        "%g); a smaller "
                        "learning rate may help",
                        (unsigned long long)trainer->step + 1, loss, norm);
    update(trainer, norm);
    trainer->step++;
    return MIX_OK;
}

enum mix_status mix_trainer_train(struct mix_trainer *trainer, const double *mixture,
                                  const double *weight, uint64_t n_steps, struct mix_poll *poll,
                                  struct mix_error *err)
{
    enum mix_status status = check_mixture(trainer, mixture, weight, err);
    if (status != MIX_OK)
        return status;
    memset(trainer->loss_sum, 0, trainer->n_domains * sizeof *trainer->loss_sum);
    memset(trainer->loss_count, 0, trainer->n_domains * sizeof *trainer->loss_count);
    for (uint64_t i = 0; i < n_steps && status == MIX_OK; i++) {
        if (mix_poll(poll))
            status = mix_fail(err, MIX_EINTERRUPTED, "proxy: stopped after %llu steps",
                              (unsigned long long)trainer->step);
        else
            status = step_once(trainer, mixture, weight, poll, err);
    }
    proxy_trainer_count(trainer);
    for (size_t k = 0; k < trainer->n_domains; k++)
        trainer->progress_loss[k] = trainer->loss_sum[k] / (double)trainer->loss_count[k];
    return status;
}
