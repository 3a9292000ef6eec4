/* SPDX-License-Identifier: GPL-3.0-or-later */
/* agent.c - the Data Mixing Agent in the file: /agent/NAME with its trajectories, base models,
 * agents and steered runs; and a frozen agent in a file of its own. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/version.h"
#include "store/store_impl.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum {
    ROWS_MAX = 10 * 1000 * 1000,
    DECISIONS_MAX = 4096,
    NUMBERS_MAX = 1 << 28,
    MEMBERS_MAX = 10000
};
enum { DIM_ROW, DIM_SLOT, DIM_DECISION, DIM_EVALUATION, DIM_RUN, DIMS };
static const char FROZEN[] = "frozen data mixing agent";

#define SCALAR(object, member, name, type) H5_SCALAR(struct object, member, name, type)
#define CAMPAIGN(member, name, type) SCALAR(mix_agent_campaign, member, name, type)
#define ROW(member, name, unit, type)                                                              \
    H5_COLUMN(struct mix_agent_campaign, rows, struct mix_agent_row, member, name, unit, type,     \
              DIM_ROW)
#define RUN(member, name, unit, type)                                                              \
    H5_COLUMN(struct mix_agent_campaign, runs, struct mix_agent_run, member, name, unit, type,     \
              DIM_RUN)
#define ARRAY(member, unit, dim0, dim1, dim2)                                                      \
    H5_ARRAY4(struct mix_agent_campaign, member, #member, unit, H5_DOUBLE, dim0, dim1, dim2, NO_DIM)

static const struct h5_field campaign_fields[] = {
    CAMPAIGN(trainer, "trainer", H5_TEXT),
    CAMPAIGN(options, "options", H5_KEY),
    CAMPAIGN(text, "text", H5_KEY),
    CAMPAIGN(space.n_source, "n_source", H5_UINT64),
    CAMPAIGN(space.source_weight, "source_weight", H5_DOUBLE),
    CAMPAIGN(space.target_weight, "target_weight", H5_DOUBLE),
    CAMPAIGN(n_steps, "n_steps", H5_UINT64),
    H5_ARRAY(struct mix_agent_campaign, slots, "slot", NULL, H5_TEXT, DIM_SLOT, NO_DIM),
    ROW(key, "key", NULL, H5_KEY),
    ROW(number, "number", NULL, H5_UINT64),
    ROW(stratum, "stratum", NULL, H5_INT32),
    ROW(base, "base", NULL, H5_INT32),
    ROW(held_out, "held_out", NULL, H5_INT32),
    ROW(diverged, "diverged", NULL, H5_INT32),
    ROW(train_s, "train_s", "s", H5_DOUBLE),
    ROW(measure_s, "measure_s", "s", H5_DOUBLE),
    RUN(key, "run_key", NULL, H5_KEY),
    RUN(agent, "run_agent", NULL, H5_TEXT),
    RUN(weights, "run_weights", NULL, H5_KEY),
    RUN(base, "run_base", NULL, H5_INT32),
    RUN(diverged, "run_diverged", NULL, H5_INT32),
    RUN(seed, "run_seed", NULL, H5_UINT64),
    RUN(agent_s, "run_agent_s", "s", H5_DOUBLE),
    RUN(train_s, "run_train_s", "s", H5_DOUBLE),
    RUN(measure_s, "run_measure_s", "s", H5_DOUBLE),
};

/* These need scales that no member of the struct holds. */
static const struct h5_field trajectory_fields[] = {
    ARRAY(mixture, "1", DIM_ROW, DIM_DECISION, DIM_SLOT),
    ARRAY(feedback, "nats/token", DIM_ROW, DIM_EVALUATION, DIM_SLOT),
    ARRAY(run_mixture, "1", DIM_RUN, DIM_DECISION, DIM_SLOT),
    ARRAY(run_feedback, "nats/token", DIM_RUN, DIM_EVALUATION, DIM_SLOT),
    ARRAY(run_test, "nats/token", DIM_RUN, DIM_SLOT, NO_DIM),
    ARRAY(run_test_se, "nats/token", DIM_RUN, DIM_SLOT, NO_DIM),
};

