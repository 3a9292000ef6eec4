/* SPDX-License-Identifier: GPL-3.0-or-later */
/* h5_array.c - one array of a struct and its dataset: type, shape, checks; see h5io_impl.h. */
#include "store/h5io_impl.h"

#include <hdf5_hl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_ROWS_MIN = 64, CHUNK_ROWS_MAX = 8192 };
static const size_t CHUNK_BYTES = 65536;
static const size_t CHUNK_BYTES_MAX = (size_t)1 << 30; /* HDF5 allows less than 4 GiB */

/* No deflate stream is shorter than a 1032nd of its content; more is data that was never written.
 */
static const size_t DEFLATE_RATIO_MAX = 2048;

static hid_t text_type(size_t width)
{
    const hid_t type = H5Tcopy(H5T_C_S1);
    if (type >= 0 && (H5Tset_size(type, width) < 0 || H5Tset_cset(type, H5T_CSET_UTF8) < 0)) {
        h5_close(type);
        return -1;
    }
    return type;
}

hid_t h5_make_type(enum h5_type type, size_t width, bool native)
{
    switch (type) {
    case H5_DOUBLE:
        return H5Tcopy(native ? H5T_NATIVE_DOUBLE : H5T_IEEE_F64LE);
    case H5_FLOAT:
        return H5Tcopy(native ? H5T_NATIVE_FLOAT : H5T_IEEE_F32LE);
    case H5_INT32:
        return H5Tcopy(native ? H5T_NATIVE_INT32 : H5T_STD_I32LE);
    case H5_UINT64:
        return H5Tcopy(native ? H5T_NATIVE_UINT64 : H5T_STD_U64LE);
    case H5_UINT8:
        return H5Tcopy(native ? H5T_NATIVE_UINT8 : H5T_STD_U8LE);
    case H5_TEXT:
        return text_type(width);
    case H5_KEY:
        return text_type(KEY_TEXT);
    }
    return -1;
}

/* The type in memory for what is of type `found` in a file: HDF5 converts no ASCII, as h5py writes
 * it, to UTF-8. */
hid_t h5_reading_type(const struct h5_field *field, hid_t found)
{
    const hid_t type = h5_make_type(field->type, field->width, true);
    if (type >= 0 && found >= 0 && H5Tget_class(found) == H5T_STRING &&
        H5Tget_class(type) == H5T_STRING)
        H5Tset_cset(type, H5Tget_cset(found));
    return type;
}

size_t h5_element_bytes(const struct h5_field *field)
{
    return field->type == H5_KEY ? KEY_TEXT : field->width;
}

bool h5_type_suits(hid_t found, enum h5_type type, size_t width)
{
    const size_t size = H5Tget_size(found);
    if (type == H5_TEXT || type == H5_KEY) {
        const size_t room = type == H5_KEY ? KEY_TEXT : width;
        if (H5Tget_class(found) != H5T_STRING || H5Tis_variable_str(found) != 0)
            return false;
        return H5Tget_strpad(found) == H5T_STR_NULLTERM ? size <= room : size < room;
    }
    const hid_t wanted = h5_make_type(type, width, false);
    const bool same =
        H5Tget_class(found) == H5Tget_class(wanted) && size == H5Tget_size(wanted) &&
        (type == H5_DOUBLE || type == H5_FLOAT || H5Tget_sign(found) == H5Tget_sign(wanted));
    h5_close(wanted);
    return same;
}

size_t h5_text_width(hid_t type)
{
    if (type < 0 || H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) != 0)
        return 0;
    const size_t width = H5Tget_size(type);
    return width < TEXT_MAX ? width + 1 : 0; /* room for the end where the file has none */
}

static bool parse_key(const char *text, struct mix_key *key)
{
    uint64_t word[2] = {0, 0};
    for (int i = 0; i < 32; i++) {
        const char *digits = "0123456789abcdef";
        const char *digit = text[i] != '\0' ? strchr(digits, text[i]) : NULL;
        if (digit == NULL)
            return false;
        word[i / 16] = word[i / 16] << 4 | (uint64_t)(digit - digits);
    }
    *key = (struct mix_key){.hi = word[0], .lo = word[1]};
    return text[32] == '\0';
}

