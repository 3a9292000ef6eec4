/* SPDX-License-Identifier: GPL-3.0-or-later */
/* exclude.c - the verbs exclude and retry: what a user says of single runs. */
#include "cli.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/confirm.h"
#include "mixsweep/store.h"

/* The runs of a file, changed and stored again. */
struct change {
    const char *path;
    bool break_lock, json;
    struct mix_store *store;
    struct mix_table *table;
    uint8_t *chosen; /* (R) rows of the runs that are meant */
    uint8_t *one;    /* (R) rows of one of them */
    json_t *names;   /* of these runs */
    size_t n_rows;   /* of them */
};

static void close_change(struct change *change)
{
    mix_table_destroy(change->table);
    mix_store_close(change->store);
    json_decref(change->names);
    free(change->chosen);
    free(change->one);
}

static enum mix_status open_change(struct change *change, struct mix_error *err)
{
    enum mix_status status =
        mix_store_open(change->path, MIX_STORE_WRITE, change->break_lock, &change->store, err);
    if (status == MIX_OK)
        status = mix_store_read_table(change->store, &change->table, err);
    if (status != MIX_OK)
        return status;
    change->chosen = calloc(change->table->n_rows + 1, 1);
    change->one = calloc(change->table->n_rows + 1, 1);
    change->names = json_array();
    if (change->chosen == NULL || change->one == NULL || change->names == NULL)
        return mix_fail(err, MIX_ENOMEM, "not enough memory for %zu runs.", change->table->n_rows);
    return MIX_OK;
}

static void choose_row(struct change *change, size_t row)
{
    change->n_rows += !change->chosen[row];
    change->chosen[row] = 1;
}

static void name_run(struct change *change, size_t row)
{
    json_array_append_new(change->names, json_string(change->table->runs[row].run));
}

/* The run that a word names; `check` may refuse a row of it. */
static enum mix_status choose_named(struct change *change, const char *word,
                                    enum mix_status (*check)(const struct mix_run *run,
                                                             const char *word, struct mix_error *),
                                    struct mix_error *err)
{
    size_t row = SIZE_MAX;
    struct mix_error reason = {.text = ""};
    enum mix_status status = mix_table_find_run(change->table, word, change->one, &reason);
    if (status != MIX_OK)
        return mix_fail(err, status, "%s: %s", mix_store_path(change->store), reason.text);
    for (size_t r = 0; status == MIX_OK && r < change->table->n_rows; r++) {
        if (!change->one[r])
            continue;
        if (check != NULL)
            status = check(&change->table->runs[r], word, err);
        if (!change->chosen[r])
            row = r;
        choose_row(change, r);
    }
    if (status == MIX_OK && row != SIZE_MAX)
        name_run(change, row);
    return status;
}

static enum mix_status store_change(struct change *change, struct mix_error *err)
{
    if (change->n_rows == 0)
        return MIX_OK;
    const enum mix_status status = mix_store_put_table(change->store, change->table, err);
    return status == MIX_OK ? mix_store_commit(change->store, err) : status;
}

/* Fits that have seen the runs otherwise. */
static json_t *list_stale_fits(struct change *change)
{
    struct mix_names names = {0};
    json_t *list = json_array();
    if (mix_store_list(change->store, "fits", &names, NULL) != MIX_OK)
        return list;
    for (size_t i = 0; i < names.n; i++) {
        struct mix_fit *fit = NULL;
        if (mix_store_read_fit(change->store, names.name[i], &fit, NULL) == MIX_OK &&
            mix_fit_outdated(fit, change->table) != NULL)
            json_array_append_new(list, json_string(fit->name));
        mix_fit_destroy(fit);
    }
    mix_names_destroy(&names);
    return list;
}

