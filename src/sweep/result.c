/* SPDX-License-Identifier: GPL-3.0-or-later */
/* result.c - see result.h for the form of a result. */
#include "sweep/result.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double token_tolerance = 0.01; /* batches rarely end at the planned token */
static const double sum_tolerance = 1e-3;   /* how far realised shares may sum from 1 */

/* A result being read. What is taken is removed from the objects: the rest is metadata. */
struct reading {
    const struct mix_request *request;
    struct mix_table *rows;
    struct mix_error *err;
};

void mix_result_drop(struct mix_table *rows, size_t first)
{
    for (size_t r = first; r < rows->n_rows; r++) {
        free(rows->metadata[r]);
        rows->metadata[r] = NULL;
    }
    if (first < rows->n_rows)
        rows->n_rows = first;
}

/* Bytes of the UTF-8 character at `text`, 0 where there is none (RFC 3629: no surrogates, nothing
 * longer than needed, nothing above U+10FFFF). */
static size_t utf8_length(const unsigned char *text, size_t n)
{
    const unsigned char c = text[0];
    const size_t length = c < 0x80                ? 1
                          : c >= 0xC2 && c < 0xE0 ? 2
                          : c >= 0xE0 && c < 0xF0 ? 3
                          : c >= 0xF0 && c < 0xF5 ? 4
                                                  : 0;
    if (length > n)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((text[i] & 0xC0) != 0x80)
            return 0;
    if ((c == 0xE0 && text[1] < 0xA0) || (c == 0xED && text[1] > 0x9F) ||
        (c == 0xF0 && text[1] < 0x90) || (c == 0xF4 && text[1] > 0x8F))
        return 0;
    return length;
}

char *mix_result_clean_text(const char *text, size_t n_bytes)
{
    char *clean = malloc(n_bytes + 1);
    if (!clean)
        return NULL;
    for (size_t i = 0; i < n_bytes;) {
        const size_t length = utf8_length((const unsigned char *)text + i, n_bytes - i);
        const unsigned char c = (unsigned char)text[i];
        if (length == 0 || (c < 0x20 && c != '\n' && c != '\t') || c == 0x7F)
            clean[i++] = '?';
        else
            for (size_t end = i + length; i < end; i++)
                clean[i] = text[i];
    }
    clean[n_bytes] = '\0';
    return clean;
}

/* ---- JSON */

static const char *const not_numbers[] = {"NaN", "-Infinity", "Infinity"};

/* Length of NaN, Infinity or -Infinity at `text`, else 0. */
static size_t not_a_number(const char *text, size_t n)
{
    for (size_t i = 0; i < sizeof not_numbers / sizeof not_numbers[0]; i++) {
        const size_t length = strlen(not_numbers[i]);
        if (length <= n && memcmp(text, not_numbers[i], length) == 0)
            return length;
    }
    return 0;
}

/* Python writes NaN and Infinity, which JSON does not have: put them in quotes. */
static char *quote_not_numbers(const char *text, size_t n_bytes, size_t *n_quoted)
{
    char *quoted = malloc(2 * n_bytes + 1);
    bool in_string = false;
    size_t to = 0;
    if (!quoted)
        return NULL;
    for (size_t i = 0; i < n_bytes;) {
        const size_t length = in_string ? 0 : not_a_number(text + i, n_bytes - i);
        if (length > 0) {
            quoted[to++] = '"';
            memcpy(quoted + to, text + i, length);
            to += length;
            quoted[to++] = '"';
            i += length;
            continue;
        }
        if (in_string && text[i] == '\\' && i + 1 < n_bytes)
            quoted[to++] = text[i++];
        else if (text[i] == '"')
            in_string = !in_string;
        quoted[to++] = text[i++];
    }
    *n_quoted = to;
    return quoted;
}

