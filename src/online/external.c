/* SPDX-License-Identifier: GPL-3.0-or-later */
/* external.c - a program that trains, as a trainee: requests by line on its stdin, answers by line
 * on its stdout; see mixsweep/online.h, reply.h and the head of jobs/steer.py.
 *
 * One request is under way at a time. One that has not been answered in full (time limit, end of
 * the program, noise) leaves the two sides out of step: nothing more is asked then.
 */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mixsweep/child.h"
#include "online/reply.h"

enum { WAIT_MS = 5, SLOTS_MOST = 1024 };

/* JSON numbers are doubles to many. */
static const uint64_t SEED_MASK = ((uint64_t)1 << 53) - 1;

static const double END_S = 1.0; /* from the end of its stdout to that of the program */

struct external {
    struct mix_trainee head;
    char name[MIX_NAME_MAX]; /* of the program, for sentences */
    char **groups;           /* (m) */
    uint64_t seed;
    double answer_s, grace_s;
    struct mix_guard *guard; /* ends the program where we cannot */
    struct mix_child *child; /* NULL = it has been ended */
    uint64_t n_requests, step;
    uint64_t slot_step[SLOTS_MOST]; /* where a snapshot was taken; UINT64_MAX = none */
    bool out_of_step;               /* a request has not been answered */
    char *line;                     /* (REPLY_BYTES_MAX + 1) read, but no answer yet */
    size_t n_line;
};

static struct external *external_of(struct mix_trainee *trainee)
{
    return (struct external *)trainee;
}

/* ---- the end: its input closes, then SIGTERM, then SIGKILL */

static bool ends_within(struct mix_child *child, double limit_s, struct mix_poll *task)
{
    const double deadline = mix_clock_s() + limit_s;
    struct mix_child_end end;
    while (!mix_child_ended(child, &end)) {
        struct pollfd wait = {.fd = mix_child_descriptor(child), .events = POLLIN};
        if (mix_clock_s() >= deadline)
            return false;
        (void)mix_poll(task); /* other ranks; a stop changes nothing here */
        (void)poll(&wait, wait.fd >= 0, WAIT_MS);
    }
    return true;
}

/* A program that owes an answer is busy, or worse: it would not see that its input has closed. */
static void end_child(struct external *external, struct mix_poll *task)
{
    static const char finish[] = "{\"do\": \"finish\"}\n";
    struct mix_child *child = external->child;
    const bool listens =
        !external->out_of_step && write(mix_child_stdin(child), finish, sizeof finish - 1) > 0;
    mix_child_close_stdin(child);
    if (!listens || !ends_within(child, external->grace_s, task)) {
        mix_child_signal(child, SIGTERM);
        (void)ends_within(child, external->grace_s, task);
    }
    mix_child_destroy(child);
    external->child = NULL;
}

static void destroy(struct mix_trainee *trainee)
{
    struct external *external = external_of(trainee);
    if (external->child != NULL)
        end_child(external, NULL);
    mix_guard_destroy(external->guard);
    for (size_t i = 0; external->groups != NULL && i < trainee->n_groups; i++)
        free(external->groups[i]);
    free(external->groups);
    free(external->line);
    free(external);
}

/* ---- lines */

/* Until the descriptor is ready, or some ms have passed. */
static enum mix_status wait_for(const struct external *external, int fd, short events,
                                double deadline, struct mix_poll *task, struct mix_error *err)
{
    struct pollfd wait = {.fd = fd, .events = events};
    if (mix_poll(task))
        return mix_fail(err, MIX_EINTERRUPTED, "stopped before it answered");
    if (mix_clock_s() >= deadline)
        return mix_fail(err, MIX_EIO, "no answer within %g s", external->answer_s);
    (void)poll(&wait, 1, WAIT_MS);
    return MIX_OK;
}

