/* SPDX-License-Identifier: GPL-3.0-or-later */
/* folder.h - the folder of a report: what is in it stays until the new one is whole. Private to
 * src/report/. */
#ifndef MIXSWEEP_REPORT_FOLDER_H
#define MIXSWEEP_REPORT_FOLDER_H

#include "report/report_impl.h"

enum { FOLDER_MAX = 768 }; /* bytes of a path to DIR */

struct folder {
    char dir[FOLDER_MAX];
    char work[FOLDER_MAX + 32]; /* inside dir, for what is being made; gone at the end */
    bool made;                  /* dir was not there before */
};

/**
 * Make DIR and its working folder.
 *
 * @return MIX_OK, then folder_close() is due; MIX_EEXIST DIR has other things in it and `force` is
 * not given, or is no folder; MIX_EIO
 */
enum mix_status folder_open(const char *dir, bool force, struct folder *folder,
                            struct mix_error *err);

/** Move index.html and the figures into DIR, drop figures of an earlier report. */
enum mix_status folder_publish(const struct folder *folder, size_t n_figures,
                               const struct figure *figures, struct mix_error *err);

/** Remove the working folder, and DIR where it was made for nothing. */
void folder_close(struct folder *folder);

#endif
