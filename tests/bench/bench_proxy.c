/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_proxy.c [SECONDS [wall]] - bytes per second of training on one core, beside the peak of
 * sgemm at the shapes of the model's products in the same run.
 *
 * One line per shape, for tests/bench/proxy.sh: width layers context batch bytes/s GFLOP/s peak
 * share. Time is processor time, or wall time where asked; the best of several rounds. */
#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bench.h"
#include "mixsweep/proxy.h"

enum { N_ROUNDS = 7, BATCH = 16, N_DOMAINS = 3 };

static double now_s(clockid_t watch)
{
    struct timespec t;
    clock_gettime(watch, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* FLOP per second of out (m,n) = a (m,k) b (k,n), the best of plain and transposed factors. */
static double sgemm_rate(clockid_t watch, size_t m, size_t n, size_t k, double seconds)
{
    float *a = calloc(m * k, sizeof *a), *b = calloc(k * n, sizeof *b);
    float *out = calloc(m * n, sizeof *out);
    if (a == NULL || b == NULL || out == NULL)
        abort();
    double best = INFINITY;
    const double flops = 2.0 * (double)m * (double)n * (double)k;
    const size_t n_calls = (size_t)(seconds * 1e11 / flops) + 1;
    for (int round = 0; round < 4 * N_ROUNDS; round++) {
        const int flip_a = round % 2, flip_b = round / 2 % 2;
        const double start = now_s(watch);
        for (size_t i = 0; i < n_calls; i++)
            cblas_sgemm(CblasRowMajor, flip_a ? CblasTrans : CblasNoTrans,
                        flip_b ? CblasTrans : CblasNoTrans, (int)m, (int)n, (int)k, 1.0F, a,
                        (int)(flip_a ? m : k), b, (int)(flip_b ? k : n), 0.0F, out, (int)n);
        best = fmin(best, (now_s(watch) - start) / (double)n_calls);
    }
    free(a);
    free(b);
    free(out);
    return flops / best;
}

/* The highest rate among the products that a model is made of, for one sequence or a batch. */
static double sgemm_peak(clockid_t watch, const struct mix_proxy_shape *shape, double seconds)
{
    const size_t c = shape->width,
                 shapes[][2] = {{3 * c, c}, {c, c}, {4 * c, c}, {c, 4 * c}, {256, c}};
    const size_t rows[] = {shape->context, BATCH * shape->context};
    double peak = 0.0;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        for (size_t j = 0; j < 2; j++)
            peak =
                fmax(peak, sgemm_rate(watch, rows[j], shapes[i][0], shapes[i][1], seconds / 40.0));
    return peak;
}

static double training_rate(clockid_t watch, const struct mix_proxy_shape *shape,
                            const struct mix_corpus *corpus, double seconds)
{
    const double mixture[N_DOMAINS] = {0.5, 0.3, 0.2};
    struct mix_trainer_options options = mix_trainer_defaults(shape);
    struct mix_trainer *trainer = NULL;
    struct mix_error err = {.text = ""};
    options.batch = BATCH;
    options.n_steps = 1000000;
    must(mix_trainer_create(&options, corpus, N_DOMAINS, &trainer, &err), &err);
    must(mix_trainer_train(trainer, mixture, NULL, 3, NULL, &err), &err);
    const double bytes = (double)(BATCH * shape->context);
    uint64_t n_steps = (uint64_t)(seconds * 1e11 / mix_proxy_flops(shape, bytes)) + 1;
    double best = INFINITY;
    for (size_t round = 0; round < N_ROUNDS; round++) {
        const double start = now_s(watch);
        must(mix_trainer_train(trainer, mixture, NULL, n_steps, NULL, &err), &err);
        best = fmin(best, (now_s(watch) - start) / (double)n_steps);
    }
    mix_trainer_destroy(trainer);
    return bytes / best;
}

int main(int argc, char **argv)
{
    const double seconds = argc > 1 ? strtod(argv[1], NULL) : 0.5;
    const clockid_t watch = argc > 2 ? CLOCK_MONOTONIC : CLOCK_PROCESS_CPUTIME_ID;
    const struct mix_proxy_shape shapes[] = {{32, 2, 4, 64}, {64, 2, 4, 128}, {128, 4, 4, 128}};
    const struct mix_corpus_synthetic text = {.seed = 1,
                                              .n_sources = N_DOMAINS,
                                              .n_bytes = 1 << 20,
                                              .n_validation_bytes = 1 << 14,
                                              .shared = 0.5};
    struct mix_corpus *corpus = NULL;
    struct mix_error err = {.text = ""};
    openblas_set_num_threads(1);
    must(mix_corpus_synthesise(&text, NULL, &corpus, &err), &err);
    printf("isa %s\n%5s %6s %7s %5s %9s %8s %10s %5s\n", mix_isa_name(mix_isa_best()), "width",
           "layers", "context", "batch", "bytes/s", "GFLOP/s", "sgemm peak", "share");
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        const double peak = sgemm_peak(watch, &shapes[i], seconds);
        const double rate = training_rate(watch, &shapes[i], corpus, seconds);
        const double flops = mix_proxy_flops(&shapes[i], rate);
        printf("%5zu %6zu %7zu %5d %9.0f %8.1f %10.1f %5.2f\n", shapes[i].width, shapes[i].n_layers,
               shapes[i].context, BATCH, rate, 1e-9 * flops, 1e-9 * peak, flops / peak);
    }
    mix_corpus_destroy(corpus);
    return 0;
}
