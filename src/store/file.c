/* SPDX-License-Identifier: GPL-3.0-or-later */
/* file.c - the sweep file as a whole: opened and checked. */
#include "store/store_impl.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const struct h5_field store_version_field = {.name = "format_version",
                                             .type = H5_INT32,
                                             .place = H5_SCALAR_AT,
                                             .width = sizeof(int32_t),
                                             .dim = {NO_DIM, NO_DIM}};
const struct h5_field store_seed_field = {.name = "seed",
                                          .type = H5_UINT64,
                                          .place = H5_SCALAR_AT,
                                          .width = sizeof(uint64_t),
                                          .dim = {NO_DIM, NO_DIM}};

enum { CACHE_SLOTS = 521, CACHE_BYTES = 1 << 18 };

/* Files of HDF5 1.8 and later: texts beyond 64 KiB as attributes, checksums, readable by all. Of
 * each dataset a few chunks are held, and let go when they are whole. */
hid_t store_file_access(void)
{
    const hid_t list = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_libver_bounds(list, H5F_LIBVER_V18, H5F_LIBVER_V18);
    H5Pset_fclose_degree(list, H5F_CLOSE_STRONG);
    H5Pset_cache(list, 0, CACHE_SLOTS, CACHE_BYTES, 1.0);
#if H5_VERSION_GE(1, 12, 1) || (H5_VERSION_GE(1, 10, 7) && !H5_VERSION_GE(1, 12, 0))
    H5Pset_file_locking(list, false, true); /* files are replaced, never changed */
#endif
    return list;
}

/* Our version of the format, or a failure. */
static enum mix_status check_format(const struct h5_group *root, struct mix_error *err)
{
    int32_t found = 0;
    if (h5_read(root, &found, &store_version_field, 1, NULL, NULL) != MIX_OK || found < 1)
        return mix_fail(err, MIX_EFORMAT,
                        "%s is an HDF5 file, but not one of mixsweep's (no format_version)",
                        root->file);
    if (found > MIX_STORE_VERSION)
        return mix_fail(err, MIX_EFORMAT,
                        "%s has format %d of a newer mixsweep; this one reads up to %d", root->file,
                        found, MIX_STORE_VERSION);
    return MIX_OK;
}

enum mix_status store_file_open(const char *path, struct h5_group *root, struct mix_error *err)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return errno == ENOENT
                   ? mix_fail(err, MIX_ENOTFOUND, "%s: no such file", path)
                   : mix_fail(err, MIX_EIO, "%s: cannot be read: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return mix_fail(err, MIX_EFORMAT, "%s is not a file", path);
    if (access(path, R_OK) != 0)
        return mix_fail(err, MIX_EIO, "%s: cannot be read: %s", path, strerror(errno));
    if (H5Fis_hdf5(path) <= 0)
        return mix_fail(
            err, MIX_EFORMAT,
            "%s is not an HDF5 file (%lld bytes); a sweep file is wanted, which mixsweep "
            "run makes of a job and mixsweep import of a table",
            path, (long long)info.st_size);
    const hid_t list = store_file_access();
    root->id = H5Fopen(path, H5F_ACC_RDONLY, list);
    root->file = path;
    root->path[0] = '\0';
    h5_close(list);
    if (root->id < 0)
        return mix_fail(err, MIX_EFORMAT,
                        "%s is an HDF5 file that is truncated or damaged (%lld bytes); restore it "
                        "from a copy (its logs, if any, are in %s.log)",
                        path, (long long)info.st_size, path);
    const enum mix_status status = check_format(root, err);
    if (status != MIX_OK)
        h5_group_close(root);
    return status;
}

char *store_folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL   ? strdup(".")
           : slash == path ? strdup("/")
                           : strndup(path, (size_t)(slash - path));
}

void store_file_sweep(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    char *folder = store_folder_of(path);
    DIR *dir = folder == NULL ? NULL : opendir(folder);
    const size_t n_name = strlen(name);
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        const char *rest = entry->d_name + n_name;
        if (strncmp(entry->d_name, name, n_name) == 0 && strncmp(rest, ".tmp.", 5) == 0 &&
            rest[5] != '\0' && rest[5 + strspn(rest + 5, "0123456789")] == '\0')
            unlinkat(dirfd(dir), entry->d_name, 0);
    }
    if (dir != NULL)
        closedir(dir);
    free(folder);
}
