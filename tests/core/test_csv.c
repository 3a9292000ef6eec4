/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Our CSV: what is read, what is refused and with which sentence, and that it comes back. */
#include "csv_help.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define HEAD "run,n_params,n_tokens,h_code,h_web,loss_code,loss_exam\n"

static void test_import_reads_values(void **state)
{
    (void)state;
    struct mix_table *table = take((struct texts){
        .table =
            "\xEF\xBB\xBF"
            "run, n_params ,n_tokens,h_code,h_web,loss_code,\"loss_two words\",seed,schedule,"
            "recipe,se_code\r\n"
            "\"a,\"\"b\"\"\",1.22e8,9.998e9,.25,0.75,1.5,,18446744073709551615,cosine,x,0.5\r\n"
            "\r\n"
            "\" b \",1e6,1E9, 1 ,0,2,3,,,,"});
    assert_int_equal(table->n_rows, 2);
    assert_int_equal(table->n_domains, 2);
    assert_int_equal(table->n_targets, 2);
    assert_string_equal(table->targets[1].name, "two words");
    assert_int_equal(table->targets[0].domain, 0);
    assert_int_equal(table->targets[1].domain, -1);
    const struct mix_run *run = &table->runs[0];
    assert_string_equal(run->run, "a,\"b\"");
    assert_true(run->n_params == 1.22e8 && run->n_tokens == 9.998e9);
    assert_true(run->seed == UINT64_MAX);
    assert_string_equal(run->schedule, "cosine");
    assert_string_equal(run->recipe, "x");
    assert_true(run->flops == 6 * 1.22e8 * 9.998e9);
    assert_true(table->mixture[0] == 0.25 && table->asked[1] == 0.75 && table->mixture[2] == 1);
    assert_true(table->loss[0] == 1.5 && isnan(table->loss[1]) && table->loss_se[0] == 0.5);
    assert_true(isnan(table->loss_se[2]));
    assert_string_equal(table->runs[1].run, " b ");
    assert_int_equal(table->runs[1].seed, 0);
    mix_table_destroy(table);
}

static void test_import_without_names_or_losses(void **state)
{
    (void)state;
    struct mix_table *table = take((struct texts){
        .table = "n_params,n_tokens,h_a\n1e6,1e9,1\n1e6,2e9,1\n",
        .import = {.without_losses_ok = true},
    });
    assert_int_equal(table->n_targets, 0);
    assert_int_equal(table->runs[0].is_final, 1); /* nothing says that these are one run */
    mix_table_destroy(table);
}

static void test_import_renormalises_and_says_so(void **state)
{
    (void)state;
    struct mix_table *table = NULL;
    struct mix_import_notes notes = {0};
    const struct texts texts = {.table = HEAD "a,1e6,1e9,0.5,0.5005,1,\n"
                                              "b,1e6,1e9,0.5,0.5000000001,1,1\n"};
    assert_int_equal(import_texts(texts, &table, &notes, NULL), MIX_OK);
    assert_int_equal(notes.n_read, 2);
    assert_int_equal(notes.n_kept, 2);
    assert_int_equal(notes.n_renormalised, 1);
    assert_true(fabs(notes.largest_off - 5e-4) < 1e-12);
    assert_int_equal(notes.n_cells_empty, 1);
    assert_true(fabs(table->mixture[0] + table->mixture[1] - 1) < 1e-15);
    assert_true(table->mixture[0] == 0.5 / 1.0005);
    assert_true(table->mixture[3] == 0.5000000001);
    mix_table_destroy(table);
}

