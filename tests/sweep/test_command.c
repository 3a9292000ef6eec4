/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command evaluator: what a command is told, what becomes of how it ends, what stays behind. */
#include "sweep/sweep_help.h"

#include <signal.h>
#include <sys/stat.h>
#include <time.h>

#include "mixsweep/child.h"
#include "sweep/placeholders.h"

/* A job whose command is the shell script `script` (a YAML block), with more keys of the command.
 */
static struct mix_job *job_of(const char *mixtures, const char *keys, const char *script)
{
    char text[8192], indented[4096] = "", *to = indented;
    for (const char *at = script; *at; at++) {
        if (at == script || at[-1] == '\n')
            to = stpcpy(to, "        ");
        *to++ = *at;
        *to = '\0';
    }
    const int n =
        snprintf(text, sizeof text,
                 "job: cmd\nfile: cmd.h5\n"
                 "domains: [{name: web, supply_tokens: 1e9}, {name: code}]\n"
                 "design: {mixtures: %s, replicates: 1}\n"
                 "scales: [{n_params: 60e6, n_tokens: 2e9, checkpoints: [1e9, 2e9]}]\n"
                 "sweep:\n  evaluator: command\n  command:\n"
                 "    shell: true\n    backoff: 0s\n%s%s    argv: |\n%s\n",
                 mixtures, strstr(keys, "result:") ? "" : "    result: stdout\n", keys, indented);
    assert_true(n > 0 && (size_t)n < sizeof text);
    struct mix_job *job = parse(text);
    job->command.grace_s = 0.2; /* shorter than a job file may say */
    return job;
}

static struct mix_table *run_job(struct mix_job *job)
{
    assert_int_equal(system("rm -rf cmd.h5*"), 0);
    struct mix_table *table = sweep_new(job);
    mix_job_destroy(job);
    return table;
}

static const char *metadata_of(const struct mix_table *table, size_t row)
{
    return table->metadata[row] ? table->metadata[row] : "";
}

static void assert_says(const char *text, const char *what)
{
    if (!strstr(text, what))
        fail_msg("\"%s\" does not say \"%s\"", text, what);
}

static char *read_text(const char *path)
{
    static char text[65536];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    const size_t n = fread(text, 1, sizeof text - 1, file);
    text[n] = '\0';
    fclose(file);
    return text;
}

/* ---- placeholders */

static void test_placeholders_and_variables_say_the_same(void **state)
{
    (void)state;
    static const char script[] =
        "printf '%s\\n' {run_id} {key} {attempt} {mixture_json} {params} {tokens} {checkpoints} "
        "{seed} {recipe} {schedule} {h:web} {h:code} {gpus} {cpus} {nodes} > {run_dir}/args\n"
        "cmp {mixture_file} - <<END && cat {run_dir}/run.json > /dev/null\n"
        "$(printf %s \"$MIXSWEEP_MIXTURE\")\n"
        "END\n"
        "printf '%s\\n' \"$MIXSWEEP_RUN\" \"$MIXSWEEP_KEY\" \"$MIXSWEEP_ATTEMPT\" "
        "\"$MIXSWEEP_MIXTURE\" \"$MIXSWEEP_PARAMS\" \"$MIXSWEEP_TOKENS\" "
        "\"$MIXSWEEP_CHECKPOINTS\" \"$MIXSWEEP_SEED\" \"$MIXSWEEP_RECIPE\" "
        "\"$MIXSWEEP_SCHEDULE\" > \"$MIXSWEEP_RUN_DIR/env\"\n"
        "cp -r {run_dir} kept; echo '{{\"web\": 2.5}}'";
    assert_int_equal(system("rm -rf kept"), 0);
    struct mix_table *table = run_job(job_of("1", "", script));
    assert_int_equal(table->n_rows, 1);
    assert_int_equal(table->runs[0].status, MIX_RUN_DONE);
    assert_true(table->loss[0] == 2.5 && isnan(table->loss[1]));
    char expected[1024];
    const struct mix_run *run = &table->runs[0];
    snprintf(expected, sizeof expected,
             "%s\n%016llx%016llx\n1\n{\"web\":%g,\"code\":%g}\n60000000\n2000000000\n"
             "1000000000,2000000000\n%llu\n\n\n",
             run->run, (unsigned long long)run->key.hi, (unsigned long long)run->key.lo,
             table->asked[0], table->asked[1], (unsigned long long)run->seed);
    assert_string_equal(read_text("kept/env"), expected);
    const size_t n = strlen(expected);
    snprintf(expected + n, sizeof expected - n, "%g\n%g\n0\n0\n1\n", table->asked[0],
             table->asked[1]);
    assert_string_equal(read_text("kept/args"), expected);
    const char *json = read_text("kept/run.json");
    snprintf(expected, sizeof expected, "\"run_id\": \"%s\"", run->run);
    assert_says(json, expected);
    assert_says(json, "\"params\": 60000000");
    assert_says(json, "\"targets\": [");
    mix_table_destroy(table);
}

