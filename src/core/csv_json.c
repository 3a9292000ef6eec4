/* SPDX-License-Identifier: GPL-3.0-or-later */
/* csv_json.c - JSON lines to text cells; see csv_text.h and the form in csv.h. */
#include "core/csv_text.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_MAX = 512 };

/* A value as it came: the columns are known only at the end. */
struct entry {
    size_t row, column;
    struct csv_cell cell;
};

struct json_reader {
    const char *file;
    struct csv_text *text;
    size_t line;
    size_t n_rows;
    size_t next_column; /* where the next key is expected: objects tend to have the same order */
    struct entry *entries;
    size_t n_entries, capacity;
};

static enum mix_status no_memory(struct mix_error *err)
{
    return mix_fail(err, MIX_ENOMEM, "not enough memory for the table.");
}

static enum mix_status find_column(struct json_reader *reader, const char *key, size_t *column,
                                   struct mix_error *err)
{
    const struct csv_text *text = reader->text;
    *column = reader->next_column;
    if (*column >= text->n_columns || strcmp(text->columns[*column].name, key) != 0)
        *column = csv_text_find(text, key);
    if (*column == SIZE_MAX) {
        *column = text->n_columns;
        const enum mix_status status =
            csv_text_add_column(reader->text, reader->file, reader->line, key, err);
        if (status != MIX_OK)
            return status;
    }
    reader->next_column = *column + 1;
    return MIX_OK;
}

static enum mix_status add_entry(struct json_reader *reader, const char *key, const char *value,
                                 struct mix_error *err)
{
    if (reader->n_entries == reader->capacity) {
        const size_t capacity = 2 * reader->capacity + 1024;
        if (capacity > SIZE_MAX / 2 / sizeof *reader->entries)
            return no_memory(err);
        struct entry *grown = realloc(reader->entries, capacity * sizeof *grown);
        if (grown == NULL)
            return no_memory(err);
        reader->entries = grown;
        reader->capacity = capacity;
    }
    size_t column = 0;
    const enum mix_status status = find_column(reader, key, &column, err);
    if (status != MIX_OK)
        return status;
    const char *kept = csv_text_keep(reader->text, value);
    if (kept == NULL)
        return no_memory(err);
    for (size_t i = reader->n_entries; i-- > 0 && reader->entries[i].row == reader->n_rows;)
        if (reader->entries[i].column == column)
            return mix_fail(err, MIX_EINVAL, "%s, line %zu: \"%.80s\" is given twice.",
                            reader->file, reader->line, key);
    reader->entries[reader->n_entries++] =
        (struct entry){reader->n_rows, column, {kept, reader->line}};
    return MIX_OK;
}

/* A key of the object, or of the object under `prefix` in it. */
static enum mix_status read_value(struct json_reader *reader, const char *prefix, const char *name,
                                  const json_t *value, struct mix_error *err)
{
    char key[KEY_MAX], number[64];
    const int n = snprintf(key, sizeof key, "%s%s%s", prefix, *prefix != '\0' ? "_" : "", name);
    if (n < 0 || (size_t)n >= sizeof key)
        return mix_fail(err, MIX_EINVAL, "%s, line %zu: a key is longer than %d bytes.",
                        reader->file, reader->line, KEY_MAX - 1);
    switch (json_typeof(value)) {
    case JSON_STRING:
        return add_entry(reader, key, json_string_value(value), err);
    case JSON_INTEGER:
        (void)snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return add_entry(reader, key, number, err);
    case JSON_REAL:
        (void)snprintf(number, sizeof number, "%.17g", json_real_value(value));
        return add_entry(reader, key, number, err);
    case JSON_NULL:
        return add_entry(reader, key, "", err);
    case JSON_OBJECT:
    case JSON_ARRAY:
    case JSON_TRUE:
    case JSON_FALSE:
        break;
    }
    return mix_fail(err, MIX_EINVAL,
                    "%s, line %zu: the value of \"%.80s\" is neither a number, a text nor null.",
                    reader->file, reader->line, key);
}

static enum mix_status read_object(struct json_reader *reader, json_t *object,
                                   struct mix_error *err)
{
    reader->next_column = 0;
    for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at)) {
        const char *name = json_object_iter_key(at);
        json_t *value = json_object_iter_value(at);
        enum mix_status status = MIX_OK;
        if (!json_is_object(value))
            status = read_value(reader, "", name, value, err);
        else
            for (void *in = json_object_iter(value); in != NULL && status == MIX_OK;
                 in = json_object_iter_next(value, in))
                status = read_value(reader, name, json_object_iter_key(in),
                                    json_object_iter_value(in), err);
        if (status != MIX_OK)
            return status;
    }
    return MIX_OK;
}

static enum mix_status read_line(struct json_reader *reader, const char *begin, size_t n_bytes,
                                 struct mix_error *err)
{
    json_error_t trouble;
    json_t *object = json_loadb(begin, n_bytes, JSON_REJECT_DUPLICATES, &trouble);
    if (object == NULL)
        return mix_fail(err, MIX_EINVAL, "%s, line %zu: not JSON: %s.", reader->file, reader->line,
                        trouble.text);
    enum mix_status status =
        json_is_object(object)
            ? read_object(reader, object, err)
            : mix_fail(err, MIX_EINVAL, "%s, line %zu: not an object ({\"run\": ...}).",
                       reader->file, reader->line);
    json_decref(object);
    const size_t n = reader->n_entries;
    if (status == MIX_OK && (n == 0 || reader->entries[n - 1].row != reader->n_rows))
        status = mix_fail(err, MIX_EINVAL, "%s, line %zu: the object is empty.", reader->file,
                          reader->line);
    reader->n_rows++;
    return status;
}

static enum mix_status fill_cells(struct json_reader *reader, struct mix_error *err)
{
    struct csv_text *text = reader->text;
    for (size_t i = 0; i < reader->n_entries; i++) {
        const struct entry *entry = &reader->entries[i];
        while (text->n_rows <= entry->row) {
            const enum mix_status status = csv_text_add_row(text, entry->cell.line, err);
            if (status != MIX_OK)
                return status;
        }
        text->cells[entry->row * text->n_columns + entry->column] = entry->cell;
    }
    return MIX_OK;
}

enum mix_status csv_json_parse(const char *file, const char *bytes, struct csv_text *out,
                               struct mix_error *err)
{
    struct json_reader reader = {.file = file, .text = out, .line = 1};
    enum mix_status status = MIX_OK;
    for (const char *at = bytes; *at != '\0' && status == MIX_OK; reader.line++) {
        const size_t n = strcspn(at, "\n");
        if (strspn(at, " \t\r") < n)
            status = read_line(&reader, at, n, err);
        at += n + (at[n] == '\n');
    }
    if (status == MIX_OK)
        status = fill_cells(&reader, err);
    free(reader.entries);
    return status;
}