static const struct h5_note campaign_notes[] = {
    {".", "feedback_meaning", MIX_AGENT_FEEDBACK},
    {".", "n_source_meaning",
     "the first so many slots are the source field, the others the target"},
    {"stratum", "meaning",
     "0 scored sampler, 1 static, 2 one target mass, 3 target only, 4 random"},
    {"held_out", "meaning", "1: agents are validated on it, 0: trained on it"},
    {"diverged", "meaning", "1: the loss was not finite; no agent sees it"},
    {"base", "description", "number of the base model, see bases/own-NUMBER"},
    {"mixture", "description", "of the stretch of training after each decision"},
    {"feedback", "description", "evaluation 0 is the base model's, t the one after t stretches"},
    {"run_agent", "description", "label of the agent that steered the run, or what its file says"},
    {"run_test", "description", "loss on the test part at the end, which no agent sees"},
};

enum { DIM_PARAM, DIM_CURVE, BASE_DIMS };

static const struct h5_field base_fields[] = {
    SCALAR(mix_agent_base, key, "key", H5_KEY),
    SCALAR(mix_agent_base, hash, "hash", H5_KEY),
    SCALAR(mix_agent_base, setting, "setting", H5_TEXT),
    SCALAR(mix_agent_base, number, "number", H5_UINT64),
    SCALAR(mix_agent_base, n_steps, "n_steps", H5_UINT64),
    SCALAR(mix_agent_base, train_s, "train_s", H5_DOUBLE),
    H5_ARRAY(struct mix_agent_base, params, "params", NULL, H5_FLOAT, DIM_PARAM, NO_DIM),
    {"curve",
     "nats/token",
     H5_DOUBLE,
     H5_ARRAY_AT,
     sizeof(double),
     offsetof(struct mix_agent_base, curve),
     0,
     sizeof(double),
     {DIM_CURVE, NO_DIM}},
};

enum { DIM_WEIGHT, DIM_OWN_SLOT, AGENT_DIMS };

/* What a frozen agent is. */
static const struct h5_field frozen_fields[] = {
    SCALAR(mix_agent_trained, hash, "hash", H5_KEY),
    SCALAR(mix_agent_trained, head.space.n_source, "n_source", H5_UINT64),
    SCALAR(mix_agent_trained, head.space.n_decisions, "n_decisions", H5_UINT64),
    SCALAR(mix_agent_trained, head.space.source_weight, "source_weight", H5_DOUBLE),
    SCALAR(mix_agent_trained, head.space.target_weight, "target_weight", H5_DOUBLE),
    SCALAR(mix_agent_trained, head.scale.reward, "reward_scale", H5_DOUBLE),
    SCALAR(mix_agent_trained, head.trunk, "trunk", H5_INT32),
    SCALAR(mix_agent_trained, head.blind, "blind", H5_INT32),
    SCALAR(mix_agent_trained, head.width, "width", H5_UINT64),
    SCALAR(mix_agent_trained, head.n_layers, "n_layers", H5_UINT64),
    SCALAR(mix_agent_trained, head.n_heads, "n_heads", H5_UINT64),
    {"sigma",
     "nats/token",
     H5_DOUBLE,
     H5_ARRAY_AT,
     sizeof(double),
     offsetof(struct mix_agent_trained, head.scale.sigma),
     0,
     sizeof(double),
     {DIM_OWN_SLOT, NO_DIM}},
    H5_ARRAY(struct mix_agent_trained, weights, "weights", NULL, H5_FLOAT, DIM_WEIGHT, NO_DIM),
};