void h5_gather(const struct h5_field *field, const uint8_t *from, uint8_t *to, size_t n)
{
    const size_t width = h5_element_bytes(field);
    for (size_t i = 0; i < n; i++, from += field->stride, to += width) {
        if (field->type == H5_KEY) {
            struct mix_key key;
            memcpy(&key, from, sizeof key);
            snprintf((char *)to, KEY_TEXT, "%016llx%016llx", (unsigned long long)key.hi,
                     (unsigned long long)key.lo);
        } else if (field->type == H5_TEXT) {
            strncpy((char *)to, (const char *)from, width - 1); /* pads with zeros */
            to[width - 1] = '\0';
        } else {
            memcpy(to, from, width);
        }
    }
}

bool h5_scatter(const struct h5_field *field, const uint8_t *from, uint8_t *to, size_t n)
{
    const size_t width = h5_element_bytes(field);
    for (size_t i = 0; i < n; i++, to += field->stride, from += width) {
        if (field->type == H5_KEY) {
            struct mix_key key;
            if (!parse_key((const char *)from, &key))
                return false;
            memcpy(to, &key, sizeof key);
            continue;
        }
        if (field->type == H5_TEXT && memchr(from, 0, width) == NULL)
            return false;
        memcpy(to, from, width);
    }
    return true;
}

int h5_rank_of(const struct h5_field *field)
{
    int rank = 0;
    while (rank < H5_RANK_MAX && field->dim[rank] != NO_DIM)
        rank++;
    return rank;
}

size_t h5_n_elements(const struct h5_field *field, const struct h5_dim *dims)
{
    size_t n = 1;
    for (int d = 0; d < h5_rank_of(field); d++) {
        const size_t length = dims[field->dim[d]].n;
        if (length > 0 && n > SIZE_MAX / 1024 / length / h5_element_bytes(field))
            return SIZE_MAX;
        n *= length;
    }
    return n;
}

/* Rows of at least 64 to a chunk, more where they are short. */
size_t h5_chunk_rows(size_t row_bytes)
{
    size_t rows = CHUNK_BYTES / row_bytes;
    rows = rows < CHUNK_ROWS_MIN ? CHUNK_ROWS_MIN : rows > CHUNK_ROWS_MAX ? CHUNK_ROWS_MAX : rows;
    while (rows > 1 && rows > CHUNK_BYTES_MAX / row_bytes)
        rows /= 2;
    return rows;
}

static hid_t array_properties(const hsize_t *extent, int rank, size_t element)
{
    hsize_t chunk[H5_RANK_MAX];
    size_t row_bytes = element;
    for (int d = 1; d < rank; d++) {
        chunk[d] = extent[d] > 0 ? extent[d] : 1;
        row_bytes *= (size_t)chunk[d];
    }
    chunk[0] = h5_chunk_rows(row_bytes);
    const hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    const bool deflate = H5Zfilter_avail(H5Z_FILTER_DEFLATE) > 0;
    if (list >= 0 &&
        (H5Pset_chunk(list, rank, chunk) < 0 || H5Pset_obj_track_times(list, false) < 0 ||
         (deflate && (H5Pset_shuffle(list) < 0 || H5Pset_deflate(list, 4) < 0)))) {
        h5_close(list);
        return -1;
    }
    return list;
}

bool h5_write_attribute(hid_t object, const char *name, hid_t file_type, hid_t memory_type,
                        const void *value)
{
    const hid_t space = H5Screate(H5S_SCALAR);
    const hid_t attribute = H5Acreate2(object, name, file_type, space, H5P_DEFAULT, H5P_DEFAULT);
    const bool ok = attribute >= 0 && H5Awrite(attribute, memory_type, value) >= 0;
    h5_close(attribute);
    h5_close(space);
    return ok;
}

bool h5_write_text_attribute(hid_t object, const char *name, const char *text)
{
    const hid_t type = text_type(strlen(text) + 1);
    const bool ok = type >= 0 && h5_write_attribute(object, name, type, type, text);
    h5_close(type);
    return ok;
}

/* Attach and label the scales of the dimensions; a dataset that carries the name of its scale is
 * the scale.
 */
