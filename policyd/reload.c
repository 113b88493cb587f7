/* reload.c - new settings without a stop.
 *
 * First the zygote takes them (rules, patterns, virus database: what can be broken); only when it has, the others are told.
 * So a bad reload changes nothing anywhere. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "policyd/supervise.h"
#include "policyd/wire.h"

enum { RELOAD_MS = 120 * 1000 };

void
reload_end(struct master *m, const char *why)
{
	struct reload *r = &m->reload;

	if (why) {
		log_error("reload refused, the old settings stay in force: %s", why);
		metrics_add(M_RELOADS_REFUSED, 1);
		if (r->fd >= 0)
			close(r->fd);
		if (r->zygote && r->zygote != master_proc(m, PROC_ZYGOTE) && r->zygote->pid > 0)
			kill(r->zygote->pid, SIGKILL);
	} else {
		metrics_add(M_RELOADS, 1);
		log_info("reloaded %s: generation %llu", m->config.file, (unsigned long long)m->config.generation);
	}
	r->active = false;
	r->zygote = NULL;
	r->fd = -1;
	control_reloaded(m, why);
	if (r->again) {
		r->again = false;
		master_reload(m);
	}
}

/* What a running system cannot change under its feet. */
static const char *
needs_restart(const struct config *old, const struct config *new)
{
	bool same_listeners = old->milter_count == new->milter_count &&
	    memcmp(old->milter, new->milter, sizeof old->milter) == 0 && strcmp(old->policy, new->policy) == 0 &&
	    strcmp(old->review, new->review) == 0 && strcmp(old->deliver_lmtp, new->deliver_lmtp) == 0;

	if (!same_listeners)
		return "listen or deliver.lmtp";
	if (strcmp(old->state, new->state) != 0 || strcmp(old->run, new->run) != 0)
		return "state or run";
	if (strcmp(old->user, new->user) != 0 || strcmp(old->worker_user, new->worker_user) != 0)
		return "user";
	if (strcmp(old->control_group, new->control_group) != 0 || strcmp(old->report_group, new->report_group) != 0)
		return "control.group or report.group";
	if (strcmp(old->redis_url, new->redis_url) != 0)
		return "redis.url";
	return NULL;
}

void
master_reload(struct master *m)
{
	struct reload *r = &m->reload;
	struct proc *zygote = master_proc(m, PROC_ZYGOTE);
	char why[1024];
	const char *fixed;

	if (r->active) {
		r->again = true;
		return;
	}
	r->active = true;
	r->told = false;
	r->zygote = NULL;
	r->fd = -1;
	r->deadline_ms = clock_ms() + RELOAD_MS;
	if (!config_load(m->config.file, &r->config, why, sizeof why)) {
		reload_end(m, why);
		return;
	}
	if ((fixed = needs_restart(&m->config, &r->config)) != NULL) {
		snprintf(why, sizeof why, "%s: %s cannot be changed while running; restart policyd for it", m->config.file, fixed);
		reload_end(m, why);
		return;
	}
	r->config.generation = m->config.generation + 1;
	r->fd = config_seal(&r->config);
	if (r->fd < 0) {
		reload_end(m, "no memory for the new settings");
		return;
	}
	if (zygote == NULL || zygote->sock < 0 || zygote->generation == 0) {
		if (zygote && zygote->pid > 0)       /* it is still loading the old ones */
			kill(zygote->pid, SIGKILL);
		r->zygote = zygote;                  /* starts again, with the new ones */
		return;
	}
	r->zygote = zygote;
	proc_send(zygote, W_CONFIG, r->fd);
}

/* The zygote has taken them: now everybody. */
static void
reload_tell(struct master *m)
{
	struct reload *r = &m->reload;

	r->told = true;
	for (int i = 0; i < MAX_PROCS; i++) {
		struct proc *p = &m->procs[i];

		if (p->used && p != r->zygote && p->kind == PROC_ZYGOTE)
			p->leaving = true;           /* the broker lets it go when its mail is done */
		else if (p->used && p->kind != PROC_ZYGOTE && p->kind != PROC_REDIS)
			proc_send(p, W_CONFIG, r->fd);
	}
	close(m->config_fd);
	m->config_fd = r->fd;
	m->config = r->config;
}

void
reload_check(struct master *m)
{
	struct reload *r = &m->reload;

	if (!r->active || r->fd < 0)
		return;
	if (!r->told && r->zygote && r->zygote->generation == r->config.generation)
		reload_tell(m);
	if (r->told) {
		bool all = true;

		for (int i = 0; i < MAX_PROCS; i++) {
			const struct proc *p = &m->procs[i];

			if (p->used && p->pid > 0 && p->sock >= 0 && p->kind != PROC_ZYGOTE)
				all &= p->generation == m->config.generation;
		}
		if (all || clock_ms() > r->deadline_ms)
			reload_end(m, NULL);
	} else if (clock_ms() > r->deadline_ms) {
		reload_end(m, "the workers' zygote gave no answer in time");
	}
}

void
reload_answer(struct master *m, struct proc *p, uint32_t type, struct unpack *u)
{
	struct reload *r = &m->reload;
	uint64_t generation = unpack_u64(u);
	char why[1024];

	if (type == W_FRESH && r->active && p == r->zygote) {
		struct proc *fresh = proc_add(m, PROC_ZYGOTE, "zygote", -1);

		if (fresh == NULL) {
			reload_end(m, "too many zygotes: an old one has not ended yet");
			return;
		}
		r->zygote = fresh;
		proc_start(m, fresh, r->fd);
	} else if (type == W_FRESH && !r->active) {
		log_info("the virus database has changed: reloading");
		master_reload(m);
	} else if (type == W_REFUSED) {
		unpack_text(u, why, sizeof why);
		if (r->active && p == r->zygote && generation == r->config.generation)
			reload_end(m, why);
	}
}
