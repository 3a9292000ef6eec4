/* SPDX-License-Identifier: GPL-3.0-or-later */
/* store_impl.h - parts of the store. Private to src/store/. */
#ifndef MIXSWEEP_STORE_IMPL_H
#define MIXSWEEP_STORE_IMPL_H

#include <stdio.h>
#include <sys/types.h>

#include "mixsweep/log.h"
#include "mixsweep/store.h"
#include "store/h5io.h"

enum store_kind {
    STORE_FITS,
    STORE_BOOTSTRAP,
    STORE_OPTIMUM,
    STORE_ONLINE,
    STORE_COMPARE,
    STORE_AGENT,
    STORE_KINDS
};
extern const char *const store_kind_names[STORE_KINDS];

/* ---- structs to groups and back (tables.c, fits.c, optima.c) ---- */

/** The groups of the table: /domains, /targets, /runs. */
enum mix_status store_write_table(const struct h5_group *root, const struct mix_table *table,
                                  struct mix_error *err);
enum mix_status store_read_table(const struct h5_group *root, struct mix_table **out,
                                 struct mix_error *err);

/* The rows of /runs in blocks. What is given is borrowed until they are closed. */
struct store_rows;
enum mix_status store_rows_open(const struct h5_group *root, struct store_rows **out,
                                struct mix_error *err);
/** @param metadata_width  bytes of the longest metadata with its end */
enum mix_status store_rows_create(const struct h5_group *root, const struct mix_table *names,
                                  size_t n_rows, size_t metadata_width, struct store_rows **out,
                                  struct mix_error *err);
void store_rows_close(struct store_rows *rows);
/** A table without rows; of what was opened. */
const struct mix_table *store_rows_names(const struct store_rows *rows);
size_t store_rows_count(const struct store_rows *rows);
/** What the block had goes. */
enum mix_status store_rows_read(struct store_rows *rows, struct mix_table *block, size_t first,
                                size_t n, struct mix_error *err);
enum mix_status store_rows_write(struct store_rows *rows, const struct mix_table *block,
                                 size_t first, struct mix_error *err);

/** Check what a run says beyond its types: texts end, enumerations are known, counts are none below
 * 0. */
bool store_run_is_sound(const struct mix_run *run);

/** A result into its (new) group. `fit` names the parameters of draws; it may be NULL. */
enum mix_status store_write_fit(const struct h5_group *group, const struct mix_fit *fit,
                                struct mix_error *err);
enum mix_status store_write_draws(const struct h5_group *group, const struct mix_draws *draws,
                                  const struct mix_fit *fit, struct mix_error *err);
enum mix_status store_write_optimum(const struct h5_group *group, const struct mix_optimum *optimum,
                                    struct mix_error *err);
enum mix_status store_read_fit(const struct h5_group *group, const char *name, struct mix_fit **out,
                               struct mix_error *err);
enum mix_status store_read_draws(const struct h5_group *group, const char *name,
                                 struct mix_draws **out, struct mix_error *err);
enum mix_status store_read_optimum(const struct h5_group *group, const char *name,
                                   struct mix_optimum **out, struct mix_error *err);
enum mix_status store_write_compare(const struct h5_group *group, const struct mix_compare *compare,
                                    struct mix_error *err);
enum mix_status store_read_compare(const struct h5_group *group, const char *name,
                                   struct mix_compare **out, struct mix_error *err);

enum mix_status store_write_online(const struct h5_group *group, const struct mix_online *online,
                                   struct mix_error *err);
enum mix_status store_read_online(const struct h5_group *group, const char *name,
                                  struct mix_online **out, struct mix_error *err);

enum mix_status store_write_agent(const struct h5_group *group,
                                  const struct mix_agent_campaign *campaign, struct mix_error *err);
enum mix_status store_read_agent(const struct h5_group *group, const char *name,
                                 struct mix_agent_campaign **out, struct mix_error *err);

/* ---- what the logs hold (records.c, results.c, online.c, agent.c) ---- */

/** The logs of a moment and what is in them; cleared to zero = none. */
struct store_logged {
    struct mix_logs *logs;
    size_t n_results;        /* records of proxy runs */
    size_t n_rows;           /* that they say they have */
    struct mix_names fits;   /* that draws are of, once each */
    struct mix_names online; /* that online runs are of, once each */
    struct mix_names agents; /* that campaigns of the agent are of, once each */
};

enum mix_status store_logged_find(const char *log_dir, struct store_logged *out,
                                  struct mix_error *err);
void store_logged_clear(struct store_logged *logged);

/** What became of the results of logs. */
struct store_folded {
    size_t n_added;         /* rows added or replaced */
    size_t n_alien;         /* results of other domains or targets, or of another version */
    size_t n_bad;           /* results with something out of range */
    struct mix_error fault; /* of the first that was left out */
};

