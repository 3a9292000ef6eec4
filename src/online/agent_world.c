/* SPDX-License-Identifier: GPL-3.0-or-later */
/* agent_world.c - see agent_world.h. */
#include "online/agent_world.h"

#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "online/job_text.h"

struct known_base {
    uint64_t number;
    float *params;
};

struct agent_world {
    const struct mix_job *job;
    const struct mix_job_transfer *transfer; /* NULL: own */
    const size_t *slots;                     /* (D) */
    enum mix_isa isa;
    struct mix_agent_space space;
    double natural[MIX_GROUPS_MAX];
    struct mix_trainer_options options; /* embedded: of base models */
    double learning_rate;               /* embedded: of runs */
    struct mix_corpus *corpus;
    struct mix_key key;
    size_t n_bases;
    struct known_base *bases;
};

struct mix_agent_space mix_agent_space_of(const struct mix_job *job)
{
    return (struct mix_agent_space){.n_slots = job->agent.n_slots,
                                    .n_source = job->agent.n_source,
                                    .n_decisions = job->agent.n_decisions,
                                    .source_weight = 0.5,
                                    .target_weight = 0.5};
}

/* ---- what it is */

static struct mix_key chain(struct mix_key before, const char *what, const void *bytes, size_t n)
{
    const struct mix_key link[2] = {before, mix_key_make(0, what, bytes, n)};
    return mix_key_make(1, what, link, sizeof link);
}

static struct mix_key key_of_embedded(const struct agent_world *world, struct mix_key key)
{
    const struct mix_trainer_options *o = &world->options;
    const struct mix_job_agent *agent = &world->job->agent;
    const double numbers[] = {(double)o->shape.width,
                              (double)o->shape.n_layers,
                              (double)o->shape.n_heads,
                              (double)o->shape.context,
                              (double)o->batch,
                              o->learning_rate,
                              o->beta1,
                              o->beta2,
                              o->epsilon,
                              o->weight_decay,
                              o->clip,
                              (double)o->schedule,
                              o->warmup,
                              o->decay,
                              o->final_rate,
                              (double)o->sampling,
                              (double)o->validation_bytes,
                              world->learning_rate,
                              (double)agent->base_steps,
                              (double)agent->test_bytes,
                              agent->test_share};
    key = chain(key, "embedded", numbers, sizeof numbers);
    for (size_t i = 0; world->corpus != NULL && i < world->space.n_slots; i++) {
        const struct mix_key text = mix_corpus_hash(world->corpus, i);
        key = chain(key, "text", &text, sizeof text);
    }
    return key;
}

static struct mix_key key_of_forgetting(const struct agent_world *world, struct mix_key key)
{
    const struct mix_job_forgetting *w = &world->job->agent.world;
    const double numbers[] = {w->rate, w->forgetting, w->spread, w->noise};
    key = chain(key, "forgetting", numbers, sizeof numbers);
    key = chain(key, "seed", &w->seed, sizeof w->seed);
    const double *const arrays[] = {w->loss, w->low, w->high};
    for (size_t a = 0; a < 3 && w->loss != NULL; a++)
        key = chain(key, "losses", arrays[a], world->space.n_slots * sizeof *arrays[a]);
    return key;
}

static struct mix_key key_of_command(const struct agent_world *world, struct mix_key key)
{
    for (size_t i = 0; i < world->job->agent.n_argv; i++)
        key = chain(key, "argv", world->job->agent.argv[i], strlen(world->job->agent.argv[i]));
    return key;
}

static struct mix_key key_of(const struct agent_world *world)
{
    const struct mix_job *job = world->job;
    const struct mix_agent_space *space = &world->space;
    const uint64_t numbers[] = {job->seed,       (uint64_t)job->agent.trainer, space->n_slots,
                                space->n_source, space->n_decisions,           job->agent.n_steps};
    struct mix_key key = mix_key_make(0, "agent world", numbers, sizeof numbers);
    for (size_t i = 0; i < space->n_slots; i++) {
        const char *name = job->domains[world->slots[i]].name;
        key = chain(key, "slot", name, strlen(name));
    }
    key = chain(key, "natural", world->natural, space->n_slots * sizeof *world->natural);
    switch (job->agent.trainer) {
    case MIX_ONLINE_EMBEDDED:
        return key_of_embedded(world, key);
    case MIX_ONLINE_SIMULATE:
        return key_of_forgetting(world, key);
    case MIX_ONLINE_COMMAND:
        break;
    }
    return key_of_command(world, key);
}

