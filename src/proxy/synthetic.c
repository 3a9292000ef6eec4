/* SPDX-License-Identifier: GPL-3.0-or-later */
/* synthetic.c - sources whose entropy rate is known.
 *
 * A source is a Markov chain of order 2 over A = 16 symbols. The weight of symbol c behind (a, b)
 * is
 *
 *     popularity(c) 2^(4 u(b, c) + 3 v(a mod 8, b, c) + 2 w(a, b, c)),    u, v, w in {-1, 0, 1}
 *
 * where popularity is Zipf's 1 / rank. The three factors are skills of 256, 2048 and 4096 numbers,
 * each needed to see the next: the last symbol, a coarse view of the one before it, a full one. The
 * losses of those who have none, one, two, all of them are about 2.6, 2.0, 1.3 and 1.15 nats per
 * byte (means over seeds), and some states are 10^4 times as frequent as others. So a model of 10^4
 * parameters has no room for the skills of four sources, one of 10^5 has; 0.2 MB of training show
 * the first skill, some MB the rare states of the last: loss falls in parameters and in bytes. In
 * the spirit of the quantization model (Michaud et al., NeurIPS 2023, arXiv 2303.13506).
 *
 * Skills are shared by state: what follows (a, b) is either fundamental, the same in all sources,
 * or special to each source. Special rows have a popularity of their own, so that some bytes tell
 * the source.
 *
 * Bytes are equal on every machine: weights are whole numbers, chances are multiples of 2^-32, and
 * a symbol takes one 32-bit draw. Only the entropy is computed in floating point.
 */
#include "proxy/synthetic.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/corpus_impl.h"

enum { A = SYNTHETIC_SYMBOLS, STATES = SYNTHETIC_STATES, CLASSES = 8, DOCUMENT_BYTES = 1024 };
enum { BURN_IN = 1000 }; /* symbols; the slowest chain seen forgets 7% of its start in one */
enum { S1 = 4, S2 = 3, S3 = 2 }; /* strength of the skills: what multiplies u, v and w */

/* In the order of the popularity that fundamental rows have. */
const char synthetic_alphabet[A + 1] = " etaoinshrdlcu.\n";

/* Exponents of one chain, and the rank of every symbol. */
struct skills {
    uint8_t s1[A][A], s2[CLASSES][A][A]; /* strength (u + 1), strength (v + 1) */
    uint8_t rank[A];
};

static void rekey(gsl_rng *rng, uint64_t seed, const char *stage, uint64_t which)
{
    mix_rng_rekey(rng, mix_key_make(seed, stage, &(uint64_t){which}, sizeof which));
}

static uint8_t draw_exponent(gsl_rng *rng, unsigned strength)
{
    return (uint8_t)(strength * (gsl_rng_get(rng) % 3));
}

static void draw_skills(gsl_rng *rng, bool own_popularity, struct skills *skills)
{
    for (size_t b = 0; b < A; b++)
        for (size_t c = 0; c < A; c++) {
            skills->s1[b][c] = draw_exponent(rng, S1);
            for (size_t k = 0; k < CLASSES; k++)
                skills->s2[k][b][c] = draw_exponent(rng, S2);
        }
    for (size_t c = 0; c < A; c++)
        skills->rank[c] = (uint8_t)c;
    for (size_t c = A - 1; own_popularity && c > 0; c--) { /* Fisher-Yates */
        const size_t other = gsl_rng_get(rng) % (c + 1);
        const uint8_t rank = skills->rank[c];
        skills->rank[c] = skills->rank[other];
        skills->rank[other] = rank;
    }
}

/* Row (a, b), in units of 2^-32: weights are at most 2^(10 + 18), their sum is below 2^30, and the
 * least weight, 2^10 / 16, is more than one unit. */
