/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "document.h"

#include <assert.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

const cyaml_schema_value_t job_text_schema = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 0, CYAML_UNLIMITED),
};

enum { DEPTH_MAX = 16, KNOWN_MAX = 64, WORD_MAX = 64, PAIRS_MAX = 4096 };

static enum mix_status parser_failure(const char *path, const yaml_parser_t *parser,
                                      struct mix_error *err)
{
    if (parser->error == YAML_MEMORY_ERROR)
        return mix_fail(err, MIX_ENOMEM, "%s: out of memory.", path);
    if (parser->error == YAML_READER_ERROR)
        return mix_fail(err, MIX_EINVAL, "%s, byte %zu: not UTF-8 text (%s).", path,
                        parser->problem_offset + 1, parser->problem);
    return mix_fail(err, MIX_EINVAL, "%s, line %zu, column %zu: not YAML: %s.", path,
                    parser->problem_mark.line + 1, parser->problem_mark.column + 1,
                    parser->problem ? parser->problem : "unknown trouble");
}

/* What an event has that a job file may not have, or NULL. */
static const char *event_refusal(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return "an alias (*name) is not allowed in a job file; write the value out";
    case YAML_SCALAR_EVENT:
        if (event->data.scalar.anchor || event->data.scalar.tag)
            break;
        if (memchr(event->data.scalar.value, '\0', event->data.scalar.length))
            return "a zero byte is not allowed in a value";
        return NULL;
    case YAML_SEQUENCE_START_EVENT:
        if (event->data.sequence_start.anchor || event->data.sequence_start.tag)
            break;
        return NULL;
    case YAML_MAPPING_START_EVENT:
        if (event->data.mapping_start.anchor || event->data.mapping_start.tag)
            break;
        return NULL;
    default:
        return NULL;
    }
    return "an anchor (&name) or tag (!name) is not allowed in a job file";
}

/* Walks the events before anything is built from them: aliases could repeat
 * themselves without end and nesting could exhaust the stack of recursive
 * readers. */
static enum mix_status scan_events(const char *path, const char *text, size_t n_bytes,
                                   struct mix_error *err)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return mix_fail(err, MIX_ENOMEM, "%s: out of memory.", path);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, n_bytes);
    enum mix_status status = MIX_OK;
    int depth = 0, n_documents = 0;
    bool end = false;
    while (status == MIX_OK && !end) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            status = parser_failure(path, &parser, err);
            break;
        }
        const char *refusal = event_refusal(&event);
        n_documents += event.type == YAML_DOCUMENT_START_EVENT;
        depth += event.type == YAML_MAPPING_START_EVENT || event.type == YAML_SEQUENCE_START_EVENT;
        depth -= event.type == YAML_MAPPING_END_EVENT || event.type == YAML_SEQUENCE_END_EVENT;
        if (depth > DEPTH_MAX)
            refusal = "more than 16 levels of nesting";
        if (n_documents > 1)
            refusal = "a second document (---) begins; a job file has one";
        if (refusal)
            status = mix_fail(err, MIX_EINVAL, "%s, line %zu: %s.", path, event.start_mark.line + 1,
                              refusal);
        end = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    if (status == MIX_OK && n_documents == 0)
        return mix_fail(err, MIX_EINVAL,
                        "%s: the file is empty; a job wants at least the keys "
                        "job, file, domains and scales.",
                        path);
    return status;
}

enum mix_status job_document_parse(const char *path, const char *text, size_t n_bytes,
                                   struct job_document *out, struct mix_error *err)
{
    enum mix_status status = scan_events(path, text, n_bytes, err);
    if (status != MIX_OK)
        return status;
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return mix_fail(err, MIX_ENOMEM, "%s: out of memory.", path);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, n_bytes);
    if (yaml_parser_load(&parser, &out->document))
        out->path = path;
    else
        status = parser_failure(path, &parser, err);
    yaml_parser_delete(&parser);
    return status;
}

void job_document_close(struct job_document *self)
{
    yaml_document_delete(&self->document);
}

static const char *scalar_text(const yaml_node_t *node)
{
    return node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : NULL;
}

static size_t n_pairs(const yaml_node_t *node)
{
    return (size_t)(node->data.mapping.pairs.top - node->data.mapping.pairs.start);
}

