/* SPDX-License-Identifier: GPL-3.0-or-later */
/* h5_texts.c - see h5_texts.h. A column is as wide as its longest text, and is carried block by
 * block. */
#include "store/h5_texts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "store/h5io_impl.h"

enum { BLOCK_BYTES = 1 << 20 };

static size_t longest(char *const *texts, size_t n)
{
    size_t width = 1;
    for (size_t i = 0; i < n; i++)
        if (texts[i] != NULL && strlen(texts[i]) >= width)
            width = strlen(texts[i]) + 1;
    return width;
}

/* Room for a block of whole chunks. */
static bool open_block(struct h5_texts *texts, const struct h5_field *field, hid_t found,
                       size_t n_rows)
{
    const size_t width = field->width;
    const size_t rows = h5_chunk_rows(width);
    assert(rows * width > 0);
    const size_t n_chunks = BLOCK_BYTES / (rows * width) + 1;
    texts->width = width;
    texts->n_rows = rows * n_chunks < n_rows ? rows * n_chunks : n_rows;
    texts->type = h5_reading_type(field, found);
    texts->packed = malloc(texts->n_rows * width + 1);
    return texts->type >= 0 && texts->packed != NULL;
}

void h5_texts_close(struct h5_texts *texts)
{
    free(texts->packed);
    h5_close(texts->type);
    h5_close(texts->dataset);
    *texts = (struct h5_texts){.dataset = -1, .type = -1};
}

enum mix_status h5_texts_create(const struct h5_group *group, const char *name,
                                const struct h5_dim *dim, size_t width, struct h5_texts *texts,
                                struct mix_error *err)
{
    const struct h5_field field = {
        .name = name, .type = H5_TEXT, .width = width, .dim = {0, NO_DIM}};
    *texts = (struct h5_texts){.group = group, .name = name, .dataset = -1, .type = -1};
    if (width >= TEXT_MAX)
        return mix_fail(err, MIX_EINVAL, "%s: %s/%s has a text of %zu bytes; %d are allowed",
                        group->file, group->path, name, width - 1, TEXT_MAX - 2);
    texts->dataset = h5_create_dataset(group, &field, dim);
    if (texts->dataset < 0)
        return h5_fail_write(group, name, err);
    return open_block(texts, &field, -1, dim->n) ? MIX_OK : h5_fail_memory(group, name, err);
}

enum mix_status h5_texts_write(const struct h5_texts *texts, char *const *from, size_t first,
                               size_t n, struct mix_error *err)
{
    for (size_t at = 0, m; at < n; at += m) {
        m = n - at < texts->n_rows ? n - at : texts->n_rows;
        for (size_t i = 0; i < m; i++) /* strncpy pads with zeros */
            strncpy(texts->packed + i * texts->width, from[at + i] != NULL ? from[at + i] : "",
                    texts->width);
        if (!h5_move_rows(texts->dataset, texts->type, first + at, m, texts->packed, true))
            return h5_fail_write(texts->group, texts->name, err);
    }
    return MIX_OK;
}

enum mix_status h5_write_texts(const struct h5_group *group, const char *name,
                               const struct h5_dim *dim, char *const *texts, struct mix_error *err)
{
    struct h5_texts column;
    enum mix_status status =
        h5_texts_create(group, name, dim, longest(texts, dim->n), &column, err);
    if (status == MIX_OK)
        status = h5_texts_write(&column, texts, 0, dim->n, err);
    h5_texts_close(&column);
    return status;
}

enum mix_status h5_texts_open(const struct h5_group *group, const char *name,
                              const struct h5_dim *dim, struct h5_texts *texts,
                              struct mix_error *err)
{
    *texts = (struct h5_texts){.group = group, .name = name, .dataset = -1, .type = -1};
    texts->dataset = h5_open_dataset(group, name, err);
    if (texts->dataset < 0)
        return MIX_EFORMAT;
    const hid_t type = H5Dget_type(texts->dataset);
    const size_t width = h5_text_width(type);
    const struct h5_field field = {
        .name = name, .type = H5_TEXT, .width = width, .dim = {0, NO_DIM}};
    enum mix_status status = h5_check_shape(group, texts->dataset, &field, dim, err);
    if (status == MIX_OK && (width == 0 || dim->n > SIZE_MAX / TEXT_MAX / 2 ||
                             !h5_holds_its_data(texts->dataset, dim->n * width) ||
                             !h5_chunks_are_whole(texts->dataset, type)))
        status = h5_fail_read(group, name, "is not a column of texts", err);
    if (status == MIX_OK && !open_block(texts, &field, type, dim->n))
        status = h5_fail_memory(group, name, err);
    h5_close(type);
    return status;
}

enum mix_status h5_texts_read(const struct h5_texts *texts, char **to, size_t first, size_t n,
                              struct mix_error *err)
{
    for (size_t at = 0, m; at < n; at += m) {
        m = n - at < texts->n_rows ? n - at : texts->n_rows;
        if (!h5_move_rows(texts->dataset, texts->type, first + at, m, texts->packed, false))
            return h5_fail_read(texts->group, texts->name, "cannot be read", err);
        for (size_t i = 0; i < m; i++) {
            const char *text = texts->packed + i * texts->width;
            if (memchr(text, 0, texts->width) == NULL)
                return h5_fail_read(texts->group, texts->name, "holds a text without end", err);
            if (text[0] != '\0' && (to[at + i] = strdup(text)) == NULL)
                return h5_fail_memory(texts->group, texts->name, err);
        }
    }
    return MIX_OK;
}

enum mix_status h5_read_texts(const struct h5_group *group, const char *name,
                              const struct h5_dim *dim, char **texts, struct mix_error *err)
{
    struct h5_texts column;
    enum mix_status status = h5_texts_open(group, name, dim, &column, err);
    if (status == MIX_OK)
        status = h5_texts_read(&column, texts, 0, dim->n, err);
    h5_texts_close(&column);
    return status;
}
