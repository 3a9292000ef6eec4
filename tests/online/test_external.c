/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A program as a trainee: jobs/steer.py, and programs that answer wrongly, late or not
 * at all. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "online/reply.h"

enum { M = 2 };

static const char *const groups[M] = {"web", "code"};

/* An observation with room for M groups. */
struct seen {
    struct mix_observation o;
    double loss[M], train_loss[M], reference_loss[M], alignment[M * M], train_norm[M];
};

static void point(struct seen *seen)
{
    seen->o = (struct mix_observation){.loss = seen->loss,
                                       .train_loss = seen->train_loss,
                                       .reference_loss = seen->reference_loss,
                                       .alignment = seen->alignment,
                                       .train_norm = seen->train_norm};
}

static enum mix_status start(char *const *argv, double answer_s, struct mix_trainee **out,
                             struct mix_error *err)
{
    const struct mix_external_options options = {.argv = argv,
                                                 .n_groups = M,
                                                 .groups = groups,
                                                 .n_steps = 100,
                                                 .seed = 7,
                                                 .answer_s = answer_s,
                                                 .grace_s = 0.05};
    return mix_trainee_external(&options, out, NULL, err);
}

static enum mix_status start_script(const char *script, double answer_s, struct mix_trainee **out,
                                    struct mix_error *err)
{
    char *text = strdup(script);
    char *argv[] = {"/bin/sh", "-c", text, NULL};
    assert_non_null(text);
    const enum mix_status status = start(argv, answer_s, out, err);
    free(text);
    return status;
}

