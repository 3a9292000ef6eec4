/* SPDX-License-Identifier: GPL-3.0-or-later */
/* file.c - the sweep file as a whole: opened and checked, built in memory, put in place at once.
 *
 * A new file is built in memory (HDF5's core driver) and written by ourselves, so that a full disk
 * meets a plain write() and not HDF5's cache.
 */
#include "store/store_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/files.h"

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

enum { MEMORY_STEP = 1 << 20, INDEX_K = 8 };

/* Files of HDF5 1.8 and later: texts beyond 64 KiB as attributes, checksums, readable by all. */
static hid_t access_properties(void)
{
    const hid_t list = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_libver_bounds(list, H5F_LIBVER_V18, H5F_LIBVER_V18);
    H5Pset_fclose_degree(list, H5F_CLOSE_STRONG);
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
        return mix_fail(err, MIX_EFORMAT, "%s is not an HDF5 file (%lld bytes)", path,
                        (long long)info.st_size);
    const hid_t list = access_properties();
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

/* Where HDF5 leaves the finished file when it closes it. (H5Fget_file_image() is of no use: in 1.10
 * it clears a flag of the superblock without renewing the checksum over it.) */
struct store_image {
    void *bytes;
    size_t n_bytes;
};

static void *image_malloc(size_t n, H5FD_file_image_op_t operation, void *image)
{
    (void)operation;
    (void)image;
    return malloc(n);
}

static void *image_memcpy(void *to, const void *from, size_t n, H5FD_file_image_op_t operation,
                          void *image)
{
    (void)operation;
    (void)image;
    return memcpy(to, from, n);
}

static void *image_realloc(void *bytes, size_t n, H5FD_file_image_op_t operation, void *image)
{
    (void)operation;
    (void)image;
    return realloc(bytes, n);
}

static herr_t image_free(void *bytes, H5FD_file_image_op_t operation, void *image)
{
    if (operation == H5FD_FILE_IMAGE_OP_FILE_CLOSE)
        ((struct store_image *)image)->bytes = bytes; /* taken, not freed */
    else
        free(bytes);
    return 0;
}

static void *image_share(void *image)
{
    return image;
}

static herr_t image_unshare(void *image)
{
    (void)image;
    return 0;
}

enum mix_status store_file_create(const char *path, struct h5_group *root,
                                  struct store_image **image, struct mix_error *err)
{
    struct store_image *made = calloc(1, sizeof *made);
    if (made == NULL)
        return mix_fail(err, MIX_ENOMEM, "%s: no memory for a new file", path);
    H5FD_file_image_callbacks_t callbacks = {image_malloc, image_memcpy,  image_realloc, image_free,
                                             image_share,  image_unshare, made};
    const hid_t access = access_properties();
    const hid_t create = H5Pcreate(H5P_FILE_CREATE);
    H5Pset_fapl_core(access, MEMORY_STEP, false);
    H5Pset_file_image_callbacks(access, &callbacks);
    H5Pset_istore_k(create, INDEX_K); /* small chunk indexes: most columns have one chunk */
    char name[64];
    snprintf(name, sizeof name, "mixsweep-memory-%ld", (long)getpid());
    root->id = H5Fcreate(name, H5F_ACC_TRUNC, create, access);
    root->file = path;
    root->path[0] = '\0';
    h5_close(create);
    h5_close(access);
    if (root->id < 0) {
        store_image_destroy(made);
        return mix_fail(err, MIX_ENOMEM, "%s: HDF5 cannot make a file in memory", path);
    }
    *image = made;
    return MIX_OK;
}

void store_image_destroy(struct store_image *image)
{
    if (image != NULL)
        free(image->bytes);
    free(image);
}

/* Close the file; its bytes are then in the image. */
static enum mix_status finish_image(struct h5_group *root, struct store_image *image,
                                    struct mix_error *err)
{
    const ssize_t n =
        H5Fflush(root->id, H5F_SCOPE_GLOBAL) < 0 ? -1 : H5Fget_file_image(root->id, NULL, 0);
    h5_group_close(root);
    if (n <= 0 || image->bytes == NULL)
        return mix_fail(err, MIX_ENOMEM, "%s: no memory for the new file", root->file);
    image->n_bytes = (size_t)n;
    return MIX_OK;
}

/* Write and sync a new file with the permissions of the old one; 0 or the errno. */
static int write_file(const char *path, const char *old, const void *bytes, size_t n)
{
    struct stat info;
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return errno;
    if (stat(old, &info) == 0)
        fchmod(fd, info.st_mode & 07777); /* where this fails the umask holds */
    int reason = mix_file_write(fd, bytes, n);
    if (reason == 0 && fsync(fd) != 0)
        reason = errno;
    if (close(fd) != 0 && reason == 0)
        reason = errno;
    return reason;
}

char *store_folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL   ? strdup(".")
           : slash == path ? strdup("/")
                           : strndup(path, (size_t)(slash - path));
}

static void sync_folder_of(const char *path)
{
    char *folder = store_folder_of(path);
    if (folder != NULL)
        mix_folder_sync(folder);
    free(folder);
}

enum mix_status store_file_replace(struct h5_group *root, struct store_image *image,
                                   struct mix_error *err)
{
    const char *path = root->file;
    enum mix_status status = finish_image(root, image, err);
    if (status != MIX_OK)
        return status;
    const size_t n = strlen(path) + 32;
    char *temporary = malloc(n);
    if (temporary == NULL)
        return mix_fail(err, MIX_ENOMEM, "%s: no memory for a new file", path);
    snprintf(temporary, n, "%s.tmp.%ld", path, (long)getpid());
    int reason = write_file(temporary, path, image->bytes, image->n_bytes);
    if (reason == 0 && rename(temporary, path) != 0)
        reason = errno;
    if (reason != 0) {
        unlink(temporary);
        status = mix_fail(err, MIX_EIO,
                          "%s: cannot write the new file (%zu bytes): %s; the old file and the "
                          "logs are kept as they were",
                          path, image->n_bytes, strerror(reason));
    } else {
        sync_folder_of(path);
    }
    free(temporary);
    return status;
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
