/* SPDX-License-Identifier: GPL-3.0-or-later */
/* plan_command.c - what is wrong with the command of a job, before a run is lost to it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plan_impl.h"
#include "sweep/placeholders.h"

static enum mix_status check_text(struct plan_summary *s, const char *key, const char *text,
                                  bool shell, struct mix_error *err)
{
    struct mix_template *made = NULL;
    struct mix_error why = {.text = ""};
    const enum mix_status status = mix_template_create(s->job, key, text, shell, &made, &why);
    mix_template_destroy(made);
    if (status == MIX_ENOMEM)
        return mix_fail(err, status, "%s", why.text);
    if (status != MIX_OK)
        plan_warn(s, "%s", why.text);
    return MIX_OK;
}

/* Whether a program is there, by its path or in PATH. */
static bool is_there(const char *program)
{
    const char *folders = getenv("PATH");
    char path[4096];
    if (strchr(program, '/') != NULL || folders == NULL)
        return access(program, X_OK) == 0;
    for (const char *at = folders; at != NULL; at = strchr(at, ':')) {
        at += *at == ':';
        const size_t n = strcspn(at, ":");
        const int length = snprintf(path, sizeof path, "%.*s%s%s", (int)(n < 3000 ? n : 3000), at,
                                    n > 0 ? "/" : "", program);
        if (length > 0 && (size_t)length < sizeof path && access(path, X_OK) == 0)
            return true;
    }
    return false;
}

static void check_program(struct plan_summary *s, const char *key, const char *program)
{
    if (program[strcspn(program, "{}")] == '\0' && !is_there(program))
        plan_warn(s, "%s: there is no program %.200s here", key, program);
}

enum mix_status plan_check_command(struct plan_summary *s, struct mix_error *err)
{
    static const char argv[] = "sweep.command.argv", launcher[] = "sweep.command.launcher";
    const struct mix_job_command *is = &s->job->command;
    enum mix_status status = MIX_OK;
    if (strcmp(s->job->evaluator, "command") != 0)
        return MIX_OK;
    for (size_t i = 0; status == MIX_OK && i < is->n_launcher; i++)
        status = check_text(s, launcher, is->launcher[i], false, err);
    for (size_t i = 0; status == MIX_OK && i < is->n_argv; i++)
        status = check_text(s, argv, is->argv[i], is->shell, err);
    for (size_t i = 0; status == MIX_OK && i < is->n_environment; i++) {
        char key[2 * MIX_NAME_MAX];
        snprintf(key, sizeof key, "sweep.command.environment.%s", is->environment[i]);
        status = check_text(s, key, is->environment_value[i], false, err);
    }
    if (status == MIX_OK && is->n_launcher > 0)
        check_program(s, launcher, is->launcher[0]);
    else if (status == MIX_OK && is->n_argv > 0 && !is->shell)
        check_program(s, argv, is->argv[0]);
    return status;
}
