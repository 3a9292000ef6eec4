/* SPDX-License-Identifier: GPL-3.0-or-later */
/* random.h - random streams that depend on (seed, stage, what the task is) alone.
 *
 * Generator: Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC
 * 2011), a counter-based generator: the 128-bit key hash picks the stream, a 64-bit counter walks
 * it. The 128-bit hash is Philox itself in Davies-Meyer chaining, so the project has one primitive.
 */
#ifndef MIXSWEEP_RANDOM_H
#define MIXSWEEP_RANDOM_H

#include <gsl/gsl_rng.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** 128 bits that name a task; also the identity of a stored record. */
struct mix_key {
    uint64_t hi;
    uint64_t lo;
};

/**
 * Hash (seed, stage, what) to a key. Equal on every machine of either byte order when `what` holds
 * bytes in a fixed order (uint64_t and double arrays are hashed as little-endian words).
 *
 * @param seed     the job's seed
 * @param stage    name of the stage, for example "bootstrap"; its length is hashed too
 * @param what     what the task is; may be NULL when n_bytes is 0
 * @param n_bytes  length of `what`
 */
struct mix_key mix_key_make(uint64_t seed, const char *stage, const void *what, size_t n_bytes);

/**
 * Make a generator for the stream named by `key`. Free with gsl_rng_free().
 *
 * @return the generator (GSL type "philox4x32-10": 32-bit outputs, doubles in [0, 1) with 53 bits),
 * or NULL when memory is out
 */
gsl_rng *mix_rng_create(struct mix_key key);

/** Point an existing generator at the start of another stream. Allocates nothing. */
void mix_rng_rekey(gsl_rng *rng, struct mix_key key);

/** One Philox 4x32-10 block: `ctr` (4 words) is replaced by its image under `key` (2 words). */
void mix_philox(uint32_t ctr[4], const uint32_t key[2]);

#ifdef __cplusplus
}
#endif
#endif
