/* SPDX-License-Identifier: GPL-3.0-or-later */
/* h5io.c - see h5io.h: groups, and structs written and read whole. */
#include "store/h5io_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(size_t) == sizeof(uint64_t), "sizes are stored as 64-bit numbers");
_Static_assert(sizeof(int) == sizeof(int32_t), "int is stored as 32-bit number");

void h5_close(hid_t id)
{
    if (id >= 0)
        H5Idec_ref(id);
}

enum mix_status h5_fail_read(const struct h5_group *group, const char *name, const char *what,
                             struct mix_error *err)
{
    return mix_fail(err, MIX_EFORMAT, "%s: %s/%s %s", group->file, group->path, name, what);
}

enum mix_status h5_fail_write(const struct h5_group *group, const char *name, struct mix_error *err)
{
    return mix_fail(err, MIX_EIO, "%s: %s/%s cannot be written", group->file, group->path, name);
}

enum mix_status h5_fail_memory(const struct h5_group *group, const char *name,
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
        return h5_fail_read(parent, name, "is not a readable group", err);
    }
    enter(parent, name, id, out);
    return MIX_OK;
}

enum mix_status h5_group_create(const struct h5_group *parent, const char *name,
                                struct h5_group *out, struct mix_error *err)
{
    const hid_t id = H5Gcreate2(parent->id, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (id < 0)
        return h5_fail_write(parent, name, err);
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
        return h5_fail_read(group, "", "cannot be listed", err);
    char **list = calloc((size_t)info.nlinks + 1, sizeof *list);
    if (list == NULL)
        return h5_fail_memory(group, "", err);
    for (hsize_t i = 0; i < info.nlinks; i++) {
        const ssize_t length =
            H5Lget_name_by_idx(group->id, ".", H5_INDEX_NAME, H5_ITER_INC, i, NULL, 0, H5P_DEFAULT);
        list[i] = length < 0 ? NULL : malloc((size_t)length + 1);
        if (list[i] == NULL || H5Lget_name_by_idx(group->id, ".", H5_INDEX_NAME, H5_ITER_INC, i,
                                                  list[i], (size_t)length + 1, H5P_DEFAULT) < 0) {
            h5_list_free(list, (size_t)info.nlinks);
            return h5_fail_read(group, "", "cannot be listed", err);
        }
    }
    *names = list;
    *n_names = (size_t)info.nlinks;
    return MIX_OK;
}

static enum mix_status write_array(const struct h5_group *group, const void *object,
                                   const struct h5_field *field, const struct h5_dim *dims,
                                   struct mix_error *err)
{
    const size_t n = h5_n_elements(field, dims);
    uint8_t *buffer = n == SIZE_MAX ? NULL : malloc(n * h5_element_bytes(field) + 1);
    if (buffer == NULL)
        return h5_fail_memory(group, field->name, err);
    if (n > 0)
        h5_gather(field, h5_array_of(field, object), buffer, n);
    const enum mix_status status = h5_write_dataset(group, field, dims, buffer, err);
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
        h5_gather(field, value, (uint8_t *)key, 1);
        return h5_write_text(group, field->name, key, err);
    }
    const hid_t file_type = h5_make_type(field->type, field->width, false);
    const hid_t memory_type = h5_make_type(field->type, field->width, true);
    const bool ok = h5_write_attribute(group->id, field->name, file_type, memory_type, value);
    h5_close(file_type);
    h5_close(memory_type);
    return ok ? MIX_OK : h5_fail_write(group, field->name, err);
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
            object >= 0 && h5_write_text_attribute(object, notes[i].attribute, notes[i].text);
        h5_close(object);
        if (!ok)
            return h5_fail_write(group, notes[i].object, err);
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
    const size_t room = h5_element_bytes(field);
    uint8_t *buffer = room <= sizeof small ? small : malloc(room);
    if (buffer == NULL)
        return h5_fail_memory(group, field->name, err);
    const hid_t attribute = H5Aopen(group->id, field->name, H5P_DEFAULT);
    const hid_t space = attribute < 0 ? -1 : H5Aget_space(attribute);
    const hid_t type = attribute < 0 ? -1 : H5Aget_type(attribute);
    const hid_t memory_type = h5_reading_type(field, type);
    enum mix_status status = MIX_OK;
    if (space < 0 || type < 0 || H5Sget_simple_extent_type(space) != H5S_SCALAR ||
        !h5_type_suits(type, field->type, field->width))
        status = h5_fail_read(group, field->name, "(attribute) has a wrong type or shape", err);
    else if (H5Aread(attribute, memory_type, buffer) < 0)
        status = h5_fail_read(group, field->name, "(attribute) cannot be read", err);
    else if (!h5_scatter(field, buffer, (uint8_t *)object + field->offset, 1))
        status = h5_fail_read(group, field->name, "(attribute) is not a text that ends", err);
    h5_close(memory_type);
    h5_close(type);
    h5_close(space);
    h5_close(attribute);
    if (buffer != small)
        free(buffer);
    return status;
}