/* And how it came about. */
static const struct h5_field report_fields[] = {
    SCALAR(mix_agent_trained, key, "key", H5_KEY),
    SCALAR(mix_agent_trained, alpha, "alpha", H5_DOUBLE),
    SCALAR(mix_agent_trained, seed, "seed", H5_UINT64),
    SCALAR(mix_agent_trained, n_data, "n_trajectories", H5_UINT64),
    SCALAR(mix_agent_trained, report.n_params, "n_params", H5_UINT64),
    SCALAR(mix_agent_trained, report.n_supervised, "n_supervised", H5_UINT64),
    SCALAR(mix_agent_trained, report.supervised_loss, "supervised_loss", H5_DOUBLE),
    SCALAR(mix_agent_trained, report.value, "value", H5_DOUBLE),
    SCALAR(mix_agent_trained, report.behaviour_value, "behaviour_value", H5_DOUBLE),
    SCALAR(mix_agent_trained, report.train_s, "train_s", H5_DOUBLE),
};

static const struct h5_note frozen_notes[] = {
    {".", "trunk_meaning", "0 causal transformer, 1 two layers over the last four decisions"},
    {"sigma", "description", "deviation of the whole change of a slot's feedback in a run"},
};

static void name_dims(struct h5_dim dims[DIMS])
{
    dims[DIM_ROW] = (struct h5_dim){"key", 0, "trajectory"};
    dims[DIM_SLOT] = (struct h5_dim){"slot", 0, "slot"};
    dims[DIM_DECISION] = (struct h5_dim){"decision", 0, "decision"};
    dims[DIM_EVALUATION] = (struct h5_dim){"evaluation", 0, "evaluation"};
    dims[DIM_RUN] = (struct h5_dim){"run_key", 0, "run"};
}

/* ---- writing */

static enum mix_status write_base(const struct h5_group *parent, const struct mix_agent_base *base,
                                  struct mix_error *err)
{
    const struct h5_dim dims[BASE_DIMS] = {{"params", (size_t)base->n_params, "parameter"},
                                           {"curve", MIX_AGENT_CURVE, "eighth"}};
    struct h5_group group = {.id = -1};
    char name[MIX_TEXT_MAX];
    snprintf(name, sizeof name, "%s-%llu", base->setting, (unsigned long long)base->number);
    enum mix_status status = h5_group_create(parent, name, &group, err);
    if (status == MIX_OK)
        status = h5_write(&group, base, base_fields, COUNT(base_fields), dims, err);
    h5_group_close(&group);
    return status;
}

static enum mix_status write_frozen(const struct h5_group *group,
                                    const struct mix_agent_trained *agent,
                                    const char (*slots)[MIX_NAME_MAX], struct mix_error *err)
{
    const struct h5_dim dims[AGENT_DIMS] = {{"weights", (size_t)agent->head.n_weights, "weight"},
                                            {"slot", agent->head.space.n_slots, "slot"}};
    enum mix_status status = h5_write_text(group, "feedback", MIX_AGENT_FEEDBACK, err);
    if (status == MIX_OK)
        status = h5_write_names(group, "slot", agent->head.space.n_slots, MIX_NAME_MAX, slots, err);
    if (status == MIX_OK)
        status = h5_write(group, agent, frozen_fields, COUNT(frozen_fields), dims, err);
    return status == MIX_OK ? h5_annotate(group, frozen_notes, COUNT(frozen_notes), err) : status;
}

static enum mix_status write_agent(const struct h5_group *parent,
                                   const struct mix_agent_trained *agent,
                                   const char (*slots)[MIX_NAME_MAX], struct mix_error *err)
{
    struct h5_group group = {.id = -1};
    enum mix_status status = h5_group_create(parent, agent->label, &group, err);
    if (status == MIX_OK)
        status = write_frozen(&group, agent, slots, err);
    if (status == MIX_OK)
        status = h5_write(&group, agent, report_fields, COUNT(report_fields), NULL, err);
    h5_group_close(&group);
    return status;
}