static bool attach_scales(const struct h5_group *group, hid_t dataset, const char *name,
                          const struct h5_dim *const *dims, int rank)
{
    if (rank == 1 && strcmp(dims[0]->scale, name) == 0)
        return H5DSset_scale(dataset, name) >= 0;
    for (int d = 0; d < rank; d++) {
        const hid_t scale = H5Dopen2(group->id, dims[d]->scale, H5P_DEFAULT);
        const bool ok = scale >= 0 && H5DSattach_scale(dataset, scale, (unsigned)d) >= 0 &&
                        H5DSset_label(dataset, (unsigned)d, dims[d]->label) >= 0;
        h5_close(scale);
        if (!ok)
            return false;
    }
    return true;
}

hid_t h5_create_dataset(const struct h5_group *group, const struct h5_field *field,
                        const struct h5_dim *dims)
{
    const int rank = h5_rank_of(field);
    hsize_t extent[H5_RANK_MAX], limit[H5_RANK_MAX];
    const struct h5_dim *along[H5_RANK_MAX];
    for (int d = 0; d < rank; d++) {
        along[d] = &dims[field->dim[d]];
        extent[d] = along[d]->n;
        /* a fixed extent of 0 would allow no chunk */
        limit[d] = d > 0 && extent[d] > 0 ? extent[d] : H5S_UNLIMITED;
    }
    const hid_t space = H5Screate_simple(rank, extent, limit);
    const hid_t properties = array_properties(extent, rank, h5_element_bytes(field));
    const hid_t type = h5_make_type(field->type, field->width, false);
    hid_t dataset =
        H5Dcreate2(group->id, field->name, type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    h5_close(type);
    h5_close(properties);
    h5_close(space);
    if (dataset >= 0 &&
        (!attach_scales(group, dataset, field->name, along, rank) ||
         (field->unit != NULL && !h5_write_text_attribute(dataset, "units", field->unit)))) {
        h5_close(dataset);
        return -1;
    }
    return dataset;
}

enum mix_status h5_write_dataset(const struct h5_group *group, const struct h5_field *field,
                                 const struct h5_dim *dims, const void *buffer,
                                 struct mix_error *err)
{
    const hid_t dataset = h5_create_dataset(group, field, dims);
    const hid_t type = h5_make_type(field->type, field->width, true);
    const bool ok =
        dataset >= 0 && H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, buffer) >= 0;
    h5_close(type);
    h5_close(dataset);
    return ok ? MIX_OK : h5_fail_write(group, field->name, err);
}

const uint8_t *h5_array_of(const struct h5_field *field, const void *object)
{
    const uint8_t *at = (const uint8_t *)object + field->offset;
    if (field->place == H5_POINTER_AT) {
        const uint8_t *array;
        memcpy(&array, at, sizeof array);
        at = array;
    }
    return at == NULL ? NULL : at + field->inner;
}
hid_t h5_open_dataset(const struct h5_group *group, const char *name, struct mix_error *err)
{
    const bool exists = H5Lexists(group->id, name, H5P_DEFAULT) > 0;
    const hid_t id = exists ? H5Oopen(group->id, name, H5P_DEFAULT) : -1;
    if (id < 0 || H5Iget_type(id) != H5I_DATASET) {
        h5_fail_read(group, name, exists ? "is not a readable dataset" : "is missing", err);
        h5_close(id);
        return -1;
    }
    return id;
}

int h5_shape_of(hid_t dataset, hsize_t extent[H5_RANK_MAX])
{
    const hid_t space = H5Dget_space(dataset);
    int rank = space < 0 || H5Sis_simple(space) <= 0 ? -1 : H5Sget_simple_extent_ndims(space);
    if (rank < 1 || rank > H5_RANK_MAX || H5Sget_simple_extent_dims(space, extent, NULL) < 0)
        rank = -1;
    h5_close(space);
    return rank;
}

enum mix_status h5_check_shape(const struct h5_group *group, hid_t dataset,
                               const struct h5_field *field, const struct h5_dim *dims,
                               struct mix_error *err)
{
    hsize_t extent[H5_RANK_MAX] = {0};
    const int rank = h5_shape_of(dataset, extent), wanted = h5_rank_of(field);
    if (rank != wanted)
        return mix_fail(err, MIX_EFORMAT, "%s: %s/%s must have %d dimension%s", group->file,
                        group->path, field->name, wanted, wanted > 1 ? "s" : "");
    for (int d = 0; d < rank; d++) {
        const struct h5_dim *dim = &dims[field->dim[d]];
        if (extent[d] != dim->n)
            return mix_fail(err, MIX_EFORMAT, "%s: %s/%s has %llu entries along %s, not %zu",
                            group->file, group->path, field->name, (unsigned long long)extent[d],
                            dim->scale, dim->n);
    }
    return MIX_OK;
}

