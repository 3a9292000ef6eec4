/* SPDX-License-Identifier: GPL-3.0-or-later */
/* agent_table.c - what a campaign of the agent has, in memory and as records of a log; see
 * mixsweep/agent_campaign.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/agent_campaign.h"

struct mix_agent_campaign *mix_agent_campaign_create(const char *name,
                                                     const struct mix_agent_space *space)
{
    struct mix_agent_campaign *campaign = calloc(1, sizeof *campaign);
    if (campaign == NULL)
        return NULL;
    snprintf(campaign->name, sizeof campaign->name, "%s", name);
    campaign->space = *space;
    campaign->slots = calloc(space->n_slots + 1, sizeof *campaign->slots);
    if (campaign->slots == NULL) {
        free(campaign);
        return NULL;
    }
    return campaign;
}

void mix_agent_campaign_destroy(struct mix_agent_campaign *campaign)
{
    if (campaign == NULL)
        return;
    for (size_t i = 0; i < campaign->n_bases; i++)
        free(campaign->bases[i].params);
    for (size_t i = 0; i < campaign->n_agents; i++)
        free(campaign->agents[i].weights);
    free(campaign->slots);
    free(campaign->bases);
    free(campaign->agents);
    free(campaign->rows);
    free(campaign->mixture);
    free(campaign->feedback);
    free(campaign->runs);
    free(campaign->run_mixture);
    free(campaign->run_feedback);
    free(campaign->run_test);
    free(campaign->run_test_se);
    free(campaign);
}

/* ---- room */

static bool widen(void *array, size_t n, size_t bytes)
{
    void **rows = array;
    void *wider = bytes == 0 || n <= SIZE_MAX / 4 / bytes ? realloc(*rows, n * bytes + 1) : NULL;
    if (wider != NULL)
        *rows = wider;
    return wider != NULL;
}

static void fill_nan(double *numbers, size_t n)
{
    for (size_t i = 0; i < n; i++)
        numbers[i] = NAN;
}

static size_t mixture_size(const struct mix_agent_space *space)
{
    return space->n_decisions * space->n_slots;
}

static size_t feedback_size(const struct mix_agent_space *space)
{
    return (space->n_decisions + 1) * space->n_slots;
}

size_t mix_agent_add_row(struct mix_agent_campaign *campaign)
{
    const size_t a = mixture_size(&campaign->space), o = feedback_size(&campaign->space);
    const size_t row = campaign->n_rows, n = row < 16 ? 16 : 2 * row;
    if (row == campaign->rows_capacity) {
        if (!widen(&campaign->rows, n, sizeof *campaign->rows) ||
            !widen(&campaign->mixture, n, a * sizeof(double)) ||
            !widen(&campaign->feedback, n, o * sizeof(double)))
            return SIZE_MAX;
        campaign->rows_capacity = n;
    }
    memset(&campaign->rows[row], 0, sizeof campaign->rows[row]);
    fill_nan(campaign->mixture + row * a, a);
    fill_nan(campaign->feedback + row * o, o);
    return campaign->n_rows++;
}

size_t mix_agent_add_run(struct mix_agent_campaign *campaign)
{
    const size_t a = mixture_size(&campaign->space), o = feedback_size(&campaign->space);
    const size_t d = campaign->space.n_slots;
    const size_t row = campaign->n_runs, n = row < 16 ? 16 : 2 * row;
    if (row == campaign->runs_capacity) {
        if (!widen(&campaign->runs, n, sizeof *campaign->runs) ||
            !widen(&campaign->run_mixture, n, a * sizeof(double)) ||
            !widen(&campaign->run_feedback, n, o * sizeof(double)) ||
            !widen(&campaign->run_test, n, d * sizeof(double)) ||
            !widen(&campaign->run_test_se, n, d * sizeof(double)))
            return SIZE_MAX;
        campaign->runs_capacity = n;
    }
    memset(&campaign->runs[row], 0, sizeof campaign->runs[row]);
    fill_nan(campaign->run_mixture + row * a, a);
    fill_nan(campaign->run_feedback + row * o, o);
    fill_nan(campaign->run_test + row * d, d);
    fill_nan(campaign->run_test_se + row * d, d);
    return campaign->n_runs++;
}

