/* SPDX-License-Identifier: GPL-3.0-or-later */
/* aioli.c - Aioli (Chen et al., arXiv 2411.05735, Algorithm 1) and its variants. Each of T rounds
 * begins with LearnParams (Algorithm 2): h steps on a mixture perturbed towards each group in turn,
 * k times over in random orders, with the losses measured in between. The mean drops B of the
 * losses give A by B = A W, W the perturbed mixtures; EGD on the column sums of A gives the mixture
 * of the rest of the round. All of it is training of the one run.
 *
 * Interleaving and random orders keep what changes along the round (the learning rate, the losses
 * themselves) out of the contrasts between columns: a fixed order would charge it to the groups.
 *
 * The released code with its EMA starts EGD from uniform each round (`released`); in Algorithm 1 p
 * goes on from round to round (`cumulative`), which is the default here. */
#include <gsl/gsl_randist.h>
#include <stdlib.h>
#include <string.h>

#include "online/online_impl.h"

struct aioli {
    bool diagonal, single_round, raw, averages, released; /* variants */
    size_t n_rounds;
    double eta;
    enum { ROUND_BEGINS, ROUND_PERTURBED, ROUND_GOES_ON } phase;
    size_t round, at; /* perturbed mixtures of this round so far */
    bool has_average;
    size_t *order;    /* (k,m) groups */
    double *loss;     /* (m) of the last evaluation */
    double *drops;    /* (m,m) */
    double *estimate; /* (m,m) A, normalised */
    double *average;  /* (m,m) EMA of it */
    double *score;    /* (m) p = softmax(score) */
    double *gain;     /* (m) column sums */
    gsl_rng *rng;
};

static size_t n_intervals(const struct mix_mixer *mixer)
{
    return mixer->setup.n_groups * mixer->setup.options.n_sweeps;
}

static uint64_t perturbed_steps(const struct mix_mixer *mixer)
{
    return (uint64_t)n_intervals(mixer) * mixer->setup.options.interval;
}

static uint64_t round_steps(const struct mix_mixer *mixer)
{
    const struct aioli *s = mixer->state;
    return online_piece(online_own_steps(mixer), s->n_rounds, s->round);
}

static enum mix_status check_rounds(const struct mix_mixer *mixer, struct mix_error *err)
{
    const struct aioli *s = mixer->state;
    const struct mix_method_options *options = &mixer->setup.options;
    const unsigned long long n_shortest = online_own_steps(mixer) / s->n_rounds;
    if (perturbed_steps(mixer) <= n_shortest)
        return MIX_OK;
    return mix_fail(err, MIX_EINVAL,
                    "%s: a round has %llu steps, but its perturbed mixtures take %zu groups times "
                    "sweeps %zu times interval %zu = %llu; lower these or rounds (%zu)",
                    mixer->method->name, n_shortest, mixer->setup.n_groups, options->n_sweeps,
                    options->interval, (unsigned long long)perturbed_steps(mixer), s->n_rounds);
}

static enum mix_status create(struct mix_mixer *mixer, struct mix_error *err)
{
    struct aioli *s = mixer->state;
    const struct mix_method_options *options = &mixer->setup.options;
    const size_t m = mixer->setup.n_groups;
    s->n_rounds = s->single_round ? 1 : options->n_rounds;
    /* The one update goes as far as p would be on the mean over T rounds of an unchanging A. */
    s->eta = options->eta * (s->single_round ? 0.5 * ((double)options->n_rounds + 1.0) : 1.0);
    const enum mix_status status = check_rounds(mixer, err);
    if (status != MIX_OK)
        return status;
    s->order = malloc(n_intervals(mixer) * sizeof *s->order);
    s->loss = calloc(3 * m * (m + 1), sizeof *s->loss);
    s->rng = mix_rng_create(mix_key_make(mixer->setup.seed, "aioli", NULL, 0));
    if (s->order == NULL || s->loss == NULL || s->rng == NULL)
        return mix_fail(err, MIX_ENOMEM, "%s: out of memory for %zu groups", mixer->method->name,
                        m);
    s->score = s->loss + m;
    s->gain = s->score + m;
    s->drops = s->gain + m;
    s->estimate = s->drops + m * m;
    s->average = s->estimate + m * m;
    online_uniform(m, mixer->mixture);
    return MIX_OK;
}

static void destroy(struct mix_mixer *mixer)
{
    struct aioli *s = mixer->state;
    if (s->rng != NULL)
        gsl_rng_free(s->rng);
    free(s->order);
    free(s->loss);
}

/* k independent orders of the groups; a round's depend on the seed and its number alone. */
static void draw_orders(const struct mix_mixer *mixer)
{
    const struct aioli *s = mixer->state;
    const size_t m = mixer->setup.n_groups;
    const uint64_t round = s->round;
    mix_rng_rekey(s->rng, mix_key_make(mixer->setup.seed, "aioli", &round, sizeof round));
    for (size_t at = 0; at < n_intervals(mixer); at++)
        s->order[at] = at % m;
    for (size_t sweep = 0; sweep < mixer->setup.options.n_sweeps; sweep++)
        gsl_ran_shuffle(s->rng, s->order + sweep * m, m, sizeof *s->order);
}

static bool next(struct mix_mixer *mixer, struct mix_segment *segment)
{
    struct aioli *s = mixer->state;
    const size_t m = mixer->setup.n_groups;
    memcpy(segment->mixture, mixer->mixture, m * sizeof *segment->mixture);
    if (s->phase == ROUND_GOES_ON) {
        segment->n_steps = round_steps(mixer) - perturbed_steps(mixer);
        s->phase = ROUND_BEGINS;
        s->round++;
        if (segment->n_steps > 0)
            return true;
    }
    if (s->round == s->n_rounds)
        return false;
    segment->measure = MIX_MEASURE_LOSS;
    if (s->phase == ROUND_PERTURBED) {
        segment->n_steps = mixer->setup.options.interval;
        segment->exact = true;
        online_perturbed(m, mixer->setup.options.smoothing, s->order[s->at], segment->mixture);
    }
    return true;
}

