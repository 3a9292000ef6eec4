/* SPDX-License-Identifier: GPL-3.0-or-later */
/* campaign_world.c - what trains in a campaign: the embedded proxy on the text of a setting, a
 * simulated world, or an external program. */
#include <gsl/gsl_rng.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "online/campaign_impl.h"
#include "online/job_text.h"

/* ---- the embedded proxy */

static enum mix_status load_all(struct campaign_world *world, struct mix_error *err)
{
    const struct mix_job_online *online = &world->job->online;
    enum mix_status status = MIX_OK;
    world->corpora = calloc(online->n_settings, sizeof *world->corpora);
    if (world->corpora == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for the text of %zu settings",
                        online->n_settings);
    for (size_t s = 0; s < online->n_settings && status == MIX_OK; s++)
        status =
            online_load_text(world->job, online->settings[s].domain, online->settings[s].n_groups,
                             false, online->test_share, &world->corpora[s], err);
    return status;
}

/* ---- the simulated world */

static double between(gsl_rng *rng, double low, double high)
{
    return low + (high - low) * gsl_rng_uniform(rng);
}

/* What the job leaves out is drawn: losses of 2.5 to 4 nats of which 0.5 to 2 can be learnt, groups
 * that learn at speeds that differ by up to four, and help one another by up to a third. */
static void draw(struct campaign_world *world, size_t k, gsl_rng *rng)
{
    const struct mix_job_world *given = &world->job->online.world;
    const size_t n = world->job->n_domains;
    const uint64_t domain = k;
    mix_rng_rekey(rng, mix_key_make(given->seed, "online world", &domain, sizeof domain));
    const double loss = between(rng, 2.5, 4), learnable = between(rng, 0.5, 2);
    const double speed = exp(between(rng, 0, log(4)));
    world->loss[k] = given->loss != NULL ? given->loss[k] : loss;
    if (world->floor != NULL)
        world->floor[k] = given->floor != NULL ? given->floor[k] : loss - learnable;
    for (size_t j = 0; j < n; j++) {
        const double help = between(rng, 0, 1.0 / 3);
        world->gain[k * n + j] =
            given->gain != NULL ? given->gain[k * n + j] : learnable * speed * (j == k ? 1 : help);
    }
}

static enum mix_status make_world(struct campaign_world *world, struct mix_error *err)
{
    const struct mix_job_world *given = &world->job->online.world;
    const size_t n = world->job->n_domains;
    const bool is_drawn = given->loss == NULL && given->gain == NULL;
    gsl_rng *rng = mix_rng_create((struct mix_key){0, 0});
    world->loss = calloc(n, sizeof *world->loss);
    world->gain = calloc(n * n, sizeof *world->gain);
    if (given->floor != NULL || is_drawn)
        world->floor = calloc(n, sizeof *world->floor);
    const bool ok = rng != NULL && world->loss != NULL && world->gain != NULL &&
                    (world->floor != NULL || !(given->floor != NULL || is_drawn));
    for (size_t k = 0; ok && k < n; k++)
        draw(world, k, rng);
    if (rng != NULL)
        gsl_rng_free(rng);
    return ok ? MIX_OK : mix_fail(err, MIX_ENOMEM, "out of memory for a world of %zu domains", n);
}