static enum mix_status load(const char *text, size_t n_bytes, json_t **out, struct mix_error *err)
{
    json_error_t error;
    size_t n_quoted = 0;
    if (n_bytes > RESULT_BYTES_MAX)
        return mix_fail(err, MIX_EFORMAT, "it has more than %d bytes", RESULT_BYTES_MAX);
    char *quoted = quote_not_numbers(text, n_bytes, &n_quoted);
    if (!quoted)
        return mix_fail(err, MIX_ENOMEM, "out of memory for the result of a run.");
    json_t *root = json_loadb(quoted, n_quoted, JSON_REJECT_DUPLICATES, &error);
    free(quoted);
    if (root && json_is_object(root)) {
        *out = root;
        return MIX_OK;
    }
    json_decref(root);
    if (root)
        return mix_fail(err, MIX_EFORMAT, "it is JSON but not an object {...}");
    char *said = mix_result_clean_text(error.text, strlen(error.text));
    mix_fail(err, MIX_EFORMAT, "it is not JSON: line %d, column %d: %s", error.line, error.column,
             said ? said : "");
    free(said);
    return MIX_EFORMAT;
}

/* A number, or NaN where it is none; "NaN" and the like are infinite here. */
static double number_of(const json_t *value)
{
    if (json_is_number(value))
        return json_number_value(value);
    const char *text = json_string_value(value);
    return text && not_a_number(text, strlen(text)) == strlen(text) ? INFINITY : NAN;
}

/* "web, code and 5 more" */
static void list_targets(const struct mix_job *job, char text[MIX_TEXT_MAX])
{
    size_t at = 0;
    text[0] = '\0';
    for (size_t m = 0; m < job->n_targets; m++) {
        if (at > MIX_TEXT_MAX / 2) {
            snprintf(text + at, MIX_TEXT_MAX - at, " and %zu more", job->n_targets - m);
            return;
        }
        at += (size_t)snprintf(text + at, MIX_TEXT_MAX - at, "%s%s", m > 0 ? ", " : "",
                               job->targets[m].name);
    }
}

/* "no target is called "bokks"; books has no loss": what it has besides, and what it lacks. */
static enum mix_status fail_name(const struct reading *in, const char *kind, const char *name,
                                 const char *lacks, const char *what)
{
    enum { SHOWN = 60 };
    char *clean = mix_result_clean_text(name, strnlen(name, SHOWN));
    mix_fail(in->err, MIX_EFORMAT, "no %s is called \"%s\"%s%s%s", kind, clean ? clean : "",
             lacks ? "; " : "", lacks ? lacks : "", lacks ? what : "");
    free(clean);
    return MIX_EFORMAT;
}

/* ---- losses */

/* The loss of a target, taken out of `losses`; NaN where it was not measured. */
static enum mix_status take_loss(const struct reading *in, json_t *losses,
                                 const struct mix_target *target, double *loss)
{
    const struct mix_job_command *command = &in->request->job->command;
    const json_t *value = json_object_get(losses, target->name);
    *loss = NAN;
    if (!value)
        return MIX_OK;
    const bool is_null = json_is_null(value);
    const double number = number_of(value);
    json_object_del(losses, target->name);
    if (is_null)
        return MIX_OK;
    if (isnan(number))
        return mix_fail(in->err, MIX_EFORMAT, "the loss of %s is not a number", target->name);
    if (isinf(number))
        return mix_fail(in->err, MIX_ENUMERIC, "the loss of %s is not finite", target->name);
    if (number < command->loss_min || number > command->loss_max)
        return mix_fail(in->err, MIX_ENUMERIC, "the loss of %s, %g, is outside %g to %g",
                        target->name, number, command->loss_min, command->loss_max);
    *loss = number;
    return MIX_OK;
}

/* What else `losses` names is metadata where all targets are named, else one of them misspelt;
 * the object itself has other things too. */
static enum mix_status take_losses(const struct reading *in, const json_t *object, json_t *losses,
                                   size_t row)
{
    const struct mix_job *job = in->request->job;
    const char *lacks = NULL;
    enum mix_status status = MIX_OK;
    for (size_t m = 0; status == MIX_OK && m < job->n_targets; m++) {
        const struct mix_target *target = &job->targets[m];
        if (!lacks && !json_object_get(losses, target->name))
            lacks = target->name;
        status = take_loss(in, losses, target, &in->rows->loss[row * job->n_targets + m]);
    }
    const char *other = json_object_iter_key(json_object_iter(losses));
    if (status != MIX_OK || losses == object || !lacks || !other)
        return status;
    return fail_name(in, "target", other, lacks, " has no loss");
}

