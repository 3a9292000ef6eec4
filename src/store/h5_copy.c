/* SPDX-License-Identifier: GPL-3.0-or-later */
/* h5_copy.c - see h5_copy.h. */
#include "store/h5_copy.h"

#include <hdf5_hl.h>
#include <stdlib.h>
#include <string.h>

#include "store/h5io_impl.h"

enum { ATTRIBUTE_MAX = 1 << 26, SOFT_LINK_MAX = 1 << 20 }; /* bytes */

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
    const int rank = dataset < 0 ? -1 : h5_shape_of(dataset, extent);
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
        return link.u.val_size < SOFT_LINK_MAX &&
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
        status = h5_fail_read(from, name, "is damaged and cannot be copied into the new file", err);
    h5_close(r.from);
    h5_close(r.to);
    return status;
}
