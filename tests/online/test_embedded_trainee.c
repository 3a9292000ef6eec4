/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The embedded proxy as a trainee: forks, references, gradients, restarts, how batches are made. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mixsweep/online_analysis.h"
#include "proxy/trainer.h"

enum { M = 3, N_STEPS = 40, BATCH = 6 };

static const struct mix_proxy_shape TINY = {16, 1, 2, 16};

/* An observation with room for M groups. */
struct seen {
    struct mix_observation o;
    double loss[M], train_loss[M], reference_loss[M], alignment[M * M], train_norm[M];
};

static struct mix_corpus *make_corpus(size_t n_test_bytes)
{
    const struct mix_corpus_synthetic options = {.seed = 3,
                                                 .n_sources = M,
                                                 .n_bytes = 4096,
                                                 .n_validation_bytes = 2048,
                                                 .n_test_bytes = n_test_bytes,
                                                 .shared = 0.5};
    struct mix_corpus *corpus = NULL;
    assert_int_equal(mix_corpus_synthesise(&options, NULL, &corpus, NULL), MIX_OK);
    return corpus;
}

static struct mix_trainer_options tiny_options(void)
{
    struct mix_trainer_options options = mix_trainer_defaults(&TINY);
    options.batch = BATCH;
    options.n_steps = N_STEPS;
    options.validation_bytes = 1024;
    options.sampling = MIX_SAMPLING_IID;
    return options;
}

static struct mix_trainee *make_trainee(const struct mix_corpus *corpus)
{
    const struct mix_trainer_options options = tiny_options();
    struct mix_trainee *trainee = NULL;
    struct mix_error err = {.text = ""};
    if (mix_trainee_embedded(&options, corpus, M, 1024, &trainee, &err) != MIX_OK)
        fail_msg("%s", err.text);
    assert_int_equal(trainee->n_groups, M);
    assert_int_equal(trainee->n_steps, N_STEPS);
    return trainee;
}

static void train(struct mix_trainee *trainee, uint64_t n_steps, bool exact)
{
    double mixture[M] = {0.5, 0.2, 0.3};
    const struct mix_segment segment = {.n_steps = n_steps, .mixture = mixture, .exact = exact};
    assert_int_equal(trainee->kind->train(trainee, &segment, NULL, NULL), MIX_OK);
}

static void measure(struct mix_trainee *trainee, unsigned what, struct seen *seen)
{
    struct mix_error err = {.text = ""};
    seen->o = (struct mix_observation){.loss = seen->loss,
                                       .train_loss = seen->train_loss,
                                       .reference_loss = seen->reference_loss,
                                       .alignment = seen->alignment,
                                       .train_norm = seen->train_norm};
    if (trainee->kind->measure(trainee, what, &seen->o, NULL, &err) != MIX_OK)
        fail_msg("%s", err.text);
}

/* All numbers, NaN equal to NaN; arrays that point elsewhere are not compared. */
static void assert_same(const struct seen *a, const struct seen *b)
{
    assert_int_equal(a->o.step, b->o.step);
    assert_memory_equal(&a->o.learning_rate, &b->o.learning_rate, sizeof(double));
    assert_memory_equal(&a->o.validation_norm, &b->o.validation_norm, sizeof(double));
    assert_memory_equal(a->loss, b->loss, sizeof a->loss);
    assert_memory_equal(a->train_loss, b->train_loss, sizeof a->train_loss);
    assert_memory_equal(a->reference_loss, b->reference_loss, sizeof a->reference_loss);
    assert_memory_equal(a->alignment, b->alignment, sizeof a->alignment);
    assert_memory_equal(a->train_norm, b->train_norm, sizeof a->train_norm);
}

static const unsigned EVERYTHING = MIX_MEASURE_LOSS | MIX_MEASURE_EXCESS | MIX_MEASURE_GRADIENT;