/* ---- opening */

/* Priors are shares of all domains of the job; rounded ratios do not show how many these are, which
 * would make another key, and other runs, of a job with a domain more. */
static void find_natural(struct agent_world *world)
{
    static const double LATTICE = 1099511627776.0; /* 2^40 */
    const struct mix_agent_space *space = &world->space;
    const struct mix_domain *domains = world->job->domains;
    double sum[2] = {0, 0};
    for (size_t i = 0; i < space->n_slots; i++) {
        const double first = domains[world->slots[i < space->n_source ? 0 : space->n_source]].prior;
        world->natural[i] = round(LATTICE * domains[world->slots[i]].prior / first);
        sum[i >= space->n_source] += world->natural[i];
    }
    for (size_t i = 0; i < space->n_slots; i++)
        world->natural[i] /= sum[i >= space->n_source];
}

/* The model of another scale has the rates that suit it, in the same proportion. */
static void choose_model(struct agent_world *world)
{
    const struct mix_job_agent *agent = &world->job->agent;
    world->options = agent->options;
    world->learning_rate = agent->learning_rate;
    if (world->transfer != NULL && world->transfer->scale > 0) {
        const struct mix_trainer_options *other =
            &world->job->scales[world->transfer->scale].trainer;
        const size_t n_bytes = world->options.validation_bytes;
        world->learning_rate *= other->learning_rate / agent->options.learning_rate;
        world->options = *other;
        world->options.validation_bytes = n_bytes;
    }
    world->options.isa = world->isa;
}

/* All but the text. */
static void describe(struct agent_world *world, const struct mix_job *job, int setting,
                     enum mix_isa isa)
{
    world->job = job;
    world->isa = isa;
    world->transfer = setting == AGENT_OWN ? NULL : &job->agent.transfers[setting];
    world->slots = setting == AGENT_OWN ? job->agent.slots : world->transfer->slots;
    world->space = mix_agent_space_of(job);
    find_natural(world);
    if (job->agent.trainer == MIX_ONLINE_EMBEDDED)
        choose_model(world);
}

struct mix_agent_log_head agent_log_head(const struct mix_job *job)
{
    struct mix_agent_log_head head;
    struct agent_world world = {.corpus = NULL};
    describe(&world, job, AGENT_OWN, MIX_ISA_GENERIC);
    memset(&head, 0, sizeof head);
    snprintf(head.name, sizeof head.name, "%s", job->agent.name);
    head.options = key_of(&world);
    head.n_slots = world.space.n_slots;
    head.n_source = world.space.n_source;
    head.n_decisions = world.space.n_decisions;
    return head;
}

