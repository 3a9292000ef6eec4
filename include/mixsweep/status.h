/* SPDX-License-Identifier: GPL-3.0-or-later */
/* status.h - what functions return, and the one sentence that goes with a failure.
 *
 * The function that decides an error writes it with `return mix_fail(err, CODE, "...")`; callers
 * pass status and sentence up untouched. A sentence says where (file, line, key), the bad value and
 * what is allowed; it has no final newline.
 */
#ifndef MIXSWEEP_STATUS_H
#define MIXSWEEP_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

/* X(code, exit status of the program, text) */
#define MIX_STATUS_LIST(X)                                                                         \
    X(MIX_OK, 0, "ok")                                                                             \
    X(MIX_EUSAGE, 2, "wrong use of the command line")                                              \
    X(MIX_EINVAL, 1, "invalid input")                                                              \
    X(MIX_EIO, 1, "input or output failed")                                                        \
    X(MIX_EFORMAT, 1, "not a file of this kind or version")                                        \
    X(MIX_ENOTFOUND, 1, "not found")                                                               \
    X(MIX_EEXIST, 1, "exists already")                                                             \
    X(MIX_ELOCKED, 1, "in use by another process")                                                 \
    X(MIX_ENUMERIC, 1, "numerical failure")                                                        \
    X(MIX_ENOMEM, 1, "out of memory")                                                              \
    X(MIX_EINTERRUPTED, 75, "interrupted; the same command resumes")

enum mix_status {
#define X(code, exit_status, text) code,
    MIX_STATUS_LIST(X)
#undef X
};

enum { MIX_ERROR_MAX = 768 };

/** One sentence for people. Zero-initialise; no allocation. */
struct mix_error {
    char text[MIX_ERROR_MAX];
};

/**
 * Write the sentence and return `status`, so that failing is one line.
 *
 * @param err     out: the sentence, without its middle beyond MIX_ERROR_MAX - 1 bytes; may be NULL
 * @param status  the code to return
 * @param format  printf format of the sentence
 * @return `status`
 */
enum mix_status mix_fail(struct mix_error *err, enum mix_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** The text of a status code, for example "invalid input". */
const char *mix_status_text(enum mix_status status);

/** The exit status of the program for a status code: 0, 1, 2 or 75. */
int mix_status_exit(enum mix_status status);

#ifdef __cplusplus
}
#endif
#endif
