/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fuzz_csv.c - any bytes as a table to import: no crash, and what is accepted comes back from an
 * export as the same table.
 *
 * The first byte is the form: 'c' CSV, 'j' JSON lines, 't' two CSVs, 'm' a map and a CSV. The byte
 * 0x1E ends the first of two files.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/csv_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* An export of the table reads back as the same rows. */
static void check_round_trip(const struct mix_table *table)
{
    char *bytes = NULL;
    size_t n_bytes = 0;
    FILE *out = open_memstream(&bytes, &n_bytes);
    require(out != NULL && mix_csv_write_runs(table, out, NULL) == MIX_OK);
    fclose(out);
    struct csv_text text = {0};
    struct mix_table *back = NULL;
    const struct mix_import import = {.checkpoints = MIX_CHECKPOINTS_ALL,
                                      .without_losses_ok = true};
    require(csv_text_parse("export.csv", bytes, n_bytes, &text, NULL) == MIX_OK);
    require(csv_build(&import, &text, NULL, &back, NULL, NULL) == MIX_OK);
    require(back->n_rows == table->n_rows && back->n_targets == table->n_targets);
    for (size_t r = 0; r < table->n_rows; r++)
        require(memcmp(&table->runs[r].key, &back->runs[r].key, sizeof(struct mix_key)) == 0 &&
                table->runs[r].is_final == back->runs[r].is_final);
    for (size_t i = 0; i < table->n_rows * table->n_targets; i++)
        require(memcmp(&table->loss[i], &back->loss[i], sizeof(double)) == 0 ||
                (table->loss[i] != table->loss[i] && back->loss[i] != back->loss[i]));
    mix_table_destroy(back);
    csv_text_free(&text);
    free(bytes);
}

static void run_import(char form, const char *first, size_t n_first, const char *second,
                       size_t n_second)
{
    struct csv_text text = {0}, metrics = {0};
    struct mix_map *map = NULL;
    struct mix_table *table = NULL;
    struct mix_error err = {.text = ""};
    const char *const where[] = {"n_tokens>=1"};
    enum mix_status status = MIX_OK;
    if (form == 'm')
        status = mix_map_parse("map.yaml", first, &map, &err);
    const struct mix_import import = {.map = map,
                                      .where = where,
                                      .n_where = form == 'c',
                                      .n_params = form == 't' ? 1e6 : 0,
                                      .n_tokens = form == 't' ? 1e9 : 0,
                                      .checkpoints =
                                          form == 'm' ? MIX_CHECKPOINTS_LAST : MIX_CHECKPOINTS_ALL};
    if (status == MIX_OK && form == 'm')
        status = csv_text_parse("t.csv", second, n_second, &text, &err);
    else if (status == MIX_OK)
        status = csv_text_parse(form == 'j' ? "t.jsonl" : "t.csv", first, n_first, &text, &err);
    if (status == MIX_OK && form == 't')
        status = csv_text_parse("m.csv", second, n_second, &metrics, &err);
    if (status == MIX_OK)
        status = csv_build(&import, &text, form == 't' ? &metrics : NULL, &table, NULL, &err);
    if (status == MIX_OK && form != 'm')
        check_round_trip(table);
    mix_table_destroy(table);
    csv_text_free(&metrics);
    csv_text_free(&text);
    mix_map_destroy(map);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || strchr("cjtm", data[0]) == NULL || data[0] == '\0')
        return -1; /* not worth keeping */
    char *copy = malloc(size);
    require(copy != NULL);
    memcpy(copy, data + 1, size - 1);
    copy[size - 1] = '\0';
    char *separator = memchr(copy, 0x1E, size - 1);
    const size_t n_first = separator != NULL ? (size_t)(separator - copy) : size - 1;
    copy[n_first] = '\0';
    const char *second = separator != NULL ? separator + 1 : copy + n_first;
    run_import((char)data[0], copy, n_first, second, (size_t)(copy + size - 1 - second));
    free(copy);
    return 0;
}
