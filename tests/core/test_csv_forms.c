/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Other people's tables: maps, long form, two files, JSON lines. */
#include "csv_help.h"

#include <math.h>

/* The table that the other forms below describe too. */
static const char ours[] = "run,n_params,n_tokens,h_code,h_web,loss_code,loss_exam\n"
                           "a,1e6,1e9,0.25,0.75,1.5,\n"
                           "b,1e6,1e9,0.5,0.5,1.25,0.5\n";

static void assert_ours(struct mix_table *table)
{
    struct mix_table *expected = take((struct texts){.table = ours});
    assert_int_equal(table->n_rows, 2);
    assert_int_equal(table->n_domains, 2);
    assert_int_equal(table->n_targets, 2);
    assert_string_equal(table->domains[1].name, "web");
    assert_string_equal(table->targets[1].name, "exam");
    assert_int_equal(table->targets[0].domain, 0);
    for (size_t r = 0; r < 2; r++)
        assert_memory_equal(&table->runs[r].key, &expected->runs[r].key, sizeof(struct mix_key));
    assert_memory_equal(table->mixture, expected->mixture, 4 * sizeof(double));
    assert_true(table->loss[0] == 1.5 && isnan(table->loss[1]) && table->loss[2] == 1.25);
    mix_table_destroy(expected);
    mix_table_destroy(table);
}

static void test_map_renames_scales_and_adds(void **state)
{
    (void)state;
    struct mix_table *table = take((struct texts){
        .table = "id,size,_step,train_code_pct,train_web_pct,eval/code/loss,exam,note\n"
                 "a,1,9,25,75,1.5,,x\n"
                 "b,1,9,50,50,1.25,50,y\n",
        .map = "rename: {id: run, size: n_params, exam: loss_exam}\n"
               "regex:\n"
               "  - {match: 'train_(.*)_pct', to: 'h_\\1'}\n"
               "  - {match: '(eval)/([a-z]+)/loss', to: 'loss_\\2'}\n"
               "  - {match: '.*', to: 'never_\\1'}\n"
               "factor: {n_params: 1e6, 'h_.*': 0.01, loss_exam: 0.01, '.*_exam': 7}\n"
               "constants: {n_tokens: 1e9}\n"
               "drop: ['_.*', 'not(e)', '[{]']\n"
               "targets:\n"
               "  - {name: exam, unit: accuracy, direction: higher}\n"
               "  - {name: code}\n"});
    assert_string_equal(table->targets[1].unit, "accuracy");
    assert_int_equal(table->targets[1].direction, 1);
    assert_string_equal(table->targets[0].unit, "nats/token");
    assert_int_equal(table->targets[0].direction, -1);
    assert_true(table->loss[3] == 0.5);
    assert_ours(table);
}

