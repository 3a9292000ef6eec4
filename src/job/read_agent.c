/* SPDX-License-Identifier: GPL-3.0-or-later */
/* read_agent.c - the section agent: slots, base models, trajectories, and what trains. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "reader.h"

enum { BASES_MAX = 1000, DECISIONS_MAX = 256, TRAJECTORIES_MAX = 1 << 20, STEPS_MAX = 1 << 30 };
enum { TRAINING_MAX = 10 * 1000 * 1000 }; /* steps; as mix_agent_train() has it */

void job_free_agent(struct mix_job_agent *agent)
{
    for (size_t i = 0; agent->transfers && i < agent->n_transfers; i++)
        free(agent->transfers[i].slots);
    free(agent->transfers);
    free(agent->slots);
    job_free_texts(agent->n_argv, agent->argv);
    free(agent->world.loss);
    free(agent->world.low);
    free(agent->world.high);
}

/* ---- slots */

/* Domain `text` into slot `at` of those that are filled before it. */
static void take_slot(struct reader *in, const char *key, const char *text, size_t *slots,
                      size_t at)
{
    struct mix_job *job = in->job;
    const char *names[MIX_DOMAINS_MAX];
    size_t k = 0;
    if (!text) {
        FAIL(in, key, "is not the name of a domain.");
        return;
    }
    for (size_t i = 0; i < job->n_domains; i++)
        names[i] = job->domains[i].name;
    while (k < job->n_domains && strcmp(names[k], text) != 0)
        k++;
    const char *near = k == job->n_domains ? job_nearest(text, names, k) : NULL;
    if (near)
        FAIL(in, key, "there is no domain \"%.40s\"; did you mean %s?", text, near);
    else if (k == job->n_domains)
        FAIL(in, key, "there is no domain \"%.40s\".", text);
    for (size_t i = 0; in->status == MIX_OK && i < at; i++)
        if (slots[i] == k)
            FAIL(in, key, "%.64s is a slot already.", text);
    if (in->status == MIX_OK && at == MIX_GROUPS_MAX)
        FAIL(in, key, "more than %d slots.", MIX_GROUPS_MAX);
    if (in->status == MIX_OK)
        slots[at] = k;
}

/* The domains of a list into the slots from `first` on. @return how many */
static size_t take_slots(struct reader *in, const char *key, size_t *slots, size_t first)
{
    const char *text;
    size_t n = 0;
    for (; in->status == MIX_OK && job_document_item(&in->document, key, n, &text); n++) {
        ITEM_KEY(item, "%.100s[%zu]", key, n);
        take_slot(in, item, text, slots, first + n);
    }
    if (in->status == MIX_OK && n == 0)
        FAIL(in, key, "is empty; at least one domain is wanted.");
    return n;
}

/* ---- what trains */

/* One number for each slot; NULL where the key is left out. */
static void take_by_slot(struct reader *in, const char *key, double min, double max, double **out)
{
    const size_t n_slots = in->job->agent.n_slots;
    const char *text;
    size_t n = 0;
    if (!job_document_has(&in->document, key))
        return;
    *out = take_memory(in, n_slots, sizeof **out);
    for (; in->status == MIX_OK && job_document_item(&in->document, key, n, &text); n++) {
        ITEM_KEY(item, "%.100s[%zu]", key, n);
        if (n < n_slots)
            take_number(in, item, text, min, max, &(*out)[n]);
    }
    if (in->status == MIX_OK && n != n_slots)
        FAIL(in, key, "%zu numbers; one for each of the %zu slots is wanted.", n, n_slots);
}

static void take_forgetting(struct reader *in, const struct raw_agent_simulate *raw)
{
    struct mix_job_forgetting *world = &in->job->agent.world;
    *world = (struct mix_job_forgetting){
        .rate = 0.3, .forgetting = 0.05, .spread = 0.3, .noise = 1e-3, .seed = in->job->seed};
    if (!raw)
        return;
    take_number(in, "agent.simulate.rate", raw->rate, 0, 100, &world->rate);
    take_number(in, "agent.simulate.forgetting", raw->forgetting, 0, 100, &world->forgetting);
    take_number(in, "agent.simulate.spread", raw->spread, 0, 2, &world->spread);
    take_number(in, "agent.simulate.noise", raw->noise, 0, 1e3, &world->noise);
    take_seed(in, "agent.simulate.seed", raw->seed, &world->seed);
    take_by_slot(in, "agent.simulate.loss", 1e-6, 1e6, &world->loss);
    take_by_slot(in, "agent.simulate.low", 0, 1e6, &world->low);
    take_by_slot(in, "agent.simulate.high", 1e-6, 1e6, &world->high);
    const bool all = world->loss && world->low && world->high;
    if (in->status == MIX_OK && !all && (world->loss || world->low || world->high))
        FAIL(in, "agent.simulate", "loss, low and high are given together or not at all.");
    for (size_t i = 0; in->status == MIX_OK && all && i < in->job->agent.n_slots; i++) {
        ITEM_KEY(key, "agent.simulate.loss[%zu]", i);
        if (!(world->low[i] < world->loss[i] && world->loss[i] < world->high[i]))
            FAIL(in, key, "%g is not between low (%g) and high (%g).", world->loss[i],
                 world->low[i], world->high[i]);
    }
}