static void draw_row(gsl_rng *rng, const struct skills *skills, size_t a, size_t b, uint64_t row[A])
{
    uint64_t sum = 0;
    for (size_t c = 0; c < A; c++) {
        const unsigned exponent =
            skills->s1[b][c] + skills->s2[a % CLASSES][b][c] + draw_exponent(rng, S3);
        sum += (uint64_t)(1024 / (skills->rank[c] + 1)) << exponent;
        row[c] = sum;
    }
    for (size_t c = 0; c < A; c++)
        row[c] = (row[c] << 32) / sum;
}

/* Draw the rows of the states that are shared, or those that are not. */
static void draw_rows(gsl_rng *rng, const struct skills *skills, const bool *shared, bool wanted,
                      struct synthetic_chain *chain)
{
    uint64_t row[A];
    for (size_t state = 0; state < STATES; state++) {
        /* Drawn in any case: with more that is shared, the other rows stay what they are. */
        draw_row(rng, skills, state / A, state % A, row);
        if (shared[state] == wanted)
            memcpy(chain->rows[state], row, sizeof row);
    }
}

void synthetic_chain_make(uint64_t seed, double shared, size_t source, gsl_rng *rng,
                          struct synthetic_chain *chain)
{
    struct skills skills;
    bool is_shared[STATES];
    rekey(rng, seed, "synthetic shared states", 0);
    for (size_t state = 0; state < STATES; state++)
        is_shared[state] = gsl_rng_uniform(rng) < shared;
    rekey(rng, seed, "synthetic fundamental skills", 0);
    draw_skills(rng, false, &skills);
    draw_rows(rng, &skills, is_shared, true, chain);
    rekey(rng, seed, "synthetic special skills", source);
    draw_skills(rng, true, &skills);
    draw_rows(rng, &skills, is_shared, false, chain);
}

static double chance(const uint64_t row[A], size_t c)
{
    return (double)(row[c] - (c > 0 ? row[c - 1] : 0)) / 4294967296.0;
}

/* Stationary distribution of p (STATES, STATES), which is overwritten: states are censored one by
 * one, from the last; no subtraction, so every digit counts (Grassmann, Taksar and Heyman, Oper.
 * Res. 33, 1985). */
static void stationary(double *p, double pi[STATES])
{
    for (size_t n = STATES - 1; n > 0; n--) {
        double leaves = 0.0, *row_n = p + n * STATES;
        for (size_t j = 0; j < n; j++)
            leaves += row_n[j];
        for (size_t i = 0; i < n; i++) {
            double *row = p + i * STATES;
            row[n] /= leaves;
            for (size_t j = 0; j < n; j++)
                row[j] += row[n] * row_n[j];
        }
    }
    double sum = pi[0] = 1.0;
    for (size_t n = 1; n < STATES; n++) {
        pi[n] = 0.0;
        for (size_t i = 0; i < n; i++)
            pi[n] += pi[i] * p[i * STATES + n];
        sum += pi[n];
    }
    for (size_t n = 0; n < STATES; n++)
        pi[n] /= sum;
}

bool synthetic_entropy(const struct synthetic_chain *chain, double *entropy)
{
    double pi[STATES], *p = calloc((size_t)STATES * STATES, sizeof *p);
    if (p == NULL)
        return false;
    for (size_t state = 0; state < STATES; state++)
        for (size_t c = 0; c < A; c++)
            p[state * STATES + state % A * A + c] = chance(chain->rows[state], c);
    stationary(p, pi);
    free(p);
    *entropy = 0.0;
    for (size_t state = 0; state < STATES; state++)
        for (size_t c = 0; c < A; c++) {
            const double chance_c = chance(chain->rows[state], c);
            *entropy -= pi[state] * chance_c * log(chance_c);
        }
    return true;
}

/* Index of the first entry above u: halvings. */
static size_t symbol_at(const uint64_t row[A], uint64_t u)
{
    size_t c = 0;
    for (size_t half = A / 2; half > 0; half /= 2)
        if (row[c + half - 1] <= u)
            c += half;
    return c;
}

