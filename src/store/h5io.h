/* SPDX-License-Identifier: GPL-3.0-or-later */
/* h5io.h - structs to HDF5 groups and back, by tables of fields. Private to src/store/.
 *
 * A field is a scalar of a struct (kept as an attribute) or an array of one to four dimensions
 * (kept as a dataset: chunked, shuffled, deflated, first dimension unlimited, dimension scales
 * attached). Reading trusts nothing: every rank, extent, type and string is checked against what
 * the table of fields says. Sentences name the file and the object in it.
 */
#ifndef MIXSWEEP_H5IO_H
#define MIXSWEEP_H5IO_H

#define H5_USE_110_API /* the oldest interface that we build with */
#include <hdf5.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mixsweep/status.h"
#include "mixsweep/table.h"

/** An open group (or the file's root). `file` is borrowed. */
struct h5_group {
    hid_t id;
    const char *file;
    char path[MIX_TEXT_MAX]; /* "" for the root, else "/fits/transfer" */
};

enum h5_type {
    H5_DOUBLE,
    H5_FLOAT,
    H5_INT32,  /* also int and enum */
    H5_UINT64, /* also size_t */
    H5_UINT8,
    H5_TEXT, /* char[width] */
    H5_KEY   /* struct mix_key: 32 hexadecimal digits in the file */
};

enum h5_place {
    H5_SCALAR_AT, /* at `offset` of the struct */
    H5_ARRAY_AT,  /* array within the struct, at `offset` */
    H5_POINTER_AT /* array elsewhere, its pointer at `offset` */
};

/** A dimension: its scale is a dataset of that name in the same group. */
struct h5_dim {
    const char *scale;
    size_t n;
    const char *label; /* of the dimension where the scale is attached */
};

/** A text that explains a dataset, or a scalar of the group itself, to those who read the file. */
struct h5_note {
    const char *object;    /* dataset in the group; "." = the group */
    const char *attribute; /* "meaning" of codes, "description", or "NAME_meaning" of a scalar */
    const char *text;
};

enum { NO_DIM = -1, H5_RANK_MAX = 4 };

struct h5_field {
    const char *name;
    const char *unit; /* NULL = none */
    enum h5_type type;
    enum h5_place place;
    size_t width;         /* bytes of an element */
    size_t offset;        /* in the struct */
    size_t inner;         /* of the member, where the array is of structs */
    size_t stride;        /* bytes from an element to the next */
    int dim[H5_RANK_MAX]; /* index into the dimensions; the first NO_DIM ends them */
};

/* Rows of a table of fields. A column is a member of an array of structs. */
#define H5_SCALAR(object, member, name, type)                                                      \
    {                                                                                              \
        name, NULL, type, H5_SCALAR_AT, sizeof(((object *)0)->member), offsetof(object, member),   \
            0, 0,                                                                                  \
        {                                                                                          \
            NO_DIM, NO_DIM                                                                         \
        }                                                                                          \
    }
#define H5_ARRAY(object, member, name, unit, type, dim0, dim1)                                     \
    H5_ARRAY4(object, member, name, unit, type, dim0, dim1, NO_DIM, NO_DIM)
#define H5_ARRAY4(object, member, name, unit, type, dim0, dim1, dim2, dim3)                        \
    {                                                                                              \
        name, unit, type, H5_POINTER_AT, sizeof(*((object *)0)->member), offsetof(object, member), \
            0, sizeof(*((object *)0)->member),                                                     \
        {                                                                                          \
            dim0, dim1, dim2, dim3                                                                 \
        }                                                                                          \
    }
#define H5_COLUMN(object, array, element, member, name, unit, type, dim0)                          \
    {                                                                                              \
        name, unit, type, H5_POINTER_AT, sizeof(((element *)0)->member), offsetof(object, array),  \
            offsetof(element, member), sizeof(element),                                            \
        {                                                                                          \
            dim0, NO_DIM                                                                           \
        }                                                                                          \
    }

/** Close any HDF5 object; a negative id is fine. */
void h5_close(hid_t id);

/** Open group `name`. MIX_ENOTFOUND where there is none; MIX_EFORMAT where it is no group. */
enum mix_status h5_group_open(const struct h5_group *parent, const char *name, struct h5_group *out,
                              struct mix_error *err);
/** Make group `name`. */
enum mix_status h5_group_create(const struct h5_group *parent, const char *name,
                                struct h5_group *out, struct mix_error *err);
void h5_group_close(struct h5_group *group);

/** Names of the links of a group in order of name; free with free(). */
enum mix_status h5_list(const struct h5_group *group, char ***names, size_t *n_names,
                        struct mix_error *err);
void h5_list_free(char **names, size_t n_names);

/** Length of the 1-D dataset `name`, which is at least `min` and at most `max`. */
enum mix_status h5_extent(const struct h5_group *group, const char *name, size_t min, size_t max,
                          size_t *n, struct mix_error *err);

/** Write or read all fields of a struct. Scales come before the arrays that use them. */
enum mix_status h5_write(const struct h5_group *group, const void *object,
                         const struct h5_field *fields, size_t n_fields, const struct h5_dim *dims,
                         struct mix_error *err);
enum mix_status h5_read(const struct h5_group *group, void *object, const struct h5_field *fields,
                        size_t n_fields, const struct h5_dim *dims, struct mix_error *err);

/** True where any of the fields is there. Fields that a later version has added, all at once, are
 * read only then: one that is missing among others is damage. */
bool h5_has_any(const struct h5_group *group, const struct h5_field *fields, size_t n_fields);

/** Write notes as attributes; the datasets are there already. Nothing reads them back. */
enum mix_status h5_annotate(const struct h5_group *group, const struct h5_note *notes,
                            size_t n_notes, struct mix_error *err);

/** Write the scale 0, 1, ... n-1. */
enum mix_status h5_write_index(const struct h5_group *group, const char *name, size_t n,
                               struct mix_error *err);
/** Write a scale of names, each `width` bytes with its end. */
enum mix_status h5_write_names(const struct h5_group *group, const char *name, size_t n,
                               size_t width, const void *names, struct mix_error *err);

/** A text of any length as an attribute of the group; *text is made by read, free with free(). */
enum mix_status h5_write_text(const struct h5_group *group, const char *name, const char *text,
                              struct mix_error *err);
enum mix_status h5_read_text(const struct h5_group *group, const char *name, char **text,
                             struct mix_error *err);

#endif
