#include "policyd/broker/dispatch_inside.h"

#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "policyd/broker/poison.h"
#include "policyd/net/clamd.h"
#include "policyd/worker/cage.h"

enum { TICK_MS = 100, IDLE_MS = 10 * 1000, MAX_TRIES = 4, FORK_MS = 10 * 1000 };

bool
worker_outdated(const struct worker *worker)
{
	return worker->zygote->retired || worker->generation != worker->zygote->generation ||
	       worker->revision != worker->zygote->revision;
}

static uint32_t
queued(const struct dispatch *d)
{
	return d->lines[LANE_TRICKLE].queued + d->lines[LANE_BULK].queued;
}

static void
count_queued(struct dispatch *d)
{
	metrics_set(M_QUEUE_NOW, queued(d));
	metrics_set(M_BULK_QUEUE_NOW, d->lines[LANE_BULK].queued);
}

static void
queue_push(struct dispatch *d, struct work *w, bool front)
{
	struct line *line = &d->lines[w->lane];

	w->next = front ? line->first : NULL;
	if (front) {
		if (line->first == NULL)
			line->last = &w->next;
		line->first = w;
	} else {
		*line->last = w;
		line->last = &w->next;
	}
	line->queued++;
	count_queued(d);
}

static void
queue_remove(struct dispatch *d, struct work *w)
{
	struct line *line = &d->lines[w->lane];

	for (struct work **at = &line->first; *at; at = &(*at)->next) {
		if (*at != w)
			continue;
		*at = w->next;
		if (line->last == &w->next)
			line->last = at;
		line->queued--;
		count_queued(d);
		return;
	}
}

static uint32_t
bulk_most(const struct dispatch *d)
{
	return lane_share(d->config->workers_max, d->config->bulk_share);
}

/* Whose turn it is: trickle's, but for bulk's first worker where both wait, so that bulk never stands still either. */
static struct work *
next_work(const struct dispatch *d)
{
	const struct line *trickle = &d->lines[LANE_TRICKLE], *bulk = &d->lines[LANE_BULK];
	bool bulk_may = bulk->first && bulk->running < bulk_most(d);

	if (bulk_may && (trickle->first == NULL || (bulk->running == 0 && trickle->running > 0)))
		return bulk->first;
	return trickle->first;
}

/* It is no worker's any more. */
static void
let_go(struct work *w)
{
	if (w->worker)
		w->dispatch->lines[w->lane].running--;
	w->worker = NULL;
}

/* Whoever asked is gone, or has finished without the answer. */
static void
stop_asking(struct work *w)
{
	if (w->asking && w->done)
		w->asked(w->arg, NULL);
	w->asking = false;
}

static void
work_finish(struct work *w, enum job_result result, struct packet *answer)
{
	stop_asking(w);
	if (w->worker)
		w->worker->work = NULL;
	let_go(w);
	if (w->done)
		w->done(w->arg, result, answer);
	buf_free(&w->body);
	free(w);
}

void
worker_remove(struct worker *gone)
{
	struct dispatch *d = gone->dispatch;

	for (struct worker **at = &d->workers; *at; at = &(*at)->next)
		if (*at == gone) {
			*at = gone->next;
			break;
		}
	gone->zygote->workers--;
	metrics_set(M_WORKERS_NOW, --d->worker_count);
	event_free(gone->readable);
	close(gone->sock);
	free(gone);
}

static struct zygote *
current(const struct dispatch *d)
{
	struct zygote *newest = NULL;

	for (struct zygote *z = d->zygotes; z; z = z->next)
		if (!z->retired && (newest == NULL || z->generation > newest->generation))
			newest = z;
	return newest;
}

