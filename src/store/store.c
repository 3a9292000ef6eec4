/* SPDX-License-Identifier: GPL-3.0-or-later */
/* store.c - opening and reading; see store.h. */
#define _XOPEN_SOURCE 700 /* realpath() */
#include "mixsweep/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store_impl.h"

const char *const store_kind_names[STORE_KINDS] = {
    [STORE_FITS] = "fits",     [STORE_BOOTSTRAP] = "bootstrap", [STORE_OPTIMUM] = "optimum",
    [STORE_ONLINE] = "online", [STORE_COMPARE] = "compare",     [STORE_AGENT] = "agent"};

enum { READ_TRIES = 10 };

static enum mix_status read_attributes(struct mix_store *store, struct mix_error *err)
{
    char *job = NULL, *created = NULL, *history = NULL;
    enum mix_status status = h5_read_text(&store->root, "job", &job, err);
    if (status == MIX_OK)
        status = h5_read_text(&store->root, "created", &created, err);
    if (status == MIX_OK)
        status = h5_read(&store->root, &store->seed, &store_seed_field, 1, NULL, err);
    if (status == MIX_OK && H5Aexists(store->root.id, "domain_changes") > 0)
        status = h5_read_text(&store->root, "domain_changes", &history, err);
    if (status != MIX_OK) {
        free(job);
        free(created);
        return status;
    }
    free(store->job);
    free(store->created);
    free(store->history);
    store->job = job;
    store->created = created;
    store->history = history;
    return MIX_OK;
}

enum mix_status store_reopen(struct mix_store *store, struct mix_error *err)
{
    struct stat info = {0};
    h5_group_close(&store->root);
    stat(store->path, &info); /* before: a file put in place meanwhile is opened once more */
    store->device = info.st_dev;
    store->inode = info.st_ino;
    enum mix_status status = store_file_open(store->path, &store->root, err);
    if (status == MIX_OK)
        status = store_refuse_frozen(&store->root, err);
    return status == MIX_OK ? read_attributes(store, err) : status;
}

/* Whether a writer has put a new file in the place of the one that we read: the logs that we know
 * of may be gone. */
static bool is_outdated(const struct mix_store *store)
{
    struct stat now;
    return store->mode == MIX_STORE_READ && stat(store->path, &now) == 0 &&
           (now.st_ino != store->inode || now.st_dev != store->device);
}

/* File and logs of one moment: a writer may put a new file in place and remove the logs between our
 * two looks; then look again. */
static enum mix_status look(struct mix_store *store, struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    for (int i = 0; i < READ_TRIES && status == MIX_OK; i++) {
        store_logged_clear(&store->logged);
        status = store_reopen(store, err);
        if (status == MIX_OK)
            status = store_logged_find(store->log_dir, &store->logged, err);
        if (!is_outdated(store))
            break;
    }
    return status;
}

static enum mix_status check_exists(const struct mix_store *store, bool *exists,
                                    struct mix_error *err)
{
    *exists = store->mode != MIX_STORE_REPLACE && access(store->path, F_OK) == 0;
    if (*exists && store->mode == MIX_STORE_CREATE)
        return mix_fail(err, MIX_EEXIST, "%s exists already", store->path);
    if (!*exists && store->mode == MIX_STORE_WRITE)
        return mix_fail(err, MIX_ENOTFOUND, "%s: no such file", store->path);
    return MIX_OK;
}

static enum mix_status open_for_writing(struct mix_store *store, bool break_lock,
                                        struct mix_error *err)
{
    bool exists = false;
    enum mix_status status = check_exists(store, &exists, err);
    if (status == MIX_OK)
        status = store_lock_take(store->path, break_lock, &store->lock, err);
    if (status == MIX_OK) /* the holder before us may have made it */
        status = check_exists(store, &exists, err);
    if (status == MIX_OK && exists)
        status = store_reopen(store, err);
    if (status != MIX_OK)
        return status;
    store_file_sweep(store->path);
    status = store_logged_find(store->log_dir, &store->logged, err);
    const bool has_logs = status == MIX_OK && mix_logs_count(store->logged.logs) > 0;
    if (has_logs && store->mode == MIX_STORE_REPLACE)
        return mix_fail(err, MIX_EEXIST, "%s has results of a job in its logs; remove %s first",
                        store->path, store->log_dir);
    return has_logs && exists ? mix_store_commit(store, err) : status;
}