static void test_map_of_a_long_table(void **state)
{
    (void)state;
    assert_ours(take((struct texts){
        .table = "run,n_params,n_tokens,h_code,h_web,metric,value\n"
                 "a,1e6,1e9,0.25,0.75,code,1.5\n"
                 "b,1e6,1e9,0.5,0.5,exam,0.5\n" /* targets by first appearance, rows interleaved */
                 "b,1e6,1e9,0.5,0.5,code,1.25\n",
        .map = "long: {target: metric, value: value}\n"}));
    refuse((struct texts){.table = "run,n_params,n_tokens,h_code,metric,value\n"
                                   "a,1e6,1e9,1,code,1.5\n"
                                   "b,1e6,1e9,1,code,1.5\n"
                                   "a,1e6,1e9,1,code,1.5\n",
                          .map = "long: {target: metric, value: value}\n"},
           "runs.csv, line 4, column metric: \"code\" was given for this run before, in line 2.");
    refuse(
        (struct texts){.table = "run,n_params,n_tokens,h_code,metric,value\n"
                                "a,1e6,1e9,1,code,1.5\n"
                                "a,1e6,1e9,1,web,high\n",
                       .map = "long: {target: metric, value: value}\n"},
        "runs.csv, line 3, column value: \"high\" is not a finite number; an empty cell is \"not "
        "measured\".");
    refuse((struct texts){.table = "run,n_params,n_tokens,h_code,metric,value\na,1,1,1,,1.5\n",
                          .map = "long: {target: metric, value: value}\n"},
           "runs.csv, line 2, column metric: \"\" is not the name of a target.");
    /* The names of targets are renamed and dropped as columns are. */
    assert_ours(take((struct texts){.table = "run,n_params,n_tokens,h_code,h_web,metric,value\n"
                                             "a,1e6,1e9,0.25,0.75,eval/code/loss,1.5\n"
                                             "a,1e6,1e9,0.25,0.75,speed,3\n"
                                             "b,1e6,1e9,0.5,0.5,test,0.5\n"
                                             "b,1e6,1e9,0.5,0.5,eval/code/loss,1.25\n",
                                    .map = "long: {target: metric, value: value}\n"
                                           "rename: {test: exam}\n"
                                           "regex: [{match: 'eval/(.*)/loss', to: 'loss_\\1'}]\n"
                                           "drop: [speed]\n"}));
    refuse(
        (struct texts){.table = "run,n_params,n_tokens,h_code,metric,value\n"
                                "a,1e6,1e9,1,code,1.5\n",
                       .map = "long: {target: metric, value: value}\n"
                              "regex: [{match: 'eval/(.*)', to: 'loss_\\1'}]\n"},
        "map.yaml, key regex: \"eval/(.*)\" fits no column or target of runs.csv (run, n_params, "
        "n_tokens, h_code, loss_code).");
    refuse((struct texts){.table = ours, .map = "long: {target: metric, value: value}\n"},
           "map.yaml, key long: runs.csv has no two columns \"metric\" and \"value\".");
    refuse((struct texts){.table = "metric,value\nspeed,3\n",
                          .map = "long: {target: metric, value: value}\ndrop: [speed]\n"},
           "map.yaml, key drop: no column is left.");
    char map[1024]; /* 508 bytes are a name, but not with loss_ before them */
    (void)snprintf(map, sizeof map, "long: {target: metric, value: value}\nrename: {a: n%0507d}\n",
                   0);
    refuse((struct texts){.table = "run,metric,value\nx,a,3\n", .map = map},
           "map.yaml: the new name of target \"a\" is longer than 511 bytes.");
}

static void test_map_refuses_what_does_not_fit_the_table(void **state)
{
    (void)state;
    refuse((struct texts){.table = ours, .map = "rename: {sise: n_params}\n"},
           "map.yaml, key rename: \"sise\" fits no column of runs.csv (run, n_params, n_tokens, "
           "h_code, h_web, loss_code, ...).");
    refuse((struct texts){.table = ours, .map = "regex: [{match: 'H_(.*)', to: 'h_\\1'}]\n"},
           "map.yaml, key regex: \"H_(.*)\" fits no column of runs.csv (run, n_params, n_tokens, "
           "h_code, h_web, loss_code, ...).");
    refuse((struct texts){.table = ours, .map = "factor: {'n_param': 1e6}\n"},
           "map.yaml, key factor: \"n_param\" fits no column.");
    refuse((struct texts){.table = ours, .map = "constants: {n_tokens: 1e9}\n"},
           "map.yaml gives n_tokens, which is a column of runs.csv too.");
    refuse((struct texts){.table = ours, .map = "targets: [{name: books}]\n"},
           "map.yaml, key targets: the table has no target \"books\".");
    refuse((struct texts){.table = ours, .map = "rename: {h_web: h_code}\n"},
           "runs.csv, line 1, column h_web: two columns are named \"h_code\"; names have "
           "to be unique.");
    refuse((struct texts){.table = ours, .map = "rename: {h_code: h_web}\n"},
           "runs.csv, line 1, column h_web: two columns are named \"h_web\" (the other was "
           "\"h_code\"); names have to be unique.");
    refuse((struct texts){.table = ours, .map = "drop: ['.*']\n"},
           "map.yaml, key drop: no column is left.");
    refuse((struct texts){.table = ours, .map = "constants: {seed: many}\n"},
           "map.yaml, column seed: \"many\" is not a whole number from 0 to 18446744073709551615.");
    refuse((struct texts){.table = ours, .map = "factor: {n_params: 1e308}\n"},
           "runs.csv, line 2, column n_params: \"1e6\" is not a finite number above 0.");
}

