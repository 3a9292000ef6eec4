/* SPDX-License-Identifier: GPL-3.0-or-later */
/* steer.c - a method at the wheel of a trainee, and the record of it. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "online/online_impl.h"

void mix_trainee_destroy(struct mix_trainee *trainee)
{
    if (trainee != NULL)
        trainee->kind->destroy(trainee);
}

/* ---- the record ---- */

struct mix_trajectory *mix_trajectory_create(size_t n_groups)
{
    struct mix_trajectory *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    t->n_groups = n_groups;
    t->test = malloc(n_groups * sizeof *t->test);
    t->test_se = malloc(n_groups * sizeof *t->test_se);
    if (t->test == NULL || t->test_se == NULL) {
        mix_trajectory_destroy(t);
        return NULL;
    }
    for (size_t i = 0; i < n_groups; i++)
        t->test[i] = t->test_se[i] = NAN;
    return t;
}

void mix_trajectory_destroy(struct mix_trajectory *t)
{
    if (t == NULL)
        return;
    free(t->step);
    free(t->mixture);
    free(t->loss);
    free(t->round_step);
    free(t->matrix);
    free(t->chosen);
    free(t->test);
    free(t->test_se);
    free(t);
}

/* Room for twice as many (n) rows; false when memory is out, what was there then stays. */
static bool widen(void *rows, size_t n, size_t row_bytes)
{
    void **array = rows;
    void *wider = realloc(*array, n * row_bytes);
    if (wider != NULL)
        *array = wider;
    return wider != NULL;
}

static enum mix_status add_point(struct mix_trajectory *t, uint64_t step, const double *mixture,
                                 const double *loss, struct mix_error *err)
{
    const size_t bytes = t->n_groups * sizeof *loss;
    if (t->n_points == t->capacity) {
        const size_t n = t->capacity > 0 ? 2 * t->capacity : 16;
        if (!widen(&t->step, n, sizeof *t->step) || !widen(&t->mixture, n, bytes) ||
            !widen(&t->loss, n, bytes))
            return mix_fail(err, MIX_ENOMEM, "out of memory for %zu points of a trajectory", n);
        t->capacity = n;
    }
    t->step[t->n_points] = step;
    memcpy(t->mixture + t->n_points * t->n_groups, mixture, bytes);
    memcpy(t->loss + t->n_points * t->n_groups, loss, bytes);
    t->n_points++;
    return MIX_OK;
}

static enum mix_status add_round(struct mix_trajectory *t, uint64_t step,
                                 const struct mix_mixer *mixer, struct mix_error *err)
{
    const size_t m = t->n_groups, bytes = m * sizeof *t->chosen;
    if (t->n_rounds == t->rounds_capacity) {
        const size_t n = t->rounds_capacity > 0 ? 2 * t->rounds_capacity : 16;
        if (!widen(&t->round_step, n, sizeof *t->round_step) || !widen(&t->chosen, n, bytes) ||
            !widen(&t->matrix, n, m * bytes))
            return mix_fail(err, MIX_ENOMEM, "out of memory for %zu rounds of a trajectory", n);
        t->rounds_capacity = n;
    }
    t->round_step[t->n_rounds] = step;
    memcpy(t->chosen + t->n_rounds * m, mixer->mixture, bytes);
    memcpy(t->matrix + t->n_rounds * m * m, mixer->matrix, m * bytes);
    t->n_rounds++;
    return MIX_OK;
}

/* ---- a run ---- */

/* A run under way. */
struct drive {
    struct mix_trainee *trainee;
    struct mix_trajectory *out;
    struct mix_poll *poll;
    double *block;
    double *mixture; /* (m) trained under last */
    struct mix_segment segment;
    struct mix_observation seen;
    uint64_t step;
};

static enum mix_status begin(struct drive *d, struct mix_error *err)
{
    const size_t m = d->trainee->n_groups;
    if (d->out->n_groups != m)
        return mix_fail(err, MIX_EINVAL, "a trajectory of %zu groups cannot record %zu",
                        d->out->n_groups, m);
    d->block = calloc(m * (m + 7), sizeof *d->block);
    if (d->block == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu groups", m);
    double **const arrays[] = {&d->mixture,         &d->segment.mixture, &d->segment.weight,
                               &d->seen.loss,       &d->seen.train_loss, &d->seen.reference_loss,
                               &d->seen.train_norm, &d->seen.alignment};
    double *room = d->block;
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++, room += m)
        *arrays[i] = room;
    online_uniform(m, d->mixture);
    return MIX_OK;
}