/* A small file that claims to hold very much must not make us allocate it. */
bool h5_holds_its_data(hid_t dataset, size_t n_bytes)
{
    return n_bytes <= CHUNK_BYTES * 16 ||
           n_bytes / DEFLATE_RATIO_MAX <= (size_t)H5Dget_storage_size(dataset);
}

/* HDF5 1.10 reads past a stored chunk that skips its filters (deflate that does not pay off) but is
 * shorter than a chunk: the chunk index has no checksum. */
bool h5_chunks_are_whole(hid_t dataset, hid_t type)
{
#if H5_VERSION_GE(1, 10, 5)
    hsize_t chunk[H5_RANK_MAX] = {1, 1, 1, 1}, n_chunks = 0;
    const hid_t properties = H5Dget_create_plist(dataset), space = H5Dget_space(dataset);
    bool whole = properties >= 0 && space >= 0;
    if (whole && H5Pget_layout(properties) == H5D_CHUNKED) {
        whole = H5Pget_chunk(properties, H5_RANK_MAX, chunk) > 0 &&
                H5Dget_num_chunks(dataset, space, &n_chunks) >= 0;
        const hsize_t n_bytes = chunk[0] * chunk[1] * chunk[2] * chunk[3] * H5Tget_size(type);
        for (hsize_t i = 0; i < n_chunks && whole; i++) {
            unsigned skipped = 0;
            hsize_t offset[H5_RANK_MAX], size = 0;
            haddr_t address = 0;
            whole = H5Dget_chunk_info(dataset, space, i, offset, &skipped, &address, &size) >= 0 &&
                    (skipped == 0 || size >= n_bytes);
        }
    }
    h5_close(space);
    h5_close(properties);
    return whole;
#else
    (void)dataset;
    (void)type;
    return true;
#endif
}

enum mix_status h5_check_array(const struct h5_group *group, hid_t dataset,
                               const struct h5_field *field, const struct h5_dim *dims,
                               struct mix_error *err)
{
    const hid_t type = H5Dget_type(dataset);
    const size_t n = h5_n_elements(field, dims);
    enum mix_status status = h5_check_shape(group, dataset, field, dims, err);
    if (status == MIX_OK && (type < 0 || !h5_type_suits(type, field->type, field->width)))
        status = h5_fail_read(group, field->name, "has a wrong type", err);
    else if (status == MIX_OK &&
             (n == SIZE_MAX || !h5_holds_its_data(dataset, n * h5_element_bytes(field)) ||
              !h5_chunks_are_whole(dataset, type)))
        status = h5_fail_read(group, field->name, "lacks its data", err);
    h5_close(type);
    return status;
}

hid_t h5_dataset_reading_type(const struct h5_field *field, hid_t dataset)
{
    const hid_t found = H5Dget_type(dataset);
    const hid_t type = h5_reading_type(field, found);
    h5_close(found);
    return type;
}

static bool select_rows(hid_t dataset, size_t first, size_t n, hid_t *memory, hid_t *file)
{
    hsize_t start[H5_RANK_MAX] = {0}, count[H5_RANK_MAX] = {0};
    const int rank = h5_shape_of(dataset, count);
    if (rank < 1)
        return false;
    start[0] = first;
    count[0] = n;
    *file = H5Dget_space(dataset);
    *memory = H5Screate_simple(rank, count, NULL);
    return *file >= 0 && *memory >= 0 &&
           H5Sselect_hyperslab(*file, H5S_SELECT_SET, start, NULL, count, NULL) >= 0;
}

bool h5_move_rows(hid_t dataset, hid_t type, size_t first, size_t n, void *buffer, bool writes)
{
    hid_t memory = -1, file = -1;
    bool ok = select_rows(dataset, first, n, &memory, &file);
    if (ok && writes)
        ok = H5Dwrite(dataset, type, memory, file, H5P_DEFAULT, buffer) >= 0;
    else if (ok)
        ok = H5Dread(dataset, type, memory, file, H5P_DEFAULT, buffer) >= 0;
    h5_close(memory);
    h5_close(file);
    return ok;
}
