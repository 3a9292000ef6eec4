/* SPDX-License-Identifier: GPL-3.0-or-later */
/* store.h - the HDF5 file of a sweep: one file, one writer, never half written.
 *
 * The file is never changed in place: a commit writes a new file beside it (unchanged groups are
 * copied), syncs it, renames it over the old one and syncs the folder. While a stage
 * runs the truth is in the record logs (log.h); opening for writing folds what a dead job left
 * there, opening for reading overlays it in memory. This is the only module that knows HDF5.
 */
#ifndef MIXSWEEP_STORE_H
#define MIXSWEEP_STORE_H

#include <stdbool.h>

#include "mixsweep/agent_campaign.h"
#include "mixsweep/compare.h"
#include "mixsweep/fit.h"
#include "mixsweep/online_campaign.h"
#include "mixsweep/optimum.h"
#include "mixsweep/table.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { MIX_STORE_VERSION = 1 };

struct mix_store;

enum mix_store_mode {
    MIX_STORE_READ,   /* must exist; no lock; logs are overlaid */
    MIX_STORE_WRITE,  /* must exist; locked; logs are folded first */
    MIX_STORE_CREATE, /* must not exist; locked; the file appears with the first commit */
    MIX_STORE_OPEN,   /* WRITE where it exists, else CREATE */
    MIX_STORE_REPLACE /* locked; what exists is not read, the first commit takes its place */
};

/**
 * Open a sweep file. Local (rank 0 only).
 *
 * @param path        S.h5; locks and logs are S.h5.lock and S.h5.log/ beside it
 * @param break_lock  take the lock from a holder that looks alive
 * @return MIX_OK; MIX_ENOTFOUND; MIX_EEXIST (CREATE; REPLACE, where there are
 * logs); MIX_EFORMAT not HDF5, not ours, truncated, or
 * newer; MIX_ELOCKED (sentence names host, job and pid of the holder); MIX_EIO
 */
enum mix_status mix_store_open(const char *path, enum mix_store_mode mode, bool break_lock,
                               struct mix_store **out, struct mix_error *err);

/** Release the lock and free. Uncommitted changes are dropped. NULL is fine. */
void mix_store_close(struct mix_store *store);

/** Say that the holder of the lock lives; call it often (progress callbacks), it acts every 5 s. */
void mix_store_heartbeat(struct mix_store *store);

/** Who writes a file. */
struct mix_writer {
    char host[128];
    char pid[24], job[24]; /* process, Slurm job; may be empty */
    double since;          /* Unix time; NaN = unknown */
    double heartbeat_s;    /* seconds ago */
};

/** False where nobody alive writes the file. */
bool mix_store_writer(const struct mix_store *store, struct mix_writer *out);

const char *mix_store_path(const struct mix_store *store);
const char *mix_store_log_dir(const struct mix_store *store); /* "S.h5.log" */

/** Attributes of the file: job text and seed. Setters act at the next commit. */
enum mix_status mix_store_set_job(struct mix_store *store, const char *text, uint64_t seed);
const char *mix_store_job(const struct mix_store *store); /* "" where none */
uint64_t mix_store_seed(const struct mix_store *store);

/** What was done to the domains of the file: JSON lines, one a change, the first change first. */
enum mix_status mix_store_set_history(struct mix_store *store, const char *lines);
const char *mix_store_history(const struct mix_store *store); /* "" where nothing was */

/** The runs: MIX_ENOTFOUND where the file has none. The caller owns the table. */
enum mix_status mix_store_read_table(struct mix_store *store, struct mix_table **out,
                                     struct mix_error *err);

/**
 * Add the runs that the logs hold to a table of the same domains and targets. For a job that was
 * killed before its first commit: the file is not there yet, the logs are, and mix_store_read_table
 * says MIX_ENOTFOUND. A commit folds them too.
 */
enum mix_status mix_store_fold_runs(struct mix_store *store, struct mix_table *table,
                                    struct mix_error *err);

/** Stage the runs for the next commit (sorted by key; borrowed until then, and completed with runs
 * that only the logs hold). */
enum mix_status mix_store_put_table(struct mix_store *store, struct mix_table *table,
                                    struct mix_error *err);

/* Results. What is put is borrowed until the next commit; reading gives what is committed, and what
 * the logs hold. A name has 1 to MIX_NAME_MAX - 1 bytes without '/'. */

/** Names of a kind of result in their order ("fits", "bootstrap", "optimum", "online", "compare",
 * "agent"); free with mix_names_destroy(). */
struct mix_names {
    size_t n;
    char (*name)[MIX_NAME_MAX];
};
enum mix_status mix_store_list(struct mix_store *store, const char *kind, struct mix_names *out,
                               struct mix_error *err);
void mix_names_destroy(struct mix_names *names);

enum mix_status
mix_store_read_fit(struct mix_store *store, const char *name, struct mix_fit **out,
                   struct mix_error *err); /* MIX_ENOTFOUND lists the names there are */
/** All fits that can be read, for mix_fits_destroy(); *n is set with an error too. Where a
 * comparison of the file stacks their laws on the same targets, of the same runs if there is one,
 * their weights in it are set: those of its hold-out of a size and mixtures, else of a size. */
enum mix_status mix_store_read_fits(struct mix_store *store, size_t *n, struct mix_fit ***out,
                                    struct mix_error *err);
enum mix_status mix_store_put_fit(struct mix_store *store, const struct mix_fit *fit,
                                  struct mix_error *err);

enum mix_status mix_store_read_draws(struct mix_store *store, const char *fit,
                                     struct mix_draws **out, struct mix_error *err);