/* A program that has gone is found out by whoever waits for its answer. */
static enum mix_status send_text(const struct external *external, const char *text, double deadline,
                                 struct mix_poll *poll, struct mix_error *err)
{
    const int fd = mix_child_stdin(external->child);
    const size_t n = strlen(text);
    enum mix_status status = MIX_OK;
    for (size_t sent = 0; status == MIX_OK && sent < n;) {
        const ssize_t written = write(fd, text + sent, n - sent);
        if (written >= 0)
            sent += (size_t)written;
        else if (errno == EAGAIN || errno == EINTR)
            status = wait_for(external, fd, POLLOUT, deadline, poll, err);
        else
            break;
    }
    return status;
}

static enum mix_status fail_ended(const struct external *external, struct mix_poll *poll,
                                  struct mix_error *err)
{
    struct mix_child_end end;
    if (!ends_within(external->child, END_S, poll))
        return mix_fail(err, MIX_EIO, "it has closed its stdout instead of answering");
    (void)mix_child_ended(external->child, &end);
    if (end.signal != 0)
        return mix_fail(err, MIX_EIO, "signal %d has ended it before it answered", end.signal);
    return mix_fail(err, MIX_EIO, "it has ended with exit status %d before it answered",
                    end.exit_code);
}

/* Reads until there is a whole line; its length without the line feed. */
static enum mix_status receive_line(struct external *external, double deadline, size_t *n_bytes,
                                    struct mix_poll *poll, struct mix_error *err)
{
    const int fd = mix_child_stdout(external->child);
    enum mix_status status = MIX_OK;
    for (size_t searched = 0; status == MIX_OK;) {
        struct mix_child_end end;
        const char *feed = memchr(external->line + searched, '\n', external->n_line - searched);
        if (feed != NULL) {
            *n_bytes = (size_t)(feed - external->line);
            return MIX_OK;
        }
        searched = external->n_line;
        if (searched > REPLY_BYTES_MAX)
            return mix_fail(err, MIX_EFORMAT, "the answer has more than %d bytes on one line",
                            REPLY_BYTES_MAX);
        const bool ended = mix_child_ended(external->child, &end); /* before the last look */
        const ssize_t got = read(fd, external->line + searched, REPLY_BYTES_MAX + 1 - searched);
        if (got > 0)
            external->n_line += (size_t)got;
        else if (got == 0 || ended || (errno != EAGAIN && errno != EINTR))
            return fail_ended(external, poll, err);
        else
            status = wait_for(external, fd, POLLIN, deadline, poll, err);
    }
    return status;
}

static enum mix_status exchange(struct external *external, const char *request,
                                const struct reply_form *form, struct reply *out,
                                struct mix_poll *poll, struct mix_error *err)
{
    const double deadline = mix_clock_s() + external->answer_s;
    size_t n_bytes = 0;
    external->out_of_step = true;
    enum mix_status status = send_text(external, request, deadline, poll, err);
    if (status == MIX_OK)
        status = send_text(external, "\n", deadline, poll, err);
    if (status == MIX_OK)
        status = receive_line(external, deadline, &n_bytes, poll, err);
    if (status != MIX_OK)
        return status;
    status = reply_parse(form, external->line, n_bytes, out, err);
    external->n_line -= n_bytes + 1;
    memmove(external->line, external->line + n_bytes + 1, external->n_line);
    external->out_of_step = status == MIX_EFORMAT;
    return status;
}

