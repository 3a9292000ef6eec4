/* SPDX-License-Identifier: GPL-3.0-or-later */
/* emit.c - plan --emit and next --emit: a task file and a batch script for each run that the file
 * does not have, for runs that are made outside; the verb record takes their results. */
#define _XOPEN_SOURCE 700 /* realpath() */
#include "cli.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mixsweep/job.h"
#include "mixsweep/store.h"

/* What all task files have in common, and how far the file of the job is. */
struct emission {
    const struct mix_job *job;
    int round; /* only its runs; 0 = all */
    struct mix_plan *plan;
    struct mix_table *table; /* NULL = the file is not there yet */
    uint8_t *attempts; /* (n_runs) 0 = the file has the run, else the number of the next one */
    char *program, *job_path, *file, *folder; /* absolute; job_path NULL = there is no job file */
};

/* What is written for one run. */
struct task {
    struct mix_planned planned;
    char *json, *sbatch, *result; /* file names */
};

static void clear_emission(struct emission *e)
{
    mix_plan_destroy(e->plan);
    mix_table_destroy(e->table);
    free(e->attempts);
    free(e->program);
    free(e->job_path);
    free(e->file);
    free(e->folder);
}

static char *join_text(const char *a, const char *b, const char *c)
{
    const size_t n = strlen(a) + strlen(b) + strlen(c) + 1;
    char *text = malloc(n);
    if (text != NULL)
        snprintf(text, n, "%s%s%s", a, b, c);
    return text;
}

/* Absolute path of a file that need not be there; NULL where its folder is not. */
static char *absolute(const char *path)
{
    char *whole = realpath(path, NULL);
    if (whole != NULL)
        return whole;
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL ? strdup(".") : strndup(path, (size_t)(slash - path) + 1);
    char *real = folder != NULL ? realpath(folder, NULL) : NULL;
    whole = real != NULL ? join_text(real, "/", slash != NULL ? slash + 1 : path) : NULL;
    free(real);
    free(folder);
    return whole;
}

static enum mix_status find_paths(struct emission *e, const char *job_path, const char *folder,
                                  struct mix_error *err)
{
    struct stat found;
    const int reason = mkdir(folder, 0777) == 0 ? 0 : errno;
    if (reason != 0 && (stat(folder, &found) != 0 || !S_ISDIR(found.st_mode)))
        return mix_fail(err, MIX_EIO, "cannot make the folder %s: %s.", folder, strerror(reason));
    e->folder = realpath(folder, NULL);
    e->job_path = job_path ? absolute(job_path) : NULL;
    e->file = absolute(e->job->file);
    e->program = realpath("/proc/self/exe", NULL);
    if (e->program == NULL)
        e->program = strdup("mixsweep");
    if (e->folder == NULL || (job_path && e->job_path == NULL) || e->program == NULL)
        return mix_fail(err, MIX_EIO, "cannot find the folder %s: %s.", folder, strerror(errno));
    if (e->file == NULL)
        return mix_fail(err, MIX_EIO, "the folder of %s is not there.", e->job->file);
    return MIX_OK;
}

/* ---- which runs */

static enum mix_status read_table(struct emission *e, struct mix_error *err)
{
    struct mix_store *store = NULL;
    enum mix_status status = mix_store_open(e->file, MIX_STORE_READ, false, &store, err);
    if (status == MIX_OK)
        status = mix_store_read_table(store, &e->table, err);
    mix_store_close(store);
    return status == MIX_ENOTFOUND ? MIX_OK : status;
}

/* The file with the job and no runs, so that what is recorded has a place; another may make it at
 * the same time. */
static enum mix_status begin_file(const struct emission *e, struct mix_error *err)
{
    const struct mix_job *job = e->job;
    struct mix_store *store = NULL;
    struct mix_table *table = mix_table_create(job->n_domains, job->n_targets);
    if (table == NULL)
        return mix_fail(err, MIX_ENOMEM, "not enough memory for the file %s.", e->file);
    memcpy(table->domains, job->domains, job->n_domains * sizeof *table->domains);
    memcpy(table->targets, job->targets, job->n_targets * sizeof *table->targets);
    bool is_new = false;
    enum mix_status status = mix_sweep_check_content(job, table, &is_new, err);
    if (status == MIX_OK)
        status = mix_store_open(e->file, MIX_STORE_CREATE, false, &store, err);
    const bool has_another = status == MIX_EEXIST || status == MIX_ELOCKED;
    if (status == MIX_OK)
        status = mix_store_fold_runs(store, table, err);
    if (status == MIX_OK)
        status = mix_store_set_job(store, job->text, job->seed);
    if (status == MIX_OK)
        status = mix_store_put_table(store, table, err);
    if (status == MIX_OK)
        status = mix_store_commit(store, err);
    mix_store_close(store);
    mix_table_destroy(table);
    if (has_another)
        err->text[0] = '\0';
    return has_another ? MIX_OK : status;
}

