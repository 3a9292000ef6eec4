/* SPDX-License-Identifier: GPL-3.0-or-later */
/* agent_learn.c - training an agent: what is learnt from, the supervised start, the order of
 * things. */
#include "online/agent_learn.h"

#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "online/agent_cql.h"

static const double CLIP = 1.0, CLONE_DIVERGENCE = 0.1;
enum { CHECK_EVERY = 20, PATIENCE = 10 }; /* checks without a better policy */

struct mix_agent_options mix_agent_defaults(const struct mix_agent_space *space)
{
    return (struct mix_agent_options){
        .trunk = MIX_AGENT_TRANSFORMER,
        .width = 48,
        .n_layers = 2,
        .n_heads = 6,
        .good_share = 0.2,
        .n_supervised = 1000,
        .n_updates = 2000,
        .batch = 8,
        .alpha = 0.03,
        .eta = 1e-3,
        .clone_weight = 0.01,
        .discount = space->n_decisions <= 32 ? 1.0 : 0.99,
        .rate_supervised = 1e-3,
        .rate_critic = 1e-3,
        .rate_policy = 3e-4,
        .polyak = 0.02,
        .noise = 1.0,
        .isa = mix_isa_best(),
        .seed = 1,
    };
}

static enum mix_status check_options(const struct mix_agent_options *o, struct mix_error *err)
{
    const struct {
        const char *name;
        double value, low, high;
    } ranges[] = {{"good_share", o->good_share, 1e-3, 1},
                  {"n_supervised", (double)o->n_supervised, 1, 1e7},
                  {"n_updates", (double)o->n_updates, 0, 1e7},
                  {"batch", (double)o->batch, 1, 4096},
                  {"alpha", o->alpha, 0, 1e4},
                  {"eta", o->eta, 0, 1e3},
                  {"clone_weight", o->clone_weight, 0, 1e3},
                  {"discount", o->discount, 0, 1},
                  {"rate_supervised", o->rate_supervised, 1e-9, 1},
                  {"rate_critic", o->rate_critic, 1e-9, 1},
                  {"rate_policy", o->rate_policy, 1e-9, 1},
                  {"polyak", o->polyak, 1e-6, 1},
                  {"noise", o->noise, 0, 10}};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        if (!(ranges[i].value >= ranges[i].low && ranges[i].value <= ranges[i].high))
            return mix_fail(err, MIX_EINVAL, "agent: option %s is %g; from %g to %g is allowed",
                            ranges[i].name, ranges[i].value, ranges[i].low, ranges[i].high);
    if (o->isa > mix_isa_best())
        return mix_fail(err, MIX_EINVAL, "agent: this CPU has no %s; the best it has is %s",
                        mix_isa_name(o->isa), mix_isa_name(mix_isa_best()));
    return MIX_OK;
}

/* ---- what is learnt from ---- */

struct ending {
    double utility;
    size_t at;
};

