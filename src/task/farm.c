/* SPDX-License-Identifier: GPL-3.0-or-later */
/* farm.c - a stage of tasks that are waited for, over the ranks.
 *
 * Rank 0 (the leader) packs; it and all others look after children. All of it is point to point:
 *
 *     leader -> worker  START    a task and its places
 *                       STOP     the stage ends: tell the children; at most once
 *                       RELEASE  nothing more comes; the last message to the worker
 *     worker -> leader  ENDED    what became of a task, its record being in the log; answers START
 *                       SIGNAL   a signal came; at most once
 *                       GOODBYE  answers RELEASE; the last message of the worker
 *
 * The leader gives its own tasks to itself without a message.
 *
 * Why it ends: every START is answered by one ENDED, because check() ends every run, at once or
 * within its grace once the stage stops. The leader stops starting when nothing is left, when
 * nothing that is left can start before stop_s, after a signal or after a failure. When then
 * nothing runs, all ENDEDs are in; it sends RELEASE to each worker and reads until it has each
 * GOODBYE. Messages from one rank to another keep their order, so none is under way at that point.
 * Nobody waits for a message to be taken while others wait for him: a worker never waits for its
 * ENDEDs to be read, and takes whatever is sent to it between two looks, so the leader may wait for
 * an order to be taken before it writes the next one to the same worker.
 *
 * A look costs microseconds: two probes for messages and a poll of the children's descriptors. The
 * pause between looks doubles from 20 us to 10 ms as long as nothing happens, so a child of a
 * millisecond is seen in time, and a child of an hour costs 0.2 % of a core. A rank that is alone
 * has no messages to look for: what its children's descriptors say wakes it.
 *
 * A rank that is lost ends the job, by MPI's fatal handler or by the launcher: the other ranks get
 * SIGTERM (Open MPI: SIGKILL a second later), tell their children to stop, and what is in a log
 * stays. Children of a rank that is killed by SIGKILL are ended by its guard (child.h).
 */
#define _GNU_SOURCE /* ppoll() */
#include "mixsweep/farm.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "task/internal.h"

static const double NAP_LONGEST_S = 0.01;
static const double NAP_SHORTEST_S = 2e-5;
static const double PROGRESS_S = 0.1;

/* A place where so many attempts in a row fail, while as many elsewhere do not, is set aside, each
 * time for twice as long: a broken node fails fast and would eat all tasks. */
enum { IN_A_ROW = 3 };
static const double ASIDE_SHORTEST_S = 60, ASIDE_LONGEST_S = 3600;

enum { TAG_TO_LEADER = 3, TAG_TO_WORKER = 4, YIELDS = 16, NAPS_MAX = 16 };

enum order_kind { START, STOP, RELEASE };
enum notice_kind { ENDED, SIGNAL, GOODBYE };

/* On the wire it is followed by the GPU masks and the places of the placement. */
struct order {
    enum order_kind kind;
    int n_places, index, attempt;
    uint64_t task;
};

struct notice {
    enum notice_kind kind;
    enum mix_attempt what;
    enum mix_status status; /* MIX_OK, or why the stage ends */
    bool failed;
    int place; /* that it ran on; -1 = on several */
    uint64_t task;
    double delay_s, objective;
    struct mix_error error;
};

/* A task that runs on this rank, then the notice of its end under way. */
struct child {
    void *run; /* NULL = has ended */
    double check_s;
    bool is_ready; /* its descriptor said so at the last look, and it runs on */
    struct notice notice;
    MPI_Request request;
};

struct worker {
    struct order *order; /* last one sent, must outlive the request */
    MPI_Request request;
    int n_running;
};

/* What the last attempts on a place were like. */
struct trouble {
    int n_failed;         /* in a row */
    size_t n_good_before; /* attempts that went well anywhere when the row began */
};