static void take_program(struct reader *in, const struct raw_agent_command *raw)
{
    struct mix_job_agent *agent = &in->job->agent;
    agent->answer_s = 600;
    agent->grace_s = 30;
    if (!raw)
        return;
    take_texts(in, "agent.command.argv", &agent->n_argv, &agent->argv);
    if (in->status == MIX_OK && (agent->n_argv == 0 || !agent->argv[0][0]))
        FAIL(in, "agent.command.argv", "is empty; the first entry is a program.");
    take_seconds(in, "agent.command.time_limit", raw->time_limit, 0.1, 86400 * 30.0,
                 &agent->answer_s);
    take_seconds(in, "agent.command.grace", raw->grace, 0, 86400, &agent->grace_s);
}

/* Steps of so many tokens. */
static uint64_t steps_of(struct reader *in, const char *key, double tokens)
{
    const struct mix_trainer_options *o = &in->job->agent.options;
    const double step = (double)(o->batch * o->shape.context);
    if (in->status == MIX_OK && tokens < step)
        FAIL(in, key, "%g tokens are less than one step of %.0f.", tokens, step);
    return in->status == MIX_OK ? (uint64_t)round(tokens / step) : 0;
}

static void check_paths(struct reader *in, const size_t *slots)
{
    for (size_t i = 0; in->status == MIX_OK && i < in->job->agent.n_slots; i++) {
        ITEM_KEY(key, "domains[%zu]", slots[i]);
        if (in->job->domain_sources[slots[i]].n_paths == 0 && !in->job->embedded.is_synthetic)
            FAIL(in, key, "the key paths is missing, which agent.trainer embedded wants.");
    }
}

static void check_text(struct reader *in)
{
    const struct mix_job_agent *agent = &in->job->agent;
    const double validation = in->job->embedded.corpus.validation_share;
    if (in->status == MIX_OK && 2 * agent->test_share + validation > 0.95)
        FAIL(in, "agent.test_share",
             "twice %g (to select and to test) beside validation_share %g leaves too little to "
             "train on.",
             agent->test_share, validation);
    check_paths(in, agent->slots);
}

/* The embedded trainer is that of the first scale, on the text of the sweep; the scale's n_tokens
 * are those of the base model unless base.tokens says otherwise. */
static void take_embedded(struct reader *in, const struct raw_agent *raw)
{
    struct mix_job *job = in->job;
    struct mix_job_agent *agent = &job->agent;
    double tokens = NAN, base = NAN;
    if (job->n_scales == 0 || job->evaluator[0] == '\0') {
        FAIL(in, "", "the key %s is missing, which agent.trainer embedded wants.",
             job->n_scales == 0 ? "scales" : "sweep");
        return;
    }
    if (job->scales[0].shape.width == 0) {
        FAIL(in, "scales[0]",
             "agent.trainer embedded wants size, or width, layers, heads and context.");
        return;
    }
    if (raw->steps)
        FAIL(in, "agent.steps", "is for the trainers simulate and command; give tokens.");
    agent->options = job->scales[0].trainer;
    agent->learning_rate = 0.3 * agent->options.learning_rate;
    agent->options.validation_bytes = 8192;
    agent->test_bytes = 65536;
    agent->test_share = 0.1;
    base = job->scales[0].n_tokens;
    tokens = base / 8;
    take_number(in, "agent.tokens", raw->tokens, 1, 1e18, &tokens);
    take_number(in, "agent.base.tokens", raw->base ? raw->base->tokens : NULL, 1, 1e18, &base);
    take_number(in, "agent.learning_rate", raw->learning_rate, 1e-9, 10, &agent->learning_rate);
    take_count(in, "agent.feedback_bytes", raw->feedback_bytes, 1, SIZE_MAX >> 16,
               &agent->options.validation_bytes);
    take_count(in, "agent.test_bytes", raw->test_bytes, 1, SIZE_MAX >> 16, &agent->test_bytes);
    take_number(in, "agent.test_share", raw->test_share, 1e-6, 0.45, &agent->test_share);
    agent->n_steps = steps_of(in, "agent.tokens", tokens);
    agent->base_steps = steps_of(in, "agent.base.tokens", base);
    check_text(in);
}

