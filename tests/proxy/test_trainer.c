/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The trainer of the proxy: sampling, schedules, forks, measurements, failures. */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "proxy/sampler.h"
#include "proxy/trainer.h"

enum { N_DOMAINS = 3 };

static const struct mix_proxy_shape TINY = {16, 1, 2, 16};

static struct mix_corpus *corpus_of(size_t n_bytes)
{
    const struct mix_corpus_synthetic options = {.seed = 3,
                                                 .n_sources = N_DOMAINS,
                                                 .n_bytes = n_bytes,
                                                 .n_validation_bytes = 4096,
                                                 .shared = 0.5};
    struct mix_corpus *corpus = NULL;
    assert_int_equal(mix_corpus_synthesise(&options, NULL, &corpus, NULL), MIX_OK);
    return corpus;
}

static struct mix_trainer_options tiny_options(void)
{
    struct mix_trainer_options options = mix_trainer_defaults(&TINY);
    options.batch = 5;
    options.n_steps = 40;
    options.validation_bytes = 512;
    return options;
}

static struct mix_trainer *trainer_of(const struct mix_trainer_options *options,
                                      const struct mix_corpus *corpus)
{
    struct mix_trainer *trainer = NULL;
    struct mix_error err = {.text = ""};
    if (mix_trainer_create(options, corpus, N_DOMAINS, &trainer, &err) != MIX_OK)
        fail_msg("%s", err.text);
    return trainer;
}

static void train(struct mix_trainer *trainer, uint64_t n_steps)
{
    const double mixture[N_DOMAINS] = {0.5, 0.2, 0.3};
    assert_int_equal(mix_trainer_train(trainer, mixture, NULL, n_steps, NULL, NULL), MIX_OK);
}

static void assert_same_parameters(const struct mix_trainer *a, const struct mix_trainer *b)
{
    assert_memory_equal(a->model.params, b->model.params,
                        a->model.n_params * sizeof *a->model.params);
}

static void test_every_count_stays_within_one_of_its_share(void **state)
{
    (void)state;
    enum { MOST = 7, N = 4000 };
    gsl_rng *rng = mix_rng_create(mix_key_make(5, "mixtures", NULL, 0));
    assert_non_null(rng);
    for (size_t n_domains = 1; n_domains <= MOST; n_domains++)
        for (int trial = 0; trial < 20; trial++) {
            double mixture[MOST], owed[MOST] = {0}, sum = 0.0;
            uint64_t count[MOST] = {0};
            for (size_t k = 0; k < n_domains; k++)
                sum += mixture[k] = pow(gsl_rng_uniform_pos(rng), 3.0);
            for (size_t i = 1; i <= N; i++) {
                for (size_t k = 0; i == 1 && k < n_domains; k++)
                    mixture[k] /= sum;
                count[proxy_choose_exact(n_domains, mixture, owed)]++;
                for (size_t k = 0; k < n_domains; k++)
                    assert_true(fabs((double)count[k] - (double)i * mixture[k]) < 1.0);
            }
        }
    gsl_rng_free(rng);
}

static void test_exact_sampling_gives_nothing_to_a_share_of_zero(void **state)
{
    (void)state;
    const double first[3] = {0.4, 0.4, 0.2}, then[3] = {0.0, 0.7, 0.3};
    double owed[3] = {0};
    for (int i = 0; i < 7; i++)
        proxy_choose_exact(3, first, owed);
    for (int i = 0; i < 100; i++)
        assert_int_not_equal(proxy_choose_exact(3, then, owed), 0);
}

static void test_permutation_meets_every_chunk_once(void **state)
{
    (void)state;
    enum { MOST = 300 };
    for (uint64_t n = 1; n <= MOST; n++) {
        uint8_t seen[MOST] = {0};
        const struct mix_key key = mix_key_make(n, "test", NULL, 0);
        for (uint64_t i = 0; i < n; i++) {
            const uint64_t at = proxy_permute(key, n, i);
            assert_true(at < n);
            assert_int_equal(seen[at]++, 0);
        }
    }
    const struct mix_key a = mix_key_make(1, "test", NULL, 0), b = mix_key_make(2, "test", NULL, 0);
    size_t same = 0, kept = 0;
    for (uint64_t i = 0; i < MOST; i++) {
        same += proxy_permute(a, MOST, i) == proxy_permute(b, MOST, i);
        kept += proxy_permute(a, MOST, i) == i;
    }
    assert_true(same < 10 && kept < 10);
}