/* What rank 0 alone has. */
struct leader {
    struct mix_packer *packer;
    struct worker *workers;   /* (count) entry 0 counts rank 0's own tasks */
    struct trouble *troubles; /* (n_places) */
    int n_gone;
    size_t n_todo, n_finished, n_failed, n_good;
    bool has_released;
    const char *why;         /* the farm stopped before all was done */
    enum mix_status failure; /* MIX_OK = none yet */
    struct mix_error error;
    double progress_s; /* time of the last call */
};

/* What rank 0 tells all at the start. */
struct plan {
    uint64_t n_tasks;
    uint64_t n_places, log_dir_bytes, order_bytes;
    enum mix_log_kind log_kind;
};

/* A farm on one rank. */
struct hand {
    struct mix_ranks *ranks;
    const struct mix_farm *farm;
    struct plan plan;
    struct leader *leader;   /* NULL on workers */
    struct child **children; /* (n_children) that run, or whose notice is under way */
    struct pollfd *looks;    /* (n_children) */
    size_t n_children, size;
    struct child refusal; /* of a task for which there was no memory */
    struct order *order;  /* received */
    char *log_dir;
    struct mix_log *log; /* opened for the first record */
    bool stops, has_told;
    double start_s, stop_s;
    unsigned n_naps; /* since something happened */
};

static size_t order_bytes(size_t n_places)
{
    return sizeof(struct order) + n_places * (sizeof(uint64_t) + sizeof(int));
}

static struct mix_placement placement_of(struct order *order)
{
    uint64_t *gpus = (uint64_t *)(order + 1);
    return (struct mix_placement){.n_places = order->n_places,
                                  .gpus = gpus,
                                  .place = (int *)(gpus + order->n_places),
                                  .index = order->index,
                                  .attempt = order->attempt};
}

/* ---- rank 0: what it hears */

static void write_order(struct order *order, enum order_kind kind, size_t task,
                        const struct mix_placement *placement)
{
    *order = (struct order){.kind = kind, .task = task};
    if (placement == NULL)
        return;
    const size_t n = (size_t)placement->n_places;
    order->n_places = placement->n_places;
    order->index = placement->index;
    order->attempt = placement->attempt;
    uint64_t *gpus = (uint64_t *)(order + 1);
    memcpy(gpus, placement->gpus, n * sizeof *gpus);
    memcpy(gpus + n, placement->place, n * sizeof *placement->place);
}

static void send_order(struct hand *hand, int rank, enum order_kind kind, size_t task,
                       const struct mix_placement *placement)
{
    struct worker *worker = &hand->leader->workers[rank];
    mix_request_wait(&worker->request);
    write_order(worker->order, kind, task, placement);
    MPI_Isend(worker->order, (int)order_bytes((size_t)worker->order->n_places), MPI_BYTE, rank,
              TAG_TO_WORKER, hand->ranks->comm, &worker->request);
}

static void order_all(struct hand *hand, enum order_kind kind)
{
    for (int rank = 1; rank < mix_ranks_count(hand->ranks); rank++)
        send_order(hand, rank, kind, 0, NULL);
}

static void stop_farm(struct hand *hand, const char *why)
{
    if (hand->stops || hand->leader->has_released)
        return;
    hand->stops = true;
    hand->leader->why = why;
    order_all(hand, STOP);
}

static void fail_farm(struct hand *hand, enum mix_status status, const struct mix_error *error)
{
    struct leader *leader = hand->leader;
    if (leader->failure == MIX_OK && status != MIX_EINTERRUPTED) {
        leader->failure = status;
        leader->error = *error;
    }
    stop_farm(hand, "interrupted");
}

static void put_back(struct hand *hand, size_t task, double delay_s)
{
    const struct mix_farm *farm = hand->farm;
    struct mix_error error = {{0}};
    const double now_s = mix_clock_s();
    const enum mix_status status =
        mix_packer_add(hand->leader->packer, task, farm->class_of(farm->context, task),
                       delay_s > 0 ? now_s + delay_s : -INFINITY, &error);
    if (status != MIX_OK)
        fail_farm(hand, status, &error);
}

