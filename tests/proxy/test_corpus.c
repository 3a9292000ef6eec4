/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files to parts: what is found, in what order, what a document is, where it goes, what is refused.
 */
#include "mixsweep/corpus.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

static void write_file(const char *path, const void *bytes, size_t n)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

static void write_text(const char *path, const char *text)
{
    write_file(path, text, strlen(text));
}

static void write_gzip(const char *path, const char *mode, const void *bytes, size_t n)
{
    gzFile file = gzopen(path, mode);
    assert_non_null(file);
    assert_int_equal(gzwrite(file, bytes, (unsigned)n), n);
    assert_int_equal(gzclose(file), Z_OK);
}

/* One source of up to four paths. */
struct setting {
    const char *paths[4];
    enum mix_corpus_document document;
    struct mix_corpus_options options;
};

static enum mix_status try_load(const struct setting *setting, struct mix_corpus **corpus,
                                struct mix_error *err)
{
    size_t n_paths = 0;
    while (n_paths < 4 && setting->paths[n_paths] != NULL)
        n_paths++;
    const struct mix_corpus_source source = {
        .name = "web", .paths = setting->paths, .n_paths = n_paths, .document = setting->document};
    return mix_corpus_load(&source, 1, &setting->options, corpus, err);
}

static struct mix_corpus *load(const struct setting *setting)
{
    struct mix_error err = {""};
    struct mix_corpus *corpus = NULL;
    const enum mix_status status = try_load(setting, &corpus, &err);
    if (status != MIX_OK)
        fail_msg("%s", err.text);
    return corpus;
}

static void assert_part(const struct mix_corpus *corpus, enum mix_corpus_part part,
                        const char *expected)
{
    size_t n = 0;
    const uint8_t *bytes = mix_corpus_bytes(corpus, 0, part, &n);
    assert_non_null(bytes);
    if (n != strlen(expected) || memcmp(bytes, expected, n) != 0)
        fail_msg("part %d is '%.*s', not '%s'", part, (int)n, (const char *)bytes, expected);
}

/* The training part of a setting without any other part. */
static void assert_train(struct setting setting, const char *expected)
{
    struct mix_corpus *corpus = load(&setting);
    assert_part(corpus, MIX_PART_TRAIN, expected);
    assert_part(corpus, MIX_PART_VALIDATION, "");
    mix_corpus_destroy(corpus);
}

static void assert_refused(struct setting setting, enum mix_status expected, const char *sentence)
{
    struct mix_error err = {""};
    struct mix_corpus *corpus = NULL;
    assert_int_equal(try_load(&setting, &corpus, &err), expected);
    assert_null(corpus);
    if (strstr(err.text, sentence) == NULL)
        fail_msg("'%s' does not say '%s'", err.text, sentence);
}

static void test_paths_are_found_in_the_order_of_names(void **state)
{
    (void)state;
    mkdir("tree", 0700);
    mkdir("tree/b", 0700);
    mkdir("tree/B", 0700);
    mkdir("tree/.hidden", 0700);
    write_text("tree/a.txt", "a\n");
    write_text("tree/b/z", "z\n");
    write_text("tree/b/Z", "Z\n");
    write_text("tree/B/y", "y\n");
    write_text("tree/b-", "dash\n");
    write_text("tree/.git", "hidden\n");
    write_text("tree/.hidden/h", "hidden\n");
    assert_train((struct setting){.paths = {"tree"}}, "y\na\nZ\nz\ndash\n");
    assert_train((struct setting){.paths = {"tree/b/*", "tree"}}, "Z\nz\ny\na\ndash\n");
    assert_train((struct setting){.paths = {"tree/b-", "tree/[ab]*"}}, "dash\na\nZ\nz\n");
    assert_train((struct setting){.paths = {"./tree/a.txt", "tree/b/../a.txt"}}, "a\n");
}