static enum mix_status simulate(const struct campaign_world *world,
                                const struct mix_job_setting *setting, uint64_t n_steps,
                                uint64_t seed, struct mix_trainee **out, struct mix_error *err)
{
    const struct mix_job_world *given = &world->job->online.world;
    const size_t m = setting->n_groups, n = world->job->n_domains;
    const double per_step = 1.0 / (double)world->job->online.n_steps;
    double *numbers = calloc(m * (m + 2), sizeof *numbers);
    if (numbers == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a world of %zu groups", m);
    double *loss = numbers, *floor_of = numbers + m, *gain = numbers + 2 * m;
    for (size_t i = 0; i < m; i++) {
        loss[i] = world->loss[setting->domain[i]];
        floor_of[i] = world->floor != NULL ? world->floor[setting->domain[i]] : 0;
        for (size_t j = 0; j < m; j++)
            gain[i * m + j] = world->gain[setting->domain[i] * n + setting->domain[j]] * per_step;
    }
    const struct mix_simulator_options options = {.n_groups = m,
                                                  .n_steps = n_steps,
                                                  .loss = loss,
                                                  .gain = gain,
                                                  .floor = world->floor != NULL ? floor_of : NULL,
                                                  .decay = given->decay,
                                                  .curvature = given->curvature,
                                                  .noise = given->noise,
                                                  .seed = seed};
    const enum mix_status status = mix_trainee_simulator(&options, out, err);
    free(numbers);
    return status;
}

/* ---- all of them */

enum mix_status campaign_world_open(const struct mix_job *job, enum mix_isa isa,
                                    struct campaign_world *world, struct mix_error *err)
{
    *world = (struct campaign_world){.job = job, .isa = isa};
    switch (job->online.trainer) {
    case MIX_ONLINE_EMBEDDED:
        return load_all(world, err);
    case MIX_ONLINE_SIMULATE:
        return make_world(world, err);
    case MIX_ONLINE_COMMAND:
        break;
    }
    return MIX_OK;
}

void campaign_world_close(struct campaign_world *world)
{
    for (size_t s = 0; world->corpora != NULL && s < world->job->online.n_settings; s++)
        mix_corpus_destroy(world->corpora[s]);
    free(world->corpora);
    free(world->loss);
    free(world->gain);
    free(world->floor);
}

struct mix_key campaign_setting_key(const struct campaign_world *world, size_t setting)
{
    const struct mix_job_setting *groups = &world->job->online.settings[setting];
    struct mix_key key = {0, 0};
    for (size_t i = 0; i < groups->n_groups; i++) {
        struct {
            struct mix_key before, text;
            char name[MIX_NAME_MAX];
        } what;
        memset(&what, 0, sizeof what);
        what.before = key;
        if (world->corpora != NULL)
            what.text = mix_corpus_hash(world->corpora[setting], i);
        snprintf(what.name, sizeof what.name, "%s", world->job->domains[groups->domain[i]].name);
        key = mix_key_make(i, "online setting", &what, sizeof what);
    }
    return key;
}

static enum mix_status start_program(const struct mix_job *job,
                                     const struct mix_job_setting *setting, uint64_t n_steps,
                                     uint64_t seed, struct mix_trainee **out, struct mix_poll *poll,
                                     struct mix_error *err)
{
    const char *names[MIX_GROUPS_MAX];
    for (size_t i = 0; i < setting->n_groups; i++)
        names[i] = job->domains[setting->domain[i]].name;
    const struct mix_external_options options = {.argv = job->online.argv,
                                                 .n_groups = setting->n_groups,
                                                 .groups = names,
                                                 .n_steps = n_steps,
                                                 .seed = seed,
                                                 .answer_s = job->online.answer_s,
                                                 .grace_s = job->online.grace_s};
    return mix_trainee_external(&options, out, poll, err);
}

enum mix_status campaign_trainee(const struct campaign_world *world, size_t setting,
                                 uint64_t n_steps, uint64_t seed, struct mix_trainee **out,
                                 struct mix_poll *poll, struct mix_error *err)
{
    const struct mix_job_online *online = &world->job->online;
    const struct mix_job_setting *groups = &online->settings[setting];
    struct mix_trainer_options options = online->options;
    seed = mix_key_make(world->job->seed, "online model", &seed, sizeof seed).lo;
    switch (online->trainer) {
    case MIX_ONLINE_SIMULATE:
        return simulate(world, groups, n_steps, seed, out, err);
    case MIX_ONLINE_COMMAND:
        return start_program(world->job, groups, n_steps, seed >> 11, out, poll, err);
    case MIX_ONLINE_EMBEDDED:
        break;
    }
    options.seed = seed;
    options.n_steps = n_steps;
    options.isa = world->isa;
    return mix_trainee_embedded(&options, world->corpora[setting], groups->n_groups,
                                online->test_bytes, out, err);
}

/* Only an external trainer may lack something; it is asked before anything is trained. */
enum mix_status campaign_check_abilities(const struct campaign_world *world, struct mix_error *err)
{
    const struct mix_job_online *online = &world->job->online;
    struct mix_trainee *trainee = NULL;
    if (online->trainer != MIX_ONLINE_COMMAND)
        return MIX_OK;
    enum mix_status status = campaign_trainee(world, 0, online->n_steps, 0, &trainee, NULL, err);
    for (size_t i = 0; status == MIX_OK && i < online->n_methods; i++) {
        const unsigned lacks = mix_method_find(online->methods[i])->needs & ~trainee->can;
        if (lacks != 0)
            status = mix_fail(err, MIX_EINVAL,
                              "%s needs a trainer that can %s, and %s says that it cannot; leave "
                              "it out of online.methods",
                              online->methods[i],
                              lacks & MIX_CAN_REFERENCE  ? "give the losses of a reference model"
                              : lacks & MIX_CAN_GRADIENT ? "give gradients by group"
                              : lacks & MIX_CAN_WEIGHT   ? "weigh losses by group"
                                                         : "snapshot and restore",
                              online->argv[0]);
    }
    if (status == MIX_OK && online->analysis && !(trainee->can & MIX_CAN_FORK))
        status = mix_fail(err, MIX_EINVAL,
                          "online.analysis needs a trainer that can snapshot and restore, and %s "
                          "says that it cannot",
                          online->argv[0]);
    mix_trainee_destroy(trainee);
    return status;
}
