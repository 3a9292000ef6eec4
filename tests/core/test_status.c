/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Status codes, exit codes and the sentence of an error. */
#include "mixsweep/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_fail_writes_the_sentence(void **state)
{
    (void)state;
    struct mix_error err = {.text = "old"};
    assert_int_equal(mix_fail(&err, MIX_EINVAL, "line %d: %s", 7, "bad"), MIX_EINVAL);
    assert_string_equal(err.text, "line 7: bad");
    assert_int_equal(mix_fail(NULL, MIX_EIO, "nobody listens"), MIX_EIO);
}

static void test_fail_may_quote_the_error_itself(void **state)
{
    (void)state;
    struct mix_error err = {.text = "disk full"};
    mix_fail(&err, MIX_EIO, "cannot write: %s", err.text);
    assert_string_equal(err.text, "cannot write: disk full");
}

static void test_fail_cuts_long_sentences(void **state)
{
    (void)state;
    char longer[2 * MIX_ERROR_MAX];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    struct mix_error err;
    mix_fail(&err, MIX_EIO, "cannot open %s: no such file", longer);
    assert_int_equal(strlen(err.text), MIX_ERROR_MAX - 1);
    assert_memory_equal(err.text, "cannot open xxx", 15);
    assert_non_null(strstr(err.text, "xxx ... xxx"));
    assert_string_equal(err.text + MIX_ERROR_MAX - 1 - 16, "xx: no such file");
}

static void test_status_has_text_and_exit(void **state)
{
    (void)state;
    assert_string_equal(mix_status_text(MIX_EFORMAT), "not a file of this kind or version");
    assert_int_equal(mix_status_exit(MIX_OK), 0);
    assert_int_equal(mix_status_exit(MIX_EUSAGE), 2);
    assert_int_equal(mix_status_exit(MIX_EIO), 1);
    assert_int_equal(mix_status_exit(MIX_EINTERRUPTED), 75);
    assert_string_equal(mix_status_text((enum mix_status)99), "unknown status");
    assert_int_equal(mix_status_exit((enum mix_status)99), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fail_writes_the_sentence),
        cmocka_unit_test(test_fail_may_quote_the_error_itself),
        cmocka_unit_test(test_fail_cuts_long_sentences),
        cmocka_unit_test(test_status_has_text_and_exit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
