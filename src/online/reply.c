/* SPDX-License-Identifier: GPL-3.0-or-later */
/* reply.c - see reply.h for the form of a reply. */
#include "online/reply.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SHOWN = 200 }; /* bytes of what a trainer says */

/* Python writes NaN and Infinity, which JSON does not have. An empty string, which has room in
 * their place, stands for them from here on. */
static void mark_not_finite(char *text, size_t n_bytes)
{
    static const char *const words[] = {"NaN", "-Infinity", "Infinity"};
    bool in_string = false;
    for (size_t i = 0; i < n_bytes; i++) {
        if (in_string && text[i] == '\\') {
            i++;
            continue;
        }
        if (text[i] == '"')
            in_string = !in_string;
        for (size_t w = 0; !in_string && w < sizeof words / sizeof words[0]; w++) {
            const size_t length = strlen(words[w]);
            if (length <= n_bytes - i && memcmp(text + i, words[w], length) == 0) {
                memset(text + i, ' ', length);
                text[i] = text[i + 1] = '"';
                i += length - 1;
                break;
            }
        }
    }
}

/* A number of bytes that a sentence can quote: what is no printable ASCII becomes '?'. */
static void quote(const char *text, size_t n_bytes, char out[SHOWN + 4])
{
    const size_t n = n_bytes < SHOWN ? n_bytes : SHOWN;
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(text[i] >= ' ' && text[i] <= '~' ? text[i] : '?');
    (void)snprintf(out + n, 4, "%s", n < n_bytes ? "..." : "");
}

static enum mix_status load(char *text, size_t n_bytes, json_t **out, struct mix_error *err)
{
    json_error_t error;
    char shown[SHOWN + 4];
    if (n_bytes > REPLY_BYTES_MAX)
        return mix_fail(err, MIX_EFORMAT, "the answer has more than %d bytes", REPLY_BYTES_MAX);
    quote(text, n_bytes, shown);
    mark_not_finite(text, n_bytes);
    json_t *root =
        json_loadb(text, n_bytes, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &error);
    if (root != NULL && json_is_object(root)) {
        *out = root;
        return MIX_OK;
    }
    json_decref(root);
    return mix_fail(err, MIX_EFORMAT,
                    "\"%s\" on its stdout is no JSON object; only answers belong there, one on "
                    "each line, and all else on stderr",
                    shown);
}

/* A finite number that is not below `lowest`; `what` is what the sentence calls it. */
static enum mix_status take_number(const json_t *value, const char *what, double lowest,
                                   double *out, struct mix_error *err)
{
    if (value == NULL)
        return mix_fail(err, MIX_EFORMAT, "the answer lacks %s", what);
    if (json_is_string(value) && json_string_length(value) == 0)
        return mix_fail(err, MIX_ENUMERIC, "%s is not finite", what);
    const double number = json_is_number(value) ? json_number_value(value) : NAN;
    if (!(number >= lowest && isfinite(number)))
        return mix_fail(err, MIX_EFORMAT, "%s is not a number%s", what,
                        lowest == 0.0 ? " of 0 or more" : "");
    *out = number;
    return MIX_OK;
}

/* A number for every group: the value of `key`, an object by group. */
static enum mix_status take_groups(const struct reply_form *form, const json_t *object,
                                   const char *key, double lowest, double *out,
                                   struct mix_error *err)
{
    char what[MIX_ERROR_MAX / 2];
    enum mix_status status = MIX_OK;
    if (!json_is_object(object))
        return mix_fail(err, MIX_EFORMAT, "the answer lacks \"%s\": {\"%s\": ...}", key,
                        form->groups[0]);
    for (size_t i = 0; status == MIX_OK && i < form->n_groups; i++) {
        (void)snprintf(what, sizeof what, "\"%s\" of %s", key, form->groups[i]);
        status = take_number(json_object_get(object, form->groups[i]), what, lowest, &out[i], err);
    }
    return status;
}

static enum mix_status take_alignment(const struct reply_form *form, const json_t *rows,
                                      double *out, struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    if (!json_is_object(rows))
        return mix_fail(err, MIX_EFORMAT, "the answer lacks \"alignment\": {\"%s\": {...}}",
                        form->groups[0]);
    for (size_t i = 0; status == MIX_OK && i < form->n_groups; i++) {
        const char *name = form->groups[i];
        status = take_groups(form, json_object_get(rows, name), "alignment", -INFINITY,
                             out + i * form->n_groups, err);
    }
    return status;
}

