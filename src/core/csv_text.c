/* SPDX-License-Identifier: GPL-3.0-or-later */
/* csv_text.c - files to text cells; see csv_text.h. */
#include "core/csv_text.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 1 << 12, READ_BYTES = 1 << 16 };

/* Texts are cut from blocks and freed together. */
struct csv_block {
    struct csv_block *next;
    size_t n_used, n_bytes;
    char bytes[];
};

void csv_text_free(struct csv_text *text)
{
    for (struct csv_block *block = text->blocks, *next; block != NULL; block = next) {
        next = block->next;
        free(block);
    }
    free(text->columns);
    free(text->cells);
    *text = (struct csv_text){0};
}

char *csv_text_alloc(struct csv_text *text, size_t n_bytes)
{
    struct csv_block *block = text->blocks;
    if (block == NULL || block->n_bytes - block->n_used < n_bytes) {
        const size_t size = n_bytes > BLOCK_BYTES ? n_bytes : BLOCK_BYTES;
        if (size > SIZE_MAX - sizeof *block)
            return NULL;
        block = malloc(sizeof *block + size);
        if (block == NULL)
            return NULL;
        *block = (struct csv_block){.next = text->blocks, .n_bytes = size};
        text->blocks = block;
    }
    char *bytes = block->bytes + block->n_used;
    block->n_used += n_bytes;
    return bytes;
}

const char *csv_text_keep(struct csv_text *text, const char *string)
{
    const size_t n = strlen(string) + 1;
    char *copy = csv_text_alloc(text, n);
    return copy == NULL ? NULL : memcpy(copy, string, n);
}

static enum mix_status no_memory(struct mix_error *err)
{
    (void)mix_fail(err, MIX_ENOMEM, "not enough memory for the table.");
    return MIX_ENOMEM;
}

enum mix_status csv_text_add_column(struct csv_text *text, const char *file, size_t line,
                                    const char *name, struct mix_error *err)
{
    if (text->n_columns == CSV_COLUMNS_MAX)
        return mix_fail(err, MIX_EINVAL, "%s has more than %d columns.", file, CSV_COLUMNS_MAX);
    struct csv_column *grown =
        realloc(text->columns, (text->n_columns + 1) * sizeof *text->columns);
    if (grown == NULL)
        return no_memory(err);
    text->columns = grown;
    const char *kept = csv_text_keep(text, name);
    if (kept == NULL)
        return no_memory(err);
    text->columns[text->n_columns++] = (struct csv_column){
        .name = kept, .original = kept, .file = file, .line = line, .factor = 1.0};
    return MIX_OK;
}

enum mix_status csv_text_add_row(struct csv_text *text, size_t line, struct mix_error *err)
{
    const size_t n_used = text->n_rows * text->n_columns;
    if (n_used + text->n_columns > text->cells_capacity) {
        const size_t capacity = 2 * text->cells_capacity + 16 * text->n_columns;
        if (capacity > SIZE_MAX / 2 / sizeof *text->cells)
            return no_memory(err);
        struct csv_cell *grown = realloc(text->cells, capacity * sizeof *grown);
        if (grown == NULL)
            return no_memory(err);
        text->cells = grown;
        text->cells_capacity = capacity;
    }
    for (size_t c = 0; c < text->n_columns; c++)
        text->cells[n_used + c] = (struct csv_cell){"", line};
    text->n_rows++;
    return MIX_OK;
}

void csv_text_adopt(struct csv_text *text, struct csv_text *from)
{
    struct csv_block **end = &from->blocks;
    while (*end != NULL)
        end = &(*end)->next;
    *end = text->blocks;
    text->blocks = from->blocks;
    from->blocks = NULL;
    csv_text_free(from);
}

void csv_text_replace(struct csv_text *text, struct csv_text *with)
{
    struct csv_text replaced = *with;
    replaced.blocks = text->blocks;
    text->blocks = NULL;
    csv_text_free(text);
    *text = replaced;
    with->columns = NULL;
    with->cells = NULL;
    csv_text_adopt(text, with);
}

size_t csv_text_find(const struct csv_text *text, const char *name)
{
    for (size_t c = 0; c < text->n_columns; c++)
        if (strcmp(text->columns[c].name, name) == 0)
            return c;
    return SIZE_MAX;
}

static enum mix_status fail_at(const struct csv_column *column, size_t line, struct mix_error *err,
                               const char *format, va_list arguments)
{
    char reason[MIX_ERROR_MAX];
    if (vsnprintf(reason, sizeof reason, format, arguments) < 0)
        reason[0] = '\0';
    if (line == 0)
        return mix_fail(err, MIX_EINVAL, "%s, column %.80s: %s", column->file, column->original,
                        reason);
    return mix_fail(err, MIX_EINVAL, "%s, line %zu, column %.80s: %s", column->file, line,
                    column->original, reason);
}

enum mix_status csv_text_fail_column(const struct csv_text *text, size_t column,
                                     struct mix_error *err, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const enum mix_status status =
        fail_at(&text->columns[column], text->columns[column].line, err, format, arguments);
    va_end(arguments);
    return status;
}

