/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trainer.h - what a trainer is made of; see mixsweep/proxy.h. */
#ifndef MIXSWEEP_PROXY_TRAINER_H
#define MIXSWEEP_PROXY_TRAINER_H

#include <gsl/gsl_rng.h>

#include "proxy/model.h"

/* A part of a source, cut into chunks of T + 1 bytes that overlap by one: T are predicted. What is
 * left at the end is not used. */
struct proxy_text {
    const uint8_t *bytes;
    uint64_t n_chunks;
    uint64_t n_used; /* of a training text: trained on */
};

/* How the learning rate goes on from a step. */
struct proxy_plan {
    uint64_t schedule; /* enum mix_proxy_schedule */
    uint64_t n_steps;  /* planned, since create */
    uint64_t n_warmup;
    uint64_t from_step;
    double from_rate; /* share of the full rate at from_step */
};

struct mix_trainer {
    struct mix_trainer_options options;
    const struct mix_corpus *corpus;
    size_t n_domains;
    struct mix_key identity; /* of shape and training text: whose snapshots fit */
    struct proxy_model model;
    struct proxy_text *train; /* (K) */
    float *first, *second;    /* (P) moments of the gradient */
    struct proxy_plan plan;
    uint64_t step;
    uint64_t *drawn; /* (K) sequences so far */
    double *owed;    /* (K) share less count; see proxy_choose_exact() */
    gsl_rng *rng;
    double *loss_sum;     /* (K) since the call of train began */
    uint64_t *loss_count; /* (K) */
    struct mix_trainer_progress progress;
    uint64_t *progress_bytes; /* (K) */
    double *progress_epochs;  /* (K) */
    double *progress_loss;    /* (K) */
};

/* MIX_EINVAL the part has no chunk */
enum mix_status proxy_find_text(const struct mix_trainer *trainer, size_t source,
                                enum mix_corpus_part part, struct proxy_text *out,
                                struct mix_error *err);
/* Bring the progress up to date with step and drawn. */
void proxy_trainer_count(struct mix_trainer *trainer);
/* Share of the full learning rate at a step. */
double proxy_rate(const struct mix_trainer *trainer, uint64_t step);

#endif
