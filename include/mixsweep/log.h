/* SPDX-License-Identifier: GPL-3.0-or-later */
/* log.h - append-only record logs: the truth while a stage runs.
 *
 * One file per rank in the folder S.h5.log/, made with its first record: rank-0003. A result that
 * comes from outside is a file of its own: record-HOST-PID-TIME.
 * A file is a sequence of records, each one write(2):
 *
 *     u32 magic "MXR1" | u32 kind | u32 n_head | u32 n_body | head | body | u32 crc32c of all
 * before it
 *
 * little-endian, padded with zeros to a multiple of 8 bytes. Head and body are bytes of the machine
 * that wrote them. A torn tail (kill -9 in a write) is seen by length or CRC and ignored; a damaged
 * record in the middle is skipped by searching the next magic.
 */
#ifndef MIXSWEEP_LOG_H
#define MIXSWEEP_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "mixsweep/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum mix_log_kind {
    MIX_LOG_NONE = 0,
    MIX_LOG_DRAW = 2,   /* head: struct mix_draw_head; body: struct mix_draw_body, f64 params[P] */
    MIX_LOG_RESULT = 3, /* head: none; body: all rows of a run, see mix_store_result_pack() */
    MIX_LOG_ONLINE = 4, /* head: struct mix_online_head; body: see mix_online_pack() */
    MIX_LOG_AGENT = 6,  /* head: struct mix_agent_log_head; body: see mix_agent_pack_row() */
    MIX_LOG_JACKKNIFE =
        5, /* head: struct mix_draw_head; body: struct mix_left_body, f64 params[P] */
};

struct mix_log;

/**
 * Open for appending. Local; the file is made when the first record comes. Records of an earlier
 * run stay; a torn one among them is skipped by readers.
 */
enum mix_status mix_log_open(const char *dir, int rank, struct mix_log **out,
                             struct mix_error *err);

/**
 * Append one record by one write. Local.
 *
 * @param sync  1 = also on disk when this returns (fdatasync; the folder with the first record)
 * @return MIX_OK; MIX_EIO disk full, ... (sentence names the file): the record is taken out again,
 * those before it stay; MIX_EINVAL longer than 1 GiB; MIX_ENOMEM
 */
enum mix_status mix_log_append(struct mix_log *log, enum mix_log_kind kind, const void *head,
                               size_t n_head, const void *body, size_t n_body, int sync,
                               struct mix_error *err);
void mix_log_close(struct mix_log *log);

/** Called for each good record; `head` and `body` are borrowed and not aligned. Return a status
 * other than MIX_OK to stop. */
typedef enum mix_status (*mix_log_fn)(void *context, enum mix_log_kind kind, const void *head,
                                      size_t n_head, const void *body, size_t n_body,
                                      struct mix_error *err);

/**
 * Write one record as a log of its own, synced, there whole or not at all. Any number of processes
 * may do so while others append, fold and remove logs.
 *
 * @return MIX_OK; MIX_EIO; MIX_EINVAL longer than 1 GiB; MIX_ENOMEM
 */
enum mix_status mix_log_put(const char *dir, enum mix_log_kind kind, const void *body,
                            size_t n_body, struct mix_error *err);

/** The logs of a folder as they are at one moment: what comes later is not in it. NULL = none. */
struct mix_logs;

/** A folder that is not there has no logs. */
enum mix_status mix_logs_find(const char *dir, struct mix_logs **out, struct mix_error *err);
void mix_logs_destroy(struct mix_logs *logs);
size_t mix_logs_count(const struct mix_logs *logs); /* files */

/**
 * Read all records, files in the order of their names, records in file order. Memory: 1 MiB, or the
 * longest record.
 *
 * @param n_bad  out: torn or damaged stretches skipped; may be NULL
 */
enum mix_status mix_logs_read(const struct mix_logs *logs, mix_log_fn fn, void *context,
                              size_t *n_bad, struct mix_error *err);

/**
 * The same, for those who come back to single records.
 *
 * @param at  out: set before each call of `fn` to where its record is
 */
enum mix_status mix_logs_survey(const struct mix_logs *logs, mix_log_fn fn, void *context,
                                uint64_t *at, struct mix_error *err);

/** Reads single records of logs, which it borrows, in any order. Memory: the longest record. */
struct mix_log_reader;
enum mix_status mix_log_reader_open(const struct mix_logs *logs, struct mix_log_reader **out,
                                    struct mix_error *err);
void mix_log_reader_close(struct mix_log_reader *reader);

/**
 * @param at    where the record is, as mix_logs_survey() said
 * @param body  out: borrowed until the next call
 * @return MIX_OK; MIX_EIO it is not there any more, or damaged; MIX_ENOMEM
 */
enum mix_status mix_log_reader_read(struct mix_log_reader *reader, uint64_t at, const void **body,
                                    size_t *n_body, struct mix_error *err);

/** Remove them and their folder, once their records are safe elsewhere. A log that has grown since
 * stays. */
enum mix_status mix_logs_remove(const struct mix_logs *logs, struct mix_error *err);

/** The same for all logs of now. */
enum mix_status mix_log_read(const char *dir, mix_log_fn fn, void *context, size_t *n_bad,
                             struct mix_error *err);
enum mix_status mix_log_remove(const char *dir, struct mix_error *err);

#ifdef __cplusplus
}
#endif
#endif