static void test_links_are_followed_once(void **state)
{
    (void)state;
    mkdir("links", 0700);
    mkdir("links/in", 0700);
    write_text("links/in/text", "text\n");
    assert_int_equal(symlink("..", "links/in/loop"), 0);
    assert_int_equal(symlink("self", "links/in/self"), 0);
    assert_int_equal(symlink("nowhere", "links/dangling"), 0);
    assert_int_equal(symlink("in/text", "links/again"), 0);
    assert_int_equal(link("links/in/text", "links/hard"), 0);
    assert_int_equal(mkfifo("links/pipe", 0600), 0);
    assert_train((struct setting){.paths = {"links"}}, "text\n");
    assert_train((struct setting){.paths = {"links/*"}}, "text\n");
    assert_refused((struct setting){.paths = {"links/dangling"}}, MIX_ENOTFOUND,
                   "source web: links/dangling does not exist");
    assert_refused((struct setting){.paths = {"links/in/self"}}, MIX_EIO, "links/in/self");
    assert_refused((struct setting){.paths = {"links/pipe"}}, MIX_EINVAL,
                   "links/pipe is neither a file nor a folder");
}

static void test_names_of_globs_and_files(void **state)
{
    (void)state;
    write_text("a[1].txt", "brackets\n");
    write_text("a1.txt", "one\n");
    assert_train((struct setting){.paths = {"a[1].txt"}}, "brackets\n"); /* a file of that name */
    assert_train((struct setting){.paths = {"a[1].t*"}}, "one\n");
    assert_refused((struct setting){.paths = {"nothing*"}}, MIX_ENOTFOUND,
                   "source web: nothing matches nothing*");
    assert_refused((struct setting){.paths = {"a1.txt", "a2.txt"}}, MIX_ENOTFOUND,
                   "source web: a2.txt does not exist");
    assert_refused((struct setting){.paths = {NULL}}, MIX_EINVAL, "source web names no files");
}

static void test_files_without_text(void **state)
{
    (void)state;
    mkdir("odd", 0700);
    write_text("odd/empty", "");
    write_text("odd/blank", " \n\t\r\n");
    write_file("odd/binary", "ELF\0text", 8);
    assert_refused((struct setting){.paths = {"odd"}}, MIX_EINVAL, "hold no text");
    assert_refused((struct setting){.paths = {"odd/empty"}}, MIX_EINVAL, "odd/empty is empty");
    assert_refused((struct setting){.paths = {"odd/blank"}}, MIX_EINVAL,
                   "odd/blank holds white space only");
    assert_refused((struct setting){.paths = {"odd/binary"}}, MIX_EINVAL, "odd/binary is binary");
    write_text("odd/one", "1");
    write_text("odd/two", "\x1f");
    assert_train((struct setting){.paths = {"odd"}}, "1\n\x1f\n");
    static char late[9000]; /* a zero byte behind the first 8 kB does not make a file binary */
    memset(late, 'x', sizeof late);
    late[8192] = '\0';
    write_file("late", late, sizeof late);
    mix_corpus_destroy(load(&(struct setting){.paths = {"late"}}));
    late[8191] = '\0';
    write_file("late", late, sizeof late);
    assert_refused((struct setting){.paths = {"late"}}, MIX_EINVAL, "binary");
}

static void test_gzip_is_inflated(void **state)
{
    (void)state;
    write_gzip("text", "wb", "one\n", 4);
    write_gzip("text", "ab", "two", 3); /* a second member */
    assert_train((struct setting){.paths = {"text"}}, "one\ntwo\n");
    write_gzip("zeros.gz", "wb", "\0\0\0", 3);
    assert_refused((struct setting){.paths = {"zeros.gz"}}, MIX_EINVAL, "binary");
    write_gzip("nothing.gz", "wb", "", 0);
    assert_refused((struct setting){.paths = {"nothing.gz"}}, MIX_EINVAL, "empty");
}