/* Ask, and wait for the answer. The request, {"do": ...}, is taken over; NULL = out of memory. */
static enum mix_status ask(struct external *external, json_t *request, struct reply_form form,
                           struct reply *out, struct mix_poll *poll, struct mix_error *err)
{
    struct mix_error why = {.text = ""};
    enum mix_status status = MIX_ENOMEM;
    char *text = NULL;
    form.id = external->n_requests++;
    form.n_groups = external->head.n_groups;
    form.groups = (const char *const *)external->groups;
    if (request != NULL &&
        json_object_set_new(request, "id", json_integer((json_int_t)form.id)) == 0)
        text = json_dumps(request, JSON_COMPACT | JSON_REAL_PRECISION(17));
    if (text == NULL)
        mix_fail(err, status, "out of memory for a request to trainer %s.", external->name);
    else if (external->child == NULL)
        status = mix_fail(err, MIX_EIO, "trainer %s is not asked any more: it has failed before.",
                          external->name);
    else if ((status = exchange(external, text, &form, out, poll, &why)) != MIX_OK)
        mix_fail(err, status, "trainer %s, request \"%s\": %s.", external->name,
                 json_string_value(json_object_get(request, "do")), why.text);
    free(text);
    json_decref(request);
    if (external->out_of_step && external->child != NULL)
        end_child(external, poll);
    return status;
}

/* {"web": 0.5, "code": 0.5}; NULL when memory is out. */
static json_t *by_group(const struct external *external, const double *value)
{
    json_t *object = json_object();
    for (size_t i = 0; i < external->head.n_groups; i++)
        if (json_object_set_new(object, external->groups[i], json_real(value[i])) != 0) {
            json_decref(object);
            return NULL;
        }
    return object;
}

/* ---- what a trainee does */

static enum mix_status require(const struct external *external, enum mix_ability ability,
                               const char *name, struct mix_error *err)
{
    if ((external->head.can & ability) != 0)
        return MIX_OK;
    return mix_fail(err, MIX_EINVAL, "trainer %s has not said that it can do \"%s\".",
                    external->name, name);
}

static enum mix_status restart(struct mix_trainee *trainee, struct mix_poll *poll,
                               struct mix_error *err)
{
    struct external *external = external_of(trainee);
    struct reply reply = {0};
    external->step = 0;
    return ask(external, json_pack("{s:s}", "do", "restart"), (struct reply_form){0}, &reply, poll,
               err);
}

static enum mix_status train(struct mix_trainee *trainee, const struct mix_segment *segment,
                             struct mix_poll *poll, struct mix_error *err)
{
    struct external *external = external_of(trainee);
    struct reply reply = {0};
    if (segment->n_steps == 0)
        return MIX_OK;
    enum mix_status status =
        segment->weighted ? require(external, MIX_CAN_WEIGHT, "weight", err) : MIX_OK;
    if (status != MIX_OK)
        return status;
    json_t *request = json_pack("{s:s, s:o, s:I, s:b}", "do", "train", "mixture",
                                by_group(external, segment->mixture), "n_steps",
                                (json_int_t)segment->n_steps, "exact", (int)segment->exact);
    if (segment->weighted && request != NULL &&
        json_object_set_new(request, "weight", by_group(external, segment->weight)) != 0) {
        json_decref(request);
        request = NULL;
    }
    status = ask(external, request, (struct reply_form){0}, &reply, poll, err);
    if (status == MIX_OK)
        external->step += segment->n_steps;
    return status;
}

static void clear(size_t m, struct mix_observation *out)
{
    for (size_t i = 0; i < m; i++)
        out->loss[i] = out->train_loss[i] = out->reference_loss[i] = out->train_norm[i] = NAN;
    for (size_t i = 0; i < m * m; i++)
        out->alignment[i] = NAN;
    out->validation_norm = out->learning_rate = NAN;
}