/* A link stands for the file it names: lock and logs lie beside that, and it is that which is
 * replaced. The caller frees the result; NULL when memory is out. */
static char *resolve_link(const char *path)
{
    struct stat info;
    char *real = NULL;
    if (lstat(path, &info) == 0 && S_ISLNK(info.st_mode))
        real = realpath(path, NULL);
    return real != NULL ? real : strdup(path);
}

/* "S.h5.log"; NULL when memory is out. */
static char *log_dir_of(const char *path)
{
    const size_t n = strlen(path) + sizeof ".log";
    char *log_dir = malloc(n);
    if (log_dir != NULL)
        snprintf(log_dir, n, "%s.log", path);
    return log_dir;
}

/* What a fold would say of the packed rows. */
static enum mix_status check_result(const struct mix_table *rows, const void *bytes, size_t n_bytes,
                                    struct mix_error *err)
{
    struct mix_table *read = mix_table_create(rows->n_domains, rows->n_targets);
    if (read == NULL)
        return mix_fail(err, MIX_ENOMEM, "no memory for the rows of a run");
    memcpy(read->domains, rows->domains, rows->n_domains * sizeof *rows->domains);
    memcpy(read->targets, rows->targets, rows->n_targets * sizeof *rows->targets);
    const enum mix_status status = mix_store_result_unpack(read, bytes, n_bytes, err);
    mix_table_destroy(read);
    return status;
}

enum mix_status mix_store_put_result(const char *path, const struct mix_table *rows,
                                     struct mix_error *err)
{
    void *bytes = NULL;
    size_t n_bytes = 0;
    char *real = resolve_link(path), *log_dir = real != NULL ? log_dir_of(real) : NULL;
    enum mix_status status = MIX_OK;
    if (log_dir == NULL)
        status = mix_fail(err, MIX_ENOMEM, "%s: no memory", path);
    if (status == MIX_OK)
        status = mix_store_result_pack(rows, &bytes, &n_bytes, err);
    if (status == MIX_OK)
        status = check_result(rows, bytes, n_bytes, err);
    if (status == MIX_OK)
        status = mix_log_put(log_dir, MIX_LOG_RESULT, bytes, n_bytes, err);
    free(bytes);
    free(log_dir);
    free(real);
    return status;
}

enum mix_status mix_store_open(const char *path, enum mix_store_mode mode, bool break_lock,
                               struct mix_store **out, struct mix_error *err)
{
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* the sentences are ours */
    struct mix_store *store = calloc(1, sizeof *store);
    if (store == NULL)
        return mix_fail(err, MIX_ENOMEM, "%s: no memory", path);
    store->mode = mode;
    store->root.id = -1;
    store->path = resolve_link(path);
    store->job = strdup("");
    store->log_dir = log_dir_of(store->path != NULL ? store->path : path);
    if (store->path == NULL || store->job == NULL || store->log_dir == NULL) {
        mix_store_close(store);
        return mix_fail(err, MIX_ENOMEM, "%s: no memory", path);
    }
    const enum mix_status status =
        mode == MIX_STORE_READ ? look(store, err) : open_for_writing(store, break_lock, err);
    if (status == MIX_OK)
        *out = store;
    else
        mix_store_close(store);
    return status;
}

void mix_store_close(struct mix_store *store)
{
    if (store == NULL)
        return;
    store_clear_staged(store);
    store_logged_clear(&store->logged);
    h5_group_close(&store->root);
    store_lock_release(store->lock);
    free(store->path);
    free(store->log_dir);
    free(store->job);
    free(store->created);
    free(store->history);
    free(store);
}

