/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The embedded evaluator: small language models, trained in a second. */
#include "sweep/sweep_help.h"

#include <jansson.h>

#include "sweep/evaluators.h"

enum { CONTEXT = 16, STEP = 4 * CONTEXT, TRAIN_BYTES = 4000, VALIDATION_BYTES = 2000 };

/* Two domains, `n_mixtures` mixtures, 100 steps; `domains`, `scale` and `embedded` are spliced in.
 */
static struct mix_job *small_job(size_t n_mixtures, const char *domains, const char *scale,
                                 const char *embedded)
{
    char text[4096];
    snprintf(text, sizeof text,
             "job: small\nfile: small.h5\nseed: 7\n%s\n"
             "design: {mixtures: %zu, replicates: 1, strength: [0.5, 4]}\n"
             "scales:\n  - {width: 16, layers: 1, heads: 2, context: 16, n_tokens: 6400%s}\n"
             "sweep: {evaluator: embedded, embedded: {batch: 4, learning_rate: 0.01%s}}\n",
             domains, n_mixtures, scale, embedded);
    return parse(text);
}

static const char skills[] = "domains: [{name: a, prior: 0.6}, {name: b, prior: 0.4}]";
static const char synthetic[] = ", synthetic: {bytes: 4000, validation_bytes: 2000, shared: 0.2}";

/* A target's number in the metadata of a row; 0 = it is not there. */
static double metadata(const struct mix_table *table, size_t row, const char *what,
                       const char *target)
{
    json_t *root = json_loads(table->metadata[row], 0, NULL);
    const json_t *numbers = json_object_get(root, what);
    const double value = json_number_value(json_object_get(numbers, target));
    json_decref(root);
    return value;
}

static size_t evaluated_bytes(const struct mix_table *table, size_t row, const char *target)
{
    return (size_t)metadata(table, row, "evaluated_bytes", target);
}

/* The sweep fails with this sentence. */
static void assert_refused(const struct mix_job *job, const char *sentence)
{
    const struct mix_sweep_options options = {.stop_before_s = NAN};
    struct mix_error err = {.text = ""};
    unlink(job->file);
    assert_int_not_equal(sweep_with(job, &options, NULL, &err), MIX_OK);
    if (!strstr(err.text, sentence))
        fail_msg("\"%s\" does not say \"%s\"", err.text, sentence);
}

static void write_lines(const char *path, const char *what, size_t n)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (size_t i = 0; i < n; i++)
        fprintf(file, "%s %zu is %zu\n", what, i, i * i % 97);
    assert_int_equal(fclose(file), 0);
}

