/* SPDX-License-Identifier: GPL-3.0-or-later */
/* command.c - any command as an evaluator.
 *
 * Each run has a folder of its own, named by the run and its key, so that a run that is started
 * again finds what it left there. Before the command starts the folder has run.json, which says
 * what is asked; its output goes to stdout and stderr there; the result is read when it has ended.
 * The command works in our own working folder, so that relative paths of the job file hold.
 *
 * A command that is to end gets SIGTERM in its whole process group, and SIGKILL after the grace.
 * With a launcher the first signal is SIGUSR1: srun and mpirun pass that on to the program, whereas
 * SIGTERM makes srun kill it at once and mpirun a second later.
 *
 * Its stderr is locked as long as it lives. Who is killed, with the guard, leaves runs behind that
 * go on: the next sweep does not start a run beside itself in one folder but waits for the first to
 * end, as long as it would after asking it to; longer is a failed attempt.
 *
 * A folder is removed one step after the run has ended, when the record of the run is in the log:
 * who is killed in between has either the folder or the record.
 */
#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mixsweep/child.h"
#include "sweep/evaluators.h"
#include "sweep/folder.h"
#include "sweep/placeholders.h"
#include "sweep/result.h"

enum {
    STDERR_BYTES = 2048,
    REASON_MAX = MIX_ERROR_MAX + 2 * MIX_NAME_MAX,
    PORT_FIRST = 20000,
    PORTS_OF_JOB = 1000,
    PORT_JOBS = 12
};

static const double BACKOFF_MAX_S = 600;
static const double LATE_S = 5;    /* SIGTERM to SIGKILL for a launcher that outlives its grace */
static const double DOUBT_S = 2;   /* how soon after a foreign SIGTERM our own stop comes */
static const double VISIBLE_S = 5; /* until a file written on another node is seen here */
static const double REST_S = 1;    /* before a command that asks to be started again at once is */
static const double LOOK_S = 0.005;
static const double CLAIMED_S = 10; /* beyond the grace: until another has to be out of a folder */
static const double CLAIMED_LOOK_S = 0.1;

struct command {
    const struct mix_job *job;
    size_t n_argv, n_environment;
    struct mix_template **argv;        /* (n_argv) launcher and command */
    struct mix_template **environment; /* (n_environment) values */
    bool has_mixture_file;             /* somebody asks for it */
    struct mix_environment *base;      /* what all children get */
    struct mix_guard *guard;           /* made with the first child */
    char *parent;                      /* folder of the run folders */
    char *to_remove;                   /* run folder, or NULL */
    bool has_started;                  /* the command has been found once */
};

enum phase { RUNS, TOLD, TOLD_LATE, KILLED };

/* An attempt. */
struct attempt {
    const struct mix_request *request;
    struct mix_child *child; /* NULL = could not be started */
    char *folder, *result, *out, *errors;
    long long out_from, errors_from; /* what earlier attempts left there */
    char reason[MIX_ERROR_MAX];      /* why it could not be started */
    bool is_claimed;                 /* there is another one in the folder */
    enum phase phase;
    bool told_to_stop, out_of_time; /* why it was told to end */
    double limit_s;                 /* time that it may take */
    double next_s;                  /* on the clock: when to look at it or press it next */
    bool has_ended;
    struct mix_child_end end;
    double ended_s;
};

/* ---- the evaluator */

static void destroy(void *state)
{
    struct command *command = state;
    if (!command)
        return;
    if (command->to_remove)
        mix_folder_remove(command->to_remove);
    if (command->parent)
        rmdir(command->parent); /* stays where a run folder is in it */
    for (size_t i = 0; command->argv && i < command->n_argv; i++)
        mix_template_destroy(command->argv[i]);
    for (size_t i = 0; command->environment && i < command->n_environment; i++)
        mix_template_destroy(command->environment[i]);
    mix_environment_destroy(command->base);
    mix_guard_destroy(command->guard);
    free(command->argv);
    free(command->environment);
    free(command->to_remove);
    free(command->parent);
    free(command);
}

static void note_use(struct command *command, const struct mix_template *text)
{
    command->has_mixture_file |= mix_template_uses(text, MIX_VALUE_MIXTURE_FILE);
}