static enum mix_status measure(struct mix_trainee *trainee, unsigned what,
                               struct mix_observation *out, struct mix_poll *poll,
                               struct mix_error *err)
{
    struct external *external = external_of(trainee);
    struct reply reply = {.seen = out};
    json_t *list = json_array();
    enum mix_status status = MIX_OK;
    clear(trainee->n_groups, out);
    out->step = external->step;
    if ((what & MIX_MEASURE_EXCESS) != 0)
        status = require(external, MIX_CAN_REFERENCE, "reference", err);
    if (status == MIX_OK && (what & MIX_MEASURE_GRADIENT) != 0)
        status = require(external, MIX_CAN_GRADIENT, "gradient", err);
    if (status != MIX_OK) {
        json_decref(list);
        return status;
    }
    if ((what & MIX_MEASURE_LOSS) != 0)
        json_array_append_new(list, json_string("loss"));
    if ((what & MIX_MEASURE_EXCESS) != 0)
        json_array_append_new(list, json_string("excess"));
    if ((what & MIX_MEASURE_GRADIENT) != 0)
        json_array_append_new(list, json_string("gradient"));
    return ask(external, json_pack("{s:s, s:o}", "do", "measure", "what", list),
               (struct reply_form){.kind = REPLY_MEASURED, .measure = what}, &reply, poll, err);
}

static enum mix_status test(struct mix_trainee *trainee, double *loss, double *se,
                            struct mix_poll *poll, struct mix_error *err)
{
    struct reply reply = {.loss = loss, .se = se};
    json_t *request = trainee->on_select ? json_pack("{s:s, s:s}", "do", "test", "part", "select")
                                         : json_pack("{s:s}", "do", "test");
    return ask(external_of(trainee), request, (struct reply_form){.kind = REPLY_TESTED}, &reply,
               poll, err);
}

static enum mix_status freeze(struct mix_trainee *trainee, struct mix_poll *poll,
                              struct mix_error *err)
{
    struct external *external = external_of(trainee);
    struct reply reply = {0};
    const enum mix_status status = require(external, MIX_CAN_REFERENCE, "reference", err);
    if (status != MIX_OK)
        return status;
    return ask(external, json_pack("{s:s}", "do", "freeze"), (struct reply_form){0}, &reply, poll,
               err);
}

static enum mix_status ask_slot(struct external *external, const char *verb, int slot,
                                struct mix_poll *poll, struct mix_error *err)
{
    struct reply reply = {0};
    const enum mix_status status = require(external, MIX_CAN_FORK, "fork", err);
    if (status != MIX_OK)
        return status;
    return ask(external, json_pack("{s:s, s:i}", "do", verb, "slot", slot), (struct reply_form){0},
               &reply, poll, err);
}

static enum mix_status snapshot(struct mix_trainee *trainee, int slot, struct mix_poll *poll,
                                struct mix_error *err)
{
    struct external *external = external_of(trainee);
    if (slot < 0 || slot >= SLOTS_MOST)
        return mix_fail(err, MIX_EINVAL, "trainer %s: snapshot %d; allowed are 0 to %d.",
                        external->name, slot, SLOTS_MOST - 1);
    const enum mix_status status = ask_slot(external, "snapshot", slot, poll, err);
    if (status == MIX_OK)
        external->slot_step[slot] = external->step;
    return status;
}

static enum mix_status restore(struct mix_trainee *trainee, int slot, struct mix_poll *poll,
                               struct mix_error *err)
{
    struct external *external = external_of(trainee);
    if (slot < 0 || slot >= SLOTS_MOST || external->slot_step[slot] == UINT64_MAX)
        return mix_fail(err, MIX_EINVAL, "trainer %s: there is no snapshot %d to go back to.",
                        external->name, slot);
    const enum mix_status status = ask_slot(external, "restore", slot, poll, err);
    if (status == MIX_OK)
        external->step = external->slot_step[slot];
    return status;
}

static const struct mix_trainee_kind external_kind = {
    .name = "external",
    .destroy = destroy,
    .restart = restart,
    .train = train,
    .measure = measure,
    .test = test,
    .freeze = freeze,
    .snapshot = snapshot,
    .restore = restore,
};

/* ---- making one */