/**
 * Take the results of logs into a table, each of them whole or not at all; it is then finished and
 * sorted.
 *
 * @param n_expected  rows to come, for the index
 */
enum mix_status store_fold_results(const struct mix_logs *logs, size_t n_expected,
                                   struct mix_table *table, struct store_folded *count,
                                   struct mix_error *err);
/** Count a result that is left out for `fault`. */
void store_count_left(struct store_folded *count, enum mix_status status,
                      const struct mix_error *fault);
/** What the names of domains and targets are known by in a result. */
struct mix_key store_columns_key(const struct mix_table *table);
/** mix_store_result_unpack() by those who have store_columns_key() of the table. */
enum mix_status store_result_unpack(struct mix_table *table, struct mix_key columns,
                                    const void *bytes, size_t n_bytes, struct mix_error *err);
/** Row `number` of a result that was unpacked before becomes the only one of the table; its key is
 * not computed anew. */
enum mix_status store_result_row(struct mix_table *table, const void *bytes, size_t n_bytes,
                                 size_t number, struct mix_error *err);
/** Drop the rows from `first` on. */
void store_drop_rows(struct mix_table *table, size_t first);
/** Rows that a result says it has, within what its length allows. */
size_t store_result_rows(const void *body, size_t n_body);

/**
 * Draws of a fit: `base` (may be NULL) with those of the logs.
 *
 * @param out  out: NULL where the logs add nothing
 */
enum mix_status store_merge_draws(const struct store_logged *logged, const struct mix_fit *fit,
                                  const struct mix_draws *base, struct mix_draws **out,
                                  struct mix_error *err);

/* ---- runs of the file and of logs together, row by row (stream.c, numbering.c) */

struct store_stream;

/**
 * The table that store_fold_results() would make of the file's and the logs'. It is not held: some
 * 30 bytes are for a row, whatever the row has.
 *
 * @param out  out: NULL where the file cannot be taken as it is (rows out of order, or under other
 * keys than theirs): it is for store_fold_results() then
 */
struct store_lock;
enum mix_status store_stream_open(const struct h5_group *root, struct store_lock *lock,
                                  const struct store_logged *logged, struct store_stream **out,
                                  struct store_folded *count, struct mix_error *err);
void store_stream_close(struct store_stream *stream);
/** The groups of the table, as store_write_table(). */
enum mix_status store_stream_write(struct store_stream *stream, const struct h5_group *root,
                                   struct mix_error *err);

/* What is known of a row when all rows are: which mixture it has, when its run ends. */
struct store_numbering;
enum mix_status store_numbering_begin(const char *path, size_t n_domains,
                                      struct store_numbering **out, struct mix_error *err);
void store_numbering_destroy(struct store_numbering *numbering);
/** The rows in their order. */
enum mix_status store_numbering_add(struct store_numbering *numbering,
                                    const struct mix_table *table, size_t row,
                                    struct mix_error *err);
enum mix_status store_numbering_finish(struct store_numbering *numbering, struct mix_error *err);
/** Complete a row that is number `number`, as mix_table_finish() does. */
void store_numbering_apply(struct store_numbering *numbering, size_t number, struct mix_run *run);

/** Take what a record holds; a status other than MIX_OK and MIX_ENOMEM says that it is of something
 * else, or damaged. */
typedef enum mix_status (*store_take_fn)(void *object, const void *head, size_t n_head,
                                         const void *body, size_t n_body, struct mix_error *err);
/** Let `take` have the records of one kind; *n_taken: those that it took. */
enum mix_status store_take_logged(const struct store_logged *logged, enum mix_log_kind kind,
                                  store_take_fn take, void *object, size_t *n_taken,
                                  struct mix_error *err);

/** Take the runs of the logs that belong to `online` and are not in it. */
enum mix_status store_merge_online(const struct store_logged *logged, struct mix_online *online,
                                   bool *news, struct mix_error *err);

/** The same for campaigns of the agent. */
enum mix_status store_merge_agent(const struct store_logged *logged,
                                  struct mix_agent_campaign *campaign, bool *news,
                                  struct mix_error *err);

/* ---- one writer (lock.c) ---- */

enum mix_status store_lock_take(const char *path, bool break_lock, struct store_lock **out,
                                struct mix_error *err);
/** MIX_ELOCKED where somebody has taken the lock over. */
enum mix_status store_lock_check(const struct store_lock *lock, struct mix_error *err);
void store_lock_beat(struct store_lock *lock);
void store_lock_release(struct store_lock *lock);
/** Who writes the file `path`; false where nobody alive does. */
bool store_lock_holder(const char *path, struct mix_writer *out);