enum mix_status csv_text_fail(const struct csv_text *text, size_t row, size_t column,
                              struct mix_error *err, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const enum mix_status status =
        fail_at(&text->columns[column], text->cells[row * text->n_columns + column].line, err,
                format, arguments);
    va_end(arguments);
    return status;
}

/* Length of the UTF-8 character at `at`, 0 where it is none (RFC 3629: no surrogates, no overlong
 * forms, nothing beyond U+10FFFF). A zero byte ends the text, so nothing is read past it. */
static size_t utf8_length(const unsigned char *at)
{
    if (at[0] < 0x80)
        return 1;
    const size_t n = at[0] < 0xC2 ? 0 : at[0] < 0xE0 ? 2 : at[0] < 0xF0 ? 3 : at[0] < 0xF5 ? 4 : 0;
    for (size_t i = 1; i < n; i++)
        if ((at[i] & 0xC0) != 0x80)
            return 0;
    const bool bad = (at[0] == 0xE0 && at[1] < 0xA0) || (at[0] == 0xED && at[1] > 0x9F) ||
                     (at[0] == 0xF0 && at[1] < 0x90) || (at[0] == 0xF4 && at[1] > 0x8F);
    return bad ? 0 : n;
}

static enum mix_status check_text(const char *file, const char *bytes, size_t n_bytes,
                                  struct mix_error *err)
{
    size_t line = 1;
    if (n_bytes > 4 && memcmp(bytes, "\211HDF", 4) == 0)
        return mix_fail(err, MIX_EINVAL,
                        "%s is an HDF5 file; a table in CSV is wanted, as mixsweep export writes "
                        "it of a sweep file.",
                        file);
    for (size_t i = 0; i < n_bytes;) {
        const size_t n = utf8_length((const unsigned char *)bytes + i);
        if (bytes[i] == '\0' || n == 0)
            return mix_fail(err, MIX_EINVAL, "%s, line %zu: byte 0x%02x is not UTF-8 text.", file,
                            line, (unsigned)(unsigned char)bytes[i]);
        line += bytes[i] == '\n';
        i += n;
    }
    return MIX_OK;
}

/* Where the CSV reader is. Cells are ended and unquoted in place. */
struct reader {
    const char *file;
    char *at;
    size_t line;
};

enum ending { END_CELL, END_LINE, END_FILE };

static void skip_blanks(struct reader *reader)
{
    while (*reader->at == ' ' || *reader->at == '\t')
        reader->at++;
}

/* Step over what ends a cell. */
static enum mix_status read_ending(struct reader *reader, enum ending *ending,
                                   struct mix_error *err)
{
    switch (*reader->at) {
    case ',':
        reader->at++;
        *ending = END_CELL;
        return MIX_OK;
    case '\0':
        *ending = END_FILE;
        return MIX_OK;
    case '\r':
        if (reader->at[1] != '\n')
            return mix_fail(err, MIX_EINVAL,
                            "%s, line %zu: a carriage return without a line feed; lines end in LF "
                            "or CR LF.",
                            reader->file, reader->line);
        reader->at++;
        /* fall through */
    case '\n':
        reader->at++;
        reader->line++;
        *ending = END_LINE;
        return MIX_OK;
    case '"':
        return mix_fail(err, MIX_EINVAL,
                        "%s, line %zu: a quote inside an unquoted cell; put the whole cell in "
                        "quotes and double those in it.",
                        reader->file, reader->line);
    default:
        return mix_fail(err, MIX_EINVAL, "%s, line %zu: text behind a closing quote.", reader->file,
                        reader->line);
    }
}

static enum mix_status read_quoted(struct reader *reader, char **end, struct mix_error *err)
{
    const size_t first_line = reader->line;
    char *to = reader->at++;
    for (;; reader->at++) {
        if (*reader->at == '\0')
            return mix_fail(err, MIX_EINVAL, "%s, line %zu: the quote is never closed.",
                            reader->file, first_line);
        if (*reader->at == '"' && *++reader->at != '"')
            break;
        reader->line += *reader->at == '\n';
        *to++ = *reader->at;
    }
    *end = to;
    skip_blanks(reader);
    return MIX_OK;
}

/* The next cell, without the blanks around it. */
static enum mix_status read_cell(struct reader *reader, struct csv_cell *cell, enum ending *ending,
                                 struct mix_error *err)
{
    skip_blanks(reader);
    char *begin = reader->at, *end = NULL;
    const size_t line = reader->line;
    enum mix_status status = MIX_OK;
    if (*begin == '"') {
        status = read_quoted(reader, &end, err);
    } else {
        reader->at += strcspn(reader->at, ",\r\n\"");
        end = reader->at;
        while (end > begin && (end[-1] == ' ' || end[-1] == '\t'))
            end--;
    }
    if (status == MIX_OK)
        status = read_ending(reader, ending, err); /* before the zero is put in its place */
    if (status != MIX_OK)
        return status;
    *end = '\0';
    *cell = (struct csv_cell){begin, line};
    return MIX_OK;
}

