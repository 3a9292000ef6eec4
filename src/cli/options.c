/* SPDX-License-Identifier: GPL-3.0-or-later */
/* options.c - command lines by a verb's option table, and the help printed from the same table. */
#include "cli.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/runs.h"

enum { NAMES_MAX = 64, WORD_MAX = 64, HELP_COLUMNS = 96 };

/* Edits (insert, remove, replace, swap of neighbours) that turn a into b. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t rows[3][WORD_MAX + 1]; /* the last three rows of the table */
    const size_t n_a = strlen(a), n_b = strlen(b);
    if (n_a > WORD_MAX || n_b > WORD_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= n_b; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= n_a; i++) {
        const size_t *above2 = rows[(i + 1) % 3], *above = rows[(i - 1) % 3];
        size_t *row = rows[i % 3];
        row[0] = i;
        for (size_t j = 1; j <= n_b; j++) {
            size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);
            if (above[j] + 1 < best)
                best = above[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                above2[j - 2] + 1 < best)
                best = above2[j - 2] + 1;
            row[j] = best;
        }
    }
    return rows[n_a % 3][n_b];
}

const char *cli_nearest(const char *word, const char *const *names, size_t n_names)
{
    const char *nearest = NULL;
    size_t least = strlen(word) / 3 + 2; /* farther than that is a guess */
    for (size_t i = 0; i < n_names; i++) {
        const bool beginning = *word != '\0' && strncmp(word, names[i], strlen(word)) == 0;
        const size_t distance = beginning ? 0 : edit_distance(word, names[i]);
        if (distance < least) {
            least = distance;
            nearest = names[i];
        }
    }
    return nearest;
}

static enum mix_status fail_unknown(const struct cli_option *options, const char *word,
                                    struct mix_error *err)
{
    char given[WORD_MAX];
    const char *names[NAMES_MAX] = {"help"};
    size_t n = 1;
    snprintf(given, sizeof given, "%.*s", (int)strcspn(word, "="), word);
    for (; options->name != NULL && n < NAMES_MAX; options++)
        names[n++] = options->name;
    const char *nearest = cli_nearest(given + strspn(given, "-"), names, n);
    if (nearest == NULL)
        return mix_fail(err, MIX_EUSAGE, "there is no option %s.", given);
    return mix_fail(err, MIX_EUSAGE, "there is no option %s; did you mean --%s?", given, nearest);
}

static enum mix_status fail_value(const struct cli_option *option, const char *text,
                                  const char *what, struct mix_error *err)
{
    if (option->min == 0.0 && option->max == 0.0)
        return mix_fail(err, MIX_EUSAGE, "--%s \"%.80s\": not %s.", option->name, text, what);
    if (isinf(option->max))
        return mix_fail(err, MIX_EUSAGE, "--%s \"%.80s\": not %s of %g or more.", option->name,
                        text, what, option->min);
    return mix_fail(err, MIX_EUSAGE, "--%s \"%.80s\": not %s from %g to %g.", option->name, text,
                    what, option->min, option->max);
}

static bool in_range(const struct cli_option *option, double value)
{
    if (option->min == 0.0 && option->max == 0.0)
        return true;
    return value >= option->min && value <= option->max;
}

static enum mix_status read_seed(const struct cli_option *option, const char *text,
                                 struct mix_error *err)
{
    char *end = NULL;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (*text == '\0' || strspn(text, "0123456789") != strlen(text) || errno != 0)
        return fail_value(option, text, "a whole number from 0 to 18446744073709551615", err);
    *(uint64_t *)option->target = value;
    return MIX_OK;
}

/* An empty list or condition is none at all, as a script leaves it; an empty name is a slip. */
static bool names_something(const char *value)
{
    return strcmp(value, "LIST") != 0 && strncmp(value, "TERM", 4) != 0;
}

static enum mix_status store_value(const struct cli_option *option, const char *text,
                                   struct mix_error *err)
{
    double value = 0.0;
    struct cli_list *list = option->target;
    switch (option->kind) {
    case CLI_FLAG:
        *(bool *)option->target = true;
        break;
    case CLI_TEXT:
        if (*text == '\0' && names_something(option->value))
            return mix_fail(err, MIX_EUSAGE, "--%s \"\": %s is empty.", option->name,
                            option->value);
        *(const char **)option->target = text;
        break;
    case CLI_TEXT_LIST:
        if (list->n == CLI_LIST_MAX)
            return mix_fail(err, MIX_EUSAGE, "--%s is given more than %d times.", option->name,
                            CLI_LIST_MAX);
        list->item[list->n++] = text;
        break;
    case CLI_NUMBER:
        if (!mix_number_read(text, &value) || !in_range(option, value))
            return fail_value(option, text, "a number", err);
        *(double *)option->target = value;
        break;
    case CLI_COUNT:
        if (!mix_number_read(text, &value) || value < 0.0 || value > 9007199254740992.0 ||
            value != floor(value) || !in_range(option, value))
            return fail_value(option, text, "a whole number", err);
        *(size_t *)option->target = (size_t)value;
        break;
    case CLI_SEED:
        return read_seed(option, text, err);
    }
    return MIX_OK;
}

/* The option named by "--name", "--name=value", "-x" or "-xvalue"; `value` is the text joined to
 * it, or NULL. */
static const struct cli_option *find_option(const struct cli_option *options, const char *word,
                                            const char **value)
{
    const bool is_long = word[1] == '-';
    const char *name = word + (is_long ? 2 : 1);
    const size_t length = is_long ? strcspn(name, "=") : 1;
    *value = NULL;
    if (name[length] != '\0')
        *value = name + length + (is_long ? 1 : 0);
    for (; options->name != NULL; options++) {
        if (is_long ? strlen(options->name) == length && strncmp(options->name, name, length) == 0
                    : options->letter == *name)
            return options;
    }
    return NULL;
}

