/* SPDX-License-Identifier: GPL-3.0-or-later */
/* files.h - writing that is checked to the end. Private to the library. */
#ifndef MIXSWEEP_FILES_H
#define MIXSWEEP_FILES_H

#include <stddef.h>

/** Write all bytes; a short write (disk nearly full, signal) is continued: the next try tells. 0 or
 * the errno. */
int mix_file_write(int fd, const void *bytes, size_t n);

/** Sync a folder's entries. One that cannot be synced (some network file systems) is no reason to
 * fail. */
void mix_folder_sync(const char *folder);

#endif