struct keyed {
    struct mix_key key;
    size_t row;
};

static int compare_keys(const void *left, const void *right)
{
    const struct mix_key *a = left, *b = right;
    if (a->hi != b->hi)
        return a->hi < b->hi ? -1 : 1;
    return (a->lo > b->lo) - (a->lo < b->lo);
}

static enum mix_status find_missing(struct emission *e, struct mix_error *err)
{
    const size_t n_runs = mix_plan_n_runs(e->plan),
                 n_rows = e->table != NULL ? e->table->n_rows : 0;
    struct keyed *keyed = calloc(n_rows + 1, sizeof *keyed);
    e->attempts = calloc(n_runs + 1, 1);
    if (keyed == NULL || e->attempts == NULL) {
        free(keyed);
        return mix_fail(err, MIX_ENOMEM, "not enough memory for %zu runs.", n_runs);
    }
    for (size_t r = 0; r < n_rows; r++)
        keyed[r] = (struct keyed){e->table->runs[r].key, r};
    qsort(keyed, n_rows, sizeof *keyed, compare_keys);
    for (size_t i = 0; i < n_runs; i++) {
        struct mix_planned planned;
        mix_plan_run(e->plan, i, &planned);
        const struct keyed *found =
            bsearch(&planned.run.key, keyed, n_rows, sizeof *keyed, compare_keys);
        const struct mix_run *run = found != NULL ? &e->table->runs[found->row] : NULL;
        const int before = run == NULL ? 0 : run->attempts < UINT8_MAX - 1 ? run->attempts : 0;
        const bool over = run != NULL && run->status == MIX_RUN_DONE;
        const bool asked = e->round == 0 || planned.run.round == e->round;
        e->attempts[i] = over || !asked ? 0 : (uint8_t)(before + 1);
    }
    free(keyed);
    return MIX_OK;
}

/* ---- what is written */

static void clear_task(struct task *task)
{
    free(task->json);
    free(task->sbatch);
    free(task->result);
}

static enum mix_status name_task(const struct emission *e, size_t i, struct task *task,
                                 struct mix_error *err)
{
    mix_plan_run(e->plan, i, &task->planned);
    task->planned.run.attempts = e->attempts[i];
    char *base = join_text(e->folder, "/", task->planned.run.run);
    if (base != NULL) {
        task->json = join_text(base, ".json", "");
        task->sbatch = join_text(base, ".sbatch", "");
        task->result = join_text(base, ".result.json", "");
    }
    free(base);
    if (task->json != NULL && task->sbatch != NULL && task->result != NULL)
        return MIX_OK;
    clear_task(task);
    return mix_fail(err, MIX_ENOMEM, "not enough memory for a task file.");
}

/* One word for a shell. */
static char *quote(const char *text)
{
    char *quoted = malloc(4 * strlen(text) + 3), *at = quoted;
    if (quoted == NULL)
        return NULL;
    *at++ = '\'';
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            at = stpcpy(at, "'\\''");
        else
            *at++ = *text;
    }
    *at++ = '\'';
    *at = '\0';
    return quoted;
}

/* The words of the record command, quoted; false when memory is out. */
static bool quote_command(const struct emission *e, const struct task *task, char *word[4])
{
    word[0] = quote(e->program);
    word[1] = quote(e->file);
    word[2] = quote(task->json);
    word[3] = quote(task->result);
    return word[0] != NULL && word[1] != NULL && word[2] != NULL && word[3] != NULL;
}

static json_t *json_whole(double value)
{
    return value == floor(value) && fabs(value) < 1e15 ? json_integer((json_int_t)value)
                                                       : json_real(value);
}

static void set_text(json_t *root, const char *key, const char *text)
{
    json_object_set_new(root, key, json_string(text));
}

/* The keys are those of run.json, which the command evaluator writes for the runs it starts, so
 * that one program can serve both. */