struct mix_agent_base *mix_agent_add_base(struct mix_agent_campaign *campaign, size_t n_params)
{
    float *params = calloc(n_params + 1, sizeof *params);
    if (params == NULL ||
        !widen(&campaign->bases, campaign->n_bases + 1, sizeof *campaign->bases)) {
        free(params);
        return NULL;
    }
    struct mix_agent_base *base = &campaign->bases[campaign->n_bases++];
    memset(base, 0, sizeof *base);
    base->n_params = n_params;
    base->params = params;
    return base;
}

struct mix_agent_trained *mix_agent_add_agent(struct mix_agent_campaign *campaign, size_t n_weights)
{
    float *weights = calloc(n_weights + 1, sizeof *weights);
    if (weights == NULL ||
        !widen(&campaign->agents, campaign->n_agents + 1, sizeof *campaign->agents)) {
        free(weights);
        return NULL;
    }
    struct mix_agent_trained *agent = &campaign->agents[campaign->n_agents++];
    memset(agent, 0, sizeof *agent);
    agent->head.n_weights = n_weights;
    agent->weights = weights;
    return agent;
}

/* ---- agents */

static struct mix_agent_trained *find_agent(const struct mix_agent_campaign *campaign,
                                            const char *label)
{
    for (size_t i = 0; i < campaign->n_agents; i++)
        if (strcmp(campaign->agents[i].label, label) == 0)
            return &campaign->agents[i];
    return NULL;
}

const struct mix_agent_trained *mix_agent_campaign_find(const struct mix_agent_campaign *campaign,
                                                        const char *label)
{
    return find_agent(campaign, label);
}

const struct mix_agent_trained *mix_agent_campaign_best(const struct mix_agent_campaign *campaign)
{
    const struct mix_agent_trained *best = NULL, *cloned = NULL;
    for (size_t i = 0; i < campaign->n_agents; i++) {
        const struct mix_agent_trained *agent = &campaign->agents[i];
        if (mix_agent_has_diverged(agent) || agent->head.blind != 0)
            continue;
        if (isnan(agent->alpha) && (cloned == NULL || agent->seed < cloned->seed))
            cloned = agent;
        if (isnan(agent->alpha) || isnan(agent->report.value))
            continue;
        if (best == NULL || agent->n_data > best->n_data ||
            (agent->n_data == best->n_data && agent->report.value > best->report.value))
            best = agent;
    }
    return best != NULL ? best : cloned;
}

/* ---- order */

static int compare_keys(struct mix_key a, struct mix_key b)
{
    if (a.hi != b.hi)
        return a.hi < b.hi ? -1 : 1;
    return a.lo == b.lo ? 0 : a.lo < b.lo ? -1 : 1;
}

static int compare_rows(const void *left, const void *right)
{
    const struct mix_agent_row *a = left, *b = right;
    return a->number != b->number ? (a->number < b->number ? -1 : 1) : compare_keys(a->key, b->key);
}

static int compare_bases(const void *left, const void *right)
{
    const struct mix_agent_base *a = left, *b = right;
    const int order = strcmp(a->setting, b->setting);
    if (order != 0)
        return order;
    return a->number != b->number ? (a->number < b->number ? -1 : 1) : compare_keys(a->key, b->key);
}

static int compare_agents(const void *left, const void *right)
{
    const struct mix_agent_trained *a = left, *b = right;
    return strcmp(a->label, b->label);
}