/* Cut anywhere, a gzip file is refused; with a byte changed it is refused or a text. */
static void test_broken_gzip_is_refused(void **state)
{
    (void)state;
    char text[2000], bytes[4000];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('a' + i * i % 23);
    write_gzip("whole.gz", "wb", text, sizeof text);
    FILE *file = fopen("whole.gz", "r");
    assert_non_null(file);
    const size_t n = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    assert_in_range(n, 30, sizeof bytes - 1);
    mkdir("gz", 0700);
    for (size_t length = 2; length < n; length += length < 20 || n - length < 20 ? 1 : 13) {
        write_file("gz/cut", bytes, length);
        assert_refused((struct setting){.paths = {"gz/cut"}}, MIX_EIO,
                       "source web: broken gzip file gz/cut: ");
        assert_refused((struct setting){.paths = {"gz"}}, MIX_EIO, "gz/cut");
    }
    for (size_t at = 2; at < n; at += 5) {
        bytes[at] ^= 0x10;
        write_file("gz/cut", bytes, n);
        struct mix_error err = {""};
        struct mix_corpus *corpus = NULL;
        const struct setting setting = {.paths = {"gz/cut"}};
        const enum mix_status status = try_load(&setting, &corpus, &err);
        assert_true(status == MIX_OK || (status == MIX_EIO && err.text[0] != '\0'));
        mix_corpus_destroy(corpus);
        bytes[at] ^= 0x10;
    }
}

static void test_gzip_bomb_is_bounded(void **state)
{
    (void)state;
    static char block[1 << 20];
    memset(block, 'x', sizeof block);
    gzFile file = gzopen("bomb.gz", "wb1");
    assert_non_null(file);
    for (int i = 0; i < 64; i++)
        assert_int_equal(gzwrite(file, block, sizeof block), sizeof block);
    assert_int_equal(gzclose(file), Z_OK);
    struct mix_corpus *corpus =
        load(&(struct setting){.paths = {"bomb.gz"}, .options = {.max_bytes = 100000}});
    size_t n = 0;
    mix_corpus_bytes(corpus, 0, MIX_PART_TRAIN, &n);
    assert_int_equal(n, 100000);
    mix_corpus_destroy(corpus);
}

static void test_max_bytes_takes_the_first_files(void **state)
{
    (void)state;
    mkdir("some", 0700);
    write_text("some/1", "first\n");
    write_text("some/2", "second\n");
    write_text("some/3", "third\n");
    assert_train((struct setting){.paths = {"some"}, .options = {.max_bytes = 9}}, "first\nsec");
    assert_train((struct setting){.paths = {"some"}, .options = {.max_bytes = 13}},
                 "first\nsecond\n");
    assert_train((struct setting){.paths = {"some"}, .options = {.max_bytes = 1}}, "f");
    assert_train((struct setting){.paths = {"some"}, .options = {.max_bytes = 1000}},
                 "first\nsecond\nthird\n");
}