static enum mix_status copy_options(const struct mix_external_options *options,
                                    struct external *external, struct mix_error *err)
{
    const size_t m = options->n_groups;
    const char *script = options->argv[1] != NULL ? options->argv[1] : "";
    (void)snprintf(external->name, sizeof external->name, "%s%s%s", options->argv[0],
                   script[0] != '\0' ? " " : "", script);
    external->head =
        (struct mix_trainee){.kind = &external_kind, .n_groups = m, .n_steps = options->n_steps};
    external->seed = options->seed;
    external->answer_s = options->answer_s;
    external->grace_s = options->grace_s;
    for (size_t i = 0; i < SLOTS_MOST; i++)
        external->slot_step[i] = UINT64_MAX;
    external->line = malloc(REPLY_BYTES_MAX + 1);
    external->groups = calloc(m, sizeof *external->groups);
    bool whole = external->line != NULL && external->groups != NULL;
    for (size_t i = 0; whole && i < m; i++)
        whole = (external->groups[i] = strdup(options->groups[i])) != NULL;
    return whole ? MIX_OK : mix_fail(err, MIX_ENOMEM, "out of memory for an external trainer.");
}

static enum mix_status start_child(const struct mix_external_options *options,
                                   struct external *external, struct mix_error *err)
{
    struct mix_child_spec spec = {.argv = (const char *const *)options->argv,
                                  .dir = options->folder,
                                  .pipes = true,
                                  .own_stderr = true};
    struct mix_environment *environment = NULL;
    enum mix_status status = mix_environment_create(true, &environment, err);
    if (status == MIX_OK)
        status = mix_guard_create(options->grace_s, &external->guard, err);
    if (status == MIX_OK)
        status = mix_guard_mark(external->guard, environment, err);
    spec.environment = environment;
    if (status == MIX_OK)
        status = mix_child_start(&spec, &external->child, err);
    mix_environment_destroy(environment);
    return status;
}

/* A name that is not UTF-8 cannot be said in JSON. */
static enum mix_status names_of(const struct external *external, json_t **out,
                                struct mix_error *err)
{
    *out = json_array();
    for (size_t i = 0; i < external->head.n_groups; i++)
        if (json_array_append_new(*out, json_string(external->groups[i])) != 0) {
            json_decref(*out);
            return mix_fail(err, MIX_EINVAL, "the name of group %zu is not UTF-8 text.", i + 1);
        }
    return MIX_OK;
}

static enum mix_status say_hello(struct external *external, struct mix_poll *poll,
                                 struct mix_error *err)
{
    struct reply reply = {0};
    json_t *groups = NULL;
    enum mix_status status = names_of(external, &groups, err);
    if (status != MIX_OK)
        return status;
    json_t *request =
        json_pack("{s:s, s:i, s:o, s:I, s:I}", "do", "hello", "protocol", REPLY_PROTOCOL, "groups",
                  groups, "n_steps", (json_int_t)external->head.n_steps, "seed",
                  (json_int_t)(external->seed & SEED_MASK));
    status = ask(external, request, (struct reply_form){.kind = REPLY_HELLO}, &reply, poll, err);
    external->head.can = reply.can;
    return status;
}

enum mix_status mix_trainee_external(const struct mix_external_options *options,
                                     struct mix_trainee **out, struct mix_poll *poll,
                                     struct mix_error *err)
{
    if (options->n_groups == 0 || !(options->answer_s > 0.0) || !(options->grace_s >= 0.0))
        return mix_fail(err, MIX_EINVAL,
                        "an external trainer of %zu groups, answers within %g s, grace %g s: "
                        "allowed are 1 or more, more than 0 s, 0 s or more.",
                        options->n_groups, options->answer_s, options->grace_s);
    struct external *external = calloc(1, sizeof *external);
    if (external == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for an external trainer.");
    enum mix_status status = copy_options(options, external, err);
    if (status == MIX_OK)
        status = start_child(options, external, err);
    if (status == MIX_OK)
        status = say_hello(external, poll, err);
    if (status == MIX_OK) {
        *out = &external->head;
        return MIX_OK;
    }
    destroy(&external->head);
    return status == MIX_ENOMEM || status == MIX_EINTERRUPTED ? status : MIX_EINVAL;
}