static int compare_runs(const void *left, const void *right)
{
    const struct mix_agent_run *a = left, *b = right;
    int order = strcmp(a->agent, b->agent);
    if (order == 0)
        order = (a->base > b->base) - (a->base < b->base);
    if (order == 0)
        order = (a->seed > b->seed) - (a->seed < b->seed);
    return order != 0 ? order : compare_keys(a->key, b->key);
}

/* An array of rows and where its row went: sorted[i] was row from[i]. */
static bool reorder(double *array, size_t n_rows, size_t n, const size_t *from)
{
    double *sorted = malloc((n_rows * n + 1) * sizeof *sorted);
    if (sorted == NULL)
        return false;
    for (size_t i = 0; i < n_rows; i++)
        memcpy(sorted + i * n, array + from[i] * n, n * sizeof *sorted);
    memcpy(array, sorted, n_rows * n * sizeof *sorted);
    free(sorted);
    return true;
}

static size_t find_row(const struct mix_agent_campaign *campaign, struct mix_key key)
{
    for (size_t i = 0; i < campaign->n_rows; i++)
        if (compare_keys(campaign->rows[i].key, key) == 0)
            return i;
    return SIZE_MAX;
}

static size_t find_run(const struct mix_agent_campaign *campaign, struct mix_key key)
{
    for (size_t i = 0; i < campaign->n_runs; i++)
        if (compare_keys(campaign->runs[i].key, key) == 0)
            return i;
    return SIZE_MAX;
}

static bool sort_rows(struct mix_agent_campaign *campaign)
{
    const size_t n = campaign->n_rows;
    struct mix_agent_row *rows = malloc((n + 1) * sizeof *rows);
    size_t *from = malloc((n + 1) * sizeof *from);
    bool ok = rows != NULL && from != NULL;
    if (ok && n > 0) {
        memcpy(rows, campaign->rows, n * sizeof *rows);
        qsort(rows, n, sizeof *rows, compare_rows);
        for (size_t i = 0; i < n; i++)
            from[i] = find_row(campaign, rows[i].key);
        ok = reorder(campaign->mixture, n, mixture_size(&campaign->space), from) &&
             reorder(campaign->feedback, n, feedback_size(&campaign->space), from);
        memcpy(campaign->rows, rows, n * sizeof *rows);
    }
    free(rows);
    free(from);
    return ok;
}

static bool sort_runs(struct mix_agent_campaign *campaign)
{
    const size_t n = campaign->n_runs, d = campaign->space.n_slots;
    struct mix_agent_run *runs = malloc((n + 1) * sizeof *runs);
    size_t *from = malloc((n + 1) * sizeof *from);
    bool ok = runs != NULL && from != NULL;
    if (ok && n > 0) {
        memcpy(runs, campaign->runs, n * sizeof *runs);
        qsort(runs, n, sizeof *runs, compare_runs);
        for (size_t i = 0; i < n; i++)
            from[i] = find_run(campaign, runs[i].key);
        ok = reorder(campaign->run_mixture, n, mixture_size(&campaign->space), from) &&
             reorder(campaign->run_feedback, n, feedback_size(&campaign->space), from) &&
             reorder(campaign->run_test, n, d, from) && reorder(campaign->run_test_se, n, d, from);
        memcpy(campaign->runs, runs, n * sizeof *runs);
    }
    free(runs);
    free(from);
    return ok;
}

enum mix_status mix_agent_campaign_sort(struct mix_agent_campaign *campaign, struct mix_error *err)
{
    if (campaign->n_bases > 1)
        qsort(campaign->bases, campaign->n_bases, sizeof *campaign->bases, compare_bases);
    if (campaign->n_agents > 1)
        qsort(campaign->agents, campaign->n_agents, sizeof *campaign->agents, compare_agents);
    return sort_rows(campaign) && sort_runs(campaign)
               ? MIX_OK
               : mix_fail(err, MIX_ENOMEM, "no memory for %zu trajectories", campaign->n_rows);
}

/* ---- the data of agents */