/* The launcher's words, then the command's; a command for the shell is "/bin/sh -c TEXT". */
static enum mix_status read_words(struct command *command, struct mix_error *err)
{
    static const char *const shell[] = {"/bin/sh", "-c"};
    const struct mix_job *job = command->job;
    const struct mix_job_command *is = &job->command;
    const size_t n_shell = is->shell ? 2 : 0;
    const size_t n = is->n_launcher + n_shell + is->n_argv;
    enum mix_status status = MIX_OK;
    for (size_t i = 0; status == MIX_OK && i < n; i++) {
        const bool of_launcher = i < is->n_launcher,
                   of_shell = !of_launcher && i < is->n_launcher + n_shell;
        const char *text = of_launcher ? is->launcher[i]
                           : of_shell  ? shell[i - is->n_launcher]
                                       : is->argv[i - is->n_launcher - n_shell];
        char key[MIX_NAME_MAX];
        snprintf(key, sizeof key, "sweep.command.%s", of_launcher ? "launcher" : "argv");
        status = mix_template_create(job, key, text, is->shell && !of_launcher && !of_shell,
                                     &command->argv[i], err);
        if (status == MIX_OK)
            note_use(command, command->argv[i]);
    }
    return status;
}

static enum mix_status read_environment(struct command *command, struct mix_error *err)
{
    const struct mix_job *job = command->job;
    enum mix_status status = mix_environment_create(job->command.scrub, &command->base, err);
    for (size_t i = 0; status == MIX_OK && i < command->n_environment; i++) {
        char key[2 * MIX_NAME_MAX];
        snprintf(key, sizeof key, "sweep.command.environment.%s", job->command.environment[i]);
        status = mix_template_create(job, key, job->command.environment_value[i], false,
                                     &command->environment[i], err);
        if (status == MIX_OK)
            note_use(command, command->environment[i]);
    }
    return status;
}

static enum mix_status create(const struct mix_job *job, void **state, struct mix_error *err)
{
    const struct mix_job_command *is = &job->command;
    struct command *command = calloc(1, sizeof *command);
    if (is->n_argv == 0 || (is->shell && is->n_argv != 1)) {
        free(command);
        return mix_fail(err, MIX_EINVAL, "job %s, sweep.command.argv: %s.", job->name,
                        is->n_argv == 0 ? "the command is missing"
                                        : "with shell: true it is one text");
    }
    if (!command)
        return mix_fail(err, MIX_ENOMEM, "out of memory for the command.");
    command->job = job;
    command->n_argv = is->n_launcher + (is->shell ? 2 : 0) + is->n_argv;
    command->n_environment = is->n_environment;
    command->argv = calloc(command->n_argv, sizeof *command->argv);
    command->environment = calloc(is->n_environment + 1, sizeof *command->environment);
    enum mix_status status = MIX_OK;
    if (!command->argv || !command->environment)
        status = mix_fail(err, MIX_ENOMEM, "out of memory for the command.");
    if (status == MIX_OK)
        status = read_words(command, err);
    if (status == MIX_OK)
        status = read_environment(command, err);
    if (status == MIX_OK)
        status = mix_folder_parent(job, &command->parent, err);
    if (status == MIX_OK)
        *state = command;
    else
        destroy(command);
    return status;
}

/* ---- what is asked, in words */

/* Values by placeholder, and the memory behind them. */
struct values {
    const char **text;  /* (MIX_VALUES + K) */
    char (*number)[32]; /* (MIX_VALUES + K) for those that are numbers */
    char *mixture, *subsample, *checkpoints, *mixture_file;
    char key[33];
};

static void clear_values(struct values *values)
{
    free(values->text);
    free(values->number);
    free(values->mixture);
    free(values->subsample);
    free(values->checkpoints);
    free(values->mixture_file);
}

static char *join_path(const char *folder, const char *name)
{
    const size_t n = strlen(folder) + strlen(name) + 2;
    char *path = malloc(n);
    if (path)
        snprintf(path, n, "%s/%s", folder, name);
    return path;
}

static json_t *json_mixture(const struct mix_request *request)
{
    json_t *mixture = json_object();
    for (size_t k = 0; k < request->job->n_domains; k++)
        json_object_set_new(mixture, request->job->domains[k].name, json_real(request->mixture[k]));
    return mixture;
}

/* The part of each domain's text to train on; see mix_job_subsample(). */
static json_t *json_subsample(const struct mix_request *request)
{
    json_t *parts = json_object();
    for (size_t k = 0; k < request->job->n_domains; k++)
        json_object_set_new(parts, request->job->domains[k].name,
                            json_real(mix_job_subsample(request->job, request->scale, k)));
    return parts;
}