static void test_restore_gives_the_same_future(void **state)
{
    (void)state;
    struct mix_corpus *corpus = make_corpus(2048);
    struct mix_trainee *trainee = make_trainee(corpus);
    struct seen there, first, second;
    train(trainee, 5, false);
    assert_int_equal(trainee->kind->freeze(trainee, NULL, NULL), MIX_OK);
    train(trainee, 2, true);
    assert_int_equal(trainee->kind->snapshot(trainee, 3, NULL, NULL), MIX_OK);
    measure(trainee, EVERYTHING, &there);
    train(trainee, 4, false);
    train(trainee, 4, true);
    measure(trainee, EVERYTHING, &first);
    assert_int_equal(first.o.step, 15);
    assert_int_equal(trainee->kind->snapshot(trainee, 0, NULL, NULL), MIX_OK);

    assert_int_equal(trainee->kind->restore(trainee, 3, NULL, NULL), MIX_OK);
    measure(trainee, EVERYTHING, &second);
    assert_same(&there, &second);
    train(trainee, 4, false);
    train(trainee, 4, true);
    measure(trainee, EVERYTHING, &second);
    assert_same(&first, &second);

    assert_int_equal(trainee->kind->restore(trainee, 0, NULL, NULL), MIX_OK);
    measure(trainee, MIX_MEASURE_LOSS, &second);
    assert_memory_equal(first.loss, second.loss, sizeof first.loss);
    mix_trainee_destroy(trainee);
    mix_corpus_destroy(corpus);
}

static void test_restart_begins_the_same_run(void **state)
{
    (void)state;
    struct mix_corpus *corpus = make_corpus(2048);
    struct mix_trainee *trainee = make_trainee(corpus), *other = make_trainee(corpus);
    struct seen start, end, again;
    measure(trainee, MIX_MEASURE_LOSS | MIX_MEASURE_GRADIENT, &start);
    train(trainee, 6, false);
    measure(trainee, MIX_MEASURE_LOSS | MIX_MEASURE_GRADIENT, &end);
    assert_int_equal(start.o.step, 0);
    assert_true(end.loss[0] < start.loss[0] && end.loss[0] > 0.0);
    assert_int_equal(trainee->kind->restart(trainee, NULL, NULL), MIX_OK);
    measure(trainee, MIX_MEASURE_LOSS | MIX_MEASURE_GRADIENT, &again);
    assert_same(&start, &again);
    train(trainee, 6, false);
    measure(trainee, MIX_MEASURE_LOSS | MIX_MEASURE_GRADIENT, &again);
    assert_same(&end, &again);
    /* and another of the same options is the same */
    measure(other, MIX_MEASURE_LOSS | MIX_MEASURE_GRADIENT, &again);
    assert_same(&start, &again);
    mix_trainee_destroy(trainee);
    mix_trainee_destroy(other);
    mix_corpus_destroy(corpus);
}

static void test_what_was_not_asked_for_is_nan(void **state)
{
    (void)state;
    struct mix_corpus *corpus = make_corpus(2048);
    struct mix_trainee *trainee = make_trainee(corpus);
    struct seen seen;
    measure(trainee, 0, &seen);
    for (size_t i = 0; i < M; i++)
        assert_true(isnan(seen.loss[i]) && isnan(seen.train_loss[i]) &&
                    isnan(seen.reference_loss[i]) && isnan(seen.train_norm[i]));
    for (size_t i = 0; i < M * M; i++)
        assert_true(isnan(seen.alignment[i]));
    assert_true(isnan(seen.o.validation_norm));
    /* warm-up: 2 of 40 steps */
    assert_true(fabs(seen.o.learning_rate - 0.3 / 16 / 2) < 1e-12);
    measure(trainee, MIX_MEASURE_LOSS, &seen);
    assert_true(isfinite(seen.loss[M - 1]) && isnan(seen.train_norm[0]));
    mix_trainee_destroy(trainee);
    mix_corpus_destroy(corpus);
}