static void judge_place(struct leader *leader, int place, bool is_good)
{
    struct trouble *trouble = &leader->troubles[place];
    if (is_good) {
        trouble->n_failed = 0;
        leader->n_good++;
        return;
    }
    if (trouble->n_failed++ == 0)
        trouble->n_good_before = leader->n_good;
    const int n_more = trouble->n_failed - IN_A_ROW;
    if (n_more >= 0 && leader->n_good >= trouble->n_good_before + IN_A_ROW)
        mix_packer_set_aside(leader->packer, place,
                             mix_clock_s() +
                                 fmin(ldexp(ASIDE_SHORTEST_S, n_more), ASIDE_LONGEST_S));
}

static void take_end(struct hand *hand, int rank, const struct notice *notice)
{
    const struct mix_farm *farm = hand->farm;
    struct leader *leader = hand->leader;
    const bool is_done = notice->status == MIX_OK && notice->what == MIX_ATTEMPT_DONE;
    leader->workers[rank].n_running--;
    mix_packer_end(leader->packer, notice->task, mix_clock_s(), is_done && !notice->failed);
    if (notice->status != MIX_OK) {
        fail_farm(hand, notice->status, &notice->error);
        return;
    }
    leader->n_finished += is_done;
    leader->n_failed += is_done && notice->failed;
    if (notice->place >= 0 && (is_done || notice->failed))
        judge_place(leader, notice->place, !notice->failed);
    if (notice->what == MIX_ATTEMPT_RETRY)
        put_back(hand, notice->task, notice->delay_s);
    const struct mix_attempt_end end = {.what = notice->what,
                                        .delay_s = notice->delay_s,
                                        .failed = notice->failed,
                                        .objective = notice->objective};
    struct mix_error error = {{0}};
    const enum mix_status status =
        farm->ended == NULL ? MIX_OK : farm->ended(farm->rank0_context, notice->task, &end, &error);
    if (status != MIX_OK)
        fail_farm(hand, status, &error);
}

/* Receive all that has come; false where nothing had. */
static bool hear_as_leader(struct hand *hand)
{
    bool has_heard = false;
    struct notice notice;
    MPI_Status from;
    while (mix_message_came(hand->ranks, MPI_ANY_SOURCE, TAG_TO_LEADER, &from)) {
        MPI_Recv(&notice, sizeof notice, MPI_BYTE, from.MPI_SOURCE, TAG_TO_LEADER,
                 hand->ranks->comm, MPI_STATUS_IGNORE);
        switch (notice.kind) {
        case ENDED:
            take_end(hand, from.MPI_SOURCE, &notice);
            break;
        case SIGNAL:
            stop_farm(hand, "interrupted");
            break;
        case GOODBYE:
            hand->leader->n_gone++;
            break;
        }
        has_heard = true;
    }
    return has_heard;
}

/* ---- every rank: its children */

static void send_notice(struct hand *hand, struct child *child)
{
    MPI_Isend(&child->notice, sizeof child->notice, MPI_BYTE, 0, TAG_TO_LEADER, hand->ranks->comm,
              &child->request);
}

/* The run is over; `child` is freed once the notice is on its way. */
static void report(struct hand *hand, struct child *child)
{
    struct notice *notice = &child->notice;
    child->run = NULL;
    if (notice->status != MIX_OK && notice->error.text[0] == '\0')
        mix_fail(&notice->error, notice->status, "stage %s, task %zu: %s", hand->farm->name,
                 (size_t)notice->task, mix_status_text(notice->status));
    if (hand->leader != NULL)
        take_end(hand, 0, notice);
    else
        send_notice(hand, child);
}