static size_t n_items(const yaml_node_t *node)
{
    return (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
}

static yaml_node_t *pair_key(struct job_document *self, const yaml_node_t *node, size_t i)
{
    return yaml_document_get_node(&self->document, node->data.mapping.pairs.start[i].key);
}

static yaml_node_t *pair_value(struct job_document *self, const yaml_node_t *node, size_t i)
{
    return yaml_document_get_node(&self->document, node->data.mapping.pairs.start[i].value);
}

/* One step down a key: the child that `*key` begins with, or NULL; `*mark`
 * becomes its place. */
static yaml_node_t *step(struct job_document *self, yaml_node_t *node, const char **key,
                         yaml_mark_t *mark)
{
    if (node->type == YAML_SEQUENCE_NODE) {
        size_t i = 0;
        int n_read = 0;
        if (sscanf(*key, "[%zu]%n", &i, &n_read) != 1 || n_read == 0 || i >= n_items(node))
            return NULL;
        *key += n_read;
        yaml_node_t *item =
            yaml_document_get_node(&self->document, node->data.sequence.items.start[i]);
        *mark = item->start_mark;
        return item;
    }
    if (node->type != YAML_MAPPING_NODE)
        return NULL;
    const char *rest = *key + (**key == '.');
    for (size_t i = 0; i < n_pairs(node); i++) {
        yaml_node_t *name = pair_key(self, node, i);
        const char *text = scalar_text(name);
        size_t n = text ? strlen(text) : 0;
        if (n == 0 || strncmp(rest, text, n) != 0 || !strchr(".[", rest[n]))
            continue;
        *key = rest + n;
        *mark = name->start_mark;
        return pair_value(self, node, i);
    }
    return NULL;
}

/* The node of a key, or NULL; `*line` is its line, or that of the last parent
 * that is there. */
static yaml_node_t *find(struct job_document *self, const char *key, size_t *line)
{
    yaml_node_t *node = yaml_document_get_root_node(&self->document);
    yaml_mark_t mark = {.line = 0};
    while (node && *key)
        node = step(self, node, &key, &mark);
    *line = mark.line + 1;
    return node;
}

enum mix_status job_document_fail(struct job_document *self, struct mix_error *err, const char *key,
                                  const char *format, ...)
{
    char reason[MIX_ERROR_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    size_t line;
    find(self, key, &line);
    enum mix_status status =
        *key ? mix_fail(err, MIX_EINVAL, "%s, line %zu, key %s: %s", self->path, line, key, reason)
             : mix_fail(err, MIX_EINVAL, "%s, line %zu: %s", self->path, line, reason);
    /* The value is the file's own text: it must not steer the terminal. */
    for (char *c = err ? err->text : NULL; c && *c; c++)
        if (iscntrl((unsigned char)*c))
            *c = '?';
    return status;
}

bool job_document_entry(struct job_document *self, const char *key, size_t i, const char **name,
                        const char **text)
{
    size_t line;
    const yaml_node_t *node = find(self, key, &line);
    if (!node || node->type != YAML_MAPPING_NODE || i >= n_pairs(node))
        return false;
    *name = scalar_text(pair_key(self, node, i));
    *text = scalar_text(pair_value(self, node, i));
    return true;
}

size_t job_document_line(struct job_document *self, size_t i)
{
    const yaml_node_t *root = yaml_document_get_root_node(&self->document);
    if (root->type != YAML_SEQUENCE_NODE || i >= n_items(root))
        return 0;
    return yaml_document_get_node(&self->document, root->data.sequence.items.start[i])
               ->start_mark.line +
           1;
}

const char *job_document_text(struct job_document *self, const char *key)
{
    size_t line;
    const yaml_node_t *node = find(self, key, &line);
    return node ? scalar_text(node) : NULL;
}

bool job_document_has(struct job_document *self, const char *key)
{
    size_t line;
    return find(self, key, &line) != NULL;
}

bool job_document_item(struct job_document *self, const char *key, size_t i, const char **text)
{
    size_t line;
    const yaml_node_t *node = find(self, key, &line);
    if (node && node->type == YAML_SEQUENCE_NODE && i < n_items(node))
        node = yaml_document_get_node(&self->document, node->data.sequence.items.start[i]);
    else if (i > 0)
        return false;
    *text = node ? scalar_text(node) : NULL;
    return *text != NULL;
}

/* Levenshtein distance of two words, cut at WORD_MAX bytes each. */
static size_t distance(const char *a, const char *b)
{
    size_t n_a = strnlen(a, WORD_MAX), n_b = strnlen(b, WORD_MAX);
    size_t row[WORD_MAX + 1];
    for (size_t j = 0; j <= n_b; j++)
        row[j] = j;
    for (size_t i = 1; i <= n_a; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n_b; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            size_t shift = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = change < shift ? change : shift;
        }
    }
    return row[n_b];
}

const char *job_nearest(const char *name, const char *const *known, size_t n_known)
{
    const char *best = NULL;
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < n_known; i++) {
        size_t d = distance(name, known[i]);
        if (d < least) {
            least = d;
            best = known[i];
        }
    }
    return least <= 1 + strlen(name) / 5 ? best : NULL;
}