static int better(const void *a, const void *b)
{
    const struct ending *x = a, *y = b;
    if (x->utility != y->utility)
        return x->utility > y->utility ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

/* The best part of a list by its end, one at least. */
static void choose_good(const struct agent_learner *l, const struct agent_list *from,
                        struct ending *scratch, struct agent_list *good)
{
    for (size_t k = 0; k < from->n; k++)
        scratch[k] = (struct ending){agent_end(l->data, &l->scale, from->at[k]), from->at[k]};
    qsort(scratch, from->n, sizeof *scratch, better);
    good->n = (size_t)ceil(l->options.good_share * (double)from->n - 1e-9);
    for (size_t k = 0; k < good->n; k++)
        good->at[k] = scratch[k].at;
}

static enum mix_status split(struct agent_learner *l, struct mix_error *err)
{
    const size_t n = l->data->n;
    struct ending *endings = malloc(n * sizeof *endings);
    if (endings == NULL)
        return mix_fail(err, MIX_ENOMEM, "agent: out of memory for %zu trajectories", n);
    for (size_t i = 0; i < n; i++) {
        struct agent_list *list = l->data->held_out[i] != 0 ? &l->held : &l->train;
        list->at[list->n++] = i;
    }
    choose_good(l, &l->train, endings, &l->good);
    choose_good(l, &l->held, endings, &l->held_good);
    for (size_t k = 0; k < l->good.n; k++)
        l->is_good[l->good.at[k]] = true;
    free(endings);
    return MIX_OK;
}

static void prepare(struct agent_learner *l)
{
    const size_t d = l->n_slots, t = l->n_decisions;
    for (size_t i = 0; i < l->data->n; i++) {
        const double *mixtures = agent_mixtures(l->data, i);
        agent_tokens(&l->data->space, &l->scale, l->options.blind, t, mixtures,
                     agent_feedback(l->data, i), l->tokens + i * t * agent_n_features(d));
        agent_rewards(l->data, &l->scale, i, l->reward + i * t);
        for (size_t s = 0; s < t; s++)
            agent_policy_smooth(d, mixtures + s * d, l->action + (i * t + s) * d);
    }
}

static enum mix_status create_policy(struct agent_learner *l, struct mix_error *err)
{
    const struct agent_shape shape = {.n_slots = l->n_slots,
                                      .n_decisions = l->n_decisions,
                                      .trunk = l->options.trunk,
                                      .width = l->options.width,
                                      .n_layers = l->options.n_layers,
                                      .n_heads = l->options.n_heads,
                                      .batch = l->options.batch};
    const enum mix_status status =
        agent_net_create(&shape, AGENT_POLICY, proxy_kernels(l->options.isa), &l->policy, err);
    if (status != MIX_OK)
        return status;
    mix_rng_rekey(l->rng, mix_key_make(l->options.seed, "agent policy", NULL, 0));
    agent_net_initialise(&l->policy, l->rng);
    l->kept_loss = INFINITY;
    l->kept = malloc(l->policy.n_params * sizeof *l->kept);
    if (l->kept == NULL)
        return mix_fail(err, MIX_ENOMEM, "agent: out of memory for a policy");
    return MIX_OK;
}

static enum mix_status create_learner(struct agent_learner *l, struct mix_error *err)
{
    const size_t n = l->data->n, d = l->n_slots, t = l->n_decisions, b = l->options.batch;
    struct agent_list *const lists[] = {&l->train, &l->good, &l->held, &l->held_good};
    bool all = true;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        lists[i]->at = calloc(n, sizeof *lists[i]->at);
        all = all && lists[i]->at != NULL;
    }
    l->is_good = calloc(n, sizeof *l->is_good);
    l->tokens = calloc(n * t * agent_n_features(d), sizeof *l->tokens);
    l->action = calloc(n * t * d, sizeof *l->action);
    l->reward = calloc(n * t, sizeof *l->reward);
    l->batch = calloc(b, sizeof *l->batch);
    l->batch_tokens = calloc(b * t * agent_n_features(d), sizeof *l->batch_tokens);
    l->d_mu = calloc(b * t * d, sizeof *l->d_mu);
    l->d_log_sigma = calloc(b * t * d, sizeof *l->d_log_sigma);
    l->rng = mix_rng_create((struct mix_key){0, 0});
    if (!all || l->is_good == NULL || l->tokens == NULL || l->action == NULL || l->reward == NULL ||
        l->batch == NULL || l->batch_tokens == NULL || l->d_mu == NULL || l->d_log_sigma == NULL ||
        l->rng == NULL)
        return mix_fail(err, MIX_ENOMEM, "agent: out of memory for %zu trajectories", n);
    enum mix_status status = split(l, err);
    if (status != MIX_OK)
        return status;
    prepare(l);
    return create_policy(l, err);
}

static void destroy_learner(struct agent_learner *l)
{
    void *const blocks[] = {
        l->train.at, l->good.at, l->held.at, l->held_good.at, l->is_good,      l->tokens, l->action,
        l->reward,   l->batch,   l->d_mu,    l->d_log_sigma,  l->batch_tokens, l->kept};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        free(blocks[i]);
    if (l->rng != NULL)
        gsl_rng_free(l->rng);
    agent_net_destroy(&l->policy);
}

/* ---- batches ---- */

