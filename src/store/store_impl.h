/* SPDX-License-Identifier: GPL-3.0-or-later */
/* store_impl.h - parts of the store. Private to src/store/. */
#ifndef MIXSWEEP_STORE_IMPL_H
#define MIXSWEEP_STORE_IMPL_H

#include "mixsweep/log.h"
#include "mixsweep/store.h"
#include "store/h5io.h"

enum store_kind { STORE_FITS, STORE_BOOTSTRAP, STORE_OPTIMUM, STORE_KINDS };
extern const char *const store_kind_names[STORE_KINDS];

/* ---- structs to groups and back (tables.c, fits.c, optima.c) ---- */

/** The groups of the table: /domains, /targets, /runs. */
enum mix_status store_write_table(const struct h5_group *root, const struct mix_table *table,
                                  struct mix_error *err);
enum mix_status store_read_table(const struct h5_group *root, struct mix_table **out,
                                 struct mix_error *err);
/** Check what a run says beyond its types: texts end, enumerations are known. */
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

/* ---- what the logs hold (records.c) ---- */

/** A record of a log. */
struct store_record {
    enum mix_log_kind kind;
    size_t n_head, n_body;
    uint8_t *head, *body; /* one block, owned by head */
};

struct store_records {
    size_t n, capacity;
    struct store_record *record;
};

enum mix_status store_records_read(const char *log_dir, struct store_records *out,
                                   struct mix_error *err);
void store_records_clear(struct store_records *records);
bool store_records_has(const struct store_records *records, enum mix_log_kind kind);

/**
 * Add the runs of the records to the table.
 *
 * @param n_added  out: rows added or replaced
 * @param n_alien  out: runs of other domains or targets
 */
enum mix_status store_records_fold_runs(const struct store_records *records,
                                        struct mix_table *table, size_t *n_added, size_t *n_alien,
                                        struct mix_error *err);

/**
 * Draws of a fit: `base` (may be NULL) with those of the records.
 *
 * @param out  out: NULL where the records add nothing
 */
enum mix_status store_records_merge_draws(const struct store_records *records,
                                          const struct mix_fit *fit, const struct mix_draws *base,
                                          struct mix_draws **out, struct mix_error *err);

/** Names of the fits that the records hold draws of; appended to `names`, once each. */
enum mix_status store_records_fits(const struct store_records *records, struct mix_names *names,
                                   struct mix_error *err);

/* ---- one writer (lock.c) ---- */

struct store_lock;
enum mix_status store_lock_take(const char *path, bool break_lock, struct store_lock **out,
                                struct mix_error *err);
/** MIX_ELOCKED where somebody has taken the lock over. */
enum mix_status store_lock_check(const struct store_lock *lock, struct mix_error *err);
void store_lock_beat(struct store_lock *lock);
void store_lock_release(struct store_lock *lock);

/* ---- files (file.c) ---- */

/** Open an existing sweep file for reading and check that it is one of ours. */
enum mix_status store_file_open(const char *path, struct h5_group *root, struct mix_error *err);

/** A new file that is built in memory; close its root before the image goes. */
struct store_image;
enum mix_status store_file_create(const char *path, struct h5_group *root,
                                  struct store_image **image, struct mix_error *err);
void store_image_destroy(struct store_image *image);

/** Close a file made in memory and put it in the place of its path: write beside, sync, rename,
 * sync the folder. */
enum mix_status store_file_replace(struct h5_group *root, struct store_image *image,
                                   struct mix_error *err);

/** Remove the temporary files that dead writers left beside `path`; the caller has the lock. */
void store_file_sweep(const char *path);

/** The folder of a path, for example "." for "S.h5"; free with free(). */
char *store_folder_of(const char *path);

/** Attributes of the root. */
extern const struct h5_field store_version_field, store_seed_field;

/* ---- the store itself (store.c, commit.c) ---- */

/* A result to be written, or to be dropped where object is NULL. */
struct store_staged {
    enum store_kind kind;
    char name[MIX_NAME_MAX];
    const void *object; /* borrowed, but for merged draws */
    struct mix_draws *owned;
};

struct mix_store {
    char *path, *log_dir;
    enum mix_store_mode mode;
    struct store_lock *lock;
    struct h5_group root; /* the file as last committed; id < 0 where there is none */
    char *job, *created;
    uint64_t seed;
    struct store_records records; /* of logs that the file does not hold */
    bool job_staged;
    struct mix_table *table; /* staged, borrowed */
    size_t n_staged;
    struct store_staged *staged;
};

/** Open the file as it is now. */
enum mix_status store_reopen(struct mix_store *store, struct mix_error *err);

/** The table of the file without the logs; MIX_ENOTFOUND where it has none. */
enum mix_status store_file_table(const struct mix_store *store, struct mix_table **out,
                                 struct mix_error *err);
/** Draws of the file without the logs; *out stays NULL where there are none. */
enum mix_status store_file_draws(const struct mix_store *store, const char *fit,
                                 struct mix_draws **out, struct mix_error *err);

enum mix_status store_find_kind(const char *kind, enum store_kind *out, struct mix_error *err);
void store_clear_staged(struct mix_store *store);

#endif
