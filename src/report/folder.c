/* SPDX-License-Identifier: GPL-3.0-or-later */
/* folder.c - see folder.h. A report is known by the list of its files, .mixsweep-report; nothing
 * else in a folder is touched. */
#include "report/folder.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char MARK[] = ".mixsweep-report";
static const char MARK_HEAD[] = "mixsweep report: files that the next one may replace\n";

static enum mix_status fail_with(const char *what, const char *path, struct mix_error *err)
{
    return mix_fail(err, MIX_EIO, "cannot %s %s: %s.", what, path, strerror(errno));
}

static bool is_ours(const char *dir)
{
    char path[FOLDER_MAX + 64], line[sizeof MARK_HEAD + 1] = "";
    snprintf(path, sizeof path, "%s/%s", dir, MARK);
    FILE *mark = fopen(path, "r");
    if (mark == NULL)
        return false;
    const bool ours = fgets(line, sizeof line, mark) != NULL && strcmp(line, MARK_HEAD) == 0;
    fclose(mark);
    return ours;
}

/* Nothing in it but working folders that a killed report left. */
static bool is_empty(const char *dir)
{
    bool empty = true;
    DIR *folder = opendir(dir);
    if (folder == NULL)
        return false;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        empty = empty && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
                          strncmp(entry->d_name, ".work-", 6) == 0);
    closedir(folder);
    return empty;
}

enum mix_status folder_open(const char *dir, bool force, struct folder *folder,
                            struct mix_error *err)
{
    struct stat found;
    size_t length = strlen(dir);
    while (length > 1 && dir[length - 1] == '/')
        length--;
    if (length == 0 || length >= FOLDER_MAX)
        return mix_fail(err, MIX_EINVAL, "\"%.60s\" is no name for a folder.", dir);
    *folder = (struct folder){.made = false};
    memcpy(folder->dir, dir, length);
    if (mkdir(folder->dir, 0777) == 0)
        folder->made = true;
    else if (errno != EEXIST)
        return fail_with("make the folder", folder->dir, err);
    if (stat(folder->dir, &found) != 0 || !S_ISDIR(found.st_mode))
        return mix_fail(err, MIX_EEXIST, "%s is no folder; give -o the name of one.", folder->dir);
    if (!folder->made && !force && !is_ours(folder->dir) && !is_empty(folder->dir))
        return mix_fail(err, MIX_EEXIST,
                        "%s has other things in it and no report of mixsweep; --force adds one.",
                        folder->dir);
    snprintf(folder->work, sizeof folder->work, "%s/.work-%ld", folder->dir, (long)getpid());
    if (mkdir(folder->work, 0777) == 0)
        return MIX_OK;
    const enum mix_status status = fail_with("make the folder", folder->work, err);
    if (folder->made)
        rmdir(folder->dir);
    return status;
}

static bool is_new(const char *name, size_t n_figures, const struct figure *figures)
{
    const size_t stem = strcspn(name, ".");
    for (size_t i = 0; i < n_figures; i++)
        if (figures[i].why == NULL && strlen(figures[i].name) == stem &&
            strncmp(figures[i].name, name, stem) == 0)
            return true;
    return false;
}

/* Figures that the report before had and this one has not. The list is a file that anybody may have
 * written: only names of figures count. */
static void remove_old(const struct folder *folder, size_t n_figures, const struct figure *figures)
{
    char path[FOLDER_MAX + 160], line[128];
    snprintf(path, sizeof path, "%s/%s", folder->dir, MARK);
    FILE *mark = is_ours(folder->dir) ? fopen(path, "r") : NULL;
    while (mark != NULL && fgets(line, sizeof line, mark) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        const size_t stem = strspn(line, "abcdefghijklmnopqrstuvwxyz0123456789-");
        const bool figure = strcmp(line + stem, ".svg") == 0 || strcmp(line + stem, ".png") == 0;
        if (stem == 0 || !figure || is_new(line, n_figures, figures))
            continue;
        snprintf(path, sizeof path, "%s/%s", folder->dir, line);
        unlink(path);
    }
    if (mark != NULL)
        fclose(mark);
}

static enum mix_status write_mark(const struct folder *folder, size_t n_figures,
                                  const struct figure *figures, struct mix_error *err)
{
    char path[sizeof folder->work + 64];
    snprintf(path, sizeof path, "%s/%s", folder->work, MARK);
    FILE *mark = fopen(path, "w");
    if (mark == NULL)
        return fail_with("write", path, err);
    fputs(MARK_HEAD, mark);
    for (size_t i = 0; i < n_figures; i++)
        if (figures[i].why == NULL)
            fprintf(mark, "%s.svg\n%s.png\n", figures[i].name, figures[i].name);
    const bool bad = ferror(mark) != 0;
    if (fclose(mark) != 0 || bad)
        return fail_with("write", path, err);
    return MIX_OK;
}

static enum mix_status move(const struct folder *folder, const char *name, const char *ending,
                            struct mix_error *err)
{
    char from[sizeof folder->work + MIX_NAME_MAX + 16], to[FOLDER_MAX + MIX_NAME_MAX + 16];
    snprintf(from, sizeof from, "%s/%s%s", folder->work, name, ending);
    snprintf(to, sizeof to, "%s/%s%s", folder->dir, name, ending);
    return rename(from, to) == 0 ? MIX_OK : fail_with("write", to, err);
}

enum mix_status folder_publish(const struct folder *folder, size_t n_figures,
                               const struct figure *figures, struct mix_error *err)
{
    enum mix_status status = write_mark(folder, n_figures, figures, err);
    for (size_t i = 0; i < n_figures && status == MIX_OK; i++) {
        if (figures[i].why != NULL)
            continue;
        status = move(folder, figures[i].name, ".svg", err);
        if (status == MIX_OK)
            status = move(folder, figures[i].name, ".png", err);
    }
    if (status != MIX_OK)
        return status;
    remove_old(folder, n_figures, figures);
    status = move(folder, MARK, "", err);
    return status == MIX_OK ? move(folder, "index.html", "", err) : status;
}

static void remove_content(const char *dir)
{
    char path[sizeof((struct folder *)NULL)->work + 280];
    DIR *folder = opendir(dir);
    if (folder == NULL)
        return;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        unlink(path);
    }
    closedir(folder);
}

void folder_close(struct folder *folder)
{
    remove_content(folder->work);
    rmdir(folder->work);
    if (folder->made)
        rmdir(folder->dir); /* fails where the report is in it */
}