static json_t *describe(const struct emission *e, const struct task *task, const char *record)
{
    const struct mix_job *job = e->job;
    const struct mix_run *run = &task->planned.run;
    const struct mix_job_scale *scale = &job->scales[task->planned.scale];
    json_t *root = json_object(), *mixture = json_object(), *checkpoints = json_array();
    json_t *targets = json_array(), *subsample = json_object();
    char key[33], seed[24];
    snprintf(key, sizeof key, "%016llx%016llx", (unsigned long long)run->key.hi,
             (unsigned long long)run->key.lo);
    for (size_t k = 0; k < job->n_domains; k++) {
        json_object_set_new(mixture, job->domains[k].name, json_real(task->planned.mixture[k]));
        json_object_set_new(subsample, job->domains[k].name,
                            json_real(mix_job_subsample(job, scale, k)));
    }
    for (size_t c = 0; c < scale->n_checkpoints; c++)
        json_array_append_new(checkpoints, json_whole(scale->checkpoints[c]));
    for (size_t m = 0; m < job->n_targets; m++)
        json_array_append_new(targets, json_string(job->targets[m].name));
    set_text(root, "run_id", run->run);
    set_text(root, "key", key);
    json_object_set_new(root, "attempt", json_integer(run->attempts));
    json_object_set_new(root, "mixture", mixture);
    json_object_set_new(root, "subsample", subsample);
    json_object_set_new(root, "params", json_whole(run->n_params));
    json_object_set_new(root, "tokens", json_whole(scale->n_tokens));
    json_object_set_new(root, "checkpoints", checkpoints);
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)run->seed);
    json_object_set_new(root, "seed",
                        run->seed <= INT64_MAX ? json_integer((json_int_t)run->seed)
                                               : json_string(seed)); /* JSON has no such integers */
    set_text(root, "schedule", run->schedule);
    set_text(root, "recipe", run->recipe);
    json_object_set_new(root, "targets", targets);
    if (run->round > 0)
        json_object_set_new(root, "round", json_integer(run->round));
    json_object_set_new(root, "job", e->job_path ? json_string(e->job_path) : json_null());
    set_text(root, "file", e->file);
    set_text(root, "result_file", task->result);
    set_text(root, "record", record);
    return root;
}

/* Make a file that is not there yet. */
static enum mix_status write_text(const char *path, const char *text, mode_t mode,
                                  struct mix_error *err)
{
    FILE *out = fopen(path, "wx");
    if (out == NULL)
        return mix_fail(err, errno == EEXIST ? MIX_EEXIST : MIX_EIO, "cannot write %s: %s.", path,
                        strerror(errno));
    const bool written = fputs(text, out) >= 0;
    if (fclose(out) == 0 && written) {
        chmod(path, mode);
        return MIX_OK;
    }
    unlink(path);
    return mix_fail(err, MIX_EIO, "cannot write %s: %s.", path, strerror(errno));
}

static void put_resources(FILE *out, const struct mix_job_resources *resources)
{
    if (resources->n_nodes > 0)
        fprintf(out, "#SBATCH --nodes=%d\n", resources->n_nodes);
    if (resources->gpus > 0)
        fprintf(out, "#SBATCH --gpus-per-node=%d\n", resources->gpus);
    if (resources->cpus > 0)
        fprintf(out, "#SBATCH --cpus-per-task=%d\n", resources->cpus);
    if (resources->mem_bytes > 0)
        fprintf(out, "#SBATCH --mem=%.0fM\n", ceil(resources->mem_bytes / 1048576));
    if (isfinite(resources->wall_s) && resources->wall_s > 0)
        fprintf(out, "#SBATCH --time=%.0f\n", ceil(resources->wall_s / 60));
}

static enum mix_status write_sbatch(const struct emission *e, const struct task *task,
                                    char *const word[4], struct mix_error *err)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    if (out == NULL)
        return mix_fail(err, MIX_ENOMEM, "not enough memory for a batch script.");
    fprintf(out, "#!/bin/bash\n#SBATCH --job-name=%s\n#SBATCH --output=%%x-%%j.out\n",
            task->planned.run.run);
    put_resources(out, &e->job->scales[task->planned.scale].resources);
    fprintf(out,
            "# Trains one proxy run and records its result. MIXSWEEP_TRAIN is the command that\n"
            "# trains: it reads the task file and writes the result file, as\n"
            "# {\"loss\": {\"%s\": 2.1}}\n"
            "set -e\n"
            "${MIXSWEEP_TRAIN:?the command that trains, called with a task file and a result "
            "file} \\\n    %s \\\n    %s\n"
            "%s record %s --task %s %s\n",
            e->job->n_targets > 0 ? e->job->targets[0].name : "target", word[2], word[3], word[0],
            word[1], word[2], word[3]);
    const bool whole = fclose(out) == 0;
    const enum mix_status status =
        whole ? write_text(task->sbatch, text, 0755, err)
              : mix_fail(err, MIX_ENOMEM, "not enough memory for a batch script.");
    free(text);
    return status;
}