void
work_crashed(struct dispatch *d, struct worker *worker)
{
	struct work *w = worker->work;

	worker->work = NULL;
	let_go(w);
	w->tries++;
	stop_asking(w);
	if (w->done == NULL) {               /* nobody waits for it any more, and its mail may be closed */
		work_finish(w, JOB_LATE, NULL);
		return;
	}
	if (worker->has_digest) {
		w->crashes = poison_note(d->poison, worker->digest);
		metrics_add(M_WORKER_CRASHED, 1);
	}
	if (w->crashes >= POISON_CRASHES || w->tries >= MAX_TRIES) {
		metrics_add(M_POISON, 1);
		work_finish(w, JOB_POISON, NULL);
	} else {
		queue_push(d, w, true);
	}
}

static void
worker_ended(struct worker *worker)
{
	struct dispatch *d = worker->dispatch;

	if (worker->work)
		work_crashed(d, worker);
	worker_remove(worker);
	dispatch_pump(d);
}

static void
worker_kill(struct worker *worker)
{
	struct buf body = { 0 };

	worker->killed = true;
	metrics_add(M_WORKER_KILLED, 1);
	pack_u32(&body, worker->pid);
	struct packet packet = { .type = W_KILL, .body = buf_span(&body) };

	ipc_send(worker->zygote->sock, &packet);
	buf_free(&body);
}

/* The content is known before it is parsed: one that has ended two workers meets no third. */
static void
worker_digest(struct worker *worker, struct packet *packet)
{
	struct dispatch *d = worker->dispatch;
	struct unpack u = { packet->body, false };
	struct span digest = unpack_span(&u);

	if (digest.n != sizeof worker->digest)
		return;
	memcpy(worker->digest, digest.p, digest.n);
	worker->has_digest = true;
	if (poison_count(d->poison, worker->digest) >= POISON_CRASHES) {
		struct work *w = worker->work;

		worker->work = NULL;
		let_go(w);
		worker_kill(worker);
		metrics_add(M_POISON, 1);
		work_finish(w, JOB_POISON, NULL);
	}
}

static void
worker_asked(struct work *w, struct packet *question)
{
	if (w->asked && w->done) {
		w->asking = true;
		w->asked(w->arg, question);
	}
	packet_close_fds(question);
}

/* What it has used, for nobody's answer. */
static void
worker_accounts(struct work *w, struct packet *account)
{
	if (w->asked && w->done)
		w->asked(w->arg, account);
	packet_close_fds(account);
}

void
work_tell(struct work *w, uint32_t type, struct buf *body)
{
	struct packet answer = { .type = type, .id = w->id, .body = buf_span(body) };

	if (w->worker && !body->failed)
		ipc_send(w->worker->sock, &answer);  /* it goes on without, when its deadline comes */
	buf_free(body);
}

static void
on_worker(evutil_socket_t fd, short what, void *arg)
{
	struct worker *worker = arg;
	struct dispatch *d = worker->dispatch;
	struct packet packet;
	enum ipc_result result = ipc_recv(fd, &d->inbox, &packet);

	(void)what;
	if (result == IPC_AGAIN)
		return;
	if (result == IPC_CLOSED || worker->work == NULL || packet.id != worker->work->id) {
		worker_ended(worker);
		return;
	}
	if (packet.type == W_DIGEST) {
		worker_digest(worker, &packet);
		return;
	}
	if (wire_asks_findings(packet.type) || packet.type == W_ASK) {
		worker_asked(worker->work, &packet);
		return;
	}
	if (packet.type == W_ACCOUNT) {
		worker_accounts(worker->work, &packet);
		return;
	}
	/* The last byte of a scan's answer says whether the worker ends itself now (scanned.h). */
	bool retires = packet.type == W_SCANNED && packet.body.n > 0 && packet.body.p[packet.body.n - 1];

	worker->has_digest = false;
	worker->since_ms = clock_ms();
	work_finish(worker->work, JOB_DONE, &packet);
	packet_close_fds(&packet);
	if (retires || worker_outdated(worker))
		worker_remove(worker);
	dispatch_pump(d);
}

