/* SPDX-License-Identifier: GPL-3.0-or-later */
/* shard.c - parts of a sweep, in files of their own: a file has one writer, and shards run side by
 * side. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/sweep.h"

static const char between[] = "-of-";

enum mix_status mix_shard_file(const char *file, size_t shard, size_t n_shards,
                               char out[MIX_TEXT_MAX], struct mix_error *err)
{
    const char *ending = strrchr(file, '.');
    if (!ending || strchr(ending, '/'))
        ending = file + strlen(file);
    const int n = snprintf(out, MIX_TEXT_MAX, "%.*s.%zu%s%zu%s", (int)(ending - file), file,
                           shard + 1, between, n_shards, ending);
    return n < MIX_TEXT_MAX
               ? MIX_OK
               : mix_fail(err, MIX_EINVAL, "%s: the name of a shard of it is too long.", file);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

void mix_shard_of_file(const char *file, size_t *shard, size_t *n_shards)
{
    const char *slash = strrchr(file, '/'), *name = slash ? slash + 1 : file;
    *shard = *n_shards = 0;
    for (const char *at = strstr(name, between); at; at = strstr(at + 1, between)) {
        const char *begin = at;
        char *end = NULL;
        while (begin > name && is_digit(begin[-1]))
            begin--;
        if (begin == at || begin == name || begin[-1] != '.' || !is_digit(at[strlen(between)]))
            continue;
        const unsigned long i = strtoul(begin, NULL, 10);
        const unsigned long n = strtoul(at + strlen(between), &end, 10);
        if (i >= 1 && i <= n && (*end == '\0' || *end == '.')) {
            *shard = i - 1;
            *n_shards = n;
        }
    }
}

bool mix_shard_has(size_t shard, size_t n_shards, struct mix_key key)
{
    return n_shards == 0 || key.lo % n_shards == shard;
}
