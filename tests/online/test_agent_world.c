/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What trains under an agent: base models, runs that begin with them, and text that is in one part
 * only. The numbers I1 ... are those of the specification's invariants. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "mixsweep/agent_compare.h"
#include "mixsweep/store.h"
#include "online/agent_world.h"

enum { D = 4, K = 2, T = 4, STEPS = 5 };

static char folder[64];

static int new_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%sworld-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm/" : "");
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

/* Words of few letters, a document a line; each tenth line is in all files. */
static void write_text(size_t slot)
{
    char name[128];
    snprintf(name, sizeof name, "%s/%zu.txt", folder, slot);
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    uint64_t draw = slot + 1;
    for (size_t line = 0; line < 900; line++) {
        if (line % 10 == 0)
            fprintf(file, "line %zu of all of them", line);
        for (size_t i = 0; line % 10 != 0 && i < 24; i++) {
            draw = draw * 6364136223846793005u + 1442695040888963407u;
            fputc(draw >> 40 & 3 ? (int)('a' + 6 * slot + (draw >> 33) % 5) : ' ', file);
        }
        fputc('\n', file);
    }
    assert_int_equal(fclose(file), 0);
}

/* Further domains are to have priors of 0.4 in all. */
static struct mix_job *parse_with(const char *more_domains, const char *more_agent)
{
    char text[2048], domains[1024] = "";
    size_t at = 0;
    struct mix_job *job = NULL;
    struct mix_error err = {.text = ""};
    for (size_t i = 0; i < D; i++) {
        write_text(i);
        at +=
            (size_t)snprintf(domains + at, sizeof domains - at,
                             "  - {name: s%zu, prior: %g, paths: %s/%zu.txt, document: line}\n", i,
                             (more_domains[0] != '\0' ? 0.06 : 0.1) * (double)(i + 1), folder, i);
    }
    snprintf(text, sizeof text,
             "job: w\nfile: w.h5\nseed: 5\ndomains:\n%s%s"
             "scales: [{width: 16, layers: 1, heads: 2, context: 16, n_tokens: 3840}]\n"
             "sweep: {evaluator: embedded, embedded: {batch: 8}}\n"
             "agent: {source: [s0, s1], target: [s2, s3], base: {tokens: 5120}, tokens: 2560,\n"
             "  decisions: 4, feedback_bytes: 256, test_bytes: 512%s}\n",
             domains, more_domains, more_agent);
    if (mix_job_parse("w.yaml", text, &job, &err) != MIX_OK)
        fail_msg("%s", err.text);
    assert_int_equal(job->agent.n_steps, T * STEPS);
    assert_int_equal(job->agent.base_steps, 40);
    return job;
}

static struct mix_job *parse(void)
{
    return parse_with("", "");
}

/* A world with its base models, and the campaign that has them. */
struct made {
    struct mix_job *job;
    struct agent_world *world;
    struct mix_agent_campaign *campaign;
};

static void make(struct made *made)
{
    struct mix_error err = {.text = ""};
    const struct mix_campaign_options options = {.isa = MIX_ISA_GENERIC};
    made->job = parse();
    assert_int_equal(mix_agent_campaign_plan(made->job, &made->campaign, &err), MIX_OK);
    if (agent_world_open(made->job, AGENT_OWN, MIX_ISA_GENERIC, &made->world, &err) != MIX_OK)
        fail_msg("%s", err.text);
    assert_int_equal(agent_world_bases(NULL, made->world, made->campaign, 0, 2, &options, &err),
                     MIX_OK);
}

static void drop(struct made *made)
{
    agent_world_close(made->world);
    mix_agent_campaign_destroy(made->campaign);
    mix_job_destroy(made->job);
}

static struct mix_trainee *trainee_of(const struct made *made, uint64_t base, uint64_t seed)
{
    struct mix_trainee *trainee = NULL;
    struct mix_error err = {.text = ""};
    if (agent_world_trainee(made->world, base, seed, &trainee, NULL, &err) != MIX_OK)
        fail_msg("%s", err.text);
    return trainee;
}

static void follow(struct mix_trainee *trainee, const double *mixture, double *feedback)
{
    double used[T * D];
    struct mix_agent_schedule schedule = {D, mixture};
    struct mix_agent_steered steered = {.mixture = used, .feedback = feedback};
    struct mix_error err = {.text = ""};
    if (mix_agent_steer(trainee, T, STEPS, true, mix_agent_schedule_act, &schedule, &steered, NULL,
                        &err) != MIX_OK)
        fail_msg("%s", err.text);
}

