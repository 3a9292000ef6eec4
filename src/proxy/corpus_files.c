/* SPDX-License-Identifier: GPL-3.0-or-later */
/* corpus_files.c - the files of a source: names, folders and globs to one list. */
#include "proxy/corpus_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK_BYTES = 65536 };
static const uint64_t ALL_BYTES = (uint64_t)64 << 20; /* of a source: so much is read whole */

/* Files and folders met so far, by what they are: an open-addressing table, never over half full.
 */
struct seen {
    struct identity {
        dev_t device;
        ino_t inode;
        bool used;
    } * slots;
    size_t n_used, n_slots; /* a power of two */
};

struct search {
    const char *source;
    struct corpus_files *files;
    struct seen seen;
    struct mix_error *err;
};

static struct identity *slot_of(const struct seen *seen, dev_t device, ino_t inode)
{
    size_t i = (size_t)(((uint64_t)inode * 0x9E3779B97F4A7C15u + (uint64_t)device) >> 16);
    for (;; i++) {
        struct identity *slot = &seen->slots[i & (seen->n_slots - 1)];
        if (!slot->used || (slot->device == device && slot->inode == inode))
            return slot;
    }
}

static bool seen_grow(struct seen *seen)
{
    struct seen grown = {.n_used = seen->n_used, .n_slots = seen->n_slots ? 2 * seen->n_slots : 64};
    grown.slots = calloc(grown.n_slots, sizeof *grown.slots);
    if (grown.slots == NULL)
        return false;
    for (size_t i = 0; i < seen->n_slots; i++)
        if (seen->slots[i].used)
            *slot_of(&grown, seen->slots[i].device, seen->slots[i].inode) = seen->slots[i];
    free(seen->slots);
    *seen = grown;
    return true;
}

/* Was it met before? It is from now on. */
static enum mix_status meet(struct search *search, const struct stat *what, bool *before)
{
    struct seen *seen = &search->seen;
    if (2 * seen->n_used >= seen->n_slots && !seen_grow(seen))
        return corpus_no_memory(search->source, search->err);
    struct identity *slot = slot_of(seen, what->st_dev, what->st_ino);
    *before = slot->used;
    seen->n_used += !slot->used;
    *slot = (struct identity){.device = what->st_dev, .inode = what->st_ino, .used = true};
    return MIX_OK;
}

static enum mix_status add_file(struct search *search, const char *path, bool named)
{
    struct corpus_files *files = search->files;
    if (files->n_files == files->capacity) {
        const size_t capacity = 2 * files->capacity + 64;
        struct corpus_file *grown = realloc(files->files, capacity * sizeof *grown);
        if (grown == NULL)
            return corpus_no_memory(search->source, search->err);
        files->files = grown;
        files->capacity = capacity;
    }
    char *copy = strdup(path);
    if (copy == NULL)
        return corpus_no_memory(search->source, search->err);
    files->files[files->n_files++] = (struct corpus_file){.path = copy, .named = named};
    return MIX_OK;
}

static enum mix_status add_path(struct search *search, const char *path, bool named);