static enum mix_status print_change(struct change *change, const char *done,
                                    const char *consequence, struct mix_error *err)
{
    json_t *stale = list_stale_fits(change);
    const size_t n_runs = json_array_size(change->names);
    size_t i;
    json_t *name;
    if (change->json) {
        json_t *root = json_pack("{s:s, s:O, s:I, s:O}", "file", change->path, done, change->names,
                                 "rows", (json_int_t)change->n_rows, "stale_fits", stale);
        const bool failed = root == NULL || json_dumpf(root, stdout, JSON_INDENT(2)) != 0;
        json_decref(root);
        json_decref(stale);
        putchar('\n');
        return failed ? mix_fail(err, MIX_EIO, "the result could not be printed as JSON.") : MIX_OK;
    }
    printf("%s %zu run%s of %s (%zu row%s)%s%s\n", done, n_runs, n_runs == 1 ? "" : "s",
           change->path, change->n_rows, change->n_rows == 1 ? "" : "s", n_runs > 0 ? "; " : "",
           n_runs > 0 ? consequence : "");
    json_array_foreach(stale, i, name)
        printf("note: fit %s has seen other runs: fit again with --name %s --replace\n",
               json_string_value(name), json_string_value(name));
    json_decref(stale);
    return MIX_OK;
}

/* ---- exclude */

enum { WORDS_MAX = 256 };

static enum mix_status check_done(const struct mix_run *run, const char *word,
                                  struct mix_error *err)
{
    if (run->status == MIX_RUN_DONE)
        return MIX_OK;
    return mix_fail(err, MIX_EINVAL, "run %.80s is not done (%s): it is in no fit anyway.", word,
                    run->status == MIX_RUN_FAILED ? "failed" : "interrupted");
}

static void set_excluded(struct change *change, bool excluded, const char *reason)
{
    for (size_t r = 0; r < change->table->n_rows; r++) {
        struct mix_run *run = &change->table->runs[r];
        if (!change->chosen[r])
            continue;
        run->excluded = excluded;
        memset(run->reason, 0, sizeof run->reason);
        snprintf(run->reason, sizeof run->reason, "%s", excluded ? reason : "");
    }
}

static enum mix_status check_reason(const char *reason, bool undo, struct mix_error *err)
{
    if (undo)
        return reason == NULL ? MIX_OK : mix_fail(err, MIX_EUSAGE, "--undo takes no --reason.");
    if (reason == NULL || reason[0] == '\0')
        return mix_fail(err, MIX_EUSAGE, "why? Give --reason TEXT; it stays with the run.");
    if (strlen(reason) >= MIX_NAME_MAX)
        return mix_fail(err, MIX_EUSAGE, "--reason has %zu bytes; %d are allowed.", strlen(reason),
                        MIX_NAME_MAX - 1);
    if (strcmp(reason, MIX_CONFIRMATION) == 0)
        return mix_fail(err, MIX_EUSAGE,
                        "--reason " MIX_CONFIRMATION
                        " is what marks runs that confirm an optimum; give another one.");
    return MIX_OK;
}

static enum mix_status run_exclude(struct mix_ranks *ranks, int argc, char **argv,
                                   struct mix_error *err)
{
    (void)ranks;
    const char *words[WORDS_MAX + 1] = {NULL}, *reason = NULL, *format = NULL;
    struct change change = {.path = NULL};
    bool help = false, undo = false;
    const struct cli_option options[] = {
        {.name = "reason",
         .value = "TEXT",
         .help = "why; up to 63 bytes, kept with the run",
         .kind = CLI_TEXT,
         .target = &reason},
        {.name = "undo", .help = "take the runs back into fits", .kind = CLI_FLAG, .target = &undo},
        {.name = "break-lock",
         .help = "take the file from a process that seems to be alive",
         .kind = CLI_FLAG,
         .target = &change.break_lock},
        {.name = "format",
         .value = "FORMAT",
         .help = "text or json (default text)",
         .kind = CLI_TEXT,
         .target = &format},
        {.name = NULL},
    };
    enum mix_status status =
        cli_parse(&cli_verb_exclude, options, argc, argv, 2, WORDS_MAX, words, &help, err);
    if (status == MIX_OK && !help)
        status = cli_parse_format(format, &change.json, err);
    if (status == MIX_OK && !help)
        status = check_reason(reason, undo, err);
    if (status != MIX_OK || help)
        return status;
    change.path = words[0];
    status = open_change(&change, err);
    for (size_t i = 1; status == MIX_OK && words[i] != NULL; i++)
        status = choose_named(&change, words[i], check_done, err);
    if (status == MIX_OK) {
        set_excluded(&change, !undo, reason);
        status = store_change(&change, err);
    }
    if (status == MIX_OK)
        status =
            print_change(&change, undo ? "included" : "excluded",
                         undo ? "fits see them again" : "kept in the file, left out of fits", err);
    close_change(&change);
    return status;
}