static enum mix_status read_header(struct reader *reader, struct csv_text *text,
                                   enum ending *ending, struct mix_error *err)
{
    do {
        struct csv_cell cell;
        enum mix_status status = read_cell(reader, &cell, ending, err);
        if (status == MIX_OK)
            status = csv_text_add_column(text, reader->file, cell.line, cell.text, err);
        if (status != MIX_OK)
            return status;
    } while (*ending == END_CELL);
    return MIX_OK;
}

static enum mix_status read_row(struct reader *reader, struct csv_text *text, enum ending *ending,
                                struct mix_error *err)
{
    const size_t line = reader->line;
    size_t n = 0;
    enum mix_status status = csv_text_add_row(text, line, err);
    struct csv_cell *row =
        status == MIX_OK ? text->cells + (text->n_rows - 1) * text->n_columns : NULL;
    do {
        struct csv_cell cell;
        if (status == MIX_OK)
            status = read_cell(reader, &cell, ending, err);
        if (status != MIX_OK)
            return status;
        if (n < text->n_columns)
            row[n] = cell;
        n++;
    } while (*ending == END_CELL);
    if (n != text->n_columns)
        return mix_fail(err, MIX_EINVAL, "%s, line %zu: %zu cells where the header has %zu.",
                        reader->file, line, n, text->n_columns);
    return MIX_OK;
}

static void skip_empty_lines(struct reader *reader)
{
    for (;;) {
        const size_t n = strspn(reader->at, " \t\r");
        if (reader->at[n] != '\n' && reader->at[n] != '\0')
            return;
        reader->at += n;
        if (*reader->at == '\0')
            return;
        reader->at++;
        reader->line++;
    }
}

static enum mix_status parse_csv(const char *file, char *bytes, struct csv_text *text,
                                 struct mix_error *err)
{
    struct reader reader = {file, bytes, 1};
    skip_empty_lines(&reader);
    if (*reader.at == '\0')
        return mix_fail(err, MIX_EINVAL, "%s: the file is empty; a line of column names is wanted.",
                        file);
    enum ending ending = END_LINE;
    enum mix_status status = read_header(&reader, text, &ending, err);
    while (status == MIX_OK && ending != END_FILE) {
        skip_empty_lines(&reader);
        if (*reader.at == '\0')
            break;
        status = read_row(&reader, text, &ending, err);
    }
    return status;
}

enum mix_status csv_text_parse(const char *file, const char *bytes, size_t n_bytes,
                               struct csv_text *out, struct mix_error *err)
{
    static const char mark[] = "\xEF\xBB\xBF";
    *out = (struct csv_text){0};
    char *copy = n_bytes < SIZE_MAX ? csv_text_alloc(out, n_bytes + 1) : NULL;
    if (copy == NULL)
        return no_memory(err);
    memcpy(copy, bytes, n_bytes);
    copy[n_bytes] = '\0';
    enum mix_status status = check_text(file, copy, n_bytes, err);
    if (status == MIX_OK) {
        char *begin = strncmp(copy, mark, 3) == 0 ? copy + 3 : copy;
        const size_t n_file = strlen(file);
        const bool json = n_file >= 6 && strcmp(file + n_file - 6, ".jsonl") == 0;
        status = json ? csv_json_parse(file, begin, out, err) : parse_csv(file, begin, out, err);
    }
    if (status == MIX_OK && out->n_rows == 0)
        status = mix_fail(err, MIX_EINVAL, "%s has no data rows.", file);
    if (status != MIX_OK)
        csv_text_free(out);
    return status;
}

/* All bytes of a file or pipe; the caller frees. */
static enum mix_status read_bytes(const char *path, char **out, size_t *n_out,
                                  struct mix_error *err)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return mix_fail(err, MIX_EIO, "cannot open %s: %s.", path, strerror(errno));
    char *bytes = NULL;
    size_t n = 0, capacity = 0;
    enum mix_status status = MIX_OK;
    do {
        if (n == capacity) {
            capacity = 2 * capacity + READ_BYTES;
            char *grown = capacity > n ? realloc(bytes, capacity) : NULL;
            if (grown == NULL) {
                status = no_memory(err);
                break;
            }
            bytes = grown;
        }
        errno = 0;
        n += fread(bytes + n, 1, capacity - n, file);
        if (ferror(file))
            status = mix_fail(err, MIX_EIO, "cannot read %s: %s.", path, strerror(errno));
    } while (status == MIX_OK && !feof(file));
    fclose(file);
    if (status != MIX_OK) {
        free(bytes);
        return status;
    }
    *out = bytes;
    *n_out = n;
    return MIX_OK;
}

enum mix_status csv_text_load(const char *path, struct csv_text *out, struct mix_error *err)
{
    char *bytes = NULL;
    size_t n_bytes = 0;
    enum mix_status status = read_bytes(path, &bytes, &n_bytes, err);
    if (bytes != NULL)
        status = csv_text_parse(path, bytes, n_bytes, out, err);
    free(bytes);
    return status;
}