/* Points at this step had no mixture from there on until now. */
static void name_mixture(struct drive *d)
{
    const size_t m = d->trainee->n_groups;
    struct mix_trajectory *out = d->out;
    memcpy(d->mixture, d->segment.mixture, m * sizeof *d->mixture);
    for (size_t i = out->n_points; i-- > 0 && out->step[i] == d->step;)
        memcpy(out->mixture + i * m, d->mixture, m * sizeof *d->mixture);
}

static enum mix_status train(struct drive *d, struct mix_error *err)
{
    if (mix_poll(d->poll))
        return mix_fail(err, MIX_EINTERRUPTED, "online run interrupted at step %llu",
                        (unsigned long long)d->step);
    if (d->segment.n_steps == 0)
        return MIX_OK;
    name_mixture(d);
    const double before_s = mix_clock_s();
    const enum mix_status status = d->trainee->kind->train(d->trainee, &d->segment, d->poll, err);
    d->out->train_s += mix_clock_s() - before_s;
    d->step += d->segment.n_steps;
    d->out->n_steps = d->step;
    return status;
}

static enum mix_status measure(struct drive *d, unsigned what, struct mix_error *err)
{
    const size_t m = d->trainee->n_groups;
    for (size_t i = 0; i < m * (m + 4); i++)
        d->seen.loss[i] = NAN; /* and the arrays behind it */
    d->seen.validation_norm = d->seen.learning_rate = NAN;
    const double before_s = mix_clock_s();
    enum mix_status status = d->trainee->kind->measure(d->trainee, what, &d->seen, d->poll, err);
    d->out->measure_s += mix_clock_s() - before_s;
    d->seen.step = d->step;
    if (status != MIX_OK || (what & MIX_MEASURE_LOSS) == 0)
        return status;
    d->out->n_evaluations++;
    for (size_t i = 0; i < m; i++)
        if (!isfinite(d->seen.loss[i]))
            return mix_fail(err, MIX_ENUMERIC,
                            "the validation loss of group %zu is %g at step %llu: the run has "
                            "diverged",
                            i + 1, d->seen.loss[i], (unsigned long long)d->step);
    return add_point(d->out, d->step, d->mixture, d->seen.loss, err);
}

/* A point at this step, unless there is one. */
static enum mix_status mark(struct drive *d, struct mix_error *err)
{
    if (d->out->n_points > 0 && d->out->step[d->out->n_points - 1] == d->step)
        return MIX_OK;
    return measure(d, MIX_MEASURE_LOSS, err);
}

static enum mix_status finish(struct drive *d, bool counts, struct mix_error *err)
{
    enum mix_status status = mark(d, err);
    const double before_s = mix_clock_s();
    if (status == MIX_OK && counts)
        status = d->trainee->kind->test(d->trainee, d->out->test, d->out->test_se, d->poll, err);
    d->out->measure_s += mix_clock_s() - before_s;
    return status;
}

/* ---- steering ---- */

static enum mix_status check_abilities(const struct mix_trainee *trainee,
                                       const struct mix_mixer *mixer, struct mix_error *err)
{
    static const struct {
        unsigned ability;
        const char *what;
    } abilities[] = {{MIX_CAN_FORK, "snapshot and restore"},
                     {MIX_CAN_WEIGHT, "weigh losses by group"},
                     {MIX_CAN_REFERENCE, "give the losses of a reference model"},
                     {MIX_CAN_GRADIENT, "give gradients by group"}};
    const struct mix_method *method = mixer->method;
    if (method->kind == MIX_METHOD_STATIC)
        return mix_fail(err, MIX_EINVAL,
                        "%s steers no run: it ends with a static mixture, to be trained under",
                        method->name);
    unsigned needs = method->needs;
    if (mixer->setup.initial_mixer != NULL)
        needs |= mixer->setup.initial_mixer->method->needs;
    for (size_t i = 0; i < sizeof abilities / sizeof abilities[0]; i++)
        if ((needs & ~trainee->can & abilities[i].ability) != 0)
            return mix_fail(err, MIX_EINVAL,
                            "%s needs a trainer that can %s; the %s trainer cannot", method->name,
                            abilities[i].what, trainee->kind->name);
    if (trainee->n_groups != mixer->setup.n_groups)
        return mix_fail(err, MIX_EINVAL, "%s was made for %zu groups; the %s trainer has %zu",
                        method->name, mixer->setup.n_groups, trainee->kind->name,
                        trainee->n_groups);
    return MIX_OK;
}

