/* SPDX-License-Identifier: GPL-3.0-or-later */
/* forgetting.c - a trainee that forgets what it is not trained on; see
 * mixsweep/agent.h for its equation. State: the losses L (m), then the step.
 * Explicit Euler steps, eight of them or more to a decision: with fewer,
 * one-hot mixtures by turns would win by the error of the integration.
 *
 * Noise belongs to an evaluation and depends on the state alone, as in
 * simulator.c. */
#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/agent.h"

enum { SUBSTEPS = 8, N_SLOTS = 16 };

struct forgetting {
    struct mix_trainee head;
    struct mix_forgetting_options options;
    size_t n_substeps; /* of a step */
    double *state;     /* (m + 1) L, the step; behind it the arrays of the options and
                          the slots */
    double *slots;     /* (N_SLOTS,m + 1) NaN = not taken */
    gsl_rng *rng;
};

static struct forgetting *forgetting_of(struct mix_trainee *trainee)
{
    return (struct forgetting *)trainee;
}

static void step(struct forgetting *f, const double *mixture)
{
    const struct mix_forgetting_options *o = &f->options;
    const double dt = 1.0 / (double)(o->steps_per_decision * f->n_substeps);
    for (size_t n = 0; n < f->n_substeps; n++)
        for (size_t i = 0; i < o->n_groups; i++)
            f->state[i] += dt * (o->forgetting * (1.0 - mixture[i]) * (o->high[i] - f->state[i]) -
                                 o->rate * mixture[i] * (f->state[i] - o->low[i]));
    f->state[o->n_groups] += 1.0;
}

static enum mix_status train(struct mix_trainee *trainee, const struct mix_segment *segment,
                             struct mix_poll *poll, struct mix_error *err)
{
    struct forgetting *f = forgetting_of(trainee);
    for (uint64_t n = 0; n < segment->n_steps; n++) {
        if (mix_poll(poll))
            return mix_fail(err, MIX_EINTERRUPTED, "forgetting: interrupted at step %.0f",
                            f->state[trainee->n_groups]);
        step(f, segment->mixture);
    }
    return MIX_OK;
}

static enum mix_status measure(struct mix_trainee *trainee, unsigned what,
                               struct mix_observation *out, struct mix_poll *poll,
                               struct mix_error *err)
{
    (void)poll;
    (void)err;
    struct forgetting *f = forgetting_of(trainee);
    const size_t m = trainee->n_groups;
    mix_rng_rekey(
        f->rng, mix_key_make(f->options.seed, "forgetting", f->state, (m + 1) * sizeof *f->state));
    for (size_t i = 0; (what & MIX_MEASURE_LOSS) != 0 && i < m; i++)
        out->loss[i] = f->state[i] + gsl_ran_gaussian(f->rng, f->options.noise);
    out->step = (uint64_t)f->state[m];
    return MIX_OK;
}

static enum mix_status test(struct mix_trainee *trainee, double *loss, double *se,
                            struct mix_poll *poll, struct mix_error *err)
{
    (void)poll;
    (void)err;
    for (size_t i = 0; i < trainee->n_groups; i++) {
        loss[i] = forgetting_of(trainee)->state[i];
        se[i] = 0.0;
    }
    return MIX_OK;
}

static enum mix_status restart(struct mix_trainee *trainee, struct mix_poll *poll,
                               struct mix_error *err)
{
    (void)poll;
    (void)err;
    struct forgetting *f = forgetting_of(trainee);
    memcpy(f->state, f->options.loss, trainee->n_groups * sizeof *f->state);
    f->state[trainee->n_groups] = 0.0;
    return MIX_OK;
}

/* The state in a slot; NULL = there is no such slot. */
static double *slot_of(struct forgetting *f, int slot)
{
    return slot >= 0 && slot < N_SLOTS ? f->slots + (size_t)slot * (f->head.n_groups + 1) : NULL;
}

static enum mix_status snapshot(struct mix_trainee *trainee, int slot, struct mix_poll *poll,
                                struct mix_error *err)
{
    (void)poll;
    struct forgetting *f = forgetting_of(trainee);
    double *to = slot_of(f, slot);
    if (to == NULL)
        return mix_fail(err, MIX_EINVAL, "forgetting: there is no slot %d; 0 to %d are allowed",
                        slot, N_SLOTS - 1);
    memcpy(to, f->state, (trainee->n_groups + 1) * sizeof *to);
    return MIX_OK;
}