static void test_embedded_rows_say_what_was_trained_and_measured(void **state)
{
    (void)state;
    struct mix_job *job = small_job(3, skills, ", checkpoints: 3", synthetic);
    struct mix_table *table = sweep_new(job);
    const struct mix_proxy_shape *shape = &job->scales[0].shape;
    size_t n_final = 0;
    assert_int_equal(table->n_rows, 9);
    for (size_t r = 0; r < table->n_rows; r++) {
        const struct mix_run *run = &table->runs[r];
        const double *asked = &table->asked[2 * r], *mixture = &table->mixture[2 * r];
        assert_int_equal(run->status, MIX_RUN_DONE);
        assert_true(run->n_params == (double)mix_proxy_n_params(shape, 1));
        assert_true(run->n_params_non_embedding == (double)mix_proxy_n_params(shape, 0));
        assert_true(run->n_params - run->n_params_non_embedding == 16.0 * (256 + CONTEXT));
        assert_true(run->n_tokens == 1600 || run->n_tokens == 3200 || run->n_tokens == 6400);
        assert_true(run->flops == mix_proxy_flops(shape, run->n_tokens));
        assert_int_equal(run->is_final, run->n_tokens == 6400);
        n_final += run->is_final != 0;
        for (size_t k = 0; k < 2; k++) { /* sequences of a domain: within 1 of its share */
            const double n_sequences = mixture[k] * run->n_tokens / CONTEXT;
            const double n_chunks = (TRAIN_BYTES - 1) / CONTEXT;
            assert_true(fabs(n_sequences - round(n_sequences)) < 1e-9);
            assert_true(fabs(n_sequences - asked[k] * run->n_tokens / CONTEXT) <= 1);
            assert_true(fabs(table->epochs[2 * r + k] - n_sequences / n_chunks) < 1e-12);
            assert_true(table->loss[2 * r + k] > 1 && table->loss[2 * r + k] < log(256));
            assert_true(table->loss_se[2 * r + k] > 0 && table->loss_se[2 * r + k] < 0.2);
        }
        assert_true(fabs(mixture[0] + mixture[1] - 1) < 1e-12);
        const size_t n_evaluated = (VALIDATION_BYTES - 1) / CONTEXT * CONTEXT;
        assert_int_equal(evaluated_bytes(table, r, "a"), n_evaluated);
        assert_int_equal(evaluated_bytes(table, r, "b"), n_evaluated);
        const double entropy = metadata(table, r, "entropy", "a");
        assert_true(entropy > 0 && entropy < table->loss[2 * r]);
    }
    assert_int_equal(n_final, 3);
    for (size_t r = 0; r < table->n_rows; r++) /* more training is better */
        for (size_t q = 0; q < table->n_rows; q++)
            if (strcmp(table->runs[r].run, table->runs[q].run) == 0 &&
                table->runs[r].n_tokens < table->runs[q].n_tokens)
                assert_true(table->loss[2 * r] + table->loss[2 * r + 1] >
                            table->loss[2 * q] + table->loss[2 * q + 1]);
    struct mix_table *again = sweep_new(job);
    assert_memory_equal(table->loss, again->loss, 18 * sizeof *table->loss);
    assert_memory_equal(table->loss_se, again->loss_se, 18 * sizeof *table->loss);
    mix_table_destroy(table);
    mix_table_destroy(again);
    mix_job_destroy(job);
}

/* Where checkpoints decay, the last one is that of a run without the others, bit for bit; where
 * they do not, too, and an early one is then that of an unfinished run. */
static void test_embedded_checkpoints_do_not_disturb(void **state)
{
    (void)state;
    static const char *const options[] = {"", ", decay: 0", ", decay_checkpoints: false"};
    double early[3] = {0};
    for (size_t o = 0; o < 3; o++) {
        char embedded[256];
        snprintf(embedded, sizeof embedded, "%s%s", options[o], synthetic);
        struct mix_job *plain = small_job(1, skills, "", embedded),
                       *job = small_job(1, skills, ", checkpoints: [1600, 3264, 6400]", embedded);
        struct mix_table *end = sweep_new(plain), *all = sweep_new(job);
        assert_int_equal(end->n_rows, 1);
        assert_int_equal(all->n_rows, 3);
        for (size_t r = 0; r < 3; r++) {
            if (all->runs[r].n_tokens == 3264)
                early[o] = all->loss[2 * r] + all->loss[2 * r + 1];
            if (!all->runs[r].is_final)
                continue;
            assert_memory_equal(&all->loss[2 * r], end->loss, 2 * sizeof *end->loss);
            assert_memory_equal(&all->mixture[2 * r], end->mixture, 2 * sizeof *end->loss);
            assert_memory_equal(&all->epochs[2 * r], end->epochs, 2 * sizeof *end->loss);
        }
        mix_table_destroy(end);
        mix_table_destroy(all);
        mix_job_destroy(plain);
        mix_job_destroy(job);
    }
    assert_true(early[0] != early[1]);
    assert_true(early[1] == early[2]); /* a decay of no steps is none */
}