/* Where the documents of the file `path` end, as "4 10 ": all of them are in the training part. */
static void assert_documents(const char *path, enum mix_corpus_document document,
                             const char *expected)
{
    struct mix_corpus *corpus =
        load(&(struct setting){.paths = {path}, .document = document, .options = {.seed = 1}});
    size_t n = 0, n_bytes = 0;
    const size_t *starts = mix_corpus_documents(corpus, 0, MIX_PART_TRAIN, &n);
    mix_corpus_bytes(corpus, 0, MIX_PART_TRAIN, &n_bytes);
    assert_int_equal(starts[0], 0);
    assert_int_equal(starts[n], n_bytes);
    char text[400] = "";
    for (size_t i = 1; i <= n && i < 30; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%zu ", starts[i]);
    assert_string_equal(text, expected);
    mix_corpus_destroy(corpus);
}

static void test_documents_by_line(void **state)
{
    (void)state;
    write_text("lines", "one\n\n \r\ntwo\r\nthree\n\n\n");
    assert_documents("lines", MIX_DOCUMENT_LINE, "4 13 21 ");
    write_text("lines", "\n\none");
    assert_documents("lines", MIX_DOCUMENT_LINE, "6 ");
    assert_documents("lines", MIX_DOCUMENT_FILE, "6 ");
}

static void test_documents_by_paragraph(void **state)
{
    (void)state;
    char text[5000];
    memset(text, 'x', sizeof text);
    for (size_t i = 99; i < sizeof text; i += 100)
        text[i] = '\n';
    memcpy(text + 500, "\n \n", 3);   /* too early: short ones are joined */
    memcpy(text + 1100, "\r\n", 2);   /* behind line 10: a blank one of \r\n */
    memcpy(text + 3100, "\t\n\n", 3); /* two blank ones: the second begins the next document */
    write_file("paragraphs", text, sizeof text);
    assert_documents("paragraphs", MIX_DOCUMENT_PARAGRAPH, "1102 3102 5000 ");
    write_file("paragraphs", text, 1102); /* nothing but a newline behind the paragraph */
    assert_documents("paragraphs", MIX_DOCUMENT_PARAGRAPH, "1102 ");
}

/* Longer than 16 kB: behind a blank line, else a line, else a character. */
static void test_long_documents_are_cut(void **state)
{
    (void)state;
    static char text[40000];
    memset(text, 'x', sizeof text);
    write_file("long", text, 39999);
    for (int kind = MIX_DOCUMENT_FILE; kind <= MIX_DOCUMENT_LINE; kind++)
        assert_documents("long", (enum mix_corpus_document)kind, "16384 32768 40000 ");
    for (size_t i = 1; i + 1 < sizeof text; i += 2)
        memcpy(text + i, "é", 2); /* 16384 is inside a character */
    write_file("long", text, 39999);
    assert_documents("long", MIX_DOCUMENT_FILE, "16383 32767 40000 ");
    text[9000] = text[10000] = text[12000] = '\n';
    write_file("long", text, 39999);
    assert_documents("long", MIX_DOCUMENT_FILE, "12001 28385 40000 ");
    text[10001] = '\n';
    write_file("long", text, 39999);
    assert_documents("long", MIX_DOCUMENT_FILE, "10002 26385 40000 ");
}

/* n files "file I" with text "document I ..." */
static void write_documents(const char *folder, size_t first, size_t n)
{
    mkdir(folder, 0700);
    for (size_t i = first; i < first + n; i++) {
        char path[64], text[64];
        snprintf(path, sizeof path, "%s/%04zu", folder, i);
        snprintf(text, sizeof text, "document %zu\n", i);
        write_text(path, text);
    }
}

static const size_t *documents_of(const struct mix_corpus *corpus, enum mix_corpus_part part,
                                  size_t *n)
{
    return mix_corpus_documents(corpus, 0, part, n);
}

/* The part that a document of a corpus is in, or -1. */
static int part_of(const struct mix_corpus *corpus, const char *document)
{
    for (int p = 0; p < MIX_PARTS; p++) {
        size_t n = 0, n_bytes = 0;
        const size_t *starts = documents_of(corpus, (enum mix_corpus_part)p, &n);
        const char *bytes =
            (const char *)mix_corpus_bytes(corpus, 0, (enum mix_corpus_part)p, &n_bytes);
        for (size_t i = 0; i < n; i++)
            if (starts[i + 1] - starts[i] == strlen(document) &&
                memcmp(bytes + starts[i], document, strlen(document)) == 0)
                return p;
    }
    return -1;
}

static void test_shares_hold_and_no_document_is_lost(void **state)
{
    (void)state;
    write_documents("many", 0, 2000);
    const struct mix_corpus_options options = {
        .seed = 7, .validation_share = 0.2, .test_share = 0.1};
    struct mix_corpus *corpus = load(&(struct setting){.paths = {"many"}, .options = options});
    size_t n[MIX_PARTS];
    for (int p = 0; p < MIX_PARTS; p++)
        documents_of(corpus, (enum mix_corpus_part)p, &n[p]);
    assert_int_equal(n[0] + n[1] + n[2], 2000);
    assert_in_range(n[MIX_PART_VALIDATION], 400 - 72, 400 + 72); /* four standard deviations */
    assert_in_range(n[MIX_PART_TEST], 200 - 54, 200 + 54);
    for (size_t i = 0; i < 2000; i += 17) {
        char text[64];
        snprintf(text, sizeof text, "document %zu\n", i);
        assert_int_not_equal(part_of(corpus, text), -1);
    }
    mix_corpus_destroy(corpus);
}

/* More files, other names, another source: a document stays where it is; another seed moves it. */
static void test_split_is_a_property_of_the_document(void **state)
{
    (void)state;
    write_documents("few", 0, 300);
    write_documents("more", 300, 300);
    const struct mix_corpus_options options = {.seed = 1, .validation_share = 0.3};
    struct setting setting = {.paths = {"few"}, .options = options};
    struct mix_corpus *few = load(&setting);
    setting.paths[0] = "more";
    setting.paths[1] = "few";
    struct mix_corpus *both = load(&setting);
    setting.options.seed = 2;
    struct mix_corpus *other = load(&setting);
    size_t n_moved = 0;
    for (size_t i = 0; i < 300; i++) {
        char text[64];
        snprintf(text, sizeof text, "document %zu\n", i);
        assert_int_equal(part_of(few, text), part_of(both, text));
        n_moved += part_of(both, text) != part_of(other, text);
    }
    assert_in_range(n_moved, 80, 170); /* 2 0.3 0.7 = 126 expected */
    assert_true(mix_corpus_hash(few, 0).hi != mix_corpus_hash(both, 0).hi);
    mix_corpus_destroy(few);
    mix_corpus_destroy(both);
    mix_corpus_destroy(other);
}

static void test_equal_documents_are_not_split(void **state)
{
    (void)state;
    write_text("repeated", "");
    FILE *file = fopen("repeated", "w");
    for (size_t i = 0; i < 600; i++)
        fprintf(file, "line %zu\n", i % 20);
    fclose(file);
    struct mix_corpus *corpus = load(&(struct setting){.paths = {"repeated"},
                                                       .document = MIX_DOCUMENT_LINE,
                                                       .options = {.validation_share = 0.3}});
    size_t n = 0;
    documents_of(corpus, MIX_PART_VALIDATION, &n);
    assert_true(n > 0 && n % 30 == 0);
    mix_corpus_destroy(corpus);
}

/* With few documents every part gets one, whatever the seed; with too few it is an error. */
static void test_no_part_is_empty(void **state)
{
    (void)state;
    char folder[16];
    for (size_t n = 2; n <= 5; n++) {
        snprintf(folder, sizeof folder, "few%zu", n);
        write_documents(folder, 0, n);
        for (uint64_t seed = 0; seed < 60; seed++) {
            const double share = seed % 3 == 0 ? 0.001 : seed % 3 == 1 ? 0.4 : 0.98;
            struct setting setting = {.paths = {folder},
                                      .options = {.seed = seed, .validation_share = share}};
            if (n > 2)
                setting.options.test_share = seed % 2 == 0 ? 0.001 : 0.98 - share + 0.01;
            struct mix_corpus *corpus = load(&setting);
            size_t count[MIX_PARTS];
            for (int p = 0; p < MIX_PARTS; p++)
                documents_of(corpus, (enum mix_corpus_part)p, &count[p]);
            assert_true(count[MIX_PART_TRAIN] > 0 && count[MIX_PART_VALIDATION] > 0);
            assert_int_equal(count[MIX_PART_TEST] > 0, n > 2);
            assert_int_equal(count[0] + count[1] + count[2], n);
            mix_corpus_destroy(corpus);
        }
    }
    assert_refused(
        (struct setting){.paths = {"few2"}, .options = {.validation_share = 0.1, .test_share = .1}},
        MIX_EINVAL, "2 documents of 22 bytes in all cannot fill its 3 parts (train, validation, t");
    assert_refused((struct setting){.paths = {"few2/0000"}, .options = {.validation_share = 0.1}},
                   MIX_EINVAL, "1 document of 11 bytes");
    write_text("few2/0001", "document 0\n"); /* two, but equal */
    assert_refused((struct setting){.paths = {"few2"}, .options = {.validation_share = 0.1}},
                   MIX_EINVAL, "source web: 2 documents");
}

static void test_options_out_of_range(void **state)
{
    (void)state;
    write_text("text", "text\n");
    const double shares[][2] = {{-0.1, 0}, {0, -0.1}, {1, 0}, {0.5, 0.5}, {0.0 / 0.0, 0}};
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++)
        assert_refused((struct setting){.paths = {"text"},
                                        .options = {.validation_share = shares[i][0],
                                                    .test_share = shares[i][1]}},
                       MIX_EINVAL, "share");
    struct mix_error err = {""};
    struct mix_corpus *corpus = NULL;
    const struct mix_corpus_options options = {.seed = 0};
    assert_int_equal(mix_corpus_load(NULL, 0, &options, &corpus, &err), MIX_EINVAL);
    mix_corpus_destroy(NULL);
}

