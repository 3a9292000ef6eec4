/* SPDX-License-Identifier: GPL-3.0-or-later */
/* report.h - a sweep file as pictures: one HTML page that needs nothing else, and its figures as
 * SVG and PNG.
 *
 * gnuplot draws; it is the only program that is called. The page has a section for what the file
 * has, and none for what it has not.
 */
#ifndef MIXSWEEP_REPORT_H
#define MIXSWEEP_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "mixsweep/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What was written. */
struct mix_report {
    size_t n_sections, n_figures;
    size_t n_bytes; /* of index.html */
};

/**
 * Write DIR/index.html and DIR/NAME.svg, DIR/NAME.png of every figure. Local; reads the file
 * without its lock, also while a job writes it.
 *
 * What is drawn goes into a folder inside DIR and is moved into place at the end, index.html last:
 * after a failure DIR is as it was. A report that is there is replaced, figures that the new one
 * does not have are removed; other files in DIR stay.
 *
 * @param path   S.h5
 * @param dir    made where it is not there
 * @param force  write into a folder that has other files and no report of ours, too
 * @param out    out: what was written; may be NULL
 * @return MIX_OK; MIX_ENOTFOUND no such file, or no gnuplot; MIX_EFORMAT not a sweep file;
 * MIX_EEXIST DIR has other things in it, or is no folder; MIX_EIO; MIX_ENOMEM
 */
enum mix_status mix_report_write(const char *path, const char *dir, bool force,
                                 struct mix_report *out, struct mix_error *err);

#ifdef __cplusplus
}
#endif
#endif