static enum mix_status log_record(struct hand *hand, const struct mix_attempt_end *end,
                                  struct mix_error *err)
{
    if (hand->log_dir == NULL || end->record == NULL)
        return MIX_OK;
    if (hand->log == NULL) {
        const enum mix_status status =
            mix_log_open(hand->log_dir, mix_ranks_rank(hand->ranks), &hand->log, err);
        if (status != MIX_OK)
            return status;
    }
    return mix_log_append(hand->log, hand->plan.log_kind, NULL, 0, end->record, end->n_record, 1,
                          err);
}

/* Look after a run; true where it is over. */
static bool check(struct hand *hand, struct child *child)
{
    const struct mix_farm *farm = hand->farm;
    struct notice *notice = &child->notice;
    struct mix_attempt_end end = {.what = MIX_ATTEMPT_RUNNING, .objective = NAN};
    notice->status = farm->check(farm->context, child->run, hand->stops, &end, &notice->error);
    if (notice->status != MIX_OK)
        farm->abandon(farm->context, child->run);
    else if (end.what == MIX_ATTEMPT_RUNNING)
        return false;
    else
        notice->status = log_record(hand, &end, &notice->error);
    free(end.record);
    notice->what = end.what;
    notice->delay_s = end.delay_s;
    notice->failed = end.failed;
    notice->objective = end.objective;
    report(hand, child);
    return true;
}

static void watch(struct hand *hand, size_t i)
{
    struct child *child = hand->children[i];
    hand->looks[i] = (struct pollfd){.fd = -1, .events = POLLIN};
    child->check_s = INFINITY;
    if (child->run != NULL)
        hand->looks[i].fd =
            hand->farm->descriptor(hand->farm->context, child->run, &child->check_s);
    if (hand->looks[i].fd < 0 && !(child->check_s < INFINITY))
        child->check_s = 0; /* nothing will tell: look every time */
}

static void forget(struct hand *hand, size_t i)
{
    free(hand->children[i]);
    hand->n_children--;
    hand->children[i] = hand->children[hand->n_children];
    hand->looks[i] = hand->looks[hand->n_children];
}

static bool is_sent(struct child *child)
{
    int is_complete = 0;
    MPI_Test(&child->request, &is_complete, MPI_STATUS_IGNORE);
    return is_complete != 0;
}

/* Check the children that are due; true where one has ended. */
static bool look_after(struct hand *hand)
{
    bool has_ended = false;
    const double now_s = mix_clock_s();
    for (size_t i = hand->n_children; i-- > 0;) {
        struct child *child = hand->children[i];
        if (child->run != NULL) {
            child->is_ready = hand->looks[i].revents != 0;
            if (!child->is_ready && !hand->stops && now_s < child->check_s)
                continue;
            has_ended |= check(hand, child);
            watch(hand, i);
        }
        if (child->run == NULL && (hand->leader != NULL || is_sent(child)))
            forget(hand, i);
    }
    return has_ended;
}

static bool make_room(struct hand *hand)
{
    if (hand->n_children < hand->size)
        return true;
    const size_t size = 2 * hand->size + 8;
    struct child **children = realloc(hand->children, size * sizeof *children);
    if (children == NULL)
        return false;
    hand->children = children;
    struct pollfd *looks = realloc(hand->looks, size * sizeof *looks);
    if (looks == NULL)
        return false;
    hand->looks = looks;
    hand->size = size;
    return true;
}

