/* SPDX-License-Identifier: GPL-3.0-or-later */
/* map.c - the YAML of `import --map`; see struct mix_map in csv.h. */
#include "mixsweep/csv.h"

#include <errno.h>
#include <math.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "core/runs.h"
#include "job/document.h"

enum { FILE_BYTES_MAX = 1 << 20, PATTERN_MAX = 256, PLUS_MAX = 8, LIST_MAX = 4096 };

struct raw_rule {
    char *match, *to;
};
struct raw_target {
    char *name, *unit, *direction, *chance;
};
struct raw_long {
    char *target, *value;
};
/* The keys of a known form; rename, factor and constants are free mappings. */
struct raw_map {
    struct raw_rule *regex;
    unsigned n_regex;
    char **drop;
    unsigned n_drop;
    struct raw_target *targets;
    unsigned n_targets;
    struct raw_long *long_form;
};

#define TEXT(type, member, flag)                                                                   \
    CYAML_FIELD_STRING_PTR(#member, flag, struct type, member, 0, CYAML_UNLIMITED)
#define LIST(member, entry)                                                                        \
    CYAML_FIELD_SEQUENCE_COUNT(#member, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw_map,  \
                               member, n_##member, entry, 0, LIST_MAX)

static const cyaml_schema_field_t rule_fields[] = {
    TEXT(raw_rule, match, CYAML_FLAG_DEFAULT),
    TEXT(raw_rule, to, CYAML_FLAG_DEFAULT),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t rule_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_rule, rule_fields),
};
static const cyaml_schema_value_t text_entry = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 0, CYAML_UNLIMITED),
};
static const cyaml_schema_field_t target_fields[] = {
    TEXT(raw_target, name, CYAML_FLAG_DEFAULT),
    TEXT(raw_target, unit, CYAML_FLAG_OPTIONAL),
    TEXT(raw_target, direction, CYAML_FLAG_OPTIONAL),
    TEXT(raw_target, chance, CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t target_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_target, target_fields),
};
static const cyaml_schema_field_t long_fields[] = {
    TEXT(raw_long, target, CYAML_FLAG_DEFAULT),
    TEXT(raw_long, value, CYAML_FLAG_DEFAULT),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t map_fields[] = {
    CYAML_FIELD_IGNORE("rename", CYAML_FLAG_OPTIONAL),
    LIST(regex, &rule_entry),
    CYAML_FIELD_IGNORE("factor", CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_IGNORE("constants", CYAML_FLAG_OPTIONAL),
    LIST(drop, &text_entry),
    LIST(targets, &target_entry),
    CYAML_FIELD_MAPPING_PTR("long", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw_map,
                            long_form, long_fields),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t map_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct raw_map, map_fields),
};

/* What reading a map needs at hand. */
struct reader {
    struct job_document document;
    struct mix_map *map;
    struct mix_error *err;
};

void mix_map_destroy(struct mix_map *map)
{
    if (map == NULL)
        return;
    for (size_t i = 0; i < map->n_rename; i++) {
        free(map->rename[i].name);
        free(map->rename[i].value);
    }
    for (size_t i = 0; i < map->n_regex; i++) {
        free(map->regex[i].name);
        free(map->regex[i].value);
    }
    for (size_t i = 0; i < map->n_factors; i++)
        free(map->factors[i].match);
    for (size_t i = 0; i < map->n_constants; i++) {
        free(map->constants[i].name);
        free(map->constants[i].value);
    }
    for (size_t i = 0; i < map->n_drop; i++)
        free(map->drop[i]);
    for (size_t i = 0; i < map->n_targets; i++) {
        free(map->targets[i].name);
        free(map->targets[i].unit);
    }
    free(map->rename);
    free(map->regex);
    free(map->factors);
    free(map->constants);
    free(map->drop);
    free(map->targets);
    free(map->long_target);
    free(map->long_value);
    free(map->path);
    free(map);
}

static enum mix_status no_memory(struct mix_error *err)
{
    return mix_fail(err, MIX_ENOMEM, "not enough memory for the map.");
}

/* What regcomp() should not be given, or NULL: the C library multiplies out counted repeats and
 * nested "+", and back-references make matching exponential. */
static const char *pattern_refusal(const char *pattern)
{
    size_t n_plus = 0;
    for (const char *at = pattern; *at != '\0'; at++) {
        if (at[0] == '\\' && at[1] >= '1' && at[1] <= '9')
            return "a back-reference (\\1) is not allowed in a pattern, only in \"to\"";
        if (*at == '{')
            return "counted repeats ({2}) are not allowed in a pattern; for the character write "
                   "[{]";
        n_plus += *at == '+';
        at += at[0] == '\\' && at[1] != '\0';
        if (at[0] == '[' && at[1] == '{' && at[2] == ']')
            at += 2;
    }
    return n_plus > PLUS_MAX ? "a pattern has at most 8 times +" : NULL;
}

static enum mix_status check_pattern(struct reader *reader, const char *key, const char *pattern)
{
    if (pattern[0] == '\0' || strlen(pattern) > PATTERN_MAX)
        return job_document_fail(&reader->document, reader->err, key,
                                 "a pattern has 1 to %d bytes.", PATTERN_MAX);
    const char *refusal = pattern_refusal(pattern);
    if (refusal != NULL)
        return job_document_fail(&reader->document, reader->err, key, "%s.", refusal);
    regex_t regex;
    const int failure = regcomp(&regex, pattern, REG_EXTENDED);
    if (failure == 0) {
        regfree(&regex);
        return MIX_OK;
    }
    char reason[128];
    (void)regerror(failure, &regex, reason, sizeof reason);
    return job_document_fail(&reader->document, reader->err, key,
                             "\"%s\" is not a regular expression: %s.", pattern, reason);
}

/* A free mapping of texts: rename, constants. */
static enum mix_status take_pairs(struct reader *reader, const char *key,
                                  struct mix_map_pair **pairs, size_t *n_pairs)
{
    const char *name = NULL, *value = NULL;
    for (size_t i = 0; job_document_entry(&reader->document, key, i, &name, &value); i++) {
        if (value == NULL || value[0] == '\0')
            return job_document_fail(&reader->document, reader->err, key,
                                     "%.80s has no value; a single text is wanted.", name);
        struct mix_map_pair *grown = realloc(*pairs, (i + 1) * sizeof *grown);
        if (grown == NULL)
            return no_memory(reader->err);
        *pairs = grown;
        grown[i] = (struct mix_map_pair){strdup(name), strdup(value)};
        *n_pairs = i + 1;
        if (grown[i].name == NULL || grown[i].value == NULL)
            return no_memory(reader->err);
    }
    return MIX_OK;
}

static enum mix_status take_factors(struct reader *reader)
{
    struct mix_map *map = reader->map;
    const char *name = NULL, *value = NULL;
    for (size_t i = 0; job_document_entry(&reader->document, "factor", i, &name, &value); i++) {
        double factor = 0.0;
        if (value == NULL || !mix_number_read(value, &factor) || factor == 0.0)
            return job_document_fail(&reader->document, reader->err, "factor",
                                     "the factor of %.80s is \"%.40s\"; a finite number other than "
                                     "0 is wanted.",
                                     name, value != NULL ? value : "");
        const enum mix_status status = check_pattern(reader, "factor", name);
        if (status != MIX_OK)
            return status;
        struct mix_map_factor *grown = realloc(map->factors, (i + 1) * sizeof *grown);
        if (grown == NULL)
            return no_memory(reader->err);
        map->factors = grown;
        grown[i] = (struct mix_map_factor){strdup(name), factor};
        map->n_factors = i + 1;
        if (grown[i].match == NULL)
            return no_memory(reader->err);
    }
    return MIX_OK;
}

static enum mix_status take_patterns(struct reader *reader, const struct raw_map *raw)
{
    struct mix_map *map = reader->map;
    map->regex = calloc(raw->n_regex + 1, sizeof *map->regex);
    map->drop = calloc(raw->n_drop + 1, sizeof *map->drop);
    if (map->regex == NULL || map->drop == NULL)
        return no_memory(reader->err);
    char key[JOB_KEY_MAX];
    for (unsigned i = 0; i < raw->n_regex; i++) {
        (void)snprintf(key, sizeof key, "regex[%u].match", i);
        const enum mix_status status = check_pattern(reader, key, raw->regex[i].match);
        if (status != MIX_OK)
            return status;
        map->n_regex = i + 1;
        map->regex[i].name = strdup(raw->regex[i].match);
        map->regex[i].value = strdup(raw->regex[i].to);
        if (map->regex[i].name == NULL || map->regex[i].value == NULL)
            return no_memory(reader->err);
    }
    for (unsigned i = 0; i < raw->n_drop; i++) {
        (void)snprintf(key, sizeof key, "drop[%u]", i);
        const enum mix_status status = check_pattern(reader, key, raw->drop[i]);
        if (status != MIX_OK)
            return status;
        map->n_drop = i + 1;
        map->drop[i] = strdup(raw->drop[i]);
        if (map->drop[i] == NULL)
            return no_memory(reader->err);
    }
    return MIX_OK;
}

static enum mix_status take_target(struct reader *reader, const struct raw_target *raw, unsigned i,
                                   struct mix_map_target *target)
{
    char key[JOB_KEY_MAX];
    const char *direction = raw->direction != NULL ? raw->direction : "lower";
    const bool higher = strcmp(direction, "higher") == 0;
    if (!higher && strcmp(direction, "lower") != 0) {
        (void)snprintf(key, sizeof key, "targets[%u].direction", i);
        return job_document_fail(&reader->document, reader->err, key,
                                 "\"%.40s\" is neither lower nor higher.", direction);
    }
    if (raw->unit != NULL && (raw->unit[0] == '\0' || strlen(raw->unit) >= MIX_UNIT_MAX)) {
        (void)snprintf(key, sizeof key, "targets[%u].unit", i);
        return job_document_fail(&reader->document, reader->err, key, "a unit has 1 to %d bytes.",
                                 MIX_UNIT_MAX - 1);
    }
    target->chance = NAN;
    if (raw->chance != NULL && (!higher || !mix_number_read(raw->chance, &target->chance))) {
        (void)snprintf(key, sizeof key, "targets[%u].chance", i);
        return job_document_fail(
            &reader->document, reader->err, key,
            "\"%.40s\" is not the number that guessing reaches, of a target with "
            "direction: higher.",
            raw->chance);
    }
    target->direction = higher ? 1 : -1;
    target->name = strdup(raw->name);
    target->unit = raw->unit != NULL ? strdup(raw->unit) : NULL;
    if (target->name == NULL || (raw->unit != NULL && target->unit == NULL))
        return no_memory(reader->err);
    return MIX_OK;
}

static enum mix_status take_map(struct reader *reader, const struct raw_map *raw)
{
    struct mix_map *map = reader->map;
    enum mix_status status = take_pairs(reader, "rename", &map->rename, &map->n_rename);
    if (status == MIX_OK)
        status = take_patterns(reader, raw);
    if (status == MIX_OK)
        status = take_factors(reader);
    if (status == MIX_OK)
        status = take_pairs(reader, "constants", &map->constants, &map->n_constants);
    if (status != MIX_OK)
        return status;
    map->targets = calloc(raw->n_targets + 1, sizeof *map->targets);
    if (map->targets == NULL)
        return no_memory(reader->err);
    for (unsigned i = 0; i < raw->n_targets; i++) {
        map->n_targets = i + 1;
        status = take_target(reader, &raw->targets[i], i, &map->targets[i]);
        if (status != MIX_OK)
            return status;
    }
    if (raw->long_form == NULL)
        return MIX_OK;
    map->long_target = strdup(raw->long_form->target);
    map->long_value = strdup(raw->long_form->value);
    return map->long_target != NULL && map->long_value != NULL ? MIX_OK : no_memory(reader->err);
}

/* libcyaml reports by callback; it speaks only where our own check and libcyaml disagree. */
static void keep_line(cyaml_log_t level, void *context, const char *format, va_list arguments)
{
    struct mix_error *line = context;
    if (level >= CYAML_LOG_ERROR)
        (void)vsnprintf(line->text, sizeof line->text, format, arguments);
}

static enum mix_status load(struct reader *reader, const char *text, size_t n_bytes)
{
    struct mix_error line = {.text = ""};
    const cyaml_config_t config = {.log_fn = keep_line,
                                   .log_ctx = &line,
                                   .log_level = CYAML_LOG_ERROR,
                                   .mem_fn = cyaml_mem,
                                   .flags = CYAML_CFG_DEFAULT};
    struct raw_map *raw = NULL;
    const cyaml_err_t failure = cyaml_load_data((const uint8_t *)text, n_bytes, &config,
                                                &map_schema, (cyaml_data_t **)&raw, NULL);
    if (failure != CYAML_OK)
        return mix_fail(reader->err, failure == CYAML_ERR_OOM ? MIX_ENOMEM : MIX_EINVAL,
                        "%s: %s (%s).", reader->document.path, cyaml_strerror(failure), line.text);
    const enum mix_status status = take_map(reader, raw);
    cyaml_free(&config, &map_schema, raw, 0);
    return status;
}

enum mix_status mix_map_parse(const char *path, const char *text, struct mix_map **out,
                              struct mix_error *err)
{
    const size_t n_bytes = strlen(text);
    struct reader reader = {.err = err};
    if (text[strspn(text, " \t\r\n")] == '\0')
        return mix_fail(err, MIX_EINVAL,
                        "%s: the map is empty; known keys are rename, regex, factor, constants, "
                        "drop, targets and long.",
                        path);
    enum mix_status status = job_document_parse(path, text, n_bytes, &reader.document, err);
    if (status != MIX_OK)
        return status;
    reader.map = calloc(1, sizeof *reader.map);
    if (reader.map == NULL || (reader.map->path = strdup(path)) == NULL)
        status = no_memory(err);
    if (status == MIX_OK)
        status = job_document_check(&reader.document, &map_schema, err);
    if (status == MIX_OK)
        status = load(&reader, text, n_bytes);
    job_document_close(&reader.document);
    if (status != MIX_OK) {
        mix_map_destroy(reader.map);
        return status;
    }
    *out = reader.map;
    return MIX_OK;
}

enum mix_status mix_map_read(const char *path, struct mix_map **out, struct mix_error *err)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return mix_fail(err, MIX_EIO, "cannot open %s: %s.", path, strerror(errno));
    char *text = malloc(FILE_BYTES_MAX + 1);
    if (text == NULL) {
        fclose(file);
        return no_memory(err);
    }
    enum mix_status status = MIX_OK;
    errno = 0;
    const size_t n_bytes = fread(text, 1, FILE_BYTES_MAX + 1, file);
    if (ferror(file))
        status = mix_fail(err, MIX_EIO, "cannot read %s: %s.", path, strerror(errno));
    else if (n_bytes > FILE_BYTES_MAX)
        status = mix_fail(err, MIX_EINVAL, "%s is larger than a map can be (1 MiB).", path);
    else if (memchr(text, '\0', n_bytes) != NULL)
        status = mix_fail(err, MIX_EINVAL, "%s is not a text file.", path);
    fclose(file);
    if (status == MIX_OK) {
        text[n_bytes] = '\0';
        status = mix_map_parse(path, text, out, err);
    }
    free(text);
    return status;
}