void
worker_add(struct zygote *z, uint32_t pid, int sock)
{
	struct dispatch *d = z->dispatch;
	struct worker *worker = calloc(1, sizeof *worker);

	fcntl(sock, F_SETFL, O_NONBLOCK);
	if (worker == NULL || (worker->readable = event_new(d->base, sock, EV_READ | EV_PERSIST, on_worker, worker)) == NULL ||
	    event_add(worker->readable, NULL) < 0) {
		close(sock);                 /* it ends by itself */
		free(worker);
		return;
	}
	worker->zygote = z;
	worker->dispatch = d;
	worker->pid = pid;
	worker->sock = sock;
	worker->generation = z->generation;
	worker->revision = z->revision;
	worker->since_ms = clock_ms();
	worker->next = d->workers;
	d->workers = worker;
	z->workers++;
	metrics_set(M_WORKERS_NOW, ++d->worker_count);
}

/* Hand `w` to an idle worker. False: that worker is no longer there. */
static bool
assign(struct dispatch *d, struct worker *worker, struct work *w)
{
	struct packet packet = { .type = W_JOB, .id = w->id, .body = buf_span(&w->body), .fds = { w->mail_fd }, .fd_count = 1 };
	int clamd = d->config->clamav == CLAMAV_CLAMD ? clamd_connect(d->config->clamd_socket) : -1;

	if (clamd >= 0)
		packet.fds[packet.fd_count++] = clamd;
	enum ipc_result result = ipc_send(worker->sock, &packet);

	if (clamd >= 0)
		close(clamd);
	if (result != IPC_OK)
		return false;
	worker->work = w;
	worker->has_digest = false;
	worker->since_ms = clock_ms();
	w->worker = worker;
	d->lines[w->lane].running++;
	return true;
}

static void
ask_fork(struct dispatch *d, struct zygote *z)
{
	struct packet packet = { .type = W_FORK };

	if (ipc_send(z->sock, &packet) != IPC_OK)
		return;
	d->forking++;
	d->fork_asked_ms = clock_ms();
}

void
dispatch_pump(struct dispatch *d)
{
	struct zygote *z = current(d);
	uint32_t idle = 0;

	if (z == NULL)
		return;
	for (struct worker *worker = d->workers, *next; worker; worker = next) {
		next = worker->next;
		if (worker->work || worker->zygote != z || worker->killed || worker_outdated(worker))
			continue;
		struct work *w = next_work(d);

		if (w == NULL) {
			idle++;
			continue;
		}
		queue_remove(d, w);
		if (!assign(d, worker, w)) {
			queue_push(d, w, true);
			worker_remove(worker);
		}
	}
	uint32_t bulk = d->lines[LANE_BULK].queued, room = bulk_most(d) - d->lines[LANE_BULK].running;
	uint32_t wanted = d->lines[LANE_TRICKLE].queued + (bulk < room ? bulk : room);

	wanted = wanted > d->config->workers_min ? wanted : d->config->workers_min;

	while (idle + d->forking < wanted && z->workers + d->forking < d->config->workers_max) {
		uint32_t before = d->forking;

		ask_fork(d, z);
		if (d->forking == before)
			break;
	}
}

bool
dispatch_has(const struct dispatch *d, uint64_t generation)
{
	const struct zygote *z = current(d);

	return z && z->generation >= generation;
}

struct work *
dispatch_submit(struct dispatch *d, struct buf *body, int mail_fd, int64_t deadline_ms, job_callback done, job_asked asked, void *arg)
{
	return dispatch_submit_lane(d, LANE_TRICKLE, body, mail_fd, deadline_ms, done, asked, arg);
}

struct work *
dispatch_submit_lane(struct dispatch *d, enum lane lane, struct buf *body, int mail_fd, int64_t deadline_ms, job_callback done,
    job_asked asked, void *arg)
{
	bool full = queued(d) >= MAX_QUEUED_MAILS || (lane == LANE_BULK && d->lines[LANE_BULK].queued >= MAX_QUEUED_MAILS / 2);
	struct work *w = full || body->failed ? NULL : calloc(1, sizeof *w);

	if (w == NULL) {
		metrics_add(M_OVERLOAD, 1);
		buf_free(body);
		return NULL;
	}
	*w = (struct work){ .dispatch = d, .body = *body, .mail_fd = mail_fd, .id = ++d->next_id, .lane = lane, .deadline_ms = deadline_ms,
	    .done = done, .asked = asked, .arg = arg };
	*body = (struct buf){ 0 };
	metrics_add(M_BULK, lane == LANE_BULK);
	queue_push(d, w, false);
	dispatch_pump(d);
	return w;
}