static void test_import_refuses_values(void **state)
{
    (void)state;
    static const struct {
        const char *row, *sentence;
    } cases[] = {
        {"a,1e6,1e9,1.2,0,1,1", "line 3, column h_code: proportion 1.2 is not in [0, 1]."},
        {"a,1e6,1e9,-0.1,1.1,1,1", "line 3, column h_code: proportion -0.1 is not in [0, 1]."},
        {"a,1e6,1e9,0.5,0.6,1,1", "line 3, column h_code: this and the other proportions h_DOMAIN "
                                  "of the row sum to 1.1, not "
                                  "to 1 within 0.001."},
        {"a,1e6,1e9,0.5,,1,1",
         "line 3, column h_web: the proportion is missing; a domain that was not used has 0."},
        {"a,,1e9,0.5,0.5,1,1", "line 3, column n_params: n_params is missing."},
        {"a,0,1e9,0.5,0.5,1,1", "line 3, column n_params: n_params 0 is not positive."},
        {"a,1e6,-3,0.5,0.5,1,1", "line 3, column n_tokens: n_tokens -3 is not positive."},
        {"a,1e6,1e999,0.5,0.5,1,1",
         "line 3, column n_tokens: \"1e999\" is not a finite number above 0."},
        {"a,1e6,1e9,half,0.5,1,1", "line 3, column h_code: \"half\" is not a number from 0 to 1."},
        {"a,1e6,1e9,0.5,0.5,-3,1", "line 3, column loss_code: loss -3 is not positive."},
        {"a,1e6,1e9,0.5,0.5,1,0", "line 3, column loss_exam: loss 0 is not positive."},
        {"a,1e6,1e9,0.5,0.5,nan,1",
         "line 3, column loss_code: \"nan\" is not a finite number; an empty cell is \"not "
         "measured\"."},
        {"a,1e6,1e9,0.5,0.5,1,0x1p3",
         "line 3, column loss_exam: \"0x1p3\" is not a finite number; an empty cell is \"not "
         "measured\"."},
        {"a,1e6,1e9,0.5,0.5,1,1 2",
         "line 3, column loss_exam: \"1 2\" is not a finite number; an empty cell is \"not "
         "measured\"."},
        {"a,1e6,1e9,0.5,0.5,1", "line 3: 6 cells where the header has 7."},
        {"a,1e6,1e9,0.5,0.5,1,1,1", "line 3: 8 cells where the header has 7."},
        {"a\"b,1e6,1e9,0.5,0.5,1,1", "line 3: a quote inside an unquoted cell; put the whole cell "
                                     "in quotes and double those in "
                                     "it."},
        {"\"a\"b,1e6,1e9,0.5,0.5,1,1", "line 3: text behind a closing quote."},
        {"\"a,1e6,1e9\n,0.5,0.5,1,1", "line 3: the quote is never closed."},
        {"a,1e6,1e9,0.5,0.5,1,1\rb", "line 3: a carriage return without a line feed; lines end in "
                                     "LF or CR LF."},
        {"a\xff,1e6,1e9,0.5,0.5,1,1", "line 3: byte 0xff is not UTF-8 text."},
        {"a\xed\xa0\x80,1e6,1e9,0.5,0.5,1,1", "line 3: byte 0xed is not UTF-8 text."},
        {"\"a\n\nb\",1e6,1e9,0.5,0.5,1,1\nb,1e6", "line 6: 2 cells where the header has 7."},
        {"\"a\nb\",1e6,1e9,0.5,0.5,1,1", "line 3, column run: a control character (byte 0x0a)."},
        {"0123456789012345678901234567890123456789012345678901234567890123,1e6,1e9,0.5,0.5,1,1",
         "line 3, column run: "
         "\"0123456789012345678901234567890123456789012345678901234567890123\" is longer than 63 "
         "bytes."},
        {"x,1e6,1e9,0.5,0.5,2,2",
         "line 3, column run: the same run as in line 2: equal name, mixture, n_params 1000000, "
         "n_tokens 1000000000, seed and labels."},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[1024], sentence[1024];
        snprintf(text, sizeof text, HEAD "x,1e6,1e9,0.5,0.5,1,1\n%s\n", cases[i].row);
        snprintf(sentence, sizeof sentence, "runs.csv, %s", cases[i].sentence);
        refuse((struct texts){.table = text}, sentence);
    }
}

static void test_import_refuses_optional_values(void **state)
{
    (void)state;
    static const struct {
        const char *column, *cell, *sentence;
    } cases[] = {
        {"seed", "-1", "\"-1\" is not a whole number from 0 to 18446744073709551615."},
        {"seed", "18446744073709551616",
         "\"18446744073709551616\" is not a whole number from 0 to 18446744073709551615."},
        {"status", "3", "status 3 is not a whole number from 0 to 2."},
        {"rank", "1.5", "rank 1.5 is not a whole number from 0 to 2147483647."},
        {"se_a", "-0.5", "-0.5 is negative."},
        {"n_tokens_planned", "0", "n_tokens_planned 0 is not positive."},
        {"asked_a", "", "the proportion is missing; a domain that was not used has 0."},
        {"schedule", "a schedule of many words",
         "\"a schedule of many words\" is longer than 23 "
         "bytes."},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[256], sentence[512];
        snprintf(text, sizeof text, "n_params,n_tokens,h_a,loss_a,%s\n1e6,1e9,1,1,%s\n",
                 cases[i].column, cases[i].cell);
        snprintf(sentence, sizeof sentence, "runs.csv, line 2, column %s: %s", cases[i].column,
                 cases[i].sentence);
        refuse((struct texts){.table = text}, sentence);
    }
}

