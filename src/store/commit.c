/* SPDX-License-Identifier: GPL-3.0-or-later */
/* commit.c - staging, and the one way in which a sweep file changes; see store.h. */
#include "store/store_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mixsweep/version.h"
#include "store/h5_copy.h"

static void drop_stream(struct mix_store *store)
{
    store_stream_close(store->stream);
    store->stream = NULL;
}

void store_clear_staged(struct mix_store *store)
{
    drop_stream(store);
    for (size_t i = 0; i < store->n_staged; i++) {
        mix_draws_destroy(store->staged[i].owned);
        mix_online_destroy(store->staged[i].owned_online);
        mix_agent_campaign_destroy(store->staged[i].owned_agent);
    }
    free(store->staged);
    store->staged = NULL;
    store->n_staged = 0;
    store->table = NULL;
    store->job_staged = false;
}

static enum mix_status check_writable(const struct mix_store *store, struct mix_error *err)
{
    return store->mode != MIX_STORE_READ
               ? MIX_OK
               : mix_fail(err, MIX_EINVAL, "%s was opened for reading only", store->path);
}

static enum mix_status stage(struct mix_store *store, enum store_kind kind, const char *name,
                             const void *object, struct mix_error *err)
{
    enum mix_status status = check_writable(store, err);
    if (status != MIX_OK)
        return status;
    if (name[0] == '\0' || strchr(name, '/') != NULL || strcmp(name, ".") == 0 ||
        strlen(name) >= MIX_NAME_MAX)
        return mix_fail(err, MIX_EINVAL,
                        "\"%.80s\" cannot name a result: 1 to %d bytes without / are allowed", name,
                        MIX_NAME_MAX - 1);
    struct store_staged *slot = NULL;
    for (size_t i = 0; i < store->n_staged && slot == NULL; i++)
        if (store->staged[i].kind == kind && strcmp(store->staged[i].name, name) == 0)
            slot = &store->staged[i];
    if (slot == NULL) {
        struct store_staged *larger =
            realloc(store->staged, (store->n_staged + 1) * sizeof *store->staged);
        if (larger == NULL)
            return mix_fail(err, MIX_ENOMEM, "%s: no memory", store->path);
        store->staged = larger;
        slot = &store->staged[store->n_staged++];
        *slot = (struct store_staged){.kind = kind};
        snprintf(slot->name, sizeof slot->name, "%s", name);
    }
    slot->object = object;
    return MIX_OK;
}

enum mix_status mix_store_put_table(struct mix_store *store, struct mix_table *table,
                                    struct mix_error *err)
{
    enum mix_status status = check_writable(store, err);
    if (status == MIX_OK)
        status = mix_table_sort(table, err);
    if (status == MIX_OK)
        store->table = table;
    return status;
}

enum mix_status mix_store_put_fit(struct mix_store *store, const struct mix_fit *fit,
                                  struct mix_error *err)
{
    return stage(store, STORE_FITS, fit->name, fit, err);
}

enum mix_status mix_store_put_draws(struct mix_store *store, const struct mix_draws *draws,
                                    struct mix_error *err)
{
    return stage(store, STORE_BOOTSTRAP, draws->fit, draws, err);
}

enum mix_status mix_store_put_optimum(struct mix_store *store, const struct mix_optimum *optimum,
                                      struct mix_error *err)
{
    return stage(store, STORE_OPTIMUM, optimum->name, optimum, err);
}

enum mix_status mix_store_put_compare(struct mix_store *store, const struct mix_compare *compare,
                                      struct mix_error *err)
{
    return stage(store, STORE_COMPARE, compare->name, compare, err);
}

enum mix_status mix_store_put_online(struct mix_store *store, const struct mix_online *online,
                                     struct mix_error *err)
{
    return stage(store, STORE_ONLINE, online->name, online, err);
}

enum mix_status mix_store_put_agent(struct mix_store *store,
                                    const struct mix_agent_campaign *campaign,
                                    struct mix_error *err)
{
    return stage(store, STORE_AGENT, campaign->name, campaign, err);
}