/* Shares stand on a lattice of 1e-6: 15 digits say them exactly and without a tail of nines. */
static char *dump(json_t *object, size_t flags)
{
    char *text = object ? json_dumps(object, flags | JSON_REAL_PRECISION(15)) : NULL;
    json_decref(object);
    return text;
}

static char *list_checkpoints(const struct mix_job_scale *scale)
{
    char *text = calloc(scale->n_checkpoints + 1, 33), *at = text, number[32];
    for (size_t c = 0; text && c < scale->n_checkpoints; c++) {
        if (c > 0)
            at = stpcpy(at, ",");
        at = stpcpy(at, mix_value_number(scale->checkpoints[c], number));
    }
    return text;
}

static void set_number(struct values *values, size_t value, double number)
{
    values->text[value] = mix_value_number(number, values->number[value]);
}

/* Ports of the runs of a node differ by the index; those of other jobs most likely. */
static int port_of(const struct mix_seat *seat)
{
    const char *job = getenv("SLURM_JOB_ID");
    const long id = job ? strtol(job, NULL, 10) : (long)getppid();
    return PORT_FIRST + (int)(id % PORT_JOBS) * PORTS_OF_JOB + seat->index % PORTS_OF_JOB;
}

static void set_seat(struct values *values, const struct mix_request *request,
                     const struct mix_seat *seat)
{
    const struct mix_job_resources *resources = &request->scale->resources;
    set_number(values, MIX_VALUE_GPUS, resources->gpus);
    set_number(values, MIX_VALUE_CPUS, resources->cpus);
    set_number(values, MIX_VALUE_MEM_MB, floor(resources->mem_bytes / 1048576));
    set_number(values, MIX_VALUE_NODES, seat->n_nodes);
    set_number(values, MIX_VALUE_PORT, port_of(seat));
    values->text[MIX_VALUE_NODELIST] = seat->nodelist;
}

static enum mix_status fill_values(const struct attempt *attempt, const struct mix_seat *seat,
                                   struct values *values, struct mix_error *err)
{
    const struct mix_request *request = attempt->request;
    const struct mix_run *run = &request->run;
    const size_t n_domains = request->job->n_domains;
    *values = (struct values){.text = calloc(MIX_VALUES + n_domains, sizeof *values->text),
                              .number = calloc(MIX_VALUES + n_domains, sizeof *values->number),
                              .mixture = dump(json_mixture(request), JSON_COMPACT),
                              .subsample = dump(json_subsample(request), JSON_COMPACT),
                              .checkpoints = list_checkpoints(request->scale),
                              .mixture_file = join_path(attempt->folder, "mixture.json")};
    if (!values->text || !values->number || !values->mixture || !values->subsample ||
        !values->checkpoints || !values->mixture_file)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a command.");
    snprintf(values->key, sizeof values->key, "%016llx%016llx", (unsigned long long)run->key.hi,
             (unsigned long long)run->key.lo);
    values->text[MIX_VALUE_RUN] = run->run;
    values->text[MIX_VALUE_KEY] = values->key;
    values->text[MIX_VALUE_MIXTURE] = values->mixture;
    values->text[MIX_VALUE_SUBSAMPLE] = values->subsample;
    values->text[MIX_VALUE_MIXTURE_FILE] = values->mixture_file;
    values->text[MIX_VALUE_CHECKPOINTS] = values->checkpoints;
    values->text[MIX_VALUE_RECIPE] = run->recipe;
    values->text[MIX_VALUE_SCHEDULE] = run->schedule;
    values->text[MIX_VALUE_RUN_DIR] = attempt->folder;
    values->text[MIX_VALUE_RESULT_FILE] = attempt->result;
    set_number(values, MIX_VALUE_ATTEMPT, run->attempts);
    set_number(values, MIX_VALUE_PARAMS, run->n_params);
    set_number(values, MIX_VALUE_TOKENS, run->n_tokens_planned);
    snprintf(values->number[MIX_VALUE_SEED], sizeof *values->number, "%llu",
             (unsigned long long)run->seed);
    values->text[MIX_VALUE_SEED] = values->number[MIX_VALUE_SEED];
    for (size_t k = 0; k < n_domains; k++)
        set_number(values, MIX_VALUES + k, request->mixture[k]);
    set_seat(values, request, seat);
    return MIX_OK;
}

static json_t *json_number(double value)
{
    return value == floor(value) && fabs(value) < 1e15 ? json_integer((json_int_t)value)
                                                       : json_real(value);
}

