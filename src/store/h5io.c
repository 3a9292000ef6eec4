/* SPDX-License-Identifier: GPL-3.0-or-later */
/* h5io.c - see h5io.h. */
#include "store/h5io.h"

#include <assert.h>
#include <hdf5_hl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(size_t) == sizeof(uint64_t), "sizes are stored as 64-bit numbers");
_Static_assert(sizeof(int) == sizeof(int32_t), "int is stored as 32-bit number");

enum { KEY_TEXT = 33, TEXT_MAX = 1 << 24, CHUNK_ROWS_MIN = 64, CHUNK_ROWS_MAX = 8192 };
enum { BLOCK_BYTES = 1 << 20, ATTRIBUTE_MAX = 1 << 26 };
static const size_t CHUNK_BYTES = 65536;
static const size_t CHUNK_BYTES_MAX = (size_t)1 << 30; /* HDF5 allows less than 4 GiB */

/* No deflate stream is shorter than a 1032nd of its content; more is data that was never written.
 */
static const size_t DEFLATE_RATIO_MAX = 2048;

void h5_close(hid_t id)
{
    if (id >= 0)
        H5Idec_ref(id);
}

static enum mix_status fail_read(const struct h5_group *group, const char *name, const char *what,
                                 struct mix_error *err)
{
    return mix_fail(err, MIX_EFORMAT, "%s: %s/%s %s", group->file, group->path, name, what);
}

static enum mix_status fail_write(const struct h5_group *group, const char *name,
                                  struct mix_error *err)
{
    return mix_fail(err, MIX_EIO, "%s: %s/%s cannot be written", group->file, group->path, name);
}

static enum mix_status fail_memory(const struct h5_group *group, const char *name,
                                   struct mix_error *err)
{
    return mix_fail(err, MIX_ENOMEM, "%s: no memory for %s/%s", group->file, group->path, name);
}

static void enter(const struct h5_group *parent, const char *name, hid_t id, struct h5_group *out)
{
    out->id = id;
    out->file = parent->file;
    snprintf(out->path, sizeof out->path, "%.250s/%.250s", parent->path, name);
}

enum mix_status h5_group_open(const struct h5_group *parent, const char *name, struct h5_group *out,
                              struct mix_error *err)
{
    const htri_t exists = H5Lexists(parent->id, name, H5P_DEFAULT);
    if (exists == 0)
        return mix_fail(err, MIX_ENOTFOUND, "%s: there is no %s/%s", parent->file, parent->path,
                        name);
    const hid_t id = exists > 0 ? H5Oopen(parent->id, name, H5P_DEFAULT) : -1;
    if (id < 0 || H5Iget_type(id) != H5I_GROUP) {
        h5_close(id);
        return fail_read(parent, name, "is not a readable group", err);
    }
    enter(parent, name, id, out);
    return MIX_OK;
}