static int not_hidden(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* strcmp, where alphasort would ask the locale */
static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static enum mix_status add_entry(struct search *search, const char *folder, const char *name)
{
    const size_t n_folder = strlen(folder), n_name = strlen(name);
    char *path = malloc(n_folder + n_name + 2);
    if (path == NULL)
        return corpus_no_memory(search->source, search->err);
    memcpy(path, folder, n_folder);
    path[n_folder] = '/';
    memcpy(path + n_folder + 1, name, n_name + 1);
    const enum mix_status status = add_path(search, path, false);
    free(path);
    return status;
}

static enum mix_status add_folder(struct search *search, const char *path)
{
    struct dirent **entries = NULL;
    const int n_entries = scandir(path, &entries, not_hidden, by_name);
    if (n_entries < 0 && errno == ENOMEM)
        return corpus_no_memory(search->source, search->err);
    if (n_entries < 0)
        return mix_fail(search->err, MIX_EIO, "source %s: folder %s cannot be read: %s.",
                        search->source, path, strerror(errno));
    enum mix_status status = MIX_OK;
    for (int i = 0; i < n_entries; i++) {
        if (status == MIX_OK)
            status = add_entry(search, path, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return status;
}

/* A file or folder that exists. Links are followed: what was met before ends every loop. */
static enum mix_status add_path(struct search *search, const char *path, bool named)
{
    struct stat what;
    if (stat(path, &what) != 0) {
        if (!named && (errno == ENOENT || errno == ELOOP)) /* a link to nowhere */
            return MIX_OK;
        return mix_fail(search->err, MIX_EIO, "source %s: %s cannot be read: %s.", search->source,
                        path, strerror(errno));
    }
    if (!S_ISREG(what.st_mode) && !S_ISDIR(what.st_mode)) {
        if (!named)
            return MIX_OK;
        return mix_fail(search->err, MIX_EINVAL, "source %s: %s is neither a file nor a folder.",
                        search->source, path);
    }
    bool before = false;
    const enum mix_status status = meet(search, &what, &before);
    if (status != MIX_OK || before)
        return status;
    return S_ISDIR(what.st_mode) ? add_folder(search, path) : add_file(search, path, named);
}

static int by_path(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum mix_status add_glob(struct search *search, const char *pattern)
{
    glob_t found = {0};
    const int failed = glob(pattern, GLOB_NOSORT, NULL, &found);
    enum mix_status status = MIX_OK;
    if (failed == GLOB_NOSPACE)
        status = corpus_no_memory(search->source, search->err);
    else if (failed == GLOB_NOMATCH)
        status = mix_fail(search->err, MIX_ENOTFOUND, "source %s: nothing matches %s.",
                          search->source, pattern);
    else if (failed != 0)
        status = mix_fail(search->err, MIX_EIO, "source %s: the folders of %s cannot be read.",
                          search->source, pattern);
    else
        qsort(found.gl_pathv, found.gl_pathc, sizeof *found.gl_pathv, by_path);
    for (size_t i = 0; status == MIX_OK && i < found.gl_pathc; i++)
        status = add_path(search, found.gl_pathv[i], false);
    globfree(&found);
    return status;
}

enum mix_status corpus_find(const struct mix_corpus_source *source, struct corpus_files *files,
                            struct mix_error *err)
{
    struct search search = {.source = source->name, .files = files, .err = err};
    enum mix_status status = MIX_OK;
    for (size_t i = 0; status == MIX_OK && i < source->n_paths; i++) {
        const char *path = source->paths[i];
        struct stat what;
        const bool exists = stat(path, &what) == 0; /* its name may hold what a glob is made of */
        if (!exists && errno == ENOENT && strpbrk(path, "*?[") != NULL)
            status = add_glob(&search, path);
        else if (!exists && errno == ENOENT)
            status =
                mix_fail(err, MIX_ENOTFOUND, "source %s: %s does not exist.", source->name, path);
        else
            status = add_path(&search, path, true);
    }
    free(search.seen.slots);
    return status;
}

void corpus_files_free(struct corpus_files *files)
{
    for (size_t i = 0; i < files->n_files; i++)
        free(files->files[i].path);
    free(files->files);
    *files = (struct corpus_files){0};
}

/* ---- what the files hold, in a few bytes */

static enum mix_status fail_file(const char *source, const char *path, struct mix_error *err)
{
    return mix_fail(err, MIX_EIO, "source %s: %s cannot be read: %s.", source, path,
                    strerror(errno));
}

/* What came before and the next piece. */
static struct mix_key chain(struct mix_key before, struct mix_key next)
{
    const struct mix_key both[2] = {before, next};
    return mix_key_make(0, "chain", both, sizeof both);
}

enum mix_status mix_corpus_stamp(const struct mix_corpus_source *source, struct mix_key *out,
                                 struct mix_error *err)
{
    struct corpus_files files = {0};
    struct mix_key key = {0};
    enum mix_status status = corpus_find(source, &files, err);
    for (size_t i = 0; status == MIX_OK && i < files.n_files; i++) {
        const char *path = files.files[i].path;
        struct stat what;
        if (stat(path, &what) != 0) {
            status = fail_file(source->name, path, err);
            break;
        }
        const int64_t is[3] = {what.st_size, what.st_mtim.tv_sec, what.st_mtim.tv_nsec};
        key = chain(key, mix_key_make(0, path, is, sizeof is));
    }
    corpus_files_free(&files);
    *out = key;
    return status;
}

/* Up to `n` bytes from `at` on; 0 at the end of the file, less than 0 on failure. */
static ssize_t read_block(int fd, uint8_t *bytes, size_t n, uint64_t at)
{
    size_t n_read = 0;
    while (n_read < n) {
        const ssize_t got = pread(fd, bytes + n_read, n - n_read, (off_t)(at + n_read));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        n_read += (size_t)got;
    }
    return (ssize_t)n_read;
}

/* At most `n_most` blocks of the file, the first and the last among them. */
static enum mix_status hash_blocks(const char *source, const char *path, int fd, uint64_t n_bytes,
                                   uint64_t n_most, struct mix_key *key, struct mix_error *err)
{
    uint8_t bytes[BLOCK_BYTES];
    const uint64_t n_all = (n_bytes + BLOCK_BYTES - 1) / BLOCK_BYTES;
    const uint64_t n = n_all < n_most ? n_all : n_most;
    *key = chain(*key, (struct mix_key){.lo = n_bytes});
    for (uint64_t b = 0; b < n; b++) {
        const double place = n > 1 ? (double)b / (double)(n - 1) : 0.0;
        const uint64_t block = n == n_all ? b : (uint64_t)(place * (double)(n_all - 1));
        const ssize_t got = read_block(fd, bytes, sizeof bytes, block * BLOCK_BYTES);
        if (got < 0)
            return fail_file(source, path, err);
        *key = chain(*key, mix_key_make(block, "block", bytes, (size_t)got));
    }
    return MIX_OK;
}

static enum mix_status hash_file(const char *source, const char *path, uint64_t n_most,
                                 struct mix_key *key, struct mix_error *err)
{
    struct stat what;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    enum mix_status status = MIX_OK;
    if (fd < 0 || fstat(fd, &what) != 0)
        status = fail_file(source, path, err);
    else
        status = hash_blocks(source, path, fd, (uint64_t)what.st_size, n_most, key, err);
    if (fd >= 0)
        close(fd);
    return status;
}

enum mix_status mix_corpus_hash_files(const struct mix_corpus_source *source, struct mix_key *out,
                                      struct mix_error *err)
{
    struct corpus_files files = {0};
    struct mix_key key = {0};
    enum mix_status status = corpus_find(source, &files, err);
    uint64_t n_bytes = 0, n_most = UINT64_MAX;
    for (size_t i = 0; status == MIX_OK && i < files.n_files; i++) {
        struct stat what;
        if (stat(files.files[i].path, &what) == 0)
            n_bytes += (uint64_t)what.st_size;
    }
    if (n_bytes > ALL_BYTES) { /* some of each */
        n_most = ALL_BYTES / BLOCK_BYTES / files.n_files;
        n_most = n_most > 2 ? n_most : 2;
    }
    for (size_t i = 0; status == MIX_OK && i < files.n_files; i++)
        status = hash_file(source->name, files.files[i].path, n_most, &key, err);
    corpus_files_free(&files);
    *out = key;
    return status;
}