static void test_several_sources(void **state)
{
    (void)state;
    write_text("x.txt", "x\n");
    write_text("y.txt", "y\n");
    const struct mix_corpus_source sources[] = {
        {.name = "x", .paths = (const char *const[]){"x.txt"}, .n_paths = 1},
        {.name = "y", .paths = (const char *const[]){"y.txt"}, .n_paths = 1},
        {.name = "x again", .paths = (const char *const[]){"x.txt"}, .n_paths = 1}};
    const struct mix_corpus_options options = {.seed = 3};
    struct mix_error err = {""};
    struct mix_corpus *corpus = NULL;
    assert_int_equal(mix_corpus_load(sources, 3, &options, &corpus, &err), MIX_OK);
    assert_int_equal(mix_corpus_n_sources(corpus), 3);
    assert_string_equal(mix_corpus_name(corpus, 2), "x again");
    size_t n = 0;
    assert_int_equal(mix_corpus_bytes(corpus, 1, MIX_PART_TRAIN, &n)[0], 'y');
    assert_int_equal(n, 2);
    const struct mix_key x = mix_corpus_hash(corpus, 0), y = mix_corpus_hash(corpus, 1),
                         again = mix_corpus_hash(corpus, 2);
    assert_memory_equal(&x, &again, sizeof x);
    assert_memory_not_equal(&x, &y, sizeof x);
    mix_corpus_destroy(corpus);
}

