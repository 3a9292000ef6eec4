/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cli.h - what the verbs of the program share: option tables, errors, tables on the terminal.
 * Private to src/cli/.
 *
 * A verb is one file and one line in the table of main.c. It declares its options in a table; the
 * table parses the command line and prints --help, so the two cannot differ.
 */
#ifndef MIXSWEEP_CLI_H
#define MIXSWEEP_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "mixsweep/fit.h"
#include "mixsweep/optimum.h"
#include "mixsweep/status.h"
#include "mixsweep/store.h"
#include "mixsweep/sweep.h"
#include "mixsweep/task.h"

enum cli_kind {
    CLI_FLAG,      /* bool: set to true */
    CLI_TEXT,      /* const char * */
    CLI_TEXT_LIST, /* struct cli_list: may be given again */
    CLI_NUMBER,    /* double: finite, >= min, <= max; 7e9, 1.3e9 */
    CLI_COUNT,     /* size_t: whole number >= min, <= max; 1e3 and 1000 are both fine */
    CLI_SEED       /* uint64_t */
};

enum { CLI_LIST_MAX = 64 };
struct cli_list {
    const char *item[CLI_LIST_MAX];
    size_t n;
};

/** One option of a verb. The table ends with an entry whose name is NULL. */
struct cli_option {
    const char *name;  /* without the dashes: "holdout" */
    char letter;       /* 'o' for -o, or 0 */
    const char *value; /* name of the value in --help: "FILE"; NULL for flags */
    const char *help;  /* one line; says the default */
    enum cli_kind kind;
    void *target;
    double min, max; /* CLI_NUMBER, CLI_COUNT: allowed range; both 0 = any */
};

/** A verb. */
struct cli_verb {
    const char *name;
    const char *summary;  /* one line for `mixsweep --help` */
    const char *synopsis; /* "S.h5 --law LAW [OPTIONS]" */
    const char *details;  /* paragraphs for `mixsweep VERB --help`, with an example; may be NULL */
    bool ranks;           /* true: runs under mpirun (main starts MPI where it was launched so) */
    /** Do it. `ranks` is NULL for verbs that run in one process. Status and sentence go to main. */
    enum mix_status (*run)(struct mix_ranks *ranks, int argc, char **argv, struct mix_error *err);
};

/** The verbs of the program; main.c lists them. */
extern const struct cli_verb cli_verb_import, cli_verb_export, cli_verb_fit, cli_verb_bootstrap,
    cli_verb_predict, cli_verb_compare, cli_verb_optimum, cli_verb_run, cli_verb_plan,
    cli_verb_status, cli_verb_sweep, cli_verb_confirm, cli_verb_merge, cli_verb_exclude,
    cli_verb_retry, cli_verb_record, cli_verb_next, cli_verb_report, cli_verb_online,
    cli_verb_domains, cli_verb_agent;

/**
 * Parse argv[1..] of a verb by its option table. Long options take "--name value" and
 * "--name=value"; "--" ends options; words are positional. An option that was not given leaves its
 * target untouched. `--help` prints the help of the verb and sets *help (the verb then returns
 * MIX_OK at once).
 *
 * @param verb      the verb, for help and messages
 * @param options   its table
 * @param min_words least number of positional words
 * @param max_words largest
 * @param words     (max_words) out: the words, NULL where not given
 * @param help      out: true where --help was given
 * @return MIX_OK; MIX_EUSAGE unknown option (sentence offers the nearest name), missing value, bad
 * number (names option, value and range), too few or too many words
 */
enum mix_status cli_parse(const struct cli_verb *verb, const struct cli_option *options, int argc,
                          char **argv, size_t min_words, size_t max_words, const char **words,
                          bool *help, struct mix_error *err);

/** Print a text of --help that begins in column `indent`, where its further lines begin too. */
void cli_print_wrapped(const char *text, size_t indent);

