/* SPDX-License-Identifier: GPL-3.0-or-later */
/* simulator.c - a trainee of known dynamics. State: the losses L (m) and the step s;
 *
 *     L_i <- L_i - scale(s) (x_i - curvature x_i^2 / loss_i),     x_i = sum_j G_ij(s, L_i) p_j w_j.
 *
 * Noise belongs to an evaluation, not to the state, and depends on the state alone, as the loss on
 * a fixed validation set does: the same state twice gives the same loss, a fork its own. */
#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "online/online_impl.h"

struct simulator {
    struct mix_trainee head;
    struct mix_simulator_options options;
    double *block;     /* all arrays of the options, and: */
    double *state;     /* (m) L, then the step */
    double *reference; /* (m) */
    bool frozen;
    double *drop; /* (m) scratch */
    double **slots;
    size_t n_slots;
    gsl_rng *rng;
};

static struct simulator *simulator_of(struct mix_trainee *trainee)
{
    return (struct simulator *)trainee;
}

static uint64_t step_of(const struct simulator *s)
{
    return (uint64_t)s->state[s->head.n_groups];
}

static double scale_of(const struct simulator *s)
{
    return 1.0 / (1.0 + s->options.decay * s->state[s->head.n_groups]);
}

/* G_ij as it is now. */
static double gain_of(const struct simulator *s, size_t i, size_t j)
{
    const struct mix_simulator_options *o = &s->options;
    const bool late = o->gain_late != NULL && step_of(s) >= o->flip;
    const double gain = (late ? o->gain_late : o->gain)[i * s->head.n_groups + j];
    if (o->floor == NULL)
        return gain;
    return gain * (s->state[i] - o->floor[i]) / (o->loss[i] - o->floor[i]);
}

static void step(struct simulator *s, const struct mix_segment *segment)
{
    const size_t m = s->head.n_groups;
    for (size_t i = 0; i < m; i++) {
        double x = 0.0;
        for (size_t j = 0; j < m; j++)
            x += gain_of(s, i, j) * segment->mixture[j] *
                 (segment->weighted ? segment->weight[j] : 1.0);
        s->drop[i] = scale_of(s) * (x - s->options.curvature * x * x / s->options.loss[i]);
    }
    for (size_t i = 0; i < m; i++)
        s->state[i] -= s->drop[i];
    s->state[m] += 1.0;
}

static enum mix_status train(struct mix_trainee *trainee, const struct mix_segment *segment,
                             struct mix_poll *poll, struct mix_error *err)
{
    struct simulator *s = simulator_of(trainee);
    for (uint64_t n = 0; n < segment->n_steps; n++) {
        if (mix_poll(poll))
            return mix_fail(err, MIX_EINTERRUPTED, "simulator: interrupted at step %llu",
                            (unsigned long long)step_of(s));
        step(s, segment);
    }
    for (size_t i = 0; i < trainee->n_groups; i++)
        if (!isfinite(s->state[i]))
            return mix_fail(err, MIX_ENUMERIC,
                            "simulator: the loss of group %zu is %g at step %llu", i + 1,
                            s->state[i], (unsigned long long)step_of(s));
    return MIX_OK;
}

/* The gradient of training loss j is column j of G, that of validation loss i is the i-th unit
 * vector, and a step of the learning rate lowers L_i by rate G_ij. */
static void measure_gradients(const struct simulator *s, struct mix_observation *out)
{
    const size_t m = s->head.n_groups;
    for (size_t j = 0; j < m; j++) {
        double sum = 0.0;
        for (size_t i = 0; i < m; i++) {
            out->alignment[i * m + j] = gain_of(s, i, j);
            sum += out->alignment[i * m + j] * out->alignment[i * m + j];
        }
        out->train_norm[j] = sqrt(sum);
    }
    out->validation_norm = 1.0 / sqrt((double)m);
}

static enum mix_status measure(struct mix_trainee *trainee, unsigned what,
                               struct mix_observation *out, struct mix_poll *poll,
                               struct mix_error *err)
{
    (void)poll;
    struct simulator *s = simulator_of(trainee);
    const size_t m = trainee->n_groups;
    if ((what & MIX_MEASURE_EXCESS) != 0 && !s->frozen)
        return mix_fail(err, MIX_EINVAL, "simulator: no reference model is frozen");
    mix_rng_rekey(s->rng,
                  mix_key_make(s->options.seed, "simulator", s->state, (m + 1) * sizeof *s->state));
    for (size_t i = 0; i < m; i++) {
        if ((what & MIX_MEASURE_LOSS) != 0)
            out->loss[i] = s->state[i] + gsl_ran_gaussian(s->rng, s->options.noise);
        if ((what & MIX_MEASURE_EXCESS) != 0) {
            out->train_loss[i] = s->state[i];
            out->reference_loss[i] = s->reference[i];
        }
    }
    if ((what & MIX_MEASURE_GRADIENT) != 0)
        measure_gradients(s, out);
    out->learning_rate = scale_of(s);
    out->step = step_of(s);
    return MIX_OK;
}

static enum mix_status test(struct mix_trainee *trainee, double *loss, double *se,
                            struct mix_poll *poll, struct mix_error *err)
{
    (void)poll;
    (void)err;
    const struct simulator *s = simulator_of(trainee);
    for (size_t i = 0; i < trainee->n_groups; i++) {
        loss[i] = s->state[i];
        se[i] = 0.0;
    }
    return MIX_OK;
}

static enum mix_status restart(struct mix_trainee *trainee, struct mix_poll *poll,
                               struct mix_error *err)
{
    (void)poll;
    (void)err;
    struct simulator *s = simulator_of(trainee);
    memcpy(s->state, s->options.loss, trainee->n_groups * sizeof *s->state);
    s->state[trainee->n_groups] = 0.0;
    return MIX_OK;
}

