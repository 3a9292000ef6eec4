/* SPDX-License-Identifier: GPL-3.0-or-later */
/* log.c - see log.h for the format. */
#include "mixsweep/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/files.h"

static const uint32_t MAGIC = 0x3152584d; /* "MXR1", little-endian */
enum { HEADER_BYTES = 16, CRC_BYTES = 4, ALIGN = 8 };

/* Written records are far smaller; a longer one is damage. */
static const size_t RECORD_MAX = (size_t)1 << 30;

struct mix_log {
    char *dir;
    char *path;
    int fd;            /* -1 until the first record */
    bool entry_synced; /* the file's name is on disk */
    off_t end;         /* bytes of whole records */
    uint8_t *buffer;
    size_t capacity;
};

/* CRC-32C (Castagnoli, reflected 0x82f63b78), four bits at a time. */
static uint32_t crc32c(const uint8_t *bytes, size_t n)
{
    static const uint32_t table[16] = {0x00000000u, 0x105ec76fu, 0x20bd8edeu, 0x30e349b1u,
                                       0x417b1dbcu, 0x5125dad3u, 0x61c69362u, 0x7198540du,
                                       0x82f63b78u, 0x92a8fc17u, 0xa24bb5a6u, 0xb21572c9u,
                                       0xc38d26c4u, 0xd3d3e1abu, 0xe330a81au, 0xf36e6f75u};
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < n; i++) {
        crc = table[(crc ^ bytes[i]) & 15u] ^ (crc >> 4);
        crc = table[(crc ^ (bytes[i] >> 4)) & 15u] ^ (crc >> 4);
    }
    return ~crc;
}

static void put_u32(uint8_t *to, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(value >> 8 * i);
}

static uint32_t get_u32(const uint8_t *from)
{
    return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 |
           (uint32_t)from[3] << 24;
}

static size_t padded(size_t n_bytes)
{
    return (n_bytes + ALIGN - 1) / ALIGN * ALIGN;
}

/* "dir/name", or NULL when memory is out. */
static char *join(const char *dir, const char *name)
{
    const size_t n = strlen(dir) + strlen(name) + 2;
    char *path = malloc(n);
    if (path != NULL)
        snprintf(path, n, "%s/%s", dir, name);
    return path;
}

enum mix_status mix_log_open(const char *dir, int rank, struct mix_log **out, struct mix_error *err)
{
    char name[32];
    snprintf(name, sizeof name, "rank-%04d", rank);
    struct mix_log *log = calloc(1, sizeof *log);
    if (log == NULL)
        return mix_fail(err, MIX_ENOMEM, "%s: no memory for the log", dir);
    log->fd = -1;
    log->dir = strdup(dir);
    log->path = join(dir, name);
    if (log->dir == NULL || log->path == NULL) {
        mix_log_close(log);
        return mix_fail(err, MIX_ENOMEM, "%s: no memory for the log", dir);
    }
    *out = log;
    return MIX_OK;
}

void mix_log_close(struct mix_log *log)
{
    if (log == NULL)
        return;
    if (log->fd >= 0)
        close(log->fd);
    free(log->dir);
    free(log->path);
    free(log->buffer);
    free(log);
}

