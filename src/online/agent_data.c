/* SPDX-License-Identifier: GPL-3.0-or-later */
/* agent_data.c - recorded trajectories and what is made of them: utility,
 * rewards, their scale. */
#include "online/agent_data.h"

#include <math.h>
#include <stdlib.h>

const char *const mix_agent_stratum_names[MIX_AGENT_STRATA] = {"scored", "static", "field",
                                                               "target", "random"};

enum mix_status agent_space_check(const struct mix_agent_space *space, struct mix_error *err)
{
    enum { MOST_DECISIONS = 4096 };
    if (space->n_slots < 2 || space->n_slots > MIX_GROUPS_MAX)
        return mix_fail(err, MIX_EINVAL, "agent: %zu slots; 2 to %d are allowed", space->n_slots,
                        MIX_GROUPS_MAX);
    if (space->n_source < 1 || space->n_source >= space->n_slots)
        return mix_fail(err, MIX_EINVAL,
                        "agent: %zu of %zu slots are of the source field; 1 to %zu are allowed",
                        space->n_source, space->n_slots, space->n_slots - 1);
    if (space->n_decisions < 1 || space->n_decisions > MOST_DECISIONS)
        return mix_fail(err, MIX_EINVAL, "agent: %zu decisions; 1 to %d are allowed",
                        space->n_decisions, MOST_DECISIONS);
    const double w_s = space->source_weight, w_t = space->target_weight;
    if (!(w_s >= 0.0 && w_t >= 0.0 && w_s + w_t > 0.0 && isfinite(w_s + w_t)))
        return mix_fail(err, MIX_EINVAL,
                        "agent: the weights of source and target are %g and %g; "
                        "both must be 0 or "
                        "more, one of them positive",
                        w_s, w_t);
    return MIX_OK;
}

/* ---- trajectories ---- */

struct mix_agent_data *mix_agent_data_create(const struct mix_agent_space *space)
{
    struct mix_agent_data *data = calloc(1, sizeof *data);
    if (data != NULL)
        data->space = *space;
    return data;
}

void mix_agent_data_destroy(struct mix_agent_data *data)
{
    if (data == NULL)
        return;
    free(data->stratum);
    free(data->base);
    free(data->held_out);
    free(data->mixture);
    free(data->feedback);
    free(data);
}

/* Room for (n) rows; false when memory is out, what was there then stays. */
static bool widen(void *rows, size_t n, size_t row_bytes)
{
    void **array = rows;
    void *wider = realloc(*array, n * row_bytes);
    if (wider != NULL)
        *array = wider;
    return wider != NULL;
}

size_t mix_agent_data_append(struct mix_agent_data *data)
{
    const size_t d = data->space.n_slots, t = data->space.n_decisions;
    if (data->n == data->capacity) {
        const size_t n = data->capacity > 0 ? 2 * data->capacity : 16;
        if (!widen(&data->stratum, n, sizeof *data->stratum) ||
            !widen(&data->base, n, sizeof *data->base) ||
            !widen(&data->held_out, n, sizeof *data->held_out) ||
            !widen(&data->mixture, n, t * d * sizeof *data->mixture) ||
            !widen(&data->feedback, n, (t + 1) * d * sizeof *data->feedback))
            return SIZE_MAX;
        data->capacity = n;
    }
    const size_t at = data->n++;
    data->stratum[at] = data->base[at] = data->held_out[at] = 0;
    for (size_t i = 0; i < t * d; i++)
        data->mixture[at * t * d + i] = NAN;
    for (size_t i = 0; i < (t + 1) * d; i++)
        data->feedback[at * (t + 1) * d + i] = NAN;
    return at;
}

const double *agent_mixtures(const struct mix_agent_data *data, size_t i)
{
    return data->mixture + i * data->space.n_decisions * data->space.n_slots;
}

const double *agent_feedback(const struct mix_agent_data *data, size_t i)
{
    return data->feedback + i * (data->space.n_decisions + 1) * data->space.n_slots;
}

/* Each tenth, by turns at another place of its ten: strata come in a pattern of
 * twenty. */
bool mix_agent_held_out(size_t index)
{
    return index % 10 == (index / 10 * 3 + 4) % 10;
}

/* ---- rewards ---- */

