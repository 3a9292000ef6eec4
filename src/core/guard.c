/* SPDX-License-Identifier: GPL-3.0-or-later */
/* guard.c - a process that outlives ours to end our children; see child.h.
 *
 * A small shell script that reads its input, a pipe of ours, and hears nothing but its end: we were
 * killed. It then looks for the mark in the environments under /proc, so that it also finds what
 * left our children's process groups, and so that a child costs nothing but the mark. A guard that
 * is not needed any more is killed before it hears anything.
 */
#include "mixsweep/child.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct mix_guard {
    struct mix_child *child;
    char mark[96];
};

#define GUARD_NAME "MIXSWEEP_GUARD"

/* $1 the mark, $2 tenths of a second between SIGTERM and SIGKILL. */
static const char script[] =
    "trap '' HUP INT TERM USR1 USR2\n"
    "while read -r line; do :; done\n"
    "marked() { grep -lszxF -- \"$1\" /proc/[0-9]*/environ | cut -d/ -f3; }\n"
    "press() { for pid in $2; do kill -s \"$1\" \"-$pid\"; kill -s \"$1\" \"$pid\"; done "
    "2>/dev/null; }\n"
    "press TERM \"$(marked \"$1\")\"\n"
    "tenths=$2\n"
    "while left=$(marked \"$1\") && [ -n \"$left\" ]; do\n"
    "    [ \"$tenths\" -gt 0 ] || press KILL \"$left\"\n"
    "    tenths=$((tenths - 1))\n"
    "    [ \"$tenths\" -gt -50 ] || exit 0\n"
    "    sleep 0.1\n"
    "done\n";

enum mix_status mix_guard_create(double grace_s, struct mix_guard **out, struct mix_error *err)
{
    struct mix_guard *guard = calloc(1, sizeof *guard);
    if (guard == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a child process.");
    struct timespec now = {0};
    clock_gettime(CLOCK_REALTIME, &now);
    char host[32] = "";
    gethostname(host, sizeof host - 1);
    snprintf(guard->mark, sizeof guard->mark, "%s-%ld-%lld%09ld", host, (long)getpid(),
             (long long)now.tv_sec, now.tv_nsec);
    char line[sizeof guard->mark + sizeof GUARD_NAME + 1], tenths[16];
    snprintf(line, sizeof line, GUARD_NAME "=%s", guard->mark);
    snprintf(tenths, sizeof tenths, "%.0f", grace_s < 86400 ? 10 * grace_s : 864000);
    const char *const argv[] = {"/bin/sh", "-c", script, "mixsweep-guard", line, tenths, NULL};
    const struct mix_child_spec spec = {.argv = argv, .pipes = true};
    const enum mix_status status = mix_child_start(&spec, &guard->child, err);
    if (status == MIX_OK)
        *out = guard;
    else
        free(guard);
    return status;
}

enum mix_status mix_guard_mark(const struct mix_guard *guard, struct mix_environment *environment,
                               struct mix_error *err)
{
    return mix_environment_set(environment, GUARD_NAME, guard->mark, err);
}

void mix_guard_destroy(struct mix_guard *guard)
{
    if (guard == NULL)
        return;
    mix_child_destroy(guard->child);
    free(guard);
}
