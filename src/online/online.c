/* SPDX-License-Identifier: GPL-3.0-or-later */
/* online.c - the table of methods, and what all of them share: options, plans of static runs, the
 * initial steps of restricted use, the account of steps. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "online/online_impl.h"

static const struct mix_method *const methods[] = {
    &mix_method_stratified, &mix_method_grid,           &mix_method_dml,
    &mix_method_skillit,    &mix_method_doremi,         &mix_method_doge,
    &mix_method_aioli,      &mix_method_aioli_diagonal, &mix_method_aioli_static,
    &mix_method_aioli_ema,  &mix_method_aioli_released, &mix_method_aioli_raw,
    &mix_method_agent,
};
enum { N_METHODS = sizeof methods / sizeof methods[0] };

const struct mix_method *mix_method_get(size_t index)
{
    return index < N_METHODS ? methods[index] : NULL;
}

const struct mix_method *mix_method_find(const char *name)
{
    for (size_t i = 0; i < N_METHODS; i++)
        if (strcmp(methods[i]->name, name) == 0)
            return methods[i];
    return NULL;
}

void mix_method_list(char text[MIX_TEXT_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < N_METHODS && n < MIX_TEXT_MAX; i++)
        n += (size_t)snprintf(text + n, MIX_TEXT_MAX - n, "%s%s", i > 0 ? ", " : "",
                              methods[i]->name);
}

/* ---- options ---- */

/* T, h and k: 20 rounds of 200 steps or more, or 10 shorter ones; of a round's steps 0.3 go to
 * perturbed mixtures at most. Where rounds are short, intervals are short and few: training on
 * uneven batches costs more than what they could tell. */
static void choose_rounds(size_t m, uint64_t n_steps, struct mix_method_options *o)
{
    o->n_rounds = n_steps >= 4000 ? 20 : 10;
    while (o->n_rounds > 1 && 3 * (n_steps / o->n_rounds) < 10 * m)
        o->n_rounds--;
    const uint64_t each = 3 * (n_steps / o->n_rounds) / (10 * m); /* steps on a perturbed mixture */
    o->n_sweeps = each >= 16 ? 4 : each >= 8 ? 2 : 1;
    const uint64_t interval = each / o->n_sweeps, most = 2 + o->n_sweeps;
    o->interval = interval > most ? (size_t)most : interval < 1 ? 1 : (size_t)interval;
}

/* Rates are those of the released scripts, for 5000 steps; what adds up over rounds or steps moves
 * as far in fewer. doge's follow the learning rate, which is higher where steps are few. */
struct mix_method_options mix_online_defaults(size_t n_groups, uint64_t n_steps)
{
    struct mix_method_options o = {
        .smoothing = 0.75,
        .ema = 0.1,
        .skillit_eta = 0.2,
        .skillit_window = 3,
        .skillit_updates = n_steps < 10 ? (size_t)n_steps : 10,
        .doremi_rate = fmax(0.01, 50.0 / (double)n_steps),
        .doremi_smoothing = 1e-3,
        .doge_mu = n_groups > 3 ? 0.1 : 0.01,
        .proxy_every = 1,
        .n_static = n_groups > 6 ? n_groups + 3 : 9,
    };
    choose_rounds(n_groups, n_steps, &o);
    o.eta = 2.0 / (double)o.n_rounds;
    return o;
}

enum mix_status mix_method_options_check(const struct mix_method_options *o, struct mix_error *err)
{
    const struct {
        const char *name;
        double value, low, high;
    } ranges[] = {{"rounds", (double)o->n_rounds, 1, 1e6},
                  {"interval", (double)o->interval, 1, 1e6},
                  {"sweeps", (double)o->n_sweeps, 1, 1e4},
                  {"smoothing", o->smoothing, 0, 0.99},
                  {"eta", o->eta, 0, 1e6},
                  {"ema", o->ema, 0, 0.999},
                  {"skillit_eta", o->skillit_eta, 0, 1e6},
                  {"skillit_window", (double)o->skillit_window, 1, 1e4},
                  {"skillit_updates", (double)o->skillit_updates, 1, 1e6},
                  {"doremi_rate", o->doremi_rate, 0, 1e6},
                  {"doremi_smoothing", o->doremi_smoothing, 0, 1},
                  {"doge_mu", o->doge_mu, 1e-6, 1e6},
                  {"doge_smoothing", o->doge_smoothing, 0, 1},
                  {"proxy_every", (double)o->proxy_every, 1, 1e9},
                  {"static_runs", (double)o->n_static, 1, 1e4}};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        if (!(ranges[i].value >= ranges[i].low && ranges[i].value <= ranges[i].high))
            return mix_fail(err, MIX_EINVAL, "option %s is %g; from %g to %g is allowed",
                            ranges[i].name, ranges[i].value, ranges[i].low, ranges[i].high);
    return MIX_OK;
}