double mix_agent_utility(const struct mix_agent_space *space, const struct mix_agent_scale *scale,
                         const double *base, const double *feedback)
{
    double source = 0.0, target = 0.0;
    for (size_t i = 0; i < space->n_slots; i++)
        *(i < space->n_source ? &source : &target) += (feedback[i] - base[i]) / scale->sigma[i];
    return space->source_weight * source / (double)space->n_source +
           space->target_weight * target / (double)(space->n_slots - space->n_source);
}

double agent_end(const struct mix_agent_data *data, const struct mix_agent_scale *scale, size_t i)
{
    const double *feedback = agent_feedback(data, i);
    return mix_agent_utility(&data->space, scale, feedback,
                             feedback + data->space.n_decisions * data->space.n_slots);
}

void agent_rewards(const struct mix_agent_data *data, const struct mix_agent_scale *scale, size_t i,
                   double *reward)
{
    const size_t d = data->space.n_slots;
    const double *feedback = agent_feedback(data, i);
    double before = 0.0;
    for (size_t t = 0; t < data->space.n_decisions; t++) {
        const double after =
            mix_agent_utility(&data->space, scale, feedback, feedback + (t + 1) * d);
        reward[t] = scale->reward * (after - before);
        before = after;
    }
}

/* A sum as it grows (Welford), for deviations. */
struct spread {
    double n, mean, squares;
};

static void add(struct spread *s, double x)
{
    const double from = x - s->mean;
    s->n += 1.0;
    s->mean += from / s->n;
    s->squares += from * (x - s->mean);
}

static double deviation(const struct spread *s)
{
    return sqrt(s->squares / s->n);
}

static enum mix_status check_data(const struct mix_agent_data *data, struct mix_error *err)
{
    const size_t d = data->space.n_slots, n_decisions = data->space.n_decisions;
    size_t n = 0;
    for (size_t i = 0; i < data->n; i++) {
        n += data->held_out[i] == 0;
        for (size_t e = 0; e < (n_decisions + 1) * d; e++) {
            const double seen = agent_feedback(data, i)[e];
            const double share = e < n_decisions * d ? agent_mixtures(data, i)[e] : 0.0;
            if (!isfinite(seen))
                return mix_fail(err, MIX_EINVAL,
                                "agent: trajectory %zu, decision %zu: the feedback of slot %zu is "
                                "%g; it must be finite",
                                i + 1, e / d, e % d + 1, seen);
            if (!(share >= 0.0 && share <= 1.0 + 1e-6))
                return mix_fail(err, MIX_EINVAL,
                                "agent: trajectory %zu, decision %zu: the share of slot %zu is %g; "
                                "0 to 1 is allowed",
                                i + 1, e / d + 1, e % d + 1, share);
        }
    }
    if (n < 2)
        return mix_fail(err, MIX_EINVAL,
                        "agent: %zu of %zu trajectories are to learn from; 2 or "
                        "more are needed",
                        n, data->n);
    return MIX_OK;
}

enum mix_status mix_agent_scale_of(const struct mix_agent_data *data, struct mix_agent_scale *scale,
                                   struct mix_error *err)
{
    const size_t d = data->space.n_slots, last = data->space.n_decisions * d;
    enum mix_status status = agent_space_check(&data->space, err);
    if (status == MIX_OK)
        status = check_data(data, err);
    if (status != MIX_OK)
        return status;
    *scale = (struct mix_agent_scale){.reward = 1.0};
    for (size_t s = 0; s < d; s++) {
        struct spread change = {0};
        for (size_t i = 0; i < data->n; i++)
            if (data->held_out[i] == 0)
                add(&change, agent_feedback(data, i)[last + s] - agent_feedback(data, i)[s]);
        scale->sigma[s] = deviation(&change);
        if (!(scale->sigma[s] > 1e-12))
            return mix_fail(err, MIX_EINVAL,
                            "agent: slot %zu ends alike in all %.0f trajectories; "
                            "there is nothing "
                            "to learn about it",
                            s + 1, change.n);
    }
    struct spread steps = {0};
    for (size_t i = 0; i < data->n; i++) {
        const double *feedback = agent_feedback(data, i);
        for (size_t e = 0; data->held_out[i] == 0 && e < last; e += d)
            add(&steps, mix_agent_utility(&data->space, scale, feedback + e, feedback + e + d));
    }
    scale->reward = 1.0 / fmax(deviation(&steps), 1e-12);
    return MIX_OK;
}