static void test_bytes_and_epochs_are_counted(void **state)
{
    (void)state;
    struct mix_corpus *corpus = corpus_of(1024);
    const struct mix_trainer_options options = tiny_options();
    struct mix_trainer *trainer = trainer_of(&options, corpus);
    train(trainer, 40); /* 200 sequences of 16 bytes: 100, 40, 60 */
    const struct mix_trainer_progress *progress = mix_trainer_progress(trainer);
    const double shares[N_DOMAINS] = {100, 40, 60};
    assert_int_equal(progress->n_steps, 40);
    assert_int_equal(progress->n_bytes, 40 * 5 * 16);
    uint64_t sum = 0;
    for (size_t k = 0; k < N_DOMAINS; k++) {
        size_t n_bytes = 0;
        mix_corpus_bytes(corpus, k, MIX_PART_TRAIN, &n_bytes);
        const size_t n_chunks = (n_bytes - 1) / 16;
        assert_true(fabs((double)progress->bytes[k] / 16.0 - shares[k]) < 1.0);
        assert_true(fabs(progress->epochs[k] -
                         (double)progress->bytes[k] / 16.0 / (double)n_chunks) < 1e-12);
        assert_true(isfinite(progress->domain_loss[k]));
        sum += progress->bytes[k];
    }
    assert_int_equal(sum, progress->n_bytes);
    mix_trainer_destroy(trainer);
    mix_corpus_destroy(corpus);
}

/* Half of the chunks of domain 0, each as often as all the others; one chunk of domain 1, which is
 * soon known by heart. */
static void test_a_part_of_the_text_is_trained_on(void **state)
{
    (void)state;
    struct mix_corpus *corpus = corpus_of(4096);
    struct mix_trainer_options options = tiny_options();
    const double part[N_DOMAINS] = {0.5, 1e-6, 1}, none[N_DOMAINS] = {0.5, 0, 1};
    options.n_steps = 400;
    struct mix_trainer *all = trainer_of(&options, corpus);
    options.subsample = part;
    struct mix_trainer *some = trainer_of(&options, corpus);
    assert_int_equal(some->train[0].n_used, (all->train[0].n_chunks + 1) / 2);
    assert_int_equal(some->train[1].n_used, 1);
    assert_int_equal(some->train[2].n_used, all->train[2].n_chunks);
    train(all, 400);
    train(some, 400);
    const struct mix_trainer_progress *a = mix_trainer_progress(all),
                                      *s = mix_trainer_progress(some);
    for (size_t k = 0; k < N_DOMAINS; k++) {
        assert_int_equal(s->bytes[k], a->bytes[k]);
        assert_true(fabs(s->epochs[k] * (double)some->train[k].n_used -
                         a->epochs[k] * (double)all->train[k].n_chunks) < 1e-9);
    }
    assert_true(s->domain_loss[1] < 0.7 * a->domain_loss[1]);
    mix_trainer_destroy(some);
    mix_trainer_destroy(all);
    options.subsample = none;
    struct mix_error err = {.text = ""};
    assert_int_equal(mix_trainer_create(&options, corpus, N_DOMAINS, &some, &err), MIX_EINVAL);
    assert_non_null(strstr(err.text, "skill2 to train on is 0"));
    mix_corpus_destroy(corpus);
}

static void test_iid_sampling_draws_by_share(void **state)
{
    (void)state;
    struct mix_corpus *corpus = corpus_of(1024);
    struct mix_trainer_options options = tiny_options();
    options.sampling = MIX_SAMPLING_IID;
    options.batch = 50;
    struct mix_trainer *trainer = trainer_of(&options, corpus);
    const double mixture[N_DOMAINS] = {0.7, 0.0, 0.3};
    assert_int_equal(mix_trainer_train(trainer, mixture, NULL, 20, NULL, NULL), MIX_OK);
    const struct mix_trainer_progress *progress = mix_trainer_progress(trainer);
    const double drawn = (double)progress->bytes[0] / 16.0;
    assert_true(fabs(drawn - 700.0) < 4.0 * sqrt(1000 * 0.7 * 0.3));
    assert_int_equal(progress->bytes[1], 0);
    assert_true(isnan(progress->domain_loss[1]));
    mix_trainer_destroy(trainer);
    mix_corpus_destroy(corpus);
}