static enum mix_status write_members(const struct h5_group *group,
                                     const struct mix_agent_campaign *campaign,
                                     struct mix_error *err)
{
    struct h5_group bases = {.id = -1}, agents = {.id = -1};
    enum mix_status status = h5_group_create(group, "bases", &bases, err);
    for (size_t i = 0; i < campaign->n_bases && status == MIX_OK; i++)
        status = write_base(&bases, &campaign->bases[i], err);
    if (status == MIX_OK)
        status = h5_group_create(group, "agents", &agents, err);
    for (size_t i = 0; i < campaign->n_agents && status == MIX_OK; i++)
        status = write_agent(&agents, &campaign->agents[i],
                             (const char(*)[MIX_NAME_MAX])campaign->slots, err);
    h5_group_close(&bases);
    h5_group_close(&agents);
    return status;
}

enum mix_status store_write_agent(const struct h5_group *group,
                                  const struct mix_agent_campaign *campaign, struct mix_error *err)
{
    struct h5_dim dims[DIMS];
    name_dims(dims);
    dims[DIM_ROW].n = campaign->n_rows;
    dims[DIM_SLOT].n = campaign->space.n_slots;
    dims[DIM_DECISION].n = campaign->space.n_decisions;
    dims[DIM_EVALUATION].n = campaign->space.n_decisions + 1;
    dims[DIM_RUN].n = campaign->n_runs;
    enum mix_status status =
        h5_write(group, campaign, campaign_fields, COUNT(campaign_fields), dims, err);
    if (status == MIX_OK)
        status = h5_write_index(group, "decision", dims[DIM_DECISION].n, err);
    if (status == MIX_OK)
        status = h5_write_index(group, "evaluation", dims[DIM_EVALUATION].n, err);
    if (status == MIX_OK)
        status = h5_write(group, campaign, trajectory_fields, COUNT(trajectory_fields), dims, err);
    if (status == MIX_OK)
        status = h5_annotate(group, campaign_notes, COUNT(campaign_notes), err);
    return status == MIX_OK ? write_members(group, campaign, err) : status;
}

/* ---- reading */

static enum mix_status fail_memory(const struct h5_group *group, struct mix_error *err)
{
    return mix_fail(err, MIX_ENOMEM, "%s: no memory for %s", group->file, group->path);
}

static enum mix_status fail_damaged(const struct h5_group *group, const char *what,
                                    struct mix_error *err)
{
    return mix_fail(err, MIX_EFORMAT, "%s: %s: %s", group->file,
                    group->path[0] != '\0' ? group->path : "/", what);
}

static enum mix_status read_base(const struct h5_group *group, const char *name,
                                 struct mix_agent_campaign *campaign, struct mix_error *err)
{
    struct h5_dim dims[BASE_DIMS] = {{"params", 0, "parameter"},
                                     {"curve", MIX_AGENT_CURVE, "eighth"}};
    (void)name; /* made of its setting and number */
    enum mix_status status = h5_extent(group, "params", 1, NUMBERS_MAX, &dims[DIM_PARAM].n, err);
    if (status != MIX_OK)
        return status;
    struct mix_agent_base *base = mix_agent_add_base(campaign, dims[DIM_PARAM].n);
    if (base == NULL)
        return fail_memory(group, err);
    status = h5_read(group, base, base_fields, COUNT(base_fields), dims, err);
    if (status == MIX_OK && !mix_agent_base_is_sound(base))
        status = fail_damaged(group, "its parameters are not those of its hash", err);
    return status;
}

