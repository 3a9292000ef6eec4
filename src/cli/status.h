/* SPDX-License-Identifier: GPL-3.0-or-later */
/* status.h - what the verb status says of a file. Private to src/cli/. */
#ifndef MIXSWEEP_CLI_STATUS_H
#define MIXSWEEP_CLI_STATUS_H

#include "cli.h"

#include "mixsweep/job.h"
#include "mixsweep/store.h"

/** One line of the list of sizes: rows of one size, with the range of their tokens. */
struct size_group {
    double n_params, min_tokens, max_tokens;
    size_t n_rows;
};

/** Rows by what became of them, and the mixtures they have. */
struct row_counts {
    size_t done, failed, interrupted, excluded, mixtures;
    size_t chosen; /* runs, not checkpoints, that are of a round and not of the design */
    int rounds;
};

/** The planned runs of a scale that the file does not have. */
struct scale_counts {
    double n_params, n_tokens;
    size_t n_planned, n_done, n_failed;
};

/** How far the job in the file is. */
struct work {
    struct mix_job *job;    /* NULL = the file has none that can be read */
    size_t shard, n_shards; /* that the file is of; n_shards 0 = it is of all runs */
    size_t n_scales;
    struct scale_counts *scale; /* (n_scales) */
    size_t n_planned, n_done, n_failed, n_missing;
    size_t n_again;                   /* of the missing runs those that have failed before */
    double left_flops, longest_flops; /* of the missing runs, of the largest of them */
};

/** What a host did. */
struct host_counts {
    char name[MIX_NAME_MAX];
    size_t n_runs, n_failed;
};

/** Everything that is said about a file, read once. The lists end with NULL. */
struct overview {
    const char *path;
    struct mix_table *table; /* NULL = no runs yet */
    struct mix_fit **fits;
    struct mix_draws **draws;
    struct mix_optimum **optima;
    struct mix_online **online;
    struct mix_agent_campaign **agents;
    char *job;     /* text of the job, may be empty */
    size_t n_logs; /* log files that are not folded in yet */
    char warning[MIX_ERROR_MAX];
    struct work work;
    size_t n_hosts;
    struct host_counts *hosts; /* (n_hosts) most runs first */
    size_t n_failures;
    size_t *failures; /* (n_failures) rows, the last to end first */
    bool has_writer;
    struct mix_writer writer;
    double rate, left_s; /* runs per second of the writer; seconds to go; NaN = unknown */
};

/** Fill in what follows from table, job and writer. */
enum mix_status status_measure(struct overview *o, struct mix_error *err);
void status_clear_work(struct overview *o);

struct row_counts status_count_rows(const struct mix_table *table);
/** The sizes in ascending order; NULL when memory is out. */
struct size_group *status_group_sizes(const struct mix_table *table, size_t *n_groups);
/** The last lines that a failed run wrote to stderr, NULL where they are not known; the caller
 * frees it. `n_lines` 0 = all that are kept. */
char *status_stderr(const struct mix_table *table, size_t row, int n_lines);
bool status_is_stale(const struct overview *o, const struct mix_fit *fit);

enum mix_status status_print_json(const struct overview *o, struct mix_error *err);

#endif