static void take_others(struct reader *in, const struct raw_agent *raw)
{
    const char *const only[] = {raw->tokens,        raw->base ? raw->base->tokens : NULL,
                                raw->learning_rate, raw->feedback_bytes,
                                raw->test_bytes,    raw->test_share};
    static const char *const keys[] = {"tokens",         "base.tokens", "learning_rate",
                                       "feedback_bytes", "test_bytes",  "test_share"};
    size_t n_steps = 16 * in->job->agent.n_decisions;
    for (size_t i = 0; in->status == MIX_OK && i < sizeof keys / sizeof keys[0]; i++) {
        ITEM_KEY(key, "agent.%s", keys[i]);
        if (only[i])
            FAIL(in, key, "is for the trainer embedded; a run of the others has steps.");
    }
    take_count(in, "agent.steps", raw->steps, 1, STEPS_MAX, &n_steps);
    in->job->agent.n_steps = n_steps;
}

/* A run is T stretches of equally many steps. */
static void round_steps(struct reader *in)
{
    struct mix_job_agent *agent = &in->job->agent;
    const uint64_t t = agent->n_decisions;
    if (in->status == MIX_OK && agent->n_steps < t)
        FAIL(in, "agent.decisions", "%zu decisions of a run of %llu steps.", agent->n_decisions,
             (unsigned long long)agent->n_steps);
    if (in->status == MIX_OK)
        agent->n_steps = (agent->n_steps + t / 2) / t * t;
}

static void take_trainer(struct reader *in, const struct raw_agent *raw)
{
    static const char *const trainers[] = {"embedded", "simulate", "command"};
    int trainer = MIX_ONLINE_EMBEDDED;
    take_word(in, "agent.trainer", raw->trainer, trainers, 3, &trainer);
    in->job->agent.trainer = (enum mix_online_trainer)trainer;
    take_forgetting(in, raw->simulate);
    take_program(in, raw->command);
    if (in->status == MIX_OK && trainer == MIX_ONLINE_COMMAND && !raw->command)
        FAIL(in, "agent", "the trainer command wants a section command.");
    if (in->status != MIX_OK)
        return;
    if (trainer == MIX_ONLINE_EMBEDDED)
        take_embedded(in, raw);
    else
        take_others(in, raw);
    round_steps(in);
}

/* ---- how agents are trained */

static void take_training(struct reader *in, const struct raw_agent_training *raw)
{
    struct mix_job_agent *agent = &in->job->agent;
    const char *text;
    agent->n_seeds = 1;
    if (!raw)
        return;
    take_count(in, "agent.training.supervised", raw->supervised, 1, TRAINING_MAX,
               &agent->n_supervised);
    take_count(in, "agent.training.updates", raw->updates, 1, TRAINING_MAX, &agent->n_updates);
    take_count(in, "agent.training.width", raw->width, 16, 512, &agent->width);
    take_count(in, "agent.training.seeds", raw->seeds, 1, 1000, &agent->n_seeds);
    if (in->status == MIX_OK && agent->width % 16 != 0)
        FAIL(in, "agent.training.width", "%zu is no multiple of 16.", agent->width);
    for (size_t i = 0;
         in->status == MIX_OK && job_document_item(&in->document, "agent.training.alpha", i, &text);
         i++) {
        ITEM_KEY(key, "agent.training.alpha[%zu]", i);
        if (i == MIX_ALPHAS_MAX)
            FAIL(in, "agent.training.alpha", "has more than %d entries.", MIX_ALPHAS_MAX);
        else
            take_number(in, key, text, 0, 1e4, &agent->alpha[agent->n_alphas++]);
        for (size_t j = 0; in->status == MIX_OK && j + 1 < agent->n_alphas; j++)
            if (agent->alpha[j] == agent->alpha[agent->n_alphas - 1])
                FAIL(in, key, "%g is in the list already.", agent->alpha[j]);
    }
    if (in->status == MIX_OK && agent->n_alphas == 0 &&
        job_document_has(&in->document, "agent.training.alpha"))
        FAIL(in, "agent.training.alpha", "is empty; without the key it is one that suits.");
}

/* ---- other settings for the trained agent */

/* Domains for the slots from `first` on take the place of the agent's own, where there are any. */
static void replace_slots(struct reader *in, const char *key, size_t first, size_t n,
                          struct mix_job_transfer *transfer)
{
    size_t slots[MIX_GROUPS_MAX + 1] = {0};
    if (in->status != MIX_OK || !job_document_has(&in->document, key))
        return;
    const size_t found = take_slots(in, key, slots, 0);
    if (in->status == MIX_OK && found != n)
        FAIL(in, key, "%zu domains for %zu slots.", found, n);
    else if (in->status == MIX_OK)
        memcpy(transfer->slots + first, slots, n * sizeof *slots);
}

