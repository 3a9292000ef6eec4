/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as a job file: refused with a sentence, or a job whose design can be made. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/job.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mix_error err = {.text = ""};
    struct mix_job *job = NULL;
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    const enum mix_status status = mix_job_parse("fuzz.yaml", text, &job, &err);
    free(text);
    if ((status == MIX_OK) != (job != NULL) || (status != MIX_OK && !err.text[0]))
        abort();
    if (job && job->n_mixtures * job->n_domains <= 1000) {
        double *mixtures = calloc(job->n_mixtures * job->n_domains, sizeof *mixtures);
        if (mixtures)
            mix_job_design(job, mixtures, &err);
        free(mixtures);
    }
    mix_job_destroy(job);
    return 0;
}