uint64_t online_piece(uint64_t n_steps, size_t n_pieces, size_t i)
{
    const uint64_t longer = n_steps % n_pieces;
    return n_steps / n_pieces + (i < longer ? 1 : 0);
}

/* ---- plans of static runs ---- */

static enum mix_status check_setup(const struct mix_method *method,
                                   const struct mix_method_setup *setup, struct mix_error *err)
{
    if (setup->n_groups < 2 || setup->n_groups > MIX_DOMAINS_MAX)
        return mix_fail(err, MIX_EINVAL, "%s: %zu groups; 2 to %d are allowed", method->name,
                        setup->n_groups, MIX_DOMAINS_MAX);
    if (setup->n_steps < 1)
        return mix_fail(err, MIX_EINVAL, "%s: the run has no step", method->name);
    const enum mix_status status = mix_method_options_check(&setup->options, err);
    if (status != MIX_OK)
        return status;
    const bool trains = method->plan != NULL || method->steered_steps != NULL;
    if (trains && method->extra_steps(setup) == 0)
        return mix_fail(err, MIX_EINVAL,
                        "%s: a budget of %llu steps leaves none for each of its runs; raise it",
                        method->name, (unsigned long long)setup->budget);
    return MIX_OK;
}

enum mix_status mix_method_plan(const struct mix_method *method,
                                const struct mix_method_setup *setup, struct mix_static_run **runs,
                                size_t *n_runs, struct mix_error *err)
{
    const size_t m = setup->n_groups;
    const enum mix_status status = check_setup(method, setup, err);
    if (status != MIX_OK)
        return status;
    const size_t n = method->plan != NULL ? method->plan(setup, NULL) : 0;
    *runs = NULL;
    *n_runs = n;
    if (n == 0)
        return MIX_OK;
    struct mix_static_run *made = calloc(1, n * (sizeof *made + 3 * m * sizeof(double)));
    if (made == NULL)
        return mix_fail(err, MIX_ENOMEM, "%s: out of memory for %zu static runs", method->name, n);
    double *room = (double *)(made + n);
    for (size_t r = 0; r < n; r++, room += 3 * m) {
        made[r].mixture = room;
        made[r].loss_start = room + m;
        made[r].loss_end = room + 2 * m;
        for (size_t i = 0; i < m; i++)
            made[r].loss_start[i] = made[r].loss_end[i] = NAN;
    }
    if (method->plan(setup, made) != n) {
        free(made);
        return mix_fail(err, MIX_ENOMEM, "%s: out of memory for %zu static runs", method->name, n);
    }
    *runs = made;
    return MIX_OK;
}

void mix_static_runs_destroy(struct mix_static_run *runs)
{
    free(runs);
}

/* ---- mixers ---- */

/* A mixer and what its setup points to. */
struct mixer {
    struct mix_mixer open;
    struct mix_static_run *statics;
    double *numbers;
};

uint64_t online_own_steps(const struct mix_mixer *mixer)
{
    return mixer->n_steps - mixer->setup.initial_steps;
}