void cli_print_wrapped(const char *text, size_t indent)
{
    size_t column = indent;
    for (const char *word = text; *word != '\0';) {
        const size_t n_bytes = strcspn(word, " ");
        size_t width = 0;
        for (size_t i = 0; i < n_bytes; i++)
            width += ((unsigned char)word[i] & 0xC0) != 0x80; /* UTF-8 */
        if (word > text && column + 1 + width > HELP_COLUMNS)
            printf("\n%*s", (int)(column = indent), "");
        else if (word > text)
            column += (size_t)printf(" ");
        printf("%.*s", (int)n_bytes, word);
        column += width;
        word += n_bytes;
        word += strspn(word, " ");
    }
    putchar('\n');
}

static void print_option(const struct cli_option *option, int width)
{
    char left[2 * WORD_MAX];
    snprintf(left, sizeof left, "--%s%s%s", option->name, option->value != NULL ? " " : "",
             option->value != NULL ? option->value : "");
    if (option->letter != 0)
        printf("  -%c, %-*s  ", option->letter, width, left);
    else
        printf("      %-*s  ", width, left);
    cli_print_wrapped(option->help, (size_t)width + 8);
}

static void print_help(const struct cli_verb *verb, const struct cli_option *options)
{
    static const struct cli_option help = {.name = "help", .help = "print this and stop"};
    size_t width = strlen("--help");
    printf("mixsweep %s: %s\n\nUse: mixsweep %s ", verb->name, verb->summary, verb->name);
    cli_print_wrapped(verb->synopsis, strlen("Use: mixsweep  ") + strlen(verb->name));
    putchar('\n');
    for (const struct cli_option *o = options; o->name != NULL; o++) {
        const size_t n = 2 + strlen(o->name) + (o->value != NULL ? 1 + strlen(o->value) : 0);
        if (n > width)
            width = n;
    }
    for (const struct cli_option *o = options; o->name != NULL; o++)
        print_option(o, (int)width);
    print_option(&help, (int)width);
    if (verb->details != NULL)
        printf("\n%s%s", verb->details,
               verb->details[strlen(verb->details) - 1] == '\n' ? "" : "\n");
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    }
    return false;
}

/* Handle the option at argv[*i]; where its value is the next word, step over that. */
static enum mix_status parse_option(const struct cli_option *options, int argc, char **argv, int *i,
                                    struct mix_error *err)
{
    const char *word = argv[*i], *value = NULL;
    const struct cli_option *option = find_option(options, word, &value);
    if (option == NULL)
        return fail_unknown(options, word, err);
    if (option->kind == CLI_FLAG) {
        if (value != NULL)
            return mix_fail(err, MIX_EUSAGE, "--%s takes no value (%.80s).", option->name, word);
    } else if (value == NULL) {
        if (*i + 1 >= argc)
            return mix_fail(err, MIX_EUSAGE, "--%s needs a value: %s.", option->name,
                            option->value);
        value = argv[++*i];
    }
    return store_value(option, value, err);
}

enum mix_status cli_parse(const struct cli_verb *verb, const struct cli_option *options, int argc,
                          char **argv, size_t min_words, size_t max_words, const char **words,
                          bool *help, struct mix_error *err)
{
    size_t n_words = 0;
    bool only_words = false;
    for (size_t i = 0; i < max_words; i++)
        words[i] = NULL;
    *help = asks_for_help(argc, argv);
    if (*help) {
        print_help(verb, options);
        return MIX_OK;
    }
    for (int i = 1; i < argc; i++) {
        if (!only_words && strcmp(argv[i], "--") == 0) {
            only_words = true;
        } else if (!only_words && argv[i][0] == '-' && argv[i][1] != '\0') {
            const enum mix_status status = parse_option(options, argc, argv, &i, err);
            if (status != MIX_OK)
                return status;
        } else if (n_words == max_words) {
            return mix_fail(err, MIX_EUSAGE, "one word too many, \"%.80s\": mixsweep %s %s.",
                            argv[i], verb->name, verb->synopsis);
        } else {
            words[n_words++] = argv[i];
        }
    }
    if (n_words < min_words)
        return mix_fail(err, MIX_EUSAGE, "something is missing: mixsweep %s %s.", verb->name,
                        verb->synopsis);
    return MIX_OK;
}

enum mix_status cli_parse_assignment(const char *option, const char *text, char name[MIX_NAME_MAX],
                                     double *value, struct mix_error *err)
{
    const char *equals = strrchr(text, '=');
    double number = 0.0;
    if (equals == NULL || equals == text || !mix_number_read(equals + 1, &number))
        return mix_fail(err, MIX_EUSAGE, "--%s \"%.80s\": not NAME=NUMBER.", option, text);
    const size_t length = (size_t)(equals - text);
    if (length >= MIX_NAME_MAX)
        return mix_fail(err, MIX_EUSAGE, "--%s \"%.80s\": the name has more than %d bytes.", option,
                        text, MIX_NAME_MAX - 1);
    memcpy(name, text, length);
    name[length] = '\0';
    *value = number;
    return MIX_OK;
}

enum mix_status cli_parse_format(const char *text, bool *json, struct mix_error *err)
{
    if (text != NULL && strcmp(text, "text") != 0 && strcmp(text, "json") != 0)
        return mix_fail(err, MIX_EUSAGE, "--format \"%.80s\": not text or json.", text);
    *json = text != NULL && strcmp(text, "json") == 0;
    return MIX_OK;
}
