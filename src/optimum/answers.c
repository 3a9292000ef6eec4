/* SPDX-License-Identifier: GPL-3.0-or-later */
/* answers.c - what each bootstrap draw says: its own optimum, and the losses it expects of the
 * mixtures in question. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "optimum/search.h"

static const double OFF_EDGE = 1e-9; /* share */

struct asking {
    struct mix_search *search;
    const struct mix_draws *draws;
    const size_t *draw;
    const double *references; /* (MIX_REFERENCES,K) */
    size_t n_warm;
    const double *warm; /* (n_warm,K) */
    double *h;          /* (K) */
};

static enum mix_status find_own(const struct asking *asking, double *record, struct mix_poll *poll,
                                struct mix_error *err)
{
    const size_t n = asking->search->n_domains;
    for (size_t w = 0; w < asking->n_warm; w++) {
        struct mix_minimum minimum;
        if (mix_poll(poll))
            return MIX_EINTERRUPTED;
        memcpy(asking->h, asking->warm + w * n, n * sizeof *asking->h);
        const enum mix_status status = mix_search_descend(asking->search, asking->h, &minimum, err);
        if (status == MIX_ENUMERIC)
            continue;
        if (status != MIX_OK)
            return status;
        if (minimum.value < record[MIX_ANSWER_OWN]) {
            record[MIX_ANSWER_OWN] = minimum.value;
            memcpy(record + MIX_ANSWER_MIXTURE, asking->h, n * sizeof *asking->h);
        }
    }
    return MIX_OK;
}

/* Where shares of 0 are allowed a law may be infinitely steep there, and descents with terms come
 * to no end, or to a poor one; a hair off the edge they do better. */
static enum mix_status find_off_edge(const struct asking *asking, double *record,
                                     struct mix_poll *poll, struct mix_error *err)
{
    struct mix_search *s = asking->search;
    const struct mix_question before = s->asked;
    double *lower = malloc(s->n_domains * sizeof *lower);
    if (lower == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu domains", s->n_domains);
    bool on_edge = false;
    for (size_t j = 0; j < s->n_domains; j++) {
        lower[j] = fmin(fmax(before.lower[j], OFF_EDGE), before.upper[j]);
        on_edge = on_edge || lower[j] > before.lower[j];
    }
    s->asked.lower = lower;
    const enum mix_status status =
        on_edge && s->has_terms ? find_own(asking, record, poll, err) : MIX_OK;
    s->asked = before;
    free(lower);
    return status;
}

/* A start that keeps the constraints is an answer too, where there is hardly another: the baseline
 * with guards on all losses. */
static enum mix_status find_among_starts(const struct asking *asking, double *record,
                                         struct mix_error *err)
{
    struct mix_search *s = asking->search;
    const size_t n = s->n_domains;
    for (size_t w = 0; w < asking->n_warm && s->has_terms; w++) {
        double value = INFINITY;
        memcpy(asking->h, asking->warm + w * n, n * sizeof *asking->h);
        mix_simplex_project(n, asking->h, s->asked.lower, s->asked.upper);
        if (!mix_search_keeps(s, asking->h))
            continue;
        const enum mix_status status = mix_search_value(s, asking->h, &value, NULL, err);
        if (status != MIX_OK)
            return status;
        if (value < record[MIX_ANSWER_OWN]) {
            record[MIX_ANSWER_OWN] = value;
            memcpy(record + MIX_ANSWER_MIXTURE, asking->h, n * sizeof *asking->h);
        }
    }
    return MIX_OK;
}

static enum mix_status compare(const struct asking *asking, double *record, struct mix_error *err)
{
    const size_t n = asking->search->n_domains;
    for (size_t i = 0; i < MIX_REFERENCES; i++) {
        const double *h = asking->references + i * n;
        record[MIX_ANSWER_AT + i] = NAN;
        if (isnan(h[0]))
            continue;
        const enum mix_status status =
            mix_search_value(asking->search, h, &record[MIX_ANSWER_AT + i],
                             i == MIX_AT_OPTIMUM ? record + MIX_ANSWER_MIXTURE + n : NULL, err);
        if (status != MIX_OK)
            return status;
    }
    return MIX_OK;
}

/* A draw that has no answer at this scale (its H exceeds N, say) is a record with ok = 0. */
static enum mix_status ask(void *context, size_t task, void *record, struct mix_poll *poll,
                           struct mix_error *err)
{
    const struct asking *asking = context;
    const struct mix_draws *draws = asking->draws;
    double *answer = record;
    enum mix_status status =
        mix_search_aim(asking->search, draws->params + asking->draw[task] * draws->n_params, err);
    answer[MIX_ANSWER_OWN] = INFINITY;
    if (status == MIX_OK)
        status = find_own(asking, answer, poll, err);
    if (status == MIX_OK)
        status = find_off_edge(asking, answer, poll, err);
    if (status == MIX_OK && !isfinite(answer[MIX_ANSWER_OWN]))
        status = find_among_starts(asking, answer, err);
    if (status == MIX_OK)
        status = compare(asking, answer, err);
    const bool failed = status == MIX_EINVAL || status == MIX_ENUMERIC;
    answer[MIX_ANSWER_OK] = status == MIX_OK && isfinite(answer[MIX_ANSWER_OWN]);
    return failed ? mix_fail(err, MIX_OK, "%s", "") : status;
}

enum mix_status mix_answers_collect(struct mix_ranks *ranks, struct mix_search *search,
                                    const struct mix_draws *draws, const double *references,
                                    size_t n_warm, const double *warm, struct mix_answers *out,
                                    struct mix_error *err)
{
    const double *params = search->params;
    out->width = MIX_ANSWER_MIXTURE + search->n_domains + search->n_targets;
    out->draw = malloc((draws->n_draws + 1) * sizeof *out->draw);
    for (size_t b = 0; b < draws->n_draws && out->draw != NULL; b++)
        if (draws->done[b])
            out->draw[out->n++] = b;
    struct asking asking = {.search = search,
                            .draws = draws,
                            .draw = out->draw,
                            .references = references,
                            .n_warm = n_warm,
                            .warm = warm};
    asking.h = malloc(search->n_domains * sizeof *asking.h);
    const bool gathers = mix_ranks_rank(ranks) == 0;
    if (gathers)
        out->answer = calloc(out->n + 1, out->width * sizeof *out->answer);
    enum mix_status status = MIX_OK;
    if (out->draw == NULL || asking.h == NULL || (gathers && out->answer == NULL))
        status = mix_fail(err, MIX_ENOMEM, "out of memory for %zu draws", draws->n_draws);
    status = mix_ranks_agree(ranks, status, err);
    if (status == MIX_OK) {
        const struct mix_stage stage = {.name = "optimum",
                                        .n_tasks = out->n,
                                        .record_bytes = out->width * sizeof *out->answer,
                                        .run = ask,
                                        .context = &asking,
                                        .records = (uint8_t *)out->answer};
        status = mix_stage_run(ranks, &stage, err);
    }
    if (status == MIX_OK)
        status = mix_search_aim(search, params, err);
    free(asking.h);
    return status;
}

void mix_answers_clear(struct mix_answers *answers)
{
    free(answers->draw);
    free(answers->answer);
    *answers = (struct mix_answers){0};
}