/** The name nearest to a mistyped word (or the first that begins with it), NULL where none is near.
 */
const char *cli_nearest(const char *word, const char *const *names, size_t n_names);

/** Parse "code=2" into name and number. MIX_EUSAGE names option and text. */
enum mix_status cli_parse_assignment(const char *option, const char *text, char name[MIX_NAME_MAX],
                                     double *value, struct mix_error *err);

/** "--checkpoints": last (NULL too) or all. MIX_EUSAGE otherwise. */
enum mix_status cli_parse_checkpoints(const char *text, enum mix_checkpoints *out,
                                      struct mix_error *err);

struct mix_store;
struct mix_job;

/** The word compare of the verb agent; argv[0] is the word. */
enum mix_status cli_agent_compare(struct mix_ranks *ranks, int argc, char **argv,
                                  struct mix_error *err);

/**
 * Write a task file and a batch script for each run of a job that its file does not have, all or
 * none; nothing is overwritten. A file that is not there is made, with the job and no runs. The
 * runs that the file says were chosen are among them; those of a round that is given are the job's
 * already.
 *
 * @param job_path   NULL = there is no job file
 * @param round      only the runs chosen in this round; 0 = all
 * @param folder     made where it is not there
 * @param n_written  out: runs
 * @return MIX_OK; MIX_EEXIST one of the files is there; MIX_EIO; MIX_ENOMEM
 */
enum mix_status cli_emit(struct mix_job *job, const char *job_path, int round, const char *folder,
                         size_t *n_written, struct mix_error *err);

/** The line of the stage fit. */
void cli_print_fit(FILE *out, const struct mix_fit *fit, double wall_s);

/** "--format": text or json (default text). MIX_EUSAGE otherwise. */
enum mix_status cli_parse_format(const char *text, bool *json, struct mix_error *err);

/** "--stop-before": "300s", "5m", "1h" or "90" in seconds; "none" is NaN; NULL changes nothing. */
enum mix_status cli_parse_margin(const char *text, double *seconds, struct mix_error *err);

/** A table on stdout: columns aligned (first left, the rest right), two spaces between, UTF-8
 * aware. */
