/* SPDX-License-Identifier: GPL-3.0-or-later */
/* merge.c - the verb merge: the runs of several sweep files in one. */
#include "cli.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli/domains_impl.h"
#include "mixsweep/store.h"

enum { INPUTS_MAX = 256 };

/* What is to be joined, and what came of it. */
struct request {
    const char *input[INPUTS_MAX + 1];
    size_t n_inputs;
    const char *output;
    bool force, json;
    struct mix_table *table;
    char *job; /* of the first file */
    uint64_t seed;
    char *history; /* of all */
    size_t n_same;
};

/* What was done to the domains of a file belongs to the history of all. */
static enum mix_status join_history(struct request *request, const char *path, const char *history,
                                    struct mix_error *err)
{
    char *joined = NULL;
    const enum mix_status status = domains_history_join(
        request->history != NULL ? request->history : "", history, path, &joined, err);
    if (status == MIX_OK) {
        free(request->history);
        request->history = joined;
    }
    return status;
}

static enum mix_status read_input(struct request *request, const char *path,
                                  struct mix_table **table, struct mix_error *err)
{
    struct mix_store *store = NULL;
    enum mix_status status = mix_store_open(path, MIX_STORE_READ, false, &store, err);
    if (status == MIX_OK)
        status = mix_store_read_table(store, table, err);
    if (status == MIX_OK && request->job == NULL) {
        request->seed = mix_store_seed(store);
        request->job = strdup(mix_store_job(store));
        if (request->job == NULL)
            status = mix_fail(err, MIX_ENOMEM, "not enough memory for the job of %s.", path);
    }
    if (status == MIX_OK)
        status = join_history(request, path, mix_store_history(store), err);
    if (status == MIX_OK && mix_store_warning(store)[0] != '\0')
        fprintf(stderr, "warning: %s\n", mix_store_warning(store));
    mix_store_close(store);
    return status;
}

static bool same_number(double a, double b)
{
    return a == b || (a != a && b != b);
}

/* Priors and supplies are those of the first file. */
static void note_priors(const struct mix_table *first, const struct mix_table *other,
                        const char *path)
{
    for (size_t k = 0; k < first->n_domains; k++) {
        const int at = mix_table_domain(other, first->domains[k].name);
        if (at >= 0 &&
            (!same_number(first->domains[k].prior, other->domains[at].prior) ||
             !same_number(first->domains[k].supply_tokens, other->domains[at].supply_tokens)))
            fprintf(stderr,
                    "note: prior or supply of %s is another one in %s; that of the first "
                    "file is kept.\n",
                    first->domains[k].name, path);
    }
}

static enum mix_status join(struct request *request, struct mix_error *err)
{
    enum mix_status status = read_input(request, request->input[0], &request->table, err);
    for (size_t i = 1; status == MIX_OK && i < request->n_inputs; i++) {
        struct mix_table *add = NULL;
        struct mix_error reason = {.text = ""};
        size_t n_same = 0;
        status = read_input(request, request->input[i], &add, err);
        if (status != MIX_OK) {
            mix_table_destroy(add);
            return status;
        }
        status = mix_table_merge(request->table, add, &n_same, &reason);
        if (status == MIX_OK)
            note_priors(request->table, add, request->input[i]);
        else
            (void)mix_fail(err, status, "%s: %s", request->input[i], reason.text);
        request->n_same += n_same;
        mix_table_destroy(add);
    }
    return status;
}

static enum mix_status check_output(const struct request *request, struct mix_error *err)
{
    if (request->output == NULL)
        return mix_fail(err, MIX_EUSAGE, "where to? Give -o S.h5.");
    return cli_refuse_output(request->output, request->force, request->n_inputs, request->input,
                             err);
}

static enum mix_status write_output(const struct request *request, struct mix_error *err)
{
    struct mix_store *store = NULL;
    enum mix_status status = mix_store_open(
        request->output, request->force ? MIX_STORE_REPLACE : MIX_STORE_CREATE, false, &store, err);
    if (status == MIX_OK)
        status = mix_store_set_job(store, request->job, request->seed);
    if (status == MIX_OK && request->history[0] != '\0')
        status = mix_store_set_history(store, request->history);
    if (status == MIX_OK)
        status = mix_store_put_table(store, request->table, err);
    if (status == MIX_OK)
        status = mix_store_commit(store, err);
    mix_store_close(store);
    return status;
}

static enum mix_status print_result(const struct request *request, struct mix_error *err)
{
    const size_t n_rows = request->table->n_rows;
    if (!request->json) {
        printf("merged %zu file%s into %s: %zu row%s, %zu of them in more than one file\n",
               request->n_inputs, request->n_inputs == 1 ? "" : "s", request->output, n_rows,
               n_rows == 1 ? "" : "s", request->n_same);
        printf("next: mixsweep status %s\n", request->output);
        return MIX_OK;
    }
    json_t *root = json_pack("{s:s, s:I, s:I, s:I}", "file", request->output, "files",
                             (json_int_t)request->n_inputs, "rows", (json_int_t)n_rows, "same",
                             (json_int_t)request->n_same);
    const bool failed = root == NULL || json_dumpf(root, stdout, JSON_INDENT(2)) != 0;
    json_decref(root);
    putchar('\n');
    return failed ? mix_fail(err, MIX_EIO, "the result could not be printed as JSON.") : MIX_OK;
}

static enum mix_status run_merge(struct mix_ranks *ranks, int argc, char **argv,
                                 struct mix_error *err)
{
    (void)ranks;
    struct request request = {.output = NULL};
    const char *format = NULL;
    bool help = false;
    const struct cli_option options[] = {
        {.name = "output",
         .letter = 'o',
         .value = "FILE",
         .help = "the sweep file to make",
         .kind = CLI_TEXT,
         .target = &request.output},
        {.name = "force",
         .help = "replace FILE where it exists",
         .kind = CLI_FLAG,
         .target = &request.force},
        {.name = "format",
         .value = "FORMAT",
         .help = "text or json (default text)",
         .kind = CLI_TEXT,
         .target = &format},
        {.name = NULL},
    };
    enum mix_status status =
        cli_parse(&cli_verb_merge, options, argc, argv, 1, INPUTS_MAX, request.input, &help, err);
    if (status == MIX_OK && !help)
        status = cli_parse_format(format, &request.json, err);
    if (status != MIX_OK || help)
        return status;
    while (request.input[request.n_inputs] != NULL)
        request.n_inputs++;
    status = check_output(&request, err);
    if (status == MIX_OK)
        status = join(&request, err);
    if (status == MIX_OK)
        status = write_output(&request, err);
    if (status == MIX_OK)
        status = print_result(&request, err);
    mix_table_destroy(request.table);
    free(request.job);
    free(request.history);
    return status;
}

const struct cli_verb cli_verb_merge = {
    .name = "merge",
    .summary = "join the runs of several sweep files",
    .synopsis = "A.h5 B.h5 ... -o C.h5",
    .details =
        "The files have the same domains and targets, in any order. A run that is in several of\n"
        "them counts once: where its losses differ, nothing is written and the run is named; a\n"
        "failed one gives way to a done one; what one file excludes is excluded. Job, priors and\n"
        "weights are those of the first file; what `mixsweep domains` changed in any of them is "
        "kept\n"
        "of all, and they may not contradict each other. Fits, draws and optima are not taken "
        "over.\n\n"
        "  mixsweep merge cluster1.h5 cluster2.h5 -o all.h5\n",
    .run = run_merge,
};