enum mix_status h5_group_create(const struct h5_group *parent, const char *name,
                                struct h5_group *out, struct mix_error *err)
{
    const hid_t id = H5Gcreate2(parent->id, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (id < 0)
        return fail_write(parent, name, err);
    enter(parent, name, id, out);
    return MIX_OK;
}

void h5_group_close(struct h5_group *group)
{
    h5_close(group->id);
    group->id = -1;
}

void h5_list_free(char **names, size_t n_names)
{
    for (size_t i = 0; i < n_names; i++)
        free(names[i]);
    free(names);
}

enum mix_status h5_list(const struct h5_group *group, char ***names, size_t *n_names,
                        struct mix_error *err)
{
    H5G_info_t info;
    if (H5Gget_info(group->id, &info) < 0)
        return fail_read(group, "", "cannot be listed", err);
    char **list = calloc((size_t)info.nlinks + 1, sizeof *list);
    if (list == NULL)
        return fail_memory(group, "", err);
    for (hsize_t i = 0; i < info.nlinks; i++) {
        const ssize_t length =
            H5Lget_name_by_idx(group->id, ".", H5_INDEX_NAME, H5_ITER_INC, i, NULL, 0, H5P_DEFAULT);
        list[i] = length < 0 ? NULL : malloc((size_t)length + 1);
        if (list[i] == NULL || H5Lget_name_by_idx(group->id, ".", H5_INDEX_NAME, H5_ITER_INC, i,
                                                  list[i], (size_t)length + 1, H5P_DEFAULT) < 0) {
            h5_list_free(list, (size_t)info.nlinks);
            return fail_read(group, "", "cannot be listed", err);
        }
    }
    *names = list;
    *n_names = (size_t)info.nlinks;
    return MIX_OK;
}

static hid_t text_type(size_t width)
{
    const hid_t type = H5Tcopy(H5T_C_S1);
    if (type >= 0 && (H5Tset_size(type, width) < 0 || H5Tset_cset(type, H5T_CSET_UTF8) < 0)) {
        h5_close(type);
        return -1;
    }
    return type;
}

/* The type in memory (native) or in the file (little-endian); close it. */
static hid_t make_type(enum h5_type type, size_t width, bool native)
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
static hid_t reading_type(const struct h5_field *field, hid_t found)
{
    const hid_t type = make_type(field->type, field->width, true);
    if (type >= 0 && found >= 0 && H5Tget_class(found) == H5T_STRING &&
        H5Tget_class(type) == H5T_STRING)
        H5Tset_cset(type, H5Tget_cset(found));
    return type;
}

/* Bytes of an element in the buffer that HDF5 sees. */
static size_t element_bytes(const struct h5_field *field)
{
    return field->type == H5_KEY ? KEY_TEXT : field->width;
}

/* Whether a type of the file is what we write; texts may be shorter. */
static bool type_suits(hid_t found, enum h5_type type, size_t width)
{
    const size_t size = H5Tget_size(found);
    if (type == H5_TEXT || type == H5_KEY) {
        const size_t room = type == H5_KEY ? KEY_TEXT : width;
        if (H5Tget_class(found) != H5T_STRING || H5Tis_variable_str(found) != 0)
            return false;
        return H5Tget_strpad(found) == H5T_STR_NULLTERM ? size <= room : size < room;
    }
    const hid_t wanted = make_type(type, width, false);
    const bool same =
        H5Tget_class(found) == H5Tget_class(wanted) && size == H5Tget_size(wanted) &&
        (type == H5_DOUBLE || type == H5_FLOAT || H5Tget_sign(found) == H5Tget_sign(wanted));
    h5_close(wanted);
    return same;
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

static void gather(const struct h5_field *field, const uint8_t *from, uint8_t *to, size_t n)
{
    const size_t width = element_bytes(field);
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

/* False where a text has no end or a key is none. */
static bool scatter(const struct h5_field *field, const uint8_t *from, uint8_t *to, size_t n)
{
    const size_t width = element_bytes(field);
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

static int rank_of(const struct h5_field *field)
{
    int rank = 0;
    while (rank < H5_RANK_MAX && field->dim[rank] != NO_DIM)
        rank++;
    return rank;
}

/* Number of elements, or SIZE_MAX where memory could not hold them. */
static size_t n_elements(const struct h5_field *field, const struct h5_dim *dims)
{
    size_t n = 1;
    for (int d = 0; d < rank_of(field); d++) {
        const size_t length = dims[field->dim[d]].n;
        if (length > 0 && n > SIZE_MAX / 1024 / length / element_bytes(field))
            return SIZE_MAX;
        n *= length;
    }
    return n;
}

/* Rows of at least 64 to a chunk, more where they are short. */
static size_t chunk_rows(size_t row_bytes)
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
    chunk[0] = chunk_rows(row_bytes);
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

static bool write_attribute(hid_t object, const char *name, hid_t file_type, hid_t memory_type,
                            const void *value)
{
    const hid_t space = H5Screate(H5S_SCALAR);
    const hid_t attribute = H5Acreate2(object, name, file_type, space, H5P_DEFAULT, H5P_DEFAULT);
    const bool ok = attribute >= 0 && H5Awrite(attribute, memory_type, value) >= 0;
    h5_close(attribute);
    h5_close(space);
    return ok;
}

static bool write_text_attribute(hid_t object, const char *name, const char *text)
{
    const hid_t type = text_type(strlen(text) + 1);
    const bool ok = type >= 0 && write_attribute(object, name, type, type, text);
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

/* Make a dataset with its scales and its unit; a negative id where that fails. */
static hid_t create_dataset(const struct h5_group *group, const struct h5_field *field,
                            const struct h5_dim *dims)
{
    const int rank = rank_of(field);
    hsize_t extent[H5_RANK_MAX], limit[H5_RANK_MAX];
    const struct h5_dim *along[H5_RANK_MAX];
    for (int d = 0; d < rank; d++) {
        along[d] = &dims[field->dim[d]];
        extent[d] = along[d]->n;
        /* a fixed extent of 0 would allow no chunk */
        limit[d] = d > 0 && extent[d] > 0 ? extent[d] : H5S_UNLIMITED;
    }
    const hid_t space = H5Screate_simple(rank, extent, limit);
    const hid_t properties = array_properties(extent, rank, element_bytes(field));
    const hid_t type = make_type(field->type, field->width, false);
    hid_t dataset =
        H5Dcreate2(group->id, field->name, type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    h5_close(type);
    h5_close(properties);
    h5_close(space);
    if (dataset >= 0 &&
        (!attach_scales(group, dataset, field->name, along, rank) ||
         (field->unit != NULL && !write_text_attribute(dataset, "units", field->unit)))) {
        h5_close(dataset);
        return -1;
    }
    return dataset;
}

/* Write a packed buffer as a new dataset. */
static enum mix_status write_dataset(const struct h5_group *group, const struct h5_field *field,
                                     const struct h5_dim *dims, const void *buffer,
                                     struct mix_error *err)
{
    const hid_t dataset = create_dataset(group, field, dims);
    const hid_t type = make_type(field->type, field->width, true);
    const bool ok =
        dataset >= 0 && H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, buffer) >= 0;
    h5_close(type);
    h5_close(dataset);
    return ok ? MIX_OK : fail_write(group, field->name, err);
}

static const uint8_t *array_of(const struct h5_field *field, const void *object)
{
    const uint8_t *at = (const uint8_t *)object + field->offset;
    if (field->place == H5_POINTER_AT) {
        const uint8_t *array;
        memcpy(&array, at, sizeof array);
        at = array;
    }
    return at == NULL ? NULL : at + field->inner;
}

static enum mix_status write_array(const struct h5_group *group, const void *object,
                                   const struct h5_field *field, const struct h5_dim *dims,
                                   struct mix_error *err)
{
    const size_t n = n_elements(field, dims);
    uint8_t *buffer = n == SIZE_MAX ? NULL : malloc(n * element_bytes(field) + 1);
    if (buffer == NULL)
        return fail_memory(group, field->name, err);
    if (n > 0)
        gather(field, array_of(field, object), buffer, n);
    const enum mix_status status = write_dataset(group, field, dims, buffer, err);
    free(buffer);
    return status;
}

static enum mix_status write_scalar(const struct h5_group *group, const void *object,
                                    const struct h5_field *field, struct mix_error *err)
{
    const uint8_t *value = (const uint8_t *)object + field->offset;
    if (field->type == H5_TEXT)
        return h5_write_text(group, field->name, (const char *)value, err);
    char key[KEY_TEXT];
    if (field->type == H5_KEY) {
        gather(field, value, (uint8_t *)key, 1);
        return h5_write_text(group, field->name, key, err);
    }
    const hid_t file_type = make_type(field->type, field->width, false);
    const hid_t memory_type = make_type(field->type, field->width, true);
    const bool ok = write_attribute(group->id, field->name, file_type, memory_type, value);
    h5_close(file_type);
    h5_close(memory_type);
    return ok ? MIX_OK : fail_write(group, field->name, err);
}

enum mix_status h5_write(const struct h5_group *group, const void *object,
                         const struct h5_field *fields, size_t n_fields, const struct h5_dim *dims,
                         struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    for (size_t f = 0; f < n_fields && status == MIX_OK; f++)
        status = fields[f].place == H5_SCALAR_AT
                     ? write_scalar(group, object, &fields[f], err)
                     : write_array(group, object, &fields[f], dims, err);
    return status;
}

enum mix_status h5_annotate(const struct h5_group *group, const struct h5_note *notes,
                            size_t n_notes, struct mix_error *err)
{
    for (size_t i = 0; i < n_notes; i++) {
        const hid_t object = H5Oopen(group->id, notes[i].object, H5P_DEFAULT);
        const bool ok =
            object >= 0 && write_text_attribute(object, notes[i].attribute, notes[i].text);
        h5_close(object);
        if (!ok)
            return fail_write(group, notes[i].object, err);
    }
    return MIX_OK;
}

/* Check the attribute's type and read it into `room` bytes. */
static enum mix_status read_scalar(const struct h5_group *group, void *object,
                                   const struct h5_field *field, struct mix_error *err)
{
    if (H5Aexists(group->id, field->name) <= 0)
        return mix_fail(err, MIX_EFORMAT, "%s: %s has no attribute %s", group->file,
                        group->path[0] != '\0' ? group->path : "/", field->name);
    uint8_t small[MIX_TEXT_MAX];
    const size_t room = element_bytes(field);
    uint8_t *buffer = room <= sizeof small ? small : malloc(room);
    if (buffer == NULL)
        return fail_memory(group, field->name, err);
    const hid_t attribute = H5Aopen(group->id, field->name, H5P_DEFAULT);
    const hid_t space = attribute < 0 ? -1 : H5Aget_space(attribute);
    const hid_t type = attribute < 0 ? -1 : H5Aget_type(attribute);
    const hid_t memory_type = reading_type(field, type);
    enum mix_status status = MIX_OK;
    if (space < 0 || type < 0 || H5Sget_simple_extent_type(space) != H5S_SCALAR ||
        !type_suits(type, field->type, field->width))
        status = fail_read(group, field->name, "(attribute) has a wrong type or shape", err);
    else if (H5Aread(attribute, memory_type, buffer) < 0)
        status = fail_read(group, field->name, "(attribute) cannot be read", err);
    else if (!scatter(field, buffer, (uint8_t *)object + field->offset, 1))
        status = fail_read(group, field->name, "(attribute) is not a text that ends", err);
    h5_close(memory_type);
    h5_close(type);
    h5_close(space);
    h5_close(attribute);
    if (buffer != small)
        free(buffer);
    return status;
}

static hid_t open_dataset(const struct h5_group *group, const char *name, struct mix_error *err)
{
    const bool exists = H5Lexists(group->id, name, H5P_DEFAULT) > 0;
    const hid_t id = exists ? H5Oopen(group->id, name, H5P_DEFAULT) : -1;
    if (id < 0 || H5Iget_type(id) != H5I_DATASET) {
        fail_read(group, name, exists ? "is not a readable dataset" : "is missing", err);
        h5_close(id);
        return -1;
    }
    return id;
}

/* Rank and extents of a dataset; -1 where it has more than four dimensions or is not simple. */
static int shape_of(hid_t dataset, hsize_t extent[H5_RANK_MAX])
{
    const hid_t space = H5Dget_space(dataset);
    int rank = space < 0 || H5Sis_simple(space) <= 0 ? -1 : H5Sget_simple_extent_ndims(space);
    if (rank < 1 || rank > H5_RANK_MAX || H5Sget_simple_extent_dims(space, extent, NULL) < 0)
        rank = -1;
    h5_close(space);
    return rank;
}

static enum mix_status check_shape(const struct h5_group *group, hid_t dataset,
                                   const struct h5_field *field, const struct h5_dim *dims,
                                   struct mix_error *err)
{
    hsize_t extent[H5_RANK_MAX] = {0};
    const int rank = shape_of(dataset, extent), wanted = rank_of(field);
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
static bool holds_its_data(hid_t dataset, size_t n_bytes)
{
    return n_bytes <= CHUNK_BYTES * 16 ||
           n_bytes / DEFLATE_RATIO_MAX <= (size_t)H5Dget_storage_size(dataset);
}

/* HDF5 1.10 reads past a stored chunk that skips its filters (deflate that does not pay off) but is
 * shorter than a chunk: the chunk index has no checksum. */
static bool chunks_are_whole(hid_t dataset, hid_t type)
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

/* Whether a dataset is what the field says, and has its data. */
static enum mix_status check_array(const struct h5_group *group, hid_t dataset,
                                   const struct h5_field *field, const struct h5_dim *dims,
                                   struct mix_error *err)
{
    const hid_t type = H5Dget_type(dataset);
    const size_t n = n_elements(field, dims);
    enum mix_status status = check_shape(group, dataset, field, dims, err);
    if (status == MIX_OK && (type < 0 || !type_suits(type, field->type, field->width)))
        status = fail_read(group, field->name, "has a wrong type", err);
    else if (status == MIX_OK &&
             (n == SIZE_MAX || !holds_its_data(dataset, n * element_bytes(field)) ||
              !chunks_are_whole(dataset, type)))
        status = fail_read(group, field->name, "lacks its data", err);
    h5_close(type);
    return status;
}

/* The type in memory for the dataset of a field; close it. */
static hid_t dataset_reading_type(const struct h5_field *field, hid_t dataset)
{
    const hid_t found = H5Dget_type(dataset);
    const hid_t type = reading_type(field, found);
    h5_close(found);
    return type;
}

static enum mix_status read_array(const struct h5_group *group, void *object,
                                  const struct h5_field *field, const struct h5_dim *dims,
                                  struct mix_error *err)
{
    const hid_t dataset = open_dataset(group, field->name, err);
    if (dataset < 0)
        return MIX_EFORMAT;
    const size_t n = n_elements(field, dims);
    enum mix_status status = check_array(group, dataset, field, dims, err);
    const hid_t type = dataset_reading_type(field, dataset);
    uint8_t *buffer = status == MIX_OK ? malloc(n * element_bytes(field) + 1) : NULL;
    if (status == MIX_OK && buffer == NULL)
        status = fail_memory(group, field->name, err);
    else if (status == MIX_OK && H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, buffer) < 0)
        status = fail_read(group, field->name, "cannot be read", err);
    /* array_of() is const for writers; the object is ours to fill. */
    else if (status == MIX_OK && n > 0 &&
             !scatter(field, buffer, (uint8_t *)array_of(field, object), n))
        status = fail_read(group, field->name, "holds a text without end or a bad key", err);
    free(buffer);
    h5_close(type);
    h5_close(dataset);
    return status;
}

enum mix_status h5_read(const struct h5_group *group, void *object, const struct h5_field *fields,
                        size_t n_fields, const struct h5_dim *dims, struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    for (size_t f = 0; f < n_fields && status == MIX_OK; f++)
        status = fields[f].place == H5_SCALAR_AT ? read_scalar(group, object, &fields[f], err)
                                                 : read_array(group, object, &fields[f], dims, err);
    return status;
}

bool h5_has_any(const struct h5_group *group, const struct h5_field *fields, size_t n_fields)
{
    bool any = false;
    for (size_t f = 0; f < n_fields; f++)
        any = any || (fields[f].place == H5_SCALAR_AT
                          ? H5Aexists(group->id, fields[f].name)
                          : H5Lexists(group->id, fields[f].name, H5P_DEFAULT)) != 0;
    return any;
}

enum mix_status h5_extent(const struct h5_group *group, const char *name, size_t min, size_t max,
                          size_t *n, struct mix_error *err)
{
    const hid_t dataset = open_dataset(group, name, err);
    if (dataset < 0)
        return MIX_EFORMAT;
    hsize_t extent[H5_RANK_MAX] = {0};
    const int rank = shape_of(dataset, extent);
    const bool whole = rank != 1 || extent[0] > max || holds_its_data(dataset, (size_t)extent[0]);
    h5_close(dataset);
    if (!whole)
        return fail_read(group, name, "lacks its data", err);
    if (rank != 1 || extent[0] < min || extent[0] > max)
        return mix_fail(err, MIX_EFORMAT, "%s: %s/%s must have one dimension of %zu to %zu entries",
                        group->file, group->path, name, min, max);
    *n = (size_t)extent[0];
    return MIX_OK;
}

enum mix_status h5_write_index(const struct h5_group *group, const char *name, size_t n,
                               struct mix_error *err)
{
    uint64_t *index = malloc(n * sizeof *index + 1);
    if (index == NULL)
        return fail_memory(group, name, err);
    for (size_t i = 0; i < n; i++)
        index[i] = i;
    const struct h5_dim dim = {name, n, name};
    const struct h5_field field = {
        .name = name, .type = H5_UINT64, .width = sizeof *index, .dim = {0, NO_DIM}};
    const enum mix_status status = write_dataset(group, &field, &dim, index, err);
    free(index);
    return status;
}

enum mix_status h5_write_names(const struct h5_group *group, const char *name, size_t n,
                               size_t width, const void *names, struct mix_error *err)
{
    const struct h5_dim dim = {name, n, name};
    const struct h5_field field = {
        .name = name, .type = H5_TEXT, .width = width, .dim = {0, NO_DIM}};
    return write_dataset(group, &field, &dim, names, err);
}

enum mix_status h5_write_text(const struct h5_group *group, const char *name, const char *text,
                              struct mix_error *err)
{
    return write_text_attribute(group->id, name, text) ? MIX_OK : fail_write(group, name, err);
}

/* Size of the fixed-length text type, or 0 where it is none or too long. */
static size_t text_width(hid_t type)
{
    if (type < 0 || H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) != 0)
        return 0;
    const size_t width = H5Tget_size(type);
    return width < TEXT_MAX ? width + 1 : 0; /* room for the end where the file has none */
}

enum mix_status h5_read_text(const struct h5_group *group, const char *name, char **text,
                             struct mix_error *err)
{
    const hid_t attribute =
        H5Aexists(group->id, name) > 0 ? H5Aopen(group->id, name, H5P_DEFAULT) : -1;
    const hid_t type = attribute < 0 ? -1 : H5Aget_type(attribute);
    const size_t width = text_width(type);
    h5_close(type);
    h5_close(attribute);
    if (width == 0)
        return fail_read(group, name, "(attribute) is missing or not a text", err);
    char *t = malloc(width);
    if (t == NULL)
        return fail_memory(group, name, err);
    const struct h5_field field = {
        .name = name, .type = H5_TEXT, .width = width, .dim = {NO_DIM, NO_DIM}};
    const enum mix_status status = read_scalar(group, t, &field, err);
    if (status == MIX_OK)
        *text = t;
    else
        free(t);
    return status;
}

/* ---- columns in blocks of rows */

static bool select_rows(hid_t dataset, size_t first, size_t n, hid_t *memory, hid_t *file)
{
    hsize_t start[H5_RANK_MAX] = {0}, count[H5_RANK_MAX] = {0};
    const int rank = shape_of(dataset, count);
    if (rank < 1)
        return false;
    start[0] = first;
    count[0] = n;
    *file = H5Dget_space(dataset);
    *memory = H5Screate_simple(rank, count, NULL);
    return *file >= 0 && *memory >= 0 &&
           H5Sselect_hyperslab(*file, H5S_SELECT_SET, start, NULL, count, NULL) >= 0;
}

/* Write or read rows first ... first + n of a dataset. */
static bool move_rows(hid_t dataset, hid_t type, size_t first, size_t n, void *buffer, bool writes)
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
        return fail_memory(group, "", err);
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
        else if ((columns->dataset[f] = create_dataset(group, &fields[f], dims)) < 0)
            status = fail_write(group, fields[f].name, err);
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
        columns->dataset[f] = open_dataset(group, fields[f].name, err);
        status = columns->dataset[f] < 0
                     ? MIX_EFORMAT
                     : check_array(group, columns->dataset[f], &fields[f], dims, err);
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
    for (int d = 1; d < rank_of(field); d++)
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
        const size_t n_bytes = n_values * element_bytes(field);
        if (columns->dataset[f] < 0 || n_values == 0)
            continue;
        if (n_bytes > columns->n_buffer) {
            free(columns->buffer);
            columns->buffer = malloc(n_bytes);
            columns->n_buffer = columns->buffer != NULL ? n_bytes : 0;
        }
        if (columns->buffer == NULL)
            return fail_memory(columns->group, field->name, err);
        uint8_t *array = (uint8_t *)array_of(field, object);
        const hid_t type = writes ? make_type(field->type, field->width, true)
                                  : dataset_reading_type(field, columns->dataset[f]);
        if (writes)
            gather(field, array, columns->buffer, n_values);
        if (!move_rows(columns->dataset[f], type, first, n, columns->buffer, writes))
            status = writes ? fail_write(columns->group, field->name, err)
                            : fail_read(columns->group, field->name, "cannot be read", err);
        else if (!writes && !scatter(field, columns->buffer, array, n_values))
            status = fail_read(columns->group, field->name, "holds a text without end or a bad key",
                               err);
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

/* ---- texts: a column is as wide as its longest one, and is carried block by block */

static size_t longest(char *const *texts, size_t n)
{
    size_t width = 1;
    for (size_t i = 0; i < n; i++)
        if (texts[i] != NULL && strlen(texts[i]) >= width)
            width = strlen(texts[i]) + 1;
    return width;
}

/* Room for a block of whole chunks. */
static bool open_block(struct h5_texts *texts, const struct h5_field *field, hid_t found,
                       size_t n_rows)
{
    const size_t width = field->width;
    const size_t rows = chunk_rows(width), n_chunks = BLOCK_BYTES / (rows * width) + 1;
    texts->width = width;
    texts->n_rows = rows * n_chunks < n_rows ? rows * n_chunks : n_rows;
    texts->type = reading_type(field, found);
    texts->packed = malloc(texts->n_rows * width + 1);
    return texts->type >= 0 && texts->packed != NULL;
}

void h5_texts_close(struct h5_texts *texts)
{
    free(texts->packed);
    h5_close(texts->type);
    h5_close(texts->dataset);
    *texts = (struct h5_texts){.dataset = -1, .type = -1};
}

enum mix_status h5_texts_create(const struct h5_group *group, const char *name,
                                const struct h5_dim *dim, size_t width, struct h5_texts *texts,
                                struct mix_error *err)
{
    const struct h5_field field = {
        .name = name, .type = H5_TEXT, .width = width, .dim = {0, NO_DIM}};
    *texts = (struct h5_texts){.group = group, .name = name, .dataset = -1, .type = -1};
    if (width >= TEXT_MAX)
        return mix_fail(err, MIX_EINVAL, "%s: %s/%s has a text of %zu bytes; %d are allowed",
                        group->file, group->path, name, width - 1, TEXT_MAX - 2);
    texts->dataset = create_dataset(group, &field, dim);
    if (texts->dataset < 0)
        return fail_write(group, name, err);
    return open_block(texts, &field, -1, dim->n) ? MIX_OK : fail_memory(group, name, err);
}

enum mix_status h5_texts_write(const struct h5_texts *texts, char *const *from, size_t first,
                               size_t n, struct mix_error *err)
{
    for (size_t at = 0, m; at < n; at += m) {
        m = n - at < texts->n_rows ? n - at : texts->n_rows;
        for (size_t i = 0; i < m; i++) /* strncpy pads with zeros */
            strncpy(texts->packed + i * texts->width, from[at + i] != NULL ? from[at + i] : "",
                    texts->width);
        if (!move_rows(texts->dataset, texts->type, first + at, m, texts->packed, true))
            return fail_write(texts->group, texts->name, err);
    }
    return MIX_OK;
}

enum mix_status h5_write_texts(const struct h5_group *group, const char *name,
                               const struct h5_dim *dim, char *const *texts, struct mix_error *err)
{
    struct h5_texts column;
    enum mix_status status =
        h5_texts_create(group, name, dim, longest(texts, dim->n), &column, err);
    if (status == MIX_OK)
        status = h5_texts_write(&column, texts, 0, dim->n, err);
    h5_texts_close(&column);
    return status;
}

enum mix_status h5_texts_open(const struct h5_group *group, const char *name,
                              const struct h5_dim *dim, struct h5_texts *texts,
                              struct mix_error *err)
{
    *texts = (struct h5_texts){.group = group, .name = name, .dataset = -1, .type = -1};
    texts->dataset = open_dataset(group, name, err);
    if (texts->dataset < 0)
        return MIX_EFORMAT;
    const hid_t type = H5Dget_type(texts->dataset);
    const size_t width = text_width(type);
    const struct h5_field field = {
        .name = name, .type = H5_TEXT, .width = width, .dim = {0, NO_DIM}};
    enum mix_status status = check_shape(group, texts->dataset, &field, dim, err);
    if (status == MIX_OK && (width == 0 || dim->n > SIZE_MAX / TEXT_MAX / 2 ||
                             !holds_its_data(texts->dataset, dim->n * width) ||
                             !chunks_are_whole(texts->dataset, type)))
        status = fail_read(group, name, "is not a column of texts", err);
    if (status == MIX_OK && !open_block(texts, &field, type, dim->n))
        status = fail_memory(group, name, err);
    h5_close(type);
    return status;
}

enum mix_status h5_texts_read(const struct h5_texts *texts, char **to, size_t first, size_t n,
                              struct mix_error *err)
{
    for (size_t at = 0, m; at < n; at += m) {
        m = n - at < texts->n_rows ? n - at : texts->n_rows;
        if (!move_rows(texts->dataset, texts->type, first + at, m, texts->packed, false))
            return fail_read(texts->group, texts->name, "cannot be read", err);
        for (size_t i = 0; i < m; i++) {
            const char *text = texts->packed + i * texts->width;
            if (memchr(text, 0, texts->width) == NULL)
                return fail_read(texts->group, texts->name, "holds a text without end", err);
            if (text[0] != '\0' && (to[at + i] = strdup(text)) == NULL)
                return fail_memory(texts->group, texts->name, err);
        }
    }
    return MIX_OK;
}

enum mix_status h5_read_texts(const struct h5_group *group, const char *name,
                              const struct h5_dim *dim, char **texts, struct mix_error *err)
{
    struct h5_texts column;
    enum mix_status status = h5_texts_open(group, name, dim, &column, err);
    if (status == MIX_OK)
        status = h5_texts_read(&column, texts, 0, dim->n, err);
    h5_texts_close(&column);
    return status;
}

/* An attribute and where its copy goes. */
struct carried {
    hid_t to;
    size_t n_left; /* could not be copied */
};

static bool copy_attribute(hid_t from, const char *name, hid_t to)
{
    const hid_t attribute = H5Aopen(from, name, H5P_DEFAULT);
    const hid_t space = attribute < 0 ? -1 : H5Aget_space(attribute);
    const hid_t found = attribute < 0 ? -1 : H5Aget_type(attribute);
    const hid_t type = found < 0 ? -1 : H5Tcopy(found); /* of its own: found may be a named one */
    const hssize_t n = space < 0 ? -1 : H5Sget_simple_extent_npoints(space);
    const size_t size = type < 0 ? 0 : H5Tget_size(type);
    /* References would point into the old file. */
    bool ok = n >= 0 && size > 0 && (size_t)n <= ATTRIBUTE_MAX / size &&
              H5Tdetect_class(type, H5T_REFERENCE) == 0;
    void *buffer = ok ? calloc((size_t)n + 1, size) : NULL;
    ok = buffer != NULL && H5Aread(attribute, type, buffer) >= 0;
    if (ok) {
        const hid_t copy = H5Acreate2(to, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
        ok = copy >= 0 && H5Awrite(copy, type, buffer) >= 0;
        h5_close(copy);
        H5Dvlen_reclaim(type, space, H5P_DEFAULT, buffer);
    }
    free(buffer);
    h5_close(type);
    h5_close(found);
    h5_close(space);
    h5_close(attribute);
    return ok;
}

static herr_t carry_attribute(hid_t from, const char *name, const H5A_info_t *info, void *context)
{
    (void)info;
    struct carried *carried = context;
    if (H5Aexists(carried->to, name) == 0)
        carried->n_left += !copy_attribute(from, name, carried->to);
    return 0;
}

size_t h5_carry_attributes(const struct h5_group *from, const struct h5_group *to)
{
    struct carried carried = {.to = to->id};
    hsize_t at = 0;
    if (H5Aiterate2(from->id, H5_INDEX_NAME, H5_ITER_INC, &at, carry_attribute, &carried) < 0)
        carried.n_left++;
    return carried.n_left;
}

/* An object, its copy in the other file, and the dataset of the copy that gets its scales. */
struct rescale {
    hid_t from, to, target;
};

static herr_t drop_reference_lists(hid_t root, const char *path, const H5O_info_t *info,
                                   void *context)
{
    (void)context;
    if (info->type != H5O_TYPE_DATASET)
        return 0;
    const char *const lists[] = {"DIMENSION_LIST", "REFERENCE_LIST"};
    for (int i = 0; i < 2; i++)
        if (H5Aexists_by_name(root, path, lists[i], H5P_DEFAULT) > 0 &&
            H5Adelete_by_name(root, path, lists[i], H5P_DEFAULT) < 0)
            return -1;
    return 0;
}

static herr_t attach_same(hid_t dataset, unsigned dim, hid_t scale, void *context)
{
    (void)dataset;
    const struct rescale *r = context;
    char path[2 * MIX_TEXT_MAX];
    const ssize_t length = H5Iget_name(scale, path, sizeof path);
    if (length <= 0 || (size_t)length >= sizeof path)
        return -1;
    /* A scale outside what was copied is left off. */
    const hid_t copy = H5Dopen2(r->to, path, H5P_DEFAULT);
    const herr_t result = copy < 0 ? 0 : H5DSattach_scale(r->target, copy, dim);
    h5_close(copy);
    return result;
}

static herr_t attach_again(hid_t root, const char *path, const H5O_info_t *info, void *context)
{
    struct rescale *r = context;
    if (info->type != H5O_TYPE_DATASET ||
        H5Aexists_by_name(root, path, "DIMENSION_LIST", H5P_DEFAULT) <= 0)
        return 0;
    const hid_t dataset = H5Dopen2(root, path, H5P_DEFAULT);
    hsize_t extent[H5_RANK_MAX];
    const int rank = dataset < 0 ? -1 : shape_of(dataset, extent);
    herr_t result = rank < 0 ? -1 : 0;
    r->target = rank < 0 ? -1 : H5Dopen2(r->to, path, H5P_DEFAULT);
    for (int d = 0; d < rank && result >= 0; d++)
        result = H5DSiterate_scales(dataset, (unsigned)d, NULL, attach_same, r);
    h5_close(r->target);
    h5_close(dataset);
    return result < 0 ? -1 : 0;
}

/* ---- copying: ourselves where we know how, since H5Ocopy() of damaged objects may crash */

enum { DEPTH_MAX = 16, RANK_MAX = 32 };

static bool copy_object(hid_t from, const char *name, hid_t to, int depth);

/* References are those of scales, which are attached anew; others would point into the old file. */
static herr_t copy_one_attribute(hid_t from, const char *name, const H5A_info_t *info,
                                 void *context)
{
    (void)info;
    const hid_t *to = context;
    if (strcmp(name, "DIMENSION_LIST") != 0 && strcmp(name, "REFERENCE_LIST") != 0)
        (void)copy_attribute(from, name, *to);
    return 0;
}

static bool copy_attributes(hid_t from, hid_t to)
{
    hsize_t at = 0;
    return H5Aiterate2(from, H5_INDEX_NAME, H5_ITER_INC, &at, copy_one_attribute, &to) >= 0;
}

#if H5_VERSION_GE(1, 10, 5)
/* Copy the stored chunks as they are. Their sizes are checked against the file's. */
static bool copy_chunks(hid_t from, hid_t space, hid_t to)
{
    hsize_t n_chunks = 0, n_file = 0;
    const hid_t file = H5Iget_file_id(from);
    bool ok = file >= 0 && H5Fget_filesize(file, &n_file) >= 0 &&
              H5Dget_num_chunks(from, space, &n_chunks) >= 0;
    h5_close(file);
    for (hsize_t i = 0; i < n_chunks && ok; i++) {
        unsigned skipped = 0;
        hsize_t offset[RANK_MAX] = {0}, size = 0;
        haddr_t address = 0;
        ok = H5Dget_chunk_info(from, space, i, offset, &skipped, &address, &size) >= 0 &&
             size > 0 && size <= n_file && address <= n_file - size;
        uint32_t filters = 0;
        void *bytes = ok ? malloc((size_t)size) : NULL;
        ok = bytes != NULL && H5Dread_chunk(from, H5P_DEFAULT, offset, &filters, bytes) >= 0 &&
             H5Dwrite_chunk(to, H5P_DEFAULT, filters, offset, (size_t)size, bytes) >= 0;
        free(bytes);
    }
    return ok;
}

/* A chunked dataset of plain numbers or texts. */
static bool is_plain(hid_t type, hid_t space, hid_t properties)
{
    return type >= 0 && space >= 0 && properties >= 0 && H5Sis_simple(space) > 0 &&
           H5Sget_simple_extent_ndims(space) <= RANK_MAX &&
           H5Pget_layout(properties) == H5D_CHUNKED && H5Tcommitted(type) == 0 &&
           H5Tdetect_class(type, H5T_VLEN) == 0 && H5Tdetect_class(type, H5T_REFERENCE) == 0 &&
           H5Tis_variable_str(type) == 0 && H5Tget_class(type) != H5T_COMPOUND;
}
#endif

static bool copy_dataset(hid_t from, hid_t parent, const char *name, hid_t to)
{
#if H5_VERSION_GE(1, 10, 5)
    const hid_t type = H5Dget_type(from), space = H5Dget_space(from);
    const hid_t properties = H5Dget_create_plist(from);
    const bool plain = is_plain(type, space, properties);
    const hid_t copy =
        plain ? H5Dcreate2(to, name, type, space, H5P_DEFAULT, properties, H5P_DEFAULT) : -1;
    const bool ok = plain
                        ? copy >= 0 && copy_chunks(from, space, copy) && copy_attributes(from, copy)
                        : H5Ocopy(parent, name, to, name, H5P_DEFAULT, H5P_DEFAULT) >= 0;
    h5_close(copy);
    h5_close(properties);
    h5_close(space);
    h5_close(type);
    return ok;
#else
    (void)from;
    return H5Ocopy(parent, name, to, name, H5P_DEFAULT, H5P_DEFAULT) >= 0;
#endif
}

static bool copy_group(hid_t from, const char *name, hid_t to, int depth)
{
    const struct h5_group group = {.id = from, .file = ""};
    char **names = NULL;
    size_t n = 0;
    const hid_t copy =
        depth < DEPTH_MAX ? H5Gcreate2(to, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT) : -1;
    bool ok =
        copy >= 0 && h5_list(&group, &names, &n, NULL) == MIX_OK && copy_attributes(from, copy);
    for (size_t i = 0; i < n && ok; i++)
        ok = copy_object(from, names[i], copy, depth + 1);
    if (names != NULL)
        h5_list_free(names, n);
    h5_close(copy);
    return ok;
}

/* A link that names what it leads to stays one. */
static bool copy_link(hid_t from, const char *name, size_t n_bytes, bool is_soft, hid_t to)
{
    const char *file = NULL, *object = NULL;
    unsigned flags = 0;
    char *value = calloc(1, n_bytes + 1);
    bool ok = value != NULL && H5Lget_val(from, name, value, n_bytes, H5P_DEFAULT) >= 0;
    if (ok && is_soft)
        ok = H5Lcreate_soft(value, to, name, H5P_DEFAULT, H5P_DEFAULT) >= 0;
    else if (ok)
        ok = H5Lunpack_elink_val(value, n_bytes, &flags, &file, &object) >= 0 &&
             H5Lcreate_external(file, object, to, name, H5P_DEFAULT, H5P_DEFAULT) >= 0;
    free(value);
    return ok;
}

static bool copy_object(hid_t from, const char *name, hid_t to, int depth)
{
    H5L_info_t link;
    if (H5Lget_info(from, name, &link, H5P_DEFAULT) < 0)
        return false;
    if (link.type == H5L_TYPE_SOFT || link.type == H5L_TYPE_EXTERNAL)
        return link.u.val_size < BLOCK_BYTES &&
               copy_link(from, name, link.u.val_size, link.type == H5L_TYPE_SOFT, to);
    const hid_t object = H5Oopen(from, name, H5P_DEFAULT);
    const H5I_type_t type = object < 0 ? H5I_BADID : H5Iget_type(object);
    bool ok = false;
    if (type == H5I_GROUP)
        ok = copy_group(object, name, to, depth);
    else if (type == H5I_DATASET)
        ok = copy_dataset(object, from, name, to);
    else if (object >= 0)
        ok = H5Ocopy(from, name, to, name, H5P_DEFAULT, H5P_DEFAULT) >= 0;
    h5_close(object);
    return ok;
}

enum mix_status h5_copy(const struct h5_group *from, const char *name, const struct h5_group *to,
                        struct mix_error *err)
{
    struct rescale r = {.from = -1, .to = -1, .target = -1};
    enum mix_status status = MIX_OK;
    H5L_info_t link;
    if (copy_object(from->id, name, to->id, 0)) {
        if (H5Lget_info(from->id, name, &link, H5P_DEFAULT) >= 0 && link.type != H5L_TYPE_HARD)
            return MIX_OK;
        r.from = H5Oopen(from->id, name, H5P_DEFAULT);
        r.to = H5Oopen(to->id, name, H5P_DEFAULT);
    }
    if (r.from < 0 || r.to < 0 ||
        H5Ovisit(r.to, H5_INDEX_NAME, H5_ITER_INC, drop_reference_lists, NULL) < 0 ||
        H5Ovisit(r.from, H5_INDEX_NAME, H5_ITER_INC, attach_again, &r) < 0)
        status = fail_read(from, name, "is damaged and cannot be copied into the new file", err);
    h5_close(r.from);
    h5_close(r.to);
    return status;
}