static void test_map_refuses_its_own_mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *sentence;
    } cases[] = {
        {"regex: [{match: '(', to: x}]\n", "line 1, key regex[0].match: \"(\" is not a regular"},
        {"drop:\n  - a\n  - '['\n", "line 3, key drop[1]: \"[\" is not a regular"},
        {"drop: ['a{9}']\n", "counted repeats ({2}) are not allowed"},
        {"drop: ['(a)\\1']\n", "a back-reference (\\1) is not allowed"},
        {"drop: ['.+++++++++++++++++++++++++++++++++++++++++++']\n", "at most 8 times +"},
        {"factor: {n_params: million}\n", "the factor of n_params is \"million\"; a finite number"},
        {"factor: {n_params: 0}\n", "a finite number other than 0"},
        {"rename: {a: }\n", "key rename: a has no value"},
        {"rename: {a: [b]}\n", "key rename: a has no value"},
        {"rename: 3\n", "line 1, key rename"},
        {"renam: {a: b}\n", "did you mean rename?"},
        {"targets: [{name: a, direction: up}]\n", "\"up\" is neither lower nor higher"},
        {"targets: [{name: a, unit: 'a unit of too many words'}]\n", "a unit has 1 to 23 bytes"},
        {"targets: [{unit: accuracy}]\n", "the key name is missing"},
        {"long: {target: metric}\n", "the key value is missing"},
        {" \n", "map.yaml: the map is empty"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mix_map *map = NULL;
        struct mix_error err = {.text = ""};
        assert_int_equal(mix_map_parse("map.yaml", cases[i].yaml, &map, &err), MIX_EINVAL);
        assert_null(map);
        if (strstr(err.text, cases[i].sentence) == NULL || strstr(err.text, "map.yaml") != err.text)
            fail_msg("\"%s\" lacks \"%s\"", err.text, cases[i].sentence);
    }
    struct mix_map *map = NULL;
    assert_int_equal(mix_map_read("no-such-map.yaml", &map, NULL), MIX_EIO);
    mix_map_destroy(NULL);
}

static const struct mix_import sizes = {.n_params = 1e6, .n_tokens = 1e9};

/* Olmix: the column run_id, a label, domains by their names; the rows in another order. */
static void test_two_files_join_by_run(void **state)
{
    (void)state;
    assert_ours(take((struct texts){.table = "run_id,name,code,web\na,first,0.25,0.75\nb,x,.5,.5\n",
                                    .metrics = "name,run_id,code,exam\ny,b,1.25,0.5\nz,a,1.5,\n",
                                    .import = sizes}));
}

/* RegMix: the column index, prefixes to be cut by a map, sizes from the map. */
static void test_two_files_with_a_map(void **state)
{
    (void)state;
    assert_ours(take((struct texts){
        .table = "index,train_the_pile_code,train_the_pile_web\na,0.25,0.75\nb,0.5,0.5\n",
        .metrics = "index,metric/the_pile_code_val_loss,metric/the_pile_exam_val_loss\n"
                   "b,1.25,0.5\na,1.5,\n",
        .map = "regex:\n"
               "  - {match: 'train_the_pile_(.*)', to: 'h_\\1'}\n"
               "  - {match: 'metric/the_pile_(.*)_val_loss', to: 'loss_\\1'}\n"
               "constants: {n_params: 1e6, n_tokens: 1e9}\n"}));
}

/* No column of a known name: the first is the id. Sizes as columns. Long metrics. */
static void test_two_files_of_other_forms(void **state)
{
    (void)state;
    assert_ours(take((struct texts){
        .table = "\"\",code,web,n_params,n_tokens\na,0.25,0.75,1e6,1e9\nb,0.5,0.5,1e6,1e9\n",
        .metrics = "id,metric,value\na,code,1.5\nb,exam,0.5\nb,code,1.25\n",
        .map = "long: {target: loss_metric, value: loss_value}\n"}));
}

