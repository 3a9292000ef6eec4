/* SPDX-License-Identifier: GPL-3.0-or-later */
/* csv.h - the table of runs as text: our CSV, other people's exports, and back.
 *
 * Our form: `run,n_params,n_tokens,h_<domain>...,loss_<target>...`, sizes in parameters and tokens,
 * losses in nats/token, lower is better. Optional columns: n_tokens_planned,
 * n_params_non_embedding, n_params_active, flops, seed, schedule, recipe, status, attempts,
 * exit_code, rank, wall_s, started, ended, host, excluded, reason, round, asked_<domain>,
 * epochs_<domain> or unique_<domain> (tokens that the run could see without a repeat), se_<target>.
 * A table without `run` has no checkpoints: each row is a run.
 * RFC 4180 quoting, LF or CRLF, UTF-8 with or without byte-order mark; blank lines are skipped.
 *
 * JSON lines (a name that ends in .jsonl): an object a line, keys as the columns, or nested as in
 * {"run": "a", "h": {"code": 0.3, ...}, "loss": {"code": 1.2}}; null is an empty cell.
 *
 * Two-CSV form (Olmix, RegMix): mixtures and losses in two files. Runs are joined by the column
 * run, run_id, index or name, the first of these that a file has, else by its first column. The
 * other three are labels and are dropped; every other column that is none of ours is a domain in
 * the first file and a target in the second.
 */
#ifndef MIXSWEEP_CSV_H
#define MIXSWEEP_CSV_H

#include <stdio.h>

#include "mixsweep/table.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Two texts that belong together; owned by the map. */
struct mix_map_pair {
    char *name;
    char *value;
};

/** A factor for the columns that a pattern fits. */
struct mix_map_factor {
    char *match;
    double factor;
};

/** What a target is measured in. */
struct mix_map_target {
    char *name;
    char *unit;    /* NULL = nats/token */
    int direction; /* -1: lower is better, +1: higher is better */
    double chance; /* of a score: what guessing reaches; NaN = unknown */
};

/**
 * How somebody else's columns become ours. Owns its texts; free with mix_map_destroy(). As YAML,
 * every key optional:
 *
 *     rename: {size: n_params}             # their column: ours
 *     regex:                               # the first that fits a column without a rename
 *       - {match: 'train_(.*)', to: 'h_\1'}
 *     factor: {n_params: 1e6, 'h_.*': 0.01} # our columns: values are multiplied
 *     constants: {n_tokens: 1e9}           # columns that the table does not have
 *     drop: ['_.*', step]                  # their columns to leave out
 *     targets:                             # losses of another unit or direction
 *       - {name: mmlu, unit: accuracy, direction: higher, chance: 0.25}
 *     long: {target: metric, value: loss}  # one row per loss: columns of the target's name and
 *                                          # of the value, named as after renaming; rename, regex
 *                                          # and drop hold for the names of targets too
 *
 * Patterns (regex, factor, drop) are POSIX extended regular expressions and fit a whole name;
 * counted repeats ({2}) and back-references are not allowed in them. A rename, regex or factor that
 * fits nothing is refused.
 */
struct mix_map {
    char *path; /* for messages */
    size_t n_rename, n_regex, n_factors, n_constants, n_drop, n_targets;
    struct mix_map_pair *rename;    /* (n_rename) theirs, ours */
    struct mix_map_pair *regex;     /* (n_regex) pattern, our name with groups \1 .. \9 */
    struct mix_map_factor *factors; /* (n_factors) the first that fits counts */
    struct mix_map_pair *constants; /* (n_constants) our column, text of every cell */
    char **drop;                    /* (n_drop) */
    struct mix_map_target *targets; /* (n_targets) */
    char *long_target, *long_value; /* NULL = wide form */
};

/**
 * Read a map from YAML.
 *
 * @param path  the file
 * @param out   out: the map
 * @param err   out: names file, line and key; may be NULL
 * @return MIX_OK; MIX_EIO cannot read; MIX_EINVAL malformed, unknown key, or not a pattern;
 * MIX_ENOMEM
 */
enum mix_status mix_map_read(const char *path, struct mix_map **out, struct mix_error *err);

/** Read a map from text; `path` is for messages. Returns as mix_map_read() does. */
enum mix_status mix_map_parse(const char *path, const char *text, struct mix_map **out,
                              struct mix_error *err);

/** Free; NULL is fine. */
void mix_map_destroy(struct mix_map *map);

/** Where the rows come from. Zero-initialise; everything is borrowed. */
struct mix_import {
    const char *path;          /* CSV or JSON lines; NULL with the two-CSV form */
    const struct mix_map *map; /* NULL = the columns are ours */
    const char *ratios_path;   /* two-CSV form: mixtures ... */
    const char *metrics_path;  /* ... and losses, joined strictly by run id */
    double n_params;           /* size of every run; 0 or NaN = a column gives it */
    double n_tokens;           /* likewise */
    const char *const *where;  /* (n_where) all must hold; see mix_table_where() */
    size_t n_where;
    enum mix_checkpoints checkpoints;
    bool without_losses_ok; /* predict: a table without loss columns is fine */
};

/** What an import says to the user. */
struct mix_import_notes {
    size_t n_read; /* data rows in the file */
    size_t n_kept;
    size_t n_renormalised; /* rows whose proportions did not sum to 1 within 1e-9 */
    double largest_off;    /* largest |sum - 1| among them */
    size_t n_cells_empty;  /* losses not measured, in the rows kept */
    size_t n_intermediate; /* kept rows that are not the last checkpoint of their run */
    size_t n_outliers;     /* losses and sizes of the rows kept that are likely slips */
    char outliers[4096];   /* a line for each of the first of them */
};

/**
 * Read a table of runs. Strict: proportions in [0,1] and summing to 1 within 1e-3, finite positive
 * sizes, unique column names, known columns; an empty loss is NaN. What is a run's last checkpoint
 * is decided before `where`; where `checkpoints` is LAST, of the rows that pass `where` the last of
 * each run is kept. The result is finished (mix_table_finish) in file order.
 *
 * @param import  what to read
 * @param out     out: the table; free with mix_table_destroy()
 * @param notes   out: counts; may be NULL
 * @param err     out: names file, line and column; may be NULL
 * @return MIX_OK; MIX_EIO cannot read; MIX_EINVAL malformed, or no row passes `where`; MIX_ENOMEM
 */
enum mix_status mix_csv_import(const struct mix_import *import, struct mix_table **out,
                               struct mix_import_notes *notes, struct mix_error *err);

/**
 * Write the runs in our form, numbers as mix_csv_put_number() does. Optional columns are written
 * where a row has something to say in them; NaN is an empty cell. What is written reads back as the
 * same table, but for units, directions and priors, which a CSV cannot carry.
 *
 * @return MIX_OK; MIX_EIO
 */
enum mix_status mix_csv_write_runs(const struct mix_table *table, FILE *out, struct mix_error *err);

/** Write one CSV cell, quoted where it has to be. */
void mix_csv_put_text(FILE *out, const char *text);
/** Write a number with the 15 to 17 significant digits that bring it back as it is; NaN is an empty
 * cell. */
void mix_csv_put_number(FILE *out, double value);

#ifdef __cplusplus
}
#endif
#endif