enum mix_status mix_store_drop(struct mix_store *store, const char *kind, const char *name,
                               struct mix_error *err)
{
    enum store_kind k = STORE_FITS;
    const enum mix_status status = store_find_kind(kind, &k, err);
    return status == MIX_OK ? stage(store, k, name, NULL, err) : status;
}

static struct store_staged *find_staged(const struct mix_store *store, enum store_kind kind,
                                        const char *name)
{
    for (size_t i = 0; i < store->n_staged; i++)
        if (store->staged[i].kind == kind && strcmp(store->staged[i].name, name) == 0)
            return &store->staged[i];
    return NULL;
}

/* The fit of that name as it will be in the file: staged or stored (then *owned); NULL: none. */
static enum mix_status coming_fit(struct mix_store *store, const char *name,
                                  const struct mix_fit **fit, struct mix_fit **owned,
                                  struct mix_error *err)
{
    const struct store_staged *staged = find_staged(store, STORE_FITS, name);
    *fit = staged != NULL ? staged->object : NULL;
    *owned = NULL;
    if (staged != NULL)
        return MIX_OK;
    const enum mix_status status = mix_store_read_fit(store, name, owned, err);
    *fit = *owned;
    return status == MIX_ENOTFOUND ? MIX_OK : status;
}

/* Stage the draws of one fit with those of the logs. */
static enum mix_status fold_draws_of(struct mix_store *store, const char *name,
                                     struct mix_error *err)
{
    const struct mix_fit *fit = NULL;
    struct mix_fit *owned = NULL;
    struct mix_draws *stored = NULL, *merged = NULL;
    struct store_staged *staged = find_staged(store, STORE_BOOTSTRAP, name);
    const bool dropped = staged != NULL && staged->object == NULL;
    enum mix_status status = coming_fit(store, name, &fit, &owned, err);
    if (status != MIX_OK || fit == NULL || dropped)
        goto out;
    if (staged == NULL)
        status = store_file_draws(store, name, &stored, err);
    if (status == MIX_OK)
        status = store_merge_draws(&store->logged, fit, staged != NULL ? staged->object : stored,
                                   &merged, err);
    if (status == MIX_OK && merged != NULL)
        status = stage(store, STORE_BOOTSTRAP, name, merged, err);
    if (status == MIX_OK && merged != NULL) {
        staged = find_staged(store, STORE_BOOTSTRAP, name);
        mix_draws_destroy(staged->owned);
        staged->owned = merged;
        merged = NULL;
    }
out:
    mix_draws_destroy(merged);
    mix_draws_destroy(stored);
    mix_fit_destroy(owned);
    return status;
}

static enum mix_status fold_draws(struct mix_store *store, struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    for (size_t i = 0; i < store->logged.fits.n && status == MIX_OK; i++)
        status = fold_draws_of(store, store->logged.fits.name[i], err);
    return status;
}

/**
 * Stage the online runs of the file with those of the logs. What is staged already has them.
 *
 * @param keep_logs  out: true where there are runs of a campaign that the file does not know
 */
static enum mix_status fold_online(struct mix_store *store, bool *keep_logs, struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    for (size_t i = 0; i < store->logged.online.n && status == MIX_OK; i++) {
        const char *name = store->logged.online.name[i];
        struct mix_online *online = NULL;
        bool news = false;
        if (find_staged(store, STORE_ONLINE, name) != NULL)
            continue;
        status = store_file_online(store, name, &online, err);
        if (status == MIX_OK && online != NULL)
            status = store_merge_online(&store->logged, online, &news, err);
        else
            *keep_logs = true;
        if (status == MIX_OK && news)
            status = stage(store, STORE_ONLINE, name, online, err);
        if (status == MIX_OK && news)
            find_staged(store, STORE_ONLINE, name)->owned_online = online;
        else
            mix_online_destroy(online);
    }
    return status;
}