enum mix_status agent_world_open(const struct mix_job *job, int setting, enum mix_isa isa,
                                 struct agent_world **out, struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    struct agent_world *world = calloc(1, sizeof *world);
    if (world == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu slots", job->agent.n_slots);
    describe(world, job, setting, isa);
    if (job->agent.trainer == MIX_ONLINE_EMBEDDED)
        status = online_load_text(job, world->slots, world->space.n_slots, true,
                                  job->agent.test_share, &world->corpus, err);
    if (status != MIX_OK) {
        agent_world_close(world);
        return status;
    }
    world->key = key_of(world);
    *out = world;
    return MIX_OK;
}

void agent_world_close(struct agent_world *world)
{
    if (world == NULL)
        return;
    for (size_t i = 0; i < world->n_bases; i++)
        free(world->bases[i].params);
    free(world->bases);
    mix_corpus_destroy(world->corpus);
    free(world);
}

const char *agent_world_name(const struct agent_world *world)
{
    return world->transfer != NULL ? world->transfer->name : "own";
}

struct mix_key agent_world_key(const struct agent_world *world)
{
    return world->key;
}

const struct mix_agent_space *agent_world_space(const struct agent_world *world)
{
    return &world->space;
}

const double *agent_world_natural(const struct agent_world *world)
{
    return world->natural;
}

uint64_t agent_world_steps(const struct agent_world *world)
{
    return world->job->agent.n_steps / world->space.n_decisions;
}

const struct mix_corpus *agent_world_corpus(const struct agent_world *world)
{
    return world->corpus;
}

/* ---- trainees */

static const struct known_base *find_base(const struct agent_world *world, uint64_t number)
{
    for (size_t i = 0; i < world->n_bases; i++)
        if (world->bases[i].number == number)
            return &world->bases[i];
    return NULL;
}

static enum mix_status continue_base(const struct agent_world *world, uint64_t base, uint64_t seed,
                                     struct mix_trainee **out, struct mix_error *err)
{
    enum { WARMUP_STEPS = 10 };
    const struct mix_job_agent *agent = &world->job->agent;
    const struct known_base *known = find_base(world, base);
    struct mix_trainer_options options = world->options;
    if (known == NULL)
        return mix_fail(err, MIX_ENOTFOUND, "base model %llu of the setting %s is not there",
                        (unsigned long long)base, agent_world_name(world));
    options.seed = seed;
    options.n_steps = agent->n_steps;
    options.learning_rate = world->learning_rate;
    options.schedule = MIX_SCHEDULE_CONSTANT;
    options.warmup = fmin(0.5, WARMUP_STEPS / (double)agent->n_steps);
    return mix_trainee_from_base(&options, world->corpus, world->space.n_slots, agent->test_bytes,
                                 known->params, out, err);
}

/* Where the job gives no losses: sources that are learnt, targets that are not (spec of the paper's
 * small-scale world), in nats. */
static void draw_slot(const struct agent_world *world, size_t i, gsl_rng *rng, double *loss,
                      double *low, double *high)
{
    const struct mix_job_forgetting *w = &world->job->agent.world;
    const bool is_source = i < world->space.n_source;
    *loss = w->loss != NULL ? w->loss[i] : is_source ? 1.0 : 3.0;
    *low = w->loss != NULL ? w->low[i] : is_source ? 0.9 : 1.0;
    *high = w->loss != NULL ? w->high[i] : is_source ? 2.25 : 3.2;
    const double learnable = (*loss - *low) * exp(gsl_ran_gaussian(rng, w->spread));
    const double lost = (*high - *loss) * exp(gsl_ran_gaussian(rng, w->spread));
    *low = fmax(0.05 * *loss, *loss - learnable);
    *high = *loss + lost;
}

static enum mix_status simulate(const struct agent_world *world, uint64_t base, uint64_t seed,
                                struct mix_trainee **out, struct mix_error *err)
{
    const struct mix_job_forgetting *w = &world->job->agent.world;
    double loss[MIX_GROUPS_MAX], low[MIX_GROUPS_MAX], high[MIX_GROUPS_MAX];
    const struct {
        uint64_t base;
        struct mix_key world;
    } what = {base, world->key};
    gsl_rng *rng = mix_rng_create(mix_key_make(w->seed, "agent world", &what, sizeof what));
    if (rng == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a world");
    const double rate = w->rate * exp(gsl_ran_gaussian(rng, w->spread));
    const double forgetting = w->forgetting * exp(gsl_ran_gaussian(rng, w->spread));
    for (size_t i = 0; i < world->space.n_slots; i++)
        draw_slot(world, i, rng, &loss[i], &low[i], &high[i]);
    gsl_rng_free(rng);
    const struct mix_forgetting_options options = {.n_groups = world->space.n_slots,
                                                   .n_steps = world->job->agent.n_steps,
                                                   .steps_per_decision = agent_world_steps(world),
                                                   .rate = rate,
                                                   .forgetting = forgetting,
                                                   .loss = loss,
                                                   .low = low,
                                                   .high = high,
                                                   .noise = w->noise,
                                                   .seed = seed};
    return mix_trainee_forgetting(&options, out, err);
}

static enum mix_status start_program(const struct agent_world *world, uint64_t base, uint64_t seed,
                                     struct mix_trainee **out, struct mix_poll *poll,
                                     struct mix_error *err)
{
    const struct mix_job_agent *agent = &world->job->agent;
    const char *names[MIX_GROUPS_MAX];
    const uint64_t both[] = {base, seed};
    for (size_t i = 0; i < world->space.n_slots; i++)
        names[i] = world->job->domains[world->slots[i]].name;
    const struct mix_external_options options = {
        .argv = agent->argv,
        .n_groups = world->space.n_slots,
        .groups = names,
        .n_steps = agent->n_steps,
        .seed = mix_key_make(0, "agent command", both, sizeof both).lo >> 11,
        .answer_s = agent->answer_s,
        .grace_s = agent->grace_s};
    return mix_trainee_external(&options, out, poll, err);
}

enum mix_status agent_world_trainee(const struct agent_world *world, uint64_t base, uint64_t seed,
                                    struct mix_trainee **out, struct mix_poll *poll,
                                    struct mix_error *err)
{
    seed = mix_key_make(world->job->seed, "agent run", &seed, sizeof seed).lo;
    switch (world->job->agent.trainer) {
    case MIX_ONLINE_EMBEDDED:
        return continue_base(world, base, seed, out, err);
    case MIX_ONLINE_SIMULATE:
        return simulate(world, base, seed, out, err);
    case MIX_ONLINE_COMMAND:
        break;
    }
    return start_program(world, base, seed, out, poll, err);
}

/* ---- base models */

struct base_stage {
    const struct agent_world *world;
    size_t n_params;
    uint64_t *numbers; /* (n) of the tasks */
};

static struct mix_key base_key(const struct agent_world *world, uint64_t number)
{
    return chain(world->key, "agent base", &number, sizeof number);
}

static enum mix_status train_base(void *context, size_t i, void *record, struct mix_poll *poll,
                                  struct mix_error *err)
{
    const struct base_stage *stage = context;
    const struct agent_world *world = stage->world;
    const uint64_t number = stage->numbers[i];
    const double started_s = mix_clock_s();
    double mixture[MIX_GROUPS_MAX] = {0};
    struct mix_trainer_options options = world->options;
    struct mix_agent_base base;
    memset(&base, 0, sizeof base);
    memcpy(mixture, world->natural, world->space.n_source * sizeof *mixture);
    options.seed = mix_key_make(world->job->seed, "agent base", &number, sizeof number).lo;
    options.n_steps = world->job->agent.base_steps;
    base.params = calloc(stage->n_params, sizeof *base.params);
    if (base.params == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a base model");
    const enum mix_status status =
        mix_base_train(&options, world->corpus, world->space.n_slots, mixture, base.params,
                       MIX_AGENT_CURVE, base.curve, poll, err);
    if (status == MIX_OK) {
        base.key = base_key(world, number);
        base.hash = mix_agent_hash(base.params, stage->n_params);
        snprintf(base.setting, sizeof base.setting, "%s", agent_world_name(world));
        base.number = number;
        base.n_steps = options.n_steps;
        base.n_params = stage->n_params;
        base.train_s = mix_clock_s() - started_s;
        mix_agent_pack_base(&base, record);
    }
    free(base.params);
    return status;
}

static const struct mix_agent_base *stored_base(const struct mix_agent_campaign *campaign,
                                                struct mix_key key)
{
    for (size_t i = 0; i < campaign->n_bases; i++)
        if (campaign->bases[i].key.hi == key.hi && campaign->bases[i].key.lo == key.lo)
            return &campaign->bases[i];
    return NULL;
}

/* Rank 0: the parameters of a base model, checked. */
static enum mix_status fetch(const struct agent_world *world,
                             const struct mix_agent_campaign *campaign, uint64_t number,
                             size_t n_params, float *params, struct mix_error *err)
{
    const struct mix_agent_base *base = stored_base(campaign, base_key(world, number));
    if (base == NULL || base->n_params != n_params)
        return mix_fail(err, MIX_EFORMAT, "base model %llu of %s is not there, or of another size",
                        (unsigned long long)number, campaign->name);
    const struct mix_key hash = mix_agent_hash(base->params, n_params);
    if (hash.hi != base->hash.hi || hash.lo != base->hash.lo)
        return mix_fail(err, MIX_EFORMAT,
                        "the parameters of base model %llu of %s are not those of its hash: the "
                        "file is damaged",
                        (unsigned long long)number, campaign->name);
    memcpy(params, base->params, n_params * sizeof *params);
    return MIX_OK;
}

/* Collective: one base model on every rank. */
static enum mix_status share_base(struct mix_ranks *ranks, struct agent_world *world,
                                  const struct mix_agent_campaign *campaign, uint64_t number,
                                  size_t n_params, struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    if (find_base(world, number) != NULL)
        return MIX_OK;
    struct known_base *bases = realloc(world->bases, (world->n_bases + 1) * sizeof *bases);
    float *params = malloc(n_params * sizeof *params);
    if (bases != NULL)
        world->bases = bases;
    if (bases == NULL || params == NULL)
        status = mix_fail(err, MIX_ENOMEM, "out of memory for a base model");
    if (status == MIX_OK && campaign != NULL)
        status = fetch(world, campaign, number, n_params, params, err);
    status = mix_ranks_agree(ranks, status, err);
    if (status != MIX_OK) {
        free(params);
        return status;
    }
    mix_ranks_broadcast(ranks, params, n_params * sizeof *params);
    world->bases[world->n_bases++] = (struct known_base){number, params};
    return MIX_OK;
}

/* Rank 0: which are done. */
static void find_done(const struct base_stage *stage, const struct mix_agent_campaign *campaign,
                      size_t n, uint8_t *done)
{
    for (size_t i = 0; campaign != NULL && i < n; i++)
        done[i] = stored_base(campaign, base_key(stage->world, stage->numbers[i])) != NULL;
}

static enum mix_status train_bases(struct mix_ranks *ranks, struct base_stage *base, size_t n,
                                   struct mix_agent_campaign *campaign,
                                   const struct mix_campaign_options *options,
                                   struct mix_error *err)
{
    const struct mix_agent_log_head head = agent_log_head(base->world->job);
    const size_t bytes = mix_agent_base_bytes(base->n_params);
    uint8_t *done = calloc(2 * n, 1);
    uint8_t *records = campaign != NULL ? calloc(n, bytes) : NULL;
    enum mix_status status = done == NULL || (campaign != NULL && records == NULL)
                                 ? mix_fail(err, MIX_ENOMEM, "out of memory for %zu base models", n)
                                 : MIX_OK;
    if (status == MIX_OK)
        find_done(base, campaign, n, done);
    if (status == MIX_OK && campaign != NULL && options->stage != NULL &&
        memchr(done, 0, n) != NULL)
        status = options->stage(options->progress_context, "base models", err);
    status = mix_ranks_agree(ranks, status, err);
    if (status == MIX_OK) {
        const struct mix_stage stage = {.name = "base models",
                                        .n_tasks = n,
                                        .record_bytes = bytes,
                                        .run = train_base,
                                        .context = base,
                                        .done = done,
                                        .records = records,
                                        .finished = done + n,
                                        .log_kind = MIX_LOG_AGENT,
                                        .log_head = &head,
                                        .log_head_bytes = sizeof head,
                                        .log_dir = options->log_dir,
                                        .progress = options->progress,
                                        .progress_context = options->progress_context,
                                        .stop_s = options->stop_s};
        status = mix_stage_run(ranks, &stage, err);
        for (size_t i = 0; campaign != NULL && i < n; i++)
            if (done[n + i] != 0) {
                const enum mix_status taken = mix_agent_campaign_take(
                    campaign, &head, sizeof head, records + i * bytes, bytes, err);
                status = taken != MIX_OK ? taken : status;
            }
        status = mix_ranks_agree(ranks, status, err);
    }
    free(done);
    free(records);
    return status;
}

enum mix_status agent_world_bases(struct mix_ranks *ranks, struct agent_world *world,
                                  struct mix_agent_campaign *campaign, uint64_t first, size_t n,
                                  const struct mix_campaign_options *options, struct mix_error *err)
{
    if (world->job->agent.trainer != MIX_ONLINE_EMBEDDED || n == 0)
        return MIX_OK;
    struct base_stage stage = {.world = world,
                               .n_params = mix_proxy_n_params(&world->options.shape, 1),
                               .numbers = calloc(n, sizeof *stage.numbers)};
    enum mix_status status =
        stage.numbers != NULL ? MIX_OK : mix_fail(err, MIX_ENOMEM, "out of memory for base models");
    for (size_t i = 0; i < n && status == MIX_OK; i++)
        stage.numbers[i] = first + i;
    status = mix_ranks_agree(ranks, status, err);
    if (status == MIX_OK)
        status = train_bases(ranks, &stage, n, campaign, options, err);
    for (size_t i = 0; i < n && status == MIX_OK; i++)
        status = share_base(ranks, world, campaign, stage.numbers[i], stage.n_params, err);
    free(stage.numbers);
    return status;
}
