/* SPDX-License-Identifier: GPL-3.0-or-later */
/* draft.c - a new file on its way to disk: beside the old one, then in its place.
 *
 * HDF5 writes through a file driver of ours: a write that fails (a full disk) is remembered and
 * said when the file is put in place, and what comes after it is dropped, so that HDF5, which
 * does not survive such a failure in all of its parts, never meets one. The file goes to disk as
 * it grows: no more of it is held than HDF5's caches.
 */
#include "store/store_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#if H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h>
#endif

#include "core/files.h"

struct store_draft {
    char *temporary;
    int fd;
    int reason; /* errno of the first write that failed; 0 = none */
    haddr_t eof;
    hid_t driver;
};

/* What HDF5 holds of the draft. */
struct opened {
    H5FD_t public; /* first: HDF5's own */
    struct store_draft *draft;
    haddr_t eoa;
};

static struct store_draft *draft_of(const H5FD_t *file)
{
    return ((const struct opened *)file)->draft;
}

static H5FD_t *draft_open(const char *name, unsigned flags, hid_t access, haddr_t max)
{
    struct store_draft *draft;
    const void *info = H5Pget_driver_info(access);
    struct opened *opened = info != NULL ? calloc(1, sizeof *opened) : NULL;
    (void)name, (void)flags, (void)max;
    if (opened == NULL)
        return NULL;
    memcpy(&draft, info, sizeof draft);
    opened->draft = draft;
    return &opened->public;
}

static herr_t draft_close(H5FD_t *file)
{
    free(file);
    return 0;
}

static herr_t draft_query(const H5FD_t *file, unsigned long *flags)
{
    (void)file;
    *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE |
             H5FD_FEAT_AGGREGATE_SMALLDATA;
    return 0;
}

static haddr_t draft_get_eoa(const H5FD_t *file, H5FD_mem_t type)
{
    (void)type;
    return ((const struct opened *)file)->eoa;
}

static herr_t draft_set_eoa(H5FD_t *file, H5FD_mem_t type, haddr_t eoa)
{
    (void)type;
    ((struct opened *)file)->eoa = eoa;
    return 0;
}

static haddr_t draft_get_eof(const H5FD_t *file, H5FD_mem_t type)
{
    (void)type;
    return draft_of(file)->eof;
}

static herr_t draft_read(H5FD_t *file, H5FD_mem_t type, hid_t transfer, haddr_t at, size_t n,
                         void *buffer)
{
    uint8_t *to = buffer;
    (void)type, (void)transfer;
    while (n > 0) {
        const ssize_t got = pread(draft_of(file)->fd, to, n, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && draft_of(file)->reason == 0)
            draft_of(file)->reason = errno; /* it will not be placed */
        if (got <= 0)
            break;
        to += got;
        at += (haddr_t)got;
        n -= (size_t)got;
    }
    memset(to, 0, n); /* never written, or dropped */
    return 0;
}

static herr_t draft_write(H5FD_t *file, H5FD_mem_t type, hid_t transfer, haddr_t at, size_t n,
                          const void *buffer)
{
    struct store_draft *draft = draft_of(file);
    const uint8_t *from = buffer;
    (void)type, (void)transfer;
    while (n > 0 && draft->reason == 0) {
        const ssize_t done = pwrite(draft->fd, from, n, (off_t)at);
        if (done < 0 && errno != EINTR)
            draft->reason = errno;
        if (done <= 0)
            continue;
        from += done;
        at += (haddr_t)done;
        n -= (size_t)done;
    }
    if (at + n > draft->eof)
        draft->eof = at + n;
    return 0;
}

/* HDF5 asks for it at the end: the file is as long as it says. */
static herr_t draft_truncate(H5FD_t *file, hid_t transfer, hbool_t closing)
{
    struct store_draft *draft = draft_of(file);
    const haddr_t eoa = ((const struct opened *)file)->eoa;
    (void)transfer, (void)closing;
    if (draft->reason == 0 && ftruncate(draft->fd, (off_t)eoa) != 0)
        draft->reason = errno;
    draft->eof = eoa;
    return 0;
}

