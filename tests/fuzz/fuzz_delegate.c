/* fuzz_delegate.c - the policy-delegation port, by a real connection. The first byte says how the stream is cut. */
#include <event2/event.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "policyd/base/log.h"
#include "policyd/broker/delegate.h"
#include "tests/fuzz/fuzz.h"

static struct event_base *base;
static struct sockaddr_un address = { .sun_family = AF_UNIX };
static socklen_t address_n;

static void
ask(void *arg, struct delegate_call *call, const struct delegate_request *r)
{
	(void)arg;
	const struct span all[] = { r->protocol_state, r->queue_id, r->sender, r->recipient, r->client_address, r->client_port,
		r->client_name, r->helo_name, r->sasl_username, r->instance, r->size, r->policy_context };
	char action[600];

	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		FUZZ_PROMISE(span_find_char(all[i], '\n') == SPAN_NONE && span_find_char(all[i], '\0') == SPAN_NONE);
		fuzz_touch(all[i]);
	}
	snprintf(action, sizeof action, "550 5.7.1 " SPAN_FMT "\r\naction=DISCARD", SPAN_ARG(span_head(r->sender, 500)));
	delegate_answer(call, action);
}

static void
gone(void *arg, struct delegate_call *call)
{
	(void)arg, (void)call;
}

static void
open_port(void)
{
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address_n = sizeof(sa_family_t);     /* an abstract name of the kernel's choice */
	FUZZ_PROMISE(bind(listener, (struct sockaddr *)&address, address_n) == 0 && listen(listener, 16) == 0);
	address_n = sizeof address;
	FUZZ_PROMISE(getsockname(listener, (struct sockaddr *)&address, &address_n) == 0);
	base = event_base_new();
	FUZZ_PROMISE(base && delegate_open(base, listener, ask, gone, NULL));
	log_open(LOG_TO_STDERR, LOG_LEVEL_ERROR, "fuzz");
}

/* Answers are whole, one line each, and nothing of the request has become a line of ours. */
static void
check_answers(int sock)
{
	static char bytes[256 * 1024];
	size_t n = 0;
	ssize_t got;

	while (n < sizeof bytes && (got = recv(sock, bytes + n, sizeof bytes - n, MSG_DONTWAIT)) > 0)
		n += (size_t)got;
	for (struct span rest = span_make(bytes, n); rest.n > 0;) {
		FUZZ_PROMISE(span_starts(span_cut(&rest, '\n'), SPAN("action=")));
		FUZZ_PROMISE(span_cut(&rest, '\n').n == 0);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t piece = fuzz_choice(&data, &size) % 5 * 97;

	if (base == NULL)
		open_port();
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	FUZZ_PROMISE(sock >= 0 && connect(sock, (struct sockaddr *)&address, address_n) == 0);
	for (size_t at = 0, n; at < size; at += n) {
		n = piece > 0 && piece < size - at ? piece : size - at;
		if (send(sock, data + at, n, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)n)
			break;
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
	shutdown(sock, SHUT_WR);
	for (int i = 0; i < 8; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	check_answers(sock);
	close(sock);
	event_base_loop(base, EVLOOP_NONBLOCK);
	return 0;
}