enum mix_status mix_store_put_draws(struct mix_store *store, const struct mix_draws *draws,
                                    struct mix_error *err);

enum mix_status mix_store_read_optimum(struct mix_store *store, const char *name,
                                       struct mix_optimum **out, struct mix_error *err);
enum mix_status mix_store_put_optimum(struct mix_store *store, const struct mix_optimum *optimum,
                                      struct mix_error *err);

enum mix_status mix_store_read_compare(struct mix_store *store, const char *name,
                                       struct mix_compare **out, struct mix_error *err);
enum mix_status mix_store_put_compare(struct mix_store *store, const struct mix_compare *compare,
                                      struct mix_error *err);

/** Stage the removal of a result of a kind of mix_store_list() for the next commit; one that is not
 * there is fine. */
enum mix_status mix_store_drop(struct mix_store *store, const char *kind, const char *name,
                               struct mix_error *err);

/** Online mixing, /online/NAME. What the logs hold of it is there too. What is put has all that the
 * logs hold, or they are of another campaign. */
enum mix_status mix_store_read_online(struct mix_store *store, const char *name,
                                      struct mix_online **out, struct mix_error *err);
enum mix_status mix_store_put_online(struct mix_store *store, const struct mix_online *online,
                                     struct mix_error *err);

/** The Data Mixing Agent, /agent/NAME; as for online mixing. */
enum mix_status mix_store_read_agent(struct mix_store *store, const char *name,
                                     struct mix_agent_campaign **out, struct mix_error *err);
enum mix_status mix_store_put_agent(struct mix_store *store,
                                    const struct mix_agent_campaign *campaign,
                                    struct mix_error *err);

/** Write a frozen agent into a file of its own, in the place of what is there: what it needs to
 * choose mixtures, and nothing else. `slots` (D) are the names of its domains, for people. */
enum mix_status mix_store_export_agent(const char *path, const struct mix_agent_trained *agent,
                                       const char (*slots)[MIX_NAME_MAX], struct mix_error *err);

/**
 * @param out  free with mix_agent_trained_destroy()
 * @return MIX_OK; MIX_ENOTFOUND; MIX_EFORMAT no frozen agent, one with other feedback, damaged;
 * MIX_EIO; MIX_ENOMEM
 */
enum mix_status mix_store_import_agent(const char *path, struct mix_agent_trained **out,
                                       struct mix_error *err);

/**
 * Stage the removal of all that was made from fit `fit`: its draws, and optima that name it.
 *
 * @param dropped  out: (MIX_TEXT_MAX) bytes, what goes, as "bootstrap a, optimum b"; empty where
 * nothing does
 */
enum mix_status mix_store_drop_dependents(struct mix_store *store, const char *fit, char *dropped,
                                          struct mix_error *err);

/** The same for the optima alone, whose intervals are those of draws that change; `dropped` is
 * appended to. */
enum mix_status mix_store_drop_optima(struct mix_store *store, const char *fit, char *dropped,
                                      struct mix_error *err);

/**
 * Write everything staged and what the logs hold: new file beside the old one, sync, rename, sync
 * of the folder; then the logs go (but for runs of other domains or targets, which are kept). Call
 * it between stages: no rank may have its log open. The staged objects are no longer needed
 * afterwards.
 *
 * @return MIX_OK; MIX_EIO (disk full, ...): the old file and the logs are untouched and stay valid,
 * what is staged stays so; MIX_ELOCKED somebody took the lock over, nothing was written
 */
enum mix_status mix_store_commit(struct mix_store *store, struct mix_error *err);

/**
 * All rows of a table (the checkpoints of one run) as the body of a MIX_LOG_RESULT record, so that
 * a log has a run whole or not at all. The caller frees *bytes.
 *
 * A fold takes a row under its key (computed anew): a done row stays for good, any other gives way
 * to a done one, or to one of a later attempt. A result with a row that is out of range (sizes,
 * shares, losses, texts) is left out, and the log that has it is kept; see mix_store_warning().
 */
enum mix_status mix_store_result_pack(const struct mix_table *rows, void **bytes, size_t *n_bytes,
                                      struct mix_error *err);

/**
 * Append the rows of a packed result to a table, all or none.
 *
 * @return MIX_OK; MIX_ENOTFOUND a result of other domains or targets, or of another version;
 * MIX_EFORMAT something is out of range (sentence says what); MIX_ENOMEM
 */
enum mix_status mix_store_result_unpack(struct mix_table *table, const void *bytes, size_t n_bytes,
                                        struct mix_error *err);

/**
 * Put the result of a run that was made elsewhere beside the file, without its lock: any number of
 * processes may do so while others write, and before the file is there. The next fold takes it.
 *
 * @param path  S.h5
 * @return MIX_OK it is on disk; MIX_EFORMAT something is out of range; MIX_EIO; MIX_ENOMEM
 */
enum mix_status mix_store_put_result(const char *path, const struct mix_table *rows,
                                     struct mix_error *err);

/** One sentence on results that the last fold had to leave out; "" where there were none. */
const char *mix_store_warning(const struct mix_store *store);

/**
 * Write the file anew with the runs that the logs hold by now, while ranks go on appending to them:
 * the logs stay, and what is in the file already is skipped by the next fold. What is staged is
 * written too and stays staged. Costs reading and writing the whole file, seconds for 10^5 rows,
 * and some 30 bytes of memory a row where no table is staged.
 *
 * @return as mix_store_commit()
 */
enum mix_status mix_store_checkpoint(struct mix_store *store, struct mix_error *err);

#ifdef __cplusplus
}
#endif
#endif
