/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is put into a sweep file comes back bit for bit, and no failure harms the file. */
#include "samples.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[64], log_dir[80];

static int new_folder(void **state)
{
    (void)state;
    char folder[] = "store-XXXXXX";
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/S.h5", folder);
    snprintf(log_dir, sizeof log_dir, "%s.log", path);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    path[strlen(path) - strlen("/S.h5")] = '\0';
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", path);
    return system(command);
}

static struct mix_store *open_store(enum mix_store_mode mode)
{
    struct mix_error err = {""};
    struct mix_store *store = NULL;
    if (mix_store_open(path, mode, false, &store, &err) != MIX_OK)
        fail_msg("%s", err.text);
    return store;
}

static void commit(struct mix_store *store)
{
    struct mix_error err = {""};
    if (mix_store_commit(store, &err) != MIX_OK)
        fail_msg("%s", err.text);
}

static void put_table(struct mix_store *store, struct mix_table *table)
{
    struct mix_error err = {""};
    if (mix_store_put_table(store, table, &err) != MIX_OK)
        fail_msg("%s", err.text);
}

static struct mix_table *read_table(struct mix_store *store)
{
    struct mix_error err = {""};
    struct mix_table *table = NULL;
    if (mix_store_read_table(store, &table, &err) != MIX_OK)
        fail_msg("%s", err.text);
    return table;
}

/* All bytes of a file; free with free(). */
static char *slurp(const char *name, size_t *n)
{
    FILE *file = fopen(name, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *n = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(*n + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *n, file), *n);
    fclose(file);
    return bytes;
}