static void test_training_lowers_every_loss(void **state)
{
    (void)state;
    const size_t sources[N_DOMAINS] = {0, 1, 2};
    struct mix_proxy_loss before[N_DOMAINS], after[N_DOMAINS];
    struct mix_corpus *corpus = corpus_of(1 << 16);
    struct mix_trainer_options options = tiny_options();
    options.n_steps = 200;
    options.batch = 16;
    struct mix_trainer *trainer = trainer_of(&options, corpus);
    assert_int_equal(
        mix_trainer_evaluate(trainer, MIX_PART_VALIDATION, sources, N_DOMAINS, before, NULL, NULL),
        MIX_OK);
    train(trainer, 200);
    assert_int_equal(
        mix_trainer_evaluate(trainer, MIX_PART_VALIDATION, sources, N_DOMAINS, after, NULL, NULL),
        MIX_OK);
    for (size_t k = 0; k < N_DOMAINS; k++) {
        assert_true(fabs(before[k].loss - log(256.0)) < 0.3);
        assert_true(after[k].loss < before[k].loss - 1.0);
        assert_true(after[k].se > 0.0 && after[k].se < 0.2);
        assert_int_equal(after[k].n_bytes, 512);
    }
    mix_trainer_destroy(trainer);
    mix_corpus_destroy(corpus);
}

static void test_a_seed_makes_the_model(void **state)
{
    (void)state;
    const size_t sources[1] = {1};
    struct mix_proxy_loss loss;
    struct mix_corpus *corpus = corpus_of(4096);
    struct mix_trainer_options options = tiny_options();
    struct mix_trainer *a = trainer_of(&options, corpus), *b = trainer_of(&options, corpus);
    options.seed++;
    struct mix_trainer *other = trainer_of(&options, corpus);
    train(a, 12);
    train(other, 12);
    for (int i = 0; i < 4; i++) { /* in pieces, and measured in between */
        train(b, 3);
        assert_int_equal(
            mix_trainer_evaluate(b, MIX_PART_VALIDATION, sources, 1, &loss, NULL, NULL), MIX_OK);
    }
    assert_same_parameters(a, b);
    assert_memory_not_equal(a->model.params, other->model.params,
                            a->model.n_params * sizeof *a->model.params);
    mix_trainer_destroy(a);
    mix_trainer_destroy(b);
    mix_trainer_destroy(other);
    mix_corpus_destroy(corpus);
}

static void test_a_weight_of_zero_teaches_nothing(void **state)
{
    (void)state;
    const double mixture[N_DOMAINS] = {0.0, 1.0, 0.0}, zero[N_DOMAINS] = {1.0, 0.0, 1.0};
    struct mix_corpus *corpus = corpus_of(4096);
    struct mix_trainer_options options = tiny_options();
    options.weight_decay = 0.0;
    struct mix_trainer *trained = trainer_of(&options, corpus);
    struct mix_trainer *fresh = trainer_of(&options, corpus);
    assert_int_equal(mix_trainer_train(trained, mixture, zero, 3, NULL, NULL), MIX_OK);
    assert_same_parameters(trained, fresh);
    assert_true(mix_trainer_progress(trained)->domain_loss[1] > 1.0); /* unweighted */
    assert_int_equal(mix_trainer_train(trained, mixture, NULL, 1, NULL, NULL), MIX_OK);
    assert_memory_not_equal(trained->model.params, fresh->model.params,
                            fresh->model.n_params * sizeof *fresh->model.params);
    mix_trainer_destroy(trained);
    mix_trainer_destroy(fresh);
    mix_corpus_destroy(corpus);
}