static enum mix_status check_statics(const struct mix_method *method,
                                     const struct mix_method_setup *setup, struct mix_error *err)
{
    const size_t n = method->plan != NULL ? method->plan(setup, NULL) : 0;
    if (n > 0 && setup->n_static != n)
        return mix_fail(err, MIX_EINVAL, "%s needs the losses of %zu static runs, not of %zu",
                        method->name, n, setup->n_static);
    for (size_t r = 0; r < n; r++)
        for (size_t i = 0; i < setup->n_groups; i++)
            if (!isfinite(setup->statics[r].loss_end[i]))
                return mix_fail(err, MIX_ENUMERIC,
                                "%s: the loss of group %zu at the end of static run %zu is %g",
                                method->name, i + 1, r + 1, setup->statics[r].loss_end[i]);
    return MIX_OK;
}

static enum mix_status check_initial(const struct mix_method *method,
                                     const struct mix_method_setup *setup, struct mix_error *err)
{
    if (setup->initial_steps == 0)
        return MIX_OK;
    if (method->kind != MIX_METHOD_DYNAMIC)
        return mix_fail(err, MIX_EINVAL,
                        "%s cannot follow another method: it does not steer the run that counts",
                        method->name);
    if (setup->initial_steps >= setup->n_steps)
        return mix_fail(err, MIX_EINVAL, "%s: %llu initial steps leave none of %llu", method->name,
                        (unsigned long long)setup->initial_steps,
                        (unsigned long long)setup->n_steps);
    if ((setup->initial == NULL) == (setup->initial_mixer == NULL))
        return mix_fail(err, MIX_EINVAL,
                        "%s: the initial steps need either a mixture or a method that steers them",
                        method->name);
    if (setup->initial_mixer != NULL && (setup->initial_mixer->method->kind != MIX_METHOD_DYNAMIC ||
                                         setup->initial_mixer->n_steps < setup->initial_steps))
        return mix_fail(err, MIX_EINVAL, "%s: method %s cannot steer the first %llu steps",
                        method->name, setup->initial_mixer->method->name,
                        (unsigned long long)setup->initial_steps);
    return MIX_OK;
}

/* Copy (m) numbers to *room, which moves on. */
static double *keep(const double *from, size_t m, double **room)
{
    double *to = *room;
    memcpy(to, from, m * sizeof *to);
    *room += m;
    return to;
}

static enum mix_status copy_setup(struct mixer *mixer, const struct mix_method_setup *setup,
                                  size_t n_static, struct mix_error *err)
{
    const size_t m = setup->n_groups;
    mixer->numbers = calloc(m * (m + 2 + 3 * n_static), sizeof *mixer->numbers);
    mixer->statics = calloc(n_static + 1, sizeof *mixer->statics);
    mixer->open.state = calloc(1, mixer->open.method->state_bytes + 1);
    if (mixer->numbers == NULL || mixer->statics == NULL || mixer->open.state == NULL)
        return mix_fail(err, MIX_ENOMEM, "%s: out of memory for %zu groups",
                        mixer->open.method->name, m);
    double *room = mixer->numbers;
    mixer->open.setup = *setup;
    mixer->open.matrix = room;
    mixer->open.mixture = room + m * m;
    room += m * (m + 1);
    online_uniform(m, mixer->open.mixture);
    if (setup->initial_steps > 0 && setup->initial != NULL)
        mixer->open.setup.initial = keep(setup->initial, m, &room);
    for (size_t r = 0; r < n_static; r++) {
        const struct mix_static_run *run = &setup->statics[r];
        mixer->statics[r] = (struct mix_static_run){.mixture = keep(run->mixture, m, &room),
                                                    .n_steps = run->n_steps,
                                                    .loss_start = keep(run->loss_start, m, &room),
                                                    .loss_end = keep(run->loss_end, m, &room)};
    }
    mixer->open.setup.statics = mixer->statics;
    mixer->open.setup.n_static = n_static;
    return MIX_OK;
}