/* Space, head and weights into `agent`, whose weights are allocated. */
static enum mix_status read_frozen(const struct h5_group *group, struct mix_agent_trained *agent,
                                   struct mix_error *err)
{
    struct h5_dim dims[AGENT_DIMS] = {{"weights", 0, "weight"}, {"slot", 0, "slot"}};
    char *feedback = NULL;
    enum mix_status status = h5_read_text(group, "feedback", &feedback, err);
    if (status == MIX_OK && strcmp(feedback, MIX_AGENT_FEEDBACK) != 0)
        status = mix_fail(
            err, MIX_EFORMAT, "%s: %s is an agent whose feedback is \"%.80s\"; ours is \"%s\"",
            group->file, group->path[0] != '\0' ? group->path : "/", feedback, MIX_AGENT_FEEDBACK);
    free(feedback);
    if (status == MIX_OK)
        status = h5_extent(group, "slot", 2, MIX_GROUPS_MAX, &dims[DIM_OWN_SLOT].n, err);
    if (status == MIX_OK)
        status = h5_extent(group, "weights", 0, NUMBERS_MAX, &dims[DIM_WEIGHT].n, err);
    if (status != MIX_OK)
        return status;
    agent->weights = calloc(dims[DIM_WEIGHT].n + 1, sizeof *agent->weights);
    if (agent->weights == NULL)
        return fail_memory(group, err);
    agent->head.n_weights = dims[DIM_WEIGHT].n;
    agent->head.space.n_slots = dims[DIM_OWN_SLOT].n;
    return h5_read(group, agent, frozen_fields, COUNT(frozen_fields), dims, err);
}

static enum mix_status read_agent(const struct h5_group *group, const char *name,
                                  struct mix_agent_campaign *campaign, struct mix_error *err)
{
    struct mix_agent_trained read;
    memset(&read, 0, sizeof read);
    if (strlen(name) >= sizeof read.label)
        return fail_damaged(group, "the label of an agent is too long", err);
    snprintf(read.label, sizeof read.label, "%s", name);
    enum mix_status status = read_frozen(group, &read, err);
    if (status == MIX_OK)
        status = h5_read(group, &read, report_fields, COUNT(report_fields), NULL, err);
    if (status == MIX_OK && !mix_agent_trained_is_sound(&read, &campaign->space))
        status = fail_damaged(
            group, "its weights are not those of its hash, or it is of other slots", err);
    struct mix_agent_trained *agent = status == MIX_OK ? mix_agent_add_agent(campaign, 0) : NULL;
    if (status == MIX_OK && agent == NULL)
        status = fail_memory(group, err);
    if (status != MIX_OK) {
        free(read.weights);
        return status;
    }
    free(agent->weights);
    *agent = read;
    return MIX_OK;
}

typedef enum mix_status (*read_member_fn)(const struct h5_group *group, const char *name,
                                          struct mix_agent_campaign *campaign,
                                          struct mix_error *err);

static enum mix_status read_members(const struct h5_group *group, const char *kind,
                                    read_member_fn read, struct mix_agent_campaign *campaign,
                                    struct mix_error *err)
{
    struct h5_group parent = {.id = -1};
    char **names = NULL;
    size_t n = 0;
    enum mix_status status = h5_group_open(group, kind, &parent, err);
    if (status == MIX_OK)
        status = h5_list(&parent, &names, &n, err);
    if (status == MIX_OK && n > MEMBERS_MAX)
        status = fail_damaged(&parent, "it has too many members", err);
    for (size_t i = 0; i < n && status == MIX_OK; i++) {
        struct h5_group member = {.id = -1};
        status = h5_group_open(&parent, names[i], &member, err);
        if (status == MIX_OK)
            status = read(&member, names[i], campaign, err);
        h5_group_close(&member);
    }
    if (names != NULL)
        h5_list_free(names, n);
    h5_group_close(&parent);
    return status == MIX_ENOTFOUND ? fail_damaged(group, "base models or agents are missing", err)
                                   : status;
}

/* A small file that claims to hold very much must not make us allocate it. */
static enum mix_status check_size(const struct h5_group *group, const struct h5_dim dims[DIMS],
                                  struct mix_error *err)
{
    const double d = (double)dims[DIM_SLOT].n, t = (double)dims[DIM_DECISION].n;
    const double rows = (double)dims[DIM_ROW].n + (double)dims[DIM_RUN].n;
    const double n = rows * d * (2 * t + 3);
    if (dims[DIM_EVALUATION].n != dims[DIM_DECISION].n + 1)
        return fail_damaged(group, "there is to be one evaluation more than decisions", err);
    if (n > NUMBERS_MAX)
        return mix_fail(err, MIX_EFORMAT, "%s: %s says that it has %.0f numbers, more than %d",
                        group->file, group->path, n, NUMBERS_MAX);
    return MIX_OK;
}