const char *mix_store_path(const struct mix_store *store)
{
    return store->path;
}

const char *mix_store_log_dir(const struct mix_store *store)
{
    return store->log_dir;
}

void mix_store_heartbeat(struct mix_store *store)
{
    if (store->lock != NULL)
        store_lock_beat(store->lock);
}

bool mix_store_writer(const struct mix_store *store, struct mix_writer *out)
{
    return store_lock_holder(store->path, out);
}

enum mix_status mix_store_set_job(struct mix_store *store, const char *text, uint64_t seed)
{
    char *copy = strdup(text);
    if (copy == NULL)
        return MIX_ENOMEM;
    free(store->job);
    store->job = copy;
    store->seed = seed;
    store->job_staged = true;
    return MIX_OK;
}

enum mix_status mix_store_set_history(struct mix_store *store, const char *lines)
{
    char *copy = strdup(lines);
    if (copy == NULL)
        return MIX_ENOMEM;
    free(store->history);
    store->history = copy;
    store->job_staged = true;
    return MIX_OK;
}

const char *mix_store_history(const struct mix_store *store)
{
    return store->history != NULL ? store->history : "";
}

const char *mix_store_job(const struct mix_store *store)
{
    return store->job;
}

uint64_t mix_store_seed(const struct mix_store *store)
{
    return store->seed;
}

enum mix_status store_file_table(const struct mix_store *store, struct mix_table **out,
                                 struct mix_error *err)
{
    if (store->root.id < 0 || H5Lexists(store->root.id, "runs", H5P_DEFAULT) == 0)
        return mix_fail(err, MIX_ENOTFOUND, "%s has no runs yet", store->path);
    return store_read_table(&store->root, out, err);
}

size_t store_warn_left(struct mix_store *store, const struct store_folded *count)
{
    const size_t n_left = count->n_alien + count->n_bad;
    store->warning.text[0] = '\0';
    if (n_left > 0)
        (void)mix_fail(&store->warning, MIX_OK, "%s: %zu of %zu results are left out and kept: %s",
                       store->log_dir, n_left, store->logged.n_results, count->fault.text);
    return n_left;
}

enum mix_status store_fold_runs(struct mix_store *store, struct mix_table *table, size_t *n_added,
                                size_t *n_left, struct mix_error *err)
{
    struct store_folded count = {0};
    enum mix_status status = MIX_OK;
    if (store->logged.n_results > 0)
        status = store_fold_results(store->logged.logs, store->logged.n_rows, table, &count, err);
    *n_added = count.n_added;
    *n_left = store_warn_left(store, &count);
    return status;
}

enum mix_status mix_store_fold_runs(struct mix_store *store, struct mix_table *table,
                                    struct mix_error *err)
{
    size_t n_added = 0, n_left = 0;
    return store_fold_runs(store, table, &n_added, &n_left, err);
}

const char *mix_store_warning(const struct mix_store *store)
{
    return store->warning.text;
}

static enum mix_status read_table(struct mix_store *store, struct mix_table **out,
                                  struct mix_error *err)
{
    struct mix_table *table = NULL;
    enum mix_status status = store_file_table(store, &table, err);
    if (status == MIX_OK)
        status = mix_store_fold_runs(store, table, err);
    if (status == MIX_OK)
        *out = table;
    else
        mix_table_destroy(table);
    return status;
}

enum mix_status mix_store_read_table(struct mix_store *store, struct mix_table **out,
                                     struct mix_error *err)
{
    enum mix_status status = read_table(store, out, err);
    for (int i = 0; i < READ_TRIES && is_outdated(store); i++) {
        if (status == MIX_OK)
            mix_table_destroy(*out);
        status = look(store, err);
        if (status == MIX_OK)
            status = read_table(store, out, err);
    }
    return status;
}

