/* SPDX-License-Identifier: GPL-3.0-or-later */
/* random.c - see random.h for generator and hash. */
#include "mixsweep/random.h"

#include <string.h>

/* Multipliers and Weyl increments of Philox 4x32 (Salmon et al., SC 2011, table 2). */
static const uint32_t PHILOX_M0 = 0xD2511F53u, PHILOX_M1 = 0xCD9E8D57u;
static const uint32_t PHILOX_W0 = 0x9E3779B9u, PHILOX_W1 = 0xBB67AE85u;
enum { PHILOX_ROUNDS = 10 };

void mix_philox(uint32_t ctr[4], const uint32_t key[2])
{
    uint32_t c0 = ctr[0], c1 = ctr[1], c2 = ctr[2], c3 = ctr[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        const uint64_t product0 = (uint64_t)PHILOX_M0 * c0;
        const uint64_t product1 = (uint64_t)PHILOX_M1 * c2;
        c0 = (uint32_t)(product1 >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(product0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)product1;
        c3 = (uint32_t)product0;
        k0 += PHILOX_W0;
        k1 += PHILOX_W1;
    }
    ctr[0] = c0;
    ctr[1] = c1;
    ctr[2] = c2;
    ctr[3] = c3;
}

/* Davies-Meyer: state <- E(word; state) xor state, a message word is the cipher's key. */
static void hash_word(uint32_t state[4], uint64_t word)
{
    const uint32_t key[2] = {(uint32_t)word, (uint32_t)(word >> 32)};
    uint32_t image[4] = {state[0], state[1], state[2], state[3]};
    mix_philox(image, key);
    for (int i = 0; i < 4; i++)
        state[i] ^= image[i];
}

/* Length first, then the bytes as little-endian words, the last one filled with zeros: no two
 * sequences of fields have the same words. */
static void hash_bytes(uint32_t state[4], const unsigned char *bytes, size_t n_bytes)
{
    hash_word(state, n_bytes);
    for (size_t i = 0; i < n_bytes; i += 8) {
        uint64_t word = 0;
        for (size_t j = 0; j < 8 && i + j < n_bytes; j++)
            word |= (uint64_t)bytes[i + j] << (8 * j);
        hash_word(state, word);
    }
}

struct mix_key mix_key_make(uint64_t seed, const char *stage, const void *what, size_t n_bytes)
{
    uint32_t state[4] = {0x6d697873u, 0x77656570u, 0x6b657931u, 0u}; /* "mixsweepkey1" */
    hash_word(state, seed);
    hash_bytes(state, (const unsigned char *)stage, strlen(stage));
    hash_bytes(state, what, n_bytes);
    return (struct mix_key){
        .hi = (uint64_t)state[1] << 32 | state[0],
        .lo = (uint64_t)state[3] << 32 | state[2],
    };
}

/* Block b of stream (hi, lo) is the image of the counter (b, lo) under the key hi: streams never
 * meet, and each has 2^66 words. */
struct philox_state {
    struct mix_key key;
    uint64_t block;
    uint32_t word[4];
    unsigned used; /* words handed out of `word`, 4 = all */
};

static void state_rekey(struct philox_state *state, struct mix_key key)
{
    state->key = key;
    state->block = 0;
    state->used = 4;
}

static uint32_t state_next(struct philox_state *state)
{
    if (state->used == 4) {
        const uint32_t key[2] = {(uint32_t)state->key.hi, (uint32_t)(state->key.hi >> 32)};
        state->word[0] = (uint32_t)state->block;
        state->word[1] = (uint32_t)(state->block >> 32);
        state->word[2] = (uint32_t)state->key.lo;
        state->word[3] = (uint32_t)(state->key.lo >> 32);
        mix_philox(state->word, key);
        state->block++;
        state->used = 0;
    }
    return state->word[state->used++];
}

static void philox_set(void *state, unsigned long seed)
{
    state_rekey(state, (struct mix_key){.hi = seed, .lo = 0});
}

static unsigned long philox_get(void *state)
{
    return state_next(state);
}

/* 53 bits, in [0, 1) */
static double philox_get_double(void *state)
{
    const uint32_t high = state_next(state) >> 5, low = state_next(state) >> 6;
    return ((double)high * 67108864.0 + (double)low) / 9007199254740992.0;
}

static const gsl_rng_type philox_type = {
    .name = "philox4x32-10",
    .max = 0xFFFFFFFFul,
    .min = 0,
    .size = sizeof(struct philox_state),
    .set = philox_set,
    .get = philox_get,
    .get_double = philox_get_double,
};

gsl_rng *mix_rng_create(struct mix_key key)
{
    gsl_rng *rng = gsl_rng_alloc(&philox_type);
    if (rng != NULL)
        mix_rng_rekey(rng, key);
    return rng;
}

void mix_rng_rekey(gsl_rng *rng, struct mix_key key)
{
    state_rekey(rng->state, key);
}