static void test_gradient_is_that_of_the_loss(void **state)
{
    (void)state;
    struct mix_corpus *corpus = corpus_of(4096);
    const struct mix_trainer_options options = tiny_options();
    struct mix_trainer *trainer = trainer_of(&options, corpus);
    train(trainer, 5);
    const size_t n = mix_proxy_n_params(&TINY, 1);
    float *gradient = calloc(n, sizeof *gradient);
    assert_non_null(gradient);
    double loss, again, along = 0.0, other;
    assert_int_equal(
        mix_trainer_gradient(trainer, 1, MIX_PART_TRAIN, 7, 9, gradient, &loss, NULL, NULL),
        MIX_OK);
    for (size_t i = 0; i < n; i++)
        along += (double)gradient[i] * (double)gradient[i];
    const double step = 0.01 / sqrt(along);
    for (size_t i = 0; i < n; i++) /* down the slope the loss falls by step |gradient|^2 */
        trainer->model.params[i] -= (float)step * gradient[i];
    assert_int_equal(
        mix_trainer_gradient(trainer, 1, MIX_PART_TRAIN, 7, 9, NULL, &again, NULL, NULL), MIX_OK);
    assert_true(fabs((loss - again) / (step * along) - 1.0) < 0.05);
    assert_int_equal(
        mix_trainer_gradient(trainer, 1, MIX_PART_TRAIN, 8, 9, NULL, &other, NULL, NULL), MIX_OK);
    assert_true(other != again);
    assert_int_equal(mix_trainer_progress(trainer)->n_steps, 5);
    free(gradient);
    mix_trainer_destroy(trainer);
    mix_corpus_destroy(corpus);
}

static void test_evaluation_of_everything_is_the_mean_of_its_chunks(void **state)
{
    (void)state;
    struct mix_corpus *corpus = corpus_of(4096);
    struct mix_trainer_options options = tiny_options();
    options.validation_bytes = 0;
    struct mix_trainer *trainer = trainer_of(&options, corpus);
    struct proxy_text text = {0};
    assert_int_equal(proxy_find_text(trainer, 2, MIX_PART_VALIDATION, &text, NULL), MIX_OK);
    const size_t sources[1] = {2};
    struct mix_proxy_loss loss;
    double sum = 0.0;
    for (size_t i = 0; i < text.n_chunks; i++)
        sum += proxy_model_pass(&trainer->model, text.bytes + 16 * i, NULL, NULL);
    assert_int_equal(
        mix_trainer_evaluate(trainer, MIX_PART_VALIDATION, sources, 1, &loss, NULL, NULL), MIX_OK);
    assert_int_equal(loss.n_bytes, 16 * text.n_chunks);
    assert_true(fabs(loss.loss - sum / (double)text.n_chunks) < 1e-12);
    mix_trainer_destroy(trainer);
    mix_corpus_destroy(corpus);
}

static void test_a_restored_trainer_goes_on_the_same(void **state)
{
    (void)state;
    struct mix_corpus *corpus = corpus_of(4096);
    struct mix_trainer_options options = tiny_options();
    struct mix_trainer *a = trainer_of(&options, corpus), *b = trainer_of(&options, corpus);
    const size_t n_bytes = mix_trainer_snapshot_bytes(a);
    void *bytes = malloc(n_bytes);
    assert_non_null(bytes);
    train(a, 7);
    mix_trainer_snapshot(a, bytes);
    train(a, 6);
    train(b, 2);
    assert_int_equal(mix_trainer_restore(b, bytes, n_bytes, NULL), MIX_OK);
    assert_int_equal(mix_trainer_progress(b)->n_steps, 7);
    train(b, 6);
    assert_same_parameters(a, b);
    assert_memory_equal(a->drawn, b->drawn, N_DOMAINS * sizeof *a->drawn);
    assert_int_equal(mix_trainer_restore(b, bytes, n_bytes - 1, NULL), MIX_EFORMAT);
    mix_trainer_destroy(b);
    options.shape.n_heads = 1; /* as large, but another model */
    b = trainer_of(&options, corpus);
    assert_int_equal(mix_trainer_restore(b, bytes, n_bytes, NULL), MIX_EFORMAT);
    free(bytes);
    mix_trainer_destroy(a);
    mix_trainer_destroy(b);
    mix_corpus_destroy(corpus);
}

