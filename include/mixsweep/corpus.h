/* SPDX-License-Identifier: GPL-3.0-or-later */
/* corpus.h - the text that embedded proxies are trained and measured on: bytes by source, cut by
 * document into train, validation and test.
 *
 * A token is a byte. A source is a list of files, folders and globs, plain or gzip (known by its
 * first bytes). The paths are taken in the order given, the files of a folder or a glob in that of
 * their names (strcmp). A folder is searched whole; names that begin with a dot, dangling links and
 * what is no file are left out of it, as are files without text: binary ones (a zero byte in the
 * first 8 kB) and those of white space alone. The same of a file that is named itself is an error.
 * A file that is met twice, under whatever name, is read once.
 *
 * Documents keep their bytes and stand one behind the other, without a separator; a file that does
 * not end in a newline gets one. White space before a document belongs to it. A document longer
 * than 16 kB is cut into several: behind a blank line, else a line, else a character. So a source
 * may be one long file, and no single document decides what is in a part.
 *
 * The split is a property of each document: the hash of (seed, its bytes) is its place in [0, 1),
 * the lowest places are the validation part, the highest the test part and, below it, the part
 * select. More files never move a document, and equal documents, in whatever source, are in the
 * same part: what is tested on is not trained on. Shares are of the number of documents, within
 * chance. Where chance leaves a part empty, the document with the nearest place moves there.
 */
#ifndef MIXSWEEP_CORPUS_H
#define MIXSWEEP_CORPUS_H

#include <stddef.h>
#include <stdint.h>

#include "mixsweep/random.h"
#include "mixsweep/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum mix_corpus_part {
    MIX_PART_TRAIN = 0,
    MIX_PART_VALIDATION = 1,
    MIX_PART_TEST = 2,
    MIX_PART_SELECT = 3 /* to choose by, where neither of the others may be used for it */
};
enum { MIX_PARTS = 4 };

/** What ends a document within a file. */
enum mix_corpus_document {
    MIX_DOCUMENT_FILE = 0,      /* the file is one document */
    MIX_DOCUMENT_PARAGRAPH = 1, /* blank lines end one (short ones are joined to 1 kB) */
    MIX_DOCUMENT_LINE = 2       /* every line is one */
};

/** One source: a training domain, or a validation set that is none. */
struct mix_corpus_source {
    const char *name;
    const char *const *paths; /* (n_paths) files, folders (searched whole), globs */
    size_t n_paths;
    enum mix_corpus_document document;
};

struct mix_corpus_options {
    uint64_t seed;           /* of the split */
    double validation_share; /* of documents; 0.1 */
    double test_share;       /* 0 */
    double select_share;     /* 0 */
    size_t max_bytes; /* of a source: the file at which it is reached is cut there, later ones
                         are left out. 0 = all, and more than 1 GiB is an error: a small
                         compressed file may hold any amount */
};

/** The seeded synthetic skill corpus; see mix_corpus_synthesise(). */
struct mix_corpus_synthetic {
    uint64_t seed;
    size_t n_sources; /* K */
    size_t n_bytes;   /* of each source, training part */
    size_t n_validation_bytes, n_test_bytes, n_select_bytes;
    double shared; /* 0 … 1: chance that what follows two bytes is the same in all sources */
    const size_t *numbers; /* (K) which of the endless row each source is; NULL = 0, 1, ... */
};

/** The text. Opaque, immutable once made: several trainers may read it. */
struct mix_corpus;

/**
 * Read the sources. Local. Needs memory for the text and, while it is read, for the largest source
 * once more.
 *
 * @param sources  (n_sources)
 * @param out      out: free with mix_corpus_destroy(); only set on success
 * @return MIX_OK; MIX_ENOTFOUND a path does not exist or a glob matches nothing (the sentence names
 * source and path); MIX_EINVAL options out of range, a named file without text, too few documents
 * for a part that has a share (the sentence says how many there are); MIX_EIO unreadable, broken or
 * cut gzip; MIX_ENOMEM
 */
enum mix_status mix_corpus_load(const struct mix_corpus_source *sources, size_t n_sources,
                                const struct mix_corpus_options *options, struct mix_corpus **out,
                                struct mix_error *err);

/**
 * Make K sources whose entropy rate is known: order-2 Markov chains over 16 bytes. What follows a
 * pair of bytes is fundamental, the same in all sources, with chance `shared`, and else special to
 * the source. Source names are skill1, skill2, ... Each source and part has a stream of its own,
 * equal on every machine: neither more sources nor other lengths change what there is.
 *
 * A document is 1 kB of the stream, which runs on: the entropy rate holds across documents. A model
 * that sees T bytes knows neither the source nor the pair before the first of them, and loses up to
 * about (ln K + 2 nats) / T per byte against the rate. Local.
 *
 * @param entropy  (K) out: entropy rate of each source in nats per byte (to 1e-12); may be NULL
 * @param out      out: free with mix_corpus_destroy(); only set on success
 * @return MIX_OK; MIX_EINVAL no source, no training bytes or `shared` out of range; MIX_ENOMEM
 */
enum mix_status mix_corpus_synthesise(const struct mix_corpus_synthetic *options, double *entropy,
                                      struct mix_corpus **out, struct mix_error *err);

/** NULL is allowed. */
void mix_corpus_destroy(struct mix_corpus *corpus);

size_t mix_corpus_n_sources(const struct mix_corpus *corpus);
const char *mix_corpus_name(const struct mix_corpus *corpus, size_t source);
/** The bytes of a part, documents one after the other. Borrowed; never NULL. */
const uint8_t *mix_corpus_bytes(const struct mix_corpus *corpus, size_t source,
                                enum mix_corpus_part part, size_t *n_bytes);
/** Number of documents, and where each begins: starts (n + 1), the last is n_bytes. Borrowed. */
const size_t *mix_corpus_documents(const struct mix_corpus *corpus, size_t source,
                                   enum mix_corpus_part part, size_t *n_documents);
/** Hash of the training bytes of a source: a silent change of the data shows. */
struct mix_key mix_corpus_hash(const struct mix_corpus *corpus, size_t source);

/**
 * Hash of the names, sizes and times of change of the files of a source; none is read. Local.
 *
 * @return MIX_OK; MIX_ENOTFOUND, MIX_EINVAL, MIX_EIO, MIX_ENOMEM as mix_corpus_load()
 */
enum mix_status mix_corpus_stamp(const struct mix_corpus_source *source, struct mix_key *out,
                                 struct mix_error *err);

/**
 * Hash of the sizes and bytes of the files of a source, in their order, text or not, whatever their
 * names are. Where they have more than 64 MiB, blocks of 64 kB are read, evenly spread over each
 * file with its first and its last: a source may be larger than can be read. Local.
 *
 * @return as mix_corpus_stamp()
 */
enum mix_status mix_corpus_hash_files(const struct mix_corpus_source *source, struct mix_key *out,
                                      struct mix_error *err);

#ifdef __cplusplus
}
#endif
#endif
