/* SPDX-License-Identifier: GPL-3.0-or-later */
/* h5_columns.h - columns in blocks of rows: those whose first dimension is dims[0]. Private to
 * src/store/.
 *
 * Others are written or read whole when the columns are created or opened. All that is given is
 * borrowed until the columns are closed; what is closed is fine.
 */
#ifndef MIXSWEEP_H5_COLUMNS_H
#define MIXSWEEP_H5_COLUMNS_H

#include "store/h5io.h"

struct h5_columns {
    const struct h5_group *group;
    const struct h5_field *fields;
    size_t n_fields;
    const struct h5_dim *dims;
    hid_t *dataset; /* (n_fields); -1 = not by row */
    uint8_t *buffer;
    size_t n_buffer;
};
enum mix_status h5_columns_create(const struct h5_group *group, const void *object,
                                  const struct h5_field *fields, size_t n_fields,
                                  const struct h5_dim *dims, struct h5_columns *columns,
                                  struct mix_error *err);
enum mix_status h5_columns_open(const struct h5_group *group, void *object,
                                const struct h5_field *fields, size_t n_fields,
                                const struct h5_dim *dims, struct h5_columns *columns,
                                struct mix_error *err);
void h5_columns_close(struct h5_columns *columns);
/** Rows 0 ... n of the object are rows first ... first + n of the file. */
enum mix_status h5_columns_write(struct h5_columns *columns, const void *object, size_t first,
                                 size_t n, struct mix_error *err);
enum mix_status h5_columns_read(struct h5_columns *columns, void *object, size_t first, size_t n,
                                struct mix_error *err);

#endif