/* Standard errors, where they are some. */
static void take_errors(const struct reading *in, json_t *errors, size_t row)
{
    const struct mix_job *job = in->request->job;
    for (size_t m = 0; m < job->n_targets; m++) {
        const double se = number_of(json_object_get(errors, job->targets[m].name));
        if (!(se >= 0 && se < INFINITY))
            continue;
        in->rows->loss_se[row * job->n_targets + m] = se;
        json_object_del(errors, job->targets[m].name);
    }
}

static bool has_loss(const struct reading *in, size_t row)
{
    const size_t n_targets = in->rows->n_targets;
    for (size_t m = 0; m < n_targets; m++)
        if (!isnan(in->rows->loss[row * n_targets + m]))
            return true;
    return false;
}

/* ---- what the run really was */

static bool is_domain(const struct mix_job *job, const char *name)
{
    for (size_t k = 0; k < job->n_domains; k++)
        if (strcmp(job->domains[k].name, name) == 0)
            return true;
    return false;
}

/* A mixture has all domains and nothing else. */
static enum mix_status check_mixture(const struct reading *in, json_t *mixture)
{
    const struct mix_job *job = in->request->job;
    const char *lacks = NULL;
    for (size_t k = 0; !lacks && k < job->n_domains; k++)
        if (!json_object_get(mixture, job->domains[k].name))
            lacks = job->domains[k].name;
    for (void *at = json_object_iter(mixture); at; at = json_object_iter_next(mixture, at))
        if (!is_domain(job, json_object_iter_key(at)))
            return fail_name(in, "domain", json_object_iter_key(at), lacks,
                             " has no share in \"mixture\"");
    if (lacks)
        return mix_fail(in->err, MIX_EFORMAT, "%s has no share in \"mixture\"", lacks);
    return MIX_OK;
}

static void take_mixture(const struct reading *in, json_t *object, size_t row)
{
    const struct mix_job *job = in->request->job;
    const json_t *mixture = json_object_get(object, "mixture");
    double sum = 0;
    for (size_t k = 0; k < job->n_domains; k++) {
        const double share = number_of(json_object_get(mixture, job->domains[k].name));
        if (!(share >= 0 && share <= 1))
            return;
        sum += share;
    }
    if (fabs(sum - 1) > sum_tolerance)
        return;
    for (size_t k = 0; k < job->n_domains; k++)
        in->rows->mixture[row * job->n_domains + k] =
            number_of(json_object_get(mixture, job->domains[k].name)) / sum;
    json_object_del(object, "mixture");
}

static void take_epochs(const struct reading *in, json_t *object, size_t row)
{
    const struct mix_job *job = in->request->job;
    json_t *epochs = json_object_get(object, "epochs");
    for (size_t k = 0; k < job->n_domains; k++) {
        const double n = number_of(json_object_get(epochs, job->domains[k].name));
        if (!(n >= 0 && n < INFINITY))
            continue;
        in->rows->epochs[row * job->n_domains + k] = n;
        json_object_del(epochs, job->domains[k].name);
    }
}

static void take_size(json_t *object, const char *key, double *out)
{
    const double value = number_of(json_object_get(object, key));
    if (!(value > 0 && value < INFINITY))
        return;
    *out = value;
    json_object_del(object, key);
}

static void drop_if_empty(json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (json_is_object(value) && json_object_size(value) == 0)
        json_object_del(object, key);
}

static enum mix_status take_rest(const struct reading *in, json_t *object, size_t row)
{
    drop_if_empty(object, "loss");
    drop_if_empty(object, "loss_se");
    drop_if_empty(object, "epochs");
    if (json_object_size(object) == 0)
        return MIX_OK;
    char *text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(15)); /* no tails of nines */
    if (!text)
        return mix_fail(in->err, MIX_ENOMEM, "out of memory for the metadata of a run.");
    free(in->rows->metadata[row]);
    in->rows->metadata[row] = text;
    return MIX_OK;
}

/* ---- rows */

