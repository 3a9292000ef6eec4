/* SPDX-License-Identifier: GPL-3.0-or-later */
/* job_text.h - a small job for tests, and the same with one place changed. */
#ifndef MIXSWEEP_TESTS_JOB_TEXT_H
#define MIXSWEEP_TESTS_JOB_TEXT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/job.h"

static const char job_text[] = "job: small\n"                                        /* 1 */
                               "file: small.h5\n"                                    /* 2 */
                               "seed: 7\n"                                           /* 3 */
                               "domains:\n"                                          /* 4 */
                               "  - {name: web, prior: 0.5}\n"                       /* 5 */
                               "  - {name: code, prior: 0.3, supply_tokens: 1e9}\n"  /* 6 */
                               "  - {name: wiki, prior: 0.2}\n"                      /* 7 */
                               "design:\n"                                           /* 8 */
                               "  mixtures: 12\n"                                    /* 9 */
                               "  strength: [0.5, 4]\n"                              /* 10 */
                               "  minimum_share: 0.02\n"                             /* 11 */
                               "scales:\n"                                           /* 12 */
                               "  - {n_params: 60e6, n_tokens: 1.2e9}\n"             /* 13 */
                               "  - {n_params: 150e6, n_tokens: 3e9, mixtures: 6}\n" /* 14 */
                               "sweep:\n"                                            /* 15 */
                               "  evaluator: simulate\n"                             /* 16 */
                               "  simulate: {law: capacity, noise: 0.01, seed: 3}\n" /* 17 */
                               "fit:\n"                                              /* 18 */
                               "  law: capacity\n"                                   /* 19 */
                               "  starts: 8\n"                                       /* 20 */
                               "bootstrap: {draws: 20}\n"                            /* 21 */
                               "optimum:\n"                                          /* 22 */
                               "  n_params: 1.3e9\n"                                 /* 23 */
                               "  n_tokens: 67_760_078_203\n"                        /* 24 */
                               "  floor: 0.01\n"                                     /* 25 */
                               "  caps: {wiki: 0.4}\n"                               /* 26 */
                               "  weights: {code: 2}\n";                             /* 27 */

/* job_text with the first `from` replaced by `to`; the caller frees it. */
static inline char *job_text_with(const char *from, const char *to)
{
    const char *at = strstr(job_text, from);
    char *text = malloc(sizeof job_text + strlen(to));
    if (!at || !text)
        abort();
    snprintf(text, sizeof job_text + strlen(to), "%.*s%s%s", (int)(at - job_text), job_text, to,
             at + strlen(from));
    return text;
}

#endif