static enum mix_status read_array(const struct h5_group *group, void *object,
                                  const struct h5_field *field, const struct h5_dim *dims,
                                  struct mix_error *err)
{
    const hid_t dataset = h5_open_dataset(group, field->name, err);
    if (dataset < 0)
        return MIX_EFORMAT;
    const size_t n = h5_n_elements(field, dims);
    enum mix_status status = h5_check_array(group, dataset, field, dims, err);
    const hid_t type = h5_dataset_reading_type(field, dataset);
    uint8_t *buffer = status == MIX_OK ? malloc(n * h5_element_bytes(field) + 1) : NULL;
    if (status == MIX_OK && buffer == NULL)
        status = h5_fail_memory(group, field->name, err);
    else if (status == MIX_OK && H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, buffer) < 0)
        status = h5_fail_read(group, field->name, "cannot be read", err);
    /* h5_array_of() is const for writers; the object is ours to fill. */
    else if (status == MIX_OK && n > 0 &&
             !h5_scatter(field, buffer, (uint8_t *)h5_array_of(field, object), n))
        status = h5_fail_read(group, field->name, "holds a text without end or a bad key", err);
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
    const hid_t dataset = h5_open_dataset(group, name, err);
    if (dataset < 0)
        return MIX_EFORMAT;
    hsize_t extent[H5_RANK_MAX] = {0};
    const int rank = h5_shape_of(dataset, extent);
    const bool whole =
        rank != 1 || extent[0] > max || h5_holds_its_data(dataset, (size_t)extent[0]);
    h5_close(dataset);
    if (!whole)
        return h5_fail_read(group, name, "lacks its data", err);
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
        return h5_fail_memory(group, name, err);
    for (size_t i = 0; i < n; i++)
        index[i] = i;
    const struct h5_dim dim = {name, n, name};
    const struct h5_field field = {
        .name = name, .type = H5_UINT64, .width = sizeof *index, .dim = {0, NO_DIM}};
    const enum mix_status status = h5_write_dataset(group, &field, &dim, index, err);
    free(index);
    return status;
}

enum mix_status h5_write_names(const struct h5_group *group, const char *name, size_t n,
                               size_t width, const void *names, struct mix_error *err)
{
    const struct h5_dim dim = {name, n, name};
    const struct h5_field field = {
        .name = name, .type = H5_TEXT, .width = width, .dim = {0, NO_DIM}};
    return h5_write_dataset(group, &field, &dim, names, err);
}

enum mix_status h5_write_text(const struct h5_group *group, const char *name, const char *text,
                              struct mix_error *err)
{
    return h5_write_text_attribute(group->id, name, text) ? MIX_OK
                                                          : h5_fail_write(group, name, err);
}

enum mix_status h5_read_text(const struct h5_group *group, const char *name, char **text,
                             struct mix_error *err)
{
    const hid_t attribute =
        H5Aexists(group->id, name) > 0 ? H5Aopen(group->id, name, H5P_DEFAULT) : -1;
    const hid_t type = attribute < 0 ? -1 : H5Aget_type(attribute);
    const size_t width = h5_text_width(type);
    h5_close(type);
    h5_close(attribute);
    if (width == 0)
        return h5_fail_read(group, name, "(attribute) is missing or not a text", err);
    char *t = malloc(width);
    if (t == NULL)
        return h5_fail_memory(group, name, err);
    const struct h5_field field = {
        .name = name, .type = H5_TEXT, .width = width, .dim = {NO_DIM, NO_DIM}};
    const enum mix_status status = read_scalar(group, t, &field, err);
    if (status == MIX_OK)
        *text = t;
    else
        free(t);
    return status;
}