static void test_embedded_divergence_is_a_failed_row(void **state)
{
    (void)state;
    struct mix_job *job =
        small_job(1, skills, ", checkpoints: [64, 6400]",
                  ", clip: 0, warmup: 0"
                  ", decay_checkpoints: false, synthetic: {bytes: 4000, validation_bytes: 2000}");
    struct mix_trainer_options *trainer = &job->scales[0].trainer;
    trainer->learning_rate = 1e3;
    trainer->weight_decay = 1e3; /* matrices grow a millionfold in a step */
    struct mix_table *table = sweep_new(job);
    assert_int_equal(table->n_rows, 2);
    const size_t last = table->runs[0].is_final ? 0 : 1;
    assert_int_equal(table->runs[1 - last].status, MIX_RUN_DONE);
    assert_true(isfinite(table->loss[2 * (1 - last)]));
    assert_int_equal(table->runs[last].status, MIX_RUN_FAILED);
    assert_true(table->runs[last].n_tokens == 6400);
    assert_true(isnan(table->loss[2 * last]) && isnan(table->loss[2 * last + 1]));
    assert_non_null(strstr(table->runs[last].reason, "training diverged in step"));
    /* The same would come out again: the run is over. */
    const struct mix_sweep_options options = {.stop_before_s = NAN};
    struct mix_error err = {.text = ""};
    struct mix_sweep_progress progress;
    assert_int_equal(mix_sweep_count(job, table, &options, &progress, &err), MIX_OK);
    assert_int_equal(progress.n_failed, 1);
    assert_int_equal(progress.n_waiting, 0);
    mix_table_destroy(table);
    mix_job_destroy(job);
}

static const char folders[] = "domains:\n  - {name: a, prior: 0.6, paths: a.txt, document: line}\n"
                              "  - {name: b, prior: 0.4, paths: b.txt, document: line}\n";

static void test_embedded_target_that_is_no_domain(void **state)
{
    (void)state;
    char text[1024];
    write_lines("a.txt", "square", 300);
    write_lines("b.txt", "the remainder of", 300);
    write_lines("c.txt", "square", 900); /* like a, but for its later lines */
    snprintf(text, sizeof text,
             "%stargets:\n  - {name: b}\n  - {name: c, paths: c.txt, document: line}\n", folders);
    struct mix_job *job = small_job(6, text, "", ", validation_share: 0.2, validation_bytes: 512");
    struct mix_table *table = sweep_new(job);
    size_t most = 0, least = 0; /* of a */
    assert_int_equal(table->n_rows, 6);
    assert_int_equal(table->n_targets, 2);
    for (size_t r = 0; r < 6; r++) {
        assert_int_equal(evaluated_bytes(table, r, "b"), 512);
        assert_int_equal(evaluated_bytes(table, r, "c"), 512);
        most = table->mixture[2 * r] > table->mixture[2 * most] ? r : most;
        least = table->mixture[2 * r] < table->mixture[2 * least] ? r : least;
    }
    assert_true(table->mixture[2 * most] > table->mixture[2 * least] + 0.3);
    assert_true(table->loss[2 * most] > table->loss[2 * least]);         /* b */
    assert_true(table->loss[2 * most + 1] < table->loss[2 * least + 1]); /* c, which is like a */
    mix_table_destroy(table);
    mix_job_destroy(job);
}

static void test_embedded_refuses_text_that_is_not_there(void **state)
{
    (void)state;
    write_lines("a.txt", "square", 300);
    unlink("b.txt");
    struct mix_job *job = small_job(1, folders, "", "");
    assert_refused(job, "b.txt");
    assert_refused(job, "source b");
    mix_job_destroy(job);
    job = small_job(1, folders, "", ", validation_share: 0.5");
    write_lines("b.txt", "1", 3); /* 2 or 1 lines of 7 bytes to train on */
    assert_refused(job, "job small, b: its training text has ");
    assert_refused(job, "bytes, less than the 17 of a context and the byte behind it.");
    write_lines("b.txt", "square", 40);
    job->embedded.corpus.validation_share = 1e-6; /* one line of 15 bytes */
    assert_refused(job, "job small, a: its validation text has 15 bytes");
    mix_job_destroy(job);
}

