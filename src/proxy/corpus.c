/* SPDX-License-Identifier: GPL-3.0-or-later */
/* corpus.c - sources to parts; see corpus.h for the rules.
 *
 * The text of a source is read into one block, its documents get their places, and thresholds make
 * parts of them: [0, low) validation, [low, middle) train, [middle, high) select, [high, 1] test.
 */
#include "proxy/corpus_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const size_t DEFAULT_MAX_BYTES = (size_t)1 << 30;

enum mix_status corpus_no_memory(const char *source, struct mix_error *err)
{
    return mix_fail(err, MIX_ENOMEM, "source %s: not enough memory for its text.", source);
}

struct mix_corpus *corpus_create(size_t n_sources)
{
    struct mix_corpus *corpus = calloc(1, sizeof *corpus);
    if (corpus == NULL)
        return NULL;
    corpus->sources = calloc(n_sources, sizeof *corpus->sources);
    if (corpus->sources == NULL) {
        free(corpus);
        return NULL;
    }
    corpus->n_sources = n_sources;
    return corpus;
}

void mix_corpus_destroy(struct mix_corpus *corpus)
{
    if (corpus == NULL)
        return;
    for (size_t i = 0; i < corpus->n_sources; i++) {
        struct corpus_source *source = &corpus->sources[i];
        for (size_t p = 0; p < MIX_PARTS; p++) {
            free(source->parts[p].bytes);
            free(source->parts[p].starts);
        }
        free(source->name);
    }
    free(corpus->sources);
    free(corpus);
}

bool corpus_part_alloc(struct corpus_part *part, size_t n_bytes, size_t n_documents)
{
    part->bytes = malloc(n_bytes > 0 ? n_bytes : 1); /* never NULL */
    part->starts = calloc(n_documents + 1, sizeof *part->starts);
    return part->bytes != NULL && part->starts != NULL;
}

void corpus_hash(struct corpus_source *source)
{
    const struct corpus_part *train = &source->parts[MIX_PART_TRAIN];
    source->hash = mix_key_make(0, "corpus", train->bytes, train->n_bytes);
}

struct document {
    size_t start;
    double place; /* in [0, 1) */
};

struct documents {
    struct document *list; /* (n + 1): the start of the last is the end of the text */
    size_t n, capacity;
};

/* The hash of (seed, bytes) as a number in [0, 1). */
static double place_of(uint64_t seed, const uint8_t *bytes, size_t n_bytes)
{
    const struct mix_key key = mix_key_make(seed, "document", bytes, n_bytes);
    return (double)(key.hi >> 11) / 9007199254740992.0; /* 2^53 */
}

static bool documents_add(struct documents *documents, struct document document)
{
    if (documents->n + 1 >= documents->capacity) { /* one more for the end of the text */
        const size_t capacity = documents->capacity + documents->capacity / 2 + 64;
        struct document *grown = realloc(documents->list, capacity * sizeof *grown);
        if (grown == NULL)
            return false;
        documents->list = grown;
        documents->capacity = capacity;
    }
    documents->list[documents->n++] = document;
    return true;
}

/* Cut what one file has added to the text. */
static bool add_documents(const struct corpus_text *text, size_t begin,
                          enum mix_corpus_document kind, uint64_t seed, struct documents *documents)
{
    size_t end_of_words = text->n_bytes; /* white space behind the last word makes no document */
    while (end_of_words > begin && text->bytes[end_of_words - 1] <= ' ')
        end_of_words--;
    for (size_t start = begin, stop; start < text->n_bytes; start = stop) {
        stop = corpus_document_end(text->bytes, start, text->n_bytes, kind);
        if (stop >= end_of_words)
            stop = text->n_bytes;
        const double place = place_of(seed, text->bytes + start, stop - start);
        if (!documents_add(documents, (struct document){.start = start, .place = place}))
            return false;
    }
    if (documents->n > 0)
        documents->list[documents->n] = (struct document){.start = text->n_bytes};
    return true;
}

/* Least and greatest place in [low, high); false when there is none. */
static bool extremes(const struct documents *documents, double low, double high, double *least,
                     double *greatest)
{
    *least = INFINITY;
    *greatest = -INFINITY;
    for (size_t i = 0; i < documents->n; i++) {
        const double place = documents->list[i].place;
        if (place >= low && place < high) {
            *least = fmin(*least, place);
            *greatest = fmax(*greatest, place);
        }
    }
    return *least <= *greatest;
}

