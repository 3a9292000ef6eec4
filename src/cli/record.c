/* SPDX-License-Identifier: GPL-3.0-or-later */
/* record.c - the verb record: the result of a run that was made outside, put beside the file. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "mixsweep/store.h"
#include "mixsweep/sweep.h"
#include "sweep/result.h"

/* What is recorded, and where. */
struct recording {
    const char *file, *run, *task, *result;
    char key[33];                 /* of the task file; else empty */
    char *task_job, *task_result; /* file names in the task file; no job file: NULL */
    json_t *told;                 /* the task file */
    struct mix_table *table;      /* of the file; NULL = it is not there yet */
    char *job_text;               /* in the file */
    struct mix_job *job;
    struct mix_plan *plan;
    struct mix_planned planned;
    struct mix_table *rows;
    bool known; /* it is there already with these losses */
};

static void clear_recording(struct recording *r)
{
    mix_table_destroy(r->rows);
    mix_plan_destroy(r->plan);
    mix_job_destroy(r->job);
    mix_table_destroy(r->table);
    free(r->job_text);
    free(r->task_job);
    free(r->task_result);
    json_decref(r->told);
}

/* ---- the task file */

static enum mix_status fail_task(const struct recording *r, const char *what, struct mix_error *err)
{
    return mix_fail(err, MIX_EFORMAT, "%s is not a task file of `mixsweep plan --emit`: %s.",
                    r->task, what);
}

static enum mix_status read_task(struct recording *r, struct mix_error *err)
{
    json_error_t error;
    json_t *root = json_load_file(r->task, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL)
        return access(r->task, R_OK) != 0
                   ? mix_fail(err, MIX_EIO, "%s: cannot be read: %s", r->task, strerror(errno))
                   : fail_task(r, "it is not JSON", err);
    const char *key = json_string_value(json_object_get(root, "key"));
    const json_t *job_path = json_object_get(root, "job");
    const char *job = json_string_value(job_path);
    const char *result = json_string_value(json_object_get(root, "result_file"));
    enum mix_status status = MIX_OK;
    if (key == NULL || strlen(key) != 32 || strspn(key, "0123456789abcdef") != 32)
        status = fail_task(r, "\"key\" is not 32 hexadecimal digits", err);
    else if ((job == NULL && !json_is_null(job_path)) || result == NULL)
        status = fail_task(r, "\"job\" or \"result_file\" is missing", err);
    if (status == MIX_OK) {
        memcpy(r->key, key, sizeof r->key);
        r->task_job = job != NULL ? strdup(job) : NULL;
        r->task_result = strdup(result);
        r->told = json_incref(root);
        if ((job != NULL && r->task_job == NULL) || r->task_result == NULL)
            status = mix_fail(err, MIX_ENOMEM, "not enough memory for the task file.");
    }
    json_decref(root);
    return status;
}

/* ---- the run */

static enum mix_status read_file(struct recording *r, struct mix_error *err)
{
    struct mix_store *store = NULL;
    enum mix_status status = mix_store_open(r->file, MIX_STORE_READ, false, &store, err);
    if (status == MIX_ENOTFOUND)
        return MIX_OK; /* the sweep makes it */
    if (status == MIX_OK) {
        r->job_text = strdup(mix_store_job(store));
        if (r->job_text == NULL)
            status = mix_fail(err, MIX_ENOMEM, "not enough memory for the job.");
    }
    if (status == MIX_OK) {
        status = mix_store_read_table(store, &r->table, err);
        if (status == MIX_ENOTFOUND)
            status = MIX_OK;
    }
    mix_store_close(store);
    return status;
}

static bool is_named(const struct recording *r, const struct mix_run *run)
{
    char key[33];
    snprintf(key, sizeof key, "%016llx%016llx", (unsigned long long)run->key.hi,
             (unsigned long long)run->key.lo);
    if (r->key[0] != '\0')
        return strcmp(r->key, key) == 0;
    return strcmp(r->run, run->run) == 0 || strcmp(r->run, key) == 0;
}

/* Look for the run in the plan of a job; on success the job is kept. */
static enum mix_status find_in(struct recording *r, struct mix_job *job, bool *found,
                               struct mix_error *err)
{
    struct mix_plan *plan = NULL;
    enum mix_status status = job->chosen == NULL ? mix_job_take_chosen(job, r->table, err) : MIX_OK;
    if (status == MIX_OK)
        status = mix_plan_create(job, &plan, err);
    *found = false;
    for (size_t i = 0; status == MIX_OK && !*found && i < mix_plan_n_runs(plan); i++) {
        mix_plan_run(plan, i, &r->planned);
        *found = is_named(r, &r->planned.run);
    }
    if (*found) {
        r->job = job;
        r->plan = plan;
    } else {
        mix_plan_destroy(plan);
        mix_job_destroy(job);
    }
    return status;
}

