#include "policyd/deliver/pool.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "policyd/base/log.h"

enum { CHECK_S = 5, END_CHECKS = 12 };      /* a thread without mail for a minute ends */

struct pool {
	char helo[128];
	int mail_ms;
	pthread_mutex_t lock;
	pthread_cond_t mail, ended;
	struct pool_job *first, **last;
	int threads, idle, waiting;
	bool closing;
};

struct pool *
pool_open(const char *helo_name, int mail_ms)
{
	struct pool *p = calloc(1, sizeof *p);

	if (p == NULL)
		return NULL;
	snprintf(p->helo, sizeof p->helo, "%s", helo_name);
	p->mail_ms = mail_ms;
	p->last = &p->first;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->mail, NULL);
	pthread_cond_init(&p->ended, NULL);
	return p;
}

/* With the lock held. NULL: no mail for so long, or the end. */
static struct pool_job *
next_job(struct pool *p, struct smtp *smtp)
{
	for (int checks = 0; p->first == NULL && !p->closing && checks < END_CHECKS; checks++) {
		struct timespec until;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += CHECK_S;
		p->idle++;
		pthread_cond_timedwait(&p->mail, &p->lock, &until);
		p->idle--;
		if (p->first == NULL)
			smtp_idle(smtp);
	}
	struct pool_job *job = p->closing ? NULL : p->first;

	if (job) {
		p->first = job->next;
		if (p->first == NULL)
			p->last = &p->first;
		p->waiting--;
	}
	return job;
}

static void *
thread(void *arg)
{
	struct pool *p = arg;
	struct smtp *smtp = smtp_open(p->helo);
	struct pool_job *job;

	pthread_mutex_lock(&p->lock);
	while (smtp && (job = next_job(p, smtp)) != NULL) {
		struct smtp_reply reply;

		pthread_mutex_unlock(&p->lock);
		bool taken = smtp_deliver(smtp, job->server, &job->mail, p->mail_ms, &reply);

		job->done(job, taken, &reply);
		pthread_mutex_lock(&p->lock);
	}
	p->threads--;
	pthread_cond_signal(&p->ended);
	pthread_mutex_unlock(&p->lock);
	smtp_close(smtp);
	return NULL;
}

/* One more thread when more mail waits than threads do. */
static void
start_thread(struct pool *p)
{
	pthread_attr_t attr;
	pthread_t id;

	if (p->waiting <= p->idle || p->threads >= POOL_CONNECTIONS)
		return;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&id, &attr, thread, p) == 0)
		p->threads++;
	else if (p->threads == 0)
		log_error("deliver: no thread can be started; releases wait");
	pthread_attr_destroy(&attr);
}

void
pool_put(struct pool *p, struct pool_job *job)
{
	pthread_mutex_lock(&p->lock);
	job->next = NULL;
	*p->last = job;
	p->last = &job->next;
	p->waiting++;
	start_thread(p);
	pthread_cond_signal(&p->mail);
	pthread_mutex_unlock(&p->lock);
}

void
pool_close(struct pool *p)
{
	pthread_mutex_lock(&p->lock);
	p->closing = true;
	pthread_cond_broadcast(&p->mail);
	while (p->threads > 0)
		pthread_cond_wait(&p->ended, &p->lock);
	pthread_mutex_unlock(&p->lock);
	pthread_cond_destroy(&p->mail);
	pthread_cond_destroy(&p->ended);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