static void copy_tokens(struct agent_learner *l, size_t n)
{
    const size_t one = l->n_decisions * agent_n_features(l->n_slots);
    for (size_t b = 0; b < n; b++)
        memcpy(l->batch_tokens + b * one, l->tokens + l->batch[b] * one,
               one * sizeof *l->batch_tokens);
}

/* Let the policy read the first n trajectories of the batch, as they are. */
static void read_batch(struct agent_learner *l, size_t n)
{
    copy_tokens(l, n);
    agent_net_read(&l->policy, n, l->n_decisions, l->batch_tokens);
}

void agent_draw(struct agent_learner *l, const struct agent_list *list)
{
    const size_t n = l->options.batch * l->n_decisions * agent_n_features(l->n_slots);
    for (size_t b = 0; b < l->options.batch; b++)
        l->batch[b] = list->at[gsl_rng_uniform_int(l->rng, list->n)];
    copy_tokens(l, l->options.batch);
    for (size_t i = 0; i < n; i++)
        l->batch_tokens[i] += (real)gsl_ran_gaussian_ziggurat(l->rng, l->options.noise);
    agent_net_read(&l->policy, l->options.batch, l->n_decisions, l->batch_tokens);
}

double agent_clone(struct agent_learner *l, size_t b, double weight)
{
    const size_t d = l->n_slots, t = l->n_decisions;
    double sum = 0.0;
    for (size_t s = 0; s < t; s++) {
        const size_t at = (b * t + s) * (d - 1);
        const real *action = l->action + (l->batch[b] * t + s) * d;
        const real *mu = l->policy.mu + at, *log_sigma = l->policy.log_sigma + at;
        const bool learn = weight != 0.0;
        sum -=
            agent_policy_log_density(d, mu, log_sigma, action, -weight, learn ? l->d_mu + at : NULL,
                                     learn ? l->d_log_sigma + at : NULL);
        sum += CLONE_DIVERGENCE * agent_policy_divergence(d, action, mu, CLONE_DIVERGENCE * weight,
                                                          learn ? l->d_mu + at : NULL);
    }
    return sum;
}

enum mix_status agent_improve(struct agent_learner *l, double rate, struct mix_error *err)
{
    const size_t n = l->options.batch * l->n_decisions * (l->n_slots - 1);
    agent_net_policy_backward(&l->policy, l->d_mu, l->d_log_sigma);
    memset(l->d_mu, 0, n * sizeof *l->d_mu);
    memset(l->d_log_sigma, 0, n * sizeof *l->d_log_sigma);
    if (!isfinite(agent_net_step(&l->policy, rate, CLIP)))
        return mix_fail(err, MIX_ENUMERIC, "agent: the policy has diverged; lower its rate (%g)",
                        rate);
    return MIX_OK;
}

void agent_keep(struct agent_learner *l, double loss, size_t at)
{
    l->n_worse++;
    if (!(loss < l->kept_loss))
        return;
    memcpy(l->kept, l->policy.params, l->policy.n_params * sizeof *l->kept);
    l->kept_loss = loss;
    l->kept_at = at;
    l->n_worse = 0;
}

double agent_take_kept(struct agent_learner *l)
{
    const double loss = l->kept_loss;
    if (loss < INFINITY)
        memcpy(l->policy.params, l->kept, l->policy.n_params * sizeof *l->kept);
    l->kept_loss = INFINITY;
    l->n_worse = 0;
    return loss;
}

/* ---- the supervised start ---- */

/* Mean cloning loss of a list, per decision. */
static double clone_loss(struct agent_learner *l, const struct agent_list *list)
{
    double sum = 0.0;
    for (size_t k = 0; k < list->n; k += l->options.batch) {
        const size_t n = list->n - k < l->options.batch ? list->n - k : l->options.batch;
        memcpy(l->batch, list->at + k, n * sizeof *l->batch);
        read_batch(l, n);
        for (size_t b = 0; b < n; b++)
            sum += agent_clone(l, b, 0.0);
    }
    return sum / (double)(list->n * l->n_decisions);
}