/* A run that was chosen, as its task file tells it: the row of a table. */
static enum mix_status tell_run(const struct recording *r, const struct mix_job *job,
                                struct mix_table *table, struct mix_error *err)
{
    const json_t *mixture = json_object_get(r->told, "mixture");
    const json_t *seed = json_object_get(r->told, "seed");
    const size_t row = mix_table_append(table);
    if (row == SIZE_MAX)
        return mix_fail(err, MIX_ENOMEM, "not enough memory for a run.");
    struct mix_run *run = &table->runs[row];
    const char *texts[3];
    static const char *const names[3] = {"run_id", "schedule", "recipe"};
    char *const fields[3] = {run->run, run->schedule, run->recipe};
    const size_t sizes[3] = {sizeof run->run, sizeof run->schedule, sizeof run->recipe};
    for (int i = 0; i < 3; i++) {
        texts[i] = json_string_value(json_object_get(r->told, names[i]));
        if (texts[i] == NULL || strlen(texts[i]) >= sizes[i])
            return fail_task(r, "\"run_id\", \"schedule\" or \"recipe\" is no label", err);
        snprintf(fields[i], sizes[i], "%s", texts[i]);
    }
    run->n_params = json_number_value(json_object_get(r->told, "params"));
    run->n_tokens = run->n_tokens_planned = json_number_value(json_object_get(r->told, "tokens"));
    run->round = (int32_t)json_integer_value(json_object_get(r->told, "round"));
    run->seed = json_is_string(seed) ? strtoull(json_string_value(seed), NULL, 10)
                                     : (uint64_t)json_integer_value(seed);
    for (size_t k = 0; k < job->n_domains; k++) {
        const json_t *share = json_object_get(mixture, job->domains[k].name);
        if (!json_is_number(share) || !(json_number_value(share) >= 0))
            return fail_task(r, "\"mixture\" does not have the domains of the file", err);
        table->asked[row * job->n_domains + k] = json_number_value(share);
    }
    run->key = mix_run_key(run, table->asked + row * job->n_domains, job->n_domains);
    if (!is_named(r, run) || !(run->n_params >= 1 && run->n_tokens >= 1) || run->round < 1)
        return fail_task(r, "its key is not that of its mixture, sizes and labels", err);
    return MIX_OK;
}

/* A run that was chosen is in no plan: the task file tells it, its job what it is measured on. */
static enum mix_status find_told(struct recording *r, bool *found, struct mix_error *err)
{
    struct mix_job *job = NULL;
    struct mix_table *table = NULL;
    size_t scale = 0;
    enum mix_status status = MIX_OK;
    if (r->told == NULL || json_object_get(r->told, "round") == NULL || r->table == NULL)
        return MIX_OK;
    status = r->job_text != NULL && r->job_text[0] != '\0'
                 ? mix_job_parse(r->file, r->job_text, &job, err)
                 : mix_job_of_table(r->table, r->file, &job, err);
    if (status == MIX_OK) {
        table = mix_table_create(job->n_domains, job->n_targets);
        status = table != NULL ? tell_run(r, job, table, err)
                               : mix_fail(err, MIX_ENOMEM, "not enough memory for a run.");
    }
    if (status == MIX_OK)
        status =
            mix_job_add_scale(job, table->runs[0].n_params, table->runs[0].n_tokens, &scale, err);
    if (status == MIX_OK) {
        memcpy(table->domains, job->domains, job->n_domains * sizeof *table->domains);
        memcpy(table->targets, job->targets, job->n_targets * sizeof *table->targets);
        memcpy(job->recipe, table->runs[0].recipe, sizeof job->recipe);
        memcpy(job->schedule, table->runs[0].schedule, sizeof job->schedule);
        status = mix_job_take_chosen(job, table, err);
    }
    mix_table_destroy(table);
    if (status == MIX_OK)
        return find_in(r, job, found, err);
    mix_job_destroy(job);
    return status;
}