struct cli_table;
struct cli_table *cli_table_create(size_t n_columns);
void cli_table_cell(struct cli_table *table, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void cli_table_print(struct cli_table *table, FILE *out, const char *indent);
void cli_table_destroy(struct cli_table *table);

/** "1.3B", "122M", "9.998B", "500k": sizes for people, at most 4 digits. `text` has 16 bytes. */
const char *cli_size(double value, char text[16]);
/** Seconds of a clock that only goes forward. */
double cli_now_s(void);
/** "1m48s", "0.4s". */
const char *cli_duration(double seconds, char text[16]);

/** Progress of a stage on stderr: a bar with rate and time left on a terminal, a line a minute
 * elsewhere. Use as mix_progress_fn with a struct cli_progress as context; zero-initialise but for
 * `stage` and `unit`. */
struct cli_progress {
    const char *stage;       /* "bootstrap" */
    const char *unit;        /* "draws" */
    struct mix_store *store; /* whose lock is kept alive; NULL = none */
    size_t n_before;         /* of a sweep: runs that were over when it began */
    double last_line_s;
    bool drawn;
};
void cli_progress(void *context, size_t n_done, size_t n_total, double elapsed_s);
/** The same of a sweep, with what runs, what failed and the best so far. */
void cli_sweep_progress(void *context, const struct mix_sweep_progress *sweep);
/** Remove the bar, so that the line of the stage takes its place. */
void cli_progress_clear(struct cli_progress *progress);

/** Numbers in JSON output: NaN and infinities are null. (Jansson) */
struct json_t;
struct json_t *cli_json_number(double value);

/** Refuse a word of an option that is none of the (n) names: MIX_EUSAGE, '--weight "mth=2": the fit
 * has no target mth; did you mean math? It has code, math.' At most 8 names are listed. */
enum mix_status cli_unknown_name(const char *option, const char *text, const char *holder,
                                 const char *kind, const char *name,
                                 const char (*names)[MIX_NAME_MAX], size_t n,
                                 struct mix_error *err);
/** The same of a result: `group` as mix_store_list() has it, `kind` for the sentence. MIX_ENOTFOUND
 * where the file has none of that kind. */
enum mix_status cli_unknown_result(struct mix_store *store, const char *option, const char *group,
                                   const char *kind, const char *name, struct mix_error *err);
/** The name of the only result of a group, empty where it has none; of several, `kinds` in the
 * sentence, MIX_EUSAGE. */
enum mix_status cli_only_result(struct mix_store *store, const char *option, const char *group,
                                const char *kinds, char name[MIX_NAME_MAX], struct mix_error *err);
/** Refuse what cannot name a new result: MIX_EUSAGE. */
enum mix_status cli_check_name(const char *option, const char *name, struct mix_error *err);

/**
 * Read a fit and its bootstrap draws for a verb that asks a fit.
 *
 * @param name   as --fit gives it; NULL = the only fit of the file
 * @param draws  out: NULL where there is no bootstrap
 * @return MIX_OK; MIX_EUSAGE no name and several fits, or none of that name (sentence lists them);
 * MIX_ENOTFOUND there is no fit
 */
enum mix_status cli_read_fit(struct mix_store *store, const char *name, struct mix_fit **fit,
                             struct mix_draws **draws, struct mix_error *err);

/** "a=.3,b=.7" into a mixture (K); domains that are not named have no share. */
enum mix_status cli_parse_mixture(const char *option, const char *text, size_t n_domains,
                                  const char (*domains)[MIX_NAME_MAX], double *mixture,
                                  struct mix_error *err);
/** The same from a file of `domain,share` or `domain: share` lines, or of a JSON object. */
enum mix_status cli_read_mixture(const char *path, size_t n_domains,
                                 const char (*domains)[MIX_NAME_MAX], double *mixture,
                                 struct mix_error *err);

/** An optimum of a file as the verbs optimum and run print it; `fit` is the one it is of. */
void cli_print_optimum(FILE *out, const char *path, const struct mix_fit *fit,
                       const struct mix_optimum *optimum);
/** What is said behind the name of a target: of a score that it is one, else "". */
const char *cli_score_text(const struct mix_fit *fit, size_t target);
/** Heading of a column with the losses and scores of a fit's targets. */
const char *cli_loss_heading(const struct mix_fit *fit);
/** Several optima (n) of one fit side by side, with what each costs by the objectives of the
 * others.
 */
void cli_print_optima(FILE *out, size_t n, struct mix_optimum *const *optima,
                      const struct mix_trade_off *trade_off);
struct json_t *cli_json_trade_off(size_t n, struct mix_optimum *const *optima,
                                  const struct mix_trade_off *trade_off);
/** A share with three digits that mean something; "–" where not known. */
const char *cli_share_text(double share, char text[80]);
void cli_print_optimum_csv(FILE *out, const struct mix_optimum *optimum);
struct json_t *cli_json_optimum(const struct mix_optimum *optimum); /* NULL: a name is not UTF-8 */
/** Refuse a word that is no form of cli_export_optimum(); NULL is fine. */
enum mix_status cli_check_trainer(const char *form, struct mix_error *err);
/**
 * Write the mixture of an optimum (that on its lattice where it has one) as a trainer reads it:
 * "olmo-yaml", "megatron", "nanotron" or "json". The decimals sum to 1 exactly and keep floors and
 * limits.
 */
enum mix_status cli_export_optimum(const struct mix_optimum *optimum, const char *form, FILE *out,
                                   struct mix_error *err);
/** "2.1755 … 2.2035"; "–" where there are no ends. */
const char *cli_loss_range(struct mix_interval interval, char text[80]);
/** The lines of a figure ("mean loss") with its intervals, the wide one with the error of
 * extrapolation (`whole`) or without. */
void cli_print_figure(FILE *out, const char *name, struct mix_interval resampling,
                      struct mix_interval wide, bool whole);
/** The error budget of a mean loss as lines and as JSON. */
struct mix_error_budget;
void cli_print_budget(FILE *out, const struct mix_error_budget *budget);
struct json_t *cli_json_budget(const struct mix_error_budget *budget);
/** "size", "tokens", "size or tokens": bits of mix_fit_blind(). */
const char *cli_blind_text(unsigned blind);
void cli_print_warnings(FILE *out, const char *warnings);

/** A confirmation as the verbs confirm and run print it. */
struct mix_confirmation;
void cli_print_confirmation(FILE *out, const struct mix_confirmation *confirmation);
struct json_t *cli_json_confirmation(const struct mix_confirmation *confirmation);

/** An allocation as the verb next prints it. */
struct mix_allocation;
void cli_print_allocation(FILE *out, const struct mix_allocation *allocation);
struct json_t *cli_json_allocation(const struct mix_allocation *allocation);

/** The file that -o names, while it is written. */
struct cli_output {
    FILE *file;       /* write here */
    const char *path; /* as the user gave it; borrowed */
    char *target;     /* the file to replace: `path` with its links followed */
    char *temporary;  /* its name until it is whole; NULL = written as it is */
};
/**
 * Open the file of -o. What exists is replaced with `force` only, and never where it is one of the
 * inputs. Devices, pipes and our own stdout are written to as they are.
 *
 * @param inputs  (n_inputs) files that the verb reads
 * @return MIX_OK, then cli_output_close() is due; MIX_EEXIST; MIX_EINVAL a folder; MIX_EIO
 */
enum mix_status cli_output_open(struct cli_output *output, const char *path, bool force,
                                size_t n_inputs, const char *const *inputs, struct mix_error *err);
/** Put the file in its place where `status` is MIX_OK, else drop it. Returns `status`, or MIX_EIO.
 */
enum mix_status cli_output_close(struct cli_output *output, enum mix_status status,
                                 struct mix_error *err);
/** Collective. Read a job file on rank 0, parse it on all. MIX_EINVAL without its section, "online"
 * or "agent". The job is the caller's, also after a failure, where it may be NULL. */
enum mix_status cli_read_job(struct mix_ranks *ranks, const char *path, const char *section,
                             struct mix_job **out, struct mix_error *err);

/** MIX_EINVAL "PATH is a folder" where it is one. */
enum mix_status cli_refuse_folder(const char *path, struct mix_error *err);
/** What -o of an HDF5 file must not name: a folder, a device, one of the `inputs`, and without
 * `force` what is there. MIX_EINVAL or MIX_EEXIST. */
enum mix_status cli_refuse_output(const char *path, bool force, size_t n_inputs,
                                  const char *const *inputs, struct mix_error *err);

/** A JSON value as block YAML; `depth` 0. */
void cli_print_yaml(FILE *out, struct json_t *value, int depth);
/** A CSV cell: text quoted where needed; digits that bring the number back; NaN empty. */
void cli_csv_text(FILE *out, const char *text);
void cli_csv_number(FILE *out, double value);
/** More JSON: {value, lo, hi}; an array of the lines of a text; {name: value}. */
struct json_t *cli_json_interval(struct mix_interval interval);
/** {value, lo, hi}, and wide_lo, wide_hi, bca_lo, bca_hi of those that are not NULL. */
struct json_t *cli_json_intervals(struct mix_interval draws, const struct mix_interval *wide,
                                  const struct mix_interval *bca);
struct json_t *cli_json_lines(const char *text);
struct json_t *cli_json_by_name(size_t n, const char (*names)[MIX_NAME_MAX], const double *values);

#endif