static void test_two_files_are_joined_strictly(void **state)
{
    (void)state;
    refuse((struct texts){.table = "run,code,web\na,.5,.5\nb,.5,.5\na,.25,.75\n",
                          .metrics = "run,code\na,1\nb,1\n",
                          .import = sizes},
           "runs.csv, line 4, column run: run \"a\" is there before, in line 2.");
    refuse((struct texts){.table = "run,code,web\na,.5,.5\nb,.5,.5\n",
                          .metrics = "run,code\nb,1\na,1\nb,2\n",
                          .import = sizes},
           "metrics.csv, line 4, column run: run \"b\" is there before, in line 2.");
    refuse((struct texts){.table = "run,code,web\na,.5,.5\nb,.5,.5\n",
                          .metrics = "run,code\na,1\n",
                          .import = sizes},
           "runs.csv, line 3, column run: run \"b\" is not in metrics.csv.");
    refuse((struct texts){.table = "run,code,web\nb,.5,.5\n",
                          .metrics = "run,code\na,1\nb,1\n",
                          .import = sizes},
           "metrics.csv, line 2, column run: run \"a\" is not in runs.csv.");
    refuse((struct texts){.table = "run,code,web\n,.5,.5\n",
                          .metrics = "run,code\na,1\n",
                          .import = sizes},
           "runs.csv, line 2, column run: the run has no id.");
    refuse((struct texts){.table = "run,code,web,n_params\na,.5,.5,1\n",
                          .metrics = "run,code\na,1\n",
                          .import = sizes},
           "--params gives n_params, which is a column of runs.csv too.");
    refuse(
        (struct texts){
            .table = "run,code,web\na,.5,.6\n", .metrics = "run,code\na,1\n", .import = sizes},
        "runs.csv, line 2, column code: this and the other proportions h_DOMAIN of the row sum to "
        "1.1, not to 1 within 0.001.");
    refuse(
        (struct texts){
            .table = "run,code,web\na,.5,.5\n", .metrics = "run,code\na,bad\n", .import = sizes},
        "metrics.csv, line 2, column code: \"bad\" is not a finite number; an empty cell is \"not "
        "measured\".");
}

static void test_json_lines(void **state)
{
    (void)state;
    assert_ours(take((struct texts){
        .file = "runs.jsonl",
        .table =
            "{\"run\": \"a\", \"n_params\": 1000000, \"n_tokens\": 1e9, \"h\": {\"code\": 0.25, "
            "\"web\": 0.75}, \"loss\": {\"code\": 1.5, \"exam\": null}}\r\n"
            "\n"
            "{\"loss_exam\": 0.5, \"loss_code\": 1.25, \"n_tokens\": 1000000000, \"n_params\": "
            "1e6, \"h_web\": 0.5, \"h_code\": 0.5, \"run\": \"b\"}\n"}));
    static const struct {
        const char *line, *sentence;
    } cases[] = {
        {"{\"run\": ", "runs.jsonl, line 2: not JSON: "},
        {"[1]", "runs.jsonl, line 2: not an object ({\"run\": ...})."},
        {"{}", "runs.jsonl, line 2: the object is empty."},
        {"{\"run\": true}", "runs.jsonl, line 2: the value of \"run\" is neither a number, a text "
                            "nor null."},
        {"{\"h\": {\"code\": [1]}}", "runs.jsonl, line 2: the value of \"h_code\" is neither a "
                                     "number, a text nor null."},
        {"{\"run\": \"b\", \"run\": \"c\"}", "runs.jsonl, line 2: not JSON: duplicate object key"},
        {"{\"h\": {\"code\": 1}, \"h_code\": 1}", "runs.jsonl, line 2: \"h_code\" is given twice."},
        {"{\"run\": \"b\", \"lr\": 1}", "runs.jsonl, line 2, column lr: unknown column;"},
        {"{\"run\": \"b\", \"n_params\": 1e6, \"n_tokens\": 1, \"h_code\": 2}",
         "runs.jsonl, line 2, column h_code: proportion 2 is not in [0, 1]; of percents"},
        {"{\"run\": \"b\", \"n_params\": 1e6, \"n_tokens\": 1}",
         "runs.jsonl, line 2, column h_code: the proportion is missing;"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[512];
        struct mix_table *table = NULL;
        struct mix_error err = {.text = ""};
        snprintf(text, sizeof text,
                 "{\"run\": \"a\", \"n_params\": 1e6, \"n_tokens\": 1, \"h_code\": 1, "
                 "\"loss_code\": 1}\n%s\n",
                 cases[i].line);
        const struct texts texts = {.file = "runs.jsonl", .table = text};
        assert_int_equal(import_texts(texts, &table, NULL, &err), MIX_EINVAL);
        if (strncmp(err.text, cases[i].sentence, strlen(cases[i].sentence)) != 0)
            fail_msg("\"%s\" does not begin with \"%s\"", err.text, cases[i].sentence);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_map_renames_scales_and_adds),
        cmocka_unit_test(test_map_of_a_long_table),
        cmocka_unit_test(test_map_refuses_what_does_not_fit_the_table),
        cmocka_unit_test(test_map_refuses_its_own_mistakes),
        cmocka_unit_test(test_two_files_join_by_run),
        cmocka_unit_test(test_two_files_with_a_map),
        cmocka_unit_test(test_two_files_of_other_forms),
        cmocka_unit_test(test_two_files_are_joined_strictly),
        cmocka_unit_test(test_json_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