/* The job that has the run: that of the task file, or the one stored in the file. */
static enum mix_status find_run(struct recording *r, struct mix_error *err)
{
    bool found = false;
    struct mix_job *job = NULL;
    struct mix_error reason = {.text = ""};
    enum mix_status status = MIX_OK;
    const bool has_text = r->job_text != NULL && r->job_text[0] != '\0';
    if (r->task_job != NULL) {
        status = mix_job_read(r->task_job, &job, &reason);
        if (status == MIX_OK)
            status = find_in(r, job, &found, &reason);
        if (status != MIX_OK && !has_text)
            return mix_fail(err, status, "%s", reason.text);
    }
    if (!found && has_text) {
        status = mix_job_parse(r->file, r->job_text, &job, err);
        if (status == MIX_OK)
            status = find_in(r, job, &found, err);
        if (status != MIX_OK)
            return status;
    }
    if (!found)
        status = find_told(r, &found, err);
    if (found || status != MIX_OK)
        return status;
    if (r->task_job == NULL && !has_text)
        return mix_fail(err, MIX_ENOTFOUND,
                        "%s %s, so it is not known what was run: give --task with a file of "
                        "`mixsweep plan --emit`.",
                        r->file, r->job_text == NULL ? "is not there yet" : "has no job");
    return mix_fail(err, MIX_ENOTFOUND, "%s: the job has no run \"%.80s\".", r->file,
                    r->key[0] != '\0' ? r->key : r->run);
}

/* ---- the result */

static enum mix_status read_result(const char *path, char **text, size_t *n_bytes,
                                   struct mix_error *err)
{
    const size_t n_most = RESULT_BYTES_MAX + 1;
    char *bytes = malloc(n_most);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t n = 0;
    ssize_t got = -1;
    while (bytes != NULL && fd >= 0 && n < n_most) {
        got = read(fd, bytes + n, n_most - n);
        if (got > 0)
            n += (size_t)got;
        else if (got == 0 || errno != EINTR)
            break;
    }
    const int reason = errno;
    if (fd >= 0)
        close(fd);
    if (bytes != NULL && fd >= 0 && got >= 0) {
        *text = bytes;
        *n_bytes = n;
        return MIX_OK;
    }
    const bool no_memory = bytes == NULL;
    free(bytes);
    return no_memory ? mix_fail(err, MIX_ENOMEM, "not enough memory for %s.", path)
                     : mix_fail(err, MIX_EIO, "%s: cannot be read: %s", path, strerror(reason));
}

static enum mix_status make_rows(struct recording *r, struct mix_error *err)
{
    struct mix_table *rows = mix_table_create(r->job->n_domains, r->job->n_targets);
    struct mix_request request = {.job = r->job,
                                  .scale = &r->job->scales[r->planned.scale],
                                  .run = r->planned.run,
                                  .mixture = r->planned.mixture};
    struct mix_error reason = {.text = ""};
    char *text = NULL;
    size_t n = 0;
    r->rows = rows;
    if (rows == NULL)
        return mix_fail(err, MIX_ENOMEM, "not enough memory for the rows of a run.");
    memcpy(rows->domains, r->job->domains, rows->n_domains * sizeof *rows->domains);
    memcpy(rows->targets, r->job->targets, rows->n_targets * sizeof *rows->targets);
    request.run.attempts = 1;
    enum mix_status status = read_result(r->result, &text, &n, err);
    if (status != MIX_OK)
        return status;
    status = mix_result_parse(&request, text, n, rows, &reason);
    free(text);
    if (status != MIX_OK)
        return mix_fail(err, status, "%s: %s; nothing was recorded", r->result, reason.text);
    for (size_t row = 0; row < rows->n_rows; row++) {
        struct mix_run *run = &rows->runs[row];
        run->ended = (double)time(NULL);
        if (gethostname(run->host, sizeof run->host - 1) != 0)
            run->host[0] = '\0';
    }
    return mix_table_finish(rows, err);
}