enum mix_status mix_agent_campaign_data(const struct mix_agent_campaign *campaign,
                                        struct mix_agent_data **out, struct mix_error *err)
{
    const size_t a = mixture_size(&campaign->space), o = feedback_size(&campaign->space);
    struct mix_agent_data *data = mix_agent_data_create(&campaign->space);
    bool ok = data != NULL;
    for (size_t i = 0; ok && i < campaign->n_rows; i++) {
        const struct mix_agent_row *row = &campaign->rows[i];
        const size_t at = row->diverged == 0 ? mix_agent_data_append(data) : SIZE_MAX;
        ok = row->diverged != 0 || at != SIZE_MAX;
        if (at == SIZE_MAX)
            continue;
        data->stratum[at] = row->stratum;
        data->base[at] = row->base;
        data->held_out[at] = row->held_out;
        memcpy(data->mixture + at * a, campaign->mixture + i * a, a * sizeof(double));
        memcpy(data->feedback + at * o, campaign->feedback + i * o, o * sizeof(double));
    }
    if (!ok) {
        mix_agent_data_destroy(data);
        return mix_fail(err, MIX_ENOMEM, "no memory for %zu trajectories", campaign->n_rows);
    }
    *out = data;
    return MIX_OK;
}

/* ---- soundness */

static bool ends(const char *text, size_t size)
{
    return memchr(text, 0, size) != NULL;
}

static bool is_flag(int32_t value)
{
    return value == 0 || value == 1;
}

static bool is_mixture(const double *mixture, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        if (!(mixture[i] >= 0 && mixture[i] <= 1 + 1e-6))
            return false;
        sum += mixture[i];
    }
    return fabs(sum - 1) <= 1e-6;
}

bool mix_agent_row_is_sound(const struct mix_agent_row *row, const double *mixture,
                            const double *feedback, const struct mix_agent_space *space)
{
    bool sound = row->stratum >= 0 && row->stratum < MIX_AGENT_STRATA && row->base >= 0 &&
                 is_flag(row->held_out) && is_flag(row->diverged);
    for (size_t t = 0; sound && t < space->n_decisions; t++)
        sound = is_mixture(mixture + t * space->n_slots, space->n_slots);
    for (size_t i = 0; sound && row->diverged == 0 && i < feedback_size(space); i++)
        sound = isfinite(feedback[i]);
    return sound;
}

bool mix_agent_base_is_sound(const struct mix_agent_base *base)
{
    const struct mix_key hash = mix_agent_hash(base->params, base->n_params);
    return ends(base->setting, sizeof base->setting) && compare_keys(hash, base->hash) == 0;
}

bool mix_agent_trained_is_sound(const struct mix_agent_trained *agent,
                                const struct mix_agent_space *space)
{
    const struct mix_agent_head *head = &agent->head;
    const bool fits = head->space.n_slots == space->n_slots &&
                      head->space.n_source == space->n_source &&
                      head->space.n_decisions == space->n_decisions;
    bool sound = fits && ends(agent->label, sizeof agent->label) && agent->label[0] != '\0' &&
                 strchr(agent->label, '/') == NULL && is_flag(head->blind) &&
                 (head->trunk == MIX_AGENT_TRANSFORMER || head->trunk == MIX_AGENT_MLP) &&
                 isfinite(head->space.source_weight) && isfinite(head->space.target_weight) &&
                 isfinite(head->scale.reward);
    for (size_t i = 0; sound && i < space->n_slots; i++)
        sound = isfinite(head->scale.sigma[i]) && head->scale.sigma[i] > 0;
    for (size_t i = 0; sound && i < head->n_weights; i++)
        sound = isfinite(agent->weights[i]);
    return sound &&
           compare_keys(mix_agent_hash(agent->weights, (size_t)head->n_weights), agent->hash) == 0;
}

bool mix_agent_run_is_sound(const struct mix_agent_run *run)
{
    return ends(run->agent, sizeof run->agent) && run->base >= 0 && is_flag(run->diverged);
}