static const H5FD_class_t draft_driver = {
#if H5_VERSION_GE(1, 13, 2)
    .version = H5FD_CLASS_VERSION,
    .value = 511, /* not registered: below 512 is for drivers of one's own */
#endif
    .name = "mixsweep-draft",
    .maxaddr = ((haddr_t)1 << 62) - 1,
    .fc_degree = H5F_CLOSE_STRONG,
    .fapl_size = sizeof(struct store_draft *),
    .open = draft_open,
    .close = draft_close,
    .query = draft_query,
    .get_eoa = draft_get_eoa,
    .set_eoa = draft_set_eoa,
    .get_eof = draft_get_eof,
    .read = draft_read,
    .write = draft_write,
    .truncate = draft_truncate,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

/* "S.h5.tmp.PID"; NULL when memory is out. */
static char *temporary_of(const char *path)
{
    const size_t n = strlen(path) + 32;
    char *temporary = malloc(n);
    if (temporary != NULL)
        snprintf(temporary, n, "%s.tmp.%ld", path, (long)getpid());
    return temporary;
}

static enum mix_status fail_write(const char *path, int reason, struct mix_error *err)
{
    return mix_fail(err, MIX_EIO,
                    "%s: cannot write the new file: %s; the old file and the logs are kept as "
                    "they were",
                    path, strerror(reason));
}

enum mix_status store_scratch_open(const char *path, FILE **out, struct mix_error *err)
{
    char *temporary = temporary_of(path);
    if (temporary == NULL)
        return mix_fail(err, MIX_ENOMEM, "%s: no memory for a new file", path);
    FILE *file = fopen(temporary, "w+be");
    const int reason = errno;
    unlink(temporary); /* gone with its last user */
    free(temporary);
    *out = file;
    return file != NULL ? MIX_OK : fail_write(path, reason, err);
}

enum mix_status store_scratch_check(const char *path, FILE *file, struct mix_error *err)
{
    errno = 0;
    const bool whole = fflush(file) == 0 && ferror(file) == 0;
    return whole ? MIX_OK : fail_write(path, errno != 0 ? errno : ENOSPC, err);
}

static enum mix_status make_draft(const char *path, struct store_draft **out, struct mix_error *err)
{
    struct stat info;
    struct store_draft *draft = calloc(1, sizeof *draft);
    if (draft != NULL)
        draft->temporary = temporary_of(path);
    if (draft == NULL || draft->temporary == NULL) {
        free(draft);
        return mix_fail(err, MIX_ENOMEM, "%s: no memory for a new file", path);
    }
    draft->driver = -1;
    *out = draft;
    draft->fd = open(draft->temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (draft->fd < 0)
        return fail_write(path, errno, err);
    if (stat(path, &info) == 0)
        fchmod(draft->fd, info.st_mode & 07777); /* where this fails the umask holds */
    return MIX_OK;
}

enum mix_status store_draft_create(const char *path, struct h5_group *root,
                                   struct store_draft **out, struct mix_error *err)
{
    struct store_draft *draft = NULL;
    enum mix_status status = make_draft(path, &draft, err);
    *root = (struct h5_group){.id = -1, .file = path};
    if (status == MIX_OK) {
        const hid_t access = store_file_access(), create = H5Pcreate(H5P_FILE_CREATE);
        draft->driver = H5FDregister(&draft_driver);
        H5Pset_istore_k(create, STORE_INDEX_K);
        if (draft->driver >= 0 && H5Pset_driver(access, draft->driver, &draft) >= 0)
            root->id = H5Fcreate(draft->temporary, H5F_ACC_TRUNC, create, access);
        h5_close(create);
        h5_close(access);
        if (root->id < 0)
            status = mix_fail(err, MIX_EIO, "%s: HDF5 cannot make a new file", path);
    }
    if (status == MIX_OK)
        *out = draft;
    else
        store_draft_destroy(draft);
    return status;
}

void store_draft_destroy(struct store_draft *draft)
{
    if (draft == NULL)
        return;
    if (draft->fd >= 0) {
        close(draft->fd);
        unlink(draft->temporary);
    }
    if (draft->driver >= 0)
        H5FDunregister(draft->driver);
    free(draft->temporary);
    free(draft);
}

enum mix_status store_draft_check(const char *path, const struct store_draft *draft,
                                  enum mix_status status, struct mix_error *err)
{
    return draft == NULL || draft->reason == 0 ? status : fail_write(path, draft->reason, err);
}

static void sync_folder_of(const char *path)
{
    char *folder = store_folder_of(path);
    if (folder != NULL)
        mix_folder_sync(folder);
    free(folder);
}

enum mix_status store_draft_place(struct h5_group *root, struct store_draft *draft,
                                  struct mix_error *err)
{
    const char *path = root->file;
    const bool flushed = H5Fflush(root->id, H5F_SCOPE_GLOBAL) >= 0 && H5Fclose(root->id) >= 0;
    root->id = -1;
    if (draft->reason == 0 && !flushed)
        return mix_fail(err, MIX_ENOMEM, "%s: HDF5 cannot finish the new file", path);
    if (draft->reason == 0 && fsync(draft->fd) != 0)
        draft->reason = errno;
    const int fd = draft->fd;
    draft->fd = -1;
    if (close(fd) != 0 && draft->reason == 0)
        draft->reason = errno;
    if (draft->reason == 0 && rename(draft->temporary, path) != 0)
        draft->reason = errno;
    if (draft->reason != 0) {
        unlink(draft->temporary);
        return fail_write(path, draft->reason, err);
    }
    sync_folder_of(path);
    return MIX_OK;
}
