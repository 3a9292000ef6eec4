/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whatever is wrong in a file, reading says so: no crash, no number that is not there. */
#include "samples.h"

#define H5_USE_110_API
#include <fcntl.h>
#include <hdf5.h>
#include <sys/wait.h>
#include <unistd.h>

static char path[64];

static int new_folder(void **state)
{
    (void)state;
    char folder[32]; /* in memory where that is possible: the file is written 1400 times */
    snprintf(folder, sizeof folder, "%shostile-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm/" : "");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/S.h5", folder);
    struct mix_table *table = sample_table(70, 3, 4);
    struct mix_fit *fit = sample_fit("transfer", 5, 2);
    struct mix_draws *draws = sample_draws(fit, 9);
    struct mix_optimum *optimum = sample_optimum("transfer", 9);
    struct mix_online *online = sample_online("transfer", 3);
    struct mix_store *store = NULL;
    struct mix_error err = {""};
    assert_int_equal(mix_store_open(path, MIX_STORE_CREATE, false, &store, &err), MIX_OK);
    assert_int_equal(mix_store_put_table(store, table, &err), MIX_OK);
    assert_int_equal(mix_store_put_fit(store, fit, &err), MIX_OK);
    assert_int_equal(mix_store_put_draws(store, draws, &err), MIX_OK);
    assert_int_equal(mix_store_put_optimum(store, optimum, &err), MIX_OK);
    assert_int_equal(mix_store_put_online(store, online, &err), MIX_OK);
    assert_int_equal(mix_store_commit(store, &err), MIX_OK);
    mix_store_close(store);
    mix_table_destroy(table);
    mix_fit_destroy(fit);
    mix_draws_destroy(draws);
    mix_optimum_destroy(optimum);
    mix_online_destroy(online);
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

/* Read what the file has in the group that `object` is in; the first failure. */
static enum mix_status read_around(const char *object, struct mix_error *err)
{
    struct mix_store *store = NULL;
    struct mix_table *table = NULL;
    struct mix_fit *fit = NULL;
    struct mix_draws *draws = NULL;
    struct mix_optimum *optimum = NULL;
    struct mix_online *online = NULL;
    struct mix_names names = {0};
    object += object[0] == '/';
    enum mix_status status = mix_store_open(path, MIX_STORE_READ, false, &store, err);
    if (status != MIX_OK)
        return status;
    if (strncmp(object, "fits", 4) == 0) {
        status = mix_store_list(store, "fits", &names, err);
        mix_names_destroy(&names);
        if (status == MIX_OK)
            status = mix_store_read_fit(store, "transfer", &fit, err);
    } else if (strncmp(object, "bootstrap", 9) == 0) {
        status = mix_store_read_draws(store, "transfer", &draws, err);
    } else if (strncmp(object, "optimum", 7) == 0) {
        status = mix_store_read_optimum(store, "transfer", &optimum, err);
    } else if (strncmp(object, "online", 6) == 0) {
        status = mix_store_read_online(store, "transfer", &online, err);
    } else {
        status = mix_store_read_table(store, &table, err);
    }
    mix_store_close(store);
    mix_table_destroy(table);
    mix_fit_destroy(fit);
    mix_draws_destroy(draws);
    mix_optimum_destroy(optimum);
    mix_online_destroy(online);
    return status;
}

static void *slurp(size_t *n)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *n = (size_t)ftell(file);
    rewind(file);
    void *bytes = malloc(*n);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *n, file), *n);
    fclose(file);
    return bytes;
}

/* Without O_TRUNC: ext4 writes a file that was emptied and filled anew to disk at once. */
static void spill(const void *bytes, size_t n)
{
    const int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), n);
    assert_int_equal(ftruncate(fd, (off_t)n), 0);
    assert_int_equal(close(fd), 0);
}

/* Objects of the file: datasets, and attributes that are ours. */
struct objects {
    size_t n;
    struct {
        char object[128], attribute[64];
    } at[400];
};

static herr_t add_attribute(hid_t object, const char *name, const H5A_info_t *info, void *context)
{
    (void)info;
    struct objects *objects = context;
    char object_name[128] = "";
    assert_true(objects->n < 400);
    if (strstr(name, "_meaning") != NULL || strstr(name, "_description") != NULL)
        return 0; /* for people: never read */
    H5Iget_name(object, object_name, sizeof object_name);
    snprintf(objects->at[objects->n].object, sizeof objects->at->object, "%s", object_name);
    snprintf(objects->at[objects->n].attribute, sizeof objects->at->attribute, "%s", name);
    objects->n++;
    return 0;
}