static void test_schedules(void **state)
{
    (void)state;
    struct mix_corpus *corpus = corpus_of(1024);
    struct mix_trainer_options options = tiny_options();
    options.n_steps = 100;
    options.warmup = 0.1;
    options.decay = 0.2;
    options.final_rate = 0.1;
    options.schedule = MIX_SCHEDULE_WSD;
    struct mix_trainer *trainer = trainer_of(&options, corpus);
    const struct {
        enum mix_proxy_schedule schedule;
        uint64_t step;
        double rate;
    } rates[] = {
        {MIX_SCHEDULE_WSD, 0, 0.1},      {MIX_SCHEDULE_WSD, 9, 1.0},
        {MIX_SCHEDULE_WSD, 79, 1.0},     {MIX_SCHEDULE_WSD, 90, 0.55},
        {MIX_SCHEDULE_WSD, 100, 0.1},    {MIX_SCHEDULE_WSD, 200, 0.1},
        {MIX_SCHEDULE_CONSTANT, 4, 0.5}, {MIX_SCHEDULE_CONSTANT, 99, 1.0},
        {MIX_SCHEDULE_COSINE, 10, 1.0},  {MIX_SCHEDULE_COSINE, 55, 0.55},
        {MIX_SCHEDULE_COSINE, 100, 0.1},
    };
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        trainer->plan.schedule = rates[i].schedule;
        assert_true(fabs(proxy_rate(trainer, rates[i].step) - rates[i].rate) < 1e-12);
    }
    mix_trainer_destroy(trainer);
    mix_corpus_destroy(corpus);
}

static void test_replan_decays_from_where_the_rate_is(void **state)
{
    (void)state;
    struct mix_corpus *corpus = corpus_of(1024);
    struct mix_trainer_options options = tiny_options();
    options.schedule = MIX_SCHEDULE_CONSTANT;
    options.warmup = 0.1;
    options.decay = 0.5;
    options.final_rate = 0.0;
    struct mix_trainer *trainer = trainer_of(&options, corpus);
    train(trainer, 20);
    assert_int_equal(mix_trainer_replan(trainer, MIX_SCHEDULE_WSD, 20, NULL), MIX_EINVAL);
    assert_int_equal(mix_trainer_replan(trainer, MIX_SCHEDULE_WSD, 30, NULL), MIX_OK);
    for (uint64_t step = 20; step <= 30; step++) /* decay would have begun at 15: begins now */
        assert_true(fabs(proxy_rate(trainer, step) - (double)(30 - step) / 10.0) < 1e-12);
    train(trainer, 5);
    assert_int_equal(mix_trainer_replan(trainer, MIX_SCHEDULE_COSINE, 45, NULL), MIX_OK);
    assert_true(fabs(proxy_rate(trainer, 25) - 0.5) < 1e-12);
    assert_true(fabs(proxy_rate(trainer, 35) - 0.25) < 1e-12);
    mix_trainer_destroy(trainer);
    mix_corpus_destroy(corpus);
}

static void test_divergence_is_told(void **state)
{
    (void)state;
    struct mix_corpus *corpus = corpus_of(4096);
    struct mix_trainer_options options = tiny_options();
    struct mix_error err = {.text = ""};
    const double mixture[N_DOMAINS] = {0.5, 0.5, 0.0};
    options.clip = 0.0;
    struct mix_trainer *trainer = trainer_of(&options, corpus);
    trainer->model.params[trainer->model.n_params - 1] = INFINITY;
    assert_int_equal(mix_trainer_train(trainer, mixture, NULL, 3, NULL, &err), MIX_ENUMERIC);
    assert_non_null(strstr(err.text, "diverged in step 1"));
    mix_trainer_destroy(trainer);
    mix_corpus_destroy(corpus);
}