/* Train the reference: the uniform mixture, as long as the run that follows. */
static enum mix_status train_reference(struct drive *d, uint64_t n_steps, struct mix_error *err)
{
    struct mix_segment segment = d->segment;
    segment.n_steps = n_steps;
    online_uniform(d->trainee->n_groups, segment.mixture);
    const double before_s = mix_clock_s();
    enum mix_status status = d->trainee->kind->train(d->trainee, &segment, d->poll, err);
    d->out->train_s += mix_clock_s() - before_s;
    if (status == MIX_OK)
        status = d->trainee->kind->freeze(d->trainee, d->poll, err);
    if (status == MIX_OK)
        status = d->trainee->kind->restart(d->trainee, d->poll, err);
    return status;
}

static bool ask(struct drive *d, struct mix_mixer *mixer)
{
    const double before_s = mix_clock_s();
    const bool more = mix_mixer_next(mixer, &d->segment);
    d->out->mixer_s += mix_clock_s() - before_s;
    return more;
}

static enum mix_status tell(struct drive *d, struct mix_mixer *mixer, struct mix_error *err)
{
    const size_t n_matrices = mixer->n_matrices;
    const double before_s = mix_clock_s();
    enum mix_status status = mix_mixer_observe(mixer, &d->seen, err);
    d->out->mixer_s += mix_clock_s() - before_s;
    if (status == MIX_OK && mixer->n_matrices > n_matrices)
        status = add_round(d->out, d->step, mixer, err);
    return status;
}

static enum mix_status steer(struct drive *d, struct mix_mixer *mixer, struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    while (status == MIX_OK && ask(d, mixer)) {
        if (d->out->n_points == 0 &&
            (d->segment.n_steps > 0 || (d->segment.measure & MIX_MEASURE_LOSS) == 0))
            status = mark(d, err);
        if (status == MIX_OK)
            status = train(d, err);
        if (status == MIX_OK && d->segment.measure != 0) {
            status = measure(d, d->segment.measure, err);
            if (status == MIX_OK)
                status = tell(d, mixer, err);
        }
    }
    assert(status != MIX_OK || d->step == mixer->n_steps);
    return status;
}

enum mix_status mix_online_steer(struct mix_trainee *trainee, struct mix_mixer *mixer,
                                 struct mix_trajectory *out, struct mix_poll *poll,
                                 struct mix_error *err)
{
    struct drive d = {.trainee = trainee, .out = out, .poll = poll};
    enum mix_status status = check_abilities(trainee, mixer, err);
    if (status == MIX_OK)
        status = begin(&d, err);
    if (status == MIX_OK)
        status = trainee->kind->restart(trainee, poll, err);
    if (status == MIX_OK && (mixer->method->needs & MIX_CAN_REFERENCE) != 0)
        status = train_reference(&d, mixer->n_steps, err);
    if (status == MIX_OK)
        status = steer(&d, mixer, err);
    if (status == MIX_OK)
        status = finish(&d, mixer->method->kind == MIX_METHOD_DYNAMIC, err);
    free(d.block);
    return status;
}

enum mix_status mix_online_static(struct mix_trainee *trainee, const double *mixture,
                                  uint64_t n_steps, size_t n_points, struct mix_trajectory *out,
                                  struct mix_poll *poll, struct mix_error *err)
{
    struct drive d = {.trainee = trainee, .out = out, .poll = poll};
    enum mix_status status = begin(&d, err);
    if (status == MIX_OK)
        status = trainee->kind->restart(trainee, poll, err);
    for (size_t i = 0; status == MIX_OK && i <= n_points; i++) {
        memcpy(d.segment.mixture, mixture, trainee->n_groups * sizeof *mixture);
        status = mark(&d, err);
        d.segment.n_steps = online_piece(n_steps, n_points + 1, i);
        if (status == MIX_OK)
            status = train(&d, err);
    }
    if (status == MIX_OK)
        status = finish(&d, true, err);
    free(d.block);
    return status;
}
