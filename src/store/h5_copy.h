/* SPDX-License-Identifier: GPL-3.0-or-later */
/* h5_copy.h - what an older file holds, carried to a newer one. Private to src/store/. */
#ifndef MIXSWEEP_H5_COPY_H
#define MIXSWEEP_H5_COPY_H

#include "store/h5io.h"

/** Copy the attributes of a group that the other one does not have. Returns the number of those
 * that cannot be copied: references, damaged ones, more than 64 MiB. */
size_t h5_carry_attributes(const struct h5_group *from, const struct h5_group *to);

/** Copy object `name` of one file to another, unchanged, and attach the scales in it anew (their
 * references do not survive that). */
enum mix_status h5_copy(const struct h5_group *from, const char *name, const struct h5_group *to,
                        struct mix_error *err);

#endif
