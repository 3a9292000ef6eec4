/* SPDX-License-Identifier: GPL-3.0-or-later */
/* content.c - what is behind the names of the domains: a label that the job gives, or a hash of the
 * text or files. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sweep/evaluators.h"
#include "sweep/sweep_impl.h"

/* Of a domain that the job gives no label of; empty = not known here. */
struct known {
    char content[MIX_NAME_MAX], files[MIX_NAME_MAX];
};

/* "text:", "files:" with what follows it, or 0. */
static size_t kind_length(const char *content)
{
    static const char *const kinds[] = {"text:", "files:"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strncmp(content, kinds[i], strlen(kinds[i])) == 0)
            return strlen(kinds[i]);
    return 0;
}

bool mix_content_is_hash(const char *content)
{
    return kind_length(content) > 0;
}

static void print_key(const char *kind, struct mix_key key, char out[MIX_NAME_MAX])
{
    snprintf(out, MIX_NAME_MAX, "%s%016" PRIx64 "%016" PRIx64, kind, key.hi, key.lo);
}

struct mix_corpus_source mix_source_of(const char *name, const struct mix_job_source *source)
{
    return (struct mix_corpus_source){.name = name,
                                      .paths = (const char *const *)source->paths,
                                      .n_paths = source->n_paths,
                                      .document = source->document};
}

void mix_content_of_files(const struct mix_job *job, size_t domain, char out[MIX_NAME_MAX])
{
    const struct mix_corpus_source source =
        mix_source_of(job->domains[domain].name, &job->domain_sources[domain]);
    struct mix_key key;
    out[0] = '\0';
    if (source.n_paths > 0 && mix_corpus_hash_files(&source, &key, NULL) == MIX_OK)
        print_key("files:", key, out);
}

static bool is_text(const struct mix_job *job)
{
    return strcmp(job->evaluator, "embedded") == 0;
}

/* Names, sizes and times of the files, and what is taken of them: while it stays nothing need be
 * read. */
static void stamp_files(const struct mix_job *job, size_t domain, char out[MIX_NAME_MAX])
{
    const struct mix_corpus_source source =
        mix_source_of(job->domains[domain].name, &job->domain_sources[domain]);
    const struct mix_corpus_options *is = &job->embedded.corpus;
    const bool is_embedded = is_text(job);
    struct {
        struct mix_key files;
        uint64_t is_embedded, document, seed, max_bytes;
        double validation, test, select;
    } what = {.is_embedded = is_embedded, .document = source.document};
    out[0] = '\0';
    if (source.n_paths == 0 || mix_corpus_stamp(&source, &what.files, NULL) != MIX_OK)
        return;
    if (is_embedded) {
        what.seed = is->seed;
        what.max_bytes = is->max_bytes;
        what.validation = is->validation_share;
        what.test = is->test_share;
        what.select = is->select_share;
    }
    print_key("", mix_key_make(0, "files", &what, sizeof what), out);
}

static bool has_runs(const struct mix_table *table, const char *recipe)
{
    for (size_t r = 0; r < table->n_rows; r++)
        if (table->runs[r].status == MIX_RUN_DONE && strcmp(table->runs[r].recipe, recipe) == 0)
            return true;
    return false;
}

/* Refuse what is not that of the runs in the table; note what is new. */
static enum mix_status take(const struct mix_job *job, const struct known *known,
                            struct mix_table *table, bool *is_new, struct mix_error *err)
{
    const bool has_any = has_runs(table, job->recipe);
    for (size_t k = 0; k < job->n_domains; k++) {
        struct mix_domain *domain = &table->domains[k];
        const char *content = known[k].content;
        const size_t n = kind_length(content);
        if (n == 0 ||
            (strcmp(domain->content, content) == 0 && strcmp(domain->files, known[k].files) == 0))
            continue;
        if (has_any && strncmp(domain->content, content, n) == 0 &&
            strcmp(domain->content, content) != 0)
            return mix_fail(err, MIX_EINVAL,
                            "the text of %s is not that of the runs in %s: put it back, "
                            "or give the job %s another file or another recipe; mixsweep "
                            "domains revise %s %s -o NEW.h5 keeps what is still valid.",
                            job->domains[k].name, job->file, job->name, job->file,
                            job->domains[k].name);
        memcpy(domain->content, content, sizeof domain->content);
        memcpy(domain->files, known[k].files, sizeof domain->files);
        *is_new = true;
    }
    return MIX_OK;
}