static void begin(struct hand *hand, size_t task, const struct mix_placement *placement)
{
    const struct mix_farm *farm = hand->farm;
    struct child *child = make_room(hand) ? calloc(1, sizeof *child) : NULL;
    const bool has_memory = child != NULL;
    if (!has_memory) {
        child = &hand->refusal;
        if (hand->leader == NULL)
            mix_request_wait(&child->request);
        memset(&child->notice, 0, sizeof child->notice);
    }
    struct notice *notice = &child->notice;
    child->request = MPI_REQUEST_NULL;
    notice->task = task;
    notice->place = placement->n_places == 1 ? placement->place[0] : -1;
    notice->objective = NAN;
    if (!has_memory)
        notice->status = MIX_ENOMEM;
    else if (hand->stops)
        notice->what = MIX_ATTEMPT_INTERRUPTED; /* the order was under way */
    else
        notice->status = farm->start(farm->context, task, placement, &child->run, &notice->error);
    if (notice->status != MIX_OK)
        child->run = NULL;
    if (has_memory) {
        hand->children[hand->n_children++] = child;
        watch(hand, hand->n_children - 1);
    }
    if (child->run == NULL)
        report(hand, child);
}

/* A second signal: nothing is waited for any more. */
static void end_at_once(struct hand *hand)
{
    for (size_t i = 0; i < hand->n_children; i++)
        if (hand->children[i]->run != NULL)
            hand->farm->abandon(hand->farm->context, hand->children[i]->run);
    _exit(mix_status_exit(MIX_EINTERRUPTED));
}

/* How long to pause: the longer, the longer nothing happened, at most until something is due. */
static double choose_nap(struct hand *hand, double wake_s)
{
    const bool is_alone = mix_ranks_count(hand->ranks) == 1;
    const unsigned n = is_alone ? YIELDS + NAPS_MAX : hand->n_naps;
    if (n < YIELDS + NAPS_MAX)
        hand->n_naps++;
    if (n < YIELDS) {
        sched_yield();
        return 0;
    }
    const double now_s = mix_clock_s();
    double nap_s = fmin(ldexp(NAP_SHORTEST_S, (int)(n - YIELDS)), NAP_LONGEST_S);
    if (wake_s > now_s) /* else it was looked at just now */
        nap_s = fmin(nap_s, wake_s - now_s);
    for (size_t i = 0; i < hand->n_children; i++)
        if (hand->children[i]->check_s > now_s)
            nap_s = fmin(nap_s, hand->children[i]->check_s - now_s);
    return nap_s;
}

/* Pause until a descriptor is ready. One that was ready just now, though its run goes on, is left
 * out: it would be ready again at once. */
static void nap(struct hand *hand, double wake_s)
{
    const double nap_s = choose_nap(hand, wake_s);
    const struct timespec pause = {.tv_nsec = (long)(1e9 * nap_s)};
    for (size_t i = 0; i < hand->n_children; i++)
        if (hand->children[i]->is_ready && hand->looks[i].fd >= 0)
            hand->looks[i].fd = -1 - hand->looks[i].fd;
    if (ppoll(hand->looks, hand->n_children, &pause, NULL) < 0) {
        const bool was_signal = errno == EINTR;
        if (!was_signal) /* more descriptors than allowed: look at all of them */
            nanosleep(&pause, NULL);
        for (size_t i = 0; i < hand->n_children; i++)
            hand->looks[i].revents = !was_signal;
    }
    for (size_t i = 0; i < hand->n_children; i++)
        if (hand->children[i]->is_ready && hand->looks[i].fd < -1)
            hand->looks[i].fd = -1 - hand->looks[i].fd;
}

/* ---- workers */

/* Obey all that has come; false where nothing had. */
static bool hear_as_worker(struct hand *hand, bool *is_released)
{
    bool has_heard = false;
    MPI_Status from;
    while (!*is_released && mix_message_came(hand->ranks, 0, TAG_TO_WORKER, &from)) {
        int n_bytes = 0;
        MPI_Get_count(&from, MPI_BYTE, &n_bytes);
        assert((size_t)n_bytes <= hand->plan.order_bytes);
        MPI_Recv(hand->order, n_bytes, MPI_BYTE, 0, TAG_TO_WORKER, hand->ranks->comm,
                 MPI_STATUS_IGNORE);
        const struct mix_placement placement = placement_of(hand->order);
        switch (hand->order->kind) {
        case START:
            begin(hand, hand->order->task, &placement);
            break;
        case STOP:
            hand->stops = true;
            break;
        case RELEASE:
            *is_released = true;
            break;
        }
        has_heard = true;
    }
    return has_heard;
}