/** Whether Slurm says that a job can have no living processes: over, unknown, or waiting to begin
 * anew. False where it does not say, or is another cluster than `cluster` (empty = any). Takes up
 * to 10 s. */
bool store_job_is_dead(const char *job, const char *cluster);

/* ---- files (file.c) ---- */

/** MIX_EFORMAT where a file of ours holds a frozen agent and nothing else (agent.c). */
enum mix_status store_refuse_frozen(const struct h5_group *root, struct mix_error *err);

/** Open an existing file for reading and check that it is one of ours. */
enum mix_status store_file_open(const char *path, struct h5_group *root, struct mix_error *err);

/** How files are opened; close it. */
hid_t store_file_access(void);

/** Remove the temporary files that dead writers left beside `path`; the caller has the lock. */
void store_file_sweep(const char *path);

/* ---- a new file (draft.c) */

/* Chunk indexes are small: most columns have one chunk. */
enum { STORE_INDEX_K = 8 };

/** A new file that is written beside its path; close its root before the draft goes. */
struct store_draft;
enum mix_status store_draft_create(const char *path, struct h5_group *root,
                                   struct store_draft **out, struct mix_error *err);
/** Free it; a draft that is not in its place is removed. NULL is fine. */
void store_draft_destroy(struct store_draft *draft);

/** `status`, or the reason where the disk refused a part of the draft. */
enum mix_status store_draft_check(const char *path, const struct store_draft *draft,
                                  enum mix_status status, struct mix_error *err);

/** Close a new file and put it in the place of its path: sync, rename, sync the folder. */
enum mix_status store_draft_place(struct h5_group *root, struct store_draft *draft,
                                  struct mix_error *err);

/** A nameless file beside `path`, for what need not stay in memory; close it with fclose(). */
enum mix_status store_scratch_open(const char *path, FILE **out, struct mix_error *err);
/** Whether all that was written is there. */
enum mix_status store_scratch_check(const char *path, FILE *file, struct mix_error *err);

/** The folder of a path, for example "." for "S.h5"; free with free(). */
char *store_folder_of(const char *path);

/** Attributes of the root. */
extern const struct h5_field store_version_field, store_seed_field;

/* ---- the store itself (store.c, commit.c) ---- */

/* A result to be written, or to be dropped where object is NULL. */
struct store_staged {
    enum store_kind kind;
    char name[MIX_NAME_MAX];
    const void *object; /* borrowed, but for what was merged */
    struct mix_draws *owned;
    struct mix_online *owned_online;
    struct mix_agent_campaign *owned_agent;
};

struct mix_store {
    char *path, *log_dir;
    enum mix_store_mode mode;
    struct store_lock *lock;
    struct h5_group root; /* the file as last committed; id < 0 where there is none */
    dev_t device;         /* of that file */
    ino_t inode;
    char *job, *created;
    char *history; /* NULL = none */
    uint64_t seed;
    struct store_logged logged; /* when it was last looked for */
    struct mix_error warning;   /* of the last fold; empty = none */
    bool job_staged;
    struct mix_table *table;     /* staged, borrowed */
    struct store_stream *stream; /* the file's runs with those of the logs, where none are staged */
    size_t n_staged;
    struct store_staged *staged;
};

/** Open the file as it is now. */
enum mix_status store_reopen(struct mix_store *store, struct mix_error *err);

/** Say in the store's warning what a fold has left out; the number of results. */
size_t store_warn_left(struct mix_store *store, const struct store_folded *count);

/** Take the results of the logs into a table, and say in the store's warning what was left out.
 *
 * @param n_added  out: rows added or replaced
 * @param n_left   out: results left out
 */
enum mix_status store_fold_runs(struct mix_store *store, struct mix_table *table, size_t *n_added,
                                size_t *n_left, struct mix_error *err);

/** The table of the file without the logs; MIX_ENOTFOUND where it has none. */
enum mix_status store_file_table(const struct mix_store *store, struct mix_table **out,
                                 struct mix_error *err);
/** Draws of the file without the logs; *out stays NULL where there are none. */
enum mix_status store_file_draws(const struct mix_store *store, const char *fit,
                                 struct mix_draws **out, struct mix_error *err);

/** Online runs of the file without the logs; *out stays NULL where there are none. */
enum mix_status store_file_online(const struct mix_store *store, const char *name,
                                  struct mix_online **out, struct mix_error *err);

/** A campaign of the agent of the file without the logs; *out stays NULL where there is none. */
enum mix_status store_file_agent(const struct mix_store *store, const char *name,
                                 struct mix_agent_campaign **out, struct mix_error *err);

enum mix_status store_find_kind(const char *kind, enum store_kind *out, struct mix_error *err);
void store_clear_staged(struct mix_store *store);

#endif
