/* SPDX-License-Identifier: GPL-3.0-or-later */
/* csv_text.h - a table as text cells, between the files and the table of runs. Private to src/core/
 * and its tests.
 *
 * Every source (CSV, JSON lines, long form, two files) first becomes a text table in which each
 * cell remembers its line, so that one place turns text into numbers and refuses what is wrong.
 */
#ifndef MIXSWEEP_CORE_CSV_TEXT_H
#define MIXSWEEP_CORE_CSV_TEXT_H

#include "mixsweep/csv.h"

enum { CSV_COLUMNS_MAX = 4096 };

struct csv_cell {
    const char *text; /* "" = empty */
    size_t line;      /* 1 = the first line of its file; 0 = not in a line */
};

struct csv_column {
    const char *name;     /* ours */
    const char *original; /* as in its file, for messages */
    const char *file;
    size_t line;   /* where it is named; 0 = not in a line */
    double factor; /* values are multiplied by it */
};

struct csv_block;

/** Cells of a table. Zero-initialise; owns all texts; free with csv_text_free(). */
struct csv_text {
    size_t n_columns;
    size_t n_rows;
    struct csv_column *columns; /* (n_columns) */
    struct csv_cell *cells;     /* (n_rows, n_columns) */
    size_t cells_capacity;
    struct csv_block *blocks; /* memory of the texts */
};

void csv_text_free(struct csv_text *text);

/** Memory that lives as long as the table; NULL when memory is out. */
char *csv_text_alloc(struct csv_text *text, size_t n_bytes);
/** A copy of a string that lives as long as the table; NULL when memory is out. */
const char *csv_text_keep(struct csv_text *text, const char *string);

/** Add a column (name and original are kept as copies). Only for a table without rows. */
enum mix_status csv_text_add_column(struct csv_text *text, const char *file, size_t line,
                                    const char *name, struct mix_error *err);
/** Room for one more row of empty cells. */
enum mix_status csv_text_add_row(struct csv_text *text, size_t line, struct mix_error *err);

/** Give `text` the columns and cells of `with`, which is left empty. Texts of both live on. */
void csv_text_replace(struct csv_text *text, struct csv_text *with);
/** Take over the texts of `from`, which is left empty. */
void csv_text_adopt(struct csv_text *text, struct csv_text *from);

/** Index of a column by our name, or SIZE_MAX. */
size_t csv_text_find(const struct csv_text *text, const char *name);

/** Fail with "FILE, line L, column C: ..." where the column is named. */
enum mix_status csv_text_fail_column(const struct csv_text *text, size_t column,
                                     struct mix_error *err, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/** Fail with "FILE, line L, column C: ..." at a cell. */
enum mix_status csv_text_fail(const struct csv_text *text, size_t row, size_t column,
                              struct mix_error *err, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/** Read a file, JSON lines where its name ends in .jsonl. `out` is empty after an error. */
enum mix_status csv_text_load(const char *path, struct csv_text *out, struct mix_error *err);
/** Read from memory; the file's name is for messages and for ".jsonl", and borrowed. */
enum mix_status csv_text_parse(const char *file, const char *bytes, size_t n_bytes,
                               struct csv_text *out, struct mix_error *err);
/** JSON lines; `bytes` is text without zero bytes, ended by one. */
enum mix_status csv_json_parse(const char *file, const char *bytes, struct csv_text *out,
                               struct mix_error *err);

/**
 * Bring the columns into our form, in place: drop, rename, long to wide, two files to one,
 * constants, factors. `metrics` is NULL but for the two-CSV form, where it is used up.
 */
enum mix_status csv_map_apply(const struct mix_import *import, struct csv_text *text,
                              struct csv_text *metrics, struct mix_error *err);

/** Everything of mix_csv_import() behind the reading of files; uses up the texts. */
enum mix_status csv_build(const struct mix_import *import, struct csv_text *text,
                          struct csv_text *metrics, struct mix_table **out,
                          struct mix_import_notes *notes, struct mix_error *err);

/** A number of a column of the table. */
struct csv_value {
    double value;
    size_t row;
};

/** Note losses more than a factor 10 from their median; sorts `values` (n). */
void csv_note_losses(const struct csv_text *text, size_t column, struct csv_value *values, size_t n,
                     struct mix_import_notes *notes);
/** Note sizes of a single run that are a factor 1000 from all others; sorts `values` (n). */
void csv_note_sizes(const struct csv_text *text, size_t column, const struct mix_table *table,
                    struct csv_value *values, size_t n, struct mix_import_notes *notes);

enum csv_kind {
    CSV_LABEL, /* char[size] */
    CSV_SIZE,  /* double, positive */
    CSV_TIME,  /* double, any finite */
    CSV_SEED,  /* uint64_t */
    CSV_WHOLE  /* int32_t in [min, max] */
};

/** A column of our form that is a member of struct mix_run. */
struct csv_field {
    const char *name;
    enum csv_kind kind;
    size_t offset;
    size_t size;  /* CSV_LABEL */
    int min, max; /* CSV_WHOLE */
};
enum { CSV_FIELDS = 21 };
extern const struct csv_field csv_fields[CSV_FIELDS];

/** The field of a column's name, or NULL. */
const struct csv_field *csv_field_find(const char *name);

/** Columns of our form that are vectors: prefix of the domain's or target's name. */
enum csv_vector { CSV_H, CSV_ASKED, CSV_EPOCHS, CSV_UNIQUE, CSV_LOSS, CSV_SE, CSV_VECTORS };
extern const char *const csv_prefixes[CSV_VECTORS]; /* "h_", ... */

/** The vector that a column belongs to, or CSV_VECTORS; *rest is the name behind the prefix. */
enum csv_vector csv_vector_find(const char *name, const char **rest);

#endif