static void work(struct hand *hand)
{
    struct child teller = {.notice = {.kind = SIGNAL}, .request = MPI_REQUEST_NULL};
    bool is_released = false;
    while (!is_released) {
        if (mix_signal_again())
            end_at_once(hand);
        if (!hand->has_told && mix_signal_came()) {
            hand->stops = hand->has_told = true;
            send_notice(hand, &teller);
        }
        bool is_active = hear_as_worker(hand, &is_released);
        is_active |= look_after(hand);
        if (is_active)
            hand->n_naps = 0;
        if (!is_released)
            nap(hand, INFINITY);
    }
    for (size_t i = hand->n_children; i-- > 0; forget(hand, i))
        mix_request_wait(&hand->children[i]->request);
    mix_request_wait(&hand->refusal.request);
    mix_request_wait(&teller.request);
    teller.notice.kind = GOODBYE;
    send_notice(hand, &teller);
    mix_request_wait(&teller.request);
}

/* ---- rank 0: what it says */

/* Where any rank may start a task, the one with the fewest. */
static int choose_rank(const struct hand *hand, const struct mix_placement *placement)
{
    const int rank = hand->farm->places[placement->place[0]].rank;
    if (rank >= 0)
        return rank;
    const struct worker *workers = hand->leader->workers;
    int best = 0;
    for (int r = 1; r < mix_ranks_count(hand->ranks); r++)
        if (workers[r].n_running < workers[best].n_running)
            best = r;
    return best;
}

static bool may_start(const struct hand *hand)
{
    const int n_max = hand->farm->max_failures;
    return !hand->stops && (n_max <= 0 || hand->leader->n_failed < (size_t)n_max);
}

/* Start what can be; false where nothing could. */
static bool start_tasks(struct hand *hand)
{
    struct leader *leader = hand->leader;
    bool has_started = false;
    size_t task = 0;
    struct mix_placement placement;
    while (may_start(hand) &&
           mix_packer_next(leader->packer, mix_clock_s(), hand->stop_s, &task, &placement)) {
        const int rank = choose_rank(hand, &placement);
        if (hand->farm->attempt_of != NULL)
            placement.attempt = hand->farm->attempt_of(hand->farm->context, task);
        leader->workers[rank].n_running++;
        if (rank > 0)
            send_order(hand, rank, START, task, &placement);
        else
            begin(hand, task, &placement);
        has_started = true;
    }
    return has_started;
}

static void report_progress(struct hand *hand, double time_s)
{
    hand->leader->progress_s = time_s;
    if (hand->farm->progress != NULL)
        hand->farm->progress(hand->farm->rank0_context, hand->leader->packer,
                             time_s - hand->start_s);
}

/* True once nothing runs and nothing will be started. */
static bool is_over(const struct hand *hand)
{
    const struct mix_packer *packer = hand->leader->packer;
    return mix_packer_n_running(packer) == 0 &&
           (!may_start(hand) || !(mix_packer_wake_s(packer) < hand->stop_s));
}

static void lead(struct hand *hand)
{
    struct leader *leader = hand->leader;
    for (;;) {
        const double time_s = mix_clock_s();
        if (mix_signal_again())
            end_at_once(hand);
        if (mix_signal_came())
            stop_farm(hand, "interrupted");
        if (time_s >= hand->stop_s)
            stop_farm(hand, "the time is up");
        bool is_active = mix_ranks_count(hand->ranks) > 1 && hear_as_leader(hand);
        is_active |= look_after(hand);
        is_active |= start_tasks(hand);
        if (time_s - leader->progress_s >= PROGRESS_S)
            report_progress(hand, time_s);
        if (is_over(hand))
            break;
        if (is_active)
            hand->n_naps = 0;
        nap(hand, fmin(mix_packer_wake_s(leader->packer), hand->stop_s));
    }
    leader->has_released = true;
    order_all(hand, RELEASE);
    const int n_workers = mix_ranks_count(hand->ranks) - 1;
    for (unsigned n_naps = 0; leader->n_gone < n_workers;)
        if (!hear_as_leader(hand))
            mix_nap(&n_naps);
    for (int rank = 1; rank <= n_workers; rank++)
        mix_request_wait(&leader->workers[rank].request);
}