static struct mix_key key_of(const struct mix_corpus_source *source, bool bytes)
{
    struct mix_error err = {""};
    struct mix_key key = {0};
    const enum mix_status status =
        bytes ? mix_corpus_hash_files(source, &key, &err) : mix_corpus_stamp(source, &key, &err);
    if (status != MIX_OK)
        fail_msg("%s", err.text);
    return key;
}

static bool is_same(struct mix_key a, struct mix_key b)
{
    return a.hi == b.hi && a.lo == b.lo;
}

/* What is in the files, and what a look at them tells without reading. */
static void test_files_are_hashed(void **state)
{
    (void)state;
    const char *const paths[] = {"hashed"};
    const struct mix_corpus_source source = {.name = "s", .paths = paths, .n_paths = 1};
    struct mix_key key;
    struct mix_error err = {""};
    mkdir("hashed", 0777);
    write_file("hashed/a", "\0bin", 4); /* text or not */
    write_text("hashed/b", "two\n");
    const struct mix_key content = key_of(&source, true), stamp = key_of(&source, false);
    assert_true(is_same(content, key_of(&source, true)));
    assert_true(is_same(stamp, key_of(&source, false)));
    const struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    assert_int_equal(utimensat(AT_FDCWD, "hashed/b", times, 0), 0);
    assert_true(is_same(content, key_of(&source, true)));
    const struct mix_key dated = key_of(&source, false);
    assert_false(is_same(stamp, dated));
    write_text("hashed/b", "owt\n");
    assert_int_equal(utimensat(AT_FDCWD, "hashed/b", times, 0), 0);
    assert_false(is_same(content, key_of(&source, true)));
    assert_true(is_same(dated, key_of(&source, false))); /* nothing was read */
    write_text("hashed/b", "");
    write_file("hashed/a", "\0bintwo\n", 8); /* the same bytes, cut elsewhere */
    assert_false(is_same(content, key_of(&source, true)));
    const struct mix_corpus_source none = {
        .name = "s", .n_paths = 1, .paths = &(const char *){"no"}};
    assert_int_equal(mix_corpus_hash_files(&none, &key, &err), MIX_ENOTFOUND);
    assert_int_equal(mix_corpus_stamp(&none, &key, &err), MIX_ENOTFOUND);
}