static void test_a_model_has_no_excess_over_itself(void **state)
{
    (void)state;
    struct mix_corpus *corpus = make_corpus(2048);
    struct mix_trainee *trainee = make_trainee(corpus);
    struct mix_error err = {.text = ""};
    struct seen first, second, later;
    first.o = (struct mix_observation){.loss = first.loss,
                                       .train_loss = first.train_loss,
                                       .reference_loss = first.reference_loss,
                                       .alignment = first.alignment,
                                       .train_norm = first.train_norm};
    assert_int_equal(trainee->kind->measure(trainee, MIX_MEASURE_EXCESS, &first.o, NULL, &err),
                     MIX_EINVAL);
    assert_non_null(strstr(err.text, "frozen"));
    train(trainee, 5, false);
    assert_int_equal(trainee->kind->freeze(trainee, NULL, NULL), MIX_OK);
    measure(trainee, MIX_MEASURE_EXCESS, &first);
    measure(trainee, MIX_MEASURE_EXCESS, &second);
    for (size_t i = 0; i < M; i++) {
        assert_true(first.train_loss[i] == first.reference_loss[i]);
        assert_true(second.train_loss[i] == second.reference_loss[i]);
        assert_true(first.train_loss[i] != second.train_loss[i]); /* other sequences */
    }
    /* The reference stays what it was: the model gets better than it, and worse by a restart. */
    train(trainee, 20, false);
    measure(trainee, MIX_MEASURE_EXCESS, &later);
    for (size_t i = 0; i < M; i++)
        assert_true(later.train_loss[i] < later.reference_loss[i]);
    assert_int_equal(trainee->kind->restart(trainee, NULL, NULL), MIX_OK);
    measure(trainee, MIX_MEASURE_EXCESS, &later);
    for (size_t i = 0; i < M; i++)
        assert_true(later.train_loss[i] > later.reference_loss[i]);
    mix_trainee_destroy(trainee);
    mix_corpus_destroy(corpus);
}

/* Loss of group i on the sequences of the first measurement, theta moved by -rate g. */
static double moved_loss(struct mix_trainer *trainer, const float *g, double rate, size_t i)
{
    struct proxy_model *model = &trainer->model;
    double loss = 0.0;
    float *kept = malloc(model->n_params * sizeof *kept);
    assert_non_null(kept);
    memcpy(kept, model->params, model->n_params * sizeof *kept);
    for (size_t k = 0; k < model->n_params; k++)
        model->params[k] -= (float)(rate * (double)g[k]);
    assert_int_equal(mix_trainer_gradient(trainer, i, MIX_PART_VALIDATION, 0, BATCH / M, NULL,
                                          &loss, NULL, NULL),
                     MIX_OK);
    memcpy(model->params, kept, model->n_params * sizeof *kept);
    free(kept);
    return loss;
}

/* L_i(theta - rate g_j) = L_i - rate A_ij, by central differences. */
static void test_I18_alignment_is_the_drop_of_a_step(void **state)
{
    (void)state;
    const double mixture[M] = {0.5, 0.2, 0.3};
    struct mix_corpus *corpus = make_corpus(2048);
    struct mix_trainee *trainee = make_trainee(corpus);
    const struct mix_trainer_options options = tiny_options();
    struct mix_trainer *trainer = NULL;
    struct seen seen;
    assert_int_equal(mix_trainer_create(&options, corpus, M, &trainer, NULL), MIX_OK);
    assert_int_equal(mix_trainer_train(trainer, mixture, NULL, 10, NULL, NULL), MIX_OK);
    train(trainee, 10, false);
    measure(trainee, MIX_MEASURE_GRADIENT, &seen);

    const size_t p = mix_proxy_n_params(&TINY, 1);
    float *g = malloc(p * sizeof *g);
    assert_non_null(g);
    double sums = 0.0;
    for (size_t j = 0; j < M; j++) {
        double loss = 0.0, norm = 0.0;
        assert_int_equal(
            mix_trainer_gradient(trainer, j, MIX_PART_TRAIN, 0, BATCH / M, g, &loss, NULL, NULL),
            MIX_OK);
        for (size_t k = 0; k < p; k++)
            norm += (double)g[k] * (double)g[k];
        assert_true(fabs(seen.train_norm[j] - sqrt(norm)) < 1e-6 * sqrt(norm));
        for (size_t i = 0; i < M; i++) {
            const double rate = 3e-3 / sqrt(norm);
            const double drop =
                (moved_loss(trainer, g, -rate, i) - moved_loss(trainer, g, rate, i)) / (2.0 * rate);
            assert_true(fabs(drop - seen.alignment[i * M + j]) <
                        0.02 * seen.o.validation_norm * seen.train_norm[j]);
            sums += seen.alignment[i * M + j];
        }
    }
    /* Cauchy-Schwarz holds the columns' sum to the mean validation gradient. */
    assert_true(seen.o.validation_norm > 0.0);
    assert_true(fabs(sums) <= (double)M * seen.o.validation_norm *
                                  (seen.train_norm[0] + seen.train_norm[1] + seen.train_norm[2]));
    free(g);
    mix_trainer_destroy(trainer);
    mix_trainee_destroy(trainee);
    mix_corpus_destroy(corpus);
}