/* ---- before and after */

static enum mix_status add_tasks(struct hand *hand, struct mix_error *err)
{
    const struct mix_farm *farm = hand->farm;
    struct leader *leader = hand->leader;
    enum mix_status status = MIX_OK;
    for (size_t task = 0; task < farm->n_tasks && status == MIX_OK; task++) {
        if (farm->done != NULL && farm->done[task])
            continue;
        const double delay_s = farm->delay_of == NULL ? 0 : farm->delay_of(farm->context, task);
        status = mix_packer_add(leader->packer, task, farm->class_of(farm->context, task),
                                delay_s > 0 ? hand->start_s + delay_s : -INFINITY, err);
        leader->n_todo++;
    }
    return status;
}

static enum mix_status prepare_leader(struct hand *hand, struct mix_error *err)
{
    const struct mix_farm *farm = hand->farm;
    const size_t n_ranks = (size_t)mix_ranks_count(hand->ranks);
    struct leader *leader = calloc(1, sizeof *leader);
    hand->leader = leader;
    if (leader != NULL) {
        leader->workers = calloc(n_ranks, sizeof *leader->workers);
        leader->troubles = calloc(hand->plan.n_places + 1, sizeof *leader->troubles);
    }
    if (leader == NULL || leader->workers == NULL || leader->troubles == NULL)
        return mix_fail(err, MIX_ENOMEM, "stage %s: out of memory for the ranks", farm->name);
    for (size_t rank = 0; rank < n_ranks; rank++) {
        leader->workers[rank].request = MPI_REQUEST_NULL;
        leader->workers[rank].order = malloc(hand->plan.order_bytes);
        if (leader->workers[rank].order == NULL)
            return mix_fail(err, MIX_ENOMEM, "stage %s: out of memory for the ranks", farm->name);
    }
    for (int p = 0; p < farm->n_places; p++)
        if (farm->places[p].rank < -1 || farm->places[p].rank >= (int)n_ranks)
            return mix_fail(err, MIX_EINVAL, "place %d (%s) is of rank %d; there are %zu ranks", p,
                            farm->places[p].host, farm->places[p].rank, n_ranks);
    const enum mix_status status = mix_packer_create(farm->places, farm->n_places, farm->classes,
                                                     farm->n_classes, &leader->packer, err);
    return status != MIX_OK ? status : add_tasks(hand, err);
}

static enum mix_status prepare(struct hand *hand, struct mix_error *err)
{
    const struct mix_farm *farm = hand->farm;
    const bool is_leader = mix_ranks_rank(hand->ranks) == 0;
    if (is_leader)
        hand->plan =
            (struct plan){.n_tasks = farm->n_tasks,
                          .log_dir_bytes = farm->log_dir != NULL ? strlen(farm->log_dir) + 1 : 0,
                          .n_places = farm->n_places > 0 ? (size_t)farm->n_places : 0,
                          .log_kind = farm->log_kind};
    hand->plan.order_bytes = order_bytes(hand->plan.n_places);
    mix_ranks_broadcast(hand->ranks, &hand->plan, sizeof hand->plan);
    hand->order = malloc(hand->plan.order_bytes);
    if (hand->plan.log_dir_bytes > 0)
        hand->log_dir = malloc(hand->plan.log_dir_bytes);
    enum mix_status status = MIX_OK;
    if (hand->plan.n_tasks != farm->n_tasks || hand->plan.order_bytes > INT_MAX)
        status = mix_fail(err, MIX_EINVAL, "stage %s: ranks disagree on the number of tasks, %zu",
                          farm->name, farm->n_tasks);
    else if (hand->order == NULL || (hand->plan.log_dir_bytes > 0 && hand->log_dir == NULL))
        status = mix_fail(err, MIX_ENOMEM, "stage %s: out of memory for %zu tasks", farm->name,
                          farm->n_tasks);
    else if (is_leader)
        status = prepare_leader(hand, err);
    return mix_ranks_agree(hand->ranks, status, err);
}