static void test_bad_values_are_refused(void **state)
{
    (void)state;
    struct mix_corpus *corpus = corpus_of(1024);
    struct mix_trainer *trainer = NULL;
    struct mix_error err = {.text = ""};
    const struct mix_trainer_options good = tiny_options();
    struct mix_trainer_options bad[8] = {good, good, good, good, good, good, good, good};
    bad[0].shape.width = 24;
    bad[1].shape.n_heads = 3;
    bad[2].shape.context = 2048; /* longer than the text */
    bad[3].shape.n_layers = 0;
    bad[4].batch = 0;
    bad[5].learning_rate = NAN;
    bad[6].n_steps = 0;
    bad[7].beta2 = 1.0;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        err.text[0] = '\0';
        assert_int_equal(mix_trainer_create(&bad[i], corpus, N_DOMAINS, &trainer, &err),
                         MIX_EINVAL);
        assert_true(strlen(err.text) > 0);
    }
    assert_int_equal(mix_trainer_create(&good, corpus, N_DOMAINS + 1, &trainer, NULL), MIX_EINVAL);
    trainer = trainer_of(&good, corpus);
    const double mixtures[][N_DOMAINS] = {{0.5, 0.6, 0.0}, {1.5, -0.5, 0.0}, {NAN, 0.5, 0.5}};
    for (size_t i = 0; i < sizeof mixtures / sizeof mixtures[0]; i++)
        assert_int_equal(mix_trainer_train(trainer, mixtures[i], NULL, 1, NULL, NULL), MIX_EINVAL);
    const double mixture[N_DOMAINS] = {1, 0, 0}, weight[N_DOMAINS] = {1, INFINITY, 1};
    assert_int_equal(mix_trainer_train(trainer, mixture, weight, 1, NULL, NULL), MIX_EINVAL);
    const size_t none[1] = {N_DOMAINS};
    struct mix_proxy_loss loss;
    assert_int_equal(mix_trainer_evaluate(trainer, MIX_PART_VALIDATION, none, 1, &loss, NULL, NULL),
                     MIX_EINVAL);
    mix_trainer_destroy(trainer);
    mix_corpus_destroy(corpus);
}

/* A task that is told to stop while it trains. */
static enum mix_status interrupted(void *context, size_t task, void *record, struct mix_poll *poll,
                                   struct mix_error *err)
{
    (void)task;
    (void)record;
    const double mixture[N_DOMAINS] = {1, 0, 0};
    raise(SIGTERM);
    return mix_trainer_train(context, mixture, NULL, 1000000, poll, err);
}

static void test_training_stops_between_steps_when_told(void **state)
{
    (void)state;
    struct mix_corpus *corpus = corpus_of(1024);
    const struct mix_trainer_options options = tiny_options();
    struct mix_trainer *trainer = trainer_of(&options, corpus);
    const struct mix_stage stage = {
        .name = "train", .n_tasks = 1, .record_bytes = 1, .run = interrupted, .context = trainer};
    mix_signals_install();
    assert_int_equal(mix_stage_run(NULL, &stage, NULL), MIX_EINTERRUPTED);
    mix_signals_install();
    train(trainer, 1);
    mix_trainer_destroy(trainer);
    mix_corpus_destroy(corpus);
}

/* 64 MB per rank at 128 wide, 4 layers, 128 bytes, batch 16. */
static void test_memory_of_the_largest_of_the_bench(void **state)
{
    (void)state;
    struct rusage before, after;
    struct mix_corpus *corpus = corpus_of(1 << 14);
    struct mix_trainer_options options =
        mix_trainer_defaults(&(struct mix_proxy_shape){128, 4, 4, 128});
    getrusage(RUSAGE_SELF, &before);
    struct mix_trainer *trainer = trainer_of(&options, corpus);
    train(trainer, 1);
    getrusage(RUSAGE_SELF, &after);
    assert_true(after.ru_maxrss - before.ru_maxrss < 64 * 1024);
    mix_trainer_destroy(trainer);
    mix_corpus_destroy(corpus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_count_stays_within_one_of_its_share),
        cmocka_unit_test(test_exact_sampling_gives_nothing_to_a_share_of_zero),
        cmocka_unit_test(test_permutation_meets_every_chunk_once),
        cmocka_unit_test(test_bytes_and_epochs_are_counted),
        cmocka_unit_test(test_a_part_of_the_text_is_trained_on),
        cmocka_unit_test(test_iid_sampling_draws_by_share),
        cmocka_unit_test(test_training_lowers_every_loss),
        cmocka_unit_test(test_a_seed_makes_the_model),
        cmocka_unit_test(test_a_weight_of_zero_teaches_nothing),
        cmocka_unit_test(test_gradient_is_that_of_the_loss),
        cmocka_unit_test(test_evaluation_of_everything_is_the_mean_of_its_chunks),
        cmocka_unit_test(test_a_restored_trainer_goes_on_the_same),
        cmocka_unit_test(test_schedules),
        cmocka_unit_test(test_replan_decays_from_where_the_rate_is),
        cmocka_unit_test(test_divergence_is_told),
        cmocka_unit_test(test_bad_values_are_refused),
        cmocka_unit_test(test_training_stops_between_steps_when_told),
        cmocka_unit_test(test_memory_of_the_largest_of_the_bench),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