/* Move the thresholds, where a part has no document, by as little as gives it one: to the places of
 * documents, so that equal documents move together. False when there are too few. */
static bool fill_parts(const struct documents *documents, bool validation, bool test, double *low,
                       double *high)
{
    double least, greatest, first, last;
    if (!extremes(documents, 0.0, 1.0, &first, &last))
        return false;
    if (validation && !extremes(documents, 0.0, *low, &least, &greatest)) {
        *low = nextafter(first, 1.0);
        *high = fmax(*low, *high);
    }
    if (test && !extremes(documents, *high, 1.0, &least, &greatest)) {
        *high = last;
        *low = fmin(*low, *high);
    }
    if (!extremes(documents, *low, *high, &least, &greatest)) {
        if (extremes(documents, 0.0, *low, &least, &greatest) && least < greatest)
            *low = greatest;
        else if (extremes(documents, *high, 1.0, &least, &greatest) && least < greatest)
            *high = nextafter(least, 1.0);
    }
    return extremes(documents, *low, *high, &least, &greatest) &&
           (!validation || extremes(documents, 0.0, *low, &least, &greatest)) &&
           (!test || extremes(documents, *high, 1.0, &least, &greatest));
}

/* The thresholds. */
struct cuts {
    double low, middle, high;
};

static enum mix_corpus_part part_of(double place, const struct cuts *cuts)
{
    if (place < cuts->low)
        return MIX_PART_VALIDATION;
    if (place < cuts->middle)
        return MIX_PART_TRAIN;
    return place < cuts->high ? MIX_PART_SELECT : MIX_PART_TEST;
}

/* Copy every document to its part. */
static bool distribute(const struct corpus_text *text, const struct documents *documents,
                       const struct cuts *cuts, struct corpus_source *source)
{
    size_t n_bytes[MIX_PARTS] = {0}, n_documents[MIX_PARTS] = {0};
    for (size_t i = 0; i < documents->n; i++) {
        const struct document *document = &documents->list[i];
        const enum mix_corpus_part p = part_of(document->place, cuts);
        n_bytes[p] += document[1].start - document->start;
        n_documents[p]++;
    }
    for (size_t p = 0; p < MIX_PARTS; p++)
        if (!corpus_part_alloc(&source->parts[p], n_bytes[p], n_documents[p]))
            return false;
    for (size_t i = 0; i < documents->n; i++) {
        const struct document *document = &documents->list[i];
        const size_t n = document[1].start - document->start;
        const enum mix_corpus_part p = part_of(document->place, cuts);
        struct corpus_part *part = &source->parts[p];
        memcpy(part->bytes + part->n_bytes, text->bytes + document->start, n);
        part->n_bytes += n;
        part->starts[++part->n_documents] = part->n_bytes;
    }
    return true;
}

/* Take the part select from the upper end of what is left to train on. */
static bool cut_select(const struct documents *documents, double share, struct cuts *cuts)
{
    double least, greatest;
    cuts->middle = fmax(cuts->low, cuts->high - share);
    return extremes(documents, cuts->middle, cuts->high, &least, &greatest) &&
           extremes(documents, cuts->low, cuts->middle, &least, &greatest);
}

static enum mix_status split(const char *name, const struct mix_corpus_options *options,
                             const struct corpus_text *text, const struct documents *documents,
                             struct corpus_source *source, struct mix_error *err)
{
    const bool validation = options->validation_share > 0.0, test = options->test_share > 0.0;
    const bool select = options->select_share > 0.0;
    struct cuts cuts = {.low = options->validation_share,
                        .high = test ? 1.0 - options->test_share : 1.0};
    if (documents->n == 0)
        return mix_fail(err, MIX_EINVAL, "source %s: its folders and globs hold no text.", name);
    const bool filled = fill_parts(documents, validation, test, &cuts.low, &cuts.high);
    cuts.middle = cuts.high;
    if (!filled || (select && !cut_select(documents, options->select_share, &cuts)))
        return mix_fail(err, MIX_EINVAL,
                        "source %s: %zu document%s of %zu bytes in all cannot fill its %d parts "
                        "(train%s%s%s) with different ones: give more text, smaller documents "
                        "(paragraph, line) or a share of 0.",
                        name, documents->n, documents->n == 1 ? "" : "s", text->n_bytes,
                        1 + validation + select + test, validation ? ", validation" : "",
                        select ? ", select" : "", test ? ", test" : "");
    if (!distribute(text, documents, &cuts, source))
        return corpus_no_memory(name, err);
    corpus_hash(source);
    return MIX_OK;
}