enum mix_status mix_mixer_create(const struct mix_method *method,
                                 const struct mix_method_setup *setup, struct mix_mixer **out,
                                 struct mix_error *err)
{
    enum mix_status status = check_setup(method, setup, err);
    if (status == MIX_OK)
        status = check_statics(method, setup, err);
    if (status == MIX_OK)
        status = check_initial(method, setup, err);
    if (status != MIX_OK)
        return status;
    struct mixer *mixer = calloc(1, sizeof *mixer);
    if (mixer == NULL)
        return mix_fail(err, MIX_ENOMEM, "%s: out of memory", method->name);
    mixer->open.method = method;
    status = copy_setup(mixer, setup, method->plan != NULL ? setup->n_static : 0, err);
    mixer->open.n_steps =
        method->steered_steps != NULL ? method->steered_steps(setup) : setup->n_steps;
    if (status == MIX_OK && method->create != NULL)
        status = method->create(&mixer->open, err);
    if (status == MIX_OK)
        *out = &mixer->open;
    else
        mix_mixer_destroy(&mixer->open);
    return status;
}

void mix_mixer_destroy(struct mix_mixer *mixer)
{
    if (mixer == NULL)
        return;
    struct mixer *whole = (struct mixer *)mixer;
    if (mixer->method->destroy != NULL && mixer->state != NULL)
        mixer->method->destroy(mixer);
    free(mixer->state);
    free(whole->statics);
    free(whole->numbers);
    free(whole);
}

/* The next of the initial steps; a segment that would go beyond them ends with them, unmeasured. */
static void next_initial(struct mix_mixer *mixer, struct mix_segment *segment)
{
    const struct mix_method_setup *setup = &mixer->setup;
    const uint64_t left = setup->initial_steps - mixer->step;
    if (setup->initial_mixer == NULL) {
        memcpy(segment->mixture, setup->initial, setup->n_groups * sizeof *segment->mixture);
        segment->n_steps = left;
        return;
    }
    (void)mix_mixer_next(setup->initial_mixer, segment); /* it has at least as many steps */
    if (segment->n_steps >= left) {
        segment->n_steps = left;
        segment->measure = 0;
    }
}

bool mix_mixer_next(struct mix_mixer *mixer, struct mix_segment *segment)
{
    segment->n_steps = 0;
    segment->weighted = segment->exact = false;
    segment->measure = 0;
    mixer->initial = mixer->step < mixer->setup.initial_steps;
    if (mixer->initial)
        next_initial(mixer, segment);
    else if (mixer->method->next == NULL || !mixer->method->next(mixer, segment))
        return false;
    mixer->step += segment->n_steps;
    mixer->asked = segment->measure;
    return true;
}

/* What the first figure is that was asked for and is not finite; NULL = all are. */
static const char *find_bad(unsigned measure, const struct mix_observation *seen, size_t m,
                            size_t *group, double *value)
{
    const struct {
        const char *what;
        const double *figures;
        unsigned measure;
        size_t n;
    } lists[] = {
        {"validation loss", seen->loss, MIX_MEASURE_LOSS, m},
        {"training loss", seen->train_loss, MIX_MEASURE_EXCESS, m},
        {"reference loss", seen->reference_loss, MIX_MEASURE_EXCESS, m},
        {"norm of the training gradient", seen->train_norm, MIX_MEASURE_GRADIENT, m},
        {"validation gradient's inner product", seen->alignment, MIX_MEASURE_GRADIENT, m * m},
        {"norm of the mean validation gradient", &seen->validation_norm, MIX_MEASURE_GRADIENT, 1},
    };
    for (size_t l = 0; l < sizeof lists / sizeof lists[0]; l++)
        for (size_t i = 0; (measure & lists[l].measure) != 0 && i < lists[l].n; i++)
            if (!isfinite(lists[l].figures[i])) {
                *group = lists[l].n == m * m ? i / m : i;
                *value = lists[l].figures[i];
                return lists[l].what;
            }
    return NULL;
}

enum mix_status mix_mixer_observe(struct mix_mixer *mixer, const struct mix_observation *seen,
                                  struct mix_error *err)
{
    if (mixer->initial)
        return mix_mixer_observe(mixer->setup.initial_mixer, seen, err);
    size_t group = 0;
    double value = 0.0;
    const char *bad = find_bad(mixer->asked, seen, mixer->setup.n_groups, &group, &value);
    if (bad != NULL)
        return mix_fail(err, MIX_ENUMERIC, "%s: the %s of group %zu is %g at step %llu",
                        mixer->method->name, bad, group + 1, value, (unsigned long long)seen->step);
    return mixer->method->observe(mixer, seen, err);
}
