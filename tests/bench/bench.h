/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench.h - what benchmarks share: a failure ends them. */
#ifndef MIXSWEEP_TESTS_BENCH_BENCH_H
#define MIXSWEEP_TESTS_BENCH_BENCH_H

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "mixsweep/status.h"

static inline void must(enum mix_status status, const struct mix_error *err)
{
    if (status == MIX_OK)
        return;
    fprintf(stderr, "%s\n", err->text);
    exit(1);
}

static inline void *room(size_t n, size_t size)
{
    void *p = calloc(n, size);
    if (p == NULL)
        abort();
    return p;
}

/* Processor time of this process so far. */
static inline double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#endif