static herr_t add_object(hid_t root, const char *name, const H5O_info_t *info, void *context)
{
    struct objects *objects = context;
    const hid_t id = H5Oopen(root, name, H5P_DEFAULT);
    assert_true(id >= 0 && objects->n < 400);
    if (info->type == H5O_TYPE_DATASET)
        snprintf(objects->at[objects->n++].object, sizeof objects->at->object, "%s", name);
    else
        H5Aiterate(id, H5_INDEX_NAME, H5_ITER_INC, NULL, add_attribute, context);
    H5Oclose(id);
    return 0;
}

enum damage {
    DELETED,
    A_GROUP,
    RANK_3,
    LONGER,
    COMPOUND,
    VARIABLE_TEXT,
    SCALAR_SPACE,
    HUGE_AND_EMPTY,
    TEXT_WITHOUT_END,
    DAMAGES
};

static hid_t damaged_type(enum damage damage, hid_t type)
{
    if (damage == COMPOUND) {
        const hid_t compound = H5Tcreate(H5T_COMPOUND, 16);
        H5Tinsert(compound, "a", 0, H5T_IEEE_F64LE);
        return compound;
    }
    if (damage == VARIABLE_TEXT) {
        const hid_t text = H5Tcopy(H5T_C_S1);
        H5Tset_size(text, H5T_VARIABLE);
        return text;
    }
    return H5Tcopy(type);
}

static hid_t damaged_space(enum damage damage, hid_t space)
{
    hsize_t extent[4] = {0, 1, 1, 1};
    const int rank = H5Sget_simple_extent_dims(space, extent, NULL);
    if (damage == SCALAR_SPACE)
        return H5Screate(H5S_SCALAR);
    if (damage == RANK_3)
        return H5Screate_simple(3, extent, NULL);
    if (damage == LONGER)
        extent[0]++;
    if (damage == HUGE_AND_EMPTY)
        extent[0] = 90 * 1000 * 1000;
    return H5Screate_simple(rank, extent, NULL);
}