enum mix_status store_find_kind(const char *kind, enum store_kind *out, struct mix_error *err)
{
    for (int k = 0; k < STORE_KINDS; k++) {
        if (strcmp(kind, store_kind_names[k]) == 0) {
            *out = (enum store_kind)k;
            return MIX_OK;
        }
    }
    return mix_fail(err, MIX_EINVAL,
                    "\"%s\" is not a kind of result: fits, bootstrap, optimum, online, compare, "
                    "agent",
                    kind);
}

/* Open "/fits/NAME"; MIX_ENOTFOUND without a sentence where there is none. */
static enum mix_status open_result(const struct mix_store *store, enum store_kind kind,
                                   const char *name, struct h5_group *out, struct mix_error *err)
{
    struct h5_group parent = {.id = -1};
    out->id = -1;
    if (store->root.id < 0 || name[0] == '\0' || strchr(name, '/') != NULL ||
        strcmp(name, ".") == 0)
        return MIX_ENOTFOUND;
    enum mix_status status = h5_group_open(&store->root, store_kind_names[kind], &parent, err);
    if (status == MIX_OK)
        status = h5_group_open(&parent, name, out, err);
    h5_group_close(&parent);
    return status;
}

static enum mix_status list_file(const struct mix_store *store, enum store_kind kind,
                                 struct mix_names *out, struct mix_error *err)
{
    struct h5_group parent = {.id = -1};
    char **names = NULL;
    size_t n = 0;
    if (store->root.id < 0)
        return MIX_OK;
    enum mix_status status = h5_group_open(&store->root, store_kind_names[kind], &parent, err);
    if (status == MIX_OK)
        status = h5_list(&parent, &names, &n, err);
    h5_group_close(&parent);
    if (status != MIX_OK)
        return status == MIX_ENOTFOUND ? MIX_OK : status;
    out->name = calloc(n + 1, sizeof *out->name);
    if (out->name == NULL)
        status = mix_fail(err, MIX_ENOMEM, "%s: no memory for names", store->path);
    for (size_t i = 0; i < n && status == MIX_OK; i++) {
        if (strlen(names[i]) >= MIX_NAME_MAX)
            status = mix_fail(err, MIX_EFORMAT, "%s: /%s/%.80s... is longer than %d bytes",
                              store->path, store_kind_names[kind], names[i], MIX_NAME_MAX - 1);
        else
            memcpy(out->name[out->n++], names[i], strlen(names[i]) + 1);
    }
    h5_list_free(names, n);
    return status;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

enum mix_status store_file_draws(const struct mix_store *store, const char *fit,
                                 struct mix_draws **out, struct mix_error *err)
{
    struct h5_group group;
    enum mix_status status = open_result(store, STORE_BOOTSTRAP, fit, &group, err);
    if (status == MIX_OK)
        status = store_read_draws(&group, fit, out, err);
    h5_group_close(&group);
    return status == MIX_ENOTFOUND ? MIX_OK : status;
}

enum mix_status store_file_online(const struct mix_store *store, const char *name,
                                  struct mix_online **out, struct mix_error *err)
{
    struct h5_group group;
    enum mix_status status = open_result(store, STORE_ONLINE, name, &group, err);
    if (status == MIX_OK)
        status = store_read_online(&group, name, out, err);
    h5_group_close(&group);
    return status == MIX_ENOTFOUND ? MIX_OK : status;
}

enum mix_status store_file_agent(const struct mix_store *store, const char *name,
                                 struct mix_agent_campaign **out, struct mix_error *err)
{
    struct h5_group group;
    enum mix_status status = open_result(store, STORE_AGENT, name, &group, err);
    if (status == MIX_OK)
        status = store_read_agent(&group, name, out, err);
    h5_group_close(&group);
    return status == MIX_ENOTFOUND ? MIX_OK : status;
}

static enum mix_status read_draws(struct mix_store *store, const char *fit, struct mix_draws **out,
                                  struct mix_error *err)
{
    struct mix_draws *draws = NULL, *merged = NULL;
    struct mix_fit *model = NULL;
    enum mix_status status = store_file_draws(store, fit, &draws, err);
    if (status == MIX_OK && store->logged.fits.n > 0) {
        status = mix_store_read_fit(store, fit, &model, err);
        if (status == MIX_OK)
            status = store_merge_draws(&store->logged, model, draws, &merged, err);
        else if (status == MIX_ENOTFOUND)
            status = MIX_OK;
        mix_fit_destroy(model);
    }
    if (merged != NULL) {
        mix_draws_destroy(draws);
        draws = merged;
    }
    if (status == MIX_OK && draws == NULL)
        return MIX_ENOTFOUND;
    if (status == MIX_OK)
        *out = draws;
    else
        mix_draws_destroy(draws);
    return status;
}

/* Draws in logs are results where the fit is the stored one. */
static enum mix_status add_logged(struct mix_store *store, struct mix_names *names,
                                  struct mix_error *err)
{
    const struct mix_names *logged = &store->logged.fits;
    for (size_t i = 0; i < logged->n; i++) {
        struct mix_draws *draws = NULL;
        bool known = false;
        for (size_t n = 0; n < names->n && !known; n++)
            known = strcmp(names->name[n], logged->name[i]) == 0;
        if (known || read_draws(store, logged->name[i], &draws, NULL) != MIX_OK)
            continue;
        mix_draws_destroy(draws);
        char(*larger)[MIX_NAME_MAX] = realloc(names->name, (names->n + 1) * sizeof *names->name);
        if (larger == NULL)
            return mix_fail(err, MIX_ENOMEM, "%s: no memory for names", store->path);
        names->name = larger;
        memcpy(names->name[names->n++], logged->name[i], MIX_NAME_MAX);
    }
    if (names->n > 1)
        qsort(names->name, names->n, sizeof *names->name, compare_names);
    return MIX_OK;
}

enum mix_status mix_store_list(struct mix_store *store, const char *kind, struct mix_names *out,
                               struct mix_error *err)
{
    enum store_kind k = STORE_FITS;
    struct mix_names names = {0};
    enum mix_status status = store_find_kind(kind, &k, err);
    if (status == MIX_OK)
        status = list_file(store, k, &names, err);
    if (status == MIX_OK && k == STORE_BOOTSTRAP)
        status = add_logged(store, &names, err);
    if (status == MIX_OK)
        *out = names;
    else
        mix_names_destroy(&names);
    return status;
}

void mix_names_destroy(struct mix_names *names)
{
    free(names->name);
    *names = (struct mix_names){0};
}

/* The sentence of a result that is not there names those that are. */
static enum mix_status fail_not_found(struct mix_store *store, enum store_kind kind,
                                      const char *name, struct mix_error *err)
{
    struct mix_names names = {0};
    char list[MIX_TEXT_MAX] = "";
    size_t at = 0;
    if (mix_store_list(store, store_kind_names[kind], &names, NULL) != MIX_OK)
        names.n = 0;
    for (size_t i = 0; i < names.n && at < sizeof list - MIX_NAME_MAX - 4; i++)
        at +=
            (size_t)snprintf(list + at, sizeof list - at, "%s%s", i > 0 ? ", " : "", names.name[i]);
    mix_names_destroy(&names);
    return at > 0 ? mix_fail(err, MIX_ENOTFOUND, "%s: there is no \"%.80s\" in /%s; there is %s",
                             store->path, name, store_kind_names[kind], list)
                  : mix_fail(err, MIX_ENOTFOUND, "%s: there is no \"%.80s\" in /%s; there is none",
                             store->path, name, store_kind_names[kind]);
}

enum mix_status mix_store_read_fit(struct mix_store *store, const char *name, struct mix_fit **out,
                                   struct mix_error *err)
{
    struct h5_group group;
    enum mix_status status = open_result(store, STORE_FITS, name, &group, err);
    if (status == MIX_OK)
        status = store_read_fit(&group, name, out, err);
    else if (status == MIX_ENOTFOUND)
        status = fail_not_found(store, STORE_FITS, name, err);
    h5_group_close(&group);
    return status;
}

/* The hold-out whose stack weights count: of unseen mixtures at an unseen size, else of a size. */
static size_t hardest_test(const struct mix_compare *compare)
{
    size_t best = 0, most = 0;
    for (size_t h = 0; h < compare->n_tests; h++) {
        const char *kind = compare->tests[h].kind;
        const size_t rank =
            strncmp(kind, "scale", 5) == 0 ? strstr(kind, "mixture") != NULL ? 3 : 2 : 1;
        if (rank > most) {
            most = rank;
            best = h;
        }
    }
    return best;
}

static void set_stacked(const struct mix_compare *compare, struct mix_fit *fit)
{
    char label[MIX_NAME_MAX];
    const struct mix_compare_row *rows =
        compare->rows + hardest_test(compare) * compare->n_predictors;
    const int used = snprintf(label, sizeof label, "%s", fit->spec.law);
    if (fit->spec.form != 0)
        snprintf(label + used, sizeof label - (size_t)used, ":eq%d", fit->spec.form);
    for (size_t q = 0; q < compare->n_predictors; q++)
        if (compare->predictors[q].kind == MIX_PREDICTOR_LAW &&
            strcmp(compare->predictors[q].name, label) == 0)
            fit->stacked = rows[q].weight;
}

/* Weights of the laws in stacks; of several comparisons that of the same runs, else the last. */
static enum mix_status read_stacked(struct mix_store *store, size_t n, struct mix_fit **fits,
                                    struct mix_error *err)
{
    struct mix_names names = {0};
    const enum mix_status status = mix_store_list(store, "compare", &names, err);
    for (int exact = 0; exact < 2 && status == MIX_OK; exact++)
        for (size_t c = 0; c < names.n; c++) {
            struct mix_compare *compare = NULL;
            if (mix_store_read_compare(store, names.name[c], &compare, NULL) != MIX_OK ||
                compare == NULL)
                continue; /* a damaged comparison is not the business of the fits */
            for (size_t i = 0; i < n; i++)
                if ((compare->table_key.hi == fits[i]->table_key.hi &&
                     compare->table_key.lo == fits[i]->table_key.lo) ||
                    (exact == 0 &&
                     strcmp(compare->selection.targets, fits[i]->selection.targets) == 0 &&
                     compare->selection.mask_below == fits[i]->selection.mask_below))
                    set_stacked(compare, fits[i]);
            mix_compare_destroy(compare);
        }
    mix_names_destroy(&names);
    return status;
}

enum mix_status mix_store_read_fits(struct mix_store *store, size_t *n, struct mix_fit ***out,
                                    struct mix_error *err)
{
    struct mix_names names = {0};
    *n = 0;
    enum mix_status status = mix_store_list(store, "fits", &names, err);
    if (status != MIX_OK)
        return status;
    struct mix_fit **fits = calloc(names.n + 1, sizeof(struct mix_fit *));
    if (fits == NULL)
        status = mix_fail(err, MIX_ENOMEM, "%s: out of memory for %zu fits", store->path, names.n);
    for (size_t i = 0; i < names.n && status == MIX_OK; i++) {
        struct mix_error reason = {.text = ""};
        status = mix_store_read_fit(store, names.name[i], &fits[*n], &reason);
        *n += status == MIX_OK;
        if (status == MIX_EFORMAT) /* a damaged fit is not the business of the others */
            status = MIX_OK;
        if (status != MIX_OK)
            mix_fail(err, status, "%s", reason.text);
    }
    *out = fits;
    mix_names_destroy(&names);
    return status == MIX_OK && *n > 1 ? read_stacked(store, *n, fits, err) : status;
}

enum mix_status mix_store_read_optimum(struct mix_store *store, const char *name,
                                       struct mix_optimum **out, struct mix_error *err)
{
    struct h5_group group;
    enum mix_status status = open_result(store, STORE_OPTIMUM, name, &group, err);
    if (status == MIX_OK)
        status = store_read_optimum(&group, name, out, err);
    else if (status == MIX_ENOTFOUND)
        status = fail_not_found(store, STORE_OPTIMUM, name, err);
    h5_group_close(&group);
    return status;
}

enum mix_status mix_store_read_compare(struct mix_store *store, const char *name,
                                       struct mix_compare **out, struct mix_error *err)
{
    struct h5_group group;
    enum mix_status status = open_result(store, STORE_COMPARE, name, &group, err);
    if (status == MIX_OK)
        status = store_read_compare(&group, name, out, err);
    else if (status == MIX_ENOTFOUND)
        status = fail_not_found(store, STORE_COMPARE, name, err);
    h5_group_close(&group);
    return status;
}

enum mix_status mix_store_read_draws(struct mix_store *store, const char *fit,
                                     struct mix_draws **out, struct mix_error *err)
{
    enum mix_status status = read_draws(store, fit, out, err);
    for (int i = 0; i < READ_TRIES && is_outdated(store); i++) {
        if (status == MIX_OK)
            mix_draws_destroy(*out);
        status = look(store, err);
        if (status == MIX_OK)
            status = read_draws(store, fit, out, err);
    }
    return status == MIX_ENOTFOUND ? fail_not_found(store, STORE_BOOTSTRAP, fit, err) : status;
}

static enum mix_status read_online(struct mix_store *store, const char *name,
                                   struct mix_online **out, struct mix_error *err)
{
    struct mix_online *online = NULL;
    bool news = false;
    enum mix_status status = store_file_online(store, name, &online, err);
    if (status == MIX_OK && online == NULL)
        return MIX_ENOTFOUND;
    if (status == MIX_OK && store->logged.online.n > 0)
        status = store_merge_online(&store->logged, online, &news, err);
    if (status == MIX_OK)
        *out = online;
    else
        mix_online_destroy(online);
    return status;
}

enum mix_status mix_store_read_online(struct mix_store *store, const char *name,
                                      struct mix_online **out, struct mix_error *err)
{
    enum mix_status status = read_online(store, name, out, err);
    for (int i = 0; i < READ_TRIES && is_outdated(store); i++) {
        if (status == MIX_OK)
            mix_online_destroy(*out);
        status = look(store, err);
        if (status == MIX_OK)
            status = read_online(store, name, out, err);
    }
    return status == MIX_ENOTFOUND ? fail_not_found(store, STORE_ONLINE, name, err) : status;
}

static enum mix_status read_agent(struct mix_store *store, const char *name,
                                  struct mix_agent_campaign **out, struct mix_error *err)
{
    struct mix_agent_campaign *campaign = NULL;
    bool news = false;
    enum mix_status status = store_file_agent(store, name, &campaign, err);
    if (status == MIX_OK && campaign == NULL)
        return MIX_ENOTFOUND;
    if (status == MIX_OK && store->logged.agents.n > 0)
        status = store_merge_agent(&store->logged, campaign, &news, err);
    if (status == MIX_OK)
        *out = campaign;
    else
        mix_agent_campaign_destroy(campaign);
    return status;
}

enum mix_status mix_store_read_agent(struct mix_store *store, const char *name,
                                     struct mix_agent_campaign **out, struct mix_error *err)
{
    enum mix_status status = read_agent(store, name, out, err);
    for (int i = 0; i < READ_TRIES && is_outdated(store); i++) {
        if (status == MIX_OK)
            mix_agent_campaign_destroy(*out);
        status = look(store, err);
        if (status == MIX_OK)
            status = read_agent(store, name, out, err);
    }
    return status == MIX_ENOTFOUND ? fail_not_found(store, STORE_AGENT, name, err) : status;
}
