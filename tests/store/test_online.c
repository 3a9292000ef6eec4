/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Online runs in the file: all that is written is read, and what the logs of a dead job hold is
 * folded in once and is not lost. */
#include "logged.h"

static void commit(struct mix_store *store, const struct mix_online *online)
{
    struct mix_error err = {""};
    check(mix_store_put_online(store, online, &err), &err);
    check(mix_store_commit(store, &err), &err);
}

static struct mix_online *read_back(struct mix_store *store, const char *name)
{
    struct mix_online *online = NULL;
    struct mix_error err = {""};
    check(mix_store_read_online(store, name, &online, &err), &err);
    return online;
}

static void test_online_round_trip(void **state)
{
    (void)state;
    struct mix_error err = {""};
    struct mix_names names = {0};
    struct mix_online *online = sample_online("world", 9), *empty = sample_online("empty", 0);
    struct mix_store *store = open_store(MIX_STORE_CREATE);
    commit(store, online);
    commit(store, empty);
    mix_store_close(store);
    store = open_store(MIX_STORE_READ);
    struct mix_online *read = read_back(store, "world"), *nothing = read_back(store, "empty");
    compare_online(online, read);
    compare_online(empty, nothing);
    check(mix_store_list(store, "online", &names, &err), &err);
    assert_int_equal(names.n, 2);
    assert_string_equal(names.name[0], "empty");
    mix_online_destroy(nothing);
    assert_int_equal(mix_store_read_online(store, "none", &nothing, &err), MIX_ENOTFOUND);
    assert_non_null(strstr(err.text, "there is empty, world"));
    mix_names_destroy(&names);
    mix_store_close(store);
    mix_online_destroy(online);
    mix_online_destroy(empty);
    mix_online_destroy(read);
}

static void log_records(const struct mix_online *online, size_t first, size_t n)
{
    struct mix_error err = {""};
    struct mix_log *log = NULL;
    const struct mix_online_head head = mix_online_head(online);
    const size_t n_bytes =
        mix_online_record_bytes(online->n_groups, online->n_points, online->n_rounds);
    void *record = malloc(n_bytes);
    assert_non_null(record);
    check(mix_log_open(log_dir, 0, &log, &err), &err);
    for (size_t i = first; i < first + n; i++) {
        mix_online_pack(online, i, record);
        check(mix_log_append(log, MIX_LOG_ONLINE, &head, sizeof head, record, n_bytes, 0, &err),
              &err);
    }
    mix_log_close(log);
    free(record);
}

/* A reader sees file and logs, the next writer folds them; a narrow table becomes wider. */
static void test_online_fold(void **state)
{
    (void)state;
    struct mix_online *all = sample_online("world", 9);
    struct mix_online *other = sample_online("world", 3);
    other->options.lo++; /* other options: another campaign of that name */
    struct mix_store *store = open_store(MIX_STORE_CREATE);
    struct mix_online *narrow = sample_online("world", 0);
    narrow->n_points = narrow->n_rounds = 0;
    commit(store, narrow);
    mix_store_close(store);
    log_records(all, 0, 9);
    log_records(all, 2, 3); /* some twice */
    log_records(other, 0, 3);
    store = open_store(MIX_STORE_READ);
    struct mix_online *read = read_back(store, "world");
    compare_online(all, read);
    mix_online_destroy(read);
    mix_store_close(store);
    mix_store_close(open_store(MIX_STORE_WRITE));
    assert_int_equal(access(log_dir, F_OK), -1);
    store = open_store(MIX_STORE_READ);
    read = read_back(store, "world");
    compare_online(all, read);
    mix_store_close(store);
    mix_online_destroy(read);
    mix_online_destroy(narrow);
    mix_online_destroy(other);
    mix_online_destroy(all);
}

/* Runs of a campaign that the file does not know stay in the logs. */
static void test_online_without_base(void **state)
{
    (void)state;
    struct mix_online *all = sample_online("world", 3), *here = sample_online("here", 0);
    struct mix_store *store = open_store(MIX_STORE_CREATE);
    commit(store, here);
    mix_store_close(store);
    log_records(all, 0, 3);
    mix_store_close(open_store(MIX_STORE_WRITE));
    assert_int_equal(access(log_dir, F_OK), 0);
    store = open_store(MIX_STORE_WRITE);
    struct mix_online *read = NULL;
    commit(store, here);
    mix_store_close(store);
    store = open_store(MIX_STORE_READ);
    assert_int_equal(mix_store_read_online(store, "world", &read, NULL), MIX_ENOTFOUND);
    mix_store_close(store);
    mix_online_destroy(here);
    mix_online_destroy(all);
}

/* Records that are none, or are damaged, are no runs. */
static void test_online_bad_records(void **state)
{
    (void)state;
    struct mix_online *all = sample_online("world", 2), *into = sample_online("world", 0);
    const struct mix_online_head head = mix_online_head(all);
    struct mix_online_head bad = head;
    const size_t n_bytes = mix_online_record_bytes(2, 3, 2);
    uint8_t *record = malloc(n_bytes);
    assert_non_null(record);
    mix_online_pack(all, 0, record);
    assert_int_equal(mix_online_take(into, &head, 3, record, n_bytes, NULL), MIX_EFORMAT);
    assert_int_equal(mix_online_take(into, &head, sizeof head, record, 5, NULL), MIX_EFORMAT);
    assert_int_equal(mix_online_take(into, &head, sizeof head, record, n_bytes - 8, NULL),
                     MIX_EFORMAT);
    bad.n_points = UINT64_MAX;
    assert_int_equal(mix_online_take(into, &bad, sizeof bad, record, n_bytes, NULL), MIX_EFORMAT);
    bad = head;
    bad.groups.hi++;
    assert_int_equal(mix_online_take(into, &bad, sizeof bad, record, n_bytes, NULL), MIX_ENOTFOUND);
    struct mix_online_run run;
    memcpy(&run, record, sizeof run);
    memset(run.method, 'x', sizeof run.method);
    memcpy(record, &run, sizeof run);
    assert_int_equal(mix_online_take(into, &head, sizeof head, record, n_bytes, NULL), MIX_EFORMAT);
    assert_int_equal(into->n_runs, 0);
    mix_online_pack(all, 1, record);
    assert_int_equal(mix_online_take(into, &head, sizeof head, record, n_bytes, NULL), MIX_OK);
    assert_int_equal(mix_online_take(into, &head, sizeof head, record, n_bytes, NULL), MIX_OK);
    assert_int_equal(into->n_runs, 1);
    free(record);
    mix_online_destroy(all);
    mix_online_destroy(into);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_online_round_trip, new_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_online_fold, new_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_online_without_base, new_folder, remove_folder),
        cmocka_unit_test(test_online_bad_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