const struct cli_verb cli_verb_exclude = {
    .name = "exclude",
    .summary = "leave runs out of every fit, with a reason",
    .synopsis = "S.h5 RUN... --reason TEXT",
    .details = "RUN is the name of a run, or its key (32 hexadecimal digits, as status and export\n"
               "print it) where several runs have one name. All its checkpoints are meant. The\n"
               "losses stay in the file.\n\n"
               "  mixsweep exclude sweep.h5 3fa01c77-40M-800M-s0 --reason 'loss spike at the end'\n"
               "  mixsweep exclude sweep.h5 3fa01c77-40M-800M-s0 --undo\n",
    .run = run_exclude,
};

/* ---- retry */

static enum mix_status check_not_done(const struct mix_run *run, const char *word,
                                      struct mix_error *err)
{
    if (run->status != MIX_RUN_DONE)
        return MIX_OK;
    return mix_fail(err, MIX_EINVAL,
                    "run %.80s is done; --force drops its losses, so that it is run again.", word);
}

static void choose_failed(struct change *change)
{
    const struct mix_table *table = change->table;
    for (size_t r = 0; r < table->n_rows; r++) {
        if (table->runs[r].status == MIX_RUN_DONE || change->chosen[r])
            continue;
        choose_row(change, r);
        name_run(change, r);
    }
}

static void drop_chosen(struct change *change)
{
    for (size_t r = 0; r < change->table->n_rows; r++)
        change->one[r] = !change->chosen[r];
    mix_table_forget(change->table, change->one);
}

static enum mix_status run_retry(struct mix_ranks *ranks, int argc, char **argv,
                                 struct mix_error *err)
{
    (void)ranks;
    const char *format = NULL;
    struct cli_list named = {.n = 0};
    struct change change = {.path = NULL};
    bool help = false, failed = false, force = false;
    const struct cli_option options[] = {
        {.name = "failed",
         .help = "all runs that failed or were interrupted",
         .kind = CLI_FLAG,
         .target = &failed},
        {.name = "run",
         .value = "RUN",
         .help = "this run, by name or key; may be given again",
         .kind = CLI_TEXT_LIST,
         .target = &named},
        {.name = "force",
         .help = "with --run: also where it is done; its losses are dropped",
         .kind = CLI_FLAG,
         .target = &force},
        {.name = "break-lock",
         .help = "take the file from a process that seems to be alive",
         .kind = CLI_FLAG,
         .target = &change.break_lock},
        {.name = "format",
         .value = "FORMAT",
         .help = "text or json (default text)",
         .kind = CLI_TEXT,
         .target = &format},
        {.name = NULL},
    };
    enum mix_status status =
        cli_parse(&cli_verb_retry, options, argc, argv, 1, 1, &change.path, &help, err);
    if (status == MIX_OK && !help)
        status = cli_parse_format(format, &change.json, err);
    if (status == MIX_OK && !help && !failed && named.n == 0)
        status = mix_fail(err, MIX_EUSAGE, "which runs? Give --failed or --run RUN.");
    if (status != MIX_OK || help)
        return status;
    status = open_change(&change, err);
    for (size_t i = 0; status == MIX_OK && i < named.n; i++)
        status = choose_named(&change, named.item[i], force ? NULL : check_not_done, err);
    if (status == MIX_OK && failed)
        choose_failed(&change);
    if (status == MIX_OK) {
        drop_chosen(&change);
        status = store_change(&change, err);
    }
    if (status == MIX_OK)
        status = print_change(&change, "forgot", "the next sweep begins them anew", err);
    close_change(&change);
    return status;
}

const struct cli_verb cli_verb_retry = {
    .name = "retry",
    .summary = "forget failed runs, so that the next sweep begins them anew",
    .synopsis = "S.h5 --failed | --run RUN",
    .details = "A run that failed as often as its job allows is not tried again. This takes its\n"
               "attempts out of the file; the next `mixsweep sweep` begins it from the start.\n\n"
               "  mixsweep retry sweep.h5 --failed\n"
               "  mixsweep retry sweep.h5 --run 3fa01c77-40M-800M-s0\n",
    .run = run_retry,
};