static void test_import_refuses_headers(void **state)
{
    (void)state;
    static const struct {
        const char *head, *sentence;
    } cases[] = {
        {"n_params,n_tokens,h_a,loss_a,lr",
         ", line 1, column lr: unknown column; known are run, n_params, n_tokens, h_DOMAIN, "
         "loss_TARGET, se_TARGET, seed, schedule, recipe and those of an export. `import --map` "
         "can rename or drop it."},
        {"n_params,n_tokens,h_a,loss_a,h_a", ", line 1, column h_a: two columns are named \"h_a\"; "
                                             "names have to be unique."},
        {"n_params,n_tokens,h_a,loss_a,", ", line 1, column : column 5 has no name."},
        {"n_params,n_tokens,h_a,loss_a,h_",
         ", line 1, column h_: \"\" is not a name: 1 to 63 bytes without , = ! < > \" and control "
         "characters."},
        {"n_params,n_tokens,h_a,loss_a,\"loss_a,b\"",
         ", line 1, column loss_a,b: \"a,b\" is not a name: 1 to 63 bytes without , = ! < > \" and "
         "control characters."},
        {"n_params,n_tokens,h_a,loss_a,se_b",
         ", line 1, column se_b: there is no column loss_b beside it."},
        {"n_params,n_tokens,h_a,loss_a,epochs_b",
         ", line 1, column epochs_b: there is no column h_b beside it."},
        {"n_params,n_tokens,h_a,h_b,asked_b", ": there is no column loss_TARGET."},
        {"n_params,n_tokens,loss_a,run,seed", ": there is no column h_DOMAIN."},
        {"n_params,run,h_a,loss_a,seed",
         ": the column n_tokens is missing; --tokens or the constants of a --map can give it."},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[512], sentence[512];
        snprintf(text, sizeof text, "%s\n1,1,1,1,1\n", cases[i].head);
        snprintf(sentence, sizeof sentence, "runs.csv%s", cases[i].sentence);
        refuse((struct texts){.table = text}, sentence);
    }
    refuse(
        (struct texts){.table = "n_params,n_tokens,h_a,h_b,loss_a,asked_b\n1,1,1,0,1,1\n"},
        "runs.csv, line 1, column asked_b: asked_DOMAIN has to be there for all 2 domains or for "
        "none.");
    refuse((struct texts){.table = ""},
           "runs.csv: the file is empty; a line of column names is wanted.");
    refuse((struct texts){.table = HEAD "\n"}, "runs.csv has no data rows.");
}

static const char checkpoints[] = HEAD "a,1e6,1e9,0.5,0.5,3,1\n"
                                       "a,1e6,3e9,0.5,0.5,1,1\n"
                                       "a,1e6,2e9,0.5,0.5,2,1\n"
                                       "b,2e6,1e9,0.5,0.5,2,1\n";

static void test_import_keeps_last_checkpoints(void **state)
{
    (void)state;
    struct mix_table *table = NULL;
    struct mix_import_notes notes = {0};
    assert_int_equal(import_texts((struct texts){.table = checkpoints}, &table, &notes, NULL),
                     MIX_OK);
    assert_int_equal(table->n_rows, 2);
    assert_true(table->loss[0] == 1.0);
    assert_int_equal(notes.n_read, 4);
    assert_int_equal(notes.n_kept, 2);
    assert_int_equal(notes.n_intermediate, 0);
    mix_table_destroy(table);
}