struct mix_key mix_agent_hash(const float *numbers, size_t n)
{
    return mix_key_make(0, "agent parameters", numbers, n * sizeof *numbers);
}

enum mix_status mix_agent_check_space(const struct mix_agent_space *agent,
                                      const struct mix_agent_space *job, const char *what,
                                      struct mix_error *err)
{
    if (agent->n_slots != job->n_slots)
        return mix_fail(err, MIX_EINVAL, "%s is an agent of %zu domains; the job has %zu", what,
                        agent->n_slots, job->n_slots);
    if (agent->n_source != job->n_source)
        return mix_fail(err, MIX_EINVAL,
                        "%s is an agent of %zu source and %zu target domains; the job has %zu and "
                        "%zu",
                        what, agent->n_source, agent->n_slots - agent->n_source, job->n_source,
                        job->n_slots - job->n_source);
    if (agent->n_decisions != job->n_decisions)
        return mix_fail(err, MIX_EINVAL,
                        "%s is an agent of %zu decisions in a run; the job has %zu", what,
                        agent->n_decisions, job->n_decisions);
    return MIX_OK;
}

/* ---- records */

enum record_kind { RECORD_ROW = 1, RECORD_RUN = 2, RECORD_BASE = 3, RECORD_AGENT = 4 };

struct mix_agent_log_head mix_agent_log_head(const struct mix_agent_campaign *campaign)
{
    struct mix_agent_log_head head;
    memset(&head, 0, sizeof head);
    snprintf(head.name, sizeof head.name, "%s", campaign->name);
    head.options = campaign->options;
    head.n_slots = campaign->space.n_slots;
    head.n_source = campaign->space.n_source;
    head.n_decisions = campaign->space.n_decisions;
    return head;
}

size_t mix_agent_row_bytes(const struct mix_agent_space *space)
{
    return sizeof(uint64_t) + sizeof(struct mix_agent_row) +
           (mixture_size(space) + feedback_size(space)) * sizeof(double);
}

size_t mix_agent_run_bytes(const struct mix_agent_space *space)
{
    return sizeof(uint64_t) + sizeof(struct mix_agent_run) +
           (mixture_size(space) + feedback_size(space) + 2 * space->n_slots) * sizeof(double);
}

size_t mix_agent_base_bytes(size_t n_params)
{
    return sizeof(uint64_t) + sizeof(struct mix_agent_base) + n_params * sizeof(float);
}

size_t mix_agent_trained_bytes(size_t n_weights)
{
    return sizeof(uint64_t) + sizeof(struct mix_agent_trained) + n_weights * sizeof(float);
}

static uint8_t *put(uint8_t *to, const void *from, size_t n_bytes)
{
    memcpy(to, from, n_bytes);
    return to + n_bytes;
}

static const uint8_t *get(const uint8_t *from, void *to, size_t n_bytes)
{
    memcpy(to, from, n_bytes);
    return from + n_bytes;
}

void mix_agent_pack_row(const struct mix_agent_row *row, const struct mix_agent_space *space,
                        const double *mixture, const double *feedback, void *record)
{
    const uint64_t kind = RECORD_ROW;
    uint8_t *to = put(put(record, &kind, sizeof kind), row, sizeof *row);
    to = put(to, mixture, mixture_size(space) * sizeof *mixture);
    put(to, feedback, feedback_size(space) * sizeof *feedback);
}

void mix_agent_pack_run(const struct mix_agent_run *run, const struct mix_agent_space *space,
                        const double *mixture, const double *feedback, const double *test,
                        const double *test_se, void *record)
{
    const uint64_t kind = RECORD_RUN;
    uint8_t *to = put(put(record, &kind, sizeof kind), run, sizeof *run);
    to = put(to, mixture, mixture_size(space) * sizeof *mixture);
    to = put(to, feedback, feedback_size(space) * sizeof *feedback);
    to = put(to, test, space->n_slots * sizeof *test);
    put(to, test_se, space->n_slots * sizeof *test_se);
}