/* A run of 6400 bytes stands for one of 12800: half of the text whose supply is known, twice as
 * often. */
static void test_embedded_matches_epochs(void **state)
{
    (void)state;
    struct mix_job *job = small_job(2, skills, "", synthetic);
    struct mix_table *all = sweep_new(job);
    job->match_tokens = 12800;
    job->domains[0].supply_tokens = TRAIN_BYTES;
    struct mix_table *matched = sweep_new(job);
    assert_int_equal(matched->n_rows, all->n_rows);
    const double n_chunks = (TRAIN_BYTES - 1) / CONTEXT;
    for (size_t r = 0; r < all->n_rows; r++) {
        const double factor = n_chunks / round(n_chunks / 2);
        assert_true(fabs(matched->epochs[2 * r] - factor * all->epochs[2 * r]) < 1e-12);
        assert_true(matched->epochs[2 * r + 1] == all->epochs[2 * r + 1]);
        assert_true(all->epochs[2 * r] == 0 || matched->loss[2 * r] != all->loss[2 * r]);
    }
    mix_table_destroy(all);
    mix_table_destroy(matched);
    mix_job_destroy(job);
}

/* Runs of other text do not go into the same file, unless the job says that they are others. */
static void test_embedded_knows_its_text(void **state)
{
    (void)state;
    const struct mix_sweep_options options = {.stop_before_s = NAN};
    struct mix_error err = {.text = ""};
    write_lines("a.txt", "square", 300);
    write_lines("b.txt", "the remainder of", 300);
    struct mix_job *job = small_job(1, folders, "", ""), *more = small_job(2, folders, "", "");
    struct mix_table *table = sweep_new(job);
    assert_int_equal(strncmp(table->domains[0].content, "text:", 5), 0);
    assert_int_equal(strlen(table->domains[0].content), 5 + 32);
    assert_string_not_equal(table->domains[0].content, table->domains[1].content);
    write_lines("b.txt", "the remains of", 300);
    assert_int_equal(sweep_with(more, &options, NULL, &err), MIX_EINVAL);
    assert_string_equal(err.text,
                        "the text of b is not that of the runs in small.h5: put it "
                        "back, or give the job small another file or another recipe; mixsweep "
                        "domains revise small.h5 b -o NEW.h5 keeps what is still valid.");
    struct mix_table *kept = read_runs("small.h5");
    assert_int_equal(kept->n_rows, 1);
    assert_memory_equal(kept->domains, table->domains, 2 * sizeof *table->domains);
    snprintf(more->recipe, sizeof more->recipe, "other text");
    assert_int_equal(sweep_with(more, &options, NULL, &err), MIX_OK);
    struct mix_table *both = read_runs("small.h5");
    assert_int_equal(both->n_rows, 3);
    assert_string_equal(both->domains[0].content, table->domains[0].content);
    assert_string_not_equal(both->domains[1].content, table->domains[1].content);
    more->recipe[0] = '\0';
    write_lines("b.txt", "the remainder of", 300);
    snprintf(more->domains[0].content, MIX_NAME_MAX, "squares 1");
    snprintf(more->domains[1].content, MIX_NAME_MAX, "remainders 1");
    assert_int_equal(sweep_with(more, &options, NULL, &err), MIX_OK); /* labels are believed */
    mix_table_destroy(table);
    mix_table_destroy(kept);
    mix_table_destroy(both);
    mix_job_destroy(job);
    mix_job_destroy(more);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_embedded_rows_say_what_was_trained_and_measured),
        cmocka_unit_test(test_embedded_checkpoints_do_not_disturb),
        cmocka_unit_test(test_embedded_divergence_is_a_failed_row),
        cmocka_unit_test(test_embedded_target_that_is_no_domain),
        cmocka_unit_test(test_embedded_refuses_text_that_is_not_there),
        cmocka_unit_test(test_embedded_matches_epochs),
        cmocka_unit_test(test_embedded_knows_its_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