static enum mix_status supervise(struct agent_learner *l, struct mix_agent_report *report,
                                 struct mix_error *err)
{
    const struct agent_list *judges = l->held_good.n > 0 ? &l->held_good : &l->good;
    const size_t n = l->options.n_supervised;
    const double weight = 1.0 / (double)(l->options.batch * l->n_decisions);
    mix_rng_rekey(l->rng, mix_key_make(l->options.seed, "agent clone", NULL, 0));
    enum mix_status status = MIX_OK;
    for (size_t i = 0; status == MIX_OK && i < n && l->n_worse < PATIENCE; i++) {
        if (mix_poll(l->poll))
            return mix_fail(err, MIX_EINTERRUPTED, "agent: interrupted at step %zu of %zu", i, n);
        agent_draw(l, &l->good);
        for (size_t b = 0; b < l->options.batch; b++)
            agent_clone(l, b, weight);
        status = agent_improve(l, l->options.rate_supervised, err);
        report->n_supervised = i + 1;
        if ((i + 1) % CHECK_EVERY == 0 || i + 1 == n)
            agent_keep(l, clone_loss(l, judges), i + 1);
    }
    report->supervised_loss = agent_take_kept(l);
    return status;
}

/* ---- evaluation ---- */

double agent_judge(struct agent_learner *l)
{
    const size_t d = l->n_slots, t = l->n_decisions;
    double *chosen = calloc(l->data->n * t * d, sizeof *chosen);
    if (chosen == NULL)
        return NAN;
    for (size_t k = 0; k < l->held.n; k++) {
        l->batch[0] = l->held.at[k];
        read_batch(l, 1);
        for (size_t s = 0; s < t; s++)
            agent_policy_mean(d, l->policy.mu + s * (d - 1), chosen + (l->batch[0] * t + s) * d);
    }
    const double value = agent_evaluate(l, &l->held, chosen);
    free(chosen);
    return value;
}

/* Mean sum of rewards of the held-out trajectories; NaN where there are none. */
static double behaviour(const struct agent_learner *l)
{
    double sum = 0.0;
    for (size_t k = 0; k < l->held.n; k++)
        for (size_t t = 0; t < l->n_decisions; t++)
            sum += l->reward[l->held.at[k] * l->n_decisions + t];
    return sum / (double)l->held.n;
}

/* ---- training ---- */

static enum mix_status learn(struct agent_learner *l, struct mix_agent_report *report,
                             struct mix_error *err)
{
    enum mix_status status = create_learner(l, err);
    if (status == MIX_OK)
        status = supervise(l, report, err);
    if (status == MIX_OK && !l->options.supervised_only)
        status = agent_reinforce(l, &report->n_updates, err);
    if (status != MIX_OK)
        return status;
    report->value = agent_judge(l);
    report->behaviour_value = behaviour(l);
    report->n_params = l->policy.n_params;
    return MIX_OK;
}

enum mix_status mix_agent_train(const struct mix_agent_data *data,
                                const struct mix_agent_options *options, struct mix_agent **out,
                                struct mix_agent_report *report, struct mix_poll *poll,
                                struct mix_error *err)
{
    struct agent_learner l = {.data = data,
                              .options = *options,
                              .poll = poll,
                              .n_slots = data->space.n_slots,
                              .n_decisions = data->space.n_decisions};
    struct mix_agent_report told = {.value = NAN, .behaviour_value = NAN};
    const double before_s = mix_clock_s();
    enum mix_status status = check_options(options, err);
    if (status == MIX_OK)
        status = mix_agent_scale_of(data, &l.scale, err);
    if (status == MIX_OK)
        status = learn(&l, &told, err);
    if (status == MIX_OK) {
        const struct mix_agent_head head = {.space = data->space,
                                            .scale = l.scale,
                                            .trunk = (int32_t)options->trunk,
                                            .blind = options->blind,
                                            .width = options->width,
                                            .n_layers = options->n_layers,
                                            .n_heads = options->n_heads,
                                            .n_weights = l.policy.n_params};
        status =
            mix_agent_restore(&head, l.policy.params, l.policy.n_params, options->isa, out, err);
    }
    told.train_s = mix_clock_s() - before_s;
    if (status == MIX_OK && report != NULL)
        *report = told;
    destroy_learner(&l);
    return status;
}