static const double first[T * D] = {.25, .25, .25, .25, .1, .2, .3, .4, 0, 0, 1, 0, .5, .5, 0, 0};
static const double second[T * D] = {.25, .25, .25, .25, .1, .2, .3, .4, 1, 0, 0, 0, 0, 0, 0, 1};

static void test_base_models_know_the_source_field_and_differ_by_seed(void **state)
{
    (void)state;
    struct made made, again;
    make(&made);
    make(&again);
    assert_int_equal(made.campaign->n_bases, 2);
    const struct mix_agent_base *base = made.campaign->bases;
    for (size_t b = 0; b < 2; b++) {
        assert_int_equal(base[b].n_params, again.campaign->bases[b].n_params);
        assert_memory_equal(base[b].params, again.campaign->bases[b].params,
                            base[b].n_params * sizeof(float));
        assert_true(base[b].curve[MIX_AGENT_CURVE - 1] < base[b].curve[0] - 1);
    }
    assert_true(base[0].hash.lo != base[1].hash.lo);
    struct mix_trainee *trainee = trainee_of(&made, 0, 1);
    double feedback[(T + 1) * D];
    follow(trainee, first, feedback);
    assert_true(feedback[0] + feedback[1] > feedback[2] + feedback[3] + 1);
    const double *natural = agent_world_natural(made.world);
    assert_true(fabs(natural[0] - 1.0 / 3) < 1e-12 && fabs(natural[3] - 4.0 / 7) < 1e-12);
    mix_trainee_destroy(trainee);
    drop(&made);
    drop(&again);
}

static void test_a_damaged_base_model_is_refused(void **state)
{
    (void)state;
    struct made made, other;
    struct mix_error err = {.text = ""};
    const struct mix_campaign_options options = {.isa = MIX_ISA_GENERIC};
    make(&made);
    make(&other);
    made.campaign->bases[1].params[3] += 1;
    agent_world_close(other.world);
    other.world = NULL;
    assert_int_equal(agent_world_open(made.job, AGENT_OWN, MIX_ISA_GENERIC, &other.world, &err),
                     MIX_OK);
    assert_int_equal(agent_world_bases(NULL, other.world, made.campaign, 0, 2, &options, &err),
                     MIX_EFORMAT);
    assert_non_null(strstr(err.text, "the parameters of base model 1 of w are not those of its "));
    struct mix_trainee *trainee = NULL;
    assert_int_equal(agent_world_trainee(other.world, 7, 0, &trainee, NULL, &err), MIX_ENOTFOUND);
    drop(&made);
    drop(&other);
}

/* I2 */
static void test_I2_equal_actions_give_equal_feedback_and_beginnings(void **state)
{
    (void)state;
    struct made made;
    double a[(T + 1) * D], b[(T + 1) * D];
    make(&made);
    struct mix_trainee *one = trainee_of(&made, 0, 1), *two = trainee_of(&made, 0, 1);
    follow(one, first, a);
    follow(two, first, b);
    assert_memory_equal(a, b, sizeof a);
    follow(two, second, b); /* begins anew from the base model */
    assert_memory_equal(a, b, 3 * D * sizeof *a);
    assert_memory_not_equal(a + 3 * D, b + 3 * D, D * sizeof *a);
    follow(two, first, b);
    assert_memory_equal(a, b, sizeof a);
    mix_trainee_destroy(two);
    two = trainee_of(&made, 0, 2); /* another order of the text */
    follow(two, first, b);
    assert_memory_equal(a, b, D * sizeof *a);
    assert_memory_not_equal(a + D, b + D, D * sizeof *a);
    mix_trainee_destroy(two);
    two = trainee_of(&made, 1, 1);
    follow(two, first, b);
    assert_memory_not_equal(a, b, D * sizeof *a);
    mix_trainee_destroy(one);
    mix_trainee_destroy(two);
    drop(&made);
}