static enum mix_status take_measured(const struct reply_form *form, const json_t *root,
                                     struct mix_observation *seen, struct mix_error *err)
{
    const json_t *rate = json_object_get(root, "learning_rate");
    enum mix_status status = MIX_OK;
    if (rate != NULL)
        status = take_number(rate, "\"learning_rate\"", 0.0, &seen->learning_rate, err);
    if (status == MIX_OK && (form->measure & MIX_MEASURE_LOSS) != 0)
        status =
            take_groups(form, json_object_get(root, "loss"), "loss", -INFINITY, seen->loss, err);
    if (status == MIX_OK && (form->measure & MIX_MEASURE_EXCESS) != 0)
        status = take_groups(form, json_object_get(root, "train_loss"), "train_loss", -INFINITY,
                             seen->train_loss, err);
    if (status == MIX_OK && (form->measure & MIX_MEASURE_EXCESS) != 0)
        status = take_groups(form, json_object_get(root, "reference_loss"), "reference_loss",
                             -INFINITY, seen->reference_loss, err);
    if (status != MIX_OK || (form->measure & MIX_MEASURE_GRADIENT) == 0)
        return status;
    status = take_alignment(form, json_object_get(root, "alignment"), seen->alignment, err);
    if (status == MIX_OK)
        status = take_groups(form, json_object_get(root, "train_norm"), "train_norm", 0.0,
                             seen->train_norm, err);
    if (status == MIX_OK)
        status = take_number(json_object_get(root, "validation_norm"), "\"validation_norm\"", 0.0,
                             &seen->validation_norm, err);
    return status;
}

static enum mix_status take_tested(const struct reply_form *form, const json_t *root,
                                   struct reply *out, struct mix_error *err)
{
    const json_t *se = json_object_get(root, "se");
    enum mix_status status =
        take_groups(form, json_object_get(root, "loss"), "loss", -INFINITY, out->loss, err);
    for (size_t i = 0; i < form->n_groups; i++)
        out->se[i] = NAN;
    if (status == MIX_OK && se != NULL)
        status = take_groups(form, se, "se", 0.0, out->se, err);
    return status;
}

static enum mix_status take_ability(const json_t *name, unsigned *can, struct mix_error *err)
{
    static const struct {
        const char *name;
        enum mix_ability ability;
    } abilities[] = {{"fork", MIX_CAN_FORK},
                     {"weight", MIX_CAN_WEIGHT},
                     {"reference", MIX_CAN_REFERENCE},
                     {"gradient", MIX_CAN_GRADIENT},
                     {"select", MIX_CAN_SELECT}};
    for (size_t i = 0; json_is_string(name) && i < sizeof abilities / sizeof abilities[0]; i++)
        if (strcmp(json_string_value(name), abilities[i].name) == 0) {
            *can |= abilities[i].ability;
            return MIX_OK;
        }
    return mix_fail(
        err, MIX_EFORMAT,
        "\"can\" has an entry that is none of fork, weight, reference, gradient, select");
}

static enum mix_status take_hello(const json_t *root, unsigned *can, struct mix_error *err)
{
    const json_t *list = json_object_get(root, "can");
    double protocol = 0.0;
    enum mix_status status =
        take_number(json_object_get(root, "protocol"), "\"protocol\"", 0.0, &protocol, err);
    if (status != MIX_OK)
        return status;
    if (protocol != REPLY_PROTOCOL)
        return mix_fail(err, MIX_EFORMAT, "\"protocol\" is %g; allowed is %d", protocol,
                        REPLY_PROTOCOL);
    if (!json_is_array(list))
        return mix_fail(
            err, MIX_EFORMAT,
            "the answer lacks \"can\", a list of fork, weight, reference, gradient, select");
    *can = 0;
    for (size_t i = 0; status == MIX_OK && i < json_array_size(list); i++)
        status = take_ability(json_array_get(list, i), can, err);
    return status;
}

static enum mix_status take_error(const json_t *said, struct mix_error *err)
{
    char shown[SHOWN + 4];
    if (!json_is_string(said))
        return mix_fail(err, MIX_EFORMAT, "\"error\" is no text");
    quote(json_string_value(said), json_string_length(said), shown);
    return mix_fail(err, MIX_EINVAL, "it reports an error: %s", shown);
}

static enum mix_status take_root(const struct reply_form *form, const json_t *root,
                                 struct reply *out, struct mix_error *err)
{
    double id = 0.0;
    enum mix_status status = take_number(json_object_get(root, "id"), "\"id\"", 0.0, &id, err);
    if (status != MIX_OK)
        return status;
    if (id != (double)form->id)
        return mix_fail(err, MIX_EFORMAT, "the answer's \"id\" is %.17g, the request's is %llu", id,
                        (unsigned long long)form->id);
    if (json_object_get(root, "error") != NULL)
        return take_error(json_object_get(root, "error"), err);
    switch (form->kind) {
    case REPLY_HELLO:
        return take_hello(root, &out->can, err);
    case REPLY_MEASURED:
        return take_measured(form, root, out->seen, err);
    case REPLY_TESTED:
        return take_tested(form, root, out, err);
    default:
        return MIX_OK;
    }
}

enum mix_status reply_parse(const struct reply_form *form, char *text, size_t n_bytes,
                            struct reply *out, struct mix_error *err)
{
    json_t *root = NULL;
    enum mix_status status = load(text, n_bytes, &root, err);
    if (status != MIX_OK)
        return status;
    status = take_root(form, root, out, err);
    json_decref(root);
    return status;
}