void mix_agent_pack_base(const struct mix_agent_base *base, void *record)
{
    const uint64_t kind = RECORD_BASE;
    struct mix_agent_base plain = *base;
    plain.params = NULL;
    uint8_t *to = put(put(record, &kind, sizeof kind), &plain, sizeof plain);
    put(to, base->params, (size_t)base->n_params * sizeof *base->params);
}

void mix_agent_pack_trained(const struct mix_agent_trained *agent, void *record)
{
    const uint64_t kind = RECORD_AGENT;
    struct mix_agent_trained plain = *agent;
    plain.weights = NULL;
    uint8_t *to = put(put(record, &kind, sizeof kind), &plain, sizeof plain);
    put(to, agent->weights, (size_t)agent->head.n_weights * sizeof *agent->weights);
}

static enum mix_status fail_memory(const struct mix_agent_campaign *campaign, struct mix_error *err)
{
    return mix_fail(err, MIX_ENOMEM, "no memory for a record of the agent %s", campaign->name);
}

static enum mix_status fail_damaged(const struct mix_agent_campaign *campaign,
                                    struct mix_error *err)
{
    return mix_fail(err, MIX_EFORMAT, "a record of the agent %s is damaged", campaign->name);
}

/* The row is appended first: its arrays are aligned, those of a record are not. */
static enum mix_status take_row(struct mix_agent_campaign *campaign, const uint8_t *from,
                                struct mix_error *err)
{
    const struct mix_agent_space *space = &campaign->space;
    const size_t a = mixture_size(space), o = feedback_size(space);
    struct mix_agent_row row;
    from = get(from, &row, sizeof row);
    if (find_row(campaign, row.key) != SIZE_MAX)
        return MIX_OK;
    const size_t at = mix_agent_add_row(campaign);
    if (at == SIZE_MAX)
        return fail_memory(campaign, err);
    campaign->rows[at] = row;
    from = get(from, campaign->mixture + at * a, a * sizeof(double));
    get(from, campaign->feedback + at * o, o * sizeof(double));
    if (mix_agent_row_is_sound(&row, campaign->mixture + at * a, campaign->feedback + at * o,
                               space))
        return MIX_OK;
    campaign->n_rows--;
    return fail_damaged(campaign, err);
}

static enum mix_status take_run(struct mix_agent_campaign *campaign, const uint8_t *from,
                                struct mix_error *err)
{
    const struct mix_agent_space *space = &campaign->space;
    const size_t a = mixture_size(space), o = feedback_size(space), d = space->n_slots;
    struct mix_agent_run run;
    from = get(from, &run, sizeof run);
    if (!mix_agent_run_is_sound(&run))
        return fail_damaged(campaign, err);
    if (find_run(campaign, run.key) != SIZE_MAX)
        return MIX_OK;
    const size_t at = mix_agent_add_run(campaign);
    if (at == SIZE_MAX)
        return fail_memory(campaign, err);
    campaign->runs[at] = run;
    from = get(from, campaign->run_mixture + at * a, a * sizeof(double));
    from = get(from, campaign->run_feedback + at * o, o * sizeof(double));
    from = get(from, campaign->run_test + at * d, d * sizeof(double));
    get(from, campaign->run_test_se + at * d, d * sizeof(double));
    return MIX_OK;
}

/* The last base model takes the place of one of its setting and number: a transfer may have become
 * another one, and in the file they have one name. */
static void drop_namesake(struct mix_agent_campaign *campaign)
{
    const size_t last = campaign->n_bases - 1;
    struct mix_agent_base *base = &campaign->bases[last];
    for (size_t i = 0; i < last; i++) {
        struct mix_agent_base *old = &campaign->bases[i];
        if (old->number != base->number || strcmp(old->setting, base->setting) != 0)
            continue;
        free(old->params);
        *old = *base;
        campaign->n_bases--;
        return;
    }
}