static enum mix_status freeze(struct mix_trainee *trainee, struct mix_poll *poll,
                              struct mix_error *err)
{
    (void)poll;
    (void)err;
    struct simulator *s = simulator_of(trainee);
    memcpy(s->reference, s->state, trainee->n_groups * sizeof *s->reference);
    s->frozen = true;
    return MIX_OK;
}

static enum mix_status snapshot(struct mix_trainee *trainee, int slot, struct mix_poll *poll,
                                struct mix_error *err)
{
    (void)poll;
    struct simulator *s = simulator_of(trainee);
    const size_t n_bytes = (trainee->n_groups + 1) * sizeof *s->state, at = (size_t)slot;
    if (slot < 0)
        return mix_fail(err, MIX_EINVAL, "simulator: there is no slot %d", slot);
    if (at >= s->n_slots) {
        double **slots = realloc(s->slots, (at + 1) * sizeof *slots);
        if (slots == NULL)
            return mix_fail(err, MIX_ENOMEM, "simulator: out of memory for slot %d", slot);
        s->slots = slots;
        while (s->n_slots <= at)
            slots[s->n_slots++] = NULL;
    }
    if (s->slots[at] == NULL)
        s->slots[at] = malloc(n_bytes);
    if (s->slots[at] == NULL)
        return mix_fail(err, MIX_ENOMEM, "simulator: out of memory for slot %d", slot);
    memcpy(s->slots[at], s->state, n_bytes);
    return MIX_OK;
}

static enum mix_status restore(struct mix_trainee *trainee, int slot, struct mix_poll *poll,
                               struct mix_error *err)
{
    (void)poll;
    struct simulator *s = simulator_of(trainee);
    if (slot < 0 || (size_t)slot >= s->n_slots || s->slots[slot] == NULL)
        return mix_fail(err, MIX_EINVAL, "simulator: no snapshot is in slot %d", slot);
    memcpy(s->state, s->slots[slot], (trainee->n_groups + 1) * sizeof *s->state);
    return MIX_OK;
}

static void destroy(struct mix_trainee *trainee)
{
    struct simulator *s = simulator_of(trainee);
    for (size_t i = 0; i < s->n_slots; i++)
        free(s->slots[i]);
    if (s->rng != NULL)
        gsl_rng_free(s->rng);
    free(s->slots);
    free(s->block);
    free(s);
}

static const struct mix_trainee_kind simulator_kind = {
    .name = "simulator",
    .destroy = destroy,
    .restart = restart,
    .train = train,
    .measure = measure,
    .test = test,
    .freeze = freeze,
    .snapshot = snapshot,
    .restore = restore,
};

static enum mix_status check(const struct mix_simulator_options *o, struct mix_error *err)
{
    const size_t m = o->n_groups;
    if (m < 1 || m > MIX_DOMAINS_MAX)
        return mix_fail(err, MIX_EINVAL, "simulator: %zu groups; 1 to %d are allowed", m,
                        MIX_DOMAINS_MAX);
    if (!(o->decay >= 0.0) || !(o->noise >= 0.0) || !isfinite(o->curvature))
        return mix_fail(err, MIX_EINVAL,
                        "simulator: decay %g and noise %g must be 0 or more, curvature %g finite",
                        o->decay, o->noise, o->curvature);
    for (size_t i = 0; i < m; i++)
        if (!(o->loss[i] > (o->floor != NULL ? o->floor[i] : 0.0)))
            return mix_fail(err, MIX_EINVAL,
                            "simulator: the first loss of group %zu is %g; it must be above %g",
                            i + 1, o->loss[i], o->floor != NULL ? o->floor[i] : 0.0);
    return MIX_OK;
}

/* A copy of (n) numbers at *room, which moves on. */
static const double *keep(const double *from, size_t n, double **room)
{
    double *to = *room;
    if (from == NULL)
        return NULL;
    memcpy(to, from, n * sizeof *to);
    *room += n;
    return to;
}

enum mix_status mix_trainee_simulator(const struct mix_simulator_options *options,
                                      struct mix_trainee **out, struct mix_error *err)
{
    const size_t m = options->n_groups;
    const enum mix_status status = check(options, err);
    if (status != MIX_OK)
        return status;
    struct simulator *s = calloc(1, sizeof *s);
    if (s == NULL)
        return mix_fail(err, MIX_ENOMEM, "simulator: out of memory");
    s->head = (struct mix_trainee){
        .kind = &simulator_kind,
        .n_groups = m,
        .can = MIX_CAN_FORK | MIX_CAN_WEIGHT | MIX_CAN_REFERENCE | MIX_CAN_GRADIENT,
        .n_steps = options->n_steps,
    };
    s->block = calloc(2 * m * m + 5 * m + 1, sizeof *s->block);
    s->rng = mix_rng_create((struct mix_key){0, 0});
    if (s->block == NULL || s->rng == NULL) {
        destroy(&s->head);
        return mix_fail(err, MIX_ENOMEM, "simulator: out of memory for %zu groups", m);
    }
    double *room = s->block;
    s->options = *options;
    s->options.loss = keep(options->loss, m, &room);
    s->options.gain = keep(options->gain, m * m, &room);
    s->options.gain_late = keep(options->gain_late, m * m, &room);
    s->options.floor = keep(options->floor, m, &room);
    s->state = room;
    s->reference = s->state + m + 1;
    s->drop = s->reference + m;
    *out = &s->head;
    return restart(&s->head, NULL, err);
}

const double *mix_simulator_loss(const struct mix_trainee *trainee)
{
    return ((const struct simulator *)trainee)->state;
}