/* All text of a source, and its documents. */
static enum mix_status read_source(const struct mix_corpus_source *what,
                                   const struct mix_corpus_options *options,
                                   const struct corpus_files *files, struct corpus_text *text,
                                   struct documents *documents, struct mix_error *err)
{
    const size_t limit = options->max_bytes > 0 ? options->max_bytes : DEFAULT_MAX_BYTES + 1;
    for (size_t i = 0; i < files->n_files; i++) {
        const size_t begin = text->n_bytes;
        const enum mix_status status = corpus_read(&files->files[i], what->name, limit, text, err);
        if (status != MIX_OK)
            return status;
        if (options->max_bytes == 0 && text->n_bytes > DEFAULT_MAX_BYTES)
            return mix_fail(err, MIX_EINVAL,
                            "source %s: more than 1 GiB of text by %s; set max_bytes to say how "
                            "much to take.",
                            what->name, files->files[i].path);
        if (!add_documents(text, begin, what->document, options->seed, documents))
            return corpus_no_memory(what->name, err);
    }
    return MIX_OK;
}

static enum mix_status load_source(const struct mix_corpus_source *what,
                                   const struct mix_corpus_options *options,
                                   struct corpus_source *source, struct mix_error *err)
{
    struct corpus_files files = {0};
    struct corpus_text text = {0};
    struct documents documents = {0};
    source->name = strdup(what->name);
    enum mix_status status =
        source->name == NULL ? corpus_no_memory(what->name, err) : corpus_find(what, &files, err);
    if (status == MIX_OK)
        status = read_source(what, options, &files, &text, &documents, err);
    if (status == MIX_OK)
        status = split(what->name, options, &text, &documents, source, err);
    free(documents.list);
    free(text.bytes);
    corpus_files_free(&files);
    return status;
}

static enum mix_status check(const struct mix_corpus_source *sources, size_t n_sources,
                             const struct mix_corpus_options *options, struct mix_error *err)
{
    const double validation = options->validation_share, test = options->test_share;
    const double select = options->select_share;
    if (n_sources == 0)
        return mix_fail(err, MIX_EINVAL, "a corpus needs a source.");
    if (!(validation >= 0.0 && test >= 0.0 && select >= 0.0 && validation + test + select < 1.0))
        return mix_fail(err, MIX_EINVAL,
                        "validation share %g, select share %g and test share %g must be 0 or more "
                        "and leave something to train on.",
                        validation, select, test);
    for (size_t i = 0; i < n_sources; i++)
        if (sources[i].n_paths == 0)
            return mix_fail(err, MIX_EINVAL, "source %s names no files.", sources[i].name);
    return MIX_OK;
}

enum mix_status mix_corpus_load(const struct mix_corpus_source *sources, size_t n_sources,
                                const struct mix_corpus_options *options, struct mix_corpus **out,
                                struct mix_error *err)
{
    enum mix_status status = check(sources, n_sources, options, err);
    if (status != MIX_OK)
        return status;
    struct mix_corpus *corpus = corpus_create(n_sources);
    if (corpus == NULL)
        return mix_fail(err, MIX_ENOMEM, "not enough memory for %zu sources.", n_sources);
    for (size_t i = 0; status == MIX_OK && i < n_sources; i++)
        status = load_source(&sources[i], options, &corpus->sources[i], err);
    if (status == MIX_OK)
        *out = corpus;
    else
        mix_corpus_destroy(corpus);
    return status;
}

size_t mix_corpus_n_sources(const struct mix_corpus *corpus)
{
    return corpus->n_sources;
}

const char *mix_corpus_name(const struct mix_corpus *corpus, size_t source)
{
    return corpus->sources[source].name;
}

const uint8_t *mix_corpus_bytes(const struct mix_corpus *corpus, size_t source,
                                enum mix_corpus_part part, size_t *n_bytes)
{
    *n_bytes = corpus->sources[source].parts[part].n_bytes;
    return corpus->sources[source].parts[part].bytes;
}

const size_t *mix_corpus_documents(const struct mix_corpus *corpus, size_t source,
                                   enum mix_corpus_part part, size_t *n_documents)
{
    *n_documents = corpus->sources[source].parts[part].n_documents;
    return corpus->sources[source].parts[part].starts;
}

struct mix_key mix_corpus_hash(const struct mix_corpus *corpus, size_t source)
{
    return corpus->sources[source].hash;
}