static enum mix_status check_rows(const struct h5_group *group,
                                  const struct mix_agent_campaign *campaign, struct mix_error *err)
{
    const struct mix_agent_space *space = &campaign->space;
    const size_t a = space->n_decisions * space->n_slots, o = a + space->n_slots;
    if (space->n_source < 1 || space->n_source >= space->n_slots ||
        !isfinite(space->source_weight) || !isfinite(space->target_weight))
        return fail_damaged(group, "n_source or a weight is out of range", err);
    for (size_t i = 0; i < campaign->n_rows; i++)
        if (!mix_agent_row_is_sound(&campaign->rows[i], campaign->mixture + i * a,
                                    campaign->feedback + i * o, space))
            return mix_fail(err, MIX_EFORMAT,
                            "%s: %s, trajectory %zu: a code, mixture or feedback that there is not",
                            group->file, group->path, i);
    for (size_t i = 0; i < campaign->n_runs; i++)
        if (!mix_agent_run_is_sound(&campaign->runs[i]))
            return mix_fail(err, MIX_EFORMAT, "%s: %s, run %zu: a code that there is not",
                            group->file, group->path, i);
    return MIX_OK;
}

static enum mix_status make_rows(const struct h5_group *group, const char *name,
                                 const struct h5_dim dims[DIMS], struct mix_agent_campaign **out,
                                 struct mix_error *err)
{
    const struct mix_agent_space space = {.n_slots = dims[DIM_SLOT].n,
                                          .n_decisions = dims[DIM_DECISION].n};
    struct mix_agent_campaign *campaign = mix_agent_campaign_create(name, &space);
    bool fits = campaign != NULL;
    for (size_t i = 0; i < dims[DIM_ROW].n && fits; i++)
        fits = mix_agent_add_row(campaign) != SIZE_MAX;
    for (size_t i = 0; i < dims[DIM_RUN].n && fits; i++)
        fits = mix_agent_add_run(campaign) != SIZE_MAX;
    *out = campaign;
    return fits ? MIX_OK : fail_memory(group, err);
}

enum mix_status store_read_agent(const struct h5_group *group, const char *name,
                                 struct mix_agent_campaign **out, struct mix_error *err)
{
    struct h5_dim dims[DIMS];
    const size_t min[DIMS] = {0, 2, 1, 2, 0};
    const size_t max[DIMS] = {ROWS_MAX, MIX_GROUPS_MAX, DECISIONS_MAX, DECISIONS_MAX + 1, ROWS_MAX};
    struct mix_agent_campaign *campaign = NULL;
    enum mix_status status = MIX_OK;
    name_dims(dims);
    for (int d = 0; d < DIMS && status == MIX_OK; d++)
        status = h5_extent(group, dims[d].scale, min[d], max[d], &dims[d].n, err);
    if (status == MIX_OK)
        status = check_size(group, dims, err);
    if (status == MIX_OK)
        status = make_rows(group, name, dims, &campaign, err);
    if (status == MIX_OK)
        status = h5_read(group, campaign, campaign_fields, COUNT(campaign_fields), dims, err);
    if (status == MIX_OK)
        status = h5_read(group, campaign, trajectory_fields, COUNT(trajectory_fields), dims, err);
    if (status == MIX_OK)
        status = check_rows(group, campaign, err);
    if (status == MIX_OK)
        status = read_members(group, "bases", read_base, campaign, err);
    if (status == MIX_OK)
        status = read_members(group, "agents", read_agent, campaign, err);
    if (status == MIX_OK)
        *out = campaign;
    else
        mix_agent_campaign_destroy(campaign);
    return status;
}

/* ---- what the logs hold */