/* A source of more bytes than are read: a file with a hole. */
static void test_large_files_are_sampled(void **state)
{
    (void)state;
    static const off_t size = (off_t)1 << 33;
    const char *const paths[] = {"large"};
    const struct mix_corpus_source source = {.name = "s", .paths = paths, .n_paths = 1};
    write_text("large", "begins");
    assert_int_equal(truncate("large", size), 0);
    const struct mix_key before = key_of(&source, true);
    const int fd = open("large", O_WRONLY);
    assert_int_equal(pwrite(fd, "x", 1, size - 1), 1);
    close(fd);
    assert_false(is_same(before, key_of(&source, true)));
    unlink("large");
}

/* Over a thousand files, so that all tables grow. */
static void test_a_long_list_of_files(void **state)
{
    (void)state;
    write_documents("list", 1000, 3000);
    struct mix_corpus *corpus = load(&(struct setting){.paths = {"list/*", "list"}});
    size_t n = 0, n_bytes = 0;
    documents_of(corpus, MIX_PART_TRAIN, &n);
    assert_int_equal(n, 3000);
    const uint8_t *bytes = mix_corpus_bytes(corpus, 0, MIX_PART_TRAIN, &n_bytes);
    assert_int_equal(n_bytes, 3000 * strlen("document 1000\n"));
    for (size_t i = 0; i < 3000; i++) {
        char text[64];
        snprintf(text, sizeof text, "document %zu\n", 1000 + i);
        assert_memory_equal(bytes + 14 * i, text, 14);
    }
    mix_corpus_destroy(corpus);
}

static void test_unreadable_paths(void **state)
{
    (void)state;
    mkdir("closed", 0755);
    write_text("closed/file", "text\n");
    chmod("closed/file", 0);
    const uid_t user = geteuid();
    if (user == 0 && seteuid(65534) != 0) /* no mode keeps root out */
        skip();
    assert_refused((struct setting){.paths = {"closed/file"}}, MIX_EIO,
                   "closed/file cannot be read: Permission denied");
    assert_refused((struct setting){.paths = {"closed"}}, MIX_EIO, "closed/file");
    assert_int_equal(seteuid(user), 0);
    chmod("closed", 0);
    assert_int_equal(seteuid(user == 0 ? 65534 : user), 0);
    assert_refused((struct setting){.paths = {"closed"}}, MIX_EIO, "folder closed cannot be read");
    assert_refused((struct setting){.paths = {"closed/file"}}, MIX_EIO, "Permission denied");
    assert_int_equal(seteuid(user), 0);
    chmod("closed", 0700);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths_are_found_in_the_order_of_names),
        cmocka_unit_test(test_links_are_followed_once),
        cmocka_unit_test(test_names_of_globs_and_files),
        cmocka_unit_test(test_files_without_text),
        cmocka_unit_test(test_gzip_is_inflated),
        cmocka_unit_test(test_broken_gzip_is_refused),
        cmocka_unit_test(test_gzip_bomb_is_bounded),
        cmocka_unit_test(test_max_bytes_takes_the_first_files),
        cmocka_unit_test(test_documents_by_line),
        cmocka_unit_test(test_documents_by_paragraph),
        cmocka_unit_test(test_long_documents_are_cut),
        cmocka_unit_test(test_shares_hold_and_no_document_is_lost),
        cmocka_unit_test(test_split_is_a_property_of_the_document),
        cmocka_unit_test(test_equal_documents_are_not_split),
        cmocka_unit_test(test_no_part_is_empty),
        cmocka_unit_test(test_options_out_of_range),
        cmocka_unit_test(test_several_sources),
        cmocka_unit_test(test_files_are_hashed),
        cmocka_unit_test(test_large_files_are_sampled),
        cmocka_unit_test(test_a_long_list_of_files),
        cmocka_unit_test(test_unreadable_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