static void test_the_rate_of_a_run_warms_up_and_stays(void **state)
{
    (void)state;
    struct made made;
    double alignment[D * D], numbers[4][D], mixture[D] = {.25, .25, .25, .25};
    struct mix_observation seen = {.loss = numbers[0],
                                   .train_loss = numbers[1],
                                   .reference_loss = numbers[2],
                                   .train_norm = numbers[3],
                                   .alignment = alignment};
    const struct mix_segment segment = {.n_steps = 1, .mixture = mixture};
    double rate[T * STEPS];
    make(&made);
    struct mix_trainee *trainee = trainee_of(&made, 0, 1);
    for (size_t i = 0; i < T * STEPS; i++) {
        assert_int_equal(trainee->kind->measure(trainee, 0, &seen, NULL, NULL), MIX_OK);
        rate[i] = seen.learning_rate;
        assert_int_equal(trainee->kind->train(trainee, &segment, NULL, NULL), MIX_OK);
    }
    assert_true(rate[0] < 0.2 * made.job->agent.learning_rate);
    for (size_t i = 10; i < T * STEPS; i++)
        assert_true(fabs(rate[i] / made.job->agent.learning_rate - 1) < 1e-12);
    mix_trainee_destroy(trainee);
    drop(&made);
}

/* I1: of B sequences a slot with share a gets B a within four deviations; all where it has all. */
static void test_I1_slots_are_drawn_by_their_shares(void **state)
{
    (void)state;
    enum { N = 200 };
    static const double shares[2][D] = {{.05, .5, .15, .3}, {0, 0, 1, 0}};
    struct made made;
    make(&made);
    struct mix_trainer_options options = made.job->agent.options;
    options.n_steps = 2 * N;
    options.isa = MIX_ISA_GENERIC;
    for (int iid = 0; iid < 2; iid++) {
        struct mix_trainer *trainer = NULL;
        uint64_t before[D] = {0};
        options.sampling = iid ? MIX_SAMPLING_IID : MIX_SAMPLING_EXACT;
        assert_int_equal(
            mix_trainer_create(&options, agent_world_corpus(made.world), D, &trainer, NULL),
            MIX_OK);
        const double context = (double)options.shape.context, n = (double)(N * options.batch);
        for (int s = 0; s < 2; s++) {
            assert_int_equal(mix_trainer_train(trainer, shares[s], NULL, N, NULL, NULL), MIX_OK);
            const uint64_t *bytes = mix_trainer_progress(trainer)->bytes;
            for (size_t i = 0; i < D; i++) {
                const double p = shares[s][i], count = (double)(bytes[i] - before[i]) / context;
                const double most = iid ? 4 * sqrt(n * p * (1 - p)) : p * (1 - p) > 0 ? 1.5 : 0.5;
                assert_true(fabs(count - n * p) <= most);
                before[i] = bytes[i];
            }
        }
        mix_trainer_destroy(trainer);
    }
    drop(&made);
}

struct part_of {
    struct mix_key key;
    int part;
};

static int compare(const void *left, const void *right)
{
    const struct part_of *a = left, *b = right;
    if (a->key.hi != b->key.hi)
        return a->key.hi < b->key.hi ? -1 : 1;
    return a->key.lo == b->key.lo ? a->part - b->part : a->key.lo < b->key.lo ? -1 : 1;
}

/* I13: no document is in two parts, whatever slots it is in. */
static void test_I13_no_text_is_in_two_parts(void **state)
{
    (void)state;
    enum { MOST = 8000 };
    struct made made;
    make(&made);
    const struct mix_corpus *corpus = agent_world_corpus(made.world);
    struct part_of *list = calloc(MOST, sizeof *list);
    size_t n = 0, n_part[MIX_PARTS] = {0}, n_shared = 0;
    assert_non_null(list);
    for (size_t i = 0; i < D; i++)
        for (int p = 0; p < MIX_PARTS; p++) {
            size_t n_documents = 0, n_bytes = 0;
            const uint8_t *bytes = mix_corpus_bytes(corpus, i, (enum mix_corpus_part)p, &n_bytes);
            const size_t *starts =
                mix_corpus_documents(corpus, i, (enum mix_corpus_part)p, &n_documents);
            for (size_t d = 0; d < n_documents && n < MOST; d++, n++)
                list[n] = (struct part_of){
                    mix_key_make(0, "document", bytes + starts[d], starts[d + 1] - starts[d]), p};
            n_part[p] += n_documents;
        }
    assert_int_equal(n, D * 900);
    for (int p = 0; p < MIX_PARTS; p++)
        assert_in_range(n_part[p], p == MIX_PART_TRAIN ? 2200 : 200,
                        p == MIX_PART_TRAIN ? 2900 : 500);
    qsort(list, n, sizeof *list, compare);
    for (size_t i = 1; i < n; i++)
        if (list[i].key.hi == list[i - 1].key.hi && list[i].key.lo == list[i - 1].key.lo) {
            n_shared++;
            assert_int_equal(list[i].part, list[i - 1].part);
        }
    assert_in_range(n_shared, 3 * 90, 3 * 90 + 400);
    free(list);
    drop(&made);
}