static enum mix_status write_task(const struct emission *e, const struct task *task,
                                  struct mix_error *err)
{
    char *word[4] = {NULL}, *record = NULL, *text = NULL;
    enum mix_status status = MIX_OK;
    json_t *root = NULL;
    if (quote_command(e, task, word)) {
        const size_t n = strlen(word[0]) + strlen(word[1]) + strlen(word[2]) + strlen(word[3]) + 32;
        record = malloc(n);
        if (record != NULL)
            snprintf(record, n, "%s record %s --task %s %s", word[0], word[1], word[2], word[3]);
    }
    if (record != NULL)
        root = describe(e, task, record);
    if (root != NULL)
        text = json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(15));
    json_decref(root);
    if (text == NULL)
        status = mix_fail(err, MIX_ENOMEM, "not enough memory for a task file.");
    if (status == MIX_OK)
        status = write_text(task->json, text, 0644, err);
    if (status == MIX_OK) {
        status = write_sbatch(e, task, word, err);
        if (status != MIX_OK)
            unlink(task->json);
    }
    free(text);
    free(record);
    for (int i = 0; i < 4; i++)
        free(word[i]);
    return status;
}

/* ---- all of them */

/* Do something with every run that is missing, up to the first failure; *n counts. */
static enum mix_status for_missing(const struct emission *e, size_t n_most,
                                   enum mix_status (*act)(const struct emission *,
                                                          const struct task *, struct mix_error *),
                                   size_t *n, struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    *n = 0;
    for (size_t i = 0; i < mix_plan_n_runs(e->plan) && *n < n_most && status == MIX_OK; i++) {
        struct task task = {.json = NULL};
        if (e->attempts[i] == 0)
            continue;
        status = name_task(e, i, &task, err);
        if (status == MIX_OK)
            status = act(e, &task, err);
        clear_task(&task);
        *n += status == MIX_OK;
    }
    return status;
}

static enum mix_status check_free(const struct emission *e, const struct task *task,
                                  struct mix_error *err)
{
    (void)e;
    const char *const taken = access(task->json, F_OK) == 0     ? task->json
                              : access(task->sbatch, F_OK) == 0 ? task->sbatch
                                                                : NULL;
    if (taken == NULL)
        return MIX_OK;
    return mix_fail(err, MIX_EEXIST,
                    "%s exists already: give --emit a new folder. Nothing was "
                    "written.",
                    taken);
}

static enum mix_status remove_task(const struct emission *e, const struct task *task,
                                   struct mix_error *err)
{
    (void)e;
    (void)err;
    unlink(task->json);
    unlink(task->sbatch);
    return MIX_OK;
}

enum mix_status cli_emit(struct mix_job *job, const char *job_path, int round, const char *folder,
                         size_t *n_written, struct mix_error *err)
{
    struct emission e = {.job = job, .round = round};
    size_t n = 0;
    enum mix_status status = find_paths(&e, job_path, folder, err);
    if (status == MIX_OK)
        status = read_table(&e, err);
    if (status == MIX_OK && e.table == NULL) {
        status = begin_file(&e, err);
        if (status == MIX_OK)
            status = read_table(&e, err); /* with what was recorded before */
    }
    if (status == MIX_OK && round == 0)
        status = mix_job_take_chosen(job, e.table, err);
    if (status == MIX_OK)
        status = mix_plan_create(job, &e.plan, err);
    if (status == MIX_OK)
        status = find_missing(&e, err);
    if (status == MIX_OK)
        status = for_missing(&e, SIZE_MAX, check_free, &n, err);
    if (status == MIX_OK) {
        status = for_missing(&e, SIZE_MAX, write_task, n_written, err);
        if (status != MIX_OK) /* all or none */
            (void)for_missing(&e, *n_written, remove_task, &n, NULL);
    }
    clear_emission(&e);
    return status;
}