/* The same for campaigns of the agent. */
static enum mix_status fold_agents(struct mix_store *store, bool *keep_logs, struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    for (size_t i = 0; i < store->logged.agents.n && status == MIX_OK; i++) {
        const char *name = store->logged.agents.name[i];
        struct mix_agent_campaign *campaign = NULL;
        bool news = false;
        if (find_staged(store, STORE_AGENT, name) != NULL)
            continue;
        status = store_file_agent(store, name, &campaign, err);
        if (status == MIX_OK && campaign != NULL)
            status = store_merge_agent(&store->logged, campaign, &news, err);
        else
            *keep_logs = true;
        if (status == MIX_OK && news)
            status = stage(store, STORE_AGENT, name, campaign, err);
        if (status == MIX_OK && news)
            find_staged(store, STORE_AGENT, name)->owned_agent = campaign;
        else
            mix_agent_campaign_destroy(campaign);
    }
    return status;
}

/* The runs of the file with those of the logs: as a stream, or where that cannot be as a table
 * (then *owned, staged). */
static enum mix_status fold_file(struct mix_store *store, struct mix_table **owned, size_t *n_left,
                                 struct mix_error *err)
{
    struct store_folded count;
    size_t n_added = 0;
    if (store->root.id < 0 || H5Lexists(store->root.id, "runs", H5P_DEFAULT) == 0) {
        *n_left = store->logged.n_results;
        return MIX_OK;
    }
    enum mix_status status =
        store_stream_open(&store->root, store->lock, &store->logged, &store->stream, &count, err);
    if (status == MIX_OK && store->stream != NULL) {
        *n_left = store_warn_left(store, &count);
        if (count.n_added == 0)
            drop_stream(store);
        return MIX_OK;
    }
    if (status == MIX_OK)
        status = store_file_table(store, owned, err);
    if (status == MIX_OK)
        status = store_fold_runs(store, *owned, &n_added, n_left, err);
    if (status == MIX_OK && n_added > 0)
        store->table = *owned;
    return status;
}

/**
 * Take the runs of the logs into the staged table, or to those of the file.
 *
 * @param keep_logs  out: runs are left that no table takes
 */
static enum mix_status fold_table(struct mix_store *store, struct mix_table **owned,
                                  bool *keep_logs, struct mix_error *err)
{
    size_t n_added = 0, n_left = 0;
    *owned = NULL;
    *keep_logs = false;
    if (store->logged.n_results == 0)
        return MIX_OK;
    store_lock_beat(store->lock);
    const enum mix_status status =
        store->table != NULL ? store_fold_runs(store, store->table, &n_added, &n_left, err)
                             : fold_file(store, owned, &n_left, err);
    *keep_logs = n_left > 0;
    return status;
}

static enum mix_status write_attributes(struct mix_store *store, const struct h5_group *root,
                                        struct mix_error *err)
{
    const int32_t format = MIX_STORE_VERSION;
    char now[32] = "";
    const time_t seconds = time(NULL);
    struct tm utc;
    if (gmtime_r(&seconds, &utc) != NULL)
        strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", &utc);
    enum mix_status status = h5_write(root, &format, &store_version_field, 1, NULL, err);
    if (status == MIX_OK)
        status = h5_write_text(root, "mixsweep_version", MIX_VERSION, err);
    if (status == MIX_OK)
        status = h5_write_text(root, "mixsweep_commit", MIX_COMMIT, err);
    if (status == MIX_OK)
        status = h5_write_text(root, "created", store->created != NULL ? store->created : now, err);
    if (status == MIX_OK)
        status = h5_write_text(root, "job", store->job, err);
    if (status == MIX_OK && store->history != NULL)
        status = h5_write_text(root, "domain_changes", store->history, err);
    return status == MIX_OK ? h5_write(root, &store->seed, &store_seed_field, 1, NULL, err)
                            : status;
}