static const char *node_kind(const yaml_node_t *node)
{
    if (node->type == YAML_SEQUENCE_NODE)
        return "a list";
    if (node->type == YAML_MAPPING_NODE)
        return "a mapping";
    return node->data.scalar.length == 0 ? "empty" : "a single value";
}

static enum mix_status unknown_key(struct job_document *self, const char *key, const char *name,
                                   const cyaml_schema_field_t *fields, struct mix_error *err)
{
    const char *known[KNOWN_MAX];
    char list[MIX_ERROR_MAX / 2] = "";
    size_t n = 0, at = 0;
    for (; fields[n].key && n < KNOWN_MAX; n++) {
        known[n] = fields[n].key;
        int wrote = snprintf(list + at, sizeof list - at, "%s%s", n ? ", " : "", known[n]);
        if (wrote > 0 && (size_t)wrote < sizeof list - at)
            at += (size_t)wrote;
    }
    const char *near = job_nearest(name, known, n);
    if (near)
        return job_document_fail(self, err, key, "unknown key; did you mean %s?", near);
    return job_document_fail(self, err, key, "unknown key; known here: %s.", list);
}

static enum mix_status check_node(struct job_document *self, const yaml_node_t *node,
                                  const cyaml_schema_value_t *schema, const char *key,
                                  struct mix_error *err);

static const cyaml_schema_field_t *field_of(const cyaml_schema_field_t *fields, const char *name)
{
    for (; fields->key; fields++)
        if (strcmp(fields->key, name) == 0)
            return fields;
    return NULL;
}

static enum mix_status check_pair(struct job_document *self, const yaml_node_t *node, size_t i,
                                  const cyaml_schema_field_t *fields, const char *parent,
                                  struct mix_error *err)
{
    const char *name = scalar_text(pair_key(self, node, i));
    if (!name)
        return job_document_fail(self, err, parent, "a list or mapping is used as a key.");
    char key[JOB_KEY_MAX];
    snprintf(key, sizeof key, "%s%s%.*s", parent, *parent ? "." : "", WORD_MAX, name);
    for (size_t j = 0; j < i; j++) {
        const char *earlier = scalar_text(pair_key(self, node, j));
        if (earlier && strcmp(earlier, name) == 0)
            return job_document_fail(self, err, key, "given twice, the second time in line %zu.",
                                     pair_key(self, node, i)->start_mark.line + 1);
    }
    if (!fields)
        return MIX_OK;
    const cyaml_schema_field_t *field = field_of(fields, name);
    if (!field)
        return unknown_key(self, key, name, fields, err);
    return check_node(self, pair_value(self, node, i), &field->value, key, err);
}

/* A mapping of known fields, or of free names where `fields` is NULL. */
static enum mix_status check_mapping(struct job_document *self, const yaml_node_t *node,
                                     const cyaml_schema_field_t *fields, const char *key,
                                     struct mix_error *err)
{
    if (node->type != YAML_MAPPING_NODE)
        return job_document_fail(self, err, key, "is %s; a mapping (name: value) is wanted.",
                                 node_kind(node));
    if (!fields && n_pairs(node) == 0)
        return job_document_fail(self, err, key,
                                 "is empty; at least one name: value is wanted, or no such key.");
    if (n_pairs(node) > PAIRS_MAX)
        return job_document_fail(self, err, key, "%zu entries are more than %d.", n_pairs(node),
                                 PAIRS_MAX);
    for (size_t i = 0; i < n_pairs(node); i++) {
        enum mix_status status = check_pair(self, node, i, fields, key, err);
        if (status != MIX_OK)
            return status;
    }
    for (; fields && fields->key; fields++) {
        bool there = fields->value.flags & CYAML_FLAG_OPTIONAL;
        for (size_t i = 0; i < n_pairs(node) && !there; i++)
            there = strcmp(scalar_text(pair_key(self, node, i)), fields->key) == 0;
        if (!there)
            return job_document_fail(self, err, key, "the key %s is missing.", fields->key);
    }
    return MIX_OK;
}

