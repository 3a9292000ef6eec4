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
#include <time.h>
#include <unistd.h>

#include "core/files.h"

static const uint32_t MAGIC = 0x3152584d; /* "MXR1", little-endian */
enum { HEADER_BYTES = 16, CRC_BYTES = 4, ALIGN = 8, BLOCK_BYTES = 1 << 20 };
enum { OPEN_TRIES = 20, DRAFT_AGE_S = 3600 };

/* Written records are far smaller; a longer one is damage. */
static const size_t RECORD_MAX = (size_t)1 << 30;

/* CRC-32C (Castagnoli, reflected 0x82f63b78), eight bytes at a time: table k is the CRC of a byte
 * followed by k zeros. Made where it is needed: it takes microseconds. */
struct crc_table {
    uint32_t of[8][256];
};

struct mix_log {
    char *dir;
    char *path;
    int fd;            /* -1 until the first record */
    bool entry_synced; /* the file's name is on disk */
    off_t end;         /* bytes of whole records */
    uint8_t *buffer;
    size_t capacity;
    struct crc_table crc;
};

static void make_crc_table(struct crc_table *table)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? 0x82f63b78u : 0u);
        table->of[0][byte] = crc;
    }
    for (int k = 1; k < 8; k++)
        for (uint32_t byte = 0; byte < 256; byte++) {
            const uint32_t crc = table->of[k - 1][byte];
            table->of[k][byte] = (crc >> 8) ^ table->of[0][crc & 255];
        }
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