/* False where the damage does not apply. */
static bool damage_dataset(hid_t file, const char *name, enum damage damage)
{
    const hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT);
    const hid_t type = H5Dget_type(dataset), space = H5Dget_space(dataset);
    bool done = true;
    if (damage == TEXT_WITHOUT_END) {
        const size_t n = (size_t)H5Sget_simple_extent_npoints(space) * H5Tget_size(type);
        char *letters = malloc(n + 1);
        assert_non_null(letters);
        memset(letters, 'A', n + 1);
        /* Of some only the length is read, and metadata may be of any length. */
        done = H5Tget_class(type) == H5T_STRING && strstr(name, "gain_over") == NULL &&
               strstr(name, "group_trained") == NULL && strcmp(name, "runs/metadata") != 0 &&
               strcmp(name, "bootstrap/transfer/param") != 0;
        if (done)
            H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, letters);
        free(letters);
    } else {
        H5Ldelete(file, name, H5P_DEFAULT);
        if (damage == DELETED)
            done = strcmp(name, "runs/round") != 0; /* files of before have none */
        if (damage == A_GROUP) {
            H5Gclose(H5Gcreate2(file, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
        } else if (damage != DELETED) {
            const hid_t new_type = damaged_type(damage, type);
            const hid_t new_space = damaged_space(damage, space);
            H5Dclose(
                H5Dcreate2(file, name, new_type, new_space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
            H5Tclose(new_type);
            H5Sclose(new_space);
            /* Of these only the length is read. */
            const char *const index_scales[] = {"start", "optimum", "draw",  "gain_over",
                                                "path",  "point",   "round", "group_trained"};
            for (size_t i = 0; i < 8; i++)
                done = done && ((damage != COMPOUND && damage != VARIABLE_TEXT) ||
                                strcmp(name, "runs/round") == 0 ||
                                strcmp(strrchr(name, '/') + 1, index_scales[i]) != 0);
            done = done && ((damage != COMPOUND && damage != VARIABLE_TEXT) ||
                            strcmp(name, "bootstrap/transfer/param") != 0);
            /* Those have three dimensions anyway. */
            done = done && (damage != RANK_3 || H5Sget_simple_extent_ndims(space) != 3);
        }
    }
    H5Sclose(space);
    H5Tclose(type);
    H5Dclose(dataset);
    return done;
}

static bool damage_attribute(hid_t file, const char *object, const char *name, enum damage damage)
{
    const hid_t attribute = H5Aopen_by_name(file, object, name, H5P_DEFAULT, H5P_DEFAULT);
    const hid_t type = H5Aget_type(attribute);
    const bool text = H5Tget_class(type) == H5T_STRING;
    H5Aclose(attribute);
    bool done = damage == DELETED || damage == COMPOUND || damage == VARIABLE_TEXT ||
                damage == LONGER || (damage == TEXT_WITHOUT_END && text);
    if (done)
        H5Adelete_by_name(file, object, name, H5P_DEFAULT);
    if (done && damage != DELETED) {
        const hsize_t two = 2;
        const hid_t space =
            damage == LONGER ? H5Screate_simple(1, &two, NULL) : H5Screate(H5S_SCALAR);
        const hid_t new_type = damaged_type(damage, type);
        char letters[8192];
        memset(letters, 'A', sizeof letters);
        if (damage == TEXT_WITHOUT_END)
            H5Tset_size(new_type, sizeof letters);
        const hid_t again = H5Acreate_by_name(file, object, name, new_type, space, H5P_DEFAULT,
                                              H5P_DEFAULT, H5P_DEFAULT);
        if (damage == TEXT_WITHOUT_END) {
            H5Awrite(again, new_type, letters);
            /* Those may be of any length, and an end is put behind them. */
            done = strcmp(name, "job") != 0 && strcmp(name, "created") != 0;
        }
        H5Aclose(again);
        H5Tclose(new_type);
        H5Sclose(space);
    }
    H5Tclose(type);
    return done && strncmp(name, "mixsweep_", 9) != 0;
}

/* Online runs have many columns that are read in the same way: some stand for all. */
static bool is_alike(const char *object)
{
    static const char *const kept[] = {"key",   "group", "setting",    "role",   "test",
                                       "point", "round", "point_loss", "matrix", "group_trained"};
    if (strncmp(object, "online/transfer/", 16) != 0)
        return false;
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (strcmp(object + 16, kept[i]) == 0)
            return false;
    return true;
}

static void test_hostile_objects(void **state)
{
    (void)state;
    struct mix_error err = {""};
    static struct objects objects;
    size_t n = 0, n_cases = 0;
    void *bytes = slurp(&n);
    const char *const groups[] = {"runs", "fits", "bootstrap", "optimum", "online"};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(read_around(groups[i], &err), MIX_OK);
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    assert_true(H5Ovisit(file, H5_INDEX_NAME, H5_ITER_INC, add_object, &objects) >= 0);
    H5Fclose(file);
    assert_true(objects.n > 150);
    for (size_t i = 0; i < objects.n; i++) {
        const char *object = objects.at[i].object, *attribute = objects.at[i].attribute;
        if (is_alike(object) || strcmp(object, "fits/transfer/param_other") == 0) /* never read */
            continue;
        for (int damage = 0; damage < DAMAGES; damage++) {
            spill(bytes, n);
            file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
            const bool done = attribute[0] != '\0'
                                  ? damage_attribute(file, object, attribute, (enum damage)damage)
                                  : damage_dataset(file, object, (enum damage)damage);
            H5Fclose(file);
            err.text[0] = '\0';
            const enum mix_status status = read_around(object, &err);
            if (done && (status != MIX_EFORMAT || strstr(err.text, "S.h5") == NULL))
                fail_msg("%s %s, damage %d: %s, %s", object, attribute, damage,
                         mix_status_text(status), err.text);
            n_cases += done;
        }
    }
    assert_true(n_cases > 1000);
    free(bytes);
}

/* Numbers of the right type that no reader may take for granted. */
static void test_hostile_values(void **state)
{
    (void)state;
    static const struct {
        const char *dataset;
        hid_t *type;
        double value;
    } cases[] = {
        {"runs/status", &H5T_NATIVE_INT32_g, 3},
        {"runs/is_final", &H5T_NATIVE_INT32_g, -1},
        {"runs/excluded", &H5T_NATIVE_INT32_g, 2},
        {"runs/mixture_id", &H5T_NATIVE_INT32_g, 70},
        {"runs/mixture_id", &H5T_NATIVE_INT32_g, -1},
        {"runs/mixture", &H5T_NATIVE_DOUBLE_g, 1.5},
        {"runs/mixture", &H5T_NATIVE_DOUBLE_g, NAN},
        {"targets/domain", &H5T_NATIVE_INT32_g, 3},
        {"targets/direction", &H5T_NATIVE_INT32_g, 0},
        {"fits/transfer/target_domain", &H5T_NATIVE_INT32_g, 3},
        {"fits/transfer/target_domain", &H5T_NATIVE_INT32_g, -2},
        {"fits/transfer/param_state", &H5T_NATIVE_UINT8_g, 3},
        {"fits/transfer/predictions/holdout", &H5T_NATIVE_INT32_g, 3},
        {"fits/transfer/predictions/holdout", &H5T_NATIVE_INT32_g, -1},
        {"bootstrap/transfer/done", &H5T_NATIVE_UINT8_g, 2},
        {"optimum/transfer/binding", &H5T_NATIVE_UINT8_g, 5},
        {"online/transfer/role", &H5T_NATIVE_INT32_g, 4},
        {"online/transfer/restricted", &H5T_NATIVE_INT32_g, 2},
        {"online/transfer/diverged", &H5T_NATIVE_INT32_g, -1},
    };
    size_t n = 0;
    void *bytes = slurp(&n);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        spill(bytes, n);
        const hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
        const hid_t dataset = H5Dopen2(file, cases[i].dataset, H5P_DEFAULT);
        const hid_t space = H5Dget_space(dataset), one = H5Screate(H5S_SCALAR);
        const hsize_t last[2] = {2, 2};
        double buffer = cases[i].value;
        H5Sselect_elements(space, H5S_SELECT_SET, 1, last);
        H5Tconvert(H5T_NATIVE_DOUBLE, *cases[i].type, 1, &buffer, NULL, H5P_DEFAULT);
        assert_true(H5Dwrite(dataset, *cases[i].type, one, space, H5P_DEFAULT, &buffer) >= 0);
        H5Sclose(space);
        H5Sclose(one);
        H5Dclose(dataset);
        H5Fclose(file);
        struct mix_error err = {""};
        if (read_around(cases[i].dataset, &err) != MIX_EFORMAT ||
            strstr(err.text, strchr(cases[i].dataset, '/')) == NULL)
            fail_msg("%s = %g: %s", cases[i].dataset, cases[i].value, err.text);
    }
    free(bytes);
}

/* Flipped bytes: refused, or in a place that is not read. Returns the number of refusals. */
static int flip_bytes(int n_rounds)
{
    const char *const groups[] = {"runs", "fits", "bootstrap", "optimum"};
    size_t n = 0;
    int n_refused = 0;
    uint8_t *bytes = slurp(&n);
    uint32_t random = 20260917;
    for (int round = 0; round < n_rounds; round++) {
        random = random * 1664525u + 1013904223u;
        const size_t at = (size_t)(random >> 4) % n;
        bytes[at] ^= 0x81;
        spill(bytes, n);
        bool refused = false;
        for (size_t i = 0; i < 4; i++)
            refused = read_around(groups[i], NULL) != MIX_OK || refused;
        n_refused += refused;
        bytes[at] ^= 0x81;
    }
    free(bytes);
    return n_refused;
}

/* In a child that nobody asks for its memory: libhdf5 leaks where it finds damage. */
static void test_hostile_bytes(void **state)
{
    (void)state;
    int status = 0;
    const pid_t child = fork();
    if (child == 0)
        _exit(flip_bytes(250) / 10);
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status));
    assert_in_range(WEXITSTATUS(status), 5, 25);
}

static void test_hostile_newer_format(void **state)
{
    (void)state;
    const hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    const hid_t attribute = H5Aopen(file, "format_version", H5P_DEFAULT);
    const int version = MIX_STORE_VERSION + 1;
    H5Awrite(attribute, H5T_NATIVE_INT, &version);
    H5Aclose(attribute);
    H5Fclose(file);
    struct mix_error err = {""};
    assert_int_equal(read_around("runs", &err), MIX_EFORMAT);
    assert_non_null(strstr(err.text, "of a newer mixsweep"));
}

static void test_hostile_foreign_hdf5(void **state)
{
    (void)state;
    unlink(path);
    H5Fclose(H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT));
    struct mix_error err = {""};
    assert_int_equal(read_around("runs", &err), MIX_EFORMAT);
    assert_non_null(strstr(err.text, "not one of mixsweep's"));
}

int main(void)
{
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
#define TEST(f) cmocka_unit_test_setup_teardown(f, new_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(test_hostile_objects),      TEST(test_hostile_values),       TEST(test_hostile_bytes),
        TEST(test_hostile_newer_format), TEST(test_hostile_foreign_hdf5),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
