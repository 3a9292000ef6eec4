/* SPDX-License-Identifier: GPL-3.0-or-later */
/* budget_print.c - where the error of a predicted mean loss comes from, for the verbs that predict.
 */
#include "cli.h"

#include <jansson.h>
#include <math.h>

#include "mixsweep/interval.h"

static void print_part(FILE *out, const char *name, double sd, const char *unknown)
{
    if (isfinite(sd))
        fprintf(out, fabs(sd) < 1e4 ? "    %-22s %.4f\n" : "    %-22s %.1e\n", name, sd);
    else
        fprintf(out, "    %-22s %s\n", name, unknown);
}

/* A 0 beyond the fitted scales says that no error was seen, not that there is none. */
static void print_scale(FILE *out, const struct mix_error_budget *b)
{
    char text[128];
    if (b->blind != 0) {
        snprintf(text, sizeof text, "not known: the law does not depend on %s",
                 cli_blind_text(b->blind));
        print_part(out, "extrapolation", NAN, text);
    } else if (!isfinite(b->scale)) {
        print_part(out, "extrapolation", NAN,
                   "not known: no held-out size was tested; bootstrap measures it from three "
                   "sizes on");
    } else if (b->scale > 0.0 || b->reach == 0.0) {
        print_part(out, "extrapolation", b->scale, "");
    } else {
        snprintf(text, sizeof text,
                 "not told apart from noise, in %zu step%s of the rolling origin", b->n_origins,
                 b->n_origins == 1 ? "" : "s");
        print_part(out, "extrapolation", NAN,
                   b->n_origins > 0 ? text : "not told apart from noise, on one held-out size");
    }
}

const char *cli_blind_text(unsigned blind)
{
    static const char *const texts[] = {"", "size", "tokens", "size or tokens"};
    return texts[blind & 3u];
}

void cli_print_budget(FILE *out, const struct mix_error_budget *b)
{
    fprintf(out, "  error of the mean loss of a run there, as standard deviations:\n");
    print_part(out, "resampled mixtures", b->resampling, "not known: no bootstrap");
    print_part(out, "seed noise", b->seed, "not measured: no mixture was run twice at one scale");
    print_part(out, isfinite(b->seed) ? "lack of fit" : "seed noise and fit", b->fit,
               "not known: no bootstrap, or too few runs");
    print_part(out, "choice of law", b->law, "not known: one fit");
    print_scale(out, b);
    print_part(out, "all that is known", b->total, "nothing");
    if (isfinite(b->reach) && b->reach > 1.5)
        fprintf(
            out,
            "  warning: the target is %.1f times as far (in log size and tokens) as the law was "
            "tested\n",
            b->reach);
}

json_t *cli_json_budget(const struct mix_error_budget *b)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:s, s:I}", "resampling",
                     cli_json_number(b->resampling), "seed", cli_json_number(b->seed), "fit",
                     cli_json_number(b->fit), "law", cli_json_number(b->law), "scale",
                     cli_json_number(b->scale), "total", cli_json_number(b->total), "reach",
                     cli_json_number(b->reach), "replicates", (json_int_t)b->n_replicates, "laws",
                     (json_int_t)b->n_laws, "law_weights", b->stacked ? "stack" : "mse", "origins",
                     (json_int_t)b->n_origins);
}
