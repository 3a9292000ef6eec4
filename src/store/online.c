/* SPDX-License-Identifier: GPL-3.0-or-later */
/* online.c - online mixing in the file: /online/NAME, one row per training. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/store_impl.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { RUNS_MAX = 10 * 1000 * 1000, WIDEST = 1 << 20 };
static const double NUMBERS_MAX = 268435456; /* 2 GiB */
enum { DIM_RUN, DIM_GROUP, DIM_POINT, DIM_ROUND, DIM_TRAINED, DIMS };

#define SCALAR(member, name, type) H5_SCALAR(struct mix_online, member, name, type)
#define RUN(member, unit, type)                                                                    \
    H5_COLUMN(struct mix_online, runs, struct mix_online_run, member, #member, unit, type, DIM_RUN)
#define ARRAY(member, unit, dim1, dim2, dim3)                                                      \
    H5_ARRAY4(struct mix_online, member, #member, unit, H5_DOUBLE, DIM_RUN, dim1, dim2, dim3)
#define LOSS(member) ARRAY(member, "nats/token", DIM_GROUP, NO_DIM, NO_DIM)

static const struct h5_field online_fields[] = {
    SCALAR(trainer, "trainer", H5_TEXT),
    SCALAR(options, "options", H5_KEY),
    SCALAR(n_steps, "n_steps_planned", H5_UINT64),
    RUN(key, NULL, H5_KEY),
    H5_ARRAY(struct mix_online, groups, "group", NULL, H5_TEXT, DIM_GROUP, NO_DIM),
    RUN(setting, NULL, H5_TEXT),
    RUN(method, NULL, H5_TEXT),
    RUN(after, NULL, H5_TEXT),
    RUN(role, NULL, H5_INT32),
    RUN(restricted, NULL, H5_INT32),
    RUN(diverged, NULL, H5_INT32),
    RUN(seed, NULL, H5_UINT64),
    RUN(n_steps, "steps", H5_UINT64),
    RUN(extra_steps, "steps", H5_UINT64),
    RUN(n_evaluations, NULL, H5_UINT64),
    RUN(mixer_s, "s", H5_DOUBLE),
    RUN(train_s, "s", H5_DOUBLE),
    RUN(measure_s, "s", H5_DOUBLE),
    ARRAY(mixture, "1", DIM_GROUP, NO_DIM, NO_DIM),
    LOSS(loss_start),
    LOSS(loss_end),
    LOSS(test),
    LOSS(test_se),
};

/* These need scales that no member of the struct holds. */
static const struct h5_field trajectory_fields[] = {
    ARRAY(point_step, "steps", DIM_POINT, NO_DIM, NO_DIM),
    ARRAY(point_mixture, "1", DIM_POINT, DIM_GROUP, NO_DIM),
    ARRAY(point_loss, "nats/token", DIM_POINT, DIM_GROUP, NO_DIM),
    ARRAY(round_step, "steps", DIM_ROUND, NO_DIM, NO_DIM),
    ARRAY(round_mixture, "1", DIM_ROUND, DIM_GROUP, NO_DIM),
    ARRAY(matrix, "nats/token", DIM_ROUND, DIM_GROUP, DIM_TRAINED),
};

/* Not in files of before. */
static const struct h5_field law_fields[] = {
    RUN(law_r2, "1", H5_DOUBLE),
    RUN(own_r2, "1", H5_DOUBLE),
    RUN(similarity, "1", H5_DOUBLE),
};

static const struct h5_note online_notes[] = {
    {"role", "meaning",
     "0 static run that a method wanted, 1 proxy, 2 what a method is judged by, 3 analysis"},
    {"restricted", "meaning", "1: learnt with at most half a run of extra steps, 0: no limit"},
    {"diverged", "meaning", "1: the loss was not finite, 0: done"},
    {"after", "description", "the method whose mixture the first steps have; empty: none"},
    {"extra_steps", "description", "of role 2: training beside the run itself"},
    {"n_evaluations", "description", "passes over the validation text of all groups"},
    {"mixer_s", "description", "in the method itself; of role 2 with its proxy, as train_s"},
    {"mixture", "description", "of a static run, or what a proxy found; NaN: it changes"},
    {"loss_start", "description", "on validation text; groups outside the setting are NaN"},
    {"test", "description", "on test text, at the end"},
    {"test_se", "description", "standard error of test over sequences"},
    {"point_mixture", "description", "in use from point_step on"},
    {"matrix", "description",
     "A as the method estimated it: how much training on group_trained lowers the loss of group; "
     "of "
     "role 3 the optimal A, from short runs off the method's own"},
    {"law_r2", "description",
     "of role 3: R2 of the linear law with the optimal A; of grid, of the log-linear law"},
    {"own_r2", "description", "of role 3: R2 of the linear law with the method's A and one factor"},
    {"similarity", "description", "of role 3: of the method's A with the optimal one"},
};

static void name_dims(struct h5_dim dims[DIMS])
{
    dims[DIM_RUN] = (struct h5_dim){"key", 0, "run"};
    dims[DIM_GROUP] = (struct h5_dim){"group", 0, "group"};
    dims[DIM_POINT] = (struct h5_dim){"point", 0, "point"};
    dims[DIM_ROUND] = (struct h5_dim){"round", 0, "round"};
    dims[DIM_TRAINED] = (struct h5_dim){"group_trained", 0, "group_trained"};
}

enum mix_status store_write_online(const struct h5_group *group, const struct mix_online *online,
                                   struct mix_error *err)
{
    struct h5_dim dims[DIMS];
    name_dims(dims);
    dims[DIM_RUN].n = online->n_runs;
    dims[DIM_GROUP].n = dims[DIM_TRAINED].n = online->n_groups;
    dims[DIM_POINT].n = online->n_points;
    dims[DIM_ROUND].n = online->n_rounds;
    enum mix_status status =
        h5_write(group, online, online_fields, COUNT(online_fields), dims, err);
    if (status == MIX_OK)
        status = h5_write_index(group, "point", online->n_points, err);
    if (status == MIX_OK)
        status = h5_write_index(group, "round", online->n_rounds, err);
    if (status == MIX_OK)
        status = h5_write_names(group, "group_trained", online->n_groups, MIX_NAME_MAX,
                                online->groups, err);
    if (status == MIX_OK)
        status = h5_write(group, online, trajectory_fields, COUNT(trajectory_fields), dims, err);
    if (status == MIX_OK)
        status = h5_write(group, online, law_fields, COUNT(law_fields), dims, err);
    return status == MIX_OK ? h5_annotate(group, online_notes, COUNT(online_notes), err) : status;
}

static enum mix_status check_runs(const struct h5_group *group, const struct mix_online *online,
                                  struct mix_error *err)
{
    for (size_t i = 0; i < online->n_runs; i++) {
        const struct mix_online_run *run = &online->runs[i];
        const char *wrong = run->role < MIX_ONLINE_STATIC || run->role > MIX_ONLINE_ANALYSIS
                                ? "role"
                            : run->restricted < 0 || run->restricted > 1 ? "restricted"
                            : run->diverged < 0 || run->diverged > 1     ? "diverged"
                                                                         : NULL;
        if (wrong != NULL)
            return mix_fail(err, MIX_EFORMAT, "%s: %s/%s, run %zu: a value that there is not",
                            group->file, group->path, wrong, i);
    }
    return MIX_OK;
}

/* A small file that claims to hold very much must not make us allocate it. */
static enum mix_status check_size(const struct h5_group *group, const struct h5_dim dims[DIMS],
                                  struct mix_error *err)
{
    const double k = (double)dims[DIM_GROUP].n;
    const double n = (double)dims[DIM_RUN].n * (5 * k + (double)dims[DIM_POINT].n * (1 + 2 * k) +
                                                (double)dims[DIM_ROUND].n * (1 + k + k * k));
    if (n > NUMBERS_MAX)
        return mix_fail(err, MIX_EFORMAT, "%s: %s says that it has %.0f numbers, more than %.0f",
                        group->file, group->path, n, NUMBERS_MAX);
    return MIX_OK;
}

enum mix_status store_read_online(const struct h5_group *group, const char *name,
                                  struct mix_online **out, struct mix_error *err)
{
    struct h5_dim dims[DIMS];
    const size_t min[DIMS] = {0, 1, 0, 0, 1};
    const size_t max[DIMS] = {RUNS_MAX, MIX_DOMAINS_MAX, WIDEST, WIDEST, MIX_DOMAINS_MAX};
    enum mix_status status = MIX_OK;
    name_dims(dims);
    for (int d = 0; d < DIMS && status == MIX_OK; d++)
        status = h5_extent(group, dims[d].scale, min[d], max[d], &dims[d].n, err);
    if (status == MIX_OK && dims[DIM_GROUP].n != dims[DIM_TRAINED].n)
        status = mix_fail(err, MIX_EFORMAT, "%s: %s has %zu groups and %zu trained ones",
                          group->file, group->path, dims[DIM_GROUP].n, dims[DIM_TRAINED].n);
    if (status == MIX_OK)
        status = check_size(group, dims, err);
    if (status != MIX_OK)
        return status;
    struct mix_online *online =
        mix_online_create(name, dims[DIM_GROUP].n, dims[DIM_POINT].n, dims[DIM_ROUND].n);
    bool fits = online != NULL;
    for (size_t i = 0; i < dims[DIM_RUN].n && fits; i++)
        fits = mix_online_append(online) != SIZE_MAX;
    if (!fits)
        status = mix_fail(err, MIX_ENOMEM, "%s: no memory for %s", group->file, group->path);
    if (status == MIX_OK)
        status = h5_read(group, online, online_fields, COUNT(online_fields), dims, err);
    if (status == MIX_OK)
        status = h5_read(group, online, trajectory_fields, COUNT(trajectory_fields), dims, err);
    if (status == MIX_OK && h5_has_any(group, law_fields, COUNT(law_fields)))
        status = h5_read(group, online, law_fields, COUNT(law_fields), dims, err);
    if (status == MIX_OK)
        status = check_runs(group, online, err);
    if (status == MIX_OK)
        *out = online;
    else
        mix_online_destroy(online);
    return status;
}

/* ---- what the logs hold */

static enum mix_status take(void *object, const void *head, size_t n_head, const void *body,
                            size_t n_body, struct mix_error *err)
{
    return mix_online_take(object, head, n_head, body, n_body, err);
}

enum mix_status store_merge_online(const struct store_logged *logged, struct mix_online *online,
                                   bool *news, struct mix_error *err)
{
    const size_t n_before = online->n_runs;
    size_t n_taken = 0; /* those that were there count too */
    enum mix_status status = store_take_logged(logged, MIX_LOG_ONLINE, take, online, &n_taken, err);
    *news = online->n_runs > n_before;
    return status == MIX_OK && *news ? mix_online_sort(online, err) : status;
}