/* run.json: the same values under the names of their placeholders, mixture and numbers as such. */
static char *describe(const struct mix_request *request, const struct values *values)
{
    static const size_t numbers[] = {MIX_VALUE_ATTEMPT, MIX_VALUE_PARAMS, MIX_VALUE_TOKENS,
                                     MIX_VALUE_SEED,    MIX_VALUE_GPUS,   MIX_VALUE_CPUS,
                                     MIX_VALUE_MEM_MB,  MIX_VALUE_NODES,  MIX_VALUE_PORT};
    static const size_t texts[] = {MIX_VALUE_KEY,     MIX_VALUE_RECIPE,      MIX_VALUE_SCHEDULE,
                                   MIX_VALUE_RUN_DIR, MIX_VALUE_RESULT_FILE, MIX_VALUE_NODELIST};
    const struct mix_job *job = request->job;
    json_t *root = json_object(), *checkpoints = json_array(), *targets = json_array();
    json_object_set_new(root, "run_id", json_string(request->run.run));
    json_object_set_new(root, "mixture", json_mixture(request));
    json_object_set_new(root, "subsample", json_subsample(request));
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        json_object_set_new(root, mix_value_placeholder(numbers[i]),
                            json_number(strtod(values->text[numbers[i]], NULL)));
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        json_object_set_new(root, mix_value_placeholder(texts[i]),
                            json_string(values->text[texts[i]]));
    for (size_t c = 0; c < request->scale->n_checkpoints; c++)
        json_array_append_new(checkpoints, json_number(request->scale->checkpoints[c]));
    json_object_set_new(root, "checkpoints", checkpoints);
    for (size_t m = 0; m < job->n_targets; m++)
        json_array_append_new(targets, json_string(job->targets[m].name));
    json_object_set_new(root, "targets", targets);
    return dump(root, JSON_INDENT(1));
}

/* ---- starting */

static void free_attempt(struct attempt *attempt)
{
    mix_child_destroy(attempt->child);
    free(attempt->folder);
    free(attempt->result);
    free(attempt->out);
    free(attempt->errors);
    free(attempt);
}

/* Names of the folder and of the files in it. */
static enum mix_status name_files(const struct command *command, struct attempt *attempt,
                                  struct mix_error *err)
{
    const struct mix_run *run = &attempt->request->run;
    char name[MIX_NAME_MAX + 16];
    snprintf(name, sizeof name, "%s-%08x", run->run, (unsigned)(uint32_t)run->key.hi);
    attempt->folder = join_path(command->parent, name);
    if (attempt->folder) {
        attempt->result = join_path(attempt->folder, command->job->command.result_file);
        attempt->out = join_path(attempt->folder, "stdout");
        attempt->errors = join_path(attempt->folder, "stderr");
    }
    if (!attempt->folder || !attempt->result || !attempt->out || !attempt->errors)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a command.");
    return MIX_OK;
}

/* The folder as the command will find it: with run.json, without the result of an earlier attempt.
 */
static enum mix_status make_folder(const struct command *command, struct attempt *attempt,
                                   const struct values *values, struct mix_error *err)
{
    bool is_new = false;
    enum mix_status status = mix_folder_make(attempt->folder, &is_new, err);
    if (status != MIX_OK)
        return status;
    if (!is_new) {
        attempt->out_from = mix_folder_length(attempt->out);
        attempt->errors_from = mix_folder_length(attempt->errors);
        if (command->job->command.result == MIX_RESULT_FILE && unlink(attempt->result) != 0 &&
            errno != ENOENT)
            return mix_fail(err, MIX_EIO, "%s is in the way: %s.", attempt->result,
                            strerror(errno));
    }
    char *path = join_path(attempt->folder, "run.json");
    char *text = describe(attempt->request, values);
    if (path && text)
        status = mix_folder_write(path, text, err);
    else
        status = mix_fail(err, MIX_ENOMEM, "out of memory for a command.");
    if (status == MIX_OK && command->has_mixture_file)
        status = mix_folder_write(values->mixture_file, values->mixture, err);
    free(text);
    free(path);
    return status;
}