/* Exact batches have counts within one of the shares where the job's sampling draws by chance. */
static void test_exact_segments_have_exact_counts(void **state)
{
    (void)state;
    double mixture[M] = {0.5, 1.0 / 3.0, 1.0 / 6.0};
    const struct mix_segment exact = {.n_steps = 20, .mixture = mixture, .exact = true};
    struct mix_corpus *corpus = make_corpus(2048);
    struct mix_trainee *a = make_trainee(corpus), *b = make_trainee(corpus);
    struct mix_trainer_options options = tiny_options();
    struct mix_trainer *trainer = NULL;
    struct seen from_exact, from_chance, expected;
    options.sampling = MIX_SAMPLING_EXACT;
    assert_int_equal(mix_trainer_create(&options, corpus, M, &trainer, NULL), MIX_OK);
    assert_int_equal(mix_trainer_train(trainer, mixture, NULL, 20, NULL, NULL), MIX_OK);
    for (size_t k = 0; k < M; k++)
        assert_int_equal(mix_trainer_progress(trainer)->bytes[k],
                         (uint64_t)lround(20 * BATCH * 16 * mixture[k]));
    assert_int_equal(a->kind->train(a, &exact, NULL, NULL), MIX_OK);
    measure(a, MIX_MEASURE_LOSS, &from_exact);
    for (size_t i = 0; i < M; i++) {
        struct mix_proxy_loss loss;
        assert_int_equal(
            mix_trainer_evaluate(trainer, MIX_PART_VALIDATION, &i, 1, &loss, NULL, NULL), MIX_OK);
        expected.loss[i] = loss.loss;
    }
    assert_memory_equal(from_exact.loss, expected.loss, sizeof expected.loss);
    const struct mix_segment chance = {.n_steps = 20, .mixture = mixture};
    assert_int_equal(b->kind->train(b, &chance, NULL, NULL), MIX_OK);
    measure(b, MIX_MEASURE_LOSS, &from_chance);
    assert_true(from_chance.loss[0] != from_exact.loss[0]);
    mix_trainer_destroy(trainer);
    mix_trainee_destroy(a);
    mix_trainee_destroy(b);
    mix_corpus_destroy(corpus);
}