static enum mix_status take(void *object, const void *head, size_t n_head, const void *body,
                            size_t n_body, struct mix_error *err)
{
    return mix_agent_campaign_take(object, head, n_head, body, n_body, err);
}

enum mix_status store_merge_agent(const struct store_logged *logged,
                                  struct mix_agent_campaign *campaign, bool *news,
                                  struct mix_error *err)
{
    size_t n_taken = 0;
    enum mix_status status =
        store_take_logged(logged, MIX_LOG_AGENT, take, campaign, &n_taken, err);
    *news = n_taken > 0;
    return status == MIX_OK && *news ? mix_agent_campaign_sort(campaign, err) : status;
}

/* ---- a frozen agent in a file of its own */

enum mix_status mix_store_export_agent(const char *path, const struct mix_agent_trained *agent,
                                       const char (*slots)[MIX_NAME_MAX], struct mix_error *err)
{
    const int32_t format = MIX_STORE_VERSION;
    struct h5_group root = {.id = -1};
    struct store_draft *draft = NULL;
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* the sentences are ours */
    enum mix_status status = store_draft_create(path, &root, &draft, err);
    if (status == MIX_OK)
        status = h5_write(&root, &format, &store_version_field, 1, NULL, err);
    if (status == MIX_OK)
        status = h5_write_text(&root, "mixsweep_version", MIX_VERSION, err);
    if (status == MIX_OK)
        status = h5_write_text(&root, "content", FROZEN, err);
    if (status == MIX_OK)
        status = h5_write_text(&root, "label", agent->label, err);
    if (status == MIX_OK)
        status = write_frozen(&root, agent, slots, err);
    if (status == MIX_OK)
        status = store_draft_place(&root, draft, err);
    h5_group_close(&root);
    store_draft_destroy(draft);
    return status;
}

static bool is_frozen(const struct h5_group *root)
{
    char *content = NULL;
    const bool is =
        h5_read_text(root, "content", &content, NULL) == MIX_OK && strcmp(content, FROZEN) == 0;
    free(content);
    return is;
}

enum mix_status store_refuse_frozen(const struct h5_group *root, struct mix_error *err)
{
    if (!is_frozen(root))
        return MIX_OK;
    return mix_fail(err, MIX_EFORMAT,
                    "%s is a frozen agent and holds no runs: give the sweep file that it comes "
                    "from; what %s is for is mixsweep agent run JOB.yaml --agent %s",
                    root->file, root->file, root->file);
}

static enum mix_status read_label(const struct h5_group *root, struct mix_agent_trained *agent,
                                  struct mix_error *err)
{
    char *label = NULL;
    enum mix_status status =
        is_frozen(root)
            ? h5_read_text(root, "label", &label, err)
            : mix_fail(err, MIX_EFORMAT,
                       "%s is a file of mixsweep, but not a frozen agent; mixsweep agent "
                       "train JOB.yaml -o FILE writes one",
                       root->file);
    if (status == MIX_OK)
        snprintf(agent->label, sizeof agent->label, "%.*s", MIX_UNIT_MAX - 1, label);
    free(label);
    return status;
}

enum mix_status mix_store_import_agent(const char *path, struct mix_agent_trained **out,
                                       struct mix_error *err)
{
    struct h5_group root = {.id = -1};
    struct mix_agent_trained *agent = calloc(1, sizeof *agent);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    enum mix_status status = agent != NULL
                                 ? store_file_open(path, &root, err)
                                 : mix_fail(err, MIX_ENOMEM, "%s: no memory for an agent", path);
    if (status == MIX_OK)
        status = read_label(&root, agent, err);
    if (status == MIX_OK)
        status = read_frozen(&root, agent, err);
    if (status == MIX_OK && !mix_agent_trained_is_sound(agent, &agent->head.space))
        status = fail_damaged(&root, "its weights are not those of its hash: it is damaged", err);
    h5_group_close(&root);
    if (status == MIX_OK)
        *out = agent;
    else
        mix_agent_trained_destroy(agent);
    return status;
}