static enum mix_status set_variables(const struct command *command, const struct values *values,
                                     const struct mix_seat *seat,
                                     struct mix_environment *environment, struct mix_error *err)
{
    const struct mix_job_command *is = &command->job->command;
    const size_t n_values = MIX_VALUES + (is->shell ? command->job->n_domains : 0);
    enum mix_status status = MIX_OK;
    for (size_t v = 0; status == MIX_OK && v < n_values; v++) {
        char name[MIX_NAME_MAX];
        if (v == MIX_VALUE_MIXTURE_FILE && !command->has_mixture_file)
            continue;
        status =
            mix_environment_set(environment, mix_value_variable(v, name), values->text[v], err);
    }
    if (status == MIX_OK && seat->gpu_ids)
        status = mix_environment_set(environment, "CUDA_VISIBLE_DEVICES", seat->gpu_ids, err);
    for (size_t i = 0; status == MIX_OK && i < command->n_environment; i++) {
        char *value = mix_template_fill(command->environment[i], values->text);
        status = value ? mix_environment_set(environment, is->environment[i], value, err)
                       : mix_fail(err, MIX_ENOMEM, "out of memory for a command.");
        free(value);
    }
    return status;
}

static enum mix_status launch(const struct command *command, struct attempt *attempt,
                              const struct values *values, const struct mix_seat *seat,
                              struct mix_error *err)
{
    struct mix_environment *environment = NULL;
    char **argv = calloc(command->n_argv + 1, sizeof *argv);
    bool complete = argv != NULL;
    for (size_t i = 0; complete && i < command->n_argv; i++) {
        argv[i] = mix_template_fill(command->argv[i], values->text);
        complete = argv[i] != NULL;
    }
    enum mix_status status = complete ? mix_environment_copy(command->base, &environment, err)
                                      : mix_fail(err, MIX_ENOMEM, "out of memory for a command.");
    if (status == MIX_OK)
        status = set_variables(command, values, seat, environment, err);
    const struct mix_child_spec spec = {.argv = (const char *const *)argv,
                                        .environment = environment,
                                        .stdout_path = attempt->out,
                                        .stderr_path = attempt->errors,
                                        .claims_stderr = true};
    if (status == MIX_OK)
        status = mix_child_start(&spec, &attempt->child, err);
    for (size_t i = 0; argv && i < command->n_argv; i++)
        free(argv[i]);
    free(argv);
    mix_environment_destroy(environment);
    return status;
}

static double limit_of(const struct mix_request *request)
{
    const double wall_s = request->scale->resources.wall_s;
    const double limit_s = wall_s > 0 ? wall_s : request->job->command.time_limit_s;
    return limit_s > 0 ? limit_s : INFINITY;
}

static void remove_folder(struct command *command)
{
    if (!command->to_remove)
        return;
    mix_folder_remove(command->to_remove);
    free(command->to_remove);
    command->to_remove = NULL;
}

static enum mix_status set_guard(struct command *command, struct mix_error *err)
{
    enum mix_status status = mix_guard_create(command->job->command.grace_s, &command->guard, err);
    return status == MIX_OK ? mix_guard_mark(command->guard, command->base, err) : status;
}

static enum mix_status start(void *state, const struct mix_request *request,
                             const struct mix_seat *seat, void **run, struct mix_error *err)
{
    struct command *command = state;
    if (!command->guard) {
        const enum mix_status guarded = set_guard(command, err);
        if (guarded != MIX_OK)
            return guarded;
    }
    struct attempt *attempt = calloc(1, sizeof *attempt);
    struct values values = {.text = NULL};
    struct mix_error reason = {.text = ""};
    if (!attempt)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a command.");
    attempt->request = request;
    attempt->limit_s = limit_of(request);
    attempt->next_s = mix_clock_s() + attempt->limit_s;
    enum mix_status status = name_files(command, attempt, &reason);
    if (status == MIX_OK)
        status = fill_values(attempt, seat, &values, &reason);
    if (status == MIX_OK && mix_child_claimed(attempt->errors))
        status = mix_fail(&reason, MIX_ELOCKED,
                          "%s is in use by a command that was started earlier.", attempt->errors);
    if (status == MIX_OK)
        status = make_folder(command, attempt, &values, &reason);
    if (status == MIX_OK)
        status = launch(command, attempt, &values, seat, &reason);
    remove_folder(command); /* while the child runs; a place waits for none of this */
    clear_values(&values);
    /* A command that was never found is a mistake in the job, not 500 failed runs. */
    if (status == MIX_ENOMEM || (status == MIX_ENOTFOUND && !command->has_started)) {
        free_attempt(attempt);
        return mix_fail(err, status, "job %s, sweep.command: %s", request->job->name, reason.text);
    }
    command->has_started |= status == MIX_OK;
    attempt->is_claimed = status == MIX_ELOCKED;
    if (attempt->is_claimed)
        attempt->next_s = mix_clock_s() + request->job->command.grace_s + CLAIMED_S;
    snprintf(attempt->reason, sizeof attempt->reason, "%s", reason.text);
    *run = attempt;
    return MIX_OK;
}

