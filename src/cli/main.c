/* SPDX-License-Identifier: GPL-3.0-or-later */
/* main.c - the program: finds the verb, starts the ranks where the verb uses them, and says what
 * went wrong. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <gsl/gsl_errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mixsweep/version.h"

/* In the order of a sweep's life, which is the order of --help. */
static const struct cli_verb *const verbs[] = {
    &cli_verb_run,     &cli_verb_plan,      &cli_verb_sweep,   &cli_verb_import,  &cli_verb_fit,
    &cli_verb_compare, &cli_verb_bootstrap, &cli_verb_predict, &cli_verb_optimum, &cli_verb_next,
    &cli_verb_confirm, &cli_verb_online,    &cli_verb_agent,   &cli_verb_status,  &cli_verb_export,
    &cli_verb_retry,   &cli_verb_exclude,   &cli_verb_merge,   &cli_verb_record,  &cli_verb_report,
    &cli_verb_domains,
};
enum { N_VERBS = sizeof verbs / sizeof verbs[0] };

static void print_help(void)
{
    printf("mixsweep finds the training-data mixture for a large model from many small ones.\n\n"
           "Use: mixsweep VERB FILE [OPTIONS]\n\n");
    for (size_t i = 0; i < N_VERBS; i++)
        printf("  %-10s %s\n", verbs[i]->name, verbs[i]->summary);
    printf("\nFrom a table of proxy runs to a mixture:\n\n"
           "  mixsweep import runs.csv -o sweep.h5\n"
           "  mixsweep fit sweep.h5 --law transfer\n"
           "  mpirun -n 4 mixsweep bootstrap sweep.h5 --fit transfer --draws 1000\n"
           "  mixsweep optimum sweep.h5 --fit transfer --params 7e9 --tokens 2e12\n\n"
           "mixsweep VERB --help explains a verb. Exit status: 0 done, 1 failed, 2 wrong use,\n"
           "75 interrupted (the same command resumes).\n");
}

static enum mix_status find_verb(const char *name, const struct cli_verb **out,
                                 struct mix_error *err)
{
    const char *names[N_VERBS];
    for (size_t i = 0; i < N_VERBS; i++) {
        if (strcmp(verbs[i]->name, name) == 0) {
            *out = verbs[i];
            return MIX_OK;
        }
        names[i] = verbs[i]->name;
    }
    const char *nearest = cli_nearest(name, names, N_VERBS);
    if (nearest != NULL)
        return mix_fail(err, MIX_EUSAGE, "there is no verb \"%s\"; did you mean %s?", name,
                        nearest);
    return mix_fail(err, MIX_EUSAGE, "there is no verb \"%s\".", name);
}

/* A file opened while descriptor 1 or 2 is closed would become our standard output: take those
 * numbers with something that cannot be written to, so that printing still fails visibly. */
static void occupy_standard_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDONLY);
    while (fd >= 0 && fd <= 2);
    if (fd > 2)
        close(fd);
}

/* The rank the launcher gave this process, without MPI; 0 where there is no launcher. */
static long launched_rank(void)
{
    static const char *const variables[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK",
                                            "SLURM_PROCID"};
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        const char *text = getenv(variables[i]);
        if (text != NULL && *text != '\0')
            return strtol(text, NULL, 10);
    }
    return 0;
}

static void print_error(const char *verb, enum mix_status status, const struct mix_error *err)
{
    const char *text = err->text[0] != '\0' ? err->text : mix_status_text(status);
    const size_t length = strlen(text);
    const bool closed = length > 0 && strchr(".?!", text[length - 1]) != NULL;
    fprintf(stderr, "mixsweep: %s%s\n", text, closed ? "" : ".");
    if (status == MIX_EUSAGE)
        fprintf(stderr, "See mixsweep %s%s--help.\n", verb, *verb == '\0' ? "" : " ");
}

/* `| head` has seen enough: nothing to tell. */
static bool reader_has_gone(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&out, 1, 0) == 1 && (out.revents & POLLERR) != 0;
}

/* The last word of rank 0: what it printed is out, or that is an error; errors are told. */
static enum mix_status close_output(const char *verb, enum mix_status status, struct mix_error *err)
{
    errno = 0;
    if ((fflush(stdout) != 0 || ferror(stdout)) && (status == MIX_OK || status == MIX_EIO)) {
        const struct mix_error first = *err;
        /* An earlier write has failed: the next one tells why. */
        if (errno == 0 && write(STDOUT_FILENO, "\n", 1) == 1)
            errno = EIO;
        status = mix_fail(err, MIX_EIO, "cannot write to standard output: %s%s%.500s",
                          strerror(errno), first.text[0] != '\0' ? "; " : ".", first.text);
    }
    if (status != MIX_OK && !(status == MIX_EIO && reader_has_gone()))
        print_error(verb, status, err);
    return status;
}

static enum mix_status run_verb(const struct cli_verb *verb, int argc, char **argv,
                                struct mix_error *err)
{
    struct mix_ranks *ranks = NULL;
    enum mix_status status = mix_ranks_create(&argc, &argv, &ranks, err);
    const int rank = mix_ranks_rank(ranks);
    if (status == MIX_OK && rank != 0 && freopen("/dev/null", "w", stdout) == NULL)
        status = mix_fail(err, MIX_EIO, "cannot open /dev/null: %s.", strerror(errno));
    if (ranks != NULL)
        status = mix_ranks_agree(ranks, status, err);
    if (status == MIX_OK)
        status = verb->run(ranks, argc, argv, err);
    /* Before the ranks part: a launcher ends all of them when the first exits with a failure. */
    if (rank == 0)
        status = close_output(verb->name, status, err);
    mix_ranks_destroy(ranks);
    return status;
}

/* Words that are not a verb. */
static enum mix_status run_program(int argc, char **argv, struct mix_error *err)
{
    if (argc < 2)
        return mix_fail(err, MIX_EUSAGE, "which verb?");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0)
        print_help();
    else if (strcmp(argv[1], "--version") == 0)
        printf("mixsweep %s (commit %s)\n", MIX_VERSION, MIX_COMMIT);
    else
        return mix_fail(err, MIX_EUSAGE, "there is no option %s before a verb.", argv[1]);
    return MIX_OK;
}

int main(int argc, char **argv)
{
    struct mix_error err = {.text = ""};
    const struct cli_verb *verb = NULL;
    enum mix_status status = MIX_OK;

    occupy_standard_descriptors();
    gsl_set_error_handler_off();
    signal(SIGPIPE, SIG_IGN); /* a reader that goes away is a write error, not the end of a sweep */
    signal(SIGXFSZ, SIG_IGN); /* so is a file beyond the limit on its size */
    mix_signals_install();

    const bool is_verb = argc >= 2 && argv[1][0] != '-' && strcmp(argv[1], "help") != 0;
    if (is_verb)
        status = find_verb(argv[1], &verb, &err);
    if (verb != NULL && verb->ranks)
        return mix_status_exit(run_verb(verb, argc - 1, argv + 1, &err));
    if (launched_rank() != 0)
        return 0; /* the first rank's process does it, and says how it ended */
    if (verb != NULL)
        status = verb->run(NULL, argc - 1, argv + 1, &err);
    else if (!is_verb)
        status = run_program(argc, argv, &err);
    return mix_status_exit(close_output(verb != NULL ? verb->name : "", status, &err));
}