static enum mix_status write_result(struct mix_store *store, const struct h5_group *parent,
                                    const struct store_staged *staged, struct mix_error *err)
{
    struct h5_group group = {.id = -1};
    const struct mix_fit *fit = NULL;
    struct mix_fit *owned = NULL;
    enum mix_status status = h5_group_create(parent, staged->name, &group, err);
    if (status != MIX_OK)
        return status;
    switch (staged->kind) {
    case STORE_FITS:
        status = store_write_fit(&group, staged->object, err);
        break;
    case STORE_BOOTSTRAP:
        status = coming_fit(store, staged->name, &fit, &owned, err);
        if (status == MIX_OK)
            status = store_write_draws(&group, staged->object, fit, err);
        mix_fit_destroy(owned);
        break;
    case STORE_OPTIMUM:
        status = store_write_optimum(&group, staged->object, err);
        break;
    case STORE_COMPARE:
        status = store_write_compare(&group, staged->object, err);
        break;
    case STORE_ONLINE:
        status = store_write_online(&group, staged->object, err);
        break;
    case STORE_AGENT:
        status = store_write_agent(&group, staged->object, err);
        break;
    case STORE_KINDS:
        break;
    }
    h5_group_close(&group);
    return status;
}

/* Copy the children of a group of the old file that `skip` does not name. */
static enum mix_status copy_children(struct mix_store *store, const struct h5_group *from,
                                     const struct h5_group *to,
                                     bool (*skip)(const struct mix_store *, int, const char *),
                                     int kind, struct mix_error *err)
{
    char **names = NULL;
    size_t n = 0;
    enum mix_status status = h5_list(from, &names, &n, err);
    for (size_t i = 0; i < n && status == MIX_OK; i++)
        if (!skip(store, kind, names[i]))
            status = h5_copy(from, names[i], to, err);
    if (names != NULL)
        h5_list_free(names, n);
    return status;
}

static bool skip_result(const struct mix_store *store, int kind, const char *name)
{
    return find_staged(store, (enum store_kind)kind, name) != NULL;
}

/* Of the root, what is written anew. Groups that we do not know are copied. */
static bool skip_root(const struct mix_store *store, int kind, const char *name)
{
    (void)kind;
    const char *const table_groups[] = {"domains", "targets", "runs"};
    for (int k = 0; k < STORE_KINDS; k++)
        if (strcmp(name, store_kind_names[k]) == 0)
            return true;
    for (int i = 0; i < 3; i++)
        if (strcmp(name, table_groups[i]) == 0)
            return store->table != NULL || store->stream != NULL;
    return false;
}

static enum mix_status write_kind(struct mix_store *store, const struct h5_group *root, int kind,
                                  struct mix_error *err)
{
    struct h5_group from = {.id = -1}, to = {.id = -1};
    enum mix_status status = h5_group_create(root, store_kind_names[kind], &to, err);
    if (status == MIX_OK && store->root.id >= 0) {
        status = h5_group_open(&store->root, store_kind_names[kind], &from, err);
        if (status == MIX_OK)
            status = copy_children(store, &from, &to, skip_result, kind, err);
        else if (status == MIX_ENOTFOUND)
            status = MIX_OK;
    }
    for (size_t i = 0; i < store->n_staged && status == MIX_OK; i++)
        if ((int)store->staged[i].kind == kind && store->staged[i].object != NULL)
            status = write_result(store, &to, &store->staged[i], err);
    h5_group_close(&from);
    h5_group_close(&to);
    return status;
}

/* What others have noted on the groups that are made anew. */
static void keep_attributes(struct mix_store *store, const struct h5_group *root)
{
    static const char *const names[] = {"domains", "targets", "runs",    "fits", "bootstrap",
                                        "optimum", "online",  "compare", "agent"};
    if (store->root.id < 0)
        return;
    size_t n_left = h5_carry_attributes(&store->root, root);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct h5_group from = {.id = -1}, to = {.id = -1};
        if (h5_group_open(&store->root, names[i], &from, NULL) == MIX_OK &&
            h5_group_open(root, names[i], &to, NULL) == MIX_OK)
            n_left += h5_carry_attributes(&from, &to);
        h5_group_close(&from);
        h5_group_close(&to);
    }
    if (n_left > 0 && store->warning.text[0] == '\0')
        (void)mix_fail(&store->warning, MIX_OK,
                       "%s: %zu attributes of groups could not be copied into the new file",
                       store->path, n_left);
}

