/* SPDX-License-Identifier: GPL-3.0-or-later */
/* child.h - child processes: commands of proxy runs, external trainers, gnuplot.
 *
 * Started by posix_spawn (never fork: a rank may hold gigabytes), each in its own process group, so
 * that a signal reaches all it started. A child's end is seen through a descriptor that can be
 * polled, without SIGCHLD, which belongs to whoever runs the MPI library.
 */
#ifndef MIXSWEEP_CHILD_H
#define MIXSWEEP_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mixsweep/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** An environment under construction: name=value strings. Opaque. */
struct mix_environment;

/**
 * A copy of this process's environment without what would make an MPI program, srun or another
 * mpirun fail in a child: OMPI_*, PMIX_*, PMI_*, PRTE_*, ORTE_*, SRUN_* and the step's SLURM_
 * variables. What describes the job stays (SLURM_JOB_ID, SLURM_JOB_NODELIST, SLURM_ARRAY_* ...),
 * and so do the Open MPI parameters that are the user's own. What srun would take as an option of
 * each of its steps goes (SLURM_NTASKS, SLURM_MEM_PER_NODE, SLURM_GPUS, SLURM_EXACT ...). Open
 * MPI's mpirun is told, where the user has not, to use its own node and not to bind.
 *
 * @param scrub  false: everything is copied
 * @return MIX_OK; MIX_ENOMEM
 */
enum mix_status mix_environment_create(bool scrub, struct mix_environment **out,
                                       struct mix_error *err);
void mix_environment_destroy(struct mix_environment *environment);
/** Set a variable; an earlier value is replaced. MIX_EINVAL where the name is empty or has a `=`.
 */
enum mix_status mix_environment_set(struct mix_environment *environment, const char *name,
                                    const char *value, struct mix_error *err);
enum mix_status mix_environment_copy(const struct mix_environment *from,
                                     struct mix_environment **out, struct mix_error *err);

/** What to start. Strings are borrowed during the call only. */
struct mix_child_spec {
    /* Ended by NULL. argv[0] is looked up in the PATH of `environment`; with a slash in it, it is a
     * path from `dir`. */
    const char *const *argv;
    const struct mix_environment *environment; /* NULL = this process's, scrubbed */
    const char *dir;                           /* working folder; NULL = ours */
    const char *stdin_path;                    /* from our folder; NULL = /dev/null */
    const char *stdout_path;                   /* made or appended to; NULL = /dev/null */
    const char *stderr_path;
    bool pipes;      /* stdin and stdout are pipes instead, see mix_child_stdin() */
    bool own_stderr; /* stderr is ours, whatever stderr_path says */
    /* The file of stderr_path is locked (flock) as long as the child, or what it started, has it:
     * one that outlives its parent is not joined by another. */
    bool claims_stderr;
};

struct mix_child;

/**
 * Start a child. Local. It gets nothing of this process but its limits, user and CPUs: no other
 * descriptor, no signal blocked or ignored, and /dev/null where no file is named.
 *
 * @return MIX_OK; MIX_ENOTFOUND no such program, or not executable (sentence names it); MIX_ELOCKED
 * another child has claimed the file (see mix_child_claimed()); MIX_EIO no process, no folder, no
 * file; MIX_ENOMEM
 */
enum mix_status mix_child_start(const struct mix_child_spec *spec, struct mix_child **out,
                                struct mix_error *err);

/** Whether a child that is alive claims the file. False also where the file system has no locks. */
bool mix_child_claimed(const char *path);

/** How a child ended. */
struct mix_child_end {
    int exit_code; /* 0 … 255, or -1 where a signal ended it */
    int signal;    /* that ended it, or 0 (also where somebody else has taken its exit code) */
    double wall_s; /* until its end was seen */
    double user_s, system_s; /* of the child and what it waited for */
    size_t max_rss_bytes;
};

/** True once the child has ended (then `end` is filled); never waits. */
bool mix_child_ended(struct mix_child *child, struct mix_child_end *end);

/** Send a signal to the child's whole process group (what is left of it, too, after its end). srun
 * takes SIGTERM as "kill at once" and hands SIGUSR1 and SIGUSR2 on to its step. */
void mix_child_signal(struct mix_child *child, int number);

/** For poll(2): readable when the child has ended; -1 where the kernel has no such descriptor (then
 * look every few ms). */
int mix_child_descriptor(const struct mix_child *child);

/** The pipes of a child started with `pipes`: write end of its stdin, read end of its stdout;
 * non-blocking, close-on-exec. -1 otherwise. A write to a child that has gone is EPIPE in mixsweep,
 * which ignores SIGPIPE. */
int mix_child_stdin(const struct mix_child *child);
int mix_child_stdout(const struct mix_child *child);
void mix_child_close_stdin(struct mix_child *child);

/** Kill what lives of the group, reap, free. NULL is fine. */
void mix_child_destroy(struct mix_child *child);

/** A process that ends our children when we are killed and cannot: outside a batch system they
 * would run on, and a resumed sweep would start beside them in the same folder. Opaque. */
struct mix_guard;

/**
 * Start a guard. Local. Once this process is gone it sends SIGTERM to all processes of this node
 * that carry the mark, and to their groups, and SIGKILL after the grace.
 *
 * @param grace_s  between the two
 * @return MIX_OK; as mix_child_start()
 */
enum mix_status mix_guard_create(double grace_s, struct mix_guard **out, struct mix_error *err);
/** Put the mark into the environment of a child to be. */
enum mix_status mix_guard_mark(const struct mix_guard *guard, struct mix_environment *environment,
                               struct mix_error *err);
/** The guard goes; marked children stay as they are. NULL is fine. */
void mix_guard_destroy(struct mix_guard *guard);

/** The CPUs that children may use: mpirun binds a rank to one core unless it is told otherwise, and
 * all children of the rank would share that core. Where mpirun (Open MPI 4) bound this process and
 * nobody asked for it, the calling thread and the children it starts may from now on use the CPUs
 * of mpirun itself, which are the job's on this node. A binding asked for (--bind-to, PE=n) and
 * srun's stay. Returns the number of CPUs now allowed. */
int mix_child_widen_affinity(void);

#ifdef __cplusplus
}
#endif
#endif
