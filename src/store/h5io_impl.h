/* SPDX-License-Identifier: GPL-3.0-or-later */
/* h5io_impl.h - what structs, columns and texts share: one array and its dataset. Private to
 * h5io.c and h5_*.c.
 */
#ifndef MIXSWEEP_H5IO_IMPL_H
#define MIXSWEEP_H5IO_IMPL_H

#include "store/h5io.h"

enum { KEY_TEXT = 33, TEXT_MAX = 1 << 24 }; /* bytes of a key and, at most, of a text */

/** Sentences that name the file and the object. @return MIX_EFORMAT, MIX_EIO, MIX_ENOMEM */
enum mix_status h5_fail_read(const struct h5_group *group, const char *name, const char *what,
                             struct mix_error *err);
enum mix_status h5_fail_write(const struct h5_group *group, const char *name,
                              struct mix_error *err);
enum mix_status h5_fail_memory(const struct h5_group *group, const char *name,
                               struct mix_error *err);

/* ---- elements */

/** The type in memory (native) or in the file (little-endian); close it. */
hid_t h5_make_type(enum h5_type type, size_t width, bool native);
/** The type in memory for what is of type `found` in a file; close it. */
hid_t h5_reading_type(const struct h5_field *field, hid_t found);
/** Whether a type of the file is what we write; texts may be shorter. */
bool h5_type_suits(hid_t found, enum h5_type type, size_t width);
/** Size of the fixed-length text type, or 0 where it is none or too long. */
size_t h5_text_width(hid_t type);
/** Bytes of an element in the buffer that HDF5 sees. */
size_t h5_element_bytes(const struct h5_field *field);
/** The first of the elements in a struct; NULL where it has no array. */
const uint8_t *h5_array_of(const struct h5_field *field, const void *object);
/** n elements from a struct to a buffer, and back: false where a text has no end or a key is none.
 */
void h5_gather(const struct h5_field *field, const uint8_t *from, uint8_t *to, size_t n);
bool h5_scatter(const struct h5_field *field, const uint8_t *from, uint8_t *to, size_t n);

/* ---- datasets */

int h5_rank_of(const struct h5_field *field);
/** Number of elements, or SIZE_MAX where memory could not hold them. */
size_t h5_n_elements(const struct h5_field *field, const struct h5_dim *dims);
/** Rows of a chunk. */
size_t h5_chunk_rows(size_t row_bytes);

/** Make a dataset with its scales and its unit; a negative id where that fails. */
hid_t h5_create_dataset(const struct h5_group *group, const struct h5_field *field,
                        const struct h5_dim *dims);
/** Write a packed buffer as a new dataset. */
enum mix_status h5_write_dataset(const struct h5_group *group, const struct h5_field *field,
                                 const struct h5_dim *dims, const void *buffer,
                                 struct mix_error *err);
bool h5_write_attribute(hid_t object, const char *name, hid_t file_type, hid_t memory_type,
                        const void *value);
bool h5_write_text_attribute(hid_t object, const char *name, const char *text);

/** A negative id, and the sentence, where it is missing or none. */
hid_t h5_open_dataset(const struct h5_group *group, const char *name, struct mix_error *err);
/** Rank and extents of a dataset; -1 where it has more than four dimensions or is not simple. */
int h5_shape_of(hid_t dataset, hsize_t extent[H5_RANK_MAX]);
enum mix_status h5_check_shape(const struct h5_group *group, hid_t dataset,
                               const struct h5_field *field, const struct h5_dim *dims,
                               struct mix_error *err);
/** False where a small file claims to hold very much. */
bool h5_holds_its_data(hid_t dataset, size_t n_bytes);
/** False where a stored chunk is shorter than HDF5 would read. */
bool h5_chunks_are_whole(hid_t dataset, hid_t type);
/** Whether a dataset is what the field says, and has its data. */
enum mix_status h5_check_array(const struct h5_group *group, hid_t dataset,
                               const struct h5_field *field, const struct h5_dim *dims,
                               struct mix_error *err);
/** The type in memory for the dataset of a field; close it. */
hid_t h5_dataset_reading_type(const struct h5_field *field, hid_t dataset);
/** Write or read rows first ... first + n of a dataset. */
bool h5_move_rows(hid_t dataset, hid_t type, size_t first, size_t n, void *buffer, bool writes);

#endif
