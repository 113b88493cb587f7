#include "quarantine/review/passwords.h"

#include <event2/event.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "quarantine/review/users.h"

enum { QUEUE_MOST = 32 };

struct job {
	struct job *next;
	char password[MAX_PASSWORD], hash[HASH_ROOM];
	bool known, good;
	password_done done;
	void *arg;
};

struct passwords {
	pthread_t thread;
	pthread_mutex_t lock;                /* of the two lists and `ending` */
	pthread_cond_t more;
	struct job *first, **last, *finished;
	int waiting, wake;
	bool ending, started;
	struct event *woken;
};

static void *
work(void *arg)
{
	struct passwords *p = arg;

	pthread_mutex_lock(&p->lock);
	while (!p->ending) {
		struct job *j = p->first;

		if (j == NULL) {
			pthread_cond_wait(&p->more, &p->lock);
			continue;
		}
		p->first = j->next;
		if (p->first == NULL)
			p->last = &p->first;
		pthread_mutex_unlock(&p->lock);
		j->good = password_check(j->password, j->known ? j->hash : NULL);
		OPENSSL_cleanse(j->password, sizeof j->password);
		pthread_mutex_lock(&p->lock);
		j->next = p->finished;
		p->finished = j;
		eventfd_write(p->wake, 1);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static void
on_woken(evutil_socket_t fd, short what, void *arg)
{
	struct passwords *p = arg;
	eventfd_t count;
	struct job *j, *next;

	(void)what;
	eventfd_read(fd, &count);
	pthread_mutex_lock(&p->lock);
	j = p->finished;
	p->finished = NULL;
	pthread_mutex_unlock(&p->lock);
	for (; j; j = next) {
		next = j->next;
		p->waiting--;
		j->done(j->arg, j->good);
		free(j);
	}
}

struct passwords *
passwords_open(struct event_base *base)
{
	struct passwords *p = calloc(1, sizeof *p);

	if (p == NULL)
		return NULL;
	p->last = &p->first;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->more, NULL);
	p->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	p->woken = p->wake >= 0 ? event_new(base, p->wake, EV_READ | EV_PERSIST, on_woken, p) : NULL;
	if (p->woken == NULL || event_add(p->woken, NULL) < 0 || pthread_create(&p->thread, NULL, work, p) != 0) {
		passwords_close(p);
		return NULL;
	}
	p->started = true;
	return p;
}

void
passwords_close(struct passwords *p)
{
	if (p->started) {
		pthread_mutex_lock(&p->lock);
		p->ending = true;
		pthread_cond_signal(&p->more);
		pthread_mutex_unlock(&p->lock);
		pthread_join(p->thread, NULL);
	}
	if (p->woken)
		event_free(p->woken);
	if (p->wake >= 0)
		close(p->wake);
	free(p);
}

bool
passwords_check(struct passwords *p, const char *password, const char *hash, password_done done, void *arg)
{
	struct job *j = p->waiting < QUEUE_MOST ? calloc(1, sizeof *j) : NULL;

	if (j == NULL)
		return false;
	snprintf(j->password, sizeof j->password, "%s", password);
	snprintf(j->hash, sizeof j->hash, "%s", hash ? hash : "");
	j->known = hash != NULL;
	j->done = done;
	j->arg = arg;
	p->waiting++;
	pthread_mutex_lock(&p->lock);
	*p->last = j;
	p->last = &j->next;
	pthread_cond_signal(&p->more);
	pthread_mutex_unlock(&p->lock);
	return true;
}