static uint32_t crc32c(const struct crc_table *table, const uint8_t *bytes, size_t n)
{
    const uint32_t(*of)[256] = table->of;
    uint32_t crc = 0xffffffffu;
    for (; n >= 8; n -= 8, bytes += 8) {
        const uint32_t low = get_u32(bytes) ^ crc, high = get_u32(bytes + 4);
        crc = of[7][low & 255] ^ of[6][low >> 8 & 255] ^ of[5][low >> 16 & 255] ^ of[4][low >> 24] ^
              of[3][high & 255] ^ of[2][high >> 8 & 255] ^ of[1][high >> 16 & 255] ^
              of[0][high >> 24];
    }
    for (; n > 0; n--, bytes++)
        crc = of[0][(crc ^ *bytes) & 255] ^ (crc >> 8);
    return ~crc;
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

static enum mix_status open_named(const char *dir, const char *name, struct mix_log **out,
                                  struct mix_error *err)
{
    struct mix_log *log = calloc(1, sizeof *log);
    if (log == NULL)
        return mix_fail(err, MIX_ENOMEM, "%s: no memory for the log", dir);
    log->fd = -1;
    make_crc_table(&log->crc);
    log->dir = strdup(dir);
    log->path = join(dir, name);
    if (log->dir == NULL || log->path == NULL) {
        mix_log_close(log);
        return mix_fail(err, MIX_ENOMEM, "%s: no memory for the log", dir);
    }
    *out = log;
    return MIX_OK;
}

enum mix_status mix_log_open(const char *dir, int rank, struct mix_log **out, struct mix_error *err)
{
    char name[32];
    snprintf(name, sizeof name, "rank-%04d", rank);
    return open_named(dir, name, out, err);
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

/* The file is made with its first record, so that a stage without results leaves no trace. A fold
 * may remove the folder just after it was made. */
static enum mix_status open_file(struct mix_log *log, struct mix_error *err)
{
    for (int i = 0; log->fd < 0; i++) {
        if (mkdir(log->dir, 0777) != 0 && errno != EEXIST)
            return mix_fail(err, MIX_EIO, "%s: cannot make the folder of the logs: %s", log->dir,
                            strerror(errno));
        log->fd = open(log->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        if (log->fd < 0 && (errno != ENOENT || i == OPEN_TRIES))
            return mix_fail(err, MIX_EIO, "%s: cannot open the log: %s", log->path,
                            strerror(errno));
    }
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
    put_u32(b + n_checked, crc32c(&log->crc, b, n_checked));
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

/* The draft becomes a log under its own name, or goes. */
static enum mix_status publish(const struct mix_log *draft, const char *name,
                               enum mix_status status, struct mix_error *err)
{
    char *path = join(draft->dir, name);
    if (status == MIX_OK && path == NULL)
        status = mix_fail(err, MIX_ENOMEM, "%s: no memory for the log", draft->dir);
    if (status == MIX_OK && rename(draft->path, path) != 0)
        status = mix_fail(err, MIX_EIO, "%s: cannot rename the log to %s: %s", draft->path, name,
                          strerror(errno));
    if (status == MIX_OK)
        mix_folder_sync(draft->dir);
    else
        unlink(draft->path);
    free(path);
    return status;
}

enum mix_status mix_log_put(const char *dir, enum mix_log_kind kind, const void *body,
                            size_t n_body, struct mix_error *err)
{
    char host[64], draft_name[160];
    struct timespec now = {0};
    struct mix_log *draft = NULL;
    if (gethostname(host, sizeof host) != 0)
        host[0] = '\0';
    host[sizeof host - 1] = '\0';
    for (char *c = host; (c = strchr(c, '/')) != NULL;)
        *c = '-';
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(draft_name, sizeof draft_name, ".record-%s-%ld-%lld%09ld", host, (long)getpid(),
             (long long)now.tv_sec, now.tv_nsec);
    enum mix_status status = open_named(dir, draft_name, &draft, err);
    if (status != MIX_OK)
        return status;
    status = mix_log_append(draft, kind, NULL, 0, body, n_body, 1, err);
    status = publish(draft, draft_name + 1, status, err);
    mix_log_close(draft);
    return status;
}

/* What mix_log_put() was writing when it was killed. */
static void remove_drafts(const char *dir)
{
    DIR *folder = opendir(dir);
    const time_t now = time(NULL);
    struct stat info;
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;)
        if (strncmp(entry->d_name, ".record-", 8) == 0 &&
            fstatat(dirfd(folder), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
            difftime(now, info.st_mtime) > DRAFT_AGE_S)
            unlinkat(dirfd(folder), entry->d_name, 0);
    if (folder != NULL)
        closedir(folder);
}

/* ---- reading */

struct log_file {
    char *path;
    size_t n_bytes; /* when it was found */
    uint64_t start; /* bytes of the files before it */
};

struct mix_logs {
    char *dir;
    size_t n;
    struct log_file *file; /* (n) in the order of names */
};

static int is_log(const struct dirent *entry)
{
    return strncmp(entry->d_name, "rank-", 5) == 0 || strncmp(entry->d_name, "record-", 7) == 0;
}

void mix_logs_destroy(struct mix_logs *logs)
{
    if (logs == NULL)
        return;
    for (size_t i = 0; i < logs->n; i++)
        free(logs->file[i].path);
    free(logs->file);
    free(logs->dir);
    free(logs);
}

size_t mix_logs_count(const struct mix_logs *logs)
{
    return logs != NULL ? logs->n : 0;
}

static enum mix_status no_memory(const char *dir, struct mix_error *err)
{
    return mix_fail(err, MIX_ENOMEM, "%s: no memory for the logs", dir);
}

/* Only plain files count; one that went away meanwhile does not. */
static enum mix_status add_file(struct mix_logs *logs, const char *name, struct mix_error *err)
{
    struct stat info;
    char *path = join(logs->dir, name);
    if (path == NULL)
        return no_memory(logs->dir, err);
    if (stat(path, &info) != 0 || !S_ISREG(info.st_mode)) {
        free(path);
        return MIX_OK;
    }
    const struct log_file *last = logs->n > 0 ? &logs->file[logs->n - 1] : NULL;
    const uint64_t start = last != NULL ? last->start + last->n_bytes : 0;
    logs->file[logs->n++] = (struct log_file){path, (size_t)info.st_size, start};
    return MIX_OK;
}

enum mix_status mix_logs_find(const char *dir, struct mix_logs **out, struct mix_error *err)
{
    struct dirent **entries = NULL;
    const int n = scandir(dir, &entries, is_log, alphasort);
    if (n < 0 && errno != ENOENT)
        return mix_fail(err, MIX_EIO, "%s: cannot read the folder of the logs: %s", dir,
                        strerror(errno));
    const size_t n_entries = n > 0 ? (size_t)n : 0;
    enum mix_status status = MIX_OK;
    struct mix_logs *logs = calloc(1, sizeof *logs);
    if (logs != NULL) {
        logs->dir = strdup(dir);
        logs->file = calloc(n_entries + 1, sizeof *logs->file);
    }
    if (logs == NULL || logs->dir == NULL || logs->file == NULL)
        status = no_memory(dir, err);
    for (size_t i = 0; i < n_entries; i++) {
        if (status == MIX_OK)
            status = add_file(logs, entries[i]->d_name, err);
        free(entries[i]);
    }
    free(entries);
    if (status == MIX_OK)
        *out = logs;
    else
        mix_logs_destroy(logs);
    return status;
}

/* A stretch of a log in memory: as much as its longest record, or a block. */
struct window {
    const char *path;
    int fd;
    uint8_t *bytes;
    size_t capacity;
    size_t begin, end; /* bytes not yet used */
    size_t left;       /* of the file, not yet read */
    uint64_t read;     /* of all files, up to the window's end */
    uint64_t *at;      /* where the caller wants to know a record's place; may be NULL */
    struct crc_table crc;
};

/* Bring `n` bytes into the window, or all that are left. */
static enum mix_status fill(struct window *w, size_t n, struct mix_error *err)
{
    if (w->end - w->begin >= n || w->left == 0)
        return MIX_OK;
    memmove(w->bytes, w->bytes + w->begin, w->end - w->begin);
    w->end -= w->begin;
    w->begin = 0;
    if (n > w->capacity) {
        uint8_t *larger = realloc(w->bytes, n);
        if (larger == NULL)
            return mix_fail(err, MIX_ENOMEM, "%s: no memory for a record of %zu bytes", w->path, n);
        w->bytes = larger;
        w->capacity = n;
    }
    while (w->end < w->capacity && w->left > 0) {
        const size_t room = w->capacity - w->end;
        const ssize_t got = read(w->fd, w->bytes + w->end, room < w->left ? room : w->left);
        if (got > 0) {
            w->end += (size_t)got;
            w->left -= (size_t)got;
            w->read += (size_t)got;
        } else if (got == 0) {
            w->left = 0; /* a torn record was taken out meanwhile */
        } else if (errno != EINTR) {
            return mix_fail(err, MIX_EIO, "%s: cannot read the log: %s", w->path, strerror(errno));
        }
    }
    return MIX_OK;
}

/* Bring the record at the window's begin into it: *length is its bytes up to the end of its CRC, or
 * 0 where there is none. */
static enum mix_status find_record(struct window *w, size_t *length, struct mix_error *err)
{
    *length = 0;
    enum mix_status status = fill(w, HEADER_BYTES + CRC_BYTES, err);
    const uint8_t *b = w->bytes + w->begin;
    if (status != MIX_OK || w->end - w->begin < HEADER_BYTES + CRC_BYTES || get_u32(b) != MAGIC)
        return status;
    const size_t n_head = get_u32(b + 8), n_body = get_u32(b + 12);
    if (n_head > RECORD_MAX || n_body > RECORD_MAX - n_head)
        return MIX_OK;
    const size_t n_checked = HEADER_BYTES + n_head + n_body;
    if (n_checked + CRC_BYTES > w->end - w->begin + w->left)
        return MIX_OK;
    status = fill(w, n_checked + CRC_BYTES, err);
    b = w->bytes + w->begin;
    if (status == MIX_OK && w->end - w->begin >= n_checked + CRC_BYTES &&
        get_u32(b + n_checked) == crc32c(&w->crc, b, n_checked))
        *length = n_checked + CRC_BYTES;
    return status;
}

/* Go on to the first place behind the window's begin where a record may begin. */
static enum mix_status next_magic(struct window *w, struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    w->begin++;
    while (status == MIX_OK) {
        status = fill(w, sizeof MAGIC, err);
        const size_t n = w->end - w->begin;
        const uint8_t *from = w->bytes + w->begin;
        const uint8_t *m = n < sizeof MAGIC ? NULL : memchr(from, 'M', n - (sizeof MAGIC - 1));
        if (m != NULL && get_u32(m) == MAGIC) {
            w->begin = (size_t)(m - w->bytes);
            return MIX_OK;
        }
        if (m == NULL && w->left == 0) {
            w->begin = w->end;
            return MIX_OK;
        }
        w->begin = m != NULL ? (size_t)(m - w->bytes) + 1 : w->end - (sizeof MAGIC - 1);
    }
    return status;
}

/* Only zeros are padding: where it was torn, the next record follows at once. */
static enum mix_status skip_padding(struct window *w, size_t n, struct mix_error *err)
{
    const enum mix_status status = fill(w, n, err);
    for (; n > 0 && w->begin < w->end && w->bytes[w->begin] == 0; n--)
        w->begin++;
    return status;
}

static enum mix_status scan(struct window *w, mix_log_fn fn, void *context, size_t *n_bad,
                            struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    for (bool damaged = false; status == MIX_OK;) {
        size_t length = 0;
        status = find_record(w, &length, err);
        if (status != MIX_OK || w->begin == w->end)
            return status;
        if (length == 0) {
            *n_bad += !damaged;
            damaged = true;
            status = next_magic(w, err);
            continue;
        }
        damaged = false;
        const uint8_t *b = w->bytes + w->begin, *head = b + HEADER_BYTES;
        const size_t n_head = get_u32(b + 8), n_body = get_u32(b + 12);
        if (w->at != NULL)
            *w->at = w->read - (w->end - w->begin);
        w->begin += length;
        status = fn(context, (enum mix_log_kind)get_u32(b + 4), head, n_head, head + n_head, n_body,
                    err);
        if (status == MIX_OK)
            status = skip_padding(w, padded(length) - length, err);
    }
    return status;
}

/* A file that went away has no records; one that has grown is read up to its length when found. */
static enum mix_status read_one(const struct log_file *file, struct window *w, mix_log_fn fn,
                                void *context, size_t *n_bad, struct mix_error *err)
{
    w->path = file->path;
    w->begin = w->end = 0;
    w->left = file->n_bytes;
    w->read = file->start;
    w->fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (w->fd < 0)
        return errno == ENOENT ? MIX_OK
                               : mix_fail(err, MIX_EIO, "%s: cannot read the log: %s", file->path,
                                          strerror(errno));
    const enum mix_status status = scan(w, fn, context, n_bad, err);
    close(w->fd);
    return status;
}

/* Of the window: 1 MiB, less where all logs are shorter. */
static size_t block_bytes(const struct mix_logs *logs)
{
    size_t longest = HEADER_BYTES + CRC_BYTES;
    for (size_t i = 0; i < logs->n; i++)
        if (logs->file[i].n_bytes > longest)
            longest = logs->file[i].n_bytes;
    return longest < BLOCK_BYTES ? longest : BLOCK_BYTES;
}

static enum mix_status read_all(const struct mix_logs *logs, mix_log_fn fn, void *context,
                                uint64_t *at, size_t *n_bad, struct mix_error *err)
{
    size_t bad = 0;
    if (n_bad != NULL)
        *n_bad = 0;
    if (mix_logs_count(logs) == 0)
        return MIX_OK;
    struct window *w = calloc(1, sizeof *w);
    if (w != NULL) {
        w->capacity = block_bytes(logs);
        w->bytes = malloc(w->capacity);
    }
    if (w == NULL || w->bytes == NULL) {
        free(w);
        return no_memory(logs->dir, err);
    }
    make_crc_table(&w->crc);
    w->at = at;
    enum mix_status status = MIX_OK;
    for (size_t i = 0; i < logs->n && status == MIX_OK; i++)
        status = read_one(&logs->file[i], w, fn, context, &bad, err);
    free(w->bytes);
    free(w);
    if (status == MIX_OK && n_bad != NULL)
        *n_bad = bad;
    return status;
}

enum mix_status mix_logs_read(const struct mix_logs *logs, mix_log_fn fn, void *context,
                              size_t *n_bad, struct mix_error *err)
{
    return read_all(logs, fn, context, NULL, n_bad, err);
}

enum mix_status mix_logs_survey(const struct mix_logs *logs, mix_log_fn fn, void *context,
                                uint64_t *at, struct mix_error *err)
{
    return read_all(logs, fn, context, at, NULL, err);
}

/* ---- single records */

enum { READER_FILES = 64, READER_BYTES = 1024 };

struct mix_log_reader {
    const struct mix_logs *logs;
    int fd[READER_FILES];      /* of file i at i modulo their number; -1 = none */
    size_t file[READER_FILES]; /* whose it is */
    uint8_t *bytes;
    size_t capacity;
    struct crc_table crc;
};

enum mix_status mix_log_reader_open(const struct mix_logs *logs, struct mix_log_reader **out,
                                    struct mix_error *err)
{
    struct mix_log_reader *reader = calloc(1, sizeof *reader);
    if (reader != NULL)
        reader->bytes = malloc(READER_BYTES);
    if (reader == NULL || reader->bytes == NULL) {
        free(reader);
        return mix_fail(err, MIX_ENOMEM, "no memory for the logs");
    }
    reader->logs = logs;
    reader->capacity = READER_BYTES;
    for (int i = 0; i < READER_FILES; i++)
        reader->fd[i] = -1;
    make_crc_table(&reader->crc);
    *out = reader;
    return MIX_OK;
}

void mix_log_reader_close(struct mix_log_reader *reader)
{
    if (reader == NULL)
        return;
    for (int i = 0; i < READER_FILES; i++)
        if (reader->fd[i] >= 0)
            close(reader->fd[i]);
    free(reader->bytes);
    free(reader);
}

/* The file that has byte `at` of all files, open; the offset in it. -1 where it cannot be opened.
 */
static int file_at(struct mix_log_reader *reader, uint64_t at, size_t *file, off_t *offset)
{
    const struct mix_logs *logs = reader->logs;
    size_t low = 0, high = logs->n;
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        *(logs->file[middle].start <= at ? &low : &high) = middle;
    }
    *file = low;
    *offset = (off_t)(at - logs->file[low].start);
    int *fd = &reader->fd[low % READER_FILES];
    if (*fd >= 0 && reader->file[low % READER_FILES] == low)
        return *fd;
    if (*fd >= 0)
        close(*fd);
    *fd = open(logs->file[low].path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    reader->file[low % READER_FILES] = low;
    return *fd;
}

/* Read up to n bytes into the reader; the number of those that were there. */
static size_t read_at(struct mix_log_reader *reader, int fd, off_t offset, size_t n)
{
    size_t done = 0;
    while (done < n) {
        const ssize_t got = pread(fd, reader->bytes + done, n - done, offset + (off_t)done);
        if (got == 0 || (got < 0 && errno != EINTR))
            break;
        done += got > 0 ? (size_t)got : 0;
    }
    return done;
}

enum mix_status mix_log_reader_read(struct mix_log_reader *reader, uint64_t at, const void **body,
                                    size_t *n_body, struct mix_error *err)
{
    size_t file = 0;
    off_t offset = 0;
    const int fd = file_at(reader, at, &file, &offset);
    size_t n_read = fd < 0 ? 0 : read_at(reader, fd, offset, READER_BYTES);
    const uint8_t *b = reader->bytes;
    if (n_read >= HEADER_BYTES + CRC_BYTES && get_u32(b) == MAGIC && get_u32(b + 8) <= RECORD_MAX &&
        get_u32(b + 12) <= RECORD_MAX - get_u32(b + 8)) {
        const size_t n_head = get_u32(b + 8), n = HEADER_BYTES + n_head + get_u32(b + 12);
        if (n + CRC_BYTES > reader->capacity) {
            uint8_t *larger = realloc(reader->bytes, n + CRC_BYTES);
            if (larger == NULL)
                return mix_fail(err, MIX_ENOMEM, "no memory for a record of %zu bytes", n);
            reader->bytes = larger;
            reader->capacity = n + CRC_BYTES;
        }
        if (n + CRC_BYTES > n_read)
            n_read = read_at(reader, fd, offset, n + CRC_BYTES);
        b = reader->bytes;
        if (n + CRC_BYTES <= n_read && get_u32(b + n) == crc32c(&reader->crc, b, n)) {
            *body = b + HEADER_BYTES + n_head;
            *n_body = n - HEADER_BYTES - n_head;
            return MIX_OK;
        }
    }
    return mix_fail(err, MIX_EIO, "%s: a record that was there cannot be read any more",
                    reader->logs->n > 0 ? reader->logs->file[file].path : "the logs");
}

enum mix_status mix_logs_remove(const struct mix_logs *logs, struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    struct stat info;
    if (logs == NULL)
        return MIX_OK;
    for (size_t i = 0; i < logs->n; i++) {
        const struct log_file *file = &logs->file[i];
        if (stat(file->path, &info) != 0 || (size_t)info.st_size > file->n_bytes)
            continue;
        if (unlink(file->path) != 0 && errno != ENOENT)
            status = mix_fail(err, MIX_EIO, "%s: cannot remove the log: %s", file->path,
                              strerror(errno));
    }
    remove_drafts(logs->dir);
    rmdir(logs->dir); /* stays where somebody put something else into it */
    return status;
}

enum mix_status mix_log_read(const char *dir, mix_log_fn fn, void *context, size_t *n_bad,
                             struct mix_error *err)
{
    struct mix_logs *logs = NULL;
    enum mix_status status = mix_logs_find(dir, &logs, err);
    if (status == MIX_OK)
        status = mix_logs_read(logs, fn, context, n_bad, err);
    mix_logs_destroy(logs);
    return status;
}

enum mix_status mix_log_remove(const char *dir, struct mix_error *err)
{
    struct mix_logs *logs = NULL;
    enum mix_status status = mix_logs_find(dir, &logs, err);
    if (status == MIX_OK)
        status = mix_logs_remove(logs, err);
    mix_logs_destroy(logs);
    return status;
}