static void test_weights_of_one_change_nothing(void **state)
{
    (void)state;
    double mixture[M] = {0.2, 0.3, 0.5}, ones[M] = {1, 1, 1}, uneven[M] = {2, 0, 1};
    struct mix_segment segment = {.n_steps = 5, .mixture = mixture, .weight = uneven};
    struct mix_corpus *corpus = make_corpus(2048);
    struct mix_trainee *trainee = make_trainee(corpus);
    struct seen plain, weighted;
    assert_int_equal(trainee->kind->train(trainee, &segment, NULL, NULL), MIX_OK);
    measure(trainee, MIX_MEASURE_LOSS, &plain);
    assert_int_equal(trainee->kind->restart(trainee, NULL, NULL), MIX_OK);
    segment.weighted = true;
    segment.weight = ones;
    assert_int_equal(trainee->kind->train(trainee, &segment, NULL, NULL), MIX_OK);
    measure(trainee, MIX_MEASURE_LOSS, &weighted);
    assert_same(&plain, &weighted);
    assert_int_equal(trainee->kind->restart(trainee, NULL, NULL), MIX_OK);
    segment.weight = uneven;
    assert_int_equal(trainee->kind->train(trainee, &segment, NULL, NULL), MIX_OK);
    measure(trainee, MIX_MEASURE_LOSS, &weighted);
    assert_true(plain.loss[1] < weighted.loss[1]); /* nothing was learnt of group 1 itself */
    mix_trainee_destroy(trainee);
    mix_corpus_destroy(corpus);
}

static void test_test_part_is_its_own(void **state)
{
    (void)state;
    struct mix_corpus *corpus = make_corpus(2048);
    struct mix_trainee *trainee = make_trainee(corpus);
    double loss[M], se[M], again[M];
    struct seen seen, after;
    train(trainee, 10, false);
    measure(trainee, MIX_MEASURE_LOSS, &seen);
    assert_int_equal(trainee->kind->test(trainee, loss, se, NULL, NULL), MIX_OK);
    assert_int_equal(trainee->kind->test(trainee, again, se, NULL, NULL), MIX_OK);
    measure(trainee, MIX_MEASURE_LOSS, &after);
    assert_same(&seen, &after);
    assert_memory_equal(loss, again, sizeof loss);
    for (size_t i = 0; i < M; i++) {
        assert_true(loss[i] != seen.loss[i]);
        assert_true(fabs(loss[i] - seen.loss[i]) < 10.0 * se[i] && se[i] > 0.0);
    }
    mix_trainee_destroy(trainee);
    mix_corpus_destroy(corpus);
}

static struct mix_mixer *mixer_of(const char *method)
{
    const struct mix_method_setup setup = {
        .n_groups = M, .n_steps = N_STEPS, .seed = 1, .options = mix_online_defaults(M, N_STEPS)};
    struct mix_mixer *mixer = NULL;
    struct mix_error err = {.text = ""};
    if (mix_mixer_create(mix_method_find(method), &setup, &mixer, &err) != MIX_OK)
        fail_msg("%s", err.text);
    return mixer;
}

/* Forks in the middle of segments, between measurements of excess and of gradients: the run must
 * end as if there had been none. */
static void test_a_probed_run_is_the_same_run(void **state)
{
    (void)state;
    static const char *const methods[] = {"aioli", "doremi", "doge"};
    const uint64_t steps[3] = {0, 7, 23};
    const double mixture[4 * M] = {1, 0, 0, 0, 1, 0, 0, 0, 1, 0.5, 0.25, 0.25};
    const struct mix_probe_options points = {
        .n_points = 3, .step = steps, .n_mixtures = 4, .mixture = mixture, .horizon = 12};
    struct mix_corpus *corpus = make_corpus(2048);
    struct mix_trainee *trainee = make_trainee(corpus);
    for (size_t k = 0; k < sizeof methods / sizeof methods[0]; k++) {
        struct mix_mixer *mixer = mixer_of(methods[k]), *again = mixer_of(methods[k]);
        struct mix_trajectory *alone = mix_trajectory_create(M),
                              *watched = mix_trajectory_create(M);
        struct mix_analysis *analysis = NULL;
        struct mix_error err = {.text = ""};
        assert_true(alone != NULL && watched != NULL);
        if (mix_online_steer(trainee, mixer, alone, NULL, &err) != MIX_OK ||
            mix_online_analyse(trainee, again, &points, 1, watched, &analysis, NULL, &err) !=
                MIX_OK)
            fail_msg("%s", err.text);
        assert_int_equal(analysis->n_points, 3);
        double own = 0.0, others = 0.0; /* at the last point: own text helps more */
        for (size_t e = 0; e < (size_t)M * M; e++)
            *(e % (M + 1) == 0 ? &own : &others) += analysis->optimal[2 * M * M + e];
        assert_true(own / M > others / (M * M - M) + 0.01);
        assert_int_equal(alone->n_points, watched->n_points);
        assert_int_equal(alone->n_rounds, watched->n_rounds);
        assert_memory_equal(alone->loss, watched->loss, alone->n_points * M * sizeof(double));
        assert_memory_equal(alone->matrix, watched->matrix,
                            alone->n_rounds * M * M * sizeof(double));
        assert_memory_equal(mixer->mixture, again->mixture, M * sizeof(double));
        mix_analysis_destroy(analysis);
        mix_trajectory_destroy(alone);
        mix_trajectory_destroy(watched);
        mix_mixer_destroy(mixer);
        mix_mixer_destroy(again);
    }
    mix_trainee_destroy(trainee);
    mix_corpus_destroy(corpus);
}