/* One row from the object that describes it; `losses` may be the object itself. */
static enum mix_status take_row(const struct reading *in, json_t *object, json_t *losses,
                                double n_tokens)
{
    const size_t row = mix_request_row(in->request, in->rows, n_tokens);
    if (row == SIZE_MAX)
        return mix_fail(in->err, MIX_ENOMEM, "out of memory for the rows of a run.");
    enum mix_status status = take_losses(in, object, losses, row);
    json_t *mixture = json_object_get(object, "mixture"); /* a target may be called that */
    if (status == MIX_OK && json_is_object(mixture))
        status = check_mixture(in, mixture);
    if (status != MIX_OK)
        return status;
    take_errors(in, json_object_get(object, "loss_se"), row);
    take_mixture(in, object, row);
    take_epochs(in, object, row);
    struct mix_run *run = &in->rows->runs[row];
    take_size(object, "flops", &run->flops);
    take_size(object, "n_params_non_embedding", &run->n_params_non_embedding);
    take_size(object, "n_params_active", &run->n_params_active);
    return take_rest(in, object, row);
}

/* Tokens of an object under either name; NaN where it says none. */
static double tokens_of(const json_t *object)
{
    const json_t *value = json_object_get(object, "tokens");
    return number_of(value ? value : json_object_get(object, "n_tokens"));
}

/* The planned checkpoint near `n_tokens`, else `n_tokens` itself. */
static double planned_tokens(const struct mix_request *request, double n_tokens)
{
    double nearest = request->run.n_tokens_planned;
    for (size_t c = 0; c < request->scale->n_checkpoints; c++)
        if (fabs(request->scale->checkpoints[c] - n_tokens) < fabs(nearest - n_tokens))
            nearest = request->scale->checkpoints[c];
    return fabs(n_tokens - nearest) <= token_tolerance * nearest ? nearest : n_tokens;
}

static enum mix_status fail_end(const struct reading *in, double n_tokens)
{
    return mix_fail(in->err, MIX_EFORMAT, "it ends at %g tokens, not at the %g planned", n_tokens,
                    in->request->run.n_tokens_planned);
}

static enum mix_status take_checkpoint(const struct reading *in, json_t *object, size_t i,
                                       double *last_tokens)
{
    const double reported = tokens_of(object);
    json_t *losses = json_object_get(object, "loss");
    if (!json_is_object(object) || !json_is_object(losses) ||
        !(reported > 0 && reported < INFINITY))
        return mix_fail(in->err, MIX_EFORMAT,
                        "checkpoint %zu is not of the form {\"tokens\": ..., \"loss\": {...}}",
                        i + 1);
    const double n_tokens = planned_tokens(in->request, reported);
    if (n_tokens <= *last_tokens)
        return mix_fail(in->err, MIX_EFORMAT,
                        "checkpoint %zu at %g tokens does not follow the one at %g", i + 1,
                        reported, *last_tokens);
    if (n_tokens > in->request->run.n_tokens_planned)
        return fail_end(in, n_tokens);
    *last_tokens = n_tokens;
    if (n_tokens == reported) {
        json_object_del(object, "tokens");
        json_object_del(object, "n_tokens");
    }
    return take_row(in, object, losses, n_tokens);
}

static enum mix_status take_checkpoints(const struct reading *in, json_t *root, json_t *list)
{
    enum mix_status status = MIX_OK;
    double last_tokens = 0;
    const size_t n = json_array_size(list);
    if (n == 0)
        return mix_fail(in->err, MIX_EFORMAT, "\"checkpoints\" is not a list with entries");
    for (size_t i = 0; status == MIX_OK && i < n; i++) {
        json_t *object = json_array_get(list, i);
        if (i + 1 == n) /* what is said of the whole run goes with its end */
            json_object_update_missing(object, root);
        json_object_del(object, "checkpoints");
        status = take_checkpoint(in, object, i, &last_tokens);
    }
    if (status == MIX_OK && last_tokens != in->request->run.n_tokens_planned)
        status = fail_end(in, last_tokens);
    return status;
}

static enum mix_status take_end(const struct reading *in, json_t *root, json_t *losses)
{
    const double planned = in->request->run.n_tokens_planned, reported = tokens_of(root);
    if (!isnan(reported) && planned_tokens(in->request, reported) != planned)
        return fail_end(in, reported);
    return take_row(in, root, losses, planned);
}

/* Targets at the top level. */
static bool is_flat(const struct reading *in, const json_t *root)
{
    const struct mix_job *job = in->request->job;
    for (size_t m = 0; m < job->n_targets; m++)
        if (json_object_get(root, job->targets[m].name))
            return true;
    return false;
}