/* ---- ending */

static bool contains(const int *list, size_t n, int value)
{
    for (size_t i = 0; i < n; i++)
        if (list[i] == value)
            return true;
    return false;
}

static bool has_launcher(const struct attempt *attempt)
{
    return attempt->request->job->command.n_launcher > 0;
}

/* Signals in their order, each once its time has come. */
static void press(struct attempt *attempt, double now_s)
{
    const double grace_s = attempt->request->job->command.grace_s;
    if (attempt->phase == RUNS) {
        mix_child_signal(attempt->child, has_launcher(attempt) ? SIGUSR1 : SIGTERM);
        attempt->phase = TOLD;
        attempt->next_s = now_s + grace_s;
    } else if (attempt->phase == TOLD && now_s >= attempt->next_s && has_launcher(attempt)) {
        mix_child_signal(attempt->child, SIGTERM);
        attempt->phase = TOLD_LATE;
        attempt->next_s = now_s + LATE_S;
    } else if (attempt->phase != KILLED && now_s >= attempt->next_s) {
        mix_child_signal(attempt->child, SIGKILL);
        attempt->phase = KILLED;
        attempt->next_s = INFINITY;
    }
}

/* The last lines of what this attempt said to stderr, or NULL. */
static char *last_words(const struct attempt *attempt)
{
    char *text = NULL;
    size_t n = 0;
    bool cut = false;
    if (mix_folder_read_tail(attempt->errors, attempt->errors_from, STDERR_BYTES, &text, &n, &cut,
                             NULL) != MIX_OK)
        return NULL;
    while (n > 0 && strchr("\n\r\t ", text[n - 1]))
        n--;
    const char *line_end = cut ? memchr(text, '\n', n) : NULL;
    const char *begin = line_end ? line_end + 1 : text;
    const size_t length = n - (size_t)(begin - text);
    char *clean = length > 0 ? mix_result_clean_text(begin, length) : NULL;
    free(text);
    return clean;
}

/* What a failed row says beyond its short reason. */
static char *failure_metadata(const struct attempt *attempt, const char *reason, bool is_final)
{
    json_t *root = json_object();
    char *words = attempt->child ? last_words(attempt) : NULL;
    if (strlen(reason) >= MIX_NAME_MAX)
        json_object_set_new(root, "reason", json_string(reason));
    if (words)
        json_object_set_new(root, "stderr", json_string(words));
    if (is_final)
        json_object_set_new(root, "final", json_true());
    free(words);
    char *text = json_object_size(root) > 0 ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    return text;
}

static double backoff(const struct mix_job_command *is, int attempts)
{
    return fmin(ldexp(is->backoff_s, attempts - 1), BACKOFF_MAX_S);
}

static enum mix_status put_failure(const struct attempt *attempt, enum mix_run_status run_status,
                                   const char *reason, bool is_final, struct mix_table *rows,
                                   struct mix_error *err)
{
    const enum mix_status status =
        mix_request_failed(attempt->request, rows, run_status, reason, err);
    if (status == MIX_OK && run_status == MIX_RUN_FAILED) {
        char **metadata = &rows->metadata[rows->n_rows - 1];
        free(*metadata);
        *metadata = failure_metadata(attempt, reason, is_final);
    }
    return status;
}

static enum mix_status fail_run(const struct attempt *attempt, const char *reason, bool is_final,
                                struct mix_attempt_end *end, struct mix_table *rows,
                                struct mix_error *err)
{
    const struct mix_job_command *is = &attempt->request->job->command;
    const int attempts = attempt->request->run.attempts;
    const bool is_over = is_final || (size_t)attempts > is->n_retries;
    end->what = is_over ? MIX_ATTEMPT_DONE : MIX_ATTEMPT_RETRY;
    end->failed = true;
    end->delay_s = is_over ? 0 : backoff(is, attempts);
    return put_failure(attempt, MIX_RUN_FAILED, reason, is_final, rows, err);
}

/* Not its fault: again, by this job or by the next one. */
static enum mix_status interrupt_run(const struct attempt *attempt, bool stop,
                                     struct mix_attempt_end *end, struct mix_table *rows,
                                     struct mix_error *err)
{
    end->what = stop ? MIX_ATTEMPT_INTERRUPTED : MIX_ATTEMPT_RETRY;
    end->delay_s = attempt->end.wall_s < REST_S ? REST_S : 0;
    if (!stop)
        return MIX_OK;
    return put_failure(attempt, MIX_RUN_INTERRUPTED, "interrupted", false, rows, err);
}