static void assert_no_child_is_left(void)
{
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

#define HELLO "read -r a; echo '{\"id\": 0, \"protocol\": 1, \"can\": [\"fork\"]}'; "

/* ---- the example */

static struct mix_trainee *start_example(void)
{
    const char *python = getenv("MIXSWEEP_PYTHON"), *tests = getenv("MIXSWEEP_TESTS");
    char path[4096], program[4096];
    struct mix_trainee *trainee = NULL;
    struct mix_error err = {.text = ""};
    if (tests == NULL)
        skip();
    (void)snprintf(path, sizeof path, "%s/../jobs/steer.py", tests);
    (void)snprintf(program, sizeof program, "%s", python != NULL ? python : "python3");
    char *argv[] = {program, path, NULL};
    if (start(argv, 60.0, &trainee, &err) != MIX_OK)
        fail_msg("%s", err.text);
    return trainee;
}

static void train(struct mix_trainee *trainee, double first, uint64_t n_steps, bool exact)
{
    struct mix_error err = {.text = ""};
    double mixture[M] = {first, 1.0 - first};
    const struct mix_segment segment = {.n_steps = n_steps, .mixture = mixture, .exact = exact};
    if (trainee->kind->train(trainee, &segment, NULL, &err) != MIX_OK)
        fail_msg("%s", err.text);
}

static void measure(struct mix_trainee *trainee, struct seen *seen)
{
    struct mix_error err = {.text = ""};
    point(seen);
    if (trainee->kind->measure(trainee, MIX_MEASURE_LOSS, &seen->o, NULL, &err) != MIX_OK)
        fail_msg("%s", err.text);
}

static void test_the_example_trains_forks_and_begins_anew(void **state)
{
    (void)state;
    struct mix_trainee *trainee = start_example();
    struct seen first, forked, end, again;
    double loss[M], se[M];
    assert_int_equal(trainee->can, MIX_CAN_FORK | MIX_CAN_SELECT);
    assert_int_equal(trainee->n_steps, 100);
    measure(trainee, &first);
    assert_true(fabs(first.loss[0] - log(8.0)) < 1e-12); /* it knows nothing yet */
    train(trainee, 0.9, 30, true);
    measure(trainee, &forked);
    assert_int_equal(forked.o.step, 30);
    assert_true(isnan(forked.o.learning_rate) && isnan(forked.train_loss[0]));
    assert_true(forked.loss[0] < first.loss[0] && forked.loss[0] < forked.loss[1]);
    assert_int_equal(trainee->kind->snapshot(trainee, 1, NULL, NULL), MIX_OK);
    train(trainee, 0.1, 50, false);
    measure(trainee, &end);
    assert_int_equal(end.o.step, 80);
    assert_true(end.loss[1] < forked.loss[1]);
    assert_int_equal(trainee->kind->restore(trainee, 1, NULL, NULL), MIX_OK);
    train(trainee, 0.1, 50, false);
    measure(trainee, &again);
    assert_int_equal(again.o.step, 80);
    assert_memory_equal(end.loss, again.loss, sizeof end.loss);
    assert_int_equal(trainee->kind->test(trainee, loss, se, NULL, NULL), MIX_OK);
    assert_true(loss[0] > 0.0 && loss[0] != end.loss[0] && isnan(se[0]));
    double select[M];
    mix_trainee_test_on(trainee, MIX_PART_SELECT);
    assert_int_equal(trainee->kind->test(trainee, select, se, NULL, NULL), MIX_OK);
    assert_true(select[0] != loss[0] && select[0] != end.loss[0]);
    mix_trainee_test_on(trainee, MIX_PART_TEST);
    assert_int_equal(trainee->kind->test(trainee, select, se, NULL, NULL), MIX_OK);
    assert_memory_equal(select, loss, sizeof loss);
    assert_int_equal(trainee->kind->restart(trainee, NULL, NULL), MIX_OK);
    measure(trainee, &again);
    assert_memory_equal(first.loss, again.loss, sizeof first.loss);
    assert_int_equal(again.o.step, 0);
    mix_trainee_destroy(trainee);
    assert_no_child_is_left();
}

static enum mix_status steer(struct mix_trainee *trainee, const char *method,
                             struct mix_trajectory *out, struct mix_error *err)
{
    const uint64_t n_steps = trainee->n_steps;
    const struct mix_method_setup setup = {
        .n_groups = M, .n_steps = n_steps, .seed = 1, .options = mix_online_defaults(M, n_steps)};
    struct mix_mixer *mixer = NULL;
    enum mix_status status = mix_mixer_create(mix_method_find(method), &setup, &mixer, err);
    if (status == MIX_OK)
        status = mix_online_steer(trainee, mixer, out, NULL, err);
    mix_mixer_destroy(mixer);
    return status;
}

static void test_aioli_steers_the_example_and_doge_cannot(void **state)
{
    (void)state;
    struct mix_trainee *trainee = start_example();
    struct mix_trajectory *trajectory = mix_trajectory_create(M);
    struct mix_error err = {.text = ""};
    assert_non_null(trajectory);
    if (steer(trainee, "aioli", trajectory, &err) != MIX_OK)
        fail_msg("%s", err.text);
    const double *first = trajectory->loss;
    const double *last = trajectory->loss + (trajectory->n_points - 1) * M;
    assert_int_equal(trajectory->n_steps, 100);
    assert_true(trajectory->n_rounds > 0);
    for (size_t i = 0; i < M; i++) {
        assert_true(last[i] < first[i] && trajectory->test[i] < first[i]);
        assert_true(isnan(trajectory->test_se[i]));
    }
    assert_int_equal(steer(trainee, "doge", trajectory, &err), MIX_EINVAL);
    assert_non_null(strstr(err.text, "doge needs a trainer that can "));
    mix_trajectory_destroy(trajectory);
    mix_trainee_destroy(trainee);
    assert_no_child_is_left();
}

static void test_what_a_trainer_cannot_do_is_not_asked(void **state)
{
    (void)state;
    struct mix_trainee *trainee = NULL;
    struct mix_error err = {.text = ""};
    struct seen seen;
    double mixture[M] = {0.5, 0.5};
    const struct mix_segment segment = {
        .n_steps = 1, .mixture = mixture, .weight = mixture, .weighted = true};
    point(&seen);
    assert_int_equal(start_script(HELLO "read -r a; exit 4", 60.0, &trainee, &err), MIX_OK);
    assert_int_equal(trainee->kind->freeze(trainee, NULL, &err), MIX_EINVAL);
    assert_non_null(strstr(err.text, "trainer /bin/sh -c has not said that it can do "
                                     "\"reference\""));
    assert_int_equal(trainee->kind->measure(trainee, MIX_MEASURE_GRADIENT, &seen.o, NULL, &err),
                     MIX_EINVAL);
    assert_non_null(strstr(err.text, "\"gradient\""));
    assert_int_equal(trainee->kind->measure(trainee, MIX_MEASURE_EXCESS, &seen.o, NULL, &err),
                     MIX_EINVAL);
    assert_int_equal(trainee->kind->train(trainee, &segment, NULL, &err), MIX_EINVAL);
    assert_non_null(strstr(err.text, "\"weight\""));
    assert_int_equal(trainee->kind->restore(trainee, 0, NULL, &err), MIX_EINVAL);
    assert_int_equal(trainee->kind->snapshot(trainee, -1, NULL, &err), MIX_EINVAL);
    assert_int_equal(trainee->kind->snapshot(trainee, 1 << 20, NULL, &err), MIX_EINVAL);
    /* but now it is: it has heard nothing up to here */
    assert_int_equal(trainee->kind->restart(trainee, NULL, &err), MIX_EIO);
    assert_non_null(strstr(err.text, "trainer /bin/sh -c, request \"restart\": it has ended with "
                                     "exit status 4 before it answered."));
    mix_trainee_destroy(trainee);
    assert_no_child_is_left();
}

/* ---- requests */

static void test_requests_are_as_documented(void **state)
{
    (void)state;
    /* Keeps what it is asked, and answers from a list. */
    static const char script[] =
        "rm -f asked; for answer in '\"protocol\": 1, \"can\": [\"weight\", \"fork\"]' '\"x\": 1' "
        "'\"loss\": {\"web\": 1, \"code\": 2}, \"learning_rate\": 0.5' '\"y\": []'; do "
        "read -r ask; echo \"$ask\" >>asked; echo \"{\\\"id\\\": $((n)), $answer}\"; n=$((n + 1)); "
        "done; cat >>asked";
    static const char *const expected[] = {
        "{\"do\":\"hello\",\"protocol\":1,\"groups\":[\"web\",\"code\"],\"n_steps\":100,"
        "\"seed\":7,\"id\":0}\n",
        "{\"do\":\"train\",\"mixture\":{\"web\":0.25,\"code\":0.75},\"n_steps\":3,\"exact\":true,"
        "\"weight\":{\"web\":2.0,\"code\":1.0},\"id\":1}\n",
        "{\"do\":\"measure\",\"what\":[\"loss\"],\"id\":2}\n",
        "{\"do\":\"snapshot\",\"slot\":5,\"id\":3}\n", "{\"do\": \"finish\"}\n"};
    struct mix_trainee *trainee = NULL;
    struct mix_error err = {.text = ""};
    struct seen seen;
    double mixture[M] = {0.25, 0.75}, weight[M] = {2.0, 1.0};
    const struct mix_segment segment = {
        .n_steps = 3, .mixture = mixture, .weight = weight, .weighted = true, .exact = true};
    const struct mix_segment nothing = {.n_steps = 0, .mixture = mixture};
    if (start_script(script, 60.0, &trainee, &err) != MIX_OK)
        fail_msg("%s", err.text);
    assert_int_equal(trainee->can, MIX_CAN_WEIGHT | MIX_CAN_FORK);
    assert_int_equal(trainee->kind->train(trainee, &segment, NULL, &err), MIX_OK);
    assert_int_equal(trainee->kind->train(trainee, &nothing, NULL, &err), MIX_OK);
    point(&seen);
    assert_int_equal(trainee->kind->measure(trainee, MIX_MEASURE_LOSS, &seen.o, NULL, &err),
                     MIX_OK);
    assert_true(seen.loss[0] == 1.0 && seen.loss[1] == 2.0 && seen.o.learning_rate == 0.5);
    assert_int_equal(seen.o.step, 3);
    assert_int_equal(trainee->kind->snapshot(trainee, 5, NULL, &err), MIX_OK);
    mix_trainee_test_on(trainee, MIX_PART_SELECT); /* which it has not said that it can */
    assert_false(trainee->on_select);
    mix_trainee_destroy(trainee);
    assert_no_child_is_left();
    FILE *asked = fopen("asked", "r");
    assert_non_null(asked);
    char line[512];
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        assert_non_null(fgets(line, sizeof line, asked));
        assert_string_equal(line, expected[i]);
    }
    assert_null(fgets(line, sizeof line, asked));
    fclose(asked);
    assert_int_equal(remove("asked"), 0);
}