static bool same_number(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

/* "loss 2.1 of books" */
static void tell_loss(double loss, const char *target, char text[MIX_TEXT_MAX])
{
    if (isnan(loss))
        snprintf(text, MIX_TEXT_MAX, "%s not measured", target);
    else
        snprintf(text, MIX_TEXT_MAX, "loss %.10g of %s", loss, target);
}

static enum mix_status fail_other(const struct recording *r, const char *run, const char *target,
                                  double there, double here, struct mix_error *err)
{
    char old[MIX_TEXT_MAX], new[MIX_TEXT_MAX];
    tell_loss(there, target, old);
    tell_loss(here, target, new);
    return mix_fail(err, MIX_EEXIST,
                    "run %s is in %s already, with %s; the result has %s; "
                    "`mixsweep retry %s --run %s --force` drops it.",
                    run, r->file, old, new, r->file, run);
}

/* A run that the file has is not taken again; with other losses that is an error. */
static enum mix_status compare(struct recording *r, struct mix_error *err)
{
    const struct mix_table *table = r->table, *rows = r->rows;
    const struct mix_key key = r->planned.run.key;
    const size_t last = rows->n_rows - 1;
    for (size_t row = 0; table != NULL && row < table->n_rows; row++) {
        const struct mix_run *run = &table->runs[row];
        if (run->key.hi != key.hi || run->key.lo != key.lo || run->status != MIX_RUN_DONE)
            continue;
        r->known = true;
        for (size_t m = 0; m < rows->n_targets; m++) {
            const double there = table->loss[row * table->n_targets + m];
            const double here = rows->loss[last * rows->n_targets + m];
            if (!same_number(there, here))
                return fail_other(r, run->run, table->targets[m].name, there, here, err);
        }
    }
    return MIX_OK;
}

static enum mix_status record(struct recording *r, struct mix_error *err)
{
    enum mix_status status = r->task != NULL ? read_task(r, err) : MIX_OK;
    if (status == MIX_OK && r->result == NULL)
        r->result = r->task_result;
    if (status == MIX_OK)
        status = read_file(r, err);
    if (status == MIX_OK)
        status = find_run(r, err);
    if (status == MIX_OK && r->table != NULL)
        status = mix_sweep_check_names(r->job, r->file, r->table, err);
    if (status == MIX_OK)
        status = make_rows(r, err);
    if (status == MIX_OK)
        status = compare(r, err);
    if (status == MIX_OK && !r->known)
        status = mix_store_put_result(r->file, r->rows, err);
    return status;
}

static enum mix_status print_result(const struct recording *r, bool json, struct mix_error *err)
{
    const size_t n = r->rows->n_rows;
    if (!json) {
        printf("%s %s (%zu checkpoint%s) %s %s\n", r->known ? "known" : "recorded",
               r->planned.run.run, n, n == 1 ? "" : "s", r->known ? "in" : "for", r->file);
        return MIX_OK;
    }
    json_t *root = json_pack("{s:s, s:s, s:I, s:b}", "file", r->file, "run", r->planned.run.run,
                             "checkpoints", (json_int_t)n, "known", r->known);
    const bool failed = root == NULL || json_dumpf(root, stdout, JSON_INDENT(2)) != 0;
    json_decref(root);
    putchar('\n');
    return failed ? mix_fail(err, MIX_EIO, "the result could not be printed as JSON.") : MIX_OK;
}

static enum mix_status run_record(struct mix_ranks *ranks, int argc, char **argv,
                                  struct mix_error *err)
{
    (void)ranks;
    struct recording recording = {.file = NULL};
    const char *words[2] = {NULL}, *format = NULL;
    bool help = false, json = false;
    const struct cli_option options[] = {
        {.name = "run",
         .value = "RUN",
         .help = "which run: its name or key",
         .kind = CLI_TEXT,
         .target = &recording.run},
        {.name = "task",
         .value = "FILE",
         .help = "the task file of the run, instead of --run",
         .kind = CLI_TEXT,
         .target = &recording.task},
        {.name = "format",
         .value = "FORMAT",
         .help = "text or json (default text)",
         .kind = CLI_TEXT,
         .target = &format},
        {.name = NULL},
    };
    enum mix_status status =
        cli_parse(&cli_verb_record, options, argc, argv, 1, 2, words, &help, err);
    if (status == MIX_OK && !help)
        status = cli_parse_format(format, &json, err);
    if (status == MIX_OK && !help && (recording.run == NULL) == (recording.task == NULL))
        status = mix_fail(err, MIX_EUSAGE, "which run? Give either --run RUN or --task FILE.");
    if (status == MIX_OK && !help && recording.run != NULL && words[1] == NULL)
        status = mix_fail(err, MIX_EUSAGE, "which result? With --run name the file that has it.");
    if (status != MIX_OK || help)
        return status;
    recording.file = words[0];
    recording.result = words[1];
    status = record(&recording, err);
    if (status == MIX_OK)
        status = print_result(&recording, json, err);
    clear_recording(&recording);
    return status;
}

const struct cli_verb cli_verb_record = {
    .name = "record",
    .summary = "take in the result of a run that was made outside",
    .synopsis = "S.h5 --task TASK.json | --run RUN  [RESULT.json]",
    .details =
        "RESULT.json is what a command of a sweep writes: {\"loss\": {\"web\": 2.1, \"code\": "
        "1.3}} or\n"
        "{\"checkpoints\": [{\"tokens\": 1e9, \"loss\": {...}}, ...]}; with --task it may be left "
        "out,\n"
        "the task file names it. Any number of jobs can record at once, while a sweep writes the\n"
        "file, and before it is there; the next command that writes the file folds them in.\n\n"
        "  mixsweep plan job.yaml --emit tasks\n"
        "  MIXSWEEP_TRAIN=./train.sh sbatch tasks/3fa01c77-40M-800M-s0.sbatch\n"
        "  mixsweep record sweep.h5 --run 3fa01c77-40M-800M-s0 result.json\n",
    .run = run_record,
};
