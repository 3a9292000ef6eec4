/* SPDX-License-Identifier: GPL-3.0-or-later */
/* output.c - the file that -o names: nothing is replaced unasked, and nothing is left half written.
 */
#define _XOPEN_SOURCE 700 /* realpath() */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static enum mix_status cannot_write(const char *path, int reason, struct mix_error *err)
{
    return mix_fail(err, MIX_EIO, "cannot write %s: %s.", path,
                    reason != 0 ? strerror(reason) : "an earlier write failed");
}

enum mix_status cli_refuse_folder(const char *path, struct mix_error *err)
{
    struct stat found;
    if (stat(path, &found) == 0 && S_ISDIR(found.st_mode))
        return mix_fail(err, MIX_EINVAL, "%s is a folder; give the name of a file.", path);
    return MIX_OK;
}

/* Refuse an output that is one of the inputs; `found` is what the output is now. */
static enum mix_status refuse_inputs(const char *path, const struct stat *found, size_t n_inputs,
                                     const char *const *inputs, struct mix_error *err)
{
    struct stat input;
    for (size_t i = 0; i < n_inputs; i++)
        if (stat(inputs[i], &input) == 0 && S_ISREG(input.st_mode) && same_file(found, &input))
            return strcmp(path, inputs[i]) == 0
                       ? mix_fail(err, MIX_EEXIST,
                                  "%s is the file that is read: give -o another name.", path)
                       : mix_fail(err, MIX_EEXIST, "%s is %s, which is read: give -o another name.",
                                  path, inputs[i]);
    return MIX_OK;
}

enum mix_status cli_refuse_output(const char *path, bool force, size_t n_inputs,
                                  const char *const *inputs, struct mix_error *err)
{
    struct stat found;
    enum mix_status status = cli_refuse_folder(path, err);
    if (status != MIX_OK || stat(path, &found) != 0)
        return status;
    if (!S_ISREG(found.st_mode))
        return mix_fail(err, MIX_EINVAL, "%s is not a file; give the name of one.", path);
    status = refuse_inputs(path, &found, n_inputs, inputs, err);
    if (status == MIX_OK && !force)
        status = mix_fail(err, MIX_EEXIST, "%s exists already; --force replaces it.", path);
    return status;
}

/* A file under another name, renamed at the end; a link stays, the file that it names is new. */
static enum mix_status open_beside(struct cli_output *output, const struct stat *found,
                                   struct mix_error *err)
{
    output->target = found != NULL ? realpath(output->path, NULL) : strdup(output->path);
    if (output->target == NULL)
        return cannot_write(output->path, errno, err);
    const size_t n_bytes = strlen(output->target) + 32;
    output->temporary = malloc(n_bytes);
    if (output->temporary == NULL)
        return mix_fail(err, MIX_ENOMEM, "not enough memory for a file name.");
    (void)snprintf(output->temporary, n_bytes, "%s.part-%ld", output->target, (long)getpid());
    const int fd = open(output->temporary, O_WRONLY | O_CREAT | O_EXCL, 0666);
    if (fd < 0) {
        const int reason = errno;
        free(output->temporary); /* not ours to remove */
        output->temporary = NULL;
        return cannot_write(output->path, reason, err);
    }
    const bool bad = found != NULL && fchmod(fd, found->st_mode & 0777) != 0;
    output->file = bad ? NULL : fdopen(fd, "w");
    if (output->file == NULL) {
        const int reason = errno;
        close(fd);
        return cannot_write(output->path, reason, err);
    }
    return MIX_OK;
}

/* A device or a pipe is written to as it is; our own stdout behind what it has already. */
static enum mix_status open_as_it_is(struct cli_output *output, bool is_stdout,
                                     struct mix_error *err)
{
    fflush(stdout);
    const int fd = is_stdout ? dup(STDOUT_FILENO) : open(output->path, O_WRONLY | O_NOCTTY);
    output->file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (output->file != NULL)
        return MIX_OK;
    const int reason = errno;
    if (fd >= 0)
        close(fd);
    return cannot_write(output->path, reason, err);
}

static enum mix_status open_output(struct cli_output *output, bool force, size_t n_inputs,
                                   const char *const *inputs, struct mix_error *err)
{
    struct stat found, out;
    if (stat(output->path, &found) != 0) {
        if (lstat(output->path, &found) == 0)
            return mix_fail(err, MIX_EEXIST, "%s is a link to what does not exist.", output->path);
        return open_beside(output, NULL, err);
    }
    enum mix_status status = cli_refuse_folder(output->path, err);
    if (status == MIX_OK)
        status = refuse_inputs(output->path, &found, n_inputs, inputs, err);
    if (status != MIX_OK)
        return status;
    const bool is_stdout = fstat(STDOUT_FILENO, &out) == 0 && same_file(&found, &out);
    if (is_stdout || S_ISCHR(found.st_mode) || S_ISFIFO(found.st_mode))
        return open_as_it_is(output, is_stdout, err);
    if (!force)
        return mix_fail(err, MIX_EEXIST, "%s exists already; --force replaces it.", output->path);
    return S_ISREG(found.st_mode) ? open_beside(output, &found, err)
                                  : open_as_it_is(output, false, err);
}

enum mix_status cli_output_open(struct cli_output *output, const char *path, bool force,
                                size_t n_inputs, const char *const *inputs, struct mix_error *err)
{
    *output = (struct cli_output){.path = path};
    const enum mix_status status = open_output(output, force, n_inputs, inputs, err);
    return status == MIX_OK ? MIX_OK : cli_output_close(output, status, err);
}

enum mix_status cli_output_close(struct cli_output *output, enum mix_status status,
                                 struct mix_error *err)
{
    if (output->file != NULL) {
        errno = 0;
        bool bad = fflush(output->file) != 0 || ferror(output->file) != 0;
        bad = bad || (output->temporary != NULL && fsync(fileno(output->file)) != 0);
        const int reason = errno;
        if ((fclose(output->file) != 0 || bad) && status == MIX_OK)
            status = cannot_write(output->path, bad ? reason : errno, err);
    }
    if (status == MIX_OK && output->temporary != NULL &&
        rename(output->temporary, output->target) != 0)
        status = mix_fail(err, MIX_EIO, "cannot rename %s to %s: %s.", output->temporary,
                          output->target, strerror(errno));
    if (status != MIX_OK && output->temporary != NULL)
        unlink(output->temporary);
    free(output->temporary);
    free(output->target);
    *output = (struct cli_output){.path = NULL};
    return status;
}
