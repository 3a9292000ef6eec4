/* SPDX-License-Identifier: GPL-3.0-or-later */
/* proxy.h - the embedded proxy: a byte-level decoder-only transformer and its trainer.
 *
 * Pre-LayerNorm, GELU, learned positions, tied embeddings, no biases, vocabulary 256, fp32; AdamW
 * with decoupled weight decay (matrices only), gradient clipping by the global norm. Hand-written
 * forward and backward on OpenBLAS's sgemm and vectorised loops. One thread. The same seed gives
 * the same model on every rank of the same kind of CPU (OpenBLAS picks its products by CPU,
 * whatever `isa` says).
 *
 * A part of a source is cut into chunks of T + 1 bytes that overlap by one, document after
 * document; less than T bytes at its end are not used. A training domain is a stream of its chunks,
 * every epoch all of them in an order of its own.
 *
 * Shapes: B sequences, T = context bytes, C = width, L = layers, K training domains, P parameters,
 * V = 256. */
#ifndef MIXSWEEP_PROXY_H
#define MIXSWEEP_PROXY_H

#include "mixsweep/corpus.h"
#include "mixsweep/isa.h"
#include "mixsweep/task.h"

#ifdef __cplusplus
extern "C" {
#endif

struct mix_proxy_shape {
    size_t width;    /* C, a multiple of 16 */
    size_t n_layers; /* L */
    size_t n_heads;  /* each of a multiple of 8 channels */
    size_t context;  /* T, a multiple of 16 */
};

/** A size of the ladder. */
struct mix_proxy_size {
    const char *name; /* about its number of parameters */
    struct mix_proxy_shape shape;
};

/** The ladder of named sizes, "10k", "30k", "100k", "300k", "1m"; NULL behind the last. */
const struct mix_proxy_size *mix_proxy_size(size_t index);

/** Number of parameters, with or without the embeddings of bytes and positions. */
size_t mix_proxy_n_params(const struct mix_proxy_shape *shape, int with_embeddings);

/** Floating-point operations of training on n_bytes: every matrix product of the model forward and
 * backward, attention at what it sees; 2 for a multiplication and its addition. What is computed
 * twice to save memory counts once. */
double mix_proxy_flops(const struct mix_proxy_shape *shape, double n_bytes);

enum mix_proxy_schedule {
    MIX_SCHEDULE_CONSTANT = 0,
    MIX_SCHEDULE_COSINE = 1,
    MIX_SCHEDULE_WSD = 2 /* warm-up, stable, linear decay */
};

/** How the domains of a step's sequences are chosen. */
enum mix_sampling {
    MIX_SAMPLING_EXACT = 0, /* remainders carried on: under one mixture every domain's count is
                               within 1 of its share at all times */
    MIX_SAMPLING_IID = 1    /* every sequence by a random number */
};

struct mix_trainer_options {
    struct mix_proxy_shape shape;
    enum mix_isa isa; /* of the vectorised loops: the lowest that all ranks have */
    size_t batch;     /* B: sequences per step */
    double learning_rate, beta1, beta2, epsilon, weight_decay;
    double clip; /* of the gradient's norm; 0 = none */
    enum mix_proxy_schedule schedule;
    double warmup;     /* share of the planned steps */
    double decay;      /* WSD: share of the planned steps, at the end */
    double final_rate; /* of the learning rate, at the end of cosine and WSD */
    uint64_t n_steps;  /* planned */
    enum mix_sampling sampling;
    uint64_t seed;
    size_t validation_bytes; /* evaluated per source at most; 0 = the whole part */
    const double *subsample; /* (K) part of each domain's training text that is used, spread over
                                all of it and equal for all seeds; NULL = all. Borrowed by create */
};

/** Sensible options for a shape: what the quickstart trains with. */
struct mix_trainer_options mix_trainer_defaults(const struct mix_proxy_shape *shape);

/** A model in training. Opaque. */
struct mix_trainer;

/**
 * Make a model with its optimiser. Local. All memory that training needs is allocated here. Sets
 * OpenBLAS to one thread, for the whole process.
 *
 * @param corpus     borrowed until destroy
 * @param n_domains  K: the first K sources of the corpus are the training domains
 * @return MIX_OK; MIX_EINVAL a value out of range, or a training part without a chunk; MIX_ENOMEM
 */
enum mix_status mix_trainer_create(const struct mix_trainer_options *options,
                                   const struct mix_corpus *corpus, size_t n_domains,
                                   struct mix_trainer **out, struct mix_error *err);
void mix_trainer_destroy(struct mix_trainer *trainer);

/** What training has done since create (or the snapshot restored). */
struct mix_trainer_progress {
    uint64_t n_steps;
    uint64_t n_bytes;          /* seen */
    const uint64_t *bytes;     /* (K) of these per domain */
    const double *epochs;      /* (K) chunks seen / chunks of the training part */
    double step_loss;          /* of the last step, mean nats per byte; weights do not enter */
    const double *domain_loss; /* (K) mean training loss since the last call of train began; NaN =
                                  no sequence of it */
};
const struct mix_trainer_progress *mix_trainer_progress(const struct mix_trainer *trainer);

/**
 * Train. May be called again and again with other mixtures; no allocation. Training goes on behind
 * the planned steps, at the final learning rate.
 *
 * @param mixture  (K) shares of the sequences
 * @param weight   (K) factor of the loss of each domain's sequences (DoReMi); NULL = all 1
 * @param n_steps  steps to do now
 * @param poll     called several times a step
 * @return MIX_OK; MIX_EINTERRUPTED between two steps; MIX_ENUMERIC the loss is not finite (the
 * model has diverged: only restore helps); MIX_EINVAL a mixture or weight that is none
 */
enum mix_status mix_trainer_train(struct mix_trainer *trainer, const double *mixture,
                                  const double *weight, uint64_t n_steps, struct mix_poll *poll,
                                  struct mix_error *err);

/** From now on choose the domains of sequences so; what exact sampling owes is kept meanwhile. */
void mix_trainer_set_sampling(struct mix_trainer *trainer, enum mix_sampling sampling);

/** The learning rate of the next step. */
double mix_trainer_learning_rate(const struct mix_trainer *trainer);

/** A measured loss. */
struct mix_proxy_loss {
    double loss;    /* mean nats per byte */
    double se;      /* standard error over sequences; NaN for one sequence */
    size_t n_bytes; /* evaluated */
};

/**
 * Mean loss on a part of each source: on as many chunks, spread evenly over the part, as
 * validation_bytes allows; always the same. Local, no allocation.
 *
 * @param sources  (n) indices of sources of the corpus
 * @param out      (n) out
 * @return MIX_OK; MIX_EINVAL no such source, or a part without a chunk; MIX_ENUMERIC a loss is not
 * finite; MIX_EINTERRUPTED
 */
enum mix_status mix_trainer_evaluate(struct mix_trainer *trainer, enum mix_corpus_part part,
                                     const size_t *sources, size_t n, struct mix_proxy_loss *out,
                                     struct mix_poll *poll, struct mix_error *err);

/**
 * Loss and gradient on some sequences of a source; parameters and the streams of training data stay
 * as they are.
 *
 * @param n_sequences  how many; which ones depends on (seed, source, part, `draw`) alone: trainers
 *                     of one seed, corpus and context get the same, whatever their width and
 * mixture
 * @param gradient     (P) out: mix_proxy_n_params(shape, 1) entries; may be NULL
 * @param loss         out: mean nats per byte
 * @return MIX_OK; MIX_EINVAL no such source, no sequence, or a part without a chunk; MIX_ENUMERIC
 * the loss is not finite; MIX_EINTERRUPTED
 */
enum mix_status mix_trainer_gradient(struct mix_trainer *trainer, size_t source,
                                     enum mix_corpus_part part, uint64_t draw, size_t n_sequences,
                                     float *gradient, double *loss, struct mix_poll *poll,
                                     struct mix_error *err);

/** Size of a snapshot: parameters, moments, step, plan and places in the data streams, all that
 * makes the future of a trainer. For forks on this rank and, as bytes, on others. */
size_t mix_trainer_snapshot_bytes(const struct mix_trainer *trainer);

/** @param bytes  (mix_trainer_snapshot_bytes) out */
void mix_trainer_snapshot(const struct mix_trainer *trainer, void *bytes);

/**
 * Go on where a snapshot was taken. Options other than the plan stay this trainer's own: a fork may
 * have another seed, batch or learning rate.
 *
 * @return MIX_OK; MIX_EFORMAT bytes of a trainer of another shape, training text or number of
 * domains; the trainer is then as before
 */
enum mix_status mix_trainer_restore(struct mix_trainer *trainer, const void *bytes, size_t n_bytes,
                                    struct mix_error *err);

/** The model alone: (P) mix_proxy_n_params(shape, 1) parameters, borrowed. */
const float *mix_trainer_params(const struct mix_trainer *trainer);
/** Take the parameters (P) of another model of this shape; the optimiser, the plan and the places
 * in the data streams stay as they are. */
void mix_trainer_set_params(struct mix_trainer *trainer, const float *params);

/**
 * Give the rest of this trainer's life another schedule and end. The learning rate goes on from
 * where it is: with MIX_SCHEDULE_WSD, decay from a checkpoint begins at once where fewer than
 * `decay` n_steps are left, so that its loss is that of a finished run.
 *
 * @param n_steps  planned in all, steps so far included
 * @return MIX_OK; MIX_EINVAL no step is left
 */
enum mix_status mix_trainer_replan(struct mix_trainer *trainer, enum mix_proxy_schedule schedule,
                                   uint64_t n_steps, struct mix_error *err);

#ifdef __cplusplus
}
#endif
#endif