void
work_forget(struct work *w)
{
	w->done = NULL;
	if (w->worker == NULL) {
		queue_remove(w->dispatch, w);
		work_finish(w, JOB_LATE, NULL);
	}
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct dispatch *d = arg;
	int64_t now = clock_ms();
	uint32_t idle = 0;

	(void)fd;
	(void)what;
	for (int lane = 0; lane < LANE__COUNT; lane++)
		for (struct work *w = d->lines[lane].first, *next; w; w = next) {
			next = w->next;
			if (w->deadline_ms > now)
				continue;
			queue_remove(d, w);
			work_finish(w, JOB_LATE, NULL);
			next = d->lines[lane].first;         /* the callback may have queued another */
		}
	for (struct worker *worker = d->workers, *next; worker; worker = next) {
		next = worker->next;
		if (worker->work && !worker->killed && now - worker->since_ms > d->config->scan_timeout_ms) {
			log_warning("worker %u: no answer in %u ms; ended", worker->pid, d->config->scan_timeout_ms);
			worker_kill(worker);
		} else if (worker->work == NULL && now - worker->since_ms > IDLE_MS && ++idle > d->config->workers_min) {
			worker_remove(worker);
		}
	}
	if (d->forking > 0 && now - d->fork_asked_ms > FORK_MS)
		d->forking = 0;              /* lost with a zygote */
	if (current(d) == NULL && queued(d) > 0)
		log_seldom(&d->complained_ms, 10, "workers: none; %u mails wait for the zygote to load", queued(d));
	dispatch_pump(d);
}

struct dispatch *
dispatch_open(struct event_base *base, const struct config *config, void (*changed)(void *arg), void *arg)
{
	struct dispatch *d = calloc(1, sizeof *d);
	struct timeval tick = { 0, TICK_MS * 1000 };

	if (d == NULL)
		return NULL;
	d->base = base;
	d->config = config;
	d->changed = changed;
	d->changed_arg = arg;
	for (int lane = 0; lane < LANE__COUNT; lane++)
		d->lines[lane].last = &d->lines[lane].first;
	d->poison = poison_open(config->state);
	d->tick = event_new(base, -1, EV_PERSIST, on_tick, d);
	if (d->poison == NULL || d->tick == NULL || event_add(d->tick, &tick) < 0)
		return NULL;                 /* at start only: the process ends */
	return d;
}

void
dispatch_config(struct dispatch *d, const struct config *config)
{
	d->config = config;
}

json_t *
dispatch_status(const struct dispatch *d)
{
	const struct zygote *z = current(d);
	json_t *cage = json_array(), *status = json_pack("{s:i, s:i, s:i, s:i, s:i, s:b}", "workers", (int)d->worker_count,
	    "queued", (int)queued(d), "workers_min", (int)d->config->workers_min,
	    "workers_max", (int)d->config->workers_max, "forking", (int)d->forking, "ready", z != NULL);

	for (int i = 0; z && i < CAGE__COUNT; i++)
		json_array_append_new(cage, json_pack("{s:s, s:s, s:b}", "measure", cage_names[i], "what", cage_texts[i],
		    "holds", (z->cage >> i & 1) != 0));
	json_object_set_new(status, "cage", cage);
	if (z)
		json_object_set_new(status, "clamav", json_pack("{s:b, s:i, s:I, s:I}", "loaded", z->av.loaded, "signatures",
		    (int)z->av.signatures, "database_time", (json_int_t)z->av.time_s,
		    "database_changed", (json_int_t)z->av.changed_s));
	return status;
}