static void test_I13_what_is_chosen_by_is_not_what_is_reported(void **state)
{
    (void)state;
    struct made made;
    double report[D], select[D], again[D], se[D], feedback[(T + 1) * D];
    make(&made);
    struct mix_trainee *trainee = trainee_of(&made, 0, 1);
    follow(trainee, first, feedback);
    assert_int_equal(trainee->kind->test(trainee, report, se, NULL, NULL), MIX_OK);
    mix_trainee_test_on(trainee, MIX_PART_SELECT);
    assert_int_equal(trainee->kind->test(trainee, select, se, NULL, NULL), MIX_OK);
    mix_trainee_test_on(trainee, MIX_PART_TEST);
    assert_int_equal(trainee->kind->test(trainee, again, se, NULL, NULL), MIX_OK);
    assert_memory_equal(report, again, sizeof report);
    for (size_t i = 0; i < D; i++) {
        assert_true(report[i] != select[i] && report[i] != -feedback[T * D + i]);
        assert_true(fabs(report[i] - select[i]) < 10 * se[i]);
    }
    mix_trainee_destroy(trainee);
    drop(&made);
}

/* The same bytes in other slots: a setting of its own, in which base models are trained anew. Its
 * domains stand in the job beside the agent's, whose runs stay known. */
static void test_text_cut_otherwise_is_a_transfer(void **state)
{
    (void)state;
    char more[512], name[128];
    struct mix_error err = {.text = ""};
    struct agent_world *own = NULL, *recut = NULL, *before = NULL;
    size_t at = 0, n_own = 0, n_recut = 0;
    struct mix_job *plain = parse(), *job = NULL;
    for (size_t i = 0; i < D; i++) { /* halves: lines of two topics in one file */
        snprintf(name, sizeof name, "%s/cut%zu.txt", folder, i);
        FILE *to = fopen(name, "w");
        assert_non_null(to);
        for (size_t half = 0; half < 2; half++) {
            char line[256];
            snprintf(name, sizeof name, "%s/%zu.txt", folder, (i + half) % D);
            FILE *from = fopen(name, "r");
            assert_non_null(from);
            for (size_t n = 0; fgets(line, sizeof line, from) != NULL; n++)
                if (n % 2 == half)
                    fputs(line, to);
            fclose(from);
        }
        fclose(to);
        at += (size_t)snprintf(
            more + at, sizeof more - at,
            "  - {name: c%zu, prior: 0.1, paths: %s/cut%zu.txt, document: line}\n", i, folder, i);
    }
    job = parse_with(more, ", transfers: [{name: recut, source: [c0, c1], target: [c2, c3]}]");
    assert_int_equal(agent_world_open(plain, AGENT_OWN, MIX_ISA_GENERIC, &before, &err), MIX_OK);
    assert_int_equal(agent_world_open(job, AGENT_OWN, MIX_ISA_GENERIC, &own, &err), MIX_OK);
    if (agent_world_open(job, 0, MIX_ISA_GENERIC, &recut, &err) != MIX_OK)
        fail_msg("%s", err.text);
    assert_string_equal(agent_world_name(recut), "recut");
    for (size_t i = 0; i < D; i++)
        for (int p = 0; p < MIX_PARTS; p++) {
            size_t n = 0;
            mix_corpus_bytes(agent_world_corpus(own), i, (enum mix_corpus_part)p, &n);
            n_own += n;
            mix_corpus_bytes(agent_world_corpus(recut), i, (enum mix_corpus_part)p, &n);
            n_recut += n;
        }
    assert_true(n_own == n_recut && n_own > 10000);
    const struct mix_key a = agent_world_key(own), b = agent_world_key(recut);
    const struct mix_key c = agent_world_key(before);
    assert_memory_not_equal(&a, &b, sizeof a);
    assert_memory_equal(&a, &c, sizeof a);
    assert_true(fabs(agent_world_natural(own)[0] - 1.0 / 3) < 1e-9);
    agent_world_close(before);
    agent_world_close(own);
    agent_world_close(recut);
    mix_job_destroy(plain);
    mix_job_destroy(job);
}