static void test_what_cannot_be_is_refused(void **state)
{
    (void)state;
    struct mix_corpus *corpus = make_corpus(2048), *untested = make_corpus(0);
    const struct mix_trainer_options options = tiny_options();
    struct mix_trainee *trainee = NULL;
    struct mix_error err = {.text = ""};
    const struct mix_key hash = mix_corpus_hash(corpus, 1), same = mix_corpus_hash(untested, 1);
    assert_true(hash.hi == same.hi && hash.lo == same.lo); /* test text is no training text */
    assert_int_equal(mix_trainee_embedded(&options, untested, M, 0, &trainee, &err), MIX_EINVAL);
    assert_non_null(strstr(err.text, "group skill1: its test text has 0 bytes"));
    assert_int_equal(mix_trainee_embedded(&options, corpus, M + 1, 0, &trainee, &err), MIX_EINVAL);
    assert_non_null(strstr(err.text, "4 groups of a corpus of 3"));
    assert_int_equal(mix_trainee_embedded(&options, corpus, 0, 0, &trainee, &err), MIX_EINVAL);
    trainee = make_trainee(corpus);
    assert_int_equal(trainee->kind->restore(trainee, 0, NULL, &err), MIX_EINVAL);
    assert_non_null(strstr(err.text, "snapshot 0"));
    assert_int_equal(trainee->kind->snapshot(trainee, 2, NULL, &err), MIX_OK);
    assert_int_equal(trainee->kind->restore(trainee, 1, NULL, &err), MIX_EINVAL);
    assert_int_equal(trainee->kind->restore(trainee, -1, NULL, &err), MIX_EINVAL);
    assert_int_equal(trainee->kind->snapshot(trainee, -1, NULL, &err), MIX_EINVAL);
    assert_int_equal(trainee->kind->snapshot(trainee, 1 << 30, NULL, &err), MIX_EINVAL);
    double mixture[M] = {0.9, 0.9, 0.9};
    const struct mix_segment segment = {.n_steps = 1, .mixture = mixture};
    assert_int_equal(trainee->kind->train(trainee, &segment, NULL, &err), MIX_EINVAL);
    mix_trainee_destroy(trainee);
    mix_corpus_destroy(corpus);
    mix_corpus_destroy(untested);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_restore_gives_the_same_future),
        cmocka_unit_test(test_restart_begins_the_same_run),
        cmocka_unit_test(test_what_was_not_asked_for_is_nan),
        cmocka_unit_test(test_a_model_has_no_excess_over_itself),
        cmocka_unit_test(test_I18_alignment_is_the_drop_of_a_step),
        cmocka_unit_test(test_exact_segments_have_exact_counts),
        cmocka_unit_test(test_weights_of_one_change_nothing),
        cmocka_unit_test(test_test_part_is_its_own),
        cmocka_unit_test(test_a_probed_run_is_the_same_run),
        cmocka_unit_test(test_what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests_name("embedded_trainee", tests, NULL, NULL);
}