static enum mix_status restore(struct mix_trainee *trainee, int slot, struct mix_poll *poll,
                               struct mix_error *err)
{
    (void)poll;
    struct forgetting *f = forgetting_of(trainee);
    const double *from = slot_of(f, slot);
    if (from == NULL || isnan(from[0]))
        return mix_fail(err, MIX_EINVAL, "forgetting: no snapshot is in slot %d", slot);
    memcpy(f->state, from, (trainee->n_groups + 1) * sizeof *from);
    return MIX_OK;
}

static void destroy(struct mix_trainee *trainee)
{
    struct forgetting *f = forgetting_of(trainee);
    if (f->rng != NULL)
        gsl_rng_free(f->rng);
    free(f->state);
    free(f);
}

static const struct mix_trainee_kind forgetting_kind = {
    .name = "forgetting",
    .destroy = destroy,
    .restart = restart,
    .train = train,
    .measure = measure,
    .test = test,
    .snapshot = snapshot,
    .restore = restore,
};

static enum mix_status check(const struct mix_forgetting_options *o, struct mix_error *err)
{
    if (o->n_groups < 1 || o->n_groups > MIX_GROUPS_MAX)
        return mix_fail(err, MIX_EINVAL, "forgetting: %zu groups; 1 to %d are allowed", o->n_groups,
                        MIX_GROUPS_MAX);
    if (o->steps_per_decision < 1)
        return mix_fail(err, MIX_EINVAL, "forgetting: a decision of 0 steps; 1 or more is allowed");
    if (!(o->rate >= 0.0 && o->rate <= SUBSTEPS && o->forgetting >= 0.0 &&
          o->forgetting <= SUBSTEPS && o->noise >= 0.0))
        return mix_fail(err, MIX_EINVAL,
                        "forgetting: rate %g and forgetting %g must be 0 to %d, "
                        "noise %g 0 or more",
                        o->rate, o->forgetting, SUBSTEPS, o->noise);
    for (size_t i = 0; i < o->n_groups; i++)
        if (!isfinite(o->loss[i]) || !isfinite(o->low[i]) || !isfinite(o->high[i]))
            return mix_fail(err, MIX_EINVAL,
                            "forgetting: loss %g, low %g and high %g of group %zu must be finite",
                            o->loss[i], o->low[i], o->high[i], i + 1);
    return MIX_OK;
}

enum mix_status mix_trainee_forgetting(const struct mix_forgetting_options *options,
                                       struct mix_trainee **out, struct mix_error *err)
{
    const enum mix_status status = check(options, err);
    if (status != MIX_OK)
        return status;
    const size_t m = options->n_groups, n_slots = N_SLOTS * (m + 1);
    struct forgetting *f = calloc(1, sizeof *f);
    if (f == NULL)
        return mix_fail(err, MIX_ENOMEM, "forgetting: out of memory");
    f->head = (struct mix_trainee){
        .kind = &forgetting_kind, .n_groups = m, .can = MIX_CAN_FORK, .n_steps = options->n_steps};
    f->state = calloc(4 * m + 1 + n_slots, sizeof *f->state);
    f->rng = mix_rng_create((struct mix_key){0, 0});
    if (f->state == NULL || f->rng == NULL) {
        destroy(&f->head);
        return mix_fail(err, MIX_ENOMEM, "forgetting: out of memory for %zu groups", m);
    }
    f->options = *options;
    f->n_substeps =
        (size_t)((SUBSTEPS + options->steps_per_decision - 1) / options->steps_per_decision);
    double *room = f->state + m + 1;
    f->options.loss = memcpy(room, options->loss, m * sizeof *room);
    f->options.low = memcpy(room + m, options->low, m * sizeof *room);
    f->options.high = memcpy(room + 2 * m, options->high, m * sizeof *room);
    f->slots = room + 3 * m;
    for (size_t i = 0; i < n_slots; i++)
        f->slots[i] = NAN;
    *out = &f->head;
    return restart(&f->head, NULL, err);
}