/* What is final is a matter of the whole file: filtering does not make 2e9 a finished run. */
static void test_import_knows_intermediate_rows(void **state)
{
    (void)state;
    struct mix_table *table = NULL;
    struct mix_import_notes notes = {0};
    const struct texts texts = {
        .table = checkpoints,
        .import = {.where = (const char *const[]){"n_tokens<=2e9", "n_params=1e6"}, .n_where = 2}};
    assert_int_equal(import_texts(texts, &table, &notes, NULL), MIX_OK);
    assert_int_equal(table->n_rows, 1);
    assert_true(table->loss[0] == 2.0);
    assert_int_equal(notes.n_intermediate, 1);
    assert_int_equal(table->runs[0].is_final, 0);
    assert_true(table->runs[0].n_tokens_planned == 3e9);
    assert_int_equal(table->runs[0].mixture_id, 0);
    mix_table_destroy(table);
}

static void test_import_refuses_where(void **state)
{
    (void)state;
    refuse(
        (struct texts){.table = checkpoints,
                       .import = {.where = (const char *const[]){"n_tokens>1e10"}, .n_where = 1}},
        "no row of 4 passes --where \"n_tokens>1e10\".");
    refuse_as(MIX_EUSAGE,
              (struct texts){.table = checkpoints,
                             .import = {.where = (const char *const[]){"tokens=1"}, .n_where = 1}},
              "--where: there is no column \"tokens\"; allowed are run, n_params, n_tokens, seed, "
              "round and "
              "h_DOMAIN, for example h_code.");
}

/* Written and read again: the same table, byte for byte. */
static void assert_comes_back(const struct mix_table *table)
{
    char *text = NULL;
    size_t n_bytes = 0;
    FILE *out = open_memstream(&text, &n_bytes);
    assert_non_null(out);
    assert_int_equal(mix_csv_write_runs(table, out, NULL), MIX_OK);
    fclose(out);
    struct mix_table *back =
        take((struct texts){.table = text, .import = {.without_losses_ok = true}});
    assert_int_equal(back->n_rows, table->n_rows);
    assert_int_equal(back->n_domains, table->n_domains);
    assert_int_equal(back->n_targets, table->n_targets);
    for (size_t r = 0; r < table->n_rows; r++) {
        const struct mix_run *a = &table->runs[r], *b = &back->runs[r];
        assert_memory_equal(&a->key, &b->key, sizeof a->key);
        assert_string_equal(a->run, b->run);
        assert_string_equal(a->reason, b->reason);
        assert_string_equal(a->host, b->host);
        assert_int_equal(a->mixture_id, b->mixture_id);
        assert_int_equal(a->is_final, b->is_final);
        assert_int_equal(a->exit_code, b->exit_code);
        assert_int_equal(a->excluded, b->excluded);
        assert_int_equal(a->status, b->status);
        assert_memory_equal(&a->n_params, &b->n_params, sizeof a->n_params);
        assert_memory_equal(&a->n_tokens_planned, &b->n_tokens_planned, sizeof a->n_tokens_planned);
        assert_memory_equal(&a->flops, &b->flops, sizeof a->flops);
        assert_true(a->seed == b->seed);
        assert_true(a->wall_s == b->wall_s || (isnan(a->wall_s) && isnan(b->wall_s)));
    }
    const size_t n_shares = table->n_rows * table->n_domains;
    const size_t n_losses = table->n_rows * table->n_targets;
    assert_null(strstr(text, "0.10000000000000001")); /* no more digits than that takes */
    assert_memory_equal(table->mixture, back->mixture, n_shares * sizeof(double));
    assert_memory_equal(table->asked, back->asked, n_shares * sizeof(double));
    for (size_t i = 0; i < n_losses; i++) {
        assert_int_equal(isnan(table->loss[i]), isnan(back->loss[i]));
        assert_true(isnan(table->loss[i]) || table->loss[i] == back->loss[i]);
        assert_true(isnan(table->loss_se[i]) || table->loss_se[i] == back->loss_se[i]);
    }
    mix_table_destroy(back);
    free(text);
}