/* Without reading where the files have the names, sizes and times of when they were read last;
 * false where that does not tell all. */
static bool recall(const struct mix_job *job, const struct mix_table *table, struct known *known)
{
    bool is_all = true;
    for (size_t k = 0; k < job->n_domains; k++) {
        const struct mix_domain *domain = &table->domains[k];
        if (job->domains[k].content[0])
            continue;
        stamp_files(job, k, known[k].files);
        const bool is_same = known[k].files[0] && strcmp(known[k].files, domain->files) == 0;
        if (is_same && !known[k].content[0])
            memcpy(known[k].content, domain->content, sizeof domain->content);
        is_all = is_all && (is_same || (!known[k].files[0] && !is_text(job)));
    }
    return is_all;
}

static void look(const struct mix_job *job, const struct mix_evaluator *evaluator,
                 const void *state, struct known *known)
{
    for (size_t k = 0; k < job->n_domains; k++)
        if (!job->domains[k].content[0] && !known[k].content[0])
            evaluator->content(state, k, known[k].content);
}

static struct known *create_known(const struct mix_job *job, struct mix_error *err)
{
    struct known *known = calloc(job->n_domains, sizeof *known);
    if (!known)
        (void)mix_fail(err, MIX_ENOMEM, "out of memory for %zu domains.", job->n_domains);
    return known;
}

enum mix_status mix_sweep_check_content(const struct mix_job *job, struct mix_table *table,
                                        bool *is_new, struct mix_error *err)
{
    const struct mix_evaluator *evaluator = mix_evaluator_find(job->evaluator);
    void *state = NULL;
    *is_new = false;
    if (!evaluator || !evaluator->content)
        return MIX_OK;
    struct known *known = create_known(job, err);
    if (!known)
        return MIX_ENOMEM;
    if (!recall(job, table, known) && evaluator->create(job, &state, NULL) == MIX_OK) {
        look(job, evaluator, state, known);
        evaluator->destroy(state);
    }
    const enum mix_status status = take(job, known, table, is_new, err);
    free(known);
    return status;
}

/* Rank 0: the file has what is behind all domains that the job gives no label of. */
static enum mix_status keep(const struct mix_sweep *sweep, struct known *known,
                            struct mix_error *err)
{
    const struct mix_job *job = sweep->job;
    struct mix_store *store = sweep->follower->store;
    struct mix_table *table = NULL;
    bool is_new = false;
    enum mix_status status = mix_store_read_table(store, &table, err);
    if (status == MIX_OK && !recall(job, table, known))
        look(job, sweep->evaluator, sweep->state, known);
    if (status == MIX_OK)
        status = take(job, known, table, &is_new, err);
    if (status == MIX_OK && is_new)
        status = mix_store_put_table(store, table, err);
    if (status == MIX_OK && is_new)
        status = mix_store_commit(store, err);
    mix_table_destroy(table);
    return status;
}

/* Ranks that train on it themselves have the same text. */
static enum mix_status agree(const struct mix_sweep *sweep, struct known *known,
                             struct known *first, struct mix_error *err)
{
    const struct mix_job *job = sweep->job;
    look(job, sweep->evaluator, sweep->state, known);
    memcpy(first, known, job->n_domains * sizeof *first);
    mix_ranks_broadcast(sweep->ranks, first, job->n_domains * sizeof *first);
    for (size_t k = 0; k < job->n_domains; k++)
        if (strcmp(known[k].content, first[k].content) != 0)
            return mix_fail(err, MIX_EINVAL, "the text of %s on rank %d is not that on rank 0.",
                            job->domains[k].name, mix_ranks_rank(sweep->ranks));
    return MIX_OK;
}

enum mix_status mix_content_check(const struct mix_sweep *sweep, struct mix_error *err)
{
    struct known *known = create_known(sweep->job, err), *first = create_known(sweep->job, err);
    enum mix_status status =
        mix_ranks_agree(sweep->ranks, known && first ? MIX_OK : MIX_ENOMEM, err);
    if (status == MIX_OK && sweep->evaluator->evaluate)
        status = agree(sweep, known, first, err);
    if (status == MIX_OK && sweep->follower)
        status = keep(sweep, known, err);
    free(known);
    free(first);
    return mix_ranks_agree(sweep->ranks, status, err);
}