static enum mix_status take_base(struct mix_agent_campaign *campaign, const uint8_t *from,
                                 size_t n_bytes, struct mix_error *err)
{
    struct mix_agent_base plain;
    from = get(from, &plain, sizeof plain);
    const size_t n_params = (n_bytes - sizeof plain) / sizeof *plain.params;
    if (plain.n_params != n_params)
        return fail_damaged(campaign, err);
    for (size_t i = 0; i < campaign->n_bases; i++)
        if (compare_keys(campaign->bases[i].key, plain.key) == 0)
            return MIX_OK;
    struct mix_agent_base *base = mix_agent_add_base(campaign, n_params);
    if (base == NULL)
        return fail_memory(campaign, err);
    plain.params = base->params;
    *base = plain;
    get(from, base->params, n_params * sizeof *base->params);
    if (mix_agent_base_is_sound(base)) {
        drop_namesake(campaign);
        return MIX_OK;
    }
    free(base->params);
    campaign->n_bases--;
    return fail_damaged(campaign, err);
}

/* An agent of the same label gives way: it was trained with other options, or on fewer
 * trajectories. A record may be longer than its weights. */
static enum mix_status take_agent(struct mix_agent_campaign *campaign, const uint8_t *from,
                                  size_t n_bytes, struct mix_error *err)
{
    struct mix_agent_trained plain;
    from = get(from, &plain, sizeof plain);
    const size_t room = (n_bytes - sizeof plain) / sizeof *plain.weights;
    if (plain.head.n_weights > room || !ends(plain.label, sizeof plain.label))
        return fail_damaged(campaign, err);
    struct mix_agent_trained *old = find_agent(campaign, plain.label);
    if (old != NULL && compare_keys(old->key, plain.key) == 0)
        return MIX_OK;
    plain.weights = calloc((size_t)plain.head.n_weights + 1, sizeof *plain.weights);
    if (plain.weights == NULL)
        return fail_memory(campaign, err);
    get(from, plain.weights, (size_t)plain.head.n_weights * sizeof *plain.weights);
    if (!mix_agent_trained_is_sound(&plain, &campaign->space)) {
        free(plain.weights);
        return fail_damaged(campaign, err);
    }
    if (old == NULL) {
        old = mix_agent_add_agent(campaign, 0);
        if (old == NULL) {
            free(plain.weights);
            return fail_memory(campaign, err);
        }
    }
    free(old->weights);
    *old = plain;
    return MIX_OK;
}

enum mix_status mix_agent_campaign_take(struct mix_agent_campaign *campaign, const void *head,
                                        size_t n_head, const void *record, size_t n_record,
                                        struct mix_error *err)
{
    const struct mix_agent_log_head ours = mix_agent_log_head(campaign);
    const struct mix_agent_space *space = &campaign->space;
    uint64_t kind;
    if (n_head != sizeof ours || memcmp(head, &ours, sizeof ours) != 0)
        return mix_fail(err, MIX_ENOTFOUND, "a record is not of the agent %s", campaign->name);
    if (n_record < sizeof kind)
        return fail_damaged(campaign, err);
    const uint8_t *from = get(record, &kind, sizeof kind);
    const size_t n = n_record - sizeof kind;
    if (kind == RECORD_ROW && n_record == mix_agent_row_bytes(space))
        return take_row(campaign, from, err);
    if (kind == RECORD_RUN && n_record == mix_agent_run_bytes(space))
        return take_run(campaign, from, err);
    if (kind == RECORD_BASE && n_record >= mix_agent_base_bytes(0))
        return take_base(campaign, from, n, err);
    if (kind == RECORD_AGENT && n_record >= mix_agent_trained_bytes(0))
        return take_agent(campaign, from, n, err);
    return fail_damaged(campaign, err);
}
