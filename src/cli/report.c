/* SPDX-License-Identifier: GPL-3.0-or-later */
/* report.c - the verb report: a sweep file as a page to look at. */
#include "cli.h"

#include "mixsweep/report.h"

static enum mix_status run(struct mix_ranks *ranks, int argc, char **argv, struct mix_error *err)
{
    (void)ranks;
    const char *dir = NULL, *path = NULL;
    bool help = false, force = false;
    const struct cli_option options[] = {
        {"output", 'o', "DIR", "the folder to write; a report that is there is replaced", CLI_TEXT,
         &dir, 0, 0},
        {"force", 0, NULL, "also into a folder that has other files in it", CLI_FLAG, &force, 0, 0},
        {0},
    };
    enum mix_status status =
        cli_parse(&cli_verb_report, options, argc, argv, 1, 1, &path, &help, err);
    if (status != MIX_OK || help)
        return status;
    if (dir == NULL)
        return mix_fail(err, MIX_EUSAGE, "say where to: mixsweep report %s -o DIR.", path);
    struct mix_report report;
    const double began = cli_now_s();
    status = mix_report_write(path, dir, force, &report, err);
    if (status != MIX_OK)
        return status;
    char took[16];
    printf("report     %s/index.html   %zu figure%s in %zu section%s, %.1f MB   %s\n", dir,
           report.n_figures, report.n_figures == 1 ? "" : "s", report.n_sections,
           report.n_sections == 1 ? "" : "s", 1e-6 * (double)report.n_bytes,
           cli_duration(cli_now_s() - began, took));
    return MIX_OK;
}

const struct cli_verb cli_verb_report = {
    .name = "report",
    .summary = "write a page with figures and tables of what a sweep file holds",
    .synopsis = "S.h5 -o DIR [--force]",
    .details =
        "DIR/index.html is one page that needs nothing else: mail it, open it offline, on a\n"
        "phone, in light or dark. DIR/NAME.svg and DIR/NAME.png are its figures. It has a\n"
        "section for what the file has: optimum, fits, comparison, transfer, bootstrap, online,\n"
        "sweep, design, losses. Needs gnuplot. Runs on a login node, also while a job writes\n"
        "the file.\n\n"
        "  mixsweep report sweep.h5 -o report\n",
    .run = run,
};