/* The file is made with its first record, so that a stage without results leaves no trace. */
static enum mix_status open_file(struct mix_log *log, struct mix_error *err)
{
    if (mkdir(log->dir, 0777) != 0 && errno != EEXIST)
        return mix_fail(err, MIX_EIO, "%s: cannot make the folder of the logs: %s", log->dir,
                        strerror(errno));
    log->fd = open(log->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (log->fd < 0)
        return mix_fail(err, MIX_EIO, "%s: cannot open the log: %s", log->path, strerror(errno));
    log->end = lseek(log->fd, 0, SEEK_END);
    if (log->end < 0) {
        const int reason = errno;
        close(log->fd);
        log->fd = -1;
        return mix_fail(err, MIX_EIO, "%s: cannot find the end of the log: %s", log->path,
                        strerror(reason));
    }
    return MIX_OK;
}

static enum mix_status encode(struct mix_log *log, enum mix_log_kind kind, const void *head,
                              size_t n_head, const void *body, size_t n_body, size_t *n_bytes,
                              struct mix_error *err)
{
    if (n_head > RECORD_MAX || n_body > RECORD_MAX - n_head)
        return mix_fail(err, MIX_EINVAL, "%s: a record of %zu + %zu bytes exceeds %zu bytes",
                        log->path, n_head, n_body, RECORD_MAX);
    const size_t n_checked = HEADER_BYTES + n_head + n_body;
    const size_t n = padded(n_checked + CRC_BYTES);
    if (n > log->capacity) {
        uint8_t *larger = realloc(log->buffer, n);
        if (larger == NULL)
            return mix_fail(err, MIX_ENOMEM, "%s: no memory for a record of %zu bytes", log->path,
                            n);
        log->buffer = larger;
        log->capacity = n;
    }
    uint8_t *b = log->buffer;
    put_u32(b, MAGIC);
    put_u32(b + 4, (uint32_t)kind);
    put_u32(b + 8, (uint32_t)n_head);
    put_u32(b + 12, (uint32_t)n_body);
    if (n_head > 0)
        memcpy(b + HEADER_BYTES, head, n_head);
    if (n_body > 0)
        memcpy(b + HEADER_BYTES + n_head, body, n_body);
    put_u32(b + n_checked, crc32c(b, n_checked));
    memset(b + n_checked + CRC_BYTES, 0, n - n_checked - CRC_BYTES);
    *n_bytes = n;
    return MIX_OK;
}

static enum mix_status sync_record(struct mix_log *log, struct mix_error *err)
{
    if (fdatasync(log->fd) != 0 && errno != EINVAL && errno != ENOSYS)
        return mix_fail(err, MIX_EIO, "%s: cannot sync the log to disk: %s", log->path,
                        strerror(errno));
    if (!log->entry_synced) {
        char *parent = join(log->dir, "..");
        mix_folder_sync(log->dir);
        if (parent != NULL)
            mix_folder_sync(parent);
        free(parent);
        log->entry_synced = true;
    }
    return MIX_OK;
}

enum mix_status mix_log_append(struct mix_log *log, enum mix_log_kind kind, const void *head,
                               size_t n_head, const void *body, size_t n_body, int sync,
                               struct mix_error *err)
{
    size_t n_bytes = 0;
    enum mix_status status = encode(log, kind, head, n_head, body, n_body, &n_bytes, err);
    if (status == MIX_OK && log->fd < 0)
        status = open_file(log, err);
    if (status != MIX_OK)
        return status;
    const int reason = mix_file_write(log->fd, log->buffer, n_bytes);
    if (reason != 0) {
        /* Without the torn record the log is clean; where even this fails, readers skip it. */
        const bool cut = ftruncate(log->fd, log->end) == 0;
        return mix_fail(err, MIX_EIO,
                        "%s: cannot append a record of %zu bytes: %s; the records before it %s",
                        log->path, n_bytes, strerror(reason),
                        cut ? "are kept" : "are kept (a torn record follows them)");
    }
    log->end += (off_t)n_bytes;
    return sync ? sync_record(log, err) : MIX_OK;
}

/* Bytes of the whole record at `bytes` up to its CRC, or 0 where there is none. */
static size_t record_bytes(const uint8_t *bytes, size_t n, size_t *n_head, size_t *n_body)
{
    if (n < HEADER_BYTES + CRC_BYTES || get_u32(bytes) != MAGIC)
        return 0;
    *n_head = get_u32(bytes + 8);
    *n_body = get_u32(bytes + 12);
    if (*n_head > RECORD_MAX || *n_body > RECORD_MAX - *n_head)
        return 0;
    const size_t n_checked = HEADER_BYTES + *n_head + *n_body;
    if (n_checked > n - CRC_BYTES || get_u32(bytes + n_checked) != crc32c(bytes, n_checked))
        return 0;
    return n_checked + CRC_BYTES;
}

/* First place behind `at` where a record may begin, or n. */
static size_t next_magic(const uint8_t *bytes, size_t n, size_t at)
{
    for (at++; at < n; at++) {
        const uint8_t *m = memchr(bytes + at, 'M', n - at);
        if (m == NULL)
            return n;
        at = (size_t)(m - bytes);
        if (n - at >= 4 && get_u32(m) == MAGIC)
            return at;
    }
    return n;
}

static enum mix_status scan(const uint8_t *bytes, size_t n, mix_log_fn fn, void *context,
                            size_t *n_bad, struct mix_error *err)
{
    bool damaged = false;
    for (size_t at = 0; at < n;) {
        size_t n_head = 0, n_body = 0;
        const size_t length = record_bytes(bytes + at, n - at, &n_head, &n_body);
        if (length == 0) {
            if (!damaged)
                ++*n_bad;
            damaged = true;
            at = next_magic(bytes, n, at);
            continue;
        }
        damaged = false;
        const uint8_t *head = bytes + at + HEADER_BYTES;
        const enum mix_status status = fn(context, (enum mix_log_kind)get_u32(bytes + at + 4), head,
                                          n_head, head + n_head, n_body, err);
        if (status != MIX_OK)
            return status;
        /* Only zeros are padding: where it was torn, the next record follows at once. */
        const size_t end = at + padded(length);
        for (at += length; at < n && at < end && bytes[at] == 0;)
            at++;
    }
    return MIX_OK;
}

/* *bytes stays NULL for a file that went away or is no plain file; a file that grows meanwhile is
 * read up to its length at the start. */
static enum mix_status load(const char *path, uint8_t **bytes, size_t *n, struct mix_error *err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT
                   ? MIX_OK
                   : mix_fail(err, MIX_EIO, "%s: cannot read the log: %s", path, strerror(errno));
    enum mix_status status = MIX_OK;
    struct stat info;
    uint8_t *b = NULL;
    size_t length = 0;
    if (fstat(fd, &info) != 0) {
        status = mix_fail(err, MIX_EIO, "%s: cannot read the log: %s", path, strerror(errno));
        goto out;
    }
    if (!S_ISREG(info.st_mode))
        goto out;
    const size_t size = (size_t)info.st_size;
    b = malloc(size > 0 ? size : 1);
    if (b == NULL) {
        status = mix_fail(err, MIX_ENOMEM, "%s: no memory for %zu bytes of log", path, size);
        goto out;
    }
    while (length < size) {
        const ssize_t got = read(fd, b + length, size - length);
        if (got == 0)
            break;
        if (got > 0) {
            length += (size_t)got;
        } else if (errno != EINTR) {
            status = mix_fail(err, MIX_EIO, "%s: cannot read the log: %s", path, strerror(errno));
            goto out;
        }
    }
    *bytes = b;
    *n = length;
    b = NULL;
out:
    free(b);
    close(fd);
    return status;
}

static int is_log(const struct dirent *entry)
{
    return strncmp(entry->d_name, "rank-", 5) == 0;
}

static enum mix_status read_one(const char *dir, const char *name, mix_log_fn fn, void *context,
                                size_t *n_bad, struct mix_error *err)
{
    uint8_t *bytes = NULL;
    size_t n = 0;
    char *path = join(dir, name);
    if (path == NULL)
        return mix_fail(err, MIX_ENOMEM, "%s: no memory for the log", dir);
    enum mix_status status = load(path, &bytes, &n, err);
    if (status == MIX_OK && bytes != NULL)
        status = scan(bytes, n, fn, context, n_bad, err);
    free(bytes);
    free(path);
    return status;
}

enum mix_status mix_log_read(const char *dir, mix_log_fn fn, void *context, size_t *n_bad,
                             struct mix_error *err)
{
    struct dirent **entries = NULL;
    size_t bad = 0;
    const int n = scandir(dir, &entries, is_log, alphasort);
    if (n < 0 && errno != ENOENT)
        return mix_fail(err, MIX_EIO, "%s: cannot read the folder of the logs: %s", dir,
                        strerror(errno));
    enum mix_status status = MIX_OK;
    for (int i = 0; i < n; i++) {
        if (status == MIX_OK)
            status = read_one(dir, entries[i]->d_name, fn, context, &bad, err);
        free(entries[i]);
    }
    free(entries);
    if (status == MIX_OK && n_bad != NULL)
        *n_bad = bad;
    return status;
}

enum mix_status mix_log_remove(const char *dir, struct mix_error *err)
{
    struct dirent **entries = NULL;
    const int n = scandir(dir, &entries, is_log, NULL);
    if (n < 0 && errno != ENOENT)
        return mix_fail(err, MIX_EIO, "%s: cannot read the folder of the logs: %s", dir,
                        strerror(errno));
    enum mix_status status = MIX_OK;
    for (int i = 0; i < n; i++) {
        char *path = join(dir, entries[i]->d_name);
        if (path == NULL)
            status = mix_fail(err, MIX_ENOMEM, "%s: no memory for the log", dir);
        else if (unlink(path) != 0 && errno != ENOENT)
            status = mix_fail(err, MIX_EIO, "%s: cannot remove the log: %s", path, strerror(errno));
        free(path);
        free(entries[i]);
    }
    free(entries);
    rmdir(dir); /* stays where somebody put something else into it */
    return status;
}