static enum mix_status check_sequence(struct job_document *self, const yaml_node_t *node,
                                      const cyaml_schema_value_t *schema, const char *key,
                                      struct mix_error *err)
{
    if (node->type != YAML_SEQUENCE_NODE)
        return job_document_fail(self, err, key, "is %s; a list is wanted.", node_kind(node));
    if (n_items(node) < schema->sequence.min || n_items(node) > schema->sequence.max)
        return schema->sequence.min == schema->sequence.max
                   ? job_document_fail(self, err, key, "%zu entries; %u are wanted.", n_items(node),
                                       schema->sequence.min)
                   : job_document_fail(self, err, key, "%zu entries are not in %u … %u.",
                                       n_items(node), schema->sequence.min, schema->sequence.max);
    for (size_t i = 0; i < n_items(node); i++) {
        char item[JOB_KEY_MAX];
        snprintf(item, sizeof item, "%.*s[%zu]", JOB_KEY_MAX - 24, key, i);
        const yaml_node_t *child =
            yaml_document_get_node(&self->document, node->data.sequence.items.start[i]);
        enum mix_status status = check_node(self, child, schema->sequence.entry, item, err);
        if (status != MIX_OK)
            return status;
    }
    return MIX_OK;
}

/* A value that libcyaml leaves to us. */
static enum mix_status check_free(struct job_document *self, const yaml_node_t *node,
                                  const cyaml_schema_value_t *schema, const char *key,
                                  struct mix_error *err)
{
    static const cyaml_schema_value_t texts = {
        .type = CYAML_SEQUENCE, .sequence = {.entry = &job_text_schema, .max = JOB_ITEMS_MAX}};
    static const cyaml_schema_value_t list = {.type = CYAML_IGNORE, .data_size = JOB_FREE_LIST};
    static const cyaml_schema_value_t lists = {
        .type = CYAML_SEQUENCE, .sequence = {.entry = &list, .min = 1, .max = JOB_ITEMS_MAX}};
    const cyaml_schema_value_t section = {.type = CYAML_MAPPING, .mapping = schema->mapping};
    const cyaml_schema_value_t sections = {
        .type = CYAML_SEQUENCE, .sequence = {.entry = &section, .min = 1, .max = JOB_SECTIONS_MAX}};
    const bool is_single = node->type == YAML_SCALAR_NODE;
    switch ((enum job_free)schema->data_size) {
    case JOB_FREE_LIST:
        return is_single ? MIX_OK : check_sequence(self, node, &texts, key, err);
    case JOB_FREE_LISTS:
        return check_sequence(self, node, &lists, key, err);
    case JOB_FREE_SECTION:
        return is_single ? MIX_OK : check_mapping(self, node, schema->mapping.fields, key, err);
    case JOB_FREE_SECTIONS:
        return check_node(self, node, node->type == YAML_SEQUENCE_NODE ? &sections : &section, key,
                          err);
    default:
        return check_mapping(self, node, NULL, key, err);
    }
}

static enum mix_status check_node(struct job_document *self, const yaml_node_t *node,
                                  const cyaml_schema_value_t *schema, const char *key,
                                  struct mix_error *err)
{
    switch (schema->type) {
    case CYAML_MAPPING:
        return check_mapping(self, node, schema->mapping.fields, key, err);
    case CYAML_IGNORE:
        return check_free(self, node, schema, key, err);
    case CYAML_SEQUENCE:
        return check_sequence(self, node, schema, key, err);
    default:
        assert(schema->type == CYAML_STRING);
        if (node->type != YAML_SCALAR_NODE)
            return job_document_fail(self, err, key, "is %s; a single value is wanted.",
                                     node_kind(node));
        return MIX_OK;
    }
}

enum mix_status job_document_check(struct job_document *self, const cyaml_schema_value_t *schema,
                                   struct mix_error *err)
{
    return check_node(self, yaml_document_get_root_node(&self->document), schema, "", err);
}