static void spill(const char *name, const char *bytes, size_t n)
{
    FILE *file = fopen(name, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

static bool exists(const char *suffix)
{
    char name[128];
    snprintf(name, sizeof name, "%s%s", path, suffix);
    return access(name, F_OK) == 0;
}

/* A file with a table, a fit and its draws, an optimum. */
static void make_full_file(void)
{
    struct mix_table *table = sample_table(7, 3, 4);
    struct mix_fit *fit = sample_fit("transfer", 5, 2);
    struct mix_draws *draws = sample_draws(fit, 9);
    struct mix_optimum *optimum = sample_optimum("transfer", 9);
    struct mix_error err = {""};
    struct mix_store *store = open_store(MIX_STORE_CREATE);
    put_table(store, table);
    assert_int_equal(mix_store_set_job(store, "name: full\n", 3), MIX_OK);
    assert_int_equal(mix_store_put_fit(store, fit, &err), MIX_OK);
    assert_int_equal(mix_store_put_draws(store, draws, &err), MIX_OK);
    assert_int_equal(mix_store_put_optimum(store, optimum, &err), MIX_OK);
    commit(store);
    mix_store_close(store);
    mix_table_destroy(table);
    mix_fit_destroy(fit);
    mix_draws_destroy(draws);
    mix_optimum_destroy(optimum);
}

static void round_trip_table(size_t n_rows, size_t n_domains, size_t n_targets)
{
    struct mix_table *table = sample_table(n_rows, n_domains, n_targets);
    struct mix_store *store = open_store(MIX_STORE_OPEN);
    put_table(store, table);
    commit(store);
    struct mix_table *again = read_table(store);
    assert_table_equal(table, again);
    mix_table_destroy(again);
    mix_store_close(store);
    store = open_store(MIX_STORE_READ);
    again = read_table(store);
    assert_table_equal(table, again);
    mix_store_close(store);
    mix_table_destroy(again);
    mix_table_destroy(table);
}

static void test_store_table_round_trip(void **state)
{
    (void)state;
    round_trip_table(7, 3, 4);
    round_trip_table(0, 1, 0);
    round_trip_table(1, 1, 0);
    round_trip_table(300, 17, 19);
}

static void round_trip_fit(const char *name, size_t n_starts, size_t n_holdouts)
{
    struct mix_error err = {""};
    struct mix_fit *fit = sample_fit(name, n_starts, n_holdouts), *again = NULL;
    struct mix_store *store = open_store(MIX_STORE_OPEN);
    assert_int_equal(mix_store_put_fit(store, fit, &err), MIX_OK);
    commit(store);
    if (mix_store_read_fit(store, name, &again, &err) != MIX_OK)
        fail_msg("%s", err.text);
    assert_fit_equal(fit, again);
    const struct mix_key key = mix_fit_key(fit), key_again = mix_fit_key(again);
    assert_memory_equal(&key, &key_again, sizeof key);
    mix_store_close(store);
    mix_fit_destroy(fit);
    mix_fit_destroy(again);
}

static void test_store_fit_round_trip(void **state)
{
    (void)state;
    round_trip_fit("a", 5, 0);
    round_trip_fit("b with spaces", 5, 1);
    round_trip_fit("ü", 64, MIX_HOLDOUTS_MAX);
    round_trip_fit("d", 0, 0);
}

static void test_store_draws_round_trip(void **state)
{
    (void)state;
    struct mix_error err = {""};
    struct mix_fit *fit = sample_fit("transfer", 5, 0);
    const size_t counts[] = {0, 1, 1000};
    struct mix_store *store = open_store(MIX_STORE_CREATE);
    for (size_t i = 0; i < 3; i++) {
        struct mix_draws *draws = sample_draws(fit, counts[i]), *again = NULL;
        assert_int_equal(mix_store_put_draws(store, draws, &err), MIX_OK);
        commit(store);
        if (mix_store_read_draws(store, "transfer", &again, &err) != MIX_OK)
            fail_msg("%s", err.text);
        assert_draws_equal(draws, again);
        mix_draws_destroy(draws);
        mix_draws_destroy(again);
    }
    mix_store_close(store);
    mix_fit_destroy(fit);
}

static void test_store_optimum_round_trip(void **state)
{
    (void)state;
    struct mix_error err = {""};
    const size_t counts[] = {0, 100};
    struct mix_store *store = open_store(MIX_STORE_CREATE);
    for (size_t i = 0; i < 2; i++) {
        struct mix_optimum *optimum = sample_optimum("7B", counts[i]), *again = NULL;
        assert_int_equal(mix_store_put_optimum(store, optimum, &err), MIX_OK);
        commit(store);
        if (mix_store_read_optimum(store, "7B", &again, &err) != MIX_OK)
            fail_msg("%s", err.text);
        assert_optimum_equal(optimum, again);
        mix_optimum_destroy(optimum);
        mix_optimum_destroy(again);
    }
    mix_store_close(store);
}

static void test_store_keeps_what_is_not_staged(void **state)
{
    (void)state;
    make_full_file();
    struct mix_error err = {""};
    struct mix_fit *other = sample_fit("other", 1, 0), *fit = sample_fit("transfer", 5, 2);
    struct mix_optimum *optimum = sample_optimum("transfer", 9);
    char *job = malloc(200001); /* more than the 64 KiB of a plain attribute */
    assert_non_null(job);
    memset(job, 'x', 200000);
    job[200000] = '\0';
    for (int i = 0; i < 3; i++) {
        struct mix_store *store = open_store(MIX_STORE_WRITE);
        assert_int_equal(mix_store_put_fit(store, other, &err), MIX_OK);
        if (i == 1)
            assert_int_equal(mix_store_set_job(store, job, 4), MIX_OK);
        commit(store);
        mix_store_close(store);
    }
    struct mix_store *store = open_store(MIX_STORE_READ);
    struct mix_table *table = read_table(store), *expected = sample_table(7, 3, 4);
    struct mix_fit *fit_again = NULL;
    struct mix_optimum *optimum_again = NULL;
    assert_int_equal(mix_store_read_fit(store, "transfer", &fit_again, &err), MIX_OK);
    assert_int_equal(mix_store_read_optimum(store, "transfer", &optimum_again, &err), MIX_OK);
    assert_table_equal(expected, table);
    assert_fit_equal(fit, fit_again);
    assert_optimum_equal(optimum, optimum_again);
    assert_string_equal(mix_store_job(store), job);
    assert_int_equal(mix_store_seed(store), 4);
    mix_store_close(store);
    mix_table_destroy(table);
    mix_table_destroy(expected);
    mix_fit_destroy(fit);
    mix_fit_destroy(fit_again);
    mix_fit_destroy(other);
    mix_optimum_destroy(optimum);
    mix_optimum_destroy(optimum_again);
    free(job);
}

static void test_store_drop_and_list(void **state)
{
    (void)state;
    make_full_file();
    struct mix_error err = {""};
    struct mix_fit *b = sample_fit("b", 1, 0), *none = NULL;
    struct mix_names names = {0};
    struct mix_store *store = open_store(MIX_STORE_WRITE);
    assert_int_equal(mix_store_put_fit(store, b, &err), MIX_OK);
    assert_int_equal(mix_store_drop(store, "bootstrap", "transfer", &err), MIX_OK);
    assert_int_equal(mix_store_drop(store, "optimum", "not there", &err), MIX_OK);
    assert_int_equal(mix_store_drop(store, "runs", "x", &err), MIX_EINVAL);
    commit(store);
    assert_int_equal(mix_store_list(store, "fits", &names, &err), MIX_OK);
    assert_int_equal(names.n, 2);
    assert_string_equal(names.name[0], "b");
    assert_string_equal(names.name[1], "transfer");
    mix_names_destroy(&names);
    assert_int_equal(mix_store_list(store, "bootstrap", &names, &err), MIX_OK);
    assert_int_equal(names.n, 0);
    mix_names_destroy(&names);
    assert_int_equal(mix_store_read_fit(store, "c", &none, &err), MIX_ENOTFOUND);
    assert_non_null(strstr(err.text, "there is b, transfer"));
    struct mix_draws *draws = NULL;
    assert_int_equal(mix_store_read_draws(store, "transfer", &draws, &err), MIX_ENOTFOUND);
    assert_non_null(strstr(err.text, "there is none"));
    mix_store_close(store);
    mix_fit_destroy(b);
}

static void test_store_refuses_bad_names(void **state)
{
    (void)state;
    struct mix_error err = {""};
    struct mix_store *store = open_store(MIX_STORE_CREATE);
    const char *const bad[] = {"", "a/b", "."};
    struct mix_fit *fit = sample_fit("x", 1, 0), *none = NULL;
    for (size_t i = 0; i < 3; i++) {
        snprintf(fit->name, sizeof fit->name, "%s", bad[i]);
        assert_int_equal(mix_store_put_fit(store, fit, &err), MIX_EINVAL);
        assert_int_equal(mix_store_read_fit(store, bad[i], &none, &err), MIX_ENOTFOUND);
    }
    mix_store_close(store);
    assert_false(exists(""));
    mix_fit_destroy(fit);
}

static void refused(enum mix_store_mode mode, enum mix_status expected, const char *sentence)
{
    struct mix_error err = {""};
    struct mix_store *store = NULL;
    const enum mix_status status = mix_store_open(path, mode, false, &store, &err);
    if (status != expected || strstr(err.text, sentence) == NULL)
        fail_msg("%s: %s", mix_status_text(status), err.text);
    assert_false(exists(".lock"));
}

static void test_store_modes(void **state)
{
    (void)state;
    refused(MIX_STORE_READ, MIX_ENOTFOUND, "no such file");
    refused(MIX_STORE_WRITE, MIX_ENOTFOUND, "no such file");
    struct mix_store *store = open_store(MIX_STORE_OPEN);
    mix_store_close(store);
    assert_false(exists(""));
    make_full_file();
    refused(MIX_STORE_CREATE, MIX_EEXIST, "exists already");
    store = open_store(MIX_STORE_READ);
    assert_false(exists(".lock"));
    struct mix_error err = {""};
    assert_int_equal(mix_store_commit(store, &err), MIX_EINVAL);
    mix_store_close(store);
}

static void test_store_refuses_foreign_files(void **state)
{
    (void)state;
    const char text[] = "run,n_params\n";
    spill(path, text, sizeof text);
    refused(MIX_STORE_READ, MIX_EFORMAT, "is not an HDF5 file");
    refused(MIX_STORE_WRITE, MIX_EFORMAT, "is not an HDF5 file");
    spill(path, "", 0);
    refused(MIX_STORE_OPEN, MIX_EFORMAT, "is not an HDF5 file");
    unlink(path);
    assert_int_equal(mkdir(path, 0777), 0);
    refused(MIX_STORE_READ, MIX_EFORMAT, "is not a file");
    rmdir(path);
}

static void test_store_refuses_truncated_files(void **state)
{
    (void)state;
    make_full_file();
    size_t n = 0;
    char *bytes = slurp(path, &n);
    for (size_t length = 8; length < n; length += length < 600 ? 8 : n / 50) {
        spill(path, bytes, length);
        struct mix_error err = {""};
        struct mix_store *store = NULL;
        assert_int_equal(mix_store_open(path, MIX_STORE_WRITE, false, &store, &err), MIX_EFORMAT);
        assert_non_null(strstr(err.text, "truncated"));
        assert_non_null(strstr(err.text, "restore it from a copy"));
        size_t n_after = 0;
        char *after = slurp(path, &n_after);
        assert_int_equal(n_after, length);
        assert_memory_equal(after, bytes, length);
        free(after);
    }
    free(bytes);
}

static void test_store_failed_commit_harms_nothing(void **state)
{
    (void)state;
    make_full_file();
    size_t n_before = 0, n_after = 0;
    char *before = slurp(path, &n_before);
    struct mix_error err = {""};
    struct mix_table *table = sample_table(100, 3, 4);
    struct mix_store *store = open_store(MIX_STORE_WRITE);
    put_table(store, table);
    struct rlimit limit, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    small = limit;
    small.rlim_cur = 8192; /* less than the file: a disk that fills up while it is written */
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const enum mix_status status = mix_store_commit(store, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(status, MIX_EIO);
    assert_non_null(strstr(err.text, "File too large"));
    assert_non_null(strstr(err.text, "old file and the logs are kept"));
    char *after = slurp(path, &n_after);
    assert_int_equal(n_after, n_before);
    assert_memory_equal(before, after, n_before);
    char temporary[32];
    snprintf(temporary, sizeof temporary, ".tmp.%ld", (long)getpid());
    assert_false(exists(temporary));
    struct mix_table *old = read_table(store);
    assert_int_equal(old->n_rows, 7);
    commit(store); /* what was staged still is */
    struct mix_table *again = read_table(store);
    assert_table_equal(table, again);
    mix_store_close(store);
    mix_table_destroy(old);
    mix_table_destroy(again);
    mix_table_destroy(table);
    free(before);
    free(after);
}

static void test_store_removes_leftovers(void **state)
{
    (void)state;
    make_full_file();
    char name[128];
    snprintf(name, sizeof name, "%s.tmp.999999", path);
    spill(name, "x", 1);
    snprintf(name, sizeof name, "%s.tmp.mine", path);
    spill(name, "x", 1);
    mix_store_close(open_store(MIX_STORE_READ));
    assert_true(exists(".tmp.999999"));
    mix_store_close(open_store(MIX_STORE_WRITE));
    assert_false(exists(".tmp.999999"));
    assert_true(exists(".tmp.mine"));
    assert_false(exists(".lock"));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, new_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(test_store_table_round_trip),
        TEST(test_store_fit_round_trip),
        TEST(test_store_draws_round_trip),
        TEST(test_store_optimum_round_trip),
        TEST(test_store_keeps_what_is_not_staged),
        TEST(test_store_drop_and_list),
        TEST(test_store_refuses_bad_names),
        TEST(test_store_modes),
        TEST(test_store_refuses_foreign_files),
        TEST(test_store_refuses_truncated_files),
        TEST(test_store_failed_commit_harms_nothing),
        TEST(test_store_removes_leftovers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