/* Write the whole new file beside the old one and put it in place. */
static enum mix_status write_new_file(struct mix_store *store, struct mix_error *err)
{
    struct h5_group root = {.id = -1};
    struct store_draft *draft = NULL;
    enum mix_status status = store_draft_create(store->path, &root, &draft, err);
    store_lock_beat(store->lock); /* what follows takes seconds for 10^5 rows */
    if (status == MIX_OK)
        status = write_attributes(store, &root, err);
    if (status == MIX_OK && store->table != NULL)
        status = store_write_table(&root, store->table, err);
    else if (status == MIX_OK && store->stream != NULL)
        status = store_stream_write(store->stream, &root, err);
    store_lock_beat(store->lock);
    if (status == MIX_OK && store->root.id >= 0)
        status = copy_children(store, &store->root, &root, skip_root, 0, err);
    for (int kind = 0; kind < STORE_KINDS && status == MIX_OK; kind++)
        status = write_kind(store, &root, kind, err);
    if (status == MIX_OK)
        keep_attributes(store, &root);
    if (status == MIX_OK)
        status = store_lock_check(store->lock, err);
    if (status == MIX_OK)
        status = store_draft_place(&root, draft, err);
    else
        status = store_draft_check(store->path, draft, status, err);
    h5_group_close(&root);
    store_draft_destroy(draft);
    return status;
}

/* Whether the next file differs from the present one. */
static bool has_news(const struct mix_store *store)
{
    return store->root.id < 0 || store->table != NULL || store->stream != NULL ||
           store->n_staged > 0 || store->job_staged;
}

enum mix_status mix_store_commit(struct mix_store *store, struct mix_error *err)
{
    struct mix_table *owned = NULL;
    bool keep_logs = false;
    enum mix_status status = check_writable(store, err);
    if (status != MIX_OK)
        return status;
    store_logged_clear(&store->logged);
    status = store_logged_find(store->log_dir, &store->logged, err);
    if (status == MIX_OK)
        status = fold_table(store, &owned, &keep_logs, err);
    if (status == MIX_OK)
        status = fold_draws(store, err);
    if (status == MIX_OK)
        status = fold_online(store, &keep_logs, err);
    if (status == MIX_OK)
        status = fold_agents(store, &keep_logs, err);
    const bool news = has_news(store);
    if (status == MIX_OK && news)
        status = write_new_file(store, err);
    drop_stream(store);
    if (store->table == owned)
        store->table = NULL;
    mix_table_destroy(owned);
    if (status != MIX_OK)
        return status;
    store_clear_staged(store);
    if (news)
        status = store_reopen(store, err);
    if (status == MIX_OK && !keep_logs) {
        status = mix_logs_remove(store->logged.logs, err);
        store_logged_clear(&store->logged);
    }
    return status;
}

enum mix_status mix_store_checkpoint(struct mix_store *store, struct mix_error *err)
{
    struct mix_table *owned = NULL;
    bool keep_logs = false;
    enum mix_status status = check_writable(store, err);
    if (status != MIX_OK)
        return status;
    store_logged_clear(&store->logged);
    status = store_logged_find(store->log_dir, &store->logged, err);
    if (status == MIX_OK)
        status = fold_table(store, &owned, &keep_logs, err);
    if (status == MIX_OK && has_news(store)) {
        status = write_new_file(store, err);
        drop_stream(store); /* it reads the file that is closed next */
        if (status == MIX_OK)
            status = store_reopen(store, err);
    }
    drop_stream(store);
    if (store->table == owned)
        store->table = NULL;
    mix_table_destroy(owned);
    return status;
}