/* Begun anew once the other one is gone. */
static enum mix_status await_folder(const struct attempt *attempt, double now_s, bool stop,
                                    struct mix_attempt_end *end, struct mix_table *rows,
                                    struct mix_error *err)
{
    if (stop)
        return interrupt_run(attempt, true, end, rows, err);
    if (!mix_child_claimed(attempt->errors))
        end->what = MIX_ATTEMPT_RETRY;
    else if (now_s >= attempt->next_s)
        return fail_run(attempt, attempt->reason, false, end, rows, err);
    return MIX_OK;
}

/* The line of stdout that is the result. */
static enum mix_status read_stdout(const struct attempt *attempt, char **text, size_t *n_bytes,
                                   struct mix_error *err)
{
    char *all = NULL;
    size_t n = 0;
    bool cut = false;
    const enum mix_status status = mix_folder_read_tail(attempt->out, attempt->out_from,
                                                        RESULT_BYTES_MAX, &all, &n, &cut, err);
    if (status != MIX_OK)
        return status;
    const char *line = mix_result_find(attempt->request, all, n, cut, n_bytes);
    if (line == NULL || *n_bytes == 0) {
        free(all);
        return line == NULL
                   ? mix_fail(err, MIX_ENOMEM, "out of memory for the result of a run.")
                   : mix_fail(err, MIX_EFORMAT, cut ? "its last line is too long" : "it is empty");
    }
    memmove(all, line, *n_bytes);
    *text = all;
    return MIX_OK;
}

static enum mix_status read_result(const struct attempt *attempt, struct mix_table *rows,
                                   struct mix_error *err)
{
    char *text = NULL;
    size_t n = 0;
    enum mix_status status;
    if (attempt->request->job->command.result == MIX_RESULT_NONE) {
        const size_t row =
            mix_request_row(attempt->request, rows, attempt->request->run.n_tokens_planned);
        return row != SIZE_MAX ? MIX_OK : mix_fail(err, MIX_ENOMEM, "out of memory for a run.");
    }
    if (attempt->request->job->command.result == MIX_RESULT_STDOUT)
        status = read_stdout(attempt, &text, &n, err);
    else
        status =
            mix_folder_read_tail(attempt->result, 0, RESULT_BYTES_MAX + 1, &text, &n, NULL, err);
    if (status == MIX_OK)
        status = mix_result_parse(attempt->request, text, n, rows, err);
    free(text);
    return status;
}

/* Died of a signal with which batch systems end jobs; our own may be on its way. */
static bool was_asked_to_end(const struct mix_child_end *end)
{
    return end->signal == SIGTERM || end->signal == SIGINT || end->signal == SIGUSR1 ||
           end->exit_code == 128 + SIGTERM || end->exit_code == 128 + SIGINT;
}

/* What is wrong with the result of a command that ended with 0. */
static void explain_result(const struct attempt *attempt, enum mix_status status, const char *why,
                           char reason[REASON_MAX])
{
    const struct mix_job_command *is = &attempt->request->job->command;
    if (status == MIX_ENOTFOUND)
        snprintf(reason, REASON_MAX, "no %s", is->result_file);
    else
        snprintf(reason, REASON_MAX, "%s: %s",
                 is->result == MIX_RESULT_FILE ? is->result_file : "stdout", why);
}

static void explain_end(const struct mix_child_end *how, char reason[REASON_MAX])
{
    if (how->signal > 0)
        snprintf(reason, REASON_MAX, "signal %d (%s)", how->signal, strsignal(how->signal));
    else
        snprintf(reason, REASON_MAX, "exit code %d", how->exit_code);
}

/* What became of an attempt whose command has ended. end->what stays RUNNING where it is to be
 * looked at again. */
