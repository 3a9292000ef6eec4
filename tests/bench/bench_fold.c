/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_fold [RUNS] [DOMAINS] [TARGETS] - what a fold of so many runs costs: CPU time and memory.
 * The logs are those of 16 ranks, a run has one row; half of the mixtures have three seeds. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "mixsweep/log.h"
#include "mixsweep/store.h"

enum { RANKS = 16 };

static void check(enum mix_status status, const struct mix_error *err)
{
    if (status == MIX_OK)
        return;
    fprintf(stderr, "bench_fold: %s\n", err->text);
    exit(1);
}

static double cpu_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void report(const char *what, double since_s)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("%-34s %8.2f s   peak %6.0f MB\n", what, cpu_s() - since_s,
           (double)usage.ru_maxrss / 1024.0);
    fflush(stdout);
}

static uint64_t next(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static void fill(struct mix_table *table, size_t i, uint64_t *state)
{
    const size_t n_domains = table->n_domains, n_targets = table->n_targets;
    struct mix_run *run = &table->runs[0];
    snprintf(run->run, sizeof run->run, "run%zu", i);
    run->n_params = 1e6 * (double)(1 + i % 5);
    run->n_tokens = run->n_tokens_planned = 2e7 * (double)(1 + i % 5);
    run->seed = i % 3;
    run->attempts = 1;
    snprintf(run->host, sizeof run->host, "node%zu", i % 64);
    run->started = 1.7e9 + (double)i;
    run->ended = run->started + 60;
    double sum = 0;
    for (size_t k = 0; k < n_domains; k++)
        sum += table->asked[k] = (double)(1 + next(state) % 1000000);
    for (size_t k = 0; k < n_domains; k++)
        table->mixture[k] = table->asked[k] /= sum;
    for (size_t m = 0; m < n_targets; m++)
        table->loss[m] = 2.0 + 1e-9 * (double)next(state);
}

static struct mix_table *make_table(size_t n_domains, size_t n_targets)
{
    struct mix_table *table = mix_table_create(n_domains, n_targets);
    if (table == NULL)
        exit(1);
    for (size_t k = 0; k < n_domains; k++)
        snprintf(table->domains[k].name, MIX_NAME_MAX, "domain%zu", k);
    for (size_t m = 0; m < n_targets; m++)
        snprintf(table->targets[m].name, MIX_NAME_MAX, "target%zu", m);
    return table;
}

static void write_logs(const char *dir, struct mix_table *rows, size_t first, size_t n)
{
    struct mix_error err = {""};
    uint64_t state = 1 + first;
    if (rows->n_rows == 0)
        mix_table_append(rows);
    for (int rank = 0; rank < RANKS; rank++) {
        struct mix_log *log = NULL;
        check(mix_log_open(dir, rank, &log, &err), &err);
        for (size_t i = first + (size_t)rank; i < first + n; i += RANKS) {
            void *bytes = NULL;
            size_t n_bytes = 0;
            fill(rows, i, &state);
            check(mix_store_result_pack(rows, &bytes, &n_bytes, &err), &err);
            check(mix_log_append(log, MIX_LOG_RESULT, NULL, 0, bytes, n_bytes, 0, &err), &err);
            free(bytes);
        }
        mix_log_close(log);
    }
}

int main(int argc, char **argv)
{
    struct mix_error err = {""};
    const size_t n = argc > 1 ? (size_t)atof(argv[1]) : 100000;
    const size_t n_domains = argc > 2 ? (size_t)atof(argv[2]) : 17;
    const size_t n_targets = argc > 3 ? (size_t)atof(argv[3]) : 17;
    struct mix_store *store = NULL;
    struct mix_table *table = make_table(n_domains, n_targets);
    printf("%zu runs of %zu domains and %zu targets: the table has %.0f MB\n", n, n_domains,
           n_targets,
           1e-6 * (double)(n * (sizeof *table->runs + 8 * (3 * n_domains + 2 * n_targets))));
    check(mix_store_open("fold.h5", MIX_STORE_CREATE, false, &store, &err), &err);
    check(mix_store_put_table(store, table, &err), &err);
    check(mix_store_commit(store, &err), &err);
    double start_s = cpu_s();
    write_logs(mix_store_log_dir(store), table, 0, n);
    report("logs written", start_s);
    start_s = cpu_s();
    check(mix_store_checkpoint(store, &err), &err);
    report("checkpoint: all folded", start_s);
    start_s = cpu_s();
    check(mix_store_checkpoint(store, &err), &err);
    report("checkpoint: nothing new", start_s);
    write_logs(mix_store_log_dir(store), table, n, n / 100);
    start_s = cpu_s();
    check(mix_store_commit(store, &err), &err);
    report("commit: 1% more", start_s);
    mix_store_close(store);
    mix_table_destroy(table);
    table = NULL;
    start_s = cpu_s();
    check(mix_store_open("fold.h5", MIX_STORE_READ, false, &store, &err), &err);
    check(mix_store_read_table(store, &table, &err), &err);
    report("opened and read", start_s);
    const bool whole = table->n_rows == n + n / 100;
    mix_table_destroy(table);
    mix_store_close(store);
    return whole ? 0 : 1;
}