static void check_transfer(struct reader *in, const char *key, size_t i)
{
    const struct mix_job_agent *agent = &in->job->agent;
    const struct mix_job_transfer *transfer = &agent->transfers[i];
    for (size_t a = 0; in->status == MIX_OK && a < agent->n_slots; a++)
        for (size_t b = 0; in->status == MIX_OK && b < a; b++)
            if (transfer->slots[a] == transfer->slots[b])
                FAIL(in, key, "%s would be in two slots.",
                     in->job->domains[transfer->slots[a]].name);
    for (size_t j = 0; in->status == MIX_OK && j < i; j++)
        if (strcmp(agent->transfers[j].name, transfer->name) == 0)
            FAIL(in, key, "%s is the name of an earlier entry too.", transfer->name);
    if (in->status == MIX_OK && strcmp(transfer->name, "own") == 0)
        FAIL(in, key, "own is what the job's own setting is called.");
    if (in->status == MIX_OK && agent->trainer == MIX_ONLINE_EMBEDDED &&
        in->job->scales[transfer->scale].shape.width == 0)
        FAIL(in, key, "scales[%zu] has no shape.", transfer->scale);
    if (in->status == MIX_OK && agent->trainer == MIX_ONLINE_EMBEDDED)
        check_paths(in, transfer->slots);
}

static void take_transfers(struct reader *in, const struct raw_agent *raw)
{
    struct mix_job_agent *agent = &in->job->agent;
    const size_t n = raw->n_transfers, n_scales = in->job->n_scales;
    agent->transfers = take_memory(in, n + 1, sizeof *agent->transfers);
    for (size_t i = 0; in->status == MIX_OK && i < n; i++) {
        struct mix_job_transfer *transfer = &agent->transfers[i];
        ITEM_KEY(key, "agent.transfers[%zu]", i);
        ITEM_KEY(name, "agent.transfers[%zu].name", i);
        ITEM_KEY(scale, "agent.transfers[%zu].scale", i);
        ITEM_KEY(source, "agent.transfers[%zu].source", i);
        ITEM_KEY(target, "agent.transfers[%zu].target", i);
        agent->n_transfers = i + 1;
        transfer->slots = take_memory(in, agent->n_slots, sizeof *transfer->slots);
        if (in->status != MIX_OK)
            return;
        memcpy(transfer->slots, agent->slots, agent->n_slots * sizeof *transfer->slots);
        take_name(in, name, raw->transfers[i].name, transfer->name, sizeof transfer->name);
        take_count(in, scale, raw->transfers[i].scale, 0, n_scales > 0 ? n_scales - 1 : 0,
                   &transfer->scale);
        replace_slots(in, source, 0, agent->n_source, transfer);
        replace_slots(in, target, agent->n_source, agent->n_slots - agent->n_source, transfer);
        check_transfer(in, key, i);
    }
}

void take_agent(struct reader *in, const struct raw_job *raw_job)
{
    const struct raw_agent *raw = raw_job->agent;
    struct mix_job_agent *agent = &in->job->agent;
    if (in->status != MIX_OK || !raw)
        return;
    memcpy(agent->name, in->job->name, sizeof agent->name);
    take_name(in, "agent.name", raw->name, agent->name, sizeof agent->name);
    agent->slots = take_memory(in, MIX_GROUPS_MAX + 1, sizeof *agent->slots);
    if (in->status == MIX_OK)
        agent->n_source = take_slots(in, "agent.source", agent->slots, 0);
    if (in->status == MIX_OK)
        agent->n_slots =
            agent->n_source + take_slots(in, "agent.target", agent->slots, agent->n_source);
    agent->n_bases = 2;
    agent->n_decisions = 16;
    agent->n_trajectories = 128;
    take_count(in, "agent.base.seeds", raw->base ? raw->base->seeds : NULL, 2, BASES_MAX,
               &agent->n_bases);
    take_count(in, "agent.decisions", raw->decisions, 1, DECISIONS_MAX, &agent->n_decisions);
    take_count(in, "agent.trajectories", raw->trajectories, 10, TRAJECTORIES_MAX,
               &agent->n_trajectories);
    if (in->status == MIX_OK)
        take_trainer(in, raw);
    take_training(in, raw->training);
    agent->n_compare_seeds = 5;
    take_count(in, "agent.compare_seeds", raw->compare_seeds, 1, BASES_MAX,
               &agent->n_compare_seeds);
    if (in->status == MIX_OK)
        take_transfers(in, raw);
}