static void release(struct hand *hand)
{
    mix_log_close(hand->log);
    if (hand->leader != NULL) {
        for (int rank = 0; hand->leader->workers != NULL && rank < mix_ranks_count(hand->ranks);
             rank++)
            free(hand->leader->workers[rank].order);
        free(hand->leader->workers);
        free(hand->leader->troubles);
        mix_packer_destroy(hand->leader->packer);
    }
    free(hand->leader);
    while (hand->n_children > 0) /* rank 0's that could not be started */
        forget(hand, hand->n_children - 1);
    free(hand->children);
    free(hand->looks);
    free(hand->order);
    free(hand->log_dir);
}

static enum mix_status judge(const struct hand *hand, struct mix_error *err)
{
    const struct leader *leader = hand->leader;
    const struct mix_farm *farm = hand->farm;
    if (leader->failure != MIX_OK)
        return mix_fail(err, leader->failure, "%s", leader->error.text);
    if (leader->n_finished == leader->n_todo)
        return MIX_OK;
    if (!hand->stops && !may_start(hand))
        return mix_fail(err, MIX_EINVAL,
                        "%s: %zu task%s failed, which is the limit; %zu of %zu finished and "
                        "nothing more was started",
                        farm->name, leader->n_failed, leader->n_failed == 1 ? "" : "s",
                        leader->n_finished, leader->n_todo);
    return mix_fail(err, MIX_EINTERRUPTED,
                    "%s: %s, %zu of %zu tasks finished; the same command resumes", farm->name,
                    leader->why != NULL ? leader->why
                                        : "what is left needs more time than there is",
                    leader->n_finished, leader->n_todo);
}

/* Rank 0's finding becomes everybody's. */
static enum mix_status conclude(struct hand *hand, struct mix_error *err)
{
    struct {
        enum mix_status status;
        struct mix_error error;
    } verdict = {.status = MIX_OK};
    if (hand->leader != NULL)
        verdict.status = judge(hand, &verdict.error);
    mix_ranks_broadcast(hand->ranks, &verdict, sizeof verdict);
    if (verdict.status == MIX_OK)
        return MIX_OK;
    return mix_fail(err, verdict.status, "%s", verdict.error.text);
}

enum mix_status mix_farm_run(struct mix_ranks *ranks, const struct mix_farm *farm,
                             struct mix_error *err)
{
    struct hand hand = {.ranks = ranks,
                        .farm = farm,
                        .refusal = {.request = MPI_REQUEST_NULL},
                        .start_s = mix_clock_s(),
                        .stop_s = farm->stop_s > 0 ? farm->stop_s : INFINITY};
    enum mix_status status = prepare(&hand, err);
    if (status != MIX_OK)
        goto out;
    if (hand.leader != NULL && hand.plan.log_dir_bytes > 0)
        memcpy(hand.log_dir, farm->log_dir, hand.plan.log_dir_bytes);
    mix_ranks_broadcast(ranks, hand.log_dir, hand.plan.log_dir_bytes);
    mix_signal_hold(true);
    if (hand.leader != NULL) {
        lead(&hand);
        report_progress(&hand, mix_clock_s());
    } else {
        work(&hand);
    }
    mix_signal_hold(false);
    status = conclude(&hand, err);
out:
    release(&hand);
    return status;
}