static void test_its_stderr_is_ours(void **state)
{
    (void)state;
    struct mix_trainee *trainee = NULL;
    char line[64] = "";
    const int kept = dup(STDERR_FILENO);
    FILE *heard = tmpfile();
    assert_true(kept >= 0 && heard != NULL);
    assert_int_equal(dup2(fileno(heard), STDERR_FILENO), STDERR_FILENO);
    const enum mix_status status =
        start_script("echo loading the model >&2; " HELLO "read -r a", 60.0, &trainee, NULL);
    assert_int_equal(dup2(kept, STDERR_FILENO), STDERR_FILENO);
    assert_int_equal(status, MIX_OK);
    mix_trainee_destroy(trainee);
    rewind(heard);
    assert_non_null(fgets(line, sizeof line, heard));
    assert_string_equal(line, "loading the model\n");
    fclose(heard);
    close(kept);
}

/* ---- programs that fail */

static void test_a_program_that_cannot_be_a_trainer(void **state)
{
    (void)state;
    static const struct {
        const char *script, *why;
    } cases[] = {
        {"exit 3", "request \"hello\": it has ended with exit status 3 before it answered."},
        {"kill -9 $$", "request \"hello\": signal 9 has ended it before it answered."},
        {"exec >&-; read -r a; read -r b; read -r c", "closed its stdout instead of answering"},
        {"echo loading the model; read -r a", "\"loading the model\" on its stdout is no JSON"},
        {"echo '{\"id\": 0, \"protocol\": 2, \"can\": []}'", "\"protocol\" is 2; allowed is 1"},
        {"echo '{\"id\": 0, \"can\": []}'", "the answer lacks \"protocol\""},
        {"echo '{\"id\": 0, \"protocol\": 1}'", "the answer lacks \"can\""},
        {"echo '{\"id\": 0, \"protocol\": 1, \"can\": [\"fly\"]}'",
         "none of fork, weight, reference, gradient"},
        {"echo '{\"id\": 0, \"error\": \"no GPU\"}'", "it reports an error: no GPU."},
        {"head -c 1100000 /dev/zero | tr '\\0' x; read -r a; read -r b", "more than 1048576 bytes"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mix_trainee *trainee = NULL;
        struct mix_error err = {.text = ""};
        assert_int_equal(start_script(cases[i].script, 60.0, &trainee, &err), MIX_EINVAL);
        if (strstr(err.text, cases[i].why) == NULL)
            fail_msg("%s: %s", cases[i].script, err.text);
        assert_null(trainee);
        assert_no_child_is_left();
    }
    char *argv[] = {"/no/such/program", NULL};
    struct mix_trainee *trainee = NULL;
    struct mix_error err = {.text = ""};
    assert_int_equal(start(argv, 60.0, &trainee, &err), MIX_EINVAL);
    assert_non_null(strstr(err.text, "/no/such/program cannot be run"));
    char *quiet[] = {"/bin/cat", NULL}; /* says what it hears */
    assert_int_equal(start(quiet, 60.0, &trainee, &err), MIX_EINVAL);
    assert_int_equal(start(quiet, 0.0, &trainee, &err), MIX_EINVAL);
    assert_non_null(strstr(err.text, "answers within 0 s"));
}

static void test_a_program_that_never_answers(void **state)
{
    (void)state;
    struct mix_trainee *trainee = NULL;
    struct mix_error err = {.text = ""};
    /* Nor does it hear SIGTERM, and what it has started holds its stdout. */
    assert_int_equal(start_script("trap '' TERM; sleep 600", 0.2, &trainee, &err), MIX_EINVAL);
    assert_non_null(strstr(err.text, "request \"hello\": no answer within 0.2 s."));
    assert_no_child_is_left();
    err.text[0] = '\0';
    assert_int_equal(start_script(HELLO "sleep 600 & exit 0", 60.0, &trainee, &err), MIX_OK);
    assert_int_equal(trainee->kind->restart(trainee, NULL, &err), MIX_EIO);
    assert_non_null(strstr(err.text, "it has ended with exit status 0"));
    assert_int_equal(trainee->kind->restart(trainee, NULL, &err), MIX_EIO);
    assert_non_null(strstr(err.text, "is not asked any more: it has failed before."));
    mix_trainee_destroy(trainee);
    assert_no_child_is_left();
}

/* True once no process of this number runs any more; one that nobody has waited for does not. */
static bool is_gone(long pid)
{
    char path[64], state = 'Z';
    (void)snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return true;
    if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
        state = 'Z';
    fclose(file);
    return state == 'Z';
}

static void pause_10ms(void)
{
    (void)nanosleep(&(const struct timespec){.tv_nsec = 10000000}, NULL);
}

static void test_a_busy_program_does_not_outlive_us(void **state)
{
    (void)state;
    enum { TRIES = 6000 };
    long program = 0;
    (void)remove("busy");
    const pid_t us = fork();
    assert_true(us >= 0);
    if (us == 0) {
        struct mix_trainee *trainee = NULL;
        if (start_script(HELLO "read -r a; echo $$ >busy.new; mv busy.new busy; exec sleep 600",
                         600.0, &trainee, NULL) == MIX_OK)
            (void)trainee->kind->restart(trainee, NULL, NULL);
        _exit(1);
    }
    for (int i = 0; i < TRIES && program == 0; i++) {
        FILE *file = fopen("busy", "r");
        if (file != NULL && fscanf(file, "%ld", &program) != 1)
            program = -1;
        if (file != NULL)
            fclose(file);
        pause_10ms();
    }
    assert_true(program > 0 && !is_gone(program));
    assert_int_equal(kill(us, SIGKILL), 0);
    assert_int_equal(waitpid(us, NULL, 0), us);
    for (int i = 0; i < TRIES && !is_gone(program); i++)
        pause_10ms();
    assert_true(is_gone(program));
    assert_int_equal(remove("busy"), 0);
}

/* A task that would wait for 10 minutes. */
static enum mix_status wait_for_ever(void *context, size_t task, void *record,
                                     struct mix_poll *poll, struct mix_error *err)
{
    struct mix_external_options options = *(const struct mix_external_options *)context;
    struct mix_trainee *trainee = NULL;
    char *argv[] = {"/bin/sh", "-c", "sleep 600", NULL};
    (void)task, (void)record;
    options.argv = argv;
    return mix_trainee_external(&options, &trainee, poll, err);
}

static void test_a_stage_that_stops_does_not_wait_for_an_answer(void **state)
{
    (void)state;
    struct mix_external_options options = {
        .n_groups = M, .groups = groups, .n_steps = 1, .answer_s = 600.0, .grace_s = 600.0};
    const double begin_s = mix_clock_s();
    const struct mix_stage stage = {.name = "external",
                                    .n_tasks = 1,
                                    .run = wait_for_ever,
                                    .context = &options,
                                    .stop_s = begin_s + 0.2};
    assert_int_equal(mix_stage_run(NULL, &stage, NULL), MIX_EINTERRUPTED);
    assert_true(mix_clock_s() - begin_s < 300.0);
    assert_no_child_is_left();
}

static void test_a_program_that_answers_wrongly(void **state)
{
    (void)state;
    static const struct {
        const char *script, *why;
        enum mix_status status;
        bool may_go_on;
    } cases[] = {
        {"echo '{\"id\": 1, \"loss\": {\"web\": 1}}'",
         "request \"measure\": the answer lacks \"loss\" of code.", MIX_EFORMAT, false},
        {"echo '{\"id\": 1, \"loss\": {\"web\": 1, \"code\": NaN}}'",
         "\"loss\" of code is not finite", MIX_ENUMERIC, true},
        {"echo '{\"id\": 1, \"loss\": {\"web\": -Infinity, \"code\": 1}}'",
         "\"loss\" of web is not finite", MIX_ENUMERIC, true},
        {"echo '{\"id\": 1, \"loss\": {\"web\": \"1\", \"code\": 1}}'",
         "\"loss\" of web is not a number", MIX_EFORMAT, false},
        {"echo '{\"id\": 1, \"loss\": 3}'", "the answer lacks \"loss\": {\"web\": ...}",
         MIX_EFORMAT, false},
        {"echo '{\"id\": 1}'", "the answer lacks \"loss\"", MIX_EFORMAT, false},
        {"echo '{\"id\": 2, \"loss\": {\"web\": 1, \"code\": 2}}'",
         "the answer's \"id\" is 2, the request's is 1", MIX_EFORMAT, false},
        {"echo '{\"loss\": {\"web\": 1, \"code\": 2}}'", "the answer lacks \"id\"", MIX_EFORMAT,
         false},
        {"echo step 3 of 4; echo '{\"id\": 1}'", "\"step 3 of 4\" on its stdout is no JSON",
         MIX_EFORMAT, false},
        {"echo '[1]'", "\"[1]\" on its stdout is no JSON object", MIX_EFORMAT, false},
        {"echo", "\"\" on its stdout is no JSON object", MIX_EFORMAT, false},
        {"echo '{\"id\": 1, \"id\": 1}'", "is no JSON object", MIX_EFORMAT, false},
        {"printf '{\"id\": 1'; exit 0", "ended with exit status 0", MIX_EIO, false},
        {"echo '{\"id\": 1, \"error\": \"no\\u001btext\"}'", "it reports an error: no?text.",
         MIX_EINVAL, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char script[512];
        struct mix_trainee *trainee = NULL;
        struct mix_error err = {.text = ""};
        struct seen seen;
        (void)snprintf(script, sizeof script, HELLO "read -r a; %s; read -r b; echo '{\"id\": 2}'",
                       cases[i].script);
        assert_int_equal(start_script(script, 60.0, &trainee, &err), MIX_OK);
        point(&seen);
        assert_int_equal(trainee->kind->measure(trainee, MIX_MEASURE_LOSS, &seen.o, NULL, &err),
                         cases[i].status);
        if (strstr(err.text, cases[i].why) == NULL)
            fail_msg("%s: %s", cases[i].script, err.text);
        assert_int_equal(trainee->kind->restart(trainee, NULL, &err) == MIX_OK, cases[i].may_go_on);
        mix_trainee_destroy(trainee);
        assert_no_child_is_left();
    }
}

/* ---- the parser, on what only some trainers say */

static enum mix_status parse(struct reply_form form, const char *text, struct reply *out,
                             struct mix_error *err)
{
    char *bytes = strdup(text);
    assert_non_null(bytes);
    form.id = 9;
    form.n_groups = M;
    form.groups = groups;
    const enum mix_status status = reply_parse(&form, bytes, strlen(bytes), out, err);
    free(bytes);
    return status;
}

static void test_gradients_are_read_by_name(void **state)
{
    (void)state;
    const struct reply_form form = {.kind = REPLY_MEASURED,
                                    .measure = MIX_MEASURE_EXCESS | MIX_MEASURE_GRADIENT};
    struct seen seen;
    struct reply reply = {.seen = &seen.o};
    struct mix_error err = {.text = ""};
    point(&seen);
    assert_int_equal(
        parse(form,
              "{\"id\": 9, \"train_loss\": {\"code\": 2, \"web\": 1}, \"extra\": [1, {}], "
              "\"reference_loss\": {\"web\": 3, \"code\": 4}, \"validation_norm\": 0.5, "
              "\"train_norm\": {\"web\": 5, \"code\": 6}, \"alignment\": {\"code\": {\"web\": 7, "
              "\"code\": -8}, \"web\": {\"web\": 1e-3, \"code\": 10}}}",
              &reply, &err),
        MIX_OK);
    const double expected[M * M] = {1e-3, 10, 7, -8};
    assert_memory_equal(seen.alignment, expected, sizeof expected);
    assert_true(seen.train_loss[0] == 1 && seen.train_loss[1] == 2);
    assert_true(seen.reference_loss[0] == 3 && seen.reference_loss[1] == 4);
    assert_true(seen.train_norm[0] == 5 && seen.train_norm[1] == 6);
    assert_true(seen.o.validation_norm == 0.5);
    assert_int_equal(
        parse(form,
              "{\"id\": 9, \"train_loss\": {\"code\": 2, \"web\": 1}, "
              "\"reference_loss\": {\"web\": 3, \"code\": 4}, \"validation_norm\": 0.5, "
              "\"train_norm\": {\"web\": -5, \"code\": 6}, \"alignment\": {\"code\": {\"web\": 7, "
              "\"code\": -8}, \"web\": {\"web\": 9, \"code\": 10}}}",
              &reply, &err),
        MIX_EFORMAT);
    assert_string_equal(err.text, "\"train_norm\" of web is not a number of 0 or more");
}

static void test_a_test_has_standard_errors_where_they_are_said(void **state)
{
    (void)state;
    const struct reply_form form = {.kind = REPLY_TESTED};
    double loss[M], se[M];
    struct reply reply = {.loss = loss, .se = se};
    struct mix_error err = {.text = ""};
    assert_int_equal(parse(form,
                           "{\"id\": 9, \"loss\": {\"web\": 1, \"code\": 2}, \"se\": {\"web\": "
                           "0.1, \"code\": 0.2}}",
                           &reply, &err),
                     MIX_OK);
    assert_true(loss[1] == 2 && se[0] == 0.1 && se[1] == 0.2);
    assert_int_equal(
        parse(form, "{\"id\": 9, \"loss\": {\"web\": 1, \"code\": 2}, \"se\": {\"web\": 0.1}}",
              &reply, &err),
        MIX_EFORMAT);
    /* Words in strings are text. */
    assert_int_equal(parse(form,
                           "{\"id\": 9, \"loss\": {\"web\": 1, \"code\": 2}, \"note\": \"NaN \\\" "
                           "Infinity\"}",
                           &reply, &err),
                     MIX_OK);
    assert_true(isnan(se[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_example_trains_forks_and_begins_anew),
        cmocka_unit_test(test_aioli_steers_the_example_and_doge_cannot),
        cmocka_unit_test(test_what_a_trainer_cannot_do_is_not_asked),
        cmocka_unit_test(test_requests_are_as_documented),
        cmocka_unit_test(test_its_stderr_is_ours),
        cmocka_unit_test(test_a_program_that_cannot_be_a_trainer),
        cmocka_unit_test(test_a_program_that_never_answers),
        cmocka_unit_test(test_a_busy_program_does_not_outlive_us),
        cmocka_unit_test(test_a_stage_that_stops_does_not_wait_for_an_answer),
        cmocka_unit_test(test_a_program_that_answers_wrongly),
        cmocka_unit_test(test_gradients_are_read_by_name),
        cmocka_unit_test(test_a_test_has_standard_errors_where_they_are_said),
    };
    (void)signal(SIGPIPE, SIG_IGN); /* as the program does */
    return cmocka_run_group_tests_name("external", tests, NULL, NULL);
}
