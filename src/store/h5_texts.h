/* SPDX-License-Identifier: GPL-3.0-or-later */
/* h5_texts.h - columns of texts of any length. Private to src/store/. */
#ifndef MIXSWEEP_H5_TEXTS_H
#define MIXSWEEP_H5_TEXTS_H

#include "store/h5io.h"

/** A column of texts of any length, NULL and "" alike; read makes each with malloc(). */
enum mix_status h5_write_texts(const struct h5_group *group, const char *name,
                               const struct h5_dim *dim, char *const *texts, struct mix_error *err);
enum mix_status h5_read_texts(const struct h5_group *group, const char *name,
                              const struct h5_dim *dim, char **texts, struct mix_error *err);

/** A column of texts; `width` is that of the longest one with its end. Close it also after a
 * failure. */
struct h5_texts {
    const struct h5_group *group;
    const char *name;
    hid_t dataset, type;
    size_t width, n_rows; /* of a block: whole chunks */
    char *packed;         /* (n_rows, width) */
};
enum mix_status h5_texts_create(const struct h5_group *group, const char *name,
                                const struct h5_dim *dim, size_t width, struct h5_texts *texts,
                                struct mix_error *err);
enum mix_status h5_texts_open(const struct h5_group *group, const char *name,
                              const struct h5_dim *dim, struct h5_texts *texts,
                              struct mix_error *err);
void h5_texts_close(struct h5_texts *texts);
enum mix_status h5_texts_write(const struct h5_texts *texts, char *const *from, size_t first,
                               size_t n, struct mix_error *err);
enum mix_status h5_texts_read(const struct h5_texts *texts, char **to, size_t first, size_t n,
                              struct mix_error *err);

#endif
