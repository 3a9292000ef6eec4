/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The agent in the file, in a file of its own and in records: what goes in comes out, and whatever
 * is wrong is said, without a crash. */
#include "samples.h"

#define H5_USE_110_API
#include <hdf5.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mixsweep/agent_campaign.h"

enum { D = 4, K = 2, T = 3, P = 50, W = 70, ROWS = 12 };
static const char slots[D][MIX_NAME_MAX] = {"a", "b", "c", "d"};
static const struct mix_agent_space space = {
    .n_slots = D, .n_source = K, .n_decisions = T, .source_weight = 0.5, .target_weight = 0.5};
static char folder[64], path[96], frozen[96];

static int new_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%sagent-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm/" : "");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/S.h5", folder);
    snprintf(frozen, sizeof frozen, "%s/F.h5", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

/* Numbers that repeat in no simple way. */
static double number(size_t i)
{
    return 0.001 * (double)((i * 7919) % 1000) + 0.1;
}

static void fill_mixture(double *mixture, size_t seed)
{
    double sum = 0;
    for (size_t i = 0; i < D; i++)
        sum += mixture[i] = number(seed + i);
    for (size_t i = 0; i < D; i++)
        mixture[i] /= sum;
}

static void add_agent(struct mix_agent_campaign *campaign, const char *label, double alpha,
                      double value, int blind)
{
    struct mix_agent_trained *agent = mix_agent_add_agent(campaign, W);
    assert_non_null(agent);
    snprintf(agent->label, sizeof agent->label, "%s", label);
    agent->key = (struct mix_key){strlen(label), 7};
    agent->head = (struct mix_agent_head){.space = space,
                                          .trunk = MIX_AGENT_MLP,
                                          .blind = blind,
                                          .width = 48,
                                          .n_layers = 2,
                                          .n_heads = 6,
                                          .n_weights = W};
    for (size_t i = 0; i < D; i++)
        agent->head.scale.sigma[i] = number(i + 3);
    agent->head.scale.reward = 2.5;
    agent->report = (struct mix_agent_report){
        .n_params = W, .n_supervised = 11, .supervised_loss = 1.5, .value = value, .train_s = 3};
    agent->alpha = alpha;
    agent->n_data = ROWS;
    for (size_t i = 0; i < W; i++)
        agent->weights[i] = (float)(number(i) - 0.5);
    agent->hash = mix_agent_hash(agent->weights, W);
}

static void add_rows(struct mix_agent_campaign *campaign)
{
    for (size_t i = 0; i < ROWS; i++) {
        const size_t at = mix_agent_add_row(campaign);
        struct mix_agent_row *row = &campaign->rows[at];
        row->key = (struct mix_key){1, i};
        row->number = ROWS - 1 - i; /* to be sorted */
        row->stratum = (int32_t)(i % MIX_AGENT_STRATA);
        row->base = (int32_t)(i % 2);
        row->held_out = i == 3;
        row->diverged = i == 5;
        for (size_t t = 0; t < T; t++)
            fill_mixture(campaign->mixture + (at * T + t) * D, 17 * i + t);
        for (size_t j = 0; j < (T + 1) * D; j++)
            campaign->feedback[at * (T + 1) * D + j] = i == 5 ? (double)NAN : -number(i * 100 + j);
    }
}

static struct mix_agent_campaign *sample(void)
{
    struct mix_agent_campaign *campaign = mix_agent_campaign_create("own", &space);
    assert_non_null(campaign);
    memcpy(campaign->slots, slots, sizeof slots);
    snprintf(campaign->trainer, sizeof campaign->trainer, "embedded");
    campaign->options = (struct mix_key){11, 12};
    campaign->text = (struct mix_key){13, 14};
    campaign->n_steps = 30;
    for (size_t b = 2; b-- > 0;) {
        struct mix_agent_base *base = mix_agent_add_base(campaign, P);
        assert_non_null(base);
        snprintf(base->setting, sizeof base->setting, "own");
        base->key = (struct mix_key){2, b};
        base->number = b;
        for (size_t i = 0; i < P; i++)
            base->params[i] = (float)number(i + b);
        for (size_t i = 0; i < MIX_AGENT_CURVE; i++)
            base->curve[i] = number(i);
        base->hash = mix_agent_hash(base->params, P);
    }
    add_rows(campaign);
    add_agent(campaign, "supervised", NAN, NAN, 0);
    add_agent(campaign, "rl-a1", 1.0, 0.5, 0);
    add_agent(campaign, "blind", 1.0, 9.5, 1);
    const size_t run = mix_agent_add_run(campaign);
    assert_true(run != SIZE_MAX);
    snprintf(campaign->runs[run].agent, sizeof campaign->runs[run].agent, "rl-a1");
    assert_int_equal(mix_agent_campaign_sort(campaign, NULL), MIX_OK);
    return campaign;
}

static void write_sample(const struct mix_agent_campaign *campaign)
{
    struct mix_store *store = NULL;
    struct mix_error err = {""};
    assert_int_equal(mix_store_open(path, MIX_STORE_REPLACE, false, &store, &err), MIX_OK);
    assert_int_equal(mix_store_put_agent(store, campaign, &err), MIX_OK);
    assert_int_equal(mix_store_commit(store, &err), MIX_OK);
    mix_store_close(store);
}

static enum mix_status read_file(struct mix_agent_campaign **out, struct mix_error *err)
{
    struct mix_store *store = NULL;
    enum mix_status status = mix_store_open(path, MIX_STORE_READ, false, &store, err);
    if (status == MIX_OK)
        status = mix_store_read_agent(store, "own", out, err);
    mix_store_close(store);
    return status;
}

static void test_a_campaign_comes_back_as_it_was(void **state)
{
    (void)state;
    struct mix_agent_campaign *campaign = sample(), *read = NULL;
    struct mix_error err = {""};
    write_sample(campaign);
    if (read_file(&read, &err) != MIX_OK || read == NULL) {
        fail_msg("%s", err.text);
        return;
    }
    assert_string_equal(read->trainer, "embedded");
    assert_memory_equal(&read->space, &space, sizeof space);
    assert_memory_equal(read->slots, slots, sizeof slots);
    assert_memory_equal(&read->text, &campaign->text, sizeof read->text);
    assert_int_equal(read->n_rows, ROWS);
    assert_memory_equal(read->rows, campaign->rows, ROWS * sizeof *read->rows);
    assert_memory_equal(read->mixture, campaign->mixture, ROWS * T * D * sizeof(double));
    assert_memory_equal(read->feedback, campaign->feedback, ROWS * (T + 1) * D * sizeof(double));
    assert_int_equal(read->n_bases, 2);
    assert_int_equal(read->bases[1].number, 1);
    assert_memory_equal(read->bases[1].params, campaign->bases[1].params, P * sizeof(float));
    assert_memory_equal(read->bases[0].curve, campaign->bases[0].curve,
                        sizeof read->bases[0].curve);
    assert_int_equal(read->n_agents, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(read->agents[i].label, campaign->agents[i].label);
        assert_memory_equal(read->agents[i].weights, campaign->agents[i].weights,
                            W * sizeof(float));
        assert_memory_equal(&read->agents[i].head.scale, &campaign->agents[i].head.scale,
                            sizeof(struct mix_agent_scale));
    }
    assert_int_equal(read->n_runs, 1);
    mix_agent_campaign_destroy(read);
    mix_agent_campaign_destroy(campaign);
}

static void test_rows_are_in_the_order_of_the_plan_and_diverged_ones_teach_nothing(void **state)
{
    (void)state;
    struct mix_agent_campaign *campaign = sample();
    struct mix_agent_data *data = NULL;
    for (size_t i = 0; i < ROWS; i++) {
        assert_int_equal(campaign->rows[i].number, i);
        /* its mixtures have moved with it */
        double first[D];
        fill_mixture(first, 17 * (ROWS - 1 - i));
        assert_memory_equal(campaign->mixture + i * T * D, first, sizeof first);
    }
    assert_int_equal(mix_agent_campaign_data(campaign, &data, NULL), MIX_OK);
    assert_int_equal(data->n, ROWS - 1);
    size_t n_held_out = 0;
    for (size_t i = 0; i < data->n; i++) {
        n_held_out += data->held_out[i] == 1;
        assert_true(isfinite(data->feedback[i * (T + 1) * D]));
    }
    assert_int_equal(n_held_out, 1);
    mix_agent_data_destroy(data);
    mix_agent_campaign_destroy(campaign);
}

static void test_the_agent_that_steers_is_not_the_blind_one(void **state)
{
    (void)state;
    struct mix_agent_campaign *campaign = sample();
    assert_string_equal(mix_agent_campaign_best(campaign)->label, "rl-a1");
    add_agent(campaign, "rl-a2", 2.0, 0.7, 0);
    assert_string_equal(mix_agent_campaign_best(campaign)->label, "rl-a2");
    add_agent(campaign, "rl-a3", 3.0, 0.1, 0); /* values on other data do not compare */
    campaign->agents[campaign->n_agents - 1].n_data = ROWS + 1;
    assert_string_equal(mix_agent_campaign_best(campaign)->label, "rl-a3");
    assert_null(mix_agent_campaign_find(campaign, "rl"));
    mix_agent_campaign_destroy(campaign);
    campaign = mix_agent_campaign_create("own", &space);
    assert_null(mix_agent_campaign_best(campaign));
    add_agent(campaign, "supervised", NAN, NAN, 0);
    assert_string_equal(mix_agent_campaign_best(campaign)->label, "supervised");
    mix_agent_campaign_destroy(campaign);
}

static void test_a_frozen_agent_travels_alone(void **state)
{
    (void)state;
    struct mix_agent_campaign *campaign = sample();
    const struct mix_agent_trained *best = mix_agent_campaign_best(campaign);
    struct mix_agent_trained *read = NULL;
    struct mix_error err = {""};
    assert_int_equal(mix_store_export_agent(frozen, best, slots, &err), MIX_OK);
    assert_int_equal(mix_store_import_agent(frozen, &read, &err), MIX_OK);
    assert_string_equal(read->label, "rl-a1");
    assert_int_equal(read->head.n_weights, W);
    assert_memory_equal(&read->head.space, &space, sizeof space);
    assert_memory_equal(read->head.scale.sigma, best->head.scale.sigma, D * sizeof(double));
    assert_true(read->head.scale.reward == 2.5 && read->head.trunk == MIX_AGENT_MLP);
    assert_memory_equal(read->weights, best->weights, W * sizeof(float));
    mix_agent_trained_destroy(read);
    read = NULL;
    assert_int_equal(mix_store_import_agent(path, &read, &err), MIX_EFORMAT);
    assert_non_null(strstr(err.text, "but not a frozen agent"));
    assert_int_equal(mix_store_import_agent("none.h5", &read, &err), MIX_ENOTFOUND);
    assert_null(read);
    mix_agent_campaign_destroy(campaign);
}

/* A transfer of the job that became another one: bases have one name in the file. */
static void test_a_base_model_takes_the_place_of_one_of_its_name(void **state)
{
    (void)state;
    struct mix_agent_campaign *campaign = sample(), *read = NULL;
    struct mix_agent_base base = campaign->bases[1];
    const struct mix_agent_log_head head = mix_agent_log_head(campaign);
    const size_t n = mix_agent_base_bytes(P);
    uint8_t *record = malloc(n);
    float params[P];
    struct mix_error err = {""};
    assert_non_null(record);
    for (size_t i = 0; i < P; i++)
        params[i] = (float)number(i + 77);
    base.key = (struct mix_key){5, 6};
    base.params = params;
    base.hash = mix_agent_hash(params, P);
    mix_agent_pack_base(&base, record);
    assert_int_equal(mix_agent_campaign_take(campaign, &head, sizeof head, record, n, &err),
                     MIX_OK);
    assert_int_equal(campaign->n_bases, 2);
    assert_int_equal(mix_agent_campaign_sort(campaign, &err), MIX_OK);
    write_sample(campaign);
    assert_int_equal(read_file(&read, &err), MIX_OK);
    assert_int_equal(read->n_bases, 2);
    assert_memory_equal(&read->bases[1].key, &base.key, sizeof base.key);
    assert_memory_equal(read->bases[1].params, params, sizeof params);
    free(record);
    mix_agent_campaign_destroy(read);
    mix_agent_campaign_destroy(campaign);
}

static void test_other_sizes_are_refused_by_a_sentence(void **state)
{
    (void)state;
    struct mix_agent_space other = space;
    struct mix_error err = {""};
    assert_int_equal(mix_agent_check_space(&space, &other, "F.h5", &err), MIX_OK);
    other.n_slots = 6;
    assert_int_equal(mix_agent_check_space(&space, &other, "F.h5", &err), MIX_EINVAL);
    assert_string_equal(err.text, "F.h5 is an agent of 4 domains; the job has 6");
    other = space;
    other.n_source = 1;
    assert_int_equal(mix_agent_check_space(&space, &other, "F.h5", &err), MIX_EINVAL);
    assert_string_equal(err.text,
                        "F.h5 is an agent of 2 source and 2 target domains; the job has 1 and 3");
    other = space;
    other.n_decisions = 16;
    assert_int_equal(mix_agent_check_space(&space, &other, "F.h5", &err), MIX_EINVAL);
    assert_string_equal(err.text, "F.h5 is an agent of 3 decisions in a run; the job has 16");
}

/* Replace an attribute of the frozen agent by a text. */
static void set_text(const char *name, const char *text)
{
    const hid_t file = H5Fopen(frozen, H5F_ACC_RDWR, H5P_DEFAULT);
    const hid_t type = H5Tcopy(H5T_C_S1), scalar = H5Screate(H5S_SCALAR);
    H5Tset_size(type, strlen(text) + 1);
    H5Tset_cset(type, H5T_CSET_UTF8);
    H5Adelete(file, name);
    const hid_t attribute = H5Acreate2(file, name, type, scalar, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Awrite(attribute, type, text) >= 0);
    H5Aclose(attribute);
    H5Sclose(scalar);
    H5Tclose(type);
    H5Fclose(file);
}

static void test_other_feedback_and_other_weights_are_refused(void **state)
{
    (void)state;
    struct mix_agent_campaign *campaign = sample();
    const struct mix_agent_trained *best = mix_agent_campaign_best(campaign);
    struct mix_agent_trained *read = NULL;
    struct mix_error err = {""};
    assert_int_equal(mix_store_export_agent(frozen, best, slots, &err), MIX_OK);
    set_text("feedback", "accuracy");
    assert_int_equal(mix_store_import_agent(frozen, &read, &err), MIX_EFORMAT);
    assert_non_null(strstr(err.text, "an agent whose feedback is \"accuracy\"; ours is"));
    assert_int_equal(mix_store_export_agent(frozen, best, slots, &err), MIX_OK);
    set_text("hash", "0123456789abcdef0123456789abcdef");
    assert_int_equal(mix_store_import_agent(frozen, &read, &err), MIX_EFORMAT);
    assert_non_null(strstr(err.text, "are not those of its hash"));
    assert_null(read);
    mix_agent_campaign_destroy(campaign);
}

static size_t slurp(const char *name, unsigned char **bytes)
{
    FILE *file = fopen(name, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    const size_t n = (size_t)ftell(file);
    rewind(file);
    *bytes = malloc(n);
    assert_non_null(*bytes);
    assert_int_equal(fread(*bytes, 1, n, file), n);
    fclose(file);
    return n;
}

static void spill(const char *name, const unsigned char *bytes, size_t n)
{
    FILE *file = fopen(name, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    fclose(file);
}

static void read_both(bool is_frozen)
{
    struct mix_error err = {""};
    struct mix_agent_trained *agent = NULL;
    struct mix_agent_campaign *campaign = NULL;
    const enum mix_status status =
        is_frozen ? mix_store_import_agent(frozen, &agent, &err) : read_file(&campaign, &err);
    if (status != MIX_OK && (err.text[0] == '\0' || agent != NULL || campaign != NULL))
        abort();
    mix_agent_trained_destroy(agent);
    mix_agent_campaign_destroy(campaign);
}

static void damage(bool is_frozen)
{
    enum { PLACES = 400 };
    const char *name = is_frozen ? frozen : path;
    unsigned char *bytes = NULL;
    const size_t n = slurp(name, &bytes);
    for (size_t i = 0; i < PLACES; i++) {
        const size_t at = (i * n) / PLACES + i % 7;
        if (at >= n)
            continue;
        const unsigned char old = bytes[at];
        bytes[at] = (unsigned char)(old ^ (i % 3 == 0 ? 0xff : 1u << i % 8));
        spill(name, bytes, n);
        read_both(is_frozen);
        bytes[at] = old;
    }
    for (size_t part = 0; part < 8; part++) {
        spill(name, bytes, n * part / 8);
        read_both(is_frozen);
    }
    free(bytes);
}

/* In a process of its own: HDF5 leaks where what it reads is damaged. */
static void test_no_damage_of_a_file_crashes_us(void **state)
{
    (void)state;
    struct mix_agent_campaign *campaign = sample();
    struct mix_error err = {""};
    write_sample(campaign);
    assert_int_equal(mix_store_export_agent(frozen, mix_agent_campaign_best(campaign), slots, &err),
                     MIX_OK);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        damage(false);
        damage(true);
        _exit(0);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    mix_agent_campaign_destroy(campaign);
}

/* What a reader needs: datasets and attributes below /agent, but for what explains them. */
struct needed {
    size_t n;
    struct {
        char object[128], attribute[64]; /* empty: the dataset itself */
    } at[256];
};

static herr_t add_attribute(hid_t id, const char *name, const H5A_info_t *info, void *context)
{
    static const char *const notes[] = {"meaning", "description", "units"};
    struct needed *needed = context;
    (void)id;
    (void)info;
    for (size_t i = 0; i < sizeof notes / sizeof notes[0]; i++)
        if (strstr(name, notes[i]) != NULL)
            return 0;
    if (name[0] >= 'a') /* HDF5's own are in capitals */
        snprintf(needed->at[needed->n++].attribute, sizeof needed->at[0].attribute, "%.60s", name);
    return needed->n == 256;
}

static herr_t add_object(hid_t root, const char *name, const H5O_info_t *info, void *context)
{
    struct needed *needed = context;
    const size_t first = needed->n;
    hsize_t at = 0;
    if (strncmp(name, "agent/own", 9) != 0 || needed->n == 255)
        return 0;
    if (info->type == H5O_TYPE_DATASET)
        needed->n++;
    const hid_t object = H5Oopen(root, name, H5P_DEFAULT);
    const herr_t result =
        H5Aiterate2(object, H5_INDEX_NAME, H5_ITER_INC, &at, add_attribute, needed);
    H5Oclose(object);
    for (size_t i = first; i < needed->n; i++)
        snprintf(needed->at[i].object, sizeof needed->at[0].object, "%.120s", name);
    return result;
}

static void test_what_is_missing_is_said(void **state)
{
    (void)state;
    static struct needed needed;
    struct mix_agent_campaign *campaign = sample(), *read = NULL;
    unsigned char *bytes = NULL;
    write_sample(campaign);
    const size_t n = slurp(path, &bytes);
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    assert_int_equal(H5Ovisit(file, H5_INDEX_NAME, H5_ITER_INC, add_object, &needed), 0);
    H5Fclose(file);
    assert_in_range(needed.n, 100, 250);
    for (size_t i = 0; i < needed.n; i++) {
        struct mix_error err = {""};
        const char *object = needed.at[i].object, *attribute = needed.at[i].attribute;
        spill(path, bytes, n);
        file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
        if (attribute[0] != '\0')
            assert_true(H5Adelete_by_name(file, object, attribute, H5P_DEFAULT) >= 0);
        else
            assert_true(H5Ldelete(file, object, H5P_DEFAULT) >= 0);
        H5Fclose(file);
        const enum mix_status status = read_file(&read, &err);
        if (status != MIX_EFORMAT || strstr(err.text, "S.h5") == NULL)
            fail_msg("%s %s: %s, %s", object, attribute, mix_status_text(status), err.text);
    }
    free(bytes);
    mix_agent_campaign_destroy(campaign);
}

/* ---- records */

static void test_records_come_back_and_damaged_ones_do_not(void **state)
{
    (void)state;
    struct mix_agent_campaign *from = sample(), *to = mix_agent_campaign_create("own", &space);
    to->options = from->options;
    const struct mix_agent_log_head head = mix_agent_log_head(from);
    struct mix_error err = {""};
    unsigned char record[4096];
    const size_t row = mix_agent_row_bytes(&space), base = mix_agent_base_bytes(P);
    const size_t agent = mix_agent_trained_bytes(W), run = mix_agent_run_bytes(&space);
    assert_true(agent < sizeof record && base < sizeof record);

    mix_agent_pack_row(&from->rows[4], &space, from->mixture + 4 * T * D,
                       from->feedback + 4 * (T + 1) * D, record);
    for (int twice = 0; twice < 2; twice++)
        assert_int_equal(mix_agent_campaign_take(to, &head, sizeof head, record, row, &err),
                         MIX_OK);
    assert_int_equal(to->n_rows, 1);
    assert_memory_equal(to->mixture, from->mixture + 4 * T * D, T * D * sizeof(double));
    assert_int_equal(mix_agent_campaign_take(to, &head, sizeof head, record, row - 1, &err),
                     MIX_EFORMAT);
    struct mix_agent_log_head alien = head;
    alien.options.lo++;
    assert_int_equal(mix_agent_campaign_take(to, &alien, sizeof alien, record, row, &err),
                     MIX_ENOTFOUND);

    mix_agent_pack_base(&from->bases[1], record);
    assert_int_equal(mix_agent_campaign_take(to, &head, sizeof head, record, base, &err), MIX_OK);
    assert_memory_equal(to->bases[0].params, from->bases[1].params, P * sizeof(float));
    record[base - 1] ^= 1;
    record[8] ^= 1; /* another key */
    assert_int_equal(mix_agent_campaign_take(to, &head, sizeof head, record, base, &err),
                     MIX_EFORMAT);
    assert_int_equal(to->n_bases, 1);

    mix_agent_pack_run(&from->runs[0], &space, from->run_mixture, from->run_feedback,
                       from->run_test, from->run_test_se, record);
    assert_int_equal(mix_agent_campaign_take(to, &head, sizeof head, record, run, &err), MIX_OK);
    assert_int_equal(to->n_runs, 1);

    /* a longer record is fine, an agent of other options takes the place of the old one */
    struct mix_agent_trained *rl = (struct mix_agent_trained *)mix_agent_campaign_best(from);
    memset(record, 0, sizeof record);
    mix_agent_pack_trained(rl, record);
    assert_int_equal(mix_agent_campaign_take(to, &head, sizeof head, record, sizeof record, &err),
                     MIX_OK);
    rl->key.lo++;
    rl->weights[2] = 4;
    rl->hash = mix_agent_hash(rl->weights, W);
    mix_agent_pack_trained(rl, record);
    assert_int_equal(mix_agent_campaign_take(to, &head, sizeof head, record, agent, &err), MIX_OK);
    assert_int_equal(to->n_agents, 1);
    assert_true(to->agents[0].weights[2] == 4);
    assert_int_equal(mix_agent_campaign_take(to, &head, sizeof head, record, agent - 4, &err),
                     MIX_EFORMAT);

    /* any bytes at all */
    uint64_t draw = 1;
    for (size_t i = 0; i < 3000; i++) {
        draw = draw * 6364136223846793005u + 1442695040888963407u;
        const size_t at = (size_t)(draw >> 33) % agent;
        const unsigned char old = record[at];
        record[at] = (unsigned char)(draw >> 20);
        record[0] = (unsigned char)(1 + i % 4);
        (void)mix_agent_campaign_take(to, &head, sizeof head, record,
                                      i % 5 == 0   ? (size_t)(draw >> 40) % agent
                                      : i % 4 == 0 ? row
                                      : i % 4 == 1 ? run
                                                   : agent,
                                      &err);
        record[at] = old;
    }
    assert_int_equal(mix_agent_campaign_sort(to, &err), MIX_OK);
    mix_agent_campaign_destroy(from);
    mix_agent_campaign_destroy(to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_campaign_comes_back_as_it_was),
        cmocka_unit_test(test_rows_are_in_the_order_of_the_plan_and_diverged_ones_teach_nothing),
        cmocka_unit_test(test_the_agent_that_steers_is_not_the_blind_one),
        cmocka_unit_test(test_a_frozen_agent_travels_alone),
        cmocka_unit_test(test_a_base_model_takes_the_place_of_one_of_its_name),
        cmocka_unit_test(test_other_sizes_are_refused_by_a_sentence),
        cmocka_unit_test(test_other_feedback_and_other_weights_are_refused),
        cmocka_unit_test(test_no_damage_of_a_file_crashes_us),
        cmocka_unit_test(test_what_is_missing_is_said),
        cmocka_unit_test(test_records_come_back_and_damaged_ones_do_not),
    };
    return cmocka_run_group_tests(tests, new_folder, remove_folder);
}
