/* SPDX-License-Identifier: GPL-3.0-or-later */
/* reply.h - what an external trainer answers: one JSON object on one line. Private to src/online/.
 *
 *     {"id": 1, "protocol": 1, "can": ["fork"]}                            to hello
 *     {"id": 2}                                   to restart, train, freeze, snapshot, restore
 *     {"id": 3, "loss": {"web": 2.1, "code": 1.3}, "learning_rate": 0.001, ...}     to measure
 *     {"id": 4, "loss": {"web": 2.1, "code": 1.3}, "se": {"web": 0.1, "code": 0.2}}    to test
 *     {"id": 5, "error": "no more text"}                                   to any of them
 *
 * Other keys are left alone.
 */
#ifndef MIXSWEEP_ONLINE_REPLY_H
#define MIXSWEEP_ONLINE_REPLY_H

#include "mixsweep/online.h"

enum { REPLY_BYTES_MAX = 1 << 20, REPLY_PROTOCOL = 1 };

enum reply_kind { REPLY_DONE, REPLY_HELLO, REPLY_MEASURED, REPLY_TESTED };

/** What was asked. */
struct reply_form {
    uint64_t id;
    enum reply_kind kind;
    unsigned measure; /* enum mix_measure, or-ed */
    size_t n_groups;  /* m */
    const char *const *groups;
};

/** Where the answer goes; what was not asked for stays as it is. */
struct reply {
    unsigned can;                 /* of hello: enum mix_ability, or-ed */
    struct mix_observation *seen; /* of measure; learning_rate NaN where it is not said */
    double *loss, *se;            /* (m) of test; se NaN where it is not said */
};

/**
 * Read a reply. A pure function.
 *
 * @param text  (n_bytes) any bytes, at most REPLY_BYTES_MAX, without the line feed; overwritten
 * @param err   out: the sentence says what is wrong, without naming trainer and request
 * @return MIX_OK; MIX_EFORMAT not such a reply; MIX_EINVAL it says "error"; MIX_ENUMERIC a number
 * is not finite: the model has diverged; MIX_ENOMEM
 */
enum mix_status reply_parse(const struct reply_form *form, char *text, size_t n_bytes,
                            struct reply *out, struct mix_error *err);

#endif