static void test_export_comes_back(void **state)
{
    (void)state;
    struct mix_table *table = take((struct texts){
        .table =
            "run,n_params,n_tokens,n_tokens_planned,flops,seed,status,exit_code,wall_s,host,"
            "excluded,reason,h_a,\"h_b c\",asked_a,asked_b c,epochs_a,loss_a,loss_z,se_z\n"
            "\"q\"\"uote\",122e6,1e9,5e9,7e17,9007199254740993,0,0,3.25,n1,0,,"
            "0.33333333333333331,0.66666666666666663,0.3,0.7,1.5,3.1415926535897931,,\n"
            "\" blank\",122e6,1e9,,,0,1,-9,,\"n,2\",1,\"diverged, at step 3\",0.1,0.9,0.1,0.9,,"
            "4.9406564584124654e-324,1.7976931348623157e308,0.1\n"});
    assert_int_equal(table->runs[0].is_final, 0);
    assert_comes_back(table);
    mix_table_destroy(table);
}

/* Rows of an import by `where` stay intermediate when they come back. */
static void test_export_keeps_what_is_final(void **state)
{
    (void)state;
    struct mix_table *table = NULL;
    const struct texts texts = {
        .table = checkpoints,
        .import = {.where = (const char *const[]){"n_tokens<=2e9"}, .n_where = 1}};
    assert_int_equal(import_texts(texts, &table, NULL, NULL), MIX_OK);
    assert_comes_back(table);
    mix_table_destroy(table);
}

static void test_export_of_published_tables_comes_back(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t n_all, n_last;
    } files[] = {{"slimpajama7", 2188, 200},
                 {"pile4", 82, 41},
                 {"regmix17", 512, 512},
                 {"mixlaws_redpajama", 911, 83},
                 {"mixlaws_5mix", 1120, 78}};
    const char *shared = getenv("MIXSWEEP_SHARED");
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/data/%s.csv", shared != NULL ? shared : "../shared",
                 files[i].name);
        if (access(path, R_OK) != 0) {
            print_message("%s is not there: skipped\n", path);
            skip();
        }
        struct mix_table *table = NULL;
        struct mix_import import = {.path = path, .checkpoints = MIX_CHECKPOINTS_ALL};
        assert_int_equal(mix_csv_import(&import, &table, NULL, NULL), MIX_OK);
        assert_int_equal(table->n_rows, files[i].n_all);
        assert_comes_back(table);
        mix_table_destroy(table);
        import.checkpoints = MIX_CHECKPOINTS_LAST;
        assert_int_equal(mix_csv_import(&import, &table, NULL, NULL), MIX_OK);
        assert_int_equal(table->n_rows, files[i].n_last);
        mix_table_destroy(table);
    }
}

static void test_import_says_what_it_cannot_open(void **state)
{
    (void)state;
    struct mix_table *table = NULL;
    struct mix_error err = {.text = ""};
    const struct mix_import import = {.path = "no-such-file.csv"};
    assert_int_equal(mix_csv_import(&import, &table, NULL, &err), MIX_EIO);
    assert_string_equal(err.text, "cannot open no-such-file.csv: No such file or directory.");
    const struct mix_import folder = {.path = "."};
    assert_int_equal(mix_csv_import(&folder, &table, NULL, &err), MIX_EIO);
    assert_string_equal(err.text, "cannot read .: Is a directory.");
}

/* /dev/full takes nothing. */
static void test_export_says_that_the_disk_is_full(void **state)
{
    (void)state;
    FILE *out = fopen("/dev/full", "w");
    if (out == NULL)
        skip();
    struct mix_table *table = take((struct texts){.table = checkpoints});
    struct mix_error err = {.text = ""};
    assert_int_equal(mix_csv_write_runs(table, out, &err), MIX_EIO);
    assert_string_equal(err.text, "cannot write the runs: No space left on device.");
    fclose(out);
    mix_table_destroy(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_import_reads_values),
        cmocka_unit_test(test_import_without_names_or_losses),
        cmocka_unit_test(test_import_renormalises_and_says_so),
        cmocka_unit_test(test_import_refuses_values),
        cmocka_unit_test(test_import_refuses_optional_values),
        cmocka_unit_test(test_import_refuses_headers),
        cmocka_unit_test(test_import_keeps_last_checkpoints),
        cmocka_unit_test(test_import_knows_intermediate_rows),
        cmocka_unit_test(test_import_refuses_where),
        cmocka_unit_test(test_export_comes_back),
        cmocka_unit_test(test_export_keeps_what_is_final),
        cmocka_unit_test(test_export_of_published_tables_comes_back),
        cmocka_unit_test(test_import_says_what_it_cannot_open),
        cmocka_unit_test(test_export_says_that_the_disk_is_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
