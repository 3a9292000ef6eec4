/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as a record log, and any record of it as a packed run. (libFuzzer) */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mixsweep/log.h"
#include "mixsweep/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum mix_status unpack(void *context, enum mix_log_kind kind, const void *head,
                              size_t n_head, const void *body, size_t n_body, struct mix_error *err)
{
    struct mix_table *table = context;
    bool added = false;
    (void)kind;
    (void)head;
    (void)n_head;
    (void)mix_store_run_unpack(table, body, n_body, &added, err);
    return MIX_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char dir[64], file[96];
    const char *const base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(dir, sizeof dir, "%s/fuzz_log.%ld", base, (long)getpid());
    snprintf(file, sizeof file, "%s/rank-0000", dir);
    mkdir(dir, 0700);
    const int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    close(fd);
    struct mix_table *table = mix_table_create(2, 1);
    if (table == NULL)
        abort();
    size_t n_bad = 0;
    if (mix_log_read(dir, unpack, table, &n_bad, NULL) != MIX_OK)
        abort();
    unpack(table, MIX_LOG_RUN, NULL, 0, data, size, NULL); /* no CRC in the way */
    mix_table_destroy(table);
    mix_log_remove(dir, NULL);
    return 0;
}