/* A of the mean drops B; the diagonal variant takes each group's own drop for its own doing. */
static void solve(struct mix_mixer *mixer)
{
    struct aioli *s = mixer->state;
    const size_t m = mixer->setup.n_groups;
    const double smoothing = mixer->setup.options.smoothing;
    const double own = 1.0 - smoothing + smoothing / (double)m;
    for (size_t e = 0; e < m * m; e++)
        s->drops[e] /= (double)mixer->setup.options.n_sweeps;
    if (!s->diagonal)
        mix_solve_perturbed(m, smoothing, s->drops, mixer->matrix);
    for (size_t i = 0; s->diagonal && i < m; i++)
        mixer->matrix[i * m + i] = s->drops[i * m + i] / own; /* the others stay 0 */
    mixer->n_matrices++;
}

static void move(struct mix_mixer *mixer)
{
    struct aioli *s = mixer->state;
    const size_t m = mixer->setup.n_groups;
    memcpy(s->estimate, mixer->matrix, m * m * sizeof *s->estimate);
    if (!s->raw && !mix_normalise_matrix(m, s->estimate))
        return; /* no direction: p stays */
    const double past = s->averages && s->has_average ? mixer->setup.options.ema : 0.0;
    for (size_t e = 0; e < m * m; e++)
        s->average[e] = (1.0 - past) * s->estimate[e] + past * s->average[e];
    s->has_average = true;
    mix_column_sums(m, s->average, s->gain);
    for (size_t j = 0; j < m; j++)
        s->score[j] = (s->released ? 0.0 : s->score[j]) + s->eta * s->gain[j];
    mix_softmax(m, s->score, mixer->mixture);
}

static enum mix_status observe(struct mix_mixer *mixer, const struct mix_observation *seen,
                               struct mix_error *err)
{
    (void)err;
    struct aioli *s = mixer->state;
    const size_t m = mixer->setup.n_groups;
    if (s->phase == ROUND_BEGINS) {
        draw_orders(mixer);
        memset(s->drops, 0, m * m * sizeof *s->drops);
        s->at = 0;
        s->phase = ROUND_PERTURBED;
    } else {
        online_add_drops(m, s->order[s->at++], s->loss, seen->loss, s->drops);
        if (s->at == n_intervals(mixer)) {
            solve(mixer);
            move(mixer);
            s->phase = ROUND_GOES_ON;
        }
    }
    memcpy(s->loss, seen->loss, m * sizeof *s->loss);
    return MIX_OK;
}

static enum mix_status create_diagonal(struct mix_mixer *mixer, struct mix_error *err)
{
    ((struct aioli *)mixer->state)->diagonal = true;
    return create(mixer, err);
}

static enum mix_status create_static(struct mix_mixer *mixer, struct mix_error *err)
{
    ((struct aioli *)mixer->state)->single_round = true;
    return create(mixer, err);
}

static enum mix_status create_ema(struct mix_mixer *mixer, struct mix_error *err)
{
    ((struct aioli *)mixer->state)->averages = true;
    return create(mixer, err);
}

static enum mix_status create_released(struct mix_mixer *mixer, struct mix_error *err)
{
    ((struct aioli *)mixer->state)->released = true;
    return create_ema(mixer, err);
}

static enum mix_status create_raw(struct mix_mixer *mixer, struct mix_error *err)
{
    ((struct aioli *)mixer->state)->raw = true;
    return create(mixer, err);
}

static uint64_t extra_steps(const struct mix_method_setup *setup)
{
    (void)setup;
    return 0;
}

#define VARIANT(symbol, title, what, how, rule, make)                                              \
    const struct mix_method symbol = {                                                             \
        .name = title,                                                                             \
        .summary = what,                                                                           \
        .law = "linear, dynamic",                                                                  \
        .estimate = how,                                                                           \
        .update = rule,                                                                            \
        .kind = MIX_METHOD_DYNAMIC,                                                                \
        .state_bytes = sizeof(struct aioli),                                                       \
        .create = make,                                                                            \
        .destroy = destroy,                                                                        \
        .next = next,                                                                              \
        .observe = observe,                                                                        \
        .extra_steps = extra_steps,                                                                \
    }

VARIANT(mix_method_aioli, "aioli", "parameters learnt inside the run, from perturbed mixtures",
        "perturbed mixtures within the run", "EGD each round", create);
VARIANT(mix_method_aioli_diagonal, "aioli-diagonal", "aioli with a diagonal A",
        "perturbed mixtures, own effects only", "EGD each round", create_diagonal);
VARIANT(mix_method_aioli_static, "aioli-static", "aioli with one round: A of the beginning",
        "perturbed mixtures at the beginning", "EGD once, at (T + 1) / 2 times the rate",
        create_static);
VARIANT(mix_method_aioli_ema, "aioli-ema", "aioli with a moving average of A",
        "perturbed mixtures, moving average", "EGD each round", create_ema);
VARIANT(mix_method_aioli_released, "aioli-released",
        "aioli as its code was released: moving average, not cumulative",
        "perturbed mixtures, moving average", "EGD from uniform each round", create_released);
VARIANT(mix_method_aioli_raw, "aioli-raw", "aioli without the normalisation of A",
        "perturbed mixtures within the run", "EGD each round, A as it is", create_raw);