/* Values are never read as a command, wherever they stand. */
static void test_values_are_safe_in_a_shell(void **state)
{
    (void)state;
    static const char script[] = "# don't {{mind}} the quote\n"
                                 "printf '%s\\n' {recipe} \"{recipe}\" '{recipe}' "
                                 "\"$(printf %s '{recipe}')\" x{recipe}y \\'{seed} > said\n"
                                 "echo '{{\"web\": 1}}'";
    static const char nasty[] = "a'b  \"c $(touch hacked) `touch hacked` ; touch hacked #";
    struct mix_job *job = job_of("1", "", script);
    snprintf(job->recipe, sizeof job->recipe, "%s", nasty);
    unlink("hacked");
    struct mix_table *table = run_job(job);
    char expected[1024];
    snprintf(expected, sizeof expected, "%s\n%s\n%s\n%s\nx%sy\n'%llu\n", nasty, nasty, nasty, nasty,
             nasty, (unsigned long long)table->runs[0].seed);
    assert_string_equal(read_text("said"), expected);
    assert_int_equal(access("hacked", F_OK), -1);
    mix_table_destroy(table);
}

static void test_templates(void **state)
{
    (void)state;
    struct mix_job *job = job_of("1", "", "x");
    struct mix_error err = {.text = ""};
    struct mix_template *text = NULL;
    const char *values[MIX_VALUES + 2];
    for (size_t v = 0; v < MIX_VALUES + 2; v++)
        values[v] = v < MIX_VALUES ? mix_value_placeholder(v) : v == MIX_VALUES ? "0.25" : "0.75";
    static const char *const good[][2] = {
        {"", ""},
        {"--n={params}", "--n=params"},
        {"{h:code}{h:web}", "0.750.25"},
        {"{{params}} {{}} }{{", "{params} {} }{"},
        {"${HOME} ${A:-${B}} {{${C}}}", "${HOME} ${A:-${B}} {${C}}"},
        {"$ {params}$", "$ params$"},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(mix_template_create(job, "k", good[i][0], false, &text, &err), MIX_OK);
        char *filled = mix_template_fill(text, values);
        assert_string_equal(filled, good[i][1]);
        free(filled);
        mix_template_destroy(text);
    }
    static const char *const bad[][2] = {
        {"{param}", "job cmd, k: there is no placeholder {param}; known are {run_id} {key}"},
        {"{}", "there is no placeholder {}"},
        {"{h:wiki}", "{h:wiki} names no domain of the job"},
        {"a {params", "a { without its }"},
        {"{", "a { without its }"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(mix_template_create(job, "k", bad[i][0], false, &text, &err), MIX_EINVAL);
        assert_says(err.text, bad[i][1]);
    }
    mix_job_destroy(job);
}

static void test_unknown_placeholder_is_an_error_of_the_job(void **state)
{
    (void)state;
    const struct mix_sweep_options options = {.stop_before_s = NAN};
    struct mix_error err = {.text = ""};
    struct mix_job *job = job_of("1", "", "echo {mixture}");
    unlink(job->file);
    assert_int_equal(sweep_with(job, &options, NULL, &err), MIX_EINVAL);
    assert_says(err.text, "sweep.command.argv: there is no placeholder {mixture}");
    mix_job_destroy(job);
}

/* ---- how it ends */

static void test_retry_until_it_works(void **state)
{
    (void)state;
    struct mix_table *table =
        run_job(job_of("3", "    retries: 2\n",
                       "test {attempt} -gt 2 || exit 3\necho '{{\"web\": 1, \"code\": 2}}'"));
    assert_int_equal(table->n_rows, 3);
    for (size_t r = 0; r < 3; r++) {
        assert_int_equal(table->runs[r].status, MIX_RUN_DONE);
        assert_int_equal(table->runs[r].attempts, 3);
        assert_int_equal(table->runs[r].exit_code, 0);
        assert_true(table->loss[2 * r + 1] == 2);
        assert_true(table->runs[r].wall_s >= 0 && table->runs[r].started > 1e9);
        assert_true(table->runs[r].host[0] != '\0');
    }
    mix_table_destroy(table);
}

/* Runs `script` as a job of one run and checks the row of its failure. */
static void assert_fails(const char *keys, const char *script, int attempts, int exit_code,
                         const char *reason, const char *metadata)
{
    struct mix_table *table = run_job(job_of("1", keys, script));
    assert_int_equal(table->n_rows, 1);
    assert_int_equal(table->runs[0].status, MIX_RUN_FAILED);
    assert_says(table->runs[0].reason, reason);
    assert_int_equal(table->runs[0].attempts, attempts);
    assert_int_equal(table->runs[0].exit_code, exit_code);
    assert_says(metadata_of(table, 0), metadata);
    assert_true(isnan(table->loss[0]));
    mix_table_destroy(table);
}

static void test_failures_are_stored_with_their_reason(void **state)
{
    (void)state;
    assert_fails("    retries: 1\n", "echo one >&2; echo two >&2; exit 3", 2, 3, "exit code 3",
                 "{\"stderr\":\"one\\ntwo\"}");
    assert_fails("    retries: 5\n    fatal_exit: [4]\n", "exit 4", 1, 4, "exit code 4",
                 "\"final\":true");
    assert_fails("    retries: 0\n", "kill -SEGV $$", 1, 128 + SIGSEGV, "signal 11", "");
    assert_fails("    retries: 5\n", "echo '{{\"loss\": {{\"web\": NaN}}}}'", 1, 0,
                 "stdout: the loss of web is not finite", "\"final\":true");
    assert_fails("    retries: 0\n", "echo hello", 1, 0, "stdout: it is not JSON", "");
    assert_fails("    retries: 0\n", "true", 1, 0, "stdout: it is empty", "");
    assert_fails("    retries: 0\n    result: file\n", "true", 1, 0, "no result.json", "");
    assert_fails("    retries: 0\n    result: file\n", "mkdir {result_file}", 1, 0,
                 "result.json: ", "is not a plain file");
    assert_fails("    retries: 0\n    loss_range: [0, 9]\n", "echo '{{\"code\": 9.5}}'", 1, 0,
                 "the loss of code, 9.5, is outside 0 to 9", "");
}

static void test_reason_and_stderr_are_cut(void **state)
{
    (void)state;
    struct mix_table *table =
        run_job(job_of("1", "    retries: 0\n",
                       "seq 100000 >&2; printf 'last \\377\\001 words' >&2\n"
                       "echo '{{\"a name that nobody knows and that is long\": 1}}'"));
    assert_true(strlen(table->runs[0].reason) == MIX_NAME_MAX - 1);
    assert_says(metadata_of(table, 0), "{\"reason\":\"stdout: it has neither ");
    assert_says(metadata_of(table, 0), "nor a target (web, code)\"");
    assert_says(metadata_of(table, 0), "99999\\n100000\\nlast ?? words\"}");
    assert_true(strlen(metadata_of(table, 0)) < 4096);
    mix_table_destroy(table);
}

static void test_huge_output_is_no_trouble(void **state)
{
    (void)state;
    struct mix_table *table = run_job(
        job_of("1", "",
               "head -c 9000000 /dev/zero | tr '\\0' x; echo; echo '{{\"web\": 1}}'; echo; echo"));
    assert_int_equal(table->runs[0].status, MIX_RUN_DONE);
    mix_table_destroy(table);
    assert_fails("    retries: 0\n", "head -c 2000000 /dev/zero | tr '\\0' x", 1, 0,
                 "stdout: its last line is too long", "");
    assert_fails("    retries: 0\n    result: file\n", "head -c 2000000 /dev/zero > {result_file}",
                 1, 0, "result.json: it has more than", "");
}

/* Exit code 75 asks for another start and uses up no attempt; the folder is the same again. */
static void test_requeue(void **state)
{
    (void)state;
    struct mix_job *job = job_of("1", "    retries: 0\n",
                                 "if test -e {run_dir}/seen; then echo '{{\"web\": 1}}'\n"
                                 "else touch {run_dir}/seen; sleep 1; exit 75; fi");
    struct mix_table *table = run_job(job);
    assert_int_equal(table->n_rows, 1);
    assert_int_equal(table->runs[0].status, MIX_RUN_DONE);
    assert_int_equal(table->runs[0].attempts, 1);
    mix_table_destroy(table);
}

/* The result of an earlier attempt is not taken for that of a later one. */
static void test_old_results_do_not_count(void **state)
{
    (void)state;
    assert_fails("    retries: 1\n    result: file\n",
                 "if test {attempt} = 1; then echo '{{\"web\": 1}}' > {result_file}; exit 1; fi", 2,
                 0, "no result.json", "");
    assert_fails("    retries: 1\n",
                 "if test {attempt} = 1; then echo '{{\"web\": 1}}'; exit 1; fi", 2, 0,
                 "stdout: it is empty", "");
}

static bool is_alive(long pid)
{
    char path[64], text[512] = "";
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    const size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[n] = '\0';
    const char *end = strrchr(text, ')');
    return end && end[2] != 'Z' && end[2] != 'X';
}

static void assert_ends(const char *path)
{
    const long pid = strtol(read_text(path), NULL, 10);
    assert_true(pid > 1);
    for (int i = 0; i < 500 && is_alive(pid); i++)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    assert_false(is_alive(pid));
}

/* A command that ignores SIGTERM, and its child, are killed after the grace. */
static void test_time_limit_reaches_the_whole_group(void **state)
{
    (void)state;
    struct mix_job *job = job_of("1", "    retries: 0\n",
                                 "trap '' TERM; sleep 1000 & echo $! > child; echo $$ > parent\n"
                                 "while :; do sleep 1000; done");
    job->command.time_limit_s = 0.3;
    const double start_s = mix_clock_s();
    struct mix_table *table = run_job(job);
    assert_true(mix_clock_s() - start_s >= 0.5);
    assert_int_equal(table->runs[0].status, MIX_RUN_FAILED);
    assert_string_equal(table->runs[0].reason, "time limit of 0.3 s");
    assert_ends("child");
    assert_ends("parent");
    mix_table_destroy(table);
}

/* One that heeds it has its grace, and its result counts. */
static void test_time_limit_leaves_time_to_save(void **state)
{
    (void)state;
    struct mix_job *job =
        job_of("1", "    retries: 0\n",
               "trap 'echo \"{{\\\"web\\\": 3}}\"; exit 0' TERM; sleep 1000 & wait $!");
    job->command.time_limit_s = 0.3;
    job->command.grace_s = 60;
    struct mix_table *table = run_job(job);
    assert_int_equal(table->runs[0].status, MIX_RUN_DONE);
    assert_true(table->loss[0] == 3);
    mix_table_destroy(table);
}

/* A run that is over its time limit has failed, whatever code it ends with. */
static void test_time_limit_comes_before_requeue(void **state)
{
    (void)state;
    struct mix_job *job =
        job_of("1", "    retries: 0\n", "trap 'exit 75' TERM; sleep 1000 & wait $!");
    job->command.time_limit_s = 0.3;
    job->command.grace_s = 60;
    struct mix_table *table = run_job(job);
    assert_int_equal(table->runs[0].status, MIX_RUN_FAILED);
    assert_says(table->runs[0].reason, "time limit of 0.3 s");
    mix_table_destroy(table);
}

/* What a command leaves running goes when it ends. */
static void test_processes_left_behind_are_killed(void **state)
{
    (void)state;
    struct mix_table *table =
        run_job(job_of("1", "", "sleep 1000 & echo $! > child; echo '{{\"web\": 1}}'"));
    assert_int_equal(table->runs[0].status, MIX_RUN_DONE);
    assert_ends("child");
    mix_table_destroy(table);
}

/* ---- what stays */

static int count_folders(void)
{
    FILE *list = popen("ls -d cmd.h5.runs/* 2> /dev/null | wc -l", "r");
    int n = -1;
    assert_non_null(list);
    assert_int_equal(fscanf(list, "%d", &n), 1);
    pclose(list);
    return n;
}

static void test_folders_are_kept_as_asked(void **state)
{
    (void)state;
    static const char script[] = "case {h:web} in 0.5) exit 1;; esac; mkdir -p {run_dir}/a/b\n"
                                 "ln -s / {run_dir}/a/link; echo '{{\"web\": 1}}'";
    static const struct {
        const char *keys;
        int n_left;
    } cases[] = {{"    retries: 0\n", 1},
                 {"    retries: 0\n    keep: all\n", 3},
                 {"    retries: 0\n    keep: none\n", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mix_table *table = run_job(job_of("3", cases[i].keys, script));
        size_t n_failed = 0;
        for (size_t r = 0; r < table->n_rows; r++)
            n_failed += table->runs[r].status == MIX_RUN_FAILED;
        assert_int_equal(n_failed, 1); /* the prior, which is even here */
        assert_int_equal(count_folders(), cases[i].n_left);
        assert_int_equal(access("cmd.h5.runs", F_OK), cases[i].n_left > 0 ? 0 : -1);
        mix_table_destroy(table);
    }
}

static void test_run_dir_is_expanded(void **state)
{
    (void)state;
    struct mix_error err = {.text = ""};
    const struct mix_sweep_options options = {.stop_before_s = NAN};
    setenv("SOME_PLACE", "deep/er", 1);
    struct mix_job *job = job_of("1", "    run_dir: ${SOME_PLACE}/x\n    keep: all\n",
                                 "pwd; echo {run_dir}; echo '{{\"web\": 1}}'");
    assert_int_equal(system("rm -rf deep"), 0);
    mix_table_destroy(run_job(job));
    assert_int_equal(system("test -f deep/er/x/*/stdout && grep -q /deep/er/x/ deep/er/x/*/stdout "
                            "&& head -n 1 deep/er/x/*/stdout | grep -qxF \"$PWD\""),
                     0);
    unsetenv("SOME_PLACE");
    job = job_of("1", "    run_dir: ${SOME_PLACE}/x\n", "true");
    assert_int_equal(sweep_with(job, &options, NULL, &err), MIX_OK); /* it is done */
    unlink(job->file);
    assert_int_equal(sweep_with(job, &options, NULL, &err), MIX_EINVAL);
    assert_says(err.text, "the variable SOME_PLACE is not set");
    mix_job_destroy(job);
}

static void test_environment_is_scrubbed(void **state)
{
    (void)state;
    setenv("OMPI_COMM_WORLD_RANK", "3", 1);
    for (int scrub = 0; scrub < 2; scrub++) {
        struct mix_table *table = run_job(
            job_of("1", scrub ? "    environment: {WHO: 'run {attempt}'}\n" : "    scrub: false\n",
                   "echo '{{\"web\": 1, \"who\": \"'\"$WHO ${OMPI_COMM_WORLD_RANK-none}\"'\"}}'"));
        assert_string_equal(metadata_of(table, 0),
                            scrub ? "{\"who\":\"run 1 none\"}" : "{\"who\":\" 3\"}");
        mix_table_destroy(table);
    }
    unsetenv("OMPI_COMM_WORLD_RANK");
}

/* ---- many, and interrupted */

struct seen {
    size_t n_most, stop_at, n_done;
};

static void see(void *context, const struct mix_sweep_progress *progress)
{
    struct seen *seen = context;
    seen->n_most = progress->n_running > seen->n_most ? progress->n_running : seen->n_most;
    seen->n_done = progress->n_done;
    if (seen->stop_at > 0 && progress->n_done >= seen->stop_at) {
        seen->stop_at = 0;
        raise(SIGUSR1);
    }
}

static void test_many_slots(void **state)
{
    (void)state;
    struct seen seen = {0};
    const struct mix_sweep_options options = {
        .stop_before_s = NAN, .progress = see, .progress_context = &seen};
    struct mix_error err = {.text = ""};
    struct mix_job *job = job_of("40", "    slots: 20\n", "sleep 0.3; echo '{{\"web\": {h:web}}}'");
    unlink(job->file);
    assert_int_equal(sweep_with(job, &options, NULL, &err), MIX_OK);
    assert_int_equal(seen.n_done, 40);
    assert_true(seen.n_most > 1 && seen.n_most <= 20);
    struct mix_table *table = read_runs(job->file);
    for (size_t r = 0; r < 40; r++)
        assert_true(table->loss[2 * r] == table->asked[2 * r]);
    mix_table_destroy(table);
    mix_job_destroy(job);
}

/* Interrupted by a signal: what runs is told, what is finished stays, the rest is done by the next
 * sweep, and the result is that of an undisturbed one. */
static void test_interrupted_and_resumed(void **state)
{
    (void)state;
    static const char script[] = "test {attempt} = 1 || exit 1; sleep 0.2; "
                                 "echo '{{\"web\": {h:web}, \"code\": 0{seed}}}' | tr -s 0 1";
    struct seen seen = {.stop_at = 3};
    const struct mix_sweep_options options = {
        .stop_before_s = NAN, .progress = see, .progress_context = &seen};
    struct mix_sweep_progress after;
    struct mix_error err = {.text = ""};
    struct mix_table *whole = run_job(job_of("12", "    slots: 4\n", script));
    struct mix_job *job = job_of("12", "    slots: 4\n", script);
    unlink(job->file);
    mix_signals_install();
    assert_int_equal(sweep_with(job, &options, &after, &err), MIX_EINTERRUPTED);
    assert_says(err.text, "interrupted: cmd.h5 keeps ");
    assert_true(after.n_done >= 3 && after.n_done < 12);
    struct mix_table *part = read_runs(job->file);
    size_t n_interrupted = 0;
    for (size_t r = 0; r < part->n_rows; r++)
        if (part->runs[r].status == MIX_RUN_INTERRUPTED) {
            assert_string_equal(part->runs[r].reason, "interrupted");
            assert_int_equal(part->runs[r].attempts, 0);
            n_interrupted++;
        }
    assert_true(n_interrupted > 0);
    assert_int_equal(part->n_rows, after.n_done + n_interrupted);
    mix_signals_install();
    assert_int_equal(sweep_with(job, &options, &after, &err), MIX_OK);
    assert_int_equal(after.n_done, 12);
    struct mix_table *resumed = read_runs(job->file);
    assert_int_equal(resumed->n_rows, 12);
    assert_memory_equal(resumed->loss, whole->loss, 24 * sizeof(double));
    for (size_t r = 0; r < 12; r++)
        assert_int_equal(resumed->runs[r].attempts, 1);
    mix_table_destroy(part);
    mix_table_destroy(whole);
    mix_table_destroy(resumed);
    mix_job_destroy(job);
}

/* Failed runs stay failed, until they are asked for. */
static void test_failed_runs_are_tried_again_when_asked(void **state)
{
    (void)state;
    struct mix_sweep_options options = {.stop_before_s = NAN};
    struct mix_sweep_progress count, after;
    struct mix_error err = {.text = ""};
    struct mix_job *job =
        job_of("4", "    retries: 1\n", "test -e mended || exit 1; echo '{{\"web\": 1}}'");
    unlink("mended");
    unlink(job->file);
    assert_int_equal(sweep_with(job, &options, &after, &err), MIX_OK);
    assert_int_equal(after.n_failed, 4);
    fclose(fopen("mended", "w"));
    assert_int_equal(sweep_with(job, &options, &after, &err), MIX_OK);
    assert_int_equal(after.n_failed, 4);
    struct mix_table *table = read_runs(job->file);
    job->command.n_retries = 2; /* allowed one more: all of them are to be tried again */
    assert_int_equal(mix_sweep_count(job, table, &options, &count, &err), MIX_OK);
    assert_int_equal(count.n_again, 4);
    assert_int_equal(count.n_waiting, 4);
    job->command.n_retries = 1;
    options.retry_failed = true;
    assert_int_equal(mix_sweep_count(job, table, &options, &count, &err), MIX_OK);
    assert_int_equal(count.n_again, 4);
    assert_int_equal(sweep_with(job, &options, &after, &err), MIX_OK);
    assert_int_equal(after.n_done, 4);
    mix_table_destroy(table);
    table = read_runs(job->file);
    assert_int_equal(table->n_rows, 4);
    assert_int_equal(table->runs[0].attempts, 1);
    mix_table_destroy(table);
    mix_job_destroy(job);
}

static void test_sweep_ends_after_many_failures(void **state)
{
    (void)state;
    const struct mix_sweep_options options = {.stop_before_s = NAN};
    struct mix_sweep_progress after;
    struct mix_error err = {.text = ""};
    struct mix_job *job = job_of("12", "    retries: 0\n    max_failures: 3\n", "exit 1");
    unlink(job->file);
    assert_int_equal(sweep_with(job, &options, &after, &err), MIX_EINVAL);
    assert_says(err.text, "3 tasks failed");
    assert_int_equal(after.n_failed, 3);
    struct mix_table *table = read_runs(job->file);
    assert_int_equal(table->n_rows, 3);
    mix_table_destroy(table);
    mix_job_destroy(job);
}

/* A command that is not there is a mistake in the job: nothing is stored. */
static void test_missing_program_ends_the_sweep(void **state)
{
    (void)state;
    const struct mix_sweep_options options = {.stop_before_s = NAN};
    struct mix_error err = {.text = ""};
    struct mix_job *job =
        parse("job: cmd\nfile: cmd.h5\ndomains: [{name: web}, {name: code}]\n"
              "design: {mixtures: 3}\nscales: [{n_params: 1e6, n_tokens: 1e9}]\n"
              "sweep: {evaluator: command, command: {argv: [no-such-program]}}\n");
    unlink(job->file);
    assert_int_equal(sweep_with(job, &options, NULL, &err), MIX_ENOTFOUND);
    assert_says(err.text, "job cmd, sweep.command: there is no program \"no-such-program\"");
    struct mix_table *table = read_runs(job->file);
    assert_int_equal(table->n_rows, 0);
    mix_table_destroy(table);
    mix_job_destroy(job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_placeholders_and_variables_say_the_same),
        cmocka_unit_test(test_values_are_safe_in_a_shell),
        cmocka_unit_test(test_templates),
        cmocka_unit_test(test_unknown_placeholder_is_an_error_of_the_job),
        cmocka_unit_test(test_retry_until_it_works),
        cmocka_unit_test(test_failures_are_stored_with_their_reason),
        cmocka_unit_test(test_reason_and_stderr_are_cut),
        cmocka_unit_test(test_huge_output_is_no_trouble),
        cmocka_unit_test(test_requeue),
        cmocka_unit_test(test_old_results_do_not_count),
        cmocka_unit_test(test_time_limit_reaches_the_whole_group),
        cmocka_unit_test(test_time_limit_leaves_time_to_save),
        cmocka_unit_test(test_time_limit_comes_before_requeue),
        cmocka_unit_test(test_processes_left_behind_are_killed),
        cmocka_unit_test(test_folders_are_kept_as_asked),
        cmocka_unit_test(test_run_dir_is_expanded),
        cmocka_unit_test(test_environment_is_scrubbed),
        cmocka_unit_test(test_many_slots),
        cmocka_unit_test(test_interrupted_and_resumed),
        cmocka_unit_test(test_failed_runs_are_tried_again_when_asked),
        cmocka_unit_test(test_sweep_ends_after_many_failures),
        cmocka_unit_test(test_missing_program_ends_the_sweep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
