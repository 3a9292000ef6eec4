/* SPDX-License-Identifier: GPL-3.0-or-later */
/* files.c - see files.h. */
#include "core/files.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int mix_file_write(int fd, const void *bytes, size_t n)
{
    const char *from = bytes;
    while (n > 0) {
        const ssize_t written = write(fd, from, n);
        if (written == 0)
            return EIO; /* nothing can be written, and no reason is given */
        if (written < 0 && errno != EINTR)
            return errno;
        if (written > 0) {
            from += written;
            n -= (size_t)written;
        }
    }
    return 0;
}

void mix_folder_sync(const char *folder)
{
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}
