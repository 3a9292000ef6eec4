/* SPDX-License-Identifier: GPL-3.0-or-later */
/* nodelist.c - the lists of nodes that Slurm writes into the environment. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sweep/places.h"

enum { NODES_MAX = 100000, NODE_NAME_MAX = 256, DIGITS_MAX = 9 };

struct expansion {
    const char *list; /* for messages */
    char *names;
    size_t n_bytes, size, n_names;
    struct mix_error *err;
};

static enum mix_status fail_list(const struct expansion *in)
{
    return mix_fail(in->err, MIX_EINVAL,
                    "the list of nodes \"%.200s\" cannot be read; it should look like n[1-3],gpu7.",
                    in->list);
}

static enum mix_status add_name(struct expansion *in, const char *name)
{
    const size_t n = strlen(name) + 1;
    if (n == 1 || in->n_names == NODES_MAX)
        return fail_list(in);
    if (in->n_bytes + n + 1 > in->size) {
        const size_t size = 2 * (in->n_bytes + n + 1);
        char *larger = realloc(in->names, size);
        if (!larger)
            return mix_fail(in->err, MIX_ENOMEM, "out of memory for the names of the nodes.");
        in->names = larger;
        in->size = size;
    }
    memcpy(in->names + in->n_bytes, name, n);
    in->n_bytes += n;
    in->names[in->n_bytes] = '\0';
    in->n_names++;
    return MIX_OK;
}

/* The number at *text with its digits counted; false where there is none. */
static bool read_number(const char **text, long *value, int *n_digits)
{
    *value = 0;
    *n_digits = 0;
    for (; isdigit((unsigned char)**text) && *n_digits < DIGITS_MAX; ++*text, ++*n_digits)
        *value = 10 * *value + (**text - '0');
    return *n_digits > 0 && !isdigit((unsigned char)**text);
}

/* Names of one entry: the text before the first bracket, each number in it, and what the text
 * behind it expands to. */
static enum mix_status expand_entry(struct expansion *in, char *name, size_t n_name,
                                    const char *entry)
{
    const size_t n_plain = strcspn(entry, "[");
    if (n_name + n_plain + DIGITS_MAX + 1 >= NODE_NAME_MAX)
        return fail_list(in);
    memcpy(name + n_name, entry, n_plain);
    n_name += n_plain;
    name[n_name] = '\0';
    if (entry[n_plain] == '\0')
        return add_name(in, name);
    const char *range = entry + n_plain + 1, *rest = strchr(range, ']');
    enum mix_status status = rest ? MIX_OK : fail_list(in);
    while (status == MIX_OK) {
        long first, last;
        int n_digits, n_last;
        if (!read_number(&range, &first, &n_digits))
            return fail_list(in);
        last = first;
        if (*range == '-' && (range++, !read_number(&range, &last, &n_last)))
            return fail_list(in);
        if (last < first || last - first >= NODES_MAX || (*range != ',' && *range != ']'))
            return fail_list(in);
        for (long i = first; status == MIX_OK && i <= last; i++) {
            const int n = snprintf(name + n_name, DIGITS_MAX + 2, "%0*ld", n_digits, i);
            status = expand_entry(in, name, n_name + (size_t)n, rest + 1);
        }
        if (*range++ == ']')
            break;
    }
    return status;
}

/* Bytes up to the comma that ends an entry: one outside brackets. */
static size_t entry_length(const char *list)
{
    size_t n = 0;
    for (bool inside = false; list[n] != '\0' && (inside || list[n] != ','); n++)
        inside = list[n] == '[' || (inside && list[n] != ']');
    return n;
}

enum mix_status mix_nodelist_expand(const char *list, char **names, size_t *n_names,
                                    struct mix_error *err)
{
    struct expansion in = {.list = list, .err = err};
    char name[NODE_NAME_MAX];
    enum mix_status status = MIX_OK;
    for (bool more = true; status == MIX_OK && more;) {
        const size_t n = entry_length(list);
        char *entry = strndup(list, n);
        if (entry)
            status = expand_entry(&in, name, 0, entry);
        else
            status = mix_fail(err, MIX_ENOMEM, "out of memory for the names of the nodes.");
        free(entry);
        more = list[n] == ',';
        list += n + more;
    }
    if (status == MIX_OK) {
        *names = in.names;
        *n_names = in.n_names;
    } else {
        free(in.names);
    }
    return status;
}

int mix_node_count(const char *text, size_t i)
{
    while (text && isdigit((unsigned char)*text)) {
        long count, times = 1;
        int n_digits;
        if (!read_number(&text, &count, &n_digits))
            return 0;
        if (strncmp(text, "(x", 2) == 0) {
            text += 2;
            if (!read_number(&text, &times, &n_digits) || *text++ != ')')
                return 0;
        }
        if (i < (size_t)times)
            return (int)count;
        i -= (size_t)times;
        text += *text == ',';
    }
    return 0;
}