static enum mix_status judge(const struct attempt *attempt, double now_s, bool stop,
                             struct mix_attempt_end *end, struct mix_table *rows,
                             struct mix_error *err)
{
    const struct mix_job_command *is = &attempt->request->job->command;
    const struct mix_child_end *how = &attempt->end;
    const double since_s = now_s - attempt->ended_s;
    struct mix_error why = {.text = ""};
    char reason[REASON_MAX];
    bool is_final = contains(is->fatal, is->n_fatal, how->exit_code);
    if (how->exit_code == 0) {
        const enum mix_status status = read_result(attempt, rows, &why);
        if (status == MIX_ENOMEM)
            return mix_fail(err, status, "%s", why.text);
        if (status == MIX_ENOTFOUND && has_launcher(attempt) && since_s < VISIBLE_S)
            return MIX_OK; /* on its way from another node */
        if (status == MIX_OK) {
            end->what = MIX_ATTEMPT_DONE;
            return MIX_OK;
        }
        is_final = status == MIX_ENUMERIC;
        explain_result(attempt, status, why.text, reason);
    } else {
        explain_end(how, reason);
        if (contains(is->requeue, is->n_requeue, how->exit_code) && !attempt->out_of_time)
            return interrupt_run(attempt, stop, end, rows, err);
        if (!stop && !attempt->out_of_time && was_asked_to_end(how) && since_s < DOUBT_S)
            return MIX_OK;
    }
    if (!is_final && (attempt->told_to_stop || (stop && was_asked_to_end(how))))
        return interrupt_run(attempt, true, end, rows, err);
    if (!is_final && attempt->out_of_time)
        snprintf(reason, sizeof reason, "time limit of %g s", attempt->limit_s);
    return fail_run(attempt, reason, is_final, end, rows, err);
}

/* How it ended, in all rows of the attempt. */
static void note_provenance(const struct attempt *attempt, struct mix_table *rows)
{
    for (size_t r = 0; r < rows->n_rows; r++) {
        struct mix_run *run = &rows->runs[r];
        run->exit_code =
            attempt->end.signal > 0 ? 128 + attempt->end.signal : attempt->end.exit_code;
        run->wall_s = attempt->end.wall_s;
    }
}

/* The folder goes or stays; an attempt that is followed by another needs it. */
static void keep_or_remove(struct command *command, struct attempt *attempt,
                           const struct mix_attempt_end *end)
{
    const enum mix_keep keep = command->job->command.keep;
    if (end->what != MIX_ATTEMPT_DONE || attempt->is_claimed || keep == MIX_KEEP_ALL ||
        (keep == MIX_KEEP_FAILED && end->failed))
        return;
    remove_folder(command);
    command->to_remove = attempt->folder;
    attempt->folder = NULL;
}

static enum mix_status check(void *state, void *run, bool stop, struct mix_attempt_end *end,
                             struct mix_table *rows, struct mix_error *err)
{
    struct attempt *attempt = run;
    const double now_s = mix_clock_s();
    enum mix_status status = MIX_OK;
    if (attempt->is_claimed) {
        status = await_folder(attempt, now_s, stop, end, rows, err);
    } else if (!attempt->child) {
        status = fail_run(attempt, attempt->reason, false, end, rows, err);
    } else {
        if (!attempt->has_ended && mix_child_ended(attempt->child, &attempt->end)) {
            attempt->has_ended = true;
            attempt->ended_s = now_s;
        }
        if (attempt->has_ended) {
            status = judge(attempt, now_s, stop, end, rows, err);
        } else {
            attempt->out_of_time |= attempt->phase == RUNS && now_s >= attempt->next_s;
            attempt->told_to_stop |= stop && !attempt->out_of_time;
            if (attempt->out_of_time || attempt->told_to_stop)
                press(attempt, now_s);
        }
    }
    if (status != MIX_OK || end->what == MIX_ATTEMPT_RUNNING)
        return status;
    note_provenance(attempt, rows);
    keep_or_remove(state, attempt, end);
    free_attempt(attempt);
    return MIX_OK;
}

static int descriptor(void *state, void *run, double *check_s)
{
    (void)state;
    const struct attempt *attempt = run;
    *check_s = mix_clock_s() + (attempt->is_claimed ? CLAIMED_LOOK_S : LOOK_S);
    if (!attempt->child || attempt->has_ended)
        return -1;
    const int fd = mix_child_descriptor(attempt->child);
    if (fd >= 0)
        *check_s = attempt->next_s;
    return fd;
}

static void abandon(void *state, void *run)
{
    (void)state;
    free_attempt(run);
}

static void content(const void *state, size_t domain, char out[MIX_NAME_MAX])
{
    const struct command *command = state;
    mix_content_of_files(command->job, domain, out);
}

const struct mix_evaluator mix_evaluator_command = {
    .name = "command",
    .summary = "any command, one per run",
    .create = create,
    .destroy = destroy,
    .content = content,
    .start = start,
    .check = check,
    .descriptor = descriptor,
    .abandon = abandon,
};