/* An agent of a label in a record, and what the campaign makes of it. */
static void take_agent(struct mix_agent_campaign *campaign, const char *label, double alpha,
                       double value, size_t n_weights)
{
    float weights[4] = {1, 2, 3, 4};
    struct mix_error err = {.text = ""};
    const struct mix_agent_log_head head = mix_agent_log_head(campaign);
    struct mix_agent_trained agent;
    struct mix_agent_data *data = NULL;
    memset(&agent, 0, sizeof agent);
    struct mix_agent_options options = mix_agent_defaults(&campaign->space);
    assert_int_equal(mix_agent_campaign_data(campaign, &data, &err), MIX_OK);
    if (agent_diverged_head(data, &options, &agent.head, &agent.report, &err) != MIX_OK)
        fail_msg("%s", err.text);
    assert_true(agent.head.n_weights == 0 && isnan(agent.report.value));
    mix_agent_data_destroy(data);
    snprintf(agent.label, sizeof agent.label, "%s", label);
    agent.alpha = alpha;
    agent.key = mix_key_make(0, "label", label, strlen(label));
    agent.weights = weights;
    agent.head.n_weights = n_weights;
    agent.hash = mix_agent_hash(weights, n_weights);
    if (n_weights > 0)
        agent.report.value = value;
    const size_t n_bytes = mix_agent_trained_bytes(4);
    void *record = calloc(1, n_bytes);
    assert_non_null(record);
    mix_agent_pack_trained(&agent, record);
    if (mix_agent_campaign_take(campaign, &head, sizeof head, record, n_bytes, &err) != MIX_OK)
        fail_msg("%s", err.text);
    free(record);
}

/* An agent whose training has diverged is kept, without weights, in the file too, and is not
 * chosen. */
static void test_an_agent_that_diverged_is_marked_and_not_chosen(void **state)
{
    (void)state;
    static const double data[] = {-3, -2, -1, -2, -1, -2, -2, -1, -3, -1};
    struct mix_job *job = parse();
    struct mix_agent_campaign *campaign = NULL, *again = NULL;
    struct mix_store *store = NULL;
    struct mix_error err = {.text = ""};
    char name[128];
    assert_int_equal(mix_agent_campaign_plan(job, &campaign, &err), MIX_OK);
    for (size_t i = 0; i < 10; i++) {
        const size_t row = mix_agent_add_row(campaign);
        for (size_t j = 0; j < T * D; j++)
            campaign->mixture[row * T * D + j] = 1.0 / D;
        for (size_t j = 0; j < (T + 1) * D; j++)
            campaign->feedback[row * (T + 1) * D + j] = data[i] * (double)(j + 1);
    }
    take_agent(campaign, "rl-a1", 1, 9, 0);
    assert_null(mix_agent_campaign_best(campaign));
    take_agent(campaign, "supervised", NAN, 1, 3);
    assert_string_equal(mix_agent_campaign_best(campaign)->label, "supervised");
    take_agent(campaign, "rl-a0.1", 0.1, 2, 4);
    snprintf(name, sizeof name, "%s/diverged.h5", folder);
    assert_int_equal(mix_store_open(name, MIX_STORE_CREATE, false, &store, &err), MIX_OK);
    assert_int_equal(mix_store_put_agent(store, campaign, &err), MIX_OK);
    assert_int_equal(mix_store_commit(store, &err), MIX_OK);
    if (mix_store_read_agent(store, campaign->name, &again, &err) != MIX_OK)
        fail_msg("%s", err.text);
    assert_int_equal(again->n_agents, 3);
    assert_true(mix_agent_has_diverged(mix_agent_campaign_find(again, "rl-a1")));
    assert_string_equal(mix_agent_campaign_best(again)->label, "rl-a0.1");
    mix_store_close(store);
    mix_agent_campaign_destroy(again);
    mix_agent_campaign_destroy(campaign);
    mix_job_destroy(job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base_models_know_the_source_field_and_differ_by_seed),
        cmocka_unit_test(test_a_damaged_base_model_is_refused),
        cmocka_unit_test(test_I2_equal_actions_give_equal_feedback_and_beginnings),
        cmocka_unit_test(test_the_rate_of_a_run_warms_up_and_stays),
        cmocka_unit_test(test_I1_slots_are_drawn_by_their_shares),
        cmocka_unit_test(test_I13_no_text_is_in_two_parts),
        cmocka_unit_test(test_I13_what_is_chosen_by_is_not_what_is_reported),
        cmocka_unit_test(test_text_cut_otherwise_is_a_transfer),
        cmocka_unit_test(test_an_agent_that_diverged_is_marked_and_not_chosen),
    };
    return cmocka_run_group_tests(tests, new_folder, remove_folder);
}