static enum mix_status take_root(const struct reading *in, json_t *root)
{
    json_t *checkpoints = json_object_get(root, "checkpoints");
    json_t *losses = json_object_get(root, "loss");
    char targets[MIX_TEXT_MAX];
    enum mix_status status;
    if (json_is_array(checkpoints)) {
        json_incref(checkpoints);
        status = take_checkpoints(in, root, checkpoints);
        json_decref(checkpoints);
    } else if (json_is_object(losses)) {
        status = take_end(in, root, losses);
    } else if (is_flat(in, root)) {
        status = take_end(in, root, root);
    } else {
        list_targets(in->request->job, targets);
        return mix_fail(in->err, MIX_EFORMAT,
                        "it has neither \"loss\": {...} nor \"checkpoints\": [...] nor a target "
                        "(%s)",
                        targets);
    }
    if (status == MIX_OK && !has_loss(in, in->rows->n_rows - 1)) {
        list_targets(in->request->job, targets);
        status =
            mix_fail(in->err, MIX_EFORMAT, "it has no loss of any target (%s) at the end", targets);
    }
    return status;
}

/* ---- lines of stdout */

static bool is_blank(char c)
{
    return c == '\n' || c == '\r' || c == '\t' || c == ' ' || c == '\0';
}

/* What a line is to a reader of results. */
enum line_kind { LINE_OTHER, LINE_OBJECT, LINE_RESULT, LINE_BROKEN };

/* A result that was cut off begins so; the dictionary of another language does not. */
static bool begins_as_json(const char *line, size_t n)
{
    size_t at = 1;
    while (at < n && is_blank(line[at]))
        at++;
    return n > 0 && line[0] == '{' && (at == n || line[at] == '"' || line[at] == '}');
}

static enum mix_status judge_line(const struct reading *in, const char *line, size_t n,
                                  enum line_kind *kind)
{
    json_t *root = NULL;
    *kind = LINE_OTHER;
    if (!begins_as_json(line, n))
        return MIX_OK;
    const enum mix_status status = load(line, n, &root, in->err);
    *kind = status != MIX_OK ? LINE_BROKEN
            : json_is_object(json_object_get(root, "loss")) ||
                    json_is_array(json_object_get(root, "checkpoints")) || is_flat(in, root)
                ? LINE_RESULT
                : LINE_OBJECT;
    json_decref(root);
    return status == MIX_ENOMEM ? status : MIX_OK;
}

const char *mix_result_find(const struct mix_request *request, const char *text, size_t n_bytes,
                            bool is_cut, size_t *length)
{
    struct mix_error ignored = {.text = ""};
    const struct reading in = {.request = request, .err = &ignored};
    const char *best = text;
    enum line_kind best_kind = LINE_OTHER, kind = LINE_OTHER;
    *length = 0;
    for (size_t end = n_bytes; end > 0 && kind != LINE_RESULT && kind != LINE_BROKEN;) {
        size_t begin = end;
        while (begin > 0 && text[begin - 1] != '\n')
            begin--;
        size_t from = begin, to = end;
        while (to > from && is_blank(text[to - 1]))
            to--;
        while (from < to && is_blank(text[from]))
            from++;
        end = begin > 0 ? begin - 1 : 0;
        if (from == to || (begin == 0 && is_cut))
            continue;
        if (judge_line(&in, text + from, to - from, &kind) != MIX_OK)
            return NULL;
        if (*length > 0 && kind != LINE_RESULT && (kind == LINE_OTHER || best_kind != LINE_OTHER))
            continue;
        best = text + from;
        best_kind = kind;
        *length = to - from;
    }
    return best;
}

enum mix_status mix_result_parse(const struct mix_request *request, const char *text,
                                 size_t n_bytes, struct mix_table *rows, struct mix_error *err)
{
    const struct reading in = {.request = request, .rows = rows, .err = err};
    const size_t n_before = rows->n_rows;
    json_t *root = NULL;
    enum mix_status status = load(text, n_bytes, &root, err);
    if (status != MIX_OK)
        return status;
    status = take_root(&in, root);
    json_decref(root);
    if (status != MIX_OK)
        mix_result_drop(rows, n_before);
    return status;
}
