/* SPDX-License-Identifier: GPL-3.0-or-later */
/* h5_columns.c - see h5_columns.h: columns in blocks of rows. */
#include "store/h5_columns.h"

#include <stdlib.h>

#include "store/h5io_impl.h"

static bool is_by_row(const struct h5_field *field)
{
    return field->place != H5_SCALAR_AT && field->dim[0] == 0;
}

static enum mix_status begin_columns(const struct h5_group *group, const struct h5_field *fields,
                                     size_t n_fields, const struct h5_dim *dims,
                                     struct h5_columns *columns, struct mix_error *err)
{
    *columns =
        (struct h5_columns){.group = group, .fields = fields, .n_fields = n_fields, .dims = dims};
    columns->dataset = malloc((n_fields + 1) * sizeof *columns->dataset);
    if (columns->dataset == NULL)
        return h5_fail_memory(group, "", err);
    for (size_t f = 0; f < n_fields; f++)
        columns->dataset[f] = -1;
    return MIX_OK;
}

enum mix_status h5_columns_create(const struct h5_group *group, const void *object,
                                  const struct h5_field *fields, size_t n_fields,
                                  const struct h5_dim *dims, struct h5_columns *columns,
                                  struct mix_error *err)
{
    enum mix_status status = begin_columns(group, fields, n_fields, dims, columns, err);
    for (size_t f = 0; f < n_fields && status == MIX_OK; f++) {
        if (!is_by_row(&fields[f]))
            status = h5_write(group, object, &fields[f], 1, dims, err);
        else if ((columns->dataset[f] = h5_create_dataset(group, &fields[f], dims)) < 0)
            status = h5_fail_write(group, fields[f].name, err);
    }
    return status;
}

enum mix_status h5_columns_open(const struct h5_group *group, void *object,
                                const struct h5_field *fields, size_t n_fields,
                                const struct h5_dim *dims, struct h5_columns *columns,
                                struct mix_error *err)
{
    enum mix_status status = begin_columns(group, fields, n_fields, dims, columns, err);
    for (size_t f = 0; f < n_fields && status == MIX_OK; f++) {
        if (!is_by_row(&fields[f])) {
            status = h5_read(group, object, &fields[f], 1, dims, err);
            continue;
        }
        columns->dataset[f] = h5_open_dataset(group, fields[f].name, err);
        status = columns->dataset[f] < 0
                     ? MIX_EFORMAT
                     : h5_check_array(group, columns->dataset[f], &fields[f], dims, err);
    }
    return status;
}

void h5_columns_close(struct h5_columns *columns)
{
    for (size_t f = 0; columns->dataset != NULL && f < columns->n_fields; f++)
        h5_close(columns->dataset[f]);
    free(columns->dataset);
    free(columns->buffer);
    *columns = (struct h5_columns){0};
}

/* Elements in a row of a field. */
static size_t row_elements(const struct h5_field *field, const struct h5_dim *dims)
{
    size_t n = 1;
    for (int d = 1; d < h5_rank_of(field); d++)
        n *= dims[field->dim[d]].n;
    return n;
}

static enum mix_status move_columns(struct h5_columns *columns, void *object, size_t first,
                                    size_t n, bool writes, struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    for (size_t f = 0; f < columns->n_fields && status == MIX_OK; f++) {
        const struct h5_field *field = &columns->fields[f];
        const size_t n_values = n * row_elements(field, columns->dims);
        const size_t n_bytes = n_values * h5_element_bytes(field);
        if (columns->dataset[f] < 0 || n_values == 0)
            continue;
        if (n_bytes > columns->n_buffer) {
            free(columns->buffer);
            columns->buffer = malloc(n_bytes);
            columns->n_buffer = columns->buffer != NULL ? n_bytes : 0;
        }
        if (columns->buffer == NULL)
            return h5_fail_memory(columns->group, field->name, err);
        uint8_t *array = (uint8_t *)h5_array_of(field, object);
        const hid_t type = writes ? h5_make_type(field->type, field->width, true)
                                  : h5_dataset_reading_type(field, columns->dataset[f]);
        if (writes)
            h5_gather(field, array, columns->buffer, n_values);
        if (!h5_move_rows(columns->dataset[f], type, first, n, columns->buffer, writes))
            status = writes ? h5_fail_write(columns->group, field->name, err)
                            : h5_fail_read(columns->group, field->name, "cannot be read", err);
        else if (!writes && !h5_scatter(field, columns->buffer, array, n_values))
            status = h5_fail_read(columns->group, field->name,
                                  "holds a text without end or a bad key", err);
        h5_close(type);
    }
    return status;
}

enum mix_status h5_columns_write(struct h5_columns *columns, const void *object, size_t first,
                                 size_t n, struct mix_error *err)
{
    return move_columns(columns, (void *)(uintptr_t)object, first, n, true, err);
}

enum mix_status h5_columns_read(struct h5_columns *columns, void *object, size_t first, size_t n,
                                struct mix_error *err)
{
    return move_columns(columns, object, first, n, false, err);
}