static void walk(const struct synthetic_chain *chain, gsl_rng *rng, uint8_t *bytes, size_t n)
{
    size_t state = 0;
    for (size_t i = 0; i < BURN_IN; i++)
        state = state % A * A + symbol_at(chain->rows[state], gsl_rng_get(rng));
    for (size_t i = 0; i < n; i++) {
        const size_t c = symbol_at(chain->rows[state], gsl_rng_get(rng));
        bytes[i] = (uint8_t)synthetic_alphabet[c];
        state = state % A * A + c;
    }
}

static bool fill_part(const struct synthetic_chain *chain, gsl_rng *rng, size_t n_bytes,
                      struct corpus_part *part)
{
    const size_t n_documents = n_bytes / DOCUMENT_BYTES + (n_bytes % DOCUMENT_BYTES != 0);
    if (!corpus_part_alloc(part, n_bytes, n_documents))
        return false;
    walk(chain, rng, part->bytes, n_bytes);
    part->n_bytes = n_bytes;
    part->n_documents = n_documents;
    for (size_t i = 0; i < n_documents; i++)
        part->starts[i] = i * DOCUMENT_BYTES;
    part->starts[n_documents] = n_bytes;
    return true;
}

static bool make_source(const struct mix_corpus_synthetic *options, size_t index, gsl_rng *rng,
                        struct synthetic_chain *chain, struct corpus_source *source)
{
    char name[32];
    (void)snprintf(name, sizeof name, "skill%zu", index + 1);
    source->name = strdup(name);
    synthetic_chain_make(options->seed, options->shared, index, rng, chain);
    const size_t n_bytes[MIX_PARTS] = {[MIX_PART_TRAIN] = options->n_bytes,
                                       [MIX_PART_VALIDATION] = options->n_validation_bytes,
                                       [MIX_PART_TEST] = options->n_test_bytes,
                                       [MIX_PART_SELECT] = options->n_select_bytes};
    enum { STREAMS = 3 }; /* of a source, beside the part select */
    for (size_t p = 0; p < MIX_PARTS; p++) {
        const bool is_select = p == MIX_PART_SELECT;
        rekey(rng, options->seed, is_select ? "synthetic text select" : "synthetic text",
              (uint64_t)index * STREAMS + (is_select ? 0 : p));
        if (source->name == NULL || !fill_part(chain, rng, n_bytes[p], &source->parts[p]))
            return false;
    }
    corpus_hash(source);
    return true;
}

enum mix_status mix_corpus_synthesise(const struct mix_corpus_synthetic *options, double *entropy,
                                      struct mix_corpus **out, struct mix_error *err)
{
    if (options->n_sources == 0 || options->n_bytes == 0)
        return mix_fail(err, MIX_EINVAL, "a synthetic corpus needs a source and training bytes.");
    if (!(options->shared >= 0.0 && options->shared <= 1.0))
        return mix_fail(err, MIX_EINVAL,
                        "the shared part %g of a synthetic corpus is not in [0, 1].",
                        options->shared);
    struct mix_corpus *corpus = corpus_create(options->n_sources);
    struct synthetic_chain *chain = malloc(sizeof *chain);
    gsl_rng *rng = mix_rng_create((struct mix_key){0});
    bool made = corpus != NULL && chain != NULL && rng != NULL;
    for (size_t i = 0; made && i < options->n_sources; i++) {
        made = make_source(options, options->numbers != NULL ? options->numbers[i] : i, rng, chain,
                           &corpus->sources[i]);
        made = made && (entropy == NULL || synthetic_entropy(chain, &entropy[i]));
    }
    free(chain);
    if (rng != NULL)
        gsl_rng_free(rng);
    if (!made) {
        mix_corpus_destroy(corpus);
        return mix_fail(err, MIX_ENOMEM,
                        "not enough memory for %zu synthetic sources of %zu bytes.",
                        options->n_sources, options->n_bytes);
    }
    *out = corpus;
    return MIX_OK;
}
